"""BMP (Microsoft's BITMAPINFOHEADER and its variants): its header."""

from __future__ import annotations

import struct

from PIL import Image

from image_core.errors import CorruptImage, UnsupportedFormat
from image_processor.picture import pixels
from image_processor.picture.formats.image_file import DecodeLimits, FileInfo, ImageFile, Reduced, cut_short

MAX_RUN_LENGTH_BYTES = 8_000_000
"""Pillow decodes run-length encoding in Python, which takes a microsecond for every two bytes."""

_CORE_HEADER_BYTES = 12
_RUN_LENGTH_CODED = (1, 2)
_BIT_FIELDS = 3
_CODINGS = {4: "JPEG inside", 5: "PNG inside", 6: "bit fields with alpha", 11: "CMYK", 12: "CMYK", 13: "CMYK"}
_HEADERS_BYTES = (40, 52, 56, 108, 124)


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

    def reduce(self, factors: tuple[int, int]) -> Reduced:
        """Decode the picture. It is opaque if its alpha is zero everywhere: many programs leave that byte unset."""
        if self.image.mode == "RGBA":
            self.image.load()
            if pixels.is_invisible(self.image):
                self.image.putalpha(255)
        return super().reduce(factors)

    @classmethod
    def _opened(cls, data: bytes) -> Image.Image:
        try:
            return super()._opened(data)
        except OSError as error:
            reason = _unsupported(data)
            if reason is None:
                raise
            raise UnsupportedFormat(reason) from error


def _unsupported(data: bytes) -> str | None:
    """Return why Pillow cannot read a BMP that is valid. None if its header is invalid."""
    size, _, _, _, bits, compression = struct.unpack_from("<IiiHHI", data, 14)
    if 16 <= size <= 64 and size not in _HEADERS_BYTES:
        return "BMPs of OS/2 are not supported."
    if size not in _HEADERS_BYTES:
        return None
    if compression in _CODINGS:
        return f"BMPs with {_CODINGS[compression]} are not supported."
    if bits in (2, 64) and compression == 0:
        return f"BMPs of {bits} bits per pixel are not supported."
    if compression == _BIT_FIELDS and bits in (16, 32) and _are_masks(data[54:66], bits):
        return "BMPs with these bit masks are not supported."
    return None


def _are_masks(data: bytes, bits: int) -> bool:
    """Return whether the masks of red, green and blue are consecutive bits of a pixel that do not overlap."""
    masks = [int.from_bytes(data[at : at + 4], "little") for at in range(0, 12, 4)]
    consecutive = all(mask and not (mask // (mask & -mask) + 1) & (mask // (mask & -mask)) for mask in masks)
    return consecutive and sum(masks) < 1 << bits and sum(masks) == masks[0] | masks[1] | masks[2]
