"""What happens to a complaint: grade, time, outcome, compensation, satisfaction with the handling, and the next one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.simulate.opinions import Opinions
from csi_lab.simulate.variates import chance, ordered, weighted
from csi_lab.simulate.working_days import WorkingDays

# Reasons that say by themselves what product and place they are about; for the others both are drawn.
PRODUCT_OF = dict.fromkeys(
    ("slow_speed", "outage", "router", "late_repair", "failed_repair", "router_late", "router_damaged"), "broadband"
) | {"tv_box": "tv"}
SCENE_OF = dict.fromkeys(("slow_speed", "outage", "router", "tv_box", "router_late", "router_damaged"), "home") | {
    "rude_hall": "hall",
    "rude_hotline": "hotline",
    "ignored": "hotline",
}


def handled(
    cases: pd.DataFrame,
    opinions: Opinions,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    clock: WorkingDays,
) -> pd.DataFrame:
    """The cases with grade, working times of every step, outcome, money and answers about the handling.

    Parameters
    ----------
    cases
        Columns received, person (position in the register), type, reason, fault and ``repeats``: earlier cases of the
        same chain.
    opinions
        Satisfaction of the customers year by year.
    parameters
        The section ``complaints`` of the truth.
    rng
        Source of all draws.
    clock
        Working days and hours.

    Returns
    -------
    pandas.DataFrame
        The columns of ``cases`` and, among others, ``start, respond, resolve, reply, close`` (working time, see
        :class:`~csi_lab.simulate.working_days.WorkingDays`), ``due`` (number of the last working day), ``on_time``,
        ``outcome``, ``sat_outcome`` and ``sat_process`` of everybody, answered or not.
    """
    streams = rng.spawn(4)
    new = cases.copy()
    _classify(new, opinions, parameters, streams[0])
    _time(new, parameters, streams[1], clock)
    _settle(new, parameters, streams[2])
    _judge(new, parameters, streams[3])
    return new


def repeats(
    cases: pd.DataFrame, parameters: Mapping[str, Any], rng: np.random.Generator, *, clock: WorkingDays
) -> pd.DataFrame:
    """Further complaints of the same customer about the same issue, within some days of the feedback.

    Logit of a repeat: base + overdue + unsatisfied (low sat_outcome). ``parent`` is the index of the case before.
    """
    rule = parameters["repeat"]
    eta = (
        float(rule["base"])
        + float(rule["overdue"]) * (1 - cases["on_time"])
        + float(rule["unsatisfied"]) * (cases["sat_outcome"] <= int(parameters["unsatisfied"]))
    )
    again = rng.random(len(cases)) < chance(eta)
    soonest, latest = (int(rule[end] * 24 * 60) for end in ("after", "within"))
    lag = rng.integers(soonest, latest, len(cases)).astype("timedelta64[m]")
    received = clock.stamp(cases["reply"].to_numpy()) + lag
    next_ones = cases.loc[again, ["person", "type", "reason", "ring"]].copy()
    next_ones["received"] = received[again]
    next_ones["parent"] = cases.index[again]
    next_ones["repeats"] = cases.loc[again, "repeats"] + 1
    next_ones["fault"] = cases.loc[again, "fault"].where(cases.loc[again, "fault"] == "serial", "")
    return next_ones.reset_index(drop=True)


def _classify(new: pd.DataFrame, opinions: Opinions, p: Mapping[str, Any], rng: np.random.Generator) -> None:
    n, grades = len(new), p["grades"]
    new["channel"] = weighted(p["channels"], n, rng)
    for column, table, own in (("product", "products", PRODUCT_OF), ("scene", "scenes", SCENE_OF)):
        implied = new["reason"].map(own)
        new[column] = implied.where(implied.notna(), pd.Series(weighted(p[table], n, rng), index=new.index))
    remedy = weighted(p["remedies"], n, rng)
    new["remedy_sought"] = np.where(new["fault"] == "serial", "compensation", remedy)
    new["grade"] = weighted({g: v["share"] for g, v in grades.items()}, n, rng)
    new["severity"] = 0
    u = rng.random((3, n))
    for grade, rule in grades.items():
        here = (new["grade"] == grade).to_numpy()
        new.loc[here, "severity"] = weighted(dict(enumerate(rule["severity"], 1)), int(here.sum()), rng).astype("int64")
    for row, (flag, key) in enumerate(
        {"law_cited": "law", "profession_flag": "profession", "media_flag": "media"}.items()
    ):
        new[flag] = (u[row] < new["grade"].map({g: float(v[key]) for g, v in grades.items()})).astype("int64")
    new["major"] = (new["grade"] != "general").astype("int64")
    rule = p["emotion"]
    eta = (
        float(rule["satisfaction"]) * opinions.at(new["received"].to_numpy(), new["person"].to_numpy())
        + float(rule["major"]) * new["major"].to_numpy()
        + float(rule["repeated"]) * (new["repeats"].to_numpy() > 0)
    )
    new["emotion"] = ordered(eta, rule["cuts"], rng)
    handling, campaign = p["handling"], p["faults"]["campaign"]
    flagged = np.where(new["fault"] == "campaign", float(campaign["promise_flag"]), float(handling["promise_flag"]))
    new["promise_flag"] = (rng.random(n) < flagged).astype("int64")
    added = (rng.random(n) < float(handling["second_type"])) & (new["type"] != "attitude").to_numpy()
    new["second_type"] = pd.Series("attitude", index=new.index, dtype=object).where(added)
    new["contacts_24h"] = rng.poisson(float(handling["contacts"]), n)


def _time(new: pd.DataFrame, p: Mapping[str, Any], rng: np.random.Generator, clock: WorkingDays) -> None:
    n, rule, grades = len(new), p["handling"], p["grades"]
    median = new["grade"].map({g: float(v["median"]) for g, v in grades.items()}).to_numpy(float)
    limit = new["grade"].map({g: int(v["limit"]) for g, v in grades.items()}).to_numpy("int64")
    transfers = float(rule["transfers"]["mean"]) + float(rule["transfers"]["major"]) * new["major"].to_numpy()
    new["transfers"] = rng.poisson(transfers)
    took = median * np.exp(float(rule["sigma"]) * rng.standard_normal(n))
    first = float(rule["first_response"]["median"]) * np.exp(
        float(rule["first_response"]["sigma"]) * rng.standard_normal(n)
    )
    first = np.where(first < took, first, took * float(rule["first_response"]["at_the_latest"]))
    reply = float(rule["feedback"]["median"]) * np.exp(float(rule["feedback"]["sigma"]) * rng.standard_normal(n))
    start = clock.start(new["received"].to_numpy())
    new["start"], new["respond"], new["resolve"] = start, start + first, start + took
    new["reply"] = new["resolve"] + reply
    new["close"] = new["reply"] + rng.exponential(float(rule["closing"]), n)
    new["handling_days"], new["response_days"] = took, first
    day0, done = np.floor(start), np.floor(start + took + 1e-9)
    new["due"] = day0 + limit
    late = done > new["due"].to_numpy()
    told = late & (rng.random(n) < float(rule["extension"]["notified"]))
    in_time = told & (rng.random(n) < float(rule["extension"]["valid"]))
    part = rng.random(n)
    # Notice in time falls between the first answer and the end of the due date, late notice between then and the end.
    before = new["respond"] + part * np.maximum(new["due"] + 0.999 - new["respond"], 0)
    after = new["due"] + 1 + part * np.maximum(new["resolve"] - new["due"] - 1, 0)
    in_time &= (new["respond"] < new["due"] + 1).to_numpy()
    new["extend"] = np.where(told, np.where(in_time, before, after), np.nan)
    new["extended_due"] = np.where(told, new["due"] + int(rule["extension"]["days"]), np.nan)
    new["on_time"] = (~late | (in_time & (done <= new["extended_due"].fillna(0).to_numpy()))).astype("int64")
    new["promise"] = np.where(rng.random(n) < float(rule["promised"]), new["due"], np.nan)


def _settle(new: pd.DataFrame, p: Mapping[str, Any], rng: np.random.Generator) -> None:
    n, rule = len(new), p["handling"]
    solved = rng.random(n) < new["grade"].map({g: float(v["solved"]) for g, v in p["grades"].items()}).to_numpy(float)
    partly = rng.random(n) < float(rule["partly"])
    new["outcome"] = np.where(solved, "solved", np.where(partly, "partly", "refused"))
    new["courtesy"] = weighted(dict(enumerate(rule["courtesy"], 1)), n, rng).astype("int64")
    amounts = {k: float(v) for k, v in rule["amount"].items()}
    median = new["type"].map(amounts).to_numpy(float)
    new["amount"] = np.round(median * np.exp(amounts["sigma"] * rng.standard_normal(n)), 1)
    pay = rule["compensation"]
    paid = rng.random(n) < new["outcome"].map({k: float(pay[k]) for k in ("solved", "partly", "refused")}).to_numpy()
    span = float(pay["most"]) - float(pay["least"])
    first, second = (float(a) for a in pay["shape"])
    ratio = float(pay["least"]) + span * rng.beta(first, second, size=n)
    new["cost_compensation"] = np.where(paid, np.round(ratio * new["amount"], 1), 0.0)
    new["ratio"] = new["cost_compensation"] / new["amount"].where(new["amount"] > 0, 1.0)
    labour = rule["labour"]
    hours = float(labour["base"]) + float(labour["per_day"]) * new["handling_days"]
    hours = hours + float(labour["per_transfer"]) * new["transfers"]
    new["cost_labour"] = np.round(hours * np.exp(float(labour["sigma"]) * rng.standard_normal(n)), 1)
    cause = np.empty(n, dtype=object)
    for kind, table in p["causes"].items():
        here = (new["type"] == kind).to_numpy()
        cause[here] = weighted(table, int(here.sum()), rng)
    new["root_cause"] = pd.Series(cause, index=new.index).where(rng.random(n) < float(p["coded"]))


def _judge(new: pd.DataFrame, p: Mapping[str, Any], rng: np.random.Generator) -> None:
    n, a, b = len(new), p["sat_outcome"], p["sat_process"]
    polite = new["courtesy"].to_numpy(float) - 3
    eta = (
        float(a["on_time"]) * new["on_time"].to_numpy()
        + float(a["solved"]) * (new["outcome"] == "solved").to_numpy()
        + float(a["compensation"]) * new["ratio"].to_numpy() ** float(a["power"])
        + float(a["courtesy"]) * polite
    )
    new["sat_outcome"] = ordered(eta, a["cuts"], rng)
    prompt = np.floor(new["respond"] + 1e-9) - np.floor(new["start"]) <= int(b["prompt_within"])
    eta = (
        float(b["prompt"]) * prompt.to_numpy()
        + float(b["courtesy"]) * polite
        + float(b["transfers"]) * new["transfers"].to_numpy()
    )
    new["sat_process"] = ordered(eta, b["cuts"], rng)
    new["answers"] = rng.random(n) < new["channel"].map({k: float(v) for k, v in p["answered"].items()}).to_numpy()
    rule = p["handling"]["reopened"]
    back = np.where(new["sat_outcome"] <= int(p["unsatisfied"]), float(rule["unsatisfied"]), float(rule["others"]))
    new["reopened"] = (rng.random(n) < back).astype("int64")
    second = rule["second_closing"]
    wait = rng.exponential(float(rule["wait"]), n)
    again = float(second["median"]) * np.exp(float(second["sigma"]) * rng.standard_normal(n))
    new["reopen"] = np.where(new["reopened"] == 1, new["close"] + wait, np.nan)
    new["last_close"] = np.where(new["reopened"] == 1, new["close"] + wait + again, new["close"])
