"""What a pass over a study found, in words and tables: treatments with counts, descriptions of items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import DataError, listed
from csi_lab.moments import Moments
from csi_lab.scaleout.columns import NO_LABEL
from csi_lab.scaleout.scanned import Scan
from csi_lab.study.answers import note_codes_inside
from csi_lab.study.findings import Findings
from csi_lab.study.sample import UNWEIGHTED, note_left_out
from csi_lab.study.specification import Study

if TYPE_CHECKING:
    import pandas as pd

NOT_OFFERED = (
    "Not offered in a stream, because rows are needed together: PLSpredict, blindfolding, careless answering, ordinal "
    "and robust estimates, replicates with missing='em' or 'mean', duplicate ids. CB-SEM takes survey.moments()."
)


def require_varying(found: Scan) -> None:
    """Refuse items without any valid answer, or with only one, as a survey in memory does.

    Raises
    ------
    DataError
        With all of them.
    """
    empty = [name for name, counts in found.counts.items() if not len(counts)]
    flat = [f"{name} (always {counts.index[0]:g})" for name, counts in found.counts.items() if len(counts) == 1]
    problems = [f"items without any valid answer: {', '.join(empty)}"] * bool(empty)
    problems += [f"items that do not vary: {', '.join(flat)}; leave them out of their construct"] * bool(flat)
    if problems:
        raise DataError(listed(problems, "the answers do not fit the study"), problems)


def notes_of(study: Study, found: Scan, files: Sequence[Path]) -> list[str]:
    """What was done to the answers, with counts."""
    sums, items = found.sums, found.items
    kind = files[0].suffix.lower().removeprefix(".")
    notes = [f"Read {sums.rows} rows of {len(files)} {kind} file{'s' * (len(files) != 1)} in a stream."]

    def note(what: str, counts: np.ndarray) -> None:
        said = ", ".join(f"{name} ({k})" for name, k in zip(items, counts.tolist(), strict=True) if k)
        notes.extend([f"{what}: {said}."] * bool(said))

    total = int(sums.outside.sum())
    note(f"Values outside the scale became missing (checks: outside_scale: missing), {total} in all", sums.outside)
    note("Empty cells", sums.missing - sums.coded - sums.outside)
    note("Missing codes became missing", sums.coded)
    stated = Findings(notes=notes)
    note_codes_inside(study, stated)
    turned = [name for name, item in study.items.items() if item.reversed]
    notes += [f"Reversed items were recoded as low + high - answer: {', '.join(turned)}."] * bool(turned)
    notes += [f"Rows with weight zero, left out of every estimate: {sums.weightless}."] * bool(sums.weightless)
    if (complete := int(sums.whole.n)) < (count := sums.rows - sums.weightless):
        weighty = " with a weight above zero" if sums.weightless else ""
        notes.append(f"{complete} of {count} rows{weighty} answer every item.")
    for column in found.by:
        if lost := found.unlabelled(column):
            notes.append(f"Rows without a label in segment {column!r}, the group {NO_LABEL!r}: {lost} complete ones.")
    note_left_out(study, stated)
    same = _copied(found.moments) if sums.whole.n else []
    if same:
        notes.append(f"Warning, items with the same answer in every complete row (copied columns?): {', '.join(same)}.")
    if found.grouped and sums.whole.n:
        where = " within strata" if found.design.strata else ""
        notes.append(
            f"Respondents are the units; intervals come from {found.units_said}, dealt at random{where}, because rows "
            "are not kept."
        )
    if found.design.populations and found.design.weights is None:
        notes.append(UNWEIGHTED)
    if study.design.id:
        notes.append(f"Ids in {study.design.id!r} are not compared in a stream.")
    return [*notes, NOT_OFFERED]


def _copied(moments: Moments) -> list[str]:
    """Pairs of items with the same answer in every complete row."""
    mean, cov = moments.mean, moments.cov
    return [
        f"{a} = {b}"
        for i, a in enumerate(moments.names)
        for j, b in enumerate(moments.names)
        if i < j and mean[i] == mean[j] and cov[i, i] == cov[i, j] == cov[j, j]
    ]


def described(counts: pd.Series, n: int, bounds: tuple[float, float], boxes: int) -> dict[str, float]:
    """Description of one item from the weight of each answer; no boxes where the scale has no more answers."""
    low, high = bounds
    boxed = boxes <= high - low
    positive = counts[counts > 0]
    x, share = positive.index.to_numpy(dtype=float), (positive / positive.sum()).to_numpy()
    mean = float(share @ x) if n else np.nan
    return {
        "mean": mean,
        "sd": float(np.sqrt(share @ (x - mean) ** 2 * n / (n - 1))) if n > 1 else np.nan,
        "floor": float(share @ (x == low)),
        "ceiling": float(share @ (x == high)),
        "min": float(counts.index.min()),
        "max": float(counts.index.max()),
        "median": _median(x, share),
        "bottom_box": float(share @ (x < low + boxes)) if boxed else np.nan,
        "top_box": float(share @ (x > high - boxes)) if boxed else np.nan,
    }


def _median(x: np.ndarray, share: np.ndarray) -> float:
    """The answer below and above which lies half of the weight; halfway between two where the half falls between."""
    reached = np.cumsum(share)
    at = int(np.searchsorted(reached, 0.5 - 1e-12))
    between = abs(reached[at] - 0.5) <= 1e-12 and at + 1 < len(x)
    return float((x[at] + x[at + 1]) / 2 if between else x[at])
