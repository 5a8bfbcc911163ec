"""A failure's message: free text, in which shapes are replaced."""

from __future__ import annotations

import re
from typing import Final

from .._notes import Notes
from .._text import clean
from . import shapes
from .match import Match

REDACTED: Final = "[redacted]"
MOST_MESSAGE: Final = 500
# What is looked at: beyond the cut, so that no half of an address is left at the end.
_LOOKED_AT: Final = 4 * MOST_MESSAGE

# A word is a whole name: `reset_password` mentions no password.
_MENTION = re.compile(r"(?<![a-z0-9_])(?:password|api_key|secret|token)(?![a-z0-9_])")
_TALK_OF_TOKENS = re.compile(
    r"(?<![a-z0-9_])token[ -]+(?:limit|count|budget)s?(?![a-z0-9_])"
    r"|(?<![a-z0-9_])token[ -]+usage(?![a-z0-9_])"
    r"|(?<![a-z0-9_])unexpected[^a-z0-9_]+token(?![a-z0-9_])"
)


def clean_message(text: str, notes: Notes) -> str:
    """The message, cut at 500, its private shapes replaced by `[email]` and its like.

    One that mentions a password, an API key, a token or a secret becomes `[redacted]`: the server would refuse its run.
    """
    text = clean(text[:_LOOKED_AT])
    if _MENTION.search(_TALK_OF_TOKENS.sub("", text.lower())):
        notes.removed("failure", "message", "it mentions password, api_key, token or secret")
        return REDACTED
    # A replacement or the cut can give birth to a shape (`secret: [card]x`), so this goes on until nothing is found.
    for _ in range(16):
        matches = shapes.find_all(text)
        if matches:
            notes.removed("failure", "a part of the message", "it looks private")
            text = _replaced(text, matches)
        if len(text) > MOST_MESSAGE:
            text = text[:MOST_MESSAGE]
        elif not matches:
            return text
    return REDACTED


def _replaced(text: str, matches: list[Match]) -> str:
    """The text without the matches; those that overlap become one, named after the first."""
    parts: list[str] = []
    done = 0
    position = 0
    while position < len(matches):
        start, end, rule = matches[position]
        position += 1
        while position < len(matches) and matches[position].start < end:
            other = matches[position]
            position += 1
            # `user:password@host` looks like mail from its password on; the host may stay.
            host = (rule, other.rule) == ("secret", "email") and text[end : end + 1] == "@"
            if not host:
                end = max(end, other.end)
        # The server refuses a message with the word secret, in brackets too.
        parts += [text[done:start], REDACTED if rule == "secret" else f"[{rule}]"]
        done = end
    parts.append(text[done:])
    return "".join(parts)
