"""Ratios of two totals and differences between two means."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.estimate.collecting import (
    collected,
    columns_of,
    domains_of,
    known_errors,
    named,
    only,
    roots,
    row_index,
    usable_rows,
    without_degrees,
)
from csi_lab.sampling.estimate.limits import critical
from csi_lab.sampling.estimate.respondents import Degrees, Gaps, Respondents
from csi_lab.sampling.estimate.results import Difference, Estimate, Estimates
from csi_lab.sampling.estimate.stage_variance import Lonely
from csi_lab.sampling.estimate.sums import ROUNDING, Sums, apart
from csi_lab.settings import require_level


def ratio(
    data: Any,
    numerator: str | Sequence[str],
    design: Design | None = None,
    *,
    denominator: str,
    by: str | Sequence[str] | None = None,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Estimate | Estimates:
    r"""Ratio of two totals.

    .. math:: R = \frac{\sum w_k y_k}{\sum w_k x_k}, \qquad z_k = \frac{y_k - R x_k}{\sum w x}

    Parameters
    ----------
    data, design, by, weights, level, missing, lonely, df
        As in :func:`csi_lab.sampling.estimate.mean`.
    numerator, denominator
        Columns y (one or several) and x.

    Returns
    -------
    Estimate or Estimates
        The design effects compare with a simple random sample of the same :math:`z_k`.

    Raises
    ------
    DataError, SpecError
        As in :func:`csi_lab.sampling.estimate.mean`; if the total of the denominator is zero, or is no single column.

    Notes
    -----
    Agrees with R survey 4.1-1 ``svyratio`` and ``svyby(svyratio)`` to 1e-9 (``tests/reference/survey``).

    References
    ----------
    .. [1] Woodruff, R. S. (1971). A simple method for approximating the variance of a complicated estimate. Journal of
       the American Statistical Association, 66, 411-414.

    Examples
    --------
    >>> frame = pd.DataFrame({"sales": [10.0, 12, 7, 9], "visits": [20.0, 22, 18, 16]})
    >>> print(ratio(frame, "sales", denominator="visits"))
    ratio of sales / visits: 0.5, se 0.03722, 95% CI [0.3816, 0.6184] (t, 3 df), deff 1.00, n = 4
    """
    require_level(level)
    columns, single = columns_of(numerator)
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    if not columns_of(denominator)[1]:
        raise SpecError(f"denominator={denominator!r} must be one column")
    if not columns:
        raise SpecError("numerator=[] names no column")
    # A column over itself is read once.
    values = people.values([*columns, *(() if denominator in columns else (denominator,))])
    rows, notes = usable_rows(people, values, by, missing)
    groups, parts = domains_of(people, by, rows)
    own: list[tuple[Sums, np.ndarray, np.ndarray]] = []
    residuals = [np.zeros(len(people.weights)) for _ in columns]
    for at in parts:
        w = people.weights[at]
        base = float(w @ values[denominator][at])
        size = float(w @ np.abs(values[denominator][at]))
        if abs(base) <= 1e-12 * size or not size:
            raise DataError(f"the total of the denominator {denominator!r} is zero; a ratio does not exist")
        ratios = np.array([w @ values[c][at] for c in columns]) / base
        for z, c, r in zip(residuals, columns, ratios, strict=True):
            z[at] = (values[c][at] - r * values[denominator][at]) / base
        sums = people.sums(residuals, at, origin=np.zeros(len(columns)))
        own.append((sums, ratios, sums.of_totals()))
    labels = pd.Index([f"{c} / {denominator}" for c in columns], name="ratio")
    index = row_index(groups, labels, not single)
    # A ratio has the error of a total: that of the residuals, divided by the denominator.
    what = (f"ratio of {labels[0]}" if single else "ratios") + (f" by {named(by)}" if by is not None else "")
    found = collected(what, people, own, index, level, notes, "totals")
    return found if by is not None or not single else only(found, "ratio", str(labels[0]))


def difference(
    data: Any,
    columns: str | Sequence[str],
    design: Design | None = None,
    *,
    by: str | None = None,
    between: Sequence[Any] | None = None,
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Difference:
    r"""Difference between the means of two domains, two waves or two columns.

    Influence values are subtracted before the variance is taken, so that the covariance of the two means (the same
    towns, the same people) is accounted for.

    Parameters
    ----------
    data, design, weights, level, missing, lonely
        As in :func:`csi_lab.sampling.estimate.mean`.
    columns
        One column, compared between two domains; or two columns, compared over the same rows.
    by, between
        Column of labels and the two labels: mean in the first minus mean in the second. Two waves stand below each
        other in one frame with a column that says which; panel members share a PSU label and no stratum separates the
        waves, so that the overlap lowers the error.
    df
        As in :func:`csi_lab.sampling.estimate.mean`; for two domains those of the design are reduced by one, as in R's
        ``svyttest``.

    Returns
    -------
    Difference
        With ``t`` and the two-sided ``p``.

    Raises
    ------
    DataError, SpecError
        As in :func:`csi_lab.sampling.estimate.mean`; if there are not two domains or columns to compare.

    Notes
    -----
    Agrees with R survey 4.1-1 ``svyttest`` and ``svycontrast`` of ``svyby`` to 1e-9 (``tests/reference/survey``). Where
    the values do not vary, or each stratum holds one sampling unit, there is no t and no p.

    References
    ----------
    .. [1] Kish, L., & Frankel, M. R. (1974). Inference from complex samples. Journal of the Royal Statistical Society,
       Series B, 36, 1-37.

    Examples
    --------
    >>> frame = pd.DataFrame({"g": ["a", "a", "a", "b", "b", "b"], "y": [5.0, 6, 7, 3, 4, 6]})
    >>> print(difference(frame, "y", by="g", between=("a", "b")))
    difference of y, g: a - b: 1.667, se 0.9428, 95% CI [-0.951, 4.284] (t, 4 df), n = 6, t = 1.768, p = .152
    """
    require_level(level)
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    names, _ = columns_of(columns)
    values = people.values(names)
    rows, notes = usable_rows(people, values, by, missing)
    if by is None:
        if len(names) != 2 or between is not None:
            raise SpecError("give two columns, or one column with by= and between=(first, second)")
        y = values[names[0]] - values[names[1]]
        sums = people.sums([y], rows)
        gap, error = float(sums.mean[0]), roots(sums.covariance(sums.of_means()))[0]
        size = float(np.abs(np.concatenate([values[name][rows] for name in names])).max())
        wo, wr = sums.simple_variance()
        return _difference(f"{names[0]} - {names[1]}", gap, error, sums.df, level, sums, size, notes, (wo[0], wr[0]))
    pair = _pair(between)
    if len(names) != 1 or not columns_of(by)[1] or not pair:
        raise SpecError("a difference between domains needs one column, by= one column and between=(first, second)")
    groups, parts = domains_of(people, by, rows)
    known = [] if groups is None else list(groups)
    absent = [label for label in pair if label not in known]
    if absent or pair[0] == pair[1]:
        raise DataError(
            f"between={tuple(pair)!r} must be two different labels of {by!r}; it has {known[:12]}"
            + (f", not {absent}" if absent else "")
        )
    first, second = (parts[known.index(label)] for label in pair)
    y = values[names[0]]
    both = np.sort(np.concatenate([first, second]))
    # One influence value per row carries both means, so that no covariance needs a formula of its own.
    z = np.zeros(len(y))
    means = []
    for at, sign in ((first, 1.0), (second, -1.0)):
        w = people.weights[at]
        centre = float(w @ y[at] / w.sum())
        z[at] = sign * apart(y[at], centre) / w.sum()
        means.append(centre)
    sums = people.sums([z], both, origin=np.zeros(1))
    error = roots(sums.covariance(sums.of_totals()))[0]
    label = f"{names[0]}, {by}: {pair[0]} - {pair[1]}"
    none = (np.nan, np.nan)
    degrees = sums.df - 1 if isinstance(df, str) else sums.df
    size = float(np.abs(y[both]).max())
    return _difference(label, means[0] - means[1], error, degrees, level, sums, size, notes, none)


def _pair(between: Any) -> list[Any]:
    """Two labels, or nothing when this is no sequence of two."""
    no_pair = isinstance(between, (str, Mapping)) or not isinstance(between, Collection) or len(between) != 2
    return [] if no_pair else list(between)


def _difference(
    label: str,
    gap: float,
    error: float,
    df: float,
    level: float,
    sums: Sums,
    size: float,
    notes: tuple[str, ...],
    simple: tuple[float, float],
) -> Difference:
    """A difference with its test; ``size`` is that of the values, against which rounding is judged."""
    gap, error = (0.0 if abs(v) <= ROUNDING * size else v for v in (gap, float(error)))
    error = float(known_errors(np.array(error), np.array(df), np.array(size)))
    index = pd.Index([label])
    notes = (*notes, *sums.respondents.said_of_degrees([sums.rows]), *without_degrees(index, np.array([df])))
    half = float(critical(df, level)) * error
    t = gap / error if error > 0 else np.nan
    p = np.nan
    if df > 0:
        p = float(2 * (special.ndtr(-abs(t)) if np.isinf(df) else special.stdtr(df, -abs(t))))
    deff, deff_replace = (error**2 / v if v > 0 else np.nan for v in simple)
    return Difference(
        statistic="difference",
        name=label,
        value=gap,
        se=error,
        low=gap - half,
        high=gap + half,
        level=level,
        df=df,
        deff=deff,
        deff_replace=deff_replace,
        deff_kish=sums.kish,
        n=sums.n,
        notes=notes,
        t=t,
        p=p,
    )
