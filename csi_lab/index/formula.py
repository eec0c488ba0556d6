"""The 0-100 formula on arrays, and what is refused before it is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_columns, require_numbers
from csi_lab.errors import EstimationError, SpecError, listed
from csi_lab.moments import Moments
from csi_lab.settings import is_number

if TYPE_CHECKING:
    import pandas as pd

# Share of the width of a scale by which rounding may take a mean beyond its ends.
ROUNDING = 1e-9
Bounds = tuple[float, float] | Mapping[str, tuple[float, float]]


def index_values(position: np.ndarray, shares: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Indices ``(..., J)`` from mean positions on 0-1 and weights ``(..., p)``, membership ``(p, J)``."""
    return 100 * ((shares * position) @ member) / (shares @ member)


def limits(bounds: Bounds, items: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest answer per item ``(p,)`` each.

    Raises
    ------
    SpecError
        If bounds are absent, no pairs of finite numbers, or not low < high.
    """
    if isinstance(bounds, Mapping):
        absent = [i for i in items if i not in bounds]
        if absent:
            raise SpecError(f"no bounds for items: {absent}; give the lowest and highest possible answer of each")
        pairs = [bounds[i] for i in items]
    else:
        pairs = [bounds] * len(items)
    odd = [i for i, pair in zip(items, pairs, strict=True) if not _is_pair(pair)]
    if odd:
        shown = repr(bounds) if not isinstance(bounds, Mapping) else ", ".join(f"{bounds[i]!r} of {i}" for i in odd[:5])
        raise SpecError(f"bounds must be pairs (lowest, highest) of finite numbers, got {shown}")
    low, high = np.array(pairs, dtype=float).T
    wrong = [i for i, a, b in zip(items, low, high, strict=True) if not a < b]
    if wrong:
        raise SpecError(f"bounds need low < high; not so for {wrong}")
    return low, high


def _is_pair(value: Any) -> bool:
    usable = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str) and len(value) == 2
    return usable and all(is_number(end) and np.isfinite(end) for end in value)


def item_weights(weights: Any) -> tuple[list[str], np.ndarray]:
    """Items and their weights ``(p,)`` from a mapping or a Series of one index.

    Raises
    ------
    EstimationError
        If a weight is negative or all are zero.
    SpecError
        If the weights are no mapping to finite numbers, or one is given twice.

    Examples
    --------
    >>> items, v = item_weights({"q1": 0.5, "q2": 0.5})
    >>> items, v.tolist()
    (['q1', 'q2'], [0.5, 0.5])
    """
    import pandas as pd

    if not isinstance(weights, (Mapping, pd.Series)):
        raise SpecError(f"weights must map items to numbers, as {{'q1': 0.5, 'q2': 0.5}}, got {type(weights).__name__}")
    items, values = list(weights.keys()), list(weights.values() if isinstance(weights, Mapping) else weights)
    twice = sorted({str(i) for i in items if items.count(i) > 1})
    odd = [str(i) for i, value in zip(items, values, strict=True) if not is_number(value) or not np.isfinite(value)]
    if twice or odd:
        raise SpecError(f"weights given twice: {twice}" if twice else f"weights that are no finite numbers: {odd}")
    v = np.array(values, dtype=float)
    require_weights({"the index": dict(zip(items, v, strict=True))})
    return items, v


def require_weights(blocks: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse negative and all-zero weights: the result would leave 0-100 without anybody noticing."""
    problems = []
    for construct, block in blocks.items():
        size = sum(abs(v) for v in block.values())
        negative = [f"{item} ({v / size:.3f} of all weight)" for item, v in block.items() if v < 0]
        if negative:
            problems.append(f"{construct}: negative weight of {', '.join(negative)}")
        elif not sum(block.values()) > 0:
            problems.append(f"{construct}: the weights sum to {sum(block.values()):g}")
    if problems:
        remedy = "check the item's direction (reversed?) or leave it out, or ask only for other constructs=[...]"
        raise EstimationError(f"{listed(problems, 'a 0-100 index needs weights >= 0')}\n  {remedy}", problems)


def require_means_inside(part: Moments, low: np.ndarray, high: np.ndarray) -> None:
    """Refuse item means outside their bounds ``(p,)``, all named: the declared scale cannot be the one that was used.

    Raises
    ------
    EstimationError
        If a mean, or in a stack of draws any mean, lies outside.
    """
    # Where everybody gave the best answer, a mean of weighted or resampled sums may be the last bit beyond it.
    slack = ROUNDING * (high - low)
    outside = np.any(((part.mean < low - slack) | (part.mean > high + slack)).reshape(-1, len(low)), axis=0)
    if outside.any():
        places = [
            f"{i} (bounds {a:g} to {b:g})" for i, a, b, o in zip(part.names, low, high, outside, strict=True) if o
        ]
        raise EstimationError(f"means outside the bounds of the scale: {', '.join(places)}; correct the bounds")


def require_answers_inside(frame: pd.DataFrame, items: Sequence[str], low: np.ndarray, high: np.ndarray) -> None:
    """Refuse answers outside the bounds, all items and some rows named: an index of them would leave 0-100.

    Raises
    ------
    DataError, EstimationError
        If an item is absent or not numeric, or an answer lies outside.
    """
    require_columns(frame, items)
    require_numbers(frame[list(items)])
    problems = []
    for item, least, most in zip(items, low, high, strict=True):
        x = frame[item].to_numpy(dtype=float, na_value=np.nan)
        at = np.flatnonzero((x < least) | (x > most))
        if len(at):
            rows = ", ".join(str(frame.index[i]) for i in at[:5])
            problems.append(
                f"{item}: {len(at)} answers outside {least:g} to {most:g} in rows {rows}, e.g. {x[at[0]]:g}"
            )
    if problems:
        raise EstimationError(listed(problems, "answers outside the bounds; correct them or the bounds"), problems)
