"""A YAML file as plain values that remember their lines; nothing in it is executed, nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from csi_lab.errors import SpecError, listed

Key = tuple[str | int, ...]
Problem = tuple[Key, str]

_AGAIN = "(again)"  # keeps the line of the second occurrence apart from that of the first
_PREFIX = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Composes nodes only; the words yes, no, on, off, dates and times stay text, as the people who write them mean."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - emptied on purpose, filled below

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="reference", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


for _tag, _pattern, _first in (
    ("int", r"[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(_PREFIX + _tag, re.compile(_pattern), _first)


@dataclass(frozen=True)
class Document:
    """The values of a YAML mapping, the line of every key, and what is wrong with its form."""

    shown: str
    values: dict[str, Any]
    lines: dict[Key, int]
    problems: list[Problem] = field(default_factory=list)

    def line(self, key: Key) -> int:
        """Line of ``key``, or of the nearest key above it that the file has."""
        return next((self.lines[key[:i]] for i in range(len(key), 0, -1) if key[:i] in self.lines), 1)

    def refuse(self, problems: Iterable[Problem]) -> None:
        """Raise all problems at once, in the order of the lines."""
        ordered = sorted(dict.fromkeys(problems), key=lambda problem: self.line(problem[0]))
        said = [f"line {self.line(key)}, {_dotted(key)}: {text}" for key, text in ordered]
        if said:
            raise SpecError(listed(said, f"{self.shown}: {len(said)} problem{'s' * (len(said) > 1)}"), said)


def _dotted(key: Key) -> str:
    return ".".join(str(part) for part in key if part != _AGAIN) or "file"


def read_document(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Keys are text exactly as written. Values are text, numbers, true or false, nothing, lists and mappings. Keys given
    twice and tags are kept as problems, so that the caller can report them beside its own.

    Raises
    ------
    SpecError
        If the file cannot be read, is not UTF-8, is not YAML, or is not one mapping.
    """
    shown = shown_path(path)
    node = _composed(_text(path, shown), shown)
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        raise SpecError(f"{shown}: the file is empty; `csi-lab new FOLDER` writes an example to start from")
    if not isinstance(node, yaml.MappingNode):
        what = "a list" if isinstance(node, yaml.SequenceNode) else "a single text"
        raise SpecError(f"{shown}: line 1: the file holds {what}; it must hold keys such as `name: my_study`")
    document = Document(shown, {}, {})
    document.values.update(_plain(node, (), document))
    return document


def shown_path(path: Path) -> str:
    """``path`` as a message shows it: relative to the working folder when it lies below it."""
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def _text(path: Path, shown: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{shown}: cannot be read ({error.strerror})") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"{shown}: line {line}: byte {error.start + 1} is not UTF-8; save the study file with encoding UTF-8"
        ) from error


def _composed(text: str, shown: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise SpecError(f"{shown}: {place}{_meaning(error, text)}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SpecError(
            f"{shown}: line {line}: a control character (code {error.character!r}); delete it or retype the line"
        ) from error
    except RecursionError as error:
        raise SpecError(f"{shown}: brackets nest too deeply; close them") from error


def _meaning(error: yaml.MarkedYAMLError, text: str) -> str:
    """What a syntax error means to the person who wrote the file."""
    problem = error.problem or ""
    mark = error.problem_mark
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "'\\t'" in problem or "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab at this place; YAML takes blanks only, so replace tabs by blanks"
    if problem == "reference":
        return "references (&name, *name) are not used in study files; write the value out, or put the text in quotes"
    if "mapping values are not allowed" in problem:
        return "a colon where none can stand; put text that holds a colon in quotes, and check the indentation"
    if "single document" in (error.context or ""):
        return "a second document begins here (---); a study file holds one"
    if "found unexpected end of stream" in problem or "quoted scalar" in (error.context or ""):
        return "a quotation mark is not closed"
    if "flow" in (error.context or ""):
        return "a bracket or brace is not closed, a comma is missing, or text with punctuation needs quotes"
    return f"not valid YAML ({problem}); check indentation, quotes and brackets near this line"


def _plain(node: yaml.Node, key: Key, document: Document) -> Any:
    """The value of ``node``; lines and problems are collected in ``document``."""
    document.lines.setdefault(key, node.start_mark.line + 1)
    kind = node.tag.removeprefix(_PREFIX)
    if kind not in {"str", "int", "float", "bool", "null", "map", "seq"}:
        document.problems.append((key, f"tag {_tag_text(node.tag)} is not allowed; remove it"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, key, document)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*key, i), document) for i, child in enumerate(node.value, 1)]
    convert: dict[str, Callable[[str], Any]] = {"int": _whole, "float": float, "bool": _truth, "null": _nothing}
    try:
        return convert.get(kind, str)(node.value)
    except (KeyError, ValueError):
        document.problems.append((key, f"{node.value[:40]!r} is not what its tag says; remove the tag"))
        return None


def _mapping(node: yaml.MappingNode, key: Key, document: Document) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, child in node.value:
        line = name.start_mark.line + 1
        if not isinstance(name, yaml.ScalarNode):
            document.lines.setdefault((*key, "?"), line)
            document.problems.append(((*key, "?"), "a key must be one word or text, not a list or mapping"))
            continue
        inner = (*key, name.value)
        if name.value in values:
            first = document.lines[inner]
            document.lines[(*inner, _AGAIN)] = line
            document.problems.append(((*inner, _AGAIN), f"the key was given on line {first} already; keep one"))
            continue
        document.lines[inner] = line
        values[name.value] = _plain(child, inner, document)
    return values


def _whole(text: str) -> int | float:
    # Beyond 18 digits nobody means a whole number; a float says "too large" where an int would overflow later.
    return int(text) if len(text) <= 18 else float(text)


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _nothing(text: str) -> None:
    return None


def _tag_text(tag: str) -> str:
    return "!!" + tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else tag
