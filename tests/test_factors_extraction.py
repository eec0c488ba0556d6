"""Unrotated loadings: exact models, R psych, optimality by differences, improper solutions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference, table

from csi_lab.factors.chance import normal_correlations
from csi_lab.factors.extraction import extract, ml_discrepancy
from csi_lab.factors.fitting import degrees_of_freedom, fit_measures, most_factors, noncentrality
from csi_lab.moments import Moments

LOADINGS = np.array(
    [[0.8, 0.1], [0.7, -0.2], [0.6, 0.3], [0.5, 0.4], [0.4, -0.5], [0.3, 0.6], [0.75, 0.0], [0.2, -0.6]]
)
METHODS = ["minres", "ml", "principal axis"]


@pytest.fixture(scope="module")
def bfi_corr() -> np.ndarray:
    return Moments.from_frame(pd.read_csv(REFERENCE / "data" / "bfi25.csv")).corr


def implied(loadings: np.ndarray) -> np.ndarray:
    corr = loadings @ loadings.T
    np.fill_diagonal(corr, 1.0)
    return corr


@pytest.mark.parametrize("method", METHODS)
def test_an_exact_model_is_recovered(method):
    """R = LL' + Psi exactly: the uniquenesses come back, and LL' with them, which no rotation touches."""
    found = extract(implied(LOADINGS), 2, method, tolerance=1e-12, max_iterations=5000)
    assert found.converged
    assert found.uniqueness == pytest.approx(1 - (LOADINGS**2).sum(axis=1), abs=1e-7)
    assert found.loadings @ found.loadings.T == pytest.approx(LOADINGS @ LOADINGS.T, abs=1e-7)


def test_equal_correlations_have_one_factor_of_equal_loadings():
    """r = l^2 for all items."""
    corr = np.full((5, 5), 0.49) + 0.51 * np.eye(5)
    for method in METHODS:
        assert extract(corr, 1, method, tolerance=1e-12).loadings[:, 0] == pytest.approx(0.7, abs=1e-8)
    first = np.sqrt((1 + 4 * 0.49) / 5)
    assert extract(corr, 1, "components").loadings[:, 0] == pytest.approx(first, abs=1e-12)


@pytest.mark.parametrize(("method", "bar"), [("minres", 1e-5), ("ml", 2e-5)])
def test_agrees_with_psych(bfi_corr, method, bar):
    """tests/reference/efa/bfi_efa.json: unrotated loadings and uniquenesses; order and sign are psych's too."""
    ref = read_reference("efa/bfi_efa.json")[f"{method}_none"]
    found = extract(bfi_corr, 5, method)
    theirs = table(ref["loadings"])
    # psych leaves the signs of a weakly signed column to its eigenvectors.
    sign = np.sign((theirs.to_numpy() * found.loadings).sum(axis=0))
    assert np.abs(found.loadings * sign - theirs.to_numpy()).max() < bar
    assert np.abs(found.uniqueness - pd.Series(ref["uniquenesses"]).to_numpy()).max() < bar


@pytest.mark.parametrize(("method", "bar"), [("minres", 1e-3), ("ml", 1e-5)])
def test_fit_agrees_with_psych(bfi_corr, method, bar):
    """tests/reference/efa/bfi_efa.json. psych's RMSEA has n - 1 in two places where ours has n (lavaan): its square is
    ours + 1/n - 1/(n - 1), the squares of its ends times n - 1 are ours times n."""
    ref, n = read_reference("efa/bfi_efa.json")[f"{method}_none"], 2436
    found = extract(bfi_corr, 5, method)
    ours = fit_measures(bfi_corr, found.loadings, np.eye(5), found.uniqueness, n, "")
    assert ours["chi2"] == pytest.approx(ref["STATISTIC"], abs=bar)
    assert ours["bic"] == pytest.approx(ref["BIC"], abs=bar)
    assert ours["df"] == ref["dof"]
    assert ours["discrepancy"] == pytest.approx(ref["objective"], abs=bar / n)
    assert ours["tli"] == pytest.approx(ref["TLI"], abs=1e-7)
    assert ours["rmsr"] == pytest.approx(ref["rms"], abs=2e-8)
    assert ours["rmsr_corrected"] == pytest.approx(ref["crms"], abs=2e-8)
    assert ours["rmsea"] ** 2 + 1 / n - 1 / (n - 1) == pytest.approx(ref["RMSEA"]["RMSEA"] ** 2, abs=1e-9)
    assert ours["rmsea_low"] ** 2 * n == pytest.approx(ref["RMSEA"]["lower"] ** 2 * (n - 1), abs=1e-5)
    assert ours["rmsea_high"] ** 2 * n == pytest.approx(ref["RMSEA"]["upper"] ** 2 * (n - 1), abs=1e-5)


def test_principal_axis_ends_at_minres(bfi_corr):
    """Both make the residual of every communality zero."""
    axis = extract(bfi_corr, 5, "principal axis", tolerance=1e-11, max_iterations=2000)
    assert np.abs(axis.loadings - extract(bfi_corr, 5, "minres").loadings).max() < 1e-8


def test_components_keep_the_trace(bfi_corr):
    whole = extract(bfi_corr, 25, "components").loadings
    assert whole @ whole.T == pytest.approx(bfi_corr, abs=1e-12)
    values = np.sort(np.linalg.eigvalsh(bfi_corr))[::-1]
    assert (whole**2).sum(axis=0) == pytest.approx(values, rel=1e-12)


def off_diagonal_squares(loadings: np.ndarray, corr: np.ndarray) -> float:
    left = corr - loadings @ loadings.T
    np.fill_diagonal(left, 0.0)
    return float((left**2).sum())


def test_minres_is_a_minimum_over_all_loadings(bfi_corr):
    """No small change of the loadings lowers the sum of squared residuals (200 random directions)."""
    rng = np.random.default_rng(1)
    best = extract(bfi_corr, 3, "minres").loadings
    least = off_diagonal_squares(best, bfi_corr)
    for _ in range(200):
        assert off_diagonal_squares(best + 1e-3 * rng.standard_normal(best.shape), bfi_corr) > least


def test_ml_is_a_minimum_over_loadings_and_uniquenesses(bfi_corr):
    rng = np.random.default_rng(2)
    found = extract(bfi_corr, 3, "ml")
    least = ml_discrepancy(bfi_corr, found.loadings, np.eye(3), found.uniqueness)
    loadings = found.loadings + 1e-3 * rng.standard_normal((200, 25, 3))
    uniqueness = found.uniqueness * np.exp(1e-3 * rng.standard_normal((200, 25)))
    others = ml_discrepancy(np.broadcast_to(bfi_corr, (200, 25, 25)), loadings, np.eye(3), uniqueness)
    assert (others > least).all()


@pytest.mark.parametrize("method", [*METHODS, "components"])
def test_a_stack_gives_what_each_matrix_gives(bfi_corr, method):
    small = bfi_corr[:10, :10]
    empty = np.full_like(small, np.nan)
    stack = np.stack([small, empty, bfi_corr[10:20, 10:20], small])[:, None]
    found = extract(stack, 2, method)
    assert found.loadings.shape == (4, 1, 10, 2)
    assert np.isnan(found.loadings[1]).all()
    assert found.converged.ravel().tolist() == [True, False, True, True]
    for at, corr in ((0, small), (2, stack[2, 0]), (3, small)):
        assert found.loadings[at, 0] == pytest.approx(extract(corr, 2, method).loadings, abs=1e-7)


@pytest.mark.parametrize("method", ["minres", "ml"])
def test_improper_solutions_are_optimal_at_their_bounds(method):
    """Noise in few rows has Heywood cases galore. All 300 come to rest, inside the bounds, where the slope of the
    concentrated discrepancy (by differences) is flat, or points outwards at a bound."""
    corr = normal_correlations(14, 8, 300, np.random.default_rng(8))
    lower, h = 0.005, 1e-6
    found = extract(corr, 2, method, lower=lower)
    assert found.converged.all()
    assert (found.uniqueness >= lower * (1 - 1e-12)).all()
    assert (found.uniqueness <= lower * (1 + 1e-9)).any(axis=1).mean() > 0.3

    def value(psi: np.ndarray) -> np.ndarray:
        if method == "minres":
            return (np.linalg.eigvalsh(corr - psi[..., None] * np.eye(8))[:, :-2] ** 2).sum(axis=1) / 2
        scale = 1 / np.sqrt(psi)
        tail = np.linalg.eigvalsh(corr * scale[:, :, None] * scale[:, None, :])[:, :-2]
        return (tail - 1 - np.log(tail)).sum(axis=1)

    for item in range(8):
        step = np.zeros(8)
        step[item] = h
        psi = found.uniqueness
        slope = (value(psi * np.exp(step)) - value(psi * np.exp(-step))) / (2 * h)
        at_low, at_high = psi[:, item] <= lower * (1 + 1e-9), psi[:, item] >= 1 - 1e-9
        assert (np.abs(slope[~at_low & ~at_high]) < 1e-6).all()
        assert (slope[at_low] > -1e-6).all()
        assert (slope[at_high] < 1e-6).all()


def test_ml_of_a_singular_matrix_is_empty_and_minres_is_not():
    corr = implied(LOADINGS)
    corr[0] = corr[:, 0] = corr[6]
    corr[0, 0] = corr[0, 6] = corr[6, 0] = 1.0
    assert np.isnan(extract(corr, 2, "ml").loadings).all()
    assert np.isfinite(extract(corr, 2, "minres").loadings).all()


def test_degrees_of_freedom_and_their_end():
    """((p - m)^2 - p - m)/2: 25 items and 5 factors have 185; 6 items carry 3 factors, 8 items 4."""
    assert degrees_of_freedom(25, 5) == 185
    assert [most_factors(p) for p in (3, 4, 5, 6, 7, 8)] == [1, 1, 2, 3, 3, 4]


@pytest.mark.parametrize(("chi2", "df"), [(25.0, 20), (1500.0, 185), (4e6, 300)])
def test_noncentrality_puts_the_value_at_its_quantiles(chi2, df):
    """For many degrees of freedom or large values the noncentral chi-square is nearly normal."""
    low, high = noncentrality(chi2, df, 0.90)
    assert low <= chi2 - df <= high
    if low > 0:
        for end, z in ((low, 1.645), (high, -1.645)):
            assert (chi2 - df - end) / np.sqrt(2 * (df + 2 * end)) == pytest.approx(z, abs=0.08)
    assert noncentrality(5.0, 20, 0.90)[0] == 0.0


def test_a_true_model_is_rejected_at_its_level():
    """Normal data from two factors: p of ML below .05 in 5 % of 500 samples, within 4 binomial standard errors."""
    rng = np.random.default_rng(9)
    corr = implied(LOADINGS)
    root = np.linalg.cholesky(corr)
    n = 300
    samples = np.stack([np.corrcoef(rng.standard_normal((n, 8)) @ root.T, rowvar=False) for _ in range(500)])
    found = extract(samples, 2, "ml")
    p = [fit_measures(samples[k], found.loadings[k], np.eye(2), found.uniqueness[k], n, "")["p"] for k in range(500)]
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 500)
