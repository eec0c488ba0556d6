"""From parameters to model matrices, for many parameter vectors at once.

Everything is computed in the metric of standardised items: with item scales d and construct scales l a loading is
divided by d/l, a path by l/l, a residual covariance by d d, and so on. theta itself stays in the units of the data, so
that constraints mean what they say, and no estimate depends on the units.

Each derivative of Sigma is ``u v' + v u'`` with u and v out of a small pool of vectors: the unit vectors of the items,
the columns of X = Lambda A and of Y = Lambda A Psi A'. Gradient and information therefore need products of the pool
only, never a derivative matrix per parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from csi_lab.sem.cb_specification import Row, Specification

MATRICES = ("Lambda", "Beta", "Psi", "Theta", "nu", "alpha")
LAMBDA, BETA, PSI, THETA, NU, ALPHA = range(6)


@dataclass(frozen=True, eq=False)
class Cells:
    """The rows of one group as index arrays; k free rows.

    Attributes
    ----------
    p, m
        Number of items and constructs.
    fixed
        The matrices with their fixed values, in the order of MATRICES; 0 where a cell is free.
    kind, row, column
        Matrix and cell of each free row ``(k,)``.
    free
        Its position in theta ``(k,)``.
    marker
        Item whose scale each construct takes ``(m,)``; -1: none, the construct has scale 1.
    """

    p: int
    m: int
    fixed: tuple[np.ndarray, ...]
    kind: np.ndarray
    row: np.ndarray
    column: np.ndarray
    free: np.ndarray
    marker: np.ndarray

    @classmethod
    def of(cls, specification: Specification, group: int) -> Cells:
        """The arrays of one group."""
        p, m = len(specification.items), len(specification.constructs)
        shapes = ((p, m), (m, m), (m, m), (p, p), (p,), (m,))
        fixed = tuple(np.zeros(shape) for shape in shapes)
        places = []
        for row in specification.rows:
            if row.group != group:
                continue
            kind, at = _place(row, specification)
            if row.free >= 0:
                places.append((kind, at[0], at[-1], row.free))
            else:
                fixed[kind][at] = row.value
                if kind in (PSI, THETA):
                    fixed[kind][at[::-1]] = row.value
        table = np.array(places, dtype=int).reshape(-1, 4).T
        marker = np.full(m, -1)
        marked = fixed[LAMBDA] != 0
        for j in np.flatnonzero(marked.any(axis=0)):
            marker[j] = np.flatnonzero(marked[:, j])[0]
        return cls(p, m, fixed, table[0], table[1], table[2], table[3], marker)

    @cached_property
    def distinct(self) -> bool:
        """Whether no two rows of the group share a parameter."""
        return len(set(self.free.tolist())) == len(self.free)

    @cached_property
    def u(self) -> np.ndarray:
        """Position in the pool of the first vector of each row."""
        latent = np.isin(self.kind, (BETA, PSI, ALPHA))
        return np.where(latent, self.p + self.row, self.row)

    @cached_property
    def v(self) -> np.ndarray:
        """Position in the pool of the second vector of each row; the last vector of the pool is 0."""
        zero = self.p + 2 * self.m
        places = [
            self.p + self.m + self.column,
            self.p + self.m + self.column,
            self.p + self.column,
            self.column,
            np.full_like(self.column, zero),
            np.full_like(self.column, zero),
        ]
        return np.choose(self.kind, places)

    @cached_property
    def half(self) -> np.ndarray:
        """1/2 for variances, whose ``u v' + v u'`` counts the cell twice; else 1."""
        symmetric = np.isin(self.kind, (PSI, THETA)) & (self.row == self.column)
        return np.where(symmetric, 0.5, 1.0)

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Flat positions ``(k, k)`` of u'u, u'v and v'v in a product of the pool with itself."""
        width = self.p + 2 * self.m + 1
        return (
            self.u[:, None] * width + self.u,
            self.u[:, None] * width + self.v,
            self.v[:, None] * width + self.v,
        )

    @cached_property
    def own(self) -> np.ndarray:
        """Flat positions ``(k,)`` of each row's own u'v."""
        return self.u * (self.p + 2 * self.m + 1) + self.v

    def spread(self, q: int) -> np.ndarray:
        """1 where a row ``(k, q)`` stands for an entry of theta."""
        return np.eye(q)[self.free]

    def scales(self, d: np.ndarray) -> np.ndarray:
        """What each free cell is divided by ``(N, k)`` in the metric of items with scales ``d (N, p)``."""
        latent = self.latent_scales(d)
        row_is_item = np.isin(self.kind, (LAMBDA, THETA, NU))
        rows = np.where(
            row_is_item, d[:, np.minimum(self.row, self.p - 1)], latent[:, np.minimum(self.row, self.m - 1)]
        )
        columns = np.where(
            self.kind == THETA,
            d[:, np.minimum(self.column, self.p - 1)],
            latent[:, np.minimum(self.column, self.m - 1)],
        )
        by_column = np.where(np.isin(self.kind, (LAMBDA, BETA)), 1 / columns, columns)
        return rows * np.where(np.isin(self.kind, (NU, ALPHA)), 1.0, by_column)

    def latent_scales(self, d: np.ndarray) -> np.ndarray:
        """Scale of each construct ``(N, m)``: that of its marker, or 1."""
        return np.where(self.marker >= 0, d[:, np.maximum(self.marker, 0)], 1.0)


@dataclass(frozen=True, eq=False)
class Matrices:
    """The matrices of one group for N parameter vectors, and what follows from them.

    Attributes
    ----------
    loadings, paths, psi, theta, nu, alpha
        ``(N, p, m)``, ``(N, m, m)``, ``(N, m, m)``, ``(N, p, p)``, ``(N, p)``, ``(N, m)``.
    chain
        A = (I - Beta)^-1, ``(N, m, m)``.
    """

    loadings: np.ndarray
    paths: np.ndarray
    psi: np.ndarray
    theta: np.ndarray
    nu: np.ndarray
    alpha: np.ndarray
    chain: np.ndarray

    @cached_property
    def reach(self) -> np.ndarray:
        """X = Lambda A ``(N, p, m)``."""
        return self.loadings @ self.chain

    @cached_property
    def latent(self) -> np.ndarray:
        """Covariances of the constructs, A Psi A' ``(N, m, m)``."""
        return self.chain @ self.psi @ np.swapaxes(self.chain, -1, -2)

    @cached_property
    def latent_means(self) -> np.ndarray:
        """Means of the constructs, A alpha ``(N, m)``."""
        return (self.chain @ self.alpha[..., None])[..., 0]

    @cached_property
    def sigma(self) -> np.ndarray:
        """Implied covariances ``(N, p, p)``, exactly symmetric."""
        common = self.loadings @ self.latent @ np.swapaxes(self.loadings, -1, -2)
        return (common + np.swapaxes(common, -1, -2)) / 2 + self.theta

    @cached_property
    def mu(self) -> np.ndarray:
        """Implied means ``(N, p)``."""
        return self.nu + (self.loadings @ self.latent_means[..., None])[..., 0]

    @cached_property
    def pool(self) -> np.ndarray:
        """The vectors that make up all derivatives ``(N, p, p + 2m + 1)``: unit vectors, X, Y and 0."""
        x = self.reach
        n, p, _ = x.shape
        unit = np.broadcast_to(np.eye(p), (n, p, p))
        return np.concatenate([unit, x, self.loadings @ self.latent, np.zeros((n, p, 1))], axis=-1)


def matrices(cells: Cells, theta: np.ndarray, d: np.ndarray | None = None) -> Matrices:
    """The matrices for ``theta (N, q)``; with item scales ``d (N, p)`` in the metric of standardised items."""
    n = len(theta)
    values = theta[:, cells.free]
    out = [np.broadcast_to(base, (n, *base.shape)).astype(theta.dtype, copy=True) for base in cells.fixed]
    if d is not None:
        values = values / cells.scales(d)
        latent = cells.latent_scales(d)
        out[LAMBDA] = out[LAMBDA] * latent[:, None, :] / d[:, :, None]
        out[BETA] = out[BETA] * latent[:, None, :] / latent[:, :, None]
        out[PSI] = out[PSI] / (latent[:, :, None] * latent[:, None, :])
        out[THETA] = out[THETA] / (d[:, :, None] * d[:, None, :])
        out[NU] = out[NU] / d
        out[ALPHA] = out[ALPHA] / latent
    for kind in range(6):
        at = np.flatnonzero(cells.kind == kind)
        if not len(at):
            continue
        i, j = cells.row[at], cells.column[at]
        if kind in (NU, ALPHA):
            out[kind][:, i] = values[:, at]
        else:
            out[kind][:, i, j] = values[:, at]
        if kind in (PSI, THETA):
            out[kind][:, j, i] = values[:, at]
    eye = np.eye(cells.m)
    if (cells.kind == BETA).any() or cells.fixed[BETA].any():
        chain = np.linalg.inv(eye - out[BETA])
    else:
        chain = np.broadcast_to(eye, out[BETA].shape)
    return Matrices(out[0], out[1], out[2], out[3], out[4], out[5], chain)


def _place(row: Row, specification: Specification) -> tuple[int, tuple[int, ...]]:
    """Matrix and cell of a row."""
    items, constructs = specification.items.index, specification.constructs.index
    kind = MATRICES.index(row.matrix)
    if kind == LAMBDA:
        return kind, (items(row.rhs), constructs(row.lhs))
    if kind in (BETA, PSI):
        return kind, (constructs(row.lhs), constructs(row.rhs))
    if kind == THETA:
        return kind, (items(row.lhs), items(row.rhs))
    return kind, (items(row.lhs) if kind == NU else constructs(row.lhs),)
