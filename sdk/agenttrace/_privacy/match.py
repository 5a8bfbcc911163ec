"""A place in a text where private text stands."""

from __future__ import annotations

from typing import NamedTuple


class Match(NamedTuple):
    """A private shape: where it stands, and by which rule it is one."""

    start: int
    end: int
    rule: str


def touches(char: str) -> bool:
    """Whether a neighbour belongs to the same word, so that there is no match: a letter, digit, `_` or `-`."""
    return (char.isascii() and char.isalnum()) or char in {"_", "-"}


def free_before(text: str, start: int) -> bool:
    """Whether nothing touches a match that begins at `start`."""
    return start == 0 or not touches(text[start - 1])


def free_after(text: str, end: int) -> bool:
    """Whether nothing touches a match that ends before `end`."""
    return end >= len(text) or not touches(text[end])
