"""One pass over any number of answers: moments, groups, units for intervals, counts of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.moments import Moments
from csi_lab.resampling import GROUPS, Method, Replicates, replicates_of
from csi_lab.scaleout.engines import Engine, run
from csi_lab.scaleout.kernel import Cell, Recipe, Recode, Sums, origin_of
from csi_lab.scaleout.sources import Part, parts_of
from csi_lab.units import Units

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Scan:
    """What one pass over a survey has found. Made by :func:`scan`.

    Attributes
    ----------
    design
        Columns of weights, strata, primary units and population sizes.
    by
        Columns of segments.
    recipe, sums
        What was summed, and the sums.
    """

    design: Design
    by: tuple[str, ...]
    recipe: Recipe
    sums: Sums

    @property
    def items(self) -> tuple[str, ...]:
        """The items."""
        return self.recipe.items

    @property
    def simple(self) -> bool:
        """Whether respondents were drawn one by one, from one stratum: random groups then stand for them."""
        return not (self.design.strata or self.design.psu or self.design.population)

    @property
    def rows(self) -> int:
        """Rows read."""
        return self.sums.rows

    @cached_property
    def moments(self) -> Moments:
        """Moments of all complete rows, as :meth:`csi_lab.Moments.from_frame` gives them."""
        return self._moments(self.sums.whole, self.rows - int(self.sums.whole.n))

    @cached_property
    def units(self) -> Units:
        """The primary units of the design, or random groups where it has none, with their sums."""
        if self.simple:
            assert self.sums.dealt is not None
            return self._groups(self.moments, self.sums.dealt)
        return self._units(self.moments, dict(self.sums.keyed[0]))

    def segments(self, column: str) -> dict[str, Moments]:
        """Moments of each segment, by label in sorted order.

        Raises
        ------
        SpecError
            If the pass did not keep this column.
        """
        return {label: units.point for label, units in self.segment_units(column).items()}

    def segment_units(self, column: str) -> dict[str, Units]:
        """The units of each segment: all primary units of the design, those without a row of it included.

        Raises
        ------
        SpecError
            If the pass did not keep this column.
        """
        if column not in self.by:
            raise SpecError(f"the pass kept no sums by {column!r}; it kept {list(self.by)}: name it in by=")
        place = self.by.index(column)
        found: dict[str, Units] = {}
        if self.simple:
            for label, cell in sorted(self.sums.keyed[place].items()):
                if cell.n.sum():
                    found[label[-1]] = self._groups(self._moments(_total(cell), 0), cell)
            return found
        whole, parted = self.sums.keyed[0], self.sums.keyed[1 + place]
        for label in sorted({key[-1] for key in parted}):
            own = {key[:-1]: cell for key, cell in parted.items() if key[-1] == label}
            cells = {key: own.get(key, _empty(cell)) for key, cell in whole.items()}
            total = _sum(cells.values())
            if total.n:
                found[label] = self._units(self._moments(total, 0), cells)
        return found

    def replicates(self, draws: int = 2000, rng: np.random.Generator | int = 0, method: Method = "auto") -> Replicates:
        """Replicates of the primary units, or of random groups; see :func:`csi_lab.replicates`.

        Raises
        ------
        DataError
            If a stratum holds a single unit.
        SpecError
            If the method does not fit the design.
        """
        return replicates_of(self.units, draws, rng, self._method(method))

    def segment_replicates(
        self, column: str, draws: int = 2000, rng: np.random.Generator | int = 0, method: Method = "auto"
    ) -> dict[str, Replicates]:
        """Replicates of each segment, drawn alike, so that differences between segments can be taken draw by draw.

        Raises
        ------
        DataError, SpecError
            As in :meth:`replicates` and :meth:`segment_units`.
        """
        seed = np.random.default_rng(rng).integers(2**63) if isinstance(rng, np.random.Generator) else rng
        chosen = self._method(method)
        return {label: replicates_of(u, draws, int(seed), chosen) for label, u in self.segment_units(column).items()}

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
            item: pd.Series(dict(sorted(found.items())), name=item)
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
        kept = self.moments
        units = self.units
        what = "random groups" if self.simple else f"PSUs in {len(units.labels)} strata"
        treated = int(self.sums.outside.sum())
        outside = f"; {treated} answers outside the bounds count as missing" if treated else ""
        return (
            f"{self.rows} rows, {kept.n} complete, {len(self.items)} items; "
            f"{units.count} {what} for intervals; analysed as {self.design}{outside}"
        )

    __repr__ = __str__

    def _method(self, method: Method) -> Method:
        if method == "auto":
            return "random groups" if self.simple else "rao-wu"
        if method == "bootstrap" or (method == "random groups") != self.simple:
            allowed = "'random groups' or 'jackknife'" if self.simple else "'rao-wu' or 'jackknife'"
            if not (method == "jackknife"):
                raise SpecError(f"method={method!r} does not fit a pass that kept {self}; use {allowed}")
        return method

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

    def _groups(self, point: Moments, cell: Cell) -> Units:
        g = len(cell.n)
        table = _table(np.asarray(cell.weight, dtype=float), cell.sums, cell.products)
        return Units(point, None, None, table, cell.n, np.zeros(g, dtype=int), np.zeros(1), ("all",))

    def _units(self, point: Moments, cells: Mapping[tuple[str, ...], Cell]) -> Units:
        design = self.design
        keys = sorted(cells)
        strata = sorted({key[0] for key in keys}) if design.strata else ["all"]
        home = np.array([strata.index(key[0]) if design.strata else 0 for key in keys])
        fractions = np.zeros(len(strata))
        if design.populations:
            problems = []
            for code, label in enumerate(strata):
                sizes = {key[-1] for key, h in zip(keys, home, strict=True) if h == code}
                here = int((home == code).sum())
                size = float(next(iter(sizes))) if len(sizes) == 1 else np.nan
                if not size >= here:
                    problems.append(f"stratum {label!r}: {here} units, population sizes {sorted(sizes)[:4]}")
                fractions[code] = here / size
            if problems:
                raise DataError(listed(problems, f"the population column {design.populations[0]!r}"), problems)
        stacked = [cells[key] for key in keys]
        table = _table(
            np.array([c.weight for c in stacked], dtype=float),
            np.stack([c.sums for c in stacked]),
            np.stack([c.products for c in stacked]),
        )
        sizes = np.array([c.n for c in stacked])
        return Units(point, None, None, table, sizes, home, fractions, tuple(strata))


def scan(
    source: Any,
    items: Sequence[str] | Mapping[str, Recode],
    *,
    design: Design | None = None,
    by: Sequence[str] = (),
    counts: bool = False,
    groups: int = GROUPS,
    seed: int = 0,
    engine: Engine = "local",
    client: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Scan:
    """One pass over a survey that need not fit in memory.

    Parameters
    ----------
    source
        A parquet, CSV or Arrow file; a folder of them (``wave=2024/...`` makes a column ``wave``); a list of files; a
        pyarrow Dataset or Table; a DataFrame.
    items
        Columns of answers; a mapping also says bounds, missing codes and which are reversed.
    design
        Columns of weights, strata, primary units and population sizes. Without strata and primary units intervals come
        from random groups of rows.
    by
        Columns of segments, each of which keeps sums of its own.
    counts
        Whether to count the answers value by value, for medians, boxes, floor and ceiling.
    groups
        Number of random groups.
    seed
        Of the random groups. They depend on it and on the place of a row in its file, not on who reads it.
    engine, client, threads, progress
        As in :func:`csi_lab.scaleout.engines.run`.

    Returns
    -------
    Scan

    Raises
    ------
    DataError
        If files, columns or answers are unusable; all of them are named.
    SpecError
        If settings contradict each other.

    Notes
    -----
    On whole answers without weights sums are exact: every partition, order and engine gives the same bits as
    :meth:`csi_lab.Moments.from_frame`. With weights they agree to rounding, 1e-12.

    Examples
    --------
    >>> import csi_lab as csi
    >>> frame = csi.load_survey("mobile").frame
    >>> print(scan(frame, ["CUSA1", "CUSA2", "CUSA3"], groups=50))
    250 rows, 250 complete, 3 items; 50 random groups for intervals; analysed as simple random sample, equal weights
    """
    design, by = design or Design(), tuple([by] if isinstance(by, str) else by)
    recodes = dict(items) if isinstance(items, Mapping) else {name: Recode() for name in items}
    if not recodes or (not isinstance(items, Mapping) and len(recodes) < len(list(items))):
        raise SpecError(f"items must be named, each once; got {list(items)}")
    if len(design.stages) > 1:
        raise SpecError(f"a pass keeps sums of the first stage's units: name {design.stages[0]!r} alone as psu")
    if groups < 2:
        raise SpecError(f"groups={groups!r}: intervals need two random groups or more, 1,000 are usual")
    twice = sorted(set(recodes) & {*design.columns, *by} | set(design.columns) & set(by))
    if twice:
        raise SpecError(f"columns with two roles: {twice}; give each role its own column")
    chosen = tuple(c for c in (design.strata, *design.stages, *design.populations[:1]) if c is not None)
    if (design.strata or design.population) and not design.stages:
        raise SpecError("strata without psu: name the column that tells respondents apart as psu, or leave strata out")
    keys = tuple((name,) for name in by) if not chosen else (chosen, *((*chosen, name) for name in by))
    wanted = [*recodes, *([design.weights] if design.weights else []), *chosen, *by]
    parts = parts_of(source, list(dict.fromkeys(wanted)))
    recipe = Recipe(
        items=tuple(recodes),
        origin=_origin(parts, list(recodes)),
        recodes=tuple(recodes.values()),
        weights=design.weights,
        keys=keys,
        random_groups=0 if chosen else groups,
        counts=counts,
        seed=seed,
    )
    sums = run(parts, recipe, engine=engine, client=client, threads=threads, progress=progress)
    _require_answers(sums, recipe)
    return Scan(design, by, recipe, sums)


def moments(
    source: Any,
    items: Sequence[str] | Mapping[str, Recode],
    *,
    weights: str | None = None,
    engine: Engine = "local",
    client: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Moments:
    """Moments of a survey that need not fit in memory, in one pass and nothing besides.

    Parameters
    ----------
    source, items, engine, client, threads, progress
        As in :func:`scan`.
    weights
        Column of sampling weights.

    Returns
    -------
    Moments

    Raises
    ------
    DataError, SpecError
        As in :func:`scan`.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> found = moments(survey.frame, survey.items)
    >>> bool((found.cov == survey.moments().cov).all())
    True
    """
    recodes = dict(items) if isinstance(items, Mapping) else {name: Recode() for name in items}
    parts = parts_of(source, [*recodes, *([weights] if weights else [])])
    recipe = Recipe(tuple(recodes), _origin(parts, list(recodes)), tuple(recodes.values()), weights)
    sums = run(parts, recipe, engine=engine, client=client, threads=threads, progress=progress)
    _require_answers(sums, recipe)
    return Scan(Design(weights=weights), (), recipe, sums).moments


def _origin(parts: Sequence[Part], items: list[str]) -> tuple[float, ...]:
    """Where to take the sums about, from the first rows there are."""
    import pyarrow as pa

    for part in parts:
        for batch in part.batches(items):
            if batch.num_rows:
                found = []
                for name in items:
                    column = batch.column(name).drop_null()
                    number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
                    values = column.to_numpy(zero_copy_only=False) if number else np.zeros(0)
                    found.append(origin_of(values[np.isfinite(values)]))
                return tuple(found)
    raise DataError("the source holds no rows")


def _require_answers(sums: Sums, recipe: Recipe) -> None:
    """Refuse answers outside the bounds, and sources without a complete row."""
    problems = [
        f"{name}: {k} answers outside {recode.low:g} to {recode.high:g}"
        for name, recode, k in zip(recipe.items, recipe.recodes, sums.outside, strict=True)
        if k and recode.outside == "error"
    ]
    if problems:
        remedy = "answers outside the scale (declare missing codes, mend the bounds, or let them count as missing)"
        raise DataError(listed(problems, remedy), problems)
    if not sums.whole.n:
        empty = [name for name, k in zip(recipe.items, sums.missing, strict=True) if k == sums.rows]
        raise DataError(
            f"no row of {sums.rows} has answers to all {len(recipe.items)} items"
            + (" and a positive weight" if recipe.weights else "")
            + (f"; items without any answer: {empty}" if empty else "")
        )


def _table(weight: np.ndarray, sums: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Units as rows ``(u, 1 + p + p(p + 1)/2)``."""
    first, second = np.triu_indices(sums.shape[-1])
    return np.concatenate([weight[:, None], sums, products[:, first, second]], axis=1)


def _empty(cell: Cell) -> Cell:
    return Cell(0, 0.0, np.zeros_like(cell.sums), np.zeros_like(cell.products))


def _total(cell: Cell) -> Cell:
    return Cell(int(cell.n.sum()), cell.weight.sum(), cell.sums.sum(axis=0), cell.products.sum(axis=0))


def _sum(cells: Any) -> Cell:
    cells = list(cells)
    total = cells[0]
    for cell in cells[1:]:
        total = total + cell
    return total
