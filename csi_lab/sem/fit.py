"""The result of a PLS estimation: tables, scores and what a reader must know."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import require_numbers
from csi_lab.design import Design
from csi_lab.errors import DataError, EstimationError
from csi_lab.estimates import estimate_table
from csi_lab.intervals import Interval, Kind, interval
from csi_lab.model import PathModel
from csi_lab.moments import Moments
from csi_lab.resampling import Method, Replicates
from csi_lab.sem.algorithm import Layout, Scheme, Solution, solve

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class PLSFit:
    """An estimated PLS path model.

    Tables have the column ``estimate``, and ``se, low, high`` beside it in the fit that :meth:`bootstrap` returns. When
    the moments had leading axes (replicates, groups) they have a column per draw instead. ``solution`` holds the raw
    arrays.

    Attributes
    ----------
    model, moments, design
        What was estimated, on what, drawn how.
    scheme
        Inner weighting scheme: ``"path"``, ``"factorial"`` or ``"centroid"``.
    scaled
        Whether items were standardised (weights refer to standardised items) or kept in their own units.
    tolerance, max_iterations
        Weights rest when the sum of their absolute changes falls below the tolerance.
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
    resample: Callable[..., Replicates] | None = None
    replicates: Replicates | None = None
    replicated: PLSFit | None = None
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

    @cached_property
    def paths(self) -> pd.DataFrame:
        """Path coefficients, index (source, target)."""
        return self._edges(lambda fit: fit.solution.paths)

    @cached_property
    def weights(self) -> pd.DataFrame:
        """Outer weights, index (construct, item): scores of variance 1 from standardised (or, unscaled, raw) items."""
        return self._items(lambda fit: fit.solution.weights)

    @cached_property
    def loadings(self) -> pd.DataFrame:
        """Correlations of items with their own construct, index (construct, item)."""
        return self._items(
            lambda fit: fit.solution.cross_loadings[..., np.arange(len(fit.layout.block)), fit.layout.block]
        )

    @cached_property
    def cross_loadings(self) -> pd.DataFrame:
        """Correlations of every item with every construct, items as rows (a single survey only)."""
        return self._square(self.solution.cross_loadings, self.weights.index, "construct")

    @cached_property
    def correlations(self) -> pd.DataFrame:
        """Correlations of the construct scores (a single survey only)."""
        import pandas as pd

        return self._square(self.solution.correlations, pd.Index(list(self.model.constructs), name="construct"), "with")

    @cached_property
    def r2(self) -> pd.DataFrame:
        """Share of the variance of each endogenous construct that its sources explain."""
        return self._endogenous(lambda fit: fit.solution.r2)

    @cached_property
    def r2_adjusted(self) -> pd.DataFrame:
        """R2 adjusted for the number k of sources: 1 - (1 - R2)(n - 1)/(n - 1 - k)."""
        k = np.array([len(self.model.paths.get(c, ())) for c in self.model.constructs])

        def adjusted(fit: PLSFit) -> np.ndarray:
            n = np.asarray(fit.moments.n)[..., None]
            return 1 - (1 - fit.solution.r2) * (n - 1) / (n - 1 - k)

        return self._endogenous(adjusted)

    @cached_property
    def total_effects(self) -> pd.DataFrame:
        """Direct plus indirect effects of every construct on every construct downstream, index (source, target)."""
        return self._downstream(lambda fit: fit.solution.total_effects)

    @cached_property
    def indirect_effects(self) -> pd.DataFrame:
        """Total minus direct effects, index (source, target)."""
        return self._downstream(lambda fit: fit.solution.total_effects - fit.solution.paths)

    def bootstrap(
        self,
        draws: int = 5000,
        rng: np.random.Generator | int = 1,
        *,
        kind: Kind = "percentile",
        level: float = 0.95,
        method: Method = "auto",
        replicates: Replicates | None = None,
    ) -> PLSFit:
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
            If the fit came from moments and no replicates are given, or every draw failed.

        Examples
        --------
        >>> import csi_lab as csi
        >>> fit = csi.sem.pls(csi.load_survey("mobile")).bootstrap(draws=500, rng=1)
        >>> fit.paths.loc[("Quality", "Satisfaction")].round(1).to_dict()
        {'estimate': 0.5, 'se': 0.1, 'low': 0.4, 'high': 0.6}
        """
        if replicates is not None:
            replicates = replicates[list(self.model.items)]
        elif self.resample is not None and not self.moments.shape:
            replicates = self.resample(draws=draws, rng=rng, method=method)
        else:
            raise EstimationError(
                "this fit came from moments, which have no rows to draw; give replicates= of the survey"
            )
        replicated = self.again(replicates.moments)
        if not np.any(replicated.converged):
            raise EstimationError(f"no replicate has a solution: {replicates}")
        return replace(self, replicates=replicates, replicated=replicated, kind=kind, level=level)

    def again(self, moments: Moments) -> PLSFit:
        """The same model with the same settings on other moments of the same items."""
        matrix = moments.corr if self.scaled else moments.cov
        solution = solve(matrix, self.layout, self.scheme, self.tolerance, self.max_iterations)
        return replace(self, moments=moments, solution=solution, resample=None, replicates=None, replicated=None)

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
            jackknife=_where_solved(self._jackknifed, quantity) if self.kind == "bca" else None,
        )

    @cached_property
    def _jackknifed(self) -> PLSFit:
        assert self.replicates is not None
        return self.again(self.replicates.jackknife)

    def scores(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Construct scores of respondents, in the rows' order and with the frame's index.

        Items are centred (and, when ``scaled``, divided by the sd) with the moments of this fit, so that scores of the
        estimation sample have mean 0 and sd 1 (denominator n - 1) and new respondents are placed on the same scale.
        A row with a missing item in a block has NaN for that construct.

        Raises
        ------
        DataError
            If an item is absent or not numeric.
        EstimationError
            If the fit holds several draws.
        """
        import pandas as pd

        if self.moments.shape:
            raise EstimationError("scores need the weights of one fit; this one holds several draws")
        items = list(self.model.items)
        absent = [c for c in items if c not in frame.columns]
        if absent:
            raise DataError(f"columns not in the data: {absent}")
        require_numbers(frame[items])
        x = frame[items].to_numpy(dtype=float, na_value=np.nan) - self.moments.mean
        scale = self.moments.sd if self.scaled else np.ones(len(items))
        weighted = x / scale * self.solution.weights
        block = self.layout.block
        columns = {c: weighted[:, block == j].sum(axis=1) for j, c in enumerate(self.model.constructs)}
        return pd.DataFrame(columns, index=frame.index)

    def history(self) -> pd.DataFrame:
        """The outer weights after each iteration: rows are iterations, columns items, and ``change``.

        ``change`` is the sum of the absolute changes of all weights in that iteration; the last row is the solution.

        Raises
        ------
        EstimationError
            If the fit holds several draws.
        """
        import pandas as pd

        if self.moments.shape:
            raise EstimationError("the history follows one fit; this one holds several draws")
        matrix = self.moments.corr if self.scaled else self.moments.cov
        # Iteration 0 are the equal weights from which every run begins, brought to scores of variance 1.
        steps = [solve(matrix, self.layout, self.scheme, self.tolerance, k).weights for k in range(self.iterations + 1)]
        frame = pd.DataFrame(steps, columns=list(self.model.items)).rename_axis("iteration")
        frame.insert(0, "change", frame.diff().abs().sum(axis=1, skipna=False))
        return frame

    def remarks(self, *, loading: float = 0.40) -> tuple[str, ...]:
        """What a reader must know before using this fit, one sentence each; empty when there is nothing to say.

        Parameters
        ----------
        loading
            Items of mode A blocks whose loading lies below are named. Default .40: Hair, Hult, Ringle & Sarstedt
            (2022), A Primer on PLS-SEM, 3rd ed., ch. 4, advise removing such items.

        Raises
        ------
        EstimationError
            If the fit holds several draws.
        """
        if self.moments.shape:
            raise EstimationError("remarks are made on one fit; this one holds several draws")
        out = []
        if not self.converged:
            out.append(
                f"NOT CONVERGED after {self.iterations} iterations (tolerance {self.tolerance:g}): the estimates are "
                "the last iterate, not a solution; raise max_iterations or simplify the model"
            )
        turned = [c for c, f in zip(self.model.constructs, self.solution.flipped, strict=True) if f]
        if turned:
            out.append(f"turned round, because most of their loadings were negative: {', '.join(turned)}")
        own = self.loadings["estimate"]
        weak = [f"{i} ({v:.2f})" for (c, i), v in own.items() if self.model.modes[c] == "A" and v < loading]
        if weak:
            out.append(f"loading below {loading:.2f}: {', '.join(weak)}")
        negative = [f"{i} ({v:.2f})" for (_, i), v in self.weights["estimate"].items() if v < 0]
        if negative:
            out.append(f"negative outer weight, so no 0-100 index for the construct: {', '.join(negative)}")
        return tuple(out)

    def to_frame(self) -> pd.DataFrame:
        """Weights, loadings, paths, total effects and R2 in one tidy table, index (quantity, source, target)."""
        import pandas as pd

        tables = {
            "weight": self.weights,
            "loading": self.loadings,
            "path": self.paths,
            "total effect": self.total_effects,
            "r2": self.r2.set_axis(pd.MultiIndex.from_product([[""], self.r2.index])),
        }
        return pd.concat({k: t.rename_axis(["source", "target"]) for k, t in tables.items()}, names=["quantity"])

    def plot(self, ax: Axes | None = None, labels: dict[str, str] | None = None) -> Axes:
        """Path diagram with coefficients and R2; see :func:`csi_lab.plots.path_diagram`."""
        from csi_lab import plots

        return plots.path_diagram(self, ax=ax, labels=labels)

    def __str__(self) -> str:
        metric = "standardised items" if self.scaled else "items in their own units"
        head = f"PLS path model ({self.model}), {self.scheme} scheme, {metric}; {self.moments}"
        if self.moments.shape:
            failed = int(np.size(self.converged) - np.sum(self.converged))
            return f"{head}; {failed} of {np.size(self.converged)} draws without a solution"
        r2 = ", ".join(f"{c} {v:.3f}" for c, v in self.r2["estimate"].items())
        rest = f"converged after {self.iterations} iterations; " if self.converged else ""
        lines = [head, f"{rest}R2: {r2}"]
        if self.replicates is not None and self.replicated is not None:
            failed = int((~self.replicated.converged).sum())
            lost = f"; {failed} draws without a solution left out" if failed else ""
            lines.append(f"{self.kind} intervals at {self.level:.0%} from {self.replicates}{lost}")
        remarks = list(self.remarks())
        return "\n".join([*remarks[:1], *lines, *remarks[1:]] if not self.converged else [*lines, *remarks])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        tables = "" if self.moments.shape else self.paths.round(3).to_html()
        return f"<p>{lines}</p>{tables}"

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

    def _pairs(self, quantity: Quantity, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
        at = {c: j for j, c in enumerate(self.model.constructs)}
        rows, columns = [at[s] for s, _ in pairs], [at[t] for _, t in pairs]
        return self._table(lambda fit: quantity(fit)[..., rows, columns], list(pairs), ["source", "target"])

    def _endogenous(self, quantity: Quantity) -> pd.DataFrame:
        keep = self.layout.endogenous
        names = [list(self.model.constructs)[j] for j in keep]
        return self._table(lambda fit: quantity(fit)[..., keep], names, ["construct"])

    def _square(self, values: np.ndarray, rows: pd.Index, columns: str) -> pd.DataFrame:
        import pandas as pd

        if values.ndim > 2:
            raise EstimationError("this table shows one fit; for several draws take the arrays in .solution")
        return pd.DataFrame(values, index=rows, columns=pd.Index(list(self.model.constructs), name=columns))


Quantity = Callable[[PLSFit], np.ndarray]


def _where_solved(fit: PLSFit, quantity: Quantity) -> np.ndarray:
    """A quantity of every draw, NaN where the draw has no solution."""
    values = quantity(fit)
    solved = np.asarray(fit.converged).reshape(-1, *(1,) * (values.ndim - 1))
    return np.where(solved, values, np.nan)
