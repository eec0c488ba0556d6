"""A survey: the study and its checked answers, ready for every estimator."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from csi_lab.errors import DataError, listed
from csi_lab.study.answers import prepare, wanted_columns
from csi_lab.study.datasets import find_study, packaged_file
from csi_lab.study.document import shown_path
from csi_lab.study.findings import Findings
from csi_lab.study.reading import read_table
from csi_lab.study.specification import Study, load_study
from csi_lab.study.stated import Stated

if TYPE_CHECKING:
    from csi_lab.moments import Missing, Moments
    from csi_lab.resampling import Replicates


@dataclass(frozen=True, eq=False)
class Survey(Stated):
    """A study and its answers, checked against each other. Made by :func:`load_survey`.

    Attributes
    ----------
    study
        What the study file says.
    frame
        One row per respondent in the order of the file. Items are floats (NaN: no answer) with missing codes, labels
        and reversed items treated; weights and population sizes are floats; columns to ``keep`` are floats where all
        their values are numbers; all other columns are text as read.
    notes
        Every treatment and everything remarkable, one sentence each, with counts.
    fingerprint
        SHA-256 of the study file followed by the data file, as hexadecimal text.
    """

    study: Study
    frame: pd.DataFrame
    notes: tuple[str, ...]
    fingerprint: str

    def impossible(self, items: Sequence[str] | None = None) -> dict[str, pd.Index]:
        """Item to the labels of the rows, of weight above zero, whose answer lies outside its scale; empty if none.

        There are such answers only where the study file keeps them for cleaning (``checks: {outside_scale: keep}``).
        """
        living = True if self.design.weights is None else self.frame[self.design.weights] > 0
        found = {}
        for item in self.chosen(items):
            x, (low, high) = self.frame[item], self.bounds[item]
            rows = self.frame.index[((x < low) | (x > high)) & living]
            if len(rows):
                found[item] = rows
        return found

    def require_possible(self, items: Sequence[str] | None = None) -> None:
        """Refuse answers outside the scale that were kept for cleaning and are not cleaned yet.

        Estimators ask this before they use ``items`` (default: all); other columns are passed over.

        Raises
        ------
        DataError
            With the items, the rows and the remedy.
        """
        if self.study.checks.outside_scale != "keep":
            return
        found = self.impossible(None if items is None else [name for name in items if name in self.items])
        if not found:
            return
        bounds = self.bounds
        problems = [
            f"{item}: {_count(len(rows), 'answer')} outside {bounds[item][0]:g} to {bounds[item][1]:g} in rows "
            + "labelled "
            + ", ".join(map(str, rows[:5]))
            + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
            for item, rows in found.items()
        ]
        remedy = (
            "clean them: log = csi.cleaning.decide(survey, csi.cleaning.out_of_range(survey), "
            "csi.cleaning.Rule('set missing')); survey = log.apply(survey)"
        )
        head = "impossible answers were kept for cleaning (checks: outside_scale: keep) and are still there"
        raise DataError(f"{listed(problems, head)}\n  {remedy}", problems)

    def moments(self, items: Sequence[str] | None = None, missing: Missing = "listwise") -> Moments:
        """Weighted count, means and covariances of ``items`` (default: all), with the weights of the design.

        ``missing`` is as in :meth:`csi_lab.Moments.from_frame`.

        Raises
        ------
        DataError
            If an item is unknown, too few complete rows remain, or impossible answers were kept and not cleaned.
        """
        from csi_lab.moments import Moments

        chosen = self.chosen(items)
        self.require_possible(chosen)
        weights = self.frame[self.design.weights] if self.design.weights else None
        return Moments.from_frame(self.frame[chosen], weights=weights, missing=missing)

    def replicates(self, draws: int = 2000, rng: np.random.Generator | int = 0, **settings: Any) -> Replicates:
        """Replicates of all items that honour the design; see :func:`csi_lab.resampling.replicates`.

        Raises
        ------
        DataError, SpecError
            As there.
        """
        from csi_lab.resampling import replicates

        return replicates(self, draws=draws, rng=rng, **settings)

    def to_frame(self, language: str | None = None) -> pd.DataFrame:
        """One row per item: construct, label, answered, missing, mean, sd, floor, ceiling, min, max.

        ``answered`` and ``missing`` count the rows of the file, ``min`` and ``max`` are of the answers in it. Mean,
        standard deviation (divisor n - 1) and the shares of answers at the lower bound (``floor``) and the upper bound
        (``ceiling``) are weighted if the design has weights; rows with weight zero are left out of them.
        """
        weights = self.frame[self.design.weights].to_numpy() if self.design.weights else np.ones(len(self.frame))
        labels = self.labels(language)
        rows = {
            item: {
                "construct": construct,
                "label": labels[item],
                **_summary(self.frame[item].to_numpy(), weights, self.bounds[item]),
            }
            for construct, items in self.constructs.items()
            for item in items
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("item")

    def __str__(self) -> str:
        study = self.study
        cells = self.frame[list(self.items)]
        lost = int(cells.isna().to_numpy().sum())
        source = f"{Path(study.data.file).name}" + (f" (package {study.data.package})" if study.data.package else "")
        model = f"{self.model}" + (f" ({study.catalogue})" if study.catalogue else "") if self.model else "none"
        ranges = sorted(set(self.bounds.values()))
        lines = [
            f"{self.title()} [{self.name}]",
            f"  answers:   {_count(len(self.frame), 'row')} from {source}; {lost} of {cells.size} answers missing",
            f"  questions: {_count(len(self.items), 'item')} of {_count(len(self.constructs), 'construct')}, "
            f"scale {', '.join(f'{low:g} to {high:g}' for low, high in ranges)}",
            f"  model:     {model}; target: {self.target or 'none'}",
            f"  analysed as {self.design}",
        ]
        if self.segments:
            lines.append(f"  segments:  {', '.join(self.segments)}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rest = (html.escape(line.strip()) for line in str(self).split("\n"))
        described = self.to_frame().round({"mean": 2, "sd": 2, "floor": 3, "ceiling": 3})
        with pd.option_context("display.max_colwidth", None):
            table = described.to_html(max_rows=None)
        return f"<p><strong>{head}</strong><br>{'<br>'.join(rest)}</p>{table}"


def _count(k: int, what: str) -> str:
    return f"{k} {what}{'s' * (k != 1)}"


def _summary(x: np.ndarray, weights: np.ndarray, bounds: tuple[float, float]) -> dict[str, float | int]:
    """Description of one item."""
    there = ~np.isnan(x)
    answers, answered = x[there], int(there.sum())
    used = there & (weights > 0)
    x, w, n = x[used], weights[used], int(used.sum())
    share = w / w.sum()
    mean = share @ x if n else np.nan
    with np.errstate(over="ignore"):  # impossible answers that were kept may be as large as software writes for none
        sd = np.sqrt(share @ (x - mean) ** 2 * n / (n - 1)) if n > 1 else np.nan
    return {
        "answered": answered,
        "missing": len(there) - answered,
        "mean": float(mean),
        "sd": float(sd),
        "floor": float(share @ (x == bounds[0])) if n else np.nan,
        "ceiling": float(share @ (x == bounds[1])) if n else np.nan,
        "min": float(answers.min()),
        "max": float(answers.max()),
    }


def load_survey(path_or_name: str | Path) -> Survey:
    """Load a study and its answers, and check them against each other.

    Parameters
    ----------
    path_or_name
        Path of a ``study.yaml`` or of its folder, or the name of a study, as
        :func:`csi_lab.study.datasets.find_study` takes it.

    Returns
    -------
    Survey

    Raises
    ------
    SpecError
        If the study file is missing or contradicts itself.
    DataError
        If the answers cannot be read or do not fit the study; every problem of the data is named at once.

    Examples
    --------
    >>> survey = load_survey("mobile")
    >>> survey.frame.shape
    (250, 24)
    >>> survey.to_frame().loc["CUSA1", ["answered", "missing", "min", "max"]].astype(int).tolist()
    [250, 0, 4, 10]
    """
    path = find_study(path_or_name)
    study = load_study(path)
    data = study.data
    file = packaged_file(data.package, data.file) if data.package is not None else path.parent / data.file
    shown = f"{data.file} (package {data.package})" if data.package is not None else shown_path(file)
    table = read_table(file, data, wanted_columns(study), shown)
    form, *remarks = table.notes
    found = Findings()
    frame = prepare(table, study, found)
    if found.problems:
        count = len(found.problems)
        raise DataError(listed(found.problems, f"{shown}: {count} problem{'s' * (count > 1)}"), found.problems)
    notes = (f"Read {len(table.rows)} rows of {file.name} ({form}).", *remarks, *found.notes)
    return Survey(study, frame, notes, _fingerprint(path, file))


def _fingerprint(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
