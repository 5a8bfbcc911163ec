"""How the metrics of the agents count what comes again, late and after a restart."""

from __future__ import annotations

import re
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.support import post, run, text

if TYPE_CHECKING:
    from conftest import Serve

SENT_AT = "2026-11-25T10:00:0{}Z"


def _counted(query: str, metric: str) -> dict[tuple[str, ...], int]:
    """The series of a metric by agent, and by what stands behind version and environment."""
    found = {}
    for labels, count in re.findall(rf"^{metric}{{(.*)}} (\d+)$", text(f"{query}/metrics"), re.MULTILINE):
        named = dict(re.findall(r'(\w+)="(.*?)"', labels))
        told = [named[key] for key in ("agent", "status", "type", "code") if key in named]
        found[tuple(told)] = int(count)
    return found


def _event(run_id: str, second: int, kind: str, **fields: str) -> dict[str, Any]:
    return {"event_id": str(uuid.uuid4()), "run_id": run_id, "time": SENT_AT.format(second), "type": kind, **fields}


def test_what_comes_again_or_late_is_no_second_run(serve: Serve, tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        events = f"{server.ingest}/v1/events"
        failed = run(fails=True)
        for status in (HTTPStatus.CREATED, HTTPStatus.OK):
            assert post(f"{server.ingest}/v1/runs", failed) == status
        live = str(uuid.uuid4())
        began = _event(live, 0, "run_started", agent_id="live", agent_version="v1")
        ended = _event(live, 5, "run_ended", status="failure")
        assert post(events, [began]) == HTTPStatus.OK
        assert not [series for series in _counted(server.query, "agenttracer_runs_total") if series[0] == "live"]
        late = _event(
            live, 3, "failure_recorded", failure_type="model", failure_code="rate_limited", message="too many requests"
        )
        for sent in (ended, ended, late, late):
            assert post(events, [sent]) == HTTPStatus.OK
        assert _counted(server.query, "agenttracer_runs_total") == {("live", "failure"): 1, ("support", "failure"): 1}
        assert _counted(server.query, "agenttracer_failures_total") == {
            ("live", "model", "rate_limited"): 1,
            ("support", "tool", "timeout"): 1,
        }
    with serve(tmp_path) as server:
        assert _counted(server.query, "agenttracer_runs_total") == {}
        assert post(f"{server.ingest}/v1/runs", failed) == HTTPStatus.OK
        assert _counted(server.query, "agenttracer_runs_total") == {}
