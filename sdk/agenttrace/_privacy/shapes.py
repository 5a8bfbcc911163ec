"""Private shapes in a string: credentials, e-mail addresses, card and phone numbers, public IP addresses.

The rules are the server's (`model/src/privacy`), and its two corpora hold both to the same answers. A match may not
touch a letter of ASCII, a digit, `_` or `-`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from . import digits, mail, secrets
from .match import Match

# The shortest shape: `a@b.co`.
_SHORTEST = 6
# Every shape has one of these; most names have none.
_NEEDED = re.compile(r"[0-9:=@%.\s]")


def find(text: str) -> str | None:
    """The rule of a private shape in the text, if there is one. IP addresses are looked for in messages only."""
    if len(text) < _SHORTEST or _NEEDED.search(text) is None:
        return None
    match = next(_scan(text), None)
    return None if match is None else match.rule


def find_all(text: str) -> list[Match]:
    """All private shapes of a message, in order of their beginning; they may overlap."""
    if len(text) < _SHORTEST:
        return []
    return sorted(chain(_scan(text), digits.addresses(text)), key=lambda match: (match.start, match.end))


def _scan(text: str) -> Iterator[Match]:
    named = ":" in text or "=" in text
    yield from secrets.credentials(text, named=named)
    addressed = "@" in text
    if addressed and named:
        yield from secrets.logins(text)
    if (addressed or "%" in text) and "." in text:
        yield from mail.addresses(text)
    if digits.has(text, 8):
        yield from digits.cards(text)
        yield from digits.phones(text)
