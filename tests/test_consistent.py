"""Consistent PLS: agreement with R, exact recovery of a population, improper solutions said first."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import ecsi_mobile, read_reference, table

from csi_lab import EstimationError, PathModel, SpecError
from csi_lab.moments import Moments
from csi_lab.sem import pls
from csi_lab.sem.assess import own_loadings
from csi_lab.sem.consistent import proper

BAR = 1e-10  # tests/reference/pls/README.md


def tight(data, model, **settings):
    return pls(data, model, consistent=True, tolerance=1e-14, max_iterations=2000, **settings)


def gap(ours: pd.DataFrame, theirs: pd.DataFrame, *, turn: bool = False) -> float:
    pairs = [(b, a) if turn else (a, b) for a, b in ours.index]
    return max(abs(v - theirs.loc[r, c]) for v, (r, c) in zip(ours["estimate"], pairs, strict=True))


def test_agrees_with_seminr(mobi, ecsi):
    """tests/reference/pls/mobi_PLSc_path.json, R seminr 2.3.4, in the blocks that are corrected there."""
    ref, fit = read_reference("pls/mobi_PLSc_path.json"), tight(mobi, ecsi)
    ours, theirs = fit.reliability["estimate"].unstack(), table(ref["reliability"])
    for name, their in (("alpha (standardised)", "alpha"), ("rho_A", "rhoA"), ("rho_C", "rhoC"), ("AVE", "AVE")):
        assert (ours[name] - theirs[their]).abs().max() < BAR, name
    assert gap(fit.paths, table(ref["paths"])) < BAR
    assert gap(fit.total_effects, table(ref["total_effects"])) < BAR
    assert gap(fit.f2_reestimated, table(ref["f2_reestimated"])) < BAR
    assert gap(fit.loadings, table(ref["outer_loadings"]), turn=True) < BAR
    assert gap(fit.weights, table(ref["outer_weights"]), turn=True) < BAR
    assert (fit.r2["estimate"] - table(ref["rsq"]).loc["Rsq"]).abs().max() < BAR
    assert (fit.r2_adjusted["estimate"] - table(ref["rsq"]).loc["AdjRsq"]).abs().max() < BAR
    root = fit.fornell_larcker["estimate"].unstack().to_numpy().diagonal()
    known = table(ref["fornell_larcker"]).loc[sorted(ecsi.constructs), sorted(ecsi.constructs)].to_numpy().diagonal()
    assert np.sort(root) == pytest.approx(np.sort(known), abs=BAR)
    scores = table(ref["construct_scores"]).set_axis(mobi.index)
    assert (fit.scores(mobi) - scores[list(ecsi.constructs)]).abs().max(axis=None) < BAR


@pytest.mark.parametrize("scheme", ["path", "factorial", "centroid"])
def test_agrees_with_csem(mobi, ecsi, scheme):
    """tests/reference/pls/mobi_csem.json, R cSEM 0.6.1: paths, loadings, R2, rho_A, f2 and measures of fit."""
    ref, fit = read_reference("pls/mobi_csem.json")[f"{scheme}_PLSc"], tight(mobi, ecsi, scheme=scheme)
    assert gap(fit.paths, table(ref["paths"]), turn=True) < BAR
    assert gap(fit.f2, table(ref["f2"]), turn=True) < BAR
    assert gap(fit.loadings, table(ref["loadings"])) < BAR
    assert all(abs(fit.r2.loc[c, "estimate"] - v) < BAR for c, v in ref["r2"].items())
    assert all(abs(fit.reliability.loc[(c, "rho_A"), "estimate"] - v) < BAR for c, v in ref["rho_A"].items())
    theirs = {"GoF": ref["gof"], "SRMR": ref["srmr"], "d_ULS": ref["dL"], "d_ML": ref["dML"]}
    theirs["d_G"] = ref["dG_log10"] * np.log(10) ** 2
    assert (fit.model_fit["estimate"] - pd.Series(theirs)).abs().max() < BAR


LOADINGS = {"X": [0.9, 0.7, 0.5], "M": [0.8, 0.6], "Y": [0.7, 0.7, 0.6, 0.5]}
POPULATION = PathModel(
    {c: [f"{c}{i}" for i in range(len(block))] for c, block in LOADINGS.items()}, {"M": "X", "Y": ["X", "M"]}
)


def population() -> Moments:
    """Correlations of a factor model with paths X -> M .5, X -> Y .3, M -> Y .4."""
    v = np.array([[1, 0.5, 0.5], [0.5, 1, 0.55], [0.5, 0.55, 1]])
    block = np.repeat([0, 1, 2], [3, 2, 4])
    loadings = np.concatenate(list(LOADINGS.values()))
    r = np.outer(loadings, loadings) * v[np.ix_(block, block)]
    np.fill_diagonal(r, 1)
    return Moments.from_covariance(POPULATION.items, 1000, np.zeros(9), r)


@pytest.mark.parametrize("scheme", ["path", "factorial", "centroid"])
def test_finds_the_parameters_of_a_population_exactly(scheme):
    """Dijkstra & Henseler (2015): consistent at the population, where mode A alone is not."""
    fit = tight(population(), POPULATION, scheme=scheme)
    assert fit.paths["estimate"].to_dict() == pytest.approx(
        {("X", "M"): 0.5, ("X", "Y"): 0.3, ("M", "Y"): 0.4}, abs=1e-10
    )
    assert fit.loadings["estimate"].to_numpy() == pytest.approx(np.concatenate(list(LOADINGS.values())), abs=1e-10)
    plain = pls(population(), POPULATION, scheme=scheme).paths["estimate"]
    assert (plain < fit.paths["estimate"]).all()
    assert fit.model_fit.loc[["SRMR", "d_G"], "estimate"].max() < 1e-6
    assert not str(fit).startswith("IMPROPER")


def test_cross_loadings_are_those_of_the_factors():
    """Item of X with loading .9 correlates .9 * .5 with the factor M."""
    cross = tight(population(), POPULATION).cross_loadings
    assert cross.loc[("X", "X0")].tolist() == pytest.approx([0.9, 0.45, 0.45], abs=1e-10)


def test_a_sample_gives_the_truth_within_its_error():
    rng = np.random.default_rng(7)
    r = population().cov
    frame = pd.DataFrame(rng.normal(size=(3000, 9)) @ np.linalg.cholesky(r).T, columns=list(POPULATION.items))
    fit = pls(frame, POPULATION, consistent=True).bootstrap(400, rng=1)
    truth = pd.Series({("X", "M"): 0.5, ("X", "Y"): 0.3, ("M", "Y"): 0.4})
    assert ((fit.paths["estimate"] - truth).abs() < 4 * fit.paths["se"]).all()
    assert fit.paths["se"].between(0.01, 0.08).all()
    assert "0 draws with an improper solution kept" in str(fit)


def test_mobi_is_improper_and_says_so_first(mobi, ecsi):
    """The corrected correlations of the centroid solution have the eigenvalue -.0056 (published with the tables)."""
    fit = pls(mobi, ecsi, scheme="centroid", consistent=True)
    first = str(fit).splitlines()[0]
    assert first.startswith("IMPROPER SOLUTION of consistent PLS")
    assert "smallest eigenvalue -0.0056" in first
    assert fit.remarks()[0] == first == fit.verdicts().alarms[0]
    assert np.linalg.eigvalsh(fit.solution.correlations)[0] == pytest.approx(-0.0056, abs=5e-5)
    boot = fit.bootstrap(200, rng=3)
    kept = int(proper(boot.replicated.solution, fit.layout).sum())
    assert f"{200 - kept} draws with an improper solution kept" in str(boot)


def test_correlations_loadings_and_r2_beyond_one_are_named():
    r = np.array([[1, 0.3, 0.5, 0.6], [0.3, 1, 0.5, 0.5], [0.5, 0.5, 1, 0.3], [0.6, 0.5, 0.3, 1]])
    model = PathModel({"X": ["a", "b"], "Y": ["c", "d"]}, {"Y": "X"})
    fit = pls(Moments.from_covariance(list("abcd"), 300, np.zeros(4), r), model, consistent=True)
    text = fit.remarks()[0]
    assert fit.solution.correlations[0, 1] > 1
    assert "corrected correlations beyond 1: X and Y" in text
    assert "R2 beyond 1: Y" in text
    r = np.array([[1, 0.3, 0.7], [0.3, 1, 0.2], [0.7, 0.2, 1]])
    fit = pls(
        Moments.from_covariance(list("abc"), 300, np.zeros(3), r),
        PathModel({"X": ["a", "b"], "Y": "c"}, {"Y": "X"}),
        consistent=True,
    )
    assert own_loadings(fit.solution, fit.layout)[0] > 1
    assert "loadings beyond 1: a 1." in fit.remarks()[0]


def test_indefinite_sources_are_reported_not_called_collinear():
    """Three factors that the correction cannot tell apart: coefficients exist, and the first line names the trouble."""
    names = [f"x{i}" for i in range(6)] + ["y"]
    r = np.full((7, 7), 0.5)
    for j in range(3):
        r[2 * j, 2 * j + 1] = r[2 * j + 1, 2 * j] = 0.48 - 0.02 * j
    np.fill_diagonal(r, 1)
    model = PathModel({"A": names[:2], "B": names[2:4], "C": names[4:6], "Y": "y"}, {"Y": ["A", "B", "C"]})
    fit = pls(Moments.from_covariance(names, 400, np.zeros(7), r), model, consistent=True)
    assert np.isfinite(fit.paths["estimate"]).all()
    assert "not positive definite" in fit.remarks()[0]


def test_items_with_nothing_in_common_have_no_correction():
    r = np.array([[1, -0.2, 0.5], [-0.2, 1, 0.5], [0.5, 0.5, 1]])
    model = PathModel({"X": ["a", "b"], "Y": "c"}, {"Y": "X"})
    with pytest.raises(EstimationError, match=r"rho_A of 'X' is -0\.\d+, not positive"):
        pls(Moments.from_covariance(list("abc"), 300, np.zeros(3), r), model, consistent=True)


def test_a_draw_without_correction_is_marked_and_harms_no_other():
    good = np.array([[1, 0.5, 0.4], [0.5, 1, 0.4], [0.4, 0.4, 1]])
    bad = np.array([[1, -0.2, 0.5], [-0.2, 1, 0.5], [0.5, 0.5, 1]])
    parts = [Moments.from_covariance(list("abc"), 300, np.zeros(3), r) for r in (good, bad, good)]
    model = PathModel({"X": ["a", "b"], "Y": "c"}, {"Y": "X"})
    fit = pls(Moments.stack(parts), model, consistent=True)
    assert fit.converged.tolist() == [True, False, True]
    # Parallel items: alpha = rho_A = 2 r / (1 + r), and the path is .4 sqrt(2 / 1.5) / sqrt(rho_A) = .4 / sqrt(.5).
    assert fit.paths.loc[("X", "Y"), [0, 2]].to_numpy() == pytest.approx(0.4 / np.sqrt(0.5), abs=1e-12)


def test_formed_and_single_blocks_stay_as_they_are(mobi):
    multi = ["Image", "Expectation", "Quality", "Value", "Satisfaction", "Loyalty"]
    model = ecsi_mobile(dict.fromkeys(multi, "B"))
    a, b = pls(mobi, model), pls(mobi, model, consistent=True)
    assert (a.paths - b.paths)["estimate"].abs().max() < 1e-12
    assert a.loadings.equals(b.loadings)


def test_weights_and_scores_are_those_of_mode_a(mobi, ecsi):
    a, b = pls(mobi, ecsi), pls(mobi, ecsi, consistent=True)
    assert a.weights.equals(b.weights)
    assert a.scores(mobi).equals(b.scores(mobi))


def test_what_the_correction_does_not_fit_is_refused(mobi, ecsi):
    with pytest.raises(SpecError, match="leave scaled=True"):
        pls(mobi, ecsi, consistent=True, scaled=False)
    with pytest.raises(EstimationError, match="consistent=False"):
        pls(mobi, ecsi, consistent=True).blindfolding(mobi)
