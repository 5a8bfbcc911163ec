"""One file of items that wait for the server.

Format: a header, then records: length of the body (u32), CRC-32 of kind and body (u32), kind (u8), body; little-endian.

Durability: `append` returns True after fsync, the file's name included. A crash leaves at most a torn record at the
end, which readers find by its length or CRC; they stop there.

Ownership: who has the file's flock may read it, and it is the only one who may write or remove it. The lock goes with
the process, so the file of one that is gone can be taken over.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import zlib
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ._items import Item, Kind

SUFFIX = ".spool"

_HEADER = b"agenttrace-spool\x01\n"
_RECORD = struct.Struct("<IIB")
# The server's bound on one run.
_MOST_BODY_BYTES = 8 * 1024 * 1024


# Without locks there is no telling whose file it is, and so there is no spool.
can_lock = sys.platform != "win32"


class SpoolFile:
    """A file that this process holds. Not thread-safe: its owner sees to that."""

    def __init__(self, path: Path, handle: int, end: int, *, recovered: bool) -> None:
        self.path = path
        self.torn_bytes = 0
        self._handle = handle
        self._recovered = recovered
        self._read = self._unread = len(_HEADER)
        self._end = end
        # The items of this process that were not read yet, without their bodies.
        self._numbers: deque[tuple[int, Kind]] = deque()

    @classmethod
    def create(cls, path: Path) -> SpoolFile:
        """A new file. Raises `OSError` when there can be none."""
        # Under a name that nobody looks for until it is locked: another process would take it for a dead one's.
        unborn = path.with_suffix(".new")
        handle = os.open(unborn, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _lock(handle)
            _write_all(handle, _HEADER, 0)
            unborn.rename(path)
            _sync_directory(path.parent)
        except OSError:
            os.close(handle)
            unborn.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise
        return cls(path, handle, len(_HEADER), recovered=False)

    @classmethod
    def adopt(cls, path: Path) -> SpoolFile | None:
        """The file of a process that is gone; nothing when one has it, or when it is not ours or no such file."""
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            _lock(handle)
            status = os.fstat(handle)
            # Removed by the one who had it before, or written by somebody else.
            if status.st_nlink == 0 or status.st_uid != os.geteuid():
                os.close(handle)
                return None
            file = cls(path, handle, status.st_size, recovered=True)
            if os.pread(handle, len(_HEADER), 0) != _HEADER:
                file.torn_bytes, file._end = status.st_size, len(_HEADER)
        except OSError:
            os.close(handle)
            return None
        return file

    @property
    def recovered(self) -> bool:
        """Whether another process wrote it."""
        return self._recovered

    @property
    def has_unread(self) -> bool:
        """Whether `read` would give something, unless the rest is torn."""
        return self._unread < self._end

    @property
    def is_drained(self) -> bool:
        """Whether everything was settled."""
        return self._read >= self._end

    def append(self, items: Sequence[Item]) -> bool:
        """Writes and syncs the items; says whether they are safe. If not, the file is as it was before."""
        records = b"".join(_encoded(item) for item in items)
        try:
            _write_all(self._handle, records, self._end)
            os.fsync(self._handle)
        except OSError:
            # If this fails too, what stands there is whole or torn; sent twice it is stored once.
            with suppress(OSError):
                os.ftruncate(self._handle, self._end)
            return False
        self._end += len(records)
        self._numbers.extend((item.number, item.kind) for item in items)
        return True

    def read(self, most_items: int, most_bytes: int) -> list[Item]:
        """The next items that go to one path; they stay in the file until `settle`."""
        items: list[Item] = []
        size = 0
        while len(items) < most_items and self._unread < self._end:
            found = self._item_at(self._unread)
            if found is None:
                self.torn_bytes += self._end - self._unread
                self._end = self._unread
                break
            kind, body = found
            size += len(body)
            if items and (size > most_bytes or kind.path != items[0].kind.path):
                break
            items.append(Item(body, kind, self._numbers.popleft()[0] if self._numbers else 0))
            self._unread += _RECORD.size + len(body)
        return items

    def take_lost(self) -> list[Item]:
        """The items, without their bodies, that were written and cannot be read again."""
        if self._unread < self._end:
            return []
        lost = [Item(b"", kind, number) for number, kind in self._numbers]
        self._numbers.clear()
        return lost

    def settle(self) -> None:
        """Everything that was read needs no place here any more."""
        self._read = self._unread
        if self.is_drained and not self._recovered:
            try:
                os.ftruncate(self._handle, len(_HEADER))
            except OSError:
                return
            self._read = self._unread = self._end = len(_HEADER)

    def close(self) -> None:
        """Lets the file go; it is removed when nothing is left in it."""
        if self.is_drained:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        os.close(self._handle)

    def forget(self) -> None:
        """In a forked child: the file and its lock are the parent's."""
        os.close(self._handle)

    def _item_at(self, offset: int) -> tuple[Kind, bytes] | None:
        try:
            length, crc, kind = _RECORD.unpack(os.pread(self._handle, _RECORD.size, offset))
            if length > _MOST_BODY_BYTES or offset + _RECORD.size + length > self._end:
                return None
            body = os.pread(self._handle, length, offset + _RECORD.size)
            if len(body) != length or zlib.crc32(body, kind) != crc:
                return None
            return Kind(kind), body
        except (OSError, struct.error, ValueError):
            return None


def _lock(handle: int) -> None:
    """Takes the file's lock, or raises `OSError` when another process has it."""
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "no flock")
    import fcntl  # noqa: PLC0415 - not everywhere

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _encoded(item: Item) -> bytes:
    return _RECORD.pack(len(item.body), zlib.crc32(item.body, item.kind), item.kind) + item.body


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view = view[written:]
        offset += written


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
