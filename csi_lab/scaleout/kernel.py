"""From a batch of rows to sums: the one kernel behind every engine. Pure, and exact on whole answers."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.moments import ANSWER_ORIGIN

if TYPE_CHECKING:
    import pyarrow as pa

# Rows per block of single precision: 24 items stay in the second-level cache.
BLOCK_ROWS = 32_768
# Whole numbers up to here are exact in single precision.
EXACT = 2**24
# A block smaller than this in single precision gains nothing over double precision.
SMALLEST_BLOCK = 1_024


@dataclass(frozen=True)
class Recode:
    """What an answer of one item means.

    Attributes
    ----------
    low, high
        Bounds of valid answers; infinite where there are none.
    codes
        Numbers that mean "no answer".
    reversed
        Whether x becomes low + high - x.
    outside
        ``"error"``: answers outside the bounds are counted as offences; ``"missing"``: they become missing, counted.
    """

    low: float = -np.inf
    high: float = np.inf
    codes: tuple[float, ...] = ()
    reversed: bool = False
    outside: str = "error"


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
    random_groups
        Number of random groups into which complete rows are dealt; 0: none.
    counts
        Whether answers are counted value by value.
    patterns
        Whether rows with missing answers are kept, by pattern of what is missing.
    seed
        Of the random groups.
    """

    items: tuple[str, ...]
    origin: tuple[float, ...]
    recodes: tuple[Recode, ...]
    weights: str | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    random_groups: int = 0
    counts: bool = False
    patterns: bool = False
    seed: int = 0

    @property
    def columns(self) -> list[str]:
        """Columns to be read."""
        wanted = [*self.items, *([self.weights] if self.weights else []), *(c for key in self.keys for c in key)]
        return list(dict.fromkeys(wanted))


Label = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Cell:
    """Rows, weight, sums ``(..., p)`` and cross-products ``(..., p, p)`` about the origin."""

    n: Any
    weight: Any
    sums: np.ndarray
    products: np.ndarray

    def __add__(self, other: Cell) -> Cell:
        return Cell(
            self.n + other.n, self.weight + other.weight, self.sums + other.sums, self.products + other.products
        )


@dataclass(frozen=True, eq=False)
class Sums:
    """What a part of a survey contributes. Parts add up with ``+``.

    Attributes
    ----------
    rows
        Rows read.
    whole
        Sums of the complete rows of positive weight.
    keyed
        For each list of key columns: label to sums, labels without a complete row included.
    dealt
        Sums of each random group, with a leading axis; ``None`` without random groups.
    counts
        Item to value to weight of the rows that gave it, any row of positive weight.
    patterns
        For each pattern of missing answers (bytes of a packed mask of what is observed): sums in which missing answers
        count as zero.
    missing
        ``(p,)`` missing answers of each item, codes included.
    outside
        ``(p,)`` answers outside the bounds.
    weightless
        Rows of weight zero.
    """

    rows: int
    whole: Cell
    missing: np.ndarray
    outside: np.ndarray
    weightless: int = 0
    keyed: tuple[Mapping[Label, Cell], ...] = ()
    dealt: Cell | None = None
    counts: tuple[Mapping[float, float], ...] = ()
    patterns: Mapping[bytes, Cell] = field(default_factory=dict)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.rows + other.rows,
            self.whole + other.whole,
            self.missing + other.missing,
            self.outside + other.outside,
            self.weightless + other.weightless,
            tuple(_joined(a, b) for a, b in zip(self.keyed, other.keyed, strict=True)),
            None if self.dealt is None or other.dealt is None else self.dealt + other.dealt,
            tuple(_joined(a, b) for a, b in zip(self.counts, other.counts, strict=True)),
            _joined(self.patterns, other.patterns),
        )


def _joined(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> dict[Any, Any]:
    out = dict(a)
    for key, value in b.items():
        out[key] = out[key] + value if key in out else value
    return out


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
    read = [_answers(batch, name, recode) for name, recode in zip(recipe.items, recipe.recodes, strict=True)]
    columns = [values for values, _, _ in read]
    known = [mask for _, mask, _ in read if mask is not None]
    outside = np.array([k for _, _, k in read])
    n = batch.num_rows
    missing = np.array([0 if mask is None else n - int(mask.sum()) for _, mask, _ in read])
    complete = np.logical_and.reduce(known) if known else None
    w, weightless = None, 0
    if recipe.weights is not None:
        w = _weights(batch, recipe.weights)
        positive = w > 0
        weightless = n - int(positive.sum())
        if weightless:
            complete = positive if complete is None else complete & positive
    block = _Block(columns, recipe, w)
    counts = _counts(columns, [mask for _, mask, _ in read], w, recipe) if recipe.counts else ()
    patterns = _patterns(block, [mask for _, mask, _ in read], n) if recipe.patterns else {}
    rows = None if complete is None or complete.all() else np.flatnonzero(complete)
    dealt = None
    if recipe.random_groups:
        dealt = block.dealt(rows, np.random.default_rng([recipe.seed, *place]))
        whole = Cell(int(dealt.n.sum()), dealt.weight.sum(), dealt.sums.sum(axis=0), dealt.products.sum(axis=0))
    else:
        whole = block.cell(rows)
    keyed = tuple(_keyed(block, batch, key, complete, (recipe.seed, *place)) for key in recipe.keys)
    return Sums(n, whole, missing, outside, weightless, keyed, dealt, counts, patterns)


class _Block:
    """A batch of answers, ready to be summed over any of its rows.

    Rows lie one after the other, so that a row is picked up in one go; whole answers stay in one byte each until the
    block that is being summed.
    """

    def __init__(self, columns: list[np.ndarray], recipe: Recipe, w: np.ndarray | None) -> None:
        self.origin, self.w, self.groups = np.array(recipe.origin), w, recipe.random_groups
        n = len(columns[0])
        kinds = {c.dtype for c in columns}
        small = len(kinds) == 1 and kinds <= {np.dtype(np.int8), np.dtype(np.uint8)}
        fits = 0
        if w is None and small and n and bool((self.origin == np.rint(self.origin)).all()):
            reach = max(abs(int(end)) for c in columns for end in (c.min(), c.max()))
            # Sums of so many products of whole numbers are exact in single precision.
            fits = int(EXACT // max(reach * reach, 1))
        self.single = fits >= SMALLEST_BLOCK
        self.step = min(BLOCK_ROWS, fits) if self.single else BLOCK_ROWS // 4
        self.answers = np.empty((n, len(columns)), columns[0].dtype if self.single else np.float64)
        for i, column in enumerate(columns):
            if self.single:
                self.answers[:, i] = column
            else:
                np.subtract(column, self.origin[i], out=self.answers[:, i])

    def cell(self, rows: np.ndarray | None = None) -> Cell:
        """Sums over some rows, or all."""
        n, p = self.answers.shape
        count = n if rows is None else len(rows)
        weight, sums, products = 0.0, np.zeros(p), np.zeros((p, p))
        for start in range(0, count, self.step):
            part = slice(start, start + self.step) if rows is None else rows[start : start + self.step]
            x = self.answers[part] if isinstance(part, slice) else self.answers.take(part, axis=0)
            if self.single:
                x = x.astype(np.float32)
            if self.w is None:
                weight += len(x)
                sums += np.ones(len(x), x.dtype) @ x
                products += x.T @ x
            else:
                w = self.w[part]
                weight += float(w.sum())
                sums += w @ x
                products += (x * w[:, None]).T @ x
        return self._about_origin(count, np.asarray(weight), sums, products)

    def dealt(self, rows: np.ndarray | None, rng: np.random.Generator) -> Cell:
        """Sums of random groups of equal size, give or take one."""
        n, p = self.answers.shape
        count, g = n if rows is None else len(rows), self.groups
        order = rng.permutation(count)
        # The last rows fill some groups only: which ones is left to chance.
        first = rng.permutation(g)
        size, weight, sums, products = np.zeros(g, np.int64), np.zeros(g), np.zeros((g, p)), np.zeros((g, p, p))
        # Groups of a block are summed side by side; no group's block may outgrow what is exact.
        deep = min(count // g, self.step)
        done = 0
        while done < count:
            each = min(deep, (count - done) // g) or 1
            k = min(g, count - done)
            at = order[done : done + each * k]
            done += each * k
            at = at if rows is None else rows[at]
            x = self.answers.take(at, axis=0).reshape(k, each, p)
            if self.single:
                x = x.astype(np.float32)
            to = first[:k]
            size[to] += each
            if self.w is None:
                weight[to] += each
                sums[to] += (np.ones((1, each), x.dtype) @ x)[:, 0]
                products[to] += x.transpose(0, 2, 1) @ x
            else:
                w = self.w[at].reshape(k, each, 1)
                weight[to] += w.sum(axis=(1, 2))
                sums[to] += (np.swapaxes(w, 1, 2) @ x)[:, 0]
                products[to] += (x * w).transpose(0, 2, 1) @ x
        return self._about_origin(size, weight, sums, products)

    def _about_origin(self, n: Any, weight: np.ndarray, sums: np.ndarray, products: np.ndarray) -> Cell:
        products = (products + np.swapaxes(products, -1, -2)) / 2
        if self.single:
            # Whole numbers below 2^53: this is exact.
            cross = sums[..., :, None] * self.origin
            square = weight[..., None, None] * np.outer(self.origin, self.origin)
            products = products - cross - np.swapaxes(cross, -1, -2) + square
            sums = sums - weight[..., None] * self.origin
        return Cell(n, weight, sums, products)


def _answers(batch: pa.RecordBatch, name: str, recode: Recode) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Values of a column, which of them are answers (``None``: all), and how many lie outside the bounds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch.column(name)
    kind = column.type
    if pa.types.is_decimal(kind):
        column = pc.cast(column, pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"the item {name!r} holds {kind}, not numbers")
    known = None
    if column.null_count:
        known = column.is_valid().to_numpy(zero_copy_only=False)
        column = column.fill_null(0)
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        there = ~np.isnan(values)
        if not there.all():
            known = there if known is None else known & there
            values = np.where(there, values, 0.0)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    codes = [c for c in recode.codes if low <= c <= high]
    for code in codes:
        valid = values != code
        if not valid.all():
            known = valid if known is None else known & valid
    outside = 0
    if low < recode.low or high > recode.high:
        wrong = (values < recode.low) | (values > recode.high)
        if known is not None:
            wrong &= known
        outside = int(wrong.sum())
        if outside:
            known = ~wrong if known is None else known & ~wrong
    if known is not None and known.all():
        known = None
    if known is not None:
        # What stands in the place of a missing answer must not spoil the arithmetic.
        values = np.where(known, values, values.dtype.type(0 if np.isinf(recode.low) else recode.low))
    if recode.reversed:
        total = recode.low + recode.high
        fits = values.dtype.kind == "i" and total == np.rint(total) and abs(total) < 100
        values = (values.dtype.type(total) - values) if fits else total - values.astype(float)
    return values, known, outside


def _weights(batch: pa.RecordBatch, name: str) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch.column(name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        raise ValueError(f"the weights {name!r} hold {column.type}, not numbers")
    w = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    bad = ~np.isfinite(w) | (w < 0)
    if bad.any():
        raise ValueError(f"the weights {name!r} are missing, infinite or negative in {int(bad.sum())} rows")
    return w


def _keyed(
    block: _Block, batch: pa.RecordBatch, key: tuple[str, ...], complete: np.ndarray | None, seed: tuple[int, ...]
) -> dict[Label, Cell]:
    """Sums for every combination of labels, dealt into random groups where there are any."""
    n = batch.num_rows
    code, labels = np.zeros(n, dtype=np.int64), [()]
    for name in key:
        own, names = _coded(batch, name)
        code = code * len(names) + own
        labels = [(*label, new) for label in labels for new in names]
    present = np.flatnonzero(np.bincount(code, minlength=len(labels)))
    order = np.argsort(code, kind="stable") if len(present) > 1 else np.arange(n)
    if complete is not None:
        order = order[complete[order]]
    ends = np.searchsorted(code[order], [present, present + 1])
    found = {}
    for g, start, stop in zip(present, ends[0], ends[1], strict=True):
        label, rows = labels[g], order[start:stop]
        if block.groups:
            # By the label itself: its number depends on which labels a batch happens to hold.
            own = np.random.default_rng([*seed, zlib.crc32("\x1f".join((*key, *label)).encode())])
            found[label] = block.dealt(rows, own)
        else:
            found[label] = block.cell(rows)
    return found


def _coded(batch: pa.RecordBatch, name: str) -> tuple[np.ndarray, list[str]]:
    """The number of each row's label, and the labels as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch.column(name)
    if column.null_count:
        raise ValueError(f"the column {name!r} is empty in {column.null_count} rows; fill it or leave them out")
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    labels = [str(x) for x in pc.cast(column.dictionary, pa.string()).to_pylist()]
    return column.indices.to_numpy(zero_copy_only=False).astype(np.int64), labels


def _counts(
    columns: list[np.ndarray], known: list[np.ndarray | None], w: np.ndarray | None, recipe: Recipe
) -> tuple[dict[float, float], ...]:
    """Weight of the rows that gave each value, for every item."""
    out = []
    for values, mask in zip(columns, known, strict=True):
        inside = values if mask is None else values[mask]
        weight = None if w is None else (w if mask is None else w[mask])
        if inside.dtype.itemsize == 1 and inside.dtype.kind in "iu":
            found = np.bincount(inside.view(np.uint8), weight, minlength=256)
            at = np.flatnonzero(found)
            own = at.astype(np.uint8).view(inside.dtype)
            out.append({float(v): float(c) for v, c in zip(own, found[at], strict=True)})
        else:
            value, place = np.unique(inside, return_inverse=True)
            found = np.bincount(place, weight, minlength=len(value))
            out.append({float(v): float(c) for v, c in zip(value, found, strict=True)})
    return tuple(out)


def _patterns(block: _Block, known: list[np.ndarray | None], n: int) -> dict[bytes, Cell]:
    """Sums of the rows of each pattern of missing answers, those without any answer left out."""
    masks = np.array([np.ones(n, bool) if mask is None else mask for mask in known]).T
    packed = np.ascontiguousarray(np.packbits(masks, axis=1))
    codes = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    values, place = np.unique(codes, return_inverse=True)
    used = masks.any(axis=1) if block.w is None else masks.any(axis=1) & (block.w > 0)
    out = {}
    for k, value in enumerate(values):
        rows = np.flatnonzero((place == k) & used)
        if not len(rows):
            continue
        cell = block.cell(rows)
        gone = ~masks[rows[0]]
        sums, products = cell.sums.copy(), cell.products.copy()
        sums[gone] = 0
        products[gone], products[:, gone] = 0, 0
        out[value.tobytes()] = Cell(cell.n, cell.weight, sums, products)
    return out


def origin_of(column: np.ndarray) -> float:
    """Where to take the sums of a column about: the fixed origin for whole numbers, the mean for others."""
    whole = column.dtype.kind in "iu" or bool((column == np.rint(column)).all())
    return ANSWER_ORIGIN if whole or not len(column) else float(column.mean())
