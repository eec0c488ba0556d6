"""A sample divided into groups: their moments, their replicates, and their moments under shuffled labels."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_columns, require_possible, split_weights
from csi_lab.design import Design
from csi_lab.errors import CsiLabError, CsiLabWarning, DataError, EstimationError, SpecError, listed
from csi_lab.model import PathModel
from csi_lab.moments import Missing, Moments
from csi_lab.resampling import Replicates, replicates
from csi_lab.sem.fit import PLSFit
from csi_lab.sem.pls import pls
from csi_lab.units import Units, units_of
from csi_lab.validity.labels import group_places

if TYPE_CHECKING:
    import pandas as pd

# Shuffles whose moments are made in one product, each block from a child of the generator.
SHUFFLES_AT_ONCE = 64


@dataclass(frozen=True)
class Lost:
    """Draws left out because a group had no solution, and in how many of them each item did not vary."""

    count: int = 0
    items: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, lost: np.ndarray, *stacks: Moments) -> Lost:
        """From which draws ``(draws,)`` are lost, and the moments that they were made from."""
        flat = np.any([moments.constant[lost] for moments in stacks], axis=0).sum(axis=0)
        named = zip(stacks[0].names, flat, strict=True)
        return cls(int(lost.sum()), Counter({name: int(k) for name, k in named if k}))

    def __add__(self, other: Lost) -> Lost:
        return Lost(self.count + other.count, self.items + other.items)

    def told(self, what: str) -> list[str]:
        """One sentence, or none when nothing was lost."""
        if not self.count:
            return []
        named = ", ".join(f"{item} in {k}" for item, k in sorted(self.items.items()))
        return [f"{self.count} {what} without a solution left out" + (f"; constant items: {named}" if named else "")]


@dataclass(frozen=True, eq=False)
class GroupedSample:
    """The rows of several groups that can be used: complete, or with some answer where missing ones are completed.

    Attributes
    ----------
    names
        The groups, in the order of every table.
    rows
        All rows used, each a unit.
    label
        ``(n,)`` number of each row's group.
    frame, design, weights
        The whole data, its design, and weights given beside it.
    case_weights
        The weight of every row of the data, wherever it comes from; ``None``: equal.
    place
        ``(len(frame),)`` number of each row's group, -1 outside all groups.
    dropped, unlabelled
        Rows left out because an item is missing (or all are, where answers are completed) or their weight is zero, and
        because no group asked for is given.
    missing
        What becomes of missing answers.
    """

    names: tuple[str, ...]
    rows: Units
    label: np.ndarray
    frame: pd.DataFrame
    design: Design
    weights: np.ndarray | None
    case_weights: np.ndarray | None
    place: np.ndarray
    dropped: int
    unlabelled: int
    missing: Missing

    @property
    def sizes(self) -> np.ndarray:
        """Rows used in each group."""
        return np.bincount(self.label, minlength=len(self.names))

    def notes(self, fits: Sequence[PLSFit]) -> list[str]:
        """What became of rows and of missing answers, one sentence each."""
        completed = self.missing in ("em", "mean")
        out = []
        if self.dropped:
            out.append(f"{self.dropped} rows left out ({'no answer at all' if completed else 'missing answers'})")
        if self.unlabelled:
            out.append(f"{self.unlabelled} rows left out (in none of the groups)")
        told = [(name, getattr(fit.moments, "treatment", "")) for name, fit in zip(self.names, fits, strict=True)]
        return out + [f"{name}: {treatment}" for name, treatment in told if treatment]

    @property
    def exchangeable(self) -> bool:
        """Whether rows may be shuffled: not when they were drawn in strata or clusters."""
        return not (self.design.strata or self.design.psu or self.design.population)

    def moments_of(self, g: int) -> Moments:
        """Moments of a group; missing answers are completed from the answers of the group alone."""
        here = self.place == g
        items = list(self.rows.point.names)
        weights = None if self.case_weights is None else self.case_weights[here]
        return Moments.from_frame(self.frame.loc[here, items], weights, self.missing)

    def fits(self, model: PathModel, **settings: Any) -> list[PLSFit]:
        """The model in each group; what is wrong in a group is said with its name, all groups at once.

        Raises
        ------
        EstimationError
            If a group has no solution.
        """
        found, problems = [], []
        for g, name in enumerate(self.names):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    found.append(pls(self.moments_of(g), model, **settings))
                except SpecError:
                    raise
                except CsiLabError as error:
                    used = "complete rows" if self.missing in ("listwise", "raise") else "rows"
                    problems.append(f"group {name!r} ({self.sizes[g]} {used}): {error}")
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
        # Answers of the other groups are made missing, and these rows are to be left out.
        missing: Missing = "listwise" if self.missing == "raise" else self.missing
        shared = int(rng.integers(2**32)) if not self.exchangeable else None
        out = []
        for g, child in enumerate(rng.spawn(len(self.names))):
            part = self.frame.copy()
            part[items] = part[items].astype(float)
            part.loc[self.place != g, items] = np.nan
            source = np.random.default_rng(shared) if shared is not None else child
            settings: dict[str, Any] = {"weights": self.weights, "draws": draws, "rng": source, "missing": missing}
            out.append(replicates(part, self.design, items=items, **settings))
        return out

    def pair(self, a: int, b: int) -> GroupedSample:
        """The rows of two groups, labelled 0 and 1."""
        both = (self.place == a) | (self.place == b)
        place = np.select([self.place == a, self.place == b], [0, 1], -1)
        rows = _units(self.frame, both, list(self.rows.point.names), self.case_weights, self.missing)
        return replace(self, names=(self.names[a], self.names[b]), rows=rows, label=place[both], place=place, dropped=0)

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
        sizes, count = self.sizes, len(self.names)
        # Sums of complete rows add up; completed ones do not.
        last = count - 1 if self.rows.point.observed else count
        for block, child in enumerate(rng.spawn(-(-draws // SHUFFLES_AT_ONCE))):
            labels = child.permuted(np.tile(self.label, (SHUFFLES_AT_ONCE, 1)), axis=1)
            labels = labels[: draws - block * SHUFFLES_AT_ONCE]
            parts = [
                self.rows.combine((labels == g).astype(float), np.full(len(labels), sizes[g])) for g in range(last)
            ]
            if last == count:
                yield parts
                continue
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
    missing: Missing,
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
    case_weights = split_weights(frame[list(items)], frame[design.weights] if design.weights else weights)[1]
    rows = _units(frame, inside, list(items), case_weights, missing)
    known = frame[list(items)].notna().to_numpy()
    used = known.any(axis=1) if missing in ("em", "mean") else known.all(axis=1)
    if case_weights is not None:
        used &= case_weights > 0
    sample = GroupedSample(
        names=tuple(names),
        rows=rows,
        label=place[inside & used],
        frame=frame,
        design=design,
        weights=case_weights if weights is not None else None,
        case_weights=case_weights,
        place=np.where(used, place, -1),
        dropped=int((inside & ~used).sum()),
        unlabelled=int((~inside).sum()),
        missing=missing,
    )
    gone = [name for name, k in zip(sample.names, sample.sizes, strict=True) if k == 0]
    if gone:
        raise DataError(f"groups without a complete row: {gone}; {sample.dropped} rows have missing answers")
    return sample


def _units(
    frame: pd.DataFrame, rows: np.ndarray, items: list[Any], weights: np.ndarray | None, missing: Missing
) -> Units:
    """Some rows of a frame, each a unit."""
    return units_of(frame.loc[rows, items], items, Design(), None if weights is None else weights[rows], missing)
