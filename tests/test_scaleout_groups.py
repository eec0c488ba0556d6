"""Random groups of a pass: their errors do not depend on how rows are ordered and cut into files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from csi_lab.moments import Moments
from csi_lab.scaleout import scan

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
        from csi_lab import Design

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
