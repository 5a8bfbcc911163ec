"""What `agenttracer export` writes is what the API answers: read by the real DuckDB, by polars and by Python's csv."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import polars as pl
import pytest

RUNS = 150
DEADLINE_S = 30.0
KINDS = ["runs", "steps", "failures", "decisions", "signals"]


def run(number: int) -> dict[str, Any]:
    """A run; every fifth fails, every third retries, some have no end."""
    begin = f"2026-11-{number % 20 + 1:02}T10:00"
    times = {"started_at": f"{begin}:00.{number:06}Z", "ended_at": f"{begin}:01Z"}

    def step(seq: int, kind: str, name: str, **more: Any) -> dict[str, Any]:
        metadata = {"model": "m-1", "tokens": number * seq, "share": 0.5, "key": str(uuid4())}
        step = {"step_id": str(uuid4()), "seq": seq, "step_type": kind, "name": name, "latency_ms": 10 * number + seq}
        return step | times | {"metadata": metadata} | more

    steps = [step(0, "plan", 'analyze, then "act"'), step(1, "tool", "billing_api", status="failed")]
    steps += [step(2, "tool", "billing_api")] if number % 3 == 0 else []
    failure = {"failure_type": "tool", "failure_code": "timeout", "message": 'after 30 s,\tthen "no"'}
    decision = {"decision_type": "tool_selection", "reason_code": "fresh_data_required", "selected": "api"}
    decision_more = {"candidates": ["api", "cache"], "confidence": 0.25} if number % 2 else {}
    observed = {"signal_type": "schema_valid", "signal_code": "full_match", "value": number % 4 > 0, "weight": 0.125}
    whole = {
        "run_id": str(uuid4()),
        "agent_id": f"agent-{number % 3}",
        "agent_version": "v1",
        "started_at": times["started_at"],
    }
    return (
        whole
        | ({"status": "failure", "failure": failure} if number % 5 == 0 else {"status": "success"})
        | ({"ended_at": f"2026-11-30T00:00:00.{number:06}Z"} if number % 7 else {})
        | {"steps": steps, "decisions": [decision | decision_more], "quality_signals": [observed]}
        | {"metadata": {"region": "eu-1"}}
    )


@dataclass(frozen=True)
class Exported:
    """An export in each format, and what the API answered about the same directory."""

    folder: Path
    runs: list[dict[str, Any]]
    stats: dict[str, Any]


def get(base: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{base}{path}", timeout=DEADLINE_S) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def exported(agenttracer: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("export")
    data_dir = folder / "data"
    command = [str(agenttracer), "serve", "--data-dir", str(data_dir), "--ui-addr", "off"]
    command += ["--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        addresses = data_dir / "run" / "addresses.json"
        deadline = time.monotonic() + DEADLINE_S
        while not addresses.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        bases = json.loads(addresses.read_text())
        body = "\n".join(json.dumps(run(number)) for number in range(RUNS)).encode()
        url = f"http://{bases['ingest']}/v1/runs/batch"
        request = urllib.request.Request(url, body, {"Content-Type": "application/x-ndjson"})
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310
            assert json.load(answer)["accepted"] == RUNS
        runs = [run for page in (1, 2) for run in get(bases["query"], f"/v1/runs?page_size=100&page={page}")]
        stats = get(bases["query"], "/v1/stats")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    for kind in ("parquet", "csv", "ndjson"):
        command = [
            str(agenttracer),
            "export",
            "--data-dir",
            str(data_dir),
            "--format",
            kind,
            "--out",
            str(folder / kind),
        ]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return Exported(folder, runs, stats)


def query(exported: Exported, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query in DuckDB, with a view for each file."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for kind in KINDS:
            file = exported.folder / "parquet" / f"{kind}.parquet"
            connection.execute(f"CREATE VIEW {kind} AS SELECT * FROM read_parquet('{file}')")  # noqa: S608
        return connection.execute(sql).fetchall()


def at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_duckdb_counts_what_the_api_counts(exported: Exported) -> None:
    stats = exported.stats
    [(runs, failed)] = query(exported, "SELECT count(*), count(*) FILTER (status = 'failure') FROM runs")
    assert (runs, failed) == (stats["total_runs"], stats["total_failures"]) == (RUNS, RUNS // 5)
    by_type = "SELECT step_type, count(*) FROM steps JOIN runs USING (run_id) GROUP BY ALL"
    assert dict(query(exported, by_type)) == stats["step_type_breakdown"]
    [(mean,)] = query(exported, "SELECT round(avg(latency_ms), 2) FROM steps")
    assert mean == stats["avg_latency_ms"]
    breakdown = "SELECT failure_type || '/' || failure_code, count(*) FROM failures GROUP BY ALL"
    assert dict(query(exported, breakdown)) == stats["failure_breakdown"]
    [(retries,)] = query(exported, "SELECT count(DISTINCT run_id) FROM steps WHERE attempt > 1")
    assert retries == sum(any(step["attempt"] > 1 for step in run["steps"]) for run in exported.runs) > 0


def test_duckdb_sees_the_values_of_the_api_in_their_types(exported: Exported) -> None:
    types = dict(query(exported, "SELECT column_name, column_type FROM (DESCRIBE runs)"))
    assert types["started_at"] == types["ended_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["duration_ms"] == types["position"] == "BIGINT"
    assert types["run_id"] == types["status"] == types["metadata"] == "VARCHAR"
    assert dict(query(exported, "SELECT column_name, column_type FROM (DESCRIBE signals)"))["value"] == "BOOLEAN"
    assert dict(query(exported, "SELECT column_name, column_type FROM (DESCRIBE decisions)"))["confidence"] == "DOUBLE"

    columns = "run_id, agent_id, status, started_at, ended_at, duration_ms, position"
    listed = query(exported, f"SELECT {columns} FROM runs")  # noqa: S608
    of_api = [
        tuple(at(run[key]) if key.endswith("_at") else run[key] for key in columns.split(", ")) for run in exported.runs
    ]
    assert listed == of_api  # in the order of the list, too
    tokens = "SELECT sum(CAST(metadata ->> '$.tokens' AS BIGINT)) FROM steps"
    assert query(exported, tokens) == [
        (sum(step["metadata"]["tokens"] for run in exported.runs for step in run["steps"]),)
    ]


def test_polars_reads_every_table(exported: Exported) -> None:
    tables = {kind: pl.read_parquet(exported.folder / "parquet" / f"{kind}.parquet") for kind in KINDS}
    assert tables["runs"].schema["started_at"] == pl.Datetime("us", "UTC")
    parts = {"steps": "steps", "failures": "failures", "decisions": "decisions", "signals": "quality_signals"}
    for kind, name in parts.items():
        of_api = [part for run in exported.runs for part in run[name]]
        rows = tables[kind].to_dicts()
        assert len(rows) == len(of_api) > 0
        for row, part in zip(rows, of_api, strict=True):
            assert set(row) == set(part)
            for key, value in part.items():
                given = json.loads(row[key]) if key == "metadata" else row[key]
                assert given == (at(value) if key.endswith("_at") else value), key
    joined = tables["steps"].join(tables["runs"], on="run_id", suffix="_of_run")
    assert joined.height == tables["steps"].height
    assert joined["agent_id"].n_unique() == 3


def test_csv_and_ndjson_say_the_same(exported: Exported) -> None:
    with (exported.folder / "csv" / "steps.csv").open(newline="") as file:
        steps = list(csv.DictReader(file))
    assert [step["name"] for step in steps] == [step["name"] for run in exported.runs for step in run["steps"]]
    assert [json.loads(step["metadata"])["key"] for step in steps] == [
        step["metadata"]["key"] for run in exported.runs for step in run["steps"]
    ]
    lines = [json.loads(line) for line in (exported.folder / "ndjson" / "runs.ndjson").read_text().splitlines()]
    assert [line["run_id"] for line in lines] == [run["run_id"] for run in exported.runs]
    assert [line["created_at"] for line in lines] == [run["created_at"] for run in exported.runs]


@pytest.mark.parametrize("kind", ["parquet", "csv", "ndjson"])
def test_the_manifest_holds_for_the_files(exported: Exported, kind: str) -> None:
    folder = exported.folder / kind
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["runs"], manifest["unreadable"]) == (kind, RUNS, 0)
    assert {file["name"] for file in manifest["files"]} | {"manifest.json"} == {path.name for path in folder.iterdir()}
    for file in manifest["files"]:
        data = (folder / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
