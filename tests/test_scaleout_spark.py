"""The adapter for Spark, where pyspark and Java are there; its mapper in any case."""

from __future__ import annotations

import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from made_studies import answers

from csi_lab import DataError
from csi_lab.moments import Moments
from csi_lab.scaleout import Recode, moments, spark
from csi_lab.scaleout.engines import merged
from csi_lab.scaleout.kernel import Recipe

ITEMS = [f"q{i}" for i in range(1, 11)]


def test_an_executor_hands_over_one_row_of_bytes_with_the_sums_of_its_partition():
    frame = answers(1000)
    recipe = Recipe(tuple(ITEMS), (5.0,) * 10, (Recode(),) * 10)
    batches = pa.Table.from_pandas(frame).to_batches(100)
    rows = [row for part in (batches[:3], batches[3:], []) for row in spark._Mapper(recipe)(part)]
    assert [row.num_rows for row in rows] == [1, 1]
    total = merged((spark.loads(row["sums"][0].as_py()) for row in rows), recipe)
    assert (total.whole.products == Moments.from_frame(frame).products).all()


class _Frame:
    """What the adapter asks of a Spark DataFrame, with rows in memory."""

    def __init__(self, frame):
        self.columns, self.batches = list(frame.columns), pa.Table.from_pandas(frame).to_batches(300)
        self.passes = 0

    def select(self, *columns):
        return self

    def mapInArrow(self, mapper, schema):
        self.passes += 1
        self.made = [batch for one in self.batches for batch in mapper([one])]
        return self

    def toLocalIterator(self):
        return (SimpleNamespace(sums=batch["sums"][0].as_py()) for batch in self.made)


def test_answers_take_one_pass_and_numbers_far_from_the_origin_two():
    near = _Frame(answers(1000))
    assert (spark.moments(near, ITEMS).cov == Moments.from_frame(answers(1000)).cov).all()
    assert near.passes == 1
    far = _Frame(answers(1000) + 10**9)
    np.testing.assert_allclose(spark.moments(far, ITEMS).cov, np.cov(answers(1000).to_numpy().T), rtol=1e-12)
    assert far.passes == 2


@pytest.fixture(scope="module")
def session():
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed")
    with pytest.MonkeyPatch.context() as patch:
        # Executors run the interpreter of the tests, which has what the kernel needs.
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
        yield session
        session.stop()


def test_a_spark_frame_gives_the_bits_of_the_frame_in_memory(session, tmp_path):
    frame = answers(1000)
    frame.to_parquet(tmp_path / "a.parquet")
    found = spark.moments(session.read.parquet(str(tmp_path / "a.parquet")).repartition(3), ITEMS)
    assert (found.cov == Moments.from_frame(frame).cov).all()
    assert (found.mean == Moments.from_frame(frame).mean).all()


def test_gaps_codes_reversed_items_and_weights_mean_the_same_on_spark(session, tmp_path):
    rng = np.random.default_rng(4)
    frame = answers(1000).astype("Int8").mask(rng.random((1000, 10)) < 0.05).assign(w=rng.gamma(2, size=1000))
    frame.loc[::40, "q1"] = 99
    frame.to_parquet(tmp_path / "a.parquet")
    items = dict.fromkeys(ITEMS, Recode(1, 10)) | {"q1": Recode(1, 10, (99,)), "q2": Recode(1, 10, reversed=True)}
    rows = session.read.parquet(str(tmp_path / "a.parquet")).repartition(4)
    wanted, found = moments(frame, items, weights="w"), spark.moments(rows, items, weights="w")
    assert (found.n, found.dropped) == (wanted.n, wanted.dropped)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-12)
    np.testing.assert_allclose(found.cov, wanted.cov, rtol=1e-12)
    with pytest.raises(DataError, match="q1: 25 answers outside 1 to 10"):
        spark.moments(rows, items | {"q1": Recode(1, 10)})
    with pytest.raises(DataError, match=r"columns not in the Spark DataFrame: \['q11'\]"):
        spark.moments(rows, ["q1", "q11"])
    with pytest.raises(DataError, match="the source holds no rows"):
        spark.moments(rows.limit(0), ITEMS)
