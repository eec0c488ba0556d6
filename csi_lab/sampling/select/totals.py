"""Totals from samples drawn with unequal probabilities, with the variance that belongs to each way of drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import DataError, EstimationError
from csi_lab.percent import percent
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TotalEstimate:
    """An estimated total or mean.

    Attributes
    ----------
    value, se, low, high
        Estimate, standard error, interval; NaN where there is no variance, with the reason in ``note``.
    df
        Degrees of freedom of the interval; infinite: normal quantiles.
    n
        Units used.
    level, method, note
        Confidence level; estimator and variance; what the reader should know.
    """

    value: float
    se: float
    low: float
    high: float
    df: float
    n: int
    level: float
    method: str
    note: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = {"estimate": self.value, "se": self.se, "low": self.low, "high": self.high, "df": self.df, "n": self.n}
        return pd.DataFrame([row], index=pd.Index([self.method], name="method"))

    def __str__(self) -> str:
        text = f"{self.value:,.6g}"
        if np.isfinite(self.se):
            text += f" (se {self.se:,.4g}), {percent(self.level)} CI [{self.low:,.6g}, {self.high:,.6g}]"
        text += f", n = {self.n} ({self.method})"
        return text + (f"\n{self.note}" if self.note else "")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{str(self).replace(chr(10), '<br>')}</p>"


def horvitz_thompson(values: Any, probability: Any, *, joint: Any = None, level: float = 0.95) -> TotalEstimate:
    r"""Total from inclusion probabilities, with the variance of Sen, Yates and Grundy.

    :math:`\hat T = \sum y_i/\pi_i`,
    :math:`v = \tfrac12 \sum_{i \ne j} \frac{\pi_i \pi_j - \pi_{ij}}{\pi_{ij}} (y_i/\pi_i - y_j/\pi_j)^2`

    Parameters
    ----------
    values
        ``(n,)`` y of the units drawn, each unit once.
    probability
        ``(n,)`` inclusion probabilities, above 0 and up to 1.
    joint
        ``(n, n)`` joint inclusion probabilities, e.g. ``sample.joint``; ``None``: no standard error.
    level
        Confidence level of the normal interval.

    Returns
    -------
    TotalEstimate

    Raises
    ------
    DataError
        If values or probabilities are missing, text, out of range or of different lengths.
    EstimationError
        If a pair has joint probability 0, so that the variance cannot be estimated.

    Notes
    -----
    The variance is that of designs of fixed size. It may be negative in rare samples; then se is NaN and the note says
    so: nothing is put in its place.

    References
    ----------
    .. [1] Horvitz, D. G., & Thompson, D. J. (1952). Journal of the American Statistical Association, 47, 663-685.
    .. [2] Yates, F., & Grundy, P. M. (1953). Journal of the Royal Statistical Society B, 15, 253-261.

    Examples
    --------
    Two units of three drawn at random (pairs 1/3): the total is N times the mean.

    >>> print(horvitz_thompson([4, 8], [2 / 3, 2 / 3], joint=[[2 / 3, 1 / 3], [1 / 3, 2 / 3]]))
    18 (se 3.464), 95% CI [11.2105, 24.7895], n = 2 (Horvitz-Thompson, Sen-Yates-Grundy)
    """
    y, pi = _columns(values, probability, "inclusion probabilities", level)
    if (pi > 1 + 1e-12).any():
        raise DataError(
            f"inclusion probabilities are above 1 in {int((pi > 1).sum())} units; these are no probabilities"
        )
    total = float((y / pi).sum())
    if joint is None:
        note = "no joint inclusion probabilities, hence no standard error; use the design for an approximate one"
        return TotalEstimate(total, np.nan, np.nan, np.nan, np.inf, len(y), level, "Horvitz-Thompson", note)
    pairs = _pairs(joint, len(y))
    off = ~np.eye(len(y), dtype=bool)
    if (pairs[off] <= 0).any():
        zero = int((pairs[off] <= 0).sum() // 2)
        raise EstimationError(f"{zero} pairs have a joint probability of 0: the variance cannot be estimated from them")
    expanded = y / pi
    gap = (expanded[:, None] - expanded[None, :]) ** 2
    coefficient = np.divide(np.outer(pi, pi) - pairs, pairs, out=np.zeros_like(pairs), where=off)
    return _total(
        total, float((coefficient * gap).sum() / 2), np.inf, len(y), level, "Horvitz-Thompson, Sen-Yates-Grundy"
    )


def hansen_hurwitz(values: Any, chance: Any, *, level: float = 0.95) -> TotalEstimate:
    r"""Total from draws with replacement, with the variance of Hansen and Hurwitz.

    :math:`\hat T = \frac1n \sum y_i/p_i`, :math:`v = \sum (y_i/p_i - \hat T)^2 / (n(n - 1))`

    Parameters
    ----------
    values
        ``(n,)`` y of each draw; a unit drawn twice counts twice.
    chance
        ``(n,)`` chance p of the unit in a single draw: size over the sum of sizes. In a sample drawn by
        ``pps(..., method="hansen-hurwitz")`` the column ``probability`` holds n p.
    level
        Confidence level of the interval by Student's t with n - 1 degrees of freedom.

    Returns
    -------
    TotalEstimate

    Raises
    ------
    DataError
        If values or chances are missing, text, out of range or of different lengths, or there is one draw only.

    References
    ----------
    .. [1] Hansen, M. H., & Hurwitz, W. N. (1943). Annals of Mathematical Statistics, 14, 333-362.

    Examples
    --------
    >>> print(hansen_hurwitz([10, 30, 24], [0.1, 0.25, 0.2]))
    113.333 (se 6.667), 95% CI [84.649, 142.018], n = 3 (Hansen-Hurwitz)
    """
    y, p = _columns(values, chance, "chances", level)
    if (p > 1).any():
        raise DataError(f"chances of a single draw are above 1 in {int((p > 1).sum())} draws; give size / sum of sizes")
    if len(y) < 2:
        raise DataError("a variance needs two draws or more")
    expanded = y / p
    total = float(expanded.mean())
    variance = float(((expanded - total) ** 2).sum() / (len(y) * (len(y) - 1)))
    return _total(total, variance, len(y) - 1.0, len(y), level, "Hansen-Hurwitz")


def rao_hartley_cochran_total(
    values: Any, chance: Any, share: Any, sizes: Any, *, level: float = 0.95
) -> TotalEstimate:
    r"""Total from a sample drawn by :func:`csi_lab.sampling.select.groups.rao_hartley_cochran`.

    :math:`\hat T = \sum P_g y_g/p_g`,
    :math:`v = \frac{\sum N_g^2 - N}{N^2 - \sum N_g^2} \sum P_g (y_g/p_g - \hat T)^2`

    Parameters
    ----------
    values
        ``(n,)`` y of the unit drawn from each group.
    chance
        ``(n,)`` its size over the sum of all sizes, p.
    share
        ``(n,)`` sum of p over its group, P.
    sizes
        ``(n,)`` units in its group, N_g.
    level
        Confidence level of the normal interval.

    Returns
    -------
    TotalEstimate

    Raises
    ------
    DataError
        If the columns are unusable, the shares do not sum to 1, or there is one group only.

    References
    ----------
    .. [1] Rao, J. N. K., Hartley, H. O., & Cochran, W. G. (1962). Journal of the Royal Statistical Society B, 24,
       482-491.

    Examples
    --------
    >>> print(rao_hartley_cochran_total([10, 30], [0.1, 0.25], [0.4, 0.6], [2, 2]))
    112 (se 6.928), 95% CI [98.421, 125.579], n = 2 (Rao-Hartley-Cochran)
    """
    y, p = _columns(values, chance, "chances", level)
    _, of_group = _columns(values, share, "shares of the groups", level)
    _, count = _columns(values, sizes, "sizes of the groups", level)
    if len(y) < 2:
        raise DataError("a variance needs two groups or more")
    if not np.isclose(of_group.sum(), 1, rtol=1e-9) or (p > of_group * (1 + 1e-12)).any():
        raise DataError(f"the groups' shares must sum to 1 (they sum to {of_group.sum():.6g}) and hold their units'")
    units, squares = count.sum(), (count**2).sum()
    total = float((of_group * y / p).sum())
    spread = float((of_group * (y / p - total) ** 2).sum())
    variance = float((squares - units) / (units**2 - squares) * spread)
    return _total(total, variance, np.inf, len(y), level, "Rao-Hartley-Cochran")


def _columns(values: Any, chances: Any, role: str, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and chances as numbers, checked."""
    require_level(level)
    try:
        y, p = np.asarray(values, dtype=float), np.asarray(chances, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"values and {role} must be numbers") from None
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise DataError(f"need one value and one of the {role} per unit; got shapes {y.shape} and {p.shape}")
    problems = []
    if not np.isfinite(y).all():
        problems.append(f"values are missing or infinite in {int((~np.isfinite(y)).sum())} units")
    wrong = ~np.isfinite(p) | (p <= 0)
    if wrong.any():
        problems.append(f"{role} are missing, infinite or not above 0 in {int(wrong.sum())} units")
    if problems:
        raise DataError("; ".join(problems), problems)
    return y, p


def _pairs(joint: Any, n: int) -> np.ndarray:
    try:
        pairs = np.asarray(joint, dtype=float)
    except (TypeError, ValueError):
        raise DataError("joint inclusion probabilities must be numbers") from None
    if pairs.shape != (n, n) or not np.isfinite(pairs).all() or not np.allclose(pairs, pairs.T, rtol=1e-8):
        raise DataError(f"joint inclusion probabilities must be a symmetric table ({n}, {n}), got {pairs.shape}")
    return pairs


def _total(total: float, variance: float, df: float, n: int, level: float, method: str) -> TotalEstimate:
    if variance < 0:
        note = f"the variance estimate is negative ({variance:.6g}) in this sample; no standard error"
        return TotalEstimate(total, np.nan, np.nan, np.nan, df, n, level, method, note)
    se = float(np.sqrt(variance))
    tail = 0.5 + level / 2
    quantile = float(special.ndtri(tail)) if np.isinf(df) else float(special.stdtrit(df, tail))
    return TotalEstimate(total, se, total - quantile * se, total + quantile * se, df, n, level, method)
