"""Pictures of factor analyses: heat map of loadings, eigenvalues in a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import DataError
from csi_lab.plots import ACCENT, INK, QUIET, _is_cjk, _shown, tick_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def loading_map(
    table: pd.DataFrame, *, ax: Axes | None = None, labels: Mapping[str, str] | None = None, decimals: int = 2
) -> Axes:
    """Loadings as coloured cells with their values, items as rows in the order of the table.

    Parameters
    ----------
    table
        Items by factors, numbers from about -1 to 1.
    ax
        Where to draw; a new figure of fitting size when ``None``.
    labels
        Item to text shown, e.g. ``survey.labels("zh")``; see :func:`csi_lab.plots.path_diagram`.
    decimals
        Of the values.

    Raises
    ------
    DataError
        If the table is empty.

    Examples
    --------
    >>> import pandas as pd
    >>> ax = loading_map(pd.DataFrame({"F1": [0.8, 0.1], "F2": [0.0, -0.7]}, index=["q1", "q2"]))
    >>> [text.get_text() for text in ax.texts]
    ['0.80', '0.00', '0.10', '-0.70']
    """
    import matplotlib.pyplot as plt

    values = table.to_numpy(dtype=float)
    if not values.size:
        raise DataError("there are no loadings to draw")
    names = [str(name) for name in table.index]
    shown, family = _shown(names, labels)
    shown = {name: tick_text(text) for name, text in shown.items()}
    if ax is None:
        lines = [line for text in shown.values() for line in text.split("\n")]
        tallest = max(text.count("\n") + 1 for text in shown.values())
        size = (
            0.6 + 0.08 * max(map(_columns, lines)) + 0.75 * values.shape[1],
            0.8 + max(0.3, 0.19 * tallest) * len(names),
        )
        _, ax = plt.subplots(figsize=size, layout="constrained")
    ax.imshow(values, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = f"{value + 0.0:.{decimals}f}"
            ax.text(j, i, text, ha="center", va="center", fontsize=8.5, color="white" if abs(value) > 0.6 else INK)
    ax.set_yticks(range(len(names)), [shown[name] for name in names])
    for tick in ax.get_yticklabels():
        tick.set(family=family, parse_math=False)
    ax.set_xticks(range(values.shape[1]), [str(c) for c in table.columns])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def _columns(text: str) -> int:
    """Width of a line in Latin letters; a Chinese character takes two."""
    return sum(2 if _is_cjk(character) else 1 for character in text)


def eigenvalue_lines(
    table: pd.DataFrame,
    *,
    level: float | None = None,
    ylabel: str = "eigenvalue",
    xlabel: str = "number",
    ax: Axes | None = None,
) -> Axes:
    """Each column as a line over the index: eigenvalues, chance beside them, or average partial correlations.

    Parameters
    ----------
    table
        Index: numbers of factors; the first column is drawn strong, the others dashed.
    level
        A horizontal line, e.g. 1 for Kaiser's rule.
    ylabel, xlabel
        What is measured, and over what.
    ax
        Where to draw; a new figure when ``None``.

    Examples
    --------
    >>> import pandas as pd
    >>> ax = eigenvalue_lines(pd.DataFrame({"observed": [2.1, 0.6, 0.3]}, index=[1, 2, 3]), level=1)
    >>> ax.lines[0].get_ydata().tolist()
    [2.1, 0.6, 0.3]
    """
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(6.0, 3.4), layout="constrained")
    x = np.asarray(table.index)
    for at, name in enumerate(table.columns):
        line = ax.plot(x, table[name].to_numpy(dtype=float), label=str(name), color=INK, ls="--", lw=1.2)[0]
        if at == 0:
            line.set(color=ACCENT, linestyle="-", marker="o", linewidth=1.6)
    if level is not None:
        ax.axhline(level, color=QUIET, lw=1)
    if len(table.columns) > 1:
        ax.legend(frameon=False)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_xticks(x if len(x) <= 12 else x[:: max(1, len(x) // 8)])
    ax.spines[["top", "right"]].set_visible(False)
    return ax
