"""Partial least squares on matrices: weights, loadings and paths of many samples at once.

Everything here is a function of covariance matrices ``(draws, p, p)`` and of the arrays that describe the model. There
is no loop over draws: a batch moves together, and each draw leaves it when its own weights have settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from csi_lab.model import PathModel

Scheme = Literal["path", "factorial", "centroid"]
SCHEMES = ("path", "factorial", "centroid")

# Draws per batch: the matrices of a batch stay in the second-level cache.
BATCH = 128
# A predictor whose variance inflation passes this is a copy of the others up to rounding.
LARGEST_VIF = 1e10


@dataclass(frozen=True)
class Layout:
    """A path model as arrays; p items in J blocks, E endogenous constructs with up to K sources each.

    Attributes
    ----------
    block
        ``(p,)`` construct of each item.
    member
        ``(p, J)`` 1 where the item belongs to the construct.
    paths
        ``(J, J)`` True where row points to column.
    mode_b
        Positions of the items of each block with regression weights.
    """

    block: np.ndarray
    member: np.ndarray
    paths: np.ndarray
    mode_b: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, model: PathModel) -> Layout:
        """The arrays of a model, items and constructs in its order."""
        names = list(model.constructs)
        block = np.repeat(np.arange(len(names)), [len(items) for items in model.constructs.values()])
        member = np.eye(len(names))[block]
        paths = np.array([[s in model.paths.get(t, ()) for t in names] for s in names], dtype=bool)
        mode_b = tuple(
            np.flatnonzero(block == j)
            for j, (name, items) in enumerate(model.constructs.items())
            if model.modes[name] == "B" and len(items) > 1
        )
        return cls(block, member, paths, mode_b)

    @cached_property
    def endogenous(self) -> np.ndarray:
        """Positions ``(E,)`` of the constructs that have sources."""
        return np.flatnonzero(self.paths.any(axis=0))

    @cached_property
    def sources(self) -> np.ndarray:
        """Positions ``(E, K)`` of the sources of each endogenous construct, filled up with 0 (see ``filler``)."""
        width = int(self.paths.sum(axis=0).max())
        table = np.zeros((len(self.endogenous), width), dtype=int)
        for row, target in zip(table, self.endogenous, strict=True):
            at = np.flatnonzero(self.paths[:, target])
            row[: len(at)] = at
        return table

    @cached_property
    def filler(self) -> np.ndarray:
        """Where ``sources`` holds no source, ``(E, K)``."""
        counts = self.paths.sum(axis=0)[self.endogenous]
        return np.arange(self.sources.shape[1]) >= counts[:, None]

    @cached_property
    def joint(self) -> np.ndarray:
        """Which endogenous constructs ``(E,)`` have several sources; with one, the coefficient is the correlation."""
        return (~self.filler).sum(axis=1) > 1

    @cached_property
    def idle(self) -> np.ndarray:
        """Where a regression's matrix ``(E, K, K)`` holds a filler."""
        return self.filler[:, :, None] | self.filler[:, None, :]

    @cached_property
    def arrows(self) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of every path, in the order of ``coefficients[:, ~filler]``."""
        real = ~self.filler
        return self.sources[real], np.broadcast_to(self.endogenous[:, None], real.shape)[real]

    @cached_property
    def neighbours(self) -> np.ndarray:
        """``(J, J)`` True where a path joins two constructs, in either direction."""
        return self.paths | self.paths.T


@dataclass(frozen=True)
class Solution:
    """What PLS found for each draw; leading axes as in the moments.

    Attributes
    ----------
    weights
        ``(..., p)`` outer weights in the metric of the matrix analysed; construct scores have variance 1.
    cross_loadings
        ``(..., p, J)`` correlations of items with constructs.
    correlations
        ``(..., J, J)`` correlations of constructs.
    paths
        ``(..., J, J)`` path coefficients, row source, column target.
    vif
        ``(..., J, J)`` variance inflation of each source in the regression of the target; NaN where there is no path.
    r2
        ``(..., J)`` variance explained; NaN for exogenous constructs.
    converged, iterations
        ``(...)``.
    flipped
        ``(..., J)`` constructs turned round because most of their loadings were negative.
    """

    weights: np.ndarray
    cross_loadings: np.ndarray
    correlations: np.ndarray
    paths: np.ndarray
    vif: np.ndarray
    r2: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    flipped: np.ndarray

    @cached_property
    def total_effects(self) -> np.ndarray:
        r"""Direct plus indirect effects ``(..., J, J)``: :math:`(I - B)^{-1} - I` with B the paths."""
        eye = np.eye(self.paths.shape[-1])
        return np.linalg.inv(eye - self.paths) - eye


def solve(matrix: np.ndarray, layout: Layout, scheme: Scheme, tolerance: float, max_iterations: int) -> Solution:
    """PLS of every matrix in ``(..., p, p)``; draws that cannot be computed are NaN and not converged."""
    lead, p = matrix.shape[:-2], matrix.shape[-1]
    flat = matrix.reshape(-1, p, p)
    parts = [
        _solve_batch(flat[start : start + BATCH], layout, scheme, tolerance, max_iterations)
        for start in range(0, max(len(flat), 1), BATCH)
    ]
    joined = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Solution(*(column.reshape((*lead, *column.shape[1:])) for column in joined))


def _solve_batch(
    s: np.ndarray, layout: Layout, scheme: Scheme, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, ...]:
    with np.errstate(divide="ignore", invalid="ignore"):
        w, converged, iterations = _settle(s, layout, scheme, tolerance, max_iterations)
        w, c, v = _standardise(s, w, layout)
        loadings = c / np.sqrt(np.diagonal(s, axis1=-2, axis2=-1))[..., None]
        flipped = _mostly_negative(loadings, layout)
        sign = np.where(flipped, -1.0, 1.0)
        w = w * sign[:, layout.block]
        loadings = loadings * sign[:, None, :]
        v = v * sign[:, :, None] * sign[:, None, :]
        paths, vif, r2 = _regressions(v, layout)
    failed = ~np.isfinite(w).all(axis=1) | ~np.isfinite(paths).all(axis=(1, 2))
    return w, loadings, v, paths, vif, r2, converged & ~failed, iterations, flipped


def _settle(
    s: np.ndarray, layout: Layout, scheme: Scheme, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outer weights at rest: Lohmoeller's iteration from equal weights, each draw until its own weights settle."""
    draws, p = s.shape[:2]
    inverses = [_inverse(s[:, at[:, None], at]) for at in layout.mode_b]
    final = np.full((draws, p), np.nan)
    converged = np.zeros(draws, dtype=bool)
    iterations = np.full(draws, max_iterations)
    moving = np.arange(draws)
    w, c, v = _standardise(s, np.ones((draws, p)), layout)
    for iteration in range(1, max_iterations + 1):
        inner = _inner_weights(v, layout, scheme)
        new = (c * np.swapaxes(inner[:, :, layout.block], 1, 2)).sum(axis=-1)
        for at, inverse in zip(layout.mode_b, inverses, strict=True):
            new[:, at] = (inverse @ new[:, at, None])[..., 0]
        new, c, v = _standardise(s, new, layout)
        change = np.abs(new - w).sum(axis=1)
        w = new
        # A change that is NaN never shrinks: such a draw is out, and stays NaN.
        still = change >= tolerance
        if not still.all():
            done = change < tolerance
            final[moving[done]], converged[moving[done]], iterations[moving[done]] = w[done], True, iteration
            iterations[moving[np.isnan(change)]] = iteration
            moving, s, w, c, v = moving[still], s[still], w[still], c[still], v[still]
            inverses = [inverse[still] for inverse in inverses]
        if not len(moving):
            break
    final[moving] = w
    return final, converged, iterations


def _standardise(s: np.ndarray, w: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights scaled to score variance 1, covariances of items with scores, correlations of scores."""
    c = s @ (w[:, :, None] * layout.member)
    v = layout.member.T @ (w[:, :, None] * c)
    sd = np.sqrt(np.diagonal(v, axis1=1, axis2=2))
    return w / sd[:, layout.block], c / sd[:, None, :], v / (sd[:, :, None] * sd[:, None, :])


def _inner_weights(v: np.ndarray, layout: Layout, scheme: Scheme) -> np.ndarray:
    """Weight ``(draws, J, J)`` of score i (row) in the inner estimate of construct j (column)."""
    if scheme == "centroid":
        return np.sign(v) * layout.neighbours
    inner = v * layout.neighbours
    if scheme == "path" and layout.joint.any():
        real = ~layout.filler[layout.joint]
        at = layout.joint[np.searchsorted(layout.endogenous, layout.arrows[1])]
        rows, columns = layout.arrows[0][at], layout.arrows[1][at]
        inner[:, rows, columns] = _quotient(*_normal_equations(v, layout, layout.joint))[:, real]
    return inner


def _normal_equations(
    v: np.ndarray, layout: Layout, which: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations among the sources ``(draws, E, K, K)`` and with the target ``(draws, E, K)`` of some regressions."""
    at, targets = layout.sources[which], layout.endogenous[which]
    left = np.where(layout.idle[which], np.eye(at.shape[1]), v[:, at[:, :, None], at[:, None, :]])
    right = np.where(layout.filler[which], 0.0, v[:, at, targets[:, None]])
    return left, right


def _regressions(v: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paths and variance inflation ``(draws, J, J)`` and R2 ``(draws, J)`` from the construct correlations."""
    draws, j = v.shape[:2]
    left, right = _normal_equations(v, layout)
    inverse = _inverse(left)
    coefficients = (inverse @ right[..., None])[..., 0]
    inflation = np.diagonal(inverse, axis1=-2, axis2=-1)
    real, (rows, columns) = ~layout.filler, layout.arrows
    paths, vif, r2 = np.zeros((draws, j, j)), np.full((draws, j, j), np.nan), np.full((draws, j), np.nan)
    paths[:, rows, columns] = coefficients[:, real]
    vif[:, rows, columns] = inflation[:, real]
    r2[:, layout.endogenous] = (coefficients * right).sum(axis=-1)
    return paths, vif, r2


def _quotient(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solutions of ``left x = right`` for stacks; NaN where ``left`` is singular."""
    try:
        return np.linalg.solve(left, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return (_inverse(left) @ right[..., None])[..., 0]


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Inverses of a stack of covariance matrices; NaN where one is singular up to rounding."""
    try:
        inverse = np.linalg.inv(matrices)
    except np.linalg.LinAlgError:
        singular = np.linalg.det(matrices) == 0
        inverse = np.linalg.inv(np.where(singular[..., None, None], np.eye(matrices.shape[-1]), matrices))
        inverse[singular] = np.nan
    inflation = np.diagonal(inverse, axis1=-2, axis2=-1) * np.diagonal(matrices, axis1=-2, axis2=-1)
    # A singular matrix that escaped through rounding shows as huge or negative inflation.
    sound = ((inflation > 0) & (inflation < LARGEST_VIF)).all(axis=-1)
    return np.where(sound[..., None, None], inverse, np.nan)


def _mostly_negative(loadings: np.ndarray, layout: Layout) -> np.ndarray:
    """Constructs ``(draws, J)`` with more negative than positive loadings in their block; at a tie the sum decides."""
    own = np.take_along_axis(loadings, layout.block[None, :, None], axis=2)[..., 0]
    signs, sums = np.sign(own) @ layout.member, own @ layout.member
    return (signs < 0) | ((signs == 0) & (sums < 0))
