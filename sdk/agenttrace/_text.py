"""Short texts as the contract wants them: cut to length, free of control characters, never coerced."""

from __future__ import annotations

import re
from enum import Enum

_BREAKS = re.compile(r"[\t\r\n]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NOT_IN_A_CODE = re.compile(r"[^A-Za-z0-9_.:-]")


def clean(text: str) -> str:
    """The text without control characters and without halves of surrogate pairs, which no UTF-8 can hold."""
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROLS.sub("", _BREAKS.sub(" ", text))
    return text.encode("utf-8", "replace").decode("utf-8")


def short(value: object, most: int) -> str | None:
    """A text of 1 to `most` code points, or nothing when `value` is no text or an empty one."""
    text = plain(value)
    if text is None:
        return None
    # A long text is not looked at beyond what can be kept of it: that would cost the agent time.
    return clean(text[: 4 * most])[:most] or None


def code(value: object, most: int) -> str | None:
    """A code: a short text in which every character outside `[A-Za-z0-9_.:-]` is `_`."""
    text = short(value, most)
    return None if text is None else _NOT_IN_A_CODE.sub("_", text)


def plain(value: object) -> str | None:
    """The text itself, or that of a string enum's member."""
    if type(value) is str:
        return value
    if isinstance(value, Enum):
        value = value.value
    return str(value) if isinstance(value, str) else None
