"""Little's test of whether answers are missing completely at random."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.cleaning.missing import Gaps
from csi_lab.errors import DataError
from csi_lab.incomplete import completed_moments
from csi_lab.near_pairs import pattern_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class MCARTest:
    """Little's test; the null hypothesis is that answers are missing completely at random (MCAR).

    Attributes
    ----------
    statistic, df, p
        Chi-square, degrees of freedom, probability of a larger statistic under the null hypothesis.
    n
        Rows with at least one answer.
    patterns
        One row per pattern, in the order of the items a 1 for each missing one: ``n`` rows, ``observed`` items, ``d2``
        its part of the statistic.
    remarks
        What a reader must know, one sentence each.
    """

    statistic: float
    df: int
    p: float
    n: int
    patterns: pd.DataFrame
    remarks: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = {"statistic": self.statistic, "df": self.df, "p": self.p, "n": self.n, "patterns": len(self.patterns)}
        return pd.DataFrame([row], index=pd.Index(["Little's MCAR test"], name="test"))

    def plot(self, ax: Axes | None = None, *, most: int = 20) -> Axes:
        """What the ``most`` deviating patterns add to the statistic."""
        from csi_lab.plots import bars

        shown = self.patterns.sort_values("d2", ascending=False, kind="stable").head(most)
        table = shown.rename(columns={"d2": "estimate"})[["estimate"]]
        ax = bars(table, xlabel="part of the chi-square statistic", ax=ax)
        ax.set_ylabel("pattern (1: no answer)")
        return ax

    def __str__(self) -> str:
        head = (
            f"Little's MCAR test: chi2 = {self.statistic:.3f}, df = {self.df}, p = {self.p:.4f}, "
            f"n = {self.n}, {len(self.patterns)} patterns"
        )
        return "\n".join([head, *self.remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.patterns.round(3).to_html(max_rows=20)}"


def little_mcar(data: Any, items: Sequence[str] | None = None) -> MCARTest:
    r"""Little's test of missing completely at random.

    .. math::
        d^2 = \sum_j n_j (\bar y_j - \hat\mu_j)' \hat\Sigma_j^{-1} (\bar y_j - \hat\mu_j), \qquad
        df = \sum_j p_j - p

    over patterns j of :math:`n_j` rows with answers to :math:`p_j` of the p items; :math:`\hat\mu, \hat\Sigma` are the
    maximum likelihood estimates under a multivariate normal model (EM, divisor n), of which j takes the observed items.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        The p >= 2 items; default all of the survey, or all columns.

    Returns
    -------
    MCARTest

    Raises
    ------
    DataError
        If columns are absent or not numbers, an item has no answer or does not vary, items were never answered together
        or are collinear, or there is only one pattern, so that nothing can be tested.
    EstimationError
        If EM does not settle.

    Notes
    -----
    Rows without any answer say nothing about the items: they are left out and counted. The test is one of rows:
    weights, strata and clusters do not enter, and a remark says so when there are any; rows of weight zero are left
    out. A large p does not show that answers are missing at random: the test has little power against small groups,
    and none against gaps that depend on the missing answer alone.

    Agrees with moments of lavaan 0.6-14 to 1e-8 (``tests/reference/missing``).

    References
    ----------
    .. [1] Little, R. J. A. (1988). A test of missing completely at random for multivariate data with missing values.
       Journal of the American Statistical Association, 83, 1198-1202.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [1, 2, 3, 4, 5, 6, 7, 8], "q2": [2, 1, 4, 3, 6, 5, None, None]})
    >>> print(little_mcar(frame))
    Little's MCAR test: chi2 = 4.571, df = 1, p = 0.0325, n = 8, 2 patterns
    """
    import pandas as pd

    gaps = Gaps.of(data, items)
    if len(gaps.items) < 2:
        raise DataError(f"Little's test needs two items or more, got {list(gaps.items)}")
    x = gaps.answers()
    kept = gaps.used & gaps.known.any(axis=1)
    x, known = x[kept], gaps.known[kept]
    groups = list(pattern_rows(~known))
    if len(groups) < 2:
        lacking = [name for name, gap in zip(gaps.items, groups[0][0], strict=True) if gap]
        raise DataError(
            "no answers are missing: there is nothing to test"
            if not lacking
            else f"all {len(x)} rows with answers lack the same items {lacking}: there is nothing to compare"
        )
    flat = [name for name, column in zip(gaps.items, x.T, strict=True) if not np.nanmax(column) > np.nanmin(column)]
    if flat:
        raise DataError(
            f"items do not vary: {flat}; the test measures how far means of groups lie apart in units of the items' "
            "spread: leave them out of items="
        )
    moments = completed_moments(pd.DataFrame(x, columns=list(gaps.items)))
    n = len(x)
    sd = moments.sd * np.sqrt((n - 1) / n)
    corr = moments.corr
    rows = []
    for gap, here in groups:
        seen = np.flatnonzero(~gap)
        d = (x[here[:, None], seen].mean(axis=0) - moments.mean[seen]) / sd[seen]
        d2 = float(len(here) * d @ np.linalg.solve(corr[np.ix_(seen, seen)], d))
        rows.append(("".join("1" if g else "0" for g in gap), len(here), len(seen), d2))
    table = pd.DataFrame(rows, columns=["pattern", "n", "observed", "d2"]).set_index("pattern")
    statistic, df = float(table["d2"].sum()), int(table["observed"].sum()) - len(gaps.items)
    remarks = []
    unanswered = int((gaps.used & ~gaps.known.any(axis=1)).sum())
    if unanswered:
        remarks.append(f"{unanswered} rows without any answer left out")
    if (~gaps.used).any():
        remarks.append(f"{int((~gaps.used).sum())} rows of weight zero left out")
    if not gaps.design.simple:
        remarks.append("the test takes rows as a simple random sample: weights, strata and clusters do not enter")
    return MCARTest(statistic, df, float(special.chdtrc(df, statistic)), n, table, tuple(remarks))
