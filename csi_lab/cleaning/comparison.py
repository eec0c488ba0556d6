"""What the treatments of missing answers do to the index, its spread, alpha and the paths of a model."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.cleaning.donors import hot_deck
from csi_lab.cleaning.imputation import impute
from csi_lab.cleaning.missing import Gaps
from csi_lab.cleaning.pooling import pool
from csi_lab.cleaning.respondents import column_names
from csi_lab.cleaning.treatments import listwise, mean, regression, stochastic_regression
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.intervals import Interval
from csi_lab.model import PathModel
from csi_lab.moments import Moments
from csi_lab.resampling import Replicates, replicates
from csi_lab.settings import generator, require_draws, require_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from csi_lab.index.formula import Bounds

TREATMENTS = ("listwise", "mean", "hot deck", "regression", "stochastic regression", "EM", "multiple imputation")
# A standard error settles with fewer draws than the ends of a percentile interval; every imputation is resampled.
DRAWS = 200


@dataclass(frozen=True, eq=False)
class TreatmentComparison:
    """The same quantities after each treatment of missing answers.

    Attributes
    ----------
    table
        Index (quantity, treatment): ``estimate, se, low, high`` and ``n`` rows used; NaN where a treatment cannot be
        done. Quantities: ``index`` (0-100), ``sd`` of the respondents' index, ``alpha``, and the paths of the model.
    treatments
        Treatment to what was done in words, or why it cannot be done.
    construct
        The construct of index, sd and alpha.
    level
        Confidence level.
    """

    table: pd.DataFrame
    treatments: dict[str, str]
    construct: str
    level: float

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None, *, quantity: str = "index", reference: float | None = None) -> Axes:
        """One quantity after each treatment with its interval; ``reference`` draws a line, e.g. at the known truth.

        Raises
        ------
        SpecError
            If there is no such quantity.
        """
        import matplotlib.pyplot as plt

        from csi_lab.plots import ACCENT, INK

        have = list(self.table.index.unique("quantity"))
        if quantity not in have:
            raise SpecError(f"no quantity {quantity!r}; there are {have}")
        shown = self.table.loc[quantity]
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 0.4 * len(shown) + 1.0), layout="constrained")
        y = np.arange(len(shown))[::-1]
        ax.hlines(y, shown["low"], shown["high"], color=ACCENT, lw=1.6)
        ax.plot(shown["estimate"], y, "o", color=INK, ms=5)
        if reference is not None:
            ax.axvline(reference, color="0.6", ls="--", lw=1)
        ax.set_yticks(y, [f"{name} (n = {n})" for name, n in zip(shown.index, shown["n"], strict=True)])
        unit = {"index": ", 0 to 100 points", "sd": ", points of 0 to 100"}.get(quantity, "")
        ax.set_xlabel(f"{quantity} of {self.construct}{unit}" if unit else quantity, parse_math=False)
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def __str__(self) -> str:
        found = self.table.loc["index"].dropna()
        head = f"{self.construct}: index after {len(found)} treatments of missing answers"
        if found.empty:
            return head
        low, high = found["estimate"].idxmin(), found["estimate"].idxmax()
        lines = [
            head,
            f"from {found.loc[low, 'estimate']:.2f} ({low}) to {found.loc[high, 'estimate']:.2f} ({high}); "
            f"se from {found['se'].min():.2f} ({found['se'].idxmin()}) to {found['se'].max():.2f} "
            f"({found['se'].idxmax()})",
        ]
        failed = [name for name in self.treatments if name not in found.index]
        if failed:
            lines.append(f"cannot be done: {', '.join(failed)}; see .treatments")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(3).to_html(max_rows=60)}"


def compare_treatments(
    data: Any,
    model: PathModel | Sequence[str] | None = None,
    *,
    target: str | None = None,
    bounds: Bounds | None = None,
    treatments: Sequence[str] = TREATMENTS,
    within: str | Sequence[str] | None = None,
    weights: Any = None,
    m: int = 20,
    iterations: int = 10,
    draws: int = DRAWS,
    rng: np.random.Generator | int = 0,
    level: float = 0.95,
) -> TreatmentComparison:
    """The 0-100 index, its spread, alpha and the path coefficients after each treatment of missing answers.

    The index has equal weights, as in :func:`csi_lab.index.constructs.from_items`; paths are those of
    :func:`csi_lab.sem.pls.pls`. Standard errors come from replicates that honour the design, with normal intervals:

    * complete rows, means, hot deck and regressions: filled answers are taken as if they had been observed, which is
      what many studies do and makes standard errors too small;
    * EM: estimated anew in every replicate;
    * multiple imputation: every completed copy is resampled, and the copies are pooled by Rubin's rules.

    All treatments are resampled by the same draws, so that their standard errors differ by what the treatments do and
    not by chance; with complete answers they are equal. Complete rows of a sample without PSUs are the exception: they
    are fewer rows, with draws of their own.

    Parameters
    ----------
    data
        A survey or a DataFrame.
    model
        A path model, or the items of one construct (then there are no paths); ``None`` takes the model of the survey.
        All its items take part in completing, and complete rows are complete in all of them.
    target
        Construct of index, sd and alpha; default that of the survey, or ``"Satisfaction"``.
    bounds
        Lowest and highest possible answer, one pair or a pair per item; default those of the survey.
    treatments
        Which, in the order to be shown.
    within
        Columns of the cells of the hot deck.
    weights
        Sampling weights of a DataFrame: array, Series or column name.
    m, iterations
        As in :func:`csi_lab.cleaning.imputation.impute`.
    draws
        Replicates behind every standard error.
    rng
        Seed or generator. A treatment draws the same whatever others are asked for.
    level
        Confidence level.

    Returns
    -------
    TreatmentComparison

    Raises
    ------
    DataError
        If columns are absent or not numbers.
    EstimationError
        If answers lie outside the bounds.
    SpecError
        If a treatment is unknown, or bounds or the model are not known.

    Notes
    -----
    A treatment that cannot be done with these data (no donor, EM without a solution) has NaN and its reason stands in
    ``treatments``. EM and the other treatments of a row without any answer differ: EM leaves it out.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> holes = survey.frame.mask(np.random.default_rng(1).random(survey.frame.shape) < 0.03)
    >>> found = compare_treatments(
    ...     holes, ["CUSA1", "CUSA2", "CUSA3"], bounds=(1, 10), treatments=["listwise", "mean", "EM"], draws=50
    ... )
    >>> found.table.loc["index", "n"].to_dict()
    {'listwise': 227, 'mean': 250, 'EM': 250}
    """
    import pandas as pd

    wanted = column_names(treatments, "treatments")
    unknown = [name for name in wanted if name not in TREATMENTS]
    if unknown or not wanted:
        raise SpecError(f"treatments {unknown} are unknown; choose from {list(TREATMENTS)}")
    require_level(level)
    require_draws(draws)
    model, construct = _chosen(data, model, target)
    items = list(model.items)
    gaps = Gaps.of(data, items, weights)
    gaps.answers()
    quantities, names = _quantities(
        model, construct, bounds if bounds is not None else getattr(data, "bounds", None), gaps
    )
    root = generator(rng)
    generators = dict(zip(TREATMENTS, root.spawn(len(TREATMENTS)), strict=True))
    resampling = int(root.integers(2**63 - 1))
    rows: dict[tuple[str, str], dict[str, float]] = {}
    said: dict[str, str] = {}
    # A column named in weights= is one of the design by now; anything else goes on by position.
    design_weights = weights if isinstance(weights, str) or weights is None else gaps.weights
    for name in wanted:
        random = generators[name]
        try:
            if name == "multiple imputation":
                settings = (m, iterations, draws, level)
                found, n, said[name] = _imputed(gaps, quantities, design_weights, settings, random, resampling)
            else:
                drawn, said[name] = _replicated(name, gaps, within, design_weights, draws, random, resampling)
                found = drawn.interval(quantities, kind="normal", level=level)
                n = int(drawn.point.n)
        except (DataError, EstimationError) as problem:
            said[name] = f"cannot be done: {problem}"
            found, n = _none(len(names), level), 0
        for i, quantity in enumerate(names):
            ends = {key: float(getattr(found, key)[i]) for key in ("estimate", "se", "low", "high")}
            rows[quantity, name] = {**ends, "n": n}
    index = [(quantity, name) for quantity in names for name in wanted]
    table = pd.DataFrame([rows[key] for key in index])
    table.index = pd.MultiIndex.from_tuples(index, names=["quantity", "treatment"])
    return TreatmentComparison(table, said, construct, level)


def _chosen(data: Any, model: PathModel | Sequence[str] | None, target: str | None) -> tuple[PathModel, str]:
    """The model whose items are completed, and the construct of the index."""
    if model is None:
        model = getattr(data, "model", None)
        if model is None and hasattr(data, "constructs"):
            model = PathModel(dict(data.constructs))
    if model is None:
        raise SpecError("no model given and the data bring none; pass a PathModel or the items of one construct")
    if not isinstance(model, PathModel):
        name = target or "scale"
        if not isinstance(name, str):
            raise SpecError(f"target={target!r} must be the name of a construct")
        return PathModel({name: tuple(column_names(model, "model"))}), name
    wanted = target or getattr(data, "target", None) or "Satisfaction"
    if wanted not in model.constructs:
        raise SpecError(f"{wanted!r} is no construct of the model: {list(model.constructs)}; choose with target=")
    return model, wanted


def _quantities(
    model: PathModel, construct: str, bounds: Any, gaps: Gaps
) -> tuple[Callable[[Moments], np.ndarray], list[str]]:
    """Index, sd, alpha and paths as a function of moments ``(..., k)``, and their names."""
    from csi_lab.index.formula import limits, require_answers_inside
    from csi_lab.reliability.alpha import _alpha
    from csi_lab.sem.pls import pls

    if bounds is None:
        raise SpecError("the index needs bounds=(lowest, highest possible answer); the data bring none")
    own = list(model.constructs[construct])
    low, high = limits(bounds, own)
    require_answers_inside(gaps.frame[gaps.used], own, low, high)
    slope = 100 / (len(own) * (high - low))
    order = list(model.constructs)
    edges = [(order.index(source), order.index(goal)) for source, goal in model.edges]
    names = ["index", "sd", *(["alpha"] if len(own) > 1 else []), *(f"{a} -> {b}" for a, b in model.edges)]

    def quantities(moments: Moments) -> np.ndarray:
        part = moments[own]
        columns = [(part.mean - low) @ slope, np.sqrt(np.einsum("i,...ij,j->...", slope, part.cov, slope))]
        if len(own) > 1:
            columns.append(_alpha(part.cov))
        if edges:
            paths = pls(moments, model).solution.paths
            columns += [paths[..., source, goal] for source, goal in edges]
        return np.stack(columns, axis=-1)

    return quantities, names


def _replicated(
    name: str, gaps: Gaps, within: Any, weights: Any, draws: int, rng: np.random.Generator, resampling: int
) -> tuple[Replicates, str]:
    """Replicates of the sample after one treatment, and the treatment in words."""
    items = list(gaps.items)
    settings: dict[str, Any] = {"items": items, "weights": weights, "draws": draws, "rng": resampling}
    if name == "EM":
        drawn = replicates(gaps.data, missing="em", **settings)
        return drawn, getattr(drawn.point, "treatment", "") or "no answers are missing"
    if name == "listwise":
        # From all rows: the estimators keep a PSU that loses its rows.
        return replicates(gaps.data, **settings), listwise(gaps.data, items, weights=weights).treatment
    if name == "mean":
        made = mean(gaps.data, items, weights=weights)
    elif name == "hot deck":
        made = hot_deck(gaps.data, items, within=within, weights=weights, rng=rng)
    elif name == "regression":
        made = regression(gaps.data, items, weights=weights)
    else:
        made = stochastic_regression(gaps.data, items, weights=weights, rng=rng)
    return replicates(made.data, **settings), made.treatment


def _imputed(
    gaps: Gaps,
    quantities: Callable[[Moments], np.ndarray],
    weights: Any,
    settings: tuple[int, int, int, float],
    rng: np.random.Generator,
    resampling: int,
) -> tuple[Interval, int, str]:
    """Estimates pooled over imputations, rows used, and the treatment in words."""
    m, iterations, draws, level = settings
    made = impute(gaps.data, list(gaps.items), m=m, iterations=iterations, rng=rng, weights=weights)
    estimates, errors, drawn = [], [], None
    for copy in made:
        drawn = replicates(copy, items=list(gaps.items), weights=weights, draws=draws, rng=resampling)
        found = drawn.interval(quantities, kind="normal", level=level)
        estimates.append(found.estimate)
        errors.append(found.se)
    assert drawn is not None
    table = pool(np.array(estimates), np.array(errors) ** 2, df_complete=drawn.df, level=level).table
    estimate, se, low, high = (table[c].to_numpy() for c in ("estimate", "se", "low", "high"))
    pooled = Interval(estimate, se, low, high, np.zeros(len(table), int), draws, "normal", level)
    return pooled, int(drawn.point.n), str(made)


def _none(k: int, level: float) -> Interval:
    """Where a treatment cannot be done."""
    nothing = np.full(k, np.nan)
    return Interval(nothing, nothing, nothing, nothing, np.zeros(k, int), 0, "normal", level)
