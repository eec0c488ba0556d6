"""Design-based estimates: agreement with R survey on the API samples, textbook formulas, invariances, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference

from csi_lab import Design
from csi_lab.sampling import estimate

DESIGNS = {
    "srs": ("api_srs.json", "apisrs", Design(weights="pw", population="fpc")),
    "srs_nofpc": ("api_srs.json", "apisrs", Design(weights="pw")),
    "strat": ("api_strat.json", "apistrat", Design(weights="pw", strata="stype", population="fpc")),
    "strat_nofpc": ("api_strat.json", "apistrat", Design(weights="pw", strata="stype")),
    "clus1": ("api_clus1.json", "apiclus1", Design(weights="pw", psu="dnum", population="fpc")),
    "clus1_nofpc": ("api_clus1.json", "apiclus1", Design(weights="pw", psu="dnum")),
}
CLOSE = {"rel": 1e-10}


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / f"{name}.csv")


@pytest.fixture(params=list(DESIGNS))
def case(request) -> tuple[pd.DataFrame, Design, dict]:
    file, data, design = DESIGNS[request.param]
    return read(data), design, read_reference(f"survey/{file}")[request.param]


def ends(found) -> list[list[float]]:
    return found.to_frame()[["low", "high"]].to_numpy().tolist()


@pytest.mark.parametrize(
    ("key", "make"),
    [
        ("mean_api00", lambda f, d, **k: estimate.mean(f, "api00", d, **k)),
        ("mean_enroll", lambda f, d, **k: estimate.mean(f, "enroll", d, **k)),
        ("total_api00", lambda f, d, **k: estimate.total(f, "api00", d, **k)),
        ("total_enroll", lambda f, d, **k: estimate.total(f, "enroll", d, **k)),
    ],
)
def test_means_and_totals_agree_with_r(case, key, make):
    """svymean, svytotal: estimate, standard error, both intervals, design effect."""
    frame, design, r = case
    found, theirs = make(frame, design), r[key]
    assert (found.value, found.se, found.deff) == pytest.approx((theirs["est"], theirs["se"], theirs["deff"]), **CLOSE)
    assert ends(found) == [pytest.approx(row, rel=1e-10) for row in theirs["ci_t"]]
    assert ends(make(frame, design, df=np.inf)) == [pytest.approx(row, rel=1e-10) for row in theirs["ci_z"]]
    assert (found.df, found.n) == (theirs["df"], r["n"])


def test_the_three_design_effects_keep_their_names(case):
    frame, design, r = case
    found = estimate.mean(frame, "api00", design)
    assert found.deff_replace == pytest.approx(r["mean_api00_deff_replace"], **CLOSE)
    w = frame["pw"]
    assert found.deff_kish == pytest.approx(len(w) * (w**2).sum() / w.sum() ** 2, rel=1e-13)


def test_shares_and_counts_agree_with_r(case):
    frame, design, r = case
    shares = estimate.proportion(frame, "stype", design, interval="wald").table
    counts = estimate.count(frame, "stype", design).table
    # With one stratum per type the shares are known: R's errors there are rounding, and so are ours.
    sure = design.strata == "stype"
    for table, theirs, size in ((shares, r["mean_stype"], 1.0), (counts, r["total_stype"], 6194.0)):
        assert list(table.index) == ["E", "H", "M"]
        assert table["estimate"].to_numpy() == pytest.approx(theirs["est"], **CLOSE)
        assert table["se"].to_numpy() == pytest.approx(theirs["se"], rel=1e-10, abs=1e-13 * size if sure else 0)
        assert table[["low", "high"]].to_numpy() == pytest.approx(np.array(theirs["ci_t"]), rel=1e-10)


def test_covariances_of_two_means_agree_with_r(case):
    frame, design, r = case
    found = estimate.mean(frame, ["api99", "api00"], design)
    assert found.table["estimate"].to_numpy() == pytest.approx(r["mean_two"]["est"], **CLOSE)
    assert found.covariance.to_numpy() == pytest.approx(np.array(r["mean_two"]["vcov"]), **CLOSE)


def test_ratios_agree_with_r(case):
    frame, design, r = case
    found = estimate.ratio(frame, "api00", design, denominator="api99")
    theirs = r["ratio_api00_api99"]
    assert (found.value, found.se) == pytest.approx((theirs["est"], theirs["se"]), **CLOSE)
    assert ends(found) == [pytest.approx(row, rel=1e-10) for row in theirs["ci_t"]]
    students = estimate.ratio(frame, "api.stu", design, denominator="enroll")
    assert (students.value, students.se) == pytest.approx((r["ratio_stu"]["est"], r["ratio_stu"]["se"]), **CLOSE)


@pytest.mark.parametrize(
    ("key", "statistic", "by"),
    [
        ("by_stype_mean_api00", "mean", "stype"),
        ("by_stype_total_api00", "total", "stype"),
        ("by_schwide_mean_api00", "mean", "sch.wide"),
    ],
)
def test_domains_agree_with_r(case, key, statistic, by):
    """svyby: estimates and errors; its intervals with the degrees of freedom of the whole design."""
    frame, design, r = case
    make = getattr(estimate, statistic)
    found, theirs = make(frame, "api00", design, by=by), r[key]
    assert list(found.table.index) == theirs["level"]
    assert found.table["estimate"].to_numpy() == pytest.approx(theirs["est"], **CLOSE)
    assert found.table["se"].to_numpy() == pytest.approx(theirs["se"], **CLOSE)
    whole = make(frame, "api00", design, by=by, df="design").table
    assert whole[["low", "high"]].to_numpy() == pytest.approx(np.array(theirs["ci_t"]), rel=1e-10)


def test_a_subset_agrees_with_r(case):
    """Rows of weight zero, rows without a value and domains are the same thing, with R's df of a subset."""
    frame, design, r = case
    theirs = r["subset_E_mean_api00"]
    domain = estimate.mean(frame, "api00", design, by="stype")
    nobody = frame.assign(pw=frame["pw"].where(frame["stype"] == "E", 0.0))
    gaps = frame.assign(api00=frame["api00"].where(frame["stype"] == "E"))
    for row in (
        domain.table.loc["E"],
        estimate.mean(nobody, "api00", design).to_frame().iloc[0],
        estimate.mean(gaps, "api00", design, missing="listwise").to_frame().iloc[0],
    ):
        assert (row["estimate"], row["se"]) == pytest.approx((theirs["est"], theirs["se"]), **CLOSE)
        assert row["df"] == theirs["df"]
        assert (row["low"], row["high"]) == pytest.approx(theirs["ci_t"][0], rel=1e-10)


def test_the_variance_agrees_with_r(case):
    frame, design, r = case
    found = estimate.variance(frame, "api00", design)
    assert (found.value, found.se) == pytest.approx((r["var_api00"]["est"], r["var_api00"]["se"]), **CLOSE)


def test_two_domains_differ_as_in_the_t_test_of_r(case):
    """svyttest(api00 ~ sch.wide)."""
    frame, design, r = case
    theirs = r["ttest_schwide"]
    found = estimate.difference(frame, "api00", design, by="sch.wide", between=("Yes", "No"))
    assert (found.value, found.t, found.p) == pytest.approx((theirs["diff"], theirs["t"], theirs["p"]), rel=1e-9)
    assert found.df == theirs["df"]


def test_quantiles_agree_exactly_with_r(case):
    """svyquantile, qrule "math", Woodruff intervals."""
    frame, design, r = case
    theirs = r["quantile_api00"]
    found = estimate.quantile(frame, "api00", design, q=theirs["p"]).table
    assert found["estimate"].tolist() == theirs["est"]
    assert found["low"].tolist() == theirs["lo"]
    assert found["high"].tolist() == theirs["hi"]
    assert found["se"].to_numpy() == pytest.approx(theirs["se"], **CLOSE)


def test_regression_agrees_with_r(case):
    """svyglm(api00 ~ ell + meals + mobility)."""
    frame, design, r = case
    theirs = r["glm_api00"]
    found = estimate.regression(frame, "api00", design, on=["ell", "meals", "mobility"])
    assert found.table["estimate"].to_numpy() == pytest.approx(theirs["est"], **CLOSE)
    assert found.table["se"].to_numpy() == pytest.approx(theirs["se"], **CLOSE)
    assert found.df == theirs["df"]
    two = estimate.regression(frame, "api00", design, on="sch.wide").table.loc["sch.wide[Yes]"]
    test = r["ttest_schwide"]
    assert two[["estimate", "t", "p"]].tolist() == pytest.approx([test["diff"], test["t"], test["p"]], rel=1e-9)


def test_independence_is_tested_as_in_r(case):
    """svychisq(~ stype + sch.wide): Rao-Scott, second order."""
    frame, design, r = case
    theirs = r["chisq_stype_schwide"]
    found = estimate.crosstab(frame, ["stype", "sch.wide"], design)
    assert (found.f, found.df1, found.df2, found.p) == pytest.approx(
        (theirs["F"], theirs["ndf"], theirs["ddf"], theirs["p"]), rel=1e-9
    )
