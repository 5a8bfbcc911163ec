"""What an answer to a batch means for each of its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

from ._transport import Answer

_LONGEST_RETRY_AFTER_S = 300.0


@dataclass(slots=True)
class Verdict:
    """What is to be done now."""

    delivered: int = 0
    removed: int = 0
    again: list[bytes] = field(default_factory=list)
    """Runs to send again."""
    rejected: int = 0
    """Runs that the server will never take."""
    split: bool = False
    """The batch was too large: send the runs of `again` in halves."""
    retry_after_s: float | None = None
    """How long the server wants to be left alone."""
    error: str | None = None
    """What went wrong, without any value of the agent's."""


def judge(answer: Answer, batch: list[bytes], now: datetime) -> Verdict:
    """Reads the server's answer to `batch`."""
    retry_after_s = _retry_after_s(answer.headers.get("retry-after"), now)
    if 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's own numbers
        return _read(answer.body, batch, retry_after_s)
    error = f"HTTP {answer.status}"
    if answer.status == 413:  # noqa: PLR2004
        return Verdict(again=list(batch), split=True, error=error)
    if _passes(answer.status):
        return Verdict(again=list(batch), retry_after_s=retry_after_s, error=error)
    return Verdict(rejected=len(batch), error=error)


def _read(body: bytes, batch: list[bytes], retry_after_s: float | None) -> Verdict:
    try:
        answer = json.loads(body)
        verdict = Verdict(
            delivered=int(answer["accepted"]) + int(answer["duplicates"]), removed=_total(answer["removed"])
        )
        for refusal in answer["rejected"]:
            status = int(refusal["status"])
            if _passes(status):
                verdict.again.append(batch[int(refusal["index"])])
                verdict.retry_after_s = retry_after_s
                verdict.error = f"HTTP {status} for a run"
            else:
                verdict.rejected += 1
                verdict.error = f"a run was rejected with {status}{_reasons(refusal.get('errors'))}"
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return Verdict(again=list(batch), error="the answer is not one of an AgentTracer server")
    if verdict.delivered + verdict.rejected + len(verdict.again) != len(batch):
        return Verdict(again=list(batch), error="the answer does not speak of every run")
    return verdict


def _passes(status: int) -> bool:
    """Whether the same request may succeed later."""
    return status in {408, 425, 429} or status >= 500  # noqa: PLR2004


def _total(removed: object) -> int:
    """The number of removed values, given as one number or by rule."""
    if isinstance(removed, Mapping):
        return sum(int(count) for count in removed.values())
    return int(removed) if isinstance(removed, (int, float)) else 0


def _reasons(errors: object) -> str:
    """Where the server found the errors and their types: neither holds a value."""
    if not isinstance(errors, list):
        return ""
    reasons = [
        f"{'.'.join(str(part) for part in error['loc'])} {error.get('type', '')}".strip()
        for error in errors[:5]
        if isinstance(error, Mapping) and isinstance(error.get("loc"), list)
    ]
    return f": {', '.join(reasons)}" if reasons else ""


def _retry_after_s(text: str | None, now: datetime) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text) if text.strip().isdigit() else (parsedate_to_datetime(text) - now).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S)
