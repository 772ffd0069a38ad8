"""Pictures for `bench.thumbnail_encoding`, drawn from seeds, larger than every thumbnail."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench import photographs

WIDTH, HEIGHT = 1920, 1440
LETTERS = list("abcdefghijklmnopqrstuvwxyz    ABCDEFGHKLMNRST0123456789")

Color = tuple[int, int, int]


def drawn_pictures(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield `count` pictures of each kind, with the name of the kind."""
    for seed in range(count):
        yield "drawings", drawing(seed)
        yield "texts", lines_of_text(seed)
        yield "photograph-like", photographs.scene(WIDTH + seed, HEIGHT, transparent=False)
        gray = photographs.scene(WIDTH, HEIGHT + seed, transparent=False).convert("L")
        yield "gray", gray.convert("RGB") if seed % 2 else gray  # scanners and editors often write RGB


def drawing(seed: int) -> Image.Image:
    """Draw shapes and lines in random colors."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (WIDTH, HEIGHT), _color(random))
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y, width, height = random.integers((0, 0, 60, 60), (1800, 1350, 700, 500)).tolist()
        draw.ellipse((x, y, x + width, y + height), fill=_color(random))
        draw.rectangle((WIDTH - x - width, y, WIDTH - x, y + height // 2), fill=_color(random))
        draw.line((x, y, width * 2, height * 2), fill=_color(random), width=width // 30)
    return picture


def lines_of_text(seed: int) -> Image.Image:
    """Draw lines of text in random colors and sizes, on white (even seeds) or on a random color."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (WIDTH, HEIGHT), _color(random) if seed % 2 else "white")
    draw, top = ImageDraw.Draw(picture), 20
    while top < HEIGHT:
        size = int(random.integers(40, 160))
        text = "".join(random.choice(LETTERS, 60))
        draw.text((30, top), text, fill=_color(random), font=ImageFont.load_default(size))
        top += size + 10
    return picture


def _color(random: np.random.Generator) -> Color:
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue
