"""The tables of the simulated market keep what their parameters say; bands come from the standard errors."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from csi_lab.errors import DataError, SpecError
from csi_lab.simulate import (
    behaviour,
    complaints,
    firms,
    focus_groups,
    journey,
    kano,
    servqual,
    truth,
    visits,
)
from csi_lab.simulate.complaint_arrivals import arrivals, customer_rates, daily_rates, joined
from csi_lab.simulate.complaint_part import published
from csi_lab.simulate.complaint_texts import vocabulary
from csi_lab.simulate.iceberg import layers
from csi_lab.simulate.opinions import Opinions
from csi_lab.simulate.ratings import answer_levels, bounded, mean_answer
from csi_lab.simulate.working_days import WorkingDays

ROOMS = {
    "complaints": complaints,
    "visits": visits,
    "kano": kano,
    "servqual": servqual,
    "journey": journey,
    "firms": firms,
    "focus_groups": focus_groups,
    "behaviour": behaviour,
}
# A result outside its band by chance: once in a thousand runs; seeds are fixed, so it happens never or always.
RARE = 0.001
BUSY = 105.0  # complaints per 1,000 customers and year at average satisfaction without faults


def people(n: int, seed: int = 3) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A register and latent scores with the columns of the market, made up on the spot."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    satisfaction = 0.7 * quality + np.sqrt(0.51) * rng.normal(size=n)
    register = pd.DataFrame(
        {
            "customer": np.arange(1, n + 1),
            "operator": rng.choice(["A", "B", "C"], n, p=[0.45, 0.35, 0.20]),
            "province": np.char.add("p", rng.integers(1, 9, n).astype(str)).astype(object),
            "urban": rng.random(n) < 0.6,
            "branch": rng.integers(1, 301, n),
            "spend": np.round(100 * np.exp(0.2 * rng.normal(size=n)), 2),
            "outlet_visits": rng.poisson(1.6, n),
            "faults": rng.poisson(rng.gamma(1.2, 1 / 1.2, n)),
            "contact": rng.random(n) < 0.6,
            "plan": rng.choice(["100M", "300M", "1000M"], n).astype(object),
            "tenure_months": 3 + rng.exponential(31, n).astype(int),
        }
    )
    loyalty = 0.7 * satisfaction + np.sqrt(0.51) * rng.normal(size=n)
    return register, pd.DataFrame({"PQ": quality, "SAT": satisfaction, "LOY": loyalty})


def stated(section: str, **changes: Any) -> dict[str, Any]:
    """A section of the truth with some values replaced; two underscores lead into a mapping."""
    values = truth.plain(truth.load(section))
    for path, value in changes.items():
        *into, last = path.split("__")
        place = values
        for key in into:
            place = place[key]
        place[last] = value
    return values


def logit_fit(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximum-likelihood coefficients of a logit and their covariance matrix."""
    b = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ b))
        information = (x * (p * (1 - p))[:, None]).T @ x
        b = b + np.linalg.solve(information, x.T @ (y - p))
    return b, np.linalg.inv(information)


def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    b = np.linalg.lstsq(x, y, rcond=None)[0]
    variance = ((y - x @ b) ** 2).sum() / (len(y) - x.shape[1])
    return b, variance * np.linalg.inv(x.T @ x)


def with_constant(*columns: Any) -> np.ndarray:
    return np.column_stack([np.ones(len(columns[0])), *columns]).astype(float)


def wald(found: np.ndarray, covariance: np.ndarray, true: Any) -> float:
    """p value of the hypothesis that the coefficients are the true ones."""
    difference = found - np.asarray(true, dtype=float)
    return float(stats.chi2.sf(difference @ np.linalg.solve(covariance, difference), len(difference)))


def fits(observed: Any, expected: Any, *, lost: int = 0) -> float:
    """p value of counts against their expectations; ``lost``: constraints, such as a fixed total."""
    observed, expected = np.asarray(observed, dtype=float), np.asarray(expected, dtype=float)
    return float(stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - lost))


@pytest.fixture(scope="module")
def many() -> tuple[pd.DataFrame, pd.DataFrame]:
    return people(60_000)


@pytest.fixture(scope="module")
def market() -> tuple[pd.DataFrame, pd.DataFrame]:
    return people(4_000)


@pytest.fixture(scope="module")
def usual(market: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, dict[str, pd.DataFrame]]:
    """The tables of every room as shipped, for the small market."""
    return {room: module.make(*market, truth.load(room), np.random.default_rng(5)) for room, module in ROOMS.items()}


@pytest.fixture(scope="module")
def busy(many: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The complaint tables of a market that complains much, so that rare things can be counted."""
    return complaints.make(*many, stated("complaints", rate=BUSY), np.random.default_rng(11))


@pytest.fixture(scope="module")
def cases(busy: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The register of the busy market without the second entries of a case; with parsed times."""
    table, faults = busy["complaints"], busy["complaint_faults"]
    again = faults.loc[faults["fault"] == "duplicate", "complaint_id"]
    table = table[~table["complaint_id"].isin(again)].reset_index(drop=True)
    return table.assign(at=pd.to_datetime(table["received_at"]))


# Every table


@pytest.mark.parametrize("room", ROOMS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(room, market):
    register, latent = market

    def written(seed: int) -> str:
        made = ROOMS[room].make(register, latent, truth.load(room), np.random.default_rng(seed))
        return "".join(f"{name}\n{table.to_csv(index=False)}" for name, table in made.items())

    np.random.seed(1)  # noqa: NPY002 - the state of the global generator must neither matter nor change
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    before = register.copy(), latent.copy()
    first = written(5)
    np.random.seed(2)  # noqa: NPY002
    assert written(5) == first
    assert written(6) != first
    np.random.seed(1)  # noqa: NPY002
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    pd.testing.assert_frame_equal(register, before[0])
    pd.testing.assert_frame_equal(latent, before[1])


@pytest.mark.parametrize("room", ROOMS)
def test_customers_of_every_table_are_in_the_register(room, market, usual):
    for table in usual[room].values():
        assert len(table)
        if "customer" in table:
            assert table["customer"].isin(market[0]["customer"]).all()


@pytest.mark.parametrize("room", ROOMS)
def test_an_unfit_register_is_refused_with_every_reason(room, market):
    register, latent = market
    make, parameters = ROOMS[room].make, truth.load(room)
    with pytest.raises(DataError, match="absent"):
        make(register.drop(columns=["customer", "operator", "branch"]), latent, parameters, np.random.default_rng(1))
    with pytest.raises(DataError, match=r"latent has 10 rows"):
        make(register, latent.head(10), parameters, np.random.default_rng(1))
    with pytest.raises(DataError, match="empty"):
        make(register.head(0), latent.head(0), parameters, np.random.default_rng(1))
    holes = register.astype(object)
    holes.iloc[3] = None
    with pytest.raises(DataError, match="gaps"):
        make(holes, latent, parameters, np.random.default_rng(1))
    if room not in ("visits", "firms"):
        twice = pd.concat([register, register.head(1)], ignore_index=True)
        with pytest.raises(DataError, match="twice"):
            make(twice, pd.concat([latent, latent.head(1)]), parameters, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("room", "change"),
    [
        ("complaints", {"rate": -1.0}),
        ("journey", {"respondents": 2.5}),
        ("kano", {"from_survey": 1.5}),
        ("firms", {"firms": 40.5}),
        ("complaints", {"types__product__share": 0.9}),
        ("complaints", {"reasons__price": {"wrong_bill": 0.5, "weather": 0.5}}),
        ("complaints", {"shock__reason": "weather"}),
        ("complaints", {"period": {"start": "2025-01-01", "end": "2024-01-01"}}),
        ("complaints", {"period": {"start": "2030-01-01", "end": "2030-12-31"}}),
        ("complaints", {"hours": {"opens": 18, "closes": 9}}),
        ("complaints", {"handling__sigma": 0.0}),
        ("complaints", {"escalation__weights": {"many_customers": 1.0}}),
        ("complaints", {"faults__required": ["shoe_size"]}),
        ("visits", {"sd__outlet": 0.3}),
        ("visits", {"items__A1__scale": "stars"}),
        ("visits", {"shoppers": 0}),
        ("kano", {"features__K1__urban": {"A": 0.5, "O": 0.5, "M": 0.5, "I": 0, "R": 0, "Q": 0}}),
        ("kano", {"features__K2__importance": 12.0}),
        ("kano", {"respondents": 0}),
        ("servqual", {"gap__T1": 4.0}),
        ("servqual", {"step": 7}),
        ("servqual", {"expectation": {"T1": 5.0}}),
        ("servqual", {"sd__perception": float("nan")}),
        ("journey", {"touchpoints__bill__covariate": "weather"}),
        ("journey", {"remembered__peak": 9.0}),
        ("firms", {"firms": 2}),
        ("firms", {"csi__year_sd": 50.0}),
        ("firms", {"csi__carry_over": 1.0}),
        ("focus_groups", {"kappa": 1.2}),
        ("focus_groups", {"codes": {"weather": 1.0}}),
        ("behaviour", {"churn__shape": 0.0}),
        ("behaviour", {"contract": {"none": 0.5}}),
    ],
)
def test_impossible_parameters_are_refused(room, change, market):
    with pytest.raises(SpecError, match=f"{room}|calendar|means must lie"):
        ROOMS[room].make(*market, stated(room, **change), np.random.default_rng(1))


@pytest.mark.parametrize("n", [1, 3, 60])
@pytest.mark.parametrize("room", ["complaints", "firms", "behaviour"])
def test_tiny_markets_give_tables_with_the_same_columns(room, n, usual):
    tables = ROOMS[room].make(*people(n), truth.load(room), np.random.default_rng(1))
    assert {name: list(table) for name, table in tables.items()} == {k: list(t) for k, t in usual[room].items()}


@pytest.mark.parametrize(
    ("room", "words"),
    [
        ("focus_groups", "48 seats but 20 customers"),
        ("kano", "respondents = 600, but the market has 20 customers"),
        ("servqual", r"respondents = 500, but the market has \d+ customers with contact"),
        ("journey", "respondents = 900, but the market has 20 customers"),
        ("visits", r"outlets = 90, but the market has \d+ outlets"),
    ],
)
def test_a_table_that_asks_for_more_than_there_are_is_refused_with_both_numbers(room, words):
    with pytest.raises(DataError, match=words):
        ROOMS[room].make(*people(20), truth.load(room), np.random.default_rng(1))


def test_a_billion_respondents_are_refused_not_cut_down(market):
    with pytest.raises(DataError, match="respondents = 1000000000, but the market has 4000"):
        journey.make(*market, stated("journey", respondents=1e9), np.random.default_rng(1))


@pytest.mark.parametrize(
    ("room", "table"), [("kano", "kano"), ("servqual", "servqual"), ("journey", "journey_remembered")]
)
def test_the_stated_share_of_respondents_comes_from_the_survey_and_weights_add_up(room, table, many):
    register, latent = many
    survey = register["customer"].to_numpy()[::25]
    rules = truth.load(room)
    found = ROOMS[room].make(register, latent, rules, np.random.default_rng(3), customers=survey)[table]
    joint = found["customer"].isin(survey)
    assert (joint == (found["in_sample"] == 1)).all()
    assert joint.sum() == round(rules["from_survey"] * rules["respondents"])
    eligible = register["contact"] if room == "servqual" else np.ones(len(register), dtype=bool)
    inside = register["customer"].isin(survey)
    for one in (0, 1):
        counted = (eligible & (inside == bool(one))).sum()
        assert found.loc[found["in_sample"] == one, "weight"].sum() == pytest.approx(counted, abs=0.01)
    few = ROOMS[room].make(register, latent, rules, np.random.default_rng(3), customers=survey[:7])[table]
    assert len(few) == rules["respondents"]
    assert few["in_sample"].sum() <= 7


# Complaints


def test_the_rate_of_a_day_is_the_product_of_its_factors():
    rules = truth.load("complaints")
    rates = daily_rates(rules, 200_000)
    base = 200 * rules["rate"] / 365.25
    assert rates["2024-03-04"] == pytest.approx(base * 1.25 * 1.10)  # a Monday in March
    assert rates["2025-02-02"] == pytest.approx(base * 0.60 * 0.85)  # a Sunday in February
    assert (rates.index[0], rates.index[-1]) == (pd.Timestamp("2024-01-01"), pd.Timestamp("2025-12-31"))


def test_complaints_arrive_at_the_stated_rates_from_those_who_have_joined(many):
    register, latent = many
    rules = stated("complaints", rate=BUSY, faults__serial__share=0.0)
    found = arrivals(register, Opinions.constant(latent["SAT"].to_numpy()), rules, np.random.default_rng(2))
    usual = found[found["fault"] == ""]
    relative = customer_rates(register["faults"], latent["SAT"], rules)
    since = joined(register["tenure_months"].to_numpy(), rules)
    one = daily_rates(rules, 1)
    here = np.array([relative[since <= day].sum() for day in one.index.to_numpy().astype("datetime64[D]")])
    rates = one * here
    days = pd.DatetimeIndex(usual["received"].to_numpy()).normalize()
    counts = days.value_counts().reindex(rates.index, fill_value=0)
    assert fits(counts, rates) > RARE
    assert fits(counts.groupby(rates.index.day_of_week).sum(), rates.groupby(rates.index.day_of_week).sum()) > RARE
    assert fits(counts.groupby(rates.index.month).sum(), rates.groupby(rates.index.month).sum()) > RARE
    assert (since[found["person"]] <= found["received"].to_numpy()).all()

    kinds = found["fault"].value_counts()
    shock, faults = rules["shock"], rules["faults"]
    theirs = (register["operator"] == faults["campaign"]["operator"]).sum()
    expected = {
        "step": shock["size"] * rates[shock["start"] : shock["end"]].sum(),
        "burst": faults["burst"]["per_1000"] * len(register) / 1000,
        "campaign": faults["campaign"]["per_1000"] * theirs / 1000,
    }
    assert fits(kinds[list(expected)], list(expected.values())) > RARE
    step = found[found["fault"] == "step"]
    assert step["received"].min() >= pd.Timestamp(shock["start"])
    assert set(step["reason"]) == {shock["reason"]}
    hit = register.iloc[found.loc[found["fault"] == "burst", "person"]]
    assert set(hit["province"]) == {faults["burst"]["province"]}


def test_dissatisfied_customers_and_those_with_faults_complain_more_as_stated(many):
    """Poisson regression of complaints per customer and year of membership on satisfaction and ln(1 + faults)."""
    register, latent = many
    rules = stated("complaints", rate=BUSY, faults__serial__share=0.0)
    old = register.assign(tenure_months=60)
    found = arrivals(old, Opinions.constant(latent["SAT"].to_numpy()), rules, np.random.default_rng(2))
    y = np.bincount(found.loc[found["fault"] == "", "person"], minlength=len(register))
    x = with_constant(latent["SAT"], np.log1p(register["faults"]))
    b = np.array([np.log(y.mean()), 0, 0])
    for _ in range(20):
        mean = np.exp(x @ b)
        information = (x * mean[:, None]).T @ x
        b = b + np.linalg.solve(information, x.T @ (y - mean))
    level = np.log(daily_rates(rules, 1).sum())
    true = [level, rules["customer"]["satisfaction"], rules["customer"]["faults"]]
    assert wald(b, np.linalg.inv(information), true) > RARE


def test_a_complaint_follows_the_opinion_of_its_year(many):
    """Operator C is content in 2024 and not in 2025: counts fit the scores of the year, and not those of the other."""
    register, latent = many
    rules = stated("complaints", rate=BUSY, faults__serial__share=0.0)
    theirs = (register["operator"] == "C").to_numpy()
    score = latent["SAT"].to_numpy()
    years = {2024: score + 0.5 * theirs, 2025: score - 0.5 * theirs}
    found = arrivals(register, Opinions(years), rules, np.random.default_rng(6))
    found = found[found["fault"] == ""]
    since = joined(register["tenure_months"].to_numpy(), rules)
    one = daily_rates(rules, 1)
    counts, expected, future = [], [], []
    for year in years:
        days = one[one.index.year == year]
        day = days.index.to_numpy().astype("datetime64[D]")
        # Rate of the part of the year in which each customer was one.
        steps = np.concatenate([[0.0], np.cumsum(days.to_numpy())])
        exposure = steps[-1] - steps[np.searchsorted(day, since)]
        here = found[found["received"].dt.year == year]
        for who in (theirs, ~theirs):
            counts.append(who[here["person"]].sum())
            for table, scores in ((expected, years[year]), (future, years[2025])):
                table.append((exposure * customer_rates(register["faults"], scores, rules))[who].sum())
    assert fits(counts, expected) > RARE
    assert fits(counts, future) < 1e-6


def test_texts_agree_with_tenure_and_tariff_of_the_customer(many, busy):
    register, _ = many
    own = register.set_index("customer")
    table = busy["complaints"]
    table = table[table["text"] != ""]
    text, about = table["text"], own.loc[table["customer"]].reset_index(drop=True)
    text, at = text.reset_index(drop=True), pd.to_datetime(table["received_at"]).reset_index(drop=True)
    tenure = about["tenure_months"] + (at.dt.year - 2025) * 12 + at.dt.month - 3  # counted on the first of March 2025
    assert (tenure >= 0).all()
    for pattern, months in (
        (r"Customer for (\d+) years?\.", 12),
        (r"Customer for (\d+) months?\.", 1),
        (r"我是用了(\d+)年的用户", 12),
        (r"我是用了(\d+)个月的用户", 1),
    ):
        said = text.str.extract(pattern)[0].dropna().astype(int)
        assert len(said) > 20
        assert (said == tenure[said.index] // months).all()
        assert (tenure[said.index] < 12).all() == (months == 1)
    plan = about["plan"].str.rstrip("M").astype(int)
    for pattern in (
        r"contract says (\d+) M",
        r"I pay for (\d+) M",
        r"promised (\d+) M",
        r"合同写的是(\d+)兆",
        r"我付(\d+)兆",
    ):
        said = text.str.extract(pattern)[0].dropna().astype(int)
        assert len(said) > 20
        assert (said == plan[said.index]).all()


def test_nobody_complains_before_joining_nor_in_the_days_before_the_register_counts_them(many, busy):
    register, _ = many
    rules, days = truth.load("complaints"), busy["complaint_days"]
    since = pd.Series(joined(register["tenure_months"].to_numpy(), rules), index=register["customer"])
    table = busy["complaints"]
    received = pd.to_datetime(table["received_at"])
    assert (since[table["customer"]].to_numpy() <= received.to_numpy()).all()
    counted = days.set_index(["date", "operator"])
    for day in ("2024-01-01", "2024-12-01", "2025-12-31"):
        there = register["operator"][(since <= np.datetime64(day)).to_numpy()].value_counts()
        assert (counted.loc[day, "customers"] == there.sort_index()).all()
    assert days["cases"].sum() == len(table)
    assert (counted["cases"].groupby("operator").sum() == table["operator"].value_counts().sort_index()).all()


def test_the_published_part_keeps_sampled_customers_whole_and_its_weights_are_unbiased(busy):
    rules, whole = truth.load("complaints"), busy["complaints"]
    sampled = whole["customer"].unique()[::20]
    share, totals, operators = rules["part"]["others"], [], []
    small = {name: busy[name] for name in ("complaints", "complaint_faults")}
    for seed in range(20):
        part = published(small, sampled, rules, np.random.default_rng(seed))["complaints"]
        totals.append(part["weight"].sum())
        operators.append(part.groupby("operator")["weight"].sum()["C"])
    for found, true in ((totals, len(whole)), (operators, (whole["operator"] == "C").sum())):
        assert abs(np.mean(found) - true) < 4 * np.std(found, ddof=1) / np.sqrt(20)
    kept = published(busy, sampled, rules, np.random.default_rng(5))
    part = kept["complaints"]
    assert set(whole.loc[whole["customer"].isin(sampled), "complaint_id"]) == set(
        part.loc[part["part"] == "sampled", "complaint_id"]
    )
    assert (part["weight"] == np.where(part["part"] == "sampled", 1.0, round(1 / share, 6))).all()
    # Customers, and rings of serial claimants, are kept or left as a whole.
    others = whole[~whole["customer"].isin(sampled)]
    assert others["complaint_id"].isin(part["complaint_id"]).groupby(others["customer"]).nunique().max() == 1
    serial = busy["complaint_faults"].query("fault == 'serial'")
    serial = serial[serial["complaint_id"].isin(others["complaint_id"])]
    assert serial["complaint_id"].isin(part["complaint_id"]).groupby(serial["detail"]).nunique().max() == 1
    assert set(kept["complaint_events"]["complaint_id"]) == set(part["complaint_id"])
    assert part["parent_id"].dropna().isin(part["complaint_id"]).all()
    with pytest.raises(SpecError, match="others"):
        published(busy, sampled, {"part": {"others": 0.0}}, np.random.default_rng(1))


def test_layers_of_the_iceberg_are_those_of_the_golden_case():
    """METHODS 16.10: 120 on record, a quarter complains, 60 % of it is recorded: 800 in all, 680 not on record."""
    found = layers(120, {"iceberg": {"p_contact": 0.25, "p_recorded": 0.60}})
    assert found["occasions"] == pytest.approx(800)
    assert found["silent"] + found["told_not_recorded"] == pytest.approx(680)


def test_grades_types_and_handling_times_are_those_stated(cases):
    rules = truth.load("complaints")
    grades = rules["grades"]
    shares = [grades[g]["share"] for g in grades]
    assert fits(cases["grade"].value_counts()[list(grades)], len(cases) * np.array(shares), lost=1) > RARE
    done = cases[cases["at"] < "2025-01-01"]
    assert done["handling_days"].notna().all()
    for grade, rule in grades.items():
        logs = np.log(done.loc[done["grade"] == grade, "handling_days"])
        sigma = rules["handling"]["sigma"]
        assert abs(logs.mean() - np.log(rule["median"])) < 3.5 * sigma / np.sqrt(len(logs))
        assert abs(logs.std() - sigma) < 3.5 * sigma / np.sqrt(2 * len(logs))
        solved = (done.loc[done["grade"] == grade, "outcome"] == "solved").to_numpy()
        assert stats.binomtest(int(solved.sum()), len(solved), rule["solved"]).pvalue > RARE
        moved = done.loc[done["grade"] == grade, "transfers"]
        mean = rules["handling"]["transfers"]["mean"] + rules["handling"]["transfers"]["major"] * (grade != "general")
        assert abs(moved.mean() - mean) < 3.5 * np.sqrt(mean / len(moved))


def test_time_stamps_agree_with_the_working_time(cases):
    """From the stamps alone, with another calendar routine: working days between receipt and resolution."""
    rules = truth.load("complaints")
    lists = rules["calendar"]
    off = [f"{year}-{day}" for year in lists for day in lists[year]["holidays"]]
    on = {f"{year}-{day}" for year in lists for day in lists[year]["working_weekends"]}
    weekends = pd.date_range("2024-01-01", "2026-12-31")
    weekends = [d for d in weekends[weekends.day_of_week >= 5].strftime("%Y-%m-%d") if d not in on]
    calendar = np.busdaycalendar(weekmask="1111111", holidays=np.array(off + weekends, dtype="datetime64[D]"))
    done = cases[cases["resolved_at"] != ""]
    opens, closes = 9, 18
    hour = done["at"].dt.hour + done["at"].dt.minute / 60
    day = done["at"].to_numpy().astype("datetime64[D]")
    worked = np.is_busday(day, busdaycal=calendar)
    # Receipt after closing time or on a day that is not worked: the clock starts when the next working day opens.
    late = (worked & (hour >= closes)).to_numpy().astype(int)
    day0 = np.busday_offset(day + late, 0, roll="forward", busdaycal=calendar)
    part = np.where(worked & (hour < closes), np.maximum(hour - opens, 0) / (closes - opens), 0)
    end = pd.to_datetime(done["resolved_at"])
    last = end.to_numpy().astype("datetime64[D]")
    assert np.is_busday(last, busdaycal=calendar).all()
    end_part = (end.dt.hour + end.dt.minute / 60 - opens) / (closes - opens)
    took = np.busday_count(day0, last, busdaycal=calendar) + end_part - part
    minute = 1 / (60 * (closes - opens))
    assert np.abs(took - done["handling_days"]).max() < 2 * minute + 0.005
    limit = done["grade"].map({g: v["limit"] for g, v in rules["grades"].items()}).to_numpy()
    due = np.busday_offset(day0, limit, busdaycal=calendar)
    assert (due.astype(str) == done["due_at"]).all()
    told = pd.to_datetime(done["extension_notified_at"].replace("", None)).to_numpy().astype("datetime64[D]")
    extended = pd.to_datetime(done["extended_due_at"].replace("", None)).to_numpy().astype("datetime64[D]")
    on_time = (last <= due) | ((told <= due) & (last <= extended))
    assert (on_time == (done["on_time"] == 1)).all()
    assert not on_time.all()


def test_the_clock_has_the_golden_due_dates():
    """METHODS 16.6: receipt against the 1st, 2nd, 5th, 10th and 15th working day, mainland calendar."""
    rules = truth.load("complaints")
    clock = WorkingDays.of(rules["calendar"], opens=9, closes=18)
    golden = {
        "2024-09-30": ["2024-10-08", "2024-10-09", "2024-10-12", "2024-10-18", "2024-10-25"],
        "2025-01-27": ["2025-02-05", "2025-02-06", "2025-02-10", "2025-02-17", "2025-02-24"],
        "2025-04-30": ["2025-05-06", "2025-05-07", "2025-05-12", "2025-05-19", "2025-05-26"],
        "2025-09-26": ["2025-09-28", "2025-09-29", "2025-10-10", "2025-10-16", "2025-10-23"],
        "2025-09-30": ["2025-10-09", "2025-10-10", "2025-10-14", "2025-10-21", "2025-10-28"],
    }
    for received, due in golden.items():
        start = clock.start(np.datetime64(f"{received}T10:00"))
        assert clock.day(np.floor(start) + np.array([1, 2, 5, 10, 15])).astype(str).tolist() == due
    holiday = np.floor(clock.start(np.datetime64("2025-10-04T10:00")))
    assert clock.day(holiday + np.array([0, 1, 2, 5])).astype(str).tolist() == [
        "2025-10-09",
        "2025-10-10",
        "2025-10-11",
        "2025-10-15",
    ]
    with pytest.raises(SpecError, match="add the holidays of the next year"):
        clock.day(len(clock.days) + 1)
    with pytest.raises(SpecError, match="no working days known"):
        clock.start(np.datetime64("2027-01-04T10:00"))


def test_satisfaction_with_the_handling_is_the_stated_ordinal_logit(cases):
    """At every cut of the scale a logit has the same slopes and the stated threshold."""
    rules = truth.load("complaints")
    known = cases[cases["sat_outcome"].notna()]
    rule = rules["sat_outcome"]
    ratio = (known["cost_compensation"] / known["amount"]).fillna(0) ** rule["power"]
    x = with_constant(known["on_time"], known["outcome"] == "solved", ratio, known["courtesy"] - 3)
    slopes = [rule["on_time"], rule["solved"], rule["compensation"], rule["courtesy"]]
    for place, cut in enumerate(rule["cuts"], 1):
        found = logit_fit(x, (known["sat_outcome"] > place).to_numpy(float))
        assert wald(*found, [-cut, *slopes]) > RARE, place
    rule = rules["sat_process"]
    clock = WorkingDays.of(rules["calendar"], opens=9, closes=18)
    stamp = {c: known[c].to_numpy("datetime64[m]") for c in ("at",)} | {
        "answer": pd.to_datetime(known["first_response_at"]).to_numpy("datetime64[m]")
    }
    prompt = np.floor(clock.start(stamp["answer"])) - np.floor(clock.start(stamp["at"])) <= 1
    x = with_constant(prompt, known["courtesy"] - 3, known["transfers"])
    for place, cut in enumerate(rule["cuts"], 1):
        found = logit_fit(x, (known["sat_process"] > place).to_numpy(float))
        assert wald(*found, [-cut, rule["prompt"], rule["courtesy"], rule["transfers"]]) > RARE, place
    share = cases[cases["closed_at"] != ""].groupby("channel")["sat_outcome"].agg(["count", "size"])
    for channel, wanted in rules["answered"].items():
        assert stats.binomtest(int(share.loc[channel, "count"]), int(share.loc[channel, "size"]), wanted).pvalue > RARE


def test_repeats_follow_the_stated_logit(cases):
    rule = truth.load("complaints")["repeat"]
    reply = pd.to_datetime(cases["feedback_at"].replace("", None))
    followed = (reply < pd.Timestamp("2026-01-01") - pd.Timedelta(days=rule["within"])) & cases["sat_outcome"].notna()
    known = cases[followed]
    again = known["complaint_id"].isin(cases["parent_id"].dropna())
    x = with_constant(1 - known["on_time"], known["sat_outcome"] <= 2)
    assert wald(*logit_fit(x, again.to_numpy(float)), [rule["base"], rule["overdue"], rule["unsatisfied"]]) > RARE
    child = cases[cases["parent_id"].notna()]
    parent = cases.set_index("complaint_id").loc[child["parent_id"]]
    assert (child["customer"].to_numpy() == parent["customer"].to_numpy()).all()
    assert (child["reason"].to_numpy() == parent["reason"].to_numpy()).all()
    lag = child["at"].to_numpy() - pd.to_datetime(parent["feedback_at"]).to_numpy()
    assert lag.min() >= np.timedelta64(1, "D")
    assert lag.max() <= np.timedelta64(rule["within"], "D")


def test_escalation_has_the_stated_weights_of_the_thirteen_signs(cases):
    """The signs are worked out again from the written tables, and a logit finds the weights."""
    rule = truth.load("complaints")["escalation"]
    least = rule["thresholds"]
    late = cases["on_time"] == 0
    depth = pd.Series(0, index=cases["complaint_id"])
    for child, parent in cases.loc[cases["parent_id"].notna(), ["complaint_id", "parent_id"]].itertuples(index=False):
        depth[child] = depth[parent] + 1
    history, before = np.zeros(len(cases)), np.zeros(len(cases))
    escalated, at = cases["escalated"].fillna(0).to_numpy(float), cases["at"].to_numpy()
    for rows in cases.groupby("customer").indices.values():
        for place, row in enumerate(rows[1:], 1):
            history[row] = (at[rows[:place]] >= at[row] - np.timedelta64(365, "D")).sum()
            before[row] = escalated[rows[:place]].any()
    crowd = np.zeros(len(cases))
    for rows in cases.groupby("reason").indices.values():
        window = pd.Series(cases["customer"].to_numpy()[rows].astype(float), index=cases["at"].iloc[rows])
        crowd[rows] = window.rolling("24h").apply(lambda who: len(np.unique(who)), raw=True)
    service = cases["type"].isin(["attitude", "product"])
    signs = {
        "transferred_or_late": (cases["transfers"] > least["transfers"]) | late,
        "many_customers": crowd >= least["customers"],
        "repeated": depth.to_numpy() >= least["repeats"],
        "service_and_late": service & late,
        "promise_or_fraud": cases["promise_flag"] == 1,
        "service_added": cases["second_type"] != "",
        "called_again": cases["contacts_24h"] >= least["contacts"],
        "frequent": history >= least["history"],
        "escalated_before": before == 1,
        "extreme_emotion": cases["emotion"] == 4,
        "law_cited": cases["law_cited"] == 1,
        "sensitive_identity": cases["profession_flag"] == 1,
        "media_named": cases["media_flag"] == 1,
    }
    use = ((cases["resolved_at"] != "") & (cases["type"] != "")).to_numpy()
    # Cases of the same minute are counted for each other.
    same = pd.Series(crowd).groupby([cases["reason"], cases["at"]]).transform("max")
    assert (cases["same_reason_24h"] == same).all()
    # What only comes near a threshold is no sign: its weight is zero.
    near = [depth.to_numpy() == 1, history == 2, crowd == 9, cases["contacts_24h"] == 1, cases["transfers"] == 3]
    near += [cases["emotion"] == 3]
    x = with_constant(*[np.asarray(v)[use] for v in [*(signs[name] for name in rule["weights"]), *near]])
    assert x[:, 1:].sum(axis=0).min() > 20
    true = [rule["base"], *rule["weights"].values(), *[0] * len(near)]
    assert wald(*logit_fit(x, cases["escalated"].to_numpy(float)[use]), true) > RARE


def test_the_course_of_every_case_is_in_order_and_the_log_tells_the_same(busy):
    table, log = busy["complaints"], busy["complaint_events"]
    steps = ["received_at", "first_response_at", "resolved_at", "feedback_at", "closed_at"]
    for earlier, later in itertools.pairwise(steps):
        both = table[(table[earlier] != "") & (table[later] != "")]
        assert (both[earlier] <= both[later]).all()
        assert not ((table[earlier] == "") & (table[later] != "")).any()
    assert (table["closed_at"] < "2026-01-01").all()
    assert (table["closed_at"] == "").any()
    assert log["at"].max() < "2026-01-01"
    assert (table["complaint_id"].to_numpy() == np.arange(1, len(table) + 1)).all()
    assert table["received_at"].is_monotonic_increasing
    parents = table[table["parent_id"].notna()]
    assert (parents["parent_id"] < parents["complaint_id"]).all()
    assert set(log["complaint_id"]) == set(table["complaint_id"])
    assert (log.drop_duplicates("complaint_id")["event"] == "received").all()
    assert (log.groupby("complaint_id")["at"].is_monotonic_increasing).all()
    own = table.set_index("complaint_id")
    for event, column in {
        "received": "received_at",
        "answered": "first_response_at",
        "decided": "resolved_at",
        "feedback": "feedback_at",
        "extended": "extension_notified_at",
    }.items():
        at = log[log["event"] == event].set_index("complaint_id")["at"]
        assert (own[column].loc[at.index] == at).all()
        assert set(own.index[own[column] != ""]) == set(at.index)
    for event, column in {"transferred": "transfers", "contacted": "contacts_24h", "reopened": "reopened"}.items():
        assert (
            log[log["event"] == event].groupby("complaint_id").size().reindex(own.index, fill_value=0) == own[column]
        ).all()


def test_injected_faults_are_as_many_as_stated_and_listed(busy):
    table, faults = busy["complaints"], busy["complaint_faults"]
    rule = truth.load("complaints")["faults"]
    own = table.set_index("complaint_id")
    empty = faults[faults["fault"] == "missing"].set_index("complaint_id")["detail"]
    blank = {(row, field) for field in rule["required"] for row in own.index[own[field] == ""]}
    assert blank == set(empty.items())
    assert stats.binomtest(len(empty), len(table), rule["missing"]).pvalue > RARE
    twice = faults[faults["fault"] == "duplicate"].set_index("complaint_id")["detail"].astype(int)
    assert stats.binomtest(len(twice), len(table) - len(twice), rule["duplicates"]["share"]).pvalue > RARE
    same = ["customer", "reason", "due_at", "resolved_at", "outcome", "grade", "cost_labour"]
    first, second = own.loc[twice.to_numpy(), same], own.loc[twice.index, same]
    lag = (
        pd.to_datetime(own["received_at"][twice.index]).to_numpy()
        - pd.to_datetime(own["received_at"][twice]).to_numpy()
    )
    assert (lag >= np.timedelta64(rule["duplicates"]["minutes"][0], "m")).all()
    assert (lag <= np.timedelta64(rule["duplicates"]["minutes"][1], "m")).all()
    pd.testing.assert_frame_equal(first.reset_index(drop=True), second.reset_index(drop=True))
    first = table[~table["complaint_id"].isin(twice.index) & table["parent_id"].isna()]
    serial = faults[faults["fault"] == "serial"]
    claimants = own.loc[serial["complaint_id"], "customer"].nunique()
    assert abs(claimants - rule["serial"]["share"] * first["customer"].nunique()) < 2
    assert own.loc[serial["complaint_id"]].groupby("customer").size().min() > rule["serial"]["least"]
    paid = own.loc[serial["complaint_id"], "payee"].dropna()
    assert not paid.isin(own["customer"]).any()
    promise = own.loc[faults.loc[faults["fault"] == "campaign", "complaint_id"], "promise_flag"]
    assert stats.binomtest(int(promise.sum()), len(promise), rule["campaign"]["promise_flag"]).pvalue > RARE


def test_texts_say_what_the_flags_say_and_survive_a_file(busy):
    table = busy["complaints"]
    written = table[table["text"] != ""]
    for language, flags in vocabulary().items():
        own = written[written["language"] == language]
        for flag, phrases in flags.items():
            said = np.logical_or.reduce([own["text"].str.contains(p.strip(), regex=False) for p in phrases])
            assert (said == (own[flag] == 1)).all()
    assert written.groupby("customer")["language"].nunique().max() == 1
    for sign in ('"', ",", "<b>", "=1+1", "@SUM"):
        assert written["text"].str.contains(sign, regex=False).sum() > 3
    back = pd.read_csv(io.StringIO(table.to_csv(index=False)), usecols=["text"], keep_default_na=False)
    assert (back["text"] == table["text"]).all()


# Mystery visits


def scored(table: pd.DataFrame, parameters: Mapping[str, Any]) -> np.ndarray:
    """Score 0 to 100 of METHODS 12, without the cap."""
    items = parameters["items"]
    points = table[list(items)].astype(float)
    for item, rule in items.items():
        if rule["scale"] != "PF":
            points[item] = points[item] / 3 if rule["scale"] == "N3" else (points[item] - 1) / 4
    weight = np.array([rule["weight"] for rule in items.values()], dtype=float)
    assert weight.sum() == 100
    return 100 * np.nansum(points * weight, axis=1) / (points.notna() @ weight).to_numpy()


def test_the_score_has_the_stated_variance_parts_and_link_to_perceived_quality(market):
    """Products of deviations from the true mean estimate each part without bias; bands from 40 programmes."""
    register, latent = market
    rules = stated("visits", items__A3__na=0.0)
    true = visits.variance_parts(rules)
    quality = latent["PQ"].groupby(register["branch"]).mean()
    quality = (quality - quality.mean()) / quality.std(ddof=0)
    found = []
    for seed in range(40):
        table = visits.make(register, latent, rules, np.random.default_rng(seed))["visits"]
        table = table.drop_duplicates("visit").reset_index(drop=True)
        d = scored(table, rules) - true.mean
        parts = []
        for same, other in (("outlet", "shopper"), ("shopper", "outlet")):
            both = pd.Series(d).groupby([table[same], table[other]]).agg(["sum", "size"])
            one = pd.Series(d).groupby(table[same]).agg(["sum", "size"])
            pairs = (one["size"] ** 2).sum() - (both["size"] ** 2).sum()
            parts.append(((one["sum"] ** 2).sum() - (both["sum"] ** 2).sum()) / pairs)
        link = (d * quality.loc[table["outlet"]].to_numpy()).mean()
        found.append([d.mean(), *parts, (d**2).mean(), link])
    total = true.outlet + true.shopper + true.visit + true.item
    # A normal deviate and the uniform one of the same rank correlate by the root of 3 / pi.
    link = rules["link"] * np.sqrt(3 / np.pi) * np.sqrt(true.outlet)
    expected = np.array([0, true.outlet, true.shopper, total, link])
    mean, se = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert (np.abs(mean - expected) < 3.5 * se).all(), (mean, expected, se)
    assert (se[1:3] < expected[1:3] / 4).all()


def test_two_shoppers_at_one_visit_agree_as_stated(many):
    rules = stated("visits", outlets=300, double=1.0, sd__shopper=0.0)
    table = visits.make(*many, rules, np.random.default_rng(3))["visits"]
    assert (table.groupby("visit").size() == 2).all()
    assert (table.groupby("visit")["shopper"].nunique() == 2).all()
    pairs = len(table) // 2
    differ, chance = 0.0, 0.0
    for item, rule in rules["items"].items():
        if rule["scale"] == "PF" and not rule["na"]:
            pair = table[item].to_numpy(float).reshape(pairs, 2)
            differ += (pair[:, 0] != pair[:, 1]).sum()
            spread = rule["slope"] ** 2 * (rules["sd"]["outlet"] ** 2 + rules["sd"]["visit"] ** 2)
            chance += pairs * 2 * (rule["level"] * (1 - rule["level"]) - spread)
    agreement = 1 - differ / chance
    assert abs(agreement - rules["agreement"]) < 3.5 * np.sqrt(differ) / chance
    empty = table["A3"].isna().to_numpy().reshape(pairs, 2)
    assert (empty[:, 0] == empty[:, 1]).all()
    assert stats.binomtest(int(empty[:, 0].sum()), pairs, rules["items"]["A3"]["na"]).pvalue > RARE


def test_the_sheet_is_the_one_of_the_questionnaire(usual):
    table = usual["visits"]["visits"]
    rules = truth.load("visits")["items"]
    assert [item for item, rule in rules.items() if rule["critical"]] == ["A4", "C1", "C3"]
    assert table["C2"].isin([0, 1, 2, 3]).all()
    assert table["D3"].isin([1, 2, 3, 4, 5]).all()
    assert table[[i for i, r in rules.items() if r["scale"] == "PF" and not r["na"]]].isin([0, 1]).all(axis=None)
    double = table.groupby("visit").size() == 2
    assert stats.binomtest(int(double.sum()), len(double), truth.load("visits")["double"]).pvalue > RARE


# Kano, SERVQUAL


def test_kano_answers_fall_into_the_categories_as_stated(many):
    """The evaluation table of Kano et al. (1984), written out here again."""
    mark = {(f, d): "I" for f in (2, 3, 4) for d in (2, 3, 4)}
    mark |= {(1, d): "A" for d in (2, 3, 4)} | {(f, 5): "M" for f in (2, 3, 4)} | {(1, 5): "O"}
    mark |= {(f, 1): "R" for f in (2, 3, 4, 5)} | {(5, d): "R" for d in (1, 2, 3, 4)} | {(1, 1): "Q", (5, 5): "Q"}
    rules = stated("kano", respondents=20_000)
    table = kano.make(*many, rules, np.random.default_rng(8))["kano"]
    assert table["customer"].is_unique
    urban = many[0].set_index("customer").loc[table["customer"], "urban"].to_numpy()
    assert ((table["segment"] == "urban") == urban).all()
    for feature, rule in rules["features"].items():
        pairs = zip(table[f"{feature}_functional"], table[f"{feature}_dysfunctional"], strict=True)
        found = pd.Series([mark[pair] for pair in pairs])
        for segment in ("urban", "rural"):
            here = found[(table["segment"] == segment).to_numpy()].value_counts()
            expected = pd.Series(rule[segment]) * here.sum()
            assert fits(here.reindex(expected.index, fill_value=0), expected, lost=1) > RARE / 16
        stated_mean = table[f"{feature}_importance"]
        assert stated_mean.between(1, 9).all()
        assert abs(stated_mean.mean() - rule["importance"]) < 3.5 * stated_mean.std() / np.sqrt(len(table))


def test_rating_answers_have_the_mean_that_was_asked_for():
    centre = answer_levels([1.3, 4.0, 6.8], 1.1, low=1, high=7)
    assert mean_answer(centre, 1.1, low=1, high=7) == pytest.approx([1.3, 4.0, 6.8], abs=1e-9)
    x = bounded(centre[2] + 1.1 * np.random.default_rng(0).normal(size=40_000), low=1, high=7)
    assert abs(x.mean() - 6.8) < 3.5 * x.std() / 200


def test_servqual_gaps_points_and_link_are_those_stated(many):
    rules = stated("servqual", respondents=8_000)
    table = servqual.make(*many, rules, np.random.default_rng(8))["servqual"]
    register, latent = many
    row = register.set_index("customer").index.get_indexer(table["customer"])
    assert register["contact"].to_numpy()[row].all()
    z = []
    for item, gap in rules["gap"].items():
        expect, perceive = table[f"expect_{item}"], table[f"perceive_{item}"]
        assert expect.between(1, 7).all()
        assert perceive.between(1, 7).all()
        difference = perceive - expect
        z.append((difference.mean() - gap) / (difference.std() / np.sqrt(len(table))))
        assert abs(expect.mean() - rules["expectation"][item]) < 4 * expect.std() / np.sqrt(len(table))
    assert np.abs(z).max() < 4
    points = table.filter(like="points_")
    assert (points.sum(axis=1) == 100).all()
    assert (points % rules["step"] == 0).all(axis=None)
    for name, rule in rules["dimensions"].items():
        p = points[f"points_{name}"]
        assert abs(p.mean() - rule["points"]) < 3.5 * p.std() / np.sqrt(len(p))
    level = table.filter(like="perceive_").mean(axis=1)
    assert np.corrcoef(level, latent["PQ"].to_numpy()[row])[0, 1] > 0.5
    assert abs(np.corrcoef(table.filter(like="expect_").mean(axis=1), latent["PQ"].to_numpy()[row])[0, 1]) < 0.05


# Journey, firms


def test_contact_points_are_met_and_judged_as_stated(many):
    rules = stated("journey", respondents=12_000)
    table = journey.make(*many, rules, np.random.default_rng(8))["journey"]
    register = many[0].set_index("customer")
    for name, rule in rules["touchpoints"].items():
        own = table[table["touchpoint"] == name]
        met = own["met"].to_numpy(float)
        about = register.loc[own["customer"]]
        if rule["covariate"] == "none":
            assert stats.binomtest(int(met.sum()), len(met), 1 / (1 + np.exp(-rule["base"]))).pvalue > RARE
        else:
            found = logit_fit(with_constant(about[rule["covariate"]]), met)
            assert wald(*found, [rule["base"], rule["slope"]]) > RARE
        assert (own["satisfaction"].notna() == (met == 1)).all()
        assert abs(own["importance"].mean() - rule["importance"]) < 3.5 * own["importance"].std() / np.sqrt(len(own))
        if rule["covariate"] == "none":
            judged = own["satisfaction"].dropna().astype(float)
            assert abs(judged.mean() - rule["mean"]) < 3.5 * judged.std() / np.sqrt(len(judged))


def test_remembered_satisfaction_is_linear_in_peak_end_mean_and_duration(many):
    rules = stated("journey", respondents=6_000)
    made = journey.make(*many, rules, np.random.default_rng(9))
    met = made["journey"][made["journey"]["met"] == 1].astype({"satisfaction": float, "day": int})
    met = met.sort_values(["customer", "day"], kind="stable").groupby("customer")
    duration = met["day"].max() - met["day"].min()
    x = pd.DataFrame({"peak": met["satisfaction"].min(), "end": met["satisfaction"].last()})
    x = x.assign(mean=met["satisfaction"].mean(), duration=duration)
    whole = made["journey_remembered"].set_index("customer")
    y = whole.loc[x.index, "remembered"].to_numpy()
    rule = rules["remembered"]
    found = least_squares(with_constant(*x.to_numpy().T), y)
    assert wald(*found, [rule[k] for k in ("base", "peak", "end", "mean", "duration")]) > RARE
    assert (whole.loc[x.index, "duration"] == x["duration"]).all()
    assert whole["remembered"].dropna().between(0, 100).all()
    none = whole[whole["touchpoints"] == 0]
    assert len(none)
    assert none[["remembered", "duration"]].isna().all(axis=None)


def test_firm_and_year_effects_recover_the_elasticity_and_a_plain_regression_does_not(market):
    rules = stated("firms", firms=400)
    table = firms.make(*market, rules, np.random.default_rng(4))["firms"]
    wide = table.pivot(index="firm", columns="year")

    def within(values: pd.DataFrame) -> np.ndarray:
        x = values.to_numpy()
        return (x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean()).ravel()

    x = within(np.log(wide["csi_before"]))
    for column in ("sales", "profit"):
        y = within(np.log(wide[column]))
        b = x @ y / (x @ x)
        free = len(x) - len(wide) - rules["years"]["count"]
        se = np.sqrt(((y - b * x) ** 2).sum() / free / (x @ x))
        assert abs(b - rules[column]["elasticity"]) < 3.5 * se
        plain, covariance = least_squares(with_constant(np.log(table["csi_before"])), np.log(table[column]).to_numpy())
        assert plain[1] - rules[column]["elasticity"] > 5 * np.sqrt(covariance[1, 1])
    following = table["csi"].to_numpy().reshape(-1, 8)[:, :-1]
    assert (table["csi_before"].to_numpy().reshape(-1, 8)[:, 1:] == following).all()


def test_the_operators_of_the_market_are_among_the_firms(market):
    register, latent = market
    better = latent.assign(SAT=latent["SAT"] + 2.0 * (register["operator"] == "B"))
    table = firms.make(register, better, truth.load("firms"), np.random.default_rng(4))["firms"]
    assert table.shape == (320, 6)
    csi = table.groupby("firm")["csi"].mean()
    rule = truth.load("firms")["csi"]
    assert csi["B"] - csi["A"] > 2.0 * rule["per_satisfaction"] - 4 * rule["year_sd"]


INDEX = pd.DataFrame(
    {"A": [66.1, 66.5, 67.25, 69.0], "B": [64.0, 65.0, 66.0, 68.0], "C": [58.0, 59.0, 55.0, 60.0]},
    index=[2022, 2023, 2024, 2025],
)


def test_operators_have_the_census_index_of_their_waves_and_earlier_years_lead_to_it(market):
    rules = truth.load("firms")
    table = firms.make(*market, rules, np.random.default_rng(4), index=INDEX)["firms"]
    wide = table.pivot(index="year", columns="firm", values="csi")
    assert (wide.loc[2022:, ["A", "B", "C"]].to_numpy() == INDEX.to_numpy()).all()
    steps = np.concatenate(
        [
            firms.make(*market, rules, np.random.default_rng(seed), index=INDEX)["firms"]
            .pivot(index="firm", columns="year", values="csi")
            .loc[["A", "B", "C"]]
            .sub(INDEX.mean(), axis=0)
            .pipe(lambda d: d[2021] - rules["csi"]["carry_over"] * d[2022])
            for seed in range(40)
        ]
    )
    # Backwards in time the innovation has the stated spread and no mean; 120 of them.
    assert abs(steps.mean()) < 3.5 * rules["csi"]["year_sd"] / np.sqrt(120)
    assert abs(steps.std() / rules["csi"]["year_sd"] - 1) < 3.5 / np.sqrt(240)
    gap = firms.make(*market, rules, np.random.default_rng(4), index=INDEX.drop(index=2023))["firms"]
    assert (gap.pivot(index="year", columns="firm", values="csi").loc[[2022, 2024], "C"] == [58.0, 55.0]).all()
    with pytest.raises(DataError, match=r"absent: \['C'\]"):
        firms.make(*market, rules, np.random.default_rng(4), index=INDEX[["A", "B"]])
    with pytest.raises(DataError, match="a year of the table"):
        firms.make(*market, rules, np.random.default_rng(4), index=INDEX.set_axis([2031, 2032, 2033, 2034]))


def test_sales_of_the_operators_are_what_their_customers_spend(market):
    register, _ = market
    calm = {"sales__error_sd": 1e-12, "sales__year_sd": 1e-12, "profit__error_sd": 1e-12, "profit__year_sd": 1e-12}
    rules = stated("firms", **calm)
    table = firms.make(*market, rules, np.random.default_rng(4), index=INDEX)["firms"]
    yearly = 12e-6 * register.groupby("operator")["spend"].sum()
    last = table[table["year"] == 2025].set_index("firm").loc[["A", "B", "C"]]
    assert last["sales"].to_numpy() == pytest.approx(yearly.to_numpy(), abs=0.006)
    margin = np.exp(rules["profit"]["level"] - rules["sales"]["level"])
    assert last["profit"].to_numpy() == pytest.approx(margin * yearly.to_numpy(), abs=0.006)
    # One firm alone shows the elasticity: nothing but growth and the index of the year before moves its sales.
    own = table[table["firm"] == "A"]
    change = np.diff(np.log(own["csi_before"]))
    assert np.diff(np.log(own["sales"])) == pytest.approx(0.03 + 0.4 * change, abs=0.05)


# Focus groups, behaviour


def test_two_coders_agree_by_the_stated_kappa(many):
    rules = stated("focus_groups", groups=80)
    table = focus_groups.make(*many, rules, np.random.default_rng(4))["focus_groups"]
    n = len(table)
    same = (table["code_1"] == table["code_2"]).mean()
    first, second = (table[c].value_counts(normalize=True) for c in ("code_1", "code_2"))
    by_chance = first.mul(second, fill_value=0).sum()
    kappa = (same - by_chance) / (1 - by_chance)
    assert abs(kappa - rules["kappa"]) < 3.5 * np.sqrt(same * (1 - same) / n) / (1 - by_chance)
    expected = pd.Series(rules["codes"]) * n
    for column in ("code_1", "code_2"):
        assert fits(table[column].value_counts().reindex(expected.index, fill_value=0), expected, lost=1) > RARE
    assert (table.groupby("customer")["group"].nunique() == 1).all()
    assert table.groupby("group")["speaker"].max().eq(rules["speakers"]).all()
    count = table.groupby("customer").size()
    assert abs(count.mean() - rules["statements"]) < 3.5 * np.sqrt(rules["statements"] / len(count))


def test_churn_and_spend_follow_the_stated_effects(many):
    """Maximum likelihood of proportional hazards with the known shape; least squares of the logarithm of spend."""
    register, latent = many
    rng = np.random.default_rng(1)
    some = rng.choice(register["customer"], 15_000, replace=False)
    cases = pd.DataFrame({"customer": some, "received_at": "2025-01-01 10:00"})
    cases["outcome"] = rng.choice(["solved", "partly", "refused", ""], len(cases), p=[0.5, 0.2, 0.1, 0.2])
    rules = truth.load("behaviour")
    table = behaviour.make(register, latent, rules, np.random.default_rng(2), complaints=cases)["behaviour"]
    states = ["recovered", "not_recovered", "open"]
    complaint = [table["complaint"] == state for state in states]
    forms = [table["contract"] == form for form in ("year", "two_years")]
    x = with_constant(latent["LOY"], *forms, *complaint, table["offer"])
    exposure, left = table["months"].to_numpy() ** rules["churn"]["shape"], table["left"].to_numpy()
    b = np.zeros(x.shape[1])
    b[0] = np.log(left.sum() / exposure.sum())
    for _ in range(30):
        mean = exposure * np.exp(x @ b)
        information = (x * mean[:, None]).T @ x
        b = b + np.linalg.solve(information, x.T @ (left - mean))
    churn = rules["churn"]
    true = [np.log(churn["base"]), *(churn[k] for k in ("loyalty", "year", "two_years", *states, "offer"))]
    assert wald(b, np.linalg.inv(information), true) > RARE
    change = np.log(table["spend_after"] / table["spend_before"]).to_numpy()
    spend = rules["spend"]
    found = least_squares(with_constant(latent["LOY"], *complaint), change)
    assert wald(*found, [spend[k] for k in ("base", "loyalty", *states)]) > RARE

    gone = table[table["left"] == 1]
    days = (pd.to_datetime(gone["left_on"]) - pd.Timestamp(rules["start"])).dt.days
    assert (np.abs(days - gone["months"] * 365.25 / 12) < 1.4).all()
    stay = table[table["left"] == 0]
    assert (stay["months"] == rules["months"]).all()
    assert (stay["left_on"] == "").all()
    contract = pd.Series(rules["contract"]) * len(table)
    assert fits(table["contract"].value_counts()[contract.index], contract, lost=1) > RARE


def test_a_customer_behaves_the_same_whoever_else_is_written(market):
    register, latent = market
    rules = truth.load("behaviour")
    whole = behaviour.make(register, latent, rules, np.random.default_rng(2))["behaviour"]
    part = behaviour.make(register, latent, rules, np.random.default_rng(2), customers=[5, 900, 17])["behaviour"]
    expected = whole[whole["customer"].isin([5, 17, 900])].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, expected)
    cases = pd.DataFrame({"customer": [17, 30], "received_at": "2025-01-01 10:00", "outcome": "solved"})
    more = behaviour.make(register, latent, rules, np.random.default_rng(2), complaints=cases, customers=[5, 17])
    assert more["behaviour"].set_index("customer")["in_sample"].to_dict() == {5: 1, 17: 1, 30: 0}
    none = behaviour.make(
        register, latent, rules, np.random.default_rng(2), complaints=cases, customers=[5, 17], complainers=[17, 31]
    )
    assert list(none["behaviour"]["customer"]) == [5, 17]
    with pytest.raises(DataError, match=r"1 customers are not in the register.*99999"):
        behaviour.make(register, latent, rules, np.random.default_rng(2), customers=[5, 99999])
    with pytest.raises(DataError, match="outcome"):
        behaviour.make(register, latent, rules, np.random.default_rng(2), complaints=register[["customer"]])
