"""How many factors: published counts, known truth, exactness of the null, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference

import csi_lab as csi
from csi_lab import DataError, SpecError
from csi_lab.factors import map_test, parallel_analysis, scree
from csi_lab.factors.chance import _shuffled, eigenvalues_of, normal_correlations
from csi_lab.factors.correlations import leading
from csi_lab.factors.retention import average_partials
from csi_lab.moments import Moments


@pytest.fixture(scope="module")
def bfi() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "bfi25.csv")


def clustered(n: int, factors: int, per: int, loading: float, phi: float, rng) -> pd.DataFrame:
    """Normal answers to items in clusters, one factor each, factors equally correlated."""
    p = factors * per
    block = np.kron(np.eye(factors), np.ones((per, 1))) * loading
    cov = block @ (np.full((factors, factors), phi) + (1 - phi) * np.eye(factors)) @ block.T
    np.fill_diagonal(cov, 1.0)
    return pd.DataFrame(rng.multivariate_normal(np.zeros(p), cov, size=n), columns=[f"q{i}" for i in range(p)])


def test_counts_and_lines_of_the_mobile_survey_are_the_published_ones(mobi):
    """Eigenvalues, four decimals; components 2 against 95 % lines of about 1.705 1.583 1.498; Kaiser 5; MAP 2."""
    result = scree(mobi)
    assert result.table["estimate"].iloc[:6].to_numpy() == pytest.approx(
        [9.4752, 1.5955, 1.2188, 1.0917, 1.0504, 0.9495], abs=5e-5
    )
    assert result.kaiser == 5
    parallel = parallel_analysis(mobi, 2000, 1, basis="components")
    assert parallel.n_factors == 2
    # "about" in the source: three simulated lines there against 2,000 draws here.
    assert parallel.table["quantile"].iloc[:3].to_numpy() == pytest.approx([1.705, 1.583, 1.498], abs=0.01)
    found = map_test(mobi)
    assert found.n_factors == 2
    assert found.table["squared"].iloc[:3].to_numpy() == pytest.approx([0.14107, 0.01432, 0.01378], abs=5e-6)


def test_map_agrees_with_psych():
    """tests/reference/reliability/hs_scales.json: after 1 to 7 components, 1e-10."""
    theirs = read_reference("reliability/hs_scales.json")["map"]
    answers = pd.read_csv(REFERENCE / "data" / "HolzingerSwineford1939.csv")
    ours = map_test(answers, [f"x{i}" for i in range(1, 10)])
    assert ours.table["squared"].iloc[1:].to_numpy() == pytest.approx(theirs, abs=1e-10)
    assert ours.n_factors == 2


def test_eigenvalues_agree_with_psych(bfi):
    """tests/reference/efa/bfi_efa.json, 1e-10."""
    assert scree(bfi).table["estimate"].to_numpy() == pytest.approx(
        read_reference("efa/bfi_efa.json")["eigenvalues"], abs=1e-10
    )


@pytest.mark.parametrize("null", ["normal", "permutation"])
@pytest.mark.parametrize("reference", ["quantile", "mean"])
@pytest.mark.parametrize(
    ("basis", "communalities"), [("factors", "one factor"), ("factors", "smc"), ("components", "smc")]
)
def test_clear_factors_are_counted(null, reference, basis, communalities):
    frame = clustered(600, 3, 5, 0.75, 0.2, np.random.default_rng(4))
    result = parallel_analysis(frame, 60, 2, basis=basis, communalities=communalities, null=null, reference=reference)
    assert result.n_factors == 3
    assert result.table["retained"].sum() == 3
    assert basis in str(result)


def test_map_counts_clear_factors_and_none_in_noise():
    rng = np.random.default_rng(5)
    assert map_test(clustered(600, 3, 5, 0.75, 0.2, rng)).n_factors == 3
    assert map_test(clustered(600, 3, 5, 0.0, 0.0, rng)).n_factors == 0
    assert parallel_analysis(clustered(600, 3, 5, 0.0, 0.0, rng), 200, 1).n_factors == 0


def test_noise_passes_as_a_component_as_often_as_the_quantile_says():
    """Uncorrelated data: a first component is found in 5 % of 400 samples, within 4 binomial standard errors."""
    rng = np.random.default_rng(6)
    observed = eigenvalues_of(normal_correlations(100, 6, 400, rng), "components")[:, 0]
    line = np.quantile(eigenvalues_of(normal_correlations(100, 6, 20_000, rng), "components")[:, 0], 0.95)
    assert abs(np.mean(observed > line) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400)


def test_matrices_drawn_without_rows_are_those_of_normal_rows():
    """A correlation r of n independent rows has variance 1/(n - 1) and kurtosis 3(n - 1)/(n + 1); largest eigenvalues
    agree with those of drawn rows within 4 standard errors of the difference."""
    n, p, draws = 30, 6, 4000
    rng = np.random.default_rng(7)
    fast = normal_correlations(n, p, draws, rng)
    rows = rng.standard_normal((draws, n, p))
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    slow = np.swapaxes(rows, 1, 2) @ rows
    assert np.diagonal(fast, axis1=1, axis2=2) == pytest.approx(1.0, abs=1e-12)
    r = fast[:, 3, 1]
    assert abs((r**2).mean() - 1 / (n - 1)) < 4 * (r**2).std() / np.sqrt(draws)
    assert abs((r**4).mean() - 3 / ((n - 1) * (n + 1))) < 4 * (r**4).std() / np.sqrt(draws)
    a, b = (np.linalg.eigvalsh(x)[:, -1] for x in (fast, slow))
    assert abs(a.mean() - b.mean()) < 4 * np.sqrt((a.var() + b.var()) / draws)


def test_shuffling_keeps_margins_and_breaks_correlations(mobi):
    """Shuffled columns correlate with mean 0 and variance 1/(n - 1), exactly; weights stay with the rows."""
    x = mobi.to_numpy(dtype=float)[:, :6]
    corr = _shuffled(x, np.ones(250), 1500, np.random.default_rng(1))
    r = corr[:, np.triu_indices(6, 1)[0], np.triu_indices(6, 1)[1]]
    assert abs(r.mean()) < 4 / np.sqrt(249 * 1500)
    assert r.var() == pytest.approx(1 / 249, rel=4 * np.sqrt(2 / 1500))
    w = np.where(np.arange(250) < 125, 1.0, 9.0)
    weighted = _shuffled(x, w, 1500, np.random.default_rng(1))[:, 0, 1]
    kish = w.sum() ** 2 / (w**2).sum()
    assert weighted.var() == pytest.approx(1 / kish, rel=0.2)


def test_average_partials_broadcast(mobi):
    corr = Moments.from_frame(mobi).corr
    alone = average_partials(corr)
    empty = np.full_like(corr, np.nan)
    stacked = average_partials(np.stack([corr, empty]))
    for one, two in zip(alone, stacked, strict=True):
        assert two[0] == pytest.approx(one, rel=1e-12)
        assert np.isnan(two[1]).all()


def test_map_of_equal_correlations_has_its_closed_form():
    """Before: r^2. After the one component that there is: partials of -1/(p - 1) between all items."""
    p, r = 8, 0.36
    squared, fourth = average_partials(np.full((p, p), r) + (1 - r) * np.eye(p))
    assert squared[:2] == pytest.approx([r**2, 1 / (p - 1) ** 2], rel=1e-10)
    assert fourth[:2] == pytest.approx([r**4, 1 / (p - 1) ** 4], rel=1e-10)


def test_map_says_how_stable_its_count_is(mobi):
    result = map_test(mobi, draws=100, rng=1)
    assert result.shares["share"].sum() == pytest.approx(1.0)
    assert "over the draws" in str(result)
    assert map_test(mobi).shares is None


def test_counting_stops_at_the_first_failure():
    assert leading(np.array([True, False, True])) == 1
    assert leading(np.array([False, True])) == 0
    assert leading(np.array([True, True])) == 2


def test_the_same_seed_gives_the_same_lines(mobi):
    a, b = parallel_analysis(mobi, 50, 3), parallel_analysis(mobi, 50, 3)
    pd.testing.assert_frame_equal(a.table, b.table)
    assert not a.table.equals(parallel_analysis(mobi, 50, 4).table)


def test_weighted_rows_count_as_kish_says(mobi):
    w = np.where(np.arange(250) % 2 == 0, 1.0, 3.0)
    result = parallel_analysis(mobi, 40, 1, weights=w)
    assert result.n == pytest.approx(500**2 / (125 * 1 + 125 * 9))
    assert "Kish" in str(result)
    equal = parallel_analysis(mobi, 40, 1, weights=np.full(250, 7.0))
    assert equal.n == pytest.approx(250)
    assert parallel_analysis(mobi, 40, 1, weights=w, null="permutation").n == 250
    weighted = Moments.from_frame(mobi, w)
    with pytest.raises(DataError, match="give n="):
        parallel_analysis(weighted, 40)
    assert parallel_analysis(weighted, 40, n=200).n == 200


def test_survey_frame_and_moments_agree(mobi):
    survey = csi.load_survey("mobile")
    tables = [parallel_analysis(data, 40, 1).table for data in (survey, mobi, Moments.from_frame(mobi))]
    for other in tables[1:]:
        assert np.abs(other["reference"] - tables[0]["reference"]).max() < 1e-12
        assert np.abs(other["observed"] - tables[0]["observed"]).max() < 1e-9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"basis": "axes"}, r"basis='axes' is unknown; use one of \['factors', 'components'\]"),
        ({"null": "bootstrap"}, "null='bootstrap' is unknown"),
        ({"reference": "median"}, "reference='median' is unknown"),
        ({"communalities": "ones"}, "communalities='ones' is unknown"),
        ({"quantile": 95}, "quantile=95 must lie between 0 and 1"),
        ({"draws": 10}, "too few for the 95% quantile; 20 at the least"),
        ({"n": 20}, "20 rows for 24 items"),
        ({"null": "permutation", "n": 100}, "a permutation keeps the rows"),
    ],
)
def test_settings_that_do_not_fit_are_refused(mobi, settings, message):
    with pytest.raises(SpecError, match=message):
        parallel_analysis(mobi, **{"draws": 40, **settings})


def test_a_permutation_needs_answers(mobi):
    with pytest.raises(DataError, match="a permutation needs the answers"):
        parallel_analysis(Moments.from_frame(mobi), 40, null="permutation")


def test_strata_and_clusters_are_said_to_be_missing_from_chance(mobi):
    class Stratified:
        design = csi.Design(psu="town")
        frame = mobi

        @staticmethod
        def moments(items, missing):
            return Moments.from_frame(mobi)

    assert "does not imitate the strata and clusters" in str(parallel_analysis(Stratified(), 40))


def test_pictures_show_the_eigenvalues(mobi):
    result = parallel_analysis(mobi, 40, 1)
    ax = result.plot()
    assert ax.lines[0].get_ydata() == pytest.approx(result.table["observed"].to_numpy())
    assert ax.lines[1].get_ydata() == pytest.approx(result.table["reference"].to_numpy())
    assert scree(mobi).plot().lines[0].get_ydata()[0] == pytest.approx(9.4752, abs=5e-5)
    assert map_test(mobi).plot().get_xlabel() == "components taken out"


def test_every_face_is_there(mobi):
    for result in (parallel_analysis(mobi, 40), map_test(mobi), scree(mobi, draws=50)):
        assert str(result).count("n = 250") == 1
        assert "<table" in result._repr_html_()
        assert len(result.to_frame()) in (23, 24)
    assert {"estimate", "se", "low", "high"} <= set(scree(mobi, draws=50).table.columns)
