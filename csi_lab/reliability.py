"""Reliability of scales: Cronbach's alpha with its interval and item diagnostics."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError
from csi_lab.moments import Missing, as_moments, require_variation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class AlphaResult:
    """Cronbach's alpha of one scale.

    Attributes
    ----------
    scale
        Name shown in tables.
    value, standardised
        Alpha from covariances (raw) and from correlations.
    low, high, level
        Feldt's interval of the raw alpha; NaN where it would ignore weights, strata or clusters, see ``interval``.
    interval
        What the interval is, or why there is none.
    n, dropped
        Rows used, and rows left out because an item was missing.
    items
        One row per item: ``item_rest`` (correlation with the sum of the others) and ``alpha_if_deleted``.
    """

    scale: str
    value: float
    standardised: float
    low: float
    high: float
    level: float
    interval: str
    n: int
    dropped: int
    items: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers, ready for ``pandas.concat`` over scales."""
        import pandas as pd

        row = {
            "estimate": self.value,
            "low": self.low,
            "high": self.high,
            "standardised": self.standardised,
            "items": len(self.items),
            "n": self.n,
        }
        return pd.DataFrame([row], index=pd.Index([self.scale], name="scale"))

    def __str__(self) -> str:
        ends = f", {self.level:.0%} CI [{self.low:.3f}, {self.high:.3f}]" if np.isfinite(self.low) else ""
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        return f"{self.scale}: alpha = {self.value:.3f}{ends}, n = {self.n}, k = {len(self.items)}{left_out}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.items.round(3).to_html()}"


def cronbach_alpha(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    missing: Missing = "listwise",
) -> AlphaResult:
    r"""Cronbach's alpha with Feldt's interval.

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
    missing
        ``"listwise"`` leaves rows with a missing item out and reports how many; ``"raise"`` refuses them.

    Returns
    -------
    AlphaResult

    Raises
    ------
    DataError
        If an item is absent, text or constant, or fewer than two items are given.

    Notes
    -----
    Feldt's interval assumes a simple random sample: with weights, strata or clusters the ends are NaN and ``interval``
    says why. Alpha equals reliability only for essentially tau-equivalent items [2]_. Agrees with R psych 2.2.9
    ``alpha()`` to 1e-12 (``tests/reference/reliability``).

    References
    ----------
    .. [1] Feldt, L. S., Woodruff, D. J., & Salih, F. A. (1987). Statistical inference for coefficient alpha. Applied
       Psychological Measurement, 11(1), 93-103.
    .. [2] McNeish, D. (2018). Thanks coefficient alpha, we'll take it from here. Psychological Methods, 23(3), 412-433.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(cronbach_alpha(csi.load_survey("mobile"), ["CUSA1", "CUSA2", "CUSA3"], scale="Satisfaction"))
    Satisfaction: alpha = 0.770, 95% CI [0.716, 0.815], n = 250, k = 3
    """
    if not 0 < level < 1:
        raise SpecError(f"level={level!r} must lie between 0 and 1, e.g. 0.95")
    moments = as_moments(data, items, weights, missing)
    if moments.shape:
        raise DataError("this is a stack of moments; alpha is reported for one survey")
    k = len(moments.names)
    if k < 2:
        raise DataError(f"a scale needs two items or more, got {list(moments.names)}")
    require_variation(moments)
    alpha = float(_alpha(moments.cov))
    design = getattr(data, "design", None)
    low = high = float("nan")
    if moments.weighted or (design is not None and not design.simple):
        interval = "none: the sample has weights, strata or clusters, and Feldt's interval would ignore them"
    else:
        interval = "Feldt"
        low, high = _feldt(alpha, moments.n, k, level)
    return AlphaResult(
        scale=scale,
        value=alpha,
        standardised=float(_alpha(moments.corr)),
        low=low,
        high=high,
        level=level,
        interval=interval,
        n=moments.n,
        dropped=moments.dropped,
        items=_item_table(moments.cov, moments.names),
    )


def alpha_table(data: Any, constructs: Mapping[str, Sequence[str]], *, level: float = 0.95) -> pd.DataFrame:
    """Alpha of several scales, one row each; single-item constructs are left empty, because they have no alpha.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments. Rows with a missing item are left out scale by scale.
    constructs
        Name to items, e.g. ``survey.constructs``.
    level
        Confidence level.

    Returns
    -------
    DataFrame
        Columns ``estimate, low, high, standardised, items, n``.

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

    rows = [
        cronbach_alpha(data, items, scale=name, level=level).to_frame()
        if len(items) > 1
        else pd.DataFrame({"items": [1], "n": [as_moments(data, items).n]}, index=pd.Index([name], name="scale"))
        for name, items in constructs.items()
    ]
    columns = ["estimate", "low", "high", "standardised", "items", "n"]
    return pd.concat([row.reindex(columns=columns).astype(float) for row in rows]).astype({"items": int, "n": int})


def _alpha(cov: np.ndarray) -> np.ndarray:
    """Alpha from covariance matrices ``(..., k, k)``, one value per matrix."""
    k = cov.shape[-1]
    return k / (k - 1) * (1 - np.trace(cov, axis1=-2, axis2=-1) / cov.sum(axis=(-2, -1)))


def _alpha_if_deleted(cov: np.ndarray) -> np.ndarray:
    """Alpha without each item in turn ``(..., k)``, from sums alone; NaN for two items, which leave one."""
    k = cov.shape[-1] - 1
    if k < 2:
        return np.full(cov.shape[:-1], np.nan)
    variances = np.diagonal(cov, axis1=-2, axis2=-1)
    total = cov.sum(axis=(-2, -1))[..., None] - 2 * cov.sum(axis=-1) + variances
    return k / (k - 1) * (1 - (variances.sum(axis=-1)[..., None] - variances) / total)


def _item_rest(cov: np.ndarray) -> np.ndarray:
    """Correlation of each item with the sum of the others ``(..., k)``; NaN where that sum does not vary."""
    variances = np.diagonal(cov, axis1=-2, axis2=-1)
    with_rest = cov.sum(axis=-1) - variances
    rest = cov.sum(axis=(-2, -1))[..., None] - 2 * cov.sum(axis=-1) + variances
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(rest > 1e-12 * variances, with_rest / np.sqrt(variances * np.maximum(rest, 0)), np.nan)


def _feldt(alpha: float, n: int, k: int, level: float) -> tuple[float, float]:
    """Feldt's interval: (1 - alpha) / (1 - estimate) is F with (n - 1)(k - 1) and n - 1 degrees of freedom."""
    tail, df1, df2 = (1 - level) / 2, n - 1, (n - 1) * (k - 1)
    upper, lower = special.fdtri(df1, df2, 1 - tail), special.fdtri(df1, df2, tail)
    return float(1 - (1 - alpha) * upper), float(1 - (1 - alpha) * lower)


def _item_table(cov: np.ndarray, items: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    columns = {"item_rest": _item_rest(cov), "alpha_if_deleted": _alpha_if_deleted(cov)}
    return pd.DataFrame(columns, index=pd.Index(list(items), name="item"))
