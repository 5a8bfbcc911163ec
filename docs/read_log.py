"""Prints the records of segments as JSON lines: a reader written from format.md alone.

python3 docs/read_log.py DATA_DIR/log/*.*seg

It needs only Python, read_columns.py beside it, and for rewritten segments zstd: of Python 3.14 or of the package
`zstandard`.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from read_columns import Columns, Front, decompress, signed

T = TypeVar("T")
BLOCK = 4096
HEADER = struct.Struct("<4sIIIQqQQQIIIBBBB")
STATUS = {1: "success", 2: "failure", 3: "partial", 4: "running"}
STEP_TYPE = {1: "plan", 2: "retrieve", 3: "tool", 4: "respond", 5: "other"}
STEP_STATUS = {1: "ok", 2: "failed", 3: "unknown"}
FAILURE_TYPE = {1: "tool", 2: "model", 3: "retrieval", 4: "orchestration"}
REASONS: list[tuple[str, str]] = [
    (kind, code)
    for kind, codes in (
        (
            "tool_selection",
            "fresh_data_required cached_data_sufficient tool_unavailable cost_optimization latency_optimization "
            "accuracy_required",
        ),
        (
            "retrieval_strategy",
            "semantic_search_preferred keyword_match_sufficient hybrid_approach_needed filter_applied rerank_required",
        ),
        ("response_mode", "streaming_requested batch_preferred format_constraint length_constraint"),
        (
            "retry_strategy",
            "transient_error_detected rate_limit_encountered no_retry_terminal_error retry_budget_exhausted "
            "backoff_required",
        ),
        ("orchestration_path", "sequential_required parallel_preferred conditional_branch early_exit fallback_path"),
    )
    for code in codes.split()
]
SIGNALS: list[tuple[str, str]] = [
    (kind, code)
    for kind, codes in (
        ("schema_valid", "full_match partial_match validation_failed no_schema_defined"),
        ("empty_retrieval", "no_results filtered_out index_empty"),
        ("tool_success", "first_attempt after_retry fallback_used"),
        ("tool_failure", "timeout invalid_input unavailable rate_limited authentication_failed"),
        ("retry_occurred", "single_retry multiple_retries max_retries_reached"),
        ("latency_threshold", "under_threshold exceeded_threshold significantly_exceeded"),
        ("token_usage", "low_usage moderate_usage high_usage limit_approached"),
    )
    for code in codes.split()
]
TYPES = {
    1: "run_started",
    2: "step_started",
    3: "step_ended",
    4: "failure_recorded",
    5: "decision_recorded",
    6: "signal_recorded",
    7: "heartbeat",
    8: "run_ended",
    9: "run_abandoned",
    10: "run_erased",
}


def iso(micros: int) -> str:
    """A time as the API writes it."""
    text = (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=micros)).isoformat()
    return text.replace("+00:00", "Z")


class Bytes(Front):
    """Values of bincode, from the front of some bytes."""

    def signed(self) -> int:
        return signed(self.varint())

    def f64(self) -> float:
        value: float = struct.unpack("<d", self.take(8))[0]
        return value

    def slice(self) -> bytes:
        return self.take(self.varint())

    def text(self) -> str:
        return self.slice().decode()

    def uuid(self) -> str:
        return str(UUID(bytes=self.take(16)))

    def option(self, read: Callable[[], T]) -> T | None:
        return read() if self.u8() else None

    def value(self) -> Any:
        tag = self.u8()
        if tag in (0, 1, 2):
            return (None, False, True)[tag]
        if tag == 7:
            return [self.value() for _ in range(self.varint())]
        if tag == 8:
            return {self.text(): self.value() for _ in range(self.varint())}
        return {3: self.signed, 4: self.varint, 5: self.f64, 6: self.text}[tag]()

    def metadata(self) -> dict[str, Any]:
        inner = Bytes(self.slice())
        found = {}
        while inner.at < len(inner.data):
            key = inner.text()
            found[key] = inner.value()
        return found

    def texts(self) -> list[str]:
        inner = Bytes(self.slice())
        found = []
        while inner.at < len(inner.data):
            found.append(inner.text())
        return found


def body(kind: int, at: Bytes, base: int) -> dict[str, Any]:
    """The fields of a record, in the order in which they lie there, under the names of the API."""
    if kind == 1:
        run: dict[str, Any] = {"agent_id": at.text(), "agent_version": at.text(), "environment": at.text()}
        run |= {"started_at": iso(base + at.signed()), "parent_run_id": at.option(at.uuid)}
        run |= {"parent_step_id": at.option(at.uuid), "session_id": at.option(at.text), "trace_id": at.option(at.text)}
        return run | {"metadata": at.metadata()}
    if kind in (2, 3):
        step: dict[str, Any] = {"step_id": at.uuid(), "seq": at.varint(), "step_type": STEP_TYPE[at.u8()]}
        step |= {"status": STEP_STATUS[at.u8()], "name": at.text(), "latency_ms": at.varint()}
        started = base + at.signed()
        step |= {"started_at": iso(started), "ended_at": iso(started + at.signed())}
        step |= {"error_code": at.option(at.text), "parent_step_id": at.option(at.uuid)}
        return step | {"attempt": at.option(at.varint), "retry_of": at.option(at.uuid), "metadata": at.metadata()}
    if kind == 4:
        failure: dict[str, Any] = {
            "failure_id": at.uuid(),
            "step_id": at.option(at.uuid),
            "failure_type": FAILURE_TYPE[at.u8()],
        }
        return failure | {"failure_code": at.text(), "message": at.text()}
    if kind == 5:
        decision: dict[str, Any] = {"decision_id": at.uuid(), "step_id": at.option(at.uuid)}
        decision |= dict(zip(("decision_type", "reason_code"), REASONS[at.varint() - 1], strict=True))
        decision |= {"selected": at.text(), "confidence": at.option(at.f64), "candidates": at.texts()}
        return decision | {"metadata": at.metadata()}
    if kind == 6:
        signal: dict[str, Any] = {"signal_id": at.uuid(), "step_id": at.option(at.uuid)}
        signal |= dict(zip(("signal_type", "signal_code"), SIGNALS[at.varint() - 1], strict=True))
        return signal | {"value": bool(at.u8()), "weight": at.option(at.f64), "metadata": at.metadata()}
    if kind == 8:
        end: dict[str, Any] = {"status": STATUS[at.u8()], "ended_at": at.option(lambda: iso(base + at.signed()))}
        end |= {"removed_count": at.varint()}
        at.option(lambda: at.take(32))  # the content digest
        return end
    return {}


def records(position: int, time: int, payload: bytes) -> Iterator[dict[str, Any]]:
    """The records of a batch of one run."""
    if payload[0] != 1:
        raise ValueError(f"codec {payload[0]}")
    run_id = str(UUID(bytes=payload[2:18]))
    (base,) = struct.unpack_from("<q", payload, 18)
    rest = Bytes(payload[26:])
    while rest.at < len(rest.data):
        record = Bytes(rest.slice())
        kind, version = record.u8(), record.u8()
        if version != 1:
            raise ValueError(f"schema version {version}")
        line = {"run_id": run_id, "position": position, "time": iso(time), "type": TYPES[kind & 0x3F]}
        if kind & 0x80:
            line["event_time"] = iso(base + record.signed())
        if kind & 0x40:
            record.varint()  # how many values were removed from the event
        yield line | body(kind & 0x3F, record, base)
        position += 1


def block(position: int, time: int, raw: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """The batches of a block."""
    at = Bytes(raw)
    while at.at < len(raw):
        position += at.varint()
        count, distance, kind = at.varint(), at.signed(), at.u8()
        yield position, time + distance, kind, at.slice()
        position += count


def batches(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Position, time, kind and payload of each batch of a segment."""
    magic, crc, version, features, log_id, _, first, _, _, generation = struct.unpack_from("<8sIIQ16sQQQQI", data)
    if magic != b"ATRSEGM1" or crc != zlib.crc32(data[12:BLOCK]) or version != 1 or features & ~3:
        raise ValueError("no segment that this program can read")
    seed = zlib.crc32(log_id + struct.pack("<QI", first, generation))
    at, expected = BLOCK, first
    while at + HEADER.size <= len(data):
        head = HEADER.unpack_from(data, at)
        (magic, crc, length, payload_crc, position, time, _, _, _, count, raw_length, _, kind, codec, packed, _) = head
        if magic != b"ATF1" or crc != zlib.crc32(data[at + 8 : at + HEADER.size], seed) or position != expected:
            behind = (at // BLOCK + 1) * BLOCK
            if at % BLOCK == 0 or any(data[at:behind]):
                break  # the footer of a sealed segment, the zeros behind an active one, or damage
            at = behind  # the zeros behind a group
            continue
        payload = data[at + HEADER.size : at + length]
        if zlib.crc32(payload) != payload_crc:
            raise ValueError(f"the payload at offset {at} is damaged")
        match kind, codec, packed:
            case (1 | 4, 1, 0):
                yield position, time, kind, payload
            case (2, 1, 1):
                yield from block(position, time, decompress(payload, raw_length))
            case (2, 1, 2):
                raw = Columns(payload, time).raw()
                if len(raw) != raw_length:
                    raise ValueError(f"the block at offset {at} has another length than its frame says")
                yield from block(position, time, raw)
            case (3, 0, 0):
                pass  # these positions are gone; the payload says why
            case _:
                raise ValueError(f"the frame at offset {at} needs a newer reader")
        expected = position + count
        at += (length + 7) // 8 * 8
    if any(data[at:]) and data[at : at + 8] != b"ATRFOOT1":
        raise ValueError(f"damage, or a torn tail, at offset {at}")


def main(files: list[str]) -> None:
    """Prints the records of all segments, in the order of their names."""
    for file in sorted(files, key=lambda file: Path(file).name):
        for position, time, kind, payload in batches(Path(file).read_bytes()):
            if kind == 1:  # the others tell what was done to the log
                for record in records(position, time, payload):
                    sys.stdout.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
