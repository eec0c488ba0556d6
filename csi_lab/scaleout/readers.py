"""Files as batches of rows: parquet by row groups, text and Arrow files from their beginning to their end."""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csi_lab.errors import DataError, SpecError, listed
from csi_lab.study.cells import number

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".arrow": "ipc", ".feather": "ipc"}
# Bytes of a text file that are parsed at once.
TEXT_BLOCK = 1 << 23


@dataclass(frozen=True)
class Form:
    """How a text file is written.

    Attributes
    ----------
    delimiter
        Between the fields; ``None``: a comma, in a ``.tsv`` file a tab.
    encoding
        Of the letters; ``None``: UTF-8, and GB18030 where a file is not UTF-8.
    decimal
        Sign of decimals.

    Raises
    ------
    SpecError
        If the delimiter is not one sign, the decimal sign neither point nor comma, or the encoding unknown.

    Examples
    --------
    >>> Form(";", decimal=",").delimiter
    ';'
    """

    delimiter: str | None = None
    encoding: str | None = None
    decimal: str = "."

    def __post_init__(self) -> None:
        problems = []
        single = isinstance(self.delimiter, str) and len(self.delimiter) == 1 and self.delimiter not in '"\r\n'
        if self.delimiter is not None and not single:
            problems.append(f"delimiter={self.delimiter!r}: one sign is needed, such as ',', ';' or '\\t'")
        if self.decimal not in (".", ","):
            problems.append(f"decimal={self.decimal!r}: a point or a comma is needed")
        try:
            # Lookups such as "hex" exist but do not decode text.
            known = codecs.lookup(self.encoding or "utf-8")._is_text_encoding
        except (LookupError, TypeError, ValueError):
            known = False
        if not known:
            problems.append(f"encoding={self.encoding!r} is unknown; use a name such as 'utf-8', 'gb18030' or 'cp1252'")
        if problems:
            raise SpecError(listed(problems, "this Form cannot be used"), problems)


def form_of(file: Path, form: Form, shown: str) -> tuple[dict[str, str], int]:
    """The columns of a file with the kind of their values, and the number of its parts.

    Raises
    ------
    DataError
        If it cannot be read; it is named as ``shown``.
    """
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet as pq

    kind = FORMATS[file.suffix.lower()]
    try:
        if kind == "parquet":
            meta = pq.read_metadata(file)
            return _kinds(meta.schema.to_arrow_schema()), meta.num_row_groups
        if kind == "ipc":
            with pa.OSFile(str(file)) as stream, pa.ipc.open_file(stream) as reader:
                return _kinds(reader.schema), 1
        if not file.stat().st_size:
            raise OSError("the file is empty")
        with _text(file, form, None, ()) as reader:
            # Whether a text column holds numbers shows when it is read as such.
            require_distinct(reader.schema.names)
            stat = file.stat()
            _require_closed(str(file), form, stat.st_size, stat.st_mtime_ns)
            return dict.fromkeys(reader.schema.names, "unknown"), 1
    except DataError as error:
        raise DataError(f"{shown}: {error}") from None
    except (pa.ArrowException, OSError, UnicodeError, LookupError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{shown}: {said}") from error


def batches_of(
    path: str, form: Form, group: int, columns: list[str], numbers: Sequence[str], size: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a part of a file, ``size`` at a time, read in the calling thread."""
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet as pq

    kind = FORMATS[Path(path).suffix.lower()]
    if kind == "parquet":
        # Many parts are read side by side; each decodes in its own thread, beside the arithmetic of the others.
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(size, [group], columns, use_threads=False)
    elif kind == "ipc":
        # Bounded batches whatever the file has.
        with pa.OSFile(path) as stream, pa.ipc.open_file(stream) as reader:
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number).select(columns)
                for start in range(0, batch.num_rows, size):
                    yield batch.slice(start, size)
    else:
        try:
            with _text(Path(path), form, columns, numbers) as reader:
                for batch in reader:
                    yield _with_numbers(batch, numbers, form.decimal)
        except UnicodeError as error:
            raise OSError(f"not in the encoding {form.encoding or 'utf-8'}: {error}") from error


def _text(file: Path, form: Form, columns: list[str] | None, numbers: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.csv as text

    # Numbers are read as text first: only so can all cells that hold none be named, or be missing codes.
    kinds = dict.fromkeys(columns or (), pa.string())
    encoding = form.encoding or encoding_of(file)
    return text.open_csv(
        file,
        read_options=text.ReadOptions(use_threads=False, block_size=TEXT_BLOCK, encoding=encoding),
        parse_options=text.ParseOptions(
            delimiter=form.delimiter or ("\t" if file.suffix.lower() == ".tsv" else ","), newlines_in_values=True
        ),
        convert_options=text.ConvertOptions(
            column_types=kinds, include_columns=columns, strings_can_be_null=True, null_values=[""]
        ),
    )


def _with_numbers(batch: pa.RecordBatch, numbers: Sequence[str], decimal: str) -> pa.RecordBatch:
    """A batch of texts with numbers in the columns that hold numbers; those that hold other texts too stay texts."""
    import pyarrow as pa

    made, points = {}, dict[str, list[str]]()
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        made[name] = column
        if name in numbers:
            made[name], odd = _numbers(column, decimal)
            points |= {name: odd} if odd else {}
    if points:
        said = ", ".join(f"{name!r} ({texts[0]!r})" for name, texts in points.items())
        raise ValueError(f"numbers with a point where the decimal sign is {decimal!r}: {said}; correct `decimal`")
    return pa.record_batch(made)


def _numbers(column: pa.Array, decimal: str) -> tuple[pa.Array, list[str]]:
    """Texts as numbers if all are, otherwise as texts; and those that would be numbers by another decimal sign."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if decimal == ".":
        try:
            values = pc.cast(column, pa.float64())
            if not pc.any(pc.is_nan(values)).as_py():
                return values, []
        except pa.ArrowInvalid:
            pass  # blanks around a number, or a text: the distinct cells tell
    coded = column.dictionary_encode()
    cells = [cell.strip() for cell in coded.dictionary.to_pylist()]
    found = [number(cell, decimal) for cell in cells]
    if all(value is not None or not cell for value, cell in zip(found, cells, strict=True)):
        return pa.array(found, pa.float64()).take(coded.indices), []
    odd = [cell for cell, value in zip(cells, found, strict=True) if value is None and number(cell) is not None]
    cells_ = [repr(value) if value is not None else cell or None for value, cell in zip(found, cells, strict=True)]
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(cells_, pa.string())), odd


def encoding_of(file: Path) -> str:
    """``"utf-8"``, or ``"gb18030"`` if a text file is not UTF-8; the file is read once to see.

    Raises
    ------
    DataError
        If it is neither.
    """
    stat = file.stat()
    return _encoding(str(file), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _encoding(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as stream:
        if stream.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError("the file is UTF-16; name this encoding, or save it as UTF-8")
    for encoding in ("utf-8", "gb18030"):
        if _is_in(path, encoding):
            return encoding
    raise DataError("neither UTF-8 nor GB18030; save it as UTF-8, or name its encoding (such as big5 or cp1252)")


@lru_cache(maxsize=4096)
def _require_closed(path: str, form: Form, size: int, changed: int) -> None:
    """Refuse a quotation mark that is never closed: all rows after it would be one cell, and might not be missed."""
    encoding = form.encoding or encoding_of(Path(path))
    count = 0
    with open(path, "rb") as stream:
        while block := stream.read(TEXT_BLOCK):
            count += block.count(b'"')
    if count % 2 == 0:
        return
    delimiter = form.delimiter or ("\t" if path.lower().endswith(".tsv") else ",")
    with open(path, encoding=encoding, newline="") as lines:
        reader, last = csv.reader(lines, delimiter=delimiter, strict=True), 0
        try:
            for _ in reader:
                last = reader.line_num
        except csv.Error as error:
            raise DataError(
                f"the row that begins on line {last + 1} cannot be read ({error}); close its quotation mark, or write "
                'a quotation mark within a text twice ("")'
            ) from None


def _is_in(path: str, encoding: str) -> bool:
    decoder, begun = codecs.getincrementaldecoder(encoding)(), False
    with open(path, "rb") as stream:
        while block := stream.read(TEXT_BLOCK):
            if block.isascii() and not begun:
                continue
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return False
            begun = bool(decoder.getstate()[0])  # the block ends within a letter
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def require_distinct(names: Sequence[str]) -> None:
    """Refuse columns that share a name.

    Raises
    ------
    DataError
        With all such names.
    """
    twice = sorted(name for name, k in Counter(names).items() if k > 1 and name)
    if twice:
        raise DataError(f"columns share a name: {twice}; rename them")


def _kinds(schema: pa.Schema) -> dict[str, str]:
    require_distinct(schema.names)
    return {field.name: _kind(field.type) for field in schema}


def _kind(type_: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "numbers"
    if pa.types.is_null(type_):
        return "unknown"
    text = pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)
    return "text" if text else str(type_)
