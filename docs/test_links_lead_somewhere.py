from __future__ import annotations

import re
import subprocess
from functools import cache
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


@cache
def prose(page: Path) -> str:
    """The page without its code."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> frozenset[str]:
    """What can stand behind a `#`: headings as GitHub names them, and names given by hand."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
    numbered = {f"{name}-{number}" if number else name for name, most in found.items() for number in range(most + 1)}
    return frozenset(numbered | set(re.findall(r'<a id="([^"]+)">', prose(page))))


def links(page: Path) -> list[tuple[str, Path, str]]:
    """Links to files of the repository and to places of the page: as written, the file, the place."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    written = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]
    found = []
    for link in written:
        file, _, place = link.partition("#")
        found.append((link, (page.parent / file).resolve() if file else page, place))
    return found


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_to_a_file_and_a_place_in_it(page: str) -> None:
    lost = [
        link
        for link, file, place in links(ROOT / page)
        if not file.exists() or (place and file.suffix == ".md" and place not in anchors(file))
    ]
    assert lost == []


def test_every_page_can_be_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    direct = {file for _, file, _ in links(index)}
    assert {page for page in (ROOT / "docs").glob("*.md") if page != index} - direct == set()
    assert index in {file for _, file, _ in links(ROOT / "README.md")}


def test_places_are_named_as_github_names_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# `run ID`: one, two & [three](x.md)\n## Again\n### Again\n```sh\n# no heading\n```\n<a id="by-hand"></a>\n'
    )
    assert anchors(page) == {"run-id-one-two--three", "again", "again-1", "by-hand"}


def test_there_are_pages() -> None:
    assert "README.md" in pages()
