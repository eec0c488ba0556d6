"""How many respondents for a structural model: rules for PLS, power of the tests of RMSEA."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import SpecError
from csi_lab.model import PathModel
from csi_lab.sampling.size.agreement import AT_ONCE, smallest
from csi_lab.sampling.size.sample_size import (
    INK,
    Achieved,
    SampleSize,
    curve_picture,
    field_problems,
    is_number,
    not_positive,
    not_share,
    not_whole,
    planned,
    power_problems,
    refuse,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# MacCallum, Browne & Sugawara (1996): RMSEA under the null hypothesis and under the alternative.
RMSEA_TESTS = {"close": (0.05, 0.08), "not-close": (0.05, 0.01), "exact": (0.0, 0.05)}
# Barclay, Higgins & Thompson (1995), Technology Studies 2, 285-309.
TIMES = 10


@dataclass(frozen=True, eq=False)
class Power:
    """Chance that a test rejects at a given sample size.

    Attributes
    ----------
    what
        The test.
    value
        Its power.
    n
        Sample size.
    assumptions
        What the number rests on: name to words.
    achieved
        Sample size to power.
    least
        Smallest size at which power can be computed.
    """

    what: str
    value: float
    n: int
    assumptions: Mapping[str, str]
    achieved: Achieved
    least: int = 2

    @property
    def curve(self) -> pd.DataFrame:
        """Power at sizes from a quarter to four times ``n``."""
        import pandas as pd

        sizes = np.geomspace(max(self.least, self.n // 4), 4 * self.n, 61).round().astype(int)
        sizes = np.union1d(sizes, self.n)
        return pd.DataFrame({"power": self.achieved(sizes.astype(float))}, index=pd.Index(sizes, name="n"))

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        return pd.DataFrame({"power": [self.value], "n": [self.n]}, index=pd.Index([self.what], name="test"))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Power against the number of interviews."""
        ax = curve_picture(self.curve, "power of the test", "respondents, n", ax)
        ax.plot([self.n], [self.value], "o", color=INK)
        ax.annotate(
            f"{self.value:.3f} at n = {self.n:,}", (self.n, self.value), xytext=(8, -12), textcoords="offset points"
        )
        return ax

    def __str__(self) -> str:
        given = "; ".join(f"{name} {words}" for name, words in self.assumptions.items())
        # Below one, a power is not shown as one.
        shown = f"= {self.value:.3f}" if self.value < 0.9995 else "> 0.999"
        return f"{self.what}: power {shown} at n = {self.n:,}\n  {given}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "<p>" + "<br>".join(html.escape(line) for line in str(self).splitlines()) + "</p>"


def pls_ten_times(
    model: PathModel, *, times: float = TIMES, deff: float = 1.0, response_rate: float = 1.0
) -> SampleSize:
    """The ten-times rule of PLS: ten respondents per arrow into the construct with the most arrows.

    Arrows are paths from other constructs, or the items of a construct that they form (mode B).

    Parameters
    ----------
    model
        The path model.
    times
        Respondents per arrow.
    deff, response_rate
        As in :func:`csi_lab.sampling.size.mean`.

    Returns
    -------
    SampleSize
        The aim is the number of respondents per arrow.

    Raises
    ------
    SpecError
        If ``model`` is no path model or has no arrow, or a setting is out of its range.

    Notes
    -----
    A weak rule: it knows neither the size of the effects nor their reliability; see
    :func:`pls_inverse_square_root`.

    References
    ----------
    .. [1] Barclay, D., Higgins, C., & Thompson, R. (1995). The partial least squares (PLS) approach to causal modeling.
       Technology Studies, 2(2), 285-309.

    Examples
    --------
    >>> from csi_lab import models
    >>> print(pls_ten_times(models["ECSI mobile"]))
    PLS, ten-times rule: n = 40 completed interviews (exact 40.00)
      arrows 4 into 'Satisfaction'; times 10
      a weak rule: it knows nothing of the size of the effects
    """
    if not isinstance(model, PathModel):
        raise SpecError(f"model must be a PathModel, got {type(model).__name__}; e.g. models['ECSI mobile']")
    refuse("ten-times rule", not_positive("times", times), *field_problems(deff, response_rate))
    arrows = {construct: len(model.paths.get(construct, ())) for construct in model.constructs}
    for construct, items in model.constructs.items():
        if model.modes[construct] == "B":
            arrows[construct] = max(arrows[construct], len(items))
    most = max(arrows.values())
    if most == 0:
        raise SpecError("the model has no arrows: neither paths nor constructs formed by their items (mode B)")
    where = [construct for construct, count in arrows.items() if count == most]
    return planned(
        "PLS, ten-times rule",
        times * most,
        partial(_per_arrow, most),
        aim="respondents per arrow",
        target=times,
        axis="respondents per arrow",
        assumptions={
            "arrows": f"{most} into {', '.join(repr(construct) for construct in where)}",
            "times": f"{times:g}",
        },
        deff=deff,
        response_rate=response_rate,
        remarks=("a weak rule: it knows nothing of the size of the effects",),
    )


def pls_inverse_square_root(
    path: float, *, alpha: float = 0.05, power: float = 0.80, deff: float = 1.0, response_rate: float = 1.0
) -> SampleSize:
    r"""Sample size for PLS by the inverse square root method.

    .. math:: n > \left(\frac{z_{1-\alpha} + z_{power}}{|b|}\right)^2

    Parameters
    ----------
    path
        Smallest path coefficient b, standardised, that must be found significant.
    alpha
        Significance level, one-sided. With power .80 the numerator is 2.123, 2.486 and 3.168 at .10, .05 and .01.
    power
        Wanted power, above ``alpha``.
    deff, response_rate
        As in :func:`csi_lab.sampling.size.mean`.

    Returns
    -------
    SampleSize

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Notes
    -----
    The method takes the standard error of every path as :math:`1/\sqrt n`, which errs on the safe side. The authors'
    gamma-exponential method gives a little less (146 in place of 160 at b = .197); it is not offered here.

    References
    ----------
    .. [1] Kock, N., & Hadaya, P. (2018). Minimum sample size estimation in PLS-SEM: the inverse square root and
       gamma-exponential methods. Information Systems Journal, 28(1), 227-261.

    Examples
    --------
    >>> pls_inverse_square_root(0.197).n
    160
    """
    refuse(
        "inverse square root method",
        f"path={path!r} must be a standardised coefficient between 0 and 1 in size"
        if not is_number(path) or not_share("path", abs(path))
        else "",
        *power_problems(alpha, power),
        *field_problems(deff, response_rate),
    )
    z = float(special.ndtri(1 - alpha))
    return planned(
        "PLS, inverse square root method",
        ((z + float(special.ndtri(power))) / path) ** 2,
        partial(_power_of_path, abs(path), z),
        aim="power",
        target=power,
        axis="power for the smallest path",
        assumptions={"smallest path": f"{path:g}", "alpha": f"{alpha:g}, one-sided", "power": f"{power:.10g}"},
        deff=deff,
        response_rate=response_rate,
    )


def rmsea_power(df: int, n: int, *, test: str | tuple[float, float] = "close", alpha: float = 0.05) -> Power:
    r"""Power of a test of model fit by RMSEA.

    .. math:: \lambda = (n - 1)\, df\, \varepsilon^2

    The statistic is noncentral chi-square with df degrees of freedom and noncentrality :math:`\lambda_0` under the null
    hypothesis, :math:`\lambda_1` under the alternative. Fit worse than the null is rejected above the upper quantile,
    fit better than the null below the lower one.

    Parameters
    ----------
    df
        Degrees of freedom of the model.
    n
        Sample size.
    test
        ``"close"`` (null .05, alternative .08), ``"not-close"`` (.05, .01), ``"exact"`` (0, .05), or a pair (null,
        alternative).
    alpha
        Significance level.

    Returns
    -------
    Power

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    References
    ----------
    .. [1] MacCallum, R. C., Browne, M. W., & Sugawara, H. M. (1996). Power analysis and determination of sample size
       for covariance structure modeling. Psychological Methods, 1(2), 130-149.

    Examples
    --------
    >>> print(rmsea_power(100, 200))
    test of close fit (RMSEA): power = 0.955 at n = 200
      df 100; null 0.05; alternative 0.08; alpha 0.05
    """
    null, alternative, name = _hypotheses(test)
    refuse("power of a test of RMSEA", not_whole("df", df, 1), not_whole("n", n, 2), not_share("alpha", alpha))
    achieved = partial(_rmsea, int(df), null, alternative, alpha)
    value = float(achieved(np.asarray(float(n))))
    return Power(name, value, int(n), _rmsea_words(df, null, alternative, alpha), achieved)


def rmsea_size(
    df: int,
    *,
    test: str | tuple[float, float] = "close",
    alpha: float = 0.05,
    power: float = 0.80,
    deff: float = 1.0,
    response_rate: float = 1.0,
) -> SampleSize:
    """Sample size at which a test of model fit by RMSEA has the wanted power.

    Parameters
    ----------
    df, test, alpha
        As in :func:`rmsea_power`.
    power
        Wanted power, above ``alpha``.
    deff, response_rate
        As in :func:`csi_lab.sampling.size.mean`. For a chi-square statistic it is a rule of thumb that a complex
        sample is worth n/deff independent respondents.

    Returns
    -------
    SampleSize

    Raises
    ------
    SpecError
        If a setting is out of its range, or the test cannot reach the power; all are named.

    References
    ----------
    .. [1] MacCallum, R. C., Browne, M. W., & Sugawara, H. M. (1996). Power analysis and determination of sample size
       for covariance structure modeling. Psychological Methods, 1(2), 130-149.

    Examples
    --------
    >>> rmsea_size(100).n, rmsea_size(100, test="not-close").n
    (132, 178)
    """
    null, alternative, name = _hypotheses(test)
    refuse(
        "size for a test of RMSEA",
        not_whole("df", df, 1),
        *power_problems(alpha, power),
        *field_problems(deff, response_rate),
    )
    achieved = partial(_rmsea, int(df), null, alternative, alpha)
    n0 = smallest(achieved, power, 2.0, falls=False)
    return planned(
        name,
        n0,
        achieved,
        aim="power",
        target=power,
        axis="power of the test",
        assumptions={**_rmsea_words(df, null, alternative, alpha), "power": f"{power:.10g}"},
        deff=deff,
        response_rate=response_rate,
        least=math.ceil(2 * deff),
        remarks=(AT_ONCE,) if n0 <= 2 else (),
    )


def _hypotheses(test: Any) -> tuple[float, float, str]:
    """RMSEA under both hypotheses, and the name of the test."""
    if isinstance(test, str):
        if test not in RMSEA_TESTS:
            raise SpecError(f"test={test!r} is unknown; use one of {list(RMSEA_TESTS)} or a pair (null, alternative)")
        return *RMSEA_TESTS[test], f"test of {test} fit (RMSEA)"
    pair = isinstance(test, (tuple, list)) and len(test) == 2 and all(is_number(v) and v >= 0 for v in test)
    if not pair or test[0] == test[1]:
        raise SpecError(f"test={test!r} must be a pair (null, alternative) of two different RMSEA, 0 or more")
    return float(test[0]), float(test[1]), "test of fit (RMSEA)"


def _rmsea_words(df: int, null: float, alternative: float, alpha: float) -> dict[str, str]:
    return {"df": f"{int(df)}", "null": f"{null:g}", "alternative": f"{alternative:g}", "alpha": f"{alpha:g}"}


def _rmsea(df: int, null: float, alternative: float, alpha: float, n: np.ndarray) -> np.ndarray:
    """Power at sizes ``n``; a noncentrality of zero is the central distribution."""
    from scipy.stats import ncx2

    per_unit = (np.asarray(n, dtype=float) - 1) * df
    null_shift, shift = per_unit * null**2, per_unit * alternative**2
    if alternative > null:
        return ncx2.sf(ncx2.isf(alpha, df, null_shift), df, shift)
    return ncx2.cdf(ncx2.ppf(alpha, df, null_shift), df, shift)


def _power_of_path(path: float, z: float, n: np.ndarray) -> np.ndarray:
    return special.ndtr(np.sqrt(np.asarray(n, dtype=float)) * path - z)


def _per_arrow(arrows: int, n: np.ndarray) -> np.ndarray:
    return np.asarray(n, dtype=float) / arrows
