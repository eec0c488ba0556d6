"""Workbooks (.xlsx) as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from csi_lab.errors import DataError
from csi_lab.study.table import Table, gathered


def read_workbook(path: Path, sheet: str | None, wanted: Collection[str], shown: str) -> Table:
    """Read one sheet of a workbook.

    Raises
    ------
    DataError
        If the file is no workbook or is damaged, or the sheet is absent or empty.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(f"{shown}: reading .xlsx needs openpyxl; run `pip install csi-lab[excel]`") from error
    try:
        # Read formulas as formulas: their stored results may be absent, which would pass as missing answers.
        book = openpyxl.load_workbook(path, read_only=True, data_only=False)
    except MemoryError:
        raise
    except Exception as error:
        raise DataError(f"{shown}: not a workbook, or damaged, or protected by a password; {_AGAIN}") from error
    try:
        names = [page.title for page in book.worksheets]
        if not names or (sheet is not None and sheet not in names):
            raise DataError(f"{shown}: no sheet {sheet!r}; the workbook has {', '.join(names) or 'no sheet of cells'}")
        chosen = sheet if sheet is not None else names[0]
        page = next(page for page in book.worksheets if page.title == chosen)
        page.reset_dimensions()  # the stored size of a sheet is often wrong
        note = f"sheet {chosen!r}" + (f" (the first of {len(names)})" if sheet is None and len(names) > 1 else "")
        formulas: list[tuple[int, str]] = []
        records = _records(_undamaged(page.iter_rows(), f"{shown}: sheet {chosen!r}"), formulas)
        first = next(((number, cells) for number, cells in records if cells), None)
        if first is None:
            raise DataError(f"{shown}: sheet {chosen!r} is empty; name the sheet of the answers under `data: sheet`")
        header = first[1]
        table = gathered(
            header, _levelled(records, len(header)), wanted, [note], "empty the cells beyond the last column name"
        )
    finally:
        book.close()
    # Columns that nobody asked for may hold formulas; a formula among the column names may hide one that was.
    own = dict(enumerate(table.names))
    asked = [cell for at, cell in formulas if at not in own or own[at] in wanted or own[at].startswith("=")]
    if asked:
        more = f" and {len(asked) - 8} more" if len(asked) > 8 else ""
        problem = f"cells hold formulas: {', '.join(asked[:8])}{more}; copy them and paste them as values"
        return Table(table.names, table.columns, table.rows, table.notes, (*table.problems, problem))
    return table


_AGAIN = "open it in a spreadsheet program and save it again as .xlsx"


def _undamaged(rows: Iterable[Sequence[Any]], shown: str) -> Iterator[Sequence[Any]]:
    """The rows of a sheet, which is unpacked and parsed only while it is read.

    What openpyxl raises on a damaged sheet comes from its zip, XML and number readers alike and has no common class,
    so that everything from inside it counts as damage; nothing of ours runs within the ``try``.
    """
    rows, number = iter(rows), 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except MemoryError:
            raise
        except Exception as error:
            raise DataError(f"{shown} is damaged after row {number}; {_AGAIN}") from error
        number += 1
        yield row


def _records(rows: Iterable[Sequence[Any]], formulas: list[tuple[int, str]]) -> Iterator[tuple[int, list[Any]]]:
    for number, row in enumerate(rows, 1):
        formulas += [(place, cell.coordinate) for place, cell in enumerate(row) if cell.data_type == "f"]
        values = [cell.value for cell in row]
        while values and (values[-1] is None or values[-1] == ""):
            values.pop()
        yield number, values


def _levelled(records: Iterable[tuple[int, list[Any]]], width: int) -> Iterator[tuple[int, list[Any]]]:
    # A sheet does not store the empty cells at the end of a row.
    for number, values in records:
        yield number, values + [None] * (width - len(values)) if values else values
