"""PNG (W3C, third edition): reads its chunks, and repairs what Pillow does not accept or interprets differently."""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple, Self

from PIL import Image

from image_core.errors import CorruptImage
from image_processor.picture.exif import Exif, read_exif
from image_processor.picture.formats import animation
from image_processor.picture.formats.image_file import (
    BAD_CHECKSUM,
    HDR,
    HDR_TRANSFERS,
    MAX_EXIF_BYTES,
    MISSING_END,
    DecodeLimits,
    FileInfo,
    ImageFile,
    Reduced,
    cut_short,
)

MAX_CHUNKS = 100_000
"""Encoders write pixel chunks of 8 KB or more. Reading a chunk in Python takes microseconds."""
MAX_PROFILES = 16
"""The standard allows one. Pillow decompresses each."""

# ImageMagick before 7.0.8 wrote EXIF into these texts: PNG had no chunk for it.
_RAW_PROFILES = ("Raw profile type exif", "Raw profile type APP1")
_PROFILE_TEXT = re.compile(r"\s*\S+\s+\d+\s+([\da-fA-F\s]*)", re.ASCII)
_HEAD = struct.Struct(">I4s")
_END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))


class Png(ImageFile):
    name = "png"
    bytes_per_pixel = 5

    @classmethod
    def open(cls, data: bytes, limits: DecodeLimits) -> Self:
        structure = _read(data, limits)
        image = cls._opened(structure.mended(data))
        return cls(data, image, structure.info)

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        return _read(data, limits).info

    @classmethod
    def _opened(cls, data: bytes) -> Image.Image:
        image = super()._opened(data)
        _scale_gray_key(image)
        return image

    def reduce(self, factors: tuple[int, int]) -> Reduced:
        """Decode the first visible frame."""
        animation.load_first_visible(self.image, self.info.frames)
        return super().reduce(factors)

    def exif(self) -> Exif:
        """Read the EXIF chunk, which may follow the pixels, or ImageMagick's text."""
        if isinstance(self.image.info.get("exif"), bytes):
            return super().exif()
        block = next((_raw_profile(text) for name in _RAW_PROFILES if (text := self.image.info.get(name))), b"")
        return read_exif(block[:MAX_EXIF_BYTES])


class _Structure(NamedTuple):
    """What the chunks say. `ignored` are the offsets (start, end) of chunks that must not be read."""

    info: FileInfo
    ignored: list[tuple[int, int]]
    end: int
    """Where the last complete chunk ends."""

    def mended(self, data: bytes) -> bytes:
        """Return the file without the ignored chunks, and with an end."""
        missing_end = MISSING_END in self.info.warnings
        if not self.ignored and not missing_end:
            return data
        edges = [0, *(edge for chunk in self.ignored for edge in chunk), self.end if missing_end else len(data)]
        kept = (memoryview(data)[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True))
        return b"".join((*kept, _END if missing_end else b""))


def _read(data: bytes, limits: DecodeLimits) -> _Structure:
    """Read the chunks, without decompressing any, see `Png.inspect`."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise CorruptImage
    width, height, depth = struct.unpack_from(">IIB", data, 16)
    limits.check(width, height)
    start, chunks, profiles, frames, pixels_seen = 8, 0, 0, 1, False
    warnings: dict[str, None] = {}
    ignored: list[tuple[int, int]] = []
    while True:
        length, name = _HEAD.unpack_from(data, start) if start + 8 <= len(data) else (0, b"")
        body, end = start + 8, start + 12 + length
        if end > len(data) or not name.isalnum():
            # Whether all pixels are there is found out by decoding them.
            if not pixels_seen or name == b"IDAT":
                raise cut_short()
            warnings[MISSING_END] = None
            break
        if name == b"IEND":
            break
        chunks += 1
        profiles += name == b"iCCP"
        if chunks > MAX_CHUNKS or profiles > MAX_PROFILES:
            raise CorruptImage("The PNG has too many chunks.")
        optional = bool(name[0] & 0x20)  # a small letter
        # Pillow checks the other chunks that pixels depend on. For pixels themselves, zlib has a checksum.
        sound = not (optional or name == b"IDAT") or _has_checksum(data, start, end)
        if not sound:
            warnings[BAD_CHECKSUM] = None
        # libpng ignores such chunks too.
        if optional and (not sound or (name == b"iCCP" and pixels_seen)):
            ignored.append((start, end))
        elif name == b"cICP" and not pixels_seen and length >= 4 and data[body + 1] in HDR_TRANSFERS:
            warnings[HDR] = None
        elif name == b"acTL" and not pixels_seen and length >= 4:
            frames = max(1, int.from_bytes(data[body : body + 4], "big"))
        pixels_seen = pixels_seen or name == b"IDAT"
        start = end
    info = FileInfo(width, height, depth, frames, tuple(warnings))
    return _Structure(info.within(limits), ignored, start)


def _has_checksum(data: bytes, start: int, end: int) -> bool:
    checksum = zlib.crc32(memoryview(data)[start + 4 : end - 4])
    return checksum == int.from_bytes(data[end - 4 : end], "big")


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
