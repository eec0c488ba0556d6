"""Respondents whose answers taken together are far from those of the others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import linalg, special

from csi_lab.cleaning.flags import Flags, flags
from csi_lab.cleaning.respondents import Respondents, required_answers, respondents
from csi_lab.errors import EstimationError, SpecError
from csi_lab.near_pairs import pattern_rows
from csi_lab.settings import generator, is_number, require_level

# The smallest eigenvalue of a correlation matrix that still counts as positive.
SINGULAR = 1e-10


def mahalanobis(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    quantile: float = 0.999,
    answered: float = 0.5,
    weights: Any = None,
) -> Flags:
    r"""Squared Mahalanobis distance from the mean.

    .. math:: D^2 = (x - m)' S^{-1} (x - m) > \chi^2_{p}(0.999)

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    quantile
        Of the chi-square distribution that is the cut-off; default .999 [1]_.
    answered
        Share of the items that a respondent must have answered to be judged.
    weights
        Weights of a DataFrame; rows of weight zero are nobody. m and S are those of the respondents, unweighted.

    Returns
    -------
    Flags
        Value, and a cut-off for each respondent.

    Raises
    ------
    DataError
        If items are absent or text.
    EstimationError
        If there are too few complete rows, or S is singular; the items that cause it are named.
    SpecError
        If ``quantile`` or ``answered`` is impossible.

    Notes
    -----
    m and S (divisor n - 1) come from the complete rows. A respondent with gaps is judged by the q items answered:
    the same formula with these items' part of m and S, against chi-square with q degrees of freedom. Answers on
    rating scales are not normal, so that more than 0.1 % of careful respondents may be beyond the cut-off. A distance
    within the sample cannot exceed :math:`(n-1)^2/n`; where the cut-off does, a remark says so.

    References
    ----------
    .. [1] Tabachnick, B. G., & Fidell, L. S. (2013). Using multivariate statistics (6th ed.). Pearson.

    Examples
    --------
    >>> import csi_lab as csi
    >>> found = mahalanobis(csi.load_survey("mobile"), ["CUSA1", "CUSA2", "CUSA3"])
    >>> found.n_judged, round(float(found.table["cutoff"].iloc[0]), 3)
    (250, 16.266)
    """
    people, x, complete = _prepared(data, items, quantile, answered, weights)
    used = x[complete]
    n, p = used.shape
    center, cov = used.mean(axis=0), np.atleast_2d(np.cov(used, rowvar=False))
    _require_regular(cov, people.items)
    remarks = []
    most, cut = (n - 1) ** 2 / n, float(special.chdtri(p, 1 - quantile))
    if cut >= most:
        remarks.append(f"{n} complete rows are too few for any of them to be flagged: no D2 can exceed {most:.1f}")
    return _flagged(people, "Mahalanobis", x, center, cov, quantile, answered, "Mahalanobis distance", remarks)


def mcd(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    quantile: float = 0.999,
    answered: float = 0.5,
    support: float | None = None,
    rng: np.random.Generator | int = 0,
    weights: Any = None,
) -> Flags:
    """Squared Mahalanobis distance from centre and spread that outliers cannot shift: minimum covariance determinant.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    quantile, answered
        As in :func:`mahalanobis`.
    support
        Share of the rows that the estimate rests on, above .5; default (n + p + 1)/(2n), which resists most.
    rng
        Seed of the starting subsets.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags

    Raises
    ------
    DataError
        If items are absent or text.
    EstimationError
        If there are too few complete rows, or half of them lie in a plane, as happens when many give one answer.
    SpecError
        If ``quantile``, ``answered`` or ``support`` is impossible.

    Notes
    -----
    Location and reweighted covariance come from scikit-learn's ``MinCovDet`` (FAST-MCD [1]_ with its consistency
    factors), fitted to the complete rows in sorted order, so that the order of the data does not matter. In small
    samples more than the nominal share of clean rows is flagged [2]_. On rating scales it can be very many, since the
    estimate rests on the half of the rows that is most alike; when more than a quarter are flagged, a remark says so.
    Some ten thousand rows take seconds, 200,000 rows of six items a minute: for larger surveys judge a part at a time.

    References
    ----------
    .. [1] Rousseeuw, P. J., & Van Driessen, K. (1999). A fast algorithm for the minimum covariance determinant
       estimator. Technometrics, 41(3), 212-223.
    .. [2] Hardin, J., & Rocke, D. M. (2005). The distribution of robust distances. Journal of Computational and
       Graphical Statistics, 14(4), 928-946.

    Examples
    --------
    Ten of a hundred answers hide from the classical distance, not from this one:

    >>> import numpy as np, pandas as pd
    >>> x = np.random.default_rng(1).normal(size=(100, 2))
    >>> x[:10] += 6
    >>> frame = pd.DataFrame(x, columns=["q1", "q2"])
    >>> mahalanobis(frame).n_flagged, len(set(mcd(frame, rng=1).rows) & set(range(10)))
    (0, 10)
    """
    from sklearn.covariance import MinCovDet

    if support is not None and not (is_number(support) and 0.5 < support <= 1):
        raise SpecError(f"support={support!r} must be a share above 0.5, or None")
    people, x, complete = _prepared(data, items, quantile, answered, weights)
    used = x[complete]
    used = used[np.lexsort(used.T[::-1])]
    _require_regular(np.atleast_2d(np.cov(used, rowvar=False)), people.items)
    seed = int(generator(rng).integers(2**31 - 1))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fit = MinCovDet(support_fraction=support, random_state=seed).fit(used)
        except ValueError as error:
            raise EstimationError(f"MCD (scikit-learn MinCovDet): {error}") from None
    _require_regular(fit.covariance_, people.items, "the rows that lie closest together")
    remarks = [f"scikit-learn says: {text}" for text in dict.fromkeys(str(w.message) for w in said)]
    name = "MCD (scikit-learn MinCovDet)"
    return _flagged(people, name, x, fit.location_, fit.covariance_, quantile, answered, "MCD distance", remarks)


def _prepared(
    data: Any, items: Sequence[str] | None, quantile: float, answered: float, weights: Any
) -> tuple[Respondents, np.ndarray, np.ndarray]:
    """The respondents, their answers, and which rows are complete."""
    require_level(quantile, "quantile", 0.999)
    people = respondents(data, items, weights)
    p = len(people.items)
    required_answers(answered, p)
    x = people.answers
    complete = ~np.isnan(x).any(axis=1)
    if complete.sum() <= p:
        raise EstimationError(
            f"{int(complete.sum())} complete rows are too few for the covariances of {p} items; more than {p} are "
            "needed: choose fewer items, or treat the missing answers first"
        )
    return people, x, complete


def _require_regular(cov: np.ndarray, items: Sequence[str], where: str = "the complete rows") -> None:
    """Refuse a singular covariance matrix, naming the items that depend on those before them."""
    variances = np.diag(cov)
    flat = [item for item, v in zip(items, variances, strict=True) if not v > 1e-12 * max(1.0, variances.max())]
    if flat:
        raise EstimationError(f"items that do not vary in {where}: {flat}; leave them out")
    scale = np.sqrt(variances)
    corr = cov / np.outer(scale, scale)
    if np.linalg.eigvalsh(corr)[0] > SINGULAR:
        return
    # With pivots the items that add nothing to those before them come last.
    factor, order = linalg.qr(corr, mode="r", pivoting=True)
    rank = max(1, int((np.abs(np.diag(factor)) > SINGULAR * abs(factor[0, 0])).sum()))
    rank = min(rank, len(items) - 1)
    extra = [items[i] for i in sorted(order[rank:])]
    raise EstimationError(
        f"the covariance matrix is singular in {where}: {extra} can be computed from the other items; leave them out"
    )


def _flagged(
    people: Respondents,
    name: str,
    x: np.ndarray,
    center: np.ndarray,
    cov: np.ndarray,
    quantile: float,
    answered: float,
    statistic: str,
    remarks: Sequence[str],
) -> Flags:
    p = x.shape[1]
    need = required_answers(answered, p)
    squared, used = _squared_distances(x, center, cov, need)
    few = used < need
    partial = int((~few & (used < p)).sum())
    if partial:
        remarks = [*remarks, f"{partial} respondents with gaps are judged by the items they answered"]
    found = flags(
        people,
        name,
        squared,
        special.chdtri(np.maximum(used, 1), 1 - quantile),
        ">",
        statistic=f"squared {statistic}",
        rule=f"squared {statistic} over {p} items above the {quantile:g} quantile of chi-square",
        unjudged={f"with fewer than {need} of {p} answers": few},
        remarks=remarks,
    )
    return found.doubted(
        "outliers",
        "answers on rating scales are coarse and skewed, and the chi-square cut-off holds for normal ones",
    )


def _squared_distances(
    x: np.ndarray, center: np.ndarray, cov: np.ndarray, need: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """D2 ``(n,)`` over the items answered, NaN with fewer than ``need``, and the number of items answered ``(n,)``."""
    known = ~np.isnan(x)
    count = known.sum(axis=1)
    squared = np.full(len(x), np.nan)
    for pattern, rows in pattern_rows(known):
        there = np.flatnonzero(pattern)
        if len(there) < need:
            continue
        root = np.linalg.cholesky(cov[np.ix_(there, there)])
        whitened = linalg.solve_triangular(root, (x[rows][:, there] - center[there]).T, lower=True, check_finite=False)
        squared[rows] = (whitened**2).sum(axis=0)
    return squared, count
