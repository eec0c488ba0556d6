"""One random stream per table and wave, so that a new table changes no other."""

from __future__ import annotations

import hashlib

import numpy as np

from csi_lab.settings import generator


def root(rng: np.random.Generator | int) -> int:
    """The whole number that all streams grow from: the seed itself, or one number drawn from a generator.

    Raises
    ------
    SpecError
        If it is neither a whole number of 0 or more nor a generator.

    Examples
    --------
    >>> root(20260)
    20260
    """
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**62))
    generator(rng)  # refuses what cannot be a seed
    return int(rng)


def child(seed: int, table: str, wave: int = 0) -> np.random.Generator:
    """The generator of one table in one wave.

    Examples
    --------
    >>> child(1, "register").random() == child(1, "register").random()
    True
    >>> child(1, "register").random() == child(1, "survey").random()
    False
    """
    name = int.from_bytes(hashlib.sha256(table.encode("utf-8")).digest()[:8], "big")
    return np.random.default_rng(np.random.SeedSequence([seed, name, wave]))
