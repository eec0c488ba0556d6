"""Item analysis: published critical ratios, scipy and pandas, the tie rule, findings of bad pretests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, numbered, read_reference
from scipy import stats

import csi_lab as csi
from csi_lab import DataError, SpecError
from csi_lab.moments import Moments
from csi_lab.reliability import cronbach_alpha, item_analysis

QUALITY = numbered("PERQ", 7)


def test_mobile_quality_meets_its_published_numbers(mobi):
    """Computed outside this package; the test rule is SPSS': Levene from means, Welch where p < .05."""
    ours = item_analysis(mobi, QUALITY, bounds=(1, 10))
    assert ours.items["t"].round(2).tolist() == [13.01, 10.85, 14.94, 15.14, 14.09, 15.99, 13.44]
    assert [ours.cuts[0], round(ours.cuts[1], 2), ours.low, ours.high] == [50, 59.77, 70, 68]
    assert ours.items["item_rest"].round(3).tolist() == [0.707, 0.536, 0.674, 0.681, 0.656, 0.686, 0.662]
    assert ours.items["ceiling"].round(3).tolist() == [0.156, 0.104, 0.180, 0.188, 0.136, 0.152, 0.152]
    assert (ours.test == "Welch").all()


def test_moments_are_those_of_pandas_and_scipy(mobi):
    ours = item_analysis(mobi, QUALITY, bounds=(1, 10)).items
    frame = mobi[QUALITY]
    for name, theirs in {
        "mean": frame.mean(),
        "sd": frame.std(),
        "skew": frame.skew(),
        "kurtosis": frame.kurt(),
    }.items():
        assert ours[name].to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-10)
    assert ours["floor"].to_numpy() == pytest.approx((frame == 1).mean().to_numpy())
    alpha = cronbach_alpha(mobi, QUALITY)
    assert (ours[["item_rest", "alpha_if_deleted"]] == alpha.items).all(axis=None)


def test_t_tests_are_those_of_scipy_after_levenes_test(mobi):
    """Both kinds of test occur on these items; group means give the discrimination."""
    items = ["CUEX1", "IMAG2", "PERQ1", "CUSA1", "CUSL2"]
    ours = item_analysis(mobi, items, bounds=(1, 10))
    totals = mobi[items].sum(axis=1)
    low, high = mobi[totals <= np.percentile(totals, 27)], mobi[totals >= np.percentile(totals, 73)]
    kinds = set()
    for item in items:
        welch = stats.levene(high[item], low[item], center="mean").pvalue < 0.05
        theirs = stats.ttest_ind(high[item], low[item], equal_var=not welch)
        row = ours.items.loc[item]
        assert [row["t"], row["df"], row["p"]] == pytest.approx([theirs.statistic, theirs.df, theirs.pvalue], rel=1e-9)
        assert ours.test[item] == ("Welch" if welch else "pooled")
        kinds.add(welch)
        assert row["discrimination"] == pytest.approx((high[item].mean() - low[item].mean()) / 9, rel=1e-12)
    assert kinds == {True, False}


def test_equal_totals_are_never_parted():
    """Totals 2, 4, 4, 4, 4, 4, 6, 8 have P27 = 4 and P73 = 4.22: all five fours are low, 6 and 8 are high."""
    frame = pd.DataFrame({"a": [1, 1, 2, 3, 2, 2, 3, 4], "b": [1, 3, 2, 1, 2, 2, 3, 4]})
    ours = item_analysis(frame)
    assert ours.cuts == pytest.approx((4.0, 4.22))
    assert (ours.low, ours.high) == (6, 2)


def test_totals_of_fractions_tie_like_whole_totals(mobi):
    """Answers rescaled to 0-100 in steps of 100/9 have rounding in their totals; the groups stay the same."""
    whole = item_analysis(mobi, QUALITY)
    parts = item_analysis((mobi[QUALITY] - 1) * 100 / 9)
    assert (parts.low, parts.high) == (whole.low, whole.high)
    assert parts.items["t"].to_numpy() == pytest.approx(whole.items["t"].to_numpy(), rel=1e-9)


def test_a_survey_brings_its_bounds():
    survey = csi.load_survey("mobile")
    ours = item_analysis(survey, survey.constructs["Quality"])
    assert ours.items["ceiling"].notna().all()
    assert "ceiling 15.6% > 15%" in str(ours)
    assert ours.flags()["PERQ2"] == ""
    assert ours.flags(extreme=0.10)["PERQ2"] == "ceiling 10.4% > 10%"


def test_a_bad_item_is_named_with_its_reasons(mobi):
    flags = item_analysis(mobi, numbered("CUSL", 3), bounds=(1, 10)).flags()
    assert "item-rest 0.08 < 0.30" in flags["CUSL2"]
    assert "alpha without it 0.695 > 0.442" in flags["CUSL2"]
    turned = mobi[QUALITY].assign(PERQ2=11 - mobi["PERQ2"])
    assert "critical ratio t -" in item_analysis(turned).flags()["PERQ2"]


def test_missing_answers_are_counted_and_totals_need_complete_rows(mobi):
    gaps = mobi[QUALITY].astype(float)
    gaps.loc[:19, "PERQ1"] = np.nan
    ours = item_analysis(gaps, bounds=(1, 10))
    assert ours.items.loc["PERQ1", ["answered", "missing"]].tolist() == [230, 20]
    assert ours.items.loc["PERQ2", "mean"] == pytest.approx(mobi["PERQ2"].mean())
    assert (ours.n, ours.rows) == (230, 250)
    assert "missing 8.0% > 5%" in str(ours)
    complete = item_analysis(mobi.loc[20:, QUALITY].reset_index(drop=True), bounds=(1, 10))
    assert ours.items["t"].to_numpy() == pytest.approx(complete.items["t"].to_numpy(), rel=1e-12)


def test_weights_count_respondents_and_leave_the_t_test_out(mobi):
    w = np.random.default_rng(0).integers(1, 4, 250)
    frame = mobi.loc[np.repeat(np.arange(250), w), QUALITY].reset_index(drop=True)
    ours, doubled = item_analysis(mobi, QUALITY, weights=w, bounds=(1, 10)), item_analysis(frame, bounds=(1, 10))
    for name in ("mean", "ceiling", "item_rest"):
        assert ours.items[name].to_numpy() == pytest.approx(doubled.items[name].to_numpy(), rel=1e-10)
    assert ours.items["t"].isna().all()
    assert "no critical ratios: the sample has weights" in str(ours)


def test_draws_give_intervals_of_means_and_correlations(mobi):
    ours = item_analysis(mobi, QUALITY, draws=300, rng=2)
    table = ours.intervals
    assert table.loc[("mean", "PERQ1"), "estimate"] == pytest.approx(mobi["PERQ1"].mean())
    # The error of the mean is sd / sqrt(n); 300 draws know it to 4 %.
    assert table.loc[("mean", "PERQ1"), "se"] == pytest.approx(mobi["PERQ1"].std() / 250**0.5, rel=4 * 0.041)
    assert (table["low"] < table["high"]).all()


def test_findings_of_a_poor_pretest_are_stated():
    rng = np.random.default_rng(1)
    a = rng.integers(1, 6, 30)
    frame = pd.DataFrame({"a": a, "b": np.clip(a + rng.integers(-1, 2, 30), 1, 5), "copy": a, "flat": 3})
    ours = item_analysis(frame, bounds=(1, 5))
    assert "do not vary in the 30 complete rows: flat" in str(ours)
    assert "identical answers, up to scale: a = copy" in str(ours)
    assert "sd 0 = 0: does not vary" in ours.flags()["flat"]
    assert ours.items.loc["flat", ["skew", "item_rest", "t"]].isna().all()
    assert np.isfinite(ours.alpha)


def test_three_rows_have_means_but_no_critical_ratios():
    frame = pd.DataFrame({"a": [1, 2, 5], "b": [2, 2, 4]})
    ours = item_analysis(frame)
    assert ours.items["mean"].tolist() == pytest.approx([8 / 3, 8 / 3])
    assert ours.items["t"].isna().all()
    assert "overlap or hold fewer than two rows" in str(ours)
    assert "without bounds: a, b" in str(ours)


def test_items_that_cancel_are_stated(mobi):
    ours = item_analysis(pd.DataFrame({"a": mobi["CUSA1"], "b": 11 - mobi["CUSA1"]}))
    assert np.isnan(ours.alpha)
    assert "their sum does not vary" in str(ours)


@pytest.mark.parametrize(
    ("change", "settings", "error", "message"),
    [
        ({"PERQ1": "good"}, {}, DataError, r"PERQ1.*text"),
        ({"PERQ1": np.nan, "PERQ3": np.nan}, {}, DataError, r"without any answer: \['PERQ1', 'PERQ3'\]"),
        ({"PERQ1": np.inf}, {}, DataError, "infinite values: 'PERQ1'"),
        ({"PERQ1": 11, "PERQ2": 0}, {"bounds": (1, 10)}, DataError, "(?s)'PERQ1' holds 250.*'PERQ2' holds 250"),
        (dict.fromkeys(QUALITY, 4), {}, DataError, "no item varies"),
        ({}, {"share": 0.5}, SpecError, r"between \.25 and \.33"),
        ({}, {"bounds": (10, 1)}, SpecError, r"\(lowest, highest\)"),
        ({}, {"items": ["PERQ1"]}, DataError, "two items or more"),
        ({}, {"items": ["PERQ1", "PERQ1"]}, DataError, "share a name"),
        ({}, {"items": ["PERQ1", "nothing"]}, DataError, r"not in the data: \['nothing'\]"),
        ({}, {"level": 2}, SpecError, "between 0 and 1"),
    ],
)
def test_unusable_pretests_are_refused(mobi, change, settings, error, message):
    with pytest.raises(error, match=message):
        item_analysis(mobi[QUALITY].assign(**change), **settings)


def test_skewness_and_kurtosis_agree_with_psych():
    """tests/reference/reliability/hs_scales.json: describe(type = 2), 1e-10."""
    theirs = read_reference("reliability/hs_scales.json")
    answers = pd.read_csv(REFERENCE / "data" / "HolzingerSwineford1939.csv")
    ours = item_analysis(answers, list(theirs["skew"])).items
    for name in ("skew", "kurtosis"):
        assert ours[name].to_dict() == pytest.approx(theirs[name], abs=1e-10)


def test_moments_are_not_enough(mobi):
    with pytest.raises(DataError, match="needs the answers"):
        item_analysis(Moments.from_frame(mobi[QUALITY]))


def test_faces(mobi):
    ours = item_analysis(mobi, QUALITY, scale="<q>", bounds=dict.fromkeys(QUALITY, (1, 10)))
    assert "&lt;q&gt;" in ours._repr_html_()
    assert "Welch" in ours._repr_html_()
    assert [t.get_text() for t in ours.plot().get_yticklabels()] == QUALITY
    assert ours.to_frame() is ours.items


def test_the_picture_shows_intervals_wordings_and_the_cut_off(mobi):
    ours = item_analysis(mobi, QUALITY, draws=50)
    ax = ours.plot(labels={"PERQ1": "overall perceived quality of what is offered to you"}, cut=0.25)
    assert ax.get_yticklabels()[0].get_text() == "overall perceived quality of\nwhat is offered to you"
    segments = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
    drawn = ours.intervals.loc["item_rest", ["low", "high"]].to_numpy()
    assert segments == pytest.approx(drawn)
    assert [line.get_xdata()[0] for line in ax.lines] == [0.25]


def test_rows_of_weight_zero_are_no_respondents(mobi):
    w = np.r_[np.zeros(50), np.linspace(1, 2, 200)]
    items = ["PERQ1", "PERQ2", "PERQ3"]
    ours = item_analysis(mobi, items, weights=w, bounds=(1, 10))
    alone = item_analysis(mobi[50:], items, weights=w[50:], bounds=(1, 10))
    assert ours.items.equals(alone.items)
    assert "rows of weight zero left out: 50" in str(ours)
