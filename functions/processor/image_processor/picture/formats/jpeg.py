"""JPEG (ITU-T T.81): reads the segments up to the first scan, and checks the scans."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from PIL import Image

from image_core.errors import CorruptImage, TooManyPixels, UnsupportedFormat
from image_processor.picture import pixels
from image_processor.picture.formats import jpeg_scans
from image_processor.picture.formats.image_file import (
    MISSING_END,
    DecodeLimits,
    FileInfo,
    ImageFile,
    Reduced,
    cut_short,
)

MAX_SEGMENTS = 4096
"""Limit before the first scan. Reading one in Python takes microseconds. A profile or XMP takes at most a few
hundred."""
MAX_EMBEDDED_SEGMENTS = 64
"""The same for a JPEG inside a TIFF, which can have thousands. Encoders write up to 10."""
MAX_JUNK_BYTES = 1 << 16
"""Limit between segments. Pillow skips garbage byte by byte."""
MAX_EXIF_SEGMENTS = 64
"""The standard allows one. Pillow joins them, and copies all previous ones each time."""

MAX_AUXILIARY_HEADER_BYTES = 1 << 16
"""How much of a further picture is searched for a sign that it is no picture of its own."""

_MP_ENTRIES = 0xB002
_AUXILIARY = (b"apdi:AuxiliaryImageType", b"http://ns.adobe.com/hdr-gain-map/1.0/", b"urn:iso:std:iso:ts:21496:-1")
"""Apple's gain maps and depth maps (XMP), Google's gain maps (XMP), and those of ISO 21496-1."""
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_TWELVE_BITS = (0xC1, 0xC2, 0xC9, 0xCA)
_LOSSLESS = (0xC3, 0xCB)
_HIERARCHICAL = (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE)
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})


class Jpeg(ImageFile):
    name = "jpeg"
    bytes_per_pixel = 12.2

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        at, segments, exif_segments, junk = 2, 0, 0, 0
        info: FileInfo | None = None
        sequential, components = False, b""
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
                if info is None:
                    _check_coding(marker, data[at + 2 : at + length])
                if marker in _FRAMES and info is None:
                    info = _frame(data[at + 2 : at + length])
                    sequential, components = marker in _SEQUENTIAL, data[at + 8 : at + length : 3][: data[at + 7]]
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
        one_scan = sequential and data[at + 2] == len(components)
        if not one_scan and jpeg_scans.are_too_many(data, at - 2):
            raise TooManyPixels(f"The JPEG passes over its pixels more than {jpeg_scans.MAX_SCANS} times.")
        if data.find(jpeg_scans.END, at) < 0:
            if not one_scan and not jpeg_scans.send_everything(data, at - 2, components):
                raise cut_short()
            info = replace(info, warnings=(MISSING_END,))
        return info

    @classmethod
    def open(cls, data: bytes, limits: DecodeLimits) -> Self:
        file = super().open(data, limits)
        # An MPO is a JPEG with further pictures after the first.
        frames = getattr(file.image, "n_frames", 1) - _auxiliary_pictures(data, file.image)
        return replace(file, info=replace(file.info, frames=frames).within(limits))

    def reduce(self, factors: tuple[int, int]) -> Reduced:
        """Let libjpeg do most of the reduction: it does no work for pixels that it leaves out."""
        scale = next(s for s in (8, 4, 2, 1) if s <= min(factors))
        image = self._ended() if MISSING_END in self.info.warnings else self.image
        if scale > 1:
            image.draft(None, (image.width // scale, image.height // scale))
        image.load()
        x, y = (factor // scale for factor in factors)
        return Reduced(pixels.reduced(image, (x, y)), x * scale, y * scale)

    def _ended(self) -> Image.Image:
        """Return the picture of a file without end marker. Raises CorruptImage if more is missing."""
        data = jpeg_scans.with_end(self.data)
        if data is None:
            raise cut_short()
        return self._opened(data)

    def dpi(self) -> object:
        """Return the resolution in the header. Pillow invents one if there is none."""
        return super().dpi() if self.image.info.get("jfif_unit") in (1, 2) else None


def _auxiliary_pictures(data: bytes, image: Image.Image) -> int:
    """Count the pictures of an MPO that belong to the first one, such as gain maps. Their headers tell."""
    entries = getattr(image, "mpinfo", {}).get(_MP_ENTRIES, ())
    origin = data.find(b"MPF\0") + 4
    starts = [origin + entry["DataOffset"] for entry in entries[1:]]
    return sum(
        any(data.find(mark, start, start + MAX_AUXILIARY_HEADER_BYTES) >= 0 for mark in _AUXILIARY)
        for start in starts
    )


def coded_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Return width and height of the JPEG inside another file that begins at `at`. None if its first
    MAX_EMBEDDED_SEGMENTS do not contain them."""
    at += 2
    for _ in range(MAX_EMBEDDED_SEGMENTS):
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


def _check_coding(marker: int, segment: bytes) -> None:
    """Raise UnsupportedFormat if `segment` is a valid frame header, but of a coding that Pillow cannot decode."""
    if len(segment) < 6 or len(segment) != 6 + 3 * segment[5]:
        return
    bits, components = segment[0], segment[5]
    if marker in _HIERARCHICAL:
        raise UnsupportedFormat("Hierarchical JPEGs are not supported.")
    if (marker in _TWELVE_BITS and bits == 12) or (marker in _LOSSLESS and bits in range(2, 17) and bits != 8):
        raise UnsupportedFormat(f"JPEGs of {bits} bits are not supported.")
    if marker in _FRAMES and bits == 8 and components == 2:
        raise UnsupportedFormat("JPEGs with two color components are not supported.")
