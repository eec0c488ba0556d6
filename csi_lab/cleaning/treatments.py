"""Single treatments of missing answers: complete rows, item means, regression, and moments by EM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.cleaning.completed import Completed, completed, counted, groups_of, on_scale, remarks
from csi_lab.cleaning.missing import Gaps, shortened
from csi_lab.cleaning.normal_model import fill
from csi_lab.cleaning.respondents import column_names
from csi_lab.errors import DataError, listed
from csi_lab.incomplete import completed_moments
from csi_lab.moments import Moments
from csi_lab.settings import generator

if TYPE_CHECKING:
    from csi_lab.index.formula import Bounds


def listwise(data: Any, items: Sequence[str] | None = None, *, weights: Any = None) -> Completed:
    """Keep the rows that answered every item.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        The items; default all of the survey, or all columns that hold no weights.
    weights
        Sampling weights of a DataFrame: array, Series or column name.

    Returns
    -------
    Completed

    Raises
    ------
    DataError
        If columns are absent, not numbers or without any answer, or no row is complete.

    Notes
    -----
    Unbiased when answers are missing completely at random; else the complete rows are a sample of other people. Strata
    and PSUs that lose all their rows are named: for estimates that honour the design leave the rows in, as
    ``missing="listwise"`` of the estimators does, which keeps empty PSUs.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7.0, 8, None, 5], "q2": [6, 9, 7, None], "town": ["A", "A", "B", "C"]})
    >>> print(listwise(frame, ["q1", "q2"]))
    2 rows, 2 items, 0 filled, 0 missing
    listwise: 2 of 4 rows left out because an answer is missing
    """
    gaps = Gaps.of(data, items, weights)
    x = gaps.answers()
    whole = np.asarray(gaps.known.all(axis=1))
    if not (whole & gaps.used).any():
        raise DataError(
            f"no row of {len(x)} has answers to all {len(gaps.items)} items; ask for fewer, or fill the gaps"
        )
    lost = int((~whole).sum())
    how = f"listwise: {lost} of {len(x)} rows left out because an answer is missing{_emptied(gaps, whole)}"
    return completed(gaps, x, how, kept=whole)


def mean(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    within: str | Sequence[str] | None = None,
    weights: Any = None,
    step: float | None = None,
    bounds: Bounds | None = None,
) -> Completed:
    """Put the mean of the item, of all rows or of the row's group, in the place of each missing answer.

    Parameters
    ----------
    data, items, weights
        As in :func:`listwise`; means are weighted.
    within
        Column or columns whose combinations are the groups; ``None``: one group.
    step
        Round filled values to steps of this size from the lower bound (or zero); ``None``: leave them.
    bounds
        Set filled values beyond these to them: a pair, or a pair per item; ``None``: leave them.

    Returns
    -------
    Completed

    Raises
    ------
    DataError
        As in :func:`listwise`; or if a group has no answer to an item that it lacks, all such groups named.

    Notes
    -----
    Means stay those of the answers given; standard deviations and correlations come out too small, and so do standard
    errors computed as if the filled values had been observed.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7.0, 8, None, 5], "q2": [6.0, 9, 7, None], "town": ["A", "A", "B", "B"]})
    >>> mean(frame, ["q1", "q2"], within="town").frame["q1"].tolist()
    [7.0, 8.0, 5.0, 5.0]
    """
    gaps = Gaps.of(data, items, weights)
    x = gaps.answers()
    cell, labels = groups_of(gaps, within)
    lacking = ~gaps.known & gaps.used[:, None]

    def by_group(columns: np.ndarray) -> np.ndarray:
        return np.column_stack([np.bincount(cell, column, len(labels)) for column in columns.T])

    weight = by_group(gaps.weights[:, None] * gaps.known)
    none = (by_group(lacking) > 0) & ~(weight > 0)
    problems = [
        f"{labels[k]}: no answer to {shortened([name for name, no in zip(gaps.items, none[k], strict=True) if no])}"
        for k in np.flatnonzero(none.any(axis=1))
    ]
    if problems:
        raise DataError(listed(problems, "groups without a mean; join small groups, or leave out within="), problems)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = by_group(gaps.weights[:, None] * np.where(gaps.known, x, 0.0)) / weight
    filled, changed = on_scale(np.where(lacking, centre[cell], x), lacking, gaps.items, step, bounds)
    of = "item means" if within is None else f"item means within {len(labels)} groups"
    return completed(gaps, filled, f"{counted(gaps)} replaced by {of}{changed}{remarks(gaps)}")


def regression(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    predictors: Sequence[str] = (),
    weights: Any = None,
    step: float | None = None,
    bounds: Bounds | None = None,
) -> Completed:
    r"""Put expected values, given the other answers of the row, in the place of missing answers.

    .. math:: E(x_m \mid x_o) = \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} (x_o - \mu_o)

    with the maximum likelihood means and covariances of a multivariate normal model (EM), so that rows with gaps take
    part in the coefficients.

    Parameters
    ----------
    data, items, weights
        As in :func:`listwise`.
    predictors
        Further columns of numbers that help to predict; gaps in them are allowed and stay.
    step, bounds
        As in :func:`mean`.

    Returns
    -------
    Completed

    Raises
    ------
    DataError
        As in :func:`listwise` and :func:`csi_lab.incomplete.completed_moments`.
    EstimationError
        If EM has no solution.

    Notes
    -----
    Means are unbiased when answers are missing at random given those observed; filled values lie on the regression, so
    that variances come out too small and correlations too large: see :func:`stochastic_regression`.

    References
    ----------
    .. [1] Buck, S. F. (1960). A method of estimation of missing values in multivariate data suitable for use with an
       electronic computer. Journal of the Royal Statistical Society B, 22(2), 302-306.
    .. [2] Little, R. J. A., & Rubin, D. B. (2019). Statistical Analysis with Missing Data, 3rd ed. Wiley, ch. 4.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [1.0, 2, 3, 4, 5, 6], "q2": [2.0, 1, 4, 3, None, None]})
    >>> regression(frame).frame["q2"].round(2).tolist()
    [2.0, 1.0, 4.0, 3.0, 4.0, 4.6]
    """
    return _regressed(data, items, predictors, weights, step, bounds, None)


def stochastic_regression(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    rng: np.random.Generator | int,
    predictors: Sequence[str] = (),
    weights: Any = None,
    step: float | None = None,
    bounds: Bounds | None = None,
) -> Completed:
    """Put draws about the regression in the place of missing answers, so that variances and correlations are kept.

    As :func:`regression`, with a normal residual added to each expected value (residuals of one row go together).

    Parameters
    ----------
    data, items, predictors, weights, step, bounds
        As in :func:`regression`.
    rng
        Seed or generator.

    Returns
    -------
    Completed

    Raises
    ------
    DataError, EstimationError
        As in :func:`regression`.

    Notes
    -----
    Standard errors computed as if the filled values had been observed are too small, because one draw hides how
    uncertain it is; multiple imputation (:func:`csi_lab.cleaning.imputation.impute`) shows it.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [1.0, 2, 3, 4, 5, 6], "q2": [2.0, 1, 4, 3, None, None]})
    >>> found = stochastic_regression(frame, rng=1, step=1, bounds=(1, 10))
    >>> print(found.treatment)
    2 missing answers in 2 rows (q2 2) drawn about their regression (normal residuals, moments by EM); 2 of them rounded
    to steps of 1; 0 of them beyond the bounds and set to these
    """
    return _regressed(data, items, predictors, weights, step, bounds, generator(rng))


def em(data: Any, items: Sequence[str] | None = None, *, weights: Any = None) -> Moments:
    """Means and covariances of maximum likelihood from incomplete answers; nothing is filled in.

    Parameters
    ----------
    data, items, weights
        As in :func:`csi_lab.incomplete.completed_moments`, which does the work.

    Returns
    -------
    Moments
        For every estimator that takes moments; ``str`` of them says what was done to how many.

    Raises
    ------
    DataError, EstimationError
        As there.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [1.0, 2, 3, 4, 5, 6], "q2": [2.0, 1, 4, 3, None, None]})
    >>> em(frame).mean.round(3).tolist()
    [3.5, 3.1]
    """
    Gaps.of(data, items, weights).answers()
    return completed_moments(data, None if items is None else column_names(items), weights=weights, missing="em")


def _regressed(
    data: Any,
    items: Sequence[str] | None,
    predictors: Sequence[str],
    weights: Any,
    step: float | None,
    bounds: Bounds | None,
    rng: np.random.Generator | None,
) -> Completed:
    import pandas as pd

    gaps = Gaps.of(data, items, weights)
    before = gaps.answers()
    further = column_names(predictors, "predictors")
    both = [c for c in further if c in gaps.items]
    if both:
        raise DataError(f"predictors that are items already: {both}; items predict each other anyway")
    every = Gaps.of(gaps.frame, [*gaps.items, *further], gaps.weights)
    x = every.answers()
    k, lacking = len(gaps.items), ~gaps.known & gaps.used[:, None]
    if not lacking.any():
        return completed(gaps, before, f"no answers are missing{remarks(gaps)}")
    table = pd.DataFrame(x, columns=[*gaps.items, *further])
    moments = completed_moments(table, weights=gaps.weights if gaps.weighted else None)
    sd = moments.sd
    if moments.constant.any():
        flat = [name for name, c in zip(moments.names, moments.constant, strict=True) if c]
        raise DataError(f"columns do not vary: {flat}; leave them out")
    z = (x[gaps.used] - moments.mean) / sd
    drawn = fill(z, every.known[gaps.used], np.zeros(len(sd)), moments.corr, rng) * sd + moments.mean
    filled = before.copy()
    filled[gaps.used] = np.where(lacking[gaps.used], drawn[:, :k], before[gaps.used])
    filled, changed = on_scale(filled, lacking, gaps.items, step, bounds)
    what = (
        "replaced by their regression on the other answers (moments by EM)"
        if rng is None
        else "drawn about their regression (normal residuals, moments by EM)"
    )
    return completed(gaps, filled, f"{counted(gaps)} {what}{changed}{remarks(gaps)}")


def _emptied(gaps: Gaps, kept: np.ndarray) -> str:
    """Strata and PSUs that lose all their rows, in words."""
    strata, psu = gaps.design.strata, gaps.design.primary
    said = ""
    for role, columns in (("strata", [strata]), ("PSUs", [strata, psu])):
        if columns[-1] is None:
            continue
        cell, labels = groups_of(gaps, [c for c in columns if c is not None])
        lost = [label for k, label in enumerate(labels) if not kept[cell == k].any()]
        if lost:
            said += f"; {len(lost)} {role} lose all rows: {shortened(lost)}"
    return said
