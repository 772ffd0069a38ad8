"""Pre-processing gives the same values as transformers, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from image_processor.captioning.preprocess import Preprocessor
from tests.with_torch import transformers_or_skip

BlipImageProcessorPil = transformers_or_skip().BlipImageProcessorPil

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels, mode)


@pytest.mark.parametrize("side", [64, 384])
@pytest.mark.parametrize("size", [(1, 1), (384, 384), (640, 480), (383, 1000), (20_000, 3), (2, 5_000)])
def test_pixels_are_the_same_as_from_transformers(size: tuple[int, int], side: int) -> None:
    picture = noise(*size)
    reference = BlipImageProcessorPil(size={"height": side, "width": side}, image_mean=MEAN, image_std=STD)

    pixels = Preprocessor(side, MEAN, STD)(picture)

    expected = reference(images=picture, return_tensors="np")["pixel_values"]
    assert pixels.dtype == expected.dtype == np.float32
    assert pixels.shape == (1, 3, side, side)
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK"])
def test_other_modes_are_converted_as_transformers_does(mode: str) -> None:
    picture = noise(100, 80, mode)
    reference = BlipImageProcessorPil(size={"height": 96, "width": 96}, image_mean=MEAN, image_std=STD)

    pixels = Preprocessor(96, MEAN, STD)(picture)

    assert np.array_equal(pixels, reference(images=picture, return_tensors="np")["pixel_values"])


def test_every_byte_value_is_normalized_as_transformers_does() -> None:
    picture = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2))
    reference = BlipImageProcessorPil(size={"height": 16, "width": 16}, image_mean=MEAN, image_std=STD)

    pixels = Preprocessor(16, MEAN, STD)(picture)

    assert np.array_equal(pixels, reference(images=picture, return_tensors="np")["pixel_values"])
