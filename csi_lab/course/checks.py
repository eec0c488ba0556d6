"""Answers of exercises, checked with feedback.

The right answer is computed from the study in use, and so is the value each usual mistake leads to: an answer that
meets one of them is told what went wrong.
"""

from __future__ import annotations

import difflib
import html
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.course.headlines import plain, states_interval, states_people, states_percent, states_rule
from csi_lab.course.studies import noting, target_of
from csi_lab.errors import EstimationError, SpecError

if TYPE_CHECKING:
    from csi_lab.study.survey import Survey

Language = Literal["en", "zh"]
LANGUAGES = ("en", "zh")

# An answer may be rounded to one decimal. With more decimals it must be as near as unrounded work comes.
ROUNDED = 0.0501
EXACT = 0.005
RIGHT, CLOSE = "right", "close"


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


def check(exercise: str, answer: Any, *, study: Any = "mobile", language: str = "en") -> Feedback:
    """Check the answer to an exercise and say what went wrong.

    Parameters
    ----------
    exercise
        Its id, such as ``"02-index"``.
    answer
        One number, where rounding to one decimal is fine (with more decimals it must be exact to 0.005); a sentence for
        ``"02-headline"``.
    study
        The study in use: name, path or a loaded survey. The right answer is computed from it.
    language
        Of the feedback, ``"en"`` or ``"zh"``; ``""``: English.

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
    language = language or "en"
    if language not in LANGUAGES:
        raise SpecError(f"language={language!r} is unknown; use one of {list(LANGUAGES)}")
    texts, general = _texts()[exercise], _texts()["general"]
    right = texts["right"][language]

    def told(mistake: str | None, message: str, passed: bool = False) -> Feedback:
        return Feedback(exercise, passed, mistake, message)

    if answer is None or answer is ...:
        return told("nothing", general["nothing"][language])
    if exercise in HEADLINES:
        if not isinstance(answer, str):
            return told("not_a_sentence", general["not_a_sentence"][language])
        absent = HEADLINES[exercise](_survey(study), answer)
        parts = " ".join(texts["mistakes"][part][language] for part in absent)
        return told(absent[0], parts) if absent else told(None, right, passed=True)
    value = _one_number(answer)
    if value is None:
        return told("not_a_number", general["not_a_number"][language])
    if np.isnan(value):
        return told("missing", general["missing"][language])
    try:
        key = KEYS[exercise](_survey(study))
    except EstimationError as error:
        return told("no_answer", f"{general['no_answer'][language]} ({' '.join(str(error).split())})")
    mistake = _nearest(value, key)
    if mistake == RIGHT:
        return told(None, right, passed=True)
    if mistake == CLOSE:
        return told(mistake, general["close"][language])
    if mistake is not None:
        return told(mistake, texts["mistakes"][mistake.split()[0]][language])
    return told(None, f"{general['wrong'][language]} {texts['asks'][language]}")


def _nearest(value: float, key: Key) -> str | None:
    """What an answer is nearest to: RIGHT, CLOSE (right but for rounding on the way), a mistake, or nothing known."""
    decimals = max(1, -int(Decimal(repr(value)).as_tuple().exponent)) if np.isfinite(value) else 1
    off = abs(value - key.answer)
    # The right answer, rounded as it was given, is right, whatever a mistake would have led to.
    if off <= (ROUNDED if decimals == 1 else 0.5001 * 10.0**-decimals):
        return RIGHT
    known = {name: wrong for name, wrong in key.mistakes.items() if np.isfinite(wrong)}
    # Fractions live on a scale a hundred times smaller.
    distance = {
        name: abs(value - wrong)
        for name, wrong in known.items()
        if abs(value - wrong) < (ROUNDED if abs(wrong) > 1 else ROUNDED / 10)
    }
    nearest = min(distance, key=distance.__getitem__, default=None)
    if off < ROUNDED and (nearest is None or off <= distance[nearest] + 1e-9):
        return RIGHT if off <= EXACT else CLOSE
    return nearest


def _one_number(answer: Any) -> float | None:
    """The answer as a float; ``None`` when it is not one number."""
    if isinstance(answer, (str, bool)):
        return None
    if isinstance(answer, numbers.Real):
        return float(answer)
    array = np.asarray(answer)
    return float(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "iuf" else None


def _top_box(survey: Survey) -> Key:
    from csi_lab import rates

    item = survey.constructs[target_of(survey)][0]
    low, high = survey.bounds[item]
    box = rates.boxes(low, high)[0]
    given = survey.frame[item].notna().to_numpy()
    x = survey.frame[item].to_numpy()[given]
    w = _weights(survey)
    everyone, w = w.sum(), w[given]

    def percent(cut: float) -> float:
        return float(100 * w[x >= cut].sum() / w.sum())

    top = percent(box.at_least)
    mistakes = {
        "fraction": top / 100,
        "not_top": 100 - top,
        "count": float((x >= box.at_least).sum()),
        "missing_counted": float(100 * w[x >= box.at_least].sum() / everyone),
        "mean_index": float(100 * ((x @ w) / w.sum() - low) / (high - low)),
    }
    if box.name == "top-2-box":
        mistakes |= {"top_one": percent(high), "top_three": percent(high - 2)}
    if survey.design.weights is not None:
        mistakes["unweighted"] = float(100 * (x >= box.at_least).mean())
    return Key(top, mistakes)


def _index(survey: Survey) -> Key:
    from csi_lab import index
    from csi_lab.sem import pls

    target = target_of(survey)
    with noting():  # the exercise itself says them
        fit = pls(survey)
    own = index.from_fit(fit, survey.bounds, constructs=[target], target=target)
    items = list(survey.constructs[target])
    part = fit.moments[items]
    low, high = np.array([survey.bounds[i] for i in items]).T
    w = fit.weights.loc[target, "estimate"].to_numpy()
    v = w / part.sd
    raw, top, bottom = float(v @ part.mean), float(v @ high), float(v @ low)

    def of(weights: np.ndarray, mean: np.ndarray = part.mean) -> float:
        return float(100 * (weights @ (mean - low)) / (weights @ (high - low)))

    refused = index.negative_weights(fit).index
    others = [c for c in fit.model.constructs if c != target and c not in refused]
    elsewhere = index.from_fit(fit, survey.bounds, constructs=others).table["estimate"] if others else {}
    mistakes = {
        "standardised": of(w),
        "equal": float(100 * ((part.mean - low) / (high - low)).mean()),
        "multiplied": of(w * part.sd),
        "no_minimum": _ratio(100 * raw, top),
        "by_maximum": _ratio(100 * (raw - bottom), top),
        "raw_mean": raw / float(v.sum()),
        "fraction": own.value / 100,
    }
    mistakes["unscaled"] = _index_or_nan(survey, survey.bounds, target, scaled=False)
    if survey.design.weights is not None:
        mistakes["unweighted"] = _index_or_nan(survey.frame, survey.bounds, target, model=survey.model)
        mistakes["unweighted_means"] = of(v, survey.frame[list(fit.model.items)].dropna()[items].mean().to_numpy())
    mistakes |= {f"other_construct {c}": float(elsewhere[c]) for c in others}  # one text for all of them
    return Key(own.value, mistakes)


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("nan")


def _index_or_nan(data: Any, bounds: Any, target: str, **settings: Any) -> float:
    """The index of another estimation; NaN if it does not exist."""
    from csi_lab import index
    from csi_lab.sem import pls

    try:
        with noting():
            fit = pls(data, **settings)
        return index.from_fit(fit, bounds, constructs=[target], target=target).value
    except EstimationError:
        return float("nan")


def _headline(survey: Survey, sentence: str) -> list[str]:
    """Which parts of an honest headline about the satisfaction rate a sentence lacks."""
    from csi_lab import rates

    item = survey.constructs[target_of(survey)][0]
    low, high = survey.bounds[item]
    box = rates.boxes(low, high)[0]
    rate = rates.satisfaction_rate(survey.frame[item], box.at_least, weights=_weights(survey))
    said = plain(sentence)
    parts = {
        "rate": states_percent(said, 100 * rate.value),
        "rule": states_rule(said, box.name, box.at_least, high),
        "interval": states_interval(said, 100 * rate.low, 100 * rate.high),
        "n": states_people(said, rate.n),
    }
    missing = [part for part, present in parts.items() if not present]
    if "rate" in missing and survey.design.weights is not None:
        plain_rate = rates.satisfaction_rate(survey.frame[item], box.at_least)
        if states_percent(said, 100 * plain_rate.value):
            missing = ["unweighted", *(part for part in missing if part != "rate")]
    return missing


KEYS: Mapping[str, Callable[[Survey], Key]] = {"02-top-box": _top_box, "02-index": _index}
HEADLINES: Mapping[str, Callable[[Survey, str], list[str]]] = {"02-headline": _headline}


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
