"""What is known about the population: counts per category and totals, read and compared with the sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_columns
from csi_lab.errors import DataError, SpecError, listed

if TYPE_CHECKING:
    import pandas as pd

# Margins whose sums differ by a larger share contradict each other; smaller differences are rounding.
SAME_SUM = 1e-8


@dataclass(frozen=True, eq=False)
class Margin:
    """Counts of the population over the categories of one column, or of several columns crossed.

    Attributes
    ----------
    name
        Column, or columns joined by " x ".
    categories
        The ``c`` categories that have a count; tuples for crossed columns.
    wanted
        Their counts ``(c,)``, > 0.
    codes
        Number of each row's category ``(n,)``; -1 for rows that stand for nobody and have none.
    columns
        The columns.
    """

    name: str
    categories: tuple[Any, ...]
    wanted: np.ndarray
    codes: np.ndarray
    columns: tuple[str, ...] = ()

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Sum of weights per category ``(..., c)`` of weights ``(..., n)``."""
        return weights @ self.indicators

    @property
    def indicators(self) -> Any:
        """One column of zeros and ones per category, sparse ``(n, c)``."""
        from scipy import sparse

        at = np.flatnonzero(self.codes >= 0)
        shape = (len(self.codes), len(self.categories))
        return sparse.csr_matrix((np.ones(len(at)), (at, self.codes[at])), shape=shape)

    def table(self, before: np.ndarray, after: np.ndarray) -> pd.DataFrame:
        """``wanted, before, after`` per category, index (margin, category)."""
        return outcome_table(
            [(self.name, c) for c in self.categories], self.wanted, self.sums(before), self.sums(after)
        )


def outcome_table(
    rows: Sequence[tuple[str, Any]], wanted: np.ndarray, before: np.ndarray, after: np.ndarray
) -> pd.DataFrame:
    """The table of a step: ``wanted, before, after``, index (margin, category)."""
    import pandas as pd

    labels = [(name, in_words(c)) for name, c in rows]
    index = pd.MultiIndex.from_tuples(labels, names=["margin", "category"])
    return pd.DataFrame({"wanted": wanted, "before": before, "after": after}, index=index)


def read_margins(
    frame: pd.DataFrame, weights: np.ndarray, margins: Any, *, what: str = "margins"
) -> tuple[tuple[Margin, ...], tuple[str, ...]]:
    """Margins of the population, checked against each other and against the sample.

    Parameters
    ----------
    frame
        The rows.
    weights
        Weights before the adjustment ``(n,)``; a category is in the sample if its sum of weights is positive.
    margins
        Column (or tuple of columns) to counts per category; or a Series of counts whose index names are the columns;
        or a sequence of such Series.
    what
        What the caller calls them in messages.

    Returns
    -------
    tuple
        The margins, and notes: categories left out because nobody is in them, counts that look like shares.

    Raises
    ------
    SpecError
        If they are no mapping of columns to counts, or contradict each other.
    DataError
        If they do not fit the sample; all offenders are named.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"sex": ["f", "m", "f"]})
    >>> margins, notes = read_margins(frame, np.ones(3), {"sex": {"f": 20, "m": 10}})
    >>> margins[0].name, margins[0].wanted.tolist(), margins[0].codes.tolist()
    ('sex', [20.0, 10.0], [0, 1, 0])
    """
    given = [(_columns(key), counts) for key, counts in _pairs(margins, what)]
    if not given:
        raise SpecError(f"no {what} given; name a column and its counts, e.g. {{'sex': {{'f': 510, 'm': 490}}}}")
    require_columns(frame, [c for columns, _ in given for c in columns])
    found, problems, notes = [], [], []
    for columns, counts in given:
        name = " x ".join(map(str, columns))
        wrong = _wrong_counts(columns, counts)
        if wrong:
            problems.append(f"{name}: {wrong}")
            continue
        values = {k: float(v) for k, v in dict(counts).items()}
        margin = Margin(
            name, tuple(values), np.array(list(values.values())), _codes(frame, columns, list(values)), columns
        )
        faults = _misfits(frame, columns, margin, weights)
        problems += [f"{name}: {fault}" for fault in faults]
        # An empty category that is also empty in the population needs no column of its own.
        empty = [c for c, v in values.items() if v == 0]
        if empty and not faults:
            notes.append(f"{name}: categories with a count of 0 and nobody in the sample left out: {empty}")
            kept = {k: v for k, v in values.items() if v > 0}
            margin = Margin(
                name, tuple(kept), np.array(list(kept.values())), _codes(frame, columns, list(kept)), columns
            )
        found.append(margin)
    if problems:
        raise DataError(listed(problems, f"the {what} do not fit the sample"), problems)
    sums = {m.name: float(m.wanted.sum()) for m in found}
    if max(sums.values()) - min(sums.values()) > SAME_SUM * max(sums.values()):
        shown = ", ".join(f"{name!r} {total:,.10g}" for name, total in sums.items())
        raise SpecError(f"the {what} add up to different totals: {shown}; rescale them to one population size")
    size, used = next(iter(sums.values())), int((weights != 0).sum())
    if size < used * (1 - SAME_SUM):
        notes.append(
            f"the {what} add up to {size:g}, less than the {used} rows: means are right, but totals and population "
            "sizes need counts, not shares"
        )
    return tuple(found), tuple(notes)


def in_words(category: Any) -> str:
    """A category as text; those of crossed columns one after the other.

    Examples
    --------
    >>> in_words(("f", 3)), in_words("north")
    ('f, 3', 'north')
    """
    return ", ".join(map(str, category)) if isinstance(category, tuple) else str(category)


def as_columns(columns: Any) -> list[Any]:
    """Column names as a list; a single name may be given alone.

    Examples
    --------
    >>> as_columns("region"), as_columns(3), as_columns(("region", "age"))
    (['region'], [3], ['region', 'age'])
    """
    alone = isinstance(columns, str) or not isinstance(columns, Iterable)
    return [columns] if alone else list(columns)


def numbers_in(frame: pd.DataFrame, column: str) -> np.ndarray | None:
    """A column as floats, NaN where missing; ``None`` if it holds text, dates or categories."""
    from pandas.api.types import is_numeric_dtype

    values = frame[column]
    return values.to_numpy(dtype=float, na_value=np.nan) if is_numeric_dtype(values) else None


def row_labels(frame: pd.DataFrame, at: np.ndarray, show: int = 5) -> str:
    """Labels of some rows for a message."""
    labels = ", ".join(str(frame.index[i]) for i in at[:show])
    return labels + (f", … (+{len(at) - show})" if len(at) > show else "")


def cells_of(frame: pd.DataFrame, columns: Sequence[str], weights: np.ndarray) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Number of each row's cell ``(n,)`` and the cells, sorted; rows of weight 0 may lack a value and get -1.

    Raises
    ------
    DataError
        If a column is absent, or is missing in rows with a weight.
    """
    require_columns(frame, columns)
    problems = [p for c in columns if (p := _absent_values(frame, c, weights))]
    if problems:
        raise DataError(listed(problems, "cells cannot be formed"), problems)
    known = frame[list(columns)].notna().all(axis=1).to_numpy() & (weights != 0)
    codes = np.full(len(frame), -1)
    codes[known] = frame.loc[known, list(columns)].groupby(list(columns), observed=True, sort=True).ngroup().to_numpy()
    first = np.unique(codes[known], return_index=True)[1]
    rows = frame.iloc[np.flatnonzero(known)[first]][list(columns)].astype(object).itertuples(index=False, name=None)
    cells = tuple(row[0] if len(row) == 1 else row for row in rows)
    return codes, cells


def _pairs(margins: Any, what: str) -> list[tuple[Any, Any]]:
    """Columns and counts, whatever the form."""
    if isinstance(margins, Mapping):
        return list(margins.items())
    series = [margins] if hasattr(margins, "index") and hasattr(margins, "items") else margins
    if not isinstance(series, Sequence) or isinstance(series, str):
        raise SpecError(f"{what} must map columns to counts per category, got {type(margins).__name__}")
    if tables := [s for s in series if hasattr(s, "columns")]:
        *keys, count = map(str, tables[0].reset_index(drop=tables[0].index.names == [None]).columns)
        raise SpecError(
            f"{what} must be counts by category, not a table: make it a Series, e.g. of the last column, "
            f"table.set_index({keys})[{count!r}]"
        )
    nameless = [k for k, s in enumerate(series) if not hasattr(s, "index") or any(n is None for n in s.index.names)]
    if nameless:
        raise SpecError(
            f"{what} number {nameless} (from 0): a Series of counts needs index names that are columns of the data"
        )
    return [(tuple(s.index.names), s) for s in series]


def _columns(key: Any) -> tuple[str, ...]:
    return tuple(key) if isinstance(key, (tuple, list)) else (key,)


def _wrong_counts(columns: tuple[str, ...], counts: Any) -> str:
    """Why these are no counts; empty when they are."""
    if not hasattr(counts, "items") or not len(counts):
        return f"counts per category needed, got {counts!r}"
    if hasattr(counts, "index") and not counts.index.is_unique:
        return f"categories twice: {sorted(map(str, counts.index[counts.index.duplicated()].unique()))}"
    counts = dict(counts)
    if len(columns) > 1:
        short = [k for k in counts if not isinstance(k, tuple) or len(k) != len(columns)]
        if short:
            return f"categories of {len(columns)} crossed columns are tuples of {len(columns)}; got {short[:5]}"
    wrong = {k: v for k, v in counts.items() if not _is_count(v)}
    if wrong:
        return f"counts must be finite numbers >= 0, got {wrong}"
    return "" if sum(float(v) for v in counts.values()) > 0 else "all counts are 0"


def _is_count(value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, str) and bool(np.isfinite(number)) and number >= 0


def _codes(frame: pd.DataFrame, columns: Sequence[str], categories: list[Any]) -> np.ndarray:
    """Position of each row's category in the list, -1 where it has none."""
    place = {c: k for k, c in enumerate(categories)}
    if len(columns) == 1:
        values: Iterable[Any] = frame[columns[0]].astype(object)
    else:
        values = zip(*(frame[c].astype(object) for c in columns), strict=True)
    return np.array([place.get(v, -1) if _hashable(v) else -1 for v in values], dtype=int)


def _hashable(value: Any) -> bool:
    parts = value if isinstance(value, tuple) else (value,)
    return all(getattr(part, "__hash__", None) is not None for part in parts)


def _absent_values(frame: pd.DataFrame, column: str, weights: np.ndarray) -> str:
    at = np.flatnonzero(frame[column].isna().to_numpy() & (weights != 0))
    if not len(at):
        return ""
    return (
        f"column {column!r} is missing in {len(at)} rows: {row_labels(frame, at)}; "
        'fill them in, or make "unknown" a category with its own count'
    )


def _misfits(frame: pd.DataFrame, columns: tuple[str, ...], margin: Margin, weights: np.ndarray) -> list[str]:
    """Where the counts and the sample do not match, one sentence per kind."""
    missing = [p for c in columns if (p := _absent_values(frame, c, weights))]
    if missing:
        return missing
    problems = []
    unknown = np.flatnonzero((margin.codes < 0) & (weights != 0))
    if len(unknown):
        rows = frame.iloc[unknown][list(columns)].astype(object).itertuples(index=False, name=None)
        found = [row[0] if len(row) == 1 else row for row in rows]
        names = list({str(name): name for name in found}.values())
        same = {str(c) for c in margin.categories}.intersection(map(str, names))
        hint = " (the same labels occur as another type: numbers against text)" if same else ""
        problems.append(
            f"categories in the sample without a count: {names[:10]}, {len(unknown)} rows{hint}; "
            "give their counts or recode them"
        )
    sums = margin.sums(weights)
    empty = [c for c, w, s in zip(margin.categories, margin.wanted, sums, strict=True) if w > 0 and not s > 0]
    if empty:
        problems.append(
            f"categories with a count but nobody in the sample: {empty[:10]}; merge each with a similar category, "
            "in the data and in the counts"
        )
    extra = [c for c, w, s in zip(margin.categories, margin.wanted, sums, strict=True) if w == 0 and s > 0]
    if extra:
        problems.append(f"categories with a count of 0 but respondents in the sample: {extra[:10]}; correct the counts")
    return problems
