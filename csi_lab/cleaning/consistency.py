"""Careless answering: halves of a scale, or two answers to one question, that contradict each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from csi_lab.cleaning.flags import Flags, answers_found, flags
from csi_lab.cleaning.respondents import column_names, named_blocks, require_one_scale, respondents, stated
from csi_lab.cleaning.within import TOO_ALIKE, row_means, within
from csi_lab.errors import SpecError
from csi_lab.settings import is_number, is_whole, require_cutoff


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
    blocks = {name: block for name, block in named_blocks(blocks, "constructs").items() if len(block) > 1}
    require_cutoff(cutoff, "cutoff")
    if not is_whole(at_least) or at_least < 3 or len(blocks) < at_least:
        raise SpecError(
            f"a correlation over constructs needs 3 or more with two items or more each; {at_least=}, "
            f"and there are {len(blocks)}: {list(blocks)}"
        )
    names = list(dict.fromkeys(item for block in blocks.values() for item in block))
    people = respondents(data, names, weights)
    require_one_scale(data, names)
    x = people.answers
    place = {item: j for j, item in enumerate(names)}
    odd = np.column_stack([row_means(x[:, [place[i] for i in block[0::2]]]) for block in blocks.values()])
    even = np.column_stack([row_means(x[:, [place[i] for i in block[1::2]]]) for block in blocks.values()])
    r, pairs = within(odd, even)
    few = pairs < at_least
    with np.errstate(divide="ignore"):
        value = 2 * r / (1 + r)
    found = flags(
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
    return found.doubted("careless", TOO_ALIKE)


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
    listed = list(pairs) if np.iterable(pairs) and not isinstance(pairs, (str, Mapping)) else []
    both = [tuple(column_names(pair, "a pair")) for pair in listed]
    wrong = [pair for pair in both if len(pair) != 2 or pair[0] == pair[1]]
    if not both or wrong:
        raise SpecError(f"pairs must be of two different columns each, e.g. [('q1', 'q9')]; got {wrong or pairs!r}")
    if not is_number(difference) or not 0 <= difference < np.inf:
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
