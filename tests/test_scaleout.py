"""One pass over files gives the sums of the whole, however the rows are cut, ordered and stored."""

from __future__ import annotations

import decimal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import csi_lab as csi
from csi_lab import DataError, Design, SpecError
from csi_lab.moments import Moments
from csi_lab.scaleout import Form, Recode, moments, scan
from csi_lab.scaleout.block import Block
from csi_lab.scaleout.columns import Answers
from csi_lab.scaleout.engines import merged, nothing
from csi_lab.scaleout.kernel import Recipe, sums_of

ITEMS = ["q1", "q2", "q3", "q4", "q5"]


def answers(n: int = 5000, seed: int = 1, low: int = 1, high: int = 10, kind: type = np.int8) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    level = rng.normal(size=(n, 1))
    x = (low + high) / 2 + (high - low) / 5 * (level + rng.normal(size=(n, len(ITEMS))))
    return pd.DataFrame(np.clip(np.rint(x), low, high).astype(kind), columns=ITEMS)


def with_gaps(frame: pd.DataFrame, share: float = 0.05, seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return frame.astype("Int8").mask(rng.random(frame.shape) < share)


def assert_same_bits(found: Moments, wanted: Moments) -> None:
    assert found.n == wanted.n
    assert found.dropped == wanted.dropped
    assert (found.mean == wanted.mean).all()
    assert (found.cov == wanted.cov).all()


def stored(frame: pd.DataFrame, folder: Path, form: str) -> object:
    """The same rows, cut and written in different ways."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    n, file = len(frame), folder / "one.parquet"
    if form == "one row group":
        pq.write_table(table, file, row_group_size=n)
    elif form == "row groups of 70 rows":
        pq.write_table(table, file, row_group_size=70)
    elif form == "uneven files":
        for i, (a, b) in enumerate([(0, 1), (1, 1700), (1700, 1701), (1701, n)]):
            pq.write_table(table.slice(a, b - a), folder / f"part-{i}.parquet", row_group_size=640)
        return folder
    elif form == "empty file and row group":
        pq.write_table(table, folder / "b.parquet", row_group_size=999)
        pq.write_table(table.slice(0, 0), folder / "a.parquet")
        return folder
    elif form == "csv":
        pa.csv.write_csv(table, folder / "one.csv")
        return folder / "one.csv"
    elif form == "tsv":
        options = pa.csv.WriteOptions(delimiter="\t")
        pa.csv.write_csv(table, folder / "one.tsv", options)
        return folder / "one.tsv"
    elif form == "arrow":
        pa.feather.write_feather(table, folder / "one.arrow", compression="uncompressed", chunksize=600)
        return folder / "one.arrow"
    elif form == "hive":
        parted = table.append_column("wave", pa.array([f"20{i % 3}" for i in range(n)]))
        ds.write_dataset(parted, folder / "h", format="parquet", partitioning=["wave"], partitioning_flavor="hive")
        return folder / "h"
    elif form == "pattern":
        for i in range(3):
            pq.write_table(table.slice(i * n // 3, (i + 1) * n // 3 - i * n // 3), folder / f"y{i}.parquet")
        return str(folder / "y*.parquet")
    elif form == "dataset":
        pq.write_table(table, file, row_group_size=777)
        return ds.dataset(file)
    elif form == "table":
        return table
    elif form == "frame":
        return frame
    elif form == "turned round":
        return frame.iloc[::-1]
    return file


FORMS = [
    "one row group",
    "row groups of 70 rows",
    "uneven files",
    "empty file and row group",
    "csv",
    "tsv",
    "arrow",
    "hive",
    "pattern",
    "dataset",
    "table",
    "frame",
    "turned round",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_partition_and_format_gives_the_bits_of_the_frame_in_memory(form, tmp_path):
    frame = with_gaps(answers())
    assert_same_bits(moments(stored(frame, tmp_path, form), ITEMS), Moments.from_frame(frame))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing_not_even_with_weights_and_in_groups(threads, tmp_path):
    frame = answers(3000).assign(w=np.random.default_rng(3).gamma(2, size=3000), town=np.arange(3000) % 7)
    source = stored(frame, tmp_path, "row groups of 70 rows")
    one = scan(source, ITEMS, design=Design(weights="w"), by=["town"], groups=40, threads=1)
    many = scan(source, ITEMS, design=Design(weights="w"), by=["town"], groups=40, threads=threads)
    assert (one.moments.cov == many.moments.cov).all()
    assert (one.units.table == many.units.table).all()
    assert all((a.cov == many.segments("town")[k].cov).all() for k, a in one.segments("town").items())


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        (np.int8, 1, 10),
        (np.int8, 0, 100),
        (np.int8, -128, 127),
        (np.uint8, 0, 255),
        (np.uint8, 1, 7),
        (np.int16, 0, 900),
        (np.int32, 1, 5),
        (np.int64, 1, 10),
        (np.float32, 1, 10),
        (np.float64, 0, 100),
    ],
)
def test_every_type_and_scale_of_whole_answers_is_exact(kind, low, high):
    """Sums of whole numbers have one right answer; Python's integers know it."""
    frame = answers(4000, low=low, high=high, kind=kind)
    found = moments(frame, ITEMS)
    x = [[int(v) - 5 for v in frame[c]] for c in ITEMS]
    exact = [[sum(a * b for a, b in zip(first, second, strict=True)) for second in x] for first in x]
    assert found.products.tolist() == exact
    assert found.sums.tolist() == [sum(column) for column in x]


def test_single_precision_blocks_are_exact_at_their_limit():
    """All products positive and as large as they come: the sum of a block comes closest to 2^24."""
    values = np.full(200_000, 127, dtype=np.int8)
    block = Block([Answers(values, None, 127, 127), Answers(values, None, 127, 127)], (0.0, 0.0), None)
    assert block.single
    assert block.step * 127**2 <= 2**24
    assert block.cell().products.tolist() == [[200_000 * 127**2] * 2] * 2
    dealt = block.dealt(None, 3, np.random.default_rng(1))
    assert dealt.pooled.products.tolist() == [[200_000 * 127**2] * 2] * 2
    assert dealt.n.sum() == 200_000


@pytest.mark.parametrize("p", [1, 60])
@pytest.mark.parametrize(("kind", "low", "high"), [(np.int8, -128, 127), (np.uint8, 0, 255)])
@pytest.mark.parametrize("origin", [-128.0, 5.0, 255.0])
def test_bytes_are_exact_at_the_ends_of_their_range_about_any_origin(p, kind, low, high, origin):
    """Where all distances fit into a byte, and where they do not; double precision is exact here below 2^53."""
    rng = np.random.default_rng(p)
    for n in (0, 1, 1023, 1025, 8193)[: 5 if p == 1 else 4]:
        near = [max(low, int(origin) - 127), min(high, int(origin) + 127)]
        for ends in ([low, high], near)[p > 1 :]:
            if ends[0] > ends[1]:
                continue
            x = rng.choice(ends, size=(n, p))
            columns = [Answers(c.astype(kind), None, *((c.min(), c.max()) if n else (0, 0))) for c in x.T]
            block, z, w = Block(columns, (origin,) * p, None), x - origin, rng.integers(0, 4, n)
            chosen = np.flatnonzero(rng.random(n) < 0.5)
            weighted = Block(columns, (origin,) * p, w.astype(float))
            for found, rows, weight in (
                (block.cell(), z, 1),
                (block.cell(chosen), z[chosen], 1),
                (block.dealt(chosen, 9, np.random.default_rng(1)).pooled, z[chosen], 1),
                (weighted.cell(), z, w[:, None]),
                (weighted.dealt(None, 9, np.random.default_rng(1)).pooled, z, w[:, None]),
            ):
                assert (found.sums == (rows * weight).sum(axis=0)).all()
                assert (found.products == rows.T @ (rows * weight)).all()


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_reversed_bytes_stay_bytes_where_they_fit(kind):
    frame = answers(3000).astype(kind)
    found = moments(frame, dict.fromkeys(ITEMS, Recode(1, 10, reversed=True)))
    assert_same_bits(found, Moments.from_frame(11 - frame.astype(int)))
    wide = pd.DataFrame({"q1": np.arange(256) % 128 + (128 if kind == np.uint8 else 0)}).astype(kind)
    bounds = Recode(0, 255 if kind == np.uint8 else 127, reversed=True)
    total = bounds.low + bounds.high
    assert_same_bits(moments(wide, {"q1": bounds}), Moments.from_frame(total - wide.astype(int)))


@pytest.mark.parametrize("far", [2_000, 10**6, 10**9, 10**12])
@pytest.mark.parametrize("kind", [np.int64, float])
def test_large_whole_numbers_keep_their_variance(far, kind, tmp_path):
    """Adding a constant changes no covariance: years, amounts and times of the clock are whole numbers too."""
    x = answers(3000)
    wanted = np.cov(x.to_numpy(float).T)
    found = moments((x.astype(np.int64) + far).astype(kind), ITEMS)
    np.testing.assert_allclose(found.cov, wanted, rtol=1e-12)
    pq.write_table(pa.Table.from_pandas(x.astype(np.int64) + far), tmp_path / "a.parquet", row_group_size=70)
    np.testing.assert_allclose(moments(tmp_path / "a.parquet", ITEMS).cov, wanted, rtol=1e-12)


def test_decimals_and_fractions_agree_with_the_frame_in_memory():
    frame = answers(2000).astype(float) + 0.25
    table = pa.table({c: pa.array([decimal.Decimal(str(v)) for v in frame[c]], pa.decimal128(6, 2)) for c in ITEMS})
    np.testing.assert_allclose(moments(table, ITEMS).cov, Moments.from_frame(frame).cov, rtol=1e-12)
    far = frame + 1e6
    np.testing.assert_allclose(moments(far, ITEMS).cov, Moments.from_frame(far).cov, rtol=1e-9)


def test_files_may_store_the_same_answers_in_different_number_types(tmp_path):
    """A file without gaps is written with integers, its neighbour with gaps as floats."""
    frame = answers(1000)
    frame[:400].to_parquet(tmp_path / "a.parquet")
    frame[400:].astype(float).to_parquet(tmp_path / "b.parquet")
    assert_same_bits(moments(tmp_path, ITEMS), Moments.from_frame(frame))


@pytest.mark.parametrize("form", ["uneven files", "csv", "hive", "turned round"])
def test_weights_agree_to_rounding_in_every_partition(form, tmp_path):
    frame = with_gaps(answers()).assign(w=np.random.default_rng(3).gamma(2, size=5000))
    frame.loc[::50, "w"] = 0.0
    wanted = Moments.from_frame(frame, weights="w")
    found = moments(stored(frame, tmp_path, form), ITEMS, weights="w")
    assert (found.n, found.dropped) == (wanted.n, wanted.dropped)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-12)
    np.testing.assert_allclose(found.cov, wanted.cov, rtol=1e-12)


@pytest.mark.parametrize("missing", ["em", "mean"])
@pytest.mark.parametrize("weights", [None, "w"])
def test_completed_answers_agree_with_the_frame_in_memory(missing, weights, tmp_path):
    frame = with_gaps(answers(1200), 0.15).assign(w=np.random.default_rng(3).gamma(2, size=1200))
    used = frame if weights else frame[ITEMS]
    wanted = Moments.from_frame(used, weights=weights, missing=missing)
    found = moments(stored(frame, tmp_path, "row groups of 70 rows"), ITEMS, weights=weights, missing=missing)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-10)
    np.testing.assert_allclose(found.cov, wanted.cov, rtol=1e-10)
    assert str(found) == str(wanted)


def test_completing_some_items_uses_the_rows_that_answer_any_of_them():
    frame = with_gaps(answers(800), 0.3)
    found = scan(frame, ITEMS, patterns=True).completed("em", ["q4", "q2"])
    wanted = Moments.from_frame(frame[["q4", "q2"]], missing="em")
    assert (found.n, found.dropped) == (wanted.n, wanted.dropped)
    np.testing.assert_allclose(found.cov, wanted.cov, rtol=1e-9)


def test_sets_of_items_keep_the_rows_that_are_complete_in_them():
    frame = with_gaps(answers(), 0.2)
    found = scan(frame, ITEMS, sets=[["q1", "q2"], ["q5"]])
    assert_same_bits(found.complete_on(["q2", "q1"]).moments, Moments.from_frame(frame[["q2", "q1"]]))
    assert_same_bits(found.complete_on(["q5"]).moments, Moments.from_frame(frame[["q5"]]))
    with pytest.raises(SpecError, match=r"those that answer \['q3'\]: name them in sets="):
        found.complete_on(["q3"])


def test_codes_bounds_and_reversed_items_mean_what_they_say():
    frame = pd.DataFrame({"q1": [1, 5, 99, 7, 3, 0], "q2": [5, 1, 2, 3, 4, 2]}, dtype="int8")
    found = scan(frame, {"q1": Recode(1, 5, (99,), True, "missing"), "q2": Recode(1, 5)}, groups=2)
    wanted = Moments.from_frame(pd.DataFrame({"q1": [5, 1, 3], "q2": [5, 1, 4]}))
    assert (found.moments.cov == wanted.cov).all()
    assert found.moments.mean.tolist() == wanted.mean.tolist()
    sums = found.sums
    assert (sums.missing.tolist(), sums.coded.tolist(), sums.outside.tolist()) == ([3, 0], [1, 0], [2, 0])
    with pytest.raises(DataError, match="q1: 2 answers outside 1 to 5"):
        scan(frame, {"q1": Recode(1, 5, (99,)), "q2": Recode(1, 5)})


def test_codes_and_bounds_that_do_not_fit_the_type_are_no_trouble():
    frame = pd.DataFrame({"q1": np.array([1, 2, 255, 4], dtype="uint8"), "q2": np.array([1, 3, 2, 2], dtype="uint8")})
    found = scan(frame, {"q1": Recode(-5, 300, (255, -9, 1e9), True), "q2": Recode(-5, 300)}, groups=2)
    assert found.moments.mean.tolist() == [295 - 7 / 3, 2.0]


def test_counts_give_medians_boxes_floor_and_ceiling():
    frame = with_gaps(answers())
    found = scan(frame, ITEMS, counts=True).counts
    for item in ITEMS:
        wanted = frame[item].dropna().astype(float).value_counts().sort_index()
        assert found[item].to_dict() == wanted.to_dict()
    wide = pd.DataFrame({"q1": np.arange(20_000.0), "q2": 1.0 * (np.arange(20_000) % 5)})
    with pytest.raises(DataError, match="'q1' has more than 10,000 different answers"):
        scan(wide, ["q1", "q2"], counts=True)


DESIGNS = {
    "units": Design(psu="town"),
    "strata, units and weights": Design(weights="w", strata="region", psu="town"),
    "population": Design(weights="w", strata="region", psu="town", population="size"),
    "two stages": Design(psu=("town", "house")),
}


def sampled() -> pd.DataFrame:
    n = 4000
    rng = np.random.default_rng(5)
    town = rng.integers(0, 30, n)
    frame = with_gaps(answers(n)).assign(w=rng.gamma(2, size=n), town=town, region=[f"r{t % 3}" for t in town])
    return frame.assign(size=100.0, house=rng.integers(0, 9, n), wave=rng.choice(["2023", "2024"], n))


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS.keys())
def test_primary_units_give_the_replicates_of_the_frame_in_memory(design, tmp_path):
    frame = sampled()
    source = stored(frame, tmp_path, "uneven files")
    found = scan(source, ITEMS, design=design).replicates(200, rng=4)
    wanted = csi.replicates(frame, design, items=ITEMS, draws=200, rng=4)
    assert (found.method, found.df) == (wanted.method, wanted.df)
    np.testing.assert_allclose(found.moments.cov, wanted.moments.cov, rtol=1e-10)
    jackknife = scan(source, ITEMS, design=design).replicates(method="jackknife")
    np.testing.assert_allclose(
        jackknife.interval(lambda m: m.mean, kind="normal").se,
        csi.replicates(frame, design, items=ITEMS, method="jackknife").interval(lambda m: m.mean, kind="normal").se,
        rtol=1e-9,
    )


def test_segments_keep_the_units_of_the_whole_sample():
    """Moments of a segment are those of its rows; its variance is that of a part of the sample, all units staying."""
    frame, design = sampled(), DESIGNS["strata, units and weights"]
    found = scan(frame, ITEMS, design=design, by=["wave", "region"])
    for wave, part in frame.groupby("wave"):
        wanted = Moments.from_frame(part[[*ITEMS, "w"]], weights="w")
        np.testing.assert_allclose(found.segments("wave")[wave].cov, wanted.cov, rtol=1e-12)
        assert found.segment_units("wave")[wave].count == found.units.count
        outside = frame.assign(**{c: frame[c].where(frame["wave"] == wave) for c in ITEMS})
        drawn = csi.replicates(outside, design, items=ITEMS, draws=50, rng=1)
        own = found.segment_replicates("wave", 50, rng=1)[wave]
        np.testing.assert_allclose(own.moments.cov, drawn.moments.cov, rtol=1e-9)
    assert sum(m.n for m in found.segments("region").values()) == found.moments.n


def test_rows_without_a_segment_are_a_group_and_rows_without_a_unit_are_refused():
    frame = sampled().astype({"wave": object})
    frame.loc[:9, "wave"] = None
    labels = scan(frame, ITEMS, by=["wave"]).segments("wave")
    assert list(labels) == ["(no group)", "2023", "2024"]
    frame = frame.astype({"town": "Int64"})
    frame.loc[3:5, "town"] = None
    with pytest.raises(DataError, match="'town' is empty in 3 rows"):
        scan(frame, ITEMS, design=Design(psu="town"))


def test_random_groups_hold_every_complete_row_once():
    frame = with_gaps(answers(), 0.1)
    found = scan(frame, ITEMS, groups=300, by=[])
    units, complete = found.units, int(frame.notna().all(axis=1).sum())
    assert units.rows == complete
    np.testing.assert_allclose(units.table[:, 0], complete / units.count, rtol=1e-12)
    np.testing.assert_allclose(units.table[:, 1:6].sum(axis=0), found.moments.sums, rtol=1e-12)


def test_random_groups_give_the_standard_error_of_a_mean():
    """The closed form is s / sqrt(n); 400 groups know a standard error to 1 / sqrt(2 * 399) = 3.5 %."""
    frame = answers(20_000)
    found = scan(frame, ITEMS, groups=400, seed=9).replicates(2000, rng=3).interval(lambda m: m.mean)
    closed = frame.std().to_numpy() / np.sqrt(len(frame))
    assert np.abs(found.se / closed - 1).max() < 4 * np.hypot(0.0354, 1 / np.sqrt(2 * 2000))


def test_strata_of_respondents_are_random_groups_within_strata():
    """Means differ between strata only: the variance of the whole mean is that within strata."""
    rng = np.random.default_rng(2)
    region = np.repeat([0, 1], 5000)
    frame = pd.DataFrame({"q1": 3 + 4 * region + rng.integers(-1, 2, 10_000), "q2": rng.integers(1, 8, 10_000)})
    frame["region"] = region
    found = scan(frame, ["q1", "q2"], design=Design(strata="region"), by=["region"])
    assert found.units.count == 400
    assert found.units.df == 398
    se = found.replicates(2000, rng=1).interval(lambda m: m.mean).se
    within = np.sqrt(frame.groupby("region")[["q1", "q2"]].var().to_numpy().mean(axis=0) / 10_000)
    assert np.abs(se / within - 1).max() < 4 * np.hypot(1 / np.sqrt(2 * 398), 1 / np.sqrt(4000))
    assert "random groups in 2 strata" in str(found)


def test_random_groups_depend_on_seed_and_place_and_on_nothing_else(tmp_path):
    source = stored(answers(), tmp_path, "uneven files")
    first, again, other = (
        scan(source, ITEMS, groups=50, seed=s, threads=t).units.table for s, t in ((1, 1), (1, 3), (2, 1))
    )
    assert (first == again).all()
    assert not (first == other).all()


def test_all_damaged_files_are_named_and_the_others_stay_as_they_are(tmp_path):
    stored(answers(), tmp_path, "uneven files")
    good = (tmp_path / "part-1.parquet").read_bytes()
    for name in ("part-0.parquet", "part-3.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 no parquet at all PAR1")
    with pytest.raises(DataError) as caught:
        moments(tmp_path, ITEMS)
    assert [p.split(":")[0] for p in caught.value.problems] == ["part-0.parquet", "part-3.parquet"]
    assert (tmp_path / "part-1.parquet").read_bytes() == good


def test_a_file_damaged_in_the_middle_is_named_with_its_row_group(tmp_path):
    pq.write_table(pa.Table.from_pandas(answers(50_000)), tmp_path / "one.parquet", row_group_size=10_000)
    content = bytearray((tmp_path / "one.parquet").read_bytes())
    start = pq.read_metadata(tmp_path / "one.parquet").row_group(2).column(0).dictionary_page_offset
    content[start : start + 3000] = bytes(3000)
    (tmp_path / "one.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"one\.parquet, row group 2 cannot be read"):
        moments(tmp_path / "one.parquet", ITEMS)


def test_files_of_another_form_are_all_named(tmp_path):
    frame = answers(100)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.drop(columns=["q2", "q4"]).to_parquet(tmp_path / "b.parquet")
    frame.assign(q3="seven").to_parquet(tmp_path / "c.parquet")
    with pytest.raises(DataError) as caught:
        moments(tmp_path, ITEMS)
    assert caught.value.problems == (
        "b.parquet: no column 'q2', 'q4'",
        "c.parquet: 'q3' holds text, in a.parquet numbers",
    )


def test_text_answers_are_named_with_their_file(tmp_path):
    frame = answers(50).astype({"q2": object})
    frame.loc[7, "q2"] = "agree"
    frame.astype(str).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet, row group 0: the item 'q1' holds .*string, not numbers"):
        moments(tmp_path / "a.parquet", ITEMS)
    frame.to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match=r"a\.csv: the item 'q2' holds text: 'agree'; write numbers, or declare"):
        moments(tmp_path / "a.csv", ITEMS)
    with pytest.raises(DataError, match="'q1' holds bool"):
        moments(answers(50).assign(q1=True), ITEMS)


def test_infinite_answers_and_bad_weights_are_refused():
    frame = answers(50).astype(float)
    frame.loc[3, "q2"] = np.inf
    with pytest.raises(DataError, match="'q2' holds infinite values"):
        moments(frame, ITEMS)
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(DataError, match="'w' are missing, infinite or negative in 1 rows"):
            moments(answers(3).assign(w=[1.0, 2.0, bad]), ITEMS, weights="w")
    with pytest.raises(DataError, match=r"'w' hold .*string"):
        moments(answers(3).assign(w=["a", "b", "c"]), ITEMS, weights="w")
    with pytest.raises(DataError, match=r"no row of 3 .* and a positive weight"):
        moments(answers(3).assign(w=0.0), ITEMS, weights="w")


def test_requests_that_cannot_be_met_are_refused(tmp_path):
    frame = answers(50).assign(w=1.0, town=1)
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "other").mkdir()
    frame.to_csv(tmp_path / "other" / "b.csv")
    frame.to_parquet(tmp_path / "other" / "b.parquet")
    (tmp_path / "none").mkdir()
    refused = [
        (DataError, r"no such file or folder: \['absent.parquet'\]", lambda: moments("absent.parquet", ITEMS)),
        (DataError, "no file system give a pyarrow Dataset", lambda: moments("s3://bucket/a.parquet", ITEMS)),
        (DataError, r"kinds of files \['.csv', '.parquet'\]", lambda: moments(tmp_path / "other", ITEMS)),
        (DataError, "no file of answers", lambda: moments(tmp_path / "none", ITEMS)),
        (DataError, r"columns not in a.parquet: \['q8', 'q9'\]", lambda: moments(tmp_path / "a.parquet", ["q8", "q9"])),
        (DataError, r"columns not in the data: \['q9'\]", lambda: moments(frame, ["q1", "q9"])),
        (DataError, "need a file, a folder", lambda: moments(7, ITEMS)),
        (SpecError, "no items given", lambda: moments(frame, [])),
        (SpecError, r"named twice: \['q1'\]", lambda: moments(frame, ["q1", "q1"])),
        (SpecError, "two roles", lambda: moments(frame, ITEMS, weights="q1")),
        (SpecError, "two roles", lambda: scan(frame, ITEMS, by=["q1"])),
        (SpecError, "'listwise', 'raise', 'em' or 'mean'", lambda: moments(frame, ITEMS, missing="pairwise")),
        (SpecError, r"items without a meaning: \{'q1': \(1, 10\)\}", lambda: moments(frame, {"q1": (1, 10)})),
        (SpecError, r"named by their columns, a list of texts; got \[\['q1'\]\]", lambda: moments(frame, [["q1"]])),
        (SpecError, "form='csv' is no Form", lambda: moments(frame, ITEMS, form="csv")),
        (
            DataError,
            r"'tags' holds list<.*>, not labels",
            lambda: scan(frame.assign(tags=[[1]] * 50), ITEMS, by="tags"),
        ),
        (SpecError, "two random groups or more", lambda: scan(frame, ITEMS, groups=1)),
        (SpecError, "population sizes without psu", lambda: scan(frame, ITEMS, design=Design(population="w"))),
        (SpecError, "'local' or 'dask'", lambda: moments(frame, ITEMS, engine="spark")),
        (SpecError, "client= is for engine='dask'", lambda: moments(frame, ITEMS, client=object())),
        (SpecError, "threads=0", lambda: moments(frame, ITEMS, threads=0)),
        (SpecError, "threads='2'", lambda: moments(frame, ITEMS, threads="2")),
        (SpecError, r"threads=1\.5", lambda: moments(frame, ITEMS, threads=1.5)),
        (SpecError, "threads=True", lambda: moments(frame, ITEMS, threads=True)),
        (SpecError, "seed=-1", lambda: scan(frame, ITEMS, seed=-1)),
        (SpecError, r"seed=1\.5", lambda: scan(frame, ITEMS, seed=1.5)),
        (SpecError, "memory=0", lambda: scan(frame, ITEMS, memory=0)),
        (SpecError, "memory='1'", lambda: scan(frame, ITEMS, memory="1")),
        (SpecError, r"kept no sums by 'town'", lambda: scan(frame, ITEMS).segments("town")),
        (SpecError, "counted no answers", lambda: scan(frame, ITEMS).counts),
        (SpecError, "use 'random groups' or 'jackknife'", lambda: scan(frame, ITEMS).replicates(method="bootstrap")),
        (DataError, "no row", lambda: moments(frame.iloc[:0], ITEMS)),
    ]
    for error, words, request in refused:
        with pytest.raises(error, match=words):
            request()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: Recode(10, 1), "low=10, high=1: two numbers are needed, the lower one first"),
        (lambda: Recode("1", "10"), "low='1', high='10'"),
        (lambda: Recode(reversed=True), "a reversed item needs bounds"),
        (lambda: Recode(1, 10, codes=(float("nan"),)), "codes=.*numbers are needed"),
        (lambda: Recode(1, 10, codes=("refused",)), "texts that mean no answer go into texts="),
        (lambda: Recode(1, 10, texts="refused"), "a tuple of texts is needed"),
        (lambda: Recode(1, 10, outside="drop"), "outside='drop' is unknown; use 'error' or 'missing'"),
        (lambda: Form(";;"), "delimiter=';;': one sign"),
        (lambda: Form(decimal="x"), r"decimal='x': a point or a comma"),
        (lambda: Form(encoding="klingon"), "encoding='klingon' is unknown"),
        (lambda: Form(encoding="hex"), "encoding='hex' is unknown"),
    ],
)
def test_meanings_and_forms_that_cannot_be_are_refused_when_they_are_made(made, words):
    with pytest.raises(SpecError, match=words):
        made()


def test_missing_answers_are_refused_on_request():
    with pytest.raises(DataError, match=r"missing answers: \{'q1': 1\}"):
        moments(pd.DataFrame({"q1": [1, None, 3], "q2": [1, 2, 2]}), ["q1", "q2"], missing="raise")


def test_text_files_are_read_as_the_study_says(tmp_path):
    frame = answers(200).astype(float) / 2
    frame.assign(town="Übersee").to_csv(tmp_path / "a.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    found = scan(tmp_path / "a.csv", ITEMS, by=["town"], form=Form(";", "cp1252", ","))
    np.testing.assert_allclose(found.moments.cov, Moments.from_frame(frame).cov, rtol=1e-12)
    assert list(found.segments("town")) == ["Übersee"]


def test_sums_add_up_in_any_order_and_nothing_is_their_zero():
    recipe = Recipe(("q1", "q2"), (5.0, 5.0), (Recode(), Recode()), random_groups=3, counts=True)
    frame = answers(999)[["q1", "q2"]]
    batches = pa.Table.from_pandas(frame, preserve_index=False).to_batches(100)
    parts = [sums_of(batch, recipe, (0, 0, i)) for i, batch in enumerate(batches)]
    total, other = merged(parts, recipe), merged([nothing(recipe), *parts[::-1]], recipe)
    assert (total.whole.products == other.whole.products).all()
    assert (total.dealt.products == other.dealt.products).all()
    assert total.rows == other.rows == 999


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read peak memory from")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """As floats these rows would take 576 MB; a pass with counts and 1,000 random groups adds less than 250 MB."""
    rng = np.random.default_rng(1)
    names = [f"q{i}" for i in range(24)]
    table = pa.table({name: pa.array(rng.integers(1, 11, 300_000).astype(np.int8)) for name in names})
    with pq.ParquetWriter(tmp_path / "big.parquet", table.schema) as writer:
        for _ in range(10):
            writer.write_table(table, row_group_size=300_000)
    program = (
        "import re, sys\n"
        "from csi_lab.scaleout import scan\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "before = peak()\n"
        "found = scan(sys.argv[1], [f'q{i}' for i in range(24)], counts=True, threads=2, progress=False)\n"
        "assert found.rows == 3_000_000\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "big.parquet")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 250


def kept_megabytes(found) -> float:
    """Counted from the arrays themselves, copies as the docstring of scan states them."""
    sums = [found.sums, *found.sums.sets]
    cells = [
        c for s in sums for c in (s.whole, s.dealt, *(c for key in s.keyed for c in key.values())) if c is not None
    ]
    return 12 * sum(c.sums.nbytes + c.products.nbytes + 8 * 2 * np.size(c.n) for c in cells) / 1e6


@pytest.mark.parametrize("threads", [1, 3])
def test_random_groups_become_fewer_until_the_sums_fit_into_memory(threads):
    frame = with_gaps(answers(3000)).assign(town=np.arange(3000) % 20, wave=np.arange(3000) % 4)
    found = scan(frame, ITEMS, by=["town", "wave"], sets=[["q1", "q2"]], memory=6, threads=threads)
    assert 4 < kept_megabytes(found) < 6
    assert found.recipe.random_groups < 1000
    assert 30 <= found.recipe.key_groups[0] < 200
    assert "in place of 200, so that sums stay within 6 MB" in str(found)
    assert not scan(frame, ITEMS, by=["town", "wave"], memory=100).notes


def test_segments_whose_groups_do_not_fit_keep_moments_and_say_that_they_have_no_intervals():
    frame = answers(4000).assign(store=np.arange(4000) % 100, wave=np.arange(4000) % 2)
    found = scan(frame, ITEMS, by=["store", "wave"], memory=3)
    assert kept_megabytes(found) < 3
    plenty = scan(frame, ITEMS, by=["store", "wave"])
    for store, moment in plenty.segments("store").items():
        assert_same_bits(found.segments("store")[store], moment)
    assert "The 100 segments of 'store' have no intervals" in found.notes[-1]
    with pytest.raises(SpecError, match="'store' have no replicates"):
        found.segment_replicates("store")
    weights = dict.fromkeys(ITEMS, 1.0)
    with pytest.warns(csi.CsiLabWarning, match="pass again with memory="):
        table = csi.scaleout.index_by_segment(found, "store", weights, (1, 10), draws=50)
    assert table["se"].isna().all()
    assert table["estimate"].notna().all()
    assert csi.scaleout.index_by_segment(found, "wave", weights, (1, 10), draws=50)["se"].notna().all()
    asked = int(found.notes[-1].split("memory=")[1].split(",")[0])
    again = scan(frame, ITEMS, by=["store", "wave"], memory=asked)
    assert not again.without_groups("store")
    assert kept_megabytes(again) <= asked


def test_primary_units_that_cannot_fit_are_refused_with_the_memory_they_need():
    names = [f"q{i}" for i in range(200)]
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.integers(1, 6, (600, 200)).astype(np.int8), columns=names).assign(town=range(600))
    with pytest.raises(SpecError, match=r"about 2,3\d\d MB \(labels: 600 of town\).*memory=23\d\d"):
        scan(frame, names, design=Design(psu="town"))


def test_a_seed_of_replicates_below_zero_is_refused():
    found = scan(answers(100).assign(town=1), ITEMS, by=["town"])
    with pytest.raises(SpecError, match="rng=-1"):
        csi.scaleout.index_by_segment(found, "town", {"q1": 1.0}, (1, 10), rng=-1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"items": None}, "items are named by their columns"),
        ({"items": 5.0}, "items are named by their columns"),
        ({"by": 5}, "by= takes names of columns, got .5."),
        ({"design": "w"}, "design='w': give csi_lab.Design"),
        ({"design": {"weights": "w"}}, "give csi_lab.Design"),
        ({"sets": "q1"}, "a list of lists of items"),
        ({"sets": ["q1", "q2"]}, "a list of lists of items"),
        ({"sets": 5}, "a list of lists of items"),
        ({"sets": [[["q1"]]]}, "name one that is not read"),
        ({"label_groups": 1}, "label_groups=1: .* 200 are usual"),
    ],
)
def test_settings_of_a_pass_of_the_wrong_kind_are_refused_by_name(given, words):
    with pytest.raises(SpecError, match=words):
        scan(answers(50), **({"items": ITEMS} | given))


def test_no_columns_of_segments_and_no_sets_may_be_none():
    assert scan(answers(50), ITEMS, by=None, sets=None).by == ()


@pytest.mark.parametrize("weights", [[1.0] * 50, np.ones(50), pd.Series(np.ones(50)), 3])
def test_weights_that_are_no_column_are_refused_with_the_reason(weights):
    with pytest.raises(SpecError, match="weights= takes the name of a column"):
        moments(answers(50), ITEMS, weights=weights)


def test_questions_to_a_pass_that_it_cannot_answer_are_refused():
    found = scan(answers(50).assign(g="a"), ITEMS, by=["g"], patterns=True)
    with pytest.raises(SpecError, match=r"did not read: \['q9'\]; it read"):
        found.completed("em", ["q9"])
    with pytest.raises(SpecError, match="no items given"):
        found.complete_on([])
    assert found.complete_on("q1").items == ("q1",)
    with pytest.raises(SpecError, match="rng='x'"):
        found.segment_replicates("g", 10, rng="x")


def test_an_id_taken_for_a_segment_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("csi_lab.scaleout.kernel.MOST_LABELS", 500)
    frame = answers(2000).assign(id=np.arange(2000), town=np.arange(2000) % 500)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "a.parquet", row_group_size=100)
    for roles in ({"by": "id"}, {"design": Design(psu="id")}):
        with pytest.raises(DataError, match=r"more than 500 labels of 'id': .* and no id"):
            scan(tmp_path / "a.parquet", ITEMS, **roles)
    assert scan(tmp_path / "a.parquet", ITEMS, design=Design(psu="town")).units.count == 500
