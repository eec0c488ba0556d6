"""The complaints of the simulated market: register, event log, and which rows carry an injected fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import DataError, SpecError
from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.complaint_arrivals import arrivals, joined, months_since, type_of
from csi_lab.simulate.complaint_escalation import escalated, same_reason
from csi_lab.simulate.complaint_events import DEPARTMENT, events
from csi_lab.simulate.complaint_handling import handled, repeats
from csi_lab.simulate.complaint_texts import REASON, texts
from csi_lab.simulate.opinions import Opinions
from csi_lab.simulate.requirements import needed
from csi_lab.simulate.variates import chosen, weighted
from csi_lab.simulate.working_days import WorkingDays

COLUMNS = (
    "complaint_id",
    "received_at",
    "channel",
    "customer",
    "operator",
    "province",
    "product",
    "type",
    "reason",
    "scene",
    "language",
    "text",
    "remedy_sought",
    "amount",
    "severity",
    "grade",
    "owner_dept",
    "transfers",
    "contacts_24h",
    "same_reason_24h",
    "second_type",
    "emotion",
    "promise_flag",
    "law_cited",
    "profession_flag",
    "media_flag",
    "first_response_at",
    "due_at",
    "extension_notified_at",
    "extended_due_at",
    "resolved_at",
    "outcome",
    "feedback_at",
    "closed_at",
    "reopened",
    "on_time",
    "handling_days",
    "parent_id",
    "escalated",
    "root_cause",
    "courtesy",
    "cost_labour",
    "cost_compensation",
    "payee",
    "sat_outcome",
    "sat_process",
)

# What a clerk writes down on receipt; everything else follows from the system or from the handling.
CAN_BE_EMPTY = ("channel", "product", "type", "reason", "scene", "language", "text", "remedy_sought")


def make(
    register: pd.DataFrame,
    latent: pd.DataFrame,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    opinions: Opinions | None = None,
) -> dict[str, pd.DataFrame]:
    """Complaints of the customers of a market over some years, as the firm's register knows them on the last evening.

    Dissatisfied customers and those with faults complain more, each by the opinion of the wave that is current at that
    moment and not before the day of joining; handling, outcome and the next complaint follow the stated probabilities.

    Parameters
    ----------
    register
        One row per customer: customer, operator, province, faults, plan (such as ``300M``), tenure_months.
    latent
        Latent scores of the same customers: SAT.
    parameters
        The section ``complaints`` of the truth.
    rng
        Source of all draws.
    opinions
        Satisfaction of the customers year by year; ``None``: that of ``latent`` at all times.

    Returns
    -------
    dict of DataFrame
        ``complaints`` one row per case, in order of receipt; times to the minute, ``due_at`` a date, ``handling_days``
        working days from receipt to resolution; what is not known on the last evening is empty, and so are
        the answers about the handling (``sat_outcome``, ``sat_process``, 1 to 5) of those who did not answer.
        ``complaint_events`` the log: received, assigned, answered, promised, contacted, transferred, extended,
        escalated, decided, feedback, closed, reopened.
        ``complaint_days`` one row per day and operator: customers who had joined (of this register), cases received.
        ``complaint_faults`` complaint_id, fault (step, burst, campaign, serial, duplicate, missing), detail: what was
        injected where. ``step`` marks the additions of the tariff change, which are no fault of the data.

    Raises
    ------
    DataError
        If the register or the latent scores lack something.
    SpecError
        If parameters are impossible, or the calendar does not reach far enough.

    Notes
    -----
    The model is METHODS 16.15. A duplicate is the same case entered again some minutes later: all but its number and
    the minute of receipt agree.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"customer": range(1, 2001), "operator": "A", "province": "p1", "faults": 1})
    >>> people = people.assign(plan="300M", tenure_months=30)
    >>> scores = pd.DataFrame({"SAT": np.random.default_rng(0).normal(size=2000)})
    >>> tables = make(people, scores, truth.load("complaints"), np.random.default_rng(1))
    >>> list(tables)
    ['complaints', 'complaint_events', 'complaint_days', 'complaint_faults']
    >>> bool((tables["complaints"]["due_at"] >= tables["complaints"]["received_at"].str[:10]).all())
    True
    """
    require_possible({"complaints": parameters})
    needed(register, latent, ("customer", "operator", "province", "faults", "plan", "tenure_months"), ("SAT",))
    opinions = Opinions.constant(latent["SAT"].to_numpy(float)) if opinions is None else opinions
    opinions.require(len(register))
    speed = _speed(register["plan"])
    wordless = sorted(set(type_of(parameters)) - set(REASON["en"]))
    if wordless:
        raise SpecError(f"complaints: reasons: no sentences for {wordless}; there are {sorted(REASON['en'])}")
    streams = rng.spawn(7)
    hours = parameters["hours"]
    clock = WorkingDays.of(parameters["calendar"], opens=float(hours["opens"]), closes=float(hours["closes"]))
    until = np.datetime64(parameters["period"]["end"], "m") + np.timedelta64(1, "D")

    cases = arrivals(register, opinions, parameters, streams[0])
    cases = _with_repeats(cases, opinions, parameters, streams[1], clock=clock, until=until)
    language = weighted(parameters["languages"], len(register), streams[2])
    cases["language"] = language[cases["person"]]
    cases["same_reason_24h"] = same_reason(cases)
    cases["escalated"] = escalated(cases, parameters, streams[3])
    since = joined(register["tenure_months"].to_numpy(), parameters)
    cases["tenure"] = months_since(since[cases["person"]], cases["received"].to_numpy())
    cases["speed"] = speed[cases["person"]]
    cases["text"] = texts(cases, streams[4], hostile=float(parameters["faults"]["hostile"]))
    cases = _with_duplicates(cases, parameters["faults"]["duplicates"], streams[5], clock=clock, until=until)

    log = events(cases, streams[6], clock=clock, until=until, assigned=float(parameters["handling"]["assigned"]))
    for column in ("customer", "operator", "province"):
        cases[column] = register[column].to_numpy()[cases["person"]]
    # Claimants of one ring are paid to one account, which belongs to no customer.
    cases["payee"] = cases["customer"].where(cases["ring"] == 0, int(register["customer"].max()) + cases["ring"])
    table = _register(cases, log, clock, until)
    table, emptied = _with_gaps(table, parameters["faults"], streams[5])
    return {
        "complaints": table,
        "complaint_events": log.assign(at=_written(log["at"])),
        "complaint_days": _days(table, register["operator"].to_numpy(), since, parameters["period"]),
        "complaint_faults": _faults(cases, emptied),
    }


def _with_repeats(
    cases: pd.DataFrame,
    opinions: Opinions,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    clock: WorkingDays,
    until: np.datetime64,
) -> pd.DataFrame:
    """The cases and those that follow from them, generation by generation, in order of receipt."""
    generation = cases.assign(parent=-1, repeats=0)
    known: list[pd.DataFrame] = []
    first = 0
    while len(generation):
        generation.index = pd.RangeIndex(first, first + len(generation))
        done = handled(generation, opinions, parameters, rng, clock=clock)
        known.append(done)
        first += len(done)
        generation = repeats(done, parameters, rng, clock=clock)
        generation = generation[generation["received"] < until]
    every = pd.concat(known) if known else handled(generation, opinions, parameters, rng, clock=clock)
    every = every.sort_values("received", kind="stable")
    place = pd.Series(np.arange(len(every)), index=every.index)
    every["parent"] = every["parent"].map(place).fillna(-1).astype("int64")
    return every.reset_index(drop=True)


def _with_duplicates(
    cases: pd.DataFrame, rule: Mapping[str, Any], rng: np.random.Generator, *, clock: WorkingDays, until: np.datetime64
) -> pd.DataFrame:
    """Some cases a second time, entered some minutes later, then all numbered in order of receipt.

    Only cases that are entered again on the same working day and before the first answer, so that a copy keeps its due
    date and the order of its events.
    """
    first, last = (int(end) for end in rule["minutes"])
    later = rng.integers(first, last + 1, len(cases)).astype("timedelta64[m]")
    again = cases["received"].to_numpy() + later
    start = clock.start(again)
    possible = (np.floor(start) == np.floor(cases["start"])) & (start < cases["respond"]).to_numpy()
    possible &= clock.stamp(cases["respond"]) > again
    wanted = rng.binomial(len(cases), float(rule["share"]))
    twice = np.flatnonzero(possible)[chosen(int(possible.sum()), wanted, rng)]
    copies = cases.iloc[twice].assign(received=again[twice], start=start[twice])
    both = pd.concat([cases.assign(original=-1), copies.assign(original=twice)])
    both["place"] = both.index
    both = both[both["received"] < until].sort_values(["received", "original"], kind="stable").reset_index(drop=True)
    both["complaint_id"] = np.arange(1, len(both) + 1)
    own = both.loc[both["original"] < 0].set_index("place")["complaint_id"]
    both["parent_id"] = both["parent"].map(own).astype("Int64")
    both["duplicate_of"] = both["original"].map(own).astype("Int64")
    return both


def _register(cases: pd.DataFrame, log: pd.DataFrame, clock: WorkingDays, until: np.datetime64) -> pd.DataFrame:
    """What the firm has written down by ``until``."""
    table = cases.rename(columns={"received": "received_at"})
    stamps = {
        "first_response_at": "respond",
        "extension_notified_at": "extend",
        "resolved_at": "resolve",
        "feedback_at": "reply",
        "closed_at": "last_close",
    }
    seen = {}
    for column, time in stamps.items():
        there = table[time].notna().to_numpy()
        at = np.full(len(table), np.datetime64("NaT"), dtype="datetime64[m]")
        at[there] = clock.stamp(table[time].to_numpy()[there])
        at[at >= until] = np.datetime64("NaT")
        seen[column] = ~np.isnat(at)
        table[column] = _written(pd.Series(at))
    table["received_at"] = _written(table["received_at"])
    table["due_at"] = clock.day(table["due"]).astype(str)
    told = seen["extension_notified_at"]
    table["extended_due_at"] = ""
    table.loc[told, "extended_due_at"] = clock.day(table["extended_due"].to_numpy()[told]).astype(str)
    table["owner_dept"] = table["type"].map(DEPARTMENT).fillna("service")

    resolved, closed = seen["resolved_at"], seen["closed_at"]
    moved = log[log["event"] == "transferred"].groupby("complaint_id").size()
    table["transfers"] = table["complaint_id"].map(moved).fillna(0).astype("int64")
    called = log[log["event"] == "contacted"].groupby("complaint_id").size()
    table["contacts_24h"] = table["complaint_id"].map(called).fillna(0).astype("int64")
    raised = table["complaint_id"].isin(log.loc[log["event"] == "escalated", "complaint_id"])
    table["escalated"] = raised.astype("Int64").where(resolved | raised)
    reopened = table["complaint_id"].isin(log.loc[log["event"] == "reopened", "complaint_id"])
    table["reopened"] = reopened.astype("int64")
    for column in ("on_time", "courtesy"):
        table[column] = table[column].astype("Int64").where(resolved)
    for column, decimals in (("handling_days", 2), ("cost_labour", 1), ("cost_compensation", 1)):
        table[column] = table[column].round(decimals).where(resolved)
    for column in ("outcome", "root_cause"):
        table[column] = table[column].where(resolved & table[column].notna(), "")
    for column in ("sat_outcome", "sat_process"):
        table[column] = table[column].astype("Int64").where(closed & table["answers"])
    table["payee"] = table["payee"].astype("Int64").where(table["cost_compensation"] > 0)
    table["second_type"] = table["second_type"].where(table["second_type"].notna(), "")
    table["amount"] = table["amount"].where(table["amount"] > 0)
    return table[list(COLUMNS)]


def _days(table: pd.DataFrame, operator: np.ndarray, since: np.ndarray, period: Mapping[str, str]) -> pd.DataFrame:
    """Cases received and customers exposed, by day and operator: the whole register in short."""
    days = np.arange(np.datetime64(period["start"], "D"), np.datetime64(period["end"], "D") + 1)
    names = sorted(set(operator))
    here = [np.searchsorted(np.sort(since[operator == name]), days, side="right") for name in names]
    counted = table.groupby([table["received_at"].str[:10], "operator"]).size()
    index = pd.MultiIndex.from_product([days.astype(str), names], names=["date", "operator"])
    frame = pd.DataFrame({"customers": np.column_stack(here).ravel()}, index=index)
    return frame.assign(cases=counted.reindex(index, fill_value=0).astype("int64")).reset_index()


def _speed(plan: pd.Series) -> np.ndarray:
    """Megabits of tariffs such as 300M."""
    number = plan.astype(str).str.extract(r"^(\d+)M$")[0]
    if number.isna().any():
        raise DataError(f"register: plan must be a speed such as 300M, got {sorted(set(plan[number.isna()]))[:5]}")
    return number.astype("int64").to_numpy()


def _with_gaps(
    table: pd.DataFrame, rule: Mapping[str, Any], rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.Series]:
    """Some records with one required field empty; the second value names the field of those records."""
    unfit = sorted(set(rule["required"]) - set(CAN_BE_EMPTY))
    if unfit:
        raise SpecError(f"complaints: faults: required: {unfit} cannot be empty; there are {', '.join(CAN_BE_EMPTY)}")
    rows = np.flatnonzero(rng.random(len(table)) < float(rule["missing"]))
    field = weighted(list(rule["required"]), len(rows), rng)
    table = table.copy()
    for column in rule["required"]:
        table[column] = table[column].mask(pd.Series(table.index.isin(rows[field == column]), index=table.index), "")
    return table, pd.Series(field, index=table["complaint_id"].to_numpy()[rows], dtype=object)


def _faults(cases: pd.DataFrame, emptied: pd.Series) -> pd.DataFrame:
    marked = cases[cases["fault"] != ""]
    detail = np.where(marked["ring"] > 0, "ring " + marked["ring"].astype(str), marked["reason"])
    twice = cases[cases["duplicate_of"].notna()]
    parts = [
        pd.DataFrame({"complaint_id": marked["complaint_id"], "fault": marked["fault"], "detail": detail}),
        pd.DataFrame(
            {"complaint_id": twice["complaint_id"], "fault": "duplicate", "detail": twice["duplicate_of"].astype(str)}
        ),
        pd.DataFrame({"complaint_id": emptied.index, "fault": "missing", "detail": emptied.to_numpy()}),
    ]
    found = pd.concat(parts, ignore_index=True)
    return found.sort_values(["complaint_id", "fault"], kind="stable").reset_index(drop=True)


def _written(at: pd.Series) -> pd.Series:
    """Moments as text to the minute, empty where not known."""
    return at.dt.strftime("%Y-%m-%d %H:%M").fillna("").astype(object)
