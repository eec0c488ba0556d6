"""Standard errors, robust tests, delta method and bootstrap of CB-SEM against formulas written out and known truth."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab import EstimationError, PathModel, SpecError
from csi_lab.resampling import replicates
from csi_lab.sem.cb_derived import observed_variances, omega_observed
from csi_lab.sem.cb_inference import meat
from csi_lab.sem.cb_sample import Sample
from csi_lab.sem.cb_structure import Cells, matrices
from csi_lab.sem.cb_units import Clusters, UnitTotals
from csi_lab.sem.cbsem import cbsem

MODEL = PathModel({"F": ["a", "b", "c"], "G": ["d", "e", "f"]}, {"G": "F"})
CHAIN = PathModel({"X": "x", "M": "m", "Y": "y"}, {"M": "X", "Y": ["X", "M"]})


def skewed(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Six items of two factors with chi-square errors: normal theory is wrong about their variance."""
    rng = np.random.default_rng(seed)
    f = rng.chisquare(3, n) / np.sqrt(6)
    g = 0.6 * f + 0.8 * rng.normal(size=n)
    x = np.column_stack([f, f, f, g, g, g]) * [1, 0.8, 0.7, 1, 0.9, 0.8] + rng.chisquare(4, (n, 6)) / np.sqrt(8)
    return pd.DataFrame(x, columns=list("abcdef"))


def implied(fit, theta: np.ndarray) -> np.ndarray:
    """The lower triangle of Sigma, cell by cell."""
    sigma = matrices(Cells.of(fit.specification, 0), theta[None]).sigma[0]
    return sigma[np.tril_indices(len(sigma))]


@pytest.fixture(scope="module")
def pieces():
    """The matrices of the textbook: Delta by differences, Gamma from products of answers, V from the duplication."""
    frame = skewed()
    fit = cbsem(frame, MODEL, se="mlm")
    p, n = 6, len(frame)
    at = np.tril_indices(p)
    delta = np.empty((p * (p + 1) // 2, len(fit.theta)))
    for k, t in enumerate(fit.theta):
        step = np.zeros_like(fit.theta)
        step[k] = 1e-5 * max(abs(t), 0.1)
        delta[:, k] = (implied(fit, fit.theta + step) - implied(fit, fit.theta - step)) / (2 * step[k])
    centred = frame.to_numpy() - frame.mean().to_numpy()
    products = centred[:, at[0]] * centred[:, at[1]]
    gamma = np.cov(products.T, bias=True)
    duplication = np.zeros((p * p, len(at[0])))
    for column, (i, j) in enumerate(zip(*at, strict=True)):
        duplication[i * p + j, column] = duplication[j * p + i, column] = 1
    sigma = matrices(Cells.of(fit.specification, 0), fit.theta[None]).sigma[0]
    w = np.linalg.inv(sigma)
    v = 0.5 * duplication.T @ np.kron(w, w) @ duplication
    return frame, fit, n, delta, gamma, v


def test_mlm_standard_errors_are_the_sandwich_of_satorra_and_bentler(pieces):
    """Satorra & Bentler (1994): (D'VD)^-1 D'V Gamma V D (D'VD)^-1 / n."""
    _, fit, n, delta, gamma, v = pieces
    bread = np.linalg.inv(delta.T @ v @ delta)
    by_hand = bread @ delta.T @ v @ gamma @ v @ delta @ bread / n
    assert np.sqrt(np.diagonal(fit.covariance)) == pytest.approx(np.sqrt(np.diagonal(by_hand)), rel=1e-6)


def test_mlm_scales_chi2_by_the_mean_eigenvalue(pieces):
    """c = tr(U Gamma)/df with U = V - V D (D'VD)^-1 D'V."""
    _, fit, _, delta, gamma, v = pieces
    u = v - v @ delta @ np.linalg.inv(delta.T @ v @ delta) @ delta.T @ v
    factor = np.trace(u @ gamma) / fit.specification.df
    assert fit.fit_measures["scaling_factor"] == pytest.approx(factor, rel=1e-6)
    assert fit.fit_measures["chi2_scaled"] == pytest.approx(fit.fit_measures["chi2"] / factor, rel=1e-6)


def test_robust_standard_errors_hold_where_normal_theory_fails():
    """Truth by simulation: over 400 samples of skewed answers an sd of estimates has a relative error of 3.5 %."""
    found = [cbsem(skewed(seed=s), MODEL, se="robust") for s in range(1, 21)]
    many = csi.Moments.stack([csi.Moments.from_frame(skewed(seed=s)) for s in range(1, 401)])
    spread = found[0].refit(many).std(axis=1).to_numpy()
    robust = np.mean([np.sqrt(np.diagonal(f.covariance)) for f in found], axis=0)
    normal = np.sqrt(np.diagonal(cbsem(skewed(20_000, 7), MODEL).covariance) * 50)
    assert np.abs(robust / spread - 1).max() < 0.20
    assert (normal / spread - 1).min() < -0.25


def test_primary_units_of_one_row_change_the_sandwich_by_n_over_n_minus_1():
    frame = skewed().assign(psu=lambda d: np.arange(len(d)), w=1.0)
    survey = _Survey(frame, csi.Design(weights="w", psu="psu"))
    one, rows = cbsem(survey, MODEL, se="robust"), cbsem(frame, MODEL, se="robust")
    assert one.covariance == pytest.approx(rows.covariance * 400 / 399, rel=1e-6, abs=1e-12)
    assert one.scaling.model == pytest.approx(rows.scaling.model * 400 / 399, rel=1e-9)
    assert one.scaling.baseline == pytest.approx(rows.scaling.baseline * 400 / 399, rel=1e-9)


def test_doubled_rows_in_clusters_have_the_standard_errors_of_single_rows():
    """Every respondent entered twice in a cluster of two: n doubles, information about the population does not."""
    frame = skewed(200).assign(psu=lambda d: np.arange(len(d)))
    twice = pd.concat([frame, frame], ignore_index=True)
    clustered = cbsem(_Survey(twice, csi.Design(psu="psu")), MODEL, se="robust")
    single = cbsem(frame, MODEL, se="robust")
    ratio = np.sqrt(np.diagonal(clustered.covariance) / np.diagonal(single.covariance))
    assert ratio == pytest.approx(np.sqrt(200 / 199), rel=1e-6)
    assert clustered.fit_measures["chi2_scaled"] == pytest.approx(
        single.fit_measures["chi2_scaled"] * 199 / 200, rel=1e-6
    )
    assert np.isnan(clustered.fit_measures["p"])


@pytest.mark.parametrize("rows_per_unit", [1, 3])
def test_squares_of_units_are_those_of_the_textbook(rows_per_unit):
    """Cochran (1977), (5.12) and (9.2): sum over strata of k/(k - 1) times the squares of totals about their mean."""
    rng = np.random.default_rng(0)
    stratum = np.repeat([0, 1, 2], [5, 8, 2])
    unit = np.repeat(rng.permutation(15), rows_per_unit)
    x = rng.normal(size=(len(unit), 4)) + 100 * stratum[unit][:, None]
    halves = slice(0, 9), slice(9, len(unit))
    full, short = (
        UnitTotals(Clusters(tuple(unit[h] for h in halves), stratum), 4, products=wanted) for wanted in (True, False)
    )
    for g, half in enumerate(halves):
        for rows in (slice(0, 4), slice(4, None)):
            full.add(g, rows, x[half][rows])
            short.add(g, rows, x[half][rows])
    sums = np.array([x[unit == u].sum(axis=0) for u in range(15)])
    by_hand = sum(
        len(s) / (len(s) - 1) * (s - s.mean(axis=0)).T @ (s - s.mean(axis=0))
        for s in (sums[stratum == h] for h in range(3))
    )
    assert full.spread() == pytest.approx(by_hand, rel=1e-9)
    assert [full.trace(), short.trace()] == pytest.approx([np.trace(by_hand)] * 2, rel=1e-9)


def test_a_stratified_sample_of_many_respondents_keeps_no_row():
    """200,000 units with 100 contributions each would be 160 MB."""
    n, width = 200_000, 100
    totals = UnitTotals(Clusters((np.arange(n),), np.repeat([0, 1], n // 2)), width, products=True)
    tracemalloc.start()
    for start in range(0, n, 10_000):
        totals.add(0, slice(start, start + 10_000), np.ones((10_000, width)))
    totals.spread()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_a_stratum_with_one_primary_unit_is_refused_at_once():
    frame = skewed(100).assign(stratum=lambda d: (d.index < 5).astype(int), psu=lambda d: d.index // 5)
    with pytest.raises(csi.DataError, match="1 strata hold a single primary unit"):
        cbsem(_Survey(frame, csi.Design(strata="stratum", psu="psu")), MODEL, se="robust")
    holes = frame.assign(psu=frame["psu"].where(frame.index > 3))
    with pytest.raises(csi.DataError, match=r"missing values: \['psu'\]"):
        cbsem(_Survey(holes, csi.Design(psu="psu")), MODEL, se="robust")


class _Survey:
    """What cbsem asks of a survey: answers and how they were drawn."""

    def __init__(self, frame: pd.DataFrame, design: csi.Design) -> None:
        self.frame, self.design, self.model = frame, design, None


def test_scores_sum_to_zero_at_the_optimum_and_their_squares_are_the_meat():
    fit = cbsem(skewed(), MODEL, se="robust", means=True)
    squares = meat(fit.specification, fit.answers, fit.sample, fit.theta)
    centred = meat(fit.specification, fit.answers, fit.sample, fit.theta, centred=True)
    assert centred == pytest.approx(squares, abs=1e-6 * np.abs(squares).max())


def test_normal_theory_is_withheld_from_a_weighted_sample():
    frame = skewed().assign(w=lambda d: 1 + (d["a"] > 0))
    fit = cbsem(frame, MODEL, weights="w")
    assert fit.parameters["se"].isna().sum() == len(fit.theta)
    assert np.isnan(fit.fit_measures[["p", "rmsea_low", "rmsea_high", "rmsea_close_p"]]).all()
    assert "no standard errors: the sample has weights" in str(fit)
    assert cbsem(frame, MODEL, weights="w", se="robust").parameters["se"].notna().all()


def test_the_delta_method_of_an_indirect_effect_is_sobels():
    """Sobel (1982): se(ab)^2 = a^2 se_b^2 + b^2 se_a^2, the two estimates being independent here."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    m = 0.5 * x + rng.normal(size=300)
    y = 0.3 * x + 0.4 * m + rng.normal(size=300)
    fit = cbsem(pd.DataFrame({"x": x, "m": m, "y": y}), CHAIN)
    raw = fit.parameters
    a, b = raw.loc[("M", "~", "X")], raw.loc[("Y", "~", "M")]
    effect = fit.effects(standardised=False).loc[("indirect", "X", "Y")]
    assert effect["estimate"] == pytest.approx(a["estimate"] * b["estimate"], rel=1e-12)
    sobel = np.hypot(a["estimate"] * b["se"], b["estimate"] * a["se"])
    assert effect["se"] == pytest.approx(sobel, rel=1e-8)
    total = fit.effects(standardised=False).loc[("total", "X", "Y"), "estimate"]
    assert total == pytest.approx(effect["estimate"] + raw.loc[("Y", "~", "X"), "estimate"], rel=1e-12)


def test_a_correlation_has_the_standard_error_of_pearsons():
    """Two single items: normal theory gives (1 - r^2)/sqrt(n)."""
    frame = skewed()[["a", "d"]]
    fit = cbsem(frame, PathModel({"A": "a", "D": "d"}))
    r = frame.corr().iloc[0, 1]
    found = fit.latent_correlations.loc[("A", "D")]
    assert found["estimate"] == pytest.approx(r, abs=1e-12)
    assert found["se"] == pytest.approx((1 - r**2) / np.sqrt(len(frame)), rel=1e-9)


def test_the_bootstrap_is_a_fit_of_every_resample():
    """A given matrix of row numbers: the stack equals a loop of single fits, and the table its quantiles."""
    frame = skewed(120)
    rows = np.random.default_rng(1).integers(0, 120, size=(25, 120))
    fit = cbsem(frame, MODEL).bootstrap(indices=rows)
    loop = np.stack([cbsem(frame.iloc[at], MODEL).loadings["estimate"].to_numpy() for at in rows])
    loadings = fit.loadings
    assert loadings["se"].to_numpy() == pytest.approx(loop.std(axis=0, ddof=1), abs=1e-6)
    assert loadings["low"].to_numpy() == pytest.approx(np.quantile(loop, 0.025, axis=0), abs=1e-6)
    assert fit.resampled.failed == 0
    assert "from 25 draws" in str(fit)


def test_bootstrap_and_robust_standard_errors_agree():
    """2,000 draws: the sd has a relative error of 1.6 %, and the sandwich ignores terms of order 1/n."""
    frame = skewed(600, seed=3)
    robust = cbsem(frame, MODEL, se="robust").loadings["se"]
    drawn = cbsem(frame, MODEL).bootstrap(2000, rng=5).loadings["se"]
    assert np.abs(drawn / robust - 1).max() < 0.10


@pytest.mark.parametrize("kind", ["percentile", "normal", "bc", "bca"])
def test_every_kind_of_interval_covers_its_estimate(kind):
    fit = cbsem(skewed(150), MODEL).bootstrap(200, rng=2, kind=kind)
    for table in (fit.paths, fit.r2, fit.total_effects, fit.latent_correlations, fit.standardised):
        inside = (table["low"] <= table["estimate"] + 1e-9) & (table["estimate"] - 1e-9 <= table["high"])
        assert inside.all(), kind


def test_replicates_made_before_give_the_same_draws():
    frame = skewed(100)
    made = replicates(frame, draws=40, rng=9)
    fit = cbsem(frame, MODEL)
    assert (fit.bootstrap(replicates=made).resampled.theta == fit.bootstrap(40, rng=9).resampled.theta).all()


def test_a_draw_without_a_solution_is_left_out_and_counted():
    frame = skewed(60)
    rows = np.random.default_rng(1).integers(0, 60, size=(20, 60))
    rows[3] = 5
    fit = cbsem(frame, MODEL).bootstrap(indices=rows)
    assert fit.resampled.failed == 1
    assert "1 of them without a solution" in str(fit)
    assert fit.loadings["se"].notna().all()


def test_refit_is_a_column_per_draw(mobi):
    frame = skewed(100)
    fit = cbsem(frame, MODEL)
    table = fit.refit(replicates(frame, draws=7, rng=9).moments)
    assert table.shape == (len(fit.theta), 7)
    assert fit.refit(fit.moments)["estimate"].to_numpy() == pytest.approx(fit.theta, abs=1e-6)


def test_groups_are_resampled_apart():
    frame = skewed(300).assign(g=np.repeat(["u", "v"], 150))
    fit = cbsem(frame, MODEL, groups="g", equal=["loadings"]).bootstrap(50, rng=1)
    assert fit.loadings["se"].gt(0).all()
    assert fit.loadings.index.names == ["group", "construct", "item"]
    with pytest.raises(SpecError, match="resampled apart"):
        fit.bootstrap(indices=np.zeros((5, 300), dtype=int))


def test_what_cannot_be_resampled_is_refused():
    frame = skewed(100)
    with pytest.raises(EstimationError, match="no rows to resample"):
        cbsem(csi.Moments.from_frame(frame), MODEL).bootstrap(20)


def test_full_information_recovers_what_listwise_deletion_cannot():
    """Answers missing when another is high: listwise means are biased, full-information ones lie within 4 se."""
    rng = np.random.default_rng(6)
    frame = skewed(3000, seed=6)
    truth = frame["b"].mean()
    frame.loc[(frame["a"] > frame["a"].median()) & (rng.random(3000) < 0.8), "b"] = np.nan
    row = cbsem(frame, MODEL, missing="fiml", se="robust").parameters.loc[("b", "~1", "")]
    assert abs(row["estimate"] - truth) < 4 * row["se"]
    assert abs(frame["b"].mean() - truth) > 4 * row["se"]


def test_estimates_recover_a_known_market():
    """n = 20,000 from known loadings and path: every estimate within 4 of its standard errors."""
    rng = np.random.default_rng(10)
    n = 20_000
    f = rng.normal(size=n)
    g = 0.7 * f + rng.normal(size=n) * np.sqrt(1 - 0.49)
    loadings = np.array([0.9, 0.8, 0.7, 0.85, 0.75, 0.65])
    x = np.column_stack([f, f, f, g, g, g]) * loadings + rng.normal(size=(n, 6)) * np.sqrt(1 - loadings**2)
    fit = cbsem(pd.DataFrame(5 + 2 * x, columns=list("abcdef")), MODEL)
    found = fit.loadings
    assert (np.abs(found["estimate"].to_numpy() - loadings) < 4 * found["se"]).all()
    path = fit.paths.loc[("F", "G")]
    assert abs(path["estimate"] - 0.7) < 4 * path["se"]
    assert fit.fit_measures["p"] > 1e-4


RELIABLE = PathModel({"F": ["a", "b", "c"], "G": ["d", "e", "f"]})


def with_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """One item of each row missing in four rows of ten, so that there are seven patterns."""
    rng = np.random.default_rng(2)
    out = frame.copy()
    lost = rng.integers(0, 6, len(frame))
    for row in np.flatnonzero(rng.random(len(frame)) < 0.4):
        out.iloc[row, lost[row]] = np.nan
    return out


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_omega_over_the_observed_variance_varies_as_its_weights_say(missing):
    """Infinitesimal jackknife (Jaeckel 1972): the robust variance is the sum of squared derivatives in each weight."""
    frame = skewed(40, seed=5) if missing == "listwise" else with_gaps(skewed(40, seed=5))
    fit = cbsem(frame, RELIABLE, missing=missing, se="robust")
    at = [(c, "omega_observed") for c in "FG"]
    slopes = np.empty((40, 2))
    for row in range(40):
        ends = []
        for step in (-0.02, 0.02):
            w = np.ones(40)
            w[row] += step
            ends.append(cbsem(frame, RELIABLE, missing=missing, weights=w).reliability.loc[at, "estimate"].to_numpy())
        slopes[row] = (ends[1] - ends[0]) / 0.04
    assert fit.reliability.loc[at, "se"].to_numpy() == pytest.approx(np.sqrt((slopes**2).sum(axis=0)), rel=2e-3)


@pytest.mark.parametrize(
    ("se", "missing"),
    [
        ("expected", "listwise"),
        ("observed", "listwise"),
        ("robust", "listwise"),
        ("mlm", "listwise"),
        ("observed", "fiml"),
        ("robust", "fiml"),
    ],
)
def test_where_the_model_is_saturated_the_two_omegas_are_one(se, missing):
    """Three items, one factor: implied and observed variances are the same numbers, and so are all errors."""
    frame = skewed(200)[list("abc")]
    frame = frame if missing == "listwise" else frame.mask(np.random.default_rng(4).random(frame.shape) < 0.1)
    fit = cbsem(frame, PathModel({"F": list("abc")}), se=se, missing=missing)
    implied, observed = (fit.reliability.loc[("F", name)] for name in ("omega", "omega_observed"))
    assert observed.to_numpy() == pytest.approx(implied.to_numpy(), rel=1e-5)


def test_omega_over_the_observed_variance_varies_over_samples_as_it_says():
    """Normal answers of a true model, 400 samples: an sd has a relative error of 3.5 %."""
    rng = np.random.default_rng(8)
    found = []
    for _ in range(400):
        f = rng.normal(size=(300, 2)) @ np.linalg.cholesky([[1, 0.5], [0.5, 1]]).T
        x = np.repeat(f, 3, axis=1) * [1, 0.8, 0.7, 1, 0.9, 0.8] + rng.normal(size=(300, 6)) * 0.8
        found.append(csi.Moments.from_frame(pd.DataFrame(x, columns=list("abcdef"))))
    fits = [cbsem(m, RELIABLE) for m in found[:20]]
    spec, many = fits[0].specification, csi.Moments.stack(found)
    observed = observed_variances(spec, Sample.complete([many], means=False))
    values = omega_observed(spec).function(np.hstack([fits[0].refit(many).to_numpy().T, observed]))
    said = np.mean([f.reliability.loc[(["F", "G"], "omega_observed"), "se"] for f in fits], axis=0)
    assert np.abs(said / values.std(axis=0, ddof=1) - 1).max() < 4 * 0.035


def test_omega_over_the_observed_variance_has_draws_of_its_own():
    frame = skewed(120)
    rows = np.random.default_rng(1).integers(0, 120, size=(25, 120))
    table = cbsem(frame, RELIABLE).bootstrap(indices=rows).reliability
    loop = [cbsem(frame.iloc[at], RELIABLE).reliability.loc[("F", "omega_observed"), "estimate"] for at in rows]
    assert table.loc[("F", "omega_observed"), "se"] == pytest.approx(np.std(loop, ddof=1), abs=1e-6)


def test_the_errors_of_both_omegas_are_those_of_groups_and_units():
    frame = skewed(300).assign(g=np.repeat(["u", "v"], 150))
    for se in ("expected", "robust"):
        both = cbsem(frame, RELIABLE, groups="g", se=se).reliability
        scaled = cbsem(frame.assign(**{c: frame[c] * 100 for c in "abcdef"}), RELIABLE, groups="g", se=se).reliability
        assert scaled["se"].to_numpy() == pytest.approx(both["se"].to_numpy(), rel=1e-6)
        alone = cbsem(frame[frame["g"] == "v"], RELIABLE, se=se).reliability
        assert both.loc["v", "se"].to_numpy() == pytest.approx(alone["se"].to_numpy(), rel=1e-5)
