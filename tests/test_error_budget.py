"""The error budget of a survey: closed forms for each source alone, additivity, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from csi_lab import DataError, EstimationError, SpecError
from csi_lab.sampling.error_budget import SOURCES, error_budget

BROADBAND = Path(__file__).resolve().parents[1] / "data" / "broadband"


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    rng = np.random.default_rng(21)
    y = rng.normal(70, 15, 4000)
    return pd.DataFrame({"csi": y, "answers": 1 / (1 + np.exp(-(y - 75) / 15)), "listed": y > 55})


def within(row: pd.Series, name: str, truth: float, slack: float = 0.0) -> bool:
    return abs(row[name] - truth) <= 4 * row[f"{name}_se"] + slack


def test_every_source_has_its_closed_form(people):
    n, noise, effect, interviewers, rate = 200, 8.0, 3.0, 10, 0.05
    values = np.arange(0, 101)
    budget = error_budget(people, "csi", n=n, covered="listed", response="answers", shift=1.5, noise_sd=noise,
                          interviewer_sd=effect, interviewers=interviewers, processing_rate=rate,
                          processing_values=values, repeats=3000, rng=5)  # fmt: skip
    y, p, table = people["csi"], people["answers"], budget.table
    truth = y.mean()
    assert budget.truth == pytest.approx(truth)
    assert table.loc["coverage", "bias"] == pytest.approx(y[people["listed"]].mean() - truth, abs=1e-12)
    assert table.loc["coverage", "variance"] == pytest.approx(0, abs=1e-20)
    assert within(table.loc["sampling"], "bias", 0)
    assert within(table.loc["sampling"], "variance", (1 - n / 4000) * y.var() / n)
    # The respondents' mean is a ratio; its bias beyond the ratio of expectations is of order 1/n.
    assert within(table.loc["non-response"], "bias", (p * y).sum() / p.sum() - truth, slack=0.05)
    assert within(table.loc["measurement"], "bias", 1.5)
    assert within(table.loc["measurement"], "variance", noise**2 / n + effect**2 / interviewers)
    wrong = rate * (values.mean() - truth)
    assert within(table.loc["processing"], "bias", wrong)
    squares = rate * (values.var() + y.var(ddof=0) + (values.mean() - truth) ** 2) - wrong**2
    # Sampling is part of what replaced answers were worth, so the finite population takes a little off.
    assert within(table.loc["processing"], "variance", squares / n, slack=0.02 * squares / n)


def test_the_budget_of_the_simulated_market_has_its_known_sources():
    """A telephone survey of `data/broadband/frame.csv`, where the content answer more often: truth is in the file."""
    frame = pd.read_csv(BROADBAND / "frame.csv")
    y = frame["satisfaction"]
    frame["answers"] = 1 / (1 + np.exp(-(y - 70) / 20))
    budget = error_budget(frame, "satisfaction", n=400, covered="phone", response="answers", repeats=300, rng=2)
    assert budget.truth == pytest.approx(y.mean(), rel=1e-12)
    assert budget.table.loc["coverage", "bias"] == pytest.approx(y[frame["phone"] == 1].mean() - y.mean(), abs=1e-10)
    fraction = 400 / len(frame)
    assert within(budget.table.loc["sampling"], "variance", (1 - fraction) * y.var() / 400)
    # cov(p, y) over the mean of p, with a remainder of the order 1/n for the ratio.
    bias = np.cov(frame["answers"], y, ddof=0)[0, 1] / frame["answers"].mean()
    assert within(budget.table.loc["non-response"], "bias", bias, slack=y.var() / 400 / 10)
    assert budget.table["mse"].drop(["interaction", "total"]).idxmax() == "non-response"
    assert budget.off == ("measurement", "processing")


def test_parts_add_up_to_the_total_and_shares_to_1(people):
    table = error_budget(people, "csi", n=100, response="answers", noise_sd=5, repeats=200, rng=1).table
    parts = table.loc[[*SOURCES, "interaction"]]
    assert parts[["bias", "variance", "mse", "share"]].sum().to_numpy() == pytest.approx(
        [*table.loc["total", ["bias", "variance", "mse"]], 1.0], rel=1e-10
    )
    single = table.drop(index="interaction")
    assert (single["bias"] ** 2 + single["variance"]).to_numpy() == pytest.approx(single["mse"].to_numpy(), rel=1e-10)


def test_sampling_alone_is_the_whole_error_of_a_perfect_field(people):
    budget = error_budget(people, "csi", n=150, repeats=300, rng=2)
    assert budget.table.loc["total", "mse"] == pytest.approx(budget.table.loc["sampling", "mse"], rel=1e-12)
    assert budget.table.loc["interaction", "mse"] == pytest.approx(0, abs=1e-12)
    assert budget.off == ("coverage", "non-response", "measurement", "processing")
    assert budget.respondents == 150


def test_response_that_has_nothing_to_do_with_the_answer_costs_variance_only(people):
    """Half respond at random: the total variance is that of a sample of about half the size."""
    table = error_budget(people, "csi", n=200, response=0.5, repeats=3000, rng=3).table
    assert within(table.loc["non-response"], "bias", 0)
    expected = (1 / 100 - 1 / 4000) * people["csi"].var()
    assert within(table.loc["total"], "variance", expected, slack=0.02 * expected)


def test_a_census_without_errors_has_none(people):
    table = error_budget(people, "csi", n=len(people), repeats=5, rng=1).table
    assert table["mse"].abs().max() < 1e-20


def test_a_seed_gives_one_result_and_small_blocks_follow_the_same_law(people, monkeypatch):
    from csi_lab.sampling import simulated_field as room

    one = error_budget(people, "csi", n=50, noise_sd=3, repeats=40, rng=9)
    again = error_budget(people, "csi", n=50, noise_sd=3, repeats=40, rng=9)
    pd.testing.assert_frame_equal(one.table, again.table)
    monkeypatch.setattr(room, "KEYS_AT_ONCE", 4000 * 7)
    other = error_budget(people, "csi", n=50, noise_sd=3, repeats=40, rng=9)
    assert other.repeats == 40
    assert within(other.table.loc["sampling"], "variance", people["csi"].var() / 50)


def test_surveys_without_respondents_are_counted(people):
    budget = error_budget(people, "csi", n=3, response=0.3, repeats=200, rng=1)
    assert budget.failed + budget.repeats == 200
    assert budget.failed > 0
    assert "without any respondent" in str(budget)
    with pytest.raises(EstimationError, match="nobody answered"):
        error_budget(people, "csi", n=3, response=0.0, repeats=20)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"covered": "nowhere", "response": "none"}, DataError, ["'nowhere'", "'none'"]),
        ({"response": 1.5, "noise_sd": -1}, DataError, ["outside 0 to 1", "noise_sd is negative"]),
        ({"covered": [True, False]}, DataError, ["shape (2,)"]),
        ({"shift": "word"}, DataError, ["not a number"]),
        ({"covered": np.zeros(4000)}, DataError, ["true for 0 units"]),
        ({"covered": np.full(4000, 0.5)}, DataError, ["true or false"]),
        ({"noise_sd": np.full(4000, np.nan)}, DataError, ["missing or infinite for 4000"]),
        ({"n": 5000, "repeats": 1}, SpecError, ["exceeds the 4000 units", "repeats=1"]),
        ({"interviewer_sd": 2}, SpecError, ["interviewers="]),
        ({"processing_rate": 0.1}, SpecError, ["processing_values="]),
        ({"processing_rate": 2, "processing_values": [1]}, SpecError, ["processing_rate=2"]),
        ({"response": np.full(4000, "0.5")}, DataError, ["response is not a number for every unit"]),
        ({"rng": "seed"}, SpecError, ["rng='seed'"]),
        ({"processing_values": ["a"]}, SpecError, ["list of numbers"]),
    ],
)
def test_bad_settings_are_named(people, settings, error, words):
    with pytest.raises(error) as raised:
        error_budget(people.assign(word="x"), "csi", **{"n": 50, "repeats": 10, **settings})
    for word in words:
        assert word in str(raised.value)


def test_a_series_goes_by_its_index(people):
    """Probabilities in another order of rows belong to the same people."""
    known = error_budget(people, "csi", n=60, response="answers", repeats=40, rng=3).table
    mixed = people["answers"].sample(frac=1, random_state=4)
    found = error_budget(people, "csi", n=60, response=mixed, repeats=40, rng=3).table
    pd.testing.assert_frame_equal(found, known)
    with pytest.raises(DataError, match="response are a Series with another index"):
        error_budget(people, "csi", n=60, response=mixed.set_axis(range(1, len(mixed) + 1)), repeats=40)


@pytest.mark.parametrize("constant", [0.1, 5.0, 1e8 / 3])
def test_equal_answers_have_no_source_of_error(people, constant):
    found = error_budget(people.assign(same=constant), "same", n=60, repeats=20, rng=3)
    assert (found.table[["bias", "variance", "mse"]] == 0).all().all()
    assert "no source brings any error" in str(found)
    assert "nan" not in str(found)


def test_bad_populations_are_refused(people):
    with pytest.raises(DataError, match="no column 'index'"):
        error_budget(people, "index", n=10)
    with pytest.raises(DataError, match=r"no column \['csi'\]"):
        error_budget(people, ["csi"], n=10)
    with pytest.raises(DataError, match="missing or infinite for 1"):
        error_budget(people.assign(csi=[np.nan] + [1.0] * 3999), "csi", n=10)
    with pytest.raises(DataError, match="DataFrame"):
        error_budget([1, 2], "csi", n=1)


def test_faces(people):
    import matplotlib.pyplot as plt

    budget = error_budget(people.rename(columns={"csi": "<b>csi"}), "<b>csi", n=50, noise_sd=3, repeats=20)
    picture = budget.plot()
    assert picture.get_xlabel()
    assert picture.get_xlim()[0] <= 0  # bars begin at nothing
    plt.close("all")
    assert "<b>" not in budget._repr_html_()
    assert (budget.value, budget.se) == tuple(budget.table.loc["total", ["mse", "mse_se"]])
    assert repr(budget) == str(budget)
