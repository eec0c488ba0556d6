"""Tables as Markdown, and the places of a page that a command fills."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

PAGE = Path(__file__).parents[1] / "docs" / "sampling.md"
IMAGES = PAGE.parent / "images"


def markdown(table: pd.DataFrame) -> str:
    """A table of text cells with its index as the first column.

    Examples
    --------
    >>> print(markdown(pd.DataFrame({"bias": ["+0.1"]}, index=pd.Index(["quota"], name="way"))))
    | way | bias |
    | --- | ---: |
    | quota | +0.1 |
    """
    head = [str(table.index.name or ""), *map(str, table.columns)]
    marks = ["---", *("---" if _wordy(table[c]) else "---:" for c in table.columns)]
    rows = [[str(label), *map(str, row)] for label, row in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, marks, *rows))


def _wordy(cells: pd.Series) -> bool:
    return bool(cells.astype(str).str.len().max() > 28)


def block(text: str, name: str) -> str:
    """What stands between the marks of ``name``.

    Raises
    ------
    ValueError
        If the page has no such marks.

    Examples
    --------
    >>> block("<!-- begin a -->\\nx\\n<!-- end a -->", "a")
    'x'
    """
    found = re.search(_marks(name), text, flags=re.DOTALL)
    if found is None:
        raise ValueError(f"the page has no place <!-- begin {name} --> … <!-- end {name} -->")
    return found.group(2).strip("\n")


def filled(text: str, name: str, content: str) -> str:
    """The page with another content between the marks of ``name``.

    Examples
    --------
    >>> filled("<!-- begin a -->\\nx\\n<!-- end a -->", "a", "y")
    '<!-- begin a -->\\ny\\n<!-- end a -->'
    """
    block(text, name)
    return re.sub(_marks(name), lambda m: f"{m.group(1)}\n{content}\n{m.group(3)}", text, flags=re.DOTALL)


def write(name: str, content: str, path: Path = PAGE) -> None:
    """Fill one place of the page on disk."""
    path.write_text(filled(path.read_text(encoding="utf-8"), name, content), encoding="utf-8")


def _marks(name: str) -> str:
    return rf"(<!-- begin {re.escape(name)} -->)(.*?)(<!-- end {re.escape(name)} -->)"
