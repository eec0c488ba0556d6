"""The codebook: every column of every table with its type, values and meaning in two languages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pandas as pd
import yaml

MOST_LISTED = 12  # categories that are written out one by one

COLUMNS = ("table", "column", "type", "values", "en", "zh")


def codebook(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per column of each table.

    Parameters
    ----------
    tables
        Name to table.

    Returns
    -------
    DataFrame
        table, column, type (integer, number, yes/no, text), values (range or categories found, codes that are no
        answers), en, zh. The meaning is empty where the package does not state one.

    Examples
    --------
    >>> table = pd.DataFrame({"customer": [1, 2], "faults": [0, 3], "operator": ["A", "B"]})
    >>> codebook({"mine": table})[["column", "type", "values"]].to_numpy().tolist()
    [['customer', 'integer', '1 to 2'], ['faults', 'integer', '0 to 3'], ['operator', 'text', 'A | B']]
    """
    stated = yaml.safe_load((files(__package__) / "codebook.yaml").read_text(encoding="utf-8"))
    common, own = stated["columns"], _written_out(stated["tables"])
    rows = []
    for name, table in tables.items():
        for column in table.columns:
            meaning = own.get(name, {}).get(column) or common.get(column) or {}
            kind, values = _described(table[column])
            rows.append((name, column, kind, values, meaning.get("en", ""), meaning.get("zh", "")))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _written_out(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Columns of each table; a name with a star stands for one column per entry of ``parts``."""
    found: dict[str, dict[str, Any]] = {}
    for name, columns in tables.items():
        parts = columns.get("parts", {})
        found[name] = {
            column: meaning for column, meaning in columns.items() if column != "parts" and "*" not in column
        }
        for column, meaning in columns.items():
            if "*" in column:
                found[name] |= {
                    column.replace("*", part): {language: meaning[language].format(text[language]) for language in text}
                    for part, text in parts.items()
                }
    return found


def _described(column: pd.Series) -> tuple[str, str]:
    given = column.dropna()
    empty = " or empty" if len(given) < len(column) else ""
    if pd.api.types.is_bool_dtype(column):
        return "yes/no", "0 | 1"
    if pd.api.types.is_numeric_dtype(column):
        kind = "integer" if pd.api.types.is_integer_dtype(column) else "number"
        return kind, _range(given, column.dtype == "int8") + empty if len(given) else "empty"
    words = given.drop_duplicates().astype(str)
    known = sorted(set(words) - {""})
    if not known:
        return "text", "empty"
    blank = " or empty" if empty or len(known) < words.nunique() else ""
    return "text", (" | ".join(known) if len(known) <= MOST_LISTED else f"{len(known)} different") + blank


def _range(given: pd.Series, item: bool) -> str:
    codes = {98: "98 cannot say", 99: "99 not asked"} if item else {}
    here = [text for code, text in codes.items() if (given == code).any()]
    inside = given[~given.isin(list(codes))]
    return "; ".join([f"{inside.min():g} to {inside.max():g}", *here])
