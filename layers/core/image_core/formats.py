"""The supported formats, and how to detect them from a file's first bytes. Nothing is decoded here.

The API and the processor call the same function, so the processor never rejects a format that the API accepted.
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
"""The supported formats and their display names. The media type of each is `image/{format}`."""

SNIFFED_BYTES = 512
"""Number of bytes at the start of a file that `identify` needs."""

# Not b"MM\0+", big-endian BigTIFF: no software writes it, and Pillow reads it as classic TIFF.
_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0")
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"), "heic"),
}
_BMP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)


def identify(head: bytes) -> str | None:
    """Return the format whose signature the first bytes match, a key of `NAMES`, or None."""
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
    # Two letters are not enough evidence: a text file can begin with BM, too.
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "bmp"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    return None


def _by_brand(head: bytes) -> str | None:
    """Detect HEIC and AVIF by their brands: the major brand, then the compatible ones (ISO/IEC 14496-12, 4.3).

    `mif1` and `msf1` do not say how the pixels are coded, so neither is enough.
    """
    end = int.from_bytes(head[:4], "big")
    brands = (head[8:12], *(head[at : at + 4] for at in range(16, min(end, len(head)), 4)))
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)


def media_type(name: str) -> str:
    """The media type of a format."""
    return f"image/{name}"


_OTHER_MEDIA_TYPES = {
    "image/jpg": "jpeg",
    "image/pjpeg": "jpeg",
    "image/x-png": "png",
    "image/apng": "png",
    "image/heif": "heic",
    "image/heic-sequence": "heic",
    "image/heif-sequence": "heic",
    "image/x-ms-bmp": "bmp",
    "image/x-bmp": "bmp",
    "image/x-tiff": "tiff",
}
"""Media types that clients use for the formats, besides the registered ones."""


def format_of(announced: str) -> str | None:
    """Return the format of a media type as clients write it: in any case, with parameters, or an old name."""
    plain = announced.partition(";")[0].strip().lower()
    if plain in _OTHER_MEDIA_TYPES:
        return _OTHER_MEDIA_TYPES[plain]
    return next((name for name in NAMES if media_type(name) == plain), None)


def named(allowed: Collection[str]) -> str:
    """The display names of the formats `allowed`, separated by commas."""
    return ", ".join(name for key, name in NAMES.items() if key in allowed)
