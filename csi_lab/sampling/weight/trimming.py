"""Trimming of large weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from csi_lab.errors import EstimationError, SpecError
from csi_lab.sampling.margins import Margin, as_columns, cells_of
from csi_lab.sampling.matching import frame_of
from csi_lab.sampling.weight.adjustment import AdjustedWeights, as_adjusted
from csi_lab.sampling.weight.adjustment_step import FIXED, Step
from csi_lab.settings import is_number

Rule = Literal["iqr", "mean"]
Share = Literal["proportional", "equal"]
SHARES = ("proportional", "equal")
# Caps of the two rules: how many interquartile ranges above the median, how many times the mean.
MULTIPLES = {"iqr": 6.0, "mean": 5.0}


def trim(
    frame: Any,
    weights: Any,
    *,
    rule: Rule = "iqr",
    multiple: float | None = None,
    cap: float | None = None,
    share: Share = "proportional",
    within: str | Sequence[str] | None = None,
) -> AdjustedWeights:
    """Large weights cut at a cap, and what was cut shared out over the others.

    Parameters
    ----------
    frame, weights
        As in :func:`post_stratify`.
    rule
        ``"iqr"``: the cap is the median plus 6 interquartile ranges [1]_; ``"mean"``: 5 times the mean [2]_; both of
        the weights above 0.
    multiple
        Another number in place of the 6 or the 5.
    cap
        A given cap in place of the rule.
    share
        What was cut goes to the others in proportion to their weights (``"proportional"``: their ratios stay as they
        were), or in ``"equal"`` parts, as ``survey::trimWeights(strict = TRUE)`` does.
    within
        Column(s) of cells that keep their sums of weights (e.g. the post-strata); ``None``: only the sum over all rows
        is kept.

    Returns
    -------
    AdjustedWeights
        The notes say how many weights were cut, at what cap, and how much was shared out.

    Raises
    ------
    SpecError
        If rule, multiple, cap or share are impossible.
    EstimationError
        If a cell's sum cannot be kept below the cap.

    Notes
    -----
    Sharing out may lift other weights to the cap; it is repeated until none is above it. Margins that were met before
    are no longer met exactly, unless ``within`` names them. Redone for replicate weights, the ratios of the full
    sample are kept. Agrees with ``survey::trimWeights``: see ``tests/reference/survey/trim.R``.

    References
    ----------
    .. [1] Chowdhury, S., Khare, M., & Wolter, K. (2007). Weight trimming in the National Immunization Survey.
       Proceedings of the Survey Research Methods Section, American Statistical Association, 2651-2658.
    .. [2] DeBell, M., & Krosnick, J. A. (2009). Computing weights for American National Election Study survey data.
       ANES Technical Report nes012427.

    Examples
    --------
    >>> import pandas as pd
    >>> trimmed = trim(pd.DataFrame({"w": [1.0, 1.0, 2.0, 8.0]}), "w", cap=4)
    >>> trimmed.values.tolist()
    [2.0, 2.0, 4.0, 4.0]
    >>> trimmed.notes[0]
    '2 of 4 weights are at the cap of 4 (1 was above it); 4 (33.3% of the sum of weights) shared out over the others'
    """
    before, frame = as_adjusted(frame, weights), frame_of(frame)
    if not isinstance(rule, str) or rule not in MULTIPLES:
        raise SpecError(f"rule={rule!r} is unknown; use one of {list(MULTIPLES)}")
    if share not in SHARES:
        raise SpecError(f"share={share!r} is unknown; use one of {list(SHARES)}")
    if cap is not None and multiple is not None:
        raise SpecError("give cap or multiple, not both")
    for name, value in (("cap", cap), ("multiple", multiple)):
        if value is not None and not (is_number(value) and np.isfinite(value) and value > 0):
            raise SpecError(f"{name}={value!r} must be a positive number")
    d = before.values
    used = d[d > 0]
    times = MULTIPLES[rule] if multiple is None else multiple
    if cap is not None:
        limit, source = float(cap), "given cap"
    elif rule == "iqr":
        low, median, high = np.quantile(used, [0.25, 0.5, 0.75])
        limit, source = float(median + times * (high - low)), f"median + {times:g} interquartile ranges"
    else:
        limit, source = float(times * used.mean()), f"{times:g} x mean"
    columns = [] if within is None else as_columns(within)
    codes, cells = cells_of(frame, columns, d) if columns else (np.where(d > 0, 0, -1), ("all",))
    sums, sizes = (np.bincount(codes[d > 0], weights=w, minlength=len(cells)) for w in (used, np.ones(len(used))))
    # A sum of equal weights may exceed n times their value in the last digit.
    full = [c for c, s, k in zip(cells, sums, sizes, strict=True) if s > k * limit * (1 + 1e-12)]
    if full:
        where = f"in cells {full[:10]}" if columns else "over all rows"
        flat = cap is None and rule == "iqr" and limit <= np.median(used)
        source += ", which are 0 because half of the weights are equal" if flat else ""
        raise EstimationError(
            f"the mean weight {where} is above the cap of {limit:.6g} ({source}), so nobody is left to take the rest; "
            'give a higher cap, use rule="mean", or merge cells'
        )
    after = _shared_out(d, limit, codes, len(cells), equal=share == "equal")
    above, at_cap = int((d > limit).sum()), int((after >= limit * (1 - 1e-12)).sum())
    moved = float(np.maximum(d - limit, 0).sum())
    if above:
        was, how = "was" if above == 1 else "were", "equally " if share == "equal" else ""
        text = (
            f"{at_cap} of {len(used)} weights are at the cap of {limit:.6g} ({above} {was} above it); "
            f"{moved:.6g} ({moved / used.sum():.1%} of the sum of weights) shared out {how}over the others"
        )
    else:
        text = f"no weight is above the cap of {limit:.6g}; nothing was changed"
    name = " x ".join(map(str, columns)) or "all"
    margin = Margin(name, cells, sums, codes)
    step = Step(
        f"trimmed at {limit:.6g} ({source})",
        d,
        after,
        margin.table(d, after),
        (text, f"{FIXED}, keeping the ratios of the full sample"),
        partial(_trim_again, ratio=np.divide(after, d, out=np.zeros(len(d)), where=d > 0), margin=margin),
    )
    return before.then(step, frame, columns)


def _shared_out(d: np.ndarray, cap: float, codes: np.ndarray, cells: int, *, equal: bool) -> np.ndarray:
    """Weights cut at the cap, each cell's sum kept by raising the others until none is above the cap."""
    wanted = np.bincount(codes[codes >= 0], weights=d[codes >= 0], minlength=cells)
    after, capped = d.copy(), np.zeros(len(d), dtype=bool)
    home = np.where(codes >= 0, codes, 0)
    while True:
        high = (after > cap) & ~capped
        if not high.any():
            return after
        capped |= high
        after[capped] = cap
        free = ~capped & (codes >= 0)
        fixed = np.bincount(home[capped], weights=after[capped], minlength=cells)
        open_ = np.bincount(home[free], weights=after[free], minlength=cells)
        if equal:
            count = np.bincount(home[free], minlength=cells)
            part = np.divide(wanted - fixed - open_, count, out=np.zeros(cells), where=count > 0)
            after[free] += part[home[free]]
        else:
            factor = np.divide(wanted - fixed, open_, out=np.ones(cells), where=open_ > 0)
            after[free] *= factor[home[free]]


def _trim_again(weights: np.ndarray, ratio: np.ndarray, margin: Margin) -> np.ndarray:
    """The full sample's ratios on other weights, each cell's sum of those weights kept."""
    found = weights * ratio
    wanted, have = margin.sums(weights), margin.sums(found)
    factor = np.divide(wanted, have, out=np.ones_like(have), where=have > 0)
    return found * np.where(margin.codes >= 0, factor[:, np.maximum(margin.codes, 0)], 1.0)
