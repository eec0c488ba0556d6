"""Weighted sums of values per sampling unit, and what follows from them: means, totals, their influence values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from csi_lab.sampling.estimate.respondents import Respondents

# Rows whose values are gathered at once: the block stays in the second-level cache.
ROWS_AT_ONCE = 8_192
# Values that differ by less than this share of their size differ by rounding alone.
ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class Sums:
    """Weighted sums over some rows of a sample: everything that means, totals and ratios need.

    Attributes
    ----------
    respondents, rows
        Where they come from.
    codes, totals
        Units of the last stage, and ``(p, 1 + m)`` sums per unit of w and of w (y - origin), calibrated if need be.
    weight
        Sum of the weights.
    origin
        ``(m,)`` points about which sums are taken.
    offset
        ``(m,)`` sums of w (y - origin); ``None``: zero, because the origin is the mean.
    spread
        ``(m,)`` sums of w (y - origin)^2.
    n, squares
        Rows, and the sum of their squared weights.
    """

    respondents: Respondents
    rows: np.ndarray
    codes: np.ndarray
    totals: np.ndarray
    weight: float
    origin: np.ndarray
    offset: np.ndarray | None
    spread: np.ndarray
    n: int
    squares: float

    @property
    def mean(self) -> np.ndarray:
        """Weighted means ``(m,)``."""
        return self.origin if self.offset is None else self.origin + self.offset / self.weight

    @property
    def total(self) -> np.ndarray:
        """Weighted totals ``(m,)``."""
        return self.weight * self.mean

    @property
    def variance(self) -> np.ndarray:
        """Variances ``(m,)`` of the values in the population, n/(n - 1) sum w (y - ybar)^2 / sum w."""
        shift = 0.0 if self.offset is None else (self.offset / self.weight) ** 2
        spread = self.spread / self.weight - shift
        # Where values differ by rounding alone they do not vary.
        spread = np.where(spread > (1e-12 * self.origin) ** 2, spread, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.float64(self.n) / (self.n - 1) * spread

    @cached_property
    def df(self) -> float:
        """Degrees of freedom."""
        return self.respondents.degrees(self.rows)

    @property
    def kish(self) -> float:
        """Kish's design effect of unequal weights, n sum w^2 / (sum w)^2."""
        return self.n * self.squares / self.weight**2

    def of_means(self) -> np.ndarray:
        """Influence values of the means, summed over units ``(p, m)``."""
        shift = 0.0 if self.offset is None else self.offset / self.weight
        return (self.totals[:, 1:] - self.totals[:, :1] * shift) / self.weight

    def of_totals(self) -> np.ndarray:
        """Influence values of the totals, summed over units ``(p, m)``."""
        return self.totals[:, 1:] + self.totals[:, :1] * self.origin

    def covariance(self, influence: np.ndarray) -> np.ndarray:
        """Covariance ``(k, k)`` of estimates with these influence values per unit ``(p, k)``."""
        return self.respondents.nested.covariance(self.codes, influence, self.respondents.lonely)

    def simple_variance(self, totals: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Variances ``(m,)`` that a simple random sample of as many rows had, without and with replacement.

        The population is the sum of the weights; where that is not larger than the sample, the first is NaN.
        """
        v = self.variance / self.n * (self.weight**2 if totals else 1.0)
        drawn = self.n / self.weight
        return (v * (1 - drawn) if drawn < 1 - 1e-12 else np.full(len(v), np.nan)), v


def apart(values: np.ndarray, centre: float | np.ndarray) -> np.ndarray:
    """Differences from a centre, exactly zero where all of them are rounding alone.

    Examples
    --------
    >>> apart(np.array([0.3, 0.3]), 0.1 + 0.2).tolist()
    [0.0, 0.0]
    """
    gaps = values - centre
    size = np.abs(values).max(initial=0.0)
    return gaps if np.abs(gaps).max(initial=0.0) > ROUNDING * size else np.zeros_like(gaps)


def _blocks(rows: int, step: int) -> Iterator[slice]:
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def weighted_totals(
    values: Sequence[np.ndarray], w: np.ndarray, origin: np.ndarray, place: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of w and w (y - origin) per unit ``(size, 1 + m)``, and of w (y - origin)^2 ``(m,)``."""
    m = len(values)
    spread = np.zeros(m)
    alone = size == len(place) and bool((place == np.arange(size)).all())
    totals = np.empty((size, 1 + m)) if alone else np.zeros((size, 1 + m))
    # Adding up costs a pass over all units per block, so that many units call for larger blocks.
    step = max(ROWS_AT_ONCE, 0 if alone else size)
    block = np.ones((min(step, len(w)), 1 + m))
    for part in _blocks(len(w), step):
        k = part.stop - part.start
        b, v = block[:k], w[part]
        for j, y in enumerate(values):
            np.subtract(y[part], origin[j], out=b[:, 1 + j])
        spread += v @ (b[:, 1:] ** 2)
        if alone:
            np.multiply(b, v[:, None], out=totals[part])
        else:
            into = sparse.csc_array((v, place[part], np.arange(k + 1)), shape=(size, k))
            totals += into @ b
    return totals, spread


def unit_totals(unit: np.ndarray, parts: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of all units, and the sums of the rows of each."""
    if size == len(unit):
        return unit, parts
    into = sparse.csc_array((np.ones(len(unit)), unit, np.arange(len(unit) + 1)), shape=(size, len(unit)))
    return np.arange(size), into @ np.ascontiguousarray(parts)
