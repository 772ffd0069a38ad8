"""Decode one file in this process, and read its metadata.

The picture is decoded once, at no more than the scale that thumbnails and caption need. Pillow's exceptions are
translated here. `decode` calls this for most formats; `isolated_process` calls it for the others.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, PngImagePlugin

from image_core.errors import CorruptImage, ImageError, TooManyPixels
from image_core.renditions import fitted
from image_processor.picture import pixels
from image_processor.picture.decoded import Decoded
from image_processor.picture.formats import FORMATS, DecodeLimits, ImageFile

SHORT_SIDE_PIXELS = 768
"""The caption model's 384 × 384 array is made from at least twice that. Captions would be less accurate below
it."""
LONG_SIDE_PIXELS = 4096
"""Pictures much longer than wide are reduced further along their length, to between one and two times this."""
SPARE_PIXELS = 1.5
"""The largest rendition is made from at least this many times its own pixels across and down. Nearer to it, the
filter that reduces first would show."""
MAX_TEXT_BYTES = 8 << 20
"""Limit for an unpacked text or profile in a PNG. Pillow's own limit of 1 MiB is too low for the profiles of
scanners and printers."""

# Image.MAX_IMAGE_PIXELS and warning filters are global, so only one picture is decoded at a time.
_pillow_settings = threading.Lock()


def decode_file(data: bytes, name: str, limits: DecodeLimits, largest_side: int) -> Decoded:
    """Decode a file of the format `name`, a key of `image_core.formats.NAMES`; the first visible frame if it is
    animated.

    Raises UnsupportedFormat, TooManyPixels, CorruptImage and MemoryError.
    """
    with _pillow_limited_to(limits.pixels), as_image_errors(limits):
        return _decoded(FORMATS[name].open(data, limits), largest_side)


@contextmanager
def _pillow_limited_to(max_pixels: int) -> Iterator[None]:
    """Set Pillow's own limit to `max_pixels` while a picture is decoded, then restore it."""
    with _pillow_settings, warnings.catch_warnings():
        # Pillow warns about each error in metadata that it skips. Operators cannot fix them.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = max_pixels, MAX_TEXT_BYTES
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = before


@contextmanager
def as_image_errors(limits: DecodeLimits) -> Iterator[None]:
    """Translate Pillow's exceptions to ImageErrors. A MemoryError is not translated; `decode` finds its cause."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(f"The image has too many pixels; the limit is {limits.pixels:,}.") from error
    except Exception as error:
        # On damaged bytes, Pillow's decoders raise OSError, SyntaxError, ValueError, KeyError, struct.error,
        # zlib.error, AssertionError, …: no list of them is ever complete.
        raise CorruptImage from error


def _decoded(file: ImageFile, largest_side: int) -> Decoded:
    image = file.image
    (width, height), mode = file.size, image.mode
    profile = image.info.get("icc_profile")
    reduced = file.reduce(_factors(width, height, largest_side))
    # The metadata is read after the pixels, because in a PNG it can follow them. `image` may be `stored`, without
    # its `info`.
    exif, dpi, alpha = file.exif(), file.dpi(), image.has_transparency_data
    stored = pixels.without_idle_alpha(reduced.picture)
    stored.info = {}  # Pillow would write a comment or a profile in it to the thumbnails
    covered = (0, 0, width / reduced.across, height / reduced.down)
    if exif.orientation >= 5:
        width, height = height, width
    return Decoded(
        format=file.name,
        width=width,
        height=height,
        mode=mode,
        bit_depth=file.info.bit_depth,
        alpha=alpha,
        frames=file.info.frames,
        icc_profile=profile if isinstance(profile, bytes) else b"",
        dpi=_dpi(dpi),
        stored=stored,
        covered=covered,
        exif=exif,
        warnings=file.info.warnings,
    )


def _factors(width: int, height: int, largest_side: int) -> tuple[int, int]:
    """Return how many pixels of the original, across and down, are first reduced to one."""
    short, long = sorted((width, height))
    needed = int(max(fitted(width, height, largest_side)) * SPARE_PIXELS)
    factor = max(1, min(short // SHORT_SIDE_PIXELS, long // needed))
    along = factor
    if long // factor > 2 * LONG_SIDE_PIXELS:
        along = max(factor, long // max(LONG_SIDE_PIXELS, needed))
    return (along, factor) if width > height else (factor, along)


def _dpi(value: object) -> tuple[float, float] | None:
    try:
        across, down = (float(one) for one in value)  # type: ignore[attr-defined]
    except (ArithmeticError, TypeError, ValueError):
        return None
    return (across, down) if 0 < across < math.inf and 0 < down < math.inf else None
