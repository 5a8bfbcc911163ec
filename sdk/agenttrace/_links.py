"""What ties a run to others: its parent, its session, its trace."""

from __future__ import annotations

import re

from . import _privacy
from ._ids import known_id
from ._notes import Notes
from ._privacy import Json
from ._text import plain

_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def known_links(
    notes: Notes, *, parent_run_id: object, parent_step_id: object, session_id: object, trace_id: object
) -> dict[str, Json]:
    """The links that may be sent; one that cannot be is left out."""
    links: dict[str, Json] = {}
    for name, value in (("parent_run_id", parent_run_id), ("parent_step_id", parent_step_id)):
        known = None if value is None else known_id(value)
        if known is not None:
            links[name] = known
        elif value is not None:
            notes.ignored(f"{name} left out", "it must be a UUID")
    session = None if session_id is None else _privacy.optional(session_id, 128, notes, "session_id")
    if session is not None:
        links["session_id"] = session
    if trace_id is not None:
        trace = (plain(trace_id) or "").lower()
        if _TRACE_ID.fullmatch(trace):
            links["trace_id"] = trace
        else:
            notes.ignored("trace_id left out", "it must be 32 hex digits")
    return links
