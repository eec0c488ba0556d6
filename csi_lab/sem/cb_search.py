"""The search for the estimates of one sample: one start, and more where the likelihood may have several summits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from csi_lab.sem.cb_check import inflated
from csi_lab.sem.cb_engine import Solution, fisher_scoring
from csi_lab.sem.cb_inference import cells_of
from csi_lab.sem.cb_likelihood import evaluate
from csi_lab.sem.cb_restart import measured_start, moved_starts
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.cb_start import starting_values
from csi_lab.sem.cb_structure import Cells

# Further starts besides the measurement model: factor correlations shrunk, and paths moved at random (fixed seed).
SHRINKS = (0.5, 0.0)
MOVED_STARTS = 14
MORE_ITERATIONS = 60
# Summits closer than this in chi2 are one.
SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Found:
    """Estimates of one sample.

    Attributes
    ----------
    theta
        ``(q,)`` in the units of the data.
    converged, iterations, distance
        As in :class:`csi_lab.sem.cb_engine.Solution`.
    others
        By how much chi2 is larger at other summits of the likelihood that further starts ended at, ascending.
    """

    theta: np.ndarray
    converged: bool
    iterations: int
    distance: float
    others: tuple[float, ...] = ()


def search(specification: Specification, sample: Sample, *, tolerance: float, max_iterations: int) -> Found:
    """The highest likelihood found.

    A proper measurement model has one summit in practice, and one start finds it. Paths from sources that are nearly
    collinear make several, between which no step leads: then, and when the first start does not come to rest, the
    search begins anew from other places and keeps the best; with missing answers from the summits of the saturated
    moments.
    """
    cells = cells_of(specification)
    first = fisher_scoring(specification, sample, tolerance=tolerance, max_iterations=max_iterations)
    converged = bool(first.converged[0])
    suspect = not converged or bool(inflated(specification, first.theta[0]))
    if not specification.model.edges or not suspect or not sample.usable[0]:
        return _of(first)
    rng = np.random.default_rng(0)
    starts = np.concatenate(
        [starting_values(specification, cells, sample, shrink) for shrink in SHRINKS]
        + [measured_start(specification, cells, sample)]
        + [moved_starts(specification, cells, sample, rng) for _ in range(MOVED_STARTS)]
    )
    if not sample.complete_answers:
        starts = _summits(specification, cells, sample.summed, starts, tolerance)
    n = len(starts)
    copies = sample.draws(np.zeros(n, dtype=int))
    more = fisher_scoring(specification, copies, start=starts, tolerance=tolerance, max_iterations=MORE_ITERATIONS)
    theta = np.concatenate([first.theta, more.theta])
    rested = np.concatenate([first.converged, more.converged])
    if not rested.any():
        return _of(first)
    everywhere = sample.draws(np.zeros(n + 1, dtype=int))
    chi2 = 2 * evaluate(cells, everywhere.groups, everywhere.scale, theta, None).value
    chi2 = np.where(rested, chi2, np.inf)
    # The first start keeps its place unless another one ends clearly higher.
    best = 0 if converged and chi2[0] < chi2.min() + SAME else int(np.argmin(chi2))
    gaps = np.sort(chi2[rested] - chi2[best])
    apart = [float(g) for k, g in enumerate(gaps) if g > SAME and (k == 0 or g - gaps[k - 1] > SAME)]
    chosen = first if best == 0 else more
    return _of(chosen, max(best - 1, 0), tuple(apart))


def _summits(
    specification: Specification, cells: list[Cells], sample: Sample, starts: np.ndarray, tolerance: float
) -> np.ndarray:
    """The different summits that the starts lead to; the starts themselves when none comes to rest.

    With missing answers each step of the likelihood goes through all their patterns. The saturated moments, one piece,
    have their summits near the same places at a fraction of the time.
    """
    copies = sample.draws(np.zeros(len(starts), dtype=int))
    found = fisher_scoring(specification, copies, start=starts, tolerance=tolerance, max_iterations=MORE_ITERATIONS)
    rested = found.theta[found.converged]
    if not len(rested):
        return starts
    there = sample.draws(np.zeros(len(rested), dtype=int))
    chi2 = 2 * evaluate(cells, there.groups, there.scale, rested, None).value
    order = np.argsort(chi2)
    return rested[order[np.diff(chi2[order], prepend=-np.inf) > SAME]]


def _of(solution: Solution, at: int = 0, others: tuple[float, ...] = ()) -> Found:
    return Found(
        solution.theta[at],
        bool(solution.converged[at]),
        int(solution.iterations[at]),
        float(solution.distance[at]),
        others,
    )
