"""The taxonomy as `failures.md` and `decisions-and-signals.md` tell it, and their examples on the real server."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any, Protocol

import pytest

from sdk.agenttrace import _taxonomy
from sdk.agenttrace.testing import CapturedRuns

DOCS = Path(__file__).parent
FAILURES = (DOCS / "failures.md").read_text()
DECISIONS_AND_SIGNALS = (DOCS / "decisions-and-signals.md").read_text()


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


def table(page: str, head: str) -> list[list[str]]:
    """The cells of each row of the table whose head begins with this column."""
    rows = re.search(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert rows is not None, f"no table begins with {head}"
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1].splitlines()]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def by_type(page: str, head: str) -> dict[str, tuple[str, ...]]:
    """The codes of each type; a row without a type belongs to the type above it, a row without a code is a heading."""
    told: dict[str, tuple[str, ...]] = {}
    for kind, code, *_ in table(page, head):
        if kind:
            (name,) = codes(kind)
            told[name] = ()
        told[name] += tuple(codes(code))
    return told


def first_column(page: str, head: str) -> tuple[str, ...]:
    return tuple(codes(row[0])[0] for row in table(page, head))


def examples(page: str) -> dict[str, tuple[dict[str, Any], str]]:
    """By its heading, each run in JSON with the Python that records it."""
    found = re.findall(r"^### (.+?)\n.*?^```json\n(.*?)^```\n+^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return {heading: (json.loads(run), code) for heading, run, code in found}


def send(server: HasAddresses, run: dict[str, Any]) -> tuple[int, str | None, dict[str, Any]]:
    """The status, what was removed, and the stored run."""
    request = urllib.request.Request(  # noqa: S310
        f"{server.ingest}/v1/runs", json.dumps(run).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return answer.status, answer.headers["X-Removed"], json.load(answer)


def ask(server: HasAddresses, path: str) -> Any:
    with urllib.request.urlopen(server.query + path, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


class World:
    """What the agents of the examples call: each does what its example tells."""

    def __init__(self) -> None:
        self.answers = 0

    def analyze(self) -> None:
        """Has nothing to do."""

    hand_over = analyze

    def call_billing_api(self) -> int:
        raise TimeoutError

    def ask_model(self) -> int:
        self.answers += 1
        return self.answers

    def has_the_right_form(self, answer: int) -> bool:
        return answer > 1

    def call_in_time(self) -> float:
        return 0.9

    def search_knowledge_base(self) -> list[str]:
        return []

    def names(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in dir(self) if not name.startswith("_")}


def recorded(code: str) -> dict[str, Any]:
    """The run that the Python of an example records."""
    with CapturedRuns("support-agent", "v1.4.0") as captured:
        exec(code, {"tracer": captured.tracer, **World().names()})  # noqa: S102 - the page's own example
        assert captured.tracer.stats().removed == 0
        return captured.only


def outline(run: dict[str, Any]) -> dict[str, Any]:
    """What a run says, without its ids and times: a step is named by its place."""
    place = {step["step_id"]: step["seq"] for step in run["steps"]} | {None: None}
    kept = ("step_type", "name", "status", "error_code", "attempt")

    def fact(fields: dict[str, Any], *left_out: str) -> dict[str, Any]:
        told = {key: value for key, value in fields.items() if key not in left_out and value not in (None, {})}
        return told | {"step_id": place[fields.get("step_id")]}

    return {
        "status": run["status"],
        "steps": [
            {key: step.get(key) for key in kept}
            | {"retry_of": place[step.get("retry_of")], "metadata": step.get("metadata", {})}
            for step in sorted(run["steps"], key=lambda step: int(step["seq"]))
        ],
        "failure": fact(run["failure"], "failure_id") if run.get("failure") else None,
        "decisions": [fact(decision, "decision_id") for decision in run.get("decisions", [])],
        "signals": [fact(signal, "signal_id") for signal in run.get("quality_signals", [])],
    }


def test_failures_tells_the_lists() -> None:
    assert first_column(FAILURES, "failure_type") == _taxonomy.FAILURE_TYPES
    assert first_column(FAILURES, "failure_code") == _taxonomy.FAILURE_CODES
    assert first_column(FAILURES, "status") == ("success", "partial", "failure")
    assert set(first_column(FAILURES, "status")) == set(_taxonomy.RUN_STATUSES)
    for code, _, usual in table(FAILURES, "failure_code"):
        assert usual == "any" or set(codes(usual)) <= set(_taxonomy.FAILURE_TYPES), code
    told = re.search(r"A step's `status` \((.*?)\)", FAILURES)
    assert told is not None
    assert tuple(codes(told[1])) == _taxonomy.STEP_STATUSES


def test_decisions_and_signals_tells_the_lists() -> None:
    assert by_type(DECISIONS_AND_SIGNALS, "decision_type") == dict(_taxonomy.REASON_CODES)
    assert by_type(DECISIONS_AND_SIGNALS, "signal_type") == dict(_taxonomy.SIGNAL_CODES)
    refused = re.search(r"the keys\n(.*?)are refused", DECISIONS_AND_SIGNALS, re.DOTALL)
    assert refused is not None
    assert tuple(codes(refused[1])) == _taxonomy.CONTENT_KEYS + _taxonomy.THOUGHT_KEYS


EXAMPLES = examples(FAILURES) | examples(DECISIONS_AND_SIGNALS)


def test_there_are_examples() -> None:
    assert (len(examples(FAILURES)), len(examples(DECISIONS_AND_SIGNALS))) == (3, 2)


@pytest.mark.parametrize("heading", EXAMPLES)
def test_the_sdk_records_what_the_example_sends(heading: str) -> None:
    run, code = EXAMPLES[heading]
    assert outline(recorded(code)) == outline(run)


def test_the_decisions_and_signals_are_taken_as_told(server: HasAddresses) -> None:
    for run, _ in examples(DECISIONS_AND_SIGNALS).values():
        status, removed, stored = send(server, run)
        assert (status, removed, stored["removed_count"]) == (201, None, 0)
        told = [decision.get("candidates") for decision in run["decisions"]]
        assert [decision["metadata"].get("candidates") for decision in stored["decisions"]] == told


def test_each_signal_asks_for_attention_when_the_page_says_so(server: HasAddresses) -> None:
    told: dict[tuple[str, str], bool] = {}
    name = ""
    for kind, code, attention, _ in table(DECISIONS_AND_SIGNALS, "signal_type"):
        name = codes(kind)[0] if kind else name
        told[name, codes(code)[0]] = {"true": True, "false": False}[attention]
    signals = [
        {"signal_type": kind, "signal_code": code, "value": value} for kind, code in told for value in (True, False)
    ]
    run: dict[str, Any] = {"agent_id": "the-signals-page", "agent_version": "1", "status": "success"}
    run |= {"started_at": "2026-11-22T10:00:00Z", "quality_signals": signals}
    _, _, stored = send(server, run)
    asks = {
        (signal["signal_type"], signal["signal_code"]): signal["value"]
        for signal in stored["quality_signals"]
        if signal["tone"] == "attention"
    }
    assert asks == told
    assert len(stored["quality_signals"]) == 2 * len(told)


def test_the_failures_are_taken_and_clustered_as_told(server: HasAddresses) -> None:
    told = [run | {"agent_id": "the-failures-page"} for run, _ in examples(FAILURES).values()]
    assert [run["status"] for run in told] == ["failure", "success", "partial"]
    for run in told:
        status, removed, stored = send(server, run)
        assert (status, removed, stored["removed_count"]) == (201, None, 0)
    assert ask(server, "/v1/runs?agent_id=the-failures-page&failure_type=model&status=success")
    answer = ask(server, "/v1/failures?agent_id=the-failures-page")
    causes = {
        (cluster["cause"]["failure_type"], cluster["cause"]["failure_code"], cluster["cause"]["step"]["name"]): (
            cluster["runs"] - cluster["failed_runs"]
        )
        for cluster in answer["clusters"]
    }
    assert causes == {
        ("tool", "timeout", "billing_api"): 0,
        ("model", "schema_invalid", "write_invoice"): 1,
        ("retrieval", "empty_retrieval", "knowledge_base"): 1,
    }
    stats = ask(server, "/v1/stats?agent_id=the-failures-page")
    assert (stats["total_failures"], sum(stats["failure_breakdown"].values())) == (1, 3)
