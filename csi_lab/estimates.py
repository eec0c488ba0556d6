"""The one shape of a table of estimates: a row per quantity, a column ``estimate``, or a column per draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def estimate_table(values: np.ndarray, index: Sequence[object], names: Sequence[str]) -> pd.DataFrame:
    """A table of ``k`` estimates.

    Parameters
    ----------
    values
        ``(k,)``, or ``(..., k)`` when the moments had leading axes.
    index
        The k labels; tuples make several levels.
    names
        Names of the levels.

    Returns
    -------
    DataFrame
        Column ``estimate``; with leading axes one column per draw, numbered from 0.

    Examples
    --------
    >>> estimate_table(np.array([0.5, 0.2]), [("Image", "Loyalty"), ("Value", "Loyalty")], ["source", "target"])
                    estimate
    source target
    Image  Loyalty       0.5
    Value  Loyalty       0.2
    """
    import pandas as pd

    if len(names) > 1:
        rows: pd.Index = pd.MultiIndex.from_tuples(list(index), names=list(names))
    else:
        rows = pd.Index(list(index), name=names[0])
    if values.ndim == 1:
        return pd.DataFrame({"estimate": values}, index=rows)
    flat = values.reshape(-1, values.shape[-1]).T
    return pd.DataFrame(flat, index=rows, columns=pd.RangeIndex(flat.shape[1], name="draw"))
