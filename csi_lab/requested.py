"""Replicates that an estimator is asked for by its keywords: made now, or made before from the same sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from csi_lab.errors import DataError, SpecError
from csi_lab.moments import Missing, Moments
from csi_lab.resampling import Replicates
from csi_lab.resampling import replicates as made


def requested(
    data: Any,
    items: Sequence[Any],
    *,
    weights: Any = None,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    missing: Missing = "listwise",
    sample: Moments | None = None,
) -> Replicates | None:
    """The replicates that an estimator's keywords ask for; ``None`` when neither ``draws`` nor ``replicates`` is given.

    ``items`` are columns or their names as text, as moments have them; ``sample`` are the moments that the estimate is
    made from, with which replicates made before must agree.

    Raises
    ------
    DataError
        If ``draws`` are asked for but the data are moments, which have no rows to draw, or if replicates made before
        are of other rows or weights than ``sample``.
    SpecError
        If ``replicates`` is something else.

    Examples
    --------
    >>> import csi_lab as csi
    >>> requested(csi.load_survey("mobile"), ["CUSA1", "CUSA2"]) is None
    True
    """
    if replicates is not None:
        if not isinstance(replicates, Replicates):
            raise SpecError(f"replicates= takes what csi.replicates() makes, not {type(replicates).__name__}")
        chosen = replicates[[str(item) for item in items]]
        if sample is not None:
            require_same_sample(chosen.point, sample)
        return chosen
    if draws is None:
        return None
    if isinstance(data, Moments):
        raise DataError("moments have no rows to resample; give the survey or DataFrame, or replicates= made from it")
    # Moments know columns that are called by numbers as text. A survey without rows has no columns to ask for.
    labels = {} if hasattr(data, "resampled") else {str(c): c for c in getattr(data, "columns", ())}
    called = [labels.get(str(item), item) for item in items]
    return made(data, items=called, weights=weights, draws=draws, rng=rng, missing=missing)


def require_same_sample(theirs: Moments, mine: Moments) -> None:
    """Refuse replicates that were made from other rows or weights than an estimate.

    Parameters
    ----------
    theirs, mine
        Moments of the whole sample behind the replicates, and those behind the estimate.

    Raises
    ------
    DataError
        With the rows used on either side.

    Examples
    --------
    >>> import pandas as pd
    >>> from csi_lab.resampling import replicates
    >>> frame = pd.DataFrame({"q1": [7, 9, 8, 10], "q2": [6, 9, 9, 10]})
    >>> require_same_sample(replicates(frame, draws=10).point, Moments.from_frame(frame))
    """
    # Rounding is small beside an item's spread, and beside its mean where it does not vary.
    size = mine.sd + 1e-8 * np.abs(mine.mean)
    near = np.abs(mine.mean - theirs.mean) <= 1e-9 * (np.abs(mine.mean) + size)
    alike = np.abs(mine.cov - theirs.cov) <= 1e-7 * np.outer(size, size)
    if not (near.all() and alike.all()):
        raise DataError(
            f"the replicates were made from other rows or weights ({theirs.n} rows used there, {mine.n} here), "
            "e.g. because other items have missing answers; make them from these items, or give draws="
        )
