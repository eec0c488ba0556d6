"""Columns of fieldwork tables: numbers and labels, checked before anything is computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import infinite_values, require_columns, require_numbers
from csi_lab.errors import DataError, SpecError

if TYPE_CHECKING:
    import pandas as pd


def require_present(frame: Any, columns: Sequence[str]) -> None:
    """Refuse what is no DataFrame, columns that are absent or share a name, and columns that are named twice.

    Raises
    ------
    DataError
        With every column that is absent or shares its name.
    SpecError
        With the columns that were named twice, in two roles perhaps.
    """
    rows = "; its rows are in .frame" if hasattr(frame, "frame") else ""
    if rows or not hasattr(frame, "columns"):
        raise DataError(f"need a DataFrame, got {type(frame).__name__}{rows}")
    require_columns(frame, columns)
    again = sorted({str(c) for k, c in enumerate(columns) if c in columns[:k]})
    if again:
        raise SpecError(f"columns are named twice: {again}; each has one role")
    twice = sorted({str(c) for c in columns if list(frame.columns).count(c) > 1})
    if twice:
        raise DataError(f"columns share a name: {twice}; rename them")


def numbers_of(frame: pd.DataFrame, column: str) -> np.ndarray:
    """One column as floats, NaN where missing.

    Raises
    ------
    DataError
        If it is absent, text or infinite.
    """
    require_present(frame, [column])
    require_numbers(frame[[column]])
    values = frame[column].to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(values).any():
        raise DataError(infinite_values(frame[[column]]))
    return values


def shown_rows(labels: Any, show: int = 5) -> str:
    """Some row labels for a message."""
    listed_ = ", ".join(str(label) for label in list(labels)[:show])
    return listed_ + (f", … (+{len(labels) - show})" if len(labels) > show else "")
