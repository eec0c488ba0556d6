"""From the YAML text of a catalogue to index models; every problem of the file is reported at once, with its place."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from csi_lab.catalogue.indexmodel import EVIDENCE, SIGNS, IndexModel, Measure, Variant, sources_by_target
from csi_lab.errors import SpecError, listed

NOT_KNOWN = {"en": "not known", "zh": "未知"}


def read_models(text: str, source: str) -> Mapping[str, IndexModel]:
    """The index models described by a YAML text, in its order; read-only.

    Parameters
    ----------
    text
        The YAML; the comment at the top of ``models.yaml`` explains its keys.
    source
        Name of the file, for messages.

    Raises
    ------
    SpecError
        If the text is not YAML, a key is unknown, missing or given twice, a word of evidence or a sign is unknown, a
        text lacks one of the languages, or a model is not a path model. All problems are named at once.
    """
    try:
        raw = yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        raise SpecError(f"{source}: cannot be read as YAML: {error}") from error
    try:
        entries = TypeAdapter(dict[str, _ModelEntry]).validate_python(raw)
    except ValidationError as error:
        problems = [f"{_place(e['loc'])}: {_said(e['type'], e['msg'], e['input'])}" for e in error.errors()]
        raise SpecError(listed(problems, f"{source}: {_count(problems)}"), problems) from None
    models, problems = {}, []
    for name, entry in entries.items():
        strange = entry.contradictions()
        problems += [f"{name}: {problem}" for problem in strange]
        if not strange:
            try:
                models[name] = _index_model(name, entry)
                for variant in models[name].variants:
                    models[name].variant(variant)
            except SpecError as error:
                problems += [f"{name}: {problem}" for problem in error.problems]
    if problems:
        raise SpecError(listed(problems, f"{source}: {_count(problems)}"), problems)
    return MappingProxyType(models)


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a key that is given twice replace the first without a word; here it is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _known(words: Mapping[str, str]) -> BeforeValidator:
    def check(word: object) -> object:
        if word not in list(words):
            raise ValueError(f"unknown word; use one of {list(words)}")
        return word

    return BeforeValidator(check)


def _path_row(row: object) -> object:
    if not isinstance(row, list) or len(row) not in (3, 4):
        raise ValueError("a path is [source, target, sign] or [source, target, sign, evidence]")
    return dict(zip(("source", "target", "sign", "evidence"), row, strict=False))


_Text = Annotated[str, Field(min_length=1)]
_Evidence = Annotated[str, _known(EVIDENCE)]
_Scale = tuple[float, float]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Texts(_Entry):
    en: _Text
    zh: _Text


class _MeasureEntry(_Texts):
    id: _Text | None = None
    evidence: _Evidence | None = None
    scale: _Scale | None = None


class _ConstructEntry(_Texts):
    evidence: _Evidence | None = None
    measures: tuple[_MeasureEntry, ...] = ()
    placeholders: int = Field(default=0, ge=0)


class _PathEntry(_Entry):
    source: _Text
    target: _Text
    sign: Annotated[str, _known(SIGNS)]
    evidence: _Evidence | None = None


_Path = Annotated[_PathEntry, BeforeValidator(_path_row)]


class _VariantEntry(_Entry):
    note: _Text
    remove: tuple[tuple[str, str], ...] = ()
    add: tuple[_Path, ...] = ()


class _Defaults(_Entry):
    year: _Evidence | None = None
    scale: _Evidence | None = None
    constructs: _Evidence
    measures: _Evidence
    paths: _Evidence


class _ModelEntry(_Entry):
    title: _Texts
    reference: _Text
    country: _Text | None
    year: int | None
    scale: _Scale | None
    target: _Text
    evidence: _Defaults
    constructs: dict[str, _ConstructEntry]
    paths: tuple[_Path, ...]
    variants: dict[str, _VariantEntry] = Field(default_factory=dict)
    notes: tuple[_Text, ...] = ()

    def contradictions(self) -> list[str]:
        """What the entry says against itself; a path model then checks names, blocks and circles."""
        problems = []
        if self.target not in self.constructs:
            problems.append(f"target {self.target!r} is no construct; the constructs are {list(self.constructs)}")
        for part in ("year", "scale"):
            known, marked = getattr(self, part) is not None, getattr(self.evidence, part) is not None
            if known != marked:
                remedy = "say its evidence" if known else "remove its evidence, or give it"
                problems.append(
                    f"{part} is {'given' if known else 'null'}, its evidence is {'' if marked else 'not '}"
                    f"given; {remedy}"
                )
        paths = [(p.source, p.target) for p in self.paths]
        repeated = sorted({f"{s} -> {t}" for s, t in paths if paths.count((s, t)) > 1})
        if repeated:
            problems.append(f"paths given twice: {repeated}; keep each once")
        for name, change in self.variants.items():
            absent = [f"{s} -> {t}" for s, t in change.remove if (s, t) not in paths]
            if absent:
                problems.append(f"variant {name!r} removes paths that the model lacks: {absent}")
            there = [f"{p.source} -> {p.target}" for p in change.add if (p.source, p.target) in paths]
            if there:
                problems.append(f"variant {name!r} adds paths that the model has: {there}")
        return problems


def _index_model(name: str, entry: _ModelEntry) -> IndexModel:
    default = entry.evidence
    measures = [m for construct, told in entry.constructs.items() for m in _measures(construct, told, entry)]
    blocks = {c: tuple(m.id for m in measures if m.construct == c) for c in entry.constructs}
    signs = {(p.source, p.target): p.sign for p in entry.paths}
    evidence: dict[str, Any] = {
        "constructs": {c: told.evidence or default.constructs for c, told in entry.constructs.items()},
        "measures": {m.id: m.evidence for m in measures},
        "paths": {(p.source, p.target): p.evidence or default.paths for p in entry.paths},
    }
    evidence |= {part: word for part in ("year", "scale") if (word := getattr(default, part)) is not None}
    variants = {
        key: Variant(v.note, v.remove, tuple((p.source, p.target, p.sign, p.evidence or default.paths) for p in v.add))
        for key, v in entry.variants.items()
    }
    return IndexModel(
        constructs=blocks,
        paths=sources_by_target(signs),
        name=name,
        title=entry.title.model_dump(),
        reference=entry.reference,
        target=entry.target,
        construct_labels={c: {"en": told.en, "zh": told.zh} for c, told in entry.constructs.items()},
        measures={m.id: m for m in measures},
        signs=signs,
        evidence=evidence,
        country=entry.country,
        year=entry.year,
        scale=entry.scale,
        notes=entry.notes,
        variants=variants,
    )


def _measures(construct: str, told: _ConstructEntry, entry: _ModelEntry) -> list[Measure]:
    """The measures of one construct, the known ones first."""
    known = [
        Measure(
            m.id or f"{construct}{i}",
            construct,
            m.en,
            m.zh,
            m.evidence or entry.evidence.measures,
            m.scale or entry.scale,
        )
        for i, m in enumerate(told.measures, 1)
    ]
    start = len(known) + 1
    unknown = [
        Measure(f"{construct}{i}", construct, **NOT_KNOWN, evidence="placeholder", scale=entry.scale)
        for i in range(start, start + told.placeholders)
    ]
    return known + unknown


def _place(loc: tuple[int | str, ...]) -> str:
    """``('ACSI', 'paths', 0, 'sign')`` as ``ACSI / paths / 1 / sign``: entries are counted from 1."""
    return " / ".join(str(part + 1) if isinstance(part, int) else part for part in loc) or "the file"


def _said(kind: str, message: str, given: object) -> str:
    """The problem in our words where the validator speaks of its own types."""
    if kind == "missing":
        return "missing; give it"
    if kind == "extra_forbidden":
        return "unknown key; see the comment at the top of models.yaml for the keys"
    if kind in ("model_type", "dict_type"):
        return f"expected keys with values (got {given!r:.60})"
    return f"{message.removeprefix('Value error, ')} (got {given!r:.60})"


def _count(problems: list[str]) -> str:
    return f"{len(problems)} problem{'s' * (len(problems) > 1)}"
