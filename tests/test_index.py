"""The 0-100 index: published values, R, the range, refusals."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import read_reference, table

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, EstimationError, PathModel, SpecError, index
from csi_lab.design import Design
from csi_lab.moments import Moments
from csi_lab.sem import pls


@pytest.fixture(scope="module")
def fits(mobi, ecsi):
    return {scaled: pls(mobi, ecsi, scaled=scaled, tolerance=1e-13, max_iterations=2000) for scaled in (True, False)}


@pytest.mark.parametrize(
    ("variant", "column", "bar", "satisfaction"),
    [
        ("acsi", "acsi", 1e-9, 72.454),
        ("standardised", "standardised_weights", 1e-9, 71.782),
        ("unscaled", "plspm_unscaled", 1e-7, 71.169),
        ("equal", "equal_weights", 1e-9, 71.970),
    ],
)
def test_the_four_published_weightings_agree_with_r(fits, variant, column, bar, satisfaction):
    """tests/reference/pls/mobi_index.json: seminr, plspm; cSEM's doIPMA is a second source of `acsi`."""
    theirs = table(read_reference("pls/mobi_index.json")["index"])
    ours = index.from_fit(fits[variant != "unscaled"], (1, 10), variant=variant)
    assert (ours.table["estimate"] - theirs[column]).abs().max() < bar
    assert ours.value == pytest.approx(satisfaction, abs=5e-4)
    if variant == "acsi":
        assert (ours.table["estimate"] - theirs["csem_doIPMA"]).abs().max() < bar


def test_comparison_shows_the_four_side_by_side(mobi, ecsi, fits):
    shown = index.compare(mobi, (1, 10), ecsi, tolerance=1e-13, max_iterations=2000)
    assert list(shown.columns) == list(index.VARIANTS)
    for variant in shown.columns:
        alone = index.from_fit(fits[variant != "unscaled"], (1, 10), variant=variant)
        assert (shown[variant] - alone.table["estimate"]).abs().max() < 1e-9


def test_acsi_formula_on_published_answers():
    """published_tables.json, acsi_formula: all 1 -> 0, all 10 -> 100, (8, 7, 6; .4, .3, .3) -> 67.7778."""
    published = next(t for t in read_reference("published_tables.json")["tables"] if t["id"] == "acsi_formula")["data"]
    for case in published["tests"]:
        answers = pd.DataFrame([case["x"]], columns=["x1", "x2", "x3"])
        weights = dict(zip(answers.columns, case["w"], strict=True))
        assert index.respondent_index(answers, weights, (1, 10)).iloc[0] == pytest.approx(case["score"], abs=1e-6)


def test_the_index_is_the_mean_of_the_respondents_and_its_se_their_spread(mobi, fits):
    """se = sd / sqrt(n) of the respondents' index when the weights are held fixed."""
    result = index.from_fit(fits[True], (1, 10))
    each = index.respondent_index(mobi, result.weights.loc["Satisfaction", "estimate"], (1, 10))
    assert each.mean() == pytest.approx(result.value, abs=1e-10)
    assert each.std() / np.sqrt(len(each)) == pytest.approx(result.se, rel=1e-10)
    assert result.high - result.value == pytest.approx(1.969537 * result.se, rel=1e-6)  # t with 249 df


def test_equal_weights_meet_the_published_mean_and_margin(mobi, ecsi):
    """published_tables.json, mobi_descriptives: 71.97, margin 1.825 with the normal 1.96 (ours takes t: 1.834)."""
    result = index.from_items(mobi, {"Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]}, (1, 10))
    assert result.value == pytest.approx(71.97037037, abs=1e-7)
    assert 1.96 * result.se == pytest.approx(1.82521475, abs=1e-3)


def test_respondents_with_missing_answers_keep_their_place():
    frame = pd.DataFrame({"x": [1, np.nan, 10]}, index=[5, 6, 7])
    each = index.respondent_index(frame, {"x": 1.0}, (1, 10))
    assert each.index.tolist() == [5, 6, 7]
    assert each.isna().tolist() == [False, True, False]


@pytest.mark.parametrize(("low", "high"), [(1, 10), (0, 100), (1, 5)])
def test_the_index_does_not_depend_on_how_the_scale_is_numbered(mobi, ecsi, low, high):
    moved = low + (mobi - 1) / 9 * (high - low)
    a = index.from_fit(pls(mobi, ecsi, tolerance=1e-13), (1, 10)).table
    b = index.from_fit(pls(moved, ecsi, tolerance=1e-13), (low, high)).table
    assert (a - b).abs().max().max() < 1e-9


def test_bounds_may_differ_by_item(mobi, ecsi, fits):
    mixed = mobi.assign(CUSA1=(mobi["CUSA1"] - 1) / 9 * 100)
    bounds = {**dict.fromkeys(ecsi.items, (1, 10)), "CUSA1": (0, 100)}
    ours = index.from_fit(pls(mixed, ecsi, tolerance=1e-13), bounds)
    assert ours.value == pytest.approx(index.from_fit(fits[True], (1, 10)).value, abs=1e-9)


@pytest.fixture(scope="module")
def negative(mobi):
    """Mode B with a redundant item gives negative weights: here three, known from R (mobi_B_path.json)."""
    model = PathModel(
        {"Quality": [f"PERQ{i}" for i in range(1, 8)], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]},
        {"Satisfaction": "Quality"},
    )
    return pls(mobi.assign(PERQ1=11 - mobi["PERQ1"]), model)


def test_a_negative_weight_is_refused_by_name_and_other_constructs_stay(negative):
    assert index.negative_weights(negative)["item"].tolist() == ["PERQ1"]
    # An interval that reaches below zero is no negative weight.
    drawn = negative.bootstrap(draws=100)
    assert index.negative_weights(drawn)["item"].tolist() == ["PERQ1"]
    with pytest.raises(EstimationError, match=r"Quality: negative weight of PERQ1 \(-0\.\d+ of all weight\)"):
        index.from_fit(negative, (1, 10))
    only = index.from_fit(negative, (1, 10), constructs=["Satisfaction"])
    assert 0 < only.value < 100


def test_comparison_leaves_a_refused_index_empty(mobi, negative):
    frame = mobi.assign(PERQ1=11 - mobi["PERQ1"])
    shown = index.compare(frame, (1, 10), negative.model)
    assert shown.loc["Quality"].isna().to_dict() == {
        "acsi": True,
        "standardised": True,
        "unscaled": True,
        "equal": False,
    }


def test_comparison_where_no_construct_has_an_index_is_empty_but_for_equal_weights(mobi):
    frame = mobi.assign(PERQ1=11 - mobi["PERQ1"], CUSA1=11 - mobi["CUSA1"])
    model = PathModel({"Q": ["PERQ1", "PERQ2", "PERQ3"], "S": ["CUSA1", "CUSA2", "CUSA3"]}, {"S": "Q"})
    shown = index.compare(frame, (1, 10), model)
    assert shown.drop(columns="equal").isna().all(axis=None)
    assert shown["equal"].notna().all()


def test_a_draw_with_a_negative_weight_has_no_index(mobi, negative):
    items = list(negative.model.items)
    parts = [Moments.from_frame(f[items]) for f in (mobi, mobi.assign(PERQ1=11 - mobi["PERQ1"]))]
    draws = index.from_fit(pls(Moments.stack(parts), negative.model), (1, 10))
    assert draws.table.loc["Quality"].isna().tolist() == [False, True]
    assert draws.table.loc["Satisfaction"].notna().all()


def test_draws_without_an_index_are_counted_and_their_items_named():
    """An item that measures nothing has a negative weight in about half of the draws."""
    rng = np.random.default_rng(6)
    x, noise = rng.normal(size=60), rng.normal(size=(60, 5))
    answers = np.column_stack([x, x, 0 * x, x, x]) + noise
    frame = pd.DataFrame((answers * 1.2 + 5.5).clip(1, 10), columns=["x1", "x2", "x3", "y1", "y2"])
    fit = pls(frame, PathModel({"X": ["x1", "x2", "x3"], "Y": ["y1", "y2"]}, {"Y": "X"})).bootstrap(200, rng=1)
    lost = int((fit.replicated.solution.weights[:, 2] < 0).sum())
    assert lost > 20
    found = index.from_fit(fit, (1, 10), constructs="X")
    assert f"up to {lost} draws without an index left out, negative weights: x3 in {lost}" in str(found)
    assert found.table.loc["X", "low"] < found.table.loc["X", "estimate"] < found.table.loc["X", "high"]


def test_the_level_asked_for_is_the_level_given(mobi, ecsi):
    fit = pls(mobi, ecsi).bootstrap(200, rng=1, level=0.9)
    assert index.from_fit(fit, (1, 10)).level == 0.9
    wide, narrow = (index.from_fit(fit, (1, 10), level=level) for level in (0.95, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high
    assert "50% CI" in str(narrow)


def test_means_outside_the_declared_scale_are_refused(fits):
    with pytest.raises(EstimationError, match=r"CUSA1 \(bounds 1 to 7\)"):
        index.from_fit(fits[True], (1, 7))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"variant": "unscaled"}, EstimationError, "scaled=False"),
        ({"variant": "best"}, SpecError, "use one of"),
        ({"target": "Happiness"}, SpecError, "Happiness"),
        ({"constructs": ["Trust"]}, SpecError, "Trust"),
        ({"level": 95}, SpecError, "between 0 and 1"),
        ({"level": "95%"}, SpecError, "between 0 and 1"),
        ({"variant": ["acsi"]}, SpecError, "use one of"),
        ({"constructs": 3}, SpecError, "constructs must be a list of names, got 3"),
    ],
)
def test_impossible_requests_are_refused(fits, settings, error, message):
    with pytest.raises(error, match=message):
        index.from_fit(fits[True], (1, 10), **settings)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((10, 1), "low < high"),
        ({"CUSA1": (1, 10)}, "no bounds"),
        (10, "pairs"),
        ("ab", "pairs"),
        ((1, np.inf), "finite"),
        (("1", "10"), "finite"),
        ((1, 5, 10), "pairs"),
    ],
)
def test_bounds_that_make_no_scale_are_refused(fits, bounds, message):
    with pytest.raises(SpecError, match=message):
        index.from_fit(fits[True], bounds)


def test_no_interval_is_given_that_would_ignore_the_design(mobi, ecsi):
    class Clustered:
        design = Design(psu="town")
        model = ecsi

        def moments(self, items, missing):
            return Moments.from_frame(mobi[list(items)], missing=missing)

    weighted = index.from_fit(pls(mobi, ecsi, weights=np.linspace(1, 2, 250)), (1, 10))
    clustered = index.from_fit(pls(Clustered()), (1, 10))
    for result in (weighted, clustered):
        assert list(result.table.columns) == ["estimate"]
        assert "weights, strata or clusters" in str(result)
        with pytest.raises(EstimationError, match="weights, strata or clusters"):
            _ = result.se


def test_html_is_escaped():
    frame = pd.DataFrame({"x": [1, 5, 10], "y": [2, 5, 9]})
    assert "<script>" not in index.from_items(frame, {"<script>": ["x", "y"]}, (1, 10))._repr_html_()


def test_groups_average_to_the_whole(mobi, fits):
    """With one set of item weights the index of the survey is the n-weighted mean of its groups."""
    whole = index.from_fit(fits[True], (1, 10))
    groups = np.arange(250) % 3
    table = index.by_group(mobi, groups, whole.weights.loc["Satisfaction", "estimate"], (1, 10))
    assert np.average(table["estimate"], weights=table["n"]) == pytest.approx(whole.value, abs=1e-10)
    alone = index.from_items(mobi[groups == 1], {"S": ["CUSA1"]}, (1, 10), target="S")
    one = index.by_group(mobi, groups, {"CUSA1": 2.0}, (1, 10)).loc["1"]
    assert (one["estimate"], one["se"]) == pytest.approx((alone.value, alone.se), rel=1e-12)


def test_nobody_disappears_from_the_groups():
    frame = pd.DataFrame({"x": [1, 10, np.nan, 5]}, index=[7, 7, 8, 9])
    table = index.by_group(frame, ["a", "a", "b", None], {"x": 1.0}, (1, 10))
    assert table[["n", "left_out"]].to_numpy().sum() == 4
    assert table.loc["(no group)", "n"] == 1
    assert table.loc["b", ["n", "left_out"]].tolist() == [0, 1]
    weighted = index.by_group(frame, ["a", "a", "b", None], {"x": 1.0}, (1, 10), case_weights=[3, 1, 1, 1])
    assert weighted.loc["a", "estimate"] == pytest.approx(25)
    # Two rows of weights 3 and 1 in a sample of four rows: z = w (x - 25) / 4, variance 4/3 sum z^2.
    z = np.array([3 * -25, 1 * 75]) / 4
    assert weighted.loc["a", "se"] == pytest.approx(np.sqrt(4 / 3 * (z**2).sum()))


def test_group_intervals_follow_the_clusters(mobi):
    """Everybody interviewed four times by mistake: as clusters the error of a group is that of its people alone."""

    class Clustered:
        frame = pd.concat([mobi] * 4, ignore_index=True).assign(person=np.tile(np.arange(250), 4))
        design = Design(psu="person")

    half = np.arange(250) % 2
    table = index.by_group(Clustered(), np.tile(half, 4), {"CUSA1": 1.0}, (1, 10))
    alone = index.by_group(mobi, half, {"CUSA1": 1.0}, (1, 10))
    assert table["estimate"].to_numpy() == pytest.approx(alone["estimate"].to_numpy())
    # A domain: its size is left to chance, which adds one degree of freedom at most.
    assert table["se"].to_numpy() == pytest.approx(alone["se"].to_numpy(), rel=1 / 125)


def test_groups_without_a_variance_say_why(mobi):
    class Lonely:
        frame = mobi.assign(h=np.where(np.arange(250) < 10, "alone", "rest"), town=np.arange(250) // 10)
        design = Design(strata="h", psu="town")

    with pytest.warns(CsiLabWarning, match="groups have no interval: .*alone"):
        table = index.by_group(Lonely(), np.arange(250) % 2, {"CUSA1": 1.0}, (1, 10))
    assert table["estimate"].notna().all()
    assert table["se"].isna().all()


def test_each_construct_uses_all_who_answered_it():
    """A hole in another construct must not cost this one a respondent."""
    frame = pd.DataFrame({"s": [2.0, 4, 6, 8], "l": [10, 10, np.nan, np.nan]})
    result = index.from_items(frame, {"Sat": "s", "Loy": "l"}, (1, 10), target="Sat")
    assert result.value == pytest.approx(100 * (5 - 1) / 9)
    assert result.rows.to_dict() == {"n": {"Sat": 4, "Loy": 2}, "left_out": {"Sat": 0, "Loy": 2}}
    assert "n = 2, 2 left out" in result.describe("Loy")


def test_equal_weights_are_equal_on_mixed_scales():
    """The index of two items on 0-100 and 1-10 is the mean of their two indices."""
    frame = pd.DataFrame({"a": [0.0, 50, 80], "b": [10.0, 4, 7]})
    bounds = {"a": (0, 100), "b": (1, 10)}
    alone = [index.from_items(frame, {"X": i}, bounds, target="X").value for i in "ab"]
    together = index.from_items(frame, {"X": ["a", "b"]}, bounds, target="X")
    assert together.value == pytest.approx(np.mean(alone))
    assert together.weights["estimate"].tolist() == [0.5, 0.5]
    each = index.respondent_index(frame, together.weights.loc["X", "estimate"], bounds)
    assert each.mean() == pytest.approx(together.value)


def test_answers_outside_the_bounds_are_refused_with_their_rows():
    frame = pd.DataFrame({"x": [5.0, 99, 7]})
    for call in (
        lambda: index.respondent_index(frame, {"x": 1.0}, (1, 10)),
        lambda: index.from_items(frame, {"X": "x"}, (1, 10)),
        lambda: index.by_group(frame, [1, 1, 2], {"x": 1.0}, (1, 10)),
    ):
        with pytest.raises(EstimationError, match=r"x: 1 answers outside 1 to 10 in rows 1, e\.g\. 99"):
            call()


def test_the_interval_covers_at_small_n():
    """Student's t: 95 % intervals of a normal-like item cover in 95 % of 800 samples of 8, +- 4 standard errors."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(800):
        frame = pd.DataFrame({"x": rng.normal(5.5, 1, 8)})
        result = index.from_items(frame, {"X": "x"}, (0, 11), target="X")
        hits += result.low <= 50 <= result.high
    assert abs(hits / 800 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 800)


def test_groups_in_a_series_go_by_its_index(mobi):
    label = pd.Series(["a"] * 100 + ["b"] * 150, index=mobi.index)
    plain = index.by_group(mobi, label.tolist(), {"CUSA1": 1.0}, (1, 10))
    for groups in (label, label.sample(frac=1, random_state=1)):
        pd.testing.assert_frame_equal(index.by_group(mobi, groups, {"CUSA1": 1.0}, (1, 10)), plain)
    pd.testing.assert_frame_equal(index.by_group(mobi.assign(g=label), "g", {"CUSA1": 1.0}, (1, 10)), plain)
    with pytest.raises(DataError, match="the groups are a Series with another index"):
        index.by_group(mobi, label.set_axis(label.index + 1), {"CUSA1": 1.0}, (1, 10))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (["CUSA1"], "weights must map items to numbers"),
        ({"CUSA1": "heavy"}, r"no finite numbers: \['CUSA1'\]"),
        ({"CUSA1": np.inf, "CUSA2": 1}, r"no finite numbers: \['CUSA1'\]"),
        (pd.Series([1, 2], index=["CUSA1", "CUSA1"]), r"weights given twice: \['CUSA1'\]"),
    ],
)
def test_item_weights_that_are_none_are_refused(mobi, weights, message):
    with pytest.raises(SpecError, match=message):
        index.respondent_index(mobi, weights, (1, 10))


def test_a_survey_has_respondents_too(mobi):
    weights = {"CUSA1": 1.0, "CUSA2": 2.0}
    found = index.respondent_index(csi.load_survey("mobile"), weights, (1, 10))
    assert (found == index.respondent_index(mobi, weights, (1, 10))).all()
    for wrong in (None, [1, 2]):
        with pytest.raises(DataError, match="need a survey or a DataFrame"):
            index.respondent_index(wrong, weights, (1, 10))


def test_what_is_no_fit_and_no_construct_is_refused(mobi, ecsi):
    with pytest.raises(SpecError, match=r"need a fit of csi.sem.pls, got DataFrame.*from_items"):
        index.from_fit(mobi, (1, 10))
    with pytest.raises(SpecError, match="constructs must map names to items"):
        index.from_items(mobi, ["CUSA1"], (1, 10))
    with pytest.raises(SpecError, match="leave scaled out"):
        index.compare(mobi, (1, 10), ecsi, scaled=True)
    with pytest.raises(SpecError, match="weights are given twice"):
        index.by_group(
            SimpleNamespace(frame=mobi.assign(w=1.0), design=Design(weights="w")),
            ["a", "b"] * 125,
            {"CUSA1": 1.0},
            (1, 10),
            case_weights=[1.0] * 250,
        )


def test_groups_that_do_not_fit_are_refused(mobi):
    with pytest.raises(DataError, match="3 groups for 250"):
        index.by_group(mobi, [1, 2, 3], {"CUSA1": 1.0}, (1, 10))
    with pytest.raises(DataError, match="negative"):
        index.by_group(mobi, np.ones(250), {"CUSA1": 1.0}, (1, 10), case_weights=-np.ones(250))
    with pytest.raises(SpecError, match="between 0 and 1"):
        index.by_group(mobi, np.ones(250), {"CUSA1": 1.0}, (1, 10), level=2)
    with pytest.raises(SpecError, match="no construct"):
        index.from_fit(
            pls(mobi[["CUSA1", "CUSA2"]], PathModel({"A": "CUSA1", "B": "CUSA2"}, {"B": "A"})), (1, 10), constructs=[]
        )
