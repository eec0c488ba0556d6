"""Firms over the years: satisfaction index, sales and profit with a known elasticity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from csi_lab.errors import DataError, SpecError
from csi_lab.simulate.bounds import require_possible
from csi_lab.simulate.requirements import needed

MILLION = 1e6


def make(
    register: pd.DataFrame,
    latent: pd.DataFrame,
    parameters: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    index: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    r"""Index, sales and profit of the firms of an industry, the operators of the market among them.

    .. math:: \ln \text{sales}_{it} = a_i + g_t + \eta \ln \mathrm{CSI}_{i,t-1} + e_{it}

    Parameters
    ----------
    register
        One row per customer: operator, spend (yuan per month), whose sum is an operator's level of sales.
    latent
        Latent scores of the same customers: SAT, whose mean moves an operator's level where ``index`` is not given.
    parameters
        The section ``firms`` of the truth.
    rng
        Source of all draws.
    index
        Satisfaction index of the operators, 0 to 100, in the census: one row per year, one column per operator. In
        these years it is the operator's index; the years before lead to it.

    Returns
    -------
    dict of DataFrame
        ``firms`` one row per firm and year: firm (the operators' letters, then F04 and so on), year, csi (0 to 100),
        csi_before (index of the year before), sales and profit (million yuan).

    Raises
    ------
    DataError
        If the register or the latent scores lack something.
    SpecError
        If there are fewer firms than operators, or an index leaves its range.

    Notes
    -----
    Operators: in the year of the register (the last of ``index``, else the last of all) the expected sales at the true
    elasticity are what the customers of the register spend in twelve months; expected profit is lower by the
    difference of the stated levels. Errors and shocks come on top.

    The level of a firm's index is correlated with its levels of sales and profit, so that regressions without firm
    effects mislead; regressions with firm and year effects recover the elasticity :math:`\eta`.

    References
    ----------
    .. [1] Anderson, E. W., Fornell, C., & Lehmann, D. R. (1994). Journal of Marketing, 58(3), 53-66.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> people = pd.DataFrame({"operator": ["A", "B", "C"] * 10, "spend": 100.0})
    >>> scores = pd.DataFrame({"SAT": np.zeros(30)})
    >>> firms = make(people, scores, truth.load("firms"), np.random.default_rng(1))["firms"]
    >>> firms.shape, list(firms["firm"].unique()[:4])
    ((320, 6), ['A', 'B', 'C', 'F04'])
    """
    require_possible({"firms": parameters})
    needed(register, latent, ("operator", "spend"), ("SAT",))
    rule, years = parameters["csi"], int(parameters["years"]["count"])
    operators = pd.Series(latent["SAT"].to_numpy(float)).groupby(register["operator"].to_numpy()).mean()
    n = int(parameters["firms"])
    if n < len(operators):
        raise SpecError(f"firms: {n} firms cannot hold the {len(operators)} operators of the market")
    streams = rng.spawn(4)
    names = [str(name) for name in operators.index] + [f"F{place:02d}" for place in range(len(operators) + 1, n + 1)]

    normal = streams[0].standard_normal(n)
    level = float(rule["mean"]) + float(rule["firm_sd"]) * normal
    calendar = int(parameters["years"]["first"]) - 1 + np.arange(years + 1)  # csi_before needs a year more
    deviation = _deviations(n, years + 1, float(rule["carry_over"]), float(rule["year_sd"]), streams[1])
    # An operator's level says what its customers think; only what is left of chance belongs to other firms.
    level[: len(operators)] = float(rule["mean"]) + float(rule["per_satisfaction"]) * operators.to_numpy()
    if index is not None:
        known = _known(index, list(operators.index), calendar)
        level[: len(operators)] = known.mean(axis=0)
        _lead_to(deviation, known - known.mean(axis=0), calendar, float(rule["carry_over"]))
    csi = level[:, None] + deviation
    low, high = float(rule["least"]), float(rule["most"])
    if csi.min() < low or csi.max() > high:
        raise SpecError(f"firms: an index reaches {csi.min():.1f} to {csi.max():.1f}, beyond {low:g} to {high:g}")
    csi = np.round(csi, 2)

    table = pd.DataFrame(
        {
            "firm": np.repeat(np.array(names, dtype=object), years),
            "year": np.tile(int(parameters["years"]["first"]) + np.arange(years), n),
            "csi": csi[:, 1:].ravel(),
            "csi_before": csi[:, :-1].ravel(),
        }
    )
    standing = (level - float(rule["mean"])) / float(rule["firm_sd"])
    r = float(parameters["sales_level_correlation"])
    at = years - 1 if index is None else int(np.searchsorted(calendar[1:], min(index.index.max(), calendar[-1])))
    yearly = register["spend"].groupby(register["operator"].to_numpy()).sum().to_numpy(float) * 12 / MILLION
    margin = float(parameters["profit"]["level"]) - float(parameters["sales"]["level"])
    for column, stream in (("sales", streams[2]), ("profit", streams[3])):
        money = parameters[column]
        firm = float(money["level"]) + float(money["firm_sd"]) * (
            r * standing + np.sqrt(1 - r**2) * stream.standard_normal(n)
        )
        time = float(money["growth"]) * np.arange(years) + float(money["year_sd"]) * stream.standard_normal(years)
        error = float(money["error_sd"]) * stream.standard_normal((n, years))
        effect = float(money["elasticity"]) * np.log(csi[:, :-1] / float(rule["mean"]))
        own = effect[: len(operators), at] + float(money["growth"]) * at
        firm[: len(operators)] = np.log(yearly) + (margin if column == "profit" else 0.0) - own
        table[column] = np.round(np.exp(firm[:, None] + time + effect + error), 2).ravel()
    return {"firms": table}


def _deviations(firms: int, years: int, carry_over: float, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Stationary first-order autoregression, one row per firm."""
    if not abs(carry_over) < 1:
        raise SpecError(f"firms: carry_over = {carry_over} must lie between -1 and 1")
    new = sd * rng.standard_normal((firms, years))
    found = np.empty_like(new)
    found[:, 0] = new[:, 0] / np.sqrt(1 - carry_over**2)
    for year in range(1, years):
        found[:, year] = carry_over * found[:, year - 1] + new[:, year]
    return found


def _known(index: pd.DataFrame, operators: list[str], calendar: np.ndarray) -> pd.DataFrame:
    """The census index in the years that the table has."""
    absent = sorted(set(operators) - set(index.columns))
    years = [year for year in calendar if year in index.index]
    if absent or not years or index[index.index.isin(years)].isna().any(axis=None):
        raise DataError(
            f"firms: index: needs one column per operator (absent: {absent}) without gaps and a year of the table "
            f"({calendar[0]} to {calendar[-1]}), got {list(index.index)}"
        )
    return index.loc[years, operators].astype(float)


def _lead_to(deviation: np.ndarray, known: pd.DataFrame, calendar: np.ndarray, carry_over: float) -> None:
    """Known deviations of the first firms are put in; the years around them follow the same process, both ways."""
    firms = known.shape[1]
    own, led = deviation[:firms].copy(), deviation[:firms]
    place = {int(year): int(np.searchsorted(calendar, year)) for year in known.index}
    for year, at in place.items():
        led[:, at] = known.loc[year].to_numpy()
    first = min(place.values())
    # A stationary first-order autoregression is the same forwards and backwards in time.
    for at in range(first - 1, -1, -1):
        led[:, at] = own[:, at] + carry_over * (led[:, at + 1] - own[:, at + 1])
    for at in sorted(set(range(first + 1, len(calendar))) - set(place.values())):
        led[:, at] = own[:, at] + carry_over * (led[:, at - 1] - own[:, at - 1])
