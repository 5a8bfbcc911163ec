"""What the tests of `docs/` share: a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_S = 30.0


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
