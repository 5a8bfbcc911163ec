from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"],  # noqa: S607 - git is where the path says
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_to_a_file(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link.partition("#")[0]).exists()] == []


def test_there_are_pages() -> None:
    assert "README.md" in pages()
