"""What `format.md` says is enough to read a log: a reader that knows nothing else agrees with `agenttracer replay`."""

from __future__ import annotations

import json
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

READER = Path(__file__).with_name("read_log.py")
COLUMNS = READER.with_name("read_columns.py")
DEADLINE_S = 30.0


def run(number: int) -> dict[str, Any]:
    """A run that uses every kind of value."""
    ids = [str(uuid4()) for _ in range(3)]
    metadata = {"big": 2**63 + number, "minus": -number, "share": 0.1 * number, "none": None, "yes": True}

    def step(seq: int, kind: str, **more: Any) -> dict[str, Any]:
        begin = f"2026-11-22T10:00:0{seq}"
        step = {
            "step_id": ids[seq],
            "seq": seq,
            "step_type": kind,
            "name": f"{kind}_{number % 7}",
            "latency_ms": number**3,
        }
        return step | {"started_at": f"{begin}Z", "ended_at": f"{begin}.250001Z", "metadata": metadata} | more

    failure: dict[str, Any] = {
        "step_id": ids[2],
        "failure_type": "tool",
        "failure_code": "timeout",
        "message": "nach 30 s, \u00fc",
    }
    decision: dict[str, Any] = {
        "decision_type": "retry_strategy",
        "reason_code": "backoff_required",
        "selected": "later",
    }
    signal_ = {
        "signal_type": "token_usage",
        "signal_code": "limit_approached",
        "value": number % 2 == 0,
        "weight": 0.25,
    }
    steps = [
        step(0, "plan", metadata=metadata | {"deep": {"list": [1, {"a": "b"}]}}),
        step(1, "retrieve", status="ok", parent_step_id=ids[0]),
        step(2, "tool", status="failed", error_code="timeout", attempt=2, retry_of=ids[1]),
    ]
    whole: dict[str, Any] = {
        "agent_id": f"agent-{number % 5}",
        "agent_version": "v1",
        "session_id": "s-1",
        "trace_id": "ab" * 16,
    }
    whole |= {"status": "failure", "failure": failure} if number % 3 == 0 else {"status": "success"}
    whole |= {
        "started_at": "2026-11-22T10:00:00.123456Z",
        "metadata": {"region": "eu-1"},
        "parent_run_id": str(uuid4()),
    }
    whole |= {"ended_at": "2026-11-22T10:00:09Z"} if number % 4 else {}
    candidates: dict[str, Any] = {"candidates": ["later", "never"], "confidence": 0.75} if number % 2 else {}
    return whole | {"steps": steps, "decisions": [decision | candidates], "quality_signals": [signal_]}


@pytest.fixture(scope="module")
def data_dir(agenttracer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of several segments whose server was stopped."""
    folder = tmp_path_factory.mktemp("reader") / "data"
    command = [str(agenttracer), "serve", "--data-dir", str(folder), "--segment-bytes", "65536", "--ui-addr", "off"]
    command += ["--ingest-addr", "127.0.0.1:0", "--query-addr", "off"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        addresses = folder / "run" / "addresses.json"
        deadline = time.monotonic() + DEADLINE_S
        while not addresses.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        url = f"http://{json.loads(addresses.read_text())['ingest']}/v1/runs/batch"
        body = "\n".join(json.dumps(run(number)) for number in range(200)).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/x-ndjson"})
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310
            assert json.load(answer)["accepted"] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    return folder


def read(files: list[Path]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(READER), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def segments(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "log").iterdir() if path.suffix in {".seg", ".cseg"}]


def replayed(agenttracer: Path, data_dir: Path) -> list[Any]:
    command = [str(agenttracer), "replay", "--data-dir", str(data_dir)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return [json.loads(line) for line in text.splitlines()]


def test_the_reader_prints_what_replay_prints(agenttracer: Path, data_dir: Path) -> None:
    assert len(segments(data_dir)) > 1
    printed = read(segments(data_dir))
    assert printed.returncode == 0, printed.stderr
    assert [json.loads(line) for line in printed.stdout.splitlines()] == replayed(agenttracer, data_dir)
    assert printed.stdout.count('"run_started"') == 200


def test_the_reader_prints_what_replay_prints_of_rewritten_segments(
    agenttracer: Path, data_dir: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "data"
    shutil.copytree(data_dir, copy)
    subprocess.run([str(agenttracer), "compact", "--data-dir", str(copy)], capture_output=True, check=True)  # noqa: S603
    rewritten = [path for path in segments(copy) if path.suffix == ".cseg"]
    # The feature bits: with gaps and blocks, and these in columns.
    assert [path.read_bytes()[16] for path in rewritten] == [3] * len(rewritten)
    assert rewritten
    printed = read(segments(copy))
    assert printed.returncode == 0, printed.stderr
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert lines == replayed(agenttracer, copy) == replayed(agenttracer, data_dir)
    assert printed.stdout.count('"run_started"') == 200


def test_the_reader_finds_a_flipped_bit(data_dir: Path, tmp_path: Path) -> None:
    whole = min(segments(data_dir))
    data = bytearray(whole.read_bytes())
    (end,) = struct.unpack_from("<Q", data, len(data) - 16)  # where the frames end, says the trailer
    for offset in (20, 4096 + 20, 4096 + 100, end // 2):
        data[offset] ^= 4
        copy = tmp_path / whole.name
        copy.write_bytes(data)
        assert read([copy]).returncode != 0, f"offset {offset} was believed"
        data[offset] ^= 4


def test_the_reader_is_short_and_stands_alone() -> None:
    for file in (READER, COLUMNS):
        imports = set(re.findall(r"^\s*(?:from|import) (\w+)", file.read_text(), re.MULTILINE))
        assert imports - {"zstandard", "compression", COLUMNS.stem} <= set(sys.stdlib_module_names)
        assert len(file.read_text().splitlines()) < 300
