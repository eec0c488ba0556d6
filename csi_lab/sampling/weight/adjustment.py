"""Weights that were adjusted: what was done step by step, what it means for variances, and how to do it again."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import split_weights
from csi_lab.errors import DataError, EstimationError
from csi_lab.sampling.matching import design_weights, frame_of, order_of, remembered
from csi_lab.sampling.weight.adjustment_step import Step
from csi_lab.sampling.weight.adjustment_step import residuals as residuals_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Cells of draws times rows that are held at once when an adjustment is redone.
BLOCK = 20_000_000


@dataclass(frozen=True, eq=False)
class AdjustedWeights:
    """Weights after one or more adjustments. Use it wherever weights are asked for; adjusting it again adds a step.

    Attributes
    ----------
    base
        Weights ``(n,)`` before the first step, in row order.
    steps
        The adjustments in the order in which they were made.
    rows
        The columns of the frame that the weights were made from (base weights, calibration variables, cells), by its
        row labels; ``None``: made from arrays alone.

    Notes
    -----
    The weights go with their rows by label: a frame that was sorted gets them in its order, one with other rows or
    other labels is refused. So is a frame whose labels were reset after sorting, because the columns that the weights
    were made from no longer agree row by row. Base weights given as an array leave no column to compare.

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
    rows: pd.DataFrame | None = field(default=None, repr=False)

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

    def then(self, step: Step, frame: pd.DataFrame, columns: Iterable[Any]) -> AdjustedWeights:
        """The same with one more step, made from these columns of the frame."""
        return replace(self, steps=(*self.steps, step), rows=remembered(frame, columns, self.rows))

    def aligned(self, frame: pd.DataFrame) -> AdjustedWeights:
        """The same weights in the row order of a frame.

        Parameters
        ----------
        frame
            The rows from which the weights were made, in any order, with their row labels. Columns may be added or
            dropped.

        Raises
        ------
        DataError
            If the frame has other rows, or other values in the columns from which the weights were made.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.sampling import weight
        >>> frame = pd.DataFrame({"sex": ["f", "f", "m"], "w": [10.0, 20.0, 10.0]})
        >>> adjusted = weight.post_stratify(frame, "w", {"sex": {"f": 24, "m": 16}})
        >>> adjusted.aligned(frame.sort_values("sex", ascending=False)).values.tolist()
        [16.0, 8.0, 16.0]
        """
        if self.rows is None:
            if len(self) != len(frame):
                raise DataError(f"the adjusted weights belong to {len(self)} rows; the data have {len(frame)} rows")
            return self
        order = order_of(self.rows, frame)
        if order is None:
            return self
        steps = tuple(step.reordered(order) for step in self.steps)
        return AdjustedWeights(self.base[order], steps, self.rows.iloc[order])

    def to_series(self) -> pd.Series:
        """The final weights by row label, to keep as a column: ``frame["weight"] = adjusted.to_series()``.

        Examples
        --------
        >>> import pandas as pd
        >>> from csi_lab.sampling import weight
        >>> frame = pd.DataFrame({"sex": ["f", "f", "m"]}, index=[7, 8, 9])
        >>> weight.post_stratify(frame, None, {"sex": {"f": 24, "m": 16}}).to_series().to_dict()
        {7: 12.0, 8: 12.0, 9: 16.0}
        """
        import pandas as pd

        return pd.Series(self.values, index=None if self.rows is None else self.rows.index, name="weight")

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
        The regression is weighted by the weights before the step, as in [1]_ and R's ``calibrate``, also for raking
        (``calfun = "raking"``). R's ``rake`` regresses without weights, which is the same where the weights before are
        equal and another number where they are not (API stratified sample, raked to two margins: standard error
        9.26748 by ``calibrate`` and here, 9.27921 by ``rake``; see ``tests/reference/survey``). It is not offered:
        with unequal weights those coefficients do not estimate the ones of the population. For linear calibrations
        without bounds, also in several steps, the contributions are the base weights times the derivative of the
        estimate by them. R's ``survey`` takes several steps from the first to the last, which is another number.

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
            values = step.ratio[:, None] * residuals_of(values, step)
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
            return residuals_of(self._per_row(z), self.steps[-1]).reshape(np.shape(z))
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


def as_adjusted(data: Any, weights: Any) -> AdjustedWeights:
    """Weights given in any form, as adjusted weights with the steps made so far (none for a column or an array).

    Parameters
    ----------
    data
        The rows: a DataFrame, a survey or a drawn sample.
    weights
        A column, one number >= 0 per row, :class:`AdjustedWeights` of these rows, or ``None`` for the weights
        that the design of a survey or sample names, else equal weights of 1.

    Raises
    ------
    DataError
        If the weights are absent, not numbers, missing, negative, all zero or of other rows.
    SpecError
        If the design has population sizes and no column of weights.

    Examples
    --------
    >>> import pandas as pd
    >>> as_adjusted(pd.DataFrame({"w": [1.0, 3.0]}), "w").values.tolist()
    [1.0, 3.0]
    """
    frame = frame_of(data)
    if not len(frame):
        raise DataError("the frame has no rows")
    if isinstance(weights, AdjustedWeights):
        weights = weights.aligned(frame)
        negative = int((weights.values < 0).sum())
        if negative:
            raise DataError(
                f"{negative} weights are negative after {weights.method}, and cannot be adjusted further; "
                'calibrate with bounds or with distance="raking"'
            )
        return weights
    column = design_weights(data) if weights is None else weights
    named = column is not None and np.ndim(column) == 0
    given = column
    if named and not isinstance(column, str):
        # A column called by a number.
        if column not in frame.columns:
            raise DataError(
                f"weights={column!r}: neither one number per row nor a column; the data have {list(frame.columns)[:8]}"
            )
        given = frame[column]
    found = split_weights(frame, given)[1]
    found = np.ones(len(frame)) if found is None else found
    if not found.sum() > 0:
        raise DataError("the weights are all zero")
    return AdjustedWeights(np.array(found), (), remembered(frame, [column] if named else []))
