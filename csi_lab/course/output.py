"""The output folder: one run at a time, outputs moved in when complete, the remains of killed runs cleared."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
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
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=out))
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


def publish(place: Path, out: Path, *, old: Collection[str] = ()) -> None:
    """Move what was made in ``place`` into ``out``; a folder replaces the one that an earlier run made.

    Parameters
    ----------
    place
        Complete outputs: files, and folders of files, on the same file system.
    out
        Where they go.
    old
        Outputs of the run before, relative to ``out``; a folder that holds other files as well is never replaced.

    Raises
    ------
    SpecError
        If a folder of that name holds files of others, or the system refuses (a file open in a spreadsheet, say).
        Nothing was moved then, or what was moved is moved back.
    """
    made = sorted(place.iterdir())
    strangers = [
        path.relative_to(out).as_posix()
        for folder in made
        if folder.is_dir()
        for path in sorted((out / folder.name).rglob("*"))
        if path.is_file() and path.relative_to(out).as_posix() not in old
    ]
    if strangers:
        raise SpecError(
            f"{out}: files there would be lost: {', '.join(strangers)}; move them, or choose another folder"
        )
    aside = Path(tempfile.mkdtemp(dir=place.parent))
    moved: list[str] = []
    try:
        for path in made:
            if (out / path.name).exists():
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
