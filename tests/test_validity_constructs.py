"""Convergent and discriminant validity: closed forms, R seminr and cSEM, replicates, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import read_reference, table

import csi_lab as csi
from csi_lab import CsiLabWarning, DataError, EstimationError, SpecError
from csi_lab.moments import Moments
from csi_lab.resampling import replicates
from csi_lab.sem import cbsem, pls
from csi_lab.validity import convergent_validity, fornell_larcker, heterotrait_monotrait, htmt, htmt2
from csi_lab.validity.measurement import average_variance_extracted

BAR = 1e-10  # tests/reference/pls/README.md


def congeneric(loadings: list[list[float]], between: float) -> tuple[np.ndarray, np.ndarray]:
    """Item correlations of constructs that all correlate at ``between``, and the membership of the items."""
    member = np.repeat(np.eye(len(loadings)), [len(block) for block in loadings], axis=0)
    pattern = member * np.concatenate(loadings)[:, None]
    latent = np.full((len(loadings),) * 2, between) + (1 - between) * np.eye(len(loadings))
    corr = pattern @ latent @ pattern.T
    np.fill_diagonal(corr, 1.0)
    return corr, member


def test_htmt_is_the_latent_correlation_when_loadings_are_equal():
    corr, member = congeneric([[0.8] * 3, [0.6] * 4, [0.9]], 0.7)
    found = htmt(corr, member)
    assert found[0, 1] == pytest.approx(0.7, abs=1e-14)
    # Nothing is known about the error of a single item, which counts as none.
    assert found[0, 2] == pytest.approx(0.7 * 0.9, abs=1e-14)
    assert np.diag(found).tolist() == [1, 1, 1]


def test_htmt2_is_the_latent_correlation_for_any_positive_loadings():
    corr, member = congeneric([[0.9, 0.7, 0.4], [0.8, 0.5]], 0.6)
    assert htmt2(corr, member)[0, 1] == pytest.approx(0.6, abs=1e-14)
    assert htmt(corr, member)[0, 1] > 0.6 + 0.01


def test_ratios_broadcast_and_do_not_mind_the_order_of_items():
    corr, member = congeneric([[0.9, 0.7, 0.4], [0.8, 0.5], [0.6, 0.7]], 0.5)
    turned = np.random.default_rng(0).permutation(len(corr))
    for function in (htmt, htmt2):
        one = function(corr, member)
        stack = function(np.stack([[corr, corr], [corr, np.eye(7)]]), member)
        assert stack.shape == (2, 2, 3, 3)
        assert stack[0, 1] == pytest.approx(one, abs=1e-15)
        moved = function(corr[np.ix_(turned, turned)], member[turned])
        assert moved == pytest.approx(one, abs=1e-14)


def test_negative_correlations_leave_htmt2_undefined_even_when_their_product_is_positive():
    corr = np.array([[1, 0.5, -0.2, -0.3], [0.5, 1, 0.4, 0.4], [-0.2, 0.4, 1, 0.5], [-0.3, 0.4, 0.5, 1]])
    member = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    assert np.isnan(htmt2(corr, member)[0, 1])
    assert htmt(corr, member)[0, 1] == pytest.approx(0.325 / 0.5)
    zero = np.where(corr < 0, 0.0, corr)
    assert htmt2(zero, member)[0, 1] == 0.0


def test_a_missing_correlation_touches_its_own_pairs_only():
    corr, member = congeneric([[0.9, 0.7], [0.8, 0.5], [0.6, 0.7]], 0.5)
    corr[0, 2] = corr[2, 0] = np.nan
    for function in (htmt, htmt2):
        found = function(corr, member)
        assert np.isnan(found[0, 1])
        assert np.isfinite(found[[0, 1], [2, 2]]).all()


def test_agrees_with_seminr_and_csem(mobi, ecsi):
    """tests/reference/pls: mobi_A_path.json (htmt), mobi_csem.json (htmt2, null where undefined)."""
    ours = heterotrait_monotrait(mobi, ecsi.constructs).table["estimate"]
    theirs = table(read_reference("pls/mobi_A_path.json")["htmt"])
    compared = [(theirs.loc[b, a], v) for (a, b), v in ours.items()]
    assert len(compared) == 21
    assert max(abs(x - y) for x, y in compared) < BAR
    two = heterotrait_monotrait(mobi, ecsi.constructs, ratio="htmt2")
    theirs = table(read_reference("pls/mobi_csem.json")["path_PLS"]["htmt2"])
    seen = 0
    for (a, b), value in two.table["estimate"].items():
        if a in theirs.index and b in theirs.index:
            assert np.isnan(value) == np.isnan(theirs.loc[b, a])
            if not np.isnan(value):
                assert abs(value - theirs.loc[b, a]) < BAR
                seen += 1
    assert seen == 14
    assert two.undefined == {("Quality", "Loyalty"): ("PERQ2-CUSL2 (-0.13)",)}
    assert "PERQ2-CUSL2" in str(two)


def test_the_four_pairs_of_the_mobile_survey_that_fail_are_named(mobi, ecsi):
    found = heterotrait_monotrait(mobi, ecsi.constructs)
    assert {k: round(v, 3) for k, v in found.failing["estimate"].items()} == {
        ("Image", "Quality"): 0.929,
        ("Image", "Satisfaction"): 0.910,
        ("Quality", "Satisfaction"): 0.954,
        ("Satisfaction", "Loyalty"): 0.957,
    }
    assert "4 of 15 pairs not below 0.90" in str(found)
    assert found.table.loc[("Image", "Complaints"), "verdict"] == "single item: not judged"
    assert len(heterotrait_monotrait(mobi, ecsi.constructs, cut=0.85).failing) == 8


def test_intervals_are_those_of_the_replicates(mobi, ecsi):
    """Draw by draw: percentiles of the ratios of the same resamples computed one at a time."""
    rows = np.random.default_rng(3).integers(0, 250, (60, 250))
    made = replicates(mobi, items=list(ecsi.items), indices=rows)
    found = heterotrait_monotrait(mobi, ecsi.constructs, replicates=made)
    member = np.repeat(np.eye(7), [len(block) for block in ecsi.constructs.values()], axis=0)
    draws = [htmt(mobi.iloc[at][list(ecsi.items)].corr().to_numpy(), member)[2, 4] for at in rows]
    row = found.table.loc[("Quality", "Satisfaction")]
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-10)
    assert row["se"] == pytest.approx(np.std(draws, ddof=1), rel=1e-9)
    assert row["verdict"] == "not below 0.90, interval reaches 1"


def test_whole_weights_equal_repeated_rows(mobi, ecsi):
    w = np.random.default_rng(2).integers(1, 4, len(mobi))
    a = heterotrait_monotrait(mobi, ecsi.constructs, weights=w)
    b = heterotrait_monotrait(mobi.loc[mobi.index.repeat(w)], ecsi.constructs)
    assert a.table["estimate"].to_numpy() == pytest.approx(b.table["estimate"].to_numpy(), abs=1e-12)


def test_ave_agrees_with_seminr_and_names_what_fails(mobi, ecsi):
    """tests/reference/pls/mobi_A_path.json; Image and Expectation lie below .50."""
    fit = pls(mobi, ecsi, tolerance=1e-14, max_iterations=2000)
    found = convergent_validity(fit)
    reference = table(read_reference("pls/mobi_A_path.json")["fornell_larcker"])
    for construct, value in found.constructs["estimate"].dropna().items():
        assert np.sqrt(value) == pytest.approx(reference.loc[construct, construct], abs=BAR)
    assert found.constructs.loc["Complaints", "verdict"] == "single item: no AVE"
    assert "below: Image (0.48), Expectation (0.48)" in str(found)
    assert "CUSL2 (0.20)" in str(found)


def test_fornell_larcker_agrees_with_seminr(mobi, ecsi):
    """tests/reference/pls/mobi_A_path.json: roots of AVE on the diagonal, correlations below it."""
    found = fornell_larcker(pls(mobi, ecsi, tolerance=1e-14, max_iterations=2000))
    theirs = table(read_reference("pls/mobi_A_path.json")["fornell_larcker"])
    both = found.matrix.notna() & theirs.notna()
    assert int(both.to_numpy().sum()) >= 27
    assert (found.matrix - theirs)[both].abs().max().max() < BAR
    failing = found.table[found.table["estimate"] <= 0]
    assert failing.index.tolist() == ["Image", "Quality"]
    assert failing["with"].tolist() == ["Quality", "Satisfaction"]
    assert "4 of 6" in str(found)


def test_given_loadings_serve_as_well_as_a_fit(mobi, ecsi):
    fit = pls(mobi, ecsi)
    a, b = convergent_validity(fit), convergent_validity(fit.loadings)
    assert a.constructs["estimate"].to_numpy() == pytest.approx(b.constructs["estimate"].to_numpy(), nan_ok=True)
    c = fornell_larcker(fit.loadings, fit.correlations)
    assert c.table["estimate"].to_numpy() == pytest.approx(fornell_larcker(fit).table["estimate"].to_numpy())
    assert average_variance_extracted(np.ones((5, 2, 3)), np.eye(3)).shape == (5, 2, 3)


def test_a_factor_model_is_judged_by_its_own_loadings_and_correlations(mobi):
    """AVE is that of the fit's reliability table; the criterion compares its root with the latent correlations."""
    blocks = {"Value": ["PERV1", "PERV2"], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"], "Again": "CUSL1"}
    fit = cbsem(mobi, csi.PathModel(blocks))
    ave = convergent_validity(fit).constructs["estimate"]
    theirs = fit.reliability["estimate"].xs("ave", level="coefficient")
    assert ave[["Value", "Satisfaction"]].to_numpy() == pytest.approx(theirs[["Value", "Satisfaction"]].to_numpy())
    assert np.isnan(ave["Again"])
    matrix = fornell_larcker(fit).matrix
    between = fit.latent_correlations["estimate"].loc[("Value", "Satisfaction")]
    assert np.nanmax([matrix.loc["Value", "Satisfaction"], matrix.loc["Satisfaction", "Value"]]) == pytest.approx(
        between
    )
    with pytest.raises(EstimationError, match="several groups"):
        convergent_validity(cbsem(mobi, csi.PathModel(blocks), groups=["a", "b"] * 125))


def test_a_bootstrapped_fit_brings_intervals(mobi, ecsi):
    fit = pls(mobi, ecsi).bootstrap(200, rng=1)
    ave = convergent_validity(fit).constructs
    margin = fornell_larcker(fit).table
    for frame in (ave.dropna(subset="estimate"), margin):
        assert ((frame["low"] <= frame["estimate"]) & (frame["estimate"] <= frame["high"])).all()
        assert (frame["se"] > 0).all()


def test_blocks_formed_by_their_items_have_no_ave(mobi, ecsi):
    formed = csi.PathModel(dict(ecsi.constructs), dict(ecsi.paths), {"Image": "B"})
    fit = pls(mobi, formed)
    found = convergent_validity(fit)
    assert np.isnan(found.constructs.loc["Image", "estimate"])
    assert found.loadings.loc[("Image", "IMAG1"), "verdict"] == "formative: see its weight"
    assert "Image" not in fornell_larcker(fit).table.index


def small() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.integers(1, 6, (40, 4)), columns=["a", "b", "c", "d"])


BLOCKS = {"X": ["a", "b"], "Y": ["c", "d"]}


@pytest.mark.parametrize(
    ("data", "blocks", "error", "message"),
    [
        (small().assign(c=3), BLOCKS, DataError, r"do not vary.*\['c'\]"),
        (small().assign(c="x"), BLOCKS, DataError, "'c' holds text"),
        (small().assign(c=np.nan), BLOCKS, DataError, r"without any answer: \['c'\]"),
        (small()[:3], BLOCKS, DataError, "3 complete rows"),
        (small().drop(columns="c"), BLOCKS, DataError, r"\['c'\]"),
        (small(), {"X": ["a", "b"], "Y": ["b", "c"]}, DataError, r"more than once: \['b'\]"),
        (small(), {"X": ["a", "b"]}, DataError, "two constructs"),
        (small(), {"X": ["a"], "Y": []}, DataError, "'Y' has no items"),
        (small(), None, DataError, "no constructs"),
    ],
)
def test_data_without_a_ratio_are_refused(data, blocks, error, message):
    with pytest.raises(error, match=message):
        heterotrait_monotrait(data, blocks)


def test_a_copied_item_is_treated_as_any_other_and_few_rows_warn():
    doubled = small().assign(b=lambda d: d.a)
    assert np.isfinite(heterotrait_monotrait(doubled, BLOCKS).table["estimate"]).all()
    with pytest.warns(CsiLabWarning, match="4 complete rows for 4 items"):
        heterotrait_monotrait(small()[:4], BLOCKS)


def test_settings_and_sources_that_make_no_sense_are_refused(mobi, ecsi):
    with pytest.raises(SpecError, match="ratio='HTMT'"):
        heterotrait_monotrait(mobi, ecsi.constructs, ratio="HTMT")
    with pytest.raises(SpecError, match="cut=90"):
        heterotrait_monotrait(mobi, ecsi.constructs, cut=90)
    stack = Moments.stack([Moments.from_frame(mobi)] * 2)
    with pytest.raises(EstimationError, match="several sets"):
        heterotrait_monotrait(stack, ecsi.constructs)
    with pytest.raises(DataError, match=r"X: a = 1.2"):
        convergent_validity({"X": {"a": 1.2, "b": 0.5}})
    with pytest.raises(DataError, match="construct correlations"):
        fornell_larcker({"X": {"a": 0.9, "b": 0.5}, "Y": {"c": 0.9, "d": 0.9}})
    odd = pd.DataFrame([[1, 0.5], [0.4, 1]], ["X", "Y"], ["X", "Y"])
    with pytest.raises(DataError, match="symmetric"):
        fornell_larcker({"X": {"a": 0.9, "b": 0.5}, "Y": {"c": 0.9, "d": 0.9}}, odd)
    with pytest.raises(DataError, match="construct, item"):
        convergent_validity(pd.Series([0.8, 0.9]))
    mixed = pd.Series([0.8, 0.9, 0.7], index=pd.MultiIndex.from_tuples([("X", "a"), ("Y", "c"), ("X", "b")]))
    with pytest.raises(DataError, match="stand together"):
        convergent_validity(mixed)
    with pytest.raises(SpecError, match="ave=50"):
        convergent_validity({"X": {"a": 0.9, "b": 0.5}}, ave=50)


def test_results_have_their_faces(mobi, ecsi):
    fit = pls(mobi, ecsi)
    pair = heterotrait_monotrait(small().rename(columns={"a": "<i>a</i>"}), {"<b>X</b>": ["<i>a</i>", "b"], "Y": "c"})
    assert "<b>" not in pair._repr_html_()
    for result in (convergent_validity(fit), fornell_larcker(fit), pair):
        assert len(result.to_frame())
        assert "table" in result._repr_html_()
    assert len(heterotrait_monotrait(mobi, ecsi.constructs).plot().texts) == 21
    assert convergent_validity(fit).plot().get_xlabel() == "AVE"
    assert [line.get_xdata()[0] for line in convergent_validity(fit, ave=0.6).plot().lines] == [0.6]
    assert [line.get_xdata()[0] for line in heterotrait_monotrait(mobi, ecsi.constructs).plot().lines] == [0.9]
