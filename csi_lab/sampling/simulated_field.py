"""Surveys drawn from a population whose truth is known, with the errors of the field switched on one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# Random keys drawn at once, so that memory does not grow with the repeats.
KEYS_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Field:
    """The population as arrays ``(N,)``, and what goes wrong in the field."""

    y: np.ndarray
    inside: np.ndarray
    chance: np.ndarray
    shift: np.ndarray
    noise_sd: np.ndarray
    interviewer_sd: float
    interviewers: int
    rate: float
    wrong: np.ndarray

    def surveys(self, n: int, repeats: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Errors ``(block, 6)`` of the five sources and of all together, and respondents ``(block,)``."""
        at_once = max(1, KEYS_AT_ONCE // len(self.y))
        truth = self.y.mean()
        coverage = self.y[self.inside].mean() - truth
        for start in range(0, repeats, at_once):
            block = min(at_once, repeats - start)
            keys = rng.random((block, len(self.y)))
            sample = np.argpartition(keys, n - 1, axis=1)[:, :n] if n < len(self.y) else _everyone(block, n)
            if self.inside.all():
                frame_sample = sample
            else:
                keys[:, ~self.inside] = 2.0
                frame_sample = np.argpartition(keys, n - 1, axis=1)[:, :n]
            draws = Draws.of(block, n, self, rng)
            own = self.y[sample]
            everyone = np.ones((block, n), dtype=bool)
            answers = draws.uniform < self.chance[sample]
            errors = np.empty((block, 6))
            errors[:, 0] = coverage
            errors[:, 1] = own.mean(axis=1) - truth
            errors[:, 2] = _mean(own, answers) - own.mean(axis=1)
            errors[:, 3] = self._measured(own, sample, everyone, draws).mean(axis=1) - own.mean(axis=1)
            errors[:, 4] = self._processed(own, draws).mean(axis=1) - own.mean(axis=1)
            answers = draws.uniform < self.chance[frame_sample]
            final = self._measured(self.y[frame_sample], frame_sample, answers, draws)
            errors[:, 5] = _mean(self._processed(final, draws), answers) - truth
            yield errors, answers.sum(axis=1)

    def _measured(self, y: np.ndarray, sample: np.ndarray, answers: np.ndarray, draws: Draws) -> np.ndarray:
        """Answers with errors of measurement; those who answer are dealt to the interviewers in turn."""
        measured = y + self.shift[sample] + self.noise_sd[sample] * draws.noise
        if self.interviewer_sd > 0:
            who = (np.cumsum(answers, axis=1) - 1) % self.interviewers
            measured = measured + self.interviewer_sd * np.take_along_axis(draws.effects, who, axis=1)
        return measured

    def _processed(self, y: np.ndarray, draws: Draws) -> np.ndarray:
        """Answers of which some are replaced by a wrong entry."""
        return np.where(draws.slip < self.rate, self.wrong[draws.entry], y)


@dataclass(frozen=True, eq=False)
class Draws:
    """Random numbers ``(block, n)`` shared by the survey with one source on and the one with all."""

    uniform: np.ndarray
    noise: np.ndarray
    slip: np.ndarray
    entry: np.ndarray
    effects: np.ndarray

    @classmethod
    def of(cls, block: int, n: int, field: Field, rng: np.random.Generator) -> Draws:
        # argpartition leaves a sample in no meaningful order, so position j may carry random number j.
        return cls(
            uniform=rng.random((block, n)),
            noise=rng.standard_normal((block, n)),
            slip=rng.random((block, n)),
            entry=rng.integers(0, len(field.wrong), (block, n)),
            effects=rng.standard_normal((block, field.interviewers)),
        )


def _everyone(block: int, n: int) -> np.ndarray:
    return np.broadcast_to(np.arange(n), (block, n))


def _mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Row means over the mask; NaN where it is empty."""
    count = mask.sum(axis=1)
    total = np.where(mask, values, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
