"""Random samples: stated probabilities are the true ones, weights add up, the design goes into estimates."""

import itertools
import json
import pathlib

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab.errors import DataError, SpecError
from csi_lab.sampling import estimate, response, select
from csi_lab.sampling.select import Stage

TABLES = pathlib.Path(__file__).parent / "reference" / "published_tables.json"
API = next(t for t in json.loads(TABLES.read_text(encoding="utf-8"))["tables"] if t["id"] == "api_survey")["data"]


def register(n=60):
    """Two provinces, towns of unequal size whose names recur, three outlets per town."""
    k = np.arange(n)
    return pd.DataFrame(
        {
            "customer": 1000 + 7 * k % n + n * (k % 3),
            "province": np.where(k < n // 2, "north", "south"),
            "town": np.floor(np.sqrt(k % (n // 2))).astype(int),
            "outlet": k % 3,
            "spend": 10.0 + k % 11,
            "visits": 1 + k % 5,
            "degree": 2 + k % 4,
        }
    )


COPIES = 600


def require_true(seen, stated, copies):
    """4.5 standard errors leave one false alarm in some 10,000 units; counts vary at most by 2 pi (1 - pi)."""
    assert not np.isnan(stated).any()
    assert (np.abs(seen - stated) < 4.5 * np.sqrt(2 * stated * (1 - stated).clip(0.01) / copies) + 1e-12).all()


STAGES = {
    "simple random": [Stage(None, n=3)],
    "with replacement": [Stage(None, n=3, method="with replacement")],
    "systematic": [Stage(None, n=3, method="systematic", order="spend")],
    "clusters": [Stage("town", n=2)],
    "two stages": [Stage("town", n=2), Stage(None, n=2)],
    "by size, share of the rows": [Stage("town", n=2, method="sampford"), Stage(None, rate=0.5)],
    "towns twice": [Stage("town", n=3, method="hansen-hurwitz"), Stage(None, n=1)],
    "three stages": [Stage("town", n=2, method="pps systematic"), Stage("outlet", n=2), Stage(None, n=1)],
    "pps": [Stage(None, n=4, method="pps systematic", size="spend")],
    "sampford": [Stage(None, n=4, method="sampford", size="spend")],
    "brewer": [Stage(None, n=4, method="brewer", size="spend")],
}


@pytest.mark.parametrize("name", STAGES)
def test_stated_probabilities_are_the_true_ones_and_totals_unbiased(name):
    """The same 20 units in 600 strata: each stratum is a draw of its own."""
    frame = register(20).iloc[np.tile(np.arange(20), COPIES)].reset_index(drop=True)
    frame["copy"] = np.repeat(np.arange(COPIES), 20)
    drawn = select.multistage(frame, STAGES[name], 11, strata="copy").frame
    unit = drawn.index % 20
    seen = np.bincount(unit, minlength=20) / COPIES
    require_true(seen, drawn["probability"].groupby(unit).max().reindex(range(20)).to_numpy(), COPIES)
    totals = (drawn["weight"] * drawn["visits"] ** 2).groupby(drawn["copy"]).sum()
    truth = (register(20)["visits"] ** 2).sum()
    assert abs(totals.mean() - truth) <= 4.5 * totals.std() / np.sqrt(COPIES) + 1e-9


@pytest.mark.parametrize(
    "options", [{}, {"kind": "circular"}, {"kind": "linear"}, {"starts": 2}, {"order": "spend"}], ids=str
)
def test_stated_probabilities_of_systematic_samples_are_the_true_ones(options):
    frame, rng, draws = register(11), np.random.default_rng(2), 200
    count, stated = np.zeros(11), np.full(11, np.nan)
    for _ in range(draws):
        drawn = select.systematic(frame, 4, rng, **options).frame
        np.add.at(count, drawn.index, 1)
        stated[drawn.index] = drawn["probability"]
    require_true(count / draws, stated, draws)


def test_all_pairs_of_a_simple_random_sample_are_equally_likely():
    draws = 3000
    frame = pd.DataFrame({"x": np.tile(np.arange(6), draws), "copy": np.repeat(np.arange(draws), 6)})
    drawn = select.multistage(frame, [Stage(None, n=2)], 1, strata="copy").frame["x"].to_numpy().reshape(draws, 2)
    pairs = np.bincount(drawn[:, 0] * 6 + drawn[:, 1])
    expected = draws / 15
    assert (pairs > 0).sum() == 15
    assert (np.abs(pairs[pairs > 0] - expected) < 4.5 * np.sqrt(expected * 14 / 15)).all()


def test_weights_of_random_samples_sum_to_the_register():
    frame = register()
    for sample in (
        select.simple_random(frame, 7, 1),
        select.systematic(frame, 7, 1),
        select.stratified(frame, ["province", "outlet"], 25, rng=1, allocation="equal"),
    ):
        assert sample.frame["weight"].sum() == pytest.approx(60, rel=1e-12)
        assert sample.random
        assert len(sample) == sample.record.asked == sample.record.drawn


@pytest.mark.parametrize("column", ["customer", None])
@pytest.mark.parametrize(
    "draw",
    [
        lambda f, **o: select.simple_random(f, 9, 4, **o),
        lambda f, **o: select.systematic(f, 9, 4, order="spend", **o),
        lambda f, **o: select.stratified(f, "province", 9, rng=4, **o),
        lambda f, **o: select.pps(f, 9, "spend", rng=4, method="sampford", **o),
        lambda f, **o: select.cluster(f, "town", 2, rng=4, per_cluster=2, strata="province", **o),
        lambda f, **o: select.rao_hartley_cochran(f, 9, "spend", rng=4, **o),
        lambda f, **o: select.judgement(f, 9, "spend", **o),
        lambda f, **o: select.convenience(f, 9, "visits", rng=4, **o),
        lambda f, **o: select.quota(f, "town", 9, rng=4, agree=0.5, **o),
        lambda f, **o: select.quota_margins(f, ["town", "outlet"], 9, rng=4, agree=0.5, **o),
        lambda f, **o: select.snowball(f, 20, "degree", rng=4, agree=0.7, group="province", homophily=0.4, **o),
    ],
)
def test_a_seed_repeats_the_sample_and_with_identifiers_for_any_order_of_the_rows(draw, column):
    frame = register().assign(customer=np.random.default_rng(2).permutation(60))
    first, again = draw(frame, id=column), draw(frame, id=column)
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert str(first) == str(again)
    if column is not None:
        shuffled = frame.sample(frac=1, random_state=3)
        assert set(draw(shuffled, id=column).frame["customer"]) == set(first.frame["customer"])


def test_a_generator_moves_on_and_a_seed_is_recorded():
    frame, rng = register(), np.random.default_rng(1)
    assert list(select.simple_random(frame, 9, rng).frame.index) != list(
        select.simple_random(frame, 9, rng).frame.index
    )
    assert select.simple_random(frame, 9, rng).record.seed is None
    assert select.simple_random(frame, 9, 12).record.seed == 12


def test_allocations_of_the_api_strata_are_the_published_ones():
    """published_tables.json, api_survey: proportional and Neyman for n = 200, given to two decimals."""
    sizes, sd = API["population"]["strata"], API["population"]["sd_api00"]
    proportional = select.allocate(sizes, 200).table["exact"]
    neyman = select.allocate(sizes, 200, "neyman", sd=sd).table["exact"]
    for h in sizes:
        assert proportional[h] == pytest.approx(API["proportional_n200"][h], abs=0.0051)
        assert neyman[h] == pytest.approx(API["neyman_n200"][h], abs=0.0051)
    assert select.allocate(sizes, 200, "neyman", sd=sd).sizes == {"E": 147, "H": 21, "M": 32}


def test_variances_of_the_api_allocations_are_the_published_ones():
    sizes, sd = pd.Series(API["population"]["strata"], dtype=float), pd.Series(API["population"]["sd_api00"])
    share = sizes / sizes.sum()
    for rule, options in (("proportional", {}), ("neyman", {"sd": sd})):
        n = select.allocate(sizes, 200, rule, **options).table["exact"]
        assert float((share**2 * sd**2 / n).sum()) == pytest.approx(API["var_n200_nofpc"][rule], abs=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_no_exchange_between_strata_lowers_the_variance_of_an_optimal_allocation(seed):
    """With bounds in force; exact numbers, cost per interview c: minimise sum N^2 S^2/n at given sum c n."""
    rng = np.random.default_rng(seed)
    sizes = dict(enumerate(rng.integers(3, 60, 6).tolist()))
    sd = dict(enumerate(rng.gamma(1, 5, 6).tolist()))
    table = select.allocate(sizes, 60, "neyman", sd=sd, minimum=2).table
    n, gain = table["exact"].to_numpy(), (np.array(list(sizes.values())) * np.array(list(sd.values()))) ** 2
    low, high = np.minimum(2, table["population"]), table["population"]
    marginal = gain / n**2
    for i, j in itertools.permutations(range(6), 2):
        if n[i] < high[i] - 1e-9 and n[j] > low[j] + 1e-9:
            assert marginal[i] <= marginal[j] * (1 + 1e-9)
    assert n.sum() == pytest.approx(60)
    assert table["n"].sum() == 60
    assert (np.abs(table["n"] - n) < 1).all()
    assert (table["n"] <= table["population"]).all()


def test_cost_optimal_allocation_goes_by_the_root_of_the_cost():
    n = select.allocate({"a": 1000, "b": 1000}, 90, "optimal", sd={"a": 1, "b": 1}, cost={"a": 1, "b": 4}).sizes
    assert n == {"a": 60, "b": 30}


def test_strata_that_cannot_be_drawn_are_named_and_refused():
    plan = select.allocate({"a": 900, "b": 8, "c": 92}, 10, minimum=0)
    assert plan.left_out == ("b",)
    assert "without any unit, hence outside every estimate: b" in str(plan)
    assert select.allocate({"a": 900, "b": 8, "c": 92}, 10).left_out == ()
    frame = pd.DataFrame({"s": ["a"] * 900 + ["b"] * 8 + ["c"] * 92})
    for n, options in ((10, {"minimum": 0}), (plan, {}), ({"a": 9, "b": 0, "c": 1}, {})):
        with pytest.raises(SpecError, match="n=0 in strata b: nobody in them could be drawn"):
            select.stratified(frame, "s", n, rng=1, **options)


def test_take_all_strata_and_the_minimum_are_named():
    found = select.allocate({"big": 900, "tiny": 3, "mid": 50}, 100, "neyman", sd={"big": 1, "tiny": 500, "mid": 0})
    assert found.sizes == {"big": 95, "tiny": 3, "mid": 2}
    assert found.take_all == ("tiny",)
    assert found.raised == ("mid",)
    assert "all units taken in tiny" in str(found)
    frame = pd.DataFrame({"h": ["big"] * 30 + ["tiny"] * 2})
    sample = select.stratified(frame, "h", 10, rng=1)
    assert any("all units taken in tiny" in note for note in sample.record.notes)


def test_largest_remainders_get_the_units_and_ties_go_to_the_first():
    assert select.allocate({"a": 10, "b": 10, "c": 10}, 10, minimum=0).sizes == {"a": 4, "b": 3, "c": 3}
    assert select.allocate({"a": 53, "b": 24, "c": 23}, 10, minimum=0).sizes == {"a": 5, "b": 3, "c": 2}


def test_neyman_may_take_the_spread_from_a_column_of_the_register():
    frame = register().assign(spend=lambda f: np.where(f["province"] == "north", f["spend"] * 10, f["spend"]))
    sd = frame.groupby("province")["spend"].std()
    by_column = select.stratified(frame, "province", 20, rng=1, allocation="neyman", sd="spend")
    by_mapping = select.stratified(frame, "province", 20, rng=1, allocation="neyman", sd=sd)
    assert by_column.record.table["n"].tolist() == by_mapping.record.table["n"].tolist()
    assert by_column.record.table["exact"].to_numpy() == pytest.approx(by_mapping.record.table["exact"].to_numpy())


def test_linear_interval_weights_by_the_interval_though_the_number_drawn_varies():
    frame = pd.DataFrame({"x": range(11)})
    sizes = {len(select.systematic(frame, 3, seed, kind="linear")) for seed in range(30)}
    assert sizes == {3, 4}
    assert set(select.systematic(frame, 3, 1, kind="linear").frame["weight"]) == {3.0}


def test_between_starts_the_variance_is_unbiased():
    """Five independent starts: E of s^2/5 over starts is the variance of their mean; 200 draws, 4.5 se."""
    y = np.arange(40.0) ** 1.5
    frame, rng = pd.DataFrame({"y": y}), np.random.default_rng(8)
    means, estimates = [], []
    for _ in range(200):
        drawn = select.systematic(frame, 20, rng, starts=5).frame
        each = drawn.groupby("start")["y"].mean()
        means.append(each.mean())
        estimates.append(each.var() / 5)
    truth = np.var(means)
    band = 4.5 * np.hypot(np.std(estimates) / np.sqrt(200), truth * np.sqrt(2 / 200))
    assert abs(np.mean(estimates) - truth) < band


def test_whole_clusters_are_taken_and_labels_are_read_within_strata():
    frame = register()
    sample = select.cluster(frame, "town", 2, rng=3, strata="province")
    drawn = sample.frame.groupby(["stratum", "psu"]).size()
    whole = frame.groupby(["province", "town"]).size()
    assert len(drawn) == 4
    assert all(whole[key] == size for key, size in drawn.items())
    assert sample.frame["population"].tolist() == [frame[frame["province"] == "north"]["town"].nunique()] * len(sample)


def test_clusters_by_size_with_equal_takes_are_self_weighting():
    frame = pd.DataFrame({"town": np.repeat(np.arange(12), np.arange(5, 17))})
    for method in ("pps systematic", "sampford", "brewer", "hansen-hurwitz"):
        sample = select.cluster(frame, "town", 4, rng=2, method=method, per_cluster=5)
        assert sample.frame["weight"].to_numpy() == pytest.approx(np.full(20, len(frame) / 20), rel=1e-12)


def test_small_clusters_are_taken_in_full_and_named():
    frame = pd.DataFrame({"town": ["a"] * 2 + ["b"] * 9 + ["c"] * 8})
    sample = select.cluster(frame, "town", 3, rng=1, per_cluster=5)
    assert len(sample) == 12
    assert sample.record.asked == 15
    assert "all rows taken where there are fewer than asked for (1): a" in str(sample)


def test_probabilities_of_three_stages_multiply():
    frame = pd.DataFrame(list(itertools.product(range(6), range(5), range(4))), columns=["town", "outlet", "k"])
    sample = select.multistage(frame, [Stage("town", n=3), Stage("outlet", rate=0.4), Stage(None, n=1)], 1)
    assert len(sample) == 6
    assert sample.frame["probability"].to_numpy() == pytest.approx(np.full(6, 3 / 6 * 2 / 5 * 1 / 4))
    assert sample.design.psu == ("psu", "unit_2", "unit_3")
    assert sample.frame[["population", "population_2", "population_3"]].drop_duplicates().to_numpy().tolist() == [
        [6, 5, 4]
    ]
    outlets = frame.loc[sample.frame.index]
    assert (sample.frame["psu"] == outlets["town"]).all()
    assert (sample.frame["unit_2"] == outlets["outlet"]).all()


def test_whole_numbers_written_with_a_point_are_whole_numbers():
    """10.0 comes out of a division: the same draw, the same record."""
    stages = [Stage("town", n=2), Stage(None, n=3)], [Stage("town", n=2.0), Stage(None, n=np.float64(3))]
    one, other = (select.multistage(register(), part, 1) for part in stages)
    assert str(one) == str(other)
    assert one.record.asked == other.record.asked == 6


def test_sizes_per_stratum_are_kept():
    given = pd.Series({"north": 5, "south": 2})
    assert select.stratified(register(), "province", given, rng=1).record.table["drawn"].to_dict() == given.to_dict()
    sample = select.cluster(register(), "town", {"north": 3, "south": 2}, rng=1, strata="province", per_cluster=1)
    assert sample.frame.groupby("stratum")["psu"].nunique().to_dict() == {"north": 3, "south": 2}


# Into estimates


def test_the_design_of_a_simple_random_sample_gives_the_textbook_standard_error():
    sample = select.simple_random(register(), 15, 3)
    y = sample.frame["spend"]
    found = estimate.mean(sample.frame, "spend", sample.design)
    assert found.value == pytest.approx(y.mean(), rel=1e-12)
    assert found.se == pytest.approx(np.sqrt((1 - 15 / 60) * y.var() / 15), rel=1e-12)


def test_the_design_of_a_stratified_sample_gives_the_textbook_standard_error():
    sample = select.stratified(register(), "province", {"north": 5, "south": 9}, rng=3)
    by = sample.frame.groupby("province")["spend"]
    share = 0.5
    n = by.size()
    variance = (share**2 * (1 - n / 30) * by.var() / n).sum()
    found = estimate.mean(sample.frame, "spend", sample.design)
    assert found.value == pytest.approx(by.mean().mean(), rel=1e-12)
    assert found.se == pytest.approx(np.sqrt(variance), rel=1e-12)


def test_the_design_of_a_two_stage_sample_gives_the_textbook_standard_error_of_a_total():
    """Cochran (1977), chapter 11: N^2 (1 - f1) s_b^2/n + (N/n) sum M^2 (1 - f2) s_w^2/m."""
    frame = pd.DataFrame({"town": np.repeat(np.arange(10), np.arange(6, 16))})
    frame["y"] = np.random.default_rng(1).normal(50, 10, len(frame))
    sample = select.cluster(frame, "town", 4, rng=2, per_cluster=3)
    by = sample.frame.groupby("psu")["y"]
    sizes = frame.groupby("town").size()[by.mean().index]
    totals = by.mean() * sizes
    between = 10**2 * (1 - 4 / 10) * totals.var() / 4
    within = 10 / 4 * (sizes**2 * (1 - 3 / sizes) * by.var() / 3).sum()
    found = estimate.total(sample.frame, "y", sample.design)
    assert found.value == pytest.approx(10 / 4 * totals.sum(), rel=1e-12)
    assert found.se == pytest.approx(np.sqrt(between + within), rel=1e-12)


def test_certain_units_add_nothing_to_the_standard_error():
    """By-chance units as drawn with replacement (no correction), the certain ones taken in full."""
    frame = pd.DataFrame({"size": [500.0, 400.0, *np.linspace(10, 30, 20)]})
    frame["y"] = frame["size"] * 2 + np.arange(22) % 5
    sample = select.pps(frame, 8, "size", rng=3)
    drawn = sample.frame[sample.frame["stratum"] == "by chance"]
    expanded = drawn["y"] * drawn["weight"]
    found = estimate.total(sample.frame, "y", sample.design)
    assert len(drawn) == 6
    assert found.se == pytest.approx(np.sqrt(6 * expanded.var()), rel=1e-12)


def test_clusters_that_are_all_certain_leave_the_variance_within_them():
    """Cochran (1977), chapter 5: sum M^2 (1 - m/M) s^2/m, as if the clusters were strata."""
    frame = pd.DataFrame({"town": np.repeat(np.arange(4), [8, 9, 10, 11])})
    frame["y"] = np.random.default_rng(1).normal(50, 10, len(frame))
    sample = select.cluster(frame, "town", 4, rng=2, method="sampford", per_cluster=3)
    by = sample.frame.groupby("psu")["y"]
    sizes = frame.groupby("town").size()
    found = estimate.total(sample.frame, "y", sample.design)
    assert found.value == pytest.approx((sizes * by.mean()).sum(), rel=1e-12)
    assert found.se == pytest.approx(np.sqrt((sizes**2 * (1 - 3 / sizes) * by.var() / 3).sum()), rel=1e-12)


def test_clusters_drawn_twice_are_two_units_of_the_design():
    frame = pd.DataFrame({"town": ["a"] * 50 + ["b"] * 3 + ["c"] * 3, "y": np.arange(56.0)})
    sample = select.cluster(frame, "town", 4, rng=2, method="hansen-hurwitz", per_cluster=2)
    assert sample.frame.groupby("draw").size().tolist() == [2, 2, 2, 2]
    expanded = sample.frame.groupby("draw")["y"].mean() * 56
    found = estimate.total(sample.frame, "y", sample.design)
    assert found.value == pytest.approx(expanded.mean(), rel=1e-12)
    assert found.se == pytest.approx(expanded.std() / 2, rel=1e-12)


# Columns and faces


def test_columns_of_the_register_are_not_overwritten_and_names_can_be_chosen():
    frame = register().assign(weight=1.0, probability=1.0)
    with pytest.raises(DataError, match=r"'probability', 'weight'.*names="):
        select.simple_random(frame, 3, 1)
    sample = select.simple_random(frame, 3, 1, names={"weight": "w", "probability": "pi"})
    assert sample.design.weights == "w"
    assert sample.columns["probability"] == "pi"
    assert (sample.frame["w"] == 20).all()
    assert "weight" in register().assign(weight=1).columns
    with pytest.raises(SpecError, match="no such columns are added"):
        select.simple_random(frame, 3, 1, names={"wieght": "w"})
    with pytest.raises(SpecError, match="one name"):
        select.simple_random(frame, 3, 1, names={"weight": "a", "probability": "a"})


def test_the_register_itself_is_left_as_it_was():
    frame = register()
    before = frame.copy()
    select.stratified(frame, "province", 10, rng=1)
    select.cluster(frame, "town", 2, rng=1, per_cluster=2)
    pd.testing.assert_frame_equal(frame, before)


def test_faces_escape_labels_and_say_how_the_sample_was_drawn():
    frame = pd.DataFrame({"h": ["<b>x</b>"] * 10 + ["y"] * 10})
    sample = select.stratified(frame, "h", 6, rng=9)
    assert "seed 9 (PCG64)" in str(sample)
    assert "<b>x</b>" not in sample._repr_html_()
    assert "<b>x</b>" not in sample.record._repr_html_()
    assert "<b>x</b>" not in select.allocate({"<b>x</b>": 10, "y": 5}, 6)._repr_html_()
    assert sample.to_frame() is sample.frame
    assert sample.record.to_frame()["drawn"].sum() == 6


def test_the_plot_shows_units_drawn_per_stratum():
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    sample = select.stratified(register(), "province", {"north": 4, "south": 9}, rng=1)
    sample.plot(ax)
    assert [bar.get_width() for bar in ax.patches] == [4, 9]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["north", "south"]
    assert ax.get_xlabel() == "units drawn (number)"
    plt.close("all")


def test_pictures_show_labels_as_they_stand_in_the_register():
    """Two dollar signs are no formula, and Chinese has glyphs where a font is installed."""
    import warnings

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from csi_lab.plots import _cjk_font

    frame = register().assign(province=np.where(np.arange(60) < 30, "广东 $1_a$", "北京"), answered=[1, 0, 1] * 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for result in (
            select.stratified(frame, "province", 9, rng=1),
            select.allocate(frame["province"].value_counts(), 9),
            response.bias(frame, ["spend", "province"], responded="answered"),
        ):
            _, ax = plt.subplots()
            labels = result.plot(ax).get_yticklabels()
            assert any("广东 $1_a$" in label.get_text() for label in labels)
            assert not any(label.get_parse_math() for label in labels)
            if _cjk_font() is not None:  # else pictures say once that a font is missing
                ax.figure.canvas.draw()
    plt.close("all")


def numbered(frame):
    """The same register with columns 0, 1, 2, … as a table made from an array has them."""
    return frame.set_axis(range(frame.shape[1]), axis=1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda f, c: select.stratified(f, c("province"), 9, rng=1),
        lambda f, c: select.stratified(f, [c("province"), c("outlet")], 12, rng=1),
        lambda f, c: select.cluster(f, c("town"), 3, rng=1, strata=c("province"), method="brewer"),
        lambda f, c: select.pps(f, 5, c("spend"), rng=1, order=c("visits")),
        lambda f, c: select.systematic(f, 5, 1, order=c("spend"), id=c("customer")),
        lambda f, c: select.rao_hartley_cochran(f, 5, c("spend"), rng=1),
        lambda f, c: select.judgement(f, 5, c("spend")),
        lambda f, c: select.quota(f, c("province"), 6, rng=1, ease=f[c("visits")]),
        lambda f, c: select.quota_margins(f, [c("province"), c("outlet")], 6, rng=1),
        lambda f, c: select.snowball(f, 9, c("degree"), rng=1),
    ],
)
def test_columns_called_by_numbers_are_columns_like_others(draw):
    frame = register()
    named, by_number = draw(frame, str), draw(numbered(frame), frame.columns.get_loc)
    assert named.frame.index.tolist() == by_number.frame.index.tolist()
    if named.random:
        assert named.frame["weight"].tolist() == by_number.frame["weight"].tolist()


def test_a_number_that_is_also_a_column_is_not_guessed():
    """A constant ease of 5 and column 5 of visits draw other people: neither is taken silently."""
    frame = numbered(register())
    with pytest.raises(SpecError, match=r"ease=5 .*give frame\[5\] for the column, 5\.0 for the number"):
        select.convenience(frame, 5, 5, rng=1)
    assert select.convenience(frame, 5, 5.0, rng=1).frame.index.tolist() == (
        select.convenience(register(), 5, 5, rng=1).frame.index.tolist()
    )


def test_true_and_false_are_strata_like_others():
    frame = register().assign(loyal=lambda f: f["visits"] > 3)
    sizes = frame["loyal"].value_counts().to_dict()
    by_rule = select.stratified(frame, "loyal", 12, rng=1)
    by_allocation = select.stratified(frame, "loyal", select.allocate(sizes, 12), rng=1)
    text = select.stratified(frame.assign(loyal=frame["loyal"].map({True: "b", False: "a"})), "loyal", 12, rng=1)
    for sample in (by_rule, by_allocation):
        assert sample.frame.index.tolist() == text.frame.index.tolist()
        assert sample.record.table["drawn"].tolist() == text.record.table["drawn"].tolist()
        assert set(sample.frame["stratum"]) == {True, False}
    nullable = select.stratified(frame.astype({"loyal": "boolean"}), "loyal", 12, rng=1)
    assert nullable.frame.index.tolist() == text.frame.index.tolist()


# Refusals


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": ["x | y", "x"] * 10, "b": ["z", "y | z"] * 10}, "2 combinations, 1 labels"),
        ({"a": [1, "1"] * 10, "b": ["z"] * 20}, "numbers that occur also as text"),
        ({"a": [[1], [2]] * 10, "b": ["z"] * 20}, "cannot be labels"),
    ],
)
def test_crossed_strata_that_would_run_together_are_refused(columns, words):
    with pytest.raises(DataError, match=words):
        select.stratified(pd.DataFrame(columns), ["a", "b"], 8, rng=1)


@pytest.mark.parametrize("names", ["w", ["w"], {"weight": 5}])
def test_other_names_must_be_a_mapping_to_texts(names):
    with pytest.raises(SpecError, match="must map added columns to other names"):
        select.simple_random(register(), 5, 1, names=names)


@pytest.mark.parametrize(
    ("n", "words"),
    [(0, "1 or more"), (-3, "1 or more"), (2.5, "whole"), ("5", "whole"), (True, "whole"), (61, "61 of 60")],
)
def test_impossible_sizes_are_refused(n, words):
    with pytest.raises(SpecError, match=words):
        select.simple_random(register(), n, 1)


@pytest.mark.parametrize("rng", [None, -1, 1.5, "1", True])
def test_a_draw_that_could_not_be_repeated_is_refused(rng):
    with pytest.raises(SpecError, match="rng"):
        select.simple_random(register(), 3, rng)


def test_unusable_registers_are_refused_with_all_that_is_wrong():
    frame = register().assign(customer=[1, 1, *range(3, 61)])
    with pytest.raises(DataError, match=r"identifiers 'customer' occur more than once: 1"):
        select.simple_random(frame, 3, 1, id="customer")
    with pytest.raises(DataError, match="row labels occur more than once"):
        select.simple_random(pd.concat([frame, frame]), 3, 1)
    with pytest.raises(DataError, match="no rows"):
        select.simple_random(frame.iloc[:0], 1, 1)
    with pytest.raises(DataError, match="DataFrame"):
        select.simple_random([1, 2, 3], 1, 1)
    with pytest.raises(DataError, match=r"got Sample; its rows are in \.frame"):
        select.simple_random(select.simple_random(frame.assign(customer=range(60)), 9, 1), 3, 1)
    with pytest.raises(DataError, match="share a name"):
        select.simple_random(pd.DataFrame([[1, 2]], columns=["a", "a"]), 1, 1)
    with pytest.raises(DataError, match=r"missing in 1 rows[\s\S]*more than once"):
        select.simple_random(register().assign(customer=[None, 1, 1, *range(3, 60)]), 3, 1, id="customer")


def test_missing_and_unknown_strata_are_refused():
    frame = register()
    with pytest.raises(DataError, match=r"'province' is empty in 2 rows: 3, 5"):
        select.stratified(frame.assign(province=frame["province"].mask(frame.index.isin([3, 5]))), "province", 9, rng=1)
    with pytest.raises(SpecError, match=r"without a sample size: south[\s\S]*no units in the register: west"):
        select.stratified(frame, "province", {"north": 3, "west": 2}, rng=1)
    with pytest.raises(SpecError, match="n=31 of 30"):
        select.stratified(frame, "province", {"north": 31, "south": 2}, rng=1)
    with pytest.raises(SpecError, match=r"n=0 in strata south.*minimum="):
        select.stratified(frame, "province", {"north": 3, "south": 0}, rng=1)
    with pytest.raises(DataError, match="not in the register"):
        select.stratified(frame, "provinz", 9, rng=1)
    empty = frame.assign(province=pd.Categorical(frame["province"], categories=["north", "south", "west"]))
    assert "without units, hence no strata: west" in str(select.stratified(empty, "province", 9, rng=1))


@pytest.mark.parametrize(
    ("sizes", "n", "options", "error", "words"),
    [
        ({"a": 5, "b": 0}, 3, {}, DataError, "without units.*b"),
        ({"a": 5, "b": 5}, 11, {}, SpecError, "more than the 10 units"),
        ({"a": 5, "b": 5}, 3, {}, SpecError, "too small for a minimum"),
        ({"a": 5, "b": 5}, 6, {"rule": "neymann"}, SpecError, "unknown"),
        ({"a": 5, "b": 5}, 6, {"rule": "neyman"}, SpecError, "needs sd"),
        ({"a": 5, "b": 5}, 6, {"rule": "neyman", "sd": {"a": 1}}, DataError, "absent for strata: b"),
        ({"a": 5, "b": 5}, 6, {"rule": "neyman", "sd": {"a": 0, "b": 0}}, DataError, "zero in every"),
        ({"a": 5, "b": 5}, 6, {"rule": "neyman", "sd": {"a": -1, "b": 1}}, DataError, "negative"),
        ({"a": 5, "b": 5}, 6, {"rule": "neyman", "sd": {"a": "x", "b": 1}}, DataError, "numbers"),
        ({"a": 5, "b": 5}, 6, {"sd": {"a": 1, "b": 1}}, SpecError, "no use of sd"),
        ({"a": 5, "b": 5}, 6, {"rule": "optimal", "sd": {"a": 1, "b": 1}}, SpecError, "needs cost"),
        (
            {"a": 5, "b": 5},
            6,
            {"rule": "optimal", "sd": {"a": 1, "b": 1}, "cost": {"a": 0, "b": 1}},
            DataError,
            "above 0.*a",
        ),
        ({"a": 5.5, "b": 5}, 6, {}, DataError, "whole"),
        ({"a": np.nan, "b": 5}, 6, {}, DataError, "missing"),
        ([5, 5], 6, {}, SpecError, "mapping or a Series"),
    ],
)
def test_impossible_allocations_are_refused(sizes, n, options, error, words):
    with pytest.raises(error, match=words):
        select.allocate(sizes, n, **options)


def test_impossible_stages_are_refused():
    frame = register()
    for stages, words in (
        ([], "one Stage or more"),
        (Stage("town", n=2), "one Stage or more"),
        ([Stage(None, n=2), Stage("town", n=2)], "only the last stage"),
        ([Stage("town", n=2), Stage("town", n=2)], "two stages"),
        ([Stage("town", n=2), Stage(None, n=2, method="with replacement")], "only the first"),
        ([Stage("town", n=2), Stage("outlet", n={"a": 1})], "one n per stratum"),
        ([Stage("town", n=99)], "n=99 of 6 units 'town'"),
    ):
        with pytest.raises(SpecError, match=words):
            select.multistage(frame, stages, 1)
    for options, words in (
        ({"n": 2, "rate": 0.5}, "either n or rate"),
        ({}, "either n or rate"),
        ({"rate": 0}, "above 0"),
        ({"rate": True}, "rate=True"),
        ({"n": 2, "method": "brewer", "size": ["spend"]}, r"size=\['spend'\] must be the name of one column"),
        ({"n": 2, "method": "ppps"}, "unknown"),
        ({"n": 2, "size": "spend"}, "no meaning"),
        ({"n": 2, "order": "spend"}, "no meaning"),
    ):
        with pytest.raises(SpecError, match=words):
            Stage("town", **options)
    with pytest.raises(SpecError, match="needs size="):
        Stage(None, n=2, method="sampford")
    with pytest.raises(SpecError, match="not both"):
        select.cluster(frame, "town", 2, rng=1, per_cluster=2, rate=0.5)
    with pytest.raises(DataError, match=r"size differs between rows of one unit"):
        select.cluster(frame, "town", 2, rng=1, method="sampford", size="spend")
    with pytest.raises(DataError, match="differs between rows of one unit"):
        select.multistage(frame, [Stage("town", n=2, method="systematic", order="spend")], 1)


def test_impossible_systematic_samples_are_refused():
    frame = register()
    for options, words in (
        ({"n": 99}, "more than"),
        ({"n": 9, "kind": "round"}, "unknown"),
        ({"n": 9, "starts": 2}, "divide"),
        ({"n": 8, "starts": 2, "kind": "linear"}, "fractional"),
    ):
        with pytest.raises(SpecError, match=words):
            select.systematic(frame, rng=1, **options)
    with pytest.raises(DataError, match="'spend' is empty in 1 rows: 0"):
        select.systematic(frame.assign(spend=frame["spend"].mask(frame.index == 0)), 5, 1, order="spend")
    with pytest.raises(DataError, match="cannot be put in order"):
        select.systematic(frame.assign(mixed=[1, "a"] * 30), 5, 1, order="mixed")


def test_a_drawn_sample_goes_into_every_estimator_with_its_weights_and_design():
    """Given itself or as its frame with the weights and the design: the same alpha, path model, index and errors."""
    rng = np.random.default_rng(3)
    latent = rng.normal(size=240)
    blocks = {"Image": ["IMG1", "IMG2"], "Loyalty": ["LOY1", "LOY2"]}
    answers = {i: np.clip(np.rint(6 + 2 * latent + rng.normal(size=240)), 1, 10) for b in blocks.values() for i in b}
    sample = select.stratified(
        register(240).assign(**answers), "province", {"north": 30, "south": 60}, rng=1, id="customer"
    )
    frame, weights = sample.frame, sample.frame["weight"]
    items = [item for block in blocks.values() for item in block]
    alone = frame[items]

    assert csi.reliability.cronbach_alpha(sample, blocks["Image"]).value == pytest.approx(
        csi.reliability.cronbach_alpha(alone[blocks["Image"]], weights=weights).value, abs=1e-12
    )
    model = csi.PathModel(blocks, {"Loyalty": ["Image"]})
    fit = csi.sem.pls(sample, model)
    assert fit.paths["estimate"].item() == pytest.approx(
        csi.sem.pls(alone, model, weights=weights).paths["estimate"].item(), abs=1e-12
    )
    index = csi.index.from_items(sample, blocks, (1, 10), draws=500, rng=2)
    for construct, block in blocks.items():
        # With equal weights of the items the index is the mean of the respondents' scores. Its standard error from 500
        # replicates has a relative error of 1 / sqrt(1000) itself.
        score = frame.assign(score=(frame[block].mean(axis=1) - 1) / 9 * 100)
        wanted = estimate.mean(score, "score", sample.design)
        assert index.table.loc[construct, "estimate"] == pytest.approx(wanted.value, abs=1e-9)
        assert index.table.loc[construct, "se"] == pytest.approx(wanted.se, rel=4.5 / np.sqrt(1000))
    found = csi.reliability.item_analysis(sample, items).to_frame()
    pd.testing.assert_frame_equal(found, csi.reliability.item_analysis(alone, items, weights=weights).to_frame())
    # What drawing added is no answer; the columns of the register are what is analysed when none are named.
    assert sample.items == tuple(register().columns) + tuple(items)


def test_a_sample_without_chance_goes_into_no_estimator_that_would_need_its_design():
    sample = select.quota(register(), "province", 10, rng=1)
    with pytest.raises(SpecError, match=r"no inclusion probabilities.*the rows are in sample\.frame"):
        csi.reliability.cronbach_alpha(sample, ["spend", "visits"])
