"""Sampling by size: probabilities, pairs and totals against enumeration, closed forms and repeated draws."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.sampling import select
from csi_lab.sampling.select import unequal

SIZES = np.array([5.0, 9.0, 2.0, 7.0, 4.0, 1.0, 6.0])
Y = np.array([11.0, 15.0, 9.0, 12.0, 3.0, 4.0, 10.0])


def enumerated_sampford(pi, n):
    """Every sample and its probability, from Sampford's definition."""
    odds = pi / (1 - pi)
    weight = {s: np.prod(odds[list(s)]) * (1 - pi[list(s)]).sum() for s in itertools.combinations(range(len(pi)), n)}
    total = sum(weight.values())
    return {s: w / total for s, w in weight.items()}


def pairs_of(samples, size):
    joint = np.zeros((size, size))
    for s, p in samples.items():
        joint[np.ix_(s, s)] += p
    return joint


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_sampfords_pairs_are_those_of_his_definition(n):
    pi, certain = unequal.inclusion_probabilities(SIZES, n) if n < 4 else (np.full(7, 4 / 7), np.zeros(7, bool))
    assert not certain.any()
    joint = pairs_of(enumerated_sampford(pi, n), 7)
    assert np.diag(joint) == pytest.approx(pi, rel=1e-12)
    assert unequal.joint_sampford(pi, np.arange(7)) == pytest.approx(joint, abs=1e-13)


def test_pairs_of_a_large_register_add_up():
    pi, _ = unequal.inclusion_probabilities(np.random.default_rng(1).gamma(2, 1, 300), 40)
    joint = unequal.joint_sampford(pi, np.arange(300))
    assert joint.sum(axis=1) == pytest.approx(40 * pi, rel=1e-10)
    assert (joint > 0).all()
    outer = np.outer(pi, pi)
    off = ~np.eye(300, dtype=bool)
    assert (joint[off] < outer[off]).all(), (
        "Sampford: pi_ij < pi_i pi_j, so that the variance estimate is never negative"
    )


def test_two_units_of_sampford_and_brewer_have_the_same_closed_form():
    pi, _ = unequal.inclusion_probabilities(SIZES, 2)
    brewer = unequal.joint_brewer_two(pi, np.arange(7))
    assert brewer == pytest.approx(unequal.joint_sampford(pi, np.arange(7)), abs=1e-14)
    assert brewer.sum(axis=1) == pytest.approx(2 * pi, rel=1e-13)


def test_equal_sizes_give_the_pairs_of_simple_random_sampling():
    joint = unequal.joint_sampford(np.full(10, 0.4), np.arange(10))
    assert joint[~np.eye(10, dtype=bool)] == pytest.approx(np.full(90, 4 * 3 / (10 * 9)), rel=1e-12)


def draws_of(method, n, draws):
    frame = pd.DataFrame({"size": np.tile(SIZES, draws), "copy": np.repeat(np.arange(draws), 7)})
    stage = select.Stage(None, n=n, method=method, size="size")
    return select.multistage(frame, [stage], 3, strata="copy").frame.index.to_numpy().reshape(draws, n) % 7


@pytest.mark.parametrize(("method", "n"), [("sampford", 2), ("sampford", 3), ("brewer", 2)])
def test_pairs_are_drawn_as_often_as_stated(method, n):
    """4.5 binomial standard errors."""
    draws = 2000
    pi, _ = unequal.inclusion_probabilities(SIZES, n)
    joint = unequal.joint_sampford(pi, np.arange(7))
    drawn = draws_of(method, n, draws)
    inside = np.zeros((draws, 7))
    inside[np.arange(draws)[:, None], drawn] = 1
    assert (inside.sum(axis=1) == n).all()
    seen = inside.T @ inside / draws
    assert (np.abs(seen - joint) < 4.5 * np.sqrt(joint * (1 - joint) / draws)).all()


def test_rejection_and_the_exact_table_are_the_same_design(monkeypatch):
    draws = 1500
    pi, _ = unequal.inclusion_probabilities(SIZES, 3)
    joint = unequal.joint_sampford(pi, np.arange(7))
    monkeypatch.setattr(unequal, "TABLE_ENTRIES", 0)
    rng, seen = np.random.default_rng(4), np.zeros((7, 7))
    for _ in range(draws):
        s = unequal.draw_sampford(pi, rng)
        seen[np.ix_(s, s)] += 1 / draws
    assert (np.abs(seen - joint) < 4.5 * np.sqrt(joint * (1 - joint) / draws)).all()


def test_a_hopeless_rejection_says_what_to_use(monkeypatch):
    monkeypatch.setattr(unequal, "TABLE_ENTRIES", 0)
    monkeypatch.setattr(unequal, "TRIES", 5)
    with pytest.raises(EstimationError, match="'systematic' or 'brewer'"):
        unequal.draw_sampford(np.full(100, 0.8), np.random.default_rng(1))


def test_a_rejection_without_hope_is_not_waited_for():
    """Among 20,000 alike, 3,000 draws all differ with chance exp(-sum log) < 1e-100; 200 do in one of three tries."""
    rng = np.random.default_rng(1)
    chance = np.log1p(-np.arange(3000) / 20_000).sum()
    assert chance < np.log(1e-100)
    start = rng.bit_generator.state["state"]["state"]
    with pytest.raises(EstimationError, match="3000 different units among 20000"):
        unequal.draw_sampford(np.full(20_000, 3000 / 20_000), rng)
    assert rng.bit_generator.state["state"]["state"] == start
    assert len(unequal.draw_sampford(np.full(20_000, 200 / 20_000), rng)) == 200


@pytest.mark.parametrize(
    "share", [np.full(12, 1 / 12), np.array([0.6, *np.full(11, 0.4 / 11)]), 2.0 ** -np.arange(1, 13)]
)
@pytest.mark.parametrize("m", [2, 4, 7])
def test_the_chance_that_draws_differ_is_never_above_its_bound(share, m):
    """The chance is m! times the sum over all sets of m units of the product of their shares."""
    sets = np.array(list(itertools.combinations(range(len(share)), m)))
    exact = np.log(math.factorial(m) * share[sets].prod(axis=1).sum())
    bound = unequal._log_chance_at_most(share, m)
    assert exact <= bound + 1e-12
    # Near enough to be of use where no unit dominates, as in a register: by a factor of 20 at most.
    assert np.ptp(share) > 0 or bound - exact < 3


@pytest.mark.parametrize("seed", range(5))
def test_systematic_samples_by_size_have_their_probability_exactly(seed):
    """Counting over all starts of a grid: the share of starts that draw a unit is its probability."""
    pi, _ = unequal.inclusion_probabilities(np.random.default_rng(seed).gamma(2, 1, 30), 6)

    class Grid:
        def __init__(self, k):
            self.k = k

        def integers(self, high):
            return self.k * (high // 2**12)

    count = np.zeros(len(pi))
    for k in range(2**12):
        drawn = unequal.draw_systematic(pi, Grid(k))
        assert len(drawn) == 6
        count[drawn] += 1
    # Each of a unit's two ends may gain or lose one start of the grid.
    assert np.abs(count / 2**12 - pi).max() <= 2 / 2**12


def test_large_units_are_certain_step_by_step():
    """n = 3: A has 3 x 60/100 > 1; then B 2 x 25/40 > 1; C to E share the last place."""
    pi, certain = unequal.inclusion_probabilities(np.array([60.0, 25, 5, 5, 5]), 3)
    assert certain.tolist() == [True, True, False, False, False]
    assert pi == pytest.approx([1, 1, 1 / 3, 1 / 3, 1 / 3])
    frame = pd.DataFrame({"size": [60, 25, 5, 5, 5]}, index=list("ABCDE"))
    for method in ("systematic", "sampford", "brewer"):
        sample = select.pps(frame, 3, "size", rng=1, method=method)
        assert sample.frame["stratum"].tolist() == ["certain", "certain", "by chance"]
        assert sample.frame["probability"].tolist() == pytest.approx([1, 1, 1 / 3])
        assert "certain, being as large as the interval (2): A, B" in str(sample)
    assert select.pps(frame, 3, "size", rng=1, method="sampford").joint == pytest.approx(
        np.array([[1, 1, 1 / 3], [1, 1, 1 / 3], [1 / 3, 1 / 3, 1 / 3]])
    )


def test_all_units_can_be_drawn():
    frame = pd.DataFrame({"size": [1.0, 2, 3]})
    for method in ("systematic", "sampford", "brewer"):
        assert select.pps(frame, 3, "size", rng=1, method=method).frame["probability"].tolist() == [1, 1, 1]


def test_pairs_are_kept_where_known_and_refused_with_the_reason():
    frame = pd.DataFrame({"size": SIZES})
    pi, _ = unequal.inclusion_probabilities(SIZES, 3)
    sample = select.pps(frame, 3, "size", rng=2, method="sampford")
    at = sample.frame.index.to_numpy()
    assert sample.joint == pytest.approx(unequal.joint_sampford(pi, np.arange(7))[np.ix_(at, at)], rel=1e-12)
    assert select.pps(frame, 2, "size", rng=2, method="brewer").joint.shape == (2, 2)
    for method, words in (("systematic", "never"), ("brewer", "n = 2"), ("hansen-hurwitz", "replacement")):
        with pytest.raises(SpecError, match=words):
            _ = select.pps(frame, 3, "size", rng=2, method=method).joint
    with pytest.raises(SpecError, match="pps samples"):
        _ = select.simple_random(frame, 3, 1).joint


# Totals


def test_horvitz_thompson_is_unbiased_and_so_is_its_variance():
    """Over all 35 samples of Sampford's design with their exact probabilities."""
    pi, _ = unequal.inclusion_probabilities(SIZES, 3)
    joint = unequal.joint_sampford(pi, np.arange(7))
    samples = enumerated_sampford(pi, 3)
    found = {s: select.horvitz_thompson(Y[list(s)], pi[list(s)], joint=joint[np.ix_(s, s)]) for s in samples}
    mean = sum(p * found[s].value for s, p in samples.items())
    variance = sum(p * (found[s].value - Y.sum()) ** 2 for s, p in samples.items())
    assert mean == pytest.approx(Y.sum(), rel=1e-12)
    assert sum(p * found[s].se ** 2 for s, p in samples.items()) == pytest.approx(variance, rel=1e-11)


def test_sen_yates_grundy_is_the_textbook_variance_under_simple_random_sampling():
    y, n, size = Y[:4], 4, 20
    joint = np.full((n, n), n * (n - 1) / (size * (size - 1)))
    found = select.horvitz_thompson(y, np.full(n, n / size), joint=joint)
    assert found.value == pytest.approx(size * y.mean(), rel=1e-12)
    assert found.se == pytest.approx(size * np.sqrt((1 - n / size) * y.var(ddof=1) / n), rel=1e-12)


def test_totals_proportional_to_size_have_no_variance():
    pi, _ = unequal.inclusion_probabilities(SIZES, 3)
    s = [0, 3, 6]
    found = select.horvitz_thompson(4 * SIZES[s], pi[s], joint=unequal.joint_sampford(pi, np.array(s)))
    assert found.value == pytest.approx(4 * SIZES.sum(), rel=1e-12)
    assert found.se == pytest.approx(0, abs=1e-6)
    assert select.hansen_hurwitz(4 * SIZES[s], SIZES[s] / SIZES.sum()).se == pytest.approx(0, abs=1e-12)


def test_hansen_hurwitz_is_unbiased_and_so_is_its_variance():
    """Over all 49 pairs of draws with replacement."""
    p = SIZES / SIZES.sum()
    mean = variance = expected = 0.0
    for i, j in itertools.product(range(7), repeat=2):
        found = select.hansen_hurwitz(Y[[i, j]], p[[i, j]])
        mean += p[i] * p[j] * found.value
        variance += p[i] * p[j] * (found.value - Y.sum()) ** 2
        expected += p[i] * p[j] * found.se**2
    assert mean == pytest.approx(Y.sum(), rel=1e-12)
    assert expected == pytest.approx(variance, rel=1e-12)


def test_rao_hartley_cochran_is_unbiased_and_so_is_its_variance():
    """Over all divisions of five units into groups of 2 and 3, and all draws from them."""
    x, y = SIZES[:5], Y[:5]
    p = x / x.sum()
    mean = variance = expected = 0.0
    for pair in itertools.combinations(range(5), 2):
        rest = [k for k in range(5) if k not in pair]
        share = p[list(pair)].sum(), p[rest].sum()
        for i, j in itertools.product(pair, rest):
            chance = p[i] / share[0] * p[j] / share[1] / 10
            found = select.rao_hartley_cochran_total(y[[i, j]], p[[i, j]], share, [2, 3])
            mean += chance * found.value
            variance += chance * (found.value - y.sum()) ** 2
            expected += chance * found.se**2
    assert mean == pytest.approx(y.sum(), rel=1e-12)
    assert expected == pytest.approx(variance, rel=1e-12)


def test_random_groups_hold_every_unit_once_and_their_weights_estimate_the_total():
    frame, rng = pd.DataFrame({"size": SIZES, "y": Y}), np.random.default_rng(1)
    totals = []
    for _ in range(300):
        drawn = select.rao_hartley_cochran(frame, 3, "size", rng=rng).frame
        assert sorted(drawn["group_size"]) == [2, 2, 3]
        assert drawn["group_share"].sum() == pytest.approx(1)
        found = select.rao_hartley_cochran_total(drawn["y"], drawn["chance"], drawn["group_share"], drawn["group_size"])
        assert found.value == pytest.approx((drawn["weight"] * drawn["y"]).sum(), rel=1e-12)
        totals.append(found.value)
    assert abs(np.mean(totals) - Y.sum()) < 4.5 * np.std(totals) / np.sqrt(300)


def test_draws_with_replacement_state_the_expected_number_of_draws():
    sample = select.pps(pd.DataFrame({"size": [80.0, 10, 10]}), 5, "size", rng=1, method="hansen-hurwitz")
    assert sample.frame["draw"].tolist() == [1, 2, 3, 4, 5]
    assert sample.frame["probability"].max() == pytest.approx(4)
    assert sample.design.population is None


def test_a_negative_variance_is_reported_and_not_replaced():
    joint = [[0.5, 0.4], [0.4, 0.5]]
    found = select.horvitz_thompson([1, 5], [0.5, 0.5], joint=joint)
    assert np.isnan(found.se)
    assert np.isnan(found.low)
    assert "negative" in str(found)


def test_without_pairs_there_is_a_total_but_no_standard_error():
    found = select.horvitz_thompson([1, 5], [0.5, 0.25])
    assert found.value == 22
    assert np.isnan(found.se)
    assert "no standard error" in str(found)
    assert found.to_frame().loc["Horvitz-Thompson", "estimate"] == 22


# Refusals


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ([1.0, 0, 3, -2], r"2 rows have a size of 0 or less and could never be drawn: 1, 3"),
        ([1.0, np.nan, 3, 2], r"missing or infinite in 1 rows: 1"),
        ([1.0, np.inf, 3, 2], r"missing or infinite in 1 rows: 1"),
        ([1.0, 1e308, 3, 1e308], r"above 1e\+200 in 2 rows: 1, 3"),
        (["1", "2", "3", "4"], "must be numbers"),
    ],
)
def test_unusable_sizes_are_refused_with_their_rows(size, words):
    frame = pd.DataFrame({"size": size})
    with pytest.raises(DataError, match=words):
        select.pps(frame, 2, "size", rng=1)
    with pytest.raises(DataError, match=words):
        select.rao_hartley_cochran(frame, 2, "size", rng=1)


def test_clusters_of_size_zero_are_named():
    frame = pd.DataFrame({"town": list("aabb"), "people": [5, 5, 0, 0]})
    with pytest.raises(DataError, match=r"1 units 'town' have a size of 0 or less.*: b"):
        select.cluster(frame, "town", 1, rng=1, method="sampford", size="people")


def test_impossible_samples_by_size_are_refused():
    frame = pd.DataFrame({"size": SIZES})
    with pytest.raises(SpecError, match="n=8 of 7"):
        select.pps(frame, 8, "size", rng=1)
    with pytest.raises(SpecError, match="unknown"):
        select.pps(frame, 2, "size", rng=1, method="madow")
    with pytest.raises(SpecError, match="only for systematic"):
        select.pps(frame, 2, "size", rng=1, method="brewer", order="size")
    with pytest.raises(DataError, match="not in the register"):
        select.pps(frame, 2, "sizes", rng=1)
    with pytest.raises(SpecError, match="n=8 groups for 7 units"):
        select.rao_hartley_cochran(frame, 8, "size", rng=1)


@pytest.mark.parametrize(
    ("size", "n", "error", "words"),
    [
        (["a", "b"], 1, DataError, "must be numbers"),
        ([1, 2, 0], 1, DataError, "above 0"),
        ([1, 2, 3], 1.5, SpecError, "n=1.5"),
        ([1, 2, 3], "2", SpecError, "n='2'"),
        ([1, 2, 3], 4, SpecError, "n=4"),
    ],
)
def test_impossible_inclusion_probabilities_are_refused(size, n, error, words):
    with pytest.raises(error, match=words):
        select.inclusion_probabilities(size, n)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: select.horvitz_thompson([1, 2], [0.5, 1.5]), DataError, "above 1"),
        (lambda: select.horvitz_thompson([1, 2], [0.5, 0]), DataError, "not above 0 in 1"),
        (lambda: select.horvitz_thompson([1, np.nan], [0.5, 0.5]), DataError, "values are missing"),
        (lambda: select.horvitz_thompson([1, 2, 3], [0.5, 0.5]), DataError, "shapes"),
        (lambda: select.horvitz_thompson(["a", 2], [0.5, 0.5]), DataError, "numbers"),
        (lambda: select.horvitz_thompson([1, 2], [0.5, 0.5], joint=np.ones((3, 3))), DataError, "symmetric"),
        (lambda: select.horvitz_thompson([1, 2], [0.5, 0.5], joint=np.eye(2) / 2), EstimationError, "1 pairs"),
        (lambda: select.horvitz_thompson([1, 2], [0.5, 0.5], level=95), SpecError, "level"),
        (lambda: select.horvitz_thompson([1, 2], [0.5, 0.5], level="95"), SpecError, "level"),
        (lambda: select.hansen_hurwitz([1], [0.5]), DataError, "two draws"),
        (lambda: select.hansen_hurwitz([1, 2], [0.5, 2]), DataError, "above 1"),
        (lambda: select.rao_hartley_cochran_total([1, 2], [0.1, 0.1], [0.5, 0.4], [2, 2]), DataError, "sum to 1"),
    ],
)
def test_impossible_totals_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
