"""Exercises: the right answer comes from the study in use, the usual mistakes are named, in both languages."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from made_studies import answers, write_study

import csi_lab as csi
from csi_lab import SpecError
from csi_lab.course.checks import HEADLINES, KEYS, LANGUAGES, _texts
from csi_lab.course.headlines import states_interval, states_people, states_percent, states_rule
from csi_lab.course.lessons import (
    check,
    design_caveat,
    in_halves,
    labels_in,
    noting,
    say,
    shown,
    target_of,
    verdicts,
)


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
        ("02-index", 72.4 + 1j, "not_a_number"),
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


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (72.5, None),  # correctly rounded, although the Expectation index rounds to the same
        (72.45, None),
        (72.454, None),
        (72.4536, None),
        (72.4738, "other_construct Expectation"),
        (71.169, "unscaled"),
        (71.17, "unscaled"),
        (72.44, "close"),
        (72.6, None),
    ],
)
def test_an_answer_is_judged_as_finely_as_it_was_given(survey, answer, mistake):
    feedback = check("02-index", answer, study=survey)
    assert feedback.mistake == mistake
    assert feedback.passed == (mistake is None and answer != 72.6)


def test_of_several_mistakes_the_nearest_is_named(survey):
    """71.169 (own units) lies within rounding of the value that multiplying leads to."""
    key = KEYS["02-index"](survey)
    assert abs(key.mistakes["multiplied"] - key.mistakes["unscaled"]) < 0.1
    for mistake in ("multiplied", "unscaled"):
        assert check("02-index", key.mistakes[mistake], study=survey).mistake == mistake


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        ("27 22 33 250 9", ["rate", "rule", "interval", "n"]),
        ("26,8 % of 250 customers answered 9 or more (95 % interval 21,7 to 32,6 %)", []),
        ("２６．８％ of 250 people gave a top-2 answer, CI ［21.7％，32.6％］", []),
        ("百分之26.8的受访者在最高两档（n=250，区间为21.7至32.6）", []),
        ("26.8% answered 9 or more, 95% CI [21.7%, 32.6%] (wilson), n = 250", []),
        ("27% of our 250 customers gave 9 or 10 (22–33%)", []),
        ("27% of 250 gave at least 9, between 22% and 33%", []),
        ("27 percent of 250 mobile phone customers gave 9+ [22,33]", []),
        ("27 of 250 people gave 9 or more, interval 22 to 33", ["rate"]),
        ("27 % of 250 people, 9, interval 22 to 33 %", ["rule"]),
        ("27 % of 250 people gave 9 or more; 22 33", ["interval"]),
        ("27 % gave 9 or more, interval 22 to 33 %, 250", ["n"]),
        ("27 % gave 9 or more, interval 22 to 33 %, n = 25", ["n"]),
    ],
)
def test_a_headline_says_what_its_numbers_are(survey, sentence, missing):
    assert HEADLINES["02-headline"](survey, sentence) == missing


def test_numbers_are_read_in_the_ways_of_several_countries():
    assert states_percent("12,5 %", 12.5)
    assert not states_percent("12,5 %", 5)
    for text in ("1,250 people", "1 250 people", "1.250 people", "1250名", "n=1'250", "of 1250"):
        assert states_people(text, 1250), text
    assert not states_people("11250 people", 1250)
    assert not states_people("1250 %", 1250)
    assert states_interval("[21,7;32,6]", 21.7, 32.6)
    assert not states_interval("32 to 21", 21.7, 32.6)


@pytest.mark.parametrize(
    ("sentence", "name", "cut", "high"),
    [
        ("gave the highest answer", "top-box", 1, 1),
        ("in the top fifth", "top fifth", 80, 100),
        ("80 points or more", "top fifth", 80, 100),
        ("不低于80分", "top fifth", 80, 100),
        ("9分及以上", "top-2-box", 9, 10),
        ("one of the two highest answers", "top-2-box", 9, 10),
        ("top two boxes", "top-2-box", 9, 10),
    ],
)
def test_a_rule_may_be_named_or_described(sentence, name, cut, high):
    assert states_rule(sentence, name, cut, high)
    assert not states_rule(f"{cut} {high}", name, cut, high)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    """The satisfied weigh little, so that forgetting the weights shows."""
    frame = answers()
    frame["w"] = np.where(frame["q6"] >= 9, 0.2, 2.0)
    folder = write_study(tmp_path_factory.mktemp("studies") / "weighted", frame, design={"weights": "w"})
    return csi.load_survey(folder)


def test_answers_without_the_weights_of_the_survey_are_recognised(weighted):
    x, w = weighted.frame["q6"], weighted.frame["w"]
    assert check("02-top-box", 100 * w[x >= 9].sum() / w.sum(), study=weighted).passed
    assert check("02-top-box", 100 * (x >= 9).mean(), study=weighted).mistake == "unweighted"
    plain = csi.index.from_fit(csi.sem.pls(weighted.frame, weighted.model), weighted.bounds)
    assert check("02-index", plain.value, study=weighted).mistake == "unweighted"
    rate = csi.rates.satisfaction_rate(x, 9)
    assert check("02-headline", str(rate), study=weighted).mistake == "unweighted"
    assert check("02-headline", str(csi.rates.satisfaction_rate(x, 9, weights=w)), study=weighted).passed


def test_a_question_without_an_answer_is_said(tmp_path):
    frame = answers()
    frame["q7"] = 11 - frame["q7"]
    feedback = check("02-index", 50.0, study=write_study(tmp_path / "s", frame))
    assert (feedback.passed, feedback.mistake) == (False, "no_answer")
    assert "negative weight of q7" in feedback.message


def test_a_headline_that_is_no_text_is_said(survey):
    assert check("02-headline", 26.8, study=survey).mistake == "not_a_sentence"


def test_a_table_shows_all_rows_and_whole_labels_and_keeps_the_names_of_items():
    label = "overall, taking everything into account, how satisfied are you with it? " * 2
    index = pd.MultiIndex.from_tuples([("Image", f"q{k}") for k in range(1, 71)], names=["construct", "item"])
    table = shown(pd.DataFrame({"loading": np.linspace(0, 1, 70)}, index=index), 2, {"q70": label, "Image": "形象"})
    for text in (str(table), table._repr_html_()):
        assert all(f"q{k}" in text for k in range(1, 71))
        assert label.strip() in text
        assert "形象" in text
        assert "..." not in text
    assert "<b>" not in shown(pd.DataFrame({"<b>": ["<b>"]}, index=["<b>"]))._repr_html_()


def test_rows_with_one_label_are_told_apart():
    table = shown(pd.DataFrame({"x": [1.0, 2.0]}, index=["A", "B"]), 1, {"A": "same", "B": "same"}).table
    assert list(table.index) == ["same (A)", "same (B)"]


def test_a_table_without_rows_and_verdicts_about_nothing_are_said():
    empty = pd.DataFrame({"estimate": []}, index=pd.Index([], name="item"))
    assert str(shown(empty, 2, {"a": "b"})) == "(no rows)"
    assert verdicts(empty, 0.7, labels={}) == "nothing to judge"


def test_a_target_and_a_language_that_are_not_there_are_refused(survey, tmp_path):
    assert labels_in(survey, "")["Satisfaction"] == survey.labels()["Satisfaction"]
    with pytest.raises(SpecError, match="'fr' is none of the study 'mobile'; it has en, zh"):
        labels_in(survey, "fr")
    blocks = {"Image": ["q1", "q2"], "Joy": ["q3", "q4"]}
    made = write_study(tmp_path / "s", answers(), constructs=blocks, paths={"Joy": ["Image"]}, target=None)
    for ask in (lambda s: target_of(s), lambda s: check("02-index", 1.0, study=s)):
        with pytest.raises(SpecError, match=r"names no target construct; .* Image, Joy"):
            ask(csi.load_survey(made))


def test_warnings_of_csi_lab_become_notes_and_others_stay_warnings():
    def told() -> list[str]:
        with noting() as notes:
            for _ in range(2):
                warnings.warn("19 rows", csi.CsiLabWarning, stacklevel=1)
            warnings.warn("other", RuntimeWarning, stacklevel=1)
        return notes

    with pytest.warns(RuntimeWarning, match="other"):
        assert told() == ["19 rows"]


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    frame = answers()
    frame["psu"] = np.repeat(np.arange(20), 6)
    frame["st"] = np.where(frame["psu"] % 4 == 0, "a", "b")
    design = {"strata": "st", "psu": "psu"}
    return csi.load_survey(write_study(tmp_path_factory.mktemp("studies") / "clustered", frame, design=design))


@pytest.mark.parametrize("seed", range(5))
def test_halves_share_no_cluster_and_halve_each_stratum(clustered, seed):
    found = in_halves(clustered, seed, lambda half: half.frame)
    first, second = found.values
    assert not set(first["psu"]) & set(second["psu"])
    assert len(first) + len(second) == len(clustered.frame)
    assert found.units == "clusters"
    for stratum in ("a", "b"):
        counts = [half.loc[half["st"] == stratum, "psu"].nunique() for half in found.values]
        assert abs(counts[0] - counts[1]) <= 1


def test_halves_of_people_differ_by_seed_and_repeat_by_seed(survey):
    rows = [in_halves(survey, seed, lambda half: tuple(half.frame.index)).values[0] for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]


def test_halves_that_are_too_small_or_have_no_solution_say_why(survey):
    small = replace(survey, frame=survey.frame[:5])
    assert in_halves(small, 1, csi.sem.pls).why == (
        "Too few people to halve: the halves would have 3 and 2 complete rows, fewer than 20."
    )
    flat = replace(survey, frame=survey.frame.assign(CUSA1=5.0))
    found = in_halves(flat, 1, csi.sem.pls)
    assert found.values == ()
    assert found.why.startswith("No comparison, because one half has no solution: ")
    assert "CUSA1" in found.why


def test_rows_that_are_not_complete_are_not_counted_in_a_half(survey):
    frame = survey.frame.copy()
    frame.loc[60:, "CUSA1"] = np.nan
    assert sum(in_halves(replace(survey, frame=frame), 1, str).n) == 60


def test_what_an_interval_ignores_is_said(survey, weighted, clustered):
    assert design_caveat(survey) == design_caveat(weighted) == ""
    assert "ignores the clusters" in design_caveat(clustered)
