"""For tests: a server in memory, the runs that an agent recorded, and a clock that a test holds still.

    from agenttrace.testing import CapturedRuns

    def test_my_agent_retries():
        with CapturedRuns() as captured:
            my_agent(captured.tracer)
        assert [step["name"] for step in captured.only["steps"]] == ["plan", "search", "search"]

With pytest, `pytest_plugins = ["agenttrace.pytest_plugin"]` in `conftest.py` gives the fixture `captured_runs`.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, Literal

from ._clock import Clock
from ._items import EVENTS_PATH
from ._tracer import AgentTracer
from ._transport import Answer

__all__ = ["Answer", "CapturedRuns", "FakeClock", "InMemoryTransport", "Request", "fold"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it would have gone over the wire."""

    path: str
    headers: Mapping[str, str]
    items: list[dict[str, Any]]
    """The runs or events in it."""


class InMemoryTransport:
    """Takes every run and every event, as the server would, unless it is told how to answer.

    Runs that were taken are in `runs`, events in `events`, each once by its id; every request is in `requests`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, dict[str, Any]] = {}
        self._events: dict[str, dict[str, Any]] = {}
        self._requests: list[Request] = []
        self._answers: deque[Answer | Exception] = deque()

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs that were taken, in the order they came; live ones as they are now, see `fold`."""
        with self._lock:
            return [*self._runs.values(), *fold(self._events.values())]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of live runs that were taken, in the order they came."""
        with self._lock:
            return list(self._events.values())

    @property
    def requests(self) -> list[Request]:
        """Every request, those that failed included."""
        with self._lock:
            return list(self._requests)

    def answer_next(self, *answers: Answer | Exception) -> None:
        """Answers the next requests like this, one each, and takes nothing: an exception is raised."""
        with self._lock:
            self._answers.extend(answers)

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:  # noqa: ARG002
        """Takes the items of `body`."""
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        items = json.loads(body)
        with self._lock:
            self._requests.append(Request(path, dict(headers), items))
            if self._answers:
                answer = self._answers.popleft()
                if isinstance(answer, Exception):
                    raise answer
                return answer
            taken, key = (self._events, "event_id") if path == EVENTS_PATH else (self._runs, "run_id")
            known = sum(item[key] in taken for item in items)
            taken.update((item[key], item) for item in items)
        said: dict[str, Any] = {"accepted": len(items) - known, "duplicates": known, "rejected": [], "removed": {}}
        return Answer(200, {"content-type": "application/json"}, json.dumps(said).encode())

    def close(self) -> None:
        """Has nothing to let go of."""


def fold(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The live runs that the events tell of, as they would be sent whole; `running` until they end."""
    runs: dict[str, dict[str, Any]] = {}
    steps: dict[str, dict[str, dict[str, Any]]] = {}
    for event in events:
        fields = {key: value for key, value in event.items() if key not in {"event_id", "type", "time"}}
        run = runs.setdefault(
            fields.pop("run_id"),
            {"run_id": event["run_id"], "status": "running", "decisions": [], "quality_signals": []},
        )
        known = steps.setdefault(event["run_id"], {})
        kind = event["type"]
        if kind in {"run_started", "run_ended"}:
            run.update(fields)
        elif kind in {"step_started", "step_ended"}:
            known.setdefault(fields["step_id"], {}).update(fields)
        elif kind == "failure_recorded":
            run["failure"] = fields
        elif kind in {"decision_recorded", "signal_recorded"}:
            run["decisions" if kind == "decision_recorded" else "quality_signals"].append(fields)
    for run_id, run in runs.items():
        run["steps"] = sorted(steps[run_id].values(), key=lambda step: int(step["seq"]))
    return list(runs.values())


class CapturedRuns:
    """A tracer whose runs stay here, for the tests of an agent. Options are those of `AgentTracer`."""

    def __init__(
        self,
        agent_id: str = "agent-under-test",
        agent_version: str = "0",
        *,
        clock: Clock | None = None,
        **options: Any,  # noqa: ANN401 - those of the tracer
    ) -> None:
        self.transport = InMemoryTransport()
        self.tracer = AgentTracer(agent_id, agent_version, transport=self.transport, clock=clock, **options)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs that ended, as they would have been sent, in the order they ended; live ones as they are now."""
        self.tracer.flush(60.0)
        return self.transport.runs

    @property
    def only(self) -> dict[str, Any]:
        """The run, when there is exactly one; else `AssertionError`."""
        runs = self.runs
        if len(runs) != 1:
            raise AssertionError(f"{len(runs)} runs were recorded, not one")
        return runs[0]

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps of all runs."""
        return [step for run in self.runs for step in run["steps"]]

    def __enter__(self) -> CapturedRuns:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self.tracer.close()
        return False


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
