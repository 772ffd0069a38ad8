"""`python -m bench.thumbnail_encoding`: bytes, quality and time of several ways to encode thumbnails.

The pipeline reduces drawn pictures, or those of a folder. Every variant encodes each thumbnail, in turn, and the
result is compared with the thumbnail before it was encoded. Bytes and times are relative to the first variant.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageStat

from bench.drawn_pictures import drawn_pictures
from bench.report import machine, ratio, table
from image_core.errors import ImageError
from image_core.renditions import Rendition
from image_processor.picture.decode import decode
from image_processor.picture.thumbnails import scaled

SIDES = (150, 300, 1280)
LARGE_SIDE = 1280
POOR_DECIBELS = 30.0
"""Below this, errors are visible at first sight."""
LOST_DECIBELS = 0.5
"""Thumbnails that lose more than this against the first variant are counted."""
COLOR_ERROR = 1.5
"""Of 255: the adaptive variant keeps a picture's colors at full resolution if half of it changes them by more."""

Encoder = Callable[[Image.Image], bytes]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.thumbnail_encoding", description=__doc__)
    parser.add_argument("--pictures", type=int, default=15, help="of each kind; default: %(default)s")
    parser.add_argument("--sides", type=int, nargs="+", choices=SIDES, default=SIDES, help="in pixels")
    parser.add_argument("--folder", type=Path, help="also measure the pictures in this folder")
    options = parser.parse_args()
    print(f"\n## Encoding thumbnails\n\n{machine('pillow', 'numpy')}\n", flush=True)
    pictures: dict[tuple[int, str], list[Image.Image]] = defaultdict(list)
    for kind, data in _files(options.pictures, options.folder):
        for side, picture in thumbnails(data).items():
            # A smaller original is not enlarged, and transparent thumbnails are PNG.
            if side in options.sides and max(picture.size) == side and picture.mode != "RGBA":
                pictures[side, kind].append(picture)
    for (side, kind), chosen in sorted(pictures.items(), key=lambda item: item[0]):
        print(f"{len(chosen)} {kind}, {side} pixels\n\n{_report(chosen, VARIANTS[side])}\n", flush=True)


def thumbnails(data: bytes) -> dict[int, Image.Image]:
    """Return the pictures that the pipeline encodes, by the side of their square."""
    sizes = {str(side): Rendition(side) for side in SIDES}
    decoded = decode(data, max_pixels=100_000_000, largest_side=max(SIDES))
    return {sizes[name].side: picture for name, picture in scaled(decoded, sizes).items()}


def _files(count: int, folder: Path | None) -> Iterator[tuple[str, bytes]]:
    for kind, picture in drawn_pictures(count):
        yield kind, _encoder("BMP")(picture)
    for path in sorted(folder.iterdir()) if folder else ():
        try:
            thumbnails(data := path.read_bytes())
        except (ImageError, OSError):
            print(f"{path.name} is skipped: it is not a picture\n")
        else:
            yield "own pictures", data


def _encoder(kind: str, **options: Any) -> Encoder:
    def encode(picture: Image.Image) -> bytes:
        picture.save(body := BytesIO(), kind, **options)
        return body.getvalue()

    return encode


def jpeg(subsampling: str, quality: int, **options: Any) -> Encoder:
    """Return an encoder with the pipeline's other options."""
    return _encoder("JPEG", **{"quality": quality, "subsampling": subsampling, "optimize": True, **options})


def gray_at(quality: int, colored: Encoder) -> Encoder:
    """Return an encoder with another quality for pictures without color channels."""
    gray = jpeg("4:4:4", quality)
    return lambda picture: gray(picture) if picture.mode == "L" else colored(picture)


def adaptive(fine: Encoder, other: Encoder) -> Encoder:
    """Return an encoder that uses `fine` for pictures with fine details in their colors."""
    return lambda picture: (fine if _has_fine_colors(picture) else other)(picture)


def _has_fine_colors(picture: Image.Image) -> bool:
    if picture.mode == "L":
        return False
    for plane in picture.convert("YCbCr").split()[1:]:
        halved = plane.reduce(2).resize(plane.size, Image.Resampling.BILINEAR)
        if ImageStat.Stat(ImageChops.difference(plane, halved)).rms[0] > COLOR_ERROR:
            return True
    return False


REFERENCE = {"JPEG 4:2:0, 85": jpeg("4:2:0", 85)}
FULL_COLOR = {f"JPEG 4:4:4, {quality}": jpeg("4:4:4", quality) for quality in (75, 80, 85)}
SMALL = {
    **REFERENCE,
    "JPEG 4:2:0, 90": jpeg("4:2:0", 90),
    **FULL_COLOR,
    "JPEG 4:4:4, 80, gray 85": gray_at(85, jpeg("4:4:4", 80)),
    "adaptive, 80 or 85": adaptive(jpeg("4:4:4", 80), jpeg("4:2:0", 85)),
    **{f"WebP {quality}": _encoder("WEBP", quality=quality) for quality in (75, 80, 85)},
}
LARGE = {
    **REFERENCE,
    "the same, not optimized": jpeg("4:2:0", 85, optimize=False),
    "the same, progressive": jpeg("4:2:0", 85, progressive=True),
    "JPEG 4:2:0, 80": jpeg("4:2:0", 80),
    **FULL_COLOR,
    "JPEG 4:4:4, 80, not optimized": jpeg("4:4:4", 80, optimize=False),
    **{
        f"WebP {quality}, method {method}": _encoder("WEBP", quality=quality, method=method)
        for quality in (75, 80, 85)
        for method in range(7)
    },
}
VARIANTS = {side: LARGE if side == LARGE_SIDE else SMALL for side in SIDES}


@dataclass
class Measured:
    """The numbers of one variant, by picture. `color`: decibels of the two color planes alone."""

    size: list[int] = field(default_factory=list)
    decibels: list[float] = field(default_factory=list)
    color: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, picture: Image.Image, encode: Encoder) -> None:
        """Encode and compare a picture. CPU time depends less on other load than wall time."""
        start = time.thread_time()
        body = encode(picture)
        self.seconds.append(time.thread_time() - start)
        self.size.append(len(body))
        exact, actual = (np.asarray(one.convert("RGB"), np.float64) for one in (picture, Image.open(BytesIO(body))))
        self.decibels.append(_decibels(actual - exact))
        self.color.append(_decibels((actual - exact) @ COLOR_DIFFERENCES))


COLOR_DIFFERENCES = np.array([[-0.168736, 0.5], [-0.331264, -0.418688], [0.5, -0.081312]])
"""Turns red, green and blue into JPEG's Cb and Cr."""


def _decibels(difference: Any) -> float:
    return 10 * float(np.log10(255**2 / max(float(np.mean(difference**2)), 1e-5)))


def _report(pictures: list[Image.Image], variants: dict[str, Encoder]) -> str:
    measured = {name: Measured() for name in variants}
    order = list(variants)
    for name in order:
        variants[name](Image.new("RGB", (16, 16)))  # loads the libraries
    for picture in pictures:
        order = order[1:] + order[:1]
        for name in order:
            measured[name].add(picture, variants[name])
    first = next(iter(measured.values()))
    rows = [_row(name, one, first) for name, one in measured.items()]
    counts = [f"below {POOR_DECIBELS:g}", f"lose {LOST_DECIBELS}"]
    header = ["", "bytes", "dB, median", "worst", *counts, "color dB, median", "worst", "CPU ms", "times the first"]
    return table(header, rows)


def _row(name: str, one: Measured, first: Measured) -> list[str]:
    lost = [before - after for before, after in zip(first.decibels, one.decibels, strict=True)]
    return [
        name,
        f"{sum(one.size) / sum(first.size):.3f}",
        f"{median(one.decibels):.1f}",
        f"{min(one.decibels):.1f}",
        str(sum(value < POOR_DECIBELS for value in one.decibels)),
        str(sum(value > LOST_DECIBELS for value in lost)),
        f"{median(one.color):.1f}",
        f"{min(one.color):.1f}",
        f"{1000 * median(one.seconds):.1f}",
        ratio(one.seconds, first.seconds),
    ]


if __name__ == "__main__":
    main()
