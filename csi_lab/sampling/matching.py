"""Which rows weights belong to: the row labels, and the columns that the weights were made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.margins import row_labels

if TYPE_CHECKING:
    import pandas as pd

# Numbers that differ by a smaller share are the same: a table written to text and read again may lose the last digit.
SAME = 1e-9


def frame_of(data: Any) -> Any:
    """The DataFrame of a survey or a drawn sample, or the DataFrame itself.

    Raises
    ------
    DataError
        If it is none of these.

    Examples
    --------
    >>> import pandas as pd
    >>> len(frame_of(pd.DataFrame({"sex": ["f", "m"]})))
    2
    """
    frame = getattr(data, "frame", data)
    if not hasattr(frame, "columns"):
        raise DataError(f"need a DataFrame, a survey or a Sample, got {type(data).__name__}")
    return frame


def design_weights(data: Any) -> str | None:
    """The column of weights that the design of a survey or a drawn sample names; ``None`` without one.

    Raises
    ------
    SpecError
        If the design has population sizes instead, from which other weights than equal ones would follow.

    Examples
    --------
    >>> import pandas as pd
    >>> design_weights(pd.DataFrame({"w": [1.0]})) is None
    True
    """
    design = getattr(data, "design", None) if getattr(data, "random", True) else None
    if not isinstance(design, Design):
        return None
    if design.weights is None and design.population is not None:
        raise SpecError(
            f"the design has population sizes ({design}) and no column of weights; name the weights to be adjusted "
            "(weight.base makes them from probabilities)"
        )
    return design.weights


def remembered(frame: pd.DataFrame, columns: Iterable[Any], before: pd.DataFrame | None = None) -> pd.DataFrame:
    """The columns that weights were made from, by the frame's row labels, beside those of earlier steps.

    Examples
    --------
    >>> import pandas as pd
    >>> list(remembered(pd.DataFrame({"sex": ["f"], "w": [2.0], "y": [1]}), ["w", "sex"]).columns)
    ['w', 'sex']
    """
    known = [] if before is None else list(before.columns)
    new = [c for c in dict.fromkeys(columns) if c in frame.columns and c not in known]
    added = frame[new].copy()
    if before is None:
        return added
    joined = before.copy()
    for c in new:
        # By position: the weights before were matched to this frame.
        joined[c] = added[c].array
    return joined


def order_of(rows: pd.DataFrame, frame: pd.DataFrame) -> np.ndarray | None:
    """Positions of the remembered rows in the order of a frame; ``None`` when it is the same.

    Parameters
    ----------
    rows
        Columns that the weights were made from, by row label.
    frame
        The rows that the weights are to be used with. Columns that it no longer has are not compared.

    Raises
    ------
    DataError
        If the frame has other rows, labels that cannot be matched, or other values in the columns.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"sex": ["f", "m", "f"]}, index=[7, 8, 9])
    >>> order_of(rows, rows.sort_values("sex", ascending=False)).tolist()
    [1, 0, 2]
    """
    if len(rows) != len(frame):
        raise DataError(
            f"the adjusted weights belong to {len(rows)} rows; the data have {len(frame)} rows. For a part of the "
            "sample give all rows and by=, because a calibration ties all rows together; or make the weights again"
        )
    order = None
    if not rows.index.equals(frame.index):
        order = _matched(rows, frame)
        rows = rows.iloc[order]
    off = {c: at for c in rows.columns if c in frame.columns and len(at := _unlike(rows[c], frame[c]))}
    if off:
        shown = "; ".join(f"{c!r} in {len(at)} rows: {row_labels(frame, at)}" for c, at in off.items())
        raise DataError(
            f"the columns from which the weights were made hold other values now ({shown}): were rows put in another "
            "order and their labels reset, or columns changed? Keep the row labels, restore the columns, or make the "
            "weights again from these rows"
        )
    return order


def _matched(rows: pd.DataFrame, frame: pd.DataFrame) -> np.ndarray:
    """Position of every row of the frame among the remembered rows, by label."""
    twice = [name for name, index in (("weights", rows.index), ("data", frame.index)) if not index.is_unique]
    if twice:
        raise DataError(
            f"the data have other row labels than the weights, and labels occur twice in the {' and the '.join(twice)}"
            ", so that rows cannot be matched; give the rows unique labels before the weights are made"
        )
    place = np.asarray(rows.index.get_indexer(frame.index))
    if (place < 0).any():
        foreign = np.flatnonzero(place < 0)
        raise DataError(
            f"{len(foreign)} rows of the data have labels that the weights do not have: {row_labels(frame, foreign)}; "
            "keep the row labels of the frame from which the weights were made (merge resets them), or make the "
            "weights again from these rows"
        )
    return place


def _unlike(before: pd.Series, now: pd.Series) -> np.ndarray:
    """Positions where two columns differ; missing values are alike."""
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(before) and is_numeric_dtype(now):
        a, b = (s.to_numpy(dtype=float, na_value=np.nan) for s in (before, now))
        return np.flatnonzero(~np.isclose(a, b, rtol=SAME, atol=0, equal_nan=True))
    known, known_now = before.notna().to_numpy(), now.notna().to_numpy()
    off, both = known != known_now, known & known_now
    off[both] = (before.astype(object).to_numpy()[both] != now.astype(object).to_numpy()[both]).astype(bool)
    return np.flatnonzero(off)
