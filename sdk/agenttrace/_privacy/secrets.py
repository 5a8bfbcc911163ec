"""Credentials: by their own form, behind `password=` and its like, and in a URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .._taxonomy import NO_SECRETS, SECRET_PREFIXES
from .match import Match

# The shortest credential that needs no name: `AKIA` and 16 characters.
_SHORTEST: Final = 20
_BEGIN: Final = "-----BEGIN"

_RUN = re.compile(r"[A-Za-z0-9_-]+")
_DIGIT = re.compile(r"[0-9]")
_FIRST_LETTERS: Final = frozenset(prefix[0] for prefix, _ in SECRET_PREFIXES)
# A credential, from the beginning of its header: three parts of base64url, further ones (JWE) included.
_JWT = re.compile(r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
_PEM_TITLE = re.compile(r"-----BEGIN[A-Z0-9 ]*?-----")
_BEARER = re.compile(r"[ :\"']+[A-Za-z0-9._~+/=-]{20,}")
_WORD = re.compile(r"(.*?)(?:password|passwd|api_key|secret|token|api-key|apikey)", re.IGNORECASE)
_ASSIGN = re.compile(r"[\"']? *([=:]) *([\"']?)")
_BARE_VALUE = re.compile(r"[^\s\"',;&]*")
_NUMBER = re.compile(r"[0-9](?:[0-9.,_]*|[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[0-9TZ:.+-]*")
_VERSION = re.compile(r"v*[0-9]+\.[0-9]+\.[0-9]+(?:[-.+].{0,15})?", re.DOTALL)
_PLACEHOLDERS: Final = ("[email]", "[phone]", "[card]", "[ip]", "[secret]")
_AUTHORITY = re.compile(r"(?<=[A-Za-z0-9])://([^\s/?#\"'<>]*)")


def credentials(text: str, *, named: bool) -> Iterator[Match]:
    """Credentials by their own form, and with `named` also those behind `password=` and its like."""
    at = 0
    while run := _RUN.search(text, at):
        word = run.group()
        end = _end(text, run.start(), run.end(), word, named=named)
        if end is not None:
            yield Match(run.start(), end, "secret")
            at = end
        else:
            # A PEM header may hang on a word: look on behind that word's letters.
            hangs = len(word) > len(_BEGIN) and word.endswith(_BEGIN)
            at = run.end() - (len(_BEGIN) if hangs else 0)


def logins(text: str) -> Iterator[Match]:
    """`user:password` in a URL. The match is that pair alone, so that the host stays readable."""
    at = 0
    while found := _AUTHORITY.search(text, at):
        at = found.start(1)
        pair, sign, _ = found.group(1).rpartition("@")
        if sign and pair.partition(":")[2]:
            yield Match(at, at + len(pair), "secret")


def _end(text: str, start: int, end: int, word: str, *, named: bool) -> int | None:
    if len(word) >= _SHORTEST and word[0] in _FIRST_LETTERS and _is_prefixed(word):
        return end
    if word.startswith("eyJ"):
        jwt = _JWT.match(text, start)
        return None if jwt is None else jwt.end()
    if word.startswith(_BEGIN):
        return _pem_end(text, start)
    if word.lower() == "bearer":
        bearer = _BEARER.match(text, end)
        return None if bearer is None else bearer.end()
    return _assigned_end(text, end, word) if named else None


def _is_prefixed(word: str) -> bool:
    return any(
        word.startswith(prefix) and len(word) - len(prefix) >= least and _DIGIT.search(word, len(prefix)) is not None
        for prefix, least in SECRET_PREFIXES
    )


def _pem_end(text: str, start: int) -> int | None:
    """From the header to the end of the footer, or of the string when the footer is missing."""
    title = _PEM_TITLE.match(text, start)
    if title is None:
        return None
    footer = text.find("-----END", title.end())
    end = -1 if footer < 0 else text.find("-----", footer + 8)
    return len(text) if end < 0 else end + 5


def _assigned_end(text: str, end: int, word: str) -> int | None:
    """`password=value` and its like; the word may be the last part of a longer name (`DB_PASSWORD=..`).

    Behind a longer name and `:` only a quoted value or one of 8 with a digit counts, for `get_secret:prod` is a name.
    """
    if word[-1] not in "dDyYtTnN":
        return None
    name = _WORD.fullmatch(word)
    if name is None or (name.group(1) and name.group(1)[-1] not in "_-"):
        return None
    assign = _ASSIGN.match(text, end)
    if assign is None:
        return None
    sign, quote = assign.groups()
    closing = text.find(quote, assign.end()) if quote else -1
    if closing >= 0:
        value_end = closing
    else:
        bare = _BARE_VALUE.match(text, assign.end())
        value_end = assign.end() if bare is None else bare.end()
    value = text[assign.end() : value_end]
    if len(value) < 4 or _is_no_value(value):  # noqa: PLR2004 - the contract's number
        return None
    strong = len(value.encode()) >= 8 and _DIGIT.search(value) is not None  # noqa: PLR2004 - the server's number
    return value_end if not name.group(1) or sign == "=" or closing >= 0 or strong else None


def _is_no_value(value: str) -> bool:
    """A number, a word that tells of a value instead of being it, a placeholder, a time, a version, or no value."""
    word = value.rstrip(".!?)]}:")
    digits = word.lstrip("+-").rstrip("%")
    return (
        value.lower() in NO_SECRETS
        or word.lower() in NO_SECRETS
        or value.startswith((*_PLACEHOLDERS, ":", "=", "//"))
        or _NUMBER.fullmatch(digits) is not None
        or _DATE.fullmatch(word) is not None
        or _VERSION.fullmatch(word) is not None
    )
