"""Common-method bias: could the correlations come from the way of asking?"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.estimates import estimate_table
from csi_lab.factors.extraction import at_bound, extract
from csi_lab.intervals import Kind, require_interval
from csi_lab.moments import Missing, as_moments
from csi_lab.requested import requested
from csi_lab.resampling import Replicates
from csi_lab.settings import is_number, require_level
from csi_lab.validity.measurement import correlations_of, require_sample

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class MethodBiasResult:
    """One of the checks for common-method bias.

    Attributes
    ----------
    name
        Of the check.
    table
        ``estimate, se, low, high`` and ``verdict`` of each quantity; further columns as the check's function says.
    n
        Rows used; 0 where only correlations were given.
    quantity
        What the estimates are, in words.
    interval
        What the intervals are, or why there are none.
    remarks
        What a reader must know, one sentence each.
    cut
        Cut-off of the verdicts; ``None`` where they come from tests.
    """

    name: str
    table: pd.DataFrame
    n: int
    quantity: str
    interval: str
    remarks: tuple[str, ...] = ()
    cut: float | None = None

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None, labels: Mapping[str, str] | None = None) -> Axes:
        """The estimates as bars, with the cut-off and, where there are any, intervals; see :func:`csi_lab.plots.bars`.

        ``labels`` give constructs the text shown, e.g. ``survey.labels("zh")``.
        """
        from csi_lab import plots

        table, text = self.table.dropna(subset="estimate").copy(), labels or {}
        keys = [key if isinstance(key, tuple) else (key,) for key in table.index]
        table.index = [" - ".join(text.get(str(part), str(part)) for part in key) for key in keys]
        columns = ["estimate", "low", "high"] if table["low"].notna().all() else ["estimate"]
        return plots.bars(table[columns], xlabel=f"{self.name}: {self.quantity}", decimals=2, cut=self.cut, ax=ax)

    def __str__(self) -> str:
        rows = [
            f"{' - '.join(map(str, key)) if isinstance(key, tuple) else key}: {row['estimate']:.3f} ({row['verdict']})"
            for key, row in self.table.iterrows()
        ]
        sample = f", n = {self.n}" if self.n else ""
        return "\n".join([f"{self.name}{sample}", *rows, *self.remarks, f"  interval: {self.interval}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "<br>".join(html.escape(line) for line in (self.name, *self.remarks, f"interval: {self.interval}"))
        return f"<p>{head}</p>{self.table.round(3).to_html()}"


def harman(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    cut: float = 0.50,
    weights: Any = None,
    missing: Missing = "listwise",
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> MethodBiasResult:
    r"""Harman's single-factor check: the share of the variance of all items that one dimension takes.

    Twice, because the two are mixed up in print: the first principal component, :math:`\lambda_1 / p`, and the first
    common factor, :math:`\sum \ell_i^2 / p` with the minres loadings of one factor (those of converged principal axes).

    Parameters
    ----------
    data, items, weights, missing
        The items of all constructs (three or more), as in :func:`csi_lab.moments.as_moments`.
    cut
        Default .50, the usual rule of thumb [1]_.
    draws, rng, replicates, kind, level
        Replicates and the kind and level of the intervals.

    Returns
    -------
    MethodBiasResult
        Rows ``first component`` and ``first common factor``; the factor is NaN where an item would have no variance of
        its own left.

    Raises
    ------
    DataError
        If items are absent, text or constant, or fewer than three.
    SpecError
        If the cut-off is not within 0..1.

    Notes
    -----
    A small share does not prove that there is no common-method bias: the check is insensitive [1]_.

    References
    ----------
    .. [1] Podsakoff, P. M., MacKenzie, S. B., Lee, J.-Y., & Podsakoff, N. P. (2003). Common method biases in behavioral
       research. Journal of Applied Psychology, 88(5), 879-903.
    .. [2] Harman, H. H., & Jones, W. H. (1966). Factor analysis by minimizing residuals (minres). Psychometrika, 31,
       351-368.

    Examples
    --------
    >>> import csi_lab as csi
    >>> harman(csi.load_survey("mobile")).table["estimate"].round(4).to_dict()
    {'first component': 0.3948, 'first common factor': 0.3712}
    """
    require_level(cut, "cut", 0.5)
    require_interval(kind, level)
    moments = as_moments(data, items, weights, missing)
    if moments.shape:
        raise EstimationError("these are several sets of moments; the check is reported for one survey")
    if len(moments.names) < 3:
        raise DataError(f"a common factor needs three items or more, got {list(moments.names)}")
    require_sample(moments)

    def shares(corr: np.ndarray) -> np.ndarray:
        return np.stack([first_component(corr), first_factor(corr)], axis=-1)

    names = ["first component", "first common factor"]
    made = requested(
        data,
        moments.names,
        weights=weights,
        draws=draws,
        rng=rng,
        replicates=replicates,
        missing=missing,
        sample=moments,
    )
    if made is not None:
        found = made.interval(lambda m: shares(m.corr), kind=kind, level=level)
        table, interval = found.to_frame(names, ["share"]), str(found)
    else:
        table = estimate_table(shares(moments.corr), names, ["share"]).assign(se=np.nan, low=np.nan, high=np.nan)
        interval = "none: ask for draws"
    table["verdict"] = [
        "no proper one-factor solution" if np.isnan(v) else f"{'below' if v < cut else 'not below'} {cut:.2f}"
        for v in table["estimate"]
    ]
    what, remarks = "share of the variance of all items", left_out(moments.dropped)
    return MethodBiasResult("Harman's single-factor check", table, int(moments.n), what, interval, remarks, cut)


def first_component(corr: np.ndarray) -> np.ndarray:
    """Share ``(...)`` of the first principal component of correlations ``(..., p, p)``; NaN where they are NaN."""
    known = np.isfinite(corr).all(axis=(-2, -1))
    safe = np.where(known[..., None, None], corr, np.eye(corr.shape[-1]))
    return np.where(known, np.linalg.eigvalsh(safe)[..., -1] / corr.shape[-1], np.nan)


def first_factor(corr: np.ndarray) -> np.ndarray:
    r"""Share ``(...)`` of one common factor, :math:`\sum \ell_i^2 / p`, by minres.

    NaN where an item has no variance of its own left, no factor was found, or correlations are NaN.

    Examples
    --------
    >>> corr = np.outer([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    >>> np.fill_diagonal(corr, 1.0)
    >>> float(first_factor(corr).round(6)), (0.81 + 0.64 + 0.49) / 3
    (0.646667, 0.6466666666666667)
    """
    found = extract(corr, 1, "minres", max_iterations=1000)
    proper = found.converged & ~at_bound(found.uniqueness).any(axis=-1)
    return np.where(proper, (found.loadings[..., 0] ** 2).mean(axis=-1), np.nan)


def full_collinearity(source: Any, *, cut: float = 3.3) -> MethodBiasResult:
    r"""Full-collinearity VIF: variance inflation of each construct by all others.

    :math:`\text{VIF}_j` is the j-th diagonal entry of the inverse of the construct correlations.

    Parameters
    ----------
    source
        A PLS fit (after ``.bootstrap()`` with intervals), or a DataFrame of construct correlations.
    cut
        Default 3.3 (Kock 2015): values above point to common-method bias, or to constructs that are not told apart.

    Returns
    -------
    MethodBiasResult

    Raises
    ------
    DataError
        If correlations are unusable or there are fewer than three constructs.
    EstimationError
        If constructs are exactly collinear; they are named.
    SpecError
        If the cut-off is not above 1.

    References
    ----------
    .. [1] Kock, N. (2015). Common method bias in PLS-SEM: a full collinearity assessment approach. International
       Journal of e-Collaboration, 11(4), 1-10.

    Examples
    --------
    >>> import csi_lab as csi
    >>> found = full_collinearity(csi.sem.pls(csi.load_survey("mobile")))
    >>> found.table.index[found.table["estimate"] > 3.3].tolist()
    ['Quality', 'Satisfaction']
    """
    if not is_number(cut) or not 1 < cut < np.inf:
        raise SpecError(f"cut={cut!r} must lie above 1, e.g. 3.3")
    fitted = hasattr(source, "solution")
    if fitted and source.moments.shape:
        raise EstimationError("this fit holds several draws; take one fit, with .bootstrap() for intervals")
    if not fitted and not hasattr(source, "columns"):
        raise DataError(f"need a PLS fit or a DataFrame of correlations, got {type(source).__name__}")
    names = list(source.model.constructs) if fitted else [str(c) for c in source.columns]
    matrix = source.solution.correlations if fitted else correlations_of(source)
    if len(names) < 3:
        raise DataError(f"full collinearity needs three constructs or more, got {names}")
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < 1e-10:
        together = [n for n, v in zip(names, vectors[:, 0], strict=True) if abs(v) > 1e-6]
        raise EstimationError(f"constructs are exactly collinear: {together}; VIF does not exist")
    if fitted and source.replicates is not None:
        found = source.interval(lambda fit: inflation(fit.solution.correlations))
        table, interval = found.to_frame(names, ["construct"]), str(found)
    else:
        table = estimate_table(inflation(matrix), names, ["construct"]).assign(se=np.nan, low=np.nan, high=np.nan)
        interval = "none: take the fit's .bootstrap()" if fitted else "none: correlations alone have no replicates"
    table["verdict"] = [f"{'above' if v > cut else 'up to'} {cut:g}" for v in table["estimate"]]
    n = int(source.moments.n) if fitted else 0
    return MethodBiasResult(
        "Full-collinearity VIF", table, n, "variance inflation by all other constructs", interval, cut=cut
    )


def inflation(corr: np.ndarray) -> np.ndarray:
    """Diagonal ``(..., J)`` of the inverse of correlations ``(..., J, J)``; NaN where there is none.

    Examples
    --------
    >>> inflation(np.array([[1.0, 0.6], [0.6, 1.0]])).tolist()
    [1.5625, 1.5625]
    """
    known = np.isfinite(corr).all(axis=(-2, -1))
    safe = np.where(known[..., None, None], corr, np.eye(corr.shape[-1]))
    known &= np.linalg.eigvalsh(safe)[..., 0] > 1e-10
    safe = np.where(known[..., None, None], corr, np.eye(corr.shape[-1]))
    return np.where(known[..., None], np.diagonal(np.linalg.inv(safe), axis1=-2, axis2=-1), np.nan)


def left_out(dropped: int) -> tuple[str, ...]:
    """A remark on rows left out, if any were."""
    return (f"{dropped} rows left out (missing answers)",) if dropped else ()
