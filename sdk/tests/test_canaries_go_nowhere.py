"""Private values in every argument there is: none of them in a request, a log line or a spool file."""

from __future__ import annotations

import gzip
import itertools
import logging
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from agenttrace import AgentTracer, run_step
from agenttrace.testing import Answer, InMemoryTransport
from sdk_world import wait_until

# Each with a mark of its own, in every shape there is. A · is left out, so that no scanner takes one for real.
SHAPES = [
    "sk·-CANARY{n}abcdefghijklmnop{n}",
    "canary{n}@example.com",
    "password=CANARY{n}",
    "postgres://canary:CANARY{n}@db.internal/x",
    "Bearer CANARY{n}abcdefghijklmnopqr",
    "ey·JhbGciOiJub25lIn0.CANARY{n}abc.CANARY{n}",
    "-----BEGIN· PRIVATE KEY----- CANARY{n}",
]
NUMBERS = itertools.count(1)


class Canaries:
    """Makes them, and knows all that were made."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def one(self, shape: str) -> str:
        text = shape.replace("·", "").replace("{n}", f"{next(NUMBERS):06d}")
        self.made.append(text)
        return text

    def marks(self) -> set[bytes]:
        """What must be nowhere: the numbered part of each."""
        return {found.encode() for text in self.made for found in re.findall("CANARY[0-9]+", text, re.IGNORECASE)}


class BrokenError(Exception):
    """Says something private."""


class Watched(InMemoryTransport):
    """A server that can be away, and whose requests are remembered."""

    def __init__(self, canaries: Canaries, shape: str, *, away: bool) -> None:
        super().__init__()
        self.bodies: list[bytes] = []
        self._canaries = canaries
        self._shape = shape
        self._away = away

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        self.bodies.append(gzip.decompress(body) if "Content-Encoding" in headers else body)
        if self._away:
            raise ConnectionRefusedError(self._canaries.one(self._shape))
        return super().post(path, body, headers, timeout_s)


def record_canaries(tracer: AgentTracer, one: Callable[[], str]) -> None:
    """A run with a canary in every argument."""
    wrong: Any = one
    facts: dict[str, Any] = {
        "prompt": one(),
        "fact": one(),
        "nested": {"list": [one(), {"deep": one()}], "answer": one()},
        "prose": f"please tell {one()} about it, would you, it is urgent",
        one(): 1,
        f"key {one()}": 1,
        "object": type("Private", (), {"__str__": lambda _: one(), "__repr__": lambda _: one()})(),
    }

    @run_step("tool", one())
    def decorated() -> None:
        raise BrokenError(one())

    links = {"trace_id": one(), "parent_run_id": one(), "parent_step_id": one()}
    with tracer.session(one()), tracer.start_run(metadata=facts, **links) as run:
        run.add_metadata(facts)
        run.set_status(one())
        run.status = one()
        with run.step("plan", one(), retry_of=one()) as step:
            step.add_metadata(facts, more=one())
            step.set_status("failed", error_code=one())
            step.set_status(one())
        with suppress(BrokenError):
            decorated()
        for kind, code in (("tool_selection", "cost_optimization"), (one(), one())):
            run.record_decision(
                kind, one(), code, candidates=[one()], step_id=one(), metadata=facts, confidence=wrong()
            )
        for kind, code in (("tool_success", "after_retry"), (one(), one())):
            run.record_quality_signal(kind, code, True, weight=wrong(), step_id=one(), metadata=facts)
        run.record_failure(one(), one(), f"it failed: {one()}", step_id=one())
        with run.start_child(one(), one(), metadata=facts) as child, child.step("tool", one()):
            pass
        for attempt in run.attempts("tool", one(), max_attempts=2):
            with attempt:
                raise BrokenError(one())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_private_leaves_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shape: str, *, stream: bool
) -> None:
    canaries = Canaries()

    def one() -> str:
        return canaries.one(shape)

    away, back = Watched(canaries, shape, away=True), Watched(canaries, shape, away=False)
    names: dict[str, Any] = {"agent_id": f"agent {one()}", "agent_version": f"v {one()}", "environment": f"e {one()}"}
    options: dict[str, Any] = {"stream": stream, "spool_dir": tmp_path, "first_retry_s": 0.001}
    with caplog.at_level(logging.DEBUG):
        tracer = AgentTracer(**names, transport=away, **options)
        with suppress(BrokenError):
            record_canaries(tracer, one)
        assert not tracer.close()
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        spooled = [path.read_bytes() for path in files]
        with AgentTracer(**names, transport=back, **options) as tracer:
            wait_until(lambda: tracer.stats().recovered >= (2 if not stream else 10))
    assert away.bodies
    assert back.bodies
    assert spooled
    assert len(canaries.made) > 40
    everything = b"\n".join([*away.bodies, *back.bodies, *spooled, caplog.text.encode(), *map(os.fsencode, files)])
    assert [mark for mark in canaries.marks() if mark.lower() in everything.lower()] == []
