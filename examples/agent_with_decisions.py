"""An agent that says what it chose and why, and how good what it saw was: every type of decision and of quality signal.

    make serve                                              # in one terminal
    PYTHONPATH=. python examples/agent_with_decisions.py    # in another

The server's address is taken from AGENTTRACER_API_URL, http://localhost:8000 by default.
"""

from __future__ import annotations

import os
import sys
import time

from sdk.agenttrace import AgentTracer, Run

API_URL = os.environ.get("AGENTTRACER_API_URL", "http://localhost:8000")

RATES = {"EUR": 1.0, "USD": 1.08, "JPY": 162.5}
SLOW_MS = 20


class RateSource:
    """Knows rates, and fails the first time it is asked for one, as sources do."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def rate(self, currency: str) -> float | None:
        """The rate, or nothing when there is none."""
        if currency not in self.asked:
            self.asked.add(currency)
            raise ConnectionError
        return RATES.get(currency)


class ConverterAgent:
    """Converts amounts of money, with a source that may fail or be slow, and a cache in front of it."""

    def __init__(self, tracer: AgentTracer) -> None:
        self.tracer = tracer
        self.source = RateSource()
        self.cache: dict[str, float] = {}

    def convert(self, amount: float, currency: str) -> float | None:
        """The amount in that currency, or nothing when there is no rate for it."""
        with self.tracer.start_run(metadata={"currency": currency}) as run:
            with run.step("plan", "choose_source") as plan:
                cached = currency in self.cache
                run.record_decision(
                    "tool_selection",
                    selected="cache" if cached else "rate_source",
                    reason_code="cached_data_sufficient" if cached else "fresh_data_required",
                    candidates=["cache", "rate_source"],
                    confidence=0.9,
                    step_id=plan.step_id,
                )
            rate = self.cache[currency] if cached else self.ask(run, currency)
            with run.step("respond", "format_amount") as respond:
                run.record_decision("response_mode", "two_decimals", "format_constraint", step_id=respond.step_id)
                run.record_quality_signal("schema_valid", "full_match", rate is not None, step_id=respond.step_id)
                run.record_quality_signal("token_usage", "low_usage", True, weight=0.1)
            if rate is None:
                run.record_failure("retrieval", "empty_retrieval", "There is no rate for this currency")
                return None
            return round(amount * rate, 2)

    def ask(self, run: Run, currency: str) -> float | None:
        """Looks the rate up, and tries once more when the source fails."""
        run.record_decision("retrieval_strategy", "by_code", "keyword_match_sufficient")
        rate: float | None = None
        tries = run.attempts("retrieve", "rate_source", max_attempts=2, retry_on=ConnectionError, backoff_s=0.01)
        for number, attempt in enumerate(tries, 1):
            if number > 1:
                run.record_decision("retry_strategy", "try_again", "transient_error_detected")
                run.record_quality_signal("retry_occurred", "single_retry", True)
            with attempt as step:
                began = time.monotonic()
                rate = self.source.rate(currency)
                took_ms = (time.monotonic() - began) * 1000
                step.add_metadata(result_count=int(rate is not None), took_ms=round(took_ms, 3))
                code = "under_threshold" if took_ms < SLOW_MS else "exceeded_threshold"
                run.record_quality_signal("latency_threshold", code, True, step_id=step.step_id)
                run.record_quality_signal("empty_retrieval", "no_results", rate is None, step_id=step.step_id)
        if rate is None:
            run.record_decision("orchestration_path", "without_rate", "fallback_path")
        else:
            run.record_quality_signal("tool_success", "after_retry", True)
            self.cache[currency] = rate
        return rate


def main() -> int:
    """Converts, and says where to look."""
    with AgentTracer("converter-agent", "v2.0.0", API_URL) as tracer:
        agent = ConverterAgent(tracer)
        for amount, currency in ((10.0, "USD"), (99.5, "JPY"), (20.0, "USD"), (1.0, "XXX")):
            print(f"{amount} EUR is {agent.convert(amount, currency)} {currency}")
        everything_went_out = tracer.flush(10)
    print(f"{tracer.stats().sent} of {tracer.stats().finished} runs sent to {API_URL}")
    return 0 if everything_went_out else 1


if __name__ == "__main__":
    sys.exit(main())
