from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from compat.client import Client

MakeRun = Callable[..., dict[str, Any]]

RUN_FIELDS = [
    "run_id",
    "agent_id",
    "agent_version",
    "environment",
    "status",
    "started_at",
    "ended_at",
    "created_at",
    "steps",
    "failures",
    "decisions",
    "quality_signals",
]
STEP_FIELDS = [
    "step_id",
    "run_id",
    "seq",
    "step_type",
    "name",
    "latency_ms",
    "started_at",
    "ended_at",
    "metadata",
    "created_at",
]
FAILURE_FIELDS = ["failure_id", "run_id", "step_id", "failure_type", "failure_code", "message", "created_at"]
DECISION_FIELDS = [
    "decision_id",
    "run_id",
    "step_id",
    "decision_type",
    "selected",
    "reason_code",
    "confidence",
    "metadata",
    "recorded_at",
    "created_at",
]
SIGNAL_FIELDS = [
    "signal_id",
    "run_id",
    "step_id",
    "signal_type",
    "signal_code",
    "value",
    "weight",
    "metadata",
    "recorded_at",
    "created_at",
]


def step(seq: int, **fields: object) -> dict[str, Any]:
    made: dict[str, Any] = {
        "step_id": str(uuid.uuid4()),
        "seq": seq,
        "step_type": "tool",
        "name": f"step-{seq}",
        "latency_ms": 100 * (seq + 1),
        "started_at": f"2026-01-15T10:00:0{seq}Z",
        "ended_at": f"2026-01-15T10:00:0{seq}.500Z",
        "metadata": {},
    }
    return made | fields


@pytest.fixture
def full_run(make_run: MakeRun) -> dict[str, Any]:
    plan, tool = (
        step(0, step_type="plan", name="analyze_query"),
        step(1, metadata={"http_status": 504, "cached": False}),
    )
    return make_run(
        status="failure",
        # The order of the array is free.
        steps=[tool, plan],
        failure={
            "step_id": tool["step_id"],
            "failure_type": "tool",
            "failure_code": "timeout",
            "message": "External API timeout after 30s",
        },
        decisions=[
            {
                "decision_id": str(uuid.uuid4()),
                "step_id": plan["step_id"],
                "decision_type": "tool_selection",
                "selected": "api",
                "reason_code": "fresh_data_required",
                "candidates": ["api", "cache"],
                "confidence": 0.85,
                "metadata": {"rank": 1},
            }
        ],
        quality_signals=[
            {
                "signal_id": str(uuid.uuid4()),
                "step_id": tool["step_id"],
                "signal_type": "tool_failure",
                "signal_code": "timeout",
                "value": True,
                "weight": 0.5,
                "metadata": {},
            }
        ],
    )


def starts_with(found: dict[str, Any], fields: list[str]) -> bool:
    """Whether the fields of the core contract come first and in order."""
    return list(found)[: len(fields)] == fields


def test_a_stored_run_comes_back_whole_and_in_order(client: Client, full_run: dict[str, Any]) -> None:
    posted = client.post_run(full_run)
    assert posted.status == 201, posted.text
    found = client.run(full_run["run_id"])
    assert found.status == 200
    run = found.json
    assert run == posted.json
    assert starts_with(run, RUN_FIELDS)
    for field in ("run_id", "agent_id", "agent_version", "environment", "status", "started_at", "ended_at"):
        assert run[field] == full_run[field]
    assert [found["seq"] for found in run["steps"]] == [0, 1]
    assert all(starts_with(found, STEP_FIELDS) for found in run["steps"])
    tool, plan = full_run["steps"]
    for sent, got in zip((plan, tool), run["steps"], strict=True):
        assert {field: got[field] for field in sent if field != "ended_at"} == {
            field: value for field, value in sent.items() if field != "ended_at"
        }
        assert got["run_id"] == full_run["run_id"]
    assert run["steps"][1]["ended_at"] == "2026-01-15T10:00:01.500000Z"
    (failure,) = run["failures"]
    assert list(failure) == FAILURE_FIELDS
    assert {field: failure[field] for field in full_run["failure"]} == full_run["failure"]
    (decision,) = run["decisions"]
    assert starts_with(decision, DECISION_FIELDS)
    assert decision["metadata"] == {"rank": 1, "candidates": ["api", "cache"]}
    assert (decision["selected"], decision["confidence"], decision["step_id"]) == ("api", 0.85, plan["step_id"])
    (signal,) = run["quality_signals"]
    assert starts_with(signal, SIGNAL_FIELDS)
    assert (signal["signal_code"], signal["value"], signal["weight"]) == ("timeout", True, 0.5)


def test_the_parts_of_a_run_are_found_alone(client: Client, full_run: dict[str, Any]) -> None:
    run = client.post_run(full_run).json
    assert client.steps(run["run_id"]).json == run["steps"]
    assert client.failures(run["run_id"]).json == run["failures"]


def test_a_run_needs_little(client: Client, agent_id: str) -> None:
    posted = client.post_run(
        {"agent_id": agent_id, "agent_version": "1", "status": "success", "started_at": "2026-01-15T10:00:00Z"}
    )
    assert posted.status == 201, posted.text
    run = posted.json
    assert str(uuid.UUID(run["run_id"])) == run["run_id"]
    assert (run["environment"], run["ended_at"]) == ("production", None)
    assert run["steps"] == run["failures"] == run["decisions"] == run["quality_signals"] == []


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z"),
        ("2026-01-15T11:30:00+01:30", "2026-01-15T10:00:00Z"),
        ("2026-01-15T10:00:00", "2026-01-15T10:00:00Z"),
        ("2026-01-15T10:00:00.1234567Z", "2026-01-15T10:00:00.123456Z"),
        ("2026-01-15", "2026-01-15T00:00:00Z"),
        (1768471200, "2026-01-15T10:00:00Z"),
        (1768471200123, "2026-01-15T10:00:00.123000Z"),
    ],
)
def test_times_are_read_in_every_form(client: Client, make_run: MakeRun, given: object, stored: str) -> None:
    posted = client.post_run(make_run(started_at=given, ended_at=None))
    assert posted.status == 201, posted.text
    assert posted.json["started_at"] == stored


@pytest.mark.parametrize("given", [5, 5.0, "5"])
def test_integers_are_read_in_every_form(client: Client, make_run: MakeRun, given: object) -> None:
    posted = client.post_run(make_run(steps=[step(0, latency_ms=given)]))
    assert posted.status == 201, posted.text
    assert posted.json["steps"][0]["latency_ms"] == 5


@pytest.mark.parametrize(
    ("given", "stored"), [(True, True), ("yes", True), ("on", True), ("t", True), ("1", True), (1, True), ("no", False)]
)
def test_booleans_are_read_in_every_form(client: Client, make_run: MakeRun, given: object, stored: bool) -> None:  # noqa: FBT001
    signal = {"signal_type": "schema_valid", "signal_code": "full_match", "value": given}
    posted = client.post_run(make_run(quality_signals=[signal]))
    assert posted.status == 201, posted.text
    assert posted.json["quality_signals"][0]["value"] is stored


def test_unknown_fields_are_ignored(client: Client, make_run: MakeRun) -> None:
    posted = client.post_run(make_run(colour="blue", steps=[step(0, shape={"round": True})]))
    assert posted.status == 201, posted.text
    assert "colour" not in posted.json
    assert "shape" not in posted.json["steps"][0]


def test_lists_may_be_null(client: Client, make_run: MakeRun) -> None:
    posted = client.post_run(make_run(decisions=None, quality_signals=None))
    assert posted.status == 201, posted.text
    assert posted.json["decisions"] == posted.json["quality_signals"] == []


def test_a_failed_run_without_its_failure_is_taken(client: Client, make_run: MakeRun) -> None:
    posted = client.post_run(make_run(status="failure"))
    assert posted.status == 201, posted.text
    assert posted.json["failures"] == []
    assert client.post_run(make_run(status="failure", failure=None)).status == 422


def test_a_run_is_stored_once(client: Client, full_run: dict[str, Any]) -> None:
    first, second = client.post_run(full_run), client.post_run(full_run)
    assert (first.status, second.status) == (201, 200)
    assert first.json == second.json
    other = client.post_run(full_run | {"agent_version": "2.0.0"})
    assert other.status == 409
    assert other.json["status_code"] == 409
    assert set(other.json) == {"error", "status_code", "path"}
    assert client.run(full_run["run_id"]).json == first.json


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"agent_id": ""}, ["body", "agent_id"]),
        ({"agent_id": "x" * 256}, ["body", "agent_id"]),
        ({"agent_id": 7}, ["body", "agent_id"]),
        ({"agent_version": "x" * 101}, ["body", "agent_version"]),
        ({"environment": "x" * 51}, ["body", "environment"]),
        ({"status": "running"}, ["body", "status"]),
        ({"status": "great"}, ["body", "status"]),
        ({"run_id": "no-id"}, ["body", "run_id"]),
        ({"started_at": "yesterday"}, ["body", "started_at"]),
        ({"started_at": "1999-12-31T23:59:59Z"}, ["body", "started_at"]),
        ({"steps": [step(0, step_type="dance")]}, ["body", "steps", 0, "step_type"]),
        ({"steps": [step(0, name="")]}, ["body", "steps", 0, "name"]),
        ({"steps": [step(0, latency_ms=-1)]}, ["body", "steps", 0, "latency_ms"]),
        ({"steps": [step(0, latency_ms=1.5)]}, ["body", "steps", 0, "latency_ms"]),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(
    client: Client, make_run: MakeRun, change: dict[str, Any], loc: list[object]
) -> None:
    run = make_run(**change)
    refused = client.post_run(run)
    assert refused.status == 422, refused.text
    (error,) = refused.json["detail"]
    assert error["loc"] == loc
    assert error["type"]
    assert error["msg"]
    assert "input" not in error
    assert client.run(str(run["run_id"])).status in {404, 422}


def test_every_error_is_named_at_once(client: Client, make_run: MakeRun) -> None:
    run = make_run(agent_version="", steps=[step(0, name=""), step(1, step_type="dance")])
    run.pop("agent_id")
    refused = client.post_run(run)
    assert refused.status == 422
    assert {tuple(error["loc"]) for error in refused.json["detail"]} == {
        ("body", "agent_id"),
        ("body", "agent_version"),
        ("body", "steps", 0, "name"),
        ("body", "steps", 1, "step_type"),
    }


@pytest.mark.parametrize("seqs", [[1], [0, 2], [0, 0]])
def test_steps_are_numbered_without_gaps(client: Client, make_run: MakeRun, seqs: list[int]) -> None:
    assert client.post_run(make_run(steps=[step(seq) for seq in seqs])).status == 422


def test_times_do_not_run_backwards(client: Client, make_run: MakeRun) -> None:
    assert client.post_run(make_run(ended_at="2026-01-15T09:59:59Z")).status == 422
    backwards = step(0, started_at="2026-01-15T10:00:01Z", ended_at="2026-01-15T10:00:00Z")
    assert client.post_run(make_run(steps=[backwards])).status == 422


@pytest.mark.parametrize("key", ["prompt", "response", "output", "input", "content", "text", "message", "Prompt"])
def test_private_keys_of_steps_are_refused(client: Client, make_run: MakeRun, key: str) -> None:
    run = make_run(steps=[step(0, metadata={key: "canary-4d1e"})])
    refused = client.post_run(run)
    assert refused.status == 422
    assert "canary-4d1e" not in refused.text
    assert client.run(run["run_id"]).status == 404


@pytest.mark.parametrize("key", ["reasoning", "thought", "chain_of_thought", "explanation", "rationale", "prompt"])
def test_private_keys_of_decisions_and_signals_are_refused(client: Client, make_run: MakeRun, key: str) -> None:
    decision = {"decision_type": "tool_selection", "selected": "api", "reason_code": "cost_optimization"}
    signal = {"signal_type": "schema_valid", "signal_code": "full_match", "value": True}
    metadata = {"metadata": {key: "canary-4d1e"}}
    for run in (make_run(decisions=[decision | metadata]), make_run(quality_signals=[signal | metadata])):
        refused = client.post_run(run)
        assert refused.status == 422
        assert "canary-4d1e" not in refused.text


@pytest.mark.parametrize("word", ["password", "api_key", "token", "secret"])
def test_a_message_that_mentions_a_secret_is_refused(client: Client, make_run: MakeRun, word: str) -> None:
    failure = {"failure_type": "tool", "failure_code": "auth_failed", "message": f"The {word} was wrong"}
    assert client.post_run(make_run(status="failure", failure=failure)).status == 422


@pytest.mark.parametrize(
    "decision",
    [
        {"decision_type": "vibes", "selected": "x", "reason_code": "fresh_data_required"},
        {"decision_type": "tool_selection", "selected": "x", "reason_code": "early_exit"},
        {"decision_type": "tool_selection", "selected": "", "reason_code": "fresh_data_required"},
        {"decision_type": "tool_selection", "selected": "x", "reason_code": "fresh_data_required", "confidence": 1.1},
    ],
)
def test_decisions_keep_to_the_taxonomy(client: Client, make_run: MakeRun, decision: dict[str, Any]) -> None:
    assert client.post_run(make_run(decisions=[decision])).status == 422


@pytest.mark.parametrize(
    "signal",
    [
        {"signal_type": "mood", "signal_code": "full_match", "value": True},
        {"signal_type": "schema_valid", "signal_code": "timeout", "value": True},
        {"signal_type": "schema_valid", "signal_code": "full_match"},
        {"signal_type": "schema_valid", "signal_code": "full_match", "value": True, "weight": -0.1},
    ],
)
def test_signals_keep_to_the_taxonomy(client: Client, make_run: MakeRun, signal: dict[str, Any]) -> None:
    assert client.post_run(make_run(quality_signals=[signal])).status == 422


def test_ids_are_unique_and_references_known_within_a_run(client: Client, make_run: MakeRun) -> None:
    one = step(0)
    twice = make_run(steps=[one, step(1, step_id=one["step_id"])])
    strange = make_run(
        status="failure",
        steps=[one],
        failure={
            "step_id": str(uuid.uuid4()),
            "failure_type": "tool",
            "failure_code": "timeout",
            "message": "late",
        },
    )
    for run in (twice, strange):
        assert client.post_run(run).status == 409
        assert client.run(run["run_id"]).status == 404
    # Another run may use the same step id.
    assert [client.post_run(make_run(steps=[one])).status for _ in range(2)] == [201, 201]


def test_bodies_that_are_no_json_are_refused(client: Client) -> None:
    broken = client.post_text("{")
    assert (broken.status, broken.json["detail"][0]["type"]) == (422, "json_invalid")
    empty = client.post_text("")
    assert (empty.status, empty.json["detail"][0]["type"]) == (422, "missing")
    assert empty.json["detail"][0]["loc"] == ["body"]
    assert client.post_text("{}", content_type="text/plain").status == 422
    assert client.post_text("[]").status == 422


def test_both_sides_are_healthy_and_say_who_they_are(client: Client) -> None:
    for reply, service in ((client.ingest_health(), "ingest-api"), (client.query_health(), "query-api")):
        assert reply.status == 200
        assert (reply.json["status"], reply.json["service"]) == ("healthy", service)
        assert reply.json["version"]


def test_metrics_count_runs_in_both_forms(client: Client, make_run: MakeRun) -> None:
    def ingested() -> int:
        found: int = client.metrics("application/json").json["metrics"]["runs_ingested_total"]
        return found

    before = ingested()
    run = make_run()
    assert client.post_run(run).status == 201
    assert client.post_run(run).status == 200
    assert ingested() == before + 1
    metrics = client.metrics("application/json").json["metrics"]
    assert metrics["runs_duplicate_total"] >= 1
    assert metrics["runs_failed_total"] >= 0
    text = client.metrics()
    assert text.headers["content-type"].startswith("text/plain")
    assert "runs_ingested_total" in text.text
