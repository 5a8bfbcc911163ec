from __future__ import annotations

import gc
from typing import Any

import pytest
from agenttrace import AgentTracer, _scope
from agenttrace.testing import FakeClock, InMemoryTransport, fold


@pytest.fixture
def live(transport: InMemoryTransport, clock: FakeClock) -> AgentTracer:
    return AgentTracer("a", "1", transport=transport, clock=clock, stream=True, heartbeat_s=60)


def kinds(transport: InMemoryTransport) -> list[str]:
    return [event["type"] for event in transport.events]


def test_each_event_goes_out_before_the_next_one(
    live: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    with live.start_run(session_id="s-1") as run:
        assert live.flush()
        assert kinds(transport) == ["run_started"]
        with run.step("tool", "search", attempt=1) as step:
            clock.advance(0.25)
            assert live.flush()
            assert kinds(transport) == ["run_started", "step_started"]
            (running,) = transport.runs
            assert (running["status"], running["steps"][0]["name"]) == ("running", "search")
            assert "latency_ms" not in running["steps"][0]
        run.record_decision("tool_selection", "api", "fresh_data_required", step_id=step.step_id)
        run.record_quality_signal("tool_success", "first_attempt", True)
        run.add_metadata({"channel": "chat"})
    assert live.close()
    assert kinds(transport) == [
        "run_started",
        "step_started",
        "step_ended",
        "decision_recorded",
        "signal_recorded",
        "run_started",
        "run_ended",
    ]
    assert {request.path for request in transport.requests} == {"/v1/events"}
    (ended,) = transport.runs
    assert (ended["status"], ended["session_id"], ended["metadata"]) == ("success", "s-1", {"channel": "chat"})
    assert ended["steps"][0]["latency_ms"] == 250
    assert ended["decisions"][0]["step_id"] == step.step_id
    stats = live.stats()
    assert (stats.finished, stats.sent, stats.events.recorded, stats.events.sent) == (1, 1, 7, 7)


def test_a_live_run_says_what_the_whole_run_would_say() -> None:
    def work(tracer: AgentTracer, clock: FakeClock) -> None:
        with pytest.raises(ValueError, match="x"), tracer.start_run() as run:  # noqa: PT012
            open_step = run.step("other", "background")
            open_step.__enter__()
            with run.step("plan", "outer"), run.step("tool", "inner") as step:
                step.add_metadata({"http_status": 503})
                clock.advance(1)
            run.record_failure("tool", "timeout", "late")
            run.record_quality_signal("schema_valid", "full_match", False, weight=0.5, step_id=step.step_id)
            raise ValueError("x")

    def told(*, stream: bool) -> dict[str, Any]:
        transport, clock = InMemoryTransport(), FakeClock()
        with AgentTracer("a", "1", transport=transport, clock=clock, stream=stream) as tracer:
            work(tracer, clock)
        (run,) = transport.runs
        return run

    def plain(value: Any, names: dict[str, str]) -> Any:
        """The run with its ids numbered."""
        if isinstance(value, dict):
            return {key: plain(entry, names) for key, entry in value.items()}
        if isinstance(value, list):
            return [plain(entry, names) for entry in value]
        is_id = isinstance(value, str) and len(value) == 36
        return names.setdefault(value, f"id {len(names)}") if is_id else value

    whole, live = told(stream=False), told(stream=True)
    order = sorted(whole)
    assert sorted(live) == order
    names: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for key in ["run_id", "steps", *order]:
        assert plain(live[key], names[0]) == plain(whole[key], names[1]), key


def test_a_silent_run_gets_heartbeats_until_it_ends(
    live: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    with live.start_run():
        assert live.flush()
        for _ in range(3):
            assert clock.next_wake_s() == 60
            clock.advance(60)
            assert live.flush()
            while kinds(transport)[-1] != "heartbeat":
                assert live.flush()
    assert live.close()
    assert kinds(transport).count("heartbeat") >= 2


def test_a_run_that_nobody_holds_is_left_to_its_lease(
    live: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    run = live.start_run()
    run.__enter__()
    assert live.flush()
    assert clock.next_wake_s() == 60
    run._token = None
    del run
    _scope.scope.set(None)
    gc.collect()
    clock.advance(60)
    assert live.close()
    assert kinds(transport) == ["run_started"]


def test_the_last_failure_takes_the_place_of_the_first(live: AgentTracer, transport: InMemoryTransport) -> None:
    with live.start_run() as run:
        run.record_failure("tool", "timeout", "first")
        run.record_failure("model", "output_truncated", "second")
    assert live.close()
    failures = [event for event in transport.requests[-1].items if event["type"] == "failure_recorded"]
    failures = failures or [event for event in transport.events if event["type"] == "failure_recorded"]
    assert {event["event_id"] for event in failures} == {failures[0]["event_id"]}
    assert transport.runs[0]["failure"]["failure_code"] == "output_truncated"


def test_folding_shows_runs_side_by_side() -> None:
    events = [
        {"event_id": "1", "run_id": "a", "type": "run_started", "time": "t", "agent_id": "x"},
        {"event_id": "2", "run_id": "b", "type": "run_started", "time": "t", "agent_id": "y"},
        {"event_id": "3", "run_id": "a", "type": "run_ended", "time": "t", "status": "partial"},
    ]
    assert [(run["run_id"], run["agent_id"], run["status"]) for run in fold(events)] == [
        ("a", "x", "partial"),
        ("b", "y", "running"),
    ]
