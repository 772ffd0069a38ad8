"""What an image is and what it says about itself, as plain JSON values: docs/metadata.md."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import ImageCms

from image_processor.picture.decode import Decoded
from image_processor.picture.exif import read_exif
from image_processor.picture.exif.values import clean

MAX_PROFILE_NAME = 128
"""Characters."""
MAX_DPI = 1e6
CENTIMETRES_PER_INCH = 2.54

_INCH, _CENTIMETRE = 2, 3

# Pillow's modes, less what alpha and bit depth say already.
_COLOR_MODES = {
    "1": "bilevel",
    "L": "grayscale",
    "LA": "grayscale",
    "La": "grayscale",
    "I": "grayscale",
    "F": "grayscale",
    "P": "palette",
    "PA": "palette",
    "RGB": "rgb",
    "RGBA": "rgb",
    "RGBa": "rgb",
    "RGBX": "rgb",
    "CMYK": "cmyk",
    "YCbCr": "ycbcr",
    "LAB": "lab",
    "HSV": "hsv",
}


def extract(decoded: Decoded, *, size_bytes: int, sha256: str) -> dict[str, Any]:
    """The metadata of an image, fit for JSON; `gps` only where the image says where it was taken, and apart from
    `exif` because it is private."""
    exif = read_exif(decoded.exif)
    metadata: dict[str, Any] = {
        "width": decoded.width,
        "height": decoded.height,
        "format": decoded.format,
        "size_bytes": size_bytes,
        "sha256": sha256,
        "color_mode": color_mode(decoded.mode),
        "bit_depth": decoded.bit_depth,
        "has_alpha": decoded.alpha,
        "frames": decoded.frames,
        "icc_profile": profile_name(decoded.icc_profile),
        "dpi": resolution(decoded, exif.tags),
        "exif": exif.tags,
    }
    if exif.position:
        metadata["gps"] = exif.position
    return metadata


def color_mode(mode: str) -> str:
    """What the samples of a pixel mean, from Pillow's mode."""
    return "grayscale" if mode.startswith("I;16") else _COLOR_MODES.get(mode, mode.lower())


def profile_name(profile: bytes) -> str | None:
    """What an ICC profile calls itself; None if there is none, or it is broken."""
    if not profile:
        return None
    try:
        description = ImageCms.ImageCmsProfile(BytesIO(profile)).profile.profile_description
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return clean((description or "")[:MAX_PROFILE_NAME])


def resolution(decoded: Decoded, tags: Mapping[str, object]) -> list[float] | None:
    """Pixels per inch across and down, to a hundredth: as the file's own header says, else its EXIF; None where
    neither says any that makes sense."""
    return _plausible(_in_header(decoded)) or _plausible(_in_exif(tags))


def _in_header(decoded: Decoded) -> tuple[float, float] | None:
    # Where a JPEG or a TIFF says none, Pillow makes one up. A TIFF's own tags are its EXIF.
    if decoded.format == "tiff" or (decoded.format == "jpeg" and decoded.info.get("jfif_unit") not in (1, 2)):
        return None
    return decoded.dpi


def _in_exif(tags: Mapping[str, object]) -> tuple[float, float] | None:
    across, down, unit = tags.get("XResolution"), tags.get("YResolution"), tags.get("ResolutionUnit", _INCH)
    if not isinstance(across, int | float) or not isinstance(down, int | float) or unit not in (_INCH, _CENTIMETRE):
        return None
    scale = CENTIMETRES_PER_INCH if unit == _CENTIMETRE else 1.0
    return across * scale, down * scale


def _plausible(dpi: tuple[float, float] | None) -> list[float] | None:
    if dpi is None:
        return None
    rounded = [round(float(one), 2) for one in dpi]
    return rounded if all(0 < one <= MAX_DPI for one in rounded) else None
