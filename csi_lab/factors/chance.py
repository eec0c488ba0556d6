"""Eigenvalues that chance alone gives: correlation matrices of data without any common factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import split_weights
from csi_lab.errors import DataError, SpecError
from csi_lab.factors.correlations import eigenvalues, inverse
from csi_lab.factors.extraction import extract
from csi_lab.moments import Moments
from csi_lab.settings import generator as random_generator

if TYPE_CHECKING:
    import pandas as pd

Basis = Literal["factors", "components"]
Communalities = Literal["one factor", "smc"]
Null = Literal["normal", "permutation"]

# Shuffled answers held at once.
ANSWERS_AT_ONCE = 2_000_000


def chance_eigenvalues(
    data: Any,
    moments: Moments,
    *,
    basis: Basis,
    communalities: Communalities,
    null: Null,
    draws: int,
    rng: np.random.Generator | int,
    weights: Any,
    n: float | None,
) -> tuple[np.ndarray, float, list[str]]:
    """Eigenvalues ``(draws, p)`` of random data like ``data``, the number of rows drawn for, and remarks.

    Raises
    ------
    DataError
        If ``data`` do not hold what is needed.
    SpecError
        If ``n`` does not fit.
    """
    generator = random_generator(rng)
    p = len(moments.names)
    design = getattr(data, "design", None)
    remarks = []
    if design is not None and (design.strata or design.psu):
        remarks.append("chance does not imitate the strata and clusters of the sample: fewer factors may be real")
    if null == "permutation":
        if n is not None:
            raise SpecError("n= is for null='normal'; a permutation keeps the rows there are")
        if not moments.observed:
            raise SpecError("missing answers that were completed leave no rows to permute; use null='normal'")
        answers, w = _rows(data, moments, weights)
        return eigenvalues_of(_shuffled(answers, w, draws, generator), basis, communalities), float(moments.n), remarks
    rows = float(moments.n) if n is None else float(n)
    if not moments.observed and n is None:
        remarks.append("rows with missing answers count in full: chance is somewhat larger than shown")
    if moments.weighted and n is None:
        if isinstance(data, Moments):
            raise DataError(
                "these moments are weighted, and how much weights add to chance is not in them; give n=, Kish's "
                "effective number of rows (sum w)^2 / sum w^2, or the survey itself"
            )
        _, w = _rows(data, moments, weights)
        rows = float(w.sum() ** 2 / (w**2).sum())
        remarks.append(f"{moments.n} weighted rows count as {rows:.1f} (Kish)")
    if not rows > p:
        raise SpecError(f"n={rows:g} rows for {p} items: chance needs more rows than items")
    random = normal_correlations(rows, p, draws, generator)
    return eigenvalues_of(random, basis, communalities), rows, remarks


def eigenvalues_of(corr: np.ndarray, basis: Basis, communalities: Communalities = "one factor") -> np.ndarray:
    """Eigenvalues ``(..., p)`` of the correlations, or of correlations with communalities on the diagonal."""
    if basis == "components":
        return eigenvalues(corr)
    if communalities == "smc":
        unique = 1 / np.diagonal(inverse(corr), axis1=-2, axis2=-1)
    else:
        unique = extract(corr, 1, "minres").uniqueness
    return eigenvalues(corr - unique[..., :, None] * np.eye(corr.shape[-1]))


def normal_correlations(n: float, p: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Correlation matrices ``(draws, p, p)`` of n independent normal rows, without drawing the rows.

    The sums of squares and products are AA' with A lower triangular: standard normal below the diagonal and, on it,
    the root of a chi-square with n - 1, n - 2, ... degrees of freedom (Bartlett 1933).
    """
    a = np.tril(rng.standard_normal((draws, p, p)), -1)
    a[:, range(p), range(p)] = np.sqrt(rng.chisquare(n - 1 - np.arange(p), size=(draws, p)))
    # Rows of unit length make the products correlations.
    a /= np.sqrt((a**2).sum(axis=2, keepdims=True))
    return a @ np.swapaxes(a, 1, 2)


def _shuffled(answers: np.ndarray, w: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Weighted correlations ``(draws, p, p)`` after each item's answers were shuffled among the rows."""
    n, p = answers.shape
    equal = bool((w == w[0]).all())
    z = (answers - answers.mean(axis=0)) / answers.std(axis=0)
    share = w / w.sum()
    out = np.empty((draws, p, p))
    block = max(1, ANSWERS_AT_ONCE // (n * p))
    for at in range(0, draws, block):
        k = min(block, draws - at)
        # Items as rows: each draw shuffles p contiguous stretches.
        x = rng.permuted(np.broadcast_to(z.T, (k, p, n)), axis=2)
        if equal:
            out[at : at + k] = x @ np.swapaxes(x, 1, 2) / n
            continue
        x = x - (x @ share)[:, :, None]
        cov = (x * share) @ np.swapaxes(x, 1, 2)
        sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
        out[at : at + k] = cov / (sd[:, :, None] * sd[:, None, :])
    out[:, range(p), range(p)] = 1.0
    return out


def _rows(data: Any, moments: Moments, weights: Any) -> tuple[np.ndarray, np.ndarray]:
    """The complete answers ``(n, p)`` and weights ``(n,)`` behind the moments."""
    frame: pd.DataFrame | None = getattr(data, "frame", data)
    if not hasattr(frame, "columns"):
        raise DataError(f"a permutation needs the answers; give the survey or DataFrame, not {type(data).__name__}")
    assert frame is not None
    design = getattr(data, "design", None)
    w = frame[design.weights] if design is not None and design.weights else weights
    if isinstance(w, str):
        w = frame[w]
    names = {str(c): c for c in frame.columns}
    chosen = frame[[names[c] for c in moments.names]]
    _, known = split_weights(chosen, w)
    answers = chosen.to_numpy(dtype=float, na_value=np.nan)
    complete = ~np.isnan(answers).any(axis=1)
    kept = np.ones(len(answers)) if known is None else known
    return answers[complete], kept[complete]
