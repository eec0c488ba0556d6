"""Weights that reproduce known counts: post-stratification and raking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from csi_lab.errors import EstimationError, SpecError
from csi_lab.sampling.margins import Margin, read_margins
from csi_lab.sampling.matching import frame_of
from csi_lab.sampling.weight.adjustment import AdjustedWeights, as_adjusted
from csi_lab.sampling.weight.adjustment_step import Step
from csi_lab.sampling.weight.calibration import fit_margins
from csi_lab.sampling.weight.numeric_totals import Bounds, calibrated_step, check_options, ratio_of

if TYPE_CHECKING:
    import pandas as pd


def post_stratify(frame: Any, weights: Any, totals: Any) -> AdjustedWeights:
    r"""Post-stratification: weights scaled so that every cell has its population count.

    .. math:: w_k = d_k \frac{N_g}{\sum_{g} d}

    Parameters
    ----------
    frame
        One row per respondent; also a survey or a drawn :class:`~csi_lab.sampling.select.sample.Sample`.
    weights
        Weights before: a column's name, an array, :class:`~csi_lab.sampling.weight.adjustment.AdjustedWeights`, or
        ``None`` for those that the design of a survey or sample names, else equal weights.
    totals
        One column, or one tuple of columns that are crossed, to counts per category: ``{"sex": {"f": 510, "m": 490}}``,
        ``{("sex", "age"): {("f", "18-29"): 80, ...}}``; or a Series whose index names are the columns, e.g.
        ``population.groupby(["sex", "age"]).size()``.

    Returns
    -------
    AdjustedWeights

    Raises
    ------
    SpecError
        If totals name no or several margins.
    DataError
        If cells are empty in the sample or without a count, or values are missing.

    Notes
    -----
    Agrees with ``survey::postStratify``: see ``tests/reference/survey``.

    References
    ----------
    .. [1] Holt, D., & Smith, T. M. F. (1979). Journal of the Royal Statistical Society A, 142, 33-46.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"sex": ["f", "f", "m"], "w": [10.0, 30.0, 20.0]})
    >>> post_stratify(frame, "w", {"sex": {"f": 60, "m": 50}}).values.tolist()
    [15.0, 45.0, 50.0]
    """
    before, frame = as_adjusted(frame, weights), frame_of(frame)
    margins, notes = read_margins(frame, before.values, totals, what="totals")
    if len(margins) != 1:
        raise SpecError(
            f"post-stratification needs one column, or one tuple of crossed columns; got {[m.name for m in margins]}; "
            "with margins of several columns use rake"
        )
    (margin,) = margins
    redo = partial(_rake_again, margins=margins, tolerance=1e-10, max_iterations=1)
    after = redo(before.values[None])[0]
    method = f"post-stratified by {margin.name!r} ({len(margin.categories)} cells)"
    table = margin.table(before.values, after)
    step = Step(method, before.values, after, table, notes, redo, margin.indicators)
    return before.then(step, frame, margin.columns)


def rake(
    frame: Any,
    weights: Any,
    margins: Any,
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 200,
    bounds: Bounds | None = None,
) -> AdjustedWeights:
    """Raking: weights scaled to one margin after the other until all margins agree with the population.

    Parameters
    ----------
    frame, weights
        As in :func:`post_stratify`.
    margins
        Columns, or tuples of crossed columns, to counts per category, as in :func:`post_stratify`; two or more as a
        rule. All must add up to the same number.
    tolerance
        Largest error of a count, as a share of it.
    max_iterations
        Cycles through all margins; with bounds Newton steps.
    bounds
        Lowest and highest ratio of final to base weight, e.g. (0.3, 3); ``None``: no bounds. With bounds the weights
        are those of :func:`calibrate` with the raking distance.

    Returns
    -------
    AdjustedWeights

    Raises
    ------
    SpecError
        If margins contradict each other or options are impossible.
    DataError
        If categories are empty in the sample or without a count, or values are missing.
    EstimationError
        If no weights are found that meet the margins (and the bounds).

    Notes
    -----
    The weights agree with ``survey::rake``, the standard errors of estimates with ``survey::calibrate(calfun =
    "raking")``: they are those of ``rake`` only where the weights before are equal, see
    :meth:`~csi_lab.sampling.weight.adjustment.AdjustedWeights.contributions` and ``tests/reference/survey``.

    References
    ----------
    .. [1] Deming, W. E., & Stephan, F. F. (1940). Annals of Mathematical Statistics, 11, 427-444.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"sex": list("ffmm"), "age": [1, 2, 1, 2]})
    >>> raked = rake(frame, None, {"sex": {"f": 60, "m": 40}, "age": {1: 30, 2: 70}})
    >>> raked.values.round(6).tolist()
    [18.0, 42.0, 12.0, 28.0]
    >>> raked.to_frame().round(6)
                          wanted  before  after
    step margin category
    1    sex    f           60.0     2.0   60.0
                m           40.0     2.0   40.0
         age    1           30.0     2.0   30.0
                2           70.0     2.0   70.0
    """
    before, frame = as_adjusted(frame, weights), frame_of(frame)
    check_options(tolerance, max_iterations)
    found, notes = read_margins(frame, before.values, margins)
    names = ", ".join(repr(m.name) for m in found)
    if bounds is not None:
        ratio = ratio_of("raking", bounds)
        method = f"raked to {names}, ratios within {bounds[0]:g} to {bounds[1]:g}"
        return calibrated_step(frame, before, found, {}, ratio, method, notes, tolerance, max_iterations)
    codes, wanted = [m.codes for m in found], [m.wanted for m in found]
    after, converged, cycles = fit_margins(
        codes, wanted, before.values[None], tolerance=tolerance, max_iterations=max_iterations
    )
    if not converged[0]:
        raise EstimationError(_no_fit(found, after[0], cycles))
    redo = partial(_rake_again, margins=found, tolerance=tolerance, max_iterations=max_iterations)
    columns = sparse.hstack([m.indicators for m in found]).tocsr()
    method = f"raked to {names} ({cycles} cycles)"
    step = Step(method, before.values, after[0], _table(found, before.values, after[0]), notes, redo, columns)
    return before.then(step, frame, [c for m in found for c in m.columns])


def _rake_again(weights: np.ndarray, margins: Sequence[Margin], tolerance: float, max_iterations: int) -> np.ndarray:
    codes, wanted = [m.codes for m in margins], [m.wanted for m in margins]
    found, converged, _ = fit_margins(codes, wanted, weights, tolerance=tolerance, max_iterations=max_iterations)
    found[~converged] = np.nan
    return found


def _table(margins: Sequence[Margin], before: np.ndarray, after: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([m.table(before, after) for m in margins])


def _no_fit(margins: Sequence[Margin], weights: np.ndarray, cycles: int) -> str:
    """Why raking failed: the categories that do not agree, and the crossed cells that make it impossible."""
    off = []
    for m in margins:
        error = m.sums(weights) / m.wanted - 1
        off += [(abs(e), f"{m.name}={c} {e:+.2g}") for c, e in zip(m.categories, error, strict=True)]
    shown = ", ".join(text for size, text in sorted(off, reverse=True)[:6] if size > 0)
    return (
        f"raking did not converge in {cycles} cycles; largest relative errors: {shown}. Empty cells of the crossed "
        "margins may leave no solution: merge categories, or raise max_iterations or tolerance if errors are small"
    )
