"""Several notebooks side by side: a thread and a kernel each, a progress bar on a terminal, and a clean Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Task(Generic[T]):
    """Work on one notebook: ``work(kernel_manager, on_cell)`` and ``verdict(result)``, a few words for the display."""

    name: str
    cells: int
    work: Callable[[type, Callable[[], None]], T]
    verdict: Callable[[T], str]


def side_by_side(tasks: Sequence[Task[T]], *, jobs: int | None = None, progress: bool = True) -> list[T]:
    """The results of all tasks, in their order.

    Threads and not processes: the work is done in the kernels, which are processes already; one process hands out
    their ports, so that two kernels never take the same; and a half-moved result cannot be cut off by Ctrl-C, which
    only the main thread hears. On Ctrl-C the kernels are killed, the threads come home, and KeyboardInterrupt goes on.

    Parameters
    ----------
    tasks
        One per notebook.
    jobs
        How many at a time; ``None``: as many as processors.
    progress
        Show a bar on a terminal, or a line per notebook elsewhere, on stderr.
    """
    if not tasks:
        return []
    kernels: list[Any] = []
    manager = _kernel_manager(kernels)
    pool = ThreadPoolExecutor(max_workers=min(jobs or os.cpu_count() or 1, len(tasks)), thread_name_prefix="notebook")
    futures: list[Future[T]] = []
    try:
        with _display(tasks) if progress else nullcontext(_Silent()) as display:
            for number, task in enumerate(tasks):
                futures.append(pool.submit(task.work, manager, partial(display.cell, number)))
            pending = set(futures)
            while pending:
                # With a time limit, because a wait without one does not hear Ctrl-C on Windows.
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=futures.index):
                    number = futures.index(future)
                    display.end(number, tasks[number].verdict(future.result()))
    except BaseException:
        with _deaf():
            _stop(kernels, futures)
        raise
    finally:
        pool.shutdown()
    return [future.result() for future in futures]


def _kernel_manager(started: list[Any]) -> type:
    """A kernel manager class that keeps account of its instances."""
    from jupyter_client.manager import AsyncKernelManager

    class KernelManager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            started.append(self)

    return KernelManager


def _stop(kernels: Sequence[Any], futures: Sequence[Future[Any]]) -> None:
    """End all kernels and wait for the threads; again and again, because a thread may be starting one just now."""
    for future in futures:
        future.cancel()
    while any(not future.done() for future in futures):
        for kernel in list(kernels):
            if kernel.provisioner is not None and kernel.provisioner.has_process:
                # In a thread of its own: in Jupyter the main thread already runs an event loop.
                killer = threading.Thread(target=lambda kernel=kernel: asyncio.run(kernel.provisioner.kill()))
                killer.start()
                killer.join()
        wait(futures, timeout=0.1)


@contextmanager
def _deaf() -> Iterator[None]:
    """Ignore further Ctrl-C while cleaning up, which takes a second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Silent:
    def cell(self, number: int) -> None: ...

    def end(self, number: int, verdict: str) -> None: ...


@contextmanager
def _display(tasks: Sequence[Task[Any]]) -> Iterator[Any]:
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, tasks)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[verdict]}", markup=False), console=console) as bars:
        yield _Bars(bars, tasks)


class _Lines:
    """A line for each notebook when it ends."""

    def __init__(self, console: Any, tasks: Sequence[Task[Any]]) -> None:
        self.console, self.tasks = console, tasks

    def cell(self, number: int) -> None: ...

    def end(self, number: int, verdict: str) -> None:
        self.console.print(f"{self.tasks[number].name}: {verdict}", markup=False, highlight=False, soft_wrap=True)


class _Bars:
    """A bar over the notebooks and one for each that has begun."""

    def __init__(self, bars: Any, tasks: Sequence[Task[Any]]) -> None:
        self.bars, self.tasks, self.rows = bars, tasks, {}  # type: Any, Any, dict[int, Any]
        self.whole = bars.add_task("notebooks", total=len(tasks), verdict="")

    def cell(self, number: int) -> None:
        if number not in self.rows:
            task = self.tasks[number]
            self.rows[number] = self.bars.add_task(task.name, total=task.cells, verdict="")
        else:
            self.bars.advance(self.rows[number])

    def end(self, number: int, verdict: str) -> None:
        task = self.tasks[number]
        if number not in self.rows:
            self.rows[number] = self.bars.add_task(task.name, total=task.cells, verdict="")
        finished = {} if verdict.startswith("FAILED") else {"completed": task.cells}
        self.bars.update(self.rows[number], verdict=verdict, **finished)
        self.bars.stop_task(self.rows[number])
        self.bars.advance(self.whole)
