"""Fair timing on a noisy machine: the candidates take turns, and medians of CPU seconds are compared."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from statistics import median

Work = Callable[[], object]


def take_turns(candidates: Mapping[str, Work], *, rounds: int, least: float = 0.05) -> dict[str, float]:
    """Median CPU seconds of one call of each candidate.

    Each candidate is called once to warm up, then in every round once after the other, as often as it takes to fill
    ``least`` seconds, so that a drift of the machine meets all of them alike.
    """
    calls = {}
    for name, work in candidates.items():
        once = _cpu(work, 1)
        if once < least:
            once = _cpu(work, 1)
        calls[name] = max(1, round(least / max(once, 1e-6)))
    seen: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, work in candidates.items():
            seen[name].append(_cpu(work, calls[name]))
    return {name: median(values) for name, values in seen.items()}


def peak_memory(work: Work) -> float:
    """Megabytes that one call holds at its worst moment, on top of what was there before."""
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def _cpu(work: Work, calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - start) / calls
