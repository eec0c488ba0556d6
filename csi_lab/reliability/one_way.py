"""The intraclass correlation of targets that were rated by differing numbers of raters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import as_items, infinite_values, require_columns, require_numbers, require_possible
from csi_lab.design import Design
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.intervals import Kind, require_interval
from csi_lab.moments import Moments
from csi_lab.reliability.coefficient import CoefficientTable, interval_words, withheld
from csi_lab.reliability.intraclass import one_way_ends
from csi_lab.resampling import replicates

if TYPE_CHECKING:
    import pandas as pd

# What each target gives: its number of ratings, the square of it, and sums of its ratings about a common origin.
PARTS = ("ratings", "ratings squared", "sum", "sum squared over ratings", "squares")


def one_way_icc(
    data: Any,
    raters: Sequence[str] | None = None,
    *,
    design: Design | None = None,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> CoefficientTable:
    r"""Intraclass correlation of form 1 where targets were rated by differing numbers of raters.

    One-way analysis of variance with :math:`k_0 = (N - \sum k_i^2/N)/(n - 1)` ratings per target on average, N in all:

    .. math:: \text{ICC}(1,1) = \frac{B - W}{B + (k_0 - 1) W}, \qquad \text{ICC}(1,k_0) = \frac{B - W}{B}

    with B and W the mean squares between and within targets.

    Parameters
    ----------
    data
        A survey or a DataFrame with one row per target and one column per rating; gaps are ratings not made.
    raters
        The columns; default all items, or all columns but those of the design.
    design
        Columns of weights, strata and PSUs of the targets; a survey brings its own.
    draws, rng, kind
        As in :func:`csi_lab.reliability.cronbach_alpha`; targets are resampled.
    level
        Confidence level.

    Returns
    -------
    CoefficientTable
        Rows ``ICC(1,1)`` and ``ICC(1,k0)``. ``dropped`` counts targets without any rating or of weight zero.

    Raises
    ------
    DataError
        If columns are absent, text or infinite, or fewer than two targets were rated, or none twice.
    EstimationError
        If the targets' mean ratings are all equal.
    SpecError
        If a setting of the interval is unknown.

    Notes
    -----
    Equal numbers give :func:`csi_lab.reliability.icc`'s form 1 exactly. Without draws the interval takes the F
    distribution with :math:`k_0` in the place of k, which is exact for equal numbers and an approximation otherwise; it
    is withheld where the targets have weights, strata or clusters.

    References
    ----------
    .. [1] Donner, A. (1986). A review of inference procedures for the intraclass correlation coefficient in the
       one-way random effects model. International Statistical Review, 54(1), 67-82.

    Examples
    --------
    >>> import pandas as pd
    >>> visits = pd.DataFrame({"v1": [9, 6, 8, 7], "v2": [8, 7, None, 6], "v3": [9, None, None, 7]})
    >>> one_way_icc(visits).table["estimate"].round(3).tolist()
    [0.755, 0.869]
    """
    import pandas as pd

    require_interval(kind, level)
    ratings, design, columns = _ratings(data, raters, design)
    x = ratings.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(x).any():
        raise DataError(infinite_values(ratings))
    rated = ~np.isnan(x).all(axis=1)
    if design.weights:
        # A target of weight zero stands for none.
        rated &= ~(columns[design.weights] == 0).to_numpy(dtype=bool, na_value=False)
    parts = _contributions(x[rated])
    rows = columns[rated].assign(**{name: parts[:, j] for j, name in enumerate(PARTS)})
    weights = rows[design.weights] if design.weights else None
    n, total = len(parts), int(parts[:, 0].sum())
    if n < 2 or total == n:
        raise DataError(f"{n} targets with {total} ratings: two targets are needed, and one of them rated twice")
    moments = Moments.from_frame(rows[list(PARTS)], weights)
    between, within, k0 = (float(v) for v in _mean_squares(moments))
    if not between > 1e-12 * within:
        raise EstimationError("the targets do not differ in their mean rating; there is nothing to agree on")
    single, several = _forms(moments).tolist()
    table = pd.DataFrame(
        {"estimate": [single, several], "se": np.nan, "low": np.nan, "high": np.nan},
        index=pd.Index(["ICC(1,1)", "ICC(1,k0)"], name="coefficient"),
    )
    if draws is not None:
        made = replicates(rows, design, items=list(PARTS), draws=draws, rng=rng)
        found = made.interval(_forms, kind=kind, level=level)
        table["se"], table["low"], table["high"] = found.se, found.low, found.high
        interval = interval_words(found, made.method)
    elif not design.simple:
        interval = withheld("the F distribution's interval")
    else:
        ends = np.array(one_way_ends(between, within, n - 1, total - n, k0, level))
        table["low"], table["high"] = np.transpose([ends, k0 * ends / (1 + (k0 - 1) * ends)])
        equal = bool((parts[:, 0] == parts[0, 0]).all())
        interval = "F distribution" if equal else "F distribution, approximate (numbers differ)"
    return CoefficientTable(
        title=f"one-way intraclass correlation, {total} ratings, k0 = {k0:.2f} per target",
        table=table.assign(meaning=["one rating", f"mean of k0 = {k0:.2f} ratings"]),
        interval=interval,
        level=level,
        n=n,
        dropped=int((~rated).sum()),
    )


def _ratings(
    data: Any, raters: Sequence[str] | None, design: Design | None
) -> tuple[pd.DataFrame, Design, pd.DataFrame]:
    """The columns of ratings, checked, the design, and its columns."""
    frame, own = getattr(data, "frame", data), getattr(data, "design", None)
    if not hasattr(frame, "columns"):
        raise DataError(f"need a survey or a DataFrame with one row per target, got {type(data).__name__}")
    if own is not None and design is not None:
        raise DataError("a survey brings the design of its study file; do not give another beside it")
    if design is not None and not isinstance(design, Design):
        raise SpecError(f"design= takes a csi.Design, not {type(design).__name__}")
    design = own or design or Design()
    if raters is None:
        known = frame.columns if frame is data else data.items
        raters = [c for c in known if c not in design.columns]
    raters = list(as_items(raters))
    require_columns(frame, [*raters, *design.columns])
    require_possible(data, raters)
    ratings = frame[raters]
    twice = sorted({str(c) for c in ratings.columns[ratings.columns.duplicated()]})
    if twice:
        raise DataError(f"columns share a name: {twice}; rename them")
    require_numbers(ratings)
    return ratings, design, frame[list(design.columns)]


def _contributions(x: np.ndarray) -> np.ndarray:
    """What each target gives ``(n, 5)``, see PARTS; sums about the mean of all ratings keep their digits."""
    known = ~np.isnan(x)
    centred = np.where(known, x - np.nanmean(x), 0.0) if known.any() else np.zeros(x.shape)
    k, total = known.sum(axis=1).astype(float), centred.sum(axis=1)
    return np.column_stack([k, k**2, total, total**2 / k, (centred**2).sum(axis=1)])


def _mean_squares(moments: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean squares between and within targets, and k0, over the leading axes."""
    n = np.asarray(moments.n, dtype=float)
    ratings, squared, total, of_targets, of_all = np.moveaxis(moments.mean * n[..., None], -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = of_all - of_targets
        # Raters who agree on every target leave rounding here, not disagreement.
        within = np.where(rest > 1e-13 * of_all, rest, 0.0) / (ratings - n)
        between = (of_targets - total**2 / ratings) / (n - 1)
        return between, within, (ratings - squared / ratings) / (n - 1)


def _forms(moments: Moments) -> np.ndarray:
    """One rating, and the mean of k0 ratings ``(..., 2)``; NaN where no target was rated twice or none differs."""
    between, within, k0 = _mean_squares(moments)
    with np.errstate(divide="ignore", invalid="ignore"):
        single = (between - within) / (between + (k0 - 1) * within)
        several = k0 * single / (1 + (k0 - 1) * single)
    return np.stack([single, several], axis=-1)
