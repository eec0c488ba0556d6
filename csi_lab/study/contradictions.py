"""Where a study file contradicts itself. Tolerant: whatever has the wrong shape is judged elsewhere."""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import PurePath
from typing import Any

from csi_lab.errors import SpecError
from csi_lab.model import PathModel
from csi_lab.study.cells import number as cell_number
from csi_lab.study.document import Key, Problem

FORMATS = (".csv", ".tsv", ".xlsx", ".parquet", ".sav")


def contradictions(as_given: Mapping[str, Any], study: Mapping[str, Any]) -> Iterator[Problem]:
    """Every contradiction, as (key, text).

    ``as_given`` is the document as written, ``study`` the same with its short forms written out.
    """
    blocks = {name: _block(block) for name, block in _mapping(as_given.get("constructs")).items()}
    items = {
        (construct, name): _mapping(item)
        for construct, block in _mapping(study.get("constructs")).items()
        for name, item in _mapping(_mapping(block).get("items")).items()
    }
    return chain(
        _data_file(_mapping(study.get("data"))),
        _languages(study, items),
        _scales(_mapping(study.get("scale")), "scale" in study, items),
        _codes(study, items),
        _roles(study, items),
        _names(blocks, items),
        _paths(study, blocks),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [v for v in value if isinstance(v, str)] if _is_list(value) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _block(value: Any) -> list[str]:
    inner = value.get("items") if isinstance(value, dict) else value
    return list(inner) if isinstance(inner, dict) else _texts(inner)


def _guess(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names) or 'none'}"


def _data_file(data: Mapping[str, Any]) -> Iterator[Problem]:
    file, encoding, delimiter = data.get("file"), data.get("encoding"), data.get("delimiter")
    suffix = PurePath(file).suffix.lower() if isinstance(file, str) else None
    folder = isinstance(file, str) and file.endswith(("/", "\\"))
    if suffix is not None and suffix not in FORMATS and not folder:
        what = suffix or "a file without ending"
        yield (
            ("data", "file"),
            f"cannot read {what}; save it as one of {', '.join(FORMATS)}"
            ", or name a folder of parquet files with / at its end",
        )
    if isinstance(encoding, str):
        try:
            # Text encodings only: lookups such as "hex" exist but do not decode text.
            known = codecs.lookup(encoding)._is_text_encoding
        except (LookupError, ValueError):
            known = False
        if not known:
            yield ("data", "encoding"), f"unknown encoding {encoding!r}; common ones are utf-8, gb18030, big5, cp1252"
    if isinstance(delimiter, str) and delimiter in '"\r\n':
        yield ("data", "delimiter"), 'a quotation mark or line end cannot separate fields; give ",", ";" or "\\t"'
    for key, fits in (
        ("encoding", (".csv", ".tsv")),
        ("delimiter", (".csv", ".tsv")),
        ("decimal", (".csv", ".tsv", ".xlsx")),
        ("sheet", (".xlsx",)),
    ):
        if key in data and suffix in FORMATS and suffix not in fits:
            yield ("data", key), f"has no meaning for a {suffix} file; remove it"


def _languages(study: Mapping[str, Any], items: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Problem]:
    languages = _texts(study.get("languages", ["en"]))
    for language in sorted({x for x in languages if languages.count(x) > 1}):
        yield ("languages",), f"{language!r} stands twice; keep it once"
    places: dict[Key, Any] = {("title",): study.get("title")}
    places |= {("sample", name): value for name, value in _mapping(study.get("sample")).items()}
    places |= {
        ("constructs", name, "label"): _mapping(block).get("label")
        for name, block in _mapping(study.get("constructs")).items()
    }
    places |= {("constructs", construct, "items", name): item.get("label") for (construct, name), item in items.items()}
    for place, value in places.items():
        for language, text in _mapping(value).items():
            if language not in languages and isinstance(text, str):
                known = ", ".join(languages)
                yield (*place, language), f"language {language!r} is not in `languages` ({known}); add it"


def _bounds(scale: Mapping[str, Any], item: Mapping[str, Any]) -> tuple[float | None, float | None]:
    low, high = item.get("low", scale.get("low")), item.get("high", scale.get("high"))
    return _number(low), _number(high)


def _scales(
    scale: Mapping[str, Any], given: bool, items: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[Problem]:
    low, high = _number(scale.get("low")), _number(scale.get("high"))
    if low is not None and high is not None and low >= high:
        yield ("scale",), f"low {low:g} is not below high {high:g}; exchange or correct them"
    unbounded = [name for (_, name), item in items.items() if not given and not {"low", "high"} <= set(item)]
    if unbounded:
        yield ("scale",), f"is missing, and these items have no low and high: {', '.join(unbounded)}; add `scale`"
    for (construct, name), item in items.items():
        lowest, highest = _bounds(scale, item)
        own = "low" in item or "high" in item
        if own and lowest is not None and highest is not None and lowest >= highest:
            key = ("constructs", construct, "items", name)
            yield key, f"low {lowest:g} is not below high {highest:g}; give the item both bounds"


def _codes(study: Mapping[str, Any], items: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Problem]:
    scale = _mapping(study.get("scale"))
    general = study.get("missing_codes")
    codes = general if isinstance(general, list) else [] if general is None else [general]
    decimal = _mapping(study.get("data")).get("decimal")
    for code in codes:
        number = cell_number(code, "," if decimal == "," else ".")
        hit = []
        for (_, name), item in items.items():
            low, high = _bounds(scale, item)
            if "missing_codes" not in item and None not in (number, low, high) and low <= number <= high:  # type: ignore[operator]
                hit.append(f"{name} ({low:g} to {high:g})")
        if hit:
            shown = ", ".join(hit[:6]) + (f" and {len(hit) - 6} more" if len(hit) > 6 else "")
            yield (
                ("missing_codes",),
                f"{code} is a possible answer of {shown}; correct the code or the scale, "
                "or give these items `missing_codes` of their own",
            )
    bounds = [_bounds(scale, item) for item in items.values()] or [_bounds(scale, {})]
    for label, value in _mapping(scale.get("labels")).items():
        number = _number(value)
        known = [(low, high) for low, high in bounds if low is not None and high is not None]
        if number is not None and known and not any(low <= number <= high for low, high in known):
            yield ("scale", "labels", label), f"stands for {number:g}, which is outside the scale; correct one of them"
        if label in {str(code) for code in codes}:
            yield ("scale", "labels", label), "is a missing code as well; keep one of the two meanings"


def _roles(study: Mapping[str, Any], items: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Problem]:
    stated = _mapping(study.get("design"))
    design = [(role, n) for role, name in stated.items() for n in ([name] if isinstance(name, str) else _texts(name))]
    uses: dict[str, list[tuple[str, Key]]] = {}
    for construct, name in items:
        uses.setdefault(name, []).append(("an item", ("constructs", construct, "items", name)))
    for role, name in design:
        uses.setdefault(name, []).append((role, ("design", role)))
    for part, role in (("segments", "a segment"), ("open_answers", "an open answer"), ("keep", "a column to keep")):
        names = _texts(study.get(part))
        for name in dict.fromkeys(names):
            uses.setdefault(name, []).append((role, (part,)))
        for name in sorted({x for x in names if names.count(x) > 1}):
            yield (part,), f"{name!r} stands twice; keep it once"
    # Labels may serve twice (a region is a stratum and a segment); numbers and open texts may not.
    shareable = {"id", "strata", "psu", "a segment"}
    for name, roles in uses.items():
        kinds = list(dict.fromkeys(role for role, _ in roles))
        if len(kinds) > 1 and not shareable.issuperset(kinds):
            yield roles[-1][1], f"column {name!r} is {' and '.join(kinds)} at once; give each its own column"
    strata = stated.get("strata")
    if ("psu", strata) in design:
        yield ("design", "psu"), f"column {strata!r} is strata and psu at once; give each its own column"
    for role in ("psu", "population"):
        names = [name for own, name in design if own == role]
        for name in sorted({x for x in names if names.count(x) > 1}):
            yield ("design", role), f"{name!r} stands for two stages; name each stage's own column"
    sizes, stages = (sum(own == role for own, _ in design) for role in ("population", "psu"))
    if sizes > stages + 1:
        yield ("design", "population"), f"{sizes} population sizes for {stages} stages of units; give one per stage"


def _names(blocks: Mapping[str, list[str]], items: Mapping[tuple[str, str], Any]) -> Iterator[Problem]:
    for construct, name in items:
        if name in blocks:
            yield ("constructs", construct, "items", name), f"{name!r} is a construct too; rename the construct"
    homes: dict[str, list[str]] = {}
    for construct, block in blocks.items():
        for name in block:
            homes.setdefault(name, []).append(construct)
        blank = [name for name in (construct, *block) if not name.strip()]
        if blank:
            yield ("constructs", construct), "a name is empty; give every construct and item a name"
    for name, where in homes.items():
        if len(where) > 1:
            places = " and ".join(dict.fromkeys(where)) if len(set(where)) > 1 else f"{where[0]} twice"
            yield ("constructs", where[-1], "items", name), f"item {name!r} is in {places}; keep it in one place"


def _paths(study: Mapping[str, Any], blocks: Mapping[str, list[str]]) -> Iterator[Problem]:
    target, model = study.get("target"), study.get("model")
    if isinstance(target, str) and target not in blocks:
        yield ("target",), f"no construct is called {target!r}; {_guess(target, blocks)}"
    paths = {to: _texts(sources) for to, sources in _mapping(study.get("paths")).items()}
    if paths and all(sources == [] for sources in study["paths"].values()):
        yield ("paths",), "no path is given; name what explains each construct, or remove `paths`"
    if paths and "model" in study:
        yield ("paths",), "`model` and `paths` are both given; keep one of them"
    for to, sources in paths.items():
        for name in dict.fromkeys([to, *sources]):
            if name not in blocks:
                yield ("paths", to), f"no construct is called {name!r}; {_guess(name, blocks)}"
    stand_in = {name: (f"{i}",) for i, name in enumerate(blocks)}  # the items have been judged; only paths matter here
    known = {to: tuple(s for s in sources if s in blocks) for to, sources in paths.items() if to in blocks}
    try:
        PathModel(stand_in or {"": ("0",)}, known)
    except SpecError as error:
        for problem in error.problems:
            yield ("paths",), problem
    if isinstance(model, str) and blocks:
        yield from _catalogue(model, blocks)


def _catalogue(name: str, blocks: Mapping[str, list[str]]) -> Iterator[Problem]:
    from csi_lab.catalogue import models

    try:
        wanted = list(models[name].constructs)
    except SpecError as error:
        yield ("model",), str(error)
        return
    absent = [c for c in wanted if c not in blocks]
    foreign = [c for c in blocks if c not in wanted]
    if absent or foreign:
        said = [f"it needs {', '.join(absent)}"] * bool(absent) + [f"it has no {', '.join(foreign)}"] * bool(foreign)
        yield (
            ("model",),
            f"the constructs do not match the model {name!r}: {'; '.join(said)}; "
            "rename the constructs, or write the paths yourself under `paths`",
        )
