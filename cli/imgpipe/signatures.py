"""Which media type a file has, by its first bytes: presigned uploads announce it, folders are searched for it.

The API decides what it takes; this only names what is there.
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
    (b"MM\0+", "image/tiff"),
)
_BRANDS = (
    ({b"avif", b"avis"}, "image/avif"),
    ({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}, "image/heic"),
    ({b"mif1", b"msf1"}, "image/heif"),
)


def media_type(head: bytes) -> str | None:
    """The media type that these first bytes are the signature of; None if they are no picture's."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    # Two letters are little to go by; the size of the header behind them is telling.
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "image/bmp"
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
        return next((found for ours, found in _BRANDS if brands & ours), None)
    return None


def guessed_type(name: str) -> str:
    """What a name's extension suggests."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
