"""Moments: closed forms, exact merging, and what bad input is told."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from csi_lab import DataError, SpecError
from csi_lab.moments import BLOCK_ROWS, Moments, as_moments
from csi_lab.usable import require_variation


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(1).integers(1, 11, size=(600, 4)), columns=list("abcd"))


def same_bits(one: Moments, other: Moments) -> bool:
    return bool((one.mean == other.mean).all() and (one.cov == other.cov).all() and one.n == other.n)


def test_mean_and_covariance_are_those_of_numpy(answers):
    m = Moments.from_frame(answers)
    assert m.mean == pytest.approx(answers.mean().to_numpy(), rel=1e-14)
    assert m.cov == pytest.approx(np.cov(answers, rowvar=False), rel=1e-12)
    assert m.corr == pytest.approx(np.corrcoef(answers, rowvar=False), rel=1e-12)
    assert (np.diagonal(m.corr) == 1).all()


def test_any_partition_and_order_of_whole_answers_gives_the_same_bits(answers):
    whole = Moments.from_frame(answers)
    shuffled = answers.sample(frac=1, random_state=2)
    parts = [
        Moments.from_frame(part)
        for part in (shuffled[:1], shuffled[1:7], shuffled[7:300], shuffled[300:301], shuffled[301:])
    ]
    for order in itertools.permutations(parts, len(parts)):
        assert same_bits(sum(order), whole)


def test_whole_weights_keep_the_same_bits_under_partition(answers):
    w = np.random.default_rng(3).integers(1, 5, len(answers))
    whole = Moments.from_frame(answers, weights=w)
    parts = Moments.from_frame(answers[400:], weights=w[400:]) + Moments.from_frame(answers[:400], weights=w[:400])
    assert same_bits(parts, whole)


def test_parts_far_apart_merge_without_losing_digits():
    x = np.random.default_rng(4).normal(size=(1000, 2))
    x[:500] += 1e6
    frame = pd.DataFrame(x, columns=["x", "y"])
    merged = Moments.from_frame(frame[:500]) + Moments.from_frame(frame[500:])
    assert merged.cov == pytest.approx(np.cov(x, rowvar=False), rel=1e-9)


def test_answers_beyond_one_block_are_all_counted():
    n = BLOCK_ROWS + 7
    frame = pd.DataFrame({"x": np.arange(n) % 10 + 1, "y": np.arange(n) % 7})
    m = Moments.from_frame(frame)
    assert m.n == n
    assert m.mean == pytest.approx(frame.mean().to_numpy(), rel=1e-14)


def test_frequency_weights_equal_repeated_rows(answers):
    """Means and correlations; the covariance differs by the factor of n only."""
    w = np.random.default_rng(5).integers(0, 4, len(answers))
    weighted, repeated = (
        Moments.from_frame(answers, weights=w),
        Moments.from_frame(answers.loc[answers.index.repeat(w)]),
    )
    assert weighted.mean == pytest.approx(repeated.mean, rel=1e-13)
    assert weighted.corr == pytest.approx(repeated.corr, rel=1e-12)


def test_multiplying_all_weights_changes_nothing(answers):
    w = np.random.default_rng(6).uniform(0.5, 3, len(answers))
    a, b = Moments.from_frame(answers, weights=w), Moments.from_frame(answers, weights=1000 * w)
    assert a.mean == pytest.approx(b.mean, rel=1e-13)
    assert a.cov == pytest.approx(b.cov, rel=1e-12)


def test_rows_with_missing_answers_are_counted_not_silent(answers):
    holes = answers.astype(float)
    holes.iloc[[3, 10], 1] = np.nan
    m = Moments.from_frame(holes)
    assert (m.n, m.dropped) == (598, 2)
    assert "2 left out" in str(m)
    with pytest.raises(DataError, match="2 of 600 rows have missing answers"):
        Moments.from_frame(holes, missing="raise")


def test_nullable_integers_and_floats_agree(answers):
    nullable = answers.astype("Int64")
    nullable.iloc[0, 0] = pd.NA
    holes = answers.astype(float)
    holes.iloc[0, 0] = np.nan
    assert same_bits(Moments.from_frame(nullable), Moments.from_frame(holes))


def test_selection_keeps_the_numbers_and_the_order_asked_for(answers):
    m = Moments.from_frame(answers)
    part = m[["d", "a"]]
    assert part.names == ("d", "a")
    assert (part.cov == m.cov[np.ix_([3, 0], [3, 0])]).all()


def test_a_selection_that_makes_no_sense_is_refused(answers):
    m = Moments.from_frame(answers)
    with pytest.raises(DataError, match=f"items asked for twice: \\['{m.names[0]}'\\]"):
        m[[m.names[0], m.names[0]]]
    with pytest.raises(DataError, match="need the names of items, got 3"):
        m[3]


def test_a_stack_holds_each_part(answers):
    parts = [Moments.from_frame(answers[:200]), Moments.from_frame(answers[200:])]
    stack = Moments.stack(parts)
    assert stack.shape == (2,)
    for i, part in enumerate(parts):
        assert (stack.cov[i] == part.cov).all()
        assert stack.n[i] == part.n


def test_published_covariance_matrices_can_be_used():
    cov = np.array([[2.0, 0.5], [0.5, 1.0]])
    m = Moments.from_covariance(["x", "y"], 100, [7, 6], cov)
    assert m.cov == pytest.approx(cov, rel=1e-14)
    with pytest.raises(DataError, match="positive semidefinite"):
        Moments.from_covariance(["x", "y"], 100, [7, 6], [[1, 2], [2, 1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["x", "x"]}, r"share a name: \['x'\]"),
        ({"names": "xy"}, r"1 names need mean \(1,\)"),
        ({"n": 1}, "n=1 must be the number of respondents, more than 1"),
        ({"n": "many"}, "n='many'"),
        ({"ddof": 7}, "ddof=7 must be 1"),
        ({"mean": [np.nan, 6]}, "missing or infinite"),
        ({"mean": ["seven", 6]}, "must be numbers"),
        ({"cov": [[1, np.nan], [np.nan, 1]]}, "missing or infinite"),
        ({"cov": [[1, 0], [1]]}, "rows of equal length"),
    ],
)
def test_published_numbers_that_cannot_be_are_refused(change, message):
    given = {"names": ["x", "y"], "n": 100, "mean": [7, 6], "cov": np.eye(2)} | change
    with pytest.raises(DataError, match=message):
        Moments.from_covariance(**given)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"q1": [1, 2], "q2": ["agree", "no"]}), "'q2' holds text in 2 rows: 0, 1, e.g. 'agree'"),
        (pd.DataFrame({"q1": ["7", "8"]}), "'q1' holds text"),
        (pd.DataFrame({"q1": [1.0, np.inf], "q2": [1.0, 2.0]}), "infinite values: 'q1' in rows 1"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["q", "q"]), "share a name"),
        (pd.DataFrame({"q1": [np.nan, np.nan], "q2": [1.0, 2.0]}), r"without any answer: \['q1'\]"),
        (pd.DataFrame({"q1": pd.to_datetime(["2026-01-01"])}), "holds dates or other objects in 1 rows"),
        (pd.DataFrame({"q1": []}, dtype=float), "no row of 0"),
        (pd.DataFrame(index=[0, 1]), "no items"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=[1, "1"]), r"columns share a name: \['1'\]"),
        (pd.DataFrame({"q1": [1 + 1j, 2]}), "'q1' holds dates or other objects in 2 rows"),
        (pd.Series([1, 2], name="q1"), "need a DataFrame with one column per item, got Series"),
        (None, "got NoneType"),
    ],
)
def test_bad_frames_are_refused_by_name(frame, message):
    with pytest.raises(DataError, match=message):
        Moments.from_frame(frame)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, -1, 1], "negative in 1 rows: 1"),
        ([1, np.nan, 1], "missing"),
        ([1, 1], "shape"),
        ([0, 0, 0], "no row of 3 has answers to all 1 items and a positive weight"),
        (["a", "b", "c"], "not numbers"),
        ("w", "'w' is not in the data"),
    ],
)
def test_bad_weights_are_refused_with_the_reason(weights, message):
    with pytest.raises(DataError, match=message):
        Moments.from_frame(pd.DataFrame({"x": [1, 2, 3]}), weights=weights)


def test_names_of_several_levels_are_names(answers):
    several = answers.set_axis(pd.MultiIndex.from_product([["wave 1"], answers.columns]), axis=1)
    found = Moments.from_frame(several)
    assert found.names[0] == str(("wave 1", answers.columns[0]))
    assert (found.cov == Moments.from_frame(answers).cov).all()


def test_a_weight_column_is_no_item():
    m = Moments.from_frame(pd.DataFrame({"x": [1, 2, 3], "w": [1, 1, 2]}), weights="w")
    assert m.names == ("x",)
    assert m.mean[0] == pytest.approx(9 / 4)


def test_moments_of_other_items_do_not_add_up():
    a, b = Moments.from_frame(pd.DataFrame({"x": [1, 2]})), Moments.from_frame(pd.DataFrame({"y": [1, 2]}))
    with pytest.raises(DataError, match=r"\['x', 'y'\]"):
        a + b


def test_second_weights_are_refused_and_absent_columns_named():
    frame = pd.DataFrame({"x": [1, 2, 3]})
    with pytest.raises(DataError, match="carry their weights"):
        as_moments(Moments.from_frame(frame), weights=[1, 1, 1])
    with pytest.raises(DataError, match=r"not in the data: \['z'\]"):
        as_moments(frame, ["x", "z"])
    with pytest.raises(DataError, match="got list"):
        as_moments([1, 2, 3])


def test_rows_of_weight_zero_are_no_respondents(answers):
    w = np.r_[np.ones(100), np.zeros(500)]
    weighted, alone = Moments.from_frame(answers, weights=w), Moments.from_frame(answers[:100])
    assert (weighted.n, weighted.dropped) == (100, 500)
    assert (weighted.cov == alone.cov).all()
    assert "500 left out (missing answers or weight zero)" in str(weighted)


def test_a_series_of_weights_goes_by_its_index():
    frame = pd.DataFrame({"x": [1.0, 5.0]}, index=["a", "b"])
    turned = pd.Series([3.0, 1.0], index=["b", "a"])
    assert Moments.from_frame(frame, weights=turned).mean[0] == pytest.approx(4)
    with pytest.raises(DataError, match="another index"):
        Moments.from_frame(frame, weights=pd.Series([1.0, 2.0]))


def test_unknown_treatment_of_missing_answers_is_refused():
    with pytest.raises(SpecError, match="use 'listwise', 'raise', 'em' or 'mean'"):
        Moments.from_frame(pd.DataFrame({"x": [1, 2]}), missing="pairwise")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_constant_items_are_named_at_any_scale(scale):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [0.1, 0.1, 0.1]}) * scale
    with pytest.raises(DataError, match=r"\['y'\]"):
        require_variation(Moments.from_frame(frame))


def test_text_that_is_all_numbers_is_refused_with_the_line_that_makes_it_numbers():
    frame = pd.DataFrame({"q": ["7", "8.5", None], "words": ["7", "many", "8"]})
    with pytest.raises(DataError) as caught:
        Moments.from_frame(frame)
    number, word = caught.value.problems
    assert "pd.to_numeric" not in word
    exec(number[number.index("frame['q'] = ") :], {"frame": frame, "pd": pd})
    assert Moments.from_frame(frame[["q"]]).mean.tolist() == [7.75]
