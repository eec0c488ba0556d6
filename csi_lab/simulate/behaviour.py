"""Behaviour after the survey: months until a customer leaves, censored, and spend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import DataError
from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.requirements import needed
from csi_lab.simulate.variates import weighted

OUTCOMES = ("recovered", "not_recovered", "open")


def make(
    register: pd.DataFrame,
    latent: pd.DataFrame,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    complaints: pd.DataFrame | None = None,
    customers: Iterable[int] | None = None,
    complainers: Iterable[int] | None = None,
) -> dict[str, pd.DataFrame]:
    r"""Churn and spend of customers by loyalty, contract, retention offer and the outcome of their last complaint.

    Time until leaving is Weibull with proportional hazards,
    :math:`h(t) = h_0 k t^{k-1} \exp(b'x)` per month; observation ends after the stated months.

    Parameters
    ----------
    register
        One row per customer: customer, spend (yuan per month).
    latent
        Latent scores of the same customers: LOY.
    parameters
        The section ``behaviour`` of the truth.
    rng
        Source of all draws.
    complaints
        The table ``complaints``; without it nobody has complained.
    customers
        Customers to be written, such as those of a survey; all of the register when ``None``. Besides them the stated
        share of the customers with a complaint is written. A customer behaves in the same way whoever else is written.
    complainers
        The customers with a complaint who can be written besides; ``None``: all who have one.

    Returns
    -------
    dict of DataFrame
        ``behaviour`` one row per customer: customer, in_sample (1 for ``customers``, 0 for complainers besides them: a
        sample of their own), contract (none, year, two_years), complaint (none, recovered, not_recovered, open),
        offer (0 or 1), months (observed, two decimals), left (1 left, 0 censored), left_on (date, empty when
        censored), spend_before and spend_after (yuan per month while observed).

    Raises
    ------
    DataError
        If the register or the latent scores lack something, or customers are not in the register.
    SpecError
        If parameters are impossible.

    Notes
    -----
    ``recovered``: the outcome of the customer's last complaint is "solved"; duplicates do not matter, since they have
    the outcome of their case.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"customer": range(1, 1001), "spend": 100.0})
    >>> scores = pd.DataFrame({"LOY": np.random.default_rng(0).normal(size=1000)})
    >>> cases = pd.DataFrame({"customer": [7, 7], "received_at": ["2025-01-01", "2025-02-01"]})
    >>> cases["outcome"] = ["partly", "solved"]
    >>> stay = make(people, scores, truth.load("behaviour"), np.random.default_rng(1), complaints=cases)["behaviour"]
    >>> stay.loc[6, "complaint"], stay["complaint"].value_counts().to_dict()
    ('recovered', {'none': 999, 'recovered': 1})
    """
    require_possible({"behaviour": parameters})
    needed(register, latent, ("customer", "spend"), ("LOY",))
    churn, spend = parameters["churn"], parameters["spend"]
    streams, n = rng.spawn(5), len(register)
    contract = weighted(parameters["contract"], n, streams[0])
    offer = (streams[1].random(n) < float(parameters["offered"])).astype("int64")
    status = _status(register["customer"], complaints)
    loyalty = latent["LOY"].to_numpy(float)

    eta = float(churn["loyalty"]) * loyalty + float(churn["offer"]) * offer
    for form in ("year", "two_years"):
        eta = eta + float(churn[form]) * (contract == form)
    level = float(spend["base"]) + float(spend["loyalty"]) * loyalty
    for outcome in OUTCOMES:
        eta = eta + float(churn[outcome]) * (status == outcome)
        level = level + float(spend[outcome]) * (status == outcome)
    hazard = float(churn["base"]) * np.exp(eta)
    time = (streams[2].standard_exponential(n) / hazard) ** (1 / float(churn["shape"]))
    end = float(parameters["months"])
    left = time < end
    months = np.where(left, time, end)
    # A month is a twelfth of 365.25 days; whoever leaves on the first day has been there for a hundredth of a month.
    gone = np.datetime64(parameters["start"], "D") + np.floor(months * 365.25 / 12).astype("int64").astype(
        "timedelta64[D]"
    )
    before = register["spend"].to_numpy(float)
    after = before * np.exp(level + float(spend["error_sd"]) * streams[3].standard_normal(n))
    table = pd.DataFrame(
        {
            "customer": register["customer"].to_numpy(),
            "contract": contract,
            "complaint": status,
            "offer": offer,
            "months": np.ceil(months * 100) / 100,
            "left": left.astype("int64"),
            "left_on": np.where(left, gone.astype(str), ""),
            "spend_before": np.round(before, 2),
            "spend_after": np.round(after, 2),
        }
    )
    sample = register["customer"] if customers is None else _known(customers, register["customer"])
    table.insert(1, "in_sample", table["customer"].isin(sample).astype("int64"))
    besides = (status != "none") & (streams[4].random(n) < float(parameters["complainers"]))
    if complainers is not None:
        besides &= table["customer"].isin(list(complainers)).to_numpy()
    return {"behaviour": table[(table["in_sample"] == 1) | besides].reset_index(drop=True)}


def _status(customer: pd.Series, complaints: pd.DataFrame | None) -> np.ndarray:
    """Outcome of every customer's last complaint."""
    if complaints is None or not len(complaints):
        return np.full(len(customer), "none", dtype=object)
    absent = [c for c in ("customer", "received_at", "outcome") if c not in complaints]
    if absent:
        raise DataError(f"complaints: columns {absent} are absent")
    last = complaints.sort_values("received_at", kind="stable").drop_duplicates("customer", keep="last")
    outcome = last.set_index("customer")["outcome"].fillna("")
    named = np.where(outcome == "solved", "recovered", np.where(outcome == "", "open", "not_recovered"))
    status = pd.Series(named, index=outcome.index, dtype=object)
    return customer.map(status).fillna("none").to_numpy(object)


def _known(customers: Iterable[int], register: pd.Series) -> pd.Index:
    wanted = pd.Index(customers).unique()
    strange = wanted.difference(pd.Index(register))
    if len(strange):
        raise DataError(f"{len(strange)} customers are not in the register, e.g. {list(strange[:5])}")
    return wanted
