"""The same kernel on Spark: each executor turns its batches of rows into sums, and the driver adds them up.

Spark needs Java and is not among the packages of csi_lab; ``pip install pyspark`` where it is wanted.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import DataError
from csi_lab.moments import ANSWER_ORIGIN, Moments
from csi_lab.scaleout.columns import Recode
from csi_lab.scaleout.engines import added, merged, nothing, one_blas_thread
from csi_lab.scaleout.kernel import Recipe, Sums, sums_of
from csi_lab.scaleout.scan import recodes_of_items, require_inside, require_weights
from csi_lab.scaleout.scanned import Scan

if TYPE_CHECKING:
    import pyarrow as pa

# Squared distance of a mean from the origin, in variances, beyond which sums are taken anew: it costs 4 of 16 digits.
FAR = 1e4


def moments(frame: Any, items: Sequence[str] | Mapping[str, Recode], *, weights: str | None = None) -> Moments:
    """Moments of the answers in a Spark DataFrame.

    Sums are taken about the fixed origin of whole answers, so that no extra pass looks for one. Only numbers far from
    it (years, amounts) cost a second pass, about whole numbers near their means.

    Parameters
    ----------
    frame
        A ``pyspark.sql.DataFrame``, one row per respondent.
    items
        Columns of answers; a mapping also says bounds, missing codes and which are reversed.
    weights
        Column of sampling weights.

    Returns
    -------
    Moments
        With whole answers and no weights, bit for bit those of :func:`csi_lab.scaleout.moments`.

    Raises
    ------
    DataError
        If columns are absent or unusable, or no row is complete.

    Examples
    --------
    >>> frame = spark.read.parquet("answers/")  # doctest: +SKIP
    >>> csi.sem.pls(moments(frame, model.items), model)  # doctest: +SKIP
    """
    recodes = recodes_of_items(items)
    require_weights(weights, recodes)
    absent = [c for c in [*recodes, *([weights] if weights else [])] if c not in frame.columns]
    if absent:
        raise DataError(f"columns not in the Spark DataFrame: {absent}; it has {list(frame.columns)[:12]}")
    recipe = Recipe(tuple(recodes), (ANSWER_ORIGIN,) * len(recodes), tuple(recodes.values()), weights)
    sums = _summed(frame, recipe)
    require_inside(sums, recipe)
    found = Scan(Design(weights=weights), (), recipe, sums).moments
    nearer = nearer_origin(found)
    if nearer is None:
        return found
    recipe = replace(recipe, origin=nearer)
    return Scan(Design(weights=weights), (), recipe, _summed(frame, recipe)).moments


def _summed(frame: Any, recipe: Recipe) -> Sums:
    made = frame.select(*recipe.columns).mapInArrow(_Mapper(recipe), "sums binary")
    total = merged((loads(row.sums) for row in made.toLocalIterator()), recipe)
    sums: Sums = nothing(recipe) if total is None else total
    return sums


def nearer_origin(found: Moments) -> tuple[float, ...] | None:
    """Whole numbers near the means, if the point about which sums were taken is so far away that it costs digits.

    Examples
    --------
    >>> import pandas as pd
    >>> nearer_origin(Moments.from_frame(pd.DataFrame({"q1": [1, 10, 7]}))) is None
    True
    """
    distance = found.mean - found.origin
    if not (distance**2 > FAR * np.diagonal(found.cov)).any():
        return None
    return tuple(np.rint(found.mean).tolist())


class _Mapper:
    """What an executor does with the batches of a partition: one row with its sums, as bytes."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        with one_blas_thread():
            total = merged((sums_of(batch, self.recipe) for batch in batches), self.recipe, added)
        if total is not None:
            yield pa.record_batch({"sums": pa.array([dumps(total)], pa.binary())})


def dumps(sums: Sums) -> bytes:
    """Sums as bytes, for a transport that knows nothing of them. Read them only from your own executors.

    Examples
    --------
    >>> recipe = Recipe(("q1",), (5.0,), (Recode(),))
    >>> loads(dumps(nothing(recipe))).rows
    0
    """
    return pickle.dumps(sums)


def loads(content: bytes) -> Sums:
    """Sums from the bytes that :func:`dumps` made."""
    found: Sums = pickle.loads(content)
    return found
