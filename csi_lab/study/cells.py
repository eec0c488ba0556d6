"""What a cell says: a number, a text, a logical value, or nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.study.findings import FEW, rows_said
from csi_lab.study.table import USER_MISSING, Column

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_IN_FRONT = re.compile(r"\+|-?0[0-9]")
_INFINITE = re.compile(r"[-+]?(inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Coded:
    """The distinct values of a column of numbers, each as a number, with what it was taken for."""

    numbers: np.ndarray  # NaN where it is no number
    kind: np.ndarray  # "empty", "declared", "code", "label", "number", "infinite", "logical" or "text"


def classified(
    values: Iterable[Any], missing: Iterable[float | str], labels: Mapping[str, float], decimal: str
) -> Coded:
    """What each of the ``values`` means, given the missing codes, the answer texts and the decimal sign."""
    codes = {c if isinstance(c, str) else shown(c) for c in missing}
    code_numbers = {x for c in missing if (x := number(c, decimal)) is not None}
    numbers, kinds = [], []
    for value in values:
        text, found = shown(value), number(value, decimal)
        if not text:
            kind, found = "declared" if value is USER_MISSING else "empty", None
        elif text in codes or found in code_numbers:
            kind, found = "code", None
        elif text in labels:
            kind, found = "label", labels[text]
        elif found is None:
            kind = "logical" if isinstance(value, (bool, np.bool_)) else "text"
        else:
            kind = "number" if math.isfinite(found) else "infinite"
        numbers.append(math.nan if found is None else found)
        kinds.append(kind)
    return Coded(np.array(numbers, dtype=float), np.array(kinds, dtype=object))


def number(value: Any, decimal: str = ".") -> float | None:
    """The number that a cell holds, possibly infinite; ``None`` if it is not a number as people write them.

    Examples
    --------
    >>> number(" 7.5 "), number("7,5", ","), number("7.5", ","), number("1.000,5", ","), number(True)
    (7.5, 7.5, None, None, None)
    """
    if isinstance(value, str):
        text = value.strip()
        if decimal != ".":
            # A point may divide thousands where the comma is the decimal sign; "1.234" is not guessed at.
            text = "" if "." in text else text.replace(decimal, ".")
        return float(text) if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text) else None
    if isinstance(value, (Real, Decimal)) and not isinstance(value, (bool, np.bool_)):
        return None if math.isnan(value) else float(value)
    return None


def shown(value: Any) -> str:
    """A cell as text: what a person sees in it, without blanks around it; "" for no answer."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value is USER_MISSING or (isinstance(value, float) and math.isnan(value)) or value is pd.NaT:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


def texts(column: Column) -> np.ndarray:
    """A column of labels: text as written (value labels where the file has them), NaN for empty cells."""
    each = [column.labels.get(value) or shown(value) for value in column.values]
    return np.array([text if text else np.nan for text in each] or [np.nan], dtype=object)[column.codes]


def as_they_are(column: Column, decimal: str) -> np.ndarray:
    """A column that nothing is done to: numbers where all its values are plain numbers, else text as written.

    Text is also what would not survive as a number: signs and zeros in front (``007``, ``+86``), more digits than a
    float holds, and values of which each has a label in the file.

    Examples
    --------
    >>> as_they_are(Column(np.array([0, 1, 2]), ("206", None, "41.5")), ".").tolist()
    [206.0, nan, 41.5]
    >>> as_they_are(Column(np.array([0, 1]), ("007", "12")), ".").tolist()
    ['007', '12']
    """
    there = [value for value in column.values if shown(value)]
    labelled = bool(there) and all(column.labels.get(value) for value in there)
    if not there or labelled or not all(_is_plain_number(value, decimal) for value in there):
        return texts(column)
    return classified(column.values, (), {}, decimal).numbers[column.codes]


def _is_plain_number(value: Any, decimal: str) -> bool:
    found = number(value, decimal)
    if found is None or not abs(found) < 2**53:
        return False
    return not (isinstance(value, str) and _IN_FRONT.match(value.strip()))


def where(chosen: np.ndarray, codes: np.ndarray, values: tuple[Any, ...], rows: np.ndarray, decimal: str) -> str:
    """The chosen distinct values with the rows they stand in."""
    present = np.intersect1d(np.flatnonzero(chosen), codes)
    said = [f"{_quoted(values[c], decimal)} in {rows_said(rows, codes == c)}" for c in present[:FEW]]
    return ", ".join(said) + (f" and {len(present) - FEW} other values" if len(present) > FEW else "")


def _quoted(value: Any, decimal: str) -> str:
    text = shown(value)
    text = text if len(text) <= 40 else text[:37] + "..."
    return repr(text) if isinstance(value, str) and number(value, decimal) is None else text
