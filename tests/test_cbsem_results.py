"""What a CB-SEM fit says of itself, the shape of its tables, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, EstimationError, PathModel, SpecError
from csi_lab.moments import Moments
from csi_lab.resampling import replicates
from csi_lab.sem.cb_specification import specification
from csi_lab.sem.cbsem import cbsem

MODEL = PathModel({"visual": ["x1", "x2", "x3"], "textual": ["x4", "x5", "x6"], "speed": ["x7", "x8", "x9"]})
ITEMS = list(MODEL.items)


@pytest.fixture(scope="module")
def hs() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "HolzingerSwineford1939.csv")


@pytest.fixture(scope="module")
def fit(hs):
    return cbsem(hs, MODEL)


@pytest.fixture(scope="module")
def sem(mobi, ecsi):
    return cbsem(mobi, ecsi)


def population(sigma: np.ndarray, names: list[str], n: int = 500) -> Moments:
    """Moments whose covariances (denominator n) are exactly ``sigma``."""
    return Moments.from_covariance(names, n, np.zeros(len(names)), sigma * n / (n - 1))


def one_factor(loadings: np.ndarray, residuals: np.ndarray) -> np.ndarray:
    return np.outer(loadings, loadings) + np.diag(residuals)


def test_a_negative_residual_variance_is_a_heywood_case():
    """A population whose one factor leaves a variance of -.21 to the first item."""
    sigma = one_factor(np.array([1.1, 0.6, 0.5, 0.4]), 1 - np.array([1.1, 0.6, 0.5, 0.4]) ** 2)
    fit = cbsem(population(sigma, list("abcd")), PathModel({"F": list("abcd")}))
    assert fit.parameters.loc[("a", "~~", "a"), "estimate"] == pytest.approx(-0.21, abs=1e-6)
    first, second = fit.problems
    assert first.startswith("IMPROPER SOLUTION: residual variance negative or zero (Heywood case): a (-0.21)")
    assert "standardised loading of 1 or more: a on F (1.100)" in second
    assert str(fit).startswith(first)
    assert fit.item_r2.loc["a", "estimate"] == pytest.approx(1.21, abs=1e-6)


def test_a_residual_variance_at_zero_is_one_too():
    loadings = np.array([0.99999, 0.6, 0.5, 0.4])
    fit = cbsem(population(one_factor(loadings, 1 - loadings**2), list("abcd")), PathModel({"F": list("abcd")}))
    assert "Heywood" in fit.problems[0]
    assert fit.check(heywood=1e-8) == ()


def test_a_latent_correlation_beyond_one_is_named():
    loadings = np.full(6, 0.7)
    phi = np.array([[1, 1.1], [1.1, 1]])[np.repeat([0, 1], 3)][:, np.repeat([0, 1], 3)]
    sigma = phi * np.outer(loadings, loadings) + np.diag(1 - loadings**2)
    fit = cbsem(population(sigma, list("abcdef")), PathModel({"F": list("abc"), "G": list("def")}))
    assert "correlation of constructs beyond 1: F and G (1.100)" in fit.problems[0]
    assert fit.latent_correlations.loc[("F", "G"), "estimate"] == pytest.approx(1.1, abs=1e-6)


def test_more_unknowns_than_knowns_are_not_identified(hs):
    fit = cbsem(hs, PathModel({"F": ["x1", "x2"]}))
    assert fit.specification.df == -1
    assert str(fit).startswith("NOT IDENTIFIED: 4 parameters, 1 more than")
    assert fit.parameters["se"].drop(("F", "=~", "x1")).isna().all()
    assert np.isnan(fit.fit_measures["p"])
    with pytest.raises(EstimationError, match="NOT IDENTIFIED"):
        fit.modification_indices()
    with pytest.raises(EstimationError, match="NOT IDENTIFIED"):
        fit.bootstrap(20)


def test_parameters_that_move_together_are_named(hs):
    """df is 5, but one block has all its residual covariances free."""
    pairs = [("x1", "x2"), ("x1", "x3"), ("x2", "x3")]
    fit = cbsem(hs, PathModel({"F": ["x1", "x2", "x3"], "G": ["x4", "x5", "x6"]}, covariances=pairs))
    assert fit.specification.df == 5
    assert fit.problems[0].startswith("NOT IDENTIFIED: x1 ~~ x1, x2 ~~ x2, x3 ~~ x3")
    assert "x4" not in fit.problems[0]


def test_a_search_cut_short_says_so_first(hs):
    with pytest.warns(CsiLabWarning, match="NOT CONVERGED after 2 iterations"):
        fit = cbsem(hs, MODEL, max_iterations=2)
    assert str(fit).startswith("NOT CONVERGED after 2")
    assert not fit.converged


def test_a_resample_of_the_nearly_collinear_model_tells_of_its_other_optimum(mobi, ecsi):
    """In this resample the search ends in two places whose chi2 differ by 10; the lower one is reported."""
    fit = cbsem(mobi.sample(250, replace=True, random_state=4), ecsi)
    told = next(text for text in fit.problems if text.startswith("SEVERAL OPTIMA"))
    gap = float(re.search(r"chi2 is ([\d.]+) larger", told)[1])
    assert gap == pytest.approx(fit.others[0], rel=0.01)
    assert fit.others[0] > 1


def test_missing_answers_are_searched_from_the_summits_of_their_moments(mobi, ecsi):
    """One gap hardly moves the likelihood: both summits of the resample above are found, and lie as far apart."""
    drawn = mobi.sample(250, replace=True, random_state=4).reset_index(drop=True).astype(float)
    whole = cbsem(drawn, ecsi)
    drawn.loc[0, "IMAG1"] = np.nan
    found = cbsem(drawn, ecsi, missing="fiml")
    assert found.converged
    assert found.others[0] == pytest.approx(whole.others[0], rel=0.1)


def test_draws_lost_in_numbers_make_intervals_doubtful(sem):
    fit = sem.bootstrap(30, rng=1)
    assert fit.resampled.failed > 0.05 * 30
    assert str(fit).startswith(f"DOUBTFUL INTERVALS: {fit.resampled.failed} of 30 draws have no solution")


def test_the_tables_have_their_columns(fit, sem):
    four = ["estimate", "se", "low", "high"]
    assert list(fit.parameters.columns) == ["estimate", "se", "z", "p", "low", "high", "standardised"]
    for table, names in (
        (fit.loadings, ["construct", "item"]),
        (fit.standardised, ["lhs", "op", "rhs"]),
        (fit.item_r2, ["item"]),
        (fit.latent_correlations, ["construct", "with"]),
        (fit.reliability, ["construct", "coefficient"]),
        (sem.paths, ["source", "target"]),
        (sem.total_effects, ["source", "target"]),
        (sem.indirect_effects, ["source", "target"]),
        (sem.effects(), ["effect", "source", "target"]),
        (sem.r2, ["construct"]),
        (fit.paths, ["source", "target"]),
        (fit.r2, ["construct"]),
    ):
        assert list(table.columns) == four
        assert list(table.index.names) == names
    assert len(sem.paths) == 12
    assert len(sem.total_effects) == 21
    assert len(fit.paths) == len(fit.r2) == 0
    assert list(fit.fit_measures.index[:6]) == ["n_parameters", "n", "chi2", "df", "p", "baseline_chi2"]


def test_total_effects_are_sums_over_all_ways(sem):
    b = sem.paths["estimate"]
    by_hand = b["Quality", "Satisfaction"] + b["Quality", "Value"] * b["Value", "Satisfaction"]
    assert sem.total_effects.loc[("Quality", "Satisfaction"), "estimate"] == pytest.approx(by_hand, abs=1e-10)


def test_a_reversed_item_has_a_negative_loading_of_the_same_size(hs, fit):
    other = cbsem(hs.assign(x2=-hs["x2"]), MODEL).loadings["estimate"]
    assert other["visual", "x2"] == pytest.approx(-fit.loadings.loc[("visual", "x2"), "estimate"], abs=1e-9)
    first = cbsem(hs.assign(x1=-hs["x1"]), MODEL)
    assert first.fit_measures["chi2"] == pytest.approx(fit.fit_measures["chi2"], abs=1e-8)


def test_constraints_within_a_group_mean_what_they_say_in_any_units(hs):
    """Equal unstandardised loadings are another model when an item is rescaled, and equal after rescaling back."""
    tied = cbsem(hs, MODEL, equal=[("visual =~ x2", "visual =~ x3")])
    found = tied.parameters["estimate"]
    assert found["visual", "=~", "x2"] == found["visual", "=~", "x3"]
    assert tied.specification.df == 25
    all_units = cbsem(hs[ITEMS] * 1000, MODEL, equal=[("visual =~ x2", "visual =~ x3")])
    assert all_units.fit_measures["chi2"] == pytest.approx(tied.fit_measures["chi2"], abs=1e-7)
    assert cbsem(hs.assign(x2=hs["x2"] * 3), MODEL, equal=[("visual =~ x2", "visual =~ x3")]).fit_measures[
        "chi2"
    ] != pytest.approx(tied.fit_measures["chi2"], abs=0.1)


def test_a_parameter_tied_to_the_marker_is_one(hs):
    tau = cbsem(hs, MODEL, equal=[("visual =~ x1", "visual =~ x2", "visual =~ x3")])
    assert tau.specification.df == 26
    assert (tau.parameters.loc["visual"].loc["=~", "estimate"] == 1).all()


def test_fixed_values_are_kept(hs):
    fit = cbsem(hs, MODEL, fixed={"textual ~~ visual": 0, "x1 ~~ x1": 0.5})
    assert fit.specification.df == 26
    assert fit.parameters.loc[("visual", "~~", "textual"), ["estimate", "se"]].tolist() == [0, 0]
    assert fit.parameters.loc[("x1", "~~", "x1"), "estimate"] == 0.5


def test_factor_scores_of_the_regression_method(hs, fit):
    """Their covariance is Phi Lambda' Sigma^-1 S Sigma^-1 Lambda Phi, their mean 0; gaps stay in place."""
    scores = fit.scores(hs)
    assert scores.mean().abs().max() < 1e-12
    holes = hs.copy()
    holes.loc[4, "x5"] = np.nan
    assert fit.scores(holes).loc[4].isna().all()
    assert fit.scores(holes).drop(index=4).equals(scores.drop(index=4))
    raw, table = hs[ITEMS] - hs[ITEMS].mean(), fit.parameters["estimate"]
    loadings = np.array([[table.get((c, "=~", i), 0.0) for c in MODEL.constructs] for i in ITEMS])
    names = list(MODEL.constructs)
    phi = np.array([[table.get((a, "~~", b), table.get((b, "~~", a))) for b in names] for a in names])
    sigma = loadings @ phi @ loadings.T + np.diag([table[(i, "~~", i)] for i in ITEMS])
    assert scores.to_numpy() == pytest.approx(raw.to_numpy() @ np.linalg.solve(sigma, loadings @ phi), abs=1e-10)


def test_the_same_fit_from_frame_survey_and_moments(mobi):
    model = PathModel({"Value": ["PERV1", "PERV2"], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]})
    survey = csi.load_survey("mobile")
    fits = [cbsem(data, model) for data in (mobi, survey, Moments.from_frame(mobi), survey.moments())]
    for other in fits[1:]:
        assert (other.theta == fits[0].theta).all()


def test_text_in_names_is_escaped_in_html(hs):
    model = PathModel({"<b>F</b>": ["x1", "x2", "x3"], "G": ["x4", "x5", "x6"]}, {"G": "<b>F</b>"})
    shown = cbsem(hs, model)._repr_html_()
    assert "<b>F" not in shown
    assert "&lt;b&gt;F" in shown


def test_rows_left_out_are_counted(hs):
    holes = hs.copy()
    holes.loc[:9, "x1"] = np.nan
    assert "291 rows, 10 left out" in str(cbsem(holes, MODEL))
    assert "301 rows, full information on missing answers" in str(cbsem(holes, MODEL, missing="fiml"))
    with pytest.raises(DataError, match="10 of 301 rows have missing answers"):
        cbsem(holes, MODEL, missing="raise")


def test_the_diagram_shows_standardised_paths(sem):
    texts = [t.get_text() for t in sem.plot().texts]
    assert f"{sem.paths.loc[('Image', 'Expectation'), 'estimate']:.2f}" in texts


@pytest.mark.parametrize(
    ("change", "settings", "error", "message"),
    [
        (lambda d: d.assign(x1=3), {}, DataError, r"do not vary in the 301 rows used: \['x1'\]"),
        (lambda d: d.assign(x1=d.x2), {}, EstimationError, r"exactly collinear: \['x1', 'x2'\]"),
        (lambda d: d.assign(x1=2 * d.x2 - d.x7), {}, EstimationError, r"exactly collinear: \['x1', 'x2', 'x7'\]"),
        (lambda d: d.assign(x1="yes"), {}, DataError, "'x1' holds text in 301 rows"),
        (lambda d: d.assign(x1=np.nan), {}, DataError, r"items without any answer: \['x1'\]"),
        (lambda d: d.assign(x1=np.nan), {"missing": "fiml"}, DataError, r"items without any answer: \['x1'\]"),
        (lambda d: d.assign(x1=np.where(d.index < 9, 2.0, np.nan)), {"missing": "fiml"}, DataError, "do not vary"),
        (lambda d: d.assign(x1=d.x2), {"missing": "fiml"}, EstimationError, r"collinear.*\['x1', 'x2'\]"),
        (
            lambda d: d.assign(x1=d.x1.where(d.index < 150), x2=d.x2.where(d.index >= 150)),
            {"missing": "fiml"},
            EstimationError,
            r"never answered together: \[\('x1', 'x2'\)\]",
        ),
        (lambda d: d.assign(x1=np.inf), {}, DataError, "infinite values: 'x1'"),
        (lambda d: d[:3], {}, EstimationError, "more than 9 rows; there are 3"),
        (lambda d: d[:3], {"missing": "fiml"}, EstimationError, "more than 9 rows; there are 3"),
        (lambda d: d[:0], {}, DataError, "no row of 0"),
        (lambda d: d.drop(columns=["x1", "x9"]), {}, DataError, r"columns not in the data: \['x1', 'x9'\]"),
        (lambda d: d, {"groups": "class"}, DataError, "group column 'class' is not in the data"),
        (lambda d: d.assign(g=1), {"groups": "g"}, DataError, "two or more groups"),
        (lambda d: d, {"groups": "id"}, EstimationError, r"there are 1: 1, .* and 296 groups more"),
        (
            lambda d: d.assign(x1=d.x1.where(d.school == "Pasteur", 2)),
            {"groups": "school"},
            DataError,
            "group 'Grant-White': items do not vary",
        ),
        (lambda d: d, {"weights": -np.ones(301)}, DataError, "negative in 301 rows"),
        (lambda d: Moments.from_frame(d[ITEMS]), {"se": "robust"}, DataError, "needs the answers"),
        (lambda d: Moments.from_frame(d[ITEMS]), {"missing": "fiml"}, SpecError, "complete rows only"),
        (lambda d: Moments.stack([Moments.from_frame(d[ITEMS])] * 2), {}, DataError, r"\(2,\) sets of moments"),
        (lambda d: d, {"missing": "fiml", "se": "mlm"}, SpecError, "use se='robust'"),
        (lambda d: d, {"missing": "mean"}, SpecError, "missing='mean' is unknown"),
        (lambda d: d, {"se": "bootstrap"}, SpecError, "se='bootstrap' is unknown"),
        (lambda d: d, {"engine": "lavaan", "level": 95}, SpecError, "engine='lavaan'.*level=95"),
        (lambda d: d, {"likelihood": "wishart", "means": True}, SpecError, "without means"),
        (lambda d: d, {"groups": "school", "means": False}, SpecError, "need the means"),
        (lambda d: d, {"equal": "loadings"}, SpecError, "give groups="),
        (lambda d: d, {"groups": "school", "equal": "loading"}, SpecError, r"unknown families: \['loading'\]"),
        (lambda d: d, {"equal": [("visual =~ x2", "visual =~ x5")]}, SpecError, r"\['visual =~ x5'\]"),
        (lambda d: d, {"groups": "school", "free": "visual =~ x1"}, SpecError, "marker loading is 1"),
        (lambda d: d, {"fixed": {"x1 ~~ x2": 0}}, SpecError, r"not parameters of this model: \['x1 ~~ x2'\]"),
        (lambda d: d, {"groups": "school", "engine": "semopy"}, SpecError, "one group without means"),
        (lambda d: d, {"groups": ["a", "b"]}, DataError, r"one label per row: shape \(2,\) for 301 rows"),
        (lambda d: d, {"groups": np.zeros((301, 2))}, DataError, r"one label per row: shape \(301, 2\)"),
        (lambda d: pd.concat([d, d[["school"]]], axis=1), {"groups": "school"}, DataError, "one label per row"),
        (
            lambda d: d.assign(g=np.array([1, "1"], dtype=object)[(d["sex"] - 1).astype(int)]),
            {"groups": "g"},
            DataError,
            r"several groups are called \['1'\]",
        ),
        (lambda d: {1: d[:150], "1": d[150:]}, {}, DataError, r"several groups are called \['1'\]"),
        (lambda d: d.assign(g=np.where(d.sex == 1, "", "f")), {"groups": "g"}, DataError, "an empty name"),
        (lambda d: d.mask(d == d.x1[0]), {"missing": "raise"}, DataError, "rows have missing answers.*'fiml'"),
        (lambda d: d, {"weights": np.zeros(301)}, DataError, "whose weight is not 0"),
        (
            lambda d: d,
            {"level": "95", "means": "yes", "tolerance": "a", "max_iterations": 2.5},
            SpecError,
            "means='yes'.*level='95'.*tolerance='a'.*max_iterations=2.5",
        ),
        (lambda d: d, {"equal": 5}, SpecError, r"two or more parameter names, not \[\(5,\)\]"),
        (lambda d: d, {"equal": [("visual =~ x2",)]}, SpecError, "two or more parameter names"),
        (lambda d: d, {"free": 5}, SpecError, r"free takes names of parameters.*\[5\]"),
        (lambda d: d, {"fixed": ["visual =~ x2"]}, SpecError, "fixed maps names of parameters to values.*got list"),
        (lambda d: d, {"fixed": {"visual =~ x2": "a"}}, SpecError, r"finite numbers; not so for \['visual =~ x2'\]"),
        (
            lambda d: d,
            {"groups": "school", "equal": "loadings", "free": ["x3 ~1", "visual =~ x2"]},
            SpecError,
            r"not held equal across groups anyway: \['x3 ~1'\]; equal holds \['loadings'\]",
        ),
    ],
)
def test_what_cannot_be_estimated_is_refused_with_names(hs, change, settings, error, message):
    with pytest.raises(error, match=message):
        cbsem(change(hs), MODEL, **settings)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda f: f.measures(level="a"), SpecError, "level='a' must lie between 0 and 1"),
        (lambda f: f.measures(close=0), SpecError, "close=0 must be above 0"),
        (lambda f: f.check(vif=float("nan")), SpecError, "vif=nan must be a finite number"),
        (lambda f: f.modification_indices(minimum="3.84"), SpecError, "minimum='3.84' must be a finite number"),
        (lambda f: f.scores(np.zeros((3, 9))), DataError, "rows of a DataFrame.*ndarray"),
        (lambda f: f.refit(5), DataError, "refit takes Moments"),
        (lambda f: f.bootstrap(10, rng="a"), SpecError, "rng='a' must be a whole number"),
        (lambda f: f.bootstrap(10, level=95), SpecError, "level=95 must lie between 0 and 1"),
        (lambda f: f.bootstrap(replicates=5), SpecError, "what csi.replicates"),
        (
            lambda f: f.bootstrap(replicates=replicates(f.answers.parts[0].frame[:99], items=ITEMS, draws=5)),
            DataError,
            r"made from other rows or weights \(99 rows used there, 301 here\)",
        ),
    ],
)
def test_questions_to_a_fit_that_have_no_answer_are_refused(fit, ask, error, message):
    with pytest.raises(error, match=message):
        ask(fit)


def test_labels_in_a_series_go_by_their_index(hs):
    shuffled = hs["school"].sample(frac=1, random_state=1)
    ours, theirs = (cbsem(hs, MODEL, groups=g).loadings.loc["Pasteur"] for g in (shuffled, "school"))
    assert ours["estimate"].to_numpy() == pytest.approx(theirs["estimate"].to_numpy())


def test_a_saturated_model_has_robust_errors_and_no_test(hs):
    found = cbsem(hs, PathModel({"F": ["x1", "x2", "x3"]}), se="robust")
    assert found.parameters["se"].notna().all()
    m = found.fit_measures
    assert (m["chi2_scaled"], m["cfi_robust"], m["rmsea_robust"]) == (pytest.approx(0, abs=1e-9), 1, 0)
    assert np.isnan(m["scaling_factor"])
    assert "nan" not in str(found)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PathModel({"F": ["x1", "x2"], "G": ["x3", "x4"]}, {"G": "F"}, {"F": "B"}), r"mode B.*\['F'\].*pls"),
        (PathModel({"x1": ["x2", "x3"], "G": ["x1", "x4"]}), r"named like items.*\['x1'\]"),
        (PathModel({"F": ["x1", "x2", "x3"], "G": "x4"}, covariances=[("x1", "x4")]), "x1 ~~ x4"),
    ],
)
def test_models_that_make_no_covariance_structure_are_refused(model, message):
    with pytest.raises(SpecError, match=re.compile(message, re.DOTALL)):
        specification(model)


def test_a_model_in_text_is_sent_to_the_reader_of_syntax(hs):
    with pytest.raises(SpecError, match="from_lavaan"):
        cbsem(hs, "visual =~ x1 + x2")
    with pytest.raises(SpecError, match="no model given"):
        cbsem(hs)


def test_a_construct_may_bear_the_name_of_its_single_item(hs):
    same = cbsem(hs, PathModel({"F": ["x1", "x2", "x3"], "x9": "x9"}, {"x9": "F"}))
    other = cbsem(hs, PathModel({"F": ["x1", "x2", "x3"], "Y": "x9"}, {"Y": "F"}))
    assert same.fit_measures["chi2"] == pytest.approx(other.fit_measures["chi2"], abs=1e-9)


def test_impossible_fixed_values_are_refused_or_reported(hs):
    with pytest.raises(SpecError, match=r"finite numbers.*x1~~x1"):
        cbsem(hs, MODEL, fixed={"x1~~x1": float("nan")})
    with pytest.warns(CsiLabWarning, match="NOT CONVERGED"):
        text = str(cbsem(hs, MODEL, fixed={"x1~~x1": -5}))
    assert "NOT CONVERGED" in text.splitlines()[0] or "IMPROPER" in text.splitlines()[0]


def test_a_single_item_misses_nothing(hs):
    """A variance of its own for one item, as in the baseline: the misfit of both is 0, and CFI 1 as TLI is."""
    measures = cbsem(hs, PathModel({"visual": ["x1"]})).fit_measures
    assert measures[["cfi", "tli", "df"]].tolist() == [1, 1, 0]


def test_a_model_with_more_parameters_than_moments_has_no_cfi(hs):
    found = cbsem(hs, PathModel({"a": ["x1", "x2"]}))
    assert np.isnan(found.fit_measures["cfi"])
