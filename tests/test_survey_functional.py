"""Any function of moments with the errors of the design: closed forms, jackknife, replicates, invariances, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, Design, EstimationError, Moments, SpecError
from csi_lab.sampling import estimate, weight
from csi_lab.sampling.estimate import functional

SCALE = ["CUSA1", "CUSA2", "CUSA3"]
CLUS1 = Design(weights="pw", psu="dnum", population="fpc")


def alpha(m: Moments) -> np.ndarray:
    k = len(m.names)
    return k / (k - 1) * (1 - np.trace(m.cov, axis1=-2, axis2=-1) / m.cov.sum(axis=(-2, -1)))


@pytest.fixture(scope="module")
def clus1() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "apiclus1.csv")


@pytest.fixture(scope="module")
def towns() -> pd.DataFrame:
    """Sixty towns in three strata whose people answer alike; unequal weights."""
    rng = np.random.default_rng(8)
    town = np.repeat(np.arange(60), rng.integers(6, 14, 60))
    level = rng.normal(size=60)[town]
    taste = 0.8 * level + rng.normal(size=len(town))
    x = {f"x{i}": np.clip(np.rint(6 + 1.5 * taste + rng.normal(size=len(town))), 1, 10) for i in range(3)}
    y = {f"y{i}": np.clip(np.rint(6 + taste + rng.normal(size=len(town))), 1, 10) for i in range(3)}
    return pd.DataFrame({"town": town, "h": town % 3, "w": 1 + rng.random(len(town)), **x, **y})


TOWNS = Design(weights="w", strata="h", psu="town")
ITEMS = ["x0", "x1", "x2", "y0", "y1", "y2"]


def test_means_and_variances_are_their_closed_forms(clus1):
    """The derivative is numeric; svymean and svyvar are formulas."""
    columns = ["api00", "api99", "enroll"]
    means = estimate.of(clus1, lambda m: m.mean, CLUS1, items=columns)
    exact = estimate.mean(clus1, columns, CLUS1)
    assert means.covariance.to_numpy() == pytest.approx(exact.covariance.to_numpy(), rel=1e-10)
    found = estimate.of(clus1, lambda m: m.variance, CLUS1, items=columns).table
    closed = estimate.variance(clus1, columns, CLUS1).table
    for column in ("estimate", "se", "low", "high", "df"):
        assert found[column].to_numpy() == pytest.approx(closed[column].to_numpy(), rel=1e-9)


def test_a_covariance_is_its_closed_form(clus1):
    """z = n/(n - 1) ((x - xbar)(y - ybar) - s) / sum w."""
    w, n = clus1["pw"], len(clus1)
    x, y = (clus1[c] - np.average(clus1[c], weights=w) for c in ("api00", "enroll"))
    s = (w * x * y).sum() / w.sum()
    frame = clus1.assign(z=(x * y - s) * n / (n - 1) + s * n / (n - 1))
    exact = estimate.mean(frame, "z", CLUS1)
    found = estimate.of(clus1, lambda m: m.cov[..., 0, 1], CLUS1, items=["api00", "enroll"], names=["cov"])
    assert (found.value, found.se) == pytest.approx((exact.value, exact.se), rel=1e-9)


def test_alpha_of_a_simple_random_sample_is_that_of_the_adf_formula(mobi):
    """Influence of alpha from its gradient k/(k - 1) (tr S / s_X^4, -1/s_X^2), and the jackknife to first order."""
    x = mobi[SCALE].to_numpy()
    n, k = x.shape
    d = x - x.mean(axis=0)
    total, trace = (d.sum(axis=1) ** 2), (d**2).sum(axis=1)
    s_total, s_trace = total.mean(), trace.mean()
    z = k / (k - 1) * (s_trace / s_total**2 * (total - s_total) - (trace - s_trace) / s_total) / n
    found = estimate.of(mobi, alpha, items=SCALE, names=["alpha"])
    assert found.se == pytest.approx(np.sqrt(n / (n - 1) * (z**2).sum()), rel=1e-9)
    jackknife = csi.replicates(mobi, items=SCALE, method="jackknife").interval(alpha, kind="normal")
    assert found.se == pytest.approx(float(jackknife.se), rel=3 / np.sqrt(n))
    assert found.value == pytest.approx(csi.reliability.cronbach_alpha(mobi, SCALE).value, rel=1e-12)


@pytest.fixture(scope="module")
def model() -> csi.PathModel:
    return csi.PathModel({"X": ["x0", "x1", "x2"], "Y": ["y0", "y1", "y2"]}, {"Y": ["X"]})


def test_pls_paths_have_the_error_of_rao_wu_replicates(towns, model):
    def path(m: Moments) -> np.ndarray:
        return csi.sem.pls(m, model, tolerance=1e-12, max_iterations=3000).solution.paths[..., 0, 1]

    found = estimate.of(towns, path, TOWNS, items=ITEMS, names=["X -> Y"])
    draws = 2000
    drawn = csi.replicates(towns, TOWNS, items=ITEMS, draws=draws, rng=4).interval(path)
    assert found.value == pytest.approx(float(drawn.estimate), abs=1e-10)
    # 2,000 draws know an sd to 1.6 %; 57 df leave second-order terms of about 1/57.
    assert found.se == pytest.approx(float(drawn.se), rel=4 / np.sqrt(2 * draws) + 2 / 57)
    naive = estimate.of(towns, path, Design(weights="w"), items=ITEMS, names=["X -> Y"])
    assert naive.se < 0.9 * found.se


def test_the_scale_of_the_weights_changes_nothing(towns):
    one = estimate.of(towns, lambda m: m.corr, TOWNS, items=ITEMS)
    ten = estimate.of(towns.assign(w=towns["w"] * 10), lambda m: m.corr, TOWNS, items=ITEMS)
    for column in ("estimate", "se"):
        assert ten.table[column].to_numpy() == pytest.approx(one.table[column].to_numpy(), rel=1e-9, abs=1e-12)
    assert 10 * ten.influence == pytest.approx(one.influence, rel=1e-7, abs=1e-12)


def test_influence_values_sum_to_zero_and_foretell_a_deletion(towns):
    found = estimate.of(towns, lambda m: m.corr[..., 0, 1:], TOWNS, items=ITEMS)
    w = towns["w"].to_numpy()
    assert np.abs(w @ found.influence).max() < 1e-9
    row = 17
    without = Moments.from_frame(towns[ITEMS].drop(index=row), towns["w"].drop(index=row)).corr[0, 1:]
    change = without - found.table["estimate"].to_numpy()
    assert change == pytest.approx(-w[row] * found.influence[row], abs=5 / len(towns) ** 1.5)


def test_units_and_rescaled_items_change_nothing(towns):
    """A correlation knows no units, neither do its errors."""
    units = towns.assign(x0=towns["x0"] * 1e5 + 7, x1=towns["x1"] / 1e5)
    a = estimate.of(towns, lambda m: m.corr[..., 0, 1], TOWNS, items=ITEMS, names=["r"])
    b = estimate.of(units, lambda m: m.corr[..., 0, 1], TOWNS, items=ITEMS, names=["r"])
    assert (b.value, b.se) == pytest.approx((a.value, a.se), rel=1e-8)


def test_rows_with_gaps_leave_their_units_in_the_design(towns):
    holes = towns.assign(x0=towns["x0"].where(towns["town"] != 5))
    found = estimate.of(holes, lambda m: m.mean, TOWNS, items=["x0"])
    assert found.table["n"].iloc[0] == (towns["town"] != 5).sum()
    assert any("rows left out (missing: x0" in note for note in found.notes)
    closed = estimate.mean(holes, ["x0"], TOWNS, missing="listwise")
    assert found.table["se"].iloc[0] == pytest.approx(closed.table["se"].iloc[0], rel=1e-9)
    with pytest.raises(DataError, match="missing values"):
        estimate.of(holes, lambda m: m.mean, TOWNS, items=["x0"], missing="raise")


def test_calibrated_weights_lower_the_error_as_for_a_mean(clus1):
    adjusted = weight.calibrate(clus1, "pw", {"stype": {"E": 4421, "H": 755, "M": 1018}, "api99": 3914069})
    found = estimate.of(clus1, lambda m: m.mean, CLUS1, items=["api00", "enroll"], weights=adjusted).table
    closed = estimate.mean(clus1, ["api00", "enroll"], CLUS1, weights=adjusted).table
    assert found["se"].to_numpy() == pytest.approx(closed["se"].to_numpy(), rel=1e-8)


def test_a_survey_brings_items_and_design():
    survey = csi.load_survey("mobile")
    found = estimate.of(survey, lambda m: m.mean, names=survey.items)
    assert list(found.table.index) == list(survey.items)
    assert found.table["se"].to_numpy() == pytest.approx(survey.frame.std().to_numpy() / np.sqrt(250), rel=1e-9)


def test_neighbours_in_small_blocks_give_the_same(towns, monkeypatch):
    """A hundred items have 20,000 neighbours; what is held at once changes no number."""
    whole = estimate.of(towns, lambda m: m.corr[..., 0, 1:], TOWNS, items=ITEMS)
    seen: list[int] = []

    def correlations(m: Moments) -> np.ndarray:
        seen.extend(m.shape)
        return m.corr[..., 0, 1:]

    monkeypatch.setattr(functional, "CELLS_AT_ONCE", 5 * len(ITEMS) ** 2)
    parts = estimate.of(towns, correlations, TOWNS, items=ITEMS)
    assert max(seen) == 5
    assert sum(seen) == 4 * (1 + 6 + 21)
    pd.testing.assert_frame_equal(parts.table, whole.table)


def test_a_kink_is_announced(towns):
    """The largest of two equal means has no derivative."""
    frame = towns.assign(x1=towns["x0"].to_numpy()[::-1], w=1.0)
    with pytest.warns(CsiLabWarning, match="not smooth"):
        estimate.of(frame, lambda m: np.abs(m.mean[..., 0] - m.mean[..., 1]), items=["x0", "x1"], names=["gap"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate.of(towns, lambda m: m.mean[..., 0] - m.mean[..., 1], TOWNS, items=["x0", "y1"], names=["gap"])


def test_functions_that_cannot_be_used_are_refused(towns):
    with pytest.raises(SpecError, match="must follow the leading axes"):
        estimate.of(towns, lambda m: np.asarray(m.corr).ravel()[1], TOWNS, items=ITEMS)
    with pytest.raises(EstimationError, match="no value on these data for 1 numbers"):
        estimate.of(towns, lambda m: m.mean[..., 0] * np.nan, TOWNS, items=["x0"])
    with pytest.raises(SpecError, match="2 names for 1 quantities"):
        estimate.of(towns, lambda m: m.mean[..., 0], TOWNS, items=["x0"], names=["a", "b"])
    with pytest.raises(SpecError, match="step=1"):
        estimate.of(towns, lambda m: m.mean, TOWNS, items=["x0"], step=1)
    with pytest.raises(DataError, match="moments have no rows"):
        estimate.of(Moments.from_frame(towns[ITEMS]), lambda m: m.mean)
    with pytest.raises(DataError, match=r"not in the data: \['z'\]"):
        estimate.of(towns, lambda m: m.mean, TOWNS, items=["x0", "z"])
