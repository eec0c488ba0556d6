"""A second pass: construct scores and the index of every respondent, written beside the answers they come from."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import as_items
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.index.formula import Bounds, item_weights, limits
from csi_lab.scaleout.columns import Recode, answers_of
from csi_lab.scaleout.engines import Engine, in_order
from csi_lab.scaleout.files import Listing
from csi_lab.scaleout.readers import Form
from csi_lab.scaleout.scan import recodes_of_items
from csi_lab.scaleout.sources import Part, parts_of
from csi_lab.scaleout.survey import StreamedSurvey, recodes_of

if TYPE_CHECKING:
    import pyarrow as pa

    from csi_lab.sem.fit import PLSFit

# Written last: a folder without it is not complete.
SUCCESS = "_SUCCESS"
DRAFT = ".csi-lab-scores-"
INDEX = "index"


@dataclass(frozen=True)
class Written:
    """What a pass wrote.

    Attributes
    ----------
    out
        The folder.
    files
        Its files, one for each file of answers.
    rows
        Rows in them, as many as there are answers.
    without
        Rows without a score of some construct, because an answer is missing.
    columns
        Names of the columns of scores.
    """

    out: Path
    files: tuple[str, ...]
    rows: int
    without: int
    columns: tuple[str, ...]

    def __str__(self) -> str:
        gaps = f", {self.without} of them with gaps because an answer is missing" if self.without else ""
        return (
            f"{self.rows} rows of {', '.join(self.columns)} in {len(self.files)} file"
            f"{'s' * (len(self.files) != 1)} of {self.out.name}{gaps}"
        )


@dataclass(frozen=True, eq=False)
class _Formula:
    """Scores and index as linear functions of the answers."""

    items: tuple[str, ...]
    recodes: tuple[Recode, ...]
    mean: np.ndarray
    slopes: np.ndarray
    member: np.ndarray
    constructs: tuple[str, ...]
    position: np.ndarray | None
    low: np.ndarray
    high: np.ndarray
    keep: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys([*self.keep, *self.items]))

    def of(self, batch: pa.RecordBatch, place: str) -> tuple[pa.RecordBatch, int]:
        """The columns to keep, scores and index of a batch, and the rows with gaps."""
        import pyarrow as pa

        n, p = batch.num_rows, len(self.items)
        x, known = np.zeros((n, p)), np.ones((n, p), dtype=bool)
        for i, (name, recode) in enumerate(zip(self.items, self.recodes, strict=True)):
            column = answers_of(batch, name, recode)
            if column.outside and recode.outside == "error":
                raise DataError(f"{place}: {name}: {column.outside} answers outside {recode.low:g} to {recode.high:g}")
            inside = self.low[i] <= column.low and column.high <= self.high[i]
            if self.position is not None and self.position[i] and not inside and column.missing < n:
                raise DataError(
                    f"{place}: {name}: answers from {column.low:g} to {column.high:g} outside the bounds of the index, "
                    f"{self.low[i]:g} to {self.high[i]:g}; declare missing codes in items=, or mend the bounds"
                )
            x[:, i] = column.values
            if column.known is not None:
                known[:, i] = column.known
        scores = (x - self.mean) @ self.slopes
        absent = (~known).astype(float) @ self.member > 0
        made = {name: batch.column(name) for name in self.keep}
        for j, name in enumerate(self.constructs):
            made[name] = pa.array(scores[:, j], mask=absent[:, j])
        if self.position is not None:
            used = self.position != 0
            made[INDEX] = pa.array((x - self.low) @ self.position, mask=(~known[:, used]).any(axis=1))
        return pa.record_batch(made), int(absent.any(axis=1).sum())


def write_scores(
    source: Any,
    fit: PLSFit,
    out: str | Path,
    *,
    index: Mapping[str, float] | None = None,
    bounds: Bounds | None = None,
    keep: Sequence[str] = (),
    items: Mapping[str, Recode] | None = None,
    form: Form | None = None,
    engine: Engine = "local",
    client: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Written:
    r"""Write the construct scores, and the 0-100 index, of every respondent as parquet, in a second pass.

    Each file of answers that holds rows gives a file of scores of the same name and folder, with the same rows in the
    same order. A row with a missing answer has no score (null) of the constructs concerned. Scores are those of
    :meth:`csi_lab.sem.fit.PLSFit.scores`, and the index is that of :func:`csi_lab.index.respondent_index`.

    Parameters
    ----------
    source
        A survey from :func:`csi_lab.scaleout.open_survey`, or what :func:`csi_lab.scaleout.scan` takes.
    fit
        A PLS fit of a single sample.
    out
        Folder to make; it must not exist. It appears under its name when everything is written, and not before.
    index
        Item to its weight w >= 0 after rescaling to 0-100, as in ``index.weights.loc["Satisfaction", "estimate"]``;
        ``None``: no index.
    bounds
        For the index: lowest and highest possible answer; default those of the survey.
    keep
        Columns to copy beside the scores, such as an id. Those that are names of folders (``wave=2024``) stay so.
    items
        What the answers mean, where ``source`` is no survey.
    form, engine, client, threads, progress
        As in :func:`csi_lab.scaleout.scan`. Workers write into ``out``: all must see the same folder.

    Returns
    -------
    Written

    Raises
    ------
    DataError
        If answers cannot be read or lie outside the bounds; nothing is left behind.
    SpecError
        If the fit is none or holds several draws, weights are no numbers, ``out`` exists, lies in the folder of the
        answers or cannot be written, or names clash.

    Notes
    -----
    PLSpredict and screening for careless answers are not part of this pass: both compare rows with each other or train
    on parts of them.

    Examples
    --------
    >>> import tempfile
    >>> import csi_lab as csi
    >>> survey = csi.scaleout.open_survey("mobile")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_scores(survey, csi.sem.pls(survey), Path(folder) / "scores"))
    250 rows of Image, Expectation, Quality, Value, Satisfaction, Complaints, Loyalty in 1 file of scores
    """
    if not hasattr(fit, "solution"):
        raise SpecError(f"scores need a PLS fit, as csi.sem.pls gives it, got {type(fit).__name__}")
    if fit.moments.shape:
        raise SpecError("scores need the weights of one fit; this one holds several draws")
    if not isinstance(out, (str, os.PathLike)):
        raise SpecError(f"out={out!r}: name a new folder")
    target = Path(out)
    if os.path.lexists(target):
        raise SpecError(f"{target} exists; name a new folder, so that old and new scores are never mixed")
    told = recodes_of_items(items) if items else {}
    if isinstance(source, StreamedSurvey):
        given = {name: recodes_of(source.study)[name] for name in source.items} | told
        bounds = source.bounds if bounds is None else bounds
        form, files = source.settings.get("form"), source.listing
    else:
        given, files = told or recodes_of_items(fit.model.items), source
    root = _root(files)
    if root is not None and target.absolute().is_relative_to(root):
        raise SpecError(
            f"{target} lies in the folder of the answers, and would be read as answers the next time; name a folder "
            "beside it"
        )
    formula = _formula(fit, given, index, bounds, keep)
    parts = parts_of(files, formula.columns, form)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=target.parent))
    except OSError as error:
        raise SpecError(f"{target}: cannot write there ({error.strerror or error}); choose another folder") from None
    try:
        together: dict[int, list[Part]] = {}
        for part in parts:
            together.setdefault(part.place[0], []).append(part)
        names = _names(together, files)
        tasks = [
            _Task(tuple(own), str(draft / names[number]), _in_folders(formula, own[0], names[number]))
            for number, own in together.items()
        ]
        counted = list(in_order(_write, tasks, engine=engine, client=client, threads=threads, progress=progress))
        (draft / SUCCESS).touch()
        draft.chmod(0o755)  # as mkdir would have made it; mkdtemp keeps others out
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    rows, without = (sum(column) for column in zip(*counted, strict=True))
    made = [*formula.constructs, *([INDEX] if formula.position is not None else [])]
    return Written(target, tuple(names.values()), rows, without, tuple(made))


@dataclass(frozen=True, eq=False)
class _Task:
    """One file of answers and its file of scores."""

    parts: tuple[Part, ...]
    path: str
    formula: _Formula


def _write(task: _Task) -> tuple[int, int]:
    """Rows written, and those with gaps. Repeated after a lost worker, it writes the same file again."""
    import pyarrow.parquet as pq

    path = Path(task.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer, rows, gaps = None, 0, 0
    # Under a name of its own until it is complete: a lost worker may still be writing when another one begins.
    handle, draft = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
    os.close(handle)
    try:
        for part in task.parts:
            try:
                for batch in part.batches(task.formula.columns, task.formula.items):
                    made, without = task.formula.of(batch, part.name)
                    if writer is None:
                        writer = pq.ParquetWriter(draft, made.schema)
                    writer.write_batch(made)
                    rows, gaps = rows + made.num_rows, gaps + without
            except DataError:
                raise
            except ValueError as error:
                raise DataError(f"{part.name}: {error}") from error
        if writer is not None:
            writer.close()
            writer = None
            os.replace(draft, path)
    finally:
        if writer is not None:
            writer.close()
        Path(draft).unlink(missing_ok=True)
    return rows, gaps


def _formula(
    fit: PLSFit,
    given: Mapping[str, Recode],
    index: Mapping[str, float] | None,
    bounds: Bounds | None,
    keep: Sequence[str],
) -> _Formula:
    constructs = tuple(fit.model.constructs)
    names = list(fit.model.items)
    asked, v = ([], np.zeros(0)) if index is None else item_weights(index)
    names += [name for name in asked if name not in names]
    problems = [f"no meaning is given for the item {name!r}" for name in names if name not in given]
    kept = [] if keep is None else list(dict.fromkeys(as_items(keep)))
    problems += [f"keep={keep!r}: names of columns are needed"] * any(not isinstance(name, str) for name in kept)
    clash = sorted((set(kept) & {*constructs, INDEX}) | ({INDEX} & {*constructs} if index is not None else set()))
    problems += [f"columns of two meanings: {clash}; rename them"] * bool(clash)
    if index is not None and bounds is None:
        problems.append("an index needs bounds=: the lowest and highest possible answer")
    if problems:
        raise SpecError(listed(problems, "scores cannot be written"), problems)
    p, own = len(names), len(fit.model.items)
    block = fit.layout.block
    member, slopes, mean = np.zeros((p, len(constructs))), np.zeros((p, len(constructs))), np.zeros(p)
    scale = fit.moments.sd if fit.scaled else np.ones(own)
    member[np.arange(own), block] = 1
    slopes[np.arange(own), block] = fit.solution.weights / scale
    mean[:own] = fit.moments.mean
    position, low, high = None, np.zeros(p), np.zeros(p)
    if index is not None and bounds is not None:
        least, most = limits(bounds, asked)
        at = [names.index(name) for name in asked]
        position = np.zeros(p)
        position[at], low[at], high[at] = 100 * v / (most - least) / v.sum(), least, most
    recodes = tuple(given[name] for name in names)
    return _Formula(tuple(names), recodes, mean, slopes, member, constructs, position, low, high, tuple(kept))


def _root(source: Any) -> Path | None:
    """The folder of the answers, if the source is one."""
    if isinstance(source, Listing):
        return source.root
    return Path(source).absolute() if isinstance(source, (str, Path)) and Path(source).is_dir() else None


def _in_folders(formula: _Formula, part: Part, name: str) -> _Formula:
    """Without the columns that are names of folders, where the scores lie in the same folders: they say it already."""
    said = {column for column, _ in part.given} if "/" in name else set()
    return replace(formula, keep=tuple(column for column in formula.keep if column not in said))


def _names(parts: Mapping[int, Sequence[Part]], source: Any) -> dict[int, str]:
    """The name of each file of scores: that of the answers, below the folder of the source."""
    root, names = _root(source), {}
    for number, own in parts.items():
        path = Path(own[0].path) if own[0].path else Path(f"part-{number:05d}.parquet")
        inside = path.relative_to(root) if root is not None and path.is_relative_to(root) else Path(path.name)
        names[number] = inside.with_suffix(".parquet").as_posix()
    if len(set(names.values())) < len(names):
        return {number: f"{number:05d}-{Path(name).name}" for number, name in names.items()}
    return names
