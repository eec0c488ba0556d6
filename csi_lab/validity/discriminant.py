"""Discriminant validity: do two constructs measure two things?"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.errors import DataError, EstimationError, SpecError, listed
from csi_lab.estimates import estimate_table
from csi_lab.intervals import Kind, require_interval
from csi_lab.moments import Missing, as_moments
from csi_lab.requested import requested
from csi_lab.resampling import Replicates
from csi_lab.settings import require_level
from csi_lab.validity.measurement import as_blocks, membership, require_sample

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Ratio = Literal["htmt", "htmt2"]


@dataclass(frozen=True, eq=False)
class HTMTResult:
    """Heterotrait-monotrait ratios of all pairs of constructs.

    Attributes
    ----------
    table
        Index (construct, other): ``estimate, se, low, high`` and ``verdict``.
    ratio
        ``"htmt"`` (absolute correlations, arithmetic means) or ``"htmt2"`` (geometric means).
    cut
        A pair at or above it fails.
    undefined
        For HTMT2: pairs of constructs without a value, each with the item correlations that are negative.
    n, dropped
        Rows used, and rows left out because an item was missing.
    interval
        What the intervals are, or why there are none.
    """

    table: pd.DataFrame
    ratio: Ratio
    cut: float
    undefined: dict[tuple[str, str], tuple[str, ...]]
    n: int
    dropped: int
    interval: str

    @property
    def failing(self) -> pd.DataFrame:
        """The pairs at or above the cut-off."""
        return self.table[self.table["verdict"].str.startswith("not below")]

    def to_frame(self) -> pd.DataFrame:
        """One row per pair, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None, labels: dict[str, str] | None = None) -> Axes:
        """The ratios as bars, largest first, with the cut-off and, where there are any, intervals."""
        from csi_lab import plots

        table = self.table.dropna(subset="estimate").sort_values("estimate", ascending=False)
        labels = labels or {}
        table.index = [f"{labels.get(a, a)} - {labels.get(b, b)}" for a, b in table.index]
        columns = ["estimate", "low", "high"] if table["low"].notna().all() else ["estimate"]
        return plots.bars(table[columns], xlabel=self.ratio.upper(), decimals=2, cut=self.cut, ax=ax)

    def __str__(self) -> str:
        failing = [f"{a}-{b} ({v:.3f})" for (a, b), v in self.failing["estimate"].items()]
        judged = int(self.table["verdict"].str.contains("below").sum())
        lines = [
            f"{self.ratio.upper()}: {len(failing)} of {judged} pairs not below {self.cut:.2f}"
            + (f": {', '.join(failing)}" if failing else "")
            + f"; n = {self.n}"
            + (f", {self.dropped} rows left out (missing answers)" if self.dropped else "")
        ]
        for (a, b), items in self.undefined.items():
            lines.append(f"undefined for {a}-{b}, because items correlate negatively: {', '.join(items)}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.table.round(3).to_html()}"


def heterotrait_monotrait(
    data: Any,
    constructs: Mapping[str, Sequence[str]] | None = None,
    *,
    ratio: Ratio = "htmt",
    cut: float = 0.90,
    weights: Any = None,
    missing: Missing = "listwise",
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> HTMTResult:
    r"""HTMT (or HTMT2) of all pairs of constructs, with intervals that honour the design.

    Correlations between the items of two constructs over the geometric mean of those within: near 1, the constructs are
    not told apart. Formulas: :func:`htmt`, :func:`htmt2`.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    constructs
        Name to items; default those of the survey's model, or of the survey.
    ratio
        ``"htmt"``: absolute correlations (as seminr, semTools); ``"htmt2"``: geometric means, which do not assume equal
        loadings. HTMT2 has no value for a pair of constructs where two items correlate negatively; they are named.
    cut
        .90 for constructs that are alike in content, .85 for others (Henseler, Ringle & Sarstedt 2015).
    weights, missing
        As in :func:`csi_lab.moments.as_moments`.
    draws, rng, replicates, kind, level
        Number of replicates and seed, or replicates made before; kind and level of the intervals. With intervals the
        verdict also says when 1 lies within.

    Returns
    -------
    HTMTResult

    Raises
    ------
    DataError
        If items are absent, text or constant, an item serves two constructs, or there are fewer than two constructs.
    SpecError
        If the ratio is unknown or the cut-off not within 0..1.

    Notes
    -----
    Agrees with R seminr 2.3.4 (HTMT, tests/reference/pls/mobi_A_path.json) and cSEM 0.6.1 (HTMT2, mobi_csem.json) to
    1e-10. A pair with a single item gets a value, as there, but no verdict: nothing is known about its correlations
    within.

    References
    ----------
    .. [1] Henseler, J., Ringle, C. M., & Sarstedt, M. (2015). A new criterion for assessing discriminant validity in
       variance-based structural equation modeling. Journal of the Academy of Marketing Science, 43, 115-135.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(heterotrait_monotrait(csi.load_survey("mobile")))
    HTMT: 4 of 15 pairs not below 0.90: Image-Quality (0.929), Image-Satisfaction (0.910), Quality-Satisfaction (0.954),
    Satisfaction-Loyalty (0.957); n = 250
    """
    if ratio not in ("htmt", "htmt2"):
        raise SpecError(f"ratio={ratio!r} is unknown; use 'htmt' or 'htmt2'")
    require_level(cut, "cut", 0.9)
    require_interval(kind, level)
    blocks = _blocks(data, constructs)
    items, names = [i for block in blocks.values() for i in block], list(blocks)
    moments = as_moments(data, items, weights, missing)
    if moments.shape:
        raise EstimationError("these are several sets of moments; the table shows one survey (see htmt for arrays)")
    require_sample(moments)
    member = membership(blocks)
    function = htmt if ratio == "htmt" else htmt2
    first, second = np.triu_indices(len(names), 1)
    index = [(names[a], names[b]) for a, b in zip(first, second, strict=True)]

    made = requested(
        data, items, weights=weights, draws=draws, rng=rng, replicates=replicates, missing=missing, sample=moments
    )
    if made is not None:
        found = made.interval(lambda m: function(m.corr, member)[..., first, second], kind=kind, level=level)
        table, interval = found.to_frame(index, ["construct", "other"]), str(found)
    else:
        values = function(moments.corr, member)[first, second]
        table = estimate_table(values, index, ["construct", "other"]).assign(se=np.nan, low=np.nan, high=np.nan)
        interval = "none: ask for draws"
    undefined = _undefined(moments.corr, blocks, items, index) if ratio == "htmt2" else {}
    single = {c for c, block in blocks.items() if len(block) == 1}
    table["verdict"] = [
        _verdict(key, row, cut, single) for key, row in zip(index, table.to_dict("records"), strict=True)
    ]
    return HTMTResult(table, ratio, cut, undefined, int(moments.n), moments.dropped, interval)


def htmt(corr: np.ndarray, member: np.ndarray) -> np.ndarray:
    r"""Heterotrait-monotrait ratios of absolute correlations.

    .. math:: \text{HTMT}_{jk} = \frac{\overline{|r|}_{jk}}{\sqrt{\overline{|r|}_{jj}\,\overline{|r|}_{kk}}}

    with means over the item pairs between two blocks and within each; a single item has the mean 1 within.

    Parameters
    ----------
    corr
        Item correlations ``(..., p, p)``.
    member
        ``(p, J)``, 1 where the item belongs to the construct.

    Returns
    -------
    ndarray
        ``(..., J, J)``, symmetric, diagonal 1; NaN where a correlation is NaN or a block's items are uncorrelated.

    Examples
    --------
    >>> member = np.array([[1, 0], [1, 0], [0, 1]])
    >>> corr = np.array([[1.0, 0.64, 0.4], [0.64, 1.0, -0.4], [0.4, -0.4, 1.0]])
    >>> htmt(corr, member).round(3).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    return _ratio(np.abs(corr), np.asarray(member, dtype=float))


def htmt2(corr: np.ndarray, member: np.ndarray) -> np.ndarray:
    r"""Heterotrait-monotrait ratios of geometric means, which do not assume equal loadings [1]_.

    .. math:: \text{HTMT2}_{jk} = \frac{G_{jk}}{\sqrt{G_{jj} G_{kk}}}, \qquad
              G = \Bigl(\prod r\Bigr)^{1/\text{number of pairs}}

    Parameters and return as in :func:`htmt`, but a negative correlation leaves the geometric mean undefined: the pair
    of constructs is NaN, never the root of a product whose signs happen to cancel.

    References
    ----------
    .. [1] Roemer, E., Schuberth, F., & Henseler, J. (2021). HTMT2: an improved criterion for assessing discriminant
       validity in structural equation modeling. Industrial Management & Data Systems, 121(12), 2637-2650.

    Examples
    --------
    >>> member = np.array([[1, 0], [1, 0], [0, 1]])
    >>> corr = np.array([[1.0, 0.64, 0.4], [0.64, 1.0, 0.1], [0.4, 0.1, 1.0]])
    >>> htmt2(corr, member).round(3).tolist()
    [[1.0, 0.25], [0.25, 1.0]]
    """
    member = np.asarray(member, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(corr)  # NaN below zero, -inf at zero
    j = member.shape[-1]
    pairs = _pairs(member)
    # 0 * inf would turn one zero correlation into NaN for every pair of blocks, so zeros are counted apart.
    zero = np.isneginf(log)
    undefined = _sums(np.isnan(log).astype(float), member) > 0
    vanishing = _sums(zero.astype(float), member) > 0
    mean = _sums(np.where(np.isfinite(log), log, 0.0), member) / pairs
    geometric = np.where(undefined, np.nan, np.where(vanishing, 0.0, np.exp(mean)))
    geometric[..., range(j), range(j)] = np.where(_single(member), 1.0, geometric[..., range(j), range(j)])
    return _against_own(geometric)


def _ratio(size: np.ndarray, member: np.ndarray) -> np.ndarray:
    j = member.shape[-1]
    mean = _sums(size, member) / _pairs(member)
    if np.isnan(mean).any():
        # In a product NaN spoils every pair of blocks; only those with an undefined correlation may lose their ratio.
        undefined = _sums(np.isnan(size).astype(float), member) > 0
        mean = np.where(undefined, np.nan, _sums(np.nan_to_num(size), member) / _pairs(member))
    mean[..., range(j), range(j)] = np.where(_single(member), 1.0, mean[..., range(j), range(j)])
    return _against_own(mean)


def _against_own(mean: np.ndarray) -> np.ndarray:
    """Means between blocks over the root of the product of the means within, diagonal 1."""
    within = np.diagonal(mean, axis1=-2, axis2=-1)
    within = np.where(within > 0, within, np.nan)
    ratio = mean / np.sqrt(within[..., :, None] * within[..., None, :])
    j = range(mean.shape[-1])
    ratio[..., j, j] = 1.0
    return ratio


def _sums(values: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Sums ``(..., J, J)`` over the item pairs of two blocks; within a block without the diagonal."""
    sums = member.T @ (values @ member)
    j = range(member.shape[-1])
    sums[..., j, j] -= np.diagonal(values, axis1=-2, axis2=-1) @ member
    return sums


def _pairs(member: np.ndarray) -> np.ndarray:
    """Number of ordered item pairs behind each sum, at least 1."""
    size = member.sum(axis=0)
    return np.maximum(np.outer(size, size) - np.diag(size), 1.0)


def _single(member: np.ndarray) -> np.ndarray:
    return member.sum(axis=0) == 1


def _blocks(data: Any, constructs: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    if constructs is None:
        model = getattr(data, "model", None)
        constructs = model.constructs if model is not None else getattr(data, "constructs", None)
    blocks = as_blocks(constructs)
    problems = [f"{c!r} has no items" for c, block in blocks.items() if not block]
    homes = [i for block in blocks.values() for i in block]
    twice = sorted({str(i) for i in homes if homes.count(i) > 1})
    problems += [f"items used more than once: {twice}"] if twice else []
    problems += ["two constructs or more are needed"] if len(blocks) < 2 else []
    if problems:
        raise DataError(listed(problems, "these constructs cannot be told apart"), problems)
    return blocks


def _undefined(
    corr: np.ndarray, blocks: Mapping[str, tuple[str, ...]], items: Sequence[str], index: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Pairs of constructs without HTMT2, with the negative item correlations between or within them."""
    at = {item: k for k, item in enumerate(items)}
    out = {}
    for a, b in index:
        pairs = [(i, j) for i in blocks[a] for j in blocks[b]]
        pairs += [(i, j) for c in (a, b) for k, i in enumerate(blocks[c]) for j in blocks[c][k + 1 :]]
        negative = tuple(f"{i}-{j} ({corr[at[i], at[j]]:.2f})" for i, j in pairs if corr[at[i], at[j]] < 0)
        if negative:
            out[a, b] = negative
    return out


def _verdict(key: tuple[str, str], row: Mapping[Any, Any], cut: float, single: set[str]) -> str:
    if np.isnan(row["estimate"]):
        return "undefined"
    if single.intersection(key):
        return "single item: not judged"
    word = f"below {cut:.2f}" if row["estimate"] < cut else f"not below {cut:.2f}"
    return f"{word}, interval reaches 1" if row["high"] >= 1 else word
