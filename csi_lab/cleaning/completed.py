"""Answers whose gaps were filled once, and what that did to means and standard deviations."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.cleaning.missing import Gaps, shortened
from csi_lab.cleaning.respondents import column_names, require_columns
from csi_lab.errors import DataError, SpecError
from csi_lab.settings import is_number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from csi_lab.index.formula import Bounds


@dataclass(frozen=True, eq=False)
class Completed:
    """A sample after its missing answers were treated.

    Attributes
    ----------
    frame
        The rows, with values filled in (listwise: fewer rows).
    filled
        Which answers of the items were filled, on the rows of ``frame``.
    table
        One row per item: ``answered, filled, left`` (still missing), and ``mean_before, mean_after, sd_before,
        sd_after`` (weighted where there are weights).
    treatment
        What was done, in words, with counts.
    data
        What to analyse next: a survey where a survey was given, so that its design stays, else ``frame``.
    """

    frame: pd.DataFrame
    filled: pd.DataFrame
    table: pd.DataFrame
    treatment: str
    data: Any

    def to_frame(self) -> pd.DataFrame:
        """The table of items, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Standard deviation after the treatment as a share of that before, per item."""
        from csi_lab.plots import bars

        share = (self.table["sd_after"] / self.table["sd_before"]).to_frame("estimate")
        ax = bars(share, xlabel="sd after treatment / sd of the answers given", decimals=3, ax=ax)
        ax.axvline(1.0, ls="--", color="0.6", lw=1)
        return ax

    def __str__(self) -> str:
        filled, left = int(self.table["filled"].sum()), int(self.table["left"].sum())
        return f"{len(self.frame)} rows, {len(self.table)} items, {filled} filled, {left} missing\n{self.treatment}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html(max_rows=30)}"


def completed(gaps: Gaps, x: np.ndarray, how: str, kept: np.ndarray | None = None) -> Completed:
    """The result of a treatment: answers ``x (n, p)`` after it, and the rows ``kept (n,)`` if not all."""
    import pandas as pd

    before = gaps.answers()
    kept = np.ones(len(x), dtype=bool) if kept is None else kept
    names = list(gaps.items)
    changed = (~np.isnan(x) & np.isnan(before))[kept]
    frame = with_answers(gaps.frame, names, x)[kept]
    mean_before, sd_before = _spread(before[gaps.used], gaps.weights[gaps.used])
    after = gaps.used & kept
    mean_after, sd_after = _spread(x[after], gaps.weights[after])
    table = pd.DataFrame(
        {
            "answered": (~np.isnan(before[kept])).sum(axis=0),
            "filled": changed.sum(axis=0),
            "left": np.isnan(x[kept]).sum(axis=0),
            "mean_before": mean_before,
            "mean_after": mean_after,
            "sd_before": sd_before,
            "sd_after": sd_after,
        },
        index=pd.Index(names, name="item"),
    )
    filled = pd.DataFrame(changed, index=frame.index, columns=names)
    return Completed(frame, filled, table, how, survey_with(gaps.data, frame, how))


def with_answers(frame: pd.DataFrame, items: Sequence[str], x: np.ndarray) -> pd.DataFrame:
    """The frame with other answers ``x (n, p)`` to some items, as floats; its other columns as they are."""
    result = frame.copy()
    result[list(items)] = x
    return result


def survey_with(data: Any, frame: pd.DataFrame, note: str) -> Any:
    """The same survey with other rows and a note on them; the frame itself where no survey was given."""
    return replace(data, frame=frame, notes=(*data.notes, f"{note}.")) if hasattr(data, "notes") else frame


def on_scale(
    x: np.ndarray, filled: np.ndarray, items: Sequence[str], step: float | None, bounds: Bounds | None
) -> tuple[np.ndarray, str]:
    """Filled values brought to the answers that the scale has, as asked for, and what was changed, in words.

    Raises
    ------
    SpecError
        If the step is not positive or bounds are not low < high.
    """
    from csi_lab.index.formula import limits

    said = ""
    if step is not None:
        if not is_number(step) or not 0 < step < np.inf:
            raise SpecError(f"step={step!r} must be positive, e.g. 1 for whole answers")
        start = limits(bounds, items)[0] if bounds is not None else np.zeros(x.shape[1])
        rounded = np.where(filled, start + np.round((x - start) / step) * step, x)
        said += f"; {int((filled & (rounded != x)).sum())} of them rounded to steps of {step:g}"
        x = rounded
    if bounds is not None:
        low, high = limits(bounds, items)
        inside = np.where(filled, np.clip(x, low, high), x)
        said += f"; {int((filled & (inside != x)).sum())} of them beyond the bounds and set to these"
        x = inside
    return x, said


def counted(gaps: Gaps) -> str:
    """How many answers are missing where, as the start of a sentence."""
    gap = ~gaps.known[gaps.used]
    cells, rows = int(gap.sum()), int(gap.any(axis=1).sum())
    by_item = [f"{name} {k}" for name, k in zip(gaps.items, gap.sum(axis=0), strict=True) if k]
    return f"{cells} missing answer{'s' * (cells != 1)} in {rows} row{'s' * (rows != 1)} ({shortened(by_item) or '-'})"


def remarks(gaps: Gaps) -> str:
    """What else a reader must know about the rows: those without any answer, those of weight zero."""
    said = ""
    empty = int((~gaps.known & gaps.used[:, None]).all(axis=1).sum())
    if empty and len(gaps.items) > 1:
        said += f"; {empty} of these rows answered none of the items"
    nobody = int((~gaps.used).sum())
    if nobody:
        said += f"; {nobody} rows of weight zero left as they are"
    return said


def groups_of(gaps: Gaps, within: str | Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Number of each row's cell ``(n,)`` and the cells in words, from the columns that divide the rows.

    Raises
    ------
    DataError
        If a column is absent, is one of the items, or has gaps.
    """
    import pandas as pd

    if within is None:
        return np.zeros(len(gaps.frame), dtype=int), ["all rows"]
    columns = column_names(within, "within")
    if not columns:
        raise DataError("within=[] names no column; leave it out for one cell of all rows")
    require_columns(gaps.frame, columns)
    both = [c for c in columns if c in gaps.items]
    if both:
        raise DataError(f"columns of within= are items to be filled: {both}; give each one role")
    holes = {c: int(gaps.frame[c].isna().sum()) for c in columns}
    if any(holes.values()):
        where = ", ".join(f"{c} in {k} rows" for c, k in holes.items() if k)
        raise DataError(f"columns of within= have gaps: {where}; give these rows a label of their own")
    keys = [gaps.frame[c].astype(str) for c in columns]
    codes, labels = pd.factorize(pd.MultiIndex.from_arrays(keys), sort=True)
    heading = "/".join(map(str, columns))
    return codes, [f"{heading} = {', '.join(label)}" for label in labels]


def _spread(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation (n/(n - 1)) of each column ``(p,)`` over its answers."""
    known = ~np.isnan(x)
    weight, n = w @ known, known.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = w @ np.where(known, x, 0.0) / weight
        variance = w @ np.where(known, x - mean, 0.0) ** 2 / weight * n / (n - 1)
    return mean, np.sqrt(variance)
