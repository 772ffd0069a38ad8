"""Which formats are taken, and telling them by their first bytes. No decoding happens here.

The API and the processor ask the same function, so that what one accepts the other does not call unsupported.
"""

from __future__ import annotations

from collections.abc import Collection

NAMES = {
    "jpeg": "JPEG",
    "png": "PNG",
    "gif": "GIF",
    "webp": "WebP",
    "tiff": "TIFF",
    "bmp": "BMP",
    "avif": "AVIF",
    "heic": "HEIC",
}
"""Formats that are accepted, and what people call them. The media type of each is `image/{format}`."""

THUMBNAIL_MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png"}
"""The media types of thumbnails by Pillow's encoder: the processor makes no others, the API serves no others."""

SNIFFED_BYTES = 512
"""How much of a file's beginning `identify` wants to see."""

# Not b"MM\0+", BigTIFF in the byte order that nobody writes: Pillow takes it for the older kind.
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0")
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "heic"),
}
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
        return _by_brand(head)
    return None


def _by_brand(head: bytes) -> str | None:
    """ISO/IEC 14496-12, 4.3: the brand that a file is of first, then those that it also keeps to.

    `mif1` and `msf1` alone say nothing about how the pixels are coded.
    """
    end = int.from_bytes(head[:4], "big")
    brands = (head[8:12], *(head[at : at + 4] for at in range(16, min(end, len(head)), 4)))
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)


def media_type(name: str) -> str:
    """The media type of a format."""
    return f"image/{name}"


def named(allowed: Collection[str]) -> str:
    """What people call the formats `allowed`, as an enumeration."""
    return ", ".join(name for key, name in NAMES.items() if key in allowed)
