from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Generator
from typing import Any

import pytest
from agenttrace import AgentTracer, Run, current_run, current_step
from agenttrace.testing import FakeClock, InMemoryTransport


def only_run(tracer: AgentTracer, transport: InMemoryTransport) -> dict[str, Any]:
    assert tracer.flush()
    assert len(transport.runs) == 1
    return transport.runs[0]


def test_the_example_of_the_readme(tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock) -> None:
    with tracer.start_run(session_id="s-1", metadata={"channel": "chat"}) as run:
        clock.advance(0.25)
        with run.step("plan", "analyze_query"):
            clock.advance(0.5)
        with run.step("tool", "billing_api") as step:
            step.add_metadata({"http_status": 200})
            clock.advance(1.5)
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

    sent = only_run(tracer, transport)
    assert uuid.UUID(sent["run_id"]).version == 7
    assert sent["run_id"] == run.run_id
    assert [sent[key] for key in ("agent_id", "agent_version", "environment", "status")] == [
        "support-agent",
        "v1.0.0",
        "production",
        "failure",
    ]
    assert sent["started_at"] == "2026-01-01T12:00:00.000000Z"
    assert sent["ended_at"] == "2026-01-01T12:00:02.250000Z"
    assert sent["session_id"] == "s-1"
    assert sent["metadata"] == {"channel": "chat"}
    plan, tool = sent["steps"]
    assert [plan[key] for key in ("seq", "step_type", "name", "latency_ms", "status")] == [
        0,
        "plan",
        "analyze_query",
        500,
        "ok",
    ]
    assert plan["started_at"] == "2026-01-01T12:00:00.250000Z"
    assert plan["ended_at"] == "2026-01-01T12:00:00.750000Z"
    assert [tool[key] for key in ("seq", "latency_ms", "metadata")] == [1, 1500, {"http_status": 200}]
    (decision,) = sent["decisions"]
    assert decision["step_id"] == tool["step_id"] == step.step_id
    assert decision["candidates"] == ["api", "cache"]
    assert decision["confidence"] == 0.85
    (signal,) = sent["quality_signals"]
    assert [signal[key] for key in ("signal_type", "signal_code", "value", "weight")] == [
        "schema_valid",
        "full_match",
        True,
        None,
    ]
    assert sent["failure"] == {
        "step_id": None,
        "failure_type": "tool",
        "failure_code": "timeout",
        "message": "External API timeout after 30s",
    }


def test_a_run_that_nothing_befell_is_a_success(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with tracer.start_run() as run:
        assert run.status == "success"
    sent = only_run(tracer, transport)
    assert sent["status"] == "success"
    assert "failure" not in sent


def test_a_status_that_is_set_stays(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with tracer.start_run() as run:
        run.record_failure("retrieval", "low_relevance", "Fell back to the cache")
        run.set_status("partial")
        assert run.status == "partial"
    sent = only_run(tracer, transport)
    assert sent["status"] == "partial"
    assert sent["failure"]["failure_code"] == "low_relevance"


def test_an_exception_fails_the_step_and_the_run_and_goes_on(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    error = ValueError("the card 4111 1111 1111 1111 was refused")
    with pytest.raises(ValueError, match="was refused") as caught, tracer.start_run() as run:  # noqa: PT012
        with run.step("plan", "think"):
            pass
        with run.step("tool", "outer"), run.step("tool", "inner"):
            raise error
    assert caught.value is error
    sent = only_run(tracer, transport)
    assert sent["status"] == "failure"
    think, outer, inner = sent["steps"]
    assert [(step["status"], step.get("error_code")) for step in (think, outer, inner)] == [
        ("ok", None),
        ("failed", "ValueError"),
        ("failed", "ValueError"),
    ]
    assert sent["failure"] == {
        "step_id": inner["step_id"],
        "failure_type": "orchestration",
        "failure_code": "uncaught_exception",
        "message": "ValueError",
    }
    assert "4111" not in str(sent)


def test_the_step_behind_a_raised_from_is_found(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    def work(run: Run) -> None:
        try:
            with run.step("tool", "search"):
                raise OSError("disk")
        except OSError as error:
            raise RuntimeError("no answer") from error

    with pytest.raises(RuntimeError), tracer.start_run() as run:
        work(run)
    sent = only_run(tracer, transport)
    assert sent["failure"]["step_id"] == sent["steps"][0]["step_id"]
    assert sent["failure"]["message"] == "RuntimeError"


def test_a_recorded_failure_is_not_replaced_by_the_exception(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with pytest.raises(TimeoutError), tracer.start_run() as run:  # noqa: PT012
        run.record_failure("tool", "timeout", "billing did not answer")
        raise TimeoutError
    sent = only_run(tracer, transport)
    assert (sent["status"], sent["failure"]["failure_code"]) == ("failure", "timeout")


def test_an_exception_overrules_a_status(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with pytest.raises(KeyError), tracer.start_run() as run:  # noqa: PT012
        run.set_status("success")
        raise KeyError("x")
    assert only_run(tracer, transport)["status"] == "failure"


def test_an_interrupt_is_a_cancelled_run(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with pytest.raises(KeyboardInterrupt), tracer.start_run():
        raise KeyboardInterrupt
    assert only_run(tracer, transport)["failure"]["failure_code"] == "cancelled"


def test_a_plain_exit_is_no_failure(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with pytest.raises(SystemExit), tracer.start_run():
        raise SystemExit(0)
    assert only_run(tracer, transport)["status"] == "success"


def test_a_caught_exception_fails_its_step_only(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with tracer.start_run() as run:
        try:
            with run.step("tool", "search", attempt=1) as first:
                raise ConnectionError
        except ConnectionError:
            pass
        with run.step("tool", "search", attempt=2, retry_of=first.step_id):
            pass
    sent = only_run(tracer, transport)
    assert sent["status"] == "success"
    assert [step["status"] for step in sent["steps"]] == ["failed", "ok"]
    assert [step["attempt"] for step in sent["steps"]] == [1, 2]
    assert sent["steps"][1]["retry_of"] == first.step_id


def test_a_step_inside_a_step_is_its_child(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with tracer.start_run() as run:
        with run.step("plan", "outer") as outer, run.step("tool", "inner"):
            pass
        with run.step("respond", "last"):
            pass
    steps = only_run(tracer, transport)["steps"]
    assert [step.get("parent_step_id") for step in steps] == [None, outer.step_id, None]


def test_threads_share_a_run_and_not_their_place_in_it(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    together = threading.Barrier(8)

    def work(run: Run, number: int) -> None:
        together.wait()
        for _ in range(50):
            with run.step("tool", f"tool-{number}") as step:
                run.record_decision("tool_selection", "api", "fresh_data_required", step_id=step.step_id)

    with tracer.start_run() as run:
        threads = [threading.Thread(target=work, args=(run, number)) for number in range(8)]
        with run.step("plan", "fan_out"):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    sent = only_run(tracer, transport)
    assert [step["seq"] for step in sent["steps"]] == list(range(401))
    assert len(sent["decisions"]) == 400
    # A new thread begins outside of every step.
    assert all("parent_step_id" not in step for step in sent["steps"])


def test_tasks_know_the_step_that_started_them(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    async def call(run: Run, name: str) -> None:
        with run.step("tool", name):
            await asyncio.sleep(0)
            with run.step("other", f"{name}.parse"):
                await asyncio.sleep(0)

    async def agent() -> None:
        with tracer.start_run() as run, run.step("plan", "fan_out"):
            await asyncio.gather(call(run, "a"), call(run, "b"))

    asyncio.run(agent())
    steps = {step["name"]: step for step in only_run(tracer, transport)["steps"]}
    assert steps["a"]["parent_step_id"] == steps["b"]["parent_step_id"] == steps["fan_out"]["step_id"]
    assert steps["a.parse"]["parent_step_id"] == steps["a"]["step_id"]
    assert steps["b.parse"]["parent_step_id"] == steps["b"]["step_id"]


def test_a_step_that_still_runs_is_taken_to_the_end(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    with tracer.start_run() as run:
        open_step = run.step("tool", "background")
        open_step.__enter__()
        clock.advance(3)
    open_step.__exit__(None, None, None)
    (step,) = only_run(tracer, transport)["steps"]
    assert (step["latency_ms"], step["status"]) == (3000, "unknown")


def test_a_clock_that_is_set_back_turns_no_time_around(transport: InMemoryTransport) -> None:
    class JumpingClock(FakeClock):
        def now(self) -> Any:
            # Each look at the time of day is an hour before the last one.
            self.looks = getattr(self, "looks", 0) + 1
            return self._start.replace(hour=23 - self.looks % 20)

    clock = JumpingClock()
    with AgentTracer("a", "1", transport=transport, clock=clock) as tracer, tracer.start_run() as run:
        with run.step("plan", "first"):
            clock.advance(1)
        with run.step("plan", "second"):
            clock.advance(1)
    (sent,) = transport.runs
    times = [sent["started_at"], *(step[key] for step in sent["steps"] for key in ("started_at", "ended_at"))]
    assert times == sorted(times)
    assert sent["ended_at"] == times[-1]


def test_a_run_that_has_ended_is_not_around_anything(tracer: AgentTracer) -> None:
    def half_way() -> Generator[None, None, None]:
        with tracer.start_run() as run, run.step("plan", "begun"):
            yield

    left = half_way()
    next(left)
    run = current_run()
    assert run is not None
    assert current_step() is not None
    run.end()
    assert (current_run(), current_step()) == (None, None)
    left.close()
