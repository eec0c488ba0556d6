"""A data file as columns of distinct values and codes: read strictly, nothing guessed, everything odd stated.

Answers repeat, so a column is kept as its few distinct values and one code per row. Every later check and treatment
looks at the distinct values only, and finds the rows through the codes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np

_CHUNK = 20_000


class UserMissing:
    """A value that the file itself declares to be no answer."""


USER_MISSING = UserMissing()


@dataclass(frozen=True)
class Column:
    """One column: ``values[codes[i]]`` stands in row i; ``None``, blank text and ``USER_MISSING`` are no answer."""

    codes: np.ndarray
    values: tuple[Any, ...]
    labels: Mapping[Any, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The wanted columns of a file, the names of all, and the number of each row as the file's own program shows it."""

    names: tuple[str, ...]
    columns: dict[str, Column]
    rows: np.ndarray
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Coder(dict[Any, int]):
    """Numbers what it has not met before: the code of a value is its place in the order of arrival."""

    def __missing__(self, value: Any) -> int:
        self[value] = code = len(self)
        return code


def gathered(
    header: Sequence[Any],
    records: Iterable[tuple[int, Sequence[Any]]],
    wanted: Collection[str],
    notes: list[str],
    remedy: str,
) -> Table:
    """The wanted columns out of records that must all be as long as the header."""
    names, places, problems, remarks = read_header(header, wanted)
    coders = [Coder() for _ in places]
    parts: list[list[np.ndarray]] = [[] for _ in places]
    rows: list[np.ndarray] = []
    odd: dict[int, int] = {}
    blank = 0
    for numbers, chunk, short, skipped in _chunks(records, len(header)):
        odd.update(short)
        blank += skipped
        rows.append(np.array(numbers, dtype=np.int64))
        for place, coder, part in zip(places.values(), coders, parts, strict=True):
            cells = list(map(itemgetter(place), chunk))
            # The type is part of the key, since to Python TRUE is 1.
            typed = zip(map(type, cells), cells, strict=True)
            part.append(np.fromiter(map(coder.__getitem__, typed), np.int32, len(cells)))
    if odd:
        shown = ", ".join(f"row {row} has {count}" for row, count in list(odd.items())[:8])
        more = f" and {len(odd) - 8} more rows" if len(odd) > 8 else ""
        problems.append(
            f"rows whose number of fields is not that of the header ({len(header)}): {shown}{more}; {remedy}"
        )
    if blank:
        remarks.append(f"Blank lines left out: {blank}.")
    columns = {
        name: Column(np.concatenate(part) if part else np.empty(0, np.int32), tuple(value for _, value in coder))
        for name, coder, part in zip(places, coders, parts, strict=True)
    }
    numbers_of_rows = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return Table(tuple(names), columns, numbers_of_rows, tuple(notes + remarks), tuple(problems))


def _chunks(
    records: Iterable[tuple[int, Sequence[Any]]], width: int
) -> Iterator[tuple[list[int], list[Sequence[Any]], dict[int, int], int]]:
    numbers: list[int] = []
    chunk: list[Sequence[Any]] = []
    odd: dict[int, int] = {}
    blank = 0
    for number, record in records:
        if len(record) == width:
            numbers.append(number)
            chunk.append(record)
        elif record:
            odd[number] = len(record)
        else:
            blank += 1
        if len(chunk) == _CHUNK:
            yield numbers, chunk, odd, blank
            numbers, chunk, odd, blank = [], [], {}, 0
    yield numbers, chunk, odd, blank


def read_header(
    header: Sequence[Any], wanted: Collection[str]
) -> tuple[list[str], dict[str, int], list[str], list[str]]:
    """Names, the place of each wanted column, problems and remarks."""
    names = ["" if name is None else str(name).strip() for name in header]
    problems, remarks = [], []
    twice = {name: [i + 1 for i, other in enumerate(names) if other == name] for name in names if name}
    twice = {name: places for name, places in twice.items() if len(places) > 1}
    if twice:
        said = ", ".join(f"{name!r} (columns {', '.join(map(str, places))})" for name, places in twice.items())
        problems.append(f"column names given more than once: {said}; rename or delete the copies")
    padded = [name for name, given in zip(names, header, strict=True) if name and name != given]
    if padded:
        remarks.append(f"Blanks around column names were removed: {', '.join(padded)}.")
    unnamed = [str(i) for i, name in enumerate(names, 1) if not name]
    if unnamed:
        remarks.append(f"Columns without a name were left aside: number {', '.join(unnamed)}.")
    places = {name: i for i, name in reversed(list(enumerate(names))) if name in wanted}
    return names, places, problems, remarks
