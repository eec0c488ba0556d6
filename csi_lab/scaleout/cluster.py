"""The kernel on a Dask cluster: one task for each part, sums added in a tree, nothing collected but sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from csi_lab.errors import SpecError
from csi_lab.scaleout.engines import RETRIES, one_blas_thread, reduce_part
from csi_lab.scaleout.kernel import Recipe, Sums
from csi_lab.scaleout.sources import Part

# Parts that one task adds up before it hands a sum on.
FAN_IN = 2


def run_on_cluster(parts: Sequence[Part], recipe: Recipe, client: Any, progress: bool | None) -> Sums:
    """The sums of all parts, made by the workers of a cluster and added there.

    Raises
    ------
    DataError
        If a part cannot be read.
    SpecError
        If Dask is not installed.
    """
    with _client(client) as own:
        level = [own.submit(_reduce, part, recipe, pure=False, retries=RETRIES) for part in parts]
        first = level
        while len(level) > 1:
            pairs = [level[i : i + FAN_IN] for i in range(0, len(level), FAN_IN)]
            level = [
                own.submit(_added, *pair, pure=False, retries=RETRIES) if len(pair) > 1 else pair[0] for pair in pairs
            ]
        if progress:
            from distributed import progress as watch

            watch(first)
        total: Sums = level[0].result()
        return total


def _reduce(part: Part, recipe: Recipe) -> Sums:
    # A worker may have as many threads as it likes; the kernel takes one processor for each.
    with one_blas_thread():
        return reduce_part(part, recipe)


def _added(first: Sums, second: Sums) -> Sums:
    return first + second


@contextmanager
def _client(client: Any) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise SpecError("engine='dask' needs dask and distributed: install csi-lab[scale]") from None
    if client is not None:
        yield client
        return
    with LocalCluster(processes=True, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as own:
        yield own
