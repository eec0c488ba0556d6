"""Parameters of the simulated market that no test beside it recovers: what is behind the tables, from the tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from test_simulate_tables import RARE, fits, logit_fit, people, stated, wald, with_constant

import csi_lab as csi
from csi_lab.simulate import answers as answering
from csi_lab.simulate import (
    behaviour,
    complaints,
    firms,
    focus_groups,
    journey,
    kano,
    nonresponse,
    servqual,
    truth,
    visits,
)
from csi_lab.simulate import register as registering
from csi_lab.simulate.careless import careless_answers
from csi_lab.simulate.complaint_arrivals import arrivals
from csi_lab.simulate.complaint_handling import PRODUCT_OF, SCENE_OF, handled
from csi_lab.simulate.fieldwork import interview
from csi_lab.simulate.open_answers import texts
from csi_lab.simulate.opinions import Opinions
from csi_lab.simulate.ratings import answer_levels, mean_answer
from csi_lab.simulate.working_days import WorkingDays

BAND = 4.5  # standard errors, as in the test of the market
N = 40_000


@pytest.fixture(scope="module")
def market():
    return csi.simulate.make_market(customers=N, rng=12)


@pytest.fixture(scope="module")
def many() -> tuple[pd.DataFrame, pd.DataFrame]:
    return people(40_000, seed=5)


def near(values: np.ndarray, true: object, by: object = None) -> None:
    """The mean of the values is the true one; ``by``: whose values belong together (their sums are independent)."""
    x = np.asarray(values, dtype=float)
    d = x - np.asarray(true, dtype=float)
    sums = d - d.mean() if by is None else pd.Series(d - d.mean()).groupby(np.asarray(by)).sum().to_numpy()
    assert abs(d.mean()) < BAND * np.sqrt((sums**2).sum()) / len(d), (d.mean(), np.sqrt((sums**2).sum()) / len(d))


def spread(values: np.ndarray, sd: float) -> None:
    """The standard deviation is the stated one, with the fourth moment of the values themselves."""
    x = np.asarray(values, dtype=float)
    near((x - x.mean()) ** 2 * len(x) / (len(x) - 1), sd**2)


def shares(found: pd.Series, wanted: object) -> None:
    expected = pd.Series(dict(wanted), dtype=float)
    expected = expected[expected > 0] * len(found)
    counts = found.value_counts()
    assert set(counts.index) <= set(expected.index)
    if len(expected) == 1:
        return
    assert fits(counts.reindex(expected.index, fill_value=0), expected, lost=1) > RARE / 10


# ------------------------------------------------------------------------------------------------------ register


def test_provinces_and_operators_have_the_stated_shares(market):
    truths, register = market.parameters["market"], market.register
    shares(register["province"], {name: block["share"] for name, block in truths["provinces"].items()})
    for name, block in truths["provinces"].items():
        odds = {o: truths["operators"][o]["share"] * block["tilt"].get(o, 1.0) for o in truths["operators"]}
        here = register.loc[register["province"] == name, "operator"]
        shares(here, {o: odd / sum(odds.values()) for o, odd in odds.items()})


def test_towns_spread_as_stated_and_the_largest_are_urban():
    rules = truth.load("market")
    logs = []
    for seed in range(4):
        towns = registering._towns(rules, 10**12, np.random.default_rng(seed))
        for name, block in rules["provinces"].items():
            own = towns[towns["province"] == name]
            assert len(own) == block["towns"]
            assert own["urban"].sum() == round(rules["towns"]["urban_share"] * block["towns"])
            assert own.loc[own["urban"], "customers"].min() > own.loc[~own["urban"], "customers"].max()
            size = np.log(own["customers"])
            logs.append(((size - size.mean()) ** 2).to_numpy() * len(own) / (len(own) - 1))
    near(np.concatenate(logs), rules["towns"]["size_sd"] ** 2)


def test_outlets_are_one_per_town_and_one_more_per_300_customers(market):
    per = market.parameters["market"]["towns"]["customers_per_outlet"]
    cells = market.register.groupby(["town", "operator"])
    counts, outlets = cells.size(), cells["branch"].nunique()
    assert (outlets <= 1 + counts // per).all()
    large = counts > 100  # chance leaves one of at most six outlets empty in less than once in ten million
    assert (outlets[large] == 1 + counts[large] // per).all()
    assert (counts[large] >= per).any()


def test_people_are_as_stated(market):
    rules, register = market.parameters["market"]["people"], market.register
    shares(register.loc[register["urban"], "age_group"], rules["age_group"]["urban"])
    for age, share in rules["email"].items():
        near(register.loc[register["age_group"] == age, "email"], share)
    price = register["plan"].map(dict(rules["price"])) * register["operator"].map(dict(rules["price_factor"]))
    log = np.log(register["spend"] / price)
    near(log, 0.0)
    spread(log, rules["spend_sd"])
    tenure = rules["tenure"]
    edges = np.array([tenure["least"], 6, 12, 24, 36, 60, 100, tenure["most"], np.inf])
    survive = np.exp(-(edges - tenure["least"]) / (tenure["mean"] - tenure["least"]))
    found = np.histogram(register["tenure_months"], edges)[0]
    assert fits(found, N * -np.diff(survive), lost=1) > RARE
    for age, factor in rules["degree"]["age_factor"].items():
        own = register.loc[register["age_group"] == age, "degree"]
        edges = np.array([1, 8, 12, 18, 25, 35, 50, 80, np.inf])
        below = stats.norm.cdf(np.log(edges / (rules["degree"]["median"] * factor)) / rules["degree"]["sd"])
        below[0] = 0.0  # nobody knows less than one
        assert fits(np.histogram(own, edges)[0], len(own) * np.diff(below), lost=1) > RARE


def test_faults_vary_between_customers_and_towns_as_stated(market):
    """Factorial moments of a Poisson count with two gamma factors; every town has one vote."""
    rules, register = market.parameters["market"]["people"]["faults"], market.register
    factor = register["operator"].map(dict(rules["operator"])).to_numpy()
    x = register["faults"].to_numpy()
    y = pd.DataFrame({"town": register["town"], "y": x / factor, "square": x * (x - 1) / factor**2})
    y["own"] = y["y"] ** 2
    towns = y.groupby("town").agg(n=("y", "size"), y=("y", "sum"), square=("square", "mean"), own=("own", "sum"))
    towns = towns[towns["n"] >= 5]
    mean, town, person = rules["mean"], 1 / rules["town_shape"], 1 / rules["shape"]
    near(towns["y"] / towns["n"], mean)
    near((towns["y"] ** 2 - towns["own"]) / (towns["n"] * (towns["n"] - 1)), mean**2 * (1 + town))
    near(towns["square"], mean**2 * (1 + town) * (1 + person))
    # Operators in the same town have the same luck with it.
    own = register.assign(fair=x / factor - pd.Series(x / factor).groupby(register["town"]).transform("mean"))
    for name in rules["operator"]:
        part = own[own["operator"] == name]
        near(part["fair"], 0.0, by=part["town"])


def test_visits_to_outlets_and_contact_with_staff_follow_the_stated_rates(market):
    rules, register = market.parameters["market"]["people"], market.register
    rule = rules["outlet_visits"]
    rate = rule["mean"] * np.where(register["urban"], 1, rule["rural"])
    rate = (
        rate
        * np.where(register["age_group"] == "50+", rule["age_50"], 1)
        * (1 + rule["per_fault"] * register["faults"])
    )
    visits_made = register["outlet_visits"]
    for who in (register["urban"], ~register["urban"], register["age_group"] == "50+", register["faults"] == 0):
        near((visits_made / rate)[who], 1.0)
    near((visits_made / rate)[register["faults"] >= 3], 1.0)
    near(visits_made * (visits_made - 1) / rate**2, 1 + 1 / rule["shape"])
    rule = rules["contact"]
    counted = np.minimum(register["faults"], rule["counted"]) - rules["faults"]["mean"]
    found = logit_fit(with_constant(counted), register["contact"].to_numpy(float))
    assert wald(*found, [rule["base"], rule["per_fault"]]) > RARE


def test_groups_towns_and_outlets_differ_in_quality_and_value_as_stated(market):
    """What is left of the scores after their sources has the effects of groups, and pairs show the random ones."""
    rules, register, latent = market.parameters["market"], market.register, market.latent
    effects = rules["effects"]

    def left(name: str) -> np.ndarray:
        return latent[name].to_numpy() - sum(b * latent[s].to_numpy() for s, b in rules["paths"][name].items())

    def stated_effect(column: str, name: str) -> np.ndarray:
        return register[column].map({k: v.get(name, 0.0) for k, v in effects[column].items()}).to_numpy(float)

    value = left("VAL") - stated_effect("operator", "VAL") - stated_effect("age_group", "VAL")
    value -= value.mean()
    for column in ("operator", "age_group"):
        for rows in register.groupby(column).indices.values():
            near(value[rows], 0.0)
    counted = np.minimum(register["faults"].to_numpy(), effects["faults"]["counted"])
    quality = left("PQ") - effects["faults"]["any"] * (counted > 0)
    quality -= effects["faults"]["each_further"] * np.maximum(counted - 1, 0)
    quality -= stated_effect("operator", "PQ") + stated_effect("province", "PQ")
    table = pd.DataFrame({"q": quality, "town": register["town"], "branch": register["branch"]})
    table["q"] -= table.groupby("town")["q"].mean().mean()
    inside = table["q"] - table.groupby("town")["q"].transform("mean")
    for rows in register.groupby("operator").indices.values():
        near(inside.to_numpy()[rows], 0.0, by=table["town"].to_numpy()[rows])
    by_town = table.groupby("town")["q"].mean()
    for _, towns in by_town.groupby(by_town.index.str[:2]):
        near(towns, 0.0)
    whole = table.groupby("town")["q"].agg(n="size", s="sum").assign(own=(table["q"] ** 2).groupby(table["town"]).sum())
    parts = table.groupby(["town", "branch"])["q"].agg(n="size", s="sum")
    same = (parts["s"] ** 2).groupby("town").sum() - whole["own"]
    pairs_same = (parts["n"] * (parts["n"] - 1)).groupby("town").sum()
    other, pairs_other = whole["s"] ** 2 - whole["own"] - same, whole["n"] * (whole["n"] - 1) - pairs_same
    enough = (pairs_same > 50) & (pairs_other > 50)
    near((other / pairs_other)[enough], effects["town_sd"]["PQ"] ** 2)
    near((same / pairs_same - other / pairs_other)[enough], effects["outlet_sd"]["PQ"] ** 2)


def test_answers_have_the_stated_evenness():
    """Thresholds are normal quantiles of one beta distribution per item, whose parameters have the evenness as sum."""
    rules = truth.load("market")
    for cuts, item in zip(answering.thresholds(rules), rules["items"].values(), strict=True):
        below, s = stats.norm.cdf(cuts), item["evenness"]
        centre = np.linspace(0.3, 0.9, 2401)
        tenth = np.arange(1, 10) / 10
        miss = np.abs(stats.beta.cdf(tenth[:, None], centre * s, (1 - centre) * s) - below[:, None]).max(axis=0)
        assert miss.min() < 5e-4


# ----------------------------------------------------------------------------------------------------- fieldwork


def test_outcomes_calls_mode_and_length_of_interviews_are_as_stated(market):
    survey, register = market.parameters["survey"], market.register
    rule = survey["response"]
    found = nonresponse.outcomes(register, market.latent_in(3)["SAT"].to_numpy(), survey, np.random.default_rng(3))
    reached = (register["phone"] | register["email"]).to_numpy()
    shares(found.loc[reached & (found["outcome"] != "I").to_numpy(), "outcome"], rule["outcomes"])
    calls = found.loc[found["outcome"] != "NC", "calls"]
    last = rule["most_calls"]
    chance = {k: rule["per_call"] * (1 - rule["per_call"]) ** (k - 1) for k in range(1, last)}
    shares(calls, chance | {last: (1 - rule["per_call"]) ** (last - 1)})
    work = interview(market, np.arange(1, N + 1), nonresponse=False, item_missing=0.0)
    field, got = survey["fieldwork"], work.answers
    both = (register["phone"] & register["email"]).to_numpy()
    web = (got["mode"] == "web").to_numpy()
    near(web[both], field["web"])
    assert web[register["email"] & ~register["phone"]].all()
    assert not web[~register["email"]].any()
    day = pd.to_datetime(got["date"]) - pd.Timestamp(f"2025-{field['start']}")
    shares(day.dt.days, dict.fromkeys(range(field["days"]), 1 / field["days"]))
    kind = work.key["careless"].to_numpy()
    for mode in ("web", "telephone"):
        for name, pace in {"careful": 1.0, "straight": survey["careless"]["pace"]["straight"]}.items():
            log = np.log(got.loc[(got["mode"] == mode).to_numpy() & (kind == name), "seconds"])
            near(log, np.log(field["seconds"][mode] * pace))
            spread(log, field["seconds"]["sd"])


def test_a_speeder_guesses_the_stated_share_of_answers():
    survey = truth.load("survey")
    meant = np.full((2000, 20), 7)
    given = careless_answers(meant, np.full(2000, "speeder"), survey, np.random.default_rng(1))
    near((given != meant).ravel(), survey["careless"]["guessed"] * 0.9)  # one guess in ten hits what was meant


def test_how_handling_was_judged_follows_satisfaction_as_stated(market):
    """Without a register of complaints all judgements are of the stated normal, rounded and held within 1 to 10."""
    rule = market.parameters["survey"]["complained"]["handling"]
    got = interview(market, np.arange(1, N + 1), nonresponse=False).answers
    said = got["CP2"].notna().to_numpy()
    felt = rule["mean"] + rule["satisfaction"] * market.latent_in(3)["SAT"].to_numpy()[said]
    score = got["CP2"][said].to_numpy(float)
    expected = mean_answer(felt, rule["sd"], low=1, high=10)
    assert len(score) > 3000
    near(score, expected)
    near((score - expected) * felt, 0.0)
    cuts = np.arange(1, 10) + 0.5
    square = 1 + ((2 * np.arange(1, 10) + 1) * stats.norm.cdf((felt[:, None] - cuts) / rule["sd"])).sum(axis=1)
    near(score**2, square)


def test_open_answers_have_the_stated_shares_languages_and_topics():
    survey = truth.load("survey")
    stated_answers = survey["open_answers"]
    n, names = 20_000, list(stated_answers["topics"])
    trouble = {name: np.full(n, -0.5 if name == names[0] else 0.0) for name in names}
    found = pd.Series(texts(trouble, survey, np.random.default_rng(2)))
    hostile = found.isin(list(stated_answers["hostile"]))
    near(hostile, stated_answers["hostile_share"])
    near((found != "")[~hostile], stated_answers["share"])
    usual = found[~hostile & (found != "")]
    chinese = usual.str.contains("[\u4e00-\u9fff]", regex=True)
    near(chinese, stated_answers["chinese"])
    # Only the texts of the first topic speak of speed or upload.
    words = usual.str.contains("peed|pload|网速|上传", regex=True)
    shift = 0.5 / stated_answers["spread"]
    lowest = integrate.quad(lambda z: stats.norm.pdf(z) * stats.norm.sf(z - shift) ** (len(names) - 1), -9, 9)[0]
    near(words, lowest)


# ---------------------------------------------------------------------------------------------------- complaints


@pytest.fixture(scope="module")
def arrived(many):
    register, latent = many
    rules = stated("complaints", rate=300.0, faults__serial__share=0.0)
    return rules, arrivals(register, Opinions.constant(latent["SAT"].to_numpy()), rules, np.random.default_rng(3))


def test_hours_types_and_reasons_are_as_stated(many, arrived):
    rules, found = arrived
    usual = found[found["fault"] == ""]
    hour = np.array(rules["hour"]) / sum(rules["hour"])
    shares(usual["received"].dt.hour, dict(enumerate(hour)))
    faults = many[0]["faults"].to_numpy()[usual["person"]]
    for count in (0, 1, 2, 4):
        odds = {k: v["share"] * (1 + count) ** v["faults"] for k, v in rules["types"].items()}
        shares(usual.loc[faults == count, "type"], {k: odd / sum(odds.values()) for k, odd in odds.items()})
    for kind, reasons in rules["reasons"].items():
        shares(usual.loc[usual["type"] == kind, "reason"], reasons)


def test_serial_claimants_claim_as_often_as_stated(many, arrived):
    register, latent = many
    _, base = arrived
    more = stated("complaints", rate=300.0, faults__serial__share=0.05)
    found = arrivals(register, Opinions.constant(latent["SAT"].to_numpy()), more, np.random.default_rng(3))
    rule = more["faults"]["serial"]
    rings = found[found["ring"] > 0].groupby("person")["ring"].first()
    assert len(rings) == round(rule["share"] * base["person"].nunique())
    assert rings.value_counts().iloc[:-1].eq(rule["ring"]).all()
    # Poisson, so that its mean is its variance.
    extra = (len(found) - len(base)) / len(rings) - rule["least"]
    assert abs(extra - rule["more"]) < BAND * np.sqrt(rule["more"] / len(rings))


@pytest.fixture(scope="module")
def cases(many, arrived):
    """Cases right after handling, with all that the register hides."""
    rules, found = arrived
    rng = np.random.default_rng(6)
    some = found[found["received"] < "2025-11-01"].sample(40_000, random_state=1, replace=True).reset_index(drop=True)
    some["repeats"] = rng.integers(0, 2, len(some))
    clock = WorkingDays.of(rules["calendar"], opens=9, closes=18)
    opinions = Opinions.constant(many[1]["SAT"].to_numpy())
    return rules, handled(some, opinions, rules, np.random.default_rng(7), clock=clock), clock


def test_what_is_written_down_on_receipt_has_the_stated_shares(cases):
    rules, found, _ = cases
    shares(found["channel"], rules["channels"])
    shares(found["remedy_sought"], rules["remedies"])
    shares(found.loc[~found["reason"].isin(list(PRODUCT_OF)), "product"], rules["products"])
    shares(found.loc[~found["reason"].isin(list(SCENE_OF)), "scene"], rules["scenes"])
    for grade, rule in rules["grades"].items():
        own = found[found["grade"] == grade]
        shares(own["severity"], dict(enumerate(rule["severity"], 1)))
        for flag, key in (("law_cited", "law"), ("profession_flag", "profession"), ("media_flag", "media")):
            near(own[flag], rule[key])
    usual = found["fault"] != "campaign"
    near(found.loc[usual, "promise_flag"], rules["handling"]["promise_flag"])
    near(found.loc[found["type"] != "attitude", "second_type"].notna(), rules["handling"]["second_type"])
    assert found.loc[found["type"] == "attitude", "second_type"].isna().all()
    near(found["contacts_24h"], rules["handling"]["contacts"])
    shares(found["courtesy"], dict(enumerate(rules["handling"]["courtesy"], 1)))


def test_emotion_is_the_stated_ordinal_logit(many, cases):
    rules, found, _ = cases
    rule = rules["emotion"]
    satisfaction = many[1]["SAT"].to_numpy()[found["person"]]
    x = with_constant(satisfaction, found["grade"] != "general", found["repeats"] > 0)
    for place, cut in enumerate(rule["cuts"], 1):
        b = logit_fit(x, (found["emotion"] > place).to_numpy(float))
        assert wald(*b, [-cut, rule["satisfaction"], rule["major"], rule["repeated"]]) > RARE, place


def test_the_steps_of_a_case_take_the_stated_times(cases):
    rules, found, _ = cases
    rule = rules["handling"]
    log = np.log(found["reply"] - found["resolve"])
    near(log, np.log(rule["feedback"]["median"]))
    spread(log, rule["feedback"]["sigma"])
    near(found["close"] - found["reply"], rule["closing"])
    # Long cases hardly ever end before the first answer is due.
    long = found[found["handling_days"] > 8]
    near(np.log(long["response_days"]), np.log(rule["first_response"]["median"]))
    spread(np.log(long["response_days"]), rule["first_response"]["sigma"])
    short = found[found["response_days"] == found["handling_days"] * rule["first_response"]["at_the_latest"]]
    assert len(short) > 30
    assert (found["response_days"] < found["handling_days"]).all()
    back = found[found["reopened"] == 1]
    low = (found["sat_outcome"] <= rules["unsatisfied"]).to_numpy()
    near(found.loc[low, "reopened"], rule["reopened"]["unsatisfied"])
    near(found.loc[~low, "reopened"], rule["reopened"]["others"])
    near(back["reopen"] - back["close"], rule["reopened"]["wait"])
    log = np.log(back["last_close"] - back["reopen"])
    near(log, np.log(rule["reopened"]["second_closing"]["median"]))
    spread(log, rule["reopened"]["second_closing"]["sigma"])
    near(found["promise"].notna(), rule["promised"])
    assert (found["promise"].dropna() == found.loc[found["promise"].notna(), "due"]).all()


def test_notices_of_extension_are_as_frequent_and_as_timely_as_stated(cases):
    rules, found, _ = cases
    rule = rules["handling"]["extension"]
    late = np.floor(found["resolve"] + 1e-9) > found["due"]
    near(found.loc[late, "extend"].notna(), rule["notified"])
    assert found.loc[~late, "extend"].isna().all()
    told = found[found["extend"].notna() & (found["respond"] < found["due"] + 1)]
    near(told["extend"] < told["due"] + 1, rule["valid"])
    assert (told["extended_due"] == told["due"] + rule["days"]).all()


def test_money_outcomes_and_causes_are_as_stated(cases):
    rules, found, _ = cases
    rule = rules["handling"]
    near(found.loc[found["outcome"] != "solved", "outcome"] == "partly", rule["partly"])
    for kind in rules["types"]:
        own = found[found["type"] == kind]
        if rule["amount"][kind]:
            near(np.log(own["amount"]), np.log(rule["amount"][kind]))
            spread(np.log(own["amount"]), rule["amount"]["sigma"])
        else:
            assert (own["amount"] == 0).all()
        shares(own["root_cause"].dropna(), rules["causes"][kind])
    near(found["root_cause"].notna(), rules["coded"])
    pay = rule["compensation"]
    lost = found[found["amount"] > 5]  # smaller ones may round to nothing
    for outcome in ("solved", "partly"):
        near(lost.loc[lost["outcome"] == outcome, "cost_compensation"] > 0, pay[outcome])
    assert (found.loc[found["outcome"] == "refused", "cost_compensation"] == 0).all() == (pay["refused"] == 0)
    part = (lost.loc[lost["cost_compensation"] > 0, "ratio"] - pay["least"]) / (pay["most"] - pay["least"])
    beta = stats.beta(*pay["shape"])
    near(part, beta.mean())
    spread(part, beta.std())
    labour = rule["labour"]
    base = labour["base"] + labour["per_day"] * found["handling_days"] + labour["per_transfer"] * found["transfers"]
    log = np.log(found["cost_labour"] / base)
    near(log, 0.0)
    spread(log, labour["sigma"])
    for slope in (found["handling_days"], found["transfers"]):
        near(log * (slope - slope.mean()), 0.0)
    near(found["answers"], found["channel"].map(dict(rules["answered"])))


@pytest.fixture(scope="module")
def written(many):
    """The tables of a small market that complains much."""
    rules = stated("complaints", rate=150.0)
    return rules, complaints.make(many[0].head(3000), many[1].head(3000), rules, np.random.default_rng(8))


def test_complainers_write_in_the_stated_languages(written):
    rules, made = written
    table = made["complaints"]
    first = table[table["language"] != ""].drop_duplicates("customer")
    shares(first["language"], rules["languages"])


def test_a_case_is_assigned_at_any_moment_of_the_stated_part_of_the_time_to_the_first_answer(written):
    rules, made = written
    log = made["complaint_events"].assign(at=lambda t: pd.to_datetime(t["at"]).astype("datetime64[s]"))
    at = log[log["event"].isin(["received", "assigned", "answered"])].pivot(
        index="complaint_id", columns="event", values="at"
    )
    clock = WorkingDays.of(rules["calendar"], opens=9, closes=18)
    at = at.dropna()
    hours = {name: clock.start(at[name].to_numpy().astype("datetime64[m]")) for name in at}
    wait = hours["answered"] - hours["received"]
    part = ((hours["assigned"] - hours["received"]) / wait)[wait > 0.2]  # times are written to the minute
    near(part, rules["handling"]["assigned"] / 2)
    spread(part, rules["handling"]["assigned"] / np.sqrt(12))


# ------------------------------------------------------------------------------------------ visits, forms, firms


def test_items_of_the_sheet_have_the_stated_levels_and_slopes(many):
    rules = stated("visits", outlets=300, sd__shopper=0.0, items__A3__na=0.0)
    table = visits.make(*many, rules, np.random.default_rng(4))["visits"]
    table = table.drop_duplicates("visit").reset_index(drop=True)
    items = rules["items"]
    points = table[list(items)].astype(float)
    points["C2"], points["D3"] = points["C2"] / 3, (points["D3"] - 1) / 4
    slope = pd.Series({name: rule["slope"] for name, rule in items.items()})
    d = points - pd.Series({name: rule["level"] for name, rule in items.items()})
    variance = rules["sd"]["outlet"] ** 2 + rules["sd"]["visit"] ** 2
    for name in items:
        near(d[name], 0.0, by=table["outlet"])
        near(
            d[name] * d.drop(columns=name).sum(axis=1),
            slope[name] * slope.drop(name).sum() * variance,
            by=table["outlet"],
        )
    minutes = rules["minutes"]
    least = (minutes["least"] - minutes["mean"]) / minutes["sd"]
    # Lengths below the least are set to it: a normal that is held from below.
    held = minutes["sd"] * (stats.norm.pdf(least) + least * stats.norm.cdf(least))
    near(table["minutes"], minutes["mean"] + held)
    assert abs(table["minutes"].quantile(0.84) - minutes["mean"] - minutes["sd"]) < 1.1


def bounded_moments(centre: float, sd: float, low: int, high: int) -> tuple[float, float, float]:
    """Mean and variance of a rounded and held normal, and its covariance with the standard normal behind it."""
    cuts = np.arange(low, high) + 0.5
    above = stats.norm.sf((cuts - centre) / sd)
    mean = low + above.sum()
    square = low**2 + ((2 * np.arange(low, high) + 1) * above).sum()
    return mean, square - mean**2, stats.norm.pdf((cuts - centre) / sd).sum()


def test_kano_pairs_within_a_category_and_importance_spread_as_stated(many):
    mark = {(f, d): "I" for f in (2, 3, 4) for d in (2, 3, 4)}
    mark |= {(1, d): "A" for d in (2, 3, 4)} | {(f, 5): "M" for f in (2, 3, 4)} | {(1, 5): "O"}
    mark |= {(f, 1): "R" for f in (2, 3, 4, 5)} | {(5, d): "R" for d in (1, 2, 3, 4)} | {(1, 1): "Q", (5, 5): "Q"}
    rules = stated("kano", respondents=20_000)
    table = kano.make(*many, rules, np.random.default_rng(8))["kano"]
    weight = {pair: rules["functional"][pair[0]] * rules["dysfunctional"][pair[1]] for pair in mark}
    for feature, rule in rules["features"].items():
        pairs = pd.Series(list(zip(table[f"{feature}_functional"], table[f"{feature}_dysfunctional"], strict=True)))
        category = pairs.map(mark)
        for name in "AOMIRQ":
            inside = {pair: w for pair, w in weight.items() if mark[pair] == name}
            here = pairs[category == name]
            if len(inside) > 1 and len(here) > 200:
                shares(here, {pair: w / sum(inside.values()) for pair, w in inside.items()})
        centre = float(answer_levels(rule["importance"], rules["importance_sd"], low=1, high=9))
        given = table[f"{feature}_importance"]
        spread(given, np.sqrt(bounded_moments(centre, rules["importance_sd"], 1, 9)[1]))


def test_servqual_answers_have_the_stated_spread_parts_and_link_to_quality(many):
    rules = stated("servqual", respondents=12_000)
    table = servqual.make(*many, rules, np.random.default_rng(9))["servqual"]
    register, latent = many
    contact = register["contact"].to_numpy()
    score = (latent["PQ"] - latent["PQ"][contact].mean()) / latent["PQ"][contact].std(ddof=0)
    quality = score.to_numpy()[register.set_index("customer").index.get_indexer(table["customer"])]
    grid, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()

    def together(one: tuple[float, float], two: tuple[float, float], r: float) -> float:
        """Covariance of two rounded answers whose normals correlate by r."""
        held = [mean_answer(c + s * np.sqrt(r) * grid, s * np.sqrt(1 - r), low=1, high=7) for c, s in (one, two)]
        return float((weights * held[0] * held[1]).sum() - (weights @ held[0]) * (weights @ held[1]))

    for prefix, form, r in (("expect", "expectation", 0.0), ("perceive", "perception", rules["quality"])):
        sd, parts = rules["sd"][form], rules["parts"][form]
        centres = {}
        for item, mean in rules["expectation"].items():
            level = mean + (rules["gap"][item] if form == "perception" else 0.0)
            centres[item] = float(answer_levels(level, sd, low=1, high=7))
            _, variance, slope = bounded_moments(centres[item], sd, 1, 7)
            x = table[f"{prefix}_{item}"].to_numpy(float) - level
            near(x**2, variance)
            near(x * quality, np.sqrt(parts["person"]) * r * slope)
        for one, two in (("T1", "T2"), ("R1", "R4"), ("E2", "E5"), ("T1", "R1"), ("P2", "A3"), ("A1", "E4")):
            same = parts["dimension"] if one[0] == two[0] else 0.0
            x, y = (table[f"{prefix}_{name}"] - table[f"{prefix}_{name}"].mean() for name in (one, two))
            near(x * y, together((centres[one], sd), (centres[two], sd), parts["person"] + same))
    steps, a = 100 // rules["step"], rules["concentration"]
    for name, rule in rules["dimensions"].items():
        p = rule["points"] / 100
        variance = rules["step"] ** 2 * steps * p * (1 - p) * (steps + a) / (1 + a)
        near((table[f"points_{name}"] - rule["points"]) ** 2, variance)


def test_contact_points_fall_into_their_days_and_are_judged_with_the_stated_spread(many):
    rules = stated("journey", respondents=12_000)
    made = journey.make(*many, rules, np.random.default_rng(10))
    score = (many[1]["SAT"] - many[1]["SAT"].mean()) / many[1]["SAT"].std(ddof=0)
    score.index = many[0]["customer"]
    for name, rule in rules["touchpoints"].items():
        own = made["journey"][(made["journey"]["touchpoint"] == name) & (made["journey"]["met"] == 1)]
        first, last = rule["days"]
        near(own["day"].astype(float), (first + last) / 2)
        assert own["day"].between(first, last).all()
        sd = rules["sd"]["satisfaction"]
        centre = float(answer_levels(rule["mean"], sd, low=1, high=10))
        mean, variance, slope = bounded_moments(centre, sd, 1, 10)
        x = own["satisfaction"].to_numpy(float) - mean
        near(x, 0.0)
        near(x**2, variance)
        near(x * score.loc[own["customer"]].to_numpy(), rules["satisfaction"] * slope)
        every = made["journey"].loc[made["journey"]["touchpoint"] == name, "importance"]
        centre = float(answer_levels(rule["importance"], rules["sd"]["importance"], low=1, high=10))
        spread(every, np.sqrt(bounded_moments(centre, rules["sd"]["importance"], 1, 10)[1]))
    met = made["journey"][made["journey"]["met"] == 1].astype({"satisfaction": float, "day": int})
    met = met.sort_values(["customer", "day"], kind="stable").groupby("customer")
    b, whole = rules["remembered"], made["journey_remembered"].set_index("customer")
    expected = b["base"] + b["peak"] * met["satisfaction"].min() + b["end"] * met["satisfaction"].last()
    expected += b["mean"] * met["satisfaction"].mean() + b["duration"] * whole["duration"].dropna().astype(float)
    error = whole["remembered"].dropna() - expected
    spread(error, b["error"] / np.sqrt(3))
    assert error.abs().max() <= b["error"] + 0.051  # written with one decimal


def test_firms_move_spread_and_grow_as_stated(many):
    rules = stated("firms", firms=1500, csi__most=100.0, csi__least=20.0)
    table = firms.make(*many, rules, np.random.default_rng(12))["firms"]
    table = table[table["firm"].str.startswith("F")]  # the operators have levels of their own
    rule = rules["csi"]
    years = rules["years"]["count"]
    index = table["csi"].to_numpy().reshape(-1, years)
    step = np.diff(index, axis=1)
    stationary = rule["year_sd"] ** 2 / (1 - rule["carry_over"] ** 2)
    near((step**2).mean(axis=1), 2 * stationary * (1 - rule["carry_over"]))
    near((step[:, 1:] * step[:, :-1]).mean(axis=1), -stationary * (1 - rule["carry_over"]) ** 2)
    near(index.mean(axis=1), rule["mean"])
    lag = np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    wave = stationary * (rule["carry_over"] ** lag).mean()
    spread(index.mean(axis=1), np.sqrt(rule["firm_sd"] ** 2 + wave))
    standing = (index.mean(axis=1) - rule["mean"]) / rule["firm_sd"]
    for column in ("sales", "profit"):
        money = rules[column]
        effect = money["elasticity"] * np.log(table["csi_before"] / rule["mean"])
        y = (np.log(table[column]) - effect).to_numpy().reshape(-1, years)
        rest = y - y.mean(axis=0) - y.mean(axis=1, keepdims=True) + y.mean()
        near((rest**2).sum(axis=1) / (years - 1), money["error_sd"] ** 2)
        spread(y.mean(axis=1), np.sqrt(money["firm_sd"] ** 2 + money["error_sd"] ** 2 / years))
        near((y.mean(axis=1) - y.mean()) * standing, rules["sales_level_correlation"] * money["firm_sd"])
        trend, noise = np.polyfit(np.arange(years), y.mean(axis=0), 1), money["year_sd"]
        x = np.arange(years) - (years - 1) / 2
        assert abs(trend[0] - money["growth"]) < BAND * noise / np.sqrt(x @ x)
        left = y.mean(axis=0) - np.polyval(trend, np.arange(years))
        low, high = stats.chi2(years - 2).ppf([1e-4, 1 - 1e-4]) * noise**2
        assert low < left @ left < high
        level = y.mean() - money["growth"] * (years - 1) / 2
        assert abs(level - money["level"]) < BAND * np.hypot(money["firm_sd"] / np.sqrt(len(y)), noise / np.sqrt(years))


def test_focus_groups_speak_in_the_stated_parts_and_languages(many):
    rules = stated("focus_groups", groups=60)
    table = focus_groups.make(*many, rules, np.random.default_rng(4))["focus_groups"]
    shares(table["question"], rules["questions"])
    language = table.groupby("group")["language"].agg(["nunique", "first"])
    assert (language["nunique"] == 1).all()
    assert language["first"].tolist() == list(rules["languages"]) * 10


def test_the_offer_the_shape_of_time_and_the_error_of_spend_are_as_stated(many):
    """The score of the Weibull shape has mean zero at the true value."""
    rules = truth.load("behaviour")
    table = behaviour.make(*many, rules, np.random.default_rng(2))["behaviour"]
    near(table["offer"], rules["offered"])
    churn, k = rules["churn"], rules["churn"]["shape"]
    eta = churn["loyalty"] * many[1]["LOY"] + churn["offer"] * table["offer"]
    eta += table["contract"].map({"none": 0.0, "year": churn["year"], "two_years": churn["two_years"]})
    t = table["months"].clip(lower=0.005) - 0.005 * table["left"]  # written with two decimals, upwards
    log = np.log(t.clip(lower=0.001))
    near(table["left"] * (1 / k + log) - churn["base"] * np.exp(eta) * t**k * log, 0.0)
    spend = rules["spend"]
    error = np.log(table["spend_after"] / table["spend_before"]) - spend["base"] - spend["loyalty"] * many[1]["LOY"]
    spread(error, spend["error_sd"])
