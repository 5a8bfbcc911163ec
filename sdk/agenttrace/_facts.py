"""Decisions, quality signals and failures, as they are sent. What cannot be sent costs itself and no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from . import _privacy, _taxonomy
from ._notes import Notes
from ._privacy import Json
from ._text import plain

_MOST_CANDIDATES = 64
_LONGEST_CHOICE = 200


def decision(
    notes: Notes,
    decision_type: object,
    selected: object,
    reason_code: object,
    *,
    candidates: Iterable[object] | None,
    confidence: object,
    metadata: Mapping[str, object] | None,
) -> dict[str, Json] | None:
    """The decision, or nothing when its type, its reason or what was selected cannot be sent."""
    pair = _known_pair(notes, "decision", _taxonomy.REASON_CODES, decision_type, reason_code)
    chosen = plain(selected)
    if chosen is None or not 0 < len(chosen) <= _LONGEST_CHOICE:
        notes.ignored("decision dropped", f"selected must be a text of 1 to {_LONGEST_CHOICE} characters")
        return None
    if pair is None:
        return None
    return {
        "decision_type": pair[0],
        "selected": _privacy.optional(chosen, _LONGEST_CHOICE, notes, "selected") or "[redacted]",
        "reason_code": pair[1],
        "candidates": None if candidates is None else _known_candidates(notes, candidates),
        "confidence": _fraction(notes, "confidence", confidence),
        "metadata": _privacy.fact_metadata(metadata or {}, notes, place="decision metadata"),
    }


def signal(
    notes: Notes,
    signal_type: object,
    signal_code: object,
    value: object,
    *,
    weight: object,
    metadata: Mapping[str, object] | None,
) -> dict[str, Json] | None:
    """The signal, or nothing when its type, its code or its value cannot be sent."""
    pair = _known_pair(notes, "quality signal", _taxonomy.SIGNAL_CODES, signal_type, signal_code)
    if pair is None:
        return None
    if not isinstance(value, bool):
        notes.ignored("quality signal dropped", "value must be True or False")
        return None
    return {
        "signal_type": pair[0],
        "signal_code": pair[1],
        "value": value,
        "weight": _fraction(notes, "weight", weight),
        "metadata": _privacy.fact_metadata(metadata or {}, notes, place="signal metadata"),
    }


def failure(notes: Notes, failure_type: object, failure_code: str | None, message: object) -> dict[str, Json]:
    """The failure: what cannot be sent of it is replaced, for it must not be lost over its label."""
    kind = plain(failure_type)
    if kind not in _taxonomy.FAILURE_TYPES:
        notes.ignored("failure type taken as 'orchestration'", f"allowed are {', '.join(_taxonomy.FAILURE_TYPES)}")
        kind = "orchestration"
    text = plain(message)
    return {
        "failure_type": kind,
        "failure_code": failure_code or "unknown",
        "message": (None if text is None else _privacy.clean_message(text, notes)) or "no message",
    }


def _known_pair(
    notes: Notes, what: str, table: Mapping[str, tuple[str, ...]], kind: object, its_code: object
) -> tuple[str, str] | None:
    kind, its_code = plain(kind), plain(its_code)
    if kind is None or kind not in table:
        notes.ignored(f"{what} dropped", f"allowed types are {', '.join(table)}")
        return None
    if its_code is None or its_code not in table[kind]:
        notes.ignored(f"{what} dropped", f"allowed codes of {kind} are {', '.join(table[kind])}")
        return None
    return kind, its_code


def _known_candidates(notes: Notes, candidates: Iterable[object]) -> list[Json]:
    kept: list[Json] = []
    for candidate in islice([candidates] if isinstance(candidates, str) else candidates, _MOST_CANDIDATES):
        text = plain(candidate)
        if text is None or not 0 < len(text) <= _LONGEST_CHOICE:
            notes.ignored("candidate dropped", f"a candidate must be a text of 1 to {_LONGEST_CHOICE} characters")
            continue
        clean = _privacy.optional(text, _LONGEST_CHOICE, notes, "candidate")
        if clean is not None:
            kept.append(clean)
    return kept


def _fraction(notes: Notes, what: str, value: object) -> float | None:
    if value is None:
        return None
    # NaN fails the comparison too.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    notes.ignored(f"{what} left out", "it must be a number from 0 to 1")
    return None
