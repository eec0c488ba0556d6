"""Quantiles of a population, with intervals from its distribution function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from csi_lab.design import Design
from csi_lab.errors import SpecError
from csi_lab.sampling.estimate.collecting import domains_of, named, only, usable_rows, without_degrees
from csi_lab.sampling.estimate.limits import critical
from csi_lab.sampling.estimate.respondents import Degrees, Gaps, Respondents
from csi_lab.sampling.estimate.results import COLUMNS, Estimate, Estimates
from csi_lab.sampling.estimate.stage_variance import Lonely
from csi_lab.sampling.estimate.wording import enumerated
from csi_lab.settings import is_number, require_level

# Shares that differ by less are the same: the sum of weights of half the sample may miss one half by its last bit.
TIES = 1e-12


def quantile(
    data: Any,
    column: str,
    design: Design | None = None,
    *,
    q: float | Sequence[float] = (0.25, 0.5, 0.75),
    by: str | Sequence[str] | None = None,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Estimate | Estimates:
    r"""Quantiles: the smallest value below or at which a share q of the population lies.

    The interval is that of Woodruff [1]_: the t interval of the share :math:`F(\hat y_q)` is turned into values by the
    same rule; the standard error is its length over 2t.

    Parameters
    ----------
    data, design, by, weights, level, missing, lonely, df
        As in :func:`csi_lab.sampling.estimate.mean`.
    column
        Numeric column.
    q
        Shares between 0 and 1. A single number gives a single estimate unless there are domains.

    Returns
    -------
    Estimate or Estimates
        Without design effects and covariances. An end of an interval whose share falls to 0 or below, or above 1, is
        NaN, and a note says so: the sample is too small for it. Where the quantile is the largest value of all (the top
        category), its share is 1 in every sample alike: the interval is that value and the error 0, and a note says so.

    Raises
    ------
    DataError
        As in :func:`csi_lab.sampling.estimate.mean`.
    SpecError
        If a share is not between 0 and 1.

    Notes
    -----
    Agrees exactly with R survey 4.1-1 ``svyquantile`` (``qrule = "math"``, ``interval.type = "mean"``), see
    ``tests/reference/survey``, with one exception: for a share below that of the smallest value alone R returns the
    second smallest row, here it is the smallest value, which is what the rule says. They differ only where the smallest
    value stands in a single row.

    References
    ----------
    .. [1] Woodruff, R. S. (1952). Confidence intervals for medians and other position measures. Journal of the American
       Statistical Association, 47, 635-646.

    Examples
    --------
    >>> frame = pd.DataFrame({"minutes": [3.0, 5, 6, 8, 9, 11, 14, 15, 20, 41]})
    >>> print(quantile(frame, "minutes", q=0.5))
    quantile 0.5 of minutes: 9.000, se 3.315, 95% CI [5.000, 20.000] (Woodruff, 9 df), n = 10
    """
    require_level(level)
    single = isinstance(q, str) or not isinstance(q, Iterable) or not getattr(q, "ndim", 1)
    shares: list[Any] = [q] if single else list(cast(Iterable[Any], q))
    wrong = [s for s in shares if not is_number(s) or not 0 < s < 1]
    if wrong or not shares or len(set(shares)) < len(shares):
        raise SpecError(f"q={q!r}: shares between 0 and 1 are needed, each once" + (f", not {wrong}" if wrong else ""))
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    values = people.values([column])
    rows, notes = usable_rows(people, values, by, missing)
    groups, parts = domains_of(people, by, rows)
    found, labels, open_ends, tops = [], [], [], []
    for g, at in enumerate(parts):
        group = () if groups is None else (groups[g] if isinstance(groups[g], tuple) else (groups[g],))
        for share in shares:
            row, is_open = _one(people, values[column], at, float(share), level)
            found.append(row)
            labels.append((*group, share))
            if row[4] <= 0:
                continue
            if is_open:
                open_ends.append(labels[-1])
            elif row[0] == row[2] == row[3] and row[0] == values[column][at].max():
                tops.append(labels[-1])
    if open_ends:
        notes = (*notes, f"too few rows for both ends of the interval: {enumerated(open_ends)}")
    if tops:
        notes = (
            *notes,
            f"the quantile is the largest value, which shows no error (interval of length 0): {enumerated(tops)}",
        )
    names = [*(groups.names if groups is not None else ()), "quantile"]
    index = pd.MultiIndex.from_tuples(labels, names=names) if len(names) > 1 else pd.Index(shares, name="quantile")
    table = pd.DataFrame(found, index=index, columns=list(COLUMNS))
    notes = (*notes, *people.said_of_degrees(parts), *without_degrees(index, table["df"].to_numpy()))
    what = f"quantiles of {column}" + (f" by {named(by)}" if by is not None else "")
    result = Estimates(what, table, None, level, "Woodruff", notes)
    return result if by is not None or not single else only(result, f"quantile {shares[0]:g}", str(column))


def _one(people: Respondents, y: np.ndarray, at: np.ndarray, share: float, level: float) -> tuple[list[float], bool]:
    """One row of the table, and whether an end of the interval is missing."""
    order = at[np.argsort(y[at], kind="stable")]
    cumulated = np.cumsum(people.weights[order])
    cumulated /= cumulated[-1]

    def inverse(p: float) -> float:
        """The smallest value whose cumulated share reaches p."""
        if not 0 < p <= 1 + TIES:
            return np.nan
        place = np.searchsorted(cumulated, p * (1 - TIES))
        return float(y[order[min(int(place), len(order) - 1)]])

    value = inverse(share)
    sums = people.sums([(y <= value).astype(float)], at)
    error = float(np.sqrt(max(0.0, sums.covariance(sums.of_means())[0, 0])))
    t = float(critical(sums.df, level))
    low, high = inverse(sums.mean[0] - t * error), inverse(sums.mean[0] + t * error)
    none = np.nan
    row = [value, (high - low) / (2 * t), low, high, sums.df, none, none, sums.kish, sums.n]
    return row, not np.isfinite(low + high)
