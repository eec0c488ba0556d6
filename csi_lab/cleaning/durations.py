"""Careless answering: interviews too fast for the questions to have been read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from csi_lab.cleaning.flags import Flags, flags
from csi_lab.cleaning.respondents import Respondents, one_column, require_columns, respondents, stated
from csi_lab.errors import DataError, SpecError
from csi_lab.settings import is_number


def response_time(data: Any, column: str, *, fraction: float = 1 / 3, weights: Any = None) -> Flags:
    """Respondents who were much faster than the others ("speeders").

    Parameters
    ----------
    data
        A survey or a DataFrame.
    column
        Duration of the interview, in any unit.
    fraction
        Flagged below this fraction of the median; default a third, a rule of thumb of fieldwork. What removing those
        below milder and stricter cut-offs changes is studied in [1]_.
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
    if not is_number(fraction) or not 0 < fraction < 1:
        raise SpecError(f"fraction={fraction!r} must lie between 0 and 1, e.g. 1/3")
    people = respondents(data, [one_column(column, "column")], weights)
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
    if not is_number(cutoff) or not 0 < cutoff < np.inf:
        raise SpecError(f"cutoff={cutoff!r} must be seconds above zero")
    if items is None and stated(data, "study") is None:
        raise SpecError("which questions were answered in that time? name them: items=[...]")
    people = respondents(data, items, weights)
    require_columns(people.frame, [one_column(column, "column")])
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
