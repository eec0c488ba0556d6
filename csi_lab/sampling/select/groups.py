"""The method of Rao, Hartley and Cochran: random groups, one unit by size from each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.select.register import LARGEST_SIZE, generator, numbers, row_order, some, whole, with_columns
from csi_lab.sampling.select.sample import Record, Sample

if TYPE_CHECKING:
    import pandas as pd


def rao_hartley_cochran(
    frame: pd.DataFrame,
    n: int,
    size: str,
    *,
    rng: np.random.Generator | int,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""One unit by size from each of n random groups of equal (give or take one) numbers of units.

    Parameters
    ----------
    frame
        The register, one row per unit.
    n
        Groups, hence units to draw, 2 to N.
    size
        Column of sizes, above 0.
    rng
        Seed or Generator.
    id, names
        As in :func:`csi_lab.sampling.select.random_selection.simple_random`.

    Returns
    -------
    Sample
        With columns ``weight`` (:math:`P_g/p_k`), ``chance`` (p, size over the sum of sizes), ``group_share``
        (:math:`P_g`, the sum of p over the group) and ``group_size`` (:math:`N_g`).

    Raises
    ------
    SpecError
        If n is no whole number from 2 to N.
    DataError
        If sizes are 0, negative, missing or text.

    Notes
    -----
    Given the groups a unit is drawn with probability :math:`p_k/P_g`; the weight is its inverse. The inclusion
    probability over all divisions into groups has no simple form and is not stated. The exact variance is that of
    :func:`csi_lab.sampling.select.totals.rao_hartley_cochran_total`; the design treats the units as drawn with
    replacement.

    References
    ----------
    .. [1] Rao, J. N. K., Hartley, H. O., & Cochran, W. G. (1962). Journal of the Royal Statistical Society B, 24,
       482-491.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"customers": [400, 90, 80, 70, 60, 50]}, index=list("ABCDEF"))
    >>> sample = rao_hartley_cochran(frame, 3, "customers", rng=1)
    >>> float(sample.frame["group_share"].sum()), int(sample.frame["group_size"].sum())
    (1.0, 6)
    """
    import pandas as pd

    n = whole(n, "n", at_least=2)
    source, seed = generator(rng)
    place = row_order(frame, id)
    if n > len(frame):
        raise SpecError(f"n={n} groups for {len(frame)} units: each group needs a unit")
    x = numbers(frame, size, "the size column", high=LARGEST_SIZE)[place]
    zero = np.flatnonzero(x <= 0)
    if len(zero):
        raise DataError(
            f"the size column {size!r}: {len(zero)} rows have a size of 0 or less and could never be drawn: "
            f"{some(frame.index[place[zero]])}"
        )
    p = x / x.sum()
    group = np.empty(len(x), dtype=np.int64)
    group[source.permutation(len(x))] = np.arange(len(x)) % n
    share, count = np.bincount(group, weights=p), np.bincount(group)
    # The smallest of exponential waiting times with rates p is unit k with chance p_k / P_g.
    wait = source.exponential(size=len(x)) / p
    order = np.lexsort((wait, group))
    drawn = np.sort(order[np.concatenate([[0], np.cumsum(count)[:-1]])])
    g = group[drawn]
    added = {"weight": share[g] / p[drawn], "chance": p[drawn], "group_share": share[g], "group_size": count[g]}
    order_rows = np.argsort(place[drawn], kind="stable")
    table, called = with_columns(
        frame.iloc[place[drawn][order_rows]], {k: v[order_rows] for k, v in added.items()}, names
    )
    counts = {"population": [len(x)], "asked": [n], "drawn": [n], "fraction": [n / len(x)], "rows": [n]}
    record = Record(
        method=f"Rao-Hartley-Cochran sample (size {size!r}, {n} random groups)",
        asked=n,
        drawn=n,
        population=len(frame),
        table=pd.DataFrame(counts, index=pd.Index(["all"])),
        seed=seed,
        generator=type(source.bit_generator).__name__,
        order="order of the register" if id is None else f"order of {id!r}",
        notes=("exact variance: rao_hartley_cochran_total; the design is that of draws with replacement",),
    )
    reason = "Rao-Hartley-Cochran samples: no joint probabilities are needed, see rao_hartley_cochran_total"
    return Sample(table, record, called, _design=Design(weights=called["weight"]), _no_joint=reason)
