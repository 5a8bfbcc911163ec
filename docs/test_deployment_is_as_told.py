"""The figures of `deployment.md` are those of the README, its bounds those of the code, and its proxy gets through."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.support import START_TIMEOUT_S, served

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "deployment.md").read_text()
NAME = "agents.example.com"
MIB = 1 << 20

# Where the code says what the page says, in the order of the page's table.
BOUNDS = {
    "runs that are not in the index yet": ("index/src/options.rs", "hot_bytes"),
    "the index's writer": ("index/src/options.rs", "writer_heap_bytes"),
    "live runs at hand": ("index/src/options.rs", "live_bytes"),
    "batches that wait for the log": ("storage/src/segmented.rs", "queue_bytes"),
    "bodies of requests": ("ingest/src/routes.rs", "in_flight_limit_bytes"),
    "answers that nobody has read": ("query/src/state.rs", "max_held_bytes"),
    "cached runs": ("query/src/state.rs", "cache_bytes"),
}


def number(file: str, name: str) -> int:
    """A default of the code, like `64 << 20` or `64_000_000`."""
    found = re.search(rf"^\s*{name}: ([0-9_]+)(?: << ([0-9]+))?,$", (ROOT / file).read_text(), re.MULTILINE)
    assert found is not None, f"{file} has no default {name}"
    return int(found[1]) << int(found[2] or 0)


def test_the_bounds_of_memory_are_those_of_the_code() -> None:
    told = dict(re.findall(r"^\| ([^|]+) \| (\d+ Mi?B) \|", PAGE, re.MULTILINE))
    units = {"MiB": MIB, "MB": 1_000_000}
    bytes_told = {what: int(size.split()[0]) * units[size.split()[1]] for what, size in told.items()}
    assert bytes_told == {what: number(*place) for what, place in BOUNDS.items()}
    total = re.search(r"at most about (\d+) MiB", PAGE)
    assert total is not None
    assert 0 <= int(total[1]) * MIB - sum(bytes_told.values()) < 8 * MIB
    bits = re.search(r"BITS_PER_KEY: u64 = (\d+);", (ROOT / "index/src/run_ids.rs").read_text())
    assert bits is not None
    assert re.search(rf"runs kept . {int(bits[1]) // 8} bytes", PAGE)


def test_the_figures_and_their_commands_are_those_of_the_readme() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    table = re.search(r"^\| question \| figure \| command \|\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table is not None
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table[1].splitlines()]
    figures = [figure for _, told, _ in rows for figure in re.findall(r"\d[\d.,]*\d(?: to [\d.]+)?(?: ms)?", told)]
    assert len(figures) > 7
    assert [figure for figure in figures if figure not in readme] == []
    commands = {command for _, _, told in rows for command in re.findall(r"`([^`]+)`", told)}
    assert len(commands) == 3
    assert [command for command in commands if command not in readme] == []


def status(url: str, headers: dict[str, str], body: dict[str, str] | None = None) -> int:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers | {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def key(agenttracer: Path, tmp_path: Path) -> str:
    command = [str(agenttracer), "keys", "create", "--data-dir", str(tmp_path / "data")]
    command += ["--name", "page", "--scope", "query"]
    made = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return made.stdout.strip()


def test_a_proxy_that_passes_the_host_on_gets_through_with_keys(agenttracer: Path, tmp_path: Path, key: str) -> None:
    with served(agenttracer, tmp_path / "data", "--require-keys") as base:
        bearer = {"Authorization": f"Bearer {key}"}
        assert status(f"{base}/v1/stats", {"Host": NAME} | bearer) == 200
        assert status(f"{base}/v1/stats", {"Host": NAME}) == 401
        page = {"Origin": f"https://{NAME}"}
        assert status(f"{base}/v1/session", {"Host": NAME} | page, {"key": key}) == 200
        assert status(f"{base}/v1/session", page, {"key": key}) == 403


def test_without_keys_only_local_hosts_are_answered(agenttracer: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with served(agenttracer, data_dir) as base:
        assert status(f"{base}/v1/stats", {}) == 200
        assert status(f"{base}/v1/stats", {"Host": NAME}) == 403


def sizes(folder: Path) -> list[int]:
    """The lengths of the files; one that is given its name meanwhile is not there yet."""
    found = []
    for file in folder.iterdir():
        with suppress(FileNotFoundError):
            found.append(file.stat().st_size)
    return found


def test_an_empty_directory_takes_three_segments(agenttracer: Path, tmp_path: Path) -> None:
    segment = MIB
    log = tmp_path / "data" / "log"
    with served(agenttracer, tmp_path / "data", "--segment-bytes", str(segment)):
        deadline = time.monotonic() + START_TIMEOUT_S
        # The spare and the reserve are made in the background.
        while (found := sizes(log)) != [segment] * 3:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
    default = number("server/src/config.rs", "segment_bytes")
    assert f"{3 * default // MIB} MiB by default, also when empty" in PAGE
