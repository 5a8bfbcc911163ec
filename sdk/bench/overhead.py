"""How much time of the agent's thread does recording take, beside an empty context manager?

    python sdk/bench/overhead.py

Requests go to a transport that takes everything at once. What is measured is the time that the agent's thread spends on
a processor, so that a busy machine changes little; each figure is the median over rounds. The ratio is to entering and
leaving a context manager that does nothing, in the same process.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping

from agenttrace import AgentTracer
from agenttrace.testing import Answer

ROUNDS = 30
CALLS = 500


class Nothing:
    """An empty context manager."""

    def __enter__(self) -> Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class TakesAll:
    """A server that has stored everything before it was asked."""

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Says that all runs are stored."""
        del path, headers, timeout_s
        items = self.items if body[:1] != b"[" else body.count(b'"run_id"')
        return Answer(200, {}, json.dumps({"accepted": items, "duplicates": 0, "rejected": [], "removed": {}}).encode())

    def close(self) -> None:
        """Has nothing to let go of."""

    items = 1


def median_us(work: Callable[[], None]) -> float:
    """Microseconds of one call of `work`, which does `CALLS` of what is asked about."""
    took = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        work()
        took.append((time.thread_time_ns() - began) / CALLS / 1e3)
    return statistics.median(took)


def main() -> int:
    """Measures and prints."""
    # One run a batch: its length tells nothing, and nothing has to be unpacked to count it.
    tracer = AgentTracer("bench", "1", transport=TakesAll(), max_batch_runs=1, max_queue_runs=1_000_000)

    def empty() -> None:
        for _ in range(CALLS):
            with Nothing():
                pass

    def steps() -> None:
        with tracer.start_run() as run:
            for _ in range(CALLS):
                with run.step("tool", "search"):
                    pass

    def steps_with_facts() -> None:
        with tracer.start_run() as run:
            for _ in range(CALLS):
                with run.step("tool", "search") as step:
                    step.add_metadata({"http_status": 200, "model": "gpt-4.1-mini"})

    def runs(count: int) -> Callable[[], None]:
        def work() -> None:
            for _ in range(CALLS):
                with tracer.start_run() as run:
                    for _ in range(count):
                        with run.step("tool", "search"):
                            pass

        return work

    base = median_us(empty)
    print(f"an empty context manager: {base:.2f} us")
    for what, work in (
        ("a step", steps),
        ("a step with two facts", steps_with_facts),
        ("a run", runs(0)),
        ("a run of 5 steps", runs(5)),
    ):
        took = median_us(work)
        print(f"{what}: {took:.1f} us, {took / base:.0f} times an empty context manager")
    tracer.close()
    stats = tracer.stats()
    print(f"{stats.sent} of {stats.finished} runs were sent meanwhile")
    return 0


if __name__ == "__main__":
    sys.exit(main())
