"""Training pictures, which all CPUs draw into arrays before the training, so that they are free for it then."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.demo.captions import GRID
from models.demo.drawing import draw
from models.demo.palette import name_colors
from models.demo.shapes import SHAPES

CHUNK = 500
MASK_SIDE = 32


@dataclass(frozen=True)
class Dataset:
    """N pictures as the model's input, with their captions, and with hints for the training.

    `pixels` (N, side, side, 3) uint8; `captions`; `cells` (N, 16, 16): index of each cell's color name;
    `masks` (N, 32, 32), 0–255: where the shape is; `subjects` (N): 0 for a scene, else 1 + index of the shape.
    """

    pixels: NDArray[np.uint8]
    captions: list[str]
    cells: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    subjects: NDArray[np.uint8]


def draw_dataset(seeds: range, side: int, report: Callable[[str], None]) -> Dataset:
    """Draw the pictures of `seeds`."""
    started = time.monotonic()
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    parts: list[Dataset] = []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for number, part in enumerate(pool.map(_draw_chunk, chunks, [side] * len(chunks)), start=1):
            parts.append(part)
            if number % 20 == 0 or number == len(chunks):
                done = min(number * CHUNK, len(seeds))
                report(f"drew {done:,} of {len(seeds):,} pictures, {time.monotonic() - started:.0f} s")
    return Dataset(
        np.concatenate([part.pixels for part in parts]),
        [caption for part in parts for caption in part.captions],
        np.concatenate([part.cells for part in parts]),
        np.concatenate([part.masks for part in parts]),
        np.concatenate([part.subjects for part in parts]),
    )


def model_pixels(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Resize an RGB picture to (side, side, 3), like `BlipImageProcessorPil` before it normalizes it."""
    return np.array(picture.resize((side, side), Image.Resampling.BICUBIC))


def shuffled(count: int, batch: int, steps: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of `steps` batches. Every picture is used once before any is repeated."""
    order = np.empty(0, dtype=np.intp)
    for _ in range(steps):
        while len(order) < batch:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[:batch]
        order = order[batch:]


def turned(rng: np.random.Generator, *arrays: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Randomly transpose and mirror arrays (N, rows, columns, …), all alike: captions do not depend on
    orientation."""
    transpose, upside_down, mirror = rng.random(3) < 0.5
    turned_arrays = []
    for array in arrays:
        turned_array = array.swapaxes(1, 2) if transpose else array
        turned_array = turned_array[:, ::-1] if upside_down else turned_array
        turned_array = turned_array[:, :, ::-1] if mirror else turned_array
        turned_arrays.append(np.ascontiguousarray(turned_array))
    return turned_arrays


def _draw_chunk(seeds: range, side: int) -> Dataset:
    drawn = [draw(seed) for seed in seeds]
    empty = np.zeros((MASK_SIDE, MASK_SIDE), dtype=np.uint8)
    cells = [np.asarray(one.picture.resize((GRID, GRID), Image.Resampling.BOX)) for one in drawn]
    return Dataset(
        np.stack([model_pixels(one.picture, side) for one in drawn]),
        [one.caption for one in drawn],
        name_colors(np.stack(cells))[0].astype(np.uint8),
        np.stack([np.asarray(one.mask.resize((MASK_SIDE, MASK_SIDE))) if one.mask else empty for one in drawn]),
        np.array([1 + SHAPES.index(one.shape) if one.shape else 0 for one in drawn], dtype=np.uint8),
    )
