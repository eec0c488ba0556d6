"""Answers that cannot be: outside the scale, text, against the routing of the questionnaire, or to an instruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.cleaning.flags import Flags, answers_found, flags
from csi_lab.cleaning.missing import shortened
from csi_lab.cleaning.respondents import (
    Bounds,
    Respondents,
    column_names,
    limits,
    one_column,
    require_columns,
    respondents,
    table_of,
)
from csi_lab.errors import DataError, SpecError
from csi_lab.settings import is_whole

if TYPE_CHECKING:
    import pandas as pd


Codes = float | str | Sequence[float | str]


def out_of_range(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    bounds: Bounds | None = None,
    missing_codes: Codes | Mapping[str, Codes] = (),
    whole: bool = False,
    weights: Any = None,
) -> Flags:
    """Answers outside the scale, and text or dates where a number should be.

    Parameters
    ----------
    data
        A survey or a DataFrame, one row per respondent.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    bounds
        Lowest and highest possible answer, one pair for all items or one for each; default those of the survey.
    missing_codes
        Numbers or texts that stand for "no answer", such as 98 and 99: one list for all items, or item to its own. In a
        survey they are missing already, as its study file says.
    whole
        Whether answers between two points of the scale (7.5) are impossible, too.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the number of impossible answers; ``details`` lists each of them.

    Raises
    ------
    DataError
        If columns are absent or share a name, or there is nobody to judge.
    SpecError
        If bounds are absent or not low < high, or missing codes name unknown items.

    Notes
    -----
    Cells that hold a missing code count as no answer, and a remark says how many there are; it also names codes inside
    the bounds, where they may hide answers. Another remark counts numbers that are written as text, as in a column of a
    CSV file in which some cells hold words, and says how to make them numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7, 11, 3], "q2": [10, "ten", 0]})
    >>> found = out_of_range(frame, bounds=(1, 10))
    >>> print(found)
    out of range: 2 of 3 respondents flagged (66.7%): an answer is outside its scale or no number
    >>> found.details[["row", "item", "answer", "problem"]].values.tolist()
    [[1, 'q1', 11, 'above 10'], [1, 'q2', 'ten', 'no number'], [2, 'q2', 0, 'below 1']]
    >>> frame = pd.DataFrame({"q1": [7, 11, 99]})
    >>> out_of_range(frame, bounds=(1, 10), missing_codes=[98, 99]).details["answer"].tolist()
    [11]
    """
    people = respondents(data, items, weights)
    low, high = limits(data, bounds, people.items)
    codes, coded, hidden, written = _codes_of(missing_codes, people.items), {}, [], {}
    found = np.zeros((people.n, len(people.items)), dtype=bool)
    words = np.full(found.shape, "", dtype=object)
    given = np.zeros(people.n, dtype=bool)
    for j, item in enumerate(people.items):
        x, text, missing = _numbers_and_text(people.frame[item])
        if codes[item]:
            numbers = [c for c in codes[item] if not isinstance(c, str)]
            code = np.isin(x, numbers)
            texts = {c.strip() for c in codes[item] if isinstance(c, str)}
            if texts and text.any():
                code |= np.array([isinstance(v, str) and v.strip() in texts for v in people.frame[item]], dtype=bool)
            coded[item] = int(code.sum())
            hidden += [f"{c:g} of {item}" for c in numbers if low[j] <= c <= high[j]]
            x, text, missing = np.where(code, np.nan, x), text & ~code, missing | code
        given |= ~missing
        if text.any() and (k := _numbers_in_text(people.frame[item][text])):
            written[item] = k
        problems = {f"below {low[j]:g}": x < low[j], f"above {high[j]:g}": x > high[j], "no number": text}
        if whole:
            problems["not a whole number"] = ~np.isnan(x) & (x != np.rint(x))
        for problem, rows in problems.items():
            words[rows & ~found[:, j], j] = problem
            found[:, j] |= rows
    rule = "an answer is outside its scale or no number" + (", or not whole" if whole else "")
    remarks = []
    if any(coded.values()):
        each = [f"{item} {k}" for item, k in coded.items() if k]
        remarks.append(f"missing codes count as no answer: {sum(coded.values())} ({shortened(each)})")
    if written:
        first, each = next(iter(written)), [f"{item} {k}" for item, k in written.items()]
        remarks.append(
            f"numbers written as text count as text: {sum(written.values())} ({shortened(each)}); to have them judged "
            f"as numbers and only the rest as text, column by column: frame[{first!r}] = "
            f"pd.to_numeric(frame[{first!r}], errors='coerce').astype(object).fillna(frame[{first!r}])"
        )
    if hidden:
        remarks.append(f"missing codes inside the bounds, where they may hide answers: {shortened(hidden)}")
    return flags(
        people,
        "out of range",
        found.sum(axis=1).astype(float),
        0.0,
        ">",
        statistic="impossible answers",
        rule=rule,
        unjudged={"without any answer": ~given},
        details=answers_found(people, found, words),
        remarks=remarks,
    )


def _codes_of(missing_codes: Any, items: Sequence[str]) -> dict[str, list[Any]]:
    """The missing codes of each item."""
    if isinstance(missing_codes, Mapping):
        unknown = [name for name in missing_codes if name not in items]
        if unknown:
            raise SpecError(f"missing_codes names columns that are not among the items: {unknown}")
        given = {item: missing_codes.get(item, ()) for item in items}
    else:
        given = dict.fromkeys(items, missing_codes)
    found = {item: list(c) if np.iterable(c) and not isinstance(c, str) else [c] for item, c in given.items()}
    odd = sorted({repr(c) for codes in found.values() for c in codes if not _is_code(c)})
    if odd:
        raise SpecError(f"missing_codes must be numbers or texts, got {', '.join(odd)}; empty cells are missing anyway")
    return found


def _is_code(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(value == value)


def _numbers_and_text(column: pd.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers (NaN elsewhere), where there is something else than a number, and where there is nothing."""
    import pandas as pd

    missing = column.isna().to_numpy(dtype=bool, copy=True)
    if pd.api.types.is_bool_dtype(column.dtype):
        return np.full(len(column), np.nan), ~missing, missing
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=float, na_value=np.nan), np.zeros(len(column), dtype=bool), missing
    # True is a number to Python, but no answer on a scale.
    number = np.array([isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in column], dtype=bool)
    missing |= np.array([isinstance(v, str) and not v.strip() for v in column], dtype=bool)
    x = np.full(len(column), np.nan)
    known = number & ~missing
    x[known] = [float(v) for v in column[known]]
    return x, ~number & ~missing, missing


def _numbers_in_text(cells: pd.Series) -> int:
    """How many of these cells are texts that read as numbers."""
    import pandas as pd

    words = cells[[isinstance(v, str) for v in cells]].astype(str)
    return int(pd.to_numeric(words, errors="coerce").notna().sum())


@dataclass(frozen=True)
class Route:
    """One routing of the questionnaire: where ``column`` holds one of ``values``, ``target`` must be as said.

    Parameters
    ----------
    column
        The question that decides.
    values
        One value or several. Columns of text need text: ``"1"`` is not ``1``.
    target
        The question, or several, that it decides about.
    must
        ``"answered"`` or ``"empty"``.

    Raises
    ------
    SpecError
        If nothing is named, a question decides about itself, or ``must`` is unknown.

    Examples
    --------
    >>> print(Route("complained", 0, "handling", "empty"))
    where complained is 0, handling must be empty
    """

    column: str
    values: Any
    target: str | Sequence[str]
    must: Literal["answered", "empty"]

    def __post_init__(self) -> None:
        several = np.iterable(self.values) and not isinstance(self.values, str)
        target = tuple(column_names(self.target, "target"))
        object.__setattr__(self, "values", tuple(self.values) if several else (self.values,))
        object.__setattr__(self, "target", target)
        one_column(self.column, "column")
        problems = []
        if self.must not in ("answered", "empty"):
            problems.append(f"must={self.must!r} is unknown; use 'answered' or 'empty'")
        if not self.values or not target:
            problems.append("name at least one value and one target")
        if any(v is None or v != v for v in self.values):
            problems.append("a missing answer is no value that decides")
        if self.column in target:
            problems.append(f"{self.column!r} decides about itself")
        if problems:
            raise SpecError(f"route of {self.column!r}: " + "; ".join(problems), problems)

    def __str__(self) -> str:
        values = " or ".join(map(str, self.values))
        return f"where {self.column} is {values}, {' and '.join(map(str, self.target))} must be {self.must}"


def routing_errors(data: Any, routes: Route | Sequence[Route], *, weights: Any = None) -> Flags:
    """Answers to questions that should have been skipped, and gaps where an answer was due.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    routes
        The routing, one object for each rule.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the number of violations; ``details`` lists each. A respondent without a violation who did not
        answer a deciding question is not judged.

    Raises
    ------
    DataError
        If columns are absent, or a column of text is compared with a number or the other way round.
    SpecError
        If there is no route.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"complained": [0, 1, 1, None], "handling": [4, None, 7, 5]})
    >>> routes = [Route("complained", 0, "handling", "empty"), Route("complained", 1, "handling", "answered")]
    >>> found = routing_errors(frame, routes)
    >>> print(found)
    routing: 2 of 3 respondents flagged (66.7%): a routing of the questionnaire is broken (2 routes)
    not judged: 1 (without an answer to a question that decides)
    >>> found.details["problem"].tolist()
    ['must be empty where complained is 0', 'must be answered where complained is 1']
    """
    rules = [routes] if isinstance(routes, Route) or not np.iterable(routes) else list(routes)
    strange = sorted({type(rule).__name__ for rule in rules if not isinstance(rule, Route)})
    if strange or not rules:
        example = "Route('complained', 0, 'handling', 'empty')"
        raise SpecError(f"routes must be made by Route, e.g. {example}; got {strange}" if rules else "no routes given")
    frame = table_of(data)
    require_columns(frame, [c for rule in rules for c in (rule.column, *rule.target)])
    targets = list(dict.fromkeys(t for rule in rules for t in rule.target))
    people = respondents(data, targets, weights)
    empty = {c: _empty(people.frame[c]) for c in {c for rule in rules for c in (rule.column, *rule.target)}}
    _require_same_type(people, rules)
    unknown, remarks, parts, count = np.zeros(people.n, dtype=bool), [], [], np.zeros(people.n)
    for rule in rules:
        column = people.frame[rule.column]
        unknown |= empty[rule.column]
        here = column.isin(rule.values).to_numpy(dtype=bool) & ~empty[rule.column]
        if not here.any():
            remarks.append(f"never applied, because nobody gave this answer: {rule}")
        found = np.zeros((people.n, len(targets)), dtype=bool)
        for target in rule.target:
            found[:, targets.index(target)] = here & (empty[target] == (rule.must == "answered"))
        count += found.sum(axis=1)
        values = " or ".join(map(str, rule.values))
        parts.append(answers_found(people, found, f"must be {rule.must} where {rule.column} is {values}"))
    return flags(
        people,
        "routing",
        count,
        0.0,
        ">",
        statistic="routings broken",
        rule=f"a routing of the questionnaire is broken ({len(rules)} route{'s' * (len(rules) > 1)})",
        unjudged={"without an answer to a question that decides": unknown & (count == 0)},
        details=_in_order_of_rows(parts, people),
        remarks=remarks,
        beside=[rule.column for rule in rules],
    )


def _in_order_of_rows(parts: list[pd.DataFrame], people: Respondents) -> pd.DataFrame:
    import pandas as pd

    whole = pd.concat(parts, ignore_index=True)
    place = people.frame.index.get_indexer(pd.Index(whole["row"]))
    return whole.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)


def _empty(column: pd.Series) -> np.ndarray:
    """Where there is no answer; blank text is none."""
    import pandas as pd

    empty = column.isna().to_numpy(dtype=bool, copy=True)
    if not pd.api.types.is_numeric_dtype(column.dtype):
        empty |= np.array([isinstance(v, str) and not v.strip() for v in column], dtype=bool)
    return empty


def _require_same_type(people: Respondents, rules: Sequence[Route]) -> None:
    problems = []
    for rule in rules:
        held = people.frame[rule.column].dropna()
        texts = any(isinstance(v, str) for v in rule.values)
        if len(held) and not any(isinstance(v, str) == texts for v in held):
            kind, other = ("numbers", "text") if texts else ("text", "a number")
            known = ", ".join(repr(v) for v in held.unique()[:5].tolist())
            problems.append(f"{rule.column!r} holds {kind} ({known}), the route names {other}: {list(rule.values)}")
    if problems:
        raise DataError("routes that could never apply: " + "; ".join(problems), problems)


def instructed_answers(
    data: Any, instructed: Mapping[str, float | Sequence[float]], *, failures: int = 1, weights: Any = None
) -> Flags:
    """Failed attention checks: questions whose answer was prescribed ("please choose 7 here").

    Parameters
    ----------
    data
        A survey or a DataFrame.
    instructed
        Question to the answer that was prescribed, or several that will do.
    failures
        Number of failed checks from which a respondent is flagged; default 1, any failure [1]_.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the number of failed checks. Respondents without a failure who skipped a check are not judged.

    Raises
    ------
    DataError
        If a column is absent or text.
    SpecError
        If no question is named or ``failures`` cannot be reached.

    References
    ----------
    .. [1] Meade, A. W., & Craig, S. B. (2012). Identifying careless responses in survey data. Psychological Methods,
       17(3), 437-455.

    Examples
    --------
    >>> import pandas as pd
    >>> print(instructed_answers(pd.DataFrame({"check": [7, 7, 3]}), {"check": 7}))
    instructed answers: 1 of 3 respondents flagged (33.3%): 1 or more of 1 prescribed answers were not given
    """
    if not isinstance(instructed, Mapping):
        raise SpecError(f"instructed must map each question to its answer, e.g. {{'check': 7}}; got {instructed!r}")
    if not is_whole(failures) or not 1 <= failures <= max(1, len(instructed)):
        raise SpecError(f"failures={failures!r} must lie between 1 and the number of checks, {len(instructed)}")
    people = respondents(data, list(instructed), weights)
    x = people.answers
    right = np.column_stack([np.isin(x[:, j], np.atleast_1d(instructed[c])) for j, c in enumerate(people.items)])
    failed = ~right & ~np.isnan(x)
    count = failed.sum(axis=1).astype(float)
    return flags(
        people,
        "instructed answers",
        count,
        float(failures),
        ">=",
        statistic="failed attention checks",
        rule=f"{failures} or more of {len(instructed)} prescribed answers were not given",
        unjudged={"skipped a check": np.isnan(x).any(axis=1) & (count < failures)},
        details=answers_found(people, failed, "not the prescribed answer"),
    )
