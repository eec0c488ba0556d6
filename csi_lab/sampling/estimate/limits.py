"""Where intervals end: quantiles of Student's t, and Wilson's interval of shares."""

from __future__ import annotations

from typing import Any

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


def wilson(share: np.ndarray, n: np.ndarray, quantile: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of Wilson's interval of shares taken from n cases, with a quantile z or t; NaN where n is 0.

    Examples
    --------
    >>> [round(float(end), 4) for end in wilson(np.array(67 / 250), np.array(250), 1.959964)]
    [0.2169, 0.3261]
    """
    square = np.square(quantile)
    with np.errstate(divide="ignore", invalid="ignore"):
        shrink = 1 + square / n
        centre = (share + square / (2 * n)) / shrink
        half = quantile * np.sqrt(share * (1 - share) / n + square / (4 * np.square(n))) / shrink
    # The ends at none and all are 0 and 1 exactly, not up to rounding.
    low = np.where(share <= 0, 0.0, np.maximum(centre - half, 0.0))
    high = np.where(share >= 1, 1.0, np.minimum(centre + half, 1.0))
    return np.where(np.isnan(half), np.nan, low), np.where(np.isnan(half), np.nan, high)


def wilson_of_counts(count: Any, n: Any, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares count/n and the ends of their intervals, elementwise; NaN where n is 0.

    Examples
    --------
    >>> [float(v) for v in wilson_of_counts(0, 0, 0.95)]
    [nan, nan, nan]
    """
    count, n = np.asarray(count, dtype=float), np.asarray(n, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = count / n
    return share, *wilson(share, n, float(special.ndtri(0.5 + level / 2)))
