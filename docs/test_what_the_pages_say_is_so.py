from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[1]


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


def test_every_exit_code_is_told(agenttracer: Path) -> None:
    told = subprocess.run([agenttracer, "--help"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    page = (ROOT / "docs" / "operations.md").read_text().partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    codes = re.findall(r"^  (\d+) +\S", told, re.MULTILINE)
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == codes
    assert len(codes) > 2


def test_every_curl_line_of_the_readme_is_answered(server: HasAddresses) -> None:
    step = {"seq": 0, "step_type": "plan", "name": "p", "latency_ms": 1}
    step |= {"started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:01Z"}
    run = {"agent_id": "a", "agent_version": "1", "status": "success", "started_at": "2026-01-01T00:00:00Z"}
    request = urllib.request.Request(  # noqa: S310
        f"{server.ingest}/v1/runs", json.dumps(run | {"steps": [step]}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        run_id = json.load(answer)["run_id"]
    paths = re.findall(r"curl -s '(?:http://)?localhost:8001(/[^']*)'", (ROOT / "README.md").read_text())
    assert len(paths) > 5
    for path in paths:
        with urllib.request.urlopen(server.query + path.replace("RUN_ID", run_id), timeout=30) as answer:  # noqa: S310
            assert json.load(answer) is not None


# What the code says to clients and operators, by file: as a sentence, or as the pattern tells.
SENTENCE = r'"([A-Z](?:[^"\\]|\\.)* (?:[^"\\]|\\.)*)"'
IN_LOWER_CASE = r'"((?:this|a|the|pages) [^"]+ [^"]+)"'
MESSAGES = {
    "ingest/src/error.rs": SENTENCE,
    "ingest/src/intake.rs": SENTENCE,
    "ingest/src/body.rs": r'Refused::(?:Busy|TooLarge|Unavailable)\((?:format!\()?"([^"]+)"',
    "ingest/src/batch.rs": r'Refused::TooLarge\(format!\("([^"]+)"',
    "ingest/src/events.rs": r'"([A-Z][^"]+ [^"]+)"',
    "query/src/error.rs": SENTENCE,
    "query/src/routes.rs": r'"((?:No|The) [^"]+)"',
    "query/src/tail.rs": SENTENCE,
    "erasure/src/routes.rs": r'"((?:Run|Erasure|No|More|Too|The|Writing) [^"]+)"',
    "server/src/probes.rs": r'"([a-z][^"]+ [^"]+)"(?:\.to_owned\(\)|\)|,\n)',
    "server/src/edge.rs": IN_LOWER_CASE,
    "server/src/access/routes.rs": r'(?:StatusCode::\w+,|why =|const \w+: &str =)\s*"([^"]+)"',
    "server/src/access/file.rs": r'#\[error\("([^"]*(?:revoke those|no list)[^"]*)"',
    "storage/src/log.rs": r'format!\("(\{[^"]* (?:places|positions) [^"]*)"\)\)',
    "storage/src/error.rs": r'#\[error\("([^"]*`agenttracer[^"]*|[^"]*use a newer[^"]*)"',
    "server/src/error.rs": r'#\[error\(\s*"([^"]*(?:choose another|no API key that is valid)[^".]*\.?)',
}


def messages(file: str, pattern: str) -> set[str]:
    """Each placeholder is `..`, as on the page."""
    code = re.sub(r"//.*|\\\n\s*", "", (ROOT / file).read_text().partition("#[cfg(test)]")[0])
    found = {re.sub(r"\{[^}]*\}", "..", text) for text in re.findall(pattern, code)}
    assert found, file
    return found


def test_every_error_is_told() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    said = {text for file, pattern in MESSAGES.items() for text in messages(file, pattern)}
    assert {text for text in said if text not in page} == set()
    assert len(said) > 60


def test_each_word_of_the_glossary_means_one_thing() -> None:
    rows = [line for line in (ROOT / "docs" / "glossary.md").read_text().splitlines() if line.startswith("| **")]
    words = [word for row in rows for word in re.findall(r"\*\*([^*]+)\*\*", row)]
    assert len(words) > 100
    assert {word for word in words if words.count(word) > 1} == set()
