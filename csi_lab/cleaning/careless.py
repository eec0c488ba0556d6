"""Careless answering: the same answer again and again, or answers too fast to have been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from csi_lab.cleaning.flags import Flags, flags
from csi_lab.cleaning.respondents import (
    Respondents,
    as_answered,
    require_columns,
    require_one_scale,
    required_answers,
    respondents,
    stated,
)
from csi_lab.errors import DataError, SpecError

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
    if not 0 < share <= 1:
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
    if not cutoff >= 0:
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
    if not 0 < share <= 1:
        raise SpecError(f"share={share!r} must be a share of the grids, above 0 and up to 1")
    if grids is None:
        known = stated(data, "constructs")
        if known is None:
            raise SpecError("no grids given; name them, e.g. grids={'service': ['q1', 'q2', 'q3']}")
        grids = {name: block for name, block in known.items() if len(block) >= GRID_ITEMS}
    blocks = {name: [block] if isinstance(block, str) else list(block) for name, block in grids.items()}
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


def response_time(data: Any, column: str, *, fraction: float = 1 / 3, weights: Any = None) -> Flags:
    """Respondents who were much faster than the others ("speeders").

    Parameters
    ----------
    data
        A survey or a DataFrame.
    column
        Duration of the interview, in any unit.
    fraction
        Flagged below this fraction of the median; default a third [1]_.
    weights
        Weights of a DataFrame; rows of weight zero are nobody. The median is unweighted.

    Returns
    -------
    Flags

    Raises
    ------
    DataError
        If the column is absent or holds text, infinite or negative durations.
    SpecError
        If the fraction is not between 0 and 1.

    References
    ----------
    .. [1] Greszki, R., Meyer, M., & Schoen, H. (2015). Exploring the effects of removing "too fast" responses and
       respondents from web surveys. Public Opinion Quarterly, 79(2), 471-503.

    Examples
    --------
    >>> import pandas as pd
    >>> print(response_time(pd.DataFrame({"seconds": [300, 280, 330, 60, None]}), "seconds"))
    response time: 1 of 4 respondents flagged (25.0%): 'seconds' is below 0.333 of the median of 290
    not judged: 1 (without a time)
    """
    if not 0 < fraction < 1:
        raise SpecError(f"fraction={fraction!r} must lie between 0 and 1, e.g. 1/3")
    people = respondents(data, [column], weights)
    time = _durations(people, column)
    absent = np.isnan(time)
    median = float(np.median(time[~absent])) if not absent.all() else np.nan
    return flags(
        people,
        "response time",
        time,
        fraction * median,
        "<",
        statistic=f"duration ({column})",
        rule=f"{column!r} is below {fraction:.3g} of the median of {median:g}",
        unjudged={"without a time": absent},
    )


def seconds_per_item(
    data: Any, column: str, items: Sequence[str] | None = None, *, cutoff: float = 2.0, weights: Any = None
) -> Flags:
    """Respondents who took less time for an answer than reading the question takes.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    column
        Duration of the part of the interview that holds ``items``, in seconds.
    items
        Questions answered in that time; default: all items of the survey.
    cutoff
        Flagged below so many seconds per answer; default 2 [1]_.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the duration over the number of items answered. Without a time or any answer: not judged.

    Raises
    ------
    DataError
        If columns are absent, or the durations are text, infinite or negative.
    SpecError
        If no items are named or the cut-off is not above zero.

    References
    ----------
    .. [1] Huang, J. L., Curran, P. G., Keeney, J., Poposki, E. M., & DeShon, R. P. (2012). Detecting and deterring
       insufficient effort responding to surveys. Journal of Business and Psychology, 27(1), 99-114.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"seconds": [12, 3], "q1": [7, 7], "q2": [8, 9]})
    >>> seconds_per_item(frame, "seconds", ["q1", "q2"]).table["value"].tolist()
    [6.0, 1.5]
    """
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise SpecError(f"cutoff={cutoff!r} must be seconds above zero")
    if items is None and stated(data, "study") is None:
        raise SpecError("which questions were answered in that time? name them: items=[...]")
    people = respondents(data, items, weights)
    require_columns(people.frame, [column])
    time = _durations(people, column)
    given = (~np.isnan(people.answers)).sum(axis=1)
    value = np.divide(time, given, out=np.full(people.n, np.nan), where=given > 0)
    return flags(
        people,
        "seconds per item",
        value,
        cutoff,
        "<",
        statistic="seconds per answer",
        rule=f"less than {cutoff:g} seconds per answer",
        unjudged={"without a time": np.isnan(time), "without an answer": given == 0},
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


def _durations(people: Respondents, column: str) -> np.ndarray:
    """Durations ``(n,)``; numbers written as text are read, since columns that are no items may be text as filed."""
    import pandas as pd

    held = people.frame[column]
    blank = held.isna()
    if not pd.api.types.is_numeric_dtype(held.dtype):
        blank |= held.map(lambda v: isinstance(v, str) and not v.strip()).astype(bool)
    read: pd.Series = pd.to_numeric(held.where(~blank), errors="coerce")
    time = read.to_numpy(dtype=float, na_value=np.nan)
    bad = (np.isnan(time) & ~blank.to_numpy(dtype=bool)) | np.isinf(time) | (time < 0)
    if bad.any():
        rows = people.frame.index[bad]
        shown = ", ".join(f"{row} ({held[row]!r})" for row in rows[:5]) + (", …" if len(rows) > 5 else "")
        raise DataError(f"durations in {column!r} must be numbers of 0 or more; not so in {len(rows)} rows: {shown}")
    return time
