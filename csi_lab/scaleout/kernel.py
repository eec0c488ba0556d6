"""From a batch of rows to sums: the one kernel behind every engine. Pure, and exact on whole answers."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.moments import ANSWER_ORIGIN, LARGEST_ANSWER
from csi_lab.scaleout.block import Block, Cell
from csi_lab.scaleout.columns import (
    Answers,
    Recode,
    answers_in,
    counts_of,
    labels_of,
    require_countable,
    weights_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

Label = tuple[str, ...]
# Patterns of missing answers beyond which keeping one sum for each would not fit into memory.
MOST_PATTERNS = 20_000
# The same of combinations of labels, such as those of an id that was taken for a segment.
MOST_LABELS = 500_000


@dataclass(frozen=True)
class Recipe:
    """What is to be summed. Small, so that it travels to every worker.

    Attributes
    ----------
    items
        Names of the p columns of answers.
    origin
        ``(p,)`` point about which sums are taken.
    recodes
        One for each item.
    weights
        Column of sampling weights, or ``None``.
    keys
        Lists of columns; sums are kept for every combination of labels of each list.
    required
        Columns of ``keys`` in which every row needs a label; elsewhere rows without one are a group of their own.
    random_groups, key_groups
        Number of random groups into which complete rows are dealt, all of them and those of each combination of labels;
        0: none; the latter one number for each list of keys.
    sets
        Sets of items whose complete rows are summed too.
    counts
        Whether answers are counted value by value.
    patterns
        Whether rows are kept by pattern of missing answers.
    seed
        Of the random groups.
    """

    items: tuple[str, ...]
    origin: tuple[float, ...]
    recodes: tuple[Recode, ...]
    weights: str | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    required: tuple[str, ...] = ()
    random_groups: int = 0
    key_groups: tuple[int, ...] = ()
    sets: tuple[tuple[str, ...], ...] = ()
    counts: bool = False
    patterns: bool = False
    seed: int = 0

    @property
    def columns(self) -> list[str]:
        """Columns to be read."""
        wanted = [*self.items, *([self.weights] if self.weights else []), *(c for key in self.keys for c in key)]
        return list(dict.fromkeys(wanted))

    @property
    def numbers(self) -> list[str]:
        """Columns that hold numbers."""
        return [*self.items, *([self.weights] if self.weights else [])]

    def places(self, items: tuple[str, ...]) -> np.ndarray:
        """Where some items stand among those of the recipe."""
        return np.array([self.items.index(name) for name in items])

    def of(self, items: tuple[str, ...]) -> Recipe:
        """The recipe for the rows that are complete in some of the items."""
        at = self.places(items)
        origin, recodes = tuple(self.origin[i] for i in at), tuple(self.recodes[i] for i in at)
        return replace(self, items=items, origin=origin, recodes=recodes, sets=(), counts=False, patterns=False)


@dataclass(frozen=True, eq=False)
class Sums:
    """What a part of a survey contributes. Parts add up with ``+``.

    Attributes
    ----------
    rows
        Rows read.
    whole
        Sums of the complete rows of positive weight.
    missing, coded, outside
        ``(p,)`` rows without an answer to each item; of these, missing codes, and answers outside the bounds.
    used
        ``(p,)`` answers to each item in rows of positive weight.
    weightless
        Rows of weight zero.
    keyed
        For each list of key columns: label to sums, labels without a complete row included.
    dealt
        Sums of each random group, with a leading axis; ``None`` without random groups.
    sets
        The same for each further set of items.
    counts
        For each item: answer to weight of the rows that gave it.
    patterns
        For each pattern of missing answers (bytes of a packed mask of what is observed): sums in which missing answers
        count as zero.
    """

    rows: int
    whole: Cell
    missing: np.ndarray
    coded: np.ndarray
    outside: np.ndarray
    used: np.ndarray
    weightless: int = 0
    keyed: tuple[Mapping[Label, Cell], ...] = ()
    dealt: Cell | None = None
    sets: tuple[Sums, ...] = ()
    counts: tuple[Mapping[float, float], ...] = ()
    patterns: Mapping[bytes, Cell] = field(default_factory=dict)

    def __add__(self, other: Sums) -> Sums:
        return self._with(other, _joined)

    def taking(self, other: Sums) -> Sums:
        """The same as ``+``, using up both label by label, so that no third copy is ever held."""
        return self._with(other, _moved)

    def _with(self, other: Sums, join: Callable[[Any, Any], dict[Any, Any]]) -> Sums:
        return Sums(
            self.rows + other.rows,
            self.whole + other.whole,
            self.missing + other.missing,
            self.coded + other.coded,
            self.outside + other.outside,
            self.used + other.used,
            self.weightless + other.weightless,
            tuple(join(a, b) for a, b in zip(self.keyed, other.keyed, strict=True)),
            None if self.dealt is None or other.dealt is None else self.dealt + other.dealt,
            tuple(a._with(b, join) for a, b in zip(self.sets, other.sets, strict=True)),
            tuple(join(a, b) for a, b in zip(self.counts, other.counts, strict=True)),
            join(self.patterns, other.patterns),
        )

    def __getitem__(self, at: np.ndarray) -> Sums:
        """The sums of some items over the same rows."""
        return Sums(
            self.rows,
            self.whole[at],
            self.missing[at],
            self.coded[at],
            self.outside[at],
            self.used[at],
            self.weightless,
            tuple({label: cell[at] for label, cell in key.items()} for key in self.keyed),
            None if self.dealt is None else self.dealt[at],
        )


def _joined(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> dict[Any, Any]:
    out = dict(a)
    for key, value in b.items():
        out[key] = out[key] + value if key in out else value
    return out


def _moved(a: dict[Any, Any], b: dict[Any, Any]) -> dict[Any, Any]:
    for key in list(b):
        value = b.pop(key)
        a[key] = a[key] + value if key in a else value
    return a


def sums_of(batch: pa.RecordBatch, recipe: Recipe, place: tuple[int, ...] = (0,)) -> Sums:
    """The sums of a batch of rows.

    Parameters
    ----------
    batch
        Rows as Arrow arrays, with the columns of the recipe.
    recipe
        What to sum.
    place
        Where the batch stands in the data (file, row group, batch): with the seed it fixes the random groups.

    Returns
    -------
    Sums

    Raises
    ------
    ValueError
        If a column of answers or weights is not a number, or a weight is missing, negative or infinite.

    Examples
    --------
    >>> import pyarrow as pa
    >>> batch = pa.record_batch({"q1": pa.array([7, 9, None], pa.int8()), "q2": pa.array([6, 9, 8], pa.int8())})
    >>> found = sums_of(batch, Recipe(("q1", "q2"), (5.0, 5.0), (Recode(), Recode())))
    >>> int(found.whole.n), found.whole.sums.tolist(), found.missing.tolist()
    (2, [6.0, 5.0], [1, 0])
    """
    read = answers_in(batch, dict(zip(recipe.items, recipe.recodes, strict=True)))
    w = None if recipe.weights is None else weights_of(batch, recipe.weights)
    keys = [labels_of(batch, key, recipe.required) for key in recipe.keys]
    return _summed(read, recipe, w, keys, place)


def _summed(
    read: Mapping[str, Answers],
    recipe: Recipe,
    w: np.ndarray | None,
    keys: list[tuple[np.ndarray, list[Label]]],
    place: tuple[int, ...],
) -> Sums:
    columns = [read[name] for name in recipe.items]
    n = len(columns[0].values)
    known = [c.known for c in columns if c.known is not None]
    complete: np.ndarray | None = np.logical_and.reduce(known) if known else None
    positive = None if w is None or (w > 0).all() else w > 0
    if positive is not None:
        complete = positive if complete is None else complete & positive
    block = Block(columns, recipe.origin, w)
    rows = None if complete is None or complete.all() else np.flatnonzero(complete)
    dealt, seed = None, (recipe.seed, *place)
    if recipe.random_groups:
        dealt = block.dealt(rows, recipe.random_groups, np.random.default_rng(seed))
    missing = np.array([c.missing for c in columns])
    dealt_by_key = recipe.key_groups or (0,) * len(keys)
    found = Sums(
        rows=n,
        whole=block.cell(rows) if dealt is None else dealt.pooled,
        missing=missing,
        coded=np.array([c.coded for c in columns]),
        outside=np.array([c.outside for c in columns]),
        used=n - missing if positive is None else np.array([_used(c, positive) for c in columns]),
        weightless=0 if positive is None else n - int(positive.sum()),
        keyed=tuple(
            _keyed(block, names, code, labels, complete, groups, seed)
            for names, (code, labels), groups in zip(recipe.keys, keys, dealt_by_key, strict=True)
        ),
        dealt=dealt,
        counts=tuple(counts_of(c, name, w) for name, c in read.items()) if recipe.counts else (),
        patterns=_patterns(block, positive) if recipe.patterns else {},
    )
    if not recipe.sets:
        return found
    # Where nothing is missing, the rows that are complete in some items are those complete in all.
    sets = tuple(
        _summed(read, recipe.of(items), w, keys, place) if known else found[recipe.places(items)]
        for items in recipe.sets
    )
    return replace(found, sets=sets)


def _used(column: Answers, positive: np.ndarray) -> int:
    return int((positive if column.known is None else column.known & positive).sum())


def _keyed(
    block: Block,
    names: tuple[str, ...],
    code: np.ndarray,
    labels: list[Label],
    complete: np.ndarray | None,
    groups: int,
    seed: tuple[int, ...],
) -> dict[Label, Cell]:
    """Sums for every combination of labels, dealt into random groups where there are any."""
    # Small numbers are sorted by their digits, ten times as fast.
    small = code.astype(np.min_scalar_type(len(labels)))
    order = np.argsort(small, kind="stable") if len(labels) > 1 else np.arange(len(code))
    if complete is not None:
        order = order[complete[order]]
    ends = np.searchsorted(code[order], np.arange(len(labels) + 1))
    found = {}
    for k, label in enumerate(labels):
        rows = order[ends[k] : ends[k + 1]]
        if groups:
            # By the label itself: its number depends on which labels a batch happens to hold.
            own = np.random.default_rng([*seed, zlib.crc32("\x1f".join((*names, *label)).encode())])
            found[label] = block.dealt(rows, groups, own)
        else:
            found[label] = block.cell(rows)
    return found


def _patterns(block: Block, positive: np.ndarray | None) -> dict[bytes, Cell]:
    """Sums of the rows of each pattern of missing answers, those without any answer left out."""
    n, p = block.n, len(block.columns)
    masks = np.empty((n, p), bool)
    for i, column in enumerate(block.columns):
        masks[:, i] = True if column.known is None else column.known
    packed = np.ascontiguousarray(np.packbits(masks, axis=1))
    codes = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    values, place = np.unique(codes, return_inverse=True)
    used: np.ndarray = np.logical_or.reduce(masks, axis=1)
    if positive is not None:
        used &= positive
    order = np.argsort(place, kind="stable")
    order = order[used[order]]
    ends = np.searchsorted(place[order], np.arange(len(values) + 1))
    out = {}
    for k, value in enumerate(values):
        rows = order[ends[k] : ends[k + 1]]
        if not len(rows):
            continue
        cell = block.cell(rows)
        gone = ~masks[rows[0]]
        sums, products = cell.sums.copy(), cell.products.copy()
        sums[gone] = 0
        products[gone], products[:, gone] = 0, 0
        out[value.tobytes()] = Cell(cell.n, cell.weight, sums, products)
    return out


def require_room(sums: Sums, recipe: Recipe) -> None:
    """Refuse to keep more counts, labels or patterns than fit into memory.

    Raises
    ------
    ValueError
        With the remedy.
    """
    for name, found in zip(recipe.items, sums.counts, strict=False):
        require_countable(name, len(found))
    for key, cells in zip(recipe.keys, sums.keyed, strict=True):
        if len(cells) > MOST_LABELS:
            raise ValueError(
                f"more than {MOST_LABELS:,} labels of {' x '.join(map(repr, key))}: too many to keep sums for each; "
                "name columns of broader segments or units, and no id"
            )
    if len(sums.patterns) > MOST_PATTERNS:
        raise ValueError(
            f"more than {MOST_PATTERNS:,} patterns of missing answers: too many to complete answers in a pass; use "
            "missing='listwise', or fewer items"
        )


def origin_of(column: np.ndarray) -> float:
    """Where to take the sums of a column about: the fixed origin for whole answers, the mean for other numbers.

    Large whole numbers (years, amounts) get the whole number next to their mean: about a point far away the squares
    would be so large that nothing would be left of the variance.

    Examples
    --------
    >>> origin_of(np.array([1, 10])), origin_of(np.array([2019, 2024])), origin_of(np.array([0.5, 1.0]))
    (5.0, 2022.0, 0.75)
    """
    if not len(column):
        return ANSWER_ORIGIN
    mean = float(column.mean(dtype=float))
    if column.dtype.kind not in "iu" and not (column == np.rint(column)).all():
        return mean
    reach = max(abs(float(column.min())), abs(float(column.max())))
    return ANSWER_ORIGIN if reach <= LARGEST_ANSWER else float(np.rint(mean))
