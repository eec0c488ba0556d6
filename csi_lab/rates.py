"""Simple measures: the share of satisfied customers, with intervals that stay between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["wilson", "exact"]


@dataclass(frozen=True)
class RateResult:
    """A share with its interval.

    Attributes
    ----------
    value, low, high
        Share and interval, 0 to 1.
    count, n
        Satisfied (sum of weights when weighted) and answered.
    n_effective
        (sum w)^2 / sum w^2; equals n without weights.
    at_least
        Answers from here on count as satisfied.
    level, method
        Confidence level and method of the interval.
    """

    value: float
    low: float
    high: float
    count: float
    n: int
    n_effective: float
    at_least: float
    level: float
    method: Method

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = {"estimate": self.value, "low": self.low, "high": self.high, "n": self.n}
        return pd.DataFrame([row], index=pd.Index([f">= {self.at_least:g}"], name="box"))

    def __str__(self) -> str:
        return (
            f"{self.value:.1%} answered {self.at_least:g} or more, "
            f"{self.level:.0%} CI [{self.low:.1%}, {self.high:.1%}] ({self.method}), n = {self.n}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>"


def satisfaction_rate(
    answers: Any, at_least: float, *, weights: Any = None, level: float = 0.95, method: Method = "wilson"
) -> RateResult:
    r"""Share of respondents who answered ``at_least`` or more ("top box").

    Wilson's interval has centre :math:`(p + z^2/2n)/(1 + z^2/n)` and half width
    :math:`\frac{z}{1 + z^2/n} \sqrt{p(1-p)/n + z^2/4n^2}`; the exact one (Clopper and Pearson) takes quantiles of the
    beta distribution. With weights n becomes the effective size :math:`(\sum w)^2 / \sum w^2`.

    Parameters
    ----------
    answers
        One item, ``(n,)``; missing answers are left out and ``n`` counts the rest.
    at_least
        Lowest answer that counts as satisfied.
    weights
        Sampling weights ``(n,)``, >= 0.
    level
        Confidence level.
    method
        ``"wilson"`` or ``"exact"``.

    Returns
    -------
    RateResult

    Raises
    ------
    DataError
        If answers are text or all missing, or weights are negative, missing or of another length.
    SpecError
        If the method or level is unknown.

    References
    ----------
    .. [1] Wilson, E. B. (1927). Journal of the American Statistical Association, 22, 209-212.
    .. [2] Clopper, C., & Pearson, E. S. (1934). Biometrika, 26, 404-413.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(satisfaction_rate(csi.load_survey("mobile").frame["CUSA1"], at_least=9))
    26.8% answered 9 or more, 95% CI [21.7%, 32.6%] (wilson), n = 250
    """
    if method not in ("wilson", "exact"):
        raise SpecError(f"method={method!r} is unknown; use 'wilson' or 'exact'")
    if not 0 < level < 1:
        raise SpecError(f"level={level!r} must lie between 0 and 1, e.g. 0.95")
    try:
        x = np.asarray(answers, dtype=float)
        w = np.ones(x.shape) if weights is None else np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        raise DataError("answers and weights must be numbers") from None
    if x.ndim != 1 or w.shape != x.shape:
        raise DataError(f"need one answer and one weight per respondent; got shapes {x.shape} and {w.shape}")
    # A row of weight zero stands for nobody; NaN weights stay, to be refused below.
    given = ~np.isnan(x) & (w != 0)
    x, w = x[given], w[given]
    if not len(x) or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise DataError("no answers, or weights that are missing, negative or all zero")
    effective = float(w.sum() ** 2 / (w**2).sum())
    share = float(w[x >= at_least].sum() / w.sum())
    low, high = (_wilson if method == "wilson" else _clopper_pearson)(share, effective, level)
    return RateResult(share, low, high, float(w[x >= at_least].sum()), len(x), effective, at_least, level, method)


def _wilson(p: float, n: float, level: float) -> tuple[float, float]:
    z = float(special.ndtri(0.5 + level / 2))
    shrink = 1 + z**2 / n
    centre = (p + z**2 / (2 * n)) / shrink
    half = z / shrink * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # Rounding may leave the ends at -1e-17 or 1 + 1e-16 where they are exactly 0 and 1.
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _clopper_pearson(p: float, n: float, level: float) -> tuple[float, float]:
    tail, x = (1 - level) / 2, p * n
    low = 0.0 if x <= 0 else float(special.betaincinv(x, n - x + 1, tail))
    high = 1.0 if x >= n else float(special.betaincinv(x + 1, n - x, 1 - tail))
    return low, high
