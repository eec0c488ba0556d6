"""One adjustment of weights: what it was, and what it does to linearised values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# Eigenvalues below this share of the largest are those of redundant calibration columns.
REDUNDANT = 1e-12
FIXED = "standard errors by linearisation treat this step as fixed; replicate weights redo it"


@dataclass(frozen=True, eq=False)
class Step:
    """One adjustment of the weights.

    Attributes
    ----------
    method
        What was done, in words.
    before, after
        Weights ``(n,)`` in row order.
    table
        One row per cell or total, index (margin, category): ``wanted, before, after`` (weighted counts or totals).
    notes
        What the reader must know, one sentence each, with counts.
    redo
        The same adjustment of other weights, ``(draws, n) -> (draws, n)``; draws without a solution give NaN.
    columns
        Calibration variables ``(n, q)``, dense or sparse; ``None`` when the step is no calibration.
    """

    method: str
    before: np.ndarray
    after: np.ndarray
    table: pd.DataFrame
    notes: tuple[str, ...]
    redo: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    columns: Any = field(default=None, repr=False)

    @property
    def ratio(self) -> np.ndarray:
        """After over before ``(n,)``; 0 where the weight was 0 before."""
        return np.divide(self.after, self.before, out=np.zeros(len(self.after)), where=self.before != 0)

    def reordered(self, order: np.ndarray) -> Step:
        """The same step for the rows in another order: ``order`` holds their positions in this one."""
        return replace(
            self,
            before=self.before[order],
            after=self.after[order],
            redo=partial(_redo_reordered, redo=self.redo, order=order),
            columns=None if self.columns is None else self.columns[order],
        )


def _redo_reordered(weights: np.ndarray, redo: Callable[[np.ndarray], np.ndarray], order: np.ndarray) -> np.ndarray:
    """A step redone for rows in another order."""
    first = np.empty_like(weights)
    first[:, order] = weights
    return redo(first)[:, order]


def residuals(values: np.ndarray, step: Step) -> np.ndarray:
    """Values ``(n, m)`` minus their regression on the calibration variables, weighted by the weights before."""
    x = step.columns
    if x is None:
        return values
    d = step.before[:, None]
    scale = np.sqrt(np.asarray((x.multiply(x) if hasattr(x, "multiply") else x * x).T @ step.before).ravel())
    scale[scale == 0] = 1
    weighted = x.multiply(d).tocsr() if hasattr(x, "multiply") else x * d
    gram = x.T @ weighted
    gram = np.asarray(gram.toarray() if hasattr(gram, "toarray") else gram) / np.outer(scale, scale)
    inverse = np.linalg.pinv(gram, rcond=REDUNDANT, hermitian=True) / np.outer(scale, scale)
    # The second pass regresses what rounding left in the residuals of the first.
    for _ in range(2):
        values = values - x @ (inverse @ (weighted.T @ values))
    return values
