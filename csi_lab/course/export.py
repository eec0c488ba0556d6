"""Tables out: CSV files and one workbook that a spreadsheet opens without surprises."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError

WORKBOOK = "tables.xlsx"
SHEET_NAME = 31  # limits of the xlsx format, ECMA-376 as read by spreadsheet programs
CELL_TEXT = 32_767
ROWS, COLUMNS = 1_048_576, 16_384

# Spaces and invisible signs before the sign that starts a formula do not stop every program from running it.
_FORMULA = re.compile(r"^(?:[\t\r\n]|[\s\u200b\u2060\ufeff]*[=+\-@＝＋－＠])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def save_tables(tables: Mapping[str, pd.DataFrame], folder: str | Path) -> list[Path]:
    """Write each table as CSV and all of them as sheets of ``tables.xlsx``.

    The CSV files are UTF-8 with byte order mark, so that spreadsheets show Chinese, and numbers keep full precision
    (16 digits in the workbook).
    The index is written unless it is the unnamed 0, 1, 2, …; levels of column names are joined with `` / ``. Text that
    a spreadsheet would run as a formula (cells, headers, index labels) gets a leading apostrophe; numbers stay numbers.
    In the workbook, times with a zone and other values that it does not know are text, and infinite numbers are the
    text ``inf``. What else the format cannot hold is printed: control characters (shown as ``�``), cut text, a table
    that is too large. Without openpyxl the workbook is left out, which is printed too.

    Parameters
    ----------
    tables
        Name to table. Names become file and sheet names; signs that these do not allow become ``_``.
    folder
        Made when absent.

    Returns
    -------
    list of Path
        The files written, the workbook last.

    Raises
    ------
    SpecError
        If there is no table, a value is not a DataFrame, or the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> frame = pd.DataFrame({"index": [72.5]}, index=pd.Index(["Mobile"], name="company"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_tables({"indices": frame}, folder)]
    ['indices.csv', 'tables.xlsx']
    """
    wrong = [f"{name!r} ({type(t).__name__})" for name, t in tables.items() if not isinstance(t, pd.DataFrame)]
    if wrong or not tables:
        raise SpecError(f"not DataFrames: {', '.join(wrong)}; use to_frame()" if wrong else "no tables given")
    target = Path(folder)
    flat = [_flat(table) for table in tables.values()]
    files = [f"{name}.csv" for name in _unique([_file_name(str(name)) for name in tables], lambda name: name)]
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".csi-lab-") as draft:
            for name, table in zip(files, flat, strict=True):
                table.to_csv(Path(draft, name), index=False, encoding="utf-8-sig", lineterminator="\r\n")
            if find_spec("openpyxl"):
                sheets = _unique([_sheet_name(str(name)) for name in tables], _cut)
                said = _write_workbook(dict(zip(sheets, flat, strict=True)), Path(draft, WORKBOOK))
                files.append(WORKBOOK)
            else:
                said = ["left out, because openpyxl is not installed; pip install 'csi-lab[excel]' brings it"]
            for name in files:
                os.replace(Path(draft, name), target / name)
    except OSError as error:
        place = error.filename2 or error.filename or target
        raise SpecError(f"{place}: cannot be written ({error.strerror}); close it, or choose another folder") from None
    for sentence in said:
        print(f"{WORKBOOK}: {sentence}")
    return [target / name for name in files]


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """The index as columns, one line of headers, formula-like text neutralised."""
    index = table.index
    plain = type(index) is pd.RangeIndex and index.name is None and index.equals(pd.RangeIndex(len(index)))
    levels = [] if plain else [(name, index.get_level_values(i)) for i, name in enumerate(index.names)]
    named = [("" if name is None else name, values) for name, values in levels]
    named += [(name, table.iloc[:, i]) for i, name in enumerate(table.columns)]
    data = [pd.Series(_neutral(values), dtype=values.dtype if _numeric(values) else object) for _, values in named]
    result = pd.concat(data, axis=1) if data else pd.DataFrame()
    result.columns = pd.Index([_header(name) for name, _ in named], dtype=object)
    return result


def _numeric(values: pd.Series | pd.Index) -> bool:
    return pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)


def _neutral(values: pd.Series | pd.Index) -> Any:
    if _numeric(values):
        return values.to_numpy() if isinstance(values.dtype, np.dtype) else values.array
    return [neutralise(value) for value in values]


def _header(name: Any) -> str:
    parts = [str(part) for part in name if str(part)] if isinstance(name, tuple) else [str(name)]
    return str(neutralise(" / ".join(parts)))


def neutralise(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula, with an apostrophe before it; anything else as it is.

    Examples
    --------
    >>> neutralise("=1+1"), neutralise("  ＠SUM(A1)"), neutralise(-1.5), neutralise("a-b")
    ("'=1+1", "'  ＠SUM(A1)", -1.5, 'a-b')
    """
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) else value
    if value is None or pd.api.types.is_scalar(value) or isinstance(value, np.generic):
        return value
    return neutralise(str(value))  # lists, intervals and such are written as their text


def _write_workbook(sheets: Mapping[str, pd.DataFrame], path: Path) -> list[str]:
    """Write the sheets; give what had to be changed or left out, one sentence each."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    said = []
    book = Workbook(write_only=True)
    for name, table in sheets.items():
        sheet = book.create_sheet(name)
        if len(table) + 1 > ROWS or table.shape[1] > COLUMNS:
            said.append(f"sheet {name!r} is empty, because the table is too large for the format; use its CSV file")
            continue
        changed = {"control": 0, "cut": 0}

        def cell(value: Any, sheet: Any = sheet, changed: dict[str, int] = changed) -> Any:
            plain = _plain(value)
            if not isinstance(plain, str):
                return plain
            clean = _CONTROL.sub("\ufffd", plain)
            changed["control"] += clean != plain
            changed["cut"] += len(clean) > CELL_TEXT
            written = WriteOnlyCell(sheet, value=clean[:CELL_TEXT])
            written.data_type = "s"  # openpyxl would take "#N/A" for an error value
            return written

        sheet.append([cell(header) for header in table.columns])
        for row in table.itertuples(index=False, name=None):
            sheet.append([cell(value) for value in row])
        if changed["control"]:
            said.append(f"sheet {name!r}: {changed['control']} cells held control characters, shown there as \ufffd")
        if changed["cut"]:
            said.append(f"sheet {name!r}: {changed['cut']} texts cut to {CELL_TEXT} characters")
    book.save(path)
    return said


def _plain(value: Any) -> Any:
    """A value that a workbook holds: number, truth value, time without zone, text, or nothing."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, pd.Timestamp) and value.tzinfo is None:
        return value.to_pydatetime(warn=False)
    return str(value)


def _file_name(name: str) -> str:
    clean = re.sub(r'[\x00-\x1f<>:"/\\|?*\ud800-\udfff]', "_", name).strip(" .")[:100]
    clean = f"_{clean}" if _FORMULA.match(clean) else clean
    reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", clean)  # devices of Windows
    return f"_{clean}" if reserved or not clean else clean


def _sheet_name(name: str) -> str:
    # A sheet name must not begin with an apostrophe, therefore "_" where a cell would get one.
    clean = re.sub(r"[\x00-\x1f\[\]:*?/\\\ud800-\udfff\ufffe\uffff]", "_", name).strip(" '")
    clean = f"_{clean}" if _FORMULA.match(clean) or clean.casefold() == "history" or not clean else clean
    return _cut(clean)


def _cut(name: str, room: int = SHEET_NAME) -> str:
    """The name cut to the length a sheet may have, which is counted in UTF-16 units."""
    while len(name.encode("utf-16-le")) // 2 > room:
        name = name[:-1]
    return name.rstrip(" '")


def _unique(names: Iterable[str], cut: Callable[..., str]) -> list[str]:
    """The names, told apart by a number where two are equal without regard to case."""
    used: set[str] = set()
    result = []
    for name in names:
        number, chosen = 1, name
        while chosen.casefold() in used:
            number += 1
            mark = f" ({number})"
            chosen = (cut(name, SHEET_NAME - len(mark)) if cut is _cut else name) + mark
        used.add(chosen.casefold())
        result.append(chosen)
    return result
