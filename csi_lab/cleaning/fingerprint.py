"""What rows held when they were judged, as numbers: so that findings and logs are not used on other rows later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def fingerprint(frame: pd.DataFrame) -> pd.DataFrame:
    """One number for each cell, the same for the same content whatever the type of the column; 0 for an empty cell.

    Examples
    --------
    >>> import pandas as pd
    >>> marks = fingerprint(pd.DataFrame({"q1": [7, 8], "q2": ["7", None]}))
    >>> bool(marks.loc[0, "q1"] == fingerprint(pd.DataFrame({"q1": [7.0, None]})).loc[0, "q1"]), int(marks.loc[1, "q2"])
    (True, 0)
    """
    import pandas as pd

    return pd.DataFrame({name: _marks(frame[name]) for name in frame.columns}, index=frame.index)


def changed_rows(marks: pd.DataFrame, frame: pd.DataFrame, emptied: pd.DataFrame | None = None) -> pd.Index:
    """Labels of the rows that hold something else now than their fingerprint says.

    Rows and columns that the frame does not hold are passed over, and so are cells of ``emptied`` (``row``, ``item``)
    that are empty now.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7, 8, 9]})
    >>> changed_rows(fingerprint(frame), frame[::-1].reset_index(drop=True)).tolist()
    [0, 2]
    """
    rows = marks.index.intersection(frame.index)
    columns = [name for name in marks.columns if name in frame.columns]
    if not len(rows) or not columns:
        return rows[:0]
    now = fingerprint(frame.loc[rows, columns])
    differ = now.to_numpy() != marks.loc[rows, columns].to_numpy()
    if emptied is not None:
        for item, part in emptied.groupby("item", sort=False):
            if item in columns:
                j = columns.index(item)
                differ[:, j] &= ~(rows.isin(list(part["row"])) & (now[item] == 0).to_numpy())
    return rows[differ.any(axis=1)]


def _marks(column: pd.Series) -> np.ndarray:
    import pandas as pd

    found = np.zeros(len(column), dtype=np.uint64)
    there = column.notna().to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(column.dtype):
        # Zero has two signs, and they are the same answer.
        found[there] = pd.util.hash_array(column[there].to_numpy(dtype=float) + 0.0)
        return found
    cells = column[there].to_numpy(dtype=object)
    number = np.array([isinstance(v, (bool, int, float, np.number, np.bool_)) for v in cells], dtype=bool)
    made = np.zeros(len(cells), dtype=np.uint64)
    if number.any():
        made[number] = pd.util.hash_array(cells[number].astype(float) + 0.0)
    if not number.all():
        made[~number] = pd.util.hash_array(np.array([str(v) for v in cells[~number]], dtype=object), categorize=False)
    found[there] = made
    return found
