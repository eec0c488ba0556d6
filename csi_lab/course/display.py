"""Words and tables on the page of a lesson; what comes from data is shown as text, never as markup."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

ITEM = "item"  # the index level that holds names of items


@dataclass(frozen=True)
class Words:
    """A paragraph computed in a lesson; shown as text, never as markup, so that data cannot write HTML."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        paragraphs = (html.escape(part) for part in self.text.split("\n"))
        return "".join(f"<p>{part}</p>" for part in paragraphs)


@dataclass(frozen=True, eq=False)
class Shown:
    """A table of text for the page: every row and every text in full, however long."""

    table: pd.DataFrame

    def __repr__(self) -> str:
        import pandas as pd

        if not len(self.table):
            return "(no rows)"
        with pd.option_context("display.max_colwidth", None):
            return "\n".join(line.rstrip() for line in self.table.to_string().splitlines())

    def _repr_html_(self) -> str:
        import pandas as pd

        with pd.option_context("display.max_colwidth", None):
            return self.table.to_html()


def say(text: str) -> Words:
    """A sentence of a lesson whose numbers come from the computation; end a cell with it.

    Parameters
    ----------
    text
        Plain text; a line break begins a new paragraph.

    Returns
    -------
    Words
        Shows the text; anything in it that looks like markup is escaped.

    Examples
    --------
    >>> say(f"The index is {72.454:.1f}.")
    The index is 72.5.
    >>> say("<script>")._repr_html_()
    '<p>&lt;script&gt;</p>'
    """
    return Words(text)


def shown(table: pd.DataFrame, decimals: int = 3, labels: Mapping[str, str] | None = None) -> Shown:
    """A table as it is shown on a page: all rows, fixed decimals, a dash where there is nothing, labels for names.

    Parameters
    ----------
    table
        Numbers (floats get ``decimals``, whole-number columns stay whole) and text. Rows of items, whose index level is
        called ``item``, keep their names and get a column ``label`` in front; other row names become labels.
    decimals
        Of the floats.
    labels
        Name to text, applied to the row names and to text columns.

    Returns
    -------
    Shown
        Shows text; the table itself is not touched.

    Examples
    --------
    >>> import pandas as pd
    >>> shown(pd.DataFrame({"estimate": [0.6, None], "n": [343, 344]}, index=["Value", "Image"]), 2)
          estimate    n
    Value     0.60  343
    Image        –  344
    >>> shown(pd.DataFrame({"loading": [0.8]}, index=pd.Index(["q1"], name="item")), 2, {"q1": "Overall, how was it?"})
                         label loading
    item
    q1    Overall, how was it?    0.80
    """
    known = dict(labels or {})

    def text(value: Any) -> str:
        if isinstance(value, float):
            return "–" if np.isnan(value) else f"{value:.{decimals}f}"
        return known.get(value, str(value)) if isinstance(value, str) else str(value)

    out = table.astype(object)
    for place, name in enumerate(out.columns):
        out.isetitem(place, out.iloc[:, place].map(str if name == "label" else text))
    for level, name in enumerate(out.index.names):
        if name != ITEM and known:
            out = out.rename(index=_told_apart(out.index.get_level_values(level), known), level=level)
    if ITEM in out.index.names and "label" not in out.columns:
        items = out.index.get_level_values(ITEM)
        if any(known.get(item, item) != item for item in items):
            out.insert(0, "label", [known.get(item, str(item)) for item in items])
    return Shown(out)


def _told_apart(names: pd.Index, labels: Mapping[str, str]) -> dict[str, str]:
    """Label of each name; where two names share a label, the name stands beside it."""
    found = {name: labels.get(name, name) for name in dict.fromkeys(names)}
    texts = list(found.values())
    return {name: f"{text} ({name})" if texts.count(text) > 1 else text for name, text in found.items()}


def verdicts(table: pd.DataFrame, cut: float, *, labels: Mapping[str, str], decimals: int = 2) -> str:
    """Which rows of a table of estimates lie below a cut-off, in words.

    Parameters
    ----------
    table
        Column ``estimate``; rows without an estimate are passed over.
    cut
        The cut-off.
    labels
        Row name to the text shown.
    decimals
        Of the values and the cut-off.

    Examples
    --------
    >>> import pandas as pd
    >>> verdicts(pd.DataFrame({"estimate": [0.87, 0.44]}, index=["Quality", "Loyalty"]), 0.7, labels={})
    '1 of 2 below 0.70: Loyalty (0.44)'
    """
    given = table["estimate"].dropna()
    if given.empty:
        return "nothing to judge"
    below = given[given < cut]
    if below.empty:
        return f"all {len(given)} at {cut:.{decimals}f} or above"
    named = ", ".join(f"{labels.get(str(name), str(name))} ({value:.{decimals}f})" for name, value in below.items())
    return f"{len(below)} of {len(given)} below {cut:.{decimals}f}: {named}"
