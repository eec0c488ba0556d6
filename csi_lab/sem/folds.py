"""Folds of a sample: who is held out when, and the moments of everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import aligned
from csi_lab.design import Design
from csi_lab.errors import SpecError
from csi_lab.moments import Moments
from csi_lab.settings import is_whole, require_whole
from csi_lab.units import Units

if TYPE_CHECKING:
    import pandas as pd

# Training samples whose moments are made in one product.
FOLDS_AT_ONCE = 64


def training_moments(units: Units, label: np.ndarray, count: int) -> Iterator[tuple[int, Moments]]:
    """Moments of the sample without each fold, stacked, in blocks of folds."""
    for first in range(0, count, FOLDS_AT_ONCE):
        folds = np.arange(first, min(first + FOLDS_AT_ONCE, count))
        kept = (label != folds[:, None]).astype(float)
        n, weight, sums, products = units.combine(kept, kept.sum(axis=1).astype(int))
        yield first, replace(units.point, n=n, weight=weight, sums=sums, products=products)


def shuffled_folds(
    n: int, folds: int, repeats: int, clusters: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Fold of every case ``(repeats, n)``: folds of equal numbers of units, each repeat another deal.

    Raises
    ------
    SpecError
        If folds or repeats are no whole numbers, or there are not as many units as folds.
    """
    count = n if clusters is None else int(clusters.max()) + 1
    what = "complete cases" if clusters is None else "PSUs"
    if not is_whole(folds) or not 2 <= folds <= count:
        raise SpecError(f"folds={folds!r} must lie between 2 and the {count} {what}, a whole number")
    require_whole(repeats, "repeats")
    deal = rng.permuted(np.tile(np.arange(count) % folds, (repeats, 1)), axis=1)
    return deal if clusters is None else deal[:, clusters]


def given_folds(assignment: Any, frame: pd.DataFrame, complete: np.ndarray) -> np.ndarray:
    """Given folds ``(repeats, n)`` of the complete cases, numbered from 0; a Series goes by the index of the frame.

    Raises
    ------
    DataError
        If a Series has another index than the frame.
    SpecError
        If there is not one fold per row, a fold is missing, or all complete cases are in one.
    """
    import pandas as pd

    ordered = aligned(assignment, frame, "the folds")
    try:
        given = np.atleast_2d(np.asarray(ordered))
    except ValueError:  # rows of unequal length
        given = np.empty((0, 0))
    if given.ndim != 2 or given.shape[1] != len(frame):
        raise SpecError(f"assignment must hold one fold per row, ({len(frame)},) or (repeats, {len(frame)})")
    if pd.isna(given).any():
        raise SpecError("assignment has missing values; every row needs a fold")
    out = np.stack([np.unique(row[complete], return_inverse=True)[1].ravel() for row in given])
    if (out.max(axis=1) < 1).any():
        raise SpecError("assignment puts all complete cases into one fold; give two or more")
    return out


def clusters_of(frame: pd.DataFrame, design: Design) -> np.ndarray:
    """Number of each row's PSU; names may recur in other strata."""
    import pandas as pd

    keys = [frame[c].astype(str) for c in (design.strata, design.primary) if c is not None]
    return pd.MultiIndex.from_arrays(keys).factorize()[0]
