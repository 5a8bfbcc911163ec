"""The OpenAPI documents against the real server: what they promise is what is answered, whatever is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import jsonschema_rs
import pytest

ROOT = Path(__file__).parents[1]
LISTENERS = ["ingest", "query"]
METHODS = ["get", "post", "delete"]
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
# A fixed seed: a failure is the same one everywhere.
SEED = 20_261_122
CASES = 25


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


def _base(server: HasAddresses, listener: str) -> str:
    return server.ingest if listener == "ingest" else server.query


def _document(listener: str) -> Any:
    return json.loads((ROOT / "docs" / f"openapi-{listener}.json").read_text())


def _post(url: str, body: object) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return answer.status, json.load(answer)


def _operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def _contents(document: Any) -> Iterator[tuple[str, Any]]:
    """Every media type of every request and answer."""
    for place, operation in _operations(document):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{place}: body, {kind}", content
        for status, response in operation["responses"].items():
            for kind, content in response.get("content", {}).items():
                yield f"{place}: {status}, {kind}", content


def _closed(schema: Any) -> Any:
    """The schema, which then also refuses fields that it does not name."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema["additionalProperties"] = False
    return schema


def _strict(document: Any) -> Any:
    """The document with closed schemas of what is answered. What is sent may have fields that are not known."""
    schemas = document["components"]["schemas"]
    for name in schemas:
        if not name.startswith("New"):
            schemas[name] = _closed(schemas[name])
    return document


# schemathesis does not know lines of JSON: they are a text like any other.
LINES = """
import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""


@pytest.mark.parametrize("listener", LISTENERS)
def test_the_served_document_is_the_one_that_is_checked_in(server: HasAddresses, listener: str) -> None:
    with urllib.request.urlopen(f"{_base(server, listener)}/openapi.json", timeout=30) as answer:  # noqa: S310
        assert json.load(answer) == _document(listener)


@pytest.mark.parametrize("listener", LISTENERS)
def test_every_example_is_what_its_schema_says(listener: str) -> None:
    document = _strict(_document(listener))
    looked_at = 0
    for place, content in _contents(document):
        schema = content["schema"] | {"components": document["components"]}
        errors = [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(content["example"])]
        assert not errors, f"{place}: {errors}"
        looked_at += 1
    assert looked_at > 20


def test_the_example_run_is_stored_and_answered_as_its_example_says(server: HasAddresses) -> None:
    operation = _document("ingest")["paths"]["/v1/runs"]["post"]
    sent = operation["requestBody"]["content"]["application/json"]["example"]
    expected = operation["responses"]["201"]["content"]["application/json"]["example"]
    status, stored = _post(f"{server.ingest}/v1/runs", sent)
    assert status == 201

    def without_what_the_server_makes(value: Any) -> Any:
        if isinstance(value, list):
            return [without_what_the_server_makes(part) for part in value]
        if isinstance(value, dict):
            made = {"created_at", "recorded_at", "failure_id", "position"}
            return {key: without_what_the_server_makes(part) for key, part in value.items() if key not in made}
        return value

    assert without_what_the_server_makes(stored) == without_what_the_server_makes(expected)
    events = _document("ingest")["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]["example"]
    status, tally = _post(f"{server.ingest}/v1/events", events)
    assert (status, tally["accepted"], tally["rejected"]) == (200, len(events), [])


@pytest.mark.parametrize("listener", LISTENERS)
def test_whatever_is_asked_is_answered_as_described(
    server: HasAddresses, listener: str, tmp_path: Path, example_runs: list[str]
) -> None:
    document = _strict(_document(listener))
    # Requests about runs mostly ask for runs that are there.
    for _, operation in _operations(document):
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "run_id":
                parameter["schema"] = {"anyOf": [{"enum": example_runs}, parameter["schema"]]}
                parameter["example"] = example_runs[0]
    file = tmp_path / f"{listener}.json"
    file.write_text(json.dumps(document))
    (tmp_path / "lines.py").write_text(LINES)
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(file), "--url", _base(server, listener)]
    command += ["--checks", ",".join(CHECKS), "--seed", str(SEED), "--max-examples", str(CASES)]
    command += ["--phases", "examples,coverage,fuzzing", "--warnings", "off", "--suppress-health-check", "all"]
    # A stream has no end.
    command += ["--exclude-path", "/v1/tail", "--no-color", "--continue-on-failure"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "lines", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@pytest.fixture(scope="module")
def example_runs(server: HasAddresses) -> list[str]:
    """Runs of every kind, so that answers have something in them."""
    example = _document("ingest")["paths"]["/v1/runs"]["post"]["requestBody"]["content"]["application/json"]["example"]
    runs = []
    for index, status in enumerate(["success", "partial", "failure", "failure"]):
        # New ids everywhere, so that the references of the example still lead somewhere.
        text = json.dumps(example | {"status": status, "agent_version": f"v1.{index}.0"})
        for known in {part["step_id"] for part in example["steps"]} | {
            example["run_id"],
            example["decisions"][0]["decision_id"],
            example["quality_signals"][0]["signal_id"],
        }:
            text = text.replace(known, str(uuid.uuid4()))
        status_code, stored = _post(f"{server.ingest}/v1/runs", json.loads(text))
        assert status_code == 201
        runs.append(stored["run_id"])
    live = str(uuid.uuid4())
    begun = {"run_id": live, "type": "run_started", "time": "2026-11-22T18:25:32Z"}
    _post(f"{server.ingest}/v1/events", [begun | {"agent_id": "support-agent", "agent_version": "v1.4.0"}])
    return [*runs, live]
