"""One step of a run."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from . import _privacy, _taxonomy
from ._ids import new_id
from ._notes import Notes, quiet
from ._privacy import Json
from ._scope import Scope, leave, scope
from ._text import plain

if TYPE_CHECKING:
    from ._run import Run

# What the server can hold.
_MOST_ATTEMPTS = 2**32 - 1


class Step:
    """One step, from entering the `with` block to leaving it; `async with` is the same.

    Made by `Run.step`. An exception that leaves the block marks the step failed, with the name of its type as the
    error code, and goes on unchanged. A step that is never entered is not recorded; one that is still open when its run
    ends, ends with it. Its methods never raise.
    """

    __slots__ = (
        "__weakref__",
        "_attempt",
        "_ended",
        "_error_code",
        "_id",
        "_metadata",
        "_name",
        "_parent",
        "_retry_of",
        "_run",
        "_seq",
        "_started",
        "_status",
        "_token",
        "_type",
    )

    def __init__(
        self, run: Run, step_type: object, name: object, *, attempt: int | None = None, retry_of: object = None
    ) -> None:
        self._run = run
        self._id = new_id(run.now_ms())
        self._type = _known_type(step_type, run.notes)
        self._name = run.core.step_names.clean(name) or "unnamed"
        self._attempt = None if attempt is None else _known_attempt(attempt, run.notes)
        self._retry_of = None if retry_of is None else run.known_step(retry_of)
        self._parent: str | None = None
        self._seq = 0
        self._started: float | None = None
        self._ended: float | None = None
        self._status = "unknown"
        self._error_code: str | None = None
        self._metadata: dict[str, Json] | None = None
        self._token: Token[Scope] | None = None

    @property
    def step_id(self) -> str:
        """The step's id, a UUID: what `step_id=` of a decision, a signal or a failure takes."""
        return self._id

    @property
    def run(self) -> Run:
        """The run that it belongs to."""
        return self._run

    @property
    def status(self) -> str:
        """`ok`, `failed`, or `unknown` while nothing is known."""
        return self._status

    @property
    def notes(self) -> Notes:
        """Where its mistakes are noted."""
        return self._run.notes

    @quiet
    def add_metadata(self, metadata: Mapping[str, object] | None = None, /, **facts: object) -> None:
        """Adds facts of the step, as a mapping, as keywords, or both. Later values of a key replace earlier ones.

        Numbers, booleans, null, short strings, and lists and objects of them to depth 4 are kept; what may be private
        is dropped, see docs/privacy.md.
        """
        kept = {} if metadata is None else _privacy.step_metadata(metadata, self.notes)
        if facts:
            kept |= _privacy.step_metadata(facts, self.notes)
        if self._metadata:
            kept = self._metadata | kept
            if len(kept) > _privacy.MOST_KEYS or _privacy.size_of(kept) > _privacy.MOST_BYTES:
                self.notes.ignored("step metadata", "dropped what goes beyond 64 keys or 16 KiB in one step")
                return
        self._metadata = kept

    @quiet
    def set_status(self, status: str, *, error_code: str | None = None) -> None:
        """Says that the step is `ok` or `failed`, for failures that are no exceptions. An exception overrules it."""
        text = plain(status)
        if text not in _taxonomy.STEP_STATUSES:
            self.notes.ignored("step status ignored", f"allowed are {', '.join(_taxonomy.STEP_STATUSES)}")
            return
        self._status = text
        self._error_code = None if error_code is None else self._run.code(error_code)

    def __enter__(self) -> Step:
        try:
            if self._started is None:
                around = scope.get()
                if isinstance(around, Step) and around._run is self._run and around._ended is None:
                    self._parent = around._id
                self.begin()
                self._token = scope.set(self)
            else:
                self.notes.ignored("step entered twice", "make a new one with run.step() for each time")
        except Exception as error:  # noqa: BLE001 - the agent must not suffer from its instruments
            self.notes.internal("entering a step", error)
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
            self.notes.internal("leaving a step", own)
        return False

    async def __aenter__(self) -> Step:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, error, traceback)

    # What follows is for the package: for adapters, which are told of a beginning and an end from outside.

    def begin(self, parent: Step | None = None) -> None:
        """Begins, as a child of `parent`."""
        if parent is not None:
            self._parent = parent._id
        self._started = self._run.core.monotonic()
        self._run.add_step(self)

    def end(self, error: BaseException | None = None) -> None:
        """Ends; a second call has no effect."""
        if self._started is None or self._ended is not None:
            return
        if error is not None:
            self._status = "failed"
            self._error_code = self._run.code(type(error).__name__)
            self._run.failed_at(self, error)
        elif self._status == "unknown":
            self._status = "ok"
        self._ended = self._run.core.monotonic()
        if self._run.core.live is not None:
            self._run.step_ended(self)

    def becomes(self, step_type: str) -> None:
        """Changes the type, when only the end tells what it was."""
        self._type = step_type

    def numbered(self, seq: int) -> None:
        """Gives the step its place among those of the run."""
        self._seq = seq

    @property
    def is_open(self) -> bool:
        """Whether it began and has not ended."""
        return self._started is not None and self._ended is None

    def wire(self, run_ended: float) -> dict[str, Json]:
        """The step as it is sent. One that has not ended is taken to the end of its run."""
        run = self._run
        started = run_ended if self._started is None else self._started
        ended = run_ended if self._ended is None else max(started, self._ended)
        fields = self.beginning(started)
        fields["latency_ms"] = round((ended - started) * 1000)
        fields["ended_at"] = run.time_of(ended)
        fields["status"] = self._status
        fields["metadata"] = self._metadata or {}
        if self._error_code is not None:
            fields["error_code"] = self._error_code
        return fields

    def beginning(self, started: float | None = None) -> dict[str, Json]:
        """What is known of the step when it begins."""
        begun = started if started is not None else self._started
        fields: dict[str, Json] = {
            "step_id": self._id,
            "seq": self._seq,
            "step_type": self._type,
            "name": self._name,
            "started_at": self._run.time_of(begun or 0.0),
        }
        if self._parent is not None:
            fields["parent_step_id"] = self._parent
        if self._attempt is not None:
            fields["attempt"] = self._attempt
        if self._retry_of is not None:
            fields["retry_of"] = self._retry_of
        return fields


_TYPES = frozenset(_taxonomy.STEP_TYPES)


def _known_type(step_type: object, notes: Notes) -> str:
    text = plain(step_type)
    if text is not None and text in _TYPES:
        return text
    notes.ignored("step type taken as 'other'", f"allowed are {', '.join(_taxonomy.STEP_TYPES)}")
    return "other"


def _known_attempt(attempt: object, notes: Notes) -> int | None:
    if isinstance(attempt, int) and not isinstance(attempt, bool) and 1 <= attempt <= _MOST_ATTEMPTS:
        return attempt
    notes.ignored("attempt left out", "it must be a whole number from 1")
    return None
