"""Single units in later stages, and quantiles at the ends of a scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import read_reference

from csi_lab import DataError, Design
from csi_lab.sampling import estimate

STAGES = Design(psu=("town", "house"), population=("towns", "houses", "persons"))


@pytest.fixture(scope="module")
def households() -> pd.DataFrame:
    """Six of 20 towns in two strata, five of their houses, one person of each."""
    rng = np.random.default_rng(3)
    town = np.repeat(np.arange(6), 5)
    frame = pd.DataFrame({"town": town, "house": np.tile(np.arange(5), 6), "stratum": np.where(town < 3, "n", "s")})
    frame["y"] = rng.normal(size=6)[town] + rng.normal(size=30)
    return frame.assign(towns=10, houses=40 + town, persons=rng.integers(2, 5, 30))


def with_weights(frame):
    return frame.assign(w=frame["towns"] / 3 * frame["houses"] / 5 * frame["persons"])


def test_one_person_per_household_names_stage_and_remedy(households):
    with pytest.raises(DataError, match=r"stage 3: a single unit drawn from 30 of 30 units of 'house'") as found:
        estimate.mean(households, "y", STAGES)
    said = str(found.value)
    assert "lonely='with replacement'" in said
    assert "psu of the first stage only" in said
    assert "strata" in said.split("Design with")[1]
    assert "merge" not in said


def test_with_replacement_is_the_design_of_the_first_stage_alone(households):
    frame = with_weights(households)
    deep = Design(strata="stratum", psu=("town", "house"), population=("towns", "houses", "persons"))
    found = estimate.mean(frame, "y", deep, lonely="with replacement")
    plain = estimate.mean(frame, "y", Design(weights="w", strata="stratum", psu="town"))
    assert (found.value, found.se, found.df) == pytest.approx((plain.value, plain.se, plain.df), rel=1e-12)
    assert any("first stage is treated as drawn with replacement (in 2 of 2 strata)" in note for note in found.notes)
    table = [
        estimate.mean(frame, "y", d, by="stratum", lonely=how).table["se"]
        for d, how in ((deep, "with replacement"), (Design(weights="w", strata="stratum", psu="town"), "raise"))
    ]
    assert table[0].to_numpy() == pytest.approx(table[1].to_numpy(), rel=1e-12)


def test_with_replacement_touches_only_the_strata_that_need_it(households):
    """Two persons in every house of the north: its stages stay, so that the variances of the strata add up."""
    north = pd.concat([households[households["stratum"] == "n"]] * 2)
    north["y"] += np.repeat([0.0, 0.3], len(north) // 2)
    south = households[households["stratum"] == "s"]
    frame = pd.concat([north, south], ignore_index=True)
    deep = Design(strata="stratum", psu=("town", "house"), population=("towns", "houses", "persons"))
    both = estimate.total(frame, "y", deep, lonely="with replacement")
    own = estimate.total(north, "y", deep).se
    weights = south["towns"] / 3 * south["houses"] / 5 * south["persons"]
    rest = estimate.total(south.assign(w=weights), "y", Design(weights="w", psu="town")).se
    assert both.se == pytest.approx(np.hypot(own, rest), rel=1e-12)
    assert any("in 1 of 2 strata" in note for note in both.notes)


def test_nothing_changes_where_no_unit_is_single(households):
    deep = Design(psu=("town", "house"), population=("towns", "houses"))
    frame = households.assign(towns=20)
    found = estimate.mean(frame, "y", deep, lonely="with replacement")
    plain = estimate.mean(frame, "y", deep)
    assert (found.se, found.notes) == (plain.se, plain.notes)


def test_towns_that_were_certain_keep_their_later_stages(households):
    """All three towns of a stratum taken: its variance lies within them, and a single person there is an error."""
    frame = households.assign(towns=np.where(households["stratum"] == "n", 3, 10))
    deep = Design(strata="stratum", psu=("town", "house"), population=("towns", "houses", "persons"))
    with pytest.raises(DataError, match="stage 3: a single unit drawn from 15 of 15"):
        estimate.mean(frame, "y", deep, lonely="with replacement")
    two = Design(strata="stratum", psu=("town", "house"), population=("towns", "houses"))
    assert estimate.mean(frame, "y", two, lonely="with replacement").se == estimate.mean(frame, "y", two).se


@pytest.mark.parametrize("lonely", ["certainty", "centred", "average"])
def test_every_treatment_of_single_units_is_in_the_notes(households, lonely):
    frame = pd.concat([households, households[households["house"] > 0]], ignore_index=True)
    found = estimate.mean(frame, "y", STAGES, lonely=lonely)
    words = {
        "certainty": "stage 3\\) in 6 of 30 units of 'house', taken with certainty",
        "centred": "set against the mean",
        "average": "as much as the others",
    }[lonely]
    assert pd.Series(found.notes).str.contains(words).sum() == 1
    strata = Design(strata="house", population="towns")
    kept = households[(households["house"] > 0) | (households["town"] == 0)]
    single = estimate.mean(kept, "y", strata, lonely=lonely)
    assert any("(stage 1) in 1 of 5 strata" in note for note in single.notes)


def test_certainty_is_the_variance_without_that_stage(households):
    """One person in every house: nothing within, so that the towns and houses alone are what is left."""
    frame = with_weights(households).assign(towns=20)
    found = estimate.mean(frame, "y", Design("w", None, ("town", "house"), STAGES.population), lonely="certainty")
    less = estimate.mean(frame, "y", Design("w", None, ("town", "house"), ("towns", "houses")))
    assert found.se == pytest.approx(less.se, rel=1e-12)


# --- quantiles ------------------------------------------------------------------------------------------------------

ANSWERS = {
    "tens_43": np.repeat([10.0, 9, 7, 1], [43, 37, 15, 5]),
    "tens_52": np.repeat([10.0, 9, 7, 1], [52, 28, 15, 5]),
    "constant": np.full(30, 10.0),
    "unlike": np.array([3.0, 5, 6, 8, 9, 11, 14, 15, 20, 41]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_quantiles_agree_with_r_at_the_ends_of_a_scale(name):
    theirs = read_reference("survey/raking_quantile.json")
    frame = pd.DataFrame({"y": ANSWERS[name], "w": 20.0})
    found = estimate.quantile(frame, "y", Design(weights="w"), q=theirs["q"]).table
    r = np.array(theirs[name], dtype=float).reshape(-1, 4)
    ours = found[["estimate", "low", "high", "se"]].to_numpy()
    if name == "unlike":
        # The smallest value stands alone: R returns the second smallest for q = 0.05 (see the README there).
        assert (r[0, 0], ours[0, 0]) == (5, 3)
        r, ours = r[1:], ours[1:]
    assert ours == pytest.approx(r, rel=1e-12, nan_ok=True)


def test_a_median_in_the_top_category_says_that_it_shows_no_error():
    found = estimate.quantile(pd.DataFrame({"y": ANSWERS["tens_52"]}), "y", q=0.5)
    assert (found.value, found.se, found.low, found.high) == (10, 0, 10, 10)
    assert any("largest value" in note for note in found.notes)
    below = estimate.quantile(pd.DataFrame({"y": ANSWERS["tens_43"]}), "y", q=0.5)
    assert not below.notes
