"""The bounded directory of files in which items wait while the server is away.

Each process writes a file of its own, and takes over those of processes that are gone. Files of all processes that send
to the same place stand in one directory and share its bound. Without a disk that can be written there is no spool, and
everything waits in memory.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from ._items import Item
from ._notes import Notes
from ._spool_file import SUFFIX, SpoolFile, can_lock

# How long a lock is waited for where waiting must end: it is held for one write and one sync.
_LOCK_TIMEOUT_S = 2.0


def default_directory() -> Path | None:
    """`AGENTTRACER_SPOOL_DIR`, or a folder below the user's state; nothing when there is no home."""
    given = os.environ.get("AGENTTRACER_SPOOL_DIR")
    if given:
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME")
    if state and Path(state).is_absolute():
        return Path(state) / "agenttrace"
    try:
        return Path.home() / ".local" / "state" / "agenttrace"
    except RuntimeError:
        return None


def destination(*parts: str) -> str:
    """The name of the directory for one destination: items never go to another one."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


class Spool:
    """Items on disk: in this process's own file, and in those that it took over.

    `put` may be called from any thread; everything else is for the one that sends.
    """

    def __init__(self, directory: Path | None, max_bytes: int, notes: Notes) -> None:
        self._directory = directory if can_lock and max_bytes > 0 else None
        self._max_bytes = max_bytes
        self._notes = notes
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._own: SpoolFile | None = None
        self._taken_over: deque[SpoolFile] = deque()
        # What `take` read and `settle` gave back.
        self._pending: deque[Item] = deque()
        self._reading: SpoolFile | None = None
        self._closed = False
        self._failed = False

    def after_fork_in_child(self) -> None:
        """Begins anew: the files are the parent's."""
        for file in [*self._taken_over, *([self._own] if self._own else [])]:
            file.forget()
        self._reset()

    @property
    def works(self) -> bool:
        """Whether there is a directory, and it took what was given to it so far."""
        return self._directory is not None and not self._failed

    def finds_others(self) -> bool:
        """Whether there are files that may belong to processes that are gone."""
        try:
            return self._directory is not None and any(self._directory.glob(f"*{SUFFIX}"))
        except OSError:
            return False

    def take_over(self) -> bool:
        """Takes over the files of processes that are gone; says whether there are others, whose processes are not."""
        if self._directory is None:
            return False
        try:
            paths = sorted(self._directory.glob(f"*{SUFFIX}"))
        except OSError:
            return False
        others = False
        with self._lock:
            held = {file.path for file in self._taken_over} | {self._own.path if self._own else None}
            for path in paths:
                if path in held or self._closed:
                    continue
                file = SpoolFile.adopt(path)
                if file is None:
                    others = True
                else:
                    self._taken_over.append(file)
        return others

    @property
    def has_items(self) -> bool:
        """Whether `take` would give something."""
        own = self._own
        return bool(self._pending or self._taken_over) or (own is not None and own.has_unread)

    def put(self, items: Sequence[Item]) -> int:
        """Writes and syncs the first items, as many as there is room for; returns how many are safe."""
        if self._directory is None or not items or not self._lock.acquire(timeout=_LOCK_TIMEOUT_S):
            return 0
        try:
            if self._closed:
                return 0
            own = self._own_file(self._directory)
            if own is None:
                return 0
            try:
                room = self._max_bytes - _len_bytes(self._directory)
            except OSError:
                return 0
            fitting = 0
            for item in items:
                room -= len(item.body) + 9
                if room < 0:
                    break
                fitting += 1
            if fitting == 0 or not own.append(items[:fitting]):
                self._notes.said("spool full", "the spool has no room for more: what does not fit in memory is dropped")
                return 0
            return fitting
        finally:
            if self._closed:
                self._close_files()
            self._lock.release()

    def take(self, most_items: int, most_bytes: int) -> list[Item]:
        """The next items of one batch: those of processes that are gone first. `settle` says what became of them."""
        with self._lock:
            if self._closed:
                return []
            if not self._pending:
                self._read_on(most_items, most_bytes)
            batch: list[Item] = []
            while self._pending and len(batch) < most_items:
                batch.append(self._pending.popleft())
            return batch

    def take_lost(self) -> list[Item]:
        """The items, without their bodies, that this process wrote and cannot read again: the disk is at fault."""
        with self._lock:
            return [] if self._own is None else self._own.take_lost()

    def settle(self, again: Sequence[Item], *, last: bool = False) -> None:
        """Ends what `take` began: of its items those in `again` come back, the others may go.

        They come back with the next call, or as the last ones of what was read with them.
        """
        with self._lock:
            if self._closed:
                return
            if last:
                self._pending.extend(again)
            else:
                self._pending.extendleft(reversed(again))
            if not self._pending and self._reading is not None:
                self._reading.settle()
                self._reading = None

    def close(self) -> None:
        """Lets the files go: what is left in them is for the next process."""
        self._closed = True
        # Who has the lock for longer than that closes them itself.
        if self._lock.acquire(timeout=_LOCK_TIMEOUT_S):
            self._close_files()
            self._lock.release()

    def _close_files(self) -> None:
        for file in [*self._taken_over, *([self._own] if self._own else [])]:
            file.close()
        self._taken_over.clear()
        self._own = None

    def _read_on(self, most_items: int, most_bytes: int) -> None:
        while self._taken_over:
            file = self._taken_over[0]
            self._pending.extend(file.read(most_items, most_bytes))
            if file.torn_bytes:
                self._notes.said(
                    f"torn {file.path}", "a spool file was torn or damaged: its last %d bytes are lost", file.torn_bytes
                )
            if self._pending:
                self._reading = file
                return
            file.settle()
            file.close()
            self._taken_over.popleft()
        if self._own is not None:
            self._pending.extend(self._own.read(most_items, most_bytes))
            self._reading = self._own if self._pending else None

    def _own_file(self, directory: Path) -> SpoolFile | None:
        if self._own is None:
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._own = SpoolFile.create(directory / f"{os.getpid()}-{os.urandom(6).hex()}{SUFFIX}")
            except OSError as error:
                self._failed = True
                self._notes.said("no spool", "there is no spool (%s): runs wait in memory alone", type(error).__name__)
        return self._own


def _len_bytes(directory: Path) -> int:
    """What stands in the files of all processes."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                total += entry.stat(follow_symlinks=False).st_size
            except OSError:
                # Removed meanwhile by the process that had it.
                continue
    return total
