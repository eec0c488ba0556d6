"""Content validity indices: how many experts call an item relevant, beyond chance."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError, listed
from csi_lab.settings import is_number, require_level
from csi_lab.validity.experts import MissingRatings, item_table, ratings_of, share_with_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Polit, Beck & Owen (2007), after Fleiss (1981) and Cicchetti & Sparrow (1981): where each band of kappa begins.
KAPPA_BANDS: Mapping[str, float] = MappingProxyType({"excellent": 0.74, "good": 0.60, "fair": 0.40})


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

    def plot(self, ax: Axes | None = None, labels: Mapping[str, str] | None = None) -> Axes:
        """I-CVI as bars with their intervals, and the cut-off where it is the same for all items."""
        from csi_lab import plots

        cuts = self.items["cut"].unique()
        cut = float(cuts[0]) if len(cuts) == 1 else None
        table = self.items[["estimate", "low", "high"]]
        return plots.bars(table, xlabel="I-CVI", limits=(0, 1.15), decimals=2, cut=cut, ax=ax, labels=labels)

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
        Words for kappa, each with the value it begins at; below the last it is "poor" (Polit et al. 2007).
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
    if not isinstance(scale, Sequence) or len(scale) != 2:
        raise SpecError(f"scale={scale!r} must be the lowest and the highest rating, e.g. (1, 4)")
    low_end, high_end = scale
    if not isinstance(bands, Mapping) or not all(map(is_number, bands.values())):
        raise SpecError(f"bands={bands!r} must be words with the value of kappa that each begins at")
    if not all(map(is_number, (low_end, high_end, relevant))) or not low_end < relevant <= high_end:
        raise SpecError(f"relevant={relevant!r} must lie above the lowest and within the scale {scale}")
    for name, cut in (("item_cut", item_cut), ("average_cut", average_cut)):
        if cut is not None and (not is_number(cut) or not 0 < cut <= 1):
            raise SpecError(f"{name}={cut!r} must lie between 0 and 1")
    require_level(level)
    x = ratings_of(ratings, missing)
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
    share, se, low, high = share_with_interval(count, experts, level)
    chance = special.binom(experts, count) * 0.5**experts
    # One expert agrees with himself: there is no chance agreement to remove, and nothing to learn.
    with np.errstate(invalid="ignore", divide="ignore"):
        kappa = np.where(chance < 1, (share - chance) / (1 - chance), np.nan)
    cuts = np.where(experts <= 5, 1.0, 0.78) if item_cut is None else np.full(len(experts), item_cut)
    items = item_table(
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


def _band(kappa: float, bands: Mapping[str, float]) -> str:
    if np.isnan(kappa):
        return "undefined"
    best_first = sorted(bands.items(), key=lambda band: -band[1])
    return next((word for word, start in best_first if kappa >= start), "poor")


def _span(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low}" if low == high else f"{low} to {high}"
