"""Renditions: upright pictures of the configured sizes, never enlarged, and without metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from image_core.renditions import MAX_ENCODED_BYTES, MEDIA_TYPES, THUMBNAIL_SIDE, Rendition, fitted
from image_processor.picture import pixels
from image_processor.picture.decoded import Decoded

REDUCING_GAP = 2.0
"""Pixels are averaged before Lanczos, as long as at least twice Lanczos's output pixels are left."""
QUALITY = {"jpeg": 80, "webp": 80, "avif": 60}
"""Quality where the table of renditions says none. docs/decisions/0032 has the measurements."""
GRAY_JPEG_QUALITY = 85
"""The same for a picture without color channels, which has nothing to gain from 4:4:4."""
_QUALITY_STEP = 15


@dataclass(frozen=True)
class Thumbnail:
    """An encoded rendition; `width` and `height` in pixels."""

    body: bytes
    content_type: str
    width: int
    height: int


def render(decoded: Decoded, renditions: Mapping[str, Rendition]) -> dict[str, Thumbnail]:
    """Return the encoded renditions by name. Raises what `scaled` raises."""
    return encode(scaled(decoded, renditions), renditions)


def scaled(decoded: Decoded, renditions: Mapping[str, Rendition]) -> dict[str, Image.Image]:
    """Return the pictures of the renditions, in their order. Small originals keep their size.

    Raises ValueError if a rendition is larger than the `largest_side` that the picture was decoded for.
    """
    pictures: dict[str, Image.Image] = {}
    source: Image.Image | None = None
    # From large to small. Each is made from the previous one.
    for name, rendition in sorted(renditions.items(), key=lambda item: -item[1].side):
        size = fitted(decoded.width, decoded.height, rendition.side)
        if max(size) > max(decoded.stored.size):
            raise ValueError(f"{name} would be enlarged: decode the picture for a side of {rendition.side} pixels")
        if source is None:
            source = decoded.resized(size, Image.Resampling.LANCZOS, REDUCING_GAP)
        elif size != source.size:
            source = source.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
        pictures[name] = source
    return {name: pictures[name] for name in renditions}


def encode(pictures: Mapping[str, Image.Image], renditions: Mapping[str, Rendition]) -> dict[str, Thumbnail]:
    """Return the encoded pictures of `scaled`. A small original has the same one in several sizes."""
    encoded: dict[tuple[object, ...], Thumbnail] = {}
    thumbnails: dict[str, Thumbnail] = {}
    for name, picture in pictures.items():
        how = _format(picture, renditions[name]), renditions[name].quality
        key = id(picture), *how
        if key not in encoded:
            encoded[key] = _encode(picture, *how)
        thumbnails[name] = encoded[key]
    return thumbnails


def _format(picture: Image.Image, rendition: Rendition) -> str:
    if rendition.format != "auto":
        return rendition.format
    if picture.mode != "RGBA":
        return "jpeg"
    return "png" if rendition.side <= THUMBNAIL_SIDE else "webp"


def _encode(picture: Image.Image, format_: str, quality: int | None) -> Thumbnail:
    """Encode a picture. Its quality is lowered if a response would have no room for it."""
    if format_ == "jpeg" and picture.mode == "RGBA":
        picture = pixels.on_white(picture)
    options = _options(picture, format_, quality)
    while True:
        body = _saved(picture, format_, options)
        if len(body) <= MAX_ENCODED_BYTES or options.get("quality", 0) <= _QUALITY_STEP:
            return Thumbnail(body, MEDIA_TYPES[format_], picture.width, picture.height)
        options["quality"] -= _QUALITY_STEP
        if format_ == "webp":
            options["alpha_quality"] = options["quality"]  # else transparency stays lossless


def _saved(picture: Image.Image, format_: str, options: Mapping[str, Any]) -> bytes:
    body = BytesIO()
    try:
        picture.save(body, format_.upper(), **options)
    except OSError:
        if not options.get("optimize"):
            raise
        # Pillow's buffer for an optimized JPEG has one byte per pixel, which is too small for noise.
        return _saved(picture, format_, {**options, "optimize": False})
    return body.getvalue()


def _options(picture: Image.Image, format_: str, quality: int | None) -> dict[str, Any]:
    """Return the encoder's options."""
    match format_:
        case "jpeg":
            default = GRAY_JPEG_QUALITY if picture.mode == "L" else QUALITY["jpeg"]
            # Finding the best code takes as long as encoding, and saves little on a large picture.
            is_small = max(picture.size) <= THUMBNAIL_SIDE
            return {"quality": quality or default, "subsampling": "4:4:4", "optimize": is_small}
        case "webp":
            # Slower methods save no bytes on photographs, up to method 2.
            return {"quality": quality or QUALITY["webp"], "method": 0}
        case "avif":
            return {"quality": quality or QUALITY["avif"], "speed": 10, "max_threads": 1}
    return {}
