"""What the likelihood needs of the answers: pieces in standardised units, and the saturated moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from csi_lab.moments import Moments
from csi_lab.sem.cb_likelihood import Pieces, half_deviance

Likelihood = Literal["normal", "wishart"]


@dataclass(frozen=True, eq=False)
class Sample:
    """The data of all groups, N draws side by side.

    Attributes
    ----------
    scale
        Pooled standard deviation of each item ``(N, p)``; the pieces are divided by it.
    groups
        The pieces of each group.
    n
        Respondents per group ``(N, G)``; in a weighted sample times their :func:`relative_weights`.
    mean, cov
        Saturated estimates per group, ``(N, G, p)`` and ``(N, G, p, p)``, in standardised units: the sample's moments,
        or the EM estimates when answers are missing.
    usable
        Draws that can be estimated ``(N,)``: all items vary.
    means
        Whether the means take part; if not, the pieces are centred.
    """

    scale: np.ndarray
    groups: tuple[Pieces, ...]
    n: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    usable: np.ndarray
    means: bool

    @classmethod
    def complete(
        cls,
        moments: Sequence[Moments],
        *,
        means: bool,
        likelihood: Likelihood = "normal",
        one_sample: bool = True,
    ) -> Sample:
        """From the moments of each group, with one leading axis of draws or none.

        Without a model of the ``means`` the pieces are centred: the saturated means then play no part. ``one_sample``:
        the weights of all groups share a scale.
        """
        n = np.stack([np.atleast_1d(np.asarray(m.n, dtype=float)) for m in moments], axis=1)
        averages = np.stack([np.atleast_2d(m.mean) for m in moments], axis=1)
        covs = np.stack([m.cov.reshape(-1, *m.cov.shape[-2:]) for m in moments], axis=1)
        draws = len(averages)
        n = np.broadcast_to(n, (draws, len(moments)))
        ddof = moments[0].ddof
        lost = 1 if likelihood == "wishart" else 0
        factor = (n - ddof) / (n - lost)
        if one_sample:
            weight = np.stack([np.atleast_1d(np.asarray(m.weight, dtype=float)) for m in moments], axis=1)
            n = n * relative_weights(n, weight)
        with np.errstate(invalid="ignore", divide="ignore"):
            covs = covs * factor[..., None, None]
            variance = np.diagonal(covs, axis1=-2, axis2=-1)
            scale = np.sqrt((variance * n[..., None]).sum(axis=1) / n.sum(axis=1)[:, None])
            flat = ~(variance > 1e-20 * (scale**2 + averages.mean(axis=1) ** 2)[:, None]).all(axis=-1)
        usable = ~flat.any(axis=1) & np.isfinite(scale).all(axis=1)
        scale = np.where(usable[:, None], scale, 1.0)
        mean = averages / scale[:, None]
        cov = covs / (scale[:, None, :, None] * scale[:, None, None, :])
        centre = mean if means else np.zeros_like(mean)
        pick = [slice(g, g + 1) for g in range(n.shape[1])]
        groups = tuple(Pieces(n[:, g] - lost, centre[:, g], cov[:, g]) for g in pick)
        return cls(scale, groups, n, mean, cov, usable, means)

    @property
    def count(self) -> np.ndarray:
        """What stands for the respondents of each group in the likelihood ``(N, G)``."""
        return np.stack([g.count.sum(axis=1) for g in self.groups], axis=1)

    @property
    def centre(self) -> np.ndarray:
        """The saturated means as the pieces see them ``(N, G, p)``: 0 where the means take no part."""
        return self.mean if self.means else np.zeros_like(self.mean)

    @property
    def complete_answers(self) -> bool:
        """Whether no answer is missing, so that each group is one piece."""
        return all(g.seen is None for g in self.groups)

    @property
    def summed(self) -> Sample:
        """The saturated estimates of each group as if its answers were complete: one piece instead of its patterns."""
        groups = tuple(
            Pieces(g.count.sum(axis=1, keepdims=True), self.centre[:, k : k + 1], self.cov[:, k : k + 1])
            for k, g in enumerate(self.groups)
        )
        return replace(self, groups=groups)

    @property
    def saturated(self) -> np.ndarray:
        """Half the deviance of the saturated model ``(N,)``."""
        return sum(
            (half_deviance(g, self.centre[:, k], self.cov[:, k]) for k, g in enumerate(self.groups)),
            start=np.zeros(len(self.scale)),
        )

    @property
    def baseline(self) -> np.ndarray:
        """Half the deviance of the independence model ``(N,)``: free variances (and means), no covariances.

        Items are then apart, so each has the mean and variance of its own answers.
        """
        total = np.zeros(len(self.scale))
        for pieces in self.groups:
            mean, variance = item_moments(pieces)
            sigma = np.eye(mean.shape[-1]) * variance[:, None, :]
            total = total + half_deviance(pieces, mean, sigma)
        return total

    @property
    def log_scale(self) -> np.ndarray:
        """What the log-likelihood in the units of the data has less than in standardised units ``(N,)``."""
        logs = np.log(self.scale)
        total = np.zeros(len(self.scale))
        for pieces in self.groups:
            seen = np.ones((pieces.count.shape[1], logs.shape[1])) if pieces.seen is None else pieces.seen
            total = total + np.einsum("nr,rp,np->n", pieces.count, seen.astype(float), logs)
        return total

    def draws(self, at: np.ndarray | slice) -> Sample:
        """Some of the draws."""
        groups = tuple(g.draws(at) for g in self.groups)
        return Sample(self.scale[at], groups, self.n[at], self.mean[at], self.cov[at], self.usable[at], self.means)

    def pooled(self) -> tuple[np.ndarray, np.ndarray]:
        """Correlations within groups ``(N, p, p)`` and means ``(N, p)``, pooled over groups."""
        share = self.n / self.n.sum(axis=1, keepdims=True)
        cov = np.einsum("ng,ngij->nij", share, self.cov)
        sd = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
        sd = np.where(sd > 0, sd, 1.0)
        return cov / (sd[:, :, None] * sd[:, None, :]), np.einsum("ng,ngi->ni", share, self.mean)


def relative_weights(n: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean weight of each group over that of all, from rows ``n (..., G)`` and sums of weights ``weight (..., G)``.

    Pseudo maximum likelihood counts a respondent as often as the weight says, whatever the group: what is equal across
    groups follows the groups by their weighted sizes. 1 without weights.
    """
    return (weight / n) / (weight.sum(axis=-1) / n.sum(axis=-1))[..., None]


def item_moments(pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance ``(N, p)`` of the answers to each item, whatever else was answered."""
    seen = 1.0 if pieces.seen is None else pieces.seen.astype(float)
    count = pieces.count[..., None] * seen
    total = count.sum(axis=1)
    mean = (count * pieces.mean).sum(axis=1) / total
    spread = np.diagonal(pieces.cov, axis1=-2, axis2=-1) + (pieces.mean - mean[:, None]) ** 2
    return mean, (count * spread).sum(axis=1) / total
