"""Weights that were adjusted: what was done step by step, what it means for variances, and how to do it again."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import split_weights
from csi_lab.errors import DataError, EstimationError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Cells of draws times rows that are held at once when an adjustment is redone.
BLOCK = 20_000_000
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


@dataclass(frozen=True, eq=False)
class AdjustedWeights:
    """Weights after one or more adjustments. Use it wherever weights are asked for; adjusting it again adds a step.

    Attributes
    ----------
    base
        Weights ``(n,)`` before the first step, in row order.
    steps
        The adjustments in the order in which they were made.

    Examples
    --------
    >>> import pandas as pd
    >>> from csi_lab.sampling import weight
    >>> frame = pd.DataFrame({"sex": ["f", "f", "m"], "w": [10.0, 10.0, 10.0]})
    >>> adjusted = weight.post_stratify(frame, "w", {"sex": {"f": 24, "m": 16}})
    >>> adjusted.values.tolist()
    [12.0, 12.0, 16.0]
    >>> print(adjusted)
    post-stratified by 'sex' (2 cells): 3 weights, sum 40, after/before 1.2 to 1.6
    effective n 2.941 (Kish design effect 1.020)
    """

    base: np.ndarray
    steps: tuple[Step, ...]

    @property
    def values(self) -> np.ndarray:
        """Final weights ``(n,)`` in row order."""
        return self.steps[-1].after if self.steps else self.base

    @property
    def method(self) -> str:
        """What was done, all steps."""
        return ", then ".join(step.method for step in self.steps) or "not adjusted"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know, all steps."""
        return tuple(note for step in self.steps for note in step.notes)

    @property
    def table(self) -> pd.DataFrame:
        """``wanted, before, after`` of the last step, index (margin, category)."""
        return self.steps[-1].table

    @property
    def ratio(self) -> np.ndarray:
        """Final over base weight ``(n,)``; 0 where the base weight is 0."""
        return np.divide(self.values, self.base, out=np.zeros(len(self.base)), where=self.base != 0)

    @property
    def effective_n(self) -> float:
        r"""Kish's effective sample size, :math:`(\sum w)^2 / \sum w^2`."""
        return float(self.values.sum() ** 2 / (self.values**2).sum())

    @property
    def design_effect(self) -> float:
        """Kish's design effect of unequal weights: rows with a weight over the effective n."""
        return float(np.count_nonzero(self.values) / self.effective_n)

    def __len__(self) -> int:
        return len(self.base)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype)

    def then(self, step: Step) -> AdjustedWeights:
        """The same with one more step."""
        return replace(self, steps=(*self.steps, step))

    def contributions(self, z: np.ndarray) -> np.ndarray:
        r"""What each row contributes to a linearised estimate, weighted, with the adjustments accounted for.

        A calibration replaces the values by their residuals from the regression on its calibration variables,
        weighted by the weights before it:

        .. math:: d_k\, g_k\, (z_k - x_k' B), \quad B = (\sum d x x')^{-1} \sum d x z, \quad g = w / d

        Several steps are undone from the last to the first.

        Parameters
        ----------
        z
            Linearised values of the estimate per row, not weighted, ``(n,)`` or ``(n, m)``; for a mean
            (y - ybar) / sum(w), for a total y.

        Returns
        -------
        ndarray
            ``(n,)`` or ``(n, m)``: sum them over PSUs for the variance.

        Raises
        ------
        DataError
            If z does not have one finite row per weight.

        Notes
        -----
        The regression is weighted by the weights before the step, as R's ``survey`` does; the raked weights would be
        another choice of the same order. For linear calibrations without bounds, also in several steps, the
        contributions are the base weights times the derivative of the estimate by them. R's ``survey`` takes several
        steps from the first to the last, which is another number.

        References
        ----------
        .. [1] Deville, J.-C., & Särndal, C.-E. (1992). Journal of the American Statistical Association, 87, 376-382.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.sampling import weight
        >>> frame = pd.DataFrame({"sex": ["f", "f", "m"], "w": [10.0, 10.0, 10.0]})
        >>> adjusted = weight.post_stratify(frame, "w", {"sex": {"f": 24, "m": 16}})
        >>> adjusted.contributions(np.array([3.0, 5.0, 7.0])).tolist()
        [-12.0, 12.0, 0.0]
        """
        values = self._per_row(z)
        for step in reversed(self.steps):
            values = step.ratio[:, None] * _residuals(values, step)
        return (self.base[:, None] * values).reshape(np.shape(z))

    def residuals(self, z: np.ndarray) -> np.ndarray:
        """Linearised values that account for the adjustments: times the final weights they are the contributions.

        Without any calibration step they are ``z`` itself: such steps are treated as fixed, and a note says so.

        Parameters
        ----------
        z
            As in :meth:`contributions`.

        Returns
        -------
        ndarray
            Of the shape of ``z``.

        Raises
        ------
        DataError
            As in :meth:`contributions`.
        EstimationError
            If rows with a final weight of 0 contribute (a calibration before a non-response adjustment).

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.sampling import weight
        >>> frame = pd.DataFrame({"sex": ["f", "f", "m"], "w": [10.0, 10.0, 10.0]})
        >>> adjusted = weight.post_stratify(frame, "w", {"sex": {"f": 24, "m": 16}})
        >>> adjusted.residuals(np.array([3.0, 5.0, 7.0])).tolist()
        [-1.0, 1.0, 0.0]
        """
        if not any(step.columns is not None for step in self.steps):
            return self._per_row(z).reshape(np.shape(z))
        if all(step.columns is None for step in self.steps[:-1]):
            return _residuals(self._per_row(z), self.steps[-1]).reshape(np.shape(z))
        parts = self.contributions(z).reshape(len(self), -1)
        nobody = self.values == 0
        if np.any(parts[nobody]):
            raise EstimationError(
                f"{int(np.any(parts[nobody], axis=1).sum())} rows with a final weight of 0 contribute to the variance, "
                "because a calibration comes before the step that dropped them; use contributions(z), or calibrate last"
            )
        found = np.divide(parts, self.values[:, None], out=np.zeros_like(parts), where=~nobody[:, None])
        return found.reshape(np.shape(z))

    def again(self, base: np.ndarray) -> np.ndarray:
        """All steps redone from other base weights: for replicate weights.

        Parameters
        ----------
        base
            Base weights of each draw, ``(draws, n)`` or ``(n,)``, >= 0: those before the first step.

        Returns
        -------
        ndarray
            Final weights of the same shape. A draw without a solution (an empty cell, no convergence) is NaN
            throughout: count such draws, they are not replaced.

        Raises
        ------
        DataError
            If the shape does not fit, or weights are negative or not finite.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.sampling import weight
        >>> frame = pd.DataFrame({"sex": ["f", "f", "m"], "w": [10.0, 10.0, 10.0]})
        >>> adjusted = weight.post_stratify(frame, "w", {"sex": {"f": 24, "m": 16}})
        >>> adjusted.again(np.array([[10.0, 10.0, 10.0], [0.0, 20.0, 10.0], [20.0, 10.0, 0.0]])).tolist()
        [[12.0, 12.0, 16.0], [0.0, 24.0, 16.0], [nan, nan, nan]]
        """
        weights = np.asarray(base, dtype=float)
        if weights.ndim not in (1, 2) or weights.shape[-1] != len(self):
            raise DataError(f"base weights have shape {weights.shape}; need (draws, {len(self)})")
        if not (weights >= 0).all() or not np.isfinite(weights).all():
            raise DataError("base weights of draws must be finite and not negative")
        found = np.array(np.atleast_2d(weights))
        rows = max(1, BLOCK // max(1, len(self)))
        for at in range(0, len(found), rows):
            block = found[at : at + rows]
            for step in self.steps:
                alive = ~np.isnan(block).any(axis=1)
                block[alive] = step.redo(block[alive])
            block[np.isnan(block).any(axis=1)] = np.nan
        return found.reshape(weights.shape)

    def to_frame(self) -> pd.DataFrame:
        """``wanted, before, after`` of every step, index (step, margin, category), raw numbers."""
        import pandas as pd

        return pd.concat({k: step.table for k, step in enumerate(self.steps, 1)}, names=["step"])

    def __str__(self) -> str:
        moved = self.ratio[self.base > 0]
        spread = f", after/before {moved.min():.4g} to {moved.max():.4g}" if len(moved) else ""
        lines = [
            f"{self.method}: {np.count_nonzero(self.values):,} weights, sum {self.values.sum():,.6g}{spread}",
            f"effective n {self.effective_n:,.4g} (Kish design effect {self.design_effect:.3f})",
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.to_frame().round(3).to_html()}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Histogram of final over base weight, rows with a final weight only.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.sampling import weight
        >>> frame = pd.DataFrame({"sex": ["f", "f", "m"], "w": [10.0, 10.0, 10.0]})
        >>> ax = weight.post_stratify(frame, "w", {"sex": {"f": 24, "m": 16}}).plot()
        >>> ax.get_xlabel()
        'final weight / base weight'
        """
        import matplotlib.pyplot as plt

        from csi_lab.plots import ACCENT, INK

        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
        moved = self.ratio[(self.base != 0) & (self.values != 0)]
        ax.hist(moved, bins=30, color=ACCENT)
        ax.axvline(1, color=INK, lw=1, ls="--")
        ax.set(xlabel="final weight / base weight", ylabel="rows")
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def _per_row(self, z: np.ndarray) -> np.ndarray:
        """The values as ``(n, m)``, checked."""
        values = np.asarray(z, dtype=float)
        if values.ndim not in (1, 2) or len(values) != len(self):
            raise DataError(f"linearised values have shape {values.shape}; need ({len(self)},) or ({len(self)}, m)")
        if not np.isfinite(values).all():
            raise DataError("linearised values hold missing or infinite numbers; give 0 for rows that do not count")
        return values.reshape(len(self), -1)


def as_adjusted(frame: pd.DataFrame, weights: Any) -> AdjustedWeights:
    """Weights given in any form, as adjusted weights with the steps made so far (none for a column or an array).

    Parameters
    ----------
    frame
        The rows.
    weights
        A column's name, one number >= 0 per row, :class:`AdjustedWeights`, or ``None`` for equal weights of 1.

    Raises
    ------
    DataError
        If the weights are absent, not numbers, missing, negative, all zero or of another length.

    Examples
    --------
    >>> import pandas as pd
    >>> as_adjusted(pd.DataFrame({"w": [1.0, 3.0]}), "w").values.tolist()
    [1.0, 3.0]
    """
    if not len(frame):
        raise DataError("the frame has no rows")
    if isinstance(weights, AdjustedWeights):
        if len(weights) != len(frame):
            raise DataError(f"the adjusted weights belong to {len(weights)} rows; the frame has {len(frame)}")
        negative = int((weights.values < 0).sum())
        if negative:
            raise DataError(
                f"{negative} weights are negative after {weights.method}, and cannot be adjusted further; "
                'calibrate with bounds or with distance="raking"'
            )
        return weights
    found = split_weights(frame, weights)[1]
    found = np.ones(len(frame)) if found is None else found
    if not found.sum() > 0:
        raise DataError("the weights are all zero")
    return AdjustedWeights(np.array(found), ())


def _residuals(values: np.ndarray, step: Step) -> np.ndarray:
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
