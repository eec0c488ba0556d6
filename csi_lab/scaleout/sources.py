"""Where rows come from: files, folders and tables, cut into parts that are read one at a time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from csi_lab.answers import require_columns
from csi_lab.errors import CsiLabWarning, DataError, SpecError, listed
from csi_lab.scaleout.files import Listing, listing_of, shown_file, shown_source
from csi_lab.scaleout.readers import FORMATS, Form, batches_of, encoding_of, form_of, require_distinct

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
    shown
        The file in messages; ``""`` for a table.
    """

    place: tuple[int, int]
    path: str = ""
    form: Form = field(default_factory=Form)
    given: tuple[tuple[str, str | None], ...] = ()
    held: Any = None
    shown: str = ""

    @property
    def name(self) -> str:
        """File and row group, for messages."""
        group = f", row group {self.place[1]}" if self.shown.lower().endswith(".parquet") else ""
        return f"{self.shown}{group}" or "the table"

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
            stopped = "; the pass stopped here, and what comes after may be damaged too"
            raise DataError(f"{self.name} cannot be read: {_first_line(error)}{stopped}") from error
        except ValueError as error:
            raise DataError(f"{self.name}: {error}") from error

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
        ``answers/2024-*.parquet``; a list of files; a pyarrow Dataset or Table; a DataFrame; a :class:`Listing`, whose
        files are read if they are still the same.
    columns
        Columns that every file must have, with the same kind of values.
    form
        How text files are written: delimiter, encoding, decimal sign.

    Raises
    ------
    DataError
        If nothing is there, or files are damaged or lack columns: all of them are named.
    SpecError
        If ``form`` is no :class:`Form`.

    Warns
    -----
    CsiLabWarning
        If files of another kind lie beside, or text files are in GB18030 and nobody said so.

    Examples
    --------
    >>> import pandas as pd
    >>> len(parts_of(pd.DataFrame({"q1": [1, 2, 3]}), ["q1"]))
    1
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    if form is not None and not isinstance(form, Form):
        raise SpecError(f"form={form!r} is no Form; give csi_lab.scaleout.Form(delimiter, encoding, decimal)")
    if odd := [c for c in columns if not isinstance(c, str)]:
        raise DataError(
            f"columns named by numbers and not by text: {odd}; rename them with "
            "frame.columns = frame.columns.astype(str)"
        )
    if isinstance(source, ds.Dataset):
        return _of_dataset(source, columns)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        require_distinct(list(source.columns))
        require_columns(source, columns)
        try:
            source = pa.Table.from_pandas(source[list(columns)], preserve_index=False)
        except (pa.ArrowException, TypeError) as error:
            raise DataError(f"the data cannot be read as columns: {_first_line(error)}") from error
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if isinstance(source, pa.Table):
        require_distinct(source.column_names)
        absent = [c for c in columns if c not in source.column_names]
        if absent:
            raise DataError(f"columns not in the Table: {absent}; it has {source.column_names[:12]}")
        return [Part((0, 0), held=source)]
    if isinstance(source, Listing):
        source.require_unchanged()
        return _of_files(source, columns, form or Form())
    listing = listing_of(source)
    parts = _of_files(listing, columns, form or Form())
    for remark in remarks_on(listing, form or Form()):
        warnings.warn(remark, CsiLabWarning, stacklevel=4)
    return parts


def remarks_on(listing: Listing, form: Form) -> list[str]:
    """What a reader of the results should know about the files.

    Examples
    --------
    >>> from csi_lab.study.datasets import packaged_file
    >>> remarks_on(listing_of(packaged_file("csi_lab", "study/template/study.yaml").parent / "*.csv"), Form())
    []
    """
    found = []
    if listing.beside:
        found.append(f"Files of another kind beside the answers were left aside: {_few(listing.beside)}.")
    if form.encoding is None and FORMATS[listing.files[0].suffix.lower()] == "csv":
        other = [name for file, name in zip(listing.files, listing.names, strict=True) if encoding_of(file) != "utf-8"]
        if other:
            found.append(
                f"Files that are not UTF-8 were read as GB18030: {_few(other)}; if texts look wrong, name the encoding."
            )
    return found


def _few(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _of_files(listing: Listing, columns: Sequence[str], form: Form) -> list[Part]:
    """Row groups of parquet files, whole files of other kinds; every file is seen to hold the columns."""
    found: list[Part] = []
    problems: list[str] = []
    damaged: list[str] = []
    first: dict[str, tuple[str, str]] = {}
    met: set[str] = set()
    names: list[str] = []
    lacking: dict[str, list[str]] = {}
    for number, (file, base, shown) in enumerate(zip(listing.files, listing.bases, listing.names, strict=True)):
        given = _given(file, base)
        inside = dict(given)
        try:
            held, groups = form_of(file, form, shown)
            own = form
            if FORMATS[file.suffix.lower()] == "csv" and form.encoding is None:
                own = replace(form, encoding=encoding_of(file))
        except DataError as error:
            damaged.append(str(error))
            continue
        names = names or [*held, *(name for name in inside if name not in held)]
        met |= {c for c in columns if c in held or c in inside}
        if absent := [c for c in columns if c not in held and c not in inside]:
            lacking[shown] = absent
            problems.append(f"{shown}: no column {', '.join(map(repr, absent))}")
        for name in (c for c in columns if c in held):
            if name in inside:
                folder = f"{name}={inside[name] if inside[name] is not None else NO_VALUE}"
                problems.append(f"{shown}: {name!r} is a column of the file and of its folder {folder}; keep one")
                continue
            kind = held[name]
            where, elsewhere = first.setdefault(name, (shown, kind))
            if "unknown" not in (kind, elsewhere) and kind != elsewhere:
                problems.append(f"{shown}: {name!r} holds {kind}, in {where} {elsewhere}")
        found += [Part((number, group), str(file), own, given, shown=shown) for group in range(groups)]
    absent = [c for c in columns if c not in met]
    source = shown_source(listing.root or (listing.files[0] if len(listing.files) == 1 else list(listing.files)))
    if absent and names:
        # What no file has is said once.
        nowhere = f"columns not in {source}: {absent}; it has {names[:12]}{_misread(names, absent)}"
        if not damaged:
            raise DataError(nowhere)
        problems = [nowhere, *(p for p in problems if not any(p.startswith(f"{f}: no column") for f in lacking))]
    if damaged:
        head = "files that cannot be read" + (", and files with another form than the rest" if problems else "")
        raise DataError(listed([*damaged, *problems], head), [*damaged, *problems])
    if problems:
        raise DataError(listed(problems, "files with another form than the rest"), problems)
    if not found:
        raise DataError(f"{source} holds no rows")
    return found


def _misread(names: Sequence[str], absent: Sequence[str]) -> str:
    """Why columns may be absent that somebody sees in the file."""
    if len(names) == 1 and (found := next((sign for sign in ";\t,|" if sign in names[0]), "")):
        return f"; the columns seem to be separated by {found!r}: say delimiter={found!r}"
    blank = [name for name in names if name != name.strip() and name.strip() in absent]
    return f"; remove the blanks around {blank}" if blank else ""


def _given(file: Path, base: Path | None) -> tuple[tuple[str, str | None], ...]:
    """Columns in the names of the folders below the source, as ``wave=2024``; what lies above it means nothing."""
    folders = file.relative_to(base).parts[:-1] if base else ()
    pairs = [part.split("=", 1) for part in folders if "=" in part.strip("=")]
    return tuple((name, None if value == NO_VALUE else unquote(value)) for name, value in pairs)


def _with(batch: pa.RecordBatch, given: dict[str, str | None], columns: Sequence[str]) -> pa.RecordBatch:
    """A batch with the columns that its folder gives."""
    import pyarrow as pa

    n = batch.num_rows

    def same(value: str | None) -> pa.Array:
        places = pa.nulls(n, pa.int32()) if value is None else pa.array(np.zeros(n, np.int32))
        return pa.DictionaryArray.from_arrays(places, pa.array([value or ""]))

    return pa.record_batch({name: same(given[name]) if name in given else batch.column(name) for name in columns})


def _of_dataset(dataset: ds.Dataset, columns: Sequence[str]) -> list[Part]:
    require_distinct(dataset.schema.names)
    absent = [c for c in columns if c not in dataset.schema.names]
    if absent:
        raise DataError(f"columns not in the Dataset: {absent}; it has {dataset.schema.names[:12]}")
    parts = []
    try:
        fragments = list(dataset.get_fragments())
    except ValueError as error:
        raise DataError(
            f"the Dataset cannot be cut into parts ({_first_line(error)}); give the Dataset without filter or "
            "projection, and choose rows by giving only their files, or a Table of them"
        ) from error
    paths = [Path(getattr(fragment, "path", "")) for fragment in fragments]
    base = Path(os.path.commonpath([path.parent for path in paths])) if paths else None
    for number, (fragment, path) in enumerate(zip(fragments, paths, strict=True)):
        pieces = list(fragment.split_by_row_group()) if hasattr(fragment, "split_by_row_group") else [fragment]
        shown = shown_file(path, base) if path.name else ""
        parts += [
            Part((number, group), held=(piece, dataset.schema), shown=shown) for group, piece in enumerate(pieces)
        ]
    if not parts:
        raise DataError("the Dataset holds no rows")
    return parts


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
