"""Means, totals, counts and variances of a population, and of its domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.design import Design
from csi_lab.errors import DataError
from csi_lab.sampling.estimate.collecting import (
    categories_of,
    collected,
    columns_of,
    domains_of,
    linear_estimates,
    named,
    only,
    row_index,
    usable_rows,
)
from csi_lab.sampling.estimate.respondents import Degrees, Gaps, Respondents
from csi_lab.sampling.estimate.results import Estimate, Estimates
from csi_lab.sampling.estimate.stage_variance import Lonely
from csi_lab.sampling.estimate.sums import apart
from csi_lab.settings import require_level


def mean(
    data: Any,
    columns: str | Sequence[str],
    design: Design | None = None,
    *,
    by: str | Sequence[str] | None = None,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Estimate | Estimates:
    r"""Means in the population, and in its domains.

    .. math:: \bar y = \frac{\sum w_k y_k}{\sum w_k}, \qquad z_k = \frac{y_k - \bar y}{\sum w}

    The variance comes from the totals :math:`\sum w_k z_k` of the sampling units, see
    :meth:`csi_lab.sampling.estimate.nested.Nested.covariance`.

    Parameters
    ----------
    data
        A survey (with its own design) or a DataFrame with one row per respondent.
    columns
        One column (the result is then a single estimate), or several.
    design
        Columns of weights, strata, sampling units and population sizes; ``None``: the survey's, or simple random
        sampling with equal weights. Without weights but with population sizes, the weights are N/n of all stages.
    by
        Column or columns whose labels are the domains. The sampling units outside a domain stay in the variance.
    weights
        A column, one number per row, or :class:`~csi_lab.sampling.weight.adjustment.AdjustedWeights`, whose
        calibrations (post-stratification, raking) reduce the variance. They replace the design's weights.
    level
        Confidence level of the interval, estimate -/+ t se.
    missing
        ``"raise"`` refuses missing values; ``"listwise"`` treats the rows that have all values as a domain: the others
        are nobody, their sampling units stay in the design. A missing domain label is a missing value.
    lonely
        What a stratum with a single sampling unit adds to the variance: ``"raise"`` an error, ``"certainty"`` nothing,
        ``"centred"`` the squared distance from the mean of all units, ``"average"`` as much as the others on average.
        The same goes for a unit of an earlier stage with a single unit of the next (one person per household); for
        these ``"with replacement"`` treats the first stage as drawn with replacement in the strata concerned: the
        variance then needs no units within units and is a little too large. Notes say what was done.
    df
        Degrees of freedom: ``"present"`` primary units minus strata among the rows used (R's ``subset``, Stata's
        domains); ``"design"`` those of the whole sample (R's ``svyby``); or a number (``inf``: normal intervals). A
        note names the rule where it matters.

    Returns
    -------
    Estimate or Estimates
        One estimate for one column without ``by``; else a table with index (domain, column) and the covariances.

    Raises
    ------
    DataError
        If columns are absent, hold text or gaps, or the design columns are unusable. Offenders are named.
    SpecError
        If keywords are unknown or weights are given twice.

    Notes
    -----
    Agrees with R survey 4.1-1 ``svymean``, ``svyby`` and ``subset`` to 1e-12 on the API samples
    (``tests/reference/survey``).

    References
    ----------
    .. [1] Särndal, C.-E., Swensson, B., & Wretman, J. (1992). Model Assisted Survey Sampling. Springer, ch. 4-5.
    .. [2] Lumley, T. (2004). Analysis of complex survey samples. Journal of Statistical Software, 9(8).

    Examples
    --------
    >>> frame = pd.DataFrame({"shop": [1, 1, 2, 2, 3, 3], "score": [7, 8, 5, 6, 9, 10], "shops": 30})
    >>> print(mean(frame, "score", Design(psu="shop", population="shops")))
    mean of score: 7.500, se 1.095, 95% CI [2.787, 12.213] (t, 2 df), deff 2.29, n = 6
    note: weights are population over sample size
    """
    return _linear("mean", data, columns, design, by, weights, level, missing, lonely, df)


def total(
    data: Any,
    columns: str | Sequence[str],
    design: Design | None = None,
    *,
    by: str | Sequence[str] | None = None,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Estimate | Estimates:
    r"""Totals in the population, and in its domains.

    .. math:: \hat Y = \sum w_k y_k, \qquad z_k = y_k

    Parameters
    ----------
    data, columns, design, by, weights, level, missing, lonely, df
        As in :func:`mean`. Weights or population sizes are needed.

    Returns
    -------
    Estimate or Estimates

    Raises
    ------
    DataError, SpecError
        As in :func:`mean`; also without weights, because rows then stand for no number of units.

    Notes
    -----
    With ``missing="listwise"`` the rows left out count as zero: the total is that of units with a known value. Agrees
    with R survey 4.1-1 ``svytotal`` to 1e-9 (``tests/reference/survey``).

    References
    ----------
    .. [1] Horvitz, D. G., & Thompson, D. J. (1952). A generalization of sampling without replacement from a finite
       universe. Journal of the American Statistical Association, 47, 663-685.

    Examples
    --------
    >>> frame = pd.DataFrame({"shop": [1, 1, 2, 2, 3, 3], "sales": [7, 8, 5, 6, 9, 10], "shops": 30})
    >>> print(total(frame, "sales", Design(psu="shop", population="shops")))
    total of sales: 450.000, se 65.727, 95% CI [167.201, 732.799] (t, 2 df), deff 2.29, n = 6
    note: weights are population over sample size
    """
    return _linear("total", data, columns, design, by, weights, level, missing, lonely, df)


def count(
    data: Any,
    column: str,
    design: Design | None = None,
    *,
    by: str | Sequence[str] | None = None,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Estimates:
    r"""How many units of the population are in each category.

    Parameters
    ----------
    data, design, by, weights, level, missing, lonely, df
        As in :func:`total`.
    column
        Column of categories: text, whole numbers or true/false.

    Returns
    -------
    Estimates
        One row per category (and domain).

    Raises
    ------
    DataError, SpecError
        As in :func:`total`.

    Examples
    --------
    >>> frame = pd.DataFrame({"type": ["a", "b", "a", "a"], "w": [10.0, 10, 20, 20]})
    >>> count(frame, "type", Design(weights="w")).table["estimate"].to_dict()
    {'a': 50.0, 'b': 10.0}
    """
    require_level(level)
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    values, labels, rows, notes = categories_of(people, column, by, missing)
    return linear_estimates("total", f"count of {column}", people, values, labels, by, rows, level, notes)


def variance(
    data: Any,
    columns: str | Sequence[str],
    design: Design | None = None,
    *,
    by: str | Sequence[str] | None = None,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Estimate | Estimates:
    r"""Variances in the population.

    .. math:: s^2 = \frac{n}{n-1} \frac{\sum w_k (y_k - \bar y)^2}{\sum w_k}

    Parameters
    ----------
    data, columns, design, by, weights, level, missing, lonely, df
        As in :func:`mean`.

    Returns
    -------
    Estimate or Estimates
        Without design effects.

    Raises
    ------
    DataError, SpecError
        As in :func:`mean`; if a domain has a single row.

    Notes
    -----
    The influence values are those of the mean of :math:`(y_k - \bar y)^2`: the mean itself adds nothing of the first
    order. Agrees with R survey 4.1-1 ``svyvar`` to 1e-9 (``tests/reference/survey``).

    Examples
    --------
    >>> print(variance(pd.DataFrame({"y": [1.0, 2, 4, 5]}), "y"))
    variance of y: 3.333, se 1.155, 95% CI [-0.3414, 7.008] (t, 3 df), n = 4
    """
    require_level(level)
    names, single = columns_of(columns)
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    values = people.values(names)
    rows, notes = usable_rows(people, values, by, missing)
    groups, parts = domains_of(people, by, rows)
    own = []
    for at in parts:
        n = len(at)
        if n < 2:
            raise DataError("a variance needs two rows or more in every domain")
        w = people.weights[at]
        squares = []
        for c in names:
            square = np.zeros(len(people.weights))
            square[at] = apart(values[c][at], (w @ values[c][at]) / w.sum()) ** 2 * (n / (n - 1))
            squares.append(square)
        sums = people.sums(squares, at)
        own.append((sums, sums.mean, sums.of_means()))
    labels = pd.Index(names, name="column")
    index = row_index(groups, labels, not single)
    what = "variances" if not single else f"variance of {columns}" + (f" by {named(by)}" if by is not None else "")
    found = collected(what, people, own, index, level, notes, None)
    return found if by is not None or not single else only(found, "variance", str(columns))


def _linear(
    statistic: str,
    data: Any,
    columns: str | Sequence[str],
    design: Design | None,
    by: str | Sequence[str] | None,
    weights: Any,
    level: float,
    missing: Gaps,
    lonely: Lonely,
    df: Degrees,
) -> Estimate | Estimates:
    """Means or totals of numeric columns."""
    require_level(level)
    names, single = columns_of(columns)
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    values = people.values(names)
    rows, notes = usable_rows(people, values, by, missing)
    labels = None if single else pd.Index(names, name="column")
    what = f"{statistic} of {columns}" if single else f"{statistic}s"
    found = linear_estimates(statistic, what, people, list(values.values()), labels, by, rows, level, notes)
    return found if by is not None or not single else only(found, statistic, str(columns))
