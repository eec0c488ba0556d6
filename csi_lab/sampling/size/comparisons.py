"""How many interviews to tell two groups, or two waves, apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np
from scipy import special

from csi_lab.sampling.size.sample_size import (
    NORMAL,
    SampleSize,
    field_problems,
    is_number,
    not_positive,
    not_share,
    planned,
    power_problems,
    refuse,
)

Sides = Literal[1, 2]


def two_means(
    difference: float,
    sd: float,
    *,
    alpha: float = 0.05,
    power: float = 0.80,
    sides: Sides = 2,
    deff: float = 1.0,
    response_rate: float = 1.0,
    population: int | None = None,
) -> SampleSize:
    r"""Sample size per group to detect a difference of two means.

    .. math:: n = \frac{2 (z_\alpha + z_\beta)^2 s^2}{d^2}

    Parameters
    ----------
    difference
        Difference d to be detected, in units of the answers (index points).
    sd
        Standard deviation s within each group.
    alpha
        Significance level of the test.
    power
        Chance of detecting the difference when it exists.
    sides
        2: a difference in either direction counts; 1: in the expected one only.
    deff, response_rate
        As in :func:`csi_lab.sampling.size.mean`.
    population
        Units in the population of each group; ``None``: very many. With it the test is whether these two finite
        populations differ.

    Returns
    -------
    SampleSize
        ``n`` and ``issued`` are per group.

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Notes
    -----
    Normal quantiles; the t test of small groups needs about one more in each, and a remark says so. At least 2 per
    group are planned, without which there is no test.

    References
    ----------
    .. [1] Fleiss, J. L., Levin, B., & Paik, M. C. (2003). Statistical Methods for Rates and Proportions (3rd ed.),
       ch. 4. Wiley.

    Examples
    --------
    >>> print(two_means(2, 15))
    difference of two means: n = 883 completed interviews in each of 2 groups (exact 883.00)
      difference 2; sd 15; alpha 0.05, two-sided; power 0.8
    """
    refuse(
        "size of two groups",
        not_positive("difference", difference),
        not_positive("sd", sd),
        *power_problems(alpha, power, sides),
        *field_problems(deff, response_rate, population),
    )
    return _compared(
        "difference of two means",
        2 * (sd / difference) ** 2,
        {"difference": f"{difference:g}", "sd": f"{sd:g}"},
        alpha=alpha,
        power=power,
        sides=sides,
        deff=deff,
        response_rate=response_rate,
        population=population,
    )


def two_proportions(
    p1: float,
    p2: float,
    *,
    alpha: float = 0.05,
    power: float = 0.80,
    sides: Sides = 2,
    deff: float = 1.0,
    response_rate: float = 1.0,
    population: int | None = None,
) -> SampleSize:
    r"""Sample size per group to detect a difference of two shares.

    .. math:: n = \frac{\left(z_\alpha \sqrt{2 \bar p \bar q} + z_\beta \sqrt{p_1 q_1 + p_2 q_2}\right)^2}
        {(p_1 - p_2)^2}, \qquad \bar p = \frac{p_1 + p_2}{2}

    Parameters
    ----------
    p1, p2
        Shares in the two groups.
    alpha, power, sides, deff, response_rate, population
        As in :func:`two_means`.

    Returns
    -------
    SampleSize
        ``n`` and ``issued`` are per group.

    Raises
    ------
    SpecError
        If a setting is out of its range or the shares are equal; all are named.

    Notes
    -----
    Without correction for continuity. Agrees with ``power.prop.test`` of R 4.2.2 (see the tests).

    References
    ----------
    .. [1] Fleiss, J. L., Levin, B., & Paik, M. C. (2003). Statistical Methods for Rates and Proportions (3rd ed.),
       ch. 4. Wiley.

    Examples
    --------
    >>> two_proportions(0.50, 0.75, power=0.90).n
    77
    """
    refuse(
        "size of two groups",
        not_share("p1", p1),
        not_share("p2", p2),
        f"p1 and p2 are both {p1!r}: there is no difference to detect" if p1 == p2 else "",
        *power_problems(alpha, power, sides),
        *field_problems(deff, response_rate, population),
    )
    mid, apart = (p1 + p2) / 2, p1 * (1 - p1) + p2 * (1 - p2)
    null, own = math.sqrt(2 * mid * (1 - mid)), math.sqrt(apart)
    z = float(special.ndtri(1 - alpha / sides))
    n0 = ((z * null + float(special.ndtri(power)) * own) / (p1 - p2)) ** 2
    return planned(
        "difference of two proportions",
        n0,
        partial(_power_of_shares, abs(p1 - p2), null, own, z),
        aim="power",
        target=power,
        axis="power of the test",
        assumptions={"p1": f"{p1:g}", "p2": f"{p2:g}", **_test_words(alpha, power, sides)},
        deff=deff,
        response_rate=response_rate,
        population=population,
        groups=2,
        approximation="a normal approximation to shares",
    )


def overlapping_waves(
    difference: float,
    sd: float,
    *,
    overlap: float,
    correlation: float,
    alpha: float = 0.05,
    power: float = 0.80,
    sides: Sides = 2,
    deff: float = 1.0,
    response_rate: float = 1.0,
) -> SampleSize:
    r"""Sample size per wave to detect a change when part of the respondents are asked twice.

    .. math:: n = \frac{2 (z_\alpha + z_\beta)^2 s^2}{d^2} (1 - \rho\, o)

    Parameters
    ----------
    difference, sd
        Change to be detected and standard deviation in each wave.
    overlap
        Share o of a wave's respondents who are also in the other wave, 0 to 1.
    correlation
        Correlation of a respondent's two answers, above -1 and below 1.
    alpha, power, sides, deff, response_rate
        As in :func:`two_means`.

    Returns
    -------
    SampleSize
        ``n`` and ``issued`` are per wave.

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Notes
    -----
    The change is the plain difference of the two means. Weighting the panel part more (composite estimation) would gain
    a little over it. There is no ``population=``: the overlap of two waves from a small population changes its
    correction, which then depends on how the panel part was chosen.

    References
    ----------
    .. [1] Kish, L. (1965). Survey Sampling, section 12.4. Wiley.

    Examples
    --------
    >>> [overlapping_waves(2, 15, overlap=o, correlation=0.6).n for o in (0, 0.5, 1)]
    [883, 619, 354]
    """
    refuse(
        "size of two waves",
        not_positive("difference", difference),
        not_positive("sd", sd),
        "" if is_number(overlap) and 0 <= overlap <= 1 else f"overlap={overlap!r} must be a share from 0 to 1",
        ""
        if is_number(correlation) and -1 < correlation < 1
        else f"correlation={correlation!r} must lie between -1 and 1",
        *power_problems(alpha, power, sides),
        *field_problems(deff, response_rate),
    )
    return _compared(
        "change between two waves",
        2 * (sd / difference) ** 2 * (1 - correlation * overlap),
        {
            "difference": f"{difference:g}",
            "sd": f"{sd:g}",
            "overlap": f"{overlap:g}",
            "correlation": f"{correlation:g}",
        },
        alpha=alpha,
        power=power,
        sides=sides,
        deff=deff,
        response_rate=response_rate,
    )


def _compared(
    what: str,
    variance: float,
    words: Mapping[str, str],
    *,
    alpha: float,
    power: float,
    sides: Sides,
    deff: float,
    response_rate: float,
    population: int | None = None,
) -> SampleSize:
    """From n times the variance of the difference, in units of the squared difference."""
    z = float(special.ndtri(1 - alpha / sides))
    n0 = variance * (z + float(special.ndtri(power))) ** 2
    return planned(
        what,
        n0,
        partial(_power_of_means, variance, z),
        aim="power",
        target=power,
        axis="power of the test",
        assumptions={**words, **_test_words(alpha, power, sides)},
        deff=deff,
        response_rate=response_rate,
        population=population,
        groups=2,
        approximation=NORMAL,
    )


def _power_of_means(variance: float, z: float, n: np.ndarray) -> np.ndarray:
    return special.ndtr(np.sqrt(np.asarray(n, dtype=float) / variance) - z)


def _power_of_shares(difference: float, null: float, own: float, z: float, n: np.ndarray) -> np.ndarray:
    return special.ndtr((np.sqrt(np.asarray(n, dtype=float)) * difference - z * null) / own)


def _test_words(alpha: float, power: float, sides: int) -> dict[str, str]:
    return {"alpha": f"{alpha:g}, {'two' if sides == 2 else 'one'}-sided", "power": f"{power:.10g}"}
