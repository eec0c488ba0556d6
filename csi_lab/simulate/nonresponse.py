"""Who answers and who cannot say: the response logit, the outcome of every issued customer, gaps in the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def response_probability(register: pd.DataFrame, satisfaction: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    r"""Probability that a customer answers, :math:`1 / (1 + e^{-x})`.

    Parameters
    ----------
    register
        Rows of the register, with ``age_group`` and ``urban``.
    satisfaction
        ``(n,)`` true latent satisfaction of the wave.
    parameters
        The section ``survey`` of the truth.

    Returns
    -------
    ndarray
        ``(n,)``, between 0 and 1.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> two = pd.DataFrame({"age_group": ["18-24", "50+"], "urban": [True, False]})
    >>> response_probability(two, np.array([0.0, 0.0]), truth.load("survey")).round(3).tolist()
    [0.332, 0.574]
    """
    stated = parameters["response"]
    logit = stated["base"] + stated["satisfaction"] * satisfaction + stated["urban"] * register["urban"].to_numpy()
    logit = logit + register["age_group"].map(dict(stated["age_group"])).to_numpy(dtype=float)
    return 1 / (1 + np.exp(-logit))


def outcomes(
    register: pd.DataFrame,
    satisfaction: np.ndarray,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Outcome (AAPOR code) and number of calls of every issued customer.

    Customers with neither telephone nor e-mail are never reached (NC).

    Returns
    -------
    DataFrame
        Columns outcome (I interview, R refusal, NC no contact, O other) and calls; rows as in ``register``.
    """
    stated = parameters["response"]
    answers = rng.random(len(register)) < response_probability(register, satisfaction, parameters)
    codes, shares = list(stated["outcomes"]), np.cumsum(list(stated["outcomes"].values()))
    reason = np.searchsorted(shares, rng.random(len(register)) * shares[-1], side="right")
    outcome = np.where(answers, "I", np.array(codes)[reason])
    reached = (register["phone"] | register["email"]).to_numpy()
    outcome = np.where(reached, outcome, "NC")
    calls = np.minimum(rng.geometric(stated["per_call"], len(register)), stated["most_calls"])
    return pd.DataFrame(
        {"outcome": outcome.astype(object), "calls": np.where(outcome == "NC", stated["most_calls"], calls)}
    )


def gaps(
    old: np.ndarray,
    items: Sequence[str],
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    share: float | None = None,
) -> np.ndarray:
    """Cells that a respondent leaves open with "cannot say".

    Parameters
    ----------
    old
        ``(n,)`` whether a respondent is 50 or over.
    items
        Names of the items.
    parameters
        The section ``survey`` of the truth.
    rng
        Random stream.
    share
        Mean share over items and persons under 50, the differences between items kept; ``None``: as stated.

    Returns
    -------
    ndarray
        ``(n, items)`` of bool.
    """
    stated = parameters["item_missing"]
    per_item = np.array([stated["share"].get(item, stated["share"]["default"]) for item in items])
    if share is not None:
        per_item = per_item * share / per_item.mean()
    person = rng.gamma(stated["shape"], 1 / stated["shape"], len(old)) * np.where(old, stated["age_50"], 1.0)
    # Odds rather than shares are multiplied, so that no probability leaves 0-1.
    odds = np.divide(per_item, 1 - per_item, out=np.full_like(per_item, np.inf), where=per_item < 1)
    with np.errstate(invalid="ignore"):
        scaled = person[:, None] * odds
        chance = np.where(np.isinf(scaled), 1.0, scaled / (1 + scaled))
    return rng.random(chance.shape) < chance
