"""What follows from the likelihood: parameter covariances, robust sandwiches, scaled tests, the delta method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from csi_lab.errors import EstimationError
from csi_lab.sem.cb_answers import Answers
from csi_lab.sem.cb_likelihood import evaluate, scores
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Row, Specification
from csi_lab.sem.cb_structure import Cells, matrices
from csi_lab.sem.cb_units import Clusters, UnitTotals

ThetaFunction = Callable[[np.ndarray], np.ndarray]

# Eigenvalue of the information (unit diagonal) below which a direction of theta is undetermined.
UNDETERMINED = 1e-9


@dataclass(frozen=True)
class Scaling:
    """Scaling factors of the test of the model and of the baseline model."""

    model: float
    baseline: float


def cells_of(specification: Specification) -> list[Cells]:
    """The index arrays of all groups."""
    return [Cells.of(specification, g) for g in range(len(specification.groups))]


def information(specification: Specification, sample: Sample, theta: np.ndarray, kind: str) -> np.ndarray:
    """Expected or observed information ``(q, q)`` at ``theta (q,)``."""
    what = "observed" if kind == "observed" else "expected"
    found = evaluate(cells_of(specification), sample.groups, sample.scale, theta[None], what)  # type: ignore[arg-type]
    assert found.information is not None
    return found.information[0]


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of an information matrix, whatever the units; NaN if it is not positive definite."""
    size = np.sqrt(np.abs(np.diagonal(matrix)))
    size = np.where(size > 0, size, 1.0)
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    if not len(values):
        return matrix
    if not values[0] > 0:
        return np.full_like(matrix, np.nan)
    return (vectors / values) @ vectors.T / np.outer(size, size)


def condition(matrix: np.ndarray) -> float:
    """Condition number of an information matrix of unit diagonal; inf if it is not positive definite."""
    if not len(matrix):
        return 1.0
    size = np.sqrt(np.abs(np.diagonal(matrix)))
    size = np.where(size > 0, size, 1.0)
    values = np.linalg.eigvalsh(matrix / np.outer(size, size))
    return float(values[-1] / values[0]) if values[0] > 0 else float("inf")


def undetermined(specification: Specification, sample: Sample, theta: np.ndarray) -> tuple[str, ...]:
    """Parameters that take part in a direction in which the model does not move; empty if it is identified."""
    found = information(specification, sample, theta, "expected")
    size = np.sqrt(np.diagonal(found))
    still = [name for name, s in zip(specification.names, size, strict=True) if not s > 0]
    if still:
        return tuple(still)
    values, vectors = np.linalg.eigh(found / np.outer(size, size))
    null = vectors[:, values < UNDETERMINED]
    share = np.sqrt((null**2).sum(axis=1)) if null.shape[1] else np.zeros(len(values))
    return tuple(name for name, s in zip(specification.names, share, strict=True) if s > 1e-3)


@dataclass(frozen=True)
class Beside:
    """Contributions of rows to other estimates than theta.

    Attributes
    ----------
    width
        How many K.
    of
        Group and answers ``(rows, p)`` in the units of the data to contributions ``(rows, K)``.
    """

    width: int
    of: Callable[[int, np.ndarray], np.ndarray]


def sandwich(bread: np.ndarray, meat: np.ndarray) -> np.ndarray:
    """bread meat bread."""
    return bread @ meat @ bread


def meat(
    specification: Specification,
    answers: Answers,
    sample: Sample,
    theta: np.ndarray,
    *,
    centred: bool = False,
    beside: Beside | None = None,
) -> np.ndarray:
    """Sum of squared scores of the respondents ``(q, q)``; totals of PSUs within strata when the design has them.

    ``centred``: answers are taken about the sample means instead of the implied ones, and each group's mean score is
    taken off, so that the squares are those of means and covariances about their own values (Satorra and Bentler's
    Gamma); both are 0 unless parameters are equal across groups or means are constrained. ``beside`` gives further
    contributions ``(rows, K)`` of rows of a group, which are squared and crossed with the scores.

    With weights w a respondent's score counts w times; PSU totals are centred in their stratum of k PSUs and their
    squares multiplied by k/(k - 1), which is the linearised variance of survey statistics.
    """
    width = specification.n_free + (0 if beside is None else beside.width)
    total = np.zeros((width, width))
    clusters = Clusters.of(answers)
    sums = None if clusters is None else UnitTotals(clusters, width, products=True)
    for g, (cells, part) in enumerate(zip(cells_of(specification), answers.parts, strict=True)):
        first = np.zeros(width)
        shift = np.zeros(len(answers.items))
        if centred and sample.means:
            implied = matrices(cells, theta[None], sample.scale).mu[0]
            shift = (sample.mean[0, g] - implied) * sample.scale[0]
        for rows, x, w in part.blocks(answers.items):
            own = scores_by_pattern(cells, theta, sample, g, x - shift)
            own = (own if beside is None else np.hstack([own, beside.of(g, x)])) * w[:, None]
            if sums is None:
                total += own.T @ own
                first += own.sum(axis=0)
            else:
                sums.add(g, rows, own)
        if centred:
            total -= np.outer(first, first) / sample.n[0, g]
    return total if sums is None else sums.spread()


def scaling(specification: Specification, answers: Answers, sample: Sample, theta: np.ndarray, kind: str) -> Scaling:
    r"""Scaling factors :math:`c = [\operatorname{tr}(J_1 H_1^{-1}) - \operatorname{tr}(J_0 H_0^{-1})]/df`.

    J is the sum of squared scores and H the information of the saturated (1) and the tested (0) model. ``"robust"``
    (Yuan-Bentler, Mplus variant): observed information, each model at its own estimates. ``"mlm"`` (Satorra-Bentler):
    expected information, both at the tested model's covariances. The baseline model's factor is the same difference
    between the saturated model and the independence model.
    """
    if answers.missing == "fiml":
        return _scaling_incomplete(specification, answers, sample, theta)
    g = len(specification.groups)
    p = len(specification.items)
    bread = information(specification, sample, theta, "observed" if kind == "robust" else "expected")
    squares = meat(specification, answers, sample, theta, centred=kind == "mlm")
    mine = float(np.trace(squares @ inverse(bread)))
    diagonal = sample.cov[0] * np.eye(p)
    if kind == "robust":
        free = free_base = _saturated_trace(answers, sample, sample.cov[0], specification.means)
    else:
        implied = np.stack([matrices(c, theta[None], sample.scale).sigma[0] for c in cells_of(specification)])
        free = _saturated_trace(answers, sample, implied, specification.means)
        free_base = _saturated_trace(answers, sample, diagonal, specification.means)
    base = _independence_trace(answers, sample, specification.means)
    df, df_base = specification.df, g * p * (p - 1) / 2
    return Scaling((free - mine) / df if df > 0 else np.nan, (free_base - base) / df_base if df_base else np.nan)


def jacobian(function: ThetaFunction, theta: np.ndarray) -> np.ndarray:
    """Derivatives ``(q, k)`` of a function ``(N, q) -> (N, k)`` of the parameters.

    They are exact to the last digit: with an imaginary step h the imaginary part of the function is h times its
    derivative, and nothing is subtracted.

    References
    ----------
    .. [1] Squire, W., & Trapp, G. (1998). Using complex variables to estimate derivatives of real functions. SIAM
       Review, 40(1), 110-112.
    """
    if not len(theta):
        return np.zeros((0, function(theta[None]).shape[1]))
    step = 1e-20 * np.maximum(np.abs(theta), 1e-3)
    return np.imag(function(theta + 1j * np.diag(step))) / step[:, None]


def delta(function: ThetaFunction, theta: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Standard errors ``(k,)`` of a function ``(N, q) -> (N, k)`` of the parameters by the delta method."""
    slope = jacobian(function, theta)
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.einsum("qk,qr,rk->k", slope, covariance, slope))


def scores_by_pattern(cells: Cells, theta: np.ndarray, sample: Sample, group: int, x: np.ndarray) -> np.ndarray:
    """Scores of rows in the units of the data ``(rows, p)`` with missing answers."""
    scaled = x / sample.scale[0]
    if not sample.means:
        scaled = scaled - sample.mean[0, group]
    there = ~np.isnan(scaled)
    if there.all():
        return scores(cells, theta, sample.scale[0], scaled, there[0])
    out = np.zeros((len(x), len(theta)))
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    for k, seen in enumerate(patterns):
        at = which.reshape(-1) == k
        out[at] = scores(cells, theta, sample.scale[0], np.where(seen, scaled[at], 0.0), seen)
    return out


def _saturated_trace(answers: Answers, sample: Sample, sigma: np.ndarray, means: bool) -> float:
    """tr(J H^-1) of free covariances (and means) with the information at ``sigma (G, p, p)``, complete data.

    In closed form: with z an answer about the mean and W the inverse of sigma, a respondent adds half of
    tr(W Z W Z) with Z = zz' - S, and z'Wz for the means. With W = LL' the first is half the sum of squares of L'ZL,
    the second that of L'z, and both add up over units.
    """
    clusters = Clusters.of(answers)
    total = 0.0
    p = len(answers.items)
    for g, part in enumerate(answers.parts):
        w_inv, s, count = np.linalg.inv(sigma[g]), sample.cov[0, g], sample.n[0, g]
        ws, root = w_inv @ s, np.linalg.cholesky(w_inv)
        lower = np.tril_indices(p)
        half = np.where(lower[0] == lower[1], np.sqrt(0.5), 1.0)
        mean_product = (root.T @ s @ root)[lower]
        sums = None if clusters is None else UnitTotals(clusters, len(half) + p, products=False)
        for rows, x, v in part.blocks(answers.items):
            z = x / sample.scale[0] - sample.mean[0, g]
            if sums is None:
                wz = z @ w_inv
                squared = (wz * z).sum(axis=1)
                with_s = ((wz @ s) * wz).sum(axis=1)
                own = 0.5 * (squared**2 - 2 * with_s + np.trace(ws @ ws)) + means * squared
                total += float((v**2 * own).sum() / count)
            else:
                turned = z @ root
                products = (turned[:, lower[0]] * turned[:, lower[1]] - mean_product) * half
                sums.add(g, rows, v[:, None] * np.hstack([products, turned * means]))
        if sums is not None:
            total += sums.trace() / float(count)
    return total


def _independence_trace(answers: Answers, sample: Sample, means: bool) -> float:
    """tr(J H^-1) of free variances (and means) and no covariances, complete data.

    Half of (kurtosis - 1) of every item, and 1 for its mean. The means of the saturated and of the independence model
    cancel in a simple random sample, where each has one per item; totals of clusters and weights they do not.
    """
    clusters = Clusters.of(answers)
    total = 0.0
    p = len(answers.items)
    for g, part in enumerate(answers.parts):
        variance, count = np.diagonal(sample.cov[0, g]), sample.n[0, g]
        sums = None if clusters is None else UnitTotals(clusters, 2 * p, products=False)
        for rows, x, v in part.blocks(answers.items):
            z = (x / sample.scale[0] - sample.mean[0, g]) / np.sqrt(variance)
            own = v[:, None] * np.hstack([(z**2 - 1) / np.sqrt(2), z * means])
            if sums is None:
                total += float((own**2).sum() / count)
            else:
                sums.add(g, rows, own)
        if sums is not None:
            total += sums.trace() / float(count)
    return total


def _scaling_incomplete(specification: Specification, answers: Answers, sample: Sample, theta: np.ndarray) -> Scaling:
    """The same with missing answers: the saturated and the independence model are fitted as models."""
    traces = []
    free, apart = (reference_model(specification, covary) for covary in (True, False))
    for spec in (specification, free, apart):
        at = theta if spec is specification else reference_theta(spec, sample, spec is free)
        bread = inverse(information(spec, sample, at, "observed"))
        traces.append(float(np.trace(meat(spec, answers, sample, at) @ bread)))
    mine, saturated, base = traces
    df, df_base = specification.df, apart.df
    return Scaling((saturated - mine) / df if df > 0 else np.nan, (saturated - base) / df_base)


def reference_model(specification: Specification, covary: bool) -> Specification:
    """Every item its own construct, free means and variances, with or without covariances."""
    from csi_lab.model import PathModel

    items = specification.items
    rows: list[Row] = []
    for g in range(len(specification.groups)):
        rows += [Row("Lambda", i, "=~", i, g, value=1.0) for i in items]
        pairs = [(a, b) for k, a in enumerate(items) for b in items[k:] if covary or a == b]
        free = [("Psi", a, "~~", b) for a, b in pairs] + [("nu", i, "~1", "") for i in items]
        start = max((row.free for row in rows), default=-1) + 1
        rows += [Row(*place, group=g, free=start + k) for k, place in enumerate(free)]
    model = PathModel({i: (i,) for i in items})
    return Specification(model, items, items, specification.groups, True, "marker", tuple(rows))


def reference_theta(specification: Specification, sample: Sample, covary: bool) -> np.ndarray:
    from csi_lab.sem.cb_sample import item_moments

    theta = np.zeros(specification.n_free)
    at = {name: k for k, name in enumerate(specification.items)}
    scale = sample.scale[0]
    apart: Sequence[tuple[np.ndarray, np.ndarray]] = [item_moments(pieces) for pieces in sample.groups]
    for row in specification.rows:
        if row.free < 0:
            continue
        g, i = row.group, at[row.lhs]
        if row.matrix == "nu":
            mean = sample.mean[0, g] if covary else apart[g][0][0]
            theta[row.free] = mean[i] * scale[i]
        else:
            j = at[row.rhs]
            value = sample.cov[0, g, i, j] if covary else apart[g][1][0][i]
            theta[row.free] = value * scale[i] * scale[j]
    if not np.isfinite(theta).all():
        raise EstimationError("the saturated moments are not finite")
    return theta
