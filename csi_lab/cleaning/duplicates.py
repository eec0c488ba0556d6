"""Respondents who are there twice: the same id, the same answers, or nearly the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from csi_lab.cleaning.flags import Flags, flags
from csi_lab.cleaning.respondents import Respondents, one_column, required_answers, respondents, stated
from csi_lab.errors import SpecError
from csi_lab.near_pairs import distinct_rows, most_different, near_pairs
from csi_lab.settings import is_number

Spare = Literal["none", "first"]


def duplicate_ids(data: Any, id: str | None = None, *, spare: Spare = "none", weights: Any = None) -> Flags:
    """Rows whose id (person, phone, device, address) is that of another row.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    id
        Column of ids; default the id of the survey's design.
    spare
        ``"none"`` flags every row of such a group; ``"first"`` all but the first in the order of the rows.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the number of other rows with the same id. Rows without an id are not judged.

    Raises
    ------
    DataError
        If the column is absent.
    SpecError
        If no column is named and the study has none, or ``spare`` is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> print(duplicate_ids(pd.DataFrame({"phone": ["a", "b", "a", None]}), "phone"))
    duplicate id: 2 of 3 respondents flagged (66.7%): the id in 'phone' is that of another row
    not judged: 1 (without an id)
    """
    import pandas as pd

    _require_known(spare)
    column = id if id is not None else id_column(data)
    if column is None:
        raise SpecError("which column holds the ids? give id=, or name it in the study file under design")
    people = respondents(data, [one_column(column, "id")], weights)
    ids = people.frame[column]
    text = ids.astype(object).map(lambda v: v.strip() if isinstance(v, str) else v)
    absent = (text.isna() | (text == "")).to_numpy(dtype=bool)
    codes, _ = pd.factorize(text)
    codes = np.where(absent, -1, codes)
    sizes = np.bincount(codes[~absent], minlength=1)
    others = np.where(absent, 0, sizes[codes] - 1).astype(float)
    return _with_spare(
        people,
        "duplicate id",
        others,
        codes,
        spare,
        statistic="other rows with this id",
        rule=f"the id in {column!r} is that of another row",
        unjudged={"without an id": absent},
    )


def id_column(data: Any) -> str | None:
    """The column of ids that a survey's study names, if any.

    Examples
    --------
    >>> import csi_lab as csi
    >>> id_column(csi.load_survey("mobile")) is None
    True
    """
    study = stated(data, "study")
    return None if study is None else study.design.id


def identical_answers(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    answered: float = 0.5,
    spare: Spare = "none",
    weights: Any = None,
) -> Flags:
    """Rows whose answers to all items are those of another row, gaps included.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    answered
        Share of the items that a respondent must have answered to be judged: rows of gaps are alike without a fault.
    spare
        As in :func:`duplicate_ids`.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the number of other rows with these answers.

    Raises
    ------
    DataError
        If items are absent or text.

    Notes
    -----
    With few items, or many very satisfied customers, honest rows coincide. A remark says how many of the rows flagged
    give one and the same answer to everything: these agree in style.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7, 7, 3], "q2": [9, 9, 4]})
    >>> print(identical_answers(frame))
    identical answers: 2 of 3 respondents flagged (66.7%): the answers to all 2 items are those of another row
    """
    _require_known(spare)
    people = respondents(data, items, weights)
    x, p = people.answers, len(people.items)
    need = required_answers(answered, p)
    few = (~np.isnan(x)).sum(axis=1) < need
    group, size, _ = distinct_rows(_codes(x[~few]))
    codes, others = np.full(people.n, -1), np.zeros(people.n)
    codes[~few], others[~few] = group, size[group] - 1
    return _with_spare(
        people,
        "identical answers",
        others,
        codes,
        spare,
        statistic="other rows with these answers",
        rule=f"the answers to all {p} items are those of another row",
        unjudged={f"with fewer than {need} of {p} answers": few},
        remarks=_style(x, others > 0),
    )


def near_identical_answers(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    agreement: float = 0.95,
    answered: float = 0.5,
    weights: Any = None,
) -> Flags:
    """Rows that agree with another row on more than a share of the items.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    items
        Default: all items of the survey, all columns of a DataFrame but the weights.
    agreement
        Flagged when the share of items with the same answer (or a gap on both sides) is above it. Kuriakose and
        Robbins [1]_ examined .85 for questionnaires of a hundred and more questions; with the few items of a
        satisfaction survey honest respondents come close by chance, hence .95.
    answered
        Share of the items that a respondent must have answered to be judged.
    weights
        Weights of a DataFrame; rows of weight zero are nobody.

    Returns
    -------
    Flags
        The value is the number of other rows that agree so far; ``details`` names for each row flagged one that agrees
        most, and the agreement.

    Raises
    ------
    DataError
        If items are absent or text.
    SpecError
        If ``agreement`` is outside [0.5, 1).

    Notes
    -----
    Exact, without comparing all pairs: see :func:`csi_lab.near_pairs.near_pairs`, which
    :func:`csi_lab.sampling.fieldwork.duplicates` uses, too; that function lists every pair and tells interviewers
    apart.

    References
    ----------
    .. [1] Kuriakose, N., & Robbins, M. (2016). Don't get duped: Fraud through duplication in public opinion surveys.
       Statistical Journal of the IAOS, 32(3), 283-291.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> x = np.random.default_rng(1).integers(1, 11, (50, 24))
    >>> x[7] = x[3]
    >>> x[7, 0] = 11 - x[3, 0]
    >>> found = near_identical_answers(pd.DataFrame(x).add_prefix("q"))
    >>> found.rows.tolist(), found.details["agreement"].round(3).tolist()
    ([3, 7], [0.958, 0.958])
    """
    import pandas as pd

    if not is_number(agreement) or not 0.5 <= agreement < 1:
        raise SpecError(f"agreement={agreement!r} must lie in [0.5, 1); for full agreement use identical_answers")
    people = respondents(data, items, weights)
    x, p = people.answers, len(people.items)
    need = required_answers(answered, p)
    few = (~np.isnan(x)).sum(axis=1) < need
    codes = _codes(x[~few])
    group, size, first = distinct_rows(codes)
    differ = most_different(p, agreement)
    matches, nearest, gap = _near(codes[first], size, differ)
    count, closest, agree = np.zeros(people.n), np.full(people.n, -1), np.full(people.n, np.nan)
    judged = np.flatnonzero(~few)
    count[judged] = size[group] - 1 + matches[group]
    other = np.where(nearest[group] >= 0, first[nearest[group]], -1)
    agree[judged] = 1 - gap[group] / p
    # Where there are copies, one of them is the closest: the first, or for the first itself the next.
    if len(judged):
        order = np.argsort(group, kind="stable")
        second = np.full(len(size), -1)
        starts = np.concatenate([[0], np.cumsum(size)[:-1]])
        twice = size > 1
        second[twice] = order[starts[twice] + 1]
        copied = twice[group]
        itself = np.arange(len(group)) == first[group]
        other[copied] = np.where(itself, second[group], first[group])[copied]
        agree[judged[copied]] = 1.0
        closest[judged] = np.where(other >= 0, judged[other], -1)
    found = count > 0
    details = pd.DataFrame(
        {
            "row": pd.Series(people.frame.index[found], dtype=object),
            "other": pd.Series(people.frame.index[closest[found]], dtype=object),
            "agreement": agree[found],
        }
    )
    remarks = list(_style(x, found))
    if differ == 0:
        remarks.append(f"with {p} items an agreement above {agreement:g} is full agreement")
    return flags(
        people,
        "near-identical answers",
        count,
        0.0,
        ">",
        statistic=f"other rows with agreement above {agreement:g}",
        rule=f"agrees with another row on more than {agreement:g} of {p} items",
        unjudged={f"with fewer than {need} of {p} answers": few},
        details=details,
        remarks=remarks,
    )


def _require_known(spare: str) -> None:
    if spare not in ("none", "first"):
        raise SpecError(f"spare={spare!r} is unknown; use 'none' or 'first'")


def _with_spare(
    people: Respondents, name: str, others: np.ndarray, codes: np.ndarray, spare: Spare, *, rule: str, **rest: Any
) -> Flags:
    """Flags for rows with others like them; the first of each group is passed over when it is to be spared."""
    if spare == "first":
        _, first = np.unique(codes, return_index=True)
        rule = f"{rule} before it"
        passed = np.zeros(people.n, dtype=bool)
        passed[first] = True
        others = np.where(passed, 0.0, others)
    return flags(people, name, others, 0.0, ">", rule=rule, **rest)


def _style(x: np.ndarray, found: np.ndarray) -> tuple[str, ...]:
    """A remark on rows found that give one answer to everything."""
    rows = x[found]
    if not len(rows):
        return ()
    straight = int((np.nanmax(rows, axis=1) == np.nanmin(rows, axis=1)).sum())
    if not straight:
        return ()
    return (
        f"{straight} of the rows flagged give one answer to everything: they agree in style, perhaps not by copying",
    )


def _codes(x: np.ndarray) -> np.ndarray:
    """Small whole numbers ``(n, p)`` that stand for the answers; a gap is an answer of its own."""
    columns = [np.unique(x[:, j], return_inverse=True)[1].reshape(-1) for j in range(x.shape[1])]
    most = max((int(c.max()) for c in columns if len(c)), default=0)
    kind = np.uint8 if most < 256 else np.uint32
    return np.ascontiguousarray(np.column_stack(columns).astype(kind))


def _near(rows: np.ndarray, size: np.ndarray, differ: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For distinct rows: how many rows differ from each on 1 to ``differ`` items, a nearest one (-1: none), its gap."""
    n = len(rows)
    matches, nearest, gap = np.zeros(n), np.full(n, -1), np.full(n, np.inf)
    if differ < 1:
        return matches, nearest, gap
    for a, b, apart in near_pairs(rows, differ):
        for one, two in ((a, b), (b, a)):
            np.add.at(matches, one, size[two])
            better = apart < gap[one]
            gap[one[better]], nearest[one[better]] = apart[better], two[better]
    return matches, nearest, gap
