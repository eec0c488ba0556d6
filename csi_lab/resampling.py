"""Replicates of a survey: moments of thousands of resamples that honour weights, strata and clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import require_columns, require_possible
from csi_lab.design import Design
from csi_lab.errors import DataError, SpecError
from csi_lab.intervals import Interval, Kind, interval
from csi_lab.moments import Missing, Moments
from csi_lab.replicate_factors import (
    DRAWS_AT_ONCE,
    blocks_of_draws,
    bootstrap_factors,
    counts_of,
    jackknife_scale,
    rao_wu_factors,
)
from csi_lab.settings import generator, require_draws
from csi_lab.units import Units, units_of

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["auto", "bootstrap", "rao-wu", "jackknife", "random groups"]
METHODS = ("auto", "bootstrap", "rao-wu", "jackknife", "random groups")

# Beyond so many rows the bootstrap works on random groups of rows.
LARGE = 20_000
GROUPS = 1_000

Estimator = Callable[[Moments], np.ndarray]


@dataclass(frozen=True, eq=False)
class Replicates:
    """Moments of a sample and of its replicates.

    Attributes
    ----------
    point
        Moments of the whole sample.
    moments
        Moments with a leading axis: one entry per replicate.
    method
        ``"bootstrap"`` (rows), ``"rao-wu"`` (PSUs within strata), ``"jackknife"`` (JK1 or JKn), ``"random groups"``
        (the bootstrap of GROUPS groups of rows), or ``"given"``.
    df
        Degrees of freedom: units minus strata.
    scale
        Factors of the jackknife variance ``(draws,)``; ``None`` for a bootstrap.
    units
        What was resampled; ``None`` when replicate weights were given.
    failed
        Given draws without weights (all NaN), left out.
    """

    point: Moments
    moments: Moments
    method: str
    df: float
    scale: np.ndarray | None = None
    units: Units | None = None
    failed: int = 0

    @property
    def draws(self) -> int:
        """Number of replicates."""
        return self.moments.shape[0]

    def interval(
        self,
        function: Estimator,
        *,
        kind: Kind = "percentile",
        level: float = 0.95,
        se: Estimator | None = None,
    ) -> Interval:
        """Estimate, standard error and interval of anything that is a function of moments.

        Parameters
        ----------
        function
            Takes moments and returns ``(..., k)`` (or ``(...)``) over their leading axes.
        kind, level
            As in :func:`csi_lab.intervals.interval`; jackknife replicates have ``"normal"`` intervals only.
        se
            Standard error as a function of moments, for ``kind="studentised"``.

        Raises
        ------
        SpecError
            If the kind does not fit, or the function does not keep the leading axes.

        Examples
        --------
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"q1": [7, 9, 8, 10, 6, 7, 9], "q2": [6, 9, 9, 10, 5, 8, 9]})
        >>> found = replicates(frame, draws=500, rng=1).interval(lambda m: m.corr[..., 0, 1])
        >>> bool(found.low < found.estimate < found.high)
        True
        """
        drawn = np.asarray(function(self.moments), dtype=float)
        if not drawn.ndim or len(drawn) != self.draws:
            raise SpecError(
                f"the function gives an array of shape {drawn.shape} for {self.draws} draws: it must keep the leading "
                "axes of the moments, as m.mean[..., 0] does and m.mean[0] does not"
            )
        return interval(
            function(self.point),
            drawn,
            kind=kind,
            level=level,
            df=self.df,
            scale=self.scale,
            jackknife=self.influence(function(self.jackknife)) if kind == "bca" else None,
            se=(se(self.point), se(self.moments)) if se is not None else None,
        )

    @cached_property
    def jackknife(self) -> Moments:
        """Moments with each unit left out in turn; they give the acceleration of BCa intervals.

        Raises
        ------
        SpecError
            If replicate weights were given, so that the units are not known.
        """
        if self.units is None:
            raise SpecError("BCa needs the units that were resampled; with given replicate weights use kind='bc'")
        return _joined(self.point, [self.units.without_each()])

    def influence(self, values: np.ndarray) -> np.ndarray:
        r"""Jackknife values as the acceleration of BCa needs them when there are several strata.

        In stratum h of :math:`n_h` units from :math:`N_h` the values become
        :math:`\frac{n_h - 1}{n_h} \sqrt{1 - n_h/N_h}\,(\theta_{(hi)} - \bar\theta_{(h)})`, of which the acceleration is
        a sixth of the sum of cubes over the sum of squares to the power 3/2 [1]_. With one stratum and no population
        size this is Efron's formula.

        Parameters
        ----------
        values
            ``(U, k...)`` on the moments of :attr:`jackknife`; NaN where there is none.

        References
        ----------
        .. [1] Davison, A. C., & Hinkley, D. V. (1997). Bootstrap Methods and their Application. Cambridge University
           Press, sec. 5.3 (several samples); the finite population correction as in the rescaled weights.
        """
        if self.units is None:
            return values
        out = np.full(np.shape(values), np.nan)
        start = 0
        for at, fraction in self.units.strata():
            if fraction == 1:
                continue
            part = values[start : start + len(at)]
            known = np.isfinite(part)
            with np.errstate(invalid="ignore"):
                gap = part - np.where(known, part, 0.0).sum(axis=0) / known.sum(axis=0)
            out[start : start + len(at)] = (1 - 1 / len(at)) * np.sqrt(1 - fraction) * gap
            start += len(at)
        return out

    def constant_items(self) -> dict[str, int]:
        """Items that do not vary in some replicate, with the number of such replicates."""
        counts = self.moments.constant.sum(axis=0)
        return {name: int(k) for name, k in zip(self.moments.names, counts, strict=True) if k}

    def __getitem__(self, items: Sequence[str]) -> Replicates:
        """The replicates of some items."""
        units = None if self.units is None else self.units[list(items)]
        return replace(self, point=self.point[items], moments=self.moments[items], units=units)

    def __str__(self) -> str:
        flat = self.constant_items()
        named = ", ".join(f"{item} in {k}" for item, k in flat.items())
        without = f" ({self.failed} of {self.draws + self.failed} draws had no weights)" if self.failed else ""
        return f"{self.draws} replicates ({self.method}){without}, {self.df:g} df" + (
            f"; constant items: {named}" if flat else ""
        )

    __repr__ = __str__


def replicates(
    data: Any,
    design: Design | None = None,
    *,
    items: Sequence[str] | None = None,
    weights: Any = None,
    draws: int = 2000,
    rng: np.random.Generator | int = 0,
    method: Method = "auto",
    indices: np.ndarray | None = None,
    replicate_weights: np.ndarray | None = None,
    missing: Missing = "listwise",
) -> Replicates:
    r"""Moments of replicates of a sample, all in one matrix product ``W (draws x units) @ sums (units x q)``.

    * ``"bootstrap"``: rows drawn with replacement (multinomial counts times the rows' own weights).
    * ``"rao-wu"``: in each stratum of :math:`n_h` PSUs, :math:`n_h - 1` are drawn with replacement; a PSU drawn t times
      has its weights multiplied by :math:`1 - \lambda + \lambda \frac{n_h}{n_h - 1} t` with
      :math:`\lambda = \sqrt{1 - n_h/N_h}` [1]_.
    * ``"jackknife"``: each PSU (or row) left out in turn, the others of its stratum scaled by :math:`n_h/(n_h - 1)`;
      variance factors :math:`(1 - n_h/N_h)(n_h - 1)/n_h` (JKn; JK1 with one stratum).
    * ``"random groups"``: rows dealt at random into 1,000 groups, which are then resampled like PSUs.

    ``"auto"``: Rao-Wu when the design has strata, PSUs or population sizes; else the bootstrap up to 20,000 rows and
    random groups beyond.

    Parameters
    ----------
    data
        A survey (with its own design) or a DataFrame.
    design
        Columns of weights, strata, PSUs and population sizes; ``None``: the survey's, or simple random sampling.
    items
        The items; default all of the survey, or all columns of the frame that are not design columns.
    weights
        Sampling weights of a DataFrame as an array or Series, instead of a design column; or
        :class:`~csi_lab.sampling.weight.adjustment.AdjustedWeights`, which take the place of the design's. They are
        held fixed in the draws, unless ``replicate_weights`` were made with them
        (:func:`csi_lab.sampling.estimate.replicate_weights`).
    draws
        Number of replicates (a jackknife has as many as units).
    rng
        Seed or generator. Draw r is the same whatever the number of draws.
    method
        See above.
    indices
        ``(draws, n)`` row numbers from 0, to repeat the resamples of other software.
    replicate_weights
        ``(draws, n)`` weights of every row, as published with some surveys; treated as a bootstrap. Draws that are NaN
        throughout are left out and counted. Degrees of freedom are those of the design: without one, rows minus 1.
    missing
        ``"listwise"``: rows with a missing item are left out, their PSUs stay; ``"raise"`` refuses them; ``"em"`` and
        ``"mean"``: answers are completed anew in every replicate (:func:`csi_lab.incomplete.completed_moments`); draws
        in which EM has no solution are NaN. Not with ``indices`` or ``replicate_weights``.

    Returns
    -------
    Replicates

    Raises
    ------
    DataError
        If columns are absent or unusable, or a stratum holds a single PSU.
    SpecError
        If settings contradict each other.

    References
    ----------
    .. [1] Rao, J. N. K., & Wu, C. F. J. (1988). Resampling inference with complex survey data. Journal of the American
       Statistical Association, 83, 231-241; Rao, Wu & Yue (1992). Survey Methodology, 18, 209-217.
    .. [2] Wolter, K. (2007). Introduction to Variance Estimation, 2nd ed. Springer.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(replicates(csi.load_survey("mobile"), draws=200, rng=1))
    200 replicates (bootstrap), 249 df
    """
    if method not in METHODS:
        raise SpecError(f"method={method!r} is unknown; use one of {list(METHODS)}")
    if indices is not None and replicate_weights is not None:
        raise SpecError("give indices or replicate_weights, not both")
    require_draws(draws)
    if hasattr(data, "resampled"):
        # A survey read in a stream: the sums of its units are known, and no rows.
        if any(given is not None for given in (design, weights, indices, replicate_weights)):
            raise SpecError("a survey read in a stream brings its own design and has no rows to give weights to")
        streamed: Replicates = data.resampled(items, draws=draws, rng=rng, method=method, missing=missing)
        return streamed
    frame, design, items, weights = _source(data, design, items, weights)
    require_possible(data, items)
    if indices is not None or replicate_weights is not None:
        return _given(frame, design, items, weights, missing, indices, replicate_weights)
    units = units_of(frame, items, design, weights, missing)
    complex_design = bool(design.strata or design.psu or design.population)
    if method == "auto":
        method = "rao-wu" if complex_design else ("random groups" if len(frame) > LARGE else "bootstrap")
    if method in ("bootstrap", "random groups") and complex_design:
        raise SpecError(
            f"method={method!r} would ignore the strata and PSUs of the design; use 'rao-wu' or 'jackknife'"
        )
    if method == "random groups":
        source = generator(rng)
        return replicates_of(units.grouped(min(GROUPS, units.rows), source), draws, source, method)
    return replicates_of(units, draws, rng, method)


def replicates_of(
    units: Units, draws: int = 2000, rng: np.random.Generator | int = 0, method: Method = "rao-wu"
) -> Replicates:
    """Replicates of units whose sums are known: PSUs, random groups or rows.

    Parameters
    ----------
    units
        As :func:`csi_lab.units.units_of` or a pass over a large survey makes them.
    draws, rng, method
        As in :func:`replicates`; ``"random groups"`` resamples units that are such groups already.

    Returns
    -------
    Replicates

    Raises
    ------
    DataError
        If a stratum holds a single unit.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7, 9, 8, 10, 6, 7], "q2": [6, 9, 9, 10, 5, 8], "town": [1, 1, 2, 2, 3, 3]})
    >>> print(replicates_of(units_of(frame, ["q1", "q2"], Design(psu="town"), None, "listwise"), 100))
    100 replicates (rao-wu), 2 df
    """
    require_draws(draws)
    if method == "jackknife":
        units.require_pairs()
        moments = _joined(units.point, [units.without_each()])
        return Replicates(units.point, moments, "jackknife", units.df, jackknife_scale(units), units)
    if method != "bootstrap":
        units.require_pairs()
    make = bootstrap_factors if method == "bootstrap" else rao_wu_factors
    parts = [units.combine(make(units, k, child)) for k, child in blocks_of_draws(draws, generator(rng))]
    return Replicates(units.point, _joined(units.point, parts), method, units.df, None, units)


def _source(
    data: Any, design: Design | None, items: Sequence[str] | None, weights: Any
) -> tuple[pd.DataFrame, Design, list[str], Any]:
    """Frame, design, items and weights from whatever was given."""
    if isinstance(data, Moments):
        raise DataError("moments have no rows to resample; give the survey or DataFrame they were made from")
    frame = getattr(data, "frame", data)
    if not hasattr(frame, "columns"):
        raise DataError(f"need a survey or a DataFrame, got {type(data).__name__}")
    if design is None:
        design = getattr(data, "design", Design())
    if not isinstance(design, Design):
        raise SpecError(f"design must be a csi.Design(weights=..., strata=..., psu=...), got {type(design).__name__}")
    if hasattr(weights, "aligned"):
        # Here all columns are at hand by which adjusted weights know their rows. They were made from the design's.
        design, weights = replace(design, weights=None), weights.aligned(frame)
    if weights is not None and design.weights is not None:
        raise SpecError(f"weights are given twice: weights= and the design column {design.weights!r}")
    if isinstance(weights, str):
        design, weights = replace(design, weights=weights), None
    absent = [c for c in design.columns if c not in frame.columns]
    if absent:
        raise DataError(
            f"design columns not in the data: {absent}; the data have {[str(c) for c in frame.columns][:12]}"
        )
    if items is None:
        items = data.items if frame is not data else [c for c in frame.columns if c not in design.columns]
    items = [items] if isinstance(items, str) else list(items)
    require_columns(frame, items)
    return frame, design, items, weights


def _given(
    frame: pd.DataFrame,
    design: Design,
    items: Sequence[str],
    weights: Any,
    missing: Missing,
    indices: np.ndarray | None,
    replicate_weights: np.ndarray | None,
) -> Replicates:
    """Replicates from row numbers or from weights of every row, made elsewhere."""
    n, failed = len(frame), 0
    whole = units_of(frame, items, design, weights, missing)
    if indices is not None:
        try:
            picked = np.asarray(indices)
        except ValueError:  # rows of unequal length
            picked = np.empty(0)
        fits = picked.ndim == 2 and len(picked) > 1 and picked.shape[1] > 0 and picked.dtype.kind in "iu"
        if not fits or picked.min() < 0 or picked.max() >= n:
            raise DataError(f"indices must be whole numbers from 0 to {n - 1}, one row per draw, two draws or more")
        # The draws are made: strata, PSUs and population sizes say no more than the degrees of freedom of the whole.
        rows = units_of(frame, items, Design(weights=design.weights), weights, missing, every_row=True)
        factors = counts_of(picked.astype(np.int64), n)
        made = [(part, part @ rows.sizes) for part in _blocks(factors)]
    else:
        try:
            factors = np.asarray(replicate_weights, dtype=float)
        except (TypeError, ValueError):
            raise DataError(f"replicate_weights must be numbers, (draws, {n})") from None
        if factors.ndim != 2 or factors.shape[1] != n:
            raise DataError(f"replicate_weights must be numbers, (draws, {n}); got {factors.shape}")
        lost = np.isnan(factors).all(axis=1)
        # Draws are named by their place in what was given, lost ones counted.
        wrong = np.flatnonzero(~lost & ~(np.isfinite(factors) & (factors >= 0)).all(axis=1))
        if len(wrong):
            raise DataError(
                f"replicate_weights must be finite and not negative; they are not in draws {_some(wrong)} of "
                f"{len(factors)}"
            )
        empty = np.flatnonzero(factors.sum(axis=1) == 0)
        if len(empty):
            raise DataError(f"replicate_weights are all zero in draws {_some(empty)}; mark draws that failed by NaN")
        factors, failed = factors[~lost] if lost.any() else factors, int(lost.sum())
        if len(factors) < 2:
            raise DataError(f"replicate_weights need two draws or more with weights, got {len(factors)}")
        # These weights replace the rows' own, and say all that the design would.
        rows = units_of(frame, items, Design(), None, missing, every_row=True)
        rows = replace(rows, point=rows.point._about(whole.point.origin))
        made = [(part, np.full(len(part), rows.rows)) for part in _blocks(factors)]
    parts = [rows.combine(part, n_rows) for part, n_rows in made]
    return Replicates(whole.point, _joined(whole.point, parts), "given", whole.df, failed=failed)


def _some(places: np.ndarray) -> str:
    """Places in a list, the first five spelt out."""
    return ", ".join(map(str, places[:5].tolist())) + (f", … (+{len(places) - 5})" if len(places) > 5 else "")


def _blocks(factors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(factors), DRAWS_AT_ONCE):
        yield factors[start : start + DRAWS_AT_ONCE]


def _joined(point: Moments, parts: Sequence[tuple[np.ndarray, ...]]) -> Moments:
    n, weight, sums, products = (np.concatenate(column) for column in zip(*parts, strict=True))
    return replace(point, n=n, weight=weight, sums=sums, products=products)
