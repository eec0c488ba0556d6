"""Design-based errors of any function of moments: alpha, path coefficients, the index, whatever comes next."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from csi_lab.design import Design
from csi_lab.errors import CsiLabWarning, EstimationError, SpecError
from csi_lab.moments import Moments
from csi_lab.sampling.estimate.collecting import only, roots
from csi_lab.sampling.estimate.limits import critical
from csi_lab.sampling.estimate.respondents import Degrees, Gaps, Respondents
from csi_lab.sampling.estimate.results import COLUMNS, Estimate, Estimates
from csi_lab.sampling.estimate.stage_variance import Lonely
from csi_lab.settings import require_level

# Rows whose products are held at once, and cells of neighbouring covariance matrices.
ROWS_AT_ONCE = 2_048
CELLS_AT_ONCE = 4_000_000
# Doubts about the derivative beyond this share of the standard error point to a function without one.
ROUGH = 0.01


def of(
    data: Any,
    function: Callable[[Moments], np.ndarray],
    design: Design | None = None,
    *,
    items: Sequence[str] | None = None,
    names: Sequence[Any] | pd.Index | None = None,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "listwise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
    step: float = 1e-3,
) -> Estimate | Estimates:
    r"""Estimate, standard error and interval of any smooth function of the moments of the answers.

    A function of moments is a function :math:`\theta(T)` of the q = 1 + p + p(p + 1)/2 weighted sums
    :math:`T = \sum w_k a_k` of :math:`a_k = (1, x_k - \bar x, (x_k - \bar x)(x_k - \bar x)')`. Its influence values are

    .. math:: z_k = \frac{\partial\theta}{\partial T} a_k

    and the variance follows from their totals in the sampling units, as for a mean. The derivative comes from
    differences of the function at 4q neighbouring sets of sums, many in one call.

    Parameters
    ----------
    data, design, weights, level, lonely, df
        As in :func:`csi_lab.sampling.estimate.mean`.
    function
        Takes :class:`~csi_lab.moments.Moments` with leading axes and returns ``(...)`` or ``(..., k...)`` over them, as
        for :meth:`csi_lab.resampling.Replicates.interval`. An iterative function needs a tight tolerance (1e-12).
    items
        The items; default those of the survey, or all columns that are not design columns.
    names
        Labels of the k quantities.
    missing
        ``"listwise"`` leaves rows with a missing item out (their sampling units stay in the design); ``"raise"``
        refuses them.
    step
        Step of the differences, in standard deviations of the items. The error of the derivative is of the order
        ``step**4``; that of an iterative function its tolerance over ``step``.

    Returns
    -------
    Estimate or Estimates
        A single estimate when the function returns one number; else a table with covariances. ``influence`` of a table
        holds :math:`z_k`, ``(rows, k)``, zero in rows left out. There are no design effects.

    Raises
    ------
    DataError
        If columns or weights are unusable.
    EstimationError
        If the function has no value, or none near by.
    SpecError
        If the function does not follow the leading axes, or the step is not between 0 and 0.1.

    Warns
    -----
    CsiLabWarning
        If the slope changes with the step, or differs between both sides, by more than 1 %: there is a kink here, and
        replicates (:func:`csi_lab.replicates`) serve better.

    Notes
    -----
    For a simple random sample this is the infinitesimal jackknife: alpha agrees with the asymptotically
    distribution-free formula. The number of rows enters only through n/(n - 1), which is held fixed.

    References
    ----------
    .. [1] Binder, D. A. (1983). International Statistical Review, 51, 279-292.
    .. [2] Deville, J.-C. (1999). Variance estimation for complex statistics and estimators: linearization and residual
       techniques. Survey Methodology, 25, 193-203.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> print(of(survey, lambda m: m.corr[..., 0, 1], items=["CUSA1", "CUSA2"], names=["r"]))
    function of r: 0.5392, se 0.04669, 95% CI [0.4472, 0.6312] (t, 249 df), n = 250
    """
    require_level(level)
    if not isinstance(step, (int, float)) or not 0 < step <= 0.1:
        raise SpecError(f"step={step!r} must lie between 0 and 0.1 standard deviations")
    if not callable(function):
        raise SpecError(f"function={function!r} must be callable: it takes moments and returns numbers")
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    values = people.values(_items(data, people, items))
    rows, notes = people.counted({name: np.isnan(x) for name, x in values.items()}, missing)
    at = _Sums.of(tuple(values), np.column_stack([x[rows] for x in values.values()]), people.weights[rows])
    theta = np.asarray(function(at.moments), dtype=float)
    if not np.isfinite(theta).all():
        raise EstimationError(f"the function has no value on these data for {int((~np.isfinite(theta)).sum())} numbers")
    slope, doubt = _derivative(function, at, theta, step)
    both = np.concatenate([slope, doubt], axis=1)
    influence = np.zeros((len(people.weights), theta.size))
    rough = np.zeros(2 * theta.size)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        z = at.contributions(np.column_stack([x[part] for x in values.values()])) @ both
        influence[part] = z[:, : theta.size]
        rough += ((z[:, theta.size :] * people.weights[part, None]) ** 2).sum(axis=0)
    sums = people.sums([], rows)
    covariance = _covariance(people, influence)
    error = roots(covariance)
    labels = _labels(names, theta)
    df_ = sums.df
    half = float(critical(df_, level)) * error
    flat = theta.ravel()
    none = np.full(len(flat), np.nan)
    notes = (*notes, *people.said_of_degrees([rows]))
    parts = (flat, error, flat - half, flat + half, df_, none, none, sums.kish, sums.n)
    table = pd.DataFrame(dict(zip(COLUMNS, parts, strict=True)), index=labels)
    # As if rows were drawn one by one: enough to see whether the doubts matter.
    spread = np.sqrt(((influence * people.weights[:, None]) ** 2).sum(axis=0))
    kinks = np.sqrt(rough.reshape(2, -1)).max(axis=0) > ROUGH * spread + 1e-9 * np.abs(flat)
    if kinks.any():
        named = [str(label) for label in labels[kinks]]
        message = f"not smooth near the estimate, standard errors are unreliable: {named}; use replicates"
        warnings.warn(message, CsiLabWarning, stacklevel=2)
        notes = (*notes, message)
    found = Estimates(
        "function of moments",
        table,
        pd.DataFrame(covariance, index=labels, columns=labels),
        level,
        "t",
        (*people.notes, *notes),
        influence,
        df_,
    )
    return only(found, "function", str(labels[0]) if names is not None else "moments") if not theta.shape else found


@dataclass(frozen=True, eq=False)
class _Sums:
    """Weighted sums about the mean, in units of the standard deviations, per unit of weight."""

    names: tuple[str, ...]
    n: int
    weight: float
    mean: np.ndarray
    scale: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, names: tuple[str, ...], x: np.ndarray, w: np.ndarray) -> _Sums:
        weight = float(w.sum())
        mean = w @ x / weight
        centred = x - mean
        products = (centred * w[:, None]).T @ centred / weight
        sd = np.sqrt(np.diagonal(products))
        scale = np.where(sd > 1e-10 * np.abs(mean), sd, 1.0)
        return cls(names, len(x), weight, mean, scale, products / np.outer(scale, scale))

    @property
    def size(self) -> int:
        """Number q of sums."""
        p = len(self.names)
        return 1 + p + p * (p + 1) // 2

    @property
    def moments(self) -> Moments:
        p = len(self.names)
        return self.at(np.ones(()), np.zeros(p), self.products)

    def at(self, weight: np.ndarray, sums: np.ndarray, products: np.ndarray) -> Moments:
        """Moments of such sums, in the units of the items."""
        total = self.weight * weight
        return Moments(
            self.names,
            self.n if not np.shape(weight) else np.full(np.shape(weight), self.n),
            float(total) if not np.shape(weight) else total,
            self.mean,
            self.weight * sums * self.scale,
            self.weight * products * np.outer(self.scale, self.scale),
            weighted=True,
        )

    def near(self, which: np.ndarray, steps: np.ndarray) -> Moments:
        """Moments of b neighbours ``(b,)``, each with one of the q sums moved by a step."""
        p, rows = len(self.names), np.arange(len(which))
        weight = np.where(which == 0, 1 + steps, 1.0)
        sums = np.zeros((len(which), p))
        one = (which > 0) & (which <= p)
        sums[rows[one], which[one] - 1] = steps[one]
        products = np.broadcast_to(self.products, (len(which), p, p)).copy()
        two = which > p
        first, second = (pair[which[two] - 1 - p] for pair in np.triu_indices(p))
        products[rows[two], first, second] += steps[two]
        apart = first != second
        products[rows[two][apart], second[apart], first[apart]] += steps[two][apart]
        return self.at(weight, sums, products)

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """What each row adds to the q sums per unit of its weight ``(r, q)``, over the sum of weights."""
        u = (x - self.mean) / self.scale
        first, second = np.triu_indices(len(self.names))
        return np.concatenate([np.ones((len(u), 1)), u, u[:, first] * u[:, second]], axis=1) / self.weight


def _derivative(
    function: Callable[[Moments], np.ndarray], at: _Sums, theta: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives by the sums ``(q, k)``, and what casts doubt on them ``(q, 2k)``: their change with the step, and the
    jump between the slopes of both sides."""
    steps = step * np.array([1.0, -1.0, 2.0, -2.0])
    which, moves = np.tile(np.arange(at.size), len(steps)), np.repeat(steps, at.size)
    block = max(1, CELLS_AT_ONCE // len(at.names) ** 2)
    parts = []
    for start in range(0, len(which), block):
        near_by = slice(start, start + block)
        part = np.asarray(function(at.near(which[near_by], moves[near_by])), dtype=float)
        expected = (len(which[near_by]), *theta.shape)
        if part.shape != expected:
            raise SpecError(
                f"the function returned shape {part.shape} for {expected[0]} sets of moments, {theta.shape} for one; "
                "it must follow the leading axes, e.g. m.corr[..., 0, 1] and not m.corr[0, 1]"
            )
        parts.append(part)
    found = np.concatenate(parts)
    if not np.isfinite(found).all():
        without = int((~np.isfinite(found)).any(axis=tuple(range(1, found.ndim))).sum())
        raise EstimationError(
            f"the function has no value in {without} of {len(found)} samples near by; try a smaller step, or replicates"
        )
    up, down, far_up, far_down = found.reshape(4, at.size, -1)
    near, far = (up - down) / (2 * step), (far_up - far_down) / (4 * step)
    # Where the function is smooth, the bend over a double step is twice as large; at a kink it is the same.
    here = theta.ravel()
    jump = (up + down - 2 * here) / step - (far_up + far_down - 2 * here) / (4 * step)
    return (4 * near - far) / 3, np.concatenate([near - far, jump], axis=1)


def _covariance(people: Respondents, z: np.ndarray) -> np.ndarray:
    """Covariance of estimates with influence values ``(n, k)``."""
    parts = z * people.weights[:, None] if people.adjusted is None else people.adjusted.contributions(z)
    nested = people.nested
    if nested.last == len(z):
        return nested.covariance(nested.unit, parts, people.lonely)
    there = np.flatnonzero((parts != 0).any(axis=1) | (people.weights > 0))
    codes, place = np.unique(nested.unit[there], return_inverse=True)
    into = sparse.csc_array((np.ones(len(there)), place, np.arange(len(there) + 1)), shape=(len(codes), len(there)))
    return nested.covariance(codes, into @ parts[there], people.lonely)


def _items(data: Any, people: Respondents, items: Sequence[str] | None) -> list[str]:
    if items is not None:
        return [items] if isinstance(items, str) else list(items)
    if people.frame is not data:
        return list(data.items)
    return [c for c in people.frame.columns if c not in people.design.columns]


def _labels(names: Sequence[Any] | pd.Index | None, theta: np.ndarray) -> pd.Index:
    if names is None:
        if theta.ndim > 1:
            return pd.MultiIndex.from_product([range(k) for k in theta.shape])
        return pd.RangeIndex(theta.size, name="quantity")
    labels = names if isinstance(names, pd.Index) else pd.Index(list(names), name="quantity")
    if len(labels) != theta.size:
        raise SpecError(f"{len(labels)} names for {theta.size} quantities")
    return labels
