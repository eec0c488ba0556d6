"""Consistent PLS: construct correlations corrected for the unreliability of the scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from csi_lab.model import PathModel
from csi_lab.sem.algorithm import LARGEST_VIF, Layout, Solution, normal_equations
from csi_lab.sem.assess import own_loadings, reflective, rho_a


def corrected(solution: Solution, corr: np.ndarray, layout: Layout) -> Solution:
    r"""The consistent solution from that of mode A, for any leading axes.

    .. math::
        r^*_{jk} = \frac{r_{jk}}{\sqrt{\rho_{A,j}\, \rho_{A,k}}}, \qquad
        l_j = w_j \frac{\sqrt{\rho_{A,j}}}{w_j'w_j}

    Paths, VIF and R2 follow from the corrected correlations; cross-loadings on other constructs are divided by
    :math:`\sqrt{\rho_A}`. Weights (and hence scores) stay those of mode A. Single items and mode B blocks are taken as
    free of error. A block whose :math:`\rho_A` is not positive has no correction: such a draw is NaN and not converged.

    Parameters
    ----------
    solution
        Of :func:`csi_lab.sem.algorithm.solve` on correlations.
    corr
        Item correlations ``(..., p, p)``.

    References
    ----------
    .. [1] Dijkstra, T. K., & Henseler, J. (2015). Consistent partial least squares path modeling. MIS Quarterly,
       39(2), 297-316.
    """
    weights = solution.weights
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(rho_a(weights, corr, layout))
        root = np.where(root > 0, root, np.nan)
        between = solution.correlations / (root[..., :, None] * root[..., None, :])
        j = np.arange(between.shape[-1])
        between[..., j, j] = root / root
        cross = solution.cross_loadings / root[..., None, :]
        loadings = weights * (root / (weights**2 @ layout.member))[..., layout.block]
        several = reflective(layout)[layout.block]
        p = np.arange(len(layout.block))
        cross[..., p, layout.block] = np.where(several, loadings, cross[..., p, layout.block])
        flat = between.reshape(-1, *between.shape[-2:])
        paths, vif, r2 = (part.reshape(between.shape[:-2] + part.shape[1:]) for part in _regressions(flat, layout))
    converged = solution.converged & np.isfinite(paths).all(axis=(-2, -1))
    return replace(
        solution, cross_loadings=cross, correlations=between, paths=paths, vif=vif, r2=r2, converged=converged
    )


def _regressions(v: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paths and variance inflation ``(draws, J, J)`` and R2 ``(draws, J)``.

    Corrected correlations need not be positive definite: coefficients then still exist, with negative inflation, and
    the solution is reported as improper. Only a singular matrix has none, and gives NaN.
    """
    equations = np.moveaxis(normal_equations(np.moveaxis(v, 0, -1), layout), -1, 0)
    left, right = equations[..., :-1], equations[..., -1]
    known = np.isfinite(left).all(axis=(-2, -1)) & (np.abs(np.linalg.det(left)) > 0)
    inverse = np.linalg.inv(np.where(known[..., None, None], left, np.eye(left.shape[-1])))
    inflation = np.diagonal(inverse, axis1=-2, axis2=-1)
    known &= (np.abs(inflation) < LARGEST_VIF).all(axis=-1)
    coefficients = np.where(known[..., None], (inverse @ right[..., None])[..., 0], np.nan)
    draws, j = v.shape[:2]
    real, (rows, columns) = ~layout.filler, layout.arrows
    paths, vif, r2 = np.zeros((draws, j, j)), np.full((draws, j, j), np.nan), np.full((draws, j), np.nan)
    paths[:, rows, columns] = coefficients[:, real]
    vif[:, rows, columns] = np.where(known[..., None], inflation, np.nan)[:, real]
    r2[:, layout.endogenous] = (coefficients * right).sum(axis=-1)
    return paths, vif, r2


def proper(solution: Solution, layout: Layout) -> np.ndarray:
    """Whether each solution ``(...)`` could be that of a population: no correlation, loading or R2 beyond 1 in size,
    and a positive definite correlation matrix of the constructs."""
    v = solution.correlations
    known = np.isfinite(v).all(axis=(-2, -1))
    smallest = np.linalg.eigvalsh(np.where(known[..., None, None], v, np.eye(v.shape[-1])))[..., 0]
    off = np.where(np.eye(v.shape[-1], dtype=bool), 0.0, v)
    with np.errstate(invalid="ignore"):
        inside = (np.abs(off) <= 1).all(axis=(-2, -1)) & (smallest > 0)
        inside &= (np.abs(own_loadings(solution, layout)) <= 1 + 1e-12).all(axis=-1)
        inside &= (solution.r2[..., layout.endogenous] <= 1).all(axis=-1)
    return known & inside


def why_improper(solution: Solution, model: PathModel, layout: Layout) -> tuple[str, ...]:
    """Every reason why one solution is not proper, with the names and values; empty when it is."""
    if proper(solution, layout):
        return ()
    names = list(model.constructs)
    v, own = solution.correlations, own_loadings(solution, layout)
    above = np.argwhere(np.tril(np.abs(v), -1) > 1)
    pairs = [f"{names[k]} and {names[j]} {v[j, k]:.3f}" for j, k in above]
    heavy = [f"{item} {own[i]:.3f}" for i, item in enumerate(model.items) if abs(own[i]) > 1 + 1e-12]
    full = [f"{names[j]} {solution.r2[j]:.3f}" for j in layout.endogenous if solution.r2[j] > 1]
    smallest = np.linalg.eigvalsh(v)[0]
    reasons = []
    if pairs:
        reasons.append(f"corrected correlations beyond 1: {', '.join(pairs)}")
    if smallest <= 0:
        reasons.append(
            f"the corrected correlations are not positive definite (smallest eigenvalue {smallest:.4f}): "
            "some constructs are not told apart"
        )
    if heavy:
        reasons.append(f"loadings beyond 1: {', '.join(heavy)}")
    if full:
        reasons.append(f"R2 beyond 1: {', '.join(full)}")
    return tuple(reasons)
