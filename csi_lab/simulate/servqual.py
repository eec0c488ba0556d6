"""SERVQUAL answers: 22 expectations, 22 perceptions and 100 points, with known gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.ratings import answer_levels, bounded
from csi_lab.simulate.requirements import needed, shares
from csi_lab.simulate.respondents import respondents
from csi_lab.simulate.variates import standardised

LOW, HIGH = 1, 7


def make(
    register: pd.DataFrame,
    latent: pd.DataFrame,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    customers: Iterable[int] | None = None,
) -> dict[str, pd.DataFrame]:
    """Answers of a random sample of customers with contact to both forms, and their 100 points.

    Parameters
    ----------
    register
        One row per customer: customer, operator, contact.
    latent
        Latent scores of the same customers: PQ.
    parameters
        The section ``servqual`` of the truth.
    rng
        Source of all draws.
    customers
        Customers of the survey, of whom a stated share of the respondents is drawn; ``None``: all are drawn from
        everybody.

    Returns
    -------
    dict of DataFrame
        ``servqual`` one row per respondent: customer, in_sample (1: respondent of the survey), weight (customers
        with contact for whom one stands), operator, ``expect_T1`` .. ``expect_E5``, ``perceive_T1`` ..
        ``perceive_E5`` (1 to 7) and ``points_<dimension>`` (0 to 100, adding up to 100).

    Raises
    ------
    DataError
        If the register or the latent scores lack something.
    SpecError
        If a mean leaves the scale or shares do not add up.

    Notes
    -----
    An answer is a normal attitude, rounded and held within 1 to 7; the centres are found so that the mean answers, and
    with them the gaps, are those stated (see :func:`csi_lab.simulate.ratings.answer_levels`).

    References
    ----------
    .. [1] Parasuraman, A., Zeithaml, V. A., & Berry, L. L. (1988). Journal of Retailing, 64(1), 12-40.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"customer": range(1, 801), "operator": "A", "contact": True})
    >>> scores = pd.DataFrame({"PQ": np.random.default_rng(0).normal(size=800)})
    >>> answers = make(people, scores, truth.load("servqual"), np.random.default_rng(1))["servqual"]
    >>> answers.shape, set(answers.filter(like="points").sum(axis=1))
    ((500, 53), {100})
    """
    require_possible({"servqual": parameters})
    needed(register, latent, ("customer", "operator", "contact"), ("PQ",))
    streams = rng.spawn(4)
    contact = register["contact"].to_numpy(bool)
    people = respondents(
        register["customer"],
        contact,
        parameters,
        streams[0],
        section="servqual",
        what="customers with contact",
        survey=customers,
    )
    with_contact, who = np.flatnonzero(contact), people["place"].to_numpy()
    items = {item: place for place, rule in enumerate(parameters["dimensions"].values()) for item in rule["items"]}
    _agree(items, parameters)
    # The respondents are those with contact, who may differ from the rest: quality is counted from their own mean.
    quality = standardised(latent["PQ"].to_numpy(float)[with_contact])[np.searchsorted(with_contact, who)]

    expected = np.array([float(parameters["expectation"][item]) for item in items])
    perceived = expected + np.array([float(parameters["gap"][item]) for item in items])
    table = {name: people[name].to_numpy() for name in ("customer", "in_sample", "weight")}
    table["operator"] = register["operator"].to_numpy()[who]
    r = float(parameters["quality"])
    persons = (
        streams[1].standard_normal(len(who)),
        r * quality + np.sqrt(1 - r**2) * streams[2].standard_normal(len(who)),
    )
    forms = (("expect", "expectation", expected), ("perceive", "perception", perceived))
    for (prefix, form, means), person, stream in zip(forms, persons, streams[1:3], strict=True):
        parts, sd = parameters["parts"][form], float(parameters["sd"][form])
        weight = np.sqrt(
            shares(f"servqual: parts: {form}", {k: parts[k] for k in ("person", "dimension", "statement")})
        )
        dimension = stream.standard_normal((len(who), len(parameters["dimensions"])))[:, list(items.values())]
        own = stream.standard_normal((len(who), len(items)))
        attitude = weight[0] * person[:, None] + weight[1] * dimension + weight[2] * own
        centre = answer_levels(means, sd, low=LOW, high=HIGH)
        answers = bounded(centre + sd * attitude, low=LOW, high=HIGH)
        table |= {f"{prefix}_{item}": answers[:, place] for place, item in enumerate(items)}
    table |= _points(len(who), parameters, streams[3])
    return {"servqual": pd.DataFrame(table)}


def _agree(items: Mapping[str, int], parameters: Mapping[str, Any]) -> None:
    listed = [item for rule in parameters["dimensions"].values() for item in rule["items"]]
    twice = sorted({item for item in listed if listed.count(item) > 1})
    if twice:
        raise SpecError(f"servqual: dimensions: items {twice} are named more than once")
    for table in ("expectation", "gap"):
        strange = sorted(set(parameters[table]) ^ set(items))
        if strange:
            raise SpecError(f"servqual: {table} and the items of the dimensions differ in {strange}")


def _points(n: int, parameters: Mapping[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """100 points in equal steps: Dirichlet preferences, then one choice of dimension per step; means as stated."""
    step = int(parameters["step"])
    if step < 1 or 100 % step:
        raise SpecError(f"servqual: step = {step} must divide 100")
    names = list(parameters["dimensions"])
    mean = shares("servqual: points / 100", {d: float(parameters["dimensions"][d]["points"]) / 100 for d in names})
    preference = rng.dirichlet(mean * float(parameters["concentration"]), size=n)
    points = step * rng.multinomial(100 // step, preference)
    return {f"points_{name}": points[:, place] for place, name in enumerate(names)}
