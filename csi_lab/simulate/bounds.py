"""Whether stated parameters can be: shares between 0 and 1, spreads not negative, names that exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from csi_lab.errors import SpecError, listed
from csi_lab.simulate.latent import CONSTRUCTS


def require_possible(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters of the sections ``market`` and ``survey`` that cannot be, all of them named.

    Raises
    ------
    SpecError
        With every problem.

    Examples
    --------
    >>> from csi_lab.simulate import truth
    >>> require_possible(truth.parameters({"survey": {"careless": {"share": 1.5}}}))
    Traceback (most recent call last):
    csi_lab.errors.SpecError: the truth of the market: 1 problem
      survey: careless: share: 1.5 is not between 0 and 1
    """
    market, survey = parameters["market"], parameters["survey"]
    problems = [
        *_shares(market, _MARKET_SHARES, "market"),
        *_shares(survey, _SURVEY_SHARES, "survey"),
        *_positive(market, _MARKET_POSITIVE, "market"),
        *_positive(survey, _SURVEY_POSITIVE, "survey"),
        *_waves(market),
        *_panel(survey, len(market["waves"]["years"])),
    ]
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        raise SpecError(listed(problems, f"the truth of the market: {count}"), problems)


# A star stands for every key of that level.
_MARKET_SHARES = (
    "operators.*.share",
    "provinces.*.share",
    "towns.urban_share",
    "people.age_group.*.*",
    "people.household.*",
    "people.plan.*",
    "people.phone",
    "people.email.*",
    "waves.persistence",
)
_SURVEY_SHARES = (
    "panel.overlap",
    "response.outcomes.*",
    "response.per_call",
    "fieldwork.web",
    "careless.share",
    "careless.kinds.*",
    "careless.guessed",
    "item_missing.share.*",
    "raw.sent_twice",
    "raw.asked_twice",
    "raw.out_of_range",
    "raw.routing",
    "raw.routing_open",
    "raw.age_text",
    "raw.age_impossible",
    "raw.wrong_date",
    "open_answers.share",
    "open_answers.chinese",
    "open_answers.hostile_share",
)
_MARKET_POSITIVE = (
    "provinces.*.towns",
    "provinces.*.tilt.*",
    "towns.size_sd",
    "towns.customers_per_outlet",
    "people.price.*",
    "people.price_factor.*",
    "people.spend_sd",
    "people.faults.mean",
    "people.faults.shape",
    "people.faults.town_shape",
    "people.faults.operator.*",
    "people.outlet_visits.*",
    "people.degree.median",
    "people.degree.sd",
    "people.degree.age_factor.*",
)
_SURVEY_POSITIVE = (
    "design.towns",
    "design.issued",
    "panel.customers",
    "frame.customers",
    "response.per_call",
    "response.most_calls",
    "fieldwork.interviewers",
    "fieldwork.days",
    "fieldwork.seconds.*",
    "careless.pace.*",
    "item_missing.shape",
    "item_missing.mar.*",
    "fieldwork.seconds.least",
)


def _values(part: Any, steps: list[str], place: str) -> Iterator[tuple[str, Any]]:
    if not steps:
        yield place, part
        return
    for key in part if steps[0] == "*" else (steps[0],):
        yield from _values(part[key], steps[1:], f"{place}: {key}")


def _shares(section: Mapping[str, Any], paths: tuple[str, ...], name: str) -> Iterator[str]:
    for path in paths:
        for place, value in _values(section, path.split("."), name):
            if not 0 <= value <= 1:
                yield f"{place}: {value} is not between 0 and 1"


def _positive(section: Mapping[str, Any], paths: tuple[str, ...], name: str) -> Iterator[str]:
    for path in paths:
        for place, value in _values(section, path.split("."), name):
            if not 0 < value < float("inf"):
                yield f"{place}: {value} is not above 0"


def _waves(market: Mapping[str, Any]) -> Iterator[str]:
    waves = market["waves"]
    count = len(waves["years"])
    for kind in ("change", "operator_change"):
        if (latest := max(waves[kind])) + 1 > count:
            yield f"market: waves: {kind}: wave {latest} has no year; add it to years"
    stated: dict[tuple[Any, ...], Any] = {("change", wave): block for wave, block in waves["change"].items()}
    for wave, blocks in waves["operator_change"].items():
        unknown = sorted(set(blocks) - set(market["operators"]))
        if unknown:
            known = ", ".join(market["operators"])
            yield f"market: waves: operator_change: {wave}: no operators {unknown}; there are {known}"
        stated |= {("operator_change", wave, operator): block for operator, block in blocks.items()}
    for place, block in stated.items():
        shown = ": ".join(map(str, place))
        unknown = sorted(set(block) - set(CONSTRUCTS))
        if unknown:
            yield f"market: waves: {shown}: no constructs {unknown}; there are {', '.join(CONSTRUCTS)}"
        if place[1] == 0 and any(block.values()):
            yield f"market: waves: {shown}: the base wave cannot change against itself; leave it empty"


def _panel(survey: Mapping[str, Any], waves: int) -> Iterator[str]:
    if survey["design"]["wave"] not in range(waves):
        yield f"survey: design: wave: {survey['design']['wave']} is not one of the waves 0 to {waves - 1}"
    for place in ("design.towns", "design.issued", "panel.customers", "frame.customers", "fieldwork.interviewers"):
        for shown, value in _values(survey, place.split("."), "survey"):
            if value != int(value):
                yield f"{shown}: {value} is not a whole number"
