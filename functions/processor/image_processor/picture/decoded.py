"""A decoded picture, and what is made of it: upright, sRGB, in the requested sizes."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from image_processor.picture import pixels
from image_processor.picture.exif import Exif

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
    """Whether the file carries transparency information, even if every pixel is opaque."""
    frames: int
    """Pictures in the file that belong to one sequence or document; the first was decoded."""
    icc_profile: bytes
    """As found in the file, not checked; empty if there is none."""
    dpi: tuple[float, float] | None
    """Pixels per inch, across and down, from the file's header; finite and above 0."""
    stored: Image.Image
    """The original reduced: mode L, RGB, RGBA or CMYK, in the file's own colors, not turned yet. Not in proportion
    if the original is extremely long."""
    covered: Region
    """The part of `stored` that the original covers: the last row and column of a reduced picture can reach beyond
    the original by a fraction of a pixel."""
    exif: Exif
    """Its orientation says how `stored` must be turned."""

    def resized(
        self, size: tuple[int, int], resample: Image.Resampling, reducing_gap: float | None = None
    ) -> Image.Image:
        """Return the original in `size` (width, height): upright, in mode L, RGB or RGBA, sRGB, without metadata.

        Colors are converted and the picture is turned when it is small. That costs a tenth of doing so before, and
        it is invisible that pixels were averaged in the file's colors.
        """
        across, down = size if self.exif.orientation < 5 else size[::-1]
        picture = self.stored.resize((across, down), resample, box=self.covered, reducing_gap=reducing_gap)
        picture = pixels.upright(pixels.to_srgb(picture, self.icc_profile), self.exif.orientation)
        picture.info = {}  # a profile found there would get into the thumbnails
        return picture

    def for_captioning(self, side: int) -> Image.Image:
        """Return the upright picture in RGB, squeezed into a square of `side` pixels, on white if transparent."""
        picture = self.resized((side, side), Image.Resampling.BICUBIC)
        if picture.mode != "RGBA":
            return picture if picture.mode == "RGB" else picture.convert("RGB")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
