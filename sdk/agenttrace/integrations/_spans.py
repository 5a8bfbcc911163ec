"""Runs and steps that a framework tells of from outside: by ids, in whatever thread or task."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from .._notes import Notes
from .._run import Run
from .._scope import current_run, current_step
from .._step import Step
from .._tracer import AgentTracer

# A framework that forgets to tell of ends must not fill the memory.
_MOST_OPEN = 10_000


class Spans:
    """What goes on, by the framework's ids.

    A beginning without a known parent is a run, or a step when the code already runs inside one.
    """

    def __init__(self, tracer: AgentTracer) -> None:
        self._tracer = tracer
        self._lock = threading.Lock()
        self._open: dict[object, Run | Step] = {}
        # Ids whose entry is another one's: what is not worth a step counts for its parent.
        self._borrowed: set[object] = set()
        # Runs that are there for one step alone.
        self._runs: dict[object, Run] = {}

    @property
    def notes(self) -> Notes:
        """Where mistakes are noted."""
        return self._tracer.notes

    def find(self, key: object) -> Run | Step | None:
        """The run or step that goes on under this id."""
        with self._lock:
            return self._open.get(key)

    @contextmanager
    def quietly(self, where: str) -> Generator[None, None, None]:
        """Notes what goes wrong inside instead of raising it: the agent must not suffer from its instruments."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.notes.internal(where, error)

    def begin(self, key: object, parent: object, step_type: str, name: str) -> None:
        """A step begins. Without a run around it, it is a run of its own, with that step in it."""
        around = self.find(parent) or current_step() or current_run()
        if around is None:
            around = self._new_run({}, None)
            with self._lock:
                self._runs[key] = around
        step = around.run.step(step_type, name)
        step.begin(around if isinstance(around, Step) else None)
        self._keep(key, step)

    def begin_outermost(self, key: object, step_type: str, name: str) -> None:
        """A run begins, or a step when the code already runs inside of a run."""
        if current_run() is None:
            self.begin_run(key)
        else:
            self.begin(key, None, step_type, name)

    def begin_run(self, key: object, links: Mapping[str, object] | None = None, *, agent_id: str | None = None) -> None:
        """A run begins."""
        self._keep(key, self._new_run(links or {}, agent_id))

    def _new_run(self, links: Mapping[str, object], agent_id: str | None) -> Run:
        run = self._tracer.new_run(links, agent_id=agent_id)
        run.begin()
        return run

    def pass_on(self, key: object, parent: object) -> None:
        """What is told of this id counts for its parent."""
        around = self.find(parent)
        if around is not None:
            with self._lock:
                self._borrowed.add(key)
            self._keep(key, around)

    def end(
        self,
        key: object,
        *,
        error: BaseException | None = None,
        failed: str | None = None,
        facts: Mapping[str, object] | None = None,
        becomes: str | None = None,
    ) -> None:
        """Ends what goes on under this id: with an exception, or with an error code when there is none to be had."""
        with self._lock:
            ended = self._open.pop(key, None)
            borrowed = key in self._borrowed
            self._borrowed.discard(key)
            run = self._runs.pop(key, None)
        if ended is None or borrowed:
            return
        known = {name: fact for name, fact in (facts or {}).items() if fact is not None}
        if known:
            ended.add_metadata(known)
        if isinstance(ended, Step):
            if becomes is not None:
                ended.becomes(becomes)
            if failed is not None:
                ended.set_status("failed", error_code=failed)
        elif failed is not None:
            ended.record_failure("orchestration", "uncaught_exception", failed)
        ended.end(error)
        if run is not None:
            run.end(error)

    def _keep(self, key: object, begun: Run | Step) -> None:
        with self._lock:
            if len(self._open) >= _MOST_OPEN:
                forgotten = next(iter(self._open))
                self._open.pop(forgotten)
                self._borrowed.discard(forgotten)
                self._runs.pop(forgotten, None)
            self._open[key] = begun


def as_mapping(value: object) -> Mapping[str, Any]:
    """What a framework gave, when it is a mapping; else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def as_sequence(value: object) -> Sequence[Any]:
    """What a framework gave, when it is a list; else an empty one."""
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()
