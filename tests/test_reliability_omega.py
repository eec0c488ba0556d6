"""Omega and its relatives: closed forms, R psych and seminr, an independent CFA, simulation, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, numbered, read_reference

from csi_lab import DataError, EstimationError, PathModel, SpecError
from csi_lab.factors.extraction import at_bound, extract, ml_discrepancy
from csi_lab.moments import Moments
from csi_lab.reliability import (
    cronbach_alpha,
    length_for,
    omega,
    omega_hierarchical,
    rho_a,
    rho_c,
    spearman_brown,
    standard_error_of_measurement,
)
from csi_lab.reliability.congeneric import _omega
from csi_lab.resampling import replicates

QUALITY = numbered("PERQ", 7)
LOADINGS = np.array([0.9, 0.8, 0.7, 0.6, 0.5])


def one_factor_corr(loadings: np.ndarray) -> np.ndarray:
    corr = np.outer(loadings, loadings)
    np.fill_diagonal(corr, 1)
    return corr


def as_sample(cov: np.ndarray, n: int = 400) -> Moments:
    return Moments.from_covariance([f"q{i}" for i in range(len(cov))], n, np.zeros(len(cov)), cov)


@pytest.mark.parametrize("scale", ["A", "C", "N"])
def test_one_factor_omega_agrees_with_psych(scale):
    """tests/reference/reliability, omega_1f: omega 1e-5, loadings 2e-5."""
    ref = read_reference("reliability/bfi_scales_ACN.json")[scale]
    bfi = pd.read_csv(REFERENCE / "data" / "bfi25.csv")
    items = numbered(scale, 5)
    frame = pd.DataFrame({i: bfi[i] if k == 1 else 7 - bfi[i] for i, k in zip(items, ref["keys"], strict=True)})
    ours = omega(frame, extraction="minres", metric="standardised", variance="observed")
    assert ours.value == pytest.approx(ref["omega_1f"]["omega_total"], abs=1e-5)
    assert ours.parts["loading"].to_numpy() == pytest.approx(ref["omega_1f"]["loadings"], abs=2e-5)
    assert "minres" in ours.definition
    assert "observed" in ours.definition


@pytest.mark.parametrize("method", ["ml", "minres"])
def test_a_population_with_one_factor_is_recovered(method):
    found = extract(one_factor_corr(LOADINGS), 1, method)
    assert found.loadings[:, 0] == pytest.approx(LOADINGS, abs=1e-9)
    assert found.uniqueness == pytest.approx(1 - LOADINGS**2, abs=1e-9)
    assert bool(found.converged)
    assert not at_bound(found.uniqueness).any()


@pytest.mark.parametrize("method", ["ml", "minres"])
def test_three_items_have_a_closed_form(method):
    """l1^2 = r12 r13 / r23."""
    corr = np.array([[1, 0.5, 0.4], [0.5, 1, 0.3], [0.4, 0.3, 1]])
    expected = np.sqrt([0.5 * 0.4 / 0.3, 0.5 * 0.3 / 0.4, 0.4 * 0.3 / 0.5])
    assert extract(corr, 1, method).loadings[:, 0] == pytest.approx(expected, abs=1e-9)


def test_the_optimum_of_both_criteria_is_stationary(mobi):
    """Derivatives by each parameter vanish: of ln|S| + tr(R S^-1), and of the squared residuals."""
    corr = mobi[QUALITY].corr().to_numpy()
    found = extract(corr, 1, "ml")
    sigma = found.loadings @ found.loadings.T + np.diag(found.uniqueness)
    inverse = np.linalg.inv(sigma)
    slope = inverse @ (sigma - corr) @ inverse
    assert np.abs(slope @ found.loadings).max() < 1e-7
    assert np.abs(np.diagonal(slope)).max() < 1e-7
    loadings = extract(corr, 1, "minres").loadings[:, 0]
    left = corr - np.outer(loadings, loadings)
    np.fill_diagonal(left, 0)
    assert np.abs(left @ loadings).max() < 1e-10


def test_omega_is_that_of_an_independent_cfa(mobi):
    """csi_lab.sem.cbsem fits the same congeneric model from its own specification: omega 1e-6, its error 1e-4."""
    from csi_lab.sem.cbsem import cbsem

    theirs = cbsem(mobi, PathModel(constructs={"Quality": QUALITY}, paths={})).reliability
    raw, standardised = theirs.loc[("Quality", "omega")], theirs.loc[("Quality", "cr")]
    ours = omega(mobi, QUALITY)
    assert ours.value == pytest.approx(raw["estimate"], abs=1e-6)
    assert ours.se == pytest.approx(raw["se"], rel=1e-4)
    ours = omega(mobi, QUALITY, metric="standardised")
    assert ours.value == pytest.approx(standardised["estimate"], abs=1e-6)
    assert ours.se == pytest.approx(standardised["se"], rel=1e-4)


@pytest.mark.parametrize("metric", ["raw", "standardised"])
def test_the_formula_error_is_the_spread_over_samples(metric):
    """500 normal samples of one population, fitted at once: the spread within 4 of its standard errors (3.2 %)."""
    rng = np.random.default_rng(8)
    n, draws, sd = 400, 500, np.array([1.0, 2, 1, 3, 1])
    factor = rng.normal(size=(draws, n, 1))
    x = (LOADINGS * factor + np.sqrt(1 - LOADINGS**2) * rng.normal(size=(draws, n, 5))) * sd
    samples = Moments.stack([Moments.from_frame(pd.DataFrame(sample, columns=list("abcde"))) for sample in x])
    values = _omega(samples, "ml", metric, "model")
    population = as_sample(one_factor_corr(LOADINGS) * np.outer(sd, sd), n)
    formula = omega(population, metric=metric)
    assert np.std(values, ddof=1) == pytest.approx(formula.se, rel=4 * 0.032)
    assert np.mean(values) == pytest.approx(formula.value, abs=formula.se / 4)


def test_tau_equivalent_items_have_one_reliability():
    """Equal loadings: omega is alpha, whatever the variant."""
    sample = as_sample(np.full((4, 4), 0.4) + np.diag([0.6, 0.6, 0.6, 0.6]))
    alpha = cronbach_alpha(sample).value
    for extraction in ("ml", "minres"):
        for variance in ("model", "observed"):
            ours = omega(sample, extraction=extraction, variance=variance)
            assert ours.value == pytest.approx(alpha, abs=1e-9)


def test_scaling_and_order_change_nothing(mobi):
    ours, other = omega(mobi, QUALITY), omega(mobi * 1000, QUALITY[::-1])
    assert [ours.value, ours.se] == pytest.approx([other.value, other.se], rel=1e-7)
    factors = pd.Series(np.arange(1.0, 8.0), index=QUALITY)
    a, b = (omega(frame, QUALITY, metric="standardised").value for frame in (mobi, mobi[QUALITY] * factors))
    assert a == pytest.approx(b, rel=1e-8)


@pytest.mark.parametrize("extraction", ["ml", "minres"])
def test_draws_are_those_of_single_resamples(mobi, extraction):
    picked = np.random.default_rng(3).integers(0, 250, size=(15, 250))
    made = replicates(mobi, items=QUALITY, indices=picked)
    ours = omega(mobi, QUALITY, extraction=extraction, replicates=made)
    each = [omega(mobi.iloc[rows].reset_index(drop=True), QUALITY, extraction=extraction).value for rows in picked]
    assert ours.se == pytest.approx(np.std(each, ddof=1), rel=1e-7)
    assert [ours.low, ours.high] == pytest.approx(np.quantile(each, [0.025, 0.975]), rel=1e-9)


def test_draws_that_have_no_factor_are_nan_and_do_not_disturb_the_others():
    good, bad = one_factor_corr(LOADINGS), np.full((5, 5), np.nan)
    for method in ("ml", "minres"):
        found = extract(np.stack([good, bad, good]), 1, method)
        assert found.loadings[[0, 2], :, 0] == pytest.approx(np.stack([LOADINGS, LOADINGS]), abs=1e-9)
        assert np.isnan(found.loadings[1]).all()
        assert found.converged.tolist() == [True, False, True]


def test_no_other_start_finds_a_higher_likelihood(mobi):
    """Among resamples of weak items some have two optima; the one reported is the better."""
    corr = replicates(mobi, items=numbered("IMAG", 5), draws=600, rng=1).moments.corr

    def value(start: np.ndarray | None) -> np.ndarray:
        found = extract(corr, 1, "ml", start=start)
        return ml_discrepancy(corr, found.loadings, np.ones((len(corr), 1, 1)), found.uniqueness)

    reported = value(None)
    for start in (0.2, 0.8):
        assert (reported <= value(np.full(5, start)) + 1e-9).all()


def test_a_heywood_case_comes_first_and_has_no_formula_interval():
    """r12 r13 / r23 = 1.28 > 1: the first item would have negative unique variance."""
    sample = as_sample(np.array([[1, 0.8, 0.8], [0.8, 1, 0.5], [0.8, 0.5, 1]]))
    result = omega(sample)
    assert str(result).startswith("IMPROPER (Heywood case): no unique variance is left for q0")
    assert np.isnan(result.low)
    assert "Heywood" in result.interval


def test_variants_without_a_formula_say_so(mobi):
    assert "no formula" in omega(mobi, QUALITY, extraction="minres").interval
    assert "no formula" in omega(mobi, QUALITY, variance="observed").interval
    assert "weights" in omega(mobi, QUALITY, weights=np.linspace(1, 2, 250)).interval
    assert omega(mobi, QUALITY, extraction="minres", draws=50).se > 0


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (lambda f: f[["CUSA1", "CUSA2"]], DataError, "three items or more"),
        (lambda f: f.assign(CUSA3=4), DataError, r"do not vary.*CUSA3"),
        (lambda f: f.assign(CUSA3="good"), DataError, r"CUSA3.*text"),
        (lambda f: f.assign(CUSA3=np.nan), DataError, r"without any answer: \['CUSA3'\]"),
        (lambda f: f.assign(CUSA3=f["CUSA1"]), EstimationError, r"collinear: \['CUSA1', 'CUSA3'\]"),
        (lambda f: f.iloc[[0, 3, 8]], EstimationError, "3 complete rows are not enough for 3 items"),
    ],
)
def test_scales_that_have_no_omega_are_refused(mobi, frame, error, message):
    with pytest.raises(error, match=message):
        omega(frame(mobi[["CUSA1", "CUSA2", "CUSA3"]]))


@pytest.mark.parametrize("setting", [{"extraction": "pca"}, {"metric": "z"}, {"variance": "all"}])
def test_unknown_variants_are_refused(mobi, setting):
    (name,) = setting
    with pytest.raises(SpecError, match=f"{name}="):
        omega(mobi, QUALITY, **setting)


def hierarchy() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """12 items in 3 groups whose factors load .8, .7, .6 on one above them: correlations, general, unique parts."""
    groups = np.kron(np.eye(3), np.array([[0.8], [0.7], [0.6], [0.5]]))
    second = np.array([0.8, 0.7, 0.6])
    phi = one_factor_corr(second)
    common = groups @ phi @ groups.T
    unique = 1 - np.diagonal(common)
    return common + np.diag(unique), groups @ second, unique


def test_omega_hierarchical_of_a_true_hierarchy():
    """Schmid and Leiman's model holds exactly: the general loadings and the unique variances are known."""
    corr, general, unique = hierarchy()
    ours = omega_hierarchical(as_sample(corr), factors=3).table["estimate"]
    assert ours["omega hierarchical"] == pytest.approx(general.sum() ** 2 / corr.sum(), abs=1e-6)
    assert ours["omega total"] == pytest.approx(1 - unique.sum() / corr.sum(), abs=1e-6)
    assert ours["explained common variance"] == pytest.approx((general**2).sum() / (1 - unique).sum(), abs=1e-6)


def test_omega_hierarchical_agrees_with_psych():
    """tests/reference/reliability/hs_scales.json: three minres factors, oblimin; 1e-5, where psych's rotation stops."""
    theirs = read_reference("reliability/hs_scales.json")
    answers = pd.read_csv(REFERENCE / "data" / "HolzingerSwineford1939.csv")
    ours = omega_hierarchical(answers, numbered("x", 9), metric="standardised").table["estimate"]
    assert ours["omega hierarchical"] == pytest.approx(theirs["omega_h"], abs=1e-5)
    assert ours["omega total"] == pytest.approx(theirs["omega_total"], abs=1e-5)


def test_omega_hierarchical_of_raw_answers_weighs_items_by_their_spread():
    corr, general, unique = hierarchy()
    sd = np.linspace(1, 3, 12)
    sample = as_sample(corr * np.outer(sd, sd))
    ours = omega_hierarchical(sample).table["estimate"]
    total = sd @ corr @ sd
    assert ours["omega hierarchical"] == pytest.approx((general @ sd) ** 2 / total, abs=1e-6)
    assert ours["omega total"] == pytest.approx(1 - unique @ sd**2 / total, abs=1e-6)
    standardised = omega_hierarchical(sample, metric="standardised").table["estimate"]
    assert standardised["omega hierarchical"] == pytest.approx(general.sum() ** 2 / corr.sum(), abs=1e-6)


def test_omega_hierarchical_says_what_is_not_identified_and_has_draws(mobi):
    two = omega_hierarchical(mobi, QUALITY, factors=2, draws=30)
    assert "not identified" in str(two)
    assert (two.table["se"] > 0).all()


@pytest.mark.parametrize(
    ("items", "factors", "error", "message"),
    [
        (QUALITY, 1, SpecError, "two group factors or more"),
        (QUALITY, 4, EstimationError, "7 items carry 3 factors at most"),
        (["CUSA1", "CUSA2"], 2, EstimationError, "2 items carry no two factors.*five items or more"),
        (QUALITY[:4], 2, EstimationError, "4 items carry no two factors.*five items or more"),
    ],
)
def test_hierarchies_that_do_not_exist_are_refused(mobi, items, factors, error, message):
    with pytest.raises(error, match=message):
        omega_hierarchical(mobi, items, factors=factors)


def test_composite_reliability_and_rho_a_agree_with_seminr(ecsi, mobi):
    """tests/reference/pls/mobi_A_path.json, 1e-10: from the weights and loadings stored there."""
    from csi_lab.sem import pls

    published = read_reference("pls/mobi_A_path.json")["reliability"]
    theirs = pd.DataFrame(**published).astype(float)
    fit = pls(mobi, ecsi, tolerance=1e-14, max_iterations=1000)
    for construct, items in ecsi.constructs.items():
        loadings = fit.loadings.loc[construct, "estimate"].to_numpy()
        weights = fit.weights.loc[construct, "estimate"].to_numpy()
        corr = np.atleast_2d(mobi[list(items)].corr().to_numpy())
        assert float(rho_c(loadings)) == pytest.approx(theirs.loc[construct, "rhoC"], abs=1e-10)
        assert float(rho_a(corr, weights)) == pytest.approx(theirs.loc[construct, "rhoA"], abs=1e-10)


def test_rho_a_of_a_true_factor_is_its_reliability():
    """Weights in proportion to the loadings of one factor: rho_A = (w'l)^2 with w'Rw = 1; broadcasting."""
    corr = one_factor_corr(LOADINGS)
    w = LOADINGS / np.sqrt(LOADINGS @ corr @ LOADINGS)
    assert float(rho_a(corr, 7 * LOADINGS)) == pytest.approx((w @ LOADINGS) ** 2, rel=1e-12)
    stack = rho_a(np.stack([corr, corr]), np.stack([LOADINGS, np.ones(5)]))
    assert stack[1] == pytest.approx(float(rho_a(corr, np.ones(5))), rel=1e-14)
    assert rho_c(np.stack([LOADINGS, LOADINGS])).shape == (2,)


def test_composites_refuse_what_they_cannot_use():
    with pytest.raises(DataError, match=r"outside -1 to 1: \[1\.2\]"):
        rho_c([1.2, 0.5])
    with pytest.raises(DataError, match=r"shapes \(3,\) and \(2, 2\)"):
        rho_a(np.eye(2), [1, 1, 1])
    with pytest.raises(DataError, match="not numbers"):
        rho_c(["a", "b"])
    with pytest.raises(DataError, match="needs correlations, with 1 on the diagonal; it holds 4"):
        rho_a([[4, 1], [1, 1]], [1, 1])


def test_scores_that_do_not_vary_have_no_rho_a():
    """Weights of zero, and items that cancel: NaN for that draw only, and no warning."""
    corr = np.array([[1.0, 1.0], [1.0, 1.0]])
    found = rho_a(corr, [[0.0, 0.0], [1.0, -1.0], [1.0, 1.0]])
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(1)


def test_reliabilities_of_blocks_side_by_side_are_those_of_each_block():
    """What PLS reports for all its blocks at once is the same arithmetic as that of one block."""
    from csi_lab.reliability.composite import rho_a_of_blocks, rho_c_of_blocks

    rng = np.random.default_rng(3)
    corr = np.corrcoef(rng.normal(size=(60, 5)) + rng.normal(size=(60, 1)), rowvar=False)
    member = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]])
    loadings, raw = rng.uniform(0.3, 0.9, 5), rng.uniform(0.5, 1, 5)
    parts = [np.flatnonzero(column) for column in member.T]
    weights = np.empty(5)
    for at in parts:
        weights[at] = raw[at] / np.sqrt(raw[at] @ corr[np.ix_(at, at)] @ raw[at])
    apart = [(rho_a(corr[np.ix_(at, at)], raw[at]), rho_c(loadings[at])) for at in parts]
    assert rho_a_of_blocks(weights, corr, member) == pytest.approx([float(a) for a, _ in apart], rel=1e-12)
    assert rho_c_of_blocks(loadings, member) == pytest.approx([float(c) for _, c in apart], rel=1e-12)


def test_prophecy_and_its_inverse():
    assert spearman_brown(0.5, 3) == pytest.approx(0.75)
    assert spearman_brown(0.8, length_for(0.8, 0.9)) == pytest.approx(0.9, rel=1e-12)
    assert spearman_brown(np.array([0.0, 1.0]), 5).tolist() == [0.0, 1.0]
    with pytest.raises(SpecError, match="length=0"):
        spearman_brown(0.5, 0)
    with pytest.raises(SpecError, match="target=1 must lie between 0 and 1"):
        length_for(0.5, 1)
    with pytest.raises(DataError, match="reliabilities are not numbers"):
        spearman_brown("high")
    with pytest.raises(SpecError, match="length='2'"):
        spearman_brown(0.5, "2")  # type: ignore[arg-type]


def test_standard_error_of_measurement():
    assert standard_error_of_measurement(10, 0.84) == pytest.approx(4)
    with pytest.raises(DataError, match="not negative"):
        standard_error_of_measurement(-1, 0.5)
    with pytest.raises(EstimationError, match="exceeds 1"):
        standard_error_of_measurement(1, 1.2)
