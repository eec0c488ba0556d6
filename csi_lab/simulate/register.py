"""The register of customers: where they live, what they pay, how often the line fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.simulate.seeds import child
from csi_lab.simulate.variates import chance

COLUMNS = (
    "customer",
    "operator",
    "province",
    "region",
    "town",
    "urban",
    "branch",
    "age_group",
    "household",
    "plan",
    "tenure_months",
    "spend",
    "outlet_visits",
    "faults",
    "phone",
    "email",
    "degree",
    "contact",
)


def make_register(parameters: Mapping[str, Any], customers: int, seed: int) -> pd.DataFrame:
    """One row per customer, all columns of :data:`COLUMNS`.

    Parameters
    ----------
    parameters
        The section ``market`` of the truth.
    customers
        Number of customers, >= 1.
    seed
        Root of the random streams.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> register = make_register(truth.load("market"), 500, seed=1)
    >>> len(register), tuple(register.columns) == COLUMNS
    (500, True)
    """
    towns = _towns(parameters, customers, child(seed, "towns"))
    rng = child(seed, "register")
    # A register is in the order of signing up, not of geography.
    at = rng.permutation(np.repeat(np.arange(len(towns)), towns["customers"]))
    home = {name: towns[name].to_numpy()[at] for name in ("province", "region", "town", "urban")}
    people = parameters["people"]
    operators = list(parameters["operators"])
    odds = _operator_odds(parameters)[[list(parameters["provinces"]).index(p) for p in towns["province"]]][at]
    operator = _picked(rng, odds)
    urban = home["urban"]
    ages = list(people["age_group"]["rural"])
    shares = np.array([[people["age_group"][kind][age] for age in ages] for kind in ("rural", "urban")])
    age = _picked(rng, shares[urban.astype(int)])
    plans = list(people["plan"])
    plan = _picked(rng, np.array([[people["plan"][p] for p in plans]]), customers)
    price = np.array([people["price"][p] for p in plans])[plan]
    price = price * np.array([people["price_factor"][o] for o in operators])[operator]
    spend = price * np.exp(people["spend_sd"] * rng.standard_normal(customers))
    tenure = people["tenure"]
    months = tenure["least"] + rng.exponential(tenure["mean"] - tenure["least"], customers)
    faults = _faults(people["faults"], operators, operator, at, len(towns), rng)
    names = np.array(ages, dtype=object)[age]
    visits = people["outlet_visits"]
    rate = visits["mean"] * np.where(urban, 1.0, visits["rural"]) * np.where(names == ages[-1], visits["age_50"], 1.0)
    rate = rate * (1 + visits["per_fault"] * faults) * rng.gamma(visits["shape"], 1 / visits["shape"], customers)
    degree = people["degree"]["median"] * np.array([people["degree"]["age_factor"][a] for a in ages])[age]
    contact = people["contact"]
    logit = contact["base"] + contact["per_fault"] * (np.minimum(faults, contact["counted"]) - people["faults"]["mean"])
    columns: dict[str, Any] = {
        "customer": np.arange(1, customers + 1),
        "operator": np.array(operators, dtype=object)[operator],
        **home,
        "branch": _outlets(operator, at, operators, towns, parameters["towns"]["customers_per_outlet"], rng),
        "age_group": names,
        "household": np.array(list(people["household"]))[
            _picked(rng, np.array([list(people["household"].values())]), customers)
        ],
        "plan": np.array(plans, dtype=object)[plan],
        "tenure_months": np.minimum(months, tenure["most"]).astype(int),
        "spend": spend.round(2),
        "outlet_visits": rng.poisson(rate),
        "faults": faults,
        "phone": rng.random(customers) < people["phone"],
        "email": rng.random(customers) < np.array([people["email"][a] for a in ages])[age],
        "degree": np.maximum(1, degree * np.exp(people["degree"]["sd"] * rng.standard_normal(customers))).astype(int),
        "contact": rng.random(customers) < chance(logit),
    }
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


def _towns(parameters: Mapping[str, Any], customers: int, rng: np.random.Generator) -> pd.DataFrame:
    """One row per town: province, region, id, urban, number of customers."""
    provinces = parameters["provinces"]
    rows, weight = [], []
    for name, province in provinces.items():
        size = np.exp(parameters["towns"]["size_sd"] * rng.standard_normal(province["towns"]))
        largest = np.argsort(np.argsort(-size)) < round(parameters["towns"]["urban_share"] * len(size))
        weight.append(province["share"] * size / size.sum())
        rows += [(name, province["region"], f"{name}t{i:02d}", bool(urban)) for i, urban in enumerate(largest, 1)]
    towns = pd.DataFrame(rows, columns=["province", "region", "town", "urban"])
    share = np.concatenate(weight)
    towns["customers"] = rng.multinomial(customers, share / share.sum())
    return towns


def _operator_odds(parameters: Mapping[str, Any]) -> np.ndarray:
    """Operator shares ``(provinces, operators)``, the tilt of each province applied; rows sum to anything."""
    return np.array(
        [
            [block["share"] * province["tilt"].get(name, 1.0) for name, block in parameters["operators"].items()]
            for province in parameters["provinces"].values()
        ]
    )


def _picked(rng: np.random.Generator, shares: np.ndarray, size: int | None = None) -> np.ndarray:
    """A category per row, drawn with the shares of that row ``(n, k)``, or of the only row."""
    cumulated = np.cumsum(shares, axis=1)
    draw = rng.random(len(shares) if size is None else size)
    return (draw[:, None] * cumulated[:, -1:] >= cumulated[:, :-1]).sum(axis=1)


def _faults(
    stated: Mapping[str, Any],
    operators: list[str],
    operator: np.ndarray,
    at: np.ndarray,
    towns: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Faults in 12 months: Poisson with a rate that varies by operator, town and customer."""
    factor = np.array([stated["operator"][name] for name in operators])[operator]
    place = rng.gamma(stated["town_shape"], 1 / stated["town_shape"], towns)[at]
    return rng.poisson(stated["mean"] * factor * place * rng.gamma(stated["shape"], 1 / stated["shape"], len(at)))


def _outlets(
    operator: np.ndarray,
    at: np.ndarray,
    operators: list[str],
    towns: pd.DataFrame,
    per_outlet: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The outlet that serves each customer, such as ``p1t04-B2``."""
    cell = at * len(operators) + operator
    counts = np.bincount(cell, minlength=len(towns) * len(operators))
    outlets = 1 + (counts // per_outlet).astype(int)
    first = np.concatenate([[0], np.cumsum(outlets)])
    names = np.array(
        [
            f"{town}-{name}{i}"
            for t, town in enumerate(towns["town"])
            for o, name in enumerate(operators)
            for i in range(1, outlets[t * len(operators) + o] + 1)
        ],
        dtype=object,
    )
    return names[first[cell] + (rng.random(len(cell)) * outlets[cell]).astype(int)]
