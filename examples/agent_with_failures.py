"""An agent that fails in every way there is a name for: one run for each type of failure, and one for an exception.

    make serve                                             # in one terminal
    PYTHONPATH=. python examples/agent_with_failures.py    # in another

The server's address is taken from AGENTTRACER_API_URL, http://localhost:8000 by default.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request

from sdk.agenttrace import AgentTracer, Run

API_URL = os.environ.get("AGENTTRACER_API_URL", "http://localhost:8000")


def a_tool_that_is_not_there(run: Run) -> None:
    """A real call of a real address, where nobody listens."""
    with run.step("tool", "inventory_api") as step:
        try:
            urllib.request.urlopen("http://127.0.0.1:9/stock", timeout=1)
        except urllib.error.URLError:
            step.set_status("failed", error_code="connection_error")
    run.record_quality_signal("tool_failure", "unavailable", True, step_id=step.step_id)
    run.record_failure("tool", "connection_error", "The inventory did not answer", step_id=step.step_id)


def an_answer_that_is_no_answer(run: Run) -> None:
    """A model that was told to write JSON, and did not."""
    with run.step("respond", "compose_order") as step:
        try:
            json.loads('{"order": 17,')
        except json.JSONDecodeError:
            step.set_status("failed", error_code="schema_invalid")
    run.record_quality_signal("schema_valid", "validation_failed", True, step_id=step.step_id)
    run.record_failure("model", "schema_invalid", "The answer was not valid JSON", step_id=step.step_id)


def a_search_without_hits(run: Run) -> None:
    """Nothing found: the run goes on with less, and is partial."""
    with run.step("retrieve", "product_search") as step:
        hits = [name for name in ("lamp", "table", "chair") if "sofa" in name]
        step.add_metadata({"result_count": len(hits)})
    run.record_quality_signal("empty_retrieval", "no_results", not hits, step_id=step.step_id)
    run.record_failure("retrieval", "empty_retrieval", "No product fits", step_id=step.step_id)
    run.status = "partial"


def a_loop_that_does_not_end(run: Run) -> None:
    """An agent that plans and plans."""
    for _ in range(5):
        with run.step("plan", "what_next"):
            pass
    run.record_decision("orchestration_path", "give_up", "early_exit")
    run.record_failure("orchestration", "max_iterations", "No result after 5 rounds")


def a_bug(run: Run) -> None:
    """An exception that nobody foresaw: its class is recorded, its text is not, and it goes on."""
    with run.step("tool", "price_of"):
        prices: dict[str, int] = {}
        print(prices["sofa"])


def main() -> int:
    """Fails, and says where to look."""
    tracer = AgentTracer("failing-agent", "v1.0.0", API_URL, environment="staging")
    for way in (a_tool_that_is_not_there, an_answer_that_is_no_answer, a_search_without_hits, a_loop_that_does_not_end):
        with tracer.start_run() as run:
            way(run)
        print(f"[{run.status}] {way.__name__}: run {run.run_id}")
    try:
        with tracer.start_run() as run:
            a_bug(run)
    except KeyError:
        print(f"[{run.status}] {a_bug.__name__}: run {run.run_id}")
    everything_went_out = tracer.close()
    print(f"{tracer.stats().sent} of {tracer.stats().finished} runs sent to {API_URL}")
    return 0 if everything_went_out else 1


if __name__ == "__main__":
    sys.exit(main())
