"""Ids that are made here, so that sending a run twice stores it once."""

from __future__ import annotations

import os
import random
import uuid

_random = random.Random()  # noqa: S311 - unique, not secret


def new_id(time_ms: int) -> str:
    """A UUID of version 7: its first 48 bits are the time in ms since 1970, the rest is random."""
    bits = _random.getrandbits(74)
    # The 7 is the version, the 8 the variant.
    return "%08x-%04x-7%03x-%04x-%012x" % (  # noqa: UP031 - twice as fast as any other form
        time_ms >> 16 & 0xFFFF_FFFF,
        time_ms & 0xFFFF,
        bits >> 62,
        bits >> 48 & 0x3FFF | 0x8000,
        bits & 0xFFFF_FFFF_FFFF,
    )


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
