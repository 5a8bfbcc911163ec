"""E-mail addresses, in any script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from .match import Match, free_after

# The longest local part and the longest domain that are looked at.
_LONGEST_PART: Final = 255

_SIGN = re.compile(r"@|%40")
_NUMERIC = re.compile(r"v*[0-9]*")


def addresses(text: str) -> Iterator[Match]:
    """A local part, `@` or `%40`, labels, and an alphabetic top-level domain of two letters or more.

    A "domain" that begins like a version number (`lib@1.2.3-beta.rc`) is none.
    """
    for sign in _SIGN.finditer(text):
        end = _domain_end(text, sign.end())
        start = None if end is None else _local_start(text, sign.start())
        if end is not None and start is not None and free_after(text, end):
            yield Match(start, end, "email")


def _is_letter(char: str) -> bool:
    # Vowel signs of many scripts are marks, and letters all the same.
    return char.isalpha() or (not char.isascii() and unicodedata.category(char) in {"Mn", "Mc", "Nl"})


def _local_start(text: str, sign: int) -> int | None:
    start, has_name = sign, False
    for at in range(sign - 1, max(sign - 1 - _LONGEST_PART, -1), -1):
        char = text[at]
        name = char.isnumeric() or _is_letter(char)
        if not name and char not in "._%+-'":
            break
        has_name |= name
        start = at
    return start if has_name else None


def _domain_end(text: str, start: int) -> int | None:
    """The end of the longest run of labels whose last one is alphabetic."""
    end: int | None = None
    at, labels, numeric_first = start, 0, False
    while True:
        label_start, alphabetic = at, True
        while at < len(text) and at - start <= _LONGEST_PART:
            char = text[at]
            letter = _is_letter(char)
            if not letter and not char.isnumeric() and char != "-":
                break
            alphabetic &= letter
            at += 1
        if at == label_start:
            return end
        label = text[label_start:at]
        if labels == 0:
            numeric_first = _NUMERIC.fullmatch(label) is not None
        elif labels == 1 and numeric_first and "0" <= label[0] <= "9":
            return None
        labels += 1
        if labels > 1 and alphabetic and len(label) > 1:
            end = at
        if at >= len(text) or text[at] != ".":
            return end
        at += 1
