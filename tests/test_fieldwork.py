"""Fieldwork: closed forms, other estimators of the package, and simulations whose truth is known."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import csi_lab as csi
from csi_lab import DataError, Design, EstimationError, SpecError
from csi_lab.reliability import one_way_icc
from csi_lab.sampling import fieldwork, response, select

BROADBAND = Path(__file__).resolve().parents[1] / "data" / "broadband"

# --- intercepts ---------------------------------------------------------------------------------------------------


def test_weights_remove_the_length_bias_and_the_interval_covers():
    rng = np.random.default_rng(3)
    visits = 1 + rng.poisson(3, 5000)
    y = 60 + 4 * visits + rng.normal(0, 10, 5000)
    frame = pd.DataFrame({"csi": y, "visits": visits})
    met = rng.choice(5000, (500, 150), p=visits / visits.sum())
    found = [fieldwork.intercept_mean(frame.iloc[rows].reset_index(drop=True), "csi", "visits") for rows in met]
    value, se = np.array([f.value for f in found]), np.array([f.se for f in found])
    naive = np.array([f.naive for f in found])
    over_visits = (visits * y).sum() / visits.sum()
    assert naive.mean() == pytest.approx(over_visits, abs=4 * naive.std() / math.sqrt(500))
    # The ratio estimator's own bias is of order 1/n, far below its standard error.
    assert value.mean() == pytest.approx(y.mean(), abs=4 * value.std() / math.sqrt(500) + 0.1 * se.mean())
    assert se.mean() == pytest.approx(value.std(ddof=1), rel=0.10)
    covered = np.mean([f.low <= y.mean() <= f.high for f in found])
    assert 0.92 <= covered <= 0.97


def test_equal_visits_leave_the_plain_mean():
    frame = pd.DataFrame({"csi": [7.0, 8, 4, 9], "visits": [3, 3, 3, 3]})
    found = fieldwork.intercept_mean(frame, "csi", "visits")
    assert found.value == pytest.approx(7)
    assert found.se == pytest.approx(frame["csi"].std() / 2)
    assert found.n_effective == pytest.approx(4)
    assert found.length_bias == pytest.approx(0)


def test_unit_of_visits_does_not_matter():
    frame = pd.DataFrame({"csi": [7.0, 8, 4, 9, np.nan], "visits": [1, 2, 5, 3, 2]})
    one = fieldwork.intercept_mean(frame, "csi", "visits")
    other = fieldwork.intercept_mean(frame.assign(visits=frame["visits"] / 30), "csi", "visits")
    assert (other.value, other.se) == pytest.approx((one.value, one.se))
    assert one.dropped == 1


def test_a_design_of_places_gives_the_error_of_their_totals():
    """The mean with weights w/v by hand: squares of the totals of 20 places, which R's svymean would give as well."""
    rng = np.random.default_rng(5)
    place = np.repeat(np.arange(20), 12)
    frame = pd.DataFrame(
        {"place": place, "kind": place % 2, "w": 1 + rng.random(240), "visits": rng.integers(1, 9, 240)}
    )
    frame["csi"] = 60 + 3 * frame["visits"] + 6 * rng.normal(size=20)[place] + rng.normal(0, 5, 240)
    found = fieldwork.intercept_mean(frame, "csi", "visits", Design("w", "kind", "place"))
    w = frame["w"] / frame["visits"]
    mean = (w * frame["csi"]).sum() / w.sum()
    totals = (w * (frame["csi"] - mean) / w.sum()).groupby([frame["kind"], frame["place"]]).sum()
    squares = totals.groupby("kind").agg(lambda z: 10 / 9 * ((z - z.mean()) ** 2).sum()).sum()
    assert (found.value, found.se) == pytest.approx((mean, math.sqrt(squares)), rel=1e-12)
    assert found.df == 18
    assert found.naive == pytest.approx(np.average(frame["csi"], weights=frame["w"]))
    assert "strata in 'kind', PSUs in 'place'; 18 df" in str(found)
    # To draw visits one by one is another design, whose interval would be too short here.
    assert fieldwork.intercept_mean(frame, "csi", "visits").se < 0.8 * found.se
    gap = fieldwork.intercept_mean(frame.assign(visits=frame["visits"].where(place != 3)), "csi", "visits",
                                   Design("w", "kind", "place"))  # fmt: skip
    assert (gap.dropped, gap.df) == (12, 17)
    assert any("the whole sample has 18" in note for note in gap.notes)


def test_the_plain_formula_is_the_one_of_the_docstring():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"csi": rng.normal(70, 10, 50), "visits": rng.integers(1, 9, 50)})
    found = fieldwork.intercept_mean(frame, "csi", "visits")
    w = 1 / frame["visits"]
    mean = (w * frame["csi"]).sum() / w.sum()
    error = math.sqrt(50 / 49 * (w**2 * (frame["csi"] - mean) ** 2).sum()) / w.sum()
    assert (found.value, found.se, found.df) == pytest.approx((mean, error, 49), rel=1e-12)


def test_intercepts_at_the_outlets_of_the_market_find_its_visitors():
    """`data/broadband/frame.csv` knows everybody's satisfaction and visits: who comes often is less content."""
    frame = pd.read_csv(BROADBAND / "frame.csv")
    visitors = frame[frame["outlet_visits"] > 0]
    truth = visitors["satisfaction"].mean()
    chance = visitors["outlet_visits"] / visitors["outlet_visits"].sum()
    met = np.random.default_rng(8).choice(len(visitors), (100, 300), p=chance)
    found = [fieldwork.intercept_mean(visitors.iloc[rows], "satisfaction", "outlet_visits") for rows in met]
    value, naive = np.array([f.value for f in found]), np.array([f.naive for f in found])
    assert value.mean() == pytest.approx(truth, abs=4 * value.std(ddof=1) / 10)
    over_visits = (chance * visitors["satisfaction"]).sum()
    assert naive.mean() == pytest.approx(over_visits, abs=4 * naive.std(ddof=1) / 10)
    assert abs(over_visits - truth) > 4 * naive.std(ddof=1) / 10


# --- interviewers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(5, 5, 5, 5), (2, 7, 4, 9, 1)])
def test_interviewer_effect_is_the_one_way_intraclass_correlation(sizes):
    rng = np.random.default_rng(len(sizes))
    wide = pd.DataFrame([np.r_[rng.normal(rng.normal(0, 1), 1, m), np.full(9 - m, np.nan)] for m in sizes])
    long = wide.stack().reset_index().set_axis(["who", "i", "y"], axis=1).sample(frac=1, random_state=1)
    found = fieldwork.interviewer_effect(long, "y", "who")
    wide.columns = [f"v{i}" for i in wide.columns]
    row = one_way_icc(wide.dropna(axis=1, how="all")).table.loc["ICC(1,1)"]
    assert (found.value, found.low, found.high) == pytest.approx((row["estimate"], row["low"], row["high"]), abs=1e-12)
    workload = sum(m**2 for m in sizes) / sum(sizes)
    assert found.deff == pytest.approx(1 + (workload - 1) * found.value)


def test_interviewer_effect_recovers_rho_and_the_variance_of_the_mean():
    """20 interviewers of 15, rho .10: the mean varies 1 + 14 * .10 times as much as that of 300 strangers."""
    rng, repeats = np.random.default_rng(8), 600
    y = math.sqrt(0.1) * rng.standard_normal((repeats, 20, 1)) + math.sqrt(0.9) * rng.standard_normal((repeats, 20, 15))
    who = np.repeat(np.arange(20), 15)
    found = [fieldwork.interviewer_effect(pd.DataFrame({"y": one.ravel(), "who": who}), "y", "who") for one in y]
    rho, se = np.array([f.value for f in found]), np.array([f.se for f in found])
    assert rho.mean() == pytest.approx(0.10, abs=4 * rho.std() / math.sqrt(repeats))
    assert se.mean() == pytest.approx(rho.std(ddof=1), rel=0.10)
    covered = np.mean([f.low <= 0.10 <= f.high for f in found])
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / repeats))
    ratio = y.mean(axis=(1, 2)).var(ddof=1) / (1 / 300)
    assert ratio == pytest.approx(1 + 14 * 0.10, rel=4 * math.sqrt(2 / repeats))


def test_interviewers_who_differ_less_than_chance_give_a_negative_rho():
    frame = pd.DataFrame({"who": list("aabb"), "y": [1, 3, 1, 3]})
    found = fieldwork.interviewer_effect(frame, "y", "who")
    assert found.value == pytest.approx(-1)
    assert found.deff == pytest.approx(0)


# --- back-checks --------------------------------------------------------------------------------------------------


def test_detection_chance_is_the_share_of_samples_with_a_falsified_interview():
    m, k = 9, 3
    for c in range(m + 1):
        every = [any(i < k for i in chosen) for chosen in itertools.combinations(range(m), c)]
        assert float(fieldwork.detection_chance(m, k, c)) == pytest.approx(np.mean(every), abs=1e-12)


def test_detection_chance_broadcasts():
    assert fieldwork.detection_chance([[20], [40]], [1, 2, 4], 5).shape == (2, 3)


def test_backcheck_size_is_the_fewest_checks_that_suffice():
    for m, k, chance in ((40, 4, 0.95), (25, 10, 0.8), (12, 12, 0.99), (30, 1, 0.5), (8, 3, 1)):
        plan = fieldwork.backcheck_size(m, k, chance=chance)
        assert plan.at(plan.n) >= chance - 1e-12
        assert plan.n == 1 or plan.at(plan.n - 1) < chance


def test_backcheck_sample_takes_its_share_of_everybody():
    frame = pd.DataFrame({"who": np.repeat(list("abc"), [40, 7, 1])}, index=np.arange(48) + 100)
    drawn = fieldwork.backcheck_sample(frame, "who", share=0.15, at_least=2, rng=4)
    assert drawn["who"].value_counts().to_dict() == {"a": 6, "b": 2, "c": 1}
    assert drawn.index.is_monotonic_increasing
    pd.testing.assert_frame_equal(drawn, fieldwork.backcheck_sample(frame, "who", share=0.15, at_least=2, rng=4))


def test_every_interview_is_as_likely_to_be_checked():
    frame = pd.DataFrame({"who": ["a"] * 10})
    hits = np.zeros(10)
    for seed in range(1000):
        hits[fieldwork.backcheck_sample(frame, "who", share=0.3, rng=seed).index] += 1
    assert hits / 1000 == pytest.approx(0.3, abs=4.5 * math.sqrt(0.21 / 1000))


def test_agreement_counts_what_can_be_compared():
    first = pd.DataFrame({"age": [30, 40, 50, 60.0], "town": ["X", "Y", None, "Z"]}, index=list("abcd"))
    again = pd.DataFrame({"age": [32, 40, np.nan, 75.0, 1], "town": ["X", "N", "Z", "Z", "Z"]}, index=list("dbcae"))
    found = fieldwork.backcheck_agreement(first, again, ["age", "town"], tolerance={"age": 2})
    # d: 60/32 no; b: 40/40 yes; a: 30/75 no; town d Z/X no, b Y/N no, a X/Z no.
    assert found.table["compared"].tolist() == [3, 3]
    assert found.table["agree"].tolist() == [1, 0]
    assert (found.missing, found.unmatched, found.interviews) == (2, 1, 3)
    assert found.value == pytest.approx(1 / 6)
    assert found.by_interview["b"] == 0.5
    assert np.isnan(found.by_interview["c"])


def test_tolerance_includes_its_end_and_equal_needs_none():
    first, again = pd.DataFrame({"x": [1.0, 2, 3]}), pd.DataFrame({"x": [2.0, 4, 3]})
    assert fieldwork.backcheck_agreement(first, again, ["x"], tolerance=1).value == pytest.approx(2 / 3)
    assert fieldwork.backcheck_agreement(first, again, ["x"]).value == pytest.approx(1 / 3)


def test_one_item_has_wilsons_interval_of_interviews():
    """With one answer per interview the ratio's variance is p q / (m - 1): nearly m interviews' worth."""
    first = pd.DataFrame({"x": np.zeros(200)})
    again = pd.DataFrame({"x": np.r_[np.zeros(170), np.ones(30)]})
    found = fieldwork.backcheck_agreement(first, again, ["x"])
    assert found.se == pytest.approx(math.sqrt(0.85 * 0.15 / 199), rel=1e-12)
    row = found.table.loc["x"]
    assert (found.low, found.high) == pytest.approx((row["low"], row["high"]), abs=3e-4)


# --- contacts -----------------------------------------------------------------------------------------------------


def test_dispositions_follow_the_priority_and_the_rates_the_definitions():
    log = pd.DataFrame(
        {
            "id": ["a", "a", "b", "c", "c", "d", "e", "f", "g", "g"],
            "code": [20, 10, 10, 31, 20, 20, 40, 50, 11, 20],
        }
    )
    codes = {10: "I", 11: "P", 20: "NC", 31: "R", 40: "O", 50: "UH"}
    found = fieldwork.contact_record(log, case="id", outcome="code", codes=codes)
    assert found.cases["disposition"].to_dict() == dict(
        zip("abcdefg", ["I", "I", "R", "NC", "O", "UH", "P"], strict=True)
    )
    assert dict(found.counts) == {"I": 2, "P": 1, "R": 1, "NC": 1, "O": 1, "UH": 1, "UO": 0, "NE": 0}
    rates = found.rates["estimate"]
    assert rates.to_dict() == pytest.approx(
        {"contact": 5 / 7, "contact_known": 5 / 6, "cooperation": 2 / 5, "cooperation_able": 2 / 4}
    )
    assert found.value == 5
    assert found.attempts["calls"].tolist() == [7, 3]


def test_cases_that_are_not_eligible_make_rr3_and_its_kin_computable():
    """AAPOR's e by proportional allocation: eligible over known cases, here 8 of 10."""
    final = {"I": 4, "P": 1, "R": 2, "NC": 1, "UH": 5, "NE": 2}
    outcomes = [name for name, count in final.items() for _ in range(count)]
    log = pd.DataFrame({"case": range(15), "outcome": outcomes})
    found = fieldwork.contact_record(log)
    assert found.counts == {**dict.fromkeys(found.counts, 0), **final}
    table = response.rates(found.counts).table["estimate"]
    eligible = 8 + 0.8 * 5
    assert table[["RR3", "RR4", "REF2", "CON2"]].tolist() == pytest.approx(
        [4 / eligible, 5 / eligible, 2 / eligible, 7 / eligible]
    )
    rates = found.rates["estimate"]
    assert rates[["contact", "contact_known", "cooperation"]].tolist() == table[["CON1", "CON3", "COOP1"]].tolist()
    assert found.rates["of"].to_dict() == {"contact": 13, "contact_known": 8, "cooperation": 7, "cooperation_able": 7}


def test_a_case_found_not_eligible_is_none_unless_interviewed():
    calls = {"case": [1, 1, 2, 2, 3, 3], "outcome": ["R", "NE", "NE", "I", "NC", "NE"]}
    found = fieldwork.contact_record(pd.DataFrame(calls))
    assert found.cases["disposition"].tolist() == ["NE", "I", "NE"]
    assert found.rates.loc["contact", ["estimate", "of"]].tolist() == [1, 1]
    nobody = fieldwork.contact_record(pd.DataFrame({"case": [1, 2], "outcome": ["NE", "NE"]}))
    assert nobody.rates["estimate"].isna().all()
    with pytest.raises(SpecError, match="must hold each of"):
        fieldwork.contact_record(pd.DataFrame(calls), priority=("I", "P", "R", "O", "NC", "UH", "UO"))


def test_geometric_model_recovers_calls_per_complete_and_its_interval_covers():
    rng, truth, inside, rejected = np.random.default_rng(11), 0.2, 0, 0
    for _ in range(300):
        tries = np.minimum(rng.geometric(truth, 120), 8)
        case = np.repeat(np.arange(120), tries)
        success = np.zeros(len(case), dtype=bool)
        ends = np.cumsum(tries) - 1
        success[ends] = (tries < 8) | (rng.random(120) < truth)
        log = pd.DataFrame({"case": case, "outcome": np.where(success, "I", "NC")})
        found = fieldwork.contact_record(log)
        inside += found.low <= 1 / truth <= found.high
        rejected += found.p < 0.05
    assert inside / 300 == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 300))
    assert rejected / 300 == pytest.approx(0.05, abs=4 * math.sqrt(0.95 * 0.05 / 300))


def test_falling_success_contradicts_the_geometric_model():
    rows = [(f"q{i}", "I") for i in range(60)] + [(f"s{i}", "NC") for i in range(60) for _ in range(4)]
    found = fieldwork.contact_record(pd.DataFrame(rows, columns=["case", "outcome"]))
    assert found.p < 1e-6
    assert found.attempts["reached"].iloc[-1] == pytest.approx(0.5)


def test_order_column_puts_calls_in_order_and_calls_after_the_interview_are_said():
    log = pd.DataFrame({"case": [1, 1, 1], "outcome": ["NC", "I", "NC"], "t": [3, 2, 1]})
    found = fieldwork.contact_record(log, order="t")
    assert found.attempts["completes"].tolist() == [0, 1, 0]
    assert found.after_complete == 1
    assert "1 calls came after" in str(found)


def test_no_complete_leaves_calls_per_complete_unknown():
    found = fieldwork.contact_record(pd.DataFrame({"case": [1, 2], "outcome": ["NC", "R"]}))
    assert np.isnan(found.value)
    assert "not known" in str(found)


# --- duplicates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("agreement", "k"), [(0.95, 24), (0.80, 10), (0.5, 6), (0.95, 5)])
def test_duplicates_are_those_of_comparing_all_pairs(agreement, k):
    rng = np.random.default_rng(k)
    x = rng.integers(1, 4, (120, k)).astype(float)
    x[60:80] = x[:20]
    x[60:80, 0] += rng.integers(0, 2, 20)
    x[rng.random(x.shape) < 0.03] = np.nan
    frame = pd.DataFrame(x, index=[f"r{i}" for i in range(120)]).add_prefix("q")
    found = fieldwork.duplicates(frame, list(frame.columns), agreement=agreement)
    same = ((x[:, None] == x[None]) | (np.isnan(x)[:, None] & np.isnan(x)[None])).mean(axis=2)
    expected = {(f"r{i}", f"r{j}"): same[i, j] for i, j in itertools.combinations(range(120), 2)
                if same[i, j] > agreement + 1e-12}  # fmt: skip
    assert dict(
        zip(zip(found.pairs["first"], found.pairs["second"], strict=True), found.pairs["agreement"], strict=True)
    ) == (pytest.approx(expected))
    assert expected


def test_same_phone_is_found_however_it_is_written_and_not_shown():
    frame = pd.DataFrame(
        {"phone": ["139 0001", "139-0001", None, "(139)0001", "140", None], "who": ["a", "b", "a", "a", "b", "b"]}
    )
    found = fieldwork.duplicates(frame, identifiers=["phone"], interviewer="who")
    assert found.shared[["n", "interviewers", "rows"]].values.tolist() == [[3, 2.0, (0, 1, 3)]]
    assert "1390001" not in found._repr_html_().replace("-", "").replace(" ", "")
    numbers = pd.DataFrame({"phone": [13900011112222.0, np.nan, 13900011112222.0, 5.0]})
    assert fieldwork.duplicates(numbers, identifiers="phone").shared["rows"].tolist() == [(0, 2)]


def test_straight_liners_and_interviewers_are_marked():
    frame = pd.DataFrame(np.random.default_rng(2).integers(1, 11, (30, 12))).add_prefix("q")
    frame.iloc[3], frame.iloc[9] = 7, 7
    frame.iloc[20] = frame.iloc[21]
    found = fieldwork.duplicates(frame.assign(who=[0] * 15 + [1] * 15), list(frame.columns), interviewer="who")
    assert found.pairs[["first", "second", "straight", "same_interviewer"]].values.tolist() == [
        [3, 9, True, True],
        [20, 21, False, True],
    ]
    assert found.flagged == [3, 20, 9, 21]


def test_sparse_interviews_are_not_compared_and_counted():
    frame = pd.DataFrame(np.full((4, 4), np.nan)).add_prefix("q")
    frame.iloc[0] = [1, 2, 3, 4]
    found = fieldwork.duplicates(frame, list(frame.columns))
    assert (found.sparse, found.compared, len(found.pairs)) == (3, 1, 0)


def test_too_many_alike_are_refused_quickly():
    frame = pd.DataFrame(np.full((5000, 6), 7)).add_prefix("q")
    with pytest.raises(EstimationError, match="more than 1,000 pairs"):
        fieldwork.duplicates(frame, list(frame.columns), most_pairs=1000)


# --- times --------------------------------------------------------------------------------------------------------


def test_time_flags():
    def at(clock: str) -> pd.Timestamp:
        return pd.Timestamp(f"2026-05-04 {clock}")

    work = pd.DataFrame(
        [
            ("a", at("09:00"), at("10:00")),
            ("a", at("09:10"), at("09:30")),
            ("a", at("09:40"), at("10:10")),  # inside the first, not the one before it
            ("a", at("10:10"), at("10:30")),  # begins as the last one ends: no overlap
            ("b", at("09:05"), at("09:06")),
            ("b", at("21:00"), at("21:20")),
            ("b", at("07:59"), at("07:50")),
            (None, at("12:00"), at("12:30")),
        ],
        columns=["who", "start", "end"],
    )
    found = fieldwork.time_patterns(work, "who")
    flags = {name: found.flags.index[found.flags[name]].tolist() for name in found.flags}
    assert flags == {"backwards": [6], "overlap": [1, 2], "short": [4], "outside": [5, 6]}
    assert (found.median, found.dropped) == (20, 1)
    assert found.table.loc["a", ["n", "median", "busiest_day", "overlap"]].tolist() == [4, 25, 4, 2]
    shuffled = fieldwork.time_patterns(work.sample(frac=1, random_state=3), "who").flags.sort_index()
    pd.testing.assert_frame_equal(shuffled, found.flags.sort_index())
    text = work.assign(start=work["start"].astype(str), end=work["end"].astype(str))
    pd.testing.assert_frame_equal(fieldwork.time_patterns(text, "who").flags, found.flags)


def test_zones_count_for_durations_and_the_local_clock_for_hours():
    """Begun 20:30 in Shanghai, ended 12:50 UTC: twenty minutes; the clock of the end alone would say backwards."""
    begin = pd.to_datetime(["2026-05-04 20:30", "2026-05-04 21:30"]).tz_localize("Asia/Shanghai")
    work = pd.DataFrame({"who": ["a", "b"], "start": begin, "end": (begin + pd.Timedelta("20min")).tz_convert("UTC")})
    found = fieldwork.time_patterns(work, "who")
    assert found.median == 20
    assert found.flags["outside"].tolist() == [False, True]
    assert not found.flags["backwards"].any()
    # Clocks are put back at 3:00 on 25 October: 2:50 summer time to 2:10 winter time are twenty minutes.
    night = pd.to_datetime(["2026-10-25 00:50", "2026-10-25 01:10"], utc=True).tz_convert("Europe/Berlin")
    autumn = pd.DataFrame({"who": ["a"], "start": night[:1], "end": night[1:]})
    assert fieldwork.time_patterns(autumn, "who").median == 20
    with pytest.raises(DataError, match="time zone and the other has none"):
        fieldwork.time_patterns(work.assign(end=work["end"].dt.tz_localize(None)), "who")


def test_no_duration_and_no_case_are_said_in_words():
    stamp = pd.Timestamp("2026-05-04 10:00")
    nothing = fieldwork.time_patterns(pd.DataFrame({"who": ["a"], "start": stamp, "end": stamp}), "who")
    assert "no duration above zero" in str(nothing)
    record = fieldwork.contact_record(LOG.assign(outcome="NE"))
    assert "contact rate unknown (no case to take it from)" in str(record)
    assert "nan" not in str(nothing) + str(record)


@pytest.mark.parametrize("constant", [0.1, 7.3, 1e8 / 3])
def test_interviewers_do_not_differ_by_rounding(constant):
    """Equal answers of 0.1 gave rho = .49 and p = 1e-23, all of it rounding."""
    frame = pd.DataFrame({"y": constant, "who": np.arange(200) % 12})
    with pytest.raises(EstimationError, match="all answers to 'y' are equal"):
        fieldwork.interviewer_effect(frame, "y", "who")
    apart = fieldwork.interviewer_effect(frame.assign(y=constant * (1 + frame["who"])), "y", "who")
    assert (apart.value, apart.f, apart.p) == (1, np.inf, 0)


# --- refusals and faces -------------------------------------------------------------------------------------------

GOOD = pd.DataFrame({"y": [1.0, 2, 3, 4], "v": [1, 2, 1, 2], "who": list("aabb"), "text": list("wxyz")})
LOG = pd.DataFrame({"case": [1, 2], "outcome": ["I", "NC"]})


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fieldwork.intercept_mean(GOOD, "z", "w"), DataError, r"\['z', 'w'\]"),
        (lambda: fieldwork.intercept_mean(GOOD, "text", "v"), DataError, "text"),
        (lambda: fieldwork.intercept_mean(GOOD.assign(v=[0, -1, 2, 1]), "y", "v"), DataError, "2 rows: 0, 1"),
        (lambda: fieldwork.intercept_mean(GOOD.head(1), "y", "v"), DataError, "only 1 complete"),
        (lambda: fieldwork.intercept_mean(GOOD, "y", "v", level=95), SpecError, "level=95"),
        (lambda: fieldwork.intercept_mean(GOOD.assign(y=[1, np.inf, 2, 3]), "y", "v"), DataError, "infinite"),
        (lambda: fieldwork.intercept_mean([1, 2], "y", "v"), DataError, "DataFrame"),
        (lambda: fieldwork.intercept_mean(GOOD, ["y"], "v"), DataError, r"\['y'\]"),
        (lambda: fieldwork.intercept_mean(GOOD, "y", "y"), SpecError, r"named twice: \['y'\]"),
        (lambda: fieldwork.intercept_mean(GOOD, "y", "v", "who"), SpecError, "csi_lab.Design, got str"),
        (lambda: fieldwork.intercept_mean(GOOD, "y", "v", Design(strata="who", psu="text", population="v")), SpecError,
         r"named twice: \['v'\]"),
        (lambda: fieldwork.interviewer_effect(GOOD, "y", "y"), SpecError, r"named twice: \['y'\]"),
        (lambda: fieldwork.interviewer_effect(GOOD.head(2), "y", "who"), DataError, "1 interviewers with 2 answers"),
        (lambda: fieldwork.interviewer_effect(GOOD.assign(who=range(4)), "y", "who"), DataError, "two answers"),
        (lambda: fieldwork.interviewer_effect(GOOD.assign(y=5.0), "y", "who"), EstimationError, "equal"),
        (lambda: fieldwork.interviewer_effect(GOOD.assign(y=np.nan), "y", "who"), DataError, "0 interviewers"),
        (lambda: fieldwork.detection_chance(10, 11, 2), SpecError, "whole numbers"),
        (lambda: fieldwork.detection_chance(10, 2, 2.5), SpecError, "whole numbers"),
        (lambda: fieldwork.detection_chance("ten", 2, 2), SpecError, "whole numbers of shapes that fit"),
        (lambda: fieldwork.detection_chance([10, 20], [1, 1, 1], 2), SpecError, "whole numbers of shapes that fit"),
        (lambda: fieldwork.backcheck_sample(GOOD.head(0), "who"), DataError, "no interviews to draw from"),
        (lambda: fieldwork.backcheck_sample(GOOD, "who", rng="x"), SpecError, "rng='x'"),
        (lambda: fieldwork.backcheck_agreement(GOOD, GOOD, ["y", "y"]), SpecError, r"named twice: \['y'\]"),
        (lambda: fieldwork.backcheck_agreement(GOOD, GOOD.astype({"y": str, "v": str}), ["y", "v", "text"]), DataError,
         r"numbers in one frame and text in the other.*\['y', 'v'\]"),
        (lambda: fieldwork.backcheck_size(10, 11, chance=0), SpecError, "exceeds"),
        (lambda: fieldwork.backcheck_sample(GOOD.assign(who=None), "who"), DataError, "4 of 4"),
        (lambda: fieldwork.backcheck_sample(GOOD, "who", share=10), SpecError, "share=10"),
        (lambda: fieldwork.backcheck_agreement(GOOD, GOOD, []), SpecError, "empty"),
        (lambda: fieldwork.backcheck_agreement(GOOD, GOOD, ["z"]), DataError, "z"),
        (lambda: fieldwork.backcheck_agreement(pd.concat([GOOD, GOOD]), GOOD, ["y"]), DataError, "twice in first"),
        (lambda: fieldwork.backcheck_agreement(GOOD, GOOD.set_axis(range(9, 13)), ["y"]), EstimationError, "nothing"),
        (lambda: fieldwork.backcheck_agreement(GOOD, GOOD, ["text"], tolerance=1), DataError, "text"),
        (lambda: fieldwork.backcheck_agreement(GOOD, GOOD, ["y"], tolerance={"v": -1}), SpecError, "unknown items"),
        (lambda: fieldwork.contact_record(LOG.assign(outcome=["done", "NA"])), DataError, r"\['NA', 'done'\]"),
        (lambda: fieldwork.contact_record(LOG.assign(case=[None, 1])), DataError, "'case' is missing in 1 rows: 0"),
        (lambda: fieldwork.contact_record(LOG.head(0)), DataError, "no rows"),
        (lambda: fieldwork.contact_record(LOG, codes={"I": "complete"}), SpecError, "unknown classes"),
        (lambda: fieldwork.contact_record(LOG, priority=("I",)), SpecError, "once"),
        (lambda: fieldwork.contact_record(LOG, priority=None), SpecError, "priority=None must hold each"),
        (lambda: fieldwork.contact_record(LOG, codes="I"), SpecError, "codes='I' must map"),
        (lambda: fieldwork.contact_record(LOG, case="outcome"), SpecError, r"named twice: \['outcome'\]"),
        (lambda: fieldwork.contact_record(LOG, case="id"), DataError, "id"),
        (lambda: fieldwork.duplicates(GOOD), SpecError, "nothing to compare"),
        (lambda: fieldwork.duplicates(GOOD, ["y"], agreement=1), SpecError, "agreement=1"),
        (lambda: fieldwork.duplicates(pd.concat([GOOD, GOOD]), ["y"]), DataError, "unique index"),
        (lambda: fieldwork.time_patterns(GOOD, "who", start="y", end="v"), DataError, "holds numbers"),
        (lambda: fieldwork.time_patterns(GOOD, "who", start="text", end="y"), DataError, "read as times"),
        (lambda: fieldwork.time_patterns(GOOD, "who", start="v", end="v"), SpecError, r"named twice: \['v'\]"),
        (lambda: fieldwork.time_patterns(GOOD.assign(v=pd.Timestamp("2026-05-04"), w=pd.Timestamp("2026-05-05")), "who",
                                         start="v", end="w"), DataError, "days without a clock time"),
        (lambda: fieldwork.time_patterns(GOOD, "who", start="y", end="v", hours=(22, 6)), SpecError, "hours"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_its_place(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_faces():
    import matplotlib.pyplot as plt

    stamp = pd.Timestamp("2026-05-04 10:00")
    frame = GOOD.assign(who=["<b>x", "<b>x", "y", "y"], start=stamp, end=stamp + pd.Timedelta("20min"), **{"<b>": 1})
    results = [
        fieldwork.intercept_mean(frame, "y", "v"),
        fieldwork.interviewer_effect(frame, "y", "who"),
        fieldwork.backcheck_agreement(frame, frame, ["y", "<b>"]),
        fieldwork.contact_record(LOG),
        fieldwork.duplicates(frame.assign(y=1), ["y", "v"], interviewer="who"),
        fieldwork.time_patterns(frame, "who"),
    ]
    for found in results:
        ax = found.plot()
        assert ax.get_xlabel()
        assert "<b>" not in found._repr_html_()
        assert repr(found) == str(found)
        assert len(found.to_frame())
    plt.close("all")


def test_a_sample_or_survey_where_a_frame_is_needed_is_refused_with_the_place_of_its_rows():
    frame = pd.DataFrame({"csi": [7.0, 8, 4, 9], "interviewer": list("aabb")})
    for data in (select.simple_random(frame, 4, 1), csi.load_survey("mobile")):
        with pytest.raises(DataError, match=r"need a DataFrame, got \w+; its rows are in \.frame"):
            fieldwork.interviewer_effect(data, "csi", "interviewer")
