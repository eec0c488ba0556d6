"""Missing answers: pieces by missing pattern, and the saturated moments by EM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from csi_lab.errors import DataError, EstimationError, listed
from csi_lab.sem.cb_likelihood import Pieces
from csi_lab.sem.cb_sample import Sample

MAX_STEPS = 20_000
TOLERANCE = 1e-11


def incomplete(parts: Sequence[np.ndarray], weights: Sequence[np.ndarray], names: Sequence[str]) -> Sample:
    """The sample of groups with missing answers.

    Parameters
    ----------
    parts
        Answers ``(rows, p)`` of each group, NaN where missing; no row without any answer.
    weights
        Weights of the rows of each group, of mean 1 over all.
    names
        The items, for messages.

    Raises
    ------
    DataError
        If an item has no answers in a group, or does not vary.
    EstimationError
        If two items were never answered together, or EM finds no positive definite covariances.
    """
    _require_answers(parts, names)
    n = np.array([w.sum() for w in weights])
    variance = np.stack([_variance(x, w) for x, w in zip(parts, weights, strict=True)])
    scale = np.sqrt((n[:, None] * variance).sum(axis=0) / n.sum())
    groups = tuple(_pieces(x / scale, w) for x, w in zip(parts, weights, strict=True))
    found = [em(pieces) for pieces in groups]
    for _, cov in found:
        _require_definite(cov, names)
    mean = np.stack([m for m, _ in found])[None]
    cov = np.stack([c for _, c in found])[None]
    return Sample(scale[None], groups, n[None], mean, cov, np.array([True]), means=True)


def em(pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood means ``(p,)`` and covariances ``(p, p)`` (denominator n) of one group by EM.

    The expectation step fills missing answers by regression on the answered ones and adds the residual covariance.

    References
    ----------
    .. [1] Dempster, A. P., Laird, N. M., & Rubin, D. B. (1977). Journal of the Royal Statistical Society B, 39, 1-38.
    .. [2] Little, R. J. A., & Rubin, D. B. (2020). Statistical Analysis with Missing Data, 3rd ed., sec. 11.2. Wiley.
    """
    count, average, spread = pieces.count[0], pieces.mean[0], pieces.cov[0]
    seen = np.ones(average.shape, dtype=bool) if pieces.seen is None else pieces.seen
    both = seen[:, :, None] & seen[:, None, :]
    p = average.shape[-1]
    eye, share = np.eye(p), count / count.sum()
    answered = (share[:, None] * seen).sum(axis=0)
    mu = (share[:, None] * average).sum(axis=0) / answered
    sigma = eye * (
        (share[:, None] * (np.diagonal(spread, axis1=-2, axis2=-1) + np.where(seen, (average - mu) ** 2, 0))).sum(
            axis=0
        )
        / answered
    )
    for _ in range(MAX_STEPS):
        try:
            inverse = np.where(both, np.linalg.inv(np.where(both, sigma, eye)), 0.0)
        except np.linalg.LinAlgError:
            # Singular covariances are the limit; the caller names the items.
            return mu, sigma
        fill = sigma @ inverse
        centred = (fill @ np.where(seen, average - mu, 0.0)[..., None])[..., 0]
        shift = share @ centred
        within = fill @ spread @ np.swapaxes(fill, -1, -2) + sigma - fill @ sigma
        apart = centred - shift
        new = np.einsum("r,rij->ij", share, within + apart[:, :, None] * apart[:, None, :])
        new = (new + new.T) / 2
        moved = max(float(np.abs(new - sigma).max()), float(np.abs(shift).max()))
        mu, sigma = mu + shift, new
        if not np.isfinite(moved):
            break
        if moved < TOLERANCE:
            return mu, sigma
    raise EstimationError(
        f"the saturated moments did not settle in {MAX_STEPS} steps of EM: too many answers are missing together; "
        "leave items out or use missing='listwise'"
    )


def _pieces(x: np.ndarray, w: np.ndarray) -> Pieces:
    """Rows of one group by missing pattern."""
    seen, which = np.unique(~np.isnan(x), axis=0, return_inverse=True)
    which = which.reshape(-1)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which))
    p = x.shape[1]
    count, mean, cov = np.zeros(len(seen)), np.zeros((len(seen), p)), np.zeros((len(seen), p, p))
    for r, rows in enumerate(np.split(order, ends[:-1])):
        part, v = np.where(seen[r], x[rows], 0.0), w[rows]
        count[r] = v.sum()
        if count[r] > 0:
            mean[r] = v @ part / count[r]
            centred = np.where(seen[r], part - mean[r], 0.0)
            cov[r] = (centred * v[:, None]).T @ centred / count[r]
    return Pieces(count[None], mean[None], cov[None], seen)


def _variance(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    there = ~np.isnan(x)
    v = np.where(there, w[:, None], 0.0)
    total = v.sum(axis=0)
    filled = np.where(there, x, 0.0)
    mean = (v * filled).sum(axis=0) / total
    return (v * (filled - mean) ** 2).sum(axis=0) / total


def _require_answers(parts: Sequence[np.ndarray], names: Sequence[str]) -> None:
    problems, apart = [], set()
    for x in parts:
        there = ~np.isnan(x)
        empty = [name for name, k in zip(names, there.sum(axis=0), strict=True) if k == 0]
        if empty:
            problems.append(f"items without any answer{' in a group' if len(parts) > 1 else ''}: {empty}")
            continue
        low, high = np.nanmin(x, axis=0), np.nanmax(x, axis=0)
        flat = [name for name, same in zip(names, low == high, strict=True) if same]
        if flat:
            problems.append(f"items do not vary in the {len(x)} rows used: {flat}")
        together = there.T.astype(float) @ there
        apart |= {(names[i], names[j]) for i, j in np.argwhere(together == 0) if i < j}
    if problems:
        raise DataError(listed(problems, "full-information estimation is not possible"), problems)
    if apart:
        raise EstimationError(
            f"items never answered together: {sorted(apart)}; their covariance is not estimable, leave one of each out"
        )


def _require_definite(cov: np.ndarray, names: Sequence[str]) -> None:
    sd = np.sqrt(np.diagonal(cov))
    values, vectors = np.linalg.eigh(cov / np.outer(sd, sd))
    if values[0] < 1e-8:
        part = [name for name, v in zip(names, vectors[:, 0], strict=True) if abs(v) > 0.05]
        raise EstimationError(f"items are collinear or hardly ever answered together: {part}; leave one of them out")
