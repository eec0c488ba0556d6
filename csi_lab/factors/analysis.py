"""Exploratory factor analysis from answers to a fitted, rotated result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csi_lab.errors import EstimationError, SpecError
from csi_lab.factors.correlations import asked, estimated, require_regular, usable
from csi_lab.factors.extraction import EXTRACTIONS, LOWER, Extracted, Extraction, extract
from csi_lab.factors.fitting import degrees_of_freedom, fit_measures, most_factors, residuals, root_mean_square
from csi_lab.factors.result import EFAFit
from csi_lab.factors.rotation import Rotated, Rotation, RotationName, aligned, arranged, rotate
from csi_lab.intervals import Kind
from csi_lab.moments import Missing, Moments
from csi_lab.polychoric_result import Polychoric
from csi_lab.resampling import Replicates
from csi_lab.settings import require_level, require_whole

# A factor whose loadings have a smaller norm is rounding.
EMPTY_FACTOR = 1e-6


def efa(
    data: Any,
    n_factors: int,
    items: Sequence[str] | None = None,
    *,
    extraction: Extraction = "minres",
    rotation: Rotation | RotationName = "oblimin",
    weights: Any = None,
    missing: Missing = "listwise",
    lower: float = LOWER,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> EFAFit:
    r"""Exploratory factor analysis of the correlations, :math:`R \approx L \Phi L' + \Psi`.

    Parameters
    ----------
    data
        A survey, a DataFrame, Moments of one survey (a published correlation matrix:
        :meth:`csi_lab.Moments.from_covariance`), or polychoric correlations.
    n_factors
        m >= 1; see :func:`csi_lab.factors.parallel_analysis`.
    items
        Three or more; default all.
    extraction
        * ``"minres"`` [1]_: least sum of squared residual correlations;
        * ``"ml"`` [2]_: largest normal likelihood;
        * ``"principal axis"``: communalities put on the diagonal and computed again until they move by less than
          ``tolerance``; where it converges it is minres;
        * ``"components"``: principal components, which explain variance and not correlations, and are named so.
    rotation
        A name, or a :class:`Rotation` with settings.
    weights
        Sampling weights for a DataFrame (array, Series or column name).
    missing
        ``"listwise"`` or ``"raise"``.
    lower
        Lower bound of the uniquenesses in minres and ML; items that reach it are reported as Heywood cases. Default
        .005, as in psych and factanal.
    tolerance
        Of the principal axis iteration.
    max_iterations
        Of the extraction.
    draws, rng, replicates, kind, level
        Ask for intervals of loadings, communalities and factor correlations. Each replicate is extracted and rotated by
        itself, beginning at the solution of the sample, and its factors are put in the order and sign most like it.

    Returns
    -------
    EFAFit

    Raises
    ------
    DataError
        If an item is absent, text, constant or a copy of another, or rows are no more than items.
    EstimationError
        If ML is asked of correlations without an inverse (the items that depend on each other are named), or the
        correlations hold fewer factors than asked for.
    SpecError
        If there are too many factors for the items, or a setting is unknown.

    Notes
    -----
    Agrees with R psych 2.2.9 and with R's rotations run to convergence (``tests/reference/efa``): unrotated loadings to
    7e-6, rotated ones and factor correlations to 3e-6. psych's own varimax and promax stop 1e-3 short of the optimum.

    References
    ----------
    .. [1] Harman, H. H., & Jones, W. H. (1966). Factor analysis by minimizing residuals (minres). Psychometrika, 31(3),
       351-368.
    .. [2] Joereskog, K. G. (1967). Some contributions to maximum likelihood factor analysis. Psychometrika, 32(4),
       443-482.
    .. [3] Bernaards, C. A., & Jennrich, R. I. (2005). Gradient projection algorithms and software for arbitrary
       rotation criteria in factor analysis. Educational and Psychological Measurement, 65(5), 676-696.
    .. [4] Zhang, G. (2014). Estimating standard errors in exploratory factor analysis. Multivariate Behavioral
       Research, 49(4), 339-353.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> items = [*survey.constructs["Quality"], *survey.constructs["Loyalty"]]
    >>> print(efa(survey, 2, items))
    10 items, 2 factors by minres, oblimin (gamma 0); n = 250
    ...
    """
    spec = rotation if isinstance(rotation, Rotation) else Rotation(rotation)
    if extraction not in EXTRACTIONS:
        raise SpecError(f"extraction={extraction!r} is unknown; use one of {list(EXTRACTIONS)}")
    require_level(lower, "lower", LOWER)
    require_level(tolerance, "tolerance", 1e-6)
    require_whole(max_iterations, "max_iterations")
    moments, reservation = usable(data, items, weights, missing)
    _require_room(n_factors, len(moments.names), extraction)
    if extraction == "ml":
        require_regular(moments.corr, moments.names, "maximum likelihood")
    settings: dict[str, Any] = {"lower": lower, "tolerance": tolerance, "max_iterations": max_iterations}
    found = extract(moments.corr, n_factors, extraction, **settings)
    _require_loadings(found.loadings)
    turned = rotate(found.loadings, spec)
    pattern, phi, _ = arranged(turned.loadings, turned.phi)
    solution = _Solution(extraction, spec, found, turned, pattern, settings)
    made = asked(data, moments, weights=weights, missing=missing, draws=draws, rng=rng, replicates=replicates)
    quantities = (lambda m: _quantities(pattern, phi)) if made is None else solution.again
    interval = estimated(quantities, moments, made, kind, level)
    if extraction == "components":
        left = residuals(moments.corr, pattern, phi)
        none = dict.fromkeys(
            ("chi2", "df", "p", "discrepancy", "rmsea", "rmsea_low", "rmsea_high", "tli", "bic"), np.nan
        )
        measures = {**none, "rmsr": float(root_mean_square(left)), "rmsr_corrected": np.nan}
    else:
        measures = fit_measures(moments.corr, pattern, phi, found.uniqueness, int(moments.n), reservation)
    return EFAFit(
        moments=moments,
        reservation=reservation,
        extraction=extraction,
        rotation=spec,
        pattern=pattern,
        phi_matrix=np.array(phi),
        uniquenesses=found.uniqueness,
        measures=measures,
        converged=bool(found.converged),
        iterations=int(found.iterations),
        rotated=bool(turned.converged),
        starts_agreeing=int(turned.agreeing),
        lower=lower,
        interval=interval,
        latent=isinstance(data, Polychoric),
    )


@dataclass(frozen=True)
class _Solution:
    """The solution of a sample, to which those of its replicates are likened."""

    extraction: Extraction
    rotation: Rotation
    found: Extracted
    turned: Rotated
    pattern: np.ndarray
    settings: dict[str, Any]

    def again(self, moments: Moments) -> np.ndarray:
        """Loadings, communalities and factor correlations ``(..., k)`` of replicates; NaN where none was found."""
        m = self.pattern.shape[1]
        bounded = self.extraction in ("minres", "ml")
        begin = self.found.uniqueness if bounded else None
        one = extract(moments.corr, m, self.extraction, start=begin, **self.settings)
        sound = np.isfinite(one.loadings).all(axis=(-2, -1)) & one.converged
        unrotated = np.where(sound[..., None, None], one.loadings, self.found.loadings)
        start = None
        if self.rotation.name != "none" and m > 1:
            # Unrotated factors of near-equal size change places freely; turned next to the sample's they do not.
            u, _, v = np.linalg.svd(np.swapaxes(unrotated, -1, -2) @ self.found.loadings)
            unrotated, start = unrotated @ (u @ v), self.turned.transform
        turned = rotate(unrotated, self.rotation, start)
        loadings, phi = aligned(turned.loadings, turned.phi, self.pattern)
        sound &= turned.converged
        return np.where(sound[..., None], _quantities(loadings, phi), np.nan)


def _quantities(loadings: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Loadings row by row, communalities, and correlations of factor pairs, in one vector ``(..., k)``."""
    communalities = ((loadings @ phi) * loadings).sum(axis=-1)
    first, second = np.triu_indices(loadings.shape[-1], 1)
    flat = loadings.reshape(*loadings.shape[:-2], -1)
    return np.concatenate([flat, communalities, phi[..., first, second]], axis=-1)


def _require_loadings(unrotated: np.ndarray) -> None:
    m = unrotated.shape[1]
    there = int((np.sqrt((unrotated**2).sum(axis=0)) > EMPTY_FACTOR).sum())
    if there < m:
        raise EstimationError(
            f"the correlations hold {there} factor{'s' * (there != 1)}, and {m} were asked for: a further one has no "
            "loadings" + (f"; take n_factors={there}" if there else "; the items share nothing")
        )


def _require_room(m: int, p: int, extraction: Extraction) -> None:
    require_whole(m, "n_factors")
    if extraction == "components":
        if m > p:
            raise SpecError(f"{m} components of {p} items: there are no more components than items")
        return
    if degrees_of_freedom(p, m) < 0 or m >= p:
        raise SpecError(
            f"{m} factors of {p} items have more loadings than there are correlations; {p} items carry at most "
            f"{most_factors(p)}"
        )
