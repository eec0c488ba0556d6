"""What every parameter of the truth may be: one kind per place; a star stands for every key or entry of a list."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from csi_lab.settings import is_number

Places = tuple[str, ...]


def _number(low: float, high: float, *, open_below: bool = False) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        return is_number(value) and low <= value <= high and not (open_below and value == low)

    return fits


def _whole(low: int, high: float = 10**9) -> Callable[[Any], bool]:
    inside = _number(low, high)
    return lambda value: inside(value) and value == int(value)


def _date(pattern: str) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        try:
            # Month and day of a year that is no leap year: 29 February is not there every year.
            datetime.datetime.strptime(f"2023-{value}" if pattern == "%m-%d" else str(value), "%Y-%m-%d")
        except ValueError:
            return False
        return isinstance(value, str)

    return fits


LARGE = 1e9

# Kind: whether a value is of it, and the words that end the message "<place>: <value> ...".
KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "number": (_number(-LARGE, LARGE), "is not a finite number"),
    "effect": (_number(-20, 20), "is not between -20 and 20"),  # on a logarithm: exp(20) is half a billion
    "positive": (_number(0, LARGE, open_below=True), "is not above 0"),
    "not negative": (_number(0, LARGE), "is not 0 or more"),
    "share": (_number(0, 1), "is not between 0 and 1"),
    "positive share": (_number(0, 1, open_below=True), "is not above 0 and at most 1"),
    "correlation": (_number(-1, 1), "is not between -1 and 1"),
    "mean answer": (lambda value: _number(1, 10)(value) and value not in (1, 10), "must lie between 1 and 10"),
    # Beyond it the largest of a few thousand log-normal values has more digits than a number can hold.
    "log spread": (_number(0, 5, open_below=True), "is not above 0 and at most 5"),
    "count": (_whole(1), "is not a whole number of 1 or more"),
    "whole": (_whole(0), "is not a whole number of 0 or more"),
    "year": (_whole(1900, 2200), "is not a year from 1900 to 2200"),
    "days": (_whole(1, 366), "is not a whole number of days, 1 to 366"),
    "day of the year": (_whole(0, 366), "is not a whole number from 0 to 366"),
    "hour": (_number(0, 24), "is not an hour from 0 to 24"),
    "whole hour": (_whole(0, 24), "is not a whole hour from 0 to 24"),
    "rate": (_number(0, 10_000), "is not between 0 and 10000 per 1,000 customers and year"),
    "months": (_number(0, 1200, open_below=True), "is not above 0 and at most 1200"),
    "date": (_date("%Y-%m-%d"), "is not a date such as '2025-03-01'"),
    "month and day": (_date("%m-%d"), "is not a month and day such as '03-01' that every year has"),
    "text": (lambda value: isinstance(value, str), "is not text"),
    "yes or no": (lambda value: isinstance(value, bool), "is not true or false"),
    "language": (lambda value: value in ("en", "zh"), "is not one of en, zh"),
    # Stands in the study file and the codebook, which are written as they are.
    "cannot say": (lambda value: value == 98, "is not 98, which the study file names"),
    "not asked": (lambda value: value == 99, "is not 99, which the study file names"),
}

PLACES: Mapping[str, Mapping[str, Places]] = {
    "market": {
        "share": (
            "operators.*.share",
            "provinces.*.share",
            "towns.urban_share",
            "people.age_group.*.*",
            "people.household.*",
            "people.plan.*",
            "people.phone",
            "people.email.*",
            "waves.persistence",
        ),
        "positive": (
            "provinces.*.tilt.*",
            "people.price.*",
            "people.price_factor.*",
            "people.tenure.mean",
            "people.faults.mean",
            "people.faults.shape",
            "people.faults.town_shape",
            "people.faults.operator.*",
            "people.outlet_visits.*",
            "people.degree.median",
            "people.degree.age_factor.*",
            "items.*.evenness",
        ),
        "log spread": ("towns.size_sd", "people.spend_sd", "people.degree.sd"),
        "count": ("provinces.*.towns", "towns.customers_per_outlet", "people.tenure.most"),
        "whole": ("people.tenure.least", "people.contact.counted", "effects.faults.counted"),
        "number": (
            "people.contact.base",
            "people.contact.per_fault",
            "paths.*.*",
            "effects.operator.*.*",
            "effects.age_group.*.*",
            "effects.province.*.*",
            "effects.urban.*",
            "effects.faults.any",
            "effects.faults.each_further",
            "waves.change.*.*",
            "waves.operator_change.*.*.*",
        ),
        "mean answer": ("items.*.mean",),
        "correlation": ("items.*.loading",),
        "not negative": ("effects.town_sd.*", "effects.outlet_sd.*"),
        "year": ("waves.years.*",),
        "text": ("operators.*.label.*", "provinces.*.label.*", "provinces.*.region", "regions.*.*"),
    },
    "survey": {
        "share": (
            "panel.overlap",
            "response.outcomes.*",
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
        ),
        "positive share": ("response.per_call",),
        "positive": (
            "fieldwork.seconds.telephone",
            "fieldwork.seconds.web",
            "fieldwork.seconds.least",
            "careless.pace.*",
            "item_missing.shape",
            "item_missing.mar.*",
        ),
        "log spread": ("fieldwork.seconds.sd",),
        "not negative": ("fieldwork.interviewer_sd", "complained.handling.sd", "open_answers.spread"),
        "number": (
            "response.base",
            "response.satisfaction",
            "response.age_group.*",
            "response.urban",
            "fieldwork.mode_effect",
            "item_missing.overall_at",
            "item_missing.mnar.*",
            "complained.handling.mean",
            "complained.handling.satisfaction",
        ),
        "count": (
            "design.towns",
            "design.issued",
            "panel.customers",
            "frame.customers",
            "response.most_calls",
            "fieldwork.interviewers",
        ),
        "whole": ("design.wave", "raw.impossible_ages.*", "raw.ages.*.*"),
        "days": ("fieldwork.days", "raw.days_between"),
        "month and day": ("fieldwork.start",),
        "cannot say": ("codes.cannot_say",),
        "not asked": ("codes.not_asked",),
        "text": (
            "item_missing.mcar.*",
            "open_answers.topics.*.item",
            "open_answers.topics.*.en.*",
            "open_answers.topics.*.zh.*",
            "open_answers.time.*.*",
            "open_answers.place.*.*",
            "open_answers.hostile.*",
        ),
    },
    "complaints": {
        "date": (
            "period.*",
            "register_of",
            "shock.start",
            "shock.end",
            "faults.burst.start",
            "faults.campaign.start",
            "faults.campaign.end",
        ),
        "positive share": ("iceberg.*", "part.others", "handling.first_response.at_the_latest"),
        "rate": ("rate",),
        "not negative": (
            "weekday.*",
            "month.*",
            "hour.*",
            "shock.size",
            "handling.transfers.*",
            "handling.closing",
            "handling.contacts",
            "handling.amount.product",
            "handling.amount.attitude",
            "handling.amount.after_sales",
            "handling.amount.price",
            "handling.amount.logistics",
            "handling.compensation.least",
            "handling.compensation.most",
            "handling.labour.base",
            "handling.labour.per_day",
            "handling.labour.per_transfer",
            "handling.reopened.wait",
            "faults.burst.per_1000",
            "faults.campaign.per_1000",
            "faults.serial.more",
        ),
        "effect": ("customer.*", "types.*.faults"),
        "number": (
            "emotion.satisfaction",
            "emotion.major",
            "emotion.repeated",
            "emotion.cuts.*",
            "sat_outcome.on_time",
            "sat_outcome.solved",
            "sat_outcome.compensation",
            "sat_outcome.courtesy",
            "sat_outcome.cuts.*",
            "sat_process.prompt",
            "sat_process.courtesy",
            "sat_process.transfers",
            "sat_process.cuts.*",
            "repeat.base",
            "repeat.overdue",
            "repeat.unsatisfied",
            "escalation.base",
            "escalation.weights.*",
        ),
        "share": (
            "types.*.share",
            "reasons.*.*",
            "channels.*",
            "languages.*",
            "products.*",
            "scenes.*",
            "remedies.*",
            "grades.*.share",
            "grades.*.solved",
            "grades.*.severity.*",
            "grades.*.law",
            "grades.*.profession",
            "grades.*.media",
            "handling.assigned",
            "handling.extension.notified",
            "handling.extension.valid",
            "handling.promised",
            "handling.second_type",
            "handling.promise_flag",
            "handling.partly",
            "handling.courtesy.*",
            "handling.compensation.solved",
            "handling.compensation.partly",
            "handling.compensation.refused",
            "handling.reopened.unsatisfied",
            "handling.reopened.others",
            "answered.*",
            "causes.*.*",
            "coded",
            "faults.campaign.promise_flag",
            "faults.missing",
            "faults.duplicates.share",
            "faults.serial.share",
            "faults.hostile",
        ),
        "positive": (
            "grades.*.median",
            "handling.first_response.median",
            "handling.feedback.median",
            "handling.compensation.shape.*",
            "handling.reopened.second_closing.median",
            "sat_outcome.power",
            "repeat.after",
            "repeat.within",
        ),
        "log spread": (
            "handling.sigma",
            "handling.first_response.sigma",
            "handling.feedback.sigma",
            "handling.amount.sigma",
            "handling.labour.sigma",
            "handling.reopened.second_closing.sigma",
        ),
        "count": ("grades.*.limit", "faults.serial.ring"),
        "days": ("handling.extension.days", "faults.burst.days"),
        "whole": (
            "unsatisfied",
            "sat_process.prompt_within",
            "escalation.thresholds.*",
            "faults.duplicates.minutes.*",
            "faults.serial.least",
        ),
        "hour": ("hours.*",),
        "text": (
            "shock.reason",
            "faults.burst.province",
            "faults.burst.reason",
            "faults.campaign.operator",
            "faults.campaign.reason",
            "faults.required.*",
        ),
        "month and day": ("calendar.*.holidays.*", "calendar.*.working_weekends.*"),
    },
    "visits": {
        "count": ("outlets", "shoppers"),
        "date": ("waves.dates.*",),
        "days": ("waves.days",),
        "whole hour": ("waves.hours.*",),
        "share": ("double", "agreement", "items.*.na"),
        "not negative": ("sd.*", "items.*.weight", "minutes.sd"),
        "correlation": ("link",),
        "number": ("items.*.level", "items.*.slope"),
        "positive": ("minutes.mean", "minutes.least"),
        "text": ("items.*.scale",),
        "yes or no": ("items.*.critical",),
    },
    "kano": {
        "count": ("respondents",),
        "share": ("from_survey", *(f"features.*.{place}.*" for place in ("urban", "rural"))),
        "number": ("features.*.importance",),
        # A category needs a pair of answers that lead to it.
        "positive share": ("functional.*", "dysfunctional.*"),
        "positive": ("importance_sd",),
    },
    "servqual": {
        "count": ("respondents", "step"),
        "share": ("from_survey", "parts.*.*"),
        "text": ("dimensions.*.items.*",),
        "positive": ("dimensions.*.points", "sd.*", "concentration"),
        "number": ("expectation.*", "gap.*"),
        "correlation": ("quality",),
    },
    "journey": {
        "count": ("respondents",),
        "share": ("from_survey",),
        "number": (
            "touchpoints.*.base",
            "touchpoints.*.slope",
            "touchpoints.*.mean",
            "touchpoints.*.importance",
            "remembered.base",
            "remembered.peak",
            "remembered.end",
            "remembered.mean",
            "remembered.duration",
        ),
        "text": ("touchpoints.*.covariate",),
        "day of the year": ("touchpoints.*.days.*",),
        "positive": ("sd.*",),
        "correlation": ("satisfaction",),
        "not negative": ("remembered.error",),
    },
    "firms": {
        "count": ("firms", "years.count"),
        "year": ("years.first",),
        "number": (
            "csi.mean",
            "csi.per_satisfaction",
            "csi.least",
            "csi.most",
            *(f"{money}.{what}" for money in ("sales", "profit") for what in ("elasticity", "level", "growth")),
        ),
        "positive": ("csi.firm_sd",),
        "correlation": ("csi.carry_over", "sales_level_correlation"),
        "not negative": (
            "csi.year_sd",
            *(f"{money}.{what}" for money in ("sales", "profit") for what in ("firm_sd", "year_sd", "error_sd")),
        ),
    },
    "focus_groups": {
        "count": ("groups", "speakers"),
        "language": ("languages.*",),
        "positive": ("statements",),
        "share": ("kappa", "questions.*", "codes.*"),
    },
    "behaviour": {
        "date": ("start",),
        "months": ("months",),
        "share": ("complainers", "contract.*", "offered"),
        "positive": ("churn.base", "churn.shape"),
        "effect": (
            *(f"churn.{name}" for name in ("loyalty", "year", "two_years", "recovered", "not_recovered", "open")),
            "churn.offer",
            *(f"spend.{name}" for name in ("base", "loyalty", "recovered", "not_recovered", "open")),
        ),
        "not negative": ("spend.error_sd",),
    },
}

# Shares that must add up to 1: over the entries that the last star stands for.
ADD_UP: Mapping[str, Places] = {
    "market": (
        "operators.*.share",
        "provinces.*.share",
        "people.age_group.*.*",
        "people.household.*",
        "people.plan.*",
    ),
    "survey": ("response.outcomes.*", "careless.kinds.*"),
    "complaints": (
        "types.*.share",
        "reasons.*.*",
        "channels.*",
        "languages.*",
        "products.*",
        "scenes.*",
        "remedies.*",
        "grades.*.share",
        "grades.*.severity.*",
        "handling.courtesy.*",
        "causes.*.*",
    ),
    "kano": ("features.*.urban.*", "features.*.rural.*", "functional.*", "dysfunctional.*"),
    "servqual": ("parts.*.*",),
    "focus_groups": ("questions.*", "codes.*"),
    "behaviour": ("contract.*",),
}

# Lists of a fixed length; lists that may be empty, and no others may; lists whose entries must not fall.
LENGTHS: Mapping[str, Mapping[str, int]] = {
    "survey": {"raw.ages.*": 2},
    "complaints": {
        "hour": 24,
        "grades.*.severity": 3,
        "emotion.cuts": 3,
        "sat_outcome.cuts": 4,
        "sat_process.cuts": 4,
        "handling.courtesy": 5,
        "handling.compensation.shape": 2,
        "faults.duplicates.minutes": 2,
    },
    "visits": {"waves.hours": 2},
    "journey": {"touchpoints.*.days": 2},
}
MAY_BE_EMPTY = ("item_missing.mcar", "calendar.*.holidays", "calendar.*.working_weekends")
RISING: Mapping[str, Places] = {
    "survey": ("raw.ages.*",),
    "complaints": ("emotion.cuts", "sat_outcome.cuts", "sat_process.cuts", "faults.duplicates.minutes"),
    "journey": ("touchpoints.*.days",),
}

# Pairs of numbers of one section of which the first must be below the second.
BELOW: Mapping[str, tuple[tuple[str, str], ...]] = {
    "market": (("people.tenure.least", "people.tenure.mean"), ("people.tenure.least", "people.tenure.most")),
    "complaints": (
        ("handling.compensation.least", "handling.compensation.most"),
        ("repeat.after", "repeat.within"),
        ("hours.opens", "hours.closes"),
    ),
    "visits": (("waves.hours.0", "waves.hours.1"),),
    "firms": (("csi.least", "csi.most"),),
}
