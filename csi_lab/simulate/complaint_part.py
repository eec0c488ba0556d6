"""The part of the register of complaints that comes with the study, with its sampling weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError

SAMPLED, OTHER = "sampled", "other"


def published(
    cases: Mapping[str, pd.DataFrame],
    customers: Iterable[int],
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
) -> dict[str, pd.DataFrame]:
    """All cases of sampled customers, and the cases of a random part of the others.

    Parameters
    ----------
    cases
        Tables ``complaints``, ``complaint_events``, ``complaint_days`` and ``complaint_faults`` of the whole market.
    customers
        Customers of whom every case is kept.
    parameters
        The section ``complaints`` of the truth; ``part: others`` is the share of the other customers.
    rng
        Random stream.

    Returns
    -------
    dict of DataFrame
        The same tables with the rows kept. ``complaints`` has two more columns: ``part`` (sampled, other) and
        ``weight`` (1, or the inverse of the share: cases of the market for which a case stands).
        ``complaint_days`` is whole: it counts all cases.

    Raises
    ------
    SpecError
        If the share is not above 0 and at most 1.

    Notes
    -----
    Customers are drawn, not cases, so that a customer's chain of cases is complete; the serial claimants of one ring
    are drawn together. Estimates with the weights are unbiased for the register of the market.

    Examples
    --------
    >>> table = pd.DataFrame({"complaint_id": [1, 2, 3], "customer": [5, 9, 9]})
    >>> faults = pd.DataFrame({"complaint_id": [3], "fault": ["missing"], "detail": ["text"]})
    >>> whole = {"complaints": table, "complaint_faults": faults, "complaint_events": table[["complaint_id"]]}
    >>> kept = published(whole, [5], {"part": {"others": 1.0}}, np.random.default_rng(1))
    >>> kept["complaints"][["complaint_id", "part", "weight"]].values.tolist()
    [[1, 'sampled', 1.0], [2, 'other', 1.0], [3, 'other', 1.0]]
    """
    share = float(parameters["part"]["others"])
    if not 0 < share <= 1:
        raise SpecError(f"complaints: part: others: {share} must be above 0 and at most 1")
    table, faults = cases["complaints"], cases["complaint_faults"]
    serial = faults[faults["fault"] == "serial"].set_index("complaint_id")["detail"]
    ring = table["complaint_id"].map(serial)
    # A claimant's ring is marked at each of the claims but not at a repeat of one: the customer's first mark holds.
    unit = ring.groupby(table["customer"]).transform("first")
    unit = unit.where(unit.notna(), "customer " + table["customer"].astype(str))
    names = pd.Index(sorted(set(unit)))
    drawn = names[rng.random(len(names)) < share]
    sampled = table["customer"].isin(list(customers))
    kept = sampled | unit.isin(drawn)
    part = table.assign(part=np.where(sampled, SAMPLED, OTHER), weight=np.where(sampled, 1.0, round(1 / share, 6)))
    chosen = part[kept].reset_index(drop=True)
    ids = chosen["complaint_id"]
    return {
        name: chosen
        if name == "complaints"
        else frame[frame["complaint_id"].isin(ids)].reset_index(drop=True)
        if "complaint_id" in frame
        else frame
        for name, frame in cases.items()
    }
