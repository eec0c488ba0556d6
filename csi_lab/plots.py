"""Pictures of results: they take tables or fits, draw on an Axes, and return it."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import CsiLabWarning, DataError
from csi_lab.layout import label_spots, place
from csi_lab.model import PathModel

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from csi_lab.sem.fit import PLSFit

INK, QUIET, ACCENT, NEGATIVE = "#1f2933", "#9fb3c8", "#2f6f9f", "#b3423a"

# Families with Chinese glyphs on Linux, Windows and macOS, in order of preference.
CJK_FAMILIES = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Noto Sans SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "SimSun",
    "Arial Unicode MS",
    "Droid Sans Fallback",
)


def path_diagram(
    fit: PLSFit | PathModel, *, ax: Axes | None = None, labels: Mapping[str, str] | None = None, decimals: int = 2
) -> Axes:
    """Constructs as boxes in columns by path order, paths as arrows whose width is the size of the coefficient.

    Parameters
    ----------
    fit
        A single PLS fit (coefficients and R2 are written), or a model alone (arrows only).
    ax
        Where to draw; a new figure of fitting size when ``None``.
    labels
        Construct name to text shown, e.g. ``survey.labels("zh")``. Chinese labels need a font with Chinese glyphs;
        without one the names are shown and a warning says so.
    decimals
        Of coefficients and R2.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        If the fit holds several draws.

    Examples
    --------
    >>> import csi_lab as csi
    >>> ax = path_diagram(csi.models["ACSI"])
    >>> len(ax.patches) >= 6
    True
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    model = fit if isinstance(fit, PathModel) else fit.model
    coefficients, r2 = _numbers(fit)
    shown, family = _shown(list(model.constructs), labels)
    centres = place(model)
    wrapped = {name: _wrapped(text) for name, text in shown.items()}
    width, height = 1.5, 0.95 if any(text.count("\n") > 1 for text in wrapped.values()) else 0.72
    x, y = np.array(list(centres.values())).T
    if ax is None:
        _, ax = plt.subplots(figsize=(0.74 * np.ptp(x) + 1.7, 0.85 * np.ptp(y) + 1.2), layout="constrained")
    strongest = max((abs(b) for b in coefficients.values()), default=1.0)
    segments = np.array([_between(centres[s], centres[t], width, height) for s, t in model.edges]).reshape(-1, 2, 2)
    boxes = np.array([(*centre, width, height) for centre in centres.values()])
    spots = label_spots(segments, 0.52, 0.26, boxes)
    for edge, (tail, head), spot in zip(model.edges, segments.tolist(), spots.tolist(), strict=True):
        value = coefficients.get(edge)
        line = 1.4 if value is None else 0.6 + 4.0 * abs(value) / max(strongest, 1e-12)
        colour = QUIET if value is None else (NEGATIVE if value < 0 else ACCENT)
        style = f"-|>,head_length={3 + line},head_width={1.5 + line / 2}"
        arrow = FancyArrowPatch(tuple(tail), tuple(head), arrowstyle=style, mutation_scale=1.5, lw=line, color=colour)
        arrow.shrinkA = arrow.shrinkB = 0
        ax.add_patch(arrow)
        if value is not None:
            box = {"boxstyle": "round,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}
            text = f"{value:.{decimals}f}"
            ax.text(spot[0], spot[1], text, ha="center", va="center", fontsize=8.5, color=INK, bbox=box, zorder=3)
    for name, centre in centres.items():
        corner = (centre[0] - width / 2, centre[1] - height / 2)
        style = "round,pad=0,rounding_size=0.14"
        ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, fc="#f4f7fa", ec=INK, lw=1.1, zorder=2))
        note = f"\nR² {r2[name]:.{decimals}f}" if name in r2 else ""
        label = ax.text(*centre, wrapped[name] + note, ha="center", va="center", fontsize=9, color=INK, zorder=4)
        label.set(family=family, parse_math=False)
    ax.set(xlim=(x.min() - width * 0.6, x.max() + width * 0.6), ylim=(y.min() - height * 0.8, y.max() + height * 0.8))
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def bars(
    table: pd.DataFrame,
    *,
    xlabel: str,
    limits: tuple[float, float] | None = None,
    highlight: str | None = None,
    decimals: int = 1,
    cut: float | None = None,
    ax: Axes | None = None,
    labels: Mapping[str, str] | None = None,
) -> Axes:
    """Horizontal bars with their values, and intervals when the table has ``low`` and ``high``.

    Parameters
    ----------
    table
        Column ``estimate``, optionally ``low`` and ``high``; one row per bar, drawn from the top.
    xlabel
        What is measured, with its unit.
    limits
        Of the horizontal axis.
    highlight
        Row to set off by colour.
    decimals
        Of the values.
    cut
        Where to draw a dotted line: the cut-off that the bars are judged by.
    ax, labels
        As in :func:`path_diagram`.

    Raises
    ------
    DataError
        If the table has no column ``estimate``.

    Examples
    --------
    >>> import pandas as pd
    >>> ax = bars(pd.DataFrame({"estimate": [72.5, 62.3]}, index=["Satisfaction", "Value"]), xlabel="index")
    >>> [text.get_text() for text in ax.texts]
    ['72.5', '62.3']
    """
    import matplotlib.pyplot as plt

    if "estimate" not in table.columns:
        raise DataError(f"need a column 'estimate'; the table has {[str(c) for c in table.columns][:8]}")
    names = [str(name) for name in table.index]
    shown, family = _shown(names, labels)
    shown = {name: tick_text(text) for name, text in shown.items()}
    if ax is None:
        lines = max((text.count("\n") + 1 for text in shown.values()), default=1)
        _, ax = plt.subplots(figsize=(6.4, max(0.42, 0.2 * lines) * len(names) + 0.9), layout="constrained")
    position = np.arange(len(names))[::-1]
    estimate = table["estimate"].to_numpy(dtype=float)
    colours = [ACCENT if name == highlight or highlight is None else QUIET for name in names]
    ax.barh(position, estimate, height=0.62, color=colours)
    ends = estimate
    if {"low", "high"} <= set(table.columns):
        low, high = table["low"].to_numpy(dtype=float), table["high"].to_numpy(dtype=float)
        ax.hlines(position, low, high, color=INK, lw=1.4)
        ends = np.where(estimate < 0, np.fmin(low, estimate), np.fmax(high, estimate))
    for place_, end, value in zip(position, ends, estimate, strict=True):
        if np.isfinite(value):
            side = -1 if value < 0 else 1
            ax.annotate(
                f"{value:.{decimals}f}",
                (end, place_),
                xytext=(4 * side, 0),
                textcoords="offset points",
                ha="right" if value < 0 else "left",
                va="center",
                fontsize=9,
                color=INK,
            )
    ax.set_yticks(position, [shown[name] for name in names])
    for tick in ax.get_yticklabels():
        tick.set(family=family, parse_math=False)
    ax.set_xlabel(xlabel, parse_math=False, family=_shown([xlabel], None)[1])
    if cut is not None:
        ax.axvline(cut, color=INK, lw=1, ls=":")
    if limits:
        ax.set_xlim(*limits)
    else:
        ax.margins(x=0.12)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def index_bars(
    table: pd.DataFrame,
    *,
    highlight: str | None = None,
    ax: Axes | None = None,
    labels: Mapping[str, str] | None = None,
    xlabel: str = "index, 0 to 100 points",
) -> Axes:
    """Indices of constructs as bars on the 0-100 scale; parameters and errors as in :func:`bars`.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> found = csi.index.from_fit(csi.sem.pls(survey), bounds=survey.bounds)
    >>> index_bars(found.table, highlight="Satisfaction").get_xlabel()
    'index, 0 to 100 points'
    """
    return bars(table, xlabel=xlabel, limits=(0, 108), highlight=highlight, ax=ax, labels=labels)


def answer_bars(
    answers: Any,
    bounds: tuple[float, float],
    *,
    cuts: tuple[float, ...] = (),
    weights: Any = None,
    ax: Axes | None = None,
    xlabel: str = "answer",
) -> Axes:
    """How often each answer of one item was given, in percent, with lines where a "satisfied" box may begin.

    Parameters
    ----------
    answers
        One item, ``(n,)``; missing answers are left out.
    bounds
        Lowest and highest possible answer; each whole answer gets a bar, on scales of more than 20 steps several.
    cuts
        Lowest answers of the boxes; each line is labelled with the share at or above it.
    weights
        Sampling weights ``(n,)``; equal when ``None``.
    ax, xlabel
        Where to draw, and what the item asks.

    Raises
    ------
    DataError
        If there is no answer, or one lies outside the bounds.

    Examples
    --------
    >>> ax = answer_bars([7, 8, 8, 10], (1, 10), cuts=(8,))
    >>> [text.get_text() for text in ax.texts]
    ['8 or more: 75 %']
    """
    import matplotlib.pyplot as plt

    x = np.asarray(answers, dtype=float)
    given = ~np.isnan(x)
    w = (np.ones(len(x)) if weights is None else np.asarray(weights, dtype=float))[given]
    x, w = x[given], w / w.sum()
    fractions = int((x != np.rint(x)).sum())
    low, high = bounds
    if not len(x) or (x < low).any() or (x > high).any():
        raise DataError(f"need answers from {low:g} to {high:g}")
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    # Wide scales get bars of several points, fractions go to the whole answer below; the axis says so.
    step = max(1, int(np.ceil((high - low) / 20)))
    values = np.arange(low, high + 1, step)
    bar = np.floor((x - low) / step)
    share = np.array([w[bar == k].sum() for k in range(len(values))]) * 100
    ax.bar(values + (step - 1) / 2, share, color=ACCENT, width=0.8 * step)
    if step > 1 or fractions:
        xlabel = f"{xlabel} (bars of {step} point{'s' * (step > 1)}" + (
            ", fractions in the answer below)" if fractions else ")"
        )
    top = share.max()
    for level, cut in enumerate(sorted(cuts, reverse=True)):
        height = top * (1.08 + 0.13 * level)
        ax.vlines(cut - 0.5, 0, height, color=INK, lw=1, ls="--")
        label = f"{cut:g} or more: {100 * w[x >= cut].sum():.0f} %"
        ax.annotate(label, (cut - 0.5, height), xytext=(4, 0), textcoords="offset points", ha="left", va="center")
    ax.set_xlabel(xlabel, parse_math=False)
    ax.set(ylabel="share of respondents, %", ylim=(0, top * (1.12 + 0.13 * len(cuts))))
    ax.set_xlim(low - 0.7 * step, high + 1.6 * step + 0.05 * (high - low))
    if len(values) <= 12:
        ax.set_xticks(values)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _numbers(fit: PLSFit | PathModel) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """Coefficients per edge and R2 per construct; empty for a model alone."""
    if isinstance(fit, PathModel):
        return {}, {}
    if fit.moments.shape:
        raise DataError("this fit holds several draws; draw one fit")
    return fit.paths["estimate"].to_dict(), fit.r2["estimate"].to_dict()


def _wrapped(text: str) -> str:
    """A label in at most three lines that fit a box."""
    lines = textwrap.wrap(text, 14 if text.isascii() else 8) or [text]
    return "\n".join(lines if len(lines) <= 3 else [*lines[:2], lines[2].rstrip(" ,;:") + " …"])


def tick_text(text: str) -> str:
    """A label in lines short enough to leave room for the picture; whole wordings of questions stand in several.

    Examples
    --------
    >>> tick_text("overall perceived quality")
    'overall perceived quality'
    >>> tick_text("meets your expectations of a mobile phone operator").splitlines()
    ['meets your expectations of a', 'mobile phone operator']
    """
    return "\n".join(textwrap.wrap(text, 16 if any(map(_is_cjk, text)) else 30)) or text


def _between(source: tuple[float, float], target: tuple[float, float], width: float, height: float) -> np.ndarray:
    """The part ``(2, 2)`` of the line between two boxes' centres that lies outside both."""
    start, end = np.array(source), np.array(target)
    with np.errstate(divide="ignore"):
        inside = min(0.45, float(np.min(np.array([width, height]) / 2 / np.abs(end - start))))
    return np.array([start + inside * (end - start), end - inside * (end - start)])


def _shown(names: list[str], labels: Mapping[str, str] | None) -> tuple[dict[str, str], list[str]]:
    """The text for each name and the font families that can draw it; names themselves when no font can."""
    shown = {name: (labels or {}).get(name, name) for name in names}
    if not any(_is_cjk(c) for text in shown.values() for c in text):
        return shown, ["DejaVu Sans"]
    font = _cjk_font()
    if font is None:
        return {name: name for name in names}, ["DejaVu Sans"]
    return shown, ["DejaVu Sans", font]


def _is_cjk(character: str) -> bool:
    return "\u2e80" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff" or "\uff00" <= character <= "\uffef"


@lru_cache(maxsize=1)
def _cjk_font() -> str | None:
    """A font with Chinese glyphs; warns once per session when there is none."""
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    if not known.intersection(CJK_FAMILIES):
        # matplotlib's cache may be older than the font.
        marks = ("cjk", "sourcehan", "wqy", "notosanssc", "msyh", "simhei", "pingfang")
        for path in font_manager.findSystemFonts():
            if any(mark in path.lower() for mark in marks):
                font_manager.fontManager.addfont(path)
        known = {font.name for font in font_manager.fontManager.ttflist}
    found = next((family for family in CJK_FAMILIES if family in known), None)
    if found is None:
        warnings.warn(
            "no font with Chinese glyphs was found: pictures show the names of the study file instead of Chinese "
            "labels; install one (Debian and Ubuntu: fonts-noto-cjk; other systems: Noto Sans SC) and start again",
            CsiLabWarning,
            stacklevel=4,
        )
    return found
