"""Draw scenes: pictures with the textures of photographs, in colors of every kind. They have no captions:
`captions.scene_caption` computes them from the pixels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from models.demo.palette import SCENE_COLORS

Pixels = NDArray[np.float32]
Rng = np.random.Generator
SceneKind = Callable[[Rng, int, int], Pixels]


def pick_kind(rng: Rng) -> SceneKind:
    """Choose one of `KINDS` at random."""
    return KINDS[int(rng.choice(len(KINDS), p=_KIND_SHARES))]


def draw_scene(rng: Rng, kind: SceneKind) -> Image.Image:
    """Draw a picture with sides of 72–128 pixels."""
    width, height = (int(side) for side in rng.integers(72, 128, 2))
    return _camera(rng, kind(rng, width, height))


def plain(rng: Rng, width: int, height: int) -> Pixels:
    """Almost one color: a wall, fog, a cloudless sky, paper."""
    return _gradient(rng, width, height, _colors(rng, 1)[0], spread=rng.uniform(0, 25))


def sky(rng: Rng, width: int, height: int) -> Pixels:
    """Two colors that blend into each other, with clouds in a third."""
    first, second, third = _colors(rng, 3)
    blend = _ramp(rng, width, height)
    pixels = first * (1 - blend) + second * blend
    clouds = np.clip((_noise(rng, width, height) - rng.uniform(0.3, 0.9)) * 3, 0, 1)[..., None]
    return _float(pixels * (1 - clouds) + third * clouds)


def texture(rng: Rng, width: int, height: int) -> Pixels:
    """Rock, water, bark, cloth: noise at several scales, in two to five colors."""
    colors = _colors(rng, int(rng.integers(2, 6)))
    level = _noise(rng, width, height)
    return _through(colors, level)


def blobs(rng: Rng, width: int, height: int) -> Pixels:
    """An out-of-focus picture: soft ellipses over a gradient."""
    canvas = _image(_gradient(rng, width, height, _colors(rng, 1)[0], 30))
    _ellipses(rng, canvas, int(rng.integers(3, 14)), _colors(rng, int(rng.integers(1, 5))), largest=0.6)
    return _array(canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(3, 12)))))


def horizon(rng: Rng, width: int, height: int) -> Pixels:
    """Sky over ground, water or sand, sometimes with mountains, a sun and a tall object."""
    pixels = sky(rng, width, height)
    ground = texture(rng, width, height)
    across = np.linspace(0, 1, width)
    ridges = rng.uniform(0.25, 0.75) + np.zeros(width)
    if rng.random() < 0.6:
        for wave in range(1, 6):
            ridges += rng.uniform(0.02, 0.25) / wave * np.sin(across * wave * rng.uniform(3, 9) + rng.uniform(0, 6))
    below = np.arange(height)[:, None] > ridges[None, :] * height
    canvas = _image(_float(np.where(below[..., None], ground, pixels)))
    if rng.random() < 0.4:
        _ellipses(rng, canvas, 1, [np.array(rng.uniform((220, 180, 90), 255))], largest=0.15)
    if rng.random() < 0.5:
        _polygons(rng, canvas, int(rng.integers(1, 4)), _colors(rng, 2))
    return _array(canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2)))))


def leaves(rng: Rng, width: int, height: int) -> Pixels:
    """Many long ellipses in shades of a few colors: leaves, petals, stones, a crowd."""
    canvas = _image(texture(rng, width, height))
    colors = _colors(rng, int(rng.integers(1, 5)))
    for _ in range(int(rng.integers(8, 40))):
        base = colors[int(rng.integers(len(colors)))] + rng.normal(0, 18)
        long, thin = rng.uniform(0.1, 0.6) * width, rng.uniform(0.04, 0.2) * width
        leaf = Image.new("L", (int(long) + 4, int(long) + 4))
        middle = long / 2
        ImageDraw.Draw(leaf).ellipse((0, middle - thin / 2, long, middle + thin / 2), fill=255)
        leaf = leaf.rotate(float(rng.uniform(0, 180)), Image.Resampling.BILINEAR)
        corner = (int(rng.uniform(-0.3, 0.9) * width), int(rng.uniform(-0.3, 0.9) * height))
        canvas.paste(_rgb(base), corner, leaf)
    return _array(canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 2)))))


def streets(rng: Rng, width: int, height: int) -> Pixels:
    """Hard edges: many polygons and ellipses over a texture, like walls, windows, cars and tables."""
    canvas = _image(texture(rng, width, height) if rng.random() < 0.5 else sky(rng, width, height))
    colors = _colors(rng, int(rng.integers(2, 7)))
    _polygons(rng, canvas, int(rng.integers(4, 16)), colors)
    _ellipses(rng, canvas, int(rng.integers(0, 5)), colors, largest=0.3)
    shade = _noise(rng, width, height)[..., None] * rng.uniform(0, 60)
    return _float(_array(canvas) + shade - shade.mean())


def portrait(rng: Rng, width: int, height: int) -> Pixels:
    """Head and shoulders with any skin color in front of a blurred background."""
    canvas = _image(blobs(rng, width, height) if rng.random() < 0.5 else sky(rng, width, height))
    draw = ImageDraw.Draw(canvas)
    skin = np.array((236, 200, 175)) * rng.uniform(0.25, 1.02) * rng.uniform((1, 0.85, 0.75), 1)
    hair, cloth = _colors(rng, 2)
    x, y = width * rng.uniform(0.3, 0.7), height * rng.uniform(0.3, 0.5)
    half, tall = width * rng.uniform(0.12, 0.26), height * rng.uniform(0.16, 0.28)
    draw.ellipse((x - half * 1.25, y - tall * 1.3, x + half * 1.25, y + tall), fill=_rgb(hair))
    draw.ellipse((x - half * 2.4, y + tall * 0.9, x + half * 2.4, y + tall * 5), fill=_rgb(cloth))
    draw.rectangle((x - half * 0.4, y, x + half * 0.4, y + tall * 1.2), fill=_rgb(skin * 0.85))
    draw.ellipse((x - half, y - tall, x + half, y + tall), fill=_rgb(skin))
    for side in (-1, 1):
        eye = (x + side * half * 0.4, y - tall * 0.1)
        draw.ellipse((eye[0] - 3, eye[1] - 2, eye[0] + 3, eye[1] + 2), fill=_rgb(skin * 0.3))
    draw.line((x - half * 0.35, y + tall * 0.5, x + half * 0.35, y + tall * 0.5), fill=_rgb(skin * 0.6), width=2)
    shade = (_noise(rng, width, height)[..., None] - 0.5) * 50
    return _float(_array(canvas.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 2))))) + shade)


KINDS: tuple[SceneKind, ...] = (plain, sky, texture, blobs, horizon, leaves, streets, portrait)
_KIND_SHARES = (0.08, 0.12, 0.14, 0.1, 0.18, 0.14, 0.14, 0.1)


def _camera(rng: Rng, pixels: Pixels) -> Image.Image:
    """Simulate lens, sensor and light: exposure, contrast, faded colors, a cast, vignette, grain."""
    height, width = pixels.shape[:2]
    value = pixels / 255
    gray = value.mean(axis=-1, keepdims=True)
    value = gray + (value - gray) * rng.choice([1.0, rng.uniform(0.0, 1.0), rng.uniform(1.0, 1.4)])
    value = 0.5 + (value - 0.5) * rng.uniform(0.6, 1.2)
    value = np.clip(value * rng.uniform(0.94, 1.06, 3), 0.0, 1.0) ** rng.choice([1.0, np.exp(rng.normal(0, 0.5))])
    if rng.random() < 0.4:
        y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
        value = value * (1 - rng.uniform(0.1, 0.6) * np.clip((x**2 + y**2) / 2, 0, 1))[..., None]
    value = value + rng.standard_normal((height, width, 1), dtype=np.float32) * rng.uniform(0, 0.06)
    return _image(_float(value * 255))


def _colors(rng: Rng, count: int) -> list[NDArray[np.float64]]:
    """Choose colors that match as in nature (shades of few names) or not at all. Most are muted."""
    names = list(rng.choice(list(SCENE_COLORS), int(rng.integers(1, 4))))
    colors = []
    for _ in range(count):
        samples = SCENE_COLORS[str(rng.choice(names))]
        color = np.array(samples[int(rng.integers(len(samples)))]) + rng.normal(0, 14, 3)
        if rng.random() < 0.25:
            color = rng.uniform(0, 255, 3)
        colors.append(np.clip(color, 0, 255))
    return colors


def _noise(rng: Rng, width: int, height: int) -> Pixels:
    """Fractal noise (height, width), 0–1, coarse or fine."""
    total = np.zeros((height, width), dtype=np.float32)
    falloff = rng.uniform(0.4, 0.9)
    for octave in range(5):
        cells = rng.random((2 + 2**octave, 2 + 2**octave), dtype=np.float32)
        layer = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer) * np.float32(falloff**octave)
    total -= total.min()
    return _float(total / max(float(total.max()), 1e-6))


def _ramp(rng: Rng, width: int, height: int) -> NDArray[np.float64]:
    """A linear gradient (height, width, 1), 0–1, usually vertical."""
    angle = rng.normal(0, 0.3) if rng.random() < 0.7 else rng.uniform(0, 6.3)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    ramp = np.cos(angle) * y + np.sin(angle) * x
    return np.asarray(((ramp - ramp.min()) / np.ptp(ramp))[..., None])


def _gradient(rng: Rng, width: int, height: int, color: NDArray[np.float64], spread: float) -> Pixels:
    return _float(color + (_ramp(rng, width, height) - 0.5) * 2 * rng.uniform(-spread, spread, 3))


def _through(colors: list[NDArray[np.float64]], level: Pixels) -> Pixels:
    """Map a level 0–1 (height, width) to a sequence of colors."""
    stops = np.linspace(0, 1, len(colors))
    return _float(np.stack([np.interp(level, stops, [color[i] for color in colors]) for i in range(3)], axis=-1))


def _ellipses(rng: Rng, canvas: Image.Image, count: int, colors: list[NDArray[np.float64]], largest: float) -> None:
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
        a, b = rng.uniform(0.04, largest, 2) * min(canvas.size)
        draw.ellipse((x - a, y - b, x + a, y + b), fill=_rgb(colors[int(rng.integers(len(colors)))]))


def _polygons(rng: Rng, canvas: Image.Image, count: int, colors: list[NDArray[np.float64]]) -> None:
    """Draw boxes, seen from the front or at an angle."""
    draw = ImageDraw.Draw(canvas)
    for _ in range(count):
        x, y = rng.uniform(-0.1, 0.9) * canvas.width, rng.uniform(-0.1, 0.9) * canvas.height
        w, h = rng.uniform(0.05, 0.6) * canvas.width, rng.uniform(0.05, 0.7) * canvas.height
        skew = rng.normal(0, 0.15, 8) * min(w, h) * (rng.random() < 0.5)
        corners = np.array([x, y, x + w, y, x + w, y + h, x, y + h]) + skew
        shade = colors[int(rng.integers(len(colors)))] + rng.normal(0, 12)
        draw.polygon([float(value) for value in corners], fill=_rgb(shade))


def _rgb(color: NDArray[np.float64]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.clip(color, 0, 255))
    return red, green, blue


def _float(pixels: NDArray[np.generic]) -> Pixels:
    return np.asarray(pixels, dtype=np.float32)


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _array(canvas: Image.Image) -> Pixels:
    return np.asarray(canvas, dtype=np.float32)
