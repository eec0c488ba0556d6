"""Weights that reproduce known totals of numeric columns and counts of categories: calibration by a distance."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_columns
from csi_lab.errors import CsiLabWarning, DataError, EstimationError, SpecError, listed
from csi_lab.sampling.margins import Margin, numbers_in, outcome_table, read_margins, row_labels
from csi_lab.sampling.matching import frame_of
from csi_lab.sampling.weight.adjustment import AdjustedWeights, as_adjusted
from csi_lab.sampling.weight.adjustment_step import Step
from csi_lab.sampling.weight.calibration import DISTANCES, Distance, Ratio, independent, narrowest_bounds, solve
from csi_lab.settings import require_level, require_whole

if TYPE_CHECKING:
    import pandas as pd

Bounds = tuple[float, float]


def calibrate(
    frame: Any,
    weights: Any,
    totals: Mapping[Any, Any],
    *,
    distance: Distance = "linear",
    bounds: Bounds | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 100,
) -> AdjustedWeights:
    r"""Calibration to totals of numeric and categorical columns; the linear distance gives the GREG estimator.

    Weights :math:`w_k = d_k F(x_k'\lambda)` with :math:`\sum w_k x_k = T_x`; linear, without bounds:

    .. math:: w_k = d_k \left(1 + (T_x - \hat T_x)' \left(\sum d x x'\right)^{-1} x_k\right)

    Parameters
    ----------
    frame, weights
        As in :func:`post_stratify`.
    totals
        Numeric column to its population total; categorical column (or tuple of crossed columns) to counts per
        category. ``{"region": {"N": 300, "S": 700}, "income": 2.1e6}``.
    distance
        ``"linear"``, ``"raking"`` (ratios stay positive) or ``"logit"`` (ratios stay inside the bounds).
    bounds
        Lowest and highest ratio of final to base weight, low < 1 < high; needed for ``"logit"``. The linear and the
        raking distance are cut at them.
    tolerance
        Largest error of a total, as a share of sum d \|x\|.
    max_iterations
        Newton steps.

    Returns
    -------
    AdjustedWeights

    Raises
    ------
    SpecError
        If totals contradict each other, or distance or bounds are impossible.
    DataError
        If totals do not fit the sample, or values are missing or text.
    EstimationError
        If no weights are found that meet the totals and the bounds; the narrowest bounds that can are named.

    Warns
    -----
    CsiLabWarning
        If weights are negative (linear distance).

    Notes
    -----
    Without a categorical column nothing fixes the sum of the weights; a column of ones does. Agrees with
    ``survey::calibrate``: see ``tests/reference/survey/calibration.R``.

    References
    ----------
    .. [1] Deville, J.-C., & Särndal, C.-E. (1992). Journal of the American Statistical Association, 87, 376-382.
    .. [2] Särndal, C.-E., Swensson, B., & Wretman, J. (1992). Model Assisted Survey Sampling. Springer, ch. 6.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"sex": list("ffmm"), "spend": [1.0, 3.0, 2.0, 6.0], "w": 10.0})
    >>> calibrated = calibrate(frame, "w", {"sex": {"f": 22, "m": 18}, "spend": 118})
    >>> calibrated.values.round(6).tolist()
    [10.8, 11.2, 8.6, 9.4]
    >>> round(float(calibrated.values @ frame["spend"]), 6)
    118.0
    """
    before, frame = as_adjusted(frame, weights), frame_of(frame)
    check_options(tolerance, max_iterations)
    ratio = ratio_of(distance, bounds)
    if not isinstance(totals, Mapping) or not totals:
        raise SpecError(f"totals must map columns to totals or to counts per category, got {totals!r}")
    counts = {c: t for c, t in totals.items() if hasattr(t, "items")}
    single = {c: t for c, t in totals.items() if c not in counts}
    found, notes = read_margins(frame, before.values, counts, what="totals") if counts else ((), ())
    numeric = _numeric_totals(frame, before.values, single)
    limits = f" within {bounds[0]:g} to {bounds[1]:g}" if bounds else ""
    names = ", ".join(repr(m.name) for m in found) + ", " * bool(found and single) + ", ".join(map(repr, single))
    method = f"calibrated ({distance}{limits}) to {names}"
    return calibrated_step(frame, before, found, numeric, ratio, method, notes, tolerance, max_iterations)


def calibrated_step(
    frame: pd.DataFrame,
    before: AdjustedWeights,
    margins: Sequence[Margin],
    numeric: Mapping[str, tuple[np.ndarray, float]],
    ratio: Ratio,
    method: str,
    notes: tuple[str, ...],
    tolerance: float,
    max_iterations: int,
) -> AdjustedWeights:
    """One calibration step after others."""
    d = before.values
    x, totals, names = _variables(margins, numeric, len(d))
    kept, rule = independent(x, d)
    implied = totals[kept] @ rule
    size = d @ np.abs(x)
    wrong = [
        f"{name}: {have:.10g} given, {want:.10g} follows from the others"
        for name, have, want, gap, s in zip(names, totals, implied, np.abs(totals - implied), size, strict=True)
        if gap > 1e-8 * max(s, abs(have))
    ]
    if wrong:
        raise SpecError(
            listed(wrong, "totals contradict each other (their columns are redundant); correct or drop one"), wrong
        )
    everyone = np.column_stack([x[:, kept], np.ones(len(d))])
    if len(independent(everyone, d)[0]) > len(kept):
        notes = (*notes, "no total fixes the sum of the weights; add a categorical column, or a column of ones")
    redundant = [name for k, name in enumerate(names) if k not in set(kept.tolist()) and name in numeric]
    if redundant:
        notes = (*notes, f"columns that follow from the others add nothing: {redundant}")
    again = partial(
        _calibrate_again,
        x=x[:, kept],
        totals=totals[kept],
        ratio=ratio,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    found, converged, steps = solve(
        x[:, kept], totals[kept], d[None], ratio, tolerance=tolerance, max_iterations=max_iterations
    )
    after = found[0]
    if not converged[0]:
        raise EstimationError(_no_solution(x[:, kept], totals[kept], d, ratio, steps))
    used = d > 0
    moved = after[used] / d[used]
    negative = int((moved < 0).sum())
    if negative:
        text = (
            f"{negative} of {len(moved)} weights are negative, the lowest {after.min():.6g}; "
            'use distance="raking", or bounds with a low end of 0 or more'
        )
        warnings.warn(f"calibration: {text}", CsiLabWarning, stacklevel=3)
        notes = (*notes, text)
    cut = int(((moved - ratio.low <= 1e-12) | (ratio.high - moved <= 1e-12)).sum())
    if cut and ratio.distance != "logit":
        notes = (*notes, f"{cut} of {len(moved)} ratios are at a bound")
    rows = [(m.name, c) for m in margins for c in m.categories] + [(name, "total") for name in numeric]
    table = outcome_table(rows, totals, d @ x, after @ x)
    step = Step(method, d, after, table, notes, again, x[:, kept])
    return before.then(step, frame, [*(c for m in margins for c in m.columns), *numeric])


def _variables(
    margins: Sequence[Margin], numeric: Mapping[str, tuple[np.ndarray, float]], n: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Calibration variables ``(n, q)``, their totals and names."""
    blocks = [m.indicators.toarray() for m in margins] + [values[:, None] for values, _ in numeric.values()]
    totals = [m.wanted for m in margins] + [np.array([total]) for _, total in numeric.values()]
    names = [f"{m.name}={c}" for m in margins for c in m.categories] + list(numeric)
    return np.concatenate(blocks, axis=1), np.concatenate(totals), names


def _calibrate_again(
    weights: np.ndarray, x: np.ndarray, totals: np.ndarray, ratio: Ratio, tolerance: float, max_iterations: int
) -> np.ndarray:
    found, converged, _ = solve(x, totals, weights, ratio, tolerance=tolerance, max_iterations=max_iterations)
    found[~converged] = np.nan
    return found


def _numeric_totals(
    frame: pd.DataFrame, weights: np.ndarray, totals: Mapping[Any, Any]
) -> dict[str, tuple[np.ndarray, float]]:
    """Values (0 in rows that stand for nobody) and total of every numeric column, checked."""
    require_columns(frame, list(totals))
    problems, found = [], {}
    for column, total in totals.items():
        try:
            number = float(total)
        except (TypeError, ValueError):
            number = np.nan
        if isinstance(total, str) or not np.isfinite(number):
            problems.append(f"{column!r}: the total must be a number, or counts per category; got {total!r}")
            continue
        values = numbers_in(frame, column)
        if values is None:
            problems.append(f"{column!r} is no column of numbers; give counts per category instead of one total")
            continue
        wrong = np.flatnonzero(~np.isfinite(values) & (weights != 0))
        if len(wrong):
            problems.append(
                f"{column!r} is missing or infinite in {len(wrong)} rows: {row_labels(frame, wrong)}; "
                "fill them in or leave the rows out"
            )
            continue
        values = np.where(weights != 0, values, 0.0)
        if not values.any() and number != 0:
            problems.append(f"{column!r} is 0 in every row and cannot have the total {number:g}")
            continue
        found[str(column)] = (values, number)
    if problems:
        raise DataError(listed(problems, "the totals do not fit the sample"), problems)
    return found


def ratio_of(distance: Distance, bounds: Bounds | None) -> Ratio:
    """The distance with its bounds, checked."""
    if distance not in DISTANCES:
        raise SpecError(f"distance={distance!r} is unknown; use one of {list(DISTANCES)}")
    if bounds is None:
        if distance == "logit":
            raise SpecError('distance="logit" needs bounds on the ratio of final to base weight, e.g. bounds=(0.3, 3)')
        return Ratio(distance, low=0.0 if distance == "raking" else -np.inf)
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        raise SpecError(f"bounds={bounds!r} must be two numbers, low < 1 < high") from None
    if not low < 1 < high:
        raise SpecError(f"bounds={bounds!r}: need low < 1 < high, e.g. (0.3, 3); they limit final over base weight")
    if distance == "logit" and not np.isfinite([low, high]).all():
        raise SpecError(f'bounds={bounds!r}: distance="logit" needs finite bounds')
    if distance == "raking" and low < 0:
        raise SpecError(f'bounds={bounds!r}: with distance="raking" ratios are positive; use low >= 0')
    return Ratio(distance, low, high)


def check_options(tolerance: float, max_iterations: int) -> None:
    """Refuse a tolerance that is no share, or a number of iterations that is none."""
    require_level(tolerance, "tolerance", 1e-10)
    require_whole(max_iterations, "max_iterations")


def _no_solution(x: np.ndarray, totals: np.ndarray, base: np.ndarray, ratio: Ratio, steps: int) -> str:
    """Why a calibration failed, with the narrowest bounds that would do."""
    limits = narrowest_bounds(x, totals, base)
    head = f"calibration ({ratio.distance}) found no weights that meet the totals in {steps} Newton steps"
    if limits is None:
        if ratio.distance == "linear" and not np.isfinite(ratio.low):
            return f"{head}; raise max_iterations or tolerance"
        return (
            f"{head}: no weights >= 0 can. Check the totals, merge categories or drop a total; "
            'distance="linear" without bounds would give negative weights'
        )
    low, high = limits
    needed = f"within {low:.4g} to {high:.4g}"
    if ratio.low > low or ratio.high < high:
        return (
            f"{head}. Of bounds at equal distance from 1 the narrowest that can are {needed}; those given are "
            f"{ratio.low:.4g} to {ratio.high:.4g}: widen them, merge categories or drop a total"
        )
    return f"{head}, though ratios {needed} can: raise max_iterations or tolerance"
