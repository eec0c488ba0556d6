"""Adjusted weights stay with their rows: sorting, merging, parts, changed columns, drawn samples; failed draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference
from scipy import stats

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, Design, EstimationError, SpecError
from csi_lab.sampling import estimate, response, select, weight

DESIGN = Design(strata="stype", population="fpc")
MARGINS = {"sch.wide": {"No": 1072, "Yes": 5122}, "stype": {"E": 4421, "H": 755, "M": 1018}}


@pytest.fixture(scope="module")
def strat() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "apistrat.csv")


@pytest.fixture(scope="module")
def adjusted(strat):
    answered = pd.Series(np.arange(len(strat)) % 5 > 0, strat.index)
    frame = strat.assign(answered=answered)
    first = weight.nonresponse_cells(frame, "pw", "stype", responded="answered")
    return weight.calibrate(frame, first, {"stype": MARGINS["stype"], "api99": 3_914_069})


@pytest.fixture(scope="module")
def cases(strat):
    return strat.assign(answered=np.arange(len(strat)) % 5 > 0)


def all_of(data, weights):
    found = estimate.mean(data, "api00", DESIGN, weights=weights)
    return found.value, found.se


def test_a_sorted_frame_gets_the_weights_in_its_order(cases, adjusted):
    plain = all_of(cases, adjusted)
    for by in ("api00", "stype", "snum" if "snum" in cases else "enroll"):
        moved = cases.sort_values(by)
        assert all_of(moved, adjusted) == pytest.approx(plain, rel=1e-12)
        again = adjusted.aligned(moved)
        assert again.to_series().sort_index().to_numpy() == pytest.approx(adjusted.values, rel=1e-15)
        base = np.stack([again.base, again.base * (1 + np.arange(len(again)) % 3)])
        back = np.argsort(moved.index.to_numpy())
        assert again.again(base)[:, back] == pytest.approx(adjusted.again(base[:, back]), rel=1e-9)


def test_columns_may_come_and_go(cases, adjusted):
    plain = all_of(cases, adjusted)
    assert all_of(cases.assign(new=1.0, **{"sch.wide": "?"}), adjusted) == plain
    assert all_of(cases.drop(columns=["api99", "answered"]), adjusted) == plain


def test_text_written_and_read_again_is_the_same_frame(cases, adjusted, tmp_path):
    cases.to_csv(tmp_path / "cases.csv", index=False)
    assert all_of(pd.read_csv(tmp_path / "cases.csv"), adjusted) == pytest.approx(all_of(cases, adjusted), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.sort_values("api00").reset_index(drop=True), r"hold other values now.*'pw' in \d+ rows"),
        (lambda f: f.merge(f[["api00"]].reset_index(names="row"), on="api00").iloc[:200], "other values now"),
        (lambda f: f[f["stype"] == "E"], "belong to 200 rows; the data have 100 rows.*by="),
        (lambda f: f.set_index(f.index + 1), "1 rows of the data have labels that the weights do not have: 200"),
        (lambda f: f.set_index(np.arange(200) // 2), "labels occur twice in the data"),
        (lambda f: f.assign(api99=f["api99"].where(f.index > 3)), "'api99' in 4 rows: 0, 1, 2, 3"),
        (lambda f: f.assign(pw=f["pw"] * 1.001), "'pw' in 200 rows"),
        (lambda f: f.assign(stype=f["stype"].replace("M", "H")), "'stype' in 50 rows"),
    ],
)
def test_other_rows_are_refused(cases, adjusted, change, words):
    for use in (
        lambda f: estimate.mean(f, "api00", weights=adjusted),
        lambda f: weight.trim(f, adjusted, rule="mean"),
        lambda f: csi.replicates(f, items=["api00"], weights=adjusted, draws=3),
        lambda f: estimate.replicate_weights(f, None, adjusted, draws=3),
    ):
        with pytest.raises(DataError, match=words):
            use(change(cases))


def test_labels_that_occur_twice_do_when_nothing_moved(cases):
    twice = cases.set_index(np.arange(200) // 2)
    made = weight.post_stratify(twice, "pw", {"stype": MARGINS["stype"]})
    assert all_of(twice, made) == all_of(cases, weight.post_stratify(cases, "pw", {"stype": MARGINS["stype"]}))
    with pytest.raises(DataError, match="twice in the weights and the data"):
        all_of(twice.iloc[::-1], made)


def test_missing_values_are_alike_and_numbers_are_not_text(cases):
    frame = cases.assign(pw=cases["pw"].where(cases.index > 0, 0.0), stype=cases["stype"].where(cases.index > 0))
    made = weight.post_stratify(frame, "pw", {"stype": MARGINS["stype"]})
    assert len(made.aligned(frame.iloc[::-1])) == 200
    digits = cases.assign(code=np.arange(200) % 2)
    made = weight.post_stratify(digits, "pw", {"code": {0: 3000, 1: 3194}})
    assert len(made.aligned(digits.astype({"code": float}))) == 200
    with pytest.raises(DataError, match="'code' in 200 rows"):
        made.aligned(digits.astype({"code": str}))


def test_moments_and_rates_take_the_weights_in_row_order(cases):
    made = weight.rake(cases, "pw", MARGINS)
    moved = cases.sort_values("api00")
    plain, sorted_ = (csi.Moments.from_frame(f[["api00", "api99"]], weights=made) for f in (cases, moved))
    assert sorted_.mean == pytest.approx(plain.mean, rel=1e-12)


def test_a_drawn_sample_is_weighted_from_its_design():
    register = pd.DataFrame({"plan": list("aab") * 40, "y": np.arange(120.0)})
    sample = select.stratified(register, "plan", {"a": 20, "b": 30}, rng=1)
    totals = {"plan": {"a": 100, "b": 20}}
    for weights in (None, sample.frame["weight"], "weight"):
        made = weight.post_stratify(sample, weights, totals)
        assert made.base.tolist() == sample.frame["weight"].tolist()
        assert made.values == pytest.approx(np.where(sample.frame["plan"] == "a", 5.0, 20 / 30))
    assert estimate.mean(sample, "y", weights=made).notes[0].startswith("weights post-stratified")
    assert weight.rake(sample, None, totals).values == pytest.approx(made.values)
    assert weight.calibrate(sample, None, totals).values == pytest.approx(made.values)
    assert weight.trim(sample, None, cap=10).values.sum() == pytest.approx(120)
    assert weight.base(sample, "probability").tolist() == sample.frame["weight"].tolist()
    assert weight.effective_n(sample) == pytest.approx(weight.effective_n(sample.frame["weight"]))
    answered = np.arange(50) % 3 > 0
    assert weight.nonresponse_cells(sample, None, "plan", responded=answered).values.sum() == pytest.approx(120)
    assert weight.propensity(sample, None, "y", responded=answered).n == 50
    assert response.bias(sample, "y", responded=answered).n == 50


def test_what_is_neither_frame_nor_sample_is_refused():
    with pytest.raises(DataError, match="need a DataFrame, a survey or a Sample, got list"):
        weight.rake([1, 2], None, MARGINS)
    register = pd.DataFrame({"plan": list("ab") * 10})
    by_hand = select.convenience(register.assign(ease=1.0), 3, "ease", rng=1)
    with pytest.raises(SpecError, match="no design weights"):
        weight.effective_n(by_hand)
    assert weight.base(by_hand.frame.assign(p=0.5), "p").tolist() == [2.0, 2.0, 2.0]
    assert weight.trim(by_hand, None, rule="mean").base.tolist() == [1.0, 1.0, 1.0]


def test_raking_unequal_weights_has_the_error_of_calibrate(strat):
    """R 4.1-1: calibrate(calfun = "raking") 9.26748; rake() regresses without weights and gives 9.27921."""
    theirs = read_reference("survey/raking_quantile.json")
    frame = strat.assign(imp=theirs["comp_imp"])
    raked = weight.rake(frame, "pw", {"sch.wide": MARGINS["sch.wide"], "imp": {0: 2000, 1: 4194}})
    assert raked.values == pytest.approx(theirs["weights"], rel=1e-9)
    assert all_of(frame, raked) == pytest.approx(theirs["calibrate"], rel=1e-9)
    assert theirs["rake"][0] == pytest.approx(theirs["calibrate"][0], rel=1e-8)
    assert all_of(frame, raked)[1] < theirs["rake"][1] * (1 - 1e-3)
    # R's other number is the regression without weights.
    w = raked.values
    x = np.column_stack([np.ones(200), frame["sch.wide"] == "Yes", frame["imp"]])
    z = (frame["api00"] - w @ frame["api00"] / w.sum()).to_numpy() / w.sum()
    plain = Design(strata="stype", population="fpc")
    e = (z - x @ np.linalg.lstsq(x, z, rcond=None)[0]) * w
    unweighted = estimate.total(frame.assign(e=e, one=1.0), "e", plain, weights="one").se
    assert unweighted == pytest.approx(theirs["se_unweighted"][0], rel=1e-9)
    assert unweighted == pytest.approx(theirs["rake"][1], rel=1e-7)


def test_draws_without_a_solution_are_left_out_and_counted():
    """A cell of two towns among nine is empty in some resamples: known from the draws themselves."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"town": np.repeat(np.arange(9), 6), "y": rng.normal(size=54), "w": 10.0})
    frame["area"] = np.where(frame["town"] < 2, "rare", "usual")
    made = weight.post_stratify(frame, "w", {"area": {"rare": 100, "usual": 440}})
    design = Design(weights="w", psu="town")
    plain = estimate.replicate_weights(frame, design, draws=400, rng=2)
    empty = plain[:, frame["area"] == "rare"].sum(axis=1) == 0
    assert 0 < empty.sum() < 200
    with pytest.warns(CsiLabWarning, match=rf"no solution in {empty.sum()} of 400 draws"):
        found = estimate.replicate_weights(frame, design, made, draws=400, rng=2)
    assert (np.isnan(found).all(axis=1) == empty).all()
    assert not np.isnan(found[~empty]).any()
    drawn = csi.replicates(frame, Design(psu="town"), items=["y"], weights=made, replicate_weights=found)
    assert (drawn.draws, drawn.failed) == (400 - empty.sum(), empty.sum())
    assert f"{empty.sum()} of 400 draws had no weights" in str(drawn)
    kept = csi.replicates(frame, Design(psu="town"), items=["y"], weights=made, replicate_weights=found[~empty])
    assert drawn.interval(lambda m: m.mean).se == kept.interval(lambda m: m.mean).se
    assert "had no weights" not in str(kept)
    holes = found.copy()
    holes[~empty, 0] = np.nan
    with pytest.raises(DataError, match="finite and not negative"):
        csi.replicates(frame, items=["y"], replicate_weights=holes)


def test_no_draw_with_a_solution_is_an_error():
    frame = pd.DataFrame({"town": np.arange(8), "area": ["only", *["other"] * 7], "w": 1.0, "x": np.arange(8.0)})
    # Every area of one town must be drawn at once, which the n - 1 draws of the bootstrap never do.
    frame["area"] = frame["town"].map(str)
    made = weight.post_stratify(frame, "w", {"area": {str(k): 3 for k in range(8)}})
    with pytest.raises(EstimationError, match="no solution in 50 of 50 draws"):
        estimate.replicate_weights(frame, Design(weights="w", psu="town"), made, draws=50, rng=1)


@pytest.fixture(scope="module")
def raked():
    """Respondents of towns in two provinces, whose weights were raked to counts that the sample does not have."""
    rng = np.random.default_rng(11)
    town = np.repeat(np.arange(20), 12)
    level = rng.normal(size=20)[town]
    frame = pd.DataFrame({"province": np.where(town < 10, "n", "s"), "town": town, "w": rng.uniform(1, 3, 240)})
    frame["sex"] = rng.choice(["f", "m"], 240)
    for item in ("q1", "q2", "q3"):
        frame[item] = np.clip(np.rint(6 + level + rng.normal(size=240)), 1, 10)
    frame.loc[:5, "q1"] = np.nan
    design = Design(weights="w", strata="province", psu="town")
    made = weight.rake(frame, "w", {"sex": {"f": 300, "m": 180}})
    drawn = estimate.replicate_weights(frame, design, made, draws=400, rng=3)
    return frame, design, made, drawn


def test_adjusted_weights_take_the_place_of_the_designs_in_replicates_which_keep_its_degrees_of_freedom(raked):
    frame, design, made, drawn = raked
    found = csi.replicates(frame, design, items=["q2"], weights=made, replicate_weights=drawn)
    assert found.df == 20 - 2
    wanted = estimate.mean(frame, "q2", design, weights=made)
    assert found.point.mean[0] == pytest.approx(wanted.value, rel=1e-12)
    # 400 draws: a relative error of 1 / sqrt(800) of the standard error.
    spread = found.interval(lambda moments: moments.mean[..., 0], kind="normal")
    assert spread.se == pytest.approx(wanted.se, rel=4.5 / np.sqrt(800))
    assert spread.high - spread.low == pytest.approx(2 * stats.t.isf(0.025, 18) * spread.se, rel=1e-9)
    held = csi.replicates(frame, design, items=["q2"], weights=made, draws=50)
    assert held.point.mean[0] == pytest.approx(wanted.value, rel=1e-12)
    with pytest.raises(SpecError, match="weights are given twice"):
        csi.replicates(frame, design, items=["q2"], weights=np.ones(240))


def test_the_index_of_a_frame_takes_case_weights_of_every_kind(raked):
    frame, design, made, drawn = raked
    blocks, w = {"Satisfaction": ["q1", "q2"], "Value": ["q3"]}, made.to_series()
    found = csi.index.from_items(frame, blocks, (1, 10), case_weights=made)
    for name, block in blocks.items():
        there = frame[block].notna().all(axis=1)
        score = (frame.loc[there, block].mean(axis=1) - 1) / 9 * 100
        assert found.table.loc[name, "estimate"] == pytest.approx(np.average(score, weights=w[there]), rel=1e-12)
        assert "se" not in found.table or np.isnan(found.table.loc[name, "se"])
    for kind in (w, w.sample(frac=1, random_state=1), w.tolist()):
        again = csi.index.from_items(frame, blocks, (1, 10), case_weights=kind)
        pd.testing.assert_frame_equal(again.table, found.table)
    # Multiplying weights changes nothing; a row of weight zero is nobody, whatever it holds.
    more = pd.concat([frame.assign(r=7 * w), frame.head(3).assign(r=0.0, q2=99)], ignore_index=True)
    again = csi.index.from_items(more, blocks, (1, 10), case_weights="r")
    np.testing.assert_allclose(again.table["estimate"], found.table["estimate"], rtol=1e-12)
    for name, block in blocks.items():
        sample = csi.replicates(frame, design, items=block, weights=made, replicate_weights=drawn)
        one = csi.index.from_items(frame, {name: block}, (1, 10), case_weights=made, replicates=sample, kind="normal")
        assert one.table.loc[name, "estimate"] == pytest.approx(found.table.loc[name, "estimate"], rel=1e-12)
        assert one.table.loc[name, "se"] > 0
    with pytest.raises(DataError, match="other rows or weights"):
        csi.index.from_items(frame, {"Value": ["q3"]}, (1, 10), replicates=sample)
    with pytest.raises(DataError, match="belong to 240 rows"):
        csi.index.from_items(frame.head(100), blocks, (1, 10), case_weights=made)
    with pytest.raises(DataError, match="brings"):
        csi.index.from_items(csi.load_survey("mobile"), {"S": ["CUSA1"]}, (1, 10), case_weights=np.ones(250))
