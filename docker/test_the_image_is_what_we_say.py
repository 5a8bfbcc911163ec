from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

ROOT = Path(__file__).parents[1]


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


@pytest.fixture
def service() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = compose["services"]["agenttracer"]
    return found


def test_ports_are_published_on_this_machine_alone(service: dict[str, Any]) -> None:
    assert service["ports"] == [f"127.0.0.1:{port}:{port}" for port in (8000, 8001, 3000)]


def test_only_what_this_machine_alone_can_reach_goes_without_keys(service: dict[str, Any]) -> None:
    assert service["environment"] == {"AGENTTRACER_INSECURE": "true"}
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "insecure" not in (ROOT / "Dockerfile").read_text().lower()


def test_the_container_may_do_little(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == ["data:/data"]
    user = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user == [("10001", "10001")]


def test_every_variable_of_the_image_is_one_of_the_servers(agenttracer: Path) -> None:
    variables = set(re.findall(r"AGENTTRACER_[A-Z_]+", (ROOT / "Dockerfile").read_text()))
    told = subprocess.run([agenttracer, "serve", "--help"], capture_output=True, text=True, check=True)  # noqa: S603
    assert variables == {f"AGENTTRACER_{name}" for name in ("DATA_DIR", "INGEST_ADDR", "QUERY_ADDR", "UI_ADDR")}
    assert variables <= set(re.findall(r"AGENTTRACER_[A-Z_]+", told.stdout))


def test_every_package_of_the_workspace_is_in_the_image() -> None:
    members = re.search(r"^members = \[(.*)\]$", (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert members is not None
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(re.findall(r'"(\w+)"', members[1])) <= kept


def healthcheck(agenttracer: Path, *urls: str) -> subprocess.CompletedProcess[str]:
    command = [str(agenttracer), "healthcheck", *urls]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603


def test_the_healthcheck_tells_the_well_from_the_unwell(
    agenttracer: Path, server: HasAddresses, unused_port: int
) -> None:
    well = healthcheck(agenttracer, server.ingest, server.query)
    assert (well.returncode, well.stderr) == (0, "")
    assert healthcheck(agenttracer, server.ingest, f"http://127.0.0.1:{unused_port}").returncode == 1
