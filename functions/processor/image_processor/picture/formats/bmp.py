"""BMP (Microsoft's BITMAPINFOHEADER and its variants): its header."""

from __future__ import annotations

import struct

from image_core.errors import CorruptImage
from image_processor.picture.formats.image_file import DecodeLimits, FileInfo, ImageFile, cut_short

MAX_RUN_LENGTH_BYTES = 8_000_000
"""Pillow decodes run-length encoding in Python, which takes a microsecond for every two bytes."""

_CORE_HEADER_BYTES = 12
_RUN_LENGTH_CODED = (1, 2)


class Bmp(ImageFile):
    name = "bmp"
    bytes_per_pixel = 5

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        if len(data) < 34:
            raise cut_short()
        if int.from_bytes(data[14:18], "little") == _CORE_HEADER_BYTES:
            width, height, _, bits = struct.unpack_from("<4H", data, 18)
            compression = 0
        else:
            width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        info = FileInfo(abs(width), abs(height), {16: 5, 24: 8, 32: 8}.get(bits, bits)).within(limits)
        if compression in _RUN_LENGTH_CODED and len(data) > MAX_RUN_LENGTH_BYTES:
            raise CorruptImage(f"A run-length coded BMP may have at most {MAX_RUN_LENGTH_BYTES:,} bytes.")
        return info
