"""Expectation-maximisation under a multivariate normal model, for many samples at once.

The arithmetic alone, on the sums of each pattern of missing items; :mod:`csi_lab.incomplete` is the way in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from csi_lab.moments import Moments
from csi_lab.near_pairs import distinct_patterns, pattern_rows
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
# Gaps that no more rows share are completed row by row, many of them at once; others by the sums of their rows.
FEW_ROWS = 8


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

    @property
    def scattered(self) -> bool:
        """Whether so few rows share these gaps that they are better completed row by row."""
        return len(self.missing) > 0 and int(self.sums.point.n) <= FEW_ROWS

    def combine(self, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weight, sums and cross-products ``(draws, ...)`` when units count ``factors (draws, u)`` times."""
        _, weight, sums, products = self.sums.combine(factors[:, self.unit])
        return weight, sums, products


def patterns_of(x: np.ndarray, w: np.ndarray, unit: np.ndarray, pooled: bool, blank: Moments) -> Iterator[Pattern]:
    """Rows by pattern of missing items; ``pooled`` adds up the rows of a unit, else each row is a cell of its own."""
    zero = np.zeros(1, dtype=int)
    for known, rows in pattern_rows(~np.isnan(x)):
        observed, missing = np.flatnonzero(known), np.flatnonzero(~known)
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


@dataclass(frozen=True, eq=False)
class GapRows:
    """Rows with gaps that few other rows share, each by itself.

    Attributes
    ----------
    x, known
        Answers ``(n, p)`` about the origin, 0 where there is none, and where there is one.
    w, unit
        Weight of each row, and the unit of the sample that it belongs to.
    """

    x: np.ndarray
    known: np.ndarray
    w: np.ndarray
    unit: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, w: np.ndarray, unit: np.ndarray) -> GapRows:
        """The rows with gaps of which there are at most :data:`FEW_ROWS` of a kind; missing answers are NaN."""
        known = ~np.isnan(x)
        _, which = distinct_patterns(known)
        rows = np.flatnonzero((np.bincount(which)[which] <= FEW_ROWS) & ~known.all(axis=1))
        return cls(np.nan_to_num(x[rows]), known[rows], w[rows], unit[rows])

    def weights(self, factors: np.ndarray) -> np.ndarray:
        """Weights ``(draws, n)`` when units count ``factors (draws, u)`` times."""
        return factors[:, self.unit] * self.w

    def scaled(self, unit: np.ndarray) -> GapRows:
        """The answers in units of the items' standard deviations."""
        return replace(self, x=self.x / unit)

    def together(self, weights: np.ndarray) -> np.ndarray:
        """Weight ``(draws, p, p)`` of the rows that answer two items."""
        pairs = (self.known[:, :, None] & self.known[:, None, :]).reshape(len(self.known), -1)
        return (weights @ pairs).reshape(len(weights), *self.known.shape[1:] * 2)

    @cached_property
    def by_size(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each number m of missing items the rows that lack so many, and which ``(rows, m)``."""
        size = (~self.known).sum(axis=1)
        found = []
        for m in np.unique(size):
            rows = np.flatnonzero(size == m)
            found.append((rows, np.nonzero(~self.known[rows])[1].reshape(len(rows), m)))
        return found


# Positions of the items with and without an answer; weights (draws,), sums and cross-products of the former.
Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Gaps(Protocol):
    """Rows with gaps, as a step of EM meets them."""

    def add(self, inverse: np.ndarray, mu: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        """Add what the present estimates tell of the missing answers to the sums of deviations and of products.

        With K the ``inverse`` of the covariances, missing answers given the others have regression coefficients
        -K_mm^-1 K_mo and covariances K_mm^-1: inverses of the size of the gap, not of the rest.
        """

    def __getitem__(self, draws: np.ndarray) -> Gaps:
        """The same for some draws."""


@dataclass(frozen=True, eq=False)
class SharedGaps:
    """All rows with gaps in the same places, by their sums: items with and without answers, weights, sums, products."""

    o: np.ndarray
    m: np.ndarray
    w: np.ndarray
    s: np.ndarray
    c: np.ndarray

    def add(self, inverse: np.ndarray, mu: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        """What is missing; the observed answers of these rows stand in the sums already."""
        o, m, w, s, c = self.o, self.m, self.w, self.s, self.c
        left = _inverted(inverse[:, m[:, None], m])
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

    def __getitem__(self, draws: np.ndarray) -> SharedGaps:
        return replace(self, w=self.w[draws], s=self.s[draws], c=self.c[draws])


@dataclass(frozen=True, eq=False)
class ScatteredGaps:
    """Rows each with gaps of its own, and their weights ``(draws, n)``: all are completed at once, row by row."""

    rows: GapRows
    w: np.ndarray

    def add(self, inverse: np.ndarray, mu: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        """All of these rows, what is observed and what is missing."""
        p = second.shape[-1]
        d = np.where(self.rows.known, self.rows.x - mu[:, None], 0.0)
        seen = d @ inverse
        spread = np.zeros((len(mu), p * p))
        for rows, gap in self.rows.by_size:
            left = _inverted(inverse[:, gap[:, :, None], gap[:, None, :]])
            d[:, rows[:, None], gap] = -(left @ seen[:, rows[:, None], gap][..., None])[..., 0]
            own = (self.w[:, rows, None, None] * left).reshape(len(mu), -1)
            place = (gap[:, :, None] * p + gap[:, None, :]).ravel()
            order = np.argsort(place, kind="stable")
            places, begin = np.unique(place[order], return_index=True)
            spread[:, places] += np.add.reduceat(own[:, order], begin, axis=1)
        weighted = d * self.w[..., None]
        first += weighted.sum(axis=1)
        second += np.swapaxes(weighted, 1, 2) @ d + spread.reshape(second.shape)

    def __getitem__(self, draws: np.ndarray) -> ScatteredGaps:
        return replace(self, w=self.w[draws])


def _inverted(matrices: np.ndarray) -> np.ndarray:
    """Inverses of ``(..., m, m)`` parts of inverse covariances; of draws without a solution anything finite."""
    if matrices.shape[-1] == 1:
        return 1 / np.where(np.isfinite(matrices), matrices, 1.0)
    return np.linalg.inv(np.where(np.isfinite(matrices), matrices, np.eye(matrices.shape[-1])))


def scaled(parts: Sequence[Part], unit: np.ndarray) -> list[Part]:
    """The sums of patterns in units of the items' standard deviations."""
    return [(o, m, w, s / unit[o], c / np.outer(unit[o], unit[o])) for o, m, w, s, c in parts]


def as_sums(weight: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and cross-products of deviations from the origin that give these means and covariances."""
    products = weight[:, None, None] * (cov + mean[:, :, None] * mean[:, None, :])
    return weight[:, None] * mean, (products + np.swapaxes(products, 1, 2)) / 2


def complete(
    parts: Sequence[Part],
    method: Completion,
    start: tuple[np.ndarray, np.ndarray],
    tolerance: float,
    most: int,
    scattered: tuple[GapRows, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weight ``(draws,)``, means ``(draws, p)``, covariances with divisor W ``(draws, p, p)``, and steps taken.

    ``scattered``: rows that ``parts`` leave out, with their weights ``(draws, rows)``; for EM only.
    """
    weight = sum(part[2] for part in parts) + (scattered[1].sum(axis=1) if scattered else 0.0)
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
    together = count + scattered[0].together(scattered[1]) if scattered else count
    # Items that a draw never shows together: EM would return what it started from.
    count[(together <= 0).any(axis=(1, 2))] = np.nan
    mu, sigma = np.tile(start[0], (len(weight), 1)), np.tile(start[1], (len(weight), 1, 1))
    gaps: list[Gaps] = [SharedGaps(*part) for part in parts if len(part[1])]
    gaps += [ScatteredGaps(*scattered)] if scattered else []
    return (weight, *_em(gaps, (weight, count, sums, products), mu, sigma, tolerance, most))


def _about(count: np.ndarray, sums: np.ndarray, products: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Cross-products ``(draws, p, p)`` of the deviations from a mean over the rows where both items are known."""
    cross = sums * mean[:, None, :]
    return products - cross - np.swapaxes(cross, 1, 2) + count * mean[:, :, None] * mean[:, None, :]


def _em(
    gaps: Sequence[Gaps],
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
            gaps = [part[still] for part in gaps]
        if not len(moving):
            break
    return final_mu, final_sigma, steps


def _step(
    gaps: Sequence[Gaps], observed: tuple[np.ndarray, ...], mu: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One step of EM: what is observed, and what the present estimates tell of the rest."""
    weight, count, sums, products = observed
    inverse = _inverse(sigma)
    first = np.diagonal(sums, axis1=1, axis2=2) - np.diagonal(count, axis1=1, axis2=2) * mu
    second = _about(count, sums, products, mu)
    for part in gaps:
        part.add(inverse, mu, first, second)
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
