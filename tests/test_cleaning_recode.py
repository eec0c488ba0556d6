"""Recoding, reversing, rescaling, scores: closed forms, inverses, and errors that name every offender."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab.cleaning import recode, rescale_100, reverse, score
from csi_lab.errors import DataError, SpecError


def test_every_value_gets_its_new_value_and_missing_stays_missing():
    answers = pd.Series(["很满意", "不满意", None, "不知道"], index=list("abcd"), name="q1")
    result = recode(answers, {"很满意": 10, "不满意": 1, "不知道": None})
    assert result.to_dict() == pytest.approx({"a": 10, "b": 1, "c": np.nan, "d": np.nan}, nan_ok=True)
    assert result.name == "q1"
    assert result.dtype == float
    assert recode(pd.Series([1, 2, 2]), {1: "low", 2: "high"}).tolist() == ["low", "high", "high"]


def test_all_unmapped_values_are_named_with_their_counts():
    with pytest.raises(DataError, match=r"q7: values without a new value: 3 \(2\), '2' \(1\)"):
        recode(pd.Series([1, 3, 3, "2"], name="q7"), {1: 10, 2: 5})


def test_missing_answers_get_no_value_by_recoding():
    with pytest.raises(SpecError, match="missing answers"):
        recode(pd.Series([1, np.nan]), {1: 1, np.nan: 5})
    with pytest.raises(SpecError, match="empty"):
        recode(pd.Series([1]), {})
    with pytest.raises(DataError, match="got list"):
        recode([1], {1: 2})


def test_reversing_twice_changes_nothing():
    x = pd.DataFrame({"a": [1, 4, np.nan], "b": [10, 7, 2]})
    pd.testing.assert_frame_equal(reverse(reverse(x, 1, 10), 1, 10), x.astype(float))
    assert reverse(pd.array([1, None], dtype="Int64").to_numpy(dtype=float, na_value=np.nan), 1, 5)[0] == 5
    assert reverse(7, 1, 10) == 4
    assert reverse([1, 2], 1, 5).tolist() == [5, 4]


def test_the_ends_of_the_scale_become_0_and_100():
    for low, high in ((1, 10), (0, 10), (1, 5), (-3, 3)):
        x = np.linspace(low, high, 7).reshape(1, 7)
        assert rescale_100(x, low, high) == pytest.approx(np.linspace(0, 100, 7).reshape(1, 7))
        assert rescale_100(reverse(x, low, high), low, high) == pytest.approx(100 - rescale_100(x, low, high))


@pytest.mark.parametrize("change", [reverse, rescale_100])
def test_answers_outside_the_scale_and_text_are_refused(change):
    with pytest.raises(DataError, match="2 answers are outside 1 to 10: 0, 99"):
        change(pd.Series([0, 5, 99]), 1, 10)
    for text in (pd.Series(["1", "2"]), "7", np.array(["a"]), pd.Series([True, False]), pd.Series([1, "x"])):
        with pytest.raises(DataError, match="no numbers"):
            change(text, 1, 10)
    for low, high in ((10, 1), (1, 1), (1, np.inf), ("a", 2)):
        with pytest.raises(SpecError, match="low < high"):
            change(pd.Series([1]), low, high)


def test_scores_are_means_and_sums_of_the_answers():
    frame = pd.DataFrame({"a": [2, 4, np.nan], "b": [4, np.nan, np.nan], "c": [6, 8, 1]})
    full = score(frame)
    assert full.values.tolist() == pytest.approx([4, np.nan, np.nan], nan_ok=True)
    assert (full.n, full.n_partial, full.n_without) == (1, 0, 2)
    two = score(frame, at_least=2)
    assert two.values.tolist() == pytest.approx([4, 6, np.nan], nan_ok=True)
    assert (two.n, two.n_partial, two.n_without) == (2, 1, 1)
    assert score(frame, method="sum").values.iloc[0] == 12
    assert two.table["answered"].tolist() == [3, 2, 1]


def test_a_sum_over_gaps_is_refused():
    with pytest.raises(SpecError, match="a sum needs all 2 items"):
        score(pd.DataFrame({"a": [1], "b": [2]}), method="sum", at_least=1)
    for settings in ({"method": "median"}, {"at_least": 0}, {"at_least": 3}):
        with pytest.raises(SpecError, match=next(iter(settings))):
            score(pd.DataFrame({"a": [1], "b": [2]}), **settings)


def test_items_on_different_scales_have_no_common_score():
    survey = csi.load_survey("mobile")
    item = survey.study.constructs["Complaints"].items["CUSCO"].model_copy(update={"high": 5.0})
    block = survey.study.constructs["Complaints"].model_copy(update={"items": {"CUSCO": item}})
    study = survey.study.model_copy(update={"constructs": survey.study.constructs | {"Complaints": block}})
    with pytest.raises(SpecError, match="different scales"):
        score(replace(survey, study=study), ["CUSA1", "CUSCO"])


def test_the_mean_of_rescaled_scores_is_the_rescaled_mean(mobi):
    items = ["CUSA1", "CUSA2", "CUSA3"]
    found = score(csi.load_survey("mobile"), items, name="satisfaction")
    assert rescale_100(found.values, 1, 10).mean() == pytest.approx(
        100 * (mobi[items].mean().mean() - 1) / 9, rel=1e-12
    )
    assert "n = 250 (0 of them with gaps, 0 more without a score" in str(found)
    assert found.plot().get_xlabel() == "satisfaction (mean of 3 items)"
    assert "<script>" not in score(mobi, items, name="<script>")._repr_html_()


@pytest.mark.parametrize("change", [reverse, rescale_100])
def test_dates_and_truth_values_are_no_answers(change):
    for odd in (pd.Timestamp("2026-01-05"), True, [7]):
        with pytest.raises(DataError, match=r"1 answers are no numbers \(e\.g\. "):
            change(pd.Series([1, odd, None], dtype=object), 1, 10)
    with pytest.raises(DataError, match="2 answers are no numbers"):
        change(pd.Series(pd.to_datetime(["2026-01-05", "2026-01-06", None])), 1, 10)


@pytest.mark.parametrize("kind", ["Int64", "Float32", object, "category"])
def test_every_kind_of_column_is_reversed_and_keeps_its_labels(kind):
    answers = pd.Series([1, 8, None], index=list("xyz"), name="q").astype(kind)
    found = reverse(answers, 1, 10)
    assert (list(found.index), found.name, found.dtype) == (list("xyz"), "q", float)
    assert found.tolist()[:2] == [10, 3]
    assert np.isnan(found["z"])
    assert rescale_100(answers.to_frame(), 1, 10).loc["x", "q"] == 0
