"""Impossible answers, routing, attention checks, duplicates: hand examples, brute force, invariance, bad input."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab.cleaning import (
    Route,
    duplicate_ids,
    identical_answers,
    instructed_answers,
    near_identical_answers,
    out_of_range,
    routing_errors,
    rows_by_hand,
)
from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.fieldwork import duplicates
from csi_lab.study.datasets import find_study


def flagged(found) -> list:
    return found.rows.tolist()


def test_every_impossible_answer_is_listed_with_its_problem():
    frame = pd.DataFrame({"a": [0, 1, 10, 11], "b": [5.5, np.nan, 3, np.inf], "c": [True, "7", " ", 7]})
    found = out_of_range(frame, bounds=(1, 10), whole=True)
    assert [tuple(r) for r in found.details[["row", "item", "problem"]].to_numpy()] == [
        (0, "a", "below 1"),
        (0, "b", "not a whole number"),
        (0, "c", "no number"),
        (1, "c", "no number"),
        (3, "a", "above 10"),
        (3, "b", "above 10"),
    ]
    assert found.table["value"].tolist() == [3, 1, 0, 2]


def test_numbers_written_as_text_are_counted_and_the_remedy_leaves_only_the_words(tmp_path):
    """A column of a CSV file in which one cell holds words is text as a whole."""
    (tmp_path / "x.csv").write_text("age,q\n34,7\nforty,8\n,5\n120,6\n", encoding="utf-8")
    frame = pd.read_csv(tmp_path / "x.csv")
    found = out_of_range(frame, ["age"], bounds=(18, 99))
    assert found.details["row"].tolist() == [0, 1, 3]
    (remark,) = found.remarks
    assert "2 (age 2)" in remark
    remedy = remark[remark.index("frame['age'] = ") :]
    exec(remedy, {"frame": frame, "pd": pd})
    found = out_of_range(frame, ["age"], bounds=(18, 99))
    assert found.details[["row", "problem"]].to_numpy().tolist() == [[1, "no number"], [3, "above 99"]]
    assert not found.remarks
    clean = csi.cleaning.decide(frame, found, csi.cleaning.Rule("set missing")).apply(frame)["age"]
    np.testing.assert_array_equal(clean, [34.0, np.nan, np.nan, np.nan])


def test_dates_are_no_numbers_on_a_scale():
    found = out_of_range(pd.DataFrame({"a": pd.to_datetime(["2024-05-01", None])}), bounds=(1, 10))
    assert found.details["problem"].tolist() == ["no number"]


def test_missing_codes_are_no_answers_and_are_counted():
    frame = pd.DataFrame({"q1": [7, 99, 11, 98, 5], "q2": [98, 99, 99, "refused", 12], "q3": [1.0, np.nan, 3, 99, 4]})
    found = out_of_range(frame, bounds=(1, 10), missing_codes=[98, 99, "refused"])
    assert found.details[["row", "item", "answer"]].to_numpy().tolist() == [[2, "q1", 11], [4, "q2", 12]]
    assert found.unjudged == {"without any answer": 2}
    assert "missing codes count as no answer: 7 (q1 2, q2 4, q3 1)" in str(found)
    assert out_of_range(frame, bounds=(1, 10)).n_flagged == 5
    own = out_of_range(frame, ["q1", "q3"], bounds=(1, 10), missing_codes={"q1": 99})
    assert own.details["answer"].tolist() == [11, 98, 99]


def test_missing_codes_inside_the_bounds_are_mentioned_and_odd_ones_refused():
    frame = pd.DataFrame({"q1": [7, 9, 11], "q2": [9, 3, 4]})
    found = out_of_range(frame, bounds=(1, 10), missing_codes=9)
    assert "inside the bounds, where they may hide answers: 9 of q1, 9 of q2" in str(found)
    with pytest.raises(SpecError, match=r"\['zz'\]"):
        out_of_range(frame, bounds=(1, 10), missing_codes={"zz": [9]})
    with pytest.raises(SpecError, match="must be numbers or texts, got None, nan"):
        out_of_range(frame, bounds=(1, 10), missing_codes=[None, float("nan"), 9])


def test_raw_answers_with_the_codes_of_the_study_are_judged_like_the_survey():
    survey = csi.load_survey("broadband")
    raw = pd.read_csv(find_study("broadband").parent / "survey.csv")
    assert out_of_range(raw, survey.items, bounds=(1, 10)).n_flagged > 1000
    found = out_of_range(raw, survey.items, bounds=survey.bounds, missing_codes=survey.study.missing_codes)
    assert found.n_flagged == out_of_range(survey).n_flagged == 0


def test_both_searches_for_near_copies_find_the_same_rows():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.integers(1, 4, (60, 8))).add_prefix("q")
    for agreement in (0.6, 0.8, 0.9):
        listed = duplicates(frame, list(frame.columns), agreement=agreement)
        counted = near_identical_answers(frame, agreement=agreement)
        assert set(listed.flagged) == set(counted.rows)
        assert counted.table["value"].sum() == 2 * len(listed.pairs)


def test_each_item_has_its_own_bounds():
    frame = pd.DataFrame({"a": [7], "b": [7]})
    assert out_of_range(frame, bounds={"a": (1, 5), "b": (1, 10)}).details["item"].tolist() == ["a"]


def test_a_survey_brings_items_and_bounds():
    found = out_of_range(csi.load_survey("mobile"))
    assert (found.n, found.n_flagged) == (250, 0)


def test_a_respondent_without_answers_is_not_judged_rather_than_fine():
    found = out_of_range(pd.DataFrame({"a": [5, None]}), bounds=(1, 10))
    assert found.table["judged"].tolist() == [True, False]
    assert np.isnan(found.table["value"].iloc[1])
    assert "not judged: 1 (without any answer)" in str(found)


@pytest.mark.parametrize("bounds", [None, (10, 1), {"a": (1, 10)}, ("x", 2), {"a": (1, 10), "b": (5, 5)}])
def test_impossible_bounds_are_refused(bounds):
    with pytest.raises(SpecError, match="bounds"):
        out_of_range(pd.DataFrame({"a": [1], "b": [2]}), bounds=bounds)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": []}), "no rows"),
        (pd.DataFrame({"a": [1, 2]}, index=[3, 3]), "row labels occur twice: 3"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"columns share a name: \['a'\]"),
        ([[1, 2]], "need a survey or a DataFrame, got list"),
        (pd.Series([1]), "got Series"),
        (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "several levels"),
    ],
)
def test_data_that_are_no_table_of_respondents_are_refused(frame, message):
    with pytest.raises(DataError, match=message):
        out_of_range(frame, bounds=(1, 10))


def test_unknown_items_are_all_named():
    with pytest.raises(DataError, match=r"\['CUSA9', 'CUSA8'\]; did you mean 'CUSA"):
        out_of_range(csi.load_survey("mobile"), ["CUSA9", "CUSA1", "CUSA8"])
    with pytest.raises(SpecError, match="named twice"):
        out_of_range(csi.load_survey("mobile"), ["CUSA1", "CUSA1"])


def test_columns_may_bear_the_names_of_a_surveys_attributes():
    names = ["bounds", "design", "study", "frame", "items", "constructs"]
    frame = pd.DataFrame([[1, 2, 3, 4, 5, 6]], columns=names)
    found = out_of_range(frame, bounds=(1, 5))
    assert found.details["item"].tolist() == ["constructs"]


def test_rows_of_weight_zero_are_nobody():
    frame = pd.DataFrame({"a": [99, 5, 99], "w": [0.0, 1, 2]})
    found = out_of_range(frame, ["a"], bounds=(1, 10), weights="w")
    assert (found.n, found.nobody, flagged(found)) == (2, 1, [2])
    with pytest.raises(DataError, match="all weights are zero"):
        out_of_range(frame, ["a"], bounds=(1, 10), weights=[0, 0, 0])
    for bad in ([-1, 1, 1], [np.nan, 1, 1], [1, 1]):
        with pytest.raises(DataError, match="weights"):
            out_of_range(frame, ["a"], bounds=(1, 10), weights=bad)


# --- routing -------------------------------------------------------------------------------------------------------


def test_all_violations_of_all_routes_are_listed():
    frame = pd.DataFrame({"used": [1, 2, 1, 2], "why": ["x", "y", "  ", None], "when": [1, None, None, 3]})
    routes = [Route("used", 1, ["why", "when"], "answered"), Route("used", 2, ["why", "when"], "empty")]
    found = routing_errors(frame, routes)
    assert found.details[["row", "item"]].to_numpy().tolist() == [[1, "why"], [2, "why"], [2, "when"], [3, "when"]]
    assert found.table["value"].tolist() == [0, 1, 2, 1]


def test_a_route_may_name_several_values_and_texts():
    frame = pd.DataFrame({"channel": ["web", "shop", "phone"], "shop_name": ["x", "y", None]})
    found = routing_errors(frame, Route("channel", ["web", "phone"], "shop_name", "empty"))
    assert flagged(found) == [0]


def test_text_compared_with_a_number_is_refused_and_a_route_that_never_applies_is_said():
    frame = pd.DataFrame({"used": ["1", "2"], "why": [None, 1], "n": [1, 2]})
    with pytest.raises(DataError, match=r"'used' holds text.*the route names a number"):
        routing_errors(frame, Route("used", 1, "why", "answered"))
    with pytest.raises(DataError, match="'n' holds numbers"):
        routing_errors(frame, Route("n", "1", "why", "answered"))
    assert "never applied" in str(routing_errors(frame, Route("n", 7, "why", "answered")))


@pytest.mark.parametrize(
    "made", [("a", 1, "a", "empty"), ("a", [], "b", "empty"), ("a", 1, "b", "full"), ("a", None, "b", "empty")]
)
def test_routes_that_make_no_sense_are_refused(made):
    with pytest.raises(SpecError, match="route of 'a'"):
        Route(*made)


def test_without_routes_or_columns_there_is_an_error():
    with pytest.raises(SpecError, match="no routes"):
        routing_errors(pd.DataFrame({"a": [1]}), [])
    with pytest.raises(DataError, match=r"\['b', 'c'\]"):
        routing_errors(pd.DataFrame({"a": [1]}), Route("b", 1, "c", "empty"))


def test_attention_checks_count_failures_and_leave_skippers_unjudged():
    frame = pd.DataFrame({"c1": [7, 7, 3, np.nan], "c2": [1, 2, 9, 1]})
    found = instructed_answers(frame, {"c1": 7, "c2": [1, 2]})
    assert flagged(found) == [2]
    assert found.table["judged"].tolist() == [True, True, True, False]
    assert flagged(instructed_answers(frame, {"c1": 7, "c2": 1}, failures=2)) == [2]
    with pytest.raises(SpecError, match="failures=3"):
        instructed_answers(frame, {"c1": 7, "c2": 1}, failures=3)


# --- duplicates ----------------------------------------------------------------------------------------------------


def test_ids_that_occur_twice_are_flagged_and_missing_ids_are_not_judged():
    frame = pd.DataFrame({"id": ["a", "b ", None, "b", "", "c", "b"]})
    found = duplicate_ids(frame, "id")
    assert flagged(found) == [1, 3, 6]
    assert found.table["value"].dropna().tolist() == [0, 2, 2, 0, 2]
    assert found.n - found.n_judged == 2
    assert flagged(duplicate_ids(frame, "id", spare="first")) == [3, 6]
    with pytest.raises(SpecError, match="give id="):
        duplicate_ids(frame)
    with pytest.raises(SpecError, match="spare='last'"):
        duplicate_ids(frame, "id", spare="last")


def test_identical_rows_are_found_gaps_included():
    frame = pd.DataFrame([[1, 2, np.nan], [1, 2, np.nan], [1, 2, 3], [np.nan] * 3, [np.nan] * 3], columns=list("abc"))
    found = identical_answers(frame)
    assert flagged(found) == [0, 1]
    assert found.table["judged"].tolist() == [True, True, True, False, False]
    assert flagged(identical_answers(frame, spare="first")) == [1]


def test_straight_lines_among_the_identical_are_mentioned():
    found = identical_answers(pd.DataFrame([[9, 9, 9], [9, 9, 9], [1, 2, 3], [1, 2, 3]], columns=list("abc")))
    assert "2 of the rows flagged give one answer to everything" in str(found)


@pytest.mark.parametrize("agreement", [0.6, 0.8, 0.85, 0.95])
def test_near_identical_answers_are_those_of_a_comparison_of_all_pairs(agreement):
    rng = np.random.default_rng(5)
    x = rng.integers(1, 4, (120, 12)).astype(float)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[60:70] = x[:10]
    same = (x[:, None] == x[None]) | (np.isnan(x[:, None]) & np.isnan(x[None]))
    agree = same.mean(axis=2) - 2 * np.eye(len(x))
    few = (~np.isnan(x)).sum(axis=1) < 6
    agree[few] = agree[:, few] = -1
    found = near_identical_answers(pd.DataFrame(x).add_prefix("q"), agreement=agreement)
    expected = (agree > agreement + 1e-9).sum(axis=1).astype(float)
    assert np.array_equal(found.table["value"].to_numpy()[~few], expected[~few])
    assert found.details["agreement"].to_numpy() == pytest.approx(agree.max(axis=1)[expected > 0])
    for row, other, value in found.details.to_numpy():
        assert agree[row, other] == pytest.approx(value)


def test_duplicates_do_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.integers(1, 4, (80, 8))).add_prefix("q")
    frame.iloc[70:75] = frame.iloc[:5].to_numpy()
    for check in (identical_answers, lambda f: near_identical_answers(f, agreement=0.8)):
        table = check(frame).table
        assert table["flagged"].any()
        pd.testing.assert_frame_equal(check(frame.sample(frac=1, random_state=1)).table.loc[frame.index], table)


def test_copied_interviews_with_one_change_are_all_found_and_few_others():
    """24 answers of 10 points: honest rows hardly ever agree on 23 of them."""
    rng = np.random.default_rng(8)
    z = 0.7 * rng.normal(size=(1500, 1)) + 0.7 * rng.normal(size=(1500, 24))
    x = np.clip(np.rint(7 + 1.7 * z), 1, 10)
    x[1400:] = x[:100]
    x[np.arange(1400, 1500), rng.integers(0, 24, 100)] += 0.5
    found = near_identical_answers(pd.DataFrame(x).add_prefix("q"))
    involved = set(range(100)) | set(range(1400, 1500))
    assert involved <= set(flagged(found))
    assert len(set(flagged(found)) - involved) <= 3


def test_agreement_must_be_a_share_below_one():
    for agreement in (0.2, 1, 95):
        with pytest.raises(SpecError, match="agreement="):
            near_identical_answers(pd.DataFrame({"a": [1, 1]}), agreement=agreement)
    two = near_identical_answers(pd.DataFrame({"a": [1, 1], "b": [2, 2]}))
    assert flagged(two) == [0, 1]
    assert "is full agreement" in str(two)


def test_rows_by_hand_must_exist():
    frame = pd.DataFrame({"a": [1, 2]}, index=["x", "y"])
    assert flagged(rows_by_hand(frame, ["y"])) == ["y"]
    with pytest.raises(DataError, match=r"\['z'\]"):
        rows_by_hand(frame, ["y", "z"])
    with pytest.raises(SpecError, match="list of row labels"):
        rows_by_hand(frame, "y")


def test_faces_say_the_same_and_escape_text_from_the_data():
    frame = pd.DataFrame({"<b>q</b>": ["<script>", 5], "q2": [3, 4]}, index=["<i>1</i>", "2"])
    found = out_of_range(frame, bounds=(1, 10))
    html = found._repr_html_()
    assert "<script>" not in html
    assert "<i>1" not in html
    assert repr(found) == str(found)
    assert found.to_frame().columns.tolist() == ["value", "cutoff", "flagged", "judged"]
    ax = found.plot()
    assert ax.get_xlabel() == "impossible answers"
    assert ax.get_ylabel() == "respondents"


def test_all_pairs_in_one_block_are_counted_once():
    """Rows that agree on several blocks must not count for each of them."""
    x = np.array([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7], [1, 2, 3, 4, 6, 6]])
    found = near_identical_answers(pd.DataFrame(x).add_prefix("q"), agreement=0.6)
    pairs = sum(int((x[a] == x[b]).sum() >= 4) for a, b in itertools.combinations(range(3), 2))
    assert found.table["value"].sum() == 2 * pairs
