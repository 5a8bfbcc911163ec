"""Wheel and sdist are built, installed where nothing else is, and run the snippet of the README."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import Protocol

import pytest
from sdk_world import ROOT


class HasAddresses(Protocol):
    """The server that the root's `conftest.py` starts."""

    ingest: str
    query: str


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(  # noqa: S603 - pip, build and Python
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with wheel and sdist, made by the backend that `pyproject.toml` names."""
    source = tmp_path_factory.mktemp("source") / "sdk"
    shutil.copytree(ROOT / "sdk", source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    program = "from setuptools import build_meta; build_meta.build_sdist('../dist'); build_meta.build_wheel('../dist')"
    (source.parent / "dist").mkdir()
    run(sys.executable, "-c", program, cwd=source)
    return source.parent / "dist"


@pytest.mark.parametrize("form", ["*.whl", "*.tar.gz"])
def test_it_installs_into_a_clean_environment_and_runs_the_readme(
    server: HasAddresses, built: Path, tmp_path: Path, form: str
) -> None:
    (package,) = built.glob(form)
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    if form == "*.tar.gz":
        # The backend is taken from here, so that nothing is downloaded.
        unpacked = tmp_path / "unpacked"
        shutil.unpack_archive(package, unpacked, filter="data")
        (folder,) = unpacked.iterdir()
        program = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
        run(sys.executable, "-c", program, cwd=folder)
        (package,) = folder.glob("*.whl")
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        site,
        package,
        cwd=tmp_path,
    )
    assert (
        run(python, "-c", "import importlib.util as u; print(u.find_spec('langchain_core'))", cwd=tmp_path) == "None\n"
    )

    snippet = re.search(
        r"```python\n(from agenttrace import AgentTracer.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert snippet is not None
    agent_id = f"agent-{uuid.uuid4()}"
    text = snippet.group(1).replace("http://localhost:8000", server.ingest).replace("support-agent", agent_id)
    (tmp_path / "snippet.py").write_text(text)
    run(python, "snippet.py", cwd=tmp_path)
    with urllib.request.urlopen(f"{server.query}/v1/runs?agent_id={agent_id}", timeout=30) as answer:  # noqa: S310
        (stored,) = json.load(answer)
    assert [step["name"] for step in stored["steps"]] == ["analyze_query", "billing_api"]
    # Types and taxonomy are in the package.
    assert {"py.typed", "_taxonomy.py", "integrations"} <= {path.name for path in Path(site, "agenttrace").iterdir()}
