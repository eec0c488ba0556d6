"""Settings that many functions share: levels, whole numbers, seeds. What cannot be one is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from inspect import signature
from typing import Any

import numpy as np

from csi_lab.errors import SpecError


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number given as such: 10 is, 10.0, True and "10" are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def is_number(value: Any) -> bool:
    """Whether a value is a real number; NaN is, True and "10" are not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))


def require_level(value: Any, name: str = "level", usual: float = 0.95) -> None:
    """Refuse what is no number strictly between 0 and 1.

    Raises
    ------
    SpecError
        With the name and a usual value.

    Examples
    --------
    >>> require_level(95)
    Traceback (most recent call last):
    csi_lab.errors.SpecError: level=95 must lie between 0 and 1, e.g. 0.95
    """
    if not is_number(value) or not 0 < value < 1:
        raise SpecError(f"{name}={value!r} must lie between 0 and 1, e.g. {usual:g}")


def require_whole(value: Any, name: str, least: int = 1) -> None:
    """Refuse what is no whole number of at least ``least``.

    Raises
    ------
    SpecError
        With the name.

    Examples
    --------
    >>> require_whole(2.5, "repeats")
    Traceback (most recent call last):
    csi_lab.errors.SpecError: repeats=2.5 must be a whole number of at least 1
    """
    if not is_whole(value) or value < least:
        raise SpecError(f"{name}={value!r} must be a whole number of at least {least}")


def require_draws(draws: Any, least: int = 2) -> None:
    """Refuse a number of draws that is not whole or too small.

    Raises
    ------
    SpecError
        With the least number.

    Examples
    --------
    >>> require_draws(20.0)
    Traceback (most recent call last):
    csi_lab.errors.SpecError: draws=20.0: a whole number of at least 2 is needed, 1,000 or more for a report
    """
    if not is_whole(draws) or draws < least:
        raise SpecError(f"draws={draws!r}: a whole number of at least {least} is needed, 1,000 or more for a report")


def require_cutoff(value: Any, name: str) -> None:
    """Refuse a cut-off that is no finite number: a comparison with NaN would never hold and never say why.

    Raises
    ------
    SpecError
        With the name.

    Examples
    --------
    >>> require_cutoff(float("nan"), "htmt")
    Traceback (most recent call last):
    csi_lab.errors.SpecError: htmt=nan must be a finite number
    """
    if not is_number(value) or not np.isfinite(value):
        raise SpecError(f"{name}={value!r} must be a finite number")


def require_keywords(
    given: Iterable[str], function: Callable[..., Any], what: str, without: Collection[str] = ()
) -> None:
    """Refuse keywords that the function they are passed on to does not know.

    Raises
    ------
    SpecError
        With all unknown ones and those there are, less those named in ``without``.

    Examples
    --------
    >>> require_keywords({"htmd": 0.85}, lambda fit, *, htmt=0.90, vif=5.0: None, "cut-offs", without=("fit",))
    Traceback (most recent call last):
    csi_lab.errors.SpecError: unknown cut-offs: ['htmd']; there are ['htmt', 'vif']
    """
    known = [name for name in signature(function).parameters if name not in without]
    unknown = [name for name in given if name not in known]
    if unknown:
        raise SpecError(f"unknown {what}: {unknown}; there are {known}")


def generator(rng: Any) -> np.random.Generator:
    """The random generator of a seed; a generator is used as it is.

    Raises
    ------
    SpecError
        If ``rng`` is neither a whole number >= 0 nor a Generator, so that the draws could not be repeated.

    Examples
    --------
    >>> bool(generator(7).random() == generator(7).random())
    True
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if not is_whole(rng) or rng < 0:
        raise SpecError(f"rng={rng!r} must be a whole number >= 0 (the seed) or a numpy Generator")
    return np.random.default_rng(int(rng))
