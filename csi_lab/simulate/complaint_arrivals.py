"""Complaints arrive: on which day, from which customer, about what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.simulate.requirements import positive, shares
from csi_lab.simulate.variates import category, chosen, weighted

YEAR = 365.25
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def daily_rates(parameters: Mapping[str, Any], customers: int) -> pd.Series:
    r"""Expected complaints of each day, without the step, the burst, the campaign, repeats and serial claimants.

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
    >>> from csi_lab.simulate import truth
    >>> rates = daily_rates(truth.load("complaints"), 200_000)
    >>> len(rates), round(rates.sum())
    (731, 4731)
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


def customer_rates(register: pd.DataFrame, latent: pd.DataFrame, parameters: Mapping[str, Any]) -> np.ndarray:
    r"""Relative rate at which each customer complains, mean 1.

    :math:`\exp(b_1 \mathrm{SAT} + b_2 \ln(1 + \text{faults}))`, divided by its mean.

    Examples
    --------
    >>> people = pd.DataFrame({"faults": [0, 3]})
    >>> b = {"customer": {"satisfaction": -0.5, "faults": 1.0}}
    >>> customer_rates(people, pd.DataFrame({"SAT": [0.0, 0.0]}), b)
    array([0.4, 1.6])
    """
    b = parameters["customer"]
    faults = np.log1p(register["faults"].to_numpy(float))
    relative = np.exp(float(b["satisfaction"]) * latent["SAT"].to_numpy(float) + float(b["faults"]) * faults)
    return relative / relative.mean()


def arrivals(
    register: pd.DataFrame, latent: pd.DataFrame, parameters: Mapping[str, Any], rng: np.random.Generator
) -> pd.DataFrame:
    """First complaints: moment, customer (position in the register), type, reason, and the injected fault, if any.

    Parameters
    ----------
    register, latent
        The market.
    parameters
        The section ``complaints`` of the truth.
    rng
        Source of all draws.

    Returns
    -------
    pandas.DataFrame
        Columns received, person, type, reason, fault (empty, step, burst, campaign, serial) and ring (of serial
        claimants, else 0); ``fault`` "step" marks the additions of the tariff change, which are no fault of the data.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"faults": [0, 3] * 500, "operator": "A", "province": "p1"})
    >>> scores = pd.DataFrame({"SAT": [0.0] * 1000})
    >>> cases = arrivals(people, scores, truth.load("complaints"), np.random.default_rng(1))
    >>> sorted(cases.columns)
    ['fault', 'person', 'reason', 'received', 'ring', 'type']
    """
    positive("complaints: rate", rate=parameters["rate"])
    streams = rng.spawn(5)
    relative = customer_rates(register, latent, parameters)
    rates = daily_rates(parameters, len(register))
    usual = _cases(rates, relative, parameters, streams[0])
    usual["type"] = _types(usual["person"].to_numpy(), register, parameters, streams[0])
    usual["reason"] = _reasons(usual["type"].to_numpy(), parameters, streams[0])

    shock = parameters["shock"]
    later = rates.where((rates.index >= shock["start"]) & (rates.index <= shock["end"]), 0.0) * float(shock["size"])
    step = _about(_cases(later, relative, parameters, streams[1]), shock["reason"], "step", parameters)

    burst = parameters["faults"]["burst"]
    first = pd.Timestamp(burst["start"])
    sudden = _spread(rates, first, first + pd.Timedelta(days=int(burst["days"]) - 1))
    sudden = sudden * float(burst["per_1000"]) * len(register) / 1000
    there = relative * (register["province"] == burst["province"]).to_numpy()
    burst_cases = _about(_cases(sudden, there, parameters, streams[2]), burst["reason"], "burst", parameters)

    campaign = parameters["faults"]["campaign"]
    theirs = (register["operator"] == campaign["operator"]).to_numpy()
    while_it_ran = _spread(rates, pd.Timestamp(campaign["start"]), pd.Timestamp(campaign["end"]))
    while_it_ran = while_it_ran * float(campaign["per_1000"]) * theirs.sum() / 1000
    promised = _cases(while_it_ran, relative * theirs, parameters, streams[3])
    campaign_cases = _about(promised, campaign["reason"], "campaign", parameters)

    cases = pd.concat([usual, step, burst_cases, campaign_cases], ignore_index=True)
    return _with_serial_claimants(cases.assign(ring=0), rates, parameters, streams[4])


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


def _cases(
    rates: pd.Series, relative: np.ndarray, parameters: Mapping[str, Any], rng: np.random.Generator
) -> pd.DataFrame:
    """Poisson numbers of complaints of each day, at some minute of the day, from customers by their relative rate."""
    total = float(relative.sum())
    counts = rng.poisson(rates.to_numpy() if total > 0 else np.zeros(len(rates)))
    n = int(counts.sum())
    hours = weighted(dict(enumerate(parameters["hour"])), n, rng).astype("int64")
    minutes = hours * 60 + rng.integers(0, 60, n)
    day = np.repeat(rates.index.to_numpy().astype("datetime64[m]"), counts)
    steps = np.cumsum(relative)
    # Floating-point sums can end a hair below the total: the last place is the upper limit.
    person = np.minimum(np.searchsorted(steps, rng.random(n) * total, side="right"), len(relative) - 1)
    cases = pd.DataFrame({"received": day + minutes.astype("timedelta64[m]"), "person": person, "fault": ""})
    return cases.astype({"person": "int64", "fault": object})


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
        shares(f"complaints: reasons: {kind}", reasons)
        here = types == kind
        found[here] = weighted(reasons, int(here.sum()), rng)
    return found


def _about(cases: pd.DataFrame, reason: str, fault: str, parameters: Mapping[str, Any]) -> pd.DataFrame:
    kinds = type_of(parameters)
    if reason not in kinds:
        raise SpecError(f"complaints: reason {reason!r} belongs to no type; there are {sorted(kinds)}")
    return cases.assign(type=kinds[reason], reason=reason, fault=fault)


def _with_serial_claimants(
    cases: pd.DataFrame, rates: pd.Series, parameters: Mapping[str, Any], rng: np.random.Generator
) -> pd.DataFrame:
    """Some complainers claim again and again, at any time, about the reason of their first case."""
    rule = parameters["faults"]["serial"]
    people = np.unique(cases["person"])
    claimants = people[chosen(len(people), round(float(rule["share"]) * len(people)), rng)]
    ring = pd.Series(rng.permutation(len(claimants)) // int(rule["ring"]) + 1, index=claimants)
    first = cases[cases["person"].isin(claimants)].drop_duplicates("person")
    more = int(rule["least"]) + rng.poisson(float(rule["more"]), len(first))
    further = first.loc[first.index.repeat(more)].copy()
    span = len(rates) * 24 * 60
    further["received"] = rates.index[0].to_datetime64().astype("datetime64[m]") + rng.integers(
        0, span, len(further)
    ).astype("timedelta64[m]")
    both = pd.concat([cases, further.assign(fault="serial")], ignore_index=True)
    serial = both["person"].isin(claimants)
    return both.assign(ring=both["person"].map(ring).fillna(0).astype("int64")).assign(
        fault=both["fault"].mask(serial, "serial")
    )
