"""Which files a source is made of: found once, so that every pass reads the same ones."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csi_lab.errors import DataError, listed
from csi_lab.scaleout.readers import FORMATS

# Names and first bytes of files that may well hold answers, but not under a name that says how to read them.
PACKED = {".gz", ".bz2", ".zst", ".xz", ".lz4", ".snappy", ".br", ".zip"}
ANSWERS = {".pq", ".parq", ".orc", ".avro"}
MAGIC = {b"PAR1": ".parquet", b"ARRO": ".arrow"}
WILD = "*?["


@dataclass(frozen=True)
class Listing:
    """The files of a source as they were when they were listed.

    Attributes
    ----------
    files
        In order, with absolute paths.
    bases
        For each file the folder below which names such as ``wave=2024`` are columns; ``None``: nowhere.
    stamps
        For each file its size and the time of its last change in ns.
    root
        The folder, if the source is one.
    beside
        Files of another kind in the folder, which are not read.
    """

    files: tuple[Path, ...]
    bases: tuple[Path | None, ...]
    stamps: tuple[tuple[int, int], ...]
    root: Path | None = None
    beside: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """For each file its name in messages: in folders such as ``wave=2024`` files often have all the same name."""
        return tuple(shown_file(file, base) for file, base in zip(self.files, self.bases, strict=True))

    def require_unchanged(self) -> None:
        """Refuse files that were changed or removed since they were listed.

        Raises
        ------
        DataError
            With all of them.
        """
        problems = []
        for file, name, stamp in zip(self.files, self.names, self.stamps, strict=True):
            try:
                now = _stamp(file)
            except OSError:
                problems.append(f"{name}: no longer there")
                continue
            if now != stamp:
                problems.append(f"{name}: changed, {stamp[0]} bytes then and {now[0]} now")
        if problems:
            head = "files of answers are no longer those that were listed; open the survey again"
            raise DataError(listed(problems, head), problems)


def listing_of(source: Any) -> Listing:
    """The files of a source: a file, a folder, a pattern, or a list of these.

    Columns come from names of folders below a folder, below the fixed beginning of a pattern, or below the folder that
    the files of a list have in common.

    Raises
    ------
    DataError
        If there is none, they are of several kinds, one is given twice, or a folder holds files that may be answers but
        cannot be read as they are named.

    Examples
    --------
    >>> listing_of("absent.parquet")
    Traceback (most recent call last):
    csi_lab.errors.DataError: no such file or folder: ['absent.parquet']
    """
    if isinstance(source, (str, Path)):
        given: list[str] = [os.path.expanduser(source)]
    elif isinstance(source, Sequence) and source and all(isinstance(x, (str, Path)) for x in source):
        given = [os.path.expanduser(x) for x in source]
    else:
        raise DataError(
            f"need a file, a folder, a list of files, a pyarrow Dataset or Table, got {type(source).__name__}"
        )
    matches = [_matches(name) for name in given]
    absent = [name for name, (_, found) in zip(given, matches, strict=True) if not found]
    if absent:
        where = "; for a store that is no file system give a pyarrow Dataset" if "://" in "".join(absent) else ""
        raise DataError(f"no such file or folder: {absent}{where}")
    paths = [path for _, found in matches for path in found]
    root = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    plain = [path.parent for (base, found) in matches if base is None for path in found if not path.is_dir()]
    common = Path(os.path.commonpath(plain)) if len(plain) > 1 else None
    files: list[tuple[Path, Path | None]] = []
    beside: list[str] = []
    problems: list[str] = []
    for base, found in matches:
        own: dict[Path, Path | None] = {}  # a pattern may match a folder and the files in it
        for path in found:
            if path.is_dir():
                for file in _inside(path, beside, problems):
                    own.setdefault(file, base or path)
            else:
                own.setdefault(path, base or common)
        files += own.items()
    if problems:
        head = f"{shown_source(source)} holds what may be answers but cannot be read as such"
        raise DataError(listed(problems, head), problems)
    real = Counter(os.path.realpath(file) for file, _ in files)
    twice = sorted({shown_file(file, base) for file, base in files if real[os.path.realpath(file)] > 1})
    if twice:
        raise DataError(f"files are given twice, by themselves or by links: {twice}; their rows would count twice")
    kinds = {file.suffix.lower() for file, _ in files}
    if not files or len(kinds) != 1 or not kinds <= set(FORMATS):
        held = f"kinds of files {sorted(kinds)}" if files else "no file of answers"
        raise DataError(f"{shown_source(source)} holds {held}; one kind is needed: {', '.join(FORMATS)}")
    return Listing(
        tuple(file for file, _ in files),
        tuple(base for _, base in files),
        tuple(_stamps([file for file, _ in files])),
        root,
        tuple(dict.fromkeys(beside)),
    )


def _matches(name: str) -> tuple[Path | None, list[Path]]:
    """What a name stands for; of a pattern also its fixed beginning. A name that exists is no pattern."""
    if not name:
        return None, []  # else it would be the folder that one happens to be in
    path = Path(name).absolute()
    try:
        if path.exists():
            return None, [path]
    except OSError:
        return None, []
    fixed, rest = Path(path.anchor), list(path.parts[1:])
    while rest and (fixed / rest[0]).exists():
        fixed /= rest.pop(0)
    if not any(sign in part for part in rest for sign in WILD):
        return None, []
    pattern = os.path.join(glob.escape(str(fixed)), *rest)
    return fixed, [Path(p) for p in sorted(glob.glob(pattern, recursive=True))]


def _inside(folder: Path, beside: list[str], problems: list[str]) -> list[Path]:
    """The files of answers below a folder; other files go to ``beside``, or to ``problems`` if they may be answers."""
    files: list[Path] = []

    def unread(error: OSError) -> None:
        problems.append(f"{Path(error.filename or folder).name}: the folder cannot be opened ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=unread):
        # Hidden ones and _SUCCESS, _metadata and the like are notes of the program that wrote the files.
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        links = [path for name in folders if (path := Path(place) / name).is_symlink()]
        problems += [
            f"{shown_file(path, folder)}: a link to a folder, which is not followed; give that folder in a list"
            for path in links
        ]
        for name in (n for n in names if not n.startswith((".", "_"))):
            path = Path(place) / name
            shown = shown_file(path, folder)
            if not path.exists():
                problems.append(f"{shown}: a link to nothing; mend or remove it")
            elif path.suffix.lower() in FORMATS:
                files.append(path)
            elif remedy := _misnamed(path):
                problems.append(f"{shown}: {remedy}")
            else:
                beside.append(shown)
    return sorted(files)


def _misnamed(path: Path) -> str:
    """What to do about a file that may hold answers but is not named as such; ``""`` if it hardly does."""
    suffix = path.suffix.lower()
    if suffix in PACKED:
        return "packed; unpack it, or move it away"
    try:
        with path.open("rb") as stream:
            kind = MAGIC.get(stream.read(4))
    except OSError as error:
        return f"cannot be opened ({error.strerror}); allow reading it, or move it away"
    if kind:
        return f"its name should end in {kind}; rename it, or move it away"
    if suffix in ANSWERS or (not suffix and path.name.lower().startswith("part")):
        return f"its name should end in one of {', '.join(FORMATS)}; convert or rename it, or move it away"
    return ""


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _stamps(files: Sequence[Path]) -> list[tuple[int, int]]:
    stamps, problems = [], []
    for file in files:
        try:
            stamps.append(_stamp(file))
        except OSError as error:
            problems.append(f"{file.name}: {error.strerror}")
    if problems:
        raise DataError(listed(problems, "files that cannot be read"), problems)
    return stamps


def shown_file(file: Path, base: Path | None) -> str:
    """A file in a message: its place below the source, or its name where it is the source.

    Examples
    --------
    >>> shown_file(Path("/answers/wave=2024/part-0.parquet"), Path("/answers"))
    'wave=2024/part-0.parquet'
    """
    return file.relative_to(base).as_posix() if base is not None else file.name


def shown_source(source: Any) -> str:
    """A source in a message: its name, without the folders above it.

    Examples
    --------
    >>> shown_source("answers/2024.parquet")
    '2024.parquet'
    """
    if isinstance(source, (str, Path)):
        return Path(source).name
    return f"{len(source)} files" if isinstance(source, list) else f"the {type(source).__name__}"
