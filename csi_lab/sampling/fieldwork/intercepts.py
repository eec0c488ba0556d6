"""Intercept surveys: who comes often is met often, and what to do about it."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.answers import split_weights
from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.percent import percent
from csi_lab.sampling.estimate.means import mean
from csi_lab.sampling.estimate.results import Estimate
from csi_lab.sampling.estimate.stage_variance import Lonely
from csi_lab.sampling.fieldwork.columns import numbers_of, require_present, shown_rows
from csi_lab.settings import require_level

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
        The same without dividing by visits: a mean over visits.
    df
        Degrees of freedom of the intervals: sampling units minus strata.
    design
        How the visits were chosen.
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
    df: float
    n: int
    dropped: int
    n_effective: float
    column: str
    design: Design
    notes: tuple[str, ...] = ()

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

        from csi_lab.plots_text import as_written

        if ax is None:
            _, ax = plt.subplots(figsize=(6.0, 2.2), layout="constrained")
        table = self.to_frame()
        place = np.array([1, 0])
        ax.hlines(place, table["low"], table["high"], color="#1f2933", lw=1.4)
        ax.plot(table["estimate"], place, "o", color="#2f6f9f")
        for at, value in zip(place, table["estimate"], strict=True):
            ax.annotate(f"{value:.2f}", (value, at), xytext=(0, 7), textcoords="offset points", ha="center")
        ax.set_yticks(place, ["over persons\n(weights 1/visits)", "over visits"])
        ax.set_ylim(-0.6, 1.6)
        ax.set_xlabel(f"mean of {self.column}, {percent(self.level)} interval")
        ax.spines[["top", "right"]].set_visible(False)
        return as_written(ax)

    def __str__(self) -> str:
        left_out = f", {self.dropped} left out (missing)" if self.dropped else ""
        plain = "over visits, unweighted" if self.design.weights is None else "over visits"
        head = (
            f"mean of {self.column} over persons = {self.value:.3f}, {percent(self.level)} CI "
            f"[{self.low:.3f}, {self.high:.3f}], n = {self.n} (effective {self.n_effective:.1f}){left_out}\n"
            f"  {plain}: {self.naive:.3f} [{self.naive_low:.3f}, {self.naive_high:.3f}]; "
            f"length bias {self.length_bias:+.3f}"
        )
        chosen = [] if self.design.simple else [f"  visits chosen by: {self.design}; {self.df:g} df"]
        return "\n".join([head, *chosen, *(f"note: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.to_frame().round(3).to_html()}"


def intercept_mean(
    frame: pd.DataFrame,
    column: str,
    visits: str,
    design: Design | None = None,
    *,
    level: float = 0.95,
    lonely: Lonely = "raise",
) -> InterceptMean:
    r"""Mean over persons when persons are met in proportion to their visits.

    .. math:: \bar y_w = \frac{\sum w_k y_k / v_k}{\sum w_k / v_k}, \qquad
       v(\bar y_w) = \frac{n}{n - 1} \frac{\sum (y_k - \bar y_w)^2 / v_k^2}{(\sum 1 / v_k)^2}

    with the variance written for visits drawn one by one with equal chances; with a design it comes from the totals of
    its sampling units (:func:`csi_lab.sampling.estimate.mean` with the weights :math:`w_k / v_k`).

    Parameters
    ----------
    frame
        One row per respondent met at the place.
    column
        The answer.
    visits
        Column of the visits v_k > 0 the respondent pays in the period the survey stands for, this visit included.
    design
        How the visits were chosen: places and hours as PSUs, kinds of place as strata, weights w_k of the visits;
        ``None``: one by one, each as likely as the others. People met at one place and hour are alike: to ignore it
        makes the interval too short.
    level
        Confidence level; the interval takes Student's t with units minus strata (n - 1 without a design) degrees of
        freedom.
    lonely
        What a stratum with a single unit adds, as in :func:`csi_lab.sampling.estimate.mean`.

    Returns
    -------
    InterceptMean

    Raises
    ------
    DataError
        If columns are absent or text, visits are zero or negative (rows named), or fewer than two rows are complete.
    SpecError
        If the level is not between 0 and 1, or a column has two roles.

    Notes
    -----
    The mean is a ratio of two estimated totals (Hajek); the variance is its linearisation. Rows without an answer or
    visits are left out, their sampling units stay in the design.
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
    import pandas as pd

    require_level(level)
    design = Design() if design is None else design
    if not isinstance(design, Design):
        raise SpecError(f"design must be a csi_lab.Design, got {type(design).__name__}")
    require_present(frame, [column, visits, *design.columns])
    y, v = numbers_of(frame, column), numbers_of(frame, visits)
    known = np.isfinite(y) & np.isfinite(v)
    wrong = np.flatnonzero(np.isfinite(v) & (v <= 0))
    if len(wrong):
        raise DataError(
            f"visits {visits!r} are zero or negative in {len(wrong)} rows: {shown_rows(frame.index[wrong])}; "
            "somebody who was met has paid one visit at least"
        )
    if known.sum() < 2:
        raise DataError(f"only {known.sum()} complete rows of {column!r} and {visits!r}; two or more are needed")
    # A name that no design column has.
    answer = f"answer {column}"
    rows = pd.DataFrame({c: frame[c].to_numpy() for c in design.columns if c != design.weights}, index=frame.index)
    rows[answer] = np.where(known, y, np.nan)
    base = np.ones(len(frame)) if design.weights is None else split_weights(frame, frame[design.weights])[1]
    assert base is not None
    bare = replace(design, weights=None)

    def over(weights: np.ndarray) -> Estimate:
        found = mean(rows, answer, bare, weights=weights, level=level, missing="listwise", lonely=lonely)
        assert isinstance(found, Estimate)
        return found

    persons, plain = over(base / np.where(known, v, 1.0)), over(base)
    gaps = f"{int((~known).sum())} of"  # said by ``dropped`` already
    return InterceptMean(
        value=persons.value,
        se=persons.se,
        low=persons.low,
        high=persons.high,
        level=level,
        naive=plain.value,
        naive_se=plain.se,
        naive_low=plain.low,
        naive_high=plain.high,
        df=persons.df,
        n=persons.n,
        dropped=int((~known).sum()),
        n_effective=persons.n / persons.deff_kish,
        column=str(column),
        design=design,
        notes=tuple(note for note in persons.notes if not note.startswith(gaps)) if not design.simple else (),
    )
