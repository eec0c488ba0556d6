"""Where intervals end: quantiles of Student's t."""

from __future__ import annotations

import numpy as np
from scipy import special


def critical(df: np.ndarray | float, level: float) -> np.ndarray:
    """Quantile of Student's t that leaves out (1 - level)/2 above; the normal one for infinite df, NaN below 1 df.

    Examples
    --------
    >>> critical(np.array([14.0, np.inf]), 0.95).round(4).tolist()
    [2.1448, 1.96]
    """
    df = np.asarray(df, dtype=float)
    upper = (1 + level) / 2
    with np.errstate(invalid="ignore"):
        found = np.where(np.isinf(df), special.ndtri(upper), special.stdtrit(np.where(df > 0, df, 1.0), upper))
    return np.where(df > 0, found, np.nan)
