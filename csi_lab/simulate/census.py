"""What estimators find when everybody is asked: the values that samples should come near."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from csi_lab.simulate.answers import HIGH, LOW
from csi_lab.simulate.iceberg import layers, recorded_in_a_year
from csi_lab.simulate.latent import CONSTRUCTS, total_change
from csi_lab.simulate.opinions import opinions
from csi_lab.simulate.survey_bias import survey_bias

if TYPE_CHECKING:
    from csi_lab.model import PathModel
    from csi_lab.simulate.market import Market

# Constructs of the questionnaire by their names in the index model CCSI of the catalogue.
MODEL_NAMES = dict(
    zip(CONSTRUCTS, ("Image", "Expectation", "Quality", "Value", "Satisfaction", "Loyalty"), strict=True)
)
NOT_ASKED_OF_ALL = ("PQ5",)
STAFF = "Staff"
DECIMALS = 4


def census_model(market: Market) -> PathModel:
    """The path model of the study file: CCSI, without the item that only customers with contact are asked.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> print(census_model(simulate.make_market(customers=300, rng=1)))
    6 constructs, 22 items, 11 paths
    """
    from csi_lab.catalogue import models
    from csi_lab.model import PathModel

    blocks = {
        MODEL_NAMES[name]: tuple(item for item in block if item not in NOT_ASKED_OF_ALL)
        for name, block in market.blocks.items()
    }
    return PathModel(blocks, models["CCSI"].paths)


def census_values(market: Market) -> dict[str, Any]:
    """Census values, rounded to four decimals, as plain mappings.

    Returns
    -------
    dict
        ``index``: wave to operator to construct, items weighted equally. ``index_study``: the same in the latest wave
        for the constructs of the study file (Quality without PQ5; Staff is PQ5 among customers with contact).
        ``latent_mean``: as ``index``, for the true latent scores. ``change``: expected change of the latent means
        against the base wave. ``index_pls``: the 0-100 index by outer weights and operator in the latest wave, and
        ``outer_weights_pls``, the weights of the market behind it, with sum 1. ``paths_pls``, ``paths_plsc``: paths of
        both kinds of PLS in the latest wave. ``response``: mean probability of an answer, all and by operator.
        ``survey_bias``: see :func:`csi_lab.simulate.survey_bias.survey_bias`. ``iceberg``: complaints in the year
        before the survey, above and below the waterline, per 1,000 customers.
    """
    latest = market.waves[-1]
    expected = total_change(market.parameters["market"])
    wave = market.parameters["survey"]["design"]["wave"]
    blocks = {name: list(block) for name, block in census_model(market).constructs.items()}
    return {
        "index": {wave: _plain(market.truth_index(wave)) for wave in market.waves},
        "index_study": _plain(_study_index(market, blocks, latest)),
        "latent_mean": {wave: _plain(_by_operator(market, market.latent_in(wave))) for wave in market.waves},
        "change": {wave: _plain(expected.loc[wave]) for wave in market.waves},
        **_model_values(market, latest),
        "response": _response(market, latest),
        "survey_bias": {source: _plain(table) for source, table in survey_bias(market, blocks, wave).items()},
        "iceberg": _iceberg(market, wave),
    }


def _study_index(market: Market, blocks: dict[str, list[str]], wave: int) -> pd.DataFrame:
    """The 0-100 index of the constructs of the study file, by operator and for the market."""
    given = market.answers(wave)
    position = pd.DataFrame({name: given[block].mean(axis=1) for name, block in blocks.items()})
    contact = market.register["contact"].to_numpy(bool)
    for item in NOT_ASKED_OF_ALL:
        position[STAFF] = given[item].where(contact)
    return _by_operator(market, 100 * (position - LOW) / (HIGH - LOW))


def _iceberg(market: Market, wave: int) -> dict[str, float]:
    """Per 1,000 customers in the year before the survey, by the stated rates; additions and repeats are not in it."""
    start = np.datetime64(
        f"{market.parameters['market']['waves']['years'][wave]}-{market.parameters['survey']['fieldwork']['start']}"
    )
    everybody = np.arange(len(market.register))
    rules, date = market.parameters["complaints"], np.full(len(everybody), start)
    mean = recorded_in_a_year(market.register, everybody, date, opinions(market, last=wave), rules).mean()
    return {name: round(1000 * value, DECIMALS) for name, value in layers(float(mean), rules).items()}


def _model_values(market: Market, wave: int) -> dict[str, Any]:
    from csi_lab.index import from_fit
    from csi_lab.moments import Moments
    from csi_lab.sem import pls

    model = census_model(market)
    answers = market.answers(wave)[list(model.items)]
    operator = market.register["operator"].to_numpy()
    parts = {name: Moments.from_frame(answers[operator == name]) for name in sorted(set(operator))}
    everybody = sum(parts.values())
    index = {}
    for name, part in {**parts, "all": everybody}.items():
        fit = pls(part, model)
        result = from_fit(fit, (LOW, HIGH))
        index[name] = _series(result.table["estimate"])
    # The last of them is the market.
    weights = result.weights["estimate"]
    return {
        "index_pls": index,
        "outer_weights_pls": {name: _series(weights.xs(name)) for name in model.constructs},
        "paths_pls": _paths(fit.paths["estimate"]),
        "paths_plsc": _paths(pls(everybody, model, consistent=True).paths["estimate"]),
    }


def _response(market: Market, wave: int) -> dict[str, float]:
    from csi_lab.simulate.nonresponse import response_probability

    register = market.register
    chance = response_probability(register, market.latent_in(wave)["SAT"].to_numpy(), market.parameters["survey"])
    chance = np.where(register["phone"] | register["email"], chance, 0.0)
    mean = pd.Series(chance).groupby(register["operator"].to_numpy()).mean()
    return {**_series(mean), "all": round(float(chance.mean()), DECIMALS)}


def _by_operator(market: Market, table: pd.DataFrame) -> pd.DataFrame:
    means = table.groupby(market.register["operator"].to_numpy()).mean()
    return pd.concat([means, table.mean().to_frame("all").T])


def _paths(estimates: pd.Series) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for (source, target), value in estimates.items():
        found.setdefault(str(target), {})[str(source)] = round(float(value), DECIMALS)
    return found


def _series(values: pd.Series) -> dict[str, float]:
    return {str(name): round(float(value), DECIMALS) for name, value in values.items()}


def _plain(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    return {str(name): _series(row) for name, row in table.iterrows()}
