"""What every estimated path model can do: estimate itself again, and give each number its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import EstimationError, SpecError
from csi_lab.estimates import estimate_table
from csi_lab.intervals import Interval, Kind, interval, require_interval
from csi_lab.model import PathModel
from csi_lab.moments import Moments
from csi_lab.requested import require_same_sample
from csi_lab.resampling import Method, Replicates
from csi_lab.sem.algorithm import Layout, Scheme, Solution, solve
from csi_lab.sem.consistent import corrected

if TYPE_CHECKING:
    import pandas as pd

# Takes a fit, gives (..., k) over the leading axes of its moments.
Quantity = Callable[[Any], np.ndarray]
Fit = TypeVar("Fit", bound="Estimation")


@dataclass(frozen=True, eq=False)
class Estimation:
    """A path model estimated by PLS, on one set of moments or on a stack of them.

    Attributes
    ----------
    model, moments, design
        What was estimated, on what, drawn how.
    scheme
        Inner weighting scheme: ``"path"``, ``"factorial"`` or ``"centroid"``.
    scaled
        Whether items were standardised (weights refer to standardised items) or kept in their own units.
    tolerance, max_iterations
        Weights rest when the sum of their absolute changes, each times the sd of its item when items are not
        standardised, falls below the tolerance.
    solution
        The raw arrays; corrected ones when ``consistent``.
    consistent
        Whether construct correlations were corrected for the unreliability of the scores (PLSc).
    resample
        Makes replicates of the data the fit came from; ``None`` when it came from moments.
    replicates, replicated
        The replicates behind the intervals and this model estimated on them; ``None`` before :meth:`bootstrap`.
    kind, level
        Of the intervals.
    """

    model: PathModel
    moments: Moments
    scheme: Scheme
    scaled: bool
    tolerance: float
    max_iterations: int
    solution: Solution
    design: Design
    consistent: bool = False
    resample: Callable[..., Replicates] | None = None
    replicates: Replicates | None = None
    replicated: Any = None
    kind: Kind = "percentile"
    level: float = 0.95

    @property
    def converged(self) -> Any:
        """Whether the weights came to rest; an array over the leading axes when there are any."""
        return self.solution.converged if self.moments.shape else bool(self.solution.converged)

    @property
    def iterations(self) -> Any:
        """Iterations used; an array over the leading axes when there are any."""
        return self.solution.iterations if self.moments.shape else int(self.solution.iterations)

    @cached_property
    def layout(self) -> Layout:
        """The model as arrays."""
        return Layout.of(self.model)

    def bootstrap(
        self: Fit,
        draws: int = 5000,
        rng: np.random.Generator | int = 1,
        *,
        kind: Kind = "percentile",
        level: float = 0.95,
        method: Method = "auto",
        replicates: Replicates | None = None,
    ) -> Fit:
        """The same fit with standard errors and intervals that honour the sample design.

        Parameters
        ----------
        draws, rng, method
            As in :func:`csi_lab.resampling.replicates`.
        kind, level
            As in :func:`csi_lab.intervals.interval`. ``"bca"`` also estimates the model with each unit left out.
        replicates
            Replicates made before (their items must include the model's), in place of ``draws``, ``rng``, ``method``.

        Returns
        -------
        PLSFit
            Draws without a solution are left out and counted in ``str(fit)``, with the items that did not vary in them.

        Raises
        ------
        EstimationError
            If the fit came from moments and no replicates are given, the replicates given treat missing answers in
            another way, or every draw failed.
        DataError
            If the replicates given are of other rows or weights than the fit.
        SpecError
            If the kind of interval is unknown or does not fit the replicates, the level is not between 0 and 1, or the
            replicates are none.

        Examples
        --------
        >>> import csi_lab as csi
        >>> fit = csi.sem.pls(csi.load_survey("mobile")).bootstrap(draws=500, rng=1)
        >>> fit.paths.loc[("Quality", "Satisfaction")].round(1).to_dict()
        {'estimate': 0.5, 'se': 0.1, 'low': 0.4, 'high': 0.6}
        """
        require_interval(kind, level)
        if kind == "studentised":
            raise SpecError("kind='studentised' needs a standard error of every draw, which PLS has not; use 'bca'")
        if replicates is not None:
            if not isinstance(replicates, Replicates):
                raise SpecError(f"replicates= takes what csi.replicates() makes, not {type(replicates).__name__}")
            replicates = replicates[list(self.model.items)]
            made, here = (type(m).__name__ for m in (replicates.point, self.moments))
            if made != here:
                raise EstimationError(
                    "the fit and the replicates treat missing answers differently: "
                    f"{self.moments}; replicates: {replicates.point}"
                )
        elif self.resample is not None and not self.moments.shape:
            replicates = self.resample(draws=draws, rng=rng, method=method)
        else:
            raise EstimationError(
                "this fit came from moments, which have no rows to draw; give replicates= of the survey"
            )
        require_interval(kind, level, replicates.scale)
        require_same_sample(replicates.point, self.moments)
        if kind == "bca" and replicates.units is None:
            raise SpecError("BCa needs the units that were resampled; with given replicate weights use kind='bc'")
        replicated = self.again(replicates.moments)
        if not np.any(replicated.converged):
            raise EstimationError(f"no replicate has a solution: {replicates}")
        return replace(self, replicates=replicates, replicated=replicated, kind=kind, level=level)

    def again(self: Fit, moments: Moments) -> Fit:
        """The same model with the same settings on other moments of the same items."""
        found = estimate(
            moments, self.layout, self.scheme, self.scaled, self.consistent, self.tolerance, self.max_iterations
        )
        return replace(self, moments=moments, solution=found, resample=None, replicates=None, replicated=None)

    def interval(self, quantity: Quantity) -> Interval:
        """Standard error and interval of anything computed from a fit.

        Parameters
        ----------
        quantity
            Takes a fit and returns ``(..., k)`` over the leading axes of its moments, such as
            ``lambda fit: fit.solution.r2``. It is called on this fit, on the fit of all replicates at once, and for BCa
            on the fit with each unit left out.

        Raises
        ------
        EstimationError
            If the fit was not bootstrapped.
        SpecError
            If the quantity does not keep the leading axes.
        """
        if self.replicates is None or self.replicated is None:
            raise EstimationError("this fit has no replicates; take fit.bootstrap(...) first")
        return interval(
            quantity(self),
            _where_solved(self.replicated, quantity),
            kind=self.kind,
            level=self.level,
            df=self.replicates.df,
            scale=self.replicates.scale,
            jackknife=self.replicates.influence(_where_solved(self._jackknifed, quantity))
            if self.kind == "bca"
            else None,
        )

    @cached_property
    def _jackknifed(self) -> Any:
        assert self.replicates is not None
        return self.again(self.replicates.jackknife)

    def _table(self, quantity: Quantity, index: Sequence[object], names: Sequence[str]) -> pd.DataFrame:
        """A quantity of this fit as a table, with intervals when there are replicates."""
        if self.replicated is None:
            return estimate_table(quantity(self), index, names)
        return self.interval(quantity).to_frame(index, names)

    def _items(self, quantity: Quantity) -> pd.DataFrame:
        index = [(c, item) for c, items in self.model.constructs.items() for item in items]
        return self._table(quantity, index, ["construct", "item"])

    def _edges(self, quantity: Quantity) -> pd.DataFrame:
        return self._pairs(quantity, self.model.edges)

    def _downstream(self, quantity: Quantity) -> pd.DataFrame:
        eye = np.eye(len(self.model.constructs))
        reach = np.linalg.inv(eye - self.layout.paths) - eye > 0.5
        names = list(self.model.constructs)
        return self._pairs(quantity, [(names[i], names[j]) for i, j in np.argwhere(reach)])

    def _pairs(
        self, quantity: Quantity, pairs: Sequence[tuple[str, str]], names: Sequence[str] = ("source", "target")
    ) -> pd.DataFrame:
        at = {c: j for j, c in enumerate(self.model.constructs)}
        rows, columns = [at[s] for s, _ in pairs], [at[t] for _, t in pairs]
        return self._table(lambda fit: quantity(fit)[..., rows, columns], list(pairs), list(names))

    def _lower(self, quantity: Quantity, *, diagonal: bool) -> pd.DataFrame:
        """The lower triangle of a symmetric matrix over constructs, index (construct, with)."""
        names = list(self.model.constructs)
        pairs = [(names[j], names[k]) for j in range(len(names)) for k in range(j + diagonal)]
        return self._pairs(quantity, pairs, ["construct", "with"])

    def _endogenous(self, quantity: Quantity) -> pd.DataFrame:
        keep = self.layout.endogenous
        names = [list(self.model.constructs)[j] for j in keep]
        return self._table(lambda fit: quantity(fit)[..., keep], names, ["construct"])

    def _square(self, values: np.ndarray, rows: pd.Index, columns: str) -> pd.DataFrame:
        import pandas as pd

        if values.ndim > 2:
            raise EstimationError("this table shows one fit; for several draws take the arrays in .solution")
        return pd.DataFrame(values, index=rows, columns=pd.Index(list(self.model.constructs), name=columns))


def estimate(
    moments: Moments,
    layout: Layout,
    scheme: Scheme,
    scaled: bool,
    consistent: bool,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    """The solution on moments with any leading axes."""
    found = solve(moments.corr if scaled else moments.cov, layout, scheme, tolerance, max_iterations)
    return corrected(found, moments.corr, layout) if consistent else found


def _where_solved(fit: Estimation, quantity: Quantity) -> np.ndarray:
    """A quantity of every draw, NaN where the draw has no solution."""
    values = np.asarray(quantity(fit))
    if values.shape[:1] != np.shape(fit.converged):
        raise SpecError(
            f"the quantity has shape {values.shape} for {np.size(fit.converged)} draws: it must keep the leading axes "
            "of a fit, as fit.solution.r2[..., 0] does and fit.solution.r2[0] does not"
        )
    solved = np.asarray(fit.converged).reshape(-1, *(1,) * (values.ndim - 1))
    return np.where(solved, values, np.nan)
