"""Cronbach's alpha with its interval and item diagnostics."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError
from csi_lab.intervals import Interval, Kind
from csi_lab.moments import Missing, Moments, as_moments
from csi_lab.percent import percent
from csi_lab.reliability.coefficient import Sample, against_the_rest, item_rest_correlations, withheld
from csi_lab.resampling import Replicates

if TYPE_CHECKING:
    import pandas as pd

Formula = Literal["feldt", "duhachek"]
FORMULAS = ("feldt", "duhachek")


@dataclass(frozen=True, eq=False)
class AlphaResult:
    """Cronbach's alpha of one scale.

    Attributes
    ----------
    scale
        Name shown in tables.
    value, standardised
        Alpha from covariances (raw) and from correlations.
    se, low, high, level
        Standard error (none belongs to Feldt's interval) and interval of the raw alpha; NaN where a formula would
        ignore weights, strata or clusters, see ``interval``.
    interval
        What the interval is, or why there is none.
    n, dropped
        Rows used, and rows left out because an item was missing.
    items
        One row per item: ``item_rest`` (correlation with the sum of the others) and ``alpha_if_deleted``.
    intervals
        With draws: ``estimate, se, low, high`` of every number above, index (statistic, item); else ``None``.
    copies
        A remark on items with identical answers.
    """

    scale: str
    value: float
    standardised: float
    se: float
    low: float
    high: float
    level: float
    interval: str
    n: int
    dropped: int
    items: pd.DataFrame
    intervals: pd.DataFrame | None = None
    copies: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know, one sentence each; empty when there is nothing to say."""
        return (*against_the_rest(self.items.index, self.items["item_rest"]), *self.copies)

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers, ready for ``pandas.concat`` over scales."""
        import pandas as pd

        row = {
            "estimate": self.value,
            "se": self.se,
            "low": self.low,
            "high": self.high,
            "standardised": self.standardised,
            "items": len(self.items),
            "n": self.n,
        }
        return pd.DataFrame([row], index=pd.Index([self.scale], name="scale"))

    def __str__(self) -> str:
        ends = f", {percent(self.level)} CI [{self.low:.3f}, {self.high:.3f}]" if np.isfinite(self.low) else ""
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        head = f"{self.scale}: alpha = {self.value:.3f}{ends}, n = {self.n}, k = {len(self.items)}{left_out}"
        return "\n".join([head, *self.remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.items.round(3).to_html()}"


def cronbach_alpha(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    formula: Formula = "feldt",
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> AlphaResult:
    r"""Cronbach's alpha with Feldt's interval, or one from replicates of the sample.

    .. math:: \alpha = \frac{k}{k-1}\left(1 - \frac{\sum_i s_i^2}{s_X^2}\right)

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    items
        The k >= 2 items of the scale, all scored in the same direction; default all columns.
    weights
        Sampling weights for a DataFrame (array, Series or column name).
    scale
        Name shown in tables.
    level
        Confidence level.
    formula
        ``"feldt"`` from the F distribution of (1 - alpha)/(1 - estimate) [1]_, or ``"duhachek"``: estimate -/+ z se
        with the standard error of Duhachek and Iacobucci [2]_.
    draws, rng
        Number of replicates and seed: the interval then comes from replicates of the sample, which honour its design.
    replicates
        Replicates made before, instead of ``draws``.
    kind
        Of the interval from replicates, as in :meth:`csi_lab.resampling.Replicates.interval`.
    missing
        ``"listwise"`` leaves rows with a missing item out and reports how many; ``"raise"`` refuses them.

    Returns
    -------
    AlphaResult

    Raises
    ------
    DataError
        If an item is absent, named twice, text or constant, or fewer than two items are given.
    EstimationError
        If the sum of the items does not vary.
    SpecError
        If the level or formula is unknown.

    Notes
    -----
    Both formulas assume a simple random sample: with weights, strata or clusters the ends are NaN and ``interval``
    says why; ``draws`` gives an interval that honours them. Alpha equals reliability only for essentially
    tau-equivalent items [3]_; see :func:`csi_lab.reliability.omega`. Agrees with R psych 2.2.9 ``alpha()`` to 1e-12
    (``tests/reference/reliability``).

    References
    ----------
    .. [1] Feldt, L. S., Woodruff, D. J., & Salih, F. A. (1987). Statistical inference for coefficient alpha. Applied
       Psychological Measurement, 11(1), 93-103.
    .. [2] Duhachek, A., & Iacobucci, D. (2004). Alpha's standard error (ASE). Journal of Applied Psychology, 89(5),
       792-808.
    .. [3] McNeish, D. (2018). Thanks coefficient alpha, we'll take it from here. Psychological Methods, 23(3), 412-433.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> print(cronbach_alpha(survey, ["CUSA1", "CUSA2", "CUSA3"], scale="Satisfaction"))
    Satisfaction: alpha = 0.770, 95% CI [0.716, 0.815], n = 250, k = 3
    >>> drawn = cronbach_alpha(survey, ["CUSA1", "CUSA2", "CUSA3"], draws=500, rng=1)
    >>> print(drawn.interval)
    percentile interval of 500 draws (bootstrap)
    """
    if formula not in FORMULAS:
        raise SpecError(f"formula={formula!r} is unknown; use one of {list(FORMULAS)}, or draws= for a bootstrap")
    sample = Sample.of(
        data, items, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    sample.require_scale()
    moments = sample.moments
    k = len(moments.names)
    alpha = float(_alpha(moments.cov))
    se = low = high = float("nan")
    found = sample.interval(_everything)
    if found is not None:
        interval = sample.described(found)
        se, low, high = float(found.se[0]), float(found.low[0]), float(found.high[0])
    elif sample.against:
        interval = withheld(f"{formula.capitalize()}'s interval", sample.against)
    elif formula == "feldt":
        interval = "Feldt"
        low, high = _feldt(alpha, moments.n, k, level)
    else:
        interval = "Duhachek and Iacobucci"
        se = float(np.sqrt(_alpha_variance(moments.cov) / moments.n))
        z = float(special.ndtri(0.5 + level / 2))
        low, high = alpha - z * se, alpha + z * se
    return AlphaResult(
        scale=scale,
        value=alpha,
        standardised=float(_alpha(moments.corr)),
        se=se,
        low=low,
        high=high,
        level=level,
        interval=interval,
        n=moments.n,
        dropped=moments.dropped,
        items=_item_table(moments.cov, moments.names),
        intervals=None if found is None else _interval_table(found, moments.names),
        copies=sample.copies,
    )


def alpha_table(
    data: Any,
    constructs: Mapping[str, Sequence[str]],
    *,
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
) -> pd.DataFrame:
    """Alpha of several scales, one row each; single-item constructs are left empty, because they have no alpha.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments. Rows with a missing item are left out scale by scale.
    constructs
        Name to items, e.g. ``survey.constructs``.
    level, draws, rng, replicates, kind
        As in :func:`cronbach_alpha`.

    Returns
    -------
    DataFrame
        Columns ``estimate, low, high, standardised, items, n``; with replicates also ``se``.

    Raises
    ------
    DataError
        As in :func:`cronbach_alpha`.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> alpha_table(survey, survey.constructs)["estimate"].round(2).to_dict()["Quality"]
    0.87
    """
    import pandas as pd

    def row(name: str, items: Sequence[str]) -> pd.DataFrame:
        items = [items] if isinstance(items, str) else list(items)
        if len(items) == 1:
            counts = {"items": [1], "n": [as_moments(data, items).n]}
            return pd.DataFrame(counts, index=pd.Index([name], name="scale"))
        found = cronbach_alpha(
            data, items, scale=name, level=level, draws=draws, rng=rng, replicates=replicates, kind=kind
        )
        return found.to_frame()

    if not isinstance(constructs, Mapping) or not constructs:
        raise DataError("scales are given as {name: [items]}, one or more, e.g. survey.constructs")
    columns = ["estimate", "low", "high", "standardised", "items", "n"]
    if draws is not None or replicates is not None:
        columns.insert(1, "se")
    rows = [row(name, items).reindex(columns=columns).astype(float) for name, items in constructs.items()]
    return pd.concat(rows).astype({"items": int, "n": int})


def _everything(moments: Moments) -> np.ndarray:
    """Alpha, standardised alpha, item-rest correlations and alphas without each item ``(..., 2 + 2k)``."""
    cov = moments.cov
    both = np.stack([_alpha(cov), _alpha(moments.corr)], axis=-1)
    return np.concatenate([both, item_rest_correlations(cov), _alpha_if_deleted(cov)], axis=-1)


def _interval_table(found: Interval, names: Sequence[str]) -> pd.DataFrame:
    index = [("alpha", ""), ("standardised", "")]
    index += [(statistic, item) for statistic in ("item_rest", "alpha_if_deleted") for item in names]
    return found.to_frame(index, ["statistic", "item"])


def _alpha(cov: np.ndarray) -> np.ndarray:
    """Alpha from covariance matrices ``(..., k, k)``, one value per matrix; NaN where the sum does not vary."""
    return alpha_of_sums(cov.shape[-1], np.trace(cov, axis1=-2, axis2=-1), cov.sum(axis=(-2, -1)))


def alpha_of_sums(k: Any, own: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Alpha of k items from the sum of their variances and the variance of their sum; NaN where that does not vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 1e-12 * own, k / (k - 1) * (1 - own / total), np.nan)


def _alpha_variance(cov: np.ndarray) -> np.ndarray:
    r"""Duhachek and Iacobucci's Q ``(...)``, n times the variance of alpha:

    :math:`\frac{2k^2}{(k-1)^2 (1'V1)^3} [1'V1 (tr V^2 + tr^2 V) - 2\, tr V\, 1'V^2 1]`.
    """
    k = cov.shape[-1]
    total, own = cov.sum(axis=(-2, -1)), np.trace(cov, axis1=-2, axis2=-1)
    squares = (cov**2).sum(axis=(-2, -1))
    rows = (cov.sum(axis=-1) ** 2).sum(axis=-1)
    return 2 * k**2 / ((k - 1) ** 2 * total**3) * (total * (squares + own**2) - 2 * own * rows)


def _alpha_if_deleted(cov: np.ndarray) -> np.ndarray:
    """Alpha without each item in turn ``(..., k)``, from sums alone; NaN for two items, which leave one."""
    k = cov.shape[-1] - 1
    if k < 2:
        return np.full(cov.shape[:-1], np.nan)
    variances = np.diagonal(cov, axis1=-2, axis2=-1)
    total = cov.sum(axis=(-2, -1))[..., None] - 2 * cov.sum(axis=-1) + variances
    own = variances.sum(axis=-1)[..., None] - variances
    return alpha_of_sums(k, own, total)


def _feldt(alpha: float, n: int, k: int, level: float) -> tuple[float, float]:
    """Feldt's interval: (1 - alpha) / (1 - estimate) is F with (n - 1)(k - 1) and n - 1 degrees of freedom."""
    tail, df1, df2 = (1 - level) / 2, n - 1, (n - 1) * (k - 1)
    upper, lower = special.fdtri(df1, df2, 1 - tail), special.fdtri(df1, df2, tail)
    return float(1 - (1 - alpha) * upper), float(1 - (1 - alpha) * lower)


def _item_table(cov: np.ndarray, items: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    columns = {"item_rest": item_rest_correlations(cov), "alpha_if_deleted": _alpha_if_deleted(cov)}
    return pd.DataFrame(columns, index=pd.Index(list(items), name="item"))
