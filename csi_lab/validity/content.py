"""Content validity: what experts say about each item before anyone is asked it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from csi_lab.answers import infinite_values, require_numbers
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.settings import is_number, is_whole, require_level

if TYPE_CHECKING:
    import pandas as pd

MissingRatings = Literal["raise", "available"]
# Polit, Beck & Owen (2007), after Fleiss (1981) and Cicchetti & Sparrow (1981): where each band of kappa begins.
KAPPA_BANDS: Mapping[str, float] = MappingProxyType({"excellent": 0.74, "good": 0.60, "fair": 0.40})


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


@dataclass(frozen=True, eq=False)
class CVIResult:
    """Content validity indices of a panel's items and of the whole scale.

    Attributes
    ----------
    items
        One row per item: ``experts``, ``relevant`` (how many of them say so), ``estimate, se, low, high`` of the I-CVI,
        ``chance`` agreement, modified ``kappa``, its ``band``, ``cut`` and ``verdict``.
    average, universal
        S-CVI/Ave (mean I-CVI) and S-CVI/UA (share of items that all experts call relevant).
    average_cut
        The S-CVI/Ave asked for.
    level
        Of the intervals.
    """

    items: pd.DataFrame
    average: float
    universal: float
    average_cut: float
    level: float

    def to_frame(self) -> pd.DataFrame:
        """One row per item, raw numbers."""
        return self.items

    def __str__(self) -> str:
        below = [str(i) for i in self.items.index[self.items["verdict"].str.startswith("below")]]
        side = "reaches" if self.average >= self.average_cut else "below"
        lines = [
            f"S-CVI/Ave = {self.average:.3f} ({side} {self.average_cut:.2f}), S-CVI/UA = {self.universal:.3f}, "
            f"{len(self.items)} items, {_span(self.items['experts'])} experts"
        ]
        if below:
            lines.append(f"I-CVI below its cut-off: {', '.join(below)}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.items.round(3).to_html()}"


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
    x = _ratings(judgements, missing)
    if not (x == essential).any():
        seen = sorted({float(v) for v in x[~np.isnan(x)].tolist()})[:8]
        raise DataError(
            f"no judgement equals essential={essential!r}; the answers given are {seen}: say which of them means it"
        )
    experts, count = (~np.isnan(x)).sum(axis=0), (x == essential).sum(axis=0)
    share, se, low, high = _shares(count, experts, level)
    critical = critical_cvr([int(n) for n in experts], alpha=alpha)["cvr"].to_numpy()
    cvr = 2 * share - 1
    verdict = [
        f"a panel of {n} is too small" if np.isnan(c) else f"{'reaches' if v >= c - 1e-12 else 'below'} {c:.3f}"
        for v, c, n in zip(cvr, critical, experts, strict=True)
    ]
    items = _table(
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


def content_validity_index(
    ratings: pd.DataFrame,
    *,
    scale: tuple[int, int] = (1, 4),
    relevant: int = 3,
    item_cut: float | None = None,
    average_cut: float = 0.90,
    bands: Mapping[str, float] = KAPPA_BANDS,
    level: float = 0.95,
    missing: MissingRatings = "raise",
) -> CVIResult:
    r"""I-CVI, modified kappa, S-CVI/Ave and S-CVI/UA from experts' ratings of relevance.

    With A of N experts rating an item relevant, I-CVI = A/N, chance agreement
    :math:`p_c = \binom{N}{A} 2^{-N}` and :math:`\kappa^* = (\text{I-CVI} - p_c)/(1 - p_c)`.

    Parameters
    ----------
    ratings
        One row per expert, one column per item, whole numbers within ``scale``.
    scale, relevant
        Lowest and highest rating, and from which rating on an item counts as relevant.
    item_cut
        I-CVI asked for; ``None`` takes 1.00 for up to 5 experts and .78 from 6 on (Lynn 1986).
    average_cut
        S-CVI/Ave asked for (Polit & Beck 2006).
    bands
        Words for kappa, best first, each with the value it begins at; below the last it is "poor" (Polit et al. 2007).
    level
        Of the interval of each I-CVI (Clopper-Pearson).
    missing
        ``"raise"`` refuses missing ratings; ``"available"`` counts for each item the experts who rated it.

    Returns
    -------
    CVIResult

    Raises
    ------
    DataError
        If ratings are text, missing, off the scale, or an item has none. Offenders are named.
    SpecError
        If the scale or a cut-off makes no sense.

    Notes
    -----
    Chance agreement and kappa agree with published_tables.json, polit_kappa, to its print. The probability of chance is
    that of exactly A experts, as Polit et al. define it.

    References
    ----------
    .. [1] Lynn, M. R. (1986). Determination and quantification of content validity. Nursing Research, 35(6), 382-385.
    .. [2] Polit, D. F., & Beck, C. T. (2006). The content validity index. Research in Nursing & Health, 29, 489-497.
    .. [3] Polit, D. F., Beck, C. T., & Owen, S. V. (2007). Is the CVI an acceptable indicator of content validity?
       Research in Nursing & Health, 30, 459-467.

    Examples
    --------
    >>> import pandas as pd
    >>> panel = pd.DataFrame({"clear bill": [4, 4, 3, 4, 3, 4], "nice shop": [4, 2, 3, 1, 2, 4]})
    >>> print(content_validity_index(panel))
    S-CVI/Ave = 0.750 (below 0.90), S-CVI/UA = 0.500, 2 items, 6 experts
    I-CVI below its cut-off: nice shop
    """
    low_end, high_end = scale
    if not all(map(is_number, (low_end, high_end, relevant))) or not low_end < relevant <= high_end:
        raise SpecError(f"relevant={relevant!r} must lie above the lowest and within the scale {scale}")
    for name, cut in (("item_cut", item_cut), ("average_cut", average_cut)):
        if cut is not None and (not is_number(cut) or not 0 < cut <= 1):
            raise SpecError(f"{name}={cut!r} must lie between 0 and 1")
    require_level(level)
    x = _ratings(ratings, missing)
    off = ~np.isnan(x) & ((x < low_end) | (x > high_end) | (x != np.rint(x)))
    if off.any():
        problems = [
            f"{str(c)!r}: {sorted({float(v) for v in x[off[:, j], j]})}"
            for j, c in enumerate(ratings.columns)
            if off[:, j].any()
        ]
        raise DataError(
            listed(problems, f"ratings must be whole numbers from {low_end} to {high_end}; others were given"), problems
        )
    experts, count = (~np.isnan(x)).sum(axis=0), (x >= relevant).sum(axis=0)
    share, se, low, high = _shares(count, experts, level)
    chance = special.binom(experts, count) * 0.5**experts
    # One expert agrees with himself: there is no chance agreement to remove, and nothing to learn.
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = np.where(chance < 1, (share - chance) / (1 - chance), np.nan)
    cuts = np.where(experts <= 5, 1.0, 0.78) if item_cut is None else np.full(len(experts), item_cut)
    items = _table(
        ratings,
        experts=experts,
        relevant=count,
        estimate=share,
        se=se,
        low=low,
        high=high,
        chance=chance,
        kappa=kappa,
        band=[_band(k, bands) for k in kappa],
        cut=cuts,
        verdict=[f"{'reaches' if s >= c - 1e-12 else 'below'} {c:.2f}" for s, c in zip(share, cuts, strict=True)],
    )
    return CVIResult(items, float(share.mean()), float((count == experts).mean()), average_cut, level)


def _at_least(k: Any, n: Any) -> np.ndarray:
    """P(X >= k) of a fair coin thrown n times."""
    k, n = np.asarray(k, dtype=float), np.asarray(n, dtype=float)
    return np.where(k <= 0, 1.0, special.betainc(np.maximum(k, 1), n - k + 1, 0.5))


def _shares(count: np.ndarray, n: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Share, its standard error, and the ends of the Clopper-Pearson interval."""
    share, tail = count / n, (1 - level) / 2
    low = np.where(count > 0, special.betaincinv(np.maximum(count, 1), n - count + 1, tail), 0.0)
    high = np.where(count < n, special.betaincinv(count + 1, np.maximum(n - count, 1), 1 - tail), 1.0)
    return share, np.sqrt(share * (1 - share) / n), low, high


def _band(kappa: float, bands: Mapping[str, float]) -> str:
    if np.isnan(kappa):
        return "undefined"
    return next((word for word, start in bands.items() if kappa >= start), "poor")


def _ratings(frame: pd.DataFrame, missing: MissingRatings) -> np.ndarray:
    """Ratings ``(experts, items)`` as floats, checked."""
    if missing not in ("raise", "available"):
        raise SpecError(f"missing={missing!r} is unknown; use 'raise' or 'available'")
    if not hasattr(frame, "columns"):
        raise DataError(f"need a DataFrame with one row per expert, got {type(frame).__name__}")
    twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
    if twice:
        raise DataError(f"columns share a name: {twice}; rename them")
    if not len(frame):
        raise DataError("no expert has given a rating")
    require_numbers(frame)
    x = frame.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(x).any():
        raise DataError(infinite_values(frame))
    gaps = np.isnan(x).sum(axis=0)
    empty = [str(c) for c, k in zip(frame.columns, gaps, strict=True) if k == len(x)]
    if empty:
        raise DataError(f"items without any rating: {empty}; leave them out")
    if gaps.any() and missing == "raise":
        named = ", ".join(f"{str(c)!r} ({k})" for c, k in zip(frame.columns, gaps, strict=True) if k)
        raise DataError(f"ratings are missing: {named}; choose missing='available' to count those who rated each item")
    return x


def _table(frame: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns, index=pd.Index([str(c) for c in frame.columns], name="item"))


def _span(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"
