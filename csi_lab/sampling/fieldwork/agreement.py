"""How well the answers of an interview and of its back-check agree."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.answers import require_numbers
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.percent import percent
from csi_lab.sampling.fieldwork.columns import require_present
from csi_lab.sampling.size.sample_size import is_number, refuse
from csi_lab.settings import require_level
from csi_lab.shares import wilson_of_counts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class BackCheck:
    """Agreement of first answers and back-checks.

    Attributes
    ----------
    value, se, low, high, level
        Share of all compared answers that agree; interval (Wilson) by the number of interviews, see Notes there.
    table
        One row per item: ``compared, agree, estimate, se, low, high`` (Wilson's interval).
    interviews, compared
        Interviews that were checked, and answers compared.
    unmatched
        Checked interviews that the first data do not have.
    missing
        Answers that could not be compared because one of the two is missing.
    by_interview
        Share of agreement per interview, index as the data; NaN when nothing could be compared.
    """

    value: float
    se: float
    low: float
    high: float
    level: float
    table: pd.DataFrame
    interviews: int
    compared: int
    unmatched: int
    missing: int
    by_interview: pd.Series

    def to_frame(self) -> pd.DataFrame:
        """The table of items, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Agreement of each item in percent."""
        from csi_lab.plots import bars

        shown = 100 * self.table[["estimate", "low", "high"]]
        return bars(shown, xlabel=f"answers that agree, % ({percent(self.level)} interval)", limits=(0, 118), ax=ax)

    def __str__(self) -> str:
        lines = [
            f"back-check of {self.interviews} interviews: {self.value:.1%} of {self.compared} answers agree, "
            f"{percent(self.level)} CI [{self.low:.1%}, {self.high:.1%}]"
        ]
        if self.missing:
            lines.append(f"  {self.missing} answers not compared (missing in one of the two)")
        if self.unmatched:
            lines.append(f"  {self.unmatched} back-checks belong to no interview of the data and are left out")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html()}"


def backcheck_agreement(
    first: pd.DataFrame,
    again: pd.DataFrame,
    items: Sequence[str],
    *,
    tolerance: float | Mapping[str, float] = 0.0,
    level: float = 0.95,
) -> BackCheck:
    """How often the back-check finds the answer that the interview reported.

    Parameters
    ----------
    first, again
        Answers of the interviews and of the back-checks; rows belong together by index, which is unique.
    items
        Columns asked again.
    tolerance
        Difference of numbers that still counts as agreement, one for all or per item; 0: equal. Text must be equal.
    level
        Confidence level.

    Returns
    -------
    BackCheck

    Raises
    ------
    DataError
        If columns are absent, an index is not unique, text meets a tolerance, or an item is numbers in one frame and
        text in the other (which would never agree).
    EstimationError
        If nothing can be compared.
    SpecError
        If a setting is out of its range, or an item is named twice.

    Notes
    -----
    Answers of one interview stand or fall together, so the overall share has the standard error of a ratio over
    interviews, and Wilson's interval at the n that this standard error is worth; when it is zero, the n is the number
    of interviews.

    References
    ----------
    .. [1] Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the
       American Statistical Association, 22, 209-212.

    Examples
    --------
    >>> import pandas as pd
    >>> first = pd.DataFrame({"age": [34, 51, 28, 45], "branch": list("NNSS")}, index=[11, 12, 13, 14])
    >>> again = pd.DataFrame({"age": [35, 51, 44, None], "branch": list("NNSS")}, index=[11, 12, 13, 14])
    >>> print(backcheck_agreement(first, again, ["age", "branch"], tolerance={"age": 1}))
    back-check of 4 interviews: 85.7% of 7 answers agree, 95% CI [47.3%, 97.6%]
      1 answers not compared (missing in one of the two)
    """
    import pandas as pd

    require_level(level)
    items = [items] if isinstance(items, str) else list(items)
    if not items:
        raise SpecError("items is empty; name the columns that were asked again")
    for what, frame in (("first", first), ("again", again)):
        require_present(frame, items)
        if not frame.index.is_unique:
            twice = sorted({str(label) for label in frame.index[frame.index.duplicated()]})
            raise DataError(f"interviews stand twice in {what}: {twice[:5]}; keep one row per interview")
    allowed = dict(tolerance) if isinstance(tolerance, Mapping) else dict.fromkeys(items, tolerance)
    refuse(
        "back-check",
        *(
            f"tolerance of {item!r} is {value!r}; it must be a number, 0 or more"
            for item, value in allowed.items()
            if not (is_number(value) and value >= 0)
        ),
        f"tolerance names unknown items {unknown}" if (unknown := [i for i in allowed if i not in items]) else "",
    )
    here = again.index.isin(first.index)
    checked = again.index[here]
    mixed = [item for item in items if {_kind(first[item]), _kind(again[item])} == {"numbers", "text"}]
    if mixed:
        raise DataError(
            f"items are numbers in one frame and text in the other, so that nothing would agree: {mixed}; read both in "
            "the same way"
        )
    agree, known = np.zeros((len(checked), len(items))), np.zeros((len(checked), len(items)), dtype=bool)
    for at, item in enumerate(items):
        a, b = first.loc[checked, item], again.loc[checked, item]
        known[:, at] = (a.notna() & b.notna()).to_numpy()
        if allowed.get(item, 0.0) > 0:
            for values in (a, b):
                require_numbers(values.to_frame())
            numbers = [v.to_numpy(dtype=float, na_value=np.nan) for v in (a, b)]
            with np.errstate(invalid="ignore"):
                same = np.abs(numbers[0] - numbers[1]) <= allowed[item] + 1e-9
        else:
            same = np.array([given and x == y for given, x, y in zip(known[:, at], a, b, strict=True)], dtype=bool)
        agree[:, at] = same & known[:, at]
    count = known.sum(axis=0)
    if not count.sum():
        raise EstimationError(f"nothing to compare: {len(checked)} of {len(again)} back-checks match an interview")
    share, low, high = wilson_of_counts(agree.sum(axis=0), count, level)
    table = pd.DataFrame(
        {
            "compared": count,
            "agree": agree.sum(axis=0).astype(int),
            "estimate": share,
            "se": np.sqrt(np.divide(share * (1 - share), count, out=np.full(len(items), np.nan), where=count > 0)),
            "low": low,
            "high": high,
        },
        index=pd.Index(items, name="item"),
    )
    per, own = known.sum(axis=1), agree.sum(axis=1)
    used = per > 0
    m = int(used.sum())
    value = float(own.sum() / per.sum())
    residual = (own - value * per)[used]
    se = math.sqrt(m / max(m - 1, 1) * float((residual**2).sum())) / float(per.sum())
    worth = value * (1 - value) / se**2 if se > 0 else float(m)
    _, overall_low, overall_high = wilson_of_counts(np.array(value * worth), np.array(worth), level)
    by_interview = pd.Series(
        np.divide(own, per, out=np.full(len(per), np.nan), where=used), index=checked, name="agreement"
    )
    return BackCheck(
        value=value,
        se=se,
        low=float(overall_low),
        high=float(overall_high),
        level=level,
        table=table,
        interviews=m,
        compared=int(count.sum()),
        unmatched=int((~here).sum()),
        missing=int(len(checked) * len(items) - count.sum()),
        by_interview=by_interview,
    )


def _kind(values: pd.Series) -> str:
    """Whether the answers to an item are numbers or text; the rest is neither."""
    given = values.dropna()
    if not len(given):
        return "nothing"
    if all(isinstance(v, str) for v in given):
        return "text"
    return "numbers" if all(isinstance(v, (int, float, np.number)) for v in given) else "other"
