"""Ratings of items by a panel of experts: what is checked, and the interval of a share of few experts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import infinite_values, require_numbers
from csi_lab.errors import DataError, SpecError
from csi_lab.shares import clopper_pearson

if TYPE_CHECKING:
    import pandas as pd

MissingRatings = Literal["raise", "available"]


def ratings_of(frame: pd.DataFrame, missing: MissingRatings) -> np.ndarray:
    """Ratings ``(experts, items)`` as floats, checked.

    Raises
    ------
    DataError
        If columns share a name, ratings are text, infinite or missing, or an item has none; offenders are named.
    SpecError
        If ``missing`` is unknown.
    """
    if missing not in ("raise", "available"):
        raise SpecError(f"missing={missing!r} is unknown; use 'raise' or 'available'")
    if not hasattr(frame, "columns"):
        raise DataError(f"need a DataFrame with one row per expert, got {type(frame).__name__}")
    twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
    if twice:
        raise DataError(f"columns share a name: {twice}; rename them")
    if not len(frame):
        raise DataError("no expert has given a rating")
    require_numbers(frame)
    x = frame.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(x).any():
        raise DataError(infinite_values(frame))
    gaps = np.isnan(x).sum(axis=0)
    empty = [str(c) for c, k in zip(frame.columns, gaps, strict=True) if k == len(x)]
    if empty:
        raise DataError(f"items without any rating: {empty}; leave them out")
    if gaps.any() and missing == "raise":
        named = ", ".join(f"{str(c)!r} ({k})" for c, k in zip(frame.columns, gaps, strict=True) if k)
        raise DataError(f"ratings are missing: {named}; choose missing='available' to count those who rated each item")
    return x


def share_with_interval(
    count: np.ndarray, n: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Share, its standard error, and the ends of the Clopper-Pearson interval."""
    share = count / n
    return share, np.sqrt(share * (1 - share) / n), *clopper_pearson(share, n, level)


def item_table(frame: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    """One row per column of ``frame``."""
    import pandas as pd

    return pd.DataFrame(columns, index=pd.Index([str(c) for c in frame.columns], name="item"))
