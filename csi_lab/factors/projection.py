"""Rotation by gradient projection, many loading matrices at once (Jennrich 2001, 2002).

A criterion says how far loadings are from simple structure. It is lowered along its slope, projected on the rotations
that keep factors uncorrelated (orthogonal) or of variance 1 (oblique).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Criteria nearer than this share cannot be told apart.
ROUNDING = 1e-14
# Times a step is halved before it is given up.
HALVINGS = 40

# Value (...) and slope (..., p, m) of a criterion at loadings (..., p, m).
Criterion = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Turned:
    """Rotated loadings ``(draws, p, m)``, factor correlations ``(draws, m, m)`` and how the search ended.

    ``transform`` T gives loadings :math:`A T` when orthogonal and :math:`A (T^{-1})'`, correlations :math:`T'T`, when
    oblique.
    """

    loadings: np.ndarray
    phi: np.ndarray
    transform: np.ndarray
    value: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray


def varimax(loadings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minus a quarter of the sum of the variances of the squared loadings of each factor, times p."""
    squares = loadings**2
    centred = squares - squares.mean(axis=-2, keepdims=True)
    return -(centred**2).sum(axis=(-2, -1)) / 4, -loadings * centred


def oblimin(gamma: float) -> Criterion:
    """Sum of cross-products of squared loadings, less ``gamma`` times those of their means; 0 is quartimin."""

    def criterion(loadings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        squares = loadings**2
        others = squares.sum(axis=-1, keepdims=True) - squares
        others = others - gamma * others.mean(axis=-2, keepdims=True)
        return (squares * others).sum(axis=(-2, -1)) / 4, loadings * others

    return criterion


def geomin(delta: float) -> Criterion:
    """Sum over items of the geometric mean of the squared loadings, each raised by ``delta``."""

    def criterion(loadings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raised = loadings**2 + delta
        product = np.exp(np.log(raised).mean(axis=-1, keepdims=True))
        return product.sum(axis=(-2, -1)), 2 / loadings.shape[-1] * loadings / raised * product

    return criterion


def project(
    unrotated: np.ndarray,
    criterion: Criterion,
    start: np.ndarray,
    *,
    oblique: bool,
    tolerance: float,
    max_iterations: int,
) -> Turned:
    """The rotation of each of ``unrotated (draws, p, m)`` at which the projected slope has norm below ``tolerance``.

    ``start`` are rotations ``(draws, m, m)`` to begin with. Each draw has its own step length and rests on its own.
    """
    draws, m = len(unrotated), unrotated.shape[-1]
    final = np.array(start, dtype=float)
    converged, iterations = np.zeros(draws, dtype=bool), np.full(draws, max_iterations)
    moving, a, t = np.arange(draws), unrotated, final.copy()
    length = np.ones(draws)
    value, slope = _slope(a, t, criterion, oblique)
    for iteration in range(max_iterations + 1):
        direction = _tangent(slope, t, oblique)
        steep = (direction**2).sum(axis=(1, 2))
        # A draw whose slope is NaN will never rest; it is left as it is and is not converged.
        go = np.sqrt(steep) >= tolerance
        if not go.all():
            rests = np.sqrt(steep) < tolerance
            converged[moving[rests]], iterations[moving[rests]] = True, iteration
            final[moving] = t
            moving, a, t, length, value = moving[go], a[go], t[go], length[go], value[go]
            slope, direction, steep = slope[go], direction[go], steep[go]
        if not len(moving) or iteration == max_iterations:
            break
        length = 2 * length
        trying = np.arange(len(moving))
        new_t, new_value, new_slope = t.copy(), value.copy(), slope.copy()
        for _ in range(HALVINGS):
            candidate = _retract(t[trying] - length[trying, None, None] * direction[trying], oblique)
            v, g = _slope(a[trying], candidate, criterion, oblique)
            promised = 0.5 * steep[trying] * length[trying]
            blur = ROUNDING * np.maximum(np.abs(value[trying]), 1)
            # Where rounding hides the fall of the criterion, a slope that is flatter and has not turned round shows
            # that a step was good.
            ahead = _tangent(g, candidate, oblique)
            flatter = (ahead**2).sum(axis=(1, 2)) < steep[trying]
            straight = (ahead * direction[trying]).sum(axis=(1, 2)) >= 0
            hidden = (promised <= blur) & (v <= value[trying] + blur)
            enough = np.where(hidden, flatter & straight, v <= value[trying] - promised)
            done = trying[enough]
            new_t[done], new_value[done], new_slope[done] = candidate[enough], v[enough], g[enough]
            trying = trying[~enough]
            length[trying] /= 2
            if not len(trying):
                break
        t, value, slope = new_t, new_value, new_slope
    final[moving] = t
    loadings = _loadings(unrotated, final, oblique)
    phi = np.swapaxes(final, 1, 2) @ final if oblique else np.broadcast_to(np.eye(m), (draws, m, m))
    return Turned(loadings, phi, final, criterion(loadings)[0], converged, iterations)


def invert(matrices: np.ndarray) -> np.ndarray:
    """Inverses of a stack; NaN where there is none."""
    try:
        return np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        regular = (np.linalg.det(matrices) != 0)[..., None, None]
        return np.where(regular, np.linalg.inv(np.where(regular, matrices, np.eye(matrices.shape[-1]))), np.nan)


def _loadings(a: np.ndarray, t: np.ndarray, oblique: bool) -> np.ndarray:
    return a @ np.swapaxes(invert(t), 1, 2) if oblique else a @ t


def _slope(a: np.ndarray, t: np.ndarray, criterion: Criterion, oblique: bool) -> tuple[np.ndarray, np.ndarray]:
    """The criterion, and its slope in the rotation."""
    if not oblique:
        value, slope = criterion(a @ t)
        return value, np.swapaxes(a, 1, 2) @ slope
    inverse = invert(t)
    loadings = a @ np.swapaxes(inverse, 1, 2)
    value, slope = criterion(loadings)
    return value, -np.swapaxes(np.swapaxes(loadings, 1, 2) @ slope @ inverse, 1, 2)


def _tangent(slope: np.ndarray, t: np.ndarray, oblique: bool) -> np.ndarray:
    """The part of the slope along which the rotation may move."""
    if oblique:
        return slope - t * (t * slope).sum(axis=1, keepdims=True)
    across = np.swapaxes(t, 1, 2) @ slope
    return slope - t @ (across + np.swapaxes(across, 1, 2)) / 2


def _retract(x: np.ndarray, oblique: bool) -> np.ndarray:
    """The nearest rotation."""
    if oblique:
        return x / np.sqrt((x**2).sum(axis=1, keepdims=True))
    u, _, v = np.linalg.svd(x)
    return u @ v
