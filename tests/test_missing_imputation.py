"""Multiple imputation and Rubin's rules: stored results of mice, closed forms, known truth, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference
from made_studies import answers, write_study
from scipy.special import ndtr

import csi_lab as csi
from csi_lab import DataError, EstimationError, SpecError
from csi_lab.cleaning import compare_treatments, impute, pool, pool_r2
from csi_lab.cleaning.chained import nearest
from csi_lab.cleaning.imputed import scale_reduction
from csi_lab.cleaning.normal_model import draw_parameters
from csi_lab.moments import Moments

MICE = read_reference("missing/mice_nhanes.json")
ITEMS = ["CUSA1", "CUSA2", "CUSA3", "CUSL1", "CUSL3"]


@pytest.fixture(scope="module")
def holes(mobi) -> pd.DataFrame:
    return mobi[ITEMS].astype(float).mask(np.random.default_rng(0).random((250, 5)) < 0.08)


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """A survey of 120 with weights, strata and gaps."""
    frame = answers(120).astype(float)
    frame = frame.mask(np.random.default_rng(2).random(frame.shape) < 0.05)
    frame["w"], frame["region"] = 1.0 + np.arange(120) % 3, np.repeat(["north", "south", "west"], 40)
    path = write_study(tmp_path_factory.mktemp("s"), frame, design={"weights": "w", "strata": "region"})
    return csi.load_survey(path)


# --- Rubin's rules


def test_pooling_agrees_with_mice():
    """tests/reference/missing/mice_nhanes.json: every column to a relative 1e-10."""
    coefficients = np.array([fit["coef"] for fit in MICE["per_imputation"]])
    covariances = np.array([fit["vcov"] for fit in MICE["per_imputation"]])
    theirs, summary = pd.DataFrame(**MICE["pooled"]), pd.DataFrame(**MICE["summary"])
    found = pool(coefficients, covariances, df_complete=22, names=list(theirs.index))
    ours = {"estimate": "estimate", "within": "ubar", "between": "b", "total": "t", "df": "df", "riv": "riv"}
    for mine, name in {**ours, "lambda": "lambda", "fmi": "fmi"}.items():
        assert found.table[mine].to_numpy() == pytest.approx(theirs[name].to_numpy(dtype=float), rel=1e-10)
    for mine, name in {"se": "std.error", "p": "p.value", "low": "2.5 %", "high": "97.5 %"}.items():
        assert found.table[mine].to_numpy() == pytest.approx(summary[name].to_numpy(dtype=float), rel=1e-10)
    assert np.diag(found.covariance) == pytest.approx(found.table["total"].to_numpy(), rel=1e-12)


def test_pooling_one_number_agrees_with_mice():
    ref = MICE["pool_scalar"]
    row = pool(ref["qhat"], ref["u"], df_complete=99).table.iloc[0]
    ours = [row[c] for c in ("estimate", "within", "between", "total", "df", "riv", "fmi")]
    assert ours == pytest.approx([ref[c] for c in ("qbar", "ubar", "b", "t", "df", "r", "fmi")], rel=1e-10)


@pytest.mark.parametrize(("kind", "adjusted"), [("pool_r_squared", False), ("pool_r_squared_adjusted", True)])
def test_pooled_r2_agrees_with_mice(kind, adjusted):
    """mice takes 1.96 for the normal quantile, so the level here is the one that belongs to 1.96."""
    ref, values = MICE[kind], []
    for _, part in pd.read_csv(REFERENCE / "data" / "nhanes_imp.csv").groupby(".imp"):
        x, y = np.c_[np.ones(25), part["age"], part["bmi"]], part["chl"].to_numpy(dtype=float)
        rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        r2 = 1 - rest @ rest / ((y - y.mean()) ** 2).sum()
        values.append(1 - (1 - r2) * 24 / 22 if adjusted else r2)
    found = pool_r2(values, 25, level=2 * ndtr(1.96) - 1)
    assert [found.value, found.low, found.high, found.fmi] == pytest.approx(list(ref.values()), abs=1e-10)


def test_large_samples_have_rubins_own_degrees_of_freedom():
    """df = (m - 1)(1 + W/((1 + 1/m) B))^2 (Rubin 1987)."""
    q, u = np.array([1.0, 1.4, 0.8, 1.1]), np.array([0.2, 0.25, 0.22, 0.18])
    w, b = u.mean(), q.var(ddof=1)
    row = pool(q, u).table.iloc[0]
    assert row["df"] == pytest.approx(3 * (1 + w / (1.25 * b)) ** 2, rel=1e-12)
    assert row["se"] == pytest.approx(np.sqrt(w + 1.25 * b), rel=1e-12)


def test_without_any_spread_between_imputations_the_analysis_is_that_of_complete_data():
    row = pool([2.0, 2.0, 2.0], [0.25, 0.25, 0.25]).table.iloc[0]
    assert [row["se"], row["riv"], row["lambda"], row["fmi"]] == [0.5, 0, 0, 0]
    assert np.isinf(row["df"])
    assert [row["low"], row["high"]] == pytest.approx([2 - 0.5 * 1.959963984540054, 2 + 0.5 * 1.959963984540054])


def test_an_interval_that_does_not_exist_says_why():
    same = pool([1.0, 1, 1], [0, 0, 0], names=["a"])
    assert np.isnan(same.table["low"].iloc[0])
    assert "no interval for a: the estimate is the same in all imputations and its variance is 0" in str(same)
    spread = pool([[1.0, 1], [1.2, 2], [0.9, 3]], [[0, 1], [0, 1], [0, 1]], df_complete=99, names=["a", "b"])
    assert np.isnan(spread.table["low"]).tolist() == [True, False]
    assert "no interval for a: the variance is 0 within every imputation" in spread._repr_html_()
    alone = pool([1.0, 1.2, 0.9], [0, 0, 0])
    # Rubin's degrees of freedom are m - 1 where all variance lies between: t of 2 degrees at .975 is 4.303.
    assert alone.table["high"].iloc[0] == pytest.approx(31 / 30 + 4.302653 * np.sqrt(4 / 3 * 0.07 / 3), rel=1e-6)
    assert "rests on the spread between them alone" in str(alone)
    assert pool([1.0, 1.2], [0.1, 0.1]).remarks == ()


def test_scaling_the_estimates_scales_their_intervals():
    q, u = np.array([1.0, 1.4, 0.8]), np.array([0.2, 0.25, 0.22])
    a, b = pool(q, u).table.iloc[0], pool(100 * q, 1e4 * u).table.iloc[0]
    assert b[["estimate", "se", "low", "high"]].tolist() == pytest.approx(
        (100 * a[["estimate", "se", "low", "high"]]).tolist()
    )
    assert b["fmi"] == pytest.approx(a["fmi"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pool([1.0], [0.1]), SpecError, "two imputations"),
        (lambda: pool([1.0, 2], [0.1, -1]), EstimationError, "no variance in 1 imputations"),
        (
            lambda: pool([[1.0, np.nan], [np.nan, 1]], np.ones((2, 2)), names=["a", "b"]),
            EstimationError,
            "(?s)a: no estimate.*b: no estimate",
        ),
        (lambda: pool([[1.0, 2], [2, 3]], np.ones((2, 3))), DataError, "need variances"),
        (lambda: pool(["x", "y"], [1, 1]), DataError, "must be numbers"),
        (lambda: pool([1.0, 2], [1, 1], names=["a", "b"]), DataError, "as many names"),
        (lambda: pool([1.0, 2], [1, 1], level=95), SpecError, "level=95"),
        (lambda: pool([1.0, 2], [1, 1], df_complete=0), SpecError, "df_complete"),
        (lambda: pool_r2([0.3, -0.1], 50), DataError, "imputation 1: -0.1"),
        (lambda: pool_r2([0.3, 0.4], 3), SpecError, "more than 3"),
    ],
)
def test_what_cannot_be_pooled_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- drawing the gaps


@pytest.mark.parametrize("settings", [{"kind": "pmm"}, {"kind": "norm"}, {"kind": "rounded"}, {"method": "normal"}])
def test_answers_stay_and_every_gap_is_filled(holes, settings):
    found = impute(holes, m=3, iterations=4, rng=1, **settings)
    assert len(list(found)) == len(found) == 3
    known = holes.notna().to_numpy()
    for copy in found:
        assert not copy.isna().to_numpy().any()
        assert (copy.to_numpy()[known] == holes.to_numpy()[known]).all()
    assert not found.completed(0).equals(found.completed(1))


def test_matching_gives_answers_that_somebody_gave(holes):
    for copy in impute(holes, m=3, rng=1):
        for item in ITEMS:
            assert set(copy[item]) <= set(holes[item].dropna())


def test_rounded_draws_are_those_of_norm_on_the_nearest_point_of_the_scale(survey, holes):
    plain, rounded = (impute(holes, m=3, iterations=4, rng=1, kind=kind) for kind in ("norm", "rounded"))
    beyond = count = 0
    for item in ITEMS:
        low, high = holes[item].min(), holes[item].max()
        whole = np.rint(plain.values[item])
        np.testing.assert_array_equal(rounded.values[item], np.clip(whole, low, high))
        beyond, count = beyond + int(((whole < low) | (whole > high)).sum()), count + whole.size
    assert beyond > 0
    assert f"norm, rounded; {beyond} of {count} draws lay beyond the ends of the scale" in rounded.treatment
    drawn = impute(survey, m=4, iterations=3, rng=1, kind="rounded")  # a survey knows its scale
    assert all(set(np.unique(values)) <= set(range(1, 11)) for values in drawn.values.values())
    with pytest.raises(DataError, match=r"not whole numbers.*\['CUSA1'\]"):
        impute(holes.assign(CUSA1=holes["CUSA1"] / 3), m=2, rng=1, kind={"CUSA1": "rounded"})


def scale_answers(seed: int, n: int = 200) -> pd.DataFrame:
    """Answers on 1 to 10; 45 % of b is missing, most of it where a is high."""
    rng = np.random.default_rng([11, seed])
    common = rng.normal(size=(n, 1))
    full = np.clip(np.round(6.5 + 1.8 * (0.85 * common + 0.5 * rng.normal(size=(n, 4)))), 1, 10)
    frame = pd.DataFrame(full, columns=list("abcd"))
    gap = rng.random(n) < 1 / (1 + np.exp(0.25 - 0.9 * (frame["a"] - 6.5)))
    return frame.assign(b=frame["b"].mask(gap))


def test_matching_knows_that_others_might_have_answered():
    """Its standard errors are not below those of a proper draw; out of a fixed pool of donors they are, by 6 %."""
    errors: dict[str, list[float]] = {"pmm": [], "norm": []}
    for seed in range(25):
        frame = scale_answers(seed)
        for kind, found in errors.items():
            moments = impute(frame, m=20, iterations=4, rng=seed, kind=kind).moments()
            found.append(pool(moments.mean[:, 1], moments.cov[:, 1, 1] / 200).table["se"].iloc[0])
    assert np.mean(errors["pmm"]) > 0.98 * np.mean(errors["norm"])


def test_the_same_seed_gives_the_same_imputations(holes):
    a, b, c = (impute(holes, m=2, iterations=3, rng=seed) for seed in (1, 1, 2))
    assert a.completed(1).equals(b.completed(1))
    assert not a.completed(1).equals(c.completed(1))


def test_imputing_in_other_units_gives_the_same_draws(holes):
    """Linear equations do not know the unit."""
    a = impute(holes, m=2, iterations=3, rng=1, kind="norm").completed(0)
    b = impute(1000 * holes - 5, m=2, iterations=3, rng=1, kind="norm").completed(0)
    assert (1000 * a - 5).to_numpy() == pytest.approx(b.to_numpy(), rel=1e-6)


def test_matching_takes_one_of_the_nearest_with_equal_chances():
    predicted = np.arange(100.0)[None, :].repeat(2, axis=0)
    wanted = np.tile([-5.0, 50.2, 200.0], (2, 2000)).reshape(2, -1)
    got = nearest(predicted, wanted, 5, np.random.default_rng(1))
    for value, expected in ((-5.0, range(5)), (50.2, range(48, 53)), (200.0, range(95, 100))):
        counts = np.bincount(got[wanted == value], minlength=100)[list(expected)]
        assert counts.sum() == 4000
        assert np.abs(counts / 4000 - 0.2).max() < 4 * np.sqrt(0.16 / 4000)


def test_equal_predictions_have_equal_chances():
    got = nearest(np.zeros((1, 40)), np.zeros((1, 20_000)), 5, np.random.default_rng(1))
    # One call orders the ties once: the pool is any five of the forty, not the first five rows.
    pools = {
        tuple(np.unique(nearest(np.zeros((1, 40)), np.zeros((1, 200)), 5, np.random.default_rng(s)))) for s in range(20)
    }
    assert len(np.unique(got)) == 5
    assert len(pools) == 20


def test_drawn_parameters_have_the_moments_of_their_posterior():
    """E(Sigma) = scatter/(n - p - 2), mean about that of the sample with variance E(Sigma)/n."""
    rng = np.random.default_rng(1)
    n, p, m = 40, 2, 20_000
    x = rng.multivariate_normal([1.0, 2.0], [[1.0, 0.5], [0.5, 2.0]], size=n)
    mean, cov = draw_parameters(np.broadcast_to(x, (m, n, p)), rng)
    scatter = (x - x.mean(axis=0)).T @ (x - x.mean(axis=0))
    expected = scatter / (n - p - 2)
    assert np.abs(cov.mean(axis=0) - expected).max() < 0.03
    assert np.abs(mean.mean(axis=0) - x.mean(axis=0)).max() < 4 * np.sqrt(expected.max() / n / m)
    assert np.cov(mean, rowvar=False) == pytest.approx(expected / n, abs=0.003)


def mar(seed: int, n: int = 100) -> pd.DataFrame:
    """True means 0; b is missing where a is high, c anywhere."""
    rng = np.random.default_rng([7, seed])
    common = rng.normal(size=n)
    frame = pd.DataFrame(common[:, None] + 0.7 * rng.normal(size=(n, 3)), columns=list("abc"))
    frame["b"] = frame["b"].mask(rng.random(n) < 1 / (1 + np.exp(1 - frame["a"])))
    return frame.assign(c=frame["c"].mask(rng.random(n) < 0.15))


@pytest.mark.parametrize(("settings", "runs"), [({"kind": "norm"}, 100), ({"method": "normal"}, 40)])
def test_intervals_cover_the_truth_under_mar_and_complete_rows_are_biased(settings, runs):
    """Coverage of the mean of b in a binomial band of four standard errors about 95 %, bias in one of zero."""
    covered, estimates, complete = 0, [], []
    for seed in range(runs):
        frame = mar(seed)
        moments = impute(frame, m=8, iterations=5, rng=seed, **settings).moments()
        row = pool(moments.mean[:, 1], moments.cov[:, 1, 1] / 100, df_complete=99).table.iloc[0]
        covered += row["low"] < 0 < row["high"]
        estimates.append(row["estimate"])
        complete.append(frame["b"].mean())
    assert abs(covered / runs - 0.95) < 4 * np.sqrt(0.95 * 0.05 / runs)
    assert abs(np.mean(estimates)) < 4 * np.std(estimates) / np.sqrt(runs)
    assert np.mean(complete) < -8 * np.std(complete) / np.sqrt(runs)


def test_matching_recovers_mean_and_correlation_of_scale_answers_under_mar():
    """Answers on 1 to 10, gaps that follow another item: nearer to the truth than the answers given, by far."""
    rng = np.random.default_rng(3)
    common = rng.normal(size=(3000, 1))
    full = np.clip(np.round(6 + 1.6 * (0.85 * common + 0.5 * rng.normal(size=(3000, 4)))), 1, 10)
    frame = pd.DataFrame(full, columns=list("abcd"))
    gap = rng.random(3000) < 1 / (1 + np.exp(1.5 - 0.8 * (frame["a"] - 6)))
    found = impute(frame.assign(b=frame["b"].mask(gap)), m=5, rng=1).moments()
    true = Moments.from_frame(frame)
    assert frame["b"][~gap].mean() < true.mean[1] - 0.25
    assert abs(found.mean[:, 1].mean() - true.mean[1]) < 0.06
    assert abs(found.corr[:, 0, 1].mean() - true.corr[0, 1]) < 0.02


@pytest.mark.filterwarnings("error")
def test_columns_that_vary_less_than_numbers_can_are_refused(holes):
    with pytest.raises(EstimationError, match=r"do not vary beyond rounding: \['CUSA1', "):
        impute(1e-300 * holes, m=2, rng=1)


def test_without_mixing_the_chains_are_named(holes):
    found = impute(holes, m=20, iterations=20, rng=1)
    assert (found.rhat.to_numpy() < 1.1).all()
    assert found.remarks() == ()
    apart = replace(found, trace=found.trace + np.arange(20)[:, None])
    assert "not mixed" in str(apart)
    assert "too few" in str(impute(holes, m=2, iterations=2, rng=1))


@pytest.mark.parametrize("settings", [{"kind": "norm", "iterations": 1}, {"method": "normal", "iterations": 20}])
def test_imputed_means_have_the_moments_of_their_posterior_predictive_distribution(settings):
    """One item missing given a complete one: mean Xb and variance s2 nu/(nu - 2) [u'(X'X)^-1 u + k]/n2 (flat prior).

    For the joint normal model nu is that of the regression, too; bands of four standard errors of 2,000 draws.
    """
    rng = np.random.default_rng(3)
    n, k, m = 40, 15, 2000
    x = rng.normal(size=n)
    y = 2 + 0.8 * x + rng.normal(size=n)
    frame = pd.DataFrame({"x": x, "y": np.where(np.arange(n) < n - k, y, np.nan)})
    found = impute(frame, m=m, rng=1, **settings)
    drawn = (np.nansum(frame["y"]) + found.values["y"].sum(axis=1)) / n
    design, lacking = np.c_[np.ones(n - k), x[: n - k]], np.c_[np.ones(k), x[n - k :]]
    b, (rss,), *_ = np.linalg.lstsq(design, y[: n - k], rcond=None)
    nu, u = n - k - 2, lacking.sum(axis=0)
    variance = rss / nu * nu / (nu - 2) * (u @ np.linalg.solve(design.T @ design, u) + k) / n**2
    expected = (np.nansum(frame["y"]) + (lacking @ b).sum()) / n
    assert abs(drawn.mean() - expected) < 4 * np.sqrt(variance / m)
    # Kurtosis of a t with 23 degrees of freedom is 3.3: the variance of a variance is (3.3 - 1)/m of its square.
    assert abs(drawn.var(ddof=1) / variance - 1) < 4 * np.sqrt(2.3 / m)


def test_scale_reduction_has_its_closed_form():
    """Two chains of two rounds: W = 1/2, B/L = 2, R = sqrt(1/2 + 4)."""
    assert scale_reduction(np.array([[0.0, 2.0], [1.0, 3.0]])) == pytest.approx(np.sqrt(0.5 + 2 / 0.5))


def test_a_survey_stays_a_survey_and_its_design_predicts(survey):
    found = impute(survey, m=2, iterations=4, rng=1)
    assert "predictors besides the items: w, region (3 groups)" in found.treatment
    copy = found.completed(1)
    assert copy.design == survey.design
    assert "Imputation 2 of 2" in copy.notes[-1]
    assert copy.moments().n == 120
    assert found.moments(["q1"]).mean[1, 0] == pytest.approx(copy.moments(["q1"]).mean[0])
    assert "predictors" not in impute(survey, m=2, iterations=4, rng=1, predictors=()).treatment


def test_a_predictor_of_labels_separates_groups():
    """Within its group everybody gives the same mean; without the labels the gaps could not know."""
    rng = np.random.default_rng(1)
    group = np.repeat(["a", "b"], 200)
    q = np.where(group == "a", 2.0, 9.0) + rng.normal(size=400) * 0.1
    frame = pd.DataFrame({"q": np.where(rng.random(400) < 0.3, np.nan, q), "g": group})
    for copy in impute(frame, ["q"], m=3, iterations=2, rng=1, predictors=["g"]):
        assert copy.groupby("g")["q"].mean().tolist() == pytest.approx([2, 9], abs=0.1)


def test_complete_answers_are_left_as_they_are(mobi):
    found = impute(mobi[ITEMS], m=2, rng=1)
    assert (found.completed(1).to_numpy() == mobi[ITEMS].to_numpy()).all()
    assert found.to_frame()["missing"].sum() == 0


BASE = pd.DataFrame(np.random.default_rng(1).integers(1, 11, size=(30, 3)).astype(float), columns=["a", "b", "c"])
BASE.loc[:3, "a"] = np.nan


@pytest.mark.parametrize(
    ("frame", "settings", "error", "message"),
    [
        (BASE.assign(b="x", c="y"), {}, DataError, "(?s)'b' holds text.*'c' holds text"),
        (BASE.assign(b=np.nan, c=np.nan), {}, DataError, r"without any answer: \['b', 'c'\]"),
        (BASE.assign(b=5.0), {}, DataError, r"do not vary: \['b'\]"),
        (BASE.assign(d=2 * BASE["b"] + 1), {}, DataError, "b and d"),
        (BASE.assign(d=BASE["b"] + BASE["c"]), {}, EstimationError, "equation of a has no solution"),
        (BASE.assign(d=BASE["b"] + BASE["c"]), {"method": "normal"}, csi.CsiLabError, "collinear"),
        (BASE[2:5], {}, csi.CsiLabError, "a: 1 answers|do not vary"),
        (BASE, {"items": ["a", "zz"]}, DataError, "zz"),
        (BASE, {"items": ["a", "a"]}, DataError, "named twice"),
        (BASE, {"m": 1, "iterations": 0, "donors": 0}, SpecError, "(?s)m=1.*iterations=0.*donors=0"),
        (BASE, {"method": "mice"}, SpecError, "method='mice'"),
        (BASE, {"kind": "logit"}, SpecError, "logit"),
        (BASE, {"kind": {"q": "norm"}}, SpecError, r"\['q'\]"),
        (BASE, {"kind": "norm", "method": "normal"}, SpecError, "belongs to method='chained'"),
        (BASE, {"items": ["b", "c"], "predictors": ["a", "zz"]}, DataError, "zz is not in the data"),
        (BASE, {"items": ["b", "c"], "predictors": ["a"]}, DataError, "a has 4 gaps"),
        (BASE, {"donors": 27}, EstimationError, "a: 26 answers for a pool of 27"),
        (BASE, {"weights": -np.ones(30)}, DataError, "weights"),
    ],
)
def test_what_cannot_be_imputed_is_named(frame, settings, error, message):
    with pytest.raises(error, match=message):
        impute(frame, **{"m": 3, "iterations": 3, "rng": 1, **settings})


# --- analysing the copies


def test_any_analysis_with_standard_errors_is_pooled_by_label(holes):
    found = impute(holes, m=4, iterations=5, rng=1)
    means = [copy.mean() for copy in found]
    errors = [copy.std() / np.sqrt(250) for copy in found]
    by_hand = pool(np.array(means), np.array(errors) ** 2, df_complete=249).table
    turn = iter(range(4))

    def table(frame):
        made = pd.DataFrame({"estimate": frame.mean(), "se": frame.std() / np.sqrt(250)})
        return made.iloc[:: -1 if next(turn) % 2 else 1]

    analyses = [
        table,
        lambda frame: (frame.mean(), frame.std() / np.sqrt(250)),
        lambda frame: (frame.mean().tolist(), (frame.std() / np.sqrt(250)).tolist()),
    ]
    for function in analyses:
        pooled = found.analyse(function, df_complete=249)
        assert pooled.table.to_numpy() == pytest.approx(by_hand.to_numpy(), rel=1e-12)
    one = found.analyse(lambda frame: (frame["CUSA1"].mean(), frame["CUSA1"].std() / np.sqrt(250)), df_complete=249)
    assert one.table.to_numpy()[0] == pytest.approx(by_hand.to_numpy()[0], rel=1e-12)


def test_index_and_alpha_and_intervals_are_pooled(holes):
    found = impute(holes, m=3, iterations=4, rng=1)
    blocks = {"Satisfaction": ITEMS[:3], "Loyalty": ITEMS[3:]}
    index = found.analyse(lambda frame: csi.index.from_items(frame, blocks, (1, 10)), df_complete=249)
    assert list(index.table.index) == ["Satisfaction", "Loyalty"]
    expected = (found.moments(ITEMS[:3]).mean.mean() - 1) / 9 * 100
    assert index.table.loc["Satisfaction", "estimate"] == pytest.approx(expected, rel=1e-12)
    alpha = found.analyse(lambda f: csi.reliability.cronbach_alpha(f, ITEMS[:3], formula="duhachek"))
    assert 0.6 < alpha.table["estimate"].iloc[0] < 0.9
    drawn = found.analyse(lambda f: csi.replicates(f, draws=50, rng=1).interval(lambda m: m.mean))
    assert len(drawn.table) == 5
    with pytest.raises(EstimationError, match="no variance in 3 imputations"):
        found.analyse(lambda f: csi.reliability.cronbach_alpha(f, ITEMS[:3]))


def test_paths_of_bootstrapped_models_are_pooled_with_the_design_of_the_survey(survey):
    found = impute(survey, m=2, iterations=4, rng=1)
    pooled = found.analyse(lambda copy: csi.sem.pls(copy).bootstrap(60, rng=1).paths)
    fits = [csi.sem.pls(copy).paths["estimate"] for copy in found]
    assert pooled.table.index.names == ["source", "target"]
    assert pooled.table["estimate"].to_numpy() == pytest.approx(((fits[0] + fits[1]) / 2).to_numpy())
    assert "Quality -> Satisfaction" in [t.get_text() for t in pooled.plot().get_yticklabels()]


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda frame: "text", SpecError, "returns str"),
        (lambda frame: frame.mean().to_frame("estimate"), SpecError, "no se"),
        (lambda frame: (frame.mean(), 1.0), SpecError, "do not go together"),
        (
            lambda frame: pd.DataFrame({"estimate": [1.0], "se": 1.0}, index=[frame["CUSA1"].sum()]),
            DataError,
            "other rows",
        ),
        (lambda frame: pd.DataFrame({"estimate": [1.0, 2], "se": 1.0}, index=["a", "a"]), DataError, "share a label"),
    ],
)
def test_an_analysis_that_cannot_be_pooled_is_refused(holes, function, error, message):
    with pytest.raises(error, match=message):
        impute(holes, m=3, iterations=2, rng=1).analyse(function)


def test_faces_say_what_was_done(holes):
    found = impute(holes, m=3, iterations=4, rng=1)
    k = int(holes.isna().to_numpy().sum())
    assert str(found).startswith(f"{k} missing answers in ")
    table = found.to_frame()
    assert table["missing"].tolist() == holes.isna().sum().tolist()
    assert len(found.plot().lines) == 4
    assert "<" not in found.treatment
    assert "CUSA1" in found._repr_html_()
    with pytest.raises(SpecError, match="zz"):
        found.plot(item="zz")
    with pytest.raises(SpecError, match="imputation 3"):
        found.completed(3)


# --- comparing treatments


def test_the_comparison_agrees_with_each_treatment_alone(holes):
    found = compare_treatments(holes, ITEMS[:3], bounds=(1, 10), m=4, iterations=4, draws=60, rng=1)
    table = found.table
    part = holes[ITEMS[:3]]
    alone = {
        "listwise": csi.index.from_items(part, {"S": ITEMS[:3]}, (1, 10)).table["estimate"].iloc[0],
        "mean": csi.index.from_items(part.fillna(part.mean()), {"S": ITEMS[:3]}, (1, 10)).table["estimate"].iloc[0],
        "EM": 100 * (csi.cleaning.em(part).mean.mean() - 1) / 9,
    }
    for name, value in alone.items():
        assert table.loc[("index", name), "estimate"] == pytest.approx(value, rel=1e-12)
    assert table.loc[("index", "listwise"), "n"] == len(part.dropna())
    assert table.loc[("alpha", "listwise"), "estimate"] == pytest.approx(
        csi.reliability.cronbach_alpha(part, ITEMS[:3]).value
    )
    assert table.loc[("sd", "listwise"), "estimate"] == pytest.approx(
        ((part.dropna().mean(axis=1) - 1) / 9 * 100).std()
    )
    assert table.loc[("sd", "mean"), "estimate"] < table.loc[("sd", "stochastic regression"), "estimate"]
    assert set(found.treatments) == set(table.index.unique("treatment"))
    assert np.isfinite(table.to_numpy()).all()
    ax = found.plot(reference=72.0)
    assert len(ax.get_yticklabels()) == 7


def test_under_mar_the_index_of_complete_rows_and_of_means_is_biased_and_that_of_em_and_imputation_is_not():
    """Satisfied customers (high a) skip b and c: the index of 2,000 complete answers is the truth to be found again."""
    rng = np.random.default_rng(8)
    common = rng.normal(size=(2000, 1))
    full = np.clip(np.round(6 + 1.6 * (0.9 * common + 0.45 * rng.normal(size=(2000, 3)))), 1, 10)
    frame = pd.DataFrame(full, columns=list("abc"))
    complete = csi.index.from_items(frame, {"S": list("abc")}, (1, 10)).table.loc["S"]
    gap = rng.random(2000) < 1 / (1 + np.exp(1.5 - (frame["a"] - 6)))
    holes = frame.assign(b=frame["b"].mask(gap), c=frame["c"].mask(gap))
    found = compare_treatments(holes, list("abc"), bounds=(1, 10), m=5, draws=60, rng=1).table
    away = found.loc["index", "estimate"] - complete["estimate"]
    se = found.loc["index", "se"]
    assert away["listwise"] < -6 * se["listwise"]
    assert away["mean"] < -4 * se["mean"]
    # What the gaps hide is less than what sampling hides, so that two standard errors are a wide band here.
    for name in ("regression", "stochastic regression", "EM", "multiple imputation"):
        assert abs(away[name]) < 2 * se[name]
    assert se["mean"] < 0.9 * complete["se"]


def test_a_treatment_draws_the_same_whatever_others_are_asked_for(holes):
    settings = {"bounds": (1, 10), "m": 3, "iterations": 3, "draws": 40, "rng": 1}
    both = compare_treatments(holes, ITEMS, treatments=["hot deck", "multiple imputation"], **settings)
    one = compare_treatments(holes, ITEMS, treatments=["multiple imputation"], **settings)
    assert both.table.xs("multiple imputation", level=1).equals(one.table.xs("multiple imputation", level=1))


@pytest.mark.parametrize("weights", [None, "w"])
def test_with_complete_answers_all_treatments_are_equal_and_so_are_their_standard_errors(mobi, weights):
    """They are resampled by the same draws: what differs between them is what they do."""
    frame = mobi[ITEMS].assign(w=1 + np.arange(250) % 3)
    found = compare_treatments(frame, ITEMS, bounds=(1, 10), m=2, iterations=1, draws=20, rng=1, weights=weights).table
    for quantity in ("index", "sd", "alpha"):
        table = found.loc[quantity]
        for column in ("estimate", "se"):
            assert table[column].to_numpy() == pytest.approx(np.full(7, table[column].iloc[0]), rel=1e-9)


def test_a_survey_brings_model_target_and_bounds(survey):
    found = compare_treatments(
        survey, treatments=["listwise", "EM", "multiple imputation"], m=2, iterations=3, draws=40
    )
    assert found.construct == "Satisfaction"
    assert list(found.table.index.unique("quantity"))[:3] == ["index", "sd", "alpha"]
    assert "Quality -> Satisfaction" in found.table.index.unique("quantity")
    alone = csi.sem.pls(survey).paths.loc[("Quality", "Satisfaction"), "estimate"]
    assert found.table.loc[("Quality -> Satisfaction", "listwise"), "estimate"] == pytest.approx(alone)


def test_a_treatment_that_cannot_be_done_says_why(holes):
    frame = holes.assign(cell=np.where(holes["CUSA1"].isna(), "x", "y"))
    found = compare_treatments(
        frame, ITEMS[:3], bounds=(1, 10), treatments=["mean", "hot deck"], within="cell", draws=40
    )
    assert "cannot be done: hot deck" in str(found)
    assert "no donor" in found.treatments["hot deck"]
    assert found.table.xs("hot deck", level=1)["estimate"].isna().all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bounds": (1, 10), "treatments": ["magic"]}, "magic"),
        ({}, "bounds"),
        ({"bounds": (1, 10), "level": 2}, "level=2"),
        ({"bounds": (1, 5)}, "outside"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused(holes, settings, message):
    with pytest.raises(csi.CsiLabError, match=message):
        compare_treatments(holes, ITEMS[:3], draws=40, **settings)
