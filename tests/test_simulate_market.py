"""The simulated market keeps what its truth states, and the committed files are what the default seed writes."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import integrate, stats
from typer.testing import CliRunner

import csi_lab as csi
from csi_lab.course.cli import app
from csi_lab.errors import DataError, SpecError
from csi_lab.simulate import answers as answering
from csi_lab.simulate import assembly, draw, nonresponse, truth
from csi_lab.simulate.columns import codebook
from csi_lab.simulate.fieldwork import interview
from csi_lab.simulate.files import csv_text, write
from csi_lab.simulate.latent import CONSTRUCTS, total_change
from csi_lab.simulate.seeds import child
from csi_lab.simulate.waves import panel

BROADBAND = Path(__file__).resolve().parents[1] / "data" / "broadband"
BAND = 4.5  # standard errors; over all comparisons of this file chance leaves it about once in a thousand seeds
N = 40_000
OWN = ("survey", "survey_key", "issued", "panel", "frame", "totals")
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


def test_cannot_say_is_as_frequent_as_the_gamma_logit_says(market):
    """Expected share of an item: mean of g o a / (1 + g o a) over the gamma distribution of persons."""
    stated = market.parameters["survey"]["item_missing"]
    old = (market.register["age_group"] == "50+").to_numpy()
    cells = nonresponse.gaps(old, market.items, market.parameters["survey"], np.random.default_rng(2))
    person = stats.gamma(stated["shape"], scale=1 / stated["shape"])
    for item in ("VAL3", "SAT1"):
        share = stated["share"].get(item, stated["share"]["default"])
        for group, factor in ((~old, 1.0), (old, stated["age_50"])):
            odds = factor * share / (1 - share)
            expected = integrate.quad(lambda u, o=odds: (g := o * person.ppf(u)) / (1 + g), 0, 1)[0]
            found = cells[group, market.items.index(item)]
            assert found.mean() == pytest.approx(expected, abs=BAND * np.sqrt(expected / len(found)))
    assert not nonresponse.gaps(old, market.items, market.parameters["survey"], np.random.default_rng(2), 0.0).any()


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
    ],
)
def test_parameters_that_cannot_be_are_refused(changes, words):
    with pytest.raises(SpecError, match=words):
        csi.simulate.make_market(changes, customers=500, rng=1).answers()


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
    with pytest.raises(SpecError, match="0 or more"):
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


def test_a_sample_without_customer_column_says_what_is_needed(small):
    with pytest.raises(DataError, match="column 'customer'"):
        small.survey(small.register[["town"]])


@pytest.mark.parametrize(
    "settings", [{"careless": 2}, {"item_missing": -1}, {"interviewer_sd": -0.1}, {"mode_effect": np.inf}]
)
def test_impossible_settings_of_the_fieldwork_are_named(small, settings):
    with pytest.raises(SpecError, match=next(iter(settings))):
        interview(small, [1, 2], **settings)


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
    with pytest.raises(SpecError, match="1 or more"):
        draw.two_stage(small.register, towns=0, issued=5, rng=np.random.default_rng(1))


def test_who_is_on_record_with_a_complaint_says_so_in_the_survey():
    """The register of complaints and the survey speak of the same people: CP1 and CP2 follow the recorded case."""
    survey = pd.read_csv(BROADBAND / "survey.csv")
    cases = pd.read_csv(BROADBAND / "complaints.csv", usecols=["customer", "received_at", "sat_outcome"])
    cases["customer"] = pd.to_numeric(cases["customer"], errors="coerce")
    met = survey[["customer", "date", "CP1", "CP2"]].merge(cases.dropna(subset=["received_at"]), on="customer")
    before = pd.to_datetime(met["date"]) - pd.to_datetime(met["received_at"])
    met = met[(before > pd.Timedelta(0)) & (before <= pd.Timedelta(days=365))]
    assert len(met) > 20
    assert (met["CP1"] == "yes").all()
    latest = met.sort_values("received_at").groupby("customer").last().dropna(subset=["sat_outcome"])
    assert (2 * latest["sat_outcome"] - latest["CP2"]).isin([0, 1]).all()
    others = survey[~survey["customer"].isin(met["customer"])]
    assert 0.02 < (others["CP1"] == "yes").mean() < 0.3
