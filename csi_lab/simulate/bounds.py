"""Whether stated parameters can be: each within the range of its kind, shares that add up, names that exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from csi_lab.errors import SpecError, listed
from csi_lab.simulate.latent import CONSTRUCTS
from csi_lab.simulate.ranges import ADD_UP, BELOW, KINDS, LENGTHS, MAY_BE_EMPTY, PLACES, RISING

Steps = tuple[str, ...]

# Decimal shares such as .1 + .2 + .7 add up to 1 but for the last bits.
TOLERANCE = 1e-9


def require_possible(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that cannot be, all of them named.

    Parameters
    ----------
    parameters
        Sections of the truth, one or more; what ties sections together is checked where both are there.

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
    # What ties values together is computed with them, so it is left out where a value by itself cannot be.
    alone = {name: list(_out_of_range(name, section)) for name, section in parameters.items()}
    sound = {name: section for name, section in parameters.items() if not alone[name]}
    problems = [problem for found in alone.values() for problem in found]
    problems += [problem for name, section in sound.items() for problem in _at_odds(name, section)]
    problems += _across(sound)
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        raise SpecError(listed(problems, f"the truth of the market: {count}"), problems)


def leaves(part: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Every single value of nested mappings and lists with its place; empty lists count as values.

    Examples
    --------
    >>> list(leaves({"hours": {"opens": 9}, "days": (3, 5)}))
    [(('hours', 'opens'), 9), (('days', '0'), 3), (('days', '1'), 5)]
    """
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield from leaves(value, (*steps, str(key)))
    elif isinstance(part, (list, tuple)) and part:
        for number, value in enumerate(part):
            yield from leaves(value, (*steps, str(number)))
    else:
        yield steps, part


def kind_of(section: str, steps: Steps) -> str | None:
    """The kind of value that a place of a section holds; ``None`` where no value may stand.

    Examples
    --------
    >>> kind_of("behaviour", ("churn", "shape")), kind_of("behaviour", ("churn",))
    ('positive', None)
    """
    found = next(_matching(_tree(section), steps), None)
    return found if isinstance(found, str) else None


def matches(steps: Steps, pattern: str) -> bool:
    """Whether a place is one of those that a pattern stands for.

    Examples
    --------
    >>> matches(("waves", "years", "0"), "waves.years.*")
    True
    """
    wanted = pattern.split(".")
    return len(wanted) == len(steps) and all(w in ("*", s) for w, s in zip(wanted, steps, strict=True))


@cache
def _tree(section: str) -> dict[str, Any]:
    """Patterns of a section as nested mappings, the kind at their ends."""
    tree: dict[str, Any] = {}
    for kind, patterns in PLACES[section].items():
        for pattern in patterns:
            *path, last = pattern.split(".")
            branch = tree
            for step in path:
                branch = branch.setdefault(step, {})
            branch[last] = kind
    return tree


def _matching(branch: Any, steps: Steps) -> Iterator[Any]:
    if not steps:
        yield branch
    elif isinstance(branch, Mapping):
        for key in (steps[0], "*"):
            if key in branch:
                yield from _matching(branch[key], steps[1:])


def _out_of_range(name: str, section: Mapping[str, Any]) -> Iterator[str]:
    for steps, value in leaves(section):
        place = _shown(name, steps)
        if isinstance(value, (list, tuple)):
            if not any(matches(steps, pattern) for pattern in MAY_BE_EMPTY):
                yield f"{place}: the list is empty"
            continue
        kind = kind_of(name, steps)
        if kind is None:
            yield f"{place}: {value!r} cannot stand here"
        elif not KINDS[kind][0](value):
            yield f"{place}: {value} {KINDS[kind][1]}"


def _at_odds(name: str, section: Mapping[str, Any]) -> Iterator[str]:
    """Problems of several values of one section together."""
    for pattern in ADD_UP.get(name, ()):
        yield from _not_one(name, section, pattern)
    for pattern, length in LENGTHS.get(name, {}).items():
        for steps, value in _found(section, pattern):
            if len(value) != length:
                yield f"{_shown(name, steps)}: {len(value)} entries where {length} are needed"
    for pattern in RISING.get(name, ()):
        for steps, value in _found(section, pattern):
            if list(value) != sorted(value):
                yield f"{_shown(name, steps)}: {list(value)} does not rise"
    for low, high in BELOW.get(name, ()):
        (one, smaller), (_, larger) = next(_found(section, low)), next(_found(section, high))
        if not smaller < larger:
            yield f"{_shown(name, one)}: {smaller} is not below {larger}, {_shown(name, tuple(high.split('.')))}"


def _not_one(name: str, section: Mapping[str, Any], pattern: str) -> Iterator[str]:
    """Shares over the last star of a pattern that do not add up to 1, one message per mapping."""
    steps = pattern.split(".")
    last = len(steps) - 1 - steps[::-1].index("*")
    for place, group in _found(section, ".".join(steps[:last])) if last else [((), section)]:
        total = sum(value for _, value in _found(group, ".".join(steps[last:])))
        if abs(total - 1) > TOLERANCE:
            yield f"{_shown(name, place)}: the shares add up to {total:.10g}, not to 1"


def _found(part: Any, pattern: str) -> Iterator[tuple[Steps, Any]]:
    """Values that a pattern leads to."""

    def walk(value: Any, steps: list[str], place: Steps) -> Iterator[tuple[Steps, Any]]:
        if not steps:
            yield place, value
            return
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in entries:
            if steps[0] in ("*", str(key)):
                yield from walk(inner, steps[1:], (*place, str(key)))

    return walk(part, pattern.split("."), ())


def _shown(name: str, steps: Iterable[str]) -> str:
    return ": ".join((name, *steps))


def _waves(market: Mapping[str, Any]) -> Iterator[str]:
    waves = market["waves"]
    count = len(waves["years"])
    if any(later <= earlier for earlier, later in zip(waves["years"], waves["years"][1:], strict=False)):
        yield f"market: waves: years: {list(waves['years'])} does not rise from wave to wave"
    for kind in ("change", "operator_change"):
        for wave in waves[kind]:
            if wave not in range(count):
                yield f"market: waves: {kind}: wave {wave!r} has no year; add it to years"
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


def _across(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Names and numbers that one part of the truth takes from another."""
    market, survey, complaints = (parameters.get(name) for name in ("market", "survey", "complaints"))
    if complaints is not None:
        yield from _complaints(complaints)
    if survey is not None:
        yield from _raw(survey["raw"])
    if market is None:
        return
    yield from _waves(market)
    if survey is not None:
        waves = len(market["waves"]["years"])
        if survey["design"]["wave"] >= waves:
            yield f"survey: design: wave: {survey['design']['wave']} is not one of the waves 0 to {waves - 1}"
        topics = survey["open_answers"]["topics"]
        named = {f"open_answers: topics: {topic}: item": rule["item"] for topic, rule in topics.items()}
        named |= {f"item_missing: mcar: {number}": item for number, item in enumerate(survey["item_missing"]["mcar"])}
        for place, item in named.items():
            if item not in market["items"]:
                yield f"survey: {place}: there is no item {item!r}"
    if complaints is not None:
        for place, key, known in (("burst", "province", "provinces"), ("campaign", "operator", "operators")):
            if complaints["faults"][place][key] not in market[known]:
                name, there = complaints["faults"][place][key], ", ".join(market[known])
                yield f"complaints: faults: {place}: {key}: there is no {name!r}; there are {there}"


def _complaints(stated: Mapping[str, Any]) -> Iterator[str]:
    reasons = {reason for block in stated["reasons"].values() for reason in block}
    for place, rule in (
        ("shock", stated["shock"]),
        ("faults: burst", stated["faults"]["burst"]),
        ("faults: campaign", stated["faults"]["campaign"]),
    ):
        if rule["reason"] not in reasons:
            yield f"complaints: {place}: reason: {rule['reason']!r} belongs to no type; there are {sorted(reasons)}"
        if "end" in rule and rule["end"] < rule["start"]:
            yield f"complaints: {place}: ends on {rule['end']}, before it starts on {rule['start']}"
    if stated["period"]["end"] < stated["period"]["start"]:
        yield f"complaints: period: {stated['period']['start']} to {stated['period']['end']} has no day"
    for year, days in stated["calendar"].items():
        if not KINDS["year"][0](year):
            yield f"complaints: calendar: {year!r} {KINDS['year'][1]}"
        if set(days) != {"holidays", "working_weekends"}:
            yield f"complaints: calendar: {year}: needs the lists holidays and working_weekends, nothing else"
    if not sum(stated["hour"]) > 0:
        yield "complaints: hour: all entries are 0"


def _raw(stated: Mapping[str, Any]) -> Iterator[str]:
    """An interview has one fault at most, so that the shares cannot exceed 1 together."""
    total = sum(share for fault, share in stated.items() if kind_of("survey", ("raw", fault)) == "share")
    if total > 1:
        yield f"survey: raw: the shares of the faults add up to {total:.10g}, more than 1"
