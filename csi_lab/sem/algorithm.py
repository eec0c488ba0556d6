"""Partial least squares on matrices: weights, loadings and paths of many samples at once.

Everything here is a function of covariance matrices ``(draws, p, p)`` and of the arrays that describe the model. There
is no loop over draws: a batch moves together, and each draw leaves it when its own weights have settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np

from csi_lab.model import PathModel

Scheme = Literal["path", "factorial", "centroid"]
SCHEMES = ("path", "factorial", "centroid")

# Draws per batch: the matrices of a batch stay in the second-level cache.
BATCH = 256
# From so many draws on, sums over a block's items are faster block by block than in one product with zeros.
FEW = 48
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
    @lru_cache(maxsize=64)
    def of(cls, model: PathModel) -> Layout:
        """The arrays of a model, items and constructs in its order; made once for models that say the same."""
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
    def blocks(self) -> tuple[slice, ...]:
        """Where the items of each construct stand."""
        ends = np.cumsum(self.member.sum(axis=0)).astype(int).tolist()
        return tuple(slice(a, b) for a, b in zip([0, *ends], ends, strict=False))

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
    def regressors(self) -> np.ndarray:
        """The sources and, last, the target of each regression ``(E, K + 1)``: the columns of its normal equations."""
        return np.column_stack([self.sources, self.endogenous])

    @cached_property
    def fixed(self) -> tuple[np.ndarray, np.ndarray]:
        """What the normal equations ``(E, K, K + 1, 1)`` are multiplied by, and what is added: fillers."""
        columns = np.column_stack([self.filler, np.zeros(len(self.filler), dtype=bool)])
        idle = self.filler[:, :, None] | columns[:, None, :]
        return (1.0 - idle)[..., None], (idle * np.eye(*idle.shape[1:]))[..., None]

    @cached_property
    def arrows(self) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of every path, in the order of ``coefficients[:, ~filler]``."""
        real = ~self.filler
        return self.sources[real], np.broadcast_to(self.endogenous[:, None], real.shape)[real]

    @cached_property
    def joint_arrows(self) -> tuple[np.ndarray, np.ndarray]:
        """Source and target of the paths into constructs with several sources."""
        several = np.isin(self.arrows[1], self.endogenous[self.joint])
        return self.arrows[0][several], self.arrows[1][several]

    @cached_property
    def joint_places(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Where the coefficients of the :attr:`joint_arrows` stand in the solved normal equations."""
        rows, columns = np.nonzero(~self.filler[self.joint])
        return rows, columns, 0

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
    matrices: np.ndarray, layout: Layout, scheme: Scheme, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, ...]:
    # Within a batch the draws come last: each step is then a few long vector operations, however small the model.
    s = np.ascontiguousarray(np.moveaxis(matrices, 0, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        w, converged, iterations = _settle(s, layout, scheme, tolerance, max_iterations)
        w, c, v = _standardise(s, w, layout)
        own, at = _diagonal(v), np.arange(len(v))
        v[at, at] = own / own  # 1 without rounding, and NaN where there is no solution
        loadings = c / np.sqrt(_diagonal(s))[:, None]
        flipped = _mostly_negative(loadings, layout)
        if flipped.any():
            sign = np.where(flipped, -1.0, 1.0)
            w, loadings, v = w * sign[layout.block], loadings * sign, v * sign[:, None] * sign
        paths, vif, r2 = _regressions(v, layout)
    converged &= np.isfinite(w).all(axis=0) & np.isfinite(paths).all(axis=(0, 1))
    found = (np.ascontiguousarray(np.moveaxis(part, -1, 0)) for part in (w, loadings, v, paths, vif, r2))
    return *found, converged, iterations, flipped.T


def _settle(
    s: np.ndarray, layout: Layout, scheme: Scheme, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outer weights ``(p, draws)`` at rest: Lohmoeller's iteration from equal weights, draw by draw until settled."""
    p, draws = s.shape[1:]
    inverses = [_inverse(s[None, at[:, None], at])[0] for at in layout.mode_b]
    final = np.full((p, draws), np.nan)
    converged = np.zeros(draws, dtype=bool)
    iterations = np.full(draws, max_iterations)
    # Which draw each column of the working arrays is, and whether it still moves.
    draw, moving = np.arange(draws), np.ones(draws, dtype=bool)
    w, c, v = _standardise(s, np.ones((p, draws)), layout)
    # Weights of unstandardised items have a unit: in that of the items they would rest early in small units, late in
    # large ones.
    sd = np.sqrt(_diagonal(s))
    for iteration in range(1, max_iterations + 1):
        inner = _inner_weights(v, layout, scheme)
        new = np.einsum("ijd,ijd->id", c, inner[layout.block])
        for at, inverse in zip(layout.mode_b, inverses, strict=True):
            new[at] = np.einsum("ijd,jd->id", inverse, new[at])
        new, c, v = _standardise(s, new, layout)
        change = np.einsum("id,id->d", np.abs(new - w), sd)
        w = new
        # A change that is NaN never shrinks: such a draw is out, and stays NaN.
        still = moving & (change >= tolerance)
        left = np.count_nonzero(still)
        if left < np.count_nonzero(moving):
            resting = moving & (change < tolerance)
            final[:, draw[resting]], converged[draw[resting]] = w[:, resting], True
            iterations[draw[moving & ~still]] = iteration
            moving = still
        if not left:
            break
        if 4 * left <= len(draw):  # draws at rest are carried along until they are most of the batch
            draw, s, w, c, v = draw[still], s[..., still], w[:, still], c[..., still], v[..., still]
            sd = sd[:, still]
            inverses = [inverse[..., still] for inverse in inverses]
            moving = np.ones(left, dtype=bool)
    final[:, draw[moving]] = w[:, moving]
    return final, converged, iterations


def _standardise(s: np.ndarray, w: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights scaled to score variance 1, covariances of items with scores, correlations of scores.

    ``s (p, p, draws)`` and ``w (p, draws)`` give ``(p, draws)``, ``(p, J, draws)`` and ``(J, J, draws)``.
    """
    p, draws = w.shape
    sum_up = layout.member.T
    if draws < FEW:
        c = sum_up @ (s * w)
    else:
        c = np.empty((p, len(sum_up), draws))
        for j, own in enumerate(layout.blocks):
            np.einsum("ikd,kd->id", s[:, own], w[own], out=c[:, j])
    v = (sum_up @ (w[:, None] * c).reshape(p, -1)).reshape(len(sum_up), -1, draws)
    scale = 1 / np.sqrt(_diagonal(v))
    c *= scale
    v *= scale
    v *= scale[:, None]
    return w * scale[layout.block], c, v


def _inner_weights(v: np.ndarray, layout: Layout, scheme: Scheme) -> np.ndarray:
    """Weight ``(J, J, draws)`` of score j (column) in the inner estimate of construct i (row)."""
    neighbours = layout.neighbours[..., None]
    if scheme == "centroid":
        return np.sign(v) * neighbours
    inner = v * neighbours
    if scheme == "path" and layout.joint.any():
        sources, targets = layout.joint_arrows
        inner[targets, sources] = _eliminate(normal_equations(v, layout, layout.joint))[layout.joint_places]
    return inner


def normal_equations(v: np.ndarray, layout: Layout, which: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Correlations of the sources with each other and, in the last column, with the target ``(E, K, K + 1, draws)``."""
    times, plus = layout.fixed
    found = v[layout.sources[which][:, :, None], layout.regressors[which][:, None, :]]
    found *= times[which]
    found += plus[which]
    return found


def _regressions(v: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paths and variance inflation ``(J, J, draws)`` and R2 ``(J, draws)`` from the construct correlations."""
    j, draws = v.shape[1:]
    equations = normal_equations(v, layout)
    right = equations[:, :, -1]
    inverse = _inverse(equations[:, :, :-1])
    coefficients = np.einsum("ekld,eld->ekd", inverse, right)
    real, (rows, columns) = ~layout.filler, layout.arrows
    paths, vif, r2 = np.zeros((j, j, draws)), np.full((j, j, draws), np.nan), np.full((j, draws), np.nan)
    paths[rows, columns] = coefficients[real]
    vif[rows, columns] = _diagonal(inverse)[real]
    r2[layout.endogenous] = np.einsum("ekd,ekd->ed", coefficients, right)
    return paths, vif, r2


def _eliminate(equations: np.ndarray) -> np.ndarray:
    """Solutions ``(E, K, m, draws)`` of E systems of K equations with covariance matrices and m right-hand sides.

    ``equations (E, K, K + m, draws)`` holds the matrix and, beside it, the right-hand sides; it is overwritten.
    Gauss and Jordan's elimination, all draws in step, which for a few equations is much faster than one draw after the
    other. A covariance matrix needs no exchange of rows; a singular one gives what dividing by its pivot of zero gives.
    """
    count = equations.shape[1]
    for i in range(count):
        row = equations[:, i, i + 1 :] / equations[:, i, i, None]
        rest = equations[:, :, i + 1 :]
        rest -= equations[:, :, i, None] * row[:, None]
        rest[:, i] = row
    return equations[:, :, count:]


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Inverses of covariance matrices ``(E, k, k, draws)``; NaN where one is singular up to rounding."""
    eye = np.broadcast_to(np.eye(matrices.shape[1])[..., None], matrices.shape)
    inverse = _eliminate(np.concatenate([matrices, eye], axis=2))
    inflation = _diagonal(inverse) * _diagonal(matrices)
    # A singular matrix that escaped through rounding shows as huge or negative inflation.
    sound = ((inflation > 0) & (inflation < LARGEST_VIF)).all(axis=1)
    return np.where(sound[:, None, None], inverse, np.nan)


def _diagonal(matrices: np.ndarray) -> np.ndarray:
    """Diagonals ``(..., k, draws)`` of ``(..., k, k, draws)``."""
    *lead, k, _, draws = matrices.shape
    return matrices.reshape(*lead, k * k, draws)[..., :: k + 1, :]


def _mostly_negative(loadings: np.ndarray, layout: Layout) -> np.ndarray:
    """Constructs ``(J, draws)`` with more negative than positive loadings in their block; at a tie the sum decides."""
    own = loadings[np.arange(len(layout.block)), layout.block]
    signs, sums = layout.member.T @ np.sign(own), layout.member.T @ own
    return (signs < 0) | ((signs == 0) & (sums < 0))
