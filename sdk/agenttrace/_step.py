"""One step of a run."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from . import _privacy, _taxonomy
from ._ids import new_id
from ._notes import Notes, quiet
from ._text import code, plain, short

if TYPE_CHECKING:
    from ._run import Run

# What the server can hold.
_MOST_ATTEMPTS = 2**32 - 1

# The step around the code that runs now, one a task or thread: a new thread starts with none.
_current: ContextVar[Step | None] = ContextVar("agenttrace_step", default=None)


class Step:
    """One step, from entering the `with` block to leaving it.

    Made by `Run.step`. An exception that leaves the block marks the step failed, with the name of its type as the
    error code, and goes on unchanged. A step that is never entered is not recorded. Its methods never raise.
    """

    def __init__(
        self, run: Run, step_type: object, name: object, *, attempt: int | None = None, retry_of: object = None
    ) -> None:
        self._run = run
        self._notes = run.notes
        self._id = new_id(run.clock.now())
        self._type = self._known_type(step_type)
        self._name = short(name, 255) or "unnamed"
        self._attempt = self._known_attempt(attempt)
        self._retry_of = run.known_step(retry_of)
        self._parent: str | None = None
        self._started: float | None = None
        self._ended: float | None = None
        self._status = "unknown"
        self._error_code: str | None = None
        self._metadata: dict[str, _privacy.Json] = {}
        self._token: Token[Step | None] | None = None

    @property
    def step_id(self) -> str:
        """The step's id, a UUID: what `step_id=` of a decision, a signal or a failure takes."""
        return self._id

    @property
    def status(self) -> str:
        """`ok`, `failed`, or `unknown` while nothing is known."""
        return self._status

    @property
    def notes(self) -> Notes:
        """Where its mistakes are noted."""
        return self._notes

    @quiet
    def add_metadata(self, metadata: Mapping[str, object]) -> None:
        """Adds facts of the step. Later values of a key replace earlier ones.

        Numbers, booleans, null, short strings, and lists and objects of them to depth 4 are kept; what may be private
        is dropped, see the README.
        """
        kept = self._metadata | _privacy.step_metadata(metadata, self._notes)
        if len(kept) > _privacy.MOST_KEYS or not _privacy.fits(kept):
            self._notes.ignored("step metadata", "dropped what goes beyond 64 keys or 16 KiB in one step")
            return
        with self._run.lock:
            self._metadata = kept

    @quiet
    def set_status(self, status: str, *, error_code: str | None = None) -> None:
        """Says that the step is `ok` or `failed`, for failures that are no exceptions. An exception overrules it."""
        text = plain(status)
        if text not in _taxonomy.STEP_STATUSES:
            self._notes.ignored("step status ignored", f"allowed are {', '.join(_taxonomy.STEP_STATUSES)}")
            return
        self._status = text
        self._error_code = None if error_code is None else code(error_code, 100)

    def __enter__(self) -> Step:
        try:
            if self._started is None:
                self._begin()
            else:
                self._notes.ignored("step entered twice", "make a new one with run.step() for each time")
        except Exception as error:  # noqa: BLE001 - the agent must not suffer from its instruments
            self._notes.internal("entering a step", error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        try:
            self._end(error)
        except Exception as own:  # noqa: BLE001 - the agent must not suffer from its instruments
            self._notes.internal("leaving a step", own)
        return False

    def _begin(self) -> None:
        around = _current.get()
        if around is not None and around._run is self._run and around._ended is None:
            self._parent = self._run.known_step(around._id)
        self._started = self._run.clock.monotonic()
        self._run.add_step(self)
        self._token = _current.set(self)

    def _end(self, error: BaseException | None) -> None:
        if self._token is not None:
            try:
                _current.reset(self._token)
            except ValueError:
                # Left in another context than it was entered in, as a generator may be: nothing to put back there.
                _current.set(None)
            self._token = None
        if self._started is None or self._ended is not None:
            return
        if error is not None:
            self._status = "failed"
            self._error_code = code(type(error).__name__, 100)
            self._run.failed_at(self, error)
        elif self._status == "unknown":
            self._status = "ok"
        self._ended = self._run.clock.monotonic()

    def _known_type(self, step_type: object) -> str:
        text = plain(step_type)
        if text in _taxonomy.STEP_TYPES:
            return text
        self._notes.ignored("step type taken as 'other'", f"allowed are {', '.join(_taxonomy.STEP_TYPES)}")
        return "other"

    def _known_attempt(self, attempt: object) -> int | None:
        if attempt is None:
            return None
        if isinstance(attempt, int) and not isinstance(attempt, bool) and 1 <= attempt <= _MOST_ATTEMPTS:
            return attempt
        self._notes.ignored("attempt left out", "it must be a whole number from 1")
        return None

    def wire(self, seq: int, run_ended: float) -> dict[str, _privacy.Json]:
        """The step as it is sent. One that has not ended is taken to the end of its run."""
        started = run_ended if self._started is None else self._started
        ended = run_ended if self._ended is None else self._ended
        fields: dict[str, _privacy.Json] = {
            "step_id": self._id,
            "seq": seq,
            "step_type": self._type,
            "name": self._name,
            "latency_ms": max(0, round((ended - started) * 1000)),
            "started_at": self._run.time_of(started),
            "ended_at": self._run.time_of(max(started, ended)),
            "status": self._status,
            "metadata": dict(self._metadata),
        }
        if self._error_code is not None:
            fields["error_code"] = self._error_code
        if self._parent is not None:
            fields["parent_step_id"] = self._parent
        if self._attempt is not None:
            fields["attempt"] = self._attempt
        if self._retry_of is not None:
            fields["retry_of"] = self._retry_of
        return fields
