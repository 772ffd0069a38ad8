"""The directories in an EXIF block, which is a TIFF file (TIFF 6.0; BigTIFF): tag numbers and raw values.

Nothing is believed: offsets and counts that lead out of the block, and types that do not exist, make an entry that
is not there. Only the directories that are wanted are followed, each once, so a loop is no loop here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_ENTRIES = 1_000
"""In one directory; cameras write fewer than 100."""
MAX_VALUE_BYTES = 64 * 1024
"""Longer values are noted and not read: no text of that length has room in a record."""

ORIENTATION = 0x0112
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825

BYTE, ASCII, UNDEFINED, UTF_8 = 1, 2, 7, 129
_RATIONALS = {5: "I", 10: "i"}
_NUMBERS = {
    1: "B",
    3: "H",
    4: "I",
    6: "b",
    7: "B",
    8: "h",
    9: "i",
    11: "f",
    12: "d",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
_SIZES = {ASCII: 1, UTF_8: 1, **dict.fromkeys(_RATIONALS, 8)} | {
    kind: struct.calcsize(f"={code}") for kind, code in _NUMBERS.items()
}

Number = int | float | None


@dataclass(frozen=True, slots=True)
class Value:
    """The value of one tag: of TIFF's type `kind`, as its bytes; None if there are too many of them."""

    kind: int
    raw: bytes | None
    order: str

    def numbers(self) -> list[Number]:
        """The numbers it holds, rationals divided; None for what is no number (0/0, 1/0)."""
        if self.raw is None:
            return []
        if (code := _RATIONALS.get(self.kind)) is not None:
            parts = struct.unpack(f"{self.order}{len(self.raw) // 4}{code}", self.raw)
            return [_divided(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
        if (code := _NUMBERS.get(self.kind)) is not None:
            return list(struct.unpack(f"{self.order}{len(self.raw) // _SIZES[self.kind]}{code}", self.raw))
        return []


Directory = dict[int, Value]


@dataclass(frozen=True)
class Directories:
    """The main directory and the two that it points to; empty where there is none."""

    main: Directory = field(default_factory=dict)
    exif: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)


def read_directories(block: bytes) -> Directories:
    """The directories of an EXIF block, with or without "Exif" before it, or of a TIFF file. Never raises."""
    layout = _layout(block)
    if layout is None:
        return Directories()
    main = layout.directory(layout.first)
    return Directories(main, *(_pointed_to(layout, main, tag) for tag in (EXIF_DIRECTORY, GPS_DIRECTORY)))


def orientation(block: bytes) -> int:
    """1 to 8; 1 if there is none, or none that makes sense."""
    layout = _layout(block)
    value = layout.directory(layout.first).get(ORIENTATION) if layout else None
    found = value.numbers()[:1] if value else []
    return next((one for one in found if isinstance(one, int) and 1 <= one <= 8), 1)


def _pointed_to(layout: _Layout, main: Directory, tag: int) -> Directory:
    pointer = main.get(tag)
    offsets = pointer.numbers() if pointer else []
    return layout.directory(offsets[0]) if offsets and isinstance(offsets[0], int) else {}


@dataclass(frozen=True)
class _Layout:
    """Where things stand in this block, and in which byte order."""

    block: memoryview
    order: str
    big: bool
    first: int

    def directory(self, offset: int) -> Directory:
        found: Directory = {}
        for tag, value in self._entries(offset):
            found.setdefault(tag, value)
        return found

    def _entries(self, offset: int) -> Iterator[tuple[int, Value]]:
        head, entry = ("Q", "HHQ8s") if self.big else ("H", "HHI4s")
        count_bytes, entry_bytes = struct.calcsize(f"={head}"), struct.calcsize(f"={entry}")
        if not 0 < offset <= len(self.block) - count_bytes:
            return
        (count,) = struct.unpack_from(f"{self.order}{head}", self.block, offset)
        offset += count_bytes
        there = (len(self.block) - offset) // entry_bytes
        for at in range(offset, offset + min(count, there, MAX_ENTRIES) * entry_bytes, entry_bytes):
            tag, kind, length, inline = struct.unpack_from(f"{self.order}{entry}", self.block, at)
            value = self._value(kind, length, inline)
            if value is not None:
                yield tag, value

    def _value(self, kind: int, length: int, inline: bytes) -> Value | None:
        size = _SIZES.get(kind, 0) * length
        if not size:
            return None
        if size <= len(inline):
            return Value(kind, inline[:size], self.order)
        (at,) = struct.unpack(f"{self.order}{'Q' if self.big else 'I'}", inline)
        if at + size > len(self.block):
            return None
        return Value(kind, bytes(self.block[at : at + size]) if size <= MAX_VALUE_BYTES else None, self.order)


def _layout(block: bytes) -> _Layout | None:
    start = 0
    while start < 12 and block[start : start + 6] == b"Exif\0\0":  # twice, by some writers
        start += 6
    order = {b"II": "<", b"MM": ">"}.get(block[start : start + 2])
    if order is None or len(block) < start + 16:
        return None
    view = memoryview(block)[start:]
    (version,) = struct.unpack_from(f"{order}H", view, 2)
    if version == 42:
        return _Layout(view, order, False, struct.unpack_from(f"{order}I", view, 4)[0])
    if version == 43:
        return _Layout(view, order, True, struct.unpack_from(f"{order}Q", view, 8)[0])
    return None


def _divided(numerator: int, denominator: int) -> Number:
    if denominator == 0:
        return None
    return numerator // denominator if numerator % denominator == 0 else numerator / denominator
