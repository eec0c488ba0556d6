"""Whether data can be used for what is asked: a simple sample of complete answers, rows, items that vary."""

from __future__ import annotations

from typing import Any

import numpy as np

from csi_lab.errors import DataError, SpecError
from csi_lab.moments import Moments


def against_formulas(data: Any, moments: Moments) -> str:
    """Why a formula for simple random samples of complete answers does not hold; ``""`` when it does.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [1.0, 2, 3], "q2": [1.0, 3, None]})
    >>> against_formulas(frame, Moments.from_frame(frame, missing="mean"))
    'missing answers were completed'
    """
    design = getattr(data, "design", None)
    if moments.weighted or (design is not None and not design.simple):
        return "the sample has weights, strata or clusters"
    return "" if moments.observed else "missing answers were completed"


def require_rows(missing: str, what: str) -> None:
    """Refuse treatments of missing answers that give moments but no rows.

    Raises
    ------
    SpecError
        If ``missing`` is neither ``"listwise"`` nor ``"raise"``.

    Examples
    --------
    >>> require_rows("listwise", "prediction")
    """
    if missing in ("em", "mean"):
        raise SpecError(
            f"missing={missing!r} estimates moments and leaves no rows, which {what} needs; complete the answers first "
            "(csi_lab.cleaning.impute, or a single treatment there) or use missing='listwise'"
        )
    if missing not in ("listwise", "raise"):
        raise SpecError(f"missing={missing!r} is unknown; use 'listwise' or 'raise'")


def require_variation(moments: Moments) -> None:
    """Refuse single-survey moments in which an item does not vary, all offenders named.

    Raises
    ------
    DataError
        If an item is constant or fewer than two rows are complete.

    Examples
    --------
    >>> import pandas as pd
    >>> require_variation(Moments.from_frame(pd.DataFrame({"q1": [1, 2], "q2": [3, 3]})))
    Traceback (most recent call last):
    csi_lab.errors.DataError: items do not vary in the 2 rows used: ['q2']; leave them out of the model
    """
    if np.min(moments.n) < 2:
        raise DataError(f"only {np.min(moments.n)} complete row; variances need two or more")
    flat = [name for name, constant in zip(moments.names, moments.constant, strict=True) if constant]
    if flat:
        raise DataError(f"items do not vary in the {moments.n} rows used: {flat}; leave them out of the model")
