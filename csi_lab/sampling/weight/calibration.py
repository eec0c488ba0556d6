"""Arithmetic of calibration: distances, dual Newton steps, proportional fitting; all batched over draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import linalg, special

Distance = Literal["linear", "raking", "logit"]
DISTANCES = ("linear", "raking", "logit")
# exp() of more is infinite; the step control brings such trial steps back.
LARGEST = 700.0
# Curvature below this share of the curvature without bounds counts as none.
FLAT = 1e-9
HALVINGS = 40
# Products of all pairs of columns are kept for all rows up to so many numbers; beyond, draws are taken one by one.
PRODUCTS = 20_000_000


@dataclass(frozen=True)
class Ratio:
    r"""The ratio :math:`g = F(u)` of final to base weight that a distance implies, and what Newton steps need of it.

    ``linear``: 1 + u; ``raking``: exp(u); both cut at the bounds. ``logit``: a logistic curve between the bounds
    with F(0) = F'(0) = 1.

    Examples
    --------
    >>> Ratio("raking", 0.5, 2.0)(np.array([-3.0, 0.0, 3.0])).tolist()
    [0.5, 1.0, 2.0]
    """

    distance: Distance
    low: float = -np.inf
    high: float = np.inf

    @property
    def _steepness(self) -> float:
        return (self.high - self.low) / ((1 - self.low) * (self.high - 1))

    def _share(self, u: np.ndarray) -> np.ndarray:
        return special.expit(self._steepness * u + np.log((1 - self.low) / (self.high - 1)))

    def __call__(self, u: np.ndarray) -> np.ndarray:
        """F(u)."""
        if self.distance == "logit":
            return self.low + (self.high - self.low) * self._share(u)
        free = 1 + u if self.distance == "linear" else np.exp(np.minimum(u, LARGEST))
        return np.clip(free, self.low, self.high)

    def slope(self, u: np.ndarray) -> np.ndarray:
        """F'(u), 0 where F is cut."""
        if self.distance == "logit":
            share = self._share(u)
            return (self.high - self.low) * self._steepness * share * (1 - share)
        free = 1 + u if self.distance == "linear" else np.exp(np.minimum(u, LARGEST))
        inside = (free > self.low) & (free < self.high)
        return np.where(inside, 1.0 if self.distance == "linear" else free, 0.0)

    def area(self, u: np.ndarray) -> np.ndarray:
        """An antiderivative of F: the dual of the distance."""
        if self.distance == "logit":
            z = self._steepness * u + np.log((1 - self.low) / (self.high - 1))
            return self.low * u + (self.high - self.low) / self._steepness * np.logaddexp(0, z)
        if self.distance == "linear":
            a, b = self.low - 1, self.high - 1
            inner = np.clip(u, a, b)
            body = inner + inner**2 / 2
        else:
            with np.errstate(divide="ignore"):
                a, b = np.log(max(self.low, 0.0)), np.log(self.high)
            inner = np.clip(np.minimum(u, LARGEST), a, b)
            body = np.exp(inner)
        # Beyond a bound F is constant; 0 * inf is avoided by leaving infinite bounds out.
        below = self.low * (u - a) if np.isfinite(a) else 0.0
        above = self.high * (u - b) if np.isfinite(b) else 0.0
        return body + np.where(u < a, below, 0.0) + np.where(u > b, above, 0.0)


def solve(
    x: np.ndarray, totals: np.ndarray, base: np.ndarray, ratio: Ratio, *, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, np.ndarray, int]:
    r"""Calibrated weights :math:`w = d F(x'\lambda)` with :math:`\sum w x = T`, by Newton steps on the dual.

    Parameters
    ----------
    x
        Calibration variables ``(n, q)``, linearly independent.
    totals
        ``(q,)``.
    base
        Weights d before, ``(draws, n)``.
    ratio
        F.
    tolerance
        Largest error of a total, relative to sum d |x|.
    max_iterations
        Newton steps.

    Returns
    -------
    tuple
        Weights ``(draws, n)``, which draws converged ``(draws,)``, steps made; the others hold the last weights tried.

    Examples
    --------
    >>> w, converged, steps = solve(np.ones((2, 1)), np.array([6.0]), np.array([[1.0, 2.0]]), Ratio("linear"),
    ...                             tolerance=1e-10, max_iterations=5)
    >>> w.tolist(), converged.tolist()
    ([[2.0, 4.0]], [True])
    """
    q = x.shape[1]
    size = base @ np.abs(x)
    size[size == 0] = 1
    # Steps are made in variables that are orthonormal under the mean weights, so that scales and means do not matter.
    root = np.linalg.qr(np.sqrt(base.mean(axis=0))[:, None] * x, mode="r")
    z = linalg.solve_triangular(root, x.T, trans="T").T
    targets = linalg.solve_triangular(root, totals, trans="T")
    squares = weighted_squares(z)
    solution = np.zeros((len(base), q))
    height = _dual(solution, z, targets, base, ratio)
    done = np.zeros(len(base), dtype=bool)
    active, steps = np.arange(len(base)), 0
    while True:
        u = solution[active] @ z.T
        gap = totals - (base[active] * ratio(u)) @ x
        met = (np.abs(gap) <= tolerance * size[active]).all(axis=1)
        done[active[met]] = True
        active, gap, u = active[~met], gap[~met], u[~met]
        if not len(active) or steps == max_iterations:
            break
        steps += 1
        curved = squares(base[active] * ratio.slope(u))
        gap = linalg.solve_triangular(root, gap.T, trans="T").T
        move = _newton_move(curved, gap)
        # Halve a step until the dual falls; draws in which it cannot fall any more are left as not converged.
        length, rest = np.ones(len(active)), np.arange(len(active))
        for _ in range(HALVINGS):
            at = active[rest]
            trial = solution[at] + length[rest, None] * move[rest]
            level = _dual(trial, z, targets, base[at], ratio)
            fall = 1e-4 * length[rest] * (move[rest] * gap[rest]).sum(axis=1)
            good = level <= height[at] - fall + 1e-12 * (1 + np.abs(height[at]))
            solution[at[good]], height[at[good]] = trial[good], level[good]
            rest = rest[~good]
            if not len(rest):
                break
            length[rest] /= 2
        active = np.delete(active, rest)
    return base * ratio(solution @ z.T), done, steps


def weighted_squares(z: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    r"""A function from weights ``(draws, n)`` to :math:`\\sum w z z'` ``(draws, q, q)`` of columns z ``(n, q)``.

    Examples
    --------
    >>> weighted_squares(np.array([[1.0, 2.0], [1.0, 3.0]]))(np.array([[1.0, 0.0], [1.0, 1.0]])).tolist()
    [[[1.0, 2.0], [2.0, 4.0]], [[2.0, 5.0], [5.0, 13.0]]]
    """
    n, q = z.shape
    upper = np.triu_indices(q)
    if n * len(upper[0]) > PRODUCTS:
        return lambda weights: np.stack([z.T @ (z * row[:, None]) for row in weights])
    products = z[:, upper[0]] * z[:, upper[1]]

    def squares(weights: np.ndarray) -> np.ndarray:
        found = np.empty((len(weights), q, q))
        found[:, upper[0], upper[1]] = weights @ products
        found[:, upper[1], upper[0]] = found[:, upper[0], upper[1]]
        return found

    return squares


def _dual(solution: np.ndarray, x: np.ndarray, totals: np.ndarray, base: np.ndarray, ratio: Ratio) -> np.ndarray:
    """The convex function whose minimum solves the calibration equations, one value per draw."""
    u = solution @ x.T
    return np.einsum("dn,dn->d", base, ratio.area(u)) - solution @ totals


def _newton_move(curved: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """Newton directions ``(draws, q)``; directions without curvature (everything cut there) follow the gradient."""
    values, vectors = np.linalg.eigh(curved)
    turned = np.einsum("dqk,dq->dk", vectors, gap)
    return np.einsum("dqk,dk->dq", vectors, turned / np.maximum(values, FLAT))


def fit_margins(
    codes: Sequence[np.ndarray],
    wanted: Sequence[np.ndarray],
    base: np.ndarray,
    *,
    tolerance: float,
    max_iterations: int,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Iterative proportional fitting: weights scaled to each margin in turn until all agree.

    Parameters
    ----------
    codes
        Category of each row ``(n,)`` per margin, -1 for rows of weight 0 without one.
    wanted
        Counts ``(c,)`` per margin.
    base
        Weights ``(draws, n)``.
    tolerance
        Largest error of a category, relative to its count.
    max_iterations
        Cycles through all margins.

    Returns
    -------
    tuple
        Weights ``(draws, n)``, which draws converged, cycles made.

    References
    ----------
    .. [1] Deming, W. E., & Stephan, F. F. (1940). Annals of Mathematical Statistics, 11, 427-444.

    Examples
    --------
    >>> w, converged, cycles = fit_margins([np.array([0, 0, 1])], [np.array([6.0, 2.0])], np.ones((1, 3)),
    ...                                    tolerance=1e-10, max_iterations=3)
    >>> w.tolist(), converged.tolist(), cycles
    ([[3.0, 3.0, 2.0]], [True], 1)
    """
    sides = [_indicators(code, len(want)) for code, want in zip(codes, wanted, strict=True)]
    # Turned to (n, draws), sums per category are row operations; a copy, for the caller keeps the weights before.
    weights = np.array(base.T, dtype=float, order="C")
    # A category that a draw emptied can never be filled: that draw has no solution.
    possible = np.ones(len(base), dtype=bool)
    for side, want in zip(sides, wanted, strict=True):
        possible &= ((side @ weights > 0) | (want[:, None] == 0)).all(axis=0)
    converged = np.zeros(len(base), dtype=bool)
    active = np.flatnonzero(possible)
    cycles = 0
    while len(active) and cycles < max_iterations:
        cycles += 1
        part = weights[:, active]
        for side, want in zip(sides, wanted, strict=True):
            sums = side @ part
            factor = np.divide(want[:, None], sums, out=np.zeros_like(sums), where=sums > 0)
            part = part * (side.T @ factor)
        weights[:, active] = part
        worst = np.zeros(len(active))
        for side, want in zip(sides, wanted, strict=True):
            error = np.abs(side @ part - want[:, None]) / np.where(want > 0, want, 1)[:, None]
            worst = np.maximum(worst, error.max(axis=0))
        met = worst <= tolerance
        converged[active[met]] = True
        active = active[~met]
    return weights.T, converged, cycles


def _indicators(codes: np.ndarray, count: int) -> Any:
    from scipy import sparse

    at = np.flatnonzero(codes >= 0)
    return sparse.csr_matrix((np.ones(len(at)), (codes[at], at)), shape=(count, len(codes)))


def independent(x: np.ndarray, weights: np.ndarray, *, tolerance: float = 1e-9) -> tuple[np.ndarray, np.ndarray]:
    """Which columns are independent, and how the others follow from them.

    Parameters
    ----------
    x
        ``(n, q)``.
    weights
        ``(n,)`` >= 0; rows of weight 0 do not count.
    tolerance
        A column is redundant if what the others leave of it is a smaller share of its length.

    Returns
    -------
    tuple
        Positions of independent columns in their order ``(r,)``, and coefficients ``(r, q)`` with
        ``x[:, kept] @ coefficients == x``.

    Examples
    --------
    >>> kept, rule = independent(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), np.ones(2))
    >>> kept.tolist(), np.round(rule, 12).tolist()
    ([0, 1], [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    """
    root = np.linalg.qr(np.sqrt(weights)[:, None] * x, mode="r")
    length = np.linalg.norm(root, axis=0)
    root = root / np.where(length > 0, length, 1)
    kept: list[int] = []
    basis = np.zeros((root.shape[0], 0))
    # Earlier columns stay and later ones are called redundant, as a reader would say it.
    for j in range(root.shape[1]):
        left = root[:, j]
        for _ in range(2):
            left = left - basis @ (basis.T @ left)
        size = np.linalg.norm(left)
        if size > tolerance:
            kept.append(j)
            basis = np.column_stack([basis, left / size])
    at = np.array(kept, dtype=int)
    rule = np.linalg.lstsq(root[:, at], root, rcond=None)[0]
    return at, rule * length / length[at][:, None]


def narrowest_bounds(x: np.ndarray, totals: np.ndarray, base: np.ndarray) -> tuple[float, float] | None:
    r"""The smallest t so that ratios within :math:`1 \pm t` (and >= 0) can meet the totals; ``None`` if none can.

    A linear programme; it says what to ask for when bounds were too narrow.

    Examples
    --------
    >>> low, high = narrowest_bounds(np.ones((2, 1)), np.array([3.0]), np.array([1.0, 1.0]))
    >>> round(low, 6), round(high, 6)
    (0.5, 1.5)
    """
    from scipy import optimize, sparse

    at = base > 0
    n = int(at.sum())
    rows = (x[at] * base[at][:, None]).T
    size = np.abs(rows).sum(axis=1)
    size[size == 0] = 1
    equal = np.column_stack([rows / size[:, None], np.zeros(len(rows))])
    eye, one = sparse.identity(n, format="csr"), sparse.csr_matrix(np.ones((n, 1)))
    limits = sparse.vstack([sparse.hstack([eye, -one]), sparse.hstack([-eye, -one])])
    cost = np.zeros(n + 1)
    cost[-1] = 1
    found = optimize.linprog(
        cost,
        A_ub=limits.tocsr(),
        b_ub=np.concatenate([np.ones(n), -np.ones(n)]),
        A_eq=equal,
        b_eq=totals / size,
        bounds=[(0, None)] * (n + 1),
        method="highs",
    )
    if found.status != 0:
        return None
    return max(0.0, 1 - float(found.fun)), 1 + float(found.fun)
