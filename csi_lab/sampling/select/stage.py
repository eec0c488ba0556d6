"""One stage of a sample: what is drawn, how many, by which method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from csi_lab.errors import SpecError, listed
from csi_lab.sampling.select.register import whole
from csi_lab.settings import is_number

StageMethod = Literal[
    "simple random", "systematic", "with replacement", "pps systematic", "sampford", "brewer", "hansen-hurwitz"
]
STAGE_METHODS: tuple[str, ...] = get_args(StageMethod)
BY_SIZE = ("pps systematic", "sampford", "brewer", "hansen-hurwitz")
REPEATING = ("with replacement", "hansen-hurwitz")


@dataclass(frozen=True)
class Stage:
    """One stage of a sample.

    Parameters
    ----------
    unit
        Column that names the units of this stage (town, outlet); ``None``: the rows of the register.
    n
        Units to draw from each unit of the stage above (in the first stage: from each stratum); in the first stage
        also a mapping from stratum to number.
    rate
        Instead of n: share of the units to draw, rounded to the nearest whole number, 1 at least.
    method
        ``"simple random"``, ``"systematic"``, ``"with replacement"`` or, by size, ``"pps systematic"``,
        ``"sampford"``, ``"brewer"``, ``"hansen-hurwitz"``. The two that draw with replacement fit the first stage only.
    size
        Column of sizes for the methods by size; for units of several rows it must be constant within the unit.
        ``None``: the number of rows of the unit.
    order
        Column by which the list is put in order before units are counted off (systematic methods).

    Raises
    ------
    SpecError
        If neither or both of n and rate are given, or options do not fit the method.

    Examples
    --------
    >>> print(Stage("town", n=8, method="pps systematic"))
    8 of 'town' by pps systematic (size: rows)
    >>> print(Stage(None, rate=0.1))
    10% of the rows by simple random
    """

    unit: str | None
    n: int | Mapping[Any, int] | None = None
    rate: float | None = None
    method: StageMethod = "simple random"
    size: str | None = None
    order: str | None = None

    def __post_init__(self) -> None:
        given: Any = self.n
        if hasattr(given, "items") and not isinstance(given, Mapping):
            # A Series from stratum to number.
            object.__setattr__(self, "n", dict(given.items()))
        name = "rows" if self.unit is None else self.unit
        for role in ("unit", "size", "order"):
            column = getattr(self, role)
            if isinstance(column, (list, tuple, set, dict, np.ndarray)):
                raise SpecError(f"stage: {role}={column!r} must be the name of one column")
        if (self.n is None) == (self.rate is None):
            raise SpecError(f"stage {name!r}: give either n or rate")
        if self.rate is not None and not (is_number(self.rate) and 0 < self.rate <= 1):
            raise SpecError(f"stage {name!r}: rate={self.rate!r} must lie above 0 and not above 1")
        if isinstance(self.n, Mapping):
            for label, k in self.n.items():
                whole(k, f"n of stratum {label!r}")
        elif self.n is not None:
            object.__setattr__(self, "n", whole(self.n, "n"))
        if self.method not in STAGE_METHODS:
            raise SpecError(f"stage method {self.method!r} is unknown; use one of {list(STAGE_METHODS)}")
        if self.size is not None and self.method not in BY_SIZE:
            raise SpecError(f"size={self.size!r} has no meaning for method {self.method!r}; use one of {list(BY_SIZE)}")
        if self.unit is None and self.size is None and self.method in BY_SIZE:
            raise SpecError(f"method {self.method!r} needs size=, a column of sizes of the rows")
        if self.order is not None and "systematic" not in self.method:
            raise SpecError(f"order={self.order!r} has no meaning for method {self.method!r}; only for systematic ones")

    def __str__(self) -> str:
        what = "the rows" if self.unit is None else repr(self.unit)
        if isinstance(self.n, Mapping):
            count = f"{sum(self.n.values())} (by stratum)"
        elif self.rate is not None:
            count = f"{100 * self.rate:.4g}%"
        else:
            count = str(self.n)
        text = f"{count} of {what} by {self.method}"
        if self.method in BY_SIZE:
            text += f" (size: {'rows' if self.size is None else self.size})"
        return text + (f" in order of {self.order!r}" if self.order is not None else "")


def require_order(stages: Sequence[Stage]) -> None:
    """Refuse stages that do not fit together.

    Raises
    ------
    SpecError
        With all problems.

    Examples
    --------
    >>> require_order([Stage("town", n=2), Stage(None, n=5)])
    """
    problems = []
    given = isinstance(stages, Sequence) and len(stages) > 0
    if not given or not all(isinstance(stage, Stage) for stage in stages):
        raise SpecError("stages must be one Stage or more, e.g. [Stage('town', n=10), Stage(None, n=5)]")
    units = [stage.unit for stage in stages]
    if None in units[:-1]:
        problems.append("only the last stage may draw the rows themselves (unit=None)")
    named = [u for u in units if u is not None]
    twice = sorted({u for u in named if named.count(u) > 1})
    if twice:
        problems.append(f"columns used for two stages: {twice}")
    for depth, stage in enumerate(stages[1:], 2):
        if stage.method in REPEATING:
            problems.append(f"stage {depth} draws with replacement ({stage.method}); only the first stage may")
        if isinstance(stage.n, Mapping):
            problems.append(f"stage {depth} has one n per stratum; only the first stage may")
    if problems:
        raise SpecError(listed(problems, "the stages do not fit together"), problems)
