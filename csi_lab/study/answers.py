"""From a table as read to answers that fit the study: every check, and every treatment with its count."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.study.reading import USER_MISSING, Column, Table
from csi_lab.study.specification import Study

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?(inf|infinity)", re.IGNORECASE)
_FEW = 10


@dataclass
class Findings:
    """What was seen while the answers were prepared: problems stop the survey, notes go with it."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, what: str, cases: Iterable[str], remedy: str) -> None:
        said = "; ".join(cases)
        if said:
            self.problems.append(f"{what}: {said}. {remedy}")

    def note(self, what: str, cases: Iterable[str]) -> None:
        said = ", ".join(cases)
        if said:
            self.notes.append(f"{what}: {said}.")


@dataclass(frozen=True)
class _Coded:
    """The distinct values of an item, each as a number, with what it was taken for."""

    numbers: np.ndarray  # NaN where it is no number
    kind: np.ndarray  # "empty", "declared", "code", "label", "number", "infinite" or "text"


def wanted_columns(study: Study) -> dict[str, str]:
    """Every column that the study names, in the order of the frame, with the place in the study file that names it."""
    design = study.design.model_dump(exclude_none=True)
    places: dict[str, str] = {}
    for name, place in [
        *((column, f"design.{role}") for role, column in design.items()),
        *((column, "segments") for column in study.segments),
        *((item, f"constructs.{c}") for c, block in study.constructs.items() for item in block.items),
        *((column, "open_answers") for column in study.open_answers),
    ]:
        places.setdefault(name, place)
    return places


def prepare(table: Table, study: Study, found: Findings) -> pd.DataFrame:
    """The answers as the study understands them; look into ``found.problems`` before using them."""
    found.problems += table.problems
    _absent(table, study, found)
    keep = _first_of_each_id(table, study, found)
    rows = table.rows[keep]
    columns: dict[str, Any] = {}
    user_missing: list[str] = []
    numeric = {study.design.weights, study.design.population}
    items = study.items
    for name in wanted_columns(study):
        if name not in table.columns:
            continue
        column = table.columns[name]
        column = Column(column.codes[keep], column.values, column.labels)
        if declared := np.count_nonzero(np.array([v is USER_MISSING for v in column.values])[column.codes]):
            user_missing.append(f"{name} ({declared})")
        if name in numeric:
            columns[name] = _positive(name, column, rows, found, zero_allowed=name == study.design.weights)
        elif name not in items:
            columns[name] = _texts(column)
    columns |= _items({n: c.codes[keep] for n, c in table.columns.items() if n in items}, table, rows, study, found)
    frame = pd.DataFrame({name: columns[name] for name in wanted_columns(study) if name in columns})
    if not len(rows) and not table.problems:
        found.problems.append("there is no row of answers below the column names; add the answers")
    else:
        _remarkable(frame, rows, study, found)
    aside = [name for name in table.names if name and name not in wanted_columns(study)]
    found.note("Columns that the study file does not name were left aside", aside)
    found.note("User-missing values of the SPSS file became missing", user_missing)
    return frame


def _absent(table: Table, study: Study, found: Findings) -> None:
    absent = {name: place for name, place in wanted_columns(study).items() if name not in table.names}
    by_lower = {name.lower(): name for name in table.names if name}

    def said(name: str) -> str:
        near = difflib.get_close_matches(name.lower(), by_lower, n=1)
        return f"{name!r} ({absent[name]}{f'; did you mean {by_lower[near[0]]!r}?' if near else ''})"

    names = [name for name in table.names if name]
    there = ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
    found.problem("columns not in the file", map(said, absent), f"The file has: {there or 'no column names'}")


def _first_of_each_id(table: Table, study: Study, found: Findings) -> np.ndarray:
    """Places of the rows to keep: all, or the first of each id where the study says so."""
    everything = np.arange(len(table.rows))
    name = study.design.id
    if name is None or name not in table.columns:
        return everything
    ids = _texts(table.columns[name])
    if np.any(blank := pd.isna(ids)):
        found.note(f"Rows without an id in {name!r}", [_rows(table.rows, blank)])
    again = pd.Series(ids).duplicated().to_numpy() & ~pd.isna(ids)
    if not again.any():
        return everything
    if study.checks.duplicate_id == "first":
        found.note(
            f"Rows left out because their id in {name!r} was met before (checks: duplicate_id: first)",
            [f"{again.sum()} ({_rows(table.rows, again)})"],
        )
        return np.flatnonzero(~again)
    repeated = list(dict.fromkeys(ids[again]))
    cases = [f"{value!r} in {_rows(table.rows, ids == value)}" for value in repeated[:_FEW]]
    if len(repeated) > _FEW:
        cases.append(f"and {len(repeated) - _FEW} more ids")
    remedy = "Correct them, or write `checks: {duplicate_id: first}` to keep the first row of each"
    found.problem(f"ids used more than once in {name!r}", cases, remedy)
    return everything


def _items(
    codes: Mapping[str, np.ndarray], table: Table, rows: np.ndarray, study: Study, found: Findings
) -> dict[str, np.ndarray]:
    """The answers to all items as numbers: missing codes, labels, bounds and direction treated."""
    bounds, missing = study.bounds, study.missing
    labels = study.scale.labels if study.scale else {}
    coded = {n: _classified(table.columns[n].values, missing[n], labels) for n in study.items if n in codes}
    outside = {n: _outside(c, *bounds[n]) for n, c in coded.items()}

    def cases(chosen: Callable[[str], np.ndarray]) -> Iterable[str]:
        for name in coded:
            if said := _where(chosen(name), codes[name], table.columns[name].values, rows):
                low, high = bounds[name]
                yield f"{name} ({low:g} to {high:g}): {said}"

    def counts(chosen: Callable[[str], np.ndarray]) -> Iterable[str]:
        for name in coded:
            if k := int(np.count_nonzero(chosen(name)[codes[name]])):
                yield f"{name} ({k})"

    found.problem(
        "text in number columns",
        cases(lambda n: coded[n].kind == "text"),
        "Correct them; add texts that mean no answer to `missing_codes`, and answer texts to `scale: labels`",
    )
    found.problem("infinite values", cases(lambda n: coded[n].kind == "infinite"), "Correct or empty these cells")
    if study.checks.outside_scale == "error":
        remedy = "Correct them or the scale, add codes to `missing_codes`, or write `checks: {outside_scale: missing}`"
        found.problem("values outside the scale", cases(lambda n: outside[n]), remedy)
    else:
        total = sum(int(np.count_nonzero(outside[n][codes[n]])) for n in coded)
        said = f"Values outside the scale became missing (checks: outside_scale: missing), {total} in all"
        found.note(said, cases(lambda n: outside[n]))
    found.note("Empty cells", counts(lambda n: coded[n].kind == "empty"))
    found.note("Missing codes became missing", counts(lambda n: coded[n].kind == "code"))
    inside = [
        f"{_shown(code)} of {n}"
        for n, i in study.items.items()
        for code in i.missing_codes or ()
        if _inside(code, *bounds[n])
    ]
    found.note("Missing codes that lie inside the scale, as the study file states them", inside)
    found.note("Answer texts became numbers (scale: labels)", counts(lambda n: coded[n].kind == "label"))
    usable = {n: np.isfinite(c.numbers) & ~outside[n] for n, c in coded.items()}
    result = {n: np.where(usable[n], c.numbers, np.nan)[codes[n]] for n, c in coded.items()}
    fractions = (f"{n} ({k})" for n, x in result.items() if (k := int(np.count_nonzero(x % 1 > 0))))
    found.note("Answers that are not whole numbers", fractions)
    turned = [n for n, item in study.items.items() if item.reversed and n in result]
    found.note("Reversed items were recoded as low + high - answer", turned)
    for name in turned:
        result[name] = sum(bounds[name]) - result[name]
    # What an item would be without its bad cells says nothing; such items have been named above.
    refused = {n for n, c in coded.items() if np.isin(c.kind, ["text", "infinite"])[codes[n]].any()}
    if study.checks.outside_scale == "error":
        refused |= {n for n in coded if outside[n][codes[n]].any()}
    _vary({n: x for n, x in result.items() if n not in refused}, found)
    return result


def _classified(values: Iterable[Any], missing: Iterable[float | str], labels: Mapping[str, float]) -> _Coded:
    codes = {c if isinstance(c, str) else _shown(c) for c in missing}
    code_numbers = {x for c in missing if (x := _number(c)) is not None}
    numbers, kinds = [], []
    for value in values:
        text, number = _shown(value), _number(value)
        if not text:
            kind, number = "declared" if value is USER_MISSING else "empty", None
        elif text in codes or number in code_numbers:
            kind, number = "code", None
        elif text in labels:
            kind, number = "label", labels[text]
        elif number is None:
            kind = "text"
        else:
            kind = "number" if math.isfinite(number) else "infinite"
        numbers.append(math.nan if number is None else number)
        kinds.append(kind)
    return _Coded(np.array(numbers, dtype=float), np.array(kinds, dtype=object))


def _outside(coded: _Coded, low: float, high: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.isfinite(coded.numbers) & ((coded.numbers < low) | (coded.numbers > high))


def _inside(code: float | str, low: float, high: float) -> bool:
    number = _number(code)
    return number is not None and low <= number <= high


def _number(value: Any) -> float | None:
    """The number that a cell holds, possibly infinite; ``None`` if it is not a number as people write them."""
    if isinstance(value, str):
        text = value.strip()
        return float(text) if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text) else None
    if isinstance(value, (Real, Decimal)) and not isinstance(value, (bool, np.bool_)):
        return None if math.isnan(value) else float(value)
    return None


def _shown(value: Any) -> str:
    """A cell as text: what a person sees in it, without blanks around it; "" for no answer."""
    if value is None or value is USER_MISSING or (isinstance(value, float) and math.isnan(value)) or value is pd.NaT:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


def _texts(column: Column) -> np.ndarray:
    """A column of labels: text as written (value labels where the file has them), NaN for empty cells."""
    shown = [column.labels.get(value) or _shown(value) for value in column.values]
    return np.array([text if text else np.nan for text in shown] or [np.nan], dtype=object)[column.codes]


def _positive(name: str, column: Column, rows: np.ndarray, found: Findings, *, zero_allowed: bool) -> np.ndarray:
    """A column of weights or population sizes: numbers above zero in every row."""
    coded = _classified(column.values, (), {})
    empty = np.isin(coded.kind, ["empty", "declared"])
    bad = ~np.isin(coded.kind, ["number", "empty", "declared"]) | (coded.numbers < 0)
    zero = coded.numbers == 0
    said = []
    if lost := int(np.count_nonzero(empty[column.codes])):
        said.append(f"{lost} empty in {_rows(rows, empty[column.codes])}")
    if wrong := _where(bad if zero_allowed else bad | zero, column.codes, column.values, rows):
        said.append(wrong)
    if zero_allowed and len(rows) and not said and not np.any(coded.numbers[column.codes] > 0):
        said.append("all are zero")
    found.problem(f"values in {name!r} that are not positive numbers", said, "Give every row a number above zero")
    if zero_allowed and (k := int(np.count_nonzero(zero[column.codes]))):
        found.notes.append(f"Rows with weight zero, kept but without influence: {k}.")
    return coded.numbers[column.codes]


def _vary(items: Mapping[str, np.ndarray], found: Findings) -> None:
    """Items without any or with only one answer are problems; items that equal each other are remarkable."""
    empty = [n for n, x in items.items() if len(x) and np.isnan(x).all()]
    found.problem("items without any valid answer", empty, "Correct the column or leave the item out")
    constant = [
        f"{n} (always {x[~np.isnan(x)][0]:g})"
        for n, x in items.items()
        if n not in empty and len(x) and np.ptp(x[~np.isnan(x)]) == 0
    ]
    found.problem("items that do not vary", constant, "Leave them out of their construct")
    same: dict[bytes, list[str]] = {}
    for name, x in items.items():
        if name not in empty and len(x) > 1 and np.ptp(x[~np.isnan(x)]) > 0:
            same.setdefault(x.tobytes(), []).append(name)
    twins = [" = ".join(names) for names in same.values() if len(names) > 1]
    found.note("Warning, items with the same answer in every row (copied columns?)", twins)


def _remarkable(frame: pd.DataFrame, rows: np.ndarray, study: Study, found: Findings) -> None:
    """What is not wrong but must be known: silent rows, small samples, strata with one unit, gaps in labels."""
    items = [n for n in study.items if n in frame]
    silent = frame[items].isna().all(axis=1).to_numpy()
    if items and silent.any():
        found.notes.append(f"Rows without any answer, kept: {silent.sum()} ({_rows(rows, silent)}).")
    if len(frame) < _FEW:
        found.notes.append(f"Only {len(frame)} rows: too few for anything but a trial.")
    for role in ("strata", "psu"):
        name = getattr(study.design, role)
        if name in frame and frame[name].isna().any():
            where = _rows(rows, frame[name].isna().to_numpy())
            found.problem(f"empty cells in {name!r} (design.{role})", [where], "Give every row its label")
    strata, psu = study.design.strata, study.design.psu
    if strata in frame and (psu is None or psu in frame):
        units = frame.groupby(strata)[psu].nunique() if psu else frame.groupby(strata).size()
        lonely = [str(label) for label, count in units.items() if count == 1]
        what = f"Strata in {strata!r} with one {'PSU' if psu else 'row'}, where no variance can be estimated"
        found.note(what, lonely)
    for name in (n for n in study.segments if n in frame):
        if lost := int(frame[name].isna().sum()):
            found.notes.append(f"Rows without a label in segment {name!r}: {lost}.")
        if len(frame) and frame[name].nunique() < 2:
            found.notes.append(f"Segment {name!r} has fewer than two groups.")


def _where(chosen: np.ndarray, codes: np.ndarray, values: tuple[Any, ...], rows: np.ndarray) -> str:
    """The chosen distinct values with the rows they stand in."""
    present = np.intersect1d(np.flatnonzero(chosen), codes)
    said = [f"{_quoted(values[c])} in {_rows(rows, codes == c)}" for c in present[:_FEW]]
    return ", ".join(said) + (f" and {len(present) - _FEW} other values" if len(present) > _FEW else "")


def _quoted(value: Any) -> str:
    text = _shown(value)
    text = text if len(text) <= 40 else text[:37] + "..."
    return repr(text) if isinstance(value, str) and _number(value) is None else text


def _rows(rows: np.ndarray, chosen: np.ndarray) -> str:
    numbers = rows[np.asarray(chosen, dtype=bool)]
    few = ", ".join(str(n) for n in numbers[:_FEW])
    more = f" and {len(numbers) - _FEW} more" if len(numbers) > _FEW else ""
    return f"row{'s' * (len(numbers) > 1)} {few}{more}"
