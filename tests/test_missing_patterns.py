"""Patterns of missing answers and Little's test: stored results of lavaan, counts by hand, invariances, bad input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference
from made_studies import answers, write_study

import csi_lab as csi
from csi_lab import DataError
from csi_lab.cleaning import little_mcar, patterns


def reference_frame(name: str) -> tuple[pd.DataFrame, dict]:
    ref = read_reference("missing/little_mcar.json")[name]
    return pd.read_csv(REFERENCE / "data" / f"{name}.csv")[list(ref["em_mean"])], ref


@pytest.mark.parametrize("name", ["airquality", "nhanes"])
def test_little_agrees_with_lavaan_moments(name):
    """tests/reference/missing/little_mcar.json: statistic to 1e-8, pattern by pattern."""
    frame, ref = reference_frame(name)
    found = little_mcar(frame)
    assert found.statistic == pytest.approx(ref["statistic"], abs=1e-8)
    assert (found.df, found.n, len(found.patterns)) == (ref["df"], ref["n"], ref["n_patterns"])
    assert found.p == pytest.approx(ref["p_value"], rel=1e-8)
    theirs = pd.DataFrame(**ref["patterns"]).set_index("missing")
    assert found.patterns.loc[theirs.index, "n"].tolist() == theirs["n"].tolist()
    assert found.patterns.loc[theirs.index, "d2"].to_numpy() == pytest.approx(theirs["d2"].to_numpy(), abs=1e-8)


@pytest.mark.parametrize("name", ["airquality", "nhanes"])
def test_patterns_agree_with_the_stored_counts(name):
    frame, ref = reference_frame(name)
    theirs = pd.DataFrame(**ref["patterns"]).set_index("missing")["n"]
    found = patterns(frame)
    assert found.table["n"].sort_index().to_dict() == theirs.sort_index().to_dict()
    assert found.table["n"].is_monotonic_decreasing
    assert found.items["missing"].tolist() == frame.isna().sum().tolist()
    assert found.complete == len(frame.dropna())


def test_little_ignores_units_row_order_and_rows_without_any_answer():
    frame, ref = reference_frame("airquality")
    changed = (1e4 * frame - 7).sample(frac=1, random_state=1)
    empty = pd.DataFrame(np.nan, index=[1000, 1001], columns=frame.columns)
    found = little_mcar(pd.concat([changed, empty]))
    assert found.statistic == pytest.approx(ref["statistic"], abs=1e-6)
    assert (found.df, found.n) == (ref["df"], ref["n"])
    assert "2 rows without any answer left out" in str(found)


def drawn(seed: int) -> tuple[pd.DataFrame, np.random.Generator]:
    rng = np.random.default_rng([1, seed])
    return pd.DataFrame(rng.normal(size=(120, 1)) + 0.7 * rng.normal(size=(120, 2)), columns=["a", "b"]), rng


def test_little_rejects_as_often_as_it_should_under_mcar():
    """5 % of 100 samples, in a band of four standard errors."""
    rejected = 0
    for seed in range(100):
        frame, rng = drawn(seed)
        rejected += little_mcar(frame.assign(b=frame["b"].mask(rng.random(120) < 0.25))).p < 0.05
    assert abs(rejected / 100 - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 100)


def test_little_sees_gaps_that_follow_another_item():
    for seed in range(10):
        frame, rng = drawn(seed)
        follows = rng.random(120) < 1 / (1 + np.exp(1.5 - 2 * frame["a"]))
        assert little_mcar(frame.assign(b=frame["b"].mask(follows))).p < 0.05


def test_weights_enter_the_shares_and_rows_of_weight_zero_are_nobody():
    frame = pd.DataFrame({"q1": [1, None, 3, None], "q2": [1.0, 2, None, None], "w": [1.0, 3, 4, 0]})
    found = patterns(frame, weights="w")
    assert (found.n, found.left_out) == (3, 1)
    assert found.table["weight_share"].to_dict() == {"00": 1 / 8, "01": 4 / 8, "10": 3 / 8}
    assert found.items["weight_share"].to_dict() == {"q1": 3 / 8, "q2": 4 / 8}


def test_patterns_take_text_and_name_pairs_never_answered_together():
    frame = pd.DataFrame({"a": ["x", None, "y"], "b": [None, "z", None], "c": [1, 2, 3]})
    found = patterns(frame)
    assert found.never_together == (("a", "b"),)
    assert "never answered together: a and b" in str(found)


def test_patterns_do_not_depend_on_the_order_of_rows(mobi):
    holes = mobi.astype(float).mask(np.random.default_rng(3).random(mobi.shape) < 0.05)
    assert patterns(holes.sample(frac=1, random_state=2)).table.equals(patterns(holes).table)


def test_a_survey_is_read_with_its_weights(tmp_path):
    frame = answers(60).astype(float)
    frame.loc[:9, "q1"] = np.nan
    frame["w"] = np.where(np.arange(60) < 10, 2.0, 1.0)
    survey = csi.load_survey(write_study(tmp_path / "s", frame, design={"weights": "w"}))
    assert patterns(survey).items.loc["q1", "weight_share"] == pytest.approx(20 / 70)
    assert "weights, strata and clusters do not enter" in str(little_mcar(survey))


def test_pictures_show_a_row_per_pattern_and_a_column_per_item():
    frame, _ = reference_frame("nhanes")
    ax = patterns(frame).plot()
    assert [t.get_text() for t in ax.get_xticklabels()] == list(frame.columns)
    assert len(ax.get_yticklabels()) == 5
    assert len(little_mcar(frame).plot().patches) == 5


def test_names_from_the_data_are_escaped():
    frame = pd.DataFrame({"<b>": [1, None, 3, 4, 2], "q": [2.0, 1, None, 3, 5]})
    assert "<b>" not in patterns(frame)._repr_html_()


TEXT = pd.DataFrame({"q1": [1, 2, None], "q2": ["agree", "no", None], "q3": ["x", "y", None]})
EMPTY = pd.DataFrame({"q1": [1, 2.0, 3], "q2": [np.nan] * 3, "q3": [np.nan] * 3})


@pytest.mark.parametrize(
    ("frame", "items", "message"),
    [
        (TEXT, None, r"(?s)'q2' holds text.*'q3' holds text"),
        (EMPTY, None, r"without any answer: \['q2', 'q3'\]"),
        (EMPTY, ["q1", "q9"], "q9"),
        (EMPTY, ["q1", "q1"], r"named twice: \['q1'\]"),
        (EMPTY, ["q1"], "two items or more"),
        (EMPTY, [], "no items"),
        (EMPTY.iloc[:0], None, "no rows"),
        (pd.DataFrame({"a": [1.0, 2, 3], "b": [3.0, 1, 2]}), None, "nothing to test"),
        (pd.DataFrame({"a": [1.0, 2, None, 4], "b": [3.0, 3, 3, None]}), None, r"do not vary: \['b'\]; the test"),
        (pd.DataFrame({"a": [1.0, np.inf, 3], "b": [3.0, None, 2]}), None, "infinite"),
        (pd.DataFrame({"a": [1.0, 2, None, None], "b": [None, None, 3.0, 2]}), None, "never answered together"),
    ],
)
def test_little_names_what_is_wrong(frame, items, message):
    with pytest.raises(DataError, match=message):
        little_mcar(frame, items)


@pytest.mark.parametrize("w", [[1, -1, 1], [1, np.nan, 1], [0, 0, 0], [1, 1], ["a", "b", "c"]])
def test_unusable_weights_are_refused(w):
    with pytest.raises(DataError, match="weights"):
        patterns(EMPTY, weights=w)
