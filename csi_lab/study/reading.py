"""Data files as tables, by their ending."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from csi_lab.errors import DataError
from csi_lab.study.specification import DataFile
from csi_lab.study.table import USER_MISSING, Column, Table, read_header
from csi_lab.study.text_file import read_text
from csi_lab.study.workbook import read_workbook


def read_table(path: Path, data: DataFile, wanted: Collection[str], shown: str) -> Table:
    """Read the ``wanted`` columns of a data file; those that it lacks are simply not in the result.

    Raises
    ------
    DataError
        If the file is missing, empty, or not what its ending says. Problems of single rows or columns are returned in
        ``problems``, so that the caller can report them beside its own.
    """
    try:
        there_is, empty = path.is_file(), path.is_file() and path.stat().st_size == 0
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror}); correct `data: file`") from error
    if not there_is and (path.is_dir() or "*" in path.name):
        raise DataError(
            f"{shown}: several files, which are read in a stream and not into memory: use "
            "csi.scaleout.open_survey(...), or csi-lab check and report with --engine local"
        )
    if not there_is:
        beside = sorted(p.name for p in path.parent.glob("*") if p.is_file()) if path.parent.is_dir() else []
        there = f"its folder holds {', '.join(beside[:10])}" if beside else f"there is no folder {path.parent.name!r}"
        raise DataError(f"{shown}: no such file; {there}; correct `data: file` (relative to the study file)")
    if empty:
        raise DataError(f"{shown}: the file is empty; save the answers again, with column names in the first row")
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        return read_text(path, data, wanted, shown)
    if suffix == ".xlsx":
        return read_workbook(path, data.sheet, wanted, shown)
    if suffix == ".parquet":
        return _read_parquet(path, wanted, shown)
    return _read_spss(path, wanted, shown)


def _read_parquet(path: Path, wanted: Collection[str], shown: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(f"{shown}: reading .parquet needs pyarrow; run `pip install csi-lab[scale]`") from error
    try:
        with pq.ParquetFile(path) as file:
            names, places, problems, remarks = read_header(file.schema_arrow.names, wanted)
            columns = {}
            given = file.schema_arrow.names
            table = file.read(columns=[given[place] for place in places.values()])
            count = file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{shown}: not a parquet file, or damaged; write it again") from error
    for name, place in places.items():
        try:
            # By place, since a name may stand twice (which is among the problems).
            cells = table.column(table.column_names.index(given[place]))
            encoded = pa.chunked_array(cells).combine_chunks().dictionary_encode()
            encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
            values = encoded.dictionary.to_pylist()
        except pa.ArrowException:
            problems.append(f"column {name!r} holds lists or structures; store one number or text in each cell")
            continue
        except (ValueError, OverflowError):
            problems.append(f"column {name!r} holds dates or times that do not exist; store them as text")
            continue
        codes = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False).astype(np.int32)
        columns[name] = Column(codes, (*values, None))
    rows = np.arange(1, count + 1)
    return Table(tuple(names), columns, rows, ("parquet, rows counted from 1", *remarks), tuple(problems))


def _read_spss(path: Path, wanted: Collection[str], shown: str) -> Table:
    try:
        import pyreadstat
    except ImportError as error:
        raise DataError(f"{shown}: reading .sav needs pyreadstat; run `pip install csi-lab[spss]`") from error
    try:
        frame, meta = pyreadstat.read_sav(str(path), user_missing=True)
    except MemoryError:
        raise
    except Exception as error:  # pyreadstat raises what it meets in the middle of a damaged file, of many classes
        raise DataError(f"{shown}: not an SPSS file, or damaged; save it again as .sav") from error
    names, places, problems, remarks = read_header(list(frame.columns), wanted)
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
