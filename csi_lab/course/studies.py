"""What lessons ask of a study: its target, its labels, two halves of its sample, and warnings as words."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import CsiLabError, CsiLabWarning, SpecError
from csi_lab.settings import generator

if TYPE_CHECKING:
    from csi_lab.study.stated import Stated
    from csi_lab.study.survey import Survey

# Complete rows in a half below which two halves tell nothing about each other.
ENOUGH = 20


def target_of(survey: Survey) -> str:
    """The target construct of a study.

    Raises
    ------
    SpecError
        If the study names none.

    Examples
    --------
    >>> import csi_lab as csi
    >>> target_of(csi.load_survey("mobile"))
    'Satisfaction'
    """
    if survey.target is None:
        raise SpecError(
            f"the study {survey.name!r} names no target construct; add 'target: ...' to its study file: one of "
            f"{', '.join(survey.constructs)}"
        )
    return survey.target


def require_language(survey: Stated, language: str | None) -> None:
    """Refuse a language that the study does not speak; ``None`` and ``""`` stand for its first.

    Raises
    ------
    SpecError
        With the languages of the study.
    """
    spoken = survey.study.languages
    if language and language not in spoken:
        raise SpecError(
            f"language: {language!r} is none of the study {survey.name!r}; it has {', '.join(spoken)}; choose one of "
            "these, or add the language and its labels to the study file"
        )


def labels_in(survey: Stated, language: str | None = None) -> dict[str, str]:
    """Name to label of constructs and items, in a language that the study has.

    Parameters
    ----------
    survey
        The study.
    language
        One of its languages; ``None`` or ``""``: its first.

    Raises
    ------
    SpecError
        If the study does not have the language.

    Examples
    --------
    >>> import csi_lab as csi
    >>> labels_in(csi.load_survey("mobile"), "zh")["Satisfaction"]
    '顾客满意度'
    """
    require_language(survey, language)
    return survey.labels(language or None)


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collect the warnings of csi_lab as sentences, to be said in words of the lesson.

    Examples
    --------
    >>> with noting() as notes:
    ...     warnings.warn("19 rows for 4 arrows", CsiLabWarning)
    >>> notes
    ['19 rows for 4 arrows']
    """
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CsiLabWarning)
        yield notes
    for one in caught:
        if issubclass(one.category, CsiLabWarning):
            notes += [str(one.message)] if str(one.message) not in notes else []
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


@dataclass(frozen=True)
class Halves:
    """The same computation on two random halves of a sample.

    Attributes
    ----------
    values
        What was computed in each half; empty when ``why`` says that it could not be.
    n
        Complete rows in each half.
    units
        What was dealt out: ``"people"``, or ``"clusters"`` where people were sampled in clusters.
    why
        The reason for having no values, as a sentence; empty otherwise.
    notes
        Warnings on the way.
    """

    values: tuple[Any, ...]
    n: tuple[int, ...]
    units: str
    why: str = ""
    notes: tuple[str, ...] = ()


def in_halves(
    survey: Survey,
    seed: int,
    compute: Callable[[Survey], Any],
    *,
    items: Sequence[str] | None = None,
    enough: int = ENOUGH,
) -> Halves:
    """Compute something in two random halves of a sample that have nothing but the population in common.

    Where people were sampled in clusters (primary sampling units), whole clusters are dealt out; where there are
    strata, each stratum is halved.

    Parameters
    ----------
    survey
        The sample.
    seed
        Which halves.
    compute
        Takes a survey of half the rows.
    items
        Items that a row must have to count; default those of the model, or all.
    enough
        Complete rows that each half must have.

    Returns
    -------
    Halves
        Without values when a half is too small or has no solution; ``why`` says so.

    Raises
    ------
    SpecError
        If the seed is no whole number from 0.

    Examples
    --------
    >>> import csi_lab as csi
    >>> found = in_halves(csi.load_survey("mobile"), 1, lambda half: half.frame["CUSA1"].mean())
    >>> found.n, found.units
    ((125, 125), 'people')
    """
    side, units = _sides(survey, seed)
    parts = [replace(survey, frame=survey.frame[side == k]) for k in (0, 1)]
    chosen = list(items or (survey.model.items if survey.model else survey.items))
    n = tuple(_complete(part, chosen) for part in parts)
    if min(n) < enough:
        what = f"{n[0]} and {n[1]} complete rows" if min(n) else "all complete rows in one half"
        return Halves((), n, units, f"Too few {units} to halve: the halves would have {what}, fewer than {enough}.")
    try:
        with noting() as notes:
            values = tuple(compute(part) for part in parts)
    except CsiLabError as error:
        return Halves((), n, units, f"No comparison, because one half has no solution: {error}")
    return Halves(values, n, units, notes=tuple(notes))


def _sides(survey: Survey, seed: int) -> tuple[np.ndarray, str]:
    """Half 0 or 1 of each row ``(n,)``, and what was dealt out."""
    frame, design = survey.frame, survey.design
    rows = np.arange(len(frame))
    stratum = (
        frame.groupby(design.strata, dropna=False).ngroup().to_numpy()
        if design.strata
        else np.zeros(len(frame), dtype=int)
    )
    nested = [column for column in (design.strata, design.primary) if column is not None]
    unit = frame.groupby(nested, dropna=False).ngroup().to_numpy() if design.psu else rows
    first = np.unique(unit, return_index=True)[1]
    order = generator(seed).permutation(len(first))
    # In the order of the strata, and within each as shuffled: every other unit goes to the other half.
    order = order[np.argsort(stratum[first][order], kind="stable")]
    side = np.empty(len(first), dtype=int)
    side[order] = np.arange(len(first)) % 2
    return side[unit], "clusters" if design.psu else "people"


def _complete(survey: Survey, items: Sequence[str]) -> int:
    there = survey.frame[list(items)].notna().all(axis=1)
    if survey.design.weights:
        there &= survey.frame[survey.design.weights] > 0
    return int(there.sum())


def design_caveat(survey: Survey) -> str:
    """What an interval for people drawn one by one leaves out on this sample, as a sentence; empty when nothing.

    Weights are not named: the rate and its effective n take them into account.

    Examples
    --------
    >>> import csi_lab as csi
    >>> design_caveat(csi.load_survey("mobile"))
    ''
    """
    if survey.design.psu is not None:
        return (
            "This interval takes everybody for drawn alone and ignores the clusters of this sample; people of one "
            "cluster resemble each other, so that it is too narrow."
        )
    if survey.design.strata is not None:
        return "This interval ignores the strata of this sample, so that it is usually somewhat too wide."
    return ""
