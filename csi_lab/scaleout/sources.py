"""Where rows come from: files, folders and tables, cut into parts that are read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csi_lab.errors import DataError, listed

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

# Rows decoded at once: 24 columns of small numbers stay in the cache, of floats below 30 MB.
BATCH_ROWS = 131_072
SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".arrow": "ipc", ".feather": "feather"}


@dataclass(frozen=True)
class Part:
    """Rows that are read in one go by one worker: a row group of a parquet file, or a file of another kind.

    Attributes
    ----------
    fragment
        Where the rows are.
    schema
        Of the whole source, with the columns that a folder's name gives.
    place
        Number of the file and of the row group in it.
    """

    fragment: Any
    schema: Any
    place: tuple[int, int]

    @property
    def name(self) -> str:
        """File and row group, for messages."""
        path = getattr(self.fragment, "path", "") or "the table"
        group = f", row group {self.place[1]}" if path.endswith(".parquet") else ""
        return f"{Path(path).name}{group}"

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows, some at a time, with the columns asked for.

        Raises
        ------
        DataError
            If they cannot be read.
        """
        import pyarrow as pa

        try:
            yield from self.fragment.to_batches(
                schema=self.schema,
                columns=list(columns),
                batch_size=BATCH_ROWS,
                use_threads=False,
                batch_readahead=0,
                fragment_readahead=0,
            )
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.name} cannot be read: {_first_line(error)}") from error


def parts_of(source: Any, columns: Sequence[str]) -> list[Part]:
    """Cut a source into parts.

    Parameters
    ----------
    source
        A parquet, CSV or Arrow file; a folder of them (``region=north/…`` makes a column ``region``); a list of files;
        a pyarrow Dataset or Table; a DataFrame.
    columns
        Columns that every file must have, with the same kind of values.

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
    dataset = _dataset(source)
    fragments = list(dataset.get_fragments())
    if not fragments:
        raise DataError(f"no file of answers in {_shown(source)}; it takes {', '.join(SUFFIXES)}")
    schema, parts = _schema(dataset, fragments, columns, source), []
    for number, fragment in enumerate(fragments):
        pieces = list(fragment.split_by_row_group()) if hasattr(fragment, "split_by_row_group") else [fragment]
        parts += [Part(piece, schema, (number, group)) for group, piece in enumerate(pieces)]
    return parts


def _dataset(source: Any) -> ds.Dataset:
    import pyarrow as pa
    import pyarrow.dataset as ds

    if isinstance(source, ds.Dataset):
        return source
    if isinstance(source, (pa.Table, pa.RecordBatch)):
        return ds.dataset(source)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return ds.dataset(pa.Table.from_pandas(source, preserve_index=False))
    if isinstance(source, (str, Path)):
        return _opened([Path(source).expanduser()])
    if isinstance(source, Sequence) and source and all(isinstance(x, (str, Path)) for x in source):
        return _opened([Path(x).expanduser() for x in source])
    raise DataError(f"need a file, a folder, a list of files, a pyarrow Dataset or Table, got {type(source).__name__}")


def _opened(paths: list[Path]) -> ds.Dataset:
    import pyarrow as pa
    import pyarrow.dataset as ds

    absent = [str(path) for path in paths if not path.exists()]
    if absent:
        raise DataError(f"no such file or folder: {absent}")
    root = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    files = (
        sorted(f for f in root.rglob("*") if f.is_file() and not f.name.startswith((".", "_"))) if root else list(paths)
    )
    files = [f for f in files if root is None or f.suffix.lower() in SUFFIXES]
    kinds = {f.suffix.lower() for f in files}
    if not files or len(kinds) != 1 or not kinds <= set(SUFFIXES):
        held = f"kinds of files {sorted(kinds)}" if files else "no file of answers"
        raise DataError(f"{_shown(root or paths)} holds {held}; one kind is needed: {', '.join(SUFFIXES)}")
    kind = SUFFIXES[kinds.pop()]
    damaged = []
    for file in files:
        try:
            ds.dataset(file, format=kind)
        except (pa.ArrowException, OSError) as error:
            damaged.append(f"{file.name}: {_first_line(error)}")
    if damaged:
        raise DataError(listed(damaged, "files that cannot be read"), damaged)
    if root is None:
        return ds.dataset([str(f) for f in files], format=kind)
    partitioning = ds.partitioning(flavor="hive") if any("=" in f.parent.name for f in files) else None
    return ds.dataset([str(f) for f in files], format=kind, partitioning=partitioning, partition_base_dir=str(root))


def _schema(dataset: ds.Dataset, fragments: list[Any], columns: Sequence[str], source: Any) -> pa.Schema:
    """The schema of the source, once every file is seen to have the columns with the same kind of values."""
    absent = [c for c in columns if c not in dataset.schema.names]
    if absent:
        raise DataError(f"columns not in {_shown(source)}: {absent}; it has {dataset.schema.names[:12]}")
    problems = []
    for fragment in fragments:
        if not hasattr(fragment, "path"):
            continue
        own = fragment.physical_schema
        for name in columns:
            wanted = dataset.schema.field(name).type
            if name not in own.names:
                if f"{name}=" not in fragment.path:
                    problems.append(f"{Path(fragment.path).name}: no column {name!r}")
            elif _kind(own.field(name).type) != _kind(wanted):
                problems.append(
                    f"{Path(fragment.path).name}: {name!r} holds {own.field(name).type}, elsewhere {wanted}"
                )
    if problems:
        raise DataError(listed(problems, "files with another form than the rest"), problems)
    return dataset.schema


def _kind(type_: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "numbers"
    return "text" if pa.types.is_string(type_) or pa.types.is_large_string(type_) else str(type_)


def _shown(source: Any) -> str:
    if isinstance(source, Path):
        return source.name
    if isinstance(source, str):
        return Path(source).name
    return f"{len(source)} files" if isinstance(source, list) else f"the {type(source).__name__}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
