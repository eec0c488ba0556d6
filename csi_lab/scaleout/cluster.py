"""The kernel on a Dask cluster: one task for each part, sums added in a tree, nothing collected but the last sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from csi_lab.errors import SpecError
from csi_lab.scaleout.engines import added, merged, one_blas_thread, reduce_part
from csi_lab.scaleout.kernel import Recipe, Sums
from csi_lab.scaleout.sources import Part

# How long a scheduler may take to answer.
PATIENCE = "10s"


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
        If Dask is not installed.
    """
    with connected(client, workers) as own:

        def add(first: Any, second: Any, recipe: Recipe) -> Any:
            return own.submit(added, first, second, recipe, pure=False)

        # Each sum is asked for as soon as its two parts are: asked for later, all parts would wait in memory for it.
        promised = merged((own.submit(reduce_alone, part, recipe, pure=False) for part in parts), recipe, add)
        if progress:
            from distributed import progress as watch

            watch(promised)
        total: Sums = promised.result()
        return total


def reduce_alone(part: Part, recipe: Recipe) -> Sums:
    """The sums of a part, with linear algebra in one thread: a worker may have several, each with a part."""
    with one_blas_thread():
        return reduce_part(part, recipe)


@contextmanager
def connected(client: Any = None, workers: int | None = None) -> Iterator[Any]:
    """A client to work with: the given one, one of the scheduler at an address, or one of a cluster made for this run.

    Raises
    ------
    SpecError
        If Dask is not installed, or no scheduler answers.
    """
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
            yield found
    elif client is not None:
        yield client
    else:
        with (
            LocalCluster(n_workers=workers, processes=True, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as own,
        ):
            yield own
