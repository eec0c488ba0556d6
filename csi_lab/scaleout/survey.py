"""A study whose answers do not fit into memory: one pass, and then everything that follows from moments."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.moments import Missing, Moments
from csi_lab.resampling import Method, Replicates
from csi_lab.scaleout.columns import Recode
from csi_lab.scaleout.described import NOT_OFFERED, described, notes_of, require_varying
from csi_lab.scaleout.engines import Engine
from csi_lab.scaleout.files import Listing, listing_of
from csi_lab.scaleout.memory import MEMORY
from csi_lab.scaleout.readers import Form
from csi_lab.scaleout.scan import scan
from csi_lab.scaleout.scanned import Scan
from csi_lab.scaleout.sources import remarks_on
from csi_lab.study.cells import number
from csi_lab.study.datasets import find_study, packaged_file
from csi_lab.study.document import shown_path
from csi_lab.study.specification import Study, load_study
from csi_lab.study.stated import Stated

if TYPE_CHECKING:
    import pandas as pd


class NoRowsError(DataError, AttributeError):
    """Rows are asked for that were never in memory together.

    An AttributeError too, so that a function which can do without rows finds that there is no such attribute.
    """


@dataclass(frozen=True, eq=False)
class StreamedSurvey(Stated):
    """A study and what a pass over its answers found. Made by :func:`open_survey`.

    Estimators that need moments or replicates take it like a survey in memory.

    Attributes
    ----------
    study
        What the study file says.
    listing
        The files of the answers as they were when the survey was opened; later passes read these and refuse others.
    scan
        The sums of the pass.
    notes
        Every treatment and everything remarkable, one sentence each, with counts.
    fingerprint
        SHA-256 of the study file, and of names, sizes and times of the files of answers, whose content is not hashed.
    """

    study: Study
    listing: Listing
    scan: Scan
    notes: tuple[str, ...]
    fingerprint: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> tuple[Path, ...]:
        """The files of the answers."""
        return self.listing.files

    @property
    def frame(self) -> NoReturn:
        """There is none: the rows were never in memory together."""
        raise NoRowsError(self._no_rows)

    @property
    def columns(self) -> NoReturn:
        """There are none, as there is no frame."""
        # No AttributeError: a function that looks for columns needs rows, and should say why there are none.
        raise DataError(self._no_rows)

    @property
    def _no_rows(self) -> str:
        return (
            f"the survey {self.name!r} was read in a stream and has no frame of rows. Scores and index of every "
            "respondent are written by csi_lab.scaleout.write_scores(survey, fit, folder), and the index of segments "
            f"comes from csi_lab.scaleout.index_by_segment(survey, column, weights, bounds). {NOT_OFFERED}"
        )

    def moments(self, items: Sequence[str] | None = None, missing: Missing = "listwise") -> Moments:
        """Weighted count, means and covariances of ``items`` (default: all), with the weights of the design.

        A choice of items that the first pass did not foresee, and the first call with ``missing="em"`` or ``"mean"``,
        cost another pass.

        Raises
        ------
        DataError, EstimationError, SpecError
            As :meth:`csi_lab.Moments.from_frame`.

        Examples
        --------
        >>> import csi_lab as csi
        >>> streamed, loaded = open_survey("mobile"), csi.load_survey("mobile")
        >>> bool((streamed.moments().cov == loaded.moments().cov).all())
        True
        """
        chosen = self.chosen(items)
        if missing == "em" or missing == "mean":
            if not self.scan.sums.missing[self.scan.recipe.places(tuple(chosen))].any():
                return self._complete_on(chosen).moments
            return self._with_patterns.completed(missing, chosen)
        if missing not in ("listwise", "raise"):
            raise SpecError(f"missing={missing!r} is unknown; use 'listwise', 'raise', 'em' or 'mean'")
        gaps = dict(zip(self.items, self.scan.sums.missing.tolist(), strict=True))
        holes = {name: gaps[name] for name in chosen if gaps[name]}
        if missing == "raise" and holes:
            raise DataError(
                f"missing answers: {holes}; choose missing='listwise' to leave their rows out, or 'em' to use them"
            )
        return self._complete_on(chosen).moments

    def replicates(self, draws: int = 2000, rng: np.random.Generator | int = 0, **settings: Any) -> Replicates:
        """Replicates of all items that honour the design: primary units, or random groups of respondents.

        Raises
        ------
        DataError, SpecError
            As :func:`csi_lab.replicates`.
        """
        return self.resampled(settings.pop("items", None), draws=draws, rng=rng, **settings)

    def resampled(
        self,
        items: Sequence[str] | None = None,
        *,
        draws: int = 2000,
        rng: np.random.Generator | int = 0,
        method: Method = "auto",
        missing: Missing = "listwise",
    ) -> Replicates:
        """Replicates of some items; :func:`csi_lab.replicates` asks for them here.

        Raises
        ------
        DataError
            If a stratum holds a single unit.
        SpecError
            If answers would have to be completed anew in every replicate, which needs rows.
        """
        chosen = self.chosen(items)
        if missing in ("em", "mean") and self.scan.sums.missing[self.scan.recipe.places(tuple(chosen))].any():
            raise SpecError(
                f"replicates with missing={missing!r} are not offered in a stream: a pass keeps the units' sums of "
                "complete rows; use missing='listwise', or the point estimate from survey.moments(missing=...)"
            )
        if missing == "raise":
            self.moments(chosen, "raise")
        return self._complete_on(chosen).replicates(draws, rng, method)

    def _complete_on(self, items: Sequence[str]) -> Scan:
        try:
            return self.scan.complete_on(items)
        except SpecError:
            return self._pass(items=tuple(items))

    def _pass(self, items: tuple[str, ...], *, patterns: bool = False) -> Scan:
        recodes = recodes_of(self.study)
        return scan(
            self.listing,
            {name: recodes[name] for name in items},
            design=Design(weights=self.design.weights) if patterns else self.design,
            patterns=patterns,
            **self.settings,
        )

    @cached_property
    def _with_patterns(self) -> Scan:
        return self._pass(self.items, patterns=True)

    def to_frame(self, language: str | None = None, *, boxes: int = 2) -> pd.DataFrame:
        """One row per item: construct, label, answered, missing, mean, sd, floor, ceiling, min, max, median, boxes.

        As :meth:`csi_lab.study.survey.Survey.to_frame`, with the median and the shares of answers among the ``boxes``
        lowest (``bottom_box``) and highest (``top_box``) whole answers of the scale, all from counts of answers. An
        item with no more answers than ``boxes`` has none of these shares.

        Raises
        ------
        SpecError
            If ``boxes`` is no whole number from 1.
        """
        import pandas as pd

        if isinstance(boxes, bool) or not isinstance(boxes, (int, np.integer)) or boxes < 1:
            raise SpecError(f"boxes={boxes!r}: a whole number of answers from 1 is needed, 2 are usual")
        labels, sums = self.labels(language), self.scan.sums
        rows = {}
        for construct, items in self.constructs.items():
            for item in items:
                at = self.items.index(item)
                found = described(self.scan.counts[item], int(sums.used[at]), self.bounds[item], boxes)
                missing = int(sums.missing[at])
                counted = {"answered": sums.rows - missing, "missing": missing}
                rows[item] = {"construct": construct, "label": labels[item], **counted, **found}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("item")

    def __str__(self) -> str:
        sums = self.scan.sums
        lost, cells = int(sums.missing.sum()), sums.rows * len(self.items)
        model = (
            f"{self.model}" + (f" ({self.study.catalogue})" if self.study.catalogue else "") if self.model else "none"
        )
        ranges = sorted(set(self.bounds.values()))
        lines = [
            f"{self.title()} [{self.name}]",
            f"  answers:   {sums.rows} rows read in a stream from {len(self.source)} "
            f"file{'s' * (len(self.source) != 1)}; {lost} of {cells} answers missing",
            f"  questions: {len(self.items)} items of {len(self.constructs)} constructs, "
            f"scale {', '.join(f'{low:g} to {high:g}' for low, high in ranges)}",
            f"  model:     {model}; target: {self.target or 'none'}",
            f"  analysed as {self.design}; intervals from {self.scan.units_said}",
        ]
        if self.segments:
            lines.append(f"  segments:  {', '.join(self.segments)}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rest = (html.escape(line.strip()) for line in str(self).split("\n"))
        return f"<p><strong>{head}</strong><br>{'<br>'.join(rest)}</p>{self.to_frame().round(3).to_html()}"


def open_survey(
    path_or_name: str | Path,
    *,
    memory: float = MEMORY,
    seed: int = 0,
    engine: Engine = "local",
    client: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> StreamedSurvey:
    """Open a study and pass once over its answers, without ever holding them in memory.

    The ``data: file`` of the study may be a parquet or text file, a folder whose name ends in ``/`` (``wave=2024/...``
    inside makes a column ``wave``), or a pattern such as ``answers/2024-*.parquet``.

    Parameters
    ----------
    path_or_name
        Path of a ``study.yaml`` or of its folder, or the name of a study, as for :func:`csi_lab.load_survey`.
    memory, seed
        Megabytes for the sums, and seed of the random groups, as in :func:`csi_lab.scaleout.scan`.
    engine, client, threads, progress
        As in :func:`csi_lab.scaleout.engines.run`.

    Returns
    -------
    StreamedSurvey

    Raises
    ------
    SpecError
        If the study file contradicts itself, or asks for what a stream cannot do.
    DataError
        If the answers cannot be read or do not fit the study.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = open_survey("mobile")
    >>> round(csi.reliability.cronbach_alpha(survey, survey.constructs["Quality"]).value, 3)
    0.872
    >>> round(csi.index.from_fit(csi.sem.pls(survey), survey.bounds).value, 2)
    72.45
    """
    path = find_study(path_or_name)
    study = load_study(path)
    listing = data_files(path, study)
    _require_streamable(study)
    stated = _Unread(study)
    settings = {
        "memory": memory,
        "seed": seed,
        "form": Form(study.data.delimiter, study.data.encoding, study.data.decimal),
        "engine": engine,
        "client": client,
        "threads": threads,
        "progress": progress,
    }
    model = [] if stated.model is None else [stated.model.items]
    sets = [s for s in dict.fromkeys(map(tuple, [*model, *stated.constructs.values()])) if set(s) != set(stated.items)]
    found = scan(
        listing,
        recodes_of(study),
        design=stated.design,
        by=study.segments,
        sets=sets,
        counts=True,
        **settings,
    )
    listing.require_unchanged()  # while they were read
    require_varying(found)
    first, *rest = notes_of(study, found, listing.files)
    notes = (first, *remarks_on(listing, settings["form"]), *found.notes, *rest)
    return StreamedSurvey(study, listing, found, notes, fingerprint(path, listing), settings)


@dataclass(frozen=True)
class _Unread(Stated):
    """A study before its answers are read."""

    study: Study


def unread(path_or_name: str | Path) -> tuple[Stated, str]:
    """What a study states, and its fingerprint, without a look into the answers.

    Raises
    ------
    DataError, SpecError
        As in :func:`open_survey`, as far as it shows before reading.

    Examples
    --------
    >>> unread("mobile")[0].target
    'Satisfaction'
    """
    path = find_study(path_or_name)
    study = load_study(path)
    listing = data_files(path, study)
    _require_streamable(study)
    return _Unread(study), fingerprint(path, listing)


def data_files(path: Path, study: Study) -> Listing:
    """The files of a study's answers.

    Raises
    ------
    DataError
        If there are none.

    Examples
    --------
    >>> path = find_study("mobile")
    >>> [file.suffix for file in data_files(path, load_study(path)).files]
    ['.csv']
    """
    data = study.data
    if data.package is not None:
        return listing_of(packaged_file(data.package, data.file))
    place = path.parent / data.file
    try:
        return listing_of(place)
    except DataError as error:
        raise DataError(f"{shown_path(place)}: {error}; correct `data: file` (relative to the study file)") from None


def fingerprint(path: Path, listing: Listing) -> str:
    """SHA-256 of the study file, and of names, sizes and times of the files of answers as they were listed."""
    digest = hashlib.sha256(path.read_bytes())
    for file, (size, changed) in zip(listing.files, listing.stamps, strict=True):
        name = (file.relative_to(listing.root) if listing.root else Path(file.name)).as_posix()
        digest.update(f"\0{name}\0{size}\0{changed}".encode())
    return digest.hexdigest()


def recodes_of(study: Study) -> dict[str, Recode]:
    """What the answers of each item mean, by the study file.

    Examples
    --------
    >>> recodes_of(load_study("mobile"))["CUSA1"].high
    10.0
    """
    found = {}
    for name, item in study.items.items():
        low, high = study.bounds[name]
        read = {code: number(code, study.data.decimal) for code in study.missing[name]}
        codes = tuple(x for x in read.values() if x is not None)
        texts = tuple(str(code).strip() for code, x in read.items() if x is None)
        found[name] = Recode(low, high, codes, item.reversed, study.checks.outside_scale, texts)
    return found


def _require_streamable(study: Study) -> None:
    """Refuse what a study file may ask for and a stream cannot do, all at once."""
    problems = []
    if study.scale and study.scale.labels:
        problems.append("scale: labels: answer texts are not mapped in a stream; store numbers")
    if study.checks.duplicate_id == "first":
        problems.append("checks: duplicate_id: first: ids are not compared in a stream; remove the copies beforehand")
    if study.checks.outside_scale == "keep":
        problems.append("checks: outside_scale: keep: answers are cleaned in memory; write `missing` or `error` here")
    if problems:
        raise SpecError(listed(problems, f"the study {study.name!r} cannot be read in a stream"), problems)
