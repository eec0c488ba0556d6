"""The sample of the latest wave: towns by size within provinces, customers within towns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from csi_lab.answers import require_columns
from csi_lab.errors import DataError
from csi_lab.settings import generator, require_whole


def two_stage(register: pd.DataFrame, *, towns: int, issued: int, rng: np.random.Generator | int) -> pd.DataFrame:
    r"""Draw towns with probability proportional to size within each province, then customers at random within towns.

    A town that is drawn h times (h > 1 happens to the largest) gives h times as many customers. With M customers in a
    town, m of them issued and p its share of the province, the weight is :math:`h M / (k p m)` for k draws.

    Parameters
    ----------
    register
        One row per customer: customer, province, town.
    towns
        Draws per province (systematic, in random order of the towns), >= 1.
    issued
        Customers issued per draw, >= 1; all of a town that has fewer.
    rng
        Random stream, or a seed.

    Returns
    -------
    DataFrame
        One row per issued customer in the order of the register: customer, base_weight, towns (towns of the province).

    Raises
    ------
    SpecError
        If a size is no whole number of 1 or more.
    DataError
        If the register is empty, or a customer has no province or town.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> register = simulate.make_market(customers=5000, rng=1).register
    >>> drawn = two_stage(register, towns=5, issued=10, rng=np.random.default_rng(1))
    >>> int(drawn["base_weight"].sum().round())
    5000
    """
    require_whole(towns, "towns")
    require_whole(issued, "issued")
    rng = generator(rng)
    needed = ["customer", "province", "town"]
    require_columns(register, needed)
    gaps = [name for name in needed if register[name].isna().any()]
    if gaps or not len(register):
        raise DataError(f"register: {f'columns {gaps} have gaps' if gaps else 'no customers'}; nothing can be drawn")
    parts = []
    for _, province in register.groupby("province", sort=True, observed=True):
        sizes = province.groupby("town", sort=True, observed=True).size()
        order = rng.permutation(len(sizes))
        share = sizes.to_numpy()[order] / len(province)
        points = (np.arange(towns) + rng.random()) / towns
        hits = np.bincount(np.searchsorted(np.cumsum(share), points, side="right").clip(max=len(order) - 1))
        for place in np.flatnonzero(hits):
            town = sizes.index[order[place]]
            people = province["customer"].to_numpy()[(province["town"] == town).to_numpy()]
            taken = np.sort(rng.choice(people, min(len(people), issued * hits[place]), replace=False))
            weight = hits[place] * len(people) / (towns * share[place] * len(taken))
            parts.append(pd.DataFrame({"customer": taken, "base_weight": weight, "towns": len(sizes)}))
    drawn = pd.concat(parts).sort_values("customer", ignore_index=True)
    return drawn.astype({"customer": int, "towns": int})
