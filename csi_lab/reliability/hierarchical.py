"""Omega hierarchical: how much of a sum score is the one thing that all items share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from csi_lab.errors import EstimationError, SpecError
from csi_lab.intervals import Kind
from csi_lab.moments import Missing, Moments
from csi_lab.reliability.coefficient import METRICS, CoefficientTable, Metric, Sample, require_metric
from csi_lab.resampling import Replicates
from csi_lab.settings import is_whole

NAMES = ("omega hierarchical", "omega total", "explained common variance")


def omega_hierarchical(
    data: Any,
    items: Sequence[str] | None = None,
    *,
    factors: int = 3,
    metric: Metric = "raw",
    weights: Any = None,
    scale: str = "scale",
    level: float = 0.95,
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    missing: Missing = "listwise",
) -> CoefficientTable:
    r"""Omega hierarchical and omega total by the Schmid-Leiman transformation of an exploratory factor analysis.

    Minres factors, rotated by oblimin to loadings :math:`\Lambda` and correlations :math:`\Phi`; one factor of
    :math:`\Phi` with loadings :math:`\gamma`; general loadings :math:`g = \Lambda\gamma`. Then

    .. math:: \omega_h = \frac{(\sum g_i)^2}{1'S1}, \quad \omega_t = 1 - \frac{\sum u_i^2}{1'S1}, \quad
       \text{ECV} = \frac{\sum g_i^2}{\sum h_i^2}

    with unique variances :math:`u^2` and communalities :math:`h^2`.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    items
        The items, enough for the factors: ((k - m)^2 - k - m)/2 >= 0, e.g. 6 items for 3 factors.
    factors
        Number m of group factors, 2 or more. With two, the second-order factor is not identified and both loadings are
        :math:`\sqrt{\phi_{12}}`, which a remark states.
    metric
        ``"raw"``: of the sum of the answers; ``"standardised"``: of the sum of the standardised answers.
    weights, scale, level, draws, rng, replicates, kind, missing
        As in :func:`csi_lab.reliability.cronbach_alpha`.

    Returns
    -------
    CoefficientTable
        Rows ``omega hierarchical``, ``omega total``, ``explained common variance``.

    Raises
    ------
    DataError
        As in :func:`csi_lab.reliability.cronbach_alpha`.
    EstimationError
        If there are too few items or rows, items are exactly collinear, or the factors are not positively correlated,
        so that they have no general factor.
    SpecError
        If a choice is unknown.

    Notes
    -----
    The answer depends on the number of factors: show it for several. Exact for a population with a general factor and
    m equally general groups (proportionality constraint of Schmid and Leiman). Agrees with R psych 2.2.9 ``omega()``
    within 1e-5 (``tests/reference/reliability``, hs_scales). Draws in which no general factor exists
    are left out and counted.

    References
    ----------
    .. [1] Schmid, J., & Leiman, J. M. (1957). The development of hierarchical factor solutions. Psychometrika, 22(1),
       53-61.
    .. [2] Zinbarg, R. E., Revelle, W., Yovel, I., & Li, W. (2005). Cronbach's alpha, Revelle's beta, and McDonald's
       omega h. Psychometrika, 70(1), 123-133.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> found = omega_hierarchical(survey, survey.constructs["Quality"], factors=3)
    >>> bool(found.table["estimate"].iloc[0] < found.table["estimate"].iloc[1])
    True
    """
    from csi_lab.factors.fitting import most_factors

    require_metric(metric)
    if not is_whole(factors) or factors < 2:
        raise SpecError(f"factors={factors!r}: a hierarchy needs two group factors or more; with one see omega")
    sample = Sample.of(
        data, items, weights, draws=draws, rng=rng, replicates=replicates, kind=kind, level=level, missing=missing
    )
    sample.require_scale()
    sample.require_inverse()
    moments = sample.moments
    k = len(moments.names)
    if most_factors(k) < 2:
        raise EstimationError(
            f"{k} items carry no two factors, which a hierarchy needs; take omega or five items or more"
        )
    if factors > most_factors(k):
        raise EstimationError(f"{k} items carry {most_factors(k)} factors at most, not {factors}; ask for fewer")
    first, heywood = _schmid_leiman(moments, factors, metric)
    if not np.isfinite(first).all():
        raise EstimationError(
            f"the {factors} factors have no general factor behind them (they are not positively correlated), or were "
            "not found; try another number of factors"
        )
    table, interval = sample.estimates(
        lambda m: _schmid_leiman(m, factors, metric)[0], NAMES, "the hierarchical coefficients"
    )
    remarks = []
    if heywood:
        remarks.append("IMPROPER (Heywood case): an item or a group factor has no variance of its own left")
    if factors == 2:
        remarks.append(
            "two group factors: their loadings on the general factor were set equal, they are not identified"
        )
    return CoefficientTable(
        title=f"{scale}: Schmid-Leiman, {factors} minres factors, oblimin, {METRICS[metric]}",
        table=table,
        interval=interval,
        level=level,
        n=moments.n,
        dropped=moments.dropped,
        remarks=(*remarks, *sample.remarks),
    )


def _schmid_leiman(moments: Moments, factors: int, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """The three coefficients ``(..., 3)``, and whether the solution is a Heywood case ``(...)``."""
    from csi_lab.factors.extraction import at_bound, extract
    from csi_lab.factors.rotation import Rotation, rotate

    corr = moments.corr
    found = extract(corr, factors, "minres")
    sound = found.converged & np.isfinite(found.loadings).all(axis=(-2, -1))
    safe = np.where(sound[..., None, None], found.loadings, np.eye(len(moments.names), factors))
    turned = rotate(safe, Rotation("oblimin"))
    # Each factor points the way its items do; the general factor is that of factors so turned.
    sign = np.where(turned.loadings.sum(axis=-2) < 0, -1.0, 1.0)
    loadings = turned.loadings * sign[..., None, :]
    phi = turned.phi * sign[..., :, None] * sign[..., None, :]
    general: Any
    high: Any
    if factors == 2:
        with np.errstate(invalid="ignore"):
            second = np.sqrt(phi[..., 0, 1])[..., None] * np.ones(2)
        general = np.isfinite(second).all(axis=-1)
        high = np.zeros(general.shape, dtype=bool)
    else:
        higher = extract(phi, 1, "minres")
        second = higher.loadings[..., 0]
        general = higher.converged & (second > 0).all(axis=-1)
        high = at_bound(higher.uniqueness).any(axis=-1)
    g = (loadings @ second[..., None])[..., 0]
    unique = found.uniqueness
    sd = moments.sd if metric == "raw" else np.ones(unique.shape)
    total = (sd[..., :, None] * corr * sd[..., None, :]).sum(axis=(-2, -1))
    values = [
        (g * sd).sum(axis=-1) ** 2 / total,
        1 - (unique * sd**2).sum(axis=-1) / total,
        (g**2).sum(axis=-1) / (1 - unique).sum(axis=-1),
    ]
    ok = sound & turned.converged & general
    heywood = high | at_bound(unique).any(axis=-1)
    return np.where(ok[..., None], np.stack(values, axis=-1), np.nan), heywood
