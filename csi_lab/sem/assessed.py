"""The assessment of an estimated path model as tables: reliability, validity, effect sizes, collinearity, fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.sem import assess, implied
from csi_lab.sem.estimation import Estimation

if TYPE_CHECKING:
    import pandas as pd

# The statistics of `reliability`, in order.
RELIABILITIES = ("alpha (standardised)", "alpha (raw)", "rho_A", "rho_C", "AVE")


@dataclass(frozen=True, eq=False)
class Assessed(Estimation):
    """An estimated path model with the tables of its assessment; see :class:`~csi_lab.sem.fit.PLSFit`."""

    @cached_property
    def specific_indirect_effects(self) -> pd.DataFrame:
        """The product of the coefficients along every way of two paths or more, index (source, target, way)."""
        found = assess.ways(self.model)
        index = [(way[0], way[-1], " -> ".join(way)) for way in found]
        return self._table(
            lambda fit: assess.specific_effects(fit.solution, fit.model), index, ["source", "target", "way"]
        )

    @cached_property
    def reliability(self) -> pd.DataFrame:
        """Reliability and convergent validity of each construct, index (construct, statistic).

        The statistics are Cronbach's alpha from correlations, ``"alpha (standardised)"``, and from covariances,
        ``"alpha (raw)"``; ``"rho_A"`` of Dijkstra and Henseler (1 in mode B); composite reliability ``"rho_C"``; and
        ``"AVE"``. A single item has 1 throughout, by convention; see :mod:`csi_lab.sem.assess` for the formulas.

        Examples
        --------
        >>> import csi_lab as csi
        >>> fit = csi.sem.pls(csi.load_survey("mobile"))
        >>> fit.reliability["estimate"].unstack().loc["Image", ["rho_A", "rho_C", "AVE"]].round(3).tolist()
        [0.74, 0.819, 0.478]
        """

        def values(fit: Assessed) -> np.ndarray:
            corr, layout = fit.moments.corr, fit.layout
            loadings = assess.own_loadings(fit.solution, layout)
            weights = fit.solution.weights if fit.scaled else fit.solution.weights * fit.moments.sd
            found = [
                assess.alpha(corr, layout),
                assess.alpha(fit.moments.cov, layout),
                assess.rho_a(weights, corr, layout),
                assess.rho_c(loadings, layout),
                assess.ave(loadings, layout),
            ]
            return np.stack(found, axis=-1).reshape(*fit.moments.shape, -1)

        index = [(c, statistic) for c in self.model.constructs for statistic in RELIABILITIES]
        return self._table(values, index, ["construct", "statistic"])

    @cached_property
    def htmt(self) -> pd.DataFrame:
        """Heterotrait-monotrait ratios of absolute correlations, index (construct, with); single items included."""
        from csi_lab.validity.discriminant import htmt

        return self._lower(lambda fit: htmt(fit.moments.corr, fit.layout.member), diagonal=False)

    @cached_property
    def htmt2(self) -> pd.DataFrame:
        """Heterotrait-monotrait ratios of geometric means, NaN where a correlation between two blocks is negative."""
        from csi_lab.validity.discriminant import htmt2

        return self._lower(lambda fit: htmt2(fit.moments.corr, fit.layout.member), diagonal=False)

    @cached_property
    def fornell_larcker(self) -> pd.DataFrame:
        """Construct correlations (corrected ones when consistent) with the root of the AVE on the diagonal.

        Index (construct, with); ``fit.fornell_larcker["estimate"].unstack()`` is the usual triangle.
        """
        return self._lower(lambda fit: assess.fornell_larcker(fit.solution, fit.layout), diagonal=True)

    @cached_property
    def vif(self) -> pd.DataFrame:
        """Variance inflation of each source in the regression of its target, index (source, target)."""
        return self._edges(lambda fit: fit.solution.vif)

    @cached_property
    def item_vif(self) -> pd.DataFrame:
        """Variance inflation of each item by the others of its block; 1 for one item, infinite for a copy."""
        return self._items(lambda fit: assess.item_vif(fit.moments.corr, fit.layout))

    @cached_property
    def f2(self) -> pd.DataFrame:
        """Effect size of each path with the scores kept fixed (SmartPLS, cSEM): (R2 - R2 without) / (1 - R2)."""
        return self._edges(lambda fit: assess.f2_fixed_scores(fit.solution))

    @cached_property
    def f2_reestimated(self) -> pd.DataFrame:
        """Effect size of each path with the whole model estimated again without it (seminr).

        R2 without the path is 0 where the target has no other source. A construct that loses its only path leaves the
        model. After :meth:`bootstrap` every replicate is estimated again for every such path.
        """

        def values(fit: Assessed) -> np.ndarray:
            r2 = fit.solution.r2[..., fit.layout.arrows[1]]
            found = [
                fit._without(s, t) if len(fit.model.paths[t]) > 1 else np.zeros(fit.moments.shape)
                for s, t in _arrows(fit)
            ]
            return (r2 - np.stack(found, axis=-1)) / (1 - r2)

        return self._table(values, _arrows(self), ["source", "target"]).loc[list(self.model.edges)]

    @cached_property
    def model_fit(self) -> pd.DataFrame:
        """GoF, SRMR, d_ULS, d_G (natural logarithm) and d_ML of the item correlations that the model implies.

        They describe. Distances between matrices are larger in resamples, which add their own sampling error to that of
        the sample: percentile intervals of SRMR and the d's from :meth:`bootstrap` lie too high, above the estimate
        itself in small samples. ``kind="bc"`` corrects for it and is NaN where no draw lies below the estimate. None of
        them tests the model.
        Formulas: :func:`csi_lab.sem.implied.measures`.

        Examples
        --------
        >>> import csi_lab as csi
        >>> fit = csi.sem.pls(csi.load_survey("mobile"))
        >>> fit.model_fit["estimate"].round(3).to_dict()
        {'GoF': 0.472, 'SRMR': 0.133, 'd_ULS': 5.29, 'd_G': 4.523, 'd_ML': 4.366}
        """
        return self._table(
            lambda fit: implied.measures(fit.solution, fit.moments.corr, fit.layout), implied.MEASURES, ["measure"]
        )

    @cached_property
    def information_criteria(self) -> pd.DataFrame:
        """AIC and BIC of the regression of each construct on its sources, index (construct, criterion)."""
        keep = self.layout.endogenous
        index = [(list(self.model.constructs)[j], name) for j in keep for name in ("AIC", "BIC")]

        def values(fit: Assessed) -> np.ndarray:
            found = assess.information_criteria(fit.solution, fit.layout, fit.moments.n)
            return found[..., keep, :].reshape(*fit.moments.shape, -1)

        return self._table(values, index, ["construct", "criterion"])

    def _without(self, source: str, target: str) -> np.ndarray:
        """R2 ``(...)`` of the target in the model estimated without one path."""
        model = assess.without_path(self.model, source, target)
        moments = self.moments if model.items == self.model.items else self.moments[list(model.items)]
        fit = replace(self, model=model).again(moments)
        r2 = fit.solution.r2[..., list(model.constructs).index(target)]
        return np.where(fit.solution.converged, r2, np.nan)


def _arrows(fit: Assessed) -> list[tuple[str, str]]:
    """Source and target of every path in the order of ``layout.arrows``."""
    names = list(fit.model.constructs)
    return [(names[s], names[t]) for s, t in zip(*fit.layout.arrows, strict=True)]
