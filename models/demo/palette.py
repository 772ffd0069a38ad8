"""Color words: the named colors that the demo model knows, and the rule that names a pixel.

A color is named after the nearest sample in OKLab (https://bottosson.github.io/posts/oklab/), where distances are
close to human perception.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SCENE_COLORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((0, 0, 0), (14, 14, 14), (30, 29, 30), (43, 42, 43)),
    "gray": (
        *((58, 58, 58), (74, 74, 75), (90, 90, 90), (108, 108, 108)),
        *((128, 128, 128), (160, 160, 160), (188, 188, 188), (212, 212, 211)),
    ),
    "white": ((252, 252, 252), (232, 232, 231)),
    "red": ((255, 0, 0), (212, 40, 44), (150, 22, 28), (100, 18, 22), (62, 10, 14), (222, 90, 85)),
    "orange": ((255, 140, 0), (222, 108, 40), (245, 165, 92)),
    "yellow": ((255, 255, 0), (245, 212, 50), (238, 226, 130), (196, 172, 44)),
    "green": (
        *((0, 255, 0), (40, 160, 60), (20, 80, 35), (130, 200, 110), (160, 205, 165), (170, 245, 170)),
        *((90, 112, 60), (58, 78, 50), (142, 154, 92), (34, 48, 28)),
    ),
    "teal": ((0, 255, 255), (20, 150, 150), (90, 200, 200), (10, 82, 86), (8, 46, 50), (160, 220, 220)),
    "blue": (
        *((0, 0, 255), (30, 85, 215), (15, 30, 110), (10, 16, 56), (110, 160, 235), (168, 198, 232)),
        *((110, 132, 168), (62, 82, 122), (24, 34, 62), (138, 156, 182)),
    ),
    "purple": ((128, 0, 128), (130, 50, 185), (70, 26, 106), (42, 14, 60), (172, 132, 208), (102, 82, 128)),
    "pink": ((255, 105, 180), (245, 140, 185), (238, 180, 200), (214, 50, 130), (200, 130, 150), (208, 164, 170)),
    "brown": ((112, 66, 32), (70, 44, 28), (152, 102, 62), (98, 76, 56), (48, 32, 22), (138, 104, 92)),
    "beige": ((216, 190, 156), (186, 160, 130), (238, 218, 194), (222, 170, 145)),
}
"""Color words of scenes, each with sRGB samples of the colors that it includes."""

SHAPE_COLORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((0, 0, 0), (25, 25, 25)),
    "gray": ((118, 118, 118), (150, 150, 150)),
    "white": ((255, 255, 255), (240, 240, 240)),
    "red": ((255, 0, 0), (205, 35, 40)),
    "orange": ((255, 165, 0), (240, 125, 30)),
    "yellow": ((255, 255, 0), (245, 215, 45)),
    "dark green": ((0, 95, 0), (20, 80, 40)),
    "green": ((0, 200, 0), (45, 160, 65)),
    "light green": ((144, 238, 144), (165, 225, 150)),
    "teal": ((0, 150, 150), (30, 175, 165)),
    "dark blue": ((0, 0, 125), (20, 30, 100)),
    "blue": ((0, 0, 255), (40, 90, 215)),
    "light blue": ((173, 216, 230), (130, 185, 240)),
    "purple": ((128, 0, 128), (130, 50, 185)),
    "pink": ((255, 105, 180), (250, 150, 190)),
    "brown": ((115, 65, 30), (140, 85, 45)),
}
"""Color words of shapes and their backgrounds, each with sRGB samples, between which a color is chosen."""


def oklab(srgb: NDArray[np.generic]) -> Floats:
    """Convert sRGB values 0–255 to OKLab (lightness 0–1, a, b). The last axis has the three channels."""
    value = np.asarray(srgb, dtype=np.float64) / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ _LMS)
    return np.asarray(cones @ _LAB, dtype=np.float64)


def name_colors(srgb: NDArray[np.generic]) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """The nearest name of each sRGB color, the second nearest, and the difference of their distances (in OKLab).

    Names are indices into `SCENE_NAMES`. `srgb` can have any shape with the channels last.
    """
    samples = np.sqrt(((oklab(srgb)[..., None, :] - _SAMPLES) ** 2).sum(axis=-1))
    distance = np.minimum.reduceat(samples, _FIRST_SAMPLE, axis=-1)
    order = distance.argsort(axis=-1)
    nearest, second = order[..., 0], order[..., 1]
    distance = np.take_along_axis(distance, order[..., :2], axis=-1)
    return nearest, second, np.asarray(distance[..., 1] - distance[..., 0])


_LMS = np.array(
    [
        [0.4122214708, 0.2119034982, 0.0883024619],
        [0.5363325363, 0.6806995451, 0.2817188376],
        [0.0514459929, 0.1073969566, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 1.9779984951, 0.0259040371],
        [0.7936177850, -2.4285922050, 0.7827717662],
        [-0.0040720468, 0.4505937099, -0.8086757660],
    ]
)
SCENE_NAMES = tuple(SCENE_COLORS)
_SAMPLES = oklab(np.array([sample for samples in SCENE_COLORS.values() for sample in samples]))
_FIRST_SAMPLE = np.cumsum([0, *(len(samples) for samples in SCENE_COLORS.values())])[:-1]
