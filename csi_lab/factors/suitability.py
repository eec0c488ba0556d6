"""Is factor analysis worth while: sampling adequacy (KMO, MSA) and Bartlett's test of sphericity."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import EstimationError
from csi_lab.factors.correlations import asked, estimated, inverse, off_diagonal, require_regular, usable
from csi_lab.intervals import Kind
from csi_lab.moments import Missing, Moments
from csi_lab.resampling import Replicates
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import numpy.random
    import pandas as pd


@dataclass(frozen=True, eq=False)
class KMOResult:
    """Kaiser-Meyer-Olkin measure of sampling adequacy.

    Attributes
    ----------
    value, se, low, high
        Of the whole matrix; the last three are NaN without draws.
    items
        Measure of each item (MSA): columns ``estimate, se, low, high``.
    minimum
        Items below it are named.
    n, dropped
        Rows used, and rows left out because an item was missing.
    interval
        What the interval is, or why there is none.
    """

    value: float
    se: float
    low: float
    high: float
    items: pd.DataFrame
    minimum: float
    n: int
    dropped: int
    interval: str

    @property
    def below(self) -> tuple[str, ...]:
        """Items whose own measure lies below ``minimum``."""
        return tuple(self.items.index[self.items["estimate"] < self.minimum])

    def to_frame(self) -> pd.DataFrame:
        """The whole and each item, columns ``estimate, se, low, high``."""
        import pandas as pd

        whole = pd.DataFrame(
            {"estimate": self.value, "se": self.se, "low": self.low, "high": self.high},
            index=pd.Index(["all items"], name="item"),
        )
        return pd.concat([whole, self.items])

    def __str__(self) -> str:
        ends = f" [{self.low:.3f}, {self.high:.3f}]" if np.isfinite(self.low) else ""
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        named = ", ".join(f"{i} ({self.items.loc[i, 'estimate']:.2f})" for i in self.below)
        verdict = f"; below {self.minimum:.2f}: {named}" if named else f"; no item below {self.minimum:.2f}"
        low = "; resampling lowers KMO, so the interval lies below it" if self.value > self.high else ""
        return f"KMO = {self.value:.3f}{ends}, {len(self.items)} items, n = {self.n}{left_out}{verdict}{low}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.to_frame().dropna(axis=1).round(3).to_html()}"


@dataclass(frozen=True, eq=False)
class BartlettResult:
    """Bartlett's test that all correlations are zero in the population.

    Attributes
    ----------
    value
        Chi-square.
    df, p
        Degrees of freedom, and the probability of a larger value; NaN where ``reservation`` says why.
    n, dropped, items
        Rows used, rows left out, number of items.
    reservation
        Why there is no probability; empty when there is one.
    """

    value: float
    df: int
    p: float
    n: int
    dropped: int
    items: int
    reservation: str

    def to_frame(self) -> pd.DataFrame:
        """One row: ``value, df, p, n``."""
        import pandas as pd

        row = {"value": self.value, "df": self.df, "p": self.p, "n": self.n}
        return pd.DataFrame([row], index=pd.Index(["Bartlett"], name="test"))

    def __str__(self) -> str:
        p = "p < .001" if self.p < 0.001 else f"p = {self.p:.3f}"
        if self.reservation:
            p = f"no p: {self.reservation}"
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        return f"Bartlett's test of sphericity: chi2 = {self.value:.2f}, df = {self.df}, {p}; n = {self.n}{left_out}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"


def kmo(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    minimum: float = 0.50,
    weights: Any = None,
    missing: Missing = "listwise",
    draws: int | None = None,
    rng: numpy.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> KMOResult:
    r"""Kaiser-Meyer-Olkin measure of sampling adequacy, of all items and of each (MSA).

    .. math:: KMO = \frac{\sum_{i \neq j} r_{ij}^2}{\sum_{i \neq j} r_{ij}^2 + \sum_{i \neq j} q_{ij}^2}, \qquad
        q_{ij} = \frac{-r^{ij}}{\sqrt{r^{ii} r^{jj}}}

    with :math:`r^{ij}` the elements of the inverse correlation matrix: q are the correlations of two items when all
    others are held constant. MSA sums over j only.

    Parameters
    ----------
    data
        A survey, a DataFrame, Moments of one survey, or polychoric correlations.
    items
        Three or more; default all.
    minimum
        Items below it are named. Default .50, Kaiser's "unacceptable" [1]_.
    weights
        Sampling weights for a DataFrame (array, Series or column name).
    missing
        ``"listwise"`` or ``"raise"``.
    draws, rng, replicates, kind, level
        Ask for intervals; see :func:`csi_lab.resampling.replicates`.

    Returns
    -------
    KMOResult

    Raises
    ------
    DataError
        If an item is absent, text, constant or a copy, or there are no more rows than items.
    EstimationError
        If items are linear combinations of each other (they are named), or no two items correlate at all.

    Notes
    -----
    Agrees with R psych 2.2.9 ``KMO()`` to 1e-12 (``tests/reference/efa``). Resampling adds chance to the partial
    correlations, so that KMO is lower in replicates than in the sample: percentile intervals lie too low, sometimes
    below the estimate, and the result says so.

    References
    ----------
    .. [1] Kaiser, H. F. (1974). An index of factorial simplicity. Psychometrika, 39(1), 31-36.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(kmo(csi.load_survey("mobile")))
    KMO = 0.923, 24 items, n = 250; no item below 0.50
    """
    import pandas as pd

    require_level(minimum, "minimum", 0.5)
    moments, _ = usable(data, items, weights, missing)
    require_regular(moments.corr, moments.names, "KMO")
    if not off_diagonal(moments.corr).any():
        raise EstimationError("no two items correlate at all: there is nothing to factor, and no KMO")
    made = asked(data, moments, weights=weights, missing=missing, draws=draws, rng=rng, replicates=replicates)
    found = estimated(_adequacy, moments, made, kind, level)
    index = pd.Index(list(moments.names), name="item")
    ends = {end: getattr(found, end) for end in ("estimate", "se", "low", "high")}
    table = pd.DataFrame({end: values[1:] for end, values in ends.items()}, index=index)
    return KMOResult(
        value=float(found.estimate[0]),
        se=float(found.se[0]),
        low=float(found.low[0]),
        high=float(found.high[0]),
        items=table,
        minimum=minimum,
        n=moments.n,
        dropped=moments.dropped,
        interval="none: ask for draws" if made is None else str(found),
    )


def bartlett(
    data: Any, items: Sequence[str] | None = None, *, weights: Any = None, missing: Missing = "listwise"
) -> BartlettResult:
    r"""Bartlett's test of sphericity.

    .. math:: \chi^2 = -\left(n - 1 - \frac{2p + 5}{6}\right) \ln |R|, \qquad df = \frac{p(p-1)}{2}

    Parameters
    ----------
    data, items, weights, missing
        As in :func:`kmo`.

    Returns
    -------
    BartlettResult

    Raises
    ------
    DataError, EstimationError
        As in :func:`kmo`.

    Notes
    -----
    The probability assumes a simple random sample: with weights, strata or clusters it is withheld and the result says
    so. With a few hundred respondents the test rejects whatever is asked; KMO says more. Agrees with R psych 2.2.9
    ``cortest.bartlett()`` to 1e-9 (``tests/reference/efa``).

    References
    ----------
    .. [1] Bartlett, M. S. (1951). The effect of standardization on a chi-square approximation in factor analysis.
       Biometrika, 38(3/4), 337-344.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(bartlett(csi.load_survey("mobile")))
    Bartlett's test of sphericity: chi2 = 2868.59, df = 276, p < .001; n = 250
    """
    moments, reservation = usable(data, items, weights, missing)
    require_regular(moments.corr, moments.names, "Bartlett's test")
    p = len(moments.names)
    # Rounding may leave a logarithm above zero where items do not correlate at all.
    value = (moments.n - 1 - (2 * p + 5) / 6) * max(0.0, float(-np.linalg.slogdet(moments.corr)[1]))
    df = p * (p - 1) // 2
    probability = float("nan") if reservation else float(special.chdtrc(df, max(value, 0.0)))
    return BartlettResult(value, df, probability, moments.n, moments.dropped, p, reservation)


def _adequacy(moments: Moments) -> np.ndarray:
    """KMO and the MSA of each item ``(..., 1 + p)``."""
    precision = inverse(moments.corr)
    scale = np.sqrt(np.diagonal(precision, axis1=-2, axis2=-1))
    r2 = off_diagonal(moments.corr) ** 2
    q2 = off_diagonal(precision / (scale[..., :, None] * scale[..., None, :])) ** 2
    r_item, q_item = r2.sum(axis=-1), q2.sum(axis=-1)
    r_all, q_all = r_item.sum(axis=-1, keepdims=True), q_item.sum(axis=-1, keepdims=True)
    # Items without any correlation have no ratio.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.concatenate([r_all / (r_all + q_all), r_item / (r_item + q_item)], axis=-1)
