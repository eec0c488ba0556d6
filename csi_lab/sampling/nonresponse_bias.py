"""Bias of the respondents' mean where the frame knows the answer of everybody."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.answers import require_columns
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.sampling.margins import as_columns, cells_of, numbers_in, row_labels
from csi_lab.sampling.matching import frame_of
from csi_lab.sampling.weight.adjustment import as_adjusted
from csi_lab.sampling.weight.response_model import read_responded
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class NonresponseBias:
    """How far respondents differ from everybody in what the frame knows.

    Attributes
    ----------
    table
        One row per column (or category), index (column, category): ``estimate`` (bias of the respondents' mean),
        ``se, low, high``, ``respondents, others, everybody`` (means), ``relative`` (bias over the mean of everybody),
        ``standardised`` (bias over the standard deviation); with adjusted weights also ``after``, the bias that
        remains.
    rate
        Weighted response rate.
    n, responded, level
        Cases, respondents, level of the intervals.
    """

    table: pd.DataFrame
    rate: float
    n: int
    responded: int
    level: float

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def __str__(self) -> str:
        worst = self.table["standardised"].abs().idxmax()
        where = worst[0] if worst[1] == "mean" else f"{worst[0]}={worst[1]}"
        lines = [
            f"{self.responded:,} of {self.n:,} cases responded ({self.rate:.1%}); largest bias of {len(self.table)} "
            f"means: {where}, {self.table.loc[worst, 'estimate']:.4g} "
            f"({self.table.loc[worst, 'standardised']:.2f} standard deviations)"
        ]
        if "after" in self.table:
            lines.append(f"after adjustment {self.table.loc[worst, 'after']:.4g}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html()}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Standardised bias of every mean, largest on top.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"spend": [1.0, 2.0, 3.0, 6.0], "answered": [1, 1, 1, 0]})
        >>> bias(frame, "spend", responded="answered").plot().get_xlabel()
        'bias of the respondents, standard deviations'
        """
        import matplotlib.pyplot as plt

        from csi_lab.plots import ACCENT, INK
        from csi_lab.plots_text import as_written

        shown = self.table["standardised"].sort_values(key=abs)
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 1.2 + 0.32 * len(shown)), layout="constrained")
        ax.barh(np.arange(len(shown)), shown.to_numpy(), color=ACCENT)
        ax.set_yticks(np.arange(len(shown)), [c if k == "mean" else f"{c}={k}" for c, k in shown.index])
        ax.axvline(0, color=INK, lw=1)
        ax.set_xlabel("bias of the respondents, standard deviations")
        ax.spines[["top", "right"]].set_visible(False)
        return as_written(ax)


def bias(
    frame: Any,
    columns: str | Sequence[str],
    *,
    responded: Any,
    weights: Any = None,
    adjusted: Any = None,
    level: float = 0.95,
) -> NonresponseBias:
    r"""Non-response bias of the mean of columns that are known for respondents and non-respondents.

    .. math:: B = (1 - r)(\bar y_r - \bar y_m) = \bar y_r - \bar y

    with r the response rate, m the non-respondents.

    Parameters
    ----------
    frame
        One row per sampled case; also a survey or a drawn sample.
    columns
        Numeric columns; others are read as categories, and the bias is that of each category's share.
    responded
        Column, or values per row: 1 or True for respondents, 0 or False for the others.
    weights
        Base weights as in :func:`csi_lab.sampling.weight.post_stratify`.
    adjusted
        Weights after a non-response adjustment: the bias that remains under them is shown as well.
    level
        Of the intervals.

    Returns
    -------
    NonresponseBias

    Raises
    ------
    DataError
        If columns are absent, missing or constant, everybody or nobody responded, or no respondent has an adjusted
        weight.
    SpecError
        If no column is named, or the level is impossible.

    Notes
    -----
    Standard errors linearise the difference of the two means and treat cases as independent draws.

    References
    ----------
    .. [1] Groves, R. M. (2006). Public Opinion Quarterly, 70, 646-675.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"spend": [1.0, 2.0, 3.0, 6.0], "answered": [1, 1, 1, 0]})
    >>> found = bias(frame, "spend", responded="answered")
    >>> print(found)
    3 of 4 cases responded (75.0%); largest bias of 1 means: spend, -1 (-0.46 standard deviations)
    """
    import pandas as pd

    require_level(level)
    d, frame = as_adjusted(frame, weights).values, frame_of(frame)
    answered = read_responded(frame, responded, d)
    used = d > 0
    if answered[used].all():
        raise DataError("everybody responded; there is no non-response bias to estimate")
    names, y = _known_values(frame, as_columns(columns), d)
    n, share, among = int(used.sum()), d / d.sum(), d * answered / d[answered].sum()
    rest = d * ~answered / d[~answered].sum()
    everybody, respondents = share @ y, among @ y
    estimate = respondents - everybody
    influence = among[:, None] * (y - respondents) - share[:, None] * (y - everybody)
    error = np.sqrt(n / (n - 1) * (influence**2).sum(axis=0))
    z = float(special.ndtri(0.5 + level / 2))
    spread = np.sqrt(n / (n - 1) * (share @ (y - everybody) ** 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative, standardised = estimate / everybody, estimate / spread
    table = pd.DataFrame(
        {
            "estimate": estimate,
            "se": error,
            "low": estimate - z * error,
            "high": estimate + z * error,
            "respondents": respondents,
            "others": rest @ y,
            "everybody": everybody,
            "relative": np.where(everybody != 0, relative, np.nan),
            "standardised": standardised,
        },
        index=pd.MultiIndex.from_tuples(names, names=["column", "category"]),
    )
    if adjusted is not None:
        w = as_adjusted(frame, adjusted).values * answered
        if not w.sum() > 0:
            raise DataError("the adjusted weights of all respondents are 0; nothing remains to compare")
        table["after"] = w @ y / w.sum() - everybody
    return NonresponseBias(table, float(share[answered].sum()), n, int((answered & used).sum()), level)


def _known_values(frame: pd.DataFrame, columns: list[str], weights: np.ndarray) -> tuple[list[tuple[str, str]], Any]:
    """Names (column, category) and values ``(n, m)``; rows of weight 0 with missing values hold 0."""
    if not columns:
        raise SpecError("name one column or more")
    require_columns(frame, columns)
    names, parts, problems = [], [], []
    for column in columns:
        values = numbers_in(frame, column)
        known = frame[column].notna().to_numpy() if values is None else np.isfinite(values)
        wrong = np.flatnonzero(~known & (weights != 0))
        if len(wrong):
            problems.append(
                f"{column!r} is missing or infinite in {len(wrong)} rows: {row_labels(frame, wrong)}; the bias needs "
                "a column known for all cases"
            )
        elif values is None:
            codes, labels = cells_of(frame, [column], weights)
            names += [(str(column), str(label)) for label in labels]
            parts += [(codes == k).astype(float) for k in range(len(labels))]
        elif len(np.unique(values[weights != 0])) < 2:
            problems.append(f"{column!r} does not vary")
        else:
            names.append((str(column), "mean"))
            parts.append(np.where(weights != 0, values, 0.0))
    if problems:
        raise DataError(listed(problems, "the bias cannot be computed"), problems)
    return names, np.column_stack(parts)
