"""The output folder: one run at a time, outputs moved in when complete, the remains of killed runs cleared."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from csi_lab.errors import SpecError

LOCK = ".csi-lab.lock"
STAGING = ".csi-lab-run-"


@contextmanager
def output_folder(out: Path) -> Iterator[Path]:
    """Make ``out``, keep other runs away from it, and give a temporary folder inside it (the same file system).

    Raises
    ------
    SpecError
        If the folder cannot be written, or another run is writing to it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("a+b")
    except OSError as error:
        raise SpecError(f"{out}: cannot write there ({error.strerror or error}); choose another folder") from None
    with lock:
        if not _locked(lock):
            raise SpecError(f"{out}: another run is writing there; wait for it, or choose another folder")
        for left in out.glob(f"{STAGING}*"):  # the lock is ours, so that their owner is dead
            shutil.rmtree(left, ignore_errors=True)
        try:
            staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=out))
        except OSError as error:
            raise SpecError(f"{out}: cannot write there ({error.strerror or error}); choose another folder") from None
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _locked(lock: IO[bytes]) -> bool:
    """Take the lock of an open file, without waiting; the system releases it when the process ends, however it ends."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def refuse_strangers(out: Path, names: Iterable[str], ours: Collection[str]) -> None:
    """Refuse outputs that would replace what csi_lab did not make.

    Parameters
    ----------
    out
        Where the outputs go.
    names
        Files and folders to be written there.
    ours
        Files that earlier runs made there, relative to ``out``.

    Raises
    ------
    SpecError
        With every file, folder and link in the way that is not among ``ours``.
    """
    kept = {str(parent) for file in ours for parent in PurePosixPath(file).parents}
    found: list[str] = []
    for name in dict.fromkeys(names):
        top = out / name
        inside = sorted(top.rglob("*")) if top.is_dir() and not top.is_symlink() else []
        for path in [top, *inside] if os.path.lexists(top) else []:
            relative = path.relative_to(out).as_posix()
            folder = path.is_dir() and not path.is_symlink()
            nested = any(relative.startswith(f"{stranger}/") for stranger in found)
            if relative not in (kept if folder else ours) and not nested:
                found.append(relative)
    if found:
        raise SpecError(
            f"{out}: would be lost, because csi-lab did not make it according to the manifest of this folder: "
            f"{', '.join(found)}; move what is yours, or choose another output folder (--out)"
        )


def publish(place: Path, out: Path, *, ours: Collection[str] = ()) -> None:
    """Move what was made in ``place`` into ``out``; it replaces what an earlier run made, and nothing else.

    Parameters
    ----------
    place
        Complete outputs: files, and folders of files, on the same file system.
    out
        Where they go.
    ours
        Files that earlier runs made there, relative to ``out``.

    Raises
    ------
    SpecError
        If something there was not made by csi_lab, or the system refuses (a file open in a spreadsheet, say). Nothing
        was moved then, or what was moved is moved back.
    """
    made = sorted(place.iterdir())
    refuse_strangers(out, [path.name for path in made], ours)
    aside = Path(tempfile.mkdtemp(dir=place.parent))
    moved: list[str] = []
    try:
        for path in made:
            if os.path.lexists(out / path.name):
                os.replace(out / path.name, aside / path.name)
            moved.append(path.name)
            os.replace(path, out / path.name)
    except OSError as error:
        for name in moved:
            if (out / name).exists():
                os.replace(out / name, place / name)
            if (aside / name).exists():
                os.replace(aside / name, out / name)
        raise SpecError(
            f"{out}: {error.filename} cannot be replaced ({error.strerror}); close it and run again"
        ) from None
