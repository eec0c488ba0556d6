"""Response propensities: who was likely to answer, and how much response depends on what is known of all cases."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg, special

from csi_lab.answers import require_columns, split_weights
from csi_lab.errors import DataError, EstimationError, SpecError, listed
from csi_lab.sampling.margins import as_columns, cells_of, numbers_in, row_labels
from csi_lab.sampling.matching import frame_of
from csi_lab.sampling.weight.adjustment import as_adjusted
from csi_lab.sampling.weight.calibration import independent, weighted_squares
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# A fitted propensity this close to 0 or 1 means that the predictors separate respondents from the rest.
SEPARATED = 1e-8


@dataclass(frozen=True, eq=False)
class PropensityFit:
    """Response propensities of all cases.

    Attributes
    ----------
    scores
        Fitted probability of response ``(n,)``; NaN in rows of weight 0 with missing predictors.
    coefficients
        ``estimate, se, low, high`` on the logit scale; errors treat cases as independent draws (sandwich).
    r_indicator
        1 - 2 S(rho), S the weighted standard deviation of the scores.
    rate
        Weighted response rate.
    predictors, n, level
        Columns used, cases with a weight, level of the intervals.
    columns
        Columns ``(n, q)`` of the regression: intercept, numeric ones less their weighted means, indicators.
    weights
        Weights ``(n,)`` used.
    """

    scores: np.ndarray
    coefficients: pd.DataFrame
    r_indicator: float
    rate: float
    predictors: tuple[str, ...]
    n: int
    level: float
    columns: np.ndarray
    weights: np.ndarray

    def to_frame(self) -> pd.DataFrame:
        """The coefficients, raw numbers."""
        return self.coefficients

    def __str__(self) -> str:
        used = self.scores[self.weights > 0]
        return (
            f"response propensity of {self.n} cases: rate {self.rate:.1%}, "
            f"scores {used.min():.3f} to {used.max():.3f}, R-indicator {self.r_indicator:.3f}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.coefficients.round(3).to_html()}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Histogram of the scores.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"area": list("aaabbb"), "answered": [1, 0, 0, 1, 1, 0]})
        >>> propensity(frame, None, "area", responded="answered").plot().get_xlabel()
        'response propensity'
        """
        import matplotlib.pyplot as plt

        from csi_lab.plots import ACCENT

        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
        ax.hist(self.scores[self.weights > 0], bins=30, color=ACCENT)
        ax.set(xlabel="response propensity", ylabel="cases")
        ax.spines[["top", "right"]].set_visible(False)
        return ax


def propensity(
    frame: Any, weights: Any, predictors: str | Sequence[str], *, responded: Any, level: float = 0.95
) -> PropensityFit:
    r"""Response propensities by weighted logistic regression, and the R-indicator.

    .. math:: R = 1 - 2 S(\hat\rho), \quad S^2 = \frac{n}{n - 1} \frac{\sum d (\hat\rho - \bar\rho)^2}{\sum d}

    Parameters
    ----------
    frame, weights, responded
        As in :func:`nonresponse_cells`.
    predictors
        Column(s) known for all cases; numeric ones enter as they are, others as categories.
    level
        Of the intervals.

    Returns
    -------
    PropensityFit

    Raises
    ------
    DataError
        If predictors are absent, missing, constant or redundant, or nobody or everybody responded.
    EstimationError
        If the predictors separate respondents from the others, or the regression does not converge.
    SpecError
        If no predictor is named, or the level is impossible.

    References
    ----------
    .. [1] Schouten, B., Cobben, F., & Bethlehem, J. (2009). Survey Methodology, 35, 101-113.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"area": list("aaaabbbb"), "answered": [1, 0, 0, 1, 1, 1, 1, 0]})
    >>> print(propensity(frame, None, "area", responded="answered"))
    response propensity of 8 cases: rate 62.5%, scores 0.500 to 0.750, R-indicator 0.733
    """
    require_level(level)
    import pandas as pd

    d, frame = as_adjusted(frame, weights).values, frame_of(frame)
    answered = read_responded(frame, responded, d)
    if answered[d > 0].all():
        raise DataError("everybody responded; there is nothing to adjust for")
    chosen = as_columns(predictors)
    x, names, centre = _design_matrix(frame, chosen, d)
    used = d > 0
    fitted, converged = logistic(x, answered, d[None])
    linear = x @ fitted[0]
    scores = special.expit(linear)
    near = int(((scores < SEPARATED) | (scores > 1 - SEPARATED))[used].sum())
    if not near and not converged[0]:
        raise EstimationError(
            f"the regression of response on {chosen} did not converge; drop predictors that nearly follow from others"
        )
    if near:
        raise EstimationError(
            f"predictors {chosen} separate respondents from non-respondents ({near} propensities at 0 or 1); "
            "merge categories in which all or none responded, or drop predictors"
        )
    # Sandwich from an orthogonal decomposition: (x'Vx)^-1 = R^-1 R^-T, so that nothing is squared twice.
    root = np.linalg.qr(np.sqrt(d * scores * (1 - scores))[:, None] * x, mode="r")
    influence = linalg.solve_triangular(
        root, linalg.solve_triangular(root, (x * (d * (answered - scores))[:, None]).T, trans="T")
    )
    influence[0] -= centre @ influence
    estimate = fitted[0].copy()
    estimate[0] -= centre @ estimate
    error = np.sqrt((influence**2).sum(axis=1))
    z = float(special.ndtri(0.5 + level / 2))
    table = pd.DataFrame(
        {"estimate": estimate, "se": error, "low": estimate - z * error, "high": estimate + z * error},
        index=pd.Index(names, name="term"),
    )
    n, share = int(used.sum()), d / d.sum()
    spread = np.sqrt(n / (n - 1) * (share @ (scores - share @ scores) ** 2))
    unknown = frame[chosen].isna().any(axis=1).to_numpy()
    scores = np.where(unknown, np.nan, scores)
    rate = float(share[answered].sum())
    return PropensityFit(scores, table, float(1 - 2 * spread), rate, tuple(chosen), n, level, x, d)


def logistic(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, *, tolerance: float = 1e-10, max_iterations: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression by Newton steps, batched over weights.

    Parameters
    ----------
    x
        ``(n, q)``, independent columns.
    y
        ``(n,)``, 0 or 1.
    weights
        ``(draws, n)``.
    tolerance
        Largest score (gradient) in orthonormal columns, as a share of the sum of weights.
    max_iterations
        Newton steps.

    Returns
    -------
    tuple
        Coefficients ``(draws, q)`` and which draws converged; the others (separation) hold the last values.

    Examples
    --------
    >>> b, converged = logistic(np.ones((4, 1)), np.array([1, 1, 1, 0]), np.ones((1, 4)))
    >>> round(float(b[0, 0]), 6), bool(converged[0])
    (1.098612, True)
    """
    # Steps are made in orthonormal columns, so that scales, means and near collinearity do not matter.
    root = np.linalg.qr(x / np.sqrt(len(x)), mode="r")
    z = linalg.solve_triangular(root, x.T, trans="T").T
    squares = weighted_squares(z)
    found, done = np.zeros((len(weights), x.shape[1])), np.zeros(len(weights), dtype=bool)
    total = weights.sum(axis=1)
    active = np.flatnonzero(total > 0)
    for _ in range(max_iterations):
        rho = special.expit(found[active] @ z.T)
        gradient = (weights[active] * (y - rho)) @ z
        met = (np.abs(gradient) <= tolerance * total[active, None]).all(axis=1)
        done[active[met]] = True
        active, rho, gradient = active[~met], rho[~met], gradient[~met]
        if not len(active):
            break
        values, vectors = np.linalg.eigh(squares(weights[active] * rho * (1 - rho)))
        turned = np.einsum("dqk,dq->dk", vectors, gradient) / np.maximum(values, 1e-12 * total[active, None])
        move = np.einsum("dqk,dk->dq", vectors, turned)
        # Steps of more than five logits only occur on the way to infinity (separation) or far from the solution.
        longest = np.abs(np.where(weights[active] > 0, move @ z.T, 0.0)).max(axis=1, keepdims=True)
        found[active] += move * np.minimum(1, 5 / np.maximum(longest, 1e-300))
    return linalg.solve_triangular(root, found.T).T, done


def read_responded(frame: pd.DataFrame, responded: Any, weights: np.ndarray) -> np.ndarray:
    """Who responded ``(n,)``, as booleans.

    Raises
    ------
    DataError
        If values are not 0 or 1 (False or True), missing in rows with a weight, or nobody responded.
    """
    named = np.ndim(responded) == 0
    label = f"column {responded!r}" if named else "responded"
    if named:
        require_columns(frame, [responded])
        values = numbers_in(frame, responded)
    else:
        values = _per_row(frame, responded)
    if values is None:
        raise DataError(f"{label} must hold 1 or True for respondents and 0 or False for the others")
    wrong = np.flatnonzero(~np.isin(values, (0, 1)) & (weights != 0))
    if len(wrong):
        raise DataError(
            f"{label} must hold 1 or True for respondents and 0 or False for the others; "
            f"{len(wrong)} rows hold something else or nothing: {row_labels(frame, wrong)}"
        )
    answered = (values == 1) & (weights != 0)
    if not answered.any():
        raise DataError(f"{label}: nobody responded")
    return answered


def _per_row(frame: pd.DataFrame, responded: Any) -> np.ndarray | None:
    """Values given per row, a Series by its index; ``None`` if they are not numbers."""
    import pandas as pd

    if np.ndim(responded) != 1:
        return None
    given = responded if isinstance(responded, pd.Series) else pd.Series(list(responded), dtype=object)
    try:
        numbers = given.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        return None
    # Rows are matched as weights are; anything but 0 and 1 is carried as 2 and refused later, with its rows named.
    filled = pd.Series(np.where(np.isin(numbers, (0, 1)), numbers, 2.0), index=given.index)
    return split_weights(frame, filled if isinstance(responded, pd.Series) else filled.to_numpy())[1]


def _design_matrix(
    frame: pd.DataFrame, predictors: list[str], weights: np.ndarray
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Intercept, centred numeric columns and dummies ``(n, q)``, names and what was subtracted ``(q,)``.

    Rows of weight 0 hold 0 in numeric columns.
    """
    if not predictors:
        raise SpecError("name one predictor or more")
    require_columns(frame, predictors)
    used = weights != 0
    columns, names, centres, problems = [np.ones(len(frame))], ["intercept"], [0.0], []
    for predictor in predictors:
        values = numbers_in(frame, predictor)
        absent = np.flatnonzero(frame[predictor].isna().to_numpy() & used)
        if len(absent):
            problems.append(
                f"predictor {predictor!r} is missing in {len(absent)} rows: {row_labels(frame, absent)}; "
                'fill them in, or make "unknown" a category'
            )
            continue
        if values is None:
            codes, labels = cells_of(frame, [predictor], weights)
            columns += [(codes == k).astype(float) for k in range(1, len(labels))]
            names += [f"{predictor}={label}" for label in labels[1:]]
            centres += [0.0] * (len(labels) - 1)
            constant = len(labels) < 2
        else:
            if not np.isfinite(values[used]).all():
                problems.append(f"predictor {predictor!r} holds infinite values")
                continue
            centres.append(float(np.average(values[used], weights=weights[used])))
            columns.append(np.where(used, values - centres[-1], 0.0))
            names.append(str(predictor))
            constant = len(np.unique(values[used])) < 2
        if constant:
            problems.append(f"predictor {predictor!r} does not vary; leave it out")
    if problems:
        raise DataError(listed(problems, "the propensity model cannot be fitted"), problems)
    x = np.column_stack(columns)
    kept, _ = independent(x, weights)
    redundant = [name for k, name in enumerate(names) if k not in set(kept.tolist())]
    if redundant:
        raise DataError(f"predictors are redundant: {redundant} follow from the others; leave them out")
    return x, names, np.array(centres)
