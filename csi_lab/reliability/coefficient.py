"""What all coefficients of a scale share: the checked sample they are computed from, and the shape of a result."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import as_items
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.intervals import Interval, Kind, require_interval
from csi_lab.moments import Missing, Moments, as_moments
from csi_lab.percent import percent
from csi_lab.requested import requested
from csi_lab.resampling import Replicates
from csi_lab.usable import against_formulas, require_variation

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Function = Callable[[Moments], np.ndarray]
Metric = Literal["raw", "standardised"]
METRICS = {"raw": "sum of the answers", "standardised": "sum of the standardised answers"}


@dataclass(frozen=True, eq=False)
class Sample:
    """The items of a scale as moments, checked, with the replicates that were asked for.

    Attributes
    ----------
    moments
        Of the items, for one survey.
    against
        Why formulas for a simple random sample of complete answers do not apply; ``""`` when they do.
    replicates
        Of the same items; ``None`` when no draws were asked for.
    kind, level
        Of the interval.
    """

    moments: Moments
    against: str
    replicates: Replicates | None
    kind: Kind
    level: float

    @classmethod
    def of(
        cls,
        data: Any,
        items: Sequence[str] | None,
        weights: Any = None,
        *,
        draws: int | None = None,
        rng: np.random.Generator | int = 0,
        replicates: Replicates | None = None,
        kind: Kind = "percentile",
        level: float = 0.95,
        missing: Missing = "listwise",
    ) -> Sample:
        """Check the names and make the moments and replicates.

        Raises
        ------
        DataError
            If items are absent, named twice or text, several surveys are given, or replicates were made from other rows
            or weights than the sample.
        SpecError
            If the level is not between 0 and 1.
        """
        require_interval(kind, level)
        items = None if items is None else as_items(items)
        twice = sorted({str(c) for c in items or () if (items or ()).count(c) > 1})
        if twice:
            raise DataError(f"items are named twice: {twice}; name each item of the scale once")
        moments = as_moments(data, items, weights, missing)
        if moments.shape:
            raise DataError("this is a stack of moments; a coefficient is reported for one survey")
        made = requested(
            data,
            moments.names,
            weights=weights,
            draws=draws,
            rng=rng,
            replicates=replicates,
            missing=missing,
            sample=moments,
        )
        return cls(moments, against_formulas(data, moments), made, kind, level)

    def require_scale(self, at_least: int = 2) -> None:
        """Refuse what is no scale: too few items, items that do not vary, a sum that does not vary.

        Raises
        ------
        DataError
            If items are too few or constant.
        EstimationError
            If the items cancel each other.
        """
        moments = self.moments
        if len(moments.names) < at_least:
            count = {2: "two", 3: "three"}[at_least]
            raise DataError(f"a scale needs {count} items or more, got {list(moments.names)}")
        self.require_varying()
        if moments.cov.sum() <= 1e-12 * np.trace(moments.cov):
            raise EstimationError(
                f"the sum of the items does not vary: {list(moments.names)}; "
                "reverse the items that are keyed the other way"
            )

    def require_varying(self) -> None:
        """Refuse items that do not vary.

        Raises
        ------
        DataError
            With all such items.
        """
        require_variation(self.moments)

    def require_inverse(self) -> None:
        """Refuse a matrix that has no inverse.

        Raises
        ------
        EstimationError
            If there are not more rows than items, or items are exactly collinear (they are named).
        """
        k = len(self.moments.names)
        if self.moments.n <= k:
            raise EstimationError(
                f"{self.moments.n} complete rows are not enough for {k} items; {k + 1} are needed at least"
            )
        values, vectors = np.linalg.eigh(self.moments.corr)
        if values[0] <= 1e-10:
            part = [name for name, v in zip(self.moments.names, vectors[:, 0], strict=True) if abs(v) > 1e-6]
            raise EstimationError(f"items are exactly collinear: {part}; leave one of them out")

    @property
    def copies(self) -> tuple[str, ...]:
        """A remark on items that correlate perfectly; empty when there are none."""
        return perfect_pairs(self.moments)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on items that run against the rest, and on copies; empty when there are none."""
        return (*against_the_rest(self.moments.names, item_rest_correlations(self.moments.cov)), *self.copies)

    def interval(self, function: Function) -> Interval | None:
        """Interval of a function of moments from the replicates; ``None`` without replicates."""
        if self.replicates is None:
            return None
        return self.replicates.interval(function, kind=self.kind, level=self.level)

    def estimates(self, function: Function, names: Sequence[str], formula: str) -> tuple[pd.DataFrame, str]:
        """A table of ``estimate, se, low, high``, and what the intervals are; without replicates there are none.

        ``formula`` names what has no interval of its own.
        """
        from csi_lab.estimates import estimate_table

        found = self.interval(function)
        if found is not None:
            return found.to_frame(list(names), ["coefficient"]), self.described(found)
        table = estimate_table(function(self.moments), list(names), ["coefficient"])
        table = table.assign(se=np.nan, low=np.nan, high=np.nan)
        return table, f"none: there is no formula for {formula}; draws= gives one"

    def described(self, found: Interval) -> str:
        """How the replicates made the interval, in words."""
        assert self.replicates is not None
        return interval_words(found, self.replicates.method)


def interval_words(found: Interval, method: str) -> str:
    """How an interval from replicates was made, in words."""
    worst = int(np.max(found.failed, initial=0))
    without = f"; {worst} draws without a value left out" if worst else ""
    return f"{found.kind} interval of {found.draws} draws ({method}){without}"


def item_rest_correlations(cov: np.ndarray) -> np.ndarray:
    """Correlation of each item with the sum of the others ``(..., k)``; NaN where that sum does not vary."""
    variances = np.diagonal(cov, axis1=-2, axis2=-1)
    with_rest = cov.sum(axis=-1) - variances
    rest = cov.sum(axis=(-2, -1))[..., None] - 2 * cov.sum(axis=-1) + variances
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(rest > 1e-12 * variances, with_rest / np.sqrt(variances * np.maximum(rest, 0)), np.nan)


def against_the_rest(names: Iterable[str], correlations: Iterable[float]) -> tuple[str, ...]:
    """A remark on items whose correlation with the sum of the others is negative; empty when there are none."""
    against = [f"{name} ({r:.2f})" for name, r in zip(names, correlations, strict=True) if r < 0]
    return (f"items that run against the rest: {', '.join(against)}; are they keyed the other way?",) if against else ()


def perfect_pairs(moments: Moments) -> tuple[str, ...]:
    """A remark on items that are the same up to scale; empty when there are none."""
    pairs = np.argwhere(np.triu(np.abs(moments.corr) > 1 - 1e-10, 1))
    if not len(pairs):
        return ()
    named = ", ".join(f"{moments.names[i]} = {moments.names[j]}" for i, j in pairs)
    return (f"items with identical answers, up to scale: {named}; was a column copied?",)


def matrix_of(moments: Moments, metric: Metric) -> np.ndarray:
    """Covariances of the answers or of the standardised answers."""
    return moments.cov if metric == "raw" else moments.corr


def require_metric(metric: str) -> None:
    """Refuse an unknown metric.

    Raises
    ------
    SpecError
        If it is unknown.
    """
    if metric not in METRICS:
        raise SpecError(f"metric={metric!r} is unknown; use one of {list(METRICS)}")


def withheld(name: str, against: str = "the sample has weights, strata or clusters") -> str:
    """Why a formula's interval is not given."""
    return f"none: {against}, and {name} would ignore that; draws= gives one that does not"


@dataclass(frozen=True, eq=False)
class Coefficient:
    """One coefficient of one scale.

    Attributes
    ----------
    coefficient, definition
        Its name, and which of its definitions this is.
    scale
        Name shown in tables.
    value, se, low, high, level
        Estimate, standard error and interval; NaN where there is none, see ``interval``.
    interval
        What the interval is, or why there is none.
    n, dropped
        Rows used, and rows left out because an item was missing.
    parts
        What the coefficient was made of, one row per item or part.
    remarks
        What a reader must know first, one sentence each.
    """

    coefficient: str
    definition: str
    scale: str
    value: float
    se: float
    low: float
    high: float
    level: float
    interval: str
    n: int
    dropped: int
    parts: pd.DataFrame
    remarks: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers, ready for ``pandas.concat`` over scales."""
        import pandas as pd

        row = {"estimate": self.value, "se": self.se, "low": self.low, "high": self.high, "n": self.n}
        index = pd.MultiIndex.from_tuples([(self.scale, self.coefficient)], names=["scale", "coefficient"])
        return pd.DataFrame([row], index=index)

    def __str__(self) -> str:
        ends = f", {percent(self.level)} CI [{self.low:.3f}, {self.high:.3f}]" if np.isfinite(self.low) else ""
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        head = f"{self.scale}: {self.coefficient} = {self.value:.3f}{ends}, n = {self.n}{left_out}"
        return "\n".join([*self.remarks, head, f"  {self.definition}", f"  interval: {self.interval}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{paragraph(self)}{self.parts.round(3).to_html()}"


@dataclass(frozen=True, eq=False)
class CoefficientTable:
    """Several coefficients of the same data, side by side.

    Attributes
    ----------
    title
        What they are.
    table
        One row per coefficient: ``estimate, se, low, high`` and what else belongs to it.
    interval, level
        What the intervals are, or why there are none.
    n, dropped
        Rows used, and rows left out because an answer was missing.
    remarks
        What a reader must know, one sentence each.
    """

    title: str
    table: pd.DataFrame
    interval: str
    level: float
    n: int
    dropped: int
    remarks: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row per coefficient, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """The coefficients as bars, with their intervals where there are any."""
        from csi_lab import plots

        shown = self.table[["estimate", "low", "high"]]
        shown = shown if shown["low"].notna().any() else shown[["estimate"]]
        return plots.bars(shown, xlabel="coefficient", decimals=2, ax=ax)

    def __str__(self) -> str:
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        values = ", ".join(f"{name} {value:.3f}" for name, value in self.table["estimate"].items())
        return "\n".join(
            [f"{self.title}, n = {self.n}{left_out}", f"  {values}", f"  interval: {self.interval}", *self.remarks]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{paragraph(self)}{self.table.round(3).to_html()}"


def paragraph(result: object) -> str:
    """The text of a result as one HTML paragraph."""
    return f"<p>{'<br>'.join(html.escape(line.strip()) for line in str(result).splitlines())}</p>"
