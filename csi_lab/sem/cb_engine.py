"""The default engine: maximum likelihood by Fisher scoring, many samples at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csi_lab.sem.cb_likelihood import Evaluation, Information, Pieces, evaluate
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.cb_start import starting_values
from csi_lab.sem.cb_structure import Cells

# Draws moved together: their matrices stay in the second-level cache.
BATCH = 32
# Steps shorter than so many standard errors, and all steps after some, are made with the observed information, which
# ends near the optimum in a few.
NEAR = 5.0
SCORING_STEPS = 6
MOST_HALVINGS = 10
DAMPING = 1e-4
# Added to the information of unit diagonal, and the eigenvalue of it that counts as zero.
TRACE, UNDETERMINED = 1e-13, 1e-9


@dataclass(frozen=True, eq=False)
class Solution:
    """What an engine found.

    Attributes
    ----------
    theta
        ``(N, q)`` in the units of the data.
    distance
        Length of the next step in standard errors, ``sqrt(g' I^-1 g)``: how far from the optimum ``(N,)``.
    converged, iterations
        ``(N,)``.
    """

    theta: np.ndarray
    distance: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray


def fisher_scoring(
    specification: Specification,
    sample: Sample,
    *,
    start: np.ndarray | None = None,
    tolerance: float = 1e-8,
    max_iterations: int = 200,
) -> Solution:
    r"""Maximum likelihood estimates of every draw of a sample.

    Steps :math:`\theta + s I^{-1} \nabla \ell` with the expected information I and, near the optimum, the observed one
    where it is positive definite; s is halved until the likelihood rises.

    Parameters
    ----------
    start
        ``(q,)`` or ``(N, q)``; ``None``: from the correlations.
    tolerance
        A draw rests when its next step would be shorter than this many standard errors.
    """
    cells = [Cells.of(specification, g) for g in range(len(specification.groups))]
    n = len(sample.scale)
    if start is None:
        first = starting_values(specification, cells, sample)
    else:
        first = np.array(np.broadcast_to(start, (n, specification.n_free)))
    parts = [
        _batch(cells, sample.draws(slice(at, at + BATCH)), first[at : at + BATCH], tolerance, max_iterations)
        for at in range(0, n, BATCH)
    ]
    return Solution(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def distance(specification: Specification, sample: Sample, theta: np.ndarray) -> np.ndarray:
    """How many standard errors ``theta (N, q)`` is from the optimum, to first order."""
    cells = [Cells.of(specification, g) for g in range(len(specification.groups))]
    return _step(evaluate(cells, sample.groups, sample.scale, theta))[1]


@dataclass(frozen=True, eq=False)
class _State:
    """The draws still moving: which, their data, where they stand."""

    at: np.ndarray
    groups: tuple[Pieces, ...]
    scale: np.ndarray
    theta: np.ndarray
    here: Evaluation

    def kept(self, keep: np.ndarray) -> _State:
        if keep.all():
            return self
        information = None if self.here.information is None else self.here.information[keep]
        here = Evaluation(self.here.value[keep], self.here.gradient[keep], information)
        groups = tuple(g.draws(keep) for g in self.groups)
        return _State(self.at[keep], groups, self.scale[keep], self.theta[keep], here)


def _batch(
    cells: Sequence[Cells], sample: Sample, start: np.ndarray, tolerance: float, max_iterations: int
) -> tuple[np.ndarray, ...]:
    theta = start.copy()
    n = len(theta)
    far = np.full(n, np.inf)
    converged, iterations = np.zeros(n, dtype=bool), np.zeros(n, dtype=int)
    at = np.flatnonzero(np.isfinite(theta).all(axis=1) & sample.usable)
    if not len(at):
        return theta, far, converged, iterations
    groups = tuple(g.draws(at) for g in sample.groups)
    here = evaluate(cells, groups, sample.scale[at], theta[at])
    state = _State(at, groups, sample.scale[at], theta[at], here).kept(np.isfinite(here.value))
    for iteration in range(max_iterations + 1):
        if not len(state.at):
            break
        step, length = _step(state.here)
        theta[state.at], far[state.at], iterations[state.at] = state.theta, length, iteration
        rests = length < tolerance
        converged[state.at[rests]] = True
        if rests.all() or iteration == max_iterations:
            break
        state, step, length = state.kept(~rests), step[~rests], length[~rests]
        newton = iteration >= SCORING_STEPS or bool(length.max() < NEAR)
        state, gained = _moved(cells, state, step, newton)
        if not gained.all():
            # No step raises the likelihood: at the optimum to the last digit, or stuck.
            converged[state.at[~gained]] = length[~gained] < max(1e-6, tolerance)
            state = state.kept(gained)
    return theta, far, converged, iterations


def _step(here: Evaluation, damping: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The step of each draw ``(N, q)`` and its length in standard errors ``(N,)``.

    The information is brought to unit diagonal first, so that the units of the data play no part; ``damping`` is added
    to that diagonal and shortens the step most where the information is least.
    """
    information = here.information
    assert information is not None
    size = np.sqrt(np.abs(np.diagonal(information, axis1=-2, axis2=-1)))
    size = np.where(size > 0, size, 1.0)
    unit = information / (size[:, :, None] * size[:, None, :])
    slope = -here.gradient / size
    finite = np.isfinite(unit).all(axis=(-2, -1)) & np.isfinite(slope).all(axis=-1)
    q = unit.shape[-1]
    # A trace of the unit matrix keeps models solvable that are not identified; it changes no other step.
    unit = np.where(finite[:, None, None], unit, 0.0) + (TRACE + damping) * np.eye(q)
    slope = np.where(finite[:, None], slope, 0.0)
    step = np.linalg.solve(unit, slope[..., None])[..., 0]
    squared = (step * slope).sum(axis=-1)
    wild = ~np.isfinite(step).all(axis=-1) | (squared < 0)
    if wild.any():
        values, vectors = np.linalg.eigh(unit[wild])
        inverse = np.where(values > UNDETERMINED, 1 / np.maximum(values, UNDETERMINED), 0.0)
        along = np.einsum("nij,ni->nj", vectors, slope[wild])
        step[wild] = np.einsum("nij,nj->ni", vectors, inverse * along)
        squared[wild] = (step[wild] * slope[wild]).sum(axis=-1)
    return step / size, np.where(finite, np.sqrt(np.maximum(squared, 0.0)), np.inf)


def _moved(cells: Sequence[Cells], state: _State, step: np.ndarray, newton: bool) -> tuple[_State, np.ndarray]:
    """Every draw moved by its step, halved until the likelihood rises; which draws found such a step."""
    information: Information = "observed" if newton else "expected"
    trial = state.theta + step
    found = evaluate(cells, state.groups, state.scale, trial, information)
    limit = state.here.value + 1e-13 * np.abs(state.here.value)
    worse = ~(found.value <= limit)
    if worse.any():
        again = np.flatnonzero(worse)
        _halve(cells, state, step, limit, trial, worse)
        if worse.any():
            # Nearly singular information points far along a valley that bends: a damped step looks nearer.
            _halve(cells, state, _step(state.here, DAMPING)[0], limit, trial, worse)
        groups = tuple(g.draws(again) for g in state.groups)
        new = evaluate(cells, groups, state.scale[again], trial[again], information)
        assert found.information is not None
        found.value[again], found.gradient[again] = new.value, new.gradient
        found.information[again] = new.information
    if newton:
        _make_definite(cells, state, trial, found)
    trial = np.where(worse[:, None], state.theta, trial)
    return _State(state.at, state.groups, state.scale, trial, found), ~worse


def _halve(
    cells: Sequence[Cells], state: _State, step: np.ndarray, limit: np.ndarray, trial: np.ndarray, worse: np.ndarray
) -> None:
    """Shorter and shorter steps for the draws that are ``worse`` than their ``limit``; both arrays are updated."""
    share = 1.0
    for _ in range(MOST_HALVINGS):
        share /= 2
        at = np.flatnonzero(worse)
        trial[at] = state.theta[at] + share * step[at]
        groups = tuple(g.draws(at) for g in state.groups)
        value = evaluate(cells, groups, state.scale[at], trial[at], None).value
        worse[at] = ~(value <= limit[at])
        if not worse.any():
            return


def _make_definite(cells: Sequence[Cells], state: _State, theta: np.ndarray, found: Evaluation) -> None:
    """Put the expected information where the observed one is not positive definite."""
    assert found.information is not None
    ok = np.isfinite(found.information).all(axis=(-2, -1))
    safe = np.where(ok[:, None, None], found.information, 0.0)
    size = np.sqrt(np.abs(np.diagonal(safe, axis1=-2, axis2=-1)))
    size = np.where(size > 0, size, 1.0)
    unit = safe / (size[:, :, None] * size[:, None, :]) - UNDETERMINED * np.eye(safe.shape[-1])
    try:
        np.linalg.cholesky(unit)
    except np.linalg.LinAlgError:
        at = np.flatnonzero(~(np.linalg.eigvalsh(unit)[:, 0] > 0))
        groups = tuple(g.draws(at) for g in state.groups)
        found.information[at] = evaluate(cells, groups, state.scale[at], theta[at]).information
