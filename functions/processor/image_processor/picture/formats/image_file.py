"""The base of all formats: files are inspected, opened, and decoded at a reduced scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import ClassVar, NamedTuple, Self

from PIL import Image

from image_core.errors import CorruptImage, TooManyPixels
from image_processor.picture import pixels
from image_processor.picture.exif import Exif, read_exif

MAX_EXIF_BYTES = 1 << 20
"""The rest of a longer EXIF block is ignored."""
MISSING_END = "missing_end"
"""The file ends before its end marker, but all of the picture is there."""
BAD_CHECKSUM = "bad_checksum"
"""A checksum in the file is wrong, but not one that puts the picture in doubt."""
HDR = "hdr"
"""The picture has a high dynamic range, which is not converted: it looks flat and gray."""
HDR_TRANSFERS = (16, 18)
"""Numbers of PQ and HLG in ITU-T H.273."""
MAX_THREADS = 4
"""Number of threads of a decoder that can use several. Each takes memory."""


@dataclass(frozen=True)
class DecodeLimits:
    """Limits: `pixels` of one picture, `frames` in one file, `memory_bytes` for decoding (None: not known)."""

    pixels: int
    frames: int
    memory_bytes: int | None = None

    def costing(self, bytes_per_pixel: float) -> DecodeLimits:
        """Return the limits for pictures that take this much memory: fewer pixels if the memory is too small."""
        if self.memory_bytes is None:
            return self
        return replace(self, pixels=min(self.pixels, int(self.memory_bytes / bytes_per_pixel)))

    def check(self, width: int, height: int, frames: int = 1) -> None:
        """Raise CorruptImage if there are no pixels, TooManyPixels if there are too many pixels or frames."""
        if width < 1 or height < 1:
            raise CorruptImage("The image has no pixels.")
        if width * height > self.pixels:
            raise TooManyPixels(f"The image has {width * height:,} pixels; the limit is {self.pixels:,}.")
        if frames > self.frames:
            raise TooManyPixels(f"The file has more than {self.frames:,} frames.")


@dataclass(frozen=True)
class FileInfo:
    """`width` and `height` as stored, in pixels. `bit_depth` in bits per sample, or per palette index. `warnings`
    name flaws that do not prevent decoding."""

    width: int
    height: int
    bit_depth: int = 8
    frames: int = 1
    warnings: tuple[str, ...] = ()

    def within(self, limits: DecodeLimits) -> Self:
        """Return this object, or raise what `DecodeLimits.check` raises."""
        limits.check(self.width, self.height, self.frames)
        return self


class Reduced(NamedTuple):
    """A picture in mode L, RGB, RGBA or CMYK, and how many original pixels, across and down, became one."""

    picture: Image.Image
    across: float
    down: float


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An open file, not decoded yet. Each format overrides what Pillow does not do well, or too late."""

    name: ClassVar[str]
    """The format, a key of `image_core.formats.NAMES`."""
    bytes_per_pixel: ClassVar[float]
    """Maximum memory for decoding, in addition to the file. docs/formats.md has the measurements."""
    isolated: ClassVar[bool] = False
    """Whether files are decoded in a child process with limits. True for containers of further pictures, because
    libraries find out the size and number of those only while they decode."""

    data: bytes
    image: Image.Image
    info: FileInfo

    @classmethod
    def open(cls, data: bytes, limits: DecodeLimits) -> Self:
        """Check the file's structure and read its header. No pixels are decoded. Raises what `inspect` raises."""
        info = cls.inspect(data, limits)
        image = cls._opened(data)
        limits.check(*image.size)
        return cls(data, image, info)

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        """Check the file's structure before any decoder reads it.

        Raises TooManyPixels (more pixels, frames, or passes over them than allowed), UnsupportedFormat (camera raw)
        and CorruptImage (incomplete, or built so that reading it takes too long).
        """
        raise NotImplementedError

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture to show, as stored, in pixels."""
        return self.image.size

    def reduce(self, factors: tuple[int, int]) -> Reduced:
        """Decode the picture and average blocks of `factors` (across, down) pixels."""
        self.image.load()
        return Reduced(pixels.reduced(self.image, factors), *factors)

    def exif(self) -> Exif:
        """Return the EXIF of a decoded file, with the orientation to apply."""
        block = self.image.info.get("exif")
        return read_exif(block[:MAX_EXIF_BYTES]) if isinstance(block, bytes) else Exif()

    def dpi(self) -> object:
        """Return pixels per inch (across, down) from the file's header; not checked."""
        return self.image.info.get("dpi")

    @classmethod
    def _opened(cls, data: bytes) -> Image.Image:
        return Image.open(BytesIO(data), formats=[cls.name.upper()])


def cut_short() -> CorruptImage:
    """Return the error for a file that ends too early."""
    return CorruptImage("The file is incomplete.")
