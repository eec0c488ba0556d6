"""Shares of a population, with intervals that stay between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import special

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.estimate.collecting import categories_of, linear_estimates, only
from csi_lab.sampling.estimate.limits import critical
from csi_lab.sampling.estimate.respondents import Degrees, Gaps, Respondents
from csi_lab.sampling.estimate.results import Estimate, Estimates
from csi_lab.sampling.estimate.stage_variance import Lonely
from csi_lab.sampling.estimate.wording import enumerated
from csi_lab.settings import require_level
from csi_lab.shares import wilson

Ends = Literal["wald", "logit", "wilson"]
ENDS = ("wald", "logit", "wilson")


def proportion(
    data: Any,
    column: str,
    design: Design | None = None,
    *,
    category: Any = None,
    by: str | Sequence[str] | None = None,
    interval: Ends = "wilson",
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Estimate | Estimates:
    r"""Share of the population in each category.

    Intervals, with t the quantile of Student's distribution: ``"wald"`` :math:`p \pm t\,se`; ``"logit"``
    :math:`\log\frac{p}{1-p} \pm t \frac{se}{p(1-p)}`, turned back; ``"wilson"`` Wilson's interval with t for z and the
    effective sample size n over the design effect [1]_. The last two stay inside 0 to 1.

    Parameters
    ----------
    data, design, by, weights, level, missing, lonely, df
        As in :func:`csi_lab.sampling.estimate.mean`.
    column
        Column of categories: text, whole numbers or true/false.
    category
        One category: the result is then a single estimate unless there are domains.
    interval
        See above.

    Returns
    -------
    Estimate or Estimates

    Raises
    ------
    DataError, SpecError
        As in :func:`csi_lab.sampling.estimate.mean`; if the category does not occur.

    Notes
    -----
    A share of 0 or 1 has no standard error from the data. Its Wald and logit intervals are NaN; Wilson's takes Kish's
    effective size (sum w)^2 / sum w^2 there, and a note names the categories.

    References
    ----------
    .. [1] Franco, C., Little, R. J. A., Louis, T. A., & Slud, E. V. (2019). Comparative study of confidence intervals
       for proportions in complex sample surveys. Journal of Survey Statistics and Methodology, 7(3), 334-364.

    Examples
    --------
    >>> frame = pd.DataFrame({"bought": ["yes", "no", "yes", "yes", "no", "yes"]})
    >>> print(proportion(frame, "bought", category="yes", interval="logit"))
    share of bought = yes: 0.6667, se 0.2108, 95% CI [0.1486, 0.9582] (logit, 5 df), deff 1.00, n = 6
    """
    require_level(level)
    if interval not in ENDS:
        raise SpecError(f"interval={interval!r} is unknown; use one of {list(ENDS)}")
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    values, labels, rows, notes = categories_of(people, column, by, missing)
    if category is not None:
        known = list(labels)
        if category not in known:
            raise DataError(f"category {category!r} does not occur in {column!r}; it has {known[:12]}")
        values = [values[known.index(category)]]
        labels = pd.Index([category], name=column)
    found = linear_estimates("mean", f"share of {column}", people, values, labels, by, rows, level, notes)
    found = _bounded(found, interval)
    if category is None or by is not None:
        return found
    return only(found, "share", f"{column} = {category}")


def _bounded(found: Estimates, interval: Ends) -> Estimates:
    """Intervals of shares."""
    t = found.table
    p, se = t["estimate"].to_numpy(), t["se"].to_numpy()
    quantile_ = critical(t["df"].to_numpy(), found.level)
    # Rounding may leave a share of 1 at 1 - 1e-16 with an error of 1e-17.
    edge = (p <= 1e-12) | (p >= 1 - 1e-12)
    notes = found.notes
    if edge.any():
        size = "Kish's effective size serves the interval" if interval == "wilson" else "there is no interval"
        notes = (*notes, f"shares of 0 or 1 have no standard error; {size}: {enumerated(t.index[edge])}")
    with np.errstate(divide="ignore", invalid="ignore"):
        if interval == "wald":
            low, high = p - quantile_ * se, p + quantile_ * se
        elif interval == "logit":
            middle, half = special.logit(p), quantile_ * se / (p * (1 - p))
            low, high = special.expit(middle - half), special.expit(middle + half)
        else:
            n = np.where(edge, t["n"] / t["deff_kish"], t["n"] / t["deff_replace"])
            low, high = wilson(np.clip(p, 0.0, 1.0), n, quantile_)
    if interval != "wilson":
        low, high = np.where(edge, np.nan, low), np.where(edge, np.nan, high)
    table = t.assign(low=low, high=high)
    return replace(found, table=table, interval=interval, notes=notes)
