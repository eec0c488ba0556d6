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
        frames = [_used(part) for part in answers.parts]
        whole = pd.concat(frames)
        holes = [c for c in (design.strata, design.primary) if c is not None and whole[c].isna().any()]
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

    Where every unit is a single row, as in a stratified sample of respondents, no total is kept: a million of them with
    their products would fill the memory.

    Parameters
    ----------
    clusters
        The units.
    width
        Contributions k of a row.
    """

    def __init__(self, clusters: Clusters, width: int) -> None:
        self._clusters = clusters
        self._size = np.bincount(clusters.stratum).astype(float)
        self._factor = self._size / (self._size - 1)
        self._single = sum(len(unit) for unit in clusters.unit) == clusters.count
        self._squares = np.zeros((width, width))
        self._sums = np.zeros((len(self._size) if self._single else clusters.count, width))

    def add(self, group: int, rows: slice, values: np.ndarray) -> None:
        """Contributions ``(rows, k)`` of some of the rows used of a group."""
        unit = self._clusters.unit[group][rows]
        if not self._single:
            np.add.at(self._sums, unit, values)
            return
        stratum = self._clusters.stratum[unit]
        self._squares += (values * self._factor[stratum][:, None]).T @ values
        np.add.at(self._sums, stratum, values)

    def spread(self) -> np.ndarray:
        """Squares of the totals about the means of their strata, times units/(units - 1), ``(k, k)``."""
        if self._single:
            return self._squares - (self._sums * (self._factor / self._size)[:, None]).T @ self._sums
        stratum = self._clusters.stratum
        mean = np.zeros((len(self._size), self._sums.shape[1]))
        np.add.at(mean, stratum, self._sums)
        centred = self._sums - (mean / self._size[:, None])[stratum]
        return (centred * self._factor[stratum][:, None]).T @ centred


def _used(part: Part) -> pd.DataFrame:
    assert part.frame is not None
    return part.frame[part.used]
