"""Reading a headline: which numbers a sentence states, and what it says that they are."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Rounding to whole percent is accepted.
ROUNDED = 0.5001

_NUMBER = re.compile(r"(?<!\d)(?<!\d[.,])\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PERCENT_AFTER = re.compile(r"\s*(?:%|per ?cent\b|pct\b|percentage)", re.IGNORECASE)
_PERCENT_BEFORE = re.compile(r"百分之\s*$")
_INTERVAL = re.compile(
    r"interval|\bCI\b|confidence|between|margin|plus or minus|±|\bto\b|区间|置信|误差|介于|之间|至|到", re.IGNORECASE
)
_JOINED = re.compile(r"\s*(?:%|per ?cent)?\s*(?:-|–|—|~|,|;|…|\.\.\.?|and|与|和)\s*(?:百分之)?\s*", re.IGNORECASE)
_PEOPLE = (
    r"people|persons?|respondents?|customers?|clients?|consumers?|users?|guests?|patients?|passengers?|visitors?|"
    r"participants?|interviews?|answers?|responses?|adults?|buyers?|subscribers?|households?|members?"
)


@dataclass(frozen=True)
class Number:
    """A number in a sentence: one reading of it, and where it stands. ``whole``: the digits are not part of another."""

    value: float
    start: int
    end: int
    whole: bool = True


def plain(sentence: str) -> str:
    """The sentence with full-width signs (％, ，, （) written narrow."""
    return unicodedata.normalize("NFKC", sentence)


def numbers(sentence: str) -> list[Number]:
    """Every number of a sentence, in every way it can be read: 21,7 is a decimal, or two numbers of a pair.

    Examples
    --------
    >>> [number.value for number in numbers("21,7 % of 1,250")]
    [21.7, 21.0, 7.0, 1250.0, 1.25, 1.0, 250.0]
    """
    found = []
    for match in _NUMBER.finditer(sentence):
        text, start, end = match[0], match.start(), match.end()
        readings = []
        if _THOUSANDS.fullmatch(text):
            readings.append(text.replace(",", ""))
        if re.fullmatch(r"\d+[.,]\d+|\d+", text):
            readings.append(text.replace(",", "."))
        found += [Number(float(reading), start, end) for reading in readings]
        if "," in text:
            parts = re.finditer(r"\d+(?:\.\d+)?", text)
            found += [Number(float(part[0]), start + part.start(), start + part.end(), False) for part in parts]
    return found


def states_percent(sentence: str, value: float) -> bool:
    """Whether the sentence gives the value, to the nearest whole at least, in percent."""
    return any(
        number.whole
        and abs(number.value - value) <= ROUNDED
        and (_PERCENT_AFTER.match(sentence, number.end) or _PERCENT_BEFORE.search(sentence[: number.start]))
        for number in numbers(sentence)
    )


def states_interval(sentence: str, low: float, high: float) -> bool:
    """Whether the sentence gives both ends, and says that they are ends, by a word or by a dash between them."""
    given = numbers(sentence)
    ends = [
        (first, second)
        for first in given
        for second in given
        if first.end <= second.start and abs(first.value - low) <= ROUNDED and abs(second.value - high) <= ROUNDED
    ]
    worded = _INTERVAL.search(sentence) is not None
    return any(worded or _JOINED.fullmatch(sentence[first.end : second.start]) for first, second in ends)


def states_people(sentence: str, n: int) -> bool:
    """Whether the sentence says that n people were asked or answered."""
    before = re.compile(
        r"(?:\b[nN]\s*[=:]?\s*|样本量?\s*[=:为是]?\s*|sample(?: size)?(?: of| was| is|:|=)?\s*|"
        r"\b(?:of|among|from|by|asked|surveyed|interviewed)\s+(?:the\s+|all\s+|our\s+)?)$",
        re.IGNORECASE,
    )
    after = re.compile(
        rf"(?:\s+[\w-]+){{0,3}}?\s+(?:{_PEOPLE})\b|\s*(?:名|位|人|份|个|户|顾客|客户|用户|受访者|消费者)", re.IGNORECASE
    )
    written = "[ ,.'’]?".join(f"{n:,}".split(","))
    sentence = re.sub(rf"(?<!\d)(?<!\d[.,]){written}(?![\d]|[.,]\d)", str(n), sentence)
    return any(
        number.value == n
        and number.whole
        and not _PERCENT_AFTER.match(sentence, number.end)
        and (before.search(sentence[: number.start]) or after.match(sentence, number.end))
        for number in numbers(sentence)
    )


def states_rule(sentence: str, name: str, cut: float, high: float) -> bool:
    """Whether the sentence says which answers count: the name of the box, or the lowest answer of it as such."""
    c, h = re.escape(f"{cut:g}"), re.escape(f"{high:g}")
    c, h = rf"(?<!\d)(?<!\d[.,]){c}(?![\d]|[.,]\d)", rf"(?<!\d)(?<!\d[.,]){h}(?![\d]|[.,]\d)"
    step = r"(?:[ -]?(?:points?|boxes|stars?)|\s*分|\s*星)?"
    from_cut = (
        rf"(?:at least|no less than|minimum of|from|>=|≥|不低于|不少于|至少|大于或?等于)\s*(?:an?\s+)?{c}",
        rf"{c}{step}\s*(?:or|and)\s*(?:more|above|higher|better|over|up|upwards?|{h})\b",
        rf"{c}{step}\s*(?:\+|(?:及|或|和)?\s*其?\s*以上|或更高|及更高)",
        rf"{c}{step}\s*(?:-|–|—|~|to|至|到|或|和|、|,)\s*{h}",
    )
    if name in ("top-2-box", "top-3-box", "top-box"):
        count = {"top-2-box": "2|two|两|二", "top-3-box": "3|three|三", "top-box": "1|one|single|一"}[name]
        named = [
            rf"(?:top|highest|best)[ -]?(?:{count})\b",
            rf"\b(?:{count})\s+(?:top|highest|best)\b",
            rf"(?:最高|最好|前|顶)\s*(?:的)?\s*(?:{count})\s*(?:个)?\s*(?:档|级|分|项|类|格|个|种)?",
        ]
        if name == "top-box":
            named += [
                r"\btop[ -]?box\b",
                r"\b(?:highest|best|top)\s+(?:possible\s+)?(?:answer|score|rating|mark)\b",
                "最高分",
            ]
    else:
        part = {
            "top fifth": "fifth|20 ?%|五分之一",
            "top two fifths": "two fifths|40 ?%|五分之二",
            "upper half": "half|一半",
        }
        named = [rf"(?:top|upper|highest|最高|上)\s*(?:的)?\s*(?:{part[name]})"]
    return any(re.search(pattern, sentence, re.IGNORECASE) for pattern in (*named, *from_cut))
