"""Decisions and their log: nothing without a rule, counts that add up, cleaning twice is cleaning once, the design."""

from __future__ import annotations

import csv
import itertools

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab.cleaning import Rule, decide, duplicate_ids, irv, longstring, out_of_range, rows_by_hand, tukey_fences
from csi_lab.errors import DataError, EstimationError, SpecError

ITEMS = ["q1", "q2", "q3", "q4"]


@pytest.fixture
def frame() -> pd.DataFrame:
    """Eight interviews: c is straight, d has two impossible answers, e both, f empty, a and g share a phone."""
    rows = {
        "a": [7, 8, 9, 6, "010", "N", "t1", 1.0],
        "b": [3, 4, 2, 5, "011", "N", "t1", 2.0],
        "c": [5, 5, 5, 5, "012", "N", "t2", 1.5],
        "d": [99, 0, 6, 5, "013", "S", "t1", 1.0],
        "e": [99, 99, 99, 99, "014", "S", "t2", 0.5],
        "f": [None, None, None, None, "015", "S", "t1", 1.0],
        "g": [6, 9, 8, 7, "010", "S", "t1", 3.0],
        "h": [9, 8, 9, 10, None, "S", "t1", 2.0],
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*ITEMS, "phone", "region", "town", "w"])


def checks(frame: pd.DataFrame) -> list:
    return [
        out_of_range(frame, ITEMS, bounds=(1, 10)),
        longstring(frame, ITEMS, share=1),
        duplicate_ids(frame, "phone"),
    ]


RULES = [
    Rule("remove", ["out of range", "longstring"], at_least=2),
    Rule("set missing", "out of range"),
    Rule("review", ["longstring", "duplicate id"]),
    Rule("review", "longstring", on="not judged"),
]


def test_nothing_is_removed_or_changed_unless_a_rule_says_so(frame):
    log = decide(frame, checks(frame))
    assert log.respondents["action"].to_dict() == {
        "a": "review",
        "b": "keep",
        "c": "review",
        "d": "review",
        "e": "review",
        "f": "keep",
        "g": "review",
        "h": "keep",
    }
    assert log.n_remaining == 8
    assert log.weight_remaining == 1
    pd.testing.assert_frame_equal(log.apply(frame), frame)
    assert log.design_after.simple


def test_the_strongest_rule_that_holds_decides(frame):
    log = decide(frame, checks(frame), RULES)
    assert log.respondents["action"].to_dict() == {
        "a": "review",
        "b": "keep",
        "c": "review",
        "d": "set missing",
        "e": "remove",
        "f": "review",
        "g": "review",
        "h": "keep",
    }
    assert log.respondents.loc["e", "because"] == "remove when all of out of range, longstring flag"
    assert log.respondents.loc["f", "not_judged_by"] == "longstring; out of range"
    assert log.answers[["row", "item", "answer"]].to_numpy().tolist() == [["d", "q1", 99], ["d", "q2", 0]]
    assert log.removed.tolist() == ["e"]
    assert log.to_review.tolist() == ["a", "c", "f", "g"]


def test_the_decision_table_and_the_checks_add_up(frame):
    log = decide(frame, checks(frame), RULES)
    assert log.table["n"].sum() == 8
    assert log.table.set_index(["flagged_by", "action"])["n"].to_dict() == {
        ("", "keep"): 2,
        ("", "review"): 1,
        ("duplicate id", "review"): 2,
        ("longstring", "review"): 1,
        ("longstring; out of range", "remove"): 1,
        ("out of range", "set missing"): 1,
    }
    assert log.checks[["judged", "not_judged", "flagged", "flagged_alone", "removed"]].to_numpy().tolist() == [
        [7, 1, 2, 1, 1],
        [7, 1, 2, 1, 1],
        [7, 1, 2, 2, 0],
    ]


def test_order_of_flags_rules_and_rows_changes_nothing(frame):
    log = decide(frame, checks(frame), RULES, numbers=["q4"])
    made = checks(frame)
    orders = [(found, RULES) for found in itertools.permutations(made)]
    orders += [(made, rules) for rules in itertools.islice(itertools.permutations(RULES), 1, None, 4)]
    for found, rules in orders:
        other = decide(frame, list(found), list(rules), numbers=["q4"])
        pd.testing.assert_frame_equal(other.respondents, log.respondents)
        pd.testing.assert_frame_equal(other.answers, log.answers)
    turned = frame.iloc[::-1]
    other = decide(turned, checks(frame), RULES, numbers=["q4"])
    pd.testing.assert_frame_equal(other.respondents.loc[frame.index], log.respondents)
    pd.testing.assert_frame_equal(other.effect, log.effect)
    pd.testing.assert_frame_equal(log.apply(turned).loc[frame.index], log.apply(frame))


@pytest.mark.parametrize("design", [None, csi.Design(weights="w", strata="region", psu="town")])
def test_cleaning_twice_is_cleaning_once(frame, design):
    log = decide(frame, checks(frame), RULES, design=design)
    once = log.apply(frame)
    pd.testing.assert_frame_equal(log.apply(once), once)
    dropped = log.drop(frame)
    assert dropped.index.tolist() == ["a", "b", "c", "d", "f", "g", "h"]
    pd.testing.assert_frame_equal(log.drop(dropped), dropped)
    weight = log.weight_column
    again = [
        out_of_range(once, ITEMS, bounds=(1, 10), weights=weight),
        longstring(once, ITEMS, share=1, weights=weight),
        duplicate_ids(once, "phone", weights=weight),
    ]
    second = decide(once, again, RULES, design=log.design_after)
    assert (second.n, second.nobody, len(second.removed), len(second.answers)) == (7, 1, 0, 0)
    pd.testing.assert_frame_equal(second.apply(once), once)


def test_the_data_given_stay_as_they_are(frame):
    before = frame.copy(deep=True)
    log = decide(frame, checks(frame), RULES, numbers={"n": lambda f: f.drop(columns="q1").shape[0]})
    log.apply(frame)
    log.drop(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_removed_rows_keep_their_place_in_the_design_with_weight_zero(frame):
    design = csi.Design(weights="w", strata="region", psu="town")
    log = decide(frame, checks(frame), RULES, design=design)
    assert log.apply(frame)["w"].tolist() == [1.0, 2.0, 1.5, 1.0, 0.0, 1.0, 3.0, 2.0]
    assert log.weight_remaining == pytest.approx(11.5 / 12)
    assert log.emptied == ("region S, town t2",)
    assert "nobody remains in: region S, town t2" in str(log)
    assert log.sample.loc[("S", "t2")].tolist() == [1, 0, 0.5, 0.0]
    assert log.sample[["respondents_before", "respondents_after"]].sum().tolist() == [8, 7]


def test_weight_zero_and_dropping_give_the_same_means(frame):
    log = decide(frame, checks(frame), RULES, design=csi.Design(weights="w"), numbers=["q3", "q1"])
    for part, weights in ((log.apply(frame), "w"), (log.drop(frame), "w")):
        held = csi.Moments.from_frame(part[["q3", weights]].dropna(), weights)
        assert held.mean[0] == pytest.approx(log.effect.loc["q3", "after"], rel=1e-12)
    known = frame["q3"].notna()
    assert log.effect.loc["q3", "before"] == pytest.approx(np.average(frame["q3"][known], weights=frame["w"][known]))
    change = log.effect["after"] - log.effect["before"]
    assert log.effect["change"].tolist() == pytest.approx(change.tolist(), rel=1e-12)


def test_the_effect_on_any_number_of_a_frame_is_reported(frame):
    log = decide(frame, checks(frame), RULES, numbers={"largest": lambda f: f[ITEMS].max().max(), "rows": len})
    assert log.effect.loc["largest"].tolist() == [99, 10, -89]
    assert log.effect.loc["rows"].tolist() == [8, 7, -1]
    with pytest.raises(SpecError, match="must give one number, it gave DataFrame"):
        decide(frame, checks(frame), numbers={"all": lambda f: f})


def test_text_out_of_range_becomes_missing_and_the_column_numbers():
    frame = pd.DataFrame({"q1": [5, "five", 7], "q2": [1, 2, 3]})
    log = decide(frame, out_of_range(frame, bounds=(1, 10)), Rule("set missing"), numbers=["q1"])
    clean = log.apply(frame)
    assert pd.api.types.is_numeric_dtype(clean["q1"])
    assert clean["q1"].isna().tolist() == [False, True, False]
    assert np.isnan(log.effect.loc["q1", "before"])
    assert log.effect.loc["q1", "after"] == 6
    with pytest.raises(DataError, match="'q1' holds text"):
        decide(frame, out_of_range(frame, bounds=(1, 10)), numbers=["q1"])


def test_two_checks_on_one_answer_are_named_together():
    frame = pd.DataFrame({"q1": [5, 6, 5, 6, 5, 6, 99]})
    found = [out_of_range(frame, bounds=(1, 10)), tukey_fences(frame)]
    log = decide(frame, found, Rule("set missing"))
    assert log.answers.to_numpy().tolist() == [[6, "q1", 99, "Tukey fences; out of range"]]


def test_a_review_ends_in_a_decision_by_hand(frame):
    found = [*checks(frame), rows_by_hand(frame, ["g"], rule="the phone belongs to a")]
    log = decide(frame, found, Rule("remove", "by hand"))
    assert log.removed.tolist() == ["g"]
    assert log.checks.loc["by hand", "rule"] == "the phone belongs to a"


def test_the_index_of_a_cleaned_survey_is_that_of_the_respondents_kept():
    survey = csi.load_survey("mobile")
    found = longstring(survey)
    log = decide(survey, found, Rule("remove"))
    clean = log.apply(survey)
    assert found.n_flagged > 0
    assert clean.design.weights == "cleaning_weight"
    assert any(note.startswith("Cleaned: weight 0 for") for note in clean.notes)
    kept = survey.frame.loc[~survey.frame.index.isin(found.rows), list(survey.items)]
    assert clean.moments().mean == pytest.approx(kept.mean().to_numpy(), rel=1e-12)
    assert clean.moments().n == len(kept)
    assert log.drop(survey).moments().cov == pytest.approx(kept.cov().to_numpy(), rel=1e-10)
    assert log.apply(clean).notes == clean.notes
    assert longstring(clean).nobody == found.n_flagged


def test_rules_that_cannot_work_are_refused(frame):
    for made in (
        {"action": "delete"},
        {"action": "remove", "checks": []},
        {"action": "remove", "checks": ["a"], "at_least": 2},
        {"action": "remove", "at_least": 0},
        {"action": "set missing", "on": "not judged"},
        {"action": "remove", "on": "absent"},
    ):
        with pytest.raises(SpecError, match="rule: "):
            Rule(**made)
    found = checks(frame)
    with pytest.raises(SpecError, match=r"unknown checks \['range'\]"):
        decide(frame, found, Rule("remove", "range"))
    with pytest.raises(SpecError, match=r"\['longstring'\] judge respondents, not single answers"):
        decide(frame, found, Rule("set missing", ["longstring", "out of range"]))
    with pytest.raises(SpecError, match="cannot hold with 3 checks"):
        decide(frame, found, Rule("remove", at_least=4))
    with pytest.raises(SpecError, match=r"share a name: \['longstring'\]"):
        decide(frame, [found[1], found[1]])
    with pytest.raises(SpecError, match=r"got also \['str'\]"):
        decide(frame, found, "remove")
    with pytest.raises(SpecError, match="no flags given"):
        decide(frame, [])
    with pytest.raises(EstimationError, match="remove everybody"):
        decide(frame, rows_by_hand(frame, frame.index), Rule("remove"))


def test_a_check_may_be_used_twice_under_two_names(frame):
    found = [irv(frame, ["q1", "q2"]).named("first half"), irv(frame, ["q3", "q4"]).named("second half")]
    log = decide(frame, found, Rule("remove", at_least=2))
    assert log.removed.tolist() == ["c", "e"]


def test_flags_of_other_data_are_refused(frame):
    with pytest.raises(DataError, match="longstring: 0 rows unknown to the data, 1 missing"):
        decide(frame, longstring(frame.iloc[1:], ITEMS))
    with pytest.raises(DataError, match="1 rows unknown"):
        decide(frame.iloc[1:], longstring(frame, ITEMS))


def test_a_design_that_does_not_fit_is_refused(frame):
    found = longstring(frame, ITEMS)
    with pytest.raises(DataError, match="stratum"):
        decide(frame, found, design=csi.Design(strata="stratum"))
    gaps = frame.assign(region=["N", None, *"SSSSSS"])
    with pytest.raises(DataError, match="'region' is empty in 1 rows: b"):
        decide(gaps, found, design=csi.Design(strata="region"))
    with pytest.raises(DataError, match="negative"):
        decide(frame.assign(w=-1), found, design=csi.Design(weights="w"))
    with pytest.raises(DataError, match="nobody to decide about"):
        decide(frame.assign(w=0), found, design=csi.Design(weights="w"))
    with pytest.raises(SpecError, match="a column 'cleaning_weight' already"):
        decide(frame.assign(cleaning_weight=1), found)
    survey = csi.load_survey("mobile")
    with pytest.raises(SpecError, match="its own design"):
        decide(survey, longstring(survey), design=csi.Design())


def test_a_log_is_not_applied_to_other_data(frame):
    log = decide(frame, checks(frame), RULES, id="phone")
    with pytest.raises(DataError, match="1 of its rows are absent, 0 rows are new"):
        log.apply(frame.iloc[1:])
    with pytest.raises(DataError, match="1 rows are new"):
        log.apply(pd.concat([frame, frame.iloc[:1].rename(index={"a": "z"})]))
    shifted = frame.assign(phone=np.roll(frame["phone"].to_numpy(), 1))
    with pytest.raises(DataError, match="belong to other respondents now"):
        log.apply(shifted)
    assert log.respondents["phone"].tolist()[:2] == ["010", "011"]


def test_rows_of_weight_zero_are_not_decided_about(frame):
    design = csi.Design(weights="w")
    frame.loc["e", "w"] = 0.0
    found = longstring(frame, ITEMS, share=1, weights="w")
    log = decide(frame, found, Rule("remove"), design=design)
    assert (log.n, log.nobody, log.removed.tolist()) == (7, 1, ["c"])
    assert "1 rows had weight zero before" in str(log)
    assert log.apply(frame).loc["e", "w"] == 0
    stale = longstring(frame, ITEMS, share=1)  # made before the weight was set to zero
    assert decide(frame, stale, Rule("remove"), design=design).removed.tolist() == ["c"]


def test_what_a_spreadsheet_would_run_is_made_safe_in_the_files(frame, tmp_path):
    frame = frame.rename(index={"e": "=cmd()"}).astype({"phone": object})
    frame.loc["d", "phone"] = "+49 170"
    frame["q1"] = frame["q1"].astype(object)
    frame.loc["d", "q1"] = "@SUM(A1)"
    found = [out_of_range(frame, ITEMS, bounds=(1, 10)), duplicate_ids(frame, "phone")]
    log = decide(frame, found, [Rule("set missing", "out of range"), Rule("review")], id="phone")
    files = log.save(tmp_path)
    assert files[-1].name == "tables.xlsx"
    with (tmp_path / "respondents.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {"'=cmd()"} == {r["row"] for r in rows if "cmd" in r["row"]}
    assert {"'+49 170"} == {r["phone"] for r in rows if "49" in r["phone"]}
    text = (tmp_path / "answers.csv").read_text(encoding="utf-8-sig")
    assert "'@SUM(A1)" in text
    assert len(rows) == 8


def test_faces_say_the_same_and_escape_text_from_the_data(frame):
    frame = frame.rename(columns={"region": "<b>r</b>"})
    frame["<b>r</b>"] = ["<i>N</i>"] * 4 + ["<i>S</i>"] + ["<i>N</i>"] * 3
    log = decide(frame, checks(frame), RULES, design=csi.Design(strata="<b>r</b>"))
    html = log._repr_html_()
    assert "<i>" not in html
    assert "&lt;i&gt;S" in html
    assert str(log).splitlines()[0] == (
        "8 respondents: 7 remain (87.5% of the weight), 1 removed, 4 to review, 2 answers of 1 respondent set missing"
    )
    assert log.to_frame().equals(log.respondents)
    ax = log.plot()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["out of range", "longstring", "duplicate id"]
    assert ax.get_xlabel() == "respondents (of 8)"


def test_numbers_that_are_labels_work_like_text_labels():
    frame = pd.DataFrame({"q1": [1, 99, 3]}, index=pd.Index([10, 20, 30], name="case"))
    log = decide(frame, out_of_range(frame, bounds=(1, 10)), Rule("set missing"))
    assert log.apply(frame)["q1"].isna().tolist() == [False, True, False]
    assert log.respondents["answers_set_missing"].tolist() == [0, 1, 0]


def test_nullable_and_whole_number_columns_keep_their_other_answers():
    frame = pd.DataFrame({"a": pd.array([1, 99, 3], dtype="Int64"), "b": np.array([1, 99, 3])})
    clean = decide(frame, out_of_range(frame, bounds=(1, 10)), Rule("set missing")).apply(frame)
    assert str(clean["a"].dtype) == "Int64"
    assert clean["a"].dropna().tolist() == clean["b"].dropna().tolist() == [1, 3]
