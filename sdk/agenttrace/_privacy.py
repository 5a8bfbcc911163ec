"""What never leaves the process: the contract's refused keys, and what the server would remove by key or as prose.

The server refuses a whole run for a refused key, so dropping the key here saves the run. The server applies all of its
rules again, the shapes of secrets, e-mail addresses and cards among them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, TypeAlias

from ._notes import Notes
from ._text import plain, short

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
    # content
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
    # people
    "email",
    "phone",
    "ssn",
    "client_ip",
    # credentials
    "authorization",
    "cookie",
    "password",
    "passwd",
    "api_key",
    "apikey",
    "api-key",
    "x-api-key",
    "token",
    "secret",
    "access_token",
    "auth_token",
    "bearer_token",
    "id_token",
    "refresh_token",
    "session_token",
    "private_key",
}
REMOVED_ENDINGS: Final = (
    "_prompt",
    "_input",
    "_output",
    "_query",
    "_answer",
    "_completion",
    "_password",
    "_passwd",
    "_api_key",
    "_secret",
)
# `tokens_prompt` and its like are counts.
COUNTS: Final = "tokens_"

MOST_KEYS: Final = 64
# What is looked at of a mapping or a list: more cannot be kept, and looking costs the agent time.
MOST_ENTRIES: Final = 4_096
MOST_DEPTH: Final = 4
MOST_BYTES: Final = 16 * 1024
# So many keys (of 100 bytes at most) with scalars (128 characters of 4 bytes) are always below that.
_SURE_TO_FIT: Final = 24
MOST_FACT: Final = 100
MOST_MESSAGE: Final = 500

_KEY_FORM = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,99}")
_INTEGERS = range(-(1 << 63), 1 << 64)

# A word is a whole name: `reset_password` mentions no password.
_MENTION = re.compile(r"(?<![a-z0-9_])(?:password|api_key|secret|token)(?![a-z0-9_])")
_TALK_OF_TOKENS = re.compile(
    r"(?<![a-z0-9_])token[ -]+(?:limit|count|budget)s?(?![a-z0-9_])"
    r"|(?<![a-z0-9_])token[ -]+usage(?![a-z0-9_])"
    r"|(?<![a-z0-9_])unexpected[^a-z0-9_]+token(?![a-z0-9_])"
)

# White space, and the characters of no width that stand for it.
_SPACES = re.compile("[\\s\u180e\u200b\u2060\ufeff]")
_STAND_INS = re.compile(r"_|%20|\+")
# Scripts in which whole sentences may stand without a space.
_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"  # Hangul
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
    "\u3040-\u312f\u31a0-\u31ff\uff66-\uff9f"  # Kana, Bopomofo
    "]"
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
    if len(metadata) <= _SURE_TO_FIT and not any(isinstance(value, (list, dict)) for value in metadata.values()):
        return True
    return len(json.dumps(metadata, ensure_ascii=False).encode()) <= MOST_BYTES


def message(text: str, notes: Notes) -> str:
    """A failure's message, cut at 500; one that mentions a password, a key or a token is redacted whole."""
    text = short(text, MOST_MESSAGE) or ""
    if _MENTION.search(_TALK_OF_TOKENS.sub("", text.lower())):
        notes.removed("failure", "message", "it mentions password, api_key, token or secret")
        return "[redacted]"
    return text


def names_private_text(key: str) -> bool:
    """Whether text under this key, or anywhere below it, is private by its name."""
    key = key.lower()
    return key in REMOVED_WITH_TEXT or (key.endswith(REMOVED_ENDINGS) and not key.startswith(COUNTS))


def reads_like_prose(text: str) -> bool:
    """Whether a metadata string looks like sentences instead of a fact."""
    if len(text) > 128:  # noqa: PLR2004 - the contract's number
        return True
    if len(_UNSPACED.findall(text)) > 16:  # noqa: PLR2004 - the contract's number
        return True
    spaces = len(_SPACES.findall(text))
    stand_ins = len(_STAND_INS.findall(text))
    if stand_ins > 12:  # noqa: PLR2004 - the contract's number
        spaces += stand_ins
    return spaces > 0 and (len(text) > 64 or spaces > 3)  # noqa: PLR2004 - the contract's numbers


def _mapping(
    metadata: Mapping[str, object],
    notes: Notes,
    *,
    place: str,
    refused: frozenset[str],
    depth: int,
    below_private: bool = False,
) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    if len(metadata) > MOST_ENTRIES:
        notes.removed(place, "an object", f"more than {MOST_ENTRIES} entries")
    for given, value in islice(metadata.items(), MOST_ENTRIES):
        key = plain(given)
        if key is None or not _KEY_FORM.fullmatch(key):
            notes.removed(place, "<key>", "not a plain key")
            continue
        if key.lower() in refused:
            notes.removed(place, key, "the contract refuses this key")
        elif key not in kept and len(kept) == MOST_KEYS:
            notes.removed(place, key, f"more than {MOST_KEYS} keys")
        else:
            try:
                private = below_private or names_private_text(key)
                kept[key] = _value(value, notes, place=place, depth=depth, private=private)
            except _Unfit as unfit:
                notes.removed(place, key, str(unfit))
    return kept


class _Unfit(Exception):  # noqa: N818 - never seen outside this module
    """The value cannot be kept; the text says why, without the value."""


def _value(value: object, notes: Notes, *, place: str, depth: int, private: bool) -> Json:
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
        if private:
            raise _Unfit("private text")
        if reads_like_prose(text):
            raise _Unfit("it reads like prose")
        # What is kept is kept as it was given; control characters are the server's to replace.
        return text.encode("utf-8", "replace").decode("utf-8")
    if depth >= MOST_DEPTH:
        raise _Unfit("nested too deep, or not a scalar")
    if isinstance(value, Mapping):
        # Below the first level no key is refused: there the rule for private text holds.
        return _mapping(value, notes, place=place, refused=frozenset(), depth=depth + 1, below_private=private)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        if len(value) > MOST_ENTRIES:
            raise _Unfit(f"more than {MOST_ENTRIES} entries")
        # A list with one entry that cannot be kept goes whole: with a gap in it, it would say something else.
        return [_value(entry, notes, place=place, depth=depth + 1, private=private) for entry in value]
    raise _Unfit("no JSON value")


def _shown(key: str) -> str:
    return key if _KEY_FORM.fullmatch(key) else "<key>"
