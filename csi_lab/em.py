"""Expectation-maximisation under a multivariate normal model, for many samples at once.

The arithmetic alone, on the sums of each pattern of missing items; :mod:`csi_lab.incomplete` is the way in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from csi_lab.moments import Moments
from csi_lab.units import Units, _unit_sums

Completion = Literal["mean", "em"]
COMPLETIONS = ("mean", "em")

# EM rests when no mean moves by more, and no (co)variance, in units of the items' standard deviations.
TOLERANCE = 1e-12
# Replicates start from the estimate of the whole sample, and their sampling error dwarfs this.
TOLERANCE_OF_DRAWS = 1e-7
MOST_STEPS = 20_000
MOST_STEPS_OF_DRAWS = 1_000
# The smallest eigenvalue of a correlation matrix that still counts as positive.
SINGULAR = 1e-10


@dataclass(frozen=True, eq=False)
class Pattern:
    """The rows that have answers to the same items.

    Attributes
    ----------
    observed, missing
        Positions of the items with and without an answer.
    sums
        What each cell (a row, or the rows of a unit) contributes to weight, sums and cross-products of the observed.
    unit
        The unit of the sample that each cell belongs to.
    """

    observed: np.ndarray
    missing: np.ndarray
    sums: Units
    unit: np.ndarray

    def combine(self, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight, sums and cross-products ``(draws, ...)`` when units count ``factors (draws, u)`` times."""
        _, weight, sums, products = self.sums.combine(factors[:, self.unit])
        return weight, sums, products


def patterns_of(x: np.ndarray, w: np.ndarray, unit: np.ndarray, pooled: bool, blank: Moments) -> Iterator[Pattern]:
    """Rows by pattern of missing items; ``pooled`` adds up the rows of a unit, else each row is a cell of its own."""
    known = ~np.isnan(x)
    packed = np.packbits(known, axis=1)
    _, first, code = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    code = code.reshape(-1)
    zero = np.zeros(1, dtype=int)
    for k, row in enumerate(first):
        rows = np.flatnonzero(code == k)
        observed, missing = np.flatnonzero(known[row]), np.flatnonzero(~known[row])
        p = len(observed)
        names = tuple(blank.names[i] for i in observed)
        about = Moments(names, len(rows), 0.0, np.zeros(p), np.zeros(p), np.zeros((p, p)))
        answers = x[rows][:, observed]
        if pooled:
            cells, place = np.unique(unit[rows], return_inverse=True)
            table = _unit_sums(answers, w[rows], place, len(cells), np.zeros(p))
            sums = Units(about, None, None, table, np.zeros(len(cells), int), zero, np.zeros(1), ("all",))
        else:
            cells = unit[rows]
            sums = Units(about, answers, w[rows], None, np.zeros(len(cells), int), zero, np.zeros(1), ("all",))
        yield Pattern(observed, missing, sums, cells)


# Positions of the items with and without an answer; weights (draws,), sums and cross-products of the former.
Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def scaled(parts: Sequence[Part], unit: np.ndarray) -> list[Part]:
    """The sums of patterns in units of the items' standard deviations."""
    return [(o, m, w, s / unit[o], c / np.outer(unit[o], unit[o])) for o, m, w, s, c in parts]


def as_sums(weight: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and cross-products of deviations from the origin that give these means and covariances."""
    products = weight[:, None, None] * (cov + mean[:, :, None] * mean[:, None, :])
    return weight[:, None] * mean, (products + np.swapaxes(products, 1, 2)) / 2


def complete(
    parts: Sequence[Part], method: Completion, start: tuple[np.ndarray, np.ndarray], tolerance: float, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weight ``(draws,)``, means ``(draws, p)``, covariances with divisor W ``(draws, p, p)``, and steps taken."""
    weight = sum(part[2] for part in parts)
    assert isinstance(weight, np.ndarray)
    p = len(start[0])
    # What the observed answers contribute stays: weights, sums of item i where item j is known, cross-products.
    count, sums, products = np.zeros((len(weight), p, p)), np.zeros((len(weight), p, p)), np.zeros((len(weight), p, p))
    for o, _, w, s, c in parts:
        at = np.ix_(np.arange(len(weight)), o, o)
        count[at] += w[:, None, None]
        sums[at] += s[:, :, None]
        products[at] += c
    total = np.diagonal(sums, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        available = total / np.diagonal(count, axis1=1, axis2=2)
        if method == "mean":
            return weight, available, _about(count, sums, products, available) / weight[:, None, None], np.zeros(1, int)
    # Items that a draw never shows together: EM would return what it started from.
    count[(count <= 0).any(axis=(1, 2))] = np.nan
    mu, sigma = np.tile(start[0], (len(weight), 1)), np.tile(start[1], (len(weight), 1, 1))
    gaps = [part for part in parts if len(part[1])]
    return (weight, *_em(gaps, (weight, count, sums, products), mu, sigma, tolerance, most))


def _about(count: np.ndarray, sums: np.ndarray, products: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Cross-products ``(draws, p, p)`` of the deviations from a mean over the rows where both items are known."""
    cross = sums * mean[:, None, :]
    return products - cross - np.swapaxes(cross, 1, 2) + count * mean[:, :, None] * mean[:, None, :]


def _em(
    gaps: Sequence[Part],
    observed: tuple[np.ndarray, ...],
    mu: np.ndarray,
    sigma: np.ndarray,
    tolerance: float,
    most: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maximum likelihood of every draw, each until its own estimates rest; NaN where there is none."""
    final_mu, final_sigma = np.full(mu.shape, np.nan), np.full(sigma.shape, np.nan)
    steps = np.full(len(mu), most)
    moving = np.arange(len(mu))
    for step in range(1, most + 1):
        new_mu, new_sigma = _step(gaps, observed, mu, sigma)
        change = np.maximum(np.abs(new_mu - mu).max(axis=1), np.abs(new_sigma - sigma).max(axis=(1, 2)))
        mu, sigma = new_mu, new_sigma
        still = change >= tolerance
        if not still.all():
            done = change < tolerance  # NaN is neither: such a draw stays NaN
            final_mu[moving[done]], final_sigma[moving[done]], steps[moving[~still]] = mu[done], sigma[done], step
            moving, mu, sigma = moving[still], mu[still], sigma[still]
            observed = tuple(part[still] for part in observed)
            gaps = [(o, m, w[still], s[still], c[still]) for o, m, w, s, c in gaps]
        if not len(moving):
            break
    return final_mu, final_sigma, steps


def _step(
    gaps: Sequence[Part], observed: tuple[np.ndarray, ...], mu: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One step of EM. With K the inverse of the covariances, missing answers given the others have regression
    coefficients -K_mm^-1 K_mo and covariances K_mm^-1: inverses of the size of the gap, not of the rest."""
    weight, count, sums, products = observed
    inverse = _inverse(sigma)
    first = np.diagonal(sums, axis1=1, axis2=2) - np.diagonal(count, axis1=1, axis2=2) * mu
    second = _about(count, sums, products, mu)
    first = first.copy()
    for o, m, w, s, c in gaps:
        left = np.linalg.inv(
            np.where(np.isfinite(inverse[:, m[:, None], m]), inverse[:, m[:, None], m], np.eye(len(m)))
        )
        slope = -left @ inverse[:, m[:, None], o]
        # slope times the cross-products of deviations from mu, expanded so that only (m, o) arrays are made.
        at_o = mu[:, o]
        by_sums, by_mu = (slope @ s[:, :, None])[..., 0], (slope @ at_o[:, :, None])[..., 0]
        by_mu_w = w[:, None] * by_mu
        told = slope @ c - by_mu[:, :, None] * s[:, None, :] + (by_mu_w - by_sums)[:, :, None] * at_o[:, None, :]
        first[:, m] += by_sums - by_mu_w
        second[:, m[:, None], o] += told
        second[:, o[:, None], m] += np.swapaxes(told, 1, 2)
        second[:, m[:, None], m] += told @ np.swapaxes(slope, 1, 2) + w[:, None, None] * left
    shift = first / weight[:, None]
    cov = second / weight[:, None, None] - shift[:, :, None] * shift[:, None, :]
    return mu + shift, (cov + np.swapaxes(cov, 1, 2)) / 2


def _inverse(sigma: np.ndarray) -> np.ndarray:
    """Inverses of covariance matrices ``(draws, p, p)``, NaN where one is not positive definite up to rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.sqrt(np.diagonal(sigma, axis1=1, axis2=2))
        corr = sigma / (sd[:, :, None] * sd[:, None, :])
    known = np.isfinite(corr).all(axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(known[:, None, None], corr, np.eye(sigma.shape[1])))
    known &= values[:, 0] > SINGULAR
    turned = vectors / np.where(known[:, None], values, np.nan)[:, None, :] @ np.swapaxes(vectors, 1, 2)
    return turned / np.where(known[:, None, None], sd[:, :, None] * sd[:, None, :], np.nan)
