"""Samples with probability proportional to size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from csi_lab.errors import SpecError
from csi_lab.sampling.select.drawn_design import listed_by, sample_of
from csi_lab.sampling.select.register import generator, whole
from csi_lab.sampling.select.sample import Sample
from csi_lab.sampling.select.stage import Stage, StageMethod
from csi_lab.sampling.select.stages import draw_in_stages

if TYPE_CHECKING:
    import pandas as pd

PpsMethod = Literal["systematic", "sampford", "brewer", "hansen-hurwitz"]
PPS_METHODS: tuple[str, ...] = get_args(PpsMethod)


def pps(
    frame: pd.DataFrame,
    n: int,
    size: str,
    *,
    rng: np.random.Generator | int,
    method: PpsMethod = "systematic",
    order: str | None = None,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    r"""Sample with probability proportional to size, :math:`\pi_k = n x_k / \sum x`.

    Parameters
    ----------
    frame
        The register, one row per unit.
    n
        Units to draw.
    size
        Column of sizes, above 0.
    rng
        Seed or Generator.
    method
        ``"systematic"`` (steps along cumulated sizes), ``"sampford"`` (joint probabilities known), ``"brewer"`` (draw
        by draw; joint probabilities for n = 2), or ``"hansen-hurwitz"`` (with replacement).
    order
        List order for ``"systematic"``.
    id, names
        As in :func:`simple_random`.

    Returns
    -------
    Sample
        With columns ``probability, weight``; with replacement also ``draw``; with certain units also ``stratum`` and
        ``population``. ``joint`` holds the joint probabilities where they are known.

    Raises
    ------
    SpecError
        If n or the method is impossible.
    DataError
        If sizes are 0, negative, missing or text: the units are named.

    Notes
    -----
    ``"sampford"`` is exact by a table of N n entries up to 4 million of them; beyond, samples are tried until all their
    units differ, which succeeds only while n is small beside N (n^2 / N up to about 20). For a sample of thousands from
    a register use ``"systematic"``, which takes one pass, or ``"brewer"``; or draw within strata.

    Units as large as the sampling interval are taken with certainty, again until none is left, and named. The design
    treats the other units as drawn with replacement (no finite population correction), which is the usual, cautious
    variance; :func:`csi_lab.sampling.select.totals.horvitz_thompson` with ``joint`` is the exact one. Certain units
    form a stratum of their own that is taken in full.

    References
    ----------
    .. [1] Brewer, K. R. W., & Hanif, M. (1983). Sampling with unequal probabilities. Springer.
    .. [2] Tillé, Y. (2006). Sampling algorithms. Springer.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"customers": [400, 90, 80, 70, 60, 50]}, index=list("ABCDEF"))
    >>> print(pps(frame, 3, "customers", rng=1, method="sampford"))
    pps sample (sampford, size 'customers'): 3 of 6 units drawn; order of the register; seed 1 (PCG64)
    certain, being as large as the interval (1): A
    design: weights in 'weight', strata in 'stratum', population in 'population'
    """
    if method not in PPS_METHODS:
        raise SpecError(f"pps method {method!r} is unknown; use one of {list(PPS_METHODS)}")
    source, seed = generator(rng)
    by: StageMethod = "pps systematic" if method == "systematic" else method
    stages = [Stage(None, n=whole(n, "n"), method=by, size=size, order=order)]
    drawn = draw_in_stages(frame, stages, source, id=id)
    return sample_of(
        frame,
        drawn,
        stages,
        method=f"pps sample ({method}, size {size!r})",
        asked=whole(n, "n"),
        generator=source,
        seed=seed,
        names=names,
        stratified=False,
        order=f"order of {order!r}" if order is not None else listed_by(id),
    )
