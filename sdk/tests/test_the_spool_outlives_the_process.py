from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from agenttrace import AgentTracer
from agenttrace._items import Item, Kind
from agenttrace._notes import Notes
from agenttrace._spool import Spool
from agenttrace.testing import Answer, FakeClock, InMemoryTransport
from sdk_world import wait_until

OFTEN: dict[str, Any] = {"first_retry_s": 0.001, "longest_retry_s": 0.01}


class Switched(InMemoryTransport):
    """A server that can be switched off."""

    def __init__(self, *, on: bool) -> None:
        super().__init__()
        self.on = threading.Event()
        if on:
            self.on.set()

    def post(self, *args: Any, **kwargs: Any) -> Answer:
        if not self.on.is_set():
            raise ConnectionRefusedError
        return super().post(*args, **kwargs)


def record(tracer: AgentTracer, runs: int) -> set[str]:
    ids = set()
    for _ in range(runs):
        with tracer.start_run() as run, run.step("plan", "p"):
            ids.add(run.run_id)
    return ids


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.spool"))


def len_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in files(folder))


def items(count: int, size: int = 10) -> list[Item]:
    return [Item(b"%0*d" % (size, number), Kind.RUN, number) for number in range(1, count + 1)]


def take_all(spool: Spool) -> list[bytes]:
    taken: list[bytes] = []
    while batch := spool.take(7, 1 << 20):
        taken += [item.body for item in batch]
        spool.settle([])
    return taken


def test_runs_wait_on_disk_while_the_server_is_away_and_arrive_once(tmp_path: Path) -> None:
    transport = Switched(on=False)
    with AgentTracer("a", "1", transport=transport, spool_dir=tmp_path, max_queue_runs=50, **OFTEN) as tracer:
        ids: set[str] = set()
        for _ in range(20):
            ids |= record(tracer, 40)
            wait_until(lambda: tracer.stats().queued < 10)
        stats = tracer.stats()
        assert (stats.finished, stats.dropped, stats.sent) == (800, 0, 0)
        assert stats.spooled > 700
        (file,) = files(tmp_path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        transport.on.set()
        assert tracer.flush(30)
        stats = tracer.stats()
        assert (stats.sent, stats.spooled, stats.queued, stats.dropped) == (800, 0, 0, 0)
        assert {run["run_id"] for run in transport.runs} == ids
        assert sum(len(request.items) for request in transport.requests) == 800
    assert files(tmp_path) == []


def test_what_one_process_leaves_the_next_one_sends(tmp_path: Path) -> None:
    away, back = Switched(on=False), Switched(on=True)
    first = AgentTracer("a", "1", transport=away, spool_dir=tmp_path, **OFTEN)
    ids = record(first, 30)
    assert not first.close()
    assert (first.stats().spooled, first.stats().dropped) == (30, 0)
    # Another agent, and another server, have nothing to do with them.
    with AgentTracer("b", "1", transport=back, spool_dir=tmp_path):
        pass
    with AgentTracer("a", "1", "http://other:1", transport=back, spool_dir=tmp_path):
        pass
    assert back.requests == []
    with AgentTracer("a", "2", transport=back, spool_dir=tmp_path) as second:
        wait_until(lambda: second.stats().recovered == 30)
        assert second.stats().finished == 0
    assert {run["run_id"] for run in back.runs} == ids
    assert files(tmp_path) == []


def test_a_file_whose_process_ends_later_is_found_later(tmp_path: Path, clock: FakeClock) -> None:
    ending = AgentTracer("a", "1", transport=Switched(on=False), spool_dir=tmp_path, **OFTEN)
    record(ending, 5)
    wait_until(lambda: ending.stats().spooled == 5)
    back = Switched(on=True)
    with AgentTracer("a", "1", transport=back, spool_dir=tmp_path, clock=clock) as next_one:
        assert clock.next_wake_s() == 30.0
        assert next_one.stats().recovered == 0
        ending.close()
        clock.advance(30.0)
        wait_until(lambda: next_one.stats().recovered == 5)


def test_drops_are_counted_exactly_when_there_is_no_room_left(tmp_path: Path) -> None:
    transport = Switched(on=False)
    tracer = AgentTracer(
        "a",
        "1",
        transport=transport,
        spool_dir=tmp_path,
        max_spool_bytes=20_000,
        max_queue_runs=10,
        **OFTEN,
    )
    record(tracer, 2)
    wait_until(lambda: tracer.stats().spooled > 0)
    for _ in range(30):
        record(tracer, 10)
        wait_until(lambda: tracer.stats().queued == 0 or len_bytes(tmp_path) > 19_000)
    stats = tracer.stats()
    assert stats.finished == 302 == stats.queued + stats.spooled + stats.dropped
    assert stats.dropped_by_reason == {"queue_full": stats.dropped}
    assert stats.dropped > 100
    assert len_bytes(tmp_path) <= 20_000
    transport.on.set()
    assert tracer.flush(30)
    assert tracer.stats().sent == len(transport.runs) == 302 - stats.dropped
    tracer.close()


def test_a_folder_that_cannot_be_written_leaves_the_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    transport = Switched(on=False)
    with AgentTracer("a", "1", transport=transport, spool_dir=tmp_path / "file", **OFTEN) as tracer:
        record(tracer, 5)
        wait_until(lambda: tracer.stats().retries > 3)
        assert (tracer.stats().queued, tracer.stats().spooled) == (5, 0)
        transport.on.set()
        assert tracer.flush(10)
        assert tracer.stats().sent == 5
    assert "runs wait in memory alone" in caplog.text


def test_a_failed_write_leaves_the_items_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path, 1 << 20, Notes())
    assert spool.put(items(3)) == 3

    def fails(_: int) -> None:
        raise OSError(28, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        assert spool.put(items(5)) == 0
    assert take_all(spool) == [item.body for item in items(3)]
    assert spool.put(items(2)) == 2
    assert take_all(spool) == [item.body for item in items(2)]


def test_what_is_given_back_comes_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20, Notes())
    spool.put(items(5))
    batch = spool.take(4, 1 << 20)
    spool.settle(batch[2:])
    assert [item.number for item in spool.take(4, 1 << 20)] == [3, 4]
    spool.settle([])
    assert [item.number for item in spool.take(4, 1 << 20)] == [5]


@pytest.mark.parametrize("cut", [1, 5, 9, 12, 18, 19, 40])
def test_a_torn_tail_costs_what_was_torn_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    first = Spool(tmp_path, 1 << 20, Notes())
    first.put(items(10))
    first.close()
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:-cut])
    second = Spool(tmp_path, 1 << 20, Notes())
    second.take_over()
    whole = 10 - -(-cut // 19)
    assert take_all(second) == [item.body for item in items(whole)]
    if cut % 19:
        assert "torn" in caplog.text
    second.close()
    assert files(tmp_path) == []


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    first = Spool(tmp_path, 1 << 20, Notes())
    first.put(items(3))
    first.close()
    (file,) = files(tmp_path)
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        spool = Spool(tmp_path, 1 << 20, Notes())
        spool.take_over()
        taken = take_all(spool)
        spool.close()
        # The header is 18 bytes, a record 19.
        assert taken == [item.body for item in items(max(0, (place - 18) // 19) if place >= 18 else 0)]
        assert files(tmp_path) == []


def test_the_files_of_living_processes_are_left_alone(tmp_path: Path) -> None:
    living = Spool(tmp_path, 1 << 20, Notes())
    living.put(items(3))
    other = Spool(tmp_path, 1 << 20, Notes())
    other.take_over()
    assert not other.has_items
    living.close()
    other.take_over()
    third = Spool(tmp_path, 1 << 20, Notes())
    third.take_over()
    assert (other.has_items, third.has_items) == (True, False)
    assert len(take_all(other)) == 3


def test_several_processes_lose_nothing_and_send_nothing_twice(tmp_path: Path) -> None:
    """Each leaves runs behind, is killed, and takes over what it finds; in the end everything was taken over once."""
    program = """
        import os, signal, sys
        from pathlib import Path
        from agenttrace._items import Item, Kind
        from agenttrace._notes import Notes
        from agenttrace._spool import Spool

        number = int(sys.argv[2])
        spool = Spool(Path(sys.argv[1]), 1 << 20, Notes())
        safe = spool.put([Item(b"%d-%d" % (number, index), Kind.RUN, index + 1) for index in range(50)])
        assert safe == 50
        spool.take_over()
        spool.take(10, 1 << 20)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    agents = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(tmp_path), str(number)])  # noqa: S603
        for number in range(6)
    ]
    assert [agent.wait(60) for agent in agents] == [-9] * 6
    spool = Spool(tmp_path, 1 << 20, Notes())
    spool.take_over()
    assert sorted(take_all(spool)) == sorted(b"%d-%d" % (number, index) for number in range(6) for index in range(50))
    assert files(tmp_path) == []
