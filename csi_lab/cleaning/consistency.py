"""Careless answering: answers that do not hang together within a respondent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from csi_lab.cleaning.flags import MANY, Flags, answers_found, flags
from csi_lab.cleaning.respondents import as_answered, require_one_scale, respondents, stated
from csi_lab.errors import EstimationError, SpecError

# Rows whose pairs are correlated at once.
BLOCK = 20_000


def even_odd(
    data: Any,
    constructs: Mapping[str, Sequence[str]] | None = None,
    *,
    cutoff: float = 0.30,
    at_least: int = 3,
    weights: Any = None,
) -> Flags:
    r"""Even-odd consistency: do the two halves of each scale say the same?

    With :math:`r_i` the correlation, within respondent i and over the constructs, of the mean of a construct's
    odd-numbered items with the mean of its even-numbered items, lengthened by the Spearman-Brown formula:

    .. math:: c_i = \frac{2 r_i}{1 + r_i}

    Parameters
    ----------
    data
        A survey or a DataFrame.
    constructs
        Name to items, scored in one direction; default those of the survey. Single items have no halves and are left
        out.
    cutoff
        Flagged below this value; default .30 [1]_ [2]_.
    at_least
        Constructs with both halves answered that a respondent needs to be judged; three or more.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        High values are consistent. (Some software turns the sign round.)

    Raises
    ------
    DataError
        If items are absent or text.
    SpecError
        If there are too few constructs with two items or more, items of a survey have different scales, or a number
        is impossible.

    Notes
    -----
    Means are over the answers given. The corrected value of a negative r falls below -1 without bound; it is left as
    it is. Who gives the same mean to all constructs has no correlation and is not judged: see
    :func:`csi_lab.cleaning.longstring` and :func:`csi_lab.cleaning.irv`. With the five to seven constructs of a
    satisfaction model r is a rough number, and a customer who feels the same about everything looks inconsistent;
    use it together with other checks.

    References
    ----------
    .. [1] Johnson, J. A. (2005). Ascertaining the validity of individual protocols from Web-based personality
       inventories. Journal of Research in Personality, 39(1), 103-129.
    .. [2] Curran, P. G. (2016). Methods for the detection of carelessly invalid responses in survey data. Journal of
       Experimental Social Psychology, 66, 4-19.

    Examples
    --------
    Halves (9, 5, 2) and (9, 5, 2) agree; (9, 5, 2) and (2, 9, 5) do not:

    >>> import pandas as pd
    >>> frame = pd.DataFrame([[9, 9, 5, 5, 2, 2], [9, 2, 5, 9, 2, 5]], columns=list("abcdef"))
    >>> found = even_odd(frame, {"one": ["a", "b"], "two": ["c", "d"], "three": ["e", "f"]})
    >>> found.table["value"].round(3).tolist(), found.rows.tolist()
    ([1.0, -2.0], [1])
    """
    blocks = stated(data, "constructs") if constructs is None else constructs
    if blocks is None:
        raise SpecError("no constructs given; name them with their items, e.g. constructs={'Quality': ['q1', 'q2']}")
    blocks = {name: [b] if isinstance(b, str) else list(b) for name, b in blocks.items()}
    blocks = {name: block for name, block in blocks.items() if len(block) > 1}
    if at_least < 3 or len(blocks) < at_least:
        raise SpecError(
            f"a correlation over constructs needs 3 or more with two items or more each; at_least={at_least}, "
            f"and there are {len(blocks)}: {list(blocks)}"
        )
    names = list(dict.fromkeys(item for block in blocks.values() for item in block))
    people = respondents(data, names, weights)
    require_one_scale(data, names)
    x = people.answers
    place = {item: j for j, item in enumerate(names)}
    odd = np.column_stack([_mean(x[:, [place[i] for i in block[0::2]]]) for block in blocks.values()])
    even = np.column_stack([_mean(x[:, [place[i] for i in block[1::2]]]) for block in blocks.values()])
    r, pairs = _within(odd, even)
    few = pairs < at_least
    with np.errstate(divide="ignore"):
        value = 2 * r / (1 + r)
    return _weighed(
        people,
        "even-odd",
        value,
        cutoff,
        "<",
        statistic="even-odd consistency",
        rule=f"even-odd consistency over {len(blocks)} constructs below {cutoff:g}",
        unjudged={
            f"with fewer than {at_least} constructs answered in both halves": few,
            "with the same mean in all constructs": np.isnan(r),
        },
    )


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


def inconsistent_pairs(
    data: Any, pairs: Sequence[tuple[str, str]], *, difference: float = 2.0, weights: Any = None
) -> Flags:
    """Different answers to a question that was asked twice.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    pairs
        The two columns of each such question, scored in the same direction.
    difference
        Flagged when two answers lie further apart, in points of the scale. Default 2, for scales of 10 points.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the largest difference; ``details`` lists the answers of every pair beyond the cut-off. Respondents
        who answered no pair completely are not judged.

    Raises
    ------
    DataError
        If columns are absent or text.
    SpecError
        If there are no pairs, a pair is not of two different columns of one scale, or ``difference`` is negative.

    Examples
    --------
    >>> import pandas as pd
    >>> found = inconsistent_pairs(pd.DataFrame({"q1": [7, 2], "q1_again": [8, 9]}), [("q1", "q1_again")])
    >>> found.table["value"].tolist(), found.rows.tolist()
    ([1.0, 7.0], [1])
    """
    both = [tuple(pair) if not isinstance(pair, str) else (pair,) for pair in pairs]
    wrong = [pair for pair in both if len(pair) != 2 or pair[0] == pair[1]]
    if not both or wrong:
        raise SpecError(f"pairs must be of two different columns each, e.g. [('q1', 'q9')]; got {wrong or both}")
    if not difference >= 0:
        raise SpecError(f"difference={difference!r} must be 0 or more points of the scale")
    names = list(dict.fromkeys(c for pair in both for c in pair))
    people = respondents(data, names, weights)
    for pair in both:
        require_one_scale(data, pair)
    x = people.answers
    first, second = (x[:, [names.index(pair[k]) for pair in both]] for k in (0, 1))
    apart = np.abs(first - second)
    absent = np.isnan(apart).all(axis=1)
    value = np.full(people.n, np.nan)
    value[~absent] = np.nanmax(apart[~absent], axis=1)
    found = np.zeros(x.shape, dtype=bool)
    words = np.full(x.shape, "", dtype=object)
    with np.errstate(invalid="ignore"):
        far = apart > difference
    for k, pair in enumerate(both):
        for here, other in (pair, pair[::-1]):
            j = names.index(here)
            found[:, j] |= far[:, k]
            words[far[:, k], j] = f"differs from {other} by more than {difference:g}"
    return flags(
        people,
        "inconsistent pairs",
        value,
        difference,
        ">",
        statistic="largest difference within a pair, points of the scale",
        rule=f"answers to a question asked twice differ by more than {difference:g} ({len(both)} pairs)",
        unjudged={"without a pair answered": absent},
        details=answers_found(people, found, words),
    )


def _pairs_within(
    data: Any, items: Sequence[str] | None, r: float, cutoff: float, at_least: int, weights: Any, sign: int
) -> Flags:
    import pandas as pd

    synonyms = sign > 0
    if not 0 < sign * r < 1 or not -1 <= cutoff <= 1 or at_least < 3:
        ends = "0 and 1" if synonyms else "-1 and 0"
        raise SpecError(f"r={r!r} must lie between {ends}, cutoff={cutoff!r} between -1 and 1, {at_least=} be >= 3")
    people = respondents(data, items, weights)
    require_one_scale(data, people.items)
    x = as_answered(data, people)
    corr = _correlations(x)
    first, second = np.triu_indices(len(people.items), k=1)
    strong = sign * corr[first, second] > sign * r
    first, second = first[strong], second[strong]
    if len(first) < at_least:
        what = f"{'above' if synonyms else 'below'} {r:g}"
        raise EstimationError(
            f"{len(first)} pairs of items correlate {what}, at least {at_least} are needed; give more items, or "
            f"another r= (the {'highest' if synonyms else 'lowest'} correlation is {_extreme(corr, sign):.2f})"
        )
    value, pairs = _within_pairs(x, first, second)
    details = pd.DataFrame(
        {
            "item": [people.items[i] for i in first],
            "other": [people.items[j] for j in second],
            "r": corr[first, second],
        }
    )
    return _weighed(
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


def _weighed(*args: Any, **rest: Any) -> Flags:
    """Flags, with a remark where a correlation within respondents flags too many to mean carelessness."""
    found = flags(*args, **rest)
    if not found.n_flagged > MANY * found.n_judged:
        return found
    return found.remarked(
        f"{found.n_flagged / found.n_judged:.0%} flagged are too many to be careless: within respondents the answers "
        "differ too little for a correlation; do not remove by this check alone"
    )


def _extreme(corr: np.ndarray, sign: int) -> float:
    known = corr[np.triu_indices(len(corr), k=1)]
    known = known[~np.isnan(known)]
    return float(sign * (sign * known).max()) if len(known) else float("nan")


def _within_pairs(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation over the pairs within each row, and the pairs answered; in blocks, since pairs may be many."""
    parts = [_within(x[at : at + BLOCK][:, first], x[at : at + BLOCK][:, second]) for at in range(0, len(x), BLOCK)]
    return np.concatenate([r for r, _ in parts]), np.concatenate([pairs for _, pairs in parts])


def _within(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation ``(n,)`` of the columns of two arrays ``(n, k)`` within each row, NaN if one does not vary; pairs."""
    both = ~(np.isnan(a) | np.isnan(b))
    pairs = both.sum(axis=1)
    count = np.maximum(pairs, 1)[:, None]
    a, b = np.where(both, a, 0.0), np.where(both, b, 0.0)
    mean_a, mean_b = a.sum(axis=1, keepdims=True) / count, b.sum(axis=1, keepdims=True) / count
    da, db = np.where(both, a - mean_a, 0.0), np.where(both, b - mean_b, 0.0)
    va, vb, c = (da**2).sum(axis=1), (db**2).sum(axis=1), (da * db).sum(axis=1)
    # Equal decimals have sums of squares of rounding errors, no more.
    size = 1e-20 * count[:, 0] * np.maximum(1.0, np.maximum(mean_a**2, mean_b**2)[:, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where((va > size) & (vb > size), c / np.sqrt(va * vb), np.nan)
    return np.clip(r, -1.0, 1.0), pairs  # rounding may leave 1 + 1e-16


def _mean(x: np.ndarray) -> np.ndarray:
    """Mean ``(n,)`` of the known values of each row, NaN where there are none."""
    known = ~np.isnan(x)
    count = known.sum(axis=1)
    return np.divide(np.where(known, x, 0.0).sum(axis=1), count, out=np.full(len(x), np.nan), where=count > 0)


def _correlations(x: np.ndarray) -> np.ndarray:
    """Correlations ``(p, p)`` of the items, each over the rows that answered both; NaN where one does not vary."""
    known = ~np.isnan(x)
    m = known.astype(float)
    center = np.where(known, x, 0.0).sum(axis=0) / np.maximum(m.sum(axis=0), 1)
    d = np.where(known, x - center, 0.0)
    n, s, q, products = m.T @ m, d.T @ m, (d**2).T @ m, d.T @ d
    with np.errstate(invalid="ignore", divide="ignore"):
        cov = products - s * s.T / n
        var = q - s**2 / n
        varies = var > 1e-12 * np.maximum(1.0, center[:, None] ** 2)
        return np.where((n > 2) & varies & varies.T, cov / np.sqrt(var * var.T), np.nan)
