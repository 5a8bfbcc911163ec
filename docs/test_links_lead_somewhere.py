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


def links(page: str) -> list[str]:
    """The files to which a page links, as it writes them."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    found = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", link)]
    return [link.partition("#")[0] for link in found]


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_to_a_file(page: str) -> None:
    assert [link for link in links(page) if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_every_page_is_in_the_list_of_pages() -> None:
    written = {page.removeprefix("docs/") for page in pages() if page.startswith("docs/")}
    assert written - {"README.md"} - set(links("docs/README.md")) == set()
    assert len(written) > 10


def test_there_are_pages() -> None:
    assert "README.md" in pages()
