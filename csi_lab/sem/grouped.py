"""A sample divided into groups: their moments, their replicates, and their moments under shuffled labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_columns, require_possible
from csi_lab.design import Design
from csi_lab.errors import CsiLabError, CsiLabWarning, DataError, EstimationError, SpecError, listed
from csi_lab.model import PathModel
from csi_lab.moments import Moments, RowsMissing, require_rows
from csi_lab.resampling import Replicates, replicates
from csi_lab.sem.fit import PLSFit
from csi_lab.sem.pls import pls
from csi_lab.units import Units, units_of
from csi_lab.validity.labels import group_places

if TYPE_CHECKING:
    import pandas as pd

# Shuffles whose moments are made in one product, each block from a child of the generator.
SHUFFLES_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class GroupedSample:
    """The complete rows of several groups.

    Attributes
    ----------
    names
        The groups, in the order of every table.
    rows
        All complete rows, each a unit.
    label
        ``(n,)`` number of each row's group.
    frame, design, weights
        The whole data, its design, and weights given beside it.
    place
        ``(len(frame),)`` number of each row's group, -1 outside all groups.
    dropped, unlabelled
        Rows left out because an item is missing, or because no group asked for is given.
    """

    names: tuple[str, ...]
    rows: Units
    label: np.ndarray
    frame: pd.DataFrame
    design: Design
    weights: np.ndarray | None
    place: np.ndarray
    dropped: int
    unlabelled: int

    @property
    def sizes(self) -> np.ndarray:
        """Complete rows in each group."""
        return np.bincount(self.label, minlength=len(self.names))

    @property
    def exchangeable(self) -> bool:
        """Whether rows may be shuffled: not when they were drawn in strata or clusters."""
        return not (self.design.strata or self.design.psu or self.design.population)

    def moments(self) -> list[Moments]:
        """Moments of each group."""
        member = (self.label == np.arange(len(self.names))[:, None]).astype(float)
        n, weight, sums, products = self.rows.combine(member, self.sizes)
        point = self.rows.point
        return [
            replace(point, n=int(n[g]), weight=float(weight[g]), sums=sums[g], products=products[g])
            for g in range(len(self.names))
        ]

    def fits(self, model: PathModel, **settings: Any) -> list[PLSFit]:
        """The model in each group; what is wrong in a group is said with its name, all groups at once.

        Raises
        ------
        EstimationError
            If a group has no solution.
        """
        found, problems = [], []
        for name, moments in zip(self.names, self.moments(), strict=True):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    found.append(pls(moments, model, **settings))
                except SpecError:
                    raise
                except CsiLabError as error:
                    problems.append(f"group {name!r} ({moments.n} complete rows): {error}")
            for warning in caught:
                warnings.warn(f"group {name!r}: {warning.message}", CsiLabWarning, stacklevel=4)
        if problems:
            raise EstimationError(listed(problems, "the model cannot be estimated in every group"), problems)
        return found

    def replicates(self, draws: int, rng: np.random.Generator) -> list[Replicates]:
        """Replicates of each group.

        Groups of a simple sample are drawn independently. Where there are strata or clusters all groups share the
        replicates of the whole sample, of which they are parts.
        """
        items = list(self.rows.point.names)
        shared = int(rng.integers(2**32)) if not self.exchangeable else None
        out = []
        for g, child in enumerate(rng.spawn(len(self.names))):
            part = self.frame.copy()
            part[items] = part[items].astype(float)
            part.loc[self.place != g, items] = np.nan
            source = np.random.default_rng(shared) if shared is not None else child
            out.append(replicates(part, self.design, items=items, weights=self.weights, draws=draws, rng=source))
        return out

    def pair(self, a: int, b: int) -> GroupedSample:
        """The rows of two groups, labelled 0 and 1."""
        at = np.flatnonzero((self.label == a) | (self.label == b))
        assert self.rows.answers is not None
        assert self.rows.weights is not None
        rows = replace(
            self.rows,
            answers=self.rows.answers[at],
            weights=self.rows.weights[at],
            sizes=self.rows.sizes[at],
            stratum=self.rows.stratum[at],
        )
        place = np.select([self.place == a, self.place == b], [0, 1], -1)
        whole = rows.combine(np.ones((1, len(at))), np.array([len(at)]))
        n, weight, sums, products = (column[0] for column in whole)
        point = replace(rows.point, n=int(n), weight=float(weight), sums=sums, products=products, dropped=0)
        return replace(
            self,
            names=(self.names[a], self.names[b]),
            rows=replace(rows, point=point),
            label=(self.label[at] == b).astype(int),
            place=place,
        )

    def shuffled(self, draws: int, rng: np.random.Generator) -> list[Moments]:
        """Moments of each group with a leading axis of draws: the rows keep their answers, the labels are shuffled."""
        blocks = list(self._shuffled_blocks(draws, rng))
        point = self.rows.point
        return [
            replace(
                point,
                n=np.full(draws, size),
                weight=np.concatenate([block[g][1] for block in blocks]),
                sums=np.concatenate([block[g][2] for block in blocks]),
                products=np.concatenate([block[g][3] for block in blocks]),
            )
            for g, size in enumerate(self.sizes)
        ]

    def _shuffled_blocks(self, draws: int, rng: np.random.Generator) -> Iterator[list[tuple[np.ndarray, ...]]]:
        sizes, last = self.sizes, len(self.names) - 1
        for block, child in enumerate(rng.spawn(-(-draws // SHUFFLES_AT_ONCE))):
            labels = child.permuted(np.tile(self.label, (SHUFFLES_AT_ONCE, 1)), axis=1)
            labels = labels[: draws - block * SHUFFLES_AT_ONCE]
            parts = [
                self.rows.combine((labels == g).astype(float), np.full(len(labels), sizes[g])) for g in range(last)
            ]
            # The last group has what the others leave of the whole.
            point = self.rows.point
            rest = [
                whole - sum(part[k] for part in parts)
                for k, whole in ((1, point.weight), (2, point.sums), (3, point.products))
            ]
            yield [*parts, (np.full(len(labels), sizes[last]), *rest)]


def grouped_sample(
    data: Any,
    by: Any,
    items: Sequence[str],
    *,
    groups: Sequence[Any] | None,
    design: Design | None,
    weights: Any,
    missing: RowsMissing,
) -> GroupedSample:
    """Divide a sample by a column or by labels.

    Raises
    ------
    DataError
        If the data have no rows, labels do not fit, fewer than two groups remain, or a group asked for is empty.
    SpecError
        If weights are given twice.
    """
    if isinstance(data, Moments):
        raise DataError("moments have no rows to divide into groups; give the survey or DataFrame they were made from")
    require_rows(missing, "the comparison of groups")
    frame = getattr(data, "frame", data)
    if not hasattr(frame, "columns"):
        raise DataError(f"need a survey or a DataFrame, got {type(data).__name__}")
    design = design if design is not None else getattr(data, "design", Design())
    if isinstance(weights, str):
        if weights not in frame.columns:
            raise DataError(f"the weight column {weights!r} is not in the data")
        weights = frame[weights]
    if weights is not None and design.weights is not None:
        raise SpecError(f"weights are given twice: weights= and the design column {design.weights!r}")
    require_columns(frame, (*items, *design.columns))
    require_possible(data, items)
    names, place = group_places(frame, by, groups)
    inside = place >= 0
    row_weights = np.asarray(frame[design.weights] if design.weights else weights, dtype=float)
    own = None if design.weights is None and weights is None else row_weights[inside]
    rows = units_of(frame.loc[inside, list(items)], items, Design(), own, missing)
    complete = ~frame[list(items)].isna().to_numpy().any(axis=1)
    if own is not None:
        complete &= row_weights > 0
    sample = GroupedSample(
        names=tuple(names),
        rows=rows,
        label=place[inside & complete],
        frame=frame,
        design=design,
        weights=row_weights if weights is not None else None,
        place=np.where(complete, place, -1),
        dropped=int((inside & ~complete).sum()),
        unlabelled=int((~inside).sum()),
    )
    gone = [name for name, k in zip(sample.names, sample.sizes, strict=True) if k == 0]
    if gone:
        raise DataError(f"groups without a complete row: {gone}; {sample.dropped} rows have missing answers")
    return sample
