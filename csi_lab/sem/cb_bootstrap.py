"""Bootstrap of a covariance-based model: the engine on stacks of draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from csi_lab.errors import EstimationError, SpecError
from csi_lab.intervals import Interval, Kind, interval, require_interval
from csi_lab.moments import Moments
from csi_lab.percent import percent
from csi_lab.sem.cb_check import improper
from csi_lab.sem.cb_derived import observed_variances
from csi_lab.sem.cb_draws import Drawn
from csi_lab.sem.cb_engine import fisher_scoring
from csi_lab.sem.cb_inference import cells_of
from csi_lab.sem.cb_restart import measured_start, moved_starts
from csi_lab.sem.cb_sample import Likelihood, Sample
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.cb_start import starting_values

# Draws rest a millionth of a standard error from their optimum: far below what the draws themselves vary.
TOLERANCE = 1e-6
MOST_ITERATIONS = 40
# Starts with paths moved at random, for draws that no other start brings to rest.
MOVED_STARTS = 4


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Estimates with each unit left out in turn, for the acceleration of BCa intervals.

    Attributes
    ----------
    theta, observed
        As in :class:`Resampled`, one row per unit.
    group
        Number of the group that the unit belongs to ``(U,)``.
    """

    theta: np.ndarray
    observed: np.ndarray
    group: np.ndarray

    @property
    def failed(self) -> int:
        """Units without which there is no solution."""
        return int(np.isnan(self.theta).any(axis=1).sum())

    def influence(self, function: Callable[[np.ndarray], np.ndarray], width: int) -> np.ndarray:
        """What a function of the parameters loses with each unit, about the mean of the unit's group ``(U, k)``.

        Units whose fit has no solution, or no value of the function, are left out.

        References
        ----------
        .. [1] Davison, A. C., & Hinkley, D. V. (1997). Bootstrap Methods and their Application. Cambridge University
           Press, sec. 5.3 (several samples).
        """
        values = function(np.hstack([self.theta, self.observed])[:, :width])
        known = np.isfinite(values).all(axis=1)
        values, group = values[known], self.group[known]
        for k in np.unique(group):
            here = group == k
            values[here] = (values[here] - values[here].mean(axis=0)) * (1 - 1 / here.sum())
        return values


@dataclass(frozen=True, eq=False)
class Resampled:
    """Parameters of every draw.

    Attributes
    ----------
    theta
        ``(draws, q)``; NaN where a draw has no solution.
    observed
        Observed variances of the sums of items, ``(draws, K)``; see
        :func:`csi_lab.sem.cb_derived.observed_variances`.
    improper
        Draws with an improper solution; they are kept.
    method, df, scale
        Of the replicates, see :class:`csi_lab.resampling.Replicates`.
    kind, level
        Of the intervals.
    left_out
        For ``"bca"``, else ``None``.
    """

    theta: np.ndarray
    observed: np.ndarray = field(repr=False)
    improper: int
    method: str
    df: float
    scale: np.ndarray | None
    kind: Kind
    level: float
    left_out: LeftOut | None = None

    @property
    def draws(self) -> int:
        """Number of draws."""
        return len(self.theta)

    @property
    def failed(self) -> int:
        """Draws without a solution."""
        return int(np.isnan(self.theta).any(axis=1).sum())

    def interval(self, function: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> Interval:
        """Intervals of a function ``(N, q) -> (N, k)`` of the parameters, or of these and the observed variances.

        Parameters
        ----------
        theta
            The estimates ``(q,)``, or ``(q + K,)`` with the observed variances behind them.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return interval(
                function(theta[None])[0],
                function(np.hstack([self.theta, self.observed])[:, : len(theta)]),
                kind=self.kind,
                level=self.level,
                df=self.df,
                scale=self.scale,
                jackknife=None if self.left_out is None else self.left_out.influence(function, len(theta)),
            )

    def __str__(self) -> str:
        lost = f", {self.failed} of them without a solution and left out" if self.failed else ""
        kept = f", {self.improper} with an improper one and kept" if self.improper else ""
        alone = self.left_out.failed if self.left_out is not None else 0
        apart = f"; {alone} units without which there is no solution left out of the acceleration" if alone else ""
        return (
            f"{self.kind} intervals at {percent(self.level)} from {self.draws} draws ({self.method}){lost}{kept}{apart}"
        )

    __repr__ = __str__


def resample(specification: Specification, drawn: Drawn, theta: np.ndarray, *, kind: Kind, level: float) -> Resampled:
    """Refit the model to replicates of the sample.

    Raises
    ------
    EstimationError
        If no draw has a solution.
    SpecError
        If the kind of interval does not fit the replicates.
    """
    require_interval(kind, level)
    if kind == "studentised":
        raise SpecError("kind='studentised' is not offered here; use 'percentile', 'normal', 'bc' or 'bca'")
    if drawn.method == "jackknife" and kind != "normal":
        raise SpecError(f"jackknife replicates have no {kind} interval; use kind='normal', or a bootstrap method")
    if drawn.method == "given" and kind == "bca":
        raise SpecError("BCa needs the units that were resampled; with given replicate weights use kind='bc'")
    made = [
        (refit(specification, sample, theta), observed_variances(specification, sample)) for sample in drawn.draws()
    ]
    found, observed = (np.concatenate(column) for column in zip(*made, strict=True))
    lost = np.isnan(found).any(axis=1)
    if lost.all():
        raise EstimationError(f"none of the {len(found)} draws has a solution; the model is too large for these data")
    left_out = None
    if kind == "bca":
        apart = [
            (
                refit(specification, sample, theta),
                observed_variances(specification, sample),
                np.full(len(sample.scale), g),
            )
            for g, sample in drawn.left_out()
        ]
        left_out = LeftOut(*(np.concatenate(column) for column in zip(*apart, strict=True)))
    odd = int(improper(specification, found[~lost]).sum())
    return Resampled(found, observed, odd, drawn.method, drawn.df, drawn.scale, kind, level, left_out)


def refit_moments(
    specification: Specification, moments: list[Moments], start: np.ndarray, likelihood: Likelihood
) -> np.ndarray:
    """Estimates ``(draws, q)`` on the moments of each group; NaN where a draw has no solution."""
    return refit(specification, Sample.complete(moments, means=specification.means, likelihood=likelihood), start)


def refit(specification: Specification, sample: Sample, start: np.ndarray) -> np.ndarray:
    """Estimates ``(draws, q)`` on a stack of samples; NaN where a draw has no solution.

    A measurement model is begun at the estimates of the whole sample, ``start``. Paths of a draw may lie on the other
    side of a singular matrix, to which no step leads from there: a model with paths begins at the draw's own
    correlations, then at its own measurement model, then elsewhere. Only what is a summit counts as a solution.
    """
    cells = cells_of(specification)

    def at_start(part: Sample) -> np.ndarray:
        return np.array(np.broadcast_to(start, (len(part.scale), len(start))))

    def shrunk(part: Sample) -> np.ndarray:
        return starting_values(specification, cells, part, 0.5)

    def own(part: Sample) -> np.ndarray:
        return starting_values(specification, cells, part)

    def measured(part: Sample) -> np.ndarray:
        return measured_start(specification, cells, part)

    def moved(seed: int) -> Callable[[Sample], np.ndarray]:
        return lambda part: moved_starts(specification, cells, part, np.random.default_rng(seed))

    plan: list[Callable[[Sample], np.ndarray]] = [at_start, own]
    if specification.model.edges:
        plan = [own, measured, shrunk, at_start, *(moved(k) for k in range(MOVED_STARTS))]
    theta = np.full((len(sample.scale), specification.n_free), np.nan)
    ok = np.zeros(len(theta), dtype=bool)
    # Draws without saturated moments have no correlations to begin at.
    known = np.isfinite(sample.cov).all(axis=(1, 2, 3))
    for begin in plan:
        at = np.flatnonzero(~ok & sample.usable & (known | (begin is at_start)))
        if not len(at):
            continue
        part = sample.draws(at)
        found = fisher_scoring(
            specification, part, start=begin(part), tolerance=TOLERANCE, max_iterations=MOST_ITERATIONS
        )
        theta[at], ok[at] = found.theta, found.converged
    return np.where(ok[:, None], theta, np.nan)
