"""A contact network with given numbers of contacts, in which like knows like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.select.register import generator, label_codes, numbers, row_order, some

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Network:
    """Who knows whom.

    Attributes
    ----------
    starts, contacts
        The contacts of the person in row k are ``contacts[starts[k]:starts[k + 1]]``, as row positions.
    wanted
        ``(N,)`` contacts asked for.
    dropped
        Contacts that fell away: with oneself, twice with the same person, or without a partner.
    homophily, group
        How strongly like knows like, and the column that says who is alike.
    """

    starts: np.ndarray
    contacts: np.ndarray
    wanted: np.ndarray
    dropped: int
    homophily: float
    group: str | None

    @property
    def degree(self) -> np.ndarray:
        """``(N,)`` contacts that each person has."""
        return np.diff(self.starts)

    @property
    def ties(self) -> int:
        """Ties between two persons."""
        return len(self.contacts) // 2

    def __str__(self) -> str:
        alike = f", homophily {self.homophily:.2f} in {self.group!r}" if self.group is not None else ""
        people = len(self.wanted)
        mean = len(self.contacts) / people
        return (
            f"{people:,} persons, {self.ties:,} ties, {mean:.2f} contacts on average{alike}; {self.dropped:,} dropped"
        )

    __repr__ = __str__


def contact_network(
    frame: pd.DataFrame,
    degree: str,
    *,
    rng: np.random.Generator | int,
    group: str | None = None,
    homophily: float = 0.0,
    id: str | None = None,
) -> Network:
    """A random network in which each person has about the number of contacts of a column.

    Every contact is a loose end; with chance ``homophily`` it is tied to a loose end of the same group, otherwise to
    one of anybody (the configuration model).

    Parameters
    ----------
    frame
        The register, one row per person.
    degree
        Column of numbers of contacts, whole, 0 or more.
    rng
        Seed or Generator.
    group
        Column of groups within which like knows like.
    homophily
        0: ties ignore the groups; 1: all ties stay in the group.
    id
        Column of identifiers, so that the order of the rows does not matter.

    Returns
    -------
    Network

    Raises
    ------
    DataError
        If degrees are negative, missing, no whole numbers, or group labels are missing.
    SpecError
        If homophily is not in 0 to 1, or given without a group.

    References
    ----------
    .. [1] Newman, M. E. J. (2003). SIAM Review, 45, 167-256, section IV.B.

    Examples
    --------
    >>> import pandas as pd
    >>> network = contact_network(pd.DataFrame({"degree": [3] * 100}), "degree", rng=1)
    >>> bool((network.degree <= 3).all()), network.ties + network.dropped // 2
    (True, 150)
    """
    source, _ = generator(rng)
    if not isinstance(homophily, (int, float, np.number)) or not 0 <= homophily <= 1:
        raise SpecError(f"homophily={homophily!r} must lie between 0 and 1")
    if group is None and homophily:
        raise SpecError(f"homophily={homophily} needs group=, the column within which like knows like")
    place = row_order(frame, id)
    wanted = numbers(frame, degree, "the degree column", low=0)
    broken = np.flatnonzero(wanted != np.floor(wanted))
    if len(broken):
        raise DataError(
            f"the degree column {degree!r} holds no whole numbers in {len(broken)} rows: {some(frame.index[broken], 5)}"
        )
    ends = np.repeat(place, wanted[place].astype(np.int64))
    inside = source.random(len(ends)) < homophily
    first, second = _tied(ends[~inside], np.zeros(int((~inside).sum()), dtype=np.int64), source)
    if inside.any():
        assert group is not None
        code = label_codes(frame, group, "group")[0]
        more = _tied(ends[inside], code[ends[inside]], source)
        first, second = np.concatenate([first, more[0]]), np.concatenate([second, more[1]])
    low, high = np.minimum(first, second), np.maximum(first, second)
    pair = np.unique((low * len(frame) + high)[low != high])
    low, high = pair // len(frame), pair % len(frame)
    person, contact = np.concatenate([low, high]), np.concatenate([high, low])
    rank = np.empty(len(frame), dtype=np.int64)
    rank[place] = np.arange(len(frame))
    order = np.argsort(person * len(frame) + rank[contact])
    starts = np.searchsorted(person[order], np.arange(len(frame) + 1))
    dropped = len(ends) - len(person)
    return Network(starts, contact[order], wanted.astype(np.int64), dropped, float(homophily), group)


def _tied(ends: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Loose ends tied two by two at random within their group; the odd one of a group is left over."""
    order = rng.permutation(len(ends))
    if group.any():
        order = order[np.argsort(group[order], kind="stable")]
    group, ends = group[order], ends[order]
    count = np.bincount(group) if len(group) else np.zeros(0, dtype=np.int64)
    rank = np.arange(len(ends)) - np.repeat(np.cumsum(count) - count, count)
    first = np.flatnonzero((rank % 2 == 0) & (rank + 1 < np.repeat(count, count)))
    return ends[first], ends[first + 1]
