"""For tests: a server in memory, and a clock that stands still until it is told to go on."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ._transport import Answer

__all__ = ["Answer", "FakeClock", "InMemoryTransport", "Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it would have gone over the wire."""

    path: str
    headers: Mapping[str, str]
    runs: list[dict[str, Any]]


class InMemoryTransport:
    """Takes every run, as the server would, unless it is told how to answer.

    Runs that were taken are in `runs`, each once by its `run_id`; every request is in `requests`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, dict[str, Any]] = {}
        self._requests: list[Request] = []
        self._answers: deque[Answer | Exception] = deque()

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs that were taken, in the order they came."""
        with self._lock:
            return list(self._taken.values())

    @property
    def requests(self) -> list[Request]:
        """Every request, those that failed included."""
        with self._lock:
            return list(self._requests)

    def answer_next(self, *answers: Answer | Exception) -> None:
        """Answers the next requests like this, one each, and takes no run: an exception is raised."""
        with self._lock:
            self._answers.extend(answers)

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:  # noqa: ARG002
        """Takes the runs of `body`."""
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        runs = json.loads(body)
        with self._lock:
            self._requests.append(Request(path, dict(headers), runs))
            if self._answers:
                answer = self._answers.popleft()
                if isinstance(answer, Exception):
                    raise answer
                return answer
            known = sum(run["run_id"] in self._taken for run in runs)
            self._taken.update((run["run_id"], run) for run in runs)
        said = {"accepted": len(runs) - known, "duplicates": known, "rejected": [], "removed": 0}
        return Answer(200, {"content-type": "application/json"}, json.dumps(said).encode())

    def close(self) -> None:
        """Has nothing to let go of."""


class FakeClock:
    """Time that goes on only with `advance`. It begins at noon, 1 January 2026, UTC."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)) -> None:
        self._start = start
        self._changed = threading.Condition()
        self._elapsed_s = 0.0
        self._sleeping: dict[int, tuple[threading.Condition, float]] = {}

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        with self._changed:
            return self._elapsed_s

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Waits for a notification, or until `advance` has gone past `timeout_s`."""
        if timeout_s is None:
            condition.wait()
            return
        me = threading.get_ident()
        with self._changed:
            until = self._elapsed_s + timeout_s
            if timeout_s <= 0:
                return
            self._sleeping[me] = (condition, until)
            self._changed.notify_all()
        # `advance` needs the condition, which is held here, so it cannot slip in before the wait.
        condition.wait()
        with self._changed:
            self._sleeping.pop(me, None)

    def advance(self, seconds: float) -> None:
        """Lets time go on, and wakes who waited for it."""
        with self._changed:
            self._elapsed_s += seconds
            due = [condition for condition, until in self._sleeping.values() if until <= self._elapsed_s]
            # Who is woken no longer sleeps, even if its thread has not run yet.
            self._sleeping = {me: entry for me, entry in self._sleeping.items() if entry[1] > self._elapsed_s}
        for condition in due:
            with condition:
                condition.notify_all()

    def next_wake_s(self, timeout_s: float = 5.0) -> float:
        """Waits until a thread sleeps on this clock; returns the seconds until the first of them wakes.

        `timeout_s` is real time; `TimeoutError` when it has passed.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._sleeping:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError("nothing sleeps on this clock")
                self._changed.wait(remaining)
            return min(until for _, until in self._sleeping.values()) - self._elapsed_s
