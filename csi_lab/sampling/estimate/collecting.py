"""From the rows that count to a table of estimates: the steps that all design-based estimates share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.sampling.estimate.limits import critical
from csi_lab.sampling.estimate.respondents import Gaps, Respondents
from csi_lab.sampling.estimate.results import COLUMNS, Estimate, Estimates
from csi_lab.sampling.estimate.sums import ROUNDING, Sums
from csi_lab.sampling.estimate.wording import enumerated

Simple = Literal["means", "totals"] | None


def usable_rows(
    people: Respondents, values: dict[str, np.ndarray], by: str | Sequence[str] | None, missing: Gaps
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Rows that have all values and a domain."""
    gaps = {name: np.isnan(x) for name, x in values.items()}
    if by is not None:
        columns, _ = columns_of(by)
        if not columns:
            raise SpecError("by=[] names no column; leave it out")
        twice = [c for k, c in enumerate(columns) if c in columns[:k]]
        if twice:
            raise SpecError(f"by={columns!r} names {twice} twice")
        gaps |= {f"domain {c}": people.labels([c])[0] < 0 for c in columns}
    rows, notes = people.counted(gaps, missing)
    return rows, (*people.notes, *notes)


def categories_of(
    people: Respondents, column: str, by: str | Sequence[str] | None, missing: Gaps
) -> tuple[list[np.ndarray], pd.Index, np.ndarray, tuple[str, ...]]:
    """Indicators of the categories that occur, their labels, the rows that count and the notes."""
    if not isinstance(column, str):
        raise SpecError(f"one column of categories at a time, got {column!r}")
    codes, labels = people.labels([column])
    rows, notes = usable_rows(people, {column: np.where(codes < 0, np.nan, 0.0)}, by, missing)
    there = np.unique(codes[rows])
    return [codes == k for k in there], labels[there], rows, notes


def domains_of(
    people: Respondents, by: str | Sequence[str] | None, rows: np.ndarray
) -> tuple[pd.Index | None, list[np.ndarray]]:
    if by is None:
        return None, [rows]
    groups, parts = people.domains(columns_of(by)[0], rows)
    return groups, parts


def linear_estimates(
    statistic: str,
    what: str,
    people: Respondents,
    values: list[np.ndarray],
    labels: pd.Index | None,
    by: str | Sequence[str] | None,
    rows: np.ndarray,
    level: float,
    notes: tuple[str, ...],
) -> Estimates:
    """Means or totals over all rows, or over those of each domain."""
    if statistic == "total" and not people.expanding:
        raise SpecError(
            "a total needs sampling weights or population sizes: name them in the design, or give weights= "
            "(without them the rows stand for no number of units)"
        )
    groups, parts = domains_of(people, by, rows)
    own = []
    for at in parts:
        sums = people.sums(values, at)
        own.append((sums, *((sums.mean, sums.of_means()) if statistic == "mean" else (sums.total, sums.of_totals()))))
    index = row_index(groups, pd.Index([what]) if labels is None else labels, labels is not None)
    simple: Simple = "totals" if statistic == "total" else "means"
    return collected(what if by is None else f"{what} by {named(by)}", people, own, index, level, notes, simple)


def collected(
    what: str,
    people: Respondents,
    own: list[tuple[Sums, np.ndarray, np.ndarray]],
    index: pd.Index,
    level: float,
    notes: tuple[str, ...],
    simple: Simple,
) -> Estimates:
    """One table from the sums, estimates and influence totals of each domain.

    ``simple``: whether the design effects are those of means or of totals; ``None`` where the statistic has none.
    """
    covariance = people.nested.joint_covariance([(sums.codes, z) for sums, _, z in own], people.lonely)
    value = np.concatenate([found for _, found, _ in own])
    error = roots(covariance)
    # What rounding leaves of values that do not vary is no error, and no test should find it.
    flat = error <= ROUNDING * np.abs(value)
    if flat.any():
        error[flat] = covariance[flat] = covariance[:, flat] = 0.0
    k = len(own[0][1])
    df = np.repeat([sums.df for sums, _, _ in own], k)
    error = known_errors(error, df, np.abs(value))
    half = critical(df, level) * error
    deffs = np.full((2, len(value)), np.nan)
    if simple:
        for d, (sums, _, _) in enumerate(own):
            here = slice(d * k, (d + 1) * k)
            for row, v in enumerate(sums.simple_variance(totals=simple == "totals")):
                with np.errstate(divide="ignore", invalid="ignore"):
                    deffs[row, here] = np.where(v > 0, error[here] ** 2 / v, np.nan)
    kish, n = (np.repeat([getattr(sums, a) for sums, _, _ in own], k) for a in ("kish", "n"))
    notes = (*notes, *people.said_of_degrees([sums.rows for sums, _, _ in own]), *without_degrees(index, df))
    parts = (value, error, value - half, value + half, df, *deffs, kish, n)
    table = pd.DataFrame(dict(zip(COLUMNS, parts, strict=True)), index=index)
    rows = own[0][0].rows if len(own) == 1 else np.unique(np.concatenate([sums.rows for sums, _, _ in own]))
    matrix = pd.DataFrame(covariance, index=index, columns=index)
    return Estimates(what, table, matrix, level, "t", notes, test_df=people.degrees(rows))


def known_errors(error: np.ndarray, df: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Standard errors, NaN where a single sampling unit made them zero by construction."""
    return np.where((df <= 0) & (error <= 1e-9 * size), np.nan, error)


def without_degrees(index: pd.Index, df: np.ndarray) -> tuple[str, ...]:
    """Which rows have no interval because each of their strata holds one sampling unit."""
    if not (df <= 0).any():
        return ()
    return (f"no degrees of freedom (one sampling unit per stratum), hence no interval: {enumerated(index[df <= 0])}",)


def only(found: Estimates, statistic: str, name: str) -> Estimate:
    """The single row of a table as a result of its own."""
    value, *rest = found.table.iloc[0].tolist()
    se, low, high, df, deff, deff_replace, kish, n = rest
    return Estimate(
        statistic,
        name,
        value,
        se,
        low,
        high,
        found.level,
        df,
        deff,
        deff_replace,
        kish,
        int(n),
        found.interval,
        found.notes,
    )


def row_index(groups: pd.Index | None, labels: pd.Index, several: bool) -> pd.Index:
    """Rows of a table: domains, columns, or both."""
    if groups is None:
        return labels
    if not several:
        return groups
    pairs = [(*(g if isinstance(g, tuple) else (g,)), label) for g in groups for label in labels]
    return pd.MultiIndex.from_tuples(pairs, names=[*groups.names, *labels.names])


def named(by: str | Sequence[str]) -> str:
    return ", ".join(map(str, columns_of(by)[0]))


def roots(covariance: np.ndarray) -> np.ndarray:
    """Standard errors; rounding may leave variances of -1e-30 where they are zero."""
    return np.sqrt(np.maximum(np.diagonal(covariance), 0.0))


def columns_of(columns: Any) -> tuple[list[Any], bool]:
    """The columns asked for, and whether a single one was named and not a list."""
    single = isinstance(columns, (str, bytes)) or not isinstance(columns, Iterable)
    return ([columns] if single else list(columns)), single
