"""PNG (W3C, third edition): its chunks, and that all of them are there."""

from __future__ import annotations

import struct

from image_core.errors import CorruptImage
from image_processor.picture.formats.file_info import Limits, Survey, check, cut_short

MAX_CHUNKS = 100_000
"""Encoders make pixel chunks of 8 KB or more. Readers in Python take microseconds for each chunk."""
MAX_PROFILES = 16
"""The standard has one. Pillow unpacks each."""

_HEAD = struct.Struct(">I4s")


def walk(data: bytes, limits: Limits) -> Survey:
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise CorruptImage
    width, height, depth = struct.unpack_from(">IIB", data, 16)
    check(width, height, 1, limits)
    at, chunks, profiles, frames, pixels_seen = 8, 0, 0, 1, False
    while True:
        if at + 12 > len(data):
            raise cut_short()
        length, name = _HEAD.unpack_from(data, at)
        at += 12 + length
        if at > len(data):
            raise cut_short()
        if name == b"IEND":
            break
        if name == b"IDAT":
            pixels_seen = True
        elif name == b"acTL" and not pixels_seen and length >= 4:
            frames = max(1, int.from_bytes(data[at - 4 - length : at - length], "big"))
        chunks += 1
        profiles += name == b"iCCP"
        if chunks > MAX_CHUNKS or profiles > MAX_PROFILES:
            raise CorruptImage("The PNG is made of too many pieces.")
    return Survey(width, height, depth, frames)
