"""The demo model's world: picture number `seed`, drawn, and what is to be said of it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from models.demo.captions import scene_caption
from models.demo.scenes import draw_scene, pick_kind
from models.demo.shapes import draw_shape

PROMPT = "a photo of"
TRAIN_SEEDS = range(0, 10_000_000)
"""Training draws from here."""
TEST_SEEDS = range(10_000_000, 20_000_000)
"""Evaluation and tests draw from here."""


@dataclass(frozen=True)
class Drawn:
    """A picture (RGB) and its caption, the prompt left out."""

    picture: Image.Image
    caption: str
    kind: Literal["shape", "scene"]
    shape: str | None = None
    mask: Image.Image | None = None
    """Where the shape is (mode L); None for scenes."""


def draw(seed: int) -> Drawn:
    """Picture number `seed`: the same seed gives the same pixels. Even numbers are shapes, odd ones scenes."""
    rng = np.random.default_rng(seed)
    if seed % 2 == 0:
        drawn = draw_shape(rng)
        return Drawn(drawn.picture, drawn.caption, "shape", drawn.shape, drawn.mask)
    scene_kind = pick_kind(rng)
    while True:  # the rule has no caption for a picture close to one of its limits
        scene = draw_scene(rng, scene_kind)
        words = scene_caption(scene)
        if words is not None:
            return Drawn(scene, words, "scene")
