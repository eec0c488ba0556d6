"""The kernel on a Dask cluster: tasks of one part or several, sums added in a tree, only the last sum collected."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from csi_lab.errors import SpecError
from csi_lab.scaleout.engines import absorbed, added, merged, one_blas_thread, reduce_part, watched
from csi_lab.scaleout.kernel import Recipe, Sums
from csi_lab.scaleout.sources import Part

# How long a scheduler may take to answer.
PATIENCE = "10s"
# How long a cluster may be without any worker.
WORKER_PATIENCE = "60s"
# Parts under way for each thread of the cluster: more would wait in the workers' memory for their turn to be added.
AHEAD = 3
# Tasks for each thread at least, so that none waits long for the last one of another.
TASKS = 4
# Sums added by one task, a power of two.
TOGETHER = 4


def run_on_cluster(
    parts: Sequence[Part], recipe: Recipe, client: Any, workers: int | None, progress: bool | None
) -> Sums:
    """The sums of all parts, made by the workers of a cluster and added there.

    Paths of files must mean the same files to every worker. When a worker is lost, the scheduler hands its tasks to
    another one; they are pure, so that nothing else changes.

    Raises
    ------
    DataError
        If a part cannot be read.
    SpecError
        If Dask is not installed, or no worker comes.
    """
    with connected(client, workers) as own:
        runs = _runs(parts, _threads_of(own))
        made = _finished(own, _reduced, [(run, recipe) for run in runs])
        promised = _summed(own, watched(made, len(runs), progress), recipe)
        _wait(own, promised)
        total: Sums = promised.result()
        return total


def _runs(parts: Sequence[Part], threads: int) -> list[Sequence[Part]]:
    """Neighbouring parts in one task each, since every task costs the scheduler some milliseconds.

    So many that each thread still has :data:`TASKS` of them. A power of two, so that parts meet in the same tree, and
    the sum has the same bits, whatever the number of threads.
    """
    size = 1
    while 2 * size * threads * TASKS <= len(parts):
        size *= 2
    return [parts[start : start + size] for start in range(0, len(parts), size)]


def _reduced(parts: Sequence[Part], recipe: Recipe) -> Sums:
    """The sums of neighbouring parts."""
    total: Sums = merged((reduce_part(part, recipe) for part in parts), recipe, absorbed)
    return total


def _summed(own: Any, promises: Iterable[Any], recipe: Recipe) -> Any:
    """The promise of the sum of all promises, a few added by each task; the tree is that of :func:`merged`."""

    def add(some: list[Any]) -> Any:
        return some[0] if len(some) == 1 else own.submit(_added_up, some, recipe, pure=False)

    levels: list[list[Any]] = []
    for promise in promises:
        at = 0
        while True:
            levels += [[]] * (at == len(levels))
            levels[at] = [*levels[at], promise]
            if len(levels[at]) < TOGETHER:
                break
            promise, levels[at] = add(levels[at]), []
            at += 1
    rest: list[Any] = []
    for level in levels:
        rest = [add([*level, *rest])] if level or rest else []
    return rest[0]


def _added_up(some: Sequence[Sums], recipe: Recipe) -> Sums:
    """Sums added without using them up: a worker that is lost may be the one to need them again."""
    total: Sums = merged(some, recipe, added)
    return total


def _threads_of(own: Any) -> int:
    return max(1, sum(own.nthreads().values()))


def in_order_on_cluster(
    work: Callable[[Any], Any], tasks: Sequence[Any], client: Any, workers: int | None, progress: bool | None
) -> Iterator[Any]:
    """Small results of independent tasks, in the order of the tasks.

    Raises
    ------
    SpecError
        If Dask is not installed, or no worker comes.
    """
    with connected(client, workers) as own:
        for promise in watched(_finished(own, work, [(task,) for task in tasks]), len(tasks), progress):
            yield promise.result()


def alone(work: Callable[..., Any], *given: Any) -> Any:
    """Work with linear algebra in one thread: a worker may have several, each with a task.

    Examples
    --------
    >>> alone(max, 2, 3)
    3
    """
    with one_blas_thread():
        return work(*given)


def _finished(own: Any, work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Promises in the order of the tasks, each when it is kept, with a bounded number of tasks under way."""
    ahead = AHEAD * _threads_of(own)
    waiting: deque[Any] = deque()
    for task in tasks:
        waiting.append(own.submit(alone, work, *task, pure=False))
        if len(waiting) >= ahead:
            yield _wait(own, waiting.popleft())
    while waiting:
        yield _wait(own, waiting.popleft())


def _wait(own: Any, promise: Any) -> Any:
    """The promise, when it is kept. Its error is raised, and the loss of all workers is said."""
    from distributed import wait

    while True:
        try:
            wait(promise, timeout=PATIENCE)
        except TimeoutError:
            _require_worker(own)
            continue
        if promise.status == "error":
            promise.result()
        return promise


def _require_worker(own: Any) -> None:
    try:
        own.wait_for_workers(1, timeout=WORKER_PATIENCE)
    except TimeoutError:
        raise SpecError(
            f"the Dask scheduler at {own.scheduler.address} has no worker, and none came within {WORKER_PATIENCE}; "
            "start workers, then pass again"
        ) from None


@contextmanager
def connected(client: Any = None, workers: int | None = None) -> Iterator[Any]:
    """A client to work with: the given one, one of the scheduler at an address, or one of a cluster made for this run.

    Raises
    ------
    SpecError
        If Dask is not installed, the client is none, no scheduler answers, no worker comes, or the scheduler is lost on
        the way.
    """
    with _client(client, workers) as own:
        from distributed.comm import CommClosedError

        address = own.scheduler.address
        try:
            yield own
        except (CancelledError, CommClosedError) as error:
            raise SpecError(
                f"the connection to the Dask scheduler at {address} was lost ({type(error).__name__}), "
                "and the sums so far with it; start the scheduler, then pass again"
            ) from error


@contextmanager
def _client(client: Any, workers: int | None) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise SpecError("engine='dask' needs dask and distributed: install csi-lab[scale]") from None
    if isinstance(client, str):
        try:
            found = Client(client, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise SpecError(f"no Dask scheduler answers at {client!r} ({type(error).__name__})") from None
        with found:
            _require_worker(found)
            yield found
    elif isinstance(client, Client):
        if client.status != "running":
            raise SpecError(f"the Dask client is {client.status}; give one that is connected")
        _require_worker(client)
        yield client
    elif client is not None:
        raise SpecError(f"client={client!r}: give a dask.distributed.Client or the address of a scheduler")
    elif workers is not None and workers < 1:
        raise SpecError(f"workers={workers!r}: one or more are needed")
    else:
        # Errors of a part reach the caller; said by workers too, or by workers that take their time to end, they would
        # be stored in a report.
        quiet = {"silence_logs": logging.CRITICAL, "dashboard_address": ":0"}
        with (
            LocalCluster(n_workers=workers, processes=True, threads_per_worker=1, **quiet) as cluster,
            Client(cluster) as own,
        ):
            _require_worker(own)
            yield own
