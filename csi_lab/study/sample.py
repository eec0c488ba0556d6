"""Whether the rows make the sample and carry the model that the study file describes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from csi_lab.study.findings import FEW, Findings, first_few, rows_said
from csi_lab.study.specification import Study

UNWEIGHTED = (
    "The design has population sizes but no weights: every respondent counts alike, which is right only for a "
    "sample in proportion; declare `weights` otherwise."
)


def judge(frame: pd.DataFrame, rows: np.ndarray, study: Study, found: Findings) -> None:
    """What is wrong or must be known: gaps in the design, silent rows, small samples, lonely units.

    Parameters
    ----------
    frame
        The prepared columns.
    rows
        ``(n,)`` numbers of its rows, as the file counts them.
    """
    items = [n for n in study.items if n in frame]
    silent = frame[items].isna().all(axis=1).to_numpy()
    if items and silent.any():
        found.notes.append(f"Rows without any answer, kept: {silent.sum()} ({rows_said(rows, silent)}).")
    if len(frame) < FEW:
        found.notes.append(f"Only {len(frame)} row{'s' * (len(frame) > 1)}: too few for anything but a trial.")
    _design(frame, rows, study, found)
    for name in (n for n in study.segments if n in frame):
        if lost := int(frame[name].isna().sum()):
            found.notes.append(f"Rows without a label in segment {name!r}: {lost}.")
        if len(frame) and frame[name].nunique() < 2:
            found.notes.append(f"Segment {name!r} has fewer than two groups.")
    _model(frame, study, found)


def _design(frame: pd.DataFrame, rows: np.ndarray, study: Study, found: Findings) -> None:
    design = study.design.sample
    for role, name in [("strata", design.strata), *(("psu", name) for name in design.stages)]:
        if name in frame and frame[name].isna().any():
            where = rows_said(rows, frame[name].isna().to_numpy())
            found.problem(f"empty cells in {name!r} (design.{role})", [where], "Give every row its label")
    strata, psu, population = design.strata, design.primary, next(iter(design.populations), None)
    if population is not None and design.weights is None:
        found.notes.append(UNWEIGHTED)
    if strata in frame and (psu is None or psu in frame):
        units = frame.groupby(strata)[psu].nunique() if psu else frame.groupby(strata).size()
        lonely = [str(label) for label, count in units.items() if count == 1]
        what = f"Strata in {strata!r} with one {'PSU' if psu else 'row'}, where no variance can be estimated"
        found.note(what, lonely)
    if population is not None and {name for name in (population, strata, psu) if name} <= set(frame):
        remedy = f"Give each stratum one number: how many {'PSUs' if psu else 'respondents'} its population has"
        what = f"the population column {population!r} does not fit the sample"
        found.problem(what, first_few(_misfits(frame, strata, psu, population), "strata"), remedy)


def _misfits(frame: pd.DataFrame, strata: str | None, psu: str | None, population: str) -> Iterator[str]:
    """Strata with several population sizes, or with more units sampled than the population has."""
    keys = frame[strata].fillna("").astype(str) if strata else pd.Series("all", index=frame.index)
    for label, part in frame.groupby(keys, sort=False):
        sizes = part[population].unique()
        sampled = part[psu].nunique() if psu else len(part)
        if not np.all(sizes > 0):
            continue  # sizes that are no numbers above zero have been named with their rows
        if len(sizes) > 1:
            listing = ", ".join(f"{size:g}" for size in sizes[:4]) + ", ..." * (len(sizes) > 4)
            yield f"stratum {label!r}: population sizes {listing}; one number per stratum is needed"
        elif sizes[0] < sampled:
            yield f"stratum {label!r}: {sampled} units sampled from a population of {sizes[0]:g}"


def _model(frame: pd.DataFrame, study: Study, found: Findings) -> None:
    """Constructs that the model leaves out, and how many rows it can use."""
    model = study.model
    note_left_out(study, found)
    items = list(model.items if model is not None else study.items)
    if not len(frame) or not set(items) <= set(frame):
        return
    answered = frame[items].notna().to_numpy()
    weighty = frame[study.design.weights].to_numpy() > 0 if study.design.weights in frame else True
    complete, count = int(np.sum(answered.all(axis=1) & weighty)), int(np.sum(np.broadcast_to(weighty, len(frame))))
    if complete == count:
        return
    rows = f"{complete} of {count} rows" + (" with a weight above zero" if count < len(frame) else "")
    if model is None:
        found.notes.append(f"{rows} answer every item.")
        return
    gaps = pd.Series((~answered).sum(axis=0), index=items).sort_values(ascending=False, kind="stable")
    most = ", ".join(f"{name} ({k} of {len(frame)})" for name, k in gaps[gaps > 0].head(3).items())
    too_few = complete <= len(items)
    found.notes.append(
        ("Warning, " if too_few else "")
        + f"{rows} answer every item of the model"
        + ("; it cannot be estimated" if not complete else f", which has {len(items)} items" if too_few else "")
        + f"; most often empty: {most}."
    )


def note_left_out(study: Study, found: Findings) -> None:
    """Constructs that the model leaves out, which the study file alone tells."""
    model = study.model
    if model is None:
        return
    found.note(
        "Constructs without any path, left out of the model (they keep their items, reliability and index with equal "
        "weights)",
        [name for name in study.constructs if name not in model.constructs],
    )
    if study.headline is not None and study.headline not in model.constructs:
        found.notes.append(f"Warning, the target {study.headline!r} is not part of the model.")
