from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from agenttrace import AgentTracer
from sdk_world import PROVES, get, proxy, server_process, wait_until

RUNS = 10_000 if PROVES else 400
AWAY_S = 60.0 if PROVES else 1.5
OFTEN: dict[str, Any] = {"first_retry_s": 0.005, "longest_retry_s": 0.05}


def record(tracer: AgentTracer, runs: int) -> None:
    for number in range(runs):
        with tracer.start_run() as run, run.step("tool", "search") as step:
            step.add_metadata({"number": number})


@pytest.mark.parametrize("spools", [True, False])
def test_every_run_is_stored_once_whatever_the_network_does(agenttracer: Path, tmp_path: Path, *, spools: bool) -> None:
    agent_id = f"agent-{uuid.uuid4()}"
    with server_process(agenttracer, tmp_path / "server") as server, proxy(server.ingest, faults=0.5) as network:
        with AgentTracer(
            agent_id,
            "1",
            network.url,
            max_batch_runs=7,
            max_queue_runs=RUNS,
            max_spool_bytes=(64 << 20) * spools,
            **OFTEN,
        ) as tracer:
            threads = [threading.Thread(target=record, args=(tracer, RUNS // 8)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            wait_until(lambda: tracer.flush(1.0), 600)
            stats = tracer.stats()
        assert (stats.finished, stats.sent, stats.dropped, stats.rejected) == (RUNS, RUNS, 0, 0)
        assert stats.retries > 5
        # What the server said was new, over all its answers, those that never arrived included.
        assert network.accepted == RUNS
        assert get(server.query, f"/v1/stats?agent_id={agent_id}")["total_runs"] == RUNS
        assert len(network.seen) == 8


def test_a_server_that_is_away_costs_the_agent_nothing_and_no_run(
    agenttracer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent_id = f"agent-{uuid.uuid4()}"
    with server_process(agenttracer, tmp_path / "server") as server, proxy(server.ingest) as network:
        with AgentTracer(agent_id, "1", network.url, longest_retry_s=0.5) as tracer:
            there = steps_for(tracer, AWAY_S / 2)
            network.target = None
            server.kill()
            away = steps_for(tracer, AWAY_S)
            assert tracer.stats().spooled > 0
            network.target = server.start().ingest
            wait_until(lambda: tracer.flush(1.0), 120)
            stats = tracer.stats()
        runs = (len(there) + len(away)) // 5
        assert (stats.finished, stats.sent, stats.dropped) == (runs, runs, 0)
        # Those whose answer was lost with the server were stored once all the same.
        assert get(server.query, f"/v1/stats?agent_id={agent_id}")["total_runs"] == runs
    with capsys.disabled():
        print(f"\na step, p50 and p99: {quantiles(there)} with the server, {quantiles(away)} without")  # noqa: T201


def steps_for(tracer: AgentTracer, seconds: float) -> list[float]:
    """Runs of five steps, a few hundred a second; how long each step took the agent."""
    took: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with tracer.start_run() as run:
            for _ in range(5):
                began = time.perf_counter()
                with run.step("tool", "search"):
                    pass
                took.append(time.perf_counter() - began)
        time.sleep(0.004)
    return took


def quantiles(took: list[float]) -> str:
    ordered = sorted(took)
    return " and ".join(f"{ordered[int(len(ordered) * share)] * 1e6:.1f} µs" for share in (0.5, 0.99))
