"""What became of runs and events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventStats:
    """What became of the events of live runs: always `recorded == queued + spooled + sent + rejected + dropped`."""

    recorded: int
    queued: int
    spooled: int
    sent: int
    rejected: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the runs, at one moment; a live run counts when it ends.

    At any moment `finished == queued + spooled + sent + rejected + dropped`.
    """

    finished: int
    """Runs that ended."""
    queued: int
    """Runs that wait in memory, or whose answer is awaited."""
    spooled: int
    """Runs that wait on disk. They outlive the process."""
    sent: int
    """Runs that the server has stored, those it had stored before included."""
    rejected: int
    """Runs that the server will never take; the log says why."""
    dropped: int
    """Runs that will never arrive."""
    dropped_by_reason: Mapping[str, int]
    """`queue_full`, `too_large`, `undeliverable` (the server breaks over it), `closed` before they were sent. Runs and,
    in live mode, events."""
    recovered: int
    """Runs and events that an earlier process had left on disk and this one sent. They are in no other count."""
    retries: int
    """Requests that failed and were, or will be, sent again."""
    removed: int
    """Values that were removed here for privacy."""
    removed_by_server: int
    """Values that the server removed on top of that."""
    ignored: int
    """Calls, or parts of one, that had no effect because of a value that is not allowed."""
    internal_errors: int
    """Mistakes of the SDK itself, and calls with arguments that it cannot take."""
    last_error: str | None
    """The last reason why a request failed, without any value of the agent's."""
    events: EventStats
    """The same for the events of live runs."""


class Tally:
    """Counts items by what became of them."""

    def __init__(self) -> None:
        self.offered = 0
        self._now: Counter[str] = Counter()

    def __getitem__(self, outcome: str) -> int:
        return self._now[outcome]

    def offer(self, outcome: str) -> None:
        """One more was offered, with this outcome."""
        self.offered += 1
        self._now[outcome] += 1

    def move(self, before: str, after: str) -> None:
        """One went on."""
        self._now[before] -= 1
        self._now[after] += 1
