"""The marker-variable check for common-method bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from csi_lab.answers import as_items
from csi_lab.errors import DataError, EstimationError
from csi_lab.estimates import estimate_table
from csi_lab.intervals import Kind, require_interval
from csi_lab.moments import Missing, as_moments
from csi_lab.requested import requested
from csi_lab.resampling import Replicates
from csi_lab.settings import require_level
from csi_lab.usable import against_formulas
from csi_lab.validity.measurement import as_blocks, membership, require_sample
from csi_lab.validity.method_bias import MethodBiasResult, left_out


def marker_variable(
    data: Any,
    marker: Sequence[str] | str,
    constructs: Mapping[str, Sequence[str]] | None = None,
    *,
    alpha: float = 0.05,
    weights: Any = None,
    missing: Missing = "listwise",
    draws: int | None = None,
    rng: np.random.Generator | int = 0,
    replicates: Replicates | None = None,
    kind: Kind = "percentile",
    level: float = 0.95,
) -> MethodBiasResult:
    r"""Correlations of the constructs with a marker held constant: a question that has nothing to do with them.

    Constructs are sums of standardised items. With r the correlation of two and :math:`m_1, m_2` theirs with the marker

    * partial: :math:`(r - m_1 m_2) / \sqrt{(1 - m_1^2)(1 - m_2^2)}`, the ``estimate``;
    * Lindell and Whitney [1]_: :math:`(r - m)/(1 - m)` with m the smallest absolute correlation of the marker with a
      construct, taken as the part due to the method.

    Parameters
    ----------
    data
        A survey, a DataFrame or Moments of a single survey.
    marker
        Item or items of the marker; in no construct.
    constructs
        Name to items; default those of the survey.
    alpha
        Level at which a correlation counts as shown.
    weights, missing, draws, rng, replicates, kind, level
        As in :func:`csi_lab.validity.method_bias.harman`. Without draws the
        partial correlation has Fisher's interval with n - 4 in place of n - 3.

    Returns
    -------
    MethodBiasResult
        Index (construct, other): ``correlation``, partial as ``estimate, se, low, high``, ``lindell_whitney``,
        ``verdict``.

    Raises
    ------
    DataError
        If items are absent, text or constant, the marker belongs to a construct, or there is one construct only.
    EstimationError
        If the items of a construct cancel, or the marker is one of the constructs in other words.

    References
    ----------
    .. [1] Lindell, M. K., & Whitney, D. J. (2001). Accounting for common method variance in cross-sectional research
       designs. Journal of Applied Psychology, 86(1), 114-121.

    Examples
    --------
    >>> import csi_lab as csi
    >>> blocks = {"Quality": ["PERQ1", "PERQ2"], "Satisfaction": ["CUSA1", "CUSA2", "CUSA3"]}
    >>> found = marker_variable(csi.load_survey("mobile"), "CUSL2", blocks)
    >>> found.table[["correlation", "estimate", "lindell_whitney"]].round(3).to_numpy().tolist()
    [[0.675, 0.687, 0.653]]
    """
    require_level(alpha, "alpha", 0.05)
    require_interval(kind, level)
    own = as_items(marker)
    blocks = as_blocks(constructs if constructs is not None else getattr(data, "constructs", None))
    items = [*(i for block in blocks.values() for i in block), *own]
    twice = sorted({str(i) for i in items if items.count(i) > 1})
    if twice:
        raise DataError(f"items used more than once: {twice}; the marker must stand outside all constructs")
    if len(blocks) < 2 or not all(blocks.values()) or not own:
        raise DataError("need two constructs or more with an item each, and a marker")
    moments = as_moments(data, items, weights, missing)
    if moments.shape:
        raise EstimationError("these are several sets of moments; the check is reported for one survey")
    require_sample(moments)
    member = membership({**blocks, "\x1fmarker": own})
    names = list(blocks)
    first, second = np.triu_indices(len(names), 1)
    index = [(names[a], names[b]) for a, b in zip(first, second, strict=True)]
    scores = composite_correlations(moments.corr, member)
    _require_scores(scores, [*names, "the marker"])
    made = requested(
        data, items, weights=weights, draws=draws, rng=rng, replicates=replicates, missing=missing, sample=moments
    )
    n = int(moments.n)
    if made is not None:
        found = made.interval(
            lambda m: partial_correlations(composite_correlations(m.corr, member))[..., first, second],
            kind=kind,
            level=level,
        )
        table, interval = found.to_frame(index, ["construct", "other"]), str(found)
    else:
        partial = partial_correlations(scores)[first, second]
        table = estimate_table(partial, index, ["construct", "other"]).assign(se=np.nan, low=np.nan, high=np.nan)
        against = against_formulas(data, moments)
        interval = "Fisher's z with one variable held constant"
        if against or n <= 4:
            interval = f"none: {against or 'more than four rows are needed'}; ask for draws"
        else:
            half = special.ndtri(1 - (1 - level) / 2) / np.sqrt(n - 4)
            # Two constructs that are one have no interval.
            z = np.arctanh(np.where(np.abs(partial) < 1 - 1e-12, partial, np.nan))
            table["se"] = (1 - partial**2) / np.sqrt(n - 2)
            table["low"], table["high"] = np.tanh(z - half), np.tanh(z + half)
    smallest = float(np.abs(scores[-1, :-1]).min())
    raw = scores[first, second]
    table.insert(0, "correlation", raw)
    table["lindell_whitney"] = (raw - smallest) / (1 - smallest)
    table["verdict"] = [
        "untested" if np.isnan(low) else ("shown with the marker held constant" if low > 0 or high < 0 else "not shown")
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    most = names[int(np.abs(scores[-1, :-1]).argmax())]
    remarks = (
        f"the marker correlates {scores[-1, names.index(most)]:.3f} with {most}, "
        f"and at least {smallest:.3f} in size with every construct",
        *left_out(moments.dropped),
    )
    return MethodBiasResult(
        f"Marker variable {' + '.join(map(str, own))}", table, n, "partial correlation", interval, remarks
    )


def _require_scores(scores: np.ndarray, names: Sequence[str]) -> None:
    """Refuse sums of items that do not vary, and a marker that is a construct."""
    still = [name for name, own in zip(names, np.diagonal(scores), strict=True) if np.isnan(own)]
    if still:
        raise EstimationError(
            f"the sum of the items does not vary, because they cancel: {still}; check their direction"
        )
    same = [name for name, r in zip(names[:-1], scores[-1, :-1], strict=True) if abs(r) > 1 - 1e-10]
    if same:
        raise EstimationError(f"the marker is a copy of {same}: nothing is left when it is held constant")


def composite_correlations(corr: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Correlations ``(..., J, J)`` of the sums of standardised items, from ``(..., p, p)``; NaN where items cancel."""
    cov = member.T @ corr @ member
    variance = np.diagonal(cov, axis1=-2, axis2=-1)
    sd = np.sqrt(np.where(variance > 1e-10 * member.sum(axis=0), variance, np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        return cov / (sd[..., :, None] * sd[..., None, :])


def partial_correlations(corr: np.ndarray) -> np.ndarray:
    """Correlations ``(..., J, J)`` of all but the last variable with the last one held constant.

    Examples
    --------
    >>> partial_correlations(np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]))[0, 1].round(4)
    np.float64(0.3333)
    """
    last = corr[..., :-1, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.sqrt(1 - last**2)
        return (corr[..., :-1, :-1] - last[..., :, None] * last[..., None, :]) / (
            size[..., :, None] * size[..., None, :]
        )
