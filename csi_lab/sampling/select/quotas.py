"""Quota samples: a sheet of cells to fill, and an interviewer who fills it with those easiest to reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import SpecError, listed
from csi_lab.sampling.margins import as_columns
from csi_lab.sampling.select.allocation import allocate
from csi_lab.sampling.select.nonrandom import NO_DESIGN, arrivals, chances
from csi_lab.sampling.select.register import (
    generator,
    label_codes,
    numbers_per_row,
    row_order,
    some,
    whole,
    with_columns,
)
from csi_lab.sampling.select.sample import Record, Sample

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.sampling.select.register import PerRow


def quota(
    frame: pd.DataFrame,
    columns: str | Sequence[str],
    n: int,
    *,
    rng: np.random.Generator | int,
    sheet: Mapping[Any, int] | None = None,
    ease: PerRow = 1.0,
    agree: PerRow = 1.0,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    """Quota sample with crossed cells (age x region): who comes by is asked until the cell is full.

    Units arrive as in :func:`csi_lab.sampling.select.nonrandom.convenience`. One whose cell is full is turned
    away; the others are asked and agree with their chance.

    Parameters
    ----------
    frame
        The register, one row per unit.
    columns
        Columns whose crossed labels are the cells.
    n
        Interviews in all, divided in proportion to the register (largest remainder; a cell may get 0).
    rng
        Seed or Generator.
    sheet
        Interviews per cell in place of that division; must sum to n. Cells of several columns are named by their labels
        joined with " | ".
    ease
        How often a unit comes by, 0 or more: a column, an array or a function of the frame; by default all alike.
    agree
        Chance to agree when asked, 0 to 1: a number, a column or an array.
    id
        Column of identifiers, so that the order of the rows does not matter.
    names
        Other names for the columns that are added, ``cell`` and ``arrival``.

    Returns
    -------
    Sample
        In order of the interviews, without a design. The record's table is the quota sheet: ``population``, ``quota``,
        ``asked``, ``refused``, ``drawn``, ``short``, ``turned_away`` (came by when the cell was full, up to the last
        interview).

    Raises
    ------
    SpecError
        If n or the sheet is impossible.
    DataError
        If labels are missing, or ease or agree unusable.

    Notes
    -----
    A cell in which too few come by and agree stays short and is named. Margins agree with the register; what goes
    with ease of reach within cells stays biased.

    References
    ----------
    .. [1] Moser, C. A., & Stuart, A. (1953). Journal of the Royal Statistical Society A, 116, 349-405.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": ["young", "old"] * 50, "visits": range(1, 101)})
    >>> sample = quota(frame, "age", 10, rng=1, ease="visits", agree=0.5)
    >>> sample.frame["cell"].value_counts().to_dict() == {"young": 5, "old": 5}
    True
    """
    import pandas as pd

    n = whole(n, "n")
    source, seed = generator(rng)
    place = row_order(frame, id)
    code, labels = label_codes(frame.iloc[place], columns, "cell")
    size = np.bincount(code)
    wanted = _sheet(labels, size, n, sheet)
    order, _ = arrivals(numbers_per_row(frame, ease, "ease", low=0)[place], source)
    willing = source.random(len(frame)) < chances(frame, agree, "agree")[place]
    cell, yes = code[order], willing[order]
    # Willing arrivals of the cell so far, this one included.
    by_cell = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[by_cell], np.arange(len(labels)))
    running = np.cumsum(yes[by_cell])
    before = np.concatenate([[0], running])[starts]
    agreed = np.empty(len(order), dtype=np.int64)
    agreed[by_cell] = running - before[cell[by_cell]]
    open_before = agreed - yes < wanted[cell]
    taken = np.flatnonzero(yes & open_before)
    drawn = np.bincount(cell[taken], minlength=len(labels))
    short = wanted - drawn
    # The work ends with the last interview, or goes on to the end of arrivals where a cell stays short.
    end = len(order) if short.any() else int(taken[-1]) + 1 if len(taken) else 0
    asked = np.bincount(cell[:end][open_before[:end]], minlength=len(labels))
    turned = np.bincount(cell[:end][~open_before[:end]], minlength=len(labels))
    columns_sheet = {
        "population": size,
        "quota": wanted,
        "asked": asked,
        "refused": asked - drawn,
        "drawn": drawn,
        "short": short,
        "turned_away": turned,
    }
    notes = [f"{int(asked.sum())} asked, {int((asked - drawn).sum())} refused, {int(turned.sum())} turned away"]
    if short.any():
        names_short = [f"{labels[i]} ({drawn[i]} of {wanted[i]})" for i in np.flatnonzero(short)]
        notes.append(f"cells not filled: {some(names_short)}")
    empty = [labels[i] for i in np.flatnonzero(wanted == 0)]
    if empty:
        notes.append(f"cells without a quota: {some(empty)}")
    rows = order[taken]
    cells = pd.Series(labels, dtype=object).iloc[cell[taken]].to_numpy()
    table, called = with_columns(frame.iloc[place[rows]], {"cell": cells, "arrival": taken + 1}, names)
    by = " x ".join(map(str, as_columns(columns)))
    record = Record(
        method=f"quota sample by {by}",
        asked=n,
        drawn=len(rows),
        population=len(frame),
        table=pd.DataFrame(columns_sheet, index=pd.Index(labels, name="cell")),
        seed=seed,
        generator=type(source.bit_generator).__name__,
        order="order of arrival",
        notes=tuple(notes),
    )
    return Sample(table, record, called, _no_design=NO_DESIGN.format("quota"))


def quota_margins(
    frame: pd.DataFrame,
    columns: Sequence[str],
    n: int,
    *,
    rng: np.random.Generator | int,
    ease: PerRow = 1.0,
    agree: PerRow = 1.0,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    """Quota sample with one quota per margin (so many young, so many in the north), not crossed.

    Who comes by is asked only while the quotas of all her margins are open.

    Parameters
    ----------
    frame
        The register, one row per unit.
    columns
        Columns whose margins have quotas, each in proportion to the register (largest remainder).
    n
        Interviews in all.
    rng
        Seed or Generator.
    ease, agree, id
        As in :func:`quota`.
    names
        Other names for the column that is added, ``arrival``.

    Returns
    -------
    Sample
        In order of the interviews, without a design. The record's table has a row per margin (``column, label``) with
        ``population, quota, drawn, short``.

    Raises
    ------
    SpecError
        If n is impossible.
    DataError
        If labels are missing, or ease or agree unusable.

    Notes
    -----
    The last interviews may be impossible (the young are missing, but those left in the north are old): such margins
    stay short and are named, as in the field.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"age": ["young", "old"] * 50, "region": ["north"] * 30 + ["south"] * 70})
    >>> sample = quota_margins(frame, ["age", "region"], 10, rng=1)
    >>> sample.record.table["drawn"].tolist() == sample.record.table["quota"].tolist() == [5, 5, 3, 7]
    True
    """
    import pandas as pd

    n = whole(n, "n")
    source, seed = generator(rng)
    place = row_order(frame, id)
    listed_frame = frame.iloc[place]
    wanted_columns = [columns] if isinstance(columns, str) else list(columns)
    found = [label_codes(listed_frame, column, "quota") for column in wanted_columns]
    sizes = [np.bincount(code) for code, _ in found]
    quotas = [_sheet(labels, size, n, None) for (_, labels), size in zip(found, sizes, strict=True)]
    shift = np.concatenate([[0], np.cumsum([len(q) for q in quotas])])
    codes = np.column_stack([code + shift[j] for j, (code, _) in enumerate(found)])
    order, _ = arrivals(numbers_per_row(frame, ease, "ease", low=0)[place], source)
    willing = source.random(len(frame)) < chances(frame, agree, "agree")[place]
    left = np.concatenate(quotas)
    taken: list[int] = []
    asked = 0
    end = 0
    for end, (unit, margins) in enumerate(zip(order.tolist(), codes[order].tolist(), strict=True), 1):
        if all(left[m] > 0 for m in margins):
            asked += 1
            if willing[unit]:
                for m in margins:
                    left[m] -= 1
                taken.append(end - 1)
                if len(taken) == n:
                    break
    margins_index = [(c, label) for c, (_, labels) in zip(wanted_columns, found, strict=True) for label in labels]
    quota_all = np.concatenate(quotas)
    table_margins = pd.DataFrame(
        {"population": np.concatenate(sizes), "quota": quota_all, "drawn": quota_all - left, "short": left},
        index=pd.MultiIndex.from_tuples(margins_index, names=["column", "label"]),
    )
    notes = [f"{asked} asked, {asked - len(taken)} refused, {end - asked} turned away"]
    if left.any():
        unfilled = [f"{c} {label}" for (c, label), k in zip(margins_index, left, strict=True) if k]
        notes.append(f"margins not filled: {some(unfilled)}")
    at = np.array(taken, dtype=np.int64)
    rows = order[at]
    table, called = with_columns(frame.iloc[place[rows]], {"arrival": at + 1}, names)
    record = Record(
        method=f"quota sample by margins of {', '.join(map(str, wanted_columns))}",
        asked=n,
        drawn=len(rows),
        population=len(frame),
        table=table_margins,
        seed=seed,
        generator=type(source.bit_generator).__name__,
        order="order of arrival",
        notes=tuple(notes),
    )
    return Sample(table, record, called, _no_design=NO_DESIGN.format("quota"))


def _sheet(labels: list[Any], size: np.ndarray, n: int, sheet: Mapping[Any, int] | None) -> np.ndarray:
    """Interviews wanted per cell."""
    if sheet is None:
        return allocate(dict(zip(labels, size.tolist(), strict=True)), n, minimum=0).table["n"].to_numpy()
    if not hasattr(sheet, "keys"):
        raise SpecError(f"the quota sheet must be a mapping from cell to number, got {type(sheet).__name__}")
    unknown = [cell for cell in sheet.keys() if cell not in set(labels)]  # noqa: SIM118 (a Series iterates its values)
    problems = []
    if unknown:
        problems.append(f"cells that are not in the register: {some(unknown)}; it has {some(labels)}")
    wanted = np.array([whole(sheet.get(label, 0), f"quota of {label!r}", at_least=0) for label in labels])
    over = [f"{labels[i]} ({wanted[i]} of {size[i]})" for i in np.flatnonzero(wanted > size)]
    if over:
        problems.append(f"more interviews than units in cells: {some(over)}")
    if not unknown and wanted.sum() != n:
        problems.append(f"the cells sum to {wanted.sum()}, but n={n}")
    if problems:
        raise SpecError(listed(problems, "the quota sheet does not fit"), problems)
    return wanted
