"""Assessment of PLS models: agreement with R, published figures, closed forms, words, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, ecsi_mobile, read_reference, table

import csi_lab as csi
from csi_lab import DataError, EstimationError, PathModel, SpecError
from csi_lab.moments import Moments
from csi_lab.resampling import replicates
from csi_lab.sem import pls, plspredict
from csi_lab.sem.algorithm import Layout
from csi_lab.sem.assess import item_vif, own_loadings, ways, without_path
from csi_lab.sem.implied import construct_correlations, item_correlations

BAR = 1e-10  # tests/reference/pls/README.md
BAR_CRITERIA = 1e-9  # AIC, BIC, there
MULTI = ["Image", "Expectation", "Quality", "Value", "Satisfaction", "Loyalty"]
SEMINR = [
    ("mobi_A_path.json", "path", {}),
    ("mobi_A_factorial.json", "factorial", {}),
    ("mobi_B_path.json", "path", dict.fromkeys(MULTI, "B")),
    ("mobi_mixedB_path.json", "path", {"Image": "B", "Expectation": "B"}),
]
TABLES = [
    "paths",
    "weights",
    "loadings",
    "cross_loading_estimates",
    "correlation_estimates",
    "r2",
    "r2_adjusted",
    "total_effects",
    "indirect_effects",
    "reliability",
    "htmt",
    "htmt2",
    "fornell_larcker",
    "vif",
    "item_vif",
    "f2",
    "f2_reestimated",
    "specific_indirect_effects",
    "model_fit",
    "information_criteria",
]


def tight(mobi, model, **settings):
    return pls(mobi, model, tolerance=1e-14, max_iterations=2000, **settings)


def gap(ours: pd.DataFrame, theirs: pd.DataFrame, *, turn: bool = False) -> float:
    """Largest difference over the index (row, column) of ours; ``turn`` exchanges row and column."""
    pairs = [(b, a) if turn else (a, b) for a, b in ours.index]
    return max(abs(v - theirs.loc[r, c]) for v, (r, c) in zip(ours["estimate"], pairs, strict=True))


@pytest.mark.parametrize(("file", "scheme", "modes"), SEMINR)
def test_agrees_with_seminr(mobi, file, scheme, modes):
    """tests/reference/pls/mobi_*.json, R seminr 2.3.4."""
    ref = read_reference(f"pls/{file}")
    fit = tight(mobi, ecsi_mobile(modes), scheme=scheme)
    ours = fit.reliability["estimate"].unstack()
    theirs = table(ref["reliability"])
    for name, their in (("alpha (standardised)", "alpha"), ("rho_A", "rhoA"), ("rho_C", "rhoC"), ("AVE", "AVE")):
        assert (ours[name] - theirs[their]).abs().max() < BAR, name
    assert gap(fit.htmt, table(ref["htmt"])) < BAR
    assert gap(fit.fornell_larcker, table(ref["fornell_larcker"])) < BAR
    assert max(abs(v - ref["vif_items"][c][i]) for (c, i), v in fit.item_vif["estimate"].items()) < BAR
    # seminr has no VIF for the only source of a construct; it is 1.
    assert max(abs(v - (ref["vif_antecedents"][t][s] or 1)) for (s, t), v in fit.vif["estimate"].items()) < BAR
    assert gap(fit.f2, table(ref["f2_fixed_scores"])) < BAR
    assert gap(fit.f2_reestimated, table(ref["f2_reestimated"])) < BAR
    assert gap(fit.information_criteria, table(ref["it_criteria"]), turn=True) < BAR_CRITERIA


@pytest.mark.parametrize("scheme", ["path", "factorial", "centroid"])
def test_fit_measures_f2_and_htmt2_agree_with_csem(mobi, ecsi, scheme):
    """tests/reference/pls/mobi_csem.json, R cSEM 0.6.1; its d_G has logarithms to base 10, its f2 the target as row."""
    ref = read_reference("pls/mobi_csem.json")[f"{scheme}_PLS"]
    fit = tight(mobi, ecsi, scheme=scheme)
    theirs = {
        "GoF": ref["gof"],
        "SRMR": ref["srmr"],
        "d_ULS": ref["dL"],
        "d_G": ref["dG_log10"] * np.log(10) ** 2,
        "d_ML": ref["dML"],
    }
    assert (fit.model_fit["estimate"] - pd.Series(theirs)).abs().max() < BAR
    assert gap(fit.f2, table(ref["f2"]), turn=True) < BAR
    htmt2 = table(ref["htmt2"])
    several = fit.htmt2[[set(pair) <= set(MULTI) for pair in fit.htmt2.index]]
    undefined = several["estimate"].isna()
    assert several.index[undefined].tolist() == [("Loyalty", "Quality")]  # PERQ2 and CUSL2 correlate at -.13
    assert np.isnan(htmt2.loc["Loyalty", "Quality"])
    assert gap(several[~undefined], htmt2) < BAR


def published(name: str) -> dict:
    return next(t for t in read_reference("published_tables.json")["tables"] if t["id"] == name)["data"]


def test_meets_the_published_alphas_and_ave(mobi, ecsi):
    """published_tables.json: mobi_descriptives, four decimals, and ecsi_mobi_std_path_derived."""
    known, fit = published("mobi_descriptives"), tight(mobi, ecsi)
    ours = fit.reliability["estimate"].unstack()
    for column, theirs in (("alpha (raw)", known["alpha_raw"]), ("alpha (standardised)", known["alpha_std"])):
        assert all(ours.loc[c, column] == pytest.approx(v, abs=5e-5) for c, v in theirs.items()), column
    for construct, value in published("ecsi_mobi_std_path_derived")["AVE"].items():
        assert ours.loc[construct, "AVE"] == pytest.approx(value, abs=5e-6)


def test_meets_the_goodness_of_fit_of_the_unscaled_solution(mobi, ecsi):
    """Tenenhaus et al. (2005) setting, computed independently: communality of 23 items, mean R2, GoF."""
    known = published("tenenhaus2005_ecsi_mobile")
    fit = tight((mobi - 1) / 9 * 100, ecsi, scheme="centroid", scaled=False)
    assert fit.model_fit.loc["GoF", "estimate"] == pytest.approx(known["GoF"], abs=1e-4)
    communality = own_loadings(fit.solution, fit.layout)[fit.layout.block != 5] ** 2
    assert communality.mean() == pytest.approx(known["mean_communality_23_items"], abs=1e-4)


def test_rho_a_does_not_depend_on_the_units_of_the_weights(mobi, ecsi):
    """Where all items have sd 1, scaled and unscaled estimation are the same thing."""
    z = (mobi - mobi.mean()) / mobi.std()
    scaled, raw = tight(z, ecsi), tight(z, ecsi, scaled=False)
    assert (scaled.reliability - raw.reliability)["estimate"].abs().max() < 1e-12


def test_f2_is_what_dropping_the_source_from_the_regression_of_scores_costs(mobi, ecsi):
    fit = tight(mobi, ecsi)
    scores = fit.scores(mobi)
    for (source, target), value in fit.f2["estimate"].items():
        rest = [s for s in ecsi.paths[target] if s != source]
        y = scores[target].to_numpy()
        residual = y - scores[rest].to_numpy() @ np.linalg.lstsq(scores[rest], y, rcond=None)[0] if rest else y
        without = 1 - residual @ residual / (y @ y)
        r2 = fit.r2.loc[target, "estimate"]
        assert value == pytest.approx((r2 - without) / (1 - r2), abs=1e-12)


def test_a_source_that_loses_its_only_path_leaves_the_model():
    model = PathModel({"A": ["a1", "a2"], "B": "b", "C": "c"}, {"C": ["A", "B"]})
    rest = without_path(model, "A", "C")
    assert (list(rest.constructs), dict(rest.paths)) == (["B", "C"], {"C": ("B",)})
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 4))
    x[:, 3] += x[:, :3].sum(axis=1)
    frame = pd.DataFrame(x, columns=["a1", "a2", "b", "c"])
    fit = tight(frame, model)
    r2, alone = fit.r2.loc["C", "estimate"], frame["b"].corr(frame["c"]) ** 2
    assert fit.f2_reestimated.loc[("A", "C"), "estimate"] == pytest.approx((r2 - alone) / (1 - r2), abs=1e-12)


def test_specific_effects_add_up_to_the_indirect_effects(mobi, ecsi):
    fit = pls(mobi, ecsi)
    total = fit.specific_indirect_effects["estimate"].groupby(level=["source", "target"]).sum()
    indirect = fit.indirect_effects["estimate"]
    assert set(total.index) == set(indirect.index[indirect.abs() > 1e-14])
    assert (total - indirect.loc[total.index]).abs().max() < 1e-14
    way = "Image -> Expectation -> Quality"
    b = fit.paths["estimate"]
    expected = b["Image", "Expectation"] * b["Expectation", "Quality"]
    assert fit.specific_indirect_effects.loc[("Image", "Quality", way), "estimate"] == pytest.approx(
        expected, abs=1e-15
    )


def test_a_model_without_intermediate_constructs_has_no_ways():
    assert ways(PathModel({"A": "a", "B": "b"}, {"B": "A"})) == ()


def test_item_vif_is_that_of_the_regression_on_the_other_items(mobi, ecsi):
    fit = pls(mobi, ecsi)
    x = ((mobi - mobi.mean()) / mobi.std())[list(ecsi.constructs["Quality"])]
    for item in x:
        rest = x.drop(columns=item)
        residual = x[item] - rest.to_numpy() @ np.linalg.lstsq(rest, x[item], rcond=None)[0]
        assert fit.item_vif.loc[("Quality", item), "estimate"] == pytest.approx(249 / (residual @ residual), rel=1e-10)


def test_item_vif_of_a_copy_is_infinite_and_others_keep_theirs():
    layout = Layout.of(PathModel({"X": ["a", "b", "c"], "Y": "y"}, {"Y": "X"}))
    corr = np.array([[1, 1, 0.6, 0.2], [1, 1, 0.6, 0.2], [0.6, 0.6, 1, 0.2], [0.2, 0.2, 0.2, 1]])
    found = item_vif(corr, layout)
    assert np.isinf(found[:2]).all()
    assert found[2:] == pytest.approx([1 / (1 - 0.36), 1])


def test_single_items_in_a_saturated_model_are_reproduced_exactly():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(200, 3)).cumsum(axis=1)
    fit = tight(pd.DataFrame(x, columns=list("abc")), PathModel({c: c for c in "abc"}, {"b": "a", "c": ["a", "b"]}))
    assert fit.model_fit["estimate"].drop("GoF").abs().max() < 1e-12
    assert np.isnan(fit.model_fit.loc["GoF", "estimate"])  # no block of several items


def test_fit_measures_have_their_closed_form():
    """X of two items with correlation .36 and loadings .825, Y one item: three implied correlations by hand."""
    r = np.array([[1, 0.36, 0.5], [0.36, 1, 0.5], [0.5, 0.5, 1]])
    model = PathModel({"X": ["a", "b"], "Y": "y"}, {"Y": "X"})
    fit = pls(Moments.from_covariance(["a", "b", "y"], 500, np.zeros(3), r), model, tolerance=1e-14)
    loading = np.sqrt((1 + 0.36) / 2)
    implied = r.copy()
    implied[0, 1] = implied[1, 0] = loading**2
    # With y: path times loading, and the path is the correlation of y with the sum over its sd.
    implied[:2, 2] = implied[2, :2] = loading * 1 / np.sqrt(2 * 1.36)
    found = fit.model_fit["estimate"]
    assert item_correlations(fit.solution, r, fit.layout) == pytest.approx(implied, abs=1e-13)
    assert found["SRMR"] == pytest.approx(np.sqrt(((np.tril(r - implied)) ** 2).sum() / 6), abs=1e-13)
    assert found["d_ULS"] == pytest.approx(((r - implied) ** 2).sum() / 2, abs=1e-13)
    values = np.linalg.eigvals(np.linalg.solve(r, implied)).real
    assert found["d_G"] == pytest.approx((np.log(values) ** 2).sum() / 2, abs=1e-12)
    ml = np.trace(r @ np.linalg.inv(implied)) - 3 + np.log(np.linalg.det(implied) / np.linalg.det(r))
    assert found["d_ML"] == pytest.approx(ml, abs=1e-12)


def test_exogenous_constructs_keep_their_correlations_and_formed_blocks_theirs(mobi):
    model = PathModel(
        {"I": ["IMAG1", "IMAG2"], "Q": ["PERQ1", "PERQ2"], "S": ["CUSA1", "CUSA2"]}, {"S": ["I", "Q"]}, {"Q": "B"}
    )
    fit = pls(mobi, model)
    corr = fit.moments.corr
    assert construct_correlations(fit.solution, fit.layout)[0, 1] == fit.solution.correlations[0, 1]
    assert item_correlations(fit.solution, corr, fit.layout)[2, 3] == corr[2, 3]
    assert item_correlations(fit.solution, corr, fit.layout)[0, 1] != corr[0, 1]


@pytest.fixture(scope="module")
def given(mobi, ecsi):
    rows = np.loadtxt(REFERENCE / "pls" / "mobi_bootstrap200_indices.csv", delimiter=",", dtype=int)[:12] - 1
    return replicates(mobi[list(ecsi.items)], indices=rows), [pls(mobi.iloc[at], ecsi) for at in rows]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_an_interval_and_each_draw_is_what_it_would_be_alone(mobi, ecsi, given, name):
    made, fits = given
    fit = pls(mobi, ecsi)
    found = getattr(fit.bootstrap(replicates=made), name)
    assert list(found.columns) == ["estimate", "se", "low", "high"]
    assert found["estimate"].equals(getattr(fit, name)["estimate"])
    alone = pd.concat([getattr(one, name)["estimate"] for one in fits], axis=1)
    alone = alone.where(found["estimate"].notna(), axis=0)
    assert (found["se"] - alone.std(axis=1)).abs().max() < 1e-6
    assert (found["low"] - alone.quantile(0.025, axis=1)).abs().max() < 1e-6
    assert (found["high"] - alone.quantile(0.975, axis=1)).abs().max() < 1e-6


def test_estimates_row_by_row_are_those_of_the_matrices(mobi, ecsi):
    fit = pls(mobi, ecsi)
    for (construct, item, other), value in fit.cross_loading_estimates["estimate"].items():
        assert value == fit.cross_loadings.loc[(construct, item), other]
    assert len(fit.correlation_estimates) == 21
    for (a, b), value in fit.correlation_estimates["estimate"].items():
        assert value == fit.correlations.loc[a, b]


def test_a_stack_has_a_column_per_draw(given, ecsi):
    stack = pls(given[0].moments, ecsi)
    assert stack.reliability.shape == (35, 12)
    assert stack.model_fit.shape == (5, 12)


def test_the_verdicts_on_mobi_name_the_bad_item_and_the_four_pairs(mobi, ecsi):
    """The known failures of these data: CUSL2 loads .20; four pairs have an HTMT of .90 or more."""
    found = pls(mobi, ecsi).verdicts()
    assert found.failing("HTMT")["subject"].tolist() == [
        "Image and Quality",
        "Image and Satisfaction",
        "Quality and Satisfaction",
        "Satisfaction and Loyalty",
    ]
    text = str(found)
    assert "CUSL2 loads 0.202 on Loyalty, below 0.40: leave it out" in text
    assert "HTMT of Image and Satisfaction is 0.910, not below 0.90" in text
    assert "alpha (standardised) of Expectation is 0.452, below 0.70" in text
    assert "AVE of Image is 0.478, below 0.50" in text
    assert not found.failing("VIF")["words"].tolist()
    assert found.to_frame().loc[found.table["holds"], "words"].eq("").all()


def test_cutoffs_are_keywords(mobi, ecsi):
    fit = pls(mobi, ecsi)
    assert len(fit.verdicts(htmt=0.85).failing("HTMT")) == 8
    assert fit.verdicts(htmt=1.0, loading=0.1, reliability=0.1, ave=0.1, srmr=0.2).failing()[
        "check"
    ].unique().tolist() == ["Fornell-Larcker"]
    for wrong in (float("nan"), "0.9", None):
        with pytest.raises(SpecError, match=f"htmt={wrong!r} must be a finite number"):
            fit.verdicts(htmt=wrong)
        with pytest.raises(SpecError, match=f"htmt={wrong!r} must be a finite number"):
            fit.remarks(htmt=wrong)
    with pytest.raises(SpecError, match="no check is called 'htmt'"):
        fit.verdicts().failing("htmt")


def test_a_cutoff_that_no_check_knows_is_refused_by_name(mobi, ecsi):
    with pytest.raises(SpecError, match=r"unknown cut-offs: \['HTMT', 'rho'\]; there are \['loading', .*'htmt'"):
        pls(mobi, ecsi).verdicts(HTMT=0.85, rho=0.7)


def test_verdicts_of_a_bootstrapped_fit_show_intervals_and_judge_paths(mobi, ecsi):
    found = pls(mobi, ecsi).bootstrap(300, rng=2).verdicts()
    weak = found.failing("path")
    assert weak["subject"].tolist() == ["Expectation -> Value", "Expectation -> Satisfaction", "Complaints -> Loyalty"]
    assert ((weak["low"] <= 0) & (weak["high"] >= 0)).all()
    assert "[" in found.failing("HTMT")["words"].iloc[0]


def test_formed_blocks_are_judged_by_collinearity_not_by_loadings(mobi):
    found = pls(mobi.assign(PERQ3=mobi["PERQ1"] + 0.01 * mobi["PERQ3"]), ecsi_mobile({"Quality": "B"})).verdicts()
    assert found.failing("item VIF")["subject"].tolist() == ["PERQ1", "PERQ3"]
    assert not found.table["subject"].str.contains("PERQ1 on Quality|AVE of Quality|and Quality").any()


def test_single_items_are_shown_without_reliability(mobi, ecsi):
    found = pls(mobi, ecsi).verdicts()
    assert found.reliability.loc["Complaints"].isna().all()
    assert "<td>–</td>" in found._repr_html_()
    assert pls(mobi, ecsi).reliability.loc["Complaints", "estimate"].eq(1).all()


def test_names_are_escaped_in_html(mobi):
    model = PathModel({"<b>I</b>": ["IMAG1", "IMAG2"], "S": ["CUSA1", "CUSA2"]}, {"S": "<b>I</b>"})
    fit = pls(mobi, model)
    assert "<b>" not in fit.verdicts()._repr_html_()
    assert "<b>" not in fit.blindfolding(mobi)._repr_html_()


def by_hand(mobi, model, target, omission):
    """Blindfolding of one construct in plain loops: hide, fill with means, estimate, tell."""
    items, n = list(model.constructs[target]), len(mobi)
    sd = mobi.std()
    sso = by_sources = by_score = 0.0
    for d in range(omission):
        cells = [(i, item) for h, item in enumerate(items) for i in range(n) if (h * n + i) % omission == d]
        frame = mobi.astype(float)
        for i, item in cells:
            frame.loc[i, item] = np.nan
        means = frame.mean()
        frame = frame.fillna(means)
        fit = pls(frame, model)
        scores = fit.scores(frame)
        told = sum(fit.paths.loc[(s, target), "estimate"] * scores[s] for s in model.paths.get(target, ()))
        for i, item in cells:
            slope = fit.loadings.loc[(target, item), "estimate"] * frame[item].std()
            deviation = mobi.loc[i, item] - means[item]
            sso += (deviation / sd[item]) ** 2
            by_score += ((deviation - slope * scores.loc[i, target]) / sd[item]) ** 2
            by_sources += ((deviation - slope * told[i]) / sd[item]) ** 2
    return 1 - by_sources / sso, 1 - by_score / sso


def test_blindfolding_is_what_hiding_cell_by_cell_gives(mobi, ecsi):
    fit = pls(mobi, ecsi)
    found = fit.blindfolding(mobi, omission=7).table
    assert found.loc["Satisfaction", ["redundancy", "communality"]].tolist() == pytest.approx(
        by_hand(mobi, ecsi, "Satisfaction", 7), abs=1e-9
    )
    assert found.loc["Complaints", "redundancy"] == pytest.approx(by_hand(mobi, ecsi, "Complaints", 7)[0], abs=1e-9)
    assert found["redundancy"].isna().tolist() == [c == "Image" for c in found.index]
    assert found["communality"].isna().tolist() == [c == "Complaints" for c in found.index]


def test_q2_of_two_single_items_is_near_the_squared_correlation():
    """Correlation .6 and n = 4,000: Q2 near .36; its standard error is about 2 r (1 - r2) / sqrt(n) = .012."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=4001)
    frame = pd.DataFrame({"x": x, "y": 0.6 * x + 0.8 * rng.normal(size=4001)})
    model = PathModel({"X": "x", "Y": "y"}, {"Y": "X"})
    found = pls(frame, model).blindfolding(frame).table
    assert found.loc["Y", "redundancy"] == pytest.approx(0.36, abs=4 * 0.012)


def test_a_source_without_effect_has_no_predictive_relevance():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(rng.normal(size=(100, 2)), columns=["x", "y"])
    frame["y"] -= frame["x"] * (frame["x"] @ frame["y"]) / (frame["x"] @ frame["x"]) * 0.98
    found = pls(frame, PathModel({"X": "x", "Y": "y"}, {"Y": "X"})).blindfolding(frame, 3)
    assert "no predictive relevance (Q2 not above 0): Y" in str(found)


def test_blindfolding_does_not_depend_on_units_or_on_equal_weights(mobi, ecsi):
    plain = pls(mobi, ecsi).blindfolding(mobi).table
    stretched = 1000 * mobi - 5
    weights = np.full(250, 3.0)
    assert (plain - pls(stretched, ecsi).blindfolding(stretched).table)["redundancy"].abs().max() < 1e-9
    weighted = pls(mobi, ecsi, weights=weights).blindfolding(mobi, weights=weights).table
    assert (plain - weighted)["redundancy"].abs().max() < 1e-9


def test_rows_left_out_by_the_fit_are_left_out_here(mobi, ecsi):
    holes = mobi.astype(float)
    holes.loc[[3, 8], "CUSA1"] = np.nan
    found = pls(holes, ecsi).blindfolding(holes, 7)
    assert (found.n, found.left_out) == (248, 2)
    assert found.table.equals(pls(mobi.drop([3, 8]), ecsi).blindfolding(mobi.drop([3, 8]), 7).table)
    assert "2 left out (missing answers)" in str(found)


@pytest.mark.parametrize(
    ("omission", "message"), [(5, "divides the 250 rows.*take 6"), (1, "from 2 to 249"), (2.5, "whole number")]
)
def test_omission_distances_that_hide_too_much_are_refused(mobi, ecsi, omission, message):
    with pytest.raises(SpecError, match=message):
        pls(mobi, ecsi).blindfolding(mobi, omission)


def test_blindfolding_wants_the_rows_of_the_fit(mobi, ecsi):
    fit = pls(mobi, ecsi)
    with pytest.raises(DataError, match="200 usable rows here, 250 there"):
        fit.blindfolding(mobi[:200])
    with pytest.raises(DataError, match="other answers or weights"):
        fit.blindfolding(mobi.assign(CUSA1=mobi["CUSA1"] + 1))
    with pytest.raises(DataError, match=r"not in the data: \['CUSA1'\]"):
        fit.blindfolding(mobi.drop(columns="CUSA1"))
    with pytest.raises(DataError, match="not Moments"):
        fit.blindfolding(fit.moments)
    with pytest.raises(DataError, match="weighted; give the same weights="):
        pls(mobi, ecsi, weights=np.arange(250) + 1.0).blindfolding(mobi)


def test_what_needs_one_fit_refuses_a_stack(given, ecsi, mobi):
    stack = pls(given[0].moments, ecsi)
    for ask in (stack.verdicts, lambda: stack.blindfolding(mobi)):
        with pytest.raises(EstimationError, match="holds several draws"):
            ask()


def ratio_error(e: np.ndarray, o: np.ndarray) -> float:
    """Standard error of 1 - sum e / sum o by linearisation, simple random sample."""
    z = (e - e.sum() / o.sum() * o) / o.mean()
    return float(z.std(ddof=1) / np.sqrt(len(z)))


def test_intervals_of_q2_follow_the_ratio_of_losses(mobi, ecsi):
    """The estimates are those of the table, the standard errors those of a linearised ratio (4 standard errors)."""
    blind = pls(mobi, ecsi).blindfolding(mobi)
    found = blind.intervals(draws=2000, rng=1)
    assert found.loc["redundancy", "estimate"].to_numpy() == pytest.approx(
        blind.table["redundancy"].dropna().to_numpy()
    )
    rows = blind.losses.table
    for construct in ("Satisfaction", "Loyalty"):
        expected = ratio_error(rows["redundancy", construct].to_numpy(), rows["deviation", construct].to_numpy())
        assert found.loc[("redundancy", construct), "se"] == pytest.approx(expected, rel=4 / np.sqrt(2 * 2000) + 0.05)
    predicted = plspredict(mobi, ecsi, repeats=1, rng=1)
    q2 = predicted.q2_intervals(draws=2000, rng=1)
    assert q2["estimate"].to_numpy() == pytest.approx(predicted.items["q2"].to_numpy(), abs=1e-12)
    losses = predicted.item_losses.table
    expected = ratio_error(losses["pls", "CUSA1"].to_numpy(), losses["mean", "CUSA1"].to_numpy())
    assert q2.loc[("Satisfaction", "CUSA1"), "se"] == pytest.approx(expected, rel=4 / np.sqrt(2 * 2000) + 0.05)


def test_intervals_of_q2_follow_the_clusters(mobi, ecsi):
    """Each respondent interviewed four times by mistake: as clusters the error is that of 250, not of 1,000."""
    four = pd.concat([mobi] * 4, ignore_index=True).assign(person=np.tile(np.arange(250), 4))
    fit = pls(four.drop(columns="person"), ecsi)
    naive = fit.blindfolding(four).intervals(draws=1000, rng=1)
    clustered = replace(fit, design=csi.Design(psu="person")).blindfolding(four).intervals(draws=1000, rng=1)
    gap = clustered.loc["redundancy", "se"] / naive.loc["redundancy", "se"]
    assert gap.to_numpy() == pytest.approx(np.full(len(gap), 2.0), abs=0.3)
