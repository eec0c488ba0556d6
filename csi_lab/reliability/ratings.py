"""Ratings of units by raters: what is checked, how labels become categories, how tables become ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import as_items, require_columns
from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError, listed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings as category numbers.

    Attributes
    ----------
    codes
        ``(n, m)`` category number of unit i by rater j, -1 where there is no rating.
    categories
        The q categories, in order.
    raters
        The m columns.
    design
        Columns of weights, strata and PSUs, ``(n, c)``, and their roles.
    """

    codes: np.ndarray
    categories: tuple[Any, ...]
    raters: tuple[str, ...]
    frame: pd.DataFrame
    design: Design

    @classmethod
    def of(
        cls,
        data: Any,
        raters: Sequence[str] | None,
        categories: Sequence[Any] | None,
        design: Design | None,
    ) -> Ratings:
        """Read a frame with a row per unit and a column per rater.

        Raises
        ------
        DataError
            If columns are absent, share a name, mix text and numbers, hold dates, blank labels or values that are not
            among the categories, or fewer than two raters or categories are there.
        SpecError
            If categories are named twice or are no labels, or the design is none.
        """
        frame = getattr(data, "frame", data)
        if not hasattr(frame, "columns"):
            raise DataError(f"need a DataFrame with a row per unit and a column per rater, got {type(data).__name__}")
        if design is not None and not isinstance(design, Design):
            raise SpecError(f"design= takes a csi.Design, not {type(design).__name__}")
        if design is None:
            design = getattr(data, "design", Design())
        if raters is None:
            raters = [c for c in frame.columns if c not in design.columns]
        raters = list(as_items(raters))
        require_columns(frame, [*raters, *design.columns])
        twice = sorted({str(c) for c in raters if raters.count(c) > 1 or (frame.columns == c).sum() > 1})
        if twice:
            raise DataError(f"raters are named twice: {twice}")
        if len(raters) < 2:
            raise DataError(f"agreement needs two raters or more, got {raters}")
        if categories is not None:
            categories = list(as_items(categories))
            again = [c for k, c in enumerate(categories) if c in categories[:k]]
            if again:
                raise SpecError(f"categories are named twice: {again}")
            odd = [c for c in categories if not isinstance(c, (str, int, float, np.number))]
            if odd:
                raise SpecError(f"categories are labels or numbers; these are not: {odd}")
        values, known = _values(frame, raters)
        found = sorted(set(values[known].tolist()))
        order = found if categories is None else list(categories)
        strange = [v for v in found if v not in order]
        if strange:
            raise DataError(
                f"ratings that are not among the categories {order}: {strange[:8]}; correct or declare them"
            )
        if len(order) < 2:
            raise DataError(
                f"only one category was used: {order}; agreement beyond chance cannot be told "
                "(declare all possible ones with categories=, if a coefficient with chance 1/q is wanted)"
            )
        number = {value: k for k, value in enumerate(order)}
        codes = np.array(
            [[number[v] if k else -1 for v, k in zip(*row, strict=True)] for row in zip(values, known, strict=True)]
        )
        return cls(codes, tuple(order), tuple(map(str, raters)), frame[list(design.columns)], design)

    @property
    def counts(self) -> np.ndarray:
        """How many raters put each unit into each category ``(n, q)``."""
        return (self.codes[:, :, None] == np.arange(len(self.categories))).sum(axis=1).astype(float)

    @property
    def numbers(self) -> np.ndarray | None:
        """The categories as numbers; ``None`` if they are labels."""
        if any(isinstance(c, (str, bool)) for c in self.categories):
            return None
        return np.array(self.categories, dtype=float)


def _values(frame: pd.DataFrame, raters: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Ratings as plain numbers or labels ``(n, m)``, and where there is one."""
    values = frame[list(raters)].astype(object).to_numpy(copy=True)
    known = frame[list(raters)].notna().to_numpy()
    problems, kinds = [], set()
    for name, column, there in zip(raters, values.T, known.T, strict=True):
        given = [v.item() if isinstance(v, np.generic) else v for v in column[there]]
        column[there] = given
        if not len(given):
            problems.append(f"column {str(name)!r} holds no rating")
        odd = [v for v in given if not isinstance(v, (str, int, float))]
        if odd:
            problems.append(f"column {str(name)!r} holds dates or other objects, e.g. {odd[0]!r}")
        if any(isinstance(v, float) and not np.isfinite(v) for v in given):
            problems.append(f"column {str(name)!r} holds infinite values")
        if any(isinstance(v, str) and not v.strip() for v in given):
            problems.append(f"column {str(name)!r} holds blank labels")
        kinds |= {isinstance(v, str) for v in given}
    if not problems and len(kinds) > 1:
        mixed = [
            str(c)
            for c, column, there in zip(raters, values.T, known.T, strict=True)
            if any(isinstance(v, str) for v in column[there])
        ]
        problems.append(f"text in columns {mixed} and numbers elsewhere are not the same categories")
    if problems:
        raise DataError(listed(problems, "ratings must be labels or numbers; mark missing ones as empty"), problems)
    return values, known


def ratings_from_counts(counts: Any) -> pd.DataFrame:
    """Ratings behind a table of counts, one row per unit, one column per category.

    Parameters
    ----------
    counts
        ``(units, q)`` DataFrame or array: how many raters put the unit into the category.

    Returns
    -------
    DataFrame
        One row per unit; as many columns as the most rated unit has ratings. Which rater gave which is not known, so
        only coefficients that do not ask (Fleiss, AC1, Krippendorff) may be computed from it.

    Raises
    ------
    DataError
        If the counts are not whole numbers >= 0.

    Examples
    --------
    >>> ratings_from_counts([[2, 1], [0, 3]]).to_numpy().tolist()
    [[0, 0, 1], [1, 1, 1]]
    """
    import pandas as pd

    table, labels = _whole(counts)
    most = int(table.sum(axis=1).max())
    rows = [[label for label, k in zip(labels, row, strict=True) for _ in range(k)] for row in table.tolist()]
    index = counts.index if hasattr(counts, "columns") else None
    full = [row + [None] * (most - len(row)) for row in rows]
    return pd.DataFrame(full, index=index, columns=[f"rating{j}" for j in range(1, most + 1)])


def ratings_from_table(table: Any) -> pd.DataFrame:
    """Pairs of ratings behind a cross table of two raters.

    Parameters
    ----------
    table
        ``(q, q)`` DataFrame or array of counts: rows the first rater's categories, columns the second's, in the same
        order.

    Returns
    -------
    DataFrame
        Columns ``first``, ``second``, one row per unit.

    Raises
    ------
    DataError
        If the counts are not whole numbers >= 0, or rows and columns are not the same categories.

    Examples
    --------
    >>> len(ratings_from_table([[20, 5], [10, 15]]))
    50
    """
    import pandas as pd

    cells, labels = _whole(table)
    if cells.shape[0] != cells.shape[1] or (hasattr(table, "columns") and list(table.index) != labels):
        raise DataError("rows and columns of the cross table must be the same categories in the same order")
    pairs = [
        (a, b)
        for a, row in zip(labels, cells.tolist(), strict=True)
        for b, k in zip(labels, row, strict=True)
        for _ in range(k)
    ]
    return pd.DataFrame(pairs, columns=["first", "second"])


def _whole(counts: Any) -> tuple[np.ndarray, list[Any]]:
    """Counts as whole numbers, with the column labels."""
    try:
        x = np.asarray(counts, dtype=float)
    except (TypeError, ValueError):
        raise DataError("counts must be numbers") from None
    if x.ndim != 2 or not x.size or not np.isfinite(x).all() or (x < 0).any() or (x != np.rint(x)).any() or not x.sum():
        raise DataError("counts must be a table of whole numbers, none of them negative or missing, not all zero")
    labels = list(counts.columns) if hasattr(counts, "columns") else list(range(x.shape[1]))
    return x.astype(int), labels
