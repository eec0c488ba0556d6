"""Polychoric and tetrachoric correlations: what ordered answers would correlate if they had been measured finely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.answers import as_items, require_columns, require_numbers, require_possible, split_weights
from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.intervals import Kind, require_interval
from csi_lab.moments import Moments, RowsMissing
from csi_lab.percent import percent
from csi_lab.polychoric_result import Polychoric
from csi_lab.resampling import replicates
from csi_lab.settings import is_number, require_whole
from csi_lab.thresholds import Tables, pairs, two_step
from csi_lab.usable import require_rows, require_variation

if TYPE_CHECKING:
    import pandas as pd


def polychoric(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    weights: Any = None,
    design: Design | None = None,
    missing: RowsMissing = "listwise",
    empty_cell: float = 0.5,
    most_categories: int = 20,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> Polychoric:
    r"""Polychoric correlations of all pairs of ordered items, in two steps of maximum likelihood.

    Behind each item stands a standard normal variable, cut into its categories. The cuts follow from the margins,
    :math:`\tau_k = \Phi^{-1}(\text{share of answers in categories} \le k)`; given the cuts, the correlation of a pair
    maximises :math:`\sum_{ij} n_{ij} \ln \pi_{ij}(\rho)` with :math:`\pi_{ij}` the normal probability of cell i, j.

    Parameters
    ----------
    data
        A survey or a DataFrame; the answers are needed, moments are not enough.
    items
        Two or more items whose values are ordered categories; default all.
    weights
        Sampling weights for a DataFrame (array, Series or column name).
    design
        Columns of weights, strata and clusters of a DataFrame; a survey brings its own.
    missing
        ``"listwise"`` leaves rows with a missing item out of all pairs; ``"raise"`` refuses them.
    empty_cell
        Added to the empty cell of a two-by-two table (its margins are kept), where the correlation would else be 1 or
        -1; default .5 [2]_, 0 for none. Empty cells of larger tables are left as they are: the likelihood needs no
        help there.
    most_categories
        Items with more distinct values are refused: they are numbers rather than categories.
    draws, rng, kind, level
        Ask for intervals by resampling (which honour weights, strata and clusters). Without draws, standard errors
        follow from the scores of both steps, and intervals from Fisher's z.

    Returns
    -------
    Polychoric
        To be given to ``factors.efa`` and other estimators in place of the answers.

    Raises
    ------
    DataError
        If an item is absent, text, constant, a relabelled copy of another, or has too many values, or if rows are too
        few for the categories.

    Notes
    -----
    For two items cut at their medians the result is :math:`\sin(2\pi(p_{11} - 1/4))` (``tests/test_polychoric.py``).
    Each pair is estimated by itself; whether the whole is positive definite is said first.

    References
    ----------
    .. [1] Olsson, U. (1979). Maximum likelihood estimation of the polychoric correlation coefficient. Psychometrika,
       44(4), 443-460.
    .. [2] Brown, M. B., & Benedetti, J. K. (1977). On the mean and variance of the tetrachoric correlation coefficient.
       Psychometrika, 42(3), 347-355.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(polychoric(csi.load_survey("mobile"), ["CUSA1", "CUSA2", "CUSA3"]))
    polychoric correlations of 3 items: 0.546 to 0.628, n = 250
    """
    import pandas as pd

    require_interval(kind, level)
    require_whole(most_categories, "most_categories", 2)
    if not is_number(empty_cell) or not 0 <= empty_cell < 1:
        raise SpecError(f"empty_cell={empty_cell!r} must be 0 (nothing is added) or less than one answer, e.g. 0.5")
    require_rows(missing, "a table of answers")
    frame, design, weights = _source(data, items, weights, design)
    w = frame[design.weights] if design.weights else weights
    answers = Moments.from_frame(frame[[c for c in frame.columns if c not in design.columns]], w, missing)
    names = answers.names
    if len(names) < 2:
        raise DataError(f"correlations need two items or more, got {list(names)}")
    require_variation(answers)
    coded, levels = _indicators(frame[list(names)], w, most_categories)
    tables = Tables(tuple(len(v) for v in levels))
    moments = Moments.from_frame(coded, w, missing)
    first, second = pairs(len(names))
    counts = tables.counts(moments)
    _require_tables(names, counts, tables, answers.n)
    found = two_step(counts, tables, empty_cell)
    rho, boundary = found.rho, found.boundary
    made = None

    def matrices(m: Moments) -> np.ndarray:
        rho = two_step(tables.counts(m), tables, empty_cell).rho
        full = np.zeros((*rho.shape[:-1], len(names), len(names)))
        full[..., first, second] = full[..., second, first] = rho
        return full + np.eye(len(names))

    if draws is not None:
        rows = coded.assign(**{c: frame[c] for c in design.columns})
        made = replicates(
            rows, design, items=list(coded.columns), weights=weights, draws=draws, rng=rng, missing=missing
        )
        interval = made.interval(lambda m: matrices(m)[..., first, second], kind=kind, level=level)
        se, low, high, why = interval.se, interval.low, interval.high, str(interval)
    elif answers.weighted or not design.simple:
        se = low = high = np.full(rho.shape, np.nan)
        why = "none: the sample has weights, strata or clusters, which the formula ignores; ask for draws"
    else:
        se = np.where(boundary, np.nan, found.se(answers.n))
        z, half = np.arctanh(rho), special.ndtri((1 + level) / 2) * se / (1 - rho**2)
        low, high, why = np.tanh(z - half), np.tanh(z + half), f"Fisher's z with two-step errors at {percent(level)}"
    matrix = np.eye(len(names))
    matrix[first, second] = matrix[second, first] = rho
    index = pd.MultiIndex.from_arrays([[names[i] for i in first], [names[j] for j in second]], names=["item", "with"])
    return Polychoric(
        names=names,
        matrix=matrix,
        pairs=pd.DataFrame({"estimate": rho, "se": se, "low": low, "high": high}, index=index),
        thresholds=_threshold_table(names, levels, tables.thresholds(moments)),
        n=int(answers.n),
        dropped=answers.dropped,
        weighted=answers.weighted,
        interval=why,
        filled=tuple(index[found.filled]),
        boundary=tuple(index[boundary]),
        replicates=made,
        matrices=None if made is None else matrices,
    )


def tetrachoric(data: Any, items: Sequence[str] | None = None, **settings: Any) -> Polychoric:
    """Tetrachoric correlations: :func:`polychoric` of items that have two values each.

    Raises
    ------
    DataError
        If an item has another number of values, and as in :func:`polychoric`.

    Examples
    --------
    >>> import pandas as pd
    >>> counts = {(0, 0): 40, (0, 1): 10, (1, 0): 10, (1, 1): 40}
    >>> frame = pd.DataFrame([pair for pair, n in counts.items() for _ in range(n)], columns=["asked", "told"])
    >>> round(float(tetrachoric(frame).matrix[0, 1]), 6)  # sin(2 pi (0.4 - 0.25))
    0.809017
    """
    found = polychoric(data, items, **settings)
    others = found.thresholds.notna().sum(axis=1)
    others = others[others != 1]
    if len(others):
        shown = ", ".join(f"{item!r} ({k + 1})" for item, k in others.items())
        raise DataError(f"tetrachoric correlations are for items of two values; these have more: {shown}")
    return found


def _source(
    data: Any, items: Sequence[str] | None, weights: Any, design: Design | None
) -> tuple[pd.DataFrame, Design, Any]:
    """The items and design columns wanted, the design, and weights that are no column."""
    if isinstance(data, Moments):
        raise DataError("polychoric correlations need the answers; moments hold sums of them only")
    frame, own = getattr(data, "frame", data), getattr(data, "design", None)
    if not hasattr(frame, "columns"):
        raise DataError(f"need a survey or a DataFrame, got {type(data).__name__}")
    if own is not None and design is not None:
        raise DataError("a survey brings the design of its study file; do not give another beside it")
    if design is not None and not isinstance(design, Design):
        raise SpecError(f"design= takes a csi.Design, not {type(design).__name__}")
    design = own or design or Design()
    if weights is not None and design.weights:
        raise DataError(f"weights are given twice: weights= and the design column {design.weights!r}")
    if isinstance(weights, str):
        design, weights = replace(design, weights=weights), None
    if items is None:
        wanted = [c for c in (data.items if frame is not data else frame.columns) if c not in design.columns]
    else:
        wanted = list(as_items(items))
    require_columns(frame, (*wanted, *design.columns))
    require_possible(data, wanted)
    both = [str(c) for c in wanted if c in design.columns]
    if both:
        raise DataError(f"columns of the design are no items: {both}")
    twice = sorted({str(c) for c in wanted if wanted.count(c) > 1})
    if twice:
        raise DataError(f"items named twice: {twice}")
    chosen = frame[[*wanted, *design.columns]]
    return chosen.set_axis([str(c) for c in chosen.columns], axis=1), design, weights


def _indicators(frame: pd.DataFrame, weights: Any, most: int) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """A column of 0 and 1 for every category of every item, and the categories; empty where an answer is missing."""
    import pandas as pd

    require_numbers(frame)
    x = frame.to_numpy(dtype=float, na_value=np.nan)
    _, w = split_weights(frame, weights)
    # Categories that only rows without weight or with missing answers hold are not seen by any table.
    used = ~np.isnan(x).any(axis=1) & (True if w is None else w > 0)
    levels = [np.unique(column[used]) for column in x.T]
    many = [f"{c!r} ({len(v)})" for c, v in zip(frame.columns, levels, strict=True) if len(v) > most]
    if many:
        raise DataError(
            f"items with more than {most} distinct values are numbers, not categories: {', '.join(many)}; "
            "use their correlations as they are, or cut them into categories"
        )
    columns = {}
    for name, values, column in zip(frame.columns, levels, x.T, strict=True):
        for value in values:
            columns[f"{name}={float(value)!r}"] = np.where(np.isnan(column), np.nan, column == value)
    return pd.DataFrame(columns, index=frame.index), levels


def _require_tables(names: Sequence[str], counts: np.ndarray, tables: Tables, n: int) -> None:
    """Refuse pairs with more unknowns than rows, and items that are relabelled copies of each other."""
    categories = np.sort(tables.categories)
    unknowns = int(categories[-2:].sum()) - 1
    if n <= unknowns:
        raise DataError(
            f"{n} rows for tables of {categories[-1]} by {categories[-2]} categories, whose cuts and correlation are "
            f"{unknowns} unknowns; join categories or use more rows"
        )
    filled = counts > 0
    copied = (filled.sum(axis=-1) <= 1).all(axis=-1) & (filled.sum(axis=-2) <= 1).all(axis=-1)
    first, second = pairs(len(names))
    copies = [f"{names[i]!r} and {names[j]!r}" for i, j in zip(first[copied], second[copied], strict=True)]
    if copies:
        raise DataError(
            listed(copies, "each answer to one item goes with one answer to another; leave one of each pair out"),
            copies,
        )


def _threshold_table(names: Sequence[str], levels: Sequence[np.ndarray], cuts: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    rows = {
        name: dict(zip(values[:-1], row, strict=False)) for name, values, row in zip(names, levels, cuts, strict=True)
    }
    table = pd.DataFrame.from_dict(rows, orient="index").sort_index(axis=1)
    return table.rename_axis("item").rename_axis("category", axis=1)
