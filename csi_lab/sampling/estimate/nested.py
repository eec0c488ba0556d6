"""Units within units: the stages of a sample, and the variance that each stage adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from csi_lab.design import Design
from csi_lab.errors import DataError, listed
from csi_lab.sampling.estimate.stage_variance import SHOWN, WHAT_LONELY_ADD, Lonely, Stage, adding, sums_of
from csi_lab.units import _codes

if TYPE_CHECKING:
    import pandas as pd

# Units times estimates that are held as one table; beyond, the many zeros of domains are left out.
DENSE_CELLS = 20_000_000


@dataclass(frozen=True, eq=False)
class Nested:
    """The sampling units of all stages.

    Attributes
    ----------
    stages
        First stage first. Later stages are kept only where the population of the stages above is declared: without it
        they add nothing to the variance.
    unit
        ``(n,)`` number of each row's unit of the last stage.
    probability
        ``(n,)`` product of the sampling fractions of all stages with a declared population; ``None`` without any.
    """

    stages: tuple[Stage, ...]
    unit: np.ndarray
    probability: np.ndarray | None

    @classmethod
    def of(cls, frame: pd.DataFrame, design: Design) -> Nested:
        """The units that the columns of a frame name.

        Raises
        ------
        DataError
            If a column has gaps, or population sizes are no numbers, differ within a parent or are too small.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"town": [1, 1, 2, 2, 2], "towns": 10})
        >>> nested = Nested.of(frame, Design(psu="town", population="towns"))
        >>> nested.stages[0].counts.tolist(), nested.stages[0].fractions.tolist()
        ([2], [0.2])
        """
        home, labels = _codes(frame, design.strata)
        stages: list[Stage] = []
        factor = np.ones(len(labels))
        probability = None
        matters = True
        problems: list[str] = []
        kept = np.arange(len(frame))
        for level in range(max(1, len(design.stages), len(design.populations))):
            if level < len(design.stages):
                unit, names = _codes(frame, design.stages[level], within=home)
                names = tuple(name.partition("\x1f")[2] for name in names)
            else:
                unit, names = np.arange(len(frame)), ()
            count = int(unit.max(initial=-1)) + 1
            parent = np.zeros(count, dtype=np.int64)
            parent[unit] = home
            counts = np.bincount(parent, minlength=len(labels))
            column = design.populations[level] if level < len(design.populations) else None
            fractions = np.zeros(len(labels))
            if column is not None:
                above = design.strata if level == 0 else design.stages[level - 1]
                fractions = _fractions(frame, column, home, counts, labels, above, problems)
                share = fractions[home]
                probability = share if probability is None else probability * share
            if matters:
                over = design.stages[level - 1] if level else None
                stages.append(Stage(parent, counts, fractions, factor, labels, over, level + 1))
                kept = unit
            factor = (factor * fractions)[parent]
            matters = matters and bool((factor > 0).any())
            home, labels = unit, names
        if problems:
            raise DataError(listed(problems, "population sizes do not fit the sample"), problems)
        return cls(tuple(stages), kept, probability)

    @property
    def count(self) -> int:
        """Primary units."""
        return len(self.stages[0].parent)

    @property
    def last(self) -> int:
        """Units of the last stage kept."""
        return len(self.stages[-1].parent)

    def strata(self) -> list[tuple[np.ndarray, float]]:
        """Numbers of the primary units of each stratum, and its sampling fraction; without strata taken whole."""
        first = self.stages[0]
        order = np.argsort(first.parent, kind="stable")
        parts = np.split(order, np.cumsum(first.counts)[:-1])
        return [(part, float(f)) for part, f in zip(parts, first.fractions, strict=True) if f < 1]

    @cached_property
    def primary(self) -> np.ndarray:
        """Number of each row's primary unit ``(n,)``."""
        unit = self.unit
        for stage in reversed(self.stages[1:]):
            unit = stage.parent[unit]
        return unit

    def with_replacement(self) -> Nested:
        """The same, with strata in which a later stage has single units treated as drawn with replacement.

        The totals of primary units then carry the variance of all stages, and no finite population correction is made:
        the variance is a little too large. Other strata keep their stages.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"town": [1, 2, 2], "house": [1, 1, 2], "towns": 4, "houses": 10})
        >>> nested = Nested.of(frame, Design(psu=("town", "house"), population=("towns", "houses")))
        >>> nested.stages[0].fractions.tolist(), nested.with_replacement().stages[0].fractions.tolist()
        ([0.5], [0.0])
        """
        strata = self._strata_with_single_units()
        fractions = self.stages[0].fractions.copy()
        # A primary unit that was certain has no variance but that of the later stages.
        fractions[strata[fractions[strata] < 1]] = 0.0
        stages: list[Stage] = []
        factor = self.stages[0].factor
        for stage in self.stages:
            stages.append(replace(stage, factor=factor, fractions=stage.fractions if stages else fractions))
            factor = (factor * stages[-1].fractions)[stage.parent]
        return replace(self, stages=tuple(stages))

    def _strata_with_single_units(self) -> np.ndarray:
        """Numbers of the strata in which a later stage has a single unit."""
        found = [np.zeros(0, dtype=np.int64)]
        for level, stage in enumerate(self.stages[1:], 1):
            home = stage.alone
            for above in reversed(self.stages[:level]):
                home = above.parent[home]
            found.append(home)
        return np.unique(np.concatenate(found))

    def said_of_single_units(self, lonely: Lonely) -> tuple[str, ...]:
        """What the reader must know about single units and their treatment."""
        if lonely == "with replacement":
            strata = self._strata_with_single_units()
            certain = int((self.stages[0].fractions[strata] >= 1).sum())
            k, all_ = len(strata) - certain, len(self.stages[0].counts)
            where = "later stages have single units: the first stage is treated as drawn with replacement"
            return (f"{where} (in {k} of {all_} strata)" if all_ > 1 else where,) if k else ()
        if lonely not in WHAT_LONELY_ADD:
            return ()
        notes = []
        for stage in self.stages:
            if len(stage.alone):
                of = "strata" if stage.above is None else f"units of {stage.above!r}"
                count = f"{len(stage.alone)} of {int((stage.factor > 0).sum())} {of}"
                add = WHAT_LONELY_ADD[lonely]
                notes.append(f"single sampling units (stage {stage.number}) in {count}, {add}")
        return tuple(notes)

    def degrees(self, rows: np.ndarray | None = None) -> float:
        """Primary units minus strata among some rows, or all."""
        if rows is None:
            return float(self.count - len(self.stages[0].counts))
        present = np.zeros(self.count, dtype=bool)
        present[self.primary[rows]] = True
        return float(present.sum() - len(np.unique(self.stages[0].parent[present])))

    def covariance(self, codes: np.ndarray, totals: np.ndarray, lonely: Lonely = "raise") -> np.ndarray:
        """Covariance ``(k, k)`` of k estimates, from the totals of their weighted influence values.

        Parameters
        ----------
        codes
            ``(p,)`` units of the last stage that have totals, each once; the others have 0.
        totals
            ``(p, k)`` sums of w z over the rows of each such unit.
        lonely
            What a single unit in a stratum adds: ``"raise"`` an error, ``"certainty"`` nothing, ``"centred"`` its
            squared distance from the mean of all units, ``"average"`` as much as the other strata on average.
            ``"with replacement"`` is :meth:`with_replacement` beforehand, and an error here.

        Raises
        ------
        DataError
            If a stratum (or a unit of an earlier stage) holds a single unit and ``lonely="raise"``.

        Examples
        --------
        Simple random sampling without replacement: (1 - f) s2 / n.

        >>> import pandas as pd
        >>> nested = Nested.of(pd.DataFrame({"N": [16.0] * 4}), Design(population="N"))
        >>> y = np.array([1.0, 3, 5, 7])
        >>> float(nested.covariance(np.arange(4), (y[:, None] - y.mean()) / 4)[0, 0])
        1.25
        >>> float((1 - 4 / 16) * y.var(ddof=1) / 4)
        1.25
        """
        found = np.zeros((totals.shape[1], totals.shape[1]))
        for level, stage in reversed(list(enumerate(self.stages))):
            found += stage.covariance(codes, totals, lonely)
            if level:
                above, home = np.unique(stage.parent[codes], return_inverse=True)
                totals, codes = sums_of(home, totals, len(above)), above
        return (found + found.T) / 2

    def joint_covariance(self, parts: Sequence[tuple[np.ndarray, np.ndarray]], lonely: Lonely = "raise") -> np.ndarray:
        """Covariance of the estimates of several domains: ``parts`` holds codes and totals of each, as above."""
        if len(parts) == 1:
            return self.covariance(*parts[0], lonely)
        ends = np.cumsum([0, *(totals.shape[1] for _, totals in parts)])
        if self.last * ends[-1] <= DENSE_CELLS:
            there = np.zeros(self.last, dtype=bool)
            for codes, _ in parts:
                there[codes] = True
            place = np.cumsum(there) - 1
            joint = np.zeros((int(there.sum()), ends[-1]))
            for start, (codes, totals) in zip(ends, parts, strict=False):
                joint[place[codes], start : start + totals.shape[1]] = totals
            return self.covariance(np.flatnonzero(there), joint, lonely)
        rows = np.concatenate([np.repeat(codes, totals.shape[1]) for codes, totals in parts])
        columns = np.concatenate(
            [np.tile(start + np.arange(z.shape[1]), len(z)) for start, (_, z) in zip(ends, parts, strict=False)]
        )
        cells = np.concatenate([totals.ravel() for _, totals in parts])
        units = sparse.csr_array((cells, (rows, columns)), shape=(self.last, ends[-1]))
        found = np.zeros((ends[-1], ends[-1]))
        for level, stage in reversed(list(enumerate(self.stages))):
            found += stage.cross(units, lonely)
            if level:
                units = (adding(stage.parent, len(stage.counts)) @ units).tocsr()
        # Within a domain deviations from the means lose fewer digits than sums of squares.
        for start, (codes, totals) in zip(ends, parts, strict=False):
            own = slice(start, start + totals.shape[1])
            found[own, own] = self.covariance(codes, totals, lonely)
        return (found + found.T) / 2


def _fractions(
    frame: pd.DataFrame,
    column: str,
    home: np.ndarray,
    counts: np.ndarray,
    labels: Sequence[str],
    above: str | None,
    problems: list[str],
) -> np.ndarray:
    """Units drawn over units there are, per parent; what is wrong with the sizes goes to ``problems``."""
    try:
        sizes = frame[column].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        problems.append(f"the population column {column!r} holds text")
        return np.zeros(len(counts))
    low, high = np.full(len(counts), np.inf), np.full(len(counts), -np.inf)
    known = ~np.isnan(sizes)  # inf: drawn with replacement, no correction
    np.minimum.at(low, home[known], sizes[known])
    np.maximum.at(high, home[known], sizes[known])
    gaps = np.bincount(home[~known], minlength=len(counts)) > 0
    where = "" if above is None else f" of {above!r}"
    unequal, small = np.flatnonzero(gaps | (low != high)), np.flatnonzero(~gaps & (low == high) & (high < counts))
    for code in unequal[:SHOWN]:
        values = np.unique(sizes[home == code])[:4].tolist()
        problems.append(f"{column!r} in {labels[code]!r}{where}: sizes {values}; one number is needed")
    problems += [
        f"{column!r} in {labels[code]!r}{where}: {counts[code]} units drawn from a population of {high[code]:g}"
        for code in small[:SHOWN]
    ]
    more = max(0, len(unequal) - SHOWN) + max(0, len(small) - SHOWN)
    if more:
        problems.append(f"{column!r}: {more} more like these")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(high >= counts, counts / high, 0.0)
