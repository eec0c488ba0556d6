"""What many answers are worth, and the market of millions that lesson 09 draws from: identities and known chances."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_studies import answers, play, write_study
from scipy import stats
from test_notebooks import FOLDER

import csi_lab as csi
from csi_lab import DataError, SpecError
from csi_lab.course.multiplied import multiplied
from csi_lab.sampling.big_data import data_defect
from csi_lab.scaleout import moments

LESSON = FOLDER / "lessons" / "09_large_surveys.ipynb"


@pytest.fixture(scope="module")
def survey():
    return csi.load_survey("mobile")


@pytest.fixture(scope="module")
def market(survey):
    return multiplied(survey, 1_000_000)


@pytest.fixture(scope="module")
def value(survey, market):
    return csi.index.respondent_index(market.people, dict.fromkeys(survey.constructs["Satisfaction"], 1), survey.bounds)


@pytest.fixture(scope="module")
def weighted(tmp_path_factory):
    """Folder of a study with weights, five of them zero, and three missing answers."""
    frame = answers().assign(w=np.r_[np.zeros(5), np.linspace(0.3, 4, 115)])
    frame.loc[10:12, "q1"] = np.nan
    return write_study(tmp_path_factory.mktemp("made") / "w", frame, design={"weights": "w"})


@pytest.mark.parametrize("seed", range(4))
def test_the_defect_correlation_is_the_correlation_of_answering_and_value(seed):
    """Meng (2018), equation 2.3, on populations of every kind: against the correlation computed from all people."""
    rng = np.random.default_rng(seed)
    population = rng.gamma(2, 10, size=rng.integers(20, 2000))
    answered = rng.random(len(population)) < 1 / (1 + np.exp(-(population - 20) / 30))
    found = data_defect(
        population[answered].mean(),
        population.mean(),
        sd=population.std(),
        n=int(answered.sum()),
        population=len(population),
    )
    assert found.correlation == pytest.approx(np.corrcoef(population, answered)[0, 1], abs=1e-12)
    assert found.error == pytest.approx(found.correlation * found.shortage * found.sd, abs=1e-12)
    assert found.fraction == answered.mean()


def test_the_effective_size_has_the_mean_squared_error_of_a_simple_random_sample():
    """(1/n - 1/N) S2 = error2, with S2 of divisor N - 1."""
    found = data_defect(52.0, 50.0, sd=20.0, n=100_000, population=400_000)
    n, big = found.effective_n, 400_000
    assert (1 / n - 1 / big) * 20.0**2 * big / (big - 1) == pytest.approx(2.0**2, rel=1e-12)


def test_the_typical_error_of_a_random_sample_makes_it_worth_its_size():
    n, big, sd = 2_000, 50_000, 12.0
    typical = sd * math.sqrt((1 / n - 1 / big) * big / (big - 1))
    assert data_defect(70 + typical, 70, sd=sd, n=n, population=big).effective_n == pytest.approx(n, rel=1e-9)


def test_the_election_of_2016_is_worth_about_400_answers():
    """Meng (2018), section 4.2: 2.3 million answers, one percent of the voters, correlation -.005."""
    error = -0.005 * math.sqrt(99) * 0.5
    found = data_defect(0.5 + error, 0.5, sd=0.5, n=2_300_000, population=230_000_000)
    assert found.correlation == pytest.approx(-0.005)
    assert round(found.effective_n, -2) == 400


def test_units_and_direction_change_nothing_but_the_sign():
    one = data_defect(74, 72, sd=15, n=1_000, population=9_000)
    other = data_defect(-7.4, -7.2, sd=1.5, n=1_000, population=9_000)
    assert other.correlation == pytest.approx(-one.correlation)
    assert other.effective_n == pytest.approx(one.effective_n)


def test_a_census_and_a_sample_without_error_are_worth_the_population():
    assert data_defect(72, 72, sd=15, n=500, population=500).effective_n == 500
    everybody = data_defect(72, 72, sd=15, n=500, population=500)
    assert repr(everybody) == str(everybody) == "all 500 answered: no error"
    assert data_defect(72, 72, sd=15, n=50, population=500).effective_n == 500


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"sd": 0.0}, SpecError, "sd=0.0 is not positive"),
        ({"sd": math.nan, "estimate": "74"}, SpecError, "(?s)estimate='74'.*sd=nan"),
        ({"estimate": True, "truth": None}, SpecError, "(?s)estimate=True is not.*truth=None is not"),
        ({"n": 0}, SpecError, "n=0 does not lie between 1 and population=9000"),
        ({"n": 9_001}, SpecError, "n=9001 does not lie"),
        ({"n": 10.5}, SpecError, "n=10.5 is not a whole number"),
        ({"estimate": 500.0}, DataError, "do not belong together"),
        ({"n": 9_000}, DataError, "all 9000 answered"),
    ],
)
def test_numbers_that_no_population_has_are_refused(given, error, words):
    usual = {"estimate": 74.0, "truth": 72.0, "sd": 15.0, "n": 1_000, "population": 9_000}
    with pytest.raises(error, match=words):
        data_defect(**usual | given)


def test_the_study_is_the_truth_of_its_market(survey, market, value):
    equal = csi.index.from_items(survey, survey.constructs, survey.bounds, target="Satisfaction").value
    assert market.mean(value) == pytest.approx(equal, abs=1e-12)
    np.testing.assert_allclose(market.moments.mean, survey.moments().mean, rtol=1e-14)
    np.testing.assert_allclose(market.moments.corr, survey.moments().corr, atol=1e-13)
    assert market.sd(value) == pytest.approx(value.std(ddof=0), abs=1e-12)


def test_weights_become_whole_customers_and_useless_rows_are_counted(weighted):
    survey = csi.load_survey(weighted)
    found = multiplied(survey, 100_000)
    used = survey.frame.loc[found.people.index, "w"]
    assert (found.size, found.left_out, len(found.people)) == (100_000, 8, 112)
    assert np.abs(found.customers - used / used.sum() * 100_000).max() < 1
    assert "8 rows of the study left out" in str(found)


def test_random_samples_vary_as_theory_says(market, value):
    """Unbiased, with variance (1 - f) S2 / n; bands of four standard errors of 2,000 samples."""
    for n in (100, 400_000):
        means = market.mean(value, market.random(n, 5, times=2_000))
        expected = market.sd(value) * math.sqrt((1 - n / market.size) / n * market.size / (market.size - 1))
        assert abs(means.mean() - market.mean(value)) < 4 * expected / math.sqrt(2_000)
        assert abs(means.std(ddof=1) / expected - 1) < 4 / math.sqrt(2 * 2_000)


def test_nobody_is_drawn_twice(survey):
    tiny = multiplied(survey, 250)
    np.testing.assert_array_equal(tiny.random(250, 1), np.ones(250))


@pytest.mark.parametrize("odds", [0.5, 1.0, 1.2, 8.0])
@pytest.mark.parametrize("n", [50, 300_000, 999_000])
def test_chances_have_the_odds_and_the_number_asked_for(market, value, odds, n):
    chance = market.chances(value, n, odds)
    assert market.customers @ chance == pytest.approx(n, rel=1e-8)
    slope = np.polyfit((value - market.mean(value)) / market.sd(value), np.log(chance / (1 - chance)), 1)[0]
    assert slope == pytest.approx(math.log(odds), abs=1e-8)


def test_volunteers_answer_with_their_chances(market, value):
    chance = market.chances(value, 100_000, 1.5)
    came = market.volunteers(chance, 3)
    expected, variance = market.customers * chance, market.customers * chance * (1 - chance)
    assert stats.chi2.sf(((came - expected) ** 2 / variance).sum(), len(came)) > 1e-4


def test_rows_are_the_sample_in_random_order_and_files_hold_the_same(market, tmp_path):
    counts = market.random(5_000, 1)
    rows = market.rows(counts, 2)
    found = rows.groupby(list(rows.columns)).size()
    kinds = market.people.astype("int8").assign(k=counts).query("k > 0").groupby(list(rows.columns))["k"].sum()
    pd.testing.assert_series_equal(found, kinds, check_names=False, check_dtype=False)
    assert market.write(tmp_path, counts, 2, files=3)[-1].name == "part-2.parquet"
    np.testing.assert_array_equal(moments(tmp_path, list(rows.columns)).cov, csi.Moments.from_frame(rows).cov)


def test_answers_with_fractions_are_kept(tmp_path):
    made = multiplied(csi.load_survey(write_study(tmp_path / "half", answers(step=0.5))), 1_000)
    rows = made.rows(made.customers, 1)
    np.testing.assert_allclose(rows.mean(), made.moments.mean, rtol=1e-12)


def test_samples_and_markets_that_cannot_be_are_refused(survey, market, value, tmp_path):
    for size in (249, 10**9, 1000.5):
        with pytest.raises(SpecError, match="a whole number from 250, the complete rows, to less than 1,000,000,000"):
            multiplied(survey, size)
    with pytest.raises(DataError, match="1 rows of 250 have answers to all 24 items"):
        multiplied(replace(survey, frame=survey.frame[:1].reindex(range(250))), 1_000)
    for n in (0, 1_000_001, 2.5):
        with pytest.raises(SpecError, match="a whole number from 1 to 1000000"):
            market.random(n, 1)
    for n, odds in ((0, 1.2), (1_000_000, 1.2), (1_000, 0.0), (1_000, math.nan)):
        with pytest.raises(SpecError, match="must be positive"):
            market.chances(value, n, odds)
    for size in ("many", None, True):
        with pytest.raises(SpecError, match="whole number from"):
            market.random(size, 1)
        with pytest.raises(SpecError, match="the complete rows, to less than"):
            multiplied(survey, size)
    for kinds in ([1.0, 2.0], ["a"] * 250, [np.nan] * 250):
        with pytest.raises(DataError, match="one finite number for each of the 250 kinds"):
            market.mean(kinds)
        with pytest.raises(DataError, match="one finite number for each of the 250 kinds"):
            market.volunteers(kinds, 1)
    with pytest.raises(SpecError, match="chances must lie from 0 to 1, got 2 to 2"):
        market.volunteers([2.0] * 250, 1)
    with pytest.raises(SpecError, match="rng=-1 must be a whole number"):
        market.random(10, -1)
    with pytest.raises(DataError, match="same value"):
        market.chances(np.ones(250), 1_000, 1.2)
    with pytest.raises(SpecError, match="files=0"):
        market.write(tmp_path, market.random(10, 1), 1, files=0)


SMALL = {"small": 50, "middle": 500, "large": 5_000, "customers": 50_000, "workers": 1}


def test_the_lesson_is_true_on_a_weighted_study_and_without_self_selection(weighted):
    said = play(LESSON, study=str(weighted), odds=1.0, **SMALL)
    assert "8 rows of the study left out" in said
    assert "here little of it is bias" in said
    assert "same bias" not in said
    assert "Bias does not fall" not in said
    assert "(odds 1), volunteers are like a random sample" in said
    assert "All covariances are the same to the last bit" in said
    assert " nan" not in said


def test_the_lesson_refuses_sizes_that_do_not_grow():
    for wrong, words in (
        ({"large": 400}, "50, 500, 400, 50000"),
        ({"odds": 0.0}, "odds=0"),
        ({"workers": 0}, "workers=0"),
    ):
        with pytest.raises(SpecError, match=f"20 <= small < middle < large < customers, .*: .*{words}"):
            play(LESSON, **SMALL | wrong)
