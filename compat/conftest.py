"""A client of the real server, and an agent of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Protocol

import pytest

from compat.client import Client


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


@pytest.fixture
def client(server: HasAddresses) -> Client:
    """A client of the server under test."""
    return Client(server.ingest, server.query)


@pytest.fixture
def agent_id() -> str:
    """An agent that no other test knows."""
    return f"agent-{uuid.uuid4()}"


@pytest.fixture
def make_run(agent_id: str) -> Callable[..., dict[str, Any]]:
    """Makes runs of that agent, as an existing client writes them."""

    def make(**fields: object) -> dict[str, Any]:
        run: dict[str, Any] = {
            "run_id": str(uuid.uuid4()),
            "agent_id": agent_id,
            "agent_version": "1.0.0",
            "environment": "production",
            "status": "success",
            "started_at": "2026-01-15T10:00:00Z",
            "ended_at": "2026-01-15T10:00:05Z",
            "steps": [],
        }
        return run | fields

    return make
