"""The study file: what was asked, how people were chosen, and what is believed. It holds no answers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError

from csi_lab.design import Design
from csi_lab.model import PathModel
from csi_lab.study.contradictions import contradictions
from csi_lab.study.datasets import find_study
from csi_lab.study.document import Document, Key, Problem, read_document


def _code(value: Any) -> float | str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("must be a number or a text")


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, (str, int, float)) else value


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Code = Annotated[float | str, PlainValidator(_code)]
Codes = Annotated[tuple[Code, ...], BeforeValidator(_one_or_many)]
Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
Stages = str | tuple[str, ...] | None  # one column, or one per stage of selection
Texts = dict[str, str]  # language -> text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class DataFile(_Part):
    """Where the answers lie and how the file is written."""

    file: Annotated[str, Field(min_length=1)]
    package: str | None = None
    encoding: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] = "."
    sheet: str | None = None


class Scale(_Part):
    """Bounds of the answers, and answer texts that stand for numbers."""

    low: Number
    high: Number
    labels: dict[str, Number] = {}


class Checks(_Part):
    """What happens to answers outside the scale and to rows whose id was met before."""

    outside_scale: Literal["error", "missing", "keep"] = "error"
    duplicate_id: Literal["error", "first", "keep"] = "error"


class Item(_Part):
    """One question. Bounds and missing codes given here replace those of the study."""

    label: Texts = {}
    low: Number | None = None
    high: Number | None = None
    reversed: bool = False
    missing_codes: Codes | None = None


class Construct(_Part):
    """A latent variable with its block of items."""

    items: Annotated[dict[str, Item], Field(min_length=1)]
    label: Texts = {}
    mode: Literal["A", "B"] | None = None


class Columns(_Part):
    """Columns that say who a row is and how it was sampled."""

    id: str | None = None
    weights: str | None = None
    strata: str | None = None
    psu: Stages = None
    population: Stages = None

    @property
    def sample(self) -> Design:
        """The design as estimators take it."""
        return Design(self.weights, self.strata, self.psu, self.population)


class Sample(_Part):
    """How the respondents were found, in words; printed in reports."""

    population: Texts = {}
    selection: Texts = {}
    mode: Texts = {}
    dates: Texts = {}


class Study(_Part):
    """A study file in final form: short forms written out, nothing contradictory. Made by :func:`load_study`."""

    name: Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=60)]
    title: Texts = {}
    languages: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-\w+)?$")], ...], Field(min_length=1)] = (
        "en",
    )
    data: DataFile
    scale: Scale | None = None
    missing_codes: Codes = ()
    checks: Checks = Checks()
    constructs: Annotated[dict[str, Construct], Field(min_length=1)]
    catalogue: Annotated[str | None, Field(alias="model")] = None
    paths: dict[str, Names] = {}
    target: str | None = None
    design: Columns = Columns()
    segments: Names = ()
    open_answers: Names = ()
    keep: Names = ()
    sample: Sample = Sample()

    @property
    def items(self) -> dict[str, Item]:
        """All items, block after block."""
        return {name: item for block in self.constructs.values() for name, item in block.items.items()}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest possible answer of each item."""
        low, high = (self.scale.low, self.scale.high) if self.scale else (float("nan"), float("nan"))
        return {
            name: (low if item.low is None else item.low, high if item.high is None else item.high)
            for name, item in self.items.items()
        }

    @property
    def missing(self) -> dict[str, tuple[float | str, ...]]:
        """Missing codes of each item: its own, or else those of the study."""
        return {n: self.missing_codes if i.missing_codes is None else i.missing_codes for n, i in self.items.items()}

    @property
    def measurement(self) -> PathModel:
        """Constructs and items without paths."""
        return PathModel({c: tuple(b.items) for c, b in self.constructs.items()}, {}, self._modes({}))

    @property
    def model(self) -> PathModel | None:
        """The path model over the items of this study; ``None`` if the file names neither ``model`` nor ``paths``.

        Constructs without any path are no part of it: nothing in a path model says what they have to do with the rest.
        """
        from csi_lab.catalogue import models

        known = models[self.catalogue] if self.catalogue is not None else None
        paths = dict(known.paths) if known is not None else dict(self.paths)
        if not paths:
            return None
        linked = {c for target, sources in paths.items() if sources for c in (target, *sources)}
        blocks = {c: tuple(b.items) for c, b in self.constructs.items() if c in linked}
        modes = self._modes(known.modes if known is not None else {})
        return PathModel(blocks, {t: s for t, s in paths.items() if s}, {c: modes[c] for c in blocks})

    def _modes(self, known: Mapping[str, str]) -> dict[str, str]:
        return {c: block.mode or known.get(c, "A") for c, block in self.constructs.items()}

    @property
    def headline(self) -> str | None:
        """The construct whose index comes first: ``target``, or else "Satisfaction" if there is one."""
        return self.target or ("Satisfaction" if "Satisfaction" in self.constructs else None)

    def text(self, texts: Mapping[str, str], language: str | None = None) -> str:
        """The text in ``language``, or else in the first language of the study that has one; ``""`` if none has."""
        order = [language or "", *self.languages]
        return next((texts[lang] for lang in order if texts.get(lang)), "")

    def labels(self, language: str | None = None) -> dict[str, str]:
        """Name to label, for every construct and every item.

        Where there is none in ``language``, also because the study does not have that language (``languages`` holds
        those it has): the label in the first language that has one, or else the name itself.
        """
        parts: list[tuple[str, Texts]] = [(c, block.label) for c, block in self.constructs.items()]
        parts += [(name, item.label) for name, item in self.items.items()]
        return {name: self.text(texts, language) or name for name, texts in parts}


def load_study(path: str | Path) -> Study:
    """Read and check a study file.

    Parameters
    ----------
    path
        A path or name as :func:`csi_lab.study.datasets.find_study` takes it.

    Returns
    -------
    Study

    Raises
    ------
    SpecError
        With every problem of the file at once: line, key and remedy.

    Examples
    --------
    >>> study = load_study("mobile")
    >>> study.bounds["CUSA1"]
    (1.0, 10.0)
    >>> study.labels("zh")["CUSA1"]
    '总体满意度'
    """
    document = read_document(find_study(path))
    written_out, problems = _written_out(document)
    try:
        study = Study.model_validate(written_out)
    except ValidationError as error:
        # A value that could not be read has been named already; that it is missing then says nothing new.
        unread = {key for key, _ in document.problems}
        named = [(key, text) for key, text in _field_problems(error) if key not in unread]
        inner = {key[:-1] for key, _ in named}
        problems += [(key, text) for key, text in named if key not in inner or not text.startswith("is empty")]
    document.refuse([*document.problems, *problems, *contradictions(document.values, written_out)])
    return study


_PARTS: dict[str, type[_Part]] = {
    "data": DataFile,
    "scale": Scale,
    "checks": Checks,
    "design": Columns,
    "sample": Sample,
}


def _known_keys(part: type[_Part]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]


def _filled(values: Mapping[str, Any], part: type[_Part]) -> dict[str, Any]:
    """The values without known keys that were left empty, which count as not given."""
    known = _known_keys(part)
    return {key: value for key, value in values.items() if value is not None or key not in known}


def _written_out(document: Document) -> tuple[dict[str, Any], list[Problem]]:
    """The document with its short forms written out, tolerant of anything; shapes are judged afterwards."""
    problems: list[Problem] = []
    values = _filled(document.values, Study)
    languages = values.get("languages", ["en"])
    languages = [languages] if isinstance(languages, str) else languages
    if "languages" in values:
        values["languages"] = languages
    listed_languages = [x for x in languages if isinstance(x, str)] if isinstance(languages, list) else []
    first = listed_languages[0] if listed_languages else "en"

    def texts(value: Any) -> Any:
        return {first: value} if isinstance(value, str) else value

    if "title" in values:
        values["title"] = texts(values["title"])
    for part, kind in _PARTS.items():
        if isinstance(values.get(part), dict):
            values[part] = _filled(values[part], kind)
    if isinstance(values.get("sample"), dict):
        values["sample"] = {k: texts(v) for k, v in values["sample"].items()}
    if isinstance(values.get("constructs"), dict):
        blocks = {}
        for name, block in values["constructs"].items():
            key: Key = ("constructs", name)
            long = isinstance(block, dict)
            block = {k: texts(v) if k == "label" else v for k, v in block.items()} if long else {"items": block}
            listing: Key = (*key, "items") if long else key
            block["items"], odd = _items(block.get("items"), listing, listed_languages, document)
            problems += odd
            blocks[name] = _filled(block, Construct)
        values["constructs"] = blocks
    return values, problems


def _items(value: Any, key: Key, languages: list[str], document: Document) -> tuple[Any, list[Problem]]:
    """A block of items as a mapping, from one name, a list of names, or a mapping."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        odd = [i for i, name in enumerate(value, 1) if not isinstance(name, str)]
        for i, name in enumerate(value, 1):
            if isinstance(name, str):
                document.lines.setdefault((*key[:2], "items", name), document.line((*key, i)))
        remedy = "a list holds item names only; quote numbers; write items with texts as `name: text`, without dash"
        return {name: {} for name in value if isinstance(name, str)}, [((*key, i), remedy) for i in odd]
    if isinstance(value, dict):
        return {name: _item(item, languages) for name, item in value.items()}, []
    return value, []


def _item(value: Any, languages: list[str]) -> Any:
    if value is None:
        return {}
    if isinstance(value, str):
        return {"label": {languages[0] if languages else "en": value}}
    if not isinstance(value, dict):
        return value
    spoken = {k for k in value if k in languages or re.fullmatch(r"[a-z]{2}(-\w+)?", k)}
    rest = {k: v for k, v in _filled(value, Item).items() if k not in spoken}
    label = rest.pop("label", {})
    label = {languages[0] if languages else "en": label} if isinstance(label, str) else label
    if isinstance(label, dict):
        return {**rest, "label": {**label, **{k: value[k] for k in value if k in spoken}}}
    return {**rest, "label": label}


_EXPECTED = {
    "string_type": "must be text; put it in quotes",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list such as [a, b]",
    "dict_type": "must hold `name: value` lines",
    "model_type": "must hold `name: value` lines",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long (a delimiter is one character, a name 60 at most)",
    "string_pattern_mismatch": "must be one short word: letters, digits, - and _ (a language: en, zh, zh-Hant)",
}
_MISSING = {
    "name": "add a short id, such as `name: mobile`",
    "data": "say where the answers lie, such as `data: {file: answers.csv}`",
    "constructs": "list the constructs with their items, such as `Satisfaction: [CUSA1, CUSA2]`",
    "items": "list the items, such as `items: [CUSA1, CUSA2]`",
    "file": "name the file of the answers, such as `file: answers.csv`",
    "low": "give the lowest possible answer, such as `low: 1`",
    "high": "give the highest possible answer, such as `high: 10`",
}


def _field_problems(error: ValidationError) -> Iterator[Problem]:
    """Each problem of a field, in our words and with the key as the file writes it."""
    for found in error.errors(include_url=False):
        place = tuple(part for part in found["loc"] if part != "[key]")
        key: Key = tuple(part + 1 if isinstance(part, int) else part for part in place)
        kind, given = found["type"], found.get("input")
        shown = repr(given) if len(repr(given)) <= 60 else repr(given)[:57] + "..."
        if kind == "missing":
            yield key, f"is missing; {_MISSING.get(str(key[-1]), 'add it')}"
        elif kind == "extra_forbidden":
            yield key, _unknown_key(key, given)
        elif kind == "literal_error":
            yield key, f"must be {found['ctx']['expected']}, not {shown}"
        elif kind == "too_short":
            yield key, f"is empty; {_MISSING.get(str(key[-1]), 'give at least one')}"
        elif given is None:
            yield key, "has no value; give one, or put the text before it in quotes if this belongs to that text"
        elif kind == "dict_type" and (key[-1] in ("title", "label") or key[0] == "sample"):
            yield key, f"must be text (in quotes), or one text for each language, not {shown}"
        elif kind == "value_error":
            yield key, f"{found['ctx']['error']}, not {shown}"
        elif key == ("model",) and kind == "string_type":
            yield key, "must be the name of a model of the catalogue; paths of your own go under `paths`"
        else:
            yield key, f"{_EXPECTED.get(kind, 'cannot be used')}, not {shown}"


def _unknown_key(key: Key, given: Any) -> str:
    """Which keys exist at this place, and the nearest one."""
    if given is None:
        return "unknown key without value; if it belongs to the text before it, put that text in quotes"
    parent = key[:-1]
    part = _PARTS.get(str(parent[0]), Study) if parent else Study
    if parent and parent[0] == "constructs":
        part = Item if len(parent) == 4 else Construct
    known = _known_keys(part)
    near = difflib.get_close_matches(str(key[-1]).lower(), known, n=1)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; the keys here are {', '.join(known)}"
