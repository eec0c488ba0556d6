"""The thirteen signs that a complaint may escalate, and which complaints do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.simulate.variates import chance

SIGNS = (
    "transferred_or_late",
    "many_customers",
    "repeated",
    "service_and_late",
    "promise_or_fraud",
    "service_added",
    "called_again",
    "frequent",
    "escalated_before",
    "extreme_emotion",
    "law_cited",
    "sensitive_identity",
    "media_named",
)
HISTORY = np.timedelta64(365, "D")
SHORT = np.timedelta64(24, "h")


def signs(cases: pd.DataFrame, thresholds: Mapping[str, int]) -> pd.DataFrame:
    """The signs of each case, 0 or 1, without ``escalated_before``, which depends on what happens.

    Parameters
    ----------
    cases
        In order of ``received``; with person, type, reason, repeats, transfers, on_time, contacts_24h, second_type,
        emotion, promise_flag, law_cited, profession_flag, media_flag.
    thresholds
        ``transfers`` (more than), ``customers``, ``repeats``, ``contacts``, ``history`` (or more).

    Returns
    -------
    pandas.DataFrame
        One column per name in ``SIGNS``; ``escalated_before`` is 0.

    Notes
    -----
    ``many_customers``: customers with the same reason in the 24 hours up to the complaint, the complainer included.
    ``frequent``: earlier complaints of the customer in the 365 days before.
    """
    late = cases["on_time"].to_numpy() == 0
    service = cases["type"].isin(["attitude", "product"]).to_numpy()
    found = {
        "transferred_or_late": (cases["transfers"].to_numpy() > thresholds["transfers"]) | late,
        "many_customers": same_reason(cases) >= thresholds["customers"],
        "repeated": cases["repeats"].to_numpy() >= thresholds["repeats"],
        "service_and_late": service & late,
        "promise_or_fraud": cases["promise_flag"].to_numpy() == 1,
        "service_added": cases["second_type"].notna().to_numpy(),
        "called_again": cases["contacts_24h"].to_numpy() >= thresholds["contacts"],
        "frequent": earlier(cases) >= thresholds["history"],
        "escalated_before": np.zeros(len(cases), dtype=bool),
        "extreme_emotion": cases["emotion"].to_numpy() == 4,
        "law_cited": cases["law_cited"].to_numpy() == 1,
        "sensitive_identity": cases["profession_flag"].to_numpy() == 1,
        "media_named": cases["media_flag"].to_numpy() == 1,
    }
    return pd.DataFrame({name: found[name].astype("int64") for name in SIGNS}, index=cases.index)


def same_reason(cases: pd.DataFrame) -> np.ndarray:
    """Different customers with the same reason in the 24 hours up to each case, the case itself included.

    Examples
    --------
    >>> at = np.array(["2025-01-01T08:00", "2025-01-01T09:00", "2025-01-02T08:30"], dtype="datetime64[m]")
    >>> same_reason(pd.DataFrame({"received": at, "reason": "outage", "person": [5, 6, 6]}))
    array([1, 2, 1])
    """
    count = np.zeros(len(cases), dtype="int64")
    at, person = cases["received"].to_numpy(), cases["person"].to_numpy()
    for rows in cases.groupby("reason", sort=False).indices.values():
        first = np.searchsorted(at[rows], at[rows] - SHORT, side="right")
        last = np.searchsorted(at[rows], at[rows], side="right")
        # Whoever complains twice in the window is one customer: only few windows hold more than a handful of cases.
        count[rows] = [len(set(person[rows[a:b]].tolist())) for a, b in zip(first, last, strict=True)]
    return count


def earlier(cases: pd.DataFrame) -> np.ndarray:
    """Complaints of the same customer in the 365 days before each case; ``cases`` in order of ``received``.

    Examples
    --------
    >>> at = np.array(["2024-01-01", "2024-03-01", "2025-02-01"], dtype="datetime64[m]")
    >>> earlier(pd.DataFrame({"received": at, "person": 7}))
    array([0, 1, 1])
    """
    count = np.zeros(len(cases), dtype="int64")
    at = cases["received"].to_numpy()
    for rows in cases.groupby("person", sort=False).indices.values():
        if len(rows) > 1:
            count[rows] = np.arange(len(rows)) - np.searchsorted(at[rows], at[rows] - HISTORY, side="left")
    return count


def escalated(cases: pd.DataFrame, parameters: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Which cases escalate: logit with the stated weight of every sign, customer by customer in order of time.

    Parameters
    ----------
    cases
        As in :func:`signs`.
    parameters
        The section ``complaints`` of the truth; ``escalation`` is used.
    rng
        Source of all draws.

    Raises
    ------
    SpecError
        If a sign has no weight or a weight has no sign.
    """
    rule = parameters["escalation"]
    if set(rule["weights"]) != set(SIGNS):
        raise SpecError(
            f"complaints: escalation: weights must name the 13 signs; differ: {set(rule['weights']) ^ set(SIGNS)}"
        )
    weights = np.array([float(rule["weights"][sign]) for sign in SIGNS])
    eta = float(rule["base"]) + signs(cases, rule["thresholds"]).to_numpy(float) @ weights
    before = float(rule["weights"]["escalated_before"])
    u, person = rng.random(len(cases)), cases["person"].to_numpy()
    rank = cases.groupby("person", sort=False).cumcount().to_numpy()
    happened = np.zeros(len(cases), dtype=bool)
    had = np.zeros(int(person.max()) + 1 if len(person) else 0, dtype=bool)
    for place in range(int(rank.max()) + 1 if len(rank) else 0):
        here = np.flatnonzero(rank == place)
        happened[here] = u[here] < chance(eta[here] + before * had[person[here]])
        had[person[here]] |= happened[here]
    return happened
