"""Indices of constructs: from an estimated model, from items alone, and the published weightings side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from csi_lab.answers import split_weights
from csi_lab.errors import EstimationError, SpecError
from csi_lab.estimates import estimate_table
from csi_lab.index.formula import (
    Bounds,
    index_values,
    limits,
    require_answers_inside,
    require_means_inside,
    require_weights,
)
from csi_lab.index.result import VARIANTS, IndexResult, Variant
from csi_lab.intervals import Interval, Kind
from csi_lab.model import PathModel
from csi_lab.moments import Moments, as_moments
from csi_lab.requested import requested
from csi_lab.resampling import Replicates
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.sem.fit import PLSFit


def from_fit(
    fit: PLSFit,
    bounds: Bounds,
    *,
    variant: Variant | None = None,
    target: str | None = None,
    constructs: Sequence[str] | None = None,
    level: float | None = None,
) -> IndexResult:
    r"""Indices of the constructs of an estimated model.

    .. math:: I = 100 \, \frac{\sum_h v_h (\bar x_h - \min_h)}{\sum_h v_h (\max_h - \min_h)}

    ``weights`` of the result are those of the items after rescaling each to 0-100, :math:`v_h (\max_h - \min_h)`,
    brought to sum 1; where all items share one scale they are the v themselves.

    Parameters
    ----------
    fit
        A PLS fit; leading axes give one index per draw.
    bounds
        Lowest and highest possible answer: one pair, or a pair per item (``survey.bounds``).
    variant
        The weights v. ``"acsi"`` (default for a fit on standardised items): w / sd, the unstandardised outer weights of
        the ACSI formula [1]_. ``"standardised"``: w. ``"unscaled"`` (default for a fit with ``scaled=False``): its w.
        ``"equal"``: the same for every item rescaled to 0-100.
    target
        Construct for ``value, se, low, high``; default ``"Satisfaction"`` when there is one.
    constructs
        Which constructs; default all.
    level
        Confidence level; default that of a bootstrapped fit, else .95.

    Returns
    -------
    IndexResult

    Raises
    ------
    EstimationError
        If a weight is negative (the 0-100 range would break), with the items named; if a mean lies outside its bounds;
        if the variant does not belong to the fit's metric.
    SpecError
        If a name is unknown, the level is not between 0 and 1, or bounds are absent or not low < high.

    Notes
    -----
    A bootstrapped fit (``fit.bootstrap(...)``) gives intervals of the whole estimation that honour the design; draws
    with a negative weight have no index: they are left out, counted, and their items named in ``interval``. Without
    replicates the interval holds the weights fixed, se = sd of the respondents' index / sqrt(n), ends by Student's t,
    for simple random samples with equal weights only; on the ECSI mobile data its se is within 0.01 of the bootstrap's.

    References
    ----------
    .. [1] Fornell, C., Johnson, M. D., Anderson, E. W., Cha, J., & Bryant, B. E. (1996). The American Customer
       Satisfaction Index: nature, purpose, and findings. Journal of Marketing, 60(4), 7-18.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> index = from_fit(csi.sem.pls(survey, tolerance=1e-12), survey.bounds)
    >>> round(index.value, 3)
    72.454
    """
    if not hasattr(fit, "solution"):
        raise SpecError(f"need a fit of csi.sem.pls, got {type(fit).__name__}; without a model take from_items")
    level = (fit.level if fit.replicates is not None else 0.95) if level is None else level
    require_level(level)
    own: Variant = "acsi" if fit.scaled else "unscaled"
    variant = own if variant is None else variant
    if not isinstance(variant, str) or variant not in VARIANTS:
        raise SpecError(f"variant={variant!r} is unknown; use one of {list(VARIANTS)}")
    if variant not in (own, "equal") and not (variant == "standardised" and fit.scaled):
        needed = variant != "unscaled"
        raise EstimationError(
            f"variant {variant!r} needs weights of PLS with scaled={needed}; this fit has scaled={fit.scaled}: "
            f"estimate again with csi.sem.pls(..., scaled={needed})"
        )
    of: Callable[[PLSFit], np.ndarray | None] = {
        "acsi": lambda fit: fit.solution.weights / fit.moments.sd,
        "standardised": lambda fit: fit.solution.weights,
        "unscaled": lambda fit: fit.solution.weights,
        "equal": lambda fit: None,
    }[variant]
    choice = _Choice.of(fit.model, bounds, constructs, target)
    shares = choice.shares(fit.moments, of(fit))
    if fit.replicates is None:
        table, interval = _linear(choice, fit.moments, shares, fit.design.simple, level)
    else:
        found = replace(fit, level=level).interval(
            lambda fit: choice.values(fit.moments, choice.shares(fit.moments, of(fit)))
        )
        table = found.to_frame(choice.constructs, ["construct"])
        drawn = choice.shares(fit.replicated.moments, of(fit.replicated))
        interval = (
            f"{found.kind} from {found.draws} replicates of the whole estimation ({fit.replicates.method})"
            f"{choice.left_out(found, drawn)}"
        )
    rows = _rows(fit.moments, choice.constructs)
    return IndexResult(table, choice.normalised(shares), rows, variant, choice.target, level, interval)


def from_items(
    data: Any,
    constructs: Mapping[str, Sequence[str] | str],
    bounds: Bounds,
    *,
    target: str | None = None,
    case_weights: Any = None,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> IndexResult:
    """Indices with equal weights, without a model: the mean of the items, each rescaled to 0-100.

    Constructs are computed one by one: a respondent is left out of those constructs only of which an item is missing.
    ``rows`` of the result says how many were used and left out.

    Parameters
    ----------
    data
        A survey, DataFrame or Moments.
    constructs
        Name to items.
    bounds, target, level
        As in :func:`from_fit`.
    case_weights
        Sampling weights of a DataFrame: a column, one number per row, or
        :class:`~csi_lab.sampling.weight.adjustment.AdjustedWeights`. Rows of weight zero are nobody.
    draws, rng, replicates, kind
        Ask for intervals from replicates that honour the design; see :func:`csi_lab.resampling.replicates`.

    Raises
    ------
    DataError, EstimationError, SpecError
        As in :func:`from_fit`.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [10, 8, 7, 9, 6, 8], "q2": [9, 7, 8, 9, 5, 8]})
    >>> print(from_items(frame, {"Quality": ["q1", "q2"]}, (1, 10)))
    0-100 index, weighting 'equal': equal weights of items rescaled to 0-100
    Quality: 75.93, 95% CI [59.57, 92.28], n = 6
    interval: weights held fixed, simple random sample
    """
    import pandas as pd

    if not isinstance(constructs, Mapping):
        raise SpecError(f"constructs must map names to items, as {{'Quality': ['q1', 'q2']}}, got {constructs!r}")
    require_level(level)
    model = PathModel(dict(constructs))  # type: ignore[arg-type]
    choice = _Choice.of(model, bounds, None, target)
    frame = getattr(data, "frame", data)
    simple = case_weights is None and (getattr(data, "design", None) is None or data.design.simple)
    if not hasattr(data, "resampled") and hasattr(frame, "columns"):  # a pass over files has checked its answers
        if case_weights is not None and frame is data:
            # Here all columns are at hand, by which adjusted weights know their rows.
            case_weights = split_weights(frame, case_weights)[1]
        require_answers_inside(_living(data, frame, case_weights), model.items, choice.low, choice.high)
    tables, weights, rows, interval = [], [], [], ""
    for construct, items in model.constructs.items():
        one = _Choice.of(PathModel({construct: items}), bounds, None, None)
        moments = as_moments(data, items, case_weights)
        shares = one.shares(moments, None)
        drawn = requested(
            data, items, weights=case_weights, draws=draws, rng=rng, replicates=replicates, sample=moments
        )
        if drawn is None:
            table, interval = _linear(one, moments, shares, simple, level)
        else:
            found = drawn.interval(_equal_index(one), kind=kind, level=level)
            table = found.to_frame([construct], ["construct"])
            interval = f"{found.kind} from {found.draws} replicates ({drawn.method})"
        tables.append(table)
        weights.append(one.normalised(shares))
        rows.append(_rows(moments, [construct]))
    joined = pd.concat(tables), pd.concat(weights), pd.concat(rows)
    return IndexResult(*joined, "equal", choice.target, level, interval)


def _living(data: Any, frame: pd.DataFrame, case_weights: np.ndarray | None) -> pd.DataFrame:
    """The rows that stand for somebody: what a row of weight zero holds enters nothing."""
    if frame is data:
        return frame if case_weights is None else frame[case_weights > 0]
    column = data.design.weights
    return frame if column is None else frame[frame[column] > 0]


def _equal_index(choice: _Choice) -> Callable[[Moments], np.ndarray]:
    return lambda moments: choice.values(moments, choice.shares(moments, None))


def compare(data: Any, bounds: Bounds, model: PathModel | None = None, **settings: Any) -> pd.DataFrame:
    """The four published weightings side by side: constructs as rows, variants as columns.

    Two models are estimated, on standardised items and on items in their own units. Where a weight is negative the
    index of that construct and variant does not exist and is NaN.

    Parameters
    ----------
    data, model
        As in :func:`csi_lab.sem.pls.pls`; ``settings`` are passed on (scheme, tolerance, ...).
    bounds
        As in :func:`from_fit`.

    Raises
    ------
    DataError, EstimationError, SpecError
        As in :func:`csi_lab.sem.pls.pls`.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> compare(survey, survey.bounds, tolerance=1e-12).loc["Satisfaction"].round(2).to_dict()
    {'acsi': 72.45, 'standardised': 71.78, 'unscaled': 71.17, 'equal': 71.97}
    """
    import pandas as pd

    from csi_lab.sem.pls import pls

    if "scaled" in settings:
        raise SpecError("compare estimates both, with scaled=True and scaled=False; leave scaled out")
    fits = {scaled: pls(data, model, scaled=scaled, **settings) for scaled in (True, False)}
    columns = {}
    for variant in VARIANTS:
        fit = fits[variant != "unscaled"]
        sound = [c for c in fit.model.constructs if variant == "equal" or c not in negative_weights(fit).index]
        names = pd.Index(list(fit.model.constructs), name="construct")
        columns[variant] = pd.Series(np.nan, index=names)
        if sound:
            found = from_fit(fit, bounds, variant=variant, constructs=sound)  # type: ignore[arg-type]
            columns[variant].update(found.table["estimate"])
    return pd.DataFrame(columns)


def negative_weights(fit: PLSFit) -> pd.DataFrame:
    """Items whose outer weight is negative, so that their construct has no 0-100 index; one row each, empty if none.

    ``estimate`` is the weight; for several draws the lowest.

    Examples
    --------
    >>> import csi_lab as csi
    >>> len(negative_weights(csi.sem.pls(csi.load_survey("mobile"))))
    0
    """
    import pandas as pd

    lowest = fit.solution.weights.reshape(-1, len(fit.model.items)).min(axis=0)
    pairs = [(c, item) for c, items in fit.model.constructs.items() for item in items]
    rows = [(c, item, float(w)) for (c, item), w in zip(pairs, lowest, strict=True) if w < 0]
    return pd.DataFrame(rows, columns=["construct", "item", "estimate"]).set_index("construct")


@dataclass(frozen=True, eq=False)
class _Choice:
    """Which constructs are asked for, with the items and bounds behind them."""

    model: PathModel
    constructs: tuple[str, ...]
    target: str | None
    at: list[int]
    low: np.ndarray
    high: np.ndarray
    member: np.ndarray

    @classmethod
    def of(cls, model: PathModel, bounds: Bounds, constructs: Sequence[str] | None, target: str | None) -> _Choice:
        names = list(model.constructs)
        if isinstance(constructs, str):
            constructs = [constructs]
        if constructs is not None and not isinstance(constructs, Iterable):
            raise SpecError(f"constructs must be a list of names, got {constructs!r}")
        wanted = names if constructs is None else list(constructs)
        if not wanted:
            raise SpecError("no construct is asked for: constructs=[]")
        unknown = [c for c in [*wanted, *([target] if target else [])] if c not in names]
        if unknown:
            raise SpecError(f"not constructs of the model: {unknown}; it has {names}")
        if target is None:
            target = "Satisfaction" if "Satisfaction" in wanted else None
        items = [item for c in wanted for item in model.constructs[c]]
        low, high = limits(bounds, items)
        member = np.array([[item in model.constructs[c] for c in wanted] for item in items], dtype=float)
        return cls(model, tuple(wanted), target, [model.items.index(i) for i in items], low, high, member)

    def shares(self, moments: Moments, weights: np.ndarray | None) -> np.ndarray:
        """Weights ``(..., k)`` of items rescaled to 0-100, from weights ``(..., p)`` of raw items; ``None``: equal."""
        if weights is None:
            return np.ones((*moments.shape, len(self.at)))
        return weights[..., self.at] * (self.high - self.low)

    def part(self, moments: Moments) -> Moments:
        """The moments of the items that are asked for."""
        return moments[[self.model.items[i] for i in self.at]]

    def values(self, moments: Moments, shares: np.ndarray) -> np.ndarray:
        """Indices ``(..., J)``; refuses a negative weight, or in a stack of draws leaves that draw's index NaN."""
        part = self.part(moments)
        require_means_inside(part, self.low, self.high)
        values = index_values((part.mean - self.low) / (self.high - self.low), shares, self.member)
        if shares.ndim == 1:
            blocks = zip(self.constructs, self.member.T > 0, strict=True)
            require_weights({c: dict(zip(np.array(part.names)[own], shares[own], strict=True)) for c, own in blocks})
            return values
        # A draw with a negative weight has no index: it is counted and left out, never clipped.
        return np.where(np.any((shares < 0)[..., None] * self.member > 0, axis=-2), np.nan, values)

    def left_out(self, found: Interval, shares: np.ndarray) -> str:
        """Draws without an index, and the items whose weight ``(draws, k)`` was negative there; empty when none."""
        failed = int(np.max(found.failed, initial=0))
        if not failed:
            return ""
        items = [self.model.items[i] for i in self.at]
        negative = [f"{item} in {k}" for item, k in zip(items, (shares < 0).sum(axis=0), strict=True) if k]
        named = f", negative weights: {', '.join(negative)}" if negative else ""
        return f"; up to {failed} draws without an index left out{named}"

    def normalised(self, shares: np.ndarray) -> pd.DataFrame:
        """Weights with sum 1 in each construct."""
        pairs = [(c, item) for c in self.constructs for item in self.model.constructs[c]]
        return estimate_table(shares / ((shares @ self.member) @ self.member.T), pairs, ["construct", "item"])


def _linear(
    choice: _Choice, moments: Moments, shares: np.ndarray, simple: bool, level: float
) -> tuple[pd.DataFrame, str]:
    """Indices with the interval that holds the weights fixed, where the sample allows it, and what the interval is."""
    values = choice.values(moments, shares)
    table = estimate_table(values, choice.constructs, ["construct"])
    if moments.shape:
        return table, "none for several draws: take the spread of the draws"
    if not simple or moments.weighted:
        return table, "none: the sample has weights, strata or clusters, and this interval would ignore them"
    # Respondents' indices are a linear function of the items: their variance follows from the covariances.
    part = choice.part(moments)
    slope = 100 * shares[:, None] * choice.member / (shares @ choice.member) / (choice.high - choice.low)[:, None]
    se = np.sqrt(np.einsum("ij,ik,kj->j", slope, part.cov, slope) / part.n)
    t = float(stdtrit(part.n - 1, 0.5 + level / 2)) if part.n > 1 else np.nan
    return table.assign(se=se, low=values - t * se, high=values + t * se), "weights held fixed, simple random sample"


def _rows(moments: Moments, constructs: Sequence[str]) -> pd.DataFrame:
    """Respondents used and left out, per construct."""
    import pandas as pd

    used = int(np.max(moments.n))
    index = pd.Index(list(constructs), name="construct")
    return pd.DataFrame({"n": used, "left_out": moments.dropped}, index=index)
