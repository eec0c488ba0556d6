"""Honest simulations of samples that chance does not draw: judgement and convenience.

They exist to be compared with the truth of a register. Such samples have no inclusion probabilities, hence no design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.margins import as_columns
from csi_lab.sampling.select.register import (
    generator,
    label_codes,
    numbers,
    numbers_per_row,
    require_columns,
    row_order,
    some,
    whole,
    with_columns,
)
from csi_lab.sampling.select.sample import Record, Sample

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.sampling.select.register import PerRow

NO_DESIGN = (
    "a {} sample has no inclusion probabilities, so no weights, standard errors or intervals follow from how it was "
    "drawn"
)


def judgement(
    frame: pd.DataFrame,
    n: int,
    columns: str | Sequence[str],
    *,
    pick: Literal["typical", "extreme"] = "typical",
    unit: str | None = None,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""Judgement sample: the cases that look most typical, or most extreme, on some columns.

    Distance from the mean in standard deviations, :math:`\sqrt{\sum_j ((x_{kj} - \bar x_j)/s_j)^2}`; the n nearest
    (or farthest) are taken.

    Parameters
    ----------
    frame
        The register, one row per unit.
    n
        Units to take (of ``unit``, where that is given).
    columns
        Numeric columns that the expert looks at.
    pick
        ``"typical"``: nearest to the mean; ``"extreme"``: farthest from it.
    unit
        Column of larger units (branches) that are judged by their means; all rows of those taken are in the sample.
    id
        Column of identifiers; equal distances go by its order, otherwise by the order of the register.
    names
        Other names for the column that is added, ``distance``.

    Returns
    -------
    Sample
        Without a design.

    Raises
    ------
    SpecError
        If n or ``pick`` is impossible.
    DataError
        If columns are absent, text, missing in some rows, or do not vary.

    Notes
    -----
    There is no chance in it: the same register gives the same sample, and a larger n removes no bias.

    Examples
    --------
    >>> import pandas as pd
    >>> sample = judgement(pd.DataFrame({"spend": [10, 48, 50, 52, 90]}), 3, "spend")
    >>> sample.frame["spend"].tolist()
    [48, 50, 52]
    """
    import pandas as pd

    n = whole(n, "n")
    if pick not in ("typical", "extreme"):
        raise SpecError(f"pick={pick!r} is unknown; use 'typical' or 'extreme'")
    wanted = as_columns(columns)
    place = row_order(frame, id)
    require_columns(frame, wanted, "columns to judge by")
    x = np.column_stack([numbers(frame, column, "the column")[place] for column in wanted])
    if unit is None:
        code, labels = np.arange(len(frame)), list(frame.index[place])
    else:
        code, labels = label_codes(frame.iloc[place], unit, "unit")
    count = np.bincount(code)
    if n > len(count):
        raise SpecError(f"n={n} is more than the {len(count)} {'units of the register' if unit is None else unit}")
    means = np.column_stack([np.bincount(code, weights=column) / count for column in x.T])
    spread = means.std(axis=0)
    flat = [c for c, s, m in zip(wanted, spread, means.T, strict=True) if not s > 1e-12 * max(1.0, np.abs(m).max())]
    if flat:
        raise DataError(f"columns do not vary between the units: {flat}; nothing is typical or extreme there")
    distance = np.sqrt((((means - means.mean(axis=0)) / spread) ** 2).sum(axis=1))
    # Distances that are equal but for rounding are ties.
    key = np.round(distance, 12)
    taken = np.sort(np.argsort(key if pick == "typical" else -key, kind="stable")[:n])
    rows = np.flatnonzero(np.isin(code, taken))
    rows = rows[np.argsort(place[rows], kind="stable")]
    table, called = with_columns(frame.iloc[place[rows]], {"distance": distance[code[rows]]}, names)
    what = "units" if unit is None else f"units {unit!r} ({some([labels[i] for i in taken])})"
    counts = {"population": [len(count)], "asked": [n], "drawn": [len(taken)], "rows": [len(rows)]}
    record = Record(
        method=f"judgement sample: the {n} most {pick} {what} on {some(wanted)}",
        asked=n if unit is None else None,
        drawn=len(rows),
        population=len(frame),
        table=pd.DataFrame(counts, index=["all"]),
        seed=None,
        generator="no chance involved",
        order="by distance from the mean",
    )
    return Sample(table, record, called, _no_design=NO_DESIGN.format("judgement"))


def convenience(
    frame: pd.DataFrame,
    n: int,
    ease: PerRow,
    *,
    rng: np.random.Generator | int,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""Convenience sample: the first n who come by.

    Each unit arrives after an exponential waiting time with rate ``ease`` (visits per month); the first n are taken.
    So the first one is unit k with chance :math:`e_k / \sum e`, the next likewise among the others.

    Parameters
    ----------
    frame
        The register, one row per unit.
    n
        Units to take.
    ease
        How often a unit comes by, 0 or more: a column, an array ``(N,)``, or a function of the frame. Units of ease 0
        are never met.
    rng
        Seed or Generator.
    id
        Column of identifiers, so that the order of the rows does not matter.
    names
        Other names for the columns that are added, ``arrival`` (1, 2, …) and ``waiting`` (time, if ``ease`` is visits
        per time).

    Returns
    -------
    Sample
        In order of arrival, without a design.

    Raises
    ------
    SpecError
        If n is impossible, or more than the units that come by.
    DataError
        If ``ease`` is negative, missing, text or of another length.

    Notes
    -----
    The interviewer does not know the chances, so the sample carries none. A larger n does not remove the bias: it only
    makes the wrong number more precise.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"visits": [0, 1, 1, 2, 30, 40]})
    >>> sample = convenience(frame, 2, "visits", rng=1)
    >>> sorted(sample.frame["visits"])
    [30, 40]
    """
    import pandas as pd

    n = whole(n, "n")
    source, seed = generator(rng)
    place = row_order(frame, id)
    rate = numbers_per_row(frame, ease, "ease", low=0)[place]
    order, wait = arrivals(rate, source)
    if n > len(order):
        raise SpecError(f"n={n} is more than the {len(order)} units that can be met (ease above 0) of {len(rate)}")
    taken = order[:n]
    added = {"arrival": np.arange(1, n + 1), "waiting": wait[taken]}
    table, called = with_columns(frame.iloc[place[taken]], added, names)
    never = len(rate) - len(order)
    counts = {"population": [len(rate)], "never_met": [never], "asked": [n], "drawn": [n], "rows": [n]}
    record = Record(
        method="convenience sample: the first who come by" + (f" ({ease})" if isinstance(ease, str) else ""),
        asked=n,
        drawn=n,
        population=len(rate),
        table=pd.DataFrame(counts, index=["all"]),
        seed=seed,
        generator=type(source.bit_generator).__name__,
        order="order of arrival",
        notes=(f"never come by (ease 0): {never}",) if never else (),
    )
    return Sample(table, record, called, _no_design=NO_DESIGN.format("convenience"))


def arrivals(rate: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions in order of first arrival of those who ever come by, and every waiting time (inf: never).

    Examples
    --------
    >>> order, wait = arrivals(np.array([0.0, 1.0, 5.0]), np.random.default_rng(1))
    >>> sorted(order.tolist()), float(wait[0])
    ([1, 2], inf)
    """
    clock = rng.exponential(size=len(rate))
    wait = np.divide(clock, rate, out=np.full(len(rate), np.inf), where=rate > 0)
    order = np.argsort(wait, kind="stable")
    return order[: int(np.isfinite(wait).sum())], wait


def chances(frame: pd.DataFrame, given: Any, role: str) -> np.ndarray:
    """One probability per row from a column, an array, a function or a number.

    Raises
    ------
    DataError
        If they do not lie in 0 to 1.

    Examples
    --------
    >>> import pandas as pd
    >>> chances(pd.DataFrame({"x": [1, 2]}), 0.5, "agree").tolist()
    [0.5, 0.5]
    """
    return numbers_per_row(frame, given, role, low=0, high=1)
