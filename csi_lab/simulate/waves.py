"""The panel: the same questions in four yearly waves, a known share of customers asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from csi_lab.errors import SpecError
from csi_lab.settings import is_number, is_whole, require_whole
from csi_lab.simulate.seeds import child, root

if TYPE_CHECKING:
    from csi_lab.simulate.market import Market

ABOUT = ("operator", "province", "region", "urban", "age_group")


def panel(
    market: Market,
    *,
    customers: int = 600,
    overlap: float = 0.6,
    waves: tuple[int, ...] | None = None,
    rng: np.random.Generator | int | None = None,
) -> pd.DataFrame:
    """A rotating panel: simple random samples of equal size, of which a share was asked in the wave before.

    Parameters
    ----------
    market
        The market.
    customers
        Respondents per wave, >= 1.
    overlap
        Share asked in the previous wave already, 0 to 1; the others are drawn from those never asked.
    waves
        Waves in rising order; ``None``: all.
    rng
        Seed or generator; ``None``: the market's own stream.

    Returns
    -------
    DataFrame
        One row per customer and wave: customer, wave, year, times (asked so far, with this wave), group columns, items.
        Everybody answers, carefully and completely; PQ5 is 99 without contact.

    Raises
    ------
    SpecError
        If the market is too small for so many customers, or a setting is not possible.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> market = simulate.make_market(customers=2000, rng=1)
    >>> table = panel(market, customers=100, overlap=0.5, waves=(2, 3))
    >>> len(table), int((table["times"] == 2).sum())
    (200, 50)
    """
    require_whole(customers, "customers")
    if not is_number(overlap) or not 0 <= overlap <= 1:
        raise SpecError(f"overlap={overlap!r} must be a share between 0 and 1")
    if is_whole(waves):
        raise SpecError(f"waves={waves!r}: give several of {market.waves} in rising order")
    chosen = market.waves if waves is None else tuple(waves)
    unknown = sorted(set(chosen) - set(market.waves))
    if unknown or not chosen or list(chosen) != sorted(set(chosen)):
        raise SpecError(f"waves={chosen!r}: give some of {market.waves} in rising order")
    kept = round(overlap * customers)
    needed = customers + (len(chosen) - 1) * (customers - kept)
    if needed > len(market.register):
        raise SpecError(f"the panel needs {needed} customers and the market has {len(market.register)}; ask for fewer")
    stream = child(market.seed if rng is None else root(rng), "panel")
    # One random order of all customers: the fresh ones of each wave are the next in it.
    fresh = stream.permutation(len(market.register))[:needed]
    members, used, parts = fresh[:customers], customers, []
    asked = np.zeros(len(market.register), dtype=int)
    years = market.parameters["market"]["waves"]["years"]
    for number, wave in enumerate(chosen):
        if number:
            again = stream.permutation(members)[:kept]
            members = np.concatenate([again, fresh[used : used + customers - kept]])
            used += customers - kept
        members = np.sort(members)
        asked[members] += 1
        about = market.register.iloc[members]
        head = about[["customer"]].assign(wave=wave, year=years[wave], times=asked[members])
        answers = market.answers(wave).iloc[members]
        if "PQ5" in answers:
            not_asked = market.parameters["survey"]["codes"]["not_asked"]
            answers = answers.assign(PQ5=answers["PQ5"].where(about["contact"], not_asked).astype(np.int8))
        parts.append(pd.concat([head, about[list(ABOUT)], answers], axis=1))
    return pd.concat(parts, ignore_index=True)
