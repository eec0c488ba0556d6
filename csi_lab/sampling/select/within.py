"""Drawing within many groups at once: candidates lie group after group, each group gives its own number of units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from csi_lab.sampling.select.unequal import draw_brewer, draw_sampford, draw_systematic, inclusion_probabilities

_BY_SIZE = {"pps systematic": draw_systematic, "sampford": draw_sampford, "brewer": draw_brewer}


@dataclass(frozen=True, eq=False)
class Picked:
    """Units drawn from groups.

    Attributes
    ----------
    at
        ``(m,)`` positions among the candidates, group after group.
    group
        ``(m,)`` group of each.
    probability
        ``(m,)`` inclusion probability within the group; expected number of draws when drawn with replacement.
    certain
        ``(m,)`` whether the unit was certain because of its size.
    number
        ``(m,)`` 1, 2, … within the group, in the order drawn (with replacement) or listed.
    pi
        Probabilities of all candidates, for the methods by size without replacement.
    """

    at: np.ndarray
    group: np.ndarray
    probability: np.ndarray
    certain: np.ndarray
    number: np.ndarray
    pi: np.ndarray | None = None


def draw(
    offsets: np.ndarray, n: np.ndarray, method: str, rng: np.random.Generator, *, size: np.ndarray | None = None
) -> Picked:
    """Draw ``n[g]`` units from each group.

    Parameters
    ----------
    offsets
        ``(k + 1,)``: candidates ``offsets[g]`` to ``offsets[g + 1] - 1`` belong to group g.
    n
        ``(k,)`` units to draw, not above the group's candidates unless with replacement.
    method
        As in :class:`csi_lab.sampling.select.stage.Stage`.
    rng
        Random generator.
    size
        ``(M,)`` sizes above 0 for the methods by size.

    Examples
    --------
    >>> picked = draw(np.array([0, 4, 10]), np.array([2, 3]), "systematic", np.random.default_rng(1))
    >>> picked.group.tolist(), picked.probability.tolist()
    ([0, 0, 1, 1, 1], [0.5, 0.5, 0.5, 0.5, 0.5])
    """
    lengths = np.diff(offsets)
    group = np.repeat(np.arange(len(n)), n)
    number = np.arange(len(group)) - np.repeat(np.cumsum(n) - n, n)
    if method == "simple random":
        at = _simple_random(offsets, n, rng)
    elif method == "systematic":
        # Integer arithmetic: of the N starts r = 0..N-1, exactly n draw any given unit.
        start = rng.integers(0, lengths)
        at = offsets[group] + (start[group] + number * lengths[group]) // n[group]
    elif method == "with replacement":
        at = offsets[group] + rng.integers(0, lengths[group])
    else:
        assert size is not None
        return _by_size(offsets, n, method, rng, size)
    return Picked(at, group, (n / lengths)[group], np.zeros(len(at), dtype=bool), number + 1)


def _simple_random(offsets: np.ndarray, n: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The n candidates of each group with the smallest random keys, in list order."""
    lengths = np.diff(offsets)
    group = np.repeat(np.arange(len(n)), lengths)
    order = np.lexsort((rng.random(offsets[-1]), group))
    rank = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return np.sort(order[rank < n[group]])


def _by_size(offsets: np.ndarray, n: np.ndarray, method: str, rng: np.random.Generator, size: np.ndarray) -> Picked:
    """Groups one after the other: they are strata or clusters, tens to hundreds."""
    at, probability, certain, every = [], [], [], np.empty(offsets[-1])
    for g, k in enumerate(n):
        x = size[offsets[g] : offsets[g + 1]]
        if method == "hansen-hurwitz":
            ends = np.cumsum(x)
            found = np.searchsorted(ends, rng.random(k) * ends[-1], side="right")
            pi, sure = k * x / ends[-1], np.zeros(len(x), dtype=bool)
        else:
            pi, sure = inclusion_probabilities(x, int(k))
            rest = np.flatnonzero(~sure)
            chosen = np.flatnonzero(sure)
            if len(rest) and k > len(chosen):
                chosen = np.concatenate([chosen, rest[_BY_SIZE[method](pi[rest], rng)]])
            found = np.sort(chosen)
        every[offsets[g] : offsets[g + 1]] = pi
        at.append(offsets[g] + found)
        probability.append(pi[found])
        certain.append(sure[found])
    group = np.repeat(np.arange(len(n)), n)
    number = np.arange(len(group)) - np.repeat(np.cumsum(n) - n, n)
    pi = None if method == "hansen-hurwitz" else every
    columns = np.concatenate(at), group, np.concatenate(probability), np.concatenate(certain)
    return Picked(*columns, number + 1, pi)
