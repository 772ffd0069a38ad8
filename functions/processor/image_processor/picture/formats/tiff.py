"""TIFF 6.0 and BigTIFF: the chain of directories, and of the first one what decides about memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from image_core.errors import CorruptImage, TooManyPixels, UnsupportedFormat
from image_processor.picture.formats.file_info import Limits, Survey, check, cut_short

MAX_PIECES = 500_000
"""Strips, tiles, or numbers in any one tag. A picture of 100 megapixels in tiles of 16 × 16 has 391,000."""

_WIDTH, _HEIGHT, _BITS, _ORIENTATION = 256, 257, 258, 274
_TILE_WIDTH, _TILE_HEIGHT, _SUB_IFDS, _SUB_FILE_TYPE, _DNG_VERSION = 322, 323, 330, 254, 50706
_UNITS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Types of whole numbers."""


@dataclass(frozen=True)
class _Layout:
    """How numbers and directories are written: BigTIFF has wider ones."""

    order: str
    big: bool

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "H"))

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "I"))

    @property
    def entry(self) -> struct.Struct:
        return struct.Struct(self.order + ("HHQ8s" if self.big else "HHI4s"))


def walk(data: bytes, limits: Limits) -> Survey:
    order = "<" if data.startswith(b"II") else ">"
    layout = _Layout(order, big=data[2:4] in (b"+\0", b"\0+"))
    if data[8:10] == b"CR":
        raise _camera_raw()
    try:
        (first,) = layout.offset.unpack_from(data, 8 if layout.big else 4)
        tags: dict[int, int] = {}
        places: dict[int, int] = {}
        for tag, value, place in _whole_numbers(data, first, layout):
            tags.setdefault(tag, value)
            places.setdefault(tag, place)
        frames = _frames(data, first, layout, limits)
    except struct.error as error:
        raise cut_short() from error
    if _DNG_VERSION in tags or (tags.get(_SUB_FILE_TYPE, 0) & 1 and _SUB_IFDS in tags):
        raise _camera_raw()
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise CorruptImage
    check(tags[_WIDTH], tags[_HEIGHT], frames, limits)
    # A tile is unpacked whole, also where the picture covers a corner of it. Rows of tiles of 1,024 reach beyond,
    # too.
    if tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0) > max(limits.pixels, 1 << 20):
        raise TooManyPixels(f"A tile of the image has more than {limits.pixels:,} pixels.")
    orientation = tags.get(_ORIENTATION, 1)
    return Survey(
        width=tags[_WIDTH],
        height=tags[_HEIGHT],
        bit_depth=tags.get(_BITS, 1),
        frames=frames,
        orientation=orientation if 2 <= orientation <= 8 else 1,
        orientation_at=places.get(_ORIENTATION),
    )


def _camera_raw() -> UnsupportedFormat:
    # What can be read in those is a preview: its size is not the picture's.
    return UnsupportedFormat("Raw files of cameras are not taken.")


def _whole_numbers(data: bytes, at: int, layout: _Layout) -> Iterator[tuple[int, int, int]]:
    """(tag, first value, where that is) of the whole numbers in the directory at `at`."""
    (entries,) = layout.count.unpack_from(data, at)
    at += layout.count.size
    if entries * layout.entry.size > len(data):
        raise cut_short()
    for place in range(at, at + entries * layout.entry.size, layout.entry.size):
        tag, kind, values, _ = layout.entry.unpack_from(data, place)
        if kind not in _UNITS or not values:
            continue
        if values > MAX_PIECES and _UNITS[kind] != "B":
            raise CorruptImage(f"The TIFF is made of more than {MAX_PIECES:,} pieces.")
        number = struct.Struct(layout.order + _UNITS[kind])
        inline = place + layout.entry.size - layout.offset.size
        where = inline if values * number.size <= layout.offset.size else layout.offset.unpack_from(data, inline)[0]
        if where + number.size <= len(data):
            yield tag, number.unpack_from(data, where)[0], where


def _frames(data: bytes, first: int, layout: _Layout, limits: Limits) -> int:
    """Directories in the chain, up to one more than are allowed. A chain that bites its tail ends there."""
    seen: set[int] = set()
    at = first
    while at and at not in seen and len(seen) <= limits.frames and at + layout.count.size <= len(data):
        seen.add(at)
        (entries,) = layout.count.unpack_from(data, at)
        following = at + layout.count.size + entries * layout.entry.size
        if following + layout.offset.size > len(data):
            break
        (at,) = layout.offset.unpack_from(data, following)
    return len(seen)
