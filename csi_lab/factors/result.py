"""The result of an exploratory factor analysis: tables, scores and what a reader must know."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import infinite_values, require_columns, require_numbers
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.factors.correlations import eigenvalues, require_regular
from csi_lab.factors.extraction import SINGULAR, Extraction, at_bound
from csi_lab.factors.fitting import RMSEA_LEVEL, residuals
from csi_lab.factors.rotation import Rotation
from csi_lab.intervals import Interval
from csi_lab.moments import Moments
from csi_lab.settings import require_cutoff

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

ScoreMethod = Literal["regression", "bartlett"]
ENDS = ("estimate", "se", "low", "high")


@dataclass(frozen=True, eq=False)
class EFAFit:
    r"""An exploratory factor analysis (or, by name, a component analysis) of one survey.

    With L the loadings, :math:`\Phi` the factor correlations and :math:`\Psi` the uniquenesses,
    :math:`\Sigma = L \Phi L' + \Psi` and F the normal-theory discrepancy from R, the measures of fit are

    .. math:: \chi^2 = \left(n - 1 - \frac{2p + 5}{6} - \frac{2m}{3}\right) F, \quad df = \frac{(p - m)^2 - p - m}{2},
        \quad RMSEA = \sqrt{\max\left(0, \frac{\chi^2/df - 1}{n}\right)}

    TLI with the same factor before the discrepancy of uncorrelated items, :math:`BIC = \chi^2 - df \ln n`, and RMSR the
    root of the mean squared residual correlation (corrected: divided by df instead of the number of correlations).
    R psych 2.2.9 has the root of :math:`\chi^2/(df\, n) - 1/(n - 1)` for RMSEA.

    Attributes
    ----------
    moments, reservation
        What was analysed, and why tests for simple random samples would not hold on it (empty when they do).
    extraction, rotation
        Method, and how the loadings were turned.
    pattern, phi_matrix, uniquenesses
        Raw arrays ``(p, m)``, ``(m, m)``, ``(p,)``; ``loadings``, ``phi`` and ``uniqueness`` show them with names.
    measures
        Measures of fit by name; NaN where there is none.
    converged, iterations
        Of the extraction.
    rotated, starts_agreeing
        Whether the rotation came to rest, and how many of its starts reached the best value.
    lower
        Bound of the uniquenesses.
    interval
        Errors and ends of loadings, communalities and factor correlations, in this order; NaN without draws.
    latent
        Whether the correlations were polychoric, so that raw answers have no scores.
    """

    moments: Moments
    reservation: str
    extraction: Extraction
    rotation: Rotation
    pattern: np.ndarray
    phi_matrix: np.ndarray
    uniquenesses: np.ndarray
    measures: dict[str, float]
    converged: bool
    iterations: int
    rotated: bool
    starts_agreeing: int
    lower: float
    interval: Interval
    latent: bool

    @property
    def n_factors(self) -> int:
        """Number of factors."""
        return self.pattern.shape[1]

    @property
    def names(self) -> list[str]:
        """F1, F2, ..., or C1, C2, ... for components."""
        letter = "C" if self.extraction == "components" else "F"
        return [f"{letter}{j + 1}" for j in range(self.n_factors)]

    @cached_property
    def loadings(self) -> pd.DataFrame:
        """Pattern loadings: weights of the factors in each standardised item."""
        return self._items(self.pattern)

    @cached_property
    def structure(self) -> pd.DataFrame:
        """Correlations of items with factors; the loadings again when factors are uncorrelated."""
        return self._items(self.pattern @ self.phi_matrix)

    @cached_property
    def phi(self) -> pd.DataFrame:
        """Correlations of the factors."""
        import pandas as pd

        return pd.DataFrame(
            self.phi_matrix, index=pd.Index(self.names, name="factor"), columns=pd.Index(self.names, name="with")
        )

    @cached_property
    def uniqueness(self) -> pd.Series:
        """Share of each item's variance that no factor explains."""
        import pandas as pd

        return pd.Series(self.uniquenesses, index=self._item_index(), name="uniqueness")

    @cached_property
    def communalities(self) -> pd.DataFrame:
        """Share of each item's variance that the factors explain: ``estimate, se, low, high``."""
        p, m = self.pattern.shape
        return self._estimates(slice(p * m, p * m + p), list(self.moments.names), ["item"])

    @cached_property
    def correlations(self) -> pd.DataFrame:
        """Correlations of the factors pair by pair, index (factor, with): ``estimate, se, low, high``."""
        p, m = self.pattern.shape
        first, second = np.triu_indices(m, 1)
        index = [(self.names[i], self.names[j]) for i, j in zip(first, second, strict=True)]
        return self._estimates(slice(p * m + p, None), index, ["factor", "with"])

    @cached_property
    def variance(self) -> pd.DataFrame:
        """Variance explained by each factor: sum of squares, proportion of all items' variance, cumulated."""
        import pandas as pd

        squares = np.diagonal(self.phi_matrix @ self.pattern.T @ self.pattern)
        share = squares / len(self.pattern)
        columns = {"sum of squares": squares, "proportion": share, "cumulative": np.cumsum(share)}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="factor"))

    @cached_property
    def fit_measures(self) -> pd.Series:
        """chi2, df, p, rmsea with its 90 % interval, tli, bic, rmsr and others; NaN where there is none."""
        import pandas as pd

        return pd.Series(self.measures, name="value", dtype=float).rename_axis("measure")

    @cached_property
    def residuals(self) -> pd.DataFrame:
        """Correlations that the factors leave unexplained, the diagonal 0."""
        import pandas as pd

        left = residuals(self.moments.corr, self.pattern, self.phi_matrix)
        return pd.DataFrame(left, index=self._item_index(), columns=self._item_index().rename("with"))

    @property
    def heywood(self) -> tuple[str, ...]:
        """Items without any uniqueness left (at its lower bound, or communality 1 or more): an improper solution."""
        if self.extraction == "components":
            return ()
        explained = np.einsum("ij,jk,ik->i", self.pattern, self.phi_matrix, self.pattern)
        full = at_bound(self.uniquenesses, self.lower) | (explained >= 1)
        return tuple(name for name, no in zip(self.moments.names, full, strict=True) if no)

    def table(self, cut: float = 0.30) -> pd.DataFrame:
        """Loadings sorted by factor and size, those below ``cut`` (in absolute value) left empty, with communality.

        The default .30 is a convention of display (about 9 % of an item's variance); it decides nothing.
        """
        require_cutoff(cut, "cut")
        size = np.abs(self.pattern)
        own = size.argmax(axis=1)
        order = np.lexsort((-size.max(axis=1), own))
        shown = self.loadings.where(size >= cut).iloc[order]
        return shown.assign(communality=self.communalities["estimate"].iloc[order])

    def assignment(self, *, primary: float = 0.50, gap: float = 0.20) -> pd.DataFrame:
        """Each item with the factor on which it loads most, and whether the rule keeps it there.

        Parameters
        ----------
        primary
            Least loading in absolute value. Default .50: Costello & Osborne (2005), Practical Assessment, Research &
            Evaluation, 10(7).
        gap
            Least lead over the next loading. Default .20: Howard (2016), International Journal of Human-Computer
            Interaction, 32(1), 51-62.

        Returns
        -------
        DataFrame
            Columns ``factor, loading, next, kept, reason``.
        """
        import pandas as pd

        require_cutoff(primary, "primary")
        require_cutoff(gap, "gap")
        size = np.abs(self.pattern)
        own = size.argmax(axis=1)
        first = np.take_along_axis(size, own[:, None], axis=1)[:, 0]
        rest = np.where(np.arange(self.n_factors) == own[:, None], 0.0, size).max(axis=1)
        weak, close = first < primary, first - rest < gap
        reason = [
            "; ".join([f"loading below {primary:.2f}"] * bool(w) + [f"less than {gap:.2f} above the next"] * bool(c))
            for w, c in zip(weak, close, strict=True)
        ]
        return pd.DataFrame(
            {
                "factor": [self.names[j] for j in own],
                "loading": np.take_along_axis(self.pattern, own[:, None], axis=1)[:, 0],
                "next": rest,
                "kept": ~(weak | close),
                "reason": reason,
            },
            index=self._item_index(),
        )

    def score_weights(self, method: ScoreMethod = "regression") -> pd.DataFrame:
        r"""Weights of the standardised items in factor scores.

        ``"regression"``: :math:`R^{-1} L \Phi`, the best guess (Thurstone 1935); ``"bartlett"``:
        :math:`\Psi^{-1} L (L' \Psi^{-1} L)^{-1}`, unbiased for each respondent (Bartlett 1937; so R factanal, while R
        psych 2.2.9 has other weights under this name).

        Raises
        ------
        SpecError
            If the method is unknown, or Bartlett's is asked of components.
        EstimationError
            If the correlations have no inverse, or (Bartlett) an item has no uniqueness.
        """
        if method not in ("regression", "bartlett"):
            raise SpecError(f"method={method!r} is unknown; use 'regression' or 'bartlett'")
        if method == "regression":
            require_regular(self.moments.corr, self.moments.names, "a regression score")
            return self._items(np.linalg.solve(self.moments.corr, self.pattern @ self.phi_matrix))
        if self.extraction == "components":
            raise SpecError("components have no uniquenesses, which Bartlett's scores need; use method='regression'")
        if self.heywood:
            raise EstimationError(
                f"Bartlett's scores divide by uniquenesses, and these items have none: {list(self.heywood)}; "
                "use method='regression' or fewer factors"
            )
        scaled = self.pattern / self.uniquenesses[:, None]
        across = self.pattern.T @ scaled
        if np.linalg.cond(across) > 1 / SINGULAR:
            raise EstimationError("a factor without loadings has no Bartlett score; take fewer factors")
        return self._items(scaled @ np.linalg.inv(across))

    def scores(self, frame: Any, method: ScoreMethod = "regression") -> pd.DataFrame:
        """Factor scores of respondents, in the rows' order and with the frame's index.

        ``frame`` is a DataFrame or a survey. Items are standardised with the moments of this fit. A row with a missing
        item has NaN.

        Raises
        ------
        DataError
            If an item is absent, not numeric or infinite.
        EstimationError
            If the correlations were polychoric, and as in :meth:`score_weights`.
        """
        import pandas as pd

        if self.latent:
            raise EstimationError(
                "these factors stand behind polychoric correlations; raw answers are not on their scale. "
                "Fit the answers themselves for scores"
            )
        frame = getattr(frame, "frame", frame)
        if not hasattr(frame, "columns"):
            raise DataError(f"scores need a survey or a DataFrame, got {type(frame).__name__}")
        items = list(self.moments.names)
        labels = {str(c): c for c in frame.columns}
        require_columns(frame, [labels.get(item, item) for item in items])
        answers = frame[[labels[item] for item in items]]
        require_numbers(answers)
        x = answers.to_numpy(dtype=float, na_value=np.nan)
        if np.isinf(x).any():
            raise DataError(infinite_values(answers))
        z = (x - self.moments.mean) / self.moments.sd
        return pd.DataFrame(z @ self.score_weights(method).to_numpy(), index=frame.index, columns=self.names)

    @property
    def determinacy(self) -> pd.Series:
        """Correlation of each factor with its regression score; below .90 scores should not rank persons (Grice 2001).

        Raises
        ------
        EstimationError
            If the correlations have no inverse.
        """
        import pandas as pd

        weights = self.score_weights("regression").to_numpy()
        value = np.sqrt(((self.pattern @ self.phi_matrix) * weights).sum(axis=0))
        return pd.Series(value, index=pd.Index(self.names, name="factor"), name="determinacy")

    def remarks(self, *, primary: float = 0.50, gap: float = 0.20, at_least: int = 3) -> tuple[str, ...]:
        """What a reader must know before using this fit, one sentence each.

        ``primary`` and ``gap`` as in :meth:`assignment`; factors with fewer than ``at_least`` items kept are named
        (default 3: Costello & Osborne 2005).
        """
        out = []
        if not self.converged:
            out.append(
                f"NOT CONVERGED after {self.iterations} iterations: the loadings are the last iterate, no solution"
            )
        if self.heywood:
            out.append(
                f"IMPROPER (Heywood case): nothing unique is left of {', '.join(self.heywood)}; try fewer factors"
            )
        if not self.rotated:
            out.append(f"THE ROTATION DID NOT CONVERGE in {self.rotation.max_iterations} iterations")
        smallest = float(eigenvalues(self.moments.corr)[-1])
        if smallest <= SINGULAR:
            out.append(
                f"the correlations have no inverse (smallest eigenvalue {smallest:.2g}), so there is no chi-square"
            )
        if self.rotation.begun > 1 and self.n_factors > 1 and self.rotation.name != "none":
            out.append(f"{self.starts_agreeing} of {self.rotation.begun} starts reached the best rotation")
        if self.reservation and self.extraction != "components":
            out.append(f"no p and no interval of RMSEA, and chi-square is nominal: {self.reservation}")
        kept = self.assignment(primary=primary, gap=gap)
        clear = kept["factor"][kept["kept"]].value_counts().reindex(self.names, fill_value=0)
        few = [f"{name} ({k})" for name, k in clear.items() if k < at_least]
        if few and self.rotation.name != "none":
            out.append(f"fewer than {at_least} clear items ({primary:.2f} or more, {gap:.2f} ahead): {', '.join(few)}")
        return tuple(out)

    def to_frame(self) -> pd.DataFrame:
        """Loadings in one tidy table, index (item, factor): ``estimate, se, low, high``."""
        index = [(item, name) for item in self.moments.names for name in self.names]
        return self._estimates(slice(0, self.pattern.size), index, ["item", "factor"])

    def plot(self, ax: Axes | None = None, labels: dict[str, str] | None = None) -> Axes:
        """Heat map of the sorted loadings; see :func:`csi_lab.plots_loadings.loading_map`."""
        from csi_lab.plots_loadings import loading_map

        return loading_map(self.loadings.loc[self.table().index], ax=ax, labels=labels)

    def __str__(self) -> str:
        p, m = self.pattern.shape
        what = "component" if self.extraction == "components" else "factor"
        method = "principal components" if self.extraction == "components" else f"factors by {self.extraction}"
        count = f"{m} {method}" if m > 1 else f"1 {what}" + (f" by {self.extraction}" if what == "factor" else "")
        left_out = f", {self.moments.dropped} rows left out (missing answers)" if self.moments.dropped else ""
        weighted = ", weighted" if self.moments.weighted else ""
        turned = f", {self.rotation}" if m > 1 else ""
        head = f"{p} items, {count}{turned}; n = {self.moments.n}{left_out}{weighted}"
        lines = [head, f"{self.variance['cumulative'].iloc[-1]:.0%} of the variance explained; {self._fit_in_words()}"]
        if self.interval.draws:
            lines.append(str(self.interval))
        remarks = list(self.remarks())
        loud = [r for r in remarks if r.split()[0].isupper() and len(r.split()[0]) > 1]
        return "\n".join([*loud, *lines, *(r for r in remarks if r not in loud)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        tables = self.table().round(3).to_html(na_rep="")
        if self.rotation.oblique and self.n_factors > 1:
            tables += self.phi.round(3).to_html()
        return f"<p>{lines}</p>{tables}"

    def _fit_in_words(self) -> str:
        v = self.measures
        rmsr = f"RMSR = {v['rmsr']:.3f}"
        if not np.isfinite(v["chi2"]):
            return rmsr
        p = "" if np.isnan(v["p"]) else (", p < .001" if v["p"] < 0.001 else f", p = {v['p']:.3f}")
        text = f"chi2 = {v['chi2']:.2f}, df = {v['df']:.0f}{p}, {rmsr}"
        if np.isfinite(v["rmsea"]):
            ends = f" [{v['rmsea_low']:.3f}, {v['rmsea_high']:.3f}]" if np.isfinite(v["rmsea_low"]) else ""
            text += f", RMSEA = {v['rmsea']:.3f}{ends}{f' ({RMSEA_LEVEL:.0%})' if ends else ''}, TLI = {v['tli']:.3f}"
        return text

    def _item_index(self) -> pd.Index:
        import pandas as pd

        return pd.Index(list(self.moments.names), name="item")

    def _items(self, values: np.ndarray) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(values, index=self._item_index(), columns=pd.Index(self.names, name="factor"))

    def _estimates(self, part: slice, index: Sequence[object], names: Sequence[str]) -> pd.DataFrame:
        """Some of the quantities of ``interval``."""
        import pandas as pd

        rows: pd.Index = (
            pd.MultiIndex.from_tuples(list(index), names=list(names))
            if len(names) > 1 and index
            else pd.Index(list(index), name=names[0])
        )
        return pd.DataFrame({end: getattr(self.interval, end)[part] for end in ENDS}, index=rows)
