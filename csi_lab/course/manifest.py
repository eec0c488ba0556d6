"""What stands in an output folder and what it was made from: the manifest, content hashes, versions."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import csi_lab
from csi_lab.errors import CsiLabWarning, SpecError

NAME = "manifest.json"
PACKAGES = ("numpy", "pandas", "scipy", "matplotlib", "papermill")
FORMAT = 1


@dataclass
class Manifest:
    """What csi_lab made in a folder.

    Attributes
    ----------
    entries
        What each lesson was made from, by its name.
    files
        All files that csi_lab made there, relative to the folder; nothing else may be replaced.
    """

    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


def load(folder: Path) -> Manifest:
    """The manifest of a folder; empty when there is none.

    A damaged entry counts as absent, with a warning: its lesson runs again.

    Raises
    ------
    SpecError
        If the file is there and is no manifest: nobody knows then which files of the folder may be replaced.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, not {FORMAT}")
        lessons, files = dict(content["lessons"]), {str(name) for name in content.get("files", ())}
    except FileNotFoundError:
        return Manifest()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SpecError(
            f"{path}: not a manifest of csi-lab ({_why(error)}), so that nobody knows which files there are its "
            "outputs; choose another folder, or move that file and the old outputs away"
        ) from None
    damage = {name: what for name, entry in lessons.items() if (what := _damage(entry))}
    for name, what in damage.items():
        warnings.warn(f"{path}: the entry {name!r} {what}; treated as absent", CsiLabWarning, 2)
    for entry in lessons.values():
        outputs = entry.get("outputs") if isinstance(entry, dict) else None
        files.update(map(str, outputs if isinstance(outputs, dict) else ()))
    return Manifest({name: dict(entry) for name, entry in lessons.items() if name not in damage}, files)


def _why(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__


def _damage(entry: Any) -> str | None:
    """What is wrong with an entry, as the end of a sentence; ``None`` when nothing is."""
    if not isinstance(entry, dict):
        return "is not a mapping"
    kinds: dict[str, tuple[type, ...]] = {
        "title": (str,),
        "parameters": (dict,),
        "study": (str, type(None)),
        "inputs": (str,),
        "outputs": (dict,),
        "seconds": (int, float),
    }
    absent = [name for name in kinds if name not in entry]
    wrong = [name for name, kind in kinds.items() if name in entry and not isinstance(entry[name], kind)]
    if not wrong and not absent and not all(isinstance(hash_, str) for hash_ in entry["outputs"].values()):
        wrong = ["outputs"]
    parts = [f"lacks {', '.join(absent)}"] * bool(absent) + [f"has no usable {', '.join(wrong)}"] * bool(wrong)
    return " and ".join(parts) or None


def save(folder: Path, manifest: Manifest) -> None:
    """Write the manifest; it appears complete or not at all."""
    lessons = {name: manifest.entries[name] for name in sorted(manifest.entries)}
    content = {"format": FORMAT, "files": sorted(manifest.files), "lessons": lessons}
    draft = folder / f".{NAME}.new"
    text = json.dumps(content, indent=2, ensure_ascii=False, default=repr)
    try:
        draft.write_text(f"{text}\n", encoding="utf-8", newline="\n")
        os.replace(draft, folder / NAME)
    finally:
        draft.unlink(missing_ok=True)


def complete(entry: Mapping[str, Any], folder: Path) -> bool:
    """Whether all outputs of an entry stand in the folder with the content that was recorded."""
    outputs = {str(name): folder / str(name) for name in entry["outputs"]}
    return bool(outputs) and all(p.is_file() and digest(p) == entry["outputs"][name] for name, p in outputs.items())


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 of plain data, the same for the same content."""
    plain = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=repr)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def versions() -> dict[str, str]:
    """Versions of Python, csi_lab and the packages that numbers and pictures depend on."""
    found = {"python": platform.python_version(), "csi_lab": csi_lab.__version__}
    return found | {package: metadata.version(package) for package in PACKAGES}


@cache
def source_hash() -> str:
    """One hash over the files of the package: a changed line of csi_lab makes every stored result old."""
    root = Path(csi_lab.__file__).parent
    return fingerprint([(path.relative_to(root).as_posix(), digest(path)) for path in _sources(root)])


def _sources(root: Path) -> Iterable[Path]:
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        ours = "__pycache__" not in inside and inside[0] != "_shipped" and not path.name.startswith(".")
        if ours and path.is_file():
            yield path
