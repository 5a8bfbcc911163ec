"""Puts blocks that are stored in columns together again: written from format.md alone, a part of read_log.py."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

KNOWN_IDS = 256
RECENT = 254
MASK = (1 << 64) - 1
# What the fields of a body are, in the letters of format.md; small ones may be absent.
FIELDS = {1: "TTTNrrttM", 2: "IQBBGLSEtrnrM", 4: "IrBGT", 5: "IrVTfTM", 6: "IrVBfM", 8: "BwNd"}
FIELDS |= {3: FIELDS[2], 7: "", 9: "", 10: ""}


def decompress(frame: bytes, length: int) -> bytes:
    """The content of a zstd frame, which has this length."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # since Python 3.14
    except ImportError:
        import zstandard

        raw: bytes = zstandard.ZstdDecompressor().decompress(frame, max_output_size=length)
    else:
        raw = zstd.decompress(frame)
    if len(raw) != length:
        raise ValueError("what was compressed has another length than is said")
    return raw


def signed(number: int) -> int:
    """0, 1, 2, 3 are 0, -1, 1, -2."""
    return number >> 1 if number & 1 == 0 else -(number >> 1) - 1


def zigzag(number: int) -> int:
    """The other way, of what is left of a number in 64 bits."""
    number = (number + (1 << 63) & MASK) - (1 << 63)
    return (number << 1 ^ number >> 63) & MASK


def varint(number: int) -> bytes:
    """A number as bincode has it."""
    if number < 251:
        return bytes([number])
    for mark, size in ((251, 2), (252, 4)):
        if number < 1 << 8 * size:
            return bytes([mark]) + number.to_bytes(size, "little")
    return b"\xfd" + number.to_bytes(8, "little")


class Front:
    """Bytes that are taken from their front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError("there are fewer bytes than are said")
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        first = self.u8()
        wide = {251: 2, 252: 4, 253: 8}.get(first)
        return first if wide is None else int.from_bytes(self.take(wide), "little")

    def stream(self, length: int) -> bytes:
        stored = self.varint()
        return decompress(b"\x28\xb5\x2f\xfd" + self.take(stored), length) if stored else self.take(length)


def numbers(at: Front) -> Iterator[int]:
    """A column of numbers."""
    width, base = at.u8(), at.varint()
    if width == 0:
        return iter(lambda: base, None)
    count, high_bits = at.varint(), at.u8()
    exceptions = [at.varint() for _ in range(at.varint())]
    low_bits = width - high_bits
    low = int.from_bytes(at.take((count * low_bits + 7) // 8), "little")
    high = at.stream(count) if high_bits else bytes(count)
    values = [(low >> n * low_bits & (1 << low_bits) - 1) | high[n] << low_bits for n in range(count)]
    left, mark = iter(exceptions), (1 << width) - 1 if exceptions else -1
    return iter([(base + (next(left) if value == mark else value)) & MASK for value in values])


class Recent:
    """The last different texts of a column, the latest last."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    def get(self, place: int) -> bytes:
        self.texts.append(self.texts.pop(-place))
        return self.texts[-1]

    def add(self, text: bytes) -> bytes:
        self.texts = [*self.texts[-RECENT + 1 :], text]
        return text


class Text:
    """The columns of a text."""

    def __init__(self, columns: Columns) -> None:
        self.text, self.form = next(columns.spare), next(columns.spare)
        self.digits = next(columns.spare_streams)
        self.texts, self.forms = Recent(), Recent()

    def read(self, new: Front) -> bytes:
        if place := next(self.text):
            return self.texts.get(place)
        place = next(self.form)
        form = Front(self.forms.get(place) if place else self.forms.add(new.take(new.varint())))
        text = b""
        while form.at < len(form.data):
            byte = form.take(1)
            count = form.u8() if byte == b"\xff" else 0
            text += self.digits.take(count).hex().encode() if count else byte
        return self.texts.add(text)


class Columns:
    """The columns of a block, and what the records so far let expect of the next."""

    def __init__(self, stored: bytes, time: int) -> None:
        at = Front(stored)
        self.batches, self.base, self.time = at.varint(), time, time
        self.spare = iter([numbers(at) for _ in range(at.varint())])
        self.spare_streams = iter([Front(at.stream(at.varint())) for _ in range(at.varint())])
        (self.gone, self.kind, self.count, self.more, self.received, self.flags, self.bases, self.shape) = (
            next(self.spare) for _ in range(8)
        )
        self.id_kind, self.id_time, self.id_bits = (next(self.spare) for _ in range(3))
        self.new, self.ids, self.plain = (next(self.spare_streams) for _ in range(3))
        self.shapes: list[list[tuple[str, object]]] = []
        self.known: dict[bytes, object] = {}

    def raw(self) -> bytes:
        """The block."""
        out = b""
        for _ in range(self.batches):
            gone, kind, count = next(self.gone), next(self.kind), next(self.count)
            if kind == 1:
                payload = self.run(count)
                expected = self.base + signed(zigzag(self.end))
            else:
                payload, expected = self.plain.take(next(self.more)), self.time
            received = expected + signed(next(self.received))
            head = varint(gone) + varint(count) + varint(zigzag(received - self.time)) + bytes([kind])
            out += head + varint(len(payload)) + payload
        return out

    def run(self, count: int) -> bytes:
        flags = next(self.flags)
        self.base += signed(next(self.bases))
        self.of_batch: list[bytes] = []
        self.places: dict[int, int] = {}
        self.event, self.seq, self.latency, self.start, self.end = 0, -1, 0, 0, 0
        self.id_ms = self.base // 1000
        out = bytes([1, flags]) + self.id() + struct.pack("<q", self.base)
        for _ in range(count + signed(next(self.more))):
            record = self.record()
            out += varint(len(record)) + record
        return out

    def id(self) -> bytes:
        kind, bits = next(self.id_kind), next(self.id_bits)
        if kind == 0x27:
            self.id_ms += signed(next(self.id_time))
            front = (self.id_ms & (1 << 48) - 1).to_bytes(6, "big")
        else:
            front = self.ids.take(6)
        rest = self.ids.take(8)
        middle = bytes([(kind & 15) << 4 | bits & 15, rest[0], kind >> 4 << 6 | bits >> 4 & 63])
        found = front + middle + rest[1:]
        if len(self.of_batch) < KNOWN_IDS:
            self.of_batch.append(found)
        return found

    def reference(self, column: Iterator[int]) -> bytes:
        if (told := next(column)) == 0:
            return self.id()
        place = self.places.get(id(column), 0) + 1 + signed(told - 1)
        self.places[id(column)] = place
        return self.of_batch[place]

    def record(self) -> bytes:
        if (index := next(self.shape)) == 0:
            self.shapes.append(self.plan(self.new.take(self.new.varint())))
        out, metadata = b"", None
        for what, column in self.shapes[index - 1]:
            if what == "M":
                metadata = len(out)
            else:
                out += self.value(what, column)
        return out if metadata is None else out[:metadata] + varint(len(out) - metadata) + out[metadata:]

    def value(self, what: str, column: Any) -> bytes:
        match what:
            case "I":
                return self.id()
            case "R":
                return self.reference(column)
            case "T":
                text: bytes = column.read(self.new)
                return varint(len(text)) + text
            case "X" | "copy":
                kept: bytes = column.read(self.new) if what == "X" else column
                return kept
            case "F":
                power = next(column[0])
                if power == 15:
                    return self.plain.take(8)
                return struct.pack("<d", float(signed(next(column[1]))) / 10.0**power)
            case "D":
                return self.plain.take(32)
            case "N":
                return varint(next(column))
            case "L":
                self.latency = next(column)
                return varint(self.latency)
        told = signed(next(column))
        match what:
            case "Q":
                self.seq = (self.seq + 1 + told) & MASK
                return varint(self.seq)
            case "C":
                self.event += told
                return varint(zigzag(self.event))
            case "S":
                self.start = self.end + told
                return varint(zigzag(self.start))
            case "E":
                last = self.latency * 1000 + told
                self.end = self.start + last
                return varint(zigzag(last))
            case _:
                self.end += told
                return varint(zigzag(self.end))

    def plan(self, shape: bytes) -> list[tuple[str, object]]:
        """The values of the records of a shape, between the bytes of the shape itself."""
        at, tag = Front(shape), b""
        ops: list[tuple[str, object]] = []
        head, _ = at.take(2)
        kind, copied = head & 0x3F, 0

        def add(what: str, key: bytes) -> None:
            nonlocal copied
            ops.append(("copy", shape[copied : at.at]))
            copied = at.at
            ops.append((what, self.column(what, key)))

        if head & 0x80:
            add("C", bytes([kind, 0x80]))
        if head & 0x40:
            add("N", bytes([kind, 0x40]))
        for place, letter in enumerate(FIELDS[kind]):
            here = bytes([kind, place])
            if letter in "BV":
                value = varint(at.varint())
                tag = tag or value
            elif letter.islower():
                if at.u8():
                    add(letter.upper(), here)
            elif letter == "M":
                add("M", here)
                while at.at < len(shape):
                    before = at.at
                    at.take(at.varint())
                    value_tag = at.u8()
                    if value_tag > 2:
                        add({5: "F", 6: "T", 7: "X", 8: "X"}.get(value_tag, "N"), here + shape[before : at.at])
            elif letter == "G":
                add("T", here + b"\0" + tag)
            else:
                add(letter, here)
        ops.append(("copy", shape[copied:]))
        return ops

    def column(self, what: str, key: bytes) -> object:
        if what in "IMD":
            return None
        if key not in self.known:
            if what in "TX":
                self.known[key] = Text(self)
            elif what == "F":
                self.known[key] = (next(self.spare), next(self.spare))
            else:
                self.known[key] = next(self.spare)
        return self.known[key]
