"""The adapter for Spark, where pyspark and Java are there; its mapper in any case."""

from __future__ import annotations

import shutil
import sys

import pyarrow as pa
import pytest
from made_studies import answers

from csi_lab.moments import Moments
from csi_lab.scaleout import Recode, spark
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


def test_a_spark_frame_gives_the_bits_of_the_frame_in_memory(monkeypatch):
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed")
    # Executors run the interpreter of the tests, which has what the kernel needs.
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    frame = answers(1000)
    session = sql.SparkSession.builder.master("local[2]").getOrCreate()
    try:
        found = spark.moments(session.createDataFrame(frame).repartition(3), ITEMS)
    finally:
        session.stop()
    assert (found.cov == Moments.from_frame(frame).cov).all()
