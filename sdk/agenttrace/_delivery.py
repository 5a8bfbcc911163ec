"""Sends runs and events from a background thread."""

from __future__ import annotations

import gzip
import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ._answer import Verdict, judge
from ._breaker import Breaker
from ._clock import Clock
from ._items import Item, Kind, Queue
from ._notes import Notes
from ._spool import Spool
from ._stats import EventStats, Stats, Tally
from ._transport import Transport

# The server's bound on one run.
_MOST_ITEM_BYTES = 8 * 1024 * 1024
_COMPRESS_FROM_BYTES = 1024
# How often one item alone may break the server before it is dropped.
_MOST_BREAKS = 5
# How long the end waits for what is being written to the spool.
_SPILL_TIMEOUT_S = 2.0
# A full or broken disk is not asked again sooner.
_SPOOL_AGAIN_S = 1.0
# How soon the files of processes that went on when this one began are looked at again.
_LOOK_AGAIN_S = 30.0
# What the spool is given at once, so that a kill in between costs little.
_MOST_SPILLED = 1_000
_MOST_SPILLED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """How runs are sent. Every bound is the tracer's option of the same name."""

    flush_interval_s: float
    max_batch_runs: int
    max_batch_bytes: int
    max_queue_runs: int
    max_queue_bytes: int
    timeout_s: float
    first_retry_s: float
    longest_retry_s: float
    api_key: str | None


class Beats(Protocol):
    """What must be sent from time to time without being asked."""

    def due(self, now: float) -> float | None:
        """Seconds until the next one; nothing when there is none."""
        ...

    def take(self, now: float) -> list[bytes]:
        """Those that are due."""
        ...


@dataclass(slots=True)
class _Flight:
    """What is being sent or written."""

    items: list[Item] = field(default_factory=list[Item])
    from_spool: bool = False
    spills: bool = False
    """On its way to the spool, not to the server."""


@dataclass(slots=True)
class _Waiter:
    """A flush that waits for all items up to a number."""

    until: int
    left: int


class Delivery:
    """A bounded queue, the spool behind it, and the thread that sends.

    `offer` never waits for the network or the disk. The first item is sent at once; those that come while it is in
    flight make the next batch. While the server is away, items go to the spool; without room there they stay in the
    queue, and without room there they are dropped. Every item that is offered is counted as queued, spooled, sent,
    rejected or dropped, and as one of them only.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        notes: Notes,
        options: Options,
        *,
        spool: Spool,
        beats: Beats | None = None,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._notes = notes
        self._options = options
        self._spool = spool
        self._beats = beats
        self._reset()
        if spool.finds_others():
            self._start()

    def _reset(self) -> None:
        options = self._options
        self._changed = threading.Condition()
        self._queue = Queue(options.max_queue_runs, options.max_queue_bytes)
        self._flight = _Flight()
        self._breaker = Breaker(options.first_retry_s, options.longest_retry_s)
        self._thread: threading.Thread | None = None
        self._limit = options.max_batch_runs
        # What broke the server: how often, and how many requests had succeeded before.
        self._suspects: dict[int, tuple[int, int]] = {}
        self._successes = 0
        self._spool_turn = False
        self._spool_again_at = 0.0
        self._look_again_at: float | None = None
        self._waiters: list[_Waiter] = []
        self._closing = False
        self._abandoned = False
        self._when_done: Callable[[], None] | None = None
        self._hurry = False
        self._number = 0
        # Items that are queued or spooled.
        self._open = 0
        self._runs = Tally()
        self._events = Tally()
        self._dropped: Counter[str] = Counter()
        self._recovered = 0
        self._retries = 0
        self._removed_by_server = 0
        self._last_error: str | None = None

    def after_fork_in_child(self) -> None:
        """Begins anew: the parent's thread is not here, and the parent sends what it had queued."""
        self._transport.close()
        self._spool.after_fork_in_child()
        self._reset()

    # What the agent calls.

    def offer(self, body: bytes, kind: Kind) -> None:
        """Queues an encoded run or event, or drops and counts it."""
        with self._changed:
            if self._closing:
                reason = "closed"
            elif len(body) > _MOST_ITEM_BYTES:
                reason = "too_large"
            elif not self._queue.has_room(len(body)):
                reason = "queue_full"
            else:
                self._number += 1
                self._queue.add(Item(body, kind, self._number, self._clock.monotonic()))
                self._open += 1
                self._offered(kind, "queued")
                if self._thread is None:
                    self._start()
                self._changed.notify_all()
                return
            self._offered(kind, "dropped")
            self._told_of_drop(reason)

    def flush(self, timeout_s: float) -> bool:
        """Waits until all that was offered before is sent, rejected or dropped; says whether that was in time.

        A pause between two tries is cut short, unless the server asked for it.
        """
        # The caller waits for this long in real time, whatever clock the rest goes by.
        deadline = time.monotonic() + timeout_s
        with self._changed:
            waiter = _Waiter(self._number, self._open)
            self._waiters.append(waiter)
            self._hurry = True
            self._changed.notify_all()
            while waiter.left > 0 and not self._abandoned and self._start():
                remaining = deadline - time.monotonic()
                # At the end of the process what waits for a server that is away is safer on disk.
                if remaining <= 0 or (self._closing and self._breaker.is_open):
                    break
                self._changed.wait(remaining)
            self._waiters.remove(waiter)
            return waiter.left <= 0

    def close(self, timeout_s: float) -> bool:
        """Flushes and stops; says whether everything went out. What did not is left in the spool, or dropped."""
        with self._changed:
            already = self._abandoned
            self._closing = True
        if not already:
            self.flush(timeout_s)
        return self.stop()

    def finish_alone(self, when_done: Callable[[], None]) -> None:
        """Nothing more will be offered: the thread stops once everything was sent, and then calls `when_done`."""
        with self._changed:
            self._when_done = when_done
            if self._thread is None:
                self._abandoned = self._closing = True
                when_done()
            self._changed.notify_all()

    @property
    def has_spool(self) -> bool:
        """Whether what is not sent can be left on disk."""
        return self._spool.works

    def stop(self) -> bool:
        """Stops at once; says whether there was nothing left. What was is left in the spool, or dropped and counted."""
        with self._changed:
            self._closing = True
            if self._abandoned:
                return self._open == 0
            self._abandoned = True
            # What is on its way to the spool gets there by itself, and is not to get there twice.
            stays = self._flight.from_spool or self._flight.spills
            left = [*([] if stays else self._flight.items), *self._queue.take_all()]
            thread = self._thread
            self._changed.notify_all()
        safe = self._spool.put(left) if left else 0
        with self._changed:
            for item in left[:safe]:
                self._move(item, "queued", "spooled")
            for item in left[safe:]:
                self._drop(item, "queued", "closed")
            until = time.monotonic() + _SPILL_TIMEOUT_S
            while self._flight.spills and (remaining := until - time.monotonic()) > 0:
                self._changed.wait(remaining)
            idle = not self._flight.items
            self._changed.notify_all()
        if idle and thread is not None and thread is not threading.current_thread():
            # It has nothing left to do, so this is short; one that is stuck in a request is a daemon and is left
            # behind.
            thread.join(1.0)
        self._spool.close()
        return not left and self._open == 0

    def stats(self) -> Stats:
        """What became of the items."""
        with self._changed:
            runs, events = self._runs, self._events
            return Stats(
                finished=runs.offered,
                queued=runs["queued"],
                spooled=runs["spooled"],
                sent=runs["sent"],
                rejected=runs["rejected"],
                dropped=runs["dropped"],
                dropped_by_reason=dict(self._dropped),
                recovered=self._recovered,
                retries=self._retries,
                removed=self._notes.count("removed"),
                removed_by_server=self._removed_by_server,
                ignored=self._notes.count("ignored"),
                internal_errors=self._notes.count("internal_errors"),
                last_error=self._last_error,
                events=EventStats(
                    recorded=events.offered,
                    queued=events["queued"],
                    spooled=events["spooled"],
                    sent=events["sent"],
                    rejected=events["rejected"],
                    dropped=events["dropped"],
                ),
            )

    # Counting. The caller holds `_changed`.

    def _tallies(self, kind: Kind) -> Sequence[Tally]:
        if kind is Kind.RUN:
            return (self._runs,)
        return (self._events,) if kind is Kind.EVENT else (self._runs, self._events)

    def _offered(self, kind: Kind, outcome: str) -> None:
        for tally in self._tallies(kind):
            tally.offer(outcome)

    def _move(self, item: Item, before: str, after: str) -> None:
        if item.number == 0:
            # Of an earlier process: it is in no tally.
            self._recovered += after == "sent"
            return
        for tally in self._tallies(item.kind):
            tally.move(before, after)
        if after not in {"queued", "spooled"}:
            self._open -= 1
            for waiter in self._waiters:
                waiter.left -= item.number <= waiter.until

    def _drop(self, item: Item, before: str, reason: str) -> None:
        self._move(item, before, "dropped")
        self._told_of_drop(reason)

    def _told_of_drop(self, reason: str) -> None:
        self._dropped[reason] += 1
        self._notes.said(f"dropped {reason}", "runs are dropped (%s); tracer.stats() counts them", reason)

    # The thread.

    def _start(self) -> bool:
        """Starts the thread unless it runs; says whether there is one."""
        if self._thread is None and not self._abandoned:
            thread = threading.Thread(target=self._work, name="agenttrace", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is shutting down. What is queued goes to the spool with `close`.
                return False
            self._thread = thread
        return self._thread is not None

    def _work(self) -> None:
        self._look_for_others()
        while True:
            try:
                if not self._turn():
                    break
            except Exception as error:  # noqa: BLE001 - a thread that dies would fill the queue in silence
                self._notes.internal("sending", error)
                self._give_flight_up()
        self._transport.close()

    def _turn(self) -> bool:
        """Sends or spills once; says whether to go on."""
        with self._changed:
            job = self._next_job()
        if job is not None:
            job()
        return job is not None

    def _look_for_others(self) -> None:
        """Takes over what processes that are gone have left; if some still go on, looks again later."""
        others = self._spool.take_over()
        with self._changed:
            self._look_again_at = self._clock.monotonic() + _LOOK_AGAIN_S if others else None

    def _next_job(self) -> Callable[[], None] | None:
        """Waits until there is something to do, such as sending what is in flight now; nothing at the end."""
        while not self._abandoned:
            now = self._clock.monotonic()
            if self._look_again_at is not None and self._look_again_at <= now:
                return self._look_for_others
            pause_s: float | None = self._breaker.pause_s(now, hurry=self._hurry)
            if pause_s:
                if self._breaker.is_open and self._queue and now >= self._spool_again_at:
                    self._flight = _Flight(self._queue.take(_MOST_SPILLED, _MOST_SPILLED_BYTES), spills=True)
                    return self._spill
            else:
                pause_s = self._beat(now)
                from_spool = self._spool.has_items and (self._spool_turn or not self._queue)
                if from_spool or self._queue:
                    linger_s = 0.0 if from_spool else self._linger_s(now)
                    if linger_s <= 0:
                        self._hurry = False
                        # By turns: neither the newest nor the oldest waits for all of the others.
                        self._spool_turn = not from_spool
                        items = [] if from_spool else self._queue.take(self._limit, self._options.max_batch_bytes)
                        self._flight = _Flight(items, from_spool)
                        return self._send
                    pause_s = linger_s if pause_s is None else min(linger_s, pause_s)
                elif self._when_done is not None:
                    self._closing = self._abandoned = True
                    self._when_done()
                    self._spool.close()
                    return None
            if self._look_again_at is not None:
                pause_s = min(self._look_again_at - now, self._look_again_at - now if pause_s is None else pause_s)
            self._clock.wait(self._changed, pause_s)
        return None

    def _linger_s(self, now: float) -> float:
        """How long the first item may still wait for company."""
        full = len(self._queue) >= self._limit or self._queue.len_bytes >= self._options.max_batch_bytes
        if full or self._hurry or self._closing or self._waiters:
            return 0.0
        return self._queue.oldest + self._options.flush_interval_s - now

    def _beat(self, now: float) -> float | None:
        """Queues the heartbeats that are due; returns the seconds until the next one."""
        if self._beats is None or self._closing:
            return None
        for body in self._beats.take(now):
            if self._queue.has_room(len(body)):
                self._number += 1
                self._open += 1
                self._queue.add(Item(body, Kind.EVENT, self._number, now))
                self._offered(Kind.EVENT, "queued")
        return self._beats.due(now)

    def _spill(self, *, last: bool = False) -> None:
        """Moves what is in flight to the spool, or back when there is no room: to the front, or to the end."""
        items = self._flight.items
        safe = self._spool.put(items)
        with self._changed:
            for item in items[:safe]:
                self._move(item, "queued", "spooled")
            if self._abandoned:
                for item in items[safe:]:
                    self._drop(item, "queued", "closed")
            else:
                self._queue.put_back(items[safe:], last=last)
            if safe < len(items):
                self._spool_again_at = self._clock.monotonic() + _SPOOL_AGAIN_S
            self._flight = _Flight()
            self._changed.notify_all()

    def _send(self) -> None:
        flight = self._flight
        if flight.from_spool:
            flight.items = self._spool.take(self._limit, self._options.max_batch_bytes)
            with self._changed:
                for lost in self._spool.take_lost():
                    self._drop(lost, "spooled", "unreadable")
            if not flight.items:
                self._spool.settle([])
                self._flight = _Flight()
                return
        verdict = self._post(flight.items)
        self._tell(verdict)
        with self._changed:
            if self._abandoned:
                return
            again = self._account(flight, verdict)
            spills = bool(again) and not flight.from_spool and self._breaker.is_open
            # What broke the server all by itself lets the others go first.
            goes_last = len(flight.items) == len(verdict.broke) == 1
            flight.items, flight.spills = again, spills
            if not spills:
                if not flight.from_spool:
                    self._queue.put_back(again, last=goes_last)
                    self._flight = _Flight()
                self._changed.notify_all()
        if flight.from_spool:
            self._spool.settle(again, last=goes_last)
            with self._changed:
                self._flight = _Flight()
        elif spills:
            self._spill(last=goes_last)

    def _post(self, items: list[Item]) -> Verdict:
        body = b"[" + b",".join([item.body for item in items]) + b"]"
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "agenttrace-python"}
        if self._options.api_key is not None:
            headers["Authorization"] = f"Bearer {self._options.api_key}"
        if len(body) >= _COMPRESS_FROM_BYTES:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        try:
            answer = self._transport.post(items[0].kind.path, body, headers, self._options.timeout_s)
        except (OSError, http.client.HTTPException) as error:
            return Verdict(again=list(range(len(items))), error=f"no answer: {type(error).__name__}")
        return judge(answer, len(items), self._clock.now())

    def _tell(self, verdict: Verdict) -> None:
        # Before it is counted: who saw the count finds the reason in the log.
        if verdict.error is not None:
            self._notes.said(f"delivery {verdict.error}", "delivery: %s", verdict.error)
        for reason in verdict.reasons:
            self._notes.said(f"rejected {reason}", "delivery: one was rejected with %s", reason)

    def _account(self, flight: _Flight, verdict: Verdict) -> list[Item]:
        """Counts what the verdict settles, and tells the breaker; returns what must be sent again."""
        items, before = flight.items, "spooled" if flight.from_spool else "queued"
        again, rejected = set(verdict.again), set(verdict.rejected)
        # A batch that broke as a whole says nothing of its items: smaller ones will.
        suspects = verdict.broke if len(items) == 1 or len(verdict.broke) < len(items) else []
        for index in suspects:
            if self._is_to_blame(items[index]):
                again.discard(index)
                self._drop(items[index], before, "undeliverable")
        for index in rejected:
            self._move(items[index], before, "rejected")
        settled = again | rejected | set(verdict.again)
        for index, item in enumerate(items):
            if index not in settled:
                self._move(item, before, "sent")
        self._removed_by_server += verdict.removed
        self._last_error = verdict.error or (f"rejected with {verdict.reasons[-1]}" if rejected else self._last_error)
        left = [items[index] for index in sorted(again)]
        if verdict.too_large and len(items) == 1:
            self._drop(items[0], before, "too_large")
            left = []
        if verdict.too_large or (verdict.broke and len(settled) == len(items)):
            # Smaller batches, until the one that is to blame stands alone.
            self._limit = max(1, len(items) // 2)
        elif not verdict.again:
            self._limit = min(self._options.max_batch_runs, self._limit * 2)
        if len(settled) < len(items) or rejected:
            self._successes += 1
        if verdict.failed:
            self._retries += 1
            now = self._clock.monotonic()
            self._breaker.failed(now, retry_after_s=verdict.retry_after_s, for_long=verdict.for_long)
        else:
            self._breaker.succeeded()
        return left

    def _is_to_blame(self, item: Item) -> bool:
        """Whether the server breaks over this item alone, while it takes others."""
        key = hash(item.body)
        breaks, successes = self._suspects.pop(key, (0, self._successes))
        if breaks + 1 >= _MOST_BREAKS and self._successes > successes:
            return True
        if len(self._suspects) < _MOST_SPILLED:
            self._suspects[key] = (breaks + 1, successes)
        return False

    def _give_flight_up(self) -> None:
        """Drops what was in flight when the SDK itself, or a transport, broke over it."""
        flight = self._flight
        with self._changed:
            if self._abandoned:
                return
            for item in flight.items:
                self._drop(item, "spooled" if flight.from_spool else "queued", "undeliverable")
            self._flight = _Flight()
            self._changed.notify_all()
        if flight.from_spool:
            self._spool.settle([])
