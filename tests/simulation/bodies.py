"""Files that users upload: small pictures, each with different bytes, and files that are not images."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from PIL import Image, ImageColor
from PIL.PngImagePlugin import PngInfo

from image_core import renditions
from image_core.renditions import largest_side
from image_processor.picture.decode import decode
from image_processor.picture.thumbnails import render

SIZES = renditions.parse("small=150,medium=300")
_COLORS = ["red", "green", "blue", "yellow"]


@dataclass(frozen=True)
class File:
    """A file and its expected result: an error code, or thumbnails by size and a caption."""

    body: bytes
    code: str | None
    thumbnails: dict[str, bytes]
    caption: str = ""
    """The start of its caption."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


EMPTY = File(b"", "corrupt_image", {})


def some_file(rng: random.Random, *, sniffable: bool = False) -> File:
    """Return a file, usually a picture.

    With `sniffable` it starts like a picture in any case, so that the API accepts it.
    """
    kind = rng.random()
    if kind < 0.06:
        return File(_truncated_jpeg(), "corrupt_image", {})
    if kind < 0.12 and not sniffable:
        return File(f"no picture {rng.random()}".encode(), "unsupported_format", {})
    if kind < 0.15 and not sniffable:
        return EMPTY
    # The number makes every file different. Some files repeat the same bytes.
    return picture(rng.choice(_COLORS), rng.randrange(1_000_000) if rng.random() < 0.6 else 0)


@cache
def picture(color: str, number: int = 0) -> File:
    """Return a picture of one color."""
    thumbnails = _thumbnails(color)
    return File(_png(color, number), None, thumbnails, f"a photo of {ImageColor.getrgb(color)},")


def _png(color: str, number: int) -> bytes:
    text = PngInfo()
    text.add_text("number", str(number))
    written = BytesIO()
    Image.new("RGB", (6, 4), color).save(written, "PNG", pnginfo=text)
    return written.getvalue()


@cache
def _thumbnails(color: str) -> dict[str, bytes]:
    decoded = decode(_png(color, 0), max_pixels=1000, largest_side=largest_side(SIZES))
    return {size: thumbnail.body for size, thumbnail in render(decoded, SIZES).items()}


@cache
def _truncated_jpeg() -> bytes:
    written = BytesIO()
    # Not Image.effect_noise: it draws from the C library's generator, whose state other tests change.
    noise = random.Random(1).randbytes(64 * 64)
    Image.frombytes("L", (64, 64), noise).save(written, "JPEG")
    return written.getvalue()[: len(written.getvalue()) // 2]
