from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Any, Protocol

import pytest
from agenttrace import AgentTracer, _privacy, _taxonomy
from agenttrace.testing import InMemoryTransport

ROOT = Path(__file__).parents[2]


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str
    data_dir: Path
    log: Path


def get(server: HasAddresses, path: str) -> Any:
    with urllib.request.urlopen(server.query + path, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


@pytest.fixture
def agent_id() -> str:
    return f"agent-{uuid.uuid4()}"


def test_the_example_of_the_readme_is_found_again(server: HasAddresses, agent_id: str) -> None:
    tracer = AgentTracer(agent_id=agent_id, agent_version="v1.0.0", environment="production", api_url=server.ingest)
    with tracer.start_run() as run:
        with run.step("plan", "analyze_query"):
            pass
        with run.step("tool", "billing_api") as step:
            step.add_metadata({"http_status": 200})
            run.record_decision(
                decision_type="tool_selection",
                selected="api",
                reason_code="fresh_data_required",
                candidates=["api", "cache"],
                confidence=0.85,
                step_id=step.step_id,
            )
        run.record_quality_signal(signal_type="schema_valid", signal_code="full_match", value=True)
        run.record_failure(failure_type="tool", failure_code="timeout", message="External API timeout after 30s")
    assert tracer.flush()

    (found,) = get(server, f"/v1/runs?agent_id={agent_id}")
    assert found == get(server, f"/v1/runs/{run.run_id}")
    assert (found["status"], found["environment"]) == ("failure", "production")
    assert [step["name"] for step in found["steps"]] == ["analyze_query", "billing_api"]
    assert found["steps"][1]["metadata"] == {"http_status": 200}
    assert found["decisions"][0]["metadata"] == {"candidates": ["api", "cache"]}
    assert found["decisions"][0]["step_id"] == step.step_id
    assert found["quality_signals"][0]["value"] is True
    assert found["failures"][0]["message"] == "External API timeout after 30s"
    # Runs after the first go over the connection that was kept.
    for _ in range(3):
        with tracer.start_run():
            pass
        assert tracer.flush()
    assert get(server, f"/v1/stats?agent_id={agent_id}")["total_runs"] == 4
    stats = tracer.stats()
    assert (stats.sent, stats.dropped, stats.retries, stats.last_error) == (4, 0, 0, None)
    assert tracer.close()


def test_every_name_of_the_taxonomy_is_taken(server: HasAddresses, agent_id: str) -> None:
    with AgentTracer(agent_id, "1", api_url=server.ingest) as tracer:
        for status in _taxonomy.RUN_STATUSES:
            with tracer.start_run() as run:
                run.set_status(status)
        for failure_type in _taxonomy.FAILURE_TYPES:
            for failure_code in _taxonomy.FAILURE_CODES:
                with tracer.start_run() as run:
                    run.record_failure(failure_type, failure_code, "It did not work")
        with tracer.start_run() as run:
            for step_type in _taxonomy.STEP_TYPES:
                for step_status in _taxonomy.STEP_STATUSES:
                    with run.step(step_type, "s") as step:
                        step.set_status(step_status)
                        step.add_metadata(dict.fromkeys(_taxonomy.METADATA_KEYS, 1))
            for decision_type, codes in _taxonomy.REASON_CODES.items():
                for code in codes:
                    run.record_decision(decision_type, "x", code)
            for signal_type, codes in _taxonomy.SIGNAL_CODES.items():
                for code in codes:
                    run.record_quality_signal(signal_type, code, False)
        assert tracer.flush(30)
        stats = tracer.stats()
        assert (stats.sent, stats.dropped, stats.ignored) == (4 + 4 * len(_taxonomy.FAILURE_CODES), 0, 0)
    found = get(server, f"/v1/runs/{run.run_id}")
    assert len(found["steps"]) == len(_taxonomy.STEP_TYPES) * len(_taxonomy.STEP_STATUSES)
    assert len(found["decisions"]) == sum(map(len, _taxonomy.REASON_CODES.values()))
    assert len(found["quality_signals"]) == sum(map(len, _taxonomy.SIGNAL_CODES.values()))


def private_values() -> list[str]:
    """Values of the model's corpus, each with a shape in it or reading like prose."""
    corpus = (ROOT / "model" / "tests" / "corpora" / "private.txt").read_text(encoding="utf-8")
    return [
        line.split("\t", 2)[2].replace("·", "") for line in corpus.split("\n") if line.startswith(("value", "name"))
    ]


def post(server: HasAddresses, run: dict[str, Any]) -> dict[str, Any]:
    """Past the SDK's own rules, to see the server's."""
    request = urllib.request.Request(  # noqa: S310
        f"{server.ingest}/v1/runs", json.dumps(run).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        stored: dict[str, Any] = json.load(answer)
        return stored


def test_the_sdk_removes_what_the_server_removes(server: HasAddresses, tracer: AgentTracer, agent_id: str) -> None:
    ends = [f"x{end}" for end in _taxonomy.PRIVATE_KEY_ENDS]
    fine = ["tokens_prompt", "tokens_completion", "user_id", "endpoint", "response_length", "prompt_version", "Mode"]
    keys = sorted({*_taxonomy.THOUGHT_KEYS, *_taxonomy.PRIVATE_KEYS}) + ends + fine
    strings = ["gpt-4.1", "a b c d", "a b c d e", "x" * 128, "x" * 129, "東" * 16, "東" * 17, "a_" * 12, "a+" * 13]
    strings += ["ab " + "x" * 61, "ab " + "x" * 62, "a\u200bb\u3000c d e", "한국" * 9, "%20" * 13, "ﾃ" * 17, "ä" * 128]
    facts: dict[str, Any] = dict.fromkeys(keys, "x") | {f"s{number}": text for number, text in enumerate(strings)}
    facts |= {"nested": {"answer": "x", "email": 5, "list": ["ok", 1, None]}, "question": {"a": {"b": "x", "n": 1}}}
    facts |= {f"p{number}": ["ok", text] for number, text in enumerate(private_values())}
    step = {"seq": 0, "step_type": "tool", "name": "t", "latency_ms": 1}
    step |= {"started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:01Z"}
    run = {"agent_id": agent_id, "agent_version": "1", "status": "success", "started_at": "2026-01-01T00:00:00Z"}
    # A few at a time: there is a bound on the keys of one step.
    names = list(facts)
    chunks = [{name: facts[name] for name in names[at : at + 30]} for at in range(0, len(names), 30)]
    stored = post(server, run | {"steps": [step | {"seq": seq, "metadata": chunk} for seq, chunk in enumerate(chunks)]})
    for chunk, kept in zip(chunks, stored["steps"], strict=True):
        assert _privacy.step_metadata(chunk, tracer.notes) == kept["metadata"]


MESSAGES = [
    "wrong password",
    "API_KEY",
    "a token.",
    "the-secret",
    "access_token expired",
    "tokens: 512",
    "token limit",
    "token  limits reached",
    "token: limit",
    "unexpected token <",
    "Unexpected, token",
    "unexpected end of token",
    "pass\x00word",
    "sec\nret",
    "x" * 495 + "tokens",
    "über-password",
    "\ud800 half",
    "mail me at someone@example.org",
    "",
    " ",
    "\x00",
]
METADATA: list[dict[str, Any]] = [
    *({key: value} for key in sorted({*_taxonomy.CONTENT_KEYS, *_taxonomy.THOUGHT_KEYS}) for value in ("x", 1, None)),
    {"PROMPT": "x", "Input": ["x"], "Rationale": {"a": 1}},
    {"nested": {"prompt": "x", "content": {"text": "y"}}},
    {"a": {"b": {"c": {"d": {"e": 1}}}}},
    {"x" * 101: 1, "": 1, "1st": 1, "a b": 1, "ключ": 1},
    {f"key_{number}": number for number in range(80)},
    {f"key_{number}": "x" * 128 for number in range(60)} | {"list": ["x" * 128] * 130},
    {"long": "x" * 101, "float": 1.5e300, "integers": [2**64 - 1, -(2**63), 2**64]},
    {"half": "\ud800", "control": "a\x00b", "nan": float("nan")},
]


def test_nothing_that_an_agent_says_costs_it_a_run(server: HasAddresses, agent_id: str) -> None:
    runs = 0
    with AgentTracer(agent_id, "1", environment="", api_url=server.ingest) as tracer:
        for message in MESSAGES:
            with tracer.start_run() as run:
                run.record_failure("tool", "a code with spaces/" * 9, message)
            runs += 1
        for metadata in METADATA:
            with tracer.start_run(metadata=metadata, session_id="s" * 300, trace_id="F" * 32) as run:
                with run.step("tool", "\x00" + "n" * 400) as step:
                    step.add_metadata(metadata)
                run.record_decision("tool_selection", "s" * 300, "cost_optimization", metadata=metadata)
                run.record_quality_signal("schema_valid", "full_match", True, metadata=metadata, step_id=step.step_id)
            runs += 1
        assert tracer.flush(30)
        stats = tracer.stats()
        assert stats.last_error is None
        assert (stats.sent, stats.dropped, stats.internal_errors) == (runs, 0, 0)
    assert get(server, f"/v1/stats?agent_id={agent_id}")["total_runs"] == runs


def test_a_batch_that_arrives_twice_is_stored_once(server: HasAddresses, agent_id: str) -> None:
    transport = InMemoryTransport()
    with (
        AgentTracer(agent_id, "1", transport=transport) as recorder,
        recorder.start_run() as run,
        run.step("plan", "p"),
    ):
        pass
    (recorded,) = transport.runs
    body = json.dumps([recorded]).encode()
    for accepted, duplicates in ((1, 0), (0, 1)):
        request = urllib.request.Request(  # noqa: S310
            f"{server.ingest}/v1/runs/batch", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            said = json.load(answer)
        assert (said["accepted"], said["duplicates"], said["rejected"]) == (accepted, duplicates, [])
    assert get(server, f"/v1/stats?agent_id={agent_id}")["total_runs"] == 1


def content(path: Path) -> bytes:
    """What is in the file, unless the server has just renamed it: then it is found under its new name."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_what_the_sdk_removed_is_nowhere(server: HasAddresses, agent_id: str) -> None:
    canary = f"canary{uuid.uuid4().hex}"
    with AgentTracer(agent_id, "1", api_url=server.ingest) as tracer:
        with pytest.raises(ValueError, match=canary), tracer.start_run(metadata={"reasoning": canary}) as run:  # noqa: PT012
            with run.step("tool", "t") as step:
                step.add_metadata({"prompt": canary, "nested": {"answer": canary}, f"a {canary}": 1})
            raise ValueError(canary)
        assert tracer.flush(30)
        assert tracer.stats().sent == 1
    assert canary not in json.dumps(get(server, f"/v1/runs/{run.run_id}"))
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert files
    assert [path for path in [*files, server.log] if canary.encode() in content(path)] == []


def test_the_example_agent_runs_as_the_readme_says(server: HasAddresses) -> None:
    done = subprocess.run(
        [sys.executable, "examples/customer_support_agent.py"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": ".",
            "AGENTTRACER_API_URL": server.ingest,
            "AGENTTRACER_QUERY_URL": server.query,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "10 of 10 runs delivered" in done.stdout
    told = re.findall(r"\[(\w+)\] run (\S+)", done.stdout)
    stored = [get(server, f"/v1/runs/{run_id}") for _, run_id in told]
    assert [run["status"] for run in stored] == [status for status, _ in told]
    assert {run["status"] for run in stored} == {"success", "partial", "failure"}
    assert {failure["failure_code"] for run in stored for failure in run["failures"]} >= {"empty_retrieval"}
    tries = [step["attempt"] for run in stored for step in run["steps"] if step["name"] == "order_service"]
    assert max(tries) > 1
    # Every line it prints to look with works.
    for path in re.findall(rf"curl -s '{re.escape(server.query)}([^']+)'", done.stdout):
        assert get(server, path)
