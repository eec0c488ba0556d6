"""A drawn sample: its rows, how they were drawn, and the design that goes with them into estimates."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from csi_lab.moments import Missing, Moments

HEAD_ROWS = 5


@dataclass(frozen=True, eq=False)
class Record:
    """How a sample was drawn.

    Attributes
    ----------
    method
        The method in words.
    asked, drawn
        Rows asked for (``None`` where their number was left to chance, as when whole clusters are drawn), rows drawn.
    population
        Rows of the register.
    table
        One row per stratum, cell, stage or wave with its counts.
    seed, generator
        The seed, if ``rng`` was a whole number, and the bit generator. A Generator handed in has a state that is not
        recorded.
    order
        The order of the list in which units were counted off or numbered.
    notes
        What the reader should know: units that were certain, clusters smaller than the number asked, cells not filled.
    """

    method: str
    asked: int | None
    drawn: int
    population: int
    table: pd.DataFrame
    seed: int | None
    generator: str
    order: str = "order of the register"
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """The table of strata, cells, stages or waves, raw numbers."""
        return self.table

    def __str__(self) -> str:
        source = f"seed {self.seed} ({self.generator})" if self.seed is not None else self.generator
        asked = "" if self.asked is None or self.asked == self.drawn else f" ({self.asked:,} asked)"
        lines = [f"{self.method}: {self.drawn:,} of {self.population:,} units drawn{asked}; {self.order}; {source}"]
        if self.notes:
            lines.append("; ".join(self.notes))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.table.round(4).to_html(escape=True)}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Units drawn per stratum, cell, stage or wave as bars."""
        import matplotlib.pyplot as plt

        from csi_lab.plots_text import as_written

        ax = plt.gca() if ax is None else ax
        labels = [" | ".join(map(str, i)) if isinstance(i, tuple) else str(i) for i in self.table.index]
        place = np.arange(len(labels))[::-1]
        ax.barh(place, self.table["drawn"].to_numpy(dtype=float), color="tab:blue")
        ax.set(
            yticks=place,
            yticklabels=labels,
            xlabel="units drawn (number)",
            ylabel=" | ".join(str(name) for name in self.table.index.names if name is not None),
        )
        return as_written(ax)


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows drawn from a register, ready for estimates.

    Attributes
    ----------
    frame
        The rows drawn, with the register's row labels and the columns that were added (probability, weight, stratum,
        psu, population sizes; names in the record's order). A unit drawn twice with replacement has two rows.
    record
        How they were drawn.
    columns
        Names of the added columns by their role, e.g. ``{"weight": "weight"}``.
    """

    frame: pd.DataFrame
    record: Record
    columns: dict[str, str]
    _design: Design | None = None
    _no_design: str = ""
    _joint: np.ndarray | None = None
    _no_joint: str = "joint inclusion probabilities are kept for pps samples only; elsewhere use the design"

    @property
    def design(self) -> Design:
        """The sample design as names of columns of ``frame``.

        Raises
        ------
        SpecError
            If the sample is not random: there are no inclusion probabilities, hence no design.
        """
        if self._design is None:
            raise SpecError(f"{self._no_design}; the rows are in sample.frame, and what they give is about them only")
        return self._design

    @property
    def items(self) -> tuple[str, ...]:
        """The columns of the register, without those that drawing added: what is analysed when no items are named."""
        added = set(self.columns.values())
        return tuple(column for column in self.frame.columns if column not in added)

    @property
    def joint(self) -> np.ndarray:
        """Joint inclusion probabilities ``(n, n)`` of the rows drawn; the diagonal holds the probabilities themselves.

        Raises
        ------
        SpecError
            If they are not known for this method, with the reason.
        """
        if self._joint is None:
            raise SpecError(self._no_joint)
        return self._joint

    @property
    def random(self) -> bool:
        """Whether chance alone decided, with known probabilities."""
        return self._design is not None

    def moments(self, items: Sequence[str] | None = None, missing: Missing = "listwise") -> Moments:
        """Weighted count, means and covariances of ``items``, with the weights of the design.

        With them every estimator takes a sample as it takes a survey: alpha, PLS and the index carry its design.

        Parameters
        ----------
        items
            Columns of numbers; default :attr:`items`.
        missing
            As in :meth:`csi_lab.Moments.from_frame`.

        Raises
        ------
        SpecError
            If the sample is not random.
        DataError
            If an item is absent or no number, or too few complete rows remain.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.sampling.select import simple_random
        >>> register = pd.DataFrame({"q1": [1, 5, 3, 9, 7], "q2": [2, 4, 3, 8, 8]})
        >>> simple_random(register, 5, rng=1).moments(["q1", "q2"]).mean.tolist()
        [5.0, 5.0]
        """
        from csi_lab.moments import as_moments

        weights = self.design.weights
        return as_moments(self.frame, list(self.items) if items is None else items, weights, missing)

    def __len__(self) -> int:
        return len(self.frame)

    def to_frame(self) -> pd.DataFrame:
        """The rows drawn."""
        return self.frame

    def __str__(self) -> str:
        design = f"design: {self._design}" if self._design is not None else f"no design: {self._no_design}"
        return f"{self.record}\n{design}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        table = self.record.table.round(4).to_html(escape=True)
        return f"<p>{text}</p>{table}<p>first rows</p>{self.frame.head(HEAD_ROWS).to_html(escape=True)}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Units drawn per stratum, cell, stage or wave; see :meth:`Record.plot`."""
        return self.record.plot(ax)
