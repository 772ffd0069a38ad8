"""The metadata of an image as plain JSON values, see docs/metadata.md."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import ImageCms

from image_processor.picture.decoded import Decoded
from image_processor.picture.exif.values import clean

MAX_PROFILE_NAME = 128
"""Limit in characters."""
MAX_DPI = 1e6
CENTIMETERS_PER_INCH = 2.54

_INCH, _CENTIMETER = 2, 3

# Pillow's modes, without alpha and bit depth, which have fields of their own.
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
    """Return the metadata of an image as JSON values. `gps` is separate from `exif` because it is private. It is
    missing if the file has no valid position, and `warnings` if there are none."""
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
        "dpi": resolution(decoded),
        "exif": dict(decoded.exif.tags),
    }
    if decoded.exif.position:
        metadata["gps"] = decoded.exif.position
    if decoded.warnings:
        metadata["warnings"] = list(decoded.warnings)
    return metadata


def color_mode(mode: str) -> str:
    """Return the color mode for Pillow's mode."""
    return "grayscale" if mode.startswith("I;16") else _COLOR_MODES.get(mode, mode.lower())


def profile_name(profile: bytes) -> str | None:
    """Return the name in an ICC profile. None if there is no profile, or if it is broken."""
    if not profile:
        return None
    try:
        description = ImageCms.ImageCmsProfile(BytesIO(profile)).profile.profile_description
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return clean((description or "")[:MAX_PROFILE_NAME])


def resolution(decoded: Decoded) -> list[float] | None:
    """Return pixels per inch across and down, to a hundredth, from the file's header or else its EXIF. None if
    neither has a plausible value."""
    return _plausible(decoded.dpi) or _plausible(_in_exif(decoded.exif.tags))


def _in_exif(tags: Mapping[str, object]) -> tuple[float, float] | None:
    across, down, unit = tags.get("XResolution"), tags.get("YResolution"), tags.get("ResolutionUnit", _INCH)
    if not isinstance(across, int | float) or not isinstance(down, int | float) or unit not in (_INCH, _CENTIMETER):
        return None
    scale = CENTIMETERS_PER_INCH if unit == _CENTIMETER else 1.0
    return across * scale, down * scale


def _plausible(dpi: tuple[float, float] | None) -> list[float] | None:
    if dpi is None:
        return None
    rounded = [round(float(one), 2) for one in dpi]
    return rounded if all(0 < one <= MAX_DPI for one in rounded) else None
