"""What is resampled: rows or primary sampling units, within strata, with their sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import split_weights
from csi_lab.design import Design
from csi_lab.errors import DataError, listed
from csi_lab.moments import Missing, Moments
from csi_lab.usable import require_rows

if TYPE_CHECKING:
    import pandas as pd

# Rows whose cross-products are held at once: a block of 300 products stays in the second-level cache.
PRODUCT_ROWS = 512
# Contributions of rows that may be kept, in numbers: 4 MB.
KEPT = 500_000


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a sample, and what each contributes to the moments.

    Either ``rows`` of answers are kept, each row a unit (``table`` is ``None``), or the sums of each unit.

    Attributes
    ----------
    point
        Moments of the whole sample; unit sums are taken about its origin.
    answers, weights
        ``(n, p)`` answers in a compact type and ``(n,)`` weights, 0 for rows that are left out.
    table
        ``(u, 1 + p + p(p + 1)/2)`` weight, sums and cross-products of each unit, or ``None``.
    sizes
        ``(u,)`` complete rows in each unit.
    stratum
        ``(u,)`` number of each unit's stratum.
    fractions, labels
        Sampling fraction (0: no correction) and name of each stratum.
    """

    point: Moments
    answers: np.ndarray | None
    weights: np.ndarray | None
    table: np.ndarray | None
    sizes: np.ndarray
    stratum: np.ndarray
    fractions: np.ndarray
    labels: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of units."""
        return len(self.sizes)

    @property
    def rows(self) -> int:
        """Complete rows in all."""
        return int(self.sizes.sum())

    @property
    def df(self) -> float:
        """Units minus strata."""
        return float(self.count - len(self.labels))

    def strata(self) -> Iterator[tuple[np.ndarray, float]]:
        """Positions of the units of each stratum, and its sampling fraction."""
        for code, fraction in enumerate(self.fractions):
            yield np.flatnonzero(self.stratum == code), float(fraction)

    def require_pairs(self) -> None:
        """Refuse strata with a single unit, which have no variance, unless it was certain to be drawn.

        Raises
        ------
        DataError
            With all such strata and the remedies.
        """
        counts = zip(self.labels, np.bincount(self.stratum), self.fractions, strict=True)
        alone = [label for label, k, fraction in counts if k < 2 and fraction < 1]
        if alone and len(self.labels) == 1:
            raise DataError("the sample holds a single unit; a variance needs two or more")
        if alone:
            raise DataError(
                f"strata with a single PSU: {alone}; merge each with a similar stratum in the data, "
                "or leave the strata out of the design"
            )

    def combine(self, factors: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """Rows, weight, sums and cross-products of replicates in which each unit counts ``factors (draws, u)`` times.

        ``rows``: number of rows of each replicate; default those of the sample.
        """
        p = len(self.point.names)
        if self.table is not None:
            sums = factors @ self.table
        else:
            assert self.answers is not None
            assert self.weights is not None
            sums = np.zeros((len(factors), 1 + p + p * (p + 1) // 2))
            for at in range(0, self.count, PRODUCT_ROWS):
                part = slice(at, at + PRODUCT_ROWS)
                sums += factors[:, part] @ self._row_contributions(part)
        n = np.full(len(factors), self.rows) if rows is None else rows
        return n, *self._parted(sums)

    def without_each(self) -> tuple[np.ndarray, ...]:
        """The same without each unit in turn, the others of its stratum scaled up by :math:`n_h/(n_h - 1)`.

        Stratum by stratum; units that were certain to be drawn are not left out. Cost and memory grow with the units,
        not with their square.

        Raises
        ------
        DataError
            If all units were certain.
        """
        table = self._all_contributions if self.table is None else self.table
        strata = list(self.strata())
        elsewhere = _without_each(np.array([table[at].sum(axis=0) for at, _ in strata]))
        drawn = [(at, rest) for (at, fraction), rest in zip(strata, elsewhere, strict=True) if fraction < 1]
        if not drawn:
            raise DataError("every unit was certain to be drawn: none can be left out, and there is no sampling error")
        sums = [rest + len(at) / (len(at) - 1) * _without_each(table[at]) for at, rest in drawn]
        left = self.rows - self.sizes[np.concatenate([at for at, _ in drawn])]
        return left, *self._parted(np.concatenate(sums))

    def _parted(self, sums: np.ndarray) -> tuple[np.ndarray, ...]:
        """Weight, sums and cross-products from sums ``(draws, q)`` of contributions."""
        p = len(self.point.names)
        return sums[:, 0], sums[:, 1 : 1 + p], sums[:, 1 + p + _places(p)]

    def _row_contributions(self, part: slice) -> np.ndarray:
        """What some rows contribute; where all of it is small it is kept, because thousands of draws ask for it."""
        p = len(self.point.names)
        if self.count <= PRODUCT_ROWS or self.count * (1 + p + p * (p + 1) // 2) <= KEPT:
            return self._all_contributions[part]
        assert self.answers is not None
        assert self.weights is not None
        return _contributions(self.answers[part] - self.point.origin, self.weights[part])

    @cached_property
    def _all_contributions(self) -> np.ndarray:
        assert self.answers is not None
        assert self.weights is not None
        return _contributions(self.answers - self.point.origin, self.weights)

    def grouped(self, groups: int, rng: np.random.Generator) -> Units:
        """The rows dealt at random into so many groups of equal size (give or take one), each a unit."""
        assert self.answers is not None
        assert self.weights is not None
        group = rng.permutation(np.arange(self.count) % groups)
        table = _unit_sums(self.answers, self.weights, group, groups, self.point.origin)
        sizes = np.bincount(group, weights=self.sizes, minlength=groups).astype(int)
        whole = np.zeros(groups, dtype=int)
        return Units(self.point, None, None, table, sizes, whole, np.zeros(1), ("all",))

    def __getitem__(self, items: Sequence[str]) -> Units:
        """The units, with the sums of some items only."""
        point = self.point[items]
        at = np.array([self.point.names.index(i) for i in items])
        if self.answers is not None:
            return replace(self, point=point, answers=self.answers[:, at])
        p, k = len(self.point.names), len(at)
        place = _places(p)
        first, second = np.triu_indices(k)
        columns = np.concatenate([[0], 1 + at, 1 + p + place[at[first], at[second]]])
        assert self.table is not None
        return replace(self, point=point, table=self.table[:, columns])


def units_of(
    frame: pd.DataFrame,
    items: Sequence[str],
    design: Design,
    weights: Any,
    missing: Missing,
    *,
    every_row: bool = False,
) -> Units:
    """The units of a sample.

    Without PSUs each row is a unit. With strata or PSUs, rows with a missing item count for nothing but their unit
    stays, so that the variance is that of a part of the sample, not of a smaller sample.

    Parameters
    ----------
    frame, items, design, weights, missing
        As in :func:`csi_lab.resampling.replicates`.
    every_row
        Make each row a unit whatever the PSUs, incomplete rows included: for given resamples of rows.

    Raises
    ------
    DataError
        If answers, weights, strata, PSUs or population sizes are unusable.
    """
    if missing == "em" or missing == "mean":
        from csi_lab.incomplete import incomplete_units

        if every_row:
            require_rows(missing, "resampling rows that are given")
        return incomplete_units(frame, items, design, weights, missing)
    if design.weights is not None:
        weights = frame[design.weights]
    point = Moments.from_frame(frame[list(items)], weights, missing)
    answers, complete = _compact(frame, items)
    given = split_weights(frame[list(items)], weights)[1]
    w = np.where(complete, 1.0 if given is None else given, 0.0)
    complete = w > 0
    simple = design.strata is None and design.primary is None and design.population is None
    drawn = drawn_units(frame, Design() if every_row else design)
    if design.primary is None or every_row:
        keep = complete if simple and not every_row else np.ones(len(frame), dtype=bool)
        sizes = complete[keep].astype(int)
        return Units(point, answers[keep], w[keep], None, sizes, drawn.stratum[keep], drawn.fractions, drawn.labels)
    table = _unit_sums(answers, w, drawn.unit, drawn.count, point.origin)
    sizes = np.bincount(drawn.unit, weights=complete, minlength=drawn.count).astype(int)
    return Units(point, None, None, table, sizes, drawn.stratum, drawn.fractions, drawn.labels)


@dataclass(frozen=True, eq=False)
class DrawnUnits:
    """The units that replicates draw.

    Attributes
    ----------
    unit
        ``(n,)`` number of each row's unit.
    stratum
        ``(u,)`` number of each unit's stratum.
    fractions, labels
        Sampling fraction (0: no correction) and name of each stratum.
    """

    unit: np.ndarray
    stratum: np.ndarray
    fractions: np.ndarray
    labels: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of units."""
        return len(self.stratum)

    def strata(self) -> Iterator[tuple[np.ndarray, float]]:
        """Positions of the units of each stratum, and its sampling fraction."""
        for code, fraction in enumerate(self.fractions):
            yield np.flatnonzero(self.stratum == code), float(fraction)


def drawn_units(frame: pd.DataFrame, design: Design) -> DrawnUnits:
    r"""The units of the first stage, or of a later one where the first was not drawn but taken as a whole.

    Replicates of n units show the variance :math:`(1 - f) s^2 / n` between them. Where these were sampled in turn, the
    part :math:`f s^2 / n` that the correction takes away holds their own variance, which would be lost. So a stratum
    whose units were all taken (:math:`f = 1`) is resolved: each of its units is a stratum, from which those of the next
    stage were drawn. With :math:`f < 1` and a later stage the correction is not made: the standard error is too large
    rather than too small, by a factor of :math:`1 / \sqrt{1 - f}` at most [1]_.

    Raises
    ------
    DataError
        If strata, units or population sizes are unusable.

    References
    ----------
    .. [1] Särndal, C.-E., Swensson, B., & Wretman, J. (1992). Model Assisted Survey Sampling. Springer, sec. 4.6.

    Examples
    --------
    Both towns were taken; within each, two of ten customers were drawn:

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"town": [1, 1, 2, 2], "towns": 2, "customers": 10})
    >>> found = drawn_units(frame, Design(psu="town", population=("towns", "customers")))
    >>> found.labels, found.fractions.tolist(), found.stratum.tolist()
    (('all: 1', 'all: 2'), [0.2, 0.2], [0, 0, 1, 1])
    """
    stratum, labels = _codes(frame, design.strata)
    unit = np.arange(len(frame)) if design.primary is None else _codes(frame, design.primary, within=stratum)[0]
    fractions = _fractions(frame, design.populations[:1], stratum, unit, labels)
    parent, above = unit, design.primary
    for level in range(1, max(len(design.stages), len(design.populations))):
        rows = np.flatnonzero(fractions[stratum] > 0)
        if not len(rows):
            break
        below = design.stages[level] if level < len(design.stages) else None
        child = np.arange(len(frame)) if below is None else _codes(frame, below, within=parent)[0]
        # Parents of these rows, numbered from 0, by the name that the reader knows.
        first, group = np.unique(parent[rows], return_index=True, return_inverse=True)[1:]
        names = tuple(f"{labels[stratum[row]]}: {frame[above].iloc[row]}" for row in rows[first])
        column = design.populations[level : level + 1]
        shares = _fractions(frame.iloc[rows], column, group, child[rows], names)
        sampled = np.unique(stratum[rows][shares[group] < 1])
        taken = sampled[fractions[sampled] == 1]
        fractions = fractions.copy()
        fractions[sampled[fractions[sampled] < 1]] = 0
        inside = np.isin(stratum[rows], taken)
        stratum, unit = stratum.copy(), unit.copy()
        split, code = np.unique(group[inside], return_inverse=True)
        stratum[rows[inside]] = len(labels) + code
        unit[rows[inside]] = level * len(frame) + child[rows[inside]]
        labels, fractions = (*labels, *(names[k] for k in split)), np.concatenate([fractions, shares[split]])
        parent, above = child, below
    if len(left := np.unique(stratum)) < len(labels):
        stratum = np.searchsorted(left, stratum)
        labels, fractions = tuple(labels[k] for k in left), fractions[left]
    place, unit = np.unique(unit, return_index=True, return_inverse=True)[1:]
    return DrawnUnits(unit, stratum[place], fractions, labels)


def _contributions(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Weight, weighted answers and weighted products ``(n, 1 + p + p(p + 1)/2)`` of each row."""
    first, second = np.triu_indices(x.shape[1])
    weighted = x * w[:, None]
    return np.concatenate([w[:, None], weighted, weighted[:, first] * x[:, second]], axis=1)


def _without_each(table: np.ndarray) -> np.ndarray:
    """Sums over all rows but each in turn, of those before and those after: nothing is subtracted, nothing lost."""
    out = np.zeros_like(table)
    out[1:] = np.cumsum(table[:-1], axis=0)
    out[:-1] += np.cumsum(table[:0:-1], axis=0)[::-1]
    return out


@cache
def _places(p: int) -> np.ndarray:
    """Where the product of two items stands in the upper triangle written row by row ``(p, p)``."""
    place = np.zeros((p, p), dtype=int)
    place[np.triu_indices(p)] = np.arange(p * (p + 1) // 2)
    return np.maximum(place, place.T)


def _unit_sums(answers: np.ndarray, w: np.ndarray, unit: np.ndarray, count: int, origin: np.ndarray) -> np.ndarray:
    """What each unit contributes ``(u, q)``, unit by unit through one small cross-product each."""
    p = answers.shape[1]
    upper = np.triu_indices(p)
    order = np.argsort(unit, kind="stable")
    ends = np.searchsorted(unit[order], np.arange(count + 1))
    table = np.zeros((count, 1 + p + len(upper[0])))
    for u in range(count):
        rows = order[ends[u] : ends[u + 1]]
        x = answers[rows] - origin
        weighted = x * w[rows, None]
        table[u, 0], table[u, 1 : 1 + p] = w[rows].sum(), weighted.sum(axis=0)
        table[u, 1 + p :] = (weighted.T @ x)[upper]
    return table


def _compact(frame: pd.DataFrame, items: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Answers ``(n, p)`` in a small whole-number type where they fit one, and which rows are complete."""
    complete = np.ones(len(frame), dtype=bool)
    whole = True
    for item in items:
        column = frame[item].to_numpy(dtype=float, na_value=np.nan)
        known = ~np.isnan(column)
        complete &= known
        whole = whole and bool(((column == np.rint(column)) & (np.abs(column) < 128))[known].all())
    answers = np.empty((len(frame), len(items)), dtype=np.int8 if whole else float)
    for j, item in enumerate(items):
        answers[:, j] = np.nan_to_num(frame[item].to_numpy(dtype=float, na_value=np.nan))
    return answers, complete


def _codes(
    frame: pd.DataFrame, column: str | None, within: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number of each row's label, and the labels; PSUs are numbered within their stratum, where names may recur."""
    import pandas as pd

    if column is None:
        return np.zeros(len(frame), dtype=int), ("all",)
    values = frame[column]
    absent = np.flatnonzero(values.isna())
    if len(absent):
        shown = ", ".join(str(frame.index[i]) for i in absent[:5])
        raise DataError(
            f"the design column {column!r} is empty in {len(absent)} rows: {shown}; fill it or leave them out"
        )
    # Labels are read as text, but only once each: a million rows hold a few thousand of them.
    place, found = pd.factorize(values)
    keys = pd.Series(found).astype(str).to_numpy(dtype=object)
    if within is not None:
        nested, pairs = pd.factorize(within.astype(np.int64) * max(1, len(keys)) + place)
        keys = np.array([f"{p // len(keys)}\x1f{keys[p % len(keys)]}" for p in pairs], dtype=object)
        place = nested
    order, labels = pd.factorize(keys, sort=True)
    return order[place], tuple(map(str, labels))


def _fractions(
    frame: pd.DataFrame, populations: Sequence[str], stratum: np.ndarray, unit: np.ndarray, labels: Sequence[str]
) -> np.ndarray:
    """Units sampled over units in the population, per stratum; 0 where no population size is declared."""
    if not populations:
        return np.zeros(len(labels))
    (column,) = populations
    try:
        sizes = frame[column].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        raise DataError(f"the population column {column!r} holds text") from None
    count = np.bincount(stratum[np.unique(unit, return_index=True)[1]], minlength=len(labels))
    low, high = np.full(len(labels), np.inf), np.full(len(labels), -np.inf)
    np.minimum.at(low, stratum, sizes)
    np.maximum.at(high, stratum, sizes)
    problems = []
    for code in np.flatnonzero(~(low == high) | (low < count)).tolist():
        known = np.unique(sizes[stratum == code])
        if len(known) != 1 or np.isnan(known[0]):
            problems.append(
                f"stratum {labels[code]!r}: population sizes {known[:4].tolist()}; one number per stratum is needed"
            )
        else:
            said = f"{count[code]} units sampled from a population of {known[0]:g}"
            problems.append(f"stratum {labels[code]!r}: {said}")
    if problems:
        raise DataError(listed(problems, f"the population column {column!r} does not fit the sample"), problems)
    return count / low  # inf: drawn with replacement, no correction
