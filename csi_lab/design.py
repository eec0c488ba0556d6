"""How the respondents were chosen: the columns that hold weights, strata, primary units and population sizes."""

from __future__ import annotations

from dataclasses import dataclass

from csi_lab.errors import SpecError


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
        Labels are read within their stratum: town 3 of stratum A and town 3 of stratum B are two units.
    population
        Column of population sizes (primary units in the stratum) for the finite population correction.

    Raises
    ------
    SpecError
        If one column is given two roles.

    Examples
    --------
    >>> Design(weights="w", strata="province", psu="town").columns
    ('w', 'province', 'town')
    >>> print(Design())
    simple random sample, equal weights
    """

    weights: str | None = None
    strata: str | None = None
    psu: str | None = None
    population: str | None = None

    def __post_init__(self) -> None:
        twice = sorted({c for c in self.columns if self.columns.count(c) > 1})
        if twice:
            raise SpecError(f"design: columns with two roles: {twice}; give each role its own column")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns named, in the order weights, strata, psu, population."""
        return tuple(c for c in (self.weights, self.strata, self.psu, self.population) if c is not None)

    @property
    def simple(self) -> bool:
        """Whether this is a simple random sample with equal weights."""
        return not self.columns

    def __str__(self) -> str:
        if self.simple:
            return "simple random sample, equal weights"
        roles = {"weights": self.weights, "strata": self.strata, "PSUs": self.psu, "population": self.population}
        return ", ".join(f"{role} in {column!r}" for role, column in roles.items() if column is not None)
