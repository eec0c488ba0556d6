"""What one pass over a survey has found: moments, segments, units for intervals, counts of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import as_items
from csi_lab.design import Design
from csi_lab.em import COMPLETIONS, Completion, Pattern
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.incomplete import CompletedMoments, completed_from
from csi_lab.moments import Moments
from csi_lab.resampling import METHODS, Method, Replicates, replicates_of
from csi_lab.scaleout.block import Cell
from csi_lab.scaleout.columns import NO_LABEL
from csi_lab.scaleout.kernel import Label, Recipe, Sums
from csi_lab.units import Units

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass over a survey has found. Made by :func:`csi_lab.scaleout.scan`.

    Attributes
    ----------
    design
        Columns of weights, strata, primary units and population sizes.
    by
        Columns of segments.
    recipe, sums
        What was summed, and the sums.
    notes
        What was given up to stay within memory, one sentence each.
    """

    design: Design
    by: tuple[str, ...]
    recipe: Recipe
    sums: Sums
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[str, ...]:
        """The items."""
        return self.recipe.items

    @property
    def grouped(self) -> bool:
        """Whether respondents were drawn one by one, so that random groups of them are the units."""
        return self.design.primary is None

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.sums.rows

    def complete_on(self, items: Sequence[str]) -> Scan:
        """What the pass knows about the rows that are complete in some of the items.

        Raises
        ------
        SpecError
            If rows that lack other items only were not kept for these items.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.scaleout import scan
        >>> frame = pd.DataFrame({"q1": [1, 2, 3, 4], "q2": [2, None, 4, 4], "q3": [1, 1, 2, 2]})
        >>> found = scan(frame, ["q1", "q2", "q3"], sets=[["q1", "q3"]])
        >>> found.moments.n, found.complete_on(["q3", "q1"]).moments.n
        (3, 4)
        """
        asked = self._read(items)
        at = self.recipe.places(asked)
        others = np.delete(self.sums.missing, at)
        if not others.any():
            return replace(self, recipe=self.recipe.of(asked), sums=self.sums[at])
        for kept, sums in zip(self.recipe.sets, self.sums.sets, strict=True):
            if set(kept) == set(asked):
                own = self.recipe.of(kept)
                return replace(self, recipe=own.of(asked), sums=sums[own.places(asked)])
        raise SpecError(
            f"the pass kept the rows that answer all items, and not those that answer {list(asked)}: name them in sets="
        )

    def _read(self, items: Sequence[str]) -> tuple[str, ...]:
        asked = tuple(as_items(items))
        absent = [name for name in asked if name not in self.items]
        if absent or not asked:
            said = f"items that the pass did not read: {absent}" if absent else "no items given"
            raise SpecError(f"{said}; it read {list(self.items)}")
        return asked

    @cached_property
    def moments(self) -> Moments:
        """Moments of all complete rows, as :meth:`csi_lab.Moments.from_frame` gives them.

        Raises
        ------
        DataError
            If no row is complete.
        """
        require_complete(self.sums, self.recipe)
        return self._moments(self.sums.whole, self.rows - int(self.sums.whole.n))

    def completed(self, method: Completion = "em", items: Sequence[str] | None = None) -> Moments:
        """Moments that use the rows with missing answers too; see :func:`csi_lab.incomplete.completed_moments`.

        Parameters
        ----------
        method
            ``"em"`` or ``"mean"``.
        items
            Which items; default all.

        Raises
        ------
        DataError, EstimationError
            As there.
        SpecError
            If the pass kept no patterns of missing answers, or the method is unknown.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.scaleout import scan
        >>> frame = pd.DataFrame({"q1": [1.0, 2, 3, 4, 5, 6], "q2": [2.0, 1, 4, 3, None, None]})
        >>> scan(frame, ["q1", "q2"], patterns=True).completed().mean.round(3).tolist()
        [3.5, 3.1]
        """
        if method not in COMPLETIONS:
            raise SpecError(f"missing={method!r} is unknown; answers are completed by one of {list(COMPLETIONS)}")
        if not self.recipe.patterns:
            raise SpecError("the pass kept no patterns of missing answers; make it with patterns=True")
        asked = self.items if items is None else self._read(items)
        at = self.recipe.places(asked)
        if not self.sums.missing[at].any():
            return self.complete_on(asked).moments
        found: dict[bytes, Cell] = {}
        for mask, cell in self.sums.patterns.items():
            known = np.unpackbits(np.frombuffer(mask, np.uint8), count=len(self.items)).astype(bool)[at]
            if known.any():
                key, own = known.tobytes(), cell[at]
                found[key] = found[key] + own if key in found else own
        rows, weight = sum(int(c.n) for c in found.values()), sum(float(c.weight) for c in found.values())
        p, origin = len(asked), np.array(self.recipe.origin)[at]
        known = [name for name, used in zip(asked, self.sums.used[at], strict=True) if not used]
        if known:
            raise DataError(f"items without any answer: {known}; leave them out of the model")
        blank = Moments(
            asked,
            rows,
            weight,
            origin,
            np.zeros(p),
            np.zeros((p, p)),
            self.rows - rows,
            self.recipe.weights is not None,
        )
        patterns = [_pattern(np.frombuffer(key, bool), cell, asked) for key, cell in sorted(found.items())]
        completed: CompletedMoments = completed_from(patterns, blank, method)
        return completed

    @cached_property
    def units(self) -> Units:
        """The primary units of the design, or random groups of respondents where it has none, with their sums.

        Raises
        ------
        DataError
            If no row is complete, or population sizes do not fit.
        """
        if self.sums.dealt is not None:
            return self._groups(self.moments, {(): self.sums.dealt})
        kept = dict(self.sums.keyed[0])
        return self._groups(self.moments, kept) if self.grouped else self._primary(self.moments, kept)

    def segments(self, column: str) -> dict[str, Moments]:
        """Moments of each segment, by label in sorted order; segments without a complete row have none.

        Raises
        ------
        SpecError
            If the pass did not keep this column.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.scaleout import scan
        >>> frame = pd.DataFrame({"q1": [1, 2, 3, 4], "q2": [2, 2, 4, 4], "town": ["b", "b", "a", "a"]})
        >>> {name: m.mean.tolist() for name, m in scan(frame, ["q1", "q2"], by=["town"]).segments("town").items()}
        {'a': [3.5, 4.0], 'b': [1.5, 2.0]}
        """
        return {label: units.point for label, units in self.segment_units(column).items()}

    def segment_units(self, column: str) -> dict[str, Units]:
        """The units of each segment: all primary units of the design, those without a row of it included.

        Respondents drawn one by one are dealt into random groups segment by segment. Within strata, a segment's share
        of each stratum is chance too: group g of a stratum is the group g of all its segments, and a segment has in it
        whom it has, possibly nobody. Where groups did not fit into memory, a segment is a single unit, which has no
        interval.

        Raises
        ------
        SpecError
            If the pass did not keep this column.
        """
        parted = self._parted(column)
        found: dict[str, Units] = {}
        everybody: dict[Label, np.ndarray] = {}
        for key, cell in parted.items():
            everybody[key[:-1]] = everybody.get(key[:-1], 0) + np.atleast_1d(cell.n)
        for label in sorted({key[-1] for key in parted}):
            own = {key[:-1]: _dealt(cell) if self.grouped else cell for key, cell in parted.items() if key[-1] == label}
            n = sum(int(np.sum(cell.n)) for cell in own.values())
            if not n:
                continue
            if self.grouped:
                total = _sum(cell.pooled for cell in own.values())
                found[label] = self._groups(self._moments(total, 0), own, everybody if self.design.strata else None)
            else:
                cells = {key: own.get(key, cell.blank) for key, cell in self.sums.keyed[0].items()}
                found[label] = self._primary(self._moments(_sum(cells.values()), 0), cells)
        return found

    def replicates(self, draws: int = 2000, rng: np.random.Generator | int = 0, method: Method = "auto") -> Replicates:
        """Replicates of the primary units, or of random groups; see :func:`csi_lab.replicates`.

        Raises
        ------
        DataError
            If a stratum holds a single unit.
        SpecError
            If the method does not fit the design.

        Examples
        --------
        >>> import csi_lab as csi
        >>> survey = csi.load_survey("mobile")
        >>> print(csi.scaleout.scan(survey.frame, survey.items, groups=20).replicates(200, rng=1))
        200 replicates (random groups), 19 df
        """
        return self.replicates_of(self.units, draws, rng, method)

    def replicates_of(
        self, units: Units, draws: int = 2000, rng: np.random.Generator | int = 0, method: Method = "auto"
    ) -> Replicates:
        """Replicates of units of this pass, such as those of one segment.

        Raises
        ------
        DataError, SpecError
            As in :meth:`replicates`.
        """
        return replicates_of(units, draws, rng, self._method(method))

    def segment_replicates(
        self, column: str, draws: int = 2000, rng: np.random.Generator | int = 0, method: Method = "auto"
    ) -> dict[str, Replicates]:
        """Replicates of each segment. Those of primary units are drawn alike in all segments, so that differences
        between segments can be taken draw by draw.

        Raises
        ------
        DataError, SpecError
            As in :meth:`replicates` and :meth:`segment_units`.
        """
        units = self.segment_units(column)
        if self.without_groups(column):
            raise SpecError(f"segments of {column!r} have no replicates: {' '.join(self.notes)}")
        seed = int(rng.integers(2**63)) if isinstance(rng, np.random.Generator) else rng
        return {label: self.replicates_of(own, draws, seed, method) for label, own in units.items()}

    def unlabelled(self, column: str) -> int:
        """Complete rows without a label in a column of segments."""
        return sum(int(np.sum(cell.n)) for key, cell in self._parted(column).items() if key[-1] == NO_LABEL)

    def _parted(self, column: str) -> Mapping[Label, Cell]:
        """The sums of each segment, unit by unit."""
        if column not in self.by:
            raise SpecError(f"the pass kept no sums by {column!r}; it kept {list(self.by)}: name it in by=")
        return self.sums.keyed[self.by.index(column) + (self.sums.dealt is None)]

    def without_groups(self, column: str) -> bool:
        """Whether the random groups of a column's segments did not fit into memory."""
        return self.grouped and not self.recipe.key_groups[self.by.index(column) + (self.sums.dealt is None)]

    @cached_property
    def counts(self) -> dict[str, pd.Series]:
        """Weight of the rows that gave each answer, for every item.

        Raises
        ------
        SpecError
            If the pass did not count.
        """
        import pandas as pd

        if not self.recipe.counts:
            raise SpecError("the pass counted no answers; make it with counts=True")
        return {
            item: pd.Series(dict(sorted(found.items())), name=item, dtype=float)
            for item, found in zip(self.items, self.sums.counts, strict=True)
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per item: answered, missing, outside, mean and sd of the complete rows."""
        import pandas as pd

        table = self.moments.to_frame()
        missing = self.sums.missing
        table.insert(0, "outside", self.sums.outside)
        table.insert(0, "missing", missing)
        table.insert(0, "answered", self.rows - missing)
        return pd.DataFrame(table)

    def __str__(self) -> str:
        treated = int(self.sums.outside.sum())
        outside = f"; {treated} answers outside the bounds count as missing" if treated else ""
        return (
            f"{self.rows} rows, {int(self.sums.whole.n)} complete, {len(self.items)} items; "
            f"intervals from {self.units_said}; analysed as {self.design}{outside}"
            + "".join(f"\n  note: {note}" for note in self.notes)
        )

    __repr__ = __str__

    @property
    def units_said(self) -> str:
        """What is resampled, in words."""
        if not self.sums.whole.n:
            return "nothing"
        units = self.units
        strata = f" in {len(units.labels)} strata" if self.design.strata else ""
        return f"{units.count} {'random groups' if self.grouped else 'PSUs'}{strata}"

    def _method(self, method: Method) -> Method:
        if method not in METHODS:
            raise SpecError(f"method={method!r} is unknown; use one of {list(METHODS)}")
        own: Method = "random groups" if self.grouped else "rao-wu"
        if method not in ("auto", "jackknife", own):
            raise SpecError(
                f"method={method!r} does not fit a pass, which keeps sums of {self.units_said}; "
                f"use {own!r} or 'jackknife'"
            )
        return own if method == "auto" else method

    def _moments(self, cell: Cell, dropped: int) -> Moments:
        return Moments(
            self.items,
            int(cell.n),
            float(cell.weight),
            np.array(self.recipe.origin),
            cell.sums,
            cell.products,
            dropped,
            self.recipe.weights is not None,
        )

    def _groups(
        self, point: Moments, dealt: Mapping[Label, Cell], everybody: Mapping[Label, np.ndarray] | None = None
    ) -> Units:
        """Random groups as units, within strata where there are any. A group that nobody was dealt to is none.

        How many rows a group was dealt is chance and no news of the population: each group is brought to the size of
        the mean group, by adding or taking away average rows. Totals of a stratum stay what they are. ``everybody``
        holds the sizes ``(g,)`` of the groups where the sums are those of a part of their rows.
        """
        filled = {key: cell for key, cell in sorted(dealt.items()) if cell.n.any()}
        cells = list(filled.values())
        size = [cell.n if everybody is None else everybody[key] for key, cell in filled.items()]
        keep = [n > 0 for n in size]
        table = np.concatenate(
            [
                _levelled(_table(np.asarray(c.weight, float)[k], c.sums[k], c.products[k]), n[k])
                for c, n, k in zip(cells, size, keep, strict=True)
            ]
        )
        sizes = np.concatenate([c.n[k] for c, k in zip(cells, keep, strict=True)])
        home = np.repeat(np.arange(len(cells)), [int(k.sum()) for k in keep])
        labels = tuple(key[0] if key else "all" for key in filled)
        return Units(point, None, None, table, sizes, home, np.zeros(len(labels)), labels)

    def _primary(self, point: Moments, cells: Mapping[Label, Cell]) -> Units:
        design = self.design
        keys = sorted(cells)
        strata = sorted({key[0] for key in keys}) if design.strata else ["all"]
        home = np.array([strata.index(key[0]) if design.strata else 0 for key in keys])
        fractions = np.zeros(len(strata))
        if design.populations:
            fractions = _fractions([key[-1] for key in keys], home, strata, design.populations[0])
            if uncorrected(design):
                fractions = np.zeros(len(strata))
        stacked = [cells[key] for key in keys]
        table = _table(
            np.array([c.weight for c in stacked], dtype=float),
            np.stack([c.sums for c in stacked]),
            np.stack([c.products for c in stacked]),
        )
        sizes = np.array([c.n for c in stacked])
        return Units(point, None, None, table, sizes, home, fractions, tuple(strata))


def uncorrected(design: Design) -> bool:
    """Whether population sizes of primary units correct nothing, because the units were sampled in turn.

    The correction would take away variance within them; see :func:`csi_lab.units.drawn_units`. Units of later stages,
    which are then resampled in memory where all primary units were taken, have no sums of their own in a pass.

    Examples
    --------
    >>> uncorrected(Design(psu="town", population=("towns", "customers")))
    True
    >>> uncorrected(Design(psu="town", population="towns"))
    False
    """
    return bool(design.populations) and max(len(design.stages), len(design.populations)) > 1


def require_complete(sums: Sums, recipe: Recipe) -> None:
    """Refuse sources without a complete row.

    Raises
    ------
    DataError
        With the items that have no answer at all.
    """
    if not sums.whole.n:
        empty = [name for name, k in zip(recipe.items, sums.missing, strict=True) if k == sums.rows]
        raise DataError(
            f"no row of {sums.rows} has answers to all {len(recipe.items)} items"
            + (" and a positive weight" if recipe.weights else "")
            + (f"; items without any answer: {empty}" if empty else "")
        )


def _fractions(sizes: Sequence[str], home: np.ndarray, strata: Sequence[str], column: str) -> np.ndarray:
    """Units sampled over units in the population, per stratum."""
    fractions, problems = np.zeros(len(strata)), []
    for code, label in enumerate(strata):
        here = int((home == code).sum())
        known = sorted({size for size, h in zip(sizes, home, strict=True) if h == code})
        try:
            [size] = [float(one) for one in known]
        except ValueError:
            size = np.nan
        if not size >= here:
            problems.append(f"stratum {label!r}: {here} units, population sizes {known[:4]}")
        else:
            fractions[code] = here / size
    if problems:
        raise DataError(listed(problems, f"the population column {column!r} does not fit the sample"), problems)
    return fractions


def _pattern(known: np.ndarray, cell: Cell, names: Sequence[str]) -> Pattern:
    """The rows of one pattern of missing answers, pooled."""
    observed, missing = np.flatnonzero(known), np.flatnonzero(~known)
    p, own = len(observed), cell[observed]
    zero = np.zeros(1, dtype=int)
    about = Moments(
        tuple(np.array(names)[observed].tolist()), int(cell.n), 0.0, np.zeros(p), np.zeros(p), np.zeros((p, p))
    )
    table = _table(np.array([float(own.weight)]), own.sums[None], own.products[None])
    return Pattern(observed, missing, Units(about, None, None, table, zero, zero, np.zeros(1), ("all",)), zero)


def _levelled(table: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Groups ``(u, q)`` of ``size (u,)`` rows, brought to the same size by average rows of the stratum.

    The sum of squares of what is left of z over groups then is, but for chance, that of z over rows about the mean of
    the stratum: the linearised variance, whatever is weighted and whatever part of the rows the sums are of.
    """
    return table - np.outer(size - size.mean(), table.sum(axis=0) / size.sum())


def _table(weight: np.ndarray, sums: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Units as rows ``(u, 1 + p + p(p + 1)/2)``."""
    first, second = np.triu_indices(sums.shape[-1])
    return np.concatenate([weight[:, None], sums, products[:, first, second]], axis=1)


def _dealt(cell: Cell) -> Cell:
    """A single sum as one random group."""
    if np.ndim(cell.n):
        return cell
    return Cell(np.array([cell.n]), np.array([float(cell.weight)]), cell.sums[None], cell.products[None])


def _sum(cells: Any) -> Cell:
    first, *rest = cells
    for cell in rest:
        first = first + cell
    return first
