"""Live runs: those that go on, and the heartbeats that tell the server so."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._run import Run


class LiveRuns:
    """The live runs of one tracer that have not ended.

    A run that nobody holds any more is forgotten: it gets no heartbeat, and the server sees it as abandoned.
    """

    def __init__(self, heartbeat_s: float) -> None:
        self._heartbeat_s = heartbeat_s
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()

    def after_fork_in_child(self) -> None:
        """The runs are the parent's."""
        self._reset()

    def add(self, run: Run) -> None:
        """A run began."""
        with self._lock:
            self._runs.add(run)

    def remove(self, run: Run) -> None:
        """A run ended."""
        with self._lock:
            self._runs.discard(run)

    def due(self, now: float) -> float | None:
        """Seconds until a run needs a heartbeat; nothing when no run goes on."""
        with self._lock:
            latest = [run.last_event for run in self._runs]
        return max(0.0, min(latest) + self._heartbeat_s - now) if latest else None

    def take(self, now: float) -> list[bytes]:
        """The heartbeats that are due."""
        with self._lock:
            quiet = [run for run in self._runs if run.last_event + self._heartbeat_s <= now]
        return [run.heartbeat() for run in quiet]
