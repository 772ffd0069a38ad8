"""HEIC (HEVC in HEIF): libheif reads the announced size and the number of frames from the header.

It is called through pi-heif, whose libraries can only decode.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from types import ModuleType
from typing import Self

from PIL import Image

from image_processor.cpus import usable_cpus
from image_processor.picture.exif import Exif, read_exif
from image_processor.picture.formats import isobmff
from image_processor.picture.formats.image_file import (
    MAX_EXIF_BYTES,
    MAX_THREADS,
    DecodeLimits,
    FileInfo,
    ImageFile,
)


class Heic(ImageFile):
    name = "heic"
    bytes_per_pixel = 21
    isolated = True

    @classmethod
    def open(cls, data: bytes, limits: DecodeLimits) -> Self:
        isobmff.check_coded_sizes(data, limits)
        isobmff.check_coding(data, b"hvc1")
        image: Image.Image = _pi_heif().HeifImageFile(BytesIO(data))
        frames: int = getattr(image, "n_frames", 1)
        info = FileInfo(*image.size, int(image.info["bit_depth"]), frames, isobmff.warnings(data))
        return cls(data, image, info.within(limits))

    def exif(self) -> Exif:
        """Read the file's EXIF. Its orientation is not applied: libheif rotates by the boxes `irot` and `imir`.

        The file's header is read again, because pi-heif's plugin for Pillow changes the orientation to 1.
        """
        block = _pi_heif().HeifFile(BytesIO(self.data)).info["exif"]
        return read_exif((block or b"")[:MAX_EXIF_BYTES]).oriented(1)


@cache
def _pi_heif() -> ModuleType:
    """Load the libraries, about 5 MB, which most processes never need."""
    from pi_heif import as_plugin, options

    # Embedded pictures, which are not used.
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    options.DECODE_THREADS = min(MAX_THREADS, usable_cpus())
    module: ModuleType = as_plugin
    return module
