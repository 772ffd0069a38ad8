"""One module per format, which inspects its files and then decodes them.

Decoders would find most of the problems that `inspect` finds, but too late: after they have allocated the memory,
or read garbage byte by byte. `inspect` does not repeat checks that decoders make in time.
"""

from __future__ import annotations

from image_processor.picture.formats.avif import Avif
from image_processor.picture.formats.bmp import Bmp
from image_processor.picture.formats.gif import Gif
from image_processor.picture.formats.heic import Heic
from image_processor.picture.formats.image_file import DecodeLimits, FileInfo, ImageFile
from image_processor.picture.formats.jpeg import Jpeg
from image_processor.picture.formats.png import Png
from image_processor.picture.formats.tiff import Tiff
from image_processor.picture.formats.webp import WebP

__all__ = ["FORMATS", "DecodeLimits", "FileInfo", "ImageFile"]

FORMATS: dict[str, type[ImageFile]] = {one.name: one for one in (Jpeg, Png, Gif, WebP, Tiff, Bmp, Avif, Heic)}
"""By the keys of `image_core.formats.NAMES`."""
