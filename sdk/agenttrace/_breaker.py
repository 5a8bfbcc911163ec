"""How long the server is left alone after a failure."""

from __future__ import annotations

import random

# One failure may be a server that restarts or a connection that broke; from the second one on it is away.
_OPENS_AT = 2


class Breaker:
    """Closed while requests succeed; open while the server is away, with longer pauses between the tries.

    Not locked: its owner does that.
    """

    def __init__(self, first_retry_s: float, longest_retry_s: float) -> None:
        self._first_retry_s = first_retry_s
        self._longest_retry_s = longest_retry_s
        # Seeded by the system, so that agents that failed together do not come back together.
        self._random = random.Random()  # noqa: S311 - for jitter
        self._failures = 0
        self._until = 0.0
        self._wanted_by_server = False

    @property
    def is_open(self) -> bool:
        """Whether the server is away: what waits is safer on disk."""
        return self._failures >= _OPENS_AT

    def succeeded(self) -> None:
        """The server answered as it should."""
        self._failures = 0
        self._until = 0.0
        self._wanted_by_server = False

    def failed(self, now: float, *, retry_after_s: float | None, for_long: bool) -> None:
        """A request failed. `for_long`: trying again soon cannot help, as with a wrong key."""
        self._failures = max(self._failures + 1, _OPENS_AT if for_long else 0)
        self._wanted_by_server = retry_after_s is not None
        if retry_after_s is not None:
            pause = retry_after_s
        else:
            doubled = self._first_retry_s * 2.0 ** min(self._failures - 1, 30)
            longest = self._longest_retry_s if for_long else min(self._longest_retry_s, doubled)
            pause = longest * self._random.uniform(0.5, 1.0)
        self._until = now + pause

    def pause_s(self, now: float, *, hurry: bool) -> float:
        """How long to wait before the next try; `hurry` cuts our own pauses short, not those that the server wants."""
        if hurry and not self._wanted_by_server:
            return 0.0
        return max(0.0, self._until - now)
