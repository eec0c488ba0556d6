"""Outliers: closed forms, the error rate in clean normal data, planted cases, invariance, what cannot be judged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import csi_lab as csi
from csi_lab.cleaning import mahalanobis, mcd, modified_z, tukey_fences, z_scores
from csi_lab.errors import DataError, EstimationError, SpecError

UNIVARIATE = (tukey_fences, modified_z, z_scores)


def normal(n: int = 4000, p: int = 5, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    mix = np.eye(p) + 0.5
    return pd.DataFrame(rng.normal(size=(n, p)) @ mix + 7).add_prefix("q")


def test_tukey_distance_by_hand():
    """Quartiles of 1..9 are 3 and 7: 15 lies (15 - 7)/4 = 2 interquartile ranges beyond."""
    frame = pd.DataFrame({"q": [1, 2, 3, 4, 5, 6, 7, 8, 9]})
    assert tukey_fences(frame).table["value"].tolist() == [0.5, 0.25, 0, -0.25, -0.5, -0.25, 0, 0.25, 0.5]
    frame = pd.DataFrame({"q": [1, 3, 3, 5, 5, 5, 7, 7, 15]})
    found = tukey_fences(frame)
    assert found.table["value"].iloc[-1] == 2
    assert found.rows.tolist() == [8]
    assert tukey_fences(frame, fence=3).n_flagged == 0


def test_modified_z_by_hand():
    """Median 5, absolute deviations 4 2 2 0 0 0 2 2 10, MAD 2."""
    found = modified_z(pd.DataFrame({"q": [1, 3, 3, 5, 5, 5, 7, 7, 15]}))
    assert found.table["value"].iloc[-1] == pytest.approx(10 / (1.4826 * 2), rel=1e-12)


def test_z_by_hand():
    """mean 3, s = sqrt(2.5)."""
    found = z_scores(pd.DataFrame({"q": [1, 2, 3, 4, 5]}), cutoff=1)
    assert found.table["value"].tolist() == pytest.approx(np.array([2, 1, 0, 1, 2]) / np.sqrt(2.5), rel=1e-12)
    assert found.rows.tolist() == [0, 4]


@pytest.mark.parametrize(
    ("check", "rate"),
    [
        (z_scores, 2 * stats.norm.sf(3)),
        (modified_z, 2 * stats.norm.sf(3.5 * 1.4826 * stats.norm.ppf(0.75))),
        (tukey_fences, 2 * stats.norm.sf(4 * stats.norm.ppf(0.75))),
    ],
)
def test_clean_normal_answers_are_flagged_at_their_theoretical_rate(check, rate):
    n = 200_000
    found = check(pd.DataFrame({"q": np.random.default_rng(4).normal(size=n)}))
    assert abs(found.n_flagged - n * rate) < 4 * np.sqrt(n * rate)


@pytest.mark.parametrize("check", UNIVARIATE)
def test_scale_and_order_change_nothing(check):
    frame = normal(500)
    table = check(frame).table
    pd.testing.assert_frame_equal(check(frame.sample(frac=1, random_state=1)).table.loc[frame.index], table)
    pd.testing.assert_frame_equal(check(-3 * frame + 100).table, table)


@pytest.mark.parametrize(
    ("check", "word"), [(tukey_fences, "interquartile range"), (modified_z, "MAD"), (z_scores, "standard deviation")]
)
def test_items_without_spread_are_named_and_not_taken_for_clean(check, word):
    frame = pd.DataFrame({"same": [5.1] * 30, "q": list(range(30))})
    found = check(frame)
    assert f"their {word} is zero: same" in str(found)
    alone = check(frame, ["same"])
    assert alone.n_judged == 0
    assert "not judged: 30" in str(alone)


@pytest.mark.parametrize("check", UNIVARIATE)
def test_missing_answers_are_no_outliers_and_nobody_without_answers_is_judged(check):
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4, np.nan, np.nan], "b": [2.0, 1, 4, np.nan, 5, np.nan]})
    found = check(frame)
    assert found.table["judged"].tolist() == [True] * 5 + [False]
    empty = check(pd.DataFrame({"a": [1.0, 2, 3, 4], "none": [np.nan] * 4}))
    assert empty.n_judged == 4


@pytest.mark.parametrize("check", [*UNIVARIATE, mahalanobis, mcd])
def test_text_and_infinite_numbers_are_refused(check):
    with pytest.raises(DataError, match="'q' holds text in 1 rows"):
        check(pd.DataFrame({"q": [1, "two", 3], "r": [1, 2, 4]}))
    with pytest.raises(DataError, match="infinite values: 'q' in rows 1"):
        check(pd.DataFrame({"q": [1, np.inf, 3], "r": [1, 2, 4]}))


def test_too_few_answers_for_any_z_are_said():
    """(n - 1)/sqrt(n) is 2.85 for ten and 3.02 for eleven answers."""
    ten = z_scores(pd.DataFrame({"q": [5] * 9 + [1000]}))
    assert ten.n_flagged == 0
    assert "too few answers for any |z| above 3: q (10)" in str(ten)
    assert z_scores(pd.DataFrame({"q": [5] * 10 + [1000]})).n_flagged == 1


def test_details_list_each_outlying_answer_with_its_statistic():
    frame = pd.DataFrame({"a": [5, 5, 6, 6, 7, 7, 50], "b": [5, 6, 7, 8, 9, 9, -60]})
    found = tukey_fences(frame)
    assert found.details[["row", "item", "answer"]].to_numpy().tolist() == [[6, "a", 50], [6, "b", -60]]
    assert found.details["value"].max() == found.table["value"].max()


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_cutoffs_must_be_above_zero(value):
    for check, name in zip(UNIVARIATE, ("fence", "cutoff", "cutoff"), strict=True):
        with pytest.raises(SpecError, match="above zero"):
            check(normal(20), **{name: value})


# --- multivariate --------------------------------------------------------------------------------------------------


def test_mahalanobis_is_its_formula():
    frame = normal(60, 3)
    x = frame.to_numpy() - frame.to_numpy().mean(axis=0)
    expected = np.einsum("ni,ij,nj->n", x, np.linalg.inv(np.cov(x, rowvar=False)), x)
    found = mahalanobis(frame)
    assert found.table["value"].to_numpy() == pytest.approx(expected, rel=1e-10)
    assert expected.mean() == pytest.approx(3 * 59 / 60, rel=1e-12)
    assert found.table["cutoff"].to_numpy() == pytest.approx(np.full(60, stats.chi2.ppf(0.999, 3)), rel=1e-10)


def test_gaps_are_judged_by_the_items_answered():
    frame = normal(300, 4)
    frame.loc[5, "q1"] = np.nan
    frame.loc[6, ["q0", "q1", "q2"]] = np.nan
    complete = frame.dropna()
    sub = ["q0", "q2", "q3"]
    d = (frame.loc[5, sub] - complete[sub].mean()).to_numpy(dtype=float)
    found = mahalanobis(frame)
    assert found.table.loc[5, "value"] == pytest.approx(d @ np.linalg.solve(complete[sub].cov().to_numpy(), d))
    assert found.table.loc[5, "cutoff"] == pytest.approx(stats.chi2.ppf(0.999, 3))
    assert not found.table.loc[6, "judged"]
    assert "with fewer than 2 of 4 answers" in str(found)
    assert "1 respondents with gaps" in str(found)


@pytest.mark.parametrize("quantile", [0.95, 0.999])
def test_clean_normal_respondents_are_flagged_at_the_nominal_rate(quantile):
    n = 40_000
    found = mahalanobis(normal(n, 6), quantile=quantile)
    rate = 1 - quantile
    assert abs(found.n_flagged - n * rate) < 4 * np.sqrt(n * rate * quantile)


def test_mahalanobis_does_not_depend_on_scale_or_order():
    frame = normal(400)
    value = mahalanobis(frame).table["value"]
    mixed = pd.DataFrame(frame.to_numpy() @ (np.triu(np.ones((5, 5))) * 3) - 8, columns=frame.columns)
    assert mahalanobis(mixed).table["value"].to_numpy() == pytest.approx(value.to_numpy(), rel=1e-8)
    turned = mahalanobis(frame.sample(frac=1, random_state=2)).table["value"].loc[frame.index]
    assert turned.to_numpy() == pytest.approx(value.to_numpy(), rel=1e-10)


def test_masked_outliers_are_found_by_mcd_with_few_false_alarms():
    rng = np.random.default_rng(6)
    frame = normal(500, 4, seed=6)
    frame.iloc[:100] = rng.normal(size=(100, 4)) * 0.3 + [25, 25, -10, -10]
    robust = mcd(frame, rng=1)
    assert set(range(100)) <= set(robust.rows)
    assert robust.n_flagged - 100 <= 8  # 400 clean rows at 0.1 %, and the excess of small samples
    assert mahalanobis(frame).n_flagged < 50
    assert "MCD (scikit-learn MinCovDet)" in str(robust)


def test_mcd_depends_on_its_seed_and_not_on_the_order_of_rows():
    frame = normal(120, 3)
    first = mcd(frame, rng=1).table
    pd.testing.assert_frame_equal(mcd(frame.sample(frac=1, random_state=3), rng=1).table.loc[frame.index], first)
    pd.testing.assert_frame_equal(mcd(frame, rng=np.random.default_rng(1)).table, first)


def test_singular_covariances_are_refused_by_name():
    frame = normal(50, 3)
    with pytest.raises(EstimationError, match=r"do not vary.*\['flat'\]"):
        mahalanobis(frame.assign(flat=4))
    with pytest.raises(EstimationError, match=r"\['(q0|copy)'\] can be computed from the other items"):
        mahalanobis(frame.assign(copy=frame["q0"]))
    with pytest.raises(EstimationError, match="can be computed"):
        mcd(frame.assign(total=frame.sum(axis=1)))
    with pytest.raises(EstimationError, match="2 complete rows are too few for the covariances of 3 items"):
        mahalanobis(frame.iloc[:2])


def test_mcd_names_items_that_most_people_answer_alike():
    frame = normal(100, 2)
    frame["alike"] = [7.0] * 80 + list(range(20))
    with pytest.raises(EstimationError, match="lie closest together"):
        mcd(frame)


def test_too_few_rows_for_any_distance_are_said():
    found = mahalanobis(normal(12, 4))
    assert found.n_flagged == 0
    assert "too few for any of them to be flagged" in str(found)


def test_impossible_settings_are_refused():
    frame = normal(30, 2)
    for settings in ({"quantile": 1}, {"quantile": 99.9}, {"answered": 2}, {"answered": -0.1}):
        with pytest.raises(SpecError, match=next(iter(settings))):
            mahalanobis(frame, **settings)
    with pytest.raises(SpecError, match="support"):
        mcd(frame, support=0.3)


def test_a_survey_is_taken_as_it_is():
    survey = csi.load_survey("mobile")
    found = mahalanobis(survey)
    pd.testing.assert_frame_equal(found.table, mahalanobis(survey.frame, list(survey.items)).table)
    ax = found.plot()
    assert ax.get_xlabel() == "squared Mahalanobis distance"


@pytest.mark.parametrize("check", UNIVARIATE)
def test_a_check_of_single_answers_that_flags_more_than_a_quarter_says_so(check):
    """Each of thirty items has two far answers, of others each time: all sixty respondents are flagged."""
    x = np.random.default_rng(1).normal(size=(60, 30))
    x[np.arange(60), np.arange(60) // 2] = 40.0
    found = check(pd.DataFrame(x).add_prefix("q"))
    assert found.n_flagged == 60
    assert "100% flagged are too many to be outliers" in str(found)
