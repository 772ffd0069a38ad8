"""JPEG (ITU-T T.81): reads the segments up to the first scan, and counts the scans."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Self

from image_core.errors import CorruptImage, TooManyPixels
from image_processor.picture import pixels
from image_processor.picture.formats.image_file import DecodeLimits, FileInfo, ImageFile, Reduced, cut_short

MAX_SCANS = 100
"""Each scan is a pass over the whole picture, and may be a few bytes long. Encoders write 1 to 4, progressive ones
about 10."""
MAX_SEGMENTS = 4096
"""Limit before the first scan. Reading one in Python takes microseconds. A profile or XMP takes at most a few
hundred."""
MAX_JUNK_BYTES = 1 << 16
"""Limit between segments. Pillow skips garbage byte by byte."""
MAX_EXIF_SEGMENTS = 64
"""The standard allows one. Pillow joins them, and copies all previous ones each time."""

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
# In entropy-coded data, a byte 0xFF is followed by zero, a restart marker or another 0xFF.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")


class Jpeg(ImageFile):
    name = "jpeg"
    bytes_per_pixel = 12.2

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        at, segments, exif_segments, junk = 2, 0, 0, 0
        info: FileInfo | None = None
        sequential, components = False, 0
        while True:
            start = at
            at = data.find(b"\xff", at)
            while at >= 0 and data[at + 1 : at + 2] == b"\xff":
                at += 1
            if at < 0 or at + 2 > len(data):
                raise cut_short()
            junk += at - start
            marker = data[at + 1]
            at += 2
            if marker in _ALONE:
                junk += 2
            elif marker in (_SOI, _EOI):
                raise CorruptImage
            else:
                length = int.from_bytes(data[at : at + 2], "big")
                if length < 2 or at + length > len(data):
                    raise cut_short()
                if marker in _FRAMES and info is None:
                    info = _frame(data[at + 2 : at + length])
                    sequential, components = marker in _SEQUENTIAL, data[at + 7]
                    info.within(limits)
                if marker == _SOS:
                    break
                exif_segments += marker == 0xE1 and data.startswith(b"Exif\0\0", at + 2)
                segments += 1
                at += length
            if junk > MAX_JUNK_BYTES or segments > MAX_SEGMENTS or exif_segments > MAX_EXIF_SEGMENTS:
                raise CorruptImage("The header is too long for an image.")
        if info is None:
            raise CorruptImage
        # If the first scan has all components, decoders stop after it.
        if not (sequential and data[at + 2] == components) and _scans(data, at - 2) > MAX_SCANS:
            raise TooManyPixels(f"The JPEG passes over its pixels more than {MAX_SCANS} times.")
        return info

    @classmethod
    def open(cls, data: bytes, limits: DecodeLimits) -> Self:
        file = super().open(data, limits)
        # An MPO is a JPEG with further pictures after the first.
        info = replace(file.info, frames=getattr(file.image, "n_frames", 1)).within(limits)
        return replace(file, info=info)

    def reduce(self, factors: tuple[int, int]) -> Reduced:
        """Let libjpeg do most of the reduction: it does no work for pixels that it leaves out."""
        scale = next(s for s in (8, 4, 2, 1) if s <= min(factors))
        if scale > 1:
            self.image.draft(None, (self.image.width // scale, self.image.height // scale))
        self.image.load()
        x, y = (factor // scale for factor in factors)
        return Reduced(pixels.reduced(self.image, (x, y)), x * scale, y * scale)

    def dpi(self) -> object:
        """Return the resolution in the header. Pillow invents one if there is none."""
        return super().dpi() if self.image.info.get("jfif_unit") in (1, 2) else None


def coded_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Return width and height of the JPEG that begins at `at`. None if its header does not contain them."""
    at += 2
    for _ in range(MAX_SEGMENTS):
        marker, length = data[at + 1 : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at : at + 1] != b"\xff" or length < 2:
            return None
        if marker[0] in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + length
    return None


def _frame(segment: bytes) -> FileInfo:
    if len(segment) < 6:
        raise CorruptImage
    return FileInfo(
        width=int.from_bytes(segment[3:5], "big"),
        height=int.from_bytes(segment[1:3], "big"),
        bit_depth=segment[0],
    )


def _scans(data: bytes, first: int) -> int:
    """Count the scans of the picture, up to one above the limit. The first is at `first`."""
    if data.count(b"\xff\xda", first) <= MAX_SCANS:
        return 1  # fewer than the limit, whatever those bytes are
    scans, at = 0, first
    while scans <= MAX_SCANS:
        marker = _MARKER.search(data, at)
        if marker is None or data[marker.start() + 1] == _EOI:
            break
        scans += data[marker.start() + 1] == _SOS
        at = marker.end()
        at += int.from_bytes(data[at : at + 2], "big")
    return scans
