"""BMP (Microsoft's BITMAPINFOHEADER and its relatives): its header."""

from __future__ import annotations

import struct

from image_core.errors import CorruptImage
from image_processor.picture.formats.file_info import Limits, Survey, check, cut_short

MAX_RUN_LENGTH_BYTES = 8_000_000
"""Pillow unpacks run-length coding in Python, a microsecond for every two bytes."""

_CORE_HEADER_BYTES = 12
_RUN_LENGTH_CODED = (1, 2)


def walk(data: bytes, limits: Limits) -> Survey:
    if len(data) < 34:
        raise cut_short()
    if int.from_bytes(data[14:18], "little") == _CORE_HEADER_BYTES:
        width, height, _, bits = struct.unpack_from("<4H", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    width, height = abs(width), abs(height)
    check(width, height, 1, limits)
    if compression in _RUN_LENGTH_CODED and len(data) > MAX_RUN_LENGTH_BYTES:
        raise CorruptImage(f"A run-length coded BMP may have {MAX_RUN_LENGTH_BYTES:,} bytes at most.")
    return Survey(width, height, bit_depth={16: 5, 24: 8, 32: 8}.get(bits, bits))
