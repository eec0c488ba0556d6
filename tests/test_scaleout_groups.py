"""Random groups of a pass: their errors do not depend on how rows are ordered and cut into files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import csi_lab as csi
from csi_lab import Design
from csi_lab.moments import Moments
from csi_lab.scaleout import index_by_segment, scan

N = 50_000


@pytest.mark.parametrize("size", [5_000, 700])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_in_order_lose_no_variance(tmp_path: Path, size: int, weighted: bool):
    """Rows sorted by the answer: between row groups lies all the variance, and the error is still sd / sqrt(n).

    With 1,000 groups and 1,000 draws an error is off by sqrt(1/2000 + 1/2000) of itself; four times that.
    """
    rng = np.random.default_rng(8)
    x = np.sort(rng.normal(7, 2, N).round().clip(1, 10)).astype(np.int8)
    w = rng.uniform(1, 3, N)
    pq.write_table(pa.table({"x": x, "w": w}), tmp_path / "a.parquet", row_group_size=size)
    design = None
    expected = x.std() / np.sqrt(N)
    if weighted:
        design = Design(weights="w")
        mean = w @ x / w.sum()
        expected = np.sqrt(((w * (x - mean)) ** 2).sum()) / w.sum()
    found = scan(tmp_path / "a.parquet", ["x"], design=design)
    made = found.replicates(1000, 1).interval(lambda m: m.mean, kind="normal")
    assert made.se[0] / expected == pytest.approx(1, abs=4 * np.sqrt(1 / 2000 + 1 / 2000))


def test_every_row_is_in_one_group():
    """Groups add up to the whole, bit for bit, and their sizes vary as those of independent rows do."""
    rng = np.random.default_rng(2)
    table = pa.table({name: rng.integers(1, 11, N).astype(np.int8) for name in ("a", "b")})
    found = scan(table, ["a", "b"])
    whole = Moments.from_frame(table.to_pandas())
    assert (found.moments.products == whole.products).all()
    sizes = found.units.sizes
    assert sizes.sum() == N
    # Chi-square of 999 degrees of freedom: sd sqrt(2 x 999).
    chi2 = ((sizes - N / 1000) ** 2).sum() / (N / 1000)
    assert chi2 == pytest.approx(999, abs=4.5 * np.sqrt(2 * 999))


def linearised(x: np.ndarray, w: np.ndarray, stratum: np.ndarray, part: np.ndarray) -> float:
    """Standard error of the weighted mean of a part of a stratified sample (Särndal, Swensson & Wretman 1992, 5.8)."""
    own = w * part
    z = own * (x - own @ x / own.sum()) / own.sum()
    return float(np.sqrt(sum(len(q) * q.var(ddof=1) for q in (z[stratum == h] for h in np.unique(stratum)))))


@pytest.mark.parametrize("weighted", [False, True])
def test_parts_of_a_stratified_sample_have_the_linearised_error(weighted: bool):
    """A part's share of each stratum, and the weight of each stratum, are chance. Means differ between strata, so that
    errors which took shares and weights for fixed would be half as large. 2 x 400 groups and 2,000 draws.
    """
    rng = np.random.default_rng(2)
    n = 20_000
    stratum, shop = np.repeat([0, 1], n // 2), rng.integers(0, 2, n)
    x = np.column_stack([3 + 4 * stratum + rng.integers(-1, 2, n), rng.integers(1, 8, n)])
    w = rng.gamma(2, size=n) if weighted else np.ones(n)
    frame = pd.DataFrame(x, columns=["q1", "q2"]).assign(stratum=stratum, shop=shop, w=w)
    design = Design(weights="w" if weighted else None, strata="stratum")
    found = scan(frame, ["q1", "q2"], design=design, by=["shop"], label_groups=400)
    parts = {"": np.ones(n), "0": shop == 0, "1": shop == 1}
    drawn = {"": found.replicates(2000, rng=1)} | found.segment_replicates("shop", 2000, rng=1)
    for label, part in parts.items():
        se = drawn[label].interval(lambda m: m.mean, kind="normal").se
        wanted = [linearised(x[:, i], w, stratum, part) for i in (0, 1)]
        assert se == pytest.approx(wanted, rel=4 * np.hypot(1 / np.sqrt(2 * 798), 1 / np.sqrt(4000)))


def test_a_segment_of_few_rows_in_few_strata_keeps_its_estimate_and_an_interval():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.integers(1, 11, (3000, 2)), columns=["q1", "q2"])
    frame = frame.assign(stratum=np.arange(3000) % 3, shop="large")
    frame.loc[[0, 1, 3, 6, 7, 9, 12, 13], "shop"] = "small"
    frame.loc[frame["shop"] == "small", ["q1", "q2"]] = [[10, 10], [10, 9], [9, 10], [10, 10]] * 2
    found = scan(frame, ["q1", "q2"], design=Design(strata="stratum"), by=["shop"])
    table = index_by_segment(found, "shop", {"q1": 1.0, "q2": 1.0}, (1, 10), draws=300)
    assert table.loc["small", "estimate"] == pytest.approx(100 * (9.75 - 1) / 9)
    assert table.loc["small", "n"] == 8
    assert np.isfinite(table.to_numpy(float)).all()


def test_population_sizes_take_no_variance_of_later_stages_away():
    """Towns sampled in turn: as in memory no correction of the towns, and the pass says so; taken whole: the same."""
    rng = np.random.default_rng(3)
    town = np.repeat(np.arange(12), 10)
    frame = pd.DataFrame(rng.integers(1, 11, (120, 3)), columns=["a", "b", "c"]).assign(town=town, towns=15, people=90)
    items = ["a", "b", "c"]

    def errors(design):
        near = csi.replicates(frame, design, items=items, draws=200, rng=1).interval(lambda m: m.mean).se
        far = scan(frame, items, design=design)
        return near, far.replicates(200, rng=1).interval(lambda m: m.mean).se, str(far)

    whole, streamed, said = errors(Design(psu="town", population="towns"))
    assert streamed == pytest.approx(whole, rel=1e-12)
    assert "correct nothing" not in said
    in_turn, streamed, said = errors(Design(psu="town", population=("towns", "people")))
    assert streamed == pytest.approx(in_turn, rel=1e-12)
    assert streamed == pytest.approx(whole / np.sqrt(1 - 12 / 15), rel=1e-12)
    assert "population sizes correct nothing" in said
