"""Estimated path models as JSON: written once, scoring new respondents for years."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from csi_lab.design import Design
from csi_lab.errors import CsiLabError, DataError, EstimationError, SpecError
from csi_lab.model import PathModel
from csi_lab.moments import Moments
from csi_lab.sem.algorithm import SCHEMES, Solution
from csi_lab.sem.fit import PLSFit

FORMAT = "csi_lab PLS path model"
VERSION = 1
# Arrays of the solution: J constructs, p items.
SHAPES: dict[str, Callable[[int, int], tuple[int, ...]]] = {
    "weights": lambda p, j: (p,),
    "cross_loadings": lambda p, j: (p, j),
    "correlations": lambda p, j: (j, j),
    "paths": lambda p, j: (j, j),
    "vif": lambda p, j: (j, j),
    "r2": lambda p, j: (j,),
}


def to_json(fit: PLSFit, path: str | PathLike[str] | None = None) -> str:
    """A fit as JSON text; also written to ``path`` when given. See :func:`load_fit`.

    Raises
    ------
    EstimationError
        If the fit holds several draws.
    DataError, SpecError
        If the file cannot be written, or ``path`` is none.
    """
    if fit.moments.shape:
        raise EstimationError("one fit is stored at a time; this one holds several draws")
    moments, solution = fit.moments, fit.solution
    content = {
        "model": {
            "constructs": {c: list(items) for c, items in fit.model.constructs.items()},
            "paths": {t: list(sources) for t, sources in fit.model.paths.items()},
            "modes": dict(fit.model.modes),
            "covariances": [list(pair) for pair in fit.model.covariances],
        },
        "settings": {
            "scheme": fit.scheme,
            "scaled": fit.scaled,
            "consistent": fit.consistent,
            "tolerance": fit.tolerance,
            "max_iterations": fit.max_iterations,
        },
        "design": {
            "weights": fit.design.weights,
            "strata": fit.design.strata,
            "psu": fit.design.psu,
            "population": fit.design.population,
        },
        "sample": {
            "n": int(moments.n),
            "weight": float(moments.weight),
            "dropped": int(moments.dropped),
            "weighted": bool(moments.weighted),
            "ddof": int(moments.ddof),
            "treatment": getattr(moments, "treatment", ""),
            "mean": dict(zip(moments.names, moments.mean.tolist(), strict=True)),
            "sd": dict(zip(moments.names, moments.sd.tolist(), strict=True)),
            "origin": moments.origin.tolist(),
            "sums": moments.sums.tolist(),
            "products": moments.products.tolist(),
        },
        "solution": {
            **{name: _nullable(getattr(solution, name)) for name in SHAPES},
            "converged": bool(solution.converged),
            "iterations": int(solution.iterations),
            "flipped": solution.flipped.tolist(),
        },
    }
    stored = {"format": FORMAT, "version": VERSION, "checksum": _checksum(content), **content}
    text = json.dumps(stored, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    if path is not None:
        if not isinstance(path, (str, PathLike)):
            raise SpecError(f"path={path!r} must be the name of a file")
        try:
            Path(path).write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise DataError(f"{Path(path).name} cannot be written: {error.strerror}; does its folder exist?") from None
    return text


def load_fit(path_or_text: str | PathLike[str]) -> PLSFit:
    """A fit stored by :meth:`csi_lab.sem.fit.PLSFit.to_json`, to the last bit.

    It scores new respondents (``fit.scores(frame)``) on the scale of the sample it was estimated on, and gives every
    table that follows from moments. Replicates are not stored: for intervals give ``fit.bootstrap(replicates=...)``.

    Parameters
    ----------
    path_or_text
        Path of a file, or the JSON text itself (it begins with a brace).

    Raises
    ------
    DataError
        If the file is absent, was not written by ``to_json``, by a later version of it, or was changed or cut since.

    Notes
    -----
    The file holds means, cross-products and estimates, no answers of respondents. Nothing in it is executed.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> fit = csi.sem.pls(survey)
    >>> again = load_fit(fit.to_json())
    >>> bool((again.scores(survey.frame) == fit.scores(survey.frame)).all(axis=None))
    True
    """
    name, text = _read(path_or_text)
    try:
        stored = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{name} is not JSON, or was cut off: {error}") from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise DataError(
            f"{name} is not a stored PLS fit: it lacks the format mark {FORMAT!r}; write one with fit.to_json"
        )
    version = stored.get("version")
    if version != VERSION:
        raise DataError(f"{name} has version {version!r} of the format; this csi_lab reads version {VERSION}")
    content = {key: value for key, value in stored.items() if key not in ("format", "version", "checksum")}
    if stored.get("checksum") != _checksum(content):
        raise DataError(
            f"{name} was changed or damaged after it was written: its checksum does not fit; store the fit again"
        )
    try:
        return _fit(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = str(error) if isinstance(error, CsiLabError) else f"{type(error).__name__}: {error}"
        raise DataError(f"{name} does not hold a usable fit: {said}") from None


def _fit(content: dict[str, Any]) -> PLSFit:
    model = PathModel(**{**content["model"], "covariances": tuple(map(tuple, content["model"]["covariances"]))})
    sample, p, j = content["sample"], len(model.items), len(model.constructs)
    moments = Moments(
        model.items,
        sample["n"],
        sample["weight"],
        _array(sample["origin"], (p,), "origin"),
        _array(sample["sums"], (p,), "sums"),
        _array(sample["products"], (p, p), "products"),
        sample["dropped"],
        sample["weighted"],
        sample["ddof"],
    )
    if sample["treatment"]:
        from csi_lab.incomplete import CompletedMoments

        moments = CompletedMoments.of(moments, sample["treatment"])
    found = content["solution"]
    solution = Solution(
        **{name: _array(found[name], shape(p, j), name) for name, shape in SHAPES.items()},
        converged=np.asarray(bool(found["converged"])),
        iterations=np.asarray(int(found["iterations"])),
        flipped=_array(found["flipped"], (j,), "flipped").astype(bool),
    )
    settings = content["settings"]
    if settings["scheme"] not in SCHEMES:
        raise DataError(f"scheme {settings['scheme']!r} is unknown")
    return PLSFit(model=model, moments=moments, solution=solution, design=Design(**content["design"]), **settings)


def _read(path_or_text: str | PathLike[str]) -> tuple[str, str]:
    """What to call the source in messages, and its text."""
    if isinstance(path_or_text, str) and path_or_text.lstrip().startswith("{"):
        return "the text", path_or_text
    if not isinstance(path_or_text, (str, PathLike)):
        raise DataError(f"need the path of a stored fit or its text, got {type(path_or_text).__name__}")
    path = Path(path_or_text)
    try:
        return path.name, path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path.name} is not a text file in UTF-8; a stored fit is") from None
    except OSError as error:
        raise DataError(f"{path.name or 'a path without a name'} cannot be read: {error.strerror}") from None


def _checksum(content: dict[str, Any]) -> str:
    plain = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode("utf-8")).hexdigest()


def _nullable(values: np.ndarray) -> Any:
    """Nested lists with ``None`` for NaN, which JSON does not have."""
    if values.ndim > 1:
        return [_nullable(row) for row in values]
    return [None if math.isnan(v) else float(v) for v in values]


def _array(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    found = np.array(values, dtype=float)
    if found.shape != shape:
        raise DataError(f"{name} has shape {found.shape}, the model needs {shape}")
    return found
