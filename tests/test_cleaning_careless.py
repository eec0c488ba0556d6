"""Careless answering: hand examples, definitions of the literature, planted cases, invariance, gaps."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab.cleaning import (
    even_odd,
    inconsistent_pairs,
    irv,
    longstring,
    mcd,
    psychometric_antonyms,
    psychometric_synonyms,
    response_time,
    seconds_per_item,
    straight_lining,
)
from csi_lab.errors import DataError, EstimationError, SpecError

NAN = np.nan
CONSTRUCTS = {f"c{k}": [f"q{k}_{j}" for j in range(4)] for k in range(8)}


def market(n: int = 600, seed: int = 1, spread: float = 2.0) -> pd.DataFrame:
    """Careful answers: each person's opinions differ between eight constructs; items carry little noise."""
    rng = np.random.default_rng(seed)
    opinion = np.repeat(6 + spread * rng.normal(size=(n, 8)), 4, axis=1)
    x = np.clip(np.rint(opinion + 0.8 * rng.normal(size=opinion.shape)), 1, 10)
    return pd.DataFrame(x, columns=[i for block in CONSTRUCTS.values() for i in block])


def values(found) -> list:
    return found.table["value"].tolist()


def test_longest_run_by_hand():
    rows = [
        [1, 2, 3, 4, 5, 6],
        [5, 5, 5, 5, 5, 5],
        [1, 1, 2, 2, 2, 1],
        [3, 3, NAN, 3, 3, 3],
        [2, 9, 9, NAN, NAN, 9],
    ]
    assert values(longstring(pd.DataFrame(rows).add_prefix("q"))) == [1, 6, 3, 3, 2]


def test_longstring_flags_from_half_of_the_items_on():
    rows = np.array([[1, 1, 1, 2, 3], [1, 1, 2, 3, 4]])
    found = longstring(pd.DataFrame(rows).add_prefix("q"))
    assert found.table["cutoff"].tolist() == [3, 3]
    assert found.rows.tolist() == [0]


def test_longstring_equals_a_count_row_by_row():
    x = np.random.default_rng(3).integers(1, 3, (200, 15))

    def longest(row):
        best = run = 1
        for a, b in itertools.pairwise(row):
            run = run + 1 if a == b else 1
            best = max(best, run)
        return best

    assert values(longstring(pd.DataFrame(x).add_prefix("q"))) == [longest(row) for row in x]


def test_irv_is_the_standard_deviation_of_a_row():
    x = np.random.default_rng(2).integers(1, 11, (50, 9)).astype(float)
    x[3] = 0.1
    x[4, :5] = NAN
    found = irv(pd.DataFrame(x).add_prefix("q"))
    expected = pd.DataFrame(x).std(axis=1, ddof=1)
    expected[3] = 0.0
    assert not found.table.loc[4, "judged"]
    keep = found.table["judged"]
    assert found.table["value"][keep].to_numpy() == pytest.approx(expected[keep].to_numpy(), rel=1e-12, abs=0)
    assert found.rows.tolist() == [3]


def test_reversed_items_of_a_survey_are_looked_at_as_they_were_answered(mobi):
    """Someone who ticks 10 everywhere draws a straight line, also where the study file turns an item round."""
    survey = csi.load_survey("mobile")
    frame = survey.frame.copy()
    items = list(survey.constructs["Quality"])
    frame.loc[0, items] = 10
    frame.loc[0, items[1]] = 1  # what the study file makes of a 10
    block = survey.study.constructs["Quality"]
    turned = block.items[items[1]].model_copy(update={"reversed": True})
    block = block.model_copy(update={"items": block.items | {items[1]: turned}})
    study = survey.study.model_copy(update={"constructs": survey.study.constructs | {"Quality": block}})
    reversed_survey = replace(survey, study=study, frame=frame)
    assert longstring(reversed_survey, items).table.loc[0, "value"] == 7
    assert irv(reversed_survey, items).table.loc[0, "value"] == 0
    assert straight_lining(reversed_survey, {"Quality": items}).table.loc[0, "value"] == 1
    assert longstring(replace(survey, frame=frame), items).table.loc[0, "value"] == 5


def test_straight_lines_need_a_complete_grid():
    frame = pd.DataFrame({"a": [5, 5, 5], "b": [5, 5, NAN], "c": [5, 6, 5]})
    found = straight_lining(frame, {"grid": ["a", "b", "c"]})
    assert values(found)[:2] == [1, 0]
    assert found.table["judged"].tolist() == [True, True, False]
    for grids in (None, {}, {"g": ["a", "b"]}, {"g": "a"}):
        with pytest.raises(SpecError, match="grids"):
            straight_lining(frame, grids)


def test_response_time_is_compared_with_a_third_of_the_median():
    frame = pd.DataFrame({"t": [300, 300, 100, 99, 900, NAN]})
    found = response_time(frame, "t")
    assert found.table["cutoff"].iloc[0] == pytest.approx(100)
    assert found.rows.tolist() == [3]
    assert found.n_judged == 5


def test_times_written_as_text_are_read_and_others_are_refused():
    assert response_time(pd.DataFrame({"t": ["300", "290", "10", " "]}), "t").rows.tolist() == [2]
    with pytest.raises(DataError, match=r"not so in 2 rows: 1 \('5 min'\), 2 \('-3'\)"):
        response_time(pd.DataFrame({"t": ["300", "5 min", "-3"]}), "t")
    with pytest.raises(DataError, match="not so in 1 rows"):
        response_time(pd.DataFrame({"t": [300, np.inf]}), "t")


def test_all_times_missing_judges_nobody():
    found = response_time(pd.DataFrame({"t": [NAN, NAN]}), "t")
    assert (found.n_judged, found.n_flagged) == (0, 0)
    found.plot()


def test_seconds_are_divided_by_the_answers_given():
    frame = pd.DataFrame({"t": [4.0, 4, 4, NAN], "a": [1, 1, NAN, 1], "b": [1, NAN, NAN, 1]})
    found = seconds_per_item(frame, "t", ["a", "b"], cutoff=3)
    assert values(found)[:2] == [2, 4]
    assert found.rows.tolist() == [0]
    assert dict(found.unjudged) == {"without a time": 1, "without an answer": 1}
    with pytest.raises(SpecError, match="which questions"):
        seconds_per_item(frame, "t")


def test_even_odd_by_its_formula():
    """c = 2r/(1 + r) of the correlation of half means, person by person."""
    frame = market(40)
    odd = np.column_stack([frame[b[0::2]].mean(axis=1) for b in CONSTRUCTS.values()])
    even = np.column_stack([frame[b[1::2]].mean(axis=1) for b in CONSTRUCTS.values()])
    r = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(odd, even, strict=True)])
    assert values(even_odd(frame, CONSTRUCTS)) == pytest.approx(2 * r / (1 + r), rel=1e-10)


def test_even_odd_leaves_out_gaps_single_items_and_says_who_cannot_be_judged():
    frame = market(4)
    frame.iloc[1, :26] = NAN
    frame.iloc[2] = 7
    found = even_odd(frame, CONSTRUCTS | {"single": ["q0_0"]})
    assert found.table["judged"].tolist() == [True, False, False, True]
    assert sorted(found.unjudged.values()) == [1, 1]
    assert "8 constructs" in found.rule
    with pytest.raises(SpecError, match="needs 3 or more"):
        even_odd(frame, {"a": CONSTRUCTS["c0"], "b": CONSTRUCTS["c1"]})
    with pytest.raises(SpecError, match="no constructs given"):
        even_odd(frame)


def test_synonyms_by_their_definition():
    frame = market(300)
    corr = frame.corr().to_numpy()
    first, second = np.nonzero(np.triu(corr > 0.6, k=1))
    x = frame.to_numpy()
    expected = [np.corrcoef(row[first], row[second])[0, 1] for row in x]
    found = psychometric_synonyms(frame)
    assert len(found.details) == len(first)
    assert found.details["r"].to_numpy() == pytest.approx(corr[first, second], rel=1e-10)
    assert values(found) == pytest.approx(expected, rel=1e-8)


def test_correlations_of_the_sample_use_the_rows_that_answered_both():
    frame = market(200)
    frame = frame.mask(np.random.default_rng(1).random(frame.shape) < 0.1)
    found = psychometric_synonyms(frame)
    corr = frame.corr()  # pandas leaves out rows pair by pair, too
    expected = [corr.loc[a, b] for a, b in found.details[["item", "other"]].to_numpy()]
    assert found.details["r"].to_numpy() == pytest.approx(expected, rel=1e-10)


def test_antonyms_are_synonyms_with_one_item_turned():
    frame = market(300)
    turned = frame.copy()
    second = [f"q{k}_1" for k in range(8)]
    pairs = [f"q{k}_{j}" for k in range(8) for j in (0, 1)]
    turned[second] = 11 - turned[second]
    synonyms, antonyms = psychometric_synonyms(frame[pairs], r=0.6), psychometric_antonyms(turned[pairs])
    assert len(synonyms.details) == len(antonyms.details) == 8
    assert values(antonyms) == pytest.approx([-v for v in values(synonyms)], rel=1e-9, nan_ok=True)
    assert antonyms.rows.equals(synonyms.rows)


@pytest.mark.parametrize("shift", [-1e3, 1e6, 1e9])
def test_synonyms_do_not_depend_on_where_the_scale_begins(shift):
    """Correlations do not: the same pairs, and the same values to rounding."""
    frame = market(60)
    found, moved = psychometric_synonyms(frame, r=0.5), psychometric_synonyms(frame + shift, r=0.5)
    assert moved.details[["item", "other"]].equals(found.details[["item", "other"]])
    assert moved.table["value"].to_numpy() == pytest.approx(found.table["value"].to_numpy(), abs=1e-6, nan_ok=True)


def test_too_few_pairs_say_what_the_highest_correlation_is():
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(100, 4))).add_prefix("q")
    with pytest.raises(EstimationError, match=r"0 pairs .* above 0\.6.*highest correlation is -?0\.\d\d"):
        psychometric_synonyms(frame)
    with pytest.raises(SpecError, match="between 0 and 1"):
        psychometric_synonyms(frame, r=-0.5)


def test_inconsistent_pairs_by_hand():
    frame = pd.DataFrame({"a": [5, 5, 5, NAN], "a2": [7, 8, NAN, 1], "b": [1, 1, 9, NAN], "b2": [1, 1, 1, NAN]})
    found = inconsistent_pairs(frame, [("a", "a2"), ("b", "b2")])
    assert values(found)[:3] == [2, 3, 8]
    assert found.rows.tolist() == [1, 2]
    assert found.table["judged"].tolist() == [True, True, True, False]
    assert found.details[["row", "item"]].to_numpy().tolist() == [[1, "a"], [1, "a2"], [2, "b"], [2, "b2"]]
    for pairs in ([], [("a", "a")], [("a", "a2", "b")], ["ab"]):
        with pytest.raises(SpecError, match="pairs must be"):
            inconsistent_pairs(frame, pairs)


def test_planted_careless_answers_are_found_and_careful_ones_are_left_alone():
    """Of 600: 40 straight lines, 60 at random; recall and false alarms of each check as its purpose demands."""
    frame = market()
    rng = np.random.default_rng(9)
    frame.iloc[:40] = np.repeat(rng.integers(1, 11, (40, 1)), 32, axis=1)
    frame.iloc[40:100] = rng.integers(1, 11, (60, 32))
    straight, random, careful = set(range(40)), set(range(40, 100)), set(range(100, 600))

    def share(found, group):
        return len(set(found.rows) & group) / len(group)

    for check in (longstring, irv, lambda f: straight_lining(f, CONSTRUCTS)):
        assert share(check(frame), straight) == 1
        assert share(check(frame), careful | random) == 0
    # Of people who answer at random, r over 8 pairs is below .176 (c below .30) with chance .66, from t with 6 degrees
    # of freedom; a correlation over pairs is negative with chance about a half. Three standard errors of 60 below.
    assert share(even_odd(frame, CONSTRUCTS), random) > 0.66 - 3 * np.sqrt(0.66 * 0.34 / 60)
    assert share(psychometric_synonyms(frame, r=0.5), random) > 0.5 - 3 * np.sqrt(0.25 / 60)
    for check in (lambda f: even_odd(f, CONSTRUCTS), lambda f: psychometric_synonyms(f, r=0.5)):
        assert share(check(frame), careful) < 0.02


def test_a_check_that_flags_too_many_says_so():
    """Answers with one common opinion and nothing else: honest, and without any order between constructs."""
    rng = np.random.default_rng(4)
    x = np.rint(6 + 2 * rng.normal(size=(300, 1)) + rng.normal(size=(300, 32)))
    frame = pd.DataFrame(x, columns=market(1).columns)
    assert "too many to be careless" in str(even_odd(frame, CONSTRUCTS))
    assert "too many" not in str(even_odd(market(), CONSTRUCTS))


def test_an_outlier_check_that_flags_more_than_a_quarter_says_so():
    assert "too many to be outliers" in str(mcd(csi.load_survey("mobile"), rng=1))
    normal = pd.DataFrame(np.random.default_rng(1).normal(size=(400, 4)), columns=list("abcd"))
    assert "too many" not in str(mcd(normal, rng=1))


@pytest.mark.parametrize(
    "check",
    [
        longstring,
        irv,
        lambda f: straight_lining(f, CONSTRUCTS),
        lambda f: even_odd(f, CONSTRUCTS),
        psychometric_synonyms,
        lambda f: inconsistent_pairs(f, [("q0_0", "q0_1")]),
    ],
)
def test_order_of_rows_changes_nothing(check):
    frame = market(150)
    frame = frame.mask(np.random.default_rng(1).random(frame.shape) < 0.05)
    table, turned = check(frame).table, check(frame.sample(frac=1, random_state=1)).table.loc[frame.index]
    pd.testing.assert_frame_equal(turned, table, rtol=1e-9)


@pytest.mark.parametrize("check", [longstring, irv, psychometric_synonyms])
def test_items_on_different_scales_are_refused(check, mobi):
    survey = csi.load_survey("mobile")
    item = survey.study.constructs["Complaints"].items["CUSCO"].model_copy(update={"high": 5.0})
    block = survey.study.constructs["Complaints"].model_copy(update={"items": {"CUSCO": item}})
    study = survey.study.model_copy(update={"constructs": survey.study.constructs | {"Complaints": block}})
    with pytest.raises(SpecError, match=r"1 to 5: CUSCO.*choose those of one"):
        check(replace(survey, study=study))


def test_impossible_settings_are_refused():
    frame = market(20)
    for call in (
        lambda: longstring(frame, share=0),
        lambda: longstring(frame, share=12),
        lambda: longstring(frame, ["q0_0", "q0_1"]),
        lambda: longstring(frame, answered=1.5),
        lambda: longstring(frame, ["q0_0"]),
        lambda: irv(frame, cutoff=-1),
        lambda: irv(frame, []),
        lambda: response_time(frame, "q0_0", fraction=3),
        lambda: seconds_per_item(frame, "q0_0", ["q0_1"], cutoff=0),
        lambda: even_odd(frame, CONSTRUCTS, at_least=2),
        lambda: inconsistent_pairs(frame, [("q0_0", "q0_1")], difference=-1),
        lambda: straight_lining(frame, CONSTRUCTS, share=0),
    ):
        with pytest.raises(SpecError):
            call()
    with pytest.raises(DataError, match="holds text"):
        longstring(frame.astype(object).where(frame != 5, "five"))


def test_a_survey_has_its_own_weights():
    with pytest.raises(SpecError, match="its own weights"):
        longstring(csi.load_survey("mobile"), weights=np.ones(250))
