"""Complaints arrive: on which day, from which customer, about what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.simulate.opinions import Opinions
from csi_lab.simulate.requirements import shares
from csi_lab.simulate.variates import category, chosen, weighted

YEAR = 365.25
MOST = 1_000_000  # cases, some 5 KB each: a rate mistyped by some zeros is refused before it fills the memory
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def daily_rates(parameters: Mapping[str, Any], customers: int) -> pd.Series:
    r"""Expected complaints of each day if every customer were of average satisfaction and without faults.

    Without the step, the burst, the campaign, repeats and serial claimants:

    .. math:: \lambda_d = N \frac{\text{rate}}{1000 \cdot 365.25}\; \text{weekday}_d\; \text{month}_d

    Parameters
    ----------
    parameters
        The section ``complaints`` of the truth.
    customers
        N, customers of the market.

    Returns
    -------
    pandas.Series
        One rate per day of the period.

    Raises
    ------
    SpecError
        If the period ends before it starts, or a rate is negative.

    Examples
    --------
    >>> rules = {"period": {"start": "2024-01-01", "end": "2024-01-07"}, "rate": 36.525}
    >>> rules |= {"weekday": dict.fromkeys(WEEKDAYS, 1.0), "month": dict.fromkeys(range(1, 13), 1.0)}
    >>> daily_rates(rules, 10_000).round(6).unique().tolist()
    [1.0]
    """
    start, end = parameters["period"]["start"], parameters["period"]["end"]
    days = pd.date_range(start, end, freq="D")
    if not len(days):
        raise SpecError(f"complaints: the period {start} to {end} has no day")
    weekday = np.array([float(parameters["weekday"][day]) for day in WEEKDAYS])[days.day_of_week]
    month = np.array([float(parameters["month"][m]) for m in range(1, 13)])[days.month - 1]
    rates = customers * float(parameters["rate"]) / 1000 / YEAR * weekday * month
    if not np.isfinite(rates).all() or (rates < 0).any():
        raise SpecError("complaints: rate, weekday and month must be 0 or more")
    return pd.Series(rates, index=days, name="rate")


def customer_rates(faults: Any, satisfaction: Any, parameters: Mapping[str, Any]) -> np.ndarray:
    r"""Rate at which customers complain, relative to one of average satisfaction without faults.

    :math:`\exp(b_1 \mathrm{SAT} + b_2 \ln(1 + \text{faults}))`; who else is in the market plays no part.

    Parameters
    ----------
    faults, satisfaction
        ``(n,)`` faults in twelve months, and latent satisfaction SAT of the wave that is current.
    parameters
        The section ``complaints`` of the truth.

    Returns
    -------
    ndarray
        ``(n,)``, above 0.

    Examples
    --------
    >>> customer_rates([0, 3], [0.0, 0.0], {"customer": {"satisfaction": -0.5, "faults": 1.0}})
    array([1., 4.])
    """
    b = parameters["customer"]
    score = float(b["satisfaction"]) * np.asarray(satisfaction, dtype=float)
    return np.exp(score + float(b["faults"]) * np.log1p(np.asarray(faults, dtype=float)))


def arrivals(
    register: pd.DataFrame, opinions: Opinions, parameters: Mapping[str, Any], rng: np.random.Generator
) -> pd.DataFrame:
    """First complaints: moment, customer (position in the register), type, reason, and the injected fault, if any.

    Parameters
    ----------
    register
        One row per customer: operator, province, faults, tenure_months.
    opinions
        Satisfaction of the same customers, year by year.
    parameters
        The section ``complaints`` of the truth.
    rng
        Source of all draws.

    Returns
    -------
    pandas.DataFrame
        Columns received, person, type, reason, fault (empty, step, burst, campaign, serial) and ring (of serial
        claimants, else 0); ``fault`` "step" marks the additions of the tariff change, which are no fault of the data.
        Nobody complains before the day of joining.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"faults": [0, 3] * 500, "operator": "A", "province": "p1", "tenure_months": 40})
    >>> cases = arrivals(people, Opinions.constant(np.zeros(1000)), truth.load("complaints"), np.random.default_rng(1))
    >>> sorted(cases.columns)
    ['fault', 'person', 'reason', 'received', 'ring', 'type']
    """
    streams = rng.spawn(5)
    rates = daily_rates(parameters, 1)
    faults = register["faults"].to_numpy(float)
    relative = {y: customer_rates(faults, opinions.of_year(y), parameters) for y in sorted(set(rates.index.year))}
    draw = _Draw(relative, joined(register["tenure_months"].to_numpy(), parameters), parameters)
    usual = draw.cases(rates, streams[0])
    usual["type"] = _types(usual["person"].to_numpy(), register, parameters, streams[0])
    usual["reason"] = _reasons(usual["type"].to_numpy(), parameters, streams[0])

    shock = parameters["shock"]
    later = rates.where((rates.index >= shock["start"]) & (rates.index <= shock["end"]), 0.0) * float(shock["size"])
    step = _about(draw.cases(later, streams[1]), shock["reason"], "step", parameters)

    burst = parameters["faults"]["burst"]
    first = pd.Timestamp(burst["start"])
    sudden = _spread(rates, first, first + pd.Timedelta(days=int(burst["days"]) - 1))
    sudden = sudden * float(burst["per_1000"]) * len(register) / 1000
    there = (register["province"] == burst["province"]).to_numpy()
    burst_cases = _about(draw.numbers(sudden, there, streams[2]), burst["reason"], "burst", parameters)

    campaign = parameters["faults"]["campaign"]
    theirs = (register["operator"] == campaign["operator"]).to_numpy()
    while_it_ran = _spread(rates, pd.Timestamp(campaign["start"]), pd.Timestamp(campaign["end"]))
    while_it_ran = while_it_ran * float(campaign["per_1000"]) * theirs.sum() / 1000
    promised = draw.numbers(while_it_ran, theirs, streams[3])
    campaign_cases = _about(promised, campaign["reason"], "campaign", parameters)

    cases = pd.concat([usual, step, burst_cases, campaign_cases], ignore_index=True).assign(ring=0)
    return _with_serial_claimants(cases, rates, draw.joined, parameters, streams[4])


def joined(tenure_months: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """The day on which each customer joined: months with the operator, counted back from the day of the register.

    Examples
    --------
    >>> joined(np.array([3, 12]), {"register_of": "2025-03-01"}).astype(str).tolist()
    ['2024-12-01', '2024-03-01']
    """
    day = np.datetime64(parameters["register_of"], "D")
    month = day.astype("datetime64[M]")
    return (month - np.asarray(tenure_months).astype("timedelta64[M]")).astype("datetime64[D]") + (day - month)


def months_since(joined: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Whole months from the day of joining to a moment.

    Examples
    --------
    >>> days = np.array(["2024-03-15", "2024-03-15"], dtype="datetime64[D]")
    >>> months_since(days, np.array(["2025-03-14T10:00", "2025-03-15T00:00"], dtype="datetime64[m]")).tolist()
    [11, 12]
    """
    first, last = joined.astype("datetime64[M]"), at.astype("datetime64[M]")
    into_first = joined.astype("datetime64[D]") - first.astype("datetime64[D]")
    into_last = at.astype("datetime64[D]") - last.astype("datetime64[D]")
    return (last - first).astype("int64") - (into_last < into_first)


def type_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The type that each reason belongs to.

    Examples
    --------
    >>> type_of({"reasons": {"price": {"wrong_bill": 1.0}}})
    {'wrong_bill': 'price'}
    """
    return {reason: kind for kind, reasons in parameters["reasons"].items() for reason in reasons}


def _spread(rates: pd.Series, first: pd.Timestamp, last: pd.Timestamp) -> pd.Series:
    """Weight 1 spread evenly over the days from ``first`` to ``last``; days outside the period are lost."""
    inside = (rates.index >= first) & (rates.index <= last)
    return pd.Series(inside / max((last - first).days + 1, 1), index=rates.index)


@dataclass(frozen=True)
class _Draw:
    """Draws complaints from customers by their relative rates of the year, among those who have joined."""

    relative: Mapping[int, np.ndarray]
    joined: np.ndarray
    parameters: Mapping[str, Any]

    def cases(self, rates: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
        """Every customer at their own rate: ``rates`` are per customer and day at relative rate 1."""
        everybody = np.ones(len(self.joined), dtype=bool)
        total = pd.Series([float(self.relative[year].sum()) for year in rates.index.year], index=rates.index)
        return self._thinned(rates * total, everybody, rng)

    def numbers(self, expected: pd.Series, among: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
        """Stated expected numbers per day, from some customers only: those who had joined by the first such day."""
        days = expected.index[expected > 0]
        if len(days):
            among = among & (self.joined <= days[0].to_datetime64().astype("datetime64[D]"))
        return self._thinned(expected, among, rng)

    def _thinned(self, expected: pd.Series, among: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
        if not expected.sum() <= MOST:
            raise SpecError(
                f"complaints: {expected.sum():.3g} cases are to be expected, more than {MOST:,}; lower the rate, the "
                "effects of satisfaction and faults on it, the faults of the customers, or their number"
            )
        # Complaints of those who had not joined yet are drawn and taken out: what remains is Poisson for the others.
        counts = rng.poisson(expected.to_numpy() if among.any() else np.zeros(len(expected)))
        n = int(counts.sum())
        hours = weighted(dict(enumerate(self.parameters["hour"])), n, rng).astype("int64")
        minutes = hours * 60 + rng.integers(0, 60, n)
        day = np.repeat(expected.index.to_numpy().astype("datetime64[m]"), counts)
        year = np.repeat(expected.index.year.to_numpy(), counts)
        u, person = rng.random(n), np.zeros(n, dtype="int64")
        for one, relative in self.relative.items():
            here = year == one
            steps = np.cumsum(np.where(among, relative, 0.0))
            # Floating-point sums can end a hair below the total: the last place is the upper limit.
            person[here] = np.searchsorted(steps, u[here] * steps[-1], side="right").clip(max=len(relative) - 1)
        received = day + minutes.astype("timedelta64[m]")
        cases = pd.DataFrame({"received": received, "person": person, "fault": ""})
        cases = cases.astype({"person": "int64", "fault": object})
        return cases[self.joined[person] <= received].reset_index(drop=True)


def _types(
    person: np.ndarray, register: pd.DataFrame, parameters: Mapping[str, Any], rng: np.random.Generator
) -> np.ndarray:
    types = parameters["types"]
    base = np.log(np.maximum(shares("complaints: types", {t: v["share"] for t, v in types.items()}), 1e-300))
    slope = np.array([float(v["faults"]) for v in types.values()])
    odds = np.exp(base + slope * np.log1p(register["faults"].to_numpy(float)[person])[:, None])
    return np.array(list(types), dtype=object)[category(odds / odds.sum(axis=1, keepdims=True), rng)]


def _reasons(types: np.ndarray, parameters: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    found = np.empty(len(types), dtype=object)
    for kind, reasons in parameters["reasons"].items():
        here = types == kind
        found[here] = weighted(reasons, int(here.sum()), rng)
    return found


def _about(cases: pd.DataFrame, reason: str, fault: str, parameters: Mapping[str, Any]) -> pd.DataFrame:
    kinds = type_of(parameters)
    if reason not in kinds:
        raise SpecError(f"complaints: reason {reason!r} belongs to no type; there are {sorted(kinds)}")
    return cases.assign(type=kinds[reason], reason=reason, fault=fault)


def _with_serial_claimants(
    cases: pd.DataFrame,
    rates: pd.Series,
    since: np.ndarray,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Some complainers claim again and again, at any time since they joined, about the reason of their first case."""
    rule = parameters["faults"]["serial"]
    people = np.unique(cases["person"])
    claimants = people[chosen(len(people), round(float(rule["share"]) * len(people)), rng)]
    ring = pd.Series(rng.permutation(len(claimants)) // int(rule["ring"]) + 1, index=claimants)
    first = cases[cases["person"].isin(claimants)].drop_duplicates("person")
    more = int(rule["least"]) + rng.poisson(float(rule["more"]), len(first))
    further = first.loc[first.index.repeat(more)].copy()
    start = np.maximum(since[further["person"].to_numpy()], rates.index[0].to_datetime64().astype("datetime64[D]"))
    start = start.astype("datetime64[m]")
    end = rates.index[-1].to_datetime64().astype("datetime64[m]") + np.timedelta64(1, "D")
    span = (end - start).astype("int64")
    further["received"] = start + np.floor(rng.random(len(further)) * span).astype("timedelta64[m]")
    both = pd.concat([cases, further.assign(fault="serial")], ignore_index=True)
    serial = both["person"].isin(claimants)
    return both.assign(ring=both["person"].map(ring).fillna(0).astype("int64")).assign(
        fault=both["fault"].mask(serial, "serial")
    )
