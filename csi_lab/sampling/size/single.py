"""How many interviews for one mean or one share, with a wanted margin of error."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import numpy as np

from csi_lab.percent import percent
from csi_lab.sampling.size.sample_size import (
    NORMAL,
    SampleSize,
    field_problems,
    is_number,
    margin_of,
    not_positive,
    not_share,
    planned,
    quantile,
    refuse,
)

ProportionMethod = Literal["wald", "wilson"]
PROPORTION_METHODS = ("wald", "wilson")

# Below this many expected cases of either kind Wald's interval should not be trusted (Cochran 1977, section 3.6, asks
# for more when p is far from one half).
FEWEST_EXPECTED = 5


def mean(
    margin: float,
    sd: float,
    *,
    level: float = 0.95,
    deff: float = 1.0,
    response_rate: float = 1.0,
    population: int | None = None,
) -> SampleSize:
    r"""Sample size for a mean with a wanted margin of error.

    .. math:: n_0 = \left(\frac{z s}{d}\right)^2, \qquad n = \frac{n_0 D}{1 + (n_0 D - 1)/N}

    with D the design effect and N the population.

    Parameters
    ----------
    margin
        Half width d of the interval, in units of the answers.
    sd
        Standard deviation s of the answers in the population (divisor N).
    level
        Confidence level.
    deff
        Design effect: variance under the design over that of a simple random sample of the same size; see
        :func:`csi_lab.sampling.size.design_effect` for a plan's.
    response_rate
        Share of issued addresses that give a completed interview.
    population
        Size N of the population; ``None``: very large.

    Returns
    -------
    SampleSize

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Notes
    -----
    z is the normal quantile; for n below about 30 Student's t needs slightly more, and a remark says so. At least 2
    interviews are planned, without which there is no interval.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling Techniques (3rd ed.), ch. 4. Wiley.

    Examples
    --------
    >>> print(mean(2, 15))
    mean: n = 217 completed interviews (exact 216.08)
      margin 2; sd 15; level 95%
    >>> round(mean(2, 15).at(250), 2)
    1.86
    """
    refuse(
        "size of a sample for a mean",
        not_positive("margin", margin),
        not_positive("sd", sd),
        not_share("level", level),
        *field_problems(deff, response_rate, population),
    )
    z = quantile(level)
    return planned(
        "mean",
        (z * sd / margin) ** 2,
        partial(margin_of, z * sd),
        aim="margin",
        target=margin,
        axis=f"margin: half width of the {percent(level)} interval",
        assumptions={"margin": f"{margin:g}", "sd": f"{sd:g}", "level": f"{percent(level)}"},
        deff=deff,
        response_rate=response_rate,
        population=population,
        approximation=NORMAL,
    )


def proportion(
    margin: float,
    p: float = 0.5,
    *,
    method: ProportionMethod = "wald",
    level: float = 0.95,
    deff: float = 1.0,
    response_rate: float = 1.0,
    population: int | None = None,
) -> SampleSize:
    r"""Sample size for a share with a wanted margin of error.

    Wald: :math:`n_0 = z^2 p q / d^2`. Wilson: the n at which the interval's half width

    .. math:: \frac{z}{1 + z^2/n} \sqrt{\frac{p q}{n} + \frac{z^2}{4 n^2}} = d .

    Parameters
    ----------
    margin
        Half width d of the interval, as a share (0.05: five percentage points).
    p
        Share expected; 0.5 is the least favourable for Wald's interval.
    method
        Interval that the survey will report.
    level, deff, response_rate, population
        As in :func:`mean`.

    Returns
    -------
    SampleSize

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling Techniques (3rd ed.), ch. 4. Wiley.
    .. [2] Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the
       American Statistical Association, 22, 209-212.

    Examples
    --------
    >>> [proportion(d).n for d in (0.10, 0.05, 0.03)]
    [97, 385, 1068]
    >>> proportion(0.05, population=2000).n, proportion(0.05, method="wilson").n
    (323, 381)
    """
    refuse(
        "size of a sample for a proportion",
        "" if is_number(margin) and 0 < margin < 0.5 else f"margin={margin!r} must lie between 0 and 0.5 (a share)",
        not_share("p", p),
        "" if method in PROPORTION_METHODS else f"method={method!r} is unknown; use one of {list(PROPORTION_METHODS)}",
        not_share("level", level),
        *field_problems(deff, response_rate, population),
    )
    z = quantile(level)
    if method == "wald":
        n0, achieved = z**2 * p * (1 - p) / margin**2, partial(margin_of, z * math.sqrt(p * (1 - p)))
    else:
        # The half width squared, times n^2: a quadratic in n with one positive root because d < 1/2.
        a, b, c = margin**2, 2 * margin**2 * z**2 - z**2 * p * (1 - p), (margin**2 - 0.25) * z**4
        n0, achieved = (-b + math.sqrt(b**2 - 4 * a * c)) / (2 * a), partial(_wilson_margin, p, z)
    return planned(
        "proportion",
        n0,
        achieved,
        aim="margin",
        target=margin,
        axis=f"margin: half width of the {percent(level)} interval, as a share",
        assumptions={"margin": f"{margin:g}", "p": f"{p:g}", "interval": f"{method}, level {percent(level)}"},
        deff=deff,
        response_rate=response_rate,
        population=population,
        remarks=_rare(n0, p) if method == "wald" else (),
        least=1,
    )


def relative_error(
    error: float,
    p: float,
    *,
    level: float = 0.95,
    deff: float = 1.0,
    response_rate: float = 1.0,
    population: int | None = None,
) -> SampleSize:
    r"""Sample size for a share whose margin is a given fraction of the share itself.

    .. math:: n_0 = \frac{z^2 q}{r^2 p}

    Parameters
    ----------
    error
        Wanted half width as a fraction r of the share (0.2: a share of 5 % is known to plus or minus 1 %).
    p
        Share expected.
    level, deff, response_rate, population
        As in :func:`mean`.

    Returns
    -------
    SampleSize

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling Techniques (3rd ed.), section 4.4. Wiley.

    Examples
    --------
    >>> relative_error(0.2, 0.05).n
    1825
    """
    refuse(
        "size of a sample for a relative error",
        not_positive("error", error),
        not_share("p", p),
        not_share("level", level),
        *field_problems(deff, response_rate, population),
    )
    z = quantile(level)
    n0 = z**2 * (1 - p) / (error**2 * p)
    return planned(
        "proportion, relative error",
        n0,
        partial(margin_of, z * math.sqrt((1 - p) / p)),
        aim="margin",
        target=error,
        axis=f"margin as a fraction of the share ({percent(level)} interval)",
        assumptions={"relative margin": f"{error:g}", "p": f"{p:g}", "level": f"{percent(level)}"},
        deff=deff,
        response_rate=response_rate,
        population=population,
        remarks=_rare(n0, p),
        least=1,
    )


def _wilson_margin(p: float, z: float, n: np.ndarray) -> np.ndarray:
    n = np.asarray(n, dtype=float)
    return z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))


def _rare(n0: float, p: float) -> tuple[str, ...]:
    """A remark when a sample of n0 would hold too few cases for Wald's interval."""
    expected = n0 * min(p, 1 - p)
    if expected >= FEWEST_EXPECTED:
        return ()
    return (f"only {expected:.1f} cases of the rarer kind are expected: Wald's interval will not hold its level",)
