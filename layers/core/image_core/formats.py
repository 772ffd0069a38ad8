"""Which formats are taken, and telling them by their first bytes. No decoding happens here.

The API and the processor ask the same function, so that what one accepts the other does not call unsupported.
"""

from __future__ import annotations

NAMES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "webp": "WebP",
    "tiff": "TIFF",
    "bmp": "BMP",
    "avif": "AVIF",
}
"""Formats that are accepted, and what people call them. The media type of each is `image/{format}`."""

SNIFFED_BYTES = 512
"""How much of a file's beginning `identify` wants to see."""

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)


def identify(head: bytes) -> str | None:
    """The format that the first bytes are the signature of, a key of `NAMES`; None for everything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(_TIFF_SIGNATURES):
        return "tiff"
    # Two letters are little to go by: many a text begins with BM.
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "bmp"
    if head[4:8] == b"ftyp":
        end = int.from_bytes(head[:4], "big")
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(end, len(head)), 4))}
        # Not mif1 alone: HEIC files carry that one too.
        return "avif" if brands & {b"avif", b"avis"} else None
    return None


def media_type(name: str) -> str:
    """The media type of a format."""
    return f"image/{name}"


MEDIA_TYPES = frozenset(map(media_type, NAMES))
"""Media types that can be announced for an upload."""
