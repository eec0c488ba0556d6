"""What factor analysis asks of the correlations before it begins, and their inverses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from csi_lab.answers import as_items
from csi_lab.errors import DataError, EstimationError, listed
from csi_lab.intervals import Interval, Kind, require_interval
from csi_lab.moments import Missing, Moments, as_moments
from csi_lab.polychoric_result import Polychoric
from csi_lab.requested import requested
from csi_lab.resampling import Replicates
from csi_lab.usable import against_formulas, require_variation

# Correlations this near to one are copies up to rounding, and eigenvalues below it are zero.
SINGULAR = 1e-10
# A coefficient of an exact linear relation that is smaller takes no part in it.
NO_PART = 1e-6


def usable(
    data: Any, items: Sequence[str] | None, weights: Any, missing: Missing, *, at_least: int = 3
) -> tuple[Moments, str]:
    """Moments of one survey fit for factor analysis, and why tests for simple random samples would not hold on them.

    The second value is empty when such tests hold.

    Raises
    ------
    DataError
        If an item is absent, text, constant or a copy of another, items are too few, or rows are no more than items.
    """
    items = None if items is None else as_items(items)
    twice = sorted({str(i) for i in items or () if (items or ()).count(i) > 1})
    if twice:
        raise DataError(f"items named twice: {twice}")
    moments = as_moments(data, items, weights, missing)
    if moments.shape:
        raise DataError(f"these are {moments.shape} sets of moments; factor analysis takes one survey")
    p = len(moments.names)
    if p < at_least:
        raise DataError(f"factor analysis needs {at_least} items or more, got {list(moments.names)}")
    require_variation(moments)
    if moments.n <= p:
        left_out = f" ({moments.dropped} left out for missing answers)" if moments.dropped else ""
        raise DataError(
            f"{moments.n} complete rows{left_out} for {p} items: correlations of so few rows are linearly dependent; "
            f"more than {p} rows are needed, several hundred are usual"
        )
    copies = _copies(moments)
    if copies:
        raise DataError(listed(copies, "items repeat each other; leave one of each pair out"), copies)
    return moments, _reservation(data, moments)


def require_regular(corr: np.ndarray, names: Sequence[str], what: str) -> None:
    """Refuse a correlation matrix without an inverse, naming the items that depend on each other.

    Raises
    ------
    EstimationError
        If the smallest eigenvalue is zero up to rounding, or negative.
    """
    values, vectors = np.linalg.eigh(corr)
    if values[0] > SINGULAR:
        return
    if values[0] < -SINGULAR:
        raise EstimationError(
            f"{what} needs a positive definite correlation matrix; the smallest eigenvalue is {values[0]:.4g}. "
            "Use extraction='minres', or smooth the matrix by name (Polychoric.smoothed())"
        )
    part = np.abs(vectors[:, values <= SINGULAR]).max(axis=1) > NO_PART
    involved = [name for name, taken in zip(names, part, strict=True) if taken]
    raise EstimationError(
        f"{what} needs an inverse of the correlation matrix, which has none: these items are exact linear "
        f"combinations of each other: {involved}; leave out totals and repeated items"
    )


def inverse(corr: np.ndarray) -> np.ndarray:
    """Inverses of ``(..., p, p)``; NaN where a matrix is not finite or not positive definite."""
    regular = np.isfinite(corr).all(axis=(-2, -1))
    safe = np.where(regular[..., None, None], corr, np.eye(corr.shape[-1]))
    regular = regular & (np.linalg.eigvalsh(safe)[..., 0] > SINGULAR)
    safe = np.where(regular[..., None, None], corr, np.eye(corr.shape[-1]))
    return np.where(regular[..., None, None], np.linalg.inv(safe), np.nan)


def eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """Eigenvalues ``(..., p)`` from the largest; NaN where a matrix is not finite."""
    sound = np.isfinite(matrices).all(axis=(-2, -1))
    safe = np.where(sound[..., None, None], matrices, np.eye(matrices.shape[-1]))
    return np.where(sound[..., None], np.linalg.eigvalsh(safe)[..., ::-1], np.nan)


def asked(
    data: Any,
    moments: Moments,
    *,
    weights: Any,
    missing: Missing,
    draws: int | None,
    rng: np.random.Generator | int,
    replicates: Replicates | None,
) -> Replicates | None:
    """The replicates of the items in ``moments`` that an estimator's keywords ask for, or ``None``."""
    return requested(
        data,
        moments.names,
        weights=weights,
        draws=draws,
        rng=rng,
        replicates=replicates,
        missing=missing,
        sample=moments,
    )


def estimated(
    function: Callable[[Moments], np.ndarray], moments: Moments, made: Replicates | None, kind: Kind, level: float
) -> Interval:
    """What ``function`` gives on the moments, with intervals when replicates were made; else without ends.

    Raises
    ------
    SpecError
        If the kind or level of interval is none, made or not.
    """
    require_interval(kind, level)
    if made is not None:
        return made.interval(function, kind=kind, level=level)
    estimate = function(moments)
    none = np.full(estimate.shape, np.nan)
    return Interval(estimate, none, none, none, np.zeros(estimate.shape, dtype=int), 0, kind, level)


def leading(kept: np.ndarray) -> int:
    """How many come before the first that is not kept."""
    return int(np.argmin(kept)) if not kept.all() else len(kept)


def off_diagonal(matrices: np.ndarray) -> np.ndarray:
    """The same matrices with zeros on the diagonal."""
    return matrices * (1 - np.eye(matrices.shape[-1]))


def _copies(moments: Moments) -> list[str]:
    close = np.triu(np.abs(moments.corr) > 1 - SINGULAR, 1)
    names = moments.names
    return [f"{names[i]!r} and {names[j]!r} (r = {moments.corr[i, j]:.0f})" for i, j in np.argwhere(close)]


def _reservation(data: Any, moments: Moments) -> str:
    """Why a test that assumes a simple random sample of continuous answers does not hold; empty when it does."""
    if isinstance(data, Polychoric):
        return "polychoric correlations vary more than those of numbers"
    return against_formulas(data, moments)
