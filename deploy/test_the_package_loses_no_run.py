"""The whole life of the Debian package, on this machine: it is built, installed, upgraded, removed and purged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.support import needed, post, run, text

BUILD = Path(__file__).parent / "debian" / "build"
DATA = Path("/var/lib/agenttracer")
CONFIG = Path("/etc/agenttracer/agenttracer.toml")
# There where systemd is what started the machine.
SYSTEMD = Path("/run/systemd/system")
START_TIMEOUT_S = 60.0


def _do(*command: object) -> str:
    done = subprocess.run(  # noqa: S603
        [str(part) for part in command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def package(agenttracer: Path, tmp_path: Path) -> Iterator[Path]:
    """The package of the program under test; what the test leaves of it on this machine goes."""
    needed("dpkg-deb", "dpkg")
    if not os.environ.get("AGENTTRACER_CI"):
        pytest.skip("it installs a package on this machine: set AGENTTRACER_CI=1, as root, to have that")
    if os.geteuid() != 0:
        pytest.skip("a package is installed by root, and this is not run by root")
    if DATA.exists() or CONFIG.exists():
        pytest.fail(f"{DATA} or {CONFIG} is there: this machine has a server, and the test would take it away")
    small = tmp_path / "agenttracer"
    _do("strip", "-o", small, agenttracer)
    built = Path(_do(BUILD, small, tmp_path / "packages").strip())
    try:
        yield built
    finally:
        subprocess.run(["/usr/bin/dpkg", "--purge", "agenttracer"], check=False, timeout=300)
        shutil.rmtree(DATA, ignore_errors=True)
        subprocess.run(["/usr/sbin/deluser", "--system", "--quiet", "agenttracer"], check=False, timeout=60)


def _install(package: Path) -> None:
    """Installs it. Where systemd runs the machine the server begins then, as it should; the test serves by itself."""
    _do("dpkg", "--install", package)
    if SYSTEMD.is_dir():
        # Also when it could not listen and is to be tried again. It has ended once this is done.
        _do("systemctl", "stop", "agenttracer.service")


@contextmanager
def _served() -> Iterator[tuple[str, str]]:
    """Serves as the unit does, without systemd: its command line, its user, ports that are free."""
    unit = (Path("/lib/systemd/system") / "agenttracer.service").read_text()
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    command = line.removeprefix("ExecStart=").split()
    for listener in ("ingest", "query", "ui"):
        command += [f"--{listener}-addr", "127.0.0.1:0"]
    process = subprocess.Popen(  # noqa: S603
        ["setpriv", "--reuid=agenttracer", "--regid=agenttracer", "--clear-groups", *command],  # noqa: S607
        cwd="/",
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        addresses, deadline = DATA / "run" / "addresses.json", time.monotonic() + START_TIMEOUT_S
        while not addresses.exists():
            assert process.poll() is None, f"it exited with {process.returncode}"
            assert time.monotonic() < deadline, "it is not ready"
            time.sleep(0.05)
        found = json.loads(addresses.read_text())
        yield f"http://{found['ingest']}", f"http://{found['query']}"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def _ids(query: str) -> set[str]:
    return {found["run_id"] for found in json.loads(text(f"{query}/v1/runs?page_size=100"))}


def test_it_brings_its_manual_and_its_completions(package: Path) -> None:
    # What is in it, and not what is on the disk: some images tell dpkg to leave manuals out.
    lines = _do("dpkg-deb", "--contents", package).splitlines()
    files = {line.split()[-1]: line.split()[0] for line in lines if not line.endswith("/")}
    pages = {path for path in files if path.startswith("./usr/share/man/man1/")}
    assert {f"./usr/share/man/man1/agenttracer{of}.1.gz" for of in ("", "-serve", "-runs", "-keys-create")} <= pages
    for script in (
        "bash-completion/completions/agenttracer",
        "zsh/vendor-completions/_agenttracer",
        "fish/vendor_completions.d/agenttracer.fish",
    ):
        assert files[f"./usr/share/{script}"] == "-rw-r--r--"
    assert all(mode == "-rw-r--r--" for path, mode in files.items() if path.startswith("./usr/share/"))


def test_a_run_outlives_every_version_of_the_program(package: Path) -> None:
    sent: set[str] = set()

    def send(ingest: str, runs: int) -> None:
        for _ in range(runs):
            body = run()
            assert post(f"{ingest}/v1/runs", body) == 201
            sent.add(body["run_id"])

    _install(package)
    assert (DATA.stat().st_mode & 0o777, DATA.owner()) == (0o700, "agenttracer")
    with _served() as (ingest, query):
        send(ingest, 20)
        assert _ids(query) == sent

    # An upgrade keeps what was changed.
    CONFIG.write_text(CONFIG.read_text() + "\nlease = '20m'\n")
    _install(package)
    assert "20m" in CONFIG.read_text()
    with _served() as (ingest, query):
        assert _ids(query) == sent
        send(ingest, 20)

    _do("dpkg", "--remove", "agenttracer")
    assert not Path("/usr/bin/agenttracer").exists()
    assert CONFIG.exists()
    _install(package)
    with _served() as (_, query):
        assert _ids(query) == sent

    _do("dpkg", "--purge", "agenttracer")
    assert not CONFIG.exists()
    assert DATA.owner() == "agenttracer"
    _install(package)
    with _served() as (_, query):
        assert _ids(query) == sent
    # Exit code 0: nothing is wrong with it.
    _do("runuser", "-u", "agenttracer", "--", "agenttracer", "verify", "--data-dir", DATA)
