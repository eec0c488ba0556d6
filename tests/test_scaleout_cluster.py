"""A Dask cluster of two workers gives the numbers of the threads, bit for bit, and survives the loss of a worker."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import CancelledError
from threading import Thread

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_studies import answers, write_study

import csi_lab as csi
from csi_lab import DataError, Design, SpecError
from csi_lab.course.runner import report
from csi_lab.moments import Moments
from csi_lab.scaleout import Recode, cluster, moments, open_survey, scan, write_scores
from csi_lab.scaleout.engines import merged

distributed = pytest.importorskip("distributed", reason="dask is not installed")

ITEMS = [f"q{i}" for i in range(1, 11)]


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as made,
        distributed.Client(made) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    made = answers(6000).astype("Int8")
    made = made.mask(rng.random(made.shape) < 0.01)
    town = rng.integers(0, 24, len(made))
    return made.assign(
        town=town, region=town % 3, w=rng.gamma(2, size=len(made)), wave=rng.choice(["a", "b"], len(made))
    )


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    place = tmp_path_factory.mktemp("answers")
    for i in range(3):
        part = pa.Table.from_pandas(frame[i * 2000 : (i + 1) * 2000], preserve_index=False)
        pq.write_table(part, place / f"{i}.parquet", row_group_size=700)
    return place


def test_moments_have_the_same_bits(client, folder, frame):
    found = moments(folder, ITEMS, engine="dask", client=client)
    wanted = Moments.from_frame(frame[ITEMS])
    assert (found.n, found.dropped) == (wanted.n, wanted.dropped)
    assert (found.cov == wanted.cov).all()
    assert (found.mean == wanted.mean).all()


@pytest.mark.parametrize("design", [Design(weights="w"), Design(weights="w", strata="region", psu="town")], ids=str)
def test_weights_replicates_segments_and_counts_have_the_same_bits(design, client, folder):
    settings = {"design": design, "by": ["wave"], "counts": True, "groups": 60, "label_groups": 20, "seed": 5}
    far = scan(folder, ITEMS, engine="dask", client=client, **settings)
    near = scan(folder, ITEMS, threads=1, **settings)
    assert (far.moments.cov == near.moments.cov).all()
    assert (far.replicates(50, rng=1).moments.cov == near.replicates(50, rng=1).moments.cov).all()
    for wave, own in near.segment_replicates("wave", 50, rng=1).items():
        assert (far.segment_replicates("wave", 50, rng=1)[wave].moments.cov == own.moments.cov).all()
    assert all((far.counts[item] == near.counts[item]).all() for item in ITEMS)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 21, 64, 77])
def test_parts_in_one_task_meet_in_the_same_tree(count, threads):
    """Numbers whose sum depends on the order of adding: its bits tell whether the tree is the same."""
    rng = np.random.default_rng(count)
    values = rng.normal(size=count) * 10.0 ** rng.integers(-8, 8, count)

    def add(a, b, recipe):
        return a + b

    runs = cluster._runs(values, threads)
    assert np.concatenate(runs).tolist() == values.tolist()
    assert len(runs) >= min(count, cluster.TASKS * threads)

    class Here:
        def submit(self, work, some, recipe, pure):
            return merged(some, recipe, add)

    total = cluster._summed(Here(), [merged(run, None, add) for run in runs], None)
    assert total == merged(values, None, add)


def test_many_parts_have_the_same_bits(client, frame, tmp_path):
    path = tmp_path / "many.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=90)
    far = scan(path, ITEMS, design=Design(weights="w"), groups=20, engine="dask", client=client)
    near = scan(path, ITEMS, design=Design(weights="w"), groups=20, threads=1)
    assert (far.moments.cov == near.moments.cov).all()
    assert (far.replicates(20, rng=1).moments.cov == near.replicates(20, rng=1).moments.cov).all()


def test_completed_answers_have_the_same_bits(client, folder):
    far = moments(folder, ITEMS, missing="em", engine="dask", client=client)
    assert (far.cov == moments(folder, ITEMS, missing="em").cov).all()


def test_errors_of_a_worker_reach_the_caller_with_their_words(client, tmp_path):
    good = pd.DataFrame({"q1": [1, 2, 3], "q2": [1, 2, 2]})
    good.to_parquet(tmp_path / "a.parquet")
    good.assign(q2=[1.0, np.inf, 2.0]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet, row group 0: the item 'q2' holds infinite values"):
        moments(tmp_path, ["q1", "q2"], engine="dask", client=client)


def test_scores_are_the_same_files(client, folder, tmp_path):
    model = csi.PathModel({"A": ITEMS[:3], "B": ITEMS[3:6]}, {"B": ["A"]})
    fit = csi.sem.pls(moments(folder, model.items), model)
    write_scores(folder, fit, tmp_path / "near")
    written = write_scores(folder, fit, tmp_path / "far", engine="dask", client=client)
    assert written.files == ("0.parquet", "1.parquet", "2.parquet")
    for name in written.files:
        assert pq.read_table(tmp_path / "near" / name).equals(pq.read_table(tmp_path / "far" / name))


def test_a_report_runs_on_a_cluster_and_reads_no_row_itself(client, folder, tmp_path):
    study = write_study(
        tmp_path / "study",
        answers(30),
        data={"file": f"{folder}/"},
        segments=["wave"],
        design={"weights": "w", "strata": "region", "psu": "town"},
    )
    address = client.scheduler.address
    result = report(
        study, out=tmp_path / "out", engine="dask", scheduler=address, parameters={"draws": 50}, progress=False
    )
    names = {path.name for path in result.tables}
    wanted = {"items", "reliability", "paths", "convergent validity", "htmt", "index", "segments"}
    assert {name.replace(" ", "_") + ".csv" for name in wanted} <= {name.replace(" ", "_") for name in names}
    assert report(
        study, out=tmp_path / "out", engine="dask", scheduler=address, parameters={"draws": 50}, progress=False
    ).skipped
    table = pd.read_csv(next(path for path in result.tables if path.stem == "index"))
    near = csi.index.from_fit(csi.sem.pls(open_survey(study)), open_survey(study).bounds, target="Satisfaction")
    assert table["estimate"].to_numpy() == pytest.approx(near.table["estimate"].to_numpy(), rel=1e-12)


def test_no_scheduler_at_an_address_is_said(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    with pytest.raises(SpecError, match="no Dask scheduler answers at 'nowhere:1'"):
        moments(pd.DataFrame({"q1": [1, 2]}), ["q1"], engine="dask", client="nowhere:1")


def test_a_scheduler_lost_on_the_way_is_said(client, folder, monkeypatch):
    def lost(*_, **__):
        raise CancelledError

    monkeypatch.setattr("distributed.wait", lost)
    with pytest.raises(SpecError, match=r"connection to the Dask scheduler at tcp.* was lost"):
        scan(folder, ITEMS, engine="dask", client=client)


def test_a_closed_client_is_refused(client, folder):
    closed = distributed.Client(client.scheduler.address)
    closed.close()
    with pytest.raises(SpecError, match="the Dask client is closed; give one that is connected"):
        scan(folder, ITEMS, engine="dask", client=closed)


def test_a_cluster_without_workers_is_waited_for_with_patience_and_then_said(monkeypatch):
    monkeypatch.setattr(cluster, "WORKER_PATIENCE", "1s")
    frame = pd.DataFrame({"q1": [1, 2]})
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        distributed.Client(empty) as idle,
        pytest.raises(SpecError, match="has no worker, and none came within 1s"),
    ):
        moments(frame, ["q1"], engine="dask", client=idle)
    with pytest.raises(SpecError, match=r"workers=0: one or more"), cluster.connected(None, 0):
        pass
    with pytest.raises(SpecError, match="client=5: give a dask"):
        moments(frame, ["q1"], engine="dask", client=5)


def test_a_damaged_page_and_an_answer_out_of_bounds_are_named_at_once(client, tmp_path):
    """An error that were its own cause would keep the scheduler busy for ever."""
    frame, place = answers(30_000), tmp_path / "answers"
    place.mkdir()
    for name in ("a", "b"):
        pq.write_table(pa.Table.from_pandas(frame), place / f"{name}.parquet", row_group_size=10_000)
    model = csi.PathModel({"A": ITEMS[:3], "B": ITEMS[3:6]}, {"B": ["A"]})
    fit = csi.sem.pls(frame, model)
    content = bytearray((place / "b.parquet").read_bytes())
    start = pq.read_metadata(place / "b.parquet").row_group(1).column(0).dictionary_page_offset
    content[start : start + 3000] = bytes(3000)
    (place / "b.parquet").write_bytes(content)
    began = time.monotonic()
    with pytest.raises(DataError, match=r"b\.parquet, row group 1 cannot be read"):
        moments(place, ITEMS, engine="dask", client=client)
    with pytest.raises(DataError, match=r"b\.parquet, row group 1 cannot be read"):
        write_scores(place, fit, tmp_path / "new", engine="dask", client=client)
    narrow = dict.fromkeys(ITEMS, Recode(1, 9))
    with pytest.raises(DataError, match=r"a\.parquet, row group 0: q1: \d+ answers outside 1 to 9"):
        write_scores(place / "a.parquet", fit, tmp_path / "new", items=narrow, engine="dask", client=client)
    assert time.monotonic() - began < 10
    assert not (tmp_path / "new").exists()


def test_progress_is_shown_on_a_terminal_for_sums_and_scores(client, folder, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    model = csi.PathModel({"A": ITEMS[:3], "B": ITEMS[3:6]}, {"B": ["A"]})
    fit = csi.sem.pls(moments(folder, ITEMS, engine="dask", client=client), model)
    assert "reading" in capfd.readouterr().err
    write_scores(folder, fit, tmp_path / "new", engine="dask", client=client)
    assert "reading" in capfd.readouterr().err


def test_a_lost_worker_costs_a_retry_and_not_the_run(client, folder, tmp_path):
    """Killed in the middle: the other worker takes over what was lost, and the bits are the same."""
    big = tmp_path / "big"
    big.mkdir()
    table = pa.concat_tables([pq.read_table(folder)] * 20)
    for i in range(12):
        pq.write_table(table, big / f"{i:02d}.parquet", row_group_size=20_000)
    wanted = moments(big, ITEMS)
    [first, *_] = client.run(os.getpid).items()
    killed, finished = [], []

    def kill() -> None:
        while not client.processing().get(first[0]) and not finished:
            time.sleep(0.005)
        if not finished:
            os.kill(first[1], signal.SIGKILL)
            killed.append(first[1])

    thread = Thread(target=kill)
    thread.start()
    found = moments(big, ITEMS, engine="dask", client=client)
    finished.append(True)
    thread.join()
    assert killed
    assert (found.cov == wanted.cov).all()
    assert found.n == wanted.n
