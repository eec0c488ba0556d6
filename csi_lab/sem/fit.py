"""The result of a PLS estimation: tables, scores and what a reader must know."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import infinite_values, require_columns, require_numbers, require_possible
from csi_lab.errors import DataError, EstimationError
from csi_lab.moments import Moments
from csi_lab.percent import percent
from csi_lab.sem import assess
from csi_lab.sem.algorithm import solve
from csi_lab.sem.assessed import Assessed
from csi_lab.sem.consistent import proper, why_improper
from csi_lab.sem.verdicts import comparable_pairs
from csi_lab.settings import require_cutoff, require_keywords

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from csi_lab.sem.blindfolding import Blindfolding
    from csi_lab.sem.verdicts import Verdicts


@dataclass(frozen=True, eq=False)
class PLSFit(Assessed):
    """An estimated PLS path model.

    Tables have the column ``estimate``, and ``se, low, high`` beside it in the fit that :meth:`bootstrap` returns. When
    the moments had leading axes (replicates, groups) they have a column per draw instead. ``solution`` holds the raw
    arrays. The attributes are those of :class:`~csi_lab.sem.estimation.Estimation`.
    """

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
        """Correlations of items with their own construct (consistent: corrected), index (construct, item)."""
        return self._items(lambda fit: assess.own_loadings(fit.solution, fit.layout))

    @cached_property
    def cross_loadings(self) -> pd.DataFrame:
        """Correlations of every item with every construct, items as rows (a single survey only).

        With intervals: :attr:`cross_loading_estimates`.
        """
        return self._square(self.solution.cross_loadings, self.weights.index, "construct")

    @cached_property
    def correlations(self) -> pd.DataFrame:
        """Correlations of the construct scores (a single survey only).

        With intervals: :attr:`correlation_estimates`.
        """
        import pandas as pd

        return self._square(self.solution.correlations, pd.Index(list(self.model.constructs), name="construct"), "with")

    @cached_property
    def cross_loading_estimates(self) -> pd.DataFrame:
        """The cross-loadings row by row, index (construct, item, with): the own construct of the item, and each."""
        names = list(self.model.constructs)
        index = [(c, item, other) for c, items in self.model.constructs.items() for item in items for other in names]
        return self._table(
            lambda fit: fit.solution.cross_loadings.reshape(*fit.moments.shape, -1),
            index,
            ["construct", "item", "with"],
        )

    @cached_property
    def correlation_estimates(self) -> pd.DataFrame:
        """The correlations of the construct scores row by row, each pair once, index (construct, with)."""
        return self._lower(lambda fit: fit.solution.correlations, diagonal=False)

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

    def blindfolding(self, data: Any, omission: int = 7, *, weights: Any = None) -> Blindfolding:
        """Q2 by blindfolding, from the rows the fit came from; see :func:`csi_lab.sem.blindfolding.blindfold`."""
        from csi_lab.sem.blindfolding import blindfold

        return blindfold(self, data, omission, weights=weights)

    def verdicts(self, **cutoffs: float) -> Verdicts:
        """Every estimate against its cited cut-off, in words; see :func:`csi_lab.sem.verdicts.judge` for the keywords.

        Raises
        ------
        EstimationError
            If the fit holds several draws.
        SpecError
            If a cut-off is unknown or no finite number.

        Examples
        --------
        >>> import csi_lab as csi
        >>> found = csi.sem.pls(csi.load_survey("mobile")).verdicts(htmt=0.90)
        >>> found.failing("HTMT")["subject"].tolist()
        ['Image and Quality', 'Image and Satisfaction', 'Quality and Satisfaction', 'Satisfaction and Loyalty']
        """
        from csi_lab.sem.verdicts import judge

        require_keywords(cutoffs, judge, "cut-offs", without=("fit",))
        return judge(self, **cutoffs)

    def to_json(self, path: str | PathLike[str] | None = None) -> str:
        """The fit as JSON text, also written to ``path`` when given; :func:`csi_lab.sem.stored.load_fit` reads it.

        It holds moments and estimates, no answers of respondents; replicates are not stored.

        Raises
        ------
        EstimationError
            If the fit holds several draws.
        DataError, SpecError
            If the file cannot be written, or ``path`` is none.
        """
        from csi_lab.sem.stored import to_json

        return to_json(self, path)

    def scores(self, data: Any) -> pd.DataFrame:
        """Construct scores of respondents, in the rows' order and with the frame's index.

        Items are centred (and, when ``scaled``, divided by the sd) with the moments of this fit, so that scores of the
        estimation sample have mean 0 and sd 1 (denominator n - 1) and new respondents are placed on the same scale.
        A row with a missing item in a block has NaN for that construct.

        Parameters
        ----------
        data
            A survey or a DataFrame, one row per respondent.

        Raises
        ------
        DataError
            If an item is absent, not numeric or infinite, or a survey keeps impossible answers of it.
        EstimationError
            If the fit holds several draws.
        """
        import pandas as pd

        if self.moments.shape:
            raise EstimationError("scores need the weights of one fit; this one holds several draws")
        items = list(self.model.items)
        frame = getattr(data, "frame", data)
        if not hasattr(frame, "columns"):
            raise DataError(f"need a survey or a DataFrame, got {type(data).__name__}")
        require_columns(frame, items)
        require_numbers(frame[items])
        require_possible(data, items)
        x = frame[items].to_numpy(dtype=float, na_value=np.nan)
        if np.isinf(x).any():
            raise DataError(infinite_values(frame[items]))
        x = x - self.moments.mean
        scale = self.moments.sd if self.scaled else np.ones(len(items))
        weighted = x / scale * self.solution.weights
        block = self.layout.block
        columns = {c: weighted[:, block == j].sum(axis=1) for j, c in enumerate(self.model.constructs)}
        return pd.DataFrame(columns, index=frame.index)

    def history(self) -> pd.DataFrame:
        """The outer weights after each iteration: rows are iterations, columns items, and ``change``.

        ``change`` is the sum of the absolute changes of all weights in that iteration, each times the sd of its item
        when items are not standardised; the last row is the solution.

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
        sd = np.sqrt(np.diagonal(matrix))
        frame.insert(0, "change", (frame.diff().abs() * sd).sum(axis=1, skipna=False))
        return frame

    def remarks(self, *, loading: float = 0.40, htmt: float = 0.90) -> tuple[str, ...]:
        """What a reader must know before using this fit, one sentence each; empty when there is nothing to say.

        Parameters
        ----------
        loading
            Items of mode A blocks whose loading lies below are named. Default .40: Hair, Hult, Ringle & Sarstedt
            (2022), A Primer on PLS-SEM, 3rd ed., ch. 4, advise removing such items.
        htmt
            Pairs of constructs whose HTMT is not below are named. Default .90: Henseler, Ringle & Sarstedt (2015),
            Journal of the Academy of Marketing Science, 43, 115-135. More checks: :meth:`verdicts`.

        Raises
        ------
        EstimationError
            If the fit holds several draws.
        SpecError
            If a cut-off is no finite number.
        """
        require_cutoff(loading, "loading")
        require_cutoff(htmt, "htmt")
        if self.moments.shape:
            raise EstimationError("remarks are made on one fit; this one holds several draws")
        out = list(self._alarms())
        turned = [c for c, f in zip(self.model.constructs, self.solution.flipped, strict=True) if f]
        if turned:
            out.append(f"turned round, because most of their loadings were negative: {', '.join(turned)}")
        own = self.loadings["estimate"]
        against = [f"{i} ({v:.2f})" for (c, i), v in own.items() if self.model.modes[c] == "A" and v <= -loading]
        if against:
            out.append(f"loading against its block, reversed?: {', '.join(against)}")
        weak = [f"{i} ({v:.2f})" for (c, i), v in own.items() if self.model.modes[c] == "A" and abs(v) < loading]
        if weak:
            out.append(f"loading below {loading:.2f}: {', '.join(weak)}")
        ratios = self.htmt["estimate"].loc[comparable_pairs(self)]
        alike = [f"{b} and {a} ({v:.2f})" for (a, b), v in ratios.items() if not v < htmt]
        if alike:
            out.append(f"hardly told apart, HTMT not below {htmt:.2f}: {', '.join(alike)}")
        negative = [f"{i} ({v:.2f})" for (_, i), v in self.weights["estimate"].items() if v < 0]
        if negative:
            out.append(f"negative outer weight, so no 0-100 index for the construct: {', '.join(negative)}")
        return tuple(out)

    def _alarms(self) -> tuple[str, ...]:
        """What stands in the first lines of the result."""
        out = []
        if not self.converged:
            out.append(
                f"NOT CONVERGED after {self.iterations} iterations (tolerance {self.tolerance:g}): the estimates are "
                "the last iterate, not a solution; raise max_iterations or simplify the model"
            )
        improper = why_improper(self.solution, self.model, self.layout) if self.consistent else ()
        if improper:
            out.append(f"IMPROPER SOLUTION of consistent PLS: {'; '.join(improper)}")
        copies = _copies(self.moments)
        if copies:
            out.append(f"items that copy each other, so that what they explain is theirs alone: {copies}")
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
        name = "Consistent PLS" if self.consistent else "PLS"
        head = f"{name} path model ({self.model}), {self.scheme} scheme, {metric}; {self.moments}"
        if self.moments.shape:
            return f"{head}; {self._lost()} of {np.size(self.converged)} draws without a solution"
        r2 = ", ".join(f"{c} {v:.3f}" for c, v in self.r2["estimate"].items())
        rest = f"converged after {self.iterations} iterations; " if self.converged else ""
        lines = [head, f"{rest}R2: {r2}"]
        if self.replicates is not None and self.replicated is not None:
            failed = self.replicated._lost()
            lost = f"; {failed} draws without a solution left out" if failed else ""
            if self.consistent:
                odd = int((self.replicated.converged & ~proper(self.replicated.solution, self.layout)).sum())
                lost += f"; {odd} draws with an improper solution kept"
            if self.kind == "bca" and (alone := self._jackknifed._lost()):
                lost += f"; {alone} units without which there is no solution left out of the acceleration"
            lines.append(f"{self.kind} intervals at {percent(self.level)} from {self.replicates}{lost}")
        alarms = self._alarms()
        return "\n".join([*alarms, *lines, *self.remarks()[len(alarms) :]])

    def _lost(self) -> int:
        """Draws without a solution."""
        return int(np.size(self.converged) - np.sum(self.converged))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        tables = "" if self.moments.shape else self.paths.round(3).to_html()
        return f"<p>{lines}</p>{tables}"


def _copies(moments: Moments) -> str:
    """Pairs of perfectly correlated items, for a remark; empty when there are none."""
    first, second = np.nonzero(np.triu(np.abs(moments.corr) > 1 - 1e-10, k=1))
    return ", ".join(f"{moments.names[i]} and {moments.names[j]}" for i, j in zip(first, second, strict=True))
