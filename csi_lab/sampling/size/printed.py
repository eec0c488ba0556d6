"""Shortcuts and printed tables for the sample size of a share, beside the formula they stand for."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from csi_lab.sampling.size.sample_size import (
    SampleSize,
    field_problems,
    margin_of,
    not_positive,
    not_share,
    planned,
    refuse,
    rounded_up,
)

if TYPE_CHECKING:
    import pandas as pd

# The table of Krejcie & Morgan (1970) as remembered, not read again in print: it is shown with that mark.
KREJCIE_MORGAN_RECALLED = {
    10: 10, 15: 14, 20: 19, 50: 44, 100: 80, 200: 132, 300: 169, 400: 196, 500: 217, 750: 254, 1000: 278, 1500: 306,
    2000: 322, 3000: 341, 5000: 357, 10_000: 370, 20_000: 377, 50_000: 381, 75_000: 382, 100_000: 384, 1_000_000: 384,
}  # fmt: skip


def yamane(population: int, error: float = 0.05) -> SampleSize:
    r"""Yamane's shortcut for a share: p = 0.5 and z = 2 are built in.

    .. math:: n = \frac{N}{1 + N e^2}

    Parameters
    ----------
    population
        Size N of the population.
    error
        Margin e, as a share.

    Returns
    -------
    SampleSize

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Notes
    -----
    It is the share's formula with z = 2 and N + 1 for N; :func:`proportion` says what it assumes.

    References
    ----------
    .. [1] Yamane, T. (1967). Statistics: An Introductory Analysis (2nd ed.). Harper & Row.

    Examples
    --------
    >>> yamane(2000).n
    334
    """
    refuse("Yamane's size", *field_problems(population=population), not_share("error", error))
    exact = population / (1 + population * error**2)
    return SampleSize(
        what="proportion (Yamane)",
        n=rounded_up(exact),
        exact=exact,
        issued=rounded_up(exact),
        aim="margin",
        target=error,
        axis="margin: half width of the interval at z = 2, as a share",
        assumptions={"margin": f"{error:g}", "p": "0.5", "z": "2", "population": f"{population:,}"},
        achieved=partial(_yamane_margin, population),
        least=1,
        population=population,
    )


def krejcie_morgan(
    population: int, *, margin: float = 0.05, p: float = 0.5, chi2: float = 3.841, response_rate: float = 1.0
) -> SampleSize:
    r"""Krejcie and Morgan's sample size for a share of a finite population.

    .. math:: n = \frac{\chi^2 N p q}{d^2 (N - 1) + \chi^2 p q}

    Parameters
    ----------
    population
        Size N of the population.
    margin, p
        Half width d and share expected.
    chi2
        Quantile of chi-square with 1 degree of freedom; the table took 3.841.
    response_rate
        As in :func:`mean`.

    Returns
    -------
    SampleSize

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Notes
    -----
    This is :func:`proportion` with a finite population: the same formula, written otherwise.

    References
    ----------
    .. [1] Krejcie, R. V., & Morgan, D. W. (1970). Determining sample size for research activities. Educational and
       Psychological Measurement, 30, 607-610.

    Examples
    --------
    >>> krejcie_morgan(1000).n
    278
    """
    refuse(
        "Krejcie and Morgan's size",
        *field_problems(1.0, response_rate, population),
        not_share("margin", margin),
        not_share("p", p),
        not_positive("chi2", chi2),
    )
    return planned(
        "proportion (Krejcie and Morgan)",
        chi2 * p * (1 - p) / margin**2,
        partial(margin_of, math.sqrt(chi2 * p * (1 - p))),
        aim="margin",
        target=margin,
        axis="margin: half width of the interval, as a share",
        assumptions={"margin": f"{margin:g}", "p": f"{p:g}", "chi-square": f"{chi2:g}"},
        response_rate=response_rate,
        population=population,
        least=1,
    )


def krejcie_morgan_table() -> pd.DataFrame:
    """The formula of Krejcie and Morgan beside their printed table.

    Returns
    -------
    DataFrame
        Index N; ``exact``, ``rounded`` (to the nearest, as in the table), ``rounded_up``, ``printed_recalled``: the
        print as remembered, to be looked up before it is quoted.

    Examples
    --------
    >>> krejcie_morgan_table().loc[100_000].round(2).to_dict()
    {'exact': 382.63, 'rounded': 383.0, 'rounded_up': 383.0, 'printed_recalled': 384.0}
    """
    import pandas as pd

    exact = np.array([krejcie_morgan(size).exact for size in KREJCIE_MORGAN_RECALLED])
    return pd.DataFrame(
        {
            "exact": exact,
            "rounded": np.rint(exact).astype(int),
            "rounded_up": [rounded_up(value) for value in exact],
            "printed_recalled": list(KREJCIE_MORGAN_RECALLED.values()),
        },
        index=pd.Index(list(KREJCIE_MORGAN_RECALLED), name="N"),
    )


def _yamane_margin(population: float, n: np.ndarray) -> np.ndarray:
    n = np.asarray(n, dtype=float)
    return np.sqrt(np.maximum(population - n, 0.0) / (n * population))
