"""Who is judged: the rows that stand for somebody, with their answers as numbers."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_finite, require_numbers, split_weights
from csi_lab.errors import DataError, SpecError
from csi_lab.settings import is_number

if TYPE_CHECKING:
    import pandas as pd

Bounds = Mapping[str, tuple[float, float]] | tuple[float, float]


@dataclass(frozen=True, eq=False)
class Respondents:
    """The rows of a sample whose weight is above zero.

    Attributes
    ----------
    frame
        Those rows, all columns.
    items
        The items that are looked at.
    nobody
        Rows of weight zero, which stand for nobody.
    """

    frame: pd.DataFrame
    items: tuple[str, ...]
    nobody: int

    @property
    def n(self) -> int:
        """Number of respondents."""
        return len(self.frame)

    @property
    def answers(self) -> np.ndarray:
        """``(n, p)`` answers, NaN where there is none.

        Raises
        ------
        DataError
            If items hold text or infinite numbers.
        """
        chosen = self.frame[list(self.items)]
        require_numbers(chosen)
        x = np.array(chosen.to_numpy(dtype=float, na_value=np.nan), order="C")
        require_finite(chosen, x)
        return x


def respondents(data: Any, items: Sequence[str] | None, weights: Any = None) -> Respondents:
    """The rows of ``data`` that stand for somebody.

    Parameters
    ----------
    data
        A survey (its design weights are used) or a DataFrame with unique row labels.
    items
        Default: the items of a survey, all columns but the weights of a DataFrame.
    weights
        As in :func:`csi_lab.answers.split_weights`; rows of weight zero are left out.

    Raises
    ------
    DataError
        If data are no table, row labels or columns occur twice, columns are absent, or nobody is left.
    SpecError
        If an item is named twice or none is named.

    Examples
    --------
    >>> import pandas as pd
    >>> people = respondents(pd.DataFrame({"q1": [5, 4], "w": [1, 0]}), None, "w")
    >>> people.items, people.n, people.nobody
    (('q1',), 1, 1)
    """
    frame = table_of(data)
    design = stated(data, "design")
    if design is not None:
        if weights is not None:
            raise SpecError("a survey has its own weights; give weights= with a DataFrame only")
        weights = design.weights
    rest, w = split_weights(frame, weights)
    if items is None:
        items = list(rest.columns) if design is None else list(data.items)
    chosen = column_names(items)
    if not chosen:
        raise SpecError("no items given")
    twice = sorted({str(i) for i in chosen if chosen.count(i) > 1})
    if twice:
        raise SpecError(f"items named twice: {twice}")
    require_columns(frame, chosen)
    living = frame if w is None or (w > 0).all() else frame[w > 0]
    if not len(living):
        raise DataError("nobody to judge: " + ("the data have no rows" if not len(frame) else "all weights are zero"))
    return Respondents(living, tuple(chosen), len(frame) - len(living))


def table_of(data: Any) -> pd.DataFrame:
    """The frame of a survey, or the DataFrame itself, with unique row labels and column names.

    Raises
    ------
    DataError
        If it is no table, or labels occur twice or have several levels.

    Examples
    --------
    >>> import pandas as pd
    >>> table_of(pd.DataFrame({"q1": [5, 4]})).shape
    (2, 1)
    """
    import pandas as pd

    held = stated(data, "frame")
    frame = data if held is None else held
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"need a survey or a DataFrame, got {type(data).__name__}")
    require_one_level(frame)
    twice = sorted({str(c) for c in frame.columns[frame.columns.duplicated()]})
    if twice:
        raise DataError(f"columns share a name: {twice}; rename them")
    if frame.index.nlevels > 1:
        raise DataError("row labels have several levels; a log needs one label per row: frame.reset_index()")
    if not frame.index.is_unique:
        labels = frame.index[frame.index.duplicated()].unique()
        shown = ", ".join(map(str, labels[:5])) + (", …" if len(labels) > 5 else "")
        raise DataError(f"row labels occur twice: {shown}; a log needs unique ones: frame.reset_index(drop=True)")
    return frame


def require_one_level(frame: pd.DataFrame) -> None:
    """Refuse column names with several levels, since an item is called by one name.

    Raises
    ------
    DataError
        With the remedy.

    Examples
    --------
    >>> import pandas as pd
    >>> require_one_level(pd.DataFrame({"q1": [5, 4]}))
    """
    if frame.columns.nlevels > 1:
        raise DataError(
            "column names have several levels; give each column one name: "
            "frame.columns = ['_'.join(map(str, name)) for name in frame.columns]"
        )


def column_names(given: Any, role: str = "items") -> list[Any]:
    """Names of columns as a list, in the order given; one name may stand alone.

    Raises
    ------
    SpecError
        If what is given has no order (a set, a mapping) or holds something that is no name.

    Examples
    --------
    >>> column_names("q1"), column_names(("q2", "q1"))
    (['q1'], ['q2', 'q1'])
    """
    if isinstance(given, (set, frozenset, Mapping)):
        raise SpecError(f"{role} must be a list of column names, which has an order; got {type(given).__name__}")
    names = [given] if isinstance(given, str) or not np.iterable(given) else list(given)
    odd = [name for name in names if not isinstance(name, Hashable)]
    if odd:
        raise SpecError(f"{role} must be a list of column names, got {odd[0]!r} among them")
    return names


def one_column(given: Any, role: str) -> Any:
    """The name of a single column.

    Raises
    ------
    SpecError
        If several names or none are given.

    Examples
    --------
    >>> one_column("seconds", "column")
    'seconds'
    """
    if given is None or not isinstance(given, Hashable):
        raise SpecError(f"{role}={given!r} must be the name of one column")
    return given


def named_blocks(given: Any, role: str) -> dict[str, list[Any]]:
    """Blocks of columns by name: a mapping of each name to its columns.

    Raises
    ------
    SpecError
        If something else is given.

    Examples
    --------
    >>> named_blocks({"Quality": ("q1", "q2"), "Value": "q3"}, "constructs")
    {'Quality': ['q1', 'q2'], 'Value': ['q3']}
    """
    if not isinstance(given, Mapping):
        example = f"{role}={{'Quality': ['q1', 'q2', 'q3']}}"
        raise SpecError(f"{role} must map each name to its columns, e.g. {example}; got {type(given).__name__}")
    return {name: column_names(block, f"{role}[{name!r}]") for name, block in given.items()}


def stated(data: Any, what: str) -> Any:
    """An attribute of a survey; ``None`` for a DataFrame, whose columns may bear any name.

    Examples
    --------
    >>> import pandas as pd
    >>> stated(pd.DataFrame({"bounds": [1]}), "bounds") is None
    True
    """
    import pandas as pd

    return None if isinstance(data, pd.DataFrame) else getattr(data, what, None)


def require_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse names that are not in the data, all at once.

    Raises
    ------
    DataError
        With the absent names and what was perhaps meant.

    Examples
    --------
    >>> import pandas as pd
    >>> require_columns(pd.DataFrame({"CUSA1": [1]}), ["CUSA1"])
    """
    absent = [name for name in dict.fromkeys(names) if name not in frame.columns]
    if absent:
        known = [str(c) for c in frame.columns]
        near = difflib.get_close_matches(str(absent[0]), known, n=1)
        shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
        hint = f"did you mean {near[0]!r}?" if near else f"the data have {shown}"
        raise DataError(f"columns not in the data: {absent}; {hint}")


def limits(data: Any, bounds: Bounds | None, items: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest possible answer ``(p,)`` of each item, from ``bounds`` or else from a survey.

    Raises
    ------
    SpecError
        If bounds are absent or not low < high, all offenders named.

    Examples
    --------
    >>> limits(None, (1, 10), ["q1", "q2"])[1].tolist()
    [10.0, 10.0]
    """
    given = stated(data, "bounds") if bounds is None else bounds
    if given is None:
        raise SpecError("bounds are not known; give bounds=(lowest, highest) or one pair for each item")
    if isinstance(given, Mapping):
        absent = [i for i in items if i not in given]
        if absent:
            raise SpecError(f"no bounds for items: {absent}; give the lowest and highest possible answer of each")
        pairs = [given[i] for i in items]
    else:
        pairs = [given] * len(items)
    try:
        low, high = np.array([(float(a), float(b)) for a, b in pairs]).T
    except (TypeError, ValueError):
        raise SpecError(f"bounds must be pairs (lowest, highest), got {given!r}") from None
    wrong = [i for i, a, b in zip(items, low, high, strict=True) if not a < b]
    if wrong:
        raise SpecError(f"bounds need low < high; not so for {wrong}")
    return low, high


def require_one_scale(data: Any, items: Sequence[str]) -> None:
    """Refuse items of a survey that were answered on different scales, where answers are compared across items.

    Raises
    ------
    SpecError
        With the items of each scale.

    Examples
    --------
    >>> import csi_lab as csi
    >>> require_one_scale(csi.load_survey("mobile"), ["CUSA1", "CUSA2"])
    """
    known = stated(data, "bounds") or {}
    scales: dict[tuple[float, float], list[str]] = {}
    for item in items:
        if item in known:
            scales.setdefault(known[item], []).append(item)
    if len(scales) > 1:
        said = "; ".join(f"{low:g} to {high:g}: {', '.join(names)}" for (low, high), names in scales.items())
        raise SpecError(f"items on different scales cannot be compared with each other ({said}); choose those of one")


def as_answered(data: Any, people: Respondents) -> np.ndarray:
    """Answers ``(n, p)`` as the respondents gave them: the reversed items of a survey are turned back.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> as_answered(survey, respondents(survey, ["CUSA1"])).shape
    (250, 1)
    """
    x = people.answers
    study = stated(data, "study")
    for j, item in enumerate(people.items):
        if study is not None and item in study.items and study.items[item].reversed:
            low, high = data.bounds[item]
            # Impossible answers stay as they are written, in the survey and here.
            possible = (x[:, j] >= low) & (x[:, j] <= high)
            x[possible, j] = low + high - x[possible, j]
    return x


def required_answers(share: float, p: int) -> int:
    """How many of p answers a respondent must have given to be judged: a share of them, rounded up, one at least.

    Raises
    ------
    SpecError
        If the share is outside 0 to 1.

    Examples
    --------
    >>> required_answers(0.5, 7)
    4
    """
    if not is_number(share) or not 0 <= share <= 1:
        raise SpecError(f"answered={share!r} must be a share of the items, 0 to 1")
    return max(1, int(np.ceil(round(share * p, 9))))
