"""AVIF (AV1 in HEIF): libavif reads the announced size and the number of frames from the header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, cast

from PIL import AvifImagePlugin, Image

from image_processor.cpus import usable_cpus
from image_processor.picture import pixels
from image_processor.picture.exif import Exif, read_exif
from image_processor.picture.formats import clean_aperture, isobmff
from image_processor.picture.formats.image_file import (
    MAX_EXIF_BYTES,
    MAX_THREADS,
    DecodeLimits,
    FileInfo,
    ImageFile,
    Reduced,
)


@dataclass(frozen=True, eq=False)
class Avif(ImageFile):
    name = "avif"
    bytes_per_pixel = 21
    isolated = True

    shown: clean_aperture.Box | None = None
    """The part of the picture to show, before rotation. None: all of it."""

    @classmethod
    def open(cls, data: bytes, limits: DecodeLimits) -> Self:
        isobmff.check_coded_sizes(data, limits)
        isobmff.check_coding(data, b"av01")
        image = cls._opened(data)
        frames: int = getattr(image, "n_frames", 1)
        info = FileInfo(*image.size, _bit_depth(data), frames, isobmff.warnings(data)).within(limits)
        find = isobmff.track_properties if frames > 1 else isobmff.properties
        apertures = (clean_aperture.box(payload, image.size) for payload in find(data, b"clap"))
        return cls(data, image, info, next(apertures, None))

    @classmethod
    def _opened(cls, data: bytes) -> Image.Image:
        AvifImagePlugin.DEFAULT_MAX_THREADS = min(MAX_THREADS, usable_cpus())
        return super()._opened(data)

    @property
    def size(self) -> tuple[int, int]:
        if self.shown is None:
            return super().size
        left, top, right, bottom = self.shown
        return right - left, bottom - top

    def reduce(self, factors: tuple[int, int]) -> Reduced:
        """Crop the picture, which libavif does not do, before pixels outside are averaged with those inside."""
        picture = self.image if self.shown is None else self.image.crop(self.shown)
        picture.load()
        return Reduced(pixels.reduced(picture, factors), *factors)

    def exif(self) -> Exif:
        """Read the file's EXIF. The orientation to apply is that of the boxes `irot` and `imir`. Pillow rewrites
        all of the EXIF to insert it, which damages text."""
        _, _, _, _, block, orientation, _ = cast("Any", self.image)._decoder.get_info()
        return read_exif((block or b"")[:MAX_EXIF_BYTES]).oriented(orientation)


def _bit_depth(data: bytes) -> int:
    """Read the bit depth from `av1C` (AV1 in ISOBMFF, 2.3): version, profile, then flags, two for 10 and 12
    bits."""
    start = next((box.start for box in isobmff.configurations(data) if box.kind == b"av1C"), len(data))
    flags = int.from_bytes(data[start + 2 : start + 3], "big")
    return 8 + 2 * (flags >> 6 & 1) + 2 * (flags >> 6 & flags >> 5 & 1)
