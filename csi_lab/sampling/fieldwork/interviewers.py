"""What interviewers do to the answers: intraclass correlation and the design effect that follows."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from csi_lab.errors import DataError, EstimationError
from csi_lab.percent import percent
from csi_lab.sampling.estimate.sums import apart
from csi_lab.sampling.fieldwork.columns import numbers_of, require_present
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class InterviewerEffect:
    """How alike answers to one interviewer are.

    Attributes
    ----------
    value, se, low, high, level
        Intraclass correlation rho, its large-sample standard error, and the interval of the F distribution.
    interval
        What the interval is.
    deff, deff_low, deff_high
        Design effect 1 + (m - 1) rho at ``workload``, and at the ends of the interval.
    workload
        Interviews per interviewer as the design effect feels them, sum m^2 / sum m.
    f, df1, df2, p
        Test of no effect.
    n, dropped
        Answers used, and rows left out because the answer or the interviewer is missing.
    table
        One row per interviewer: ``n, mean, se, low, high`` with the pooled variance within interviewers.
    grand_mean, column
        Mean of all answers, and what was asked.
    """

    value: float
    se: float
    low: float
    high: float
    level: float
    interval: str
    deff: float
    deff_low: float
    deff_high: float
    workload: float
    f: float
    df1: int
    df2: int
    p: float
    n: int
    dropped: int
    table: pd.DataFrame
    grand_mean: float
    column: str

    def to_frame(self) -> pd.DataFrame:
        """Two rows, ``rho`` and ``deff``: ``estimate, se, low, high``."""
        import pandas as pd

        rows = [
            (self.value, self.se, self.low, self.high),
            (self.deff, (self.workload - 1) * self.se, self.deff_low, self.deff_high),
        ]
        index = pd.Index(["rho", "deff"], name="quantity")
        return pd.DataFrame(rows, columns=["estimate", "se", "low", "high"], index=index)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Mean of each interviewer with its interval, in order, and the mean of all."""
        import matplotlib.pyplot as plt

        from csi_lab.plots_text import as_written

        table = self.table.sort_values("mean", kind="stable")
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, max(2.2, 0.24 * len(table) + 0.9)), layout="constrained")
        place = np.arange(len(table))
        ax.axvline(self.grand_mean, color="#9fb3c8", lw=1, ls="--")
        ax.hlines(place, table["low"], table["high"], color="#1f2933", lw=1.2)
        ax.plot(table["mean"], place, "o", color="#2f6f9f", ms=4)
        ax.set_yticks(place, [f"{who} (n = {n})" for who, n in zip(table.index, table["n"], strict=True)])
        ax.set_ylabel("interviewer")
        ax.set_xlabel(f"mean of {self.column}, {percent(self.level)} interval")
        ax.spines[["top", "right"]].set_visible(False)
        return as_written(ax)

    def __str__(self) -> str:
        left_out = f", {self.dropped} rows left out (missing)" if self.dropped else ""
        return (
            f"interviewer effect on {self.column}: rho = {self.value:.4f}, {percent(self.level)} CI "
            f"[{self.low:.4f}, {self.high:.4f}] ({self.interval}), F({self.df1}, {self.df2}) = {self.f:.2f}, "
            f"p = {self.p:.3g}\n"
            f"  design effect {self.deff:.2f} [{self.deff_low:.2f}, {self.deff_high:.2f}] at a workload of "
            f"{self.workload:.1f}; {len(self.table)} interviewers, n = {self.n}{left_out}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html()}"


def interviewer_effect(frame: pd.DataFrame, column: str, interviewer: str, *, level: float = 0.95) -> InterviewerEffect:
    r"""Interviewer variance by one-way analysis of variance, and the design effect it brings.

    .. math:: \hat\rho = \frac{B - W}{B + (k_0 - 1) W}, \quad k_0 = \frac{n - \sum m_i^2 / n}{I - 1}, \qquad
       D = 1 + (\tilde m - 1) \hat\rho, \quad \tilde m = \frac{\sum m_i^2}{n}

    with B and W the mean squares between and within I interviewers of :math:`m_i` interviews each.

    Parameters
    ----------
    frame
        One row per interview.
    column
        The answer.
    interviewer
        Column of interviewers' labels.
    level
        Confidence level.

    Returns
    -------
    InterviewerEffect

    Raises
    ------
    DataError
        If columns are absent or text, or fewer than two interviewers, or none with two answers, remain.
    EstimationError
        If answers do not vary within interviewers and not between them.
    SpecError
        If the level is not between 0 and 1.

    Notes
    -----
    rho below zero is reported as it is: interviewers differ less than chance would make them. The interval is exact for
    equal workloads and normal answers. It is an effect of interviewers only if respondents were assigned to them at
    random (interpenetration); otherwise areas and interviewers are mixed up.

    References
    ----------
    .. [1] Kish, L. (1962). Studies of interviewer variance for attitudinal variables. Journal of the American
       Statistical Association, 57, 92-115.
    .. [2] Donner, A. (1986). A review of inference procedures for the intraclass correlation coefficient in the one-way
       random effects model. International Statistical Review, 54(1), 67-82.
    .. [3] Swiger, L. A., Harvey, W. R., Everson, D. O., & Gregory, K. E. (1964). The variance of intraclass correlation
       involving groups with one observation. Biometrics, 20(4), 818-826.

    Examples
    --------
    >>> import pandas as pd
    >>> calls = pd.DataFrame({"who": list("AAAABBBBCCCC"), "csi": [8, 7, 9, 8, 5, 6, 6, 5, 7, 8, 6, 7]})
    >>> found = interviewer_effect(calls, "csi", "who")
    >>> round(found.value, 3), round(found.deff, 3)
    (0.722, 3.167)
    """
    import pandas as pd

    require_level(level)
    require_present(frame, [column, interviewer])
    y = numbers_of(frame, column)
    known = np.isfinite(y) & frame[interviewer].notna().to_numpy()
    y = y[known]
    code, labels = pd.factorize(frame[interviewer].to_numpy()[known], sort=False)
    m = np.bincount(code, minlength=len(labels)) if len(y) else np.zeros(0, dtype=int)
    n, groups = len(y), len(labels)
    if groups < 2 or n == groups:
        raise DataError(
            f"{groups} interviewers with {n} answers to {column!r}: two interviewers are needed, and one of them with "
            "two answers"
        )
    means = np.bincount(code, weights=y) / m
    grand = float(y.mean())
    df1, df2 = groups - 1, n - groups
    # Equal answers of 0.1 have means that differ by 1e-17: no difference, however small the spread.
    between = float((m * apart(means, grand) ** 2).sum()) / df1
    within = float((apart(y, means[code]) ** 2).sum()) / df2
    if not between + within > 0:
        raise EstimationError(f"all answers to {column!r} are equal; interviewers cannot be told apart")
    k0 = (n - float((m**2).sum()) / n) / df1
    rho = _rho(between, within, k0)
    upper = 0.5 + level / 2
    low = _rho(between / float(special.fdtri(df1, df2, upper)), within, k0)
    high = _rho(between * float(special.fdtri(df2, df1, upper)), within, k0)
    se = np.sqrt(2 * (n - 1) * (1 - rho) ** 2 * (1 + (k0 - 1) * rho) ** 2 / (k0**2 * df2 * df1))
    f = between / within if within > 0 else np.inf
    workload = float((m**2).sum() / n)
    half = np.sqrt(within / m) * float(special.stdtrit(df2, upper))
    table = pd.DataFrame(
        {"n": m, "mean": means, "se": np.sqrt(within / m), "low": means - half, "high": means + half},
        index=pd.Index(labels, name=str(interviewer)),
    )
    return InterviewerEffect(
        value=rho,
        se=float(se),
        low=low,
        high=high,
        level=level,
        interval="F distribution" if (m == m[0]).all() else "F distribution, approximate: workloads differ",
        deff=1 + (workload - 1) * rho,
        deff_low=1 + (workload - 1) * low,
        deff_high=1 + (workload - 1) * high,
        workload=workload,
        f=float(f),
        df1=df1,
        df2=df2,
        p=float(special.fdtrc(df1, df2, f)),
        n=n,
        dropped=int((~known).sum()),
        table=table,
        grand_mean=grand,
        column=str(column),
    )


def _rho(between: float, within: float, k: float) -> float:
    return float((between - within) / (between + (k - 1) * within))
