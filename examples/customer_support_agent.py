"""A small support agent that records its runs with AgentTracer.

It plans, looks questions up in `knowledge_base.json`, asks an order service over HTTP that it starts itself and that
is sometimes slow or down, tries again, and answers. What it records holds no question and no answer: only which steps
it took, what it decided and why, and what went wrong.

    make serve                                                   # in one terminal
    PYTHONPATH=. python examples/customer_support_agent.py       # in another

The server's address is taken from AGENTTRACER_API_URL, http://localhost:8000 by default.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from sdk.agenttrace import AgentTracer, Run

QUESTIONS = [
    "How long does delivery to another country take?",
    "Where is my order 1042?",
    "I want my money back for an item I returned last week.",
    "Has order 1077 been shipped yet, and when will it arrive?",
    "My account is locked, how do I sign in again?",
    "Can I still change the address of order 1099?",
    "Do you know a good recipe for pancakes?",
    "What happened to order 4711?",
    "Where do I enter the code of my gift card?",
    "Is order 1042 paid?",
]

ORDERS = {"1042": "shipped", "1077": "packed", "1099": "received"}

MOST_ATTEMPTS = 3
TOOL_TIMEOUT_S = 0.25
GOOD_SCORE = 1.5


# ---- what the agent knows -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Article:
    """One page of the knowledge base."""

    id: str
    title: str
    words: frozenset[str]
    body: str


class KnowledgeBase:
    """Articles, found by the words that they share with a question; rare words weigh more."""

    def __init__(self, path: Path) -> None:
        self.articles = [
            Article(entry["id"], entry["title"], words_of(f"{entry['title']} {entry['words']}"), entry["body"])
            for entry in json.loads(path.read_text(encoding="utf-8"))
        ]

    def search(self, question: str) -> list[tuple[float, Article]]:
        """The articles that share a word with the question, best first."""
        asked = words_of(question)
        scored = [(sum(map(self._weight, asked & article.words)), article) for article in self.articles]
        return sorted((hit for hit in scored if hit[0] > 0), key=lambda hit: -hit[0])

    def _weight(self, word: str) -> float:
        return math.log(len(self.articles) / sum(word in article.words for article in self.articles))


def words_of(text: str) -> frozenset[str]:
    """The words of a text, in lower case."""
    return frozenset(re.findall(r"[a-z]{3,}", text.lower()))


# ---- the tool: an order service that has good and bad moments --------------------------------------------------------


class OrderService(ThreadingHTTPServer):
    """Answers `/orders/NUMBER`. Now and then it hangs or is overloaded, as services do."""

    daemon_threads = True

    def __init__(self, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), OrderHandler)
        self.moods = random.Random(seed)  # noqa: S311 - for moods
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class OrderHandler(BaseHTTPRequestHandler):
    """Answers one request, or does not."""

    server: OrderService

    def do_GET(self) -> None:
        """Says what became of an order."""
        mood = self.server.moods.random()
        if mood < 0.35:  # noqa: PLR2004 - a third of the calls time out
            self.server.stopping.wait(4 * TOOL_TIMEOUT_S)
            return
        if mood < 0.5:  # noqa: PLR2004 - some more find it overloaded
            self._answer(503, {})
            return
        number = self.path.rpartition("/")[2]
        if number in ORDERS:
            self._answer(200, {"order": number, "state": ORDERS[number]})
        else:
            self._answer(404, {})

    def _answer(self, status: int, content: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing: the agent does the talking."""


@contextmanager
def order_service(seed: int) -> Iterator[OrderService]:
    """The service, as long as the block runs."""
    service = OrderService(seed)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.stopping.set()
        service.shutdown()
        service.server_close()
        thread.join()


class OrderLookupError(Exception):
    """The order service did not help; `code` says why, in the words of the contract."""

    def __init__(self, code: str, *, again: bool) -> None:
        super().__init__(code)
        self.code = code
        self.again = again


def look_up_order(service_url: str, number: str) -> tuple[int, str]:
    """One call of the service: the HTTP status and the order's state."""
    try:
        with urllib.request.urlopen(f"{service_url}/orders/{number}", timeout=TOOL_TIMEOUT_S) as answer:  # noqa: S310
            return answer.status, json.load(answer)["state"]
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:  # noqa: PLR2004
                raise OrderLookupError("invalid_request", again=False) from None
            raise OrderLookupError("provider_unavailable", again=True) from None
    except OSError:
        raise OrderLookupError("timeout", again=True) from None


# ---- the agent -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reply:
    """What the customer gets, and the run that led to it."""

    text: str
    run: Run


class SupportAgent:
    """Answers questions, one run each."""

    def __init__(self, tracer: AgentTracer, knowledge: KnowledgeBase, orders_url: str) -> None:
        self.tracer = tracer
        self.knowledge = knowledge
        self.orders_url = orders_url
        self.jitter = random.Random(1)  # noqa: S311 - for pauses

    def answer(self, question: str) -> Reply:
        """Plans, looks up, calls, tries again, answers."""
        with self.tracer.start_run(metadata={"channel": "chat"}) as run:
            with run.step("plan", "analyze_question") as plan:
                order = re.search(r"\border (\d{3,})", question)
                plan.add_metadata({"words": len(question.split()), "names_order": order is not None})
                run.record_decision(
                    decision_type="tool_selection",
                    selected="order_service" if order else "knowledge_base",
                    reason_code="fresh_data_required" if order else "cached_data_sufficient",
                    candidates=["order_service", "knowledge_base"],
                    confidence=0.95 if order else 0.7,
                    step_id=plan.step_id,
                )
            text = self._from_orders(run, order[1]) if order else self._from_knowledge(run, question)
            with run.step("respond", "compose_reply") as respond:
                respond.add_metadata({"reply_length": len(text)})
                run.record_quality_signal("schema_valid", "full_match", True, step_id=respond.step_id)
        return Reply(text, run)

    def _from_knowledge(self, run: Run, question: str) -> str:
        with run.step("retrieve", "knowledge_base") as step:
            hits = self.knowledge.search(question)
            best = hits[0][0] if hits else 0.0
            step.add_metadata({"result_count": len(hits), "best_score": round(best, 2)})
            if hits:
                step.add_metadata({"article": hits[0][1].id})
            run.record_decision(
                "retrieval_strategy", "keyword_search", "keyword_match_sufficient", step_id=step.step_id
            )
            run.record_quality_signal("empty_retrieval", "no_results", not hits, step_id=step.step_id)
        if best >= GOOD_SCORE:
            return hits[0][1].body
        run.record_decision("orchestration_path", "hand_over_to_people", "fallback_path")
        code = "low_relevance" if hits else "empty_retrieval"
        run.record_failure("retrieval", code, "No article fits the question", step_id=step.step_id)
        run.set_status("partial")
        return "I do not know that, so I have asked a colleague to write to you."

    def _from_orders(self, run: Run, number: str) -> str:
        first: str | None = None
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                with run.step("tool", "order_service", attempt=attempt, retry_of=first) as step:
                    first = first or step.step_id
                    status, state = look_up_order(self.orders_url, number)
                    step.add_metadata({"http_status": status, "attempt": attempt})
            except OrderLookupError as error:
                step.set_status("failed", error_code=error.code)
                if not self._goes_on(run, step.step_id, error, attempt):
                    return "I cannot see that order at the moment, so I have asked a colleague to look."
                time.sleep(self.jitter.uniform(0.5, 1.0) * 0.05 * 2**attempt)
            else:
                code = "first_attempt" if attempt == 1 else "after_retry"
                run.record_quality_signal("tool_success", code, True, step_id=step.step_id)
                return f"Your order {number} is {state}."
        raise AssertionError("the last attempt returns")

    def _goes_on(self, run: Run, step_id: str, error: OrderLookupError, attempt: int) -> bool:
        """Whether to try once more; tells the run why or why not."""
        signal = {"timeout": "timeout", "invalid_request": "invalid_input"}.get(error.code, "unavailable")
        run.record_quality_signal("tool_failure", signal, True, step_id=step_id)
        if error.again and attempt < MOST_ATTEMPTS:
            run.record_decision("retry_strategy", "retry", "transient_error_detected", step_id=step_id)
            return True
        reason = "retry_budget_exhausted" if error.again else "no_retry_terminal_error"
        run.record_decision("retry_strategy", "give_up", reason, step_id=step_id)
        run.record_failure(
            "tool", error.code, f"The order service failed on attempt {attempt} of {MOST_ATTEMPTS}", step_id=step_id
        )
        return False


# ---- the program -----------------------------------------------------------------------------------------------------


def query_url(api_url: str) -> str:
    """Where to read: beside the write side, one port further."""
    url = urlsplit(api_url)
    return os.environ.get("AGENTTRACER_QUERY_URL", f"{url.scheme}://{url.hostname}:{(url.port or 8000) + 1}")


def main() -> int:
    """Answers the questions and says where to look."""
    parser = argparse.ArgumentParser(description="A small support agent that records its runs with AgentTracer.")
    parser.add_argument("--seed", type=int, default=7, help="decides when the order service has its bad moments")
    seed = parser.parse_args().seed
    api_url = os.environ.get("AGENTTRACER_API_URL", "http://localhost:8000")
    knowledge = KnowledgeBase(Path(__file__).with_name("knowledge_base.json"))

    tracer = AgentTracer(agent_id="support-agent", agent_version="v1.0.0", environment="production", api_url=api_url)
    last = None
    with order_service(seed) as service:
        agent = SupportAgent(tracer, knowledge, service.url)
        for question in QUESTIONS:
            reply = agent.answer(question)
            last = reply.run
            print(f"> {question}\n  {reply.text}\n  [{reply.run.status}] run {reply.run.run_id}\n")

    everything_went_out = tracer.close()
    stats = tracer.stats()
    print(f"{stats.sent} of {stats.finished} runs delivered to {api_url}")
    if not everything_went_out:
        print(
            f"{stats.spooled} wait on disk and go out with the next start, {stats.dropped} were dropped "
            f"({stats.last_error}): does the server run? `make serve` starts it"
        )
        return 1
    read = query_url(api_url)
    print("\nLook at them:")
    print(f"  curl -s '{read}/v1/runs?agent_id=support-agent&page_size=5'")
    print(f"  curl -s '{read}/v1/runs?agent_id=support-agent&status=failure'")
    print(f"  curl -s '{read}/v1/stats?agent_id=support-agent'")
    if last is not None:
        print(f"  curl -s '{read}/v1/runs/{last.run_id}/steps'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
