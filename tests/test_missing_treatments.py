"""Single treatments of missing answers: closed forms, EM moments, known truth, and what each may not do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_studies import answers, write_study

import csi_lab as csi
from csi_lab import DataError, SpecError
from csi_lab.cleaning import em, hot_deck, listwise, mean, regression, stochastic_regression
from csi_lab.incomplete import completed_moments
from csi_lab.moments import Moments


@pytest.fixture(scope="module")
def holes(mobi) -> pd.DataFrame:
    return mobi.astype(float).mask(np.random.default_rng(0).random(mobi.shape) < 0.04)


@pytest.fixture(scope="module")
def bivariate() -> pd.DataFrame:
    """y is missing where x is high: complete rows have the wrong mean, the regression on x the right one."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=4000)
    y = 0.8 * x + 0.6 * rng.normal(size=4000)
    return pd.DataFrame({"x": x, "y": np.where(rng.random(4000) < 1 / (1 + np.exp(-2 * x)), np.nan, y)})


def test_listwise_keeps_the_complete_rows(holes):
    found = listwise(holes)
    assert found.frame.equals(holes.dropna())
    assert not found.filled.to_numpy().any()
    assert f"{len(holes) - len(holes.dropna())} of 250 rows left out" in str(found)


def test_means_are_those_of_pandas_and_of_completed_moments(holes):
    found = mean(holes)
    assert found.frame.to_numpy() == pytest.approx(holes.fillna(holes.mean()).to_numpy(), abs=1e-12)
    whole = completed_moments(holes, missing="mean")
    assert Moments.from_frame(found.frame).cov == pytest.approx(whole.cov, abs=1e-12)
    assert (found.table["sd_after"] <= found.table["sd_before"] + 1e-12).all()
    assert found.table["mean_after"].to_numpy() == pytest.approx(found.table["mean_before"].to_numpy(), abs=1e-12)


def test_variance_after_means_has_its_closed_form(holes):
    """Squares about the mean stay, the divisor grows: s2 (n_o - 1)/(n - 1)."""
    table = mean(holes).table
    expected = table["sd_before"] ** 2 * (table["answered"] - 1) / (len(holes) - 1)
    assert (table["sd_after"] ** 2).to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-12)


def test_group_means_are_those_of_the_group_and_weighted():
    frame = pd.DataFrame(
        {"q": [1.0, 3, None, 10, None, 20], "g": list("aaabbb"), "w": [1.0, 3, 1, 1, 1, 3]}, index=list("uvwxyz")
    )
    found = mean(frame, ["q"], within="g", weights="w").frame["q"]
    assert found["w"] == pytest.approx(2.5)
    assert found["y"] == pytest.approx(17.5)


def test_cells_of_two_columns_are_not_taken_for_each_other():
    """The labels "a, b" and "c" are other cells than "a" and "b, c"; means are those of pandas."""
    frame = pd.DataFrame(
        {"one": ["a, b", "a", "a, b", "a"], "two": ["c", "b, c", "c", "b, c"], "q": [1.0, 9, None, None]}
    )
    found = mean(frame, ["q"], within=["one", "two"])
    expected = frame["q"].fillna(frame.groupby(["one", "two"])["q"].transform("mean"))
    assert found.frame["q"].tolist() == expected.tolist() == [1, 9, 1, 9]
    assert hot_deck(frame, ["q"], within=["one", "two"], rng=1).frame["q"].tolist() == [1, 9, 1, 9]
    assert "within 2 groups" in found.treatment


def test_a_cell_of_nobody_needs_no_donor():
    frame = pd.DataFrame({"q": [7.0, None, None], "town": ["A", "A", "B"], "w": [1.0, 1.0, 0.0]})
    found = hot_deck(frame, ["q"], within="town", weights="w", rng=1)
    assert found.frame["q"].tolist()[:2] == [7, 7]
    assert np.isnan(found.frame["q"].iloc[2])


def test_means_within_many_groups_are_those_of_pandas():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"town": np.arange(3000) // 3, "a": rng.normal(size=3000), "b": rng.normal(size=3000)})
    frame.loc[frame.index % 3 == 2, "a"] = np.nan
    expected = frame["a"].fillna(frame.groupby("town")["a"].transform("mean"))
    assert mean(frame, ["a", "b"], within="town").frame["a"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-12)


@pytest.mark.parametrize("treat", [mean, regression, listwise])
def test_deterministic_treatments_do_not_depend_on_the_order_of_rows(holes, treat):
    shuffled = holes.sample(frac=1, random_state=3)
    a, b = treat(holes).frame, treat(shuffled).frame
    assert b.loc[a.index].to_numpy() == pytest.approx(a.to_numpy(), abs=1e-9)


def test_regression_on_a_complete_item_is_least_squares(bivariate):
    known = bivariate.dropna()
    slope, start = np.polyfit(known["x"], known["y"], 1)
    gap = bivariate["y"].isna()
    filled = regression(bivariate).frame["y"][gap]
    assert filled.to_numpy() == pytest.approx((start + slope * bivariate["x"][gap]).to_numpy(), abs=1e-8)


def test_regression_gives_the_means_of_em(holes):
    """EM is at rest: the expected values reproduce its means."""
    assert regression(holes).frame.mean().to_numpy() == pytest.approx(em(holes).mean, abs=1e-9)


def test_predictors_help_and_stay_as_they_are(bivariate):
    found = regression(bivariate, ["y"], predictors=["x"])
    assert found.frame["x"].equals(bivariate["x"])
    assert found.frame["y"].to_numpy() == pytest.approx(regression(bivariate).frame["y"].to_numpy(), abs=1e-9)


def test_under_mar_complete_rows_are_biased_and_regressions_are_not(bivariate):
    """True mean 0 and sd 1; standard error of a mean of 4,000 about .02, bands of four."""
    assert listwise(bivariate).frame["y"].mean() < -0.2
    for found in (regression(bivariate), stochastic_regression(bivariate, rng=2)):
        assert abs(found.frame["y"].mean()) < 0.1
    assert abs(stochastic_regression(bivariate, rng=2).frame["y"].std() - 1) < 0.06
    assert regression(bivariate).frame["y"].std() < 0.92
    assert mean(bivariate).frame["y"].std() < 0.75


def test_under_mnar_no_treatment_repairs_the_mean():
    rng = np.random.default_rng(4)
    x = rng.normal(size=4000)
    y = 0.5 * x + np.sqrt(0.75) * rng.normal(size=4000)
    frame = pd.DataFrame({"x": x, "y": np.where(rng.random(4000) < 1 / (1 + np.exp(-2 * y)), np.nan, y)})
    for found in (listwise(frame), regression(frame), hot_deck(frame, rng=1)):
        assert found.frame["y"].mean() < -0.15


def test_hot_deck_gives_answers_of_the_cell_and_keeps_the_distribution():
    rng = np.random.default_rng(5)
    group = rng.choice(["a", "b"], size=6000)
    q = np.where(group == "a", rng.integers(1, 5, 6000), rng.integers(6, 11, 6000)).astype(float)
    frame = pd.DataFrame({"q": np.where(rng.random(6000) < np.where(group == "a", 0.5, 0.1), np.nan, q), "g": group})
    found = hot_deck(frame, ["q"], rng=1, within="g")
    for name, part in found.frame.groupby("g"):
        shares = part["q"].value_counts(normalize=True)
        given = frame.loc[frame["g"] == name, "q"].dropna().value_counts(normalize=True)
        assert set(shares.index) == set(given.index)
        assert (shares - given).abs().max() < 0.05
    # Without cells the group that answers more is copied: the mean leans towards it.
    assert hot_deck(frame, ["q"], rng=1).frame["q"].mean() > found.frame["q"].mean() + 0.3


def test_hot_deck_takes_all_gaps_of_a_row_from_one_donor():
    frame = pd.DataFrame({"a": [1.0, 2, 3, None, None], "b": [10.0, 20, 30, None, None], "c": [1.0] * 5})
    filled = hot_deck(frame, rng=1).frame
    assert (filled["b"] == 10 * filled["a"]).all()


def test_hot_deck_draws_donors_in_proportion_to_their_weight():
    n = 3000
    frame = pd.DataFrame({"q": [1.0, 2.0] + [np.nan] * n, "w": [1.0, 3.0] + [1.0] * n})
    drawn = hot_deck(frame, ["q"], rng=1, weights="w").frame["q"][2:]
    assert abs((drawn == 2).mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / n)


def test_a_donor_is_used_no_more_often_than_allowed():
    frame = pd.DataFrame({"q": [1.0, 2, 3, 4] + [np.nan] * 8})
    found = hot_deck(frame, rng=1, most_uses=2)
    assert found.frame["q"][4:].value_counts().to_dict() == {1.0: 2, 2.0: 2, 3.0: 2, 4.0: 2}
    with pytest.raises(DataError, match="8 rows lack q, 4 donors have 4 uses left"):
        hot_deck(frame, rng=1, most_uses=1)


def test_the_same_seed_gives_the_same_draws(holes):
    for treat in (hot_deck, stochastic_regression):
        assert treat(holes, rng=7).frame.equals(treat(holes, rng=7).frame)
        assert not treat(holes, rng=7).frame.equals(treat(holes, rng=8).frame)


def test_steps_and_bounds_are_applied_only_when_asked_and_are_counted(holes):
    gap = holes.isna().to_numpy()
    plain = stochastic_regression(holes, rng=1)
    values = plain.frame.to_numpy()[gap]
    assert (values % 1 != 0).all()
    beyond = int(((values < 1) | (values > 10)).sum())
    assert beyond > 0
    bound = stochastic_regression(holes, rng=1, bounds=(1, 10))
    assert f"; {beyond} of them beyond the bounds" in bound.treatment
    whole = stochastic_regression(holes, rng=1, step=1, bounds=(1, 10)).frame
    assert set(np.unique(whole.to_numpy()[gap])) <= set(range(1, 11))
    assert (whole.to_numpy()[~gap] == holes.to_numpy()[~gap]).all()


@pytest.mark.parametrize("treat", [mean, regression, lambda f, **k: hot_deck(f, rng=1, **k)])
def test_every_gap_is_marked_and_answers_stay(holes, treat):
    found = treat(holes)
    assert (found.filled.to_numpy() == holes.isna().to_numpy()).all()
    known = holes.notna().to_numpy()
    assert (found.frame.to_numpy()[known] == holes.to_numpy()[known]).all()
    assert found.table["filled"].sum() == holes.isna().to_numpy().sum()
    assert f"{holes.isna().to_numpy().sum()} missing answers" in found.treatment


def test_complete_answers_stay_complete(mobi):
    for treat in (mean, regression, listwise):
        found = treat(mobi)
        assert (found.frame.to_numpy() == mobi.to_numpy()).all()
        assert found.table["filled"].sum() == 0


def test_a_survey_stays_a_survey_with_its_design_and_a_note(tmp_path):
    frame = answers(80).astype(float)
    frame.loc[:9, "q1"] = np.nan
    frame["w"], frame["town"] = 1.0 + np.arange(80) % 3, np.repeat(np.arange(16), 5)
    survey = csi.load_survey(write_study(tmp_path / "s", frame, design={"weights": "w", "psu": "town"}))
    made = mean(survey)
    assert made.data.design == survey.design
    assert made.data.moments().n == 80
    assert "replaced by item means" in made.data.notes[-1]
    used = frame["q1"].notna()
    assert made.data.frame["q1"][0] == pytest.approx(np.average(frame["q1"][used], weights=frame["w"][used]))
    assert "2 PSUs lose all rows: town = 0, town = 1" in listwise(survey).treatment
    assert survey.frame["q1"].isna().sum() == 10


def test_rows_of_weight_zero_are_left_and_rows_without_answers_counted():
    frame = pd.DataFrame({"a": [1.0, 2, None, None], "b": [2.0, 1, None, 5], "w": [1.0, 1, 1, 0]})
    found = mean(frame, weights="w")
    assert found.frame["a"].isna().tolist() == [False, False, False, True]
    assert "1 of these rows answered none of the items; 1 rows of weight zero left" in found.treatment


def test_integer_and_nullable_columns_are_read(mobi):
    nullable = mobi.astype("Int64")
    nullable.iloc[:20, 0] = pd.NA
    floats = mobi.astype(float)
    floats.iloc[:20, 0] = np.nan
    assert mean(nullable).frame["IMAG1"].tolist() == mean(floats).frame["IMAG1"].tolist()


def test_pictures_compare_standard_deviations(holes):
    ax = mean(holes[["CUSA1", "CUSA2"]]).plot()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["CUSA1", "CUSA2"]
    assert "sd" in ax.get_xlabel()


GROUPED = pd.DataFrame({"q": [1.0, 2, None, None], "g": ["a", "a", "b", "c"]})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mean(GROUPED, ["q"], within="g"), DataError, r"(?s)g = b: no answer to q.*g = c"),
        (lambda: hot_deck(GROUPED, ["q"], within="g", rng=1), DataError, r"(?s)g = b: no donor.*g = c"),
        (lambda: mean(GROUPED, ["q"], within="h"), DataError, "h"),
        (lambda: mean(GROUPED, ["q"], within="q"), DataError, "items to be filled"),
        (lambda: mean(GROUPED.assign(g=[None, "a", "b", "c"]), ["q"], within="g"), DataError, "g in 1 rows"),
        (lambda: mean(GROUPED), DataError, "'g' holds text"),
        (lambda: hot_deck(GROUPED, ["q"], rng=1, most_uses=0), SpecError, "most_uses=0"),
        (lambda: mean(GROUPED, ["q"], step=0), SpecError, "step=0"),
        (lambda: mean(GROUPED, ["q"], bounds=(5, 1)), SpecError, "low < high"),
        (lambda: regression(GROUPED, ["q"], predictors=["q"]), DataError, "items already"),
        (lambda: regression(GROUPED, ["q"], predictors=["zz"]), DataError, "zz"),
        (lambda: listwise(pd.DataFrame({"a": [1.0, None], "b": [None, 2.0]})), DataError, "no row of 2"),
        (lambda: em(pd.DataFrame({"a": [1.0, None], "b": [None, None]})), DataError, r"without any answer: \['b'\]"),
        (
            lambda: regression(pd.DataFrame({"a": [1.0, 2, 3, None], "b": [2.0, 4, 6, 8], "c": [1.0, 5, 2, 2]})),
            csi.CsiLabError,
            "collinear|no solution",
        ),
    ],
)
def test_what_is_wrong_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
