"""Draw shape pictures: one plain shape on a plain background, with its caption."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from models.demo.palette import SHAPE_COLORS, oklab

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
MIN_CONTRAST = 0.2
"""Minimum OKLab distance between shape and background."""

Color = tuple[int, int, int]


@dataclass(frozen=True)
class ShapePicture:
    """A picture (RGB, sides of 52–300 pixels), its caption without the prompt, and where the shape is (mode L)."""

    picture: Image.Image
    caption: str
    shape: str
    mask: Image.Image


def draw_shape(rng: np.random.Generator) -> ShapePicture:
    """Draw a shape of one color on a background of another, with random sizes, positions and proportions."""
    width, height = (int(side) for side in rng.integers(80, 200, 2))
    height = int(np.clip(height, width * 0.65, width * 1.5))
    while True:
        (color_name, color), (ground_name, ground) = _color(rng), _color(rng)
        difference = oklab(np.array(color)) - oklab(np.array(ground))
        if color_name != ground_name and np.linalg.norm(difference) >= MIN_CONTRAST:
            break
    shape = str(rng.choice(SHAPES))
    mask = _mask(rng, shape, width, height)
    front, back = _plain(rng, color, width, height), _plain(rng, ground, width, height)
    caption = f"{_article(color_name)} {color_name} {shape} on {_article(ground_name)} {ground_name} background"
    return ShapePicture(Image.composite(front, back, mask), caption, shape, mask)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _color(rng: np.random.Generator) -> tuple[str, Color]:
    name = str(rng.choice(list(SHAPE_COLORS)))
    first, second = np.array(SHAPE_COLORS[name], dtype=float)
    mixed = first + (second - first) * rng.random() + rng.normal(0, 5, 3)
    red, green, blue = (int(value) for value in np.clip(mixed, 0, 255))
    return name, (red, green, blue)


def _plain(rng: np.random.Generator, color: Color, width: int, height: int) -> Image.Image:
    """Draw one color, in two thirds of the cases with a slight gradient and grain."""
    if rng.random() < 1 / 3:
        return Image.new("RGB", (width, height), color)
    slope_x, slope_y = rng.uniform(-10, 10, 2)
    ramp = np.linspace(-1, 1, width)[None, :] * slope_x + np.linspace(-1, 1, height)[:, None] * slope_y
    grain = rng.normal(0, rng.uniform(0, 5), (height, width))
    pixels = np.array(color, dtype=float) + (ramp + grain)[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


def _mask(rng: np.random.Generator, shape: str, width: int, height: int) -> Image.Image:
    """An anti-aliased mask (mode L) of the shape, which is completely inside the picture."""
    scale = 2
    shorter = min(width, height)
    radius = shorter * rng.uniform(0.24, 0.46)
    center_x = rng.uniform(radius * 1.03, width - radius * 1.03)
    center_y = rng.uniform(radius * 1.03, height - radius * 1.03)
    mask = Image.new("L", (width * scale, height * scale))
    draw = ImageDraw.Draw(mask)

    def circle(size: float, fill: int) -> None:
        box = (center_x - size, center_y - size, center_x + size, center_y + size)
        draw.ellipse(tuple(edge * scale for edge in box), fill=fill)

    if shape in ("circle", "ring"):
        circle(radius, 255)
        if shape == "ring":
            circle(radius * rng.uniform(0.5, 0.68), 0)
    else:
        points = _polygon(shape) @ _rotation(rng, shape) * radius + (center_x, center_y)
        draw.polygon([(x * scale, y * scale) for x, y in points.tolist()], fill=255)
    return mask.reduce(scale)


def _polygon(shape: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The corners (N, 2) of a shape, inside the unit circle."""
    if shape == "cross":
        arm, end = 0.32, 0.94
        corner = [(arm, arm), (arm, end), (-arm, end), (-arm, arm), (-end, arm), (-end, -arm)]
        return np.array(corner + [(-x, -y) for x, y in corner])
    corners, inner = {"square": (4, 1.0), "triangle": (3, 1.0), "star": (10, 0.42)}[shape]
    turn = math.pi / 4 if shape == "square" else -math.pi / 2
    angles = np.arange(corners) * (2 * math.pi / corners) + turn
    radii = np.where(np.arange(corners) % 2, inner, 1.0)
    return np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)


def _rotation(rng: np.random.Generator, shape: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    limit = 15 if shape in ("square", "cross") else 30
    angle = math.radians(rng.uniform(-limit, limit))
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
