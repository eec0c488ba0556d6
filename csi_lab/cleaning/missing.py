"""Which answers are missing, and in which patterns."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_finite, require_numbers, require_possible, split_weights
from csi_lab.cleaning.respondents import column_names, require_one_level, stated
from csi_lab.design import Design
from csi_lab.errors import DataError
from csi_lab.near_pairs import distinct_patterns
from csi_lab.resampling import _source

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Names shown in a sentence before it says how many more there are.
SHOWN = 6


@dataclass(frozen=True, eq=False)
class Gaps:
    """A sample with the items whose gaps are looked at, checked.

    Attributes
    ----------
    data
        The survey or DataFrame as given.
    frame
        Its rows.
    design
        Its design.
    items
        The p items.
    known
        Where there is an answer ``(n, p)``.
    weights
        Weights ``(n,)``; ones when ``weighted`` is false. Rows of weight zero stand for nobody.
    weighted
        Whether the rows carried weights.
    """

    data: Any
    frame: pd.DataFrame
    design: Design
    items: tuple[str, ...]
    known: np.ndarray
    weights: np.ndarray
    weighted: bool

    @classmethod
    def of(cls, data: Any, items: Sequence[str] | None, weights: Any = None) -> Gaps:
        """Check items and weights; the columns may hold anything.

        Raises
        ------
        DataError
            If items are absent or named twice, there are no rows, or weights are unusable.
        """
        held = stated(data, "frame")
        whole = data if held is None else held
        if hasattr(whole, "columns"):
            require_one_level(whole)
        chosen = None if items is None else column_names(items)
        frame, design, names, weights = _source(data, None, chosen, weights)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"items named twice: {twice}; name each once")
        if not names or not len(frame):
            raise DataError("no items given" if not names else "the data have no rows")
        if design.weights is not None:
            weights = frame[design.weights]
        _, w = split_weights(frame[names], weights)
        if w is not None and not (w > 0).any():
            raise DataError("all weights are zero: the rows stand for nobody")
        known = frame[names].notna().to_numpy()
        filled = np.ones(len(frame)) if w is None else w
        return cls(data, frame, design, tuple(names), known, filled, w is not None)

    @property
    def used(self) -> np.ndarray:
        """Rows of positive weight ``(n,)``."""
        return self.weights > 0

    def answers(self) -> np.ndarray:
        """The answers as floats ``(n, p)``, NaN where there is none.

        Raises
        ------
        DataError
            If columns hold text or infinite values, an item has no answer at all, or a survey holds impossible answers.
        """
        part = self.frame[list(self.items)]
        require_possible(self.data, self.items)
        require_numbers(part)
        x = part.to_numpy(dtype=float, na_value=np.nan, copy=True)
        require_finite(part, x)
        empty = [name for name, some in zip(self.items, self.known[self.used].any(axis=0), strict=True) if not some]
        if empty:
            of_weight = " in rows of positive weight" if self.weighted else ""
            raise DataError(f"items without any answer{of_weight}: {empty}; leave them out")
        return x


@dataclass(frozen=True, eq=False)
class Patterns:
    """The patterns of missing answers of a sample.

    Attributes
    ----------
    table
        One row per pattern, the most frequent first; the index has a 1 for each missing item, in the order of the
        items. Columns: ``missing`` (number of items), ``n`` rows, ``share`` of rows, ``weight_share``, ``without`` (the
        items in words).
    items
        One row per item: ``missing`` answers, their ``share`` and ``weight_share``.
    never_together
        Pairs of items that no row answers both of: nothing in the data says how they go together.
    n, left_out
        Rows used, and rows left out because their weight is zero.
    """

    table: pd.DataFrame
    items: pd.DataFrame
    never_together: tuple[tuple[str, str], ...]
    n: int
    left_out: int

    @property
    def complete(self) -> int:
        """Rows with an answer to every item."""
        return int(self.table.loc[self.table["missing"] == 0, "n"].sum())

    @property
    def unanswered(self) -> int:
        """Rows without an answer to any item."""
        return int(self.table.loc[self.table["missing"] == len(self.items), "n"].sum())

    @property
    def matrix(self) -> np.ndarray:
        """Which items each pattern lacks ``(patterns, p)``."""
        return np.array([[digit == "1" for digit in pattern] for pattern in self.table.index])

    def to_frame(self) -> pd.DataFrame:
        """The table of patterns, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None, *, most: int = 20) -> Axes:
        """Tiles: a row per pattern (the ``most`` frequent), a column per item, dark where the answer is missing."""
        import matplotlib.pyplot as plt
        from matplotlib.colors import ListedColormap

        from csi_lab.plots import ACCENT, _shown

        shown = self.table.head(most)
        names = [str(name) for name in self.items.index]
        _, family = _shown(names, None)  # item names may be Chinese
        if ax is None:
            size = (0.32 * len(names) + 2.4, 0.26 * len(shown) + 1.4)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        ax.pcolormesh(self.matrix[: len(shown)], cmap=ListedColormap(["#eef2f6", ACCENT]), vmin=0, vmax=1, ec="white")
        ax.invert_yaxis()
        ax.set_xticks(np.arange(len(names)) + 0.5, names, rotation=90)
        ax.set_yticks(
            np.arange(len(shown)) + 0.5, [f"{n} ({s:.1%})" for n, s in zip(shown["n"], shown["share"], strict=True)]
        )
        for tick in ax.get_xticklabels():
            tick.set(family=family, parse_math=False)
        rest = len(self.table) - len(shown)
        ax.set_ylabel("rows with the pattern (share)" + (f"; {rest} rarer patterns not shown" if rest else ""))
        ax.set_xlabel("item (dark: no answer)")
        return ax

    def __str__(self) -> str:
        cells = int(self.items["missing"].sum())
        total = self.n * len(self.items)
        left_out = f" ({self.left_out} more of weight zero left out)" if self.left_out else ""
        lines = [
            f"{self.n} rows{left_out}, {len(self.items)} items: {cells} of {total} answers missing "
            f"({cells / total:.1%}), {len(self.table)} pattern{'s' * (len(self.table) != 1)}",
            f"{self.complete} rows complete ({self.complete / self.n:.1%}), {self.unanswered} without any answer",
        ]
        if self.never_together:
            pairs = [f"{a} and {b}" for a, b in self.never_together]
            lines.append(f"never answered together: {shortened(pairs)}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(4).to_html(max_rows=20)}"


def patterns(data: Any, items: Sequence[str] | None = None, *, weights: Any = None) -> Patterns:
    """The patterns in which answers are missing.

    Parameters
    ----------
    data
        A survey or a DataFrame; the columns may hold numbers or text.
    items
        The items; default all of the survey, or all columns that hold no weights.
    weights
        Sampling weights of a DataFrame: array, Series or column name. Rows of weight zero are left out and counted.

    Returns
    -------
    Patterns

    Raises
    ------
    DataError
        If columns are absent or named twice, there are no rows, or weights are unusable.

    References
    ----------
    .. [1] Little, R. J. A., & Rubin, D. B. (2019). Statistical Analysis with Missing Data, 3rd ed. Wiley, ch. 1.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7, 8, None, None, 9], "q2": [6, None, None, 5, 9], "q3": [None, 8, 6, 7, None]})
    >>> found = patterns(frame)
    >>> print(found)
    5 rows, 3 items: 6 of 15 answers missing (40.0%), 4 patterns
    0 rows complete (0.0%), 0 without any answer
    >>> found.table[["missing", "n", "without"]]
             missing  n without
    pattern
    001            1  2      q3
    010            1  1      q2
    100            1  1      q1
    110            2  1  q1, q2
    """
    import pandas as pd

    gaps = Gaps.of(data, items, weights)
    known, w = gaps.known[gaps.used], gaps.weights[gaps.used]
    distinct, code = distinct_patterns(~known)
    count, weight = np.bincount(code), np.bincount(code, weights=w)
    names = ["".join("1" if gap else "0" for gap in row) for row in distinct]
    without = [", ".join(str(i) for i, gap in zip(gaps.items, row, strict=True) if gap) for row in distinct]
    columns = {
        "missing": distinct.sum(axis=1),
        "n": count,
        "share": count / len(known),
        "weight_share": weight / w.sum(),
        "without": without,
    }
    table = pd.DataFrame(columns, index=pd.Index(names, name="pattern"))
    table = table.assign(_name=names).sort_values(["n", "missing", "_name"], ascending=[False, True, True])
    gap = ~known
    by_item = pd.DataFrame(
        {"missing": gap.sum(axis=0), "share": gap.mean(axis=0), "weight_share": w @ gap / w.sum()},
        index=pd.Index(gaps.items, name="item"),
    )
    together = known.astype(float).T @ known
    apart = tuple((gaps.items[i], gaps.items[j]) for i, j in np.argwhere(np.triu(together == 0, k=1)))
    return Patterns(table.drop(columns="_name"), by_item, apart, len(known), int((~gaps.used).sum()))


def shortened(names: Sequence[object], most: int = SHOWN) -> str:
    """Names in a sentence, the first few and how many more."""
    rest = len(names) - most
    return ", ".join(str(name) for name in names[:most]) + (f" and {rest} more" if rest > 0 else "")
