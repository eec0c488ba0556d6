"""Answers to Kano pairs with known shares of the categories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.ratings import answer_levels, bounded
from csi_lab.simulate.requirements import needed, shares
from csi_lab.simulate.respondents import respondents
from csi_lab.simulate.variates import category

# Rows: functional answer, columns: dysfunctional answer, 1 like .. 5 dislike (Kano et al. 1984; Berger et al. 1993).
EVALUATION = ("QAAAO", "RIIIM", "RIIIM", "RIIIM", "RRRRQ")
CATEGORIES = ("A", "O", "M", "I", "R", "Q")


def make(
    register: pd.DataFrame,
    latent: pd.DataFrame,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    customers: Iterable[int] | None = None,
) -> dict[str, pd.DataFrame]:
    """Answers of a random sample of customers to the pairs of eight features, and the importance they state.

    Parameters
    ----------
    register
        One row per customer: customer, urban.
    latent
        Not used beyond its length.
    parameters
        The section ``kano`` of the truth.
    rng
        Source of all draws.
    customers
        Customers of the survey, of whom a stated share of the respondents is drawn; ``None``: all are drawn from
        everybody.

    Returns
    -------
    dict of DataFrame
        ``kano`` one row per respondent: customer, in_sample (1: respondent of the survey), weight (customers for whom
        one stands), segment (urban, rural), then per feature ``K1_functional``,
        ``K1_dysfunctional`` (1 like .. 5 dislike) and ``K1_importance`` (1 to 9).

    Raises
    ------
    DataError
        If the register lacks something.
    SpecError
        If shares do not add up to 1.

    References
    ----------
    .. [1] Kano, N., Seraku, N., Takahashi, F., & Tsuji, S. (1984). Hinshitsu, 14(2), 39-48.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"customer": range(1, 1001), "urban": [True, False] * 500})
    >>> kano = make(people, people, truth.load("kano"), np.random.default_rng(1))["kano"]
    >>> kano.shape
    (600, 28)
    """
    require_possible({"kano": parameters})
    needed(register, latent, ("customer", "urban"))
    streams = rng.spawn(3)
    everybody = np.ones(len(register), dtype=bool)
    people = respondents(
        register["customer"], everybody, parameters, streams[0], section="kano", what="customers", survey=customers
    )
    urban = register["urban"].to_numpy(bool)[people["place"]]
    table = {name: people[name].to_numpy() for name in ("customer", "in_sample", "weight")}
    table["segment"] = np.where(urban, "urban", "rural")
    pairs = _pairs(parameters)
    for feature, rule in parameters["features"].items():
        given = np.stack(
            [
                shares(f"kano: {feature}: {segment}", {c: rule[segment][c] for c in CATEGORIES})
                for segment in ("rural", "urban")
            ]
        )
        cell = category((given @ pairs)[urban.astype(int)], streams[1])
        levels = answer_levels(float(rule["importance"]), float(parameters["importance_sd"]), low=1, high=9)
        x = levels + float(parameters["importance_sd"]) * streams[2].standard_normal(len(people))
        table[f"{feature}_functional"] = cell // 5 + 1
        table[f"{feature}_dysfunctional"] = cell % 5 + 1
        table[f"{feature}_importance"] = bounded(x, low=1, high=9)
    return {"kano": pd.DataFrame(table)}


def _pairs(parameters: Mapping[str, Any]) -> np.ndarray:
    """Probability of each of the 25 answer pairs given the category, one row per category."""
    functional, dysfunctional = (
        np.array([float(parameters[form][answer]) for answer in range(1, 6)])
        for form in ("functional", "dysfunctional")
    )
    weight = np.outer(functional, dysfunctional).ravel()
    evaluated = np.array([mark for row in EVALUATION for mark in row])
    table = np.stack([np.where(evaluated == c, weight, 0.0) for c in CATEGORIES])
    return table / table.sum(axis=1, keepdims=True)
