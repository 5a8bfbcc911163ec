"""The commands of "Check it yourself" in `data-flow.md`, on a server of their own: each prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

SECTION = (Path(__file__).parent / "data-flow.md").read_text().partition("\n## Check it yourself\n")[2]


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


def commands(part: str) -> list[tuple[str, str]]:
    """Each command with what the page shows below it."""
    blocks = re.findall(r"^```console\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    shown = [command.partition("\n") for block in blocks for command in re.split(r"^\$ ", block, flags=re.MULTILINE)]
    return [(command, output.strip()) for command, _, output in shown if command]


def printed(command: str, folder: Path, agenttracer: Path) -> str:
    environment = os.environ | {"PATH": f"{agenttracer.resolve().parent}:{os.environ['PATH']}"}
    # The exit code is that of `grep -c`, which is 1 where nothing is found.
    ran = subprocess.run(  # noqa: S603 - the page under test
        ["bash", "-c", command],  # noqa: S607 - bash is where the path says
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout.strip()


def test_the_word_goes_nowhere(
    serve: Callable[[Path], AbstractContextManager[HasAddresses]], agenttracer: Path, tmp_path: Path
) -> None:
    (sent,) = re.findall(r"^```json\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
    (tmp_path / "run.json").write_text(sent)
    while_served, stop, stopped = SECTION.partition("\nStop the server.")
    assert stop
    with serve(tmp_path) as server:
        for command, shown in commands(while_served):
            here = command.replace("http://localhost:8000", server.ingest)
            here = here.replace("http://localhost:8001", server.query)
            assert printed(here, tmp_path, agenttracer) == shown, command
    for command, shown in commands(stopped):
        assert printed(command, tmp_path, agenttracer) == shown, command
    assert (len(commands(while_served)), len(commands(stopped))) == (3, 3)
    # Where nothing was removed the word would be found: so the search finds what is there.
    assert printed("grep -rl zebra7731 run.json | wc -l", tmp_path, agenttracer) == "1"
