"""Measure how much the pictures of each way differ from exact ones.

Exact pictures: the file is decoded at full size, rotated and converted to sRGB with Pillow. Then thumbnails are
resized with Lanczos in floating point, and the model's array like in transformers (bicubic, in bytes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.picture_ways import (
    MAX_PIXELS,
    MEAN,
    SIDE,
    SIZES,
    STD,
    WAYS,
    WITHOUT,
    better_thumbnails,
    naive_picture,
    naive_thumbnails,
    on_white,
    vips_picture,
    vips_thumbnails,
)
from image_core.renditions import largest_side
from image_processor.captioning.preprocess import Preprocessor
from image_processor.picture.decode import decode
from image_processor.picture.thumbnails import scaled

Pixels = NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """The quality of one way with one file."""

    scaled: dict[str, float]
    """Peak signal-to-noise ratio of each thumbnail before it is encoded, in dB."""
    encoded: dict[str, float]
    """The same for the thumbnail as it is served."""
    array: float
    """Mean absolute difference of the model's array, of 255."""


def qualities(data: bytes) -> dict[str, Quality]:
    """Measure the quality of each way with the file `data`."""
    _, picture = naive_picture(data)
    exact_array = Preprocessor(SIDE, MEAN, STD)(on_white(picture))
    unencoded: dict[str, Mapping[str, Pixels]] = {
        "naive": {name: _pixels(one) for name, one in naive_thumbnails(picture).items()},
        "thumbnail()": {name: _pixels(one) for name, one in better_thumbnails(picture).items()},
        "ours": _ours(data),
        "libvips": {name: _vips_pixels(one) for name, one in vips_thumbnails(vips_picture(data)[1]).items()},
    }
    found = {}
    for name in WAYS.keys() - {WITHOUT}:
        result = WAYS[name]()(data)
        served = {size: _pixels(Image.open(BytesIO(body))) for size, body in result.thumbnails.items()}
        difference = (result.array - exact_array) * np.float32(255) * np.array(STD, np.float32).reshape(1, 3, 1, 1)
        # Each at its own size: 112.5 pixels may be rounded to 112 or 113.
        exact = {size: _lanczos(picture, (pixels.shape[1], pixels.shape[0])) for size, pixels in served.items()}
        found[name] = Quality(
            {size: _decibels(unencoded[name][size], exact[size]) for size in SIZES},
            {size: _decibels(served[size], exact[size]) for size in SIZES},
            float(np.abs(difference).mean()),
        )
    return found


def _ours(data: bytes) -> dict[str, Pixels]:
    decoded = decode(data, max_pixels=MAX_PIXELS, largest_side=largest_side(SIZES))
    return {name: _pixels(one) for name, one in scaled(decoded, SIZES).items()}


def _lanczos(picture: Image.Image, size: tuple[int, int]) -> Pixels:
    """Resize to (height, width, channels). Colors are premultiplied with alpha, if there is one, while resizing."""
    planes = [np.asarray(one, np.float32) for one in picture.split()]
    if len(planes) == 4:
        planes[:3] = [plane * (planes[3] / np.float32(255)) for plane in planes[:3]]
    small = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS), np.float64) for plane in planes
    ]
    return np.clip(np.stack(small, axis=-1), 0, 255)


def _pixels(picture: Image.Image) -> Pixels:
    """Convert a picture to the format of `_lanczos`."""
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGB")
    return _multiplied(np.asarray(picture, np.float64))


def _vips_pixels(picture: Any) -> Pixels:
    return _multiplied(picture.numpy().astype(np.float64))


def _multiplied(pixels: Pixels) -> Pixels:
    if pixels.shape[-1] == 4:
        pixels = np.concatenate([pixels[..., :3] * (pixels[..., 3:] / 255), pixels[..., 3:]], axis=-1)
    return pixels


def _decibels(actual: Pixels, exact: Pixels) -> float:
    if actual.shape != exact.shape:
        raise SystemExit(f"a thumbnail of {actual.shape} where {exact.shape} was expected")
    error = float(np.mean((actual - exact) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
