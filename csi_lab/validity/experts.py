"""Ratings of items by a panel of experts: what is checked, and the interval of a share of few experts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from csi_lab.answers import infinite_values, require_numbers
from csi_lab.errors import DataError, SpecError

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


def clopper_pearson(
    count: np.ndarray, n: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Share, its standard error, and the ends of the Clopper-Pearson interval."""
    share, tail = count / n, (1 - level) / 2
    low = np.where(count > 0, special.betaincinv(np.maximum(count, 1), n - count + 1, tail), 0.0)
    high = np.where(count < n, special.betaincinv(count + 1, np.maximum(n - count, 1), 1 - tail), 1.0)
    return share, np.sqrt(share * (1 - share) / n), low, high


def item_table(frame: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    """One row per column of ``frame``."""
    import pandas as pd

    return pd.DataFrame(columns, index=pd.Index([str(c) for c in frame.columns], name="item"))
