"""Placeholders: the same ThumbHash as the reference implementation, and the average color."""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from image_processor.picture.placeholder import placeholder

Grid = npt.NDArray[np.int64]


def drawn(width: int, height: int, alpha: Callable[[Grid, Grid], Grid]) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    planes = ((x * x + 3 * y) % 251, (x * y + 5 * x) % 241, (y * y + 7 * x) % 239, alpha(x, y))
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def opaque(x: Grid, _: Grid) -> Grid:
    return np.full_like(x, 255)


def half(x: Grid, y: Grid) -> Grid:
    return np.where(x * x < 40 * y, 255, 0)


def fading(x: Grid, y: Grid) -> Grid:
    return (y * y + x) % 256


# From rgbaToThumbHash of npm's thumbhash 0.1.1, with pixels from the same formulas.
@pytest.mark.parametrize(
    ("width", "height", "alpha", "thumbhash"),
    [
        (100, 67, opaque, "HggCBYJCQRAjIhFVVpZVVwYw4i9z"),
        (60, 100, opaque, "HggCDAIRUEUjEXdXdXUDdcCNCQ=="),
        (64, 64, opaque, "HggCDwIyICIjAlNWNoh0Y3ZnVhBT7xQI"),
        (100, 7, opaque, "3QcKEYJTQ1B3d4eHCninYGk="),
        (80, 50, half, "3ReCA4BGJQAhRFUVEJkcoK93ZZl3d3c="),
        (40, 90, fading, "HgiCAgIXMjcE018DhPVeGHeHZIeCB0U="),
    ],
)
def test_a_thumbhash_is_that_of_the_reference_implementation(
    width: int, height: int, alpha: Callable[[Grid, Grid], Grid], thumbhash: str
) -> None:
    assert placeholder(drawn(width, height, alpha))["thumbhash"] == thumbhash


@pytest.mark.parametrize(
    ("picture", "color"),
    [
        (Image.new("L", (30, 20), 128), "#808080"),
        (Image.new("RGB", (1, 1), (200, 100, 50)), "#c86432"),
        (Image.new("RGB", (300, 1), "red"), "#ff0000"),
        (Image.new("RGBA", (9, 9), (9, 9, 9, 0)), "#000000"),
    ],
)
def test_the_color_is_the_average_of_the_visible_pixels(picture: Image.Image, color: str) -> None:
    assert placeholder(picture)["color"] == color


def test_a_picture_of_one_color_has_no_rounding_errors_in_its_hash() -> None:
    """The errors would differ between processors."""
    waves = base64.b64decode(placeholder(Image.new("RGB", (30, 20), (10, 200, 90)))["thumbhash"])[5:]
    assert waves == bytes(len(waves))


def test_hidden_colors_do_not_count() -> None:
    picture = Image.new("RGBA", (40, 20), (0, 0, 255, 255))
    picture.paste((255, 0, 0, 0), (0, 0, 20, 20))
    assert placeholder(picture)["color"] == "#0000ff"
