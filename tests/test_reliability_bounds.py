"""Guttman's bounds, split halves, greatest lower bound: R psych, closed forms, exact search, duality."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference

from csi_lab import DataError, EstimationError, SpecError
from csi_lab.moments import Moments
from csi_lab.reliability import all_splits, cronbach_alpha, glb, guttman, omega_hierarchical, ordinal_alpha, split_half

QUALITY = [f"PERQ{i}" for i in range(1, 8)]


@pytest.fixture(scope="module")
def bfi() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "bfi25.csv")


def keyed(bfi: pd.DataFrame, scale: str) -> tuple[pd.DataFrame, dict]:
    """Answers of a bfi scale with the reversed items turned, and what psych made of them."""
    ref = read_reference("reliability/bfi_scales_ACN.json")[scale]
    items = [f"{scale}{i}" for i in range(1, 6)]
    return pd.DataFrame({i: bfi[i] if k == 1 else 7 - bfi[i] for i, k in zip(items, ref["keys"], strict=True)}), ref


@pytest.mark.parametrize("scale", ["A", "C", "N"])
def test_lambdas_agree_with_psych(bfi, scale):
    """tests/reference/reliability: guttman_on_correlations, lambda 4 of split_half_exact, 1e-10."""
    answers, ref = keyed(bfi, scale)
    ours = guttman(answers, metric="standardised").table["estimate"]
    theirs = ref["guttman_on_correlations"]
    for i in (1, 2, 3, 5, 6):
        assert ours[f"lambda{i}"] == pytest.approx(theirs[f"lambda.{i}"], abs=1e-10)
    assert ours["lambda4"] == pytest.approx(ref["split_half_exact"]["lambda4_all_15_splits"], abs=1e-10)


@pytest.mark.parametrize("scale", ["A", "C", "N"])
def test_splits_agree_with_the_exact_search(bfi, scale):
    """tests/reference/reliability: split_half_exact, 1e-10."""
    answers, ref = keyed(bfi, scale)
    ours, theirs = all_splits(answers, metric="standardised"), ref["split_half_exact"]
    assert "all 10 splits" in str(ours)
    values = ours.table["estimate"]
    assert [values["best"], values["worst"], values["mean"]] == pytest.approx(
        [theirs["max"], theirs["min"], theirs["mean"]], abs=1e-10
    )


def test_mobile_quality_meets_its_published_numbers(mobi):
    """Computed on the ECSI mobile data outside this package: lambda 2 .8741; odd-even .6970, .8215, .8086."""
    assert guttman(mobi, QUALITY).table.loc["lambda2", "estimate"] == pytest.approx(0.8741, abs=5e-5)
    halves = split_half(mobi, QUALITY).table
    assert halves["estimate"].to_numpy() == pytest.approx([0.6970, 0.8215, 0.8086], abs=5e-5)
    assert halves["half"].iloc[0] == "PERQ1, PERQ3, PERQ5, PERQ7"


def test_split_half_is_that_of_the_half_sums(mobi):
    """Correlation and variances of two sums computed from rows; Fisher's interval from its formula."""
    first = ["PERQ2", "PERQ3", "PERQ7"]
    a = mobi[first].sum(axis=1)
    b = mobi[[i for i in QUALITY if i not in first]].sum(axis=1)
    table = split_half(mobi, QUALITY, split=first).table
    r = np.corrcoef(a, b)[0, 1]
    guttman_ = 2 * (1 - (a.var() + b.var()) / (a + b).var())
    assert table["estimate"].to_numpy() == pytest.approx([r, 2 * r / (1 + r), guttman_], rel=1e-12)
    ends = np.tanh(np.arctanh(r) + np.array([-1, 1]) * 1.959963984540054 / np.sqrt(247))
    assert table.loc["correlation", ["low", "high"]].astype(float).to_numpy() == pytest.approx(ends, rel=1e-12)
    assert table.loc["Spearman-Brown", "high"] == pytest.approx(2 * ends[1] / (1 + ends[1]), rel=1e-12)
    assert np.isnan(table.loc["Guttman", "low"])


def test_first_against_last_takes_the_larger_half_first(mobi):
    half = split_half(mobi, QUALITY, split="first-last").table["half"].iloc[0]
    assert half == "PERQ1, PERQ2, PERQ3, PERQ4"


def test_every_split_is_tried_once(mobi):
    """Best, worst and mean against a search with sets."""
    items = QUALITY[:6]
    cov = mobi[items].cov().to_numpy()
    values = []
    for rest in combinations(range(1, 6), 2):
        a = np.isin(np.arange(6), (0, *rest))
        values.append(4 * cov[np.ix_(a, ~a)].sum() / cov.sum())
    ours = all_splits(mobi, items).table["estimate"]
    assert len(values) == 10
    assert [ours["best"], ours["worst"], ours["mean"]] == pytest.approx(
        [max(values), min(values), np.mean(values)], rel=1e-12
    )


@pytest.mark.parametrize("k", [4, 6, 8])
def test_the_mean_of_all_equal_halves_is_alpha(mobi, k):
    """Cronbach (1951): true for Guttman's coefficient of halves of equal size."""
    items = list(mobi.columns[:k])
    assert all_splits(mobi, items).table.loc["mean", "estimate"] == pytest.approx(
        cronbach_alpha(mobi, items).value, rel=1e-12
    )


def test_splits_of_an_even_number_agree_with_psych():
    """tests/reference/reliability/hs_scales.json: all ten splits of six items, 1e-10."""
    theirs = read_reference("reliability/hs_scales.json")["split"]
    answers = pd.read_csv(REFERENCE / "data" / "HolzingerSwineford1939.csv")
    ours = all_splits(answers, [f"x{i}" for i in range(1, 7)], metric="standardised").table["estimate"]
    assert ours[["best", "worst", "mean"]].to_dict() == pytest.approx(theirs, abs=1e-10)


def test_beyond_the_limit_splits_are_random_and_the_result_says_so(mobi):
    items = list(mobi.columns[:18])
    ours, again = all_splits(mobi, items, rng=3), all_splits(mobi, items, rng=3)
    assert "20,000 random splits" in ours.title
    assert "may be too low" in str(ours)
    assert (ours.table["estimate"] == again.table["estimate"]).all()
    # The mean of all halves is alpha; the spread of single halves is below .05, so that of 20,000 is below .0004.
    assert ours.table.loc["mean", "estimate"] == pytest.approx(cronbach_alpha(mobi, items).value, abs=4 * 0.0004)
    assert guttman(mobi, items).remarks


def test_bounds_are_in_order(mobi):
    """lambda 1 <= lambda 3 <= lambda 2 (Guttman 1945), and the greatest bound is the greatest."""
    for items in (QUALITY, ["CUSA1", "CUSA2", "CUSA3"], [f"IMAG{i}" for i in range(1, 6)]):
        bounds = guttman(mobi, items).table["estimate"]
        assert bounds["lambda1"] <= bounds["lambda3"] <= bounds["lambda2"]
        assert glb(mobi, items).value >= bounds.max() - 1e-10


def parallel(k: int, r: float) -> Moments:
    corr = np.full((k, k), r) + (1 - r) * np.eye(k)
    return Moments.from_covariance([f"q{i}" for i in range(k)], 100, np.zeros(k), corr)


@pytest.mark.parametrize(("k", "r"), [(2, 0.3), (4, 0.5), (9, 0.2)])
def test_parallel_items_have_one_reliability(k, r):
    """k r / (1 + (k - 1) r): lambdas 2 and 3 and, with even k, lambda 4 and the greatest lower bound."""
    expected = k * r / (1 + (k - 1) * r)
    bounds = guttman(parallel(k, r)).table["estimate"]
    assert bounds["lambda2"] == pytest.approx(expected, rel=1e-12)
    assert bounds["lambda3"] == pytest.approx(expected, rel=1e-12)
    assert glb(parallel(k, r)).value == pytest.approx(expected, abs=1e-10)
    if k % 2 == 0:
        assert bounds["lambda4"] == pytest.approx(expected, rel=1e-12)


def test_glb_of_congeneric_items_is_omega():
    """R = l l' + Psi with no loading larger than all others together: minimum trace gives Psi back."""
    loadings = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    corr = np.outer(loadings, loadings)
    np.fill_diagonal(corr, 1)
    found = glb(Moments.from_covariance(list("abcde"), 100, np.zeros(5), corr))
    assert found.value == pytest.approx(loadings.sum() ** 2 / corr.sum(), abs=1e-10)
    assert found.parts["error_variance"].to_numpy() == pytest.approx(1 - loadings**2, abs=1e-5)


@pytest.mark.parametrize("scale", ["A", "C", "N"])
def test_glb_is_proved_by_its_dual(bfi, scale):
    """Error variances that are allowed, and a dual matrix that allows no greater sum: a certificate of the optimum.

    Any Y that is positive semidefinite with diagonal >= 1 has tr(SY) >= sum of theta for all allowed theta.
    """
    answers, _ = keyed(bfi, scale)
    s = answers.dropna().cov().to_numpy()
    theta = glb(answers).parts["error_variance"].to_numpy()
    assert (theta > 0).all()
    values, vectors = np.linalg.eigh(s - np.diag(theta))
    assert values[0] > -1e-10
    # The dual lives where S - Theta vanishes; scale it so that its diagonal reaches 1.
    null = vectors[:, values < 1e-6 * values[-1]]
    dual = _dual(null)
    dual = dual / np.diagonal(dual).min()
    assert np.linalg.eigvalsh(dual)[0] > -1e-10
    assert np.trace(s @ dual) == pytest.approx(theta.sum(), rel=1e-6)


def _dual(null: np.ndarray) -> np.ndarray:
    """A matrix on the null space with unit diagonal, by least squares over its symmetric coordinates."""
    m = null.shape[1]
    pairs = [(i, j) for i in range(m) for j in range(i, m)]
    columns = np.column_stack([null[:, i] * null[:, j] * (1 if i == j else 2) for i, j in pairs])
    solved, *_ = np.linalg.lstsq(columns, np.ones(len(null)), rcond=None)
    inner = np.zeros((m, m))
    for (i, j), value in zip(pairs, solved, strict=True):
        inner[i, j] = inner[j, i] = value
    return null @ inner @ null.T


def test_psychs_glb_fa_is_no_bound_on_scale_c(bfi):
    """tests/reference/reliability, glb_fa: above the greatest lower bound on C, below it on A and N."""
    gaps = {s: keyed(bfi, s)[1]["glb_fa"] - glb(keyed(bfi, s)[0], metric="standardised").value for s in "ACN"}
    assert gaps["C"] > 0.003
    assert -0.008 < gaps["A"] < 0
    assert -0.003 < gaps["N"] < 0


@pytest.mark.parametrize("function", [guttman, glb, all_splits])
def test_bounds_do_not_depend_on_scale_or_order(mobi, function):
    names = list(reversed(QUALITY))
    ours, other = function(mobi, QUALITY), function(mobi * 1000, names)
    a, b = ours.to_frame()["estimate"].to_numpy(), other.to_frame()["estimate"].to_numpy()
    assert a == pytest.approx(b, rel=1e-9)


@pytest.mark.parametrize("function", [guttman, glb, all_splits, split_half])
def test_draws_give_intervals(mobi, function):
    table = function(mobi, QUALITY, draws=200, rng=1).to_frame()
    assert (table["se"] > 0).all()
    assert (table["low"] < table["high"]).all()
    assert function(mobi, QUALITY).to_frame()["se"].isna().all()


@pytest.mark.parametrize("function", [guttman, glb, all_splits, split_half, ordinal_alpha, omega_hierarchical])
def test_an_item_keyed_the_other_way_is_named_by_every_coefficient(mobi, function):
    answers = mobi[QUALITY].assign(PERQ2=11 - mobi["PERQ2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = function(answers)
        straight = function(mobi[QUALITY])
    assert any("run against the rest: PERQ2 (-0." in line and "keyed" in line for line in found.remarks)
    assert not any("keyed" in line for line in straight.remarks)


def test_draws_are_those_of_single_resamples(mobi):
    """One matrix product for all draws gives what each draw gives alone."""
    from csi_lab.resampling import replicates

    picked = np.random.default_rng(1).integers(0, 250, size=(12, 250))
    made = replicates(mobi, items=QUALITY, indices=picked)
    table = guttman(mobi, QUALITY, replicates=made).table
    each = np.array([guttman(mobi.iloc[rows].reset_index(drop=True), QUALITY).table["estimate"] for rows in picked])
    assert table["se"].to_numpy() == pytest.approx(each.std(axis=0, ddof=1), rel=1e-8)
    bounds = [glb(mobi.iloc[rows].reset_index(drop=True), QUALITY).value for rows in picked]
    assert glb(mobi, QUALITY, replicates=made).se == pytest.approx(np.std(bounds, ddof=1), rel=1e-6)


def test_formulas_are_withheld_from_weighted_samples(mobi):
    table = split_half(mobi, QUALITY, weights=np.linspace(1, 3, 250))
    assert table.table["low"].isna().all()
    assert "weights, strata or clusters" in table.interval


@pytest.mark.parametrize("function", [guttman, glb])
def test_collinear_items_are_named(mobi, function):
    frame = mobi[["CUSA1", "CUSA2", "CUSA3"]].assign(total=lambda f: f["CUSA1"] + f["CUSA2"])
    with pytest.raises(EstimationError, match=r"exactly collinear: \['CUSA1', 'CUSA2', 'total'\]"):
        function(frame)
    with pytest.raises(EstimationError, match="3 complete rows are not enough for 4 items; 5 are needed"):
        function(mobi[["CUSA1", "CUSA2", "CUSA3", "CUSCO"]].iloc[[0, 3, 8]])


@pytest.mark.parametrize(
    ("split", "error", "message"),
    [
        ("thirds", SpecError, "odd-even"),
        (["PERQ1", "CUSA1"], DataError, r"not in the scale: \['CUSA1'\]"),
        (QUALITY, DataError, "some but not all"),
        ([], DataError, "some but not all"),
    ],
)
def test_splits_that_are_none_are_refused(mobi, split, error, message):
    with pytest.raises(error, match=message):
        split_half(mobi, QUALITY, split=split)


def test_a_half_that_does_not_vary_is_named(mobi):
    frame = pd.DataFrame({"a": mobi["CUSA1"], "b": mobi["CUSA2"], "c": 11 - mobi["CUSA1"]})
    with pytest.raises(EstimationError, match=r"\['a', 'c'\] against \['b'\]"):
        split_half(frame)


@pytest.mark.parametrize("function", [guttman, glb, all_splits])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"PERQ1": 5}, r"do not vary.*PERQ1"),
        ({"PERQ1": "good"}, r"PERQ1.*text"),
        ({"PERQ1": np.nan}, r"without any answer: \['PERQ1'\]"),
    ],
)
def test_unusable_items_are_named(mobi, function, change, message):
    with pytest.raises(DataError, match=message):
        function(mobi[QUALITY].assign(**change))


def test_unknown_metric(mobi):
    for function in (guttman, glb, all_splits):
        with pytest.raises(SpecError, match="standardised"):
            function(mobi, QUALITY, metric="z")


def test_the_table_draws_itself(mobi):
    ax = guttman(mobi, QUALITY).plot()
    assert [t.get_text() for t in ax.get_yticklabels()] == [f"lambda{i}" for i in range(1, 7)]
    assert "&lt;i&gt;" in guttman(mobi, QUALITY, scale="<i>")._repr_html_()
