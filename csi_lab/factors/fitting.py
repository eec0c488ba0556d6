"""How well factors reproduce the correlations: chi-square, RMSEA, TLI, BIC, residuals."""

from __future__ import annotations

import numpy as np
from scipy import optimize, special

from csi_lab.factors.correlations import off_diagonal
from csi_lab.factors.extraction import ml_discrepancy

# Level of the interval of RMSEA, as published with it (Steiger 1990).
RMSEA_LEVEL = 0.90


def degrees_of_freedom(p: int, m: int) -> int:
    """Correlations less free loadings: ((p - m)^2 - p - m) / 2."""
    return ((p - m) ** 2 - p - m) // 2


def most_factors(p: int) -> int:
    """The most factors of p items that leave no negative degrees of freedom (Ledermann 1937)."""
    return max(m for m in range(p) if degrees_of_freedom(p, m) >= 0)


def residuals(corr: np.ndarray, loadings: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Correlations that the factors leave ``(..., p, p)``, the diagonal 0."""
    return off_diagonal(corr - loadings @ phi @ np.swapaxes(loadings, -1, -2))


def root_mean_square(left: np.ndarray) -> np.ndarray:
    """Root of the average squared residual correlation (RMSR) ``(...)``."""
    p = left.shape[-1]
    return np.sqrt((left**2).sum(axis=(-2, -1)) / (p * (p - 1)))


def fit_measures(
    corr: np.ndarray, loadings: np.ndarray, phi: np.ndarray, uniqueness: np.ndarray, n: int, reservation: str
) -> dict[str, float]:
    """All measures of one solution; see :class:`csi_lab.factors.EFAFit` for their formulas.

    With a ``reservation`` the probability and the interval of RMSEA are NaN.
    """
    p, m = loadings.shape
    df = degrees_of_freedom(p, m)
    left = residuals(corr, loadings, phi)
    discrepancy = float(ml_discrepancy(corr, loadings, phi, uniqueness))
    null = float(-np.linalg.slogdet(corr)[1])
    factor = n - 1 - (2 * p + 5) / 6 - 2 * m / 3
    # At a perfect fit rounding may leave a discrepancy below zero.
    chi2 = factor * max(discrepancy, 0.0) if factor > 0 and np.isfinite(discrepancy) else float("nan")
    out = {"chi2": chi2, "df": float(df), "p": float("nan"), "discrepancy": discrepancy}
    low = high = rmsea = tli = float("nan")
    if df > 0 and np.isfinite(chi2):
        rmsea = float(np.sqrt(max(0.0, (chi2 / df - 1) / n)))
        baseline = factor * null / (p * (p - 1) / 2)
        tli = (baseline - chi2 / df) / (baseline - 1)
        if not reservation:
            out["p"] = float(special.chdtrc(df, chi2))
            low, high = (np.sqrt(v / (df * n)) for v in noncentrality(chi2, df, RMSEA_LEVEL))
    out |= {"rmsea": rmsea, "rmsea_low": float(low), "rmsea_high": float(high), "tli": tli}
    out["bic"] = float(chi2 - df * np.log(n))
    out["rmsr"] = float(root_mean_square(left))
    out["rmsr_corrected"] = float(np.sqrt((left**2).sum() / (2 * df))) if df > 0 else float("nan")
    return out


def noncentrality(chi2: float, df: int, level: float) -> tuple[float, float]:
    """Ends of the interval of the noncentrality of a chi-square: where it is the upper and the lower quantile."""
    tail = (1 - level) / 2

    def end(probability: float) -> float:
        def gap(value: float) -> float:
            return float(special.chndtr(chi2, df, value)) - probability

        if gap(0.0) <= 0:
            return 0.0
        highest = chi2 + 20 * np.sqrt(chi2 + df) + 20
        return float(optimize.brentq(gap, 0.0, highest, xtol=1e-10))

    return end(1 - tail), end(tail)
