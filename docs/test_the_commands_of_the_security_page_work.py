"""The commands of `security.md`, on a directory of their own, with a server that runs meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.support import served

TAKEN_UP_WITHIN_S = 5.0


def _run(agenttracer: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(agenttracer), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)  # noqa: S603


def _status(url: str, key: str) -> int:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _becomes(url: str, key: str, status: int) -> bool:
    deadline = time.monotonic() + TAKEN_UP_WITHIN_S
    while time.monotonic() < deadline:
        if _status(url, key) == status:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def guarded(agenttracer: Path, tmp_path: Path) -> Iterator[tuple[Path, str, str]]:
    """A server that asks for keys: its data directory, the base of its read side, and a first key."""
    data_dir = tmp_path / "data"
    made = _run(agenttracer, "keys", "create", "--data-dir", data_dir, "--name", "first", "--scope", "query")
    assert made.returncode == 0, made.stderr
    with served(agenttracer, data_dir, "--require-keys") as base:
        yield data_dir, base, made.stdout.strip()


def test_keys_come_and_go_beside_a_server_that_runs(agenttracer: Path, guarded: tuple[Path, str, str]) -> None:
    data_dir, base, first = guarded
    runs = f"{base}/v1/runs"
    assert _status(runs, first) == 200
    assert _status(runs, "at_000000000000_0") == 401
    made = _run(agenttracer, "keys", "create", "--data-dir", data_dir, "--name", "b", "--scope", "query", "--json")
    key: dict[str, Any] = json.loads(made.stdout)
    assert _becomes(runs, key["key"], 200)
    rotated = _run(agenttracer, "keys", "rotate", "--data-dir", data_dir, key["key_id"])
    assert _becomes(runs, rotated.stdout.strip(), 200)
    assert _becomes(runs, key["key"], 401)
    assert _run(agenttracer, "keys", "revoke", "--data-dir", data_dir, key["key_id"]).returncode == 0
    assert _becomes(runs, rotated.stdout.strip(), 401)
    assert _status(runs, first) == 200

    listed = _run(agenttracer, "keys", "list", "--data-dir", data_dir)
    assert key["key_id"] in listed.stdout
    assert "revoked" in listed.stdout
    everything = listed.stdout + (data_dir / "keys.json").read_text()
    for text in (first, key["key"], rotated.stdout.strip()):
        assert text.rsplit("_", 1)[1] not in everything


def test_what_cannot_be_done_says_so(agenttracer: Path, tmp_path: Path) -> None:
    unknown = _run(agenttracer, "keys", "revoke", "--data-dir", tmp_path, "000000000000")
    assert (unknown.returncode, "no valid key" in unknown.stderr) == (1, True)
    scope = _run(agenttracer, "keys", "create", "--data-dir", tmp_path, "--name", "n", "--scope", "root")
    assert (scope.returncode, "ingest, query, erase or admin" in scope.stderr) == (64, True)
    open_to_all = _run(agenttracer, "serve", "--data-dir", tmp_path, "--query-addr", "0.0.0.0:0")
    assert open_to_all.returncode == 1
    for hint in ("query_addr 0.0.0.0:0", f"agenttracer keys create --data-dir {tmp_path}", "--insecure", "127.0.0.1"):
        assert hint in open_to_all.stderr, open_to_all.stderr
    assert not (tmp_path / "log").exists()
