"""What design-based estimation returns: one estimate, a table of estimates, a difference."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import EstimationError, SpecError
from csi_lab.percent import percent
from csi_lab.sampling.estimate.wald import WaldTest, wald_test
from csi_lab.sampling.estimate.wording import error_shown, p_relation, shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("estimate", "se", "low", "high", "df", "deff", "deff_replace", "deff_kish", "n")


@dataclass(frozen=True, eq=False)
class Estimate:
    """One estimate for a population, with the error that the sample design gives it.

    Attributes
    ----------
    statistic, name
        What was estimated, of which column.
    value, se, low, high, level
        Estimate, standard error and interval.
    df
        Degrees of freedom of the interval: primary units minus strata, by default among the rows used (Stata's rule for
        domains). A note says which rule it was where rules differ.
    deff, deff_replace
        Variance over that of a simple random sample of as many rows, drawn without and with replacement. The first is
        NaN where the weights do not tell the size of the population; both are NaN where the statistic has none.
    deff_kish
        n sum w^2 / (sum w)^2: the part of the design effect due to unequal weights alone.
    n
        Rows used.
    interval
        How the interval was made.
    notes
        What was done to rows and weights, one sentence each.
    """

    statistic: str
    name: str
    value: float
    se: float
    low: float
    high: float
    level: float
    df: float
    deff: float
    deff_replace: float
    deff_kish: float
    n: int
    interval: str = "t"
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = [self.value, self.se, self.low, self.high, self.df, self.deff, self.deff_replace, self.deff_kish, self.n]
        return pd.DataFrame([dict(zip(COLUMNS, row, strict=True))], index=pd.Index([self.name], name=self.statistic))

    def __str__(self) -> str:
        deff = f", deff {self.deff if np.isfinite(self.deff) else self.deff_replace:.2f}"
        head = (
            f"{self.statistic} of {self.name}: {shown(self.value)}, se {error_shown(self.se, self.value)}, "
            f"{percent(self.level)} CI [{shown(self.low)}, {shown(self.high)}] ({self.interval}, {self.df:g} df)"
            f"{deff if np.isfinite(self.deff_replace) else ''}, n = {self.n}"
        )
        return "\n".join([head, *(f"note: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{'<br>'.join(html.escape(line) for line in str(self).splitlines())}</p>"

    def plot(self, ax: Axes | None = None) -> Axes:
        """The estimate with its interval."""
        return _intervals(self.to_frame(), f"{self.statistic} of {self.name}", self.level, ax)


@dataclass(frozen=True, eq=False)
class Difference(Estimate):
    """A difference between two means, with the test that it is zero.

    Attributes
    ----------
    t, p
        Difference over its standard error, and two-sided p-value from Student's t with ``df``.
    """

    t: float = np.nan
    p: float = np.nan

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        return super().to_frame().assign(t=self.t, p=self.p)

    def plot(self, ax: Axes | None = None) -> Axes:
        """The difference with its interval, and a line where there is none."""
        from csi_lab.plots import QUIET

        ax = super().plot(ax)
        ax.axvline(0, color=QUIET, lw=1, ls="--", zorder=0)
        return ax

    def __str__(self) -> str:
        head, *rest = super().__str__().splitlines()
        t = f"{self.t:.3f}" if np.isfinite(self.t) else "-"
        return "\n".join([f"{head}, t = {t}, p {p_relation(self.p)}", *rest])

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class Estimates:
    """Several estimates for a population, with the errors that the sample design gives them.

    Attributes
    ----------
    statistic
        What was estimated.
    table
        One row per estimate: ``estimate, se, low, high, df, deff, deff_replace, deff_kish, n``, as in
        :class:`Estimate`.
    covariance
        Covariances of the estimates, rows and columns as in the table; ``None`` where the statistic has none.
    level, interval, notes
        As in :class:`Estimate`.
    influence
        Influence values ``(rows, k)``, where they were asked for.
    test_df
        Degrees of freedom of tests that take several rows together: those of all respondents used in any row.
    """

    statistic: str
    table: pd.DataFrame
    covariance: pd.DataFrame | None
    level: float
    interval: str = "t"
    notes: tuple[str, ...] = ()
    influence: np.ndarray | None = None
    test_df: float = np.nan

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def wald(self, contrasts: Sequence[Sequence[float]] | np.ndarray | None = None) -> WaldTest:
        r"""Test that linear combinations of the estimates are zero; by default that all estimates are equal.

        .. math:: F = \frac{(C\theta)' (C V C')^{-1} C\theta}{q} \cdot \frac{d - q + 1}{d}

        with q contrasts and d degrees of freedom, against F(q, d - q + 1). d are those of all domains together
        (``test_df``; as Stata's ``test`` after ``over()``), not those of the smallest domain.

        Parameters
        ----------
        contrasts
            ``(q, k)`` coefficients C.

        Raises
        ------
        SpecError
            If the shape does not fit.
        EstimationError
            If the contrasts have no regular covariance, or the design has not enough degrees of freedom.

        References
        ----------
        .. [1] Korn, E. L., & Graubard, B. I. (1990). The American Statistician, 44, 270-276.

        Examples
        --------
        >>> import csi_lab as csi
        >>> from csi_lab.sampling import estimate
        >>> found = estimate.mean(csi.load_survey("mobile"), ["CUSA1", "CUSA2"])
        >>> print(found.wald())
        F(1, 249) = 80.758, p < .001
        """
        if self.covariance is None:
            raise EstimationError(f"{self.statistic} have no covariances; only single intervals exist")
        k = len(self.table)
        if contrasts is None:
            c = np.diff(np.eye(k), axis=0)
            if k < 2:
                raise SpecError("one estimate equals itself; give contrasts to test another hypothesis")
        else:
            try:
                c = np.atleast_2d(np.asarray(contrasts, dtype=float))
            except (TypeError, ValueError):
                raise SpecError(f"contrasts must be rows of {k} numbers each, got {contrasts!r}") from None
        if c.ndim != 2 or c.shape[1] != k or not len(c) or not np.isfinite(c).all():
            raise SpecError(f"contrasts need shape (q, {k}), one coefficient per estimate; got {c.shape}")
        return wald_test(c, self.table["estimate"].to_numpy(), self.covariance.to_numpy(), self.test_df)

    def __str__(self) -> str:
        t = self.table
        head = f"{self.statistic}: {len(t)} estimates, {percent(self.level)} intervals ({self.interval}), n = "
        n = f"{t['n'].min():g}" + (f" to {t['n'].max():g}" if t["n"].nunique() > 1 else "")
        df = f"{t['df'].min():g}" + (f" to {t['df'].max():g}" if t["df"].nunique() > 1 else "")
        return "\n".join([f"{head}{n}, {df} df", *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        # The width of a terminal must not change what a notebook shows.
        return f"{self}\n{self.table.round(4).to_string(max_rows=40)}"

    def _repr_html_(self) -> str:
        head = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{head}</p>{self.table.round(4).to_html()}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Estimates with their intervals, one row each."""
        return _intervals(self.table, self.statistic, self.level, ax)


def _intervals(table: pd.DataFrame, label: str, level: float, ax: Axes | None) -> Axes:
    import matplotlib.pyplot as plt

    from csi_lab.plots import ACCENT
    from csi_lab.plots_text import as_written

    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 0.8 + 0.36 * max(2, len(table))), layout="constrained")
    y = np.arange(len(table))[::-1]
    x = table["estimate"].to_numpy()
    low, high = table["low"].to_numpy(), table["high"].to_numpy()
    ax.errorbar(x, y, xerr=[x - low, high - x], fmt="o", color=ACCENT, ecolor=ACCENT, capsize=3)
    names = [", ".join(map(str, i)) if isinstance(i, tuple) else str(i) for i in table.index]
    ax.set(yticks=y, yticklabels=names, xlabel=f"{label}, {percent(level)} interval", ylim=(-0.6, len(table) - 0.4))
    ax.spines[["top", "right"]].set_visible(False)
    return as_written(ax)
