"""The rules and the dashboard, against the real server and the real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deploy.support import load, needed, one_of_each, text

if TYPE_CHECKING:
    from conftest import Serve, Server

DEPLOY = Path(__file__).parent
RULES = DEPLOY / "prometheus" / "alerts.yml"
WITHIN_S = 90.0
# These stay where they are as long as nothing is wrong, or nothing changes.
STILL = {
    "agenttracer_log_writable",
    "agenttracer_log_damaged_places",
    "agenttracer_log_lost_positions",
    "agenttracer_index_failed_commits_total",
    "agenttracer_maintenance_failed_passes_total",
    "agenttracer_maintenance_damaged_segments",
    "agenttracer_erasures_pending",
    "agenttracer_runs_abandoned_total",
    "agenttracer_applier_lag_positions",
    "agenttracer_body_bytes",
}


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _dashboard() -> list[str]:
    panels = json.loads((DEPLOY / "grafana" / "agenttracer.json").read_text())["panels"]
    return [target["expr"].replace("$agent", ".*") for panel in panels for target in panel.get("targets", ())]


def _families(expressions: list[str]) -> set[str]:
    names = {name for expression in expressions for name in re.findall(r"agenttracer_[a-z_]+", expression)}
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def _emitted(metrics: str) -> dict[str, tuple[str, set[str]]]:
    """Each family with its type and the names of its labels."""
    found = {name: (kind, set[str]()) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", metrics, re.MULTILINE)}
    for name, labels in re.findall(r"^(agenttracer_[a-z_]+)(?:\{(.*)\})? ", metrics, re.MULTILINE):
        family = name if name in found else re.sub(r"_(bucket|sum|count)$", "", name)
        found[family][1].update(re.findall(r'(\w+)="', labels))
    return {name: (kind, labels - {"le"}) for name, (kind, labels) in found.items()}


def test_the_page_tells_every_metric_and_no_other(server: Server) -> None:
    one_of_each(server.ingest, server.query)
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(agenttracer_\w+)` \| (\w+) \| ([\w, ]*) \|", page, re.MULTILINE)
    told = {name: (kind, set(filter(None, labels.split(", ")))) for name, kind, labels in rows}
    for base in (server.ingest, server.query):
        assert _emitted(text(f"{base}/metrics")) == told


def test_every_metric_of_the_page_s_prose_is_in_its_table() -> None:
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    table = set(re.findall(r"^\| `(agenttracer_\w+)`", page, re.MULTILINE))
    assert set(re.findall(r"`(agenttracer_[a-z_]+)`", page)) <= table


def test_every_alert_has_its_section_in_the_handbook() -> None:
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    sections = re.findall(r"^### (Agent\w+)$", page, re.MULTILINE)
    assert sections == [rule["alert"] for rule in _rules()]
    for rule in _rules():
        assert rule["annotations"]["runbook_url"].endswith(f"docs/operations.md#{rule['alert'].lower()}")


def test_each_alert_fires_at_what_it_is_for() -> None:
    promtool = needed("promtool", "prometheus")
    prometheus = DEPLOY / "prometheus"
    for command in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(  # noqa: S603
            [str(promtool), *command], cwd=prometheus, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    tested = set(re.findall(r"- name: (Agent\w+) fires", (prometheus / "alerts_test.yml").read_text()))
    assert tested == {rule["alert"] for rule in _rules()}


@dataclass(frozen=True)
class Prometheus:
    base: str
    server: Server

    def ask(self, path: str, **parameters: str) -> Any:
        answer = json.loads(text(f"{self.base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, expression: str) -> list[float]:
        return [float(sample["value"][1]) for sample in self.ask("query", query=expression)["result"]]


@pytest.fixture
def prometheus(serve: Serve, tmp_path: Path, unused_port: int) -> Iterator[Prometheus]:
    program = needed("prometheus", "prometheus")
    with serve(tmp_path) as server:
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(RULES)]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [server.query.removeprefix("http://")]}]
        file = tmp_path / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        address = f"127.0.0.1:{unused_port}"
        command = [str(program), f"--config.file={file}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
        with (tmp_path / "prometheus.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [*command, f"--web.listen-address={address}"], stdout=log, stderr=subprocess.STDOUT
            )
        try:
            _until(lambda: process.poll() is None and _ready(f"http://{address}"), "Prometheus is ready")
            yield Prometheus(f"http://{address}", server)
        finally:
            process.terminate()
            process.wait(30)


def _ready(base: str) -> bool:
    try:
        return bool(text(f"{base}/-/ready"))
    except OSError:
        return False


def _until(holds: Any, what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.2)


def test_every_metric_exists_and_moves_under_load(prometheus: Prometheus) -> None:
    rules, panels = [rule["expr"] for rule in _rules()], _dashboard()
    families = _families(rules + panels)
    server = prometheus.server
    with load(server.ingest, server.query):

        def unmoved() -> set[str]:
            return {
                name
                for name in families - STILL
                if not prometheus.value(f'sum(changes({{__name__=~"{name}(_count)?"}}[5m])) > 0')
            }

        _until(lambda: not unmoved(), f"everything has moved but {sorted(unmoved())}")
        for name in families:
            assert prometheus.value(f'count({{__name__=~"{name}(_count)?"}})'), f"no {name}"
        for panel in panels:
            _until(lambda panel=panel: prometheus.value(panel), f"the panel shows something: {panel}")
        _until(lambda: "AgentTracerPrivacyRefusals" in _firing(prometheus), "the refusals are told of")
    groups = prometheus.ask("rules")["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}
    assert not _firing(prometheus) & {"AgentTracerDown", "AgentTracerNotWritable", "AgentTracerDamage"}


def _firing(prometheus: Prometheus) -> set[str]:
    alerts = prometheus.ask("alerts")["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
