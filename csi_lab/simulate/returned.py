"""The survey as it came back from the field: the same interviews with duplicates, slips and words among the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.simulate.answers import HIGH, LOW

# What only the office knows (weights, spend) is not on the form; the age group is there as an age in years.
HEAD = ("id", "customer", "date", "mode", "interviewer", "seconds", "operator", "province", "town")
TAIL = ("CP1", "CP2", "OP1")
FAULT_COLUMNS = ("row", "id", "column", "fault", "returned", "true")
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
UNITS = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = {18: "eighteen", 19: "nineteen"}


def returned(
    survey: pd.DataFrame, items: Sequence[str], parameters: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """The interviews as returned, with known faults, and the list of these faults.

    Parameters
    ----------
    survey
        The clean survey: the columns of the form, age_group and the items.
    items
        Names of the items.
    parameters
        The section ``survey`` of the truth; ``raw`` has the shares of the faults.
    rng
        Random stream.

    Returns
    -------
    dict of DataFrame
        ``survey_raw`` one row per interview sent in: the columns of the form, with ``age`` as text; no weights.
        ``survey_raw_faults`` one row per fault: row (of survey_raw, from 1), id, column (empty for a whole interview),
        fault (sent_twice, asked_twice, out_of_range, routing, routing_open, age_text, age_impossible, wrong_date),
        returned, true (for the age the number or, where an impossible one replaced it, the age meant; for an interview
        the row that it repeats).

    Notes
    -----
    An interview has one fault at most, so that no fault hides another. Without the repeated interviews and with the
    true values put in, the rows are those of the survey, in its order.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> market = simulate.make_market(customers=2000, rng=1)
    >>> clean = market.survey(range(1, 1001), wave=3)
    >>> made = returned(clean, market.items, market.parameters["survey"], np.random.default_rng(1))
    >>> faults = made["survey_raw_faults"]["fault"].value_counts()
    >>> len(made["survey_raw"]) - len(clean) - int(faults["sent_twice"] + faults["asked_twice"])
    0
    """
    stated = parameters["raw"]
    n = len(survey)
    low, high = (np.array(ends) for ends in zip(*(stated["ages"][a] for a in survey["age_group"]), strict=True))
    years = rng.integers(low, high + 1)
    raw = survey[[*HEAD]].assign(age=years.astype(str)).astype({"age": object})
    raw = pd.concat([raw, survey[[*items, *TAIL]]], axis=1).reset_index(drop=True)
    faults: list[tuple[int, str, str, str, Any, Any]] = []
    free = rng.permutation(n)

    def victims(fault: str, among: np.ndarray | None = None) -> np.ndarray:
        nonlocal free
        candidates = free if among is None else free[among[free]]
        taken = np.sort(candidates[: round(float(stated[fault]) * n)])
        free = free[~np.isin(free, taken)]
        return taken

    def put(row: int, column: str, fault: str, value: Any) -> None:
        faults.append((row, raw.at[row, "id"], column, fault, value, raw.at[row, column]))
        raw.at[row, column] = value

    for row in victims("out_of_range"):
        put(row, str(rng.choice(list(items))), "out_of_range", int(rng.choice([LOW - 1, HIGH + 1])))
    said_no = (survey["CP1"] == "no").to_numpy()
    for row in victims("routing", said_no):
        put(row, "CP2", "routing", int(rng.integers(LOW, HIGH + 1)))
    for row in victims("routing_open", ~said_no):
        put(row, "CP2", "routing_open", pd.NA)
    for row in victims("age_text"):
        put(row, "age", "age_text", _in_words(int(years[row]), int(rng.integers(4))))
    for row in victims("age_impossible"):
        put(row, "age", "age_impossible", str(rng.choice(list(stated["impossible_ages"]))))
    for row in victims("wrong_date"):
        put(row, "date", "wrong_date", f"{int(raw.at[row, 'date'][:4]) - 1}{raw.at[row, 'date'][4:]}")

    twice, again = victims("sent_twice"), victims("asked_twice")
    copies = raw.loc[[*twice, *again]].reset_index(drop=True)
    prefix = str(raw["id"].iloc[0]).rsplit("-", 1)[0] if n else ""
    for place, row in enumerate([*twice, *again]):
        second = place >= len(twice)
        if second:
            copies.at[place, "id"] = f"{prefix}-{n + 1 + place - len(twice):05d}"
            copies.at[place, "date"] = str(np.datetime64(raw.at[row, "date"]) + int(stated["days_between"]))
        name = "asked_twice" if second else "sent_twice"
        faults.append((n + place, copies.at[place, "id"], "", name, "", row + 1))
    listed = pd.DataFrame(faults, columns=list(FAULT_COLUMNS)).sort_values("row", kind="stable", ignore_index=True)
    listed["row"] += 1
    return {"survey_raw": pd.concat([raw, copies], ignore_index=True), "survey_raw_faults": listed}


def _in_words(age: int, manner: int) -> str:
    """An age as people write it.

    Examples
    --------
    >>> [_in_words(42, manner) for manner in range(4)]
    ['42 years', '42岁', 'about 42', 'forty-two']
    """
    words = TEENS.get(age) or "-".join(part for part in (TENS[age // 10], UNITS[age % 10]) if part)
    return (f"{age} years", f"{age}岁", f"about {age}", words)[manner]
