"""What a walk finds, and what it must keep to."""

from __future__ import annotations

from dataclasses import dataclass

from image_core.errors import CorruptImage, TooManyPixels


@dataclass(frozen=True)
class Limits:
    """`pixels` of one picture, `frames` in one file."""

    pixels: int
    frames: int


@dataclass(frozen=True)
class Survey:
    """`width` and `height` as stored, in pixels; `bit_depth` in bits a sample, or an index where there is a
    palette."""

    width: int
    height: int
    bit_depth: int = 8
    frames: int = 1
    orientation: int = 1
    """Of a TIFF, 1 to 8; other formats have it in their EXIF."""
    orientation_at: int | None = None
    """Where in a TIFF the two bytes of its orientation are."""


def check(width: int, height: int, frames: int, limits: Limits) -> None:
    """Raises CorruptImage if there is no pixel, TooManyPixels if there are too many of them, or too many frames."""
    if width < 1 or height < 1:
        raise CorruptImage("The image says that it has no pixels.")
    if width * height > limits.pixels:
        raise TooManyPixels(f"The image has more than {limits.pixels:,} pixels.")
    if frames > limits.frames:
        raise TooManyPixels(f"The file has more than {limits.frames:,} frames.")


def cut_short() -> CorruptImage:
    """For a file that ends before it says it does."""
    return CorruptImage("The file is cut short.")
