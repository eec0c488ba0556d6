"""Cronbach's alpha: closed forms, R psych, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference, table

from csi_lab import DataError, Design, EstimationError, SpecError
from csi_lab.moments import Moments
from csi_lab.reliability import (
    _alpha,
    _alpha_if_deleted,
    alpha_table,
    cronbach_alpha,
    ordinal_alpha,
)
from csi_lab.reliability.coefficient import item_rest_correlations
from csi_lab.resampling import replicates


@pytest.fixture(scope="module")
def bfi() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "bfi25.csv")


@pytest.mark.parametrize(("k", "expected"), [(3, 0.75), (2, 2 / 3), (9, 0.9)])
def test_equal_correlations_of_a_half(k, expected):
    """alpha = k r / (1 + (k - 1) r), for one matrix and for a stack."""
    cov = np.full((k, k), 0.5) + 0.5 * np.eye(k)
    assert _alpha(cov) == pytest.approx(expected, rel=1e-12)
    assert _alpha(np.stack([cov, 4 * cov])) == pytest.approx([expected, expected], rel=1e-12)


@pytest.mark.parametrize("scale", ["A", "C", "N"])
def test_agrees_with_psych(bfi, scale):
    """tests/reference/reliability/bfi_scales_ACN.json, R psych 2.2.9: alpha and tables 1e-12, Feldt 1e-10."""
    ref = read_reference("reliability/bfi_scales_ACN.json")[scale]
    items = [f"{scale}{i}" for i in range(1, 6)]
    answers = bfi[items].copy()
    for item, key in zip(items, ref["keys"], strict=True):
        answers[item] = answers[item] if key == 1 else 7 - answers[item]
    ours, theirs = cronbach_alpha(answers, scale=scale), ref["complete"]
    assert (ours.n, ours.n + ours.dropped) == (theirs["n"], 2800)
    assert ours.value == pytest.approx(theirs["total"]["raw_alpha"], abs=1e-12)
    assert ours.standardised == pytest.approx(theirs["total"]["std.alpha"], abs=1e-12)
    assert [ours.low, ours.high] == pytest.approx(_feldt_ends(theirs["feldt"]), abs=1e-10)
    without, stats = table(theirs["alpha_drop"]), table(theirs["item_stats"])
    strip = lambda frame: frame.set_axis([str(i).rstrip("-") for i in frame.index])  # noqa: E731
    assert (ours.items["alpha_if_deleted"] - strip(without)["raw_alpha"]).abs().max() < 1e-12
    assert (ours.items["item_rest"] - strip(stats)["r.drop"]).abs().max() < 1e-12


def _feldt_ends(feldt: dict) -> list[float]:
    return [feldt["lower"], feldt["upper"]]


FELDT = {
    "Image": (0.6544, 0.7668),
    "Expectation": (0.2989, 0.5444),
    "Quality": (0.8467, 0.8952),
    "Value": (0.7649, 0.8571),
    "Satisfaction": (0.7159, 0.8154),
    "Loyalty": (0.3101, 0.5517),
}


@pytest.mark.parametrize("construct", FELDT)
def test_feldts_intervals_of_the_mobile_survey(mobi, ecsi, construct):
    """1 - (1 - a) F with the quantiles of F(249, 249 (k - 1)); computed with R's qf, four decimals."""
    ours = cronbach_alpha(mobi, ecsi.constructs[construct])
    assert [ours.low, ours.high] == pytest.approx(FELDT[construct], abs=6e-5)


def test_first_eigenvalues_of_the_blocks_meet_the_table(mobi, ecsi):
    """published_tables.json, mobi_descriptives, first_two_eigenvalues, three decimals; of two items 1 + r and 1 - r."""
    from csi_lab.factors import scree

    tables = read_reference("published_tables.json")["tables"]
    published = next(t for t in tables if t["id"] == "mobi_descriptives")["data"]["first_two_eigenvalues"]
    for construct, values in published.items():
        items = ecsi.constructs[construct]
        if len(items) > 2:
            assert scree(mobi, items).table["estimate"].iloc[:2].to_numpy() == pytest.approx(values, abs=6e-4)
        else:
            assert np.array([1, -1]) * mobi[list(items)].corr().iloc[0, 1] + 1 == pytest.approx(values, abs=6e-4)


def test_meets_the_published_alphas_of_the_mobile_survey(mobi, ecsi):
    """published_tables.json, mobi_descriptives, four decimals."""
    published = next(t for t in read_reference("published_tables.json")["tables"] if t["id"] == "mobi_descriptives")[
        "data"
    ]
    for construct, value in published["alpha_raw"].items():
        ours = cronbach_alpha(mobi, ecsi.constructs[construct])
        assert ours.value == pytest.approx(value, abs=1e-3)
        assert ours.standardised == pytest.approx(published["alpha_std"][construct], abs=1e-3)


def test_scaling_all_items_changes_nothing_and_alpha_if_deleted_is_alpha_of_the_rest(mobi):
    items = [f"PERQ{i}" for i in range(1, 8)]
    a, b = cronbach_alpha(mobi, items), cronbach_alpha(mobi * 100, items)
    assert a.value == pytest.approx(b.value, rel=1e-12)
    rest = cronbach_alpha(mobi, items[1:])
    assert a.items.loc["PERQ1", "alpha_if_deleted"] == pytest.approx(rest.value, rel=1e-12)


def test_alpha_without_one_of_two_items_does_not_exist(mobi):
    result = cronbach_alpha(mobi, ["PERV1", "PERV2"])
    assert result.items["alpha_if_deleted"].isna().all()
    assert result.items["item_rest"].to_numpy() == pytest.approx(mobi["PERV1"].corr(mobi["PERV2"]), rel=1e-12)


def test_item_functions_broadcast(mobi):
    cov = Moments.from_frame(mobi[["CUSA1", "CUSA2", "CUSA3"]]).cov
    for function in (_alpha_if_deleted, item_rest_correlations):
        assert function(np.stack([cov, cov]))[1] == pytest.approx(function(cov), rel=1e-14)


def test_an_interval_that_would_ignore_weights_is_withheld(mobi):
    result = cronbach_alpha(mobi, ["CUSA1", "CUSA2", "CUSA3"], weights=np.linspace(1, 2, 250))
    assert np.isnan(result.low)
    assert "CI" not in str(result)
    assert "Feldt" in result.interval


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pd.DataFrame({"q1": [1, 2], "q2": ["agree", "disagree"]}),
            "q2.*declare missing codes|declare missing.*\n.*q2",
        ),
        (pd.DataFrame({"q1": [1, 2, 3], "q2": [4, 4, 4]}), r"do not vary.*\['q2'\]"),
        (pd.DataFrame({"q1": [1, 2, 3]}), "two items or more"),
        (pd.DataFrame({"q1": [1.0, np.nan], "q2": [np.nan, 2.0]}), "no row of 2"),
    ],
)
def test_scales_that_have_no_alpha_are_refused(frame, message):
    with pytest.raises(DataError, match=message):
        cronbach_alpha(frame)


@pytest.mark.parametrize("scale", ["A", "C", "N"])
def test_duhachek_agrees_with_psych(bfi, scale):
    """tests/reference/reliability/bfi_scales_ACN.json: ase 1e-12, interval 1e-10."""
    ref = read_reference("reliability/bfi_scales_ACN.json")[scale]
    answers = pd.DataFrame(
        {
            i: bfi[i] if key == 1 else 7 - bfi[i]
            for i, key in zip(bfi.filter(regex=f"^{scale}[1-5]$"), ref["keys"], strict=True)
        }
    )
    ours = cronbach_alpha(answers, formula="duhachek")
    assert ours.se == pytest.approx(ref["complete"]["ase"], abs=1e-12)
    assert [ours.low, ours.high] == pytest.approx(ref["complete"]["duhachek"], abs=1e-10)


def test_bootstrap_of_alpha_is_alpha_of_each_resample(mobi):
    """The interval's ends are quantiles of alphas computed one resample at a time."""
    items = ["CUSA1", "CUSA2", "CUSA3"]
    picked = np.random.default_rng(5).integers(0, 250, size=(40, 250))
    made = replicates(mobi, items=items, indices=picked)
    ours = cronbach_alpha(mobi, items, replicates=made)
    each = [_alpha(np.cov(mobi[items].to_numpy()[rows], rowvar=False)) for rows in picked]
    assert [ours.low, ours.high] == pytest.approx(np.quantile(each, [0.025, 0.975]), rel=1e-12)
    assert ours.se == pytest.approx(np.std(each, ddof=1), rel=1e-10)
    whole = ours.intervals
    assert whole.loc[("alpha", ""), "estimate"] == ours.value
    assert whole.loc[("item_rest", "CUSA2"), "estimate"] == pytest.approx(ours.items.loc["CUSA2", "item_rest"])
    assert (whole["low"] < whole["estimate"]).all()
    assert (whole["estimate"] < whole["high"]).all()


def test_bootstrap_error_is_that_of_normal_theory_for_normal_answers():
    """Parallel normal items: the bootstrap's error within 4 of its own standard errors of Duhachek's (draws and n)."""
    rng = np.random.default_rng(11)
    frame = pd.DataFrame(rng.normal(size=(1500, 1)) + rng.normal(size=(1500, 4)), columns=list("abcd"))
    drawn, formula = cronbach_alpha(frame, draws=1000), cronbach_alpha(frame, formula="duhachek")
    # The error of a standard deviation from 1,000 draws is 2.2 %, that of fourth moments at n = 1,500 about 4 %.
    assert drawn.se == pytest.approx(formula.se, rel=4 * np.hypot(0.022, 0.04))


def test_bootstrap_honours_clusters():
    """Each cluster holds copies of one respondent, so the error is that of the clusters alone."""
    rng = np.random.default_rng(2)
    few = pd.DataFrame(rng.normal(size=(60, 1)) + rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    many = few.loc[np.repeat(few.index, 10)].reset_index(drop=True).assign(town=np.repeat(np.arange(60), 10))
    items = ["a", "b", "c"]
    clustered = cronbach_alpha(many, items, replicates=replicates(many, Design(psu="town"), items=items, draws=2000))
    alone, naive = cronbach_alpha(few, draws=2000), cronbach_alpha(many, items, draws=2000)
    # Rao-Wu draws 59 of 60 clusters: 1 % apart; 2,000 draws: 1.6 % each.
    assert clustered.se == pytest.approx(alone.se, rel=0.1)
    assert naive.se < 0.5 * clustered.se


def test_replicates_of_other_rows_are_refused(mobi):
    gaps = mobi.assign(CUSL1=mobi["CUSL1"].where(np.arange(250) > 20))
    made = replicates(gaps, items=["CUSA1", "CUSA2", "CUSL1"], draws=20)
    with pytest.raises(DataError, match=r"229 rows used there, 250 here"):
        cronbach_alpha(gaps, ["CUSA1", "CUSA2"], replicates=made)


def test_alpha_table_with_draws_has_errors_and_the_same_estimates(mobi, ecsi):
    plain = alpha_table(mobi, ecsi.constructs)
    drawn = alpha_table(mobi, ecsi.constructs, draws=100)
    assert list(drawn) == ["estimate", "se", "low", "high", "standardised", "items", "n"]
    assert (drawn["estimate"].dropna() == plain["estimate"].dropna()).all()
    assert np.isnan(drawn.loc["Complaints", "estimate"])
    assert drawn["se"].dropna().between(0.005, 0.1).all()


def test_items_keyed_the_other_way_and_copies_are_named(mobi):
    frame = mobi[[f"PERQ{i}" for i in range(1, 8)]].assign(PERQ2=lambda f: 11 - f["PERQ2"])
    assert "run against the rest: PERQ2 (-0.54); are" in str(cronbach_alpha(frame))
    copied = mobi[["CUSA1", "CUSA2"]].assign(twin=2 * mobi["CUSA1"] + 1)
    assert "identical answers, up to scale: CUSA1 = twin" in str(cronbach_alpha(copied))


def test_items_that_cancel_have_no_alpha(mobi):
    frame = pd.DataFrame({"q1": mobi["CUSA1"], "q2": 11 - mobi["CUSA1"]})
    with pytest.raises(EstimationError, match=r"sum of the items does not vary: \['q1', 'q2'\]"):
        cronbach_alpha(frame)


def test_three_rows_have_an_alpha_with_an_interval_that_says_how_little_it_is_worth():
    result = cronbach_alpha(pd.DataFrame({"q1": [1, 2, 3], "q2": [1, 3, 3], "q3": [2, 2, 4]}))
    assert result.n == 3
    assert result.low < 0 < result.value < result.high < 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"level": 95}, "between 0 and 1"), ({"formula": "wald"}, r"formula='wald'.*feldt")],
)
def test_unknown_settings_are_refused(mobi, settings, message):
    with pytest.raises(SpecError, match=message):
        cronbach_alpha(mobi, ["CUSA1", "CUSA2"], **settings)


def test_an_item_named_twice_is_refused(mobi):
    for data in (mobi, Moments.from_frame(mobi)):
        with pytest.raises(DataError, match=r"named twice: \['CUSA1'\]"):
            cronbach_alpha(data, ["CUSA1", "CUSA1", "CUSA2"])


def test_a_string_is_one_item(mobi):
    with pytest.raises(DataError, match=r"two items or more, got \['CUSA1'\]"):
        cronbach_alpha(mobi, "CUSA1")


def test_ordinal_alpha_recovers_the_alpha_behind_coarse_answers():
    """Five parallel normal items, r = .5, alpha 5/6, cut at 0 and 1: ordinal alpha finds it, alpha falls short."""
    rng = np.random.default_rng(4)
    fine = np.sqrt(0.5) * (rng.normal(size=(4000, 1)) + rng.normal(size=(4000, 5)))
    coarse = pd.DataFrame(np.digitize(fine, [0.0, 1.0]), columns=list("abcde"))
    ours = ordinal_alpha(coarse)
    assert ours.n == 4000
    # Normal-theory error of alpha at n = 4,000 is .0042; coarse answers make it about half as large again.
    assert ours.value == pytest.approx(5 / 6, abs=4 * 1.5 * 0.0042)
    assert cronbach_alpha(coarse).value < 5 / 6 - 0.04
    assert "polychoric" in ours.definition


def test_ordinal_alpha_has_an_interval_by_draws():
    """1,000 answers cut from normal attitudes of alpha .75: the truth within five errors, which shrink with n."""
    rng = np.random.default_rng(5)
    latent = rng.normal(size=(1000, 1)) + rng.normal(size=(1000, 3))
    coarse = pd.DataFrame(np.digitize(latent, [-1.5, 0, 1.5]), columns=list("abc"))
    found = ordinal_alpha(coarse, draws=200, rng=1)
    assert found.low < found.value < found.high
    assert abs(found.value - 0.75) < 5 * found.se
    assert ordinal_alpha(coarse[:250], draws=200, rng=1).se == pytest.approx(2 * found.se, rel=0.35)
    assert np.isnan(ordinal_alpha(coarse).se)


def test_html_is_escaped(mobi):
    shown = cronbach_alpha(mobi, ["CUSA1", "CUSA2"], scale="<b>")._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
