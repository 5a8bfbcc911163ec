from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[1]


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


def test_every_exit_code_is_told(agenttracer: Path) -> None:
    told = subprocess.run([agenttracer, "--help"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    page = (ROOT / "docs" / "operations.md").read_text()
    codes = re.findall(r"^  (\d+) +\S", told, re.MULTILINE)
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == codes
    assert len(codes) > 2


def test_every_curl_line_of_the_readme_is_answered(server: HasAddresses) -> None:
    step = {"seq": 0, "step_type": "plan", "name": "p", "latency_ms": 1}
    step |= {"started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:01Z"}
    run = {"agent_id": "a", "agent_version": "1", "status": "success", "started_at": "2026-01-01T00:00:00Z"}
    request = urllib.request.Request(  # noqa: S310
        f"{server.ingest}/v1/runs", json.dumps(run | {"steps": [step]}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        run_id = json.load(answer)["run_id"]
    paths = re.findall(r"curl -s '(?:http://)?localhost:8001(/[^']*)'", (ROOT / "README.md").read_text())
    assert len(paths) > 5
    for path in paths:
        with urllib.request.urlopen(server.query + path.replace("RUN_ID", run_id), timeout=30) as answer:  # noqa: S310
            assert json.load(answer) is not None
