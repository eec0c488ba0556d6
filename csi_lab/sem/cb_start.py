"""Starting values of the default engine, from the correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_specification import Specification
from csi_lab.sem.cb_structure import Cells


def starting_values(
    specification: Specification, cells: Sequence[Cells], sample: Sample, shrink: float = 1.0
) -> np.ndarray:
    """Where to begin ``(N, q)``: principal-axis loadings of each block, correlations of the factors, regressions.

    All groups start alike, from their pooled correlations; intercepts start at the means. ``shrink`` multiplies the
    correlations of the factors, to begin elsewhere.
    """
    corr, means = sample.pooled()
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
    paths, psi = np.zeros((n, m, m)), factor.copy()
    for target, sources in specification.model.paths.items():
        t, s = constructs.index(target), [constructs.index(c) for c in sources]
        b = np.linalg.solve(factor[:, s][:, :, s], factor[:, s, t][..., None])[..., 0]
        paths[:, t, s] = b
        psi[:, t, t] = np.maximum(1 - (b * factor[:, s, t]).sum(axis=1), 0.1)
    # Standardised values to the identification asked for: a construct is as long as its marker, or has variance 1.
    unit = np.sqrt(np.diagonal(psi, axis1=-2, axis2=-1)) ** -1.0
    for j, block in enumerate(blocks):
        marker = cells[0].marker[j]
        if marker >= 0:
            unit[:, j] = loading[:, marker if marker in block else block[0], j]
    size = 1 / unit if specification.identification == "variance" else unit
    values = {
        "Lambda": loading / size[:, None, :],
        "Beta": paths * size[:, :, None] / size[:, None, :],
        "Psi": psi * size[:, :, None] * size[:, None, :],
        "Theta": _diagonal(1 - (loading**2).sum(axis=2)),
        "nu": means,
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
