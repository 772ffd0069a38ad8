"""GIF (CompuServe, 89a): reads its blocks, and counts pictures without decompressing them."""

from __future__ import annotations

import struct

from image_core.errors import CorruptImage
from image_processor.picture.formats import animation
from image_processor.picture.formats.image_file import DecodeLimits, FileInfo, ImageFile, Reduced, cut_short

MIN_SUB_BLOCK_BYTES = 8
"""Minimum average. Encoders fill sub-blocks with 255 bytes. Reading one in Python takes half a microsecond."""
SPARE_SUB_BLOCKS = 10_000

_EXTENSION, _PICTURE = 0x21, 0x2C


class _Blocks:
    """Skips sub-blocks and counts them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = SPARE_SUB_BLOCKS + len(data) // MIN_SUB_BLOCK_BYTES

    def skip(self, at: int) -> int | None:
        """Return where the chain of sub-blocks that begins at `at` ends; None if the file ends first."""
        data, end, left = self._data, len(self._data), self._left
        while at < end and left:
            size = data[at]
            at += size + 1
            if not size:
                self._left = left
                return at
            left -= 1
        if not left:
            raise CorruptImage("The GIF has too many blocks.")
        return None


class Gif(ImageFile):
    name = "gif"
    bytes_per_pixel = 2

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        if len(data) < 13:
            raise cut_short()
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        bits = (flags & 7) + 1 if flags & 128 else 8
        at = 13 + (3 << bits if flags & 128 else 0)
        blocks, frames = _Blocks(data), 0
        while at < len(data) and frames <= limits.frames:
            kind = data[at]
            if kind == _EXTENSION:
                end = blocks.skip(at + 2)
            elif kind == _PICTURE and at + 10 < len(data):
                left, top, across, down, local = struct.unpack_from("<4HB", data, at + 1)
                if not frames:
                    # Like browsers, Pillow enlarges the screen for a first picture that reaches beyond it.
                    width, height = max(width, left + across), max(height, top + down)
                    limits.check(across, down)
                    bits = (local & 7) + 1 if local & 128 else bits
                end = blocks.skip(at + 11 + (3 << (local & 7) + 1 if local & 128 else 0))
                frames += end is not None or not frames
            else:
                break  # the trailer, or something that some writers put in its place
            if end is None:
                break
            at = end
        if not frames:
            raise CorruptImage("The file contains no picture.")
        return FileInfo(width, height, bits, frames).within(limits)

    def reduce(self, factors: tuple[int, int]) -> Reduced:
        """Decode the first visible frame."""
        animation.load_first_visible(self.image, self.info.frames)
        return super().reduce(factors)
