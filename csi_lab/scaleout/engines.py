"""Who runs the kernel over the parts of a source: threads of this machine, or a Dask cluster."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, Literal, TypeVar

import numpy as np

from csi_lab.errors import DataError, SpecError
from csi_lab.scaleout.kernel import Recipe, Sums, require_room, sums_of
from csi_lab.scaleout.sources import Part

Engine = Literal["local", "dask"]
T = TypeVar("T")

# Parts under way besides one for each thread, so that memory stays bounded.
WAITING = 1


def reduce_part(part: Part, recipe: Recipe) -> Sums:
    """The sums of a part, batch after batch. Pure: any worker gives the same bits.

    Raises
    ------
    DataError
        If the part cannot be read or its columns are unusable; it is named.
    """
    try:
        total = merged(_batches(part, recipe), recipe, absorbed)
        return nothing(recipe) if total is None else total
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{part.name}: {error}") from error


def _batches(part: Part, recipe: Recipe) -> Iterator[Sums]:
    for number, batch in enumerate(part.batches(recipe.columns, recipe.numbers)):
        if batch.num_rows:
            yield sums_of(batch, recipe, (*part.place, number))


def nothing(recipe: Recipe) -> Sums:
    """The sums of no rows."""
    import pyarrow as pa

    columns = {name: pa.array([], pa.int8() if name in recipe.numbers else pa.string()) for name in recipe.columns}
    return sums_of(pa.record_batch(columns), recipe)


def added(first: Sums, second: Sums, recipe: Recipe) -> Sums:
    """Two parts together.

    Raises
    ------
    DataError
        If they hold more counts, labels or patterns than fit into memory.
    """
    return _with_room(first + second, recipe)


def absorbed(first: Sums, second: Sums, recipe: Recipe) -> Sums:
    """Two parts together, where nobody needs them any more: they are used up, and less memory is held.

    Raises
    ------
    DataError
        As :func:`added`.
    """
    return _with_room(first.taking(second), recipe)


def _with_room(total: Sums, recipe: Recipe) -> Sums:
    try:
        require_room(total, recipe)
    except ValueError as error:
        raise DataError(str(error)) from None
    return total


def merged(parts: Iterable[Any], recipe: Recipe, add: Callable[[Any, Any, Recipe], Any] = added) -> Any:
    """Parts added in a binary tree over their order; ``None`` if there are none.

    The tree is the same whoever makes the parts, and so are the bits of the sum. ``add`` may add promises of parts.
    """
    stack: list[tuple[int, Any]] = []
    for part in parts:
        level = 0
        while stack and stack[-1][0] == level:
            part = add(stack.pop()[1], part, recipe)
            level += 1
        stack.append((level, part))
    if not stack:
        return None
    total = stack.pop()[1]
    while stack:
        total = add(stack.pop()[1], total, recipe)
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
        A ``dask.distributed.Client``, used unchanged, or the address of a scheduler; without one a cluster of this
        machine is made and closed again.
    threads
        Of the local engine, or workers of a cluster made for this run; default one for each processor.
    progress
        Whether a progress bar is shown on stderr; default: if that is a terminal.

    Raises
    ------
    DataError
        If a part cannot be read.
    SpecError
        If the engine is unknown or cannot be had.
    """
    _require_engine(engine, client, threads)
    if engine == "local":
        work = _threads(lambda part: reduce_part(part, recipe), parts, threads)
        total: Sums = merged(watched(work, len(parts), progress), recipe, absorbed)
        return total
    from csi_lab.scaleout.cluster import run_on_cluster

    return run_on_cluster(parts, recipe, client, threads, progress)


def in_order(
    work: Callable[[Any], T],
    tasks: Sequence[Any],
    *,
    engine: Engine = "local",
    client: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Iterator[T]:
    """Small results of independent tasks, in the order of the tasks; settings as in :func:`run`.

    Raises
    ------
    SpecError
        If the engine is unknown or cannot be had.
    """
    _require_engine(engine, client, threads)
    if engine == "local":
        yield from watched(_threads(work, tasks, threads), len(tasks), progress)
        return
    from csi_lab.scaleout.cluster import in_order_on_cluster

    yield from in_order_on_cluster(work, tasks, client, threads, progress)


def _require_engine(engine: str, client: Any, threads: int | None) -> None:
    whole = isinstance(threads, (int, np.integer)) and not isinstance(threads, bool)
    if threads is not None and (not whole or threads < 1):
        raise SpecError(f"threads={threads!r}: a whole number, one or more, is needed")
    if engine not in ("local", "dask"):
        raise SpecError(f"engine={engine!r} is unknown; use 'local' or 'dask'")
    if engine == "local" and client is not None:
        raise SpecError("client= is for engine='dask'")


def _threads(work: Callable[[Any], T], parts: Sequence[Any], threads: int | None) -> Iterator[T]:
    """Results in the order of the parts, with a bounded number of parts under way."""
    count = min(threads or os.cpu_count() or 1, len(parts))
    with one_blas_thread(), ThreadPoolExecutor(max(count, 1), thread_name_prefix="csi-lab") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for part in parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) >= count + WAITING:
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


def watched(results: Iterable[T], total: int, progress: bool | None) -> Iterator[T]:
    """The same results, with a progress bar where one is wanted."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    shown = console.is_terminal if progress is None else progress
    if not shown:
        yield from results
        return
    yield from track(results, "reading", total=total, console=console, transient=True)
