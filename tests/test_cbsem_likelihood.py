"""The likelihood behind CB-SEM: exact derivatives, pieces, and models whose solution is known in closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from csi_lab import PathModel
from csi_lab.moments import Moments
from csi_lab.sem.cb_fiml import em, incomplete
from csi_lab.sem.cb_inference import cells_of
from csi_lab.sem.cb_likelihood import Pieces, evaluate
from csi_lab.sem.cb_specification import specification
from csi_lab.sem.cb_structure import Cells, matrices
from csi_lab.sem.cbsem import cbsem

SEM = PathModel(
    {"A": ["a1", "a2", "a3"], "B": ["b1", "b2", "b3"], "C": "c1", "D": ["d1", "d2"]},
    {"B": "A", "C": ["A", "B"], "D": ["B", "C"]},
    covariances=[("a1", "b1"), ("b2", "d2")],
)
SETTINGS = [
    {"means": False},
    {"means": False, "identification": "variance"},
    {"means": True, "groups": ("g", "h"), "equal": ["loadings", "intercepts", "paths"]},
    {"means": True, "groups": ("g", "h"), "equal": [("A =~ a2", "A =~ a3"), ("b1 ~~ b1", "b2 ~~ b2")]},
]


def anywhere(settings: dict, draws: int = 2):
    """A parameter vector, item scales and pieces with missing patterns, none of them near an optimum."""
    rng = np.random.default_rng(5)
    spec = specification(SEM, **settings)
    cells, p = cells_of(spec), len(spec.items)
    theta = np.zeros((draws, spec.n_free))
    for own in cells:
        start = np.array([0.8, 0.3, 1.0, 0.6, 1.0, 0.1])[own.kind]
        aside = np.isin(own.kind, (2, 3)) & (own.row != own.column)
        theta[:, own.free] = np.where(aside, 0.1, start)
    theta *= 1 + 0.05 * rng.normal(size=theta.shape)
    pieces = []
    for _ in cells:
        x = rng.normal(size=(draws, 3, 60, p)) + rng.normal(size=(draws, 3, 60, 1))
        seen = rng.random((3, p)) > 0.2
        x = np.where(seen[:, None, :], x, 0.0)
        mean = x.mean(axis=2) if spec.means else np.zeros((draws, 3, p))
        centred = x - x.mean(axis=2, keepdims=True)
        cov = np.einsum("nrki,nrkj->nrij", centred, centred) / 60
        pieces.append(Pieces(np.array([[10.0, 20, 30]] * draws), mean, cov, seen))
    return spec, cells, tuple(pieces), np.exp(0.3 * rng.normal(size=(draws, p))), theta


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_gradient_is_the_derivative_of_the_value(settings):
    _, cells, pieces, scale, theta = anywhere(settings)
    gradient = evaluate(cells, pieces, scale, theta, None).gradient
    for k in range(theta.shape[1]):
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[:, k] += sign * 1e-6
            ends.append(evaluate(cells, pieces, scale, moved, None).value)
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(gradient[:, k], abs=2e-6 * np.abs(gradient).max())


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_observed_information_is_the_derivative_of_the_gradient(settings):
    """Against an imaginary step, which is exact: no differences are taken."""
    _, cells, pieces, scale, theta = anywhere(settings)
    information = evaluate(cells, pieces, scale, theta, "observed").information
    for k in range(theta.shape[1]):
        moved = theta.astype(complex)
        moved[:, k] += 1e-30j
        column = evaluate(cells, pieces, scale, moved, None).gradient.imag / 1e-30
        assert column == pytest.approx(information[:, k], abs=1e-11 * np.abs(information).max())


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_expected_information_is_the_observed_one_where_the_model_is_true(settings):
    """With T equal to Sigma and the means equal to mu, G and d are 0 and both are the same."""
    spec, _, _, scale, theta = anywhere(settings)
    cells = cells_of(spec)
    pieces = []
    for own in cells:
        built = matrices(own, theta, scale)
        pieces.append(Pieces(np.full((2, 1), 50.0), built.mu[:, None] * spec.means, built.sigma[:, None]))
    if not spec.means:
        assert all(np.all(p.mean == 0) for p in pieces)
    both = [evaluate(cells, tuple(pieces), scale, theta, kind).information for kind in ("expected", "observed")]
    assert both[0] == pytest.approx(both[1], rel=1e-9, abs=1e-9 * np.abs(both[0]).max())


def test_each_draw_of_a_batch_is_what_it_would_be_alone():
    _, cells, pieces, scale, theta = anywhere(SETTINGS[2])
    whole = evaluate(cells, pieces, scale, theta)
    for k in range(2):
        at = slice(k, k + 1)
        alone = evaluate(cells, tuple(p.draws(at) for p in pieces), scale[at], theta[at])
        assert alone.value[0] == pytest.approx(whole.value[k], rel=1e-13)
        assert alone.information[0] == pytest.approx(whole.information[k], rel=1e-10, abs=1e-9)


def test_the_log_likelihood_is_that_of_the_normal_distribution():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(80, 1)) + rng.normal(size=(80, 4)) * [1, 2, 0.5, 1]
    frame = pd.DataFrame(x + np.array([5, 1, 0, 2]), columns=list("abcd"))
    fit = cbsem(frame, PathModel({"F": list("abcd")}))
    sigma = matrices(Cells.of(fit.specification, 0), fit.theta[None]).sigma[0]
    by_hand = multivariate_normal(frame.mean().to_numpy(), sigma).logpdf(frame.to_numpy()).sum()
    assert fit.fit_measures["loglik"] == pytest.approx(by_hand, abs=1e-9)
    wishart = cbsem(frame, PathModel({"F": list("abcd")}), likelihood="wishart")
    sigma = matrices(Cells.of(wishart.specification, 0), wishart.theta[None]).sigma[0]
    by_hand = multivariate_normal(frame.mean().to_numpy(), sigma).logpdf(frame.to_numpy()).sum()
    assert wishart.fit_measures["loglik"] == pytest.approx(by_hand, abs=1e-9)


def test_three_items_have_the_triad_solution():
    """One factor, three items: the loadings are sqrt(r12 r13 / r23) and the like, and nothing is left to test."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 1)) + rng.normal(size=(200, 3))
    frame = pd.DataFrame(x, columns=list("abc"))
    fit = cbsem(frame, PathModel({"F": list("abc")}))
    r = frame.corr().to_numpy()
    triad = [
        np.sqrt(r[0, 1] * r[0, 2] / r[1, 2]),
        np.sqrt(r[0, 1] * r[1, 2] / r[0, 2]),
        np.sqrt(r[0, 2] * r[1, 2] / r[0, 1]),
    ]
    assert fit.loadings["estimate"].to_numpy() == pytest.approx(triad, abs=1e-9)
    assert fit.fit_measures["chi2"] == pytest.approx(0, abs=1e-8)
    assert fit.fit_measures["df"] == 0
    assert fit.fit_measures["rmsea"] == 0


def test_single_items_give_least_squares():
    """Observed variables only: coefficients of the regression, standard errors with n for n - k - 1, R2."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(120, 2)) @ [[1, 0.4], [0, 1]]
    y = x @ [0.5, -0.3] + rng.normal(size=120)
    frame = pd.DataFrame(np.column_stack([x, y]), columns=["x1", "x2", "y"])
    fit = cbsem(frame, PathModel({"X1": "x1", "X2": "x2", "Y": "y"}, {"Y": ["X1", "X2"]}))
    design = np.column_stack([np.ones(120), x])
    beta, rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    se = np.sqrt(np.diagonal(np.linalg.inv(design.T @ design)) * rss[0] / 120)
    paths = fit.parameters.loc["Y"].loc["~"]
    assert paths["estimate"].to_numpy() == pytest.approx(beta[1:], abs=1e-9)
    assert paths["se"].to_numpy() == pytest.approx(se[1:], rel=1e-8)
    assert fit.r2.loc["Y", "estimate"] == pytest.approx(1 - rss[0] / ((y - y.mean()) ** 2).sum(), abs=1e-10)


def test_em_meets_the_closed_form_of_a_monotone_pattern():
    """y2 missing at random given y1: factored likelihood, Anderson (1957), doi 10.1080/01621459.1957.10501379."""
    rng = np.random.default_rng(8)
    y1 = rng.normal(3, 2, size=150)
    y2 = 1 + 0.5 * y1 + rng.normal(size=150)
    x = np.column_stack([y1, np.where(y1 > 4, np.nan, y2)])
    there = ~np.isnan(x[:, 1])
    slope = np.cov(x[there].T, bias=True)
    b = slope[0, 1] / slope[0, 0]
    residual = slope[1, 1] - b * slope[0, 1]
    s11, m1 = y1.var(), y1.mean()
    mean = [m1, x[there, 1].mean() + b * (m1 - x[there, 0].mean())]
    cov = [[s11, b * s11], [b * s11, residual + b**2 * s11]]
    sample = incomplete([x], [np.ones(150)], ["y1", "y2"])
    scale = sample.scale[0]
    found_mean, found_cov = em(sample.groups[0])
    assert found_mean * scale == pytest.approx(mean, abs=1e-9)
    assert (found_cov * np.outer(scale, scale)).ravel() == pytest.approx(np.ravel(cov), abs=1e-8)


def test_full_information_without_gaps_is_maximum_likelihood():
    rng = np.random.default_rng(4)
    f = rng.normal(size=(150, 2)) @ [[1, 0.5], [0, 1]]
    x = f[:, [0, 0, 0, 1, 1, 1]] + rng.normal(size=(150, 6))
    frame = pd.DataFrame(x, columns=list("abcdef"))
    model = PathModel({"F": list("abc"), "G": list("def")})
    full, complete = cbsem(frame, model, missing="fiml"), cbsem(frame, model, se="observed", means=True)
    assert full.fit_measures["chi2"] == pytest.approx(complete.fit_measures["chi2"], abs=1e-8)
    gap = full.parameters[["estimate", "se"]] - complete.parameters[["estimate", "se"]]
    assert gap.abs().to_numpy().max() < 1e-8


def test_parts_of_a_survey_give_the_whole(mobi):
    model = PathModel({"Value": ["PERV1", "PERV2"], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]})
    items = list(model.items)
    parts = Moments.from_frame(mobi[:100][items]) + Moments.from_frame(mobi[100:][items])
    assert (cbsem(parts, model).theta == cbsem(mobi, model).theta).all()


def test_whole_weights_are_repeated_rows(mobi):
    model = PathModel({"Value": ["PERV1", "PERV2"], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]})
    w = np.random.default_rng(2).integers(1, 4, len(mobi))
    weighted = cbsem(mobi, model, weights=w).loadings["estimate"]
    repeated = cbsem(mobi.loc[mobi.index.repeat(w)], model).loadings["estimate"]
    assert (weighted - repeated).abs().max() < 1e-9
