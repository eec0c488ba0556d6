"""Criterion validity, known groups, common-method bias: closed forms, SciPy, published values, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import csi_lab as csi
from csi_lab import DataError, Design, EstimationError, SpecError
from csi_lab.moments import Moments
from csi_lab.sem import pls
from csi_lab.validity import criterion_validity, full_collinearity, harman, known_groups, marker_variable
from csi_lab.validity.labels import group_places, holm
from csi_lab.validity.method_bias import first_component, first_factor, inflation

SATISFACTION = ["CUSA1", "CUSA2", "CUSA3"]


def test_the_correlation_is_that_of_the_sums_with_fishers_interval(mobi):
    found = criterion_validity(mobi, SATISFACTION, ["CUSL1", "CUSL3"])
    r = np.corrcoef(mobi[SATISFACTION].sum(axis=1), mobi[["CUSL1", "CUSL3"]].sum(axis=1))[0, 1]
    assert found.value == pytest.approx(r, abs=1e-12)
    ends = stats.pearsonr(mobi[SATISFACTION].sum(axis=1), mobi[["CUSL1", "CUSL3"]].sum(axis=1)).confidence_interval()
    assert [found.low, found.high] == pytest.approx([ends.low, ends.high], abs=1e-12)


def test_correction_gives_the_true_correlation_of_equivalent_items():
    """Loadings .8 and .6, latent correlation .5: alpha is the reliability, and r / sqrt(r_xx r_yy) = .5."""
    pattern = np.array([[0.8, 0], [0.8, 0], [0.8, 0], [0, 0.6], [0, 0.6]])
    cov = pattern @ np.array([[1, 0.5], [0.5, 1]]) @ pattern.T
    np.fill_diagonal(cov, 1.0)
    moments = Moments.from_covariance(list("abcde"), 400, np.zeros(5), cov)
    found = criterion_validity(moments, ["a", "b", "c"], ["d", "e"])
    assert found.corrected == pytest.approx(0.5, abs=1e-14)
    assert found.reliabilities == pytest.approx((3 * 0.64 / (1 + 2 * 0.64), 2 * 0.36 / 1.36))
    given = criterion_validity(moments, ["a", "b", "c"], ["d", "e"], reliabilities=(0.9, 0.8))
    assert given.corrected == pytest.approx(found.value / np.sqrt(0.72))
    assert given.corrected_low == pytest.approx(given.low / np.sqrt(0.72))


def test_a_correction_beyond_one_is_shown_and_called_what_it_is(mobi):
    found = criterion_validity(mobi, SATISFACTION, "CUSCO", reliabilities=(0.3, 0.3))
    assert found.corrected > 1
    assert "is no correlation" in str(found)


def test_an_interval_that_would_ignore_weights_is_withheld_and_replicates_give_one(mobi):
    w = np.linspace(1, 2, 250)
    none = criterion_validity(mobi, SATISFACTION, "CUSCO", weights=w)
    assert np.isnan(none.low)
    assert "weights" in none.interval
    drawn = criterion_validity(mobi, SATISFACTION, "CUSCO", weights=w, draws=400)
    assert drawn.low < drawn.value < drawn.high
    assert drawn.corrected_low < drawn.corrected < drawn.corrected_high


@pytest.mark.parametrize(
    ("change", "measure", "criterion", "error", "message"),
    [
        ({"CUSCO": 5}, SATISFACTION, "CUSCO", DataError, r"do not vary.*\['CUSCO'\]"),
        ({"CUSCO": "x"}, SATISFACTION, "CUSCO", DataError, "'CUSCO' holds text"),
        ({}, SATISFACTION, "CUSA1", DataError, r"more than once: \['CUSA1'\]"),
        ({}, [], "CUSA1", DataError, "an item each"),
        ({}, "CUSA1", "nope", DataError, "nope"),
    ],
)
def test_criteria_that_cannot_be_correlated_are_refused(mobi, change, measure, criterion, error, message):
    with pytest.raises(error, match=message):
        criterion_validity(mobi.assign(**change), measure, criterion)


def test_items_that_cancel_or_oppose_each_other_are_refused(mobi):
    opposed = mobi.assign(back=lambda d: 11 - d.CUSA1)
    with pytest.raises(DataError, match="cancel"):
        criterion_validity(opposed, ["CUSA1", "back"], "CUSCO")
    with pytest.raises(EstimationError, match="alpha is -"):
        criterion_validity(opposed.assign(back=lambda d: 11 - d.CUSA2), ["CUSA1", "back"], "CUSCO")
    with pytest.raises(SpecError, match=r"\[1.4\]"):
        criterion_validity(mobi, SATISFACTION, "CUSCO", reliabilities=(1.4, None))


def heard(mobi: pd.DataFrame) -> np.ndarray:
    return np.where(mobi["CUSCO"] >= 8, "well", "badly")


def test_known_groups_agree_with_welch_and_the_anova(mobi):
    """SciPy's Welch test; eta squared from the sums of squares; d from the pooled standard deviation."""
    found = known_groups(mobi, SATISFACTION, heard(mobi))
    score = mobi[SATISFACTION].mean(axis=1).to_numpy()
    a, b = (score[heard(mobi) == g] for g in ("badly", "well"))
    row = found.pairs.loc[("badly", "well")]
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert [row["t"], row["p"], row["df"]] == pytest.approx([welch.statistic, welch.pvalue, welch.df], rel=1e-9)
    pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(score) - 2))
    assert row["estimate"] == pytest.approx((a.mean() - b.mean()) / pooled, rel=1e-12)
    between = len(a) * (a.mean() - score.mean()) ** 2 + len(b) * (b.mean() - score.mean()) ** 2
    assert found.eta2 == pytest.approx(between / ((score - score.mean()) ** 2).sum(), rel=1e-12)
    assert found.groups["mean"].tolist() == pytest.approx([a.mean(), b.mean()])
    assert found.groups["sd"].tolist() == pytest.approx([a.std(ddof=1), b.std(ddof=1)])


def test_the_interval_of_d_is_that_of_the_noncentral_t(mobi):
    row = known_groups(mobi, SATISFACTION, heard(mobi)).pairs.iloc[0]
    n1, n2 = 138, 112
    size = np.sqrt(n1 * n2 / (n1 + n2))
    t = row["estimate"] * size
    assert stats.nct.cdf(t, n1 + n2 - 2, row["low"] * size) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, n1 + n2 - 2, row["high"] * size) == pytest.approx(0.025, abs=1e-6)


def test_several_groups_are_compared_in_pairs_with_holms_adjustment(mobi):
    labels = pd.cut(mobi["CUSCO"], [0, 5, 8, 10], labels=["low", "middle", "high"]).astype(str)
    found = known_groups(mobi, "CUSA3", labels, groups=["low", "middle", "high"], draws=300)
    assert found.pairs.index.tolist() == [("low", "middle"), ("low", "high"), ("middle", "high")]
    assert found.pairs["p_holm"].to_numpy() == pytest.approx(holm(found.pairs["p"].to_numpy()))
    parts = [mobi["CUSA3"][labels == g] for g in ("low", "middle", "high")]
    f = stats.f_oneway(*parts).statistic
    assert found.eta2 == pytest.approx(2 * f / (2 * f + 247), rel=1e-12)
    assert found.eta2_low < found.eta2 < found.eta2_high


def test_whole_weights_equal_repeated_rows_and_a_design_withholds_welch(mobi):
    w = np.random.default_rng(1).integers(1, 4, 250).astype(float)
    weighted = known_groups(mobi, SATISFACTION, heard(mobi), weights=w)
    repeated = known_groups(
        mobi.loc[mobi.index.repeat(w.astype(int))], SATISFACTION, np.repeat(heard(mobi), w.astype(int))
    )
    assert weighted.groups["mean"].to_numpy() == pytest.approx(repeated.groups["mean"].to_numpy(), rel=1e-12)
    assert weighted.eta2 == pytest.approx(repeated.eta2, rel=1e-9)
    assert weighted.pairs[["p", "low"]].isna().all(axis=None)
    assert weighted.pairs["verdict"].tolist() == ["untested"]
    clustered = mobi.assign(town=np.arange(250) // 10)
    drawn = known_groups(clustered, SATISFACTION, heard(mobi), design=Design(psu="town"), draws=300)
    assert drawn.pairs["p"].isna().all()
    assert drawn.pairs["verdict"].tolist() == ["the groups differ"]


def test_a_bootstrap_of_a_simple_sample_comes_near_the_closed_interval(mobi):
    closed = known_groups(mobi, SATISFACTION, heard(mobi)).pairs.iloc[0]
    drawn = known_groups(mobi, SATISFACTION, heard(mobi), draws=2000, rng=1).pairs.iloc[0]
    assert drawn["estimate"] == pytest.approx(closed["estimate"], rel=1e-12)
    # The standard error of a bootstrap standard error is about se / sqrt(2 * 2000); skew and spread add a little.
    assert drawn["se"] == pytest.approx(closed["se"], rel=0.12)


def test_rows_left_out_are_counted(mobi):
    holes = mobi.astype(float)
    holes.loc[3, "CUSA1"] = np.nan
    labels = pd.Series(heard(mobi)).mask(mobi.index < 2)
    found = known_groups(holes, SATISFACTION, labels)
    assert (found.dropped, found.unlabelled) == (1, 2)
    assert "1 rows left out (missing answers)" in str(found)


@pytest.mark.parametrize(
    ("change", "by", "message"),
    [
        ({}, ["a"] * 250, "two or more different groups"),
        ({}, ["a", "b"], "2 group labels for 250 rows"),
        ({}, "town", "the column 'town'"),
        ({}, ["a"] * 249 + ["b"], r"fewer than two complete rows: \['b'\]"),
        ({}, range(250), "250 groups"),
        ({"CUSA1": 5}, ["a", "b"] * 125, "does not vary"),
        ({"CUSA1": "x"}, ["a", "b"] * 125, "holds text"),
        ({"CUSA1": np.nan}, ["a", "b"] * 125, "fewer than two complete rows"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(mobi, change, by, message):
    with pytest.raises(DataError, match=message):
        known_groups(mobi.assign(**change), "CUSA1", by)


def test_holm_is_stepwise_and_labels_keep_their_order():
    """Holm (1979): .01, .02, .03, .04 times 4, 3, 2, 1, never falling."""
    assert holm(np.array([0.04, 0.01, np.nan, 0.03, 0.02])).tolist() == pytest.approx(
        [0.06, 0.04, np.nan, 0.06, 0.06], nan_ok=True
    )
    names, place = group_places(pd.DataFrame({"g": [2, 1, 2, 3]}), "g", [2, 1])
    assert (names, place.tolist()) == (["2", "1"], [0, 1, 0, -1])


def test_harmans_share_meets_the_published_one(mobi):
    """METHODS: first unrotated component of mobi .3948."""
    found = harman(mobi)
    assert found.table.loc["first component", "estimate"] == pytest.approx(0.3948, abs=5e-5)
    assert found.table["verdict"].tolist() == ["below 0.50", "below 0.50"]


def test_the_common_factor_is_that_of_converged_principal_axes(mobi):
    """Iterating the largest eigenpair of the reduced matrix comes to the same point."""
    corr = mobi.corr().to_numpy()
    h = 1 - 1 / np.diag(np.linalg.inv(corr))
    for _ in range(3000):
        reduced = corr.copy()
        np.fill_diagonal(reduced, h)
        values, vectors = np.linalg.eigh(reduced)
        h = values[-1] * vectors[:, -1] ** 2
    assert first_factor(corr) == pytest.approx(h.mean(), abs=1e-9)
    both = first_factor(np.stack([corr, np.full((24, 24), 0.25) + 0.75 * np.eye(24)]))
    assert both == pytest.approx([h.mean(), 0.25], abs=1e-9)


def test_shares_of_matrices_without_a_solution_are_nan_and_said_so():
    """Loadings 1.05, .8, .8 would give these correlations: no proper factor."""
    heywood = np.array([[1, 0.84, 0.84], [0.84, 1, 0.64], [0.84, 0.64, 1]])
    assert np.isnan(first_factor(heywood))
    moments = Moments.from_covariance(["a", "b", "c"], 100, np.zeros(3), heywood)
    assert harman(moments).table["verdict"].tolist()[1] == "no proper one-factor solution"
    assert np.isnan(first_component(np.full((2, 3, 3), np.nan))).all()


def test_harman_intervals_and_refusals(mobi):
    table = harman(mobi, draws=300).table
    assert ((table["low"] < table["estimate"]) & (table["estimate"] < table["high"])).all()
    with pytest.raises(DataError, match="three items"):
        harman(mobi, ["CUSA1", "CUSA2"])
    with pytest.raises(DataError, match=r"\['CUSCO'\]"):
        harman(mobi.assign(CUSCO=1))
    with pytest.raises(SpecError, match="cut=50"):
        harman(mobi, cut=50)


def test_full_collinearity_meets_the_published_values(mobi, ecsi):
    """METHODS, centroid scheme: 2.586 1.520 3.834 1.741 3.639 1.494 1.943; two exceed 3.3."""
    found = full_collinearity(pls(mobi, ecsi, scheme="centroid"))
    expected = [2.586, 1.520, 3.834, 1.741, 3.639, 1.494, 1.943]
    assert found.table["estimate"].tolist() == pytest.approx(expected, abs=5e-4)
    assert found.table.index[found.table["verdict"] == "above 3.3"].tolist() == ["Quality", "Satisfaction"]


def test_inflation_is_that_of_the_regressions_on_all_others(mobi, ecsi):
    fit = pls(mobi, ecsi)
    scores = fit.scores(mobi).to_numpy()
    for j, value in enumerate(full_collinearity(fit).table["estimate"]):
        others = np.delete(scores, j, axis=1)
        fitted = others @ np.linalg.lstsq(others, scores[:, j], rcond=None)[0]
        assert value == pytest.approx(1 / (1 - fitted.var() / scores[:, j].var()), rel=1e-9)
    given = full_collinearity(fit.correlations)
    assert given.table["estimate"].to_numpy() == pytest.approx(inflation(fit.correlations.to_numpy()))
    assert full_collinearity(fit.bootstrap(100, rng=1)).table["se"].gt(0).all()


def test_collinear_constructs_are_named(mobi, ecsi):
    corr = pls(mobi, ecsi).correlations
    corr.loc["Value"] = corr.loc["Image"]
    corr["Value"] = corr["Image"]
    with pytest.raises(EstimationError, match=r"\['Image', 'Value'\]"):
        full_collinearity(corr)
    with pytest.raises(DataError, match="three constructs"):
        full_collinearity(corr.iloc[:2, :2])
    assert np.isnan(inflation(np.stack([corr.to_numpy(), np.eye(7)]))[0]).all()


def test_the_marker_is_held_constant_as_in_regression(mobi):
    blocks = {"Quality": ["PERQ1", "PERQ2"], "Satisfaction": SATISFACTION, "Image": ["IMAG1", "IMAG2"]}
    found = marker_variable(mobi, "CUSL2", blocks)
    z = (mobi - mobi.mean()) / mobi.std()
    scores = pd.DataFrame({c: z[items].sum(axis=1) for c, items in blocks.items()})
    residuals = scores - np.outer(z["CUSL2"], scores.apply(lambda y: np.polyfit(z["CUSL2"], y, 1)[0]))
    for (a, b), row in found.table.iterrows():
        assert row["correlation"] == pytest.approx(scores[a].corr(scores[b]), abs=1e-12)
        assert row["estimate"] == pytest.approx(residuals[a].corr(residuals[b]), abs=1e-9)
    least = scores.corrwith(z["CUSL2"]).abs().min()
    assert found.table["lindell_whitney"].to_numpy() == pytest.approx(
        ((found.table["correlation"] - least) / (1 - least)).to_numpy()
    )


def test_a_method_factor_is_taken_out_by_its_marker():
    """x = u + m, y = v + m, marker m: r = .5 comes from m alone. se of a partial correlation: 1 / sqrt(n)."""
    rng = np.random.default_rng(5)
    u, v, m = rng.normal(size=(3, 4000))
    found = marker_variable(pd.DataFrame({"x": u + m, "y": v + m, "m": m}), "m", {"X": "x", "Y": "y"})
    row = found.table.iloc[0]
    assert abs(row["correlation"] - 0.5) < 4 * 0.75 / np.sqrt(4000)
    assert abs(row["estimate"]) < 4 / np.sqrt(4000)
    drawn = marker_variable(pd.DataFrame({"x": u + m, "y": v + m, "m": m}), "m", {"X": "x", "Y": "y"}, draws=200)
    assert drawn.table["se"].iloc[0] == pytest.approx(1 / np.sqrt(4000), rel=0.25)


def test_markers_that_cannot_serve_are_refused(mobi):
    blocks = {"Satisfaction": SATISFACTION, "Image": ["IMAG1", "IMAG2"]}
    with pytest.raises(DataError, match=r"more than once: \['CUSA1'\]"):
        marker_variable(mobi, "CUSA1", blocks)
    with pytest.raises(DataError, match="two constructs"):
        marker_variable(mobi, "CUSCO", {"Satisfaction": SATISFACTION})
    with pytest.raises(DataError, match="no constructs"):
        marker_variable(mobi, "CUSCO")
    with pytest.raises(DataError, match="3 complete rows"):
        marker_variable(mobi[:3], "CUSCO", blocks)


def test_markers_and_constructs_that_are_one_another(mobi):
    """Items that cancel and a marker that is a construct are refused; two constructs that are one have no interval."""
    frame = mobi.assign(back=11 - mobi["CUSA1"], twin=mobi["CUSA1"])
    with pytest.raises(EstimationError, match=r"because they cancel: \['A'\]"):
        marker_variable(frame, "CUSCO", {"A": ["CUSA1", "back"], "B": "CUSA2"})
    with pytest.raises(EstimationError, match=r"copy of \['A'\]"):
        marker_variable(frame, "twin", {"A": "CUSA1", "B": "CUSA2"})
    row = marker_variable(frame, "CUSCO", {"A": "CUSA1", "B": "twin"}).table.iloc[0]
    assert row["estimate"] == pytest.approx(1)
    assert np.isnan(row["low"])
    assert row["verdict"] == "untested"


def test_checks_of_method_bias_say_what_their_intervals_are(mobi):
    survey = csi.load_survey("mobile")
    blocks = {"Satisfaction": SATISFACTION, "Image": ["IMAG1", "IMAG2"]}
    fit = pls(survey)
    for found, words in (
        (harman(survey), "none: ask for draws"),
        (harman(survey, draws=50), "percentile intervals at 95% from 50 draws"),
        (full_collinearity(fit), "none: take the fit's"),
        (full_collinearity(fit.bootstrap(draws=50)), "percentile intervals at 95% from 50 draws"),
        (full_collinearity(pd.DataFrame(np.eye(3))), "none: correlations alone"),
        (marker_variable(mobi, "CUSCO", blocks), "Fisher's z"),
        (marker_variable(mobi, "CUSCO", blocks, weights=np.linspace(1, 2, 250)), "none: the sample has weights"),
        (marker_variable(mobi, "CUSCO", blocks, draws=50), "percentile intervals"),
    ):
        assert words in found.interval
        assert words in str(found)
        assert ("none" in found.interval) == bool(found.table["low"].isna().all())


def test_the_corrected_correlation_has_an_error_too(mobi):
    """Reliabilities known: r's error over the root of their product; over draws likewise."""
    known = criterion_validity(mobi, SATISFACTION, "CUSCO", reliabilities=(0.8, None))
    assert known.corrected_se == pytest.approx(known.se / np.sqrt(0.8))
    drawn = criterion_validity(mobi, SATISFACTION, "CUSCO", reliabilities=(0.8, None), draws=500)
    assert drawn.corrected_se == pytest.approx(drawn.se / np.sqrt(0.8))
    assert drawn.to_frame().loc["corrected", "se"] == drawn.corrected_se


def test_results_have_their_faces(mobi):
    survey = csi.load_survey("mobile")
    labels = np.where(mobi["CUSCO"] > 7, "<b>yes</b>", "no")
    groups = known_groups(survey, "CUSA1", labels)
    assert "<b>" not in groups._repr_html_()
    for result in (groups, harman(survey), criterion_validity(survey, "CUSA1", "CUSCO")):
        assert len(result.to_frame())
        assert "<table" in result._repr_html_()
        assert str(result) == repr(result)
    assert groups.plot().get_xlabel() == "mean"
    assert harman(survey).plot().get_xlabel() == "Harman's single-factor check: share of the variance of all items"


def test_means_of_groups_have_students_interval_or_that_of_the_draws(mobi):
    """SciPy's interval of each mean; over draws the same to the order of 1/n; none that would ignore weights."""
    groups = np.where(mobi["CUSCO"] > 7, "high", "low")
    table = known_groups(mobi, SATISFACTION, groups).groups
    for name, row in table.iterrows():
        x = mobi.loc[groups == name, SATISFACTION].mean(axis=1)
        ends = stats.t.interval(0.95, len(x) - 1, loc=x.mean(), scale=stats.sem(x))
        assert [row["low"], row["high"]] == pytest.approx(list(ends), rel=1e-12)
    drawn = known_groups(mobi, SATISFACTION, groups, draws=1000, rng=1).groups
    assert drawn["se"].to_numpy() == pytest.approx(table["se"].to_numpy(), rel=0.1)
    assert (drawn["low"] < drawn["mean"]).all()
    weighted = known_groups(mobi, SATISFACTION, groups, weights=np.linspace(1, 2, 250)).groups
    assert weighted[["se", "low", "high"]].isna().all(axis=None)


def test_pictures_show_intervals_and_the_cut_off_that_judges(mobi):
    """The dotted line stands at the cut-off; every bar has its interval."""
    survey = csi.load_survey("mobile")
    shown = harman(survey, draws=50, cut=0.4).plot()
    assert [line.get_xdata()[0] for line in shown.lines] == [0.4]
    assert len(shown.collections[0].get_segments()) == 2
    vif = full_collinearity(pls(survey)).plot(labels={"Image": "picture of the firm"})
    assert [line.get_xdata()[0] for line in vif.lines] == [3.3]
    assert vif.get_yticklabels()[0].get_text() == "picture of the firm"
    blocks = {"Satisfaction": SATISFACTION, "Image": ["IMAG1", "IMAG2"]}
    marked = marker_variable(mobi, "CUSL2", blocks).plot()
    assert marked.get_xlabel() == "Marker variable CUSL2: partial correlation"
    assert not marked.lines
    groups = known_groups(mobi, SATISFACTION, np.where(mobi["CUSCO"] > 7, "high", "low")).plot()
    assert len(groups.collections[0].get_segments()) == 2
