"""PLS: agreement with R to the last digits R carries, published tables, invariances, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, ecsi_mobile, read_reference, table

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, EstimationError, PathModel, SpecError
from csi_lab.moments import Moments
from csi_lab.sem import pls

BAR = 1e-10  # tests/reference/pls/README.md
MULTI = ["Image", "Expectation", "Quality", "Value", "Satisfaction", "Loyalty"]
SEMINR = [
    ("mobi_A_path.json", "path", {}),
    ("mobi_A_factorial.json", "factorial", {}),
    ("mobi_B_path.json", "path", dict.fromkeys(MULTI, "B")),
    ("mobi_mixedB_path.json", "path", {"Image": "B", "Expectation": "B"}),
]


def tight(mobi, model, **settings):
    return pls(mobi, model, tolerance=1e-14, max_iterations=2000, **settings)


def square(estimates: pd.DataFrame, names) -> pd.DataFrame:
    """A table over (source, target) as a matrix, 0 where there is no entry."""
    return estimates["estimate"].unstack("target").reindex(index=names, columns=names).fillna(0.0)


def gap(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    return float((ours - theirs.loc[ours.index, ours.columns]).abs().to_numpy().max())


@pytest.mark.parametrize(("file", "scheme", "modes"), SEMINR)
def test_agrees_with_seminr(mobi, file, scheme, modes):
    """tests/reference/pls/mobi_*.json, R seminr 2.3.4: weights, loadings, paths, R2, effects, correlations, scores."""
    ref = read_reference(f"pls/{file}")
    model = ecsi_mobile(modes)
    fit = tight(mobi, model, scheme=scheme)
    names = list(model.constructs)
    items = lambda estimates: estimates["estimate"].droplevel("construct")  # noqa: E731
    for ours, block in ((fit.weights, "outer_weights"), (fit.loadings, "outer_loadings")):
        theirs = table(ref[block])
        own = pd.Series({i: theirs.loc[i, c] for c, i in ours.index})
        assert (items(ours) - own).abs().max() < BAR, block
    assert gap(fit.cross_loadings.droplevel("construct"), table(ref["cross_loadings"])) < BAR
    assert gap(square(fit.paths, names), table(ref["paths"])) < BAR
    assert gap(square(fit.total_effects, names), table(ref["total_effects"])) < BAR
    assert gap(square(fit.indirect_effects, names), table(ref["total_indirect"])) < BAR
    assert gap(fit.correlations, table(ref["construct_cor"])) < BAR
    r2 = table(ref["rsq"])
    assert (fit.r2["estimate"] - r2.loc["Rsq"]).abs().max() < BAR
    assert (fit.r2_adjusted["estimate"] - r2.loc["AdjRsq"]).abs().max() < BAR
    scores = table(ref["construct_scores"]).set_axis(mobi.index)
    assert gap(fit.scores(mobi), scores) < BAR


@pytest.mark.parametrize("scheme", ["path", "factorial", "centroid"])
def test_agrees_with_csem(mobi, ecsi, scheme):
    """tests/reference/pls/mobi_csem.json, R cSEM 0.6.1; its paths have the target as row."""
    ref = read_reference("pls/mobi_csem.json")[f"{scheme}_PLS"]
    fit = tight(mobi, ecsi, scheme=scheme)
    for ours, block in ((fit.weights, "weights"), (fit.loadings, "loadings")):
        theirs = table(ref[block])
        own = pd.Series([theirs.loc[c, i] for c, i in ours.index], index=ours.index)
        assert (ours["estimate"] - own).abs().max() < BAR
    assert gap(square(fit.paths, list(ecsi.constructs)), table(ref["paths"]).T) < BAR


@pytest.mark.parametrize("scheme", ["centroid", "factorial", "path"])
def test_meets_the_published_smartpls_tables(mobi, ecsi, scheme):
    """Ringle, Wende & Will (2005), SmartPLS 2.0.M3 on ECSI mobile, eight decimals; tolerance of the table 5e-6."""
    name = f"smartpls_ecsi_{scheme if scheme != 'path' else 'pathWeighting'}"
    published = next(t for t in read_reference("published_tables.json")["tables"] if t["id"] == name)["data"]
    fit = tight(mobi, ecsi, scheme=scheme)
    for estimates, key in ((fit.paths, "pathCoefficients"), (fit.total_effects, "totalEffects")):
        for source, targets in published[key].items():
            for target, value in targets.items():
                assert estimates.loc[(source, target), "estimate"] == pytest.approx(value, abs=5e-6)
    for item, blocks in published["outerWeights"].items():
        for construct, value in blocks.items():
            assert fit.weights.loc[(construct, item), "estimate"] == pytest.approx(value, abs=5e-6)


def test_unscaled_solution_is_the_published_one(mobi, ecsi):
    """Tenenhaus et al. (2005) setting: items on 0-100, own units, centroid; values computed independently, 1e-6."""
    published = next(
        t for t in read_reference("published_tables.json")["tables"] if t["id"] == "tenenhaus2005_ecsi_mobile"
    )["data"]
    fit = tight((mobi - 1) / 9 * 100, ecsi, scheme="centroid", scaled=False)
    short = {
        "Exp": "Expectation",
        "Qual": "Quality",
        "Val": "Value",
        "Sat": "Satisfaction",
        "Comp": "Complaints",
        "Loy": "Loyalty",
    }
    for arrow, value in published["paths"].items():
        edge = tuple(short.get(name, name) for name in arrow.split("->"))
        assert fit.paths.loc[edge, "estimate"] == pytest.approx(value, abs=1e-6)
    # There the variance of scores has denominator n, here n - 1.
    for construct, values in published["outer_weights"].items():
        ours = fit.weights.loc[construct, "estimate"].to_numpy()
        assert ours == pytest.approx(np.array(values) * np.sqrt(249 / 250), rel=1e-6)


@pytest.fixture(scope="module")
def resamples(mobi, ecsi):
    rows = np.loadtxt(REFERENCE / "pls" / "mobi_bootstrap200_indices.csv", delimiter=",", dtype=int) - 1
    return Moments.stack([Moments.from_frame(mobi[list(ecsi.items)].iloc[at]) for at in rows])


def test_a_stack_of_resamples_agrees_with_seminr_draw_by_draw(resamples, ecsi):
    """tests/reference/pls/mobi_bootstrap200_*: same rows, same stopping rule, so the same iterates: 1e-9."""
    theirs = pd.read_csv(REFERENCE / "pls" / "mobi_bootstrap200_estimates.csv")
    fit = pls(resamples, ecsi)
    assert fit.converged.all()
    ours = {
        **{f"path|{s}|{t}": fit.paths.loc[(s, t)] for s, t in fit.paths.index},
        **{f"weight|{i}": fit.weights.loc[(c, i)] for c, i in fit.weights.index},
        **{f"loading|{i}": fit.loadings.loc[(c, i)] for c, i in fit.loadings.index},
        **{f"r2|{c}": fit.r2.loc[c] for c in fit.r2.index},
    }
    assert set(theirs.columns) == set(ours)
    for column in theirs.columns:
        assert np.abs(ours[column].to_numpy() - theirs[column].to_numpy()).max() < 1e-9, column


def test_each_draw_of_a_stack_is_what_it_would_be_alone(mobi, ecsi, resamples):
    stack = pls(resamples, ecsi)
    one = Moments.stack([Moments.from_frame(mobi), Moments.from_frame(mobi[::-1])])[list(ecsi.items)]
    alone = pls(mobi, ecsi)
    both = pls(one, ecsi)
    assert both.paths[0].to_numpy() == pytest.approx(alone.paths["estimate"].to_numpy(), abs=1e-14)
    assert stack.paths.shape == (12, 200)


def test_a_draw_without_solution_is_marked_and_harms_no_other(mobi, ecsi):
    flat = mobi.assign(CUSCO=5)
    parts = [Moments.from_frame(frame[list(ecsi.items)]) for frame in (mobi, flat, mobi)]
    fit = pls(Moments.stack(parts), ecsi)
    assert fit.converged.tolist() == [True, False, True]
    assert fit.paths[1].isna().any()
    assert (fit.paths[0] == fit.paths[2]).all()
    assert "1 of 3 draws without a solution" in str(fit)


@pytest.mark.parametrize("scheme", ["path", "factorial", "centroid"])
def test_the_order_of_items_rows_and_constructs_does_not_matter(mobi, ecsi, scheme):
    turned = PathModel(
        {c: ecsi.constructs[c][::-1] for c in reversed(ecsi.constructs)}, {t: s[::-1] for t, s in ecsi.paths.items()}
    )
    a, b = tight(mobi, ecsi, scheme=scheme), tight(mobi.sample(frac=1, random_state=1), turned, scheme=scheme)
    assert (a.paths - b.paths.reindex(a.paths.index))["estimate"].abs().max() < 1e-12
    assert (a.weights - b.weights.reindex(a.weights.index))["estimate"].abs().max() < 1e-12


def test_rescaling_an_item_changes_nothing_when_scaled(mobi, ecsi):
    stretched = mobi.astype(float)
    stretched["CUSL2"] = 1000 * stretched["CUSL2"] + 3
    stretched["IMAG1"] = 0.001 * stretched["IMAG1"]
    a, b = tight(mobi, ecsi), tight(stretched, ecsi)
    assert (a.paths - b.paths)["estimate"].abs().max() < 1e-11


def test_rescaling_all_items_alike_changes_no_path_when_unscaled(mobi, ecsi):
    a, b = tight(mobi, ecsi, scaled=False), tight(100 * (mobi - 1) / 9, ecsi, scaled=False)
    assert (a.paths - b.paths)["estimate"].abs().max() < 1e-11


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_answers_does_not_say_when_weights_rest(mobi, ecsi, unit):
    """Weights of unstandardised items are in one over their unit: their changes are small in small units."""
    a, b = pls(mobi, ecsi, scaled=False), pls(unit * mobi, ecsi, scaled=False)
    assert a.iterations == b.iterations
    assert (a.paths - b.paths)["estimate"].abs().max() < 1e-11
    assert (b.history()["change"] / a.history()["change"] - 1).abs().max() < 1e-3


def test_variance_inflation_of_the_only_source_is_one_in_every_draw(mobi, ecsi):
    row = pls(mobi, ecsi).bootstrap(draws=50, rng=1).vif.loc[("Image", "Expectation")]
    assert row.to_dict() == {"estimate": 1.0, "se": 0.0, "low": 1.0, "high": 1.0}


def test_a_shortened_list_of_columns_says_how_many_are_left_out(mobi, ecsi):
    with pytest.raises(DataError, match=r"columns not in the data: \['CUSL3'\]; .*'PERQ4'\] and 11 more$"):
        pls(mobi[list(ecsi.items)].drop(columns="CUSL3"), ecsi)


def test_parts_of_a_survey_give_the_whole(mobi, ecsi):
    parts = sum(Moments.from_frame(part[list(ecsi.items)]) for part in (mobi[:1], mobi[1:99], mobi[99:]))
    assert (pls(parts, ecsi).paths == pls(mobi, ecsi).paths).all(axis=None)


def test_whole_weights_equal_repeated_rows(mobi, ecsi):
    w = np.random.default_rng(2).integers(1, 4, len(mobi))
    weighted = tight(mobi, ecsi, weights=w)
    repeated = tight(mobi.loc[mobi.index.repeat(w)], ecsi)
    assert (weighted.paths - repeated.paths)["estimate"].abs().max() < 1e-11


def test_scores_are_standardised_and_missing_answers_stay_in_place(mobi, ecsi):
    fit = pls(mobi, ecsi)
    scores = fit.scores(mobi)
    assert scores.mean().abs().max() < 1e-12
    assert scores.std().to_numpy() == pytest.approx(1, abs=1e-12)
    holes = mobi.astype(float)
    holes.loc[3, "CUSA1"] = np.nan
    part = fit.scores(holes)
    assert part.loc[3].isna().tolist() == [c == "Satisfaction" for c in part.columns]
    assert part.drop(index=3).equals(scores.drop(index=3))


def test_total_effects_are_sums_over_all_ways(mobi, ecsi):
    """Image -> Satisfaction: the product of coefficients along each of the five ways, added."""
    fit = pls(mobi, ecsi)
    b = fit.paths["estimate"]
    by_hand = b["Image", "Satisfaction"] + b["Image", "Expectation"] * (
        b["Expectation", "Satisfaction"]
        + b["Expectation", "Value"] * b["Value", "Satisfaction"]
        + b["Expectation", "Quality"]
        * (b["Quality", "Satisfaction"] + b["Quality", "Value"] * b["Value", "Satisfaction"])
    )
    assert fit.total_effects.loc[("Image", "Satisfaction"), "estimate"] == pytest.approx(by_hand, abs=1e-14)


def test_a_reversed_construct_is_turned_round_and_said_so(mobi, ecsi):
    upside_down = mobi.copy()
    upside_down[list(ecsi.constructs["Image"])] = 11 - mobi[list(ecsi.constructs["Image"])]
    fit = pls(upside_down, ecsi)
    assert (fit.loadings["estimate"] > 0).all()
    block = pd.DataFrame(
        {"x1": [1, 2, 3, 4, 5, 4], "x2": [5, 4, 3, 2, 1, 3], "x3": [5, 4, 3, 2, 1, 1], "y": [1, 2, 3, 4, 5, 6]}
    )
    with pytest.warns(CsiLabWarning, match="fewer than ten"):
        mixed = pls(block, PathModel({"X": ["x1", "x2", "x3"], "Y": "y"}, {"Y": "X"}))
    assert (mixed.loadings.loc["X", "estimate"] > 0).sum() == 2


def test_the_fit_names_the_item_that_hardly_loads(mobi, ecsi):
    """CUSL2 loads .20 on Loyalty: the known bad item of this survey."""
    assert any("CUSL2 (0.20)" in remark for remark in pls(mobi, ecsi).remarks())


def test_the_fit_names_the_constructs_that_are_hardly_told_apart(mobi, ecsi):
    """The four pairs of these data that fail the .90 rule; formed blocks are not judged by it."""
    fit = pls(mobi, ecsi)
    pairs = (
        "Image and Quality (0.93), Image and Satisfaction (0.91), Quality and Satisfaction (0.95), "
        "Satisfaction and Loyalty (0.96)"
    )
    assert f"hardly told apart, HTMT not below 0.90: {pairs}" in str(fit)
    assert not any("told apart" in remark for remark in fit.remarks(htmt=1.0))
    formed = pls(mobi, ecsi_mobile({"Quality": "B"})).remarks()
    assert any("Satisfaction and Loyalty" in remark for remark in formed)
    assert not any("Quality and" in remark or "and Quality" in remark for remark in formed)


def test_scores_of_a_survey_are_those_of_its_frame(mobi, ecsi):
    fit, survey = pls(mobi, ecsi), csi.load_survey("mobile")
    assert (fit.scores(survey) == fit.scores(mobi)).all(axis=None)
    with pytest.raises(DataError, match="need a survey or a DataFrame, got dict"):
        fit.scores({"CUSA1": 1})
    with pytest.raises(DataError, match="infinite values: 'CUSA1' in rows 3"):
        fit.scores(mobi.assign(CUSA1=mobi["CUSA1"].where(mobi.index != 3, np.inf)))


def test_a_strong_item_that_points_the_other_way_is_called_reversed_not_weak(mobi, ecsi):
    remarks = pls(mobi.assign(PERQ7=11 - mobi["PERQ7"]), ecsi).remarks()
    assert any("reversed?: PERQ7 (-0.7" in remark for remark in remarks)
    assert not any("below" in remark and "PERQ7" in remark for remark in remarks)


def test_a_copied_item_is_named(mobi, ecsi):
    assert not any("copy" in remark for remark in pls(mobi, ecsi).remarks())
    copied = pls(mobi.assign(CUSL3=2 * mobi["IMAG1"] + 1), ecsi).remarks()
    assert any("IMAG1 and CUSL3" in remark for remark in copied)


def test_a_fit_that_did_not_converge_says_so_first(mobi, ecsi):
    with pytest.warns(CsiLabWarning, match="NOT CONVERGED after 2"):
        fit = pls(mobi, ecsi, max_iterations=2)
    assert not fit.converged
    assert str(fit).startswith("NOT CONVERGED")


def simple_model(**kwargs) -> PathModel:
    return PathModel({"X": ["x1", "x2"], "Y": "y"}, {"Y": "X"}, **kwargs)


def simple_data(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 11, n)
    return pd.DataFrame({"x1": x, "x2": np.clip(x + rng.integers(-2, 3, n), 1, 10), "y": rng.integers(1, 11, n) + x})


@pytest.mark.parametrize(
    ("data", "model", "error", "message"),
    [
        (simple_data().assign(y=5), simple_model(), DataError, r"do not vary.*\['y'\]"),
        (simple_data().drop(columns="x2"), simple_model(), DataError, r"\['x2'\]"),
        (simple_data().assign(y="good"), simple_model(), DataError, "'y' holds text in 60 rows"),
        (simple_data().assign(x2=lambda d: d.x1), simple_model(modes={"X": "B"}), EstimationError, r"\['x1', 'x2'\]"),
        (simple_data(3), PathModel({"A": "x1", "B": "x2", "C": "y"}, {"C": ["A", "B"]}), EstimationError, "3 complete"),
        (simple_data(), PathModel({"X": "x1", "Y": "y"}), EstimationError, "no paths"),
        (simple_data(), PathModel({"X": "x1", "Y": "y", "Z": "x2"}, {"Y": "X"}), EstimationError, r"\['Z'\]"),
        (
            simple_data().assign(x2=lambda d: 2 * d.x1),
            PathModel({"A": "x1", "B": "x2", "C": "y"}, {"C": ["A", "B"]}),
            EstimationError,
            r"sources of 'C' are exactly collinear: \['A', 'B'\]",
        ),
        (
            pd.DataFrame({"x": [1, 1, 2, 2] * 5, "y": [1, 2, 1, 2] * 5}),
            PathModel({"X": "x", "Y": "y"}, {"Y": "X"}),
            EstimationError,
            "does not correlate with any neighbour",
        ),
        (simple_data(), None, SpecError, "no model"),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_names(data, model, error, message):
    with pytest.raises(error, match=message):
        pls(data, model)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scheme": "Path"}, "scheme='Path' is unknown"),
        ({"tolerance": 0}, "tolerance=0 must be positive"),
        ({"tolerance": "1e-7"}, "tolerance='1e-7' must be positive"),
        ({"tolerance": None}, "tolerance=None"),
        ({"max_iterations": 1.5}, "max_iterations=1.5 a whole number of at least 1"),
        ({"max_iterations": None}, "max_iterations=None"),
        ({"scaled": "no"}, "scaled='no' must be True or False"),
        ({"consistent": "no"}, "consistent='no' must be True or False"),
    ],
)
def test_unknown_settings_are_refused(mobi, ecsi, settings, message):
    with pytest.raises(SpecError, match=message):
        pls(mobi, ecsi, **settings)


@pytest.mark.parametrize("model", [{"X": ["x1"]}, "ECSI", 3])
def test_what_is_no_model_is_refused_with_its_type(mobi, model):
    with pytest.raises(SpecError, match=f"must be a PathModel, got {type(model).__name__}"):
        pls(mobi, model)


def test_few_rows_for_many_arrows_warn(mobi, ecsi):
    with pytest.warns(CsiLabWarning, match="30 rows for 4 arrows into 'Satisfaction'"):
        pls(mobi[:30], ecsi)


def test_text_in_labels_is_escaped_in_html():
    model = PathModel({"<b>X</b>": ["x1", "x2"], "Y": "y"}, {"Y": "<b>X</b>"})
    assert "<b>" not in pls(simple_data(), model)._repr_html_()


def test_the_tidy_table_holds_every_quantity(mobi, ecsi):
    tidy = pls(mobi, ecsi).to_frame()
    counts = tidy.groupby(level="quantity", sort=False).size().to_dict()
    assert counts == {"weight": 24, "loading": 24, "path": 12, "total effect": 21, "r2": 6}
    assert list(tidy.columns) == ["estimate"]


def test_the_history_ends_at_the_solution_and_each_step_changes_less(mobi, ecsi):
    fit = pls(mobi, ecsi)
    history = fit.history()
    assert history.index.tolist() == list(range(fit.iterations + 1))
    assert (history.iloc[-1, 1:].to_numpy() == fit.weights["estimate"].to_numpy()).all()
    assert history["change"].iloc[-1] < 1e-7 <= history["change"].iloc[-2]


@pytest.mark.parametrize("version", ["simple", "extended"])
def test_meets_the_published_reputation_models(version):
    """Hair et al., corporate reputation, mean replacement of 11 missing cells; tolerance of the table 5e-4."""
    published = next(t for t in read_reference("published_tables.json")["tables"] if t["id"] == f"corp_rep_{version}")[
        "data"
    ]
    survey = csi.load_survey("reputation")
    frame = survey.frame[list(survey.items)]
    assert frame.isna().to_numpy().sum() == 11
    short = {"QUAL": "Quality", "PERF": "Performance", "CSOR": "Responsibility", "ATTR": "Attractiveness"}
    short |= {"COMP": "Competence", "LIKE": "Likeability", "CUSA": "Satisfaction", "CUSL": "Loyalty"}
    model = survey.model
    if version == "simple":
        kept = ["Competence", "Likeability", "Satisfaction", "Loyalty"]
        paths = {t: model.paths[t] for t in ("Satisfaction", "Loyalty")}
        model = PathModel({c: model.constructs[c] for c in kept}, paths)
    fit = pls(frame.fillna(frame.mean()), model)
    for arrow, value in published["paths"].items():
        source, target = arrow.split("->")
        assert fit.paths.loc[(short[source], short[target]), "estimate"] == pytest.approx(value, abs=5e-4)
    for construct, value in published["R2"].items():
        assert fit.r2.loc[short[construct], "estimate"] == pytest.approx(value, abs=5e-4)
