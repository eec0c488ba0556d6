"""The result of a covariance-based estimation: tables, fit, and what a reader must know."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from csi_lab.answers import require_columns, require_numbers
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.estimates import estimate_table
from csi_lab.intervals import Kind
from csi_lab.moments import Moments
from csi_lab.resampling import Method, Replicates
from csi_lab.sem import cb_check, cb_derived, cb_fit, cb_tables
from csi_lab.sem.cb_bootstrap import refit_moments, resample
from csi_lab.sem.cb_draws import drawn
from csi_lab.sem.cb_estimated import Estimated
from csi_lab.settings import require_cutoff, require_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class CBSEMFit(Estimated):
    r"""A structural equation model or confirmatory factor analysis estimated by maximum likelihood.

    Tables have the columns ``estimate, se, low, high``; intervals are normal with the standard errors asked for, or
    those of the draws after :meth:`bootstrap`. With several groups the first level of every index is the group. Its
    attributes are those of :class:`csi_lab.sem.cb_estimated.Estimated`.
    """

    @cached_property
    def fit_measures(self) -> pd.Series:
        """Measures of fit by name, with RMSEA's interval at 90 % and close fit at .05; see :meth:`measures`."""
        return self.measures()

    def measures(self, *, close: float = 0.05, level: float = 0.90) -> pd.Series:
        r"""Measures of fit.

        * ``chi2, df, p``: likelihood ratio against the saturated model; ``baseline_*``: of the independence model
          (free variances and means).
        * ``cfi`` :math:`1 - \max(\chi^2 - df, 0)/\max(\chi^2_0 - df_0, \chi^2 - df, 0)`, ``tli``
          :math:`[\chi^2_0/df_0 - \chi^2/df]/[\chi^2_0/df_0 - 1]`.
        * ``rmsea`` :math:`\sqrt{G \max(\chi^2 - df, 0)/(n\,df)}` for G groups with its interval, ``rmsea_close_p``: the
          p-value of RMSEA <= ``close``.
        * ``srmr``: root mean square of residuals over observed standard deviations, with the residuals of means where
          means are modelled; ``gfi``: of covariances.
        * ``loglik, aic, bic``: full normal likelihood, ln(n) in the BIC.
        * with robust standard errors ``*_scaled`` (chi2 divided by ``scaling_factor``) and, for complete data,
          ``*_robust`` (the index itself corrected).

        Parameters
        ----------
        close
            Default .05: Browne & Cudeck (1993), in Bollen & Long (eds.), Testing Structural Equation Models, 136-162.
        level
            Of RMSEA's interval.
        """
        import pandas as pd

        require_level(level, usual=0.90)
        require_cutoff(close, "close")
        if not close > 0:
            raise SpecError(f"close={close!r} must be above 0, e.g. 0.05")
        found = cb_fit.measures(self.specification, self.sample, self.theta, self.scaling, close, level)
        if self.withheld or not self.answers.simple:
            for name in ("p", "rmsea_low", "rmsea_high", "rmsea_close_p"):
                found[name] = float("nan")
        return pd.Series(found, name="value").rename_axis("measure")

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Every reason not to use this solution, the gravest first; empty for a proper one. See :meth:`check`."""
        return self.check()

    def check(
        self, *, heywood: float = cb_check.HEYWOOD, vif: float = cb_check.VIF, failed: float = cb_check.FAILED
    ) -> tuple[str, ...]:
        """Whether the solution is proper.

        Not identified (df < 0, or parameters that move without changing the fit), not converged, residual variances
        that are negative or at most ``heywood`` of the item's variance, standardised loadings of 1 or more,
        correlations of constructs beyond 1, construct covariances that are not positive definite, several optima, and,
        in a proper solution, sources of a construct whose variance inflation passes ``vif``.

        Parameters
        ----------
        heywood
            Default 1e-4 of the item's variance: variances at a bound rest within rounding of 0.
        vif
            Default 10: Kutner, Nachtsheim, Neter & Li (2005), Applied Linear Statistical Models, 5th ed., sec. 10.5.
        failed
            Share of bootstrap draws without a solution above which the intervals are doubtful; default .05, as much as
            an interval of 95 % leaves outside.
        """
        for name, value in (("heywood", heywood), ("vif", vif), ("failed", failed)):
            require_cutoff(value, name)
        found = cb_check.problems(
            self.specification,
            self.theta,
            undetermined=self.undetermined,
            converged=self.converged,
            distance=self.distance,
            iterations=self.iterations,
            others=self.others,
            heywood=heywood,
            vif=vif,
        )
        drawn = self.resampled
        if drawn is not None and drawn.failed > failed * drawn.draws:
            lost = f"{drawn.failed} of {drawn.draws} draws have no solution and are left out"
            kept = f", {drawn.improper} have an improper one and are kept" if drawn.improper else ""
            found = (f"DOUBTFUL INTERVALS: {lost}{kept}; those that are left are no random part of them", *found)
        return found

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """All parameters in the units of the data: estimate, se, z, p, low, high, standardised; fixed ones have se 0.

        Index lhs, op, rhs: ``construct =~ item`` loadings, ``target ~ source`` paths, ``~~`` (co)variances, of
        residuals for items and explained constructs, ``~1`` intercepts.
        """
        table = self._table(cb_derived.parameters(self.specification))
        fixed = np.array([row.free < 0 for row in self.specification.rows])
        table.loc[fixed, "se"] = 0.0
        for end in ("low", "high"):
            table.loc[fixed, end] = table.loc[fixed, "estimate"]
        with np.errstate(invalid="ignore", divide="ignore"):
            z = np.where(fixed, np.nan, table["estimate"] / table["se"])
        table.insert(2, "z", z)
        table.insert(3, "p", 2 * special.ndtr(-np.abs(z)))
        return table.assign(standardised=self._values(cb_derived.standardised(self.specification)))

    @cached_property
    def standardised(self) -> pd.DataFrame:
        """All parameters with items and constructs of variance 1; residual covariances are residual correlations."""
        return self._table(cb_derived.standardised(self.specification))

    @cached_property
    def paths(self) -> pd.DataFrame:
        """Standardised path coefficients, index (source, target); unstandardised ones are in ``parameters``."""
        return self._table(cb_derived.effects(self.specification, "direct", True))

    @cached_property
    def loadings(self) -> pd.DataFrame:
        """Standardised loadings, index (construct, item); a single item has 1."""
        return self._table(cb_derived.loadings(self.specification))

    @cached_property
    def total_effects(self) -> pd.DataFrame:
        """Standardised direct plus indirect effects, index (source, target)."""
        return self._table(cb_derived.effects(self.specification, "total", True))

    @cached_property
    def indirect_effects(self) -> pd.DataFrame:
        """Standardised total minus direct effects, index (source, target), where there is a way round."""
        return self._table(cb_derived.effects(self.specification, "indirect", True))

    def effects(self, *, standardised: bool = True) -> pd.DataFrame:
        """Direct, indirect and total effects in one table, index (effect, source, target)."""
        import pandas as pd

        kinds = ("direct", "indirect", "total")
        tables = {k: self._table(cb_derived.effects(self.specification, k, standardised)) for k in kinds}
        return pd.concat(tables, names=["effect"])

    @cached_property
    def r2(self) -> pd.DataFrame:
        """Share of the variance of each explained construct that its sources explain."""
        return self._table(cb_derived.explained(self.specification))

    @cached_property
    def item_r2(self) -> pd.DataFrame:
        """Share of each item's variance that its construct explains (communality)."""
        return self._table(cb_derived.communalities(self.specification))

    @cached_property
    def latent_correlations(self) -> pd.DataFrame:
        """Implied correlations of the constructs, index (construct, with)."""
        return self._table(cb_derived.latent_correlations(self.specification))

    @cached_property
    def reliability(self) -> pd.DataFrame:
        r"""Reliability of the constructs with several items, index (construct, coefficient).

        ``cr``: composite reliability and ``ave``: average variance extracted, from standardised loadings [1]_;
        ``omega`` and ``ave_unstandardised``: from unstandardised loadings, over the implied variance of the sum of
        items; ``omega_observed``: the same over its observed variance, whose sampling error counts too.

        References
        ----------
        .. [1] Fornell, C., & Larcker, D. F. (1981). Evaluating structural equation models with unobservable variables
           and measurement error. Journal of Marketing Research, 18(1), 39-50.
        """
        table = self._table(cb_derived.reliability(self.specification))
        return cb_tables.with_omega_observed(table, self._table(cb_derived.omega_observed(self.specification)))

    @cached_property
    def residuals(self) -> pd.DataFrame:
        """Correlation residuals: (observed - implied) / sqrt(s_ii s_jj), items by items."""
        return cb_tables.residuals(self.specification, self.sample, self.theta)

    def modification_indices(self, *, minimum: float = 0.0) -> pd.DataFrame:
        """What freeing one more parameter would gain, the largest first.

        ``mi`` is the score test with expected information (about the fall of chi2, 1 df), ``epc`` the expected change
        of the parameter, ``epc_standardised`` the same in the standardised solution. Candidates are cross-loadings,
        residual covariances, in models with paths further paths and construct covariances, and whatever is ``fixed``;
        with equal loadings the markers too, one group at a time. Those that would leave the model unidentified are left
        out. Nothing is freed here: a change needs a reason besides its index [1]_.

        With ``likelihood="wishart"`` the index is about the fall of that chi2; lavaan's is n/(n - 1) times it.

        Parameters
        ----------
        minimum
            Indices below are left out; 3.84 is the .05 critical value of one test.

        Raises
        ------
        EstimationError
            If the model is not identified.

        References
        ----------
        .. [1] MacCallum, R. C., Roznowski, M., & Necowitz, L. B. (1992). Model modifications in covariance structure
           analysis: the problem of capitalization on chance. Psychological Bulletin, 111(3), 490-504.
        """
        if self.undetermined or self.specification.df < 0:
            raise EstimationError(self.problems[0])
        require_cutoff(minimum, "minimum")
        table = cb_tables.modifications(self.specification, self.sample, self.theta)
        return table[table["mi"] >= minimum]

    def bootstrap(
        self,
        draws: int = 1000,
        rng: np.random.Generator | int = 0,
        *,
        kind: Kind = "percentile",
        level: float = 0.95,
        method: Method = "auto",
        indices: np.ndarray | None = None,
        replicate_weights: np.ndarray | None = None,
        replicates: Replicates | None = None,
    ) -> CBSEMFit:
        """The same fit with standard errors and intervals of every table from resamples of the design.

        The model is refitted to the moments of all draws in one call; with ``missing="fiml"`` to the sums of every
        missing pattern, in blocks of draws. Draws without a solution are left out, improper ones are kept, because
        leaving them out would bias the intervals [1]_; both are counted. Without a design groups are resampled apart;
        with strata or primary units these are resampled, each with its rows in all groups.

        Parameters
        ----------
        draws, rng, method, indices, replicate_weights
            As in :func:`csi_lab.resampling.replicates`; ``indices`` and ``replicate_weights`` for one group only.
        kind, level
            Of the intervals: ``"percentile"``, ``"normal"``, ``"bc"`` or ``"bca"``. The acceleration of BCa leaves out
            each unit of all groups in turn while the others stay.
        replicates
            Replicates made before, instead of the above.

        Raises
        ------
        EstimationError
            If only moments are known, the model is not identified, or no draw has a solution.
        SpecError, DataError
            As :func:`csi_lab.resampling.replicates`.

        Notes
        -----
        Where constructs are nearly collinear, paths of many resamples grow without bounds and there is no solution, or
        an improper one only: of 200 draws of the ECSI model of mobile phone customers (n = 250) 40 have none and 128
        an improper one; R lavaan 0.6-14 brings 59 of the same draws to no end.

        References
        ----------
        .. [1] Kolenikov, S., & Bollen, K. A. (2012). Testing negative error variances: Is a Heywood case a symptom of
           misspecification? Sociological Methods & Research, 41(1), 124-167.
        """
        if self.undetermined or self.specification.df < 0:
            raise EstimationError(self.problems[0])
        made = drawn(
            self.answers,
            means=self.specification.means,
            likelihood=self.likelihood,
            given=replicates,
            draws=draws,
            rng=rng,
            method=method,
            indices=indices,
            replicate_weights=replicate_weights,
        )
        found = resample(self.specification, made, self.theta, kind=kind, level=level)
        return replace(self, resampled=found, level=level)

    def refit(self, moments: Moments | Sequence[Moments]) -> pd.DataFrame:
        """Estimates on other moments, a column per draw; NaN where there is no solution.

        Parameters
        ----------
        moments
            Moments of the items with any leading axes; with several groups one for each, in their order.
        """
        given = [moments] if isinstance(moments, Moments) else list(moments) if isinstance(moments, Sequence) else []
        if not given or not all(isinstance(m, Moments) for m in given):
            raise DataError("refit takes Moments, or a list of them, one for each group; csi.Moments.from_frame(frame)")
        if len(given) != len(self.specification.groups):
            raise DataError(f"the model has {len(self.specification.groups)} groups; got moments of {len(given)}")
        chosen = [m[list(self.specification.items)] for m in given]
        values = refit_moments(self.specification, chosen, self.theta, self.likelihood)
        return estimate_table(values if chosen[0].shape else values[0], self.specification.names, ["parameter"])

    def scores(self, frame: pd.DataFrame) -> pd.DataFrame:
        r"""Factor scores by regression, :math:`E(\eta|x) = \bar\eta + \Phi\Lambda'\Sigma^{-1}(x - \mu)`, one group.

        Rows keep their order and index; a row with a missing item has NaN.

        Raises
        ------
        DataError
            If an item is absent or not numeric.
        EstimationError
            If there are several groups.

        References
        ----------
        .. [1] Thurstone, L. L. (1935). The Vectors of Mind. University of Chicago Press.
        """
        import pandas as pd

        items = list(self.specification.items)
        if not isinstance(frame, pd.DataFrame):
            raise DataError(
                f"scores are of the rows of a DataFrame with the items as columns, not of {type(frame).__name__}"
            )
        require_columns(frame, items)
        require_numbers(frame[items])
        centred = frame[items].to_numpy(dtype=float, na_value=np.nan) - self.moments.mean
        weight = cb_derived.score_weights(self.specification, self.sample, self.theta)
        return pd.DataFrame(centred @ weight, index=frame.index, columns=list(self.specification.constructs))

    def to_frame(self) -> pd.DataFrame:
        """All parameters, as ``parameters``."""
        return self.parameters

    def plot(self, ax: Axes | None = None, labels: dict[str, str] | None = None) -> Axes:
        """Path diagram with standardised coefficients and R2 of a single group."""
        from csi_lab import plots

        if len(self.specification.groups) > 1:
            raise EstimationError("a diagram shows one group; fit the groups one by one to draw them")
        return plots.path_diagram(self, ax=ax, labels=labels)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return cb_tables.summary(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        table = self.paths if self.model.edges else self.loadings
        return f"<p>{lines}</p>{table.round(3).to_html()}"
