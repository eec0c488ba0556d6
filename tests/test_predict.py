"""Prediction: agreement with R seminr on given folds, least squares by hand, invariances, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import read_reference, table
from scipy import stats

from csi_lab import DataError, Design, EstimationError, PathModel, SpecError
from csi_lab.moments import Moments
from csi_lab.sem import pls
from csi_lab.sem.folds import clusters_of, shuffled_folds
from csi_lab.sem.predict import plspredict

BAR = 1e-10  # tests/reference/pls/README.md
TIGHT = {"tolerance": 1e-14, "max_iterations": 2000}


def folds_of(reference: dict) -> np.ndarray:
    """The fold of every row, from the stored order."""
    fold = np.empty(len(reference["fold"]), dtype=int)
    fold[np.array(reference["order_1based"]) - 1] = reference["fold"]
    return fold


@pytest.mark.parametrize(("file", "technique"), [("DA", "direct"), ("EA", "earliest")])
def test_agrees_with_seminr_on_its_folds(mobi, ecsi, file, technique):
    """tests/reference/pls/mobi_plspredict_{DA,EA}.json, R seminr 2.3.4: errors in and out of sample, predictions."""
    ref = read_reference(f"pls/mobi_plspredict_{file}.json")
    found = plspredict(mobi, ecsi, assignment=folds_of(ref), technique=technique, **TIGHT)
    ours = found.items.droplevel("construct")
    blocks = {
        "PLS_out": ("rmse", "mae"),
        "LM_out": ("lm_rmse", "lm_mae"),
        "PLS_in": ("rmse_in", "mae_in"),
        "LM_in": ("lm_rmse_in", "lm_mae_in"),
    }
    for block, columns in blocks.items():
        theirs = table(ref[block])[list(ours.index)]
        for column, measure in zip(columns, ("RMSE", "MAE"), strict=True):
            assert (ours[column] - theirs.loc[measure]).abs().max() < BAR, (block, measure)
    theirs = table(ref["PLS_out_pred"]).loc[np.arange(1, 251), list(found.predictions.columns)]
    assert np.abs(found.predictions.to_numpy() - theirs.to_numpy()).max() < BAR
    assert (found.folds, found.repeats, found.n) == (10, 1, 250)


def test_a_fold_is_predicted_by_the_fit_to_all_others(mobi, ecsi):
    """One fold by hand: pls() on the other rows, its scores carried to new rows; least squares for the benchmark."""
    fold = np.arange(250) % 5
    found = plspredict(mobi, ecsi, assignment=fold, **TIGHT)
    train, test = mobi[fold != 2], mobi[fold == 2]
    fit = pls(train, ecsi, **TIGHT)
    scores = fit.scores(test)
    expected = sum(fit.paths.loc[(s, "Value"), "estimate"] * scores[s] for s in ("Expectation", "Quality"))
    by_hand = train["PERV1"].mean() + train["PERV1"].std() * fit.loadings.loc[("Value", "PERV1"), "estimate"] * expected
    assert found.predictions.loc[test.index, "PERV1"].to_numpy() == pytest.approx(by_hand.to_numpy(), abs=1e-10)
    others = [c for c in ecsi.items if c not in ecsi.constructs["Value"]]
    design = np.column_stack([np.ones(len(train)), train[others]])
    b = np.linalg.lstsq(design, train["PERV1"], rcond=None)[0]
    lm_error = ((test["PERV1"] - np.column_stack([np.ones(len(test)), test[others]]) @ b) ** 2).sum()
    loss = found.losses.table[("lm", "Value")].to_numpy()[fold == 2]
    b2 = np.linalg.lstsq(design, train["PERV2"], rcond=None)[0]
    lm_error2 = ((test["PERV2"] - np.column_stack([np.ones(len(test)), test[others]]) @ b2) ** 2).sum()
    assert loss.sum() == pytest.approx((lm_error + lm_error2) / 2, rel=1e-9)


def test_q2_compares_with_the_training_mean(mobi, ecsi):
    fold = np.arange(250) % 10
    found = plspredict(mobi, ecsi, assignment=fold)
    y = mobi["CUSA3"].to_numpy()
    mean = np.array([y[fold != f].mean() for f in fold])
    errors = y - found.predictions["CUSA3"].to_numpy()
    row = found.items.loc[("Satisfaction", "CUSA3")]
    assert row["q2"] == pytest.approx(1 - (errors**2).sum() / ((y - mean) ** 2).sum(), rel=1e-12)
    assert row["rmse"] == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-12)
    assert row["mean_rmse"] == pytest.approx(np.sqrt(((y - mean) ** 2).mean()), rel=1e-12)


def test_one_item_on_one_item_is_least_squares():
    """With single items the path model is the regression line, so both predict alike."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=80)}).assign(y=lambda d: 0.5 * d.x + rng.normal(size=80))
    found = plspredict(frame, PathModel({"X": "x", "Y": "y"}, {"Y": "X"}), folds=80, repeats=1)
    row = found.items.loc[("Y", "y")]
    assert row["rmse"] == pytest.approx(row["lm_rmse"], rel=1e-12)
    # Leave-one-out errors of a line: residual / (1 - leverage).
    design = np.column_stack([np.ones(80), frame["x"]])
    hat = design @ np.linalg.inv(design.T @ design) @ design.T
    loo = (frame["y"] - hat @ frame["y"]) / (1 - np.diag(hat))
    assert row["rmse"] == pytest.approx(np.sqrt((loo**2).mean()), rel=1e-10)


def test_repeats_are_different_shuffles_and_a_seed_repeats_them(mobi, ecsi):
    a, b = (plspredict(mobi, ecsi, repeats=3, rng=7) for _ in range(2))
    by_repeat = a.by_repeat["rmse"].unstack("repeat")
    assert (by_repeat[1] != by_repeat[2]).any()
    assert (by_repeat[2] != by_repeat[3]).any()
    assert a.by_repeat.equals(b.by_repeat)
    assert a.items["rmse"].to_numpy() == pytest.approx(by_repeat.loc[a.items.index].mean(axis=1).to_numpy())


def test_folds_have_equal_sizes_and_hold_out_whole_clusters():
    label = shuffled_folds(103, 10, 4, None, np.random.default_rng(0))
    assert label.shape == (4, 103)
    assert {tuple(sorted(np.bincount(row))) for row in label} == {(10,) * 7 + (11,) * 3}
    frame = pd.DataFrame({"province": list("AAABBB") * 4, "town": [1, 1, 2, 1, 2, 2] * 4})
    clusters = clusters_of(frame, Design(strata="province", psu="town"))
    assert len(set(clusters)) == 4
    label = shuffled_folds(24, 2, 3, clusters, np.random.default_rng(0))
    assert all(len(set(row[clusters == c])) == 1 for row in label for c in range(4))
    with pytest.raises(SpecError, match="4 PSUs"):
        shuffled_folds(24, 5, 1, clusters, np.random.default_rng(0))


def test_whole_weights_equal_repeated_rows(mobi, ecsi):
    w = np.random.default_rng(2).integers(1, 4, len(mobi))
    fold = np.arange(250) % 5
    weighted = plspredict(mobi, ecsi, assignment=fold, weights=w, **TIGHT)
    repeated = plspredict(mobi.loc[mobi.index.repeat(w)], ecsi, assignment=np.repeat(fold, w), **TIGHT)
    assert (weighted.items - repeated.items).abs().max().max() < 1e-9


def test_scaling_an_item_scales_its_error_and_nothing_else(mobi, ecsi):
    stretched = mobi.astype(float).assign(CUSA1=lambda d: 100 * d.CUSA1 - 3)
    a, b = (
        plspredict(x, ecsi, repeats=1, rng=1, **TIGHT).items["rmse"].droplevel("construct") for x in (mobi, stretched)
    )
    assert b["CUSA1"] == pytest.approx(100 * a["CUSA1"], rel=1e-9)
    assert b.drop("CUSA1").to_numpy() == pytest.approx(a.drop("CUSA1").to_numpy(), rel=1e-9)


def test_the_verdict_counts_items_as_the_guidelines_say(mobi, ecsi):
    """Shmueli et al. (2019): all items high, at least half medium, fewer low, none no predictive power."""
    ref = read_reference("pls/mobi_plspredict_DA.json")
    found = plspredict(mobi, ecsi, assignment=folds_of(ref))
    better = table(ref["PLS_out"]).loc["RMSE"] < table(ref["LM_out"]).loc["RMSE"]
    assert better.sum() == 9
    assert "RMSE below the linear model's for 9 of 19: low predictive power" in found.verdict()
    loyal = better[["CUSL1", "CUSL2", "CUSL3"]]
    assert loyal.all()
    assert found.verdict("Loyalty").endswith("3 of 3: high predictive power")
    assert not better[[c for c in better.index if c.startswith("PERQ")]].any()
    assert "no predictive power beyond the linear model" in found.verdict("Quality")
    assert "MAE" in found.verdict(error="mae")
    with pytest.raises(SpecError, match="'Image' is not endogenous"):
        found.verdict("Image")


def test_noise_is_not_predicted():
    """Unrelated items: Q2 predict is at most a little above 0 in none, and the items are named."""
    frame = pd.DataFrame(np.random.default_rng(3).normal(size=(200, 4)), columns=["a", "b", "c", "d"])
    found = plspredict(frame, PathModel({"X": ["a", "b"], "Y": ["c", "d"]}, {"Y": "X"}), repeats=5)
    assert (found.items["q2"] < 0.02).all()
    worse = [i for (_, i), v in found.items["q2"].items() if v <= 0]
    assert worse
    assert f"(not: {', '.join(worse)})" in str(found)


def test_cvpat_is_the_paired_t_test_of_the_losses(mobi, ecsi):
    found = plspredict(mobi, ecsi, repeats=2, rng=1)
    test = found.cvpat()
    losses = found.losses.table
    for name, benchmark in (("mean", "training mean"), ("lm", "linear model")):
        for construct in ("Satisfaction", "all items"):
            t = stats.ttest_rel(losses[("pls", construct)], losses[(name, construct)])
            row = test.table.loc[(benchmark, construct)]
            assert [row["t"], row["p"]] == pytest.approx([t.statistic, t.pvalue], rel=1e-9)
            assert row["estimate"] == pytest.approx(row["loss"] - row["benchmark_loss"])
    ends = stats.ttest_rel(losses[("pls", "Loyalty")], losses[("lm", "Loyalty")]).confidence_interval(0.9)
    row = found.cvpat(level=0.9).table.loc[("linear model", "Loyalty")]
    assert [row["low"], row["high"]] == pytest.approx([ends.low, ends.high], rel=1e-9)
    assert "against the training mean" in str(test)


def test_the_loss_of_all_items_is_the_mean_over_items(mobi, ecsi):
    found = plspredict(mobi, ecsi, repeats=1, rng=1)
    y = mobi[list(found.predictions.columns)].to_numpy()
    by_hand = ((y - found.predictions.to_numpy()) ** 2).mean(axis=1)
    assert found.losses.table[("pls", "all items")].to_numpy() == pytest.approx(by_hand, rel=1e-9)


def test_cvpat_of_a_weighted_sample_rests_on_replicates(mobi, ecsi):
    """Equal weights: the replicate error is that of the t test within the noise of 2,000 draws (about 2 %)."""
    plain, weighted = (plspredict(mobi, ecsi, repeats=1, rng=1, weights=w) for w in (None, np.full(250, 2.0)))
    a, b = plain.cvpat(), weighted.cvpat()
    assert b.method.startswith("standard errors from 2000 replicates")
    assert b.table["estimate"].to_numpy() == pytest.approx(a.table["estimate"].to_numpy(), abs=1e-9)
    assert b.table["se"].to_numpy() == pytest.approx(a.table["se"].to_numpy(), rel=0.1)


def test_missing_answers_are_left_out_and_counted(mobi, ecsi):
    holes = mobi.astype(float)
    holes.loc[[3, 9], "CUSA1"] = np.nan
    fold = np.arange(250) % 10
    found = plspredict(holes, ecsi, assignment=fold)
    complete = plspredict(mobi.drop(index=[3, 9]), ecsi, assignment=np.delete(fold, [3, 9]))
    assert found.dropped == 2
    assert found.predictions.equals(complete.predictions)
    assert "2 left out" in str(found)


def test_the_linear_benchmark_is_left_out_where_it_does_not_exist(mobi, ecsi):
    found = plspredict(mobi.assign(PERQ2=lambda d: d.PERQ1), ecsi, repeats=1)
    assert "exactly collinear items ['PERQ1', 'PERQ2']" in str(found)
    assert found.items["lm_rmse"].isna().any()
    assert "not rated" in found.verdict()
    assert found.cvpat().table.loc[("linear model", "Satisfaction"), "verdict"] == "the benchmark does not exist"
    few = plspredict(mobi[:40], ecsi, folds=2, repeats=1)
    assert "items for 20 cases" in str(few)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"CUSCO": 5}, DataError, r"do not vary.*\['CUSCO'\]"),
        ({"CUSCO": "x"}, DataError, "'CUSCO' holds text"),
        ({"CUSCO": np.nan}, DataError, r"without any answer: \['CUSCO'\]"),
        (
            {"CUSCO": [1] * 225 + [1, 2, 3, 4, 5] * 5},
            EstimationError,
            r"without fold \[2\] of 2: items that do not vary.*CUSCO",
        ),
    ],
)
def test_data_that_cannot_be_predicted_are_refused(mobi, ecsi, change, error, message):
    with pytest.raises(error, match=message):
        plspredict(mobi.assign(**change), ecsi, assignment=np.arange(250) >= 225)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "folds=1"),
        ({"folds": 251}, "folds=251"),
        ({"repeats": 0}, "repeats=0"),
        ({"technique": "DA"}, "technique='DA'"),
        ({"assignment": [1, 2]}, "one fold per row"),
        ({"assignment": [1] * 250}, "one fold"),
        ({"assignment": [np.nan] * 250}, "missing"),
        ({"assignment": [None] + ["a", "b"] * 124 + ["a"]}, "missing"),
        ({"assignment": [[1, 2], [1]]}, "one fold per row"),
        ({"folds": 10.0}, r"folds=10.0 must lie between 2 and the 250 complete cases, a whole number"),
        ({"folds": "ten"}, "folds='ten'"),
        ({"repeats": 2.5}, "repeats=2.5 must be a whole number of at least 1"),
        ({"rng": "x"}, "rng='x' must be a whole number >= 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(mobi, ecsi, settings, message):
    with pytest.raises(SpecError, match=message):
        plspredict(mobi, ecsi, **settings)


def test_folds_in_a_series_go_by_its_index(mobi, ecsi):
    folds = pd.Series(np.arange(250) % 5, index=mobi.index)
    plain, mixed = (
        plspredict(mobi, ecsi, assignment=a) for a in (folds.tolist(), folds.sample(frac=1, random_state=1))
    )
    pd.testing.assert_frame_equal(plain.items, mixed.items)
    with pytest.raises(DataError, match="the folds are a Series with another index"):
        plspredict(mobi, ecsi, assignment=folds.set_axis(folds.index + 1))


def test_levels_of_the_test_that_are_none_are_refused(mobi, ecsi):
    found = plspredict(mobi, ecsi, repeats=1, folds=2)
    for level in (95, "95%", None):
        with pytest.raises(SpecError, match="must lie between 0 and 1"):
            found.cvpat(level=level)


def test_moments_and_three_rows_are_refused(mobi, ecsi):
    with pytest.raises(DataError, match="no rows to predict"):
        plspredict(Moments.from_frame(mobi), ecsi)
    with pytest.raises(EstimationError, match="3 complete rows"):
        plspredict(mobi[:3], ecsi)


def test_results_have_their_faces(mobi, ecsi):
    found = plspredict(mobi, ecsi, repeats=1)
    assert list(found.to_frame().index.names) == ["construct", "item"]
    assert "<table" in found._repr_html_()
    assert "<table" in found.cvpat()._repr_html_()
    assert len(found.plot().texts) == 19


def test_rows_of_weight_zero_are_nobody_in_prediction_and_group_comparison(mobi, ecsi):
    """Giving 50 respondents weight zero is leaving them out."""
    from csi_lab.sem import compare_groups, micom

    w, groups = np.r_[np.zeros(50), np.ones(200)], np.arange(250) % 2
    ours = plspredict(mobi, ecsi, weights=w, folds=5, rng=1)
    alone = plspredict(mobi[50:], ecsi, weights=w[50:], folds=5, rng=1)
    assert ours.to_frame().equals(alone.to_frame())
    settings = {"draws": 20, "rng": 1}
    both = [compare_groups(mobi[k:], groups[k:], ecsi, weights=w[k:], **settings).to_frame() for k in (0, 50)]
    assert both[0].equals(both[1])
    both = [micom(mobi[k:], groups[k:], ecsi, weights=w[k:], **settings).to_frame() for k in (0, 50)]
    assert both[0].equals(both[1])
