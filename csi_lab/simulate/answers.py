"""From latent scores to answers on 1 to 10: loadings, thresholds, skew and ceiling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from csi_lab.errors import SpecError
from csi_lab.simulate.seeds import child

LOW, HIGH = 1, 10


def items(parameters: Mapping[str, Any]) -> list[str]:
    """Names of the items in the order of the questionnaire."""
    return list(parameters["items"])


def construct_of(item: str) -> str:
    """The construct that an item measures: its name without the number.

    Examples
    --------
    >>> construct_of("PQ5")
    'PQ'
    """
    return item.rstrip("0123456789")


def blocks(parameters: Mapping[str, Any]) -> dict[str, list[str]]:
    """Each construct with its items.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> blocks(truth.load("market"))["LOY"]
    ['LOY1', 'LOY2', 'LOY3']
    """
    found: dict[str, list[str]] = {}
    for item in parameters["items"]:
        found.setdefault(construct_of(item), []).append(item)
    return found


def thresholds(parameters: Mapping[str, Any]) -> np.ndarray:
    r"""Cut points of the normal response of each item.

    The answer exceeds k when the response exceeds :math:`t_k = \Phi^{-1}(F(k/10))`, with F the beta distribution of
    evenness s and the centre at which the mean answer of a standard normal response is the stated one.

    Parameters
    ----------
    parameters
        The section ``market`` of the truth.

    Returns
    -------
    ndarray
        ``(items, 9)``, increasing along each row.

    Raises
    ------
    SpecError
        If a mean is so near to 1 or 10 that no distribution of that evenness has it.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> market = truth.load("market")
    >>> expected = 1 + special.ndtr(-thresholds(market)).sum(axis=1)
    >>> bool(abs(expected - [item["mean"] for item in market["items"].values()]).max() < 1e-5)
    True
    """
    stated = parameters["items"]
    mean = np.array([item["mean"] for item in stated.values()], dtype=float)
    evenness = np.array([item["evenness"] for item in stated.values()], dtype=float)[:, None]
    cuts = np.arange(1, HIGH) / HIGH
    low, high = np.full_like(evenness, 1e-3), np.full_like(evenness, 1 - 1e-3)
    for _ in range(60):
        centre = (low + high) / 2
        below = special.betainc(centre * evenness, (1 - centre) * evenness, cuts)
        small = (LOW + (1 - below).sum(axis=1) < mean)[:, None]
        low, high = np.where(small, centre, low), np.where(small, high, centre)
    reached = LOW + (1 - below).sum(axis=1)
    bad = [name for name, off in zip(stated, abs(reached - mean), strict=True) if off > 1e-5]
    if bad:
        raise SpecError(
            f"market: items {bad}: the mean is too near to an end of the scale for this evenness; move it inwards"
        )
    # Rounded, so that the last bit of a special function does not depend on the machine.
    return special.ndtri(np.clip(below, 1e-9, 1 - 1e-9)).round(6)


def responses(latent: pd.DataFrame, parameters: Mapping[str, Any], seed: int, wave: int) -> np.ndarray:
    """The normal response behind each answer: loading times latent score plus what is special to the item.

    Parameters
    ----------
    latent
        Scores ``(customers, 6)`` of the wave.
    parameters
        The section ``market`` of the truth.
    seed
        Root of the random streams.
    wave
        Number of the wave.

    Returns
    -------
    ndarray
        ``(items, customers)``, single precision; about standard normal in the base wave.
    """
    rng = child(seed, "answers", wave)
    found = np.empty((len(parameters["items"]), len(latent)), dtype=np.float32)
    for row, (name, item) in zip(found, parameters["items"].items(), strict=True):
        loading = np.float32(item["loading"])
        special_part = np.sqrt(1 - loading**2) * rng.standard_normal(len(latent), dtype=np.float32)
        row[:] = loading * latent[construct_of(name)].to_numpy(dtype=np.float32) + special_part
    return found


def categories(response: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Answers 1 to 10 from responses ``(items, n)`` and cut points ``(items, 9)``; ``(n, items)``.

    Examples
    --------
    >>> categories(np.array([[-3.0, 0.0, 3.0]]), np.array([[-2.0, -1, 1, 2]])).ravel().tolist()
    [1, 3, 5]
    """
    answer = np.empty(response.shape[::-1], dtype=np.int8)
    for i, (row, cut) in enumerate(zip(response, cuts, strict=True)):
        answer[:, i] = LOW + np.searchsorted(cut.astype(response.dtype), row, side="left")
    return answer
