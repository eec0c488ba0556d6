"""Units within units: the stages of a sample, and the variance that each stage adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import sparse

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.units import _codes

if TYPE_CHECKING:
    import pandas as pd

Lonely = Literal["raise", "certainty", "centred", "average"]
LONELY = ("raise", "certainty", "centred", "average")
# Offenders of one kind that a message names; it counts the rest.
SHOWN = 12
# Units times estimates that are held as one table; beyond, the many zeros of domains are left out.
DENSE_CELLS = 20_000_000


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of selection.

    Attributes
    ----------
    parent
        ``(u,)`` for each unit the number of its stratum (first stage) or of the unit above it.
    counts, fractions
        ``(parents,)`` units drawn from each parent, and which share of its units that is (0: not known or tiny).
    factor
        ``(parents,)`` product of the sampling fractions of all stages above.
    labels
        Names of the parents.
    """

    parent: np.ndarray
    counts: np.ndarray
    fractions: np.ndarray
    factor: np.ndarray
    labels: tuple[str, ...]

    @cached_property
    def alone(self) -> np.ndarray:
        """Parents that hold a single unit not taken with certainty: its variance is not known."""
        return np.flatnonzero((self.counts == 1) & (self.fractions < 1) & (self.factor > 0))

    def covariance(self, codes: np.ndarray, totals: np.ndarray, lonely: Lonely) -> np.ndarray:
        r"""What this stage adds to the covariance of k estimates, ``(k, k)``.

        .. math:: \sum_h F_h (1 - f_h) \frac{n_h}{n_h - 1} \sum_{i \in h} (z_i - \bar z_h)(z_i - \bar z_h)'

        over parents h with n units, f their sampling fraction and F the product of the fractions above. Units that are
        not among ``codes`` have the total 0 and count in the means.
        """
        weights, means = self._weights(codes, totals, lonely)
        home = self.parent[codes]
        centred = totals - means[home]
        found = (centred * weights[home, None]).T @ centred
        absent = self.counts - np.bincount(home, minlength=len(self.counts))
        found += (means * (weights * absent)[:, None]).T @ means
        alone = self.alone
        if lonely == "centred" and len(alone):
            # The mean over all units stands in for that of the stratum; units outside a domain have the total 0.
            inside = np.flatnonzero(np.isin(self.parent, alone))
            place = np.full(len(self.parent), -1)
            place[codes] = np.arange(len(codes))
            own = np.where(place[inside, None] >= 0, totals[place[inside]], 0.0)
            gap = own - totals.sum(axis=0) / self.counts.sum()
            size = ((1 - self.fractions) * self.factor)[self.parent[inside], None]
            found += (gap * size).T @ gap
        return found

    def cross(self, units: sparse.csr_array, lonely: Lonely) -> np.ndarray:
        """The same for a sparse table ``(u, k)`` of totals, from sums of squares and products."""
        codes = np.flatnonzero(np.diff(units.indptr))
        sums = (_into(self.parent, len(self.counts)) @ units).tocsr()
        weights = self._factors(codes, lonely)
        each = sparse.diags_array(weights[self.parent])
        parents = sparse.diags_array(weights / self.counts)
        found = (units.T @ (each @ units) - sums.T @ (parents @ sums)).toarray()
        if lonely == "centred" and len(self.alone):
            inside = np.flatnonzero(np.isin(self.parent, self.alone))
            gap = units[inside].toarray() - np.asarray(units.sum(axis=0)) / self.counts.sum()
            size = ((1 - self.fractions) * self.factor)[self.parent[inside], None]
            found += (gap * size).T @ gap
        return found

    def _factors(self, codes: np.ndarray, lonely: Lonely) -> np.ndarray:
        """n / (n - 1) (1 - f) F of every parent, 0 for lonely units after they were judged."""
        if lonely == "raise":
            # Where a domain does not reach, its total is zero in any other sample too.
            there = np.intersect1d(self.alone, self.parent[codes])
            if len(there):
                self._refuse(there)
        several = self.counts > 1
        spread = np.divide(self.counts, self.counts - 1, out=np.zeros(len(self.counts)), where=several)
        weights = spread * (1 - self.fractions) * self.factor
        if lonely == "average" and len(self.alone):
            all_, alone = int((self.factor > 0).sum()), len(self.alone)
            if alone == all_:
                self._refuse(self.alone)
            weights = weights * all_ / (all_ - alone)
        return weights

    def _weights(self, codes: np.ndarray, totals: np.ndarray, lonely: Lonely) -> tuple[np.ndarray, np.ndarray]:
        """Factors ``(parents,)`` and mean totals of the units ``(parents, k)``."""
        return self._factors(codes, lonely), _sums(self.parent[codes], totals, len(self.counts)) / self.counts[:, None]

    def _refuse(self, alone: np.ndarray) -> None:
        names = [self.labels[i] for i in alone]
        if len(self.counts) == 1:
            raise DataError("the sample holds a single sampling unit; a variance needs two or more")
        shown = f"{names[:SHOWN]}" + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        raise DataError(
            f"a single sampling unit drawn from {shown}, so that its variance is not known: merge each with a similar "
            "stratum in the data; declare the population size 1 where the unit was certain to be taken; or choose "
            "lonely='certainty' (adds nothing), 'centred' (about the mean of all units) or 'average' (as the others)"
        )


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
                stages.append(Stage(parent, counts, fractions, factor, labels))
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
                totals, codes = _sums(home, totals, len(above)), above
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
                units = (_into(stage.parent, len(stage.counts)) @ units).tocsr()
        # Within a domain deviations from the means lose fewer digits than sums of squares.
        for start, (codes, totals) in zip(ends, parts, strict=False):
            own = slice(start, start + totals.shape[1])
            found[own, own] = self.covariance(codes, totals, lonely)
        return (found + found.T) / 2


def require_lonely(lonely: str) -> None:
    """Refuse an unknown treatment of single units.

    Raises
    ------
    SpecError
        With the treatments there are.

    Examples
    --------
    >>> require_lonely("average")
    """
    if lonely not in LONELY:
        raise SpecError(f"lonely={lonely!r} is unknown; use one of {list(LONELY)}")


def _sums(group: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Sums of the rows of ``values (p, k)`` over groups ``(size, k)``."""
    return _into(group, size) @ np.ascontiguousarray(values)


def _into(group: np.ndarray, size: int) -> sparse.csc_array:
    """The matrix ``(size, p)`` that adds rows up by group."""
    return sparse.csc_array((np.ones(len(group)), group, np.arange(len(group) + 1)), shape=(size, len(group)))


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
