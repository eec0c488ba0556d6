"""How many factors: parallel analysis."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.errors import SpecError
from csi_lab.factors.chance import Basis, Communalities, Null, chance_eigenvalues, eigenvalues_of
from csi_lab.factors.correlations import leading, require_regular, usable
from csi_lab.moments import Missing
from csi_lab.settings import is_number, require_level, require_whole

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BASES = ("factors", "components")
COMMUNALITIES = ("one factor", "smc")
NULLS = ("normal", "permutation")


@dataclass(frozen=True, eq=False)
class ParallelResult:
    """Parallel analysis: observed eigenvalues beside those of data without any common factor.

    Attributes
    ----------
    n_factors
        Leading eigenvalues above their reference; counting stops at the first that is not.
    basis, communalities, null, reference
        Eigenvalues of what, with what on the diagonal (basis factors), chance from where, and which summary of chance
        is the reference.
    table
        One row per eigenvalue: ``observed, reference, mean, quantile, retained``.
    quantile
        Which quantile the column ``quantile`` holds.
    draws
        Random data sets.
    n, dropped
        Rows used (Kish's effective number when they had weights and chance was normal), and rows left out.
    remarks
        What a reader must know, one sentence each.
    """

    n_factors: int
    basis: Basis
    communalities: Communalities
    null: Null
    reference: Literal["quantile", "mean"]
    table: pd.DataFrame
    quantile: float
    draws: int
    n: float
    dropped: int
    remarks: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per eigenvalue: ``observed, reference, mean, quantile, retained``."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """Observed and chance eigenvalues; see :func:`csi_lab.plots_loadings.eigenvalue_lines`."""
        from csi_lab.plots_loadings import eigenvalue_lines

        return eigenvalue_lines(self.table[["observed", "reference"]], ax=ax, ylabel=f"eigenvalue ({self.basis})")

    def __str__(self) -> str:
        against = f"{self.quantile:.0%} quantile" if self.reference == "quantile" else "mean"
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        what = "components" if self.basis == "components" else f"factors (communalities: {self.communalities})"
        head = (
            f"parallel analysis on {what}: {self.n_factors} of {len(self.table)}, above the {against} of "
            f"{self.draws} {'normal' if self.null == 'normal' else 'permuted'} data sets; n = {self.n:g}{left_out}"
        )
        return "\n".join([head, *self.remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html()}"


def parallel_analysis(
    data: Any,
    draws: int = 500,
    rng: np.random.Generator | int = 0,
    *,
    items: Sequence[str] | None = None,
    basis: Basis = "factors",
    communalities: Communalities = "one factor",
    null: Null = "normal",
    reference: Literal["quantile", "mean"] = "quantile",
    quantile: float = 0.95,
    weights: Any = None,
    n: float | None = None,
    missing: Missing = "listwise",
) -> ParallelResult:
    r"""Number of factors by parallel analysis.

    Leading eigenvalues are kept as long as each exceeds what random data of the same size give.

    Parameters
    ----------
    data
        A survey, a DataFrame, or Moments (for ``null="normal"``).
    draws
        Random data sets.
    rng
        Seed or generator.
    items
        Three or more; default all.
    basis
        ``"factors"`` (default): eigenvalues of the correlations with communalities on the diagonal;
        ``"components"``: of the correlations themselves [1]_. They answer different questions and often differ.
    communalities
        For basis factors: ``"one factor"`` (default), those of a single minres factor, as psych, JASP and jamovi
        compute them; ``"smc"``, squared multiple correlations [2]_, which find more factors in large samples.
    null
        ``"normal"``: independent normal data, whose correlation matrix is drawn directly through the Bartlett
        decomposition of a Wishart matrix, without rows, so that the time does not depend on n. ``"permutation"``: each
        item's answers shuffled, which keeps their distribution; with weights, the weights stay with the rows.
    reference
        ``"quantile"`` of the random eigenvalues (default, [3]_), or their ``"mean"`` (Horn's own rule).
    quantile
        Default .95.
    weights
        Sampling weights for a DataFrame (array, Series or column name).
    n
        Number of rows to draw for; default those used, or Kish's effective number :math:`(\sum w)^2 / \sum w^2` when
        rows have weights. Weighted Moments do not know it: give it.
    missing
        ``"listwise"`` or ``"raise"``.

    Returns
    -------
    ParallelResult

    Raises
    ------
    DataError
        If the items are unusable (see :func:`csi_lab.factors.kmo`), or data do not hold what ``null`` needs.
    EstimationError
        If items are linear combinations of each other (squared multiple correlations).
    SpecError
        If a setting is unknown.

    Notes
    -----
    Strata and clusters are not imitated by either null; the result says so.

    References
    ----------
    .. [1] Horn, J. L. (1965). A rationale and test for the number of factors in factor analysis. Psychometrika, 30(2),
       179-185.
    .. [2] Humphreys, L. G., & Montanelli, R. G. (1975). An investigation of the parallel analysis criterion for
       determining the number of common factors. Multivariate Behavioral Research, 10(2), 193-205.
    .. [3] Glorfeld, L. W. (1995). An improvement on Horn's parallel analysis methodology. Educational and Psychological
       Measurement, 55(3), 377-393.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> print(parallel_analysis(survey, draws=500, rng=1, basis="components"))
    parallel analysis on components: 2 of 24, above the 95% quantile of 500 normal data sets; n = 250
    """
    import pandas as pd

    _known("basis", basis, BASES)
    _known("communalities", communalities, COMMUNALITIES)
    _known("null", null, NULLS)
    _known("reference", reference, ("quantile", "mean"))
    require_level(quantile, "quantile", 0.95)
    require_whole(draws, "draws")
    if n is not None and not is_number(n):
        raise SpecError(f"n={n!r} must be a number of rows")
    if reference == "quantile" and draws * (1 - quantile) < 1:
        raise SpecError(
            f"draws={draws!r} are too few for the {quantile:.0%} quantile; {int(np.ceil(1 / (1 - quantile)))} at the "
            "least, 500 are usual, or take reference='mean'"
        )
    moments, _ = usable(data, items, weights, missing)
    if basis == "factors" and communalities == "smc":
        require_regular(moments.corr, moments.names, "a squared multiple correlation")
    random, rows, remarks = chance_eigenvalues(
        data, moments, basis=basis, communalities=communalities, null=null, draws=draws, rng=rng, weights=weights, n=n
    )
    observed = eigenvalues_of(moments.corr, basis, communalities)
    mean, upper = random.mean(axis=0), np.quantile(random, quantile, axis=0)
    against = upper if reference == "quantile" else mean
    count = leading(observed > against)
    table = pd.DataFrame(
        {
            "observed": observed,
            "reference": against,
            "mean": mean,
            "quantile": upper,
            "retained": np.arange(len(observed)) < count,
        },
        index=pd.RangeIndex(1, len(observed) + 1, name="number"),
    )
    return ParallelResult(
        count, basis, communalities, null, reference, table, quantile, draws, rows, moments.dropped, tuple(remarks)
    )


def _known(what: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise SpecError(f"{what}={value!r} is unknown; use one of {list(choices)}")
