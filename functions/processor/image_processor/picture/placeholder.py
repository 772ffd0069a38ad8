"""What a page shows until a picture is there: a ThumbHash and the average color.

ThumbHash (https://evanw.github.io/thumbhash/) is a picture of about 25 bytes: the low frequencies of its
brightness, its colors and its transparency. The packages for Python loop over pixels, which takes 30 times as
long (docs/decisions/0033).
"""

from __future__ import annotations

import base64
import math
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_SIDE = 100
"""Largest picture in pixels, as in the reference implementation."""
NO_WAVES = 1e-6
"""A picture of one color has only rounding errors below this."""

Plane = npt.NDArray[np.float64]


class Placeholder(TypedDict):
    thumbhash: str
    """In base64, with padding."""
    color: str
    """`#rrggbb`: the average of the visible pixels. Black if there are none."""


def placeholder(picture: Image.Image) -> Placeholder:
    """Return the placeholder of an upright sRGB picture in any mode and size."""
    small = picture.convert("RGBA")
    small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float64) / 255
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    visible = alpha.sum()
    average = (rgb * alpha[..., None]).sum((0, 1)) / visible if visible else np.zeros(3)
    return {
        "thumbhash": base64.b64encode(_thumbhash(rgb, alpha, average)).decode(),
        "color": "#{:02x}{:02x}{:02x}".format(*(_rounded(255 * float(value)) for value in average)),
    }


def _thumbhash(rgb: Plane, alpha: Plane, average: Plane) -> bytes:
    height, width = alpha.shape
    has_alpha = alpha.sum() < width * height
    limit = 5 if has_alpha else 7
    across = max(1, _rounded(limit * width / max(width, height)))
    down = max(1, _rounded(limit * height / max(width, height)))
    red, green, blue = np.moveaxis(average * (1 - alpha[..., None]) + rgb * alpha[..., None], -1, 0)
    light, light_waves, light_scale = _waves((red + green + blue) / 3, max(3, across), max(3, down))
    yellow, yellow_waves, yellow_scale = _waves((red + green) / 2 - blue, 3, 3)
    tint, tint_waves, tint_scale = _waves(red - green, 3, 3)
    is_landscape = width > height
    head = (
        _rounded(63 * light)
        | _rounded(31.5 + 31.5 * yellow) << 6
        | _rounded(31.5 + 31.5 * tint) << 12
        | _rounded(31 * light_scale) << 18
        | has_alpha << 23
    )
    sizes = (
        (down if is_landscape else across)
        | _rounded(63 * yellow_scale) << 3
        | _rounded(63 * tint_scale) << 9
        | is_landscape << 15
    )
    found = [*int(head).to_bytes(3, "little"), *int(sizes).to_bytes(2, "little")]
    waves = light_waves + yellow_waves + tint_waves
    if has_alpha:
        opacity, opacity_waves, opacity_scale = _waves(alpha, 5, 5)
        found.append(_rounded(15 * opacity) | _rounded(15 * opacity_scale) << 4)
        waves += opacity_waves
    nibbles = [_rounded(15 * wave) for wave in waves] + [0] * (len(waves) % 2)
    return bytes(found + [low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True)])


def _waves(plane: Plane, across: int, down: int) -> tuple[float, list[float], float]:
    """Return the average of `plane`, its lowest `across` × `down` frequencies without the high corner, scaled to
    0 to 1, and the scale."""
    spectrum = _cosines(plane.shape[0], down) @ plane @ _cosines(plane.shape[1], across).T / plane.size
    found = [float(spectrum[y, x]) for y in range(down) for x in range(across) if x * down < across * (down - y)]
    average, waves = found[0], found[1:]
    scale = max(map(abs, waves), default=0.0)
    if scale < NO_WAVES:
        return average, [0.0] * len(waves), 0.0
    return average, [0.5 + 0.5 / scale * wave for wave in waves], scale


def _cosines(length: int, number: int) -> Plane:
    waves: Plane = np.cos(np.pi / length * np.arange(number)[:, None] * (np.arange(length) + 0.5))
    return waves


def _rounded(value: float) -> int:
    """Round like JavaScript, halves up: the reference implementation is in JavaScript."""
    return math.floor(value + 0.5)
