"""The normal likelihood of a model: value, gradient, expected and observed information, scores of respondents.

One set of formulas serves complete data, groups, draws and missing patterns: a *piece* is a set of respondents who
answered the same items, with its count, means and covariances. Complete data are one piece per group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from csi_lab.sem.cb_structure import ALPHA, BETA, LAMBDA, PSI, Cells, Matrices, matrices

Information = Literal["expected", "observed"]

# Numbers held at once by the products of one block of pieces: a few times the second-level cache.
BLOCK = 2_000_000


@dataclass(frozen=True, eq=False)
class Pieces:
    """Respondents of one group, by the items they answered; R pieces in each of N draws, in standardised units.

    Attributes
    ----------
    count
        Respondents ``(N, R)``, or what stands for them in the likelihood (n - 1 with the Wishart likelihood).
    mean, cov
        ``(N, R, p)`` and ``(N, R, p, p)``, denominator n (Wishart: n - 1); 0 where an item is missing.
    seen
        Items answered ``(R, p)``; ``None``: all.
    """

    count: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    seen: np.ndarray | None = None

    def draws(self, at: np.ndarray | slice) -> Pieces:
        """Some of the draws."""
        return Pieces(self.count[at], self.mean[at], self.cov[at], self.seen)

    def block(self, at: slice) -> Pieces:
        """Some of the pieces."""
        seen = None if self.seen is None else self.seen[at]
        return Pieces(self.count[:, at], self.mean[:, at], self.cov[:, at], seen)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Half the deviance at a theta, with derivatives.

    Attributes
    ----------
    value
        Minus the log-likelihood without constants ``(N,)``: half the sum of count (log|Sigma| + tr(Sigma^-1 T)); inf
        where Sigma is not positive definite.
    gradient
        Of ``value``, ``(N, q)``.
    information
        ``(N, q, q)``, or ``None`` if not asked for.
    """

    value: np.ndarray
    gradient: np.ndarray
    information: np.ndarray | None


def evaluate(
    cells: Sequence[Cells],
    groups: Sequence[Pieces],
    scale: np.ndarray,
    theta: np.ndarray,
    information: Information | None = "expected",
) -> Evaluation:
    r"""The likelihood at ``theta (N, q)`` of data with item scales ``scale (N, p)``.

    With :math:`d = \bar x - \mu`, :math:`T = S + dd'`, :math:`W = \Sigma^{-1}`, :math:`G = WTW - W`, derivatives
    :math:`\Sigma_k` and :math:`\mu_k`:

    .. math::
        -\ell = \tfrac12 \sum n (\log|\Sigma| + \operatorname{tr} WT), \qquad
        \ell_k = \sum n (\tfrac12 \operatorname{tr} G \Sigma_k + \mu_k' W d)

    .. math::
        I_{kl} = \sum n (\tfrac12 \operatorname{tr} W \Sigma_k W \Sigma_l + \mu_k' W \mu_l)

    and the observed information is the exact matrix of second derivatives.
    """
    n, q = theta.shape
    value = np.zeros(n)
    gradient = np.zeros((n, q), dtype=theta.dtype)
    total = None if information is None else np.zeros((n, q, q), dtype=theta.dtype)
    for own, pieces in zip(cells, groups, strict=True):
        built = matrices(own, theta, scale)
        coefficient = own.half / own.scales(scale)
        slope, k = _slopes(own, built), len(own.free)
        g_sum = np.zeros(built.sigma.shape, dtype=theta.dtype)
        z_sum = np.zeros(built.mu.shape, dtype=theta.dtype)
        rows = np.zeros((n, k, k), dtype=theta.dtype)
        for part in _blocks(pieces, k):
            w, logdet = _inverse(built.sigma, part.seen)
            d = part.mean - built.mu[:, None, :]
            if part.seen is not None:
                d = np.where(part.seen, d, 0.0)
            t = part.cov + d[..., :, None] * d[..., None, :]
            wt = w @ t
            value = value + 0.5 * _counted(part.count, logdet + np.trace(wt, axis1=-2, axis2=-1).real)
            m = wt @ w
            z = (w @ d[..., None])[..., 0]
            g_sum = g_sum + np.einsum("nr,nrij->nij", part.count, m - w)
            z_sum = z_sum + np.einsum("nr,nri->ni", part.count, z)
            if information == "expected":
                rows = rows + _expected(own, built, part.count, w, slope)
            elif information == "observed":
                rows = rows + _observed(own, built, part.count, w, m, z, slope)
        pool = built.pool
        pg = np.swapaxes(pool, -1, -2) @ g_sum @ pool
        pz = (z_sum[:, None, :] @ pool)[:, 0]
        flat = pg.reshape(n, -1)
        by_row = coefficient * (flat[:, own.own] + slope * pz[:, own.u])
        _add_vector(gradient, by_row, own)
        if total is not None:
            if information == "observed":
                rows = rows - _curvature(own, built, pg, pz, slope)
            _add_matrix(total, rows * coefficient[:, :, None] * coefficient[:, None, :], own)
    return Evaluation(value, -gradient, total)


def half_deviance(pieces: Pieces, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Minus the log-likelihood without constants ``(N,)`` at any ``mu (N, p)`` and ``sigma (N, p, p)``."""
    w, logdet = _inverse(sigma, pieces.seen)
    d = pieces.mean - mu[:, None, :]
    if pieces.seen is not None:
        d = np.where(pieces.seen, d, 0.0)
    t = pieces.cov + d[..., :, None] * d[..., None, :]
    return 0.5 * _counted(pieces.count, logdet + (w * t).sum(axis=(-2, -1)))


def scores(cells: Cells, theta: np.ndarray, scale: np.ndarray, x: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Derivative of each respondent's log-likelihood ``(rows, q)``.

    Parameters
    ----------
    cells
        Of the respondents' group.
    theta, scale
        One parameter vector ``(q,)`` and the item scales ``(p,)``.
    x
        Answers ``(rows, p)`` in standardised units, all with the same items missing.
    seen
        Items answered ``(p,)``.
    """
    built = matrices(cells, theta[None], scale[None])
    w, _ = _inverse(built.sigma, seen[None])
    z = np.where(seen, x - built.mu[0], 0.0) @ w[0, 0]
    pool = built.pool[0]
    along = z @ pool
    own = (pool.T @ w[0, 0] @ pool).reshape(-1)[cells.own]
    coefficient = (cells.half / cells.scales(scale[None]))[0]
    slope = _slopes(cells, built)[0]
    by_row = coefficient * (along[:, cells.u] * along[:, cells.v] - own + slope * along[:, cells.u])
    return by_row @ cells.spread(len(theta))


def _counted(count: np.ndarray, deviance: np.ndarray) -> np.ndarray:
    """Sum over pieces ``(N,)``; a piece that a draw lacks counts for nothing, even where it would be infinite."""
    return np.multiply(count, deviance, out=np.zeros(deviance.shape), where=count > 0).sum(axis=1)


def _slopes(cells: Cells, built: Matrices) -> np.ndarray:
    """The factor c of each row in mu_k = c u ``(N, k)``: a construct mean, 1, or 0."""
    means = built.latent_means
    by_column = means[:, np.minimum(cells.column, cells.m - 1)]
    return np.where(cells.kind <= BETA, by_column, np.where(cells.kind > PSI + 1, 1.0, 0.0))


def _blocks(pieces: Pieces, k: int) -> Iterator[Pieces]:
    n, r = pieces.count.shape
    step = max(1, BLOCK // (n * k * k))
    for start in range(0, r, step):
        yield pieces.block(slice(start, start + step))


def _inverse(sigma: np.ndarray, seen: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Inverse ``(N, R, p, p)`` and log determinant ``(N, R)`` of the part of Sigma that each piece has seen.

    Rows and columns of unseen items are 0 in the inverse. Where Sigma is not positive definite the log determinant is
    inf and the inverse that of the unit matrix.
    """
    if seen is None:
        part = sigma[:, None]
        both = None
    else:
        both = seen[:, :, None] & seen[:, None, :]
        part = np.where(both, sigma[:, None], np.eye(sigma.shape[-1]))
    if np.iscomplexobj(part):
        w = np.linalg.inv(part)
        logdet = np.linalg.slogdet(part)[1]
    else:
        w, logdet = _inverse_or_inf(part)
    return (w if both is None else np.where(both, w, 0.0)), logdet


def _inverse_or_inf(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bad = ~np.isfinite(part).all(axis=(-2, -1))
    if bad.any():
        part = np.where(bad[..., None, None], np.eye(part.shape[-1]), part)
    try:
        root = np.linalg.cholesky(part)
    except np.linalg.LinAlgError:
        values = np.linalg.eigvalsh(part)
        bad = bad | (values[..., 0] <= 1e-13 * values[..., -1])
        part = np.where(bad[..., None, None], np.eye(part.shape[-1]), part)
        root = np.linalg.cholesky(part)
    logdet = 2 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    return np.linalg.inv(part), np.where(bad, np.inf, logdet)


def _gathered(product: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Cells of ``(..., P, P)`` at flat positions ``(k, k)``."""
    return product.reshape(*product.shape[:-2], -1)[..., at]


def _expected(cells: Cells, built: Matrices, count: np.ndarray, w: np.ndarray, slope: np.ndarray) -> np.ndarray:
    pool = built.pool[:, None]
    inner = np.swapaxes(pool, -1, -2) @ w @ pool
    at_uu, at_uv, at_vv = cells.pairs
    uu, uv, vv = (_gathered(inner, at) for at in (at_uu, at_uv, at_vv))
    rows = uu * vv + uv * np.swapaxes(uv, -1, -2)
    if cells.kind.max(initial=0) > PSI + 1:
        rows = rows + slope[:, None, :, None] * slope[:, None, None, :] * uu
    return np.einsum("nr,nrkl->nkl", count, rows)


def _observed(
    cells: Cells, built: Matrices, count: np.ndarray, w: np.ndarray, m: np.ndarray, z: np.ndarray, slope: np.ndarray
) -> np.ndarray:
    """The part of the observed information made of first derivatives of Sigma and mu."""
    pool = built.pool[:, None]
    turned = np.swapaxes(pool, -1, -2)
    at_uu, at_uv, at_vv = cells.pairs
    inner = turned @ w @ pool
    uu, uv, vv = (_gathered(inner, at) for at in (at_uu, at_uv, at_vv))
    outer = turned @ m @ pool
    muu, muv, mvv = (_gathered(outer, at) for at in (at_uu, at_uv, at_vv))
    vu, mvu = np.swapaxes(uv, -1, -2), np.swapaxes(muv, -1, -2)
    rows = uu * mvv + vv * muu + vu * muv + uv * mvu - uu * vv - uv * vu
    along = (z[:, :, None, :] @ pool)[:, :, 0]
    zu, zv = along[..., cells.u], along[..., cells.v]
    cross = (zu[..., :, None] * vu + zv[..., :, None] * uu) * slope[:, None, None, :]
    rows = rows + cross + np.swapaxes(cross, -1, -2) + slope[:, None, :, None] * slope[:, None, None, :] * uu
    return np.einsum("nr,nrkl->nkl", count, rows)


def _curvature(cells: Cells, built: Matrices, pg: np.ndarray, pz: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Second derivatives of Sigma and mu against G and z, summed over pieces ``(N, k, k)``.

    A derivative of a vector of the pool is again made of the pool: dX_j = A_bj u_l for a loading or path l with column
    b; dY_j = E_bj u_l + A_ja v_l likewise, with E the construct covariances and a the row of l (paths and Psi only).
    """
    last = cells.m - 1
    row, column = np.minimum(cells.row, last), np.minimum(cells.column, last)
    moves_x = np.isin(cells.kind, (LAMBDA, BETA))
    from_latent = np.isin(cells.kind, (BETA, PSI))
    is_psi, has_x = cells.kind == PSI, np.isin(cells.kind, (BETA, PSI, ALPHA))
    a, e = built.chain, built.latent
    # Row k, column l: what parameter l does to the vectors of row k.
    x_of_row = np.where(has_x[:, None] & moves_x, a[:, column[None, :], row[:, None]], 0.0)
    x_of_column = np.where(is_psi[:, None] & moves_x, a[:, column[None, :], column[:, None]], 0.0)
    y_along_u = np.where(moves_x, e[:, column[None, :], column[:, None]], 0.0) + np.where(
        is_psi, a[:, column[:, None], column[None, :]], 0.0
    )
    y_along_v = np.where(from_latent, a[:, column[:, None], row[None, :]], 0.0)
    y_along_u, y_along_v = (np.where(moves_x[:, None], y, 0.0) for y in (y_along_u, y_along_v))
    at_uu, at_uv, _ = cells.pairs
    guu, guv = _gathered(pg, at_uu), _gathered(pg, at_uv)
    rows = x_of_row * np.swapaxes(guv, -1, -2) + (x_of_column + y_along_u) * guu + y_along_v * guv
    zu = pz[:, cells.u]
    moves_means = np.isin(cells.kind, (BETA, ALPHA))
    of_slope = np.where(moves_x[:, None] & moves_means, a[:, column[:, None], row[None, :]] * slope[:, None, :], 0.0)
    return rows + of_slope * zu[:, :, None] + slope[:, :, None] * x_of_row * zu[:, None, :]


def _add_vector(total: np.ndarray, rows: np.ndarray, cells: Cells) -> None:
    if cells.distinct:
        total[:, cells.free] += rows
    else:
        total += rows @ cells.spread(total.shape[-1])


def _add_matrix(total: np.ndarray, rows: np.ndarray, cells: Cells) -> None:
    if cells.distinct:
        total[:, cells.free[:, None], cells.free] += rows
    else:
        spread = cells.spread(total.shape[-1])
        total += spread.T @ rows @ spread
