"""Weights from pairwise comparisons: the analytic hierarchy process with its check of consistency."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import DataError, SpecError, listed
from csi_lab.settings import require_cutoff

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Mean consistency index of random reciprocal matrices by their order (Saaty 1980, as remembered; Saaty's own tables
# differ in the second decimal, and larger simulations give 0.52 for three). With one or two criteria no contradiction
# is possible. Ten are the criteria of the shipped matrix.
RANDOM_INDEX: Mapping[int, float] = {
    1: 0.0, 2: 0.0, 3: 0.58, 4: 0.90, 5: 1.12, 6: 1.24, 7: 1.32, 8: 1.41, 9: 1.45, 10: 1.49
}  # fmt: skip
# Saaty (1980): judgements with a consistency ratio above this should be looked at again.
CONSISTENCY_CUT = 0.10
# A pair and its reciprocal must multiply to 1 up to this.
RECIPROCAL_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class AHPResult:
    """Weights of criteria from pairwise comparisons.

    Attributes
    ----------
    weights
        Weight of each criterion, adding up to 1.
    lambda_max
        Largest eigenvalue; equals the number of criteria when the judgements do not contradict each other.
    consistency_index, consistency_ratio
        CI and CR; CR is NaN where no random index is known.
    cut
        Ratios above this are called inconsistent.
    comparisons
        One row per pair: the ``judgement`` a over b, the ratio of ``weights`` and their ratio ``apart`` (1: they agree;
        the pair furthest from 1 comes first).
    """

    weights: pd.Series
    lambda_max: float
    consistency_index: float
    consistency_ratio: float
    cut: float
    comparisons: pd.DataFrame

    @property
    def consistent(self) -> bool:
        """Whether the consistency ratio is known and not above the cut."""
        return bool(self.consistency_ratio <= self.cut)

    def to_frame(self) -> pd.DataFrame:
        """Weights as a table, raw numbers."""
        return self.weights.to_frame("weight")

    def plot(self, ax: Axes | None = None) -> Axes:
        """The weights as bars."""
        from csi_lab.plots import bars

        return bars(self.weights.to_frame("estimate"), xlabel="weight (they add up to 1)", decimals=3, ax=ax)

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {weight:.3f}" for name, weight in self.weights.items())
        ratio = f"lambda_max = {self.lambda_max:.4f}, CI = {self.consistency_index:.4f}, CR = "
        known = np.isfinite(self.consistency_ratio)
        ratio += (
            f"{self.consistency_ratio:.4f}" if known else f"unknown (no random index for {len(self.weights)} criteria)"
        )
        lines = [f"AHP weights: {shown}", f"  {ratio}"]
        if self.consistency_ratio > self.cut:
            (a, b), row = self.comparisons.index[0], self.comparisons.iloc[0]
            lines.insert(
                0,
                f"INCONSISTENT: CR above {self.cut:g}; look first at {a} over {b}: judged {row['judgement']:.3g}, the "
                f"weights say {row['weights']:.3g}",
            )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.comparisons.round(3).to_html()}"


def ahp(
    pairwise: Any,
    *,
    random_index: Mapping[int, float] = RANDOM_INDEX,
    cut: float = CONSISTENCY_CUT,
    tolerance: float = RECIPROCAL_TOLERANCE,
) -> AHPResult:
    r"""Weights from a matrix of pairwise comparisons.

    .. math:: A w = \lambda_{max} w, \quad \sum w = 1, \qquad
       CI = \frac{\lambda_{max} - k}{k - 1}, \quad CR = \frac{CI}{RI_k}

    Parameters
    ----------
    pairwise
        k x k matrix, DataFrame or array: how many times more important the row is than the column, usually 1/9 to 9.
        The diagonal is 1 and each pair is the reciprocal of its mirror image; write 1/3, not 0.33.
    random_index
        Order k to mean CI of random matrices, shipped for k up to 10; CR is unknown for others.
    cut
        Ratios above this are called inconsistent in the result.
    tolerance
        Of the reciprocals, relative.

    Returns
    -------
    AHPResult

    Raises
    ------
    DataError
        If the matrix is not square, has other names for rows and columns, or holds text.
    SpecError
        If judgements are absent, not positive, or not reciprocal (all pairs are named), or a setting is no number.

    References
    ----------
    .. [1] Saaty, T. L. (1980). The Analytic Hierarchy Process. McGraw-Hill.

    Examples
    --------
    >>> print(ahp([[1, 3, 5], [1 / 3, 1, 3], [1 / 5, 1 / 3, 1]]))
    AHP weights: 1 0.637, 2 0.258, 3 0.105
      lambda_max = 3.0385, CI = 0.0193, CR = 0.0332
    """
    import pandas as pd

    require_cutoff(cut, "cut")
    require_cutoff(tolerance, "tolerance")
    if not isinstance(random_index, Mapping):
        raise SpecError(f"random_index={random_index!r} must map the number of criteria to a mean consistency index")
    names, a = _matrix(pairwise)
    k = len(names)
    first, second = np.triu_indices(k, 1)
    problems = []
    missing = [(i, j) for i in range(k) for j in range(k) if not np.isfinite(a[i, j])]
    if missing:
        problems.append(f"judgements are absent: {_pairs(names, missing)}; compare every pair")
    negative = [(i, j) for i in range(k) for j in range(k) if np.isfinite(a[i, j]) and a[i, j] <= 0]
    if negative:
        problems.append(f"judgements must be above 0: {_pairs(names, negative)}")
    if not problems:
        off = [names[i] for i in range(k) if abs(a[i, i] - 1) > tolerance]
        if off:
            problems.append(f"the diagonal must be 1: {off}")
        mirrored = [(i, j) for j in range(k) for i in range(j) if abs(a[i, j] * a[j, i] - 1) > tolerance]
        if mirrored:
            problems.append(f"not reciprocal: {_pairs(names, mirrored)}; write b over a as 1 / (a over b), exactly")
    if problems:
        raise SpecError(listed(problems, "pairwise comparisons"), problems)
    values, vectors = np.linalg.eig(a)
    top = int(np.argmax(values.real))
    weights = np.abs(vectors[:, top].real)
    weights = weights / weights.sum()
    lambda_max = float(values[top].real)
    # The largest eigenvalue is k or more; rounding may put it at k - 1e-15.
    index = max(0.0, (lambda_max - k) / (k - 1)) if k > 1 else 0.0
    known = random_index.get(k, np.nan)
    ratio = index / known if known > 0 else (0.0 if k <= 2 else np.nan)
    said, found = a[first, second], weights[first] / weights[second]
    comparisons = pd.DataFrame(
        {"judgement": said, "weights": found, "apart": said / found},
        index=pd.MultiIndex.from_tuples(
            [(names[i], names[j]) for i, j in zip(first, second, strict=True)], names=["criterion", "over"]
        )
        if k > 1
        else None,
    )
    comparisons = comparisons.iloc[np.argsort(-np.abs(np.log(comparisons["apart"].to_numpy())), kind="stable")]
    series = pd.Series(weights, index=pd.Index(names, name="criterion"), name="weight")
    return AHPResult(series, lambda_max, float(index), float(ratio), cut, comparisons)


def _matrix(pairwise: Any) -> tuple[list[str], np.ndarray]:
    """Names and numbers of a square matrix."""
    try:
        cells = np.asarray(pairwise, dtype=object)
        # Text that looks like a number is text.
        if any(isinstance(cell, str) for cell in cells.ravel()):
            raise TypeError
        frame = hasattr(pairwise, "columns")
        a = pairwise.to_numpy(dtype=float, na_value=np.nan) if frame else np.asarray(pairwise, dtype=float)
    except (TypeError, ValueError):
        raise DataError("pairwise comparisons must be numbers; write 1/3 as a number") from None
    if a.ndim != 2 or a.shape[0] != a.shape[1] or not len(a):
        raise DataError(f"pairwise comparisons have shape {a.shape}; they must be a square matrix")
    if not hasattr(pairwise, "columns"):
        return [str(i + 1) for i in range(len(a))], a
    rows, columns = [str(r) for r in pairwise.index], [str(c) for c in pairwise.columns]
    if len(set(rows)) < len(rows):
        raise DataError(f"criteria stand twice: {sorted({r for r in rows if rows.count(r) > 1})}")
    if rows != columns:
        raise DataError(f"rows and columns must name the same criteria in the same order: {rows} and {columns}")
    return rows, a


def _pairs(names: list[str], pairs: list[tuple[int, int]]) -> str:
    return ", ".join(f"{names[i]} over {names[j]}" for i, j in pairs)
