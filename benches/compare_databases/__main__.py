"""How long do the same questions over the same rows take here, in PostgreSQL and in DuckDB?

Runs are made up by `benches generate`, exported by `agenttracer export` into Parquet, and loaded from there into both.
Each answer is first held against ours, row by row; then each question is asked again and again on one connection.

pip install -r benches/compare_databases/requirements.txt && python3 benches/compare_databases --runs 100000
"""

import argparse
import datetime
import decimal
import http.client
import json
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from databases import Database, DuckDb, Postgres
from questions import QUESTIONS, Question, Rows

# Ours of a percentile is at most 0.8 % off; means are rounded.
RELATIVE, ABSOLUTE = 0.008, 0.006
STARTED_WITHIN_S = 900.0
# The system chooses them.
PORTS = ("--ingest-addr", "127.0.0.1:0", "--query-addr", "127.0.0.1:0", "--ui-addr", "off")


class Server:
    """The server over the same directory, on ports that the system chose."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [binary, "serve", "--data-dir", directory, *PORTS],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> "Server":
        """Started, and listening."""
        addresses = self.directory / "run" / "addresses.json"
        until = time.monotonic() + STARTED_WITHIN_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                self.connection = http.client.HTTPConnection(json.loads(addresses.read_text())["query"], timeout=60)
                self.get("/health")
            except (FileNotFoundError, ConnectionError, json.JSONDecodeError):
                time.sleep(0.1)
            else:
                return self
        self.process.terminate()
        raise SystemExit("the server did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stopped."""
        self.process.terminate()
        self.process.wait(60)

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise SystemExit(f"{path} answered {response.status}: {body[:300]!r}")
        return body


def plain(value: Any) -> Any:
    """A value of a database as the server's answers have it."""
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def is_near(ours: Any, theirs: Any) -> bool:
    """Whether two values are the same; those that ours gives as a float are near it."""
    if isinstance(ours, float) and theirs is not None:
        return abs(ours - float(theirs)) <= RELATIVE * abs(float(theirs)) + ABSOLUTE
    return bool(ours == theirs)


def check(question: Question, ours: list[Rows], database: Database) -> None:
    """Ends the program where an answer differs from ours."""
    for statement, rows in zip(question.sql, ours, strict=True):
        expected = rows
        found = [tuple(plain(value) for value in row) for row in database.ask(statement)]
        if question.ordered:
            # Of a run, only which one it is: whole rows are fetched all the same.
            found = [row[:1] for row in found]
        else:
            found, expected = sorted(found, key=_key), sorted(expected, key=_key)
        same = len(found) == len(expected) and all(
            len(a) == len(b) and all(map(is_near, a, b)) for a, b in zip(expected, found, strict=True)
        )
        if not same:
            differing = [(a, b) for a, b in zip(expected, found, strict=False) if a != b][:5]
            counts = f"{database.name} has {len(found)} rows and we {len(expected)}"
            raise SystemExit(f"{question.name}: {counts}; ours and theirs: {differing}")


def _key(row: tuple[Any, ...]) -> list[str]:
    """Texts and truths of a row, by which it is known."""
    return [str(value) for value in row if isinstance(value, str | bool)]


def measure(ask: Callable[[], object], times: int, seconds: float) -> tuple[float, float]:
    """The median and the 99th percentile in ms, of so many times or as many as there is time for."""
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < times and (len(taken) < 3 or time.perf_counter() - began < seconds):  # noqa: PLR2004
        asked = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - asked) * 1000)
    taken.sort()
    return statistics.median(taken), taken[min(len(taken) - 1, len(taken) * 99 // 100)]


def size(directory: Path) -> str:
    """What lies in a directory, in MB."""
    return f"{sum(file.stat().st_size for file in directory.rglob('*') if file.is_file()) / 1e6:.0f} MB"


def main() -> None:
    """Makes the rows, loads them, checks and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=100, help="how often each question is asked")
    parser.add_argument("--seconds", type=float, default=5.0, help="or so long, three times at least")
    parser.add_argument("--release", type=Path, default=Path("target/release"), help="where the binaries are")
    parser.add_argument("--dir", type=Path, default=None, help="where directories are made; the disk is the one in use")
    parser.add_argument("--only", default="", help="only the questions whose name contains this")
    arguments = parser.parse_args()
    questions = [question for question in QUESTIONS if arguments.only in question.name]
    binary = arguments.release.resolve() / "agenttracer"
    with tempfile.TemporaryDirectory(dir=arguments.dir) as made:
        directory = Path(made)
        # The user of PostgreSQL has to come through.
        directory.chmod(0o755)
        log, export = directory / "data", directory / "export"
        generate = ["--dir", log, "generate", "--runs", str(arguments.runs)]
        subprocess.run([arguments.release.resolve() / "benches", *generate], check=True, stdout=subprocess.DEVNULL)
        command = [binary, "export", "--data-dir", log, "--format", "parquet", "--out", export]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        duck = DuckDb(directory, export)
        rows = {table: duck.ask(f"SELECT count(*) FROM {table}")[0][0] for table in ("runs", "steps")}
        with Postgres(directory) as postgres, Server(binary, log) as server:
            postgres.fill(duck, directory)
            versions = [postgres.ask("SHOW server_version")[0][0], duck.ask("SELECT version()")[0][0]]
            print(f"{rows['runs']:,} runs with {rows['steps']:,} steps; PostgreSQL {versions[0]}, DuckDB {versions[1]}")
            in_file = (directory / "runs.duckdb").stat().st_size / 1e6
            print(
                f"on disk: {size(log)} of ours, {size(postgres.directory)} of PostgreSQL, {in_file:.0f} MB of DuckDB\n"
            )
            report(questions, server, [postgres, duck], arguments.times, arguments.seconds)
        duck.close()


def report(questions: list[Question], server: Server, databases: list[Database], times: int, seconds: float) -> None:
    """A line a question, as a table of Markdown."""
    print("| question | ours p50 ms | p99 | PostgreSQL p50 ms | ratio | DuckDB p50 ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    ratios: dict[str, list[float]] = {database.name: [] for database in databases}
    for question in questions:
        ours = question.read(json.loads(server.get(question.path)))
        for database in databases:
            check(question, ours, database)
        # Decoded, as the rows of the others are.
        median, slow = measure(lambda question=question: json.loads(server.get(question.path)), times, seconds)  # type: ignore[misc]
        cells = [question.name, f"{median:.2f}", f"{slow:.2f}"]
        for database in databases:
            ask = lambda question=question, database=database: [database.ask(one) for one in question.sql]  # noqa: E731
            theirs, _ = measure(ask, times, seconds)
            ratios[database.name].append(theirs / median)
            cells += [f"{theirs:.2f}", f"{theirs / median:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    for name, all_of in ratios.items():
        faster = sum(ratio >= 1 for ratio in all_of)
        middle = statistics.geometric_mean(all_of)
        print(f"\n{name}: ours is faster in {faster} of {len(all_of)}, {middle:.1f} times in the geometric mean")


if __name__ == "__main__":
    main()
