"""Execute the repository's own notebooks and store them, so that their outputs can be compared by the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from csi_lab.course import notebook as notebooks
from csi_lab.course.batch import Task, side_by_side
from csi_lab.course.exercises import cut
from csi_lab.errors import CsiLabError, SpecError
from csi_lab.study.datasets import shipped

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDERS = ("lessons", "solutions", "exercises", "analysis")


@dataclass(frozen=True)
class Stored:
    """What became of one notebook: ``changed`` says whether the file is another now, ``error`` why it is not."""

    path: Path
    changed: bool = False
    error: str | None = None

    def __str__(self) -> str:
        return f"FAILED: {self.error}" if self.error else "stored" if self.changed else "unchanged"


def store(
    *, only: str | None = None, folder: Path | None = None, jobs: int | None = None, progress: bool = True
) -> list[Stored]:
    """Execute lessons, solutions, analysis notebooks and exercises with their default parameters, in place.

    Exercises are cut from the solutions first. A notebook is replaced when it ran to its end, and not touched
    otherwise. Outputs and execution counts stay; metadata that depends on time or machine is left out.

    Parameters
    ----------
    only
        Name (without ``.ipynb``) of the notebooks to store; ``None``: all.
    folder
        The notebooks folder; ``None``: the one of the checkout.
    jobs, progress
        As in :func:`csi_lab.course.runner.run_many`.

    Raises
    ------
    SpecError
        If csi_lab does not run from a checkout, nothing has the name, or a solution cannot be cut.
    """
    root = folder or shipped("notebooks")
    if "_shipped" in root.parts:
        raise SpecError("store writes into the repository's notebooks folder; run it in a checkout of the repository")
    sources = {path: notebooks.read(path) for name in FOLDERS for path in sorted((root / name).glob("*.ipynb"))}
    # Exercises are made from the solutions; one that has no solution is reported below, not executed as it is.
    solutions = {path: source for path, source in sources.items() if path.parent.name == "solutions"}
    cuts = {root / "exercises" / _exercise_name(path): _cut(path, source) for path, source in solutions.items()}
    orphans = [path for path in sources if path.parent.name == "exercises" and path not in cuts]
    if orphans:
        raise SpecError(f"exercises without a solution: {', '.join(p.name for p in orphans)}; add it or delete them")
    chosen = {path: source for path, source in (sources | cuts).items() if only in (None, path.stem)}
    if not chosen:
        names = sorted({path.stem for path in sources | cuts})
        raise SpecError(f"no notebook is called {only!r}; there are {', '.join(names) or 'none'}")

    def task(path: Path) -> Task[Stored]:
        source = chosen[path]
        name = path.relative_to(root).as_posix()
        return Task(name, len(source.cells), lambda *with_: _store(path, source, name, *with_), _verdict)

    return side_by_side([task(path) for path in chosen], jobs=jobs, progress=progress)


def _verdict(stored: Stored) -> str:
    return "FAILED" if stored.error else str(stored)


def _exercise_name(solution: Path) -> str:
    return solution.name.replace("solution", "exercise")


def _cut(path: Path, source: NotebookNode) -> NotebookNode:
    try:
        return cut(source)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


def _store(path: Path, source: NotebookNode, name: str, kernel_manager: type, on_cell: Callable[[], None]) -> Stored:
    try:
        path.parent.mkdir(exist_ok=True)
        executed = notebooks.execute(
            source, {}, name=name, folder=path.parent, kernel_manager=kernel_manager, on_cell=on_cell
        )
    except CsiLabError as error:
        return Stored(path, error=str(error))
    content = notebooks.text(executed)
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return Stored(path)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(content, encoding="utf-8", newline="\n")
    os.replace(draft, path)
    return Stored(path, changed=True)
