"""What the tests of `deploy/` and `docs/` share: a server, one under load, and programs of Debian that CI must have."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

START_TIMEOUT_S = 30.0
AGENTS = ("support", "billing")


def needed(program: str, package: str) -> Path:
    """A program of Debian. Where CI runs it must be there; elsewhere its tests are skipped, and say so."""
    found = shutil.which(program)
    if found is None:
        why = f"{program} is not there: apt-get install --no-install-recommends {package}"
        if os.environ.get("AGENTTRACER_CI"):
            pytest.fail(why)
        pytest.skip(why)
    return Path(found)


def post(url: str, body: object) -> int:
    """Posts JSON; the status of the answer, whatever it is."""
    request = urllib.request.Request(  # noqa: S310
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    return _status(request)


def get(url: str) -> int:
    """The status of the answer."""
    return _status(urllib.request.Request(url))  # noqa: S310


def text(url: str) -> str:
    """What the server answers, which must be 200."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        return str(answer.read().decode())


def _status(request: urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def run(agent: str = "support", *, fails: bool = False, **fields: str) -> dict[str, Any]:
    """A whole run of one step."""
    times = {"started_at": "2026-11-25T10:00:00Z", "ended_at": "2026-11-25T10:00:01Z"}
    step = {"seq": 0, "step_type": "tool", "name": "billing_api", "latency_ms": 1000, **times}
    body: dict[str, Any] = {
        "run_id": str(uuid.uuid4()),
        "agent_id": agent,
        "agent_version": "v1",
        "environment": "production",
        "status": "failure" if fails else "success",
        **times,
        "steps": [step],
    }
    if fails:
        body["failure"] = {"failure_type": "tool", "failure_code": "timeout", "message": "no answer in 5 s"}
    return {**body, **fields}


def one_of_each(ingest: str, query: str) -> None:
    """Requests that make every counter move that a healthy server moves."""
    for agent in AGENTS:
        assert post(f"{ingest}/v1/runs", run(agent)) == HTTPStatus.CREATED
        assert post(f"{ingest}/v1/runs", run(agent, fails=True)) == HTTPStatus.CREATED
    again = run()
    assert [post(f"{ingest}/v1/runs", again) for _ in range(2)] == [HTTPStatus.CREATED, HTTPStatus.OK]
    assert post(f"{ingest}/v1/runs", {}) == HTTPStatus.UNPROCESSABLE_ENTITY
    assert post(f"{ingest}/v1/runs", run(status="failure")) == HTTPStatus.CREATED
    assert post(f"{ingest}/v1/runs", run(session_id="a.person@example.com")) == HTTPStatus.CREATED
    private = run(fails=True)
    private["failure"]["message"] = "the password is wrong"
    assert post(f"{ingest}/v1/runs", private) == HTTPStatus.UNPROCESSABLE_ENTITY
    live = str(uuid.uuid4())
    event = {"run_id": live, "event_id": str(uuid.uuid4()), "time": "2026-11-25T10:00:00Z"}
    began = {**event, "type": "run_started", "agent_id": "live", "agent_version": "v1"}
    for _ in range(2):
        assert post(f"{ingest}/v1/events", [began]) == HTTPStatus.OK
    assert post(f"{ingest}/v1/events", [{"type": "nothing"}]) == HTTPStatus.OK
    for path in ("/v1/runs", "/v1/stats", f"/v1/runs/{live}"):
        assert get(query + path) == HTTPStatus.OK


@contextmanager
def load(ingest: str, query: str) -> Iterator[None]:
    """Such requests, one after the other, as long as the context lasts."""
    stop, failed = threading.Event(), []

    def requests() -> None:
        while not stop.wait(0.02):
            try:
                one_of_each(ingest, query)
            except (AssertionError, OSError) as error:
                failed.append(error)
                return

    thread = threading.Thread(target=requests)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failed, failed


@contextmanager
def served(agenttracer: Path, data_dir: Path, *more: str) -> Iterator[str]:
    """A server on loopback, as behind a proxy on its machine: the base of its read side."""
    command = [str(agenttracer), "serve", "--data-dir", str(data_dir), *more]
    command += ["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0", "--ui-addr", "off"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
    with subprocess.Popen(  # noqa: S603 - the program under test
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
    ) as process:
        try:
            addresses = data_dir / "run" / "addresses.json"
            deadline = time.monotonic() + START_TIMEOUT_S
            while not addresses.exists():
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server was not ready"
                time.sleep(0.02)
            yield f"http://{json.loads(addresses.read_text())['query']}"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
