"""Who answers a form of its own: in part respondents of the survey, so that answers can be joined, in part others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import DataError
from csi_lab.simulate.variates import chosen


def available(section: str, wanted: float, there: int, what: str, key: str) -> int:
    """The number wanted, refused when it is more than there are.

    Examples
    --------
    >>> available("journey", 900, 60, "customers", "respondents")
    Traceback (most recent call last):
    csi_lab.errors.DataError: journey: respondents = 900, but the market has 60 customers; ask for fewer
    """
    if wanted > there:
        raise DataError(f"{section}: {key} = {int(wanted)}, but the market has {there} {what}; ask for fewer")
    return int(wanted)


def respondents(
    customer: pd.Series,
    eligible: np.ndarray,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    section: str,
    what: str,
    survey: Iterable[int] | None,
) -> pd.DataFrame:
    """A random sample in two strata: respondents of the survey, and all other customers.

    Parameters
    ----------
    customer
        Customers of the register.
    eligible
        ``(n,)`` of bool: who may be asked.
    parameters
        ``respondents``, the number wanted, and ``from_survey``, the share of them that is drawn from the survey; where
        fewer of these are eligible, all of them are taken and more of the others.
    rng
        Random stream.
    section, what
        Names for messages.
    survey
        Customers of the survey; ``None``: there is none, and all are drawn from everybody.

    Returns
    -------
    DataFrame
        In the order of the register: place (position), customer, in_sample (1 for respondents of the survey) and
        weight (eligible customers for whom one stands).

    Examples
    --------
    >>> people, may = pd.Series(range(1, 101)), np.ones(100, dtype=bool)
    >>> rule, rng = {"respondents": 10, "from_survey": 0.5}, np.random.default_rng(1)
    >>> drawn = respondents(people, may, rule, rng, section="kano", what="customers", survey=range(1, 21))
    >>> drawn.groupby("in_sample")["weight"].agg(["size", "sum"]).to_dict("list")
    {'size': [5, 5], 'sum': [80.0, 20.0]}
    """
    n = available(section, parameters["respondents"], int(eligible.sum()), what, "respondents")
    share = float(parameters["from_survey"])
    asked = np.zeros(len(customer), dtype=bool) if survey is None else customer.isin(list(survey)).to_numpy()
    strata = {1: np.flatnonzero(eligible & asked), 0: np.flatnonzero(eligible & ~asked)}
    first = min(round(share * n), len(strata[1]))
    # Everybody else may be too few when nearly all customers are in the survey.
    first = max(first, n - len(strata[0]))
    parts = []
    for stratum, wanted in ((1, first), (0, n - first)):
        people = strata[stratum]
        place = people[chosen(len(people), wanted, rng)] if wanted else people[:0]
        weight = round(len(people) / max(wanted, 1), 6)
        parts.append(pd.DataFrame({"place": place, "in_sample": stratum, "weight": weight}))
    drawn = pd.concat(parts).sort_values("place", ignore_index=True)
    drawn.insert(1, "customer", customer.to_numpy()[drawn["place"]])
    return drawn.astype({"place": "int64", "in_sample": "int64", "weight": float})
