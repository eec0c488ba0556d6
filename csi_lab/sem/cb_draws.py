"""Replicates of the answers as the likelihood wants them: moments of complete rows, or sums of each missing pattern."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.incomplete import incomplete_units
from csi_lab.moments import Moments
from csi_lab.replicate_factors import (
    DRAWS_AT_ONCE,
    blocks_of_draws,
    bootstrap_factors,
    counts_of,
    jackknife_factors,
    rao_wu_factors,
)
from csi_lab.requested import requested
from csi_lab.resampling import GROUPS, LARGE, METHODS, Method, Replicates, replicates
from csi_lab.sem.cb_answers import Answers
from csi_lab.sem.cb_pattern_sums import PatternSums, incomplete_sample, pattern_sums
from csi_lab.sem.cb_sample import Likelihood, Sample
from csi_lab.settings import generator, require_draws
from csi_lab.units import Units

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class CompleteRows:
    """One group of complete rows: its replicates, made at once."""

    made: Replicates

    @property
    def count(self) -> int:
        """Units."""
        assert self.made.units is not None
        return self.made.units.count

    @property
    def df(self) -> float:
        """Units minus strata."""
        return self.made.df

    @property
    def scale(self) -> np.ndarray | None:
        """Factors of the jackknife variance."""
        return self.made.scale

    def draws(self) -> Iterator[Moments]:
        """All draws."""
        yield self.made.moments

    def left_out(self) -> Iterator[Moments]:
        """Each unit left out in turn."""
        yield self.made.moments if self.made.method == "jackknife" else self.made.jackknife

    def still(self, times: int) -> Moments:
        """The whole group so many times."""
        point = self.made.point
        return replace(
            point,
            n=np.full(times, point.n),
            weight=np.full(times, point.weight),
            sums=np.broadcast_to(point.sums, (times, *point.sums.shape)),
            products=np.broadcast_to(point.products, (times, *point.products.shape)),
        )


@dataclass(frozen=True, eq=False)
class IncompleteRows:
    """One group with missing answers: replicates of the sums of each pattern, made block by block.

    All draws of all patterns at once would fill the memory: 200 patterns of 24 items are a megabyte in each draw.

    Attributes
    ----------
    units
        What is resampled.
    blocks
        Makes the factors ``(k, units)`` of each block of draws, with their numbers of rows (``None``: unchanged).
    df
        Units minus strata.
    scale
        Factors of the jackknife variance.
    """

    units: Units
    blocks: Callable[[], Iterator[tuple[np.ndarray, np.ndarray | None]]]
    df: float
    scale: np.ndarray | None = None

    @property
    def count(self) -> int:
        """Units."""
        return self.units.count

    def draws(self) -> Iterator[PatternSums]:
        """All draws, block by block."""
        for factors, rows in self.blocks():
            yield pattern_sums(self.units, factors, rows)

    def left_out(self) -> Iterator[PatternSums]:
        """Each unit left out in turn, block by block."""
        for factors, _ in jackknife_factors(self.units):
            yield pattern_sums(self.units, factors, (factors > 0) @ self.units.sizes)

    def still(self, times: int) -> PatternSums:
        """The whole group so many times."""
        return pattern_sums(self.units, np.ones((1, self.units.count)), None).repeated(times)


Group = CompleteRows | IncompleteRows
Block = Moments | PatternSums


@dataclass(frozen=True, eq=False)
class Drawn:
    """Replicates of all groups.

    Attributes
    ----------
    groups
        Those of each group.
    together
        Whether the groups share their units: a primary unit is drawn, or left out, with its rows in all groups.
    method
        As in :class:`csi_lab.resampling.Replicates`.
    means, likelihood, one_sample
        Of the samples to be made.
    """

    groups: Sequence[Group]
    together: bool
    method: str
    means: bool
    likelihood: Likelihood
    one_sample: bool = True

    @property
    def df(self) -> float:
        """Units minus strata, of all groups."""
        return self.groups[0].df if self.together else sum(g.df for g in self.groups)

    @property
    def scale(self) -> np.ndarray | None:
        """Factors of the jackknife variance, in the order of the draws."""
        scales = [g.scale for g in (self.groups[:1] if self.together else self.groups)]
        known = [s for s in scales if s is not None]
        return np.concatenate(known) if known else None

    def draws(self) -> Iterator[Sample]:
        """Samples of all draws, block by block."""
        if self.method == "jackknife":
            for _, sample in self.left_out():
                yield sample
            return
        for blocks in zip(*(g.draws() for g in self.groups), strict=True):
            yield self._sample(blocks)

    def left_out(self) -> Iterator[tuple[int, Sample]]:
        """Samples that lack a unit, with the number of the group it belongs to (0 where the groups share units)."""
        if self.together:
            for blocks in zip(*(g.left_out() for g in self.groups), strict=True):
                yield 0, self._sample(blocks)
            return
        for k, group in enumerate(self.groups):
            for block in group.left_out():
                times = len(block) if isinstance(block, PatternSums) else block.shape[0]
                # The jackknife raises the weights of the units that stay; beside the other groups they weigh as before.
                own = _scaled(block, 1 - 1 / group.count)
                yield k, self._sample([own if g is group else g.still(times) for g in self.groups])

    def _sample(self, blocks: Sequence[Block]) -> Sample:
        moments = [block for block in blocks if isinstance(block, Moments)]
        if moments:
            return Sample.complete(moments, means=self.means, likelihood=self.likelihood, one_sample=self.one_sample)
        sums = [block for block in blocks if isinstance(block, PatternSums)]
        return incomplete_sample(sums, one_sample=self.one_sample)


def _scaled(block: Block, by: float) -> Block:
    """The same moments with all weights ``by`` times as large."""
    if isinstance(block, PatternSums):
        return replace(block, weight=block.weight * by)
    return replace(block, weight=block.weight * by, sums=block.sums * by, products=block.products * by)


def drawn(
    answers: Answers,
    *,
    means: bool,
    likelihood: Likelihood,
    given: Replicates | None = None,
    draws: int = 1000,
    rng: np.random.Generator | int = 0,
    method: Method = "auto",
    indices: np.ndarray | None = None,
    replicate_weights: np.ndarray | None = None,
) -> Drawn:
    """The replicates of a sample.

    Without a design the groups are resampled apart, each with its own stream of random numbers. With strata, primary
    units or population sizes the units of the whole sample are resampled, and each takes its rows in all groups along.

    Raises
    ------
    DataError, SpecError
        As :func:`csi_lab.resampling.replicates`; for given replicates of other rows, or of incomplete answers.
    EstimationError
        If there are no rows to resample.
    """
    several = len(answers.parts) > 1
    if several and (given is not None or indices is not None or replicate_weights is not None):
        raise SpecError("given replicates, indices or replicate weights are for one sample; groups are resampled apart")
    if given is not None:
        if answers.missing == "fiml":
            raise SpecError(
                "replicates= hold moments, and full-information estimation resamples the answers; give draws, indices "
                "or replicate_weights"
            )
        chosen = requested(None, answers.items, replicates=given, sample=answers.parts[0].moments)
        assert chosen is not None
        return Drawn((CompleteRows(chosen),), True, chosen.method, means, likelihood)
    if not answers.has_rows:
        raise EstimationError("moments have no rows to resample; fit the survey or DataFrame, or give replicates=")
    design = answers.design
    complex_design = bool(design.strata or design.psu or design.population)
    together = complex_design or not several
    source = generator(rng)
    # A copy of one generator draws the same units for every group.
    streams = [copy.deepcopy(source) for _ in answers.parts] if together else source.spawn(len(answers.parts))
    if not several:
        streams = [source]
    frames, weights = _shared_units(answers) if together and several else _own_rows(answers)
    if several and together:
        design = replace(design, weights=None)
    groups: list[Group] = []
    for frame, w, stream in zip(frames, weights, streams, strict=True):
        if answers.missing != "fiml":
            settings: dict[str, Any] = {"items": answers.items, "draws": draws, "method": method, "rng": stream}
            settings |= {"indices": indices, "replicate_weights": replicate_weights}
            groups.append(CompleteRows(replicates(frame, design, weights=w, **settings)))
        elif indices is not None or replicate_weights is not None:
            groups.append(_given_rows(answers, frame, w, indices, replicate_weights))
        else:
            require_draws(draws)
            method = _method(method, complex_design, len(frame))
            units = incomplete_units(frame, answers.items, design, w, "em")
            groups.append(_incomplete_rows(units, draws, stream, method))
    first = groups[0]
    if isinstance(first, CompleteRows):
        method_name = first.made.method
    else:
        method_name = "given" if indices is not None or replicate_weights is not None else method
    return Drawn(tuple(groups), together, method_name, means, likelihood, answers.one_sample)


def _own_rows(answers: Answers) -> tuple[list[pd.DataFrame], list[np.ndarray | None]]:
    """Rows and weights of each group."""
    frames = [part.frame for part in answers.parts if part.frame is not None]
    return frames, [part.given_weights for part in answers.parts]


def _shared_units(answers: Answers) -> tuple[list[pd.DataFrame], list[np.ndarray | None]]:
    """All rows for every group, with weights that are 0 outside it: the units are then the same in all groups."""
    import pandas as pd

    frames = [part.frame for part in answers.parts if part.frame is not None]
    whole = pd.concat(frames, ignore_index=True)
    if answers.design.weights is not None:
        w = whole[answers.design.weights].to_numpy(dtype=float)
    else:
        given = zip(answers.parts, frames, strict=True)
        w = np.concatenate([np.ones(len(f)) if p.given_weights is None else p.given_weights for p, f in given])
    which = np.repeat(np.arange(len(frames)), [len(f) for f in frames])
    return [whole] * len(frames), [np.where(which == g, w, 0.0) for g in range(len(frames))]


def _method(method: Method, complex_design: bool, rows: int) -> Method:
    """What ``"auto"`` means, as for complete answers."""
    if method not in METHODS:
        raise SpecError(f"method={method!r} is unknown; use one of {list(METHODS)}")
    if method == "auto":
        return "rao-wu" if complex_design else ("random groups" if rows > LARGE else "bootstrap")
    if method in ("bootstrap", "random groups") and complex_design:
        raise SpecError(
            f"method={method!r} would ignore the strata and PSUs of the design; use 'rao-wu' or 'jackknife'"
        )
    return method


def _incomplete_rows(units: Units, draws: int, source: np.random.Generator, method: Method) -> IncompleteRows:
    if method == "random groups":
        units = units.grouped(min(GROUPS, units.rows), source)
    if method != "bootstrap":
        units.require_pairs()
    if method == "jackknife":
        scale = np.concatenate([factor for _, factor in jackknife_factors(units)])
        return IncompleteRows(units, lambda: iter(()), units.df, scale)
    make = bootstrap_factors if method == "bootstrap" else rao_wu_factors
    children = list(blocks_of_draws(draws, source))

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for k, child in children:
            yield make(units, k, child), None

    return IncompleteRows(units, blocks, units.df)


def _given_rows(
    answers: Answers,
    frame: pd.DataFrame,
    weights: np.ndarray | None,
    indices: np.ndarray | None,
    replicate_weights: np.ndarray | None,
) -> IncompleteRows:
    """Replicates from row numbers or from weights of every row, made elsewhere; the rows are the units."""
    if indices is not None and replicate_weights is not None:
        raise SpecError("give indices or replicate_weights, not both")
    items, design, n = list(answers.items), answers.design, len(frame)
    df = incomplete_units(frame, items, design, weights, "em").df
    if design.weights is not None:
        weights = frame[design.weights].to_numpy(dtype=float)
    if indices is not None:
        picked = np.asarray(indices)
        if picked.ndim != 2 or len(picked) < 2 or not picked.shape[1] or picked.dtype.kind not in "iu":
            raise DataError(f"indices must be whole numbers (draws, rows), two draws or more; got {picked.shape}")
        if picked.min() < 0 or picked.max() >= n:
            raise DataError(f"indices must lie between 0 and {n - 1}; they reach from {picked.min()} to {picked.max()}")
        factors = counts_of(picked.astype(np.int64), n)
    else:
        factors, weights = np.asarray(replicate_weights, dtype=float), None  # they replace the rows' own
        if factors.ndim != 2 or factors.shape[1] != n or not np.isfinite(factors).all() or (factors < 0).any():
            raise DataError(f"replicate_weights must be finite and not negative, (draws, {n}); got {factors.shape}")
        if len(factors) < 2 or not (factors.sum(axis=1) > 0).all():
            raise DataError("replicate_weights need two draws or more, each of positive weight")
    used = frame[items].notna().any(axis=1).to_numpy()
    if weights is not None:
        used = used & (weights > 0)
    units = incomplete_units(frame[used], items, Design(), None if weights is None else weights[used], "em")
    factors = factors[:, used]
    rows = factors.sum(axis=1) if indices is not None else np.full(len(factors), units.rows)

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for start in range(0, len(factors), DRAWS_AT_ONCE):
            part = slice(start, start + DRAWS_AT_ONCE)
            yield factors[part], rows[part]

    return IncompleteRows(units, blocks, df)
