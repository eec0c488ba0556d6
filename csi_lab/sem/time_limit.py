"""A limit on the time that a call into foreign code may take."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import TypeVar

from csi_lab.errors import EstimationError, SpecError
from csi_lab.settings import is_number

Answer = TypeVar("Answer")


class _TimeOver(BaseException):
    """Raised inside the searching thread; no ``except Exception`` on the way swallows it."""


def within(seconds: float, work: Callable[[], Answer], what: str) -> Answer:
    """The answer of ``work()``, or an EstimationError when it takes longer than ``seconds``.

    The work is done in a thread of its own, into which an exception is raised when the time is over. That ends every
    loop written in Python; a call that never comes back from compiled code is left behind in its thread.

    Parameters
    ----------
    seconds
        The limit.
    work
        A function without arguments.
    what
        Who is to blame, and the remedy in brackets, for the message.

    Raises
    ------
    SpecError
        If the limit is not positive.
    EstimationError
        If the time is over. Errors of ``work`` come through as they are.

    Examples
    --------
    >>> within(60, lambda: 6 * 7, "arithmetic")
    42
    """
    if not is_number(seconds) or not seconds > 0:
        raise SpecError(f"time_limit={seconds} must be a positive number of seconds")
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except _TimeOver:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the calling thread as it is
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(min(seconds, threading.TIMEOUT_MAX))
    finally:
        # Also when the user interrupts the wait.
        _stop(thread)
    if errors:
        raise errors[0]
    if not answers:
        raise EstimationError(f"{what} did not finish within {seconds:g} seconds and was stopped")
    return answers[0]


def _stop(thread: threading.Thread) -> None:
    """Raise _TimeOver in a thread until it ends; one that sits in compiled code is left behind after 5 seconds."""
    for _ in range(50):
        if not thread.is_alive():
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_TimeOver))
        thread.join(0.1)
