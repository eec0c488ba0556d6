"""Lists with an order, and samples that chance does not draw: what they do is what they say."""

import numpy as np
import pandas as pd
import pytest

from csi_lab.errors import DataError, SpecError
from csi_lab.sampling import select


def market(n=400, seed=0):
    """Customers who visit often are more satisfied; the young visit more."""
    rng = np.random.default_rng(seed)
    age = rng.choice(["old", "young"], n)
    visits = 1 + rng.poisson(np.where(age == "young", 6, 2))
    return pd.DataFrame(
        {
            "age": age,
            "region": rng.choice(["east", "north", "west"], n),
            "branch": rng.integers(0, 20, n),
            "visits": visits,
            "spend": rng.gamma(2, 10, n),
            "degree": 1 + rng.poisson(4, n),
            "satisfaction": 50 + 3 * visits + rng.normal(0, 5, n),
        }
    )


# Systematic lists


def test_successive_differences_of_a_straight_line_have_their_closed_form():
    """y = a i: every difference is a, so v = (1 - f) a^2 / (2 n)."""
    found = select.successive_difference(3.0 * np.arange(10), 50)
    assert found.value == 13.5
    assert found.se == pytest.approx(np.sqrt((1 - 0.2) * 9 / 20), rel=1e-12)


@pytest.mark.parametrize(("n", "k"), [(10, 4), (5, 20), (30, 2)])
def test_a_straight_line_gives_cochrans_variances(n, k):
    """Cochran (1977), section 8.5: V_sys = (k^2 - 1)/12, V_ran = (k - 1)(N + 1)/12."""
    found = select.systematic_starts(np.arange(n * k), k)
    assert found.variance == pytest.approx((k**2 - 1) / 12, rel=1e-12)
    assert found.simple_random == pytest.approx((k - 1) * (n * k + 1) / 12, rel=1e-12)
    assert found.ratio == pytest.approx((k + 1) / (n * k + 1), rel=1e-12)


def test_the_intraclass_correlation_is_that_of_pairs_in_one_sample():
    y = np.random.default_rng(1).normal(size=24)
    samples = y.reshape(6, 4).T - y.mean()  # four starts of six units
    pairs = [samples[:, i] * samples[:, j] for i in range(6) for j in range(6) if i != j]
    assert select.systematic_starts(y, 4).intraclass == pytest.approx(np.mean(pairs) / y.var(), rel=1e-10)


def test_a_period_equal_to_the_interval_ruins_the_sample_and_its_variance_estimate():
    y = np.tile([10.0, 10, 10, 10, 10, 30, 40], 30)
    harmed = select.systematic_starts(y, 7)
    assert harmed.intraclass == pytest.approx(1)
    assert harmed.successive == pytest.approx(0)
    assert harmed.ratio > 20
    assert select.systematic_starts(y, 10).ratio < 1


def test_average_variance_estimates_are_those_of_the_samples():
    y = np.random.default_rng(2).normal(size=40)
    each = [select.successive_difference(y[k::8], 40).se ** 2 for k in range(8)]
    assert select.systematic_starts(y, 8).successive == pytest.approx(np.mean(each), rel=1e-12)
    random = [(1 - 5 / 40) * y[k::8].var(ddof=1) / 5 for k in range(8)]
    assert select.systematic_starts(y, 8).as_random == pytest.approx(np.mean(random), rel=1e-12)


def test_the_plot_of_starts_shows_their_means():
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    _, ax = plt.subplots()
    found = select.systematic_starts(np.arange(12.0), 3)
    found.plot(ax)
    assert ax.lines[0].get_ydata().tolist() == [4.5, 5.5, 6.5]
    assert "position" in ax.get_xlabel()
    assert found.to_frame().loc[3, "ratio"] == found.ratio
    plt.close("all")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: select.successive_difference([1]), DataError, "two values"),
        (lambda: select.successive_difference([1, np.nan]), DataError, "missing"),
        (lambda: select.successive_difference(["a", "b"]), DataError, "numbers"),
        (lambda: select.successive_difference([1, 2, 3], 2), SpecError, "smaller"),
        (lambda: select.successive_difference([1, 2, 3], level=2), SpecError, "level"),
        (lambda: select.systematic_starts([1, 2, 3, 4], 3), SpecError, "fewer than two"),
        (lambda: select.systematic_starts([1, 2, 3, 4], 1), SpecError, "2 or more"),
    ],
)
def test_impossible_lists_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


# Judgement and convenience


def test_judgement_takes_the_nearest_or_the_farthest():
    frame = market()
    z = (frame[["spend", "visits"]] - frame[["spend", "visits"]].mean()) / frame[["spend", "visits"]].std(ddof=0)
    distance = np.sqrt((z**2).sum(axis=1)).sort_values()
    typical = select.judgement(frame, 12, ["spend", "visits"])
    assert set(typical.frame.index) == set(distance.index[:12])
    assert typical.frame["distance"].to_numpy() == pytest.approx(distance[typical.frame.index].to_numpy(), rel=1e-10)
    assert set(select.judgement(frame, 12, ["spend", "visits"], pick="extreme").frame.index) == set(
        distance.index[-12:]
    )


def test_judgement_of_branches_takes_all_their_customers():
    frame = market()
    means = frame.groupby("branch")["spend"].mean()
    nearest = (means - means.mean()).abs().sort_values().index[:3]
    found = select.judgement(frame, 3, "spend", unit="branch").frame
    assert set(found["branch"]) == set(nearest)
    assert len(found) == frame["branch"].isin(nearest).sum()


def test_equal_distances_go_by_the_order_of_the_register():
    assert select.judgement(pd.DataFrame({"x": [1, 3, 1, 3]}), 2, "x").frame.index.tolist() == [0, 1]


def test_the_first_to_come_by_is_drawn_in_proportion_to_ease():
    """2,000 first arrivals among 4; 4.5 binomial standard errors. Ease 0 never comes."""
    frame, rng = pd.DataFrame({"visits": [0.0, 1, 2, 7]}), np.random.default_rng(3)
    from csi_lab.sampling.select.nonrandom import arrivals

    first = np.bincount([arrivals(frame["visits"].to_numpy(), rng)[0][0] for _ in range(2000)], minlength=4) / 2000
    p = np.array([0, 0.1, 0.2, 0.7])
    assert (np.abs(first - p) <= 4.5 * np.sqrt(p * (1 - p) / 2000)).all()
    sample = select.convenience(frame, 3, "visits", rng=1)
    assert 0 not in sample.frame.index
    assert sample.frame["waiting"].is_monotonic_increasing
    assert "never come by (ease 0): 1" in str(sample)


def test_ease_may_be_a_column_an_array_or_a_function():
    frame = market()
    by_column = select.convenience(frame, 30, "visits", rng=5).frame
    pd.testing.assert_frame_equal(by_column, select.convenience(frame, 30, frame["visits"].to_numpy(), rng=5).frame)
    pd.testing.assert_frame_equal(by_column, select.convenience(frame, 30, lambda f: f["visits"], rng=5).frame)
    turned = frame["visits"].iloc[::-1]
    pd.testing.assert_frame_equal(by_column, select.convenience(frame, 30, turned, rng=5).frame)


def test_more_people_met_by_convenience_do_not_remove_the_bias():
    """Those met among 20,000 are weighted by visits: the bias tends to cov(visits, y)/mean(visits)."""
    frame = market(20_000)
    truth = frame["satisfaction"].mean()
    limit = np.average(frame["satisfaction"], weights=frame["visits"]) - truth
    for n in (100, 400):
        sample = select.convenience(frame, n, "visits", rng=7).frame["satisfaction"]
        assert abs(sample.mean() - truth - limit) < 4.5 * sample.std() / np.sqrt(n)
        assert limit > 3 * 4.5 / np.sqrt(n)


NONRANDOM = {
    "judgement": lambda f: select.judgement(f, 10, "spend"),
    "convenience": lambda f: select.convenience(f, 10, "visits", rng=1),
    "quota": lambda f: select.quota(f, "age", 10, rng=1),
    "snowball": lambda f: select.snowball(f, 30, "degree", rng=1),
}


@pytest.mark.parametrize("name", NONRANDOM)
def test_what_chance_did_not_draw_has_no_design_and_says_why(name):
    sample = NONRANDOM[name](market())
    assert not sample.random
    with pytest.raises(SpecError, match=f"a {name} sample has no inclusion probabilities"):
        _ = sample.design
    with pytest.raises(SpecError):
        _ = sample.joint
    assert {"probability", "weight"}.isdisjoint(sample.frame.columns)
    assert "no design" in sample._repr_html_()


# Quotas


def interviewed_one_by_one(frame, cells, wanted, ease, agree, seed):
    """The same fieldwork as a plain loop over arrivals."""
    rng = np.random.default_rng(seed)
    wait = rng.exponential(size=len(frame)) / ease
    willing = rng.random(len(frame)) < agree
    left, sheet, taken = dict(wanted), {c: [0, 0, 0] for c in wanted}, []
    for k in np.argsort(wait):
        if not any(left.values()):
            break
        cell = cells.iloc[k]
        if left[cell] == 0:
            sheet[cell][2] += 1
            continue
        sheet[cell][0] += 1
        if willing[k]:
            left[cell] -= 1
            taken.append(k)
        else:
            sheet[cell][1] += 1
    return taken, sheet


@pytest.mark.parametrize(("seed", "agree"), [(1, 0.5), (2, 0.9), (3, 0.04)])
def test_quota_fieldwork_is_that_of_an_interviewer_asking_one_by_one(seed, agree):
    """At 4 % agreement cells stay short."""
    frame = market()
    sample = select.quota(frame, ["age", "region"], 60, rng=seed, ease="visits", agree=agree)
    cells = frame["age"] + " | " + frame["region"]
    wanted = sample.record.table["quota"].to_dict()
    taken, sheet = interviewed_one_by_one(frame, cells, wanted, frame["visits"].to_numpy(), agree, seed)
    assert sample.frame.index.tolist() == taken
    assert sample.frame["cell"].tolist() == cells.iloc[taken].tolist()
    found = sample.record.table
    assert {c: found.loc[c, ["asked", "refused", "turned_away"]].tolist() for c in wanted} == sheet
    assert (found["drawn"] + found["short"] == found["quota"]).all()
    assert ("cells not filled" in str(sample)) == bool(found["short"].any())
    assert found["short"].any() == (agree < 0.1)


def test_quotas_are_the_margins_of_the_register():
    frame = market()
    sample = select.quota(frame, ["age", "region"], 80, rng=1)
    exact = 80 * sample.record.table["population"] / 400
    assert (np.abs(sample.record.table["quota"] - exact) < 1).all()
    assert sample.record.table["quota"].sum() == 80 == len(sample)


def test_margins_agree_while_the_answer_stays_biased():
    """Visits go with satisfaction within cells: the quota mean is off by many standard errors, a random one is not."""
    frame = market(8000)
    truth, scale = frame["satisfaction"].mean(), frame["satisfaction"].std() / np.sqrt(500)
    sample = select.quota(frame, ["age", "region"], 500, rng=1, ease="visits")
    share = sample.frame["age"].value_counts(normalize=True)["young"]
    assert share == pytest.approx((frame["age"] == "young").mean(), abs=0.01)
    assert sample.frame["satisfaction"].mean() - truth > 4.5 * scale
    assert abs(select.simple_random(frame, 500, 1).frame["satisfaction"].mean() - truth) < 4.5 * scale


def test_a_given_sheet_is_filled_and_checked():
    frame = market()
    sample = select.quota(frame, "age", 30, rng=1, sheet={"young": 20, "old": 10})
    assert sample.frame["cell"].value_counts().to_dict() == {"young": 20, "old": 10}
    assert "cells without a quota: old" in str(select.quota(frame, "age", 5, rng=1, sheet={"young": 5}))
    for sheet, words in (
        ({"young": 20, "older": 10}, "not in the register: older"),
        ({"young": 20, "old": 11}, "sum to 31, but n=30"),
        ({"young": 1000, "old": 10}, "more interviews than units"),
        ({"young": -1, "old": 31}, "0 or more"),
        ([20, 10], "mapping"),
    ):
        with pytest.raises(SpecError, match=words):
            select.quota(frame, "age", 30, rng=1, sheet=sheet)


def test_margins_are_filled_apart_and_those_left_open_are_named():
    frame = market()
    sample = select.quota_margins(frame, ["age", "region"], 60, rng=1, ease="visits", agree=0.8)
    table = sample.record.table
    assert (table["drawn"] == table["quota"]).all()
    assert sample.frame["region"].value_counts().to_dict() == table.loc["region", "drawn"].to_dict()
    few = select.quota_margins(frame, ["age", "region"], 60, rng=1, agree=0.02)
    assert "margins not filled" in str(few)
    assert (few.record.table["short"] == few.record.table["quota"] - few.record.table["drawn"]).all()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f: select.judgement(f, 5, "age"), DataError, "numbers"),
        (lambda f: select.judgement(f.assign(flat=1), 5, ["spend", "flat"]), DataError, r"do not vary.*flat"),
        (lambda f: select.judgement(f, 5, "spend", pick="best"), SpecError, "typical"),
        (lambda f: select.judgement(f, 21, "spend", unit="branch"), SpecError, "20 branch"),
        (lambda f: select.judgement(f, 5, ["spend", "spending"]), DataError, "spending"),
        (lambda f: select.judgement(f.assign(spend=f["spend"].mask(f.index == 4)), 5, "spend"), DataError, "1 rows: 4"),
        (lambda f: select.convenience(f, 5, -f["visits"], rng=1), DataError, "below 0"),
        (lambda f: select.convenience(f, 5, [1, 2], rng=1), DataError, "shape"),
        (lambda f: select.convenience(f, 5, f["visits"] * 0, rng=1), SpecError, "0 units that can be met"),
        (lambda f: select.quota(f, "age", 5, rng=1, agree=1.5), DataError, "above 1"),
        (lambda f: select.quota(f, "age", 401, rng=1), SpecError, "more than the 400"),
        (lambda f: select.quota(f.assign(age=None), "age", 5, rng=1), DataError, "empty in 400 rows"),
        (lambda f: select.snowball(f, 5, "degree", rng=1, seeds=6), SpecError, "6 seeds are more than n=5"),
        (lambda f: select.snowball(f, 5, "degree", rng=1, seeds=[0, 0, 999]), SpecError, r"absent: \[999\], twice"),
        (lambda f: select.snowball(f, 5, "degree", rng=1, homophily=0.5), SpecError, "needs group"),
        (lambda f: select.snowball(f, 5, "degree", rng=1, group="age", homophily=2), SpecError, "between 0 and 1"),
        (lambda f: select.snowball(f, 5, "spend", rng=1), DataError, "no whole numbers"),
        (lambda f: select.snowball(f.assign(degree=0), 5, "degree", rng=1), SpecError, "0 persons with a contact"),
        (lambda f: select.snowball(f, 5, "degree", rng=1, referrals=0), SpecError, "referrals"),
        (lambda f: select.snowball(f, 5, "degree", rng=1, network="friends"), SpecError, "made by contact_network"),
        (
            lambda f: select.snowball(
                f.head(50), 5, "degree", rng=1, network=select.contact_network(f, "degree", rng=1)
            ),
            SpecError,
            "the network has 400 persons, the register 50",
        ),
    ],
)
def test_impossible_requests_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(market())


# Networks and snowballs


def test_ties_are_mutual_single_and_not_more_than_the_contacts_wanted():
    frame = market()
    network = select.contact_network(frame, "degree", rng=1, group="region", homophily=0.3)
    person = np.repeat(np.arange(400), network.degree)
    ties = set(zip(person.tolist(), network.contacts.tolist(), strict=True))
    assert len(ties) == len(person)
    assert all((b, a) in ties and a != b for a, b in ties)
    assert (network.degree <= frame["degree"]).all()
    assert network.dropped == frame["degree"].sum() - network.degree.sum()
    assert network.dropped < 0.1 * frame["degree"].sum()


@pytest.mark.parametrize("homophily", [0.0, 0.5, 1.0])
def test_the_share_of_ties_within_groups_is_that_of_the_homophily(homophily):
    """h + (1 - h) sum of squared shares of loose ends; 4.5 binomial standard errors over some 10,000 ties."""
    frame = market(4000)
    network = select.contact_network(frame, "degree", rng=1, group="region", homophily=homophily)
    group = frame["region"].to_numpy()
    person = np.repeat(np.arange(4000), network.degree)
    seen = (group[person] == group[network.contacts]).mean()
    share = frame.groupby("region")["degree"].sum() / frame["degree"].sum()
    expected = homophily + (1 - homophily) * (share**2).sum()
    assert abs(seen - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / network.ties) + 1e-12


def test_chains_hold_together():
    frame = market()
    frame.index = [f"c{k}" for k in range(400)]
    network = select.contact_network(frame, "degree", rng=2)
    sample = select.snowball(frame, 120, "degree", rng=3, seeds=4, referrals=2, network=network, agree=0.7)
    drawn = sample.frame
    assert drawn.index.is_unique
    assert len(drawn) == 120
    later = drawn[drawn["wave"] > 0]
    host = drawn.loc[later["recruiter"]]
    assert (later["wave"].to_numpy() == host["wave"].to_numpy() + 1).all()
    assert (later["chain"].to_numpy() == host["chain"].to_numpy()).all()
    at = frame.index.get_indexer
    for guest, by in zip(at(later.index), at(later["recruiter"]), strict=True):
        assert guest in network.contacts[network.starts[by] : network.starts[by + 1]]
    brought = later["recruiter"].value_counts().reindex(drawn.index, fill_value=0)
    assert (brought == drawn["recruited"]).all()
    assert drawn["recruited"].max() <= 2
    assert drawn[drawn["wave"] == 0]["recruiter"].isna().all()
    assert sample.record.table["drawn"].tolist() == np.bincount(drawn["wave"]).tolist()


def test_waves_end_where_told_and_dead_chains_are_reported():
    frame = market()
    two = select.snowball(frame, 300, "degree", rng=1, seeds=2, referrals=2, waves=2)
    assert two.frame["wave"].max() == 2
    assert "after 2 waves" in str(two)
    alone = select.snowball(frame, 300, "degree", rng=1, seeds=2, agree=0.0)
    assert len(alone) == 2
    assert "the chains died out" in str(alone)


def test_seeds_can_be_named():
    frame = market()
    found = select.snowball(frame, 30, "degree", rng=1, seeds=[7, 11]).frame
    assert found.index[:2].tolist() == [7, 11]
    assert found["chain"].iloc[:2].tolist() == [1, 2]


def test_well_connected_people_come_in_early_and_inverse_degrees_correct_for_it():
    """Draws in proportion to degree, as a long random walk makes them: the naive mean is biased, the other is not."""
    frame = market(5000).assign(y=lambda f: (f["degree"] >= 6) * 1.0)
    rng = np.random.default_rng(1)
    p = frame["degree"] / frame["degree"].sum()
    walks = frame.iloc[rng.choice(5000, size=(20 * 200), p=p)].assign(chain=np.repeat(np.arange(20), 200))
    found = select.volz_heckathorn(walks["y"], walks["degree"], chain=walks["chain"])
    truth = frame["y"].mean()
    assert abs(found.value - truth) < 4.5 * found.se
    assert walks["y"].mean() - truth > 10 * found.se
    early = select.snowball(frame, 600, "degree", rng=2, seeds=20).frame
    assert early["degree"].mean() > frame["degree"].mean() + 4.5 * frame["degree"].std() / np.sqrt(600)


def test_volz_heckathorn_is_the_ratio_with_chains_as_units():
    y, d, chain = np.array([3.0, 5, 4, 8]), np.array([1.0, 2, 4, 4]), ["a", "a", "b", "b"]
    found = select.volz_heckathorn(y, d, chain=chain)
    mean = (3 + 2.5 + 1 + 2) / (1 + 0.5 + 0.25 + 0.25)
    a, b = (1 * (3 - mean) + 0.5 * (5 - mean)) / 2, (0.25 * (4 - mean) + 0.25 * (8 - mean)) / 2
    assert found.value == pytest.approx(mean, rel=1e-14)
    assert found.se == pytest.approx(np.sqrt(2 * (a**2 + b**2)), rel=1e-12)
    assert found.df == 1
    again = select.volz_heckathorn(y, 10 * d, chain=chain)
    assert (again.value, again.se) == pytest.approx((found.value, found.se), rel=1e-12)


@pytest.mark.parametrize(
    ("y", "d", "chain", "words"),
    [
        ([1, 2], [1, 0], None, "not above 0 for 1"),
        ([1, np.nan], [1, 2], None, "values missing for 1"),
        ([1, 2], [1, 2, 3], None, "shapes"),
        (["a", "b"], [1, 2], None, "numbers"),
        ([1, 2], [1, 2], ["a", "a"], "one chain"),
        ([1, 2], [1, 2], ["a", None], "1 missing"),
        ([1, 2], [1, 2], ["a"], "one chain per person"),
    ],
)
def test_unusable_degrees_and_chains_are_refused(y, d, chain, words):
    with pytest.raises(DataError, match=words):
        select.volz_heckathorn(y, d, chain=chain)
