"""Split-half reliability: of one split, and of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from csi_lab.answers import as_items
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.intervals import Kind
from csi_lab.moments import Missing, Moments
from csi_lab.reliability.coefficient import (
    METRICS,
    CoefficientTable,
    Metric,
    Sample,
    matrix_of,
    require_metric,
    withheld,
)
from csi_lab.reliability.composite import spearman_brown
from csi_lab.resampling import Replicates
from csi_lab.settings import generator

# Up to so many items all 2^(k-1) - 1 splits are tried (32,767); beyond, so many random halves.
MOST_ITEMS = 16
RANDOM_SPLITS = 20_000
# Values held at once when many draws meet many splits.
BLOCK_VALUES = 2_000_000
SPLITS = ("odd-even", "first-last")


def split_half(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    split: str | Sequence[str] = "odd-even",
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> CoefficientTable:
    r"""Reliability from the agreement of two halves a and b of a scale.

    The correlation r of the half sums; Spearman and Brown's :math:`2r/(1 + r)`; Guttman's (Flanagan's, Rulon's)
    :math:`2(1 - (s_a^2 + s_b^2)/s_T^2)`, which does not ask for equal variances.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    items
        The k >= 2 items, in the order of the questionnaire; default all columns.
    split
        ``"odd-even"``: items 1, 3, 5, ... against 2, 4, ...; ``"first-last"``: the first k/2 (rounded up) against the
        rest; or the items of one half.
    weights, scale, level, draws, rng, replicates, kind, missing
        As in :func:`csi_lab.reliability.cronbach_alpha`.

    Returns
    -------
    CoefficientTable
        Rows ``correlation``, ``Spearman-Brown``, ``Guttman``; column ``half`` holds the items of the first half.

    Raises
    ------
    DataError
        If items are absent, text or constant, or a half is empty or holds unknown items.
    EstimationError
        If the sum of a half does not vary.
    SpecError
        If the split is unknown.

    Notes
    -----
    Without draws, the first two rows have Fisher's interval of r (simple random sample, normal sums), taken through
    the formula; Guttman's coefficient has one with draws only. The answer depends on the split: see
    :func:`all_splits`.

    References
    ----------
    .. [1] Guttman, L. (1945). A basis for analyzing test-retest reliability. Psychometrika, 10(4), 255-282.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> split_half(survey, survey.constructs["Quality"]).table["estimate"].round(4).tolist()
    [0.697, 0.8215, 0.8086]
    """
    sample = Sample.of(
        data, items, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    sample.require_scale()
    moments = sample.moments
    first = _first_half(moments.names, split)
    if not np.isfinite(_two_halves(moments.cov, first)).all():
        halves = [
            [n for n, f in zip(moments.names, first.tolist(), strict=True) if f is side] for side in (True, False)
        ]
        raise EstimationError(f"the sum of one half does not vary: {halves[0]} against {halves[1]}; split otherwise")
    names = ["correlation", "Spearman-Brown", "Guttman"]
    table, interval = sample.estimates(lambda m: _two_halves(m.cov, first), names, "Guttman's split-half coefficient")
    if sample.replicates is None:
        interval = withheld("Fisher's interval", sample.against)
        if not sample.against:
            interval = "Fisher's interval of the correlation; none for Guttman's coefficient without draws="
            ends = fisher_interval(float(table["estimate"].iloc[0]), moments.n, level)
            for row, through in enumerate((1.0, 2.0)):
                table.iloc[row, 2:4] = [spearman_brown(end, through) for end in ends]
    half = ", ".join(name for name, f in zip(moments.names, first, strict=True) if f)
    return CoefficientTable(
        title=f"{scale}: split-half reliability, {half} against the rest",
        table=table.assign(half=half),
        interval=interval,
        level=level,
        n=moments.n,
        dropped=moments.dropped,
        remarks=sample.remarks,
    )


def all_splits(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    metric: Metric = "raw",
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> CoefficientTable:
    r"""Best, worst and mean split-half reliability over all splits of a scale.

    Each split has Guttman's coefficient :math:`4 s_{ab}/s_T^2`.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    items
        The k >= 2 items; default all columns.
    metric
        ``"raw"`` from covariances, ``"standardised"`` from correlations.
    rng
        Seed of the draws, and of the random splits beyond 16 items.
    weights, scale, level, draws, replicates, kind, missing
        As in :func:`csi_lab.reliability.cronbach_alpha`.

    Returns
    -------
    CoefficientTable
        ``best``, ``worst`` and ``mean`` of the splits into halves of k/2 items (of (k - 1)/2 and (k + 1)/2 when k is
        odd), and ``lambda4``, the best split of any sizes. Column ``half`` names the items of one half.

    Raises
    ------
    DataError
        As in :func:`csi_lab.reliability.cronbach_alpha`.
    SpecError
        If the metric is unknown.

    Notes
    -----
    Exact up to 16 items (32,767 splits). Beyond, 20,000 random halves are tried and a remark says so: best and
    lambda 4 are then a little too low, worst too high. The mean over all halves of an even number of items is alpha.
    Agrees with the exact search of ``tests/reference/reliability`` to 1e-10; R psych 2.2.9 ``splitHalf()`` looks at
    half of the splits when k is odd.

    References
    ----------
    .. [1] Revelle, W., & Zinbarg, R. (2009). Coefficients alpha, beta, omega, and the glb: comments on Sijtsma.
       Psychometrika, 74(1), 145-154.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(all_splits(csi.load_survey("mobile"), ["CUSA1", "CUSA2", "CUSA3"], scale="Satisfaction"))
    Satisfaction: all 3 splits into halves, sum of the answers, n = 250
      best 0.760, worst 0.564, mean 0.685, lambda4 0.760
      interval: none: there is no formula for the best split; draws= gives one
    """
    require_metric(metric)
    sample = Sample.of(
        data, items, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    sample.require_scale()
    moments = sample.moments
    k = len(moments.names)
    signs, even = split_signs(k, generator(rng))

    def function(m: Moments) -> np.ndarray:
        return _summary(matrix_of(m, metric), signs, even)

    table, interval = sample.estimates(function, ["best", "worst", "mean", "lambda4"], "the best split")
    values = split_values(matrix_of(moments, metric), signs)
    halves = np.flatnonzero(even)
    at = [halves[values[halves].argmax()], halves[values[halves].argmin()], None, values.argmax()]
    names = np.array(moments.names)
    table["half"] = ["" if i is None else ", ".join(names[signs[i] > 0]) for i in at]
    exact = k <= MOST_ITEMS
    count = f"all {len(halves):,} splits" if exact else f"{len(halves):,} random splits"
    return CoefficientTable(
        title=f"{scale}: {count} into halves, {METRICS[metric]}",
        table=table,
        interval=interval,
        level=level,
        n=moments.n,
        dropped=moments.dropped,
        remarks=sample.remarks if exact else (random_remark(k), *sample.remarks),
    )


def random_remark(k: int) -> str:
    """What a reader must know where not all splits were tried."""
    return (
        f"{k} items have too many splits to try all: {RANDOM_SPLITS:,} random halves were tried, so best and lambda4 "
        "may be too low"
    )


def split_signs(k: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Splits as rows of 1 and -1 ``(m, k)``, the first item always 1, and which of them are halves."""
    if k <= MOST_ITEMS:
        # All subsets of the other items but the full one, which would leave the second part empty.
        bits = np.arange(2 ** (k - 1) - 1)[:, None] >> np.arange(k - 1) & 1
        signs = np.concatenate([np.ones((len(bits), 1)), 2.0 * bits - 1], axis=1)
        return signs, np.abs(signs.sum(axis=1)) <= 1
    order = np.argsort(rng.random((RANDOM_SPLITS, k)), axis=1)
    signs = np.where(order < k // 2, 1.0, -1.0)
    return signs * signs[:, :1], np.ones(RANDOM_SPLITS, dtype=bool)


def split_values(cov: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Guttman's coefficient of each split ``(..., m)``: with signs u it is 1 - u'Vu / 1'V1."""
    k = cov.shape[-1]
    first, second = np.triu_indices(k, 1)
    between = cov[..., first, second] @ (signs[:, first] * signs[:, second]).T
    own = np.trace(cov, axis1=-2, axis2=-1)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - (own + 2 * between) / cov.sum(axis=(-2, -1))[..., None]


def best_split(cov: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Lambda 4 ``(...)``."""
    return _in_blocks(cov, signs, lambda values: values.max(axis=-1, keepdims=True))[..., 0]


def _summary(cov: np.ndarray, signs: np.ndarray, even: np.ndarray) -> np.ndarray:
    """Best, worst and mean of the halves, and best of all splits ``(..., 4)``."""

    def of(values: np.ndarray) -> np.ndarray:
        halves = values[..., even]
        parts = [halves.max(axis=-1), halves.min(axis=-1), halves.mean(axis=-1), values.max(axis=-1)]
        return np.stack(parts, axis=-1)

    return _in_blocks(cov, signs, of)


def _in_blocks(cov: np.ndarray, signs: np.ndarray, function: Any) -> np.ndarray:
    """A summary of the splits of every matrix, a few matrices at a time so that memory stays small."""
    flat = cov.reshape(-1, *cov.shape[-2:])
    size = max(1, BLOCK_VALUES // len(signs))
    parts = [function(split_values(flat[at : at + size], signs)) for at in range(0, len(flat), size)]
    out = np.concatenate(parts)
    return out.reshape(*cov.shape[:-2], out.shape[-1])


def _first_half(names: Sequence[str], split: str | Sequence[str]) -> np.ndarray:
    """Which items form the first half."""
    k = len(names)
    if isinstance(split, str) and split in SPLITS:
        return np.arange(k) % 2 == 0 if split == "odd-even" else np.arange(k) < (k + 1) // 2
    if isinstance(split, str) and split not in names:
        raise SpecError(f"split={split!r} is unknown; use one of {list(SPLITS)} or the items of one half")
    chosen = [str(item) for item in as_items(split)]
    unknown = [c for c in chosen if c not in names]
    if unknown:
        raise DataError(f"items of the half that are not in the scale: {unknown}; the scale holds {list(names)}")
    if not chosen or len(set(chosen)) == k:
        raise DataError(f"a half must hold some but not all of the items {list(names)}; got {chosen}")
    return np.isin(names, chosen)


def _two_halves(cov: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Correlation, Spearman-Brown and Guttman ``(..., 3)``; NaN where a half does not vary."""
    a, b = first.astype(float), (~first).astype(float)
    va, vb, cab = ((cov @ y) @ x for x, y in ((a, a), (b, b), (a, b)))
    own = np.trace(cov, axis1=-2, axis2=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where((va > 1e-12 * own) & (vb > 1e-12 * own), cab / np.sqrt(va * vb), np.nan)
        guttman = 4 * cab / (va + vb + 2 * cab)
    return np.stack([r, spearman_brown(r), np.where(np.isnan(r), np.nan, guttman)], axis=-1)


def fisher_interval(r: float, n: int, level: float) -> tuple[float, float]:
    """Fisher's interval of a correlation; NaN below four rows."""
    if n < 4 or abs(r) >= 1:
        return float("nan"), float("nan")
    half = float(special.ndtri(0.5 + level / 2)) / np.sqrt(n - 3)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))
