"""Criterion validity: does the measure go with what it should go with?"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.answers import as_items
from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.intervals import Kind, require_interval
from csi_lab.moments import Missing, Moments, as_moments
from csi_lab.percent import percent
from csi_lab.reliability.alpha import alpha_of_sums
from csi_lab.requested import requested
from csi_lab.resampling import Replicates
from csi_lab.settings import is_number
from csi_lab.usable import against_formulas
from csi_lab.validity.measurement import require_sample

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class CriterionResult:
    """The correlation of a measure with a criterion, as observed and corrected for attenuation.

    Attributes
    ----------
    measure, criterion
        Items whose sums are correlated.
    value, se, low, high
        The observed correlation.
    corrected, corrected_se, corrected_low, corrected_high
        The correlation of what the two measure, were they free of error.
    reliabilities
        Of the measure and of the criterion, and where they come from.
    n, dropped, level, interval
        Rows used and left out; level and nature of the interval, or why there is none.
    """

    measure: tuple[str, ...]
    criterion: tuple[str, ...]
    value: float
    se: float
    low: float
    high: float
    corrected: float
    corrected_se: float
    corrected_low: float
    corrected_high: float
    reliabilities: tuple[float, float]
    sources: tuple[str, str]
    n: int
    dropped: int
    level: float
    interval: str

    def to_frame(self) -> pd.DataFrame:
        """Two rows, observed and corrected, raw numbers."""
        import pandas as pd

        rows = [
            (self.value, self.se, self.low, self.high),
            (self.corrected, self.corrected_se, self.corrected_low, self.corrected_high),
        ]
        index = pd.Index(["observed", "corrected"], name="correlation")
        return pd.DataFrame(rows, index=index, columns=["estimate", "se", "low", "high"])

    def __str__(self) -> str:
        ends = f", {percent(self.level)} CI [{self.low:.3f}, {self.high:.3f}]" if np.isfinite(self.low) else ""
        left_out = f", {self.dropped} rows left out (missing answers)" if self.dropped else ""
        first, second = self.reliabilities
        lines = [
            f"{' + '.join(self.measure)} with {' + '.join(self.criterion)}: r = {self.value:.3f}{ends}, "
            f"n = {self.n}{left_out}",
            f"corrected for attenuation: {self.corrected:.3f} "
            f"(reliabilities {first:.3f}, {self.sources[0]}, and {second:.3f}, {self.sources[1]})",
        ]
        if not abs(self.corrected) <= 1:
            lines.append("the corrected value is no correlation: a reliability is too low, or errors are correlated")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{text}</p>{self.to_frame().round(3).to_html()}"


def criterion_validity(
    data: Any,
    measure: Sequence[str] | str,
    criterion: Sequence[str] | str,
    *,
    reliabilities: tuple[float | None, float | None] = (None, None),
    weights: Any = None,
    missing: Missing = "listwise",
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> CriterionResult:
    r"""Correlation of a scale with a criterion (renewal, complaints, another scale), and its correction.

    With X and Y the sums of the items, :math:`r_c = r_{XY} / \sqrt{r_{XX} r_{YY}}` [1]_. Interval of r: Fisher's
    :math:`\tanh(\operatorname{artanh} r \pm z/\sqrt{n - 3})`, or replicates.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    measure, criterion
        One item or several, summed.
    reliabilities
        Of measure and criterion, each in (0, 1]. ``None``: Cronbach's alpha of several items, 1 for a single one (that
        is, no correction).
    weights, missing
        As in :func:`csi_lab.moments.as_moments`.
    draws, rng, replicates, kind, level
        Replicates and the kind and level of the intervals. With replicates alpha is estimated anew in each; without
        them the interval of the corrected value takes the reliabilities as known.

    Returns
    -------
    CriterionResult
        A corrected value beyond 1 is shown as it is, and said to be no correlation.

    Raises
    ------
    DataError
        If items are absent, text or constant, stand on both sides, or a sum does not vary.
    EstimationError
        If alpha is not positive, so that there is nothing to correct with.
    SpecError
        If a reliability lies outside (0, 1] or the level is impossible.

    Notes
    -----
    Fisher's interval assumes a simple random sample: with weights, strata or clusters the ends are NaN without draws,
    and ``interval`` says why.

    References
    ----------
    .. [1] Spearman, C. (1904). The proof and measurement of association between two things. American Journal of
       Psychology, 15, 72-101.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(criterion_validity(csi.load_survey("mobile"), ["CUSA1", "CUSA2", "CUSA3"], "CUSCO"))
    CUSA1 + CUSA2 + CUSA3 with CUSCO: r = 0.529, 95% CI [0.433, 0.613], n = 250
    corrected for attenuation: 0.603 (reliabilities 0.770, alpha, and 1.000, single item)
    """
    require_interval(kind, level)
    sides = [as_items(measure), as_items(criterion)]
    items = [i for side in sides for i in side]
    twice = sorted({str(i) for i in items if items.count(i) > 1})
    if twice or not all(sides):
        raise DataError(
            f"items used more than once: {twice}; measure and criterion must be different things"
            if twice
            else "measure and criterion need an item each"
        )
    if not isinstance(reliabilities, Sequence) or len(reliabilities) != 2:
        raise SpecError(f"reliabilities={reliabilities!r}: give two, of measure and criterion; None for alpha")
    bad = [r for r in reliabilities if r is not None and (not is_number(r) or not 0 < r <= 1)]
    if bad:
        raise SpecError(f"reliabilities {bad} must lie above 0 and up to 1")
    moments = as_moments(data, items, weights, missing)
    if moments.shape:
        raise EstimationError("these are several sets of moments; the correlation is reported for one survey")
    require_sample(moments)
    split = len(sides[0])
    _require_sums(moments, split)

    def quantities(m: Moments) -> np.ndarray:
        r = sum_correlation(m.cov, split)
        known = [
            _reliability(m.cov[..., part, part], given)
            for part, given in zip(_halves(split), reliabilities, strict=True)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack([r, r / np.sqrt(np.where(known[0] * known[1] > 0, known[0] * known[1], np.nan))], axis=-1)

    estimate = quantities(moments)
    used = [
        float(_reliability(moments.cov[part, part], given))
        for part, given in zip(_halves(split), reliabilities, strict=True)
    ]
    if min(used) <= 0:
        raise EstimationError(
            f"alpha is {used[0]:.3f} and {used[1]:.3f}: not positive, so nothing can be corrected with it; "
            "check the direction of the items or give reliabilities="
        )
    made = requested(
        data, items, weights=weights, draws=draws, rng=rng, replicates=replicates, missing=missing, sample=moments
    )
    se, ends, interval = _interval(data, moments, estimate, quantities, made, kind, level)
    return CriterionResult(
        measure=tuple(map(str, sides[0])),
        criterion=tuple(map(str, sides[1])),
        value=float(estimate[0]),
        se=float(se[0]),
        low=float(ends[0][0]),
        high=float(ends[1][0]),
        corrected=float(estimate[1]),
        corrected_se=float(se[1]),
        corrected_low=float(ends[0][1]),
        corrected_high=float(ends[1][1]),
        reliabilities=(used[0], used[1]),
        sources=tuple(  # type: ignore[arg-type]
            "given" if given is not None else ("alpha" if len(side) > 1 else "single item")
            for given, side in zip(reliabilities, sides, strict=True)
        ),
        n=int(moments.n),
        dropped=moments.dropped,
        level=level,
        interval=interval,
    )


def sum_correlation(cov: np.ndarray, split: int) -> np.ndarray:
    """Correlation ``(...)`` of the sum of the first ``split`` items with the sum of the others, from ``(..., p, p)``.

    Examples
    --------
    >>> float(sum_correlation(np.array([[1.0, 0.5, 0.3], [0.5, 1.0, 0.3], [0.3, 0.3, 1.0]]), 2).round(4))
    0.3464
    """
    first, second = _halves(split)
    between = cov[..., first, second].sum(axis=(-2, -1))
    own = [cov[..., part, part].sum(axis=(-2, -1)) for part in (first, second)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return between / np.sqrt(own[0] * own[1])


def _halves(split: int) -> tuple[slice, slice]:
    return slice(None, split), slice(split, None)


def _reliability(cov: np.ndarray, given: float | None) -> np.ndarray:
    """The given reliability, or alpha, or 1 for a single item; ``(...)``."""
    k = cov.shape[-1]
    if given is not None or k == 1:
        return np.full(cov.shape[:-2], 1.0 if given is None else given)
    return alpha_of_sums(k, np.trace(cov, axis1=-2, axis2=-1), cov.sum(axis=(-2, -1)))


def _require_sums(moments: Moments, split: int) -> None:
    for part, name in zip(_halves(split), ("measure", "criterion"), strict=True):
        cov = moments.cov[part, part]
        if cov.sum() <= 1e-10 * np.trace(cov):
            raise DataError(
                f"the sum of the items of the {name} does not vary: the items cancel; check their direction"
            )


def _interval(
    data: Any,
    moments: Moments,
    estimate: np.ndarray,
    quantities: Any,
    made: Replicates | None,
    kind: Kind,
    level: float,
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], str]:
    """Errors and ends of the observed and the corrected correlation, and what the interval is."""
    nothing = np.full(2, np.nan)
    if made is not None:
        found = made.interval(quantities, kind=kind, level=level)
        return found.se, (found.low, found.high), str(found)
    if against := against_formulas(data, moments):
        reason = f"none: {against}, which Fisher's interval would ignore; ask for draws"
        return nothing, (nothing, nothing), reason
    n, r = int(moments.n), float(estimate[0])
    if n < 4 or abs(r) > 1 - 1e-12:
        return (
            nothing,
            (nothing, nothing),
            "none: Fisher's interval needs four rows and a correlation within -1..1",
        )
    half = special.ndtri(1 - (1 - level) / 2) / np.sqrt(n - 3)
    factor = np.array([1.0, estimate[1] / r if r else np.nan])
    ends = np.tanh(np.arctanh(r) - half) * factor, np.tanh(np.arctanh(r) + half) * factor
    return (1 - r**2) / np.sqrt(n - 1) * np.abs(factor), ends, "Fisher's z; reliabilities taken as known"
