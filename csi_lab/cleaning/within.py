"""How answers go together within each respondent, and in the sample: the arithmetic, on arrays with gaps."""

from __future__ import annotations

import numpy as np

# Rows whose pairs are correlated at once.
BLOCK = 20_000
# Why a correlation within respondents may flag more than are careless.
TOO_ALIKE = "within respondents the answers differ too little for a correlation"


def within_pairs(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation over the pairs within each row, and the pairs answered; in blocks, since pairs may be many."""
    parts = [within(x[at : at + BLOCK][:, first], x[at : at + BLOCK][:, second]) for at in range(0, len(x), BLOCK)]
    return np.concatenate([r for r, _ in parts]), np.concatenate([pairs for _, pairs in parts])


def within(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation ``(n,)`` of the columns of two arrays ``(n, k)`` within each row, NaN if one does not vary; pairs."""
    both = ~(np.isnan(a) | np.isnan(b))
    pairs = both.sum(axis=1)
    count = np.maximum(pairs, 1)[:, None]
    a, b = np.where(both, a, 0.0), np.where(both, b, 0.0)
    mean_a, mean_b = a.sum(axis=1, keepdims=True) / count, b.sum(axis=1, keepdims=True) / count
    da, db = np.where(both, a - mean_a, 0.0), np.where(both, b - mean_b, 0.0)
    va, vb, c = (da**2).sum(axis=1), (db**2).sum(axis=1), (da * db).sum(axis=1)
    # Equal decimals have sums of squares of rounding errors, no more.
    size = 1e-20 * count[:, 0] * np.maximum(1.0, np.maximum(mean_a**2, mean_b**2)[:, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where((va > size) & (vb > size), c / np.sqrt(va * vb), np.nan)
    return np.clip(r, -1.0, 1.0), pairs  # rounding may leave 1 + 1e-16


def row_means(x: np.ndarray) -> np.ndarray:
    """Mean ``(n,)`` of the known values of each row, NaN where there are none."""
    known = ~np.isnan(x)
    count = known.sum(axis=1)
    return np.divide(np.where(known, x, 0.0).sum(axis=1), count, out=np.full(len(x), np.nan), where=count > 0)


def correlations(x: np.ndarray) -> np.ndarray:
    """Correlations ``(p, p)`` of the items, each over the rows that answered both; NaN where one does not vary."""
    known = ~np.isnan(x)
    m = known.astype(float)
    center = np.where(known, x, 0.0).sum(axis=0) / np.maximum(m.sum(axis=0), 1)
    d = np.where(known, x - center, 0.0)
    n, s, q, products = m.T @ m, d.T @ m, (d**2).T @ m, d.T @ d
    with np.errstate(invalid="ignore", divide="ignore"):
        cov = products - s * s.T / n
        var = q - s**2 / n
        # Equal decimals have sums of squares of rounding errors, no more.
        varies = var > 1e-24 * n * np.maximum(1.0, center[:, None] ** 2)
        return np.where((n > 2) & varies & varies.T, cov / np.sqrt(var * var.T), np.nan)
