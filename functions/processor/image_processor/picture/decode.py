"""Decode untrusted bytes to one small picture and the file's metadata, or raise an ImageError.

The file is inspected first: format, pixels and frames are checked before a pixel is decoded. For some formats, the
headers do not show how much memory decoding takes. They are decoded in a separate process (`isolated`), all others
in this one.
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
    largest_side: int,
    max_frames: int = 10_000,
    formats: Collection[str] = tuple(NAMES),
    memory_bytes: int | None = None,
) -> Decoded:
    """Decode an image file, the first visible frame if it is animated.

    `largest_side`: the side in pixels of the largest square that a thumbnail has to fill.
    `memory_bytes`: memory for decoding, in addition to the file. Formats that need more accept fewer pixels.

    Raises UnsupportedFormat (the bytes are none of `formats`), TooManyPixels (more than `max_pixels` or
    `max_frames`, from the header) and CorruptImage (empty, a decoder reports an error, or decoding takes more
    memory or time than such a picture may take). MemoryError means that the machine has less memory than such a
    picture may take: decoding the same bytes may succeed later.
    """
    name = _identify(data, formats)
    cost = FORMATS[name].bytes_per_pixel
    limits = DecodeLimits(max_pixels, max_frames, memory_bytes).costing(cost)
    needed_bytes = int(limits.pixels * cost)
    with memory_errors(needed_bytes):
        if FORMATS[name].isolated:
            return isolated.decode_file(data, name, limits, largest_side, memory_bytes=needed_bytes)
        return decode_file(data, name, limits, largest_side)


def pixel_limits(max_pixels: int, memory_bytes: int | None) -> dict[str, int]:
    """Return the maximum pixels of a picture by format, for these arguments of `decode`."""
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
        bytearray(memory_bytes)  # raises MemoryError: the file is not the cause
        raise CorruptImage("The image needs more memory than its size accounts for.") from error
