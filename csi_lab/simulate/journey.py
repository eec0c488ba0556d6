"""The customer journey: which contact points a customer meets, how each is judged, and what is remembered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.ratings import answer_levels, bounded
from csi_lab.simulate.requirements import needed
from csi_lab.simulate.respondents import respondents
from csi_lab.simulate.variates import chance, standardised

LOW, HIGH = 1, 10
COVARIATES = ("none", "faults", "outlet_visits")


def make(
    register: pd.DataFrame,
    latent: pd.DataFrame,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    customers: Iterable[int] | None = None,
) -> dict[str, pd.DataFrame]:
    r"""Contact points of a random sample of customers, and the satisfaction that they remember.

    .. math:: \text{remembered} = b_0 + b_1\,\text{peak} + b_2\,\text{end} + b_3\,\text{mean} + b_4\,\text{duration} + e

    Parameters
    ----------
    register
        One row per customer: customer, faults, outlet_visits.
    latent
        Latent scores of the same customers: SAT.
    parameters
        The section ``journey`` of the truth.
    rng
        Source of all draws.
    customers
        Customers of the survey, of whom a stated share of the respondents is drawn; ``None``: all are drawn from
        everybody.

    Returns
    -------
    dict of DataFrame
        ``journey`` one row per customer and contact point: customer, touchpoint, met (0 or 1), day (of the year),
        satisfaction (1 to 10; both empty when not met), importance (1 to 10, asked of everybody).
        ``journey_remembered`` one row per customer: customer, in_sample (1: respondent of the survey), weight
        (customers for whom one stands), touchpoints (number met), duration (days), remembered (0 to 100; empty for a
        customer who met no contact point).

    Raises
    ------
    DataError
        If the register or the latent scores lack something.
    SpecError
        If a covariate is unknown, a mean leaves the scale, or the remembered satisfaction could leave 0 to 100.

    References
    ----------
    .. [1] Kahneman, D., Fredrickson, B. L., Schreiber, C. A., & Redelmeier, D. A. (1993). Psychological Science, 4(6),
       401-405.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"customer": range(1, 1001), "faults": 1, "outlet_visits": 2})
    >>> scores = pd.DataFrame({"SAT": np.random.default_rng(0).normal(size=1000)})
    >>> tables = make(people, scores, truth.load("journey"), np.random.default_rng(1))
    >>> {name: len(table) for name, table in tables.items()}
    {'journey': 7200, 'journey_remembered': 900}
    """
    require_possible({"journey": parameters})
    needed(register, latent, ("customer", "faults", "outlet_visits"), ("SAT",))
    points, sd = parameters["touchpoints"], parameters["sd"]
    _possible(parameters)
    streams = rng.spawn(5)
    everybody = np.ones(len(register), dtype=bool)
    drawn = respondents(
        register["customer"], everybody, parameters, streams[0], section="journey", what="customers", survey=customers
    )
    place = drawn["place"].to_numpy()
    people, n, k = register.iloc[place], len(place), len(points)
    rules = list(points.values())

    eta = np.stack([_logit(people, rule) for rule in rules], axis=1)
    met = streams[1].random((n, k)) < chance(eta)
    first, last = (np.array([int(rule["days"][end]) for rule in rules]) for end in (0, 1))
    day = first + np.floor(streams[2].random((n, k)) * (last - first + 1)).astype("int64")

    r = float(parameters["satisfaction"])
    person = standardised(latent["SAT"].to_numpy(float))[place][:, None]
    attitude = r * person + np.sqrt(1 - r**2) * streams[3].standard_normal((n, k))
    means = np.array([float(rule["mean"]) for rule in rules])
    spread = float(sd["satisfaction"])
    satisfaction = bounded(answer_levels(means, spread, low=LOW, high=HIGH) + spread * attitude, low=LOW, high=HIGH)
    weight = np.array([float(rule["importance"]) for rule in rules])
    stated = answer_levels(weight, float(sd["importance"]), low=LOW, high=HIGH)
    importance = bounded(stated + float(sd["importance"]) * streams[3].standard_normal((n, k)), low=LOW, high=HIGH)

    remembered, duration = _remembered(satisfaction, day, met, parameters["remembered"], streams[4])
    long = pd.DataFrame(
        {
            "customer": np.repeat(people["customer"].to_numpy(), k),
            "touchpoint": np.tile(np.array(list(points), dtype=object), n),
            "met": met.ravel().astype("int64"),
            "day": pd.array(day.ravel(), dtype="Int64"),
            "satisfaction": pd.array(satisfaction.ravel(), dtype="Int64"),
            "importance": importance.ravel(),
        }
    )
    for column in ("day", "satisfaction"):
        long[column] = long[column].where(long["met"] == 1)
    wide = pd.DataFrame(
        {
            "customer": people["customer"].to_numpy(),
            "in_sample": drawn["in_sample"].to_numpy(),
            "weight": drawn["weight"].to_numpy(),
            "touchpoints": met.sum(axis=1),
            "duration": pd.array(duration, dtype="Int64"),
            "remembered": np.round(remembered, 1),
        }
    )
    wide["duration"] = wide["duration"].where(wide["touchpoints"] > 0)
    return {"journey": long, "journey_remembered": wide}


def _possible(parameters: Mapping[str, Any]) -> None:
    strange = sorted({rule["covariate"] for rule in parameters["touchpoints"].values()} - set(COVARIATES))
    if strange:
        raise SpecError(f"journey: covariates {strange} are unknown; there are {', '.join(COVARIATES)}")
    b = {name: float(value) for name, value in parameters["remembered"].items()}
    days = [int(day) for rule in parameters["touchpoints"].values() for day in rule["days"]]
    answers = [(b["peak"] + b["end"] + b["mean"]) * end for end in (LOW, HIGH)]
    lengths = [b["duration"] * length for length in (0, max(days) - min(days))]
    least = b["base"] + min(answers) + min(lengths) - b["error"]
    most = b["base"] + max(answers) + max(lengths) + b["error"]
    if least < 0 or most > 100:
        raise SpecError(f"journey: remembered could reach {least:.1f} to {most:.1f}, beyond 0 to 100")


def _logit(people: pd.DataFrame, rule: Mapping[str, Any]) -> np.ndarray:
    base = np.full(len(people), float(rule["base"]))
    if rule["covariate"] == "none":
        return base
    return base + float(rule["slope"]) * people[rule["covariate"]].to_numpy(float)


def _remembered(
    satisfaction: np.ndarray, day: np.ndarray, met: np.ndarray, b: Mapping[str, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Remembered satisfaction and days between the first and the last contact point; NaN and 0 where none was met."""
    some = np.asarray(met.any(axis=1))
    # Two contact points on one day follow each other in the order of the list; the later one is the end.
    order = np.where(met, day + np.arange(met.shape[1]) / met.shape[1], -1.0)
    end = np.take_along_axis(satisfaction, order.argmax(axis=1)[:, None], axis=1)[:, 0]
    peak = np.where(met, satisfaction, HIGH + 1).min(axis=1)
    mean = np.where(met, satisfaction, 0).sum(axis=1) / np.maximum(met.sum(axis=1), 1)
    last, first = np.where(met, day, -1).max(axis=1), np.where(met, day, 10**6).min(axis=1)
    duration = np.where(some, last - first, 0)
    value = float(b["base"]) + float(b["peak"]) * peak + float(b["end"]) * end + float(b["mean"]) * mean
    value = value + float(b["duration"]) * duration + float(b["error"]) * rng.uniform(-1, 1, len(some))
    return np.where(some, value, np.nan), duration
