"""A clock that runs in working hours only: time stamps to working time and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from csi_lab.errors import SpecError

DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class WorkingDays:
    """Working days of some years and the opening hours.

    Working time is a number: the whole part counts working days of the calendar, the fraction is the share of that
    day's opening hours that has passed.

    Attributes
    ----------
    days
        All working days, ascending.
    opens, closes
        Opening hours, hours of the day.
    """

    days: np.ndarray
    opens: float
    closes: float

    @classmethod
    def of(cls, years: Mapping[int, Mapping[str, Sequence[str]]], *, opens: float, closes: float) -> WorkingDays:
        """Monday to Friday without ``holidays``, with ``working_weekends`` (days as ``month-day``).

        Raises
        ------
        SpecError
            If the office does not open before it closes, or years are not consecutive.

        Examples
        --------
        >>> clock = WorkingDays.of({2025: {"holidays": ["01-01"], "working_weekends": ["01-04"]}}, opens=9, closes=17)
        >>> [str(day) for day in clock.days[:3]]
        ['2025-01-02', '2025-01-03', '2025-01-04']
        """
        numbers = sorted(int(y) for y in years)
        if not opens < closes or not numbers or numbers != list(range(numbers[0], numbers[-1] + 1)):
            raise SpecError(f"calendar: needs opens < closes and consecutive years, got {opens}, {closes}, {numbers}")

        def named(key: str) -> np.ndarray:
            return np.array([f"{y}-{d}" for y, lists in years.items() for d in lists[key]], dtype="datetime64[D]")

        every = np.arange(f"{numbers[0]}-01-01", f"{numbers[-1] + 1}-01-01", dtype="datetime64[D]")
        weekend = (every.astype("int64") + 3) % 7 >= 5  # 1970-01-01 was a Thursday
        works = (~weekend | np.isin(every, named("working_weekends"))) & ~np.isin(every, named("holidays"))
        return cls(every[works], float(opens), float(closes))

    def start(self, at: Any) -> np.ndarray:
        """Working time at which the clock starts for something received ``at`` a moment (``datetime64[m]``).

        After closing time or on a day that is not worked it starts when the next working day opens.
        """
        at = np.asarray(at, dtype="datetime64[m]")
        day = at.astype("datetime64[D]")
        place = np.searchsorted(self.days, day)
        if (day < self.days[0].astype("datetime64[Y]")).any() or (place >= len(self.days)).any():
            raise SpecError(f"calendar: no working days known outside {self.days[0]} to {self.days[-1]}")
        hour = (at - day).astype("int64") / 60
        worked = self.days[place] == day
        part = np.where(worked, np.clip((hour - self.opens) / (self.closes - self.opens), 0, 1), 0.0)
        # After closing time the whole day has passed: that is the opening of the next working day.
        return place + part

    def day(self, time: Any) -> np.ndarray:
        """Date (``datetime64[D]``) of a working time."""
        place = np.floor(np.asarray(time, dtype=float) + 1e-9).astype("int64")
        if (place >= len(self.days)).any() or (place < 0).any():
            raise SpecError(f"calendar: a case runs beyond {self.days[-1]}; add the holidays of the next year")
        return self.days[place]

    def stamp(self, time: Any) -> np.ndarray:
        """Moment (``datetime64[m]``) of a working time, cut to the minute.

        Examples
        --------
        >>> clock = WorkingDays.of({2025: {"holidays": [], "working_weekends": []}}, opens=9, closes=17)
        >>> str(clock.stamp(clock.start(np.datetime64("2025-03-07T19:30")) + 0.5))
        '2025-03-10T13:00'
        """
        time = np.asarray(time, dtype=float) + 1e-9
        minutes = (time - np.floor(time)) * (self.closes - self.opens) * 60
        opening = np.timedelta64(round(self.opens * 60), "m")
        return self.day(time).astype("datetime64[m]") + opening + np.floor(minutes + 1e-6).astype("timedelta64[m]")
