"""Stages, single units and adjusted weights: agreement with R survey, closed forms, and designs that are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference

import csi_lab as csi
from csi_lab import DataError, Design, SpecError
from csi_lab.sampling import estimate, select, weight
from csi_lab.sampling.estimate.nested import Nested

CLOSE = {"rel": 1e-10}
TWO_STAGES = Design(psu=("dnum", "snum"), population=("fpc1", "fpc2"))
CLUS1 = Design(weights="pw", psu="dnum", population="fpc")
MARGINS = {"stype": {"E": 4421, "H": 755, "M": 1018}, "sch.wide": {"No": 1072, "Yes": 5122}}


@pytest.fixture(scope="module")
def r() -> dict:
    return read_reference("survey/two_stage.json")


@pytest.fixture(scope="module")
def clus1() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "apiclus1.csv")


@pytest.fixture(scope="module")
def clus2() -> pd.DataFrame:
    frame = pd.read_csv(REFERENCE / "data" / "apiclus2.csv")
    half = np.where(frame["dnum"] % 2 == 0, "even", "odd")
    return frame.assign(half=half, fpc_half=np.where(half == "even", 400, 357))


@pytest.fixture(scope="module")
def three(r) -> pd.DataFrame:
    columns = ("stratum", "town", "street", "house", "y", "N1", "N2", "N3", "w")
    return pd.DataFrame({c: r["three"][c] for c in columns})


@pytest.mark.parametrize(
    ("block", "design"),
    [
        ("clus2", TWO_STAGES),
        ("clus2_nofpc", Design(weights="pw", psu=("dnum", "snum"))),
        ("clus2_halves", Design("pw", "half", ("dnum", "snum"), ("fpc_half", "fpc2"))),
    ],
)
def test_two_stages_agree_with_r(clus2, r, block, design):
    """svydesign(id = ~dnum + snum, fpc = ~fpc1 + fpc2): weights from sizes, both stages in every error."""
    theirs = r[block]
    mean = estimate.mean(clus2, "api00", design)
    assert (mean.value, mean.se, mean.deff) == pytest.approx(theirs["mean_api00"], **CLOSE)
    assert (mean.low, mean.high) == pytest.approx(theirs["mean_api00_ci"], **CLOSE)
    assert mean.df == theirs["degf"][0]
    total = estimate.total(clus2, "enroll", design, missing="listwise")
    assert (total.value, total.se) == pytest.approx(theirs["total_enroll"], **CLOSE)
    known = estimate.mean(clus2, "enroll", design, missing="listwise")
    assert (known.value, known.se) == pytest.approx(theirs["mean_enroll"], **CLOSE)
    assert any("6 of 126 rows left out (missing: enroll (6))" in note for note in known.notes)
    two = estimate.mean(clus2, ["api99", "api00"], design)
    assert two.covariance.to_numpy().ravel() == pytest.approx(theirs["two_vcov"], **CLOSE)
    domains = estimate.mean(clus2, "api00", design, by="stype").table
    assert domains["estimate"].to_numpy() == pytest.approx(theirs["by_stype"], **CLOSE)
    assert domains["se"].to_numpy() == pytest.approx(theirs["by_stype_se"], **CLOSE)
    ratio = estimate.ratio(clus2, "api00", design, denominator="api99")
    assert (ratio.value, ratio.se) == pytest.approx(theirs["ratio"], **CLOSE)


def test_respondents_can_be_the_units_of_the_last_stage(clus2):
    named = estimate.mean(clus2, ["api00", "api99"], TWO_STAGES)
    rows = estimate.mean(clus2, ["api00", "api99"], Design(psu="dnum", population=("fpc1", "fpc2")))
    assert rows.covariance.to_numpy() == pytest.approx(named.covariance.to_numpy(), rel=1e-13)


def test_two_stages_are_the_formula_of_the_textbook(clus2):
    """METHODS 5.2: v1 + (n/N) sum (1 - m/M) m/(m - 1) sum (z - zbar)^2 over districts with several schools."""
    w = 757 / 40 * clus2["fpc2"] / clus2.groupby("dnum")["snum"].transform("size")
    z = w * (clus2["api00"] - np.average(clus2["api00"], weights=w)) / w.sum()
    totals = z.groupby(clus2["dnum"]).sum()
    v = (1 - 40 / 757) * 40 / 39 * ((totals - totals.mean()) ** 2).sum()
    for _, part in clus2.assign(z=z).groupby("dnum"):
        m, size = len(part), part["fpc2"].iloc[0]
        if m > 1:
            v += 40 / 757 * (1 - m / size) * m / (m - 1) * ((part["z"] - part["z"].mean()) ** 2).sum()
    assert estimate.mean(clus2, "api00", TWO_STAGES).se == pytest.approx(np.sqrt(v), rel=1e-12)


def test_three_stages_agree_with_r(three, r):
    design = Design("w", "stratum", ("town", "street", "house"), ("N1", "N2", "N3"))
    mean, total = estimate.mean(three, "y", design), estimate.total(three, "y", design)
    assert (mean.value, mean.se) == pytest.approx(r["three"]["mean"], **CLOSE)
    assert (total.value, total.se) == pytest.approx(r["three"]["total"], **CLOSE)
    without = estimate.total(three, "y", Design(None, "stratum", ("town", "street", "house"), ("N1", "N2", "N3")))
    assert without.se == pytest.approx(total.se, rel=1e-12)


def test_later_stages_need_the_population_of_the_first(three):
    """Without it the totals of the primary units hold all of the variance (ultimate clusters)."""
    one = estimate.mean(three, "y", Design("w", "stratum", "town"))
    more = estimate.mean(three, "y", Design("w", "stratum", ("town", "street", "house")))
    assert (more.se, more.df) == (one.se, one.df)
    assert len(Nested.of(three, Design("w", "stratum", ("town", "street", "house"))).stages) == 1


@pytest.mark.parametrize("lonely", ["certainty", "centred", "average"])
def test_single_units_are_treated_as_in_r(three, r, lonely):
    """survey.lonely.psu = certainty, adjust, average."""
    part = three[np.array(r["lonely"]["row"]) == 1]
    found = estimate.mean(part, "y", Design("w", "stratum", "town"), lonely=lonely)
    assert found.se == pytest.approx(r["lonely"][lonely][0], **CLOSE)


def test_a_single_unit_is_refused_with_its_remedies_unless_it_was_certain(three, r):
    part = three[np.array(r["lonely"]["row"]) == 1]
    with pytest.raises(DataError, match=r"from \['2'\].*merge.*population size 1.*lonely='certainty'"):
        estimate.mean(part, "y", Design("w", "stratum", "town"))
    certain = part.assign(N1=np.where(part["stratum"] == 2, 1, 12))
    sure = estimate.mean(certain, "y", Design("w", "stratum", "town", "N1"))
    # Only the towns of the other stratum vary.
    z = certain["w"] * (certain["y"] - sure.value) / certain["w"].sum()
    totals = z[certain["stratum"] == 1].groupby(certain["town"]).sum()
    assert sure.se**2 == pytest.approx((1 - 3 / 12) * 3 / 2 * ((totals - totals.mean()) ** 2).sum(), rel=1e-12)
    with pytest.raises(DataError, match="single sampling unit; a variance needs two"):
        estimate.mean(part[part["stratum"] == 2], "y", Design("w", "stratum", "town"))


def test_a_census_has_no_error():
    frame = pd.DataFrame({"y": [1.0, 2, 4], "N": 3})
    found = estimate.mean(frame, "y", Design(population="N"))
    assert (found.se, found.low, found.high) == (0.0, found.value, found.value)


def test_weights_of_the_textbook_follow_from_population_sizes():
    """METHODS 5.2, stratified: ybar = sum W_h ybar_h, v = sum W_h^2 (1 - f_h) s_h^2 / n_h."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"h": np.repeat([0, 1, 2], [5, 8, 4])})
    frame["y"] = rng.normal(frame["h"] * 3, 1 + frame["h"])
    sizes = np.array([40.0, 200.0, 60.0])
    frame["N"] = sizes[frame["h"]]
    found = estimate.mean(frame, "y", Design(strata="h", population="N"))
    parts = frame.groupby("h")["y"]
    share, f = sizes / 300, parts.size() / sizes
    assert found.value == pytest.approx((share * parts.mean()).sum(), rel=1e-13)
    assert found.se**2 == pytest.approx((share**2 * (1 - f) * parts.var() / parts.size()).sum(), rel=1e-12)
    assert "weights are population over sample size" in found.notes


def test_the_petition_of_cochran():
    """published_tables, cochran_petition: what follows from the listed frequencies with t = 1.28."""
    tables = read_reference("published_tables.json")["tables"]
    book = next(t for t in tables if t["id"] == "cochran_petition")["data"]
    frame = pd.DataFrame({"signatures": np.repeat(book["y"], book["f"]), "sheets": book["N"]})
    assert (len(frame), frame["signatures"].sum()) == (book["n"], book["sum"])
    found = estimate.total(frame, "signatures", Design(population="sheets"))
    assert found.value == pytest.approx(19887.92, abs=0.005)
    assert 1.28 * found.se == pytest.approx(1781.9, abs=0.05)


@pytest.mark.parametrize("fpc", [True, False])
@pytest.mark.parametrize("kind", ["poststrat", "rake"])
def test_adjusted_weights_agree_with_r(clus1, fpc, kind):
    """postStratify(~stype) and rake(~stype, ~sch.wide): the calibration enters the errors."""
    name = f"{kind}_clus1_{'' if fpc else 'nofpc_'}stype" + ("_schwide" if kind == "rake" else "")
    theirs = read_reference("survey/api_clus1_poststrat_rake.json")[name]
    design = CLUS1 if fpc else Design(weights="pw", psu="dnum")
    if kind == "rake":
        adjusted = weight.rake(clus1, "pw", MARGINS)
    else:
        adjusted = weight.post_stratify(clus1, "pw", {"stype": MARGINS["stype"]})
    bar = {"abs": 1e-8} if kind == "rake" else {"rel": 1e-10}
    mean = estimate.mean(clus1, "api00", design, weights=adjusted)
    assert (mean.value, mean.se) == pytest.approx((theirs["mean_api00"]["est"], theirs["mean_api00"]["se"]), **bar)
    assert (mean.low, mean.high) == pytest.approx(theirs["mean_api00"]["ci_t"][0], abs=1e-8)
    assert mean.deff_kish == pytest.approx(theirs["deff_kish"], rel=1e-9)
    for column in ("api00", "enroll"):
        total = estimate.total(clus1, column, design, weights=adjusted)
        want = theirs[f"total_{column}"]
        assert (total.value, total.se) == pytest.approx((want["est"], want["se"]), rel=1e-10)
    known = estimate.count(clus1, "stype", design, weights=adjusted).table
    assert known["estimate"].to_numpy() == pytest.approx(theirs["total_stype"]["est"], rel=1e-9)
    assert known["se"].max() < 1e-6


def test_calibrated_weights_agree_with_r(clus1):
    """calibrate(~stype + api99): METHODS 5.3, mean 665.309 (3.44175)."""
    totals = {"stype": MARGINS["stype"], "api99": 3914069}
    adjusted = weight.calibrate(clus1, "pw", totals)
    theirs = read_reference("survey/calibration.json")["greg"]
    mean = estimate.mean(clus1, "api00", CLUS1, weights=adjusted)
    total = estimate.total(clus1, "enroll", CLUS1, weights=adjusted)
    assert (mean.value, mean.se) == pytest.approx((theirs["mean_api00"], theirs["se_mean_api00"]), rel=1e-9)
    assert (total.value, total.se) == pytest.approx((theirs["total_enroll"], theirs["se_total_enroll"]), rel=1e-9)
    assert (round(mean.value, 3), round(mean.se, 5)) == (665.309, 3.44175)


def test_adjusted_weights_reach_domains_ratios_and_regressions_as_in_r(clus1, r):
    theirs = r["clus1_more"]
    raked = weight.rake(clus1, "pw", MARGINS)
    post = weight.post_stratify(clus1, "pw", {"stype": MARGINS["stype"]})
    for adjusted, key, bar in ((raked, "raked_by_schwide", 1e-8), (post, "post_by_schwide", 1e-10)):
        found = estimate.mean(clus1, "api00", CLUS1, weights=adjusted, by="sch.wide").table
        assert found[["estimate", "se"]].to_numpy().T.ravel() == pytest.approx(theirs[key], rel=bar)
    fit = estimate.regression(clus1, "api00", CLUS1, on=["ell", "meals"], weights=post).table
    assert fit[["estimate", "se"]].to_numpy().T.ravel() == pytest.approx(theirs["post_glm"], rel=1e-10)
    ratio = estimate.ratio(clus1, "api.stu", CLUS1, denominator="enroll", weights=post)
    assert (ratio.value, ratio.se) == pytest.approx(theirs["post_ratio"], rel=1e-10)


def test_other_statistics_agree_with_r(clus1, r):
    """svyciprop (logit), svyby(covmat = TRUE), svyglm with categories, regTermTest, svychisq of first order."""
    theirs = r["clus1_more"]
    high = estimate.proportion(clus1, "stype", CLUS1, category="H", interval="logit")
    assert (high.value, high.low, high.high) == pytest.approx(theirs["logit_H"], rel=1e-9)
    domains = estimate.mean(clus1, "api00", CLUS1, by="stype")
    assert domains.covariance.to_numpy().ravel() == pytest.approx(theirs["by_stype_vcov"], rel=1e-10)
    fit = estimate.regression(clus1, "api00", CLUS1, on=["stype", "meals"])
    assert list(fit.table.index) == ["(intercept)", "stype[H]", "stype[M]", "meals"]
    assert fit.table["estimate"].to_numpy() == pytest.approx(theirs["glm"], **CLOSE)
    assert fit.table["se"].to_numpy() == pytest.approx(theirs["glm_se"], **CLOSE)
    test = fit.wald("stype")
    assert (test.f, test.df1, test.df2, test.p) == pytest.approx(theirs["glm_term"], rel=1e-9)
    table = estimate.crosstab(clus1, ["stype", "sch.wide"], CLUS1)
    assert (table.pearson, table.p_first) == pytest.approx(theirs["first_order"], rel=1e-9)


def test_replicate_weights_redo_the_adjustment(clus1):
    """Raked in every draw: margins hold in all of them, and the error is that of linearisation within its own."""
    margins = {"stype": {"E": 4421, "H and M": 1773}, "sch.wide": {"No": 1072, "Yes": 5122}}
    frame = clus1.assign(stype=clus1["stype"].replace({"H": "H and M", "M": "H and M"}))
    # Fifteen districts are few: in some resamples a cell is empty, so towns of the same kind are used four times over.
    big = pd.concat([frame.assign(dnum=frame["dnum"] + 1000 * k) for k in range(4)], ignore_index=True)
    big["pw"] /= 4
    design = Design(weights="pw", psu="dnum")
    adjusted = weight.rake(big, "pw", margins)
    draws = 800
    made = estimate.replicate_weights(big, design, adjusted, draws=draws, rng=3)
    assert made.shape == (draws, len(big))
    for label, want in margins["stype"].items():
        assert made[:, big["stype"] == label].sum(axis=1) == pytest.approx(np.full(draws, want), rel=1e-6)
    replicates = csi.replicates(
        big, Design(psu="dnum"), items=["api00"], weights=adjusted.values, replicate_weights=made
    )
    found = replicates.interval(lambda m: m.mean)
    linear = estimate.mean(big, "api00", design, weights=adjusted)
    assert found.estimate[0] == pytest.approx(linear.value, rel=1e-12)
    # 800 draws know an sd to 2.5 %; second-order terms of 60 districts are of the size 1/60.
    assert found.se[0] == pytest.approx(linear.se, rel=0.12)


def test_replicate_weights_are_those_of_the_rescaled_bootstrap(clus1):
    made = estimate.replicate_weights(clus1, CLUS1, draws=70, rng=5)
    again = csi.replicates(clus1, CLUS1, items=["api00"], draws=70, rng=5)
    assert made @ clus1["api00"] / made.sum(axis=1) == pytest.approx(again.moments.mean[:, 0], rel=1e-12)
    assert (estimate.replicate_weights(clus1, CLUS1, draws=130, rng=5)[:70] == made).all()


def test_a_design_says_all_that_is_wrong_with_it():
    with pytest.raises(SpecError, match=r"columns with two roles: \['a', 'b'\]"):
        Design(weights="a", strata="b", psu=("a", "b"))
    with pytest.raises(SpecError, match=r"2 population sizes \['x', 'y'\] for 0 stages"):
        Design(population=("x", "y"))
    with pytest.raises(SpecError) as caught:
        Design(weights=3, psu=("a", ""))  # type: ignore[arg-type]
    assert len(caught.value.problems) == 2


def test_one_stage_is_written_as_before():
    assert Design(psu=["town"]) == Design(psu="town")
    assert (Design(psu="town").psu, Design(psu="town").primary, Design().stages) == ("town", "town", ())
    assert Design(psu=("town", "street"), population=("N", "M")).columns == ("town", "street", "N", "M")


def test_replicates_resample_the_first_stage(three):
    """Whose population corrects them where its units were observed in full, and not where they were sampled in turn."""
    several = Design("w", "stratum", ("town", "street", "house"), ("N1", "N2", "N3"))

    def drawn(frame, design):
        return csi.replicates(frame, design, items=["y"], draws=20, rng=1).moments.mean

    np.testing.assert_array_equal(drawn(three, several), drawn(three, Design("w", "stratum", "town")))
    streets = three.groupby(["stratum", "town"])["street"].transform("nunique")
    houses = three.groupby(["stratum", "town", "street"])["house"].transform("nunique")
    whole = three.assign(N2=streets, N3=houses)
    np.testing.assert_array_equal(drawn(whole, several), drawn(three, Design("w", "stratum", "town", "N1")))


@pytest.mark.parametrize("drawn", [8, 10])
def test_replicates_of_a_sample_of_sampled_towns_have_the_variance_within_the_towns(drawn):
    """All towns have the same mean, so that the variance of the mean is that of their customers alone [closed form]."""
    rng = np.random.default_rng(5)
    town, y = np.repeat(np.arange(10), 50), rng.normal(size=(10, 50))
    y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, ddof=1, keepdims=True)
    register = pd.DataFrame({"town": town, "y": y.ravel()})
    truth = (1 - 10 / 50) / (drawn * 10)
    found = []
    for seed in range(200):
        sample = select.cluster(register, "town", drawn, rng=seed, per_cluster=10)
        made = csi.replicates(sample, items=["y"], method="jackknife")
        found.append(made.interval(lambda moments: moments.mean[..., 0], kind="normal").se ** 2)
    assert abs(np.mean(found) - truth) < 4.5 * np.std(found) / np.sqrt(200)


def test_towns_that_were_certain_are_strata_of_replicates_as_in_taylors_variance():
    rng = np.random.default_rng(8)
    size = np.r_[400, 300, rng.integers(20, 60, 30)]
    town = np.repeat(np.arange(32), size)
    register = pd.DataFrame({"town": town, "y": rng.normal(size=len(town)) * (1 + 3 * (town < 2))})
    sample = select.cluster(register, "town", 8, rng=2, method="pps systematic", per_cluster=15)
    assert "certain" in str(sample)
    made = csi.replicates(sample, items=["y"], draws=1000, rng=1)
    theirs = estimate.mean(sample, "y")
    found = made.interval(lambda moments: moments.mean[..., 0], kind="normal")
    # The correction for the towns drawn by size is the only difference: in these units it takes away little.
    assert found.se == pytest.approx(theirs.se, rel=0.15)
    adjusted = estimate.replicate_weights(sample, draws=1000, rng=1)
    mean = (adjusted @ sample.frame["y"].to_numpy()) / adjusted.sum(axis=1)
    np.testing.assert_allclose(mean, made.moments.mean[:, 0], rtol=1e-9)


def test_population_sizes_that_do_not_fit_are_all_named(three):
    wrong = three.assign(N1=np.where(three["stratum"] == 1, 2, 20), N2=np.where(three["house"] == 1, 7, 8))
    design = Design("w", "stratum", ("town", "street"), ("N1", "N2"))
    with pytest.raises(DataError) as caught:
        estimate.mean(wrong, "y", design)
    assert "'N1' in '1' of 'stratum': 3 units drawn from a population of 2" in str(caught.value)
    assert sum("'N2' in" in problem and "one number is needed" in problem for problem in caught.value.problems) == 6
    with pytest.raises(DataError, match="'N1' holds text"):
        estimate.mean(three.assign(N1="many"), "y", design)
    with pytest.raises(DataError, match=r"'street' is empty in 1 rows"):
        estimate.mean(three.assign(street=three["street"].where(three.index != 3)), "y", design)
    with pytest.raises(DataError, match=r"not in the data: \['street'\]"):
        estimate.mean(three.drop(columns="street"), "y", design)


def test_two_stage_errors_are_right_on_average_over_samples():
    """120 samples of 6 of 24 towns and 5 people each from a register: totals are unbiased, variances too."""
    rng = np.random.default_rng(11)
    town = np.repeat(np.arange(24), rng.integers(10, 40, 24))
    register = pd.DataFrame({"town": town, "y": 5 + rng.normal(size=24)[town] + rng.normal(size=len(town))})
    repeats = 120
    found = []
    for seed in range(repeats):
        sample = select.cluster(register, "town", 6, per_cluster=5, rng=seed)
        total = estimate.total(sample.frame, "y", sample.design)
        found.append((total.value, total.se**2))
    values, variances = np.array(found).T
    assert values.mean() == pytest.approx(register["y"].sum(), abs=4 * values.std() / np.sqrt(repeats))
    # The variance of 120 totals is known to sqrt(2/119) = 13 % (normal), the mean of the estimates better than that.
    assert variances.mean() == pytest.approx(values.var(ddof=1), rel=4 * np.sqrt(2 / (repeats - 1)))
    assert sample.design.stages[0] == sample.design.primary


def test_units_drawn_with_replacement_have_no_correction(three):
    infinite = three.assign(N=np.inf)
    with_sizes = estimate.mean(infinite, "y", Design("w", "stratum", "town", "N"))
    assert with_sizes.se == estimate.mean(three, "y", Design("w", "stratum", "town")).se
    with pytest.raises(SpecError, match=r"infinite.*name the column of weights"):
        estimate.mean(infinite, "y", Design(None, "stratum", "town", "N"))
