"""Intervals of shares: Wilson's and the exact one of Clopper and Pearson, elementwise."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special


def wilson(share: Any, n: Any, quantile: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of Wilson's interval of shares taken from n cases, with a quantile z or t; NaN where n is 0.

    References
    ----------
    .. [1] Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the
       American Statistical Association, 22, 209-212.

    Examples
    --------
    >>> [round(float(end), 4) for end in wilson(67 / 250, 250, 1.959964)]
    [0.2169, 0.3261]
    """
    share, n, square = np.asarray(share, dtype=float), np.asarray(n, dtype=float), np.square(quantile)
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


def clopper_pearson(share: Any, n: Any, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the exact interval of shares taken from n cases, by the inverse beta distribution.

    References
    ----------
    .. [1] Clopper, C., & Pearson, E. S. (1934). The use of confidence or fiducial limits illustrated in the case of the
       binomial. Biometrika, 26, 404-413.

    Examples
    --------
    >>> [round(float(end), 4) for end in clopper_pearson(0.0, 10, 0.95)]
    [0.0, 0.3085]
    """
    share, n, tail = np.asarray(share, dtype=float), np.asarray(n, dtype=float), (1 - level) / 2
    count = share * n
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(share <= 0, 0.0, special.betaincinv(count, n - count + 1, tail))
        high = np.where(share >= 1, 1.0, special.betaincinv(count + 1, n - count, 1 - tail))
    return low, high
