"""Several completed copies of one sample: reading them, judging the chains that made them, and pooling analyses."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.cleaning.completed import survey_with, with_answers
from csi_lab.cleaning.missing import Gaps, shortened
from csi_lab.cleaning.pooling import Pooled, pool
from csi_lab.errors import DataError, SpecError
from csi_lab.intervals import Interval
from csi_lab.moments import Moments

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Chains further apart than this have not mixed: Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., sec. 11.5.
RHAT = 1.1
# How often chains that have mixed may be named all the same.
CHANCE = 0.01
# Fewer rounds leave nothing to judge after the first half is set aside.
FEWEST_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Imputations:
    """A sample with its missing answers drawn m times. Made by :func:`csi_lab.cleaning.imputation.impute`.

    Attributes
    ----------
    gaps
        The sample before.
    values
        Item to drawn values ``(m, k)``, in the order of the rows that lack it.
    trace
        Mean and standard deviation of the drawn values ``(2, iterations, m, p)`` in every round of every chain.
    methods
        Item to the way it was drawn.
    m
        Imputations.
    treatment
        What was done, in words, with counts.
    """

    gaps: Gaps
    values: Mapping[str, np.ndarray]
    trace: np.ndarray
    methods: Mapping[str, str]
    m: int
    treatment: str

    def __len__(self) -> int:
        return self.m

    def __iter__(self) -> Iterator[Any]:
        return (self.completed(i) for i in range(self.m))

    @property
    def items(self) -> tuple[str, ...]:
        """The items, with and without gaps."""
        return self.gaps.items

    def completed(self, imputation: int) -> Any:
        """One completed copy, counted from 0: a survey where a survey was given, so that its design stays, or a frame.

        Raises
        ------
        SpecError
            If there is no such imputation.
        """
        if not 0 <= imputation < self.m:
            raise SpecError(f"imputation {imputation!r} does not exist; there are {self.m}, counted from 0")
        answers = self.gaps.answers()
        for j, item in enumerate(self.items):
            answers[self._lacking(item), j] = self.values[item][imputation]
        frame = with_answers(self.gaps.frame, self.items, answers)
        return survey_with(self.gaps.data, frame, f"Imputation {imputation + 1} of {self.m}: {self.treatment}")

    def moments(self, items: Sequence[str] | None = None) -> Moments:
        """Moments of the completed copies with a leading axis of m; every estimator broadcasts over it.

        Raises
        ------
        DataError
            If an item is not among those imputed.
        """
        names = list(self.items if items is None else [items] if isinstance(items, str) else items)
        absent = [name for name in names if name not in self.items]
        if absent:
            raise DataError(f"not among the items imputed: {absent}; these are {list(self.items)}")
        weights = self.gaps.weights if self.gaps.weighted else None
        frames = (getattr(copy, "frame", copy)[names] for copy in self)
        return Moments.stack([Moments.from_frame(frame, weights) for frame in frames])

    def analyse(self, function: Callable[[Any], Any], *, df_complete: float = np.inf, level: float = 0.95) -> Pooled:
        """Analyse every completed copy and pool the results by Rubin's rules, row by row.

        Parameters
        ----------
        function
            Takes a completed copy (survey or frame) and returns estimates with standard errors: a table with columns
            ``estimate`` and ``se``, a result whose ``to_frame()`` has them, an
            :class:`~csi_lab.intervals.Interval`, or a pair (estimate, se) of numbers or sequences.
        df_complete, level
            As in :func:`csi_lab.cleaning.pooling.pool`.

        Returns
        -------
        Pooled

        Raises
        ------
        SpecError
            If the function returns something else.
        DataError
            If the copies give different rows.
        EstimationError
            If an estimate or standard error is missing in some copy.

        Examples
        --------
        >>> import csi_lab as csi
        >>> from csi_lab.cleaning.imputation import impute
        >>> survey = csi.load_survey("mobile")
        >>> holes = survey.frame.mask(np.random.default_rng(1).random(survey.frame.shape) < 0.05)
        >>> found = impute(holes, ["CUSA1", "CUSA2", "CUSA3"], m=5, rng=1)
        >>> index = lambda frame: csi.index.from_items(frame, {"Satisfaction": found.items}, (1, 10))
        >>> pooled = found.analyse(index, df_complete=249)
        >>> list(pooled.table.index), bool(70 < pooled.table["estimate"].iloc[0] < 74)
        (['Satisfaction'], True)
        """
        tables = [_table(function(copy)) for copy in self]
        first = tables[0]
        twice = sorted({str(name) for name in first.index[first.index.duplicated()]})
        if twice:
            raise DataError(f"rows share a label: {twice}; results are pooled by label, so each row needs its own")
        for i, table in enumerate(tables):
            odd = first.index.symmetric_difference(table.index)
            if len(odd) or len(table) != len(first):
                raise DataError(
                    f"imputation {i} gives other rows than imputation 0: {shortened(list(odd)) or 'copies'}"
                )
        aligned = [table.reindex(first.index) for table in tables]
        estimates = np.array([table["estimate"].to_numpy(dtype=float) for table in aligned])
        errors = np.array([table["se"].to_numpy(dtype=float) for table in aligned])
        found = pool(estimates, errors**2, df_complete=df_complete, names=list(first.index), level=level)
        return replace(found, table=found.table.set_axis(first.index, axis=0))

    @cached_property
    def rhat(self) -> pd.DataFrame:
        """Potential scale reduction of the chains of means and standard deviations, one row per item with gaps.

        Computed from the second half of the rounds; NaN where there is too little to judge.
        """
        import pandas as pd

        kept = self.trace[:, self.trace.shape[1] // 2 :]
        values = np.full((2, len(self.items)), np.nan)
        if self.trace.shape[1] >= FEWEST_ROUNDS and self.m > 1:
            values = np.stack([scale_reduction(part) for part in kept])
        table = pd.DataFrame({"mean": values[0], "sd": values[1]}, index=pd.Index(self.items, name="item"))
        return table[[bool(self.values[item].size) for item in self.items]]

    def remarks(self, *, rhat: float = RHAT) -> tuple[str, ...]:
        """What a reader must know, one sentence each.

        Parameters
        ----------
        rhat
            Chains whose potential scale reduction lies above, and above what chance alone does to short chains (an F
            test at 1 % for all items together), are named. Default 1.1: Gelman et al. (2013), Bayesian Data Analysis,
            3rd ed., sec. 11.5.
        """
        rounds = self.trace.shape[1]
        if rounds < FEWEST_ROUNDS:
            return (f"{rounds} iterations are too few to judge whether the chains have mixed",)
        kept, tests = rounds - rounds // 2, max(1, self.rhat.size)
        ratio = special.fdtri(self.m - 1, self.m * (kept - 1), 1 - CHANCE / tests)
        limit = max(rhat, float(np.sqrt((kept - 1) / kept + ratio / kept)))
        worst = self.rhat.max(axis=1)
        apart = [f"{item} ({value:.2f})" for item, value in worst.items() if value > limit]
        if not apart:
            return ()
        return (f"chains that have not mixed (R-hat above {limit:.2f}): {shortened(apart)}; raise iterations",)

    def to_frame(self) -> pd.DataFrame:
        """One row per item: method, missing, share, mean and sd of the answers given and of those drawn, R-hat."""
        import pandas as pd

        x, used = self.gaps.answers(), self.gaps.used
        rows = []
        for j, item in enumerate(self.items):
            given, drawn = x[used, j][~np.isnan(x[used, j])], self.values[item]
            rows.append(
                {
                    "method": self.methods[item],
                    "missing": drawn.shape[1],
                    "share": drawn.shape[1] / used.sum(),
                    "mean_given": given.mean(),
                    "mean_drawn": drawn.mean() if drawn.size else np.nan,
                    "sd_given": given.std(ddof=1) if len(given) > 1 else np.nan,
                    "sd_drawn": drawn.std(ddof=1) if drawn.size > 1 else np.nan,
                }
            )
        table = pd.DataFrame(rows, index=pd.Index(self.items, name="item"))
        return table.assign(rhat=self.rhat.max(axis=1).reindex(table.index))

    def plot(self, ax: Axes | None = None, *, item: str | None = None) -> Axes:
        """Mean of the drawn values of an item (default: the one with most gaps) in every round, a line per chain.

        Raises
        ------
        SpecError
            If the item has no gaps.
        """
        import matplotlib.pyplot as plt

        from csi_lab.plots import ACCENT, INK

        sizes = {name: values.shape[1] for name, values in self.values.items()}
        item = max(sizes, key=lambda name: sizes[name]) if item is None else item
        if not sizes.get(item):
            raise SpecError(f"{item!r} has no gaps that were filled; those with gaps: {[n for n in sizes if sizes[n]]}")
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
        lines = self.trace[0, :, :, self.items.index(item)]
        rounds = np.arange(1, len(lines) + 1)
        ax.plot(rounds, lines, color=ACCENT, lw=0.8, alpha=0.6)
        given = self.gaps.answers()[self.gaps.used, self.items.index(item)]
        ax.axhline(np.nanmean(given), color=INK, ls="--", lw=1, label="mean of the answers given")
        ax.set_xlabel("iteration")
        ax.set_ylabel(f"mean of the values drawn for {item}", parse_math=False)
        ax.legend(frameon=False, fontsize=8)
        return ax

    def __str__(self) -> str:
        return "\n".join([self.treatment, *self.remarks()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.to_frame().round(3).to_html(max_rows=30)}"

    def _lacking(self, item: str) -> np.ndarray:
        """Rows whose answer to an item was drawn."""
        return np.flatnonzero(~self.gaps.known[:, self.items.index(item)] & self.gaps.used)


def scale_reduction(chains: np.ndarray) -> np.ndarray:
    r"""Gelman and Rubin's potential scale reduction of chains ``(rounds, m, ...)``: 1 when they have mixed.

    .. math:: \hat R = \sqrt{\frac{L - 1}{L} + \frac{B/L}{W}}

    with L rounds, B/L the variance of the chains' means and W the mean variance within chains.

    Parameters
    ----------
    chains
        Two rounds and two chains or more.

    Returns
    -------
    ndarray
        ``(...)``; NaN where nothing varies.

    References
    ----------
    .. [1] Gelman, A., & Rubin, D. B. (1992). Inference from iterative simulation using multiple sequences. Statistical
       Science, 7(4), 457-472.

    Examples
    --------
    >>> chains = np.array([[1.0, 5.0], [2.0, 6.0], [1.0, 5.0], [2.0, 6.0]])
    >>> round(float(scale_reduction(chains)), 3)
    4.975
    """
    rounds = len(chains)
    between = chains.mean(axis=0).var(axis=0, ddof=1)
    within = chains.var(axis=0, ddof=1).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((rounds - 1) / rounds + between / within)


def _table(result: Any) -> pd.DataFrame:
    """Columns ``estimate`` and ``se`` from whatever an analysis returns."""
    import pandas as pd

    if isinstance(result, Interval):
        return pd.DataFrame({"estimate": np.ravel(result.estimate), "se": np.ravel(result.se)})
    if isinstance(result, tuple) and len(result) == 2:
        estimate, se = result
        index = estimate.index if isinstance(estimate, pd.Series) else None
        estimate, se = np.atleast_1d(np.asarray(estimate, float)), np.atleast_1d(np.asarray(se, float))
        if estimate.ndim != 1 or estimate.shape != se.shape:
            raise SpecError(f"estimates {estimate.shape} and standard errors {se.shape} do not go together")
        return pd.DataFrame({"estimate": estimate, "se": se}, index=index)
    table = result if isinstance(result, pd.DataFrame) else result.to_frame() if hasattr(result, "to_frame") else None
    if table is None and hasattr(result, "value") and hasattr(result, "se"):
        return pd.DataFrame({"estimate": [float(result.value)], "se": [float(result.se)]}, index=["value"])
    if not isinstance(table, pd.DataFrame):
        raise SpecError(f"the analysis returns {type(result).__name__}; return a table with estimate and se, or a pair")
    absent = [c for c in ("estimate", "se") if c not in table.columns]
    if absent:
        raise SpecError(
            f"the analysis gives no {' and no '.join(absent)}: columns {[str(c) for c in table.columns][:8]}; standard "
            "errors come from draws= or .bootstrap(...)"
        )
    return table[["estimate", "se"]]
