"""Metadata: facts of a run, a step, a decision or a signal; numbers, ids and names, never content."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, TypeAlias, cast

from .. import _taxonomy
from .._notes import Notes
from .._text import clean, plain
from . import shapes
from .prose import is_prose

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MOST_KEYS: Final = 64
# The largest metadata of a step, in bytes of JSON without white space and escapes; numbers count as eight.
MOST_BYTES: Final = 16 * 1024
# How deep a step's metadata may nest; the metadata object itself is the first level.
_DEEPEST: Final = 4
_LONGEST_FACT: Final = 100
# What is looked at of a mapping or a list: more cannot be kept, and looking costs the agent time.
_MOST_ENTRIES: Final = 4_096

_REFUSED_IN_STEPS: Final = frozenset(_taxonomy.CONTENT_KEYS)
_REFUSED_IN_FACTS: Final = _REFUSED_IN_STEPS | frozenset(_taxonomy.THOUGHT_KEYS)
_PRIVATE: Final = _REFUSED_IN_FACTS | frozenset(_taxonomy.PRIVATE_KEYS)
# `tokens_prompt` and its like are counts.
_COUNTS: Final = "tokens_"

_KEY_FORM = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,99}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# Strings that no rule has anything against: a name of ASCII letters.
_PLAIN = re.compile(r"[A-Za-z._-]{0,12}")
_INTEGERS = range(-(1 << 63), 1 << 64)


def step_metadata(metadata: Mapping[str, object], notes: Notes) -> dict[str, Json]:
    """What may be kept of a step's metadata: scalars, and lists and objects of them to depth 4, within 16 KiB."""
    return _Cleaner(notes, "step metadata", refused=_REFUSED_IN_STEPS, deepest=_DEEPEST).top(metadata)


def run_metadata(metadata: Mapping[str, object], notes: Notes) -> dict[str, Json]:
    """What may be kept of a run's metadata: scalars."""
    return _Cleaner(notes, "run metadata").top(metadata)


def fact_metadata(metadata: Mapping[str, object], notes: Notes, *, place: str) -> dict[str, Json]:
    """What may be kept of the metadata of a decision or a signal: scalars, strings of up to 100 among them."""
    return _Cleaner(notes, place, refused=_REFUSED_IN_FACTS, longest=_LONGEST_FACT).top(metadata)


def size_of(value: Json) -> int:
    """About the length of the value's JSON in bytes."""
    if value is None or isinstance(value, bool):
        return 4
    if isinstance(value, str):
        return len(value.encode()) + 2
    if isinstance(value, list):
        return 2 + sum(1 + size_of(entry) for entry in value)
    if isinstance(value, dict):
        return 2 + sum(len(key) + 4 + size_of(entry) for key, entry in value.items())
    return 8


class _UnfitError(Exception):
    """The value cannot be kept; the text says why, without the value."""


class _Cleaner:
    """The rules for one metadata object."""

    def __init__(
        self,
        notes: Notes,
        place: str,
        *,
        refused: frozenset[str] = frozenset(),
        deepest: int = 1,
        longest: int = _MOST_ENTRIES,
    ) -> None:
        self._notes = notes
        self._place = place
        self._refused = refused
        self._deepest = deepest
        self._longest = longest

    def top(self, metadata: Mapping[str, object]) -> dict[str, Json]:
        """The metadata object itself."""
        kept: dict[str, Json] = {}
        size = 2
        for key, value in self._entries(metadata):
            if key.lower() in self._refused:
                self._removed(key, "the contract refuses this key")
                continue
            try:
                entry = self._value(value, level=2, private=is_private(key))
            except _UnfitError as unfit:
                self._removed(key, str(unfit))
                continue
            size += len(key) + 4 + size_of(entry)
            if key not in kept and len(kept) == MOST_KEYS:
                self._removed(key, f"more than {MOST_KEYS} keys")
            elif size > MOST_BYTES:
                size -= len(key) + 4 + size_of(entry)
                self._removed(key, "more than 16 KiB")
            else:
                kept[key] = entry
        return kept

    def _entries(self, metadata: Mapping[str, object]) -> Iterator[tuple[str, object]]:
        """The entries whose key is a key."""
        if len(metadata) > _MOST_ENTRIES:
            self._notes.removed(self._place, "an object", f"more than {_MOST_ENTRIES} entries")
        for given, value in islice(metadata.items(), _MOST_ENTRIES):
            key = plain(given)
            if key is None or not _KEY_FORM.fullmatch(key) or shapes.find(key) is not None:
                self._notes.removed(self._place, "<key>", "not a plain key")
            else:
                yield key, value

    def _value(self, value: object, *, level: int, private: bool) -> Json:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if value not in _INTEGERS:
                raise _UnfitError("an integer beyond 64 bits")
            return int(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise _UnfitError("not a finite number")
            return float(value)
        text = plain(value)
        if text is not None:
            return self._text(text, private=private)
        if level > self._deepest:
            raise _UnfitError("nested too deep, or not a scalar")
        if isinstance(value, Mapping):
            return self._object(cast("Mapping[str, object]", value), level=level, private=private)
        if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
            return self._list(cast("Sequence[object]", value), level=level, private=private)
        raise _UnfitError("no JSON value")

    def _text(self, text: str, *, private: bool) -> str:
        if private:
            raise _UnfitError("private text")
        if _PLAIN.fullmatch(text):
            return text
        if len(text) > _MOST_ENTRIES:
            raise _UnfitError("it reads like prose")
        text = clean(text)
        if shapes.find(text) is not None:
            raise _UnfitError("it looks private")
        if is_prose(text):
            raise _UnfitError("it reads like prose")
        if len(text) > self._longest:
            raise _UnfitError(f"a string over {self._longest} characters")
        return text

    def _object(self, value: Mapping[str, object], *, level: int, private: bool) -> dict[str, Json]:
        # Below the first level no key is refused: there the rule for private text holds.
        kept: dict[str, Json] = {}
        for key, entry in self._entries(value):
            try:
                kept[key] = self._value(entry, level=level + 1, private=private or is_private(key))
            except _UnfitError as unfit:
                self._removed(key, str(unfit))
        return kept

    def _list(self, value: Sequence[object], *, level: int, private: bool) -> list[Json]:
        kept: list[Json] = []
        if len(value) > _MOST_ENTRIES:
            raise _UnfitError(f"more than {_MOST_ENTRIES} entries")
        for entry in value:
            try:
                kept.append(self._value(entry, level=level + 1, private=private))
            except _UnfitError as unfit:
                self._notes.removed(self._place, "an entry of a list", str(unfit))
        return kept

    def _removed(self, key: str, rule: str) -> None:
        self._notes.removed(self._place, key if _IDENTIFIER.fullmatch(key) else "<key>", rule)


def is_private(key: str) -> bool:
    """Whether text under this key, or anywhere below it, is private by its name."""
    key = key.lower()
    return key in _PRIVATE or (key.endswith(_taxonomy.PRIVATE_KEY_ENDS) and not key.startswith(_COUNTS))
