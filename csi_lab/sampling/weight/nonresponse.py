"""Non-response: weights of respondents raised by cells or by response propensities."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.margins import Margin, as_columns, cells_of, in_words
from csi_lab.sampling.matching import frame_of
from csi_lab.sampling.weight.adjustment import AdjustedWeights, as_adjusted
from csi_lab.sampling.weight.adjustment_step import FIXED, Step
from csi_lab.sampling.weight.response_model import logistic, propensity, read_responded
from csi_lab.settings import require_cutoff, require_whole

Method = Literal["strata", "inverse"]
METHODS = ("strata", "inverse")


def nonresponse_cells(
    frame: Any,
    weights: Any,
    cells: str | Sequence[str],
    *,
    responded: Any,
    smallest: int = 20,
    largest_factor: float = 2.0,
) -> AdjustedWeights:
    r"""Weighting-class adjustment: in each cell respondents take over the weight of non-respondents.

    .. math:: w_k = d_k \frac{\sum_{g} d}{\sum_{g} R d} \text{ for respondents}, \quad 0 \text{ for the others}

    Parameters
    ----------
    frame
        One row per sampled case, respondents and non-respondents; also a survey or a drawn
        :class:`~csi_lab.sampling.select.sample.Sample`.
    weights
        Weights before, as in :func:`csi_lab.sampling.weight.post_stratify`.
    cells
        Column, or columns that are crossed, known for all cases.
    responded
        Column, or values per row: 1 or True for respondents, 0 or False for the others.
    smallest, largest_factor
        Cells with fewer respondents, or with a larger factor, are named in the notes; the defaults follow [1]_, where
        20 to 30 respondents and factors up to 1.5 or 2 are named as customary.

    Returns
    -------
    AdjustedWeights
        Its table has the response rate of every cell as well.

    Raises
    ------
    DataError
        If a cell has no respondent, or values are missing.

    References
    ----------
    .. [1] Kalton, G., & Flores-Cervantes, I. (2003). Journal of Official Statistics, 19, 81-97.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"area": list("aabb"), "answered": [1, 0, 1, 1], "w": 10.0})
    >>> nonresponse_cells(frame, "w", "area", responded="answered").values.tolist()
    [20.0, 0.0, 10.0, 10.0]
    """
    before, frame = as_adjusted(frame, weights), frame_of(frame)
    answered = read_responded(frame, responded, before.values)
    columns = as_columns(cells)
    if not columns:
        raise SpecError("name the column(s) that form the cells")
    codes, labels = cells_of(frame, columns, before.values)
    step = _by_cells(
        before,
        answered,
        codes,
        labels,
        " x ".join(map(str, columns)),
        "non-response cells by",
        (),
        smallest,
        largest_factor,
    )
    return before.then(step, frame, [*columns, *_named(responded)])


def nonresponse_propensity(
    frame: Any,
    weights: Any,
    predictors: str | Sequence[str],
    *,
    responded: Any,
    method: Method = "strata",
    strata: int = 5,
    smallest: int = 20,
    largest_factor: float = 2.0,
) -> AdjustedWeights:
    """Non-response adjustment by response propensities from a weighted logistic regression.

    Parameters
    ----------
    frame, weights, responded
        As in :func:`nonresponse_cells`.
    predictors
        Column(s) known for all cases; numeric ones enter as they are, others as categories.
    method
        ``"strata"``: cells are formed by quantiles of the propensity and adjusted as in :func:`nonresponse_cells`;
        ``"inverse"``: weights are divided by the propensity.
    strata
        Number of quantile groups; five remove most of the bias that the propensity can remove [1]_.
    smallest, largest_factor
        As in :func:`nonresponse_cells`.

    Returns
    -------
    AdjustedWeights

    Raises
    ------
    DataError
        If values are missing or text, or a stratum has no respondent.
    EstimationError
        If the predictors separate respondents from the others.
    SpecError
        If options are impossible: strata no whole number of 2 or more, limits no numbers.

    Notes
    -----
    Redone for replicate weights, strata keep their members and rates are recomputed; inverse propensities are fitted
    anew in each draw.

    References
    ----------
    .. [1] Rosenbaum, P. R., & Rubin, D. B. (1984). Journal of the American Statistical Association, 79, 516-524.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"area": list("aaaabbbb"), "answered": [1, 0, 0, 1, 1, 1, 1, 0], "w": 10.0})
    >>> adjusted = nonresponse_propensity(frame, "w", "area", responded="answered", method="inverse")
    >>> adjusted.values.round(4).tolist()
    [20.0, 0.0, 0.0, 20.0, 13.3333, 13.3333, 13.3333, 0.0]
    """
    if method not in METHODS:
        raise SpecError(f"method={method!r} is unknown; use one of {list(METHODS)}")
    require_whole(strata, "strata", 2)
    before, frame = as_adjusted(frame, weights), frame_of(frame)
    fit = propensity(frame, before, predictors, responded=responded)
    answered = read_responded(frame, responded, before.values)
    names = ", ".join(repr(p) for p in fit.predictors)
    d = before.values
    notes: tuple[str, ...] = (f"R-indicator {fit.r_indicator:.3f} (1: response does not depend on the predictors)",)
    if method == "strata":
        cuts = np.unique(np.quantile(fit.scores[d > 0], np.arange(1, strata) / strata))
        found = np.searchsorted(cuts, fit.scores * (1 - 1e-12), side="left")
        used = np.unique(found[d > 0])
        codes = np.where(d > 0, np.searchsorted(used, found), -1)
        if len(used) < strata:
            notes = (*notes, f"{len(used)} propensity strata instead of {strata}, because propensities are tied")
        labels = tuple(f"{k} of {len(used)}" for k in range(1, len(used) + 1))
        title = f"{len(used)} propensity strata from {names}:"
        step = _by_cells(before, answered, codes, labels, "propensity", title, notes, smallest, largest_factor)
        return before.then(step, frame, [*fit.predictors, *_named(responded)])
    after = np.where(answered, d / np.where(d > 0, fit.scores, 1), 0.0)
    everyone = Margin("all", ("all",), np.array([d.sum()]), np.where(d > 0, 0, -1))
    require_cutoff(largest_factor, "largest_factor")
    factor = 1 / fit.scores[answered & (d > 0)]
    if (large := int((factor > largest_factor).sum())) > 0:
        notes = (
            *notes,
            f"{large} weights are raised by more than {largest_factor:g}, the largest by {factor.max():.3g}",
        )
    table = everyone.table(d, after).assign(rate=float(d[answered].sum() / d.sum()))
    redo = partial(_inverse_again, x=fit.columns, answered=answered)
    notes = (*notes, FIXED)
    step = Step(f"inverse response propensity from {names}", d, after, table, notes, redo)
    return before.then(step, frame, [*fit.predictors, *_named(responded)])


def _named(responded: Any) -> list[str]:
    """The column of who responded, if it is one."""
    return [responded] if np.ndim(responded) == 0 else []


def _by_cells(
    before: AdjustedWeights,
    answered: np.ndarray,
    codes: np.ndarray,
    labels: tuple[Any, ...],
    name: str,
    title: str,
    notes: tuple[str, ...],
    smallest: int,
    largest_factor: float,
) -> Step:
    """Respondents of each cell take over the weight of the others."""
    require_cutoff(smallest, "smallest")
    require_cutoff(largest_factor, "largest_factor")
    d = before.values
    margin = Margin(name, labels, np.bincount(codes[codes >= 0], weights=d[codes >= 0], minlength=len(labels)), codes)
    taken = margin.sums(d * answered)
    empty = [c for c, t in zip(labels, taken, strict=True) if not t > 0]
    if empty:
        more = f" and {len(empty) - 10} more" if len(empty) > 10 else ""
        raise DataError(f"cells without respondents in {name!r}: {empty[:10]}{more}; merge each with a similar cell")
    after = _cells_again(d[None], margin, answered)[0]
    count = margin.sums((answered & (d > 0)).astype(float))
    factor = margin.wanted / taken
    small = [f"{in_words(c)} ({int(k)})" for c, k in zip(labels, count, strict=True) if k < smallest]
    large = [f"{in_words(c)} ({f:.3g})" for c, f in zip(labels, factor, strict=True) if f > largest_factor]
    if small:
        notes = (*notes, f"cells with fewer than {smallest} respondents: {', '.join(small[:10])}")
    if large:
        notes = (*notes, f"cells whose weights are raised by more than {largest_factor:g}: {', '.join(large[:10])}")
    notes = (*notes, FIXED)
    table = margin.table(d * answered, after).assign(rate=taken / margin.wanted, respondents=count.astype(int))
    method = f"{title} {name!r} ({len(labels)} cells)" if title.endswith("by") else f"{title} cell adjustment"
    return Step(method, d, after, table, notes, partial(_cells_again, margin=margin, answered=answered))


def _cells_again(weights: np.ndarray, margin: Margin, answered: np.ndarray) -> np.ndarray:
    """Weights ``(draws, n)`` of respondents raised to their cell's sum; NaN draws left a cell without any."""
    taken = weights * answered
    wanted, have = margin.sums(weights), margin.sums(taken)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(wanted > 0, wanted / have, 1.0)
    found = taken * np.where(margin.codes >= 0, factor[:, np.maximum(margin.codes, 0)], 1.0)
    found[~np.isfinite(factor).all(axis=1)] = np.nan
    return found


def _inverse_again(weights: np.ndarray, x: np.ndarray, answered: np.ndarray) -> np.ndarray:
    fitted, converged = logistic(x, answered, weights)
    found = np.where(answered, weights / special.expit(fitted @ x.T), 0.0)
    found[~converged] = np.nan
    return found
