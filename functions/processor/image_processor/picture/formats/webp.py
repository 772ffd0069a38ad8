"""WebP (RFC 9649): its chunks."""

from __future__ import annotations

import struct

from image_core.errors import CorruptImage
from image_processor.picture.formats.file_info import Limits, Survey, cut_short

MAX_CHUNKS = 100_000
"""Each frame of an animation is one."""


def walk(data: bytes, limits: Limits) -> Survey:
    if len(data) < 20:
        raise cut_short()
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise cut_short()
    width, height = _canvas(data)
    at, chunks, frames = 12, 0, 0
    while at + 8 <= end and frames <= limits.frames:
        name, length = struct.unpack_from("<4sI", data, at)
        at += 8 + length + (length & 1)
        frames += name == b"ANMF"
        chunks += 1
        if chunks > MAX_CHUNKS:
            raise CorruptImage(f"The WebP is made of more than {MAX_CHUNKS:,} pieces.")
    return Survey(width, height, frames=max(1, frames))


def _canvas(data: bytes) -> tuple[int, int]:
    """Pixels across and down, from the first chunk."""
    name = data[12:16]
    if name == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if name == b"VP8 " and len(data) >= 30 and data[23:26] == b"\x9d\x01\x2a":
        across, down = struct.unpack_from("<HH", data, 26)
        return across & 0x3FFF, down & 0x3FFF
    if name == b"VP8L" and len(data) >= 25 and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise CorruptImage
