"""Multiple imputation by chained equations: the arithmetic, for all imputations at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from csi_lab.errors import EstimationError

Kind = Literal["pmm", "norm", "rounded"]
KINDS = ("pmm", "norm", "rounded")

# The smallest share of its variance that a column must keep beside those before it.
COLLINEAR = 1e-10


def chained(
    x: np.ndarray,
    fixed: np.ndarray,
    names: Sequence[str],
    kinds: Sequence[Kind],
    *,
    m: int,
    iterations: int,
    donors: int,
    rng: np.random.Generator,
) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw the missing answers item by item, each given all others, again and again.

    Parameters
    ----------
    x
        Answers ``(n, p)``, NaN where there is none; every item varies.
    fixed
        Predictors without gaps ``(n, q)``.
    names
        The p + q columns, for messages.
    kinds
        Of each item: ``"norm"`` draws from a Bayesian linear regression (and so does ``"rounded"``: rounding is for the
        end, the chain goes on with what was drawn), ``"pmm"`` takes the answer of one of the ``donors`` rows whose
        prediction lies nearest, out of a bootstrap sample of those who answered.
    m, iterations, donors, rng
        Imputations (chains), rounds through the items, size of the donor pool, generator.

    Returns
    -------
    tuple
        Per item the drawn values ``(m, gaps)``; and the trace ``(2, iterations, m, p)`` of their mean and standard
        deviation.

    Raises
    ------
    EstimationError
        If the other columns of an item are collinear, or a column does not vary beyond rounding.
    """
    n, p = x.shape
    known = ~np.isnan(x)
    whole = np.concatenate([x, fixed], axis=1)
    centre, spread = np.nanmean(whole, axis=0), np.nanstd(whole, axis=0)
    flat = [name for name, size in zip(names, spread, strict=True) if not size > 0]
    if flat:
        raise EstimationError(
            f"columns do not vary beyond rounding: {flat}; give them in other units, or leave them out"
        )
    z = ((whole - centre) / spread).T
    # Columns run along the second axis and rows along the last, so that a column is one block of memory.
    state = np.empty((m, 1 + len(z), n))
    state[:, 0], state[:, 1:] = 1.0, z
    gaps = [np.flatnonzero(~known[:, j]) for j in range(p)]
    answered = [np.flatnonzero(known[:, j]) for j in range(p)]
    values: list[np.ndarray] = [np.empty((m, len(gap))) for gap in gaps]
    for j, gap in enumerate(gaps):
        chosen = answered[j][rng.integers(0, len(answered[j]), size=(m, len(gap)))]
        values[j], state[:, 1 + j, gap] = x[chosen, j], z[j, chosen]
    order = [j for j in np.argsort([len(gap) for gap in gaps], kind="stable") if len(gaps[j])]
    trace = np.full((2, iterations, m, p), np.nan)
    for step in range(iterations):
        products = state @ np.swapaxes(state, 1, 2)
        for j in order:
            gap, seen = gaps[j], answered[j]
            lacking = state[:, :, gap]
            estimate, drawn, sigma = _posterior(
                products - lacking @ np.swapaxes(lacking, 1, 2), 1 + j, len(seen), names, rng
            )
            expected = (drawn[:, None, :] @ lacking)[:, 0]
            if kinds[j] != "pmm":
                new = expected + sigma[:, None] * rng.standard_normal(expected.shape)
                values[j] = centre[j] + spread[j] * new
            else:
                predicted = (estimate[:, None, :] @ state)[:, 0][:, seen]
                # Others might have answered: a fixed pool of donors would be taken for the population.
                again = rng.integers(0, len(seen), size=predicted.shape)
                taken = nearest(np.take_along_axis(predicted, again, axis=1), expected, donors, rng)
                chosen = seen[np.take_along_axis(again, taken, axis=1)]
                new, values[j] = z[j, chosen], x[chosen, j]
            state[:, 1 + j, gap] = new
            row = (state @ state[:, 1 + j, :, None])[..., 0]
            products[:, 1 + j, :] = row
            products[:, :, 1 + j] = row
            trace[0, step, :, j] = values[j].mean(axis=1)
            if len(gap) > 1:
                trace[1, step, :, j] = values[j].std(axis=1, ddof=1)
    return values, trace


def _posterior(
    products: np.ndarray, target: int, n: int, names: Sequence[str], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least squares coefficients, and a draw of coefficients ``(m, c)`` and residual sd ``(m,)`` (flat prior).

    From cross-products ``(m, c, c)`` of the n rows that answered the target; the target's own coefficient is zero.
    """
    m, c = products.shape[:2]
    others = np.delete(np.arange(c), target)
    a, b = products[:, others[:, None], others], products[:, others, target]
    # In units of the columns' own size, so that the pivots are shares of their variance.
    size = np.sqrt(np.diagonal(a, axis1=1, axis2=2))
    scaled = a / (size[:, :, None] * size[:, None, :])
    try:
        root = np.linalg.cholesky(scaled)
        pivots = np.diagonal(root, axis1=1, axis2=2).min(axis=0) ** 2
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(scaled)
        worst = int(values[:, 0].argmin())
        pivots = np.where(np.abs(vectors[worst, :, 0]) > 1e-6, 0.0, 1.0)
    if pivots.min() < COLLINEAR:
        tied = [names[i - 1] for i, pivot in zip(others.tolist(), pivots, strict=True) if pivot < COLLINEAR and i > 0]
        raise EstimationError(
            f"the equation of {names[target - 1]} has no solution: {tied} are collinear with other columns in the rows "
            "that answered it; leave one out"
        )
    inverse = np.linalg.inv(root)
    half = (inverse @ (b / size)[..., None])[..., 0]
    residual = np.maximum(products[:, target, target] - (half**2).sum(axis=1), 0.0)
    sigma = np.sqrt(residual / rng.chisquare(n - c + 1, size=m))
    turned = np.swapaxes(inverse, 1, 2) / size[:, :, None]
    noise = half + sigma[:, None] * rng.standard_normal((m, c - 1))
    estimate, drawn = np.zeros((m, c)), np.zeros((m, c))
    estimate[:, others] = (turned @ half[..., None])[..., 0]
    drawn[:, others] = (turned @ noise[..., None])[..., 0]
    return estimate, drawn, sigma


def nearest(predicted: np.ndarray, wanted: np.ndarray, donors: int, rng: np.random.Generator) -> np.ndarray:
    """For each wanted prediction ``(m, g)`` one of the ``donors`` nearest of ``predicted (m, s)``, as its position.

    Donors with equal predictions have equal chances.
    """
    m, s = predicted.shape
    k = min(donors, s)
    # A jitter far below any difference that matters puts ties in random order.
    jittered = predicted + 1e-9 * rng.random((m, s))
    order = np.argsort(jittered, axis=1)
    ranked = np.take_along_axis(jittered, order, axis=1)
    place = np.stack([np.searchsorted(row, value) for row, value in zip(ranked, wanted, strict=True)])
    window = np.clip(place[..., None] + np.arange(-k, k), -1, s)
    outside = (window < 0) | (window >= s)
    inside = np.clip(window, 0, s - 1)
    flat = inside.reshape(m, -1)
    distance = np.abs(np.take_along_axis(ranked, flat, axis=1).reshape(inside.shape) - wanted[..., None])
    closest = np.argsort(np.where(outside, np.inf, distance), axis=-1)
    pick = rng.integers(0, k, size=wanted.shape)
    position = np.take_along_axis(inside, np.take_along_axis(closest, pick[..., None], axis=-1), axis=-1)[..., 0]
    return np.take_along_axis(order, position, axis=1)
