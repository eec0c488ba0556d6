"""The package's errors and its warning: one root, few children, messages that say what to do."""

from __future__ import annotations

from collections.abc import Sequence


class CsiLabError(Exception):
    """Root of the package's errors: ``except CsiLabError`` catches all of them and nothing else."""


class SpecError(CsiLabError, ValueError):
    """A specification (study file, model, parameters) contradicts itself.

    ``problems`` holds every problem found, one sentence each.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class DataError(CsiLabError, ValueError):
    """The data do not fit what was said about them.

    ``problems`` holds every problem found, one sentence each.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class EstimationError(CsiLabError, ValueError):
    """The numbers asked for do not exist for these data and this model.

    ``problems`` holds every problem found, one sentence each.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class CsiLabWarning(UserWarning):
    """Something the reader must weigh before using a result."""


def listed(problems: Sequence[str], head: str) -> str:
    """One message out of several problems: ``head`` alone on its line, then the problems, numbered when several.

    Examples
    --------
    >>> print(listed(["paths name an unknown construct: 'Imige'"], "study.yaml: 1 problem"))
    study.yaml: 1 problem
      paths name an unknown construct: 'Imige'
    """
    if len(problems) == 1:
        return f"{head}\n  {problems[0]}"
    return "\n".join([head, *(f"  {i}. {problem}" for i, problem in enumerate(problems, 1))])
