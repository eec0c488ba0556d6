"""Rubin's rules: one estimate, standard error and interval from the analyses of several completed data sets."""

from __future__ import annotations

import html
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.cleaning.missing import shortened
from csi_lab.errors import DataError, EstimationError, SpecError, listed
from csi_lab.percent import percent
from csi_lab.settings import is_number, require_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Pooled:
    """Estimates pooled over imputations.

    Attributes
    ----------
    table
        One row per quantity: ``estimate, se, low, high, df, p`` (two-sided, against zero), ``within`` (mean variance),
        ``between``, ``total`` variance, ``riv`` (relative increase in variance), ``lambda`` (share of the total
        variance due to missing answers) and ``fmi`` (fraction of missing information).
    covariance
        Total covariance matrix ``(k, k)``; ``None`` when only variances were given.
    m
        Imputations.
    df_complete
        Degrees of freedom that complete data would have.
    level
        Confidence level of the intervals.
    """

    table: pd.DataFrame
    covariance: np.ndarray | None
    m: int
    df_complete: float
    level: float

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know, one sentence each."""
        none = self.table["within"] == 0
        still = none & (self.table["between"] == 0)
        alone = none & ~still
        said = []
        if still.any():
            said.append(
                f"no interval for {self._named(still)}: the estimate is the same in all imputations and its variance "
                "is 0 in each, so that nothing is uncertain about it or its standard error is wrong"
            )
        if alone.any() and np.isfinite(self.df_complete):
            said.append(
                f"no interval for {self._named(alone)}: the variance is 0 within every imputation, which leaves no "
                "degrees of freedom; check the standard errors that were pooled"
            )
        elif alone.any():
            said.append(
                f"the variance of {self._named(alone)} is 0 within every imputation: the interval rests on the spread "
                "between them alone; check the standard errors that were pooled"
            )
        return tuple(said)

    def _named(self, rows: pd.Series) -> str:
        return shortened([_label(name) for name in self.table.index[rows]])

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None, *, xlabel: str = "estimate") -> Axes:
        """Estimates with intervals."""
        from csi_lab.plots import bars

        shown = self.table.set_axis([_label(row) for row in self.table.index])
        return bars(shown, xlabel=f"{xlabel}, {percent(self.level)} interval", decimals=3, ax=ax)

    def __str__(self) -> str:
        complete = "" if np.isinf(self.df_complete) else f", complete-data df {self.df_complete:g}"
        head = f"{len(self.table)} estimates pooled over {self.m} imputations (Rubin's rules{complete})"
        lines = [
            f"{_label(name)}: {row['estimate']:.4g}, se {row['se']:.3g}, {percent(self.level)} CI [{row['low']:.4g}, "
            f"{row['high']:.4g}], missing information {row['fmi']:.1%}"
            for name, row in self.table.head(2).iterrows()
        ]
        rest = len(self.table) - len(lines)
        lines = [head.replace("1 estimates", "1 estimate", 1) if len(self.table) == 1 else head, *lines]
        return "\n".join([*lines, *([f"... {rest} more in .table"] if rest else []), *self.remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        said = "<br>".join(html.escape(line) for line in (str(self).splitlines()[0], *self.remarks))
        return f"<p>{said}</p>{self.table.round(4).to_html()}"


@dataclass(frozen=True)
class PooledR2:
    """A coefficient of determination pooled over imputations.

    Attributes
    ----------
    value, low, high, level
        Pooled R2 and its interval.
    se
        Standard error of Fisher's z of the root of R2; the interval is symmetric on that scale, not on that of R2.
    fmi
        Fraction of missing information.
    m
        Imputations.
    """

    value: float
    se: float
    low: float
    high: float
    fmi: float
    m: int
    level: float

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = {"estimate": self.value, "se_z": self.se, "low": self.low, "high": self.high, "fmi": self.fmi}
        return pd.DataFrame([row], index=pd.Index(["R2"], name="quantity"))

    def __str__(self) -> str:
        return (
            f"R2 = {self.value:.3f}, {percent(self.level)} CI [{self.low:.3f}, {self.high:.3f}], pooled over "
            f"{self.m} imputations through Fisher's z, missing information {self.fmi:.1%}"
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"


def pool(
    estimates: Any,
    variances: Any,
    *,
    df_complete: float = np.inf,
    names: Sequence[Any] | None = None,
    level: float = 0.95,
) -> Pooled:
    r"""Pool the analyses of m completed data sets by Rubin's rules.

    With :math:`\bar Q` the mean of the estimates, :math:`\bar U` the mean of their variances and B the variance of the
    estimates (divisor m - 1),

    .. math::
        T = \bar U + \left(1 + \tfrac1m\right) B, \quad
        riv = \frac{(1 + 1/m) B}{\bar U}, \quad
        \lambda = \frac{(1 + 1/m) B}{T}, \quad
        \frac{1}{\nu} = \frac{\lambda^2}{m - 1} +
        \left[\frac{\nu_{com} + 1}{\nu_{com} + 3} \nu_{com} (1 - \lambda)\right]^{-1}, \quad
        fmi = \frac{riv + 2/(\nu + 3)}{riv + 1}

    and the interval is :math:`\bar Q \pm t_\nu \sqrt T`.

    Parameters
    ----------
    estimates
        ``(m, k)``, or ``(m,)`` for one quantity; m >= 2.
    variances
        Squared standard errors ``(m, k)`` (``(m,)``), or covariance matrices ``(m, k, k)``.
    df_complete
        Degrees of freedom :math:`\nu_{com}` of the analysis of complete data: n minus coefficients, or PSUs minus
        strata; infinite for large samples, which gives Rubin's own degrees of freedom.
    names
        The k labels; tuples make several levels.
    level
        Confidence level.

    Returns
    -------
    Pooled

    Raises
    ------
    DataError
        If shapes do not fit or values are not numbers.
    EstimationError
        If an estimate is missing, or a variance missing or negative, in some imputation; all are named.
    SpecError
        If the level or the degrees of freedom are out of range, or there are fewer than two imputations.

    Notes
    -----
    Where the variance within the imputations is 0 the formulas may give no interval; ``remarks`` then says why.

    Agrees with R mice 3.15.0 ``pool()`` and ``pool.scalar()`` to a relative 1e-10 (``tests/reference/missing``).

    References
    ----------
    .. [1] Rubin, D. B. (1987). Multiple Imputation for Nonresponse in Surveys. Wiley, ch. 3.
    .. [2] Barnard, J., & Rubin, D. B. (1999). Small-sample degrees of freedom with multiple imputation. Biometrika,
       86(4), 948-955.
    .. [3] van Buuren, S. (2018). Flexible Imputation of Missing Data, 2nd ed. CRC Press, sec. 2.4.

    Examples
    --------
    >>> print(pool([1, 1.2, 0.9, 1.1, 1.05], [0.04, 0.05, 0.045, 0.05, 0.043], df_complete=99, names=["path"]))
    1 estimate pooled over 5 imputations (Rubin's rules, complete-data df 99)
    path: 1.05, se 0.246, 95% CI [0.55, 1.55], missing information 28.8%
    """
    import pandas as pd

    require_level(level)
    if not is_number(df_complete) or not df_complete > 0:
        raise SpecError(f"df_complete={df_complete!r} must be positive")
    q, u, covariances = _shaped(estimates, variances)
    m, k = q.shape
    if names is not None and (isinstance(names, str) or not np.iterable(names)):
        raise DataError(f"names must be a list of {k} labels, got {names!r}")
    if names is not None and not all(isinstance(name, Hashable) for name in names):
        raise DataError(f"names must be texts, numbers or tuples, got {names!r}")
    labels = list(range(k)) if names is None else list(names)
    if len(labels) != k:
        raise DataError(f"{k} quantities need as many names, got {len(labels)}")
    _require_finite(q, u, labels)
    within, between, total, riv, lam, df, fmi = _rubin(q, u, df_complete)
    mean, se = q.mean(axis=0), np.sqrt(total)
    half = _student(df, 0.5 + level / 2) * se
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * _student_tail(df, np.abs(mean) / se)
    several = bool(labels) and all(isinstance(label, tuple) for label in labels)
    index = pd.MultiIndex.from_tuples(labels) if several else pd.Index(labels, name="quantity")
    columns = {
        "estimate": mean,
        "se": se,
        "low": mean - half,
        "high": mean + half,
        "df": df,
        "p": p,
        "within": within,
        "between": between,
        "total": total,
        "riv": riv,
        "lambda": lam,
        "fmi": fmi,
    }
    covariance = None
    if covariances is not None:
        away = q - mean
        covariance = covariances.mean(axis=0) + (1 + 1 / m) * (away.T @ away) / (m - 1)
    return Pooled(pd.DataFrame(columns, index=index), covariance, m, float(df_complete), level)


def pool_r2(r2: Any, n: int, *, level: float = 0.95) -> PooledR2:
    r"""Pool a coefficient of determination through Fisher's z of its root.

    .. math:: z_i = \operatorname{artanh} \sqrt{R^2_i}, \qquad \operatorname{var}(z_i) = \frac{1}{n - 3}

    pooled by Rubin's rules; estimate and ends of the interval (normal) go back as the square of tanh. Where the lower
    end of z is negative, which no root of R2 can be, the interval starts at 0.

    Parameters
    ----------
    r2
        R2 of each imputation ``(m,)``, plain or adjusted, 0 <= R2 < 1.
    n
        Rows behind each R2.
    level
        Confidence level.

    Returns
    -------
    PooledR2

    Raises
    ------
    DataError
        If values lie outside 0 to 1, e.g. a negative adjusted R2, which has no root.
    SpecError
        If n or the level is out of range.

    Notes
    -----
    Agrees with R mice 3.15.0 ``pool.r.squared()`` to 1e-10 (``tests/reference/missing``), which takes 1.96 for the
    normal quantile.

    References
    ----------
    .. [1] Harel, O. (2009). The estimation of R2 and adjusted R2 in incomplete data sets using multiple imputation.
       Journal of Applied Statistics, 36(10), 1109-1118.

    Examples
    --------
    >>> print(pool_r2([0.36, 0.41, 0.39], n=100))
    R2 = 0.387, 95% CI [0.225, 0.541], pooled over 3 imputations through Fisher's z, missing information 13.6%
    """
    values = _floats(r2, "R2")
    if values.ndim != 1:
        raise DataError(f"need one R2 per imputation, got shape {values.shape}")
    bad = [f"imputation {i}: {v:g}" for i, v in enumerate(values) if not 0 <= v < 1]
    if bad:
        raise DataError(f"R2 must lie in [0, 1) to have Fisher's z of its root; not so in {', '.join(bad)}")
    if not is_number(n) or not n > 3:
        raise SpecError(f"n={n!r}: Fisher's z needs more than 3 rows")
    require_level(level)
    z, u, _ = _shaped(np.arctanh(np.sqrt(values)), np.full(len(values), 1 / (n - 3)))
    _, _, total, _, _, _, fmi = _rubin(z, u, np.inf)
    centre, se = float(z.mean()), float(np.sqrt(total[0]))
    half = float(special.ndtri(0.5 + level / 2)) * se
    # Below zero on the scale of z there is no R2 to speak of: the interval then starts at 0.
    low = float(np.tanh(max(0.0, centre - half)) ** 2)
    return PooledR2(
        float(np.tanh(centre) ** 2), se, low, float(np.tanh(centre + half) ** 2), float(fmi[0]), len(values), level
    )


def _rubin(q: np.ndarray, u: np.ndarray, df_complete: float) -> tuple[np.ndarray, ...]:
    """Within, between and total variance, riv, lambda, df, fmi from estimates and variances ``(m, ...)``."""
    m = len(q)
    within, between = u.mean(axis=0), q.var(axis=0, ddof=1)
    extra = (1 + 1 / m) * between
    total = within + extra
    with np.errstate(divide="ignore", invalid="ignore"):
        riv, lam = extra / within, extra / total
        observed = (df_complete + 1) / (df_complete + 3) * df_complete if np.isfinite(df_complete) else np.inf
        df = 1 / (lam**2 / (m - 1) + (1 / (observed * (1 - lam)) if np.isfinite(observed) else 0.0))
        # (riv + 2/(df + 3)) / (riv + 1), written so that it also holds where the variance within is zero
        fmi = lam + 2 / (df + 3) * (1 - lam)
    return within, between, total, riv, lam, df, fmi


def _student(df: np.ndarray, share: float) -> np.ndarray:
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.where(np.isinf(df), special.ndtri(share), np.where(np.isnan(df), np.nan, special.stdtrit(finite, share)))


def _student_tail(df: np.ndarray, t: np.ndarray) -> np.ndarray:
    finite = np.where(np.isfinite(df), df, 1.0)
    return np.where(np.isinf(df), special.ndtr(-t), np.where(np.isnan(df), np.nan, special.stdtr(finite, -t)))


def _floats(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{what} must be numbers, one row per imputation") from None


def _shaped(estimates: Any, variances: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Estimates ``(m, k)``, variances ``(m, k)`` and, where given, covariances ``(m, k, k)``."""
    q, u = _floats(estimates, "estimates"), _floats(variances, "variances")
    if q.ndim == 1:
        q = q[:, None]
        u = u[:, None] if u.ndim == 1 else u
    if q.ndim != 2 or not q.size:
        raise DataError(f"estimates must be (m, k), one row per imputation; got shape {np.shape(estimates)}")
    m, k = q.shape
    if m < 2:
        raise SpecError("Rubin's rules need two imputations or more: one says nothing about the variance between them")
    if u.shape == (m, k, k):
        return q, np.diagonal(u, axis1=1, axis2=2), u
    if u.shape != (m, k):
        raise DataError(f"estimates ({m}, {k}) need variances ({m}, {k}) or ({m}, {k}, {k}); got {np.shape(variances)}")
    return q, u, None


def _require_finite(q: np.ndarray, u: np.ndarray, labels: Sequence[Any]) -> None:
    problems = []
    for what, bad in (("estimate", ~np.isfinite(q)), ("variance", ~(np.isfinite(u) & (u >= 0)))):
        for i in np.flatnonzero(bad.any(axis=0)).tolist():
            where = ", ".join(map(str, np.flatnonzero(bad[:, i])[:5]))
            problems.append(f"{_label(labels[i])}: no {what} in {int(bad[:, i].sum())} imputations ({where})")
    if problems:
        raise EstimationError(
            listed(problems, "every imputation needs an estimate and a variance >= 0; none is left out"), problems
        )


def _label(name: Any) -> str:
    return " -> ".join(map(str, name)) if isinstance(name, tuple) else str(name)
