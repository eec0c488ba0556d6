"""Weights to known totals: agreement with R survey, exact margins, closed forms, and clear refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference

from csi_lab.errors import CsiLabWarning, DataError, EstimationError, SpecError
from csi_lab.sampling import weight
from csi_lab.sampling.weight import calibration
from csi_lab.sampling.weight.calibration import Ratio

STYPE = {"E": 4421, "H": 755, "M": 1018}
SCHOOLWIDE = {"No": 1072, "Yes": 5122}
KNOWN = {"stype": STYPE, "api99": 3914069}
CASES = {
    "greg": {},
    "linear_bounded": {"bounds": (0.6, 1.6)},
    "raking": {"distance": "raking"},
    "raking_bounded": {"distance": "raking", "bounds": (0.6, 1.8)},
    "logit": {"distance": "logit", "bounds": (0.5, 2.0)},
}


@pytest.fixture(scope="module")
def clus1() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "apiclus1.csv").assign(one=1.0)


@pytest.fixture(scope="module")
def stored() -> dict:
    return read_reference("survey/api_clus1_poststrat_rake.json")


@pytest.fixture(scope="module")
def calibrated() -> dict:
    return read_reference("survey/calibration.json")


def cluster_error(frame: pd.DataFrame, contributions: np.ndarray, *, districts: float = 757) -> float:
    """Standard error of a one-stage cluster sample, written out here: it needs only the contributions."""
    sums = pd.Series(contributions).groupby(frame["dnum"]).sum().to_numpy()
    n = len(sums)
    return float(np.sqrt((1 - n / districts) * n / (n - 1) * ((sums - sums.mean()) ** 2).sum()))


def of_mean(y: np.ndarray, w: np.ndarray) -> np.ndarray:
    return (y - w @ y / w.sum()) / w.sum()


def test_post_stratified_weights_and_error_agree_with_r(clus1, stored):
    found = weight.post_stratify(clus1, "pw", {"stype": STYPE})
    block = stored["poststrat_clus1_stype"]
    np.testing.assert_allclose(found.values, block["weights"], rtol=1e-10)
    assert found.design_effect == pytest.approx(block["deff_kish"], rel=1e-10)
    y = clus1["api00"].to_numpy()
    error = cluster_error(clus1, found.contributions(of_mean(y, found.values)))
    assert error == pytest.approx(block["mean_api00"]["se"], rel=1e-10)


def test_raked_weights_and_error_agree_with_r(clus1, stored):
    found = weight.rake(clus1, "pw", {"stype": STYPE, "sch.wide": SCHOOLWIDE})
    block = stored["rake_clus1_stype_schwide"]
    np.testing.assert_allclose(found.values, block["weights"], rtol=0, atol=1e-8)
    y = clus1["api00"].to_numpy()
    error = cluster_error(clus1, found.values * found.residuals(of_mean(y, found.values)))
    assert error == pytest.approx(block["mean_api00"]["se"], abs=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_calibrated_weights_and_errors_agree_with_r(clus1, calibrated, name):
    found, block = weight.calibrate(clus1, "pw", KNOWN, **CASES[name]), calibrated[name]
    np.testing.assert_allclose(found.values, block["weights"], rtol=1e-10)
    y, x = clus1["api00"].to_numpy(), clus1["enroll"].to_numpy(dtype=float)
    assert found.values @ x == pytest.approx(block["total_enroll"], rel=1e-10)
    error = cluster_error(clus1, found.contributions(of_mean(y, found.values)))
    assert error == pytest.approx(block["se_mean_api00"], rel=1e-10)
    assert cluster_error(clus1, found.contributions(x)) == pytest.approx(block["se_total_enroll"], rel=1e-10)


def test_weights_after_two_steps_agree_with_r(clus1, calibrated):
    first = weight.post_stratify(clus1, "pw", {"stype": STYPE})
    found = weight.calibrate(clus1, first, {"one": 6194, "api99": 3914069})
    np.testing.assert_allclose(found.values, calibrated["chain"]["weights"], rtol=1e-10)
    assert len(found.steps) == 2
    np.testing.assert_array_equal(found.base, clus1["pw"])
    np.testing.assert_array_equal(found.steps[1].before, first.values)


@pytest.mark.parametrize("steps", ["greg", "post-stratified then greg", "greg then post-stratified"])
def test_contributions_are_the_derivative_of_the_estimate_by_the_base_weights(clus1, steps):
    d, y = clus1["pw"].to_numpy(), clus1["api00"].to_numpy(dtype=float)
    adjusted = {
        "greg": lambda: weight.calibrate(clus1, "pw", KNOWN),
        "post-stratified then greg": lambda: weight.calibrate(
            clus1, weight.post_stratify(clus1, "pw", {"stype": STYPE}), {"one": 6194, "api99": 3914069}
        ),
        "greg then post-stratified": lambda: weight.post_stratify(
            clus1, weight.calibrate(clus1, "pw", KNOWN), {"sch.wide": SCHOOLWIDE}
        ),
    }[steps]()

    def mean(base: np.ndarray) -> np.ndarray:
        w = adjusted.again(base)
        return (w @ y) / w.sum(axis=1)

    change = 1e-4 * np.diag(d)
    slope = (mean(d + change) - mean(d - change)) / 2e-4
    z = of_mean(y, adjusted.values)
    np.testing.assert_allclose(adjusted.contributions(z), slope, atol=1e-6 * np.abs(slope).max())
    np.testing.assert_allclose(adjusted.values * adjusted.residuals(z), adjusted.contributions(z), atol=1e-12)


def test_linear_calibration_is_the_greg_closed_form(clus1):
    d = clus1["pw"].to_numpy()
    x = np.column_stack([np.ones(len(d)), clus1["api99"], clus1["meals"]])
    totals = d @ x * np.array([1.0, 1.02, 0.97])
    ratio = 1 + x @ np.linalg.solve((x * d[:, None]).T @ x, totals - d @ x)
    found = weight.calibrate(clus1, "pw", dict(zip(["one", "api99", "meals"], totals, strict=True)))
    np.testing.assert_allclose(found.values, d * ratio, rtol=1e-10)


@pytest.mark.parametrize(
    "options",
    [{}, {"distance": "raking"}, {"distance": "logit", "bounds": (0.3, 3)}],
    ids=["linear", "raking", "logit"],
)
def test_calibration_to_one_categorical_column_is_post_stratification(clus1, options):
    expected = weight.post_stratify(clus1, "pw", {"stype": STYPE}).values
    np.testing.assert_allclose(weight.calibrate(clus1, "pw", {"stype": STYPE}, **options).values, expected, rtol=1e-9)


def test_raking_distance_on_margins_is_proportional_fitting(clus1):
    margins = {"stype": STYPE, "sch.wide": SCHOOLWIDE}
    fitted = weight.rake(clus1, "pw", margins).values
    np.testing.assert_allclose(weight.calibrate(clus1, "pw", margins, distance="raking").values, fitted, rtol=1e-8)
    np.testing.assert_allclose(weight.rake(clus1, "pw", margins, bounds=(0.2, 5)).values, fitted, rtol=1e-8)


def test_margins_are_exact_and_the_table_says_so(clus1):
    found = weight.rake(clus1, "pw", {"stype": STYPE, "sch.wide": SCHOOLWIDE})
    for column, counts in (("stype", STYPE), ("sch.wide", SCHOOLWIDE)):
        sums = pd.Series(found.values).groupby(clus1[column]).sum()
        np.testing.assert_allclose([sums[c] for c in counts], list(counts.values()), rtol=1e-9)
    table = found.to_frame()
    np.testing.assert_allclose(table["after"], table["wanted"], rtol=1e-9)
    assert table["before"].sum() == pytest.approx(2 * clus1["pw"].sum())


def test_ratios_stay_within_bounds_and_totals_are_met(clus1):
    for distance in ("linear", "raking", "logit"):
        found = weight.calibrate(clus1, "pw", KNOWN, distance=distance, bounds=(0.45, 1.75))
        assert found.ratio.min() >= 0.45 - 1e-12
        assert found.ratio.max() <= 1.75 + 1e-12
        assert found.values @ clus1["api99"] == pytest.approx(3914069, rel=1e-9)


@pytest.mark.parametrize(
    "ratio", [Ratio("linear"), Ratio("linear", 0.5, 2), Ratio("raking", 0), Ratio("logit", 0.4, 3)]
)
def test_a_distance_its_slope_and_its_dual_fit_together(ratio):
    u = np.array([-0.45, -0.2, 0.0, 0.3, 0.6])
    h = 1e-6
    np.testing.assert_allclose((ratio(u + h) - ratio(u - h)) / (2 * h), ratio.slope(u), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose((ratio.area(u + h) - ratio.area(u - h)) / (2 * h), ratio(u), rtol=1e-7)
    assert ratio(np.zeros(1))[0] == pytest.approx(1)
    assert ratio.slope(np.zeros(1))[0] == pytest.approx(1)


def test_scaling_of_base_weights_and_order_of_rows_change_nothing(clus1):
    shuffled = clus1.sample(frac=1, random_state=3)
    for adjust in (
        lambda f, w: weight.post_stratify(f, w, {"stype": STYPE}),
        lambda f, w: weight.rake(f, w, {"stype": STYPE, "sch.wide": SCHOOLWIDE}),
        lambda f, w: weight.calibrate(f, w, KNOWN, distance="raking"),
        lambda f, w: weight.calibrate(f, w, {"stype": STYPE, "api99": 3914069}),
    ):
        plain = pd.Series(adjust(clus1, "pw").values, index=clus1.index)
        scaled = adjust(clus1, clus1["pw"] * 7.5).values
        np.testing.assert_allclose(adjust(shuffled, "pw").values, plain[shuffled.index], rtol=1e-9)
        np.testing.assert_allclose(scaled, plain, rtol=1e-9)


def test_units_of_a_numeric_total_change_nothing(clus1):
    far = clus1.assign(year=2000 + clus1["api99"] / 1e3)
    total = 2000 * 6194 + 3914.069
    found = weight.calibrate(far, "pw", {"stype": STYPE, "year": total})
    np.testing.assert_allclose(found.values, weight.calibrate(clus1, "pw", KNOWN).values, rtol=1e-6)


def test_residuals_are_orthogonal_to_the_calibration_variables_and_vanish_for_them(clus1):
    found = weight.calibrate(clus1, "pw", KNOWN)
    z = clus1[["api00", "enroll"]].to_numpy(dtype=float)
    left = found.residuals(z)
    d, x = clus1["pw"].to_numpy(), clus1["api99"].to_numpy(dtype=float)
    assert np.abs((d * x) @ left).max() < 1e-9 * (d * x) @ np.abs(z[:, 0])
    assert np.abs(found.residuals(3 + 2.0 * x)).max() < 1e-9
    assert found.residuals(z[:, 0]).shape == (183,)


def test_again_from_the_same_base_gives_the_same_weights(clus1):
    steps = weight.post_stratify(clus1, "pw", {"stype": STYPE})
    for adjusted in (
        weight.rake(clus1, steps, {"sch.wide": SCHOOLWIDE, "stype": STYPE}),
        weight.calibrate(clus1, steps, KNOWN, distance="logit", bounds=(0.3, 3)),
        weight.trim(clus1, steps, cap=45),
    ):
        base = clus1["pw"].to_numpy()
        np.testing.assert_allclose(adjusted.again(np.array([base, base])), [adjusted.values] * 2, rtol=1e-9)
        assert adjusted.again(base).shape == (183,)


def test_again_equals_an_adjustment_made_from_each_draw(clus1):
    rng = np.random.default_rng(5)
    draws = clus1["pw"].to_numpy() * rng.multinomial(183, np.full(183, 1 / 183), size=4)
    adjusted = weight.calibrate(clus1, "pw", KNOWN, distance="raking")
    each = [weight.calibrate(clus1, w, KNOWN, distance="raking").values for w in draws]
    np.testing.assert_allclose(adjusted.again(draws), each, rtol=1e-7, atol=1e-8)


def test_a_draw_without_a_solution_is_nan_and_the_others_are_not(clus1):
    base = clus1["pw"].to_numpy()
    without = np.where(clus1["stype"] == "H", 0, base)
    for adjusted in (
        weight.post_stratify(clus1, "pw", {"stype": STYPE}),
        weight.rake(clus1, "pw", {"stype": STYPE, "sch.wide": SCHOOLWIDE}),
        weight.calibrate(clus1, "pw", KNOWN),
    ):
        found = adjusted.again(np.array([without, base]))
        assert np.isnan(found[0]).all()
        np.testing.assert_allclose(found[1], adjusted.values, rtol=1e-9)


def test_the_weights_handed_in_are_left_as_they_were(clus1):
    base = clus1["pw"].to_numpy(copy=True)
    kept = base.copy()
    adjusted = weight.rake(clus1, base, {"stype": STYPE, "sch.wide": SCHOOLWIDE})
    adjusted.again(base)
    np.testing.assert_array_equal(base, kept)
    np.testing.assert_array_equal(adjusted.base, kept)


def test_a_series_of_counts_by_its_index_names_is_the_same_as_a_mapping(clus1):
    counts = pd.Series({("E", "No"): 500, ("E", "Yes"): 3921, ("H", "No"): 300, ("H", "Yes"): 455,
                        ("M", "No"): 272, ("M", "Yes"): 746}).rename_axis(["stype", "sch.wide"])  # fmt: skip
    by_series = weight.post_stratify(clus1, "pw", counts)
    by_mapping = weight.post_stratify(clus1, "pw", {("stype", "sch.wide"): counts.to_dict()})
    np.testing.assert_array_equal(by_series.values, by_mapping.values)
    np.testing.assert_allclose(by_series.table["after"], counts, rtol=1e-12)


def test_rows_of_weight_zero_stand_for_nobody_and_may_lack_a_value(clus1):
    frame = pd.concat([clus1, clus1.iloc[:2].assign(stype=None, api99=np.nan, pw=0.0)], ignore_index=True)
    for adjust in (
        lambda f: weight.rake(f, "pw", {"stype": STYPE, "sch.wide": SCHOOLWIDE}),
        lambda f: weight.calibrate(f, "pw", KNOWN),
    ):
        whole = adjust(frame)
        np.testing.assert_allclose(whole.values[:183], adjust(clus1).values, rtol=1e-12)
        assert (whole.values[183:] == 0).all()
        assert np.isfinite(whole.residuals(np.ones(185))).all()


def test_base_weights_are_inverse_probabilities():
    frame = pd.DataFrame({"pi": [0.1, 0.25, 1.0]}, index=["a", "b", "c"])
    assert weight.base(frame, probability="pi").to_dict() == {"a": 10.0, "b": 4.0, "c": 1.0}
    with pytest.raises(DataError, match=r"2 probabilities missing or not in \(0, 1\] in rows a, c"):
        weight.base(pd.DataFrame({"pi": [0, 0.5, np.nan]}, index=["a", "b", "c"]), "pi")
    with pytest.raises(DataError, match="holds text"):
        weight.base(pd.DataFrame({"pi": ["a"]}), "pi")
    with pytest.raises(DataError, match="not in the data"):
        weight.base(frame, ["pi", "town"])


def test_kish_design_effect_is_one_plus_the_squared_coefficient_of_variation():
    w = np.array([1.0, 2, 3, 4, 10])
    assert weight.design_effect(w) == pytest.approx(1 + w.var() / w.mean() ** 2)
    assert weight.effective_n(w) * weight.design_effect(w) == pytest.approx(5)
    assert weight.design_effect(np.ones(9)) == 1
    assert weight.design_effect([0, 1, 1]) == 1
    for bad in ([1, -1], [np.nan, 1], ["a"], [0, 0], [[1, 2]]):
        with pytest.raises(DataError):
            weight.effective_n(bad)


def test_trimming_keeps_the_sum_and_leaves_no_weight_above_the_cap():
    w = np.exp(np.random.default_rng(2).normal(size=400))
    frame = pd.DataFrame({"w": w, "cell": np.repeat(["a", "b"], 200)})
    low, median, high = np.quantile(w, [0.25, 0.5, 0.75])
    found = weight.trim(frame, "w")
    assert found.values.max() <= (median + 6 * (high - low)) * (1 + 1e-12)
    assert found.values.sum() == pytest.approx(w.sum(), rel=1e-12)
    assert found.design_effect < weight.design_effect(w)
    assert weight.trim(frame, "w", rule="mean", multiple=3).values.max() <= 3 * w.mean() * (1 + 1e-12)
    within = weight.trim(frame, "w", cap=4, within="cell")
    np.testing.assert_allclose(within.table["after"], within.table["before"], rtol=1e-12)
    below = w < 1
    ratio = within.values[below] / w[below]
    for cell in ("a", "b"):
        assert np.ptp(ratio[(frame["cell"] == cell)[below]]) < 1e-12


@pytest.mark.parametrize("cap", [44.3, 40, 32])
def test_weights_trimmed_in_equal_parts_agree_with_r(cap):
    strat = pd.read_csv(REFERENCE / "data" / "apistrat.csv")
    raked = weight.rake(strat, "pw", {"stype": STYPE, "sch.wide": SCHOOLWIDE})
    block = read_reference("survey/trim.json")[f"cap_{cap:g}"]
    found = weight.trim(strat, raked, cap=cap, share="equal")
    np.testing.assert_allclose(found.values, block["weights"], rtol=1e-10)
    assert np.average(strat["api00"], weights=found) == pytest.approx(block["mean_api00"], rel=1e-10)
    assert "shared out equally" in found.notes[-2]


def test_equal_parts_add_the_same_to_all_of_a_cell():
    """Cell a: 1 above the cap of 8 makes one half for each of two. Cell b: 4 makes 2 each, which lifts 7 above the
    cap; its 1 goes to the last one."""
    frame = pd.DataFrame({"w": [1.0, 2, 9, 1, 7, 12], "cell": list("aaabbb")})
    found = weight.trim(frame, "w", cap=8, share="equal", within="cell")
    assert found.values.tolist() == [1.5, 2.5, 8, 4, 8, 8]
    proportional = weight.trim(frame, "w", cap=8, within="cell")
    assert proportional.values == pytest.approx([4 / 3, 8 / 3, 8, 4, 8, 8])


def test_trimming_nothing_says_so_and_changes_nothing():
    frame = pd.DataFrame({"w": [1.0, 2.0, 3.0]})
    found = weight.trim(frame, "w")
    np.testing.assert_array_equal(found.values, frame["w"])
    assert "nothing was changed" in found.notes[0]


def test_trimming_refuses_what_cannot_be():
    frame = pd.DataFrame({"w": [1.0, 1, 1, 1, 9], "g": list("aaabb")})
    with pytest.raises(EstimationError, match="half of the weights are equal"):
        weight.trim(frame, "w")
    with pytest.raises(EstimationError, match=r"in cells \['b'\]"):
        weight.trim(frame, "w", cap=4, within="g")
    for options in (
        {"rule": "max"}, {"rule": ["iqr"]}, {"cap": -1}, {"cap": 3, "multiple": 2}, {"multiple": np.nan}, {"cap": "3"},
        {"share": "even"},
    ):  # fmt: skip
        with pytest.raises(SpecError):
            weight.trim(frame, "w", **options)


def test_columns_called_by_numbers_are_columns_like_others():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["f", "m"], 80), "age": rng.choice([1, 2, 3], 80), "w": rng.uniform(1, 5, 80),
            "spend": rng.gamma(2, 10, 80), "answered": rng.integers(0, 2, 80), "pi": rng.uniform(0.1, 0.9, 80),
        }
    )  # fmt: skip
    numbered = frame.set_axis(range(6), axis=1)
    sex, age = {"f": 100, "m": 120}, {1: 70, 2: 80, 3: 70}
    for call in (
        lambda f, c: weight.post_stratify(f, c("w"), {c("sex"): sex}),
        lambda f, c: weight.rake(f, c("w"), {c("sex"): sex, c("age"): age}),
        lambda f, c: weight.calibrate(f, c("w"), {c("sex"): sex, c("spend"): 4000}, distance="raking"),
        lambda f, c: weight.nonresponse_cells(f, c("w"), c("sex"), responded=c("answered")),
        lambda f, c: weight.nonresponse_propensity(f, c("w"), [c("spend"), c("sex")], responded=c("answered")),
        lambda f, c: weight.trim(f, c("w"), cap=4.5, within=c("sex")),
        lambda f, c: weight.base(f, c("pi")),
    ):
        np.testing.assert_array_equal(np.asarray(call(frame, str)), np.asarray(call(numbered, frame.columns.get_loc)))
    with pytest.raises(DataError, match="weights=7: neither one number per row nor a column"):
        weight.trim(numbered, 7)


def test_shares_in_place_of_counts_are_noted(clus1):
    shares = {k: v / 6194 for k, v in STYPE.items()}
    found = weight.post_stratify(clus1, "pw", {"stype": shares})
    np.testing.assert_allclose(found.values * 6194, weight.post_stratify(clus1, "pw", {"stype": STYPE}).values)
    assert "add up to 1, less than the 183 rows" in str(found)
    assert "less than" not in str(weight.post_stratify(clus1, "pw", {"stype": STYPE}))


def test_crossed_categories_of_nullable_columns_are_shown_plainly():
    frame = pd.DataFrame({"g": pd.array([1, 1, 2, 2], dtype="Int64"), "h": list("aabb"), "r": [1, 0, 1, 0]})
    found = weight.nonresponse_cells(frame, None, ["g", "h"], responded="r")
    assert "respondents: 1, a (1), 2, b (1)" in str(found)
    with pytest.raises(DataError, match=r"without a count: \[\(2, 'b'\)\]"):
        weight.rake(frame, None, {("g", "h"): {(1, "a"): 5}})
    with pytest.raises(DataError, match=r"without a count: \[\(\[1\], 'a'\), \(\[1\], 'b'\)\]"):
        weight.rake(frame.assign(g=[[1]] * 4), None, {("g", "h"): {(1, "a"): 5}})


@pytest.mark.parametrize("distance", ["linear", "raking"])
def test_many_categories_need_no_table_of_all_their_pairs(clus1, distance, monkeypatch):
    """Draw by draw or all at once, the sums of squares are the same: so are the weights."""
    base = clus1["pw"].to_numpy() * np.random.default_rng(3).uniform(0.5, 2, (4, len(clus1)))
    at_once = weight.calibrate(clus1, "pw", KNOWN, distance=distance)
    together = at_once.again(base)
    monkeypatch.setattr(calibration, "PRODUCTS", 0)
    one_by_one = weight.calibrate(clus1, "pw", KNOWN, distance=distance)
    np.testing.assert_allclose(one_by_one.values, at_once.values, rtol=1e-12)
    np.testing.assert_allclose(one_by_one.again(base), together, rtol=1e-12)


def test_counts_that_do_not_fit_the_sample_are_all_named(clus1):
    with pytest.raises(DataError) as caught:
        weight.rake(clus1, "pw", {"stype": {"E": 1, "K": 2, "M": 0}, "sch.wide": {"No": 1, "Yes": "many"}})
    text = str(caught.value)
    for part in ("without a count: ['H']", "nobody in the sample: ['K']", "count of 0 but respondents", "'many'"):
        assert part in text
    assert len(caught.value.problems) == 4


def test_margins_that_add_up_to_different_totals_are_refused(clus1):
    with pytest.raises(SpecError, match=r"'stype' 6,194, 'sch\.wide' 6,000"):
        weight.rake(clus1, "pw", {"stype": STYPE, "sch.wide": {"No": 1000, "Yes": 5000}})


def test_a_table_of_counts_is_refused_with_the_series_that_it_should_be(clus1):
    table = clus1.groupby(["stype", "sch.wide"])["pw"].sum().reset_index()
    remedy = r"table\.set_index\(\['stype', 'sch\.wide'\]\)\['pw'\]"
    for step in (weight.post_stratify, weight.rake):
        for given in (table, table.set_index(["stype", "sch.wide"]), [table]):
            with pytest.raises(SpecError, match=remedy):
                step(clus1, "pw", given)
    made = weight.post_stratify(clus1, "pw", table.set_index(["stype", "sch.wide"])["pw"])
    np.testing.assert_allclose(made.values, clus1["pw"], rtol=1e-12)


def test_missing_values_numbers_as_text_and_absent_columns_are_named(clus1):
    holes = clus1.assign(stype=clus1["stype"].where(clus1.index > 1))
    with pytest.raises(DataError, match="'stype' is missing in 2 rows: 0, 1"):
        weight.post_stratify(holes, "pw", {"stype": STYPE})
    with pytest.raises(DataError, match="another type"):
        weight.post_stratify(pd.DataFrame({"age": [1, 2]}), None, {"age": {"1": 5, "2": 5}})
    with pytest.raises(DataError, match=r"not in the data: \['region', 'age'\]"):
        weight.rake(clus1, "pw", {"region": {"N": 1}, "age": {1: 1}})
    with pytest.raises(SpecError, match="use rake"):
        weight.post_stratify(clus1, "pw", {"stype": STYPE, "sch.wide": SCHOOLWIDE})
    with pytest.raises(DataError, match="tuples of 2"):
        weight.post_stratify(clus1, "pw", {("stype", "sch.wide"): STYPE})
    for nothing in ({}, [], 5, [pd.Series([1, 2])]):
        with pytest.raises(SpecError):
            weight.rake(clus1, "pw", nothing)


def test_a_category_of_zero_with_nobody_in_it_is_left_out_with_a_note(clus1):
    found = weight.post_stratify(clus1, "pw", {"stype": {**STYPE, "K": 0}})
    assert "left out: ['K']" in found.notes[0]
    np.testing.assert_allclose(found.values, weight.post_stratify(clus1, "pw", {"stype": STYPE}).values)


def test_raking_without_a_solution_is_an_error_with_the_categories():
    frame = pd.DataFrame({"a": [1, 2], "b": [1, 2]})
    with pytest.raises(EstimationError, match=r"did not converge in 50 cycles.*merge categories"):
        weight.rake(frame, None, {"a": {1: 6, 2: 4}, "b": {1: 5, 2: 5}}, max_iterations=50)


def test_bounds_that_cannot_be_met_name_those_that_can(clus1):
    with pytest.raises(EstimationError, match=r"narrowest that can are within 0\.4067 to 1\.593"):
        weight.rake(clus1, "pw", {"stype": STYPE}, bounds=(0.9, 1.1))
    # H must grow by 53.93 / 33.85 = 1.5933: the closed form of the narrowest bounds.
    assert STYPE["H"] / clus1.loc[clus1["stype"] == "H", "pw"].sum() == pytest.approx(1.5933, abs=1e-4)
    with pytest.raises(EstimationError, match="no weights >= 0 can"):
        weight.calibrate(clus1, "pw", {"stype": STYPE, "api99": 9e6}, distance="raking")


def test_negative_weights_are_a_warning_a_note_and_no_base_for_more(clus1):
    with pytest.warns(CsiLabWarning, match="weights are negative"):
        found = weight.calibrate(clus1, "pw", {"stype": STYPE, "api99": 5.2e6})
    assert (found.values < 0).sum() == int(found.notes[0].split()[0])
    with pytest.raises(DataError, match="cannot be adjusted further"):
        weight.rake(clus1, found, {"stype": STYPE})


def test_redundant_totals_are_used_if_they_agree_and_refused_if_not(clus1):
    double = clus1.assign(twice=2.0 * clus1["api99"])
    found = weight.calibrate(double, "pw", {**KNOWN, "twice": 2 * 3914069})
    np.testing.assert_allclose(found.values, weight.calibrate(clus1, "pw", KNOWN).values, rtol=1e-9)
    assert any("add nothing: ['twice']" in note for note in found.notes)
    with pytest.raises(SpecError, match=r"twice: 7000000 given, 7828138 follows"):
        weight.calibrate(double, "pw", {**KNOWN, "twice": 7e6})


def test_calibration_refuses_impossible_requests(clus1):
    for options in (
        {"distance": "square"},
        {"distance": "logit"},
        {"bounds": (1.2, 3)},
        {"bounds": 3},
        {"distance": "raking", "bounds": (-1, 3)},
        {"distance": "logit", "bounds": (0.2, np.inf)},
        {"tolerance": 0},
        {"max_iterations": 0},
    ):
        with pytest.raises(SpecError):
            weight.calibrate(clus1, "pw", KNOWN, **options)
    with pytest.raises(DataError) as caught:
        weight.calibrate(
            clus1.assign(hole=np.where(clus1.index == 4, np.nan, 1.0), none=0.0),
            "pw",
            {"stype": 5, "hole": 1, "none": 7, "api99": "many"},
        )
    assert len(caught.value.problems) == 4
    with pytest.raises(SpecError, match="must map columns"):
        weight.calibrate(clus1, "pw", {})


def test_totals_that_leave_the_sum_of_weights_open_are_noted(clus1):
    loose = weight.calibrate(clus1, "pw", {"api99": 3914069})
    assert any("fixes the sum" in note for note in loose.notes)
    tight = weight.calibrate(clus1, "pw", {"one": 6194, "api99": 3914069})
    assert not any("fixes the sum" in note for note in tight.notes)


def test_unusable_weights_are_refused(clus1):
    margins = {"stype": STYPE}
    with pytest.raises(DataError, match="not in the data"):
        weight.rake(clus1, "weight", margins)
    for bad in (np.zeros(183), np.full(183, np.nan), -np.ones(183), np.ones(5)):
        with pytest.raises(DataError):
            weight.rake(clus1, bad, margins)
    with pytest.raises(DataError, match="belong to 183 rows"):
        weight.rake(clus1.iloc[:100], weight.rake(clus1, "pw", margins), margins)
    with pytest.raises(DataError, match="no rows"):
        weight.rake(clus1.iloc[:0], "pw", margins)


def test_results_show_what_happened_and_survive_hostile_labels():
    frame = pd.DataFrame({"<b>": ["<i>x", "y", "y"]})
    found = weight.rake(frame, None, {"<b>": {"<i>x": 2, "y": 2}})
    page = found._repr_html_()
    assert "<i>x" not in page
    assert "<p>raked to &#x27;&lt;b&gt;&#x27;" in page
    assert str(found) == repr(found)
    np.testing.assert_array_equal(np.asarray(found), found.values)
    assert found.plot().get_ylabel() == "rows"
    with pytest.raises(DataError, match="missing or infinite"):
        found.residuals(np.array([1, np.nan, 2]))
    with pytest.raises(DataError, match="shape"):
        found.residuals(np.ones(4))
    with pytest.raises(DataError, match="shape"):
        found.again(np.ones((2, 4)))
    with pytest.raises(DataError, match="negative"):
        found.again(-np.ones(3))
