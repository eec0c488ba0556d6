"""Missing answers: EM and item means against lavaan, closed forms, known truth, and row-by-row replicates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, ecsi_mobile, read_reference

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, Design, EstimationError, PathModel, SpecError
from csi_lab.incomplete import completed_moments, incomplete_units
from csi_lab.moments import Moments
from csi_lab.resampling import replicates
from csi_lab.sem import pls, plspredict

SMALL = PathModel({"I": ["IMAG1", "IMAG2"], "S": ["CUSA1", "CUSA2"]}, {"S": "I"})
ITEMS = list(SMALL.items)


@pytest.fixture(scope="module")
def holes(mobi) -> pd.DataFrame:
    """The mobile answers without 3 % of them."""
    return mobi.astype(float).mask(np.random.default_rng(0).random(mobi.shape) < 0.03)


@pytest.mark.parametrize("name", ["airquality", "nhanes"])
def test_em_agrees_with_lavaan(name):
    """tests/reference/missing/little_mcar.json: moments to a relative 1e-6, Little's statistic from them to 1e-8."""
    ref = read_reference("missing/little_mcar.json")[name]
    frame = pd.read_csv(REFERENCE / "data" / f"{name}.csv")[list(ref["em_mean"])]
    found = completed_moments(frame)
    cov = found.cov * (found.n - 1) / found.n
    assert found.n == ref["n"]
    assert found.mean == pytest.approx(np.array(list(ref["em_mean"].values())), rel=1e-9)
    assert cov == pytest.approx(np.array(ref["em_cov"]["data"]), rel=1e-8)
    x = frame.to_numpy(dtype=float)
    statistic = 0.0
    for pattern in np.unique(~np.isnan(x), axis=0):
        rows = x[(~np.isnan(x) == pattern).all(axis=1)][:, pattern]
        d = rows.mean(axis=0) - found.mean[pattern]
        statistic += len(rows) * d @ np.linalg.solve(cov[np.ix_(pattern, pattern)], d)
    assert statistic == pytest.approx(ref["statistic"], abs=1e-8)


def test_em_of_two_items_has_its_closed_form():
    """Anderson (1957): x complete, y known for some rows; regression of y on x among these, then all of x."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=60)
    y = 0.7 * x + rng.normal(size=60)
    y[x > 0.5] = np.nan
    known = ~np.isnan(y)
    slope = np.cov(x[known], y[known], ddof=0)[0, 1] / x[known].var()
    rest = y[known].var() - slope**2 * x[known].var()
    mean = y[known].mean() + slope * (x.mean() - x[known].mean())
    found = completed_moments(pd.DataFrame({"x": x, "y": y}))
    cov = found.cov * 59 / 60
    assert found.mean == pytest.approx([x.mean(), mean], abs=1e-10)
    assert cov[0] == pytest.approx([x.var(), slope * x.var()], abs=1e-10)
    assert cov[1, 1] == pytest.approx(rest + slope**2 * x.var(), abs=1e-10)


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_complete_answers_are_left_as_they_are(mobi, ecsi, missing):
    plain, found = Moments.from_frame(mobi), completed_moments(mobi, missing=missing)
    assert (found.cov == plain.cov).all()
    assert str(found) == str(plain)
    assert pls(mobi, ecsi, missing=missing).paths.equals(pls(mobi, ecsi).paths)
    a = pls(mobi, ecsi, missing=missing).bootstrap(64).paths
    assert a.equals(pls(mobi, ecsi).bootstrap(64).paths)


def test_means_put_in_are_what_filling_the_frame_gives(holes, ecsi):
    found = completed_moments(holes, missing="mean")
    filled = Moments.from_frame(holes.fillna(holes.mean()))
    assert found.mean == pytest.approx(filled.mean, abs=1e-12)
    assert found.cov == pytest.approx(filled.cov, abs=1e-12)
    assert found.n == 250


def test_answers_missing_at_random_bias_listwise_and_means_but_not_em():
    """y is asked only where x is low: E y = 0, sd 1, correlation .6; four standard errors of a mean of 4,000 rows."""
    rng = np.random.default_rng(2)
    x, z = rng.normal(size=(2, 4000))
    y = 0.6 * x + 0.8 * rng.normal(size=4000)
    y[x > 0] = np.nan
    frame = pd.DataFrame({"x": x, "z": z, "y": y})
    em, mean, listwise = completed_moments(frame), completed_moments(frame, missing="mean"), Moments.from_frame(frame)
    # Half of the rows show y; its mean at x = 0 has a variance of about .64 (1 + .64/.36) / 2000.
    bar = 4 * np.sqrt(0.64 * (1 + 0.64 / 0.36) / 2000 + 0.36 / 4000)
    assert abs(em.mean[2]) < bar
    assert em.corr[0, 2] == pytest.approx(0.6, abs=0.08)
    assert listwise.mean[2] < -0.4
    assert mean.mean[2] < -0.4
    assert mean.corr[0, 2] < 0.35


def test_units_of_items_and_order_of_rows_do_not_matter(holes):
    a = completed_moments(holes[ITEMS])
    b = completed_moments((1000 * holes[ITEMS] - 7)[::-1])
    assert b.corr == pytest.approx(a.corr, abs=1e-9)
    assert b.mean == pytest.approx(1000 * a.mean - 7, rel=1e-9)


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_whole_weights_equal_repeated_rows(holes, missing):
    w = np.random.default_rng(3).integers(1, 4, len(holes))
    weighted = completed_moments(holes[ITEMS], weights=w, missing=missing)
    repeated = completed_moments(holes.loc[holes.index.repeat(w), ITEMS], missing=missing)
    assert weighted.mean == pytest.approx(repeated.mean, abs=1e-10)
    assert weighted.corr == pytest.approx(repeated.corr, abs=1e-10)


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_each_replicate_is_completed_as_it_would_be_alone(holes, missing):
    """The jackknife leaves out one row in turn: the same as completing the others."""
    frame = holes[ITEMS][:40]
    made = replicates(frame, missing=missing, method="jackknife")
    assert made.draws == 40
    for row in (0, 7, 39):
        alone = completed_moments(frame.drop(index=row), missing=missing)
        assert made.moments.n[row] == 39
        assert made.moments.mean[row] == pytest.approx(alone.mean, abs=1e-5)
        assert made.moments.cov[row] == pytest.approx(alone.cov, abs=1e-5)


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_draws_are_reproducible_whatever_their_number(holes, missing):
    few, many = (replicates(holes[ITEMS], missing=missing, draws=d, rng=5) for d in (70, 140))
    assert few.moments.cov == pytest.approx(many.moments.cov[:70], abs=1e-12)


def test_resampling_follows_the_design(holes):
    rng = np.random.default_rng(4)
    frame = holes[ITEMS].assign(town=rng.integers(0, 25, 250), province=np.arange(250) % 2, w=rng.uniform(1, 3, 250))
    design = Design(weights="w", strata="province", psu="town")
    units = incomplete_units(frame, ITEMS, design, None, "em")
    complete = replicates(frame.fillna(5), design, items=ITEMS, draws=10)
    assert units.count == complete.units.count
    assert units.df == complete.df
    # Without gaps in the pattern sums, all units once are the whole sample.
    n, weight, sums, products = units.combine(np.ones((1, units.count)))
    assert (n[0], weight[0]) == (250, pytest.approx(frame["w"].sum()))
    assert sums[0] == pytest.approx(units.point.sums, abs=1e-4)
    assert products[0] == pytest.approx(units.point.products, abs=1e-3)


def test_groups_of_rows_hold_the_whole_sample(holes):
    units = incomplete_units(holes, ITEMS, Design(), None, "em")
    grouped = units.grouped(20, np.random.default_rng(6))
    assert grouped.count == 20
    assert grouped.rows == 250
    for a, b in zip(units.combine(np.ones((1, 250)))[2:], grouped.combine(np.ones((1, 20)))[2:], strict=True):
        assert a == pytest.approx(b, abs=1e-6)


def test_items_left_out_later_still_help_to_complete(holes):
    units = incomplete_units(holes, ITEMS, Design(), None, "em")
    part = units[["CUSA1", "IMAG1"]].combine(np.ones((1, 250)))
    whole = units.combine(np.ones((1, 250)))
    assert part[3][0] == pytest.approx(whole[3][0][np.ix_([2, 0], [2, 0])], abs=1e-12)


def test_a_fit_says_what_was_done_to_how_many(holes, ecsi):
    count = int(holes[list(ecsi.items)].isna().sum().sum())
    rows = int(holes[list(ecsi.items)].isna().any(axis=1).sum())
    said = f"{count} missing answers in {rows} rows"
    assert f"250 rows; {said} completed by EM (multivariate normal, " in str(pls(holes, ecsi, missing="em"))
    assert f"250 rows; {said} replaced by item means: IMAG1 " in str(pls(holes, ecsi, missing="mean"))
    assert f"{250 - rows} rows, {rows} left out (missing answers)" in str(pls(holes, ecsi))
    with pytest.raises(DataError, match=f"{rows} of 250 rows have missing answers"):
        pls(holes, ecsi, missing="raise")


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_intervals_of_every_kind_complete_each_draw(holes, missing):
    fit = pls(holes, SMALL, missing=missing)
    for settings in ({"kind": "bca"}, {"kind": "normal", "method": "jackknife"}, {"method": "random groups"}):
        found = fit.bootstrap(200, rng=1, **settings).paths.loc[("I", "S")]
        assert found["low"] < found["estimate"] < found["high"]
        # About sqrt((1 - r2) / n) = .055, a little more where answers are missing.
        assert 0.04 < found["se"] < 0.11


def test_replicates_that_treat_gaps_otherwise_are_refused(holes):
    fit = pls(holes, SMALL, missing="em")
    with pytest.raises(EstimationError, match="treat missing answers differently"):
        fit.bootstrap(replicates=replicates(holes[ITEMS], draws=10))
    made = replicates(holes[ITEMS], missing="em", draws=30)
    assert fit.bootstrap(replicates=made).paths["se"].gt(0).all()


def test_draws_in_which_em_has_no_solution_are_left_out_and_counted():
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4, 5, 6], "b": [2.0, 1, 4, 3, 6, np.nan], "c": [1.0, 1, 2, 5, 3, 9]})
    model = PathModel({c: c for c in "abc"}, {"b": "a", "c": "a"})
    with pytest.warns(CsiLabWarning, match="8 rows for 1 arrows"):
        fit = pls(frame.loc[frame.index.repeat([2, 2, 1, 1, 1, 1])], model, missing="em")
    boot = fit.bootstrap(64, rng=1)
    lost = int((~boot.replicated.converged).sum())
    assert lost > 0
    assert f"{lost} draws without a solution left out" in str(boot)
    assert np.isfinite(boot.paths).all(axis=None)


@pytest.mark.parametrize("version", ["simple", "extended"])
def test_meets_the_published_reputation_models(version):
    """Hair et al., corporate reputation: mean replacement of 11 missing cells; tolerance of the table 5e-4."""
    tables = read_reference("published_tables.json")["tables"]
    published = next(t for t in tables if t["id"] == f"corp_rep_{version}")["data"]
    survey = csi.load_survey("reputation")
    short = {"QUAL": "Quality", "PERF": "Performance", "CSOR": "Responsibility", "ATTR": "Attractiveness"}
    short |= {"COMP": "Competence", "LIKE": "Likeability", "CUSA": "Satisfaction", "CUSL": "Loyalty"}
    model = survey.model
    if version == "simple":
        kept = ["Competence", "Likeability", "Satisfaction", "Loyalty"]
        model = PathModel(
            {c: model.constructs[c] for c in kept}, {t: model.paths[t] for t in ("Satisfaction", "Loyalty")}
        )
    fit = pls(survey, model, missing="mean")
    assert "11 missing answers in 8 rows replaced by item means" in str(fit)
    for arrow, value in published["paths"].items():
        source, target = arrow.split("->")
        assert fit.paths.loc[(short[source], short[target]), "estimate"] == pytest.approx(value, abs=5e-4)


def test_completed_moments_do_not_add_up(holes, mobi):
    part = completed_moments(holes)
    for a, b in ((part, part), (part, Moments.from_frame(mobi)), (Moments.from_frame(mobi), part)):
        with pytest.raises(DataError, match="do not add up"):
            a + b
    assert sum([part]) is part


def test_rows_without_any_answer_are_left_out_and_counted(holes):
    longer = pd.concat([holes[ITEMS], holes[ITEMS][:3] * np.nan], ignore_index=True)
    for missing in ("em", "mean"):
        found = completed_moments(longer, missing=missing)
        assert (found.n, found.dropped) == (250, 3)
        assert found.cov == pytest.approx(completed_moments(holes[ITEMS], missing=missing).cov, abs=1e-12)
        assert "3 left out (missing answers)" in str(found)


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_rows_of_weight_zero_are_no_respondents(holes, missing):
    w = np.where(holes.index < 30, 0.0, 1.5)
    found = completed_moments(holes[ITEMS], weights=w, missing=missing)
    rest = completed_moments(holes[ITEMS][30:], missing=missing)
    assert (found.n, found.dropped) == (220, 30)
    assert found.cov == pytest.approx(rest.cov, abs=1e-10)
    fit = pls(holes, SMALL, weights=w, missing=missing)
    assert fit.blindfolding(holes, weights=w).n == 220
    with pytest.raises(DataError, match=r"positive weight: \['CUSA1'\]"):
        completed_moments(holes[ITEMS].assign(CUSA1=holes["CUSA1"].where(w == 0)), weights=w, missing=missing)


@pytest.mark.parametrize("missing", ["em", "mean"])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"CUSA1": np.nan}, DataError, r"without any answer: \['CUSA1'\]"),
        ({"CUSA1": "good"}, DataError, "'CUSA1' holds text in 250 rows"),
        ({"CUSA1": np.inf}, DataError, "infinite values: 'CUSA1'"),
    ],
)
def test_answers_that_cannot_be_completed_are_named(holes, missing, change, error, message):
    with pytest.raises(error, match=message):
        completed_moments(holes[ITEMS].assign(**change), missing=missing)


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_constant_and_too_few_rows_are_refused(holes, ecsi, missing):
    flat = holes.assign(CUSA1=holes["CUSA1"].where(holes["CUSA1"].isna(), 5.0))
    with pytest.raises(DataError, match=r"do not vary.*\['CUSA1'\]"):
        pls(flat, ecsi, missing=missing)
    with pytest.raises(EstimationError, match=r"3 complete rows|complete rows of 3"):
        pls(holes[:3], ecsi, missing=missing)
    with pytest.raises(DataError, match="no row of 0"):
        pls(holes[:0], ecsi, missing=missing)


def test_em_refuses_copies_and_items_never_answered_together(holes):
    with pytest.raises(DataError, match=r"exactly collinear: \['CUSA1', 'CUSA2'\]"):
        completed_moments(holes[ITEMS].assign(CUSA1=holes["CUSA2"]))
    apart = holes[ITEMS].assign(
        CUSA1=holes["CUSA1"].where(holes.index < 100), CUSA2=holes["CUSA2"].where(holes.index >= 100)
    )
    with pytest.raises(DataError, match=r"never answered together: \['CUSA1 and CUSA2'\]"):
        completed_moments(apart)


def test_unknown_ways_and_moments_are_refused(holes, mobi):
    with pytest.raises(SpecError, match="missing='fiml' is unknown; use 'listwise', 'raise', 'em' or 'mean'"):
        pls(holes, ecsi_mobile(), missing="fiml")
    with pytest.raises(SpecError, match="missing='median'"):
        completed_moments(holes, missing="median")
    with pytest.raises(SpecError, match="at least 2 is needed"):
        replicates(holes, missing="em", draws=1)
    with pytest.raises(SpecError, match="method='jacknife'"):
        replicates(holes, missing="em", method="jacknife")
    with pytest.raises(DataError, match="moments have no rows"):
        completed_moments(Moments.from_frame(mobi))


@pytest.mark.parametrize("missing", ["em", "mean"])
def test_every_function_of_moments_takes_incomplete_answers(holes, missing):
    """Moments, alpha, KMO and AVE of completed answers are those of the completed moments; intervals need draws."""
    whole = completed_moments(holes[ITEMS], missing=missing)
    assert (Moments.from_frame(holes[ITEMS], missing=missing).cov == whole.cov).all()
    alpha = csi.reliability.cronbach_alpha(holes, ITEMS, missing=missing)
    assert alpha.value == csi.reliability.cronbach_alpha(whole).value
    assert np.isnan(alpha.low)
    assert "missing answers were completed" in alpha.interval
    drawn = csi.reliability.cronbach_alpha(holes, ITEMS, missing=missing, draws=100, rng=1)
    assert drawn.low < drawn.value < drawn.high
    assert csi.factors.kmo(holes, ITEMS, missing=missing).value == csi.factors.kmo(whole).value


@pytest.mark.parametrize(
    "call",
    [
        lambda frame: plspredict(frame, SMALL, missing="em"),
        lambda frame: csi.polychoric.polychoric(frame[ITEMS], missing="em"),
        lambda frame: csi.factors.parallel_analysis(frame[ITEMS], missing="em", null="permutation"),
        lambda frame: replicates(frame[ITEMS], missing="em", indices=np.zeros((2, 250), dtype=int)),
    ],
)
def test_what_needs_rows_says_so(holes, call):
    with pytest.raises(SpecError, match="rows"):
        call(holes)


def test_columns_named_by_numbers_are_completed_as_others(holes):
    frame = holes[ITEMS]
    numbered = frame.set_axis(range(len(ITEMS)), axis=1)
    found = replicates(numbered, draws=5, rng=1, missing="em")
    assert found.point.names == ("0", "1", "2", "3")
    assert (found.moments.cov == replicates(frame, draws=5, rng=1, missing="em").moments.cov).all()


def test_columns_named_by_numbers_are_explained(mobi):
    frame = mobi[ITEMS].set_axis(range(4), axis=1)
    with pytest.raises(DataError, match=r"astype\(str\)"):
        pls(frame, PathModel({"I": ["0", "1"], "S": ["2", "3"]}, {"S": "I"}))


def test_blindfolding_of_a_completed_fit_predicts_known_answers_only(holes, ecsi):
    fit = pls(holes, ecsi, missing="mean")
    found = fit.blindfolding(holes)
    assert (found.n, found.left_out) == (250, 0)
    known = holes[list(ecsi.constructs["Complaints"])].notna().sum().sum()
    # SSO of a standardised item is about the number of known answers.
    assert found.table.loc["Complaints", "sso"] == pytest.approx(known, rel=0.1)


def test_gaps_completed_row_by_row_give_what_the_sums_of_their_patterns_give(holes, monkeypatch):
    """Two ways to the same estimate: rows that few others resemble one by one, or every pattern by its sums."""
    found = replicates(holes, draws=20, rng=1, missing="em")
    monkeypatch.setattr("csi_lab.em.FEW_ROWS", 0)
    sums = replicates(holes, draws=20, rng=1, missing="em")
    assert found.point.cov == pytest.approx(sums.point.cov, rel=1e-8)
    # Draws rest when nothing moves by more than 1e-7 of a standard deviation.
    assert found.moments.mean == pytest.approx(sums.moments.mean, abs=1e-5)
    assert found.moments.cov == pytest.approx(sums.moments.cov, abs=1e-4)
