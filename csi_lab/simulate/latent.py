"""What customers think: latent scores with group differences, towns, outlets and change over the waves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.simulate.seeds import child

CONSTRUCTS = ("IMG", "EXP", "PQ", "VAL", "SAT", "LOY")


def group_effects(register: pd.DataFrame, parameters: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """Direct effects of groups on each construct, ``(customers,)`` each, centred over the customers.

    Parameters
    ----------
    register
        As :func:`csi_lab.simulate.register.make_register` returns it.
    parameters
        The section ``market`` of the truth.
    seed
        Root of the random streams.
    """
    stated = parameters["effects"]
    total = {name: np.zeros(len(register)) for name in CONSTRUCTS}
    for column in ("operator", "age_group", "province"):
        code, labels = pd.factorize(register[column], sort=True)
        for construct in CONSTRUCTS:
            total[construct] += np.array([stated[column][label].get(construct, 0.0) for label in labels])[code]
    for construct, effect in stated["urban"].items():
        total[construct] += effect * register["urban"].to_numpy()
    counted = np.minimum(register["faults"].to_numpy(), stated["faults"]["counted"])
    total["PQ"] += stated["faults"]["any"] * (counted > 0)
    total["PQ"] += stated["faults"]["each_further"] * np.maximum(counted - 1, 0)
    for column, sds in (("town", stated["town_sd"]), ("branch", stated["outlet_sd"])):
        code, labels = pd.factorize(register[column], sort=True)
        for construct, sd in sds.items():
            total[construct] += sd * child(seed, f"{column} {construct}").standard_normal(len(labels))[code]
    return {name: effect - effect.mean() for name, effect in total.items()}


def latent_scores(
    effects: Mapping[str, np.ndarray], register: pd.DataFrame, parameters: Mapping[str, Any], seed: int, wave: int
) -> list[pd.DataFrame]:
    """Latent scores of every customer in the waves 0 to ``wave``, one frame per wave.

    Each score is its sources times their paths, plus group effects, the change of the wave and a disturbance. The
    variance of the disturbance is what remains to 1 in the base wave, and stays so.

    Raises
    ------
    SpecError
        If paths and effects alone explain more than all variance of a construct.
    """
    paths = parameters["paths"]
    keep = parameters["waves"]["persistence"]
    disturbance = np.empty((len(CONSTRUCTS), len(register)))
    sd: dict[str, float] = {}
    frames = []
    for now in range(wave + 1):
        fresh = child(seed, "latent", now).standard_normal(disturbance.shape)
        disturbance = fresh if now == 0 else keep * disturbance + np.sqrt(1 - keep**2) * fresh
        change = _change(register, parameters, now)
        score: dict[str, np.ndarray] = {}
        for j, name in enumerate(CONSTRUCTS):
            explained = effects[name] + change[name]
            for source, path in paths.get(name, {}).items():
                explained = explained + path * score[source]
            if now == 0:
                sd[name] = _remaining_sd(name, float(np.var(explained)))
            score[name] = explained + sd[name] * disturbance[j]
        frames.append(pd.DataFrame(score))
    return frames


def total_change(parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Change of the mean latent scores against the base wave, direct and through the paths.

    Parameters
    ----------
    parameters
        The section ``market`` of the truth.

    Returns
    -------
    DataFrame
        Index wave and operator, one column per construct.

    Raises
    ------
    SpecError
        If the parameters are not those of the section ``market``.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> total_change(truth.load("market")).loc[(3, "B"), ["VAL", "SAT"]].round(3).to_dict()
    {'VAL': 0.249, 'SAT': 0.191}
    """
    if not isinstance(parameters, Mapping) or "waves" not in parameters:
        raise SpecError("total_change needs the section `market` of the truth: parameters['market']")
    waves = range(len(parameters["waves"]["years"]))
    operators = list(parameters["operators"])
    rows = {}
    for wave in waves:
        for operator in operators:
            direct = _stated_change(parameters, wave, operator)
            total: dict[str, float] = {}
            for name in CONSTRUCTS:
                sources = parameters["paths"].get(name, {})
                total[name] = direct.get(name, 0.0) + sum(b * total[source] for source, b in sources.items())
            rows[wave, operator] = total
    index = pd.MultiIndex.from_tuples(list(rows), names=["wave", "operator"])
    return pd.DataFrame(list(rows.values()), index=index)


def _stated_change(parameters: Mapping[str, Any], wave: int, operator: str) -> dict[str, float]:
    waves = parameters["waves"]
    common = waves["change"].get(wave, {})
    own = waves["operator_change"].get(wave, {}).get(operator, {})
    return {name: common.get(name, 0.0) + own.get(name, 0.0) for name in CONSTRUCTS}


def _change(register: pd.DataFrame, parameters: Mapping[str, Any], wave: int) -> dict[str, np.ndarray]:
    code, labels = pd.factorize(register["operator"], sort=True)
    stated = [_stated_change(parameters, wave, operator) for operator in labels]
    return {name: np.array([one[name] for one in stated])[code] for name in CONSTRUCTS}


def _remaining_sd(construct: str, explained: float) -> float:
    if explained >= 1:
        raise SpecError(
            f"market: paths and effects explain {explained:.2f} of the variance 1 of {construct}; make them smaller"
        )
    # Rounded, so that the last bit of a sum over customers does not depend on the machine.
    return round(float(np.sqrt(1 - explained)), 6)
