"""The systemd unit, as systemd itself sees it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deploy.support import needed

UNIT = Path(__file__).parent / "systemd" / "agenttracer.service"
# Of 100, in tenths of a point: 13 is what it needs the network and its own user for.
MOST_EXPOSURE = 15


def _analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = needed("systemd-analyze", "systemd")
    return subprocess.run(  # noqa: S603
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    # Only what is installed can be started: any program stands in for ours.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/agenttracer", "/bin/true"))
    done = _analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_exposes_little() -> None:
    done = _analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", "--no-pager", UNIT)
    assert done.returncode == 0, done.stdout
    # The check can fail.
    assert _analyze("security", "--offline=yes", "--threshold=5", UNIT).returncode != 0
