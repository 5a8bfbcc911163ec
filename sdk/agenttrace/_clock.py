"""Time, behind a protocol, so that a test can hold it still."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """What the SDK asks of time."""

    def now(self) -> datetime:
        """The time of day, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Waits until `condition`, which the caller holds, is notified or `timeout_s` has passed.

        It may return early: the caller looks again at what it waits for.
        """
        ...


class SystemClock:
    """The clock of this machine."""

    # The function itself: each step asks twice, and a method of ours around it would double what that costs.
    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(timezone.utc)

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Waits for a notification, at most `timeout_s`."""
        condition.wait(timeout_s)


def sleep(clock: Clock, seconds: float) -> None:
    """Waits that long by the clock."""
    until = clock.monotonic() + seconds
    condition = threading.Condition()
    with condition:
        while (remaining := until - clock.monotonic()) > 0:
            clock.wait(condition, remaining)
