"""The tracer: what an agent makes once, and gets its runs from."""

from __future__ import annotations

import atexit
import json
import math
import os
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Literal

from ._clock import Clock, SystemClock
from ._delivery import Delivery, Options
from ._errors import ConfigurationError
from ._notes import Notes
from ._privacy import Json
from ._run import Identity, Run
from ._stats import Stats
from ._text import short
from ._transport import HttpTransport, Transport

_LONGEST_API_KEY = 1_000

# Those that live, for a forked child to begin anew with.
_tracers: weakref.WeakSet[AgentTracer] = weakref.WeakSet()


class AgentTracer:
    """Records the runs of one agent and sends them from a background thread.

    Make one for each agent and version, and keep it: it is safe to use from many threads. After the constructor,
    which raises `ConfigurationError` for an option that cannot work, nothing raises and nothing waits for the network
    but `flush` and `close`, for as long as they are told.

    - `agent_id`, `agent_version`, `environment`: who runs, where.
    - `api_url`: the server's ingest address. `api_key`: sent as a bearer token.
    - `flush_interval_s`: how long a run may wait for others to be sent with it.
    - `max_batch_runs`, `max_batch_bytes`: the bounds of one request.
    - `max_queue_runs`, `max_queue_bytes`: the bounds of what waits; beyond them the newest run is dropped and counted.
    - `timeout_s`: for each call of the network within a request.
    - `first_retry_s`, `longest_retry_s`: the pause after the first failure, doubled each time up to the longest.
    - `give_up_after_s`: how long a batch is tried before it is dropped and counted.
    - `close_timeout_s`: how long the end of the process may wait for what is queued.
    - `enabled`: with False nothing is queued or sent.
    - `transport`, `clock`: for tests, see `agenttrace.testing`.
    """

    def __init__(
        self,
        agent_id: str,
        agent_version: str,
        environment: str = "production",
        api_url: str = "http://localhost:8000",
        api_key: str | None = None,
        *,
        flush_interval_s: float = 1.0,
        max_batch_runs: int = 100,
        max_batch_bytes: int = 4 * 1024 * 1024,
        max_queue_runs: int = 1_000,
        max_queue_bytes: int = 32 * 1024 * 1024,
        timeout_s: float = 10.0,
        first_retry_s: float = 0.25,
        longest_retry_s: float = 30.0,
        give_up_after_s: float = 300.0,
        close_timeout_s: float = 5.0,
        enabled: bool = True,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._identity: Identity = {
            "agent_id": _text("agent_id", agent_id, 255),
            "agent_version": _text("agent_version", agent_version, 100),
            "environment": _text("environment", environment or "production", 50),
        }
        options = Options(
            flush_interval_s=_number("flush_interval_s", flush_interval_s, least=0),
            max_batch_runs=_whole("max_batch_runs", max_batch_runs, most=10_000),
            max_batch_bytes=_whole("max_batch_bytes", max_batch_bytes, most=48 * 1024 * 1024),
            max_queue_runs=_whole("max_queue_runs", max_queue_runs),
            max_queue_bytes=_whole("max_queue_bytes", max_queue_bytes),
            timeout_s=_number("timeout_s", timeout_s, least=0.001),
            first_retry_s=_number("first_retry_s", first_retry_s, least=0),
            longest_retry_s=_number("longest_retry_s", longest_retry_s, least=0),
            give_up_after_s=_number("give_up_after_s", give_up_after_s, least=0),
            api_key=_key(api_key),
        )
        self._close_timeout_s = _number("close_timeout_s", close_timeout_s, least=0)
        self._enabled = enabled
        self._clock = clock or SystemClock()
        self._notes = Notes()
        self._delivery = Delivery(transport or HttpTransport(api_url), self._clock, self._notes, options)
        _tracers.add(self)
        self._at_exit = _AtExit(self)

    def start_run(
        self,
        *,
        session_id: str | None = None,
        trace_id: str | None = None,
        parent_run_id: str | None = None,
        parent_step_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Run:
        """A run to be entered with `with`; leaving it hands it to the background thread.

        `session_id` names the conversation, `trace_id` (32 hex digits) the trace, `parent_run_id` and `parent_step_id`
        the run and the step that started this one.
        """
        run = Run(
            self._identity,
            clock=self._clock,
            notes=self._notes,
            finished=self._submit,
            parent_run_id=parent_run_id,
            parent_step_id=parent_step_id,
            session_id=session_id,
            trace_id=trace_id,
        )
        if metadata:
            run.add_metadata(metadata)
        return run

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Waits until every run that ended before is delivered or dropped; says whether that was within `timeout_s`."""
        return self._quietly("flush", timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Flushes and stops; says whether everything went out in time. Runs that end later are dropped and counted.

        Runs by itself at the end of the process. A second call has no effect.
        """
        self._at_exit.detach()
        return self._quietly("close", self._close_timeout_s if timeout_s is None else timeout_s)

    def stats(self) -> Stats:
        """What became of the runs so far."""
        return self._delivery.stats()

    @property
    def notes(self) -> Notes:
        """Where its mistakes are noted."""
        return self._notes

    def __enter__(self) -> AgentTracer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def __repr__(self) -> str:
        return f"AgentTracer({self._identity['agent_id']!r}, {self._identity['agent_version']!r})"

    def after_fork_in_child(self) -> None:
        """Begins with an empty queue and no thread: the parent sends what it had."""
        self._notes.after_fork_in_child()
        self._delivery.after_fork_in_child()

    def _submit(self, run: dict[str, Json]) -> None:
        if not self._enabled:
            return
        # Encoded here, so that the queue knows its bytes and holds nothing that can still change.
        self._delivery.offer(json.dumps(run, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())

    def _quietly(self, what: Literal["flush", "close"], timeout_s: float) -> bool:
        try:
            return self._delivery.flush(timeout_s) if what == "flush" else self._delivery.close(timeout_s)
        except Exception as error:  # noqa: BLE001 - the agent must not suffer from its instruments
            self._notes.internal(what, error)
            return False


class _AtExit:
    """Closes the tracer at the end of the process, without keeping it alive until then."""

    def __init__(self, tracer: AgentTracer) -> None:
        self._tracer = weakref.ref(tracer)
        atexit.register(self._close)

    def detach(self) -> None:
        """Forgets the tracer: it was closed."""
        atexit.unregister(self._close)

    def _close(self) -> None:
        tracer = self._tracer()
        if tracer is not None:
            tracer.close()


def _text(name: str, value: object, most: int) -> str:
    text = short(value, most)
    if text is None:
        raise ConfigurationError(f"{name} must be a text of 1 to {most} characters")
    return text


def _number(name: str, value: object, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
        raise ConfigurationError(f"{name} must be a number, at least {least}")
    return float(value)


def _whole(name: str, value: object, *, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most is not None and value > most):
        raise ConfigurationError(f"{name} must be a whole number from 1{'' if most is None else f' to {most}'}")
    return value


def _key(value: object) -> str | None:
    if value is None:
        return None
    # A header: anything else in it would be a header of its own, or fail at each request.
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= _LONGEST_API_KEY
        or not value.isascii()
        or not value.isprintable()
    ):
        raise ConfigurationError("api_key must be printable ASCII")
    return value


def _begin_anew_in_child() -> None:
    for tracer in list(_tracers):
        tracer.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
