"""The event log of the complaints: who did what when."""

from __future__ import annotations

import numpy as np
import pandas as pd

from csi_lab.simulate.working_days import WorkingDays

DEPARTMENT = {
    "product": "network",
    "attitude": "service",
    "after_sales": "field",
    "price": "billing",
    "logistics": "logistics",
}
# Order of events that fall on the same minute.
EVENTS = (
    "received",
    "assigned",
    "answered",
    "promised",
    "contacted",
    "transferred",
    "extended",
    "escalated",
    "decided",
    "feedback",
    "closed",
    "reopened",
)


def events(
    cases: pd.DataFrame,
    rng: np.random.Generator,
    *,
    clock: WorkingDays,
    until: np.datetime64,
    assigned: float,
) -> pd.DataFrame:
    """Everything that happened up to the moment ``until``, case by case in order of time.

    Parameters
    ----------
    cases
        Columns complaint_id, received, type, channel, contacts_24h, transfers, escalated and the working times start,
        respond, promise, extend, resolve, reply, close, reopen, last_close of a case.
    rng
        Source of all draws: moments of assignment, transfer, further calls and escalation.
    clock
        Working days and hours.
    until
        Later events are not known yet and left out.
    assigned
        A case is assigned at a moment that is uniform over this first part of the time to the first answer, 0 to 1.

    Returns
    -------
    pandas.DataFrame
        complaint_id, at, event, department, note (a promised or extended date).
    """
    n = len(cases)
    u = rng.random((3, n))
    start, respond = cases["start"].to_numpy(), cases["respond"].to_numpy()
    resolve = cases["resolve"].to_numpy()
    owner = cases["type"].map(DEPARTMENT).fillna("service").to_numpy()
    number = np.arange(n)
    parts: list[tuple[np.ndarray, np.ndarray, str, np.ndarray, np.ndarray]] = []

    def add(rows: np.ndarray, at: np.ndarray, event: str, department: object, note: np.ndarray | None = None) -> None:
        who = np.broadcast_to(np.asarray(department, dtype=object), (n,))[rows]
        parts.append((rows, at, event, who, np.full(len(rows), "", dtype=object) if note is None else note))

    add(number, cases["received"].to_numpy(), "received", "front_office")
    add(number, clock.stamp(start + u[0] * (respond - start) * assigned), "assigned", "front_office")
    add(number, clock.stamp(respond), "answered", owner)
    promised = np.flatnonzero(cases["promise"].notna())
    add(promised, clock.stamp(respond[promised]), "promised", owner, _dates(clock, cases["promise"], promised))
    calls = np.repeat(number, cases["contacts_24h"])
    received = cases["received"].to_numpy().astype("datetime64[m]")
    while_open = np.minimum((clock.stamp(resolve) - received).astype("int64"), 24 * 60)
    soon = np.floor(rng.random(len(calls)) * while_open[calls]).astype("timedelta64[m]")
    add(calls, received[calls] + soon, "contacted", "front_office")
    moves = np.repeat(number, cases["transfers"])
    at = respond[moves] + rng.random(len(moves)) * (resolve - respond)[moves]
    add(moves, clock.stamp(at), "transferred", owner)
    told = np.flatnonzero(cases["extend"].notna())
    add(
        told,
        clock.stamp(cases["extend"].to_numpy()[told]),
        "extended",
        owner,
        _dates(clock, cases["extended_due"], told),
    )
    up = np.flatnonzero(cases["escalated"])
    add(up, clock.stamp((respond + u[1] * (resolve - respond))[up]), "escalated", "management")
    add(number, clock.stamp(resolve), "decided", owner)
    add(number, clock.stamp(cases["reply"]), "feedback", owner)
    add(number, clock.stamp(cases["close"]), "closed", "front_office")
    back = np.flatnonzero(cases["reopened"] == 1)
    add(back, clock.stamp(cases["reopen"].to_numpy()[back]), "reopened", "front_office")
    add(back, clock.stamp(cases["last_close"].to_numpy()[back]), "closed", "front_office")

    rows = np.concatenate([part[0] for part in parts])
    log = pd.DataFrame(
        {
            "complaint_id": cases["complaint_id"].to_numpy()[rows],
            "at": np.concatenate([part[1].astype("datetime64[m]") for part in parts]),
            "event": np.repeat([part[2] for part in parts], [len(part[0]) for part in parts]),
            "department": np.concatenate([part[3] for part in parts]),
            "note": np.concatenate([part[4] for part in parts]),
        }
    )
    log["order"] = log["event"].map({event: i for i, event in enumerate(EVENTS)})
    log = log[log["at"] < until].sort_values(["complaint_id", "at", "order"], kind="stable")
    return log.drop(columns="order").reset_index(drop=True)


def _dates(clock: WorkingDays, times: pd.Series, rows: np.ndarray) -> np.ndarray:
    return clock.day(times.to_numpy()[rows]).astype(str).astype(object)
