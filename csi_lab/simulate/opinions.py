"""Opinions by calendar year: whoever acts at some moment does so with the opinion of the wave that is current then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import DataError

if TYPE_CHECKING:
    from csi_lab.simulate.market import Market


@dataclass(frozen=True, eq=False)
class Opinions:
    """Latent satisfaction SAT of the same customers in each year.

    Attributes
    ----------
    scores
        Year to ``(customers,)``. A year before the first holds the first, one after the last the last; between two
        waves the earlier one holds.
    """

    scores: Mapping[int, np.ndarray]

    @classmethod
    def constant(cls, satisfaction: np.ndarray) -> Opinions:
        """Opinions that never change.

        Examples
        --------
        >>> Opinions.constant(np.array([0.5])).of_year(2030)
        array([0.5])
        """
        return cls({0: np.asarray(satisfaction, dtype=float)})

    def of_year(self, year: int) -> np.ndarray:
        """Scores of the wave that is current in a year, ``(customers,)``.

        Examples
        --------
        >>> Opinions({2022: np.array([0.0]), 2024: np.array([1.0])}).of_year(2023)
        array([0.])
        """
        known = sorted(self.scores)
        current = max((y for y in known if y <= year), default=known[0])
        return self.scores[current]

    def at(self, moment: np.ndarray, person: np.ndarray) -> np.ndarray:
        """Scores of persons (positions), each at a moment of their own.

        Examples
        --------
        >>> opinions = Opinions({2024: np.array([0.0, 2.0]), 2025: np.array([1.0, 3.0])})
        >>> opinions.at(np.array(["2024-12-31", "2025-01-01"], dtype="datetime64[m]"), np.array([1, 1]))
        array([2., 3.])
        """
        year = moment.astype("datetime64[Y]").astype("int64") + 1970
        found = np.empty(len(person))
        for one in np.unique(year):
            here = year == one
            found[here] = self.of_year(int(one))[person[here]]
        return found

    def require(self, customers: int) -> None:
        """Refuse opinions of other customers than those of the register.

        Raises
        ------
        DataError
            If there is no year, or a year has another number of customers.
        """
        wrong = {year: len(scores) for year, scores in self.scores.items() if len(scores) != customers}
        if wrong or not self.scores:
            raise DataError(f"opinions: one score per customer ({customers}) and year is needed, got {wrong or 'none'}")


def opinions(market: Market, *, last: int | None = None) -> Opinions:
    """Satisfaction of the customers of a market in the years of its waves.

    Parameters
    ----------
    market
        The market.
    last
        Up to this wave; ``None``: the latest.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> market = simulate.make_market(customers=300, rng=1)
    >>> sorted(opinions(market).scores)
    [2022, 2023, 2024, 2025]
    """
    years = market.parameters["market"]["waves"]["years"]
    waves = market.waves if last is None else market.waves[: last + 1]
    return Opinions({int(years[wave]): market.latent_in(wave)["SAT"].to_numpy(float) for wave in waves})
