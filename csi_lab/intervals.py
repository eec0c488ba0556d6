"""Standard errors and intervals of any estimate from its values on replicates of the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from csi_lab.errors import SpecError
from csi_lab.estimates import estimate_table
from csi_lab.percent import percent
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["percentile", "normal", "bc", "bca", "studentised"]
KINDS = ("percentile", "normal", "bc", "bca", "studentised")


@dataclass(frozen=True, eq=False)
class Interval:
    """Estimates with standard errors and intervals.

    Attributes
    ----------
    estimate, se, low, high
        Arrays ``(k,)`` (or of the shape the estimator returns).
    failed
        Draws left out per quantity because the estimator had no value there.
    draws
        Draws made.
    kind, level
        Of the interval.
    units_lost
        Units per quantity without which it has no value, so that the acceleration of BCa does not know them.
    """

    estimate: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    failed: np.ndarray
    draws: int
    kind: Kind
    level: float
    units_lost: np.ndarray | int = 0

    def to_frame(self, index: Sequence[object], names: Sequence[str]) -> pd.DataFrame:
        """Columns ``estimate, se, low, high``; rows as in :func:`csi_lab.estimates.estimate_table`."""
        table = estimate_table(np.ravel(self.estimate), index, names)
        return table.assign(se=np.ravel(self.se), low=np.ravel(self.low), high=np.ravel(self.high))

    def __str__(self) -> str:
        worst = int(np.max(self.failed, initial=0))
        without = f"; up to {worst} draws without a value left out" if worst else ""
        lost = int(np.max(self.units_lost, initial=0))
        apart = f"; up to {lost} units without which there is no value left out of the acceleration" if lost else ""
        none = int((np.isfinite(self.estimate) & ~np.isfinite(self.low)).sum())
        empty = f"; {none} estimates without an interval" if none else ""
        return f"{self.kind} intervals at {percent(self.level)} from {self.draws} draws{without}{apart}{empty}"

    __repr__ = __str__


def require_interval(kind: Any, level: Any, scale: np.ndarray | None = None) -> None:
    """Refuse an unknown kind of interval, one that jackknife replicates do not have, or a level that is none.

    Parameters
    ----------
    kind, level, scale
        As in :func:`interval`.

    Raises
    ------
    SpecError
        With what is possible.

    Examples
    --------
    >>> require_interval("bc", 0.9)
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise SpecError(f"kind={kind!r} is unknown; use one of {list(KINDS)}")
    require_level(level)
    if scale is not None and kind != "normal":
        raise SpecError(f"jackknife replicates have no {kind} interval; use kind='normal', or a bootstrap method")


def interval(
    estimate: np.ndarray,
    draws: np.ndarray,
    *,
    kind: Kind = "percentile",
    level: float = 0.95,
    df: float = np.inf,
    scale: np.ndarray | None = None,
    jackknife: np.ndarray | None = None,
    se: tuple[np.ndarray, np.ndarray] | None = None,
) -> Interval:
    r"""Interval of each quantity from its draws.

    With :math:`\hat\theta` the estimate and :math:`\theta_r` its draws, R of them:

    * standard error: the standard deviation of the draws (denominator R - 1); for a jackknife
      :math:`\sqrt{\sum_r c_r (\theta_r - \hat\theta)^2}` with its factors c;
    * ``"percentile"``: quantiles of the draws; ``"normal"``: :math:`\hat\theta \pm t_{df} se`;
    * ``"bc"``: quantiles at :math:`\Phi(2 z_0 \pm z)` where :math:`z_0` is the normal quantile of the share of draws
      below the estimate; ``"bca"``: at :math:`\Phi(z_0 + (z_0 \pm z)/(1 - a(z_0 \pm z)))` with the acceleration a from
      the skewness of the jackknife values;
    * ``"studentised"``: quantiles of :math:`(\theta_r - \hat\theta)/se_r`, turned round.

    Parameters
    ----------
    estimate
        ``(k...)`` values on the whole sample.
    draws
        ``(R, k...)`` values on the replicates; NaN or infinite where there is none: such draws are left out
        and counted.
    kind, level
        Of the interval.
    df
        Degrees of freedom of the design (PSUs minus strata).
    scale
        Factors ``(R,)`` when the draws are those of a jackknife; only ``"normal"`` intervals are then possible.
    jackknife
        ``(U, k...)`` values with each unit left out in turn, for ``"bca"``; those of a sample with strata as
        :meth:`csi_lab.resampling.Replicates.influence` gives them. NaN are left out and counted.
    se
        Standard errors of the estimate ``(k...)`` and of the draws ``(R, k...)``, for ``"studentised"``.

    Raises
    ------
    SpecError
        If the kind is unknown or does not fit the draws, the level is not between 0 and 1, or the draws have another
        shape than the estimate.

    References
    ----------
    .. [1] Efron, B., & Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman & Hall, ch. 12-14.

    Examples
    --------
    >>> draws = np.linspace(0, 1, 1001)
    >>> found = interval(np.array(0.5), draws)
    >>> [round(float(x), 3) for x in (found.low, found.high)]
    [0.025, 0.975]
    """
    require_interval(kind, level, scale)
    if kind == "bca" and jackknife is None:
        raise SpecError("kind='bca' needs jackknife values for its acceleration; use kind='bc' without them")
    if kind == "studentised" and se is None:
        raise SpecError("kind='studentised' needs a standard error of every draw; use another kind where there is none")
    estimate, draws = np.asarray(estimate, dtype=float), np.asarray(draws, dtype=float)
    if draws.shape[1:] != estimate.shape or not draws.ndim:
        raise SpecError(
            f"the estimate has shape {estimate.shape}, its draws {draws.shape}: draws need one leading axis more. A "
            "function of moments must keep their leading axes, as m.mean[..., 0] does and m.mean[0] does not"
        )
    known = np.isfinite(draws)
    draws = np.where(known, draws, np.nan)
    failed = (~known).sum(axis=0)
    error = _standard_error(estimate, draws, known, scale)
    tail = (1 - level) / 2
    ends: tuple[Any, Any]
    if kind == "normal":
        t = special.stdtrit(df, 1 - tail) if np.isfinite(df) else special.ndtri(1 - tail)
        ends = estimate - t * error, estimate + t * error
    elif kind == "percentile":
        ends = _quantile(draws, np.full(estimate.shape, tail)), _quantile(draws, np.full(estimate.shape, 1 - tail))
    elif kind == "studentised":
        assert se is not None
        whole, each = se
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (draws - estimate) / each
        # A draw without a standard error has no studentised value.
        ratio = np.where(np.isfinite(ratio), ratio, np.nan)
        failed = np.isnan(ratio).sum(axis=0)
        upper = _quantile(ratio, np.full(estimate.shape, 1 - tail))
        ends = estimate - upper * whole, estimate - _quantile(ratio, np.full(estimate.shape, tail)) * whole
    else:
        acceleration = _acceleration(jackknife) if kind == "bca" and jackknife is not None else np.zeros(estimate.shape)
        shares = _corrected_shares(estimate, draws, known, acceleration, tail)
        ends = _quantile(draws, shares[0]), _quantile(draws, shares[1])
    none = ~np.isfinite(estimate)
    low, high = (np.where(none, np.nan, end) for end in ends)
    lost = 0 if kind != "bca" or jackknife is None else (~np.isfinite(jackknife)).sum(axis=0)
    return Interval(estimate, np.where(none, np.nan, error), low, high, failed, len(draws), kind, level, lost)


def _standard_error(estimate: np.ndarray, draws: np.ndarray, known: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    if scale is not None:
        factors = scale.reshape(-1, *(1,) * estimate.ndim)
        # A jackknife with a missing replicate has no variance: leaving it out would make the error too small.
        return np.sqrt((factors * (draws - estimate) ** 2).sum(axis=0))
    count = known.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, draws, 0).sum(axis=0) / count
        return np.sqrt((np.where(known, draws - mean, 0) ** 2).sum(axis=0) / (count - 1))


def _quantile(draws: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Quantile of each column at its own share, linear interpolation, NaN left out."""
    ordered = np.sort(draws, axis=0)  # NaN come last
    count = np.isfinite(draws).sum(axis=0)
    with np.errstate(invalid="ignore"):
        at = share * (count - 1)
    usable = np.isfinite(at) & (count > 1)
    at = np.where(usable, at, 0)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    first = np.take_along_axis(ordered, below[None], axis=0)[0]
    second = np.take_along_axis(ordered, above[None], axis=0)[0]
    return np.where(usable, first + (at - below) * (second - first), np.nan)


def _corrected_shares(
    estimate: np.ndarray, draws: np.ndarray, known: np.ndarray, acceleration: np.ndarray, tail: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where to cut for bias-corrected intervals; NaN when all draws lie on one side of the estimate."""
    with np.errstate(divide="ignore", invalid="ignore"):
        below = ((draws < estimate) & known).sum(axis=0) + 0.5 * ((draws == estimate) & known).sum(axis=0)
        z0 = special.ndtri(below / known.sum(axis=0))
        z0 = np.where(np.isfinite(z0), z0, np.nan)

        def at(z: float) -> np.ndarray:
            return special.ndtr(z0 + (z0 + z) / (1 - acceleration * (z0 + z)))

        z = float(special.ndtri(1 - tail))
        return at(-z), at(z)


def _acceleration(jackknife: np.ndarray) -> np.ndarray:
    """Efron's acceleration: the skewness of the jackknife influence, divided by six."""
    known = np.isfinite(jackknife)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(known, jackknife, 0.0).sum(axis=0) / known.sum(axis=0)
        gap = np.where(known, mean - jackknife, 0.0)
        value = (gap**3).sum(axis=0) / (6 * (gap**2).sum(axis=0) ** 1.5)
    # Without any spread there is nothing to accelerate.
    return np.where((gap == 0).all(axis=0), 0.0, value)
