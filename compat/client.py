"""A client that knows the core contract and nothing else: what programs that already exist expect of a server.

It stands for them in the tests, so it must not learn anything that only this server offers.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status."""

    status: int
    headers: dict[str, str]
    """Their names in lower case."""
    text: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the server said
        """The body as JSON."""
        return json.loads(self.text)


class Client:
    """One method for each call of the contract."""

    def __init__(self, ingest_url: str, query_url: str) -> None:
        self.ingest_url = ingest_url
        self.query_url = query_url

    def send(self, method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """Any request."""
        request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return Reply(answer.status, _lower(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, _lower(error.headers), error.read().decode())

    def post_run(self, run: object) -> Reply:
        """`POST /v1/runs`"""
        return self.post_text(json.dumps(run))

    def post_text(self, text: str, content_type: str | None = "application/json") -> Reply:
        """`POST /v1/runs` with any body."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        return self.send("POST", f"{self.ingest_url}/v1/runs", text.encode(), headers)

    def runs(self, **filters: object) -> Reply:
        """`GET /v1/runs`"""
        return self._get(f"{self.query_url}/v1/runs", filters)

    def run(self, run_id: str) -> Reply:
        """`GET /v1/runs/{run_id}`"""
        return self._get(f"{self.query_url}/v1/runs/{run_id}")

    def steps(self, run_id: str) -> Reply:
        """`GET /v1/runs/{run_id}/steps`"""
        return self._get(f"{self.query_url}/v1/runs/{run_id}/steps")

    def failures(self, run_id: str) -> Reply:
        """`GET /v1/runs/{run_id}/failures`"""
        return self._get(f"{self.query_url}/v1/runs/{run_id}/failures")

    def stats(self, **filters: object) -> Reply:
        """`GET /v1/stats`"""
        return self._get(f"{self.query_url}/v1/stats", filters)

    def ingest_health(self) -> Reply:
        """`GET /health` of the write side."""
        return self._get(f"{self.ingest_url}/health")

    def query_health(self) -> Reply:
        """`GET /health` of the read side."""
        return self._get(f"{self.query_url}/health")

    def metrics(self, accept: str = "text/plain") -> Reply:
        """`GET /metrics`"""
        return self.send("GET", f"{self.ingest_url}/metrics", headers={"Accept": accept})

    def _get(self, url: str, query: dict[str, object] | None = None) -> Reply:
        return self.send("GET", f"{url}?{urlencode(query)}" if query else url)


def _lower(headers: Any) -> dict[str, str]:  # noqa: ANN401 - http.client's own type
    return {name.lower(): value for name, value in headers.items()}
