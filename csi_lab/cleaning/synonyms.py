"""Careless answering: items that go together in the sample and apart within a respondent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from csi_lab.cleaning.flags import Flags, flags
from csi_lab.cleaning.respondents import as_answered, require_one_scale, respondents
from csi_lab.cleaning.within import TOO_ALIKE, correlations, within_pairs
from csi_lab.errors import EstimationError, SpecError
from csi_lab.settings import is_number, is_whole


def psychometric_synonyms(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    r: float = 0.60,
    cutoff: float = 0.0,
    at_least: int = 3,
    weights: Any = None,
) -> Flags:
    """Correlation within each respondent over the pairs of items that correlate highly in the sample.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    r
        Pairs of items with a correlation above it are synonyms; default .60 [1]_.
    cutoff
        Flagged below this value; default 0, what answers at random give on average.
    at_least
        Pairs answered that a respondent needs to be judged; three or more.
    weights
        Weights of a DataFrame; rows of weight zero are nobody. Correlations are unweighted, over the rows that
        answered both items.

    Returns
    -------
    Flags
        ``details`` lists the pairs (``item``, ``other``, ``r``).

    Raises
    ------
    DataError
        If items are absent or text.
    EstimationError
        If fewer than ``at_least`` pairs correlate so highly.
    SpecError
        If ``r``, ``cutoff`` or ``at_least`` is impossible, or items of a survey have different scales.

    Notes
    -----
    Answers are taken as they were given, so that items the study file declares reversed make antonyms. In a pair the
    item that comes first in ``items`` gives the first value. Who gives one answer to all first or all second items has
    no correlation and is not judged.

    References
    ----------
    .. [1] Meade, A. W., & Craig, S. B. (2012). Identifying careless responses in survey data. Psychological Methods,
       17(3), 437-455.

    Examples
    --------
    >>> import csi_lab as csi
    >>> found = psychometric_synonyms(csi.load_survey("mobile"))
    >>> len(found.details), bool((found.details["r"] > 0.6).all())
    (8, True)
    """
    return _pairs_within(data, items, r, cutoff, at_least, weights, sign=1)


def psychometric_antonyms(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    r: float = -0.60,
    cutoff: float = 0.0,
    at_least: int = 3,
    weights: Any = None,
) -> Flags:
    """Correlation within each respondent over the pairs of items with opposite meaning in the sample.

    Parameters
    ----------
    data, items, at_least, weights
        As in :func:`psychometric_synonyms`.
    r
        Pairs of items with a correlation below it are antonyms; default -.60 [1]_.
    cutoff
        Flagged above this value; default 0, what answers at random give on average.

    Returns
    -------
    Flags
        ``details`` lists the pairs (``item``, ``other``, ``r``).

    Raises
    ------
    DataError, EstimationError, SpecError
        As in :func:`psychometric_synonyms`.

    References
    ----------
    .. [1] Meade, A. W., & Craig, S. B. (2012). Identifying careless responses in survey data. Psychological Methods,
       17(3), 437-455.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> x = np.random.default_rng(1).integers(1, 8, (40, 3))
    >>> frame = pd.DataFrame(np.hstack([x, 8 - x])).add_prefix("q")
    >>> frame.iloc[0] = [1, 4, 7, 1, 4, 7]
    >>> psychometric_antonyms(frame).rows.tolist()
    [0]
    """
    return _pairs_within(data, items, r, cutoff, at_least, weights, sign=-1)


def _pairs_within(
    data: Any, items: Sequence[str] | None, r: float, cutoff: float, at_least: int, weights: Any, sign: int
) -> Flags:
    import pandas as pd

    synonyms = sign > 0
    numbers = is_number(r) and is_number(cutoff) and is_whole(at_least)
    if not numbers or not 0 < sign * r < 1 or not -1 <= cutoff <= 1 or at_least < 3:
        ends = "0 and 1" if synonyms else "-1 and 0"
        raise SpecError(
            f"r={r!r} must lie between {ends}, cutoff={cutoff!r} between -1 and 1, {at_least=} be a whole number >= 3"
        )
    people = respondents(data, items, weights)
    require_one_scale(data, people.items)
    x = as_answered(data, people)
    corr = correlations(x)
    first, second = np.triu_indices(len(people.items), k=1)
    strong = sign * corr[first, second] > sign * r
    first, second = first[strong], second[strong]
    if len(first) < at_least:
        what = f"{'above' if synonyms else 'below'} {r:g}"
        raise EstimationError(
            f"{len(first)} pairs of items correlate {what}, at least {at_least} are needed; give more items, or "
            f"another r= (the {'highest' if synonyms else 'lowest'} correlation is {_extreme(corr, sign):.2f})"
        )
    value, pairs = within_pairs(x, first, second)
    details = pd.DataFrame(
        {
            "item": [people.items[i] for i in first],
            "other": [people.items[j] for j in second],
            "r": corr[first, second],
        }
    )
    found = flags(
        people,
        f"psychometric {'synonyms' if synonyms else 'antonyms'}",
        value,
        cutoff,
        "<" if synonyms else ">",
        statistic=f"correlation over {len(first)} pairs of items",
        rule=f"correlation over {len(first)} pairs of items (r {'>' if synonyms else '<'} {r:g} in the sample) "
        f"{'below' if synonyms else 'above'} {cutoff:g}",
        unjudged={
            f"with fewer than {at_least} pairs answered": pairs < at_least,
            "with one answer to all first or all second items": np.isnan(value),
        },
        details=details,
    )
    return found.doubted("careless", TOO_ALIKE)


def _extreme(corr: np.ndarray, sign: int) -> float:
    known = corr[np.triu_indices(len(corr), k=1)]
    known = known[~np.isnan(known)]
    return float(sign * (sign * known).max()) if len(known) else float("nan")
