"""The market: a register of customers, what they truly think, and what they would answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.settings import is_whole, require_whole
from csi_lab.simulate import answers as answering
from csi_lab.simulate import truth
from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.latent import group_effects, latent_scores
from csi_lab.simulate.register import make_register
from csi_lab.simulate.seeds import root

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Market:
    """All customers of three fictional broadband operators, with everything known about them.

    Attributes
    ----------
    parameters
        Every section of the truth.
    seed
        Root of the random streams; one per table and wave grows from it.
    register
        One row per customer.
    """

    parameters: truth.Section
    seed: int
    register: pd.DataFrame
    _effects: Mapping[str, np.ndarray] = field(repr=False)
    _latent: list[pd.DataFrame] = field(repr=False, default_factory=list)
    _responses: dict[int, np.ndarray] = field(repr=False, default_factory=dict)
    _indices: dict[int, pd.DataFrame] = field(repr=False, default_factory=dict)

    @property
    def waves(self) -> tuple[int, ...]:
        """Numbers of the yearly waves, 0 the base."""
        return tuple(range(len(self.parameters["market"]["waves"]["years"])))

    @property
    def items(self) -> list[str]:
        """The items of the questionnaire, in its order."""
        return answering.items(self.parameters["market"])

    @property
    def blocks(self) -> dict[str, list[str]]:
        """Each construct with its items."""
        return answering.blocks(self.parameters["market"])

    @property
    def latent(self) -> pd.DataFrame:
        """True latent scores of the base wave, columns IMG, EXP, PQ, VAL, SAT, LOY; rows as in the register."""
        return self.latent_in(0)

    def latent_in(self, wave: int) -> pd.DataFrame:
        """True latent scores of a wave, in the units of the base wave (mean about 0, sd about 1 there).

        Raises
        ------
        SpecError
            If there is no such wave.
        """
        self._require(wave)
        if wave >= len(self._latent):
            stated = self.parameters["market"]
            self._latent[:] = latent_scores(self._effects, self.register, stated, self.seed, wave)
        return self._latent[wave]

    def responses(self, wave: int = 0) -> np.ndarray:
        """The normal responses behind the answers of a wave, ``(items, customers)``.

        Raises
        ------
        SpecError
            If there is no such wave.
        """
        self._require(wave)
        if wave not in self._responses:
            latent, stated = self.latent_in(wave), self.parameters["market"]
            self._responses.clear()  # one wave at a time: all four would hold 70 MB at the full size
            self._responses[wave] = answering.responses(latent, stated, self.seed, wave)
        return self._responses[wave]

    def answers(self, wave: int = 0) -> pd.DataFrame:
        """What every customer would answer: a census without refusal, carelessness or missing answers.

        Parameters
        ----------
        wave
            0 (base) to 3 (latest).

        Returns
        -------
        DataFrame
            The items as whole numbers 1 to 10 (int8), rows as in the register. PQ5 (staff) is there for everybody,
            also for customers who had no contact and would not be asked.

        Raises
        ------
        SpecError
            If there is no such wave.

        Examples
        --------
        >>> answers = make_market(customers=300, rng=1).answers()
        >>> answers.shape, str(answers["SAT1"].dtype)
        ((300, 23), 'int8')
        """
        cuts = answering.thresholds(self.parameters["market"])
        return pd.DataFrame(answering.categories(self.responses(wave), cuts), columns=self.items)

    def census(self, function: Callable[[pd.DataFrame], T], wave: int = 0) -> T:
        """An estimator applied to all customers: what a sample should have found.

        Parameters
        ----------
        function
            Takes a DataFrame (register and answers side by side), gives anything.
        wave
            0 (base) to 3 (latest).

        Raises
        ------
        SpecError
            If there is no such wave.

        Examples
        --------
        >>> market = make_market(customers=300, rng=1)
        >>> market.census(len)
        300
        """
        return function(pd.concat([self.register, self.answers(wave)], axis=1))

    def truth_index(self, wave: int = 0) -> pd.DataFrame:
        """The 0-100 index of each construct in the census, items weighted equally.

        Parameters
        ----------
        wave
            0 (base) to 3 (latest).

        Returns
        -------
        DataFrame
            One row per operator and one, ``all``, for the market; one column per construct.

        Examples
        --------
        >>> list(make_market(customers=300, rng=1).truth_index().index)
        ['A', 'B', 'C', 'all']
        """
        self._require(wave)
        if wave in self._indices:
            return self._indices[wave].copy()
        given = self.answers(wave)
        position = pd.DataFrame({c: given[list(block)].mean(axis=1) for c, block in self.blocks.items()})
        position = 100 * (position - answering.LOW) / (answering.HIGH - answering.LOW)
        table = position.groupby(self.register["operator"].to_numpy()).mean().rename_axis("operator")
        self._indices[wave] = pd.concat([table, position.mean().to_frame("all").T]).rename_axis("operator")
        return self._indices[wave].copy()

    def survey(self, sample_rows: Any, *, wave: int = 3, **settings: Any) -> pd.DataFrame:
        """The answers of those sampled customers who respond.

        Parameters
        ----------
        sample_rows
            Numbers of the customers, a DataFrame with the column ``customer``, or a sample of the register.
        wave
            0 (base) to 3 (latest).
        **settings
            Sources of error, as :func:`csi_lab.simulate.fieldwork.interview` takes them; that function also tells what
            is behind the answers.

        Examples
        --------
        >>> market = make_market(customers=2000, rng=1)
        >>> len(market.survey([3, 5, 8], wave=0, nonresponse=False))
        3
        """
        from csi_lab.simulate.fieldwork import interview

        return interview(self, sample_rows, wave=wave, **settings).answers

    def __str__(self) -> str:
        register = self.register
        shares = register["operator"].value_counts(normalize=True).sort_index()
        places = ((register["province"].nunique(), "province"), (register["town"].nunique(), "town"))
        return (
            f"{len(register):,} customer{'s' * (len(register) > 1)} in "
            + " and ".join(f"{n} {name}{'s' * (n > 1)}" for n, name in places)
            + f"; {len(self.waves)} waves; seed {self.seed}\n"
            "operators: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        )

    __repr__ = __str__

    def __reduce__(self) -> tuple[Any, ...]:
        # Made again from its seed on the other side: small to send, and read-only mappings cannot be pickled.
        return _remade, (truth.plain(self.parameters), len(self.register), self.seed)

    def _require(self, wave: int) -> None:
        if not is_whole(wave) or wave not in self.waves:
            raise SpecError(f"there is no wave {wave!r}; the waves are {', '.join(map(str, self.waves))}")


def _remade(parameters: dict[str, Any], customers: int, seed: int) -> Market:
    return make_market(parameters, customers=customers, rng=seed)


def make_market(
    parameters: Mapping[str, Any] | None = None,
    *,
    customers: int = 200_000,
    rng: np.random.Generator | int = 20260,
) -> Market:
    """Make the market: register and truth of every customer.

    Parameters
    ----------
    parameters
        Changes of the truth by section, or all of it, as :func:`csi_lab.simulate.parameters` takes them; ``None``: as
        shipped.
    customers
        Size of the market, 1 or more. Below some thousands the towns become tiny.
    rng
        Seed, or a generator from which one is drawn.

    Returns
    -------
    Market

    Raises
    ------
    SpecError
        If the size or the seed is not possible, parameters are unknown or out of their range, or leave no variance for
        a construct.

    Notes
    -----
    Latent scores follow the structural model of the parameters; answers are normal responses cut at thresholds. The
    same seed gives the same market, and a table that is added later changes no other: each has its own stream.

    Examples
    --------
    >>> print(make_market(customers=2000, rng=7))
    2,000 customers in 8 provinces and ... towns; 4 waves; seed 7
    operators: A ...
    """
    require_whole(customers, "customers")
    seed = root(rng)
    everything = truth.parameters(parameters)
    require_possible(everything)
    stated = everything["market"]
    register = make_register(stated, int(customers), seed)
    market = Market(everything, seed, register, group_effects(register, stated, seed))
    # Parameters that cannot be are refused here, not at the first answer.
    answering.thresholds(stated)
    market.latent_in(0)
    return market
