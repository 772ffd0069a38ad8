"""The table of renditions: which pictures are made of each image, and how they are encoded."""

from __future__ import annotations

import re
from dataclasses import dataclass

FORMATS = ("auto", "jpeg", "webp", "avif")
"""`auto` is JPEG, or if the picture has transparency PNG up to THUMBNAIL_SIDE and WebP above."""
THUMBNAIL_SIDE = 512
"""Renditions up to this side in pixels are thumbnails. Larger ones are for the screen."""
MAX_SIDE = 2_560
MAX_ENCODED_BYTES = 4_400_000
"""In base64 that is 5.9 MB, and a Lambda response may have 6 MB."""

MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
"""Media types of renditions by format. The processor creates and the API serves only these."""

DEFAULT = "small=150,medium=300,large=1280:webp"

_ENTRY = re.compile(
    rf"(?P<name>[a-z][a-z0-9-]{{0,19}})=(?P<side>[1-9]\d{{0,3}})(:(?P<format>{'|'.join(FORMATS)})(:(?P<quality>[1-9]\d{{0,2}}))?)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Rendition:
    """One picture of each image. `side`: of the square that it fits into, in pixels. `quality`: 1 to 100, None for
    the format's default."""

    side: int
    format: str = "auto"
    quality: int | None = None


Renditions = dict[str, Rendition]
"""Renditions by name, in the order of the table."""


def fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """Return width and height of a rendition of a picture: with its aspect ratio, never enlarged, at least 1 each.

    It fits into a square of `side` pixels, unless it is a rendition of a panorama for the screen, which would be
    only a stripe. Its short side has a quarter of `side`, as long as its long side has at most four times `side`.
    That is never more pixels than the square has.
    """
    short, long = sorted((width, height))
    target: float = side
    if side > THUMBNAIL_SIDE:
        target = min(max(side, side / 4 * long / short), 4 * side)
    scale = min(1.0, target / long)
    return max(1, round(width * scale)), max(1, round(height * scale))


def largest_side(renditions: Renditions) -> int:
    """Return the side in pixels of the largest rendition."""
    return max(one.side for one in renditions.values())


def parse(table: str) -> Renditions:
    """Parse `small=150,large=1280:webp:80`. Raises ValueError, which says what to write instead."""
    found: Renditions = {}
    for entry in (one.strip() for one in table.split(",")):
        match = _ENTRY.fullmatch(entry)
        quality = int(match["quality"]) if match and match["quality"] else None
        if not match or not 1 <= int(match["side"]) <= MAX_SIDE or not (quality is None or 1 <= quality <= 100):
            raise ValueError(
                f"thumbnails: {entry!r} is not NAME=PIXELS[:FORMAT[:QUALITY]], as in {DEFAULT}. A name has up to 20"
                f" lowercase letters, digits and -, and begins with a letter. Pixels are 1 to {MAX_SIDE}. Formats"
                f" are {', '.join(FORMATS)}. Quality is 1 to 100."
            )
        if match["name"] in found:
            raise ValueError(f"thumbnails: {match['name']!r} appears twice. Give each size its own name.")
        found[match["name"]] = Rendition(int(match["side"]), match["format"] or "auto", quality)
    return found
