"""From completed interviews to addresses, to reported segments, and to a pilot that meets the rare problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from csi_lab.errors import SpecError
from csi_lab.percent import percent
from csi_lab.sampling.size.sample_size import (
    FEW,
    NORMAL,
    SampleSize,
    effective_size,
    field_problems,
    is_number,
    net_size,
    not_positive,
    not_share,
    planned,
    quantile,
    refuse,
    rounded_up,
)


def issued(
    n: float, *, deff: float = 1.0, response_rate: float = 1.0, eligibility: float = 1.0, population: int | None = None
) -> SampleSize:
    r"""Addresses to issue for a sample that is worth ``n`` interviews of a simple random sample.

    .. math:: n_{net} = n D, \qquad n_{issued} = \frac{n_{net}}{r\, e}

    Parameters
    ----------
    n
        Size that simple random sampling would need, rounded or not.
    deff, response_rate, population
        As in :func:`csi_lab.sampling.size.mean`.
    eligibility
        Share e of issued addresses that belong to the target population (working numbers, customers of the firm).

    Returns
    -------
    SampleSize
        ``n`` net and ``issued``; the aim is the effective size.

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    References
    ----------
    .. [1] Kish, L. (1965). Survey Sampling, ch. 8. Wiley.

    Examples
    --------
    >>> found = issued(384.15, deff=1.5, response_rate=0.30)
    >>> found.n, found.issued
    (577, 1921)
    """
    refuse(
        "addresses to issue",
        not_positive("n", n),
        not_share("eligibility", eligibility, one=True),
        *field_problems(deff, response_rate, population),
    )
    words = {"effective size": f"{n:g}"}
    if eligibility != 1:
        words["response rate"] = f"{response_rate:.4g} of the eligible addresses, which are {eligibility:.4g} of all"
    return planned(
        "fieldwork",
        n,
        _itself,
        aim="effective",
        target=n,
        axis="effective size, interviews of a simple random sample",
        assumptions=words,
        deff=deff,
        response_rate=response_rate * eligibility,
        population=population,
        least=1,
    )


def domains(
    margin: float,
    sd: float | Mapping[str, float],
    shares: Mapping[str, float],
    *,
    level: float = 0.95,
    deff: float = 1.0,
    response_rate: float | Mapping[str, float] = 1.0,
    population: int | None = None,
) -> SampleSize:
    r"""Sample size when every reported segment must have the wanted margin.

    Each domain needs the n of :func:`csi_lab.sampling.size.mean`; proportional allocation would need
    :math:`\max_g n_g / W_g` in all.

    Parameters
    ----------
    margin
        Half width of each domain's interval, in units of the answers.
    sd
        Standard deviation, one for all or one per domain (a mapping or a Series); :math:`\sqrt{pq}` for a share p.
    shares
        Domain to its share W of the population, a mapping or a Series such as
        ``register["region"].value_counts(normalize=True)``; they add up to 1.
    level, deff
        As in :func:`csi_lab.sampling.size.mean`; the design effect holds within each domain.
    response_rate
        One for all, or one per domain.
    population
        Size of the whole population; each domain has its share of it.

    Returns
    -------
    SampleSize
        ``n`` is the total; ``parts`` has ``share, n, exact, issued, proportional`` per domain, where ``proportional``
        is what proportional allocation would take so that the neediest domain has its n.

    Raises
    ------
    SpecError
        If a setting is out of its range, shares do not add up to 1, or a mapping lacks a domain; all are named.

    Notes
    -----
    Domains of equal size in the sample and unequal size in the population need weights when the whole is reported; the
    remark gives the margin of the whole.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling Techniques (3rd ed.), sections 2.12 and 5.5. Wiley.

    Examples
    --------
    >>> found = domains(2, 15, {"city": 0.6, "town": 0.3, "village": 0.1})
    >>> found.n, found.parts["n"].to_dict(), int(found.parts["proportional"].sum())
    (651, {'city': 217, 'town': 217, 'village': 217}, 2163)
    """
    import pandas as pd

    if not hasattr(shares, "keys") or not len(shares):
        raise SpecError(f"shares={shares!r} must map each domain to its share of the population")
    shares = dict(shares)
    names = list(shares)
    sds, rates = _by_domain(sd, names), _by_domain(response_rate, names)
    lacking = [
        f"{what} lacks the domains {[d for d in names if d not in given]}"
        for what, given in (("sd", sds), ("response_rate", rates))
        if not set(names) <= set(given)
    ]
    unknown = [
        f"{what} names domains without a share: {[d for d in given if d not in shares]}"
        for what, given in (("sd", sds), ("response_rate", rates))
        if not set(given) <= set(names)
    ]
    numbers = all(is_number(w) and w > 0 for w in shares.values())
    total = sum(shares.values()) if numbers else math.nan
    refuse(
        "size of domains",
        not_positive("margin", margin),
        not_share("level", level),
        *field_problems(deff, population=population),
        *lacking,
        *unknown,
        *(not_positive(f"sd of {d!r}", sds[d]) for d in names if d in sds),
        *(not_share(f"response_rate of {d!r}", rates[d], one=True) for d in names if d in rates),
        *(not_positive(f"share of {d!r}", shares[d]) for d in names),
        f"the shares add up to {total:g}; they must add up to 1" if numbers and abs(total - 1) > 1e-6 else "",
    )
    small = [] if population is None else [d for d in names if population * shares[d] < 2]
    refuse(
        "size of domains", f"domains of fewer than two units in a population of {population}: {small}" if small else ""
    )
    z = quantile(level)
    share = np.array([float(shares[d]) for d in names])
    spread = np.array([float(sds[d]) for d in names])
    sizes = [None] * len(names) if population is None else list(population * share)
    exact = np.array([net_size((z * s / margin) ** 2, deff, size) for s, size in zip(spread, sizes, strict=True)])
    # An interval needs two interviews in every domain.
    needed = np.where([rounded_up(value) < 2 for value in exact], 2.0, exact)
    n = np.array([rounded_up(value) for value in needed])
    addresses = np.array([rounded_up(value / rates[d]) for d, value in zip(names, needed, strict=True)])
    proportional = np.array([rounded_up(w * (exact / share).max()) for w in share])
    parts = pd.DataFrame(
        {"share": share, "n": n, "exact": exact, "issued": addresses, "proportional": proportional},
        index=pd.Index(names, name="domain"),
    )
    achieved = partial(_worst_margin, n / n.sum(), z * spread, deff, sizes)
    whole = math.sqrt(float((share**2 * _margins(n.astype(float), z * spread, deff, sizes) ** 2).sum()))
    words = {"margin": f"{margin:g} in each of {len(names)} domains", "level": f"{percent(level)}"}
    words["sd"] = f"{spread[0]:g}" if np.ptp(spread) == 0 else f"{spread.min():g} to {spread.max():g}"
    if deff != 1:
        words["design effect"] = f"{deff:g}"
    if population is not None:
        words["population"] = f"{population:,}"
    if set(rates.values()) != {1.0}:
        words["response rate"] = ", ".join(f"{rate:.4g}" for rate in sorted(set(rates.values())))
    short = [] if population is None else [d for d, a, size in zip(names, addresses, sizes, strict=True) if a > size]
    remarks = [
        f"proportional allocation would need {proportional.sum():,} in all",
        f"the weighted mean of the whole then has a margin of {whole:.3g}",
    ]
    raised = [d for d, value, least in zip(names, exact, needed, strict=True) if value < least]
    if raised:
        remarks.append(f"raised to the 2 interviews that an interval needs: {raised}")
    if n.min() < FEW:
        remarks.append(f"{n.min()} in a domain are few for {NORMAL}: plan for some more, or simulate")
    if short:
        remarks.append(f"more addresses are needed than there are in {short}: the aim is out of reach there")
    return SampleSize(
        what="mean of every domain",
        n=int(n.sum()),
        exact=float(exact.sum()),
        issued=int(addresses.sum()),
        aim="margin",
        target=float(margin),
        axis=f"widest margin of a domain ({percent(level)} interval)",
        assumptions=words,
        achieved=achieved,
        least=len(names),
        population=population,
        remarks=tuple(remarks),
        parts=parts,
    )


def pilot(prevalence: float, *, chance: float = 0.95, deff: float = 1.0, response_rate: float = 1.0) -> SampleSize:
    r"""Pilot interviews that show a problem at least once.

    .. math:: n = \frac{\ln(1 - c)}{\ln(1 - p)}

    Parameters
    ----------
    prevalence
        Share p of respondents who would meet the problem (an unclear question, a broken skip).
    chance
        Chance c of seeing it at least once.
    deff, response_rate
        As in :func:`csi_lab.sampling.size.mean`.

    Returns
    -------
    SampleSize

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    References
    ----------
    .. [1] Viechtbauer, W., Smits, L., Kotz, D., et al. (2015). A simple formula for the calculation of sample size in
       pilot studies. Journal of Clinical Epidemiology, 68(11), 1375-1379.

    Examples
    --------
    >>> pilot(0.05).n, pilot(0.10).n
    (59, 29)
    """
    refuse(
        "size of a pilot",
        not_share("prevalence", prevalence),
        not_share("chance", chance),
        *field_problems(deff, response_rate),
    )
    return planned(
        "pilot",
        math.log1p(-chance) / math.log1p(-prevalence),
        partial(_seen, prevalence),
        aim="chance",
        target=chance,
        axis="chance of seeing the problem at least once",
        assumptions={"prevalence": f"{prevalence:g}", "chance": f"{chance:.10g}"},
        deff=deff,
        response_rate=response_rate,
        least=1,
    )


def _by_domain(given: Any, names: list[str]) -> dict[str, Any]:
    """What was given per domain (a mapping, a Series), or once for all of them."""
    return dict(given) if hasattr(given, "keys") else dict.fromkeys(names, given)


def _itself(n: np.ndarray) -> np.ndarray:
    return n


def _seen(prevalence: float, n: np.ndarray) -> np.ndarray:
    return -np.expm1(np.asarray(n, dtype=float) * math.log1p(-prevalence))


def _margins(n: np.ndarray, spread: np.ndarray, deff: float, sizes: list[float | None]) -> np.ndarray:
    """Margins ``(..., g)`` of domains with n ``(..., g)`` interviews each."""
    effective = [effective_size(n[..., g], deff, size) for g, size in enumerate(sizes)]
    return spread / np.sqrt(np.stack(effective, axis=-1))


def _worst_margin(
    part: np.ndarray, spread: np.ndarray, deff: float, sizes: list[float | None], n: np.ndarray
) -> np.ndarray:
    """The widest margin when n interviews in all are spread as ``part`` says."""
    return _margins(np.asarray(n, dtype=float)[..., None] * part, spread, deff, sizes).max(axis=-1)
