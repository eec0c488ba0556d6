"""Unrotated loadings from correlation matrices, many at once: minres, maximum likelihood, principal axis, components.

Everything here takes stacks ``(..., p, p)`` and has no loop over them: the matrices of a stack move together, and each
leaves when its own solution has come to rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Extraction = Literal["minres", "ml", "principal axis", "components"]
EXTRACTIONS = ("minres", "ml", "principal axis", "components")

# Bound of the uniquenesses in minres and ML, as in R psych and factanal.
LOWER = 0.005
# A solution rests when no free uniqueness has a slope steeper than this.
STEEPEST = 1e-10
# Gains below this share of the discrepancy drown in its rounding: one more step is taken on trust, and it is over.
ROUNDING = 1e-12
# A coordinate is near a bound within this share of the range between the bounds, and less as the slope flattens.
NEAR = 0.01
# Times a step is halved before it is given up.
HALVINGS = 30
# Matrices with an eigenvalue below this have no inverse up to rounding.
SINGULAR = 1e-10

# Value, slope and curvature of a discrepancy at the uniquenesses given, for some matrices of the stack.
Discrepancy = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Extracted:
    """Unrotated solutions; leading axes as in the correlations.

    Attributes
    ----------
    loadings
        ``(..., p, m)``, columns in order of variance explained, each with a positive sum.
    uniqueness
        ``(..., p)``.
    converged, iterations
        ``(...)``.
    """

    loadings: np.ndarray
    uniqueness: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray


def extract(
    corr: np.ndarray,
    m: int,
    method: Extraction,
    *,
    lower: float = LOWER,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
    start: np.ndarray | None = None,
) -> Extracted:
    """Solutions with ``m`` factors of every matrix in ``(..., p, p)``; matrices that are not finite give NaN.

    ``lower`` bounds the uniquenesses of minres and ML, ``tolerance`` ends the principal axis iteration, and ``start``
    ``(p,)`` are uniquenesses to begin with.
    """
    lead, p = corr.shape[:-2], corr.shape[-1]
    flat = corr.reshape(-1, p, p)
    sound = np.isfinite(flat).all(axis=(1, 2))
    loadings, uniqueness = np.full((len(flat), p, m), np.nan), np.full((len(flat), p), np.nan)
    converged, iterations = np.zeros(len(flat), dtype=bool), np.zeros(len(flat), dtype=int)
    if method == "ml" and sound.any():
        sound[sound] = np.linalg.eigvalsh(flat[sound])[:, 0] > SINGULAR
    r = flat[sound]
    if len(r):
        if method == "components":
            found = _components(r, m)
        elif method == "principal axis":
            found = _principal_axis(r, m, tolerance, max_iterations)
        else:
            first = _start(r, m, lower) if start is None else np.broadcast_to(start, (len(r), p))
            found = (_minres if method == "minres" else _ml)(r, m, first, lower, max_iterations)
        loadings[sound], uniqueness[sound], converged[sound], iterations[sound] = found
    shaped = (a.reshape((*lead, *a.shape[1:])) for a in (loadings, uniqueness, converged, iterations))
    return Extracted(*shaped)


def at_bound(uniqueness: np.ndarray, lower: float = LOWER) -> np.ndarray:
    """Which uniquenesses ``(..., p)`` have run into their bound: Heywood cases."""
    return uniqueness <= lower * (1 + 1e-6)


def ml_discrepancy(corr: np.ndarray, loadings: np.ndarray, phi: np.ndarray, uniqueness: np.ndarray) -> np.ndarray:
    r"""Normal-theory discrepancy :math:`\ln|\Sigma| + tr(R\Sigma^{-1}) - \ln|R| - p` of each matrix ``(...)``.

    NaN where either matrix has no positive determinant.
    """
    p = corr.shape[-1]
    sigma = loadings @ phi @ np.swapaxes(loadings, -1, -2) + uniqueness[..., :, None] * np.eye(p)
    finite = np.isfinite(sigma).all(axis=(-2, -1)) & np.isfinite(corr).all(axis=(-2, -1))
    both = [np.where(finite[..., None, None], matrix, np.eye(p)) for matrix in (corr, sigma)]
    smallest = np.minimum(*(np.linalg.eigvalsh(matrix)[..., 0] for matrix in both))
    regular = (finite & (smallest > SINGULAR))[..., None, None]
    safe, safe_sigma = np.where(regular, corr, np.eye(p)), np.where(regular, sigma, np.eye(p))
    trace = np.trace(np.linalg.solve(safe_sigma, safe), axis1=-2, axis2=-1)
    value = np.linalg.slogdet(safe_sigma)[1] + trace - np.linalg.slogdet(safe)[1] - p
    return np.where(regular[..., 0, 0], value, np.nan)


def squared_multiple_correlations(corr: np.ndarray) -> np.ndarray:
    """Share of each item's variance that the others explain ``(..., p)``: 1 - 1 / diagonal of the inverse."""
    return 1 - 1 / np.diagonal(np.linalg.inv(corr), axis1=-2, axis2=-1)


def _start(r: np.ndarray, m: int, lower: float) -> np.ndarray:
    """Joereskog's first uniquenesses (1 - m/2p) / diagonal of the inverse; .5 where there is no inverse."""
    p = r.shape[-1]
    regular = np.linalg.eigvalsh(r)[:, 0] > SINGULAR
    inverse = np.linalg.inv(np.where(regular[:, None, None], r, np.eye(p)))
    first = (1 - m / (2 * p)) / np.diagonal(inverse, axis1=1, axis2=2)
    return np.clip(np.where(regular[:, None], first, 0.5), lower, 1.0)


def _minres(
    r: np.ndarray, m: int, start: np.ndarray, lower: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    r"""Least squares: half the sum of the squared p - m smallest eigenvalues of :math:`R - \Psi` is minimised.

    With uniquenesses inside their bounds the diagonal is met exactly, so that this is the least sum of squared
    off-diagonal residuals (Harman & Jones 1966).
    """

    def discrepancy(psi: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values, vectors = _eigh(r[at] - psi[:, :, None] * np.eye(psi.shape[1]))
        rest, kept = vectors[:, :, m:], vectors[:, :, :m]
        tail = values[:, m:]
        slope = -(tail[:, None, :] * rest**2).sum(axis=-1)
        curvature = (rest @ np.swapaxes(rest, 1, 2)) ** 2
        gap = _apart(values[:, :m, None] - tail[:, None, :])
        for k in range(m):
            factor = -2 * tail / gap[:, k]
            curvature += _outer(kept[:, :, k]) * ((rest * factor[:, None, :]) @ np.swapaxes(rest, 1, 2))
        return (tail**2).sum(axis=1) / 2, slope, curvature

    psi, converged, iterations = _descend(discrepancy, start, lower, 1.0, max_iterations)
    values, vectors = _eigh(r - psi[:, :, None] * np.eye(r.shape[-1]))
    loadings = vectors[:, :, :m] * np.sqrt(np.maximum(values[:, None, :m], 0))
    return _upright(loadings), psi, converged, iterations


def _ml(
    r: np.ndarray, m: int, start: np.ndarray, lower: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    r"""Normal likelihood over the logarithms of the uniquenesses (Joereskog 1967).

    With :math:`\gamma` the eigenvalues of :math:`\Psi^{-1/2} R \Psi^{-1/2}` the discrepancy is
    :math:`\sum_{k>m} (\gamma_k - 1 - \ln \gamma_k)`.
    """

    def standardised(x: np.ndarray, at: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        scale = np.exp(-x / 2)
        return _eigh(r[at] * scale[:, :, None] * scale[:, None, :])

    def discrepancy(x: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values, vectors = standardised(x, at)
        values = np.maximum(values, np.finfo(float).tiny)
        rest, kept = vectors[:, :, m:], vectors[:, :, :m]
        tail, head = values[:, m:], values[:, :m]
        slope = ((1 - tail)[:, None, :] * rest**2).sum(axis=-1)
        across = np.swapaxes(rest, 1, 2)
        curvature = (rest @ across) * ((rest * tail[:, None, :]) @ across)
        gap = _apart(head[:, :, None] - tail[:, None, :])
        for k in range(m):
            factor = (1 - tail) * (head[:, k, None] + tail) / gap[:, k]
            curvature += _outer(kept[:, :, k]) * ((rest * factor[:, None, :]) @ across)
        return (tail - 1 - np.log(tail)).sum(axis=1), slope, curvature

    x, converged, iterations = _descend(discrepancy, np.log(start), np.log(lower), 0.0, max_iterations)
    values, vectors = standardised(x, slice(None))
    psi = np.exp(x)
    loadings = np.sqrt(psi)[:, :, None] * vectors[:, :, :m] * np.sqrt(np.maximum(values[:, None, :m] - 1, 0))
    return _upright(loadings), psi, converged, iterations


def _descend(
    discrepancy: Discrepancy, start: np.ndarray, low: float, high: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Newton's method inside bounds, each row of ``start (draws, p)`` until its own slope is flat.

    A coordinate near its bound whose slope points outwards goes to the bound and is left out of Newton's step
    (Bertsekas 1982). Steps are halved until the value falls. Where rounding of the value hides what a step would gain,
    the search is over as well.
    """
    x = np.clip(start, low, high).astype(float)
    converged = np.zeros(len(x), dtype=bool)
    iterations = np.full(len(x), max_iterations)
    moving, trusted = np.arange(len(x)), np.zeros(len(x), dtype=bool)
    value, slope, curvature = discrepancy(x, moving)
    for iteration in range(max_iterations + 1):
        here = x[moving]
        # The way down that the bounds leave open; it is zero at a solution.
        open_slope = here - np.clip(here - slope, low, high)
        near = np.minimum(np.sqrt((open_slope**2).sum(axis=1)), NEAR * (high - low))[:, None]
        to_low, to_high = (here <= low + near) & (slope > 0), (here >= high - near) & (slope < 0)
        step = -_newton(curvature, slope, to_low | to_high)
        step = np.where(to_low, low - here, np.where(to_high, high - here, step))
        gain = -(slope * step).sum(axis=1) / 2
        small = gain < ROUNDING * np.maximum(np.abs(value), 1)
        rests = (np.abs(open_slope).max(axis=1) < STEEPEST) | (trusted & small)
        trusted = small
        if rests.any():
            converged[moving[rests]], iterations[moving[rests]] = True, iteration
            go = ~rests
            moving, here, step, trusted = moving[go], here[go], step[go], trusted[go]
            value, slope, curvature = value[go], slope[go], curvature[go]
        if not len(moving) or iteration == max_iterations:
            break
        new, new_value, new_slope, new_curvature = here.copy(), value.copy(), slope.copy(), curvature.copy()
        trying, length = np.arange(len(moving)), 1.0
        for _ in range(HALVINGS):
            point = np.clip(here[trying] + length * step[trying], low, high)
            v, g, h = discrepancy(point, moving[trying])
            promised = (slope[trying] * (point - here[trying])).sum(axis=1)
            # Up to rounding of the value itself, a step must bring part of what the slope promised.
            slack = ROUNDING * np.maximum(np.abs(value[trying]), 1)
            better = v <= value[trying] + 1e-4 * promised + slack
            done = trying[better]
            new[done], new_value[done] = point[better], v[better]
            new_slope[done], new_curvature[done] = g[better], h[better]
            trying, length = trying[~better], length / 2
            if not len(trying):
                break
        x[moving] = new
        value, slope, curvature = new_value, new_slope, new_curvature
    return x, converged, iterations


def _newton(curvature: np.ndarray, slope: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Newton steps of the coordinates not held; where the curvature is not positive its absolute value is taken."""
    fixed = held[:, :, None] | held[:, None, :]
    h = np.where(fixed, np.eye(slope.shape[1]) * held[:, :, None], curvature)
    slope = np.where(held, 0.0, slope)
    try:
        np.linalg.cholesky(h)
        return np.linalg.solve(h, slope[..., None])[..., 0]
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(h)
        size = np.maximum(np.abs(values), 1e-8 * np.abs(values).max(axis=1, keepdims=True))
        return (vectors @ ((np.swapaxes(vectors, 1, 2) @ slope[..., None]) / size[..., None]))[..., 0]


def _principal_axis(
    r: np.ndarray, m: int, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Communalities put on the diagonal, taken from the loadings again, until none moves by ``tolerance``.

    They begin as squared multiple correlations (largest absolute correlations where there is no inverse). A communality
    above 1 is left as it is.
    """
    draws, p = r.shape[:2]
    regular = np.linalg.eigvalsh(r)[:, 0] > SINGULAR
    largest = np.abs(r - np.eye(p)).max(axis=2)
    smc = squared_multiple_correlations(np.where(regular[:, None, None], r, np.eye(p)))
    h = np.where(regular[:, None], smc, largest)
    loadings = np.zeros((draws, p, m))
    converged, iterations = np.zeros(draws, dtype=bool), np.full(draws, max_iterations)
    moving = np.arange(draws)
    for iteration in range(1, max_iterations + 1):
        reduced = r[moving] * (1 - np.eye(p)) + h[moving, :, None] * np.eye(p)
        values, vectors = _eigh(reduced)
        loadings[moving] = vectors[:, :, :m] * np.sqrt(np.maximum(values[:, None, :m], 0))
        new = (loadings[moving] ** 2).sum(axis=2)
        rests = np.abs(new - h[moving]).max(axis=1) < tolerance
        h[moving] = new
        converged[moving[rests]], iterations[moving[rests]] = True, iteration
        moving = moving[~rests]
        if not len(moving):
            break
    return _upright(loadings), 1 - h, converged, iterations


def _components(r: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Correlations of items with the first m principal components."""
    values, vectors = _eigh(r)
    loadings = vectors[:, :, :m] * np.sqrt(np.maximum(values[:, None, :m], 0))
    ones = np.ones(len(r), dtype=int)
    return _upright(loadings), 1 - (loadings**2).sum(axis=2), ones.astype(bool), 0 * ones


def _eigh(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues from the largest, with their vectors as columns."""
    values, vectors = np.linalg.eigh(matrices)
    return values[..., ::-1], vectors[..., ::-1]


def _apart(gap: np.ndarray) -> np.ndarray:
    """Gaps between eigenvalues, never quite zero."""
    return np.maximum(gap, 1e-12)


def _outer(vectors: np.ndarray) -> np.ndarray:
    return vectors[:, :, None] * vectors[:, None, :]


def _upright(loadings: np.ndarray) -> np.ndarray:
    """Columns turned so that each has a positive sum."""
    return loadings * np.where(loadings.sum(axis=-2, keepdims=True) < 0, -1.0, 1.0)
