"""Reliability of composites from loadings and weights: rho_C, rho_A; and of longer or shorter scales."""

from __future__ import annotations

from typing import Any

import numpy as np

from csi_lab.errors import DataError, EstimationError, SpecError
from csi_lab.settings import is_number, require_level


def rho_c(loadings: Any) -> np.ndarray:
    r"""Composite reliability of Fornell and Larcker ("CR", Jöreskog's rho).

    .. math:: \rho_C = \frac{(\sum l)^2}{(\sum l)^2 + \sum (1 - l^2)}

    Parameters
    ----------
    loadings
        ``(..., k)`` standardised loadings of the items on their own construct.

    Returns
    -------
    ndarray
        ``(...)``.

    Raises
    ------
    DataError
        If a loading lies outside -1 to 1 (unstandardised loadings, or a Heywood case) or is no number; a draw with a
        NaN among its loadings is NaN.

    Notes
    -----
    Agrees with R seminr 2.3.4 to 1e-10 (``tests/reference/pls``, rhoC).

    References
    ----------
    .. [1] Fornell, C., & Larcker, D. F. (1981). Evaluating structural equation models with unobservable variables and
       measurement error. Journal of Marketing Research, 18(1), 39-50.

    Examples
    --------
    >>> float(rho_c([0.8, 0.8, 0.8]).round(4))
    0.8421
    """
    l = _numbers(loadings, "loadings")  # noqa: E741
    if (np.abs(l) > 1 + 1e-9).any():
        raise DataError(
            f"loadings outside -1 to 1: {l[np.abs(l) > 1 + 1e-9].ravel()[:5].tolist()}; "
            "rho_C needs standardised loadings of a proper solution"
        )
    return rho_c_of_blocks(l, np.ones((l.shape[-1], 1)))[..., 0]


def rho_c_of_blocks(loadings: np.ndarray, member: np.ndarray) -> np.ndarray:
    """:func:`rho_c` of every block ``(..., J)``, from own loadings ``(..., p)`` and ``member (p, J)`` of 0 and 1."""
    common = (loadings @ member) ** 2
    return common / (common + (1 - loadings**2) @ member)


def rho_a(corr: Any, weights: Any) -> np.ndarray:
    r"""Dijkstra and Henseler's consistent reliability of PLS (mode A) scores.

    .. math:: \rho_A = (w'w)^2 \frac{w'(R - \operatorname{diag} R) w}{w'(ww' - \operatorname{diag} ww') w},
       \qquad w'Rw = 1

    Parameters
    ----------
    corr
        ``(..., k, k)`` correlations of the items of one construct.
    weights
        ``(..., k)`` outer weights of the standardised items, in any scale.

    Returns
    -------
    ndarray
        ``(...)``; 1 for a single item, which has no error that could be told from it.

    Raises
    ------
    DataError
        If the shapes do not fit, or the matrices hold covariances.

    Notes
    -----
    Agrees with R seminr 2.3.4 to 1e-10 (``tests/reference/pls``, rhoA). It may exceed 1 or be negative in small or
    contradictory blocks, and is then returned as it is. NaN where the scores do not vary.

    References
    ----------
    .. [1] Dijkstra, T. K., & Henseler, J. (2015). Consistent partial least squares path modeling. MIS Quarterly,
       39(2), 297-316.

    Examples
    --------
    >>> corr = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    >>> float(rho_a(corr, [1.0, 1.0, 1.0]).round(4))
    0.75
    """
    r, w = _numbers(corr, "correlations"), _numbers(weights, "weights")
    if r.ndim < 2 or r.shape[-1] != r.shape[-2] or w.shape[-1] != r.shape[-1]:
        raise DataError(f"k weights need k x k correlations; got shapes {w.shape} and {r.shape}")
    if w.shape[-1] == 1:
        return np.ones(np.broadcast_shapes(r.shape[:-2], w.shape[:-1]))
    own = np.diagonal(r, axis1=-2, axis2=-1)
    if (np.abs(own - 1) > 1e-8).any():
        raise DataError(
            f"rho_A needs correlations, with 1 on the diagonal; it holds {own[np.abs(own - 1) > 1e-8].ravel()[0]:g}: "
            "divide by the standard deviations, and give weights of standardised items"
        )
    variance = (w[..., None, :] @ r @ w[..., None])[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = w / np.sqrt(np.where(variance > 0, variance, np.nan))
    return rho_a_of_blocks(unit, r, np.ones((r.shape[-1], 1)))[..., 0]


def rho_a_of_blocks(weights: np.ndarray, corr: np.ndarray, member: np.ndarray) -> np.ndarray:
    """:func:`rho_a` of every block ``(..., J)``.

    ``weights (..., p)`` give each block a score of variance 1, ``corr (..., p, p)`` are the correlations of all items,
    ``member (p, J)`` is 1 where the item belongs to the block. A block of one item has no error to tell: NaN.
    """
    size = weights**2 @ member
    spread = weights[..., None] * member
    common = (spread * (corr @ spread)).sum(axis=-2) - size
    with np.errstate(divide="ignore", invalid="ignore"):
        return size**2 * common / (size**2 - weights**4 @ member)


def spearman_brown(reliability: Any, length: float = 2.0) -> Any:
    r"""Reliability of a scale ``length`` times as long, all parts parallel (the prophecy formula).

    .. math:: r_m = \frac{m r}{1 + (m - 1) r}

    Parameters
    ----------
    reliability
        Reliability r of the present scale, or an array of them; above -1/(m - 1), up to 1.
    length
        m > 0; below 1 for a shorter scale.

    Returns
    -------
    float or ndarray
        NaN where :math:`1 + (m - 1) r` is not positive, so that no parallel parts agree like this.

    Raises
    ------
    DataError
        If reliabilities are no numbers.
    SpecError
        If the length is no positive number.

    References
    ----------
    .. [1] Spearman, C. (1910). British Journal of Psychology, 3, 271-295; Brown, W. (1910). ibid., 296-322.

    Examples
    --------
    >>> round(spearman_brown(0.6970), 4)
    0.8214
    """
    if not is_number(length) or not 0 < length < np.inf:
        raise SpecError(f"length={length!r}: a scale can be half or twice as long, but not {length!r} times")
    r = _floats(reliability, "reliabilities")
    with np.errstate(divide="ignore", invalid="ignore"):
        longer = np.where(1 + (length - 1) * r > 0, length * r / (1 + (length - 1) * r), np.nan)
    return float(longer) if longer.ndim == 0 else longer


def length_for(reliability: float, target: float) -> float:
    r"""How many times as long a scale must be for the reliability wanted: :math:`m = r^*(1 - r)/(r (1 - r^*))`.

    Parameters
    ----------
    reliability, target
        Present and wanted reliability, both between 0 and 1.

    Raises
    ------
    SpecError
        If one of them is not between 0 and 1.

    Examples
    --------
    >>> round(length_for(0.6, 0.8), 3)
    2.667
    """
    require_level(reliability, "reliability", 0.6)
    require_level(target, "target", 0.8)
    return target * (1 - reliability) / (reliability * (1 - target))


def standard_error_of_measurement(sd: Any, reliability: Any) -> Any:
    r"""How far a respondent's score lies from the true score, on average: :math:`s \sqrt{1 - r}`, in the score's units.

    Parameters
    ----------
    sd
        Standard deviation of the scores.
    reliability
        Of the scores, at most 1; a negative estimate gives more than sd.

    Raises
    ------
    DataError
        If a standard deviation is negative.
    EstimationError
        If a reliability exceeds 1.

    Examples
    --------
    >>> float(standard_error_of_measurement(14.72, 0.7701).round(2))
    7.06
    """
    s, r = _floats(sd, "standard deviations"), _floats(reliability, "reliabilities")
    if (s < 0).any():
        raise DataError(f"a standard deviation is not negative; got {sd!r}")
    if (r > 1).any():
        raise EstimationError(f"reliability {reliability!r} exceeds 1: there is no error variance left")
    return s * np.sqrt(1 - r)


def _floats(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise DataError(f"{what} are not numbers") from None


def _numbers(values: Any, what: str) -> np.ndarray:
    x = _floats(values, what)
    if not x.ndim or not x.shape[-1]:
        raise DataError(f"{what} must be an array over items, got {values!r}")
    return x
