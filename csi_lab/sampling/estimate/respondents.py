"""The rows of a sample with their weights and sampling units: what every estimate begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import infinite_values, require_columns, require_numbers, require_possible, split_weights
from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.moments import Moments
from csi_lab.sampling.estimate.nested import Nested
from csi_lab.sampling.estimate.stage_variance import Lonely, require_lonely
from csi_lab.sampling.estimate.sums import Sums, unit_totals, weighted_totals
from csi_lab.settings import is_number

if TYPE_CHECKING:
    import pandas as pd

Gaps = Literal["raise", "listwise"]
Degrees = float | Literal["present", "design"]


@dataclass(frozen=True, eq=False)
class Respondents:
    """The rows of a sample with their weights and sampling units.

    Attributes
    ----------
    frame
        One row per respondent.
    design
        Names of its design columns.
    nested
        The sampling units.
    weights
        ``(n,)`` final weights; 0: nobody, but the row's units stay in the design.
    adjusted
        Weights with their adjustments, whose calibrations reduce the variance; ``None`` for plain weights.
    expanding
        Whether the weights say how many units of the population a row stands for, so that totals have a meaning.
    lonely, df
        Treatment of single units, and the rule for degrees of freedom.
    notes
        What was done to the weights.
    """

    frame: pd.DataFrame
    design: Design
    nested: Nested
    weights: np.ndarray
    adjusted: Any
    expanding: bool
    lonely: Lonely
    df: Degrees
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        data: Any,
        design: Design | None = None,
        *,
        weights: Any = None,
        lonely: Lonely = "raise",
        df: Degrees = "present",
    ) -> Respondents:
        """The respondents of a survey (with its own design) or a DataFrame.

        Parameters
        ----------
        data, design, weights, lonely, df
            As in :func:`csi_lab.sampling.estimate.mean`.

        Raises
        ------
        DataError
            If design columns are absent or unusable, or the data are Moments, which have no rows.
        SpecError
            If weights are given twice, or ``lonely`` or ``df`` is unknown.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"y": [1.0, 2, 3], "N": 30.0})
        >>> found = Respondents.of(frame, Design(population="N"))
        >>> found.weights.tolist(), found.notes
        ([10.0, 10.0, 10.0], ('weights are population over sample size',))
        """
        require_lonely(lonely)
        if not (df in ("present", "design") if isinstance(df, str) else is_number(df) and df > 0):
            raise SpecError(f"df={df!r} is unknown; use 'present', 'design' or a number above 0")
        if isinstance(data, Moments):
            raise DataError("moments have no rows and no sampling units; give the survey or DataFrame they came from")
        frame = getattr(data, "frame", data)
        if not hasattr(frame, "columns"):
            raise DataError(f"need a survey or a DataFrame, got {type(data).__name__}")
        if not len(frame):
            raise DataError("the data have no rows")
        require_possible(data, getattr(data, "items", ()))
        twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
        if twice:
            raise DataError(f"columns share a name: {twice}; rename them")
        if design is None:
            design = getattr(data, "design", Design())
        if not isinstance(design, Design):
            raise SpecError(f"design must be a csi_lab.Design, got {type(design).__name__}")
        adjusted = weights if hasattr(weights, "contributions") else None
        if isinstance(weights, str):
            if design.weights not in (None, weights):
                raise SpecError(
                    f"weights are given twice: weights={weights!r} and the design column {design.weights!r}"
                )
            design, weights = replace(design, weights=weights), None
        if weights is not None and adjusted is None and design.weights is not None:
            raise SpecError(f"weights are given twice: weights= and the design column {design.weights!r}")
        if adjusted is not None:
            # Adjusted weights grew out of the design's; they take their place, each at its own row.
            design, adjusted = replace(design, weights=None), adjusted.aligned(frame)
        require_columns(frame, design.columns)
        nested = Nested.of(frame, design)
        notes: tuple[str, ...] = ()
        given = frame[design.weights] if design.weights is not None else weights
        w = split_weights(frame, given if adjusted is None else adjusted.values)[1]
        if adjusted is not None:
            notes = (f"weights {adjusted.method}", *adjusted.notes)
        elif w is None and nested.probability is not None:
            if not nested.probability.all():
                raise SpecError(
                    "some population sizes are infinite (drawn with replacement), so that weights do not follow from "
                    "them; name the column of weights"
                )
            w, notes = 1 / nested.probability, ("weights are population over sample size",)
        notes = (*notes, *nested.said_of_single_units(lonely))
        if lonely == "with replacement":
            nested = nested.with_replacement()
        expanding = w is not None
        w = np.ones(len(frame)) if w is None else w
        if not w.any():
            raise DataError("every row has the weight 0")
        return cls(frame, design, nested, w, adjusted, expanding, lonely, df, notes)

    def values(self, columns: Sequence[str]) -> dict[str, np.ndarray]:
        """Columns as floats, NaN where missing.

        Raises
        ------
        DataError
            If columns are absent, named twice, hold text or infinite values, or are columns of weights or populations.
        """
        columns = list(columns)
        require_columns(self.frame, columns)
        twice = sorted({str(c) for c in columns if columns.count(c) > 1})
        if twice:
            raise DataError(f"columns asked for twice: {twice}")
        chosen = self.frame[columns]
        require_numbers(chosen)
        found = {c: chosen[c].to_numpy(dtype=float, na_value=np.nan) for c in columns}
        if any(np.isinf(x).any() for x in found.values()):
            raise DataError(infinite_values(chosen))
        return found

    def labels(self, columns: Sequence[str]) -> tuple[np.ndarray, pd.Index]:
        """Number of each row's group ``(n,)``, -1 where a label is missing, and the groups in their order."""
        import pandas as pd

        require_columns(self.frame, columns)
        if len(columns) == 1:
            found = self.frame[columns[0]]
            codes, groups = pd.factorize(found, sort=_sortable(found))
            return codes, pd.Index(groups, name=columns[0])
        parts = [self.frame[c] for c in columns]
        keys = pd.MultiIndex.from_arrays(parts, names=list(columns))
        codes, groups = pd.factorize(keys, sort=all(map(_sortable, parts)))
        missing = np.logical_or.reduce([part.isna().to_numpy() for part in parts])
        if missing.any():
            used = np.unique(codes[~missing])
            place = np.full(len(groups), -1)
            place[used] = np.arange(len(used))
            codes, groups = np.where(missing, -1, place[codes]), groups[used]
        return codes, groups.set_names(list(columns))

    def counted(self, gaps: dict[str, np.ndarray], missing: Gaps) -> tuple[np.ndarray, tuple[str, ...]]:
        """Positions of the rows that count: of positive weight and without a gap; and what the reader must know.

        Raises
        ------
        DataError
            If there are gaps and ``missing="raise"``, or no row remains.
        SpecError
            If ``missing`` is unknown.
        """
        if missing not in ("raise", "listwise"):
            raise SpecError(f"missing={missing!r} is unknown; use 'raise' or 'listwise'")
        there = self.weights > 0
        holes = {str(name): int((gap & there).sum()) for name, gap in gaps.items()}
        holes = {name: k for name, k in holes.items() if k}
        any_gap = np.logical_or.reduce(list(gaps.values())) if gaps else np.zeros(len(there), dtype=bool)
        lost = int((any_gap & there).sum())
        named = ", ".join(f"{name} ({k})" for name, k in holes.items())
        if lost and missing == "raise":
            raise DataError(
                f"{lost} of {int(there.sum())} rows have missing values: {named}; fill them, or leave these rows out "
                "with missing='listwise' (their sampling units stay in the design)"
            )
        rows = np.flatnonzero(there & ~any_gap)
        if not len(rows):
            raise DataError(f"no row has all values and a positive weight (missing: {named or 'none'})")
        notes = []
        if lost:
            notes.append(f"{lost} of {int(there.sum())} rows left out (missing: {named})")
        nobody = int((~there).sum())
        if nobody:
            notes.append(f"{nobody} rows of weight 0 count as nobody")
        return rows, tuple(notes)

    def sums(self, values: Sequence[np.ndarray], rows: np.ndarray, origin: np.ndarray | None = None) -> Sums:
        """Weighted sums of values per sampling unit over some rows.

        Parameters
        ----------
        values
            m arrays ``(n,)``, numbers or true/false, finite where counted.
        rows
            ``(r,)`` positions of the rows that count, in ascending order.
        origin
            ``(m,)`` points about which sums are taken; default the weighted means, which lose no digits.
        """
        everyone = len(rows) == len(self.weights)
        w = self.weights if everyone else self.weights[rows]
        kept = [v if everyone else v[rows] for v in values]
        weight = float(w.sum())
        means = np.array([w @ v for v in kept]) / weight if origin is None else np.asarray(origin, dtype=float)
        spread = np.empty(len(kept))
        nested = self.nested
        if self.adjusted is not None:
            # A calibration spreads every value over all rows, so that no row may be left out here.
            base = np.zeros((len(self.weights), 1 + len(kept)))
            base[rows, 0] = 1
            for j, v in enumerate(kept):
                base[rows, 1 + j] = v - means[j]
                spread[j] = w @ (v - means[j]) ** 2
            parts = self.adjusted.contributions(base)
            codes, totals = unit_totals(nested.unit, parts, nested.last)
        else:
            unit = nested.unit if everyone else nested.unit[rows]
            if nested.last == len(self.weights):
                codes, size, place = unit, len(unit), np.arange(len(unit))
            elif len(unit) >= nested.last:
                codes, size, place = np.arange(nested.last), nested.last, unit
            else:
                codes, place = np.unique(unit, return_inverse=True)
                size = len(codes)
            totals, spread = weighted_totals(kept, w, means, place, size)
        centre = np.array([w @ (v - m) for v, m in zip(kept, means, strict=True)]) if origin is not None else None
        return Sums(self, rows, codes, totals, weight, means, centre, spread, len(w), float((w**2).sum()))

    def domains(self, by: Sequence[str], rows: np.ndarray) -> tuple[pd.Index, list[np.ndarray]]:
        """The groups that some rows fall into, and the positions of the rows of each.

        Raises
        ------
        DataError
            If there is no group.
        """
        codes, groups = self.labels(by)
        order = np.argsort(codes[rows], kind="stable")
        ends = np.searchsorted(codes[rows][order], np.arange(len(groups) + 1))
        there = np.flatnonzero(np.diff(ends))
        if not len(there):
            raise DataError(f"no row has a label in {list(by)}")
        return groups[there], [rows[order[ends[g] : ends[g + 1]]] for g in there]

    def degrees(self, rows: np.ndarray) -> float:
        """Degrees of freedom for estimates from some rows, by the rule chosen."""
        if self.df == "present":
            return self.nested.degrees(None if len(rows) == len(self.weights) else rows)
        return self.nested.degrees() if self.df == "design" else float(self.df)

    def said_of_degrees(self, parts: Sequence[np.ndarray]) -> tuple[str, ...]:
        """By which rule the degrees of freedom of estimates from these rows were counted, where rules differ."""
        if not isinstance(self.df, str):
            return (f"degrees of freedom as given: {self.df:g}",)
        whole = self.nested.degrees()
        if all(len(rows) == len(self.weights) or self.nested.degrees(rows) == whole for rows in parts):
            return ()
        if self.df == "design":
            return ("degrees of freedom are those of the whole sample (as R's svyby), not of the rows used",)
        return (
            "degrees of freedom: units minus strata among the rows used (as Stata); the whole sample has "
            f"{whole:g} (df='design')",
        )


def _sortable(values: pd.Series) -> bool:
    """Whether labels have one order; mixed numbers and texts keep that of their appearance."""
    if values.dtype != object:
        return True
    return len({isinstance(v, str) for v in values.dropna().unique()}) < 2
