"""One stage of selection: what its units add to the variance, and what happens where a unit stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse

from csi_lab.errors import DataError, SpecError

Lonely = Literal["raise", "certainty", "centred", "average", "with replacement"]
LONELY = ("raise", "certainty", "centred", "average", "with replacement")
WHAT_LONELY_ADD = {
    "certainty": "taken with certainty, so that they add nothing to the variance",
    "centred": "set against the mean of all units",
    "average": "taken to add as much as the others on average",
}
# Offenders of one kind that a message names; it counts the rest.
SHOWN = 12


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of selection.

    Attributes
    ----------
    parent
        ``(u,)`` for each unit the number of its stratum (first stage) or of the unit above it.
    counts, fractions
        ``(parents,)`` units drawn from each parent, and which share of its units that is (0: not known or tiny).
    factor
        ``(parents,)`` product of the sampling fractions of all stages above.
    labels
        Names of the parents.
    above
        Column of the units above; ``None`` in the first stage, whose parents are strata.
    number
        1 for the first stage.
    """

    parent: np.ndarray
    counts: np.ndarray
    fractions: np.ndarray
    factor: np.ndarray
    labels: tuple[str, ...]
    above: str | None = None
    number: int = 1

    @cached_property
    def alone(self) -> np.ndarray:
        """Parents that hold a single unit not taken with certainty: its variance is not known."""
        return np.flatnonzero((self.counts == 1) & (self.fractions < 1) & (self.factor > 0))

    def covariance(self, codes: np.ndarray, totals: np.ndarray, lonely: Lonely) -> np.ndarray:
        r"""What this stage adds to the covariance of k estimates, ``(k, k)``.

        .. math:: \sum_h F_h (1 - f_h) \frac{n_h}{n_h - 1} \sum_{i \in h} (z_i - \bar z_h)(z_i - \bar z_h)'

        over parents h with n units, f their sampling fraction and F the product of the fractions above. Units that are
        not among ``codes`` have the total 0 and count in the means.
        """
        weights, means = self._weights(codes, totals, lonely)
        home = self.parent[codes]
        centred = totals - means[home]
        found = (centred * weights[home, None]).T @ centred
        absent = self.counts - np.bincount(home, minlength=len(self.counts))
        found += (means * (weights * absent)[:, None]).T @ means
        alone = self.alone
        if lonely == "centred" and len(alone):
            # The mean over all units stands in for that of the stratum; units outside a domain have the total 0.
            inside = np.flatnonzero(np.isin(self.parent, alone))
            place = np.full(len(self.parent), -1)
            place[codes] = np.arange(len(codes))
            own = np.where(place[inside, None] >= 0, totals[place[inside]], 0.0)
            gap = own - totals.sum(axis=0) / self.counts.sum()
            size = ((1 - self.fractions) * self.factor)[self.parent[inside], None]
            found += (gap * size).T @ gap
        return found

    def cross(self, units: sparse.csr_array, lonely: Lonely) -> np.ndarray:
        """The same for a sparse table ``(u, k)`` of totals, from sums of squares and products."""
        codes = np.flatnonzero(np.diff(units.indptr))
        sums = (adding(self.parent, len(self.counts)) @ units).tocsr()
        weights = self._factors(codes, lonely)
        each = sparse.diags_array(weights[self.parent])
        parents = sparse.diags_array(weights / self.counts)
        found = (units.T @ (each @ units) - sums.T @ (parents @ sums)).toarray()
        if lonely == "centred" and len(self.alone):
            inside = np.flatnonzero(np.isin(self.parent, self.alone))
            gap = units[inside].toarray() - np.asarray(units.sum(axis=0)) / self.counts.sum()
            size = ((1 - self.fractions) * self.factor)[self.parent[inside], None]
            found += (gap * size).T @ gap
        return found

    def _factors(self, codes: np.ndarray, lonely: Lonely) -> np.ndarray:
        """n / (n - 1) (1 - f) F of every parent, 0 for lonely units after they were judged."""
        if lonely in ("raise", "with replacement"):
            # Where a domain does not reach, its total is zero in any other sample too.
            there = np.intersect1d(self.alone, self.parent[codes])
            if len(there):
                self._refuse(there)
        several = self.counts > 1
        spread = np.divide(self.counts, self.counts - 1, out=np.zeros(len(self.counts)), where=several)
        weights = spread * (1 - self.fractions) * self.factor
        if lonely == "average" and len(self.alone):
            all_, alone = int((self.factor > 0).sum()), len(self.alone)
            if alone == all_:
                self._refuse(self.alone)
            weights = weights * all_ / (all_ - alone)
        return weights

    def _weights(self, codes: np.ndarray, totals: np.ndarray, lonely: Lonely) -> tuple[np.ndarray, np.ndarray]:
        """Factors ``(parents,)`` and mean totals of the units ``(parents, k)``."""
        return self._factors(codes, lonely), sums_of(self.parent[codes], totals, len(self.counts)) / self.counts[
            :, None
        ]

    def _refuse(self, alone: np.ndarray) -> None:
        names = [self.labels[i] for i in alone]
        if len(self.counts) == 1:
            raise DataError("the sample holds a single sampling unit; a variance needs two or more")
        shown = f"{names[:SHOWN]}" + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        if self.number > 1:
            raise DataError(
                f"stage {self.number}: a single unit drawn from {len(names)} of {int((self.factor > 0).sum())} units "
                f"of {self.above!r} ({shown}), so that the variance within them is not known. Treat the first stage as "
                "drawn with replacement: a Design with weights, strata and the psu of the first stage only, without "
                "population sizes, or lonely='with replacement', which does so where it is needed; or declare the "
                "population size 1 where there was but one unit. lonely='certainty' would leave their variance out, "
                "'centred' and 'average' borrow it from the others"
            )
        raise DataError(
            f"a single sampling unit drawn from {shown}, so that its variance is not known: merge each with a similar "
            "stratum in the data; declare the population size 1 where the unit was certain to be taken; or choose "
            "lonely='certainty' (adds nothing), 'centred' (about the mean of all units) or 'average' (as the others)"
        )


def require_lonely(lonely: str) -> None:
    """Refuse an unknown treatment of single units.

    Raises
    ------
    SpecError
        With the treatments there are.

    Examples
    --------
    >>> require_lonely("average")
    """
    if lonely not in LONELY:
        raise SpecError(f"lonely={lonely!r} is unknown; use one of {list(LONELY)}")


def sums_of(group: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """Sums of the rows of ``values (p, k)`` over groups ``(size, k)``."""
    return adding(group, size) @ np.ascontiguousarray(values)


def adding(group: np.ndarray, size: int) -> sparse.csc_array:
    """The matrix ``(size, p)`` that adds rows up by group."""
    return sparse.csc_array((np.ones(len(group)), group, np.arange(len(group) + 1)), shape=(size, len(group)))
