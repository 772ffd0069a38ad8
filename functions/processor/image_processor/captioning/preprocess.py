"""Convert a picture to BLIP's input, bit for bit like `BlipImageProcessorPil` of transformers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RESCALE = 1 / 255


class Preprocessor:
    """Resizes a picture to a square of `side` pixels and normalizes it with `mean` and `std` (of 0–1, RGB)."""

    def __init__(self, side: int, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        self._side = side
        # A byte has 256 values. Each is rescaled and normalized once, with the types and order of transformers.
        values = (np.arange(256, dtype=np.float64) * RESCALE).astype(np.float32)
        self._tables = [
            (values - np.float32(one_mean)) / np.float32(one_std)
            for one_mean, one_std in zip(mean, std, strict=True)
        ]

    def __call__(self, picture: Image.Image) -> NDArray[np.float32]:
        """Return an array (1, 3, side, side). The aspect ratio is not kept."""
        squeezed = picture.convert("RGB").resize((self._side, self._side), Image.Resampling.BICUBIC)
        pixels = np.asarray(squeezed)
        return np.stack([table[pixels[..., i]] for i, table in enumerate(self._tables)])[np.newaxis]
