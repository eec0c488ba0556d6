"""The index of each respondent, and of groups of respondents by one rule."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from csi_lab.answers import aligned, require_columns, require_possible, split_weights
from csi_lab.design import Design
from csi_lab.errors import CsiLabWarning, DataError, SpecError
from csi_lab.index.formula import Bounds, item_weights, limits, require_answers_inside
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd


def respondent_index(data: Any, weights: Mapping[str, float] | pd.Series, bounds: Bounds) -> pd.Series:
    r"""The 0-100 index of every respondent, in the rows' order; NaN where an item is missing.

    .. math:: I_i = 100 \, \frac{\sum_h w_h (x_{ih} - \min_h)/(\max_h - \min_h)}{\sum_h w_h}

    The (weighted) mean over the respondents of an index is that index.

    Parameters
    ----------
    data
        A survey or a DataFrame, one row per respondent.
    weights
        Item to its weight w >= 0 after rescaling to 0-100, as in ``index.weights.loc["Satisfaction", "estimate"]``;
        only their ratios count.
    bounds
        As in :func:`from_fit`.

    Raises
    ------
    DataError
        If an item is absent or not numeric, or a survey keeps impossible answers of it.
    EstimationError
        If a weight is negative, all are zero, or an answer lies outside the bounds.
    SpecError
        If the weights are no mapping of items to finite numbers, or bounds are absent or not low < high.

    Examples
    --------
    The ACSI formula on three answers (8, 7, 6) with weights .4, .3, .3:

    >>> import pandas as pd
    >>> answers = pd.DataFrame({"x1": [8], "x2": [7], "x3": [6]})
    >>> respondent_index(answers, {"x1": 0.4, "x2": 0.3, "x3": 0.3}, (1, 10)).round(4).tolist()
    [67.7778]
    """
    import pandas as pd

    frame = getattr(data, "frame", data)
    if not hasattr(frame, "columns"):
        raise DataError(f"need a survey or a DataFrame, got {type(data).__name__}")
    items, v = item_weights(weights)
    require_possible(data, items)
    low, high = limits(bounds, items)
    require_answers_inside(frame, items, low, high)
    x = frame[items].to_numpy(dtype=float, na_value=np.nan)
    return pd.Series(100 * (((x - low) / (high - low)) @ v) / v.sum(), index=frame.index, name="index")


def by_group(
    data: Any,
    groups: str | Sequence[Any] | pd.Series,
    weights: Mapping[str, float] | pd.Series,
    bounds: Bounds,
    *,
    case_weights: Sequence[float] | pd.Series | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """The index of each group of respondents, with the item weights of the whole survey.

    Groups are compared by the same rule, so differences are differences of answers.

    Parameters
    ----------
    data
        A survey (its design weights are used) or a DataFrame, one row per respondent.
    weights, bounds
        As in :func:`respondent_index`.
    groups
        Group of each respondent, or the name of a column; a Series goes by its index. Respondents without a group or
        with a missing item are left out of their group's row and counted in ``left_out`` (groups) or in the row named
        ``(no group)``.
    case_weights
        Sampling weights of a DataFrame.
    level
        Confidence level.

    Returns
    -------
    DataFrame
        Columns ``estimate, se, low, high, n, left_out``. Simple random samples: Student's t within the group, NaN for a
        single respondent. Samples with weights, strata or clusters: Taylor linearisation of the group as a domain, with
        the PSUs less strata that the group is present in as degrees of freedom; NaN where the group lies in one unit.

    Raises
    ------
    DataError, EstimationError, SpecError
        As in :func:`respondent_index`, or if groups or weights do not fit the rows, or weights are given twice.

    Warns
    -----
    CsiLabWarning
        If the design allows no variance (a stratum with a single PSU): the reason is told and intervals are NaN.

    Notes
    -----
    Intervals take the item weights as given.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"x": [10, 8, 1, 3]})
    >>> by_group(frame, ["a", "a", "b", "b"], {"x": 1.0}, (1, 10))["estimate"].round(1).to_dict()
    {'a': 88.9, 'b': 11.1}
    """
    import pandas as pd

    frame, design = getattr(data, "frame", data), getattr(data, "design", Design())
    if not hasattr(frame, "columns"):
        raise DataError(f"need a survey or a DataFrame, got {type(data).__name__}")
    if case_weights is not None and design.weights is not None:
        raise SpecError(f"weights are given twice: case_weights= and the design column {design.weights!r}")
    require_possible(data, list(weights.keys()) if hasattr(weights, "keys") else [])
    if case_weights is None and design.weights is not None:
        case_weights = frame[design.weights]
    simple = design.simple and case_weights is None
    require_level(level)
    if isinstance(groups, str):
        require_columns(frame, [groups])
        groups = frame[groups]
    label = pd.Series(np.asarray(aligned(groups, frame, "the groups"), dtype=object).ravel())
    if len(label) != len(frame):
        raise DataError(f"{len(label)} groups for {len(frame)} respondents; give one group per row")
    label = label.where(label.notna(), "(no group)").astype(str).to_numpy()
    given_weights = split_weights(frame, case_weights)[1]
    w = np.ones(len(frame)) if given_weights is None else given_weights
    # Rows of weight zero are nobody: what they hold is not looked at.
    each = np.full(len(frame), np.nan)
    each[w > 0] = respondent_index(frame[w > 0], weights, bounds).to_numpy()
    rows = []
    for name in sorted(set(label)):
        here = label == name
        given = here & ~np.isnan(each) & (w > 0)
        x, v = each[given], w[given]
        row: dict[str, Any] = {"group": name, "estimate": float(x @ v / v.sum()) if v.sum() > 0 else np.nan}
        row |= {"se": np.nan, "low": np.nan, "high": np.nan}
        if simple:
            se = float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else np.nan
            t = float(stdtrit(len(x) - 1, 0.5 + level / 2)) if len(x) > 1 else np.nan
            row |= {"se": se, "low": row["estimate"] - t * se, "high": row["estimate"] + t * se}
        rows.append(row | {"n": len(x), "left_out": int(here.sum()) - len(x)})
    table = pd.DataFrame(rows).set_index("group")
    if not simple:
        label = np.where(np.isnan(each) | (w <= 0), "", label)
        columns = ["se", "low", "high"]
        table[columns] = _design_errors(frame, design, each, label, w, level).reindex(table.index)[columns]
    return table


def _design_errors(
    frame: pd.DataFrame, design: Design, each: np.ndarray, label: np.ndarray, w: np.ndarray, level: float
) -> pd.DataFrame:
    """Standard errors and intervals of the mean index of each group, by the design of the sample."""
    import pandas as pd

    from csi_lab.sampling import estimate

    # Names of their own, so that no column of the answers is met; rows without an index keep their units.
    rows = pd.DataFrame({name: frame[name].to_numpy() for name in design.columns if name != design.weights})
    rows = rows.assign(
        **{"index of the respondent": each, "group of the respondent": np.where(label == "", "-", label)}
    )
    bare = replace(design, weights=None)
    settings: dict[str, Any] = {"weights": w, "missing": "listwise", "level": level}
    try:
        found = estimate.mean(rows, "index of the respondent", bare, by="group of the respondent", **settings)
    except DataError as error:
        warnings.warn(f"groups have no interval: {error}", CsiLabWarning, stacklevel=3)
        return pd.DataFrame(columns=["se", "low", "high"], dtype=float)
    return found.to_frame()
