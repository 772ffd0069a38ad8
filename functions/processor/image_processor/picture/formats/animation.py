"""Animations that begin with an invisible frame: the first frame that shows something is used instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from image_processor.picture import pixels

MAX_FRAMES = 10
"""How many frames are decoded. Each takes as long as the first."""
MAX_PIXELS = 4_000_000
"""Limit of a picture whose further frames are decoded. They take time and memory: Pillow needs 13 bytes per pixel
for those of a GIF and 12 for those of a PNG, which is more than `bytes_per_pixel`."""


def has_further_frames(image: Image.Image, frames: int) -> bool:
    """Return whether frames after the first are decoded if the first is invisible."""
    return frames > 1 and image.width * image.height <= MAX_PIXELS


def load_first_visible(image: Image.Image, frames: int) -> None:
    """Load the first of the `frames` with a visible pixel; the first of all if there is none, or if others are
    damaged."""
    image.load()
    if not has_further_frames(image, frames) or not pixels.is_invisible(image):
        return
    try:
        with _fixed_size(image):
            for number in range(1, min(frames, MAX_FRAMES)):
                image.seek(number)
                image.load()
                if not pixels.is_invisible(image):
                    return
    except MemoryError:
        raise
    except Exception:  # noqa: S110 - a damaged frame is no reason to fail, see also decoding.as_image_errors
        pass
    image.seek(0)
    image.load()


@contextmanager
def _fixed_size(image: Image.Image) -> Iterator[None]:
    """Let Pillow raise an error for a frame that reaches beyond the picture. It would enlarge a GIF."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, image.width * image.height
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
