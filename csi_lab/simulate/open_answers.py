"""Open answers from templates in two languages, on the topic that troubles the customer most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def texts(trouble: Mapping[str, np.ndarray], parameters: Mapping[str, Any], rng: np.random.Generator) -> np.ndarray:
    """One text per respondent; empty for those who write nothing.

    Parameters
    ----------
    trouble
        Topic to ``(n,)`` normal responses of its item: the lower, the more likely the topic.
    parameters
        The section ``survey`` of the truth.
    rng
        Random stream.

    Returns
    -------
    ndarray
        ``(n,)`` of text.
    """
    stated = parameters["open_answers"]
    topics = list(stated["topics"])
    size = len(next(iter(trouble.values())))
    felt = np.array([trouble[topic] for topic in topics]) + stated["spread"] * rng.standard_normal((len(topics), size))
    topic = felt.argmin(axis=0)
    chinese = rng.random(size) < stated["chinese"]
    pick, time, place, odd = rng.random((4, size))
    writes = rng.random(size) < stated["share"]
    hostile = rng.random(size) < stated["hostile_share"]
    found = np.full(size, "", dtype=object)
    for i in np.flatnonzero(writes | hostile):
        if hostile[i]:
            found[i] = _one(stated["hostile"], odd[i])
            continue
        language = "zh" if chinese[i] else "en"
        text = _one(stated["topics"][topics[topic[i]]][language], pick[i])
        text = text.replace("{time}", _one(stated["time"][language], time[i]))
        text = text.replace("{place}", _one(stated["place"][language], place[i]))
        found[i] = text[:1].upper() + text[1:]
    return found


def _one(choices: Any, draw: float) -> str:
    return str(choices[int(draw * len(choices))])
