"""PostgreSQL and DuckDB with the rows of an export: how they are started, filled and asked."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import duckdb
import psycopg

Row = tuple[Any, ...]

TABLES = ("runs", "steps", "failures", "decisions", "signals")
IDS = ("run_id", "step_id", "failure_id", "decision_id", "signal_id", "parent_run_id", "parent_step_id", "retry_group")
TIMES = ("started_at", "ended_at", "created_at", "recorded_at")

# What a question needs again and again is a column, as whoever designs a schema for it would have it.
DERIVED = {
    "runs": "(SELECT count(*) FROM '{dir}/steps.parquet' s WHERE s.run_id = t.run_id AND s.attempt > 1) AS retry_count",
    "steps": """metadata->>'model' AS model, (metadata->>'input_tokens')::BIGINT AS input_tokens,
        (metadata->>'output_tokens')::BIGINT AS output_tokens""",
}

# Of both: DuckDB finds by them what one row or few rows hold, and goes by its zone maps otherwise.
INDEXES = ("CREATE UNIQUE INDEX ON runs (run_id)", "CREATE INDEX ON steps (run_id)")

POSTGRES_INDEXES = (
    "CREATE INDEX ON runs (started_at DESC, run_id)",
    "CREATE INDEX ON runs (agent_id, agent_version, started_at DESC, run_id)",
    "CREATE INDEX ON runs (agent_id, started_at DESC, run_id)",
    "CREATE INDEX ON runs (environment, started_at DESC, run_id)",
    "CREATE INDEX ON runs (status, started_at DESC, run_id)",
    "CREATE INDEX ON runs (duration_ms DESC, run_id)",
    "CREATE INDEX ON runs (started_at DESC, run_id) WHERE retry_count > 0",
    "CREATE INDEX ON runs ((metadata->>'region'), started_at DESC, run_id)",
    "CREATE INDEX ON steps (name, run_id)",
    "CREATE INDEX ON failures (run_id)",
    "CREATE INDEX ON failures (failure_code, run_id)",
    "CREATE INDEX ON failures (failure_type, run_id)",
    "CREATE INDEX ON decisions (run_id)",
    "CREATE INDEX ON decisions (decision_type, reason_code, run_id)",
    "CREATE INDEX ON signals (run_id)",
    "CREATE INDEX ON signals (signal_type, signal_code, value, run_id)",
)


class Database(Protocol):
    """What holds the rows and answers SQL."""

    name: str

    def ask(self, statement: str) -> list[Row]:
        """All rows of the answer."""


class DuckDb:
    """DuckDB in this process, on a file."""

    name = "DuckDB"

    def __init__(self, directory: Path, export: Path) -> None:
        self.connection = duckdb.connect(str(directory / "runs.duckdb"))
        self.connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            file = export / f"{table}.parquet"
            columns = [row[0] for row in self.ask(f"DESCRIBE SELECT * FROM '{file}'")]
            types = dict.fromkeys(IDS, "UUID") | dict.fromkeys(TIMES, "TIMESTAMP") | {"metadata": "JSON"}
            chosen = [f"{name}::{types[name]} AS {name}" if name in types else name for name in columns]
            if table in DERIVED:
                chosen.append(DERIVED[table].format(dir=export))
            # Newest first, as the export has them: so time ranges skip what they do not touch.
            self.connection.execute(f"CREATE TABLE {table} AS SELECT {', '.join(chosen)} FROM '{file}' t")
        for number, index in enumerate(INDEXES):
            self.connection.execute(index.replace("INDEX ON", f"INDEX i{number} ON"))
        self.connection.execute("ANALYZE")
        self.connection.execute("CHECKPOINT")

    def ask(self, statement: str) -> list[Row]:
        """All rows of the answer."""
        return self.connection.execute(statement).fetchall()

    def write_csv(self, table: str, file: Path) -> None:
        """The rows of a table, for another database."""
        self.connection.execute(f"COPY {table} TO '{file}' (FORMAT csv, HEADER)")

    def columns(self, table: str) -> str:
        """The columns of a table as PostgreSQL declares them."""
        types = {"VARCHAR": "text", "JSON": "jsonb", "DOUBLE": "double precision"}
        described = self.ask(f"DESCRIBE {table}")
        return ", ".join(f"{name} {types.get(kind, kind.lower())}" for name, kind, *_ in described)

    def close(self) -> None:
        """Closes the file."""
        self.connection.close()


class Postgres:
    """PostgreSQL on a directory of its own, over a Unix socket; ended with the block that begins it."""

    name = "PostgreSQL"

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "postgres"
        # Short, for a socket's path has to be.
        self.sockets = Path(tempfile.mkdtemp(prefix="pg"))
        # It refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

    def __enter__(self) -> "Postgres":
        """Started, with an empty database."""
        for place in (self.directory, self.sockets):
            place.mkdir(exist_ok=True)
            shutil.chown(place, self.user)
        self._run("initdb", "--pgdata", str(self.directory), "--username", self.user, "--auth", "trust", "--no-sync")
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "shared_buffers": "1GB",
            "effective_cache_size": "4GB",
            "work_mem": "64MB",
            "maintenance_work_mem": "512MB",
            "random_page_cost": "1.1",
            "max_wal_size": "8GB",
            # Filling it is not what is measured.
            "fsync": "off",
        }
        with (self.directory / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        log = str(self.directory / "log")
        self._run("pg_ctl", "start", "--wait", "--pgdata", str(self.directory), "--log", log)
        self.connection = psycopg.connect(
            host=str(self.sockets), user=self.user, dbname="postgres", autocommit=True, prepare_threshold=1
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stopped, whatever happened."""
        try:
            self.connection.close()
        finally:
            self._run("pg_ctl", "stop", "--wait", "--mode", "fast", "--pgdata", str(self.directory))
            shutil.rmtree(self.sockets, ignore_errors=True)

    def fill(self, source: DuckDb, directory: Path) -> None:
        """Takes over the rows, with indexes and statistics."""
        for table in TABLES:
            file = directory / f"{table}.csv"
            source.write_csv(table, file)
            self.connection.execute(f"CREATE TABLE {table} ({source.columns(table)})")
            with (
                file.open("rb") as rows,
                self.connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv, HEADER)") as copy,
            ):
                while block := rows.read(1 << 20):
                    copy.write(block)
            file.unlink()
        for index in (*INDEXES, *POSTGRES_INDEXES):
            self.connection.execute(index)
        self.connection.execute("VACUUM (ANALYZE)")

    def ask(self, statement: str) -> list[Row]:
        """All rows of the answer."""
        return self.connection.execute(statement).fetchall()

    def _run(self, program: str, *arguments: str) -> None:
        found = shutil.which(program) or next(
            (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), reverse=True)), None
        )
        if found is None:
            raise SystemExit(f"{program} is not there: apt-get install --no-install-recommends postgresql")
        command = [found, *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={self.user}", "--regid=postgres", "--init-groups", *command]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")
