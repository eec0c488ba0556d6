"""Outcome rates: AAPOR's formulas by hand, the interval of a proportion, and codes per case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from csi_lab.errors import DataError, SpecError
from csi_lab.rates import satisfaction_rate
from csi_lab.sampling import response

COUNTS = {"I": 350, "P": 50, "R": 220, "NC": 130, "O": 20, "UH": 90, "UO": 60, "NE": 110}


def test_all_rates_follow_the_published_formulas():
    i, p, r, nc, o, uh, uo, ne = COUNTS.values()
    e = (i + p + r + nc + o) / (i + p + r + nc + o + ne)
    known, unknown = (i + p) + (r + nc + o), uh + uo
    by_hand = {
        "RR1": i / (known + unknown),
        "RR2": (i + p) / (known + unknown),
        "RR3": i / (known + e * unknown),
        "RR4": (i + p) / (known + e * unknown),
        "RR5": i / known,
        "RR6": (i + p) / known,
        "COOP1": i / ((i + p) + r + o),
        "COOP2": (i + p) / ((i + p) + r + o),
        "COOP3": i / ((i + p) + r),
        "COOP4": (i + p) / ((i + p) + r),
        "REF1": r / (known + unknown),
        "REF2": r / (known + e * unknown),
        "REF3": r / known,
        "CON1": ((i + p) + r + o) / (known + unknown),
        "CON2": ((i + p) + r + o) / (known + e * unknown),
        "CON3": ((i + p) + r + o) / known,
    }
    found = response.rates(COUNTS)
    assert found.e == pytest.approx(e)
    assert "proportional allocation" in found.e_source
    assert list(found.table.index) == list(by_hand)
    for name, value in by_hand.items():
        assert found[name] == pytest.approx(value, rel=1e-14), name


def test_rates_are_ordered_as_the_definitions_imply():
    found = response.rates(COUNTS)
    assert found["RR1"] < found["RR3"] < found["RR5"]
    assert found["RR2"] < found["RR4"] < found["RR6"]
    assert found["COOP1"] < found["COOP3"]
    assert response.rates(COUNTS, e=0)["RR3"] == found["RR5"]
    assert response.rates(COUNTS, e=1)["RR3"] == found["RR1"]
    assert response.rates(COUNTS, e=0.3).e_source == "given"


def test_the_interval_is_wilsons():
    found = response.rates(COUNTS).table.loc["RR1"]
    n = sum(COUNTS.values()) - COUNTS["NE"]
    other = satisfaction_rate(np.arange(n) < COUNTS["I"], 1)
    assert (found["low"], found["high"]) == pytest.approx((other.low, other.high), rel=1e-12)


def test_codes_per_case_equal_counts_in_any_notation():
    expected = response.rates(COUNTS).table
    letters = [code for code, count in COUNTS.items() for _ in range(count)]
    numbers = {"I": 1.1, "P": "1.20", "R": 2.11, "NC": "2.2", "O": 2.3, "UH": 3.1, "UO": "3.21", "NE": 4.5}
    own = {code: f"code {code}" for code in COUNTS}
    pd.testing.assert_frame_equal(response.rates(letters).table, expected)
    pd.testing.assert_frame_equal(response.rates(pd.Series([numbers[c] for c in letters])).table, expected)
    pd.testing.assert_frame_equal(response.rates(pd.Series(letters).value_counts()).table, expected)
    renamed = response.rates([own[c] for c in letters], codes={v: k for k, v in own.items()})
    pd.testing.assert_frame_equal(renamed.table, expected)


@pytest.mark.parametrize(
    "column",
    [[1.1, 2.11, 1.1, 2.2, 4.5], ["1.1", "2.11", "1.1", "2.20", "4.5"], ["I", "R", "I", "NC", "NE"]],
)
def test_counts_of_a_column_of_codes_are_the_column_in_any_notation(column):
    cases = pd.Series(column)
    counted, listed = response.rates(cases.value_counts()), response.rates(cases)
    pd.testing.assert_frame_equal(counted.table, listed.table)
    assert counted.outcomes["cases"].to_dict() == {"I": 2, "P": 0, "R": 1, "NC": 1, "O": 0, "UH": 0, "UO": 0, "NE": 1}
    # One case in row 4 is no count of code 4.
    assert response.rates(pd.Series(["I"], index=[4]))["RR1"] == 1


def test_equal_weights_change_nothing_and_unequal_ones_widen_the_interval():
    letters = np.array([code for code, count in COUNTS.items() for _ in range(count)])
    plain = response.rates(letters).table
    equal = response.rates(letters, weights=np.full(len(letters), 12.5)).table
    shown = ["estimate", "se", "low", "high"]
    pd.testing.assert_frame_equal(equal[shown], plain[shown])
    w = np.random.default_rng(4).uniform(0.2, 3, len(letters))
    unequal = response.rates(letters, weights=w)
    valid = letters != "NE"
    assert unequal["RR1"] == pytest.approx(w[letters == "I"].sum() / w[valid].sum())
    width = (unequal.table["high"] - unequal.table["low"]) / (plain["high"] - plain["low"])
    assert width["RR1"] > 1.05
    effective = w[valid].sum() ** 2 / (w[valid] ** 2).sum()
    p = unequal["RR1"]
    assert unequal.table.loc["RR1", "se"] == pytest.approx(np.sqrt(p * (1 - p) / effective))


def test_without_ineligible_cases_all_unknown_ones_count_and_the_result_says_so():
    found = response.rates({"I": 10, "R": 10, "UH": 20})
    assert found.e == 1
    assert "no case known as not eligible" in found.e_source
    assert found["RR3"] == found["RR1"] == 0.25


def test_a_rate_with_nothing_below_is_nan():
    found = response.rates({"UH": 5})
    assert np.isnan(found["RR5"])
    assert np.isnan(found["COOP1"])
    assert found["RR1"] == 0
    assert "taken as 1" in found.e_source


def test_outcomes_add_up():
    outcomes = response.rates(COUNTS).outcomes
    assert outcomes["cases"].to_dict() == COUNTS
    assert outcomes["share"].sum() == pytest.approx(1)


def test_bad_outcomes_are_refused_with_all_offenders():
    with pytest.raises(DataError, match=r"without a meaning: \['X', '9\.9', 'busy'\]"):
        response.rates(["I", "X", "9.9", "busy"])
    with pytest.raises(DataError) as caught:
        response.rates({"I": -1, "R": 2.5, "NC": "many", "O": np.nan})
    assert len(caught.value.problems) == 4
    assert response.rates({"I": 10**30, "R": 10**30})["RR1"] == 0.5
    for nothing in ({}, {"I": 0}, [], "I", 5):
        with pytest.raises(DataError):
            response.rates(nothing)
    with pytest.raises(DataError, match="2 cases have no disposition code"):
        response.rates(["I", None, np.nan])
    with pytest.raises(DataError):
        response.rates(["I", "R"], weights=[1, -1])
    with pytest.raises(DataError, match="all zero"):
        response.rates(["I", "R"], weights=[0, 0])
    for options in (
        {"e": 1.2},
        {"e": "some"},
        {"level": 1},
        {"weights": [1] * 8},
        {"codes": {"I": "complete"}},
        {"codes": ["I"]},
        {"level": "95"},
        {"e": True},
    ):
        with pytest.raises(SpecError):
            response.rates(COUNTS, **options)
    with pytest.raises(SpecError, match="is unknown"):
        response.rates(COUNTS)["RR9"]


def test_the_result_can_be_shown():
    found = response.rates(COUNTS)
    assert str(found) == repr(found)
    assert found._repr_html_().count("<table") == 2
    assert [t.get_text() for t in found.plot().get_yticklabels()] == list(found.table.index)
