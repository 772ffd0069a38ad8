"""Untrusted bytes → one small picture with what the file says about it, or an ImageError that says why not.

The file is inspected first: format, pixels and frames are checked before a pixel is decoded. Formats whose headers
do not tell what decoding will take are decoded in a process of their own (`isolated`), all others in this one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from image_core.errors import CorruptImage, UnsupportedFormat
from image_core.formats import NAMES, SNIFFED_BYTES, identify
from image_processor.picture import isolated
from image_processor.picture.decoded import Decoded
from image_processor.picture.decoding import decode_file
from image_processor.picture.formats import FORMATS, DecodeLimits


def decode(
    data: bytes,
    *,
    max_pixels: int,
    largest_thumbnail: int,
    max_frames: int = 10_000,
    formats: Collection[str] = tuple(NAMES),
    memory_bytes: int | None = None,
) -> Decoded:
    """Decode an image file, the first frame if it is animated.

    `largest_thumbnail`: the side in pixels of the largest square that a thumbnail has to fill.
    `memory_bytes`: what decoding may take beside the file. Formats that take more have fewer pixels.

    Raises UnsupportedFormat (the bytes are none of `formats`), TooManyPixels (more than `max_pixels` or
    `max_frames`, from the header) and CorruptImage (empty, a decoder complains, or decoding takes more memory or
    time than such a picture may take). MemoryError means that the machine has less memory than such a picture may
    take: the same bytes may decode later.
    """
    name = _identify(data, formats)
    cost = FORMATS[name].bytes_per_pixel
    limits = DecodeLimits(max_pixels, max_frames, memory_bytes).costing(cost)
    needed_bytes = int(limits.pixels * cost)
    with memory_errors(needed_bytes):
        if FORMATS[name].isolated:
            return isolated.decode_file(data, name, limits, largest_thumbnail, memory_bytes=needed_bytes)
        return decode_file(data, name, limits, largest_thumbnail)


def pixel_limits(max_pixels: int, memory_bytes: int | None) -> dict[str, int]:
    """Return the most pixels of a picture by format, for the arguments of `decode`."""
    limits = DecodeLimits(max_pixels, 1, memory_bytes)
    return {name: limits.costing(file_type.bytes_per_pixel).pixels for name, file_type in FORMATS.items()}


def _identify(data: bytes, formats: Collection[str]) -> str:
    if not data:
        raise CorruptImage("The file is empty.")
    name = identify(data[:SNIFFED_BYTES])
    if name is None or name not in formats:
        raise UnsupportedFormat
    return name


@contextmanager
def memory_errors(memory_bytes: int) -> Iterator[None]:
    """Turn a MemoryError into CorruptImage, unless less memory is left than an accepted picture may take."""
    try:
        yield
    except isolated.Killed:
        raise
    except MemoryError as error:
        bytearray(memory_bytes)  # raises MemoryError: the file is not to blame
        raise CorruptImage("The image needs more memory than its size accounts for.") from error
