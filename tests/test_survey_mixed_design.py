"""One two-stage sample with everything at once against R survey: strata, population sizes at both stages, unequal and
zero weights, ties, gaps; plain, adjusted and replicated. Numbers: ``reference/survey/mixed_design.R``."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference

import csi_lab as csi
from csi_lab import Design, Moments
from csi_lab.reliability import cronbach_alpha
from csi_lab.sampling import estimate, weight

# Both programs compute sums of 145 rows; ten digits are what is left of sixteen after a residual of a residual.
CLOSE = {"rel": 1e-9, "abs": 1e-12}
# Adjusted weights are solutions of iterations that stop at 1e-12 (R) and 1e-12 (here).
ADJUSTED = {"rel": 1e-8, "abs": 1e-11}
GAP = {"missing": "listwise"}


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "mixed_design.csv")


@pytest.fixture(scope="module")
def r() -> dict:
    return read_reference("survey/mixed_design.json")


def designed(name: str) -> Design:
    return Design("w" if name == "two" else "w0", "stratum", ("town", "district"), ("towns", "districts"))


def errors(table: pd.DataFrame) -> np.ndarray:
    """Estimates, then standard errors, as R's c(coef, SE)."""
    return table[["estimate", "se"]].to_numpy().T.ravel()


@pytest.mark.parametrize("name", ["two", "zero"])
def test_means_totals_ratios_and_variances(sample, r, name):
    design = designed(name)
    means = estimate.mean(sample, ["y", "x", "z"], design)
    assert means.table["estimate"].to_numpy() == pytest.approx(r[f"{name} mean"], **CLOSE)
    assert means.covariance.to_numpy().ravel() == pytest.approx(r[f"{name} mean_vcov"], **CLOSE)
    assert means.table["deff"].to_numpy() == pytest.approx(r[f"{name} mean_deff"], **CLOSE)
    assert means.table["deff_replace"].to_numpy() == pytest.approx(r[f"{name} mean_deff_replace"], **CLOSE)
    assert set(means.table["df"]) == set(r[f"{name} df"])
    assert errors(estimate.mean(sample, "y_gap", design, **GAP).to_frame()) == pytest.approx(
        r[f"{name} mean_gap"], **CLOSE
    )
    assert errors(estimate.total(sample, "y_gap", design, **GAP).to_frame()) == pytest.approx(
        r[f"{name} total_gap"], **CLOSE
    )
    total = estimate.total(sample, "z", design)
    assert (total.value, total.se, total.deff) == pytest.approx(r[f"{name} total"], **CLOSE)
    ratio = estimate.ratio(sample, "z", design, denominator="x")
    assert (ratio.value, ratio.se, ratio.deff) == pytest.approx(r[f"{name} ratio"], **CLOSE)
    assert errors(estimate.variance(sample, "z", design).to_frame()) == pytest.approx(r[f"{name} variance"], **CLOSE)


@pytest.mark.parametrize("name", ["two", "zero"])
def test_domains_and_their_covariances(sample, r, name):
    """svyby(covmat = TRUE) over one and two factors; svycontrast of two domains."""
    design = designed(name)
    found = estimate.mean(sample, ["y", "z"], design, by=["sex", "group"])
    # R lets the first factor run fastest and puts the columns last.
    order = [(sex, group, column) for column in "yz" for sex in "fm" for group in "abc"]
    assert found.table.loc[order, "estimate"].to_numpy() == pytest.approx(r[f"{name} by_two"], **CLOSE)
    assert found.table.loc[order, "se"].to_numpy() == pytest.approx(r[f"{name} by_two_se"], **CLOSE)
    groups = estimate.mean(sample, "y", design, by="group")
    three = np.concatenate([errors(groups.table), groups.table["deff"]])
    assert three == pytest.approx(r[f"{name} by"], **CLOSE)
    assert errors(estimate.total(sample, "z", design, by="group").table) == pytest.approx(
        r[f"{name} by_total"], **CLOSE
    )
    ratios = estimate.ratio(sample, "z", design, denominator="x", by="group")
    assert ratios.table["estimate"].to_numpy() == pytest.approx(r[f"{name} by_ratio"], **CLOSE)
    if name == "zero":
        return
    assert found.covariance.loc[order, order].to_numpy().ravel() == pytest.approx(r["two by_two_vcov"], **CLOSE)
    assert groups.covariance.to_numpy().ravel() == pytest.approx(r["two by_vcov"], **CLOSE)
    assert ratios.covariance.to_numpy().ravel() == pytest.approx(r["two by_ratio_vcov"], **CLOSE)
    gap = estimate.difference(sample, "y", design, by="group", between=("a", "b"))
    assert (gap.value, gap.se) == pytest.approx(r["two by_difference"], **CLOSE)


@pytest.mark.parametrize("name", ["two", "zero"])
def test_a_domain_is_the_subset_of_the_design(sample, r, name):
    """subset(): the degrees of freedom are those of the domain, and the result says so."""
    design = designed(name)
    found = estimate.mean(sample, ["y", "z"], design, by=["group", "sex"])
    own = found.table.loc[("b", "f")]
    assert [*errors(own), own["df"].iloc[0]] == pytest.approx(r[f"{name} subset"], **CLOSE)
    assert "the rows used (as Stata); the whole sample has 16 (df='design')" in str(found)
    total = estimate.total(sample, "z", design, by=["group", "sex"]).table.loc[[("b", "f")]]
    assert errors(total) == pytest.approx(r[f"{name} subset_total"], **CLOSE)
    median = estimate.quantile(sample, "z", design, q=[0.5], by=["group", "sex"]).table.loc[("b", "f", 0.5)]
    assert median[["estimate", "low", "high", "se"]].tolist() == pytest.approx(r[f"{name} subset_median"], **CLOSE)


@pytest.mark.parametrize("name", ["two", "zero"])
@pytest.mark.parametrize(("column", "key"), [("y", "quantiles_ties"), ("z", "quantiles")])
def test_quantiles(sample, r, name, column, key):
    found = estimate.quantile(sample, column, designed(name), q=[0.1, 0.25, 0.5, 0.75, 0.9]).table
    theirs = np.reshape(r[f"{name} {key}"], (5, 4))
    # Values are picked and not computed; only the standard error is a quotient.
    assert (found[["estimate", "low", "high"]].to_numpy() == theirs[:, :3]).all()
    assert found["se"].to_numpy() == pytest.approx(theirs[:, 3], rel=1e-12)


@pytest.mark.parametrize("name", ["two", "zero"])
def test_regressions_and_tests(sample, r, name):
    design = designed(name)
    fit = estimate.regression(sample, "y", design, on=["x", "group", "sex"])
    assert fit.table["estimate"].to_numpy() == pytest.approx(r[f"{name} glm"], **CLOSE)
    assert fit.covariance.to_numpy().ravel() == pytest.approx(r[f"{name} glm_vcov"], **CLOSE)
    assert [fit.df] == r[f"{name} glm_df"]
    test = fit.wald("group")
    assert (test.f, test.df1, test.df2, test.p) == pytest.approx(r[f"{name} glm_term"], **CLOSE)
    gaps = estimate.regression(sample, "y_gap", design, on=["x_gap", "group"], **GAP)
    assert errors(gaps.table) == pytest.approx(r[f"{name} glm_gap"], **CLOSE)
    for columns, key in ((["group", "sex"], "second_order"), (["group", "y"], "second_order_sparse")):
        table = estimate.crosstab(sample, columns, design)
        assert (table.f, table.df1, table.df2, table.p) == pytest.approx(r[f"{name} {key}"], **CLOSE)
    first = estimate.crosstab(sample, ["group", "sex"], design)
    # R counts rows of weight zero in Pearson's statistic; the p-value is the same.
    counted = len(sample) / first.n
    theirs = r[f"{name} first_order"]
    assert (first.pearson * counted, first.df, first.p_first) == pytest.approx(theirs, **CLOSE)
    gap = estimate.difference(sample, "y", design, by="sex", between=("m", "f"))
    assert (gap.value, gap.t, gap.df, gap.p) == pytest.approx(r[f"{name} t_test"], **CLOSE)


def adjust(sample: pd.DataFrame, kind: str) -> object:
    total = sample["w"].sum()
    group = {"a": 0.45 * total, "b": 0.33 * total, "c": 0.22 * total}
    margins = {"group": group, "sex": {"m": 0.52 * total, "f": 0.48 * total}}
    if kind == "post":
        return weight.post_stratify(sample, "w", {"group": group})
    if kind == "linear":
        return weight.calibrate(sample, "w", {"group": group, "x": 6.6 * total})
    if kind == "raked":
        return weight.rake(sample, "w", margins, tolerance=1e-12)
    return weight.calibrate(sample, "w", margins, distance="logit", bounds=(0.3, 3), tolerance=1e-12)


@pytest.mark.parametrize("kind", ["post", "raked", "linear", "logit"])
def test_adjusted_weights_reach_every_statistic(sample, r, kind):
    design, settings = designed("two"), {"weights": adjust(sample, kind)}
    means = estimate.mean(sample, ["y", "z"], design, **settings)
    assert means.table["estimate"].to_numpy() == pytest.approx(r[f"{kind} mean"], **ADJUSTED)
    assert means.covariance.to_numpy().ravel() == pytest.approx(r[f"{kind} mean_vcov"], **ADJUSTED)
    assert errors(estimate.total(sample, "z", design, **settings).to_frame()) == pytest.approx(
        r[f"{kind} total"], **ADJUSTED
    )
    assert errors(estimate.mean(sample, "y", design, by="sex", **settings).table) == pytest.approx(
        r[f"{kind} by"], **ADJUSTED
    )
    ratio = estimate.ratio(sample, "z", design, denominator="x", **settings)
    assert (ratio.value, ratio.se) == pytest.approx(r[f"{kind} ratio"], **ADJUSTED)
    fit = estimate.regression(sample, "y", design, on=["x", "sex"], **settings)
    assert fit.table["estimate"].to_numpy() == pytest.approx(r[f"{kind} glm"], **ADJUSTED)
    assert fit.covariance.to_numpy().ravel() == pytest.approx(r[f"{kind} glm_vcov"], **ADJUSTED)
    median = estimate.quantile(sample, "z", design, q=0.5, **settings)
    assert (median.value, median.low, median.high, median.se) == pytest.approx(r[f"{kind} median"], **ADJUSTED)
    gaps = estimate.mean(sample, "y_gap", design, **settings, **GAP)
    assert (gaps.value, gaps.se) == pytest.approx(r[f"{kind} mean_gap"], **ADJUSTED)
    table = estimate.crosstab(sample, ["stratum", "sex"], design, **settings)
    assert (table.f, table.df1, table.df2, table.p) == pytest.approx(r[f"{kind} second_order"], **ADJUSTED)


def alpha(m: Moments) -> np.ndarray:
    s = m[["y", "x", "high"]].cov
    return 1.5 * (1 - np.trace(s, axis1=-2, axis2=-1) / s.sum(axis=(-2, -1)))


@pytest.mark.parametrize(
    ("key", "design"),
    [
        ("jkn_fpc", Design("w", "stratum", "town", "towns")),
        ("jkn", Design("w", "stratum", "town")),
        ("jk1", Design("w", None, "town")),
        ("bootstrap", Design("w", "stratum", "town")),
    ],
)
def test_replicates_agree_with_r(sample, r, key, design):
    """JKn and JK1 about the estimate of the whole sample (mse = TRUE); a bootstrap about the mean of its draws."""
    settings: dict = {"method": "jackknife"}
    if key == "bootstrap":
        towns = np.unique(sample["town"], return_inverse=True)[1]
        multipliers = np.reshape(r["bootstrap multipliers"], (19, 12)).T
        settings = {"replicate_weights": multipliers[:, towns] * sample["w"].to_numpy()}
    made = csi.replicates(sample, design, items=["y", "z", "x", "high"], **settings)

    def found(function):
        return made.interval(function, kind="normal")

    assert found(lambda m: m.mean).se[:2] == pytest.approx(r[f"{key} mean_se"], **CLOSE)
    assert [float(found(lambda m: m.mean[..., 1] / m.mean[..., 2]).se)] == pytest.approx(r[f"{key} ratio_se"], **CLOSE)
    for name, function in (("correlation", lambda m: m.corr[..., 0, 2]), ("alpha", alpha)):
        one = found(function)
        assert (float(one.estimate), float(one.se)) == pytest.approx(r[f"{key} {name}"], **CLOSE)


# ---- alpha, path and index: one machinery ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    """Ninety towns in three strata of 150 each whose people answer alike; unequal weights."""
    rng = np.random.default_rng(21)
    town = np.repeat(np.arange(90), rng.integers(5, 12, 90))
    taste = 0.7 * rng.normal(size=90)[town] + rng.normal(size=len(town))
    pleased = 0.6 * taste + 0.5 * rng.normal(size=90)[town] + 0.7 * rng.normal(size=len(town))
    x = {f"x{i}": np.clip(np.rint(6 + 1.5 * taste + rng.normal(size=len(town))), 1, 10) for i in range(3)}
    y = {f"y{i}": np.clip(np.rint(7 + 1.5 * pleased + rng.normal(size=len(town))), 1, 10) for i in range(3)}
    return pd.DataFrame({"town": town, "h": town % 3, "N": 150, "w": 1 + rng.random(len(town)), **x, **y})


def test_alpha_path_and_index_have_the_errors_of_replicates(market):
    """Linearisation, JKn and Rao-Wu agree for what R has no formula for; to ignore the towns is another number."""
    model = csi.PathModel({"X": ["x0", "x1", "x2"], "Y": ["y0", "y1", "y2"]}, {"Y": ["X"]})
    design, items = Design("w", "h", "town", "N"), [*model.constructs["X"], *model.constructs["Y"]]

    def quantities(m: Moments) -> np.ndarray:
        fit = csi.sem.pls(m, model, tolerance=1e-12, max_iterations=3000)
        s = m[["y0", "y1", "y2"]].cov
        reliability = 1.5 * (1 - np.trace(s, axis1=-2, axis2=-1) / s.sum(axis=(-2, -1)))
        # The index with outer weights in the units of the items, each at its place between 1 and 10.
        outer = fit.solution.weights[..., 3:] / np.sqrt(m.variance[..., 3:])
        index = 100 / 9 * ((outer * (m.mean[..., 3:] - 1)).sum(axis=-1) / outer.sum(axis=-1))
        return np.stack([reliability, fit.solution.paths[..., 0, 1], index], axis=-1)

    found = estimate.of(market, quantities, design, items=items, names=["alpha", "path", "index"])
    linear = found.table["se"].to_numpy()
    fit = csi.sem.pls(market, model, weights="w")
    published = csi.index.from_fit(fit, (1, 10)).table.loc["Y", "estimate"]
    assert found.table["estimate"].to_numpy() == pytest.approx(
        [
            cronbach_alpha(market, ["y0", "y1", "y2"], weights=market["w"]).value,
            fit.paths.loc[("X", "Y"), "estimate"],
            published,
        ],
        abs=1e-6,
    )
    # Terms of the second order are of the size 1/87 (degrees of freedom); 1,500 draws know an sd to 1.8 %.
    jackknife = csi.replicates(market, design, items=items, method="jackknife").interval(quantities, kind="normal")
    assert jackknife.se == pytest.approx(linear, rel=3 / 87)
    draws = 1500
    drawn = csi.replicates(market, design, items=items, draws=draws, rng=4).interval(quantities)
    assert drawn.se == pytest.approx(linear, rel=4 / np.sqrt(2 * draws) + 2 / 87)
    naive = estimate.of(market, quantities, Design("w"), items=items, names=["alpha", "path", "index"]).table["se"]
    assert naive["index"] < 0.8 * linear[2]
