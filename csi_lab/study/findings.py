"""What is seen while the answers are prepared, in sentences that name the rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

FEW = 10  # how many cases a sentence names before it counts the rest


@dataclass
class Findings:
    """Problems stop the survey, notes go with it."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, what: str, cases: Iterable[str], remedy: str) -> None:
        """One problem with all its cases; none without cases."""
        said = "; ".join(cases)
        if said:
            self.problems.append(f"{what}: {said}. {remedy}")

    def note(self, what: str, cases: Iterable[str]) -> None:
        """One note with all its cases; none without cases."""
        said = ", ".join(cases)
        if said:
            self.notes.append(f"{what}: {said}.")


def rows_said(rows: np.ndarray, chosen: np.ndarray) -> str:
    """The numbers of the chosen rows, the first few of them."""
    numbers = rows[np.asarray(chosen, dtype=bool)]
    few = ", ".join(str(n) for n in numbers[:FEW])
    more = f" and {len(numbers) - FEW} more" if len(numbers) > FEW else ""
    return f"row{'s' * (len(numbers) > 1)} {few}{more}"


def first_few(cases: Iterable[str], of_what: str) -> list[str]:
    """The first cases, and how many more there are."""
    every = list(cases)
    return every[:FEW] + ([f"and {len(every) - FEW} more {of_what}"] if len(every) > FEW else [])
