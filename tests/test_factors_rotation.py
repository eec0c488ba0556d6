"""Rotations: R's run to convergence, simple structure, slopes by differences, alignment, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference, table

from csi_lab import SpecError
from csi_lab.factors import Rotation
from csi_lab.factors.extraction import extract
from csi_lab.factors.projection import geomin, oblimin, project, varimax
from csi_lab.factors.rotation import aligned, arranged, rotate
from csi_lab.moments import Moments

OBLIQUE = ["promax", "promax_raw", "oblimin", "quartimin", "geomin"]


@pytest.fixture(scope="module")
def unrotated() -> dict[str, np.ndarray]:
    corr = Moments.from_frame(pd.read_csv(REFERENCE / "data" / "bfi25.csv")).corr
    return {method: extract(corr, 5, method).loadings for method in ("minres", "ml")}


def turned(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.mark.parametrize("method", ["minres", "ml"])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("varimax", "varimax_tight"),
        ("promax", "promax_tight"),
        ("promax_raw", "promax_stats_tight"),
        ("oblimin", "oblimin_tight"),
        ("quartimin", "oblimin_tight"),
    ],
)
def test_meets_the_converged_rotations_of_r(unrotated, method, name, key):
    """tests/reference/efa/bfi_efa.json, keys *_tight: loadings and Phi 2e-5, after order and sign."""
    ref = read_reference("efa/bfi_efa.json")[f"{method}_{key}"]
    theirs = table(ref["loadings"]).to_numpy()
    found = rotate(unrotated[method], Rotation(name))
    loadings, phi = aligned(found.loadings, found.phi, theirs)
    assert found.converged
    assert np.abs(loadings - theirs).max() < 2e-5
    if "Phi" in ref:
        assert np.abs(phi - table(ref["Phi"]).to_numpy()).max() < 2e-5


@pytest.mark.parametrize("method", ["minres", "ml"])
@pytest.mark.parametrize(("name", "bar"), [("varimax", 2e-3), ("promax", 2e-3), ("oblimin", 1e-4)])
def test_stands_near_psych_which_stops_early_in_its_order_and_sign(unrotated, method, name, bar):
    """tests/reference/efa/README.md gives psych's own distance from the optimum."""
    ref = read_reference("efa/bfi_efa.json")[f"{method}_{name}"]
    found = rotate(unrotated[method], Rotation(name))
    loadings, _, _ = arranged(found.loadings, found.phi)
    assert np.abs(loadings - table(ref["loadings"]).to_numpy()).max() < bar


@pytest.mark.parametrize("name", ["varimax", "oblimin", "quartimin"])
def test_perfect_simple_structure_is_found_again(name):
    """Each item on one factor, factors uncorrelated: any turn is undone."""
    simple = np.zeros((8, 2))
    simple[:4, 0], simple[4:, 1] = [0.8, 0.7, 0.6, 0.5], [0.75, 0.65, 0.55, 0.45]
    for angle in (0.3, 1.0, 2.5):
        found = rotate(simple @ turned(angle), Rotation(name))
        loadings, phi = aligned(found.loadings, found.phi, simple)
        assert loadings == pytest.approx(simple, abs=1e-6)
        assert phi == pytest.approx(np.eye(2), abs=1e-6)


@pytest.mark.parametrize("name", ["oblimin", "promax", "geomin"])
def test_oblique_factors_are_found_again(name):
    """Clusters of pure items on factors that correlate .5; oblimin is exact, the others near by nature."""
    simple = np.zeros((8, 2))
    simple[:4, 0], simple[4:, 1] = 0.7, 0.8
    phi = np.array([[1.0, 0.5], [0.5, 1.0]])
    root = np.linalg.cholesky(phi)
    found = rotate(simple @ root @ turned(0.7), Rotation(name))
    loadings, between = aligned(found.loadings, found.phi, simple)
    bar = 1e-6 if name == "oblimin" else 0.05
    assert loadings == pytest.approx(simple, abs=bar)
    assert between == pytest.approx(phi, abs=2 * bar)


@pytest.mark.parametrize("name", ["varimax", *OBLIQUE])
def test_rotation_keeps_what_the_factors_reproduce(unrotated, name):
    a = unrotated["ml"]
    found = rotate(a, Rotation(name, starts=1))
    assert found.loadings @ found.phi @ found.loadings.T == pytest.approx(a @ a.T, abs=1e-10)
    assert np.diagonal(found.phi) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("criterion", [varimax, oblimin(0.0), oblimin(-0.5), geomin(0.01)])
def test_slopes_are_those_of_differences(criterion):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((7, 3))
    slope = criterion(x)[1]
    for i, j in np.ndindex(7, 3):
        step = np.zeros((7, 3))
        step[i, j] = 1e-6
        assert slope[i, j] == pytest.approx((criterion(x + step)[0] - criterion(x - step)[0]) / 2e-6, abs=1e-8)


def test_varimax_of_two_factors_is_kaisers_angle():
    """tan(4 angle) = (D - 2AB/p) / (C - (A^2 - B^2)/p) with A, B, C, D the sums of u = x^2 - y^2, v = 2xy, u^2 - v^2
    and 2uv (Kaiser 1958)."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((10, 2))
    x /= np.sqrt((x**2).sum(axis=1, keepdims=True))  # rows of unit length: normalising changes nothing
    u, v = x[:, 0] ** 2 - x[:, 1] ** 2, 2 * x[:, 0] * x[:, 1]
    a, b, c, d = u.sum(), v.sum(), (u**2 - v**2).sum(), (2 * u * v).sum()
    angle = np.arctan2(d - 2 * a * b / 10, c - (a**2 - b**2) / 10) / 4
    expected = x @ turned(angle)
    found = rotate(x, Rotation("varimax"))
    loadings, _ = aligned(found.loadings, found.phi, expected)
    assert loadings == pytest.approx(expected, abs=1e-7)


def test_a_stack_rotates_as_each_alone(unrotated):
    stack = np.stack([unrotated["minres"], unrotated["ml"], np.full((25, 5), np.nan)])
    for name in ("varimax", "oblimin", "promax"):
        found = rotate(stack, Rotation(name))
        assert found.converged.tolist() == [True, True, False]
        for at, method in enumerate(("minres", "ml")):
            alone = rotate(unrotated[method], Rotation(name))
            assert found.loadings[at] == pytest.approx(alone.loadings, abs=1e-6)
            assert found.phi[at] == pytest.approx(alone.phi, abs=1e-6)


def test_every_start_ends_at_a_flat_point_and_the_best_is_taken(unrotated):
    a = unrotated["minres"]
    rng = np.random.default_rng(3)
    starts = np.linalg.qr(rng.standard_normal((20, 5, 5)))[0]
    ends = project(
        np.repeat(a[None], 20, axis=0), geomin(0.01), starts, oblique=True, tolerance=1e-8, max_iterations=3000
    )
    best = rotate(a, Rotation("geomin", rng=4))
    value = geomin(0.01)(best.loadings)[0]
    assert ends.converged.all()
    assert value <= ends.value.min() + 1e-9
    assert 1 <= best.agreeing <= 30


def test_more_starts_never_end_higher_and_sometimes_lower():
    """Loadings without structure have many local solutions; the first of the starts is the only one of one start."""
    rng = np.random.default_rng(12)
    gaps = []
    for _ in range(3):
        a = rng.standard_normal((10, 4)) * 0.4
        one, many = (rotate(a, Rotation("geomin", starts=k)) for k in (1, 10))
        gaps.append(geomin(0.01)(one.loadings)[0] - geomin(0.01)(many.loadings)[0])
    assert min(gaps) > -1e-8
    assert max(gaps) > 1e-4


def test_arranged_puts_the_largest_first_with_positive_sums(unrotated):
    found = rotate(unrotated["ml"], Rotation("oblimin"))
    loadings, phi, order = arranged(found.loadings, found.phi)
    squares = np.diagonal(phi @ loadings.T @ loadings)
    assert (np.diff(squares) <= 0).all()
    assert (loadings.sum(axis=0) >= 0).all()
    assert sorted(order.tolist()) == [0, 1, 2, 3, 4]
    assert loadings @ phi @ loadings.T == pytest.approx(unrotated["ml"] @ unrotated["ml"].T, abs=1e-10)


def test_alignment_undoes_order_and_sign(unrotated):
    rng = np.random.default_rng(5)
    found = rotate(unrotated["ml"], Rotation("oblimin"))
    stack_l, stack_phi = [], []
    for _ in range(30):
        order, sign = rng.permutation(5), rng.choice([-1.0, 1.0], 5)
        stack_l.append(found.loadings[:, order] * sign)
        stack_phi.append(found.phi[np.ix_(order, order)] * np.outer(sign, sign))
    loadings, phi = aligned(np.stack(stack_l), np.stack(stack_phi), found.loadings)
    assert np.abs(loadings - found.loadings).max() == 0
    assert np.abs(phi - found.phi).max() == 0


def test_an_item_without_communality_stays_at_zero():
    a = np.array([[0.8, 0.1], [0.7, 0.2], [0.1, 0.8], [0.2, 0.6], [0.0, 0.0]])
    found = rotate(a, Rotation("varimax"))
    assert found.converged
    assert (found.loadings[4] == 0).all()


def test_kaiser_normalisation_can_be_asked_for_and_is_named(unrotated):
    plain, rows = (rotate(unrotated["ml"], Rotation("oblimin", kaiser=k)) for k in (None, True))
    assert np.abs(plain.loadings - rows.loadings).max() > 1e-3
    assert "Kaiser normalised" in str(Rotation("oblimin", kaiser=True))
    assert "Kaiser" not in str(Rotation("oblimin"))
    assert str(Rotation("varimax")) == "varimax, Kaiser normalised"
    assert str(Rotation("none")) == "unrotated"


def test_settings_that_do_not_fit_are_refused_together():
    with pytest.raises(SpecError) as caught:
        Rotation("equamax", power=1.0, gamma=2.0, delta=0.0, starts=0)
    assert len(caught.value.problems) == 6
    assert "'varimax'" in str(caught.value)
    with pytest.raises(SpecError, match=r"gamma=0\.5 belongs to oblimin, not to quartimin"):
        Rotation("quartimin", gamma=0.5)
