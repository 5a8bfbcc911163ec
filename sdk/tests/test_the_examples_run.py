"""Every example is a program that runs against the real server, and records what its page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from typing import Any, Protocol

import pytest
from sdk_world import ROOT


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


def run_example(server: HasAddresses, name: str, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, f"examples/{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ".", "AGENTTRACER_API_URL": server.ingest},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def runs_of(server: HasAddresses, agent_id: str) -> list[dict[str, Any]]:
    url = f"{server.query}/v1/runs?agent_id={agent_id}&page_size=100"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        runs: list[dict[str, Any]] = json.load(answer)
        return runs


def codes(runs: list[dict[str, Any]], children: str, *fields: str) -> set[tuple[str, ...]]:
    return {tuple(child[field] for field in fields) for run in runs for child in run[children]}


def test_every_type_of_failure(server: HasAddresses) -> None:
    out = run_example(server, "agent_with_failures.py")
    assert "5 of 5 runs sent" in out
    runs = runs_of(server, "failing-agent")
    assert codes(runs, "failures", "failure_type", "failure_code") == {
        ("tool", "connection_error"),
        ("model", "schema_invalid"),
        ("retrieval", "empty_retrieval"),
        ("orchestration", "max_iterations"),
        ("orchestration", "uncaught_exception"),
    }
    assert "KeyError" in {failure["message"] for run in runs for failure in run["failures"]}


@pytest.mark.parametrize("name", ["agent_with_decisions.py", "agent_with_phase2.py"])
def test_every_type_of_decision_and_signal(server: HasAddresses, name: str) -> None:
    out = run_example(server, name)
    assert "20.0 EUR is 21.6 USD" in out
    assert "4 of 4 runs sent" in out
    runs = runs_of(server, "converter-agent")
    assert {kind for (kind,) in codes(runs, "decisions", "decision_type")} == {
        "tool_selection",
        "retrieval_strategy",
        "response_mode",
        "retry_strategy",
        "orchestration_path",
    }
    assert len(codes(runs, "quality_signals", "signal_type")) == 6
    attempts = {step["attempts_total"] for run in runs for step in run["steps"] if step["name"] == "rate_source"}
    assert attempts == {2}


def test_tasks_and_sub_agents(server: HasAddresses) -> None:
    out = run_example(server, "async_agent.py")
    assert "8 of 8 runs sent" in out
    runs = runs_of(server, "trip-agent")
    assert {run["session_id"] for run in runs} == {"trips-of-today"}
    assert {step["name"] for run in runs for step in run["steps"]} == {"weather", "trains"}
    children = runs_of(server, "summary-agent")
    assert {child["parent_run_id"] for child in children} == {run["run_id"] for run in runs}


def test_a_graph(server: HasAddresses) -> None:
    out = run_example(server, "langgraph_agent.py")
    assert "It is 42." in out
    runs = runs_of(server, "calculating-agent")
    assert [[step["name"] for step in run["steps"]].count("multiply") for run in runs] == [1, 1]
    assert {step["metadata"].get("input_tokens") for run in runs for step in run["steps"]} == {None, 42}
