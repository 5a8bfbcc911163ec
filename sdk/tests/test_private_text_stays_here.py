from __future__ import annotations

import logging
from typing import Any

import pytest
from agenttrace import AgentTracer
from agenttrace.testing import InMemoryTransport

CANARY = "canary-7f3a"

REFUSED_IN_STEPS = ["prompt", "response", "output", "input", "content", "text", "message"]
REFUSED_IN_FACTS = [*REFUSED_IN_STEPS, "reasoning", "thought", "chain_of_thought", "explanation", "rationale"]


def sent(tracer: AgentTracer, transport: InMemoryTransport) -> dict[str, Any]:
    assert tracer.flush()
    return transport.runs[-1]


@pytest.mark.parametrize("key", [*REFUSED_IN_STEPS, "PROMPT", "Content"])
def test_refused_keys_leave_no_trace_in_a_step(
    tracer: AgentTracer, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    with tracer.start_run() as run:
        for _ in range(3):
            with run.step("tool", "t") as step:
                step.add_metadata({key: CANARY, "http_status": 200})
    run_sent = sent(tracer, transport)
    assert [step["metadata"] for step in run_sent["steps"]] == [{"http_status": 200}] * 3
    assert CANARY not in str(run_sent)
    # Logged once, by its key, never by its value.
    assert [record.getMessage() for record in caplog.records] == [
        f"step metadata: {key} removed (the contract refuses this key)"
    ]
    assert tracer.stats().removed == 3


@pytest.mark.parametrize("key", REFUSED_IN_STEPS)
def test_a_refused_key_is_refused_whatever_it_holds(
    tracer: AgentTracer, transport: InMemoryTransport, key: str
) -> None:
    with tracer.start_run() as run, run.step("tool", "t") as step:
        step.add_metadata({key: 17})
    assert sent(tracer, transport)["steps"][0]["metadata"] == {}


@pytest.mark.parametrize("key", REFUSED_IN_FACTS)
def test_refused_keys_leave_no_trace_in_facts(tracer: AgentTracer, transport: InMemoryTransport, key: str) -> None:
    with tracer.start_run(metadata={key: CANARY, "tenant": 4}) as run:
        run.record_decision("tool_selection", "api", "fresh_data_required", metadata={key: CANARY, "rank": 1})
        run.record_quality_signal("schema_valid", "full_match", True, metadata={key: CANARY, "rank": 2})
    run_sent = sent(tracer, transport)
    assert run_sent["metadata"] == {"tenant": 4}
    assert run_sent["decisions"][0]["metadata"] == {"rank": 1}
    assert run_sent["quality_signals"][0]["metadata"] == {"rank": 2}
    assert CANARY not in str(run_sent)


@pytest.mark.parametrize("key", ["query", "user_query", "email", "final_answer", "authorization", "db_password"])
def test_private_keys_go_only_with_text(tracer: AgentTracer, transport: InMemoryTransport, key: str) -> None:
    with tracer.start_run() as run, run.step("tool", "t") as step:
        step.add_metadata({key: CANARY, "nested": {"deeper": {key: CANARY, "prompt": CANARY, "n": 1}}})
        step.add_metadata({"counts": {key: 3}, "below": {key: {"a": {"b": CANARY, "n": 2}}}})
    assert sent(tracer, transport)["steps"][0]["metadata"] == {
        "nested": {"deeper": {"n": 1}},
        "counts": {key: 3},
        "below": {key: {"a": {"n": 2}}},
    }


HARMLESS = [
    "gpt-4.1-mini",
    "us-east-1",
    "HTTP 503 Service Unavailable",
    "2026-01-01T12:00:00Z",
    "0af7651916cd43dd8448eb211c80319c",
    "x" * 128,
    "東京" * 8,
    "search_customer_by_id_in_the_billing_system_of_record",
]
PROSE = [
    "Please tell me where my order is, it was due last week",
    "I have a really short question",
    "x" * 129,
    "東京" * 9,
    "_".join(["word"] * 14),
    "a b " * 20,
]


@pytest.mark.parametrize("value", HARMLESS)
def test_facts_are_kept_as_they_are(tracer: AgentTracer, transport: InMemoryTransport, value: str) -> None:
    with tracer.start_run() as run, run.step("tool", "t") as step:
        step.add_metadata({"fact": value})
    assert sent(tracer, transport)["steps"][0]["metadata"] == {"fact": value}


@pytest.mark.parametrize("value", PROSE)
def test_prose_is_dropped(tracer: AgentTracer, transport: InMemoryTransport, value: str) -> None:
    with tracer.start_run() as run, run.step("tool", "t") as step:
        step.add_metadata({"fact": value, "list": ["ok", value], "n": 1})
    assert sent(tracer, transport)["steps"][0]["metadata"] == {"list": ["ok"], "n": 1}


@pytest.mark.parametrize(
    "message",
    ["wrong password", "API_KEY was refused", "Token expired", "the secret: abc", "auth-token is bad", "token: limit"],
)
def test_a_message_that_mentions_a_secret_is_redacted(
    tracer: AgentTracer, transport: InMemoryTransport, message: str
) -> None:
    with tracer.start_run() as run:
        run.record_failure("tool", "auth_failed", message)
    failure = sent(tracer, transport)["failure"]
    assert (failure["message"], failure["failure_code"]) == ("[redacted]", "auth_failed")


@pytest.mark.parametrize(
    "message",
    ["max_tokens reached", "over the token-limit", "Unexpected token } in JSON", "reset_password failed", "get_secret"],
)
def test_talk_of_language_tokens_is_no_secret(tracer: AgentTracer, transport: InMemoryTransport, message: str) -> None:
    with tracer.start_run() as run:
        run.record_failure("model", "context_overflow", message)
    assert sent(tracer, transport)["failure"]["message"] == message


def test_what_is_no_fact_is_dropped_and_never_printed(
    tracer: AgentTracer, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    class Customer:
        def __repr__(self) -> str:
            return CANARY

        __str__ = __repr__

    ring: dict[str, Any] = {}
    ring["ring"] = ring
    with tracer.start_run() as run, run.step("tool", "t") as step:
        step.add_metadata(
            {"who": Customer(), "set": {1}, "bytes": CANARY.encode(), "nan": float("nan"), "big": 1 << 64}
        )
        step.add_metadata({f"{CANARY} key": 1, "ring": ring, "kept": True})
        step.add_metadata({Customer(): 1})  # type: ignore[dict-item]
        run.record_decision(
            "tool_selection", "api", "fresh_data_required", metadata={"list": [1], "long": "x" * 101, "n": None}
        )
    run_sent = sent(tracer, transport)
    assert run_sent["steps"][0]["metadata"] == {"ring": {"ring": {"ring": {}}}, "kept": True}
    assert run_sent["decisions"][0]["metadata"] == {"n": None}
    assert CANARY not in caplog.text
    assert tracer.stats().internal_errors == 0


def test_an_exception_inside_the_sdk_is_logged_without_its_text(
    tracer: AgentTracer, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(dict[str, object]):
        def items(self) -> Any:
            raise RuntimeError(CANARY)

    with caplog.at_level(logging.DEBUG), tracer.start_run() as run, run.step("tool", "t") as step:
        step.add_metadata(Broken(a=1))
    assert sent(tracer, transport)["steps"][0]["metadata"] == {}
    assert [record.getMessage() for record in caplog.records] == [
        "add_metadata failed with RuntimeError and was ignored"
    ]
    assert tracer.stats().internal_errors == 1
