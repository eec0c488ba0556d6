"""From a table as read to answers that fit the study: every check, and every treatment with its count."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.study.cells import Coded, as_they_are, classified, number, shown, texts, where
from csi_lab.study.findings import Findings, first_few, rows_said
from csi_lab.study.sample import judge
from csi_lab.study.specification import Study
from csi_lab.study.table import USER_MISSING, Column, Table


def wanted_columns(study: Study) -> dict[str, str]:
    """Every column that the study names, in the order of the frame, with the place in the study file that names it."""
    roles = study.design.model_dump(exclude_none=True)
    design = [(role, [name] if isinstance(name, str) else name) for role, name in roles.items()]
    places: dict[str, str] = {}
    for name, place in [
        *((column, f"design.{role}") for role, columns in design for column in columns),
        *((column, "segments") for column in study.segments),
        *((item, f"constructs.{c}") for c, block in study.constructs.items() for item in block.items),
        *((column, "open_answers") for column in study.open_answers),
        *((column, "keep") for column in study.keep),
    ]:
        places.setdefault(name, place)
    return places


def prepare(table: Table, study: Study, found: Findings) -> pd.DataFrame:
    """The answers as the study understands them; look into ``found.problems`` before using them."""
    found.problems += table.problems
    _absent(table, study, found)
    ids, keep = _first_of_each_id(table, study, found)
    rows = table.rows[keep]
    columns: dict[str, Any] = {}
    user_missing: list[str] = []
    numeric = {study.design.weights, *study.design.sample.populations}
    items = study.items
    for name in wanted_columns(study):
        if name not in table.columns:
            continue
        column = table.columns[name]
        column = Column(column.codes[keep], column.values, column.labels)
        if declared := np.count_nonzero(np.array([v is USER_MISSING for v in column.values])[column.codes]):
            user_missing.append(f"{name} ({declared})")
        if name in numeric:
            columns[name] = _positive(name, column, rows, study, found)
        elif name in study.keep:
            columns[name] = as_they_are(column, study.data.decimal)
        elif name not in items:
            columns[name] = texts(column) if ids is None or name != study.design.id else ids[keep]
    columns |= _items({n: c.codes[keep] for n, c in table.columns.items() if n in items}, table, rows, study, found)
    frame = pd.DataFrame({name: columns[name] for name in wanted_columns(study) if name in columns})
    if not len(rows) and not table.problems:
        found.problems.append("there is no row of answers below the column names; add the answers")
    else:
        judge(frame, rows, study, found)
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


def _first_of_each_id(table: Table, study: Study, found: Findings) -> tuple[np.ndarray | None, np.ndarray]:
    """The ids, if there are any, and the places of the rows that stay: all, or the first of each id."""
    everything = np.arange(len(table.rows))
    name = study.design.id
    if name is None or name not in table.columns:
        return None, everything
    ids = texts(table.columns[name])
    if np.any(blank := pd.isna(ids)):
        found.note(f"Rows without an id in {name!r}", [rows_said(table.rows, blank)])
    # A row of weight zero is nobody: it repeats no interview and takes the place of none.
    counts = ~pd.isna(ids) & ~_of_weight_zero(table, study)
    again = np.zeros(len(ids), dtype=bool)
    again[counts] = pd.Series(ids[counts]).duplicated().to_numpy()
    if not again.any():
        return ids, everything
    if study.checks.duplicate_id == "first":
        found.note(
            f"Rows left out because their id in {name!r} was met before (checks: duplicate_id: first)",
            [f"{again.sum()} ({rows_said(table.rows, again)})"],
        )
        return ids, np.flatnonzero(~again)
    repeated = list(dict.fromkeys(ids[again]))
    cases = first_few((f"{value!r} in {rows_said(table.rows, (ids == value) & counts)}" for value in repeated), "ids")
    if study.checks.duplicate_id == "keep":
        what = f"Warning, rows whose id in {name!r} was met before count again (checks: duplicate_id: keep)"
        found.note(f"{what}, {again.sum()} in all; csi.cleaning.duplicate_ids finds them", cases)
        return ids, everything
    remedy = (
        "Correct them, or write `checks: {duplicate_id: first}` to keep the first row of each, or "
        "`checks: {duplicate_id: keep}` to look at them with csi.cleaning"
    )
    found.problem(f"ids used more than once in {name!r}", cases, remedy)
    return ids, everything


def _of_weight_zero(table: Table, study: Study) -> np.ndarray:
    """Which rows hold the weight 0; what else the column may hold is judged where the weights are read."""
    column = table.columns.get(study.design.weights or "")
    if column is None:
        return np.zeros(len(table.rows), dtype=bool)
    zero: np.ndarray = classified(column.values, (), {}, study.data.decimal).numbers == 0
    return zero[column.codes]


def _items(
    codes: Mapping[str, np.ndarray], table: Table, rows: np.ndarray, study: Study, found: Findings
) -> dict[str, np.ndarray]:
    """The answers to all items as numbers: missing codes, labels, bounds and direction treated."""
    bounds, missing, decimal = study.bounds, study.missing, study.data.decimal
    labels = study.scale.labels if study.scale else {}
    coded = {n: classified(table.columns[n].values, missing[n], labels, decimal) for n in study.items if n in codes}
    outside = {n: _outside(c, *bounds[n]) for n, c in coded.items()}
    kept = study.checks.outside_scale == "keep"

    def cases(chosen: Callable[[str], np.ndarray]) -> Iterable[str]:
        for name in coded:
            if said := where(chosen(name), codes[name], table.columns[name].values, rows, decimal):
                low, high = bounds[name]
                yield f"{name} ({low:g} to {high:g}): {said}"

    def counts(chosen: Callable[[str], np.ndarray]) -> Iterable[str]:
        for name in coded:
            if k := int(np.count_nonzero(chosen(name)[codes[name]])):
                yield f"{name} ({k})"

    remedy = "Correct them; add texts that mean no answer to `missing_codes`, and answer texts to `scale: labels`"
    if decimal == "." and any(number(v, ",") is not None for v in _of_kind("text", coded, codes, table)):
        remedy += '; if numbers are written with a decimal comma, write `decimal: ","` under `data`'
    if decimal == "," and any(number(v) is not None for v in _of_kind("text", coded, codes, table)):
        remedy += '; numbers are written with a point here, but the study file says `decimal: ","`'
    found.problem("text in number columns", cases(lambda n: coded[n].kind == "text"), remedy)
    found.problem(
        "logical values in number columns",
        cases(lambda n: coded[n].kind == "logical"),
        "Store numbers in the file, or say under `scale: labels` which numbers they stand for, such as `TRUE: 1`",
    )
    found.problem("infinite values", cases(lambda n: coded[n].kind == "infinite"), "Correct or empty these cells")
    if study.checks.outside_scale == "error":
        remedy = (
            "Correct them or the scale, add codes to `missing_codes`, or write `checks: {outside_scale: missing}`, or "
            "`checks: {outside_scale: keep}` to look at them with csi.cleaning"
        )
        found.problem("values outside the scale", cases(lambda n: outside[n]), remedy)
    else:
        total = sum(int(np.count_nonzero(outside[n][codes[n]])) for n in coded)
        said = f"Values outside the scale became missing (checks: outside_scale: missing), {total} in all"
        if kept:
            said = (
                f"Warning, impossible answers stay in the data (checks: outside_scale: keep), {total} in all; clean "
                "them with csi.cleaning before estimating"
            )
        found.note(said, cases(lambda n: outside[n]))
    found.note("Empty cells", counts(lambda n: coded[n].kind == "empty"))
    found.note("Missing codes became missing", counts(lambda n: coded[n].kind == "code"))
    note_codes_inside(study, found)
    found.note("Answer texts became numbers (scale: labels)", counts(lambda n: coded[n].kind == "label"))
    usable = {n: np.isfinite(c.numbers) & (kept | ~outside[n]) for n, c in coded.items()}
    result = {n: np.where(usable[n], c.numbers, np.nan)[codes[n]] for n, c in coded.items()}
    fractions = (f"{n} ({k})" for n, x in result.items() if (k := int(np.count_nonzero(x % 1 > 0))))
    found.note("Answers that are not whole numbers", fractions)
    turned = [n for n, item in study.items.items() if item.reversed and n in result]
    found.note("Reversed items were recoded as low + high - answer", turned)
    for name in turned:
        # An impossible answer has no counterpart on the scale: it stays as it is written.
        possible = ~outside[name][codes[name]]
        result[name] = np.where(possible, sum(bounds[name]) - result[name], result[name])
    # What an item would be without its bad cells says nothing; such items have been named above.
    refused = {n for n, c in coded.items() if np.isin(c.kind, ["text", "logical", "infinite"])[codes[n]].any()}
    if study.checks.outside_scale == "error":
        refused |= {n for n in coded if outside[n][codes[n]].any()}
    _vary({n: x for n, x in result.items() if n not in refused}, found)
    return result


def _outside(coded: Coded, low: float, high: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.isfinite(coded.numbers) & ((coded.numbers < low) | (coded.numbers > high))


def _of_kind(kind: str, coded: Mapping[str, Coded], codes: Mapping[str, np.ndarray], table: Table) -> Iterator[Any]:
    """The distinct values of one kind that stand in the rows."""
    for name, column in coded.items():
        for at in np.intersect1d(np.flatnonzero(column.kind == kind), codes[name]):
            yield table.columns[name].values[at]


def _positive(name: str, column: Column, rows: np.ndarray, study: Study, found: Findings) -> np.ndarray:
    """A column of weights or population sizes: numbers above zero in every row; some weights may be zero."""
    zero_allowed, decimal = name == study.design.weights, study.data.decimal
    coded = classified(column.values, (), {}, decimal)
    empty = np.isin(coded.kind, ["empty", "declared"])
    bad = ~np.isin(coded.kind, ["number", "empty", "declared"]) | (coded.numbers < 0)
    zero = coded.numbers == 0
    said = []
    if lost := int(np.count_nonzero(empty[column.codes])):
        said.append(f"{lost} empty in {rows_said(rows, empty[column.codes])}")
    if wrong := where(bad if zero_allowed else bad | zero, column.codes, column.values, rows, decimal):
        said.append(wrong)
    if zero_allowed and len(rows) and not said and not np.any(coded.numbers[column.codes] > 0):
        said.append("all are zero")
    found.problem(f"values in {name!r} that are not positive numbers", said, "Give every row a number above zero")
    if zero_allowed and (k := int(np.count_nonzero(zero[column.codes]))):
        found.notes.append(f"Rows with weight zero, left out of every estimate: {k}.")
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
    same: dict[bytes, list[str]] = {}  # by digest: the columns themselves would be a second copy of the survey
    for name, x in items.items():
        if name not in empty and len(x) > 1 and np.ptp(x[~np.isnan(x)]) > 0:
            same.setdefault(hashlib.sha256(x.data).digest(), []).append(name)
    twins = [" = ".join(names) for names in same.values() if len(names) > 1]
    found.note("Warning, items with the same answer in every row (copied columns?)", twins)


def note_codes_inside(study: Study, found: Findings) -> None:
    """Missing codes that could be answers, which the study file alone tells."""
    inside = [
        f"{shown(code)} of {name}"
        for name, item in study.items.items()
        for code in item.missing_codes or ()
        if (x := number(code, study.data.decimal)) is not None and study.bounds[name][0] <= x <= study.bounds[name][1]
    ]
    found.note("Missing codes that lie inside the scale, as the study file states them", inside)
