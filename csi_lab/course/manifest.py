"""What stands in an output folder and what it was made from: the manifest, content hashes, versions."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import csi_lab
from csi_lab.errors import CsiLabWarning

NAME = "manifest.json"
PACKAGES = ("numpy", "pandas", "scipy", "matplotlib", "papermill")
FORMAT = 1


def load(folder: Path) -> dict[str, dict[str, Any]]:
    """The entries of the manifest in a folder, by name of the lesson; empty when there is none.

    A manifest that cannot be read counts as absent, with a warning: every lesson runs again.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, not {FORMAT}")
        entries = {str(name): dict(entry) for name, entry in content["lessons"].items()}
        for entry in entries.values():
            if not isinstance(entry["inputs"], str) or not isinstance(entry["outputs"], dict):
                raise TypeError("an entry without inputs and outputs")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        warnings.warn(f"{path}: not readable ({error}); treated as absent, all lessons run again", CsiLabWarning, 2)
        return {}
    return entries


def save(folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the manifest; it appears complete or not at all."""
    content = {"format": FORMAT, "lessons": {name: entries[name] for name in sorted(entries)}}
    draft = folder / f".{NAME}.new"
    text = json.dumps(content, indent=2, ensure_ascii=False, default=repr)
    draft.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    os.replace(draft, folder / NAME)


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
