"""The index of segments and waves, with intervals from the units of the sample."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.errors import CsiLabWarning, SpecError
from csi_lab.index.formula import Bounds, index_values, item_weights, limits, require_means_inside
from csi_lab.moments import Moments
from csi_lab.scaleout.scan import require_seed
from csi_lab.scaleout.scanned import Scan
from csi_lab.scaleout.survey import StreamedSurvey
from csi_lab.settings import require_draws, require_level

if TYPE_CHECKING:
    import pandas as pd


def index_by_segment(
    found: Scan | StreamedSurvey,
    column: str,
    weights: Mapping[str, float] | pd.Series,
    bounds: Bounds,
    *,
    draws: int = 1000,
    rng: np.random.Generator | int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """The index of each segment, with the item weights of the whole survey.

    Segments are compared by the same rule, so differences are differences of answers; intervals hold the weights fixed
    and honour sampling weights, strata and clusters.

    Parameters
    ----------
    found
        A survey from :func:`csi_lab.scaleout.open_survey`, or what a pass found.
    column
        Segments or waves: a column that the pass kept sums by.
    weights
        Item to its weight w >= 0 after rescaling to 0-100, as in ``index.weights.loc["Satisfaction", "estimate"]``.
    bounds
        Lowest and highest possible answer: one pair, or a pair per item (``survey.bounds``).
    draws, rng, level
        Replicates behind the percentile interval, their seed, and its confidence level.

    Returns
    -------
    DataFrame
        One row per segment in sorted order: ``estimate, se, low, high, n``. Segments in which no row answers all these
        items have no row; rows without a label are the segment ``(no group)``.

    Raises
    ------
    EstimationError
        If a weight is negative, all are zero, or a mean lies outside the bounds.
    SpecError
        If ``found`` is no pass, weights are no numbers, or the pass kept no sums by this column or did not keep the
        rows that answer these items.

    Warns
    -----
    CsiLabWarning
        If the random groups of so many segments did not fit into memory; their ``se, low, high`` are NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> from csi_lab.scaleout import scan
    >>> frame = pd.DataFrame({"x": [10, 8, 1, 3], "town": ["a", "a", "b", "b"]})
    >>> table = index_by_segment(scan(frame, ["x"], by=["town"]), "town", {"x": 1.0}, (1, 10), draws=50)
    >>> table["estimate"].round(1).to_dict()
    {'a': 88.9, 'b': 11.1}
    """
    import pandas as pd

    if not isinstance(found, (Scan, StreamedSurvey)):
        raise SpecError(
            f"need what csi_lab.scaleout.scan or open_survey found, got {type(found).__name__}; for rows in memory use "
            "csi_lab.index.by_group"
        )
    require_level(level)
    require_draws(draws)
    if not isinstance(rng, np.random.Generator):
        require_seed(rng, "rng")
    items, v = item_weights(weights)
    low, high = limits(bounds, items)
    member = np.ones((len(items), 1))

    def index(moments: Moments) -> np.ndarray:
        return index_values((moments.mean - low) / (high - low), v, member)

    kept = (found.scan if isinstance(found, StreamedSurvey) else found).complete_on(items)
    rows, names = [], []
    units = kept.segment_units(column)
    if kept.without_groups(column):
        warnings.warn(" ".join(kept.notes), CsiLabWarning, stacklevel=2)
    seed = int(rng.integers(2**63)) if isinstance(rng, np.random.Generator) else rng
    for name, own in units.items():
        names.append(name)
        # Draws are not asked: those of a few rows, brought to the same size, may lie beyond the scale.
        require_means_inside(own.point, low, high)
        estimate = float(index(own.point)[0])
        row = {"estimate": estimate, "se": np.nan, "low": np.nan, "high": np.nan, "n": int(own.rows)}
        if own.count - len(own.labels) > 0 and np.bincount(own.stratum).min() > 1:
            interval = kept.replicates_of(own, draws, seed).interval(index, level=level)
            row |= {"se": float(interval.se[0]), "low": float(interval.low[0]), "high": float(interval.high[0])}
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(names, name="group"), columns=["estimate", "se", "low", "high", "n"])
