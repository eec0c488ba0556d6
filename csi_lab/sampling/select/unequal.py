"""Drawing with probability proportional to size: inclusion probabilities, four methods, pairs.

All functions take arrays. ``pi (N,)`` are inclusion probabilities below 1 that sum to the whole number n.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.sampling.select.register import LARGEST_SIZE, whole

# Beyond so many table entries Sampford's design is drawn by rejection, and pairs are not computed.
TABLE_ENTRIES = 4_000_000
PAIR_TERMS = 1_000_000_000
TRIES = 20_000
# A smaller chance that any of the tries succeeds is not waited for.
HOPELESS = 1e-6
# Random starts are multiples of 2^-30, so that sums with cumulated probabilities stay exact enough to count by.
GRID = 2**30


def inclusion_probabilities(size: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Inclusion probabilities proportional to size, units that would exceed 1 taken with certainty.

    :math:`\pi_k = n x_k / \sum x`; units with :math:`\pi_k \ge 1` get 1 and are left out of the sum and of n, again
    until none exceeds 1.

    Parameters
    ----------
    size
        ``(N,)``, above 0.
    n
        Units to draw, 1 to N.

    Returns
    -------
    pi, certain
        ``(N,)`` probabilities that sum to n, and which units are certain.

    Raises
    ------
    DataError
        If a size is not a number above 0, or too large to be added up.
    SpecError
        If n is no whole number between 1 and N.

    Examples
    --------
    >>> pi, certain = inclusion_probabilities(np.array([100.0, 20.0, 10.0, 10.0]), 2)
    >>> pi.tolist(), certain.tolist()
    ([1.0, 0.5, 0.25, 0.25], [True, False, False, False])
    """
    try:
        size = np.asarray(size, dtype=float)
    except (TypeError, ValueError):
        raise DataError("sizes must be numbers, one per unit") from None
    if size.ndim != 1 or not ((size > 0) & (size <= LARGEST_SIZE)).all():
        raise DataError(f"sizes must be finite numbers above 0 and up to {LARGEST_SIZE:g}, one per unit")
    n = whole(n, "n")
    if n > len(size):
        raise SpecError(f"n={n} must lie between 1 and the {len(size)} units that can be drawn")
    certain = np.zeros(len(size), dtype=bool)
    pi = np.ones(len(size))
    while True:
        left = n - int(certain.sum())
        rest = ~certain
        if left == 0 or not rest.any():
            # Only when the certain units fill the sample exactly; then every unit is certain, for n = N.
            break
        pi[rest] = left * size[rest] / size[rest].sum()
        over = rest & (pi >= 1 - 1e-12)
        if not over.any():
            break
        certain |= over
        pi[certain] = 1.0
    return pi, certain


def draw_systematic(pi: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions of a systematic sample: one random start, then steps of 1 along the cumulated probabilities.

    Parameters
    ----------
    pi
        ``(N,)`` in list order, sum n.
    rng
        Random generator.

    Returns
    -------
    ndarray
        ``(n,)`` positions, ascending.

    Examples
    --------
    >>> len(draw_systematic(np.array([0.5, 0.25, 0.25, 0.9, 0.1]), np.random.default_rng(1)))
    2
    """
    ends = np.cumsum(pi)
    ends[-1] = np.rint(ends[-1])
    start = rng.integers(GRID) / GRID
    ticks = np.ceil(np.concatenate([[0.0], ends]) - start)
    return np.flatnonzero(np.diff(ticks) > 0)


def draw_sampford(pi: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    r"""Positions of a sample by Sampford's design.

    :math:`p(s) \propto \prod_{k \in s} \frac{\pi_k}{1 - \pi_k} \sum_{k \in s} (1 - \pi_k)`

    Parameters
    ----------
    pi
        ``(N,)``, each below 1, sum n.
    rng
        Random generator.

    Returns
    -------
    ndarray
        ``(n,)`` positions, ascending.

    Raises
    ------
    EstimationError
        If the register is too large for the exact table and rejection finds no sample.

    Notes
    -----
    Up to 4 million table entries N n the units are decided one after the other with their exact conditional
    probabilities; beyond that by rejection (first unit by size, the others by :math:`\pi/(1 - \pi)` with replacement,
    until all are different). Both are the same design.

    References
    ----------
    .. [1] Sampford, M. R. (1967). Biometrika, 54, 499-513.
    .. [2] Tillé, Y. (2006). Sampling algorithms, section 8.5. Springer.

    Examples
    --------
    >>> len(draw_sampford(np.array([0.5, 0.6, 0.3, 0.4, 0.2]), np.random.default_rng(1)))
    2
    """
    n = int(np.rint(pi.sum()))
    if n == 1:
        return np.array([_weighted(pi, rng)])
    if len(pi) * (n + 1) > TABLE_ENTRIES:
        return _sampford_by_rejection(pi, n, rng)
    size, marked = _remaining(pi, n)
    uniform = rng.random(len(pi))
    chosen, left, gathered = [], n, 0.0
    for k, p in enumerate(pi):
        take = p * ((gathered + 1 - p) * size[k + 1, left - 1] + marked[k + 1, left - 1])
        all_ways = gathered * size[k, left] + marked[k, left]
        if uniform[k] * all_ways < take:
            chosen.append(k)
            gathered += 1 - p
            left -= 1
            if left == 0:
                break
    return np.array(chosen)


def draw_brewer(pi: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    r"""Positions of a sample by Brewer's method for any n.

    In step j a unit not yet drawn is drawn with probability proportional to
    :math:`\pi_k (n - \Pi - \pi_k) / (n - \Pi - \pi_k (n - j + 1))`, :math:`\Pi` the sum over the units drawn so far.

    Parameters
    ----------
    pi
        ``(N,)``, each below 1, sum n.
    rng
        Random generator.

    Returns
    -------
    ndarray
        ``(n,)`` positions, ascending.

    References
    ----------
    .. [1] Brewer, K. R. W. (1975). Australian Journal of Statistics, 17, 166-172.

    Examples
    --------
    >>> len(draw_brewer(np.array([0.5, 0.6, 0.3, 0.4, 0.2]), np.random.default_rng(1)))
    2
    """
    n = int(np.rint(pi.sum()))
    free = np.ones(len(pi), dtype=bool)
    drawn = 0.0
    for j in range(1, n + 1):
        if j == n:
            chance = np.where(free, pi, 0.0)
        else:
            below = n - drawn - pi * (n - j + 1)
            chance = np.where(free, pi * (n - drawn - pi) / np.where(free, below, 1.0), 0.0)
        k = _weighted(chance, rng)
        free[k] = False
        drawn += pi[k]
    return np.flatnonzero(~free)


def joint_sampford(pi: np.ndarray, at: np.ndarray) -> np.ndarray:
    r"""Joint inclusion probabilities of some units under Sampford's design.

    With :math:`q_k(z) = 1 - \pi_k + \pi_k z`, :math:`\phi = \prod q_k`, :math:`b_k = \pi_k z / q_k`,
    :math:`c_k = (1 - \pi_k)^2 / q_k` and :math:`h = \sum (1 - \pi_k) b_k`,
    :math:`\pi_{ij} = [z^n]\, \phi\, b_i b_j (h + c_i + c_j) \,/\, [z^n]\, \phi\, h`.

    Parameters
    ----------
    pi
        ``(N,)`` of all units, each below 1, sum n >= 1.
    at
        ``(m,)`` positions of the units wanted.

    Returns
    -------
    ndarray
        ``(m, m)``, the diagonal holds ``pi[at]``.

    Notes
    -----
    The generating function of Sampford's p(s), each sample counted by its units; coefficients by the discrete Fourier
    transform, at an odd number of points, so that no factor vanishes.

    Examples
    --------
    Two of three units: the probability of a pair is 1 minus the chance of the third.

    >>> joint_sampford(np.array([0.5, 0.7, 0.8]), np.arange(3)).round(12)
    array([[0.5, 0.2, 0.3],
           [0.2, 0.7, 0.5],
           [0.3, 0.5, 0.8]])
    """
    n = int(np.rint(pi.sum()))
    points = len(pi) + 1 + len(pi) % 2  # odd, and above the degree N of the polynomial
    z = np.exp(2j * np.pi * np.arange(points) / points)
    log_phi = np.zeros(points, dtype=complex)
    h = np.zeros(points, dtype=complex)
    for part in np.array_split(pi, max(1, len(pi) * points // 2_000_000)):
        q = 1 - part[:, None] + part[:, None] * z
        log_phi += np.log(q).sum(axis=0)
        h += ((1 - part[:, None]) * part[:, None] * z / q).sum(axis=0)
    weight = np.exp(log_phi) * z ** (-n)
    own = pi[at][:, None]
    q = 1 - own + own * z
    b, c = own * z / q, (1 - own) ** 2 / q
    pairs = np.real((b * (weight * h)) @ b.T + (b * weight) @ (b * c).T + (b * c * weight) @ b.T)
    pairs /= np.real((weight * h).sum())
    np.fill_diagonal(pairs, pi[at])
    return pairs


def joint_brewer_two(pi: np.ndarray, at: np.ndarray) -> np.ndarray:
    r"""Joint inclusion probabilities of some units under Brewer's method with n = 2.

    :math:`\pi_{ij} = \frac{2 p_i p_j}{1 + \sum_k p_k/(1 - 2p_k)}
    \left(\frac{1}{1 - 2p_i} + \frac{1}{1 - 2p_j}\right)`, :math:`p = \pi/2`.

    Parameters
    ----------
    pi
        ``(N,)`` of all units, each below 1, sum 2.
    at
        ``(m,)`` positions of the units wanted.

    Returns
    -------
    ndarray
        ``(m, m)``, the diagonal holds ``pi[at]``.

    References
    ----------
    .. [1] Brewer, K. R. W. (1963). Australian Journal of Statistics, 5, 5-13.

    Examples
    --------
    >>> joint_brewer_two(np.array([0.5, 0.7, 0.8]), np.array([0, 1])).round(12)
    array([[0.5, 0.2],
           [0.2, 0.7]])
    """
    p = pi / 2
    constant = 1 + (p / (1 - 2 * p)).sum()
    own = p[at]
    pairs = 2 * np.outer(own, own) / constant * (1 / (1 - 2 * own)[:, None] + 1 / (1 - 2 * own)[None, :])
    np.fill_diagonal(pairs, pi[at])
    return pairs


def _weighted(chance: np.ndarray, rng: np.random.Generator) -> int:
    """One position with probability proportional to ``chance``."""
    ends = np.cumsum(chance)
    return int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))


def _remaining(pi: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """For units k to the last ``(N + 1, n + 1)``: chance of m of them under independent draws, and that chance times
    the expected sum of 1 - pi over those m."""
    size = np.zeros((len(pi) + 1, n + 1))
    marked = np.zeros((len(pi) + 1, n + 1))
    size[-1, 0] = 1.0
    for k in range(len(pi) - 1, -1, -1):
        p = pi[k]
        size[k] = (1 - p) * size[k + 1]
        size[k, 1:] += p * size[k + 1, :-1]
        marked[k] = (1 - p) * marked[k + 1]
        marked[k, 1:] += p * (marked[k + 1, :-1] + (1 - p) * size[k + 1, :-1])
    return size, marked


def _log_chance_at_most(share: np.ndarray, m: int) -> float:
    """Bound from above on the log of the chance that ``m`` draws with chances ``share`` are all different.

    The chance is m! times the elementary symmetric polynomial of the shares, and that is no more than
    prod(1 + t share) / t^m for any t > 0; t = m is near the best where no share is large.
    """
    return float(special.gammaln(m + 1) - m * np.log(m) + np.log1p(m * share).sum())


def _sampford_by_rejection(pi: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    odds = pi / (1 - pi)
    first, others = np.cumsum(pi), np.cumsum(odds)
    hopeless = _log_chance_at_most(odds / others[-1], n - 1) < np.log(HOPELESS / TRIES)
    for _ in range(0 if hopeless else TRIES):
        drawn = np.empty(n, dtype=np.int64)
        drawn[0] = np.searchsorted(first, rng.random() * first[-1], side="right")
        drawn[1:] = np.searchsorted(others, rng.random(n - 1) * others[-1], side="right")
        found = np.unique(drawn)
        if len(found) == n:
            return found
    raise EstimationError(
        f"Sampford's method by rejection finds no {n} different units among {len(pi)} in {TRIES} tries, because draws "
        "repeat units; use method 'systematic' or 'brewer', or draw within strata"
    )
