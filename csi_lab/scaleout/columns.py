"""Arrow columns as numbers and labels: what an answer means, what is missing, what cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import SpecError, listed
from csi_lab.settings import is_number
from csi_lab.study.cells import number

if TYPE_CHECKING:
    import pyarrow as pa

# The label of rows without one, in columns where that is allowed.
NO_LABEL = "(no group)"
# Distinct answers to one item beyond which they are not counted one by one.
MOST_VALUES = 10_000
# Offending texts that a message shows.
FEW = 4


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
    texts
        Texts that mean "no answer".

    Raises
    ------
    SpecError
        If the bounds are none, a reversed item has none, a code is no number, or ``outside`` is another word.

    Examples
    --------
    >>> Recode(1, 10, codes=(99,)).high
    10
    >>> Recode(10, 1, outside="drop")
    Traceback (most recent call last):
    csi_lab.errors.SpecError: this Recode cannot be used
      1. low=10, high=1: two numbers are needed, the lower one first
      2. outside='drop' is unknown; use 'error' or 'missing'
    """

    low: float = -np.inf
    high: float = np.inf
    codes: tuple[float, ...] = ()
    reversed: bool = False
    outside: str = "error"
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        bounds = is_number(self.low) and is_number(self.high)
        if not bounds or not self.low < self.high:
            problems.append(f"low={self.low!r}, high={self.high!r}: two numbers are needed, the lower one first")
        elif self.reversed and not np.isfinite([self.low, self.high]).all():
            problems.append("a reversed item needs bounds: give its lowest and its highest answer")
        if isinstance(self.codes, str) or not all(is_number(code) and code == code for code in self.codes):
            problems.append(f"codes={self.codes!r}: numbers are needed; texts that mean no answer go into texts=")
        if isinstance(self.texts, str) or not all(isinstance(text, str) for text in self.texts):
            problems.append(f"texts={self.texts!r}: a tuple of texts is needed")
        if self.outside not in ("error", "missing"):
            problems.append(f"outside={self.outside!r} is unknown; use 'error' or 'missing'")
        if problems:
            raise SpecError(listed(problems, "this Recode cannot be used"), problems)


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


def answers_in(batch: pa.RecordBatch, recodes: Mapping[str, Recode]) -> dict[str, Answers]:
    """The columns of answers of a batch.

    Raises
    ------
    ValueError
        If some do not hold numbers, or infinite ones: all of them are named.
    """
    found, problems = {}, []
    for name, recode in recodes.items():
        try:
            found[name] = answers_of(batch, name, recode)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return found


def answers_of(batch: pa.RecordBatch, name: str, recode: Recode) -> Answers:
    """A column of answers.

    Raises
    ------
    ValueError
        If it does not hold numbers, or infinite ones.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column, coded = batch.column(name), 0
    if _is_text(column):
        column, coded = _numbers_of_texts(column, name, recode)
    elif pa.types.is_dictionary(column.type):
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
    outside = 0
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
        byte = values.dtype in (np.int8, np.uint8) and total == np.rint(total)
        fits = byte and max(abs(total - low), abs(total - high)) < 128
        values = (int(total) - values.astype(np.int16)).astype(np.int8) if fits else total - values.astype(float)
        low, high = total - high, total - low
    return Answers(values, known, low, high, coded, outside)


def _is_text(column: pa.Array) -> bool:
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _numbers_of_texts(column: pa.Array, name: str, recode: Recode) -> tuple[pa.Array, int]:
    """Texts as numbers, and how many were missing codes. Only a column with declared texts may be one of text."""
    import pyarrow as pa

    places, distinct = _encoded(column)
    numbers, coded, bad = np.full(len(distinct) + 1, np.nan), np.zeros(len(distinct) + 1, dtype=bool), []
    for at in np.unique(places[places >= 0]).tolist():
        text = distinct[at].strip()
        value = number(text)
        if text in recode.texts:
            coded[at] = True
        elif value is not None:
            numbers[at] = value
        elif text:
            bad.append(text)
    if bad:
        comma = any(number(text, ",") is not None for text in bad)
        raise ValueError(
            f"the item {name!r} holds text: {_few(bad)}; write numbers, or declare texts that mean no answer as "
            "missing codes" + "; if numbers have a decimal comma, say decimal=','" * comma
        )
    if not recode.texts:
        raise ValueError(f"the item {name!r} holds {column.type}, not numbers; map labels to numbers")
    # Rows without a text have the place -1, which is the last one here.
    return pa.array(numbers[places], from_pandas=True), int(coded[places].sum())


def _encoded(column: pa.Array) -> tuple[np.ndarray, list[Any]]:
    """The place of each row's value among distinct ones, -1 where there is none, and these."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string_view(column.type):
        column = pc.cast(column, pa.string())
    if pa.types.is_dictionary(column.type):
        if column.dictionary.null_count:
            column = column.dictionary_decode().dictionary_encode()
    else:
        column = column.dictionary_encode()
    places = column.indices.fill_null(-1) if column.null_count else column.indices
    return places.to_numpy(zero_copy_only=False).astype(np.int64), column.dictionary.to_pylist()


def _few(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - FEW} more" if len(texts) > FEW else ""
    return ", ".join(map(repr, texts[:FEW])) + more


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
        if pa.types.is_dictionary(column.type) and _is_text(column):
            texts = [
                x for x in pc.unique(column.dictionary_decode()).to_pylist() if x is not None and number(x) is None
            ]
            said = f": {_few(texts)}; give every row a number" if texts else ", or are named by a folder; store numbers"
            raise ValueError(f"the weights {name!r} hold text{said}")
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

    column = batch.column(name)
    if pa.types.is_nested(column.type):
        raise ValueError(f"the column {name!r} holds {column.type}, not labels; store one text or number in each row")
    if pa.types.is_dictionary(column.type) and pa.types.is_floating(column.type.value_type):
        column = column.dictionary_decode()
    single = pa.types.is_float32(column.type)
    if pa.types.is_floating(column.type):
        column = pa.array(column.to_numpy(zero_copy_only=False), from_pandas=True)  # "not a number" is no label
    places, distinct = _encoded(column)
    labels = [_label(np.float32(x) if single else x) for x in distinct]
    if blank := [i for i, label in enumerate(labels) if not label]:
        places = np.where(np.isin(places, blank), -1, places)
    if gaps := int((places < 0).sum()):
        if required:
            raise ValueError(f"the design column {name!r} is empty in {gaps} rows; fill it or leave them out")
        places, labels = np.where(places < 0, len(labels), places), [*labels, NO_LABEL]
    if len(set(labels)) < len(labels):  # a dictionary may hold a label twice
        numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
        places, labels = np.array([numbers[label] for label in labels])[places], list(numbers)
    return places, labels


def _label(value: Any) -> str:
    """A label as text, without blanks around it, as in memory; "" for none.

    Each by itself: what else a batch holds depends on how the rows are cut.
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (float, np.floating)):
        # 3 and 3.0 are one label; beyond these bounds no whole number is stored as one.
        x = float(value)
        return str(int(x)) if x.is_integer() and abs(x) < 2**63 else str(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return "" if value is None else str(value).strip()


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
