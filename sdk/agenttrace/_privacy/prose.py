"""Metadata strings that read like sentences instead of facts."""

from __future__ import annotations

import re
from typing import Final

_LONGEST_WORD: Final = 128
_LONGEST_PHRASE: Final = 64
_MOST_SPACES: Final = 3
_MOST_UNSPACED: Final = 16
# From this many on, `_`, `%20` and `+` are taken for the spaces of a sentence.
_MOST_STAND_INS: Final = 12

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


def is_prose(text: str) -> bool:
    """Whether the string goes: too long, too many spaces, or too much of a script that is written without them."""
    if len(text) > _LONGEST_WORD:
        return True
    spaces = text.count(" ") if text.isascii() else len(_SPACES.findall(text))
    if len(text) > _MOST_STAND_INS:
        stand_ins = len(_STAND_INS.findall(text))
        if stand_ins > _MOST_STAND_INS:
            spaces += stand_ins
    if spaces > 0 and (len(text) > _LONGEST_PHRASE or spaces > _MOST_SPACES):
        return True
    return not text.isascii() and len(_UNSPACED.findall(text)) > _MOST_UNSPACED
