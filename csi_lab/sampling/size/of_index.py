"""How many interviews for a satisfaction index with a wanted margin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import SpecError
from csi_lab.percent import percent
from csi_lab.sampling.size.sample_size import SampleSize, is_number, not_positive, not_whole, refuse
from csi_lab.sampling.size.single import mean

if TYPE_CHECKING:
    from csi_lab.index import IndexResult

# Between respondents, on the 0-100 scale: on the ECSI mobile data about 14 to 15 points; the larger is taken.
INDEX_SD = 15.0
# No answers from 0 to 100 have a larger standard deviation (divisor n - 1): one at either end.
LARGEST_SD = 100 / math.sqrt(2)
# The EPSI design: 250 customers per provider for plus or minus 2 points.
INDEX_MARGIN = 2.0


def index(
    margin: float = INDEX_MARGIN,
    *,
    sd: float | None = None,
    result: IndexResult | None = None,
    level: float = 0.95,
    deff: float = 1.0,
    response_rate: float = 1.0,
    population: int | None = None,
) -> SampleSize:
    r"""Sample size for a 0-100 index with a wanted margin of error.

    .. math:: n_0 = \left(\frac{z s}{d}\right)^2

    Parameters
    ----------
    margin
        Half width d of the interval, in points of the index; default 2, the aim of the EPSI design [1]_.
    sd
        Standard deviation s of the respondents' index, in points; default 15 when no ``result`` is given. See
        :func:`index_sd` for a value from what is known of the items.
    result
        An index computed before, with its standard error; that and n give :math:`s = se \sqrt{n}`, which holds the
        design effect of its sample.
    level, deff, response_rate, population
        As in :func:`csi_lab.sampling.size.mean`.

    Returns
    -------
    SampleSize
        ``at(n)`` gives the margin at another n.

    Raises
    ------
    SpecError
        If a setting is out of its range, both ``sd`` and ``result`` are given, ``result`` is no index, or no answers
        from 0 to 100 can have the ``sd``.
    EstimationError
        If the index given has no standard error.

    Notes
    -----
    A standard error from replicates of a complex design already holds its design effect, and so does the standard
    deviation that follows from it, which may therefore be larger than that of any answers: leave ``deff`` at 1 if the
    next sample is drawn in the same way.

    References
    ----------
    .. [1] EPSI Rating, The approach: about 250 interviews per provider for a margin of 2 points.

    Examples
    --------
    >>> index().n, round(index().at(250), 2)
    (217, 1.86)
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> known = csi.index.from_items(survey, survey.constructs, survey.bounds, target="Satisfaction")
    >>> print(index(result=known))
    index, 0 to 100 points: n = 209 completed interviews (exact 208.21)
      margin 2; sd 14.72 (se x root of n of an index of n = 250, its design effect included); level 95%
    """
    if sd is not None and result is not None:
        raise SpecError("give sd= or result=, not both: the result has its own standard deviation")
    words = ""
    if result is not None:
        from csi_lab.index import IndexResult

        if not isinstance(result, IndexResult):
            raise SpecError(f"result must be an index, e.g. of csi_lab.index.from_items, got {type(result).__name__}")
        sd = float(result.se * math.sqrt(result.n))
        words = f"{sd:.4g} (se x root of n of an index of n = {result.n}, its design effect included)"
    elif sd is None:
        sd, words = INDEX_SD, f"{INDEX_SD:g} (usual for an index)"
    elif is_number(sd):
        refuse("size of a sample for an index", _impossible("sd", sd, LARGEST_SD, (0, 100)))
    found = mean(margin, sd, level=level, deff=deff, response_rate=response_rate, population=population)
    from dataclasses import replace

    return replace(
        found,
        what="index, 0 to 100 points",
        axis=f"margin in points: half width of the {percent(level)} interval",
        assumptions={**found.assumptions, **({"sd": words} if words else {})},
    )


def index_sd(item_sd: float, *, items: int, correlation: float, bounds: tuple[float, float] = (1.0, 10.0)) -> float:
    r"""Standard deviation of an index of k equally weighted items, from what is known of the items.

    .. math:: s = \frac{100}{\max - \min}\, s_x \sqrt{\frac{1 + (k - 1) \bar r}{k}}

    Parameters
    ----------
    item_sd
        Standard deviation of one item, in units of its answers.
    items
        Number k of items.
    correlation
        Mean correlation of the items, above -1/(k - 1) and at most 1.
    bounds
        Lowest and highest possible answer.

    Returns
    -------
    float
        In points of the 0-100 scale.

    Raises
    ------
    SpecError
        If a setting is out of its range, or no answers within the bounds can have the ``item_sd``; all are named.

    Notes
    -----
    Items of unequal spread: take the root of their mean variance and the mean covariance over the mean variance.

    Examples
    --------
    >>> round(index_sd(1.7, items=3, correlation=0.5), 2)
    15.42
    """
    pair = isinstance(bounds, (tuple, list)) and len(bounds) == 2 and all(is_number(b) for b in bounds)
    whole = not_whole("items", items, 1)
    lowest = -1 / (items - 1) if not whole and items > 1 else -1.0
    refuse(
        "spread of an index",
        not_positive("item_sd", item_sd),
        whole,
        ""
        if is_number(correlation) and lowest < correlation <= 1
        else f"correlation={correlation!r} must lie between {lowest:.3g} and 1",
        "" if pair and bounds[0] < bounds[1] else f"bounds={bounds!r} must be two numbers, low < high",
        _impossible("item_sd", item_sd, (bounds[1] - bounds[0]) / math.sqrt(2), bounds)
        if is_number(item_sd) and pair and bounds[0] < bounds[1]
        else "",
    )
    return float(100 / (bounds[1] - bounds[0]) * item_sd * np.sqrt((1 + (items - 1) * correlation) / items))


def _impossible(name: str, sd: float, largest: float, bounds: tuple[float, float]) -> str:
    """A problem if answers within the bounds cannot be spread so much."""
    if sd <= largest * (1 + 1e-9):
        return ""
    return (
        f"{name}={sd:g} is impossible for answers from {bounds[0]:g} to {bounds[1]:g}: {largest:.4g} is the most; "
        "is it given in another unit?"
    )
