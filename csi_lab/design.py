"""How the respondents were chosen: the columns that hold weights, strata, sampling units and population sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from csi_lab.errors import SpecError, listed

ROLES = ("weights", "strata", "psu", "population")


@dataclass(frozen=True)
class Design:
    """The sample design, as names of columns of the answers.

    Parameters
    ----------
    weights
        Column of sampling weights (units of the population that a respondent stands for); ``None``: equal.
    strata
        Column of stratum labels; ``None``: one stratum.
    psu
        Column of primary sampling units (towns, outlets, interviewers' districts); ``None``: each respondent is one.
        Several columns, one per stage of selection, for units drawn within units: ``("town", "household")``. Stages
        nest: labels are read within the unit above, so that town 3 of stratum A and town 3 of stratum B are two.
    population
        Column of population sizes for the finite population correction: primary units in the stratum. Several columns
        for several stages: the second counts the units of the second stage within their primary unit, and so on. One
        column more than ``psu`` has: the respondents themselves are the units of the last stage. Later stages without
        a size have no correction.

    Raises
    ------
    SpecError
        If one column is given two roles, a role is no column name, or stages and sizes do not fit. All at once.

    Notes
    -----
    Replicates (:func:`csi_lab.replicates`) resample the units of the first stage, as is usual: they cover the variation
    of later stages too. A correction for the population of the first stage would take some of that away; so where its
    units were sampled in turn, it is made only if all of them were taken, and then the units of the next stage are
    resampled within each (:func:`csi_lab.units.drawn_units`). Else errors err on the side of caution, by a factor of up
    to :math:`1 / \\sqrt{1 - f}` where a share f of the primary units was drawn: 1.05 at a tenth, 1.4 at a half. The
    linearised variances of :mod:`csi_lab.sampling.estimate` go through all stages and have no such excess.

    Examples
    --------
    >>> Design(weights="w", strata="province", psu="town").columns
    ('w', 'province', 'town')
    >>> print(Design(psu=("town", "household"), population=("towns", "households")))
    PSUs in 'town', then 'household', population in 'towns', then 'households'
    >>> print(Design())
    simple random sample, equal weights
    """

    weights: str | None = None
    strata: str | None = None
    psu: str | Sequence[str] | None = None
    population: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        for role in ("psu", "population"):
            object.__setattr__(self, role, _one_or_several(getattr(self, role)))
        problems = [
            f"{role}={getattr(self, role)!r}: a column name is needed" for role in ROLES if not self._named(role)
        ]
        if not problems:
            twice = sorted({c for c in self.columns if self.columns.count(c) > 1})
            if twice:
                problems.append(f"columns with two roles: {twice}; give each role its own column")
            if len(self.populations) > len(self.stages) + 1:
                problems.append(
                    f"{len(self.populations)} population sizes {list(self.populations)} for {len(self.stages)} stages "
                    f"of units {list(self.stages)}: give one per stage, and at most one more for the respondents"
                )
        if problems:
            raise SpecError(f"design: {problems[0]}" if len(problems) == 1 else listed(problems, "design"), problems)

    def _named(self, role: str) -> bool:
        given: Any = getattr(self, role)
        several = role in ("psu", "population") and isinstance(given, tuple)
        return given is None or all(isinstance(c, str) and c for c in (given if several else (given,)))

    @property
    def stages(self) -> tuple[str, ...]:
        """The columns of sampling units, first stage first."""
        return _columns(self.psu)

    @property
    def primary(self) -> str | None:
        """The column of primary sampling units; ``None`` when each respondent is one."""
        return self.stages[0] if self.stages else None

    @property
    def populations(self) -> tuple[str, ...]:
        """The columns of population sizes, first stage first."""
        return _columns(self.population)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns named, in the order weights, strata, psu, population."""
        alone = tuple(c for c in (self.weights, self.strata) if c is not None)
        return (*alone, *self.stages, *self.populations)

    @property
    def simple(self) -> bool:
        """Whether this is a simple random sample with equal weights."""
        return not self.columns

    def __str__(self) -> str:
        if self.simple:
            return "simple random sample, equal weights"
        roles = {
            "weights": _columns(self.weights),
            "strata": _columns(self.strata),
            "PSUs": self.stages,
            "population": self.populations,
        }
        return ", ".join(f"{role} in {', then '.join(map(repr, found))}" for role, found in roles.items() if found)


def _one_or_several(names: Any) -> Any:
    """A single name as it is, several as a tuple; no name at all is ``None``."""
    if names is None or isinstance(names, str) or not isinstance(names, Sequence):
        return names
    names = tuple(names)
    return (names[0] if len(names) == 1 else names) if names else None


def _columns(names: str | Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)
