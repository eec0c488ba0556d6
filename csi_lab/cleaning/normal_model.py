"""Missing answers under a multivariate normal model: expected values, draws, and data augmentation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from csi_lab.near_pairs import pattern_rows


def gap_patterns(known: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, items with and items without an answer, of each pattern with a gap."""
    for pattern, rows in pattern_rows(known):
        if not pattern.all():
            yield rows, np.flatnonzero(pattern), np.flatnonzero(~pattern)


def fill(
    x: np.ndarray, known: np.ndarray, mean: np.ndarray, cov: np.ndarray, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Answers ``(..., n, p)`` whose gaps hold expected values given the answers of their row, or draws with ``rng``.

    With K the inverse of the covariances, missing answers given the others have regression coefficients
    -K_mm^-1 K_mo and covariances K_mm^-1. ``mean (..., p)``, ``cov (..., p, p)``; ``known (n, p)``.
    """
    inverse = np.linalg.inv(cov)
    out = np.array(np.broadcast_to(x, (*mean.shape[:-1], *x.shape[-2:])))
    for rows, seen, gap in gap_patterns(known):
        rest = np.linalg.inv(inverse[..., gap[:, None], gap])
        slope = -rest @ inverse[..., gap[:, None], seen]
        given = out[..., rows[:, None], seen] - mean[..., None, seen]
        value = mean[..., None, gap] + given @ np.swapaxes(slope, -1, -2)
        if rng is not None:
            root = np.linalg.cholesky((rest + np.swapaxes(rest, -1, -2)) / 2)
            value = value + rng.standard_normal(value.shape) @ np.swapaxes(root, -1, -2)
        out[..., rows[:, None], gap] = value
    return out


def draw_parameters(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One draw of mean and covariances from their posterior given complete answers ``(m, n, p)``, flat prior.

    Sigma is inverse Wishart with n - 1 degrees of freedom about the scatter, by Bartlett's decomposition, and the mean
    normal about that of the sample with covariance Sigma/n.
    """
    m, n, p = x.shape
    centre = x.mean(axis=1)
    away = x - centre[:, None, :]
    scatter = np.swapaxes(away, 1, 2) @ away
    root = np.linalg.cholesky(scatter)
    bartlett = np.tril(rng.standard_normal((m, p, p)), k=-1)
    bartlett[:, range(p), range(p)] = np.sqrt(rng.chisquare(n - 1 - np.arange(p), size=(m, p)))
    # Sigma^-1 = L^-T A A' L^-1 with L L' the scatter, so that Sigma = (L A^-T)(L A^-T)'.
    half = root @ np.swapaxes(np.linalg.inv(bartlett), 1, 2)
    cov = half @ np.swapaxes(half, 1, 2)
    mean = centre + (half @ rng.standard_normal((m, p, 1)))[..., 0] / np.sqrt(n)
    return mean, cov


def augment(
    x: np.ndarray, mean: np.ndarray, cov: np.ndarray, m: int, iterations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Data augmentation: m chains from the maximum likelihood estimate, each iteration fills gaps and draws parameters.

    Returns the completed answers ``(m, n, p)`` and the trace ``(2, iterations, m, p)`` of mean and standard deviation
    of the filled values.
    """
    known = ~np.isnan(x)
    spread = np.sqrt(np.diagonal(cov))
    centre = mean
    z = (x - centre) / spread
    now_mean = np.zeros((m, len(mean)))
    now_cov = np.broadcast_to(cov / np.outer(spread, spread), (m, *cov.shape))
    trace = np.full((2, iterations, m, x.shape[1]), np.nan)
    done = np.broadcast_to(z, (m, *z.shape))
    for step in range(iterations):
        done = fill(z, known, now_mean, now_cov, rng)
        for j in np.flatnonzero(~known.all(axis=0)):
            drawn = done[:, ~known[:, j], j]
            trace[0, step, :, j] = centre[j] + spread[j] * drawn.mean(axis=1)
            trace[1, step, :, j] = spread[j] * (drawn.std(axis=1, ddof=1) if drawn.shape[1] > 1 else np.nan)
        now_mean, now_cov = draw_parameters(done, rng)
    return centre + spread * done, trace
