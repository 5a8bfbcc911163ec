"""The commands of the quick start, one after the other in one shell, against a server of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

PAGE = (Path(__file__).parent / "quick-start.md").read_text()
PORTS = {"ingest": 8000, "query": 8001, "ui": 3000}
# They build from source, for minutes.
LEFT_OUT = ("make serve", "docker compose up -d")
END_OF_OUTPUT = "---- end of output ----"
# What differs from call to call, and what stands in its place when lines are compared.
CHANGES = {
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}": "ID",
    r"127\.0\.0\.1:\d+": "ADDRESS",
    r"\b\d\d:\d\d(:\d\d)?\b|\b\d\d-\d\d \d\d:\d\d\b": "TIME",
    r"in \d+(\.\d+)? (ms|s)\.": "in TIME.",
    r"\s+": " ",
}


class HasDataDir(Protocol):
    """The server that the root's `conftest.py` starts."""

    data_dir: Path


@dataclass(frozen=True)
class Command:
    """A command of a page and the lines that the page shows below it."""

    text: str
    shown: list[str]


def _commands(page: str) -> list[Command]:
    found = []
    for language, block in re.findall(r"^```(sh|console)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        if language == "sh":
            found.append(Command(block.rstrip("\n"), []))
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            text, *shown = part.splitlines()
            found.append(Command(text, shown))
    return [command for command in found if command.text not in LEFT_OUT]


def _masked(line: str) -> str:
    for pattern, mask in CHANGES.items():
        line = re.sub(pattern, mask, line)
    return line.strip()


def _missing(shown: list[str], printed: list[str]) -> list[str]:
    """The lines of `shown` that are not in `printed` in this order; `...` stands for any number of lines."""
    rest = iter([_masked(line) for line in printed])
    return [line for line in shown if line != "..." and _masked(line) not in rest]


@pytest.fixture(scope="module")
def addresses(
    serve: Callable[[Path], AbstractContextManager[HasDataDir]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    with serve(tmp_path_factory.mktemp("quick_start")) as server:
        yield json.loads((server.data_dir / "run" / "addresses.json").read_text())


def _here(text: str, addresses: dict[str, str]) -> str:
    for name, port in PORTS.items():
        text = text.replace(f"localhost:{port}", addresses[name])
    return text


@pytest.fixture(scope="module")
def printed(
    addresses: dict[str, str], agenttracer: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Command, list[str]]]:
    """Each command with what it printed."""
    folder = tmp_path_factory.mktemp("clone")
    binaries = folder / "target" / "release"
    binaries.mkdir(parents=True)
    (binaries / "agenttracer").symlink_to(agenttracer.resolve())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
    environment["AGENTTRACER_INGEST_URL"] = f"http://{addresses['ingest']}"
    environment["AGENTTRACER_QUERY_URL"] = f"http://{addresses['query']}"
    commands = _commands(PAGE)
    script = "".join(f"{_here(command.text, addresses)}\necho '{END_OF_OUTPUT}'\n" for command in commands)
    ran = subprocess.run(  # noqa: S603 - the page under test
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607 - bash is where the path says
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    outputs = ran.stdout.split(f"{END_OF_OUTPUT}\n")
    assert ran.returncode == 0, f"{commands[len(outputs) - 1].text}\n{outputs[-1]}\n{ran.stderr}"
    return [(command, output.splitlines()) for command, output in zip(commands, outputs, strict=False)]


def test_every_command_prints_what_the_page_shows(printed: list[tuple[Command, list[str]]]) -> None:
    assert len([command for command, _ in printed if command.shown]) > 5
    for command, lines in printed:
        assert _missing(command.shown, lines) == [], f"{command.text}\n" + "\n".join(lines)


def test_every_page_of_the_dashboard_that_is_named_is_there(
    printed: list[tuple[Command, list[str]]], addresses: dict[str, str]
) -> None:
    (shown,) = ("\n".join(lines) for command, lines in printed if command.text.startswith("agenttracer run "))
    run_id = re.search(r"^  run +(\S+)$", shown, re.MULTILINE)
    assert run_id is not None
    links = re.findall(r"<(http://localhost:3000[^>]*)>", PAGE)
    assert len(links) > 2
    for link in links:
        url = _here(link.replace("RUN_ID", run_id[1]), addresses)
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": "text/html"}), timeout=30) as answer:  # noqa: S310
            assert answer.headers.get_content_type() == "text/html"


def test_what_is_left_out_is_on_the_page() -> None:
    blocks = re.findall(r"^```sh\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
    assert [text for text in LEFT_OUT if text not in blocks] == []


def test_a_line_that_is_not_printed_is_found() -> None:
    printed = ["2,000 runs in 0.4 s.", "one", "two  at 09:00:00", "three"]
    assert _missing(["2,000 runs in 1.2 s.", "...", "two at 10:11:12", "three"], printed) == []
    assert _missing(["2,001 runs in 0.4 s."], printed) == ["2,001 runs in 0.4 s."]
    assert _missing(["three", "two at 09:00:00"], printed) == ["two at 09:00:00"]
