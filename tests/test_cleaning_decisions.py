"""Decisions and their log: nothing without a rule, counts that add up, cleaning twice is cleaning once, the design."""

from __future__ import annotations

import csv
import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
from made_studies import answers, write_study

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


def test_replaying_a_log_reproduces_the_cleaned_data(frame):
    """A log that was stored, applied to the raw data read again, gives the same frame."""
    log = decide(frame, checks(frame), RULES, id="phone", design=csi.Design(weights="w", strata="region", psu="town"))
    again = pickle.loads(pickle.dumps(log))
    raw = pickle.loads(pickle.dumps(frame))
    pd.testing.assert_frame_equal(again.apply(raw), log.apply(frame))
    pd.testing.assert_frame_equal(again.drop(raw), log.drop(frame))
    assert str(again) == str(log)


def test_the_saved_tables_alone_reproduce_the_cleaned_data(frame, tmp_path):
    """Rows removed and answers set missing as the files say, with nothing but pandas."""
    log = decide(frame, checks(frame), RULES)
    log.save(tmp_path)
    table = {name: pd.read_csv(tmp_path / f"{name}.csv", encoding="utf-8-sig") for name in log.tables()}
    people = table["respondents"].set_index("row")
    cleaned = frame.loc[people.index[people["action"] != "remove"]].copy()
    for row, item in table["answers"][["row", "item"]].itertuples(index=False):
        cleaned.loc[row, item] = np.nan
    pd.testing.assert_frame_equal(cleaned, log.drop(frame))
    counts = table["summary"].set_index("count")["value"]
    assert (counts["respondents"], counts["remaining"]) == (len(frame), len(cleaned))
    assert counts["removed"] == (people["action"] == "remove").sum() == 1
    assert counts["answers set missing"] == len(table["answers"]) == 2
    assert table["rules"]["rule"].tolist() == [str(rule) for rule in RULES]


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


@pytest.mark.parametrize("order", [lambda f: f[::-1], lambda f: f.sample(frac=1, random_state=3)])
def test_a_log_is_not_applied_to_rows_that_bear_others_labels(frame, order):
    plain = frame.reset_index(drop=True)
    log = decide(plain, checks(plain), RULES)
    moved = order(plain)
    assert log.apply(moved).loc[plain.index].equals(log.apply(plain))  # another order is no other data
    for use in (log.apply, log.drop):
        with pytest.raises(DataError, match=r"do not hold the answers that were judged.*run the checks"):
            use(moved.reset_index(drop=True))
    with pytest.raises(DataError, match=r"(?s)other data than these.*hold other answers now"):
        decide(moved.reset_index(drop=True), checks(plain), RULES)


def test_rows_chosen_by_hand_are_known_again_by_all_their_columns(frame):
    plain = frame.reset_index(drop=True)
    log = decide(plain, rows_by_hand(plain, [2]), Rule("remove"))
    with pytest.raises(DataError, match=r"1 rows do not hold the answers that were judged \(2\)"):
        log.apply(plain[::-1].reset_index(drop=True))
    once = log.apply(plain)
    pd.testing.assert_frame_equal(log.apply(once), once)


def test_columns_added_dropped_or_stored_otherwise_are_no_other_data(frame):
    log = decide(frame, checks(frame), RULES)
    stored = frame.drop(columns="phone").assign(score=1.0, q3=frame["q3"].astype(object))
    assert log.apply(stored)["cleaning_weight"].equals(log.apply(frame)["cleaning_weight"])
    with pytest.raises(DataError, match=r"1 rows .*\(d\)"):
        log.apply(frame.assign(q1=frame["q1"].where(frame.index != "d", 9.0)))


KEEP = {"outside_scale": "keep", "duplicate_id": "keep"}


@pytest.fixture
def unclean(tmp_path):
    """A study that keeps five impossible answers of four customers, and two interviews of one id."""
    made = answers(120).assign(id=[f"k{i:03d}" for i in range(120)], seconds=300)
    made.loc[[3, 4, 5], "q6"] = [99, 0, 11]
    made.loc[5, "q2"] = -1
    made.loc[9, "q10"] = 55
    made.loc[40, "id"] = "k041"
    return csi.load_survey(write_study(tmp_path / "unclean", made, design={"id": "id"}, keep=["seconds"], checks=KEEP))


ESTIMATORS = {
    "moments": lambda s: s.moments(),
    "replicates of a survey": lambda s: s.replicates(20),
    "replicates": lambda s: csi.replicates(s, draws=20),
    "pls": lambda s: csi.sem.pls(s),
    "cbsem": lambda s: csi.sem.cbsem(s, missing="fiml"),
    "index from items": lambda s: csi.index.from_items(s, s.constructs, s.bounds),
    "index by group": lambda s: csi.index.by_group(s, ["a"] * 120, {"q6": 1.0}, s.bounds),
    "alpha": lambda s: csi.reliability.cronbach_alpha(s, ["q6", "q7", "q8"]),
    "polychoric": lambda s: csi.polychoric.polychoric(s, ["q6", "q7", "q8"]),
    "mean": lambda s: csi.sampling.estimate.mean(s, "q6", missing="listwise"),
    "known groups": lambda s: csi.validity.known_groups(s, ["q6", "q7"], ["a", "b"] * 60),
    "impute": lambda s: csi.cleaning.impute(s, m=2, iterations=2, rng=1),
    "score": lambda s: csi.cleaning.score(s),
}


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
def test_no_estimator_uses_impossible_answers_that_were_kept_for_cleaning(unclean, estimator):
    with pytest.raises((DataError, EstimationError), match=r"q6.* answers? outside 1 to 10"):
        estimator(unclean)


@pytest.mark.parametrize("action", ["set missing", "remove"])
def test_what_a_study_file_keeps_is_found_decided_about_logged_and_cleaned(unclean, action):
    found = [out_of_range(unclean), duplicate_ids(unclean, spare="first")]
    assert found[0].details[["row", "item", "answer"]].to_numpy().tolist() == [
        [3, "q6", 99],
        [4, "q6", 0],
        [5, "q2", -1],
        [5, "q6", 11],
        [9, "q10", 55],
    ]
    assert found[1].rows.tolist() == [41]
    log = decide(unclean, found, [Rule(action, "out of range"), Rule("remove", "duplicate id")], numbers=["q6"])
    gone = {3, 4, 5, 9} if action == "remove" else set()
    assert set(log.removed) == gone | {41}
    assert len(log.answers) == (0 if gone else 5)
    assert log.respondents.loc[41, "id"] == "k041"
    clean = log.apply(unclean)
    assert any(note.startswith("Cleaned: weight 0 for") for note in clean.notes)
    kept = unclean.frame.drop(index=list(gone | {41}))
    expected = kept["q6"].where(kept["q6"].between(1, 10)).mean()
    assert clean.moments(["q6"]).mean[0] == pytest.approx(expected)
    assert log.effect.loc["q6", "after"] == pytest.approx(expected)
    for name, estimator in ESTIMATORS.items():
        if name != "impute":
            estimator(clean)
    again = decide(clean, [out_of_range(clean), duplicate_ids(clean)])
    assert again.checks["flagged"].tolist() == [0, 0]
    assert log.drop(unclean).moments(["q6"]).mean[0] == pytest.approx(expected)
    assert log.apply(clean).notes == clean.notes
    assert csi.cleaning.response_time(clean, "seconds").n_flagged == 0


def test_a_review_alone_does_not_make_impossible_answers_possible(unclean):
    reviewed = decide(unclean, out_of_range(unclean)).apply(unclean)
    with pytest.raises(DataError, match="kept for cleaning"):
        reviewed.moments()


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
