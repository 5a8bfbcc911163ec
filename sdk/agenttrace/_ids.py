"""Ids that are made here, so that sending a run twice stores it once."""

from __future__ import annotations

import os
import uuid
from datetime import datetime


def new_id(now: datetime) -> str:
    """A UUID of version 7: its first 48 bits are the time in ms, the rest is random."""
    time_ms = int(now.timestamp() * 1000) & (1 << 48) - 1
    # From the operating system, not from `random`: a forked child must not make its parent's ids again.
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = time_ms << 80 | random_bits
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
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
