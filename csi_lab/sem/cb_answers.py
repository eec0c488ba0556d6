"""The answers behind a model: rows and moments of each group, weights, strata and primary units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import (
    aligned,
    infinite_values,
    require_columns,
    require_numbers,
    require_possible,
    split_weights,
)
from csi_lab.design import Design
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.moments import Moments, as_moments
from csi_lab.sem.cb_fiml import incomplete
from csi_lab.sem.cb_sample import Likelihood, Sample, relative_weights
from csi_lab.usable import require_variation

if TYPE_CHECKING:
    import pandas as pd

MissingAnswers = Literal["listwise", "fiml", "raise"]
ROWS = 16_384


@dataclass(frozen=True, eq=False)
class Part:
    """One group.

    Attributes
    ----------
    label
        Its name.
    frame
        The group's rows with all columns, or ``None`` when only moments were given.
    moments
        Of the complete rows; ``None`` with ``missing="fiml"``.
    used
        Which rows of the frame are used.
    weights
        Weights of the rows used, of mean 1 over the rows of all groups, or of each where groups are samples of their
        own.
    given_weights
        Weights of all rows as the caller gave them; ``None`` if there are none or the design names their column.
    weight
        Sum of the weights of the rows used, as given; their number without weights.
    """

    label: str
    frame: pd.DataFrame | None
    moments: Moments | None
    used: np.ndarray | None = None
    weights: np.ndarray | None = None
    given_weights: np.ndarray | None = None
    weight: float = float("nan")

    @property
    def n(self) -> int:
        """Rows used."""
        if self.used is not None:
            return int(self.used.sum())
        assert self.moments is not None
        return int(self.moments.n)

    def blocks(self, items: Sequence[str]) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Blocks of the rows used: where they stand among them, answers, weights."""
        assert self.frame is not None
        assert self.used is not None
        assert self.weights is not None
        frame = self.frame[list(items)]
        at = np.flatnonzero(self.used)
        for start in range(0, len(at), ROWS):
            here = slice(start, start + ROWS)
            yield here, frame.iloc[at[here]].to_numpy(dtype=float, na_value=np.nan), self.weights[here]


@dataclass(frozen=True, eq=False)
class Answers:
    """All groups.

    Attributes
    ----------
    items
        Names of the items.
    parts
        The groups.
    design
        How the respondents were drawn.
    weighted
        Whether they carry weights.
    dropped
        Rows left out: a missing item (listwise), no answer at all (fiml), or no group.
    missing
        What was done about missing answers.
    one_sample
        Whether the groups are parts of one sample, so that their weights share a scale; false for a mapping.
    """

    items: tuple[str, ...]
    parts: tuple[Part, ...]
    design: Design
    weighted: bool
    dropped: int
    missing: MissingAnswers
    one_sample: bool = True

    @property
    def simple(self) -> bool:
        """Whether this is a simple random sample with equal weights."""
        return not self.weighted and not (self.design.strata or self.design.psu)

    @property
    def n(self) -> int:
        """Respondents used."""
        return sum(part.n for part in self.parts)

    @property
    def has_rows(self) -> bool:
        """Whether the answers themselves are at hand, not only their moments."""
        return all(part.frame is not None for part in self.parts)

    def sample(self, *, means: bool, likelihood: Likelihood) -> Sample:
        """The sample as the likelihood wants it.

        Raises
        ------
        DataError, EstimationError
            If items do not vary, are collinear, or there are not more rows than items.
        """
        p = len(self.items)
        few = [f"{part.label}: {part.n}" if part.label else str(part.n) for part in self.parts if part.n <= p]
        if few:
            where = " in each group" if len(self.parts) > 1 else ""
            more = f" and {len(few) - 5} groups more" if len(few) > 5 else ""
            raise EstimationError(
                f"covariances of {p} items need more than {p} rows{where}; there are {', '.join(few[:5])}{more}: "
                "collect more answers or use fewer items"
            )
        if self.missing == "fiml":
            rows = [[block for _, block, _ in part.blocks(self.items)] for part in self.parts]
            weights = [part.weights for part in self.parts if part.weights is not None]
            return incomplete([np.concatenate(blocks) for blocks in rows], weights, self.items)
        moments = [part.moments for part in self.parts if part.moments is not None]
        for part in self.parts:
            assert part.moments is not None
            try:
                require_variation(part.moments)
            except DataError as error:
                raise DataError(f"group {part.label!r}: {error}" if part.label else str(error)) from None
            _require_independent(part.moments, part.label)
        return Sample.complete(moments, means=means, likelihood=likelihood, one_sample=self.one_sample)


def read_answers(
    data: Any,
    items: Sequence[str],
    *,
    groups: Any = None,
    weights: Any = None,
    missing: MissingAnswers = "listwise",
) -> Answers:
    """The answers to ``items`` from a survey, a DataFrame, Moments, or a mapping of group labels to any of these.

    Raises
    ------
    DataError
        If columns are absent, text or infinite, no rows remain, or a group is empty.
    SpecError
        If ``missing`` is unknown or settings do not fit the data.
    """
    if missing not in ("listwise", "fiml", "raise"):
        raise SpecError(f"missing={missing!r} is unknown; use 'listwise', 'fiml' or 'raise'")
    if isinstance(data, Mapping):
        if groups is not None or weights is not None:
            raise SpecError("the data are given group by group already; leave groups= and weights= out")
        if len(data) < 2:
            raise DataError(f"groups are compared, so two or more are needed; got {list(data)}")
        _require_labels(list(data))
        read = {str(label): read_answers(part, items, missing=missing) for label, part in data.items()}
        parts = [replace(a.parts[0], label=label) for label, a in read.items()]
        designs = {a.design for a in read.values()}
        if len(designs) > 1:
            raise DataError("the groups have different designs; give them one frame and one design")
        weighted, dropped = any(a.weighted for a in read.values()), sum(a.dropped for a in read.values())
        return Answers(tuple(items), tuple(parts), designs.pop(), weighted, dropped, missing, one_sample=False)
    if isinstance(data, Moments):
        return _of_moments(data, items, groups, weights, missing)
    frame = getattr(data, "frame", data)
    design = getattr(data, "design", Design())
    if not hasattr(frame, "columns"):
        raise DataError(f"need a survey, a DataFrame, Moments or a mapping of groups, got {type(data).__name__}")
    require_columns(frame, (*items, *design.columns))
    require_possible(data, items)
    if weights is not None and design.weights is not None:
        raise DataError("a survey brings the weights of its study file (design: weights); do not give others beside it")
    weights = frame[design.weights] if design.weights is not None else weights
    if isinstance(weights, str):
        if weights not in frame.columns:
            raise DataError(f"the weight column {weights!r} is not in the data")
        weights = frame[weights]
    chosen, w = split_weights(frame[list(items)], weights)
    require_numbers(chosen)
    labels, which = _groups_of(frame, groups)
    parts, dropped = [], len(frame) if groups is None else int((which < 0).sum())
    if groups is None:
        dropped = 0
    for g, label in enumerate(labels):
        rows = frame if groups is None else frame[which == g]
        part, lost = _part(label, rows, items, w if w is None or groups is None else w[which == g], missing)
        if w is not None and design.weights is None:
            part = replace(part, given_weights=w if groups is None else w[which == g])
        parts.append(part)
        dropped += lost
    if w is not None and len(parts) > 1:
        parts = _on_one_scale(parts)
    return Answers(tuple(items), tuple(parts), design, w is not None, dropped, missing)


def _of_moments(data: Moments, items: Sequence[str], groups: Any, weights: Any, missing: str) -> Answers:
    if groups is not None:
        raise SpecError("moments hold no groups; give a mapping of group labels to moments instead")
    if missing == "fiml":
        raise SpecError("missing='fiml' needs the answers themselves; moments hold complete rows only")
    moments = as_moments(data, items, weights)
    if moments.shape:
        raise DataError(
            f"these are {moments.shape} sets of moments; fit one sample and take .refit(moments) for the others"
        )
    return Answers(tuple(items), (Part("", None, moments),), Design(), moments.weighted, moments.dropped, "listwise")


def _part(
    label: str, frame: pd.DataFrame, items: Sequence[str], w: np.ndarray | None, missing: MissingAnswers
) -> tuple[Part, int]:
    """One group, and how many of its rows were left out."""
    chosen = frame[list(items)]
    gaps = chosen.isna().to_numpy()
    used = ~gaps.all(axis=1) if missing == "fiml" else ~gaps.any(axis=1)
    if w is not None:
        used = used & (w > 0)
    where = f" in group {label!r}" if label else ""
    if not used.any():
        empty = [c for c, hole in zip(items, gaps.all(axis=0), strict=True) if hole]
        raise DataError(
            f"no row of {len(frame)}{where} can be used: answers are missing in each"
            + (" whose weight is not 0" if w is not None else "")
            + (f"; items without any answer: {empty}" if empty and len(frame) else "")
        )
    weights = np.ones(int(used.sum())) if w is None else w[used] / w[used].mean()
    total = float(used.sum()) if w is None else float(w[used].sum())
    if missing == "fiml":
        if np.isinf(chosen.to_numpy(dtype=float, na_value=np.nan)).any():
            raise DataError(infinite_values(chosen))
        return Part(label, frame, None, used, weights, weight=total), int((~used).sum())
    holes = int(gaps.any(axis=1).sum())
    if missing == "raise" and holes:
        raise DataError(
            f"{holes} of {len(frame)} rows{where} have missing answers; choose missing='listwise' to leave them out or "
            "'fiml' to use the answers they have"
        )
    moments = Moments.from_frame(chosen, w)
    return Part(label, frame, moments, used, weights, weight=total), int((~used).sum())


def _on_one_scale(parts: Sequence[Part]) -> list[Part]:
    """The groups with weights of mean 1 over the rows of all."""
    n = np.array([part.n for part in parts], dtype=float)
    share = relative_weights(n, np.array([part.weight for part in parts]))
    return [
        part if part.weights is None else replace(part, weights=part.weights * by)
        for part, by in zip(parts, share, strict=True)
    ]


def _groups_of(frame: pd.DataFrame, groups: Any) -> tuple[list[str], np.ndarray]:
    """Labels of the groups and the group of each row; -1: none."""
    import pandas as pd

    if groups is None:
        return [""], np.zeros(len(frame), dtype=int)
    if isinstance(groups, str):
        if groups not in frame.columns:
            raise DataError(f"the group column {groups!r} is not in the data")
        values, name = frame[groups], f"the group column {groups!r}"
    else:
        values, name = aligned(groups, frame, "the group labels"), "groups"
    if np.ndim(values) != 1 or len(values) != len(frame):
        raise DataError(f"{name} must be one label per row: shape {np.shape(values)} for {len(frame)} rows")
    codes, labels = pd.factorize(pd.Series(values).reset_index(drop=True))
    if len(labels) < 2:
        raise DataError(f"{name} must hold two or more groups; it holds {[str(v) for v in labels]}")
    _require_labels(labels)
    return [str(v) for v in labels], np.asarray(codes)


def _require_labels(labels: Iterable[Any]) -> None:
    """Refuse groups that cannot be told apart in a table."""
    names = [str(label) for label in labels]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not all(name.strip() for name in names):
        what = f"several groups are called {twice}" if twice else "a group has an empty name"
        raise DataError(f"{what}; give every group a name of its own")


def _require_independent(moments: Moments, label: str) -> None:
    """Refuse items that are exact linear combinations of each other."""
    values, vectors = np.linalg.eigh(moments.corr)
    if values[0] < 1e-10:
        part = [name for name, v in zip(moments.names, vectors[:, 0], strict=True) if abs(v) > 1e-6]
        raise EstimationError(
            f"items are exactly collinear{f' in group {label!r}' if label else ''}: {part}; leave one of them out"
        )
