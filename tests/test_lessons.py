"""Exercises: the right answer comes from the study in use, the usual mistakes are named, in both languages."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

import csi_lab as csi
from csi_lab import SpecError
from csi_lab.course.lessons import HEADLINES, KEYS, LANGUAGES, _texts, check, say


@pytest.fixture(scope="module")
def survey():
    return csi.load_survey("mobile")


@pytest.mark.parametrize(("exercise", "answer"), [("02-top-box", 26.8), ("02-index", 72.454)])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_published_answers_pass(exercise, answer, language):
    """26.8 % in the top two boxes; 72.454 by the ACSI formula (R seminr, cSEM)."""
    feedback = check(exercise, answer, language=language)
    assert feedback.passed
    assert feedback.message == _texts()[exercise]["right"][language]


@pytest.mark.parametrize(
    ("exercise", "answer", "mistake"),
    [
        ("02-top-box", 0.268, "fraction"),
        ("02-top-box", 67, "count"),
        ("02-top-box", 70.4, "top_three"),
        ("02-top-box", 73.2, "not_top"),
        ("02-index", 71.78, "standardised"),
        ("02-index", 71.97, "equal"),
        ("02-index", 0.72454, "fraction"),
        ("02-index", np.float64(67.422), "other_construct Complaints"),
        ("02-index", float("nan"), "missing"),
        ("02-index", "72.4", "not_a_number"),
        ("02-index", [72.4, 71.9], "not_a_number"),
        ("02-index", ..., "nothing"),
        ("02-index", None, "nothing"),
        ("02-index", True, "not_a_number"),
        ("02-index", 12.3, None),
    ],
)
def test_usual_mistakes_are_named(survey, exercise, answer, mistake):
    for language in LANGUAGES:
        feedback = check(exercise, answer, study=survey, language=language)
        assert (feedback.passed, feedback.mistake) == (False, mistake)


@pytest.mark.parametrize("exercise", KEYS)
def test_every_computed_mistake_is_told_apart_from_the_right_answer(survey, exercise):
    """Giving the wrong number on purpose must bring up its own text, unless another slip leads to the same number."""
    key = KEYS[exercise](survey)
    for mistake, value in key.mistakes.items():
        feedback = check(exercise, value, study=survey)
        if abs(value - key.answer) > 0.06:
            assert not feedback.passed
            assert feedback.mistake is not None
            assert abs(key.mistakes[feedback.mistake] - value) < 0.06, mistake


def test_the_right_answer_follows_the_study(tmp_path, survey):
    """On halved data the answers differ, and so does what passes."""
    from dataclasses import replace

    half = replace(survey, frame=survey.frame[:125])
    share = 100 * (half.frame["CUSA1"] >= 9).mean()
    assert check("02-top-box", share, study=half).passed
    assert not check("02-top-box", 26.8, study=half).passed


@pytest.mark.parametrize(
    ("sentence", "mistake"),
    [
        ("26.8 % of 250 gave a top-2 answer (95 % CI 21.7 to 32.6 %)", None),
        ("27 % (22 to 33 %) of n=250 answered 9 or more", None),
        ("250名顾客中26.8%在最高两档（95%区间21.7%至32.6%）", None),
        ("26.8 % of 250 gave a top-2 answer", "interval"),
        ("27 % (22 to 33 %) answered 9 or more", "n"),
        ("27 % (22 to 33 %) of 250 are satisfied", "rule"),
        ("70 % (22 to 33 %) of 250 answered 9 or more", "rate"),
        ("Customers love us!", "rate"),
    ],
)
def test_a_headline_needs_rate_rule_interval_and_n(sentence, mistake):
    feedback = check("02-headline", sentence)
    assert (feedback.passed, feedback.mistake) == (mistake is None, mistake)


def test_every_text_exists_in_both_languages():
    texts = _texts()
    assert set(texts) == {*KEYS, *HEADLINES, "general"}
    for block in texts.values():
        leaves = [*block.get("mistakes", block).values(), *(block[k] for k in ("asks", "right") if k in block)]
        for leaf in leaves:
            assert set(leaf) == set(LANGUAGES), yaml.safe_dump(leaf)


def test_unknown_exercises_and_languages_are_refused():
    with pytest.raises(SpecError, match="did you mean '02-index'"):
        check("02-indx", 72)
    with pytest.raises(SpecError, match="use one of"):
        check("02-index", 72, language="fr")


def test_words_and_feedback_never_write_markup():
    assert "<script>" not in say("<script>alert(1)</script>")._repr_html_()
    assert "<b>" not in check("02-index", "<b>")._repr_html_()
