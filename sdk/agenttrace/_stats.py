"""What became of the runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """What became of the runs, at one moment.

    At any moment `finished == queued + delivered + dropped`.
    """

    finished: int
    """Runs that ended."""
    queued: int
    """Runs that wait to be sent or whose answer is awaited."""
    delivered: int
    """Runs that the server has stored, those it had stored before included."""
    dropped: int
    """Runs that will never arrive."""
    dropped_by_reason: Mapping[str, int]
    """`queue_full`, `too_large`, `rejected` by the server, `undeliverable` for too long, `closed` before they were
    sent."""
    retries: int
    """Requests that were sent again."""
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
