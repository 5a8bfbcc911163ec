"""Where the code that runs now stands: in which run, in which step."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ._run import Run
    from ._step import Step

Scope: TypeAlias = "Run | Step | None"

# One a task or thread: a new thread starts with none, a new task with that of the one that made it.
scope: ContextVar[Scope] = ContextVar("agenttrace_scope", default=None)
session: ContextVar[str | None] = ContextVar("agenttrace_session", default=None)


def leave(token: Token[Scope]) -> None:
    """Puts back what was there before."""
    try:
        scope.reset(token)
    except ValueError:
        # Left in another context than it was entered in, as a generator may be: nothing to put back there.
        scope.set(None)


def current_step() -> Step | None:
    """The step around the code that runs now, or nothing outside of every step."""
    from ._step import Step  # noqa: PLC0415 - steps know the scope

    here = scope.get()
    return here if isinstance(here, Step) and not here.run.has_ended else None


def current_run() -> Run | None:
    """The run around the code that runs now, or nothing outside of every run.

    A run that has ended is not around anything any more, even where its scope was never left: in a generator that was
    dropped half way, or a task that outlives the run.
    """
    here = scope.get()
    return here.run if here is not None and not here.run.has_ended else None
