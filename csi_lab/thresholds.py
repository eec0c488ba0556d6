"""Correlations behind tables of ordered answers: bivariate normal cells, likelihood and errors, many tables at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from csi_lab.moments import Moments

# Correlations are sought between minus and plus this; beyond, cells are empty up to rounding.
LIMIT = 0.9999
# A step shorter than this ends the search.
SHORTEST_STEP = 1e-11
MOST_STEPS = 100
# Tables solved together: their corners stay in the second-level cache.
TABLES_AT_ONCE = 4096
# A share of answers below this is rounding in an empty cell.
EMPTY = 1e-12


@dataclass(frozen=True)
class Tables:
    """How indicators of categories stand for items: ``categories`` of each of the p items, in order.

    Tables have c rows and columns, c the most categories of any item; items with fewer leave the last ones empty.
    """

    categories: tuple[int, ...]

    def counts(self, moments: Moments) -> np.ndarray:
        """Shares of answers ``(..., P, c, c)`` of all P = p(p - 1)/2 pairs, from moments of the indicators."""
        n = np.asarray(moments.n, dtype=float)[..., None, None]
        mean = moments.mean
        joint = moments.cov * (n - moments.ddof) / n + mean[..., :, None] * mean[..., None, :]
        joint = np.where(joint < EMPTY, 0.0, joint)
        first, second = pairs(len(self.categories))
        at = self._place()
        rows, columns = at[first][:, :, None], at[second][:, None, :]
        shares = joint[..., np.maximum(rows, 0), np.maximum(columns, 0)]
        return np.where((rows >= 0) & (columns >= 0), shares, 0.0) * np.asarray(moments.n)[..., None, None, None]

    def thresholds(self, moments: Moments) -> np.ndarray:
        """Upper cuts ``(..., p, c)`` of each category; infinite from the last one on."""
        at = self._place()
        shares = np.where(at >= 0, moments.mean[..., np.maximum(at, 0)], 0.0)
        return _cuts(shares)

    def _place(self) -> np.ndarray:
        """Which indicator is category k of item i ``(p, c)``; -1 where there is none."""
        ends = np.cumsum(self.categories)
        k = np.arange(max(self.categories))
        counts = np.array(self.categories)[:, None]
        return np.where(k < counts, (ends[:, None] - counts) + k, -1)


@dataclass(frozen=True)
class TwoStep:
    """Correlations ``(..., P)`` of tables; ``filled`` had an empty cell of four, ``boundary`` lie at the limit."""

    rho: np.ndarray
    filled: np.ndarray
    boundary: np.ndarray
    row_cuts: np.ndarray
    column_cuts: np.ndarray

    def se(self, n: int) -> np.ndarray:
        r"""Standard errors that count the estimation of the cuts, for simple random samples.

        An answer in cell (i, j) moves the estimate by :math:`I^{-1}[s_{ij} - \sum_k A_k d_k(i) - \sum_l B_l d_l(j)]`
        with s the score, I the information about :math:`\rho`, A and B its covariances with the scores of the cuts and
        d the effect of the answer on each cut; the variance over cells is divided by n.
        """
        a, b, rho = self.row_cuts, self.column_cuts, self.rho
        cell, slope = _cells(a, b, rho), _slopes(a, b, rho)
        score = _ratio(slope, cell)
        information = (score * slope).sum(axis=(-2, -1))
        rows = _cut_effects(a, b, rho, score)
        columns = _cut_effects(b, a, rho, np.swapaxes(score, -1, -2))
        # At the limit there may be no information left.
        known = np.where(information > 0, information, np.nan)[..., None, None]
        moved = (score - rows[..., :, None] - columns[..., None, :]) / known
        variance = (cell * moved**2).sum(axis=(-2, -1)) - (cell * moved).sum(axis=(-2, -1)) ** 2
        return np.sqrt(variance / n)


def pairs(p: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the first and the second item of every pair, in the order of the tables."""
    first, second = np.triu_indices(p, 1)
    return first, second


def two_step(counts: np.ndarray, tables: Tables, empty_cell: float) -> TwoStep:
    """Correlations of tables ``(..., P, c, c)``: cuts from the margins, then maximum likelihood in the correlation.

    NaN where an item has one category only.
    """
    lead, c = counts.shape[:-2], counts.shape[-1]
    flat = counts.reshape(-1, c, c)
    first, second = pairs(len(tables.categories))
    size = np.array(tables.categories)
    four = np.broadcast_to((size[first] == 2) & (size[second] == 2), lead).ravel()
    filled = np.zeros(len(flat), dtype=bool)
    if empty_cell and four.any():
        flat = flat.copy()
        corner = flat[:, :2, :2]
        filled = four & ((corner == 0).sum(axis=(1, 2)) == 1)
        corner[filled] = _filled(corner[filled], empty_cell)
    total = flat.sum(axis=(1, 2))
    a, b = _cuts(flat.sum(axis=2) / total[:, None]), _cuts(flat.sum(axis=1) / total[:, None])
    rho = np.concatenate(
        [np.empty(0)]
        + [_solve(flat[at : at + TABLES_AT_ONCE], a[at : at + TABLES_AT_ONCE], b[at : at + TABLES_AT_ONCE])
           for at in range(0, len(flat), TABLES_AT_ONCE)]
    )  # fmt: skip
    shaped = (v.reshape((*lead, *v.shape[1:])) for v in (rho, filled, np.abs(rho) >= LIMIT, a, b))
    return TwoStep(*shaped)


def normal_below(h: np.ndarray, k: np.ndarray, rho: np.ndarray) -> np.ndarray:
    r"""Probability that two standard normal variables with correlation :math:`|\rho| < 1` lie below h and k.

    .. math:: \tfrac12[\Phi(h) + \Phi(k)] - T(h, a_h) - T(k, a_k) - \delta, \qquad
        a_h = \frac{k - \rho h}{h \sqrt{1 - \rho^2}}

    with Owen's function T, and :math:`\delta = 1/2` when h and k have opposite signs (Owen 1956). Arguments broadcast.

    Examples
    --------
    >>> round(float(normal_below(0.0, 0.0, 0.5)), 12)  # 1/4 + arcsin(rho) / (2 pi)
    0.333333333333
    """
    h, k, rho = np.broadcast_arrays(h, k, rho)
    # The formula holds in the limit at zero; infinite arguments have their own.
    x, y = (np.where(v == 0, 1e-300, np.where(np.isfinite(v), v, 1.0)) for v in (h, k))
    root = np.sqrt((1 - rho) * (1 + rho))
    with np.errstate(over="ignore"):
        inside = special.owens_t(x, (y / x - rho) / root) + special.owens_t(y, (x / y - rho) / root)
    value = (special.ndtr(x) + special.ndtr(y)) / 2 - inside - 0.5 * ((x > 0) != (y > 0))
    value = np.where(np.isposinf(h), special.ndtr(k), np.where(np.isposinf(k), special.ndtr(h), value))
    return np.where(np.isneginf(h) | np.isneginf(k), 0.0, np.maximum(value, 0.0))


def _solve(counts: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The correlation of each table at which its score is zero: Fisher scoring inside a closing bracket."""
    rho = np.zeros(len(counts))
    low, high = np.full(len(counts), -LIMIT), np.full(len(counts), LIMIT)
    # A table with a single row or column says nothing.
    moving = np.flatnonzero(((counts.sum(axis=2) > 0).sum(axis=1) > 1) & ((counts.sum(axis=1) > 0).sum(axis=1) > 1))
    empty = np.setdiff1d(np.arange(len(counts)), moving)
    total = counts.sum(axis=(1, 2))
    for _ in range(MOST_STEPS):
        if not len(moving):
            break
        here = rho[moving]
        cell, slope = _cells(a[moving], b[moving], here), _slopes(a[moving], b[moving], here)
        ratio = _ratio(slope, cell)
        score = (counts[moving] * ratio).sum(axis=(1, 2))
        information = total[moving] * (slope * ratio).sum(axis=(1, 2))
        low[moving] = np.where(score > 0, here, low[moving])
        high[moving] = np.where(score < 0, here, high[moving])
        with np.errstate(invalid="ignore", divide="ignore"):
            new = here + score / information
        outside = ~((new > low[moving]) & (new < high[moving]))
        # At first a step beyond the limit goes there; where the score still points outwards it stays.
        new = np.where(outside, (low[moving] + high[moving]) / 2, new)
        rho[moving] = new
        moving = moving[(np.abs(new - here) > SHORTEST_STEP) & (score != 0)]
    rho[np.abs(rho) > LIMIT - 1e-8] = np.sign(rho[np.abs(rho) > LIMIT - 1e-8]) * LIMIT
    rho[empty] = np.nan
    return rho


def _cuts(shares: np.ndarray) -> np.ndarray:
    """Normal quantiles of the cumulated shares ``(..., c)``; infinite from the last category used on."""
    below = np.cumsum(shares, axis=-1)
    # The last share is 1 by definition, not by summing.
    below = np.where(below > 1 - EMPTY, 1.0, np.where(below < EMPTY, 0.0, below))
    return special.ndtri(below)


def _cells(a: np.ndarray, b: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Probability of every cell ``(..., c, c)``."""
    corners = normal_below(a[..., :, None], b[..., None, :], rho[..., None, None])
    return np.maximum(_differences(corners), 0.0)


def _slopes(a: np.ndarray, b: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Derivative of every cell's probability in the correlation: differences of the bivariate normal density."""
    r = rho[..., None, None]
    finite = np.isfinite(a)[..., :, None] & np.isfinite(b)[..., None, :]
    x, y = np.where(np.isfinite(a), a, 0.0)[..., :, None], np.where(np.isfinite(b), b, 0.0)[..., None, :]
    spread = (1 - r) * (1 + r)
    density = np.exp(-(x**2 - 2 * r * x * y + y**2) / (2 * spread)) / (2 * np.pi * np.sqrt(spread))
    return _differences(np.where(finite, density, 0.0))


def _differences(corners: np.ndarray) -> np.ndarray:
    """Cells from their upper corners; below the first category there is nothing."""
    by_row = np.diff(corners, axis=-2, prepend=0.0)
    return np.diff(by_row, axis=-1, prepend=0.0)


def _ratio(slope: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Score of an answer in each cell; 0 where rounding is all there is."""
    return np.where(cell > 1e-15, slope / np.maximum(cell, 1e-15), 0.0)


def _cut_effects(a: np.ndarray, b: np.ndarray, rho: np.ndarray, score: np.ndarray) -> np.ndarray:
    """What an answer in each row ``(..., c)`` moves through the row cuts: covariance with the score times effect."""
    root = np.sqrt((1 - rho) * (1 + rho))[..., None, None]
    finite = np.isfinite(a)
    at = np.where(finite, a, 0.0)[..., :, None]
    share = np.diff(special.ndtr((b[..., None, :] - rho[..., None, None] * at) / root), axis=-1, prepend=0.0)
    fall = score - np.concatenate([score[..., 1:, :], np.zeros_like(score[..., :1, :])], axis=-2)
    # The density of the cut cancels between its covariance and its effect.
    weight = np.where(finite, (share * fall).sum(axis=-1), 0.0)
    c = a.shape[-1]
    below = np.tri(c).T  # category i lies at or below cut k
    effect = below - special.ndtr(a)[..., None, :]
    return (effect * weight[..., None, :]).sum(axis=-1)


def _filled(corner: np.ndarray, add: float) -> np.ndarray:
    """Two-by-two tables with ``add`` moved into the empty cell, margins kept."""
    empty = corner == 0
    diagonal = empty[:, 0, 0] | empty[:, 1, 1]
    sign = np.where(diagonal[:, None, None], np.eye(2), 1 - np.eye(2)) * 2 - 1
    return corner + add * sign
