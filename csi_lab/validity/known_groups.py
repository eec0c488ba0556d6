"""Known groups: does the measure tell apart groups that are known to differ?"""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.answers import as_items, infinite_values, require_columns, require_numbers, require_possible
from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.intervals import Interval, Kind, require_interval
from csi_lab.moments import Moments
from csi_lab.percent import percent
from csi_lab.resampling import Replicates, replicates
from csi_lab.settings import require_level
from csi_lab.validity.labels import group_places, holm

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class KnownGroupsResult:
    """A measure in groups that are known to differ.

    Attributes
    ----------
    groups
        One row per group: ``n``, ``mean``, ``sd``, and ``se, low, high`` of the mean.
    pairs
        Index (group, other): ``difference`` of means (first minus second), Cohen's d as ``estimate, se, low, high``,
        Welch's ``t, df, p``, and ``verdict``.
    eta2, eta2_low, eta2_high
        Share of the variance that lies between the groups; ends only with draws.
    dropped, unlabelled
        Rows left out because an item is missing, or no label is given.
    level, interval
        Of the intervals; what they are, or why there are none.
    """

    groups: pd.DataFrame
    pairs: pd.DataFrame
    eta2: float
    eta2_low: float
    eta2_high: float
    dropped: int
    unlabelled: int
    level: float
    interval: str

    def to_frame(self) -> pd.DataFrame:
        """One row per pair of groups, raw numbers."""
        return self.pairs

    def plot(self, ax: Axes | None = None, labels: dict[str, str] | None = None) -> Axes:
        """Means of the groups as bars, with intervals where there are any; see :func:`csi_lab.plots.bars`."""
        from csi_lab import plots

        table = self.groups.rename(columns={"mean": "estimate"})
        columns = ["estimate", "low", "high"] if table["low"].notna().all() else ["estimate"]
        return plots.bars(table[columns], xlabel="mean", ax=ax, labels=labels)

    def __str__(self) -> str:
        ends = (
            f", {percent(self.level)} CI [{self.eta2_low:.3f}, {self.eta2_high:.3f}]"
            if np.isfinite(self.eta2_low)
            else ""
        )
        lines = [f"{len(self.groups)} groups, eta squared = {self.eta2:.3f}{ends}"]
        for (a, b), row in self.pairs.iterrows():
            ci = f" [{row['low']:.2f}, {row['high']:.2f}]" if np.isfinite(row["low"]) else ""
            lines.append(
                f"{a} - {b}: difference {row['difference']:.3f}, d = {row['estimate']:.2f}{ci}: {row['verdict']}"
            )
        for count, why in ((self.dropped, "missing answers"), (self.unlabelled, "no group")):
            if count:
                lines.append(f"{count} rows left out ({why})")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.groups.round(3).to_html()}{self.pairs.round(3).to_html()}"


def known_groups(
    data: Any,
    measure: Sequence[str] | str,
    by: Any,
    *,
    groups: Sequence[Any] | None = None,
    alpha: float = 0.05,
    design: Design | None = None,
    weights: Any = None,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> KnownGroupsResult:
    r"""Compare a measure between groups that should differ (complainers and others, loyal and lost customers).

    The measure is the mean of its items. With means :math:`m_g`, variances :math:`s_g^2` and sizes :math:`n_g`:

    * Cohen's d :math:`= (m_1 - m_2)/s_p` with the pooled :math:`s_p^2 = \sum (n_g - 1) s_g^2 / (n_1 + n_2 - 2)`;
    * Welch's :math:`t = (m_1 - m_2)/\sqrt{s_1^2/n_1 + s_2^2/n_2}`;
    * :math:`\eta^2 = \sum n_g (m_g - m)^2 / \sum (x - m)^2`.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    measure
        One item or several. Rows with a missing item are left out and counted.
    by
        Column that divides the respondents, or a label for each row.
    groups
        Which labels, in which order; default all, sorted.
    alpha
        Level of the verdicts on Welch's test; Holm's adjustment over the pairs.
    design, weights
        Of a DataFrame; a survey brings its own.
    draws, rng, kind, level
        Replicates and the kind and level of the intervals. Without draws means have Student's interval, d the exact one
        of the noncentral t.

    Returns
    -------
    KnownGroupsResult

    Raises
    ------
    DataError
        If items or labels are unusable, a group has fewer than two rows, or the measure does not vary in any group.
    SpecError
        If weights are given twice or a level is impossible.

    Notes
    -----
    Welch's test and the closed interval assume a simple random sample: with weights, strata or clusters they are NaN,
    and intervals come from draws only; the verdict then asks whether the interval of d excludes 0. With weights means,
    variances and shares of groups are weighted.

    References
    ----------
    .. [1] Cohen, J. (1988). Statistical Power Analysis for the Behavioral Sciences, 2nd ed. Erlbaum.
    .. [2] Steiger, J. H., & Fouladi, R. T. (1997). Noncentrality interval estimation and the evaluation of statistical
       models. In What if there were no significance tests? Erlbaum.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> heard = ["well handled" if c >= 8 else "badly handled" for c in survey.frame["CUSCO"]]
    >>> found = known_groups(survey, ["CUSA1", "CUSA2", "CUSA3"], heard)
    >>> found.groups["n"].to_dict(), found.pairs["verdict"].tolist()
    ({'badly handled': 138, 'well handled': 112}, ['the groups differ'])
    """
    require_level(alpha, "alpha", 0.05)
    require_interval(kind, level)
    frame = getattr(data, "frame", data)
    if not hasattr(frame, "columns"):
        raise DataError(f"need a survey or a DataFrame with rows, got {type(data).__name__}")
    design = design if design is not None else getattr(data, "design", Design())
    score, complete = _scores(frame, measure)
    require_possible(data, as_items(measure))
    names, place = group_places(frame, by, groups)
    used = complete & (place >= 0)
    w = _weights(frame, design, weights)
    counts = np.bincount(place[used], minlength=len(names))
    few = [n for n, k in zip(names, counts, strict=True) if k < 2]
    if few:
        raise DataError(f"groups with fewer than two complete rows: {few}; leave them out with groups=")
    table = _derived(frame, score, place, used, len(names), design)
    items = [c for c in table.columns if c not in design.columns]
    point = Moments.from_frame(table[items], None if w is None else w)
    _, mean, variance = group_moments(point)
    if not (variance > 1e-20 * np.maximum(mean**2, 1e-300)).any():
        raise DataError("the measure does not vary within any group; nothing can be compared")
    made = None
    if draws is not None:
        own = w if design.weights is None else None
        made = replicates(table, design, items=items, weights=own, draws=draws, rng=rng)
    simple = design.simple and w is None
    pairs, interval = _pairs(names, counts, mean, variance, made, simple, kind, level, alpha)
    eta = _eta2(point)
    found = None if made is None else made.interval(lambda m: _eta2(m)[..., None], kind=kind, level=level)
    return KnownGroupsResult(
        groups=_described(names, counts, mean, variance, _centre(score[used]), made, simple, kind, level),
        pairs=pairs,
        eta2=float(eta),
        eta2_low=float("nan") if found is None else float(found.low[0]),
        eta2_high=float("nan") if found is None else float(found.high[0]),
        dropped=int(((place >= 0) & ~complete).sum()),
        unlabelled=int((place < 0).sum()),
        level=level,
        interval=interval,
    )


def group_moments(moments: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share, mean and variance ``(..., G)`` of each group, from moments of the indicators and of indicator x measure.

    The first G items are 1 for members of a group and 0 for others, the last G are the measure for members and 0 for
    others. So the moments of any replicate hold those of every group.
    """
    g = len(moments.names) // 2
    n = np.asarray(moments.n, dtype=float)[..., None]
    share = moments.mean[..., :g]
    biased = np.diagonal(moments.cov, axis1=-2, axis2=-1)[..., g:] * (n - moments.ddof) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = moments.mean[..., g:] / share
        spread = np.maximum((biased + moments.mean[..., g:] ** 2) / share - mean**2, 0.0)
        rows = n * share
        variance = np.where(rows > 1, spread * rows / (rows - 1), np.nan)
    return share, mean, variance


def _eta2(moments: Moments) -> np.ndarray:
    share, mean, variance = group_moments(moments)
    rows = np.asarray(moments.n, dtype=float)[..., None] * share
    share = share / share.sum(axis=-1, keepdims=True)
    grand = (share * mean).sum(axis=-1, keepdims=True)
    between = (share * (mean - grand) ** 2).sum(axis=-1)
    within = (share * variance * (rows - 1) / rows).sum(axis=-1)
    return between / (between + within)


def _cohen(mean: np.ndarray, variance: np.ndarray, rows: np.ndarray, a: int, b: int) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        free = rows[..., a] + rows[..., b] - 2
        pooled = ((rows[..., a] - 1) * variance[..., a] + (rows[..., b] - 1) * variance[..., b]) / free
        return (mean[..., a] - mean[..., b]) / np.sqrt(np.where(pooled > 0, pooled, np.nan))


def _pairs(
    names: Sequence[str],
    counts: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    made: Replicates | None,
    simple: bool,
    kind: Kind,
    level: float,
    alpha: float,
) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    both = list(itertools.combinations(range(len(names)), 2))
    d = np.array([_cohen(mean, variance, counts.astype(float), a, b) for a, b in both])
    first, second = np.array(both).T
    n1, n2 = counts[first], counts[second]
    gap = mean[first] - mean[second]
    nothing = np.full(len(both), np.nan)
    t, df, p = nothing, nothing, nothing
    if simple:
        parts = variance[first] / n1, variance[second] / n2
        with np.errstate(divide="ignore", invalid="ignore"):
            t = gap / np.sqrt(parts[0] + parts[1])
            df = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / (n1 - 1) + parts[1] ** 2 / (n2 - 1))
        p = 2 * special.stdtr(df, -np.abs(t))
    if made is not None:

        def drawn(m: Moments) -> np.ndarray:
            share, means, variances = group_moments(m)
            rows = np.asarray(m.n, dtype=float)[..., None] * share
            return np.stack([_cohen(means, variances, rows, a, b) for a, b in both], axis=-1)

        found: Interval = made.interval(drawn, kind=kind, level=level)
        d, se, low, high, interval = found.estimate, found.se, found.low, found.high, str(found)
    elif simple:
        size = np.sqrt(n1 * n2 / (n1 + n2))
        se = np.sqrt(1 / size**2 + d**2 / (2 * (n1 + n2)))
        tail = (1 - level) / 2
        low = special.nctdtrinc(n1 + n2 - 2, 1 - tail, d * size) / size
        high = special.nctdtrinc(n1 + n2 - 2, tail, d * size) / size
        interval = "noncentral t"
    else:
        se = low = high = nothing
        interval = "none: the sample has weights, strata or clusters; ask for draws"
    adjusted = holm(p)
    differ = adjusted < alpha if simple else (low > 0) | (high < 0)
    known = np.isfinite(adjusted) if simple else np.isfinite(low)
    verdict = np.where(~known, "untested", np.where(differ, "the groups differ", "no difference shown"))
    index = pd.MultiIndex.from_tuples([(names[a], names[b]) for a, b in both], names=["group", "other"])
    columns = {"difference": gap, "estimate": d, "se": se, "low": low, "high": high}
    return pd.DataFrame(
        {**columns, "t": t, "df": df, "p": p, "p_holm": adjusted, "verdict": verdict}, index=index
    ), interval


def _scores(frame: pd.DataFrame, measure: Sequence[str] | str) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the items per row, and which rows have all of them."""
    items = list(as_items(measure))
    if not items:
        raise DataError("the measure has no items")
    require_columns(frame, items)
    twice = sorted({str(c) for c in items if items.count(c) > 1 or (frame.columns == c).sum() > 1})
    if twice:
        raise DataError(f"items of the measure named twice: {twice}; each counts once")
    require_numbers(frame[items])
    x = frame[items].to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(x).any():
        raise DataError(infinite_values(frame[items]))
    return x.mean(axis=1), ~np.isnan(x).any(axis=1)


def _weights(frame: pd.DataFrame, design: Design, weights: Any) -> np.ndarray | None:
    if isinstance(weights, str):
        if weights not in frame.columns:
            raise DataError(f"the weight column {weights!r} is not in the data")
        weights = frame[weights]
    if weights is not None and design.weights is not None:
        raise SpecError(f"weights are given twice: weights= and the design column {design.weights!r}")
    if design.weights is not None:
        weights = frame[design.weights]
    return None if weights is None else np.asarray(weights, dtype=float)


def _derived(
    frame: pd.DataFrame, score: np.ndarray, place: np.ndarray, used: np.ndarray, count: int, design: Design
) -> pd.DataFrame:
    """Indicators, and indicators times the centred measure; NaN for rows not used; the design's columns beside."""
    import pandas as pd

    inside = (place[:, None] == np.arange(count)).astype(float)
    columns = np.concatenate([inside, inside * np.nan_to_num(score - _centre(score[used]))[:, None]], axis=1)
    columns[~used] = np.nan
    # Names that no design column has.
    table = pd.DataFrame(columns, columns=[f"\x1f{k}" for k in range(2 * count)])
    for column in design.columns:
        table[column] = frame[column].to_numpy()
    return table


def _centre(score: np.ndarray) -> float:
    """Where the sums are taken: it changes no result but keeps their digits."""
    return float(score.mean()) if len(score) else 0.0


def _described(
    names: Sequence[str],
    counts: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    centre: float,
    made: Replicates | None,
    simple: bool,
    kind: Kind,
    level: float,
) -> pd.DataFrame:
    """Sizes, means and standard deviations of the groups, means and their ends back on the measure's own scale."""
    import pandas as pd

    table = pd.DataFrame(
        {"n": counts, "mean": mean + centre, "sd": np.sqrt(variance), "se": np.nan, "low": np.nan, "high": np.nan},
        index=pd.Index(list(names), name="group"),
    )
    if made is not None:
        found = made.interval(lambda m: group_moments(m)[1], kind=kind, level=level)
        table["se"], table["low"], table["high"] = found.se, found.low + centre, found.high + centre
    elif simple:
        table["se"] = table["sd"] / np.sqrt(counts)
        half = special.stdtrit(counts - 1, 0.5 + level / 2) * table["se"]
        table["low"], table["high"] = table["mean"] - half, table["mean"] + half
    return table
