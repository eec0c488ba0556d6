"""Content validity: exact binomial values, published tables, refusals."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest
from conftest import read_reference

from csi_lab import DataError, SpecError
from csi_lab.validity import content_validity_index, content_validity_ratio, critical_cvr


def published(name: str) -> dict:
    return next(t for t in read_reference("published_tables.json")["tables"] if t["id"] == name)["data"]


def test_critical_values_are_the_exact_published_ones():
    """published_tables.json, lawshe_cvr, exact column (three decimals) and numbers of experts."""
    data = published("lawshe_cvr")
    found = critical_cvr([int(n) for n in data["exact"]])
    for n, value in data["exact"].items():
        assert found.loc[int(n), "cvr"] == pytest.approx(value, abs=5e-4)
    for n, k in data["n_essential"].items():
        assert found.loc[int(n), "essential"] == k


@pytest.mark.parametrize("n", [5, 9, 14, 33])
def test_critical_levels_are_binomial_tails(n):
    row = critical_cvr(n).loc[n]
    tail = lambda k: sum(comb(n, x) for x in range(k, n + 1)) / 2**n  # noqa: E731
    k = int(row["essential"])
    assert row["p"] == pytest.approx(tail(k), rel=1e-12)
    assert tail(k) <= 0.05 < tail(k - 1)


def test_a_panel_too_small_has_no_critical_value():
    assert critical_cvr([1, 4]).isna().all(axis=None)
    panel = pd.DataFrame({"q": [1, 1, 1, 1]})
    assert content_validity_ratio(panel).items.loc["q", "verdict"] == "a panel of 4 is too small"


def test_cvr_counts_essential_and_keeps_what_reaches_the_critical_value():
    """Ten experts need nine (CVR .80)."""
    panel = pd.DataFrame({"a": [1] * 10, "b": [1] * 9 + [3], "c": [1] * 8 + [2, 3], "d": [2] * 10})
    found = content_validity_ratio(panel)
    assert found.items["estimate"].tolist() == pytest.approx([1.0, 0.8, 0.6, -1.0])
    assert found.kept == ("a", "b")
    assert found.value == pytest.approx(0.9)
    assert found.items.loc["b", "p"] == pytest.approx(11 / 1024)
    assert "not: c, d" in str(found)


def test_kappa_meets_the_published_table():
    """published_tables.json, polit_kappa, computed values; three decimals."""
    for key, row in published("polit_kappa").items():
        n, agree = map(int, key.split(","))
        ratings = pd.DataFrame({"q": [4] * agree + [1] * (n - agree)})
        item = content_validity_index(ratings).items.loc["q"]
        assert item["estimate"] == pytest.approx(row["ICVI"], abs=5e-4)
        assert item["chance"] == pytest.approx(row["pc"], abs=6e-4)
        assert item["kappa"] == pytest.approx(row["k"], abs=6e-4)


def test_scale_indices_and_bands():
    """I-CVI 1, 5/6, 1/2; kappa of 5/6 is (5/6 - 6/64)/(1 - 6/64) = .816."""
    ratings = pd.DataFrame({"a": [3, 4, 3, 4, 3, 4], "b": [3, 4, 3, 4, 3, 1], "c": [3, 4, 3, 1, 2, 2]})
    found = content_validity_index(ratings)
    assert found.average == pytest.approx((1 + 5 / 6 + 1 / 2) / 3)
    assert found.universal == pytest.approx(1 / 3)
    assert found.items["band"].tolist() == ["excellent", "excellent", "poor"]
    assert found.items["verdict"].tolist() == ["reaches 0.78", "reaches 0.78", "below 0.78"]
    five = content_validity_index(ratings[1:])
    assert five.items.loc["b", "verdict"] == "below 1.00"


def test_intervals_are_those_of_clopper_and_pearson():
    """5 of 6: the ends solve the binomial tails exactly; all of n: low = (alpha/2)^(1/n)."""
    ratings = pd.DataFrame({"a": [4] * 6, "b": [4] * 5 + [1]})
    items = content_validity_index(ratings).items
    assert items.loc["a", ["low", "high"]].tolist() == pytest.approx([0.025 ** (1 / 6), 1.0])
    low, high = items.loc["b", "low"], items.loc["b", "high"]
    tail = lambda p, ks: sum(comb(6, k) * p**k * (1 - p) ** (6 - k) for k in ks)  # noqa: E731
    assert tail(low, range(5, 7)) == pytest.approx(0.025)
    assert tail(high, range(0, 6)) == pytest.approx(0.025)
    cvr = content_validity_ratio(pd.DataFrame({"b": [1] * 5 + [2]})).items.loc["b"]
    assert (cvr["low"], cvr["high"]) == pytest.approx((2 * low - 1, 2 * high - 1))


def test_missing_ratings_are_refused_or_counted():
    ratings = pd.DataFrame({"a": [4, 4, np.nan, 4], "b": [4, 1, 4, 4]})
    with pytest.raises(DataError, match=r"'a' \(1\).*available"):
        content_validity_index(ratings)
    found = content_validity_index(ratings, missing="available")
    assert found.items["experts"].tolist() == [3, 4]
    assert "3 to 4 experts" in str(found)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": ["yes", "no"]}), "'a' holds text"),
        (pd.DataFrame({"a": [4, 5], "b": [0, 2]}), r"'a': \[5.0\][\s\S]*'b': \[0.0\]"),
        (pd.DataFrame({"a": [4, 3.5]}), r"'a': \[3.5\]"),
        (pd.DataFrame({"a": [np.nan, np.nan]}), r"without any rating: \['a'\]"),
        (pd.DataFrame({"a": []}, dtype=float), "no expert"),
        (pd.DataFrame([[4, 4]], columns=["a", "a"]), "share a name"),
        (pd.DataFrame({"a": [4, np.inf]}), "infinite"),
    ],
)
def test_ratings_that_cannot_be_used_are_refused(frame, message):
    with pytest.raises(DataError, match=message):
        content_validity_index(frame)


def test_settings_that_make_no_sense_are_refused():
    panel = pd.DataFrame({"a": [2, 2]})
    with pytest.raises(DataError, match=r"essential=1.*\[2.0\]"):
        content_validity_ratio(panel)
    with pytest.raises(SpecError, match="relevant=1"):
        content_validity_index(panel, relevant=1)
    with pytest.raises(SpecError, match="average_cut"):
        content_validity_index(panel, average_cut=90)
    with pytest.raises(SpecError, match="panel sizes"):
        critical_cvr(0)
    with pytest.raises(SpecError, match="missing='pairwise'"):
        content_validity_ratio(panel, missing="pairwise")


def test_html_is_escaped():
    ratings = pd.DataFrame({"<b>x</b>": [4, 1, 4]})
    for found in (content_validity_index(ratings), content_validity_ratio(ratings, essential=4)):
        assert "<b>" not in found._repr_html_()


def test_pictures_show_intervals_and_the_cut_off():
    """Exact intervals as in the table; the cut-off is drawn where all items have the same."""
    panel = pd.DataFrame({"bill": [4, 4, 3, 4, 3, 4], "shop": [4, 2, 3, 1, 2, 4]})
    index, ratio = content_validity_index(panel), content_validity_ratio(panel, essential=4)
    for result, cut in ((index, 0.78), (ratio, 1.0)):
        ax = result.plot(labels={"shop": "nice shop"})
        assert [t.get_text() for t in ax.get_yticklabels()] == ["bill", "nice shop"]
        segments = np.array([segment[:, 0] for segment in ax.collections[0].get_segments()])
        assert segments == pytest.approx(result.items[["low", "high"]].to_numpy())
        assert [line.get_xdata()[0] for line in ax.lines] == [cut]


def test_bands_may_be_given_in_any_order():
    panel = pd.DataFrame({"bill": [4, 4, 3, 4, 3, 4], "shop": [4, 2, 3, 1, 2, 4]})
    upside = {"fair": 0.4, "good": 0.6, "excellent": 0.74}
    assert content_validity_index(panel, bands=upside).items["band"].tolist() == ["excellent", "poor"]
