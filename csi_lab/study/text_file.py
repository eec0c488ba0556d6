"""Text files (.csv, .tsv) as tables."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from csi_lab.errors import DataError
from csi_lab.study.specification import DataFile
from csi_lab.study.table import Coder, Column, Table, gathered, read_header

_DELIMITERS = {";": "semicolon", "\t": "tab", "|": "bar", "，": "full-width comma"}
_BLOCK = 1 << 22
_START = 200  # bytes that tell an encoding: the column names
_WORD = 8  # bytes of a cell that fit one whole number
_FIELD_LIMIT = threading.Lock()


def read_text(path: Path, data: DataFile, wanted: Collection[str], shown: str) -> Table:
    """Read delimited text.

    Raises
    ------
    DataError
        If the encoding, the delimiter or the quotation marks are not what the study file or the rules of CSV say.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror}); allow reading it") from error
    text, encoding, remarks = _decoded(content, data.encoding, shown)
    content = text.encode()
    del text  # of a large file one copy is enough
    delimiter = data.delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
    separator = {"\t": "tab"}.get(delimiter, repr(delimiter))
    comma = ", decimal comma" if data.decimal == "," else ""
    notes = [f"encoding {encoding}, delimiter {separator}{comma}", *remarks]
    with _long_fields(len(content)):
        header = next(((number, fields) for number, fields in _records(content, delimiter, shown) if fields), None)
        if header is None:
            raise DataError(f"{shown}: the file holds blank lines only; the first row must hold the column names")
        if len(header[1]) == 1 and data.delimiter is None:
            expected = "tabs" if delimiter == "\t" else "commas"
            for other, word in _DELIMITERS.items():
                if other in header[1][0]:
                    remedy = f'write `delimiter: "{other}"` under `data`'.replace("\t", "\\t")
                    raise DataError(f"{shown}: the file is separated by {word}s, not {expected}; {remedy}")
        plain = _plain(content, delimiter, header[1], wanted, notes)
        if plain is not None:
            return plain
        records = (record for record in _records(content, delimiter, shown) if record[0] > header[0])
        remedy = "put texts that hold the delimiter in quotes, and fill up short rows"
        return gathered(header[1], records, wanted, notes, remedy)


@contextmanager
def _long_fields(length: int) -> Iterator[None]:
    """Let fields be as long as the text; the limit belongs to the whole process, so one file is read at a time."""
    with _FIELD_LIMIT:
        before = csv.field_size_limit()
        csv.field_size_limit(max(before, length + 1))
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _decoded(content: bytes, encoding: str | None, shown: str) -> tuple[str, str, list[str]]:
    """The text, the encoding found, and a remark when that was not plain UTF-8."""
    if encoding is not None:
        try:
            text = content.decode(encoding).removeprefix("\ufeff")
            text.encode()  # halves of characters, which some encodings let pass, are no text
            return text, encoding, []
        except UnicodeError as error:
            raise DataError(
                f"{shown}: not in the encoding {encoding!r} that the study file states{_byte(error, content)}; "
                "correct or remove `data: encoding`"
            ) from error
    if found := _wide(content):
        raise DataError(
            f"{shown}: the file is {found.upper()}; write `encoding: {found}` under `data`, or save it as UTF-8"
        )
    if b"\0" in content:
        position = content.index(b"\0") + 1
        raise DataError(f"{shown}: byte {position} is zero, so this is no text file; save the answers as CSV in UTF-8")
    found = "UTF-8 with byte-order mark" if content.startswith(b"\xef\xbb\xbf") else "UTF-8"
    try:
        return content.decode("utf-8").removeprefix("\ufeff"), found, []
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


def _wide(content: bytes) -> str | None:
    """The encoding of several bytes for each character, told by its mark or by the zeros beside plain letters."""
    marks = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    for mark, encoding in marks.items():
        if content.startswith(mark):
            return encoding
    start = content[:_START]
    for encoding, letter in (("utf-16-le", 0), ("utf-16-be", 1)):
        letters, zeros = start[letter::2], start[1 - letter :: 2]
        if zeros and 2 * zeros.count(0) > len(zeros) and not letters.count(0):
            return encoding
    return None


def _byte(error: UnicodeError, content: bytes) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return ""
    line = content.count(b"\n", 0, error.start) + 1
    return f" (byte {error.start + 1}, line {line}: {content[error.start]:#04x})"


def _records(content: bytes, delimiter: str, shown: str) -> Iterator[tuple[int, list[str]]]:
    """Row number as a spreadsheet shows it (blank lines count) and the fields; a blank line has none."""
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 0
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{shown}: row {number + 1}, beginning on line {start}: {_meaning(str(error), delimiter)}"
            ) from error
        number += 1
        yield number, fields


def _meaning(error: str, delimiter: str) -> str:
    """What an error of the CSV reader means to the person who made the file."""
    twice = 'write a quotation mark within a text twice ("")'
    if "unexpected end" in error:
        return f"a quotation mark is not closed; close it, or {twice}"
    if "expected after" in error:
        after = {"\t": "a tab"}.get(delimiter, repr(delimiter))
        return f"something other than {after} follows a closing quotation mark; {twice}"
    return f"cannot be read as delimited text ({error}); save the file again as CSV"


def _plain(
    content: bytes, delimiter: str, header: list[str], wanted: Collection[str], notes: list[str]
) -> Table | None:
    """The table of a text without quotation marks and blank lines whose rows are all as long as the header.

    Such a text has no rules but its delimiters, so that its cells are found all at once. ``None`` for any other text.
    """
    if b'"' in content or b"\0" in content or len(delimiter.encode()) != 1:
        return None
    if b"\r" in content:
        if content.count(b"\r") != content.count(b"\r\n"):
            return None
        content = content.replace(b"\r\n", b"\n")
    if b"\n\n" in content or content.startswith(b"\n"):
        return None
    content += b"\n" * (not content.endswith(b"\n"))
    names, places, problems, remarks = read_header(header, wanted)
    coders = [Coder() for _ in places]
    parts: list[list[np.ndarray]] = [[] for _ in places]
    count, at = 0, content.index(b"\n") + 1
    while at < len(content):
        end = content.rfind(b"\n", at, at + _BLOCK) + 1 or content.index(b"\n", at) + 1
        block, at = content[at:end], end
        bytes_ = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero((bytes_ == ord(delimiter)) | (bytes_ == ord("\n")))
        rows = block.count(b"\n")
        if len(ends) != rows * len(header) or (bytes_[ends[len(header) - 1 :: len(header)]] != ord("\n")).any():
            return None
        starts = np.concatenate([[0], ends[:-1] + 1])
        for place, coder, part in zip(places.values(), coders, parts, strict=True):
            column = slice(place, None, len(header))
            part.append(_codes(block, bytes_, starts[column], ends[column], coder))
        count += rows
    columns = {
        name: Column(np.concatenate(part) if part else np.empty(0, np.int32), tuple(cell.decode() for cell in coder))
        for name, coder, part in zip(places, coders, parts, strict=True)
    }
    return Table(tuple(names), columns, np.arange(2, count + 2), tuple(notes + remarks), tuple(problems))


def _codes(block: bytes, bytes_: np.ndarray, starts: np.ndarray, ends: np.ndarray, coder: Coder) -> np.ndarray:
    """The code of each cell; cells of a few bytes are compared as one whole number each."""
    import pandas as pd

    lengths = ends - starts
    if lengths.max() > _WORD:
        cells = [block[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        return np.fromiter(map(coder.__getitem__, cells), np.int32, len(cells))
    words = np.zeros(len(starts), np.uint64)
    for i in range(int(lengths.max())):
        # Beyond the end of a cell nothing is added, so that zero bytes pad it: they are not in the text.
        inside = np.where(i < lengths, bytes_[np.minimum(starts + i, ends)], 0)
        words |= inside.astype(np.uint64) << np.uint64(8 * i)
    codes, distinct = pd.factorize(words)
    known = [coder[word.to_bytes(_WORD, "little").rstrip(b"\0")] for word in distinct.tolist()]
    return np.array(known, np.int32)[codes]
