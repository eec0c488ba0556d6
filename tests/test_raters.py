"""Agreement of raters and stability over time: published tables, R psych, statsmodels, invariance, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, numbered, read_reference
from scipy import stats

from csi_lab import DataError, Design, EstimationError, SpecError
from csi_lab.reliability import (
    cohen_kappa,
    cronbach_alpha,
    fleiss_kappa,
    gwet_ac1,
    icc,
    krippendorff_alpha,
    one_way_icc,
    ratings_from_counts,
    ratings_from_table,
    retest_reliability,
)
from csi_lab.resampling import replicates

GAP = None
# Krippendorff (2011), Computing Krippendorff's alpha-reliability, section C: four observers, twelve units.
OBSERVERS = pd.DataFrame(
    {
        "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, GAP, GAP, GAP],
        "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, GAP, 3],
        "C": [GAP, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, GAP],
        "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, GAP],
    }
)
# The documentation of the R package irrCAC 1.0 (Gwet), data set cont3x3abstractors.
ABSTRACTORS = [[13, 0, 0], [0, 20, 7], [0, 4, 56]]


def published(name: str) -> dict:
    tables = read_reference("published_tables.json")["tables"]
    return next(t for t in tables if t["id"] == name)["data"]


@pytest.fixture(scope="module")
def judges() -> pd.DataFrame:
    return pd.DataFrame(published("shrout_fleiss")["data"], columns=list("abcd"))


def test_icc_meets_the_published_table(judges):
    """published_tables.json, shrout_fleiss, 1e-6."""
    theirs = published("shrout_fleiss")
    expected = [theirs[f"ICC{form}{size}"] for size in ("1", "k") for form in (1, 2, 3)]
    assert icc(judges).table["estimate"].to_numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", ["A", "C", "N"])
def test_icc_agrees_with_psych(scale):
    """tests/reference/reliability, icc: estimates, F tests and intervals, 1e-10."""
    ref = read_reference("reliability/bfi_scales_ACN.json")[scale]
    bfi = pd.read_csv(REFERENCE / "data" / "bfi25.csv")
    frame = pd.DataFrame(
        {i: bfi[i] if k == 1 else 7 - bfi[i] for i, k in zip(numbered(scale, 5), ref["keys"], strict=True)}
    )
    ours, theirs = icc(frame), pd.DataFrame(**ref["icc"])
    columns = {"estimate": "ICC", "low": "lower bound", "high": "upper bound", "df1": "df1", "df2": "df2", "f": "F"}
    for mine, name in columns.items():
        assert ours.table[mine].to_numpy() == pytest.approx(theirs[name].astype(float).to_numpy(), abs=1e-10)
    assert ours.dropped == 2800 - ours.n


def test_icc_intervals_agree_with_pingouin(judges):
    """Two decimals are what pingouin keeps of its intervals; rows ICC1, ICC2, ICC3, ICC1k, ICC2k, ICC3k by type."""
    pingouin = pytest.importorskip("pingouin")
    import warnings

    long = judges.rename_axis("target").reset_index().melt(id_vars="target", var_name="rater")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pingouin.intraclass_corr(long, targets="target", raters="rater", ratings="value")
    column = next(c for c in theirs if str(c).startswith("CI95"))
    ends = np.array([np.asarray(v, dtype=float) for v in theirs[column]])
    ours = icc(judges).table
    # Sorted by estimate the six rows match, whatever the names that a version of pingouin gives them.
    mine = ours.sort_values("estimate")[["low", "high"]].to_numpy()
    assert mine == pytest.approx(ends[np.argsort(theirs["ICC"].to_numpy(dtype=float))], abs=0.0051)


def test_icc_of_average_consistency_is_alpha(mobi):
    items = ["CUSA1", "CUSA2", "CUSA3"]
    assert icc(mobi, items).table.loc["ICC(3,k)", "estimate"] == pytest.approx(
        cronbach_alpha(mobi, items).value, rel=1e-12
    )


def test_a_rater_who_is_always_stricter_lowers_agreement_but_not_consistency(judges):
    shifted = judges.assign(b=judges["b"] - 3)
    before, after = icc(judges).table["estimate"], icc(shifted).table["estimate"]
    assert after["ICC(3,1)"] == pytest.approx(before["ICC(3,1)"], rel=1e-12)
    assert after["ICC(2,1)"] < before["ICC(2,1)"]
    units = icc(judges * 10 + 5).table["estimate"]
    assert units.to_numpy() == pytest.approx(before.to_numpy(), rel=1e-9)


def test_icc_finds_the_true_share_of_variance():
    """Targets 2, raters 1, error 1: ICC(2,1) = 2/4, ICC(3,1) = 2/3; band from 400 targets and 30 raters."""
    rng = np.random.default_rng(6)
    n, k = 400, 30
    x = np.sqrt(2) * rng.normal(size=(n, 1)) + rng.normal(size=(1, k)) + rng.normal(size=(n, k))
    ours = icc(pd.DataFrame(x, columns=numbered("r", k))).table
    # The variance of 30 raters is known to 26 %, a change of 1/16 in ICC(2,1) per 50 %; targets to 7 %.
    assert ours.loc["ICC(2,1)", "estimate"] == pytest.approx(0.5, abs=4 * np.hypot(0.26 * 0.125, 0.07 * 0.25))
    assert ours.loc["ICC(3,1)", "estimate"] == pytest.approx(2 / 3, abs=4 * 0.07 * 2 / 9)
    assert (ours["low"] < ours["estimate"]).all()


def test_icc_draws_are_those_of_single_resamples(mobi):
    items = ["CUSA1", "CUSA2", "CUSA3"]
    picked = np.random.default_rng(1).integers(0, 250, size=(12, 250))
    ours = icc(mobi, items, replicates=replicates(mobi, items=items, indices=picked)).table
    each = np.array([icc(mobi.iloc[rows].reset_index(drop=True), items).table["estimate"] for rows in picked])
    assert ours["se"].to_numpy() == pytest.approx(each.std(axis=0, ddof=1), rel=1e-8)


def test_icc_withholds_the_f_distribution_from_weighted_samples(mobi):
    ours = icc(mobi, ["CUSA1", "CUSA2"], weights=np.linspace(1, 2, 250))
    assert ours.table[["low", "high", "p"]].isna().all(axis=None)
    assert "weights, strata or clusters" in ours.interval


def test_equal_ratings_with_a_constant_difference_are_perfectly_consistent():
    ours = icc(pd.DataFrame({"a": [1, 2, 3, 5], "b": [3, 4, 5, 7]})).table
    assert ours.loc["ICC(3,1)", ["estimate", "low", "high"]].tolist() == [1, 1, 1]
    assert ours.loc["ICC(2,1)", "estimate"] < 1


def test_one_way_icc_is_form_one_and_takes_gaps(judges):
    """Complete: Shrout and Fleiss' form 1. With gaps: sums of squares taken target by target."""
    whole, form = one_way_icc(judges).table, icc(judges).table
    assert whole.loc["ICC(1,1)", ["estimate", "low", "high"]].astype(float).to_numpy() == pytest.approx(
        form.loc["ICC(1,1)", ["estimate", "low", "high"]].astype(float).to_numpy(), rel=1e-12
    )
    gaps = judges.astype(float)
    gaps.iloc[0, 1] = gaps.iloc[3, 2] = gaps.iloc[3, 3] = np.nan
    rows = [row.dropna().to_numpy() for _, row in gaps.iterrows()]
    f = stats.f_oneway(*rows).statistic
    counts = np.array([len(r) for r in rows])
    k0 = (counts.sum() - (counts**2).sum() / counts.sum()) / 5
    ours = one_way_icc(gaps)
    assert ours.table.loc["ICC(1,1)", "estimate"] == pytest.approx((f - 1) / (f + k0 - 1), rel=1e-12)
    assert "approximate" in ours.interval


def visits(shops: int, rng: np.random.Generator) -> pd.DataFrame:
    """One to four visits of each shop, ICC .5."""
    marks = rng.normal(size=(shops, 1)) + rng.normal(size=(shops, 4))
    marks[np.arange(4) >= rng.integers(1, 5, size=(shops, 1))] = np.nan
    return pd.DataFrame(marks, columns=[f"v{j}" for j in range(1, 5)])


def test_one_way_icc_honours_weights_and_clusters(judges):
    """Shops in towns of five copies: the error is that of the towns; the F distribution, which ignores them, is not."""
    few = visits(80, np.random.default_rng(4))
    many = few.loc[np.repeat(few.index, 5)].assign(town=lambda f: f.index).reset_index(drop=True)
    withheld = one_way_icc(many, design=Design(psu="town"))
    assert withheld.table[["low", "high"]].isna().all(axis=None)
    assert "weights, strata or clusters" in withheld.interval
    clustered = one_way_icc(many, design=Design(psu="town"), draws=1000, rng=1).table
    alone = one_way_icc(few, draws=1000, rng=2).table
    assert clustered.loc["ICC(1,1)", "se"] == pytest.approx(alone.loc["ICC(1,1)", "se"], rel=0.15)
    assert one_way_icc(many, draws=1000).table.loc["ICC(1,1)", "se"] < 0.6 * alone.loc["ICC(1,1)", "se"]
    ends = one_way_icc(few).table.loc["ICC(1,1)", ["low", "high"]].astype(float)
    assert alone.loc["ICC(1,1)", "se"] == pytest.approx((ends["high"] - ends["low"]) / 3.92, rel=0.25)


def test_weights_of_a_one_way_icc_count_rows():
    """Weights 1, 2, 3 against rows repeated so often: mean squares over more rows, alike to the order of 1/n."""
    few = visits(200, np.random.default_rng(9)).assign(w=np.tile([1, 2], 100))
    rows = few.loc[np.repeat(few.index, few["w"])].drop(columns="w").reset_index(drop=True)
    weighted = one_way_icc(few, design=Design(weights="w")).table["estimate"]
    assert weighted.to_numpy() == pytest.approx(one_way_icc(rows).table["estimate"].to_numpy(), abs=0.01)
    scaled = one_way_icc(few.assign(w=few["w"] * 7), design=Design(weights="w")).table["estimate"]
    assert scaled.to_numpy() == pytest.approx(weighted.to_numpy(), rel=1e-12)
    zero = one_way_icc(few.assign(w=np.where(few.index < 50, 0, 1)), design=Design(weights="w"))
    assert zero.dropped == 50
    assert zero.n == 150
    left = one_way_icc(few.drop(columns="w").iloc[50:]).table["estimate"]
    assert zero.table["estimate"].to_numpy() == pytest.approx(left.to_numpy(), rel=1e-10)


def test_perfect_agreement_is_one_whatever_the_level():
    """No rounding of large ratings is taken for disagreement."""
    frame = pd.DataFrame({"a": [1e8, 2e8, 5e8], "b": [1e8, np.nan, 5e8]})
    assert one_way_icc(frame).table["estimate"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("function", [icc, one_way_icc])
@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (pd.DataFrame({"a": [3, 3], "b": [3, 3]}), EstimationError, "all ratings are equal|do not differ"),
        (pd.DataFrame({"a": [1, 2, 3], "b": [3, 2, 1]}), EstimationError, "do not differ in their mean"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), DataError, "'b' holds text"),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}), DataError, "two or more|two targets"),
        (pd.DataFrame({"a": [1, 2, 3]}), DataError, "two raters or more|rated twice"),
        (pd.DataFrame({"a": [1, np.inf], "b": [1, 2]}), DataError, "infinite values: 'a'"),
    ],
)
def test_ratings_without_an_icc_are_refused(function, frame, error, message):
    with pytest.raises(error, match=message):
        function(frame)


def test_retest_meets_its_formulas(mobi):
    """scipy's r and paired t; s sqrt(1 - r) from the two variances."""
    a, b = mobi["CUSA1"], mobi["CUSA3"]
    ours = retest_reliability(mobi, "CUSA1", "CUSA3").table
    r = stats.pearsonr(a, b)
    fisher = r.confidence_interval()
    assert ours.loc["r", ["estimate", "low", "high"]].astype(float).to_numpy() == pytest.approx(
        [r.statistic, fisher.low, fisher.high], rel=1e-10
    )
    t = stats.ttest_rel(b, a)
    ends = t.confidence_interval()
    assert ours.loc["mean change", ["estimate", "low", "high"]].astype(float).to_numpy() == pytest.approx(
        [(b - a).mean(), ends.low, ends.high], rel=1e-9
    )
    assert ours.loc["ICC(2,1)", "estimate"] == icc(mobi, ["CUSA1", "CUSA3"]).table.loc["ICC(2,1)", "estimate"]
    error = np.sqrt((a.var() + b.var()) / 2 * (1 - r.statistic))
    assert ours.loc["standard error of measurement", "estimate"] == pytest.approx(error, rel=1e-12)
    assert ours.loc["smallest detectable change", "estimate"] == pytest.approx(1.959963984540054 * 2**0.5 * error)
    drawn = retest_reliability(mobi, "CUSA1", "CUSA3", draws=200).table
    assert (drawn["se"] > 0).all()


def test_cohen_meets_the_published_table():
    """published_tables.json, cohen_2x2."""
    data = published("cohen_2x2")
    ours = cohen_kappa(ratings_from_table(data["table"]))
    assert [ours.value, ours.observed, ours.expected] == pytest.approx(
        [data["kappa"], data["po"], data["pe"]], rel=1e-12
    )
    assert ours.band() == "moderate"


def test_two_raters_agree_with_gwets_documentation():
    """irrCAC: kappa .7964094 (.05891072), Scott's pi .7962397 (.05905473), AC1 .8493305; its tables divide by n."""
    ratings = ratings_from_table(ABSTRACTORS)
    kappa, pi, ac1 = cohen_kappa(ratings), fleiss_kappa(ratings), gwet_ac1(ratings)
    assert [kappa.value, kappa.se] == pytest.approx([0.7964094, 0.05891072], abs=5e-8)
    assert [pi.value, pi.se * np.sqrt(99 / 100)] == pytest.approx([0.7962397, 0.05905473], abs=5e-8)
    assert ac1.value == pytest.approx(0.8493305, abs=5e-8)


@pytest.mark.parametrize(("weighting", "theirs"), [("none", None), ("linear", "linear"), ("quadratic", "quadratic")])
def test_kappas_and_their_errors_agree_with_statsmodels(weighting, theirs):
    from statsmodels.stats.inter_rater import cohens_kappa

    table = np.array([[20, 5, 2, 0], [7, 15, 3, 1], [1, 4, 18, 6], [0, 2, 5, 11]])
    ours, other = cohen_kappa(ratings_from_table(table), weighting=weighting), cohens_kappa(table, wt=theirs)
    assert ours.value == pytest.approx(other.kappa, rel=1e-12)
    assert ours.se == pytest.approx(np.sqrt(other.var_kappa), rel=1e-10)
    assert ours.high - ours.low == pytest.approx(2 * 1.959963984540054 * ours.se, rel=1e-12)


def test_quadratic_weights_make_kappa_an_intraclass_correlation():
    """Fleiss & Cohen (1973): ICC(2,1) with sums of squares over n instead of degrees of freedom, so up to 1/n."""
    rng = np.random.default_rng(3)
    truth = rng.integers(1, 6, 3000)
    frame = pd.DataFrame({j: np.clip(truth + rng.integers(-1, 2, 3000), 1, 5) for j in "ab"})
    kappa = cohen_kappa(frame, weighting="quadratic").value
    assert kappa == pytest.approx(icc(frame).table.loc["ICC(2,1)", "estimate"], abs=2 / 3000)


def test_numbers_are_weighted_by_distance_and_labels_by_place():
    """Categories never used lie between 1 and 5: distances count, not places; labels need their order."""
    frame = pd.DataFrame({"a": [1, 1, 2, 5, 5, 2], "b": [1, 2, 2, 5, 2, 1]})
    declared = cohen_kappa(frame, weighting="linear", categories=[1, 2, 3, 4, 5])
    assert cohen_kappa(frame, weighting="linear").value == pytest.approx(declared.value, rel=1e-12)
    words = frame.replace({1: "low", 2: "middle", 5: "high"})
    with pytest.raises(SpecError, match="order of the labels"):
        cohen_kappa(words, weighting="linear")
    placed = cohen_kappa(words, weighting="linear", categories=["low", "middle", "high"])
    assert placed.value == pytest.approx(cohen_kappa(frame.replace(5, 3), weighting="linear").value, rel=1e-12)
    assert cohen_kappa(words).value == pytest.approx(cohen_kappa(frame).value, rel=1e-12)


def test_fleiss_meets_the_published_table():
    """published_tables.json, fleiss_wiki, 1e-6."""
    data = published("fleiss_wiki")
    ours = fleiss_kappa(ratings_from_counts(data["ratings"]))
    assert [ours.value, ours.observed, ours.expected] == pytest.approx(
        [data["kappa"], data["Pbar"], data["Pe"]], abs=1e-6
    )
    assert (ours.units, ours.raters) == (10, 14)


@pytest.mark.parametrize("function", [fleiss_kappa, gwet_ac1])
def test_errors_of_fleiss_and_gwet_follow_gwets_formula(function):
    """Gwet (2008): sum of (k_i - 2 (1 - k)(e_i - e)/(1 - e) - k)^2 / (n (n - 1)), written out unit by unit."""
    counts = np.array(published("fleiss_wiki")["ratings"], dtype=float)
    n, q = counts.shape
    shares = counts / 14
    p = shares.mean(axis=0)
    agreement = (counts * (counts - 1)).sum(axis=1) / (14 * 13)
    if function is fleiss_kappa:
        e, each = (p**2).sum(), shares @ p
    else:
        e, each = (p * (1 - p)).sum() / (q - 1), shares @ (1 - p) / (q - 1)
    k = (agreement.mean() - e) / (1 - e)
    units = (agreement - e) / (1 - e) - 2 * (1 - k) * (each - e) / (1 - e)
    ours = function(ratings_from_counts(counts))
    assert ours.value == pytest.approx(k, rel=1e-12)
    assert ours.se == pytest.approx(np.sqrt(((units - k) ** 2).sum() / (n * (n - 1))), rel=1e-10)


def test_raters_with_gaps_meet_gwets_coefficients():
    """irrCAC, cac.raw4raters (the same four observers): AC1 .77544, Fleiss .76117, agreement 9/11."""
    ac1, fleiss = gwet_ac1(OBSERVERS), fleiss_kappa(OBSERVERS)
    assert ac1.value == pytest.approx(0.77544, abs=5e-6)
    assert fleiss.value == pytest.approx(0.76117, abs=5e-6)
    assert fleiss.observed == pytest.approx(9 / 11, rel=1e-12)
    assert "one rating only: 1" in str(fleiss)


@pytest.mark.parametrize(
    ("metric", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_krippendorff_meets_his_example(metric, expected):
    ours = krippendorff_alpha(OBSERVERS, metric=metric)
    assert ours.value == pytest.approx(expected, abs=5e-4)
    assert (ours.units, ours.dropped) == (11, 1)


@pytest.mark.parametrize("metric", ["nominal", "ordinal", "interval", "ratio"])
def test_krippendorffs_error_is_that_of_the_jackknife(metric):
    """Leaving out each unit in turn on 60 units: the two errors agree to the order 1/n."""
    rng = np.random.default_rng(2)
    truth = rng.integers(1, 5, 60)
    frame = pd.DataFrame({j: np.clip(truth + rng.integers(-1, 2, 60), 1, 4) for j in "abc"}).astype(float)
    frame.iloc[3, 1] = frame.iloc[7, 0] = np.nan
    whole = krippendorff_alpha(frame, metric=metric)
    each = [krippendorff_alpha(frame.drop(index=i), metric=metric).value for i in frame.index]
    jackknife = np.sqrt(59 / 60 * ((np.array(each) - np.mean(each)) ** 2).sum())
    assert whole.se == pytest.approx(jackknife, rel=3 / 60)
    assert krippendorff_alpha(frame, metric=metric, draws=500).se == pytest.approx(jackknife, rel=0.2)


def test_krippendorff_of_labels_in_order_is_that_of_ranks():
    words = OBSERVERS.replace({1: "never", 2: "seldom", 3: "often", 4: "mostly", 5: "always"})
    order = ["never", "seldom", "often", "mostly", "always"]
    ours = krippendorff_alpha(words, metric="ordinal", categories=order)
    assert ours.value == pytest.approx(krippendorff_alpha(OBSERVERS, metric="ordinal").value, rel=1e-12)
    with pytest.raises(SpecError, match="order of the labels"):
        krippendorff_alpha(words, metric="ordinal")
    with pytest.raises(DataError, match="have no distances"):
        krippendorff_alpha(words, metric="interval")
    with pytest.raises(DataError, match="0 or more"):
        krippendorff_alpha(OBSERVERS - 3, metric="ratio")
    assert krippendorff_alpha(OBSERVERS * 7 - 3, metric="interval").value == pytest.approx(
        krippendorff_alpha(OBSERVERS, metric="interval").value, rel=1e-12
    )


def test_raters_may_change_places_and_categories_their_names():
    for function in (cohen_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha):
        frame = ratings_from_table(ABSTRACTORS)
        swapped = frame[["second", "first"]].replace({0: "c", 1: "a", 2: "b"})
        assert function(frame).value == pytest.approx(function(swapped).value, rel=1e-12)


def test_raters_who_guess_agree_by_chance_only():
    """Independent ratings of 2,000 units: every coefficient within 4 of its errors of 0."""
    rng = np.random.default_rng(9)
    frame = pd.DataFrame(rng.choice(["a", "b", "c"], size=(2000, 2)), columns=["x", "y"])
    for function in (cohen_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha):
        found = function(frame)
        assert abs(found.value) < 4 * found.se


def test_closed_errors_hold_in_the_bootstrap():
    """The error of 2,000 draws is known to 1.6 %; the two errors differ by the order of 1/n besides."""
    rng = np.random.default_rng(12)
    truth = rng.integers(0, 3, 400)
    frame = pd.DataFrame({j: np.where(rng.random(400) < 0.7, truth, rng.integers(0, 3, 400)) for j in "ab"})
    for function in (cohen_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha):
        assert function(frame, draws=2000).se == pytest.approx(function(frame).se, rel=4 * 0.016 + 0.01)


def test_agreement_honours_the_design():
    """Units in towns that are copies: the formula is withheld, draws take towns; weights of 2 are units twice."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 50)
    frame = pd.DataFrame({j: np.where(rng.random(50) < 0.8, truth, 1 - truth) for j in "ab"})
    towns = frame.loc[np.repeat(frame.index, 8)].reset_index(drop=True).assign(town=np.repeat(np.arange(50), 8))
    withheld = cohen_kappa(towns, design=Design(psu="town"))
    assert np.isnan(withheld.se)
    assert "clusters" in withheld.interval
    clustered = cohen_kappa(towns, design=Design(psu="town"), draws=1000)
    assert clustered.se == pytest.approx(cohen_kappa(frame).se, rel=0.15)
    w = rng.integers(1, 3, 50)
    doubled = frame.loc[np.repeat(frame.index, w)].reset_index(drop=True)
    weighted = cohen_kappa(frame.assign(w=w), ["a", "b"], design=Design(weights="w"))
    assert weighted.value == pytest.approx(cohen_kappa(doubled).value, rel=1e-12)


def test_unequal_prevalence_is_the_paradox_that_ac1_was_made_for():
    table = ratings_from_table([[118, 5], [2, 0]])
    assert cohen_kappa(table).value < 0 < 0.9 < gwet_ac1(table).value


@pytest.mark.parametrize("function", [cohen_kappa, fleiss_kappa, gwet_ac1, krippendorff_alpha])
@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (pd.DataFrame({"a": [1, 1], "b": [1, 1]}), DataError, r"only one category was used: \[1\]"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), DataError, r"text in columns \['b'\]"),
        (pd.DataFrame({"a": [1, 2], "b": [None, None]}), DataError, "'b' holds no rating"),
        (pd.DataFrame({"a": ["x", " "], "b": ["x", "y"]}), DataError, "'a' holds blank labels"),
        (pd.DataFrame({"a": [1, np.inf], "b": [1, 2]}), DataError, "'a' holds infinite"),
        (pd.DataFrame({"a": pd.to_datetime(["2026-01-01"] * 2), "b": [1, 2]}), DataError, "'a' holds dates"),
        (pd.DataFrame({"a": [1, 2]}), DataError, "two raters or more"),
        (pd.DataFrame({"a": [1, None, 2], "b": [1, 2, None]}), EstimationError, "units with two ratings: 1"),
    ],
)
def test_unusable_ratings_are_named(function, frame, error, message):
    with pytest.raises(error, match=message):
        function(frame)


def test_refusals_of_single_coefficients():
    frame = pd.DataFrame({"a": [1, 2, 1], "b": [1, 2, 2], "c": [1, 1, 2]})
    with pytest.raises(DataError, match="two raters, got"):
        cohen_kappa(frame)
    with pytest.raises(DataError, match=r"not among the categories \[1, 3\]: \[2\]"):
        fleiss_kappa(frame, categories=[1, 3])
    with pytest.raises(SpecError, match=r"named twice: \[1"):
        gwet_ac1(frame, categories=[1, 1, 2])
    with pytest.raises(DataError, match=r"columns not in the data: \['z'\]"):
        krippendorff_alpha(frame, ["a", "z"])
    with pytest.raises(DataError, match=r"named twice: \['a'\]"):
        krippendorff_alpha(frame, ["a", "a"])
    with pytest.raises(SpecError, match="weighting='cubic'"):
        cohen_kappa(frame, ["a", "b"], weighting="cubic")
    with pytest.raises(SpecError, match="metric='circular'"):
        krippendorff_alpha(frame, metric="circular")
    with pytest.raises(DataError, match="need a DataFrame"):
        fleiss_kappa([[1, 2], [1, 2]])
    with pytest.raises(SpecError, match="between 0 and 1"):
        fleiss_kappa(frame, level=95)


def test_equal_ratings_of_declared_categories():
    """Both raters always say 1: kappa is 0/0 and refused; AC1's chance does not vanish, so it is 1."""
    frame = pd.DataFrame({"a": [1, 1, 1], "b": [1, 1, 1]})
    for function in (cohen_kappa, fleiss_kappa, krippendorff_alpha):
        with pytest.raises(EstimationError, match="does not exist"):
            function(frame, categories=[1, 2])
    assert gwet_ac1(frame, categories=[1, 2]).value == 1


@pytest.mark.parametrize("function", [cohen_kappa, fleiss_kappa, krippendorff_alpha, gwet_ac1])
@pytest.mark.parametrize("draws", [None, 50])
def test_four_units_that_agree_are_no_interval_without_width(function, draws):
    """No unit differs in what it contributes, so the sample holds nothing from which an error could be estimated."""
    found = function(pd.DataFrame({"a": list("xyxy"), "b": list("xyxy")}), draws=draws)
    assert found.value == 1
    assert np.isnan([found.se, found.low, found.high]).all()
    assert "does not vary with the units" in found.interval
    assert "CI" not in str(found)


def test_a_rater_who_says_always_the_same_has_kappa_zero_without_an_interval():
    found = cohen_kappa(pd.DataFrame({"a": list("xxxxx"), "b": list("xyxyy")}))
    assert found.value == 0
    assert np.isnan(found.low)


def test_tables_that_are_no_counts_are_refused():
    for bad in ([[1, -2], [0, 1]], [[1.5, 0], [0, 1]], [["a", "b"]], [[0, 0], [0, 0]]):
        with pytest.raises(DataError, match="counts must be"):
            ratings_from_counts(bad)
    with pytest.raises(DataError, match="same categories"):
        ratings_from_table([[1, 2, 3], [4, 5, 6]])
    labelled = pd.DataFrame([[2, 1], [0, 3]], index=["yes", "no"], columns=["no", "yes"])
    with pytest.raises(DataError, match="same categories in the same order"):
        ratings_from_table(labelled)
    ratings = ratings_from_table(labelled[["yes", "no"]])
    assert ratings.value_counts().to_dict() == {("yes", "yes"): 1, ("yes", "no"): 2, ("no", "yes"): 3}


def test_faces_of_an_agreement():
    shown = cohen_kappa(ratings_from_table(pd.DataFrame([[20, 5], [10, 15]], index=["<a>", "b"], columns=["<a>", "b"])))
    assert "&lt;a&gt;" in shown._repr_html_()
    assert list(shown.to_frame()) == ["estimate", "se", "low", "high", "observed", "expected", "units", "raters"]
    assert str(shown).startswith("Cohen's kappa = 0.400, 95% CI [0.151, 0.649], 50 units, 2 raters")
