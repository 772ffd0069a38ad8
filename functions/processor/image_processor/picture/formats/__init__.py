"""A walk over a file's structure before anything of it is decoded: how large, how many, how deep, whole or not.

Decoders find most of this out as well, but too late: after the memory is taken, after the junk is read byte by
byte. What is looked at here is what must be known before; everything else is left to the decoder. AVIF and HEIC
have decoders that tell from the header alone, so those two are not walked.
"""

from __future__ import annotations

from image_processor.picture.formats import bmp, gif, jpeg, png, tiff, webp
from image_processor.picture.formats.file_info import Limits, Survey, check

__all__ = ["Limits", "Survey", "check", "survey"]

_WALKS = {
    "jpeg": jpeg.walk,
    "png": png.walk,
    "gif": gif.walk,
    "webp": webp.walk,
    "tiff": tiff.walk,
    "bmp": bmp.walk,
}


def survey(data: bytes, kind: str, limits: Limits) -> Survey | None:
    """What is known of `data`, a file of the format `kind`; None for formats that are not walked.

    Raises TooManyPixels (more pixels, frames or passes over them than `limits` allows), UnsupportedFormat (camera
    raw) and CorruptImage (cut short, or built so that reading it would take longer than any picture is worth).
    """
    walk = _WALKS.get(kind)
    if walk is None:
        return None
    found = walk(data, limits)
    check(found.width, found.height, found.frames, limits)
    return found
