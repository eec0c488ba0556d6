"""Who runs the kernel over the parts of a source: threads of this machine, or a Dask cluster."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, Literal, TypeVar

from csi_lab.errors import DataError, SpecError
from csi_lab.scaleout.kernel import Recipe, Sums, sums_of
from csi_lab.scaleout.sources import Part

Engine = Literal["local", "dask"]
T = TypeVar("T")

# Parts in flight for each thread: one in work, one waiting, so that memory stays bounded.
WAITING = 2
# How often a part is tried again after its worker was lost.
RETRIES = 3


def reduce_part(part: Part, recipe: Recipe) -> Sums:
    """The sums of a part, batch after batch. Pure: any worker gives the same bits.

    Raises
    ------
    DataError
        If the part cannot be read or its columns are unusable; it is named.
    """
    found = []
    try:
        for number, batch in enumerate(part.batches(recipe.columns)):
            if batch.num_rows:
                found.append(sums_of(batch, recipe, (*part.place, number)))
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{part.name}: {error}") from error
    return merged(found) if found else nothing(recipe)


def nothing(recipe: Recipe) -> Sums:
    """The sums of no rows."""
    import pyarrow as pa

    numbers = [*recipe.items, *([recipe.weights] if recipe.weights else [])]
    columns = {name: pa.array([], pa.int8() if name in numbers else pa.string()) for name in recipe.columns}
    return sums_of(pa.record_batch(columns), recipe)


def merged(parts: Iterable[Sums]) -> Sums:
    """Parts added in a binary tree over their order: the same tree, and so the same bits, whoever made them."""
    stack: list[tuple[int, Sums]] = []
    for part in parts:
        level = 0
        while stack and stack[-1][0] == level:
            part = stack.pop()[1] + part
            level += 1
        stack.append((level, part))
    total = stack.pop()[1]
    while stack:
        total = stack.pop()[1] + total
    return total


def run(
    parts: Sequence[Part],
    recipe: Recipe,
    *,
    engine: Engine = "local",
    client: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Sums:
    """The sums of all parts.

    Parameters
    ----------
    parts, recipe
        What to sum.
    engine
        ``"local"``: threads of this process; ``"dask"``: a cluster.
    client
        A ``dask.distributed.Client``, used unchanged; without one a cluster of this machine is made and closed again.
    threads
        Of the local engine; default one for each processor.
    progress
        Whether a progress bar is shown on stderr; default: if that is a terminal.

    Raises
    ------
    DataError
        If a part cannot be read.
    SpecError
        If the engine is unknown or cannot be had.
    """
    if engine not in ("local", "dask"):
        raise SpecError(f"engine={engine!r} is unknown; use 'local' or 'dask'")
    if engine == "local":
        if client is not None:
            raise SpecError("client= is for engine='dask'")
        work = _threads(lambda part: reduce_part(part, recipe), parts, threads)
        return merged(_watched(work, len(parts), progress))
    from csi_lab.scaleout.cluster import run_on_cluster

    return run_on_cluster(parts, recipe, client, progress)


def _threads(work: Callable[[Part], T], parts: Sequence[Part], threads: int | None) -> Iterator[T]:
    """Results in the order of the parts, with a bounded number of parts under way."""
    count = min(threads or os.cpu_count() or 1, len(parts))
    with one_blas_thread(), ThreadPoolExecutor(max(count, 1), thread_name_prefix="csi-lab") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for part in parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) >= count * WAITING:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def one_blas_thread() -> Any:
    """Linear algebra in one thread: several would fight with ours over the processors."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(limits=1, user_api="blas")


def _watched(results: Iterable[T], total: int, progress: bool | None) -> Iterator[T]:
    """The same results, with a progress bar where one is wanted."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    shown = console.is_terminal if progress is None else progress
    if not shown:
        yield from results
        return
    yield from track(results, "reading", total=total, console=console, transient=True)
