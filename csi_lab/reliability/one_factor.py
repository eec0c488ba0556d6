"""One common factor of a scale's items, for one matrix or thousands at once: maximum likelihood and least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Unique variances of standardised items are kept at or above this; an item that reaches it is a Heywood case.
SMALLEST_UNIQUENESS = 0.005
GRADIENT_TOLERANCE = 1e-9
CHANGE_TOLERANCE = 1e-12
MAX_ITERATIONS = 100
MAX_SWEEPS = 2_000


@dataclass(frozen=True)
class OneFactor:
    """Loadings of standardised items on one factor; leading axes as in the correlations.

    Attributes
    ----------
    loadings, uniquenesses
        ``(..., k)``; the loadings' sum is not negative. NaN where there is no solution.
    heywood
        ``(..., k)``: the item's unique variance ran into its lower bound.
    converged
        ``(...)``.
    """

    loadings: np.ndarray
    uniquenesses: np.ndarray
    heywood: np.ndarray
    converged: np.ndarray


def maximum_likelihood(corr: np.ndarray) -> OneFactor:
    r"""The factor that minimises :math:`\ln|\Sigma| + tr(R \Sigma^{-1})`, from correlations ``(..., k, k)``.

    With the unique variances given, the loadings follow from the first eigenvector of
    :math:`\Psi^{-1/2} R \Psi^{-1/2}`; what remains is a function of :math:`\theta = \ln \psi`, minimised by Newton
    steps (Jöreskog, 1967, Psychometrika 32, 443-482; Clarke, 1970).
    """
    lead, k = corr.shape[:-2], corr.shape[-1]
    flat = corr.reshape(-1, k, k)
    lowest = np.log(SMALLEST_UNIQUENESS)
    usable = np.isfinite(flat).all(axis=(1, 2))
    theta = np.full((len(flat), k), np.nan)
    theta[usable] = np.log(np.clip(0.5 * residual_variances(flat[usable]), SMALLEST_UNIQUENESS, 1))
    best = np.full(len(flat), np.inf)
    step = np.zeros_like(theta)
    done = np.zeros(len(flat), dtype=bool)
    moving = np.flatnonzero(usable & np.isfinite(theta).all(axis=1))
    for _ in range(MAX_ITERATIONS):
        if not len(moving):
            break
        trial = np.maximum(theta[moving] + step[moving], lowest)
        value, newton, at_rest = _ml_step(flat[moving], trial, lowest)
        better = value <= best[moving] + 1e-13
        took = moving[better]
        theta[took], best[took], step[took] = trial[better], value[better], newton[better]
        done[took] = at_rest[better]
        # A step that climbs is taken back and shortened.
        step[moving[~better]] *= 0.25
        lost = ~np.isfinite(value)
        theta[moving[lost & ~np.isfinite(best[moving])]] = np.nan
        moving = moving[~done[moving] & np.isfinite(best[moving])]
    psi = np.exp(theta)
    loadings = _ml_loadings(flat, psi)
    heywood = psi <= SMALLEST_UNIQUENESS * (1 + 1e-9)
    return OneFactor(loadings.reshape(*lead, k), psi.reshape(*lead, k), heywood.reshape(*lead, k), done.reshape(lead))


def least_squares(corr: np.ndarray) -> OneFactor:
    r"""The factor that minimises :math:`\sum_{i<j} (r_{ij} - l_i l_j)^2`, from correlations ``(..., k, k)``.

    Each loading in turn is set to its best value :math:`\sum_{j \ne i} r_{ij} l_j / \sum_{j \ne i} l_j^2`, no larger
    than its uniqueness allows, until all rest (Harman & Fukuda, 1966, Psychometrika 31, 563-571: "minres").
    """
    lead, k = corr.shape[:-2], corr.shape[-1]
    flat = corr.reshape(-1, k, k)
    usable = np.isfinite(flat).all(axis=(1, 2))
    loadings = np.full((len(flat), k), np.nan)
    converged = np.zeros(len(flat), dtype=bool)
    limit = np.sqrt(1 - SMALLEST_UNIQUENESS)
    moving = np.flatnonzero(usable)
    if len(moving):
        values, vectors = np.linalg.eigh(flat[moving])
        loadings[moving] = np.clip(vectors[:, :, -1] * np.sqrt(values[:, -1:]), -limit, limit)
    for _ in range(MAX_SWEEPS):
        if not len(moving):
            break
        r, l = flat[moving], loadings[moving]  # noqa: E741
        before = l.copy()
        for i in range(k):
            squares = (l**2).sum(axis=1) - l[:, i] ** 2
            products = (r[:, i] * l).sum(axis=1) - l[:, i]
            with np.errstate(divide="ignore", invalid="ignore"):
                l[:, i] = np.where(squares > 0, np.clip(products / squares, -limit, limit), 0.0)
        loadings[moving] = l
        rested = np.abs(l - before).max(axis=1) < CHANGE_TOLERANCE
        converged[moving[rested]] = True
        moving = moving[~rested]
    loadings = _upright(loadings)
    heywood = np.abs(loadings) >= limit * (1 - 1e-9)
    return OneFactor(
        loadings.reshape(*lead, k),
        (1 - loadings**2).reshape(*lead, k),
        heywood.reshape(*lead, k),
        converged.reshape(lead),
    )


def parameter_covariance(loadings: np.ndarray, uniquenesses: np.ndarray, n: float) -> np.ndarray:
    r"""Covariance ``(2k, 2k)`` of the ML estimates of loadings and unique variances, from the expected information.

    :math:`I_{ab} = \frac{n}{2} tr(\Sigma^{-1} \Sigma_a \Sigma^{-1} \Sigma_b)` with
    :math:`\Sigma = l l' + \Psi`; normal answers, simple random sample.
    """
    inverse = np.linalg.inv(np.outer(loadings, loadings) + np.diag(uniquenesses))
    pulled = inverse @ loadings
    top = inverse * (loadings @ pulled) + np.outer(pulled, pulled)
    cross = inverse * pulled
    information = n * np.block([[top, cross], [cross.T, inverse**2 / 2]])
    return np.linalg.inv(information)


def _ml_step(corr: np.ndarray, theta: np.ndarray, lowest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, Newton step and whether it is at rest, at the logarithms of the unique variances."""
    k = theta.shape[1]
    scale = np.exp(-theta / 2)
    values, vectors = np.linalg.eigh(corr * scale[:, :, None] * scale[:, None, :])
    rest, first = values[:, :-1], values[:, -1:]
    u, u1 = vectors[:, :, :-1], vectors[:, :, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where((rest > 0).all(axis=1), (rest - np.log(rest) - 1).sum(axis=1), np.inf)
        gradient = (u**2 @ (1 - rest)[:, :, None])[..., 0]
        bend = (1 - rest) * (first + rest) / np.maximum(first - rest, 1e-12)
    outer = u1[:, :, None] * u1[:, None, :]
    rank = np.eye(k) - outer
    left = (u * rest[:, None, :]) @ np.swapaxes(u, 1, 2)
    exact = left * rank + ((u * bend[:, None, :]) @ np.swapaxes(u, 1, 2)) * outer
    held = (theta <= lowest + 1e-12) & (gradient > 0)
    free = np.where(held, 0.0, gradient)
    step = -_solve(_without(exact, held), free)
    uphill = ~((step * free).sum(axis=1) < 0)
    if uphill.any():
        # The expected curvature is always a way down.
        step[uphill] = -_solve(_without(rank[uphill] ** 2, held[uphill]), free[uphill])
    size = np.abs(step).max(axis=1, keepdims=True)
    step = step * np.minimum(1, 1.5 / np.maximum(size, 1e-300))
    at_rest = np.abs(free).max(axis=1) < GRADIENT_TOLERANCE
    return value, step, at_rest


def _without(matrix: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The matrix with rows and columns of held parameters replaced by those of the identity."""
    out = np.where(held[:, :, None] | held[:, None, :], 0.0, matrix)
    k = matrix.shape[-1]
    # A ridge of rounding size keeps a singular matrix solvable; the step is checked afterwards.
    out[:, range(k), range(k)] += np.where(held, 1.0, 1e-12)
    return out


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.linalg.solve(matrix, right[..., None])[..., 0]


def _ml_loadings(corr: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """The best loadings ``(m, k)`` for given unique variances."""
    loadings = np.full(psi.shape, np.nan)
    known = np.isfinite(psi).all(axis=1)
    if known.any():
        root = np.sqrt(psi[known])
        values, vectors = np.linalg.eigh(corr[known] / (root[:, :, None] * root[:, None, :]))
        loadings[known] = root * vectors[:, :, -1] * np.sqrt(np.maximum(values[:, -1:] - 1, 0))
    return _upright(loadings)


def _upright(loadings: np.ndarray) -> np.ndarray:
    """The factor turned so that its loadings do not sum to less than zero."""
    return np.where(loadings.sum(axis=-1, keepdims=True) < 0, -loadings, loadings)


def residual_variances(corr: np.ndarray) -> np.ndarray:
    """Variance of each standardised item that the others do not explain, NaN where the matrix is singular."""
    values, vectors = np.linalg.eigh(corr)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = (vectors**2 @ (1 / values)[..., None])[..., 0]
        singular = values[..., :1] <= 1e-10
        return np.where(singular, np.nan, 1 / inverse)
