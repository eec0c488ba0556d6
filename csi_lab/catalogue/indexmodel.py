"""A path model that knows where it comes from, and how sure that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from csi_lab.errors import SpecError
from csi_lab.model import PathModel

if TYPE_CHECKING:
    import pandas as pd

# How far an entry can be trusted; the words of models.yaml.
EVIDENCE = {
    "published": "stands in the source named",
    "standard": "the common account in the literature, not read again in the source",
    "recalled": "from the literature as remembered; look it up before quoting",
    "inference": "our reasoning from what is published",
    "placeholder": "not known",
}
SURE = ("published", "standard")
SIGNS = {"+": "expected positive", "-": "expected negative", "diagnostic": "either sign is possible and says something"}
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Measure:
    """What one item of an index model asks, in our own words.

    ``scale`` is its lowest and highest answer, ``None`` when not known; ``evidence`` a word of :data:`EVIDENCE`.
    """

    id: str
    construct: str
    en: str
    zh: str
    evidence: str
    scale: tuple[float, float] | None


@dataclass(frozen=True)
class Variant:
    """Another reading of a model: the paths it drops, and those it has instead as (source, target, sign, evidence)."""

    note: str
    remove: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str, str, str], ...] = ()


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class IndexModel(PathModel):
    """A published index model: a :class:`~csi_lab.PathModel` with its source, its labels and its evidence.

    It can be estimated like any path model. ``with_items`` puts your own columns in the place of its items and returns
    a plain path model; two models are equal when their constructs, items and paths are.

    Parameters
    ----------
    name
        Name in the catalogue.
    title
        Full name by language (``en``, ``zh``).
    reference
        Where the model is published.
    target
        The construct whose score is the index.
    construct_labels
        Construct to its label by language; see :meth:`labels`.
    measures
        Item to its :class:`Measure`. ``pandas.DataFrame(model.measures.values())`` is a table of them.
    signs
        (source, target) to the expected sign of the path: ``"+"``, ``"-"`` or ``"diagnostic"``.
    evidence
        ``"constructs"``, ``"measures"``, ``"paths"`` to a mapping from each entry to a word of :data:`EVIDENCE`;
        ``"year"`` and ``"scale"`` to one word, when they are known.
    country, year
        Where and when it was first used; ``None`` when not known.
    scale
        Lowest and highest answer of its items; ``None`` when not known. An item that differs says so in its measure.
    notes
        What a reader must know, one or more sentences each.
    variants
        Other readings of the model by name; see :meth:`variant`.

    Examples
    --------
    >>> from csi_lab import models
    >>> model = models["CCSI"]
    >>> print("\\n".join(str(model).splitlines()[:3]))
    CCSI: China Customer Satisfaction Index (China)
    Uncertain: 17 of 17 measures recalled; 11 of 11 paths inference; scale recalled; year not known
    6 constructs, 17 items, 11 paths; target Satisfaction; answers 1-10
    >>> model.labels("zh")["Image"]
    '品牌形象'
    >>> ("Image", "Loyalty") in model.variant("image-loyalty").edges
    True
    """

    name: str
    title: Mapping[str, str]
    reference: str
    target: str
    construct_labels: Mapping[str, Mapping[str, str]]
    measures: Mapping[str, Measure]
    signs: Mapping[tuple[str, str], str]
    evidence: Mapping[str, Any]
    country: str | None = None
    year: int | None = None
    scale: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    variants: Mapping[str, Variant] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for each in fields(self):
            object.__setattr__(self, each.name, _frozen(getattr(self, each.name)))

    def labels(self, language: str = "en") -> dict[str, str]:
        """Construct to its label, in ``"en"`` or ``"zh"``.

        Raises
        ------
        SpecError
            If the catalogue has no labels in that language.
        """
        if language not in LANGUAGES:
            raise SpecError(f"no labels in language {language!r}; the catalogue has {list(LANGUAGES)}")
        return {construct: texts[language] for construct, texts in self.construct_labels.items()}

    @property
    def uncertain(self) -> tuple[str, ...]:
        """What is not sure about the model, one phrase each; empty when all of it is published or standard."""
        phrases = []
        for part in ("constructs", "measures", "paths"):
            words = self.evidence[part].values()
            doubtful = Counter(word for word in words if word not in SURE)
            phrases += [f"{count} of {len(words)} {part} {word}" for word, count in doubtful.items()]
        for part, value in (("scale", self.scale), ("year", self.year)):
            if value is None:
                phrases.append(f"{part} not known")
            elif self.evidence[part] not in SURE:
                phrases.append(f"{part} {self.evidence[part]}")
        return tuple(phrases)

    def variant(self, name: str) -> IndexModel:
        """The model in another reading: some paths removed, others added.

        Raises
        ------
        SpecError
            If the model has no variant of that name.
        """
        if name not in self.variants:
            raise SpecError(f"{self.name} has no variant {name!r}; it has {list(self.variants) or 'none'}")
        change = self.variants[name]
        signs = {path: sign for path, sign in self.signs.items() if path not in change.remove}
        evidence = {path: word for path, word in self.evidence["paths"].items() if path not in change.remove}
        signs |= {(source, target): sign for source, target, sign, _ in change.add}
        evidence |= {(source, target): word for source, target, _, word in change.add}
        return replace(
            self,
            name=f"{self.name}, variant {name}",
            paths=sources_by_target(signs),
            signs=signs,
            evidence={**self.evidence, "paths": evidence},
            notes=(change.note, *self.notes),
            variants={},
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per path: source, target, sign, evidence."""
        import pandas as pd

        rows = [(*path, self.signs[path], self.evidence["paths"][path]) for path in self.edges]
        return pd.DataFrame(rows, columns=["source", "target", "sign", "evidence"])

    def _lines(self) -> list[tuple[str, str]]:
        """Head and text of each line of the display."""
        origin = ", ".join(str(part) for part in (self.country, self.year) if part is not None)
        answers = f"; answers {_span(self.scale)}" if self.scale else ""
        measured = [f"{c} ({', '.join(items)})" for c, items in self.constructs.items()]
        return [
            (self.name, self.title["en"] + (f" ({origin})" if origin else "")),
            ("Uncertain", "; ".join(self.uncertain) or "nothing; all of it is published or the standard account"),
            ("", f"{super().__str__()}; target {self.target}{answers}"),
            ("Constructs", "; ".join(measured)),
            *(("Paths", f"{target} ~ {' + '.join(sources)}") for target, sources in self.paths.items()),
            ("Reference", self.reference),
            *(("Note", note) for note in self.notes),
            *((f"Variant {name}", variant.note) for name, variant in self.variants.items()),
        ]

    def __str__(self) -> str:
        return "\n".join(f"{head}: {text}" if head else text for head, text in self._lines())

    def __repr__(self) -> str:
        return f"<IndexModel {self.name}: {super().__str__()}>"

    def _repr_html_(self) -> str:
        lines = [f"<b>{escape(head)}:</b> {escape(text)}" if head else escape(text) for head, text in self._lines()]
        return "<p>" + "<br>".join(lines) + "</p>" + self.to_frame().to_html(index=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # PathModel would come back from a worker or a copy without its source and its labels.
        return _thawed, ({each.name: _plain(getattr(self, each.name)) for each in fields(self)},)


def sources_by_target(paths: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """The paths (source, target) as a path model takes them: target to its sources."""
    grouped: dict[str, list[str]] = {}
    for source, target in paths:
        grouped.setdefault(target, []).append(source)
    return {target: tuple(sources) for target, sources in grouped.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(inner) for key, inner in value.items()})
    return value


def _plain(value: Any) -> Any:
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def _thawed(state: dict[str, Any]) -> IndexModel:
    return IndexModel(**state)


def _span(scale: tuple[float, float]) -> str:
    return f"{scale[0]:g}-{scale[1]:g}"
