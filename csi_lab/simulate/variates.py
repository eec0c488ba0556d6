"""Random variates that several tables share: members, categories, logits and ordered answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def chosen(size: int, wanted: int, rng: np.random.Generator, *, weights: np.ndarray | None = None) -> np.ndarray:
    """Positions of ``wanted`` different members out of ``size``, in ascending order; all of them when there are fewer.

    Examples
    --------
    >>> chosen(3, 5, np.random.default_rng(0))
    array([0, 1, 2])
    """
    if wanted >= size:
        return np.arange(size)
    p = None if weights is None else weights / weights.sum()
    return np.sort(rng.choice(size, wanted, replace=False, p=p))


def chance(eta: Any) -> np.ndarray:
    """Probability of a logit.

    Examples
    --------
    >>> float(chance(0.0))
    0.5
    """
    with np.errstate(over="ignore"):  # exp(1000) is infinite and the probability 0, as it should be
        return 1 / (1 + np.exp(-np.asarray(eta, dtype=float)))


def category(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One category ``0 .. k-1`` per row of ``probabilities`` ``(..., k)``, whose rows add up to 1.

    Examples
    --------
    >>> category(np.array([[0.0, 1.0], [1.0, 0.0]]), np.random.default_rng(0))
    array([1, 0])
    """
    steps = np.cumsum(probabilities, axis=-1)[..., :-1]
    return (rng.random(probabilities.shape[:-1])[..., None] >= steps).sum(axis=-1)


def weighted(labels: Sequence[Any] | Mapping[Any, float], size: int, rng: np.random.Generator) -> np.ndarray:
    """``size`` labels drawn by their shares, which need not add up to 1; equal shares for a plain list.

    Examples
    --------
    >>> weighted({"a": 1, "b": 0}, 2, np.random.default_rng(0)).tolist()
    ['a', 'a']
    """
    names = np.array(list(labels), dtype=object)
    p = np.array(list(labels.values()), dtype=float) if isinstance(labels, Mapping) else np.ones(len(names))
    return names[rng.choice(len(names), size, p=p / p.sum())]


def ordered(eta: np.ndarray, cuts: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    r"""Answers ``1 .. k`` of an ordinal logit, :math:`P(y > j) = \mathrm{logit}^{-1}(\eta - c_j)`.

    Examples
    --------
    >>> ordered(np.array([-90.0, 90.0]), [-1, 1], np.random.default_rng(0))
    array([1, 3])
    """
    latent = np.asarray(eta) + rng.logistic(size=np.shape(eta))
    return 1 + (latent[..., None] > np.asarray(cuts, dtype=float)).sum(axis=-1)


def standardised(values: Any) -> np.ndarray:
    """Mean 0 and standard deviation 1 (divisor n); zeros when nothing varies.

    Examples
    --------
    >>> standardised([1, 3])
    array([-1.,  1.])
    """
    x = np.asarray(values, dtype=float)
    if not len(x) or not x.std() > 0:
        return np.zeros_like(x)
    return (x - x.mean()) / x.std()
