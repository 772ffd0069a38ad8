"""Detect the media type of a file from its first bytes, for presigned uploads and to find pictures in a folder.

A test checks that the supported formats are those of `image_core.formats`. The API makes the final decision.
"""

from __future__ import annotations

import mimetypes

HEAD_BYTES = 512

_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
)
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic"),
}


def media_type(head: bytes) -> str | None:
    """The media type of a file with these first bytes. None if it is not a supported format."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    # Text files can begin with BM, too. The size of the following header identifies a BMP file.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "image/bmp"
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = (head[8:12], *(head[at : at + 4] for at in range(16, end, 4)))
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    return None


def guessed_type(name: str) -> str:
    """The media type for a name's extension."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
