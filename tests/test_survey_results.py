"""Design-based results: invariances, closed forms, faces, and requests that are refused with all offenders named."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE

import csi_lab as csi
from csi_lab import DataError, Design, EstimationError, SpecError
from csi_lab.plots import _cjk_font
from csi_lab.rates import satisfaction_rate
from csi_lab.sampling import estimate, weight
from csi_lab.sampling.estimate import nested
from csi_lab.sampling.estimate.wald import wald_test

CLUS1 = Design(weights="pw", psu="dnum", population="fpc")


@pytest.fixture(scope="module")
def clus1() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "apiclus1.csv")


@pytest.fixture(scope="module")
def clus2() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "apiclus2.csv")


def numbers(found) -> np.ndarray:
    return found.to_frame()[["estimate", "se", "low", "high"]].to_numpy()


# ---- invariances -----------------------------------------------------------------------------------------------------


def test_the_order_of_rows_changes_nothing(clus1):
    shuffled = clus1.sample(frac=1, random_state=3)
    for make in (
        lambda f: estimate.mean(f, ["api00", "enroll"], CLUS1, by="stype"),
        lambda f: estimate.quantile(f, "api00", CLUS1),
        lambda f: estimate.regression(f, "api00", CLUS1, on=["stype", "ell"]),
        lambda f: estimate.proportion(f, "stype", CLUS1),
    ):
        assert numbers(make(shuffled)) == pytest.approx(numbers(make(clus1)), rel=1e-10)


def test_the_scale_of_the_weights_moves_totals_only(clus1):
    heavy = clus1.assign(pw=clus1["pw"] * 7)
    assert numbers(estimate.mean(heavy, "api00", CLUS1)) == pytest.approx(numbers(estimate.mean(clus1, "api00", CLUS1)))
    total = numbers(estimate.total(clus1, "enroll", CLUS1))
    assert numbers(estimate.total(heavy, "enroll", CLUS1)) == pytest.approx(7 * total, rel=1e-12)


def test_shares_of_a_category_are_the_mean_of_its_indicator(clus1):
    frame = clus1.assign(high=(clus1["stype"] == "H").astype(float))
    share = estimate.proportion(frame, "stype", CLUS1, category="H", interval="wald")
    mean = estimate.mean(frame, "high", CLUS1)
    assert (share.value, share.se, share.low, share.high) == (mean.value, mean.se, mean.low, mean.high)


def test_domains_add_up_to_the_total(clus1):
    parts = estimate.total(clus1, "enroll", CLUS1, by=["stype", "sch.wide"])
    whole = estimate.total(clus1, "enroll", CLUS1)
    assert parts.table["estimate"].sum() == pytest.approx(whole.value, rel=1e-12)
    # Their covariances are complete: the variance of the sum is that of the total.
    assert parts.covariance.to_numpy().sum() == pytest.approx(whole.se**2, rel=1e-10)


@pytest.mark.parametrize("statistic", ["mean", "total"])
@pytest.mark.parametrize("lonely", ["raise", "centred"])
def test_covariances_are_the_same_whether_zeros_are_stored_or_not(clus2, monkeypatch, statistic, lonely):
    design = Design(psu=("dnum", "snum"), population=("fpc1", "fpc2"))
    if lonely == "centred":
        design = Design(weights="pw", strata="dnum", psu="snum")
    make = getattr(estimate, statistic)
    dense = make(clus2, ["api00", "api99"], design, by="stype", lonely=lonely)
    monkeypatch.setattr(nested, "DENSE_CELLS", 0)
    sparse = make(clus2, ["api00", "api99"], design, by="stype", lonely=lonely)
    scale = np.sqrt(np.outer(*2 * [np.diag(dense.covariance)]))
    assert np.abs((sparse.covariance - dense.covariance).to_numpy() / scale).max() < 1e-10


def test_two_waves_of_the_same_people_are_a_paired_comparison():
    rng = np.random.default_rng(6)
    first = rng.normal(7, 1, 80)
    second = first + rng.normal(0.2, 0.5, 80)
    panel = pd.DataFrame({"id": np.tile(np.arange(80), 2), "wave": np.repeat([1, 2], 80), "y": [*first, *second]})
    found = estimate.difference(panel, "y", Design(psu="id"), by="wave", between=(2, 1))
    gap = second - first
    assert found.value == pytest.approx(gap.mean(), rel=1e-12)
    assert found.se == pytest.approx(gap.std(ddof=1) / np.sqrt(80), rel=1e-12)
    wide = estimate.difference(pd.DataFrame({"a": second, "b": first}), ["a", "b"])
    assert (wide.value, wide.se) == pytest.approx((found.value, found.se), rel=1e-12)
    # As if these were different people, the error would be larger.
    assert estimate.difference(panel, "y", by="wave", between=(2, 1)).se > 1.5 * found.se


def test_wilson_is_the_interval_of_a_simple_random_sample(mobi):
    found = estimate.proportion(mobi.assign(top=mobi["CUSA1"] >= 9), "top", category=True, df=np.inf)
    simple = satisfaction_rate(mobi["CUSA1"], 9)
    assert (found.value, found.low, found.high) == pytest.approx((simple.value, simple.low, simple.high), rel=1e-10)


def test_shares_of_one_are_told_apart_from_certainty(clus1):
    frame = clus1.assign(all="yes")
    found = estimate.proportion(frame, "all", CLUS1, category="yes")
    assert found.value == pytest.approx(1, rel=1e-14)
    assert 0.9 < found.low < 1
    assert any("have no standard error" in note for note in found.notes)
    for interval in ("wald", "logit"):
        assert np.isnan(estimate.proportion(frame, "all", CLUS1, category="yes", interval=interval).low)


def test_a_simple_random_sample_has_design_effect_one(mobi):
    found = estimate.mean(mobi.assign(N=5000), "CUSA1", Design(population="N"))
    assert found.deff == pytest.approx(1, rel=1e-12)
    assert estimate.mean(mobi, "CUSA1").deff_replace == pytest.approx(1, rel=1e-12)
    assert np.isnan(estimate.mean(mobi, "CUSA1").deff)
    assert estimate.mean(mobi, "CUSA1").se == pytest.approx(mobi["CUSA1"].std() / np.sqrt(250), rel=1e-12)


def test_the_wald_test_of_one_contrast_is_a_squared_t(clus1):
    two = estimate.mean(clus1, ["api00", "api99"], CLUS1)
    gap = estimate.difference(clus1, ["api00", "api99"], CLUS1)
    test = two.wald()
    assert (test.f, test.df1, test.df2) == pytest.approx((gap.t**2, 1, 14), rel=1e-10)
    assert test.p == pytest.approx(gap.p, rel=1e-8)
    assert two.wald([[1, -1]]).f == pytest.approx(test.f, rel=1e-12)
    with pytest.raises(SpecError, match=r"shape \(q, 2\)"):
        two.wald([[1, -1, 0]])
    with pytest.raises(EstimationError, match="no regular covariance"):
        two.wald([[1, -1], [2, -2]])
    with pytest.raises(EstimationError, match="no covariances"):
        estimate.quantile(clus1, "api00", CLUS1).wald()
    assert wald_test(np.eye(2), np.zeros(2), np.eye(2), np.inf).p == 1


def test_domains_are_tested_together_with_the_degrees_of_all(clus1):
    """W (d - q + 1)/(q d) by hand, d of the districts that any domain reaches and not of the smallest domain."""
    found = estimate.mean(clus1, "api00", CLUS1, by="stype")
    assert found.table["df"].min() < 14
    c, v = np.array([[-1.0, 1, 0], [0, -1, 1]]), found.covariance.to_numpy()
    gap = c @ found.table["estimate"].to_numpy()
    w = gap @ np.linalg.inv(c @ v @ c.T) @ gap
    test = found.wald()
    assert (test.f, test.df1, test.df2) == pytest.approx((w / 2 * 13 / 14, 2, 13), rel=1e-10)
    two = estimate.mean(clus1[clus1["stype"] != "M"], "api00", CLUS1, by="stype").wald()
    pair = estimate.difference(clus1[clus1["stype"] != "M"], "api00", CLUS1, by="stype", between=("E", "H"))
    # The t test takes one degree more for its second mean, as R's svyttest does.
    assert (two.f, two.df2) == pytest.approx((pair.t**2, pair.df + 1), rel=1e-10)
    shares = estimate.proportion(clus1, "stype", CLUS1, by="sch.wide").wald(np.eye(1, 6))
    assert shares.df2 == 14


def test_independence_of_a_simple_random_sample_is_pearsons_test():
    """Multinomial covariance with n - 1 makes every design effect n/(n - 1) under exact independence."""
    frame = pd.DataFrame({"a": np.repeat(["x", "y"], 60), "b": np.tile(["p", "q", "r"], 40)})
    found = estimate.crosstab(frame, ["a", "b"])
    assert found.pearson == pytest.approx(0, abs=1e-12)
    assert found.effects == pytest.approx(120 / 119, rel=1e-12)
    assert found.p == pytest.approx(1)


def test_a_regression_without_a_design_has_the_sandwich_of_hc1_form(mobi):
    """n/(n - 1) sum z z' with z = (X'X)^-1 x e."""
    x = np.column_stack([np.ones(250), mobi[["PERQ1", "IMAG1"]]])
    y = mobi["CUSA1"].to_numpy()
    inverse = np.linalg.inv(x.T @ x)
    b = inverse @ x.T @ y
    z = (x @ inverse) * (y - x @ b)[:, None]
    found = estimate.regression(mobi, "CUSA1", on=["PERQ1", "IMAG1"])
    assert found.table["estimate"].to_numpy() == pytest.approx(b, rel=1e-10)
    assert found.covariance.to_numpy() == pytest.approx(250 / 249 * z.T @ z, rel=1e-9)
    joint = found.wald()
    assert (joint.df1, joint.df2) == (2, found.df)


# ---- faces -----------------------------------------------------------------------------------------------------------


def test_names_from_the_data_are_escaped(clus1):
    frame = clus1.rename(columns={"api00": "<b>api"}).assign(stype=clus1["stype"].replace({"H": "<i>H"}))
    pages = [
        estimate.mean(frame, "<b>api", CLUS1)._repr_html_(),
        estimate.mean(frame, "<b>api", CLUS1, by="stype")._repr_html_(),
        estimate.regression(frame, "<b>api", CLUS1, on="stype")._repr_html_(),
        estimate.crosstab(frame, ["stype", "sch.wide"], CLUS1)._repr_html_(),
        estimate.difference(frame, "<b>api", CLUS1, by="stype", between=("E", "<i>H"))._repr_html_(),
    ]
    for page in pages:
        assert "<b>" not in page
        assert "<i>" not in page


def test_pictures_show_the_estimates(clus1):
    ax = estimate.mean(clus1, "api00", CLUS1, by="stype").plot()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["E", "H", "M"]
    assert ax.get_xlabel() == "mean of api00 by stype, 95% interval"
    assert sorted(ax.lines[0].get_xdata()) == pytest.approx([618.571, 631.44, 648.868], abs=1e-3)
    ax = estimate.crosstab(clus1, ["stype", "sch.wide"], CLUS1).plot()
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(3)


def test_pictures_show_text_as_it_stands_in_the_data(clus1):
    """Two dollar signs are no formula, Chinese has glyphs, and the line of no difference is there."""
    import matplotlib.pyplot as plt

    frame = clus1.assign(kind=clus1["stype"].map({"E": "小学 $1_a$", "H": "高中", "M": "初中"}))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for found in (
            estimate.mean(frame, "api00", CLUS1, by="kind"),
            estimate.crosstab(frame, ["kind", "sch.wide"], CLUS1),
        ):
            ax = found.plot()
            assert "小学 $1_a$" in [tick.get_text() for tick in ax.get_yticklabels()]
            assert not any(tick.get_parse_math() for tick in ax.get_yticklabels())
            if _cjk_font() is not None:  # else pictures say once that a font is missing
                ax.figure.canvas.draw()
    gap = estimate.difference(frame, "api00", CLUS1, by="kind", between=("高中", "初中")).plot()
    assert any(list(line.get_xdata()) == [0, 0] for line in gap.lines)
    plt.close("all")


def test_a_survey_brings_its_design():
    survey = csi.load_survey("mobile")
    found = estimate.mean(survey, ["CUSA1", "CUSA2"])
    assert found.table["estimate"].to_numpy() == pytest.approx(survey.frame[["CUSA1", "CUSA2"]].mean().to_numpy())


def test_results_do_not_depend_on_the_width_of_the_terminal(clus1):
    found = estimate.mean(clus1, "api00", CLUS1, by="stype")
    with pd.option_context("display.width", 20, "display.max_columns", 2):
        narrow = repr(found)
    assert narrow == repr(found)


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {"columns": ["api0", "api9"]}, r"not in the data: \['api0', 'api9'\]"),
        (lambda f: {"columns": "stype"}, "'stype' holds text in 183 rows"),
        (lambda f: {"columns": []}, "no items given"),
        (lambda f: {"columns": ["api00", "api00"]}, r"asked for twice: \['api00'\]"),
        (lambda f: {"data": f.iloc[:0]}, "no rows"),
        (lambda f: {"data": f.assign(pw=0.0)}, "every row has the weight 0"),
        (lambda f: {"data": f.assign(pw=-f["pw"])}, "negative in 183 rows"),
        (lambda f: {"data": f.assign(pw=f["pw"].where(f.index > 2))}, "missing, infinite or negative in 3 rows"),
        (lambda f: {"data": f.assign(pw="much")}, "not numbers"),
        (lambda f: {"data": f.assign(dnum=f["dnum"].where(f.index > 2))}, "'dnum' is empty in 3 rows"),
        (lambda f: {"data": f.drop(columns=["fpc", "dnum"])}, r"not in the data: \['dnum', 'fpc'\]"),
        (lambda f: {"data": f.assign(fpc=0)}, "15 units drawn from a population of 0"),
        (lambda f: {"data": f.assign(api00=np.inf)}, "infinite values: 'api00'"),
        (lambda f: {"data": f.assign(api00=f["api00"].where(f.index > 2))}, r"3 of 183 rows.*api00 \(3\).*listwise"),
        (lambda f: {"data": f.assign(api00=np.nan), "missing": "listwise"}, r"no row has all values"),
        (lambda f: {"data": f.iloc[:3]}, "single sampling unit"),
        (lambda f: {"data": pd.concat([f, f["api00"]], axis=1)}, r"share a name: \['api00'\]"),
        (lambda f: {"data": csi.Moments.from_frame(f[["api00"]])}, "moments have no rows"),
        (lambda f: {"data": [1, 2]}, "need a survey or a DataFrame, got list"),
        (lambda f: {"by": "stype", "data": f.assign(stype=f["stype"].where(f.index > 2))}, r"domain stype \(3\)"),
        (lambda f: {"by": "style"}, r"not in the data: \['style'\]"),
        (lambda f: {"columns": [["api00"]]}, r"not in the data: \[\['api00'\]\]"),
        (lambda f: {"by": [["stype"]]}, r"not in the data: \[\['stype'\]\]"),
        (
            lambda f: {"weights": weight.post_stratify(f[:90], "pw", {"sch.wide": {"No": 1072, "Yes": 5122}})},
            "belong to 90 rows",
        ),
    ],
)
def test_bad_data_are_named(clus1, change, message):
    request = {"data": clus1, "columns": "api00", "design": CLUS1} | change(clus1)
    with pytest.raises(DataError, match=message):
        estimate.mean(request.pop("data"), request.pop("columns"), request.pop("design"), **request)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 95}, "level=95"),
        ({"missing": "drop"}, "missing='drop'"),
        ({"lonely": "adjust"}, "lonely='adjust' is unknown; use one of"),
        ({"df": -1}, "df=-1"),
        ({"df": True}, "df=True is unknown"),
        ({"level": "0.95"}, "level='0.95'"),
        ({"by": ["stype", "stype"]}, r"names \['stype'\] twice"),
        ({"weights": [1.0] * 183}, "weights are given twice"),
        ({"weights": "enroll"}, "weights are given twice: weights='enroll' and the design column 'pw'"),
        ({"design": "pw"}, "must be a csi_lab.Design"),
        ({"by": []}, "names no column"),
    ],
)
def test_contradictions_are_refused(clus1, change, message):
    request = {"design": CLUS1} | change
    with pytest.raises(SpecError, match=message):
        estimate.mean(clus1, "api00", request.pop("design"), **request)


def test_other_estimates_refuse_what_they_cannot_do(clus1):
    with pytest.raises(SpecError, match="a total needs sampling weights"):
        estimate.total(clus1, "api00")
    with pytest.raises(DataError, match="'Z' does not occur in 'stype'"):
        estimate.proportion(clus1, "stype", CLUS1, category="Z")
    with pytest.raises(SpecError, match="interval='exact'"):
        estimate.proportion(clus1, "stype", CLUS1, interval="exact")
    with pytest.raises(DataError, match="total of the denominator 'zero' is zero"):
        estimate.ratio(clus1.assign(zero=0.0), "api00", CLUS1, denominator="zero")
    with pytest.raises(DataError, match=r"two different labels.*not \['X'\]"):
        estimate.difference(clus1, "api00", CLUS1, by="stype", between=("E", "X"))
    with pytest.raises(SpecError, match="give two columns"):
        estimate.difference(clus1, "api00", CLUS1)
    for between in ("EH", 5, {"E": 1, "H": 2}, ("E", "H", "M")):
        with pytest.raises(SpecError, match=r"between=\(first, second\)"):
            estimate.difference(clus1, "api00", CLUS1, by="stype", between=between)
    with pytest.raises(SpecError, match=r"denominator=\['api99'\] must be one column"):
        estimate.ratio(clus1, "api00", CLUS1, denominator=["api99"])
    with pytest.raises(SpecError, match=r"numerator=\[\] names no column"):
        estimate.ratio(clus1, [], CLUS1, denominator="api99")
    for q in (None, "0.5", np.array(0.5), True, []):
        with pytest.raises(SpecError, match="shares between 0 and 1 are needed, each once"):
            estimate.quantile(clus1, "api00", CLUS1, q=q)
    with pytest.raises(SpecError, match=r"not \[0, 1.5\]"):
        estimate.quantile(clus1, "api00", CLUS1, q=[0, 0.5, 1.5])
    with pytest.raises(SpecError, match=r"two different columns, got \[None\]"):
        estimate.crosstab(clus1, None, CLUS1)
    with pytest.raises(SpecError, match="function='mean' must be callable"):
        estimate.of(clus1, "mean", CLUS1, items=["api00"])
    pair = estimate.mean(clus1, ["api00", "api99"], CLUS1)
    for contrasts in ("equal", [[1, -1], [1]]):
        with pytest.raises(SpecError, match="contrasts must be rows of 2 numbers each"):
            pair.wald(contrasts)
    with pytest.raises(SpecError, match="one estimate equals itself"):
        estimate.mean(clus1, ["api00"], CLUS1).wald()
    with pytest.raises(SpecError, match=r"term \['ell'\] is unknown"):
        estimate.regression(clus1, "api00", CLUS1, on="ell").wald(["ell"])
    with pytest.raises(SpecError, match="rng=-1 must be a whole number"):
        estimate.replicate_weights(clus1, CLUS1, draws=5, rng=-1)
    with pytest.raises(DataError, match=r"single label in the rows used: \['one'\]"):
        estimate.crosstab(clus1.assign(one=1), ["stype", "one"], CLUS1)
    with pytest.raises(EstimationError, match=r"\['copy', 'one'\]"):
        estimate.regression(clus1.assign(copy=2 * clus1["ell"], one=1), "api00", CLUS1, on=["ell", "copy", "one"])
    with pytest.raises(EstimationError, match=r"one label only: \['one'\]"):
        estimate.regression(clus1.assign(one="x"), "api00", CLUS1, on=["one"])
    with pytest.raises(DataError, match="response does not vary"):
        estimate.regression(clus1.assign(one=1), "one", CLUS1, on=["ell"])
    three = clus1[clus1["dnum"].isin(clus1["dnum"].unique()[:3])]
    with pytest.raises(EstimationError, match="leave no degrees of freedom: the design has 2"):
        estimate.regression(three, "api00", CLUS1, on=["ell", "meals"])


def test_domains_within_one_unit_have_no_interval_and_say_so(clus1):
    found = estimate.mean(clus1, "api00", CLUS1, by="dnum")
    assert found.table[["se", "low", "high"]].isna().all().all()
    assert any("no degrees of freedom" in note and "637" in note for note in found.notes)


def test_a_difference_within_single_units_has_no_error_and_says_so(clus1):
    """Two districts, each a unit of its own: the zero that their totals give is no standard error."""
    found = estimate.difference(clus1, "api00", CLUS1, by="dnum", between=(637, 61))
    assert np.isnan([found.se, found.low, found.high, found.t, found.p]).all()
    assert found.value == pytest.approx(clus1.groupby("dnum")["api00"].mean().loc[[637, 61]].diff().iloc[1] * -1)
    assert any("no degrees of freedom" in note for note in found.notes)
    assert "t = -, p = -" in str(found)


@pytest.mark.parametrize("constant", [0.1, 3.1, 1e9 / 3])
def test_rounding_is_never_significant(clus1, constant):
    """Values that do not vary differ by 1e-16; that over its error of 1e-17 is no t of 10."""
    frame = clus1.assign(c=constant, d=2 * constant, near=constant + clus1["api00"] * 1e-4)
    gap = estimate.difference(frame, "c", CLUS1, by="sch.wide", between=("Yes", "No"))
    columns = estimate.difference(frame, ["d", "c"], CLUS1)
    assert (gap.value, gap.se, columns.se) == (0, 0, 0)
    assert columns.value == pytest.approx(constant, rel=1e-12)
    assert np.isnan([gap.t, gap.p, columns.t]).all()
    spread = estimate.variance(frame, "c", CLUS1)
    assert (spread.value, spread.se) == (0, 0)
    with pytest.raises(EstimationError, match="no regular covariance"):
        estimate.mean(frame, ["c", "d"], CLUS1).wald()
    # What varies by little is not taken for rounding.
    truth = estimate.mean(frame, "api00", CLUS1)
    near = estimate.mean(frame, "near", CLUS1)
    assert near.se == pytest.approx(1e-4 * truth.se, rel=1e-3)


def test_a_perfect_fit_has_no_error_and_says_so(clus1):
    found = estimate.regression(clus1.assign(twice=2 * clus1["api99"] + 3), "twice", CLUS1, on="api99")
    assert found.table["estimate"].tolist() == pytest.approx([3, 2], rel=1e-9)
    assert (found.table["se"] == 0).all()
    assert found.table[["t", "p"]].isna().all().all()
    assert any("give the response exactly" in note for note in found.notes)


def test_the_result_says_which_degrees_of_freedom_it_has(clus1):
    """R's subset and Stata count what is in the domain, R's svyby the whole sample: a silent difference elsewhere."""
    whole = estimate.mean(clus1, "api00", CLUS1)
    assert not any("degrees" in note for note in whole.notes)
    ours = estimate.mean(clus1, "api00", CLUS1, by="stype")
    assert "units minus strata among the rows used (as Stata); the whole sample has 14 (df='design')" in str(ours)
    assert "those of the whole sample (as R's svyby)" in str(
        estimate.mean(clus1, "api00", CLUS1, by="stype", df="design")
    )
    assert "degrees of freedom as given: inf" in str(estimate.mean(clus1, "api00", CLUS1, df=np.inf))
    gaps = clus1.assign(api00=clus1["api00"].where(clus1["dnum"] != 637))
    for found in (
        estimate.mean(gaps, "api00", CLUS1, missing="listwise"),
        estimate.of(gaps, lambda m: m.mean, CLUS1, items=["api00"]),
        estimate.quantile(gaps, "api00", CLUS1, missing="listwise"),
        estimate.regression(gaps, "api00", CLUS1, on="ell", missing="listwise"),
        estimate.difference(gaps, ["api00", "api99"], CLUS1, missing="listwise"),
        estimate.crosstab(
            gaps.assign(high=(gaps["api00"] > 600).where(gaps["api00"].notna())),
            ["stype", "high"],
            CLUS1,
            missing="listwise",
        ),
    ):
        assert any("the whole sample has 14" in note for note in found.notes)


def test_long_lists_in_notes_are_counted(clus1):
    found = estimate.mean(clus1, "api00", CLUS1, by=["dnum", "stype"])
    note = next(note for note in found.notes if "no degrees" in note)
    assert note.endswith(f"and {len(found.table) - 12} more")


def test_numbers_of_numpy_are_numbers(clus1):
    a = estimate.quantile(clus1, "api00", CLUS1, q=np.float32(0.5), level=np.float32(0.5), df=np.int64(14))
    b = estimate.quantile(clus1, "api00", CLUS1, q=0.5, level=0.5, df=14)
    assert (a.value, a.low, a.high) == (b.value, b.low, b.high)


def test_values_that_do_not_vary_have_no_error_and_no_design_effect(clus1):
    found = estimate.mean(clus1.assign(c=3.1), "c", CLUS1)
    assert found.se == 0
    assert np.isnan(found.deff)


@pytest.mark.parametrize("level", [0.995, 0.999])
def test_a_level_is_printed_as_it_is(clus1, level):
    one = estimate.mean(clus1, "api00", CLUS1, level=level)
    table = estimate.mean(clus1, ["api00", "api99"], CLUS1, level=level)
    quantiles = estimate.quantile(clus1, "api00", CLUS1, level=level)
    for found in (one, table, quantiles):
        assert f"{100 * level:g}%" in str(found)
        assert "100%" not in str(found)
