"""When interviews were made: overlaps, haste and odd hours, by interviewer."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.fieldwork.columns import require_present
from csi_lab.sampling.size.sample_size import is_number, not_share, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FLAGS = ("backwards", "overlap", "short", "outside")


@dataclass(frozen=True, eq=False)
class TimePatterns:
    """What the clock says about the interviews.

    Attributes
    ----------
    table
        One row per interviewer: ``n`` (interviews with both times), ``median`` minutes, ``busiest_day`` (most
        interviews begun on one day), and counts of ``backwards``, ``overlap``, ``short``, ``outside``.
    flags
        One row per interview, truth values: ``backwards`` (ends before it begins, or at once), ``overlap`` (begins
        before an earlier one of the same interviewer ended), ``short``, ``outside`` (begins outside the hours).
    median
        Median duration of all interviews in minutes, those backwards left out.
    shortest
        Interviews below this many minutes are short.
    hours
        Allowed hours of the day.
    dropped
        Interviews left out because a time or the interviewer is missing.
    """

    table: pd.DataFrame
    flags: pd.DataFrame
    median: float
    shortest: float
    hours: tuple[float, float]
    dropped: int

    def to_frame(self) -> pd.DataFrame:
        """The table of interviewers."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Share of flagged interviews of each interviewer, in percent."""
        import matplotlib.pyplot as plt

        from csi_lab.plots_text import as_written

        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, max(2.4, 0.3 * len(self.table) + 1.2)), layout="constrained")
        place, left = np.arange(len(self.table))[::-1], np.zeros(len(self.table))
        colours = {"backwards": "#1f2933", "overlap": "#b3423a", "short": "#2f6f9f", "outside": "#9fb3c8"}
        for flag in FLAGS:
            share = 100 * (self.table[flag] / self.table["n"]).to_numpy()
            ax.barh(place, share, left=left, color=colours[flag], height=0.62, label=flag)
            left = left + share
        ax.set_yticks(place, [str(name) for name in self.table.index])
        ax.set_ylabel("interviewer")
        ax.set_xlabel("flags per 100 interviews (one interview can have several)")
        ax.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        ax.spines[["top", "right"]].set_visible(False)
        return as_written(ax)

    def __str__(self) -> str:
        count = self.flags.sum()
        left_out = f"; {self.dropped} left out (missing)" if self.dropped else ""
        known = np.isfinite(self.median)
        length = f"median {self.median:.1f} minutes" if known else "no duration above zero"
        short = f"{count['short']} shorter than {self.shortest:.1f} minutes" if known else "none can be called short"
        return (
            f"{len(self.flags)} interviews of {len(self.table)} interviewers, {length}{left_out}\n"
            f"  {count['overlap']} overlap an earlier one, {short}, "
            f"{count['outside']} begun outside {self.hours[0]:g} to {self.hours[1]:g} o'clock, "
            f"{count['backwards']} end before they begin"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(2).to_html()}"


def time_patterns(
    frame: pd.DataFrame,
    interviewer: str,
    *,
    start: str = "start",
    end: str = "end",
    short: float = 1 / 3,
    hours: tuple[float, float] = (8.0, 21.0),
) -> TimePatterns:
    """Flag interviews whose times are odd, and count the flags by interviewer.

    Parameters
    ----------
    frame
        One row per interview.
    interviewer
        Column of interviewers' labels.
    start, end
        Columns of times, dates with clock time (or ISO 8601 text: 2026-05-04 10:00), in the respondent's local time:
        without a zone both, or with one both (the zones may differ).
    short
        Interviews below this share of the median duration are short; one third is the usual rule for speeders [1]_.
    hours
        Allowed hours of the day for the beginning, from (included) to (excluded); the default is the one of United
        States telephone rules (47 CFR 64.1200).

    Returns
    -------
    TimePatterns

    Raises
    ------
    DataError
        If columns are absent or hold no times, days alone, or a zone in one of them only; if no interview has both.
    SpecError
        If a setting is out of its range.

    References
    ----------
    .. [1] Greszki, R., Meyer, M., & Schoen, H. (2015). Exploring the effects of removing "too fast" responses and
       respondents from web surveys. Public Opinion Quarterly, 79(2), 471-503.

    Examples
    --------
    >>> import pandas as pd
    >>> day = pd.Timestamp("2026-05-04")
    >>> minutes = pd.to_timedelta
    >>> work = pd.DataFrame({"who": ["A", "A", "A", "B"], "begin": [600, 610, 660, 1320], "long": [20, 18, 4, 22]})
    >>> work["start"] = day + minutes(work["begin"], unit="min")
    >>> work["end"] = work["start"] + minutes(work["long"], unit="min")
    >>> print(time_patterns(work, "who"))
    4 interviews of 2 interviewers, median 19.0 minutes
      1 overlap an earlier one, 1 shorter than 6.3 minutes, 1 begun outside 8 to 21 o'clock, 0 end before they begin
    """
    import pandas as pd

    require_present(frame, [interviewer, start, end])
    pair = isinstance(hours, (tuple, list)) and len(hours) == 2 and all(is_number(h) for h in hours)
    if not pair or not 0 <= hours[0] < hours[1] <= 24:
        raise SpecError(f"hours={hours!r} must be two hours of the day, 0 to 24, the earlier first")
    refuse("time patterns", not_share("short", short))
    begin, finish = _times(frame, start), _times(frame, end)
    known = (begin.notna() & finish.notna() & frame[interviewer].notna()).to_numpy()
    if not known.any():
        raise DataError(f"no interview has {start!r}, {end!r} and {interviewer!r}")
    rows = frame.index[known]
    if (begin.dt.tz is None) != (finish.dt.tz is None):
        raise DataError(
            f"one of {start!r} and {end!r} has a time zone and the other has none; give both or neither one"
        )
    # Durations are those of the world's clock (summer time, zones that differ); hours and days are the respondent's.
    b, f = _minutes(begin[known]), _minutes(finish[known])
    local = _minutes(begin[known].dt.tz_localize(None))
    clock = (local % (24 * 60)) / 60
    if len(clock) > 1 and not clock.any():
        raise DataError(f"{start!r} holds days without a clock time; give both, e.g. 2026-05-04 10:00")
    code, labels = pd.factorize(frame.loc[known, interviewer].to_numpy())
    length = f - b
    backwards = length <= 0
    median = float(np.median(length[~backwards])) if (~backwards).any() else float("nan")
    flags = pd.DataFrame(
        {
            "backwards": backwards,
            "overlap": _overlaps(code, b, np.where(backwards, b, f)),
            "short": ~backwards & (length < short * median),
            "outside": (clock < hours[0]) | (clock >= hours[1]),
        },
        index=rows,
    )
    n = np.bincount(code, minlength=len(labels))
    day = np.floor(local / (24 * 60)).astype(int)
    busy = pd.Series(1, index=pd.MultiIndex.from_arrays([code, day])).groupby(level=[0, 1]).sum().groupby(level=0).max()
    medians = [
        float(np.median(length[(code == at) & ~backwards])) if ((code == at) & ~backwards).any() else float("nan")
        for at in range(len(labels))
    ]
    table = pd.DataFrame(
        {
            "n": n,
            "median": medians,
            "busiest_day": busy.reindex(range(len(labels))).to_numpy(),
            **{flag: np.bincount(code, weights=flags[flag], minlength=len(labels)).astype(int) for flag in FLAGS},
        },
        index=pd.Index(labels, name=str(interviewer)),
    )
    return TimePatterns(
        table=table,
        flags=flags,
        median=median,
        shortest=short * median,
        hours=(float(hours[0]), float(hours[1])),
        dropped=int((~known).sum()),
    )


def _times(frame: pd.DataFrame, column: str) -> pd.Series:
    """One column as times."""
    import pandas as pd
    from pandas.api.types import is_datetime64_any_dtype

    values = frame[column]
    if pd.api.types.is_numeric_dtype(values):
        raise DataError(f"{column!r} holds numbers; give times, e.g. pd.to_datetime(frame[{column!r}], unit='s')")
    try:
        # Text in another form (day or month first?) could be read wrongly without a word.
        times = pd.to_datetime(values, **({} if is_datetime64_any_dtype(values) else {"format": "ISO8601"}))
    except (ValueError, TypeError) as error:
        raise DataError(f"{column!r} cannot be read as times: {str(error).splitlines()[0]}") from None
    return times


def _minutes(times: pd.Series) -> np.ndarray:
    """Minutes since 1970, of the world's clock where the times have a zone."""
    world = times.dt.tz_convert(None) if times.dt.tz is not None else times
    return world.to_numpy().astype("datetime64[ns]").astype("int64") / 60e9


def _overlaps(code: np.ndarray, begin: np.ndarray, finish: np.ndarray) -> np.ndarray:
    """Whether an interview begins before an earlier one of the same interviewer ended."""
    order = np.lexsort((finish, begin, code))
    late = np.full(len(code), False)
    for group in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        before = np.maximum.accumulate(finish[group])[:-1]
        late[group[1:]] = begin[group[1:]] < before
    return late
