"""What is asked of the parameters of a model: held equal, exempt from it, tied, fixed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import SpecError, listed
from csi_lab.settings import is_number

if TYPE_CHECKING:
    from csi_lab.sem.cb_specification import Row


def read_constraints(
    equal: Any, free: Any, fixed: Any
) -> tuple[list[str], list[tuple[str, ...]], tuple[str, ...], dict[str, float]]:
    """Families, ties, exemptions and fixed values, each of its type."""
    problems = []
    items = (equal,) if isinstance(equal, str) else tuple(equal) if isinstance(equal, Iterable) else (equal,)
    families = [e for e in items if isinstance(e, str)]
    ties = [tuple(e) if isinstance(e, (list, tuple)) else (e,) for e in items if not isinstance(e, str)]
    odd = [tie for tie in ties if not all(isinstance(name, str) for name in tie) or len(set(tie)) < 2]
    if odd:
        problems.append(
            f"equal takes names of families and tuples of two or more parameter names, not {odd}; e.g. "
            "equal=['loadings'] or equal=[('f =~ x2', 'f =~ x3')]"
        )
    exempt = (free,) if isinstance(free, str) else tuple(free) if isinstance(free, Iterable) else (free,)
    if not all(isinstance(name, str) for name in exempt):
        problems.append(f"free takes names of parameters, e.g. ['x3 ~1'], not {list(exempt)}")
    values = {} if fixed is None else fixed
    if not isinstance(values, Mapping):
        problems.append(f"fixed maps names of parameters to values, e.g. {{'f ~~ g': 0}}; got {type(fixed).__name__}")
    else:
        wrong = [name for name, v in values.items() if not is_number(v) or not np.isfinite(v)]
        if wrong:
            problems.append(f"fixed values must be finite numbers; not so for {wrong}")
        if not all(isinstance(name, str) for name in values):
            problems.append(f"fixed maps names of parameters to values; got the names {list(values)}")
    if problems:
        raise SpecError(listed(problems, "the model cannot be specified so"), problems)
    return families, ties, exempt, dict(values)


def keys_by_name(rows: Sequence[Row], asked: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """What each name means; names asked for that mean nothing are refused."""
    known = {plain(row.name): row.key for row in rows}
    known |= {plain(f"{row.rhs}~~{row.lhs}"): row.key for row in rows if row.op == "~~"}
    unknown = list(dict.fromkeys(name for name in asked if plain(name) not in known))
    if unknown:
        raise SpecError(
            f"not parameters of this model: {unknown}; names look like "
            f"{', '.join(repr(row.name) for row in rows[1:3])}, intercepts like 'x1 ~1'"
        )
    return known


def plain(name: str) -> str:
    """A parameter name without spaces, so that "x1 ~ 1" and "x1 ~1" are the same."""
    return "".join(name.split())


def leaders_of(ties: Iterable[Sequence[tuple[str, str, str]]]) -> dict[tuple[str, str, str], tuple[str, str, str]]:
    """For each tied parameter the one that stands for its set; sets that share a member are one."""
    sets: list[list[tuple[str, str, str]]] = []
    for tie in ties:
        joined = [s for s in sets if set(s) & set(tie)]
        sets = [s for s in sets if s not in joined]
        sets.append(list(dict.fromkeys([key for s in joined for key in s] + list(tie))))
    return {key: members[0] for members in sets for key in members}


def fixed_by_ties(rows: list[Row], leaders: Mapping[tuple[str, str, str], tuple[str, str, str]]) -> list[Row]:
    """A parameter tied to a fixed one takes its value."""
    values: dict[tuple[int, tuple[str, str, str]], set[float]] = {}
    for row in rows:
        if row.key in leaders and row.value == row.value:
            values.setdefault((row.group, leaders[row.key]), set()).add(row.value)
    clash = sorted({" and ".join(filter(None, key[1:])) for (_, key), found in values.items() if len(found) > 1})
    if clash:
        raise SpecError(f"equal ties parameters fixed at different values: {clash}; remove the tie or one value")
    return [
        replace(row, value=next(iter(values[at])))
        if (at := (row.group, leaders.get(row.key, row.key))) in values
        else row
        for row in rows
    ]
