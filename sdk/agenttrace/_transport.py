"""How a request reaches the server: HTTP over one kept connection, by the standard library alone."""

from __future__ import annotations

# Names of hosts are encoded by it, and nobody else imports it before the first request: a process that is forked in the
# middle of that import could not import it again.
import encodings.idna  # noqa: F401 # pyright: ignore[reportUnusedImport]
import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from ._errors import ConfigurationError
from ._http import connect

# An answer names each refused run: 10,000 of them with their errors stay below this.
_MOST_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Their names in lower case."""
    body: bytes = b""


class Transport(Protocol):
    """A way to the server. One thread uses it at a time."""

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Sends `body` and returns the answer, whatever its status.

        Raises `OSError` or `http.client.HTTPException` when there is no answer: the request may have arrived or not.
        """
        ...

    def close(self) -> None:
        """Lets go of the connection; a later `post` makes a new one."""
        ...


class HttpTransport:
    """HTTP/1.1 to one server, over a connection that is kept."""

    def __init__(self, api_url: str) -> None:
        self._url = _checked(api_url)
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Sends `body` and returns the answer, whatever its status."""
        if self._connection is not None:
            try:
                return self._post(self._connection, path, body, headers)
            except (ConnectionError, http.client.HTTPException):
                # The server had closed the idle connection. Sending again is safe: the runs carry their ids.
                self.close()
            except BaseException:
                self.close()
                raise
        self._connection = self._connect(timeout_s)
        try:
            return self._post(self._connection, path, body, headers)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets go of the connection; a later `post` makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        return connect(self._url.scheme, self._url.hostname or "", self._url.port, timeout_s)

    def _post(
        self, connection: http.client.HTTPConnection, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        connection.request("POST", self._url.path.rstrip("/") + path, body, dict(headers))
        response = connection.getresponse()
        answer = response.read(_MOST_ANSWER_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, answer)


def _checked(api_url: str) -> SplitResult:
    # No message shows the address: one with a password in it is among those refused.
    try:
        url = urlsplit(api_url)
        port_is_fine = url.port is None or url.port > 0
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError("api_url is not a URL") from None
    if url.scheme not in {"http", "https"} or not url.hostname or not port_is_fine:
        raise ConfigurationError("api_url must look like http://host:port")
    if url.username is not None or url.password is not None:
        raise ConfigurationError("api_url must not hold a user or a password: use api_key")
    if url.query or url.fragment:
        raise ConfigurationError("api_url must not hold a query or a fragment")
    return url
