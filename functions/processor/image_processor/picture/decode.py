"""Bytes nobody has looked at yet → one small upright sRGB picture, or an ImageError that says why not.

The header is read first: format and pixel count are settled before a pixel is decoded. The picture is
decoded once, at no more than the scale that thumbnails and caption need. Pillow's exceptions end here.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from PIL import Image, PngImagePlugin, TiffImagePlugin

from image_core.errors import CorruptImage, ImageError, TooManyPixels, UnsupportedFormat
from image_core.formats import NAMES, SNIFFED_BYTES, identify
from image_core.settings import DECODING_BYTES_PER_PIXEL
from image_processor.picture import pixels
from image_processor.picture.decoded import Decoded
from image_processor.picture.exif.embedded import exif_of, exif_of_tiff, orientation_of
from image_processor.picture.formats import Limits, Survey, check, libwebp, survey

__all__ = ["LONG_SIDE_PIXELS", "SHORT_SIDE_PIXELS", "Decoded", "as_image_errors", "decode"]

SHORT_SIDE_PIXELS = 768
"""The caption model's 384 × 384 array is made from at least twice that: below, captions lose accuracy."""
LONG_SIDE_PIXELS = 4096
"""Pictures far longer than wide are reduced further along their length, to between once and twice this."""
MAX_TEXT_BYTES = 8 << 20
"""Unpacked, of a text or profile in a PNG. Pillow stops at 1 MiB, which profiles of scanners and printers
exceed."""

# Image.MAX_IMAGE_PIXELS and warning filters belong to the whole process: one picture at a time.
_pillow_settings = threading.Lock()


def decode(
    source: bytes | Path,
    *,
    max_pixels: int,
    long_enough_for: int,
    max_frames: int = 10_000,
    formats: Collection[str] = tuple(NAMES),
) -> Decoded:
    """Decode `source`, the first frame if it is animated.

    `long_enough_for`: side in pixels of the largest square that a thumbnail will have to fill.

    Raises UnsupportedFormat (the bytes are none of `formats`), TooManyPixels (more than `max_pixels`, or frames
    than `max_frames`, from the header) and CorruptImage (empty, or whatever a decoder complains about). MemoryError
    means that the machine has less memory than this picture may take: another time the same bytes may decode.
    """
    data = source.read_bytes() if isinstance(source, Path) else source
    kind = _identify(data, formats)
    limits = Limits(max_pixels, max_frames)
    with _pillow_limited_to(max_pixels), as_image_errors(limits):
        found = survey(data, kind, limits)
        return _decode(data, _open(data, kind, found, limits), kind, found, long_enough_for)


def _identify(data: bytes, formats: Collection[str]) -> str:
    if not data:
        raise CorruptImage("The file is empty.")
    kind = identify(data[:SNIFFED_BYTES])
    if kind is None or kind not in formats:
        raise UnsupportedFormat
    return kind


@contextmanager
def _pillow_limited_to(max_pixels: int) -> Iterator[None]:
    """Make Pillow's own guard agree with our limit while a picture is decoded, and leave no trace of it."""
    with _pillow_settings, warnings.catch_warnings():
        # Pillow warns about each flaw of metadata that it skips; those are the file's, not the operator's.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = max_pixels, MAX_TEXT_BYTES
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = before


@contextmanager
def as_image_errors(limits: Limits) -> Iterator[None]:
    """Pillow's exceptions as ours."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(f"The image has more than {limits.pixels:,} pixels.") from error
    except MemoryError as error:
        _require_memory(limits)
        raise CorruptImage("The image asks for more memory than its size accounts for.") from error
    except Exception as error:
        # Fed with damaged bytes, Pillow's decoders raise OSError, SyntaxError, ValueError, KeyError,
        # struct.error, zlib.error, AssertionError, …: no list of them stays complete.
        raise CorruptImage from error


def _require_memory(limits: Limits) -> None:
    """Raises MemoryError if there is less memory than an accepted picture may take: not the file's fault then."""
    bytearray(limits.pixels * DECODING_BYTES_PER_PIXEL)


def _open(data: bytes, kind: str, found: Survey | None, limits: Limits) -> Image.Image:
    """Read the header."""
    if found and found.orientation_at is not None:
        data = _lying_as_stored(data, found.orientation_at)
    if kind == "heic":
        from image_processor.picture.formats import heic  # most processes never see one

        image = heic.opened(data)
    else:
        image = Image.open(BytesIO(data), formats=[kind.upper()])
        if kind == "avif":
            image.info["bit_depth"] = _avif_bit_depth(data)
    check(*image.size, _frames(image, kind, found), limits)
    return image


def _frames(image: Image.Image, kind: str, found: Survey | None) -> int:
    """For these, Pillow has counted once the header is read; a JPEG has more than one as MPO."""
    if kind in ("jpeg", "avif", "heic") or not found:
        return getattr(image, "n_frames", 1)
    return found.frames


def _avif_bit_depth(data: bytes) -> int:
    """AV1 in ISOBMFF, 2.3: `av1C` has a version, a profile, then flags, of which two say 10 or 12 bits."""
    at = data.find(b"av1C")
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
    return 8 + 2 * (flags >> 6 & 1) + 2 * (flags >> 6 & flags >> 5 & 1)


def _lying_as_stored(data: bytes, orientation_at: int) -> bytes:
    """A TIFF without its orientation: Pillow turns TIFFs itself, at full size, which takes as much memory again."""
    patched = bytearray(data)
    patched[orientation_at : orientation_at + 2] = b"\0\1" if data.startswith(b"MM") else b"\1\0"
    return bytes(patched)


def _decode(data: bytes, image: Image.Image, kind: str, found: Survey | None, long_enough_for: int) -> Decoded:
    width, height = image.size
    frames = _frames(image, kind, found)
    mode = image.mode
    if kind == "png":
        _scale_grey_key(image)
    picture, scale = _reduced(data, image, kind, _factors(width, height, long_enough_for))
    # Only now: the EXIF of a PNG can follow its pixels.
    if isinstance(image, TiffImagePlugin.TiffImageFile) and found:
        exif, orientation = exif_of_tiff(image, found.orientation), found.orientation
    else:
        exif = exif_of(image.info)
        orientation = orientation_of(exif)
    info = {str(key): value for key, value in image.info.items()}
    alpha = image.has_transparency_data
    region = (0, 0, width / scale[0], height / scale[1])
    picture = pixels.without_idle_alpha(picture)
    picture.info = {}  # Pillow would write a comment or a profile found there into the thumbnails
    if orientation >= 5:
        width, height = height, width
    return Decoded(
        format=kind,
        width=width,
        height=height,
        mode=mode,
        bit_depth=found.bit_depth if found else int(info["bit_depth"]),
        alpha=alpha,
        frames=frames,
        icc_profile=_bytes(info.get("icc_profile")),
        dpi=_dpi(info.get("dpi")),
        stored=picture,
        covered=region,
        orientation=orientation,
        exif=exif,
        info=MappingProxyType(info),
    )


def _reduced(
    data: bytes, image: Image.Image, kind: str, factors: tuple[int, int]
) -> tuple[Image.Image, tuple[float, float]]:
    """The pixels as `pixels.reduced` gives them, and how many of the original's (across, down) are one of them."""
    width, height = image.size
    x, y = factors
    if kind == "webp":
        size = max(1, round(width / x)), max(1, round(height / y))
        smaller = libwebp.scaled(data, (width, height), size)
        if smaller and smaller.size == size:
            return pixels.reduced(smaller, (1, 1)), (width / size[0], height / size[1])
        return pixels.reduced(smaller or image, factors), (x, y)
    scale = next(s for s in (8, 4, 2, 1) if s <= min(factors)) if kind == "jpeg" else 1
    if scale > 1:
        image.draft(None, (width // scale, height // scale))
        x, y = x // scale, y // scale
    image.load()
    return pixels.reduced(image, (x, y)), (x * scale, y * scale)


def _factors(width: int, height: int, long_enough_for: int) -> tuple[int, int]:
    """How many pixels of the original, across and down, become one before anything else is done."""
    short, long = sorted((width, height))
    factor = max(1, min(short // SHORT_SIDE_PIXELS, long // (2 * long_enough_for)))
    along = factor
    if long // factor > 2 * LONG_SIDE_PIXELS:
        along = max(factor, long // max(LONG_SIDE_PIXELS, 2 * long_enough_for))
    return (along, factor) if width > height else (factor, along)


def _scale_grey_key(image: Image.Image) -> None:
    """Pillow widens 2 and 4-bit grey to 8 bits, but not the grey that stands for transparent."""
    key, tiles = image.info.get("transparency"), getattr(image, "tile", ())
    if isinstance(key, int) and tiles:
        image.info["transparency"] = key * {"L;2": 85, "L;4": 17}.get(tiles[0].args, 1)


def _dpi(value: object) -> tuple[float, float] | None:
    try:
        across, down = (float(one) for one in value)  # type: ignore[attr-defined]
    except (ArithmeticError, TypeError, ValueError):
        return None
    return (across, down) if 0 < across < math.inf and 0 < down < math.inf else None


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
