"""What is to be run: names become notebooks, values become parameters, mistakes are said before anything starts."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csi_lab.course import manifest as manifests
from csi_lab.course import notebook as notebooks
from csi_lab.errors import CsiLabError, CsiLabWarning, SpecError, listed
from csi_lab.study.datasets import find_study, shipped

if TYPE_CHECKING:
    from nbformat import NotebookNode

    from csi_lab.study.survey import Survey


@dataclass(frozen=True)
class Job:
    """One notebook with everything known about its run before it starts."""

    name: str
    path: Path
    source: NotebookNode
    given: Mapping[str, Any]
    effective: Mapping[str, Any]
    fingerprint: str | None
    hide_code: bool = False
    tables: bool = False
    inputs: str = ""

    @property
    def title(self) -> str:
        return notebooks.title(self.source, self.name)

    @property
    def study(self) -> str | None:
        study = self.effective.get("study")
        return study if isinstance(study, str) else None


def lesson_paths() -> dict[str, Path]:
    """The lessons of the course by name, in order."""
    return {path.stem: path for path in sorted((shipped("notebooks") / "lessons").glob("*.ipynb"))}


def paths_of(wanted: Sequence[str | Path]) -> list[Path]:
    """The notebooks meant, each once, or one error for all names that mean nothing."""
    found: dict[Path, None] = {}
    problems = []
    for lesson in wanted:
        try:
            found.update(dict.fromkeys(path.resolve() for path in _meant(lesson)))
        except SpecError as error:
            problems.append(str(error))
    if problems:
        raise SpecError(listed(problems, "lessons not found"), problems)
    return list(found)


def _meant(lesson: str | Path) -> list[Path]:
    word = str(lesson)
    if isinstance(lesson, Path) or word.endswith(".ipynb") or "/" in word or os.sep in word:
        if not Path(lesson).is_file():
            raise SpecError(f"{word}: no such notebook")
        return [Path(lesson)]
    known = lesson_paths()
    if word == "all":
        if not known:
            raise SpecError("all: the lessons folder holds no notebooks")
        return list(known.values())
    if word in known:
        return [known[word]]
    numbered = {name: name.split("_")[0] for name in known}
    same = [n for n, number in numbered.items() if word.isdecimal() and number.isdecimal() and int(number) == int(word)]
    if len(same) > 1:
        raise SpecError(f"{word}: several lessons have this number: {', '.join(same)}; give the name")
    if same:
        return [known[same[0]]]
    close = get_close_matches(word, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise SpecError(f"{word}: no such lesson{hint}; the lessons are {', '.join(known) or 'none'}")


def prepare(
    paths: Sequence[Path],
    given: Mapping[str, Any],
    *,
    lenient: bool = False,
    hide_code: bool = False,
    tables: bool = False,
) -> list[Job]:
    """Jobs ready to run, or one error with everything wrong in the request."""
    values = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    sources = {path: notebooks.read(path) for path in paths}
    known = {path: notebooks.parameters(source, path.name) for path, source in sources.items()}
    problems = _same_names(paths)
    if lenient:
        for name in values:
            without = [path.stem for path in paths if name not in known[path]]
            if without and len(without) < len(paths):
                warnings.warn(f"parameter {name!r} is not known to {', '.join(without)}", CsiLabWarning, 3)
    surveys = _Surveys()
    jobs, broken = [], []
    for path in paths:
        mine = dict(values)
        if lenient:
            mine = {n: v for n, v in values.items() if n in known[path] or not any(n in k for k in known.values())}
        misfit = {name: wrong for name in mine if (wrong := notebooks.misfits(known[path], {name: mine[name]}))}
        problems += [f"{path.stem}: {problem}" for wrong in misfit.values() for problem in wrong]
        mine = {name: value for name, value in mine.items() if name not in misfit}
        try:
            if isinstance(mine.get("study"), str):
                mine["study"] = _given_study(mine["study"])
            effective = {name: p.default for name, p in known[path].items()} | mine
            fingerprint = surveys.fingerprint(effective, path.parent)
        except CsiLabError as error:
            if str(error) not in problems:
                problems.append(str(error))
            broken.append(error)
            continue
        if not misfit:
            jobs.append(Job(path.stem, path, sources[path], mine, effective, fingerprint, hide_code, tables))
    if len(problems) == 1 and broken:
        raise broken[0]  # as it was raised: a DataError stays one
    if problems:
        raise SpecError(problems[0] if len(problems) == 1 else listed(problems, "nothing was run"), problems)
    return [_with_inputs(job) for job in jobs]


def _same_names(paths: Sequence[Path]) -> list[str]:
    """Outputs are called like the notebook: two of a name, or one called index, would overwrite each other."""
    names = [path.stem.casefold() for path in paths]
    problems = [
        f"{path}: another notebook of the name {path.stem!r}; run them into different folders"
        for path, name in zip(paths, names, strict=True)
        if names.count(name) > 1
    ]
    return problems + [
        f"{path}: its page would overwrite index.html; rename the notebook"
        for path in paths
        if path.stem.casefold() == "index"
    ]


class _Surveys:
    """The surveys that notebooks ask for, each loaded once."""

    def __init__(self) -> None:
        self._known: dict[str, Survey] = {}

    def fingerprint(self, parameters: Mapping[str, Any], folder: Path) -> str | None:
        """Hash of the content of the study meant, which must have the language; ``None`` without a study."""
        from csi_lab.course.studies import require_language

        study, language = parameters.get("study"), parameters.get("language")
        if not isinstance(study, str):
            return None
        meant = _meant_study(study, folder)
        if "engine" in parameters:
            # Read in a stream by the notebook itself: a pass over the answers just to know them would cost too much.
            from csi_lab.scaleout.survey import unread

            stated, fingerprint = unread(meant)
            require_language(stated, language if isinstance(language, str) else None)
            return fingerprint
        survey = self._loaded(meant)
        require_language(survey, language if isinstance(language, str) else None)
        return survey.fingerprint

    def _loaded(self, study: str) -> Survey:
        from csi_lab.study.survey import load_survey

        if study not in self._known:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CsiLabWarning)  # the lesson itself says them, beside its numbers
                self._known[study] = load_survey(study)
        return self._known[study]


def _given_study(study: str) -> str:
    """The name of a shipped study as it is; a path made absolute, so that it works from the kernel's folder."""
    found = find_study(study).resolve()
    return study if found == (shipped("data") / study / "study.yaml").resolve() else str(found)


def _meant_study(study: str, folder: Path) -> str:
    """The file that a kernel with this working directory finds under the name."""
    path = Path(study).expanduser()
    near = [path] if path.is_absolute() else [folder / path, folder / "data" / path, shipped("data") / path]
    return str(find_study(next((p for p in near if p.exists()), study)).resolve())


def _with_inputs(job: Job) -> Job:
    content = [[cell.cell_type, cell.source, notebooks.tags(cell)] for cell in job.source.cells]
    parts = [content, dict(job.given), job.fingerprint, manifests.source_hash(), manifests.versions()]
    inputs = manifests.fingerprint([*parts, job.hide_code, job.tables])
    return replace(job, inputs=inputs)
