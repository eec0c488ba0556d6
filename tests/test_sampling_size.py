"""Sample sizes: published tables, closed forms, R's power functions, and the estimators whose intervals they plan."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import ecsi_mobile, read_reference
from scipy import stats

import csi_lab as csi
from csi_lab import PathModel, SpecError
from csi_lab.rates import satisfaction_rate
from csi_lab.reliability import cohen_kappa, cronbach_alpha, ratings_from_table
from csi_lab.sampling import size, weight
from csi_lab.sampling.size.sample_size import net_size

Z2 = 2 * stats.norm.cdf(2) - 1  # the level at which z is 2


@pytest.fixture(scope="module")
def published() -> dict[str, dict]:
    return {table["id"]: table["data"] for table in read_reference("published_tables.json")["tables"]}


# --- one mean, one share ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("margin", "exact"), [(0.05, 384.15), (0.03, 1067.07), (0.10, 96.04)])
def test_share_meets_textbook_numbers(margin, exact):
    found = size.proportion(margin)
    assert found.exact == pytest.approx(exact, abs=5e-3)
    assert found.n == math.ceil(exact)


def test_cochrans_island(published):
    island = published["cochran_island"]
    found = size.proportion(island["d"], island["p"], level=Z2, population=island["N"])
    assert found.exact == pytest.approx(355.65, abs=5e-3)
    assert found.n == island["n"]


def test_finite_population_and_fieldwork_numbers():
    assert size.proportion(0.05, population=2000).n == 323
    assert size.proportion(0.05, deff=1.5, response_rate=0.30).issued == 1921
    assert size.issued(384.15, deff=1.5, response_rate=0.30).issued == 1921


def test_relative_error_is_the_margin_divided_by_the_share():
    assert size.relative_error(0.2, 0.05).exact == pytest.approx(size.proportion(0.2 * 0.05, 0.05).exact, rel=1e-12)


@pytest.mark.parametrize(("n", "satisfied"), [(20, 3), (100, 50), (400, 100)])
def test_wilson_plan_is_the_interval_that_will_be_reported(n, satisfied):
    rate = satisfaction_rate(np.repeat([9, 1], [satisfied, n - satisfied]), 9)
    half = (rate.high - rate.low) / 2
    plan = size.proportion(half, satisfied / n, method="wilson")
    assert plan.exact == pytest.approx(n, rel=1e-9)
    assert plan.at(n) == pytest.approx(half, rel=1e-12)


@pytest.mark.parametrize(
    "plan",
    [
        size.mean(2, 15, deff=1.4, population=5000),
        size.proportion(0.04, 0.3),
        size.proportion(0.04, 0.1, method="wilson", population=900, deff=1.2),
        size.relative_error(0.15, 0.2, deff=2),
        size.yamane(3000, 0.04),
        size.krejcie_morgan(750),
        size.two_means(3, 14, deff=1.3),
        size.two_proportions(0.6, 0.7, sides=1),
        size.overlapping_waves(2, 15, overlap=0.4, correlation=0.5),
        size.pilot(0.07),
        size.reliability_width(0.85, 4, 0.08, deff=1.5),
        size.bonett(0.7, 0.8, 6),
        size.kappa(0.6, [0.2, 0.3, 0.5], width=0.2),
        size.kappa(0.6, [0.7, 0.3], se=0.04),
        size.pls_inverse_square_root(-0.15),
        size.rmsea_size(40, test="not-close"),
        size.rmsea_size(12, test=(0.0, 0.06)),
        size.index(1.5),
        size.issued(250, deff=1.7),
    ],
    ids=lambda plan: plan.what,
)
def test_exact_size_achieves_the_aim_and_the_curve_is_monotone(plan):
    achieved = float(plan.achieved(np.asarray(plan.exact)))
    assert achieved == pytest.approx(plan.target, rel=1e-8)
    steps = np.diff(plan.curve.iloc[:, 0].to_numpy())
    falls = plan.aim in ("margin", "width", "se", "ratio")
    assert (steps <= 1e-12).all() if falls else (steps >= -1e-12).all()
    assert plan.n == math.ceil(plan.exact - 1e-6)
    assert plan.n in plan.curve.index
    assert pickle.loads(pickle.dumps(plan)).at(plan.n) == plan.at(plan.n)


def test_a_census_has_no_margin_and_more_than_all_cannot_be_asked():
    plan = size.mean(2, 15, population=500)
    assert plan.at(500) == 0
    assert plan.curve.index.max() <= 500
    with pytest.raises(SpecError, match="exceeds the population"):
        plan.at(501)


def test_margin_holds_in_repeated_sampling_without_replacement():
    """A population of 800: 95 % of sample means lie within the planned margin."""
    rng = np.random.default_rng(5)
    population = rng.normal(70, 15, 800)
    plan = size.mean(2.5, float(population.std()), population=800)
    draws = np.array([rng.choice(population, plan.n, replace=False).mean() for _ in range(3000)])
    inside = (np.abs(draws - population.mean()) <= 2.5).mean()
    assert inside == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 3000))


def test_numbers_of_any_width_are_numbers():
    with np.errstate(all="raise"):
        plan = size.mean(np.float32(2), np.int16(15), deff=np.float16(1.5), population=np.int64(5000))
    assert plan.n == size.mean(2, 15, deff=1.5, population=5000).n


def test_deff_multiplies_and_response_divides():
    plain, fielded = size.mean(2, 15), size.mean(2, 15, deff=1.5, response_rate=0.25)
    assert fielded.exact == pytest.approx(1.5 * plain.exact, rel=1e-12)
    assert fielded.issued == math.ceil(6 * plain.exact)
    assert fielded.at(1.5 * 100) == pytest.approx(plain.at(100), rel=1e-12)


@pytest.mark.parametrize(("m", "rho"), [(1, 0.3), (10, 0.05), (4, -0.2), (25, 1.0)])
def test_planned_design_effect_is_the_variance_of_a_cluster_mean(m, rho):
    """Equally correlated answers: 1' R 1 / m^2 over 1 / m; weights apart from the answers add 1 + CV^2 (Kish)."""
    covariance = np.full((m, m), rho) + (1 - rho) * np.eye(m)
    assert size.design_effect(m, rho) == pytest.approx(covariance.sum() / m, rel=1e-12)
    w = np.array([1.0, 2, 2, 5])
    cv = w.std() / w.mean()
    assert size.design_effect(weight_cv=cv) == pytest.approx(weight.design_effect(w), rel=1e-12)
    both = size.design_effect(m, rho, weight_cv=cv)
    assert both == pytest.approx(size.design_effect(m, rho) * weight.design_effect(w), rel=1e-12)


def test_out_of_reach_is_said():
    assert "out of reach" in str(size.proportion(0.05, population=400, response_rate=0.3))


def test_rare_share_is_warned_of():
    assert any("cases of the rarer kind" in remark for remark in size.proportion(0.05, 0.01).remarks)
    assert not size.proportion(0.05, 0.5).remarks


def test_yamane_is_the_share_formula_with_z_2():
    assert size.yamane(2000, 0.05).exact == pytest.approx(2000 / 6, rel=1e-12)
    assert size.yamane(10**9, 0.05).exact == pytest.approx(size.proportion(0.05, level=Z2).exact, rel=1e-6)


def test_krejcie_morgan_is_cochran_with_chi_square():
    for population in (50, 1000, 100_000):
        n0 = 3.841 * 0.25 / 0.0025
        assert size.krejcie_morgan(population).exact == pytest.approx(net_size(n0, 1, population), rel=1e-12)
    assert round(size.krejcie_morgan(100_000).exact) == 383


def test_krejcie_morgan_table_keeps_the_recalled_print_apart(published):
    table = size.krejcie_morgan_table()
    assert {str(n): v for n, v in table["printed_recalled"].items()} == published["krejcie_morgan"]
    assert (table["rounded"] - table["printed_recalled"]).abs().max() <= 1


# --- comparisons --------------------------------------------------------------------------------------------------


def test_two_groups_and_waves_meet_textbook_numbers():
    assert size.two_means(2, 15).n == 883
    assert [size.overlapping_waves(2, 15, overlap=o, correlation=0.6).n for o in (1, 0.5)] == [354, 619]


def test_two_shares_agree_with_r():
    """R 4.2.2, power.prop.test(..., tol = 1e-12)$n."""
    assert size.two_proportions(0.7, 0.75).exact == pytest.approx(1250.71673344, rel=1e-9)
    assert size.two_proportions(0.1, 0.05, sides=1).exact == pytest.approx(342.08402535, rel=1e-9)


def test_power_for_a_change_holds_in_simulated_panels():
    plan = size.overlapping_waves(5, 15, overlap=0.5, correlation=0.6)
    rng, n, repeats = np.random.default_rng(2), plan.n, 4000
    both = n // 2
    shared = rng.multivariate_normal([0, 5], 225 * np.array([[1, 0.6], [0.6, 1]]), (repeats, both))
    alone = rng.normal(0, 15, (repeats, n - both)), rng.normal(5, 15, (repeats, n - both))
    change = (shared[..., 1].sum(1) + alone[1].sum(1) - shared[..., 0].sum(1) - alone[0].sum(1)) / n
    se = math.sqrt(2 * 225 / n * (1 - 0.6 * both / n))
    power = (np.abs(change / se) > stats.norm.isf(0.025)).mean()
    assert power == pytest.approx(plan.at(n), abs=4 * math.sqrt(0.16 / repeats))


def test_without_overlap_waves_are_two_groups():
    waves = size.overlapping_waves(2, 15, overlap=0, correlation=0.6)
    assert waves.exact == pytest.approx(size.two_means(2, 15).exact, rel=1e-12)


# --- domains and pilot --------------------------------------------------------------------------------------------


def test_each_domain_gets_what_a_mean_needs():
    plan = size.domains(2, {"a": 15, "b": 12}, {"a": 0.7, "b": 0.3}, population=3000, deff=1.2, response_rate=0.5)
    alone = {
        d: size.mean(2, s, population=p, deff=1.2, response_rate=0.5) for d, s, p in (("a", 15, 2100), ("b", 12, 900))
    }
    for domain, one in alone.items():
        assert plan.parts.loc[domain, ["n", "issued"]].tolist() == [one.n, one.issued]
    assert plan.n == sum(one.n for one in alone.values())
    assert plan.at(plan.n) == pytest.approx(max(one.at(one.n) for one in alone.values()), rel=1e-9)


def test_proportional_allocation_serves_the_smallest_domain():
    plan = size.domains(2, 15, {"city": 0.9, "village": 0.1})
    assert plan.parts.loc["village", "proportional"] == plan.parts.loc["village", "n"]
    assert plan.parts["proportional"].sum() == pytest.approx(plan.parts.loc["village", "exact"] / 0.1, abs=2)


@pytest.mark.parametrize(("prevalence", "n"), [(0.05, 59), (0.10, 29)])
def test_pilot_meets_textbook_numbers(prevalence, n):
    assert size.pilot(prevalence).n == n
    assert size.pilot(prevalence).at(n) >= 0.95 > size.pilot(prevalence).at(n - 1)


# --- reliability --------------------------------------------------------------------------------------------------


def test_reliability_width_is_that_of_the_alpha_reported(mobi):
    found = cronbach_alpha(mobi, ["CUSA1", "CUSA2", "CUSA3"])
    plan = size.reliability_width(found.value, 3, found.high - found.low)
    assert plan.exact == pytest.approx(250, rel=1e-8)


def test_bonett_reverses_its_own_interval():
    """At the size given, exp(ln(1 - a) -/+ z sqrt(2k / ((k-1)(n-2)))) has the wanted ratio of ends."""
    plan = size.bonett(0.75, 0.85, 5)
    half = stats.norm.isf(0.025) * math.sqrt(10 / (4 * (plan.exact - 2)))
    assert math.exp(2 * half) == pytest.approx(0.25 / 0.15, rel=1e-12)


def test_bonett_and_feldt_agree_for_large_samples():
    low, high = 0.78, 0.82
    # The centre on the log scale, where Bonett's interval is symmetric.
    alpha = 1 - math.sqrt((1 - low) * (1 - high))
    feldt = size.reliability_width(alpha, 8, high - low)
    assert size.bonett(low, high, 8).exact == pytest.approx(feldt.exact, rel=0.01)


@pytest.mark.parametrize(("kappa", "p"), [(0.0, 0.5), (0.4, 0.3), (0.8, 0.1)])
def test_kappa_variance_has_the_closed_form_for_two_categories(kappa, p):
    """Bloch & Kraemer (1989), Biometrics 45, 269-287."""
    closed = (1 - kappa) * ((1 - kappa) * (1 - 2 * kappa) + kappa * (2 - kappa) / (2 * p * (1 - p)))
    plan = size.kappa(kappa, [p, 1 - p], se=0.05)
    assert plan.exact == pytest.approx(closed / 0.05**2, rel=1e-10)


def test_a_rare_category_is_warned_of_when_raters_are_planned():
    """385 cases for a width of 0.2, of which 1 % are 3.8: too few for the large-sample variance."""
    plan = size.kappa(0, [0.99, 0.01], width=0.2)
    assert f"only {plan.exact * 0.01:.1f} cases of the rarest category" in str(plan)
    assert not size.kappa(0.7, [0.5, 0.5], width=0.2).remarks


def test_kappa_size_gives_the_standard_error_that_the_estimator_reports():
    p, kappa, n = np.array([0.2, 0.3, 0.5]), 0.5, 1000
    table = n * (np.outer(p, p) * (1 - kappa) + np.diag(kappa * p))
    assert np.allclose(table, np.rint(table))
    found = cohen_kappa(ratings_from_table(np.rint(table).astype(int)))
    assert found.value == pytest.approx(kappa, abs=1e-12)
    assert size.kappa(kappa, p, se=found.se).exact == pytest.approx(n, rel=1e-8)


# --- models -------------------------------------------------------------------------------------------------------


def test_rmsea_sizes_meet_the_exact_tables(published):
    close, notclose = published["maccallum1996_close"]["exact"], published["maccallum1996_notclose"]
    assert {df: size.rmsea_size(int(df)).n for df in close} == close
    assert {df: size.rmsea_size(int(df), test="not-close").n for df in notclose} == notclose


def test_rmsea_power_meets_the_computed_value(published):
    assert size.rmsea_power(100, 200).value == pytest.approx(
        published["maccallum1996_close"]["power_n200_df100"], abs=5e-6
    )


@pytest.mark.parametrize(
    ("test", "null", "alternative"), [("close", 0.05, 0.08), ("not-close", 0.05, 0.01), ("exact", 0, 0.05)]
)
def test_rmsea_power_is_the_share_of_rejections(test, null, alternative):
    df, n, draws, rng = 30, 250, 40_000, np.random.default_rng(4)
    under = [((rng.standard_normal((draws, df)) + math.sqrt((n - 1) * e**2)) ** 2).sum(1) for e in (null, alternative)]
    if alternative > null:
        share = (under[1] > np.quantile(under[0], 0.95)).mean()
    else:
        share = (under[1] < np.quantile(under[0], 0.05)).mean()
    # The simulated critical value adds about as much noise again as the share itself.
    assert share == pytest.approx(size.rmsea_power(df, n, test=test).value, abs=6 * math.sqrt(0.25 / draws))


def test_inverse_square_root_meets_the_published_table(published):
    data = published["inverse_sqrt"]
    assert size.pls_inverse_square_root(data["default"]["beta"]).n == data["default"]["inverse_sqrt"]
    for alpha, row in data["table"].items():
        for beta_range, n in row.items():
            upper = float(beta_range.split("-")[1])
            assert size.pls_inverse_square_root(upper, alpha=float(alpha)).n == n


def test_ten_times_counts_arrows_and_formative_items():
    assert size.pls_ten_times(ecsi_mobile()).n == 40
    formed = ecsi_mobile({"Quality": "B"})
    plan = size.pls_ten_times(formed)
    assert plan.n == 70
    assert "'Quality'" in str(plan)
    assert "weak rule" in str(plan)


def test_the_index_of_a_clustered_sample_plans_with_its_design_effect_and_says_so():
    frame = pd.DataFrame(
        {"q": np.repeat([0.0, 0, 0, 100, 100, 100], 40), "w": 1.0, "town": np.repeat(np.arange(6), 40)}
    )
    sample = csi.replicates(frame, csi.Design(weights="w", psu="town"), items=["q"], draws=200, rng=1)
    result = csi.index.from_items(frame[["q"]], {"Satisfaction": ["q"]}, (0, 100), replicates=sample)
    plan = size.index(2.0, result=result)
    # More than answers from 0 to 100 can vary: no mistake, for one customer tells what the whole town thinks.
    assert result.se * math.sqrt(240) > 100 / math.sqrt(2)
    assert plan.exact == pytest.approx(240 * (stats.norm.isf(0.025) * result.se / 2.0) ** 2, rel=1e-9)
    assert "design effect included" in str(plan)


def test_index_margin_on_the_mobile_survey_is_the_design_of_epsi(published):
    """About 250 customers for plus or minus 2 points; 1.8 to 1.9 on these data."""
    survey = csi.load_survey("mobile")
    result = csi.index.from_fit(csi.sem.pls(survey), survey.bounds)
    epsi = published["epsi_design"]
    margin = size.index(result=result).at(epsi["n_per_provider"])
    assert 1.75 <= margin <= 1.95
    assert margin < epsi["margin"]
    assert margin == pytest.approx(stats.norm.isf(0.025) * result.se, rel=1e-9)
    assert 1.8 <= size.index().at(epsi["n_per_provider"]) <= 1.9


def test_spread_of_an_index_follows_from_its_items():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((400, 4))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    wanted = 1.7**2 * (0.45 * np.ones((4, 4)) + 0.55 * np.eye(4))
    items = 6 + x @ np.linalg.cholesky(wanted).T
    index = 100 * (items.mean(1) - 1) / 9
    assert size.index_sd(1.7, items=4, correlation=0.45) == pytest.approx(index.std(ddof=1), rel=1e-10)


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: size.mean(0, -1, level=2, deff=0, response_rate=1.2, population=1.5),
         ["margin=0", "sd=-1", "level=2", "deff=0", "response_rate=1.2", "population=1.5"]),
        (lambda: size.mean("2", 15), ["margin='2'"]),
        (lambda: size.mean(math.nan, math.inf), ["margin=nan", "sd=inf"]),
        (lambda: size.mean(True, 15), ["margin=True"]),
        (lambda: size.proportion(5), ["margin=5"]),
        (lambda: size.proportion(0.05, 0, method="exact"), ["p=0", "method='exact'"]),
        (lambda: size.two_means(2, 15, power=0.01), ["no more than chance"]),
        (lambda: size.two_means(2, 15, sides=3), ["sides=3"]),
        (lambda: size.two_proportions(0.5, 0.5), ["no difference"]),
        (lambda: size.overlapping_waves(2, 15, overlap=1.1, correlation=1), ["overlap=1.1", "correlation=1"]),
        (lambda: size.domains(2, {"a": 15}, {"a": 0.5, "b": 0.6}), ["sd lacks the domains ['b']", "add up to 1.1"]),
        (lambda: size.domains(2, 15, {}), ["shares={}"]),
        (lambda: size.domains(2, 15, {"a": -1, "b": 2}), ["share of 'a'=-1"]),
        (lambda: size.domains(2, 15, {"a": 0.999, "b": 0.001}, population=1000), ["fewer than two units", "['b']"]),
        (lambda: size.pilot(0), ["prevalence=0"]),
        (lambda: size.reliability_width(1, 1, 0), ["alpha=1", "items=1", "width=0"]),
        (lambda: size.bonett(0.9, 0.8, 5), ["must lie below"]),
        (lambda: size.kappa(0.5, [0.5, 0.6], width=0.1), ["add up to 1"]),
        (lambda: size.kappa(0.5, [0.5, 0.5]), ["one of them"]),
        (lambda: size.kappa(0.5, [0.5, 0.5], width=0.1, se=0.1), ["one of them"]),
        (lambda: size.pls_ten_times("ECSI"), ["PathModel"]),
        (lambda: size.pls_ten_times(PathModel({"A": ["a1", "a2"]})), ["no arrows"]),
        (lambda: size.pls_inverse_square_root(0), ["path=0"]),
        (lambda: size.rmsea_power(0, 1), ["df=0", "n=1"]),
        (lambda: size.rmsea_power(10, 200, test="good"), ["test='good'"]),
        (lambda: size.rmsea_power(10, 200, test=(0.05, 0.05)), ["two different"]),
        (lambda: size.rmsea_size(10, power=0.05), ["must be above"]),
        (lambda: size.rmsea_size(1, test=(0.05, 0.0500001)), ["no sample"]),
        (lambda: size.index(2, sd=15, result=object()), ["not both"]),
        (lambda: size.index_sd(1.7, items=3, correlation=-0.6, bounds=(10, 1)), ["correlation=-0.6", "bounds=(10, 1)"]),
        (lambda: size.issued(0, eligibility=0), ["n=0", "eligibility=0"]),
        (lambda: size.design_effect(0.5, 2, weight_cv=-1), ["per_cluster=0.5", "intraclass=2", "weight_cv=-1"]),
        (lambda: size.design_effect(11, -0.2), ["intraclass=-0.2 must lie between -0.1"]),
        (lambda: size.mean(1e-300, 15), ["margin=1e-300", "check its unit"]),
        (lambda: size.mean(2, 15, response_rate=1e-310), ["response_rate=1e-310", "check its unit"]),
        (lambda: size.two_means(2, 15, sides=True), ["sides=True"]),
        (lambda: size.pls_inverse_square_root(1e-200), ["path=1e-200"]),
        (lambda: size.pls_inverse_square_root(0.2, alpha=0.2, power=0.2), ["no more than chance", "above 0.2"]),
        (lambda: size.index(result="mobile"), ["result must be an index", "str"]),
        (lambda: size.index(sd=80), ["sd=80 is impossible", "from 0 to 100", "70.71"]),
        (lambda: size.index_sd(17, items=3, correlation=0.5), ["item_sd=17 is impossible", "from 1 to 10", "6.364"]),
    ],
)  # fmt: skip
def test_bad_settings_are_named_all_at_once(call, words):
    with pytest.raises(SpecError) as error:
        call()
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("plan", "least"),
    [
        (size.mean(100, 15), 2),
        (size.two_means(100, 15), 2),
        (size.overlapping_waves(100, 15, overlap=0.5, correlation=0.5), 2),
        (size.two_proportions(0.001, 0.999, alpha=0.4, power=0.5), 2),
        (size.kappa(0.5, [0.5, 0.5], width=10), 2),
        (size.index(90), 2),
        (size.pls_inverse_square_root(0.999, power=0.1), 2),
    ],
)
def test_no_plan_is_smaller_than_its_own_quantity_needs(plan, least):
    assert plan.exact < 1.5
    assert plan.n == least
    assert np.isfinite(plan.at(plan.n))
    assert "is the fewest with which" in str(plan)
    assert plan.issued >= plan.n


@pytest.mark.parametrize("deff", [1.0, 1.8])
def test_an_aim_that_any_sample_reaches_is_questioned(deff):
    plan = size.reliability_width(0.8, 5, 1e9, deff=deff)
    assert plan.n == math.ceil(2 * deff)
    assert "is the aim what was meant" in str(plan)
    assert np.isfinite(plan.at(plan.n))
    assert "is the aim" not in str(size.reliability_width(0.8, 5, 0.1))


def test_small_samples_name_the_approximation():
    assert "Student's t" in str(size.mean(10, 15))
    assert "Student's t" in str(size.two_means(20, 15))
    assert "normal approximation to shares" in str(size.two_proportions(0.1, 0.9))
    assert "large-sample variance" in str(size.kappa(0.5, [0.5, 0.5], width=0.9))
    assert not size.mean(2, 15).remarks
    assert not size.two_means(2, 15).remarks


def test_no_answers_are_spread_more_than_one_at_either_end():
    """The largest spread that is let through, range / sqrt(2), is that of two answers at the ends (divisor n - 1)."""
    assert size.index_sd(float(np.std([1, 10], ddof=1)), items=1, correlation=0) == pytest.approx(100 / math.sqrt(2))
    assert size.index(sd=float(np.std([0, 100], ddof=1))).n > size.index().n


def test_domains_take_a_series_of_shares_and_spreads():
    register = pd.DataFrame({"region": ["north"] * 6 + ["south"] * 4, "spend": [1, 5, 9, 3, 7, 5, 2, 8, 4, 6]})
    shares = register["region"].value_counts(normalize=True)
    spread = register.groupby("region")["spend"].std()
    plan = size.domains(1, spread, shares, response_rate=pd.Series({"north": 0.5, "south": 0.4}))
    same = size.domains(1, spread.to_dict(), shares.to_dict(), response_rate={"north": 0.5, "south": 0.4})
    pd.testing.assert_frame_equal(plan.parts, same.parts)
    assert plan.parts["exact"]["north"] == pytest.approx(size.mean(1, spread["north"]).exact, rel=1e-12)


def test_every_domain_has_two_interviews():
    plan = size.domains(15, {"a": 15, "b": 2}, {"a": 0.5, "b": 0.5}, response_rate=0.5)
    assert plan.parts["n"].to_dict() == {"a": 4, "b": 2}
    assert plan.parts["issued"].to_dict() == {"a": 8, "b": 4}
    assert "needs: ['b']" in str(plan)


def test_two_small_populations_are_compared_with_their_correction():
    """The variance of a difference of two means falls by (N - n)/(N - 1); a census leaves no error, so power 1."""
    plan, endless = size.two_means(5, 15, population=400), size.two_means(5, 15)
    assert plan.exact == pytest.approx(net_size(endless.exact, 1, 400), rel=1e-12)
    assert plan.at(400) == 1
    n, z = plan.exact, stats.norm.isf(0.025)
    se = math.sqrt(2 * 15**2 / n * (400 - n) / 399)
    assert stats.norm.cdf(5 / se - z) == pytest.approx(0.80, rel=1e-9)
    shares = size.two_proportions(0.5, 0.6, population=500, deff=1.2)
    assert shares.exact == pytest.approx(net_size(size.two_proportions(0.5, 0.6).exact, 1.2, 500), rel=1e-12)
    assert shares.at(shares.exact) == pytest.approx(0.80, rel=1e-9)


def test_design_effect_and_response_raise_model_and_rater_sizes():
    assert size.rmsea_size(100, deff=1.5).exact == pytest.approx(1.5 * size.rmsea_size(100).exact, rel=1e-12)
    assert size.rmsea_size(100, deff=1.5).at(1.5 * 132) == pytest.approx(size.rmsea_size(100).at(132), rel=1e-12)
    assert size.pls_ten_times(ecsi_mobile(), deff=1.5).n == 60
    assert size.kappa(0.7, [0.5, 0.5], width=0.2, response_rate=0.9).issued == math.ceil(195.91 / 0.9)
    with pytest.raises(SpecError, match="response_rate=0"):
        size.kappa(0.7, [0.5, 0.5], width=0.2, response_rate=0)


@pytest.mark.parametrize("level", [0.995, 0.999, 0.9999])
def test_a_level_is_printed_as_it_is(level):
    shown = f"{100 * level:g}%"
    for plan in (
        size.mean(2, 15, level=level),
        size.proportion(0.05, level=level),
        size.relative_error(0.2, 0.3, level=level),
        size.domains(2, 15, {"a": 0.5, "b": 0.5}, level=level),
        size.reliability_width(0.8, 5, 0.1, level=level),
        size.bonett(0.7, 0.8, 5, level=level),
        size.kappa(0.5, [0.5, 0.5], width=0.2, level=level),
        size.index(level=level),
    ):
        assert shown in str(plan)
        assert "100%" not in str(plan) + plan.axis
    assert "0.9999999" in str(size.two_means(2, 15, power=0.9999999))
    assert "> 0.999" in str(size.rmsea_power(500, 2000))


@pytest.mark.parametrize(
    ("plan", "above"),
    [
        (size.mean(2, 15), True),
        (size.kappa(0.7, [0.5, 0.5], se=0.05), True),
        (size.bonett(0.75, 0.85, 5), True),
        (size.two_means(2, 15), False),
        (size.issued(384, deff=1.5), False),
    ],
)
def test_the_number_stands_beside_the_curve_and_not_on_it(plan, above):
    import matplotlib.pyplot as plt

    (note,) = plan.plot().texts
    assert (note.get_va() == "bottom") == above
    plt.close("all")


def test_the_curve_of_a_small_population_falls_smoothly_to_zero():
    """The margin behaves like the root of N - n near a census: no step of the curve is more than N/50 wide."""
    census = size.mean(2, 15, population=300).curve
    assert census["margin"].iloc[-1] == 0
    assert np.diff(census.index.to_numpy()).max() <= 300 / 50


@pytest.mark.parametrize("plan", [size.mean(2, 15), size.two_means(2, 15), size.kappa(0.5, [0.5, 0.5], width=0.2),
                                  size.domains(2, 15, {"a<b>": 0.5, "c": 0.5}), size.rmsea_power(20, 200)])  # fmt: skip
def test_faces(plan):
    import matplotlib.pyplot as plt

    ax = plan.plot()
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    plt.close("all")
    assert len(plan.to_frame()) == 1
    assert "<b>" not in plan._repr_html_()
    assert repr(plan) == str(plan)
