"""Arrow columns as numbers and labels: what an answer means, what is missing, what cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

# The label of rows without one, in columns where that is allowed.
NO_LABEL = "(no group)"
# Distinct answers to one item beyond which they are not counted one by one.
MOST_VALUES = 10_000


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
        Whether x becomes low + high - x; needs bounds.
    outside
        ``"error"``: answers outside the bounds are counted as offences; ``"missing"``: they become missing, counted.
    """

    low: float = -np.inf
    high: float = np.inf
    codes: tuple[float, ...] = ()
    reversed: bool = False
    outside: str = "error"


@dataclass(frozen=True, eq=False)
class Answers:
    """One column of a batch.

    Attributes
    ----------
    values
        ``(n,)`` numbers; where there is no answer, a harmless one.
    known
        ``(n,)`` which are answers; ``None``: all.
    low, high
        Smallest and largest of ``values``.
    coded, outside
        How many were missing codes, and how many outside the bounds.
    """

    values: np.ndarray
    known: np.ndarray | None
    low: float
    high: float
    coded: int = 0
    outside: int = 0

    @property
    def missing(self) -> int:
        """Rows without an answer."""
        return 0 if self.known is None else len(self.known) - int(self.known.sum())


def answers_of(batch: pa.RecordBatch, name: str, recode: Recode) -> Answers:
    """A column of answers.

    Raises
    ------
    ValueError
        If it does not hold numbers, or infinite ones.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_null(kind) or pa.types.is_float16(kind):
        column = pc.cast(column, pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"the item {name!r} holds {kind}, not numbers; map labels to numbers")
    known = None
    if column.null_count:
        known = column.is_valid().to_numpy(zero_copy_only=False)
        column = column.fill_null(0)
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        there = ~np.isnan(values)
        if not there.all():
            known = there if known is None else known & there
            values = np.where(there, values, values.dtype.type(0))
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"the item {name!r} holds infinite values; correct them or mark them as missing")
    coded = outside = 0
    for code in (c for c in recode.codes if low <= c <= high):
        hit = values == code
        if known is not None:
            hit &= known
        if k := int(hit.sum()):
            coded += k
            known = ~hit if known is None else known & ~hit
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
        # What stands in the place of a missing answer must not spoil the arithmetic: an answer somebody gave.
        own = values[known]
        values = np.where(known, values, own[0] if len(own) else values.dtype.type(0))
        low, high = (float(own.min()), float(own.max())) if len(own) else (0.0, 0.0)
    if recode.reversed:
        total = recode.low + recode.high
        fits = values.dtype == np.int8 and total == np.rint(total) and max(abs(total - low), abs(total - high)) < 128
        values = (int(total) - values.astype(np.int16)).astype(np.int8) if fits else total - values.astype(float)
        low, high = total - high, total - low
    return Answers(values, known, low, high, coded, outside)


def weights_of(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """A column of weights ``(n,)``.

    Raises
    ------
    ValueError
        If it does not hold numbers, or missing, infinite or negative ones.
    """
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


def labels_of(
    batch: pa.RecordBatch, names: Sequence[str], required: Sequence[str]
) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    """The number of each row's combination of labels ``(n,)``, and the combinations that occur.

    Raises
    ------
    ValueError
        If a label is empty in a column where every row needs one.
    """
    code = np.zeros(batch.num_rows, dtype=np.int64)
    labels: list[tuple[str, ...]] = [()]
    for name in names:
        own, found = _coded(batch, name, name in required)
        # Only pairs that occur get a number: strata times units would be far too many.
        pairs, code = np.unique(code * len(found) + own, return_inverse=True)
        labels = [(*labels[pair // len(found)], found[pair % len(found)]) for pair in pairs]
    return code, labels


def _coded(batch: pa.RecordBatch, name: str, required: bool) -> tuple[np.ndarray, list[str]]:
    """The number of each row's label, and the labels as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch.column(name)
    if not pa.types.is_dictionary(column.type):
        if pa.types.is_floating(column.type):
            # 3 and 3.0 are one label, and "not a number" is none.
            values = column.to_numpy(zero_copy_only=False)
            column = pa.array(values, from_pandas=True)
            if (np.nan_to_num(values) % 1 == 0).all():
                column = pc.cast(column, pa.int64())
        column = column.dictionary_encode()
    if pa.types.is_null(column.dictionary.type):
        column = pa.nulls(batch.num_rows, pa.string()).dictionary_encode()
    labels = [str(x) for x in column.dictionary.to_pylist()]
    place = column.indices
    if column.null_count:
        if required:
            raise ValueError(
                f"the design column {name!r} is empty in {column.null_count} rows; fill it or leave them out"
            )
        place, labels = place.fill_null(len(labels)), [*labels, NO_LABEL]
    codes = place.to_numpy(zero_copy_only=False).astype(np.int64)
    if len(set(labels)) < len(labels):  # a dictionary may hold a label twice
        distinct = {label: i for i, label in enumerate(dict.fromkeys(labels))}
        codes, labels = np.array([distinct[label] for label in labels])[codes], list(distinct)
    return codes, labels


def counts_of(column: Answers, name: str, w: np.ndarray | None) -> dict[float, float]:
    """Weight of the rows that gave each answer.

    Raises
    ------
    ValueError
        If there are too many different answers.
    """
    inside = column.values if column.known is None else column.values[column.known]
    weight = None if w is None else (w if column.known is None else w[column.known])
    if inside.dtype.itemsize == 1 and inside.dtype.kind in "iu":
        found = np.bincount(inside.view(np.uint8), weight, minlength=256)
        at = (
            np.flatnonzero(np.bincount(inside.view(np.uint8), minlength=256))
            if w is not None
            else np.flatnonzero(found)
        )
        own = at.astype(np.uint8).view(inside.dtype)
        return {float(v): float(c) for v, c in zip(own, found[at], strict=True)}
    value, place = np.unique(inside, return_inverse=True)
    require_countable(name, len(value))
    found = np.bincount(place, weight, minlength=len(value))
    return {float(v): float(c) for v, c in zip(value, found, strict=True)}


def require_countable(name: str, values: int) -> None:
    """Refuse to count answers one by one where nearly all differ.

    Raises
    ------
    ValueError
        With the remedy.

    Examples
    --------
    >>> require_countable("q1", 101)
    """
    if values > MOST_VALUES:
        raise ValueError(
            f"the item {name!r} has more than {MOST_VALUES:,} different answers: too many to count one by one; "
            "round them, or make the pass without counts"
        )
