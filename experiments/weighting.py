"""What weights mend and what they do not, when satisfied customers answer more often than others.

3,000 customers are issued, as many in each province; fewer than half answer. The index is estimated with weights that
take in one thing after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from csi_lab.sampling import estimate, select, weight
from csi_lab.simulate.nonresponse import outcomes
from experiments import ways
from experiments.population import Population

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED = 11
ISSUED = 3_000
REPEATS = 300
CELLS = ("age_group", "urban")
MARGINS = ("province", "operator", "age_group")
LINKED = "faults_class"

STEPS = {
    "no weights": "respondents as they come",
    "base weights": "inverse probability of selection: the provinces get their shares back",
    "non-response cells": "base weights; in each cell of age and town or country, respondents take over the weight of "
    "those who did not answer",
    "raked": "then raked to the register: province, operator, age",
    "raked, with faults": "then also to the number of faults, which goes with satisfaction",
    "true probabilities": "base weights / true probability of answering: nobody has them outside a simulation",
}

CLOSE = (400, 4_000)
CHANCE_REPEATS = 200


def one_survey(people: Population, rng: np.random.Generator, *, issued: int = ISSUED) -> pd.DataFrame:
    """One sample, who of it answers, and the index with each of :data:`STEPS`.

    Returns
    -------
    DataFrame
        One row per step: estimate, se, low, high, and ``deff``, Kish's design effect of the weights.
    """
    frame = people.frame
    sample = select.stratified(frame, "province", issued, rng=rng, allocation="equal")
    rows, at = sample.frame, sample.frame.index.to_numpy()
    latent = people.market.latent_in(people.wave)["SAT"].to_numpy()
    codes = outcomes(rows.reset_index(drop=True), latent[at], people.market.parameters["survey"], rng)
    answered = (codes["outcome"] == "I").to_numpy()
    met = rows[answered]
    bare = replace(sample.design, weights=None)
    found = {}
    for name, weights in _weights(people, rows, answered, at):
        row = estimate.mean(met, "index", bare, weights=weights).to_frame().iloc[0]
        found[name] = row[["estimate", "se", "low", "high"]].astype(float)
        found[name]["deff"] = weight.design_effect(weights)
    return pd.DataFrame.from_dict(found, orient="index")


def _weights(
    people: Population, rows: pd.DataFrame, answered: np.ndarray, at: np.ndarray
) -> Iterator[tuple[str, object]]:
    """Weights of the respondents at each step."""
    met = rows[answered]
    base = met["weight"].to_numpy()
    yield "no weights", np.ones(len(met))
    yield "base weights", base
    cells = weight.nonresponse_cells(rows, "weight", list(CELLS), responded=answered).values[answered]
    yield "non-response cells", cells
    yield "raked", weight.rake(met, cells, _totals(people, MARGINS))
    yield "raked, with faults", weight.rake(met, cells, _totals(people, (*MARGINS, LINKED)))
    yield "true probabilities", base / _true_response(people)[at[answered]]


def _totals(people: Population, columns: tuple[str, ...]) -> dict[str, pd.Series]:
    """Counts of the register."""
    return {column: people.frame[column].value_counts() for column in columns}


def _true_response(people: Population) -> np.ndarray:
    """Probability to be reached and to answer, of every customer; only the contact data of an age group are known."""
    register, stated = people.market.register, people.market.parameters["market"]["people"]
    mail = register["age_group"].map(dict(stated["email"])).to_numpy(dtype=float)
    return people.response * (1 - (1 - stated["phone"]) * (1 - mail))


def expected(people: Population) -> pd.Series:
    r"""What each estimate tends to in ever larger samples: the same weights on the whole register, times the chance to
    be drawn and to answer.

    For weights that do not depend on the sample, :math:`\sum_k \pi_k p_k w_k y_k / \sum_k \pi_k p_k w_k`.
    """
    frame = people.frame
    chance = _true_response(people)
    selection = 1 / frame["province"].map(frame["province"].value_counts()).to_numpy(dtype=float)
    cell = frame.groupby(list(CELLS), observed=True).ngroup().to_numpy()
    rate = np.bincount(cell, weights=chance) / np.bincount(cell)
    adjusted = chance / rate[cell]
    mass = {
        "no weights": chance * selection,
        "base weights": chance,
        "non-response cells": adjusted,
        "raked": weight.rake(frame, adjusted, _totals(people, MARGINS)).values,
        "raked, with faults": weight.rake(frame, adjusted, _totals(people, (*MARGINS, LINKED))).values,
        "true probabilities": np.ones(len(frame)),
    }
    index = frame["index"].to_numpy()
    return pd.Series({name: float(m @ index / m.sum()) for name, m in mass.items()}, name="expected")


def repeated(people: Population, *, repeats: int = REPEATS, issued: int = ISSUED) -> pd.DataFrame:
    """Many surveys: index (number, step), columns as in :func:`one_survey`."""
    parts = {i: one_survey(people, np.random.default_rng([SEED, i]), issued=issued) for i in range(repeats)}
    return pd.concat(parts, names=["number", "step"])


def summary(table: pd.DataFrame, truth: float, expectation: pd.Series) -> pd.DataFrame:
    """What repeated surveys show: one row per step.

    Returns
    -------
    DataFrame
        ``expected`` bias, ``bias`` found and ``bias_error``, ``sd``, ``rmse``, ``coverage``, mean ``deff``.
    """
    groups = table.groupby(level="step", sort=False)
    spread, repeats = groups["estimate"].std(), groups.size()
    error = table["estimate"] - truth
    hit = (table["low"] <= truth) & (truth <= table["high"])
    return pd.DataFrame(
        {
            "expected": expectation - truth,
            "bias": error.groupby(level="step", sort=False).mean(),
            "bias_error": spread / np.sqrt(repeats),
            "sd": spread,
            "rmse": np.sqrt((error**2).groupby(level="step", sort=False).mean()),
            "coverage": hit.groupby(level="step", sort=False).mean(),
            "deff": groups["deff"].mean(),
        }
    ).reindex(list(STEPS))


def refusals(people: Population, *, repeats: int = CHANCE_REPEATS) -> pd.DataFrame:
    """Three ways of drawing when people may refuse, for two sizes: bias, its error, sd and rmse.

    Of a random sample so many are issued that about n answer; the two other ways go on until n have agreed.
    """
    willing = people.response
    rows = {}
    for n in CLOSE:
        found: dict[str, list[float]] = {"simple random": [], "quota": [], "convenience": []}
        for number in range(repeats):
            rng = np.random.default_rng([SEED, n, number])
            issued = select.simple_random(people.frame, round(n / willing.mean()), rng).frame
            said = rng.random(len(issued)) < willing[issued.index]
            found["simple random"].append(float(issued["index"][said].mean()))
            for name, draw in (("quota", ways.quota), ("convenience", ways.convenience)):
                found[name].append(float(draw(people, n, rng, willing).frame["index"].mean()))
        for name, values in found.items():
            error = np.array(values) - people.mean_index
            spread = error.std(ddof=1)
            rows[name, n] = (error.mean(), spread / np.sqrt(repeats), spread, np.sqrt((error**2).mean()))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["bias", "bias_error", "sd", "rmse"])
    table.index = pd.MultiIndex.from_tuples(table.index, names=["way", "n"])
    return table


def summary_as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The summary as cells for the page."""
    return pd.DataFrame(
        {
            "what is done": [STEPS[name] for name in table.index],
            "bias to expect": [f"{x:+.2f}" for x in table["expected"]],
            "bias found": [f"{x:+.2f} ± {e:.2f}" for x, e in zip(table["bias"], table["bias_error"], strict=True)],
            "sd": [f"{x:.2f}" for x in table["sd"]],
            "rmse": [f"{x:.2f}" for x in table["rmse"]],
            "intervals that hold the truth": [f"{100 * x:.1f} %" for x in table["coverage"]],
            "design effect of the weights": [f"{x:.2f}" for x in table["deff"]],
        },
        index=table.index.rename("weights"),
    )


def refusals_as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table of refusals as cells for the page: bias and rmse at both sizes."""
    cells = {}
    for n in CLOSE:
        part = table.xs(n, level="n")
        cells[f"n = {n:,}: bias"] = [
            f"{x:+.2f} ± {e:.2f}" for x, e in zip(part["bias"], part["bias_error"], strict=True)
        ]
        cells[f"n = {n:,}: rmse"] = [f"{x:.2f}" for x in part["rmse"]]
    return pd.DataFrame(cells, index=part.index)


def plot_steps(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Bias of each step with the range of 95 % of the surveys."""
    import matplotlib.pyplot as plt

    ax = plt.gca() if ax is None else ax
    place = np.arange(len(table))[::-1]
    ax.errorbar(table["bias"], place, xerr=1.96 * table["sd"], fmt="o", color="tab:blue", label="mean ± 1.96 sd")
    ax.plot(table["expected"], place, "x", color="tab:red", ms=8, label="expected from the register")
    ax.axvline(0, color="0.2", lw=1, ls="--")
    ax.set(yticks=place, yticklabels=list(table.index), xlabel="error of the index (points)")
    ax.legend(fontsize=9)
    return ax
