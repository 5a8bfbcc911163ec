"""What never leaves the process: the contract's refused keys, and what the server would remove by key or as prose.

The server refuses a whole run for a refused key, so dropping the key here saves the run. The server applies all of its
rules again, the shapes of secrets, e-mail addresses and cards among them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from ._notes import Notes
from ._text import clean, plain

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

REFUSED_IN_STEPS: Final = frozenset({"prompt", "response", "output", "input", "content", "text", "message"})
REFUSED_IN_FACTS: Final = REFUSED_IN_STEPS | {
    "reasoning",
    "thought",
    "chain_of_thought",
    "explanation",
    "rationale",
}
REMOVED_WITH_TEXT: Final = REFUSED_IN_FACTS | {
    "query",
    "question",
    "answer",
    "body",
    "document",
    "documents",
    "page_content",
    "messages",
    "instructions",
    "arguments",
    "result",
    "completion",
    "transcript",
    "email",
    "phone",
    "ssn",
    "authorization",
    "cookie",
    "client_ip",
}
REMOVED_ENDINGS: Final = ("_prompt", "_input", "_output", "_query", "_answer", "_completion")

MOST_KEYS: Final = 64
MOST_DEPTH: Final = 4
MOST_BYTES: Final = 16 * 1024
MOST_FACT: Final = 100
MOST_MESSAGE: Final = 500

_KEY_FORM = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,99}")
_INTEGERS = range(-(1 << 63), 1 << 64)

_MENTION = re.compile(r"(?<![a-z0-9])(?:password|api_key|token|secret)(?![a-z0-9])")
_NO_MENTION = re.compile(r"token (?:limit|count|budget|usage)(?![a-z0-9])|unexpected token(?![a-z0-9])")

_SPACES = re.compile(r"\s")
_HIDDEN_SPACES = re.compile(r"_|%20|\+")
# Scripts that are written without spaces: Thai, Lao, Myanmar, Khmer, Kana, Han, Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def step_metadata(metadata: Mapping[str, object], notes: Notes) -> dict[str, Json]:
    """What may be kept of a step's metadata: nested values, to depth 4."""
    return _mapping(metadata, notes, place="step metadata", refused=REFUSED_IN_STEPS, depth=1)


def fact_metadata(metadata: Mapping[str, object], notes: Notes, *, place: str) -> dict[str, Json]:
    """What may be kept of the metadata of a run, a decision or a signal: scalars and short strings only."""
    kept = _mapping(metadata, notes, place=place, refused=REFUSED_IN_FACTS, depth=MOST_DEPTH)
    facts: dict[str, Json] = {}
    for key, value in kept.items():
        if isinstance(value, str) and len(value) > MOST_FACT:
            notes.removed(place, _shown(key), f"a string over {MOST_FACT} characters")
        else:
            facts[key] = value
    return facts


def fits(metadata: dict[str, Json]) -> bool:
    """Whether a step's metadata stays within the server's 16 KiB."""
    return len(json.dumps(metadata, ensure_ascii=False).encode()) <= MOST_BYTES


def message(text: str, notes: Notes) -> str:
    """A failure's message, cut at 500; one that mentions a password, a key or a token is redacted whole."""
    text = clean(text)[:MOST_MESSAGE]
    if _MENTION.search(_NO_MENTION.sub(" ", text.lower())):
        notes.removed("failure", "message", "it mentions password, api_key, token or secret")
        return "[redacted]"
    return text


def reads_like_prose(text: str) -> bool:
    """Whether a metadata string looks like sentences instead of a fact."""
    if len(_UNSPACED.findall(text)) > 16:  # noqa: PLR2004 - the contract's number
        return True
    spaces = len(_SPACES.findall(text))
    hidden = len(_HIDDEN_SPACES.findall(text))
    if hidden > 12:  # noqa: PLR2004 - the contract's number
        spaces += hidden
    if spaces == 0:
        return len(text) > 128  # noqa: PLR2004 - the contract's number
    return len(text) > 64 or spaces > 3  # noqa: PLR2004 - the contract's numbers


def _mapping(
    metadata: Mapping[str, object], notes: Notes, *, place: str, refused: frozenset[str], depth: int
) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    for given, value in metadata.items():
        key = plain(given)
        if key is None or not _KEY_FORM.fullmatch(key):
            notes.removed(place, "<key>", "not a plain key")
            continue
        lower = key.lower()
        if lower in refused:
            notes.removed(place, key, "the contract refuses this key")
        elif isinstance(value, str) and (lower in REMOVED_WITH_TEXT or lower.endswith(REMOVED_ENDINGS)):
            notes.removed(place, key, "private text")
        elif key not in kept and len(kept) == MOST_KEYS:
            notes.removed(place, key, f"more than {MOST_KEYS} keys")
        else:
            try:
                kept[key] = _value(value, notes, place=place, depth=depth)
            except _Unfit as unfit:
                notes.removed(place, key, str(unfit))
    return kept


class _Unfit(Exception):  # noqa: N818 - never seen outside this module
    """The value cannot be kept; the text says why, without the value."""


def _value(value: object, notes: Notes, *, place: str, depth: int) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value not in _INTEGERS:
            raise _Unfit("an integer beyond 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _Unfit("not a finite number")
        return float(value)
    text = plain(value)
    if text is not None:
        # What is kept is kept as it was given; control characters are the server's to replace.
        text = text.encode("utf-8", "replace").decode("utf-8")
        if reads_like_prose(text):
            raise _Unfit("it reads like prose")
        return text
    if depth >= MOST_DEPTH:
        raise _Unfit("nested too deep, or not a scalar")
    if isinstance(value, Mapping):
        # Below the first level no key is refused: there the rule for private text holds.
        return _mapping(value, notes, place=place, refused=frozenset(), depth=depth + 1)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        # A list with one entry that cannot be kept goes whole: with a gap in it, it would say something else.
        return [_value(entry, notes, place=place, depth=depth + 1) for entry in value]
    raise _Unfit("no JSON value")


def _shown(key: str) -> str:
    return key if _KEY_FORM.fullmatch(key) else "<key>"
