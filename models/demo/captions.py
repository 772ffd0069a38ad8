"""The demo model's caption of a scene, which a rule computes from the pixels.

1. The picture is averaged down to 16×16 cells (box filter), whatever its aspect ratio.
2. Light: the mean OKLab lightness of the cells. Below 0.42 "a dark scene", above 0.66 "a bright scene",
   between them "a scene".
3. Color: each cell is named (`palette.name_colors`). The share of a name is its part of the 256 cells.
   The two largest shares below half together: "in many colors". The second below 0.2: "mostly <first>".
   Otherwise "mostly <first> and <second>", the larger first.

A picture that is too close to one of these limits has no caption, because it would be useless for training and
evaluation. The same applies if the caption would change when ambiguous cells, which are almost as near to a second
name, had that name.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.demo.palette import SCENE_NAMES, name_colors, oklab

GRID = 16
DARK_BELOW, BRIGHT_ABOVE = 0.42, 0.66
MANY_BELOW, SECOND_FROM = 0.5, 0.2
LIGHTNESS_MARGIN, SHARE_MARGIN, COLOR_MARGIN = 0.025, 0.06, 0.012


def scene_caption(picture: Image.Image, *, margins: bool = True) -> str | None:
    """The caption of a scene, without the prompt. None if the picture is too close to a limit of the rule.

    Without `margins`, every picture gets the nearest caption.
    """
    cells = np.asarray(picture.convert("RGB").resize((GRID, GRID), Image.Resampling.BOX))
    near = 1.0 if margins else 0.0
    light = _light_word(float(oklab(cells)[..., 0].mean()), near * LIGHTNESS_MARGIN)
    if light is None:
        return None
    names, second_names, lead = name_colors(cells)
    colors = _color_words(names, near * SHARE_MARGIN)
    if margins and colors != _color_words(np.where(lead < COLOR_MARGIN, second_names, names), 0.0):
        return None
    return None if colors is None else f"a {light}scene{colors}"


def _light_word(lightness: float, margin: float) -> str | None:
    if min(abs(lightness - DARK_BELOW), abs(lightness - BRIGHT_ABOVE)) < margin:
        return None
    if lightness < DARK_BELOW:
        return "dark "
    return "bright " if lightness > BRIGHT_ABOVE else ""


def _color_words(names: NDArray[np.intp], margin: float) -> str | None:
    shares = np.bincount(names.ravel(), minlength=len(SCENE_NAMES)) / names.size
    first, second, third = sorted(range(len(shares)), key=lambda i: float(-shares[i]))[:3]
    both = shares[first] + shares[second]
    if abs(both - MANY_BELOW) < margin:
        return None
    if both < MANY_BELOW:
        return " in many colors"
    if shares[first] - shares[second] < margin or abs(shares[second] - SECOND_FROM) < margin:
        return None
    if shares[second] < SECOND_FROM:
        return f", mostly {SCENE_NAMES[first]}"
    if shares[second] - shares[third] < margin:
        return None
    return f", mostly {SCENE_NAMES[first]} and {SCENE_NAMES[second]}"
