from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from compat.client import Client

MakeRun = Callable[..., dict[str, Any]]


@pytest.fixture
def day(client: Client, make_run: MakeRun) -> list[dict[str, Any]]:
    """Twelve runs, one an hour; every third fails, every fourth is of the new version, the last two are staging's."""
    runs = []
    for hour in range(12):
        steps = [
            {
                "seq": seq,
                "step_type": kind,
                "name": kind,
                "latency_ms": 100 * hour + seq,
                "started_at": f"2026-02-01T{hour:02}:00:00Z",
                "ended_at": f"2026-02-01T{hour:02}:00:01Z",
            }
            for seq, kind in enumerate(["plan", "tool"])
        ]
        run = make_run(
            agent_version="2.0.0" if hour % 4 == 3 else "1.0.0",
            environment="staging" if hour >= 10 else "production",
            started_at=f"2026-02-01T{hour:02}:00:00Z",
            ended_at=f"2026-02-01T{hour:02}:00:02Z",
            steps=steps,
        )
        if hour % 3 == 2:
            code = "timeout" if hour < 6 else "rate_limited"
            run |= {
                "status": "failure",
                "failure": {"failure_type": "tool", "failure_code": code, "message": "The tool did not answer"},
            }
        assert client.post_run(run).status == 201
        runs.append(run)
    return runs


def ids(runs: list[dict[str, Any]]) -> list[str]:
    return [run["run_id"] for run in runs]


def test_the_newest_run_comes_first(client: Client, agent_id: str, day: list[dict[str, Any]]) -> None:
    reply = client.runs(agent_id=agent_id)
    assert reply.status == 200
    assert isinstance(reply.json, list)
    assert ids(reply.json) == ids(day[::-1])
    assert reply.json[0] == client.run(day[-1]["run_id"]).json


def test_runs_of_one_moment_come_in_the_order_of_their_ids(client: Client, agent_id: str, make_run: MakeRun) -> None:
    runs = [make_run() for _ in range(5)]
    for run in runs:
        assert client.post_run(run).status == 201
    found = ids(client.runs(agent_id=agent_id).json)
    assert found in (sorted(ids(runs)), sorted(ids(runs), reverse=True))
    assert ids(client.runs(agent_id=agent_id, page=1, page_size=3).json) == found[:3]
    assert ids(client.runs(agent_id=agent_id, page=2, page_size=3).json) == found[3:]


def test_pages_follow_each_other(client: Client, agent_id: str, day: list[dict[str, Any]]) -> None:
    pages = [ids(client.runs(agent_id=agent_id, page=page, page_size=5).json) for page in range(1, 5)]
    assert [len(page) for page in pages] == [5, 5, 2, 0]
    assert [run_id for page in pages for run_id in page] == ids(day[::-1])


@pytest.mark.parametrize(
    "query", [{"page": 0}, {"page": -1}, {"page_size": 0}, {"page_size": 101}, {"page": "x"}, {"start_time": "soon"}]
)
def test_impossible_pages_are_refused(client: Client, query: dict[str, object]) -> None:
    refused = client.runs(**query)
    assert refused.status == 422
    assert refused.json["detail"][0]["loc"] == ["query", *query]


@pytest.mark.parametrize(
    ("filters", "hours"),
    [
        ({"agent_version": "2.0.0"}, [11, 7, 3]),
        ({"environment": "staging"}, [11, 10]),
        ({"status": "failure"}, [11, 8, 5, 2]),
        ({"status": "success", "environment": "production", "agent_version": "2.0.0"}, [7, 3]),
        ({"start_time": "2026-02-01T09:00:00Z"}, [11, 10, 9]),
        ({"end_time": "2026-02-01T01:00:00Z"}, [1, 0]),
        ({"start_time": "2026-02-01T03:00:00Z", "end_time": "2026-02-01T05:00:00Z"}, [5, 4, 3]),
        ({"start_time": "2026-02-01T04:00:00+01:00", "end_time": "2026-02-01T03:00:00"}, [3]),
        ({"status": "sideways"}, []),
        ({"environment": ""}, list(range(11, -1, -1))),
        ({"colour": "blue"}, list(range(11, -1, -1))),
    ],
)
def test_filters_combine(
    client: Client, agent_id: str, day: list[dict[str, Any]], filters: dict[str, object], hours: list[int]
) -> None:
    found = client.runs(agent_id=agent_id, **filters)
    assert found.status == 200, found.text
    assert ids(found.json) == [day[hour]["run_id"] for hour in hours]


def test_stats_add_up(client: Client, agent_id: str, day: list[dict[str, Any]]) -> None:
    stats = client.stats(agent_id=agent_id)
    assert stats.status == 200
    latencies = [step["latency_ms"] for run in day for step in run["steps"]]
    assert stats.json == {
        "total_runs": 12,
        "total_failures": 4,
        "success_rate": 66.67,
        "avg_latency_ms": round(sum(latencies) / len(latencies), 2),
        "failure_breakdown": {"tool/timeout": 2, "tool/rate_limited": 2},
        "step_type_breakdown": {"plan": 12, "tool": 12},
    }


def test_stats_take_filters(client: Client, agent_id: str, day: list[dict[str, Any]]) -> None:
    stats = client.stats(agent_id=agent_id, agent_version="2.0.0", start_time=day[4]["started_at"]).json
    assert (stats["total_runs"], stats["total_failures"], stats["success_rate"]) == (2, 1, 50.0)


def test_stats_of_nothing_are_zero(client: Client) -> None:
    assert client.stats(agent_id=f"nobody-{uuid.uuid4()}").json == {
        "total_runs": 0,
        "total_failures": 0,
        "success_rate": 0.0,
        "avg_latency_ms": 0.0,
        "failure_breakdown": {},
        "step_type_breakdown": {},
    }


def test_what_is_not_there_is_said_in_known_words(client: Client, make_run: MakeRun) -> None:
    unknown = str(uuid.uuid4())
    run = client.run(unknown)
    assert run.status == 404
    assert run.json == {"error": f"Run {unknown} not found", "status_code": 404, "path": f"/v1/runs/{unknown}"}
    steps = client.steps(unknown)
    assert steps.status == 404
    assert steps.json["error"] == f"No steps found for run {unknown}"
    failures = client.failures(unknown)
    assert (failures.status, failures.json) == (200, [])
    stepless = make_run()
    assert client.post_run(stepless).status == 201
    assert client.steps(stepless["run_id"]).status == 404
    assert client.run("no-id").status == 422


def test_unknown_paths_and_methods_are_said_in_known_words(client: Client) -> None:
    nowhere = client.send("GET", f"{client.query_url}/v1/nowhere")
    assert (nowhere.status, nowhere.json) == (404, {"detail": "Not Found"})
    deleted = client.send("DELETE", f"{client.query_url}/v1/stats")
    assert (deleted.status, deleted.json) == (405, {"detail": "Method Not Allowed"})
    posted = client.send("PUT", f"{client.ingest_url}/v1/runs", b"{}", {"Content-Type": "application/json"})
    assert (posted.status, posted.json) == (405, {"detail": "Method Not Allowed"})


def test_head_and_a_trailing_slash_work(client: Client, make_run: MakeRun) -> None:
    run = make_run()
    assert client.post_run(run).status == 201
    url = f"{client.query_url}/v1/runs/{run['run_id']}"
    head = client.send("HEAD", url)
    assert (head.status, head.text) == (200, "")
    assert client.send("GET", f"{url}/").json == client.send("GET", url).json


def test_a_dashboard_on_its_own_port_may_ask(client: Client) -> None:
    origin = "http://localhost:3000"
    reply = client.send("GET", f"{client.query_url}/v1/stats", headers={"Origin": origin})
    assert reply.headers["access-control-allow-origin"] == origin
    assert reply.headers["access-control-allow-credentials"] == "true"
    asked = client.send(
        "OPTIONS", f"{client.query_url}/v1/runs", headers={"Origin": origin, "Access-Control-Request-Method": "GET"}
    )
    assert asked.status in {200, 204}
    assert asked.headers["access-control-allow-origin"] == origin
    stranger = client.send("GET", f"{client.query_url}/v1/stats", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in stranger.headers
