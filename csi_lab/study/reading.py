"""Data files as columns of distinct values and codes: read strictly, nothing guessed, everything odd stated.

Answers repeat, so a column is kept as its few distinct values and one code per row. Every later check and treatment
looks at the distinct values only, and finds the rows through the codes.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from csi_lab.errors import DataError
from csi_lab.study.specification import DataFile

_CHUNK = 20_000
_DELIMITERS = {";": "semicolon", "\t": "tab", "|": "bar", "，": "full-width comma"}


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


def read_table(path: Path, data: DataFile, wanted: Collection[str], shown: str) -> Table:
    """Read the ``wanted`` columns of a data file; those that it lacks are simply not in the result.

    Raises
    ------
    DataError
        If the file is missing, empty, or not what its ending says. Problems of single rows or columns are returned in
        ``problems``, so that the caller can report them beside its own.
    """
    if not path.is_file():
        beside = sorted(p.name for p in path.parent.glob("*") if p.is_file()) if path.parent.is_dir() else []
        there = f"its folder holds {', '.join(beside[:10])}" if beside else f"there is no folder {path.parent.name!r}"
        raise DataError(f"{shown}: no such file; {there}; correct `data: file` (relative to the study file)")
    if path.stat().st_size == 0:
        raise DataError(f"{shown}: the file is empty; save the answers again, with column names in the first row")
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        return _read_text(path, data, wanted, shown)
    if suffix == ".xlsx":
        return _read_workbook(path, data.sheet, wanted, shown)
    if suffix == ".parquet":
        return _read_parquet(path, wanted, shown)
    return _read_spss(path, wanted, shown)


def _read_text(path: Path, data: DataFile, wanted: Collection[str], shown: str) -> Table:
    text, encoding, note = _decoded(path.read_bytes(), data.encoding, shown)
    delimiter = data.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    records = _records(text, delimiter, shown)
    header = next(((number, fields) for number, fields in records if fields), None)
    if header is None:
        raise DataError(f"{shown}: the file holds blank lines only; the first row must hold the column names")
    if len(header[1]) == 1 and data.delimiter is None:
        expected = "tabs" if delimiter == "\t" else "commas"
        for other, word in _DELIMITERS.items():
            if other in header[1][0]:
                remedy = f'write `delimiter: "{other}"` under `data`'.replace("\t", "\\t")
                raise DataError(f"{shown}: the file is separated by {word}s, not {expected}; {remedy}")
    remedy = "put texts that hold the delimiter in quotes, and fill up short rows"
    separator = {"\t": "tab"}.get(delimiter, repr(delimiter))
    return _gathered(header[1], records, wanted, [f"encoding {encoding}, delimiter {separator}", *note], remedy)


def _decoded(content: bytes, encoding: str | None, shown: str) -> tuple[str, str, list[str]]:
    """The text, the encoding found, and a remark when that was not plain UTF-8."""
    if encoding is not None:
        try:
            return content.decode(encoding).removeprefix("\ufeff"), encoding, []
        except UnicodeError as error:
            raise DataError(
                f"{shown}: not in the encoding {encoding!r} that the study file states{_byte(error, content)}; "
                "correct or remove `data: encoding`"
            ) from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{shown}: the file is UTF-16; write `encoding: utf-16` under `data`, or save it as UTF-8")
    if b"\0" in content:
        position = content.index(b"\0") + 1
        raise DataError(f"{shown}: byte {position} is zero, so this is no text file; save the answers as CSV in UTF-8")
    if content.startswith(b"\xef\xbb\xbf"):
        content, found = content[3:], "UTF-8 with byte-order mark"
    else:
        found = "UTF-8"
    try:
        return content.decode("utf-8"), found, []
    except UnicodeDecodeError as not_utf8:
        where = _byte(not_utf8, content)
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError as not_gb:
            raise DataError(
                f"{shown}: neither UTF-8{where} nor GB18030{_byte(not_gb, content)}; "
                "save it as UTF-8, or name its encoding under `data: encoding` (such as big5 or cp1252)"
            ) from not_gb
        remark = (
            f"The file is not UTF-8{where} and was read as GB18030; "
            "if texts look wrong, name the encoding under `data: encoding`."
        )
        return text, "GB18030", [remark]


def _byte(error: UnicodeError, content: bytes) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return ""
    line = content.count(b"\n", 0, error.start) + 1
    return f" (byte {error.start + 1}, line {line}: {content[error.start]:#04x})"


def _records(text: str, delimiter: str, shown: str) -> Iterator[tuple[int, list[str]]]:
    """Row number as a spreadsheet shows it (blank lines count) and the fields; a blank line has none."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{shown}: row {number + 1}, beginning on line {start}: a quotation mark is not closed or stands "
                f'inside a field; write a quotation mark within a text twice ("") ({error})'
            ) from error
        number += 1
        yield number, fields


def _gathered(
    header: Sequence[Any],
    records: Iterable[tuple[int, Sequence[Any]]],
    wanted: Collection[str],
    notes: list[str],
    remedy: str,
) -> Table:
    """The wanted columns out of records that must all be as long as the header."""
    names, places, problems, remarks = _header(header, wanted)
    # A dictionary that numbers what it has not met before: the code of a value is its place in the order of arrival.
    coders: list[defaultdict[Any, int]] = []
    for _ in places:
        coder: defaultdict[Any, int] = defaultdict()
        coder.default_factory = coder.__len__
        coders.append(coder)
    parts: list[list[np.ndarray]] = [[] for _ in places]
    rows: list[np.ndarray] = []
    odd: dict[int, int] = {}
    blank = 0
    for numbers, chunk, short, skipped in _chunks(records, len(header)):
        odd.update(short)
        blank += skipped
        rows.append(np.array(numbers, dtype=np.int64))
        for place, coder, part in zip(places.values(), coders, parts, strict=True):
            part.append(np.fromiter(map(coder.__getitem__, map(itemgetter(place), chunk)), np.int32, len(chunk)))
    if odd:
        shown = ", ".join(f"row {row} has {count}" for row, count in list(odd.items())[:8])
        more = f" and {len(odd) - 8} more rows" if len(odd) > 8 else ""
        problems.append(
            f"rows whose number of fields is not that of the header ({len(header)}): {shown}{more}; {remedy}"
        )
    if blank:
        remarks.append(f"Blank lines left out: {blank}.")
    columns = {
        name: Column(np.concatenate(part) if part else np.empty(0, np.int32), tuple(coder))
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


def _header(header: Sequence[Any], wanted: Collection[str]) -> tuple[list[str], dict[str, int], list[str], list[str]]:
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


def _read_workbook(path: Path, sheet: str | None, wanted: Collection[str], shown: str) -> Table:
    import zipfile

    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError as error:
        raise DataError(f"{shown}: reading .xlsx needs openpyxl; run `pip install csi-lab[excel]`") from error
    try:
        # Read formulas as formulas: their stored results may be absent, which would pass as missing answers.
        book = openpyxl.load_workbook(path, read_only=True, data_only=False)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        raise DataError(f"{shown}: not a workbook, or protected by a password; save it again as .xlsx") from error
    try:
        names = [page.title for page in book.worksheets]
        if not names or (sheet is not None and sheet not in names):
            raise DataError(f"{shown}: no sheet {sheet!r}; the workbook has {', '.join(names) or 'no sheet of cells'}")
        chosen = sheet if sheet is not None else names[0]
        page = next(page for page in book.worksheets if page.title == chosen)
        page.reset_dimensions()  # the stored size of a sheet is often wrong
        note = f"sheet {chosen!r}" + (f" (the first of {len(names)})" if sheet is None and len(names) > 1 else "")
        formulas: list[str] = []
        records = _cells(page.iter_rows(), formulas)
        first = next(((number, cells) for number, cells in records if cells), None)
        if first is None:
            raise DataError(f"{shown}: sheet {chosen!r} is empty; name the sheet of the answers under `data: sheet`")
        header = first[1]
        table = _gathered(
            header, _levelled(records, len(header)), wanted, [note], "empty the cells beyond the last column name"
        )
    finally:
        book.close()
    if formulas:
        more = f" and {len(formulas) - 8} more" if len(formulas) > 8 else ""
        problem = f"cells hold formulas: {', '.join(formulas[:8])}{more}; copy them and paste them as values"
        return Table(table.names, table.columns, table.rows, table.notes, (*table.problems, problem))
    return table


def _cells(rows: Iterable[Sequence[Any]], formulas: list[str]) -> Iterator[tuple[int, list[Any]]]:
    for number, row in enumerate(rows, 1):
        formulas += [cell.coordinate for cell in row if cell.data_type == "f"]
        values = [cell.value for cell in row]
        while values and (values[-1] is None or values[-1] == ""):
            values.pop()
        yield number, values


def _levelled(records: Iterable[tuple[int, list[Any]]], width: int) -> Iterator[tuple[int, list[Any]]]:
    # A sheet does not store the empty cells at the end of a row.
    for number, values in records:
        yield number, values + [None] * (width - len(values)) if values else values


def _read_parquet(path: Path, wanted: Collection[str], shown: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(f"{shown}: reading .parquet needs pyarrow; run `pip install csi-lab[scale]`") from error
    try:
        with pq.ParquetFile(path) as file:
            names, places, problems, remarks = _header(file.schema_arrow.names, wanted)
            columns = {}
            given = file.schema_arrow.names
            frame = file.read(columns=[given[place] for place in places.values()])
            count = file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{shown}: not a parquet file, or damaged; write it again") from error
    for name, place in places.items():
        try:
            encoded = pa.chunked_array(frame[given[place]]).combine_chunks().dictionary_encode()
        except pa.ArrowException:
            problems.append(f"column {name!r} holds lists or structures; store one number or text in each cell")
            continue
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False).astype(np.int32)
        columns[name] = Column(codes, (*encoded.dictionary.to_pylist(), None))
    rows = np.arange(1, count + 1)
    return Table(tuple(names), columns, rows, ("parquet, rows counted from 1", *remarks), tuple(problems))


def _read_spss(path: Path, wanted: Collection[str], shown: str) -> Table:
    try:
        import pyreadstat
    except ImportError as error:
        raise DataError(f"{shown}: reading .sav needs pyreadstat; run `pip install csi-lab[spss]`") from error
    try:
        frame, meta = pyreadstat.read_sav(str(path), user_missing=True)
    except (pyreadstat.ReadstatError, UnicodeError, ValueError, OSError) as error:
        raise DataError(f"{shown}: not an SPSS file, or damaged; save it again as .sav") from error
    names, places, problems, remarks = _header(list(frame.columns), wanted)
    columns = {}
    for name, place in places.items():
        codes, values = _factorized(frame.iloc[:, place])
        ranges = meta.missing_ranges.get(name, [])
        kept = tuple(USER_MISSING if _in_ranges(value, ranges) else value for value in values)
        columns[name] = Column(codes, kept, meta.variable_value_labels.get(name, {}))
    rows = np.arange(1, len(frame) + 1)
    return Table(tuple(names), columns, rows, ("SPSS, cases counted from 1", *remarks), tuple(problems))


def _factorized(series: Any) -> tuple[np.ndarray, list[Any]]:
    codes, values = series.factorize()
    return np.where(codes < 0, len(values), codes).astype(np.int32), [*values.tolist(), None]


def _in_ranges(value: Any, ranges: Sequence[Any]) -> bool:
    """Whether SPSS calls ``value`` missing; texts are compared as texts, numbers as numbers."""
    if value is None:
        return False
    if isinstance(value, str):
        return any(isinstance(r["lo"], str) and r["lo"] == value for r in ranges)
    return any(not isinstance(r["lo"], str) and r["lo"] <= value <= r["hi"] for r in ranges)
