"""No claim about another tool without a link to what that tool says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent / "comparison.md").read_text()

OWN_PLACES = {
    "Langfuse": r"(\w+\.)*langfuse\.com/|pypi\.org/project/langfuse/|github\.com/langfuse/",
    "Phoenix": r"(\w+\.)*arize\.com/(docs/)?phoenix/|arize-ai\.github\.io/|github\.com/Arize-ai/",
    "MLflow": r"mlflow\.org/|github\.com/mlflow/",
    "Opik": r"(www\.)?comet\.com/docs/opik/|github\.com/comet-ml/",
    "Laminar": r"laminar\.sh/|docs\.lmnr\.ai/|github\.com/lmnr-ai/",
}


def rows(first: str) -> list[tuple[str, str]]:
    """The rows of every table whose first column is named so, as their first and their last cell."""
    found = re.findall(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    cells = [row.strip("|").split(" | ") for table in found for row in table.splitlines()]
    return [(row[0].strip(), row[-1].strip()) for row in cells]


@pytest.mark.parametrize(("tool", "place"), OWN_PLACES.items())
def test_what_is_told_of_a_tool_is_linked_to_its_own_words(tool: str, place: str) -> None:
    told = [text for name, text in rows("tool") if name == tool]
    assert len(told) == 4
    for text in told:
        links = re.findall(r"\]\(https://([^)]+)\)", text)
        assert links
        assert [link for link in links if not re.match(place, link)] == []


def test_who_has_what_we_lack_is_linked_to_its_own_words() -> None:
    lacking = [text for _, text in rows("what")]
    assert len(lacking) > 10
    for text in lacking:
        named = re.findall(r"\[(\w+)\]\(https://([^)]+)\)", text)
        assert named or text == "all five, see above"
        for tool, link in named:
            assert re.match(OWN_PLACES[tool], link), (tool, link)
        assert {tool for tool in OWN_PLACES if tool in text} == {tool for tool, _ in named}


def test_the_page_says_when_it_was_read() -> None:
    assert re.search(r"read, on \d{4}-\d{2}-\d{2}", PAGE)
