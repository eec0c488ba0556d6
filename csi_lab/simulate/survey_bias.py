"""How far the survey of the latest wave is from the census in expectation, source by source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from csi_lab.simulate import answers as answering
from csi_lab.simulate import careless as carelessness
from csi_lab.simulate import nonresponse as responding
from csi_lab.simulate.fieldwork import mode_and_interviewer
from csi_lab.simulate.seeds import child

if TYPE_CHECKING:
    from csi_lab.simulate.market import Market

CELLS = ("operator", "province")  # to which the survey is weighted


def survey_bias(market: Market, blocks: dict[str, list[str]], wave: int) -> dict[str, pd.DataFrame]:
    """Bias of the equal-weight indices of a survey, each source of error by itself, then all of them.

    Every customer of the market is put through the source, so that sampling plays no part.

    Parameters
    ----------
    market
        The market.
    blocks
        Construct to items, none of which is asked of a part of the customers only.
    wave
        Wave of the survey.

    Returns
    -------
    dict of DataFrame
        Source to a table with the constructs as rows and the columns ``bias`` (index of the survey less that of the
        census, 0 to 100) and ``se`` (of the bias, from the random part of the source; 0 where it is computed from
        probabilities).

        ``nonresponse``: who answers, weighted to operator by province as the survey is. ``careless``: respondents who
        do not read. ``mode``: answers by telephone. ``mode_and_interviewers``: with the forty interviewers of this
        market; their draw is part of the fieldwork, not of the standard error. ``complete_cases``: only those without
        a gap in any of the items are used. ``available_answers``: each item's mean is over those who answered it.
        ``all``: everything together, complete cases.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> market = simulate.make_market(customers=4000, rng=1)
    >>> found = survey_bias(market, {"Satisfaction": ["SAT1", "SAT2"]}, 3)
    >>> list(found)
    ['nonresponse', 'careless', 'mode', 'mode_and_interviewers', 'complete_cases', 'available_answers', 'all']
    """
    stated, n = market.parameters["survey"], len(market.register)
    response = market.responses(wave)
    cuts = answering.thresholds(market.parameters["market"])
    true = answering.categories(response, cuts)
    columns = [[market.items.index(item) for item in block] for block in blocks.values()]
    model = sorted(column for block in columns for column in block)

    def stream(name: str) -> np.random.Generator:
        return child(market.seed, f"survey bias {name}", wave)

    def scores(given: np.ndarray) -> np.ndarray:
        mean = np.column_stack([given[:, block].mean(axis=1) for block in columns])
        return 100 * (mean - answering.LOW) / (answering.HIGH - answering.LOW)

    census = scores(true)
    known = census.mean(axis=0)

    def table(bias: np.ndarray, se: np.ndarray | float) -> pd.DataFrame:
        return pd.DataFrame({"bias": bias, "se": se}, index=pd.Index(list(blocks), name="construct"))

    def paired(given: np.ndarray) -> pd.DataFrame:
        change = scores(given) - census
        return table(change.mean(axis=0), change.std(axis=0) / np.sqrt(n))

    found = {}
    cell, labels = pd.factorize(pd.MultiIndex.from_frame(market.register[list(CELLS)]), sort=True)
    size = np.bincount(cell, minlength=len(labels)) / n
    satisfaction = market.latent_in(wave)["SAT"].to_numpy()
    chance = responding.response_probability(market.register, satisfaction, stated)
    chance = np.where(market.register["phone"] | market.register["email"], chance, 0.0)
    answered = _weighted(census, chance, cell, size)
    found["nonresponse"] = table(answered - known, 0.0)

    kind = carelessness.kinds(n, stated, stream("careless"))
    found["careless"] = paired(carelessness.careless_answers(true, kind, stated, stream("careless answers")))
    by_mode = mode_and_interviewer(market, wave, interviewer_sd=0.0)
    found["mode"] = paired(answering.categories(response + by_mode.astype(np.float32), cuts))
    shift = mode_and_interviewer(market, wave).astype(np.float32)
    shifted = answering.categories(response + shift, cuts)
    found["mode_and_interviewers"] = paired(shifted)

    everybody, overall = market.register, market.items.index(responding.OVERALL)
    open_cells = responding.gaps(everybody, response, true[:, overall], market.items, stated, stream("item missing"))
    complete = ~open_cells[:, model].any(axis=1)
    spread = census[complete].std(axis=0) * np.sqrt(1 / complete.sum() - 1 / n)
    found["complete_cases"] = table(census[complete].mean(axis=0) - known, spread)
    answer = np.where(open_cells, np.nan, true)
    given = [
        100 * (np.nanmean(answer[:, b], axis=0).mean() - answering.LOW) / (answering.HIGH - answering.LOW)
        for b in columns
    ]
    # Each item's mean lacks a few per cent of the answers; taking items to move together errs upwards.
    lost = np.array([open_cells[:, block].mean() for block in columns])
    error = census.std(axis=0) * np.sqrt(lost / (1 - lost) / n)
    found["available_answers"] = table(np.array(given) - known, error)

    returned = carelessness.careless_answers(shifted, kind, stated, stream("careless answers"))
    gaps = responding.gaps(
        everybody, response + shift, returned[:, overall], market.items, stated, stream("item missing")
    )
    used = ~gaps[:, model].any(axis=1)
    interviewed = (stream("response").random(n) < chance) & used
    last = scores(returned)
    effective = interviewed.sum()
    found["all"] = table(
        _weighted(last, interviewed.astype(float), cell, size) - known,
        last[interviewed].std(axis=0) * np.sqrt(1 / effective - 1 / n),
    )
    return found


def _weighted(scores: np.ndarray, chance: np.ndarray, cell: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Means of those who answer, cell by cell, put together by the true sizes of the cells."""
    weight = np.bincount(cell, weights=chance, minlength=len(size))
    sums = [np.bincount(cell, weights=chance * column, minlength=len(size)) for column in scores.T]
    # A cell in which nobody answers (a tiny market) is left to the others.
    there = weight > 0
    share: Any = size[there] / size[there].sum()
    return np.array([(share * one[there] / weight[there]).sum() for one in sums])
