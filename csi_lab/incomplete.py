"""Samples with missing answers: their moments and replicates, with the answers completed by item means or by EM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import infinite_values, require_numbers, split_weights
from csi_lab.design import Design
from csi_lab.em import (
    COMPLETIONS,
    MOST_STEPS,
    MOST_STEPS_OF_DRAWS,
    SINGULAR,
    TOLERANCE,
    TOLERANCE_OF_DRAWS,
    Completion,
    GapRows,
    Part,
    Pattern,
    as_sums,
    complete,
    patterns_of,
    scaled,
)
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.moments import Moments
from csi_lab.replicate_factors import jackknife_factors
from csi_lab.resampling import _source
from csi_lab.units import Units, drawn_units, units_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class CompletedMoments(Moments):
    """Moments of answers of which some were missing and were completed; ``treatment`` says how, with counts.

    Unlike sums over complete rows they do not add up: how an answer is completed depends on the whole sample.
    """

    treatment: str = ""

    @classmethod
    def of(cls, moments: Moments, treatment: str) -> CompletedMoments:
        """The same numbers, with what was done to get them."""
        kept: dict[str, Any] = {field.name: getattr(moments, field.name) for field in fields(Moments)}
        return cls(**kept, treatment=treatment)

    @property
    def observed(self) -> bool:
        """False: some answers were estimated."""
        return False

    @property
    def constant(self) -> np.ndarray:
        """Which items do not vary ``(..., p)``; none where EM had no solution and there is no variance to speak of."""
        return super().constant & np.isfinite(self.sd)

    def __add__(self, other: Moments) -> Moments:
        raise DataError(
            "moments of completed answers do not add up; join the rows and complete them together, or use listwise ones"
        )

    def __radd__(self, other: object) -> Moments:
        if isinstance(other, int) and other == 0:
            return self
        return self.__add__(self)

    def __str__(self) -> str:
        return f"{super().__str__()}; {self.treatment}"

    __repr__ = __str__


def completed_moments(
    data: Any, items: Sequence[str] | None = None, *, weights: Any = None, missing: Completion = "em"
) -> Moments:
    r"""Moments that use the rows with missing answers too.

    ``"em"``: means :math:`\mu` and covariances :math:`\Sigma` of maximum likelihood under a multivariate normal model,
    for answers missing at random given those observed [1]_. Each step replaces, pattern by pattern of missing items,
    the sums over rows by their expectations given the observed answers o,

    .. math::
        E(x_m \mid x_o) = \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} (x_o - \mu_o), \qquad
        \operatorname{cov}(x_m \mid x_o) = \Sigma_{mm} - \Sigma_{mo} \Sigma_{oo}^{-1} \Sigma_{om}

    and takes means and covariances of these. ``"mean"``: each missing answer counts as the mean of its item, which
    weakens variances and correlations; it is offered because many published results rest on it.

    Parameters
    ----------
    data
        A survey (with the weights of its design) or a DataFrame.
    items
        The p items; default all of the survey, or all columns that hold no weights.
    weights
        Sampling weights of a DataFrame: array, Series or column name (pseudo maximum likelihood).
    missing
        ``"em"`` or ``"mean"``.

    Returns
    -------
    Moments
        Of all rows with at least one answer and a positive weight; ``str`` of them says what was done to how many. With
        complete answers they are those of :meth:`csi_lab.moments.Moments.from_frame`, bit for bit. The covariance of EM
        is scaled by n/(n - ddof), as for complete answers; the maximum likelihood one is ``cov * (n - 1) / n``.

    Raises
    ------
    DataError
        If columns are absent or not numbers, an item has no answer, or (EM) items were never answered together or are
        collinear.
    EstimationError
        If EM does not settle.

    Notes
    -----
    Agrees with lavaan 0.6-14 to a relative 1e-6 or better (``tests/reference/missing``).

    References
    ----------
    .. [1] Little, R. J. A., & Rubin, D. B. (2019). Statistical Analysis with Missing Data, 3rd ed. Wiley, ch. 11.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [1.0, 2, 3, 4, 5, 6], "q2": [2.0, 1, 4, 3, None, None]})
    >>> completed_moments(frame).mean.round(3).tolist()
    [3.5, 3.1]
    >>> print(completed_moments(frame, missing="mean"))
    moments of 2 items: 6 rows; 2 missing answers in 2 rows replaced by item means: q2 2
    """
    frame, design, items, weights = _source(data, None, items, weights)
    return incomplete_units(frame, items, design, weights, missing).point


@dataclass(frozen=True, eq=False)
class IncompleteUnits(Units):
    """The units of a sample with missing answers, which are completed anew in every replicate.

    Attributes
    ----------
    whole
        Moments of all items.
    patterns
        Rows by pattern of missing items.
    method
        How answers are completed.
    x, w, row_unit
        Answers ``(n, p)`` about the origin, their weights, and the unit of each row.
    """

    whole: CompletedMoments | Moments
    patterns: tuple[Pattern, ...]
    method: Completion
    x: np.ndarray
    w: np.ndarray
    row_unit: np.ndarray

    @cached_property
    def scattered(self) -> GapRows | None:
        """The rows with gaps that few others share; ``None`` without any."""
        found = GapRows.of(self.x, self.w, self.row_unit)
        return found if len(found.x) else None

    def combine(self, factors: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """As for complete answers: rows, weight, sums, cross-products of replicates; NaN where EM has no solution."""
        apart = self.scattered if self.method == "em" else None
        shared = [part for part in self.patterns if apart is None or not part.scattered]
        parts = [(part.observed, part.missing, *part.combine(factors)) for part in shared]
        unit = np.where(self.whole.sd > 0, self.whole.sd, 1.0)
        start = (self.whole.mean - self.whole.origin) / unit, self.whole.cov / np.outer(unit, unit)
        weight, mean, cov, _ = complete(
            scaled(parts, unit),
            self.method,
            start,
            TOLERANCE_OF_DRAWS,
            MOST_STEPS_OF_DRAWS,
            None if apart is None else (apart.scaled(unit), apart.weights(factors)),
        )
        n = np.full(len(factors), self.rows) if rows is None else rows
        at = [self.whole.names.index(name) for name in self.point.names]
        sums, products = as_sums(weight, mean * unit, cov * np.outer(unit, unit))
        return n, weight, sums[:, at], products[:, at][:, :, at]

    def without_each(self) -> tuple[np.ndarray, ...]:
        """As for complete answers, but each sum is completed anew from the units that remain."""
        parts = [self.combine(factors, (factors > 0) @ self.sizes) for factors, _ in jackknife_factors(self)]
        n, weight, sums, products = (np.concatenate(column) for column in zip(*parts, strict=True))
        return n, weight, sums, products

    def grouped(self, groups: int, rng: np.random.Generator) -> IncompleteUnits:
        """The rows dealt at random into so many groups of equal size (give or take one), each a unit."""
        group = rng.permutation(np.arange(self.count) % groups)[self.row_unit]
        sizes = np.bincount(group, minlength=groups)
        return replace(
            self,
            patterns=tuple(patterns_of(self.x, self.w, group, True, self.whole)),
            sizes=sizes,
            stratum=np.zeros(groups, dtype=int),
            fractions=np.zeros(1),
            labels=("all",),
            row_unit=group,
        )

    def __getitem__(self, items: Sequence[str]) -> IncompleteUnits:
        """The units, with the moments of some items only; all items still take part in completing."""
        return replace(self, point=self.point[items])


def incomplete_units(
    frame: pd.DataFrame, items: Sequence[str], design: Design, weights: Any, method: Completion
) -> Units:
    """The units of a sample whose missing answers are completed; see :func:`completed_moments`.

    With complete answers these are the ordinary units. Rows without any answer or of weight zero are left out; with
    strata or PSUs their unit stays.

    Raises
    ------
    DataError, EstimationError, SpecError
        As in :func:`completed_moments`.
    """
    if method not in COMPLETIONS:
        raise SpecError(f"missing={method!r} is unknown; answers are completed by one of {list(COMPLETIONS)}")
    items = list(items)
    if design.weights is not None:
        weights = frame[design.weights]
    _, w = split_weights(frame[items], weights)
    require_numbers(frame[items])
    x = frame[items].to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(x).any():
        raise DataError(infinite_values(frame[items]))
    known = ~np.isnan(x)
    if known.all():
        return units_of(frame, items, design, weights, "listwise")
    w = np.ones(len(frame)) if w is None else w
    used = known.any(axis=1) & (w > 0)
    empty = [name for name, some in zip(items, known[used].any(axis=0), strict=True) if not some]
    if empty:
        of_weight = " in rows of positive weight" if weights is not None else ""
        raise DataError(f"items without any answer{of_weight}: {empty}; leave them out of the model")
    simple = design.strata is None and design.psu is None and design.population is None
    keep = used if simple else np.ones(len(frame), dtype=bool)
    # A frame without gaps, for everything about the units that does not depend on the answers.
    filled = frame[keep].copy()
    filled[items] = np.nan_to_num(x[keep])
    shell = units_of(filled, items, replace(design, weights=None), np.where(used, w, 0.0)[keep], "listwise")
    x, known, w, used = x[keep], known[keep], w[keep], used[keep]
    row_unit = np.arange(len(x)) if design.psu is None else drawn_units(filled, design).unit
    lost = int((~keep).sum() + (~used).sum())
    weighted = weights is not None
    origin = np.array(
        [
            shell.point.origin[i] if (x[known[:, i], i] % 1 == 0).all() else np.nanmean(x[:, i])
            for i in range(len(items))
        ]
    )
    row_unit_used, x_used, w_used = row_unit[used], x[used] - origin, w[used]
    blank = Moments(
        tuple(map(str, items)),
        len(x_used),
        float(w_used.sum()),
        origin,
        np.zeros(len(items)),
        np.zeros((len(items), len(items))),
        lost,
        weighted,
    )
    patterns = tuple(patterns_of(x_used, w_used, row_unit_used, design.psu is not None, blank))
    apart = GapRows.of(x_used, w_used, row_unit_used)
    whole = completed_from(patterns, blank, method, shell.count, apart if len(apart.x) else None)
    sizes = np.bincount(row_unit_used, minlength=shell.count)
    return IncompleteUnits(
        whole,
        None,
        None,
        None,
        sizes,
        shell.stratum,
        shell.fractions,
        shell.labels,
        whole,
        patterns,
        method,
        x_used,
        w_used,
        row_unit_used,
    )


def completed_from(
    patterns: Sequence[Pattern], blank: Moments, method: Completion, units: int = 1, scattered: GapRows | None = None
) -> CompletedMoments:
    """The completed moments of a whole sample, from the sums of its patterns of missing answers.

    Parameters
    ----------
    patterns
        Rows by what they answer; the answers are about the origin of ``blank``.
    blank
        Moments without sums: names, rows, origin.
    method
        How answers are completed.
    units
        Number of units that the patterns speak of.
    scattered
        The rows of scattered patterns, where they are at hand: EM is faster with them, and gives the same.

    Returns
    -------
    CompletedMoments

    Raises
    ------
    DataError, EstimationError
        As in :func:`completed_moments`.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [1.0, 2, 3, 4, 5, 6], "q2": [2.0, 1, 4, 3, None, None]})
    >>> units = incomplete_units(frame, ["q1", "q2"], Design(), None, "em")
    >>> found = completed_from(units.patterns, units.whole, "em", units.count)
    >>> bool(np.allclose(found.cov, units.whole.cov, rtol=1e-9))
    True
    """
    names, p = blank.names, len(blank.names)
    parts = [(part.observed, part.missing, *part.combine(np.ones((1, units)))) for part in patterns]
    rows = np.array([int(part.sums.point.n) for part in patterns])
    together, count, sums, squares = np.zeros((p, p)), np.zeros(p), np.zeros(p), np.zeros(p)
    for n, (o, _, w, s, c) in zip(rows, parts, strict=True):
        together[np.ix_(o, o)] += n
        count[o] += w[0]
        sums[o] += s[0]
        squares[o] += np.diagonal(c[0])
    if method == "em":
        apart = [f"{names[i]} and {names[j]}" for i, j in np.argwhere(np.triu(together == 0))]
        if apart:
            raise DataError(
                f"items never answered together: {apart}; EM cannot tell how they go together: leave one of each out"
            )
    mean = sums / count
    variance = squares / count - mean**2
    # Where rounding is all there is, an item does not vary.
    spread = np.where(variance > 1e-14 * squares / count, np.sqrt(np.maximum(variance, 0.0)), 0.0)
    unit = np.where(spread > 0, spread, 1.0)
    start = mean / unit, np.diag(np.where(spread > 0, 1.0, 0.0))
    if scattered is None or method == "mean":
        shared, rest = parts, None
    else:
        shared = [found for part, found in zip(patterns, parts, strict=True) if not part.scattered]
        rest = scattered.scaled(unit), scattered.weights(np.ones((1, units)))
    weight, mu, sigma, iterations = complete(scaled(shared, unit), method, start, TOLERANCE, MOST_STEPS, rest)
    if not np.isfinite(sigma).all():
        _refuse(names, parts, rows, spread)
    sums, products = as_sums(weight, mu * unit, sigma * np.outer(unit, unit))
    missing = int(rows.sum()) - np.diagonal(together).astype(int)
    gaps = int(rows[[len(part.missing) > 0 for part in patterns]].sum())
    cells = int(missing.sum())
    by_item = ", ".join(f"{name} {k}" for name, k in zip(names, missing, strict=True) if k)
    how = (
        "replaced by item means"
        if method == "mean"
        else f"completed by EM (multivariate normal, {iterations[0]} steps)"
    )
    plural = f"{cells} missing answer{'s' * (cells != 1)} in {gaps} row{'s' * (gaps != 1)}"
    found = replace(blank, weight=float(weight[0]), sums=sums[0], products=products[0])
    return CompletedMoments.of(found, f"{plural} {how}: {by_item}")


def _refuse(names: Sequence[str], parts: Sequence[Part], rows: np.ndarray, spread: np.ndarray) -> None:
    """Say why EM has no solution."""
    flat = [n for n, s in zip(names, spread, strict=True) if not s > 0]
    if flat:
        raise DataError(f"items do not vary: {flat}; leave them out of the model")
    whole = [(n, w[0], s[0], c[0]) for n, (_, m, w, s, c) in zip(rows, parts, strict=True) if not len(m)]
    complete_rows = int(sum(n for n, *_ in whole))
    if complete_rows > len(names):
        [(_, w, s, c)] = whole
        scatter = (c / w - np.outer(s, s) / w**2) / np.outer(spread, spread)
        values, vectors = np.linalg.eigh(scatter)
        if values[0] < SINGULAR:
            tied = [n for n, v in zip(names, vectors[:, 0], strict=True) if abs(v) > 1e-6]
            raise DataError(f"items are exactly collinear: {tied}; EM needs their inverse covariance: leave one out")
    raise EstimationError(
        f"EM has no solution: {complete_rows} complete rows of {int(rows.sum())} for {len(names)} items leave a "
        "singular covariance or a likelihood without a maximum; leave out items with many gaps, or use missing='mean'"
    )
