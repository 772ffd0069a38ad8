"""Draw the demo model's pictures, by seed, with their captions."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from models.demo.captions import scene_caption
from models.demo.scenes import draw_scene, pick_kind
from models.demo.shapes import draw_shape

PROMPT = "a photo of"
TRAIN_SEEDS = range(0, 10_000_000)
"""Seeds for training."""
TEST_SEEDS = range(10_000_000, 20_000_000)
"""Seeds for evaluation and tests."""


@dataclass(frozen=True)
class Drawn:
    """A picture (RGB) and its caption without the prompt."""

    picture: Image.Image
    caption: str
    kind: Literal["shape", "scene"]
    shape: str | None = None
    mask: Image.Image | None = None
    """Where the shape is (mode L). None for scenes."""


def draw(seed: int) -> Drawn:
    """Draw picture number `seed`. The same seed gives the same pixels. Even numbers are shapes, odd ones scenes."""
    rng = np.random.default_rng(seed)
    if seed % 2 == 0:
        drawn = draw_shape(rng)
        return Drawn(drawn.picture, drawn.caption, "shape", drawn.shape, drawn.mask)
    scene_kind = pick_kind(rng)
    while True:  # a picture close to a limit of the rule has no caption
        scene = draw_scene(rng, scene_kind)
        words = scene_caption(scene)
        if words is not None:
            return Drawn(scene, words, "scene")
