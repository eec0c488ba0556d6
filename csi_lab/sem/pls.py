"""Partial least squares path models, from moments: one survey, or thousands of replicates at once."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import CsiLabWarning, EstimationError, SpecError, listed
from csi_lab.model import PathModel, model_of
from csi_lab.moments import Missing, Moments, as_moments
from csi_lab.resampling import replicates
from csi_lab.sem.algorithm import SCHEMES, Layout, Scheme
from csi_lab.sem.assess import rho_a
from csi_lab.sem.estimation import estimate
from csi_lab.sem.fit import PLSFit
from csi_lab.settings import is_number, is_whole
from csi_lab.usable import require_variation


def pls(
    data: Any,
    model: PathModel | None = None,
    *,
    scheme: Scheme = "path",
    scaled: bool = True,
    consistent: bool = False,
    weights: Any = None,
    missing: Missing = "listwise",
    tolerance: float = 1e-7,
    max_iterations: int = 300,
) -> PLSFit:
    r"""Estimate a path model by partial least squares.

    Scores are weighted sums of items, :math:`y_j = X_j w_j`, of variance 1. The weights alternate between an inner
    estimate :math:`z_j = \sum_i e_{ij} y_i` over the neighbours of each construct and an outer one,
    :math:`w_j \propto \operatorname{cov}(X_j, z_j)` (mode A) or :math:`S_{jj}^{-1} \operatorname{cov}(X_j, z_j)`
    (mode B), until they rest. Paths are then the regressions of scores on the scores of their sources. Everything
    follows from the covariance matrix of the items, so rows are never looked at twice.

    Parameters
    ----------
    data
        A survey, a DataFrame with the items as columns, or Moments (leading axes are estimated side by side).
    model
        Constructs, items, paths and modes; ``None`` takes the model of the survey.
    scheme
        Inner weights e: ``"path"`` regression coefficients on sources, correlations with targets; ``"factorial"``
        correlations; ``"centroid"`` their signs.
    scaled
        ``True`` standardises the items (denominator n - 1). ``False`` keeps their units: items that vary more weigh
        more.
    consistent
        ``True`` corrects the construct correlations for the unreliability of the scores of mode A blocks (PLSc):
        loadings, paths and R2 then estimate those of common factors [4]_; weights and scores stay the same. The result
        may be improper (a correlation beyond 1) and then says so first. Standardised items only.
    weights
        Sampling weights for a DataFrame (array, Series or column name). A survey brings its own.
    missing
        ``"listwise"`` leaves rows with a missing item out; ``"raise"`` refuses them; ``"em"`` uses what they hold
        (maximum likelihood under a multivariate normal model); ``"mean"`` puts item means in. What was done, and to how
        many, is in ``str(fit)``. See :func:`csi_lab.incomplete.completed_moments`.
    tolerance
        Stop when the sum of the absolute changes of the weights falls below it; of unstandardised items each change
        counts times the sd of its item, so that the unit of the answers does not matter.
    max_iterations
        A fit that has not settled by then is returned with ``converged=False`` and says so first.

    Returns
    -------
    PLSFit

    Raises
    ------
    DataError
        If items are absent, text, constant, or no row is complete.
    SpecError
        If there is no model, or a setting is unknown.
    EstimationError
        If the model has no paths or isolated constructs, there are not more rows than coefficients, or a mode B block
        or the sources of a construct are exactly collinear. With leading axes a draw that has no solution is NaN and
        not converged instead.

    Warns
    -----
    CsiLabWarning
        If the rows are fewer than ten times the largest number of arrows into one construct [3]_, or the fit did not
        converge.

    Notes
    -----
    Sign: a construct with more negative than positive loadings is turned round, and the fit says so.
    Agrees with R seminr 2.3.4 and cSEM 0.6.1 to 1e-10, consistent PLS included (``tests/reference/pls``).

    References
    ----------
    .. [1] Lohmoeller, J.-B. (1989). Latent Variable Path Modeling with Partial Least Squares. Physica.
    .. [2] Tenenhaus, M., Esposito Vinzi, V., Chatelin, Y.-M., & Lauro, C. (2005). PLS path modeling. Computational
       Statistics & Data Analysis, 48(1), 159-205.
    .. [3] Barclay, D., Higgins, C., & Thompson, R. (1995). The partial least squares approach to causal modeling.
       Technology Studies, 2(2), 285-309.
    .. [4] Dijkstra, T. K., & Henseler, J. (2015). Consistent partial least squares path modeling. MIS Quarterly,
       39(2), 297-316.

    Examples
    --------
    >>> import csi_lab as csi
    >>> fit = csi.sem.pls(csi.load_survey("mobile"))
    >>> fit.paths.loc[("Quality", "Satisfaction")].round(4).to_dict()
    {'estimate': 0.512}
    """
    model = model_of(data, model)
    if scheme not in SCHEMES:
        raise SpecError(f"scheme={scheme!r} is unknown; use one of {list(SCHEMES)}")
    if not is_number(tolerance) or not tolerance > 0 or not is_whole(max_iterations) or max_iterations < 1:
        raise SpecError(
            f"tolerance={tolerance!r} must be positive and max_iterations={max_iterations!r} a whole number of "
            "at least 1"
        )
    for name, value in (("scaled", scaled), ("consistent", consistent)):
        if not isinstance(value, (bool, np.bool_)):
            raise SpecError(f"{name}={value!r} must be True or False")
    if consistent and not scaled:
        raise SpecError("consistent=True corrects correlations, which belong to standardised items; leave scaled=True")
    _require_paths(model)
    moments = as_moments(data, model.items, weights, missing)
    _require_rows(model, moments)
    if not moments.shape:
        require_variation(moments)
    layout = Layout.of(model)
    fit = PLSFit(
        model=model,
        moments=moments,
        scheme=scheme,
        scaled=scaled,
        tolerance=tolerance,
        max_iterations=max_iterations,
        solution=estimate(moments, layout, scheme, scaled, consistent, tolerance, max_iterations),
        design=getattr(data, "design", Design()),
        consistent=consistent,
        resample=None
        if isinstance(data, Moments)
        else partial(replicates, data, items=model.items, weights=weights, missing=missing),
    )
    if not moments.shape:
        _require_solution(fit, layout)
        if not fit.converged:
            warnings.warn(fit.remarks()[0], CsiLabWarning, stacklevel=2)
    return fit


def _require_paths(model: PathModel) -> None:
    if not model.edges:
        raise EstimationError(
            "the model has no paths; PLS weights come from neighbours, so each construct needs at least one"
        )
    if model.isolated:
        raise EstimationError(f"constructs without any path: {list(model.isolated)}; connect them or leave them out")


def _require_rows(model: PathModel, moments: Moments) -> None:
    """More rows than coefficients; a warning below the ten-times rule."""
    arrows = {c: len(sources) for c, sources in model.paths.items()}
    for construct, items in model.constructs.items():
        if model.modes[construct] == "B":
            arrows[construct] = max(arrows.get(construct, 0), len(items))
    construct, most = max(arrows.items(), key=lambda pair: pair[1])
    n = int(np.min(moments.n))
    if n <= most + 1:
        raise EstimationError(
            f"{n} complete rows are not enough: {construct!r} alone needs {most + 1} coefficients; collect more answers"
        )
    if n < 10 * most:
        warnings.warn(
            f"{n} rows for {most} arrows into {construct!r}: fewer than ten per arrow (Barclay et al. 1995)",
            CsiLabWarning,
            stacklevel=3,
        )


def _require_solution(fit: PLSFit, layout: Layout) -> None:
    """Say why a single fit could not be computed: collinear items in a mode B block, or collinear sources."""
    if np.isfinite(fit.solution.paths).all() and np.isfinite(fit.solution.weights).all():
        return
    problems = []
    corr = fit.moments.corr
    for at in layout.mode_b:
        copies = _dependent(corr[np.ix_(at, at)], [fit.model.items[i] for i in at])
        if copies:
            problems.append(f"mode B items are exactly collinear: {copies}; drop one, or use mode A")
    if not problems:
        names = list(fit.model.constructs)
        for target in layout.endogenous:
            at = np.flatnonzero(layout.paths[:, target])
            scores = fit.solution.correlations[np.ix_(at, at)]
            copies = _dependent(scores, [names[i] for i in at]) if np.isfinite(scores).all() else []
            if copies:
                problems.append(f"sources of {names[target]!r} are exactly collinear: {copies}; remove a path")
    if not problems and fit.consistent and np.isfinite(fit.solution.weights).all():
        rho = dict(zip(fit.model.constructs, rho_a(fit.solution.weights, corr, layout), strict=True))
        problems += [
            f"rho_A of {c!r} is {value:.3f}, not positive: its items have nothing in common; "
            "drop or reverse items, use mode B, or consistent=False"
            for c, value in rho.items()
            if not value > 0
        ]
    if problems:
        raise EstimationError(listed(problems, "the model has no unique solution on these data"))
    raise EstimationError("the weights vanished: a construct does not correlate with any neighbour; check its items")


def _dependent(corr: np.ndarray, names: list[str]) -> list[str]:
    """Names that take part in the exact linear dependence of a correlation matrix; empty when there is none."""
    values, vectors = np.linalg.eigh(corr)
    if values[0] > 1e-10:
        return []
    return [name for name, v in zip(names, vectors[:, 0], strict=True) if abs(v) > 1e-6]
