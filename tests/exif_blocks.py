"""Build EXIF blocks and TIFF files byte by byte, for values that Pillow would not write."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tests import pictures

Entry = tuple[int, int, int, bytes | int]
"""Tag, type, count, and the value: its bytes, or the offset to write instead."""

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, DOUBLE, LONG8, UTF_8 = 1, 2, 3, 4, 5, 7, 10, 12, 16, 129
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825


def block(
    main: Sequence[Entry] = (),
    exif: Sequence[Entry] = (),
    gps: Sequence[Entry] = (),
    *,
    order: str = "<",
    big: bool = False,
    prefix: bytes = b"Exif\0\0",
) -> bytes:
    """Build a block of up to three directories; `big` means BigTIFF."""
    word, head = ("Q", 16) if big else ("I", 8)
    size = [_directory_bytes(len(main) + 2, big), _directory_bytes(len(exif), big), _directory_bytes(len(gps), big)]
    at = [head, head + size[0], head + size[0] + size[1]]
    values = _Values(head + sum(size))
    kind = LONG8 if big else LONG
    pointers: list[Entry] = [(EXIF_DIRECTORY, kind, 1, at[1]), (GPS_DIRECTORY, kind, 1, at[2])]
    directories = b"".join(
        _directory(entries, values, order, big) for entries in ([*main, *pointers], list(exif), list(gps))
    )
    signature = {"<": b"II", ">": b"MM"}[order]
    header = struct.pack(f"{order}H", 43 if big else 42) + (struct.pack(f"{order}HH", 8, 0) if big else b"")
    return prefix + signature + header + struct.pack(f"{order}{word}", at[0]) + directories + bytes(values.stored)


def tiff(
    main: Sequence[Entry] = (),
    exif: Sequence[Entry] = (),
    gps: Sequence[Entry] = (),
    *,
    order: str = "<",
    big: bool = False,
    orientation: int = 1,
) -> bytes:
    """Build an uncompressed TIFF of the scene with these tags, stored so that `orientation` makes it upright.

    It has an orientation tag only if `main` has one.
    """
    picture = pictures.stored(pictures.scene(), orientation)
    pixels = picture.tobytes()

    def with_pixels_at(offset: int) -> bytes:
        layout = [
            shorts(256, picture.width, order=order),
            shorts(257, picture.height, order=order),
            shorts(258, 8, 8, 8, order=order),
            shorts(262, 2, order=order),
            (273, LONG, 1, struct.pack(f"{order}I", offset)),
            shorts(277, 3, order=order),
            shorts(278, picture.height, order=order),
            (279, LONG, 1, struct.pack(f"{order}I", len(pixels))),
        ]
        return block(sorted([*layout, *main]), exif, gps, order=order, big=big, prefix=b"")

    return with_pixels_at(len(with_pixels_at(0))) + pixels


def text(tag: int, value: bytes, kind: int = ASCII) -> Entry:
    return (tag, kind, len(value), value)


def rationals(tag: int, *pairs: tuple[int, int], order: str = "<", kind: int = RATIONAL) -> Entry:
    code = "I" if kind == RATIONAL else "i"
    return (tag, kind, len(pairs), b"".join(struct.pack(f"{order}2{code}", *pair) for pair in pairs))


def shorts(tag: int, *values: int, order: str = "<") -> Entry:
    return (tag, SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))


def bomb(entries: int, shared_bytes: int) -> bytes:
    """Build a directory of many tags that share the same bytes: small to send, but large if each tag is copied."""
    size = _directory_bytes(entries, False)
    head = b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", entries)
    body = b"".join(struct.pack("<HHII", tag, ASCII, shared_bytes, 8 + size) for tag in range(entries))
    return head + body + bytes(4) + b"x" * shared_bytes


class _Values:
    """The values that do not fit into an entry. They follow the directories."""

    def __init__(self, start: int) -> None:
        self.start, self.stored = start, bytearray()

    def put(self, value: bytes) -> int:
        at = self.start + len(self.stored)
        self.stored += value
        return at


def _directory_bytes(entries: int, big: bool) -> int:
    return 8 + 20 * entries + 8 if big else 2 + 12 * entries + 4


def _directory(entries: Sequence[Entry], values: _Values, order: str, big: bool) -> bytes:
    count, word, inline = ("Q", "Q", 8) if big else ("H", "I", 4)
    packed = struct.pack(f"{order}{count}", len(entries))
    for tag, kind, length, value in entries:
        packed += struct.pack(f"{order}HH{word}", tag, kind, length)
        if isinstance(value, int):
            packed += struct.pack(f"{order}{word}", value)
        elif len(value) <= inline:
            packed += value.ljust(inline, b"\0")
        else:
            packed += struct.pack(f"{order}{word}", values.put(value))
    return packed + bytes(inline)
