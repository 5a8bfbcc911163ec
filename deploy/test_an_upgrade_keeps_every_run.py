"""Directories that other versions wrote, as a whole: `golden/` holds what they were and what was asked of them."""

from __future__ import annotations

import json
import subprocess
import tarfile
import zlib
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deploy.support import post, run, text

if TYPE_CHECKING:
    from conftest import Serve

GOLDEN = Path(__file__).parent / "golden"
DIRECTORIES = sorted(path.name.removesuffix(".tar.xz") for path in GOLDEN.glob("*.tar.xz"))


def _unpack(name: str, folder: Path) -> Path:
    data_dir = folder / "data"
    with tarfile.open(GOLDEN / f"{name}.tar.xz") as archive:
        archive.extractall(data_dir, filter="data")
    return data_dir


def _asked(query: str) -> dict[str, Any]:
    runs = json.loads(text(f"{query}/v1/runs?page_size=100"))
    fields = ("run_id", "agent_id", "status", "started_at", "created_at", "position")
    told = [
        {field: found[field] for field in fields}
        | {"steps": len(found["steps"]), "failures": [failure["failure_id"] for failure in found["failures"]]}
        for found in runs
    ]
    return {"runs": told, "stats": json.loads(text(f"{query}/v1/stats"))}


@pytest.mark.parametrize("name", DIRECTORIES)
def test_this_version_answers_as_the_older_one_did(serve: Serve, agenttracer: Path, tmp_path: Path, name: str) -> None:
    data_dir = _unpack(name, tmp_path)
    with serve(tmp_path) as server:
        assert _asked(server.query) == json.loads((GOLDEN / f"{name}.json").read_text())
        assert "the index is rebuilt from the log" in server.log.read_text()
        assert post(f"{server.ingest}/v1/runs", run()) == HTTPStatus.CREATED
    verified = subprocess.run(  # noqa: S603
        [str(agenttracer), "verify", "--data-dir", str(data_dir)], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize("name", DIRECTORIES)
def test_an_index_of_a_newer_version_is_made_anew(serve: Serve, tmp_path: Path, name: str) -> None:
    meta = _unpack(name, tmp_path) / "index" / "meta.json"
    written = json.loads(meta.read_text())
    words = written["payload"].split()
    written["payload"] = " ".join("version=1000000" if word.startswith("version=") else word for word in words)
    meta.write_text(json.dumps(written))
    with serve(tmp_path) as server:
        assert _asked(server.query) == json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_log_of_a_newer_version_is_left_alone(agenttracer: Path, tmp_path: Path, name: str) -> None:
    data_dir = _unpack(name, tmp_path)
    for slot in ("manifest.a", "manifest.b"):
        file = data_dir / slot
        file.write_bytes(_of_a_newer_format(file.read_bytes()))
    before = {path: path.read_bytes() for path in sorted(data_dir.rglob("*")) if path.is_file()}
    command = [str(agenttracer), "serve", "--data-dir", str(data_dir)]
    for listener in ("ingest", "query", "ui"):
        command += [f"--{listener}-addr", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode not in (0, 64), done.stderr
    assert "newer" in done.stderr, done.stderr
    assert {path: path.read_bytes() for path in before} == before


def _of_a_newer_format(slot: bytes) -> bytes:
    """A slot of the manifest that asks for the next format, with a CRC that holds: see `docs/format.md`."""
    found = bytearray(slot)
    found[12:16] = (int.from_bytes(found[12:16], "little") + 1).to_bytes(4, "little")
    end = 80 + 48 * int.from_bytes(found[68:72], "little")
    found[8:12] = zlib.crc32(found[12:end]).to_bytes(4, "little")
    return bytes(found)


def test_keys_of_a_newer_version_open_nothing_and_stay_as_they_are(agenttracer: Path, tmp_path: Path) -> None:
    made = [str(agenttracer), "keys", "create", "--data-dir", str(tmp_path), "--name", "reader", "--scope", "query"]
    subprocess.run(made, check=True, capture_output=True, timeout=60)  # noqa: S603
    file = tmp_path / "keys.json"
    newer = json.loads(file.read_text())
    newer["format"] += 1
    file.write_text(json.dumps(newer))
    command = [str(agenttracer), "serve", "--data-dir", str(tmp_path), "--require-keys"]
    for listener in ("ingest", "query", "ui"):
        command += [f"--{listener}-addr", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 1, done.stderr
    assert f"format {newer['format']}" in done.stderr, done.stderr
    assert json.loads(file.read_text()) == newer
