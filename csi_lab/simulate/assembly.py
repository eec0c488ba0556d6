"""Every table of the market, by name: samples of the survey waves, the frame, and what other rooms make of it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from csi_lab.errors import DataError
from csi_lab.sampling.weight import post_stratify
from csi_lab.simulate.complaint_part import published
from csi_lab.simulate.draw import two_stage
from csi_lab.simulate.fieldwork import interview
from csi_lab.simulate.opinions import opinions
from csi_lab.simulate.returned import returned
from csi_lab.simulate.seeds import child
from csi_lab.simulate.waves import panel

if TYPE_CHECKING:
    from csi_lab.simulate.market import Market

# Rooms that make tables of their own from register and latent scores; each has a section of the truth of its name.
ROOMS = ("complaints", "visits", "kano", "servqual", "journey", "firms", "focus_groups", "behaviour")

CELLS = ("operator", "province")
TOTALS = ("operator", "province", "urban", "age_group")


def tables(market: Market) -> dict[str, pd.DataFrame]:
    """All tables of the market that come with the study, name to table; the registers are left out.

    Raises
    ------
    DataError
        If the market is so small that an operator has no respondent in a province, or a table asks for more customers
        than there are.

    Notes
    -----
    ``complaints`` and its event log are a part of the market's register of complaints, with weights; all of it gives
    :func:`complaint_register`.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> made = tables(simulate.make_market(customers=6000, rng=1))
    >>> list(made)[:6]
    ['survey', 'survey_key', 'survey_raw', 'survey_raw_faults', 'issued', 'panel']
    """
    cases = complaint_register(market)
    latest = _latest_survey(market, cases)
    found = {**latest, "panel": _panel(market), "frame": _frame(market), "totals": _totals(market)}
    rooms = [room for room in ROOMS if room not in ("complaints", "behaviour")]
    others: dict[str, pd.DataFrame] = {}
    for room in rooms:
        others |= room_tables(market, room, {**found, **cases})
    part: dict[str, pd.DataFrame] = {}
    if cases:
        known = [table["customer"] for name, table in {**found, **others}.items() if _of_respondents(name, table)]
        part = published(
            cases, set(pd.concat(known)), market.parameters["complaints"], child(market.seed, "complaint part")
        )
    made = {**found, **part, **others}
    if "behaviour" in ROOMS:
        made |= room_tables(
            market, "behaviour", {**found, **cases, **({"followed": part["complaints"]} if part else {})}
        )
    return made


def complaint_register(market: Market) -> dict[str, pd.DataFrame]:
    """All complaints of the market, of which the study has a part: complaints, events, days, faults.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> list(complaint_register(simulate.make_market(customers=2000, rng=1)))
    ['complaints', 'complaint_events', 'complaint_days', 'complaint_faults']
    """
    return room_tables(market, "complaints") if "complaints" in ROOMS else {}


def room_tables(market: Market, room: str, made: Mapping[str, Any] | None = None) -> dict[str, pd.DataFrame]:
    """The tables of one room, made from the register and the latent scores of the latest wave.

    Parameters
    ----------
    market
        The market.
    room
        One of :data:`ROOMS`.
    made
        Tables made before, for rooms that need the customers of the survey or the complaints; made again when they are
        not here.
    """
    name = f"{__package__}.{room}"
    if importlib.util.find_spec(name) is None or room not in market.parameters:
        return {}
    make = importlib.import_module(name).make
    wanted = inspect.signature(make).parameters
    extra: dict[str, Any] = {}
    before = {} if made is None else made
    if "customers" in wanted:
        survey = before["survey"] if "survey" in before else _latest_survey(market, None)["survey"]
        extra["customers"] = survey["customer"].to_numpy()
    if "complaints" in wanted:
        cases = before if "complaints" in before else complaint_register(market)
        extra["complaints"] = cases.get("complaints")
    if "complainers" in wanted and "followed" in before:
        extra["complainers"] = before["followed"]["customer"].to_numpy()
    if "opinions" in wanted:
        extra["opinions"] = opinions(market)
    if "index" in wanted:
        years = market.parameters["market"]["waves"]["years"]
        extra["index"] = pd.DataFrame({int(years[w]): market.truth_index(w)["SAT"].drop("all") for w in market.waves}).T
    latent = market.latent_in(market.waves[-1])
    made_here: dict[str, pd.DataFrame] = make(
        market.register, latent, market.parameters[room], child(market.seed, room), **extra
    )
    return made_here


def _of_respondents(name: str, table: pd.DataFrame) -> bool:
    """Whether a table holds people who were asked something: not the frame, nor customers issued in vain."""
    return "customer" in table and name not in ("frame", "issued")


def _latest_survey(market: Market, cases: dict[str, pd.DataFrame] | None) -> dict[str, pd.DataFrame]:
    cases = complaint_register(market) if cases is None else cases
    stated = market.parameters["survey"]["design"]
    stream = child(market.seed, "sample", stated["wave"])
    drawn = two_stage(market.register, towns=stated["towns"], issued=stated["issued"], rng=stream)
    work = interview(market, drawn, wave=stated["wave"], complaints=cases.get("complaints"))
    if not len(work.answers):
        raise DataError(f"nobody of {len(work.issued)} issued customers answers; raise survey: response: base")
    survey = work.answers.merge(drawn, on="customer", how="left", validate="one_to_one")
    register = market.register
    known = {CELLS: register.groupby(list(CELLS)).size()}
    try:
        survey["weight"] = post_stratify(survey, survey["base_weight"].to_numpy(), known).values.round(6)
    except DataError as error:
        raise DataError(
            f"the market is too small for its survey; make it larger or issue more customers: {error}"
        ) from error
    survey["base_weight"] = survey["base_weight"].round(6)
    items = market.items
    design = ["towns", "base_weight", "weight"]
    behind = [*items, "CP1", "CP2", "OP1"]
    first = [name for name in survey.columns if name not in (*behind, *design)]
    issued = work.issued.merge(drawn, on="customer", validate="one_to_one").round({"base_weight": 6})
    about = register.set_index("customer").loc[
        issued["customer"], ["operator", "province", "town", "urban", "age_group"]
    ]
    issued = pd.concat([issued, about.reset_index(drop=True)], axis=1)
    whole = survey[[*first, *design, *behind]]
    raw = returned(whole, items, market.parameters["survey"], child(market.seed, "survey raw", stated["wave"]))
    return {"survey": whole, "survey_key": work.key, **raw, "issued": issued}


def _panel(market: Market) -> pd.DataFrame:
    stated = market.parameters["survey"]["panel"]
    size = min(stated["customers"], max(1, len(market.register) // len(market.waves)))
    return panel(market, customers=size, overlap=stated["overlap"])


def _frame(market: Market) -> pd.DataFrame:
    """A random part of the register with the true satisfaction of the latest wave: a population to be sampled."""
    size = min(market.parameters["survey"]["frame"]["customers"], len(market.register))
    chosen = child(market.seed, "frame").permutation(len(market.register))[:size]
    chosen.sort()
    frame = market.register.iloc[chosen].reset_index(drop=True)
    answers = market.answers(market.waves[-1])[market.blocks["SAT"]].iloc[chosen]
    frame["satisfaction"] = (100 * (answers.to_numpy().mean(axis=1) - 1) / 9).round(2)
    return frame


def _totals(market: Market) -> pd.DataFrame:
    """Known counts of the register for weighting."""
    return market.register.groupby(list(TOTALS), sort=True).size().rename("customers").reset_index()
