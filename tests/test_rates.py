"""Satisfaction rates: published values, closed forms, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from csi_lab import DataError, SpecError
from csi_lab.rates import answers_given, boxes, satisfaction_rate


@pytest.mark.parametrize(
    ("cut", "count", "share", "wilson"),
    [(9, 67, 0.268, (0.2169, 0.3261)), (8, 176, 0.704, (0.6447, 0.7572)), (6, 241, 0.964, None)],
)
def test_the_same_survey_has_27_70_or_96_percent_satisfied(mobi, cut, count, share, wilson):
    """Overall satisfaction CUSA1 of the mobile survey; Wilson ends to four decimals."""
    rate = satisfaction_rate(mobi["CUSA1"], cut)
    assert (rate.count, rate.n) == (count, 250)
    assert rate.value == pytest.approx(share, abs=1e-12)
    if wilson:
        assert (rate.low, rate.high) == pytest.approx(wilson, abs=5e-5)


def test_exact_interval_meets_published_digits(mobi):
    """Clopper-Pearson .2141 to .3275."""
    rate = satisfaction_rate(mobi["CUSA1"], 9, method="exact")
    assert (rate.low, rate.high) == pytest.approx((0.2141, 0.3275), abs=5e-5)


@pytest.mark.parametrize("n", [1, 7, 50])
def test_exact_ends_for_none_and_all_satisfied(n):
    """Closed form: with no success the upper end is 1 - (a/2)^(1/n)."""
    none, everyone = (satisfaction_rate(np.full(n, x), 5, method="exact") for x in (1, 9))
    assert (none.low, everyone.high) == (0, 1)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / n), rel=1e-10)
    assert everyone.low == pytest.approx(0.025 ** (1 / n), rel=1e-10)


def test_wilson_stays_between_0_and_1():
    for x in (1, 9):
        rate = satisfaction_rate(np.full(20, x), 5)
        assert 0 <= rate.low <= rate.value <= rate.high <= 1


def test_weights_change_share_and_effective_size_but_not_their_unit():
    x, w = np.array([9, 9, 3, 3]), np.array([3.0, 3.0, 1.0, 1.0])
    a, b = satisfaction_rate(x, 9, weights=w), satisfaction_rate(x, 9, weights=10 * w)
    assert a.value == pytest.approx(0.75)
    assert a.n_effective == pytest.approx(64 / 20)
    assert (a.low, a.high) == pytest.approx((b.low, b.high), rel=1e-12)


def test_missing_answers_are_counted_out():
    assert satisfaction_rate([9, np.nan, 3], 9).n == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: satisfaction_rate(["good"], 9), DataError, "'answers' holds text in 1 rows: 0, e.g. 'good'"),
        (lambda: satisfaction_rate(["9", "8"], 9), DataError, "holds text in 2 rows"),
        (lambda: satisfaction_rate([np.nan], 9), DataError, "no answers"),
        (lambda: satisfaction_rate([], 9), DataError, "no answers"),
        (lambda: satisfaction_rate([1.0, np.inf], 9), DataError, "infinite values: 'answers' in rows 1"),
        (lambda: answers_given(pd.date_range("2026-01-01", periods=2)), DataError, "need one answer"),
        (lambda: answers_given(pd.Series(pd.date_range("2026-01-01", periods=2))), DataError, "dates or other objects"),
        (lambda: satisfaction_rate([[9, 8]], 9), DataError, r"need one answer per respondent.*shape \(1, 2\)"),
        (lambda: satisfaction_rate(None, 9), DataError, "need one answer per respondent"),
        (lambda: satisfaction_rate("98", 9), DataError, "need one answer per respondent"),
        (lambda: satisfaction_rate([9, 8], 9, weights=[1, -1]), DataError, "negative in 1 rows: 1"),
        (lambda: satisfaction_rate([9, 8], 9, weights=[0, 0]), DataError, "no answer has a positive weight"),
        (lambda: satisfaction_rate([9, 8], 9, weights=[1]), DataError, "shape"),
        (lambda: satisfaction_rate([9], 9, method="wald"), SpecError, "wald"),
        (lambda: satisfaction_rate([9], 9, level=0), SpecError, "level=0"),
        (lambda: satisfaction_rate([9], 9, level="95%"), SpecError, "level='95%'"),
        (lambda: satisfaction_rate([9], float("nan")), SpecError, "at_least=nan must be a finite number"),
        (lambda: satisfaction_rate([9], "9"), SpecError, "at_least='9' must be a finite number"),
        (lambda: boxes("1", "10"), SpecError, "low < high"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("dtype", ["Int64", "Float32", "float32", "object"])
def test_every_kind_of_number_column_gives_the_same_rate(dtype):
    plain = satisfaction_rate([9, np.nan, 3, 10], 9)
    assert satisfaction_rate(pd.Series([9, None, 3, 10], dtype=dtype), 9) == plain


def test_weights_in_a_series_go_by_its_index():
    answers = pd.Series([9, 3, 3], index=["a", "b", "c"])
    assert satisfaction_rate(answers, 9, weights=pd.Series([1, 1, 2], index=["c", "b", "a"])).value == 0.5
    with pytest.raises(DataError, match="another index"):
        satisfaction_rate(answers, 9, weights=pd.Series([1, 1, 2]))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((1, 10), {"top-2-box": 9, "top-3-box": 8, "upper half": 6}),
        ((0, 10), {"top-2-box": 9, "top-3-box": 8, "upper half": 6}),
        ((1, 5), {"top-2-box": 4, "top-3-box": 3}),
        ((1, 3), {"top-2-box": 2, "top-box": 3}),
        ((1, 2), {"top-box": 2}),
        ((0, 1), {"top-box": 1}),
        ((0, 100), {"top fifth": 80, "top two fifths": 60, "upper half": 50}),
        ((1, 5.5), {"top fifth": 4.6, "top two fifths": 3.7, "upper half": 3.25}),
        ((0.5, 1), {"top fifth": 0.9, "top two fifths": 0.8, "upper half": 0.75}),
    ],
)
def test_boxes_fit_the_scale(ends, expected):
    assert {box.name: box.at_least for box in boxes(*ends)} == pytest.approx(expected)


@pytest.mark.parametrize("low", [-7, 0, 1])
@pytest.mark.parametrize("length", [0.3, 1, 2, 3, 4, 6, 9, 10, 11, 50, 100])
def test_every_box_can_be_missed_and_met_and_no_two_say_the_same(low, length):
    cuts = [box.at_least for box in boxes(low, low + length)]
    assert cuts
    assert all(low < cut <= low + length for cut in cuts)
    assert len(set(cuts)) == len(cuts)


def test_a_scale_without_length_has_no_boxes():
    for ends in ((1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)):
        with pytest.raises(SpecError, match="low < high"):
            boxes(*ends)


def test_answers_are_weighted_and_ties_are_all_named():
    plain = answers_given([7, 8, 8, np.nan, 7, 10])
    assert (plain.n, plain.mean, plain.most_common) == (5, 8.0, (7.0, 8.0))
    weighted = answers_given([7, 8, 8, np.nan, 7, 10], weights=[1, 1, 1, 9, 1, 4])
    assert weighted.most_common == (10.0,)
    assert weighted.mean == pytest.approx((7 + 8 + 8 + 7 + 40) / 8)
    assert weighted.table["share"].sum() == pytest.approx(1)
    assert weighted.table["n"].tolist() == [2, 2, 1]
    assert answers_given([9, 3], weights=[1, 0]).n == 1


def test_a_weighted_rate_says_its_effective_size():
    assert str(satisfaction_rate([9, 3, 3, 9], 9, weights=[2, 1, 1, 2])).endswith("n = 4 (weighted; effective n 4)")
    assert "weighted" not in str(satisfaction_rate([9, 3, 3], 9, weights=[2, 2, 2]))
