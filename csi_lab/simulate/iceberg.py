"""Complaints on record, complaints that nobody wrote down, and dissatisfaction of which the operator never heard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.simulate.complaint_arrivals import customer_rates
from csi_lab.simulate.opinions import Opinions

WINDOW = 365  # days to which the questions about complaints refer


def recorded_in_a_year(
    about: pd.DataFrame, person: np.ndarray, date: np.ndarray, opinions: Opinions, parameters: Mapping[str, Any]
) -> np.ndarray:
    r"""Expected recorded complaints of each customer in the 365 days before a date.

    :math:`\frac{\text{rate}}{1000} \sum_y s_y \exp(b_1 \mathrm{SAT}_y + b_2 \ln(1 + \text{faults}))` with
    :math:`s_y` the share of the 365 days that lie in the calendar year y and in which the customer was one. Season,
    tariff change, injected faults and repeats are not in it.

    Parameters
    ----------
    about
        Rows of the register, with faults and tenure_months at about that date.
    person
        ``(n,)`` positions of these customers in ``opinions``.
    date
        ``(n,)`` datetime64 days.
    opinions
        Satisfaction year by year.
    parameters
        The section ``complaints`` of the truth.

    Examples
    --------
    >>> rules = {"rate": 50.0, "customer": {"satisfaction": -0.5, "faults": 0.6}}
    >>> people = pd.DataFrame({"faults": [0, 0], "tenure_months": [30, 6]})
    >>> when = np.array(["2025-03-01", "2025-03-01"], dtype="datetime64[D]")
    >>> recorded_in_a_year(people, np.array([0, 1]), when, Opinions.constant(np.zeros(2)), rules).round(3).tolist()
    [0.05, 0.025]
    """
    faults = about["faults"].to_numpy(float)
    start_of_year = date.astype("datetime64[Y]").astype("datetime64[D]")
    present = np.minimum(WINDOW, about["tenure_months"].to_numpy(float) * WINDOW / 12)
    now = np.minimum((date - start_of_year).astype("int64"), present)
    total = np.zeros(len(about))
    # The day before the year began stands for the part of the window that lies in the year before.
    for days, moment in ((now, date), (present - now, start_of_year - 1)):
        score = opinions.at(moment.astype("datetime64[m]"), person)
        total += days / WINDOW * customer_rates(faults, score, parameters)
    return float(parameters["rate"]) / 1000 * total


def unrecorded_chance(recorded: np.ndarray, parameters: Mapping[str, Any], *, register: bool) -> np.ndarray:
    r"""Chance of one complaint or more that is not in the register, given the expected recorded ones.

    With q = p_recorded it is :math:`1 - \exp(-r (1 - q) / q)`; without a register nothing is on record and all
    complaints count, :math:`1 - \exp(-r / q)`.

    Examples
    --------
    >>> rules = {"iceberg": {"p_contact": 0.25, "p_recorded": 0.5}}
    >>> float(unrecorded_chance(np.array([0.1]), rules, register=True)[0].round(4))
    0.0952
    """
    q = float(parameters["iceberg"]["p_recorded"])
    return -np.expm1(-recorded * ((1 - q) / q if register else 1 / q))


def layers(recorded: float, parameters: Mapping[str, Any]) -> dict[str, float]:
    """Numbers above and below the waterline, from the number of recorded complaints.

    Examples
    --------
    >>> layers(120.0, {"iceberg": {"p_contact": 0.25, "p_recorded": 0.60}})["occasions"]
    800.0
    """
    share = parameters["iceberg"]
    told = recorded / float(share["p_recorded"])
    occasions = told / float(share["p_contact"])
    return {
        "recorded": recorded,
        "told_not_recorded": told - recorded,
        "silent": occasions - told,
        "occasions": occasions,
    }
