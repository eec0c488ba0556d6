"""Primary units of a sample, and the squares of what their rows contribute to an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import DataError
from csi_lab.sem.cb_answers import Answers, Part

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Clusters:
    """Primary units and strata of the respondents used: unit of each row per group, stratum of each unit."""

    unit: tuple[np.ndarray, ...]
    stratum: np.ndarray

    @property
    def count(self) -> int:
        """Number of primary units."""
        return len(self.stratum)

    @classmethod
    def of(cls, answers: Answers) -> Clusters | None:
        """``None`` for a sample without strata and PSUs.

        Raises
        ------
        DataError
            If a row has no stratum or primary unit, or a stratum holds a single one.
        """
        import pandas as pd

        design = answers.design
        if not (design.strata or design.psu):
            return None
        columns = [c for c in (design.strata, design.primary) if c is not None]
        frames = [_used(part, columns) for part in answers.parts]
        whole = pd.concat(frames)
        holes = [c for c in columns if whole[c].isna().any()]
        if holes:
            raise DataError(
                f"design columns have missing values: {holes}; every row needs its stratum and primary unit"
            )
        strata = pd.factorize(whole[design.strata])[0] if design.strata else np.zeros(len(whole), dtype=int)
        psu = pd.factorize(whole[design.primary])[0] if design.primary else np.arange(len(whole))
        pairs, unit = np.unique(np.column_stack([strata, psu]), axis=0, return_inverse=True)
        alone = int((np.bincount(pairs[:, 0]) == 1).sum())
        if alone:
            raise DataError(
                f"{alone} strata hold a single primary unit, so that their variance is unknown; join them with others"
            )
        ends = np.cumsum([len(f) for f in frames])[:-1]
        return cls(tuple(np.split(unit.reshape(-1), ends)), pairs[:, 0])


class UnitTotals:
    """Totals of primary units, added up block by block of rows, and their squares.

    Where every unit is a single row, as in a stratified sample of respondents, no total is kept: a million of them
    would fill the memory.

    Parameters
    ----------
    clusters
        The units.
    width
        Contributions k of a row.
    products
        Whether :meth:`spread` will be asked for, or the :meth:`trace` alone.
    """

    def __init__(self, clusters: Clusters, width: int, *, products: bool) -> None:
        self._clusters = clusters
        self._size = np.bincount(clusters.stratum).astype(float)
        self._factor = self._size / (self._size - 1)
        self._single = sum(len(unit) for unit in clusters.unit) == clusters.count
        # Of single rows: their squares, and the sums of each stratum. Of larger units: the sums of each.
        self._squares = np.zeros((width, width) if products else width)
        self._sums = np.zeros((len(self._size) if self._single else clusters.count, width))

    def add(self, group: int, rows: slice, values: np.ndarray) -> None:
        """Contributions ``(rows, k)`` of some of the rows used of a group."""
        at = self._clusters.unit[group][rows]
        if self._single:
            at = self._clusters.stratum[at]
            weighted = values * self._factor[at][:, None]
            products = self._squares.ndim == 2
            self._squares += weighted.T @ values if products else (weighted * values).sum(axis=0)
        order = np.argsort(at, kind="stable")
        starts = np.flatnonzero(np.diff(at[order], prepend=-1))
        self._sums[at[order][starts]] += np.add.reduceat(values[order], starts, axis=0)

    def spread(self) -> np.ndarray:
        """Squares of the totals about the means of their strata, times units/(units - 1), ``(k, k)``."""
        if self._single:
            return self._squares - (self._sums * (self._factor / self._size)[:, None]).T @ self._sums
        centred, factor = self._centred()
        return (centred * factor[:, None]).T @ centred

    def trace(self) -> float:
        """The trace of :meth:`spread`."""
        if self._single:
            own = self._squares.sum() if self._squares.ndim == 1 else np.trace(self._squares)
            return float(own - ((self._factor / self._size) @ self._sums**2).sum())
        centred, factor = self._centred()
        return float((factor @ centred**2).sum())

    def _centred(self) -> tuple[np.ndarray, np.ndarray]:
        """Totals of the units less the mean of their stratum, and the factor of each unit."""
        stratum = self._clusters.stratum
        mean = np.zeros((len(self._size), self._sums.shape[1]))
        np.add.at(mean, stratum, self._sums)
        return self._sums - (mean / self._size[:, None])[stratum], self._factor[stratum]


def _used(part: Part, columns: list[str]) -> pd.DataFrame:
    assert part.frame is not None
    return part.frame[columns][part.used]
