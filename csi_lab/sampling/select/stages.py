"""Samples in stages: strata, clusters, units within clusters, each stage with its own method and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import DataError, SpecError, listed
from csi_lab.sampling.select import within
from csi_lab.sampling.select.register import LARGEST_SIZE, label_codes, numbers, order_codes, row_order, some, whole
from csi_lab.sampling.select.stage import BY_SIZE, REPEATING, Stage, require_order

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Drawn:
    """Rows drawn in stages, still as arrays.

    Attributes
    ----------
    rows
        ``(n,)`` positions in the register.
    probability
        ``(n,)`` inclusion probability; expected number of draws when drawn with replacement.
    stratum, strata
        ``(n,)`` number of the stratum, and the labels; one label ``"all"`` without strata.
    units
        Label of each row's unit, one array per stage whose units are not the rows.
    populations
        ``(n,)`` units of each stage within the unit above; inf where no finite population correction applies.
    certain
        ``(n,)`` whether the first-stage unit was certain.
    draw
        ``(n,)`` number of the draw within its stratum, for a first stage with replacement.
    counts
        Per stratum: units of the first stage in the population, asked, drawn.
    pi, part
        First-stage probabilities of all units of a single stratum and positions drawn: for joint probabilities.
    notes
        What the reader should know.
    """

    rows: np.ndarray
    probability: np.ndarray
    stratum: np.ndarray
    strata: list[Any]
    units: list[np.ndarray]
    populations: list[np.ndarray]
    certain: np.ndarray
    draw: np.ndarray | None
    counts: dict[str, np.ndarray]
    pi: np.ndarray | None = None
    part: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class _Level:
    """Units of one stage, sorted by the unit above: where the children of each parent begin, and their rows."""

    starts: np.ndarray  # (parents + 1,)
    labels: np.ndarray  # (units,)
    size: np.ndarray | None
    first_row: np.ndarray  # (units,) position in drawing order, where the unit first occurs


def draw_in_stages(
    frame: pd.DataFrame,
    stages: Sequence[Stage],
    rng: np.random.Generator,
    *,
    strata: str | Sequence[str] | None = None,
    id: str | None = None,
) -> Drawn:
    """Draw rows in stages; each stage is drawn in all its parents at once.

    Parameters
    ----------
    frame
        The register.
    stages
        From the first to the last; only the last may draw rows. Where the last stage draws units of several rows, all
        their rows are taken.
    rng
        Random generator.
    strata
        Column or columns of strata: the first stage is drawn in each.
    id
        Column of identifiers: units are numbered in its order, whatever the order of the rows.

    Raises
    ------
    SpecError
        If the stages contradict each other, or ask for more units than there are.
    DataError
        If the register, labels or sizes are unusable.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"town": ["a"] * 3 + ["b"] * 5 + ["c"] * 2})
    >>> drawn = draw_in_stages(frame, [Stage("town", n=2), Stage(None, n=2)], np.random.default_rng(1))
    >>> len(drawn.rows), len(set(drawn.units[0]))
    (4, 2)
    """
    require_order(stages)
    place = row_order(frame, id)
    listed_frame = frame if id is None else frame.iloc[place]
    if strata is None:
        code, labels = np.zeros(len(frame), dtype=np.int64), ["all"]
    else:
        code, labels = label_codes(listed_frame, strata, "stratum")
    at_unit = np.arange(len(labels))  # unit of the level above of each instance; strata to begin with
    rows_parent, parents = code, len(labels)
    stratum, probability = at_unit, np.ones(len(labels))
    certain, draw = np.zeros(len(labels), dtype=bool), None
    out_labels: list[np.ndarray] = []
    populations: list[np.ndarray] = []
    notes: list[str] = []
    counts: dict[str, np.ndarray] = {}
    pi = part = None
    level: _Level | None = None
    for depth, stage in enumerate(stages):
        level, rows_parent = _level(listed_frame, stage, rows_parent, parents)
        parents = len(level.labels)
        offsets, candidate = _children(level.starts, at_unit)
        available = np.diff(offsets)
        above = [str(label) for label in labels] if depth == 0 else out_labels[-1]
        n, said = _wanted(stage, available, depth, labels, above)
        notes += said
        if depth == 0:
            counts = {"population": available, "asked": n}
        size = None if level.size is None else level.size[candidate]
        picked = within.draw(offsets, n, stage.method, rng, size=size)
        inside = candidate[picked.at]
        parent = picked.group
        stratum, probability = stratum[parent], probability[parent] * picked.probability
        out_labels = [u[parent] for u in out_labels]
        populations = [u[parent] for u in populations]
        equal = stage.method in ("simple random", "systematic")
        total = available[parent].astype(float)
        if depth == 0:
            certain, draw = picked.certain, (picked.number if stage.method in REPEATING else None)
            sure = np.bincount(parent, weights=picked.certain, minlength=len(labels))
            populations.append(total if equal else np.where(certain, sure[parent], np.inf))
            counts["drawn"] = np.bincount(parent, minlength=len(labels))
            pi, part = (picked.pi, picked.at) if len(labels) == 1 else (None, None)
        else:
            certain, draw = certain[parent], (None if draw is None else draw[parent])
            sure = np.bincount(parent, weights=picked.certain, minlength=len(at_unit))[parent]
            whole_group = sure == total
            populations.append(total if equal else np.where(whole_group, total, np.inf))
        if depth == 0 and picked.certain.any():
            shown = some(level.labels[inside[picked.certain]])
            notes.append(f"certain, being as large as the interval ({int(picked.certain.sum())}): {shown}")
        at_unit = inside
        out_labels.append(level.labels[inside])
    assert level is not None
    if stages[-1].unit is None:
        position = level.first_row[at_unit]
        every = np.arange(len(position))
    else:
        order = np.argsort(rows_parent, kind="stable")
        starts = np.searchsorted(rows_parent[order], np.arange(parents + 1))
        offsets, member = _children(starts, at_unit)
        position, every = order[member], np.repeat(np.arange(len(at_unit)), np.diff(offsets))
    drawn = Drawn(
        rows=place[position],
        probability=probability[every],
        stratum=stratum[every],
        strata=labels,
        units=[u[every] for u in out_labels],
        populations=[u[every] for u in populations],
        certain=certain[every],
        draw=None if draw is None else draw[every],
        counts=counts,
        pi=pi,
        part=part,
        notes=notes,
    )
    return drawn


def _level(frame: pd.DataFrame, stage: Stage, parent: np.ndarray, parents: int) -> tuple[_Level, np.ndarray]:
    """The units of a stage, each within its parent, and the unit of every row."""
    if stage.unit is None:
        code = np.arange(len(frame))
        first, home = code, parent
        labels = frame.index.to_numpy() if frame.index.nlevels == 1 else code
    else:
        label, names = label_codes(frame, stage.unit, "unit")
        pair = parent * len(names) + label
        found, first, code = np.unique(pair, return_index=True, return_inverse=True)
        home = found // len(names)
        labels = np.array(names, dtype=object)[found % len(names)]
        kind = frame[stage.unit].dtype
        if isinstance(kind, np.dtype) and kind.kind in "iufb":
            labels = labels.astype(kind)
    size = None
    if stage.method in BY_SIZE:
        size = _unit_values(frame, stage, code, first, stage.size)
    keys: tuple[np.ndarray, ...] = (first, home)
    if stage.order is not None:
        keys = (first, _unit_order(frame, stage, code, first), home)
    elif "systematic" not in stage.method and stage.unit is not None:
        # Units of several rows are numbered by label, rows by their order.
        keys = (np.arange(len(first)), home)
    order = np.lexsort(keys)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    starts = np.searchsorted(home[order], np.arange(parents + 1))
    level = _Level(starts, labels[order], None if size is None else size[order], first[order])
    return level, place[code]


def _unit_values(
    frame: pd.DataFrame, stage: Stage, code: np.ndarray, first: np.ndarray, column: str | None
) -> np.ndarray:
    """Size of each unit: that of its rows, or how many they are."""
    if column is None:
        return np.bincount(code).astype(float)
    values = numbers(frame, column, "the size column", high=LARGEST_SIZE)
    own = values[first]
    name = "rows" if stage.unit is None else f"units {stage.unit!r}"
    problems = []
    zero = np.flatnonzero(own <= 0)
    if len(zero):
        shown = some(frame.index[first[zero]] if stage.unit is None else frame[stage.unit].iloc[first[zero]].tolist())
        problems.append(f"{len(zero)} {name} have a size of 0 or less and could never be drawn: {shown}")
    mixed = np.unique(code[values != own[code]])
    if len(mixed):
        problems.append(
            f"the size differs between rows of one unit in {len(mixed)} {name}: "
            f"{some(frame[stage.unit].iloc[first[mixed]].tolist())}; give each unit its total"
        )
    if problems:
        raise DataError(listed(problems, f"the size column {column!r} cannot be used"), problems)
    return own


def _unit_order(frame: pd.DataFrame, stage: Stage, code: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Rank of the units by the column that puts them in order."""
    assert stage.order is not None
    rank = order_codes(frame, stage.order)
    own = rank[first]
    if stage.unit is not None and (rank != own[code]).any():
        raise DataError(f"the order column {stage.order!r} differs between rows of one unit {stage.unit!r}")
    return own


def _children(starts: np.ndarray, parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Children of each parent one after the other: where each parent's begin ``(k + 1,)``, and their positions."""
    lengths = starts[parent + 1] - starts[parent]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    shift = np.repeat(starts[parent] - offsets[:-1], lengths)
    return offsets, np.arange(offsets[-1]) + shift


def _wanted(
    stage: Stage, available: np.ndarray, depth: int, strata: Sequence[Any], above: Sequence[Any] | np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Units to draw from each parent, and what must be said about it."""
    if isinstance(stage.n, Mapping):
        n = _per_stratum(stage.n, strata)
    elif stage.n is not None:
        n = np.full(len(available), whole(stage.n, "n"))
    else:
        assert stage.rate is not None
        n = np.maximum(1, np.floor(stage.rate * available + 0.5)).astype(np.int64)
    short = np.flatnonzero((n > available) & (stage.method not in REPEATING))
    if not len(short):
        return n, []
    what = "rows" if stage.unit is None else f"units {stage.unit!r}"
    if depth == 0:
        where = "the register" if len(strata) == 1 and strata[0] == "all" else None
        problems = [f"{where or f'stratum {strata[h]!r}'}: n={n[h]} of {available[h]} {what}" for h in short.tolist()]
        raise SpecError(
            listed(problems, "more units asked for than there are; draw fewer or draw with replacement"), problems
        )
    names = list(dict.fromkeys(str(above[h]) for h in short.tolist()))
    note = f"all {what} taken where there are fewer than asked for ({len(short)}): {some(names)}"
    return np.minimum(n, available), [note]


def _per_stratum(given: Mapping[Any, int], strata: Sequence[Any]) -> np.ndarray:
    absent, unknown = [h for h in strata if h not in given], [h for h in given if h not in set(strata)]
    problems = []
    if absent:
        problems.append(f"strata of the register without a sample size: {some(absent)}")
    if unknown:
        problems.append(f"sample sizes for strata that have no units in the register: {some(unknown)}")
    if problems:
        raise SpecError(listed(problems, "sample sizes do not fit the strata"), problems)
    return np.array([whole(given[h], f"n of stratum {h!r}") for h in strata], dtype=np.int64)
