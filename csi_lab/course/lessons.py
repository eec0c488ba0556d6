"""What lessons and exercises call: words on the page, and answers checked with feedback.

The right answer is computed from the study in use, and so is the value each usual mistake leads to: an answer that
meets one of them is told what went wrong.
"""

from __future__ import annotations

import difflib
import html
import numbers
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.study.survey import Survey

Language = Literal["en", "zh"]
LANGUAGES = ("en", "zh")

# An answer rounded to one decimal is accepted.
TOLERANCE = 0.0501


@dataclass(frozen=True)
class Feedback:
    """What an answer was worth: ``passed``, the ``mistake`` recognised (or ``None``), and ``message``."""

    exercise: str
    passed: bool
    mistake: str | None
    message: str

    def __str__(self) -> str:
        return f"{'✓' if self.passed else '✗'} {self.exercise}: {self.message}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        colour = "#1b7f4b" if self.passed else "#b3423a"
        return f'<p style="border-left:4px solid {colour};padding-left:.6em">{html.escape(str(self))}</p>'


@dataclass(frozen=True)
class Key:
    """The right answer to an exercise and the values that usual mistakes lead to."""

    answer: float
    mistakes: Mapping[str, float]


@dataclass(frozen=True)
class Words:
    """A paragraph computed in a lesson; shown as text, never as markup, so that data cannot write HTML."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        paragraphs = (html.escape(part) for part in self.text.split("\n"))
        return "".join(f"<p>{part}</p>" for part in paragraphs)


def say(text: str) -> Words:
    """A sentence of a lesson whose numbers come from the computation; end a cell with it.

    Parameters
    ----------
    text
        Plain text; a line break begins a new paragraph.

    Returns
    -------
    Words
        Shows the text; anything in it that looks like markup is escaped.

    Examples
    --------
    >>> say(f"The index is {72.454:.1f}.")
    The index is 72.5.
    >>> say("<script>")._repr_html_()
    '<p>&lt;script&gt;</p>'
    """
    return Words(text)


def shown(table: pd.DataFrame, decimals: int = 3, labels: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A table as it is shown on a page: fixed decimals, a dash where there is nothing, labels for names.

    Parameters
    ----------
    table
        Numbers (floats get ``decimals``, whole-number columns stay whole) and text.
    decimals
        Of the floats.
    labels
        Name to text, applied to the row names and to text columns.

    Returns
    -------
    DataFrame
        Of text; the table itself is not touched.

    Examples
    --------
    >>> import pandas as pd
    >>> shown(pd.DataFrame({"estimate": [0.6, None], "n": [343, 344]}, index=["Value", "Image"]), 2)
          estimate    n
    Value     0.60  343
    Image        –  344
    """

    def text(value: Any) -> str:
        if isinstance(value, float):
            return "–" if np.isnan(value) else f"{value:.{decimals}f}"
        return (labels or {}).get(value, str(value)) if isinstance(value, str) else str(value)

    out = table.astype(object).map(text)
    return out.rename(index=dict(labels)) if labels else out


def verdicts(table: pd.DataFrame, cut: float, *, labels: Mapping[str, str], decimals: int = 2) -> str:
    """Which rows of a table of estimates lie below a cut-off, in words.

    Parameters
    ----------
    table
        Column ``estimate``; rows without an estimate are passed over.
    cut
        The cut-off.
    labels
        Row name to the text shown.
    decimals
        Of the values and the cut-off.

    Examples
    --------
    >>> import pandas as pd
    >>> verdicts(pd.DataFrame({"estimate": [0.87, 0.44]}, index=["Quality", "Loyalty"]), 0.7, labels={})
    '1 of 2 below 0.70: Loyalty (0.44)'
    """
    given = table["estimate"].dropna()
    below = given[given < cut]
    if below.empty:
        return f"all {len(given)} at {cut:.{decimals}f} or above"
    named = ", ".join(f"{labels.get(str(name), str(name))} ({value:.{decimals}f})" for name, value in below.items())
    return f"{len(below)} of {len(given)} below {cut:.{decimals}f}: {named}"


def check(exercise: str, answer: Any, *, study: Any = "mobile", language: str = "en") -> Feedback:
    """Check the answer to an exercise and say what went wrong.

    Parameters
    ----------
    exercise
        Its id, such as ``"02-index"``.
    answer
        One number, where rounding to one decimal is fine; a sentence for ``"02-headline"``.
    study
        The study in use: name, path or a loaded survey. The right answer is computed from it.
    language
        Of the feedback, ``"en"`` or ``"zh"``.

    Returns
    -------
    Feedback

    Raises
    ------
    SpecError
        If the exercise or the language is unknown.

    Examples
    --------
    >>> check("02-index", 72.5).passed
    True
    >>> check("02-index", 71.97).message[:38]
    'You gave all items the same weight. Us'
    """
    known = [*KEYS, *HEADLINES]
    if exercise not in known:
        near = difflib.get_close_matches(str(exercise), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SpecError(f"no exercise {exercise!r}; there are {known}{hint}")
    if language not in LANGUAGES:
        raise SpecError(f"language={language!r} is unknown; use one of {list(LANGUAGES)}")
    texts, general = _texts()[exercise], _texts()["general"]
    right = texts["right"][language]

    def told(mistake: str | None, message: str, passed: bool = False) -> Feedback:
        return Feedback(exercise, passed, mistake, message)

    if answer is None or answer is ...:
        return told("nothing", general["nothing"][language])
    if exercise in HEADLINES:
        absent = HEADLINES[exercise](_survey(study), str(answer))
        parts = " ".join(texts["mistakes"][part][language] for part in absent)
        return told(absent[0], parts) if absent else told(None, right, passed=True)
    value = _one_number(answer)
    if value is None:
        return told("not_a_number", general["not_a_number"][language])
    if np.isnan(value):
        return told("missing", general["missing"][language])
    key = KEYS[exercise](_survey(study))
    if abs(value - key.answer) < TOLERANCE:
        return told(None, right, passed=True)
    for mistake, wrong in key.mistakes.items():
        # Fractions live on a scale a hundred times smaller.
        if abs(value - wrong) < (TOLERANCE if abs(wrong) > 1 else TOLERANCE / 10):
            return told(mistake, texts["mistakes"][mistake.split()[0]][language])
    return told(None, f"{general['wrong'][language]} {texts['asks'][language]}")


def _one_number(answer: Any) -> float | None:
    """The answer as a float; ``None`` when it is not one number."""
    if isinstance(answer, (str, bool)):
        return None
    if isinstance(answer, numbers.Real):
        return float(answer)
    array = np.asarray(answer)
    return float(array.reshape(-1)[0]) if array.size == 1 and np.issubdtype(array.dtype, np.number) else None


def _top_box(survey: Survey) -> Key:
    item = survey.constructs[_target(survey)][0]
    low, high = survey.bounds[item]
    given = survey.frame[item].notna().to_numpy()
    x = survey.frame[item].to_numpy()[given]
    w = _weights(survey)
    everyone, w = w.sum(), w[given]

    def percent(cut: float) -> float:
        return float(100 * w[x >= cut].sum() / w.sum())

    top = percent(high - 1)
    return Key(
        top,
        {
            "fraction": top / 100,
            "top_one": percent(high),
            "top_three": percent(high - 2),
            "not_top": 100 - top,
            "count": float((x >= high - 1).sum()),
            "missing_counted": float(100 * w[x >= high - 1].sum() / everyone),
            "mean_index": float(100 * ((x @ w) / w.sum() - low) / (high - low)),
        },
    )


def _index(survey: Survey) -> Key:
    from csi_lab import index
    from csi_lab.sem import pls

    target = _target(survey)
    fit = pls(survey)
    own = index.from_fit(fit, survey.bounds, constructs=[target], target=target)
    items = list(survey.constructs[target])
    part = fit.moments[items]
    low, high = np.array([survey.bounds[i] for i in items]).T
    v = own.weights["estimate"].to_numpy()
    raw, top, bottom = float(v @ part.mean), float(v @ high), float(v @ low)

    def of(weights: np.ndarray) -> float:
        return float(100 * (weights @ (part.mean - low)) / (weights @ (high - low)))

    others = [c for c in fit.model.constructs if c != target and c not in index.negative_weights(fit).index]
    elsewhere = index.from_fit(fit, survey.bounds, constructs=others).table["estimate"] if others else {}
    mistakes = {
        "standardised": of(v * part.sd),
        "equal": of(np.ones(len(items))),
        "multiplied": of(v * part.sd**2),
        "no_minimum": 100 * raw / top,
        "by_maximum": 100 * (raw - bottom) / top,
        "raw_mean": raw,
        "fraction": own.value / 100,
    }
    mistakes |= {f"other_construct {c}": float(elsewhere[c]) for c in others}  # one text for all of them
    return Key(own.value, mistakes)


def _headline(survey: Survey, sentence: str) -> list[str]:
    """Which parts of an honest headline about the top-2-box rate a sentence lacks."""
    from csi_lab import rates

    item = survey.constructs[_target(survey)][0]
    cut = survey.bounds[item][1] - 1
    rate = rates.satisfaction_rate(survey.frame[item], cut, weights=_weights(survey))
    said = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", sentence)]

    def has(number: float, within: float = 0.5001) -> bool:
        return any(abs(number - other) <= within for other in said)

    rule = re.search(r"top[ -]?(2|two)|最高两档|前两档", sentence, re.IGNORECASE)
    parts = {
        "rate": has(100 * rate.value),
        "rule": rule is not None or has(cut, 0),
        "interval": has(100 * rate.low) and has(100 * rate.high),
        "n": has(rate.n, 0),
    }
    return [part for part, present in parts.items() if not present]


KEYS: Mapping[str, Callable[[Survey], Key]] = {"02-top-box": _top_box, "02-index": _index}
HEADLINES: Mapping[str, Callable[[Survey, str], list[str]]] = {"02-headline": _headline}


def _target(survey: Survey) -> str:
    if survey.target is None:
        raise SpecError("the study names no target construct; add 'target: ...' to its study file")
    return survey.target


def _weights(survey: Survey) -> np.ndarray:
    column = survey.design.weights
    return np.ones(len(survey.frame)) if column is None else survey.frame[column].to_numpy(dtype=float)


def _survey(study: Any) -> Survey:
    from csi_lab.study.survey import load_survey

    return study if hasattr(study, "frame") else load_survey(study)


@lru_cache(maxsize=1)
def _texts() -> dict[str, Any]:
    import yaml

    return yaml.safe_load((files("csi_lab.catalogue") / "exercises.yaml").read_text(encoding="utf-8"))
