"""The extreme groups of a scale, and the t test between them: Kelley's critical ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

# Below this p of Levene's test the variances count as different (the rule of the critical ratio).
LEVENE = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two groups compared, item by item ``(k,)``.

    Attributes
    ----------
    difference
        Mean of the high group minus mean of the low group.
    t, df, p
        Of the test used, p two-sided; NaN where neither group varies.
    test
        ``"Welch"``, ``"pooled"`` or ``""``.
    levene
        p of Levene's test.
    """

    difference: np.ndarray
    t: np.ndarray
    df: np.ndarray
    p: np.ndarray
    test: np.ndarray
    levene: np.ndarray


def group_labels(totals: np.ndarray, share: float) -> tuple[tuple[float, float], np.ndarray, np.ndarray]:
    """Cut points, and which rows are low (total <= lower cut) and high (total >= upper cut)."""
    lower, upper = np.quantile(totals, [share, 1 - share], method="linear")
    # Equal totals must not be parted by the last digit of a sum.
    slack = 1e-9 * max(float(np.ptp(totals)), 1e-300)
    return (float(lower), float(upper)), totals <= lower + slack, totals >= upper - slack


def compare_groups(high: np.ndarray, low: np.ndarray) -> Comparison:
    """t tests between two groups of rows ``(n, k)``: Welch's where Levene's test finds unlike variances."""
    n1, n2 = len(high), len(low)
    v1, v2 = high.var(axis=0, ddof=1), low.var(axis=0, ddof=1)
    difference = high.mean(axis=0) - low.mean(axis=0)
    levene = _levene(high, low)
    welch = levene < LEVENE
    e1, e2 = v1 / n1, v2 / n2
    with np.errstate(divide="ignore", invalid="ignore"):
        welch_df = (e1 + e2) ** 2 / (e1**2 / (n1 - 1) + e2**2 / (n2 - 1))
        pooled = ((n1 - 1) * v1 + (n2 - 1) * v2) / (n1 + n2 - 2)
        error = np.where(welch, e1 + e2, pooled * (1 / n1 + 1 / n2))
        still = ~(error > 1e-20 * (1 + difference**2))
        t = np.where(still, np.nan, difference / np.sqrt(error))
    df = np.where(still, np.nan, np.where(welch, welch_df, n1 + n2 - 2))
    p = 2 * special.stdtr(df, -np.abs(t))
    test = np.where(still, "", np.where(welch, "Welch", "pooled"))
    return Comparison(difference, t, df, p, test, levene)


def _levene(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """p of Levene's test of equal variances, from absolute deviations from the group means; NaN without spread."""
    n1, n2 = len(high), len(low)
    z1, z2 = np.abs(high - high.mean(axis=0)), np.abs(low - low.mean(axis=0))
    m1, m2 = z1.mean(axis=0), z2.mean(axis=0)
    grand = (n1 * m1 + n2 * m2) / (n1 + n2)
    between = n1 * (m1 - grand) ** 2 + n2 * (m2 - grand) ** 2
    within = ((z1 - m1) ** 2).sum(axis=0) + ((z2 - m2) ** 2).sum(axis=0)
    df = n1 + n2 - 2
    with np.errstate(divide="ignore", invalid="ignore"):
        f = np.where(between > 0, df * between / within, np.nan)
    return np.where(np.isinf(f), 0.0, special.fdtrc(1, df, f))
