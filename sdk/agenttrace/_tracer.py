"""The tracer: what an agent makes once, and gets its runs from."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, overload

from . import _privacy
from ._clock import Clock, SystemClock
from ._core import Core, Identity
from ._decorators import Function, around
from ._delivery import Delivery, Options
from ._errors import ConfigurationError
from ._lifecycle import Life
from ._live import LiveRuns
from ._notes import Notes
from ._run import Run
from ._scope import session as current_session
from ._spool import Spool, default_directory, destination
from ._stats import Stats
from ._text import short
from ._transport import HttpTransport, Transport

_LONGEST_API_KEY = 1_000
# How many events of a live run wait in the place of one whole run.
_EVENTS_OF_A_RUN = 10
_DEFAULT_URL = "http://localhost:8000"


class AgentTracer:
    """Records the runs of one agent and sends them from a background thread.

    Make one for each agent and version, and keep it: it is safe to use from many threads. After the constructor,
    which raises `ConfigurationError` for an option that cannot work, nothing raises and nothing waits for the network
    but `flush` and `close`, for as long as they are told.

    - `agent_id`, `agent_version`, `environment`: who runs, where.
    - `api_url`: the server's ingest address; `AGENTTRACER_API_URL` or http://localhost:8000 when it is left out.
    - `api_key`: sent as a bearer token; `AGENTTRACER_API_KEY` when it is left out.
    - `stream`: live mode. Every start, step and end is sent as it happens, and the server shows the run while it goes
      on.
    - `heartbeat_s`: in live mode, how long a run may be silent before the server is told that it goes on.
    - `flush_interval_s`: how long a run may wait for others to be sent with it. With 0, the first one is sent at once,
      and those that come while it is in flight make the next batch.
    - `max_batch_runs`, `max_batch_bytes`: the bounds of one request.
    - `max_queue_runs`, `max_queue_bytes`: the bounds of what waits in memory.
    - `spool_dir`: where runs wait while the server is away; `AGENTTRACER_SPOOL_DIR`, `$XDG_STATE_HOME/agenttrace` or
      `~/.local/state/agenttrace` when it is left out. `max_spool_bytes` bounds it, over all processes; 0 is no spool.
      With a spool that is full, and a queue that is full, the newest run is dropped and counted.
    - `timeout_s`: for each call of the network within a request.
    - `first_retry_s`, `longest_retry_s`: the pause after the first failure, doubled each time up to the longest.
    - `close_timeout_s`: how long the end of the process may wait for what is queued.
    - `handle_sigterm`: whether SIGTERM, where the program does not handle it, moves unsent runs to the spool first.
    - `enabled`: with False nothing is queued or sent.
    - `transport`, `clock`: for tests, see `agenttrace.testing`. With a transport there is no spool unless one is asked
      for.
    """

    def __init__(
        self,
        agent_id: str,
        agent_version: str,
        api_url: str | None = None,
        environment: str = "production",
        api_key: str | None = None,
        *,
        stream: bool = False,
        heartbeat_s: float = 60.0,
        flush_interval_s: float = 0.0,
        max_batch_runs: int = 100,
        max_batch_bytes: int = 4 * 1024 * 1024,
        max_queue_runs: int = 1_000,
        max_queue_bytes: int = 32 * 1024 * 1024,
        spool_dir: str | os.PathLike[str] | None = None,
        max_spool_bytes: int = 64 * 1024 * 1024,
        timeout_s: float = 10.0,
        first_retry_s: float = 0.25,
        longest_retry_s: float = 30.0,
        close_timeout_s: float = 3.0,
        handle_sigterm: bool = True,
        enabled: bool = True,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        notes = Notes()
        identity: Identity = {
            "agent_id": _name("agent_id", agent_id, 255, notes),
            "agent_version": _name("agent_version", agent_version, 100, notes),
            "environment": _name("environment", environment or "production", 50, notes),
        }
        key = _key(os.environ.get("AGENTTRACER_API_KEY") or None if api_key is None else api_key)
        options = Options(
            flush_interval_s=_number("flush_interval_s", flush_interval_s, least=0),
            max_batch_runs=_whole("max_batch_runs", max_batch_runs, most=10_000),
            max_batch_bytes=_whole("max_batch_bytes", max_batch_bytes, most=48 * 1024 * 1024),
            # In live mode a run is many events.
            max_queue_runs=_whole("max_queue_runs", max_queue_runs) * (_EVENTS_OF_A_RUN if stream else 1),
            max_queue_bytes=_whole("max_queue_bytes", max_queue_bytes),
            timeout_s=_number("timeout_s", timeout_s, least=0.001),
            first_retry_s=_number("first_retry_s", first_retry_s, least=0),
            longest_retry_s=_number("longest_retry_s", longest_retry_s, least=0),
            api_key=key,
        )
        url = api_url if api_url is not None else os.environ.get("AGENTTRACER_API_URL") or _DEFAULT_URL
        spool = Spool(
            _spool_directory(spool_dir, url, str(identity["agent_id"]), in_memory=transport is not None),
            _whole("max_spool_bytes", max_spool_bytes, least=0) if enabled else 0,
            notes,
        )
        live = LiveRuns(_number("heartbeat_s", heartbeat_s, least=0.1)) if stream else None
        self._enabled = enabled
        the_clock = clock or SystemClock()
        self._delivery = Delivery(transport or HttpTransport(url), the_clock, notes, options, spool=spool, beats=live)
        self._core = Core(
            clock=the_clock,
            notes=notes,
            identity=identity,
            live=live,
            offer=self._delivery.offer if enabled else _nowhere,
        )
        timeout = _number("close_timeout_s", close_timeout_s, least=0)
        self._life = Life(self._core, self._delivery, timeout, handle_sigterm=handle_sigterm and enabled)
        # At the end of the process the life sees to itself.
        weakref.finalize(self, self._life.forgotten).atexit = False

    def start_run(
        self,
        *,
        session_id: str | None = None,
        trace_id: str | None = None,
        parent_run_id: str | None = None,
        parent_step_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Run:
        """A run to be entered with `with` or `async with`; leaving it hands it to the background thread.

        `session_id` names the conversation (that of `session` when it is left out), `trace_id` (32 hex digits) the
        trace, `parent_run_id` and `parent_step_id` the run and the step that started this one.
        """
        run = Run(
            self._core,
            self._core.identity,
            {
                "session_id": current_session.get() if session_id is None else session_id,
                "trace_id": trace_id,
                "parent_run_id": parent_run_id,
                "parent_step_id": parent_step_id,
            },
        )
        run.keeps = self
        if metadata:
            run.add_metadata(metadata)
        return run

    @overload
    def run(self, function: Function, /) -> Function: ...

    @overload
    def run(
        self, /, *, session_id: str | None = None, metadata: Mapping[str, object] | None = None
    ) -> Callable[[Function], Function]: ...

    def run(
        self,
        function: Function | None = None,
        /,
        *,
        session_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> Function | Callable[[Function], Function]:
        """Records each call of the decorated function as a run: `@tracer.run`, or `@tracer.run(metadata={..})`.

        Plain functions, coroutines, and generators of both kinds. Code inside finds the run with `current_run()`.
        """

        def decorate(decorated: Function) -> Function:
            return around(decorated, lambda: self.start_run(session_id=session_id, metadata=metadata))

        return decorate if function is None else decorate(function)

    @contextmanager
    def session(self, session_id: str) -> Generator[None, None, None]:
        """Runs that are started inside belong to this conversation, unless they name another one."""
        token = current_session.set(session_id)
        try:
            yield
        finally:
            try:
                current_session.reset(token)
            except ValueError:
                current_session.set(None)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Waits until what was recorded is sent, rejected or dropped; says whether that was within `timeout_s`."""
        return self._quietly("flush", timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Flushes and stops; says whether everything went out in time. What did not is left in the spool, or dropped.

        When the server is known to be away, nothing waits for it. Runs that end later are dropped and counted. Runs by
        itself at the end of the process. A second call has no effect.
        """
        return self._quietly("close", self._life.close_timeout_s if timeout_s is None else timeout_s)

    def stats(self) -> Stats:
        """What became of the runs so far."""
        return self._delivery.stats()

    @property
    def notes(self) -> Notes:
        """Where its mistakes are noted."""
        return self._core.notes

    def __enter__(self) -> AgentTracer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def __repr__(self) -> str:
        identity = self._core.identity
        return f"AgentTracer({identity['agent_id']!r}, {identity['agent_version']!r})"

    # What follows is for the package.

    def new_run(self, links: Mapping[str, object], *, agent_id: str | None = None) -> Run:
        """A run that an adapter begins and ends itself."""
        identity = self._core.identity
        if agent_id is not None:
            identity = {
                **identity,
                "agent_id": _privacy.optional(agent_id, 255, self.notes, "agent_id") or "[redacted]",
            }
        run = Run(self._core, identity, links)
        run.keeps = self
        return run

    def _quietly(self, what: Literal["flush", "close"], timeout_s: float) -> bool:
        try:
            return self._delivery.flush(timeout_s) if what == "flush" else self._life.close(timeout_s)
        except Exception as error:  # noqa: BLE001 - the agent must not suffer from its instruments
            self.notes.internal(what, error)
            return False


def _nowhere(body: bytes, kind: object) -> None:
    """Where the runs of a tracer go that is switched off."""


def _spool_directory(given: str | os.PathLike[str] | None, url: str, agent_id: str, *, in_memory: bool) -> Path | None:
    if given is None and in_memory:
        return None
    try:
        parent = default_directory() if given is None else Path(given)
    except TypeError:
        raise ConfigurationError("spool_dir must be a path") from None
    return None if parent is None else parent / destination(str(url), agent_id)


def _name(name: str, value: object, most: int, notes: Notes) -> str:
    text = short(value, most)
    if text is None:
        raise ConfigurationError(f"{name} must be a text of 1 to {most} characters")
    return _privacy.optional(text, most, notes, name) or "[redacted]"


def _number(name: str, value: object, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
        raise ConfigurationError(f"{name} must be a number, at least {least}")
    return float(value)


def _whole(name: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise ConfigurationError(f"{name} must be a whole number from {least}{'' if most is None else f' to {most}'}")
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
