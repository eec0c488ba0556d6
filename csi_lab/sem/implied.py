"""The item correlations that a path model implies, and how far they lie from those observed."""

from __future__ import annotations

import numpy as np

from csi_lab.sem.algorithm import Layout, Solution
from csi_lab.sem.assess import own_loadings

MEASURES = ("GoF", "SRMR", "d_ULS", "d_G", "d_ML")


def construct_correlations(solution: Solution, layout: Layout) -> np.ndarray:
    r"""Correlations ``(..., J, J)`` of constructs that the paths imply.

    .. math:: V = (I - B)^{-T} \Psi (I - B)^{-1}, \qquad v_{jj} \text{ set to } 1

    with B the paths (row source, column target) and :math:`\Psi` the correlations of the exogenous constructs and the
    residual variances :math:`1 - R^2` of the others, as estimated. This is the convention of R cSEM 0.6.1: where the
    model does not reproduce the correlations among the sources of a construct, its variance in V differs from 1 before
    the diagonal is set, and so do its covariances with constructs downstream.
    """
    exogenous = np.isin(np.arange(len(layout.paths)), layout.endogenous, invert=True)
    eye = np.eye(len(exogenous))
    among = np.where(exogenous[:, None] & exogenous, solution.correlations, 0.0)
    psi = np.where(exogenous[:, None] | (eye == 0), among, (1 - solution.r2)[..., None, :])
    total = np.linalg.inv(eye - solution.paths)
    implied = np.swapaxes(total, -1, -2) @ psi @ total
    return np.where(eye == 1, 1.0, implied)


def item_correlations(solution: Solution, corr: np.ndarray, layout: Layout) -> np.ndarray:
    """Correlations ``(..., p, p)`` of items that the model implies: loadings times construct correlations, diagonal 1.

    Within a mode B block nothing is implied, so it keeps the observed correlations ``corr``.
    """
    loadings = own_loadings(solution, layout)
    between = construct_correlations(solution, layout)[..., layout.block[:, None], layout.block]
    implied = loadings[..., :, None] * loadings[..., None, :] * between
    free = np.eye(len(layout.block), dtype=bool)
    for at in layout.mode_b:
        free[at[:, None], at] = True
    return np.where(free, corr, implied)


def measures(solution: Solution, corr: np.ndarray, layout: Layout) -> np.ndarray:
    r"""Measures of fit ``(..., 5)`` in the order of ``MEASURES``.

    With observed correlations R, implied ones :math:`\hat R` and :math:`\lambda` the eigenvalues of
    :math:`R^{-1} \hat R`:

    .. math::
        \text{GoF} = \sqrt{\overline{l^2} \cdot \overline{R^2}}, \quad
        \text{SRMR} = \sqrt{\frac{2}{p(p+1)} \sum_{i \le j} (r_{ij} - \hat r_{ij})^2}, \quad
        d_{ULS} = \tfrac12 \sum_{ij} (r_{ij} - \hat r_{ij})^2

    .. math::
        d_G = \tfrac12 \sum (\ln \lambda)^2, \qquad
        d_{ML} = \ln|\hat R| - \ln|R| + \operatorname{tr}(R \hat R^{-1}) - p

    The mean communality of the GoF is over the items of blocks with several items. d_G and d_ML are NaN where one of
    the matrices is not positive definite.

    References
    ----------
    .. [1] Tenenhaus, M., Amato, S., & Esposito Vinzi, V. (2004). A global goodness-of-fit index for PLS structural
       equation modelling. Proceedings of the XLII SIS Scientific Meeting, 739-742.
    .. [2] Dijkstra, T. K., & Henseler, J. (2015). Consistent and asymptotically normal PLS estimators for linear
       structural equations. Computational Statistics & Data Analysis, 81, 10-23.
    """
    implied = item_correlations(solution, corr, layout)
    p = corr.shape[-1]
    squares = (corr - implied) ** 2
    d_uls = squares.sum(axis=(-2, -1)) / 2
    srmr = np.sqrt(np.tril(squares).sum(axis=(-2, -1)) / (p * (p + 1) / 2))
    several = np.flatnonzero(layout.member.sum(axis=0).take(layout.block) > 1)
    communality = (own_loadings(solution, layout)[..., several] ** 2).mean(axis=-1) if len(several) else np.nan
    with np.errstate(invalid="ignore"):  # the mean R2 of an improper solution may be negative
        gof = np.sqrt(communality * solution.r2[..., layout.endogenous].mean(axis=-1))
    ratios = _ratios(corr, implied)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where((ratios > 0).all(axis=-1, keepdims=True), np.log(ratios), np.nan)
        d_g = (logs**2).sum(axis=-1) / 2
        d_ml = (logs + 1 / ratios - 1).sum(axis=-1)
    return np.stack([gof, srmr, d_uls, d_g, d_ml], axis=-1)


def _ratios(corr: np.ndarray, implied: np.ndarray) -> np.ndarray:
    r"""Eigenvalues ``(..., p)`` of :math:`R^{-1} \hat R`; NaN where R is not positive definite."""
    values, vectors = np.linalg.eigh(np.where(np.isfinite(corr), corr, np.eye(corr.shape[-1])))
    sound = (values[..., 0] > 1e-12 * values[..., -1]) & np.isfinite(corr).all(axis=(-2, -1))
    sound = sound & np.isfinite(implied).all(axis=(-2, -1))
    half = vectors / np.sqrt(np.where(sound[..., None], values, 1.0))[..., None, :]
    turned = np.swapaxes(half, -1, -2) @ np.where(sound[..., None, None], implied, np.eye(corr.shape[-1])) @ half
    found = np.linalg.eigvalsh((turned + np.swapaxes(turned, -1, -2)) / 2)
    return np.where(sound[..., None], found, np.nan)
