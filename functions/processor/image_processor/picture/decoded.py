"""A picture as `decode` leaves it, and what is made of it: upright, sRGB, in the sizes that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image

from image_processor.picture import pixels


@dataclass(frozen=True, eq=False)
class Decoded:
    """One image file, decoded. `width` and `height` are those of the upright original, in pixels."""

    format: str
    width: int
    height: int
    mode: str
    """Pillow's name for the pixels in the file, such as RGB, P or I;16."""
    bit_depth: int
    """Bits in a sample of the file: 1 to 64; of an index where it has a palette."""
    alpha: bool
    """Whether the file says what is transparent, be it that nothing is."""
    frames: int
    """Pictures in the file that belong to one sequence or document; the first is what was decoded."""
    icc_profile: bytes
    """As found in the file, not checked; empty if there is none."""
    dpi: tuple[float, float] | None
    """Pixels per inch, across and down, as the file says; finite and above 0."""
    stored: Image.Image
    """The original reduced: mode L, RGB, RGBA or CMYK in the file's own colours, as it lies in the file. Not in
    proportion if the original is extremely long."""
    covered: pixels.Region
    """The part of `stored` (left, top, right, bottom) that the original covers: the last row and column of a
    reduced picture can reach beyond by a fraction of a pixel."""
    orientation: int
    """What EXIF calls it, 1 to 8: how `stored` is turned."""
    exif: bytes
    """As found in the file, not checked; empty if there is none."""
    info: Mapping[str, Any]
    """What Pillow says about the file besides."""

    @cached_property
    def picture(self) -> Image.Image:
        """All of `stored`, upright, in mode L, RGB or RGBA, sRGB, without metadata."""
        return self._finished(self.stored)

    @property
    def region(self) -> pixels.Region:
        """The part of `picture` that the original covers."""
        return pixels.upright_region(self.covered, self.stored.size, self.orientation)

    def resized(
        self, size: tuple[int, int], resample: Image.Resampling, reducing_gap: float | None = None
    ) -> Image.Image:
        """The original in `size` (width, height): upright, in mode L, RGB or RGBA, sRGB, without metadata.

        Colours are converted, and the picture is turned, when it is small: it costs a tenth of doing so before, and
        nobody can see that the pixels were averaged in the file's colours.
        """
        across, down = size if self.orientation < 5 else size[::-1]
        picture = self.stored.resize((across, down), resample, box=self.covered, reducing_gap=reducing_gap)
        return self._finished(picture)

    def for_captioning(self, side: int | None = None) -> Image.Image:
        """The upright picture in RGB, on white where it is transparent; squeezed into a square of `side` pixels.

        Without `side`: in proportion, at least 768 pixels on its short side, or what the original has.
        """
        if side is not None:
            return _on_white(self.resized((side, side), Image.Resampling.BICUBIC))
        picture = _on_white(self.picture)
        if self.region != (0, 0, *picture.size):
            # A third of a pixel here is a shift that the model's array shows: 1.2 of 255 on average.
            left, top, right, bottom = self.region
            size = max(1, round(right - left)), max(1, round(bottom - top))
            picture = picture.resize(size, Image.Resampling.BICUBIC, box=self.region)
        return picture

    def _finished(self, picture: Image.Image) -> Image.Image:
        picture = pixels.upright(pixels.to_srgb(picture, self.icc_profile), self.orientation)
        picture.info = {}  # the profile that it no longer has would get into the thumbnails
        return picture


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white
