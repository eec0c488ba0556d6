"""Sums of each missing pattern in replicates of the answers, and the samples that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from csi_lab.em import MOST_STEPS_OF_DRAWS, TOLERANCE_OF_DRAWS, complete, scaled
from csi_lab.incomplete import IncompleteUnits
from csi_lab.sem.cb_likelihood import Pieces
from csi_lab.sem.cb_sample import Sample, relative_weights
from csi_lab.units import Units


@dataclass(frozen=True, eq=False)
class PatternSums:
    """Replicates of one group with missing answers, N side by side.

    Attributes
    ----------
    n, weight
        Respondents and the sum of their weights ``(N,)``.
    count, mean, cov, seen
        Of each pattern, in the units of the data, as in :class:`csi_lab.sem.cb_likelihood.Pieces`.
    item_mean, item_variance
        Of the answers to each item ``(N, p)``.
    saturated_mean, saturated_cov
        By EM, ``(N, p)`` and ``(N, p, p)``; NaN where there are none.
    """

    n: np.ndarray
    weight: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    seen: np.ndarray | None
    item_mean: np.ndarray
    item_variance: np.ndarray
    saturated_mean: np.ndarray
    saturated_cov: np.ndarray

    def __len__(self) -> int:
        return len(self.n)

    def repeated(self, times: int) -> PatternSums:
        """A single replicate so many times."""
        fields: dict[str, Any] = {
            name: np.broadcast_to(value, (times, *value.shape[1:]))
            for name, value in vars(self).items()
            if name != "seen"
        }
        return replace(self, **fields)


def pattern_sums(units: Units, factors: np.ndarray, rows: np.ndarray | None) -> PatternSums:
    """Sums of each missing pattern when units count ``factors (N, u)`` times; ``rows``: respondents of each draw."""
    if not isinstance(units, IncompleteUnits):
        n, weight, sums, products = units.combine(factors, rows)
        moments = replace(units.point, n=n, weight=weight, sums=sums, products=products, ddof=0)
        mean, cov = moments.mean, moments.cov
        count = n.astype(float)[:, None]
        return PatternSums(n, weight, count, mean[:, None], cov[:, None], None, mean, moments.variance, mean, cov)
    n = np.full(len(factors), units.rows) if rows is None else rows
    origin, p = units.whole.origin, len(units.whole.names)
    parts = [(part.observed, part.missing, *part.combine(factors)) for part in units.patterns]
    shape = (len(factors), len(parts))
    count, mean, cov = np.zeros(shape), np.zeros((*shape, p)), np.zeros((*shape, p, p))
    weight, item_weight = np.zeros(shape[0]), np.zeros((shape[0], p))
    item_sum, item_square = np.zeros((shape[0], p)), np.zeros((shape[0], p))
    seen = np.zeros((len(parts), p), dtype=bool)
    for r, (observed, _, w, sums, products) in enumerate(parts):
        seen[r, observed] = True
        here = np.where(w > 0, w, 1.0)[:, None]
        average = sums / here
        # A pattern that a draw lacks counts for nothing, wherever its mean is put.
        mean[:, r, observed] = np.where(w[:, None] > 0, average + origin[observed], 0.0)
        cov[:, r, observed[:, None], observed] = products / here[..., None] - average[:, :, None] * average[:, None, :]
        count[:, r] = w
        weight += w
        item_weight[:, observed] += w[:, None]
        item_sum[:, observed] += sums
        item_square[:, observed] += np.diagonal(products, axis1=1, axis2=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        item_mean = item_sum / item_weight
        item_variance = item_square / item_weight - item_mean**2
        count *= (n / weight)[:, None]
    unit = np.where(units.whole.sd > 0, units.whole.sd, 1.0)
    start = (units.whole.mean - origin) / unit, units.whole.cov / np.outer(unit, unit)
    _, mu, sigma, _ = complete(scaled(parts, unit), "em", start, TOLERANCE_OF_DRAWS, MOST_STEPS_OF_DRAWS)
    return PatternSums(
        n,
        weight,
        count,
        mean,
        cov,
        seen,
        item_mean + origin,
        item_variance,
        mu * unit + origin,
        sigma * np.outer(unit, unit),
    )


def incomplete_sample(blocks: Sequence[PatternSums], *, one_sample: bool = True) -> Sample:
    """The samples of all draws from the sums of each group, in standardised units.

    ``one_sample``: the weights of all groups share a scale.
    """
    n = np.stack([block.n for block in blocks], axis=1).astype(float)
    share = np.ones_like(n)
    if one_sample:
        share = relative_weights(n, np.stack([block.weight for block in blocks], axis=1))
    n = n * share
    mean = np.stack([block.item_mean for block in blocks], axis=1)
    variance = np.stack([block.item_variance for block in blocks], axis=1)
    with np.errstate(invalid="ignore"):
        scale = np.sqrt((variance * n[..., None]).sum(axis=1) / n.sum(axis=1)[:, None])
        varies = (variance > 1e-20 * (scale**2 + mean.mean(axis=1) ** 2)[:, None]).all(axis=(1, 2))
    usable = varies & np.isfinite(scale).all(axis=1)
    scale = np.where(usable[:, None], scale, 1.0)
    unit = scale[:, :, None] * scale[:, None, :]
    groups = tuple(
        Pieces(block.count * by[:, None], block.mean / scale[:, None], block.cov / unit[:, None], block.seen)
        for block, by in zip(blocks, share.T, strict=True)
    )
    saturated_mean = np.stack([block.saturated_mean / scale for block in blocks], axis=1)
    saturated_cov = np.stack([block.saturated_cov / unit for block in blocks], axis=1)
    return Sample(scale, groups, n, saturated_mean, saturated_cov, usable, means=True)
