"""Answers to the items of a pretest, checked, and the description of each item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import as_items, infinite_values, require_columns, require_numbers, split_weights
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.moments import Moments
from csi_lab.settings import is_number

if TYPE_CHECKING:
    import pandas as pd

Bounds = tuple[float, float] | Mapping[str, tuple[float, float]]


def answers_of(
    data: Any, items: Sequence[str] | None, bounds: Bounds | None, weights: Any
) -> tuple[pd.DataFrame, np.ndarray | None, dict[str, tuple[float, float]], bool]:
    """Checked answers, weights, bounds by item, and whether the sample is a simple one."""
    if isinstance(data, Moments) or not hasattr(getattr(data, "frame", data), "columns"):
        raise DataError(f"item analysis needs the answers: a survey or a DataFrame, got {type(data).__name__}")
    frame, simple = data, weights is None
    if hasattr(data, "frame"):
        if weights is not None:
            raise DataError("a survey brings the weights of its study file (design: weights); do not give others")
        frame, simple = data.frame, data.design.simple
        items = list(data.items if items is None else items)
        bounds = getattr(data, "bounds", None) if bounds is None else bounds
        weights = None if data.design.weights is None else frame[data.design.weights].to_numpy()
    if isinstance(weights, str) and weights in frame.columns:
        frame, weights = frame.drop(columns=weights), frame[weights].to_numpy()
    items = list(frame.columns if items is None else as_items(items))
    require_columns(frame, items)
    if len(items) < 2:
        raise DataError(f"a scale needs two items or more, got {items}")
    frame, w = split_weights(frame[items], weights)
    if w is not None:
        # A row of weight zero stands for nobody: it is no respondent.
        frame, w = frame[w > 0], w[w > 0]
        if not len(frame):
            raise DataError("no row has a positive weight")
    require_numbers(frame)
    x = frame.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(x).any():
        raise DataError(infinite_values(frame))
    empty = [str(c) for c, known in zip(items, ~np.isnan(x).all(axis=0), strict=True) if not known]
    if empty:
        raise DataError(f"items without any answer: {empty}; leave them out")
    frame = frame.set_axis([str(c) for c in items], axis=1)
    return frame, w, _limits(frame, bounds), simple


def _limits(frame: pd.DataFrame, bounds: Bounds | None) -> dict[str, tuple[float, float]]:
    """Lowest and highest possible answer by item, checked against the answers."""
    if bounds is None:
        return {}
    each = bounds if isinstance(bounds, Mapping) else dict.fromkeys(frame.columns, bounds)
    each = {str(name): pair for name, pair in each.items()}
    odd = {name: each[name] for name in frame.columns if name in each and not _is_pair(each[name])}
    if odd:
        raise SpecError(f"bounds are pairs (lowest, highest) of numbers, e.g. (1, 10); these are not: {odd}")
    limits = {name: (float(each[name][0]), float(each[name][1])) for name in frame.columns if name in each}
    wrong = {name: pair for name, pair in limits.items() if not pair[0] < pair[1]}
    if wrong:
        raise SpecError(f"bounds must be (lowest, highest): {wrong}")
    problems = []
    for name, (low, high) in limits.items():
        column = frame[name].to_numpy(dtype=float, na_value=np.nan)
        outside = column[(column < low) | (column > high)]
        if len(outside):
            problems.append(f"{name!r} holds {len(outside)} answers outside {low:g} to {high:g}, e.g. {outside[0]:g}")
    if problems:
        raise DataError(
            listed(problems, "answers outside their bounds; correct them or mark them as missing"), problems
        )
    return limits


def _is_pair(bounds: Any) -> bool:
    return isinstance(bounds, Sequence) and len(bounds) == 2 and all(map(is_number, bounds))


def described(column: np.ndarray, w: np.ndarray | None, limits: tuple[float, float] | None) -> dict[str, float]:
    """Description of one item's answers, weighted if weights are given."""
    known = ~np.isnan(column)
    x, n = column[known], int(known.sum())
    share = np.full(n, 1 / n) if w is None else w[known] / w[known].sum()
    mean = float(share @ x)
    gap = x - mean
    m2, m3, m4 = (float(share @ gap**power) for power in (2, 3, 4))
    flat = not m2 > 1e-20 * mean**2
    skew = kurtosis = float("nan")
    if n > 2 and not flat:
        skew = m3 / m2**1.5 * np.sqrt(n * (n - 1)) / (n - 2)
    if n > 3 and not flat:
        kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3) + 6)
    return {
        "answered": n,
        "missing": len(column) - n,
        "mean": mean,
        "sd": 0.0 if flat and n > 1 else float(np.sqrt(m2 * n / (n - 1))) if n > 1 else float("nan"),
        "skew": float(skew),
        "kurtosis": float(kurtosis),
        "floor": float(share @ (x == limits[0])) if limits else float("nan"),
        "ceiling": float(share @ (x == limits[1])) if limits else float("nan"),
    }
