"""`.ci/run` tells the tests that what they need must be there, whoever runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CI = Path(__file__).parents[1] / ".ci" / "run"
NOBODY = 65534


@pytest.fixture
def commands() -> Iterator[Path]:
    """Everything that the script looks for, doing nothing; `make` tells what it was told. Anybody may run them."""
    directory = Path(tempfile.mkdtemp())
    try:
        names = set(re.findall(r"^lacks ([\w-]+)", CI.read_text(), re.MULTILINE)) | {"cargo"}
        assert {"make", "chromium", "prometheus", "systemd-analyze"} <= names
        for name in names:
            does = 'echo "$* $AGENTTRACER_CI"' if name == "make" else "exit 0"
            (directory / name).write_text(f"#!/bin/sh\n{does}\n")
            (directory / name).chmod(0o755)
        directory.chmod(0o755)
        yield directory
    finally:
        shutil.rmtree(directory)


def test_the_tests_know_that_it_is_continuous_integration(commands: Path) -> None:
    as_nobody = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    for user in [[], ["setpriv", *as_nobody]] if as_nobody else [[]]:
        # Read from standard input, as the repository may be closed to others.
        with CI.open() as script:
            done = subprocess.run(  # noqa: S603
                [*user, "bash", "-s"],
                stdin=script,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                cwd="/",
                env={"PATH": f"{commands}:/usr/bin:/bin"},
            )
        assert (done.stdout, done.returncode) == ("test 1\n", 0), done.stderr
