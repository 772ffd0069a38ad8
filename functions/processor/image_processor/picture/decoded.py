"""A decoded picture, and how to get it upright, in sRGB and in the requested sizes."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from image_processor.picture import pixels
from image_processor.picture.exif import Exif

PIXELS_VERSION = 2
"""Increase this when the caption model would get other pixels of the same file. Then earlier captions are computed
again instead of copied."""

Region = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels, not rounded."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """One image file, decoded. `width` and `height` are those of the upright original, in pixels."""

    format: str
    width: int
    height: int
    mode: str
    """Pillow's name for the pixels in the file, such as RGB, P or I;16."""
    bit_depth: int
    """Bits in a sample of the file, 1 to 64; bits in an index if the file has a palette."""
    alpha: bool
    """Whether the file has transparency information, even if every pixel is opaque."""
    frames: int
    """Number of pictures in the file's sequence or document. The first was decoded."""
    icc_profile: bytes
    """The ICC profile as it is in the file, not checked. Empty if there is none."""
    dpi: tuple[float, float] | None
    """Pixels per inch, across and down, from the file's header; finite and above 0."""
    stored: Image.Image
    """The reduced original: mode L, RGB, RGBA or CMYK, in the file's own colors, not rotated yet. The aspect ratio
    is not kept if the original is extremely long."""
    covered: Region
    """The part of `stored` that the original covers: the last row and column of a reduced picture can reach beyond
    the original by a fraction of a pixel."""
    exif: Exif
    """Its orientation says how `stored` must be rotated or mirrored."""
    warnings: tuple[str, ...] = ()
    """Flaws of the file that did not prevent decoding; `formats.image_file` has the values."""

    def resized(
        self, size: tuple[int, int], resample: Image.Resampling, reducing_gap: float | None = None
    ) -> Image.Image:
        """Return the original in `size` (width, height): upright, in mode L, RGB or RGBA, sRGB, without metadata.

        Colors are converted and the picture is rotated after it was reduced. That costs a tenth, and the effect of
        averaging pixels in the file's colors is invisible.
        """
        across, down = size if self.exif.orientation < 5 else size[::-1]
        picture = pixels.resized(self.stored, (across, down), resample, self.covered, reducing_gap)
        picture = pixels.upright(pixels.to_srgb(picture, self.icc_profile), self.exif.orientation)
        picture.info = {}  # Pillow would write a profile in it to the thumbnails
        return picture

    def for_captioning(self, side: int) -> Image.Image:
        """Return the upright picture in RGB, resized to a square of `side` pixels, on white if transparent."""
        picture = self.resized((side, side), Image.Resampling.BICUBIC)
        if picture.mode == "RGBA":
            return pixels.on_white(picture)
        return picture if picture.mode == "RGB" else picture.convert("RGB")
