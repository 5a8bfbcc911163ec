"""The real server, for the tests of the SDK, the examples and the contract."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Server:
    """A server that runs, on ports that were free."""

    ingest: str
    """The base of the write side, like `http://127.0.0.1:41231`."""
    query: str
    """The base of the read side."""
    data_dir: Path
    log: Path
    """What it printed."""


def _addresses(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> dict[str, str]:
    """Waits for the file that a server writes once it is ready."""
    path = data_dir / "run" / "addresses.json"
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server exited with {process.returncode}:\n{log.read_text()}")
        if path.exists():
            addresses: dict[str, str] = json.loads(path.read_text())
            return addresses
        time.sleep(0.02)
    raise TimeoutError(f"the server was not ready in {START_TIMEOUT_S} s:\n{log.read_text()}")


@pytest.fixture(scope="session")
def agenttracer() -> Path:
    """The program under test: `AGENTTRACER_BIN`, or the debug build."""
    binary = Path(os.environ.get("AGENTTRACER_BIN", ROOT / "target" / "debug" / "agenttracer"))
    if shutil.which(binary) is None:
        raise RuntimeError(f"{binary} is not there: `cargo build`, or set AGENTTRACER_BIN")
    return binary


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


Serve = Callable[[Path], AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def serve(agenttracer: Path) -> Serve:
    """Serves a directory as long as the context lasts, and sees to it that the server stops as it should."""

    @contextmanager
    def serving(folder: Path) -> Iterator[Server]:
        data_dir, log = folder / "data", folder / "log"
        command = [str(agenttracer), "serve", "--data-dir", str(data_dir)]
        command += ["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0", "--ui-addr", "127.0.0.1:0"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - the program under test
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        try:
            addresses = _addresses(process, data_dir, log)
            yield Server(f"http://{addresses['ingest']}", f"http://{addresses['query']}", data_dir, log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        assert code == 0, f"the server exited with {code}:\n{log.read_text()}"

    return serving


@pytest.fixture(scope="session")
def server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an empty data directory, for all tests of the session."""
    with serve(tmp_path_factory.mktemp("server")) as server:
        yield server
