"""SIGTERM, which ends a process without running `atexit`: what was not sent must reach the spool first.

The handler is installed only where SIGTERM would kill the process at once. A program that handles SIGTERM itself ends
in its own way, by `atexit` as a rule, and is left alone; one that installs a handler later replaces ours.

The handler does nothing itself, for it may have interrupted anything: a thread stops the tracers, within a bound, and
then sends the signal again, which finds the default and ends the process as it would have ended without us.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_WITHIN_S = 0.8

_stop_all: Callable[[float], None] | None = None
_stopping = False


def install(stop_all: Callable[[float], None]) -> None:
    """Sees to it that `stop_all`, given the seconds it may take, is called before SIGTERM ends the process."""
    global _stop_all  # noqa: PLW0603 - there is one SIGTERM
    if not hasattr(os, "kill") or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _stop_all = stop_all
        try:
            signal.signal(signal.SIGTERM, _handle)
        except ValueError:
            # Not the main interpreter.
            _stop_all = None


def after_fork_in_child() -> None:
    """The parent may have been about to end."""
    global _stopping  # noqa: PLW0603
    _stopping = False


def _handle(number: int, _frame: FrameType | None) -> None:
    global _stopping  # noqa: PLW0603
    if not _stopping:
        _stopping = True
        try:
            # No `Thread`: starting one takes locks that the interrupted code may hold.
            _thread.start_new_thread(_stop_and_end, (number,))
        except RuntimeError:
            # No thread any more: the interpreter is ending anyway.
            pass
        else:
            return
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _stop_and_end(number: int) -> None:
    try:
        if _stop_all is not None:
            _stop_all(_WITHIN_S)
    finally:
        os.kill(os.getpid(), number)
