"""PNG (W3C, third edition): checks that no chunk is missing, and does two things that Pillow does not do."""

from __future__ import annotations

import re
import struct

from PIL import Image

from image_core.errors import CorruptImage
from image_processor.picture.exif import Exif, read_exif
from image_processor.picture.formats.image_file import MAX_EXIF_BYTES, DecodeLimits, FileInfo, ImageFile, cut_short

MAX_CHUNKS = 100_000
"""Encoders write pixel chunks of 8 KB or more. Reading a chunk in Python takes microseconds."""
MAX_PROFILES = 16
"""The standard allows one. Pillow decompresses each."""

# ImageMagick before 7.0.8 wrote EXIF into these texts: PNG had no chunk for it.
_RAW_PROFILES = ("Raw profile type exif", "Raw profile type APP1")
_PROFILE_TEXT = re.compile(r"\s*\S+\s+\d+\s+([\da-fA-F\s]*)", re.ASCII)
_HEAD = struct.Struct(">I4s")


class Png(ImageFile):
    name = "png"
    bytes_per_pixel = 5

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        if data[12:16] != b"IHDR" or len(data) < 33:
            raise CorruptImage
        width, height, depth = struct.unpack_from(">IIB", data, 16)
        limits.check(width, height)
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
                raise CorruptImage("The PNG has too many chunks.")
        return FileInfo(width, height, depth, frames).within(limits)

    @classmethod
    def _opened(cls, data: bytes) -> Image.Image:
        image = super()._opened(data)
        _scale_gray_key(image)
        return image

    def exif(self) -> Exif:
        """Read the EXIF chunk, which may follow the pixels, or ImageMagick's text."""
        if isinstance(self.image.info.get("exif"), bytes):
            return super().exif()
        block = next((_raw_profile(text) for name in _RAW_PROFILES if (text := self.image.info.get(name))), b"")
        return read_exif(block[:MAX_EXIF_BYTES])


def _scale_gray_key(image: Image.Image) -> None:
    """Scale the gray value that means transparent. Pillow scales gray of 2 and 4 bits to 8 bits, but not this
    value."""
    key, tiles = image.info.get("transparency"), getattr(image, "tile", ())
    if isinstance(key, int) and tiles:
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}.get(tiles[0].args, 1)


def _raw_profile(text: object) -> bytes:
    """Decode ImageMagick's text: an empty line, the profile's name, its length, then lines of hexadecimal digits.

    The length is ignored, because some writers count wrong. Bytes behind the profile do no harm: its directories
    contain offsets. Other characters behind the digits are ignored.
    """
    match = _PROFILE_TEXT.match(str(text))
    if match is None:
        return b""
    digits = "".join(match[1].split())
    block = bytes.fromhex(digits[: len(digits) // 2 * 2])
    return block if block.startswith((b"Exif\0\0", b"II*\0", b"MM\0*")) else b""
