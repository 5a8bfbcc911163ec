"""One run of an agent."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from itertools import islice
from types import TracebackType
from typing import Literal, TypeAlias

from . import _privacy, _taxonomy
from ._clock import Clock
from ._ids import known_id, new_id
from ._notes import Notes, quiet
from ._privacy import Json
from ._step import Step
from ._text import code, plain, short

# The contract's limits on one run.
_MOST_STEPS = 10_000
_MOST_FACTS = 10_000
_MOST_CANDIDATES = 64
# How far an exception's causes are followed: they may form a ring.
_MOST_CAUSES = 10

_TRACE_ID = re.compile(r"[0-9a-f]{32}")

Identity: TypeAlias = dict[str, Json]


class Run:
    """One run, from entering the `with` block to leaving it, when it is handed over to be sent.

    Made by `AgentTracer.start_run`. Its status is `success` unless it is set, a failure is recorded, or an exception
    leaves the block: then it is `failure`, with `orchestration/uncaught_exception` and the name of the exception's type
    when no failure was recorded before; the exception goes on unchanged. Runs may be used from several threads at once.
    Its methods never raise, and have no effect once the run has ended.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        clock: Clock,
        notes: Notes,
        finished: Callable[[dict[str, Json]], None],
        parent_run_id: object = None,
        parent_step_id: object = None,
        session_id: object = None,
        trace_id: object = None,
    ) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self._notes = notes
        self._finished = finished
        self._identity = identity
        self._links = self._known_links(parent_run_id, parent_step_id, session_id, trace_id)
        self._id = new_id(clock.now())
        self._status: str | None = None
        self._started: float | None = None
        self._started_at: datetime = clock.now()
        self._ended = False
        self._steps: list[Step] = []
        self._step_ids: set[str] = set()
        self._decisions: list[dict[str, Json]] = []
        self._signals: list[dict[str, Json]] = []
        self._metadata: dict[str, Json] = {}
        self._failure: dict[str, Json] | None = None
        # The innermost step that an exception left, and which exception: its identity and type, because holding the
        # exception would hold its frames, and they hold everything.
        self._failed_at: tuple[Step, int, type[BaseException]] | None = None

    @property
    def run_id(self) -> str:
        """The run's id, a UUID."""
        return self._id

    @property
    def status(self) -> str:
        """`success`, `failure` or `partial`: what would be sent if the run ended now."""
        if self._status is not None:
            return self._status
        return "success" if self._failure is None else "failure"

    @property
    def notes(self) -> Notes:
        """Where its mistakes are noted."""
        return self._notes

    @quiet
    def set_status(self, status: str) -> None:
        """Sets how the run ended: `success`, `failure` or `partial`. An exception that leaves the run overrules it."""
        text = plain(status)
        if text not in _taxonomy.RUN_STATUSES:
            self._notes.ignored("run status ignored", f"allowed are {', '.join(_taxonomy.RUN_STATUSES)}")
        elif not self._is_over("set_status"):
            self._status = text

    def step(self, step_type: str, name: str, *, attempt: int | None = None, retry_of: str | None = None) -> Step:
        """A step to be entered with `with`.

        `step_type` is plan, retrieve, tool, respond or other. `attempt` (1, 2, ..) and `retry_of`, the `step_id` of the
        first attempt, tell retries of one operation apart from two operations of one name. A step entered inside
        another one is its child.
        """
        return Step(self, step_type, name, attempt=attempt, retry_of=retry_of)

    @quiet
    def add_metadata(self, metadata: Mapping[str, object]) -> None:
        """Adds facts of the whole run: numbers, booleans and short strings."""
        kept = self._metadata | _privacy.fact_metadata(metadata, self._notes, place="run metadata")
        if len(kept) > _privacy.MOST_KEYS:
            self._notes.ignored("run metadata", "dropped what goes beyond 64 keys in one run")
        elif not self._is_over("add_metadata"):
            self._metadata = kept

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
        """Records a choice with its reason. `confidence` is 0 to 1, `step_id` names a step of this run."""
        pair = self._known_pair("decision", _taxonomy.REASON_CODES, decision_type, reason_code)
        chosen = short(selected, 200)
        if pair is None or chosen is None:
            if chosen is None:
                self._notes.ignored("decision dropped", "selected must be a text of 1 to 200 characters")
            return
        fields: dict[str, Json] = {
            "decision_id": new_id(self.clock.now()),
            "step_id": self.known_step(step_id),
            "decision_type": pair[0],
            "selected": chosen,
            "reason_code": pair[1],
            "candidates": self._known_candidates(candidates),
            "confidence": self._fraction("confidence", confidence),
            "metadata": _privacy.fact_metadata(metadata or {}, self._notes, place="decision metadata"),
        }
        self._add("record_decision", self._decisions, fields)

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
        """Records an observation of quality. `weight` is 0 to 1, `step_id` names a step of this run."""
        pair = self._known_pair("quality signal", _taxonomy.SIGNAL_CODES, signal_type, signal_code)
        observed: object = value
        if not isinstance(observed, bool):
            self._notes.ignored("quality signal dropped", "value must be True or False")
        if pair is None or not isinstance(observed, bool):
            return
        fields: dict[str, Json] = {
            "signal_id": new_id(self.clock.now()),
            "step_id": self.known_step(step_id),
            "signal_type": pair[0],
            "signal_code": pair[1],
            "value": observed,
            "weight": self._fraction("weight", weight),
            "metadata": _privacy.fact_metadata(metadata or {}, self._notes, place="signal metadata"),
        }
        self._add("record_quality_signal", self._signals, fields)

    @quiet
    def record_failure(self, failure_type: str, failure_code: str, message: str, *, step_id: str | None = None) -> None:
        """Records why the run failed, and makes its status `failure` unless it was set.

        `failure_type` is tool, model, retrieval or orchestration; `failure_code` is open. A run carries one failure:
        of several the last one is kept. `message` is for people and is free text: keep personal data out of it.
        """
        if self._is_over("record_failure"):
            return
        kind = plain(failure_type)
        if kind not in _taxonomy.FAILURE_TYPES:
            # The failure itself must not be lost over its label.
            self._notes.ignored(
                "failure type taken as 'orchestration'", f"allowed are {', '.join(_taxonomy.FAILURE_TYPES)}"
            )
            kind = "orchestration"
        if self._failure is not None:
            self._notes.ignored("failure replaced", "a run carries one failure, the last one")
        text = plain(message)
        self._failure = {
            "step_id": self.known_step(step_id),
            "failure_type": kind,
            "failure_code": code(failure_code, 100) or "unknown",
            "message": (None if text is None else _privacy.message(text, self._notes)) or "no message",
        }

    def __enter__(self) -> Run:
        try:
            if self._started is None:
                self._started_at = self.clock.now()
                self._started = self.clock.monotonic()
            else:
                self._notes.ignored("run entered twice", "make a new one with tracer.start_run() for each time")
        except Exception as error:  # noqa: BLE001 - the agent must not suffer from its instruments
            self._notes.internal("entering a run", error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        try:
            self._end(error)
        except Exception as own:  # noqa: BLE001 - the agent must not suffer from its instruments
            self._notes.internal("leaving a run", own)
        return False

    # What follows is for the package: a step calls it.

    def add_step(self, step: Step) -> None:
        """Takes a step that begins; its place among the steps is its `seq`."""
        if self._started is None:
            self._notes.ignored("step of a run that was not entered", "write `with tracer.start_run() as run`")
        with self.lock:
            if self._ended or len(self._steps) >= _MOST_STEPS:
                self._notes.ignored("step dropped", f"the run has ended, or has {_MOST_STEPS} steps")
            else:
                self._steps.append(step)
                self._step_ids.add(step.step_id)

    def failed_at(self, step: Step, error: BaseException) -> None:
        """Remembers the innermost step that `error` left."""
        with self.lock:
            if self._failed_at is None or self._failed_at[1:] != (id(error), type(error)):
                self._failed_at = (step, id(error), type(error))

    def known_step(self, step_id: object) -> str | None:
        """The id when it names a step of this run: any other one would cost the whole run at the server."""
        if step_id is None:
            return None
        known = known_id(step_id)
        with self.lock:
            if known in self._step_ids:
                return known
        self._notes.ignored("step_id left out", "it names no step of this run")
        return None

    def time_of(self, moment: float) -> str:
        """The time of day of a monotonic moment: it runs evenly even when somebody sets the clock meanwhile."""
        start = moment if self._started is None else self._started
        return _utc(self._started_at + timedelta(seconds=moment - start))

    def _end(self, error: BaseException | None) -> None:
        if self._started is None:
            return
        with self.lock:
            if self._ended:
                return
            self._ended = True
        ended = self.clock.monotonic()
        if error is not None and not _is_plain_exit(error):
            self._status = "failure"
            if self._failure is None:
                self._failure = self._failure_of(error)
        self._finished(self._wire(ended))

    def _failure_of(self, error: BaseException) -> dict[str, Json]:
        stopped = isinstance(error, (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit))
        return {
            "step_id": self.known_step(self._origin_of(error)),
            "failure_type": "orchestration",
            "failure_code": "cancelled" if stopped else "uncaught_exception",
            # The name of the type and no more: an exception's text may hold anything.
            "message": short(type(error).__name__, 100) or "Exception",
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

    def _wire(self, ended: float) -> dict[str, Json]:
        with self.lock:
            steps: list[Json] = [step.wire(seq, ended) for seq, step in enumerate(self._steps)]
            fields: dict[str, Json] = {
                "run_id": self._id,
                **self._identity,
                "status": self.status,
                "started_at": _utc(self._started_at),
                "ended_at": self.time_of(ended),
                **self._links,
                "metadata": self._metadata,
                "steps": steps,
                "decisions": list(self._decisions),
                "quality_signals": list(self._signals),
            }
        if self._failure is not None:
            fields["failure"] = self._failure
        return fields

    def _add(self, what: str, to: list[dict[str, Json]], fields: dict[str, Json]) -> None:
        if self._is_over(what):
            return
        with self.lock:
            if len(to) < _MOST_FACTS:
                to.append(fields)
            else:
                self._notes.ignored(f"{what} ignored", f"a run has {_MOST_FACTS} of them at most")

    def _is_over(self, what: str) -> bool:
        if self._ended:
            self._notes.ignored(f"{what} ignored", "the run has ended")
        return self._ended

    def _known_pair(
        self, what: str, table: Mapping[str, tuple[str, ...]], kind: object, its_code: object
    ) -> tuple[str, str] | None:
        kind, its_code = plain(kind), plain(its_code)
        if kind is None or kind not in table:
            self._notes.ignored(f"{what} dropped", f"allowed types are {', '.join(table)}")
            return None
        if its_code is None or its_code not in table[kind]:
            self._notes.ignored(f"{what} dropped", f"allowed codes of {kind} are {', '.join(table[kind])}")
            return None
        return kind, its_code

    def _known_candidates(self, candidates: Iterable[str] | None) -> list[Json] | None:
        if candidates is None:
            return None
        kept: list[Json] = []
        for candidate in islice([candidates] if isinstance(candidates, str) else candidates, _MOST_CANDIDATES):
            text = short(candidate, 200)
            if text is None:
                self._notes.ignored("candidate dropped", "a candidate must be a text of 1 to 200 characters")
            else:
                kept.append(text)
        return kept

    def _fraction(self, what: str, value: object) -> float | None:
        if value is None:
            return None
        # NaN fails the comparison too.
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
            return float(value)
        self._notes.ignored(f"{what} left out", "it must be a number from 0 to 1")
        return None

    def _known_links(
        self, parent_run_id: object, parent_step_id: object, session_id: object, trace_id: object
    ) -> dict[str, Json]:
        links: dict[str, Json] = {}
        for name, value in (("parent_run_id", parent_run_id), ("parent_step_id", parent_step_id)):
            known = None if value is None else known_id(value)
            if known is not None:
                links[name] = known
            elif value is not None:
                self._notes.ignored(f"{name} left out", "it must be a UUID")
        session = short(session_id, 128)
        if session is not None:
            links["session_id"] = session
        trace = (plain(trace_id) or "").lower()
        if _TRACE_ID.fullmatch(trace):
            links["trace_id"] = trace
        elif trace_id is not None:
            self._notes.ignored("trace_id left out", "it must be 32 hex digits")
        return links


def _utc(time: datetime) -> str:
    return time.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _is_plain_exit(error: BaseException) -> bool:
    """Whether it is `sys.exit()` with nothing to complain about."""
    return isinstance(error, SystemExit) and error.code in (None, 0)
