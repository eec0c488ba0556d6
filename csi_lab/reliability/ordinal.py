"""Alpha of ordered answers from polychoric correlations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from csi_lab.errors import DataError
from csi_lab.intervals import Kind
from csi_lab.moments import Moments, RowsMissing
from csi_lab.reliability.alpha import _alpha, _item_table
from csi_lab.reliability.coefficient import Coefficient, Sample, against_the_rest, item_rest_correlations


def ordinal_alpha(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    weights: Any = None,
    scale: str = "scale",
    missing: RowsMissing = "listwise",
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> Coefficient:
    r"""Alpha of the continuous attitudes that are thought to lie behind ordered answers.

    Standardised alpha of the polychoric correlations: :math:`k \bar r / (1 + (k - 1) \bar r)`.

    Parameters
    ----------
    data
        A survey or a DataFrame; moments are not enough.
    items
        The k >= 2 items; default all columns.
    weights, scale, missing
        As in :func:`csi_lab.reliability.cronbach_alpha`.
    draws, rng, kind, level
        Ask for an interval from replicates of the answers; there is no formula for one.

    Returns
    -------
    Coefficient
        ``parts``: item-rest correlation and alpha without each item, of the polychoric correlations.

    Raises
    ------
    DataError
        As in :func:`csi_lab.reliability.cronbach_alpha` and :func:`csi_lab.polychoric.polychoric`.
    EstimationError
        If the sum of the items does not vary.

    Notes
    -----
    It is the reliability of hypothetical continuous answers, not of the sum of the answers given [2]_: report it beside
    alpha, never in its place.

    References
    ----------
    .. [1] Zumbo, B. D., Gadermann, A. M., & Zeisser, C. (2007). Ordinal versions of coefficients alpha and theta for
       Likert rating scales. Journal of Modern Applied Statistical Methods, 6(1), 21-29.
    .. [2] Chalmers, R. P. (2018). On misconceptions and the limited usefulness of ordinal alpha. Educational and
       Psychological Measurement, 78(6), 1056-1071.

    Examples
    --------
    >>> import csi_lab as csi
    >>> found = ordinal_alpha(csi.load_survey("mobile"), ["CUSA1", "CUSA2", "CUSA3"], scale="Satisfaction")
    >>> 0.75 < found.value < 0.85
    True
    """
    from csi_lab.polychoric import polychoric

    if isinstance(data, Moments):
        raise DataError("polychoric correlations need the answers; moments do not hold them")
    sample = Sample.of(data, items, weights=weights, missing=missing, kind=kind, level=level)
    sample.require_scale()
    names = list(sample.moments.names)
    found = polychoric(data, items, weights=weights, missing=missing, draws=draws, rng=rng)
    se = low = high = float("nan")
    interval = "none: there is no formula for alpha of polychoric correlations; ask for draws"
    if draws is not None:
        made = found.drawn(_alpha, kind=kind, level=level)
        se, low, high, interval = float(made.se), float(made.low), float(made.high), str(made)
    return Coefficient(
        coefficient="ordinal alpha",
        definition="standardised alpha of polychoric correlations",
        scale=scale,
        value=float(_alpha(found.matrix)),
        se=se,
        low=low,
        high=high,
        level=level,
        interval=interval,
        n=found.n,
        dropped=found.dropped,
        parts=_item_table(found.matrix, names),
        remarks=(*found.remarks(), *against_the_rest(names, item_rest_correlations(found.matrix))),
    )
