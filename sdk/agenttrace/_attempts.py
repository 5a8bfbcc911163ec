"""Trying an operation several times, each try a step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from ._clock import sleep

if TYPE_CHECKING:
    from ._run import Run
    from ._step import Step

_random = random.Random()  # noqa: S311 - for jitter


class Attempt:
    """One try, to be entered with `with` or `async with`: gives its step.

    An exception that calls for another try ends here; every other one goes on.
    """

    def __init__(self, step: Step, *, is_last: bool, retry_on: tuple[type[BaseException], ...]) -> None:
        self._step = step
        self._is_last = is_last
        self._retry_on = retry_on
        self.wants_another = False

    @property
    def step(self) -> Step:
        """The step of this try."""
        return self._step

    def __enter__(self) -> Step:
        return self._step.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._step.__exit__(kind, error, traceback)
        if error is None:
            self.wants_another = self._step.status == "failed"
            return False
        self.wants_another = not self._is_last and isinstance(error, self._retry_on)
        return self.wants_another

    async def __aenter__(self) -> Step:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return self.__exit__(kind, error, traceback)


class Attempts:
    """The tries of one operation; made by `Run.attempts`. To be gone through once."""

    def __init__(
        self,
        run: Run,
        step_type: str,
        name: str,
        *,
        max_attempts: int,
        retry_on: type[BaseException] | tuple[type[BaseException], ...],
        backoff_s: float,
        longest_backoff_s: float,
    ) -> None:
        self._run = run
        self._step_type = step_type
        self._name = name
        self._max_attempts = max_attempts
        if not _is_count(max_attempts):
            run.notes.ignored("max_attempts taken as 1", "it must be a whole number from 1")
            self._max_attempts = 1
        self._retry_on = retry_on if isinstance(retry_on, tuple) else (retry_on,)
        self._backoff_s = backoff_s
        self._longest_backoff_s = longest_backoff_s

    def __iter__(self) -> Iterator[Attempt]:
        for attempt, pause_s in self._tries():
            if pause_s > 0:
                sleep(self._run.core.clock, pause_s)
            yield attempt

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        for attempt, pause_s in self._tries():
            if pause_s > 0:
                await asyncio.sleep(pause_s)
            yield attempt

    def _tries(self) -> Iterator[tuple[Attempt, float]]:
        """Each try with the pause before it."""
        first: str | None = None
        for number in range(1, self._max_attempts + 1):
            step = self._run.step(self._step_type, self._name, attempt=number, retry_of=first)
            attempt = Attempt(step, is_last=number == self._max_attempts, retry_on=self._retry_on)
            yield attempt, 0.0 if number == 1 else self._pause_s(number)
            if not attempt.wants_another:
                return
            first = first or step.step_id

    def _pause_s(self, number: int) -> float:
        longest = min(self._longest_backoff_s, self._backoff_s * 2.0 ** min(number - 2, 30))
        return longest * _random.uniform(0.5, 1.0) if longest > 0 else 0.0


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
