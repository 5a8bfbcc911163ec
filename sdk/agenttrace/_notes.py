"""What went wrong inside the SDK: counted always, logged once, and never with a value of the agent's."""

from __future__ import annotations

import functools
import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

logger = logging.getLogger("agenttrace")

# Keys of metadata come from the agent, so the set of what was already said must have an end.
_MOST_MESSAGES = 1_000


class Notes:
    """Counts what was removed, ignored or went wrong, and logs each kind once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: set[str] = set()
        self._counts: Counter[str] = Counter()

    def after_fork_in_child(self) -> None:
        """Makes a new lock: a thread of the parent, which is not here, may have held it."""
        self._lock = threading.Lock()

    def removed(self, place: str, key: str, rule: str) -> None:
        """A value was removed for privacy: `key` names it, the value itself is not given here."""
        self._count("removed")
        self._say(f"removed {place} {key} {rule}", "%s: %s removed (%s)", place, key, rule)

    def ignored(self, what: str, why: str) -> None:
        """A call, or a part of one, had no effect: `why` says what would have been right."""
        self._count("ignored")
        self._say(f"ignored {what} {why}", "%s: %s", what, why)

    def internal(self, where: str, error: Exception) -> None:
        """The SDK itself failed, or was called with arguments that it cannot take."""
        self._count("internal_errors")
        kind = type(error).__name__
        # No text of the error: it may hold what the agent passed.
        self._say(f"internal {where} {kind}", "%s failed with %s and was ignored", where, kind)

    def said(self, key: str, message: str, *args: object) -> None:
        """Logs a message once for `key`."""
        self._say(key, message, *args)

    def count(self, name: str) -> int:
        """How many of `removed`, `ignored` or `internal_errors` there were."""
        with self._lock:
            return self._counts[name]

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1

    def _say(self, key: str, message: str, *args: object) -> None:
        with self._lock:
            if key in self._said or len(self._said) >= _MOST_MESSAGES:
                return
            self._said.add(key)
        logger.warning(message, *args)


class HasNotes(Protocol):
    """An object that keeps notes."""

    @property
    def notes(self) -> Notes:
        """Where its mistakes are noted."""
        ...


Self = TypeVar("Self", bound=HasNotes)
Params = ParamSpec("Params")


def quiet(method: Callable[Concatenate[Self, Params], None]) -> Callable[Concatenate[Self, Params], None]:
    """Makes a method that never raises: whatever goes wrong in it is noted."""

    @functools.wraps(method)
    def wrapper(self: Self, /, *args: Params.args, **kwargs: Params.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the agent must not suffer from its instruments
            self.notes.internal(method.__name__, error)

    return wrapper
