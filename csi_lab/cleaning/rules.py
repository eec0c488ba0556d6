"""Rules of cleaning: what is done when checks flag a respondent, and which rule prevails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from csi_lab.cleaning.flags import Flags
from csi_lab.cleaning.respondents import column_names
from csi_lab.errors import SpecError, listed
from csi_lab.settings import is_whole

Action = Literal["review", "set missing", "remove"]
# From the mildest to the strongest: where several rules hold, the strongest action is taken.
ACTIONS = ("keep", "review", "set missing", "remove")


@dataclass(frozen=True)
class Rule:
    """What is done when checks flag a respondent.

    Parameters
    ----------
    action
        ``"review"``: kept, and put on a list for a person to look at. ``"set missing"``: the answers that the checks
        found wrong become missing, the respondent is kept. ``"remove"``: the respondent counts for nothing.
    checks
        Names of checks; ``None``: all checks given.
    at_least
        Number of these checks that must flag: 1, any; their number, all.
    on
        ``"flagged"``, or ``"not judged"`` for respondents whom the checks could not judge.

    Raises
    ------
    SpecError
        If the action or ``on`` is unknown, or ``at_least`` cannot be reached.

    Examples
    --------
    >>> print(Rule("remove", ["longstring", "response time", "IRV"], at_least=2))
    remove when 2 or more of longstring, response time, IRV flag
    """

    action: Action
    checks: str | Sequence[str] | None = None
    at_least: int = 1
    on: Literal["flagged", "not judged"] = "flagged"

    def __post_init__(self) -> None:
        if self.checks is not None:
            checks = tuple(dict.fromkeys(column_names(self.checks, "checks")))
            object.__setattr__(self, "checks", checks)
        most = np.inf if self.checks is None else len(self.checks)
        odd = [check for check in self.checks or () if not isinstance(check, str)]
        problems = [f"checks are called by their names, as in flags.name; got {odd}"] if odd else []
        if self.action not in ACTIONS[1:]:
            problems.append(f"action={self.action!r} is unknown; use one of {list(ACTIONS[1:])}")
        if self.on not in ("flagged", "not judged"):
            problems.append(f"on={self.on!r} is unknown; use 'flagged' or 'not judged'")
        elif self.on == "not judged" and self.action == "set missing":
            problems.append("there is no answer to set missing where a check could not judge")
        if self.checks is not None and not len(self.checks):
            problems.append("no checks named; leave checks out to mean all")
        elif not is_whole(self.at_least) or not 1 <= self.at_least <= most:
            problems.append(f"at_least={self.at_least} checks cannot be reached by {self.checks}")
        if problems:
            raise SpecError("rule: " + "; ".join(problems), problems)

    def __str__(self) -> str:
        verb = "flag" if self.on == "flagged" else "cannot judge"
        if self.checks is None:
            return f"{self.action} when {self.at_least} or more checks {verb}"
        names = ", ".join(self.checks)
        if len(self.checks) == 1:
            return f"{self.action} when {names} {'flags' if self.on == 'flagged' else verb}"
        how = (
            "any" if self.at_least == 1 else "all" if self.at_least == len(self.checks) else f"{self.at_least} or more"
        )
        return f"{self.action} when {how} of {names} {verb}"


@dataclass(frozen=True)
class Verdict:
    """What happens to respondents with one combination of findings."""

    action: str
    because: str
    sets_missing: tuple[bool, ...]


def verdict(flagged: np.ndarray, unjudged: np.ndarray, checks: Sequence[Flags], rules: Sequence[Rule]) -> Verdict:
    """The decision about respondents with the findings ``flagged (checks,)`` and ``unjudged (checks,)``.

    Of the rules that hold, the strongest action is taken; answers to be set missing are those of every rule that holds.

    Examples
    --------
    >>> import pandas as pd
    >>> from csi_lab.cleaning import longstring
    >>> checks = [longstring(pd.DataFrame({"q1": [5, 1], "q2": [5, 2]}), share=1)]
    >>> verdict(np.array([True]), np.array([False]), checks, [Rule("review"), Rule("remove", "longstring")]).action
    'remove'
    """
    found: dict[str, list[str]] = {}
    sets_missing = np.zeros(len(checks), dtype=bool)
    for rule in rules:
        concerned = np.array([rule.checks is None or check.name in rule.checks for check in checks])
        met = concerned & (flagged if rule.on == "flagged" else unjudged)
        if met.sum() >= rule.at_least:
            found.setdefault(rule.action, []).append(str(rule))
            if rule.action == "set missing":
                sets_missing |= met
    action = max(found, key=ACTIONS.index, default="keep")
    # Rules are told in one order, whatever order they were given in.
    return Verdict(action, "; ".join(sorted(set(found.get(action, [])))), tuple(sets_missing))


def require_fit(checks: Sequence[Flags], rules: Sequence[Rule]) -> None:
    """Refuse rules that could never hold, or that ask for something which the checks do not give; all at once.

    Raises
    ------
    SpecError
        With every problem.

    Examples
    --------
    >>> require_fit([], [Rule("remove", "longstring")])
    Traceback (most recent call last):
    csi_lab.errors.SpecError: flags and rules do not fit
      1. no flags given; run a check first, e.g. longstring(data)
      2. the rule 'remove when longstring flags' names unknown checks ['longstring']; the flags given are []
    """
    strange = [type(x).__name__ for x in checks if not isinstance(x, Flags)]
    strange += [type(x).__name__ for x in rules if not isinstance(x, Rule)]
    if strange:
        raise SpecError(f"need Flags (what a check returns) and Rule('remove', ...); got also {sorted(set(strange))}")
    names = [check.name for check in checks]
    problems = []
    if not checks:
        problems.append("no flags given; run a check first, e.g. longstring(data)")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"checks share a name: {twice}; rename one, e.g. flags.named('longstring, service')")
    for rule in rules:
        unknown = [c for c in rule.checks or () if c not in names]
        if unknown:
            problems.append(f"the rule '{rule}' names unknown checks {unknown}; the flags given are {names}")
        elif rule.checks is None and rule.at_least > len(names):
            problems.append(f"the rule '{rule}' cannot hold with {len(names)} checks")
        if rule.action == "set missing":
            concerned = [c for c in checks if rule.checks is None or c.name in rule.checks]
            whole = [c.name for c in concerned if not {"row", "item"} <= set(c.details.columns)]
            if whole:
                problems.append(f"checks {whole} judge respondents, not single answers: nothing to set missing")
    if problems:
        raise SpecError(listed(problems, "flags and rules do not fit"), problems)
