"""A maximum likelihood solution and how much it varies from sample to sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from csi_lab.errors import EstimationError
from csi_lab.estimates import estimate_table
from csi_lab.moments import Moments
from csi_lab.sem import cb_inference, cb_joint, cb_tables
from csi_lab.sem.cb_answers import Answers
from csi_lab.sem.cb_bootstrap import Resampled
from csi_lab.sem.cb_derived import Quantity, observed_variances
from csi_lab.sem.cb_sample import Likelihood, Sample
from csi_lab.sem.cb_specification import Specification

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.model import PathModel

StandardErrors = Literal["expected", "observed", "robust", "mlm"]


@dataclass(frozen=True, eq=False)
class Estimated:
    """Parameters of a model, the sample they come from, and their sampling covariances.

    Attributes
    ----------
    specification
        The parameters: free, fixed, equal.
    answers, sample
        What was analysed.
    theta
        The free parameters in the units of the data, in the order of ``specification.names``.
    engine
        What found them.
    converged, iterations, distance
        Whether they rest, after how many steps, and how many standard errors they are from the optimum.
    se
        Standard errors: ``"expected"``, ``"observed"``, ``"robust"`` or ``"mlm"``.
    likelihood
        ``"normal"``: chi2 = n F, ``"wishart"``: (n - 1) F with the unbiased covariances.
    level
        Of the intervals.
    others
        By how much chi2 is larger at other optima that were found.
    resampled
        The draws of a bootstrap, or ``None``.
    """

    specification: Specification
    answers: Answers
    sample: Sample
    theta: np.ndarray
    engine: str
    converged: bool
    iterations: int
    distance: float
    se: StandardErrors
    likelihood: Likelihood
    level: float
    others: tuple[float, ...] = ()
    resampled: Resampled | None = None

    @property
    def model(self) -> PathModel:
        """The path model."""
        return self.specification.model

    @property
    def n(self) -> int:
        """Respondents used."""
        return self.answers.n

    @cached_property
    def moments(self) -> Moments:
        """Saturated means and covariances (denominator n) of a single group.

        Raises
        ------
        EstimationError
            If there are several groups.
        """
        if len(self.specification.groups) > 1:
            raise EstimationError("each group has its own moments; see fit.answers.parts")
        scale = self.sample.scale[0]
        mean, cov = self.sample.mean[0, 0] * scale, self.sample.cov[0, 0] * np.outer(scale, scale)
        return Moments.from_covariance(self.specification.items, self.n, mean, (cov + cov.T) / 2, ddof=0)

    @cached_property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that can move together without changing the fit; empty for an identified model."""
        return cb_inference.undetermined(self.specification, self.sample, self.theta)

    @cached_property
    def withheld(self) -> str:
        """Why there are no standard errors and p-values; empty if there are."""
        if self.undetermined or self.specification.df < 0:
            return "the model is not identified"
        if not self.answers.simple and self.se not in ("robust", "mlm"):
            return (
                "the sample has weights, strata or clusters, which normal theory ignores; use se='robust' or "
                "fit.bootstrap()"
            )
        return ""

    @cached_property
    def covariance(self) -> np.ndarray:
        """Sampling covariances of ``theta`` ``(q, q)``; NaN where withheld."""
        if self.withheld:
            return np.full((len(self.theta), len(self.theta)), np.nan)
        if self.se not in ("robust", "mlm"):
            return self._bread
        centred = self.se == "mlm"
        squares = cb_inference.meat(self.specification, self.answers, self.sample, self.theta, centred=centred)
        return cb_inference.sandwich(self._bread, squares)

    @cached_property
    def joint_covariance(self) -> np.ndarray:
        """Sampling covariances of ``theta`` and the observed variances of sums of items ``(q + K, q + K)``.

        The sums are those of :func:`csi_lab.sem.cb_derived.observed_variances`; NaN where withheld.
        """
        if self.withheld:
            width = len(self.theta) + observed_variances(self.specification, self.sample).shape[1]
            return np.full((width, width), np.nan)
        if self.se not in ("robust", "mlm"):
            return cb_joint.normal_covariance(self.specification, self.sample, self.theta, self.covariance)
        return cb_joint.robust_covariance(
            self.specification, self.answers, self.sample, self.theta, self._bread, centred=self.se == "mlm"
        )

    @cached_property
    def _bread(self) -> np.ndarray:
        kind = "observed" if self.se in ("observed", "robust") else "expected"
        return cb_inference.inverse(cb_inference.information(self.specification, self.sample, self.theta, kind))

    @cached_property
    def scaling(self) -> cb_inference.Scaling | None:
        """Scaling factors of the robust tests; ``None`` without robust standard errors."""
        if self.se not in ("robust", "mlm") or self.withheld:
            return None
        return cb_inference.scaling(self.specification, self.answers, self.sample, self.theta, self.se)

    def _estimates(self, quantity: Quantity) -> np.ndarray:
        """What the quantity is a function of: theta, or theta and the observed variances."""
        if not quantity.beside:
            return self.theta
        return np.concatenate([self.theta, observed_variances(self.specification, self.sample)[0]])

    def _values(self, quantity: Quantity) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return quantity.function(self._estimates(quantity)[None])[0]

    def _table(self, quantity: Quantity) -> pd.DataFrame:
        index = [label[0] if len(quantity.names) == 1 else label for label in quantity.labels]
        if not index:
            return cb_tables.empty(quantity.names)
        at = self._estimates(quantity)
        if self.resampled is not None:
            return self.resampled.interval(quantity.function, at).to_frame(index, quantity.names)
        estimate = self._values(quantity)
        with np.errstate(invalid="ignore", divide="ignore"):
            se = cb_inference.delta(
                quantity.function, at, self.joint_covariance if quantity.beside else self.covariance
            )
        reach = special.ndtri((1 + self.level) / 2) * se
        table = estimate_table(estimate, index, quantity.names)
        return table.assign(se=se, low=estimate - reach, high=estimate + reach)
