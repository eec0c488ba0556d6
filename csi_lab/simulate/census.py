"""What estimators find when everybody is asked: the values that samples should come near."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from csi_lab.simulate.answers import HIGH, LOW
from csi_lab.simulate.latent import CONSTRUCTS, total_change

if TYPE_CHECKING:
    from csi_lab.model import PathModel
    from csi_lab.simulate.market import Market

# Constructs of the questionnaire by their names in the index model CCSI of the catalogue.
MODEL_NAMES = dict(
    zip(CONSTRUCTS, ("Image", "Expectation", "Quality", "Value", "Satisfaction", "Loyalty"), strict=True)
)
NOT_ASKED_OF_ALL = ("PQ5",)
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
        ``index``: wave to operator to construct, items weighted equally. ``latent_mean``: the same for the true latent
        scores. ``change``: expected change of the latent means against the base wave. ``index_pls``: the 0-100 index
        by outer weights and operator in the latest wave. ``paths_pls``, ``paths_plsc``: paths of both kinds of PLS in
        the latest wave. ``response``: mean probability of an answer, all and by operator.
    """
    latest = market.waves[-1]
    expected = total_change(market.parameters["market"])
    return {
        "index": {wave: _plain(market.truth_index(wave)) for wave in market.waves},
        "latent_mean": {wave: _plain(_by_operator(market, market.latent_in(wave))) for wave in market.waves},
        "change": {wave: _plain(expected.loc[wave]) for wave in market.waves},
        **_model_values(market, latest),
        "response": _response(market, latest),
    }


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
        index[name] = _series(from_fit(fit, (LOW, HIGH)).table["estimate"])
    return {
        "index_pls": index,
        "paths_pls": _paths(pls(everybody, model).paths["estimate"]),
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
