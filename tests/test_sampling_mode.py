"""Mode choice: computed numbers of the shipped matrix, closed forms, invariances, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import read_reference

from csi_lab import DataError, EstimationError, SpecError
from csi_lab.sampling.mode import choose, criteria
from csi_lab.sampling.mode.criteria_table import read_criteria
from csi_lab.sampling.mode.decision import (
    combined_weights,
    critic_weights,
    entropy_weights,
    topsis,
    variation_weights,
)
from csi_lab.sampling.mode.hierarchy import RANDOM_INDEX, ahp

MODES = ["telephone", "intercept", "household", "mail", "web"]


@pytest.fixture
def matrix() -> pd.DataFrame:
    return criteria().scores


def test_both_rules_meet_the_computed_scores():
    table = choose().table
    assert table["sum"][MODES].to_numpy() == pytest.approx([3.4, 2.7, 3.5, 3.2, 3.9], abs=1e-12)
    assert table["topsis"][MODES].to_numpy() == pytest.approx([0.5320, 0.3948, 0.5257, 0.4598, 0.6129], abs=5e-5)
    assert choose().winner == choose(method="topsis").winner == "web"
    assert choose().runner_up == "household"
    assert choose(method="topsis").runner_up == "telephone"
    assert choose().disagree


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (entropy_weights, [0.1221, 0.1622, 0.0526, 0.0808, 0.0771, 0.0551, 0.1296, 0.0992, 0.0992, 0.1221]),
        (critic_weights, [0.0965, 0.1179, 0.0793, 0.1036, 0.1025, 0.0749, 0.1027, 0.1169, 0.1169, 0.0887]),
        (variation_weights, [0.1083, 0.1248, 0.0740, 0.0922, 0.0954, 0.0800, 0.1086, 0.1042, 0.1042, 0.1083]),
    ],
)
def test_objective_weights_meet_the_computed_numbers(matrix, function, expected):
    weights = function(matrix)
    assert weights.to_numpy() == pytest.approx(expected, abs=5e-5)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert choose(weights=weights).winner == "web"


@pytest.mark.parametrize("function", [entropy_weights, critic_weights, variation_weights])
def test_objective_weights_do_not_depend_on_the_unit_of_a_criterion(matrix, function):
    scaled = matrix.astype(float)
    scaled.loc["cost"] *= 40
    assert function(scaled).to_numpy() == pytest.approx(function(matrix).to_numpy(), abs=1e-12)


def test_ahp_meets_the_reference():
    data = next(t["data"] for t in read_reference("published_tables.json")["tables"] if t["id"] == "ahp_3x3")
    found = ahp(data["matrix"])
    assert found.weights.to_numpy() == pytest.approx(data["weights"], abs=1e-6)
    assert found.lambda_max == pytest.approx(data["lambda_max"], abs=1e-6)
    assert found.consistency_ratio == pytest.approx(data["CR"], abs=1e-4)
    assert found.consistent


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_ahp_returns_the_weights_behind_consistent_judgements(k):
    w = np.random.default_rng(k).dirichlet(np.ones(k))
    found = ahp(w[:, None] / w, tolerance=1e-9)
    assert found.weights.to_numpy() == pytest.approx(w, abs=1e-10)
    assert found.lambda_max == pytest.approx(k, abs=1e-9)
    assert found.consistency_ratio == pytest.approx(0, abs=1e-9)


def test_ahp_does_not_depend_on_the_order_of_the_criteria():
    names = ["cost", "speed", "frame", "length"]
    upper = {(0, 1): 3, (0, 2): 1 / 2, (0, 3): 5, (1, 2): 1 / 5, (1, 3): 2, (2, 3): 7}
    a = np.eye(4)
    for (i, j), value in upper.items():
        a[i, j], a[j, i] = value, 1 / value
    frame = pd.DataFrame(a, names, names)
    turned = names[::-1]
    one, other = ahp(frame), ahp(frame.loc[turned, turned])
    assert other.weights[names].to_numpy() == pytest.approx(one.weights.to_numpy(), abs=1e-10)
    assert other.consistency_ratio == pytest.approx(one.consistency_ratio, abs=1e-10)
    # The 2 x 2 minors say how the eigenvector was found: A w is lambda w in every row.
    assert a @ one.weights.to_numpy() == pytest.approx(one.lambda_max * one.weights.to_numpy(), abs=1e-10)


def test_inconsistent_judgements_are_said_first():
    a = pd.DataFrame([[1, 9, 1 / 5], [1 / 9, 1, 3], [5, 1 / 3, 1]], list("abc"), list("abc"))
    found = ahp(a)
    assert not found.consistent
    assert str(found).startswith("INCONSISTENT: CR above 0.1; look first at")
    worst = np.log(found.comparisons["apart"]).abs()
    assert worst.iloc[0] == worst.max()


def test_ratio_is_unknown_where_no_random_index_is_known():
    found = ahp(np.ones((11, 11)))
    assert np.isnan(found.consistency_ratio)
    assert not found.consistent
    assert "CR = unknown (no random index for 11 criteria)" in str(found)
    assert ahp(np.ones((11, 11)), random_index={11: 1.51}).consistent


@pytest.mark.parametrize("k", range(4, 11))
def test_random_indices_are_means_of_random_judgements(k):
    """Judgements 1/9 to 9 at random: Saaty's rounded means of a few hundred matrices, met within their own error."""
    scale = np.array([*(1 / np.arange(9, 1, -1)), *np.arange(1, 10)])
    draws = 2000
    a = np.ones((draws, k, k))
    first, second = np.triu_indices(k, 1)
    a[:, first, second] = np.random.default_rng(k).choice(scale, (draws, len(first)))
    a[:, second, first] = 1 / a[:, first, second]
    index = (np.linalg.eigvals(a).real.max(axis=-1) - k) / (k - 1)
    # Saaty's own sample of 500 has an error of sd / sqrt(500); ours adds half of that, rounding .005.
    assert RANDOM_INDEX[k] == pytest.approx(index.mean(), abs=3 * index.std() * np.sqrt(1 / 500 + 1 / draws) + 0.005)


def test_the_shipped_criteria_have_a_consistency_ratio():
    names = list(criteria().scores.index)
    rank = np.arange(len(names), 0, -1)
    judged = pd.DataFrame(rank[:, None] / rank, names, names)
    assert ahp(judged).consistency_ratio == pytest.approx(0, abs=1e-12)
    judged.iloc[0, 9], judged.iloc[9, 0] = 1 / 9, 9
    assert ahp(judged).consistency_ratio > 0.05


@pytest.mark.parametrize(
    ("pairwise", "error", "words"),
    [
        ([[1, 3], [0.33, 1]], SpecError, "not reciprocal: 1 over 2"),
        ([[1, np.nan], [1, 1]], SpecError, "absent: 1 over 2"),
        ([[1, -2], [-0.5, 1]], SpecError, "above 0"),
        ([[2, 1], [1, 1]], SpecError, "diagonal"),
        ([[1, 2, 3], [0.5, 1, 2]], DataError, "square"),
        ([["1", "three"], ["1/3", "1"]], DataError, "numbers"),
        ([["1", "2"], ["0.5", "1"]], DataError, "numbers"),
        ([[1, 2], [1]], DataError, "numbers"),
        (pd.DataFrame([[1, None], [1, 1]], ["a", "b"], ["a", "b"]).astype("Int64"), SpecError, "absent: a over b"),
        (pd.DataFrame(np.eye(2), ["a", "b"], ["b", "a"]), DataError, "same criteria"),
        (pd.DataFrame(np.ones((2, 2)), ["a", "a"], ["a", "a"]), DataError, "twice"),
    ],
)
def test_bad_judgements_are_refused(pairwise, error, words):
    with pytest.raises(error, match=words):
        ahp(pairwise)


def test_topsis_does_not_depend_on_the_unit_of_a_criterion():
    rng = np.random.default_rng(1)
    x, w = rng.uniform(1, 5, (6, 4)), rng.dirichlet(np.ones(6))
    assert topsis(x * rng.uniform(0.1, 50, (6, 1)), w) == pytest.approx(topsis(x, w), abs=1e-12)


def test_topsis_is_1_and_0_for_the_best_and_worst_on_everything():
    assert topsis(np.array([[5.0, 3, 1], [4, 2, 1]]), np.array([0.3, 0.7]))[[0, 2]] == pytest.approx([1, 0], abs=1e-15)


def test_weights_count_by_proportion_and_by_name(matrix):
    names = list(matrix.index)
    w = pd.Series(np.arange(1.0, 11), names)
    one, other = choose(weights=w), choose(weights=dict(reversed((50 * w).to_dict().items())))
    pd.testing.assert_frame_equal(one.table, other.table)
    assert choose(weights=w.to_numpy()).table.equals(one.table)


def test_ahp_result_serves_as_weights():
    scores = pd.DataFrame({"web": [5, 2], "mail": [4, 4]}, index=["1", "2"])
    found = choose(scores, ahp([[1, 3], [1 / 3, 1]]))
    assert found.table["sum"].to_dict() == pytest.approx({"web": 4.25, "mail": 4.0})


def test_combined_weights():
    a, b = pd.Series({"x": 0.2, "y": 0.8}), pd.Series({"y": 0.5, "x": 0.5})
    assert combined_weights([a, b], rule="mean").to_dict() == pytest.approx({"x": 0.35, "y": 0.65})
    assert combined_weights([a, b]).to_dict() == pytest.approx({"x": 0.2, "y": 0.8})
    with pytest.raises(EstimationError, match="product is zero"):
        combined_weights([pd.Series({"x": 1, "y": 0}), pd.Series({"x": 0, "y": 1})])
    with pytest.raises(SpecError, match="two or more"):
        combined_weights([a])


# --- budget, ties, sensitivity ------------------------------------------------------------------------------------


COST = {"telephone": 60, "intercept": 50, "household": 180, "mail": 40, "web": 15}


def test_budget_excludes_before_ranking_and_names_who_is_out(matrix):
    found = choose(cost=COST, interviews=400, budget=23_000)
    assert set(found.excluded) == {"telephone", "household"}
    assert "telephone (costs 24,000, the budget is 23,000)" in str(found)
    pd.testing.assert_frame_equal(found.table, choose(matrix[["intercept", "mail", "web"]]).table)
    assert choose(cost=COST, interviews=400, budget=24_000).excluded.keys() == {"household"}


def test_a_single_affordable_mode_wins_without_a_rival():
    found = choose(cost=COST, interviews=400, budget=6_000)
    assert (found.winner, found.runner_up) == ("web", None)
    with pytest.raises(EstimationError, match="nothing to be sensitive about"):
        found.turning_points()


def test_no_affordable_mode_is_an_error():
    with pytest.raises(EstimationError, match="admits no mode"):
        choose(cost=COST, interviews=400, budget=1)


def test_ties_are_named():
    scores = pd.DataFrame({"web": [5, 1], "mail": [1, 5], "phone": [2, 2]}, index=["speed", "frame"])
    found = choose(scores)
    assert found.tied == ("web", "mail")
    assert "tied at the top: web, mail" in str(found)


def test_disagreement_on_the_winner_is_said():
    # TOPSIS takes out the unit of each criterion, the sum does not.
    scores = pd.DataFrame({"a": [101, 1], "b": [96, 5]}, index=["points", "stars"])
    found = choose(scores)
    assert found.winners == {"sum": "a", "topsis": "b"}
    assert "the two rules disagree on the winner" in str(found)


def test_turning_point_of_the_sum_has_its_closed_form(matrix):
    """With the other weights in proportion the difference of two sums is linear in the weight."""
    points = choose().turning_points()
    for name in ("frame", "coverage", "control"):
        rest = matrix.drop(index=name).mean()
        rivals = {}
        for mode in MODES[:-1]:
            own, other = matrix.loc[name, "web"] - matrix.loc[name, mode], rest["web"] - rest[mode]
            if other > own and (at := other / (other - own)) > 0.1:
                rivals[mode] = at
        first = min(rivals, key=rivals.get)
        assert points.loc[name, "above"] == pytest.approx(rivals[first], abs=1e-9)
        assert points.loc[name, "to_above"] == first
    assert points.loc["speed", ["below", "above"]].isna().all()


def test_a_winner_that_no_weight_dethrones_has_no_rival():
    scores = pd.DataFrame({"web": [5, 4], "mail": [1, 3], "phone": [2, 1]}, index=["speed", "frame"])
    points = choose(scores).turning_points()
    assert points[["below", "above"]].isna().all().all()
    assert [value for column in ("to_below", "to_above") for value in points[column]] == [None] * 4
    mixed = choose().turning_points()
    assert all(value is None or value in MODES for column in ("to_below", "to_above") for value in mixed[column])
    assert mixed.loc["speed", "to_above"] is None


@pytest.mark.parametrize("method", ["sum", "topsis"])
def test_winner_changes_at_the_turning_point_and_not_before(matrix, method):
    points = choose(method=method).turning_points()
    at = points.loc["frame", "above"]
    for weight, winner in ((at - 1e-6, "web"), (at + 1e-6, points.loc["frame", "to_above"])):
        weights = pd.Series((1 - weight) / 9, matrix.index)
        weights["frame"] = weight
        assert choose(weights=weights, method=method).winner == winner


def test_share_of_wins_has_its_closed_form_for_two_criteria():
    """A weight uniform on 0 to 1: web leads for w > 3/7 on speed."""
    scores = pd.DataFrame({"web": [5, 2], "mail": [1, 5]}, index=["speed", "frame"])
    share = choose(scores).shares(4000, rng=3)
    assert share.loc["web", "estimate"] == pytest.approx(4 / 7, abs=4 * share.loc["web", "se"])
    assert share["wins"].sum() == 4000
    pd.testing.assert_frame_equal(share, choose(scores).shares(4000, rng=3))


def test_concentrated_draws_keep_the_winner():
    assert choose().shares(300, rng=1, concentration=1e6).loc["web", "estimate"] == 1


def test_varied_weights_are_the_choice_at_those_weights(matrix):
    varied = choose(method="topsis").varied(0.2)
    assert varied.shape[0] == 20
    weights = pd.Series(1.0, matrix.index)
    weights["frame"] = 1.2
    one = choose(weights=weights, method="topsis")
    row = varied.loc[("frame", 0.2)]
    assert row["weight"] == pytest.approx(1.2 / 10.2)
    assert (row["winner"], row["runner_up"]) == (one.winner, one.runner_up)
    assert row["lead"] == pytest.approx(one.table["topsis"].iloc[0] - one.table["topsis"].iloc[1], abs=1e-12)


# --- refusals and faces -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda m: m.assign(web="good"), DataError, "not numbers in ['web']"),
        (lambda m: m.assign(web="3"), DataError, "not numbers in ['web']"),
        (lambda m: m.assign(web=np.nan), DataError, "cost / web"),
        (lambda m: -m, DataError, "negative"),
        (lambda m: m[["web"]], DataError, "nothing to choose"),
        (lambda m: pd.concat([m, m]), DataError, "criteria stand twice"),
        (lambda m: m.to_numpy(), DataError, "DataFrame"),
        (lambda m: m * 0 + 3, EstimationError, "do not differ"),
    ],
)
def test_bad_matrices_are_refused(matrix, change, error, words):
    with pytest.raises(error) as raised:
        choose(change(matrix), method="topsis")
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weights": {"cost": 1, "price": 2}}, ["criteria without weight", "unknown criteria: ['price']"]),
        ({"weights": [1, 2]}, ["10 criteria"]),
        ({"weights": [-1] + [1] * 9}, ["['cost']"]),
        ({"weights": [0] * 10}, ["all weights are zero"]),
        ({"weights": ["a"] * 10}, ["not numbers"]),
        ({"weights": ["1"] * 10}, ["weights are text"]),
        ({"method": "best"}, ["method='best'"]),
        ({"method": ["sum"]}, ["method=['sum']"]),
        ({"budget": 100}, ["all three"]),
        ({"cost": {"web": 1, "fax": 2}, "interviews": 0, "budget": -1},
         ["lacks the modes", "unknown modes ['fax']", "interviews=0", "budget=-1"]),
    ],
)  # fmt: skip
def test_bad_settings_are_named(settings, words):
    with pytest.raises(SpecError) as error:
        choose(**settings)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ahp(np.eye(1), cut="low"), "cut='low' must be a finite number"),
        (lambda: ahp(np.eye(1), tolerance=None), "tolerance=None must be a finite number"),
        (lambda: ahp(np.eye(1), random_index=0.58), "random_index=0.58 must map"),
        (lambda: combined_weights(None), "a list of two or more sets of weights, got NoneType"),
        (lambda: choose().shares(10, rng="seed"), "rng='seed' must be a whole number"),
    ],
)
def test_settings_of_the_wrong_type_are_named(call, words):
    with pytest.raises(SpecError) as error:
        call()
    assert words in str(error.value)


def test_scores_of_any_size_are_compared(matrix):
    """Squares of 1e200 have no number; closeness knows no units."""
    huge = choose(matrix * 1e200, method="topsis")
    assert huge.table["topsis"].tolist() == pytest.approx(choose(matrix, method="topsis").table["topsis"].tolist())


def test_flat_criteria_are_named_by_critic(matrix):
    flat = matrix.copy()
    flat.loc[["cost", "speed"]] = 3
    with pytest.raises(EstimationError, match=r"\['cost', 'speed'\]"):
        critic_weights(flat)
    assert entropy_weights(flat)[["cost", "speed"]].tolist() == [0, 0]


def test_the_shipped_matrix_cannot_be_spoilt_by_editing_a_copy(matrix):
    matrix.loc["cost", "web"] = 1
    assert criteria().scores.loc["cost", "web"] == 5


def test_the_shipped_matrix_is_marked_as_judgement_and_has_two_languages():
    shipped = criteria()
    assert shipped.evidence == "judgement"
    assert set(shipped.labels["zh"]) == set(shipped.labels["en"]) == {*shipped.scores.index, *shipped.scores.columns}


def test_a_broken_criteria_file_is_reported_at_once():
    text = """
evidence: judgement
scale: [1, 5]
modes: {web: {en: Web, zh: 网络}, mail: {en: Mail}}
criteria: {speed: {en: Speed, zh: 速度, scores: [5]}, cost: {en: Cost, zh: 成本, scores: [5, 9]}}
"""
    with pytest.raises(SpecError) as error:
        read_criteria(text, "own.yaml")
    for word in ("own.yaml: 3 problems", "modes, mail", "criteria, speed: needs 2 scores", "between 1 and 5"):
        assert word in str(error.value)
    for broken in ("[", "modes: {}", "- 1"):
        with pytest.raises(SpecError, match=r"own\.yaml"):
            read_criteria(broken, "own.yaml")


def test_faces():
    import matplotlib.pyplot as plt

    scores = pd.DataFrame({"<b>web": [5, 2], "mail": [1, 5]}, index=["speed", "frame"])
    for found in (choose(scores), ahp([[1, 3], [1 / 3, 1]])):
        assert found.plot().get_xlabel()
        assert "<b>" not in found._repr_html_()
        assert repr(found) == str(found)
        assert len(found.to_frame()) == 2
    plt.close("all")
