"""Weights: from selection probabilities through non-response to known population totals, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_columns
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.sampling.margins import as_columns, numbers_in, row_labels
from csi_lab.sampling.matching import design_weights, frame_of
from csi_lab.sampling.weight.adjustment import AdjustedWeights
from csi_lab.sampling.weight.known_totals import post_stratify, rake
from csi_lab.sampling.weight.nonresponse import nonresponse_cells, nonresponse_propensity
from csi_lab.sampling.weight.numeric_totals import calibrate
from csi_lab.sampling.weight.response_model import PropensityFit, propensity
from csi_lab.sampling.weight.trimming import trim

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AdjustedWeights",
    "PropensityFit",
    "base",
    "calibrate",
    "design_effect",
    "effective_n",
    "nonresponse_cells",
    "nonresponse_propensity",
    "post_stratify",
    "propensity",
    "rake",
    "trim",
]


def base(frame: Any, probability: str | Sequence[str]) -> pd.Series:
    r"""Base weights :math:`d_k = 1/\pi_k`; probabilities of several stages are multiplied.

    Parameters
    ----------
    frame
        One row per sampled unit; also a survey or a drawn :class:`~csi_lab.sampling.select.sample.Sample`.
    probability
        Column of inclusion probabilities, 0 < pi <= 1, or one column per stage.

    Returns
    -------
    Series
        ``weight``, by the frame's index.

    Raises
    ------
    DataError
        If a column is absent, holds text, or values missing or not in (0, 1].

    References
    ----------
    .. [1] Horvitz, D. G., & Thompson, D. J. (1952). Journal of the American Statistical Association, 47, 663-685.

    Examples
    --------
    >>> import pandas as pd
    >>> base(pd.DataFrame({"town": [0.1, 0.1], "person": [0.5, 0.25]}), ["town", "person"]).tolist()
    [20.0, 40.0]
    """
    import pandas as pd

    frame = frame_of(frame)
    columns = as_columns(probability)
    if not columns:
        raise SpecError("name the column of inclusion probabilities")
    require_columns(frame, columns)
    product, problems = np.ones(len(frame)), []
    for column in columns:
        values = numbers_in(frame, column)
        if values is None:
            problems.append(f"column {column!r} holds text; inclusion probabilities are numbers in (0, 1]")
            continue
        wrong = np.flatnonzero(~((values > 0) & (values <= 1)))
        if len(wrong):
            problems.append(
                f"column {column!r}: {len(wrong)} probabilities missing or not in (0, 1] in rows "
                f"{row_labels(frame, wrong)}"
            )
        product = product * values
    if problems:
        raise DataError(listed(problems, "base weights cannot be formed"), problems)
    return pd.Series(1 / product, index=frame.index, name="weight")


def effective_n(weights: Any) -> float:
    r"""Kish's effective sample size :math:`(\sum w)^2 / \sum w^2`.

    Parameters
    ----------
    weights
        Array ``(n,)`` of numbers >= 0, adjusted weights, or a survey or drawn sample whose design names its weights.

    Raises
    ------
    DataError
        If weights are not numbers, missing, negative or all zero.

    References
    ----------
    .. [1] Kish, L. (1965). Survey Sampling. Wiley, sec. 11.7.

    Examples
    --------
    >>> effective_n([1, 1, 2])
    2.6666666666666665
    """
    w = _weights(weights)
    return float(w.sum() ** 2 / (w**2).sum())


def design_effect(weights: Any) -> float:
    r"""Kish's design effect of unequal weights, :math:`n \sum w^2 / (\sum w)^2 = 1 + \mathrm{CV}^2(w)`.

    Rows of weight 0 stand for nobody and do not count in n.

    Parameters
    ----------
    weights
        As in :func:`effective_n`.

    Raises
    ------
    DataError
        As in :func:`effective_n`.

    References
    ----------
    .. [1] Kish, L. (1965). Survey Sampling. Wiley, sec. 11.7.

    Examples
    --------
    >>> design_effect([1, 1, 2])
    1.125
    """
    w = _weights(weights)
    return float(len(w) * (w**2).sum() / w.sum() ** 2)


def _weights(weights: Any) -> np.ndarray:
    """The weights that are not 0, checked; adjusted weights may be negative (linear calibration)."""
    if hasattr(weights, "frame"):
        column = design_weights(weights)
        if column is None:
            raise SpecError("the survey or sample has no design weights; give the weights themselves")
        weights = frame_of(weights)[column]
    try:
        w = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        raise DataError("weights are not numbers") from None
    if w.ndim != 1:
        raise DataError(f"weights need one number per row; got shape {w.shape}")
    if not np.isfinite(w).all():
        raise DataError(f"weights are missing or infinite in {int((~np.isfinite(w)).sum())} of {len(w)} rows")
    if not isinstance(weights, AdjustedWeights) and (w < 0).any():
        raise DataError(f"{int((w < 0).sum())} weights are negative")
    if not w.sum() > 0:
        raise DataError("the weights are all zero")
    return w[w != 0]
