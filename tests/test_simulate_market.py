"""The simulated market keeps what its truth states, and the committed files are what the default seed writes."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import integrate, stats
from typer.testing import CliRunner

import csi_lab as csi
from csi_lab.course.cli import app
from csi_lab.errors import CsiLabError, DataError, SpecError
from csi_lab.sampling import select
from csi_lab.simulate import answers as answering
from csi_lab.simulate import assembly, bounds, draw, iceberg, nonresponse, ranges, truth
from csi_lab.simulate.columns import codebook
from csi_lab.simulate.complaint_arrivals import arrivals, customer_rates, daily_rates
from csi_lab.simulate.fieldwork import interview, mode_and_interviewer
from csi_lab.simulate.files import csv_text, write
from csi_lab.simulate.latent import CONSTRUCTS, total_change
from csi_lab.simulate.opinions import Opinions, opinions
from csi_lab.simulate.seeds import child
from csi_lab.simulate.survey_bias import survey_bias
from csi_lab.simulate.waves import panel

BROADBAND = Path(__file__).resolve().parents[1] / "data" / "broadband"
BAND = 4.5  # standard errors; over all comparisons of this file chance leaves it about once in a thousand seeds
N = 40_000
OWN = ("survey", "survey_key", "survey_raw", "survey_raw_faults", "issued", "panel", "frame", "totals")
OFF = {"nonresponse": False, "careless": 0.0, "item_missing": 0.0, "interviewer_sd": 0.0, "mode_effect": 0.0}


@pytest.fixture(scope="module")
def market():
    return csi.simulate.make_market(customers=N, rng=11)


@pytest.fixture(scope="module")
def small():
    return csi.simulate.make_market(customers=5000, rng=3)


@pytest.fixture(scope="module")
def stated():
    return truth.load("market")


def within(table: pd.DataFrame, by: pd.Series) -> pd.DataFrame:
    """Deviations from the group means, with the degrees of freedom that they cost left to the caller."""
    return table - table.groupby(by.to_numpy()).transform("mean")


def ols(y: np.ndarray, x: pd.DataFrame, lost: int = 0) -> pd.DataFrame:
    """Coefficients and standard errors; ``lost`` degrees of freedom went into group means before."""
    m = x.to_numpy()
    cross = np.linalg.inv(m.T @ m)
    b = cross @ (m.T @ y)
    residual = y - m @ b
    variance = residual @ residual / (len(y) - x.shape[1] - lost)
    return pd.DataFrame({"b": b, "se": np.sqrt(np.diag(cross) * variance)}, index=x.columns)


def dummies(column: pd.Series, reference: str) -> pd.DataFrame:
    return pd.get_dummies(column, dtype=float).drop(columns=reference)


def assert_near(found: pd.DataFrame, wanted: dict[str, float]) -> None:
    z = (found["b"][list(wanted)] - pd.Series(wanted)) / found["se"][list(wanted)]
    assert z.abs().max() < BAND, z


def faults_terms(register: pd.DataFrame) -> pd.DataFrame:
    counted = register["faults"].clip(upper=5)
    return pd.DataFrame({"any": (counted > 0).astype(float), "further": (counted - 1).clip(lower=0).astype(float)})


# ------------------------------------------------------------------------------------------------- register and truth


def test_register_has_the_promised_columns_and_ranges(market):
    register = market.register
    assert list(register["customer"]) == list(range(1, N + 1))
    assert set(register["operator"]) == {"A", "B", "C"}
    assert set(register["province"]) == {f"p{i}" for i in range(1, 9)}
    assert set(register["region"]) == {"north", "east", "south", "west"}
    assert register.groupby("town")["province"].nunique().max() == 1
    assert register.groupby("branch")["town"].nunique().max() == 1
    assert register.groupby("branch")["operator"].nunique().max() == 1
    assert register.groupby("town")["urban"].nunique().max() == 1
    assert register["household"].between(1, 5).all()
    assert register["tenure_months"].between(3, 180).all()
    assert (register[["faults", "outlet_visits"]] >= 0).all().all()
    assert (register[["degree", "spend"]] > 0).all().all()
    assert register[["urban", "phone", "email", "contact"]].dtypes.eq(bool).all()
    assert not register.isna().any().any()


def test_towns_are_as_many_as_stated_and_very_unequal(market, stated):
    sizes = market.register.groupby(["province", "town"]).size()
    for name, province in stated["provinces"].items():
        assert sizes[name].shape[0] <= province["towns"]
    assert sizes.max() > 20 * sizes.median() / 4


def test_shares_of_categories_are_the_stated_ones(market, stated):
    register, people = market.register, stated["people"]
    rural = register.loc[~register["urban"], "age_group"].value_counts()
    for counts, shares in (
        (rural, people["age_group"]["rural"]),
        (register["plan"].value_counts(), people["plan"]),
        (register["household"].value_counts(), people["household"]),
    ):
        expected = pd.Series(dict(shares)) * counts.sum()
        assert stats.chisquare(counts[expected.index], expected).pvalue > 1e-4
    assert register["phone"].mean() == pytest.approx(people["phone"], abs=BAND * np.sqrt(0.94 * 0.06 / N))


def test_latent_scores_are_standardised_in_the_base_wave(market):
    latent = market.latent
    assert list(latent.columns) == list(CONSTRUCTS)
    assert (latent.mean().abs() < BAND * 2 / np.sqrt(N)).all()  # correlated disturbances reach up to twice their own
    assert ((latent.std() - 1).abs() < BAND / np.sqrt(N)).all()


@pytest.mark.parametrize("target", ["EXP", "PQ", "VAL", "SAT", "LOY"])
@pytest.mark.parametrize("wave", [0, 3])
def test_paths_are_recovered_from_the_latent_scores(market, stated, target, wave):
    """Within outlets, which hold operator, town, province and urban constant, and given age and faults."""
    register, paths = market.register, stated["paths"][target]
    x = pd.concat([market.latent_in(wave)[list(paths)], dummies(register["age_group"], "35-49")], axis=1)
    x = pd.concat([x, faults_terms(register)], axis=1)
    x = within(x, register["branch"])
    y = within(market.latent_in(wave)[[target]], register["branch"])[target].to_numpy()
    assert_near(ols(y, x, lost=register["branch"].nunique()), dict(paths))


def test_group_differences_are_recovered(market, stated):
    register, effects = market.register, stated["effects"]
    x = pd.concat([dummies(register["operator"], "A"), dummies(register["age_group"], "35-49")], axis=1)
    found = ols(
        within(market.latent[["IMG"]], register["town"])["IMG"].to_numpy(),
        within(x, register["town"]),
        lost=register["town"].nunique(),
    )
    operator = {name: effects["operator"][name]["IMG"] - effects["operator"]["A"]["IMG"] for name in ("B", "C")}
    assert_near(found, operator | {age: effects["age_group"][age]["IMG"] for age in ("18-24", "25-34", "50+")})
    x = market.latent[["IMG"]].assign(urban=register["urban"].astype(float), one=1.0)
    assert_near(ols(market.latent["EXP"].to_numpy(), x), {"urban": effects["urban"]["EXP"]})


def test_the_first_fault_lowers_quality_most(market, stated):
    register, effect = market.register, stated["effects"]["faults"]
    x = pd.concat([market.latent[["IMG", "EXP"]], faults_terms(register)], axis=1)
    found = ols(
        within(market.latent[["PQ"]], register["branch"])["PQ"].to_numpy(),
        within(x, register["branch"]),
        lost=register["branch"].nunique(),
    )
    assert_near(found, {"any": effect["any"], "further": effect["each_further"]})


def test_towns_differ_by_the_stated_variance(market, stated):
    """One-way analysis of variance between towns; operator and age are taken out within towns first."""
    register = market.register
    x = pd.concat([dummies(register["operator"], "A"), dummies(register["age_group"], "35-49")], axis=1)
    y = market.latent["IMG"]
    b = ols(
        within(y.to_frame(), register["town"])["IMG"].to_numpy(),
        within(x, register["town"]),
        register["town"].nunique(),
    )
    rest = (y - x @ b["b"]).groupby(register["town"].to_numpy())
    n, mean = rest.size(), rest.mean()
    ms_within = ((n - 1) * rest.var()).sum() / (N - len(n))
    ms_between = (n * (mean - (n * mean).sum() / N) ** 2).sum() / (len(n) - 1)
    typical = (N - (n**2).sum() / N) / (len(n) - 1)
    wanted = stated["effects"]["town_sd"]["IMG"] ** 2
    # Unequal towns count as fewer: (sum n)^2 / sum n^2 of them carry the information.
    se = (wanted + ms_within / typical) * np.sqrt(2 / (N**2 / (n**2).sum()))
    assert (ms_between - ms_within) / typical == pytest.approx(wanted, abs=BAND * se)


@pytest.mark.parametrize("wave", [1, 2, 3])
def test_change_over_the_waves_is_the_stated_one(market, wave):
    difference = market.latent_in(wave) - market.latent
    by_operator = difference.groupby(market.register["operator"].to_numpy())
    se = by_operator.std() / np.sqrt(by_operator.size().to_numpy()[:, None])
    wanted = total_change(market.parameters["market"]).loc[wave]
    assert ((by_operator.mean() - wanted) / se).abs().max().max() < BAND


def test_total_change_is_the_direct_change_times_the_inverse_of_the_path_matrix(stated):
    paths = np.array([[stated["paths"].get(to, {}).get(source, 0.0) for source in CONSTRUCTS] for to in CONSTRUCTS])
    waves = stated["waves"]
    for wave in (1, 2, 3):
        for operator in "ABC":
            own = waves["operator_change"][wave].get(operator, {})
            direct = np.array([waves["change"][wave].get(c, 0.0) + own.get(c, 0.0) for c in CONSTRUCTS])
            expected = np.linalg.solve(np.eye(6) - paths, direct)
            assert total_change(stated).loc[(wave, operator)].to_numpy() == pytest.approx(expected, abs=1e-12)


def test_opinions_persist_as_stated(market, stated):
    """Image has no sources: its change has variance 2 (1 - r) times that of the disturbance, 1 less the group part."""
    keep = stated["waves"]["persistence"]
    disturbance = np.var(market.latent_in(1)["IMG"] - market.latent["IMG"]) / (2 * (1 - keep))
    register = market.register
    x = within(
        pd.concat([dummies(register["operator"], "A"), dummies(register["age_group"], "35-49")], axis=1),
        register["town"],
    )
    y = within(market.latent[["IMG"]], register["town"])["IMG"]
    residual = y - x @ ols(y.to_numpy(), x)["b"]
    expected = residual @ residual / (N - register["town"].nunique() - 5)
    assert disturbance == pytest.approx(expected, abs=BAND * expected * np.sqrt(4 / N))


# ------------------------------------------------------------------------------------------------------------ answers


def test_census_answers_are_complete_whole_numbers_from_1_to_10(market):
    answers = market.answers(3)
    assert answers.shape == (N, 23)
    assert answers.dtypes.eq(np.int8).all()
    assert answers.min().eq(1).all()
    assert answers.max().eq(10).all()


def test_loadings_are_recovered(market, stated):
    for item, row in zip(market.items, market.responses(0), strict=True):
        score = market.latent[[answering.construct_of(item)]].rename(columns=lambda _: "loading")
        assert_near(ols(row.astype(float), score), {"loading": stated["items"][item]["loading"]})


def test_item_means_are_the_stated_ones_in_the_base_wave(market, stated):
    answers = market.answers(0)
    wanted = pd.Series({item: block["mean"] for item, block in stated["items"].items()})
    z = (answers.mean() - wanted) / (answers.std() / np.sqrt(N))
    assert z.abs().max() < BAND, z


def test_answers_are_skewed_to_the_left_with_a_ceiling(market):
    answers = market.answers(0).drop(columns="LOY3")
    assert (answers.skew() < 0).all()
    assert ((answers == 10).mean() > (answers == 1).mean()).all()


def test_mean_of_a_changed_item_moves_where_it_was_put(stated):
    changed = truth.parameters({"market": {"items": {"SAT1": {"mean": 3.0}}}})["market"]
    exceeded = stats.norm.sf(answering.thresholds(changed))
    assert 1 + exceeded[list(changed["items"]).index("SAT1")].sum() == pytest.approx(3.0, abs=1e-5)


def test_truth_index_is_the_mean_of_rescaled_items(market):
    answers, index = market.answers(2), market.truth_index(2)
    one = answers[["LOY1", "LOY2", "LOY3"]][market.register["operator"] == "B"]
    assert index.loc["B", "LOY"] == pytest.approx(100 * (one.to_numpy().mean() - 1) / 9, rel=1e-12)
    assert index.loc["all", "SAT"] == pytest.approx(market.census(lambda f: csi.index.from_items(
        f, {"SAT": ["SAT1", "SAT2", "SAT3", "SAT4"]}, (1, 10)).table["estimate"]["SAT"], 2), rel=1e-12)  # fmt: skip


def test_consistent_pls_on_the_census_comes_near_the_paths(market, stated):
    """Answers in ten steps and groups in the sources leave .04 at most; composites without correction leave more."""
    from csi_lab.simulate.census import MODEL_NAMES, census_model

    fit = csi.sem.pls(market.answers(0), census_model(market), consistent=True)
    for target, sources in stated["paths"].items():
        for source, path in sources.items():
            if path:
                found = fit.paths.loc[(MODEL_NAMES[source], MODEL_NAMES[target]), "estimate"]
                assert found == pytest.approx(path, abs=0.04)


# ---------------------------------------------------------------------------------------------------------- fieldwork


def test_response_logit_is_recovered(market):
    survey, register = market.parameters["survey"], market.register
    satisfaction = market.latent_in(3)["SAT"].to_numpy()
    outcome = nonresponse.outcomes(register, satisfaction, survey, np.random.default_rng(5))
    reached = (register["phone"] | register["email"]).to_numpy()
    assert (outcome["outcome"][~reached] == "NC").all()
    x = dummies(register["age_group"], "35-49").assign(
        base=1.0, satisfaction=satisfaction, urban=register["urban"].astype(float)
    )[reached]
    y = (outcome["outcome"] == "I").to_numpy()[reached].astype(float)
    b = np.zeros(x.shape[1])
    for _ in range(10):
        p = 1 / (1 + np.exp(-(x.to_numpy() @ b)))
        information = (x.to_numpy().T * (p * (1 - p))) @ x.to_numpy()
        b = b + np.linalg.solve(information, x.to_numpy().T @ (y - p))
    found = pd.DataFrame({"b": b, "se": np.sqrt(np.diag(np.linalg.inv(information)))}, index=x.columns)
    stated = survey["response"]
    wanted = {name: stated[name] for name in ("base", "satisfaction", "urban")}
    assert_near(found, wanted | {age: effect for age, effect in stated["age_group"].items() if age != "35-49"})


def test_with_every_source_of_error_off_the_survey_is_the_census(market):
    chosen = np.arange(100, 4100)
    work = interview(market, chosen, wave=1, **OFF)
    census = market.answers(1).iloc[chosen - 1].reset_index(drop=True)
    contact = market.register["contact"].iloc[chosen - 1].to_numpy()
    without = [item for item in market.items if item != "PQ5"]
    pd.testing.assert_frame_equal(work.answers[without], census[without])
    assert (work.answers["PQ5"][~contact] == 99).all()
    assert (work.answers["PQ5"][contact] == census["PQ5"][contact]).all()
    assert len(market.survey(chosen, wave=1, **OFF)) == len(chosen)


def test_each_source_of_error_can_be_switched_off_without_touching_the_others(market):
    chosen = np.arange(1, 3001)
    full = interview(market, chosen)
    careful = interview(market, chosen, careless=0.0)
    assert list(full.answers["customer"]) == list(careful.answers["customer"])
    same = (full.key["careless"] == "careful").to_numpy()
    pd.testing.assert_frame_equal(full.answers[same], careful.answers[same])
    everybody = interview(market, chosen, nonresponse=False).answers.set_index("customer").drop(columns="id")
    some = full.answers.set_index("customer").drop(columns="id")
    pd.testing.assert_frame_equal(everybody.loc[some.index], some)


def test_careless_respondents_are_as_many_as_stated_and_show(market):
    work = interview(market, np.arange(1, 20_001), nonresponse=False, item_missing=0.0)
    stated = market.parameters["survey"]["careless"]
    careless = (work.key["careless"] != "careful").to_numpy()
    se = np.sqrt(stated["share"] * (1 - stated["share"]) / 20_000)
    assert careless.mean() == pytest.approx(stated["share"], abs=BAND * se)
    counts = work.key["careless"][careless].value_counts()
    expected = pd.Series(dict(stated["kinds"])) * counts.sum()
    assert stats.chisquare(counts[expected.index], expected).pvalue > 1e-4
    items = work.answers[[item for item in market.items if item != "PQ5"]]
    assert (items.std(axis=1)[(work.key["careless"] == "straight").to_numpy()] == 0).all()
    seconds = work.answers["seconds"].groupby(work.key["careless"]).median()
    assert seconds["speeder"] < seconds["careful"] / 3
    assert work.answers["seconds"].min() >= 20


def gaps_of(market, seed=2, share=None, **changes):
    """Cells left open by all customers, who answer SAT1 as in the census; some parameters replaced."""
    survey = truth.plain(market.parameters["survey"])
    survey["item_missing"] |= changes
    overall = market.answers(3)["SAT1"].to_numpy()
    return nonresponse.gaps(
        market.register, market.responses(3), overall, market.items, survey, np.random.default_rng(seed), share
    )


def test_cannot_say_is_as_frequent_as_the_gamma_logit_says(market):
    """Expected share of an item: mean of g o f / (1 + g o f) over the gamma distribution of persons."""
    stated = market.parameters["survey"]["item_missing"]
    register = market.register
    cells = gaps_of(market)
    person = stats.gamma(stated["shape"], scale=1 / stated["shape"])
    old, year = register["age_group"] == "50+", register["tenure_months"] < 12
    overall = market.answers(3)["SAT1"]
    assert not cells[:, market.items.index("SAT1")].any()
    for item in ("EXP1", "SAT4"):
        share = stated["share"].get(item, stated["share"]["default"])
        for group, factor in (
            (~old & ~year & register["contact"] & (overall == 7), 1.0),
            (old & ~year & register["contact"] & (overall == 7), stated["mar"]["age_50"]),
            (~old & ~year & ~register["contact"] & (overall == 7), stated["mar"]["no_contact"]),
            (~old & year & register["contact"] & (overall == 7), stated["mar"]["first_year"]),
            (~old & ~year & register["contact"] & (overall == 4), stated["mar"]["overall_point"] ** -3),
        ):
            odds = (1.0 if item == "EXP1" else factor) * share / (1 - share)
            expected = integrate.quad(lambda u, o=odds: (g := o * person.ppf(u)) / (1 + g), 0, 1)[0]
            found = cells[group.to_numpy(), market.items.index(item)]
            assert found.mean() == pytest.approx(expected, abs=BAND * np.sqrt(expected / len(found)))
    assert not gaps_of(market, share=0.0).any()


def test_gaps_are_mcar_mar_and_mnar_where_that_is_stated(market):
    """Logit of a gap on age, contact, tenure, SAT1 and the own response; without the person part it is the model."""
    stated = market.parameters["survey"]["item_missing"]
    # A large shape takes the differences between persons away; ten times the share makes the gaps easy to count.
    cells = gaps_of(market, share=0.1, shape=1e6)
    register = market.register
    x = np.column_stack(
        [
            np.ones(N),
            register["age_group"] == "50+",
            ~register["contact"],
            register["tenure_months"] < 12,
            market.answers(3)["SAT1"] - stated["overall_at"],
        ]
    ).astype(float)
    factors = [stated["mar"][name] for name in ("age_50", "no_contact", "first_year", "overall_point")]
    responses = dict(zip(market.items, market.responses(3), strict=True))
    for item in ("EXP2", "IMG1", "LOY3", "VAL3"):
        wanted = [0.0] * 4 if item in stated["mcar"] else list(np.log(factors))
        wanted.append(stated["mnar"].get(item, 0.0))
        full = np.column_stack([x, responses[item]])
        y = cells[:, market.items.index(item)].astype(float)
        b = np.zeros(full.shape[1])
        for _ in range(12):
            p = 1 / (1 + np.exp(-(full @ b)))
            information = (full.T * (p * (1 - p))) @ full
            b = b + np.linalg.solve(information, full.T @ (y - p))
        z = (b[1:] - wanted) / np.sqrt(np.diag(np.linalg.inv(information)))[1:]
        assert np.abs(z).max() < BAND, (item, z)


def test_em_mends_what_is_missing_at_random_and_not_what_hides_itself(market):
    """Complete cases are too content; EM given what is observed is not, but for LOY3 and VAL3 with the stated signs."""
    settings = {name: value for name, value in OFF.items() if name != "item_missing"}
    answers = interview(market, np.arange(1, N + 1), **settings).answers
    items = [item for item in market.items if item != "PQ5"]
    x = answers[items].where(answers[items] < 90).astype(float)
    x["old"] = (answers["age_group"] == "50+").astype(float)
    x["contact"] = market.register["contact"].to_numpy(float)
    x["year"] = (answers["tenure_months"] < 12).astype(float)
    census = market.answers(3)[items]
    complete = x.dropna()[items].mean() - census.mean()
    mended = pd.Series(csi.cleaning.em(x).mean, index=x.columns)[items] - census.mean()
    gaps = x[items].isna().mean()
    # What is filled in is at most as uncertain as an answer drawn anew.
    band = BAND * census.std() * np.sqrt(gaps / N) + 1e-9
    hidden = ["LOY3", "VAL3"]
    assert (mended.drop(hidden).abs() < band.drop(hidden)).all()
    assert (complete > 0.03).all()
    assert mended["LOY3"] > 2 * band["LOY3"] / BAND
    assert mended["VAL3"] < -2 * band["VAL3"] / BAND


def test_about_22_percent_leave_a_question_open_and_the_written_survey_agrees(market):
    items = [item for item in market.items if item != "PQ5"]
    answers = interview(market, np.arange(1, N + 1)).answers[items]
    expected = (answers == 98).any(axis=1).mean()
    assert 0.20 < expected < 0.24
    survey = pd.read_csv(BROADBAND / "survey.csv")[items]
    found = (survey == 98).any(axis=1)
    assert found.mean() == pytest.approx(expected, abs=BAND * found.std() / np.sqrt(len(found)))


def test_some_speeders_need_less_than_two_seconds_an_item_and_nobody_else_does(market):
    work = interview(market, np.arange(1, 20_001), nonresponse=False)
    fast = (work.answers["seconds"] < 2 * len(market.items)).to_numpy()
    speeder = (work.key["careless"] == "speeder").to_numpy()
    assert 0.1 < fast[speeder].mean() < 0.8
    assert not fast[~speeder].any()
    survey = csi.load_survey("broadband")
    found = csi.cleaning.seconds_per_item(survey, "seconds")
    assert found.table["flagged"].sum() >= 5


def test_interviewers_shift_answers_by_the_stated_spread(market):
    work = interview(market, np.arange(1, 12_001), nonresponse=False)
    stated = market.parameters["survey"]["fieldwork"]
    telephone = (work.answers["mode"] == "telephone").to_numpy()
    shift = work.key["shift"].groupby(work.answers["interviewer"].where(telephone)).agg(["nunique", "first"])
    assert (shift["nunique"] == 1).all()
    assert (work.key["shift"][~telephone] == 0).all()
    assert (work.answers["interviewer"][~telephone] == "").all()
    k = stated["interviewers"]
    assert len(shift) == k
    low, high = np.sqrt(stats.chi2(k - 1).ppf([1e-5, 1 - 1e-5]) / (k - 1)) * stated["interviewer_sd"]
    assert low < shift["first"].std() < high
    assert shift["first"].mean() == pytest.approx(stated["mode_effect"], abs=BAND * stated["interviewer_sd"] / k**0.5)


def test_only_those_who_complained_rate_the_handling(market):
    answers = interview(market, np.arange(1, 4001)).answers
    yes = answers["CP1"] == "yes"
    assert set(answers["CP1"]) == {"yes", "no"}
    assert answers["CP2"][yes].between(1, 10).all()
    assert answers["CP2"][~yes].isna().all()
    assert (answers["OP1"] != "").mean() == pytest.approx(0.45, abs=0.06)


def test_complaints_are_recorded_or_not_by_the_stated_share(market):
    """Three customers worked out by hand; of all customers 1 - exp(-rate / p_recorded) say yes."""
    rules = market.parameters["complaints"]
    recorded = iceberg.recorded_in_a_year(
        pd.DataFrame({"faults": [0, 0, 4], "tenure_months": [60, 3, 60]}),
        np.arange(3),
        np.array(["2025-03-15"] * 3, dtype="datetime64[D]"),
        Opinions({2024: np.array([0.0, 0.0, -1.0]), 2025: np.array([0.0, 0.0, 1.0])}),
        rules,
    )
    rate, b = rules["rate"] / 1000, rules["customer"]
    part = (np.datetime64("2025-03-15") - np.datetime64("2025-01-01")).astype(int) / 365
    third = part * np.exp(b["satisfaction"]) + (1 - part) * np.exp(-b["satisfaction"])
    assert recorded == pytest.approx([rate, rate / 4, rate * third * 5 ** b["faults"]], rel=1e-12)

    chosen = np.arange(1, N + 1)
    work = interview(market, chosen, nonresponse=False)
    found = (work.answers["CP1"] == "yes").to_numpy()
    expected = iceberg.recorded_in_a_year(
        market.register,
        np.arange(N),
        work.answers["date"].to_numpy().astype("datetime64[D]"),
        opinions(market),
        rules,
    )
    chance = iceberg.unrecorded_chance(expected, rules, register=False)
    assert found.mean() == pytest.approx(chance.mean(), abs=BAND * np.sqrt((chance * (1 - chance)).sum()) / N)
    partly = iceberg.unrecorded_chance(expected, rules, register=True)
    both = 1 - (1 - partly) * np.exp(-expected)
    assert chance == pytest.approx(both, rel=1e-9)


def test_operator_c_falls_and_rises_in_complaints_as_in_satisfaction(market):
    """Complaints by operator and year fit the opinions of that year: wave 2 in 2024, wave 3 in 2025."""
    rules = truth.plain(market.parameters["complaints"])
    rules["rate"], rules["faults"]["serial"]["share"] = 300.0, 0.0
    old = market.register.assign(tenure_months=60)
    found = arrivals(old, opinions(market), rules, np.random.default_rng(4))
    found = found[found["fault"] == ""]
    year, operator = found["received"].dt.year, market.register["operator"].to_numpy()[found["person"]]
    counts = found.groupby([year.to_numpy(), operator]).size()
    rates = daily_rates(rules, 1)
    expected, backwards = [], []
    for y, name in counts.index:
        who = (market.register["operator"] == name).to_numpy()
        one = rates[rates.index.year == y].sum()
        for table, wave in ((expected, y - 2022), (backwards, 3)):
            score = market.latent_in(wave)["SAT"][who]
            table.append(one * customer_rates(market.register["faults"][who], score, rules).sum())
    statistic = [((counts - table) ** 2 / table).sum() for table in (np.array(expected), np.array(backwards))]
    assert stats.chi2.sf(statistic[0], len(counts)) > 1e-3
    assert stats.chi2.sf(statistic[1], len(counts)) < 1e-6
    ratio = (counts[2024, "C"] / counts[2024, "A"]) / (counts[2025, "C"] / counts[2025, "A"])
    assert np.log(ratio) > 3 * np.sqrt((1 / counts[[(2024, "C"), (2024, "A"), (2025, "C"), (2025, "A")]]).sum())


# ------------------------------------------------------------------------------------------------- samples and panel


def test_two_stage_weights_are_unbiased_also_for_a_town_drawn_twice():
    rng = np.random.default_rng(8)
    sizes = {("p1", "a"): 500, ("p1", "b"): 60, ("p1", "c"): 40, ("p1", "d"): 8, ("p2", "e"): 90, ("p2", "f"): 110}
    rows = [(p, t) for (p, t), size in sizes.items() for _ in range(size)]
    register = pd.DataFrame(rows, columns=["province", "town"])
    register["customer"] = np.arange(1, len(register) + 1)
    y = pd.Series(
        register["town"].map(dict(zip("abcdef", (5, 1, 9, 30, 2, 4), strict=True))) + rng.normal(size=len(rows))
    )
    y.index = register["customer"]
    estimates = []
    for _ in range(200):
        sample = draw.two_stage(register, towns=3, issued=20, rng=rng)
        assert not sample["customer"].duplicated().any()
        assert sample["base_weight"].sum() == pytest.approx(len(register))
        estimates.append((sample["base_weight"] * y[sample["customer"]].to_numpy()).sum())
    assert np.mean(estimates) == pytest.approx(y.sum(), abs=BAND * np.std(estimates) / np.sqrt(200))


def test_committed_weights_add_up_to_the_customers_of_operator_and_province():
    survey, totals = pd.read_csv(BROADBAND / "survey.csv"), pd.read_csv(BROADBAND / "totals.csv")
    found = survey.groupby(["operator", "province"])["weight"].sum()
    known = totals.groupby(["operator", "province"])["customers"].sum()
    assert (found - known).abs().max() < 1e-3
    assert known.sum() == 200_000


def test_panel_overlaps_by_the_stated_share(small):
    table = panel(small, customers=200, overlap=0.6)
    groups = {wave: set(part["customer"]) for wave, part in table.groupby("wave")}
    assert all(len(groups[wave]) == 200 for wave in range(4))
    assert [len(groups[w] & groups[w + 1]) for w in range(3)] == [120, 120, 120]
    asked: set[int] = set()
    for wave in range(4):
        fresh = groups[wave] - groups.get(wave - 1, set())
        assert fresh.isdisjoint(asked)
        asked |= groups[wave]
    counted = table.sort_values("wave").groupby("customer").cumcount() + 1
    assert (table["times"] == counted.reindex(table.index)).all()
    census = small.answers(2)["SAT1"]
    part = table[table["wave"] == 2]
    assert list(part["SAT1"]) == list(census[part["customer"] - 1])


# ------------------------------------------------------------------------------------------------------ random streams


def test_the_same_seed_gives_the_same_market_and_another_seed_another():
    first, again, other = (csi.simulate.make_market(customers=800, rng=seed) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(first.register, again.register)
    pd.testing.assert_frame_equal(first.answers(3), again.answers(3))
    assert not first.answers(3).equals(other.answers(3))
    generator = csi.simulate.make_market(customers=800, rng=np.random.default_rng(5))
    pd.testing.assert_frame_equal(
        generator.register, csi.simulate.make_market(customers=800, rng=np.random.default_rng(5)).register
    )


def test_a_market_can_be_sent_to_another_process():
    market = csi.simulate.make_market({"market": {"paths": {"LOY": {"SAT": 0.5}}}}, customers=300, rng=5)
    sent = pickle.loads(pickle.dumps(market))
    pd.testing.assert_frame_equal(sent.answers(2), market.answers(2))
    assert sent.parameters["market"]["paths"]["LOY"]["SAT"] == 0.5


def test_what_was_asked_before_changes_nothing():
    one, other = (csi.simulate.make_market(customers=3000, rng=9) for _ in range(2))
    late = one.answers(3)
    other.survey(np.arange(1, 500), wave=1)
    panel(other, customers=50)
    pd.testing.assert_frame_equal(late, other.answers(3))


def test_a_new_table_changes_no_other(small, monkeypatch):
    monkeypatch.setattr(assembly, "ROOMS", ())
    without = assembly.tables(small)

    def extra(market, room, made=None):
        return {"extra": pd.DataFrame({"x": child(market.seed, room).random(3)})}

    monkeypatch.setattr(assembly, "ROOMS", ("extra",))
    monkeypatch.setattr(assembly, "room_tables", extra)
    fresh = csi.simulate.make_market(customers=5000, rng=3)
    having = assembly.tables(fresh)
    assert set(having) == {*without, "extra"}
    assert all(csv_text(having[name]) == csv_text(without[name]) for name in without)


def test_sizes_are_adjustable(monkeypatch):
    monkeypatch.setattr(assembly, "ROOMS", ())
    changes = {
        "survey": {"design": {"towns": 4, "issued": 60}, "panel": {"customers": 50}, "frame": {"customers": 700}}
    }
    made = assembly.tables(csi.simulate.make_market(changes, customers=12_000, rng=2))
    assert made["issued"].groupby("province")["town"].nunique().max() <= 4
    assert len(made["panel"]) == 200
    assert len(made["frame"]) == 700


# ------------------------------------------------------------------------------------------------------ files and CLI


@pytest.fixture(scope="module")
def rewritten(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broadband") / "market"
    write(csi.simulate.make_market(), folder, register=None)
    return folder


def test_committed_files_are_those_of_the_default_seed(rewritten):
    written = {path.name: path.read_bytes() for path in rewritten.iterdir()}
    committed = {path.name: path.read_bytes() for path in BROADBAND.iterdir() if path.name != "README.md"}
    assert set(written) == set(committed)
    differing = [name for name in written if written[name] != committed[name]]
    assert not differing, "write them again: csi-lab simulate --out DIR, and copy all but the register"


def test_committed_files_are_small():
    assert sum(path.stat().st_size for path in BROADBAND.iterdir()) < 8e6


def test_codebook_says_what_every_column_means(market):
    book = pd.read_csv(BROADBAND / "codebook.csv")
    assert set(book["table"]) == {path.stem for path in BROADBAND.glob("*.csv")} - {"codebook"} | {"register"}
    unexplained = book[book["en"].isna() | book["zh"].isna()]
    assert unexplained.empty, unexplained[["table", "column"]].to_string()


def test_the_card_leads_from_the_names_of_the_course_to_files_and_its_changes_of_the_truth_are_possible(tmp_path):
    card = (BROADBAND / "README.md").read_text(encoding="utf-8")
    english, chinese = card.split("# 数据说明")
    names = ["ccsi", "panel", "frame", "firm", "journey", "shop", "kano", "servqual", "complaints", "fg"]
    for name in names:
        (line,) = (row for row in english.splitlines() if row.startswith(f"| `{name}_sim` |"))
        files = re.findall(r"`([a-z_]+\.(?:csv|yaml))`", line.split("|")[2])
        assert files
        assert all((BROADBAND / file).is_file() for file in files)
        assert f"`{name}_sim`" in chinese
    tables = {path.name for path in BROADBAND.glob("*.csv")} - {"codebook.csv"}
    assert all(f"`{table}`" in english for table in tables)
    (tmp_path / "changes.yaml").write_text(re.search(r"```yaml\n(.*?)```", card, re.DOTALL)[1], encoding="utf-8")
    assert len(csi.simulate.make_market(tmp_path / "changes.yaml", customers=300, rng=1).register) == 300


def test_the_study_loads_with_its_design_and_hostile_answers():
    survey = csi.load_survey("broadband")
    assert survey.design == csi.Design(weights="weight", strata="province", psu="town")
    assert len(survey.items) == 23
    assert len(survey.model.items) == 22  # PQ5, not asked of all, stands outside
    assert survey.model.paths == csi.models["CCSI"].paths
    assert 2200 < len(survey.frame) < 2600
    hostile = set(truth.load("survey")["open_answers"]["hostile"])
    assert len(hostile & set(survey.frame["OP1"].dropna())) >= 4
    assert {"A", "B", "C"} == set(survey.frame["operator"])


def test_written_truth_holds_parameters_and_census_values():
    written = yaml.safe_load((BROADBAND / "truth.yaml").read_text(encoding="utf-8"))
    assert written["parameters"] == truth.plain(truth.parameters())
    census = written["census"]
    assert set(census["index"][3]) == {"A", "B", "C", "all"}
    weights = pd.read_csv(BROADBAND / "totals.csv").groupby("operator")["customers"].sum() / 200_000
    mean = sum(weights[name] * census["index"][3][name]["SAT"] for name in "ABC")
    assert census["index"][3]["all"]["SAT"] == pytest.approx(mean, abs=1e-3)


def test_written_truth_has_the_index_of_the_study_its_weights_and_the_bias_by_source():
    census = yaml.safe_load((BROADBAND / "truth.yaml").read_text(encoding="utf-8"))["census"]
    assert census["index_study"]["all"]["Quality"] == pytest.approx(70.07, abs=0.005)
    assert census["index_study"]["all"]["Satisfaction"] == census["index"][3]["all"]["SAT"]
    assert 0 < census["index_study"]["all"]["Staff"] - census["index_study"]["all"]["Quality"] < 10
    for weights in census["outer_weights_pls"].values():
        assert sum(weights.values()) == pytest.approx(1, abs=3e-4)
    bias = {source: table["Satisfaction"] for source, table in census["survey_bias"].items()}
    assert bias["nonresponse"]["bias"] > 1  # the content answer
    assert bias["careless"]["bias"] < 0  # guesses lie nearer to the middle
    assert bias["mode"]["bias"] > 0  # kinder to a voice
    assert bias["complete_cases"]["bias"] > 5 * bias["complete_cases"]["se"]  # the discontent leave gaps
    card = (BROADBAND / "README.md").read_text(encoding="utf-8")
    assert f"satisfaction index by {bias['complete_cases']['bias']:.1f} points" in card
    assert f"besides {bias['nonresponse']['bias']:.1f} points by refusals" in card
    assert f"`weight` {1 / truth.load('complaints')['part']['others']:.6f}" in card
    loyalty = census["survey_bias"]["available_answers"]["Loyalty"]
    assert loyalty["bias"] > 5 * loyalty["se"]  # those who would leave do not say so
    expectation = census["survey_bias"]["available_answers"]["Expectation"]
    assert abs(expectation["bias"]) < BAND * expectation["se"]  # missing completely at random


def test_bias_by_source_is_what_interviews_of_everybody_find(market):
    """Independent way: interviews of the whole market with one source of error at a time, other random numbers."""
    blocks = {"Satisfaction": ["SAT1", "SAT2", "SAT3", "SAT4"], "Loyalty": ["LOY1", "LOY2", "LOY3"]}
    items = [item for block in blocks.values() for item in block]
    found = survey_bias(market, blocks, 3)
    everybody = np.arange(1, N + 1)
    census = market.answers(3)

    def index(answers):
        return pd.Series({c: 100 * (answers[b].to_numpy(float).mean() - 1) / 9 for c, b in blocks.items()})

    def spread(answers, n):
        return pd.Series({c: (100 * (answers[b].mean(axis=1) - 1) / 9).std() for c, b in blocks.items()}) / np.sqrt(n)

    for source, setting in (("careless", "careless"), ("mode", "mode_effect"), ("complete_cases", "item_missing")):
        settings = {name: value for name, value in OFF.items() if name != setting}
        answers = interview(market, everybody, rng=77, **settings).answers
        given = answers[items].where(answers[items] < 90).dropna()
        bias = index(given) - index(census)
        se = np.sqrt(2) * spread(given, N) * (np.sqrt(1 - len(given) / N) if source == "complete_cases" else 0.4)
        assert ((bias - found[source]["bias"]).abs() < BAND * se).all(), source
    chance = nonresponse.response_probability(
        market.register, market.latent_in(3)["SAT"].to_numpy(), market.parameters["survey"]
    )
    chance = np.where(market.register["phone"] | market.register["email"], chance, 0)
    cells = market.register.groupby(["operator", "province"]).indices.values()
    expected = sum(len(r) / N * np.average(census["SAT1"].to_numpy()[r], weights=chance[r]) for r in cells)
    single = survey_bias(market, {"One": ["SAT1"]}, 3)["nonresponse"]["bias"]["One"]
    assert single == pytest.approx(100 * (expected - census["SAT1"].mean()) / 9, rel=1e-9)
    shifted = market.responses(3) + mode_and_interviewer(market, 3).astype(np.float32)
    given = pd.DataFrame(
        answering.categories(shifted, answering.thresholds(market.parameters["market"])), columns=market.items
    )
    assert (index(given) - index(census)).to_numpy() == pytest.approx(found["mode_and_interviewers"]["bias"], abs=1e-9)


def test_the_written_survey_misses_the_census_by_the_stated_bias():
    """Complete cases with weights, equal weights of the items; the band is the design-based standard error."""
    survey = csi.load_survey("broadband")
    census = yaml.safe_load((BROADBAND / "truth.yaml").read_text(encoding="utf-8"))["census"]
    items = list(survey.model.items)
    frame = pd.read_csv(BROADBAND / "survey.csv")
    frame = frame[(frame[items] < 90).all(axis=1)].reset_index(drop=True)
    for name in ("Satisfaction", "Quality", "Loyalty"):
        block = list(survey.model.constructs[name])
        frame["index"] = 100 * (frame[block].mean(axis=1) - 1) / 9
        found = csi.sampling.estimate.mean(frame, "index", survey.design)
        bias = census["survey_bias"]["all"][name]["bias"]
        assert found.value - census["index_study"]["all"][name] == pytest.approx(bias, abs=BAND * found.se)
        assert found.se < 1


def test_written_firms_are_the_operators_of_the_market():
    firms = pd.read_csv(BROADBAND / "firms.csv").set_index(["year", "firm"])
    index = yaml.safe_load((BROADBAND / "truth.yaml").read_text(encoding="utf-8"))["census"]["index"]
    for wave, year in enumerate((2022, 2023, 2024, 2025)):
        for name in "ABC":
            assert firms.loc[(year, name), "csi"] == pytest.approx(index[wave][name]["SAT"], abs=0.0051)
    for year in range(2018, 2026):
        assert firms.loc[(year, "A"), "sales"] > firms.loc[(year, "B"), "sales"] > firms.loc[(year, "C"), "sales"]
    frame, totals = pd.read_csv(BROADBAND / "frame.csv"), pd.read_csv(BROADBAND / "totals.csv")
    customers = totals.groupby("operator")["customers"].sum()
    yearly = 12e-6 * customers * frame.groupby("operator")["spend"].mean()
    # Shock and error of the year have standard deviations of .02 and .05.
    assert (np.log(firms.loc[2025, "sales"][["A", "B", "C"]] / yearly).abs() < 3 * np.hypot(0.02, 0.05)).all()


def test_written_forms_share_half_their_customers_with_the_survey():
    survey = set(pd.read_csv(BROADBAND / "survey.csv", usecols=["customer"])["customer"])
    for name in ("kano", "servqual", "journey_remembered"):
        table = pd.read_csv(BROADBAND / f"{name}.csv")
        assert table["customer"].isin(survey).mean() == 0.5
        assert (table["customer"].isin(survey) == (table["in_sample"] == 1)).all()


def test_written_complaints_hold_every_case_of_the_sampled_and_stand_for_all():
    cases = pd.read_csv(BROADBAND / "complaints.csv")
    days = pd.read_csv(BROADBAND / "complaint_days.csv")
    assert 4000 < len(cases) < 8000
    asked: set[int] = set()
    for name in ("survey", "panel", "kano", "servqual", "journey", "focus_groups"):
        asked |= set(pd.read_csv(BROADBAND / f"{name}.csv", usecols=["customer"])["customer"])
    assert (cases["customer"].isin(asked) == (cases["part"] == "sampled")).all()
    share = truth.load("complaints")["part"]["others"]
    # Variance of a total over customers drawn independently, with the cases of a customer (or ring) together.
    size = cases[cases["part"] == "other"].groupby("customer").size()
    se = np.sqrt((1 - share) / share**2 * (size**2).sum())
    assert cases["weight"].sum() == pytest.approx(days["cases"].sum(), abs=1.5 * BAND * se)
    behaviour = pd.read_csv(BROADBAND / "behaviour.csv")
    others = behaviour[behaviour["in_sample"] == 0]
    assert set(others["customer"]) <= set(cases["customer"])
    assert (others["complaint"] != "none").all()


# ------------------------------------------------------------------------------------------------ survey as returned


@pytest.fixture(scope="module")
def raw():
    table = pd.read_csv(BROADBAND / "survey_raw.csv", keep_default_na=False, na_values=[""], dtype={"age": str})
    faults = pd.read_csv(BROADBAND / "survey_raw_faults.csv", keep_default_na=False, na_values=[""], dtype=str)
    return table, faults.astype({"row": int})


def test_raw_survey_without_its_faults_is_the_clean_one(raw):
    table, faults = raw
    assert (BROADBAND / "survey_raw.csv").stat().st_size < 500_000
    again = faults["column"].isna()
    mended = table.astype(object)
    for row, column, found, true in faults.loc[~again, ["row", "column", "returned", "true"]].itertuples(index=False):
        now = mended.at[row - 1, column]
        assert (pd.isna(now) and pd.isna(found)) or str(now).removesuffix(".0") == found
        mended.at[row - 1, column] = np.nan if pd.isna(true) else true if column in ("age", "date") else float(true)
    mended = mended.drop(index=faults.loc[again, "row"] - 1)
    clean = pd.read_csv(BROADBAND / "survey.csv", keep_default_na=False, na_values=[""])
    same = [column for column in table if column != "age"]
    assert len(mended) == len(clean)
    for column in same:
        left, right = mended[column].to_numpy(object), clean[column].to_numpy(object)
        assert ((left == right) | (pd.isna(left) & pd.isna(right))).all(), column
    ages = mended["age"].astype(int).to_numpy()
    for group, (low, high) in truth.load("survey")["raw"]["ages"].items():
        assert ((ages >= low) & (ages <= high))[(clean["age_group"] == group).to_numpy()].all()


def test_cleaning_tools_find_exactly_the_faults_of_the_raw_survey(raw):
    table, faults = raw
    items = [column for column in table if column[:3] in ("IMG", "EXP", "VAL", "SAT", "LOY") or column[:2] == "PQ"]
    rows = {fault: set(part["row"] - 1) for fault, part in faults.groupby("fault")}
    origin = {f: set(part["true"].astype(int) - 1) for f, part in faults[faults["column"].isna()].groupby("fault")}
    answers = table[items].replace([98, 99], np.nan)
    flagged = csi.cleaning.out_of_range(answers, bounds=(1, 10)).table["flagged"]
    assert set(np.flatnonzero(flagged)) == rows["out_of_range"]
    flagged = csi.cleaning.duplicate_ids(table, "id").table["flagged"]
    assert set(np.flatnonzero(flagged)) == rows["sent_twice"] | origin["sent_twice"]
    flagged = csi.cleaning.duplicate_ids(table, "customer").table["flagged"]
    twice = rows["sent_twice"] | rows["asked_twice"]
    assert set(np.flatnonzero(flagged)) == twice | origin["sent_twice"] | origin["asked_twice"]
    wrong = ((table["CP1"] == "no") & table["CP2"].notna()) | ((table["CP1"] == "yes") & table["CP2"].isna())
    assert set(np.flatnonzero(wrong)) == rows["routing"] | rows["routing_open"]
    number = pd.to_numeric(table["age"], errors="coerce")
    assert set(np.flatnonzero(number.isna())) == rows["age_text"]
    assert set(np.flatnonzero((number < 18) | (number > 120))) == rows["age_impossible"]
    assert set(np.flatnonzero(~table["date"].str.startswith("2025"))) == rows["wrong_date"]


def test_faults_of_the_raw_survey_are_as_many_as_stated(raw):
    stated, counts = truth.load("survey")["raw"], raw[1]["fault"].value_counts()
    n = len(pd.read_csv(BROADBAND / "survey.csv", usecols=["id"]))
    assert set(counts.index) == set(stated) - {"ages", "days_between", "impossible_ages"}
    for fault, share in stated.items():
        if fault in counts:
            assert counts[fault] == round(share * n)
    # One fault at most per interview.
    own = raw[1]
    touched = pd.concat([own.loc[own["column"].notna(), "row"], own.loc[own["column"].isna(), "true"].astype(int)])
    assert touched.is_unique


def test_command_writes_a_study_that_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "ROOMS", ())
    out = tmp_path / "mine"
    arguments = ["simulate", "--seed", "4", "--customers", "9000", "--register", "parquet", "--out", str(out)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert len(pd.read_parquet(out / "register.parquet")) == 9000
    assert {f"{name}.csv" for name in OWN} < {path.name for path in out.iterdir()}
    assert len(csi.load_survey(out).frame) > 500
    assert list(tmp_path.iterdir()) == [out]
    assert b"\r" not in (out / "survey.csv").read_bytes()


def test_nothing_is_written_into_a_folder_that_is_not_empty(small, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(SpecError, match="not an empty folder"):
        write(small, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failed_run_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match=r"(?s)too small.*make it larger.*nobody in the sample"):
        write(csi.simulate.make_market(customers=60, rng=1), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_codebook_tells_types_codes_and_gaps():
    table = pd.DataFrame(
        {"PQ5": np.array([1, 98, 99], np.int8), "CP1": ["yes", "", "no"], "urban": [True, False, True]}
    )
    book = codebook({"survey": table}).set_index("column")
    assert book.loc["PQ5", "values"] == "1 to 1; 98 cannot say; 99 not asked"
    assert book.loc["CP1", "values"] == "no | yes or empty"
    assert book.loc["urban", "type"] == "yes/no"


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"market": {"pathes": {}}}, "did you mean 'paths'"),
        ({"markt": {}}, "did you mean 'market'"),
        ({"market": {"paths": {"LOY": {"SAT": "high"}}}}, "must be a number"),
        ({"market": {"paths": {"LOY": {"SAT": 1.4}}}}, "explain .* of the variance 1 of LOY"),
        ({"market": {"items": {"SAT1": {"mean": 11}}}}, "SAT1.*between 1 and 10"),
        ({"market": {"items": {"SAT1": {"loading": 1.2}}}}, "SAT1.*between -1 and 1"),
        ({"market": {"waves": {"change": {0: {"PQ": 0.1}}}}}, "base wave cannot change"),
        ({"market": {"waves": {"operator_change": {1: {"D": {"PQ": 0.1}}}}}}, r"no operators \['D'\]"),
        ({"market": {"waves": {"operator_change": {1: {"A": {"QP": 0.1}}}}}}, r"no constructs \['QP'\]"),
        ({"survey": {"careless": {"share": -0.1}, "panel": {"overlap": 2}}}, "2 problems"),
        ({"survey": {"design": {"towns": 2.5}}}, "not a whole number"),
        ({"survey": {"design": {"wave": 7}}}, "not one of the waves"),
        ({"market": {"paths": {"LOY": {"SAT": float("nan")}}}}, "LOY: SAT: nan is not a finite number"),
        ({"market": {"effects": {"town_sd": {"IMG": -0.2}}}}, "IMG: -0.2 is not 0 or more"),
        ({"market": {"items": {"SAT1": {"mean": 9.9999}}}}, "SAT1.*too near to an end of the scale"),
        ({"market": {"people": {"plan": {"100M": 0.9}}}}, "plan: the shares add up to 1.6, not to 1"),
        ({"market": {"operators": {"A": {"share": 0.0}}}}, "operators: the shares add up to 0.55"),
        ({"market": {"provinces": {"p1": {"towns": 2.5}}}}, "p1: towns: 2.5 is not a whole number"),
        ({"market": {"people": {"tenure": {"mean": 1}}}}, "least: 3 is not below 1, market: people: tenure: mean"),
        ({"market": {"people": {"degree": {"sd": 50.0}}}}, "degree: sd: 50.0 is not above 0 and at most 5"),
        ({"market": {"waves": {"years": ["a", "b", "c", "d"]}}}, "(?s)4 problems.*a is not a year"),
        ({"market": {"waves": {"years": [2022, 2022, 2024, 2025]}}}, "does not rise from wave to wave"),
        ({"market": {"waves": {"years": []}}}, "years: the list is empty"),
        ({"market": {"waves": {"change": {4: {"PQ": 0.1}}}}}, "wave 4 has no year"),
        ({"market": {"waves": {"operator_change": {1: {"C": 5}}}}}, "C: 5 cannot stand here"),
        ({"survey": {"response": {"outcomes": {"R": 0, "NC": 0, "O": 0}}}}, "outcomes: the shares add up to 0"),
        ({"survey": {"fieldwork": {"start": "02-29"}}}, "start: 02-29 is not a month and day"),
        ({"survey": {"fieldwork": {"interviewer_sd": -1}}}, "interviewer_sd: -1 is not 0 or more"),
        ({"survey": {"codes": {"cannot_say": 97}}}, "97 is not 98, which the study file names"),
        ({"survey": {"raw": {"out_of_range": 0.9, "routing": 0.5}}}, "add up to 1.428, more than 1"),
        ({"survey": {"raw": {"ages": {"18-24": [24, 18]}}}}, r"18-24: \[24, 18\] does not rise"),
        ({"survey": {"open_answers": {"topics": {"speed": {"item": "ZZ"}}}}}, "there is no item 'ZZ'"),
        ({"survey": {"open_answers": {"hostile": []}}}, "hostile: the list is empty"),
        ({"complaints": {"iceberg": {"p_recorded": 0}}}, "p_recorded: 0 is not above 0"),
        ({"complaints": {"hour": [1, 2]}}, "hour: 2 entries where 24 are needed"),
        ({"complaints": {"channels": {"telephone": -1}}}, "telephone: -1 is not between 0 and 1"),
        ({"complaints": {"emotion": {"cuts": [3, 1, 2]}}}, r"cuts: \[3, 1, 2\] does not rise"),
        ({"complaints": {"repeat": {"after": 30, "within": 1}}}, "after: 30 is not below 1"),
        ({"complaints": {"faults": {"burst": {"province": "p99"}}}}, "province: there is no 'p99'"),
        ({"complaints": {"calendar": {2027: {"holidays": []}}}}, "2027: needs the lists"),
        ({"visits": {"waves": {"dates": ["soon"]}}}, "dates: 0: soon is not a date"),
        ({"visits": {"link": 3}}, "link: 3 is not between -1 and 1"),
        ({"journey": {"touchpoints": {"bill": {"days": [300]}}}}, "bill: days: 1 entries where 2 are needed"),
        ({"focus_groups": {"languages": ["fr"]}}, "fr is not one of en, zh"),
        ({"behaviour": {"churn": {"loyalty": -500}}}, "loyalty: -500 is not between -20 and 20"),
    ],
)
def test_parameters_that_cannot_be_are_refused(changes, words):
    with pytest.raises(SpecError, match=words):
        csi.simulate.make_market(changes, customers=500, rng=1).answers()


def test_every_parameter_of_the_truth_has_a_range_and_every_range_a_parameter():
    """A parameter that is added later cannot stay unchecked."""
    used = set()
    for name, section in truth.parameters().items():
        for steps, _ in bounds.leaves(section):
            assert bounds.kind_of(name, steps) is not None, (name, steps)
            used |= {(name, p) for places in ranges.PLACES[name].values() for p in places if bounds.matches(steps, p)}
    stated = {(name, p) for name, kinds in ranges.PLACES.items() for places in kinds.values() for p in places}
    assert stated == used
    assert len(stated) == sum(len(places) for kinds in ranges.PLACES.values() for places in kinds.values())


def test_all_problems_of_the_truth_are_named_at_once():
    changes = {
        "market": {"paths": {"LOY": {"SAT": float("inf")}}},
        "survey": {"careless": {"kinds": {"straight": 0.9}}},
        "kano": {"importance_sd": 0},
        "behaviour": {"start": "tomorrow"},
    }
    words = r"(?s)4 problems.*start: tomorrow.*importance_sd: 0.*SAT: inf.*kinds: the shares"
    with pytest.raises(SpecError, match=words) as told:
        csi.simulate.make_market(changes, customers=500, rng=1)
    assert len(told.value.problems) == 4


def test_a_rate_mistyped_by_some_zeros_is_refused_before_it_fills_the_memory():
    market = csi.simulate.make_market({"market": {"people": {"faults": {"mean": 1e9}}}}, customers=2000, rng=1)
    with pytest.raises(SpecError, match=r"cases are to be expected, more than 1,000,000; lower the rate"):
        csi.simulate.complaint_register(market)


def test_waves_and_years_of_the_calendar_can_be_added():
    changes = {
        "market": {"waves": {"years": [2022, 2023, 2024, 2025, 2026], "change": {4: {"IMG": 0.4}}}},
        "complaints": {"calendar": {2027: {"holidays": ["01-01"], "working_weekends": []}}},
    }
    market = csi.simulate.make_market(changes, customers=N, rng=2)
    assert market.waves == (0, 1, 2, 3, 4)
    difference = (market.latent_in(4) - market.latent)["IMG"]
    assert difference.mean() == pytest.approx(0.4, abs=BAND * difference.std() / np.sqrt(N))
    assert total_change(market.parameters["market"]).loc[(4, "A"), "EXP"] == pytest.approx(0.2)


def test_a_market_of_one_operator_in_one_province_without_complaints_is_a_study(tmp_path):
    """Also with a seed longer than a machine word."""
    nobody = {f"p{i}": {"share": 0} for i in range(2, 9)}
    changes = {
        "market": {
            "operators": {"A": {"share": 1}, "B": {"share": 0}, "C": {"share": 0}},
            "provinces": {"p1": {"share": 1}} | nobody,
        },
        "complaints": {
            "rate": 0,
            "shock": {"size": 0},
            "faults": {"burst": {"per_1000": 0}, "campaign": {"per_1000": 0}},
        },
        "visits": {"outlets": 20},
    }
    market = csi.simulate.make_market(changes, customers=6000, rng=10**40)
    assert str(market).startswith("6,000 customers in 1 province and ")
    write(market, tmp_path / "one", register=None)
    survey = csi.load_survey(tmp_path / "one")
    assert set(survey.frame["operator"]) == {"A"}
    assert len(pd.read_csv(tmp_path / "one" / "complaints.csv")) == 0
    assert pd.read_csv(tmp_path / "one" / "complaint_days.csv")["cases"].sum() == 0
    assert (pd.read_csv(tmp_path / "one" / "survey.csv")["CP1"] == "no").all()
    assert (pd.read_csv(tmp_path / "one" / "behaviour.csv")["complaint"] == "none").all()


def test_parameters_are_read_only_and_lists_are_replaced():
    given = truth.parameters({"market": {"waves": {"years": [2030, 2031, 2032, 2033]}}})
    assert given["market"]["waves"]["years"] == (2030, 2031, 2032, 2033)
    assert truth.load("market")["waves"]["years"][0] == 2022
    with pytest.raises(TypeError):
        given["market"]["waves"]["persistence"] = 1.0


def test_a_truth_file_with_a_key_twice_or_a_tag_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("market:\n  paths: {}\n  paths: {}\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"mine.yaml.*twice.*paths"):
        truth.parameters(path)
    with pytest.raises(SpecError, match=r"absent\.yaml: cannot be opened"):
        truth.parameters(tmp_path / "absent.yaml")
    path.write_text("market: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"mine.yaml"):
        truth.parameters(path)
    path.write_text("paths: {LOY: {SAT: 0.4}}\n", encoding="utf-8")
    assert truth.load("market", path)["paths"]["LOY"]["SAT"] == 0.4
    with pytest.raises(SpecError, match="no section"):
        truth.load("marked")


@pytest.mark.parametrize("size", [0, -5, 2.5, True, "many"])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(SpecError, match="whole number"):
        csi.simulate.make_market(customers=size)


def test_a_negative_seed_is_refused():
    with pytest.raises(SpecError, match=r"rng=-1 must be a whole number >= 0"):
        csi.simulate.make_market(customers=10, rng=-1)


def test_a_market_of_one_customer_is_possible():
    assert csi.simulate.make_market(customers=1, rng=1).answers(3).shape == (1, 23)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ([0, 1], "1 are not in the register"),
        ([1, 1, 6000], r"(?s)not in the register.*named more than once"),
        (["x"], "by number"),
        ([], "one or more"),
        ([[1, 2]], "one or more"),
        ([1.5], "not in the register"),
        ([np.nan], "not in the register"),
    ],
)
def test_unknown_customers_are_named(small, chosen, words):
    with pytest.raises(DataError, match=words):
        small.survey(chosen)


def test_a_drawn_sample_is_interviewed_as_its_customers_are(small):
    sample = select.simple_random(small.register, 60, 1)
    for wave in (0, 3):
        pd.testing.assert_frame_equal(
            small.survey(sample, wave=wave), small.survey(sample.frame["customer"], wave=wave)
        )


def test_a_sample_without_customer_column_says_what_is_needed(small):
    with pytest.raises(DataError, match="column 'customer'"):
        small.survey(small.register[["town"]])


@pytest.mark.parametrize(
    "settings", [{"careless": 2}, {"item_missing": -1}, {"interviewer_sd": -0.1}, {"mode_effect": np.inf}]
)
def test_impossible_settings_of_the_fieldwork_are_named(small, settings):
    with pytest.raises(SpecError, match=next(iter(settings))):
        interview(small, [1, 2], **settings)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: csi.simulate.make_market(customers=9, rng=1.5), "rng=1.5 must be a whole number"),
        (lambda m: csi.simulate.make_market([1], customers=9), r"mapping by section or the path.*\[1\]"),
        (lambda m: m.answers(3.0), "no wave 3.0"),
        (lambda m: m.answers(True), "no wave True"),
        (lambda m: m.responses([1]), r"no wave \[1\]"),
        (lambda m: m.survey([1], nonresponse="no"), "nonresponse='no' must be True or False"),
        (lambda m: m.survey([1], careless="some"), "careless='some' must be a finite number"),
        (lambda m: m.survey([1], rng="x"), "rng='x' must be a whole number"),
        (lambda m: m.survey([1], complaints=[1]), "complaints must be a DataFrame, got list"),
        (lambda m: m.survey([1], complaints=pd.DataFrame({"a": [1]})), "customer"),
        (lambda m: panel(m, customers=2.5), "customers=2.5 must be a whole number"),
        (lambda m: panel(m, waves=3), "waves=3: give several"),
        (lambda m: draw.two_stage(m.register, towns=2.5, issued=3, rng=1), "towns=2.5"),
        (lambda m: draw.two_stage(m.register[["customer"]], towns=2, issued=3, rng=1), "province"),
        (lambda m: draw.two_stage(m.register.assign(town=None), towns=2, issued=3, rng=1), r"\['town'\] have gaps"),
        (lambda m: draw.two_stage(m.register.head(0), towns=2, issued=3, rng=1), "no customers"),
        (lambda m: total_change(m.parameters), r"parameters\['market'\]"),
        (total_change, r"parameters\['market'\]"),
        (
            lambda m: nonresponse.response_probability(
                pd.DataFrame({"age_group": ["old"], "urban": [True]}), np.zeros(1), m.parameters["survey"]
            ),
            r"age groups \['old'\]",
        ),
    ],
)
def test_values_of_the_wrong_kind_are_refused_by_name(small, call, words):
    with pytest.raises(CsiLabError, match=words):
        call(small)


def test_a_survey_that_nobody_answers_says_so():
    market = csi.simulate.make_market({"survey": {"response": {"base": -60}}}, customers=6000, rng=1)
    with pytest.raises(DataError, match=r"nobody of \d+ issued customers answers"):
        assembly._latest_survey(market, {})


def test_unknown_waves_and_panels_are_refused(small):
    for call in (small.answers, small.latent_in, small.truth_index, small.responses):
        with pytest.raises(SpecError, match="waves are 0, 1, 2, 3"):
            call(4)
    with pytest.raises(SpecError, match="rising order"):
        panel(small, waves=(3, 1))
    with pytest.raises(SpecError, match="overlap"):
        panel(small, overlap=1.2)
    with pytest.raises(SpecError, match="the market has 5000"):
        panel(small, customers=4000)
    with pytest.raises(SpecError, match="towns=0 must be a whole number of at least 1"):
        draw.two_stage(small.register, towns=0, issued=5, rng=np.random.default_rng(1))


def test_who_is_on_record_with_a_complaint_says_so_in_the_survey():
    """The register of complaints and the survey speak of the same people: CP1 and CP2 follow the recorded case."""
    survey = pd.read_csv(BROADBAND / "survey.csv")
    cases = pd.read_csv(BROADBAND / "complaints.csv", usecols=["customer", "received_at", "sat_outcome"])
    cases["customer"] = pd.to_numeric(cases["customer"], errors="coerce")
    met = survey[["customer", "date", "CP1", "CP2"]].merge(cases.dropna(subset=["received_at"]), on="customer")
    before = pd.to_datetime(met["date"]) - pd.to_datetime(met["received_at"])
    met = met[(before > pd.Timedelta(0)) & (before <= pd.Timedelta(days=365))]
    assert met["customer"].nunique() > 60
    assert 1 / 3 < met["customer"].nunique() / (survey["CP1"] == "yes").sum() < 0.55
    assert (met["CP1"] == "yes").all()
    latest = met.sort_values("received_at").groupby("customer").last().dropna(subset=["sat_outcome"])
    assert (2 * latest["sat_outcome"] - latest["CP2"]).isin([0, 1]).all()
    others = survey[~survey["customer"].isin(met["customer"])]
    assert 0.02 < (others["CP1"] == "yes").mean() < 0.3
