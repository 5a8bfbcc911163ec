"""What `agenttracer export` writes is what the API answers: read by the real DuckDB, by polars and by Python's csv."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import duckdb
import polars as pl
import pytest

from compat.client import Client

RUNS = 150
KINDS = ["runs", "steps", "failures", "decisions", "signals"]
# What a table is called, and the field of a run that it is made of.
PARTS = {"steps": "steps", "failures": "failures", "decisions": "decisions", "signals": "quality_signals"}


class HasAddresses(Protocol):
    """A server that the root's `conftest.py` starts."""

    ingest: str
    query: str
    data_dir: Path


def run(number: int) -> dict[str, Any]:
    """A run; every fifth fails, every third retries, some have no end."""
    begin = f"2026-11-{number % 20 + 1:02}T10:00"

    def step(seq: int, kind: str, name: str, **more: Any) -> dict[str, Any]:
        times = {"started_at": f"{begin}:0{seq}.{number:06}Z", "ended_at": f"{begin}:0{seq}.500Z"}
        metadata = {"model": "m-1", "tokens": number * seq, "share": 0.5, "key": str(uuid4())}
        step = {"step_id": str(uuid4()), "seq": seq, "step_type": kind, "name": name, "latency_ms": 10 * number + seq}
        return step | times | {"metadata": metadata} | more

    steps = [step(0, "plan", 'analyze, then "act"'), step(1, "tool", "billing_api", status="failed")]
    again = {"attempt": 2, "retry_of": steps[1]["step_id"]}
    steps += [step(2, "tool", "billing_api", **again)] if number % 3 == 0 else []
    failure = {"failure_type": "tool", "failure_code": "timeout", "message": 'after 30 s,\tthen "no"'}
    decision = {"decision_type": "tool_selection", "reason_code": "fresh_data_required", "selected": "api"}
    decision_more = {"candidates": ["api", "cache"], "confidence": 0.25} if number % 2 else {}
    observed = {"signal_type": "schema_valid", "signal_code": "full_match", "value": number % 4 > 0, "weight": 0.125}
    return (
        {"run_id": str(uuid4()), "agent_id": f"agent-{number % 3}", "agent_version": "v1"}
        | {"started_at": f"{begin}:00.{number:06}Z"}
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

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query in DuckDB, with a view for each file."""
        with duckdb.connect() as connection:
            for kind in KINDS:
                file = self.folder / "parquet" / f"{kind}.parquet"
                connection.execute(f"CREATE VIEW {kind} AS SELECT * FROM read_parquet('{file}')")  # noqa: S608
            return connection.execute(sql).fetchall()


def export(agenttracer: Path, data_dir: Path, form: str, out: Path, *more: str) -> None:
    command = [str(agenttracer), "export", "--data-dir", str(data_dir), "--format", form, "--out", str(out), *more]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def data_dir(
    serve: Callable[[Path], AbstractContextManager[HasAddresses]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]], dict[str, Any]]:
    """A directory that is not served any more, and what the API said while it was."""
    with serve(tmp_path_factory.mktemp("export")) as server:
        client = Client(server.ingest, server.query)
        for number in range(RUNS):
            reply = client.post_run(run(number))
            assert reply.status == 201, reply.text
        runs = [run for page in (1, 2) for run in client.runs(page_size=100, page=page).json]
        stats = client.send("GET", f"{server.query}/v1/stats").json
    assert len(runs) == RUNS
    return server.data_dir, runs, stats


@pytest.fixture(scope="module")
def exported(
    agenttracer: Path,
    data_dir: tuple[Path, list[dict[str, Any]], dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    path, runs, stats = data_dir
    for form in ("parquet", "csv", "ndjson"):
        export(agenttracer, path, form, folder / form)
    return Exported(folder, runs, stats)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "runs.ndjson").read_text().splitlines()]


def at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def us(text: str | None) -> int | None:
    time = at(text)
    if time is None:
        return None
    since = time - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def test_duckdb_counts_what_the_api_counts(exported: Exported) -> None:
    stats = exported.stats
    [(runs, failed)] = exported.query("SELECT count(*), count(*) FILTER (status = 'failure') FROM runs")
    assert (runs, failed) == (stats["total_runs"], stats["total_failures"]) == (RUNS, RUNS // 5)
    by_type = "SELECT step_type, count(*) FROM steps JOIN runs USING (run_id) GROUP BY ALL"
    assert dict(exported.query(by_type)) == stats["step_type_breakdown"]
    [(mean,)] = exported.query("SELECT round(avg(latency_ms), 2) FROM steps")
    assert mean == stats["avg_latency_ms"]
    breakdown = "SELECT failure_type || '/' || failure_code, count(*) FROM failures GROUP BY ALL"
    assert dict(exported.query(breakdown)) == stats["failure_breakdown"]
    [(retries,)] = exported.query("SELECT count(DISTINCT run_id) FROM steps WHERE attempt > 1")
    assert retries == sum(any(step["attempt"] > 1 for step in run["steps"]) for run in exported.runs) > 0


def test_duckdb_sees_the_values_of_the_api_in_their_types(exported: Exported) -> None:
    types = {
        f"{kind}.{name}": column_type
        for kind in KINDS
        for name, column_type in exported.query(f"SELECT column_name, column_type FROM (DESCRIBE {kind})")  # noqa: S608
    }
    for column in ("runs.started_at", "runs.ended_at", "runs.created_at", "steps.ended_at", "signals.recorded_at"):
        assert types[column] == "TIMESTAMP WITH TIME ZONE", column
    for column in ("runs.duration_ms", "runs.position", "steps.seq", "steps.latency_ms", "steps.attempts_total"):
        assert types[column] == "BIGINT", column
    for column in ("runs.run_id", "runs.status", "runs.metadata", "steps.retry_group", "failures.message"):
        assert types[column] == "VARCHAR", column
    assert (types["signals.value"], types["signals.weight"]) == ("BOOLEAN", "DOUBLE")
    assert types["decisions.confidence"] == "DOUBLE"

    # Instants as microseconds, which no time zone of a session can move.
    columns = "run_id, agent_id, status, epoch_us(started_at), epoch_us(ended_at), duration_ms, position"
    listed = exported.query(f"SELECT {columns} FROM runs")  # noqa: S608
    of_api = [
        (
            *(run[key] for key in ("run_id", "agent_id", "status")),
            *(us(run[key]) for key in ("started_at", "ended_at")),
            *(run[key] for key in ("duration_ms", "position")),
        )
        for run in exported.runs
    ]
    assert listed == of_api  # in the order of the list, too
    tokens = "SELECT sum(CAST(metadata ->> '$.tokens' AS BIGINT)) FROM steps"
    [(total,)] = exported.query(tokens)
    assert total == sum(step["metadata"]["tokens"] for run in exported.runs for step in run["steps"])


def test_polars_reads_every_value_of_every_table(exported: Exported) -> None:
    tables = {kind: pl.read_parquet(exported.folder / "parquet" / f"{kind}.parquet") for kind in KINDS}
    assert tables["runs"].schema["started_at"] == pl.Datetime("us", "UTC")
    of_api = {"runs": exported.runs} | {
        kind: [part for run in exported.runs for part in run[name]] for kind, name in PARTS.items()
    }
    for kind, parts in of_api.items():
        rows = tables[kind].to_dicts()
        assert len(rows) == len(parts) > 0
        for row, part in zip(rows, parts, strict=True):
            counts = {f"{name.removeprefix('quality_')[:-1]}_count": name for name in PARTS.values() if name in part}
            assert {name: row.pop(name) for name in counts} == {name: len(part[of]) for name, of in counts.items()}
            assert set(row) == set(part) - set(PARTS.values())
            for key in row:
                given = json.loads(row[key]) if key == "metadata" else row[key]
                assert given == (at(part[key]) if key.endswith("_at") else part[key]), key
    joined = tables["steps"].join(tables["runs"], on="run_id", suffix="_of_run")
    assert joined.height == tables["steps"].height
    assert joined["agent_id"].n_unique() == 3


def test_the_tables_hold_what_the_lines_hold(exported: Exported) -> None:
    runs = pl.read_parquet(exported.folder / "parquet" / "runs.parquet").to_dicts()
    sent = lines(exported.folder / "ndjson")
    assert [row["run_id"] for row in runs] == [line["run_id"] for line in sent]
    for row, line in zip(runs, sent, strict=True):
        assert row["created_at"] == at(line["created_at"])
        assert row["failure_count"] == ("failure" in line)
        assert json.loads(row["metadata"]) == line["metadata"]
    for kind, name in PARTS.items():
        rows = pl.read_parquet(exported.folder / "parquet" / f"{kind}.parquet").to_dicts()
        parts = [
            (line["run_id"], part)
            for line in sent
            for part in (([line["failure"]] if "failure" in line else []) if name == "failures" else line[name])
        ]
        assert [row["run_id"] for row in rows] == [run_id for run_id, _ in parts]
        for row, (_, part) in zip(rows, parts, strict=True):
            # Attempts are derived in the tables; candidates stand in the metadata there.
            for key in set(row) & set(part) - {"attempt", "metadata"}:
                assert row[key] == (at(part[key]) if key.endswith("_at") else part[key]), key
            candidates = {"candidates": part["candidates"]} if part.get("candidates") else {}
            assert json.loads(row.get("metadata", "{}")) == part.get("metadata", {}) | candidates


def test_csv_says_the_same(exported: Exported) -> None:
    for kind in KINDS:
        with (exported.folder / "csv" / f"{kind}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        table = pl.read_parquet(exported.folder / "parquet" / f"{kind}.parquet")
        assert list(rows[0]) == table.columns
        for row, typed in zip(rows, table.to_dicts(), strict=True):
            for key, value in typed.items():
                assert row[key] == as_text(key, value, row[key]), f"{kind}.{key}"


def as_text(key: str, value: Any, text: str) -> str:
    """The text of a value of a table in CSV; of times and numbers, any that means the same."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if key.endswith("_at"):
        return text if at(text) == value else f"not {value}"
    if isinstance(value, (int, float)):
        return text if float(text) == value else f"not {value}"
    return str(value)


def test_filters_hold_for_the_tables(agenttracer: Path, exported: Exported, data_dir: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    conditions = ["agent_id=agent-1", "status=failure"]
    filters = [part for condition in conditions for part in ("--filter", condition)]
    export(agenttracer, data_dir[0], "parquet", out, *filters)
    wanted = [run for run in exported.runs if run["agent_id"] == "agent-1" and run["status"] == "failure"]
    assert 0 < len(wanted) < RUNS
    assert pl.read_parquet(out / "runs.parquet")["run_id"].to_list() == [run["run_id"] for run in wanted]
    steps = pl.read_parquet(out / "steps.parquet")["step_id"].to_list()
    assert steps == [step["step_id"] for run in wanted for step in run["steps"]]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["filters"] == [condition.split("=") for condition in conditions]
    assert manifest["runs"] == len(wanted)

    # No run at all is an answer too: tables without rows, with their columns.
    empty = tmp_path / "empty"
    export(agenttracer, data_dir[0], "parquet", empty, "--filter", "agent_id=nobody")
    for kind in KINDS:
        table, full = (pl.read_parquet(folder / f"{kind}.parquet") for folder in (empty, exported.folder / "parquet"))
        assert table.height == 0
        assert table.schema == full.schema


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson"])
def test_the_manifest_holds_for_the_files(exported: Exported, form: str) -> None:
    folder = exported.folder / form
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["runs"], manifest["unreadable"]) == (form, RUNS, 0)
    assert {file["name"] for file in manifest["files"]} | {"manifest.json"} == {path.name for path in folder.iterdir()}
    for file in manifest["files"]:
        data = (folder / file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        if form == "parquet":
            assert file["rows"] == pl.scan_parquet(folder / file["name"]).select(pl.len()).collect().item()
