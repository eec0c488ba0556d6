"""Polychoric correlations: closed forms, known truth, errors, empty cells, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

import csi_lab as csi
from csi_lab import DataError, EstimationError, SpecError
from csi_lab.factors import efa, kmo
from csi_lab.moments import Moments
from csi_lab.polychoric import polychoric, tetrachoric
from csi_lab.thresholds import Tables, normal_below, two_step


def crossed(counts: np.ndarray, names: tuple[str, str] = ("a", "b")) -> pd.DataFrame:
    """One row per answer of a table of counts."""
    rows = [(i, j) for (i, j), n in np.ndenumerate(counts) for _ in range(int(n))]
    return pd.DataFrame(rows, columns=list(names))


def cut(rho: np.ndarray, cuts: list[list[float]], n: int, seed: int) -> pd.DataFrame:
    """Normal variables with correlations ``rho``, cut into categories."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, len(rho))) @ np.linalg.cholesky(rho).T
    return pd.DataFrame({f"q{j}": np.searchsorted(c, x[:, j]) + 1 for j, c in enumerate(cuts)})


@pytest.mark.parametrize("p11", [0.10, 0.25, 0.30, 0.45])
def test_median_splits_have_their_closed_form(p11):
    """Both items cut at the median: rho = sin(pi/2 (4 p11 - 1))."""
    other = 0.5 - p11
    frame = crossed(np.rint(np.array([[p11, other], [other, p11]]) * 1000))
    assert tetrachoric(frame).matrix[0, 1] == pytest.approx(np.sin(np.pi / 2 * (4 * p11 - 1)), abs=1e-9)


def test_bivariate_probabilities_are_those_of_integration():
    """P(X < h, Y < k) = integral of phi(x) Phi((k - rho x)/sqrt(1 - rho^2)) up to h; 1e-12."""
    for h, k, rho in [
        (0.3, -0.8, 0.5),
        (-1.2, 2.0, -0.9),
        (0.0, 1.0, 0.7),
        (1.5, 0.0, -0.3),
        (-2.5, -2.0, 0.97),
        (3, 3, -0.6),
    ]:
        root = np.sqrt(1 - rho**2)
        exact = integrate.quad(
            lambda x, k=k, rho=rho, root=root: stats.norm.pdf(x) * stats.norm.cdf((k - rho * x) / root),
            -12, h, epsabs=1e-14, epsrel=1e-13, points=[min(h, k / rho)] if -12 < k / rho < h else None,
        )[0]  # fmt: skip
        assert normal_below(h, k, rho) == pytest.approx(exact, abs=1e-12)
    assert normal_below(0.0, 0.0, -0.5) == pytest.approx(0.25 + np.arcsin(-0.5) / (2 * np.pi), abs=1e-15)


def test_bivariate_probabilities_at_their_edges():
    h = np.array([-np.inf, np.inf, np.inf, 0.7, 0.0])
    k = np.array([0.5, 0.5, np.inf, -np.inf, np.inf])
    assert normal_below(h, k, 0.4) == pytest.approx([0.0, stats.norm.cdf(0.5), 1.0, 0.0, 0.5], abs=1e-15)


def test_a_table_of_exact_probabilities_gives_its_correlation():
    """Counts in proportion to the cells of a bivariate normal: cuts and rho come back."""
    tables = Tables((4, 3))
    rows, columns = np.array([-1.0, 0.2, 0.9, np.inf]), np.array([-0.5, 0.7, np.inf, np.inf])
    for rho in (-0.95, -0.3, 0.0, 0.6, 0.99):
        corners = normal_below(rows[:, None], columns[None, :], rho)
        cells = np.diff(np.diff(corners, axis=0, prepend=0.0), axis=1, prepend=0.0)
        found = two_step(1000 * cells[None], tables, 0.5)
        assert found.rho[0] == pytest.approx(rho, abs=1e-8)
        assert found.row_cuts[0, :3] == pytest.approx(rows[:3], abs=1e-9)


def test_the_estimate_maximises_the_likelihood():
    """Fixed cuts; no correlation on a fine grid does better."""
    frame = cut(np.array([[1, 0.5], [0.5, 1]]), [[-1, 0, 1], [-0.5, 0.8]], 300, 1)
    found = polychoric(frame)
    counts = pd.crosstab(frame["q0"], frame["q1"]).to_numpy()
    a, b = (np.append(found.thresholds.loc[q].dropna(), np.inf) for q in ("q0", "q1"))

    def likelihood(rho: float) -> float:
        cells = np.diff(np.diff(normal_below(a[:, None], b[None], rho), axis=0, prepend=0.0), axis=1, prepend=0.0)
        return float((counts * np.log(cells)).sum())

    best = likelihood(found.matrix[0, 1])
    assert all(likelihood(r) <= best for r in np.linspace(-0.95, 0.95, 191))


def test_cuts_are_normal_quantiles_of_the_margins():
    frame = crossed(np.array([[10, 5], [20, 15], [30, 20]]))
    cuts = polychoric(frame).thresholds
    assert cuts.loc["a", [0, 1]].to_numpy() == pytest.approx(stats.norm.ppf([0.15, 0.50]), abs=1e-12)
    assert cuts.loc["b", 0] == pytest.approx(stats.norm.ppf(0.60), abs=1e-12)
    assert np.isnan(cuts.loc["b", 1])


RHO = np.array([[1.0, 0.6, -0.4], [0.6, 1.0, 0.1], [-0.4, 0.1, 1.0]])
CUTS = [[-1.0, -0.2, 0.5, 1.3], [0.4], [-0.7, 0.7]]


def test_estimates_errors_and_intervals_are_right_over_samples():
    """400 samples of 500: mean within 4 standard errors of the truth (plus the 1/n bias of a ratio), average error
    within 12 % (4 se of an sd over 400) of the spread, 95 % intervals cover within 4 binomial errors."""
    truth = RHO[np.triu_indices(3, 1)]
    fits = [polychoric(cut(RHO, CUTS, 500, seed)).pairs for seed in range(400)]
    estimate, se, low, high = (np.stack([f[c].to_numpy() for f in fits]) for c in ("estimate", "se", "low", "high"))
    spread = estimate.std(axis=0, ddof=1)
    assert (np.abs(estimate.mean(axis=0) - truth) < 4 * spread / np.sqrt(400) + 0.002).all()
    assert se.mean(axis=0) / spread == pytest.approx(1.0, abs=4 / np.sqrt(2 * 399) * 0.85)
    covered = ((low <= truth) & (truth <= high)).mean(axis=0)
    assert (np.abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 400)).all()


def test_resampled_errors_agree_with_the_formula():
    """1,000 draws: an sd has 2.2 % error; 10 % allows for the sample's own departure from its model."""
    frame = cut(RHO, CUTS, 800, 3)
    formula, drawn = polychoric(frame), polychoric(frame, draws=1000, rng=1)
    assert drawn.pairs["estimate"].to_numpy() == pytest.approx(formula.pairs["estimate"].to_numpy(), abs=1e-10)
    assert (drawn.pairs["se"] / formula.pairs["se"]).to_numpy() == pytest.approx(1.0, abs=0.1)
    assert "1000 draws" in drawn.interval
    assert "Fisher" in formula.interval


def test_weights_count_as_copies_and_withhold_the_formula():
    frame = cut(RHO, CUTS, 300, 4)
    w = np.where(np.arange(300) < 100, 1.0, 3.0)
    weighted = polychoric(frame, weights=w)
    copied = polychoric(pd.concat([frame[:100], *[frame[100:]] * 3]))
    assert weighted.matrix == pytest.approx(copied.matrix, abs=1e-9)
    assert weighted.pairs["se"].isna().all()
    assert "ask for draws" in weighted.interval
    named = polychoric(frame.assign(w=w), weights="w", draws=50)
    assert named.matrix == pytest.approx(copied.matrix, abs=1e-9)
    assert named.pairs["se"].notna().all()
    assert named.names == ("q0", "q1", "q2")


def test_clusters_widen_the_intervals():
    """Each answer four times over, in clusters of four: errors are those of distinct rows, twice the naive ones."""
    frame = cut(RHO, CUTS, 200, 10)
    copied = pd.concat([frame.assign(town=np.arange(200))] * 4, ignore_index=True)
    naive = polychoric(copied, ["q0", "q1", "q2"], draws=400, rng=1)
    honest = polychoric(copied, design=csi.Design(psu="town"), draws=400, rng=1)
    assert honest.matrix == pytest.approx(naive.matrix, abs=1e-12)
    # Two sds from 400 draws each: 5 % error of their ratio, three of them.
    assert (honest.pairs["se"] / naive.pairs["se"]).to_numpy() == pytest.approx(2.0, abs=0.4)
    assert polychoric(copied, design=csi.Design(psu="town")).pairs["se"].isna().all()
    with pytest.raises(DataError, match="weights are given twice"):
        polychoric(copied, design=csi.Design(weights="town"), weights=np.ones(800))
    with pytest.raises(DataError, match="do not give another"):
        polychoric(csi.load_survey("mobile"), ["CUSA1", "CUSA2"], design=csi.Design(psu="town"))


def test_order_of_items_relabelling_and_reversal():
    frame = cut(RHO, CUTS, 400, 5)
    base = polychoric(frame).matrix
    assert polychoric(frame[["q2", "q0", "q1"]]).matrix == pytest.approx(base[np.ix_([2, 0, 1], [2, 0, 1])], abs=1e-9)
    assert polychoric(frame**3 * 10).matrix == pytest.approx(base, abs=1e-9)
    reversed_ = polychoric(frame.assign(q0=6 - frame["q0"])).matrix
    assert reversed_[0, 1:] == pytest.approx(-base[0, 1:], abs=1e-9)
    assert reversed_[1, 2] == pytest.approx(base[1, 2], abs=1e-9)


def test_many_tables_at_once_are_those_alone():
    frame = cut(RHO, CUTS, 400, 6)
    whole = polychoric(frame)
    for a, b in (("q0", "q1"), ("q0", "q2"), ("q1", "q2")):
        assert polychoric(frame, [a, b]).matrix[0, 1] == pytest.approx(whole.pairs.loc[(a, b), "estimate"], abs=1e-9)


def test_survey_and_frame_agree():
    survey = csi.load_survey("mobile")
    items = ["CUSA1", "CUSA2", "CUSL3"]
    assert polychoric(survey, items).matrix == pytest.approx(polychoric(survey.frame, items).matrix, abs=1e-12)
    assert polychoric(survey, items, draws=20).pairs["se"].notna().all()


def test_an_empty_cell_of_four_is_filled_and_said():
    """One half moved into the empty cell, margins kept (Brown & Benedetti 1977)."""
    frame = crossed(np.array([[20, 0], [10, 20]]))
    found = tetrachoric(frame)
    assert found.filled == (("a", "b"),)
    assert "an empty cell was filled" in str(found)
    shifted = two_step(np.array([[[19.5, 0.5], [10.5, 19.5]]]), Tables((2, 2)), 0.0)
    assert found.matrix[0, 1] == pytest.approx(shifted.rho[0], abs=1e-10)
    plain = tetrachoric(frame, empty_cell=0)
    assert plain.boundary == (("a", "b"),)
    assert plain.matrix[0, 1] == pytest.approx(0.9999)
    assert "at the limit of 0.9999" in str(plain)
    assert np.isnan(plain.pairs["se"].iloc[0])
    negative = tetrachoric(crossed(np.array([[10, 20], [20, 0]])))
    assert negative.matrix[0, 1] < -0.5


def test_empty_cells_of_larger_tables_are_left_alone():
    counts = np.array([[20, 8, 0], [9, 15, 8], [0, 7, 21]])
    found = polychoric(crossed(counts))
    assert found.filled == ()
    assert found.boundary == ()
    assert 0.7 < found.matrix[0, 1] < 0.95


def test_gaps_in_the_scale_and_rows_with_missing_answers():
    frame = cut(RHO, CUTS, 300, 7).astype(float)
    frame.iloc[:20, 0] = np.nan
    frame.iloc[19, 1] = 9.0  # a category that only an incomplete row holds
    found = polychoric(frame)
    assert (found.n, found.dropped) == (280, 20)
    assert found.matrix == pytest.approx(polychoric(frame.dropna()).matrix, abs=1e-12)
    assert "20 rows left out" in str(found)
    with pytest.raises(DataError, match="20 of 300 rows have missing answers"):
        polychoric(frame, missing="raise")


def indefinite() -> pd.DataFrame:
    """Three items whose pairs cannot all be what they seem: weak cuts of strong correlations in few rows."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 1)) + 0.3 * rng.standard_normal((60, 12))
    return pd.DataFrame((x > rng.uniform(-0.8, 0.8, 12)).astype(int), columns=[f"q{i}" for i in range(12)])


def test_what_is_not_positive_definite_is_said_first_and_not_passed_on():
    found = tetrachoric(indefinite())
    assert found.smallest_eigenvalue < 0
    assert str(found).startswith("NOT POSITIVE DEFINITE: the smallest eigenvalue is -")
    with pytest.raises(EstimationError, match=r"not positive definite.*smoothed"):
        efa(found, 1)
    smooth = found.smoothed()
    assert smooth.positive_definite
    assert np.diagonal(smooth.matrix) == pytest.approx(1.0)
    assert smooth.smoothing == pytest.approx(np.abs(smooth.matrix - found.matrix).max())
    assert "smoothed: eigenvalues raised" in str(smooth)
    assert efa(smooth, 1).latent


def test_factors_behind_ordered_answers_are_found_where_pearson_shrinks_them():
    """Six items of three skewed categories, one factor of loadings .8."""
    rho = np.full((6, 6), 0.64) + 0.36 * np.eye(6)
    frame = cut(rho, [[0.5, 1.2]] * 6, 4000, 8)
    latent, raw = efa(polychoric(frame), 1), efa(frame, 1)
    assert latent.pattern[:, 0] == pytest.approx(0.8, abs=4 * 0.02)
    assert raw.pattern.max() < latent.pattern.min()
    assert "polychoric correlations vary more" in str(latent)
    assert np.isnan(latent.fit_measures["p"])
    with pytest.raises(EstimationError, match="raw answers are not on their scale"):
        latent.scores(frame)
    assert kmo(polychoric(frame)).value > 0.8


SOUND = cut(RHO, CUTS, 80, 9)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (SOUND.assign(q0=1), r"do not vary.*\['q0'\]"),
        (SOUND.assign(copy=10 - 2 * SOUND["q0"]), r"leave one of each pair out\n.*'q0' and 'copy'"),
        (SOUND.assign(q0="good"), r"declare missing codes\n.*'q0'"),
        (SOUND.assign(q0=np.nan), r"no row of 80.*\['q0'\]"),
        (SOUND.assign(q0=np.inf), "infinite values: 'q0'"),
        (
            SOUND.assign(q0=np.linspace(0, 1, 80), q1=np.arange(80)),
            r"numbers, not categories: 'q0' \(80\), 'q1' \(80\)",
        ),
        (pd.DataFrame({"a": [1, 2, 3], "b": [1, 3, 2]}), "3 rows for tables of 3 by 3 categories"),
        (SOUND[["q0"]], r"two items or more, got \['q0'\]"),
        (pd.concat([SOUND, SOUND[["q1"]]], axis=1), r"named twice: \['q1'\]"),
        (Moments.from_frame(SOUND), "need the answers"),
        ([1, 2], "need a survey or a DataFrame, got list"),
    ],
)
def test_unusable_answers_are_refused_by_name(frame, message):
    with pytest.raises(DataError, match=message):
        polychoric(frame)


def test_other_refusals():
    with pytest.raises(DataError, match=r"not in the data: \['x'\]"):
        polychoric(SOUND, ["q0", "x"])
    with pytest.raises(DataError, match=r"of the design are no items: \['q1'\]"):
        polychoric(SOUND, ["q0", "q1"], weights="q1")
    with pytest.raises(DataError, match=r"these have more: 'q0' \(5\), 'q2' \(3\)"):
        tetrachoric(SOUND)
    with pytest.raises(SpecError, match="empty_cell=2"):
        polychoric(SOUND, empty_cell=2)
    with pytest.raises(SpecError, match="level=95"):
        polychoric(SOUND, level=95)
    with pytest.raises(DataError, match=r"without polychoric correlations: \['x'\]"):
        polychoric(SOUND).moments(["q0", "x"])


def test_collinear_items_need_no_inverse_here():
    """Each pair is estimated by itself, so exact sums are no obstacle; the matrix tells."""
    frame = SOUND.assign(total=SOUND["q0"] + SOUND["q1"])
    assert np.isfinite(polychoric(frame).matrix).all()


def test_every_face_is_there_and_escaped():
    found = polychoric(SOUND.rename(columns={"q0": "<i>"}))
    assert "<i>" not in found._repr_html_()
    assert list(found.to_frame().columns) == ["estimate", "se", "low", "high"]
    assert found.to_frame().index.names == ["item", "with"]
    assert found.corr.loc["<i>", "q1"] == found.pairs.loc[("<i>", "q1"), "estimate"]
    assert "n = 80" in str(found)


def test_draws_in_which_an_item_is_constant_are_left_out_and_counted():
    frame = pd.DataFrame({"rare": [1] + [0] * 24, "often": [1, 0] * 12 + [1], "third": [0, 0, 1, 1, 1] * 5})
    found = polychoric(frame, draws=200, rng=1)
    assert "without a value left out" in found.interval
    assert found.pairs["se"].notna().all()
