"""Non-response adjustments, propensities and bias: closed forms, statsmodels, and a population with known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.sampling import response, weight


@pytest.fixture(scope="module")
def cases() -> pd.DataFrame:
    """1,500 sampled customers; the chance to respond depends on area and age, the answer as well."""
    rng = np.random.default_rng(11)
    n = 1500
    area, age = rng.choice(["city", "town", "village"], n), rng.integers(18, 80, n)
    chance = 1 / (1 + np.exp(-(-1.2 + 0.02 * age + 0.8 * (area == "village"))))
    frame = pd.DataFrame({"area": area, "age": age, "w": rng.uniform(5, 20, n)})
    frame["satisfaction"] = 50 + 10 * (area == "village") + 0.2 * age + rng.normal(0, 5, n)
    frame["answered"] = rng.random(n) < chance
    return frame


def test_cells_keep_their_weight_and_non_respondents_get_none(cases):
    found = weight.nonresponse_cells(cases, "w", "area", responded="answered")
    before, after = (w.groupby(cases["area"]).sum() for w in (cases["w"], pd.Series(found.values)))
    np.testing.assert_allclose(after, before, rtol=1e-12)
    assert (found.values[~cases["answered"]] == 0).all()
    rate = cases.loc[cases["answered"]].groupby("area")["w"].sum() / before
    np.testing.assert_allclose(found.table["rate"], rate, rtol=1e-12)


def test_cells_remove_all_bias_when_answers_only_differ_between_cells(cases):
    frame = cases.assign(y=cases["area"].map({"city": 1.0, "town": 5.0, "village": 9.0}))
    found = weight.nonresponse_cells(frame, "w", "area", responded="answered")
    assert np.average(frame["y"], weights=found.values) == pytest.approx(np.average(frame["y"], weights=frame["w"]))
    remaining = response.bias(frame, "y", responded="answered", weights="w", adjusted=found).table.iloc[0]
    assert abs(remaining["estimate"]) > 0.05
    assert remaining["after"] == pytest.approx(0, abs=1e-12)


def test_logistic_coefficients_and_errors_agree_with_statsmodels(cases):
    import statsmodels.api as sm

    fit = weight.propensity(cases, "w", ["age", "area"], responded="answered")
    x = np.column_stack([np.ones(len(cases)), cases["age"], cases["area"] == "town", cases["area"] == "village"])
    model = sm.GLM(
        cases["answered"].astype(float), x.astype(float), family=sm.families.Binomial(), var_weights=cases["w"]
    )
    other = model.fit(cov_type="HC0", tol=1e-12, maxiter=100)
    np.testing.assert_allclose(fit.coefficients["estimate"], other.params, rtol=1e-7)
    np.testing.assert_allclose(fit.coefficients["se"], other.bse, rtol=1e-6)
    np.testing.assert_allclose(fit.scores, other.fittedvalues, rtol=1e-7)
    assert list(fit.coefficients.index) == ["intercept", "age", "area=town", "area=village"]


@pytest.mark.parametrize(("shift", "scale"), [(1e6, 1), (1e9, 1), (-2e9, 1e6), (0, 1e-9)])
def test_units_and_origin_of_a_predictor_change_nothing(cases, shift, scale):
    """Years, postcodes, seconds since 1970: scores, slopes per unit and errors are those of the plain column."""
    plain = weight.propensity(cases, "w", ["age", "area"], responded="answered")
    moved = weight.propensity(
        cases.assign(age=cases["age"] * scale + shift), "w", ["age", "area"], responded="answered"
    )
    np.testing.assert_allclose(moved.scores, plain.scores, rtol=1e-9)
    for column in ("estimate", "se"):
        np.testing.assert_allclose(
            moved.coefficients.loc["age", column] * scale, plain.coefficients.loc["age", column], rtol=1e-9
        )
    slope = plain.coefficients.loc["age", "estimate"] / scale
    intercept = plain.coefficients.loc["intercept", "estimate"] - slope * shift
    assert moved.coefficients.loc["intercept", "estimate"] == pytest.approx(intercept, rel=1e-7)


def test_predictors_that_nearly_follow_from_others_are_fitted(cases):
    """Two columns that differ by a millionth of their spread span the same space as one and their difference."""
    noise = np.random.default_rng(8).normal(size=len(cases))
    near = weight.propensity(cases.assign(twin=cases["age"] + 1e-6 * noise), "w", ["age", "twin"], responded="answered")
    apart = weight.propensity(cases.assign(noise=noise), "w", ["age", "noise"], responded="answered")
    np.testing.assert_allclose(near.scores, apart.scores, rtol=1e-6)
    se = near.coefficients.loc["twin", "se"] * 1e-6
    assert se == pytest.approx(apart.coefficients.loc["noise", "se"], rel=1e-5)


def test_with_one_categorical_predictor_propensities_are_the_cells_rates(cases):
    by_cells = weight.nonresponse_cells(cases, "w", "area", responded="answered")
    inverse = weight.nonresponse_propensity(cases, "w", "area", responded="answered", method="inverse")
    np.testing.assert_allclose(inverse.values, by_cells.values, rtol=1e-8)
    strata = weight.nonresponse_propensity(cases, "w", "area", responded="answered", strata=20)
    np.testing.assert_allclose(strata.values, by_cells.values, rtol=1e-8)
    assert any("3 propensity strata instead of 20" in note for note in strata.notes)


def test_propensity_strata_are_quintiles_and_reduce_the_bias(cases):
    found = weight.nonresponse_propensity(cases, "w", ["area", "age"], responded="answered")
    assert len(found.table) == 5
    assert found.table["respondents"].sum() == cases["answered"].sum()
    scores = weight.propensity(cases, "w", ["area", "age"], responded="answered").scores
    cuts = np.quantile(scores, [0.2, 0.4, 0.6, 0.8])
    factor = pd.Series(found.ratio)[cases["answered"]].groupby(np.searchsorted(cuts, scores[cases["answered"]]))
    assert (factor.max() - factor.min()).max() < 1e-12
    assert factor.mean().is_monotonic_decreasing
    bias = response.bias(cases, "satisfaction", responded="answered", weights="w", adjusted=found).table.iloc[0]
    assert abs(bias["after"]) < 0.2 * abs(bias["estimate"])
    assert found.values.sum() == pytest.approx(cases["w"].sum())


def test_r_indicator_of_two_equal_groups_has_a_closed_form():
    n = 200
    frame = pd.DataFrame({"g": np.repeat(["a", "b"], n // 2), "r": np.r_[np.arange(100) < 30, np.arange(100) < 70]})
    fit = weight.propensity(frame, None, "g", responded="r")
    assert fit.r_indicator == pytest.approx(1 - 2 * 0.2 * np.sqrt(n / (n - 1)))
    assert fit.rate == pytest.approx(0.5)
    scaled = weight.propensity(frame, np.full(n, 37.0), "g", responded="r")
    assert scaled.r_indicator == pytest.approx(fit.r_indicator)


def test_adjustments_are_redone_from_other_weights(cases):
    rng = np.random.default_rng(1)
    draws = cases["w"].to_numpy() * rng.multinomial(1500, np.full(1500, 1 / 1500), size=3)
    chained = weight.rake(
        cases,
        weight.nonresponse_cells(cases, "w", "area", responded="answered"),
        {"area": {"city": 6000, "town": 6500, "village": 6200}},
    )
    for draw, got in zip(draws, chained.again(draws), strict=True):
        cells = weight.nonresponse_cells(cases, draw, "area", responded="answered")
        again = weight.rake(cases, cells, {"area": {"city": 6000, "town": 6500, "village": 6200}})
        np.testing.assert_allclose(got, again.values, rtol=1e-10)
    inverse = weight.nonresponse_propensity(cases, "w", ["area", "age"], responded="answered", method="inverse")
    for draw, got in zip(draws, inverse.again(draws), strict=True):
        fresh = weight.nonresponse_propensity(cases, draw, ["area", "age"], responded="answered", method="inverse")
        np.testing.assert_allclose(got, fresh.values, rtol=1e-8)


def test_steps_that_are_no_calibration_leave_values_alone_and_say_so(cases):
    found = weight.nonresponse_cells(cases, "w", "area", responded="answered")
    z = np.arange(1500.0)
    np.testing.assert_array_equal(found.residuals(z), z)
    assert any("treat this step as fixed" in note for note in found.notes)


def test_a_calibration_before_the_non_response_step_needs_contributions(cases):
    first = weight.post_stratify(cases, "w", {"area": {"city": 6000, "town": 6500, "village": 6200}})
    then = weight.nonresponse_cells(cases, first, "area", responded="answered")
    with pytest.raises(EstimationError, match="use contributions"):
        then.residuals(cases["satisfaction"].to_numpy())
    assert np.isfinite(then.contributions(cases["satisfaction"].to_numpy())).all()


def test_bias_is_the_non_response_rate_times_the_gap(cases):
    found = response.bias(cases, ["satisfaction", "area"], responded="answered", weights="w")
    row = found.table.loc[("satisfaction", "mean")]
    yes, w, y = cases["answered"], cases["w"], cases["satisfaction"]
    rate = w[yes].sum() / w.sum()
    gap = np.average(y[yes], weights=w[yes]) - np.average(y[~yes], weights=w[~yes])
    assert row["estimate"] == pytest.approx((1 - rate) * gap)
    shares = found.table.loc["area"]
    assert shares["everybody"].sum() == pytest.approx(1)
    assert shares["estimate"].sum() == pytest.approx(0, abs=1e-12)


def test_interval_of_the_bias_covers_the_true_bias():
    rng = np.random.default_rng(8)
    repeats, n, covered = 400, 300, 0
    # y is 0 or 1 with even odds; response 0.4 and 0.7: E(y | response) - E(y) = 0.35 / 0.55 - 0.5.
    truth = 0.35 / 0.55 - 0.5
    for _ in range(repeats):
        y = rng.integers(0, 2, n)
        frame = pd.DataFrame({"y": y, "r": rng.random(n) < np.where(y == 1, 0.7, 0.4)})
        row = response.bias(frame, "y", responded="r").table.iloc[0]
        covered += row["low"] <= truth <= row["high"]
    # Four standard errors of a share of 0.95 in 400 repeats.
    assert abs(covered / repeats - 0.95) < 4 * np.sqrt(0.95 * 0.05 / repeats)


def test_cells_without_respondents_and_small_or_large_ones_are_named():
    frame = pd.DataFrame({"g": list("aabbbc"), "r": [1, 1, 1, 0, 0, 0]})
    with pytest.raises(DataError, match=r"without respondents in 'g': \['c'\]"):
        weight.nonresponse_cells(frame, None, "g", responded="r")
    found = weight.nonresponse_cells(frame.iloc[:5], None, "g", responded="r")
    assert any("fewer than 20 respondents: a (2), b (1)" in note for note in found.notes)
    assert any("raised by more than 2: b (3)" in note for note in found.notes)


def test_separation_is_an_error_not_a_number():
    frame = pd.DataFrame({"g": list("aaabbb"), "x": [1.0, 2, 3, 4, 5, 6], "r": [1, 1, 1, 0, 1, 0]})
    with pytest.raises(EstimationError, match="separate respondents"):
        weight.propensity(frame, None, "g", responded="r")
    with pytest.raises(EstimationError, match="separate respondents"):
        weight.propensity(frame.assign(r=[0, 0, 0, 1, 1, 1]), None, "x", responded="r")


def test_a_series_of_responses_goes_by_its_index_as_weights_do(cases):
    by_column = weight.nonresponse_cells(cases, "w", "area", responded="answered").values
    shuffled = cases["answered"].astype("boolean").sample(frac=1, random_state=1)
    by_series = weight.nonresponse_cells(cases, "w", "area", responded=shuffled)
    np.testing.assert_array_equal(by_series.values, by_column)
    by_list = weight.nonresponse_cells(cases, "w", "area", responded=cases["answered"].tolist())
    np.testing.assert_array_equal(by_list.values, by_column)
    gaps = [None, True, True, -1, *cases["answered"].tolist()[4:]]
    with pytest.raises(DataError, match="2 rows hold something else or nothing: 0, 3"):
        weight.nonresponse_cells(cases, "w", "area", responded=gaps)


def test_a_column_of_too_many_cells_is_refused_with_the_number_of_the_empty_ones(cases):
    each = cases.assign(own=np.arange(1500))
    with pytest.raises(DataError, match=rf" and {int((~cases['answered'].astype(bool)).sum()) - 10} more; merge"):
        weight.nonresponse_cells(each, "w", "own", responded="answered")


def test_bad_input_is_refused_with_all_offenders(cases):
    with pytest.raises(DataError, match="1 or True for respondents"):
        weight.nonresponse_cells(cases.assign(answered="yes"), "w", "area", responded="answered")
    with pytest.raises(DataError, match="1500 rows hold something else"):
        weight.nonresponse_cells(cases.assign(answered=2), "w", "area", responded="answered")
    with pytest.raises(DataError, match="nobody responded"):
        weight.nonresponse_cells(cases, "w", "area", responded=np.zeros(1500))
    for wrong in ([1, 0], 1, None, np.ones((1500, 2))):
        with pytest.raises(DataError):
            weight.nonresponse_cells(cases, "w", "area", responded=wrong)
    with pytest.raises(DataError, match="everybody responded"):
        weight.propensity(cases, "w", "area", responded=np.ones(1500))
    with pytest.raises(DataError, match="everybody responded"):
        response.bias(cases, "age", responded=np.ones(1500))
    holes = cases.assign(area=cases["area"].where(cases.index > 2), flat=1, age=cases["age"].where(cases.index != 7))
    with pytest.raises(DataError) as caught:
        weight.propensity(holes, "w", ["area", "flat", "age"], responded="answered")
    assert len(caught.value.problems) == 3
    with pytest.raises(DataError, match="'area' is missing in 3 rows: 0, 1, 2"):
        weight.nonresponse_cells(holes, "w", "area", responded="answered")
    with pytest.raises(DataError, match="redundant"):
        weight.propensity(cases.assign(months=12 * cases["age"]), "w", ["age", "months"], responded="answered")
    with pytest.raises(DataError, match="not in the data"):
        response.bias(cases, ["age", "income"], responded="answered")
    silent = np.where(cases["answered"], 0.0, 1.0)
    with pytest.raises(DataError, match="adjusted weights of all respondents are 0"):
        response.bias(cases, "age", responded="answered", adjusted=silent)
    with pytest.raises(SpecError, match="level='95'"):
        response.bias(cases, "age", responded="answered", level="95")
    numbered = cases.set_axis(range(cases.shape[1]), axis=1)
    np.testing.assert_array_equal(
        response.bias(numbered, [1, 0], responded=cases["answered"]).table,
        response.bias(cases, ["age", "area"], responded="answered").table,
    )
    for options in ({"method": "trees"}, {"strata": 1}, {"strata": 5.5}, {"smallest": "x"}, {"largest_factor": np.nan}):
        with pytest.raises(SpecError):
            weight.nonresponse_propensity(cases, "w", "area", responded="answered", **options)
    for nothing in ([], ()):
        with pytest.raises(SpecError):
            weight.nonresponse_cells(cases, "w", nothing, responded="answered")


def test_results_can_be_shown(cases):
    fit = weight.propensity(cases, "w", ["area"], responded="answered")
    bias = response.bias(cases, ["age", "area"], responded="answered")
    for result in (fit, bias):
        assert str(result) == repr(result)
        assert "<table" in result._repr_html_()
        assert len(result.to_frame())
        assert result.plot().get_xlabel()
