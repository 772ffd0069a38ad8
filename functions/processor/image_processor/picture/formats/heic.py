"""HEIC, through pi-heif: libheif and libde265, which decode and do not encode.

libheif turns the picture as the file's `irot` and `imir` say, and pi-heif sets the orientation in the EXIF to 1.
Importing this loads the libraries, some 5 MB.
"""

from __future__ import annotations

from io import BytesIO

from pi_heif import options
from pi_heif.as_plugin import HeifImageFile
from PIL import Image

from image_processor.cpus import usable_cpus

MAX_THREADS = 4

# Pictures inside the picture that nobody asks for.
options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
options.DECODE_THREADS = min(MAX_THREADS, usable_cpus())


def opened(data: bytes) -> Image.Image:
    """The header is read, no pixel decoded yet. Raises SyntaxError for what libheif does not take."""
    image: Image.Image = HeifImageFile(BytesIO(data))
    return image
