"""What others may do to the ingest listener while agents send their runs."""

from __future__ import annotations

import http.client
import json
import os
import resource
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deploy.support import run

if TYPE_CHECKING:
    from conftest import Serve

MIB = 1 << 20
SLOW, IDLE, CLIENTS = 2000, 200, 8
MEASURED_S = 8.0
LEAST_SHARE = 0.7


def _anon_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:"))) * 1024


def _bomb(raw_bytes: int) -> bytes:
    """A body of JSON that is so long decompressed, and a thousandth of that on the wire."""
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [press.compress(b'{"agent_id": "')]
    pieces += [press.compress(b"a" * MIB) for _ in range(raw_bytes // MIB)]
    return b"".join([*pieces, press.compress(b'"}'), press.flush()])


def test_a_gibibyte_that_comes_as_a_mebibyte_costs_little(serve: Serve, tmp_path: Path) -> None:
    bomb = _bomb(1024 * MIB)
    assert len(bomb) < 2 * MIB
    with serve(tmp_path) as server:
        pid = int((server.data_dir / "LOCK").read_text().split()[0])
        before, stop = _anon_bytes(pid), threading.Event()
        peak = before

        def watch() -> None:
            nonlocal peak
            while not stop.wait(0.002):
                peak = max(peak, _anon_bytes(pid))

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            for path in ("/v1/runs", "/v1/runs/batch", "/v1/events"):
                headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
                request = urllib.request.Request(server.ingest + path, data=bomb, headers=headers)  # noqa: S310
                with pytest.raises(urllib.error.HTTPError) as answer:
                    urllib.request.urlopen(request, timeout=60)  # noqa: S310
                answer.value.close()
                assert answer.value.code == 413, path
        finally:
            stop.set()
            watching.join()
    sys.stderr.write(f"1 GiB in {len(bomb)} bytes: RssAnon grew by {(peak - before) / MIB:.1f} MiB\n")
    assert peak - before < 100 * MIB


def _runs_a_second(host: str) -> float:
    """What `CLIENTS` connections get acknowledged, one run at a time each."""
    done, stop = [0] * CLIENTS, threading.Event()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        while not stop.is_set():
            connection.request("POST", "/v1/runs", json.dumps(run()), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201
            done[number] += 1
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    time.sleep(MEASURED_S)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - began)


@contextmanager
def _attack(host: str) -> Iterator[None]:
    """`SLOW` connections send a head byte by byte, and come back when they are cut off; `IDLE` ones send nothing."""
    name, _, port = host.partition(":")
    address = (name, int(port))
    stop, head = threading.Event(), b"POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"a" * 1000
    idle = [socket.create_connection(address, 10) for _ in range(IDLE)]
    slow = [socket.create_connection(address, 10) for _ in range(SLOW)]

    def trickle() -> None:
        at = 0
        while not stop.wait(1.0):
            for number, connection in enumerate(slow):
                try:
                    connection.send(head[at % len(head) :][:1])
                except OSError:
                    connection.close()
                    slow[number] = socket.create_connection(address, 10)
            at += 1

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for connection in idle + slow:
            connection.close()


@pytest.mark.skipif(not os.environ.get("AGENTTRACER_PROVE"), reason="it measures time: `make prove`")
def test_slow_and_idle_connections_leave_ingest_its_speed(serve: Serve, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        with serve(tmp_path) as server:
            host = server.ingest.removeprefix("http://")
            _runs_a_second(host)
            # Alternating, since a machine has other work that comes and goes.
            alone, attacked = [], []
            for _ in range(3):
                alone.append(_runs_a_second(host))
                with _attack(host):
                    attacked.append(_runs_a_second(host))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    share = sum(attacked) / sum(alone)
    load = os.getloadavg()[0]
    sys.stderr.write(f"runs/s alone {alone}, under attack {attacked}: {share:.2f}, load of the machine {load:.1f}\n")
    assert share > LEAST_SHARE
