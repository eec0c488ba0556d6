"""What is done about flagged respondents: the decisions that rules lead to, and nothing without a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_numbers, split_weights
from csi_lab.cleaning.duplicates import id_column
from csi_lab.cleaning.fingerprint import changed_rows
from csi_lab.cleaning.flags import Flags
from csi_lab.cleaning.log import CleaningLog, without_answers
from csi_lab.cleaning.missing import shortened
from csi_lab.cleaning.respondents import column_names, one_column, require_columns, stated, table_of
from csi_lab.cleaning.rules import Rule, require_fit, verdict
from csi_lab.design import Design
from csi_lab.errors import DataError, EstimationError, SpecError, listed
from csi_lab.near_pairs import distinct_patterns

if TYPE_CHECKING:
    import pandas as pd

Numbers = Sequence[str] | Mapping[str, Callable[["pd.DataFrame"], float]]


def decide(
    data: Any,
    flags: Flags | Sequence[Flags],
    rules: Rule | Sequence[Rule] | None = None,
    *,
    id: str | None = None,
    design: Design | None = None,
    numbers: Numbers = (),
    weight_column: str = "cleaning_weight",
) -> CleaningLog:
    """Decide about every respondent by rules, and log it. The data stay as they are; the log can be applied to them.

    Parameters
    ----------
    data
        A survey or a DataFrame with unique row labels.
    flags
        Findings of the checks, of these data.
    rules
        In any order: where several hold, the strongest action is taken (remove, set missing, review, keep). Default: a
        review of everybody flagged, so that nothing is removed unless a rule says so.
    id
        Column that says who a respondent is, for the log; default the id of the survey's design.
    design
        Sample design of a DataFrame; a survey has its own.
    numbers
        What to report before and after: names of columns (their weighted means; none before where a column holds
        text), or name to a function of a frame that gives a number. The function gets all respondents, then those kept
        with their wrong answers missing.
    weight_column
        Name of the column of weights that applying the log adds where the design has none.

    Returns
    -------
    CleaningLog

    Raises
    ------
    DataError
        If flags are of other data, or design columns are absent, have gaps, or hold impossible weights.
    EstimationError
        If the rules remove everybody.
    SpecError
        If checks share a name, a rule names an unknown check, or one whose findings are no single answers is to set
        answers missing.

    Notes
    -----
    The decision depends on the flags alone, not on their order, the order of the rules or that of the rows. Rows of
    weight zero are nobody: they are not counted, and cleaning twice is cleaning once.

    Examples
    --------
    >>> import pandas as pd
    >>> from csi_lab.cleaning import longstring, out_of_range
    >>> frame = pd.DataFrame([[7, 8, 9, 6], [5, 5, 5, 5], [4, 99, 6, 5]], columns=["q1", "q2", "q3", "q4"])
    >>> flags = [out_of_range(frame, bounds=(1, 10)), longstring(frame, share=1)]
    >>> log = decide(frame, flags, [Rule("set missing", "out of range"), Rule("remove", "longstring")], numbers=["q2"])
    >>> print(log)
    3 respondents: 2 remain (66.7% of the weight), 1 removed, 0 to review, 1 answer of 1 respondent set missing
    flagged by: out of range 1, longstring 1
    q2: 37.33 before, 8 after
    >>> log.apply(frame)["cleaning_weight"].tolist()
    [1.0, 0.0, 1.0]
    """
    import pandas as pd

    frame = table_of(data)
    checks = list(flags) if np.iterable(flags) else [flags]
    chosen = [Rule("review")] if rules is None else list(rules) if np.iterable(rules) else [rules]
    require_fit(checks, chosen)
    own = stated(data, "design")
    if design is not None and own is not None:
        raise SpecError("a survey has its own design; give design= with a DataFrame only")
    if design is not None and not isinstance(design, Design):
        raise SpecError(f"design={design!r} must be a Design, e.g. Design(weights='w')")
    plan = own or design or Design()
    identity = one_column(id, "id") if id is not None else id_column(data)
    one_column(weight_column, "weight_column")
    require_columns(frame, [c for c in (identity, *plan.columns) if c is not None])
    if plan.weights is None and weight_column in frame.columns:
        raise SpecError(
            f"the data have a column {weight_column!r} already; say that it holds weights, "
            f"Design(weights={weight_column!r}), or give another weight_column="
        )
    given = split_weights(frame, plan.weights)[1]
    w = np.ones(len(frame)) if given is None else given
    living = frame[w > 0]
    if not len(living):
        raise DataError("nobody to decide about: the data have no rows, or all weights are zero")
    flagged, unjudged = _aligned(checks, living, frame)
    patterns, pattern = distinct_patterns(np.hstack([flagged, unjudged]))
    verdicts = [verdict(row[: len(checks)], row[len(checks) :], checks, chosen) for row in patterns]
    action = np.array([v.action for v in verdicts], dtype=object)[pattern]
    if (action == "remove").all():
        raise EstimationError(
            "the rules remove everybody; look at the checks one by one (log of a review) and relax them"
        )
    kept = living.index[action != "remove"]
    names = [_joined(checks, row[: len(checks)]) for row in patterns]
    blind = [_joined(checks, row[len(checks) :]) for row in patterns]
    respondents = pd.DataFrame(
        {
            "flagged_by": pd.Series(names, dtype=object).to_numpy()[pattern],
            "not_judged_by": pd.Series(blind, dtype=object).to_numpy()[pattern],
            "action": action,
            "because": np.array([v.because for v in verdicts], dtype=object)[pattern],
            "weight_before": w[w > 0],
            "weight_after": np.where(action == "remove", 0.0, w[w > 0]),
        },
        index=living.index,
    )
    if identity is not None:
        respondents.insert(0, identity if identity not in respondents else f"{identity} (id)", living[identity])
    answers = _answers_to_set(checks, [v.sets_missing for v in verdicts], pattern, living.index, kept)
    set_missing = answers["row"].value_counts() if len(answers) else pd.Series(dtype=int)
    respondents["answers_set_missing"] = respondents.index.map(set_missing).fillna(0).astype(int)
    cleaned = without_answers(living.loc[kept], answers)
    return CleaningLog(
        respondents=respondents,
        answers=answers,
        checks=_check_table(checks, flagged, unjudged, action == "remove"),
        rules=tuple(str(rule) for rule in chosen),
        effect=_effect(numbers, living, cleaned, w[w > 0], plan),
        sample=_sample_table(living, plan, w[w > 0], action != "remove"),
        design=plan,
        id=identity,
        weight_column=plan.weights or weight_column,
        fingerprints=tuple(check.fingerprint for check in checks),
        nobody=len(frame) - len(living),
    )


def _aligned(checks: Sequence[Flags], living: pd.DataFrame, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Who is flagged and who is not judged ``(n, checks)``, in the order of the living rows."""
    problems = []
    for check in checks:
        strange = check.table.index.difference(frame.index)
        absent = living.index.difference(check.table.index)
        if len(strange) or len(absent):
            shown = ", ".join(map(str, [*strange, *absent][:5]))
            problems.append(f"{check.name}: {len(strange)} rows unknown to the data, {len(absent)} missing ({shown})")
        elif len(other := changed_rows(check.fingerprint, frame)):
            problems.append(f"{check.name}: {len(other)} rows hold other answers now ({shortened(other.tolist())})")
    if problems:
        raise DataError(listed(problems, "flags were made of other data than these; run the checks again"), problems)
    tables = [check.table.reindex(living.index) for check in checks]
    flagged = np.column_stack([t["flagged"].to_numpy(dtype=bool) for t in tables])
    return flagged, np.column_stack([~t["judged"].to_numpy(dtype=bool) for t in tables])


def _joined(checks: Sequence[Flags], which: np.ndarray) -> str:
    return "; ".join(sorted(check.name for check, yes in zip(checks, which, strict=True) if yes))


def _answers_to_set(
    checks: Sequence[Flags], sets: Sequence[tuple[bool, ...]], pattern: np.ndarray, labels: pd.Index, kept: pd.Index
) -> pd.DataFrame:
    """The answers that become missing, one row each, with the checks that found them wrong."""
    import pandas as pd

    concerned = np.array(sets, dtype=bool).reshape(len(sets), len(checks))[pattern]
    parts = []
    for k, check in enumerate(checks):
        rows = labels[concerned[:, k]].intersection(kept)
        if len(rows):
            part = check.details[check.details["row"].isin(rows)]
            parts.append(part[["row", "item", "answer"]].assign(found_by=check.name))
    if not parts:
        return pd.DataFrame({"row": [], "item": [], "answer": [], "found_by": []}, dtype=object)
    whole = pd.concat(parts, ignore_index=True).drop_duplicates(["row", "item", "found_by"])
    by = {"answer": "first", "found_by": lambda names: "; ".join(sorted(names))}
    merged = whole.groupby(["row", "item"], sort=False, dropna=False).agg(by).reset_index().astype(object)
    place = pd.Series(labels.get_indexer(pd.Index(merged["row"])), index=merged.index)
    order = merged.assign(place=place).sort_values(["place", "item"], kind="stable").index
    return merged.loc[order].reset_index(drop=True)


def _check_table(
    checks: Sequence[Flags], flagged: np.ndarray, unjudged: np.ndarray, removed: np.ndarray
) -> pd.DataFrame:
    import pandas as pd

    alone = flagged & (flagged.sum(axis=1, keepdims=True) == 1)
    columns = {
        "judged": (~unjudged).sum(axis=0),
        "not_judged": unjudged.sum(axis=0),
        "flagged": flagged.sum(axis=0),
        "flagged_alone": alone.sum(axis=0),
        "removed": (flagged & removed[:, None]).sum(axis=0),
        "rule": [check.rule for check in checks],
    }
    return pd.DataFrame(columns, index=pd.Index([check.name for check in checks], name="check"))


def _effect(
    numbers: Numbers, before: pd.DataFrame, after: pd.DataFrame, weights: np.ndarray, design: Design
) -> pd.DataFrame:
    """The numbers asked for, of all respondents and of those kept."""
    import pandas as pd

    kept = weights[before.index.isin(after.index)]
    rows: dict[str, tuple[float, float]] = {}
    if isinstance(numbers, Mapping):
        odd = [name for name, number in numbers.items() if not callable(number)]
        if odd:
            raise SpecError(f"numbers must map each name to a function of a frame; not so: {odd}")
        for name, number in numbers.items():
            rows[name] = (_number(name, number(before.copy())), _number(name, number(after.copy())))
    else:
        names = column_names(numbers, "numbers")
        require_columns(before, names)
        if names:
            require_numbers(after[names].infer_objects())
        rows = {name: (_mean(before[name], weights), _mean(after[name], kept)) for name in names}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["before", "after"], dtype=float)
    return table.assign(change=table["after"] - table["before"]).rename_axis("number")


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SpecError(f"numbers[{name!r}] must give one number, it gave {type(value).__name__}") from None


def _mean(column: pd.Series, weights: np.ndarray) -> float:
    """The weighted mean of the answers; NaN where there is none, or a text among them."""
    there = column.notna().to_numpy(dtype=bool)
    known, w = column[there], weights[there]
    if not len(known) or any(isinstance(v, str) for v in known):
        return float("nan")
    return float(known.to_numpy(dtype=float) @ w / w.sum())


def _sample_table(frame: pd.DataFrame, design: Design, weights: np.ndarray, kept: np.ndarray) -> pd.DataFrame:
    """Respondents and weight in each stratum and primary unit, before and after."""
    import pandas as pd

    keys = [c for c in (design.strata, design.psu) if c is not None]
    if not keys:
        return pd.DataFrame()
    gaps = {c: frame.index[frame[c].isna()] for c in keys}
    problems = [
        f"the design column {c!r} is empty in {len(rows)} rows: {', '.join(map(str, rows[:5]))}"
        for c, rows in gaps.items()
        if len(rows)
    ]
    if problems:
        raise DataError(listed(problems, "the design does not fit the data; fill the gaps"), problems)
    counted = (
        frame[keys]
        .astype(str)
        .assign(
            respondents_before=1, respondents_after=kept.astype(int), weight_before=weights, weight_after=weights * kept
        )
    )
    return counted.groupby(keys, sort=True).sum()
