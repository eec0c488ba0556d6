"""Shares and levels in per cent, with the digits that they need."""

from __future__ import annotations


def percent(share: float) -> str:
    """A share in per cent without loss: a level of 0.995 is no 100 %.

    Examples
    --------
    >>> percent(0.95), percent(0.995), percent(0.9999999)
    ('95%', '99.5%', '99.99999%')
    """
    # Ten digits are more than anyone asks for and fewer than the rounding of the machine shows.
    return f"{100 * share:.10g}%"
