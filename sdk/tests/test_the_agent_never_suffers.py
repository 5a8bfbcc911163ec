from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
import uuid
import weakref
from collections.abc import Callable
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest
from agenttrace import AgentTracer, ConfigurationError, Run
from agenttrace.testing import InMemoryTransport

ROOT = Path(__file__).parents[2]


def sent(tracer: AgentTracer, transport: InMemoryTransport) -> dict[str, Any]:
    assert tracer.flush()
    return transport.runs[-1]


GOOD_DECISION: dict[str, Any] = {
    "decision_type": "tool_selection",
    "selected": "api",
    "reason_code": "fresh_data_required",
}
GOOD_SIGNAL: dict[str, Any] = {"signal_type": "tool_success", "signal_code": "after_retry", "value": True}


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision_type": "vibes"},
        {"decision_type": None},
        {"reason_code": "early_exit"},
        {"reason_code": 7},
        {"selected": ""},
        {"selected": "s" * 201},
        {"selected": 3},
    ],
)
def test_a_wrong_decision_costs_itself_alone(
    tracer: AgentTracer, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    with tracer.start_run() as run:
        run.record_decision(**(GOOD_DECISION | wrong))
        run.record_decision(**GOOD_DECISION)
        run.record_quality_signal(**GOOD_SIGNAL)
    run_sent = sent(tracer, transport)
    assert len(run_sent["decisions"]) == len(run_sent["quality_signals"]) == 1
    assert run_sent["status"] == "success"
    assert tracer.stats().ignored == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "wrong", [{"signal_type": "mood"}, {"signal_code": "timeout"}, {"value": 1}, {"value": "true"}, {"value": None}]
)
def test_a_wrong_signal_costs_itself_alone(
    tracer: AgentTracer, transport: InMemoryTransport, wrong: dict[str, Any]
) -> None:
    with tracer.start_run() as run:
        run.record_quality_signal(**(GOOD_SIGNAL | wrong))
        run.record_quality_signal(**GOOD_SIGNAL)
    assert [signal["signal_code"] for signal in sent(tracer, transport)["quality_signals"]] == ["after_retry"]
    assert tracer.stats().ignored == 1


def test_the_warning_names_what_is_allowed_and_not_what_was_given(
    tracer: AgentTracer, caplog: pytest.LogCaptureFixture
) -> None:
    with tracer.start_run() as run:
        run.record_decision("canary-7f3a", "api", "fresh_data_required")
        run.record_decision("response_mode", "api", "canary-7f3a")
    assert [record.getMessage() for record in caplog.records] == [
        "decision dropped: allowed types are tool_selection, retrieval_strategy, response_mode, retry_strategy, "
        "orchestration_path",
        "decision dropped: allowed codes of response_mode are streaming_requested, batch_preferred, format_constraint, "
        "length_constraint",
    ]


@pytest.mark.parametrize("confidence", [-0.1, 1.1, math.nan, math.inf, "0.5", True])
def test_a_wrong_number_costs_the_number(tracer: AgentTracer, transport: InMemoryTransport, confidence: Any) -> None:
    with tracer.start_run() as run:
        run.record_decision(**GOOD_DECISION, confidence=confidence)
        run.record_quality_signal(**GOOD_SIGNAL, weight=confidence)
    run_sent = sent(tracer, transport)
    assert run_sent["decisions"][0]["confidence"] is None
    assert run_sent["quality_signals"][0]["weight"] is None


def test_a_reference_to_no_step_of_the_run_is_left_out(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with tracer.start_run() as run:
        never_entered = run.step("tool", "t")
        for step_id in (str(uuid.uuid4()), "no id", never_entered.step_id):
            run.record_decision(**GOOD_DECISION, step_id=step_id)
            run.record_quality_signal(**GOOD_SIGNAL, step_id=step_id)
            run.record_failure("tool", "timeout", "late", step_id=step_id)
    run_sent = sent(tracer, transport)
    facts = [*run_sent["decisions"], *run_sent["quality_signals"], run_sent["failure"]]
    assert [fact["step_id"] for fact in facts] == [None] * 7
    assert run_sent["steps"] == []


def test_long_names_are_cut_and_odd_ones_replaced(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with tracer.start_run(session_id="s" * 200, trace_id="no trace") as run:
        with run.step("tool", "n" * 300), run.step("dance", "a\nb\x00c"), run.step("tool", ""):
            pass
        with run.step("tool", None), run.step("tool", "half \ud800"):  # type: ignore[arg-type]
            pass
        run.record_failure("weather", "f c/" + "x" * 200, "m" * 600)
        candidates: Any = cycle(["c" * 200, "c" * 201, 7])
        run.record_decision("tool_selection", "s" * 200, "cost_optimization", candidates=candidates)
    run_sent = sent(tracer, transport)
    steps = run_sent["steps"]
    assert [step["name"] for step in steps] == ["n" * 255, "a bc", "unnamed", "unnamed", "half ?"]
    assert steps[1]["step_type"] == "other"
    assert run_sent["session_id"] == "s" * 128
    assert "trace_id" not in run_sent
    failure = run_sent["failure"]
    assert (failure["failure_type"], failure["failure_code"]) == ("orchestration", ("f_c_" + "x" * 200)[:100])
    assert len(failure["message"]) == 500
    decision = run_sent["decisions"][0]
    assert (len(decision["selected"]), len(decision["candidates"])) == (200, 22)
    assert set(decision["candidates"]) == {"c" * 200}


def test_huge_values_are_dropped_without_being_read(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    class Endless(dict[str, object]):
        def __len__(self) -> int:
            return 1_000_000_000

        def items(self) -> Any:
            return ((f"key_{number}", number) for number in count())

    with tracer.start_run() as run, run.step("tool", "x" * 50_000_000) as step:
        step.add_metadata({"text": "x", "long": "x" * 50_000_000, "list": range(1_000_000_000)})
        step.add_metadata(Endless())
        run.record_failure("tool", "c" * 50_000_000, "m" * 50_000_000)
    (only,) = sent(tracer, transport)["steps"]
    assert list(only["metadata"]) == [f"key_{number}" for number in range(64)]


def test_a_step_of_a_run_that_was_not_entered_is_told(tracer: AgentTracer, caplog: pytest.LogCaptureFixture) -> None:
    run = tracer.start_run()
    with run.step("plan", "p"):
        pass
    assert "with tracer.start_run() as run" in caplog.text


def test_what_comes_after_the_end_changes_nothing(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with tracer.start_run() as run:
        pass
    with run.step("tool", "late"):
        run.set_status("failure")
        run.record_failure("tool", "timeout", "late")
        run.record_decision(**GOOD_DECISION)
        run.record_quality_signal(**GOOD_SIGNAL)
        run.add_metadata({"late": 1})
    with run:
        pass
    assert tracer.flush()
    assert len(transport.runs) == tracer.stats().finished == 1
    assert (transport.runs[0]["status"], transport.runs[0]["steps"]) == ("success", [])
    assert run.status == "success"


def test_a_run_may_have_ten_thousand_steps_and_no_more(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    with tracer.start_run() as run:
        for _ in range(10_002):
            with run.step("tool", "t"):
                pass
    assert len(sent(tracer, transport)["steps"]) == 10_000


@pytest.mark.parametrize(
    "call",
    [
        lambda run: run.record_decision(),
        lambda run: run.record_decision(**GOOD_DECISION, why="?"),
        lambda run: run.record_decision(**GOOD_DECISION, candidates=5),
        lambda run: run.record_decision(**GOOD_DECISION, metadata=[1]),
        lambda run: run.record_quality_signal("schema_valid"),
        lambda run: run.record_failure(),
        lambda run: run.set_status(),
        lambda run: run.add_metadata(5),
        lambda run: run.step("tool", "t").add_metadata("text"),
    ],
)
def test_a_call_with_impossible_arguments_is_noted_and_not_raised(
    tracer: AgentTracer, transport: InMemoryTransport, call: Callable[[Run], None]
) -> None:
    with tracer.start_run() as run:
        call(run)
    assert sent(tracer, transport)["decisions"] == []
    assert tracer.stats().internal_errors == 1


def test_a_transport_that_breaks_does_not_stop_the_thread(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    transport.answer_next(RuntimeError("a bug"))
    for _ in range(2):
        with tracer.start_run():
            pass
        assert tracer.flush()
    stats = tracer.stats()
    assert (stats.sent, stats.dropped_by_reason, stats.internal_errors) == (1, {"undeliverable": 1}, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"agent_id": ""},
        {"agent_id": None},
        {"agent_version": 1.4},
        {"api_url": "localhost:8000"},
        {"api_url": "ftp://localhost"},
        {"api_url": "http://me:canary@localhost"},
        {"api_url": "http://localhost:99999"},
        {"api_url": 5},
        {"spool_dir": 5},
        {"max_spool_bytes": -1},
        {"api_key": "two\r\nlines"},
        {"flush_interval_s": -1},
        {"flush_interval_s": math.nan},
        {"max_batch_runs": 0},
        {"max_queue_runs": True},
    ],
)
def test_only_the_constructor_raises(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AgentTracer(**({"agent_id": "a", "agent_version": "1"} | options))
    assert "canary" not in str(caught.value)


def test_a_tracer_that_is_switched_off_sends_nothing(transport: InMemoryTransport) -> None:
    with AgentTracer("a", "1", transport=transport, enabled=False) as tracer:
        with tracer.start_run() as run, run.step("plan", "p"):
            pass
        assert tracer.flush()
    assert transport.requests == []


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_imports_from_the_root_of_the_repository_without_any_package() -> None:
    done = python(
        """
        import sys
        sys.path = [entry for entry in sys.path if "site-packages" not in entry]
        from sdk.agenttrace import AgentTracer
        from sdk.agenttrace.testing import InMemoryTransport
        transport = InMemoryTransport()
        with AgentTracer("a", "1", transport=transport) as tracer, tracer.start_run() as run, run.step("plan", "p"):
            pass
        print(len(transport.runs))
        """,
        PYTHONPATH=".",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_the_end_of_the_process_sends_what_waits() -> None:
    done = python(
        """
        from sdk.agenttrace import AgentTracer
        from sdk.agenttrace.testing import Answer, InMemoryTransport

        class Printing(InMemoryTransport):
            def post(self, path, body, headers, timeout_s):
                print("sent")
                return super().post(path, body, headers, timeout_s)

        tracer = AgentTracer("a", "1", transport=Printing(), flush_interval_s=60)
        with tracer.start_run():
            pass
        """,
        PYTHONPATH=".",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "sent\n", "")


def test_a_server_that_is_not_there_does_not_hold_the_process_up() -> None:
    done = python(
        """
        import socket, time
        from sdk.agenttrace import AgentTracer
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        tracer = AgentTracer("a", "1", api_url=f"http://127.0.0.1:{port}", max_spool_bytes=0)
        with tracer.start_run():
            pass
        """,
        PYTHONPATH=".",
    )
    assert done.returncode == 0
    assert "runs are dropped (closed)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_sends_its_own_runs_and_not_its_parents() -> None:
    done = python(
        """
        import os
        from sdk.agenttrace import AgentTracer
        from sdk.agenttrace.testing import InMemoryTransport

        transport = InMemoryTransport()
        tracer = AgentTracer("a", "1", transport=transport, flush_interval_s=60)
        with tracer.start_run():
            pass
        if os.fork() == 0:
            with tracer.start_run():
                pass
            done = tracer.close() and len(transport.runs) == tracer.stats().sent == 1
            os._exit(0 if done else 1)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        assert tracer.close() and len(transport.runs) == 1
        """,
        PYTHONPATH=".",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_tracer_that_nobody_holds_sends_what_it_was_given_and_ends(transport: InMemoryTransport) -> None:
    tracer = AgentTracer("a", "1", transport=transport)
    known = weakref.ref(tracer)
    with tracer.start_run() as run:
        del tracer
        with run.step("plan", "p"):
            pass
        assert known() is not None
    life = run.core.offer.__self__  # type: ignore[attr-defined]
    thread = life._thread
    del run, life
    assert known() is None
    thread.join(10)
    assert not thread.is_alive()
    assert len(transport.runs) == 1
