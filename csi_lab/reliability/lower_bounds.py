"""Lower bounds of reliability: Guttman's lambdas and the greatest lower bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from csi_lab.intervals import Kind
from csi_lab.moments import Missing
from csi_lab.reliability.coefficient import (
    METRICS,
    Coefficient,
    CoefficientTable,
    Metric,
    Sample,
    matrix_of,
    require_metric,
)
from csi_lab.reliability.halves import MOST_ITEMS, best_split, random_remark, split_signs
from csi_lab.resampling import Replicates

# The barrier stops when the bound is known to within this share of the total variance.
GAP = 1e-11
MAX_NEWTON = 60
NO_FORMULA = "none: there is no formula for the greatest lower bound; draws= gives one"


def guttman(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    metric: Metric = "raw",
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> CoefficientTable:
    r"""Guttman's six lower bounds of the reliability of a sum score.

    With :math:`s_{ij}` the covariances and :math:`s_T^2` their sum:

    .. math::
        \lambda_1 &= 1 - \sum s_i^2 / s_T^2, \quad
        \lambda_2 = \lambda_1 + \sqrt{\tfrac{k}{k-1} \textstyle\sum_{i \ne j} s_{ij}^2} / s_T^2, \quad
        \lambda_3 = \tfrac{k}{k-1} \lambda_1 \;(\alpha), \\
        \lambda_4 &= \max_{\text{splits}} 4 s_{ab} / s_T^2, \quad
        \lambda_5 = \lambda_1 + 2 \sqrt{\max_i \textstyle\sum_{j \ne i} s_{ij}^2} / s_T^2, \quad
        \lambda_6 = 1 - \sum e_i^2 / s_T^2

    where :math:`e_i^2` is the variance of item i that the others do not explain.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    items
        The k >= 2 items; default all columns.
    metric
        ``"raw"`` from covariances, ``"standardised"`` from correlations.
    weights, scale, level, draws, rng, replicates, kind, missing
        As in :func:`csi_lab.reliability.cronbach_alpha`.

    Returns
    -------
    CoefficientTable
        Rows ``lambda1`` to ``lambda6``.

    Raises
    ------
    DataError
        As in :func:`csi_lab.reliability.cronbach_alpha`.
    EstimationError
        If there are not more rows than items, or items are exactly collinear (lambda 6 does not exist then).
    SpecError
        If a choice is unknown.

    Notes
    -----
    Lambda 4 is the best of all splits, of halves of any size (beyond 16 items: of 20,000 random halves, as a remark
    says). In a sample it, and the others to a lesser degree, run
    above their population values. Agrees with R psych 2.2.9 ``guttman()`` on correlations to 1e-10
    (``tests/reference/reliability``); lambda 4 with the exact search stored there.

    References
    ----------
    .. [1] Guttman, L. (1945). A basis for analyzing test-retest reliability. Psychometrika, 10(4), 255-282.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> guttman(survey, survey.constructs["Quality"]).table["estimate"].round(3).tolist()
    [0.748, 0.874, 0.872, 0.89, 0.846, 0.866]
    """
    require_metric(metric)
    sample = Sample.of(
        data, items, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    sample.require_scale()
    sample.require_inverse()
    moments = sample.moments
    k = len(moments.names)
    signs, _ = split_signs(k, np.random.default_rng(0))
    names = [f"lambda{i}" for i in range(1, 7)]
    table, interval = sample.estimates(lambda m: _lambdas(matrix_of(m, metric), signs), names, "the lambdas")
    return CoefficientTable(
        title=f"{scale}: Guttman's lower bounds, {METRICS[metric]}",
        table=table,
        interval=interval,
        level=level,
        n=moments.n,
        dropped=moments.dropped,
        remarks=sample.remarks if k <= MOST_ITEMS else (random_remark(k), *sample.remarks),
    )


def glb(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    metric: Metric = "raw",
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> Coefficient:
    r"""Greatest lower bound of the reliability of a sum score.

    .. math:: \text{glb} = 1 - \frac{\max \sum \theta_i}{1'S1} \quad\text{over}\quad
       \theta \ge 0,\; S - \operatorname{diag} \theta \text{ positive semidefinite}

    The reliability can be no lower than this, whatever the number of factors; every lambda lies below it.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    items
        The k >= 2 items; default all columns.
    metric
        ``"raw"`` from covariances, ``"standardised"`` from correlations.
    weights, scale, level, draws, rng, replicates, kind, missing
        As in :func:`csi_lab.reliability.cronbach_alpha`.

    Returns
    -------
    Coefficient
        ``parts``: the error variance of each item at the bound.

    Raises
    ------
    DataError
        As in :func:`csi_lab.reliability.cronbach_alpha`.
    EstimationError
        If there are not more rows than items, or items are exactly collinear.

    Notes
    -----
    Algorithm: Newton steps on the logarithmic barrier of the semidefinite program (minimum trace factor analysis), all
    draws at once, until the duality gap is below 1e-11 of the total variance. R psych's ``glb.fa`` is another number:
    the communalities of a factor analysis, which need not be a bound (on scale C of ``tests/reference/reliability`` it
    lies above the greatest one). In samples the glb is biased upwards, the more so the smaller n and the more items
    [2]_; so are its draws, and a percentile interval may lie above the estimate (``kind="bc"`` corrects for it).

    References
    ----------
    .. [1] Bentler, P. M., & Woodward, J. A. (1980). Inequalities among lower bounds to reliability. Psychometrika,
       45(2), 249-267.
    .. [2] ten Berge, J. M. F., & Sočan, G. (2004). The greatest lower bound to the reliability of a test and the
       hypothesis of unidimensionality. Psychometrika, 69(4), 613-625.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> round(glb(survey, survey.constructs["Quality"]).value, 3)
    0.903
    """
    import pandas as pd

    require_metric(metric)
    sample = Sample.of(
        data, items, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    sample.require_scale()
    sample.require_inverse()
    moments = sample.moments
    found = sample.interval(lambda m: _glb(matrix_of(m, metric))[0])
    value, errors = _glb(matrix_of(moments, metric))
    nan = float("nan")
    return Coefficient(
        coefficient="glb",
        definition=f"greatest lower bound by minimum trace factor analysis, {METRICS[metric]}",
        scale=scale,
        value=float(value),
        se=nan if found is None else float(found.se),
        low=nan if found is None else float(found.low),
        high=nan if found is None else float(found.high),
        level=level,
        interval=NO_FORMULA if found is None else sample.described(found),
        n=moments.n,
        dropped=moments.dropped,
        parts=pd.DataFrame({"error_variance": errors}, index=pd.Index(list(moments.names), name="item")),
        remarks=sample.remarks,
    )


def _lambdas(cov: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Lambda 1 to 6 ``(..., 6)``; NaN where the sum does not vary or the matrix has no inverse."""
    from csi_lab.factors.correlations import inverse

    k = cov.shape[-1]
    own = np.diagonal(cov, axis1=-2, axis2=-1)
    total = cov.sum(axis=(-2, -1))
    squares = (cov**2).sum(axis=-1) - own**2
    with np.errstate(divide="ignore", invalid="ignore"):
        first = 1 - own.sum(axis=-1) / total
        second = first + np.sqrt(k / (k - 1) * squares.sum(axis=-1)) / total
        fifth = first + 2 * np.sqrt(squares.max(axis=-1)) / total
        sd = np.sqrt(own)
        # What the others do not explain of each standardised item is one over the diagonal of the inverse.
        precision = inverse(cov / (sd[..., :, None] * sd[..., None, :]))
        residuals = own / np.diagonal(precision, axis1=-2, axis2=-1)
        sixth = 1 - residuals.sum(axis=-1) / total
    bounds = np.stack([first, second, k / (k - 1) * first, best_split(cov, signs), fifth, sixth], axis=-1)
    return np.where((total > 1e-12 * own.sum(axis=-1))[..., None], bounds, np.nan)


def _glb(cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Greatest lower bound ``(...)`` and the error variances ``(..., k)`` that reach it.

    Maximises :math:`t \sum \theta + \ln|S - \Theta| + \sum \ln \theta` for growing t; at the maximum the bound is
    known to within 2k/t (the dual solution is :math:`(S - \Theta)^{-1}/t`).
    """
    lead, k = cov.shape[:-2], cov.shape[-1]
    flat = cov.reshape(-1, k, k)
    errors = np.full((len(flat), k), np.nan)
    own = np.diagonal(flat, axis1=1, axis2=2)
    total = flat.sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = flat / np.sqrt(own[:, :, None] * own[:, None, :])
        good = np.isfinite(unit).all(axis=(1, 2)) & (total > 1e-12 * own.sum(axis=1))
    lowest = np.full(len(flat), np.nan)
    lowest[good] = np.linalg.eigvalsh(unit[good])[:, 0]
    at = np.flatnonzero(lowest > 1e-10)
    if len(at):
        # Half the smallest eigenvalue, in units of each item's variance, lies well inside.
        start = 0.5 * lowest[at, None] * own[at]
        errors[at] = _barrier(flat[at], start, total[at])
    value = 1 - errors.sum(axis=1) / total
    return value.reshape(lead), errors.reshape(*lead, k)


def _barrier(cov: np.ndarray, theta: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The maximising error variances ``(m, k)``, from a point inside."""
    k = cov.shape[-1]
    t = k / theta.sum(axis=1)
    eye = np.eye(k)
    # Each round multiplies t by ten, from k/sum(theta) until 2k/t <= GAP * total.
    rounds = int(np.ceil(np.log10((2 * k / (GAP * total) / t).max()))) + 1
    for _ in range(rounds):
        moving = np.arange(len(cov))
        for _ in range(MAX_NEWTON):
            s, x = cov[moving], theta[moving]
            inverse = np.linalg.inv(s - x[:, :, None] * eye)
            gradient = t[moving, None] - np.diagonal(inverse, axis1=1, axis2=2) + 1 / x
            curvature = inverse**2 + (1 / x**2)[:, :, None] * eye
            step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
            decrement = np.sqrt(np.maximum((gradient * step).sum(axis=1), 0))
            # Damped so that the next point stays inside (the barrier is self-concordant).
            theta[moving] = x + step / (1 + np.where(decrement > 0.25, decrement, 0))[:, None]
            moving = moving[decrement > 1e-6]
            if not len(moving):
                break
        t = t * 10
    return theta
