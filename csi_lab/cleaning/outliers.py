"""Answers far from those of the others, one item at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from csi_lab.cleaning.flags import Flags, answers_found, flags
from csi_lab.cleaning.respondents import Respondents, respondents
from csi_lab.errors import SpecError
from csi_lab.settings import is_number

# The median absolute deviation of a normal variable is its standard deviation divided by this.
NORMAL_MAD = 1.4826


def tukey_fences(data: Any, items: Sequence[str] | None = None, *, fence: float = 1.5, weights: Any = None) -> Flags:
    r"""Answers beyond Tukey's fences.

    .. math:: \max\left(\frac{Q_1 - x}{Q_3 - Q_1}, \frac{x - Q_3}{Q_3 - Q_1}\right) > k

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    fence
        k: 1.5 for outside answers, 3 for far out ones [1]_.
    weights
        Weights of a DataFrame; rows of weight zero are nobody. Quartiles are those of the respondents, unweighted.

    Returns
    -------
    Flags
        The value is the largest distance over the items, in interquartile ranges; ``details`` lists the answers.

    Raises
    ------
    DataError
        If items are absent, text or infinite.
    SpecError
        If the fence is not above zero.

    Notes
    -----
    Quartiles interpolate linearly between order statistics; Tukey's hinges differ a little in small samples. An item
    with an interquartile range of zero cannot be judged and is named. An unusual answer need not be a wrong one: on a
    1 to 10 scale of mostly satisfied customers, the dissatisfied are outliers and the reason for the survey.

    References
    ----------
    .. [1] Tukey, J. W. (1977). Exploratory data analysis. Addison-Wesley.

    Examples
    --------
    >>> import pandas as pd
    >>> found = tukey_fences(pd.DataFrame({"q1": [7, 8, 8, 9, 9, 1]}))
    >>> print(found)
    Tukey fences: 1 of 6 respondents flagged (16.7%): an answer lies more than 1.5 IQR beyond a quartile
    """
    _require_positive("fence", fence)
    people = respondents(data, items, weights)
    x = people.answers
    low, high = _by_item(x, 2, lambda known: np.quantile(known, [0.25, 0.75]))
    distance = np.maximum(low - x, x - high)
    rule = f"an answer lies more than {fence:g} IQR beyond a quartile"
    statistic = "largest distance from the quartiles, in interquartile ranges"
    return _judged(people, "Tukey fences", distance, high - low, fence, statistic, rule, "interquartile range")


def modified_z(data: Any, items: Sequence[str] | None = None, *, cutoff: float = 3.5, weights: Any = None) -> Flags:
    r"""Answers far from the median in units of the median absolute deviation.

    .. math:: \frac{|x - \mathrm{median}|}{1.4826\, \mathrm{MAD}} > 3.5

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    cutoff
        Default 3.5 [1]_.
    weights
        Weights of a DataFrame; rows of weight zero are nobody. The median is that of the respondents, unweighted.

    Returns
    -------
    Flags
        The value is the largest modified z over the items; ``details`` lists the answers.

    Raises
    ------
    DataError
        If items are absent, text or infinite.
    SpecError
        If the cut-off is not above zero.

    Notes
    -----
    An item of which half the answers or more are equal has MAD 0: it cannot be judged and is named.

    References
    ----------
    .. [1] Iglewicz, B., & Hoaglin, D. C. (1993). How to detect and handle outliers. ASQC Quality Press.

    Examples
    --------
    >>> import pandas as pd
    >>> found = modified_z(pd.DataFrame({"q1": [7, 8, 8, 9, 10, 1], "q2": [5, 5, 5, 5, 5, 1]}))
    >>> print(found)
    modified z: 1 of 6 respondents flagged (16.7%): an answer lies more than 3.5 x 1.4826 MAD from the median
    items that cannot be judged, because their MAD is zero: q2
    """
    _require_positive("cutoff", cutoff)
    people = respondents(data, items, weights)
    x = people.answers
    (median,) = _by_item(x, 1, lambda known: [np.median(known)])
    distance = np.abs(x - median)
    (mad,) = _by_item(distance, 1, lambda known: [np.median(known)])
    rule = f"an answer lies more than {cutoff:g} x {NORMAL_MAD} MAD from the median"
    return _judged(people, "modified z", distance, NORMAL_MAD * mad, cutoff, "largest modified z", rule, "MAD")


def z_scores(data: Any, items: Sequence[str] | None = None, *, cutoff: float = 3.0, weights: Any = None) -> Flags:
    r"""Answers far from the mean in units of the standard deviation.

    .. math:: |x - \bar x| / s > 3

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    cutoff
        Default 3 (three-sigma rule).
    weights
        Weights of a DataFrame; rows of weight zero are nobody. Mean and s (divisor n - 1) are unweighted.

    Returns
    -------
    Flags
        The value is the largest \|z\| over the items; ``details`` lists the answers.

    Raises
    ------
    DataError
        If items are absent, text or infinite.
    SpecError
        If the cut-off is not above zero.

    Notes
    -----
    Outliers inflate s and hide themselves. No z of n answers exceeds (n - 1)/sqrt(n) [1]_: with ten answers nobody
    can be flagged, which a remark says.

    References
    ----------
    .. [1] Shiffler, R. E. (1988). Maximum Z scores and outliers. The American Statistician, 42(1), 79-80.

    Examples
    --------
    >>> import pandas as pd
    >>> print(z_scores(pd.DataFrame({"q1": [7] * 6 + [8] * 6 + [1]})))
    z score: 1 of 13 respondents flagged (7.7%): an answer lies more than 3 standard deviations from the mean
    """
    _require_positive("cutoff", cutoff)
    people = respondents(data, items, weights)
    x = people.answers
    mean, s = _by_item(x, 2, lambda known: [known.mean(), known.std(ddof=1) if len(known) > 1 else 0.0])
    # A constant column of decimals has a standard deviation of rounding errors.
    s = np.where(s > 1e-12 * np.maximum(1.0, np.abs(mean)), s, 0.0)
    answers = (~np.isnan(x)).sum(axis=0)
    most = np.divide(answers - 1, np.sqrt(answers), out=np.zeros(len(answers)), where=answers > 0)
    short = [f"{item} ({k})" for item, k, m in zip(people.items, answers, most, strict=True) if k and m <= cutoff]
    remarks = [f"too few answers for any |z| above {cutoff:g}: {', '.join(short)}"] if short else []
    rule = f"an answer lies more than {cutoff:g} standard deviations from the mean"
    return _judged(people, "z score", np.abs(x - mean), s, cutoff, "largest |z|", rule, "standard deviation", remarks)


def _require_positive(name: str, value: float) -> None:
    if not is_number(value) or not 0 < value < np.inf:
        raise SpecError(f"{name}={value!r} must be a number above zero")


def _by_item(x: np.ndarray, count: int, summary: Callable[[np.ndarray], Sequence[float]]) -> tuple[np.ndarray, ...]:
    """The ``count`` summaries of the known values of each item, each ``(p,)``; NaN for an item without values."""
    found = np.full((count, x.shape[1]), np.nan)
    for j, column in enumerate(x.T):
        known = column[~np.isnan(column)]
        if len(known):
            found[:, j] = summary(known)
    return tuple(found)


def _judged(
    people: Respondents,
    name: str,
    distance: np.ndarray,
    unit: np.ndarray,
    cutoff: float,
    statistic: str,
    rule: str,
    spread: str,
    remarks: Sequence[str] = (),
) -> Flags:
    """Flags from distances ``(n, p)`` in units ``(p,)``; items without spread are named and left out."""
    usable = unit > 0
    z = np.full(distance.shape, np.nan)
    z[:, usable] = distance[:, usable] / unit[usable]
    judged = ~np.isnan(z).all(axis=1)
    largest = np.full(len(z), np.nan)
    largest[judged] = np.nanmax(z[judged], axis=1)
    with np.errstate(invalid="ignore"):
        found = z > cutoff
    flat = [i for i, ok, u in zip(people.items, usable, unit, strict=True) if not ok and not np.isnan(u)]
    said = list(remarks)
    if flat:
        said.append(f"items that cannot be judged, because their {spread} is zero: {', '.join(flat)}")
    judgements = flags(
        people,
        name,
        largest,
        cutoff,
        ">",
        statistic=statistic,
        rule=rule,
        unjudged={"without an answer to an item that can be judged": ~judged},
        details=answers_found(people, found, rule.replace("an answer lies ", "")).assign(value=z[found]),
        remarks=said,
    )
    return judgements.doubted(
        "outliers", "answers on rating scales are coarse and skewed, and with many items most people are alone in one"
    )
