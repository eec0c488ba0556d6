"""Lawshe's content validity ratio: how many experts call an item essential, against chance."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError
from csi_lab.settings import is_whole, require_level
from csi_lab.validity.experts import MissingRatings, item_table, ratings_of, share_with_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class CVRResult:
    """Content validity ratios of a panel's items.

    Attributes
    ----------
    items
        One row per item: ``experts``, ``essential`` (how many of them say so), ``estimate, se, low, high`` of the CVR,
        one-tailed exact ``p``, ``critical`` value and ``verdict``.
    value
        Mean CVR of the items that reach their critical value (Lawshe's content validity index); NaN if none does.
    alpha, level
        Of the test and of the intervals.
    """

    items: pd.DataFrame
    value: float
    alpha: float
    level: float

    @property
    def kept(self) -> tuple[str, ...]:
        """Items that reach their critical value."""
        return tuple(self.items.index[self.items["verdict"].str.startswith("reaches")])

    def to_frame(self) -> pd.DataFrame:
        """One row per item, raw numbers."""
        return self.items

    def plot(self, ax: Axes | None = None, labels: Mapping[str, str] | None = None) -> Axes:
        """The ratios as bars with their intervals, and the critical value where it is the same for all items."""
        from csi_lab import plots

        critical = self.items["critical"].unique()
        cut = float(critical[0]) if len(critical) == 1 and np.isfinite(critical[0]) else None
        table = self.items[["estimate", "low", "high"]]
        return plots.bars(
            table, xlabel="content validity ratio", limits=(-1, 1.15), decimals=2, cut=cut, ax=ax, labels=labels
        )

    def __str__(self) -> str:
        below = [i for i in self.items.index if i not in self.kept]
        dropped = f"; not: {', '.join(map(str, below))}" if below else ""
        mean = f", their mean CVR {self.value:.3f}" if self.kept else ""
        return (
            f"CVR: {len(self.kept)} of {len(self.items)} items reach the exact critical value "
            f"(one-tailed, alpha = {self.alpha:g}){mean}{dropped}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.items.round(3).to_html()}"


def critical_cvr(experts: int | Iterable[int], *, alpha: float = 0.05) -> pd.DataFrame:
    r"""Exact critical values of Lawshe's content validity ratio.

    The smallest k with :math:`P(X \ge k \mid N, 1/2) \le \alpha` experts calling an item essential, and
    :math:`\text{CVR} = (k - N/2)/(N/2)`.

    Parameters
    ----------
    experts
        Panel size N, or several.
    alpha
        One-tailed level.

    Returns
    -------
    DataFrame
        Index ``experts``, columns ``essential`` (k), ``cvr`` and ``p`` (the exact level reached); NaN where even a
        unanimous panel is too small.

    Raises
    ------
    SpecError
        If a panel size is not a whole number >= 1 or alpha not between 0 and 1.

    Notes
    -----
    The exact values rise and fall with N (.800 at 10, .636 at 11), because k is whole. Lawshe's printed table is
    smoother and differs in places (``tests/reference/published_tables.json``, lawshe_cvr).

    References
    ----------
    .. [1] Lawshe, C. H. (1975). A quantitative approach to content validity. Personnel Psychology, 28, 563-575.
    .. [2] Ayre, C., & Scally, A. J. (2014). Critical values for Lawshe's content validity ratio. Measurement and
       Evaluation in Counseling and Development, 47(1), 79-86.

    Examples
    --------
    >>> critical_cvr([4, 10, 11]).round(3)
             essential    cvr      p
    experts
    4              NaN    NaN    NaN
    10             9.0  0.800  0.011
    11             9.0  0.636  0.033
    """
    import pandas as pd

    require_level(alpha, "alpha", 0.05)
    sizes = list(experts) if isinstance(experts, Iterable) and not isinstance(experts, str) else [experts]
    bad = [n for n in sizes if not is_whole(n) or n < 1]
    if bad or not sizes:
        raise SpecError(f"panel sizes must be whole numbers from 1, got {bad or sizes}")
    rows = []
    for n in sizes:
        tails = _at_least(np.arange(n + 1), n)
        enough = np.flatnonzero(tails <= alpha)
        k = int(enough[0]) if len(enough) else None
        rows.append((np.nan, np.nan, np.nan) if k is None else (float(k), 2 * k / n - 1, float(tails[k])))
    return pd.DataFrame(rows, index=pd.Index(sizes, name="experts"), columns=["essential", "cvr", "p"])


def content_validity_ratio(
    judgements: pd.DataFrame,
    *,
    essential: float = 1,
    alpha: float = 0.05,
    level: float = 0.95,
    missing: MissingRatings = "raise",
) -> CVRResult:
    r"""Lawshe's content validity ratio of every item, against exact critical values.

    .. math:: \text{CVR} = \frac{n_e - N/2}{N/2}

    with :math:`n_e` of N experts calling the item essential.

    Parameters
    ----------
    judgements
        One row per expert, one column per item.
    essential
        The answer that means "essential"; every other number means that it is not.
    alpha
        One-tailed level of the critical value.
    level
        Of the interval (Clopper-Pearson for the share, carried over to -1..1).
    missing
        ``"raise"`` refuses missing judgements; ``"available"`` counts for each item the experts who judged it.

    Returns
    -------
    CVRResult

    Raises
    ------
    DataError
        If judgements are text, infinite or missing, an item has none, or no judgement anywhere says essential.

    Notes
    -----
    Critical values agree with the exact column of published_tables.json, lawshe_cvr.

    References
    ----------
    .. [1] Lawshe, C. H. (1975). A quantitative approach to content validity. Personnel Psychology, 28, 563-575.

    Examples
    --------
    >>> import pandas as pd
    >>> panel = pd.DataFrame({"waiting time": [1] * 9 + [2], "colour of the logo": [1] * 4 + [2, 3] * 3})
    >>> print(content_validity_ratio(panel))
    CVR: 1 of 2 items reach the exact critical value (one-tailed, alpha = 0.05), their mean CVR 0.800;
    not: colour of the logo
    """
    require_level(alpha, "alpha", 0.05)
    require_level(level)
    x = ratings_of(judgements, missing)
    if not (x == essential).any():
        seen = sorted({float(v) for v in x[~np.isnan(x)].tolist()})[:8]
        raise DataError(
            f"no judgement equals essential={essential!r}; the answers given are {seen}: say which of them means it"
        )
    experts, count = (~np.isnan(x)).sum(axis=0), (x == essential).sum(axis=0)
    share, se, low, high = share_with_interval(count, experts, level)
    critical = critical_cvr([int(n) for n in experts], alpha=alpha)["cvr"].to_numpy()
    cvr = 2 * share - 1
    verdict = [
        f"a panel of {n} is too small" if np.isnan(c) else f"{'reaches' if v >= c - 1e-12 else 'below'} {c:.3f}"
        for v, c, n in zip(cvr, critical, experts, strict=True)
    ]
    items = item_table(
        judgements,
        experts=experts,
        essential=count,
        estimate=cvr,
        se=2 * se,
        low=2 * low - 1,
        high=2 * high - 1,
        p=_at_least(count, experts),
        critical=critical,
        verdict=verdict,
    )
    kept = items["verdict"].str.startswith("reaches")
    return CVRResult(items, float(items.loc[kept, "estimate"].mean()) if kept.any() else float("nan"), alpha, level)


def _at_least(k: Any, n: Any) -> np.ndarray:
    """P(X >= k) of a fair coin thrown n times."""
    k, n = np.asarray(k, dtype=float), np.asarray(n, dtype=float)
    return np.where(k <= 0, 1.0, special.betainc(np.maximum(k, 1), n - k + 1, 0.5))
