"""Deciding by several criteria: weights that follow from the scores, the weighted sum, and TOPSIS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.errors import DataError, EstimationError, SpecError, listed

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["sum", "topsis"]
METHODS = {"sum": "weighted sum", "topsis": "TOPSIS"}
Rule = Literal["product", "mean"]


def weighted_sum(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    r"""Weighted sums :math:`\sum_j w_j x_{ij}`.

    Parameters
    ----------
    scores
        ``(c, m)``: c criteria, m alternatives; higher is better.
    weights
        ``(..., c)``.

    Returns
    -------
    ndarray
        ``(..., m)``.

    Examples
    --------
    >>> weighted_sum(np.array([[3, 5], [4, 1]]), np.array([0.5, 0.5])).tolist()
    [3.5, 3.0]
    """
    return np.asarray(weights, dtype=float) @ np.asarray(scores, dtype=float)


def topsis(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    r"""Closeness to the ideal alternative.

    .. math:: v_{ij} = w_j \frac{x_{ij}}{\sqrt{\sum_i x_{ij}^2}}, \qquad C_i = \frac{d_i^-}{d_i^+ + d_i^-}

    with :math:`d_i^+` and :math:`d_i^-` the distances to the best and the worst value of every criterion.

    Parameters
    ----------
    scores
        ``(c, m)``, higher is better, 0 or more.
    weights
        ``(..., c)``.

    Returns
    -------
    ndarray
        ``(..., m)`` between 0 and 1; NaN where the alternatives do not differ on any criterion with weight.

    References
    ----------
    .. [1] Hwang, C. L., & Yoon, K. (1981). Multiple Attribute Decision Making. Springer.

    Examples
    --------
    >>> topsis(np.array([[3.0, 5.0], [4.0, 1.0]]), np.array([0.5, 0.5])).round(3).tolist()
    [0.68, 0.32]
    """
    x = np.asarray(scores, dtype=float)
    # Closeness knows no units; without them, squares of any scores have a value.
    peak = x.max(axis=-1, keepdims=True)
    x = np.divide(x, peak, out=np.zeros_like(x), where=peak > 0)
    length = np.sqrt((x**2).sum(axis=-1, keepdims=True))
    v = np.asarray(weights, dtype=float)[..., None] * np.divide(x, length, out=np.zeros_like(x), where=length > 0)
    to_best = np.sqrt(((v - v.max(axis=-1, keepdims=True)) ** 2).sum(axis=-2))
    to_worst = np.sqrt(((v - v.min(axis=-1, keepdims=True)) ** 2).sum(axis=-2))
    both = to_best + to_worst
    return np.divide(to_worst, both, out=np.full_like(both, np.nan), where=both > 0)


RULES = {"sum": weighted_sum, "topsis": topsis}


def entropy_weights(matrix: pd.DataFrame) -> pd.Series:
    r"""Weights by how much the alternatives differ in Shannon's entropy.

    .. math:: p_{ij} = \frac{x_{ij}}{\sum_i x_{ij}}, \quad e_j = -\frac{\sum_i p_{ij} \ln p_{ij}}{\ln m}, \quad
        w_j = \frac{1 - e_j}{\sum_j (1 - e_j)}

    Parameters
    ----------
    matrix
        One row per criterion, one column per alternative; scores of 0 or more, higher is better.

    Returns
    -------
    Series
        Weight per criterion, adding up to 1.

    Raises
    ------
    DataError
        If scores are absent, text or negative.
    EstimationError
        If no criterion tells the alternatives apart.

    References
    ----------
    .. [1] Zeleny, M. (1982). Multiple Criteria Decision Making, ch. 6. McGraw-Hill.

    Examples
    --------
    >>> from csi_lab.sampling.mode import criteria
    >>> float(entropy_weights(criteria().scores).round(4)["speed"])
    0.1622
    """
    x = require_scores(matrix)
    total = x.sum(axis=1, keepdims=True)
    if (total == 0).any():
        empty = [str(matrix.index[j]) for j in np.flatnonzero(total[:, 0] == 0)]
        raise DataError(f"all scores are 0 in {empty}; entropy has no value there")
    p = x / total
    surprise = np.where(p > 0, -p * np.log(np.where(p > 0, p, 1.0)), 0.0)
    return _normalised(1 - surprise.sum(axis=1) / np.log(x.shape[1]), matrix)


def critic_weights(matrix: pd.DataFrame) -> pd.Series:
    r"""CRITIC weights: spread of each criterion times its disagreement with the others.

    .. math:: C_j = s_j \sum_k (1 - r_{jk}), \qquad w_j = C_j / \sum_j C_j

    on scores brought to 0 to 1 per criterion; s with divisor m - 1.

    Parameters
    ----------
    matrix
        As in :func:`entropy_weights`.

    Returns
    -------
    Series

    Raises
    ------
    DataError
        As there.
    EstimationError
        If a criterion does not differ between the alternatives; all are named.

    References
    ----------
    .. [1] Diakoulaki, D., Mavrotas, G., & Papayannakis, L. (1995). Determining objective weights in multiple criteria
       problems: the CRITIC method. Computers & Operations Research, 22(7), 763-770.

    Examples
    --------
    >>> from csi_lab.sampling.mode import criteria
    >>> float(critic_weights(criteria().scores).round(4)["speed"])
    0.1179
    """
    x = require_scores(matrix)
    reach = np.ptp(x, axis=1)
    flat = [str(matrix.index[j]) for j in np.flatnonzero(reach == 0)]
    if flat:
        raise EstimationError(f"criteria without any difference between the alternatives: {flat}; leave them out")
    scaled = (x - x.min(axis=1, keepdims=True)) / reach[:, None]
    disagreement = (1 - np.corrcoef(scaled)).sum(axis=1) if len(x) > 1 else np.ones(1)
    return _normalised(scaled.std(axis=1, ddof=1) * disagreement, matrix)


def variation_weights(matrix: pd.DataFrame) -> pd.Series:
    r"""Weights proportional to the coefficient of variation of each criterion, :math:`w_j \propto s_j / \bar x_j`.

    Parameters
    ----------
    matrix
        As in :func:`entropy_weights`.

    Returns
    -------
    Series

    Raises
    ------
    DataError, EstimationError
        As there.

    Examples
    --------
    >>> from csi_lab.sampling.mode import criteria
    >>> float(variation_weights(criteria().scores).round(4)["speed"])
    0.1248
    """
    x = require_scores(matrix)
    centre = x.mean(axis=1)
    if (centre == 0).any():
        raise DataError(f"all scores are 0 in {[str(matrix.index[j]) for j in np.flatnonzero(centre == 0)]}")
    return _normalised(x.std(axis=1, ddof=1) / centre, matrix)


def combined_weights(sets: Sequence[Any], *, rule: Rule = "product") -> pd.Series:
    """Several sets of weights in one: their product or mean per criterion, brought to sum 1.

    Parameters
    ----------
    sets
        Two or more Series over the same criteria.
    rule
        ``"product"`` or ``"mean"``.

    Returns
    -------
    Series

    Raises
    ------
    SpecError
        If the rule is unknown, there are fewer than two sets, or they name different criteria.
    EstimationError
        If every product is zero.

    Examples
    --------
    >>> import pandas as pd
    >>> a, b = pd.Series({"cost": 0.5, "speed": 0.5}), pd.Series({"cost": 0.8, "speed": 0.2})
    >>> combined_weights([a, b], rule="mean").to_dict()
    {'cost': 0.65, 'speed': 0.35}
    """
    import pandas as pd

    if rule not in ("product", "mean"):
        raise SpecError(f"rule={rule!r} is unknown; use 'product' or 'mean'")
    if isinstance(sets, (str, Mapping)) or not isinstance(sets, Sequence):
        raise SpecError(f"need a list of two or more sets of weights, got {type(sets).__name__}")
    if len(sets) < 2:
        raise SpecError(f"need two or more sets of weights, got {len(sets)}")
    names = [str(name) for name in pd.Series(sets[0]).index]
    stacked = np.stack([require_weights(one, names) for one in sets])
    together = stacked.prod(axis=0) if rule == "product" else stacked.mean(axis=0)
    if not together.sum() > 0:
        raise EstimationError("no criterion has weight in all sets: their product is zero everywhere")
    return pd.Series(together / together.sum(), index=pd.Index(names, name="criterion"), name="weight")


def require_scores(matrix: pd.DataFrame) -> np.ndarray:
    """Scores ``(c, m)`` as numbers, checked.

    Raises
    ------
    DataError
        If it is no DataFrame, a name stands twice, scores are text, absent, infinite or negative, or there are fewer
        than two alternatives; all are named.
    """
    if not hasattr(matrix, "columns"):
        raise DataError("need a DataFrame: one row per criterion, one column per alternative, higher is better")
    problems = []
    for what, labels in (("criteria", matrix.index), ("alternatives", matrix.columns)):
        twice = sorted({str(label) for label in labels[labels.duplicated()]})
        if twice:
            problems.append(f"{what} stand twice: {twice}")
    if matrix.shape[0] < 1 or matrix.shape[1] < 2:
        problems.append(f"{matrix.shape[0]} criteria and {matrix.shape[1]} alternatives: nothing to choose from")
    # Text that looks like a number is text.
    text = [str(c) for i, c in enumerate(matrix.columns) if not all(map(_numeric, matrix.iloc[:, i]))]
    if text:
        problems.append(f"scores are not numbers in {text}")
    else:
        x = matrix.to_numpy(dtype=float, na_value=np.nan)
        for what, wrong in (("absent or infinite", ~np.isfinite(x)), ("negative", x < 0)):
            at = [f"{matrix.index[j]} / {matrix.columns[i]}" for j, i in zip(*np.nonzero(wrong), strict=True)]
            if at:
                problems.append(f"scores are {what}: {', '.join(at)}")
    if problems:
        raise DataError(listed(problems, "criteria matrix"), problems)
    return x


def require_weights(weights: Any, names: Sequence[str]) -> np.ndarray:
    """Weights ``(c,)`` in the order of ``names``, brought to sum 1.

    Raises
    ------
    SpecError
        If criteria are absent or unknown, or weights are negative, absent or all zero; all are named.
    """
    if isinstance(weights, Mapping) or (hasattr(weights, "index") and hasattr(weights, "to_dict")):
        given = {str(name): value for name, value in dict(weights).items()}
        problems = []
        absent, unknown = [n for n in names if n not in given], [n for n in given if n not in names]
        if absent:
            problems.append(f"criteria without weight: {absent}")
        if unknown:
            problems.append(f"weights for unknown criteria: {unknown}; the matrix has {list(names)}")
        if problems:
            raise SpecError(listed(problems, "weights"), problems)
        values: Any = [given[n] for n in names]
    else:
        values = weights
    try:
        listed_weights = list(values)
        w = np.asarray(listed_weights, dtype=float)
    except (TypeError, ValueError):
        raise SpecError(f"weights are not numbers: {values!r}") from None
    if any(isinstance(value, str) for value in listed_weights):
        raise SpecError(f"weights are text, not numbers: {listed_weights!r}")
    if w.shape != (len(names),):
        raise SpecError(f"weights have shape {w.shape}; there are {len(names)} criteria: {list(names)}")
    wrong = [n for n, value in zip(names, w, strict=True) if not (np.isfinite(value) and value >= 0)]
    if wrong:
        raise SpecError(f"weights must be numbers, 0 or more: {wrong}")
    if not w.sum() > 0:
        raise SpecError("all weights are zero; give at least one criterion weight")
    return w / w.sum()


def _numeric(value: Any) -> bool:
    """Whether this is a number, or nothing."""
    missing = value is None or value != value or type(value).__name__ == "NAType"
    return bool(missing) or isinstance(value, (int, float, np.number))


def _normalised(values: np.ndarray, matrix: pd.DataFrame) -> pd.Series:
    import pandas as pd

    # Rounding can leave a criterion without any difference slightly below zero.
    values = np.where(np.abs(values) < 1e-14, 0.0, values)
    if not values.sum() > 0:
        raise EstimationError("the alternatives do not differ on any criterion; no weights follow from the scores")
    names = pd.Index([str(name) for name in matrix.index], name="criterion")
    return pd.Series(values / values.sum(), index=names, name="weight")
