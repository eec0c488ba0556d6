"""How often each unit counts in each replicate of a sample: bootstrap, Rao-Wu, jackknife."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from csi_lab.units import DrawnUnits, Units

# Draws whose weights are made together from one child of the random generator.
DRAWS_AT_ONCE = 64
CACHED_COUNTERS = 8_192


def blocks_of_draws(draws: int, generator: np.random.Generator) -> Iterator[tuple[int, np.random.Generator]]:
    """Blocks of draws, each with a generator of its own, so that draw r never depends on how many follow."""
    blocks = -(-draws // DRAWS_AT_ONCE)
    for block, child in enumerate(generator.spawn(blocks)):
        yield min(DRAWS_AT_ONCE, draws - block * DRAWS_AT_ONCE), child


def bootstrap_factors(units: Units, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each row is drawn ``(draws, n)``."""
    n = units.count
    picked = rng.integers(0, n, size=(DRAWS_AT_ONCE, n), dtype=np.uint32)[:draws]
    return counts_of(picked, n)


def counts_of(picked: np.ndarray, n: int) -> np.ndarray:
    """How often each of n units stands in each row of ``picked (draws, k)``."""
    counts = np.empty((len(picked), n))
    # As many draws at once as have their counters in the first-level cache, where counting is four times faster.
    step = max(1, CACHED_COUNTERS // n)
    offset = np.arange(step, dtype=np.int64)[:, None] * n
    for start in range(0, len(picked), step):
        part = picked[start : start + step]
        flat = (part + offset[: len(part)]).ravel()
        counts[start : start + step] = np.bincount(flat, minlength=len(part) * n).reshape(len(part), n)
    return counts


def rao_wu_factors(units: Units | DrawnUnits, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Rescaled weights of each unit ``(draws, units)``."""
    factors = np.ones((DRAWS_AT_ONCE, units.count))
    for at, fraction in units.strata():
        n = len(at)
        if fraction == 1:  # every unit was certain to be drawn
            continue
        picked = rng.integers(0, n, size=(DRAWS_AT_ONCE, n - 1), dtype=np.uint32)
        shrink = np.sqrt(1 - fraction)
        factors[:, at] = 1 - shrink + shrink * n / (n - 1) * counts_of(picked, n)
    return factors[:draws]


def jackknife_scale(units: Units) -> np.ndarray:
    """Factors ``(U,)`` of the jackknife variance, units in the order in which they are left out."""
    kept = [(len(at), fraction) for at, fraction in units.strata() if fraction < 1]
    return np.concatenate([np.full(n, (1 - fraction) * (n - 1) / n) for n, fraction in kept] or [np.empty(0)])


def jackknife_factors(units: Units) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Factors ``(k, units)`` of the jackknife, and the factors of its variance, in blocks."""
    for at, fraction in units.strata():
        n = len(at)
        if fraction == 1:
            continue
        for start in range(0, n, DRAWS_AT_ONCE):
            out = at[start : start + DRAWS_AT_ONCE]
            factors = np.ones((len(out), units.count))
            factors[:, at] = n / (n - 1)
            factors[np.arange(len(out)), out] = 0
            yield factors, np.full(len(out), (1 - fraction) * (n - 1) / n)
