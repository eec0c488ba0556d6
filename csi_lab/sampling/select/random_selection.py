"""Simple random and stratified samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.errors import SpecError
from csi_lab.sampling.select.allocation import Allocation, Rule, allocate
from csi_lab.sampling.select.drawn_design import AS_IF_RANDOM, listed_by, sample_of, unused_categories
from csi_lab.sampling.select.register import generator, label_codes, numbers, row_order, some, whole
from csi_lab.sampling.select.sample import Sample
from csi_lab.sampling.select.stage import Stage
from csi_lab.sampling.select.stages import draw_in_stages

if TYPE_CHECKING:
    import pandas as pd


def simple_random(
    frame: pd.DataFrame,
    n: int,
    rng: np.random.Generator | int,
    *,
    replace: bool = False,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""Simple random sample: every set of n units has the same chance, :math:`\pi_k = n/N`.

    Parameters
    ----------
    frame
        The register, one row per unit.
    n
        Units to draw, up to N.
    rng
        Seed or Generator.
    replace
        Draw with replacement: n draws, each of any unit; a unit drawn twice has two rows.
    id
        Column of identifiers. Given it, the same seed draws the same units whatever the order of the rows; without it,
        the same positions in the register.
    names
        Other names for the columns that are added, e.g. ``{"weight": "w"}``.

    Returns
    -------
    Sample
        With columns ``probability, weight, population`` (with replacement: the expected number of draws as
        ``probability``, and ``draw`` in place of ``population``).

    Raises
    ------
    SpecError
        If n is no whole number, 0 or less, or above N without replacement.
    DataError
        If the register is unusable, or has columns of these names already.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling techniques, 3rd ed., chapter 2. Wiley.

    Examples
    --------
    >>> import pandas as pd
    >>> sample = simple_random(pd.DataFrame({"spend": range(50)}), 5, rng=1)
    >>> print(sample)
    simple random sample: 5 of 50 units drawn; order of the register; seed 1 (PCG64)
    design: weights in 'weight', population in 'population'
    >>> float(sample.frame["weight"].sum())
    50.0
    """
    source, seed = generator(rng)
    stages = [Stage(None, n=whole(n, "n"), method="with replacement" if replace else "simple random")]
    drawn = draw_in_stages(frame, stages, source, id=id)
    method = "simple random sample" + (" with replacement" if replace else "")
    return sample_of(
        frame,
        drawn,
        stages,
        method=method,
        asked=whole(n, "n"),
        generator=source,
        seed=seed,
        names=names,
        stratified=False,
        order=listed_by(id),
    )


def stratified(
    frame: pd.DataFrame,
    column: str | Sequence[str],
    n: int | Mapping[Any, int] | Allocation,
    *,
    rng: np.random.Generator | int,
    allocation: Rule = "proportional",
    sd: str | Mapping[Any, float] | pd.Series | None = None,
    cost: Mapping[Any, float] | pd.Series | None = None,
    minimum: int = 2,
    method: Literal["simple random", "systematic"] = "simple random",
    order: str | None = None,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""Stratified sample: a sample from every stratum, :math:`\pi_k = n_h/N_h`.

    Parameters
    ----------
    frame
        The register, one row per unit.
    column
        Column of strata, or several that are crossed.
    n
        Units in all, divided by ``allocation``; or a mapping from stratum to number; or an
        :class:`~csi_lab.sampling.select.allocation.Allocation`.
    rng
        Seed or Generator.
    allocation, sd, cost, minimum
        As in :func:`csi_lab.sampling.select.allocation.allocate`. ``sd`` may be a numeric column of the register: its
        standard deviation (divisor N_h - 1) is taken in each stratum.
    method, order
        How units are drawn within strata; ``order`` is the list order for ``"systematic"``.
    id, names
        As in :func:`simple_random`.

    Returns
    -------
    Sample
        With columns ``probability, weight, stratum, population``; its record holds the allocation.

    Raises
    ------
    SpecError
        If n or the allocation is impossible.
    DataError
        If the register is unusable, or stratum labels are missing.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling techniques, 3rd ed., chapter 5. Wiley.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"region": ["north"] * 60 + ["south"] * 40})
    >>> print(stratified(frame, "region", 10, rng=1))
    stratified sample (proportional allocation): 10 of 100 units drawn; order of the register; seed 1 (PCG64)
    design: weights in 'weight', strata in 'stratum', population in 'population'
    """
    if method not in ("simple random", "systematic"):
        raise SpecError(f"method {method!r} is unknown within strata; use 'simple random' or 'systematic'")
    source, seed = generator(rng)
    row_order(frame, id)
    if hasattr(n, "items") and not isinstance(n, Mapping):
        n = dict(n.items())  # a Series from stratum to number
    code, labels = label_codes(frame, column, "stratum")
    sizes = dict(zip(labels, np.bincount(code).tolist(), strict=True))
    given = isinstance(n, (Mapping, Allocation))
    if given and (allocation != "proportional" or sd is not None or cost is not None):
        raise SpecError("sample sizes are given per stratum: leave allocation=, sd= and cost= out")
    table, wanted, rule = None, n, "given"
    notes = unused_categories(frame, column)
    if isinstance(n, Allocation):
        table, wanted, rule = n.table, n.sizes, n.rule
        then = dict(n.table["population"].items())
        changed = [h for h in labels if h in then and int(then[h]) != sizes[h]]
        if changed:
            raise SpecError(f"the allocation was made for other stratum sizes in {some(changed)}; allocate again")
    elif not isinstance(n, Mapping):
        spread = _spread(frame, code, labels, sd) if isinstance(sd, str) else sd
        found = allocate(sizes, n, allocation, sd=spread, cost=cost, minimum=minimum)
        table, wanted, rule = found.table, found.sizes, found.rule
        if found.raised:
            notes.append(f"raised to the minimum of {minimum}: {some(found.raised)}")
    assert isinstance(wanted, Mapping)
    never = [h for h in labels if wanted.get(h, 1) == 0]
    if never:
        raise SpecError(
            f"n=0 in strata {some(never)}: nobody in them could be drawn, and the sample says nothing of them; give "
            "each 1 or more (minimum=), merge it with a similar stratum, or leave its rows out of the register"
        )
    stages = [Stage(None, n=wanted, method=method, order=order)]
    drawn = draw_in_stages(frame, stages, source, strata=column, id=id)
    every = [h for h in labels if wanted[h] == sizes[h]]
    if every:
        notes.append(f"all units taken in {some(every)}")
    if method == "systematic":
        notes.append(AS_IF_RANDOM)
    return sample_of(
        frame,
        drawn,
        stages,
        method=f"stratified sample ({rule} allocation)" + (", systematic within strata" * (method == "systematic")),
        asked=sum(wanted.values()),
        generator=source,
        seed=seed,
        names=names,
        stratified=True,
        order=f"order of {order!r}" if order is not None else listed_by(id),
        notes=notes,
        # By label: true and false as strata would be read as a mask by loc.
        allocation=table.reindex(labels) if table is not None else None,
    )


def _spread(frame: pd.DataFrame, code: np.ndarray, labels: list[Any], column: str) -> dict[Any, float]:
    """Standard deviation of a column of the register in each stratum; 0 where a stratum has one unit."""
    x = numbers(frame, column, "sd")
    count = np.bincount(code)
    mean = np.bincount(code, weights=x) / count
    squares = np.bincount(code, weights=(x - mean[code]) ** 2)
    return dict(zip(labels, np.sqrt(squares / np.maximum(count - 1, 1)).tolist(), strict=True))
