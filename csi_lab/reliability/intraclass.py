"""Intraclass correlations of ratings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from csi_lab.errors import DataError, EstimationError
from csi_lab.intervals import Kind
from csi_lab.moments import Missing, Moments
from csi_lab.reliability.coefficient import CoefficientTable, Sample, withheld
from csi_lab.resampling import Replicates

FORMS = {
    "ICC(1,1)": "one rating; each target has its own raters",
    "ICC(2,1)": "one rating; raters are a sample; absolute agreement",
    "ICC(3,1)": "one rating; these raters only; consistency",
    "ICC(1,k)": "mean of k ratings; each target has its own raters",
    "ICC(2,k)": "mean of k ratings; raters are a sample; absolute agreement",
    "ICC(3,k)": "mean of k ratings; these raters only; consistency",
}


def icc(
    data: Any,
    raters: Sequence[str] | None = None,
    *,
    weights: Any = None,
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> CoefficientTable:
    r"""The six intraclass correlations of Shrout and Fleiss, with their F tests and intervals.

    From the mean squares of n targets rated k times, between targets B, within targets W, between raters J, error E:

    .. math::
        \tfrac{B - W}{B + (k-1)W}, \quad \tfrac{B - E}{B + (k-1)E + k(J - E)/n}, \quad \tfrac{B - E}{B + (k-1)E}

    for one rating (forms 1, 2, 3), and :math:`\frac{B-W}{B}, \frac{B-E}{B + (J-E)/n}, \frac{B-E}{B}` for the mean of k.

    Parameters
    ----------
    data
        One row per target (outlet, respondent, text), one column per rater (or occasion): a DataFrame, a survey, or
        Moments of such columns.
    raters
        The k >= 2 columns; default all.
    weights, level, draws, rng, replicates, kind
        As in :func:`csi_lab.reliability.cronbach_alpha`; targets are the rows resampled.
    missing
        ``"listwise"`` leaves targets that lack a rating out and counts them; ``"raise"`` refuses them. For targets
        rated by differing numbers of raters see :func:`csi_lab.reliability.one_way_icc`.

    Returns
    -------
    CoefficientTable
        Rows ``ICC(1,1)`` to ``ICC(3,k)``; columns ``estimate, se, low, high, f, df1, df2, p, meaning``.

    Raises
    ------
    DataError
        If columns are absent or text, or there are fewer than two of them or two complete targets.
    EstimationError
        If the targets' mean ratings are all equal.

    Notes
    -----
    Mean squares are read from means and covariances of the columns, so draws cost nothing. Without draws the intervals
    are those of the F distribution (form 2: Satterthwaite's degrees of freedom); they have no standard error, and are
    withheld where the sample has weights, strata or clusters. ICC(3,k) is Cronbach's alpha. Estimates below zero mean
    that targets differ less than chance would make them; they are not set to zero. Agrees with R psych 2.2.9 ``ICC()``
    to 1e-10 (``tests/reference/reliability``) and with the published table of [1]_.

    References
    ----------
    .. [1] Shrout, P. E., & Fleiss, J. L. (1979). Intraclass correlations: uses in assessing rater reliability.
       Psychological Bulletin, 86(2), 420-428.
    .. [2] McGraw, K. O., & Wong, S. P. (1996). Forming inferences about some intraclass correlation coefficients.
       Psychological Methods, 1(1), 30-46.

    Examples
    --------
    >>> import pandas as pd
    >>> ratings = pd.DataFrame({"J1": [9, 6, 8, 7, 10, 6], "J2": [2, 1, 4, 1, 5, 2], "J3": [5, 3, 6, 2, 6, 4]})
    >>> icc(ratings).table["estimate"].round(3).to_dict()["ICC(3,1)"]
    0.788
    """
    sample = Sample.of(
        data, raters, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    moments = sample.moments
    require_ratings(moments)
    table, interval = sample.estimates(forms, list(FORMS), "the intraclass correlations")
    n, k = int(moments.n), len(moments.names)
    squares = tuple(float(v) for v in mean_squares(moments))
    tests, ends = _f_tests(squares, n, k), f_ends(squares, n, k, level)
    if sample.replicates is None:
        interval = withheld("the F distribution's intervals", sample.against)
        if not sample.against:
            interval = "F distribution"
            table["low"], table["high"] = ends[:, 0], ends[:, 1]
    if sample.against:
        tests = np.full_like(tests, np.nan)
    for at, name in enumerate(("f", "df1", "df2", "p")):
        table[name] = tests[:, at]
    return CoefficientTable(
        title=f"intraclass correlations of {k} raters",
        table=table.assign(meaning=list(FORMS.values())),
        interval=interval,
        level=level,
        n=n,
        dropped=moments.dropped,
    )


def require_ratings(moments: Moments) -> None:
    """Refuse ratings by one rater, or of fewer than two objects.

    Raises
    ------
    DataError
        With the number that is missing.
    """
    if len(moments.names) < 2:
        raise DataError(f"agreement needs two raters or more, got {list(moments.names)}")
    if moments.n < 2:
        raise DataError(f"only {moments.n} target has all ratings; two or more are needed")
    if moments.constant.all() and np.ptp(moments.mean) == 0:
        raise EstimationError("all ratings are equal; agreement beyond chance cannot be told")
    if moments.cov.sum() <= 1e-12 * np.trace(moments.cov):
        raise EstimationError(
            f"the targets do not differ in their mean rating, so {list(moments.names)} cannot agree on any difference; "
            "is one of them scored the other way round?"
        )


def mean_squares(moments: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean squares between targets, within targets, between raters and of error, over the leading axes."""
    cov, mean = moments.cov, moments.mean
    n, k = np.asarray(moments.n, dtype=float), cov.shape[-1]
    between = cov.sum(axis=(-2, -1)) / k
    own = np.trace(cov, axis1=-2, axis2=-1)
    # Raters who differ by a constant leave rounding here, not error.
    rest = np.where(own - between > 1e-13 * own, own - between, 0.0)
    raters = n * ((mean - mean.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    return between, ((n - 1) * rest + raters) / (n * (k - 1)), raters / (k - 1), rest / (k - 1)


def forms(moments: Moments) -> np.ndarray:
    """The six coefficients ``(..., 6)``; NaN where all ratings are equal."""
    b, w, j, e = mean_squares(moments)
    n, k = np.asarray(moments.n, dtype=float), len(moments.names)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack(
            [
                (b - w) / (b + (k - 1) * w),
                (b - e) / (b + (k - 1) * e + k * (j - e) / n),
                (b - e) / (b + (k - 1) * e),
                (b - w) / b,
                (b - e) / (b + (j - e) / n),
                (b - e) / b,
            ],
            axis=-1,
        )


def _f_tests(squares: tuple[float, ...], n: int, k: int) -> np.ndarray:
    """F, its degrees of freedom and p of each form ``(6, 4)``: are targets told apart at all?"""
    b, w, _, e = squares
    rows = []
    for error, df2 in ((w, n * (k - 1)), (e, (n - 1) * (k - 1)), (e, (n - 1) * (k - 1))):
        f = b / error if error > 0 else (np.inf if b > 0 else np.nan)
        rows.append([f, n - 1, df2, float(special.fdtrc(n - 1, df2, f))])
    return np.array(rows * 2, dtype=float)


def f_ends(squares: tuple[float, ...], n: int, k: int, level: float) -> np.ndarray:
    """Ends ``(6, 2)`` of the intervals from the F distribution (Shrout & Fleiss 1979; McGraw & Wong 1996)."""
    b, w, j, e = squares
    upper = 0.5 + level / 2
    one = one_way_ends(b, w, n - 1, n * (k - 1), k, level)
    three = one_way_ends(b, e, n - 1, (n - 1) * (k - 1), k, level)
    rho = (b - e) / (b + (k - 1) * e + k * (j - e) / n)
    spread = n * (1 + (k - 1) * rho) - k * rho
    below = (n - 1) * (k * rho * j) ** 2 + (spread * e) ** 2
    # With neither error nor differences between raters any degrees of freedom give the same ends, 1 and 1.
    v = (k - 1) * (n - 1) * (k * rho * j + spread * e) ** 2 / below if below > 0 else float((k - 1) * (n - 1))
    f_low, f_high = special.fdtri(n - 1, v, upper), special.fdtri(v, n - 1, upper)
    rest = k * j + (k * n - k - n) * e
    two = n * (b - f_low * e) / (f_low * rest + n * b), n * (f_high * b - e) / (rest + n * f_high * b)
    single = np.array([one, two, three], dtype=float)
    return np.concatenate([single, k * single / (1 + (k - 1) * single)])


def one_way_ends(b: float, w: float, df1: int, df2: int, k: float, level: float) -> tuple[float, float]:
    """Ends of (B - W)/(B + (k - 1)W) from the F distribution of B/W."""
    upper = 0.5 + level / 2
    scaled = b / special.fdtri(df1, df2, upper), b * special.fdtri(df2, df1, upper)
    low, high = ((x - w) / (x + (k - 1) * w) for x in scaled)
    return float(low), float(high)
