"""Answers as numbers: what is checked before anything is computed from a frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import DataError, listed

if TYPE_CHECKING:
    import pandas as pd

# Squares and products of larger numbers overflow. SPSS writes -1.8e308 for no answer, Stata from 9e307 on.
LARGEST = 1e100


def as_items(items: Any) -> tuple[Any, ...]:
    """One column or several as a tuple; text is one name, never a row of letters.

    Examples
    --------
    >>> as_items("CUSCO"), as_items(["q1", "q2"]), as_items(3)
    (('CUSCO',), ('q1', 'q2'), (3,))
    """
    return tuple(items) if isinstance(items, Iterable) and not isinstance(items, str) else (items,)


def require_columns(frame: pd.DataFrame, names: Iterable[Any]) -> None:
    """Refuse names that are not columns of the frame.

    Raises
    ------
    DataError
        With all of them, and with the remedy where the columns are called by numbers and not by text.
    """
    # A list within the list is no name: it cannot be looked up.
    absent = [name for name in names if not isinstance(name, Hashable) or name not in frame.columns]
    if not absent:
        return
    columns = list(frame.columns)
    more = f" and {len(columns) - 12} more" if len(columns) > 12 else ""
    message = f"columns not in the data: {absent}; the data have {[str(c) for c in columns][:12]}{more}"
    if {str(c) for c in columns if not isinstance(c, str)} & {str(name) for name in absent}:
        message += ", some named by numbers: rename them with frame.columns = frame.columns.astype(str)"
    raise DataError(message)


def split_weights(frame: pd.DataFrame, weights: Any) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Items and weights apart, the weights checked.

    ``weights`` is ``None``, one number >= 0 per row, or the name of a column, which is then no item. A Series goes by
    its index, other sequences by position.

    Raises
    ------
    DataError
        If columns share a name, or weights are absent, text, missing, infinite, negative or of another length.
    """
    names = [str(c) for c in frame.columns]  # the column 1 and the column "1" would be one item
    twice = sorted({name for name, k in Counter(names).items() if k > 1})
    if twice:
        raise DataError(f"columns share a name: {twice}; rename them")
    if weights is None:
        return frame, None
    label = "the weights"
    if isinstance(weights, str):
        if weights not in frame.columns:
            raise DataError(f"the weight column {weights!r} is not in the data")
        label, values, frame = f"the weights {weights!r}", frame[weights], frame.drop(columns=weights)
    else:
        values = aligned(weights, frame)
    try:
        w = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{label} are not numbers") from None
    if w.shape != (len(frame),):
        raise DataError(f"{label} have shape {w.shape}; the data have {len(frame)} rows")
    bad = np.flatnonzero(~np.isfinite(w) | (w < 0))
    if len(bad):
        raise DataError(f"{label} are missing, infinite or negative in {len(bad)} rows: {_rows(frame, bad)}")
    return frame, w


def require_numbers(frame: pd.DataFrame) -> None:
    """Refuse columns that are not real numbers; text that looks like a number is text.

    Raises
    ------
    DataError
        With every offending column and its first rows.
    """
    import pandas as pd
    from pandas.api.types import is_complex_dtype, is_numeric_dtype

    problems = []
    # Each type is asked once: a questionnaire has many columns of few types.
    unusable = {dtype for dtype in set(frame.dtypes) if not is_numeric_dtype(dtype) or is_complex_dtype(dtype)}
    texts = [column for column, dtype in frame.dtypes.items() if dtype in unusable] if unusable else []
    for column in texts:
        values = frame[column]
        text = np.flatnonzero([isinstance(v, str) for v in values])
        other = np.flatnonzero([not isinstance(v, (str, int, float, np.number)) and not _is_missing(v) for v in values])
        for at, what in ((text, "text"), (other, "dates or other objects")):
            if len(at):
                said = f"column {str(column)!r} holds {what} in {len(at)} rows: {_rows(frame, at)}"
                problems.append(f"{said}, e.g. {str(values.iloc[at[0]])!r}")
        if len(text) and not len(other) and pd.to_numeric(values.iloc[text], errors="coerce").notna().all():
            problems[-1] += f"; all of it numbers: frame[{column!r}] = pd.to_numeric(frame[{column!r}])"
        if not len(text) and not len(other) and values.dtype != object and values.notna().any():
            problems.append(f"column {str(column)!r} is of type {values.dtype}")
    if problems:
        raise DataError(
            listed(problems, "items must be numbers; map labels to numbers or declare missing codes"), problems
        )
    if not len(frame.columns):
        raise DataError("no items given")


def require_possible(data: Any, items: Iterable[Any]) -> None:
    """Refuse a survey whose impossible answers were kept for cleaning while ``items`` still hold some of them.

    Whatever takes answers from the frame of a survey asks first; data of other kinds have no study that could say so.

    Raises
    ------
    DataError
        With the items, the rows and the remedy.

    Examples
    --------
    >>> import csi_lab as csi
    >>> require_possible(csi.load_survey("mobile"), ["CUSA1"])
    """
    import pandas as pd

    check = None if isinstance(data, pd.DataFrame) else getattr(data, "require_possible", None)
    if check is not None:
        check(list(items))


def require_finite(frame: pd.DataFrame, x: np.ndarray) -> None:
    """Refuse a numeric frame whose values ``x`` are infinite or too large to be squared.

    Raises
    ------
    DataError
        With every column and its first rows.

    Examples
    --------
    >>> import pandas as pd
    >>> require_finite(pd.DataFrame({"q1": [7.0, None]}), np.array([[7.0], [np.nan]]))
    """
    if (np.abs(x) > LARGEST).any():
        raise DataError(infinite_values(frame))


def infinite_values(frame: pd.DataFrame) -> str:
    """Where a numeric frame holds infinite values or numbers too large to be squared, as a message."""
    size = {str(c): np.abs(frame[c].to_numpy(dtype=float, na_value=np.nan)) for c in frame.columns}
    places = "; ".join(
        f"{c!r} in rows {_rows(frame, np.flatnonzero(s > LARGEST))}" for c, s in size.items() if (s > LARGEST).any()
    )
    finite = any((s > LARGEST)[np.isfinite(s)].any() for s in size.values())
    beyond = f" or beyond {LARGEST:g}, which some software writes for no answer" if finite else ""
    return f"infinite values{beyond}: {places}; correct them or mark them as missing"


def aligned(values: Any, data: pd.DataFrame | pd.Series, what: str = "the weights") -> Any:
    """One value per row in the order of the rows: a Series, or adjusted weights, by its index, others as they are.

    Raises
    ------
    DataError
        If a Series has another index than the data, so that which value belongs to whom is not known.

    Examples
    --------
    >>> import pandas as pd
    >>> aligned(pd.Series([2.0, 1.0], index=["b", "a"]), pd.Series([7, 9], index=["a", "b"])).tolist()
    [1.0, 2.0]
    """
    if hasattr(values, "aligned"):
        return values.aligned(data)
    if not hasattr(values, "reindex") or len(values) != len(data) or values.index.equals(data.index):
        return values
    if not values.index.is_unique or set(values.index) != set(data.index):
        raise DataError(f"{what} are a Series with another index than the data; align them, or give .to_numpy()")
    return values.reindex(data.index)


def _is_missing(value: object) -> bool:
    import pandas as pd

    return value is None or value is pd.NA or value is pd.NaT or value != value


def _rows(frame: pd.DataFrame, at: np.ndarray, show: int = 5) -> str:
    """Labels of some rows for a message."""
    labels = ", ".join(str(frame.index[i]) for i in at[:show])
    return labels + (f", … (+{len(at) - show})" if len(at) > show else "")
