"""Sends runs from a background thread."""

from __future__ import annotations

import gzip
import http.client
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

from ._answer import Verdict, judge
from ._clock import Clock
from ._notes import Notes
from ._queue import Queue, Waiting
from ._stats import Stats
from ._transport import Transport

BATCH_PATH = "/v1/runs/batch"

# The server's bound on one run.
_MOST_RUN_BYTES = 8 * 1024 * 1024
_COMPRESS_FROM_BYTES = 1024


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
    give_up_after_s: float
    api_key: str | None


class Delivery:
    """A bounded queue of runs, and the thread that sends them.

    `offer` never waits for the network. The thread starts with the first run. Every run that is offered is counted as
    delivered, dropped or still queued.
    """

    def __init__(self, transport: Transport, clock: Clock, notes: Notes, options: Options) -> None:
        self._transport = transport
        self._clock = clock
        self._notes = notes
        self._options = options
        self._random = random.Random()  # noqa: S311 - for jitter
        self._reset()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._queue = Queue(self._options.max_queue_runs, self._options.max_queue_bytes)
        self._in_flight = 0
        self._thread: threading.Thread | None = None
        # Runs that the queue took and that were settled since, in the order they came, and how far a flush waits for.
        self._taken = 0
        self._settled = 0
        self._flush_until = 0
        self._flushes = 0
        self._closing = False
        self._abandoned = False
        self._finished = 0
        self._delivered = 0
        self._dropped: Counter[str] = Counter()
        self._retries = 0
        self._removed_by_server = 0
        self._last_error: str | None = None

    def after_fork_in_child(self) -> None:
        """Begins anew: the parent's thread is not here, and the parent sends what it had queued."""
        self._transport.close()
        self._reset()

    def offer(self, body: bytes) -> None:
        """Queues an encoded run, or drops and counts it."""
        with self._changed:
            self._finished += 1
            if self._closing:
                self._drop("closed", 1)
            elif len(body) > _MOST_RUN_BYTES:
                self._drop("too_large", 1)
            elif not self._queue.offer(Waiting(body, self._clock.monotonic())):
                self._drop("queue_full", 1)
            else:
                self._taken += 1
                self._start()
                if len(self._queue) == 1 or self._is_full():
                    self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Waits until all that is queued now was delivered or dropped; says whether that was so within `timeout_s`.

        A pause between two tries is cut short, unless the server asked for it.
        """
        # The caller waits for this long in real time, whatever clock the rest goes by.
        deadline = time.monotonic() + timeout_s
        with self._changed:
            until = self._taken
            self._flush_until = max(self._flush_until, until)
            self._flushes += 1
            self._changed.notify_all()
            while self._settled < until and self._start():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            return self._settled >= until

    def close(self, timeout_s: float) -> bool:
        """Flushes and stops. What was not delivered within `timeout_s` is dropped and counted."""
        with self._changed:
            already = self._closing
            self._closing = True
        done = self.flush(timeout_s)
        with self._changed:
            if already:
                return done
            self._abandoned = True
            left = len(self._queue) + self._in_flight
            if left:
                self._queue.clear()
                self._in_flight = 0
                self._settled += left
                self._drop("closed", left)
            thread = self._thread
            self._changed.notify_all()
        if done and thread is not None:
            # It has nothing left to do, so this is short; a thread stuck in a request is a daemon and is left behind.
            thread.join(1.0)
        return done and not left

    def stats(self) -> Stats:
        """What became of the runs."""
        with self._changed:
            return Stats(
                finished=self._finished,
                queued=len(self._queue) + self._in_flight,
                delivered=self._delivered,
                dropped=self._dropped.total(),
                dropped_by_reason=dict(self._dropped),
                retries=self._retries,
                removed=self._notes.count("removed"),
                removed_by_server=self._removed_by_server,
                ignored=self._notes.count("ignored"),
                internal_errors=self._notes.count("internal_errors"),
                last_error=self._last_error,
            )

    def _start(self) -> bool:
        """Starts the thread unless it runs; says whether there is one."""
        if self._thread is None:
            thread = threading.Thread(target=self._send_all, name="agenttrace", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is shutting down. What is queued is dropped by `close`.
                return False
            self._thread = thread
        return True

    def _drop(self, reason: str, runs: int) -> None:
        self._dropped[reason] += runs
        self._notes.said(f"dropped {reason}", "runs are dropped (%s); tracer.stats() counts them", reason)
        self._changed.notify_all()

    def _is_full(self) -> bool:
        return (
            len(self._queue) >= self._options.max_batch_runs or self._queue.len_bytes >= self._options.max_batch_bytes
        )

    # What follows runs in the thread.

    def _send_all(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                self._transport.close()
                return
            try:
                self._deliver(batch)
            except Exception as error:  # noqa: BLE001 - a thread that dies would fill the queue in silence
                self._notes.internal("sending", error)
                with self._changed:
                    self._settle("undeliverable", self._in_flight)

    def _next_batch(self) -> list[bytes] | None:
        """Waits for runs, and then a little longer for more of them. Nothing when there will be none."""
        with self._changed:
            while not self._queue:
                if self._closing:
                    return None
                self._clock.wait(self._changed, None)
            due = self._queue.oldest + self._options.flush_interval_s
            while self._queue and not self._is_full() and not self._closing and self._settled >= self._flush_until:
                remaining = due - self._clock.monotonic()
                if remaining <= 0:
                    break
                self._clock.wait(self._changed, remaining)
            batch = self._queue.take(self._options.max_batch_runs, self._options.max_batch_bytes)
            self._in_flight = len(batch)
            return batch

    def _deliver(self, batch: list[bytes]) -> None:
        """Sends the batch until each of its runs is delivered or dropped."""
        give_up_at = self._clock.monotonic() + self._options.give_up_after_s
        tries = 0
        # Halves of batches that were too large wait here.
        parts = [batch]
        while parts:
            part = parts.pop()
            if not part:
                continue
            verdict = self._post(part)
            if self._account(verdict):
                return
            if verdict.split:
                if len(part) == 1:
                    with self._changed:
                        self._settle("too_large", 1)
                else:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                continue
            if not verdict.again:
                tries = 0
                continue
            tries += 1
            pause_s = self._pause_s(tries) if verdict.retry_after_s is None else verdict.retry_after_s
            if self._clock.monotonic() + pause_s > give_up_at:
                with self._changed:
                    self._settle("undeliverable", len(verdict.again))
                continue
            parts.append(verdict.again)
            self._pause(pause_s, wanted_by_server=verdict.retry_after_s is not None)
            with self._changed:
                self._retries += 1

    def _post(self, batch: list[bytes]) -> Verdict:
        body = b"[" + b",".join(batch) + b"]"
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "agenttrace-python"}
        if self._options.api_key is not None:
            headers["Authorization"] = f"Bearer {self._options.api_key}"
        if len(body) >= _COMPRESS_FROM_BYTES:
            body = gzip.compress(body, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        try:
            answer = self._transport.post(BATCH_PATH, body, headers, self._options.timeout_s)
        except (OSError, http.client.HTTPException) as error:
            return Verdict(again=list(batch), error=f"no answer: {type(error).__name__}")
        return judge(answer, batch, self._clock.now())

    def _account(self, verdict: Verdict) -> bool:
        """Counts what the verdict settles; says whether the batch was given up meanwhile."""
        if verdict.error is not None:
            # Before it is counted: who saw the count finds the reason in the log.
            self._notes.said(f"delivery {verdict.error}", "delivery: %s", verdict.error)
        with self._changed:
            if self._abandoned:
                return True
            self._delivered += verdict.delivered
            self._removed_by_server += verdict.removed
            self._in_flight -= verdict.delivered
            self._settled += verdict.delivered
            if verdict.error is not None:
                self._last_error = verdict.error
            self._settle("rejected", verdict.rejected)
        return False

    def _settle(self, reason: str, runs: int) -> None:
        """Drops runs of the batch in flight."""
        if runs and not self._abandoned:
            self._in_flight -= runs
            self._settled += runs
            self._drop(reason, runs)
        self._changed.notify_all()

    def _pause_s(self, tries: int) -> float:
        longest = min(self._options.longest_retry_s, self._options.first_retry_s * 2.0 ** min(tries - 1, 30))
        # Between half of it and all of it, so that agents that failed together do not come back together.
        return longest * self._random.uniform(0.5, 1.0)

    def _pause(self, pause_s: float, *, wanted_by_server: bool) -> None:
        until = self._clock.monotonic() + pause_s
        with self._changed:
            flushes = self._flushes
            while not self._abandoned:
                remaining = until - self._clock.monotonic()
                if remaining <= 0 or (self._flushes != flushes and not wanted_by_server):
                    return
                self._clock.wait(self._changed, remaining)
