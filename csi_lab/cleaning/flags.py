"""What a check found: the value of its statistic for each respondent, the cut-off, and who is flagged."""

from __future__ import annotations

import html
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.cleaning.fingerprint import fingerprint
from csi_lab.cleaning.respondents import Respondents, table_of
from csi_lab.errors import DataError, SpecError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Side = Literal[">", ">=", "<", "<="]
_COMPARE = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
# A check that flags a larger share of all respondents than surveys hold careless ones (10 to 12 % in Meade & Craig
# 2012; this is twice as many) does not tell the careless from the careful.
MANY = 0.25
# Rows of a table shown in a notebook.
SHOWN = 20


def _no_cells() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame()


@dataclass(frozen=True, eq=False)
class Flags:
    """The findings of one check.

    Attributes
    ----------
    name
        Of the check; rules and logs refer to it.
    statistic, rule
        What the value is, and when a respondent is flagged, in words.
    table
        One row per respondent: ``value``, ``cutoff``, ``flagged``, ``judged``. Where ``judged`` is False there is no
        value, and ``flagged`` is False without saying that all is well. Rows of weight zero are nobody and are absent.
    details
        Single findings, such as each answer out of range (``row``, ``item``, ``answer``, ``problem``); may be empty.
    unjudged
        Why respondents could not be judged: reason to number; a respondent counts for the first reason that holds.
    remarks
        What a reader must know, one sentence each.
    nobody
        Rows of weight zero that were left out.
    fingerprint
        What the rows flagged or not judged held in the columns looked at, one number for each cell
        (:func:`csi_lab.cleaning.fingerprint.fingerprint`): findings are not used on other data.
    """

    name: str
    statistic: str
    rule: str
    table: pd.DataFrame
    details: pd.DataFrame
    unjudged: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    nobody: int = 0
    fingerprint: pd.DataFrame = field(default_factory=_no_cells)

    @property
    def n(self) -> int:
        """Respondents."""
        return len(self.table)

    @property
    def n_judged(self) -> int:
        """Respondents for whom the statistic exists."""
        return int(self.table["judged"].sum())

    @property
    def n_flagged(self) -> int:
        """Respondents flagged."""
        return int(self.table["flagged"].sum())

    @property
    def rows(self) -> pd.Index:
        """Labels of the rows flagged."""
        return self.table.index[self.table["flagged"]]

    def named(self, name: str) -> Flags:
        """The same findings under another name, for a check that is used twice."""
        return replace(self, name=name)

    def doubted(self, kind: str, why: str) -> Flags:
        """The same findings, with a remark where so many are flagged that they cannot all be of the ``kind`` meant."""
        if not self.n_flagged > MANY * self.n_judged:
            return self
        said = (
            f"{self.n_flagged / self.n_judged:.0%} flagged are too many to be {kind}: {why}; do not remove by this "
            "check alone"
        )
        return replace(self, remarks=(*self.remarks, said))

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def __str__(self) -> str:
        share = f" ({self.n_flagged / self.n_judged:.1%})" if self.n_judged else ""
        lines = [f"{self.name}: {self.n_flagged} of {self.n_judged} respondents flagged{share}: {self.rule}"]
        if self.n_judged < self.n:
            held = {reason: k for reason, k in self.unjudged.items() if k}
            several = len(held) > 1
            reasons = "; ".join(f"{k} {reason}" if several else reason for reason, k in held.items())
            lines.append(f"not judged: {self.n - self.n_judged} ({reasons})")
        return "\n".join([*lines, *self.remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        found = self.table[self.table["flagged"]]
        more = f"<p>the first {SHOWN} of {len(found)}</p>" if len(found) > SHOWN else ""
        return f"<p>{text}</p>{found[['value', 'cutoff']].head(SHOWN).round(3).to_html()}{more}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Histogram of the statistic with the cut-off; where cut-offs differ, of the statistic over its cut-off."""
        import matplotlib.pyplot as plt

        ax = ax if ax is not None else plt.subplots()[1]
        judged = self.table[self.table["judged"]]
        value, cutoff = judged["value"].to_numpy(), judged["cutoff"].to_numpy()
        label, line = self.statistic, cutoff[0] if len(cutoff) else np.nan
        if len(np.unique(cutoff)) > 1:
            value, label, line = value / cutoff, f"{self.statistic} / cut-off", 1.0
        finite = value[np.isfinite(value)]
        ax.hist(finite, bins=min(30, max(5, len(np.unique(finite)))), color="#9fb3c8")
        if np.isfinite(line):
            ax.axvline(line, ls="--", color="#b3423a", label="cut-off")
            ax.legend()
        odd = len(value) - len(finite)
        ax.set(xlabel=label + (f" ({odd} infinite, not shown)" if odd else ""), ylabel="respondents", title=self.name)
        return ax


def flags(
    people: Respondents,
    name: str,
    value: np.ndarray,
    cutoff: float | np.ndarray,
    side: Side,
    *,
    statistic: str,
    rule: str,
    unjudged: Mapping[str, np.ndarray] | None = None,
    details: pd.DataFrame | None = None,
    remarks: Sequence[str] = (),
    beside: Sequence[str] = (),
) -> Flags:
    """Findings from the values of a statistic; ``unjudged`` maps reasons to the rows ``(n,)`` that they hold for.

    ``beside`` names columns besides the items that the check looked at; without any items it looked at all columns.

    Examples
    --------
    >>> import pandas as pd
    >>> people = Respondents(pd.DataFrame({"q": [1, 2, 9]}), ("q",), 0)
    >>> print(flags(people, "high", np.array([1.0, 2, 9]), 5, ">", statistic="answer", rule="answer above 5"))
    high: 1 of 3 respondents flagged (33.3%): answer above 5
    """
    import pandas as pd

    judged = np.ones(people.n, dtype=bool)
    reasons = {}
    for reason, rows in (unjudged or {}).items():
        reasons[reason] = int((rows & judged).sum())
        judged &= ~rows
    value = np.where(judged, value, np.nan)
    with np.errstate(invalid="ignore"):
        flagged = judged & _COMPARE[side](value, cutoff)
    columns = {"value": value, "cutoff": np.broadcast_to(cutoff, value.shape), "flagged": flagged, "judged": judged}
    table = pd.DataFrame(columns, index=people.frame.index)
    found = pd.DataFrame() if details is None else details
    looked_at = list(dict.fromkeys([*people.items, *beside])) or list(people.frame.columns)
    marks = fingerprint(people.frame.loc[flagged | ~judged, looked_at])
    return Flags(name, statistic, rule, table, found, reasons, tuple(remarks), people.nobody, marks)


def answers_found(people: Respondents, found: np.ndarray, problem: str | np.ndarray) -> pd.DataFrame:
    """One line per answer ``found (n, p)``: row, item, answer and what is wrong with it (one text, or ``(n, p)``).

    Examples
    --------
    >>> import pandas as pd
    >>> people = Respondents(pd.DataFrame({"q": [1, 99]}), ("q",), 0)
    >>> answers_found(people, np.array([[False], [True]]), "above 10").values.tolist()
    [[1, 'q', 99, 'above 10']]
    """
    import pandas as pd

    row, item = np.nonzero(found)
    cells = np.empty(len(row), dtype=object)
    for j in np.unique(item):
        cells[item == j] = people.frame[people.items[j]].to_numpy(dtype=object)[row[item == j]]
    words = [problem] * len(row) if isinstance(problem, str) else list(problem[row, item])
    columns = {
        "row": pd.Series(people.frame.index[row], dtype=object),
        "item": pd.Series([people.items[j] for j in item], dtype=object),
        "answer": pd.Series(cells, dtype=object),
        "problem": pd.Series(words, dtype=object),
    }
    return pd.DataFrame(columns)


def rows_by_hand(
    data: Any, rows: Sequence[Any], *, name: str = "by hand", rule: str = "named by the researcher"
) -> Flags:
    """Flags for rows that a person has chosen, after a review or a back-check.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    rows
        Row labels.
    name, rule
        What the log says.

    Raises
    ------
    DataError
        If a label is not in the data.
    SpecError
        If ``rows`` is a single text.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [5, 4, 3]}, index=["a", "b", "c"])
    >>> print(rows_by_hand(frame, ["b"], rule="the call back reached somebody else"))
    by hand: 1 of 3 respondents flagged (33.3%): the call back reached somebody else
    """
    frame = table_of(data)
    if isinstance(rows, str) or not np.iterable(rows):
        raise SpecError(f"rows must be a list of row labels, got {rows!r}")
    unknown = [r for r in rows if not isinstance(r, Hashable) or r not in frame.index]
    if unknown:
        raise DataError(f"rows not in the data: {unknown[:8]}; give labels of the index")
    people = Respondents(frame, (), 0)
    chosen = frame.index.isin(list(rows)).astype(float)
    return flags(people, name, chosen, 1.0, ">=", statistic="named (1) or not (0)", rule=rule)
