"""Bytes nobody has looked at yet → one small upright sRGB picture, or an ImageError that says why not.

The header is read first: format and pixel count are settled before a pixel is decoded. The picture is
decoded once, at no more than the scale that thumbnails and caption need. Pillow's exceptions end here.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from PIL import ExifTags, Image, TiffImagePlugin

from image_core.errors import CorruptImage, ImageError, TooManyPixels, UnsupportedFormat
from image_core.formats import NAMES, SNIFFED_BYTES, identify
from image_processor import pixels

SHORT_SIDE_PIXELS = 768
"""The caption model's 384 × 384 array is made from at least twice that: below, captions lose accuracy."""
LONG_SIDE_PIXELS = 4096
"""Pictures far longer than wide are reduced further along their length, to between once and twice this."""
MAX_EXIF_BYTES = 1 << 20
"""More EXIF than this is not looked at."""

# What describes the picture in a TIFF, among the tags that only describe the file.
_TIFF_EXIF = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Orientation,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)

# Image.MAX_IMAGE_PIXELS and warning filters belong to the whole process: one picture at a time.
_pillow_settings = threading.Lock()


@dataclass(frozen=True, eq=False)
class Decoded:
    """One image file, decoded.

    `width` and `height` are those of the upright original, in pixels. `picture` is that original reduced:
    upright, sRGB, mode L, RGB or RGBA, without metadata; not in proportion if the original is extremely
    long. `region` is the part of it (left, top, right, bottom) that the original covers: the last row and
    column of a reduced picture can reach beyond by a fraction of a pixel.
    """

    format: str
    width: int
    height: int
    mode: str
    """Pillow's name for the pixels in the file, such as RGB, P or I;16."""
    bit_depth: int
    """Bits in a sample of the file: 1 to 64; of an index where it has a palette."""
    alpha: bool
    """Whether the file says what is transparent, be it that nothing is."""
    frames: int
    """Pictures in the file that belong to one sequence or document; the first is what was decoded."""
    icc_profile: bytes
    """As found in the file, not checked; empty if there is none."""
    dpi: tuple[float, float] | None
    """Pixels per inch, across and down, as the file says; finite and above 0."""
    picture: Image.Image
    region: pixels.Region
    exif: bytes
    """As found in the file, not checked; empty if there is none."""
    info: Mapping[str, Any]
    """What Pillow says about the file besides."""

    def for_captioning(self) -> Image.Image:
        """The upright picture in RGB, on white where it is transparent; at least 768 pixels on its short
        side, or what the original has."""
        picture = self.picture
        if picture.mode == "RGBA":
            on_white = Image.new("RGB", picture.size, "white")
            on_white.paste(picture, mask=picture.getchannel("A"))
            picture = on_white
        elif picture.mode != "RGB":
            picture = picture.convert("RGB")
        if self.region != (0, 0, *picture.size):
            # A third of a pixel here is a shift that the model's array shows: 1.2 of 255 on average.
            left, top, right, bottom = self.region
            size = max(1, round(right - left)), max(1, round(bottom - top))
            picture = picture.resize(size, Image.Resampling.BICUBIC, box=self.region)
        return picture


def decode(
    source: bytes | Path,
    *,
    max_pixels: int,
    long_enough_for: int,
    formats: Collection[str] = tuple(NAMES),
) -> Decoded:
    """Decode `source`, the first frame if it is animated.

    `long_enough_for`: side in pixels of the largest square that a thumbnail will have to fill.

    Raises UnsupportedFormat (the bytes are none of `formats`), TooManyPixels (more than `max_pixels`, from
    the header, or more than memory holds) and CorruptImage (empty, or whatever a decoder complains about).
    """
    with source.open("rb") if isinstance(source, Path) else BytesIO(source) as stream:
        kind = _identify(stream, formats)
        with _pillow_limited_to(max_pixels), _as_image_errors(max_pixels):
            return _decode(_open(stream, kind, max_pixels), kind, long_enough_for)


def _identify(stream: IO[bytes], formats: Collection[str]) -> str:
    head = stream.read(SNIFFED_BYTES)
    if not head:
        raise CorruptImage("The file is empty.")
    kind = identify(head)
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
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _as_image_errors(max_pixels: int) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many(max_pixels) from error
    except MemoryError as error:
        raise TooManyPixels("Decoding this image takes more memory than there is.") from error
    except Exception as error:
        # Fed with damaged bytes, Pillow's decoders raise OSError, SyntaxError, ValueError, KeyError,
        # struct.error, zlib.error, AssertionError, …: no list of them stays complete.
        raise CorruptImage from error


def _open(stream: IO[bytes], kind: str, max_pixels: int) -> Image.Image:
    """Read the header."""
    stream.seek(0)
    image = Image.open(stream, formats=[kind.upper()])
    width, height = image.size
    if width * height > max_pixels:  # Pillow has looked as well, unless somebody changed the warning filters
        raise _too_many(max_pixels)
    return image


def _too_many(max_pixels: int) -> TooManyPixels:
    return TooManyPixels(f"The image has more than {max_pixels:,} pixels.")


def _decode(image: Image.Image, kind: str, long_enough_for: int) -> Decoded:
    width, height = image.size
    depth, frames = _bit_depth(image, kind), getattr(image, "n_frames", 1)
    factors = x, y = _factors(width, height, long_enough_for)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        exif = _tiff_exif(image)
        orientation = 1  # Pillow turns these itself
    if kind == "png":
        _scale_grey_key(image)
    if kind == "jpeg" and (scale := next(s for s in (8, 4, 2, 1) if s <= min(factors))) > 1:
        image.draft(None, (width // scale, height // scale))
        factors = x // scale, y // scale
        x, y = factors[0] * scale, factors[1] * scale
    image.load()
    if kind != "tiff":
        # Only now: the EXIF of a PNG can follow its pixels.
        exif = _bytes(image.info.get("exif"))[:MAX_EXIF_BYTES]
        orientation = _orientation(exif)
    mode, info = image.mode, {str(key): value for key, value in image.info.items()}
    icc_profile, alpha = _bytes(info.get("icc_profile")), image.has_transparency_data
    picture = pixels.to_srgb(pixels.reduced(image, factors), icc_profile)
    picture, region = pixels.upright(picture, (0, 0, width / x, height / y), orientation)
    picture.info = {}  # Pillow would write a comment or a profile found there into the thumbnails
    if orientation >= 5:
        width, height = height, width
    return Decoded(
        format=kind,
        width=width,
        height=height,
        mode=mode,
        bit_depth=depth,
        alpha=alpha,
        frames=frames,
        icc_profile=icc_profile,
        dpi=_dpi(info.get("dpi")),
        picture=picture,
        region=region,
        exif=exif,
        info=MappingProxyType(info),
    )


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


def _orientation(exif: bytes) -> int:
    """1 to 8; 1 if there is none, or none that makes sense."""
    parsed = Image.Exif()
    try:
        parsed.load(exif)
        value = parsed.get(ExifTags.Base.Orientation)
    except Exception:  # as for pictures; broken EXIF never fails an image
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _tiff_exif(image: TiffImagePlugin.TiffImageFile) -> bytes:
    """The EXIF of a TIFF, whose own tags it is, as the block that other formats have."""
    try:
        tags, block = image.getexif(), Image.Exif()
        for tag in _TIFF_EXIF:
            if tag in tags:
                block[tag] = tags[tag]
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            block.get_ifd(ifd).update(
                (tag, value) for tag, value in tags.get_ifd(ifd).items() if tag != ExifTags.Base.MakerNote
            )
        return block.tobytes()
    except Exception:  # broken EXIF never fails an image
        return b""


def _bit_depth(image: Image.Image, kind: str) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = image.tag_v2.get(ExifTags.Base.BitsPerSample, 1)
        return int(max(bits) if isinstance(bits, tuple) else bits)
    return 8


def _dpi(value: object) -> tuple[float, float] | None:
    try:
        across, down = (float(one) for one in value)  # type: ignore[attr-defined]
    except (ArithmeticError, TypeError, ValueError):
        return None
    return (across, down) if 0 < across < math.inf and 0 < down < math.inf else None


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
