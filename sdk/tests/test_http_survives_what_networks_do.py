from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from agenttrace import AgentTracer


class Server(ThreadingHTTPServer):
    """Takes batches, and remembers requests and connections."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], list[dict[str, Any]]]] = []
        self.connections = 0
        # Whether the connection is cut after an answer, without a word.
        self.cuts = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        runs = json.loads(body)
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, runs))
        answer = json.dumps({"accepted": len(runs), "duplicates": 0, "rejected": [], "removed": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = self.server.cuts

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def http() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def record(tracer: AgentTracer, runs: int = 1) -> None:
    for _ in range(runs):
        with tracer.start_run():
            pass
    assert tracer.flush(10)


def test_one_connection_is_kept(http: Server) -> None:
    with AgentTracer("a", "1", f"{http.url}/behind/a/proxy/", "test", "key-1") as tracer:
        for _ in range(5):
            record(tracer)
        assert tracer.stats().sent == 5
    assert http.connections == 1
    for path, headers, _ in http.requests:
        assert path == "/behind/a/proxy/v1/runs/batch"
        assert headers["authorization"] == "Bearer key-1"
        assert headers["content-type"] == "application/json"


def test_a_connection_that_was_cut_while_idle_costs_no_retry(http: Server) -> None:
    http.cuts = True
    with AgentTracer("a", "1", api_url=http.url) as tracer:
        for _ in range(5):
            record(tracer)
        stats = tracer.stats()
        assert (stats.sent, stats.retries, stats.last_error) == (5, 0, None)
    assert http.connections == 5


def test_many_runs_arrive_compressed_and_whole(http: Server) -> None:
    with AgentTracer("agént", "1", api_url=http.url) as tracer:
        record(tracer, 50)
        assert tracer.stats().sent == 50
    assert any(headers.get("content-encoding") == "gzip" for _, headers, _ in http.requests)
    assert {run["agent_id"] for _, _, runs in http.requests for run in runs} == {"agént"}


def test_without_a_server_and_a_spool_the_end_drops_and_counts(unused_port: int) -> None:
    tracer = AgentTracer("a", "1", api_url=f"http://127.0.0.1:{unused_port}", max_spool_bytes=0)
    with tracer.start_run():
        pass
    assert not tracer.close(10)
    stats = tracer.stats()
    assert stats.dropped_by_reason == {"closed": 1}
    assert stats.last_error == "no answer: ConnectionRefusedError"
