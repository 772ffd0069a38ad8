"""WebP (RFC 9649): reads its chunks, and decodes at a reduced scale, which Pillow does not support."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from image_core.errors import CorruptImage
from image_processor.picture import pixels
from image_processor.picture.formats import animation, libwebp
from image_processor.picture.formats.image_file import DecodeLimits, FileInfo, ImageFile, Reduced, cut_short

MAX_CHUNKS = 100_000
"""Each frame of an animation is one."""
ANIMATED_BYTES_PER_PIXEL = 17
"""If the first frame does not fill the canvas, libwebp allocates two canvases and Pillow copies one."""


class WebP(ImageFile):
    name = "webp"
    bytes_per_pixel = 8

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        if len(data) < 20 or _end(data) > len(data):
            raise cut_short()
        width, height = _canvas(data)
        frames = 0
        for number, chunk in enumerate(_chunks(data), start=1):
            frames += chunk.name == b"ANMF"
            if number > MAX_CHUNKS:
                raise CorruptImage(f"The WebP has more than {MAX_CHUNKS:,} chunks.")
            if frames > limits.frames:
                break
        if frames:
            limits = limits.costing(ANIMATED_BYTES_PER_PIXEL)
        return FileInfo(width, height, frames=max(1, frames)).within(limits)

    def reduce(self, factors: tuple[int, int]) -> Reduced:
        """Let libwebp scale down to any size while it decodes. Pillow decodes at full size if libwebp cannot, or if
        the first frame is invisible."""
        width, height = self.image.size
        x, y = factors
        size = max(1, round(width / x)), max(1, round(height / y))
        picture = scaled(self.data, (width, height), size)
        if picture and animation.has_further_frames(self.image, self.info.frames) and pixels.is_invisible(picture):
            picture = None
        if picture and picture.size == size:
            return Reduced(pixels.reduced(picture, (1, 1)), width / size[0], height / size[1])
        if picture is None:
            animation.load_first_visible(self.image, self.info.frames)
        return Reduced(pixels.reduced(picture or self.image, factors), x, y)


def scaled(data: bytes, canvas: tuple[int, int], size: tuple[int, int]) -> Image.Image | None:
    """Decode the first picture of a WebP of `canvas` (width, height) pixels as `libwebp.decode` does.

    None if libwebp cannot do it, such as in an animation whose first frame covers only a part of the canvas.
    """
    picture = _first_picture(data, canvas)
    return None if picture is None else libwebp.decode(picture, canvas, size)


def _canvas(data: bytes) -> tuple[int, int]:
    """Return pixels across and down, from the first chunk."""
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


def _first_picture(data: bytes, canvas: tuple[int, int]) -> bytes | None:
    """Return `data`, or the first frame of an animation if it fills the canvas."""
    for chunk in _chunks(data):
        if chunk.name in (b"VP8 ", b"VP8L"):
            break
        if chunk.name == b"ANMF":
            header = data[chunk.start : chunk.start + 16]
            across, down = (1 + int.from_bytes(header[at : at + 3], "little") for at in (6, 9))
            if header[:6] != bytes(6) or (across, down) != canvas:
                return None
            return data[chunk.start + 16 : chunk.start + chunk.length]
    return data


class _Chunk(NamedTuple):
    """A chunk. `start` and `length` are those of its payload."""

    name: bytes
    start: int
    length: int


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield the chunks. The payload of the last may be incomplete."""
    at, end = 12, _end(data)
    while at + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, at)
        yield _Chunk(name, at + 8, length)
        at += 8 + length + (length & 1)


def _end(data: bytes) -> int:
    """Return where the file says that it ends."""
    return 8 + int.from_bytes(data[4:8], "little")
