"""Tests of differences between groups: permutation, Welch, pooled, bootstrap, and all groups at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import EstimationError
from csi_lab.intervals import Interval
from csi_lab.moments import Moments
from csi_lab.sem.algorithm import Solution
from csi_lab.sem.fit import PLSFit
from csi_lab.sem.grouped import GroupedSample, Lost
from csi_lab.validity.labels import holm

if TYPE_CHECKING:
    import pandas as pd


def compared(
    sample: GroupedSample,
    fit: PLSFit,
    pair: tuple[int, int],
    inner: Sequence[Interval],
    drawn: Sequence[np.ndarray],
    between: Interval,
    df: float,
    function: Callable[[Solution], np.ndarray],
    draws: int,
    rng: np.random.Generator,
) -> tuple[dict[str, Any], Lost]:
    """Columns of tests for one pair of groups, and the shuffles without a solution."""
    a, b = pair
    d, (s1, s2) = _settled(between.estimate), (_settled(inner[a].se), _settled(inner[b].se))
    n1, n2 = sample.sizes[a], sample.sizes[b]
    nothing = np.full(d.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        if not sample.exchangeable:
            t = d / _settled(between.se)
            columns = {"t": t, "df": np.full(d.shape, df), "p_welch": _two_sided(t, df)}
            return {"p_permutation": nothing, **columns, "p_pooled": nothing, "p_bootstrap": nothing}, Lost()
        t = d / np.sqrt(s1**2 + s2**2)
        welch_df = (s1**2 + s2**2) ** 2 / (s1**4 / (n1 - 1) + s2**4 / (n2 - 1))
        pooled = np.sqrt(((n1 - 1) ** 2 * s1**2 + (n2 - 1) ** 2 * s2**2) / (n1 + n2 - 2)) * np.sqrt(1 / n1 + 1 / n2)
        share = pairwise_share(drawn[a], drawn[b])
        both = sample.pair(a, b).shuffled(draws, rng.spawn(1)[0])
        chance = solved(fit, both[0], function) - solved(fit, both[1], function)
        known = ~np.isnan(chance)
        larger = (np.abs(_settled(chance)) >= np.abs(d) * (1 - 1e-12)) & known
        return {
            "p_permutation": (1 + larger.sum(axis=0)) / (1 + known.sum(axis=0)),
            "t": t,
            "df": welch_df,
            "p_welch": _two_sided(t, welch_df),
            "p_pooled": _two_sided(d / pooled, n1 + n2 - 2),
            "p_bootstrap": 2 * np.minimum(share, 1 - share),
        }, Lost.of((~known).all(axis=1), *both)


def omnibus(
    sample: GroupedSample,
    fit: PLSFit,
    values: np.ndarray,
    function: Callable[[Solution], np.ndarray],
    draws: int,
    rng: np.random.Generator,
    index: Sequence[object],
    names: Sequence[str],
) -> tuple[pd.DataFrame, Lost]:
    """The permutation test that all groups are equal, and the shuffles without a solution."""
    import pandas as pd

    shuffled = sample.shuffled(draws, rng)
    chance = np.stack([solved(fit, moments, function) for moments in shuffled])
    statistic, by_chance = (_settled(_spread(x, sample.sizes)) for x in (values, chance))
    known = ~np.isnan(by_chance)
    p = (1 + ((by_chance >= statistic * (1 - 1e-12)) & known).sum(axis=0)) / (1 + known.sum(axis=0))
    rows = pd.MultiIndex.from_tuples(list(index), names=names) if len(names) > 1 else pd.Index(index, name=names[0])
    return pd.DataFrame({"statistic": statistic, "p": p, "p_holm": holm(p)}, index=rows), Lost.of(
        (~known).all(axis=1), *shuffled
    )


def _spread(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Sum of squares between groups ``(..., k)`` of ``(G, ..., k)``, weighted by their sizes."""
    share = (sizes / sizes.sum()).reshape(-1, *(1,) * (values.ndim - 1))
    return (share * (values - (share * values).sum(axis=0)) ** 2).sum(axis=0)


def _settled(values: np.ndarray) -> np.ndarray:
    """Zero for what is rounding only, such as the loading of a single item, which is 1 in every draw."""
    return np.where(np.abs(values) < 1e-12, 0.0, values)


def solved(fit: PLSFit, moments: Moments, function: Callable[[Solution], np.ndarray]) -> np.ndarray:
    """A quantity of every draw ``(draws, k)``, NaN where the draw has no solution."""
    solution = fit.again(moments).solution
    if not solution.converged.any():
        raise EstimationError("no draw has a solution in every group; the groups may be too small for this model")
    return np.where(solution.converged[:, None], function(solution), np.nan)


def pairwise_share(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""Henseler's P: share of all pairs of draws with :math:`2\bar b_1 - b_{1j} > 2\bar b_2 - b_{2i}`, ties half.

    Parameters
    ----------
    first, second
        Draws ``(R, k)`` of two groups; NaN are left out.

    Returns
    -------
    ndarray
        ``(k,)``.

    Examples
    --------
    >>> pairwise_share(np.array([[3.0], [4.0]]), np.array([[1.0], [2.0]])).tolist()
    [1.0]
    """
    shares = np.empty(first.shape[1])
    for k in range(first.shape[1]):
        a, b = (x[~np.isnan(x)] for x in (first[:, k], second[:, k]))
        if not len(a) or not len(b):
            shares[k] = np.nan
            continue
        a, b = 2 * a.mean() - a, np.sort(2 * b.mean() - b)
        below, upto = np.searchsorted(b, a, side="left"), np.searchsorted(b, a, side="right")
        shares[k] = (below + upto).mean() / (2 * len(b))
    return shares


def _two_sided(t: np.ndarray, df: Any) -> np.ndarray:
    return 2 * special.stdtr(df, -np.abs(t))
