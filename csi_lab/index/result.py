"""The result of an index computation, and the names of the published weightings."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from csi_lab.errors import EstimationError, SpecError
from csi_lab.percent import percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Variant = Literal["acsi", "standardised", "unscaled", "equal"]

VARIANTS = {
    "acsi": "unstandardised outer weights (standardised weight / item sd) of PLS on standardised items",
    "standardised": "standardised outer weights applied to raw items",
    "unscaled": "outer weights of PLS on items in their own units",
    "equal": "equal weights of items rescaled to 0-100",
}


@dataclass(frozen=True, eq=False)
class IndexResult:
    """0-100 indices of constructs.

    Attributes
    ----------
    table
        One row per construct: ``estimate``, and with a simple random sample ``se, low, high``; for several draws one
        column per draw.
    weights
        Weights of the items rescaled to 0-100 (sum 1 per construct), index (construct, item).
    rows
        Respondents used (``n``) and left out because an item was missing (``left_out``), per construct.
    variant
        Which of the published weightings, see ``VARIANTS``.
    target
        The construct whose index is the headline; ``None`` when none was named.
    level
        Confidence level of the interval.
    interval
        What the interval is, or why there is none.
    """

    table: pd.DataFrame
    weights: pd.DataFrame
    rows: pd.DataFrame
    variant: Variant
    target: str | None
    level: float
    interval: str

    @property
    def value(self) -> float:
        """Index of the target construct."""
        return self._headline("estimate")

    @property
    def se(self) -> float:
        """Standard error of the target's index, in points."""
        return self._headline("se")

    @property
    def low(self) -> float:
        """Lower end of the target's interval."""
        return self._headline("low")

    @property
    def high(self) -> float:
        """Upper end of the target's interval."""
        return self._headline("high")

    @property
    def n(self) -> int:
        """Respondents behind the target's index."""
        return int(self.rows.loc[self.target, "n"]) if self.target else int(self.rows["n"].max())

    def to_frame(self) -> pd.DataFrame:
        """The table of indices, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None, labels: Mapping[str, str] | None = None) -> Axes:
        """Bars with values; see :func:`csi_lab.plots.index_bars`."""
        from csi_lab import plots

        return plots.index_bars(self.table, highlight=self.target, ax=ax, labels=labels)

    def _headline(self, column: str) -> float:
        if self.target is None:
            raise SpecError("no target construct was named; read .table, or give target=")
        if column not in self.table.columns:
            raise EstimationError(f"no {column!r} in this index: {self.interval}")
        return float(self.table.loc[self.target, column])

    def __str__(self) -> str:
        head = f"0-100 index, weighting {self.variant!r}: {VARIANTS[self.variant]}"
        if "estimate" not in self.table.columns:
            return f"{head}\n{len(self.table)} constructs x {self.table.shape[1]} draws"
        shown = [self.target] if self.target else list(self.table.index)
        lines = [f"{c}: {self.describe(c)}" for c in shown]
        return "\n".join([head, *lines, f"interval: {self.interval}"])

    __repr__ = __str__

    def describe(self, construct: str) -> str:
        """The index of one construct in words: value, and the interval when there is one."""
        row, rows = self.table.loc[construct], self.rows.loc[construct]
        ends = f", {percent(self.level)} CI [{row['low']:.2f}, {row['high']:.2f}]" if "low" in row.index else ""
        left_out = f", {rows['left_out']} left out (missing answers)" if rows["left_out"] else ""
        return f"{row['estimate']:.2f}{ends}, n = {rows['n']}{left_out}"

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(2).to_html()}"
