"""A market of millions for lessons: every respondent of a study stands for many customers who answer alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import DataError, SpecError
from csi_lab.moments import Moments
from csi_lab.settings import generator, is_number

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.study.survey import Survey

# Beyond this NumPy does not draw without replacement from counts.
LARGEST = 10**9
FILE_ROWS = 250_000


@dataclass(frozen=True, eq=False)
class Multiplied:
    """A market whose every answer is known. Made by :func:`multiplied`.

    Attributes
    ----------
    people
        ``(m, p)`` one row per kind of customer: the complete rows of the study, under their names there.
    customers
        ``(m,)`` number of customers of each kind.
    left_out
        Rows of the study that are not in it, because an answer is missing or their weight is zero.
    """

    people: pd.DataFrame
    customers: np.ndarray
    left_out: int

    @property
    def size(self) -> int:
        """Number of customers N."""
        return int(self.customers.sum())

    @cached_property
    def moments(self) -> Moments:
        """Moments of all customers: the truth of every estimate."""
        return Moments.from_frame(self.people, weights=self.customers)

    def mean(self, value: Any, counts: np.ndarray | None = None) -> Any:
        """Mean of a value ``(m,)`` of each kind over all customers, or over samples ``counts (..., m)``.

        Raises
        ------
        DataError
            If there is not one number for each kind.
        """
        counts = self.customers if counts is None else counts
        return counts @ self._of_kinds(value) / counts.sum(axis=-1)

    def _of_kinds(self, value: Any) -> np.ndarray:
        try:
            x = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            x = np.empty(0)
        if x.shape != self.customers.shape or not np.isfinite(x).all():
            raise DataError(f"a value needs one finite number for each of the {len(self.customers)} kinds of customers")
        return x

    def sd(self, value: Any) -> float:
        """Standard deviation of a value ``(m,)`` over all customers (divisor N)."""
        value = self._of_kinds(value)
        return float(np.sqrt(self.mean((value - self.mean(value)) ** 2)))

    def random(self, n: int, rng: np.random.Generator | int, *, times: int | None = None) -> np.ndarray:
        """Simple random samples without replacement, as numbers of customers of each kind.

        Parameters
        ----------
        n
            Customers in a sample, 1 to N.
        rng
            Seed or generator.
        times
            Number of samples; ``None``: one, without a leading axis.

        Returns
        -------
        ndarray
            ``(m,)``, or ``(times, m)``.

        Raises
        ------
        SpecError
            If n is no whole number from 1 to N.

        Examples
        --------
        >>> import csi_lab as csi
        >>> market = multiplied(csi.load_survey("mobile"), 1_000_000)
        >>> market.random(250, 1, times=3).sum(axis=1).tolist()
        [250, 250, 250]
        """
        if not is_number(n) or n % 1 or not 1 <= n <= self.size:
            raise SpecError(
                f"a sample of {n!r} from {self.size} customers: n must be a whole number from 1 to {self.size}"
            )
        return generator(rng).multivariate_hypergeometric(self.customers, int(n), size=times, method="marginals")

    def chances(self, value: Any, n: float, odds: float) -> np.ndarray:
        r"""Chance of each kind to answer an open invitation, so that n answers are expected.

        .. math:: \log \frac{p_i}{1 - p_i} = a + z_i \log(\text{odds})

        Parameters
        ----------
        value
            ``(m,)`` what the decision to answer depends on; z is its standard score in the market.
        n
            Expected number of answers, between 0 and N.
        odds
            Factor of the odds for each standard deviation more, > 0; 1: everybody has the same chance.

        Raises
        ------
        DataError
            If the value does not vary.
        SpecError
            If n or odds are out of their range.

        Examples
        --------
        >>> import csi_lab as csi
        >>> market = multiplied(csi.load_survey("mobile"), 1_000_000)
        >>> chance = market.chances(market.people["CUSA1"], 100_000, 1.2)
        >>> round(float(market.customers @ chance))
        100000
        """
        from scipy.optimize import brentq
        from scipy.special import expit, logit

        spread = self.sd(value)
        if not spread > 0:
            raise DataError("all customers have the same value, so that answering cannot depend on it")
        if not 0 < n < self.size or not (np.isfinite(odds) and odds > 0):
            raise SpecError(f"n={n!r} must lie between 0 and {self.size}, and odds={odds!r} must be positive")
        slope = np.log(odds) * (self._of_kinds(value) - self.mean(value)) / spread
        share = n / self.size
        middle, reach = logit(share), np.abs(slope).max() + 1
        level = brentq(lambda a: self.mean(expit(a + slope)) - share, middle - reach, middle + reach, xtol=1e-12)
        return np.asarray(expit(level + slope))

    def volunteers(
        self, chances: np.ndarray, rng: np.random.Generator | int, *, times: int | None = None
    ) -> np.ndarray:
        """Who answers an open invitation: every customer decides alone, with the chance of its kind.

        Parameters
        ----------
        chances
            ``(m,)`` as :meth:`chances` gives them.
        rng, times
            As in :meth:`random`.

        Raises
        ------
        DataError, SpecError
            If the chances are not one for each kind, or not from 0 to 1.

        Examples
        --------
        >>> import csi_lab as csi
        >>> market = multiplied(csi.load_survey("mobile"), 1_000_000)
        >>> market.volunteers(market.chances(market.people["CUSA1"], 100_000, 1.2), 1).shape
        (250,)
        """
        p = self._of_kinds(chances)
        if (p < 0).any() or (p > 1).any():
            raise SpecError(f"chances must lie from 0 to 1, got {p.min():g} to {p.max():g}")
        size = None if times is None else (times, len(self.customers))
        return generator(rng).binomial(self.customers, p, size=size)

    def rows(self, counts: np.ndarray, rng: np.random.Generator | int) -> pd.DataFrame:
        """The answers of a sample ``counts (m,)``, one row per customer in random order.

        Examples
        --------
        >>> import csi_lab as csi
        >>> market = multiplied(csi.load_survey("mobile"), 1_000_000)
        >>> market.rows(market.random(10_000, 1), 2).shape
        (10000, 24)
        """
        return self._frame(self._order(counts, rng))

    def write(
        self, folder: str | Path, counts: np.ndarray, rng: np.random.Generator | int, *, files: int | None = None
    ) -> list[Path]:
        """The same rows as parquet files of nearly equal size, one after the other, never all in memory.

        Parameters
        ----------
        folder
            A new folder, or one that exists.
        counts, rng
            As in :meth:`rows`.
        files
            How many; default one for every 250,000 rows that are begun.

        Returns
        -------
        list of Path

        Raises
        ------
        SpecError
            If fewer than one file is asked for.

        Examples
        --------
        >>> import tempfile
        >>> import csi_lab as csi
        >>> market = multiplied(csi.load_survey("mobile"), 1_000_000)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in market.write(folder, market.random(1000, 1), 2, files=2)]
        ['part-0.parquet', 'part-1.parquet']
        """
        if files is None:
            files = max(1, -(-int(counts.sum()) // FILE_ROWS))
        if files < 1:
            raise SpecError(f"files={files!r}: one or more")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"part-{k}.parquet" for k in range(files)]
        for path, part in zip(paths, np.array_split(self._order(counts, rng), files), strict=True):
            self._frame(part).to_parquet(path, index=False)
        return paths

    def _order(self, counts: np.ndarray, rng: np.random.Generator | int) -> np.ndarray:
        kinds = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        generator(rng).shuffle(kinds)
        return kinds

    @cached_property
    def _compact(self) -> pd.DataFrame:
        """The kinds in one byte per answer where their answers fit."""
        x = self.people.to_numpy()
        fits = bool(((x == np.rint(x)) & (np.abs(x) < 128)).all())
        return self.people.astype(np.int8) if fits else self.people

    def _frame(self, kinds: np.ndarray) -> pd.DataFrame:
        import pandas as pd

        compact = self._compact
        return pd.DataFrame(compact.to_numpy()[kinds], columns=compact.columns)

    def __str__(self) -> str:
        few, most = self.customers.min(), self.customers.max()
        each = f"{few:,}" if few == most else f"{few:,} to {most:,}"
        rows = f"{self.left_out} row{'s' * (self.left_out != 1)} of the study"
        left = f"; {rows} left out (missing answers or weight zero)" if self.left_out else ""
        return f"{self.size:,} customers: {len(self.people)} kinds with {each} customers each{left}"

    __repr__ = __str__


def multiplied(survey: Survey, customers: int, *, items: Sequence[str] | None = None) -> Multiplied:
    """A market of so many customers, in which every complete row of a study stands for many who answer alike.

    A row has customers in proportion to its sampling weight, rounded to whole customers by the largest remainders. So
    the estimates of the study are the truth of the market, and any number of samples can be drawn from it, without the
    market itself ever being written down.

    Parameters
    ----------
    survey
        The study.
    customers
        N, from the number of complete rows to a thousand million (exclusive).
    items
        Items that a row must have; default all.

    Returns
    -------
    Multiplied

    Raises
    ------
    DataError
        If fewer than two rows are complete.
    SpecError
        If ``customers`` is out of its range.

    Examples
    --------
    >>> import csi_lab as csi
    >>> multiplied(csi.load_survey("mobile"), 1_000_000)
    1,000,000 customers: 250 kinds with 4,000 customers each
    """
    chosen = list(survey.items if items is None else items)
    weights = survey.frame[survey.design.weights] if survey.design.weights else None
    whole = survey.frame[chosen].notna().all(axis=1)
    if weights is not None:
        whole &= weights > 0
    people = survey.frame.loc[whole, chosen]
    if len(people) < 2:
        raise DataError(
            f"{len(people)} rows of {len(survey.frame)} have answers to all {len(chosen)} items; two are needed"
        )
    if not is_number(customers) or customers % 1 or not len(people) <= customers < LARGEST:
        raise SpecError(
            f"customers={customers!r}: a whole number from {len(people)}, the complete rows, to less than {LARGEST:,}"
        )
    share = np.ones(len(people)) if weights is None else weights[whole].to_numpy(dtype=float)
    return Multiplied(people, _apportioned(share, int(customers)), len(survey.frame) - len(people))


def _apportioned(share: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to shares, with this total, by the largest remainders."""
    exact = share / share.sum() * total
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return counts
