"""Intercept surveys: who comes often is met often, and what to do about it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from csi_lab.errors import DataError
from csi_lab.percent import percent
from csi_lab.reliability.coefficient import require_level
from csi_lab.sampling.fieldwork.columns import numbers_of, require_present, shown_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class InterceptMean:
    """Mean over persons from a sample of visits.

    Attributes
    ----------
    value, se, low, high, level
        Mean with weights 1/visits, its standard error and interval.
    naive, naive_se, naive_low, naive_high
        The same without weights: a mean over visits.
    n, dropped
        Respondents used, and left out because the answer or the visits are missing.
    n_effective
        (sum w)^2 / sum w^2: what the weights leave of n.
    column
        What was averaged.
    """

    value: float
    se: float
    low: float
    high: float
    level: float
    naive: float
    naive_se: float
    naive_low: float
    naive_high: float
    n: int
    dropped: int
    n_effective: float
    column: str

    @property
    def length_bias(self) -> float:
        """What the plain mean has too much because frequent visitors are met more often."""
        return self.naive - self.value

    def to_frame(self) -> pd.DataFrame:
        """Two rows, ``corrected`` and ``naive``: ``estimate, se, low, high``."""
        import pandas as pd

        rows = [
            (self.value, self.se, self.low, self.high),
            (self.naive, self.naive_se, self.naive_low, self.naive_high),
        ]
        index = pd.Index(["corrected", "naive"], name="mean")
        return pd.DataFrame(rows, columns=["estimate", "se", "low", "high"], index=index)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Both means with their intervals."""
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(figsize=(6.0, 2.2), layout="constrained")
        table = self.to_frame()
        place = np.array([1, 0])
        ax.hlines(place, table["low"], table["high"], color="#1f2933", lw=1.4)
        ax.plot(table["estimate"], place, "o", color="#2f6f9f")
        for at, value in zip(place, table["estimate"], strict=True):
            ax.annotate(f"{value:.2f}", (value, at), xytext=(0, 7), textcoords="offset points", ha="center")
        ax.set_yticks(place, ["weights 1/visits", "no weights"])
        ax.set_ylim(-0.6, 1.6)
        ax.set_xlabel(f"mean of {self.column}, {percent(self.level)} interval", parse_math=False)
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def __str__(self) -> str:
        left_out = f", {self.dropped} left out (missing)" if self.dropped else ""
        return (
            f"mean of {self.column} over persons = {self.value:.3f}, {percent(self.level)} CI "
            f"[{self.low:.3f}, {self.high:.3f}], n = {self.n} (effective {self.n_effective:.1f}){left_out}\n"
            f"  over visits, unweighted: {self.naive:.3f} [{self.naive_low:.3f}, {self.naive_high:.3f}]; "
            f"length bias {self.length_bias:+.3f}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.to_frame().round(3).to_html()}"


def intercept_mean(frame: pd.DataFrame, column: str, visits: str, *, level: float = 0.95) -> InterceptMean:
    r"""Mean over persons when persons are met in proportion to their visits.

    .. math:: \bar y_w = \frac{\sum y_k / v_k}{\sum 1 / v_k}, \qquad
       v(\bar y_w) = \frac{n}{n - 1} \frac{\sum (y_k - \bar y_w)^2 / v_k^2}{(\sum 1 / v_k)^2}

    Parameters
    ----------
    frame
        One row per respondent met at the place.
    column
        The answer.
    visits
        Column of the visits v_k > 0 the respondent pays in the period the survey stands for, this visit included.
    level
        Confidence level; the interval takes Student's t with n - 1 degrees of freedom.

    Returns
    -------
    InterceptMean

    Raises
    ------
    DataError
        If columns are absent or text, visits are zero or negative (rows named), or fewer than two rows are complete.
    SpecError
        If the level is not between 0 and 1.

    Notes
    -----
    The mean is a ratio of two estimated totals (Hajek); the variance is its linearisation for drawing with replacement.
    It presumes that every visit is equally likely to be met and that visits are reported correctly.

    References
    ----------
    .. [1] Patil, G. P., & Rao, C. R. (1978). Weighted distributions and size-biased sampling with applications to
       wildlife populations and human families. Biometrics, 34(2), 179-189.
    .. [2] Kalton, G. (1991). Sampling flows of mobile human populations. Survey Methodology, 17(2), 183-194.

    Examples
    --------
    >>> import pandas as pd
    >>> met = pd.DataFrame({"csi": [90, 85, 80, 60, 55, 70], "visits": [8, 8, 4, 1, 1, 2]})
    >>> print(intercept_mean(met, "csi", "visits"))
    mean of csi over persons = 63.958, 95% CI [52.906, 75.011], n = 6 (effective 3.8)
      over visits, unweighted: 73.333 [58.616, 88.050]; length bias +9.375
    """
    require_level(level)
    require_present(frame, [column, visits])
    y, v = numbers_of(frame, column), numbers_of(frame, visits)
    known = np.isfinite(y) & np.isfinite(v)
    wrong = np.flatnonzero(np.isfinite(v) & (v <= 0))
    if len(wrong):
        raise DataError(
            f"visits {visits!r} are zero or negative in {len(wrong)} rows: {shown_rows(frame.index[wrong])}; "
            "somebody who was met has paid one visit at least"
        )
    y, v = y[known], v[known]
    n = len(y)
    if n < 2:
        raise DataError(f"only {n} complete rows of {column!r} and {visits!r}; two or more are needed")
    t = float(special.stdtrit(n - 1, 0.5 + level / 2))
    value, se = _ratio_mean(y, 1 / v)
    naive, naive_se = _ratio_mean(y, np.ones(n))
    w = 1 / v
    return InterceptMean(
        value=value,
        se=se,
        low=value - t * se,
        high=value + t * se,
        level=level,
        naive=naive,
        naive_se=naive_se,
        naive_low=naive - t * naive_se,
        naive_high=naive + t * naive_se,
        n=n,
        dropped=int((~known).sum()),
        n_effective=float(w.sum() ** 2 / (w**2).sum()),
        column=str(column),
    )


def _ratio_mean(y: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Weighted mean and its linearised standard error."""
    n, mean = len(y), float((w * y).sum() / w.sum())
    variance = n / (n - 1) * float((w**2 * (y - mean) ** 2).sum()) / float(w.sum()) ** 2
    return mean, float(np.sqrt(variance))
