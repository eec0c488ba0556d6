"""Which group each respondent belongs to, and what several comparisons do to a p-value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import aligned, as_items
from csi_lab.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def group_places(frame: pd.DataFrame, by: Any, groups: Sequence[Any] | None = None) -> tuple[list[str], np.ndarray]:
    """Names of the groups, and the number of each row's group, -1 outside all of them.

    Parameters
    ----------
    frame
        The data.
    by
        Name of a column, or a label for each row; a Series goes by its index.
    groups
        The labels wanted, in their order; default all, sorted.

    Raises
    ------
    DataError
        If labels do not fit the rows, a group asked for has none, fewer than two groups remain, or there are so many
        that the column can hardly be one of groups.

    Examples
    --------
    >>> import pandas as pd
    >>> names, place = group_places(pd.DataFrame({"city": ["B", "A", None, "B"]}), "city")
    >>> names, place.tolist()
    (['A', 'B'], [1, 0, -1, 1])
    """
    import pandas as pd

    if isinstance(by, str) and by not in frame.columns:
        raise DataError(f"the column {by!r} is not in the data; they have {[str(c) for c in frame.columns]}")
    labels = (frame[by] if isinstance(by, str) else pd.Series(aligned(by, frame, "the labels"))).reset_index(drop=True)
    if len(labels) != len(frame):
        raise DataError(f"{len(labels)} group labels for {len(frame)} rows")
    known = [v for v in pd.unique(labels) if not pd.isna(v)]
    wanted = sorted(known, key=lambda v: (str(type(v)), v)) if groups is None else list(as_items(groups))
    empty = [g for g in wanted if g not in known]
    if empty:
        raise DataError(f"groups without a row: {empty}; the data have {sorted(map(str, known))[:12]}")
    if len(wanted) < 2 or len(set(wanted)) < len(wanted):
        raise DataError(f"need two or more different groups, got {[str(g) for g in wanted]}")
    if len(wanted) > len(frame) / 2:
        raise DataError(f"{len(wanted)} groups for {len(frame)} rows; is this really a column of groups?")
    place = np.full(len(frame), -1)
    for g, name in enumerate(wanted):
        place[(labels == name).to_numpy(dtype=bool, na_value=False)] = g
    return [str(g) for g in wanted], place


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values of one family ``(k,)``; NaN stay NaN and do not count.

    References
    ----------
    .. [1] Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics,
       6, 65-70.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    out = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    out[order] = np.minimum(np.maximum.accumulate(p[order] * (len(order) - np.arange(len(order)))), 1.0)
    return out
