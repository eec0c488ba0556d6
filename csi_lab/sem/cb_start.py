"""Starting values of the default engine, from the correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.cb_structure import Cells

# Added to correlations of factors before they are inverted; it changes nothing unless they are exactly singular.
TRACE = 1e-13


def starting_values(
    specification: Specification, cells: Sequence[Cells], sample: Sample, shrink: float = 1.0
) -> np.ndarray:
    """Where to begin ``(N, q)``: principal-axis loadings of each block, correlations of the factors, regressions.

    All groups start alike, from their pooled correlations; intercepts start at the means. ``shrink`` multiplies the
    correlations of the factors, to begin elsewhere.
    """
    corr, _ = sample.pooled()
    n, p = corr.shape[:2]
    constructs = list(specification.constructs)
    m = len(constructs)
    blocks = [[specification.items.index(i) for i in specification.model.constructs[c]] for c in constructs]
    loading = np.zeros((n, p, m))
    for j, block in enumerate(blocks):
        loading[:, block, j] = _one_factor(corr[:, block][:, :, block])
    weight = loading / np.maximum((loading**2).sum(axis=1, keepdims=True), 1e-12)
    factor = np.swapaxes(weight, -1, -2) @ corr @ weight
    factor = _shrunk(factor)
    factor = shrink * factor + (1 - shrink) * np.eye(m)
    residual = _diagonal(1 - (loading**2).sum(axis=2))
    return theta_from_factors(specification, cells, sample, loading, residual, factor, least=0.1)


def theta_from_factors(
    specification: Specification,
    cells: Sequence[Cells],
    sample: Sample,
    loading: np.ndarray,
    residual: np.ndarray,
    factor: np.ndarray,
    *,
    least: float = -np.inf,
) -> np.ndarray:
    """Parameters ``(N, q)`` from a measurement model of standardised items: its factors are regressed on each other.

    Parameters
    ----------
    loading, residual, factor
        Loadings ``(N, p, m)``, residual covariances ``(N, p, p)`` and correlations of the factors ``(N, m, m)``, which
        need not be positive definite.
    least
        Least share of a factor's variance that is left to its residual.
    """
    n, m = len(factor), factor.shape[-1]
    constructs = list(specification.constructs)
    blocks = [[specification.items.index(i) for i in specification.model.constructs[c]] for c in constructs]
    paths, psi = np.zeros((n, m, m)), factor.copy()
    for target, sources in specification.model.paths.items():
        t, s = constructs.index(target), [constructs.index(c) for c in sources]
        own = factor[:, s][:, :, s] + TRACE * np.eye(len(s))
        b = np.linalg.solve(own, factor[:, s, t][..., None])[..., 0]
        paths[:, t, s] = b
        psi[:, t, t] = np.maximum(factor[:, t, t] - (b * factor[:, s, t]).sum(axis=1), least)
    # Standardised values to the identification asked for: a construct is as long as its marker, or has variance 1.
    variance = np.diagonal(psi, axis1=-2, axis2=-1)
    unit = np.where(variance > 0, variance, 1.0) ** -0.5
    for j, block in enumerate(blocks):
        marker = cells[0].marker[j]
        if marker >= 0:
            unit[:, j] = loading[:, marker if marker in block else block[0], j]
    size = 1 / unit if specification.identification == "variance" else unit
    values = {
        "Lambda": loading / size[:, None, :],
        "Beta": paths * size[:, :, None] / size[:, None, :],
        "Psi": psi * size[:, :, None] * size[:, None, :],
        "Theta": residual,
        "nu": sample.pooled()[1],
        "alpha": np.zeros((n, m)),
    }
    return _as_theta(specification, cells, sample.scale, values)


def _one_factor(corr: np.ndarray) -> np.ndarray:
    """Loadings ``(N, k)`` of one factor by a few steps of principal axes; the first item loads positively."""
    k = corr.shape[-1]
    if k == 1:
        return np.ones((len(corr), 1))
    communality = np.sqrt(np.clip((corr**2).sum(axis=-1) - 1, 0.01, None) / (k - 1))
    at = np.arange(k)
    for _ in range(3):
        reduced = corr.copy()
        reduced[:, at, at] = np.clip(communality, 0.05, 0.9)
        values, vectors = np.linalg.eigh(reduced)
        loading = vectors[..., -1] * np.sqrt(np.maximum(values[..., -1:], 0.05))
        communality = loading**2
    loading = np.clip(loading, -0.95, 0.95)
    loading = loading * np.where(loading[:, :1] < 0, -1.0, 1.0)
    # A marker that hardly loads would make all other loadings huge.
    loading[:, 0] = np.maximum(loading[:, 0], 0.2)
    return loading


def _shrunk(factor: np.ndarray) -> np.ndarray:
    """Factor correlations pulled towards 0 until they are safely positive definite."""
    m = factor.shape[-1]
    off = np.clip(factor * (1 - np.eye(m)), -0.9, 0.9)
    smallest = np.linalg.eigvalsh(off + np.eye(m))[:, 0]
    share = np.where(smallest < 0.1, 0.9 / np.maximum(1 - smallest, 0.9), 1.0)
    return off * share[:, None, None] + np.eye(m)


def _diagonal(values: np.ndarray) -> np.ndarray:
    out = np.zeros((*values.shape, values.shape[-1]))
    at = np.arange(values.shape[-1])
    out[:, at, at] = values
    return out


def _as_theta(
    specification: Specification, cells: Sequence[Cells], scale: np.ndarray, values: dict[str, np.ndarray]
) -> np.ndarray:
    """Standardised cell values as a parameter vector in the units of the data; rows held equal get their mean."""
    order = ("Lambda", "Beta", "Psi", "Theta", "nu", "alpha")
    total, count = np.zeros((len(scale), specification.n_free)), np.zeros(specification.n_free)
    for own in cells:
        cell = np.empty((len(scale), len(own.free)))
        for kind, name in enumerate(order):
            at = own.kind == kind
            index = (slice(None), own.row[at]) if kind >= 4 else (slice(None), own.row[at], own.column[at])
            cell[:, at] = values[name][index]
        spread = own.spread(specification.n_free)
        total += (cell * own.scales(scale)) @ spread
        count += spread.sum(axis=0)
    return total / np.maximum(count, 1)
