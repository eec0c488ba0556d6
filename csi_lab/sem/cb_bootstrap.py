"""Bootstrap of a covariance-based model: one call of the engine on the stack of all draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from csi_lab.errors import EstimationError, SpecError
from csi_lab.intervals import Interval, Kind, interval
from csi_lab.moments import Moments
from csi_lab.resampling import Method, Replicates, replicates
from csi_lab.sem.cb_answers import Answers
from csi_lab.sem.cb_engine import fisher_scoring
from csi_lab.sem.cb_inference import cells_of
from csi_lab.sem.cb_sample import Likelihood, Sample
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.cb_start import starting_values

# Draws rest a millionth of a standard error from their optimum: far below what the draws themselves vary.
TOLERANCE = 1e-6
MOST_ITERATIONS = 40


@dataclass(frozen=True, eq=False)
class Resampled:
    """Parameters of every draw.

    Attributes
    ----------
    theta
        ``(draws, q)``; NaN where a draw has no solution.
    method, df, scale
        Of the replicates, see :class:`csi_lab.resampling.Replicates`.
    kind, level
        Of the intervals.
    jackknife
        ``(units, q)`` for ``"bca"``, else ``None``.
    """

    theta: np.ndarray
    method: str
    df: float
    scale: np.ndarray | None
    kind: Kind
    level: float
    jackknife: np.ndarray | None = None

    @property
    def draws(self) -> int:
        """Number of draws."""
        return len(self.theta)

    @property
    def failed(self) -> int:
        """Draws without a solution."""
        return int(np.isnan(self.theta).any(axis=1).sum())

    def interval(self, function: Callable[[np.ndarray], np.ndarray], theta: np.ndarray) -> Interval:
        """Intervals of a function of the parameters ``(N, q) -> (N, k)``."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return interval(
                function(theta[None])[0],
                function(self.theta),
                kind=self.kind,
                level=self.level,
                df=self.df,
                scale=self.scale,
                jackknife=None if self.jackknife is None else function(self.jackknife),
            )

    def __str__(self) -> str:
        lost = f", {self.failed} of them without a solution and left out" if self.failed else ""
        return f"{self.kind} intervals at {self.level:.0%} from {self.draws} draws ({self.method}){lost}"


def resample(
    answers: Answers,
    specification: Specification,
    theta: np.ndarray,
    *,
    likelihood: Likelihood,
    given: Replicates | None,
    draws: int,
    rng: np.random.Generator | int,
    method: Method,
    indices: np.ndarray | None,
    replicate_weights: np.ndarray | None,
    kind: Kind,
    level: float,
) -> Resampled:
    """Refit the model to replicates of the sample; groups are resampled apart.

    Raises
    ------
    EstimationError
        If there are no rows to resample, answers are missing (fiml), or no draw has a solution.
    SpecError
        If settings do not fit.
    """
    if answers.missing == "fiml":
        raise EstimationError(
            "the bootstrap resamples moments of complete rows, which full-information estimation does not have; use "
            "its observed-information or robust standard errors, or fit with missing='listwise'"
        )
    several = len(answers.parts) > 1
    if several and (given is not None or indices is not None or replicate_weights is not None):
        raise SpecError("given replicates, indices or replicate weights are for one sample; groups are resampled apart")
    if several and (method == "jackknife" or kind in ("bca", "studentised")):
        raise SpecError("groups are resampled apart by the bootstrap; use kind 'percentile', 'normal' or 'bc'")
    if kind == "studentised":
        raise SpecError("kind='studentised' is not offered here; use 'percentile', 'normal', 'bc' or 'bca'")
    if given is not None:
        made = [given[list(answers.items)]]
    elif not answers.has_rows:
        raise EstimationError("moments have no rows to resample; fit the survey or DataFrame, or give replicates=")
    else:
        generator = np.random.default_rng(rng)
        children = generator.spawn(len(answers.parts)) if several else [generator]
        settings: dict[str, Any] = {
            "items": answers.items,
            "draws": draws,
            "method": method,
            "indices": indices,
            "replicate_weights": replicate_weights,
        }
        made = [
            replicates(part.frame, answers.design, weights=part.given_weights, rng=child, **settings)
            for part, child in zip(answers.parts, children, strict=True)
        ]
    found = refit(specification, [r.moments for r in made], theta, likelihood)
    if np.isnan(found).any(axis=1).all():
        raise EstimationError(f"none of the {len(found)} draws has a solution; the model is too large for these data")
    left_out = refit(specification, [made[0].jackknife], theta, likelihood) if kind == "bca" else None
    df = sum(r.df for r in made)
    return Resampled(found, made[0].method, df, made[0].scale, kind, level, left_out)


def refit(
    specification: Specification, moments: list[Moments], start: np.ndarray | None, likelihood: Likelihood
) -> np.ndarray:
    """Estimates ``(draws, q)`` on the moments of each group; NaN where a draw has no solution."""
    sample = Sample.complete(moments, means=specification.means, likelihood=likelihood)
    # A measurement model is best begun at the estimates of the whole sample. Paths of a draw may lie on the other side
    # of a singular matrix, so that a model with paths begins at the draw's own correlations.
    cells = cells_of(specification)
    starts = [start, None] if not specification.model.edges else [None, 0.5]
    theta = np.full((len(sample.scale), specification.n_free), np.nan)
    ok = np.zeros(len(theta), dtype=bool)
    for begin in starts:
        at = np.flatnonzero(~ok & sample.usable)
        if not len(at):
            break
        part = sample.draws(at)
        first = starting_values(specification, cells, part, begin) if isinstance(begin, float) else begin
        found = fisher_scoring(specification, part, start=first, tolerance=TOLERANCE, max_iterations=MOST_ITERATIONS)
        theta[at], ok[at] = found.theta, found.converged
    return np.where(ok[:, None], theta, np.nan)
