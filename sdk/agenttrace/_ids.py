"""Ids that are made here, so that sending a run twice stores it once."""

from __future__ import annotations

import os
import random
import uuid

_random = random.Random()  # noqa: S311 - unique, not secret
# The fixed bits of a UUID of version 7.
_VERSION_AND_VARIANT = 7 << 76 | 2 << 62


def new_id(time_ms: int) -> str:
    """A UUID of version 7: its first 48 bits are the time in ms since 1970, the rest is random."""
    bits = _random.getrandbits(74)
    value = (time_ms & (1 << 48) - 1) << 80 | (bits >> 62) << 64 | bits & (1 << 62) - 1 | _VERSION_AND_VARIANT
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def known_id(given: object) -> str | None:
    """The canonical form of an id that the caller gave, or nothing when it is none."""
    if not isinstance(given, (str, uuid.UUID)):
        return None
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        return None


if hasattr(os, "register_at_fork"):
    # A forked child must not make its parent's ids again.
    os.register_at_fork(after_in_child=_random.seed)
