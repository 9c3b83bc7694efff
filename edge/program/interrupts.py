"""Ctrl-C, SIGTERM and SIGHUP outside of a run: at once while nothing is open, else by unwinding; never a traceback.

Imports nothing that takes time: the program handles signals before it loads anything else.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

IMPATIENT = 3
"""The number of signals from which the process ends at once, whatever it is closing."""

ENDS = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end the process at once, if nothing handles them."""

_received: list[int] = []


class Interrupted(KeyboardInterrupt):
    """The KeyboardInterrupt of a signal's handler.

    After one of exactly that class in code from a string, with which dataclasses are made during an import, Python ends
    as if by SIGINT, whatever exit code the program asks for.
    """


def end_at_once() -> None:
    """From now on Ctrl-C ends the process immediately with exit code 130; SIGTERM and SIGHUP do as the system has it.

    For the program's start and end, where nothing is open that needs closing: an exception from a signal, in the middle
    of an import or of the interpreter's own end, would be printed with its traceback, or become another error.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # ignored in the background of a script
        signal.signal(signal.SIGINT, _exit)
    for number in ENDS:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.SIG_DFL)


def unwind() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, and SIGTERM and SIGHUP SystemExit, so that files are closed.

    Does nothing unless `end_at_once` was called before, as in a test that runs commands in its own process.
    """
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, _raise)
        for number in ENDS:
            if signal.getsignal(number) is signal.SIG_DFL:  # not ignored, as under nohup
                signal.signal(number, _raise)
        sys.excepthook, sys.unraisablehook = _print_unless_ended, _raise_again


def exit_code() -> int | None:
    """The exit code that a signal asks for, 128 and its number; None where none has come to `unwind`'s handlers."""
    return 128 + _received[0] if _received else None


def _exit(number: int, at: FrameType | None) -> None:
    os._exit(128 + number)


def _raise(number: int, at: FrameType | None) -> None:
    _received.append(number)
    if len(_received) >= IMPATIENT:
        _exit(number, at)
    raise Interrupted if number == signal.SIGINT else SystemExit(128 + number)


def _print_unless_ended(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print an exception that nothing has caught, unless it is the consequence of a signal."""
    if not (_received or issubclass(kind, KeyboardInterrupt)):
        sys.__excepthook__(kind, error, trace)


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Deliver a signal again that came in a finalizer or a callback, where Python can only print the exception."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt | SystemExit):
        sys.__unraisablehook__(unraisable)
        return
    number = _received.pop() if _received else signal.SIGINT
    handler = signal.getsignal(number)

    def deliver(*_: object) -> None:
        if signal.getsignal(number) is handler:  # else what it should interrupt has ended
            signal.raise_signal(number)

    # a little later, when the finalizer has ended; by the system, as a timer of Python's would need a thread
    signal.signal(signal.SIGALRM, deliver)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
