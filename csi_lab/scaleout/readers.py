"""Files as batches of rows: parquet by row groups, text and Arrow files from their beginning to their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csi_lab.errors import DataError

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
        Of the letters.
    decimal
        Sign of decimals.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."


def form_of(file: Path, form: Form) -> tuple[dict[str, str], int]:
    """The columns of a file with the kind of their values, and the number of its parts.

    Raises
    ------
    DataError
        If it cannot be read; it is named.
    """
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet as pq

    kind = FORMATS[file.suffix.lower()]
    try:
        if kind == "parquet":
            meta = pq.read_metadata(file)
            return {field.name: _kind(field.type) for field in meta.schema.to_arrow_schema()}, meta.num_row_groups
        if kind == "ipc":
            with pa.OSFile(str(file)) as stream, pa.ipc.open_file(stream) as reader:
                return {field.name: _kind(field.type) for field in reader.schema}, 1
        if not file.stat().st_size:
            raise OSError("the file is empty")
        with _text(file, form, None, ()) as reader:
            # Whether a text column holds numbers shows when it is read as such.
            return dict.fromkeys(reader.schema.names, "unknown"), 1
    except (pa.ArrowException, OSError, UnicodeError, LookupError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"{file.name}: {said}") from error


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
                yield from reader
        except UnicodeError as error:
            raise OSError(f"not in the encoding {form.encoding}: {error}") from error


def _text(file: Path, form: Form, columns: list[str] | None, numbers: Sequence[str]) -> Any:
    import pyarrow as pa
    import pyarrow.csv as text

    kinds = {c: pa.float64() if c in numbers else pa.string() for c in columns or ()}
    return text.open_csv(
        file,
        read_options=text.ReadOptions(use_threads=False, block_size=TEXT_BLOCK, encoding=form.encoding),
        parse_options=text.ParseOptions(delimiter=form.delimiter or ("\t" if file.suffix.lower() == ".tsv" else ",")),
        convert_options=text.ConvertOptions(
            column_types=kinds, include_columns=columns, strings_can_be_null=True, decimal_point=form.decimal
        ),
    )


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
