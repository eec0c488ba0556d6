"""The stability of a score over time: test and retest."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from csi_lab.intervals import Kind
from csi_lab.moments import Missing, Moments
from csi_lab.reliability.coefficient import CoefficientTable, Sample, withheld
from csi_lab.reliability.halves import fisher_interval
from csi_lab.reliability.intraclass import f_ends, forms, mean_squares, require_ratings
from csi_lab.resampling import Replicates


def retest_reliability(
    data: Any,
    first: str,
    second: str,
    *,
    weights: Any = None,
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> CoefficientTable:
    r"""Stability of a score that was measured twice on the same respondents.

    Pearson's r; ICC(2,1), which a shift of all scores lowers; the mean change; the standard error of measurement
    :math:`s \sqrt{1 - r}` with :math:`s^2` the mean of the two variances; and the smallest change of one respondent
    that is not likely to be error, :math:`z \sqrt 2` times as large.

    Parameters
    ----------
    data
        One row per respondent: a DataFrame, a survey or Moments.
    first, second
        Columns with the score at the first and at the second time.
    weights, level, draws, rng, replicates, kind, missing
        As in :func:`csi_lab.reliability.cronbach_alpha`.

    Returns
    -------
    CoefficientTable
        Rows ``r``, ``ICC(2,1)``, ``mean change``, ``standard error of measurement``, ``smallest detectable change``;
        the last three in the score's units.

    Raises
    ------
    DataError
        If a column is absent, text or constant, or fewer than two rows are complete.
    EstimationError
        If all respondents have the same mean of both scores.

    Notes
    -----
    Without draws: Fisher's interval of r, the F distribution's of the ICC, Student's of the mean change (simple random
    sample); the two errors have intervals with draws only.

    References
    ----------
    .. [1] Weir, J. P. (2005). Quantifying test-retest reliability using the intraclass correlation coefficient and the
       SEM. Journal of Strength and Conditioning Research, 19(1), 231-240.

    Examples
    --------
    >>> import pandas as pd
    >>> scores = pd.DataFrame({"may": [70, 82, 55, 90, 64], "june": [73, 80, 58, 93, 66]})
    >>> retest_reliability(scores, "may", "june").table["estimate"].round(2).tolist()
    [0.99, 0.98, 1.8, 1.48, 4.1]
    """
    pair = [first, second]
    sample = Sample.of(
        data, pair, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    sample.require_varying()
    moments = sample.moments
    require_ratings(moments)
    z = float(special.ndtri(0.5 + level / 2))
    names = ["r", "ICC(2,1)", "mean change", "standard error of measurement", "smallest detectable change"]
    table, interval = sample.estimates(lambda m: _stability(m, z), names, "the errors of measurement")
    if sample.replicates is None:
        interval = withheld("Fisher's, the F and Student's intervals", sample.against)
        if not sample.against:
            interval = "Fisher's of r, F distribution of the ICC, Student's of the change; none for the errors"
            n = int(moments.n)
            r, _, change = (float(v) for v in table["estimate"].iloc[:3])
            squares = tuple(float(v) for v in mean_squares(moments))
            table.iloc[0, 2:4] = list(fisher_interval(r, n, level))
            table.iloc[1, 2:4] = f_ends(squares, n, 2, level)[1]
            cov = moments.cov
            se = float(np.sqrt(max(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1], 0) / n))
            t = float(special.stdtrit(n - 1, 0.5 + level / 2))
            table.iloc[2, 1:4] = [se, change - t * se, change + t * se]
    return CoefficientTable(
        title=f"stability from {first!r} to {second!r}",
        table=table,
        interval=interval,
        level=level,
        n=moments.n,
        dropped=moments.dropped,
    )


def _stability(moments: Moments, z: float) -> np.ndarray:
    """r, ICC(2,1), mean change and the two errors ``(..., 5)``."""
    r = moments.corr[..., 0, 1]
    change = moments.mean[..., 1] - moments.mean[..., 0]
    error = np.sqrt(moments.variance.mean(axis=-1) * np.maximum(1 - r, 0))
    return np.stack([r, forms(moments)[..., 1], change, error, z * np.sqrt(2) * error], axis=-1)
