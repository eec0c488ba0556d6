"""Rows that agree on nearly everything, found without comparing all pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

# Cells compared at once.
BLOCK = 8_000_000


def most_different(k: int, agreement: float) -> int:
    """The largest number d of different answers with (k - d)/k above the agreement.

    Examples
    --------
    >>> most_different(24, 0.95), most_different(40, 0.95), most_different(41, 0.95)
    (1, 1, 2)
    """
    return max(math.ceil(round(k * (1 - agreement), 9)) - 1, 0)


def distinct_rows(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The group of each row ``(n,)`` among the distinct rows of whole numbers, the size of each group, its first row.

    Examples
    --------
    >>> group, size, first = distinct_rows(np.array([[1, 2], [3, 4], [1, 2]]))
    >>> group.tolist(), size.tolist(), first.tolist()
    ([0, 1, 0], [2, 1], [0, 1])
    """
    if not len(codes):
        return np.empty(0, dtype=int), np.empty(0, dtype=int), np.empty(0, dtype=int)
    codes = np.ascontiguousarray(codes)
    packed = codes.view(np.dtype((np.void, codes.dtype.itemsize * codes.shape[1]))).reshape(-1)
    _, first, group, size = np.unique(packed, return_index=True, return_inverse=True, return_counts=True)
    return group.reshape(-1), size, first


def distinct_patterns(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows ``(k, p)`` of a table of truth values ``(n, p)`` in order, False first, and that of each row.

    Examples
    --------
    >>> patterns, which = distinct_patterns(np.array([[True, False], [False, True], [True, False]]))
    >>> patterns.tolist(), which.tolist()
    ([[False, True], [True, False]], [1, 0, 1])
    """
    group, _, first = distinct_rows(np.packbits(truth, axis=1))
    return truth[first], group


def pattern_rows(truth: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each distinct row ``(p,)`` of a table of truth values ``(n, p)``, in order, with the rows that it stands in.

    Examples
    --------
    >>> [(a.tolist(), rows.tolist()) for a, rows in pattern_rows(np.array([[True], [False], [True]]))]
    [([False], [1]), ([True], [0, 2])]
    """
    patterns, which = distinct_patterns(truth)
    ends = np.cumsum(np.bincount(which, minlength=len(patterns)))
    yield from zip(patterns, np.split(np.argsort(which, kind="stable"), ends)[: len(patterns)], strict=True)


def near_pairs(codes: np.ndarray, differ: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of rows that differ on at most ``differ`` items, each pair once, in portions.

    Parameters
    ----------
    codes
        Whole numbers ``(n, p)`` that stand for the answers.
    differ
        Items on which two rows may differ, 0 or more.

    Yields
    ------
    tuple of ndarray
        The two rows of each pair, and the number of items on which they differ.

    Notes
    -----
    Two rows that differ on at most d items are equal on at least one of d + 1 groups of items, so that only rows equal
    on such a group are compared. Memory grows with the rows; time with the pairs equal on a group, which are few unless
    very many answers are alike.

    Examples
    --------
    >>> codes = np.array([[1, 2, 3, 4], [9, 9, 9, 9], [1, 2, 3, 5]])
    >>> [(a.tolist(), b.tolist(), d.tolist()) for a, b, d in near_pairs(codes, 1)]
    [([0], [2], [1])]
    """
    n, p = codes.shape
    if n < 2 or p < 1:
        return
    # Neighbouring items are alike, so that each group takes items from everywhere.
    groups = [distinct_rows(codes[:, part :: differ + 1])[0] for part in range(min(differ + 1, p))]
    width = max(1, BLOCK // p)
    for number, group in enumerate(groups):
        order = np.argsort(group, kind="stable")
        ranked = group[order]
        last = np.searchsorted(ranked, ranked, side="right")
        start, step = np.arange(n), 1
        while len(start := start[start + step < last[start]]):
            for at in range(0, len(start), width):
                here = start[at : at + width]
                a, b = order[here], order[here + step]
                new = np.ones(len(a), dtype=bool)
                for earlier in groups[:number]:  # a pair that is equal on several groups counts once
                    new &= earlier[a] != earlier[b]
                a, b = a[new], b[new]
                apart = (codes[a] != codes[b]).sum(axis=1)
                near = apart <= differ
                if near.any():
                    yield a[near], b[near], apart[near]
            step += 1
