"""Numbers and lists of labels as they are read in results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

# Labels of one kind that a note names; it counts the rest.
SHOWN = 12


def shown(value: float) -> str:
    """A number for reading: up to six digits, thousands separated.

    Examples
    --------
    >>> shown(3989985.4657), shown(0.123456789), shown(644.169398)
    ('3,989,985', '0.1235', '644.169')
    """
    if not np.isfinite(value):
        return "-"
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) >= 1 else f"{value:.4g}"


def error_shown(se: float, value: float) -> str:
    """A standard error for reading: rounding noise is zero.

    Examples
    --------
    >>> error_shown(1.03e-16, 3.0), error_shown(0.5, 3.0)
    ('0', '0.5')
    """
    return "0" if abs(se) <= 1e-12 * abs(value) else shown(se)


def enumerated(labels: Iterable[Any]) -> str:
    """The first labels of rows, and how many more there are.

    Examples
    --------
    >>> enumerated([("North", 1), "South"]), enumerated(range(20))[-18:]
    ('North, 1; South', '10; 11; and 8 more')
    """
    names = [", ".join(map(str, label)) if isinstance(label, tuple) else str(label) for label in labels]
    more = len(names) - SHOWN
    return "; ".join([*names[:SHOWN], *([f"and {more} more"] if more > 0 else [])])


def p_shown(p: float) -> str:
    """A p-value as text, ``< .001`` where smaller.

    Examples
    --------
    >>> p_shown(0.0549), p_shown(1e-9)
    ('.055', '< .001')
    """
    if not np.isfinite(p):
        return "-"
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def p_relation(p: float) -> str:
    """A p-value behind the letter p.

    Examples
    --------
    >>> p_relation(0.0549), p_relation(1e-9)
    ('= .055', '< .001')
    """
    return p_shown(p) if p < 0.001 else f"= {p_shown(p)}"
