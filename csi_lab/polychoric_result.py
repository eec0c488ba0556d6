"""Polychoric correlations as a result: the matrix, whether it is one, and moments for the estimators."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.answers import as_items
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.intervals import Interval, Kind
from csi_lab.moments import Moments, RowsMissing
from csi_lab.resampling import Replicates
from csi_lab.settings import require_level
from csi_lab.thresholds import LIMIT

if TYPE_CHECKING:
    import pandas as pd

# A matrix with a smaller eigenvalue is not positive definite up to rounding.
DEFINITE = 1e-8


@dataclass(frozen=True, eq=False)
class Polychoric:
    """Polychoric correlations of ordered items.

    Attributes
    ----------
    names
        The p items.
    matrix
        ``(p, p)`` correlations.
    pairs
        One row per pair, index (item, with): ``estimate, se, low, high``.
    thresholds
        Where each item's scale is cut on the standard normal: index item, columns the categories; a category's entry is
        its upper cut, so that the highest has none.
    n, dropped, weighted
        Rows used, rows left out because an item was missing, and whether rows carried weights.
    interval
        What the intervals are, or why there are none.
    filled
        Pairs of yes/no items with an empty cell, to which ``empty_cell`` was added.
    boundary
        Pairs whose likelihood rises up to a correlation of 1 or -1.
    smoothing
        Largest change of a correlation when the matrix was smoothed; 0 when it was not.
    replicates, matrices
        With draws: replicates of the tables of answers, and the function that gives their correlations ``(..., p, p)``.
    """

    names: tuple[str, ...]
    matrix: np.ndarray
    pairs: pd.DataFrame
    thresholds: pd.DataFrame
    n: int
    dropped: int
    weighted: bool
    interval: str
    filled: tuple[tuple[str, str], ...]
    boundary: tuple[tuple[str, str], ...]
    smoothing: float = 0.0
    replicates: Replicates | None = None
    matrices: Callable[[Moments], np.ndarray] | None = None

    def drawn(
        self, function: Callable[[np.ndarray], np.ndarray], *, kind: Kind = "percentile", level: float = 0.95
    ) -> Interval:
        """Interval of anything computed from polychoric correlations ``(..., p, p)``; they are made with ``draws=``.

        Raises
        ------
        SpecError
            If no draws were asked for.
        """
        if self.replicates is None or self.matrices is None:
            raise SpecError("no draws were asked for; make the correlations with draws=2000")
        matrices = self.matrices
        return self.replicates.interval(lambda m: function(matrices(m)), kind=kind, level=level)

    @property
    def corr(self) -> pd.DataFrame:
        """The correlations as a square table."""
        import pandas as pd

        index = pd.Index(list(self.names), name="item")
        return pd.DataFrame(self.matrix, index=index, columns=index.rename("with"))

    @property
    def smallest_eigenvalue(self) -> float:
        """Of the matrix; each correlation comes from its own pair, so it may be negative."""
        return float(np.linalg.eigvalsh(self.matrix)[0])

    @property
    def positive_definite(self) -> bool:
        """Whether the matrix is one that correlations of numbers could be."""
        return self.smallest_eigenvalue > DEFINITE

    def smoothed(self, floor: float = 1e-3) -> Polychoric:
        """The nearest simple repair of a matrix that is not positive definite.

        Eigenvalues below ``floor`` are raised to it and the diagonal is scaled back to 1. ``smoothing`` of the result
        is the largest change; ``pairs`` keep their estimates.

        Raises
        ------
        SpecError
            If the floor is not between 0 and 1.
        """
        require_level(floor, "floor", 1e-3)
        values, vectors = np.linalg.eigh(self.matrix)
        raised = (vectors * np.maximum(values, floor)) @ vectors.T
        scale = np.sqrt(np.diagonal(raised))
        matrix = raised / np.outer(scale, scale)
        np.fill_diagonal(matrix, 1.0)
        return replace(self, matrix=matrix, smoothing=float(np.abs(matrix - self.matrix).max()))

    def moments(self, items: Sequence[str] | None = None, missing: RowsMissing = "listwise") -> Moments:
        """The correlations as moments of items with mean 0 and variance 1, so that every estimator takes this result.

        Raises
        ------
        DataError
            If an item is not here.
        EstimationError
            If the matrix is not positive definite.
        """
        names = self.names if items is None else as_items(items)
        absent = [c for c in names if c not in self.names]
        if absent:
            raise DataError(f"items without polychoric correlations: {absent}; there are {list(self.names)}")
        at = [self.names.index(c) for c in names]
        matrix = self.matrix[np.ix_(at, at)]
        smallest = float(np.linalg.eigvalsh(matrix)[0])
        if smallest <= DEFINITE:
            raise EstimationError(
                f"these polychoric correlations are not positive definite (smallest eigenvalue {smallest:.4g}): no "
                "numbers correlate like this. Join sparse categories, leave an item out, or take smoothed()"
            )
        made = Moments.from_covariance(names, self.n, np.zeros(len(at)), matrix)
        return replace(made, dropped=self.dropped, weighted=self.weighted)

    def remarks(self) -> tuple[str, ...]:
        """What a reader must know before using the correlations, one sentence each."""
        out = []
        if not self.positive_definite:
            out.append(f"NOT POSITIVE DEFINITE: the smallest eigenvalue is {self.smallest_eigenvalue:.4f}")
        if self.smoothing:
            out.append(f"smoothed: eigenvalues raised, correlations changed by up to {self.smoothing:.4f}")
        if self.boundary:
            out.append(f"at the limit of {LIMIT:g}, the likelihood still rising: {_shown(self.boundary)}")
        if self.filled:
            out.append(f"an empty cell was filled in {len(self.filled)} two-by-two tables: {_shown(self.filled)}")
        return tuple(out)

    def to_frame(self) -> pd.DataFrame:
        """One row per pair: ``estimate, se, low, high``."""
        return self.pairs

    def __str__(self) -> str:
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        weighted = ", weighted" if self.weighted else ""
        estimates = self.pairs["estimate"]
        head = (
            f"polychoric correlations of {len(self.names)} items: {estimates.min():.3f} to {estimates.max():.3f}, "
            f"n = {self.n}{left_out}{weighted}"
        )
        remarks = list(self.remarks())
        return "\n".join([*remarks, head] if not self.positive_definite else [head, *remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.corr.round(3).to_html()}"


def _shown(pairs_: Sequence[tuple[str, str]], most: int = 5) -> str:
    more = f", … (+{len(pairs_) - most})" if len(pairs_) > most else ""
    return ", ".join(f"{a} with {b}" for a, b in pairs_[:most]) + more
