"""Runs and steps around whole functions: plain ones, coroutines, and generators of both kinds."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar, cast

from ._run import Run
from ._scope import current_run, leave, scope
from ._step import Step

Function = TypeVar("Function", bound=Callable[..., Any])


def around(function: Function, make: Callable[[], Run | Step | None]) -> Function:
    """The function, each call of which is recorded as what `make` makes; nothing is recorded when it makes nothing.

    A generator is recorded from its first value to its end, and is the current run or step only while its own code
    runs.
    """
    if inspect.iscoroutinefunction(function):
        wrapper = _around_coroutine(function, make)
    elif inspect.isasyncgenfunction(function):
        wrapper = _around_async_generator(function, make)
    elif inspect.isgeneratorfunction(function):
        wrapper = _around_generator(function, make)
    else:
        wrapper = _around_call(function, make)
    return cast("Function", functools.wraps(function)(wrapper))


def run_step(step_type: str, name: str | None = None) -> Callable[[Function], Function]:
    """Records each call of the function as a step of the current run.

    `step_type` is plan, retrieve, tool, respond or other; the name is the function's when none is given. Outside of
    every run the function is just called.
    """

    def decorate(function: Function) -> Function:
        step_name = name or str(getattr(function, "__name__", "unnamed"))

        def make() -> Step | None:
            run = current_run()
            return None if run is None else run.step(step_type, step_name)

        return around(function, make)

    return decorate


def _around_call(function: Callable[..., Any], make: Callable[[], Run | Step | None]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
        recorded = make()
        if recorded is None:
            return function(*args, **kwargs)
        with recorded:
            return function(*args, **kwargs)

    return wrapper


def _around_coroutine(function: Callable[..., Any], make: Callable[[], Run | Step | None]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
        recorded = make()
        if recorded is None:
            return await function(*args, **kwargs)
        with recorded:
            return await function(*args, **kwargs)

    return wrapper


def _around_generator(function: Callable[..., Any], make: Callable[[], Run | Step | None]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 - the function's own
        recorded = make()
        generator: Generator[Any, Any, Any] = function(*args, **kwargs)
        if recorded is None:
            return (yield from generator)
        resume: Callable[[], Any] = functools.partial(next, generator)
        _begin(recorded)
        try:
            while True:
                token = scope.set(recorded)
                try:
                    value = resume()
                except StopIteration as stop:
                    recorded.end()
                    return stop.value
                finally:
                    leave(token)
                try:
                    sent = yield value
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - whatever the caller throws is the generator's
                    resume = functools.partial(generator.throw, thrown)
                else:
                    resume = functools.partial(generator.send, sent)
        except BaseException as error:
            recorded.end(error)
            raise

    return wrapper


def _around_async_generator(function: Callable[..., Any], make: Callable[[], Run | Step | None]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - the function's own
        recorded = make()
        generator = function(*args, **kwargs)
        resume: Callable[[], Any] = generator.__anext__
        if recorded is not None:
            _begin(recorded)
        try:
            while True:
                token = scope.set(recorded) if recorded is not None else None
                try:
                    value = await resume()
                except StopAsyncIteration:
                    if recorded is not None:
                        recorded.end()
                    return
                finally:
                    if token is not None:
                        leave(token)
                try:
                    sent = yield value
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - whatever the caller throws is the generator's
                    resume = functools.partial(generator.athrow, thrown)
                else:
                    resume = functools.partial(generator.asend, sent)
        except BaseException as error:
            if recorded is not None:
                recorded.end(error)
            raise

    return wrapper


def _begin(recorded: Run | Step) -> None:
    """Begins without becoming the current one: between two values, the code of the caller runs."""
    if isinstance(recorded, Step):
        here = scope.get()
        recorded.begin(here if isinstance(here, Step) and here.run is recorded.run and here.is_open else None)
    else:
        recorded.begin()
