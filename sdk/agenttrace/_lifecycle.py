"""The beginning and the end of processes: what must be done for every tracer that was not closed.

The end comes in three ways: `atexit`; the finalizers of `multiprocessing`, whose children skip `atexit`; and SIGTERM. A
forked child begins anew.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any

from . import _sigterm
from ._core import Core
from ._delivery import Delivery


class Life:
    """One tracer's, from its making until it is closed; it outlives a tracer that was forgotten without that."""

    def __init__(self, core: Core, delivery: Delivery, close_timeout_s: float, *, handle_sigterm: bool) -> None:
        self.core = core
        self.delivery = delivery
        self.close_timeout_s = close_timeout_s
        _living.add(self)
        _at_end_of_child()
        if handle_sigterm:
            _sigterm.install(_stop_all)

    def close(self, timeout_s: float) -> bool:
        """Flushes and stops, within the time."""
        _living.discard(self)
        return self.delivery.close(timeout_s)

    def forgotten(self) -> None:
        """Nobody holds the tracer any more: its thread ends when everything was sent."""
        self.delivery.finish_alone(lambda: _living.discard(self))

    def stop(self, within_s: float) -> None:
        """Stops at once: what was not sent is left in the spool; without one it is tried once more."""
        if not self.delivery.has_spool:
            self.delivery.flush(within_s)
        self.delivery.stop()

    def after_fork_in_child(self) -> None:
        """Begins with an empty queue and no thread: the parent sends what it had."""
        self.core.generation += 1
        self.core.notes.after_fork_in_child()
        if self.core.live is not None:
            self.core.live.after_fork_in_child()
        self.delivery.after_fork_in_child()


_living: set[Life] = set()


def _close_all() -> None:
    living = list(_living)
    # Together they take no longer than the one that may take longest.
    until = time.monotonic() + max((life.close_timeout_s for life in living), default=0.0)
    for life in living:
        try:
            life.close(max(0.0, min(life.close_timeout_s, until - time.monotonic())))
        except Exception as error:  # noqa: BLE001 - the end of the process is no place for a traceback of ours
            life.core.notes.internal("close", error)


def _stop_all(within_s: float) -> None:
    until = time.monotonic() + within_s
    for life in list(_living):
        life.stop(max(0.0, until - time.monotonic()))


def _begin_anew_in_child() -> None:
    _sigterm.after_fork_in_child()
    for life in list(_living):
        life.after_fork_in_child()
    _at_end_of_child()


def _at_end_of_child() -> None:
    """Sees to it that a child of `multiprocessing` closes its tracers: it ends by finalizers of its own."""
    util: Any = sys.modules.get("multiprocessing.util")
    process: Any = sys.modules.get("multiprocessing.process")
    if util is None or process is None:
        return
    # The child forgets all finalizers when it begins, and then asks for new ones.
    util.register_after_fork(_close_all, _add_finalizer)
    if process.parent_process() is not None:
        _add_finalizer(_close_all)


def _add_finalizer(_: object) -> None:
    util: Any = sys.modules["multiprocessing.util"]
    util.Finalize(None, _close_all, exitpriority=0)


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
