"""Cross-tables of a population and the test that rows and columns are independent."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from csi_lab.design import Design
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.sampling.estimate.collecting import columns_of, linear_estimates, usable_rows
from csi_lab.sampling.estimate.respondents import Degrees, Gaps, Respondents
from csi_lab.sampling.estimate.results import Estimates
from csi_lab.sampling.estimate.stage_variance import Lonely
from csi_lab.sampling.estimate.wording import p_relation
from csi_lab.settings import require_level

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Crosstab:
    """A cross-table with the Rao-Scott tests of independence.

    Attributes
    ----------
    rows, columns
        Names of the two columns.
    shares
        Share of the population in each cell, with errors; index (rows, columns).
    pearson
        Pearson's statistic of the table of shares times n; it follows no chi-square distribution here.
    effects
        Generalised design effects: eigenvalues of the covariance of the interaction relative to that of a simple random
        sample.
    chi2, df, p_first
        First-order correction: Pearson's statistic over the mean effect, against chi-square with ``df``.
    f, df1, df2, p
        Second-order correction: Pearson's statistic over the sum of the effects, against F(df1, df2).
    n, notes
        Rows used, and what was done to rows and weights.
    """

    rows: str
    columns: str
    shares: Estimates
    pearson: float
    effects: np.ndarray
    chi2: float
    df: float
    p_first: float
    f: float
    df1: float
    df2: float
    p: float
    n: int
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """Shares as a table."""
        return self.shares.table["estimate"].unstack()

    @property
    def row_shares(self) -> pd.DataFrame:
        """Shares within each row."""
        return self.table.div(self.table.sum(axis=1), axis=0)

    def to_frame(self) -> pd.DataFrame:
        """One row per cell, raw numbers."""
        return self.shares.table

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.rows} by {self.columns}: n = {self.n}, Pearson X2 = {self.pearson:.3f}, "
                f"mean design effect {self.effects.mean():.2f}",
                f"Rao-Scott: F({self.df1:.2f}, {self.df2:.2f}) = {self.f:.3f}, p {p_relation(self.p)}; first order "
                f"chi2({self.df:g}) = {self.chi2:.3f}, p {p_relation(self.p_first)}",
                *(f"note: {note}" for note in self.notes),
            ]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{head}</p>{self.table.round(4).to_html()}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Shares within each row as stacked bars."""
        import matplotlib.pyplot as plt

        from csi_lab.plots_text import as_written

        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 1.0 + 0.4 * len(self.table)), layout="constrained")
        shares = self.row_shares
        y, left = np.arange(len(shares))[::-1], np.zeros(len(shares))
        for label in shares.columns:
            ax.barh(y, shares[label], left=left, height=0.7, label=str(label))
            left = left + shares[label].to_numpy()
        ax.set(yticks=y, yticklabels=list(map(str, shares.index)), xlabel=f"share within {self.rows}", ylabel=self.rows)
        ax.set_xlim(0, 1)
        ax.legend(title=self.columns, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
        return as_written(ax)


def crosstab(
    data: Any,
    columns: Sequence[str],
    design: Design | None = None,
    *,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Crosstab:
    r"""Cross-table of two columns of categories, with the tests of Rao and Scott.

    With cell shares p, their covariance V and the covariance of a simple random sample, the generalised design effects
    :math:`\delta` are the eigenvalues of

    .. math:: \Delta = (C' D_p^{-1} C / n)^{-1} (C' D_p^{-1} V D_p^{-1} C)

    where C spans the interaction. Pearson's :math:`X^2` over the mean of :math:`\delta` is compared with chi-square
    (first order); :math:`F = X^2 / \sum \delta` with F with :math:`(\sum\delta)^2 / \sum\delta^2` degrees of freedom,
    and that times those of the design (second order).

    Parameters
    ----------
    data, design, weights, level, missing, lonely, df
        As in :func:`csi_lab.sampling.estimate.mean`.
    columns
        The two columns, rows of the table first.

    Returns
    -------
    Crosstab

    Raises
    ------
    DataError
        As in :func:`csi_lab.sampling.estimate.mean`; if a column has a single label.
    EstimationError
        If empty cells leave the interaction without a covariance.
    SpecError
        If there are not two columns.

    Notes
    -----
    Agrees with R survey 4.1-1 ``svychisq`` to 1e-10 (``tests/reference/survey``).

    References
    ----------
    .. [1] Rao, J. N. K., & Scott, A. J. (1984). On chi-squared tests for multiway contingency tables with cell
       proportions estimated from survey data. Annals of Statistics, 12(1), 46-60.

    Examples
    --------
    >>> frame = pd.DataFrame({"sex": list("ffffmmmm") * 3, "like": list("yyynynnn") * 3})
    >>> print(crosstab(frame, ["sex", "like"]))
    sex by like: n = 24, Pearson X2 = 6.000, mean design effect 1.04
    Rao-Scott: F(1.00, 23.00) = 5.750, p = .025; first order chi2(1) = 5.750, p = .016
    """
    require_level(level)
    names, _ = columns_of(columns)
    if len(names) != 2 or names[0] == names[1]:
        raise SpecError(f"a cross-table needs two different columns, got {names}")
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    coded = {name: people.labels([name]) for name in names}
    gaps = {name: np.where(codes < 0, np.nan, 0.0) for name, (codes, _) in coded.items()}
    rows, notes = usable_rows(people, gaps, None, missing)
    there = {name: np.unique(codes[rows]) for name, (codes, _) in coded.items()}
    single = [name for name, found in there.items() if len(found) < 2]
    if single:
        raise DataError(f"columns with a single label in the rows used: {single}; independence cannot be tested")
    (first, first_labels), (second, second_labels) = coded.values()
    across, down = there[names[1]], there[names[0]]
    cells = [(first == i) & (second == j) for i in down for j in across]
    labels = pd.MultiIndex.from_product([first_labels[down], second_labels[across]], names=names)
    what = f"shares of {names[0]} by {names[1]}"
    shares = linear_estimates("mean", what, people, cells, labels, None, rows, level, notes)
    p = shares.table["estimate"].to_numpy()
    n = len(rows)
    notes = shares.notes
    nu = float(shares.table["df"].iloc[0])
    empty = int((p == 0).sum())
    if empty:
        notes = (*notes, f"empty cells: {empty} of {len(p)}")
    table = p.reshape(len(down), len(across))
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    pearson = float(n * ((table - expected) ** 2 / expected).sum())
    effects = _effects(p, shares.covariance, n, len(down), len(across))
    total, degrees = float(effects.sum()), float(len(effects))
    f, chi2 = pearson / total, pearson / (total / degrees)
    df1 = total**2 / float((effects**2).sum())
    df2 = df1 * nu
    p_second = float(special.chdtrc(df1, f * df1)) if np.isinf(df2) else float(special.fdtrc(df1, df2, f))
    p_first = float(special.chdtrc(degrees, chi2))
    return Crosstab(
        names[0], names[1], shares, pearson, effects, chi2, degrees, p_first, f, df1, df2, p_second, n, notes
    )


def _effects(p: np.ndarray, covariance: pd.DataFrame | None, n: int, rows: int, columns: int) -> np.ndarray:
    """Generalised design effects of the interaction."""
    assert covariance is not None
    # Differences of neighbouring categories span what is orthogonal to the row and column totals.
    c = np.kron(np.diff(np.eye(rows), axis=0), np.diff(np.eye(columns), axis=0)).T
    inverse = np.divide(1.0, p, out=np.zeros(len(p)), where=p > 0)
    scaled = c * inverse[:, None]
    simple = c.T @ scaled / n
    found = scaled.T @ covariance.to_numpy() @ scaled
    if np.linalg.cond(simple) > 1e12:
        raise EstimationError("empty cells leave no covariance for the interaction; join categories")
    effects = np.linalg.eigvals(np.linalg.solve(simple, found)).real
    if not effects.sum() > 0:
        raise EstimationError("the interaction does not vary over the sampling units; the test does not exist")
    return effects
