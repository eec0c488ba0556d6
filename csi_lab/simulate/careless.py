"""Respondents who do not read: straight lines, random answers, speeders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from csi_lab.simulate.answers import HIGH, LOW

CAREFUL = "careful"


def kinds(n: int, parameters: Mapping[str, Any], rng: np.random.Generator, share: float | None = None) -> np.ndarray:
    """How each of ``n`` respondents answers: careful, or one of the careless kinds.

    Parameters
    ----------
    n
        Number of respondents.
    parameters
        The section ``survey`` of the truth.
    rng
        Random stream.
    share
        Share of careless respondents; ``None``: as stated.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> set(kinds(50, truth.load("survey"), np.random.default_rng(1), share=0.0))
    {'careful'}
    """
    stated = parameters["careless"]
    wanted = stated["share"] if share is None else share
    names = np.array(list(stated["kinds"]), dtype=object)
    cumulated = np.cumsum(list(stated["kinds"].values()))
    kind = names[np.searchsorted(cumulated, rng.random(n) * cumulated[-1], side="right")]
    return np.where(rng.random(n) < wanted, kind, CAREFUL)


def careless_answers(
    answers: np.ndarray, kind: np.ndarray, parameters: Mapping[str, Any], rng: np.random.Generator
) -> np.ndarray:
    """The answers ``(n, items)`` with those of careless respondents put in.

    A straight line repeats the respondent's own mean answer; random answers are even over 1 to 10; a speeder guesses a
    share of the answers and gives the others as meant.
    """
    guess = rng.integers(LOW, HIGH + 1, answers.shape)
    guessed = rng.random(answers.shape) < parameters["careless"]["guessed"]
    line = np.rint(answers.mean(axis=1, keepdims=True))
    found = np.where((kind == "straight")[:, None], line, answers)
    found = np.where((kind == "random")[:, None] | ((kind == "speeder")[:, None] & guessed), guess, found)
    return found.astype(answers.dtype)
