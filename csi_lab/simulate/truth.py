"""The stated truth of the simulated market: parameters in YAML, read safely, changed only where they exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from csi_lab.errors import SpecError, listed

Section = Mapping[str, Any]
Place = tuple[Any, ...]

# Mappings that take further keys: waves beyond the last, and years of the calendar.
OPEN = (("market", "waves", "change"), ("market", "waves", "operator_change"), ("complaints", "calendar"))


def sections() -> list[str]:
    """Names of the sections that come with the package, in alphabetical order.

    Examples
    --------
    >>> {"market", "survey"} <= set(sections())
    True
    """
    return sorted(entry.name[:-5] for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def load(section: str, path: str | Path | None = None) -> Section:
    """One section of the truth, read-only.

    Parameters
    ----------
    section
        ``"market"``, ``"survey"`` and so on, see :func:`sections`.
    path
        A YAML file with changes of this section; only keys that the section has may be changed. A list is replaced as
        a whole.

    Returns
    -------
    Mapping
        Mappings and tuples all the way down; assignment is an error.

    Raises
    ------
    SpecError
        If there is no such section, or the file cannot be read or names keys that the section does not have.

    Examples
    --------
    >>> load("market")["paths"]["LOY"]["SAT"]
    0.7
    """
    shipped = _shipped(section)
    return _frozen(shipped if path is None else _changed({section: shipped}, {section: _read(path)})[section])


def parameters(overrides: Mapping[str, Any] | str | Path | None = None) -> Section:
    """Every section of the truth, with changes of your own.

    Parameters
    ----------
    overrides
        Section to changes, such as ``{"market": {"paths": {"LOY": {"SAT": 0.5}}}}``, or the path of a YAML file
        with that content. A number takes the place of a number, a list of a list. Further waves and further years of
        the calendar may be added; all other keys must exist.

    Returns
    -------
    Mapping
        Section to its parameters, read-only.

    Raises
    ------
    SpecError
        If keys are unknown or values of another kind, all of them named.

    Examples
    --------
    >>> parameters({"market": {"paths": {"LOY": {"SAT": 0.5}}}})["market"]["paths"]["LOY"]["SAT"]
    0.5
    >>> parameters({"market": {"path": {}}})
    Traceback (most recent call last):
    csi_lab.errors.SpecError: the changes of the truth: 1 problem
      market: path: unknown key; did you mean 'paths'?
    """
    everything = {name: _shipped(name) for name in sections()}
    if overrides is None:
        return _frozen(everything)
    if not isinstance(overrides, (Mapping, str, Path)):
        raise SpecError(f"changes of the truth are a mapping by section or the path of a YAML file, got {overrides!r}")
    changes = overrides if isinstance(overrides, Mapping) else _read(overrides)
    return _frozen(_changed(everything, changes))


def plain(value: Any) -> Any:
    """The same parameters as dicts and lists, which can be changed and written.

    Examples
    --------
    >>> plain(load("market")["waves"]["years"])
    [2022, 2023, 2024, 2025]
    """
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.MarkedYAMLError(problem=f"keys given twice: {twice}", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _folder() -> Any:
    return files(__package__) / "truth"


@cache
def _shipped(section: str) -> dict[str, Any]:
    known = sections()
    if section not in known:
        raise SpecError(f"no section of the truth is called {section!r}; there are {', '.join(known)}")
    return _parsed((_folder() / f"{section}.yaml").read_text(encoding="utf-8"), f"truth/{section}.yaml")


def _read(path: str | Path) -> dict[str, Any]:
    name = Path(path).name
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"{name}: cannot be read as UTF-8 text ({error})") from error
    except OSError as error:
        raise SpecError(f"{path}: cannot be opened ({error.strerror or error})") from error
    return _parsed(text, name)


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        values = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise SpecError(f"{name}: {line}{getattr(error, 'problem', None) or 'not valid YAML'}") from error
    if not isinstance(values, dict):
        raise SpecError(f"{name}: must hold `name: value` lines")
    return values


def _changed(defaults: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    problems = list(_misfits(defaults, changes, ()))
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
        raise SpecError(listed(problems, f"the changes of the truth: {count}"), problems)
    return _merged(defaults, changes)


def _misfits(defaults: Mapping[Any, Any], changes: Mapping[Any, Any], place: Place) -> Iterator[str]:
    for key, value in changes.items():
        here = ": ".join(str(part) for part in (*place, key))
        if key not in defaults and place in OPEN:
            if not isinstance(value, Mapping):
                yield f"{here}: must hold `name: value` lines, got {value!r}"
        elif key not in defaults:
            near = difflib.get_close_matches(str(key), [str(k) for k in defaults], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(str, defaults)) or 'none'}"
            yield f"{here}: unknown key; {hint}"
        elif isinstance(defaults[key], Mapping):
            # An empty mapping of the defaults (no change in the base wave, say) is open: it names no keys to compare.
            if not isinstance(value, Mapping):
                yield f"{here}: must hold `name: value` lines, got {value!r}"
            elif defaults[key]:
                yield from _misfits(defaults[key], value, (*place, key))
        elif _kind(value) != _kind(defaults[key]):
            yield f"{here}: must be {_kind(defaults[key])} such as {defaults[key]!r}, got {value!r}"


def _kind(value: Any) -> str:
    kinds = ((bool, "true or false"), ((int, float), "a number"), (str, "text"), ((list, tuple), "a list"))
    return next((name for types, name in kinds if isinstance(value, types)), "a mapping")


def _merged(defaults: Mapping[Any, Any], changes: Mapping[Any, Any]) -> dict[Any, Any]:
    def one(key: Any) -> Any:
        if key not in changes:
            return plain(defaults[key])
        value = changes[key]
        return _merged(defaults[key], value) if isinstance(value, Mapping) and defaults.get(key) else plain(value)

    return {key: one(key) for key in defaults} | {key: plain(v) for key, v in changes.items() if key not in defaults}


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(inner) for key, inner in value.items()})
    return tuple(_frozen(inner) for inner in value) if isinstance(value, (list, tuple)) else value
