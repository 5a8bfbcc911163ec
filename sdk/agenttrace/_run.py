"""One run of an agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from contextvars import Token
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Literal

from . import _facts, _privacy, _taxonomy
from ._attempts import Attempts
from ._core import Core, Identity, encode
from ._ids import known_id, new_id
from ._items import Kind
from ._links import known_links
from ._notes import Notes, quiet
from ._privacy import Json
from ._scope import Scope, leave, scope
from ._step import Step
from ._text import code, plain, short

# The contract's limits on one run.
_MOST_STEPS = 10_000
_MOST_FACTS = 10_000
# How far an exception's causes are followed: they may form a ring.
_MOST_CAUSES = 10


class Run:
    """One run, from entering the `with` block to leaving it, when it is handed over to be sent.

    `async with` is the same. Made by `AgentTracer.start_run`. Its status is `success` unless it is set, a failure is
    recorded, or an exception leaves the block: then it is `failure`, with `orchestration/uncaught_exception` and the
    name of the exception's type when no failure was recorded before; the exception goes on unchanged. Runs may be used
    from several threads at once. Its methods never raise, and have no effect once the run has ended, or in a process
    that was forked meanwhile.
    """

    __slots__ = (
        "__weakref__",
        "_decisions",
        "_ended",
        "_failed_at",
        "_failure",
        "_failure_id",
        "_generation",
        "_id",
        "_identity",
        "_links",
        "_metadata",
        "_metadata_changed",
        "_signals",
        "_started",
        "_started_at",
        "_started_ms",
        "_status",
        "_step_ids",
        "_steps",
        "_token",
        "core",
        "keeps",
        "last_event",
        "lock",
    )

    def __init__(self, core: Core, identity: Identity, links: Mapping[str, object]) -> None:
        self.core = core
        self.lock = threading.Lock()
        self.last_event = 0.0
        # Whom the run needs until it ends: a tracer that nobody holds any more stops.
        self.keeps: object = None
        self._identity = identity
        self._links = known_links(core.notes, **{name: links.get(name) for name in _LINKS})
        self._generation = core.generation
        self._started: float | None = None
        self._begins()
        self._id = new_id(self._started_ms)
        self._status: str | None = None
        self._ended = False
        self._steps: list[Step] = []
        self._step_ids: set[str] = set()
        self._decisions: list[Json] = []
        self._signals: list[Json] = []
        self._metadata: dict[str, Json] = {}
        self._metadata_changed = False
        self._failure: dict[str, Json] | None = None
        self._failure_id = ""
        self._token: Token[Scope] | None = None
        # The innermost step that an exception left, and which exception: its identity and type, because holding the
        # exception would hold its frames, and they hold everything.
        self._failed_at: tuple[Step, int, type[BaseException]] | None = None

    def _begins(self) -> None:
        now = self.core.clock.now()
        # In UTC, and without saying so: what is made of it is made for every step.
        self._started_at: datetime = now.astimezone(timezone.utc).replace(tzinfo=None)
        self._started_ms = int(now.timestamp() * 1000)

    @property
    def run_id(self) -> str:
        """The run's id, a UUID."""
        return self._id

    @property
    def run(self) -> Run:
        """Itself: what runs and steps have in common is the run that they belong to."""
        return self

    @property
    def has_ended(self) -> bool:
        """Whether it was handed over: nothing more is recorded then."""
        return self._ended

    @property
    def session_id(self) -> str | None:
        """The conversation that it belongs to."""
        session = self._links.get("session_id")
        return session if isinstance(session, str) else None

    @property
    def status(self) -> str:
        """`success`, `failure` or `partial`: what would be sent if the run ended now. Setting it is `set_status`."""
        if self._status is not None:
            return self._status
        return "success" if self._failure is None else "failure"

    @status.setter
    def status(self, status: str) -> None:
        self.set_status(status)

    @property
    def notes(self) -> Notes:
        """Where its mistakes are noted."""
        return self.core.notes

    @quiet
    def set_status(self, status: str) -> None:
        """Sets how the run ended: `success`, `failure` or `partial`. An exception that leaves the run overrules it."""
        text = plain(status)
        if text not in _taxonomy.RUN_STATUSES:
            self.notes.ignored("run status ignored", f"allowed are {', '.join(_taxonomy.RUN_STATUSES)}")
        elif not self._is_over("set_status"):
            self._status = text

    def step(self, step_type: str, name: str, *, attempt: int | None = None, retry_of: str | None = None) -> Step:
        """A step to be entered with `with`.

        `step_type` is plan, retrieve, tool, respond or other. `attempt` (1, 2, ..) and `retry_of`, the `step_id` of the
        first attempt, tell retries of one operation apart from two operations of one name; `attempts` does both by
        itself. A step entered inside another one is its child.
        """
        return Step(self, step_type, name, attempt=attempt, retry_of=retry_of)

    def attempts(
        self,
        step_type: str,
        name: str,
        *,
        max_attempts: int = 3,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        backoff_s: float = 0.0,
        longest_backoff_s: float = 30.0,
    ) -> Attempts:
        """Tries an operation up to `max_attempts` times, each try a step of its own with its attempt number.

            for attempt in run.attempts("tool", "billing_api", max_attempts=3):
                with attempt as step:
                    answer = call()

        A try that raises one of `retry_on`, or whose step was set to `failed`, is followed by the next one; the last
        one's exception goes on. Before the second try comes a pause of about `backoff_s` seconds, doubled each time up
        to `longest_backoff_s`. `async for` and `async with` are the same without blocking.
        """
        return Attempts(
            self,
            step_type,
            name,
            max_attempts=max_attempts,
            retry_on=retry_on,
            backoff_s=backoff_s,
            longest_backoff_s=longest_backoff_s,
        )

    def start_child(
        self,
        agent_id: str | None = None,
        agent_version: str | None = None,
        *,
        metadata: Mapping[str, object] | None = None,
    ) -> Run:
        """A run of a sub-agent, to be entered with `with`: a run of its own that knows this one as its parent.

        It belongs to the same session and trace, and to the step around this call. Without names it is a run of the
        same agent.
        """
        here = scope.get()
        identity = dict(self._identity)
        for key, given, most in (("agent_id", agent_id, 255), ("agent_version", agent_version, 100)):
            if given is not None:
                name = short(given, most)
                identity[key] = _privacy.optional(name, most, self.notes, key) or "[redacted]" if name else "unnamed"
        child = Run(
            self.core,
            identity,
            {
                **self._links,
                "parent_run_id": self._id,
                "parent_step_id": here.step_id if isinstance(here, Step) and here.run is self else None,
            },
        )
        child.keeps = self.keeps
        if metadata:
            child.add_metadata(metadata)
        return child

    @quiet
    def add_metadata(self, metadata: Mapping[str, object] | None = None, /, **facts: object) -> None:
        """Adds facts of the whole run: numbers, booleans and short strings."""
        kept = self._metadata | ({} if metadata is None else _privacy.run_metadata(metadata, self.notes))
        if facts:
            kept |= _privacy.run_metadata(facts, self.notes)
        if len(kept) > _privacy.MOST_KEYS:
            self.notes.ignored("run metadata", "dropped what goes beyond 64 keys in one run")
        elif not self._is_over("add_metadata"):
            self._metadata = kept
            self._metadata_changed = True

    @quiet
    def record_decision(
        self,
        decision_type: str,
        selected: str,
        reason_code: str,
        *,
        candidates: Iterable[str] | None = None,
        confidence: float | None = None,
        step_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Records a choice with its reason. `confidence` is 0 to 1, `step_id` names a step of this run.

        A type or a reason that the taxonomy does not have, or `selected` outside of 1 to 200 characters, drops the
        decision, with a warning that names what is allowed.
        """
        fields = _facts.decision(
            self.notes,
            decision_type,
            selected,
            reason_code,
            candidates=candidates,
            confidence=confidence,
            metadata=metadata,
        )
        if fields is not None:
            fields = {"decision_id": new_id(self.now_ms()), "step_id": self.known_step(step_id), **fields}
            self._add("decision_recorded", self._decisions, fields)

    @quiet
    def record_quality_signal(
        self,
        signal_type: str,
        signal_code: str,
        value: bool,  # noqa: FBT001 - the value is what the signal says
        *,
        weight: float | None = None,
        step_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Records an observation of quality. `weight` is 0 to 1, `step_id` names a step of this run.

        A type or a code that the taxonomy does not have, or a value that is no boolean, drops the signal, with a
        warning that names what is allowed.
        """
        fields = _facts.signal(self.notes, signal_type, signal_code, value, weight=weight, metadata=metadata)
        if fields is not None:
            fields = {"signal_id": new_id(self.now_ms()), "step_id": self.known_step(step_id), **fields}
            self._add("signal_recorded", self._signals, fields)

    @quiet
    def record_failure(self, failure_type: str, failure_code: str, message: str, *, step_id: str | None = None) -> None:
        """Records why the run failed, and makes its status `failure` unless it was set.

        `failure_type` is tool, model, retrieval or orchestration; `failure_code` is open. A run carries one failure:
        of several the last one is kept. `message` is for people and is free text: keep personal data out of it.
        """
        if self._is_over("record_failure"):
            return
        if self._failure is not None:
            self.notes.ignored("failure replaced", "a run carries one failure, the last one")
        fields = _facts.failure(self.notes, failure_type, self.code(failure_code), message)
        self._failed({"step_id": self.known_step(step_id), **fields})

    def __enter__(self) -> Run:
        try:
            if self._started is None:
                self.begin()
                self._token = scope.set(self)
            else:
                self.notes.ignored("run entered twice", "make a new one with tracer.start_run() for each time")
        except Exception as error:  # noqa: BLE001 - the agent must not suffer from its instruments
            self.notes.internal("entering a run", error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        try:
            if self._token is not None:
                token, self._token = self._token, None
                leave(token)
            self.end(error)
        except Exception as own:  # noqa: BLE001 - the agent must not suffer from its instruments
            self.notes.internal("leaving a run", own)
        return False

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, error, traceback)

    # What follows is for the package.

    def begin(self) -> None:
        """Begins, without becoming the current run."""
        self._begins()
        self._started = self.core.monotonic()
        if self.core.live is not None:
            self._tell("run_started", self._start_fields())
            self.core.live.add(self)

    def end(self, error: BaseException | None = None) -> None:
        """Ends and is handed over; a second call has no effect."""
        if self._started is None or self._is_foreign():
            return
        with self.lock:
            if self._ended:
                return
            self._ended = True
        ended = self.core.monotonic()
        if error is not None and not _is_plain_exit(error):
            self._status = "failure"
            if self._failure is None:
                self._failed(self._failure_of(error))
        if self.core.live is None:
            self.core.offer(encode(self._wire(ended)).encode(), Kind.RUN)
        else:
            self._end_live(ended)
        # Steps know their run: without this, each run would be a ring that only the garbage collector can undo.
        self._steps = []
        self._failed_at = None

    def now_ms(self) -> int:
        """Milliseconds since 1970, by the monotonic clock once the run has begun."""
        if self._started is None:
            return self._started_ms
        return self._started_ms + int((self.core.monotonic() - self._started) * 1000)

    def time_of(self, moment: float) -> str:
        """The time of day of a monotonic moment: it runs evenly even when somebody sets the clock meanwhile."""
        start = moment if self._started is None else self._started
        return _utc(self._started_at + timedelta(seconds=moment - start))

    def add_step(self, step: Step) -> None:
        """Takes a step that begins; its place among the steps is its `seq`."""
        if self._started is None:
            self.notes.ignored("step of a run that was not entered", "write `with tracer.start_run() as run`")
        if self._is_foreign():
            return
        with self.lock:
            if self._ended or len(self._steps) >= _MOST_STEPS:
                self.notes.ignored("step dropped", f"the run has ended, or has {_MOST_STEPS} steps")
                return
            step.numbered(len(self._steps))
            self._steps.append(step)
            self._step_ids.add(step.step_id)
        if self.core.live is not None and self._started is not None:
            self._tell("step_started", step.beginning())

    def step_ended(self, step: Step) -> None:
        """In live mode: tells of it."""
        if step.step_id in self._step_ids and not self._ended and self._started is not None:
            self._tell("step_ended", step.wire(self.core.monotonic()))

    def failed_at(self, step: Step, error: BaseException) -> None:
        """Remembers the innermost step that `error` left."""
        if self._failed_at is None or self._failed_at[1:] != (id(error), type(error)):
            self._failed_at = (step, id(error), type(error))

    def known_step(self, step_id: object) -> str | None:
        """The id when it names a step of this run: any other one would cost the whole run at the server."""
        if step_id is None:
            return None
        known = step_id if step_id in self._step_ids else known_id(step_id)
        if isinstance(known, str) and known in self._step_ids:
            return known
        self.notes.ignored("step_id left out", "it names no step of this run")
        return None

    def code(self, value: object) -> str | None:
        """A code: a short text of `[A-Za-z0-9_.:-]`, without private shapes."""
        name = self.core.codes.clean(value)
        return None if name is None else code(name, 100)

    def heartbeat(self) -> bytes:
        """The event that says that the run goes on."""
        return self._event("heartbeat", {})

    def _is_foreign(self) -> bool:
        """Whether this process was forked while the run went on: then it is its parent's."""
        if self._generation == self.core.generation:
            return False
        self.notes.ignored("run of another process", "a run belongs to the process that began it")
        return True

    def _failed(self, failure: dict[str, Json]) -> None:
        self._failure = failure
        if self.core.live is not None and self._started is not None:
            # A failure is known by the id of its event: the last one takes the place of those before.
            self._failure_id = self._failure_id or new_id(self.now_ms())
            self.core.offer(self._event("failure_recorded", failure, self._failure_id), Kind.EVENT)

    def _failure_of(self, error: BaseException) -> dict[str, Json]:
        stopped = isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit))
        return {
            "step_id": self.known_step(self._origin_of(error)),
            "failure_type": "orchestration",
            "failure_code": "cancelled" if stopped else "uncaught_exception",
            # The name of the type and no more: an exception's text may hold anything.
            "message": _privacy.clean_message(type(error).__name__, self.notes)[:100] or "Exception",
        }

    def _origin_of(self, error: BaseException) -> str | None:
        """The step that `error`, or the exception that it was raised from, came out of."""
        cause: BaseException | None = error
        for _ in range(_MOST_CAUSES):
            if cause is None or self._failed_at is None:
                return None
            if self._failed_at[1:] == (id(cause), type(cause)):
                return self._failed_at[0].step_id
            cause = cause.__cause__ or cause.__context__
        return None

    def _start_fields(self) -> dict[str, Json]:
        return {**self._identity, "started_at": _utc(self._started_at), **self._links, "metadata": self._metadata}

    def _wire(self, ended: float) -> dict[str, Json]:
        fields: dict[str, Json] = {
            "run_id": self._id,
            **self._start_fields(),
            "status": self.status,
            "ended_at": self.time_of(ended),
            "steps": [step.wire(ended) for step in self._steps],
            "decisions": self._decisions,
            "quality_signals": self._signals,
        }
        if self._failure is not None:
            fields["failure"] = self._failure
        return fields

    def _end_live(self, ended: float) -> None:
        for step in self._steps:
            if step.is_open:
                self._tell("step_ended", step.wire(ended))
        if self._metadata_changed:
            self._tell("run_started", self._start_fields())
        body = self._event("run_ended", {"status": self.status, "ended_at": self.time_of(ended)})
        self.core.offer(body, Kind.END)
        if self.core.live is not None:
            self.core.live.remove(self)

    def _event(self, kind: str, fields: dict[str, Json], event_id: str | None = None) -> bytes:
        now = self.core.monotonic()
        self.last_event = now
        about = {"event_id": event_id or new_id(self.now_ms()), "run_id": self._id, "type": kind}
        return encode({**about, "time": self.time_of(now), **fields}).encode()

    def _tell(self, kind: str, fields: dict[str, Json]) -> None:
        self.core.offer(self._event(kind, fields), Kind.EVENT)

    def _add(self, event: str, to: list[Json], fields: dict[str, Json]) -> None:
        if self._is_over(event):
            return
        if len(to) >= _MOST_FACTS:
            self.notes.ignored(f"{event} ignored", f"a run has {_MOST_FACTS} of them at most")
            return
        if self.core.live is not None and self._started is not None:
            self._tell(event, fields)
        to.append(fields)

    def _is_over(self, what: str) -> bool:
        if self._ended:
            self.notes.ignored(f"{what} ignored", "the run has ended")
        return self._ended or self._is_foreign()


_LINKS = ("parent_run_id", "parent_step_id", "session_id", "trace_id")


def _utc(time: datetime) -> str:
    return time.isoformat(timespec="microseconds") + "Z"


def _is_plain_exit(error: BaseException) -> bool:
    """Whether it is `sys.exit()` with nothing to complain about."""
    return isinstance(error, SystemExit) and error.code in (None, 0)
