"""Hot deck: missing answers taken over from another respondent of the same cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from csi_lab.cleaning.completed import Completed, completed, counted, groups_of, remarks
from csi_lab.cleaning.missing import Gaps, shortened
from csi_lab.cleaning.normal_model import gap_patterns
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.settings import generator, is_whole


def hot_deck(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    rng: np.random.Generator | int,
    within: str | Sequence[str] | None = None,
    most_uses: int | None = None,
    weights: Any = None,
) -> Completed:
    """Take all missing answers of a row over from one random donor of its cell.

    A donor is a row of the same cell that answered every item that the row lacks; taking them all from one donor keeps
    how they go together. With weights donors are drawn in proportion to theirs.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        The items; default all of the survey, or all columns that hold no weights.
    rng
        Seed or generator. The draws depend on the order of the rows.
    within
        Column or columns whose combinations are the cells; ``None``: one cell.
    most_uses
        A row is donor at most so often; ``None``: no limit.
    weights
        Sampling weights of a DataFrame: array, Series or column name.

    Returns
    -------
    Completed

    Raises
    ------
    DataError
        If columns are unusable, or a cell has no donor, or too few for ``most_uses``, for some rows: all such cells are
        named.
    SpecError
        If ``most_uses`` is not a whole number of at least 1.

    Notes
    -----
    Values are always answers that somebody gave. Within cells the distribution is kept; the association with items
    outside the gap is weakened as far as the cells do not explain it.

    References
    ----------
    .. [1] Andridge, R. R., & Little, R. J. A. (2010). A review of hot deck imputation for survey non-response.
       International Statistical Review, 78(1), 40-64.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7.0, 8, None, 5], "q2": [6.0, 9, 7, None], "town": ["A", "A", "B", "B"]})
    >>> found = hot_deck(frame, ["q1", "q2"], rng=1, within="town")
    >>> found.frame[["q1", "q2"]].to_numpy().tolist()
    [[7.0, 6.0], [8.0, 9.0], [5.0, 7.0], [5.0, 7.0]]
    """
    if most_uses is not None and (not is_whole(most_uses) or most_uses < 1):
        raise SpecError(f"most_uses={most_uses!r}: a whole number of at least 1, or None for no limit")
    gaps = Gaps.of(data, items, weights)
    x = gaps.answers()
    cell, labels = groups_of(gaps, within)
    random = generator(rng)
    filled, uses, problems = x.copy(), np.zeros(len(x), dtype=int), []
    for k, label in enumerate(labels):
        rows = np.flatnonzero((cell == k) & gaps.used)
        tasks = []
        for at, _, gap in gap_patterns(gaps.known[rows]):
            donors = rows[gaps.known[rows][:, gap].all(axis=1)]
            tasks.append((len(donors), rows[at], gap, donors))
        # Gaps that few can fill choose first, so that a limit on uses is met where it can be.
        for count, takers, gap, donors in sorted(tasks, key=lambda task: task[0]):
            without = shortened([gaps.items[i] for i in gap])
            if not count:
                problems.append(f"{label}: no donor with answers to {without} for {len(takers)} rows")
                continue
            slots = donors if most_uses is None else np.repeat(donors, most_uses - uses[donors])
            if most_uses is not None and len(slots) < len(takers):
                problems.append(
                    f"{label}: {len(takers)} rows lack {without}, {count} donors have {len(slots)} uses left"
                )
                continue
            share = gaps.weights[slots]
            chosen = random.choice(slots, size=len(takers), replace=most_uses is None, p=share / share.sum())
            np.add.at(uses, chosen, 1)
            filled[takers[:, None], gap] = x[chosen[:, None], gap]
    if problems:
        head = "cells without enough donors; join cells, raise most_uses, or leave out items"
        raise DataError(listed(problems, head), problems)
    where = "" if within is None else f" within {len(labels)} cells"
    often = f"; {int((uses > 0).sum())} donors, one at most {int(uses.max(initial=0))} times"
    how = f"{counted(gaps)} taken over from random donors{where} (hot deck){often}{remarks(gaps)}"
    return completed(gaps, filled, how)
