"""A tracer whose server is in memory and whose time stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agenttrace import AgentTracer
from agenttrace.testing import FakeClock, InMemoryTransport


@pytest.fixture
def transport() -> InMemoryTransport:
    """The server in memory."""
    return InMemoryTransport()


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


@pytest.fixture
def tracer(transport: InMemoryTransport, clock: FakeClock) -> Iterator[AgentTracer]:
    """A tracer on both of them."""
    with AgentTracer("support-agent", "v1.0.0", transport=transport, clock=clock) as made:
        yield made


@pytest.fixture(autouse=True)
def _spools_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test leaves runs for another one, or in the home of who runs it."""
    monkeypatch.setenv("AGENTTRACER_SPOOL_DIR", str(tmp_path / "spool"))
