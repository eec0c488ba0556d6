"""Indices of constructs: from an estimated model, from items alone, and the published weightings side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from csi_lab.errors import EstimationError, SpecError
from csi_lab.estimates import estimate_table
from csi_lab.index.formula import Bounds, index_values, limits, require_means_inside, require_weights
from csi_lab.index.result import VARIANTS, IndexResult, Variant
from csi_lab.model import PathModel
from csi_lab.moments import Moments, as_moments

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
    level: float = 0.95,
) -> IndexResult:
    r"""Indices of the constructs of an estimated model.

    .. math:: I = 100 \, \frac{\sum_h v_h (\bar x_h - \min_h)}{\sum_h v_h (\max_h - \min_h)}

    Parameters
    ----------
    fit
        A PLS fit; leading axes give one index per draw.
    bounds
        Lowest and highest possible answer: one pair, or a pair per item (``survey.bounds``).
    variant
        The weights v. ``"acsi"`` (default for a fit on standardised items): w / sd, the unstandardised outer weights of
        the ACSI formula [1]_. ``"standardised"``: w. ``"unscaled"`` (default for a fit with ``scaled=False``): its w.
        ``"equal"``: 1.
    target
        Construct for ``value, se, low, high``; default ``"Satisfaction"`` when there is one.
    constructs
        Which constructs; default all.
    level
        Confidence level.

    Returns
    -------
    IndexResult

    Raises
    ------
    EstimationError
        If a weight is negative (the 0-100 range would break), with the items named; if a mean lies outside its bounds;
        if the variant does not belong to the fit's metric.
    SpecError
        If a name is unknown or bounds are absent or not low < high.

    Notes
    -----
    The interval holds the weights fixed: se = sd of the respondents' index / sqrt(n). It is given for simple random
    samples with equal weights only. On the ECSI mobile data it is within 0.01 of the bootstrap of the whole algorithm.

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
    own: Variant = "acsi" if fit.scaled else "unscaled"
    variant = own if variant is None else variant
    if variant not in VARIANTS:
        raise SpecError(f"variant={variant!r} is unknown; use one of {list(VARIANTS)}")
    if variant not in (own, "equal") and not (variant == "standardised" and fit.scaled):
        needed = variant != "unscaled"
        raise EstimationError(
            f"variant {variant!r} needs weights of PLS with scaled={needed}; this fit has scaled={fit.scaled}: "
            f"estimate again with csi.sem.pls(..., scaled={needed})"
        )
    weights = {
        "acsi": lambda: fit.solution.weights / fit.moments.sd,
        "standardised": lambda: fit.solution.weights,
        "unscaled": lambda: fit.solution.weights,
        "equal": lambda: np.ones(len(fit.model.items)),
    }[variant]()
    return _result(fit.model, fit.moments, fit.design.simple, weights, bounds, variant, target, constructs, level)


def from_items(
    data: Any,
    constructs: Mapping[str, Sequence[str] | str],
    bounds: Bounds,
    *,
    target: str | None = None,
    level: float = 0.95,
) -> IndexResult:
    """Indices with equal weights, without a model: the mean of the items on a 0-100 scale.

    Parameters
    ----------
    data
        A survey, DataFrame or Moments.
    constructs
        Name to items.
    bounds, target, level
        As in :func:`from_fit`.

    Raises
    ------
    DataError, EstimationError, SpecError
        As in :func:`from_fit`.

    Examples
    --------
    >>> import pandas as pd
    >>> print(from_items(pd.DataFrame({"q1": [10, 8], "q2": [9, 7]}), {"Quality": ["q1", "q2"]}, (1, 10)))
    0-100 index, weighting 'equal': equal weights
    Quality: 83.33, 95% CI [61.56, 105.11]
    interval: weights held fixed, simple random sample
    """
    model = PathModel(dict(constructs))  # type: ignore[arg-type]
    moments = as_moments(data, model.items)
    simple = getattr(data, "design", None) is None or data.design.simple
    ones = np.ones(len(model.items))
    return _result(model, moments, simple, ones, bounds, "equal", target, None, level)


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

    fits = {scaled: pls(data, model, scaled=scaled, **settings) for scaled in (True, False)}
    columns = {}
    for variant in VARIANTS:
        fit = fits[variant != "unscaled"]
        sound = [c for c in fit.model.constructs if variant == "equal" or c not in negative_weights(fit).index]
        table = from_fit(fit, bounds, variant=variant, constructs=sound).table  # type: ignore[arg-type]
        columns[variant] = table["estimate"].reindex(list(fit.model.constructs))
    return pd.DataFrame(columns)


def negative_weights(fit: PLSFit) -> pd.DataFrame:
    """Items whose outer weight is negative, so that their construct has no 0-100 index; one row each, empty if none.

    Examples
    --------
    >>> import csi_lab as csi
    >>> len(negative_weights(csi.sem.pls(csi.load_survey("mobile"))))
    0
    """
    table = fit.weights.reset_index("item")
    return table[(table.drop(columns="item") < 0).any(axis=1)]


def _result(
    model: PathModel,
    moments: Moments,
    simple: bool,
    weights: np.ndarray,
    bounds: Bounds,
    variant: Variant,
    target: str | None,
    constructs: Sequence[str] | None,
    level: float,
) -> IndexResult:
    names = list(model.constructs)
    wanted = names if constructs is None else list(constructs)
    unknown = [c for c in [*wanted, *([target] if target else [])] if c not in names]
    if unknown:
        raise SpecError(f"not constructs of the model: {unknown}; it has {names}")
    if target is None:
        target = "Satisfaction" if "Satisfaction" in wanted else None
    if not 0 < level < 1:
        raise SpecError(f"level={level!r} must lie between 0 and 1, e.g. 0.95")
    items = [item for c in wanted for item in model.constructs[c]]
    at = [model.items.index(item) for item in items]
    member = np.array([[item in model.constructs[c] for c in wanted] for item in items], dtype=float)
    part, v = moments[items], weights[..., at]
    low, high = limits(bounds, items)
    require_means_inside(part, low, high)
    values = index_values(part.mean, v, low, high, member)
    if v.ndim == 1:
        blocks = {c: {i: w for i, w in zip(items, v, strict=True) if i in model.constructs[c]} for c in wanted}
        require_weights(blocks)
    else:
        # A draw with a negative weight has no index: NaN, so that it can be counted and left out.
        values = np.where(np.any((v < 0)[..., None] * member > 0, axis=-2), np.nan, values)
    table = estimate_table(values, wanted, ["construct"])
    interval = "none for several draws: take the spread of the draws"
    if not part.shape:
        interval = "weights held fixed, simple random sample"
        if simple and not part.weighted:
            # Respondents' indices are a linear function of the items: their variance follows from the covariances.
            slope = 100 * v[:, None] * member / ((v * (high - low)) @ member)
            se = np.sqrt(np.einsum("ij,ik,kj->j", slope, part.cov, slope) / part.n)
            z = float(ndtri(0.5 + level / 2))
            table = table.assign(se=se, low=values - z * se, high=values + z * se)
        else:
            interval = "none: the sample has weights, strata or clusters, and this interval would ignore them"
    pairs = [(c, item) for c in wanted for item in model.constructs[c]]
    normalised = estimate_table(v / ((v @ member) @ member.T), pairs, ["construct", "item"])
    return IndexResult(table, normalised, variant, target, level, interval)
