from __future__ import annotations

import gzip
import json
import threading
from typing import Any

import pytest
from agenttrace import AgentTracer, Stats
from agenttrace.testing import Answer, FakeClock, InMemoryTransport


def record(tracer: AgentTracer, runs: int = 1) -> None:
    for _ in range(runs):
        with tracer.start_run():
            pass


def batch_sizes(transport: InMemoryTransport) -> list[int]:
    return [len(request.items) for request in transport.requests]


def assert_all_counted(stats: Stats) -> None:
    assert stats.finished == stats.queued + stats.spooled + stats.sent + stats.rejected + stats.dropped
    assert stats.dropped == sum(stats.dropped_by_reason.values())


def rejecting(index: int, status: int, *, accepted: int, loc: list[Any] | None = None) -> Answer:
    errors = [] if loc is None else [{"type": "string_too_long", "loc": loc, "msg": "..."}]
    rejected = [{"index": index, "run_id": None, "status": status, "errors": errors}]
    said = {"accepted": accepted, "duplicates": 0, "rejected": rejected, "removed": {"prose": 2, "key": 1}}
    return Answer(200, {}, json.dumps(said).encode())


class StuckTransport(InMemoryTransport):
    """Holds every request until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.release = threading.Event()

    def post(self, *args: Any, **kwargs: Any) -> Answer:
        self.arrived.set()
        assert self.release.wait(10)
        return super().post(*args, **kwargs)


@pytest.fixture
def stuck() -> StuckTransport:
    return StuckTransport()


def record_behind_one_in_flight(tracer: AgentTracer, transport: StuckTransport, runs: int) -> None:
    """One run alone, and `runs` more that wait while it is in flight."""
    record(tracer)
    assert transport.arrived.wait(10)
    record(tracer, runs)
    transport.release.set()


def test_the_first_run_goes_at_once_and_the_next_ones_together(stuck: StuckTransport, clock: FakeClock) -> None:
    with AgentTracer("a", "1", transport=stuck, clock=clock) as tracer:
        record_behind_one_in_flight(tracer, stuck, 5)
        assert tracer.flush()
        assert batch_sizes(stuck) == [1, 5]
    assert stuck.requests[0].path == "/v1/runs/batch"
    assert stuck.requests[0].headers["Content-Type"] == "application/json"


def test_runs_wait_for_company_when_they_are_told_to(transport: InMemoryTransport, clock: FakeClock) -> None:
    with AgentTracer("a", "1", transport=transport, clock=clock, flush_interval_s=1.0) as tracer:
        record(tracer, 3)
        assert clock.next_wake_s() == 1.0
        assert transport.requests == []
        clock.advance(1.0)
        assert tracer.flush()
        assert batch_sizes(transport) == [3]


def test_a_batch_is_bounded_in_number(stuck: StuckTransport) -> None:
    with AgentTracer("a", "1", transport=stuck, max_batch_runs=4) as tracer:
        record_behind_one_in_flight(tracer, stuck, 9)
        assert tracer.flush()
        assert batch_sizes(stuck) == [1, 4, 4, 1]
        assert tracer.stats().sent == 10


def test_a_batch_is_bounded_in_bytes(stuck: StuckTransport) -> None:
    with AgentTracer("a", "1", transport=stuck, max_batch_bytes=1) as tracer:
        record_behind_one_in_flight(tracer, stuck, 2)
    assert batch_sizes(stuck) == [1, 1, 1]


def test_flush_says_that_nothing_waits(tracer: AgentTracer) -> None:
    assert tracer.flush(0)


def test_large_bodies_go_compressed(stuck: StuckTransport) -> None:
    with AgentTracer("a", "1", transport=stuck, api_key="k-1") as tracer:
        record_behind_one_in_flight(tracer, stuck, 20)
    assert stuck.requests[-1].headers["Content-Encoding"] == "gzip"
    assert stuck.requests[-1].headers["Authorization"] == "Bearer k-1"


def test_a_run_whose_answer_was_lost_is_sent_again_with_longer_pauses(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    transport.answer_next(ConnectionResetError(), TimeoutError(), Answer(503), Answer(500))
    record(tracer)
    for longest in (0.25, 0.5, 1.0, 2.0):
        pause = clock.next_wake_s()
        assert longest / 2 <= pause <= longest
        clock.advance(pause)
    assert tracer.flush()
    assert len(transport.runs) == 1
    assert len({request.items[0]["run_id"] for request in transport.requests}) == 1
    stats = tracer.stats()
    assert (stats.sent, stats.retries, stats.dropped) == (1, 4, 0)
    assert stats.last_error == "HTTP 500"


def test_retry_after_is_kept_even_by_a_flush(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    transport.answer_next(
        Answer(429, {"retry-after": "7"}), Answer(503, {"retry-after": "Thu, 01 Jan 2026 12:01:00 GMT"})
    )
    record(tracer)
    assert clock.next_wake_s() == 7.0
    assert not tracer.flush(0.01)
    assert len(transport.requests) == 1
    clock.advance(7.0)
    # It is 12:00:07 now.
    assert clock.next_wake_s() == 53.0
    clock.advance(53.0)
    assert tracer.flush()
    assert tracer.stats().sent == 1


def test_a_flush_cuts_our_own_pause_short(tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock) -> None:
    transport.answer_next(ConnectionRefusedError())
    record(tracer)
    assert clock.next_wake_s() < 1.0
    assert tracer.flush()
    assert tracer.stats().sent == 1


def test_one_rejected_run_costs_no_other(stuck: StuckTransport, caplog: pytest.LogCaptureFixture) -> None:
    with AgentTracer("a", "1", transport=stuck) as tracer:
        stuck.answer_next(
            rejecting(0, 503, accepted=0), rejecting(1, 422, accepted=2, loc=["body", "steps", 0, "name"])
        )
        record_behind_one_in_flight(tracer, stuck, 2)
        assert tracer.flush()
        stats = tracer.stats()
        assert (stats.sent, stats.rejected, stats.dropped, stats.removed_by_server) == (2, 1, 0, 6)
        assert stats.last_error == "rejected with 422: body.steps.0.name string_too_long"
        assert_all_counted(stats)
    assert "422: body.steps.0.name string_too_long" in caplog.text


@pytest.mark.parametrize("status", [409, 410, 413, 422])
def test_some_refusals_are_final(tracer: AgentTracer, transport: InMemoryTransport, status: int) -> None:
    transport.answer_next(rejecting(0, status, accepted=0))
    record(tracer)
    assert tracer.flush()
    stats = tracer.stats()
    assert (stats.rejected, stats.retries, len(transport.requests)) == (1, 0, 1)
    assert_all_counted(stats)


def test_a_run_that_the_server_had_no_room_for_is_sent_again_alone(stuck: StuckTransport, clock: FakeClock) -> None:
    with AgentTracer("a", "1", transport=stuck, clock=clock) as tracer:
        record_behind_one_in_flight(tracer, stuck, 0)
        assert tracer.flush()
        stuck.release.clear()
        stuck.arrived.clear()
        record(tracer)
        assert stuck.arrived.wait(10)
        stuck.answer_next(rejecting(0, 503, accepted=0), rejecting(2, 503, accepted=3))
        record(tracer, 3)
        stuck.release.set()
        for _ in range(2):
            clock.advance(clock.next_wake_s())
        assert tracer.flush()
        assert batch_sizes(stuck) == [1, 1, 4, 1]
        assert stuck.requests[-1].items[0] == stuck.requests[-2].items[2]
        assert tracer.stats().sent == 5


def test_a_batch_that_is_too_large_goes_in_parts(stuck: StuckTransport) -> None:
    with AgentTracer("a", "1", transport=stuck) as tracer:
        record(tracer)
        assert stuck.arrived.wait(10)
        record(tracer, 8)
        stuck.answer_next(Answer(200, {}, b'{"accepted":1,"duplicates":0,"rejected":[],"removed":{}}'))
        stuck.answer_next(Answer(413), Answer(413))
        stuck.release.set()
        assert tracer.flush()
        assert batch_sizes(stuck) == [1, 8, 4, 2, 4, 2]
        assert (tracer.stats().sent, tracer.stats().retries) == (9, 0)


def test_a_run_that_is_too_large_by_itself_is_dropped(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    transport.answer_next(Answer(413))
    record(tracer)
    assert tracer.flush()
    assert tracer.stats().dropped_by_reason == {"too_large": 1}
    assert_all_counted(tracer.stats())


@pytest.mark.parametrize("status", [400, 406, 422])
def test_a_refused_batch_is_not_sent_again(tracer: AgentTracer, transport: InMemoryTransport, status: int) -> None:
    transport.answer_next(Answer(status))
    record(tracer)
    assert tracer.flush()
    assert len(transport.requests) == 1
    assert tracer.stats().rejected == 1
    assert tracer.stats().last_error == f"HTTP {status}"


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
def test_a_mistake_in_the_configuration_loses_nothing(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock, status: int
) -> None:
    transport.answer_next(Answer(status))
    record(tracer)
    # Not soon: somebody has to mend it.
    assert 15 <= clock.next_wake_s() <= 30
    clock.advance(30)
    assert tracer.flush()
    assert (tracer.stats().sent, tracer.stats().last_error) == (1, f"HTTP {status}")


def test_a_run_over_which_the_server_breaks_is_given_up_and_no_other() -> None:
    class Breaking(InMemoryTransport):
        def post(self, path: str, body: bytes, headers: Any, timeout_s: float) -> Answer:
            if b'"agent_id":"bad"' in (gzip.decompress(body) if "Content-Encoding" in headers else body):
                return Answer(500)
            return super().post(path, body, headers, timeout_s)

    transport = Breaking()
    with AgentTracer("a", "1", transport=transport, first_retry_s=0.001, longest_retry_s=0.002) as tracer:
        record(tracer, 10)
        with tracer.start_run() as parent, parent.start_child("bad"):
            pass
        record(tracer, 10)
        # It is to blame only when others went through meanwhile.
        while not tracer.stats().dropped:
            record(tracer)
            tracer.flush(0.01)
        assert tracer.flush(10)
        stats = tracer.stats()
        assert stats.dropped_by_reason == {"undeliverable": 1}
        assert stats.sent == stats.finished - 1
        assert_all_counted(stats)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in</html>",
        b"[]",
        b'{"accepted":0,"duplicates":0,"rejected":[],"removed":0}',
        b'{"accepted":0,"duplicates":0,"rejected":[{"index":5,"status":422}],"removed":0}',
    ],
)
def test_an_answer_of_something_else_is_no_delivery(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock, body: bytes
) -> None:
    transport.answer_next(Answer(200, {}, body))
    record(tracer)
    clock.advance(clock.next_wake_s())
    assert tracer.flush()
    assert len(transport.runs) == 1
    assert tracer.stats().retries == 1


def test_a_full_queue_drops_the_newest_and_counts_it(stuck: StuckTransport, caplog: pytest.LogCaptureFixture) -> None:
    tracer = AgentTracer("a", "1", transport=stuck, max_queue_runs=5)
    record(tracer)
    assert stuck.arrived.wait(10)
    record(tracer, 8)
    stats = tracer.stats()
    assert (stats.queued, stats.dropped_by_reason) == (6, {"queue_full": 3})
    assert_all_counted(stats)
    assert "runs are dropped (queue_full)" in caplog.text
    stuck.release.set()
    assert tracer.close()
    assert tracer.stats().sent == 6
    assert_all_counted(tracer.stats())


def test_the_queue_is_bounded_in_bytes(stuck: StuckTransport) -> None:
    tracer = AgentTracer("a", "1", transport=stuck, max_queue_bytes=1_000)
    record(tracer)
    assert stuck.arrived.wait(10)
    record(tracer, 100)
    stats = tracer.stats()
    assert 0 < stats.queued < 10
    assert stats.dropped_by_reason == {"queue_full": 101 - stats.queued}
    stuck.release.set()
    tracer.close()


def test_close_is_bounded_and_counts_what_is_left(stuck: StuckTransport) -> None:
    tracer = AgentTracer("a", "1", transport=stuck)
    record(tracer, 3)
    assert stuck.arrived.wait(10)
    assert not tracer.close(timeout_s=0.05)
    stats = tracer.stats()
    assert (stats.queued, stats.dropped_by_reason) == (0, {"closed": 3})
    # The answer that comes too late changes no count.
    stuck.release.set()
    record(tracer)
    assert tracer.stats().dropped_by_reason == {"closed": 4}
    assert_all_counted(tracer.stats())
    assert tracer.close()


def test_close_sends_what_waits(transport: InMemoryTransport, clock: FakeClock) -> None:
    tracer = AgentTracer("a", "1", transport=transport, clock=clock, flush_interval_s=60)
    record(tracer, 2)
    assert tracer.close()
    assert len(transport.runs) == 2


def test_many_threads_lose_nothing(transport: InMemoryTransport) -> None:
    with AgentTracer("a", "1", transport=transport, max_queue_runs=10_000) as tracer:
        threads = [threading.Thread(target=record, args=(tracer, 100)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tracer.flush(30)
        assert tracer.stats().sent == 800
    assert len(transport.runs) == 800
