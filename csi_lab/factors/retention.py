"""How many factors: eigenvalues over one and before the elbow, minimum average partial (MAP)."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.factors.correlations import asked, eigenvalues, estimated, leading, off_diagonal, usable
from csi_lab.intervals import Kind
from csi_lab.moments import Missing, Moments
from csi_lab.resampling import Replicates

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class MapResult:
    """Velicer's minimum average partial test.

    Attributes
    ----------
    n_factors
        Number of components at which the average squared partial correlation is least.
    n_factors_fourth
        The same with fourth powers (Velicer, Eaton & Fava 2000).
    table
        Index components (0, 1, ...): ``squared`` and ``fourth``, the average powers.
    shares
        With draws: how often each number was chosen, by ``squared``; else ``None``.
    n, dropped
        Rows used, and rows left out because an item was missing.
    """

    n_factors: int
    n_factors_fourth: int
    table: pd.DataFrame
    shares: pd.DataFrame | None
    n: int
    dropped: int

    def to_frame(self) -> pd.DataFrame:
        """One row per number of components: ``squared, fourth``."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Average squared partial correlation; see :func:`csi_lab.plots_loadings.eigenvalue_lines`."""
        from csi_lab.plots_loadings import eigenvalue_lines

        label = "average squared partial correlation"
        return eigenvalue_lines(self.table[["squared"]], ax=ax, ylabel=label, xlabel="components taken out")

    def __str__(self) -> str:
        least = self.table["squared"].loc[self.n_factors]
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        head = (
            f"MAP: {self.n_factors} (average squared partial correlation {least:.5f}); by fourth powers "
            f"{self.n_factors_fourth}; n = {self.n}{left_out}"
        )
        if self.shares is None:
            return head
        chosen = ", ".join(f"{k} in {v:.0%}" for k, v in self.shares["share"].items())
        return f"{head}\nover the draws: {chosen}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(5).to_html()}"


@dataclass(frozen=True, eq=False)
class ScreeResult:
    """Eigenvalues of the correlation matrix and the counts read from them.

    Attributes
    ----------
    kaiser
        Eigenvalues over one (Kaiser 1960): too many as a rule, shown because readers ask for it.
    elbow
        Eigenvalues before the sharpest bend (acceleration factor, Raiche et al. 2013).
    table
        One row per eigenvalue: ``estimate, se, low, high, proportion, cumulative, acceleration``.
    n, dropped
        Rows used, and rows left out because an item was missing.
    interval
        What the intervals are, or why there are none. Replicates spread eigenvalues out: the ends lie too far apart.
    """

    kaiser: int
    elbow: int
    table: pd.DataFrame
    n: int
    dropped: int
    interval: str

    def to_frame(self) -> pd.DataFrame:
        """One row per eigenvalue."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Scree plot; see :func:`csi_lab.plots_loadings.eigenvalue_lines`."""
        from csi_lab.plots_loadings import eigenvalue_lines

        return eigenvalue_lines(self.table[["estimate"]], ax=ax, level=1.0)

    def __str__(self) -> str:
        first = ", ".join(f"{v:.3f}" for v in self.table["estimate"].iloc[:5])
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        return (
            f"eigenvalues {first}, …: {self.kaiser} over one (Kaiser), {self.elbow} before the elbow; "
            f"n = {self.n}{left_out}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.table.dropna(axis=1, how='all').round(3).to_html()}"


def map_test(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    weights: Any = None,
    missing: Missing = "listwise",
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
) -> MapResult:
    r"""Velicer's minimum average partial test of the number of components.

    After the first m principal components are taken out of all items, the average squared correlation that is left is

    .. math:: f_m = \frac{1}{p(p-1)} \sum_{i \neq j} r_{ij \cdot m}^2

    It falls while components take out what items share, and rises when they take out what belongs to single items.

    Parameters
    ----------
    data
        A survey, a DataFrame, Moments of one survey, or polychoric correlations.
    items
        Three or more; default all.
    weights, missing
        As in :func:`csi_lab.factors.kmo`.
    draws, rng, replicates
        Ask how often each number is chosen over replicates of the sample.

    Returns
    -------
    MapResult

    Raises
    ------
    DataError
        If the items are unusable.

    Notes
    -----
    Meets the published values of the ECSI mobile data: .14107, .01432, .01378 at 0, 1, 2
    (``tests/test_factors_retention.py``), and R psych 2.2.9 ``vss()`` to 1e-10 (``tests/reference/reliability``).

    References
    ----------
    .. [1] Velicer, W. F. (1976). Determining the number of components from the matrix of partial correlations.
       Psychometrika, 41(3), 321-327.
    .. [2] Velicer, W. F., Eaton, C. A., & Fava, J. L. (2000). Construct explication through factor or component
       analysis. In Problems and Solutions in Human Assessment (pp. 41-71). Kluwer.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(map_test(csi.load_survey("mobile")))
    MAP: 2 (average squared partial correlation 0.01378); by fourth powers 2; n = 250
    """
    import pandas as pd

    moments, _ = usable(data, items, weights, missing)
    made = asked(data, moments, weights=weights, missing=missing, draws=draws, rng=rng, replicates=replicates)
    squared, fourth = average_partials(moments.corr)
    shares = None
    if made is not None:
        curve = average_partials(made.moments.corr)[0]
        known = np.isfinite(curve[:, 0])
        chosen = _least(curve[known])
        numbers, times = np.unique(chosen, return_counts=True)
        shares = pd.DataFrame({"share": times / max(len(chosen), 1)}, index=pd.Index(numbers, name="components"))
    table = pd.DataFrame({"squared": squared, "fourth": fourth}, index=pd.RangeIndex(len(squared), name="components"))
    return MapResult(int(_least(squared)), int(_least(fourth)), table, shares, moments.n, moments.dropped)


def scree(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    weights: Any = None,
    missing: Missing = "listwise",
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> ScreeResult:
    """Eigenvalues of the correlation matrix, with Kaiser's count and the elbow of the scree.

    The acceleration of eigenvalue k is its second difference, that of k - 1 less twice that of k plus that of k + 1;
    the elbow stands before the largest.

    Parameters
    ----------
    data, items, weights, missing, draws, rng, replicates, kind, level
        As in :func:`csi_lab.factors.kmo`.

    Returns
    -------
    ScreeResult

    Raises
    ------
    DataError
        If the items are unusable.

    References
    ----------
    .. [1] Kaiser, H. F. (1960). The application of electronic computers to factor analysis. Educational and
       Psychological Measurement, 20(1), 141-151.
    .. [2] Raiche, G., Walls, T. A., Magis, D., Riopel, M., & Blais, J.-G. (2013). Non-graphical solutions for Cattell's
       scree test. Methodology, 9(1), 23-29.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(scree(csi.load_survey("mobile")))
    eigenvalues 9.475, 1.595, 1.219, 1.092, 1.050, …: 5 over one (Kaiser), 1 before the elbow; n = 250
    """

    moments, _ = usable(data, items, weights, missing)
    made = asked(data, moments, weights=weights, missing=missing, draws=draws, rng=rng, replicates=replicates)
    found = estimated(_eigenvalues, moments, made, kind, level)
    values = found.estimate
    acceleration = np.full(len(values), np.nan)
    acceleration[1:-1] = values[:-2] - 2 * values[1:-1] + values[2:]
    table = found.to_frame(range(1, len(values) + 1), ["number"]).assign(
        proportion=values / len(values), cumulative=np.cumsum(values) / len(values), acceleration=acceleration
    )
    return ScreeResult(
        kaiser=leading(values > 1),
        elbow=int(np.nanargmax(acceleration)),
        table=table,
        n=moments.n,
        dropped=moments.dropped,
        interval="none: ask for draws" if made is None else str(found),
    )


def average_partials(corr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average second and fourth powers of the partial correlations after 0, 1, ..., p - 2 components ``(..., p - 1)``.

    NaN where an item has no variance left.
    """
    p = corr.shape[-1]
    sound = np.isfinite(corr).all(axis=(-2, -1))
    rest = np.where(sound[..., None, None], corr, np.eye(p))
    values, vectors = np.linalg.eigh(rest)
    squared, fourth = np.empty((*corr.shape[:-2], p - 1)), np.empty((*corr.shape[:-2], p - 1))
    for m in range(p - 1):
        left = np.diagonal(rest, axis1=-2, axis2=-1)
        # What is left of an item that the components explain in full is rounding.
        left = np.where(left > 1e-10, left, np.nan)
        r2 = off_diagonal(rest) ** 2 / (left[..., :, None] * left[..., None, :])
        squared[..., m] = r2.sum(axis=(-2, -1)) / (p * (p - 1))
        fourth[..., m] = (r2**2).sum(axis=(-2, -1)) / (p * (p - 1))
        top = vectors[..., :, p - 1 - m]
        rest = rest - values[..., p - 1 - m, None, None] * top[..., :, None] * top[..., None, :]
    none = ~sound[..., None]
    return np.where(none, np.nan, squared), np.where(none, np.nan, fourth)


def _least(curve: np.ndarray) -> np.ndarray:
    return np.argmin(np.where(np.isfinite(curve), curve, np.inf), axis=-1)


def _eigenvalues(moments: Moments) -> np.ndarray:
    return eigenvalues(moments.corr)
