"""From a picture to what BLIP sees, as `BlipImageProcessorPil` of transformers does it, to the last bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RESCALE = 1 / 255


class Preprocessor:
    """Squeezes a picture into a square of `side` pixels and normalises it with `mean` and `std` (of 0–1, RGB)."""

    def __init__(self, side: int, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        self._side = side
        # A byte has 256 values: each is rescaled and normalised once, in the types and the order of transformers.
        values = (np.arange(256, dtype=np.float64) * RESCALE).astype(np.float32)
        self._tables = [
            (values - np.float32(one_mean)) / np.float32(one_std)
            for one_mean, one_std in zip(mean, std, strict=True)
        ]

    def __call__(self, picture: Image.Image) -> NDArray[np.float32]:
        """(1, 3, side, side). Proportions are not kept."""
        squeezed = picture.convert("RGB").resize((self._side, self._side), Image.Resampling.BICUBIC)
        pixels = np.asarray(squeezed)
        return np.stack([table[pixels[..., i]] for i, table in enumerate(self._tables)])[np.newaxis]
