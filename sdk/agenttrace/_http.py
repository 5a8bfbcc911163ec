"""HTTP connections of the standard library, made so that a process may fork in the middle of a request.

`http.client` reads through a buffered file, which has a lock. In a child that was forked while the parent's thread
read, nobody would ever release it, and closing the file, or only forgetting it, would wait for ever. These read from
the socket themselves.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any

_RECEIVED_AT_ONCE = 64 * 1024


class _Reader:
    """As much of a buffered file as `HTTPResponse` asks for, without a lock."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self.closed = False

    def _receive(self) -> bool:
        """Takes what has arrived, or waits for it; says whether there was something."""
        received = self._sock.recv(_RECEIVED_AT_ONCE)
        self._buffer += received
        return bool(received)

    def readline(self, limit: int = -1) -> bytes:
        """A line with its end, or as much of it as the limit allows."""
        while (end := self._buffer.find(b"\n")) < 0 and (limit < 0 or len(self._buffer) < limit):
            if not self._receive():
                return self._take(len(self._buffer))
        line = len(self._buffer) if end < 0 else end + 1
        return self._take(line if limit < 0 else min(line, limit))

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, fewer only at the end; without a number, all there are."""
        wanted = -1 if size is None else size
        while (wanted < 0 or len(self._buffer) < wanted) and self._receive():
            pass
        return self._take(len(self._buffer) if wanted < 0 else min(wanted, len(self._buffer)))

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def flush(self) -> None:
        """Has nothing to write."""

    def close(self) -> None:
        """Leaves the socket to the connection."""
        self.closed = True


class _Readable:
    """What a response takes for a socket: it asks it for a file, and for nothing else."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, *_: object) -> _Reader:
        """The file that it reads from."""
        return _Reader(self._sock)


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - those of `HTTPResponse`
        super().__init__(_Readable(sock), *args, **kwargs)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


class _Stays(http.client.HTTPConnection):
    """A connection that `getresponse` does not close: the response still has to be read from it."""

    response_class = _Response
    _is_reading = False

    def getresponse(self) -> http.client.HTTPResponse:
        """The answer, of which the head was read."""
        self._is_reading = True
        try:
            return super().getresponse()
        finally:
            self._is_reading = False

    def close(self) -> None:
        """Lets go of the socket."""
        if not self._is_reading:
            super().close()


class _StaysSafe(_Stays, http.client.HTTPSConnection):
    """The same over TLS."""


def connect(scheme: str, host: str, port: int | None, timeout_s: float) -> http.client.HTTPConnection:
    """A connection, made with the first request."""
    if scheme == "https":
        return _StaysSafe(host, port, timeout=timeout_s, context=ssl.create_default_context())
    return _Stays(host, port, timeout=timeout_s)
