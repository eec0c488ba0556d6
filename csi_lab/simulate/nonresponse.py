"""Who answers and who cannot say: the response logit, the outcome of every issued customer, gaps in the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.answers import require_columns
from csi_lab.errors import DataError
from csi_lab.simulate.variates import chance

OVERALL = "SAT1"  # overall satisfaction: everybody answers it, and other gaps depend on the answer


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

    Raises
    ------
    DataError
        If a column is absent, or an age group has no effect.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> two = pd.DataFrame({"age_group": ["18-24", "50+"], "urban": [True, False]})
    >>> response_probability(two, np.array([0.0, 0.0]), truth.load("survey")).round(3).tolist()
    [0.332, 0.574]
    """
    stated = parameters["response"]
    require_columns(register, ("age_group", "urban"))
    strange = sorted(set(register["age_group"].astype(str)) - set(stated["age_group"]))
    if strange:
        raise DataError(f"age groups {strange} have no effect in the truth; there are {', '.join(stated['age_group'])}")
    logit = stated["base"] + stated["satisfaction"] * satisfaction + stated["urban"] * register["urban"].to_numpy()
    logit = logit + register["age_group"].map(dict(stated["age_group"])).to_numpy(dtype=float)
    return chance(logit)


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


def gap_chances(
    about: pd.DataFrame,
    response: np.ndarray,
    overall: np.ndarray,
    person: np.ndarray,
    items: Sequence[str],
    parameters: Mapping[str, Any],
    share: float | None = None,
) -> np.ndarray:
    r"""Chance of "cannot say" of each respondent and item.

    The odds are :math:`\frac{s_i}{1 - s_i}\, g_p \prod_k f_k^{x_{pk}} \exp(b_i z_{pi})`: share s of the item, gamma
    deviate g of the person, factors f of what is observed of the person, and for a few items the person's own
    response z behind the answer.

    Parameters
    ----------
    about
        Rows of the register, with age_group, contact and tenure_months.
    response
        ``(items, n)`` normal responses behind the answers.
    overall
        ``(n,)`` answers to the question on overall satisfaction, SAT1, which nobody leaves open.
    person
        ``(n,)`` gamma deviates with mean 1.
    items
        Names of the items.
    parameters
        The section ``survey`` of the truth.
    share
        Mean of the shares s over items, the differences between items kept; ``None``: as stated.

    Returns
    -------
    ndarray
        ``(n, items)``.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"age_group": ["35-49", "50+"], "contact": True, "tenure_months": 40})
    >>> stated = truth.load("survey")
    >>> chance = gap_chances(people, np.zeros((1, 2)), np.full(2, 8), np.ones(2), ["SAT2"], stated)[:, 0]
    >>> odds = chance / (1 - chance)
    >>> bool(np.isclose(odds[1] / odds[0], stated["item_missing"]["mar"]["age_50"]))
    True
    """
    stated = parameters["item_missing"]
    per_item = np.array([stated["share"].get(item, stated["share"]["default"]) for item in items])
    if share is not None:
        per_item = per_item * share / per_item.mean()
    # Odds rather than shares are multiplied, so that no probability leaves 0-1.
    odds = np.divide(per_item, 1 - per_item, out=np.full_like(per_item, np.inf), where=per_item < 1)
    factor = stated["mar"]
    old = (about["age_group"] == list(parameters["response"]["age_group"])[-1]).to_numpy()
    observed = np.where(old, factor["age_50"], 1.0)
    observed = observed * np.where(about["contact"].to_numpy(bool), 1.0, factor["no_contact"])
    observed = observed * np.where(about["tenure_months"].to_numpy() < 12, factor["first_year"], 1.0)
    observed = observed * factor["overall_point"] ** (np.asarray(overall, dtype=float) - stated["overall_at"])
    random = np.isin(list(items), list(stated["mcar"]))
    slope = np.array([stated["mnar"].get(item, 0.0) for item in items])
    with np.errstate(invalid="ignore"):
        scaled = odds * (person[:, None] * np.where(random, 1.0, observed[:, None]))
        scaled = np.where(odds == 0, 0.0, scaled * np.exp(slope * np.asarray(response, dtype=float).T))
        return np.where(np.isinf(scaled), 1.0, scaled / (1 + scaled))


def gaps(
    about: pd.DataFrame,
    response: np.ndarray,
    overall: np.ndarray,
    items: Sequence[str],
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    share: float | None = None,
) -> np.ndarray:
    """Cells that a respondent leaves open with "cannot say".

    Parameters
    ----------
    about, response, overall, items, parameters, share
        As in :func:`gap_chances`.
    rng
        Random stream.

    Returns
    -------
    ndarray
        ``(n, items)`` of bool.
    """
    shape = parameters["item_missing"]["shape"]
    person = rng.gamma(shape, 1 / shape, len(about))
    chance = gap_chances(about, response, overall, person, items, parameters, share)
    return rng.random(chance.shape) < chance
