"""Item analysis for pretests: what each question does before it is asked of everyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import DataError, SpecError
from csi_lab.intervals import Kind, require_interval
from csi_lab.moments import Moments
from csi_lab.reliability.alpha import _alpha, _alpha_if_deleted
from csi_lab.reliability.coefficient import Sample, item_rest_correlations, paragraph, perfect_pairs
from csi_lab.reliability.described import Bounds, answers_of, described
from csi_lab.reliability.extremes import compare_groups, group_labels
from csi_lab.resampling import Replicates
from csi_lab.settings import is_number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = (
    "answered",
    "missing",
    "mean",
    "sd",
    "skew",
    "kurtosis",
    "floor",
    "ceiling",
    "item_rest",
    "alpha_if_deleted",
    "t",
    "df",
    "p",
    "discrimination",
)


@dataclass(frozen=True, eq=False)
class ItemAnalysis:
    """Statistics of the items of one scale.

    Attributes
    ----------
    scale
        Name shown.
    items
        One row per item: ``answered`` and ``missing`` respondents; ``mean, sd, skew, kurtosis, floor, ceiling`` of the
        answers given; ``item_rest, alpha_if_deleted`` and, between the extreme groups, ``t, df, p, discrimination`` of
        the complete rows.
    alpha
        Of the complete rows.
    n, rows
        Complete rows, and all rows.
    cuts, low, high
        Total scores that bound the extreme groups, and rows in each.
    share
        Share of respondents asked for in each extreme group.
    test
        Which t test each item had: ``"Welch"``, ``"pooled"`` or ``""``.
    intervals
        With draws: ``estimate, se, low, high``, index (statistic, item); else ``None``.
    remarks
        What a reader must know, one sentence each.
    """

    scale: str
    items: pd.DataFrame
    alpha: float
    n: int
    rows: int
    cuts: tuple[float, float]
    low: int
    high: int
    share: float
    test: pd.Series
    intervals: pd.DataFrame | None
    remarks: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per item, raw numbers."""
        return self.items

    def flags(
        self,
        *,
        extreme: float = 0.15,
        missing: float = 0.05,
        item_rest: float = 0.30,
        p: float = 0.05,
        discrimination: float = 0.20,
    ) -> pd.Series:
        """What speaks against each item, in words; empty where nothing does.

        Parameters
        ----------
        extreme
            Share of answers at the floor or the ceiling above which an item is named (Terwee et al. 2007, Journal of
            Clinical Epidemiology 60, 34-42).
        missing
            Share of missing answers above which it is named (a convention).
        item_rest
            Item-rest correlation below which it is named (Nunnally & Bernstein 1994, Psychometric Theory, 3rd ed.).
        p
            Of the critical ratio.
        discrimination
            Below which it is named (Ebel & Frisbie 1991, Essentials of Educational Measurement, 5th ed.: .40 very good,
            .30 reasonable, .20 marginal).
        """
        import pandas as pd

        table = self.items
        share = table["missing"] / self.rows
        rules = (
            (share > missing, "missing", share, f"> {missing:.0%}", "{:.1%}"),
            (table["floor"] > extreme, "floor", table["floor"], f"> {extreme:.0%}", "{:.1%}"),
            (table["ceiling"] > extreme, "ceiling", table["ceiling"], f"> {extreme:.0%}", "{:.1%}"),
            (table["item_rest"] < item_rest, "item-rest", table["item_rest"], f"< {item_rest:.2f}", "{:.2f}"),
            (
                table["alpha_if_deleted"] > self.alpha,
                "alpha without it",
                table["alpha_if_deleted"],
                f"> {self.alpha:.3f}",
                "{:.3f}",
            ),
            (table["p"] >= p, "critical ratio p", table["p"], f">= {p:g}", "{:.3f}"),
            (table["t"] < 0, "critical ratio t", table["t"], "< 0", "{:.2f}"),
            (
                table["discrimination"] < discrimination,
                "discrimination",
                table["discrimination"],
                f"< {discrimination:.2f}",
                "{:.2f}",
            ),
            (table["sd"] == 0, "sd", table["sd"], "= 0: does not vary", "{:.0f}"),
        )
        words: dict[str, list[str]] = {item: [] for item in table.index}
        for hit, name, values, limit, form in rules:
            for item in table.index[hit.to_numpy()]:
                words[item].append(f"{name} {form.format(values[item])} {limit}")
        return pd.Series({item: "; ".join(found) for item, found in words.items()}, name="flags").rename_axis("item")

    def plot(self, ax: Axes | None = None, labels: Mapping[str, str] | None = None, cut: float = 0.30) -> Axes:
        """Item-rest correlations as bars, with the cut-off of :meth:`flags` and, where there are any, intervals.

        ``labels`` give items the text shown, e.g. ``survey.labels("zh")``.
        """
        from csi_lab import plots

        table = self.items[["item_rest"]].rename(columns={"item_rest": "estimate"})
        if self.intervals is not None:
            table = self.intervals.loc["item_rest", ["estimate", "low", "high"]]
        label = "correlation with the sum of the other items"
        return plots.bars(table, xlabel=label, decimals=2, cut=cut, ax=ax, labels=labels)

    def __str__(self) -> str:
        incomplete = f" ({self.rows - self.n} of {self.rows} rows are incomplete)" if self.rows > self.n else ""
        lines = [f"{self.scale}: {len(self.items)} items, alpha = {self.alpha:.3f}, n = {self.n}{incomplete}"]
        if np.isfinite(self.cuts[0]):
            lines.append(
                f"  extreme groups of {self.share:.0%}: {self.low} rows with totals <= {self.cuts[0]:g}, "
                f"{self.high} with totals >= {self.cuts[1]:g}"
            )
        named = [f"  {item}: {words}" for item, words in self.flags().items() if words]
        return "\n".join([*lines, *named, *self.remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        table = self.items.round(3).assign(test=self.test, flags=self.flags())
        return f"{paragraph(self)}{table.to_html()}"


def item_analysis(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    bounds: Bounds | None = None,
    share: float = 0.27,
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
) -> ItemAnalysis:
    r"""Statistics of the items of one scale, as a pretest needs them.

    * mean, standard deviation, skewness :math:`G_1` and excess kurtosis :math:`G_2` (the sample-adjusted ones of SPSS
      and pandas), share of answers at the lowest (floor) and highest (ceiling) possible value, missing answers;
    * correlation with the sum of the other items, and alpha without the item;
    * critical ratio: t test between respondents with low and high total scores. Tie rule: low are all totals
      :math:`\le P_{27}`, high all :math:`\ge P_{73}`, percentiles by linear interpolation, so that respondents with
      equal totals are never parted and the groups may hold more than 27 %. Welch's test where Levene's test (deviations
      from group means) gives p < .05, the pooled test otherwise;
    * discrimination :math:`D = (\bar x_{high} - \bar x_{low})/(max - min)`.

    Parameters
    ----------
    data
        A survey (its answer bounds and weights are used) or a DataFrame, one row per respondent.
    items
        The k >= 2 items of one scale, all scored in the same direction; default all columns.
    bounds
        Lowest and highest possible answer, for all items or by item. Without them, floor, ceiling and discrimination
        are NaN and a remark says so.
    share
        Of respondents in each extreme group, .25 to .33.
    weights
        Sampling weights for a DataFrame (array, Series or column name).
    scale, level, draws, rng, replicates, kind
        As in :func:`csi_lab.reliability.cronbach_alpha`: intervals of means, standard deviations, item-rest
        correlations and alphas without the item.

    Returns
    -------
    ItemAnalysis

    Raises
    ------
    DataError
        If items are absent, named twice, text, infinite or without any answer, answers lie outside the bounds, fewer
        than two rows are complete, or no item varies.
    SpecError
        If the share is not between .25 and .33, or bounds are not low < high.

    Notes
    -----
    An item that does not vary, two items with identical answers, or extreme groups that overlap are findings of a
    pretest: they are stated in ``remarks``, and what cannot be computed is NaN. With weights, strata or clusters the t
    test would be wrong and is left out with a remark. Meets the published critical ratios of the ECSI mobile quality
    block to two decimals.

    References
    ----------
    .. [1] Kelley, T. L. (1939). The selection of upper and lower groups for the validation of test items. Journal of
       Educational Psychology, 30(1), 17-24.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> found = item_analysis(survey, survey.constructs["Quality"], scale="Quality")
    >>> found.items["t"].round(2).tolist()
    [13.01, 10.85, 14.94, 15.14, 14.09, 15.99, 13.44]
    """
    import pandas as pd

    require_interval(kind, level)
    if not is_number(share) or not 0.25 <= share <= 0.33:
        raise SpecError(f"share={share!r} must lie between .25 and .33; Kelley's is .27")
    frame, w, limits, simple = answers_of(data, items, bounds, weights)
    names = list(frame.columns)
    x = frame.to_numpy(dtype=float, na_value=np.nan)
    complete = ~np.isnan(x).any(axis=1)
    nobody = len(getattr(data, "frame", data)) - len(x)
    if complete.sum() < 2:
        raise DataError(
            f"{int(complete.sum())} of {len(x)} rows have answers to all {len(names)} items; two are needed"
        )
    moments = Moments.from_frame(frame[complete], None if w is None else w[complete])
    remarks = [f"rows of weight zero left out: {nobody}"] if nobody else []
    if moments.constant.all():
        raise DataError(f"no item varies in the {moments.n} complete rows: {names}; there is nothing to analyse")
    flat = [name for name, constant in zip(names, moments.constant, strict=True) if constant]
    if flat:
        remarks.append(f"items that do not vary in the {moments.n} complete rows: {', '.join(flat)}")
    remarks += perfect_pairs(moments)
    alpha = float(_alpha(moments.cov))
    if np.isnan(alpha):
        remarks.append("alpha does not exist: the items cancel each other, so that their sum does not vary")
    item_rest = np.where(moments.constant, np.nan, item_rest_correlations(moments.cov))
    table = pd.DataFrame(np.nan, index=pd.Index(names, name="item"), columns=list(COLUMNS))
    rows = [described(x[:, j], w, limits.get(name)) for j, name in enumerate(names)]
    for column in rows[0]:
        table[column] = [row[column] for row in rows]
    table["item_rest"], table["alpha_if_deleted"] = item_rest, _alpha_if_deleted(moments.cov)
    totals = x[complete].sum(axis=1)
    cuts, low, high = group_labels(totals, share)
    test = pd.Series("", index=table.index, name="test")
    if not simple:
        cuts = (np.nan, np.nan)
        remarks.append("no critical ratios: the sample has weights, strata or clusters, which the t test would ignore")
    elif (low & high).any() or min(low.sum(), high.sum()) < 2:
        cuts = (np.nan, np.nan)
        remarks.append("no critical ratios: the extreme groups overlap or hold fewer than two rows")
    else:
        groups = compare_groups(x[complete][high], x[complete][low])
        table["t"], table["df"], table["p"], test[:] = groups.t, groups.df, groups.p, groups.test
        span = np.array([np.subtract(*limits[n][::-1]) if n in limits else np.nan for n in names])
        table["discrimination"] = groups.difference / span
        still = [n for n, t in zip(names, groups.t, strict=True) if np.isnan(t) and n not in flat]
        if still:
            remarks.append(f"no t test, because neither extreme group varies: {', '.join(still)}")
    without = [name for name in names if name not in limits]
    if without:
        remarks.append(f"no floor, ceiling and discrimination without bounds: {', '.join(without)}; give bounds=")
    intervals = None
    if draws is not None or replicates is not None:
        sample = Sample.of(
            data, items, weights=weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level
        )
        found = sample.interval(_per_item)
        assert found is not None
        index = [(s, n) for s in ("mean", "sd", "item_rest", "alpha_if_deleted") for n in names]
        intervals = found.to_frame(index, ["statistic", "item"])
        remarks.append(f"intervals of the {int(complete.sum())} complete rows: {sample.described(found)}")
    return ItemAnalysis(
        scale=scale,
        items=table.astype({"answered": int, "missing": int}),
        alpha=alpha,
        n=int(moments.n),
        rows=len(x),
        cuts=(float(cuts[0]), float(cuts[1])),
        low=int(low.sum()),
        high=int(high.sum()),
        share=share,
        test=test,
        intervals=intervals,
        remarks=tuple(remarks),
    )


def _per_item(moments: Moments) -> np.ndarray:
    """Means, standard deviations, item-rest correlations and alphas without the item ``(..., 4k)``."""
    cov = moments.cov
    return np.concatenate([moments.mean, moments.sd, item_rest_correlations(cov), _alpha_if_deleted(cov)], axis=-1)
