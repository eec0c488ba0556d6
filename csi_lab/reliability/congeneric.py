"""McDonald's omega: reliability of a sum score under one common factor; always named which omega."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from csi_lab.errors import EstimationError, SpecError
from csi_lab.intervals import Kind
from csi_lab.moments import Missing, Moments
from csi_lab.reliability.coefficient import METRICS, Coefficient, Metric, Sample, withheld
from csi_lab.resampling import Replicates

if TYPE_CHECKING:
    from csi_lab.factors.extraction import Extracted

Extraction = Literal["ml", "minres"]
Variance = Literal["model", "observed"]

WORDS = {
    "ml": "one factor by maximum likelihood (congeneric CFA)",
    "minres": "one factor by least squares (minres)",
    **METRICS,
    "model": "over the variance the model implies",
    "observed": "over the observed variance",
}


def omega(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    extraction: Extraction = "ml",
    metric: Metric = "raw",
    variance: Variance = "model",
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> Coefficient:
    r"""McDonald's omega of one scale under one common factor.

    .. math:: \omega = \frac{(\sum \lambda_i)^2}{(\sum \lambda_i)^2 + \sum \theta_i}
       \qquad\text{or}\qquad \frac{(\sum \lambda_i)^2}{1' S 1}

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    items
        The k >= 3 items of the scale; default all columns.
    extraction
        ``"ml"``: maximum likelihood, which is the CFA of the scale alone; ``"minres"``: least squares.
    metric
        ``"raw"``: reliability of the sum of the answers; ``"standardised"``: of the sum of standardised answers.
    variance
        ``"model"``: the denominator is what the factor model implies; ``"observed"``: the variance observed.
    weights, scale, level, draws, rng, replicates, kind, missing
        As in :func:`csi_lab.reliability.cronbach_alpha`.

    Returns
    -------
    Coefficient
        ``parts``: loading and unique variance of each item, in the metric chosen. ``definition`` names the variant.

    Raises
    ------
    DataError
        If an item is absent, text or constant, or fewer than three items are given (with two, one factor is not
        identified; see :func:`csi_lab.reliability.cronbach_alpha`).
    EstimationError
        If ``"ml"`` has not more rows than items or exactly collinear items, or the iteration found no solution.
    SpecError
        If a choice is unknown.

    Notes
    -----
    Without draws, ``"ml"`` over the model's variance has a delta-method interval from the expected information
    (normal answers, simple random sample; Raykov 2002). The other variants have an interval with draws only.
    A Heywood case (a unique variance at its lower bound of .005) comes first in the text.
    ``extraction="minres", metric="standardised", variance="observed"`` agrees with R psych 2.2.9 ``fa()`` within 1e-5
    (``tests/reference/reliability``, omega_1f).

    References
    ----------
    .. [1] McDonald, R. P. (1999). Test Theory: A Unified Treatment. Erlbaum.
    .. [2] Raykov, T. (2002). Analytic estimation of standard error and confidence interval for scale reliability.
       Multivariate Behavioral Research, 37(1), 89-103.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> print(omega(survey, survey.constructs["Quality"], scale="Quality"))
    Quality: omega = 0.874, 95% CI [0.850, 0.898], n = 250
      one factor by maximum likelihood (congeneric CFA), sum of the answers, over the variance the model implies
      interval: delta method, normal theory
    """
    for name, choice, known in (
        ("extraction", extraction, ("ml", "minres")),
        ("metric", metric, ("raw", "standardised")),
        ("variance", variance, ("model", "observed")),
    ):
        if choice not in known:
            raise SpecError(f"{name}={choice!r} is unknown; use one of {list(known)}")
    sample = Sample.of(
        data, items, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    sample.require_scale(at_least=3)
    if extraction == "ml":
        sample.require_inverse()
    moments = sample.moments
    factor = _factor(moments.corr, extraction)
    if not factor.converged or not np.isfinite(factor.loadings).all():
        raise EstimationError(
            f"no factor was found for {list(moments.names)}; look at their correlations, one of them may be alone"
        )
    value = float(_omega(moments, extraction, metric, variance))
    se = low = high = float("nan")
    found = sample.interval(lambda m: _omega(m, extraction, metric, variance))
    if found is not None:
        interval = sample.described(found)
        se, low, high = float(found.se), float(found.low), float(found.high)
    elif sample.against:
        interval = withheld("the delta method", sample.against)
    elif extraction != "ml" or variance != "model":
        interval = "none: there is no formula for this variant; draws= gives one"
    elif _improper(factor).any():
        interval = "none: the delta method does not hold at a Heywood case; draws= gives one"
    else:
        interval = "delta method, normal theory"
        se = _delta_error(factor, moments, metric)
        z = float(special.ndtri(0.5 + level / 2))
        low, high = value - z * se, value + z * se
    return Coefficient(
        coefficient="omega",
        definition=f"{WORDS[extraction]}, {WORDS[metric]}, {WORDS[variance]}",
        scale=scale,
        value=value,
        se=se,
        low=low,
        high=high,
        level=level,
        interval=interval,
        n=moments.n,
        dropped=moments.dropped,
        parts=_parts(factor, moments, metric),
        remarks=_remarks(factor, moments) + sample.copies,
    )


def _factor(corr: np.ndarray, extraction: Extraction) -> Extracted:
    from csi_lab.factors.extraction import extract

    return extract(corr, 1, extraction, max_iterations=1000)


def _improper(factor: Extracted) -> np.ndarray:
    """Items without any unique variance ``(k,)``."""
    from csi_lab.factors.extraction import at_bound

    return at_bound(factor.uniqueness)


def _omega(moments: Moments, extraction: Extraction, metric: Metric, variance: Variance) -> np.ndarray:
    """Omega over the leading axes of moments; NaN where no factor was found."""
    corr = moments.corr
    factor = _factor(corr, extraction)
    sd = moments.sd if metric == "raw" else np.ones(corr.shape[:-1])
    common = (factor.loadings[..., 0] * sd).sum(axis=-1) ** 2
    if variance == "model":
        total = common + (factor.uniqueness * sd**2).sum(axis=-1)
    else:
        total = (sd[..., :, None] * corr * sd[..., None, :]).sum(axis=(-2, -1))
    return np.where(factor.converged, common / total, np.nan)


def _delta_error(factor: Extracted, moments: Moments, metric: Metric) -> float:
    """Standard error of omega from the covariance of loadings and unique variances."""
    # The factor's unique variances are 1 - l^2 at the solution; the covariance is taken where sigma_ii = 1.
    l, psi = factor.loadings[:, 0], factor.uniqueness  # noqa: E741
    covariance = _parameter_covariance(l, psi, moments.n)
    if metric == "raw":
        sd = moments.sd
        total, error = (l * sd).sum(), (psi * sd**2).sum()
        variance = total**2 + error
        gradient = np.concatenate([2 * total * error * sd, -(total**2) * sd**2]) / variance**2
    else:
        total, error = l.sum(), psi.sum()
        variance = total**2 + error
        by_loading = (2 * total * error + 2 * total**2 * l) / variance**2
        gradient = np.concatenate([by_loading * (1 - l**2), -by_loading * l / 2])
    return float(np.sqrt(gradient @ covariance @ gradient))


def _parameter_covariance(loadings: np.ndarray, uniquenesses: np.ndarray, n: float) -> np.ndarray:
    r"""Covariance ``(2k, 2k)`` of the ML estimates of loadings and unique variances, from the expected information.

    :math:`I_{ab} = \frac{n}{2} tr(\Sigma^{-1} \Sigma_a \Sigma^{-1} \Sigma_b)` with
    :math:`\Sigma = l l' + \Psi`; normal answers, simple random sample.
    """
    inverse = np.linalg.inv(np.outer(loadings, loadings) + np.diag(uniquenesses))
    pulled = inverse @ loadings
    top = inverse * (loadings @ pulled) + np.outer(pulled, pulled)
    cross = inverse * pulled
    information = n * np.block([[top, cross], [cross.T, inverse**2 / 2]])
    return np.linalg.inv(information)


def _parts(factor: Extracted, moments: Moments, metric: Metric) -> Any:
    import pandas as pd

    sd = moments.sd if metric == "raw" else np.ones(len(moments.names))
    columns = {"loading": factor.loadings[:, 0] * sd, "unique_variance": factor.uniqueness * sd**2}
    return pd.DataFrame(columns, index=pd.Index(list(moments.names), name="item"))


def _remarks(factor: Extracted, moments: Moments) -> tuple[str, ...]:
    out = []
    heywood = [name for name, h in zip(moments.names, _improper(factor), strict=True) if h]
    if heywood:
        out.append(f"IMPROPER (Heywood case): no unique variance is left for {', '.join(heywood)}")
    against = [f"{name} ({v:.2f})" for name, v in zip(moments.names, factor.loadings[:, 0], strict=True) if v < 0]
    if against:
        out.append(f"negative loadings: {', '.join(against)}; are these items keyed the other way?")
    return tuple(out)
