"""Where rows come from: files, folders and tables, cut into parts that are read one at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from csi_lab.errors import DataError, listed
from csi_lab.scaleout.readers import FORMATS, Form, batches_of, form_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

# Rows decoded at once: 24 columns of small numbers stay in the cache, of floats below 30 MB.
BATCH_ROWS = 131_072
# What a folder name stands for when it says that there is no value.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """Rows that are read in one go by one worker: a row group of a parquet file, or a file of another kind.

    A part of a file is its path and number, so that it travels to a worker in a few bytes and is opened there.

    Attributes
    ----------
    place
        Number of the file and of the row group in it.
    path
        The file; ``""`` for a part of a table or of a pyarrow Dataset, which is then in ``held``.
    form
        How the file is written.
    given
        Columns that the folder's name gives, with their value.
    held
        A pyarrow Table, or the fragment of a pyarrow Dataset and its schema.
    """

    place: tuple[int, int]
    path: str = ""
    form: Form = field(default_factory=Form)
    given: tuple[tuple[str, str | None], ...] = ()
    held: Any = None

    @property
    def name(self) -> str:
        """File and row group, for messages."""
        path = self.path or getattr(self.held[0] if isinstance(self.held, tuple) else None, "path", "")
        group = f", row group {self.place[1]}" if path.endswith(".parquet") else ""
        return f"{Path(path).name}{group}" if path else "the table"

    def batches(self, columns: Sequence[str], numbers: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """The rows, some at a time, with the columns asked for.

        Parameters
        ----------
        columns
            Which columns.
        numbers
            Those that hold numbers; the others are labels, which text files then keep as they are written.

        Raises
        ------
        DataError
            If they cannot be read.
        """
        import pyarrow as pa

        given = dict(self.given)
        own = [c for c in columns if c not in given]
        try:
            for batch in self._own(own, numbers):
                yield _with(batch, given, columns) if given else batch
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.name} cannot be read: {_first_line(error)}") from error

    def _own(self, columns: list[str], numbers: Sequence[str]) -> Iterator[pa.RecordBatch]:
        if self.path:
            yield from batches_of(self.path, self.form, self.place[1], columns, numbers, BATCH_ROWS)
        elif isinstance(self.held, tuple):
            fragment, schema = self.held
            yield from fragment.to_batches(schema=schema, columns=columns, batch_size=BATCH_ROWS, use_threads=False)
        else:
            yield from self.held.select(columns).to_batches(BATCH_ROWS)


def parts_of(source: Any, columns: Sequence[str], form: Form | None = None) -> list[Part]:
    """Cut a source into parts.

    Parameters
    ----------
    source
        A parquet, CSV or Arrow file; a folder of them (``region=north/…`` makes a column ``region``); a pattern such as
        ``answers/2024-*.parquet``; a list of files; a pyarrow Dataset or Table; a DataFrame.
    columns
        Columns that every file must have, with the same kind of values.
    form
        How text files are written: delimiter, encoding, decimal sign.

    Raises
    ------
    DataError
        If nothing is there, or files are damaged or lack columns: all of them are named.

    Examples
    --------
    >>> import pandas as pd
    >>> len(parts_of(pd.DataFrame({"q1": [1, 2, 3]}), ["q1"]))
    1
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    if isinstance(source, ds.Dataset):
        return _of_dataset(source, columns)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        absent = [c for c in columns if c not in source.columns]
        if absent:
            raise DataError(f"columns not in the data: {absent}; the data have {[str(c) for c in source.columns][:12]}")
        try:
            source = pa.Table.from_pandas(source[list(columns)], preserve_index=False)
        except (pa.ArrowException, TypeError) as error:
            raise DataError(f"the data cannot be read as columns: {_first_line(error)}") from error
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if isinstance(source, pa.Table):
        absent = [c for c in columns if c not in source.column_names]
        if absent:
            raise DataError(f"columns not in the Table: {absent}; it has {source.column_names[:12]}")
        return [Part((0, 0), held=source)]
    root, files = files_of(source)
    return _of_files(root, files, columns, form or Form())


def files_of(source: Any) -> tuple[Path | None, list[Path]]:
    """The folder, if it is one, and the files of a source, in order.

    Raises
    ------
    DataError
        If there is none, or they are of several kinds.

    Examples
    --------
    >>> files_of("absent.parquet")
    Traceback (most recent call last):
    csi_lab.errors.DataError: no such file or folder: ['absent.parquet']
    """
    if isinstance(source, (str, Path)):
        given: list[str] = [os.path.expanduser(source)]
    elif isinstance(source, Sequence) and source and all(isinstance(x, (str, Path)) for x in source):
        given = [os.path.expanduser(x) for x in source]
    else:
        raise DataError(
            f"need a file, a folder, a list of files, a pyarrow Dataset or Table, got {type(source).__name__}"
        )
    paths: list[Path] = []
    absent = []
    for name in given:
        try:
            there = Path(name).exists()
        except OSError:
            there = False
        found = [Path(name)] if there else [Path(p) for p in sorted(glob.glob(name, recursive=True))]
        paths += found
        absent += [] if found else [name]
    if absent:
        where = "; for a store that is no file system give a pyarrow Dataset" if "://" in "".join(absent) else ""
        raise DataError(f"no such file or folder: {absent}{where}")
    root = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (f for f in path.rglob("*") if f.is_file() and f.suffix.lower() in FORMATS)
            files += sorted(f for f in inside if not any(p.startswith((".", "_")) for p in f.relative_to(path).parts))
        else:
            files.append(path)
    kinds = {f.suffix.lower() for f in files}
    if not files or len(kinds) != 1 or not kinds <= set(FORMATS):
        held = f"kinds of files {sorted(kinds)}" if files else "no file of answers"
        raise DataError(f"{shown_source(source)} holds {held}; one kind is needed: {', '.join(FORMATS)}")
    return root, files


def _of_files(root: Path | None, files: list[Path], columns: Sequence[str], form: Form) -> list[Part]:
    """Row groups of parquet files, whole files of other kinds; every file is seen to hold the columns."""
    found: list[Part] = []
    problems: list[str] = []
    damaged: list[str] = []
    first: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    for number, file in enumerate(files):
        given = _given(file, root)
        try:
            held, groups = form_of(file, form)
        except DataError as error:
            damaged.append(str(error))
            continue
        names = names or [*held, *(name for name, _ in given)]
        lacking = [c for c in columns if c not in held and c not in dict(given)]
        if lacking:
            problems.append(f"{file.name}: no column {', '.join(map(repr, lacking))}")
        for name in columns:
            if name in dict(given) or name not in held:
                continue
            kind = held[name]
            where, elsewhere = first.setdefault(name, (file.name, kind))
            if "unknown" not in (kind, elsewhere) and kind != elsewhere:
                problems.append(f"{file.name}: {name!r} holds {kind}, in {where} {elsewhere}")
        found += [Part((number, group), str(file.absolute()), form, given) for group in range(groups)]
    if damaged:
        raise DataError(listed(damaged, "files that cannot be read"), damaged)
    missing_everywhere = [c for c in columns if c not in first and all(c not in dict(_given(f, root)) for f in files)]
    if missing_everywhere:
        where = shown_source(root or (files[0] if len(files) == 1 else files))
        raise DataError(f"columns not in {where}: {missing_everywhere}; it has {names[:12]}")
    if problems:
        raise DataError(listed(problems, "files with another form than the rest"), problems)
    if not found:
        raise DataError(f"{shown_source(root or files)} holds no rows")
    return found


def _given(file: Path, root: Path | None) -> tuple[tuple[str, str | None], ...]:
    """Columns in the names of the folders below the source, as ``wave=2024``."""
    folders = file.relative_to(root).parts[:-1] if root else file.parts[:-1]
    pairs = [part.split("=", 1) for part in folders if "=" in part.strip("=")]
    return tuple((name, None if value == NO_VALUE else unquote(value)) for name, value in pairs)


def _with(batch: pa.RecordBatch, given: dict[str, str | None], columns: Sequence[str]) -> pa.RecordBatch:
    """A batch with the columns that its folder gives."""
    import pyarrow as pa

    n = batch.num_rows
    made = {
        name: batch.column(name)
        if name not in given
        else pa.DictionaryArray.from_arrays(
            pa.array([None if given[name] is None else 0] * n, pa.int32()), pa.array([given[name] or ""])
        )
        for name in columns
    }
    return pa.record_batch(made)


def _of_dataset(dataset: ds.Dataset, columns: Sequence[str]) -> list[Part]:
    absent = [c for c in columns if c not in dataset.schema.names]
    if absent:
        raise DataError(f"columns not in the Dataset: {absent}; it has {dataset.schema.names[:12]}")
    parts = []
    for number, fragment in enumerate(dataset.get_fragments()):
        pieces = list(fragment.split_by_row_group()) if hasattr(fragment, "split_by_row_group") else [fragment]
        parts += [Part((number, group), held=(piece, dataset.schema)) for group, piece in enumerate(pieces)]
    if not parts:
        raise DataError("the Dataset holds no rows")
    return parts


def shown_source(source: Any) -> str:
    """A source in a message: its name, without the folders above it.

    Examples
    --------
    >>> shown_source("answers/2024.parquet")
    '2024.parquet'
    """
    if isinstance(source, (str, Path)):
        return Path(source).name
    return f"{len(source)} files" if isinstance(source, list) else f"the {type(source).__name__}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
