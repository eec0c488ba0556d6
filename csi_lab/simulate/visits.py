"""Mystery visits: outlet x shopper x wave on the sheet of fifteen items, with known parts of the variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from csi_lab.errors import SpecError
from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.requirements import needed
from csi_lab.simulate.respondents import available
from csi_lab.simulate.variates import chosen, standardised

STEPS = {"PF": 1, "N3": 3, "R5": 4}
EFFECTS = ("outlet", "shopper", "visit")


@dataclass(frozen=True)
class VarianceParts:
    """Variance of the total score (0 to 100, before the cap by critical items) by its sources, in squared points.

    Attributes
    ----------
    outlet, shopper, visit
        Variances of the three effects.
    item
        Variance left by the items themselves, given the three effects.
    mean
        Expected score.
    """

    outlet: float
    shopper: float
    visit: float
    item: float
    mean: float

    def to_frame(self) -> pd.DataFrame:
        """One row per source: variance and share."""
        parts = pd.Series({name: getattr(self, name) for name in (*EFFECTS, "item")}, name="variance")
        frame = parts.rename_axis("source").to_frame()
        return frame.assign(share=frame["variance"] / frame["variance"].sum())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {getattr(self, name):.1f}" for name in (*EFFECTS, "item"))
        return f"variance of the score in squared points: {parts}; mean {self.mean:.1f}"

    def _repr_html_(self) -> str:
        return f"<p>{self}</p>{self.to_frame().round(3).to_html()}"


def variance_parts(parameters: Mapping[str, Any]) -> VarianceParts:
    r"""The true variance parts of the score that the parameters imply, every item being applicable.

    Score :math:`100 \sum_i w_i s_i / \sum_i w_i` with chance :math:`m_i + d_i (o + p + v)` of an item: the effect of an
    outlet on the score has the slope :math:`\bar d = 100 \sum w_i d_i / \sum w_i`, hence the part
    :math:`\bar d^2 \sigma_o^2`; what the items add is :math:`100^2 \sum w_i^2 E[\mathrm{Var}(s_i)] / (\sum w_i)^2`.

    Parameters
    ----------
    parameters
        The section ``visits`` of the truth.

    Returns
    -------
    VarianceParts

    Raises
    ------
    SpecError
        If an effect could carry the chance of an item out of 0 to 1, all such items named.

    Notes
    -----
    Items that are not applicable at some visits change the parts a little: the lost weight is spread over the others.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> print(variance_parts(truth.load("visits")))
    variance of the score in squared points: outlet 34.2, shopper 8.6, visit 15.2, item 105.1; mean 74.3
    """
    level, slope, weight, steps = _sheet(parameters)
    share = weight / weight.sum()
    sd = {name: float(parameters["sd"][name]) for name in EFFECTS}
    pull = 100 * float(share @ slope)
    total = sum(value**2 for value in sd.values())
    spread = (level * (1 - level) - slope**2 * total) / steps
    item = 1e4 * float(share**2 @ spread)
    parts = {name: pull**2 * value**2 for name, value in sd.items()}
    return VarianceParts(**parts, item=item, mean=100 * float(share @ level))


def make(
    register: pd.DataFrame, latent: pd.DataFrame, parameters: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """Mystery visits to outlets of the market: one visit per outlet and wave, some made by two shoppers at once.

    Parameters
    ----------
    register
        One row per customer: branch, operator, province.
    latent
        Latent scores of the same customers: PQ, whose mean per outlet drives the outlet's quality.
    parameters
        The section ``visits`` of the truth.
    rng
        Source of all draws.

    Returns
    -------
    dict of DataFrame
        ``visits`` one row per filled sheet: visit (two sheets of one visit share it), outlet, operator, province,
        shopper, wave, date, time_in, minutes and the items A1 to D3 (PF 0 or 1, N3 0 to 3, R5 1 to 5; empty where not
        applicable).

    Raises
    ------
    DataError
        If the register or the latent scores lack something.
    SpecError
        If parameters are impossible.

    Notes
    -----
    An operator's shop has customers of one operator; where the register says otherwise the most frequent one is
    written.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"branch": np.repeat(range(1, 101), 5), "operator": "A", "province": "p1"})
    >>> scores = pd.DataFrame({"PQ": np.random.default_rng(0).normal(size=500)})
    >>> visits = make(people, scores, truth.load("visits"), np.random.default_rng(1))["visits"]
    >>> visits["outlet"].nunique(), visits["visit"].nunique()
    (90, 360)
    """
    require_possible({"visits": parameters})
    needed(register, latent, ("branch", "operator", "province"), ("PQ",))
    level, slope, _, steps = _sheet(parameters)
    sd, waves = parameters["sd"], parameters["waves"]
    streams = rng.spawn(4)

    outlets = _outlets(register, latent)
    quality = standardised(outlets["PQ"])
    wanted = available("visits", parameters["outlets"], len(outlets), "outlets", "outlets")
    outlets = outlets.assign(quality=quality).iloc[chosen(len(outlets), wanted, streams[0])]
    link, n = float(parameters["link"]), len(outlets)
    normal = link * outlets["quality"].to_numpy() + np.sqrt(1 - link**2) * streams[0].standard_normal(n)
    outlet_effect = float(sd["outlet"]) * _uniform(normal)
    shopper_effect = float(sd["shopper"]) * _uniform(streams[1].standard_normal(int(parameters["shoppers"])))

    place = np.tile(np.arange(n), len(waves["dates"]))
    wave = np.repeat(np.arange(len(waves["dates"])), n)
    visits = len(place)
    double = (streams[2].random(visits) < float(parameters["double"])) & (len(shopper_effect) > 1)
    first = streams[2].integers(0, len(shopper_effect), visits)
    other = (first + streams[2].integers(1, max(len(shopper_effect), 2), visits)) % len(shopper_effect)
    sheet_visit = np.concatenate([np.arange(visits), np.flatnonzero(double)])
    shopper = np.concatenate([first, other[double]])
    order = np.argsort(sheet_visit, kind="stable")
    sheet_visit, shopper = sheet_visit[order], shopper[order]

    effect = outlet_effect[place] + float(sd["visit"]) * _uniform(streams[2].standard_normal(visits))
    chance = level + slope * (effect[sheet_visit] + shopper_effect[shopper])[:, None]
    points = _points(chance, steps, sheet_visit, float(parameters["agreement"]), streams[3])
    absent = np.array([float(rule["na"]) for rule in parameters["items"].values()])
    points[(streams[3].random((visits, len(steps))) < absent)[sheet_visit]] = np.nan

    day = streams[2].integers(0, int(waves["days"]), visits)
    starts = np.array(list(waves["dates"]), dtype="datetime64[D]")[wave] + day.astype("timedelta64[D]")
    first_hour, last_hour = (int(hour) for hour in waves["hours"])
    minute = first_hour * 60 + streams[2].integers(0, (last_hour - first_hour) * 60, visits)
    long = parameters["minutes"]
    length = float(long["mean"]) + float(long["sd"]) * streams[2].standard_normal(visits)
    length = np.where(length > float(long["least"]), length, float(long["least"])).round().astype("int64")
    where = outlets.iloc[place[sheet_visit]]
    table = pd.DataFrame(
        {
            "visit": sheet_visit + 1,
            "outlet": where["branch"].to_numpy(),
            "operator": where["operator"].to_numpy(),
            "province": where["province"].to_numpy(),
            "shopper": shopper + 1,
            "wave": wave[sheet_visit] + 1,
            "date": starts[sheet_visit].astype(str),
            "time_in": [f"{m // 60:02d}:{m % 60:02d}" for m in minute[sheet_visit]],
            "minutes": length[sheet_visit],
        }
    )
    for column, (item, rule) in enumerate(parameters["items"].items()):
        answers = points[:, column] + (1 if rule["scale"] == "R5" else 0)
        table[item] = pd.array(answers, dtype="Float64").astype("Int64")
    return {"visits": table}


def _sheet(parameters: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """Level, slope, weight and steps of the items, refused when a chance could leave 0 to 1."""
    items = parameters["items"]
    strange = [name for name, rule in items.items() if rule["scale"] not in STEPS]
    if strange:
        raise SpecError(f"visits: items {strange}: scale must be one of {list(STEPS)}")
    level, slope, weight = (
        np.array([float(rule[key]) for rule in items.values()]) for key in ("level", "slope", "weight")
    )
    reach = np.sqrt(3) * sum(float(parameters["sd"][name]) for name in EFFECTS) * np.abs(slope)
    problems = [
        f"{name}: chance {low:.2f} to {high:.2f}"
        for name, low, high in zip(items, level - reach, level + reach, strict=True)
        if low < 0 or high > 1
    ]
    if problems:
        raise SpecError(
            f"visits: chances leave 0 to 1, lower slope or sd or move level: {'; '.join(problems)}", problems
        )
    steps = np.array([STEPS[rule["scale"]] for rule in items.values()])
    return level, slope, weight, steps


def _outlets(register: pd.DataFrame, latent: pd.DataFrame) -> pd.DataFrame:
    people = pd.DataFrame({c: register[c].to_numpy() for c in ("branch", "operator", "province")})
    most = people.groupby(["branch", "operator", "province"], sort=True, observed=True).size().reset_index(name="n")
    most = most.sort_values(["branch", "n"], ascending=[True, False], kind="stable").drop_duplicates("branch")
    mean = pd.Series(latent["PQ"].to_numpy(float)).groupby(people["branch"].to_numpy()).mean()
    return most.assign(PQ=most["branch"].map(mean)).reset_index(drop=True)


def _uniform(normal: np.ndarray) -> np.ndarray:
    """Normal deviates to uniform ones with mean 0 and standard deviation 1, in the same order."""
    return np.sqrt(3) * (2 * special.ndtr(normal) - 1)


def _points(
    chance: np.ndarray, steps: np.ndarray, sheet_visit: np.ndarray, agreement: float, rng: np.random.Generator
) -> np.ndarray:
    """Points of every item: each of its steps is fulfilled or not.

    Sheets of one visit share the uniform deviates of what happened, save for items that a shopper judges on their own;
    every sheet by itself keeps its chances.
    """
    most = int(steps.max())
    happened = rng.random((int(sheet_visit.max()) + 1, len(steps), most))[sheet_visit]
    alone = rng.random((len(sheet_visit), len(steps), most))
    second = np.r_[False, sheet_visit[1:] == sheet_visit[:-1]]
    own = second[:, None] & (rng.random((len(sheet_visit), len(steps))) >= agreement)
    deviates = np.where(own[:, :, None], alone, happened)
    fulfilled = (deviates < chance[:, :, None]) & (np.arange(most) < steps[:, None])
    return fulfilled.sum(axis=2).astype(float)
