"""KMO, MSA and Bartlett's test: closed forms, R psych, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import REFERENCE, read_reference

from csi_lab import DataError, EstimationError
from csi_lab.factors import bartlett, efa, kmo, map_test, parallel_analysis, scree
from csi_lab.factors.suitability import _adequacy
from csi_lab.moments import Moments


@pytest.fixture(scope="module")
def bfi() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "data" / "bfi25.csv")


def equally_correlated(p: int, r: float, n: int = 200) -> Moments:
    return Moments.from_covariance(
        [f"q{i}" for i in range(p)], n, np.zeros(p), np.full((p, p), r) + (1 - r) * np.eye(p)
    )


@pytest.mark.parametrize(("p", "r"), [(3, 0.5), (6, 0.3), (10, 0.8)])
def test_kmo_of_equal_correlations_has_its_closed_form(p, r):
    """Partial correlations are then r / (1 + (p - 2) r), all of them."""
    q = r / (1 + (p - 2) * r)
    result = kmo(equally_correlated(p, r))
    assert result.value == pytest.approx(r**2 / (r**2 + q**2), rel=1e-12)
    assert result.items["estimate"].to_numpy() == pytest.approx(result.value, rel=1e-12)


def test_bartlett_of_equal_correlations_has_its_closed_form():
    """ln|R| = (p - 1) ln(1 - r) + ln(1 + (p - 1) r)."""
    p, r, n = 5, 0.4, 150
    log_determinant = (p - 1) * np.log(1 - r) + np.log(1 + (p - 1) * r)
    result = bartlett(equally_correlated(p, r, n))
    assert result.value == pytest.approx(-(n - 1 - (2 * p + 5) / 6) * log_determinant, rel=1e-12)
    assert result.df == 10


def test_agree_with_psych(bfi):
    """tests/reference/efa/bfi_efa.json: KMO and MSA 1e-10, Bartlett 1e-7."""
    ref = read_reference("efa/bfi_efa.json")
    result, test = kmo(bfi), bartlett(bfi)
    assert (result.n, result.n + result.dropped) == (ref["n"], 2800)
    assert result.value == pytest.approx(ref["KMO"], abs=1e-10)
    assert (result.items["estimate"] - pd.Series(ref["MSA"])).abs().max() < 1e-10
    assert test.value == pytest.approx(ref["bartlett"]["chisq"], abs=1e-7)
    assert test.df == ref["bartlett"]["df"]
    assert test.p < 1e-300


def test_meet_the_published_figures_of_the_mobile_survey(mobi):
    """Computed with R psych, five and three decimals: KMO .92321, chi2 2868.585, df 276."""
    assert kmo(mobi).value == pytest.approx(0.92321, abs=5e-6)
    result = bartlett(mobi)
    assert result.value == pytest.approx(2868.585, abs=1e-3)
    assert (result.df, result.items) == (276, 24)


def test_units_and_order_of_the_items_change_nothing(mobi):
    turned = (mobi * np.linspace(0.001, 100, 24) + 7)[mobi.columns[::-1]]
    a, b = kmo(mobi), kmo(turned)
    assert a.value == pytest.approx(b.value, rel=1e-9)
    assert (a.items["estimate"] - b.items["estimate"]).abs().max() < 1e-9
    assert bartlett(turned).value == pytest.approx(bartlett(mobi).value, rel=1e-9)


def test_adequacy_broadcasts_and_leaves_hopeless_draws_empty(mobi):
    m = Moments.from_frame(mobi)
    stack = Moments.stack([m, m, Moments.from_frame(mobi.assign(IMAG1=5))])
    values = _adequacy(stack)
    assert values[1] == pytest.approx(_adequacy(m), rel=1e-13)
    assert np.isnan(values[2]).all()


def test_bartlett_rejects_at_its_level():
    """Uncorrelated normal data: p below .05 in 5 % of 400 samples, within 4 binomial standard errors."""
    rng = np.random.default_rng(3)
    p = [bartlett(pd.DataFrame(rng.normal(size=(100, 5)), columns=list("abcde"))).p for _ in range(400)]
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400)


def test_a_test_that_would_ignore_weights_is_withheld(mobi):
    weighted = bartlett(mobi, weights=np.linspace(1, 3, 250))
    assert np.isnan(weighted.p)
    assert "no p: the sample has weights" in str(weighted)
    assert np.isfinite(weighted.value)


def test_intervals_come_from_draws(mobi):
    items = [f"PERQ{i}" for i in range(1, 8)]
    assert np.isnan(kmo(mobi, items).low)
    result = kmo(mobi, items, draws=300, rng=1)
    assert result.low < result.high
    assert result.items[["se", "low", "high"]].notna().all(axis=None)
    again = kmo(mobi, items, draws=300, rng=1)
    assert (result.low, result.high) == (again.low, again.high)
    frame = result.to_frame()
    assert list(frame.columns) == ["estimate", "se", "low", "high"]
    assert frame.loc["all items", "estimate"] == result.value


def test_bartlett_tells_of_rows_left_out(mobi):
    answers = mobi[["CUSA1", "CUSA2", "CUSA3"]].astype(float)
    answers.iloc[:20, 0] = np.nan
    assert str(bartlett(answers)).endswith("n = 230, 20 rows left out (missing answers)")


def test_items_below_the_minimum_are_named(mobi):
    result = kmo(mobi, minimum=0.85)
    low = result.items["estimate"][result.items["estimate"] < 0.85].index
    assert len(low) > 0
    assert result.below == tuple(low)
    assert all(item in str(result) for item in low)


rng = np.random.default_rng(0)
SOUND = pd.DataFrame(rng.integers(1, 8, size=(60, 5)).astype(float), columns=list("abcde"))
SOUND = SOUND.add(rng.integers(0, 4, size=60), axis=0)
EVERY = [
    kmo,
    bartlett,
    map_test,
    scree,
    lambda d: parallel_analysis(d, 40),
    lambda d: parallel_analysis(d, 40, null="permutation"),
    lambda d: efa(d, 1),
    lambda d: efa(d, 1, extraction="ml"),
    lambda d: efa(d, 1, extraction="principal axis"),
    lambda d: efa(d, 1, extraction="components", draws=10),
]
UNUSABLE = [
    (SOUND.assign(a=3.0), r"do not vary.*\['a'\]"),
    (
        SOUND.assign(f=SOUND["a"], g=9 - SOUND["b"]),
        r"leave one of each pair out\n.*'a' and 'f' \(r = 1\)\n.*'b' and 'g'",
    ),
    (SOUND.assign(a="agree", c="x"), r"declare missing codes\n.*'a'.*\n.*'c'"),
    (SOUND.assign(a=np.nan), r"no row of 60.*\['a'\]"),
    (SOUND.assign(a=np.inf), r"infinite values: 'a'"),
    (SOUND[["a", "b"]], "3 items or more"),
    (SOUND[:3].assign(a=[1, 2, 4], b=[4, 2, 1], c=[1, 1, 2], d=[2, 1, 1], e=[1, 2, 1]), "3 complete rows for 5 items"),
    (SOUND[:0], "no row of 0"),
]


@pytest.mark.parametrize("function", EVERY)
@pytest.mark.parametrize(("frame", "message"), UNUSABLE)
def test_items_that_cannot_be_factored_are_refused_by_name(function, frame, message):
    with pytest.raises(DataError, match=message):
        function(frame)


@pytest.mark.parametrize(
    "function",
    [kmo, bartlett, lambda d: efa(d, 1, extraction="ml"), lambda d: parallel_analysis(d, 40, communalities="smc")],
)
def test_items_that_depend_on_each_other_are_named(function):
    frame = SOUND.assign(total=SOUND["a"] + SOUND["b"] - 2 * SOUND["c"])
    with pytest.raises(EstimationError, match=r"linear combinations of each other: \['a', 'b', 'c', 'total'\]"):
        function(frame)


def test_without_any_correlation_there_is_no_kmo():
    with pytest.raises(EstimationError, match="no two items correlate"):
        kmo(equally_correlated(4, 0.0))


def test_a_stack_is_refused(mobi):
    m = Moments.from_frame(mobi)
    with pytest.raises(DataError, match=r"\(2,\) sets of moments"):
        kmo(Moments.stack([m, m]))
