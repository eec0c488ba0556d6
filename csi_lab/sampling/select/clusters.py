"""Samples of clusters, and samples in stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.errors import SpecError
from csi_lab.sampling.select.drawn_design import AS_IF_RANDOM, listed_by, sample_of, unused_categories
from csi_lab.sampling.select.register import generator, whole
from csi_lab.sampling.select.sample import Sample
from csi_lab.sampling.select.stage import BY_SIZE, Stage, require_order
from csi_lab.sampling.select.stages import draw_in_stages

if TYPE_CHECKING:
    import pandas as pd

ClusterMethod = Literal["simple random", "systematic", "pps systematic", "sampford", "brewer", "hansen-hurwitz"]


def cluster(
    frame: pd.DataFrame,
    column: str,
    n: int | Mapping[Any, int],
    *,
    rng: np.random.Generator | int,
    method: ClusterMethod = "simple random",
    size: str | None = None,
    per_cluster: int | None = None,
    rate: float | None = None,
    strata: str | Sequence[str] | None = None,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""Sample of clusters, of which all units are taken, or a simple random sample of units.

    Parameters
    ----------
    frame
        The register, one row per unit.
    column
        Column of clusters; labels are read within their stratum.
    n
        Clusters to draw (in each stratum; or a mapping from stratum to number).
    rng
        Seed or Generator.
    method, size
        How clusters are drawn, see :class:`csi_lab.sampling.select.stage.Stage`; ``size=None``: by their number of
        rows.
    per_cluster, rate
        Units to draw in each cluster, or their share; neither: all.
    strata
        Column or columns of strata.
    id, names
        As in :func:`simple_random`.

    Returns
    -------
    Sample
        With columns ``probability, weight, psu``, in two stages ``unit_2``; ``stratum`` and population sizes where
        they apply.

    Raises
    ------
    SpecError
        If the request contradicts itself or asks for more clusters than there are.
    DataError
        If the register is unusable, or labels are missing.

    Notes
    -----
    With ``method="pps systematic"`` (or another by size), ``size=None`` and ``per_cluster``, all units have the same
    inclusion probability, but for certain or small clusters.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"town": [f"t{i // 20}" for i in range(200)]})
    >>> print(cluster(frame, "town", 4, rng=1, per_cluster=5))
    two-stage sample: 4 of 'town' by simple random; 5 of the rows by simple random: 20 of 200 units drawn; ...
    design: weights in 'weight', PSUs in ..., population in ...
    """
    if per_cluster is not None and rate is not None:
        raise SpecError("give either per_cluster or rate, not both")
    stages = [Stage(column, n=n, method=method, size=size)]
    if per_cluster is not None:
        stages.append(Stage(None, n=whole(per_cluster, "per_cluster")))
    elif rate is not None:
        stages.append(Stage(None, rate=rate))
    return multistage(frame, stages, rng, strata=strata, id=id, names=names)


def multistage(
    frame: pd.DataFrame,
    stages: Sequence[Stage],
    rng: np.random.Generator | int,
    *,
    strata: str | Sequence[str] | None = None,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""Sample in any number of stages: towns, outlets in the towns, customers of the outlets.

    :math:`\pi_k` is the product of the probabilities of its units, stage by stage.

    Parameters
    ----------
    frame
        The register, one row per final unit, with a column for the units of each stage.
    stages
        From the first to the last, see :class:`csi_lab.sampling.select.stage.Stage`. Labels nest: outlet 3 of town A
        and outlet 3 of town B are two outlets. A last stage that names a column takes all rows of the units drawn.
    rng
        Seed or Generator.
    strata
        Column or columns of strata: the first stage is drawn in each of them.
    id, names
        As in :func:`simple_random`.

    Returns
    -------
    Sample
        With columns ``probability, weight, psu, unit_2, …``; ``stratum`` and ``population, population_2, …`` where they
        apply, ``draw`` for a first stage with replacement.

    Raises
    ------
    SpecError
        If the stages contradict each other or ask for more first-stage units than there are.
    DataError
        If the register is unusable, labels are missing or sizes not above 0.

    Notes
    -----
    Where a unit of the first stage has fewer units than the number asked for in the next, all are taken; the record
    names such units. Design: when first-stage units are drawn by size or with replacement, they are treated as drawn
    with replacement and later stages need no correction; units that were certain form strata of their own.

    References
    ----------
    .. [1] Cochran, W. G. (1977). Sampling techniques, 3rd ed., chapters 10-11. Wiley.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"town": [i // 40 for i in range(400)], "outlet": [i // 10 for i in range(400)]})
    >>> stages = [Stage("town", n=3, method="pps systematic"), Stage("outlet", n=2), Stage(None, n=4)]
    >>> sample = multistage(frame, stages, rng=1)
    >>> len(sample), float(sample.frame["weight"].sum())
    (24, 400.0)
    """
    source, seed = generator(rng)
    require_order(stages)
    drawn = draw_in_stages(frame, stages, source, strata=strata, id=id)
    words = {
        1: "sample" if stages[0].unit is None else "cluster sample",
        2: "two-stage sample",
        3: "three-stage sample",
    }
    each = "" if strata is None else " in each stratum"
    notes = unused_categories(frame, strata) if strata is not None else []
    if any("systematic" in stage.method and stage.method not in BY_SIZE for stage in stages):
        notes.append(AS_IF_RANDOM)
    by_rows = stages[-1].unit is None and isinstance(stages[0].n, int) and strata is None
    counts = [stage.n for stage in stages]
    asked = int(np.prod([int(k) for k in counts if isinstance(k, (int, np.integer))])) if by_rows else None
    if any(stage.rate is not None for stage in stages):
        asked = None
    return sample_of(
        frame,
        drawn,
        stages,
        method=f"{words.get(len(stages), f'{len(stages)}-stage sample')}{each}: {'; '.join(map(str, stages))}",
        asked=asked,
        generator=source,
        seed=seed,
        names=names,
        stratified=strata is not None,
        order=listed_by(id),
        notes=notes,
    )
