"""Names: of agents, steps, codes, choices. The word rules are not for them, `reset_password` is a name; shapes are."""

from __future__ import annotations

from typing import Final

from .._notes import Notes
from .._text import clean, plain
from . import shapes

REDACTED: Final = "[redacted]"
# Names repeat, and looking one up is much faster than looking at it.
_MOST_KNOWN: Final = 2_000


class Names:
    """Cleans required names of up to `most` code points, and remembers what became of them."""

    def __init__(self, most: int, notes: Notes, place: str) -> None:
        self._most = most
        self._notes = notes
        self._place = place
        self._known: dict[str, str] = {}

    def clean(self, value: object) -> str | None:
        """The name, cut to length; `[redacted]` when a private shape is in it; nothing when it is no text or empty."""
        text = plain(value)
        if text is None:
            return None
        known = self._known.get(text)
        if known is not None:
            return known
        kept = _bounded(text, self._most)
        if kept is None:
            self._notes.removed(self._place, "name", "it looks private")
            kept = REDACTED
        elif kept and len(text) <= self._most:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[text] = kept
        return kept or None


def optional(value: object, most: int, notes: Notes, place: str) -> str | None:
    """A text that may be absent, cut to length; nothing when it is no text, empty, or has a private shape."""
    text = plain(value)
    if text is None:
        return None
    kept = _bounded(text, most)
    if kept is None:
        notes.removed(place, "value", "it looks private")
    return kept or None


def _bounded(text: str, most: int) -> str | None:
    """The text without control characters, cut to length; nothing when there is a private shape in it."""
    # A long text is not looked at beyond what can be kept of it: that would cost the agent time.
    text = clean(text[: 4 * most])
    if shapes.find(text) is not None:
        return None
    if len(text) <= most:
        return text
    # The cut may free a shape that something touched.
    return None if shapes.find(text[:most]) is not None else text[:most]
