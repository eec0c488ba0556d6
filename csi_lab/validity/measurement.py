"""Loadings and construct correlations, from a fitted model or as published."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import as_items
from csi_lab.errors import CsiLabWarning, DataError, EstimationError
from csi_lab.estimates import estimate_table
from csi_lab.moments import Moments
from csi_lab.usable import require_variation

if TYPE_CHECKING:
    import pandas as pd

# Fisher's interval of a correlation needs four rows.
SMALLEST_SAMPLE = 4

# Takes loadings (..., p) and construct correlations (..., J, J), gives (..., k).
Quantity = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a measurement model says: standardised loadings, and how the constructs correlate.

    Attributes
    ----------
    blocks
        Construct to its items.
    formed
        Constructs that their items form (mode B); they have no AVE.
    loadings, correlations
        ``(p,)`` and ``(J, J)``; correlations NaN when none were given.
    fit
        The fit they came from, which makes intervals; ``None`` when they were given.
    """

    blocks: dict[str, tuple[str, ...]]
    formed: frozenset[str]
    loadings: np.ndarray
    correlations: np.ndarray
    fit: Any = None

    @property
    def member(self) -> np.ndarray:
        """``(p, J)`` 1 where the item belongs to the construct."""
        return membership(self.blocks)

    def table(self, quantity: Quantity, index: list[Any], names: list[str]) -> pd.DataFrame:
        """A quantity with ``estimate, se, low, high``; NaN where the source has no replicates."""
        if self.fit is not None and getattr(self.fit, "replicates", None) is not None:
            return self.fit.interval(lambda fit: quantity(*_of_fit(fit))).to_frame(index, names)
        table = estimate_table(quantity(self.loadings, self.correlations), index, names)
        return table.assign(se=np.nan, low=np.nan, high=np.nan)


def require_sample(moments: Moments) -> None:
    """Refuse items that do not vary and samples too small for correlations; warn of fewer rows than items.

    Raises
    ------
    DataError
        If an item is constant, or fewer than four rows are complete.
    """
    require_variation(moments)
    n, p = int(moments.n), len(moments.names)
    if n < SMALLEST_SAMPLE:
        raise DataError(f"{n} complete rows say nothing about correlations; collect more answers")
    if n <= p:
        warnings.warn(f"{n} complete rows for {p} items: correlations are mostly chance", CsiLabWarning, stacklevel=3)


def as_blocks(constructs: Any) -> dict[str, tuple[Any, ...]]:
    """Name to items, as given or from a survey's constructs.

    Raises
    ------
    DataError
        If there are none, or they are no mapping of names to items.

    Examples
    --------
    >>> as_blocks({"Satisfaction": ["q1", "q2"], "Loyalty": "q3"})
    {'Satisfaction': ('q1', 'q2'), 'Loyalty': ('q3',)}
    """
    if constructs is None:
        raise DataError("no constructs given and the data bring none; pass {name: [items]}")
    if not isinstance(constructs, Mapping):
        raise DataError(f"constructs are given as {{name: [items]}}, not as {type(constructs).__name__}")
    return {str(name): as_items(items) for name, items in constructs.items()}


def membership(blocks: Mapping[str, tuple[str, ...]]) -> np.ndarray:
    """``(p, J)`` 1 where the item, block after block, belongs to the construct."""
    sizes = [len(items) for items in blocks.values()]
    return np.repeat(np.eye(len(sizes)), sizes, axis=0)


def average_variance_extracted(loadings: np.ndarray, member: np.ndarray) -> np.ndarray:
    """AVE ``(..., J)``: mean squared loading of each block, from loadings ``(..., p)``.

    Examples
    --------
    >>> average_variance_extracted(np.array([0.6, 0.8, 1.0]), np.array([[1, 0], [1, 0], [0, 1]])).tolist()
    [0.5, 1.0]
    """
    return (loadings**2) @ (member / member.sum(axis=0))


def measurement(source: Any, correlations: pd.DataFrame | None = None) -> Measurement:
    """Read a fit or given loadings.

    Parameters
    ----------
    source
        A PLS fit; a CB-SEM fit of one group; or standardised loadings as a Series or a DataFrame with column
        ``estimate``, index (construct, item), or as ``{construct: {item: loading}}``.
    correlations
        Construct correlations, for given loadings.

    Raises
    ------
    DataError
        If loadings are not numbers, lie outside -1..1, or correlations do not cover the constructs.
    """
    if hasattr(source, "solution") and hasattr(source, "model"):
        if correlations is not None:
            raise DataError("a fit has its own construct correlations; give correlations only beside given loadings")
        if source.moments.shape:
            raise EstimationError("this fit holds several draws; take one fit, with .bootstrap() for intervals")
        formed = frozenset(
            c for c, items in source.model.constructs.items() if source.model.modes[c] == "B" and len(items) > 1
        )
        return Measurement(dict(source.model.constructs), formed, *_of_fit(source), fit=source)
    if hasattr(source, "latent_correlations") and hasattr(source, "model"):
        if correlations is not None:
            raise DataError("a fit has its own construct correlations; give correlations only beside given loadings")
        source, correlations = _of_factors(source)
    series = _series(source)
    blocks: dict[str, list[str]] = {}
    for construct, item in series.index:
        blocks.setdefault(str(construct), []).append(str(item))
    if list(dict.fromkeys(c for c, _ in series.index)) != [c for c, _ in _runs(series.index)]:
        raise DataError("the loadings of a construct must stand together, one block after another")
    values = series.to_numpy(dtype=float)
    bad = [f"{c}: {i} = {v:g}" for (c, i), v in zip(series.index, values, strict=True) if not abs(v) <= 1]
    if bad:
        raise DataError(f"standardised loadings lie between -1 and 1; these do not: {bad}")
    names = list(blocks)
    matrix = np.full((len(names), len(names)), np.nan)
    if correlations is not None:
        if not hasattr(correlations, "columns"):
            raise DataError(f"correlations must be a DataFrame by construct, got {type(correlations).__name__}")
        absent = [c for c in names if c not in correlations.index or c not in correlations.columns]
        if absent:
            raise DataError(f"constructs without correlations: {absent}; rows are {list(map(str, correlations.index))}")
        matrix = correlations_of(correlations.loc[names, names])
    return Measurement({c: tuple(items) for c, items in blocks.items()}, frozenset(), values, matrix)


def correlations_of(frame: pd.DataFrame) -> np.ndarray:
    """A correlation matrix, checked.

    Raises
    ------
    DataError
        If it is not square, symmetric, with diagonal 1 and entries within -1..1.
    """
    try:
        matrix = frame.to_numpy(dtype=float)
    except (TypeError, ValueError):
        raise DataError("correlations must be numbers") from None
    if matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise DataError(f"correlations must form a complete square matrix; got {matrix.shape} with missing entries")
    if not np.allclose(matrix, matrix.T, atol=1e-8) or not np.allclose(np.diag(matrix), 1, atol=1e-8):
        raise DataError("correlations must be symmetric with 1 on the diagonal")
    if np.abs(matrix).max() > 1 + 1e-8:
        raise DataError(f"correlations lie between -1 and 1; the largest here is {np.abs(matrix).max():.3f}")
    return matrix


def _of_fit(fit: Any) -> tuple[np.ndarray, np.ndarray]:
    block = fit.layout.block
    return fit.solution.cross_loadings[..., np.arange(len(block)), block], fit.solution.correlations


def _of_factors(fit: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Standardised loadings and the matrix of construct correlations of a CB-SEM fit."""
    import pandas as pd

    loadings, pairs = fit.loadings, fit.latent_correlations["estimate"]
    if loadings.index.nlevels > 2:
        raise EstimationError("this fit has several groups, each with loadings of its own; fit one group")
    names = list(fit.model.constructs)
    matrix = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for (construct, other), value in pairs.items():
        matrix.loc[construct, other] = matrix.loc[other, construct] = value
    return loadings, matrix


def _series(source: Any) -> pd.Series:
    import pandas as pd

    if isinstance(source, Mapping):
        pairs = {(c, i): v for c, block in source.items() if isinstance(block, Mapping) for i, v in block.items()}
        if not pairs or any(not isinstance(block, Mapping) for block in source.values()):
            raise DataError("give loadings as {construct: {item: loading}}")
        source = pd.Series(pairs)
    if isinstance(source, pd.DataFrame):
        if "estimate" not in source.columns:
            raise DataError(f"need a column 'estimate'; the table has {[str(c) for c in source.columns][:8]}")
        source = source["estimate"]
    if not isinstance(source, pd.Series) or source.index.nlevels != 2 or not len(source):
        raise DataError("need a fit, or standardised loadings with the index (construct, item)")
    try:
        return source.astype(float)
    except (TypeError, ValueError):
        raise DataError("loadings must be numbers") from None


def _runs(index: Any) -> list[tuple[Any, Any]]:
    """The first entry of each run of one construct."""
    return [key for before, key in zip([None, *index[:-1]], index, strict=True) if not before or before[0] != key[0]]
