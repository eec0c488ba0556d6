"""How many respondents, or rated cases, for a reliability that is known well enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy import special

from csi_lab.errors import SpecError
from csi_lab.percent import percent
from csi_lab.sampling.size.sample_size import (
    SampleSize,
    field_problems,
    is_number,
    not_positive,
    not_share,
    not_whole,
    planned,
    quantile,
    refuse,
)
from csi_lab.sampling.size.single import FEWEST_EXPECTED

# Sizes are searched up to here.
LARGEST = 1e9
AT_ONCE = "the smallest sample for which it can be computed reaches the aim: is the aim what was meant?"


def reliability_width(
    alpha: float,
    items: int,
    width: float,
    *,
    level: float = 0.95,
    deff: float = 1.0,
    response_rate: float = 1.0,
) -> SampleSize:
    r"""Respondents needed for Feldt's interval of Cronbach's alpha to have a wanted width.

    .. math:: (1 - \alpha)\,\left(F_{1-\gamma/2} - F_{\gamma/2}\right) = w, \qquad F \text{ with } n - 1,\ (n-1)(k-1)

    degrees of freedom and :math:`\gamma` = 1 - level.

    Parameters
    ----------
    alpha
        Cronbach's alpha expected, below 1.
    items
        Number k of items of the scale, 2 or more.
    width
        Wanted width w of the interval, end to end.
    level, deff, response_rate
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
    The interval is that of :func:`csi_lab.reliability.cronbach_alpha` when the estimate equals the value expected.

    References
    ----------
    .. [1] Feldt, L. S., Woodruff, D. J., & Salih, F. A. (1987). Statistical inference for coefficient alpha. Applied
       Psychological Measurement, 11(1), 93-103.

    Examples
    --------
    >>> print(reliability_width(0.80, 5, 0.10))
    Cronbach's alpha: n = 156 completed interviews (exact 155.83)
      expected 0.8; items 5; width 0.1; level 95%
    """
    refuse(
        "size for a reliability",
        "" if is_number(alpha) and alpha < 1 else f"alpha={alpha!r} must be a number below 1",
        not_whole("items", items, 2),
        not_positive("width", width),
        not_share("level", level),
        *field_problems(deff, response_rate),
    )
    achieved = partial(_feldt_width, alpha, items, level)
    n0 = smallest(achieved, width, 2.0, falls=True)
    return planned(
        "Cronbach's alpha",
        n0,
        achieved,
        aim="width",
        target=width,
        axis=f"width of the {percent(level)} interval of alpha",
        assumptions={
            "expected": f"{alpha:g}",
            "items": f"{int(items)}",
            "width": f"{width:g}",
            "level": f"{percent(level)}",
        },
        deff=deff,
        response_rate=response_rate,
        least=math.ceil(2 * deff),
        remarks=(AT_ONCE,) if n0 <= 2 else (),
    )


def bonett(
    low: float,
    high: float,
    items: int,
    *,
    level: float = 0.95,
    deff: float = 1.0,
    response_rate: float = 1.0,
) -> SampleSize:
    r"""Respondents needed for an interval of Cronbach's alpha with wanted ends, by Bonett's closed formula.

    .. math:: n = \frac{8k}{k - 1} \left(\frac{z}{\ln e}\right)^2 + 2, \qquad e = \frac{1 - low}{1 - high}

    Parameters
    ----------
    low, high
        Ends of the interval that is wanted, both below 1.
    items
        Number k of items of the scale, 2 or more.
    level, deff, response_rate
        As in :func:`csi_lab.sampling.size.mean`.

    Returns
    -------
    SampleSize
        The aim is the ratio e.

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Notes
    -----
    It follows from the variance 2k/((k - 1)(n - 2)) of ln(1 - estimate); :func:`reliability_width` uses the F
    distribution instead and comes close to it.

    References
    ----------
    .. [1] Bonett, D. G. (2002). Sample size requirements for testing and estimating coefficient alpha. Journal of
       Educational and Behavioral Statistics, 27(4), 335-340.

    Examples
    --------
    >>> bonett(0.75, 0.85, 5).n
    150
    """
    ends = [f"{name}={v!r} must be a number below 1" for name, v in (("low", low), ("high", high))
            if not (is_number(v) and v < 1)]  # fmt: skip
    refuse(
        "size for a reliability",
        *ends,
        f"low={low!r} must lie below high={high!r}" if not ends and low >= high else "",
        not_whole("items", items, 2),
        not_share("level", level),
        *field_problems(deff, response_rate),
    )
    z, ratio = quantile(level), (1 - low) / (1 - high)
    factor = 8 * items / (items - 1)
    return planned(
        "Cronbach's alpha (Bonett)",
        factor * (z / math.log(ratio)) ** 2 + 2,
        partial(_bonett_ratio, z * math.sqrt(factor)),
        aim="ratio",
        target=ratio,
        axis="ratio of the interval's ends, (1 - low) / (1 - high)",
        assumptions={"interval": f"{low:g} to {high:g}", "items": f"{int(items)}", "level": f"{percent(level)}"},
        deff=deff,
        response_rate=response_rate,
        least=math.ceil(3 * deff),
    )


def kappa(
    expected: float,
    shares: Sequence[float],
    *,
    width: float | None = None,
    se: float | None = None,
    level: float = 0.95,
    response_rate: float = 1.0,
) -> SampleSize:
    r"""Cases that two raters must both rate for Cohen's kappa to be known well enough.

    With :math:`p_{ii} = p_i^2 + \kappa p_i (1 - p_i)` and :math:`p_{ij} = p_i p_j (1 - \kappa)`, that is, equal margins
    and chance disagreement, the large-sample variance is

    .. math:: n \operatorname{Var} = \frac{\sum_i p_{ii} [1 - 2 p_i (1 - \kappa)]^2
        + (1 - \kappa)^2 \sum_{i \ne j} p_{ij} (p_i + p_j)^2 - [\kappa - p_e (1 - \kappa)]^2}{(1 - p_e)^2}

    with :math:`p_e = \sum p_i^2`.

    Parameters
    ----------
    expected
        Kappa expected, from 0 to below 1.
    shares
        Share of each category, two or more, adding up to 1; both raters are taken to use them alike.
    width
        Wanted width of the normal interval, end to end; or
    se
        Wanted standard error. Exactly one of the two.
    level
        Confidence level.
    response_rate
        Share of the cases given to the raters that both of them rate; ``issued`` is how many to give them.

    Returns
    -------
    SampleSize
        ``n`` counts cases rated by both, 2 at least; remarks say where they, or those of the rarest category, are few
        for the large-sample variance.

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    References
    ----------
    .. [1] Fleiss, J. L., Cohen, J., & Everitt, B. S. (1969). Large sample standard errors of kappa and weighted kappa.
       Psychological Bulletin, 72(5), 323-327.
    .. [2] Flack, V. F., Afifi, A. A., Lachenbruch, P. A., & Schouten, H. J. A. (1988). Sample size determinations for
       the two rater kappa statistic. Psychometrika, 53(3), 321-325.

    Examples
    --------
    >>> print(kappa(0.70, [0.5, 0.5], width=0.20))
    Cohen's kappa: n = 196 cases rated by both (exact 195.91)
      expected 0.7; shares 0.5, 0.5; width 0.2; level 95%
    """
    p = _category_shares(shares)
    refuse(
        "size for kappa",
        "" if is_number(expected) and 0 <= expected < 1 else f"expected={expected!r} must be from 0 to below 1",
        not_share("level", level),
        "give either width= or se=, one of them" if (width is None) == (se is None) else "",
        "" if width is None else not_positive("width", width),
        "" if se is None else not_positive("se", se),
        *field_problems(response_rate=response_rate),
    )
    spread = math.sqrt(float(kappa_variance(expected, p)))
    aim, target, factor = ("width", width, 2 * quantile(level)) if width is not None else ("se", se, 1.0)
    assert target is not None
    words = {"expected": f"{expected:g}", "shares": ", ".join(f"{share:g}" for share in p), aim: f"{target:g}"}
    if aim == "width":
        words["level"] = f"{percent(level)}"
    n0 = (factor * spread / target) ** 2
    rarest = n0 * float(p.min())
    return planned(
        "Cohen's kappa",
        n0,
        partial(_root_law, factor * spread),
        aim=aim,
        target=target,
        axis=f"width of the {percent(level)} interval of kappa" if aim == "width" else "standard error of kappa",
        assumptions=words,
        response_rate=response_rate,
        unit="cases rated by both",
        remarks=()
        if rarest >= FEWEST_EXPECTED
        else (f"only {rarest:.1f} cases of the rarest category are expected: the interval will not hold its level",),
        approximation="the large-sample variance of kappa",
    )


def kappa_variance(kappa: float, shares: np.ndarray) -> np.ndarray:
    """Large-sample variance of Cohen's kappa times n, at equal margins ``(..., q)``.

    Examples
    --------
    >>> round(float(kappa_variance(0.4, np.array([0.5, 0.5]))), 4)  # 1 - kappa^2
    0.84
    """
    p = np.asarray(shares, dtype=float)
    chance = (p**2).sum(axis=-1)
    agree = p**2 + kappa * p * (1 - p)
    same = (agree * (1 - 2 * p * (1 - kappa)) ** 2).sum(axis=-1)
    cell = p[..., :, None] * p[..., None, :] * (1 - kappa)
    both = (p[..., :, None] + p[..., None, :]) ** 2
    off = (cell * both).sum(axis=(-2, -1)) - (p**2 * (1 - kappa) * 4 * p**2).sum(axis=-1)
    rest = (kappa - chance * (1 - kappa)) ** 2
    return (same + (1 - kappa) ** 2 * off - rest) / (1 - chance) ** 2


def smallest(achieved: Callable[[np.ndarray], np.ndarray], target: float, low: float, *, falls: bool) -> float:
    """The size, a real number, from which a monotone curve meets its target; ``low`` when it does so at once."""
    sign = -1.0 if falls else 1.0

    def short(n: float) -> float:
        return sign * (float(achieved(np.asarray(n))) - target)

    if short(low) >= 0:
        return low
    high = 2 * low
    while short(high) < 0:
        high *= 2
        if high > LARGEST:
            raise SpecError(f"no sample below {LARGEST:.0e} reaches {target:g}; ask for less")
    from scipy.optimize import brentq

    return float(brentq(short, high / 2, high, xtol=1e-10, rtol=1e-13))


def _category_shares(shares: Sequence[float]) -> np.ndarray:
    try:
        p = np.asarray(list(shares), dtype=float)
    except (TypeError, ValueError):
        raise SpecError(f"shares={shares!r} must be a share of each category, e.g. [0.6, 0.4]") from None
    if p.ndim != 1 or len(p) < 2 or not np.isfinite(p).all() or (p <= 0).any() or abs(p.sum() - 1) > 1e-6:
        raise SpecError(f"shares={shares!r} must be two or more numbers above 0 that add up to 1")
    return p


def _feldt_width(alpha: float, items: int, level: float, n: np.ndarray) -> np.ndarray:
    df1 = np.asarray(n, dtype=float) - 1
    df2 = df1 * (items - 1)
    upper, lower = (special.fdtri(df1, df2, tail) for tail in (0.5 + level / 2, 0.5 - level / 2))
    return (1 - alpha) * (upper - lower)


def _bonett_ratio(spread: float, n: np.ndarray) -> np.ndarray:
    return np.exp(spread / np.sqrt(np.asarray(n, dtype=float) - 2))


def _root_law(spread: float, n: np.ndarray) -> np.ndarray:
    return spread / np.sqrt(np.asarray(n, dtype=float))
