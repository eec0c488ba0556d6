"""Cronbach's alpha: closed forms, R psych, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference, table

from csi_lab import DataError
from csi_lab.moments import Moments
from csi_lab.reliability import _alpha, _alpha_if_deleted, _item_rest, cronbach_alpha


@pytest.fixture(scope="module")
def bfi() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "bfi25.csv")


@pytest.mark.parametrize(("k", "expected"), [(3, 0.75), (2, 2 / 3), (9, 0.9)])
def test_equal_correlations_of_a_half(k, expected):
    """alpha = k r / (1 + (k - 1) r), for one matrix and for a stack."""
    cov = np.full((k, k), 0.5) + 0.5 * np.eye(k)
    assert _alpha(cov) == pytest.approx(expected, rel=1e-12)
    assert _alpha(np.stack([cov, 4 * cov])) == pytest.approx([expected, expected], rel=1e-12)


@pytest.mark.parametrize("scale", ["A", "C", "N"])
def test_agrees_with_psych(bfi, scale):
    """tests/reference/reliability/bfi_scales_ACN.json, R psych 2.2.9: alpha and tables 1e-12, Feldt 1e-10."""
    ref = read_reference("reliability/bfi_scales_ACN.json")[scale]
    items = [f"{scale}{i}" for i in range(1, 6)]
    answers = bfi[items].copy()
    for item, key in zip(items, ref["keys"], strict=True):
        answers[item] = answers[item] if key == 1 else 7 - answers[item]
    ours, theirs = cronbach_alpha(answers, scale=scale), ref["complete"]
    assert (ours.n, ours.n + ours.dropped) == (theirs["n"], 2800)
    assert ours.value == pytest.approx(theirs["total"]["raw_alpha"], abs=1e-12)
    assert ours.standardised == pytest.approx(theirs["total"]["std.alpha"], abs=1e-12)
    assert [ours.low, ours.high] == pytest.approx(_feldt_ends(theirs["feldt"]), abs=1e-10)
    without, stats = table(theirs["alpha_drop"]), table(theirs["item_stats"])
    strip = lambda frame: frame.set_axis([str(i).rstrip("-") for i in frame.index])  # noqa: E731
    assert (ours.items["alpha_if_deleted"] - strip(without)["raw_alpha"]).abs().max() < 1e-12
    assert (ours.items["item_rest"] - strip(stats)["r.drop"]).abs().max() < 1e-12


def _feldt_ends(feldt: dict) -> list[float]:
    return [feldt["lower"], feldt["upper"]]


def test_meets_the_published_alphas_of_the_mobile_survey(mobi, ecsi):
    """published_tables.json, mobi_descriptives, four decimals."""
    published = next(t for t in read_reference("published_tables.json")["tables"] if t["id"] == "mobi_descriptives")[
        "data"
    ]
    for construct, value in published["alpha_raw"].items():
        ours = cronbach_alpha(mobi, ecsi.constructs[construct])
        assert ours.value == pytest.approx(value, abs=1e-3)
        assert ours.standardised == pytest.approx(published["alpha_std"][construct], abs=1e-3)


def test_scaling_all_items_changes_nothing_and_alpha_if_deleted_is_alpha_of_the_rest(mobi):
    items = [f"PERQ{i}" for i in range(1, 8)]
    a, b = cronbach_alpha(mobi, items), cronbach_alpha(mobi * 100, items)
    assert a.value == pytest.approx(b.value, rel=1e-12)
    rest = cronbach_alpha(mobi, items[1:])
    assert a.items.loc["PERQ1", "alpha_if_deleted"] == pytest.approx(rest.value, rel=1e-12)


def test_alpha_without_one_of_two_items_does_not_exist(mobi):
    result = cronbach_alpha(mobi, ["PERV1", "PERV2"])
    assert result.items["alpha_if_deleted"].isna().all()
    assert result.items["item_rest"].to_numpy() == pytest.approx(mobi["PERV1"].corr(mobi["PERV2"]), rel=1e-12)


def test_item_functions_broadcast(mobi):
    cov = Moments.from_frame(mobi[["CUSA1", "CUSA2", "CUSA3"]]).cov
    for function in (_alpha_if_deleted, _item_rest):
        assert function(np.stack([cov, cov]))[1] == pytest.approx(function(cov), rel=1e-14)


def test_an_interval_that_would_ignore_weights_is_withheld(mobi):
    result = cronbach_alpha(mobi, ["CUSA1", "CUSA2", "CUSA3"], weights=np.linspace(1, 2, 250))
    assert np.isnan(result.low)
    assert "CI" not in str(result)
    assert "Feldt" in result.interval


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pd.DataFrame({"q1": [1, 2], "q2": ["agree", "disagree"]}),
            "q2.*declare missing codes|declare missing.*\n.*q2",
        ),
        (pd.DataFrame({"q1": [1, 2, 3], "q2": [4, 4, 4]}), r"do not vary.*\['q2'\]"),
        (pd.DataFrame({"q1": [1, 2, 3]}), "two items or more"),
        (pd.DataFrame({"q1": [1.0, np.nan], "q2": [np.nan, 2.0]}), "no row of 2"),
    ],
)
def test_scales_that_have_no_alpha_are_refused(frame, message):
    with pytest.raises(DataError, match=message):
        cronbach_alpha(frame)
