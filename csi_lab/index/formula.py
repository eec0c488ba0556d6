"""The 0-100 formula on arrays, and what is refused before it is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from csi_lab.errors import EstimationError, SpecError, listed
from csi_lab.moments import Moments

Bounds = tuple[float, float] | Mapping[str, tuple[float, float]]


def index_values(
    mean: np.ndarray, weights: np.ndarray, low: np.ndarray, high: np.ndarray, member: np.ndarray
) -> np.ndarray:
    """Indices ``(..., J)`` from means and weights ``(..., p)``, bounds ``(p,)`` and membership ``(p, J)``."""
    return 100 * ((weights * (mean - low)) @ member) / ((weights * (high - low)) @ member)


def limits(bounds: Bounds, items: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest answer per item ``(p,)`` each."""
    if isinstance(bounds, Mapping):
        absent = [i for i in items if i not in bounds]
        if absent:
            raise SpecError(f"no bounds for items: {absent}; give the lowest and highest possible answer of each")
        pairs = [bounds[i] for i in items]
    else:
        pairs = [bounds] * len(items)
    try:
        low, high = np.array([(float(a), float(b)) for a, b in pairs]).T
    except (TypeError, ValueError):
        raise SpecError(f"bounds must be pairs (lowest, highest), got {bounds!r}") from None
    wrong = [i for i, a, b in zip(items, low, high, strict=True) if not a < b]
    if wrong:
        raise SpecError(f"bounds need low < high; not so for {wrong}")
    return low, high


def require_weights(blocks: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse negative and all-zero weights: the result would leave 0-100 without anybody noticing."""
    problems = []
    for construct, block in blocks.items():
        negative = [f"{item} ({v:.3f})" for item, v in block.items() if v < 0]
        if negative:
            problems.append(f"{construct}: negative weight of {', '.join(negative)}")
        elif not sum(block.values()) > 0:
            problems.append(f"{construct}: the weights sum to {sum(block.values()):g}")
    if problems:
        remedy = "check the item's direction (reversed?) or leave it out, or ask only for other constructs=[...]"
        raise EstimationError(f"{listed(problems, 'a 0-100 index needs weights >= 0')}\n  {remedy}", problems)


def require_means_inside(part: Moments, low: np.ndarray, high: np.ndarray) -> None:
    outside = np.any(((part.mean < low) | (part.mean > high)).reshape(-1, len(low)), axis=0)
    if outside.any():
        places = [
            f"{i} (bounds {a:g} to {b:g})" for i, a, b, o in zip(part.names, low, high, outside, strict=True) if o
        ]
        raise EstimationError(f"means outside the bounds of the scale: {', '.join(places)}; correct the bounds")
