"""The questions: what is asked of the server, the same in SQL, and how the server's answer reads as rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Question:
    """One question. Its statements are asked one after the other; `read` gives the rows of each."""

    name: str
    path: str
    sql: tuple[str, ...]
    read: Callable[[Any], list[Rows]]
    # Whether the order of the rows is part of the answer.
    ordered: bool = False


@dataclass(frozen=True)
class Runs:
    """Which runs: as parameters of a path, and as a condition."""

    name: str
    parameters: str
    where: str


def _has(table: str, condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM {table} c WHERE c.run_id = r.run_id AND {condition})"


ALL = Runs("all", "", "TRUE")
AGENT = Runs("an agent", "agent_id=agent-000", "r.agent_id = 'agent-000'")
VERSION = Runs(
    "a version", "agent_id=agent-002&agent_version=v2.0.0", "r.agent_id = 'agent-002' AND r.agent_version = 'v2.0.0'"
)
CODE = Runs("a failure code", "failure_code=timeout", _has("failures", "c.failure_code = 'timeout'"))
RUNS = [
    ALL,
    AGENT,
    VERSION,
    Runs("an environment", "environment=staging", "r.environment = 'staging'"),
    Runs("a status", "status=failure", "r.status = 'failure'"),
    CODE,
    Runs("a failure type", "failure_type=model", _has("failures", "c.failure_type = 'model'")),
    Runs("a step", "step_name=tool_05", _has("steps", "c.name = 'tool_05'")),
    Runs("retries", "has_retries=true", "r.retry_count > 0"),
    Runs("long ones", "min_duration_ms=12000", "r.duration_ms >= 12000"),
    Runs(
        "two days",
        "start_time=2026-01-11T06:00:00Z&end_time=2026-01-13T06:00:00Z",
        "r.started_at BETWEEN '2026-01-11 06:00' AND '2026-01-13 06:00'",
    ),
    Runs(
        "an agent, a code, a week",
        "agent_id=agent-003&failure_code=rate_limited&start_time=2026-01-11T00:00:00Z&end_time=2026-01-18T00:00:00Z",
        "r.agent_id = 'agent-003' AND r.started_at BETWEEN '2026-01-11' AND '2026-01-18' AND "
        + _has("failures", "c.failure_code = 'rate_limited'"),
    ),
    Runs(
        "a reason",
        "decision_type=tool_selection&reason_code=latency_optimization",
        _has("decisions", "c.decision_type = 'tool_selection' AND c.reason_code = 'latency_optimization'"),
    ),
    Runs(
        "a signal",
        "signal_type=empty_retrieval&signal_code=no_results&signal_value=true",
        _has("signals", "c.signal_type = 'empty_retrieval' AND c.signal_code = 'no_results' AND c.value"),
    ),
    Runs("a fact", "meta.region=eu-2", "(r.metadata->>'region') = 'eu-2'"),
    Runs("none", "agent_id=no-such-agent", "r.agent_id = 'no-such-agent'"),
]

NEWEST = "ORDER BY r.started_at DESC, r.run_id"


def _newest(runs: Runs) -> Question:
    return Question(
        f"newest 50: {runs.name}",
        f"/v1/runs?view=summary&page_size=50&{runs.parameters}",
        (f"SELECT r.* FROM runs r WHERE {runs.where} {NEWEST} LIMIT 50",),
        _ids,
        ordered=True,
    )


def _ids(answer: Any) -> list[Rows]:
    return [[(run["run_id"],) for run in answer]]


def _stats(runs: Runs) -> Question:
    return Question(
        f"statistics: {runs.name}",
        f"/v1/stats?{runs.parameters}",
        (
            f"SELECT count(*), count(*) FILTER (WHERE r.status = 'failure') FROM runs r WHERE {runs.where}",
            "SELECT f.failure_type || '/' || f.failure_code, count(*) FROM failures f JOIN runs r USING (run_id) "
            f"WHERE {runs.where} GROUP BY 1",
            f"SELECT s.step_type, count(*) FROM steps s JOIN runs r USING (run_id) WHERE {runs.where} GROUP BY 1",
            f"SELECT avg(s.latency_ms) FROM steps s JOIN runs r USING (run_id) WHERE {runs.where}",
        ),
        lambda answer: [
            [(answer["total_runs"], answer["total_failures"])],
            list(answer["failure_breakdown"].items()),
            list(answer["step_type_breakdown"].items()),
            [(float(answer["avg_latency_ms"]),)],
        ],
    )


def _time(text: str) -> str:
    return text.replace("T", " ").removesuffix("Z")


def _series(runs: Runs, unit: str, interval: str) -> Question:
    return Question(
        f"percentiles by {unit}: {runs.name}",
        f"/v1/timeseries?interval={interval}&{runs.parameters}",
        (
            f"SELECT date_trunc('{unit}', r.started_at), count(*), count(*) FILTER (WHERE r.status = 'failure'), "
            "percentile_disc(0.5) WITHIN GROUP (ORDER BY r.duration_ms), "
            "percentile_disc(0.95) WITHIN GROUP (ORDER BY r.duration_ms) "
            f"FROM runs r WHERE {runs.where} GROUP BY 1",
        ),
        lambda answer: [
            [
                (
                    _time(b["start"]),
                    b["runs"],
                    b["failures"],
                    float(b["duration_ms"]["p50"]),
                    float(b["duration_ms"]["p95"]),
                )
                for b in answer["buckets"]
                if b["runs"]
            ]
        ],
    )


def _facet(field: str, runs: Runs, sql: str) -> Question:
    return Question(
        f"values of {field}: {runs.name}",
        f"/v1/facets?field={quote(field)}&limit=1000&{runs.parameters}",
        (sql,),
        lambda answer: [[(value["value"], value["runs"]) for value in answer["facets"][0]["values"]]],
    )


def _group(one: Any) -> tuple[Any, ...]:
    return (one["runs"], one["by_status"].get("failure", 0), one["runs_with_retries"], float(one["duration_ms"]["p95"]))


GROUP = (
    "count(*), count(*) FILTER (WHERE r.status = 'failure'), count(*) FILTER (WHERE r.retry_count > 0), "
    "percentile_disc(0.95) WITHIN GROUP (ORDER BY r.duration_ms)"
)


def _choices(answer: Any) -> list[Rows]:
    return [
        [
            (of["decision_type"], chosen["selected"], reason["reason_code"], reason["count"])
            for of in answer["types"]
            for chosen in of["selected"]
            for reason in chosen["reasons"]
        ]
    ]


def _signals(answer: Any) -> list[Rows]:
    return [
        [
            (of["signal_type"], code["signal_code"], value == "true", code[f"count_{value}"], code[f"runs_{value}"])
            for of in answer["types"]
            for code in of["codes"]
            for value in ("true", "false")
            if code[f"count_{value}"]
        ]
    ]


def _steps(answer: Any) -> list[Rows]:
    return [
        [
            (
                step["step_type"],
                step["name"],
                step["steps"],
                step["latency_ms"]["sum"],
                float(step["latency_ms"]["p95"]),
            )
            for step in answer["by_step"]
        ]
    ]


def _sides(answer: Any) -> list[Rows]:
    failures = [rate for rate in answer["rates"] if rate["metric"] == "failure"]
    quantities = [one for one in answer["quantities"] if one["metric"] in ("duration_ms", "input_tokens")]
    return [
        [
            (side, rate["name"], rate[side]["count"])
            for side in ("base", "candidate")
            for rate in failures
            if rate[side]["count"]
        ],
        [
            (side, one["metric"], one[side]["runs"], one[side]["p50"], one[side]["p95"])
            for side in ("base", "candidate")
            for one in quantities
        ],
    ]


TWO_VERSIONS = "r.agent_id = 'agent-000' AND r.agent_version IN ('v1.3.0', 'v2.0.0')"
SIDE = "CASE r.agent_version WHEN 'v1.3.0' THEN 'base' ELSE 'candidate' END"
PERCENTILES = "percentile_disc(0.5) WITHIN GROUP (ORDER BY n), percentile_disc(0.95) WITHIN GROUP (ORDER BY n)"

QUESTIONS = [
    *(_newest(runs) for runs in RUNS),
    Question(
        "longest 50: a status",
        "/v1/runs?view=summary&page_size=50&sort=duration_ms&status=failure",
        ("SELECT r.* FROM runs r WHERE r.status = 'failure' ORDER BY r.duration_ms DESC, r.run_id LIMIT 50",),
        _ids,
        ordered=True,
    ),
    Question(
        "page 1,000: all",
        "/v1/runs?view=summary&page_size=50&page=1000",
        (f"SELECT r.* FROM runs r {NEWEST} LIMIT 50 OFFSET 49950",),
        _ids,
        ordered=True,
    ),
    *(_stats(runs) for runs in (ALL, AGENT, CODE)),
    _series(ALL, "day", "1d"),
    _series(AGENT, "hour", "1h"),
    Question(
        "agents",
        "/v1/agents",
        (f"SELECT r.agent_id, count(DISTINCT r.agent_version), {GROUP} FROM runs r GROUP BY 1",),
        lambda answer: [[(one["agent_id"], one["versions"], *_group(one)) for one in answer["agents"]]],
    ),
    Question(
        "versions of an agent",
        "/v1/agents/agent-000/versions",
        (
            f"SELECT r.agent_version, {GROUP} FROM runs r WHERE {AGENT.where} GROUP BY 1",
            "SELECT r.agent_version, s.model, count(DISTINCT s.run_id), count(*), "
            "sum(s.input_tokens), sum(s.output_tokens) "
            f"FROM steps s JOIN runs r USING (run_id) WHERE {AGENT.where} GROUP BY 1, 2",
        ),
        lambda answer: [
            [(one["agent_version"], *_group(one)) for one in answer["versions"]],
            [
                (one["agent_version"], of["model"], of["runs"], of["steps"], of["input_tokens"], of["output_tokens"])
                for one in answer["versions"]
                for of in one["models"]
            ],
        ],
    ),
    Question(
        "two versions compared",
        "/v1/compare?agent_id=agent-000&base=v1.3.0&candidate=v2.0.0",
        (
            f"SELECT {SIDE}, f.failure_type || '/' || f.failure_code, count(DISTINCT f.run_id) "
            f"FROM failures f JOIN runs r USING (run_id) WHERE {TWO_VERSIONS} GROUP BY 1, 2",
            f"""WITH numbers AS (
                SELECT {SIDE} AS side, 'duration_ms' AS metric, r.duration_ms AS n FROM runs r WHERE {TWO_VERSIONS}
                UNION ALL
                SELECT {SIDE}, 'input_tokens', sum(s.input_tokens) FROM steps s JOIN runs r USING (run_id)
                WHERE {TWO_VERSIONS} GROUP BY s.run_id, 1
            ) SELECT side, metric, count(*), {PERCENTILES} FROM numbers GROUP BY 1, 2""",
        ),
        _sides,
    ),
    Question(
        "latency of a version by step",
        "/v1/agents/agent-002/versions/v2.0.0/latency",
        (
            f"""WITH of_run AS (
                SELECT s.step_type, s.name, count(*) AS steps, sum(s.latency_ms) AS n
                FROM steps s JOIN runs r USING (run_id) WHERE {VERSION.where} GROUP BY s.run_id, 1, 2
            ) SELECT step_type, name, sum(steps), sum(n), percentile_disc(0.95) WITHIN GROUP (ORDER BY n)
            FROM of_run GROUP BY 1, 2""",
        ),
        _steps,
    ),
    Question(
        "decisions: an agent",
        f"/v1/decisions?limit=1000&{AGENT.parameters}",
        (
            "SELECT d.decision_type, d.selected, d.reason_code, count(*) FROM decisions d JOIN runs r USING (run_id) "
            f"WHERE {AGENT.where} GROUP BY 1, 2, 3",
        ),
        _choices,
    ),
    Question(
        "signals: all",
        "/v1/signals",
        ("SELECT signal_type, signal_code, value, count(*), count(DISTINCT run_id) FROM signals GROUP BY 1, 2, 3",),
        _signals,
    ),
    _facet(
        "step_name",
        AGENT,
        "SELECT s.name, count(DISTINCT s.run_id) FROM steps s JOIN runs r USING (run_id) "
        f"WHERE {AGENT.where} GROUP BY 1",
    ),
    _facet("meta.region", ALL, "SELECT metadata->>'region', count(*) FROM runs GROUP BY 1"),
    _facet("status", CODE, f"SELECT r.status, count(*) FROM runs r WHERE {CODE.where} GROUP BY 1"),
]
