"""Rating answers with a known mean: a normal attitude, rounded and held within the scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from csi_lab.errors import SpecError

HALVINGS = 80


def bounded(attitude: Any, *, low: int, high: int) -> np.ndarray:
    """Answers ``low .. high`` nearest to an attitude.

    Examples
    --------
    >>> bounded([0.2, 3.4, 9.9], low=1, high=7)
    array([1, 3, 7])
    """
    return np.clip(np.floor(np.asarray(attitude, dtype=float) + 0.5), low, high).astype("int64")


def mean_answer(centre: Any, sd: Any, *, low: int, high: int) -> np.ndarray:
    r"""Mean answer of a normal attitude: :math:`\text{low} + \sum_{c} \Phi((\mu - c)/\sigma)` over the cuts c.

    Examples
    --------
    >>> float(mean_answer(4.0, 1.3, low=1, high=7))
    4.0
    """
    cuts = np.arange(low, high) + 0.5
    return low + special.ndtr((np.asarray(centre, dtype=float)[..., None] - cuts) / np.asarray(sd)[..., None]).sum(-1)


def answer_levels(mean: Any, sd: Any, *, low: int, high: int) -> np.ndarray:
    """Centres of the normal attitudes whose answers have the stated means.

    Parameters
    ----------
    mean
        Wanted means of the answers, strictly between ``low`` and ``high``.
    sd
        Standard deviations of the attitudes, above 0.
    low, high
        Ends of the scale.

    Raises
    ------
    SpecError
        If a mean is not inside the scale or a standard deviation not above zero.

    Examples
    --------
    >>> centre = answer_levels(6.0, 1.0, low=1, high=7)
    >>> round(float(centre), 3), round(float(mean_answer(centre, 1.0, low=1, high=7)), 12)
    (6.087, 6.0)
    """
    mean, sd = np.broadcast_arrays(np.asarray(mean, dtype=float), np.asarray(sd, dtype=float))
    if not ((mean > low) & (mean < high)).all() or not (sd > 0).all():
        raise SpecError(f"means must lie between {low} and {high} and sd above 0; got {mean} and {sd}")
    # The mean answer rises with the centre, so halving an interval that holds it finds it.
    bottom, top = low - 12 * sd - 1, high + 12 * sd + 1
    for _ in range(HALVINGS):
        middle = (bottom + top) / 2
        below = mean_answer(middle, sd, low=low, high=high) < mean
        bottom, top = np.where(below, middle, bottom), np.where(below, top, middle)
    return (bottom + top) / 2
