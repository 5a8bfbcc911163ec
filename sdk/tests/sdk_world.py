"""What the tests of the SDK run against: servers that can be killed, a network that misbehaves, agents of their own."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
PROVES = os.environ.get("AGENTTRACER_PROVE") == "1"
TIMEOUT_S = 60.0


def wait_until(condition: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Waits for something that another thread or process does."""
    deadline = time.monotonic() + timeout_s
    waiter = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        waiter.wait(0.01)


def get(query: str, path: str) -> Any:  # noqa: ANN401 - whatever the server says
    """What the server answers to a question; nothing when it is a 404."""
    try:
        with urllib.request.urlopen(query + path, timeout=30) as answer:  # noqa: S310 - our own server
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:  # noqa: PLR2004
                return None
            raise


class ServerProcess:
    """A real server on a directory, that can be killed and started again."""

    def __init__(self, binary: Path, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self._binary = binary
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.ingest = ""
        self.query = ""

    def start(self) -> ServerProcess:
        """Starts it, on ports that are free, and waits until it is ready."""
        addresses = self.folder / "data" / "run" / "addresses.json"
        addresses.unlink(missing_ok=True)
        command = [str(self._binary), "serve", "--data-dir", str(self.folder / "data"), *self._options]
        command += ["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0", "--ui-addr", "off"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the program under test
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        wait_until(lambda: addresses.exists() or self._is_gone())
        if self._is_gone():
            raise RuntimeError(f"the server did not start:\n{self.log.read_text()}")
        told = json.loads(addresses.read_text())
        self.ingest, self.query = f"http://{told['ingest']}", f"http://{told['query']}"
        return self

    def _is_gone(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """As `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(TIMEOUT_S)


@contextmanager
def server_process(binary: Path, folder: Path, *options: str) -> Iterator[ServerProcess]:
    """A server of one test."""
    folder.mkdir(parents=True, exist_ok=True)
    server = ServerProcess(binary, folder, *options).start()
    try:
        yield server
    finally:
        server.kill()


class Proxy(ThreadingHTTPServer):
    """Stands between agent and server, on an address that stays, and remembers every body.

    With faults, a part of the requests is dropped, delayed, cut on the way there or back, or answered with 429 or 503.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target: str, *, faults: float = 0.0, seed: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.target: str | None = target
        self.bodies: list[bytes] = []
        self.accepted = 0
        self.seen: Counter[str] = Counter()
        self._faults = faults
        self._random = random.Random(seed)  # noqa: S311 - for faults
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where agents send to."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fault(self) -> str:
        """What becomes of the next request."""
        with self._lock:
            if self._random.random() >= self._faults:
                fault = "none"
            else:
                kinds = ("dropped", "delayed", "cut_there", "answer_lost", "answer_cut", "429", "503")
                fault = self._random.choice(kinds)
            self.seen[fault] += 1
            return fault

    def took(self, answer: bytes) -> None:
        """Remembers how many items the server said were new."""
        with self._lock:
            self.accepted += json.loads(answer)["accepted"]

    def handle_error(self, *_: object) -> None:
        """An agent that hangs up is none of our errors."""


class _ProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_POST(self) -> None:
        fault = "none" if self.server.target is None else self.server.fault()
        length = int(self.headers["Content-Length"])
        if fault == "cut_there":
            self.rfile.read(length // 2)
            return self._hang_up()
        body = self.rfile.read(length)
        self.server.bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
        if self.server.target is None or fault == "dropped":
            return self._hang_up()
        if fault in {"429", "503"}:
            return self._answer(int(fault), b"{}", {"Retry-After": "0"} if fault == "429" else {})
        if fault == "delayed":
            time.sleep(0.02)
        status, answer = self._forward(body)
        if status is None or fault == "answer_lost":
            return self._hang_up()
        return self._answer(status, answer, {}, cut=fault == "answer_cut")

    def _forward(self, body: bytes) -> tuple[int | None, bytes]:
        url = urlsplit(self.server.target or "")
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT_S)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        try:
            connection.request("POST", self.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()
        if response.status == 200:  # noqa: PLR2004
            self.server.took(answer)
        return response.status, answer

    def _answer(self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body)), "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def proxy(target: str, *, faults: float = 0.0, seed: int = 1) -> Iterator[Proxy]:
    """A proxy of one test."""
    made = Proxy(target, faults=faults, seed=seed)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def agent(program: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """An agent in a process of its own, with the SDK as it is installed for this one."""
    # From 3.12 on Python itself warns whoever forks with threads about: not what is asked here.
    quiet = "-Wignore:This process:DeprecationWarning"
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, quiet, "-c", textwrap.dedent(program), *map(str, arguments)],
        env={**os.environ, **environment},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Waits for the agent: its exit code, what it printed, what it complained about."""
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err
