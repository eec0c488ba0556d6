"""Careless answering: the same answer again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from csi_lab.cleaning.flags import Flags, flags
from csi_lab.cleaning.respondents import (
    Respondents,
    as_answered,
    named_blocks,
    require_one_scale,
    required_answers,
    respondents,
    stated,
)
from csi_lab.errors import SpecError
from csi_lab.settings import is_number

# A grid is a battery of at least so many items: two equal answers are no straight line.
GRID_ITEMS = 3


def longstring(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    share: float = 0.5,
    answered: float = 0.5,
    weights: Any = None,
) -> Flags:
    """The longest run of identical answers to consecutive items.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        In the order of the questionnaire; default: all items of the survey, all columns of a DataFrame but the weights.
    share
        Flagged from this share of the items on; default half of the items [1]_.
    answered
        Share of the items that a respondent must have answered to be judged.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags

    Raises
    ------
    DataError
        If items are absent or text.
    SpecError
        If a share is outside 0 to 1 or amounts to a single answer, or items of a survey have different scales.

    Notes
    -----
    A missing answer ends a run. Answers are taken as they were given: items that the study file declares reversed are
    turned back. In a satisfaction survey a long run of tens may be an honest opinion; look at it together with the
    response time.

    References
    ----------
    .. [1] Curran, P. G. (2016). Methods for the detection of carelessly invalid responses in survey data. Journal of
       Experimental Social Psychology, 66, 4-19.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame([[1, 2, 3, 4, 5, 6], [7, 7, 7, 7, 5, 6]]).add_prefix("q")
    >>> found = longstring(frame)
    >>> found.table["value"].tolist()
    [1.0, 4.0]
    >>> print(found)
    longstring: 1 of 2 respondents flagged (50.0%): 3 or more identical answers in a row, of 6 items
    """
    if not is_number(share) or not 0 < share <= 1:
        raise SpecError(f"share={share!r} must be a share of the items, above 0 and up to 1")
    people, x, need, few = _as_given(data, items, answered, weights)
    p = x.shape[1]
    cutoff = int(np.ceil(round(share * p, 9)))
    if cutoff < 2:
        raise SpecError(f"share={share!r} of {p} items is a run of one answer, which everybody has; raise it")
    return flags(
        people,
        "longstring",
        _longest_run(x).astype(float),
        float(cutoff),
        ">=",
        statistic="longest run of identical answers",
        rule=f"{cutoff} or more identical answers in a row, of {p} items",
        unjudged={f"with fewer than {need} of {p} answers": few},
    )


def irv(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    cutoff: float = 0.0,
    answered: float = 0.5,
    weights: Any = None,
) -> Flags:
    r"""Intra-individual response variability: the standard deviation of a respondent's answers.

    .. math:: \mathrm{IRV}_i = \sqrt{\frac{1}{p_i - 1} \sum_j (x_{ij} - \bar x_i)^2}

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    cutoff
        Flagged up to this value, in points of the scale. Default 0, one answer to everything; Dunn et al. [1]_ propose
        the measure and no universal cut-off. A quantile of the values flags its share of any data, careless or not.
    answered
        Share of the items that a respondent must have answered to be judged, two answers at least.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags

    Raises
    ------
    DataError
        If items are absent or text.
    SpecError
        If there are fewer than two items, the cut-off is negative, or items of a survey have different scales.

    Notes
    -----
    Answers are taken as they were given, as in :func:`longstring`.

    References
    ----------
    .. [1] Dunn, A. M., Heggestad, E. D., Shanock, L. R., & Theilgard, N. (2018). Intra-individual response variability
       as an indicator of insufficient effort responding. Journal of Business and Psychology, 33(1), 105-121.

    Examples
    --------
    >>> import pandas as pd
    >>> found = irv(pd.DataFrame([[1, 2, 3], [7, 7, 7]]).add_prefix("q"))
    >>> found.table["value"].tolist()
    [1.0, 0.0]
    """
    if not is_number(cutoff) or not 0 <= cutoff < np.inf:
        raise SpecError(f"cutoff={cutoff!r} must be 0 or more points of the scale")
    people, x, need, few = _as_given(data, items, answered, weights, at_least=2)
    value = _spread(x, need)
    return flags(
        people,
        "IRV",
        value,
        cutoff,
        "<=",
        statistic="standard deviation of the answers, points of the scale",
        rule=f"the standard deviation of the answers is {cutoff:g}" + (" or less" if cutoff else ""),
        unjudged={f"with fewer than {need} of {x.shape[1]} answers": few},
    )


def straight_lining(
    data: Any,
    grids: Mapping[str, Sequence[str]] | None = None,
    *,
    share: float = 1.0,
    weights: Any = None,
) -> Flags:
    """Grids of items that were answered with one and the same answer throughout (standard deviation 0).

    Parameters
    ----------
    data
        A survey or a DataFrame.
    grids
        Name to items; default: the constructs of the survey with three items or more.
    share
        Flagged when this share of the grids answered, or more, is straight. Default 1: all of them.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the share of straight grids among those answered completely. Respondents who answered none
        completely are not judged.

    Raises
    ------
    DataError
        If items are absent or text.
    SpecError
        If there are no grids, a grid has fewer than three items or items of different scales, or ``share`` is
        impossible.

    References
    ----------
    .. [1] Kim, Y., Dykema, J., Stevenson, J., Black, P., & Moberg, D. P. (2019). Straightlining: Overview of
       measurement, comparison of indicators, and effects in mail-web mixed-mode surveys. Social Science Computer
       Review, 37(2), 214-233.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame([[7, 7, 7, 4, 4, 4], [7, 7, 7, 4, 5, 4]]).add_prefix("q")
    >>> found = straight_lining(frame, {"service": ["q0", "q1", "q2"], "price": ["q3", "q4", "q5"]})
    >>> found.table["value"].tolist(), found.rows.tolist()
    ([1.0, 0.5], [0])
    """
    if not is_number(share) or not 0 < share <= 1:
        raise SpecError(f"share={share!r} must be a share of the grids, above 0 and up to 1")
    if grids is None:
        known = stated(data, "constructs")
        if known is None:
            raise SpecError("no grids given; name them, e.g. grids={'service': ['q1', 'q2', 'q3']}")
        grids = {name: block for name, block in known.items() if len(block) >= GRID_ITEMS}
    blocks = named_blocks(grids, "grids")
    short = [name for name, block in blocks.items() if len(set(block)) < GRID_ITEMS]
    if short or not blocks:
        raise SpecError(f"grids need {GRID_ITEMS} items or more" + (f"; not so: {short}" if short else "; none given"))
    names = list(dict.fromkeys(item for block in blocks.values() for item in block))
    people = respondents(data, names, weights)
    x = as_answered(data, people)
    straight, complete = np.zeros(people.n), np.zeros(people.n)
    for block in blocks.values():
        require_one_scale(data, block)
        part = x[:, [names.index(item) for item in block]]
        there = ~np.isnan(part).any(axis=1)
        complete += there
        straight += there & (part.max(axis=1) == part.min(axis=1))
    value = np.divide(straight, complete, out=np.full(people.n, np.nan), where=complete > 0)
    part_of = "every grid" if share == 1 else f"{share:g} or more of the grids"
    return flags(
        people,
        "straight-lining",
        value,
        share,
        ">=",
        statistic="share of straight grids",
        rule=f"{part_of} answered is straight ({len(blocks)} grids)",
        unjudged={"without a grid answered completely": complete == 0},
    )


def _as_given(
    data: Any, items: Sequence[str] | None, answered: float, weights: Any, at_least: int = 1
) -> tuple[Respondents, np.ndarray, int, np.ndarray]:
    """Respondents, answers as given, how many are needed, and who has too few."""
    people = respondents(data, items, weights)
    p = len(people.items)
    if p < 2:
        raise SpecError(f"answers to one item ({people.items[0]}) do not vary; name two items or more")
    require_one_scale(data, people.items)
    need = max(at_least, required_answers(answered, p))
    x = as_answered(data, people)
    return people, x, need, (~np.isnan(x)).sum(axis=1) < need


def _longest_run(x: np.ndarray) -> np.ndarray:
    """Length ``(n,)`` of the longest run of equal neighbours in each row; a gap ends a run."""
    run = (~np.isnan(x[:, 0])).astype(int)
    longest = run.copy()
    for before, here in zip(x.T[:-1], x.T[1:], strict=True):
        run = np.where(here == before, run + 1, ~np.isnan(here))
        np.maximum(longest, run, out=longest)
    return longest


def _spread(x: np.ndarray, need: int) -> np.ndarray:
    """Standard deviation ``(n,)`` of each row's known values (divisor one less than these); exactly 0 if all equal."""
    known = ~np.isnan(x)
    count = known.sum(axis=1)
    filled = np.where(known, x, 0.0)
    mean = filled.sum(axis=1) / np.maximum(count, 1)
    squares = np.where(known, (filled - mean[:, None]) ** 2, 0.0).sum(axis=1)
    equal = np.where(known, x, -np.inf).max(axis=1) == np.where(known, x, np.inf).min(axis=1)
    spread = np.where(equal, 0.0, np.sqrt(squares / np.maximum(count - 1, 1)))
    return np.where(count >= need, spread, np.nan)
