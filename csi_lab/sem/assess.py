"""How good a path model is: reliability, validity, effect sizes, collinearity and fit, for many samples at once.

Functions of arrays that broadcast over leading axes: item correlations ``(..., p, p)``, the arrays of a
:class:`~csi_lab.sem.algorithm.Solution`, and the :class:`~csi_lab.sem.algorithm.Layout` of the model.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from csi_lab.model import PathModel
from csi_lab.reliability.alpha import alpha_of_sums
from csi_lab.reliability.composite import rho_a_of_blocks, rho_c_of_blocks
from csi_lab.sem.algorithm import LARGEST_VIF, Layout, Solution
from csi_lab.validity.measurement import average_variance_extracted


def own_loadings(solution: Solution, layout: Layout) -> np.ndarray:
    """Loading ``(..., p)`` of each item on its own construct."""
    return solution.cross_loadings[..., np.arange(len(layout.block)), layout.block]


def alpha(cov: np.ndarray, layout: Layout) -> np.ndarray:
    r"""Cronbach's alpha ``(..., J)`` of each block; of correlations the standardised, of covariances the raw one.

    .. math:: \alpha = \frac{k}{k-1}\left(1 - \frac{\operatorname{tr} S}{1'S1}\right)

    A single item has 1 by convention, as in R seminr.

    Examples
    --------
    >>> layout = Layout.of(PathModel({"X": ["a", "b"], "Y": "c"}, {"Y": "X"}))
    >>> corr = np.array([[1.0, 0.5, 0.3], [0.5, 1.0, 0.3], [0.3, 0.3, 1.0]])
    >>> alpha(corr, layout).round(4).tolist()
    [0.6667, 1.0]
    """
    k = layout.member.sum(axis=0)
    own = np.diagonal(cov, axis1=-2, axis2=-1) @ layout.member
    return np.where(k > 1, alpha_of_sums(k, own, _within(cov, layout)), 1.0)


def rho_a(weights: np.ndarray, corr: np.ndarray, layout: Layout) -> np.ndarray:
    r"""Dijkstra and Henseler's reliability ``(..., J)`` of the scores of mode A blocks; 1 in mode B and of one item.

    .. math:: \rho_A = (w'w)^2 \, \frac{w'(R - \operatorname{diag} R) w}{w'(ww' - \operatorname{diag} ww') w}

    Parameters
    ----------
    weights
        ``(..., p)`` weights of standardised items, scaled so that each score has variance 1.

    References
    ----------
    .. [1] Dijkstra, T. K., & Henseler, J. (2015). Consistent partial least squares path modeling. MIS Quarterly,
       39(2), 297-316.
    """
    return np.where(reflective(layout), rho_a_of_blocks(weights, corr, layout.member), 1.0)


def rho_c(loadings: np.ndarray, layout: Layout) -> np.ndarray:
    r"""Composite reliability ``(..., J)``: :math:`(\sum l)^2 / ((\sum l)^2 + \sum (1 - l^2))`; 1 of one item."""
    return np.where(layout.member.sum(axis=0) > 1, rho_c_of_blocks(loadings, layout.member), 1.0)


def ave(loadings: np.ndarray, layout: Layout) -> np.ndarray:
    """Average variance extracted ``(..., J)``: the mean squared loading; 1 of one item."""
    return np.where(layout.member.sum(axis=0) > 1, average_variance_extracted(loadings, layout.member), 1.0)


def reflective(layout: Layout) -> np.ndarray:
    """Constructs ``(J,)`` of several items in mode A: those for which reliability is estimated, not set to 1."""
    found = layout.member.sum(axis=0) > 1
    found[[layout.block[at[0]] for at in layout.mode_b]] = False
    return found


def fornell_larcker(solution: Solution, layout: Layout) -> np.ndarray:
    """Construct correlations ``(..., J, J)`` with the root of the AVE on the diagonal.

    References
    ----------
    .. [1] Fornell, C., & Larcker, D. F. (1981). Evaluating structural equation models with unobservable variables and
       measurement error. Journal of Marketing Research, 18(1), 39-50.
    """
    root = np.sqrt(ave(own_loadings(solution, layout), layout))
    eye = np.eye(root.shape[-1], dtype=bool)
    return np.where(eye, root[..., None, :], solution.correlations)


def item_vif(corr: np.ndarray, layout: Layout) -> np.ndarray:
    """Variance inflation ``(..., p)`` of each item by the others of its block; 1 of one item, infinite for a copy."""
    found = np.full(corr.shape[:-1], np.nan)
    for j in range(layout.member.shape[1]):
        at = np.flatnonzero(layout.block == j)
        found[..., at] = _inflation(corr[..., at[:, None], at])
    return found


def f2_fixed_scores(solution: Solution) -> np.ndarray:
    r"""Effect size ``(..., J, J)`` of each path with the scores kept as they are, NaN where there is no path.

    .. math:: f^2 = \frac{R^2 - R^2_{\text{without}}}{1 - R^2} = \frac{b^2 / \text{VIF}}{1 - R^2}

    References
    ----------
    .. [1] Cohen, J. (1988). Statistical Power Analysis for the Behavioral Sciences, 2nd ed. Lawrence Erlbaum, ch. 9.
    """
    return solution.paths**2 / solution.vif / (1 - solution.r2)[..., None, :]


def without_path(model: PathModel, source: str, target: str) -> PathModel:
    """The model without one path and without the construct that this leaves isolated, if any."""
    paths = {t: tuple(s for s in sources if (s, t) != (source, target)) for t, sources in model.paths.items()}
    named = {c for t, sources in paths.items() if sources for c in (t, *sources)}
    kept = {c: items for c, items in model.constructs.items() if c in named}
    modes = {c: m for c, m in model.modes.items() if c in named}
    return PathModel(kept, {t: s for t, s in paths.items() if t in named}, modes)


def ways(model: PathModel) -> tuple[tuple[str, ...], ...]:
    """Every way of two paths or more through the model, as the constructs on it, in the order of the constructs.

    Examples
    --------
    >>> model = PathModel({"A": "a", "B": "b", "C": "c"}, {"B": "A", "C": ["A", "B"]})
    >>> ways(model)
    (('A', 'B', 'C'),)
    """
    targets = {s: [t for t in model.constructs if s in model.paths.get(t, ())] for s in model.constructs}
    found: list[tuple[str, ...]] = []
    open_ways: list[tuple[str, ...]] = [(s,) for s in model.constructs]
    while open_ways:
        longer = [(*way, t) for way in open_ways for t in targets[way[-1]]]
        found += [way for way in longer if len(way) > 2]
        open_ways = longer
    place = {c: j for j, c in enumerate(model.constructs)}
    return tuple(sorted(found, key=lambda way: (place[way[0]], place[way[-1]], [place[c] for c in way])))


def specific_effects(solution: Solution, model: PathModel) -> np.ndarray:
    """Product of the coefficients along each of the :func:`ways` ``(..., m)``."""
    place = {c: j for j, c in enumerate(model.constructs)}
    found = [
        np.prod([solution.paths[..., place[s], place[t]] for s, t in pairwise(way)], axis=0) for way in ways(model)
    ]
    return np.stack(found, axis=-1) if found else np.empty((*solution.paths.shape[:-2], 0))


def information_criteria(solution: Solution, layout: Layout, n: np.ndarray) -> np.ndarray:
    r"""AIC and BIC ``(..., J, 2)`` of the regression of each construct on its k sources.

    .. math:: \text{AIC} = n \ln \frac{(1 - R^2)(n - 1)}{n} + 2(k + 1), \qquad
              \text{BIC: } \ln n \text{ in place of } 2

    References
    ----------
    .. [1] Sharma, P., Sarstedt, M., Shmueli, G., Kim, K. H., & Thiele, K. O. (2019). PLS-based model selection: the
       role of alternative explanations in information systems research. Journal of the Association for Information
       Systems, 20(4), 346-397.
    """
    n = np.asarray(n, dtype=float)[..., None]
    k = layout.paths.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = n * np.log((1 - solution.r2) * (n - 1) / n)
    return np.stack([spread + 2 * (k + 1), spread + np.log(n) * (k + 1)], axis=-1)


def _within(matrix: np.ndarray, layout: Layout) -> np.ndarray:
    """Sum of all entries of each block ``(..., J)``."""
    pairs = layout.member[:, None] * layout.member
    return matrix.reshape(*matrix.shape[:-2], -1) @ pairs.reshape(-1, pairs.shape[-1])


def _inflation(corr: np.ndarray) -> np.ndarray:
    """Diagonal ``(..., k)`` of the inverses of correlation matrices; infinite where one is singular."""
    if corr.shape[-1] == 1:
        return np.diagonal(corr, axis1=-2, axis2=-1).copy()
    values, vectors = np.linalg.eigh(np.where(np.isfinite(corr), corr, np.eye(corr.shape[-1])))
    found = (vectors**2 / np.maximum(values, 1e-16)[..., None, :]).sum(axis=-1)
    # Items outside an exact dependence keep their finite inflation: their part in its vector is rounding alone.
    found = np.where(found < LARGEST_VIF, found, np.inf)
    return np.where(np.isfinite(corr).all(axis=(-2, -1))[..., None], found, np.nan)
