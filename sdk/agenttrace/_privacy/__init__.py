"""What never leaves the process: the rules of the server (`docs/privacy.md`), applied before anything is queued.

The server refuses a whole run for a refused key, so dropping the key here saves the run. Values that may not be kept
are dropped or replaced, and told to `Notes` by their key and rule, never with the value.
"""

from __future__ import annotations

from .message import clean_message
from .metadata import MOST_BYTES, MOST_KEYS, Json, fact_metadata, run_metadata, size_of, step_metadata
from .names import Names, optional

__all__ = [
    "MOST_BYTES",
    "MOST_KEYS",
    "Json",
    "Names",
    "clean_message",
    "fact_metadata",
    "optional",
    "run_metadata",
    "size_of",
    "step_metadata",
]
