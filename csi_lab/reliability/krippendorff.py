"""Krippendorff's alpha: agreement of any number of raters at any level of measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.intervals import Kind
from csi_lab.reliability.agreement import AgreementResult, Settings, agreement_of
from csi_lab.reliability.ratings import Ratings

Metric = Literal["nominal", "ordinal", "interval", "ratio"]
METRICS = ("nominal", "ordinal", "interval", "ratio")


def krippendorff_alpha(
    ratings: Any,
    raters: Sequence[str] | None = None,
    *,
    metric: Metric = "nominal",
    categories: Sequence[Any] | None = None,
    design: Design | None = None,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> AgreementResult:
    r"""Krippendorff's alpha: any number of raters, any level of measurement, gaps allowed.

    .. math:: \alpha = 1 - \frac{D_o}{D_e}, \qquad D_o = \frac{1}{n} \sum o_{ck} \delta_{ck}^2, \quad
       D_e = \frac{1}{n(n-1)} \sum n_c n_k \delta_{ck}^2

    over coincidences :math:`o_{ck}` of values within units, their sums :math:`n_c` and n. The difference
    :math:`\delta^2` is 1 for unlike values (nominal), the square of the distance (interval), of the distance over the
    sum (ratio), or of the number of values between, :math:`\sum_{g=c}^k n_g - (n_c + n_k)/2` (ordinal).

    Parameters
    ----------
    ratings, raters, categories, design, draws, rng, kind, level
        As in :func:`fleiss_kappa`.
    metric
        Level of measurement. Labels are nominal, or ordinal when ``categories`` gives their order.

    Returns
    -------
    AgreementResult
        ``observed`` and ``expected`` are disagreements.

    Raises
    ------
    DataError
        If the ratings are unusable, or too poor for the metric (labels; numbers below zero for ratio).
    EstimationError
        If fewer than two units have two ratings, or all ratings are equal.
    SpecError
        If the metric is unknown, or labels have no order.

    Notes
    -----
    Units with fewer than two ratings are left out. The standard error is linearised over units, the interval Student's;
    small studies are better served by ``draws``. Agrees with the published example of four observers and twelve units
    (nominal .743, ordinal .815, interval .849, ratio .797).

    References
    ----------
    .. [1] Krippendorff, K. (2011). Computing Krippendorff's alpha-reliability. University of Pennsylvania.
    .. [2] Hayes, A. F., & Krippendorff, K. (2007). Answering the call for a standard reliability measure for coding
       data. Communication Methods and Measures, 1(1), 77-89.

    Examples
    --------
    >>> import pandas as pd
    >>> coders = pd.DataFrame({"A": [1, 2, 3, 3, 2, None], "B": [1, 2, 3, 2, 2, 1], "C": [1, 2, 3, 3, None, 1]})
    >>> round(krippendorff_alpha(coders, metric="ordinal").value, 3)
    0.906
    """
    if metric not in METRICS:
        raise SpecError(f"metric={metric!r} is unknown; use one of {list(METRICS)}")
    read = Ratings.of(ratings, raters, categories, design)
    values = read.numbers
    if values is None and metric in ("interval", "ratio"):
        raise DataError(f"labels such as {read.categories[0]!r} have no distances; use metric='nominal' or 'ordinal'")
    if values is None and metric == "ordinal" and categories is None:
        raise SpecError("the order of the labels is not known; give categories= from lowest to highest")
    if metric == "ratio" and values is not None and (values < 0).any():
        raise DataError("ratio differences need values of 0 or more")
    counts = read.counts
    rated = counts.sum(axis=1)
    paired = rated >= 2
    n, q = counts[paired], len(read.categories)
    units = int(paired.sum())
    upper = np.triu_indices(q)
    # Only the upper half: with many units the coincidences are what takes memory.
    pairs = np.multiply(n[:, upper[0]], n[:, upper[1]], dtype=float)
    pairs[:, upper[0] == upper[1]] -= n
    pairs /= (rated[paired] - 1)[:, None]

    def statistic(mean: np.ndarray) -> np.ndarray:
        together = np.zeros((*mean.shape[:-1], q, q), dtype=mean.dtype)
        together[..., upper[0], upper[1]] = mean
        together[..., upper[1], upper[0]] = mean
        totals = together.sum(axis=-1)
        n_values = totals.sum(axis=-1)
        delta = _differences(totals, metric, values)
        observed = (together * delta).sum(axis=(-2, -1)) / n_values
        crossed = (totals[..., :, None] * totals[..., None, :] * delta).sum(axis=(-2, -1))
        # Sums per unit become sums over all units, so that n - 1 is what it is in the formula.
        expected = crossed / (n_values * (n_values - 1 / max(units, 1)))
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(expected.real > 1e-15, 1 - observed / expected, np.nan)
        return np.stack([value, observed, expected], axis=-1)

    total = n.sum(axis=0)
    return agreement_of(
        read,
        paired,
        pairs,
        statistic,
        Settings(draws, rng, kind, level),
        coefficient="Krippendorff's alpha",
        definition=f"{metric} disagreement",
        formula=("linearised over units, Student's t", 1, True),
        shares={"share": total / max(total.sum(), 1)},
    )


def _differences(totals: np.ndarray, metric: Metric, values: np.ndarray | None) -> np.ndarray:
    """Krippendorff's squared differences ``(..., q, q)`` between categories that occur ``totals (..., q)`` times."""
    q = totals.shape[-1]
    if metric == "nominal":
        return 1 - np.eye(q)
    if metric == "ordinal":
        # Up to the middle of each category: the difference of two middles is the number of values between.
        middle = totals.cumsum(axis=-1) - totals / 2
        return (middle[..., :, None] - middle[..., None, :]) ** 2
    assert values is not None
    distance = values[:, None] - values
    if metric == "interval":
        return distance**2
    total = values[:, None] + values
    return np.where(total > 0, distance / np.where(total > 0, total, 1), 0) ** 2
