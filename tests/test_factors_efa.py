"""The fitted factor analysis: tables, scores, intervals, improper and weighted solutions, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference, table

import csi_lab as csi
from csi_lab import DataError, EstimationError, SpecError
from csi_lab.factors import Rotation, efa
from csi_lab.moments import Moments
from csi_lab.plots_loadings import loading_map
from csi_lab.resampling import replicates

TRUE = np.zeros((9, 3))
TRUE[:3, 0], TRUE[3:6, 1], TRUE[6:, 2] = [0.8, 0.7, 0.6], [0.75, 0.7, 0.65], [0.85, 0.6, 0.55]
PHI = np.array([[1.0, 0.3, 0.2], [0.3, 1.0, 0.4], [0.2, 0.4, 1.0]])
NAMES = [f"q{i}" for i in range(1, 10)]


@pytest.fixture(scope="module")
def bfi() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "bfi25.csv")


def truth() -> np.ndarray:
    corr = TRUE @ PHI @ TRUE.T
    np.fill_diagonal(corr, 1.0)
    return corr


def published(n: int = 300) -> Moments:
    return Moments.from_covariance(NAMES, n, np.zeros(9), truth())


def sample(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.standard_normal((n, 9)) @ np.linalg.cholesky(truth()).T, columns=NAMES)


@pytest.mark.parametrize("extraction", ["minres", "ml", "principal axis"])
def test_a_published_matrix_gives_back_its_factors(extraction):
    fit = efa(published(), 3, extraction=extraction, rotation="oblimin", tolerance=1e-10, max_iterations=5000)
    order = [int(np.argmax(np.abs(fit.pattern[:, j]))) // 3 for j in range(3)]
    assert fit.pattern == pytest.approx(TRUE[:, order], abs=1e-5)
    assert fit.phi_matrix == pytest.approx(PHI[np.ix_(order, order)], abs=1e-5)
    assert fit.fit_measures["rmsr"] < 1e-6
    assert fit.fit_measures["chi2"] == pytest.approx(0.0, abs=1e-6)
    assert fit.converged
    assert fit.remarks() == ()


@pytest.mark.parametrize("name", ["minres_oblimin", "ml_promax", "ml_varimax"])
def test_variance_explained_is_that_of_the_reference(bfi, name):
    """tests/reference/efa/bfi_efa.json: the diagonal of Phi L'L of the converged rotation. Loadings differ by at most
    2e-5 there, so that a sum of squares near 2.5 differs by at most 2 sqrt(2.5 x 25) 2e-5 = 3e-4."""
    extraction, rotation = name.split("_")
    ref = read_reference("efa/bfi_efa.json")[f"{name}_tight"]
    loadings = table(ref["loadings"]).to_numpy()
    phi = table(ref["Phi"]).to_numpy() if "Phi" in ref else np.eye(5)
    squares = np.sort(np.diagonal(phi @ loadings.T @ loadings))[::-1]
    ours = efa(bfi, 5, extraction=extraction, rotation=rotation).variance
    assert ours["sum of squares"].to_numpy() == pytest.approx(squares, abs=3e-4)
    assert ours["cumulative"].to_numpy() == pytest.approx(np.cumsum(squares) / 25, abs=1e-4)


def test_the_same_from_survey_frame_and_moments_in_any_unit_and_order(mobi):
    survey = csi.load_survey("mobile")
    base = efa(mobi, 3)
    others = [survey, Moments.from_frame(mobi), mobi * np.linspace(0.01, 50, 24) - 3]
    for data in others:
        loadings = efa(data, 3).loadings.loc[mobi.columns]
        assert loadings.to_numpy() == pytest.approx(base.pattern, abs=1e-5)
    turned = efa(mobi[mobi.columns[::-1]], 3)
    assert turned.loadings.loc[mobi.columns].to_numpy() == pytest.approx(base.pattern, abs=1e-5)


def test_structure_communality_and_residuals_fit_together(bfi):
    fit = efa(bfi, 5, extraction="ml")
    assert fit.structure.to_numpy() == pytest.approx((fit.loadings @ fit.phi.to_numpy()).to_numpy())
    explained = np.einsum("ij,ij->i", fit.loadings, fit.structure)
    assert fit.communalities["estimate"].to_numpy() == pytest.approx(explained)
    assert fit.uniqueness.to_numpy() == pytest.approx(1 - explained, abs=1e-8)
    rebuilt = fit.residuals.to_numpy() + fit.loadings.to_numpy() @ fit.structure.to_numpy().T
    assert rebuilt[~np.eye(25, dtype=bool)] == pytest.approx(fit.moments.corr[~np.eye(25, dtype=bool)])
    assert fit.fit_measures["rmsr"] == pytest.approx(np.sqrt((fit.residuals.to_numpy() ** 2).sum() / 600))
    orthogonal = efa(bfi, 5, rotation="varimax")
    pd.testing.assert_frame_equal(orthogonal.structure, orthogonal.loadings)


def test_scores_have_the_properties_that_define_them(bfi):
    """Regression scores: covariances with the items are the fitted structure; variances are squared determinacies.
    Bartlett scores: weights give the identity with the loadings (unbiased)."""
    fit = efa(bfi, 5, extraction="ml")
    scores = fit.scores(bfi)
    assert scores.index.equals(bfi.index)
    assert scores.isna().any(axis=1).sum() == fit.moments.dropped
    complete = bfi.dropna()
    z = (complete - complete.mean()) / complete.std()
    cross = z.T.to_numpy() @ scores.dropna().to_numpy() / (len(complete) - 1)
    assert cross == pytest.approx(fit.structure.to_numpy(), abs=1e-9)
    assert scores.var().to_numpy() == pytest.approx(fit.determinacy.to_numpy() ** 2, abs=1e-9)
    weights = fit.score_weights("bartlett").to_numpy()
    assert weights.T @ fit.pattern == pytest.approx(np.eye(5), abs=1e-10)


def test_component_scores_are_uncorrelated_with_variance_one(mobi):
    fit = efa(mobi, 4, extraction="components", rotation="none")
    assert np.cov(fit.scores(mobi).to_numpy(), rowvar=False) == pytest.approx(np.eye(4), abs=1e-9)
    assert fit.names == ["C1", "C2", "C3", "C4"]
    assert "principal components" in str(fit)
    assert np.isnan(fit.fit_measures["chi2"])
    with pytest.raises(SpecError, match="components have no uniquenesses"):
        fit.scores(mobi, "bartlett")
    with pytest.raises(SpecError, match="'regression' or 'bartlett'"):
        fit.scores(mobi, "anderson")


def test_scores_refuse_other_data(mobi):
    fit = efa(mobi, 2)
    with pytest.raises(DataError, match=r"not in the data: \['CUSA1'\]"):
        fit.scores(mobi.drop(columns="CUSA1"))
    with pytest.raises(DataError, match="CUSA1"):
        fit.scores(mobi.assign(CUSA1="good"))


def test_intervals_cover_the_truth():
    """60 samples of 400, 99 draws, 90 % intervals of the 27 loadings: covered in 90 % within 3.5 points (the bootstrap
    of 99 draws cuts at 5 and 95 of 100 places; binomial se of 27 x 60 dependent cases is about 1 point)."""
    hits, truths = [], efa(published(10_000), 3).pattern
    for seed in range(60):
        fit = efa(sample(400, seed), 3, draws=99, rng=seed, level=0.90)
        frame = fit.to_frame()
        order = [int(np.argmax(np.abs(fit.pattern[:, j]))) // 3 for j in range(3)]
        at = [int(np.argmax(np.abs(truths[:, j]))) // 3 for j in range(3)]
        true = truths[:, [at.index(k) for k in order]].ravel()
        hits.append(((frame["low"] <= true) & (true <= frame["high"])).mean())
    assert np.mean(hits) == pytest.approx(0.90, abs=0.035)


def test_standard_errors_are_the_spread_over_samples():
    """Bootstrap errors of one large sample against the sd over 300 samples (each has 4 % of its own error)."""
    fits = np.stack([efa(sample(500, 1000 + seed), 3).to_frame()["estimate"].to_numpy() for seed in range(300)])
    one = efa(sample(500, 5), 3, draws=1000, rng=1).to_frame()["se"].to_numpy()
    reference = efa(sample(500, 5), 3)
    order = [int(np.argmax(np.abs(reference.pattern[:, j]))) // 3 for j in range(3)]
    lined = []
    for values in fits:
        pattern = values.reshape(9, 3)
        own = [int(np.argmax(np.abs(pattern[:, j]))) // 3 for j in range(3)]
        lined.append(pattern[:, [own.index(k) for k in order]].ravel())
    spread = np.stack(lined).std(axis=0, ddof=1)
    # 27 ratios; sampling error of sd (4 %) and of a bootstrap from one sample (about 10 %).
    assert np.exp(np.log(one / spread).mean()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("rotation", ["oblimin", "varimax", "promax", "none", Rotation("geomin", starts=3)])
@pytest.mark.parametrize("extraction", ["minres", "ml", "principal axis", "components"])
def test_replicates_start_from_the_sample_and_return_to_it(mobi, rotation, extraction):
    """A replicate that is the sample itself gives the sample's estimates, in its order and signs."""
    items = [c for c in mobi.columns if c.startswith(("PERQ", "CUSA", "CUSL"))]
    given = replicates(mobi, items=items, indices=np.stack([np.arange(250), np.arange(250)[::-1]]))
    fit = efa(mobi, 2, items, rotation=rotation, extraction=extraction, replicates=given)
    plain = efa(mobi, 2, items, rotation=rotation, extraction=extraction)
    assert fit.interval.failed.max() == 0
    assert fit.interval.se.max() < 1e-5
    assert fit.to_frame()["estimate"].to_numpy() == pytest.approx(plain.pattern.ravel(), abs=1e-5)


@pytest.mark.parametrize("kind", ["normal", "bc", "bca"])
def test_other_kinds_of_interval(mobi, kind):
    items = [f"PERQ{i}" for i in range(1, 8)]
    fit = efa(mobi, 1, items, draws=200, rng=1, kind=kind)
    frame = fit.to_frame()
    assert (frame["low"] < frame["estimate"]).all()
    assert (frame["estimate"] < frame["high"]).all()
    assert list(fit.communalities.columns) == ["estimate", "se", "low", "high"]
    assert len(fit.correlations) == 0
    assert kind in str(fit)


def test_a_heywood_case_comes_first():
    """A correlation matrix that one factor reproduces only with a uniqueness below zero."""
    loadings = np.array([1.1, 0.6, 0.5, 0.4])
    corr = np.outer(loadings, loadings)
    np.fill_diagonal(corr, 1.0)
    moments = Moments.from_covariance(list("abcd"), 200, np.zeros(4), corr)
    for extraction in ("minres", "ml", "principal axis"):
        fit = efa(moments, 1, extraction=extraction, tolerance=1e-9)
        assert fit.heywood == ("a",)
        assert str(fit).startswith("IMPROPER (Heywood case): nothing unique is left of a")
        with pytest.raises(EstimationError, match=r"these items have none: \['a'\]"):
            fit.score_weights("bartlett")
    axis = efa(moments, 1, extraction="principal axis", tolerance=1e-9)
    assert axis.pattern[:, 0] == pytest.approx(loadings, abs=1e-6)  # not clipped
    assert efa(moments, 1).uniqueness["a"] == pytest.approx(0.005, abs=1e-12)


def test_what_did_not_converge_says_so_first(mobi):
    fit = efa(mobi, 3, extraction="principal axis", max_iterations=2)
    assert not fit.converged
    assert str(fit).startswith("NOT CONVERGED after 2 iterations")
    loose = efa(mobi, 3, rotation=Rotation("oblimin", max_iterations=1))
    assert str(loose).startswith("THE ROTATION DID NOT CONVERGE in 1 iterations")


def test_weights_enter_through_the_moments_and_withhold_tests(mobi):
    w = np.where(np.arange(250) < 125, 1.0, 2.0)
    doubled = pd.concat([mobi, mobi[125:]], ignore_index=True)
    items = [f"PERQ{i}" for i in range(1, 8)]
    fit, copied = efa(mobi, 2, items, weights=w), efa(doubled, 2, items)
    assert fit.pattern == pytest.approx(copied.pattern, abs=1e-6)
    assert np.isnan(fit.fit_measures[["p", "rmsea_low", "rmsea_high"]]).all()
    assert "the sample has weights" in str(fit)
    assert np.isfinite(copied.fit_measures["p"])


def test_collinear_items_leave_minres_without_chi_square(mobi):
    frame = mobi[[f"PERQ{i}" for i in range(1, 8)]].copy()
    frame["total"] = frame.sum(axis=1)
    fit = efa(frame, 1)
    assert "no inverse" in str(fit)
    assert np.isnan(fit.fit_measures[["chi2", "rmsea", "tli", "bic"]]).all()
    with pytest.raises(EstimationError, match="total"):
        fit.scores(frame)


def test_the_sorted_table_blanks_small_loadings(bfi):
    fit = efa(bfi, 5)
    shown = fit.table(0.30)
    assert sorted(shown.index) == sorted(bfi.columns)
    values = shown.drop(columns="communality").to_numpy()
    assert np.nanmin(np.abs(values)) >= 0.30
    assert np.isnan(values).sum() == (np.abs(fit.pattern) < 0.30).sum()
    first = [
        next(name for name in fit.names if name in row.idxmax())
        for _, row in fit.loadings.abs().loc[shown.index].iterrows()
    ]
    assert first == sorted(first)


def test_assignment_gives_the_reason(mobi):
    fit = efa(mobi, 2, [f"PERQ{i}" for i in range(1, 8)] + ["CUSL1", "CUSL2", "CUSL3"])
    rule = fit.assignment()
    assert rule.loc["CUSL2", "reason"] == "loading below 0.50; less than 0.20 above the next"
    assert not rule.loc["CUSL2", "kept"]
    assert rule.loc["PERQ6", ["factor", "kept", "reason"]].tolist() == ["F1", True, ""]
    assert "fewer than 3 clear items (0.50 or more, 0.20 ahead): F2 (2)" in fit.remarks()
    assert fit.assignment(primary=0.05, gap=0.0)["kept"].all()


def test_pictures_show_the_loadings(mobi):
    fit = efa(mobi, 2, [f"PERQ{i}" for i in range(1, 8)])
    ax = fit.plot()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["F1", "F2"]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(fit.table().index)
    assert len(ax.texts) == 14
    with pytest.raises(DataError, match="no loadings"):
        loading_map(pd.DataFrame())


def test_every_face_is_there_and_escaped():
    frame = sample(120, 1).rename(columns={"q1": "<b>q1"})
    fit = efa(frame, 2)
    assert "<b>" not in fit._repr_html_()
    assert "&lt;b&gt;q1" in fit._repr_html_()
    assert list(fit.to_frame().columns) == ["estimate", "se", "low", "high"]
    assert fit.to_frame().index.names == ["item", "factor"]
    assert fit.to_frame()["se"].isna().all()
    assert "chi2 = " in str(fit)
    assert "n = 120" in str(fit)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_factors": 0}, "n_factors=0 must be a whole number"),
        ({"n_factors": 2.0}, "n_factors=2.0 must be a whole number"),
        (
            {"n_factors": 6},
            "6 factors of 9 items have more loadings than there are correlations; 9 items carry at most 5",
        ),
        ({"n_factors": 10, "extraction": "components"}, "10 components of 9 items"),
        ({"extraction": "uls"}, r"extraction='uls' is unknown; use one of \['minres'"),
        ({"rotation": "equamax"}, "'equamax' is unknown"),
        ({"lower": 0.0}, "lower=0.0 must lie between 0 and 1"),
        ({"max_iterations": 0}, "max_iterations=0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        efa(sample(100, 1), **{"n_factors": 2, **settings})


@pytest.mark.parametrize(
    ("corr", "m", "there"), [(np.eye(6), 1, 0), (np.kron(np.eye(2), np.ones((3, 3))) * 0.5 + np.eye(6) * 0.5, 3, 2)]
)
def test_factors_that_the_correlations_do_not_hold_are_refused(corr, m, there):
    moments = Moments.from_covariance(list("abcdef"), 100, np.zeros(6), corr)
    with pytest.raises(EstimationError, match=f"the correlations hold {there} factor"):
        efa(moments, m, extraction="principal axis", max_iterations=5000)


def test_numbers_for_column_names_are_taken(mobi):
    frame = pd.DataFrame(mobi.to_numpy()[:, :8])
    fit = efa(frame, 2, draws=20)
    assert list(fit.loadings.index) == [str(i) for i in range(8)]
    assert fit.to_frame()["se"].notna().all()


def test_items_named_twice_are_refused(mobi):
    with pytest.raises(DataError, match=r"named twice: \['PERQ1'\]"):
        efa(mobi, 1, ["PERQ1", "PERQ2", "PERQ1", "PERQ3"])
