"""Find the parts of a file, and the numbers in it that a reader trusts.

Parsing is lenient: files may have been mutated before, and a file that makes no sense has no parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_PARTS = 400


@dataclass(frozen=True)
class Field:
    """An integer in the file: a length, a count, a dimension or an offset."""

    at: int
    size: int
    order: str
    """"big" or "little"."""


@dataclass(frozen=True)
class Part:
    """A segment, chunk, block, box or directory entry: `data[start:end]`, whose payload starts at `payload`."""

    start: int
    end: int
    payload: int
    fields: tuple[Field, ...] = ()


def parts_of(data: bytes) -> list[Part]:
    """Return the parts of a file of any supported format, in order. Returns none for other files."""
    for recognize, walk in _WALKS:
        if recognize(data):
            found = []
            for part in walk(data):
                if not part.start < part.end <= len(data) or len(found) >= MAX_PARTS:
                    break
                found.append(part)
            return found
    return []


def _jpeg(data: bytes) -> Iterator[Part]:
    yield Part(0, 2, 2)
    at = 2
    while 0 <= at <= len(data) - 4 and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        fields = [Field(at + 2, 2, "big")]
        if marker in (0xC0, 0xC1, 0xC2):
            fields += [
                Field(at + 4, 1, "big"),
                Field(at + 5, 2, "big"),
                Field(at + 7, 2, "big"),
                Field(at + 9, 1, "big"),
            ]
        end = at + 2 + length
        if marker == 0xDA:  # entropy-coded data belong to the scan
            while (end := data.find(b"\xff", end)) >= 0 and data[
                end + 1 : end + 2
            ] in b"\0\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7":
                end += 2
            end = len(data) if end < 0 else end
        yield Part(at, end, at + 4, tuple(fields))
        at = end
    if at < len(data):
        yield Part(at, len(data), at)


def _png(data: bytes) -> Iterator[Part]:
    yield Part(0, 8, 8)
    at = 8
    while at + 12 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        fields = [Field(at, 4, "big")]
        if name == b"IHDR":
            fields += [
                Field(at + 8, 4, "big"),
                Field(at + 12, 4, "big"),
                *(Field(at + 16 + i, 1, "big") for i in range(5)),
            ]
        elif name in (b"acTL", b"fcTL"):
            fields += [Field(at + 8 + 4 * i, 4, "big") for i in range(min(length, 26) // 4)]
        yield Part(at, at + 12 + length, at + 8, tuple(fields))
        at += 12 + length


def _riff(data: bytes) -> Iterator[Part]:
    yield Part(0, 12, 12, (Field(4, 4, "little"),))
    at = 12
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at + 4 : at + 8], "little"), data[at : at + 4]
        fields = [Field(at + 4, 4, "little")]
        if name == b"VP8X":
            fields += [Field(at + 8, 1, "little"), Field(at + 12, 3, "little"), Field(at + 15, 3, "little")]
        elif name == b"VP8 ":
            fields += [Field(at + 14, 2, "little"), Field(at + 16, 2, "little")]
        elif name == b"VP8L":
            fields += [Field(at + 9, 4, "little")]
        elif name == b"ANMF":
            fields += [Field(at + 8 + 3 * i, 3, "little") for i in range(5)]
        yield Part(at, min(len(data), at + 8 + length + length % 2), at + 8, tuple(fields))
        at += 8 + length + length % 2


def _gif(data: bytes) -> Iterator[Part]:
    table = 3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0
    yield Part(0, 13 + table, 13, (Field(6, 2, "little"), Field(8, 2, "little"), Field(10, 1, "little")))
    at = 13 + table
    while at < len(data):
        start, kind = at, data[at]
        fields: tuple[Field, ...] = ()
        if kind == 0x21:
            at += 2
        elif kind == 0x2C and at + 10 <= len(data):
            fields = (*(Field(at + 1 + 2 * i, 2, "little") for i in range(4)), Field(at + 9, 1, "little"))
            at += 10 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0) + 1
        else:
            yield Part(at, len(data), at)
            return
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
        yield Part(start, at, start + 1, fields)


def _tiff(data: bytes) -> Iterator[Part]:
    """Yield the header and the entries of the directories. Pixels are one part before or after them."""
    order = "little" if data.startswith(b"II") else "big"
    yield Part(0, 8, 8, (Field(4, 4, order),))
    at, seen = int.from_bytes(data[4:8], order), set[int]()
    while 8 <= at <= len(data) - 2 and at not in seen:
        seen.add(at)
        count = int.from_bytes(data[at : at + 2], order)
        yield Part(at, at + 2, at, (Field(at, 2, order),))
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            fields = (Field(entry, 2, order), Field(entry + 2, 2, order), Field(entry + 4, 4, order))
            short = int.from_bytes(data[entry + 2 : entry + 4], order) == 3
            yield Part(entry, entry + 12, entry + 8, (*fields, Field(entry + 8, 2 if short else 4, order)))
        at += 2 + 12 * count
        yield Part(at, at + 4, at, (Field(at, 4, order),))
        at = int.from_bytes(data[at : at + 4], order)


def _boxes(data: bytes) -> Iterator[Part]:
    """Yield the boxes of an ISO base media file: AVIF and HEIC."""
    yield from _boxes_in(data, 0, len(data))


_CONTAINERS = {
    b"meta": 4,
    b"iprp": 0,
    b"ipco": 0,
    b"moov": 0,
    b"trak": 0,
    b"mdia": 0,
    b"minf": 0,
    b"stbl": 0,
    b"iinf": 6,
}


def _boxes_in(data: bytes, at: int, end: int) -> Iterator[Part]:
    while at + 8 <= end:
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        stop = end if size == 0 else at + size
        if size in range(1, 8) or stop > end:
            return
        fields = [Field(at, 4, "big")]
        if name in (b"ispe", b"iloc", b"ipma", b"stsz", b"stco", b"tkhd"):
            fields += [Field(at + i, 4, "big") for i in range(12, min(size, 40) - 3, 4)]
        yield Part(at, stop, at + 8, tuple(fields))
        if name in _CONTAINERS:
            yield from _boxes_in(data, at + 8 + _CONTAINERS[name], stop)
        at = stop


def _bmp(data: bytes) -> Iterator[Part]:
    fields = [Field(at, 4, "little") for at in (2, 10, 14, 18, 22, 30, 34, 46)] + [
        Field(26, 2, "little"),
        Field(28, 2, "little"),
    ]
    pixels = min(int.from_bytes(data[10:14], "little"), len(data) - 1)
    yield Part(0, 14, 14, tuple(fields))
    yield Part(14, max(pixels, 15), 14)
    yield Part(max(pixels, 15), len(data), pixels)


_WALKS: list[tuple[Callable[[bytes], bool], Callable[[bytes], Iterator[Part]]]] = [
    (lambda data: data.startswith(b"\xff\xd8"), _jpeg),
    (lambda data: data.startswith(b"\x89PNG"), _png),
    (lambda data: data.startswith(b"RIFF"), _riff),
    (lambda data: data.startswith(b"GIF8") and len(data) > 13, _gif),
    (lambda data: data.startswith((b"II*\0", b"MM\0*")), _tiff),
    (lambda data: data[4:8] == b"ftyp", _boxes),
    (lambda data: data.startswith(b"BM") and len(data) > 54, _bmp),
]
