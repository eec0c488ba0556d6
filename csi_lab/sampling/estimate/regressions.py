"""Linear regression in a population, with errors that honour the sample design."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, special

from csi_lab.answers import require_columns
from csi_lab.design import Design
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.sampling.estimate.collecting import columns_of, roots, usable_rows
from csi_lab.sampling.estimate.limits import critical
from csi_lab.sampling.estimate.respondents import Degrees, Gaps, Respondents
from csi_lab.sampling.estimate.stage_variance import Lonely
from csi_lab.sampling.estimate.wald import WaldTest, wald_test
from csi_lab.sampling.estimate.wording import p_relation, shown
from csi_lab.settings import require_level

INTERCEPT = "(intercept)"
# Residuals below this share of the response are what rounding leaves of a perfect fit.
PERFECT = 1e-12


@dataclass(frozen=True, eq=False)
class Regression:
    """A linear regression of a population.

    Attributes
    ----------
    response
        Name of the dependent column.
    table
        One row per coefficient: ``estimate, se, low, high, t, p``.
    covariance
        Covariances of the coefficients.
    terms
        Each predictor with the coefficients it has (a column of categories has several).
    df
        Degrees of freedom: primary units minus strata, plus one, minus the number of coefficients.
    r2
        Share of the weighted variance explained.
    n, level, notes
        Rows used, confidence level, what was done to rows and weights.
    """

    response: str
    table: pd.DataFrame
    covariance: pd.DataFrame
    terms: dict[str, tuple[str, ...]]
    df: float
    r2: float
    n: int
    level: float
    notes: tuple[str, ...] = ()

    def wald(self, term: str | None = None) -> WaldTest:
        """F test that all coefficients of a predictor are zero; by default those of all predictors.

        Raises
        ------
        SpecError
            If the predictor is unknown.
        EstimationError
            If the coefficients have no regular covariance.
        """
        if term is not None and term not in list(self.terms):
            raise SpecError(f"term {term!r} is unknown; the predictors are {list(self.terms)}")
        names = list(self.table.index)
        chosen = self.terms[term] if term is not None else tuple(n for n in names if n != INTERCEPT)
        contrasts = np.eye(len(names))[[names.index(c) for c in chosen]]
        estimates = self.table["estimate"].to_numpy()
        return wald_test(contrasts, estimates, self.covariance.to_numpy(), self.df, adjust=False)

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def __str__(self) -> str:
        rows = [
            f"  {name}: {shown(r['estimate'])}, se {shown(r['se'])}, t = {r['t']:.3f}, p {p_relation(r['p'])}"
            for name, r in self.table.iterrows()
        ]
        head = f"regression of {self.response}: R2 = {self.r2:.3f}, n = {self.n}, {self.df:g} df"
        return "\n".join([head, *rows, *(f"note: {note}" for note in self.notes)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rest = str(self).splitlines()
        notes = [line for line in rest if line.startswith("note: ")]
        said = "<br>".join(html.escape(line) for line in [head, *notes])
        return f"<p>{said}</p>{self.table.round(4).to_html()}"


def regression(
    data: Any,
    response: str,
    design: Design | None = None,
    *,
    on: str | Sequence[str],
    weights: Any = None,
    level: float = 0.95,
    missing: Gaps = "raise",
    lonely: Lonely = "raise",
    df: Degrees = "present",
) -> Regression:
    r"""Linear regression by weighted least squares, errors from influence values.

    .. math:: b = (X'WX)^{-1} X'Wy, \qquad z_k = (X'WX)^{-1} x_k (y_k - x_k' b)

    Parameters
    ----------
    data, design, weights, level, missing, lonely
        As in :func:`csi_lab.sampling.estimate.mean`.
    response
        Numeric column y.
    on
        Predictors: numeric columns as they are; columns of text, categories or true/false as one indicator for each
        label but the first, named ``column[label]``. An intercept is always added.
    df
        As in :func:`csi_lab.sampling.estimate.mean`; from the degrees of freedom of the design, the number of
        coefficients other than the intercept is taken off, as R's ``svyglm`` does (not from a number given).

    Returns
    -------
    Regression

    Raises
    ------
    DataError
        As in :func:`csi_lab.sampling.estimate.mean`.
    EstimationError
        If predictors are constant or exactly collinear, or no degrees of freedom remain.
    SpecError
        If no predictor is given, or the response is among them.

    Notes
    -----
    Agrees with R survey 4.1-1 ``svyglm`` to 1e-10 (``tests/reference/survey``).

    References
    ----------
    .. [1] Fuller, W. A. (1975). Regression analysis for sample survey. Sankhya C, 37, 117-132.
    .. [2] Binder, D. A. (1983). On the variances of asymptotically normal estimators from complex surveys.
       International Statistical Review, 51, 279-292.

    Examples
    --------
    >>> import csi_lab as csi
    >>> found = regression(csi.load_survey("mobile"), "CUSA1", on=["PERQ1", "IMAG1"])
    >>> found.table.loc["PERQ1", ["estimate", "se"]].round(4).tolist()
    [0.4366, 0.0506]
    """
    require_level(level)
    predictors, _ = columns_of(on)
    twice = sorted({c for c in predictors if predictors.count(c) > 1})
    if not predictors or response in predictors or twice:
        raise SpecError(f"on={predictors!r}: one predictor or more is needed, each once and not the response")
    people = Respondents.of(data, design, weights=weights, lonely=lonely, df=df)
    require_columns(people.frame, [response, *predictors])
    categories = [c for c in predictors if _labelled(people.frame[c])]
    values = people.values([response, *(c for c in predictors if c not in categories)])
    coded = {c: people.labels([c]) for c in categories}
    gaps = values | {c: np.where(codes < 0, np.nan, 0.0) for c, (codes, _) in coded.items()}
    rows, notes = usable_rows(people, gaps, None, missing)
    columns = [np.ones(len(people.weights))]
    terms: dict[str, tuple[str, ...]] = {}
    names = [INTERCEPT]
    for c in predictors:
        if c in values:
            terms[c] = (c,)
            columns.append(values[c])
        else:
            codes, labels = coded[c]
            there = np.unique(codes[rows])[1:]
            terms[c] = tuple(f"{c}[{labels[k]}]" for k in there)
            columns += [(codes == k).astype(float) for k in there]
        names += terms[c]
    empty = [c for c, found in terms.items() if not found]
    if empty:
        raise EstimationError(f"predictors with one label only: {empty}; leave them out")
    x, y, w = np.column_stack([c[rows] for c in columns]), values[response][rows], people.weights[rows]
    b, inverse, r2 = _solve(x, y, w, names)
    residual = y - x @ b
    notes = (*notes, *people.said_of_degrees([rows]))
    if np.abs(residual).max() <= PERFECT * np.abs(y).max():
        residual = np.zeros(len(y))
        notes = (*notes, "the predictors give the response exactly: there is nothing that an error could be taken from")
    influence = np.zeros((len(people.weights), len(names)))
    influence[rows] = (x @ inverse) * residual[:, None]
    sums = people.sums(list(influence.T), rows, origin=np.zeros(len(names)))
    covariance = sums.covariance(sums.of_totals())
    degrees = sums.df if not isinstance(df, str) else sums.df + 1 - len(names)
    if degrees <= 0:
        raise EstimationError(
            f"{len(names)} coefficients leave no degrees of freedom: the design has {sums.df:g}; use fewer predictors"
        )
    error = roots(covariance)
    half = critical(degrees, level) * error
    t = np.divide(b, error, out=np.full(len(b), np.nan), where=error > 0)
    p = 2 * (special.ndtr(-np.abs(t)) if np.isinf(degrees) else special.stdtr(degrees, -np.abs(t)))
    index = pd.Index(names, name="coefficient")
    table = pd.DataFrame({"estimate": b, "se": error, "low": b - half, "high": b + half, "t": t, "p": p}, index=index)
    return Regression(
        response,
        table,
        pd.DataFrame(covariance, index=index, columns=index),
        terms,
        float(degrees),
        r2,
        len(rows),
        level,
        notes,
    )


def _labelled(values: pd.Series) -> bool:
    """Whether a column holds labels and not numbers."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return bool(is_bool_dtype(values) or not is_numeric_dtype(values))


def _solve(x: np.ndarray, y: np.ndarray, w: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients, inverse of X'WX, and R2."""
    if len(y) <= len(names):
        raise EstimationError(f"{len(y)} rows are not enough for {len(names)} coefficients")
    root = np.sqrt(w / w.sum())
    scaled = x * root[:, None]
    size = np.sqrt((scaled**2).sum(axis=0))
    blank = [n for n, s in zip(names, size, strict=True) if not s > 0]
    if blank:
        raise EstimationError(f"predictors are zero in all rows used: {blank}; leave them out")
    q, r = linalg.qr(scaled / size, mode="economic")
    # In the order given: the first of several that depend on each other stays, the intercept always.
    dependent = [n for n, d in zip(names, np.abs(np.diag(r)), strict=True) if d < 1e-10]
    if dependent:
        raise EstimationError(
            f"predictors are constant or follow exactly from those before them: {dependent}; leave them out"
        )
    back = linalg.solve_triangular(r, np.eye(len(names)))
    b = back @ (q.T @ (y * root)) / size
    inverse = back @ back.T / (np.outer(size, size) * w.sum())
    centre = float(w @ y / w.sum())
    spread = float(w @ (y - centre) ** 2)
    if not spread > 1e-20 * float(w @ y**2):
        raise DataError("the response does not vary in the rows used")
    return b, inverse, 1 - float(w @ (y - x @ b) ** 2) / spread
