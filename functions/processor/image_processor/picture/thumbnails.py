"""Thumbnails: upright, fitted into a square, never enlarged, and without metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from image_core.formats import THUMBNAIL_MEDIA_TYPES
from image_processor.picture.decoded import Decoded

JPEG_QUALITY = 85
REDUCING_GAP = 2.0
"""Pixels are averaged before Lanczos, as long as at least twice Lanczos's output pixels are left."""


@dataclass(frozen=True)
class Thumbnail:
    """An encoded thumbnail; `width` and `height` in pixels."""

    body: bytes
    content_type: str
    width: int
    height: int


def render(decoded: Decoded, sizes: Mapping[str, int]) -> dict[str, Thumbnail]:
    """Return a thumbnail for each name in `sizes`. The value is the side in pixels of the square that it fits into.

    A picture smaller than the square keeps its size. Opaque pictures become JPEG, those with transparency PNG.
    Raises ValueError if a size is larger than the `largest_thumbnail` that the picture was decoded for.
    """
    pictures = scaled(decoded, sizes)
    # A small original has the same picture in several sizes.
    encoded = {id(picture): _encode(picture) for picture in {id(one): one for one in pictures.values()}.values()}
    return {name: encoded[id(picture)] for name, picture in pictures.items()}


def scaled(decoded: Decoded, sizes: Mapping[str, int]) -> dict[str, Image.Image]:
    """Return the pictures that `render` encodes, in the order of `sizes`."""
    pictures: dict[str, Image.Image] = {}
    source: Image.Image | None = None
    # From large to small. Each is made from the previous one.
    for name, side in sorted(sizes.items(), key=lambda item: -item[1]):
        size = fitted(decoded.width, decoded.height, side)
        if max(size) > max(decoded.stored.size):
            raise ValueError(f"{name} would be enlarged: decode the picture for thumbnails of {side} pixels")
        if source is None:
            source = decoded.resized(size, Image.Resampling.LANCZOS, REDUCING_GAP)
        elif size != source.size:
            source = source.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
        pictures[name] = source
    return {name: pictures[name] for name in sizes}


def fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """Return width and height of a picture that is fitted into a square of `side` pixels: with its aspect ratio, at
    least 1 each, and never enlarged."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _encode(picture: Image.Image) -> Thumbnail:
    body = BytesIO()
    if picture.mode == "RGBA":
        encoder = "PNG"
        picture.save(body, encoder)
    else:
        encoder = "JPEG"
        picture.save(body, encoder, quality=JPEG_QUALITY, optimize=True)
    return Thumbnail(body.getvalue(), THUMBNAIL_MEDIA_TYPES[encoder], picture.width, picture.height)
