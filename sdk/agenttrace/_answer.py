"""What an answer to a batch means for each of its items."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import cast

from ._transport import Answer

_LONGEST_RETRY_AFTER_S = 300.0
# A mistake in the configuration of the agent or of what stands between: the items are kept until it is mended.
_MISCONFIGURED = frozenset({401, 403, 404, 405, 407})
_TOO_LARGE = 413
_BROKE = 500


@dataclass(slots=True)
class Verdict:
    """What is to be done now. Items that are neither in `again` nor in `rejected` were stored."""

    again: list[int] = field(default_factory=list[int])
    """Items to send again, by their place in the batch."""
    rejected: list[int] = field(default_factory=list[int])
    """Items that the server will never take."""
    reasons: list[str] = field(default_factory=list[str])
    """Why items were rejected, without any value of the agent's."""
    removed: int = 0
    """Values that the server removed."""
    too_large: bool = False
    """The batch was too large: send smaller ones."""
    broke: list[int] = field(default_factory=list[int])
    """Items over which the server broke: if it takes others, they are to blame."""
    for_long: bool = False
    """Nothing will be taken until somebody mends the configuration."""
    retry_after_s: float | None = None
    """How long the server wants to be left alone."""
    error: str | None = None
    """What went wrong, without any value of the agent's."""

    @property
    def failed(self) -> bool:
        """Whether the server could not take what it should have taken."""
        return bool(self.again) and not self.too_large


def judge(answer: Answer, items: int, now: datetime) -> Verdict:
    """Reads the server's answer to a batch of so many items."""
    retry_after_s = _retry_after_s(answer.headers.get("retry-after"), now)
    everything = list(range(items))
    if 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own numbers
        return _read(answer.body, items, retry_after_s)
    error = f"HTTP {answer.status}"
    if answer.status == _TOO_LARGE:
        return Verdict(again=everything, too_large=True, error=error)
    if _passes(answer.status):
        broke = list(everything) if answer.status == _BROKE else []
        return Verdict(again=everything, broke=broke, retry_after_s=retry_after_s, error=error)
    if answer.status in _MISCONFIGURED or 300 <= answer.status < 400:  # noqa: PLR2004
        return Verdict(again=everything, for_long=True, retry_after_s=retry_after_s, error=error)
    return Verdict(rejected=everything, reasons=[error], error=error)


def _read(body: bytes, items: int, retry_after_s: float | None) -> Verdict:
    verdict = Verdict()
    try:
        answer = json.loads(body)
        stored = int(answer["accepted"]) + int(answer["duplicates"])
        verdict.removed = _total(answer["removed"])
        for refusal in answer["rejected"]:
            status, index = int(refusal["status"]), int(refusal["index"])
            if _passes(status):
                verdict.again.append(index)
                if status == _BROKE:
                    verdict.broke.append(index)
                verdict.retry_after_s = retry_after_s
                verdict.error = f"HTTP {status} for one of a batch"
            else:
                verdict.rejected.append(index)
                verdict.reasons.append(f"{status}{_where(refusal.get('errors'))}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Verdict(again=list(range(items)), error="the answer is not one of an AgentTracer server")
    told = {*verdict.rejected, *verdict.again}
    if stored + len(told) != items or not told <= set(range(items)):
        return Verdict(again=list(range(items)), error="the answer does not speak of every item")
    return verdict


def _passes(status: int) -> bool:
    """Whether the same request may succeed later."""
    return status in {408, 425, 429} or status >= 500  # noqa: PLR2004


def _total(removed: object) -> int:
    """The number of removed values, given as one number or by rule."""
    if isinstance(removed, Mapping):
        by_rule = cast("Mapping[str, int]", removed)
        return sum(int(count) for count in by_rule.values())
    return int(removed) if isinstance(removed, (int, float)) else 0


def _where(errors: object) -> str:
    """Where the server found the errors and their types: neither holds a value."""
    if not isinstance(errors, list):
        return ""
    reasons: list[str] = []
    for error in cast("list[object]", errors)[:5]:
        if not isinstance(error, Mapping):
            continue
        told = cast("Mapping[str, object]", error)
        loc = told.get("loc")
        if isinstance(loc, list):
            place = ".".join(str(part) for part in cast("list[object]", loc))
            reasons.append(f"{place} {told.get('type', '')}".strip())
    return f": {', '.join(reasons)}" if reasons else ""


def _retry_after_s(text: str | None, now: datetime) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdigit() else (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S)
