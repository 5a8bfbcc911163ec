from __future__ import annotations

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
    return [len(request.runs) for request in transport.requests]


def assert_all_counted(stats: Stats) -> None:
    assert stats.finished == stats.queued + stats.delivered + stats.dropped
    assert stats.dropped == sum(stats.dropped_by_reason.values())


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


def test_runs_wait_for_company_until_the_interval_is_over(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    record(tracer, 3)
    assert clock.next_wake_s() == 1.0
    assert transport.requests == []
    clock.advance(1.0)
    assert tracer.flush()
    assert batch_sizes(transport) == [3]
    assert transport.requests[0].path == "/v1/runs/batch"
    assert transport.requests[0].headers["Content-Type"] == "application/json"


def test_a_full_batch_does_not_wait(transport: InMemoryTransport, clock: FakeClock) -> None:
    with AgentTracer("a", "1", transport=transport, clock=clock, max_batch_runs=4) as tracer:
        record(tracer, 10)
        assert tracer.flush()
        assert sum(batch_sizes(transport)) == 10
        assert max(batch_sizes(transport)) <= 4
        assert tracer.stats().delivered == 10


def test_a_batch_is_bounded_in_bytes(transport: InMemoryTransport) -> None:
    with AgentTracer("a", "1", transport=transport, max_batch_bytes=1) as tracer:
        record(tracer, 3)
    assert batch_sizes(transport) == [1, 1, 1]


def test_flush_says_that_nothing_waits(tracer: AgentTracer) -> None:
    assert tracer.flush(0)


def test_large_bodies_go_compressed(transport: InMemoryTransport) -> None:
    with AgentTracer("a", "1", transport=transport, api_key="k-1") as tracer:
        record(tracer, 20)
    assert transport.requests[-1].headers["Content-Encoding"] == "gzip"
    assert transport.requests[-1].headers["Authorization"] == "Bearer k-1"


def test_a_run_whose_answer_was_lost_is_sent_again_with_longer_pauses(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    transport.answer_next(ConnectionResetError(), TimeoutError(), Answer(503), Answer(500))
    record(tracer)
    clock.next_wake_s()
    clock.advance(1.0)
    for longest in (0.25, 0.5, 1.0, 2.0):
        pause = clock.next_wake_s()
        assert longest / 2 <= pause <= longest
        clock.advance(pause)
    assert tracer.flush()
    assert len(transport.runs) == 1
    assert len({request.runs[0]["run_id"] for request in transport.requests}) == 1
    stats = tracer.stats()
    assert (stats.delivered, stats.retries, stats.dropped) == (1, 4, 0)
    assert stats.last_error == "HTTP 500"


def test_retry_after_is_kept_even_by_a_flush(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    transport.answer_next(
        Answer(429, {"retry-after": "7"}), Answer(503, {"retry-after": "Thu, 01 Jan 2026 12:01:00 GMT"})
    )
    record(tracer)
    clock.next_wake_s()
    clock.advance(1.0)
    assert clock.next_wake_s() == 7.0
    assert not tracer.flush(0.01)
    assert len(transport.requests) == 1
    clock.advance(7.0)
    # It is 12:00:08 now.
    assert clock.next_wake_s() == 52.0
    clock.advance(52.0)
    assert tracer.flush()
    assert tracer.stats().delivered == 1


def test_a_flush_cuts_our_own_pause_short(tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock) -> None:
    transport.answer_next(ConnectionRefusedError())
    record(tracer)
    clock.next_wake_s()
    clock.advance(1.0)
    assert clock.next_wake_s() < 1.0
    assert tracer.flush()
    assert tracer.stats().delivered == 1


def test_a_batch_is_given_up_in_the_end(transport: InMemoryTransport, clock: FakeClock) -> None:
    tracer = AgentTracer("a", "1", transport=transport, clock=clock, give_up_after_s=1.0, first_retry_s=0.8)
    transport.answer_next(*[ConnectionRefusedError() for _ in range(3)])
    record(tracer)
    for _ in range(2):
        clock.advance(clock.next_wake_s())
    assert tracer.flush()
    assert tracer.stats().dropped_by_reason == {"undeliverable": 1}
    assert_all_counted(tracer.stats())
    tracer.close()


def test_a_rejected_run_costs_no_other(tracer: AgentTracer, transport: InMemoryTransport, caplog: Any) -> None:
    rejected = {
        "index": 1,
        "run_id": None,
        "status": 422,
        "errors": [{"type": "string_too_long", "loc": ["body", "steps", 0, "name"], "msg": "..."}],
    }
    body = (
        b'{"accepted":1,"duplicates":1,"rejected":[%s],"removed":{"prose":2,"key":1}}'
        % str(rejected).replace("'", '"').replace("None", "null").encode()
    )
    transport.answer_next(Answer(200, {}, body))
    record(tracer, 3)
    assert tracer.flush()
    stats = tracer.stats()
    assert (stats.delivered, stats.removed_by_server, stats.dropped_by_reason) == (2, 3, {"rejected": 1})
    assert stats.last_error == "a run was rejected with 422: body.steps.0.name string_too_long"
    assert_all_counted(stats)
    assert "body.steps.0.name" in caplog.text


def test_a_run_that_the_server_had_no_room_for_is_sent_again_alone(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock
) -> None:
    body = b'{"accepted":2,"duplicates":0,"rejected":[{"index":2,"run_id":"x","status":503,"errors":[]}],"removed":0}'
    transport.answer_next(Answer(200, {}, body))
    record(tracer, 3)
    for _ in range(2):
        clock.advance(clock.next_wake_s())
    assert tracer.flush()
    assert batch_sizes(transport) == [3, 1]
    assert transport.requests[1].runs[0] == transport.requests[0].runs[2]
    assert tracer.stats().delivered == 3


def test_a_batch_that_is_too_large_goes_in_halves(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    transport.answer_next(Answer(413), Answer(413))
    record(tracer, 8)
    assert tracer.flush()
    assert batch_sizes(transport) == [8, 4, 2, 2, 4]
    assert tracer.stats().delivered == 8


def test_a_run_that_is_too_large_by_itself_is_dropped(tracer: AgentTracer, transport: InMemoryTransport) -> None:
    transport.answer_next(Answer(413))
    record(tracer)
    assert tracer.flush()
    assert tracer.stats().dropped_by_reason == {"too_large": 1}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refused_batch_is_not_sent_again(tracer: AgentTracer, transport: InMemoryTransport, status: int) -> None:
    transport.answer_next(Answer(status))
    record(tracer, 2)
    assert tracer.flush()
    assert len(transport.requests) == 1
    assert tracer.stats().dropped_by_reason == {"rejected": 2}
    assert tracer.stats().last_error == f"HTTP {status}"


@pytest.mark.parametrize(
    "body", [b"", b"<html>Sign in</html>", b"[]", b'{"accepted":0,"duplicates":0,"rejected":[],"removed":0}']
)
def test_an_answer_of_something_else_is_no_delivery(
    tracer: AgentTracer, transport: InMemoryTransport, clock: FakeClock, body: bytes
) -> None:
    transport.answer_next(Answer(200, {}, body))
    record(tracer)
    for _ in range(2):
        clock.advance(clock.next_wake_s())
    assert tracer.flush()
    assert len(transport.runs) == 1
    assert tracer.stats().retries == 1


def test_a_full_queue_drops_the_newest_and_counts_it(caplog: pytest.LogCaptureFixture) -> None:
    transport = StuckTransport()
    tracer = AgentTracer("a", "1", transport=transport, max_queue_runs=5, flush_interval_s=0)
    record(tracer)
    assert transport.arrived.wait(10)
    record(tracer, 8)
    stats = tracer.stats()
    assert (stats.queued, stats.dropped_by_reason) == (6, {"queue_full": 3})
    assert_all_counted(stats)
    assert "runs are dropped (queue_full)" in caplog.text
    transport.release.set()
    assert tracer.close()
    assert tracer.stats().delivered == 6
    assert_all_counted(tracer.stats())


def test_the_queue_is_bounded_in_bytes() -> None:
    transport = StuckTransport()
    tracer = AgentTracer("a", "1", transport=transport, max_queue_bytes=1_000, flush_interval_s=0)
    record(tracer)
    assert transport.arrived.wait(10)
    record(tracer, 100)
    stats = tracer.stats()
    assert 0 < stats.queued < 10
    assert stats.dropped_by_reason == {"queue_full": 101 - stats.queued}
    transport.release.set()
    tracer.close()


def test_close_is_bounded_and_counts_what_is_left() -> None:
    transport = StuckTransport()
    tracer = AgentTracer("a", "1", transport=transport, flush_interval_s=0)
    record(tracer, 3)
    assert transport.arrived.wait(10)
    assert not tracer.close(timeout_s=0.05)
    stats = tracer.stats()
    assert (stats.queued, stats.dropped_by_reason) == (0, {"closed": 3})
    # The answer that comes too late changes no count.
    transport.release.set()
    record(tracer)
    assert tracer.stats().dropped_by_reason == {"closed": 4}
    assert_all_counted(tracer.stats())
    assert tracer.close()


def test_close_sends_what_waits(transport: InMemoryTransport, clock: FakeClock) -> None:
    tracer = AgentTracer("a", "1", transport=transport, clock=clock)
    record(tracer, 2)
    assert tracer.close()
    assert len(transport.runs) == 2


def test_many_threads_lose_nothing(transport: InMemoryTransport) -> None:
    with AgentTracer("a", "1", transport=transport, max_queue_runs=10_000, flush_interval_s=0.001) as tracer:
        threads = [threading.Thread(target=record, args=(tracer, 100)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tracer.flush(30)
        assert tracer.stats().delivered == 800
    assert len(transport.runs) == 800
