"""Run lessons and the report: parameters checked first, outputs complete or absent, nothing done twice."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from csi_lab.course import manifest as manifests
from csi_lab.course import notebook as notebooks
from csi_lab.course.batch import Task, side_by_side
from csi_lab.course.jobs import Job, paths_of, prepare
from csi_lab.course.notebook import LessonError
from csi_lab.course.output import output_folder, publish, refuse_strangers
from csi_lab.course.pages import index_page, to_html
from csi_lab.errors import CsiLabError, SpecError
from csi_lab.study.datasets import shipped

OUT = "build/course"
REPORT_OUT = "build/report"
TABLES = "tables"
INDEX = "index.html"


@dataclass(frozen=True)
class RunResult:
    """What became of one lesson.

    ``notebook`` and ``page`` are the executed notebook and its HTML page, ``None`` when the lesson failed; then
    ``error`` says why. ``skipped``: the outputs of an earlier run with the same inputs stand as they are.
    ``parameters`` are all parameters in force, defaults included; ``seconds`` is the time of the run that made the
    outputs.
    """

    lesson: str
    title: str
    parameters: Mapping[str, Any]
    study: str | None
    seconds: float
    notebook: Path | None = None
    page: Path | None = None
    skipped: bool = False
    error: str | None = None
    tables: tuple[Path, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the outputs are there."""
        return self.error is None

    def __str__(self) -> str:
        if self.error is not None:
            return f"FAILED: {self.error}"
        return "unchanged, skipped" if self.skipped else f"done in {self.seconds:.1f} s"


def run(
    lesson: str | Path,
    *,
    study: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    out: str | Path = OUT,
    force: bool = False,
) -> RunResult:
    """Run one lesson: the executed notebook and its HTML page appear in ``out``.

    Parameters
    ----------
    lesson
        Name (``"02_what_is_an_index"``), number (``"02"`` or ``"2"``), or path of a notebook.
    study
        Name of a shipped study or path of a study file or folder; ``None``: the default of the lesson.
    parameters
        Values for the notebook's parameters, by name.
    out
        Folder of the outputs and of ``manifest.json``.
    force
        Run again although nothing changed.

    Returns
    -------
    RunResult

    Raises
    ------
    SpecError
        If the lesson, a parameter or the study does not exist, or a value has the wrong type.
    DataError
        If the answers do not fit the study.
    LessonError
        If a cell fails; the message names the cell, the line and the error.

    Examples
    --------
    >>> result = run("02", study="mobile", parameters={"language": "zh"})  # doctest: +SKIP
    >>> print(result)  # doctest: +SKIP
    done in 6.4 s
    """
    if str(lesson) == "all":
        raise SpecError("run() runs one lesson; for all of them: run_many('all')")
    [result] = run_many([lesson], study=study, parameters=parameters, out=out, force=force, progress=False)
    if result.error is not None:
        raise LessonError(result.error)
    return result


def run_many(
    lessons: str | Sequence[str | Path],
    *,
    study: str | Path | None = None,
    parameters: Mapping[str, Any] | None = None,
    out: str | Path = OUT,
    force: bool = False,
    jobs: int | None = None,
    progress: bool = True,
) -> list[RunResult]:
    """Run several lessons side by side; one that fails does not stop the others.

    ``"all"`` stands for every notebook of the lessons folder. A parameter must be known to each lesson named; with
    ``"all"`` it goes to the lessons that have it, and a warning names the others.

    Parameters
    ----------
    lessons
        Names, numbers or paths, or ``"all"``.
    study, parameters, out, force
        As in :func:`run`.
    jobs
        Lessons at a time; ``None``: one per processor.
    progress
        Progress bar on a terminal, one line per lesson elsewhere.

    Returns
    -------
    list of RunResult
        In the order asked for, failures included (``error``). ``index.html`` in ``out`` links them all.

    Raises
    ------
    SpecError, DataError
        Before anything runs, with everything that is wrong in the request.
    """
    if jobs is not None and jobs < 1:
        raise SpecError(f"jobs: {jobs}; give 1 or more")
    prepared = requested(lessons, study=study, parameters=parameters)
    return _run_jobs(prepared, Path(out), force=force, jobs=jobs, progress=progress, index=True)


def requested(
    lessons: str | Sequence[str | Path], *, study: str | Path | None = None, parameters: Mapping[str, Any] | None = None
) -> list[Job]:
    """What :func:`run_many` would run with these lessons, study and parameters; nothing is run.

    Raises
    ------
    SpecError, DataError
        With everything that is wrong in the request.
    """
    wanted = [lessons] if isinstance(lessons, str) else list(lessons)
    if not wanted:
        raise SpecError("no lesson named; give names, numbers, paths, or 'all'")
    given = dict(parameters or {})
    if study is not None:
        if "study" in given:
            raise SpecError("the study is given twice: as study and among the parameters; give it once")
        given["study"] = study
    return prepare(paths_of(wanted), given, lenient=any(str(lesson) == "all" for lesson in wanted))


def report(
    study: str | Path,
    *,
    out: str | Path = REPORT_OUT,
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
    progress: bool = True,
    notebook: str | Path | None = None,
    engine: str | None = None,
    scheduler: str | None = None,
) -> RunResult:
    """The report of a study: executed notebook, HTML without code, tables as CSV and xlsx.

    Parameters
    ----------
    study, out, parameters, force, progress
        As in :func:`run_many`.
    notebook
        Notebook with the parameters ``study`` and ``tables``; ``None``: ``report.ipynb`` of ``notebooks/analysis``, or
        ``report_large.ipynb`` with an engine.
    engine
        ``"local"`` or ``"dask"``: the answers are read in a stream, by threads or by a cluster, and never held in
        memory; see :func:`csi_lab.scaleout.open_survey`. ``None``: they are read into memory.
    scheduler
        Address of a Dask scheduler; ``None``: a cluster of this machine is made for the run.

    Returns
    -------
    RunResult
        With ``notebook``, ``page`` and ``tables``.

    Raises
    ------
    SpecError, DataError, LessonError
        As in :func:`run`.
    """
    [job] = requested_report(study, parameters=parameters, notebook=notebook, engine=engine, scheduler=scheduler)
    [result] = _run_jobs([job], Path(out), force=force, jobs=1, progress=progress, index=False)
    if result.error is not None:
        raise LessonError(result.error)
    return result


def requested_report(
    study: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    notebook: str | Path | None = None,
    engine: str | None = None,
    scheduler: str | None = None,
) -> list[Job]:
    """What :func:`report` would run; nothing is run.

    Raises
    ------
    SpecError, DataError
        With everything that is wrong in the request.
    """
    own = [name for name in ("study", TABLES) if name in (parameters or {})]
    if own:
        raise SpecError(
            f"parameter {own[0]!r} is set by the report itself; give the study and the folder to the report"
        )
    requested_engine(engine, scheduler)
    streamed = {} if engine is None else {"engine": engine, "scheduler": scheduler or ""}
    twice = [name for name in streamed if name in (parameters or {})]
    if twice:
        raise SpecError(f"parameters given twice: {', '.join(twice)}; give each once")
    own_notebook = "report.ipynb" if engine is None else "report_large.ipynb"
    path = Path(notebook) if notebook else shipped("notebooks") / "analysis" / own_notebook
    given = {**(parameters or {}), **streamed, "study": study, TABLES: TABLES}
    return prepare([path], given, hide_code=True, tables=True)


def requested_engine(engine: str | None, scheduler: str | None = None) -> Literal["local", "dask"] | None:
    """The engine that reads a study in a stream; ``None``: the study is read into memory.

    Raises
    ------
    SpecError
        If it is unknown, or a scheduler is given to another one than Dask.

    Examples
    --------
    >>> requested_engine("local")
    'local'
    """
    if engine not in (None, "local", "dask"):
        raise SpecError(f"engine: {engine!r} is unknown; use local or dask")
    if scheduler is not None and engine != "dask":
        raise SpecError("a scheduler belongs to the engine dask; give both, or neither")
    return engine  # type: ignore[return-value]


def _run_jobs(
    prepared: Sequence[Job], out: Path, *, force: bool, jobs: int | None, progress: bool, index: bool
) -> list[RunResult]:
    for job in prepared:
        if (out / job.path.name).resolve() == job.path.resolve():
            raise SpecError(
                f"{out}: the executed notebook would overwrite its source {job.path}; choose another folder"
            )
    with output_folder(out) as staging:
        manifest = manifests.load(out)
        done = {} if force else {job.name: e for job in prepared if (e := _unchanged(job, manifest, out))}
        names = [INDEX] if index else []
        for job in prepared:
            names += [] if job.name in done else _names(job)
        refuse_strangers(out, names, manifest.files)
        lock = threading.Lock()

        def work(job: Job, kernel_manager: type, on_cell: Callable[[], None]) -> RunResult:
            if job.name in done:
                return _result(job, out, done[job.name], skipped=True)
            begun = time.perf_counter()
            try:
                place = Path(tempfile.mkdtemp(dir=staging))
                _make(job, place, kernel_manager, on_cell)
                made = {path.relative_to(place).as_posix(): manifests.digest(path) for path in _files(place)}
                entry = _entry(job, made, time.perf_counter() - begun)
                with lock:
                    _deliver(job, place, out, entry, manifest)
            except Exception as error:  # noqa: BLE001, a full disk, say: one lesson fails, the others go on
                seconds = time.perf_counter() - begun
                return RunResult(job.name, job.title, job.effective, job.study, seconds, error=_said(job, error))
            return _result(job, out, entry)

        def task(job: Job) -> Task[RunResult]:
            return Task(job.name, len(job.source.cells), lambda *with_: work(job, *with_), _verdict)

        results = side_by_side([task(job) for job in prepared], jobs=jobs, progress=progress)
        if index:
            failed = {result.lesson: result for result in results if not result.ok}
            _write_index(staging, out, manifest, failed)
    return results


def _unchanged(job: Job, manifest: manifests.Manifest, out: Path) -> dict[str, Any] | None:
    """The entry of an earlier run with the same inputs whose outputs stand as they were."""
    entry = manifest.entries.get(job.name)
    return entry if entry and entry["inputs"] == job.inputs and manifests.complete(entry, out) else None


def _names(job: Job) -> list[str]:
    return [f"{job.name}.ipynb", f"{job.name}.html"] + [TABLES] * job.tables


def _deliver(job: Job, place: Path, out: Path, entry: dict[str, Any], manifest: manifests.Manifest) -> None:
    """Outputs into the folder, and their entry into the manifest."""
    made = [path.name for path in place.iterdir()]
    refuse_strangers(out, made, manifest.files)  # again: the run took its time
    # The names first: whatever stops us between the two, our own files are not taken for those of others.
    manifest.files |= set(entry["outputs"])
    manifests.save(out, manifest)
    publish(place, out, ours=manifest.files)
    manifest.entries[job.name] = entry
    manifests.save(out, manifest)


def _write_index(staging: Path, out: Path, manifest: manifests.Manifest, failed: Mapping[str, RunResult]) -> None:
    present = {n: e for n, e in manifest.entries.items() if n not in failed and manifests.complete(e, out)}
    page = staging / INDEX
    try:
        page.write_text(index_page(present, failed, manifests.versions()), encoding="utf-8", newline="\n")
        manifest.files.add(INDEX)
        manifests.save(out, manifest)
        os.replace(page, out / INDEX)
    except OSError as error:
        where = f"{out / INDEX} cannot be written ({error.strerror or error})"
        raise SpecError("; ".join([where, *(str(result.error) for result in failed.values())])) from None


def _said(job: Job, error: Exception) -> str:
    """What stopped a lesson, in one line unless it is a message of csi_lab."""
    if isinstance(error, CsiLabError):
        return str(error)
    words = " ".join(str(error).split())
    if isinstance(error, OSError):
        place = f" ({Path(error.filename).name})" if isinstance(error.filename, str) else ""
        return f"{job.name}: its outputs could not be written: {error.strerror or words}{place}"
    return f"{job.name}: stopped by {type(error).__name__}: {words}"


def _verdict(result: RunResult) -> str:
    return str(result) if result.ok else "FAILED"


def _make(job: Job, place: Path, kernel_manager: type, on_cell: Callable[[], None]) -> None:
    """Execute a notebook and write its files into a folder of their own."""
    folder = place if job.tables else job.path.parent  # the report writes its tables, a lesson reads beside itself
    executed = notebooks.execute(
        job.source, job.given, name=job.name, folder=folder, kernel_manager=kernel_manager, on_cell=on_cell
    )
    if job.tables and not any((place / TABLES).glob("*")):
        raise LessonError(f"{job.name}: wrote no tables; call save_tables(..., {TABLES}) in the notebook")
    language = job.effective.get("language")
    page = to_html(
        executed, job.title, language=language if isinstance(language, str) else "en", code=not job.hide_code
    )
    for suffix, content in ((".ipynb", notebooks.text(executed)), (".html", page)):
        (place / (job.name + suffix)).write_text(content, encoding="utf-8", newline="\n")


def _files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file())


def _entry(job: Job, outputs: Mapping[str, str], seconds: float) -> dict[str, Any]:
    return {
        "title": job.title,
        "parameters": dict(job.effective),
        "seed": job.effective.get("seed"),
        "study": job.study,
        "fingerprint": job.fingerprint,
        "versions": manifests.versions(),
        "inputs": job.inputs,
        "outputs": dict(outputs),
        "seconds": round(seconds, 2),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _result(job: Job, out: Path, entry: Mapping[str, Any], *, skipped: bool = False) -> RunResult:
    return RunResult(
        lesson=job.name,
        title=job.title,
        parameters=job.effective,
        study=job.study,
        seconds=entry["seconds"],
        notebook=out / f"{job.name}.ipynb",
        page=out / f"{job.name}.html",
        skipped=skipped,
        tables=tuple(out / name for name in entry["outputs"] if name.startswith(f"{TABLES}/")),
    )
