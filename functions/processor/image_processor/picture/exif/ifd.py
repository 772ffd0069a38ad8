"""TIFF's image file directories (IFDs), which EXIF blocks also consist of. All formats use this reader.

TIFF 6.0 and BigTIFF, in both byte orders. Nothing in the file is trusted: an entry whose type does not exist, or
whose values lie outside the data, is skipped. Values are copied only when they are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

MAX_ENTRIES = 1_000
"""Maximum number of entries that `directory` reads. Cameras write fewer than 100."""
MAX_VALUE_BYTES = 64 * 1024
"""Longer values are not read, because a record has no room for them."""

BYTE, ASCII, SHORT, LONG, UNDEFINED, LONG8, UTF_8 = 1, 2, 3, 4, 7, 16, 129
UNSIGNED = {BYTE: "B", SHORT: "H", LONG: "I", LONG8: "Q"}
_RATIONALS = {5: "I", 10: "i"}
_NUMBERS = UNSIGNED | {6: "b", UNDEFINED: "B", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 17: "q", 18: "Q"}
_SIZES = {ASCII: 1, UTF_8: 1, **dict.fromkeys(_RATIONALS, 8)} | {
    kind: struct.calcsize(f"={code}") for kind, code in _NUMBERS.items()
}

Number = int | float | None


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a tag: its TIFF type, and its bytes in the file's byte order (None if it is too long to
    read)."""

    type: int
    order: str
    data: memoryview | bytes | None

    @property
    def raw(self) -> bytes | None:
        """A copy of the bytes."""
        return None if self.data is None else bytes(self.data)

    def numbers(self) -> list[Number]:
        """Return the numbers, with rationals divided. A division by zero gives None. Empty for text."""
        if self.data is None:
            return []
        if (code := _RATIONALS.get(self.type)) is not None:
            parts = struct.unpack(f"{self.order}{len(self.data) // 4}{code}", self.data)
            return [_divided(*pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
        if (code := _NUMBERS.get(self.type)) is not None:
            return list(struct.unpack(f"{self.order}{len(self.data) // _SIZES[self.type]}{code}", self.data))
        return []


Directory = dict[int, Value]


class Entry(NamedTuple):
    """An entry of a directory, not checked: `length` values of TIFF's `type`. `at` is the entry's offset."""

    tag: int
    type: int
    length: int
    at: int


class Structure:
    """The directories in a block of data, found by their offsets."""

    def __init__(self, data: memoryview, order: str, *, big: bool) -> None:
        self._data, self._order, self._big = data, order, big
        self._count = struct.Struct(order + ("Q" if big else "H"))
        self._entry = struct.Struct(order + ("HHQQ" if big else "HHII"))
        self._word = struct.Struct(order + ("Q" if big else "I"))
        (self.first,) = self._word.unpack_from(data, 8 if big else 4)

    def chain(self) -> Iterator[int]:
        """Yield the offsets of the main directories. Each points to the next. A loop ends the chain."""
        seen: set[int] = set()
        offset: int | None = self.first
        while offset and offset not in seen and self._claimed(offset) is not None:
            yield offset
            seen.add(offset)
            offset = self._next(offset)

    def is_complete(self, offset: int) -> bool:
        """Return whether all entries that the directory claims to have are within the data."""
        claimed = self._claimed(offset)
        return claimed is not None and self._end(offset, claimed) <= len(self._data)

    def entries(self, offset: int) -> Iterator[Entry]:
        """Yield the entries of the directory at `offset`, as far as they are within the data."""
        claimed, start = self._claimed(offset) or 0, offset + self._count.size
        there = min(claimed, (len(self._data) - start) // self._entry.size)
        for at in range(start, self._end(offset, there), self._entry.size):
            tag, kind, length, _ = self._entry.unpack_from(self._data, at)
            yield Entry(tag, kind, length, at)

    def directory(self, offset: int) -> Directory:
        """Read the first MAX_ENTRIES of a directory. If a tag occurs twice, the first is used."""
        found: Directory = {}
        for entry in islice(self.entries(offset), MAX_ENTRIES):
            if entry.tag not in found and (value := self._value(entry)) is not None:
                found[entry.tag] = value
        return found

    def pointed_to(self, directory: Directory, tag: int) -> Directory:
        """Read the directory whose offset is the value of `tag`; empty if there is none."""
        pointer = directory.get(tag)
        offsets = pointer.numbers() if pointer else []
        return self.directory(offsets[0]) if offsets and isinstance(offsets[0], int) else {}

    def first_number(self, entry: Entry) -> int | None:
        """Return the first value of an entry of an UNSIGNED type, even if the others are outside of the data."""
        code = UNSIGNED.get(entry.type)
        at = self._values_at(entry)
        if code is None or at is None or at + _SIZES[entry.type] > len(self._data):
            return None
        number: int = struct.unpack_from(self._order + code, self._data, at)[0]
        return number

    def packed_short(self, tag: int, value: int) -> bytes:
        """Encode an entry of one SHORT."""
        return struct.pack(self._order + ("HHQH6x" if self._big else "HHIH2x"), tag, SHORT, 1, value)

    def _value(self, entry: Entry) -> Value | None:
        size, at = _SIZES.get(entry.type, 0) * entry.length, self._values_at(entry)
        if at is None or at + size > len(self._data):
            return None
        return Value(entry.type, self._order, self._data[at : at + size] if size <= MAX_VALUE_BYTES else None)

    def _values_at(self, entry: Entry) -> int | None:
        """The offset of the values: in the entry itself if they fit, else where the entry points to."""
        size = _SIZES.get(entry.type, 0) * entry.length
        if not size:
            return None
        inline = entry.at + self._entry.size - self._word.size
        at: int = inline if size <= self._word.size else self._word.unpack_from(self._data, inline)[0]
        return at

    def _claimed(self, offset: int) -> int | None:
        """Number of entries that the directory at `offset` claims to have."""
        if not 0 < offset <= len(self._data) - self._count.size:
            return None
        claimed: int = self._count.unpack_from(self._data, offset)[0]
        return claimed

    def _end(self, offset: int, entries: int) -> int:
        return offset + self._count.size + entries * self._entry.size

    def _next(self, offset: int) -> int | None:
        end = self._end(offset, self._claimed(offset) or 0)
        if end + self._word.size > len(self._data):
            return None
        following: int = self._word.unpack_from(self._data, end)[0]
        return following


def parse(data: bytes | memoryview) -> Structure | None:
    """Return the directories of `data`, which begins with a TIFF header; None if it does not."""
    view = memoryview(data)
    order = {b"II": "<", b"MM": ">"}.get(bytes(view[:2]))
    if order is None or len(view) < 16:
        return None
    (version,) = struct.unpack_from(f"{order}H", view, 2)
    return Structure(view, order, big=version == 43) if version in (42, 43) else None


def _divided(numerator: int, denominator: int) -> Number:
    return numerator / denominator if denominator else None
