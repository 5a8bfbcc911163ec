"""The runs that wait to be sent: bounded in number and bytes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """One encoded run."""

    body: bytes
    since: float
    """The monotonic moment it was queued."""


class Queue:
    """Runs in the order they ended. Not locked: its owner does that."""

    def __init__(self, most_runs: int, most_bytes: int) -> None:
        self._most_runs = most_runs
        self._most_bytes = most_bytes
        self._runs: deque[Waiting] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def len_bytes(self) -> int:
        """The bytes of all that waits."""
        return self._bytes

    @property
    def oldest(self) -> float:
        """The moment since which the first run waits. The queue must not be empty."""
        return self._runs[0].since

    def offer(self, run: Waiting) -> bool:
        """Takes the run, unless there is no room for it."""
        if len(self._runs) >= self._most_runs or self._bytes + len(run.body) > self._most_bytes:
            return False
        self._runs.append(run)
        self._bytes += len(run.body)
        return True

    def take(self, most_runs: int, most_bytes: int) -> list[bytes]:
        """The first runs, as many as fit in a batch; at least one when any waits."""
        taken: list[bytes] = []
        size = 0
        while self._runs and len(taken) < most_runs:
            size += len(self._runs[0].body)
            if taken and size > most_bytes:
                break
            taken.append(self._runs.popleft().body)
            self._bytes -= len(taken[-1])
        return taken

    def clear(self) -> None:
        """Forgets everything."""
        self._runs.clear()
        self._bytes = 0
